"""The backfill of a year from the command line, by a running Dagster."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner

from carbon_ledger import settings
from carbon_ledger.errors import ConfigurationError, Unavailable
from carbon_ledger.store.connect import connect_as_reader
from cli.backfill_command import backfill, days_of
from cli.dagster import Dagster
from tests.support.dagster_client import DagsterClient

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1500)]
YEAR = 2019


@pytest.mark.daemon
def test_a_year_s_windows_postings_and_reports_are_made_again_and_nothing_is_posted(
    stack: Any,
) -> None:
    with closing(connect_as_reader(settings.load(), "tests", autocommit=True)) as conn:
        # Of that year alone: the daemon may have others' batches to work off.
        count = (
            b"select count(*) from ledger.entry"
            b" where local_date >= '2019-01-01' and local_date < '2020-01-01'"
        )
        before = conn.execute(count).fetchone()
        done = CliRunner().invoke(backfill, ["--year", str(YEAR), "--seconds", "1200"])
        assert done.exit_code == 0, (done.output, done.exception)
        assert "windows: COMPLETED_SUCCESS" in done.output
        assert "reports: COMPLETED_SUCCESS" in done.output
        assert conn.execute(count).fetchone() == before
    dagster = DagsterClient(stack.layout.port("dagster"))
    (made,) = [
        one
        for one in dagster.materializations("reports", "esrs_e1")
        if one["partition"] == str(YEAR)
    ]
    assert made["metadata"]["fiscal_year"] == YEAR


def test_a_year_is_its_days_up_to_today() -> None:
    assert (days_of(2024)[0], days_of(2024)[-1], len(days_of(2024))) == (
        *("2024-01-01", "2024-12-31"),
        366,
    )
    today = datetime.now(UTC).date()
    assert days_of(today.year)[-1] == today.isoformat()


@pytest.mark.parametrize("year", [1999, 2999])
def test_a_year_that_the_ledger_has_not_is_refused(year: int) -> None:
    with pytest.raises(ConfigurationError, match="valid are 2000 to") as refused:
        days_of(year)
    assert refused.value.code == "backfill_year"


def test_a_dagster_that_is_not_there_is_said_so() -> None:
    with pytest.raises(Unavailable, match="does not answer") as refused:
        Dagster("http://127.0.0.1:9/").launch_backfill(["windows/daily"], ["2024-01-01"])
    assert refused.value.code == "dagster_unavailable"
    assert "http://127.0.0.1:9" in refused.value.message
