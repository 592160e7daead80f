"""Closing periods in tests: entries of 2024, seals, two people, and how a period stands then.

Belongs here: what tests of closing share. Does not: what they expect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from carbon_ledger.entries import EntryRow
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.organisation.period_close import State, period_of
from carbon_ledger.policy import Policy
from carbon_ledger.store import period_status, periods
from carbon_ledger.store.rows import begin_writing, ensure_month, insert_identity, post_entries
from tests.support.postgres import Connection, LedgerDatabase, reading, scratch_database

POLICY = Policy()
NOW = datetime(2026, 6, 1, tzinfo=UTC)
CONTROLLER, HEAD = "Group Controller", "Head of Sustainability"


def post(conn: Connection, *rows: EntryRow) -> None:
    """Entries in a commit of their own, sealed by nobody."""
    for row in rows:
        ensure_month(conn, row.activity_month)
    with conn.transaction():
        moment = begin_writing(conn)
        stamped = [replace(row, recorded_at=moment) for row in rows]
        for row in stamped:
            if not row.is_reversal:
                insert_identity(conn, row)
        post_entries(conn, stamped, recorded_at=moment, kind="correction")


@contextmanager
def ledger_to_close(url_of: Callable[[str, str], str]) -> Iterator[LedgerDatabase]:
    """A ledger with 100 kWh, 38 kgCO2e by location, in 2024; `url_of(role, database)` is the
    server's.
    """
    with scratch_database(url_of) as found:
        with closing(found.writer(autocommit=True)) as conn:
            post(conn, reading(0, quantity=Decimal(100), kgco2e=Decimal(38)))
        yield found


def look(conn: Connection) -> None:
    """Period postings were looked at, of 2024 and 2025, and came to nothing."""
    conn.execute(
        "insert into ledger.period_run (fiscal_year, known_at, lines_posted, reversals, not_posted,"
        " delta_kgco2e, code_version)"
        " select year, clock_timestamp(), 0, 0, 0, 0, 'test' from unnest(array[2024, 2025]) as year"
    )


def seal(database: LedgerDatabase) -> None:
    """Marks every commit as sealed, in one seal each, as a sealer that is not looked at here; and
    period postings as looked at.
    """
    with closing(database.writer(autocommit=True)) as writer:
        look(writer)
    with closing(database.sealer()) as conn, conn.transaction():
        conn.execute(
            "insert into audit.seal (seal_no, first_leaf, leaves, tree_size, batch_root, tree_root,"
            " complete_until) select n, before, entries, before + entries, sha256(''), sha256(''),"
            " now() from (select c.entries, row_number() over (order by c.commit_id) as n,"
            " sum(c.entries) over (order by c.commit_id) - c.entries as before"
            " from audit.commit c) made where n > (select count(*) from audit.seal)"
        )
        conn.execute(
            "insert into audit.seal_commit (seal_no, commit_id, position, first_leaf, entries)"
            " select n, commit_id, 0, s.first_leaf, made.entries from (select c.commit_id,"
            " c.entries, row_number() over (order by c.commit_id) as n from audit.commit c) made"
            " join audit.seal s on s.seal_no = n"
            " where not exists (select from audit.seal_commit x where x.commit_id = made.commit_id)"
        )


def decide(conn: Connection, state: State, text: str = "2024", **more: Any) -> periods.Outcome:
    given: dict[str, Any] = {
        **{"by": CONTROLLER, "reason": "reviewed", "policy": POLICY, "now": NOW},
        **more,
    }
    return periods.decide(conn, "default", period_of(text), state, **given)


def approve(conn: Connection, outcome: periods.Outcome, by: str = HEAD) -> periods.StateChange:
    number = outcome.decision.decision_id
    return periods.approve(conn, number, by=by, reason="checked", policy=POLICY, now=NOW)


def close(database: LedgerDatabase, conn: Connection, text: str = "2024") -> periods.StateChange:
    """Soft-closed by one person, closed by two."""
    seal(database)
    decide(conn, "soft_closed", text)
    return approve(conn, decide(conn, "closed", text))


def status(conn: Connection, text: str = "2024") -> period_status.PeriodStatus:
    (one,) = [one for one in period_status.statuses(conn, POLICY) if one.period == period_of(text)]
    return one


def late(kgco2e: str, number: int = 500, **more: Any) -> EntryRow:
    return reading(number, quantity=Decimal(1), kgco2e=Decimal(kgco2e), **more)


def refused(call: Callable[[], object]) -> RejectedRecord:
    with pytest.raises(RejectedRecord) as caught:
        call()
    return caught.value
