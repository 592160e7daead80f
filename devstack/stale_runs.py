"""Report as failed every Dagster run that is still counted as running, though no process runs it.

Run as `python -m devstack.stale_runs` before the daemon of a freshly started stack, when no run can
be alive. Belongs here: that one act. Does not: deciding when it is due.
"""

from __future__ import annotations

import dagster as dg

UNDER_WAY = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def main() -> int:
    """0 after every run under way has been reported as failed."""
    with dg.DagsterInstance.get() as instance:
        for run in instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY)):
            instance.report_run_failed(run, "The stack was stopped while this run was under way.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
