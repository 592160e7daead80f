"""`carbon backfill`: a year's windows, period postings and reports, by the running Dagster.

Belongs here: which assets and partitions, waiting, what is said. Does not: GraphQL (cli.dagster).

It asks for what the web UI asks for ("Materialize …", the year, "Launch backfill"), in the order in
which one is made of the other.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final

import click

from carbon_ledger.errors import ConfigurationError, Unavailable
from carbon_ledger.organisation.fiscal_year import JANUARY, fiscal_period, fiscal_year_of
from carbon_ledger.settings import load as load_settings
from carbon_ledger.store.reference import fiscal_years
from cli.dagster import Dagster
from cli.ledger_commands import open_database

STEPS: Final[dict[str, tuple[str, ...]]] = {
    "windows": ("windows/five_minute", "windows/daily"),
    "postings": ("ledger/period_postings",),
    "reports": ("reports/esrs_e1", "reports/cdp_7", "reports/completeness"),
}
FIRST_YEAR: Final = 2000
POLL_SECONDS: Final = 2.0
DONE: Final = "COMPLETED_SUCCESS"
OVER: Final = (DONE, "COMPLETED", "COMPLETED_FAILED", "FAILED", "CANCELED")


@click.command()
@click.option("--year", type=int, required=True, help="The fiscal year.")
@click.option(
    "--only", type=click.Choice(list(STEPS)), multiple=True, help="Not all of it; may be repeated."
)
@click.option("--seconds", type=click.IntRange(1), default=3600, show_default=True, help="At most.")
def backfill(year: int, only: tuple[str, ...], seconds: int) -> None:
    """Compare a year's windows with their entries, and make its postings and reports again.

    The days are those of the fiscal years of that name, of every organization; period postings are
    of the calendar years that they are in. Nothing is posted twice: windows are compared and
    corrected, postings brought to what the entries give, reports kept as new snapshots.
    """
    with open_database("READER") as conn:
        days = days_of(year, fiscal_years(conn).first_months)
    partitions = {
        "windows": days,
        "postings": sorted({day[:4] for day in days}),
        "reports": [str(year)],
    }
    dagster = Dagster(load_settings()["CARBON_DAGSTER_URL"])
    until = time.monotonic() + seconds
    for step, assets in STEPS.items():
        if only and step not in only:
            continue
        backfill_id = dagster.launch_backfill(assets, partitions[step])
        click.echo(f"{step}: backfill {backfill_id}, {len(partitions[step])} partitions")
        status = dagster.backfill_status(backfill_id)
        while status not in OVER:
            if time.monotonic() > until:
                raise Unavailable(
                    "backfill_not_done",
                    f"{step}: backfill {backfill_id} is {status} after {seconds} s; it goes on, "
                    f"and {dagster.url}/runs/b/{backfill_id} shows how far it is",
                )
            time.sleep(POLL_SECONDS)
            status = dagster.backfill_status(backfill_id)
        click.echo(f"{step}: {status}")
        if status != DONE:
            raise Unavailable(
                "backfill_failed",
                f"{step}: backfill {backfill_id} is {status}; `carbon failures` has its errors",
            )


def days_of(year: int, first_months: Sequence[int] = (JANUARY,)) -> list[str]:
    """The days of the fiscal years of a name, by the months they begin in, that have begun
    everywhere; ConfigurationError `backfill_year`.
    """
    today = datetime.now(UTC).date()
    last_year = max(fiscal_year_of(today, month) for month in first_months)
    if not FIRST_YEAR <= year <= last_year:
        raise ConfigurationError(
            "backfill_year", f"{year} is no year of the ledger; valid are 2000 to {last_year}"
        )
    periods = [fiscal_period(year, month) for month in first_months]
    first = max(min(begin for begin, _ in periods), date(FIRST_YEAR, 1, 1))
    last = min(max(end for _, end in periods) - timedelta(days=1), today)
    return [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
