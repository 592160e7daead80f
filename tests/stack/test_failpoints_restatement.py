"""A restatement whose process dies at a named point is posted by the next one, exactly once."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from carbon_ledger.failpoints import VARIABLE
from carbon_ledger.restatement import Target
from carbon_ledger.store.checks import check_windows
from carbon_ledger.store.restatement_posting import posting_faults
from carbon_ledger.store.restatements import approve, find_restatement
from factor_seeds.load import release
from spark.restate import post, preview
from tests.support.archived_parts import ArchivedLedger, archived_ledger, reading

pytestmark = pytest.mark.stack

BEGIN = datetime(2025, 3, 10, 8, tzinfo=UTC)
BY, REASON = "Group Controller", "the inventory weighs gases by another report"


def post_with(ledger: ArchivedLedger, number: int, failpoint: str) -> None:
    os.environ[VARIABLE] = failpoint
    with closing(ledger.writer()) as conn:
        post(conn, ledger.settings, number, by=BY)


def previewed(ledger: ArchivedLedger) -> int:
    """Two readings in each of two months, to be weighed by AR5; the restatement's number."""
    sent = [
        reading(BEGIN + timedelta(days=30 * month, hours=hour), country_iso2="GB")
        for month in range(2)
        for hour in range(2)
    ]
    ledger.send(sent, ledger.store(release()))
    with closing(ledger.writer()) as conn:
        found = preview(
            conn,
            ledger.settings,
            Target(gwp_set="AR5"),
            first_date=date(2025, 1, 1),
            end_date=date(2026, 1, 1),
            by=BY,
            reason=REASON,
        ).restatement
        assert found is not None
        for name in (BY, "Head of Sustainability"):
            approve(conn, found.restatement_id, name, REASON)
        return found.restatement_id


@pytest.mark.parametrize(
    ("failpoint", "months_posted"),
    [("restatement_posted", 0), ("restatement_posted:2", 1), ("restatement_committed", 1)],
)
def test_the_next_process_posts_what_is_missing(
    failpoint: str, months_posted: int, stack: Any, tmp_path: Path
) -> None:
    with archived_ledger(stack.layout.database_url, tmp_path) as ledger:
        number = previewed(ledger)
        dying = get_context("fork").Process(target=post_with, args=(ledger, number, failpoint))
        dying.start()
        dying.join(60)
        assert dying.exitcode == -signal.SIGKILL, "the point was not hit"
        count = "select count(*)::int from ledger.entry"
        assert ledger.rows(count) == [(4 + 4 * months_posted,)]
        with closing(ledger.writer()) as conn:
            post(conn, ledger.settings, number, by=BY)
            assert find_restatement(conn, number).status == "posted"
            assert posting_faults(conn, number) == []
            days = [(BEGIN + timedelta(days=30 * month)).date() for month in range(2)]
        assert ledger.rows(count) == [(4 + 4 * 2,)]
        assert ledger.rows(
            "select count(*)::int, count(distinct event_id)::int from ledger.active_entry"
        ) == [(4, 4)]
        with closing(ledger.database.auditor()) as conn:
            assert check_windows(conn, days) == []
