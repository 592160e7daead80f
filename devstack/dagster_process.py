"""Run one of Dagster's console scripts without its notices about beta and preview interfaces.

Belongs here: that filter, for the processes of the stack only. Does not: any other warning; those
show.
"""

from __future__ import annotations

import sys
import warnings
from importlib.metadata import entry_points

import dagster


def main() -> None:
    """`python -m devstack.dagster_process dagster-webserver -p 3000` is `dagster-webserver -p
    3000`, quieter.
    """
    for category in (dagster.BetaWarning, dagster.PreviewWarning, dagster.SupersessionWarning):
        warnings.simplefilter("ignore", category)
    script = sys.argv[1]
    (entry,) = entry_points(group="console_scripts", name=script)
    sys.argv = [script, *sys.argv[2:]]
    raise SystemExit(entry.load()())


if __name__ == "__main__":
    main()
