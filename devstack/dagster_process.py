"""Run one of Dagster's console scripts without its notices about beta and preview interfaces, and
have the code server fork its runs from a process that has everything imported.

Belongs here: that choice, for the processes of the stack only. Does not: which notices those are
(devstack.dagster_notices), what a run imports (carbon_assets.run_imports).
"""

from __future__ import annotations

import multiprocessing
import sys
from importlib import import_module
from importlib.metadata import entry_points
from multiprocessing import forkserver
from multiprocessing.context import BaseContext

NOTICES = "devstack.dagster_notices"
# Imported once by the process that runs are forked from, in this order.
WARM = [NOTICES, "carbon_assets.run_imports"]


def fork_runs() -> None:
    """Whoever asks for a spawning context in this process gets one that forks from a warm server.

    Dagster's code server spawns a new interpreter for each run, which spends one to two seconds of
    a core on imports before it looks at its run. The server that forks has imported them, has no
    thread and no connection, and ends with the code server; the runs go on, as spawned ones do.
    """
    get_context = multiprocessing.get_context

    def forking(method: str | None = None) -> BaseContext:
        return get_context("forkserver" if method == "spawn" else method)

    multiprocessing.get_context = forking  # type: ignore[assignment]
    get_context("forkserver").set_forkserver_preload(WARM)
    # Now, so that the first run finds it ready.
    forkserver.ensure_running()


def main() -> None:
    """`python -m devstack.dagster_process dagster-webserver -p 3000` is `dagster-webserver -p
    3000`, quieter.
    """
    import_module(NOTICES)
    script = sys.argv[1]
    (entry,) = entry_points(group="console_scripts", name=script)
    sys.argv = [script, *sys.argv[2:]]
    if sys.argv[1:3] == ["api", "grpc"]:
        fork_runs()
    raise SystemExit(entry.load()())


if __name__ == "__main__":
    main()
