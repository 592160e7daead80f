"""Factors for programs: a page of a release, every version of one.

Belongs here: which factors, in which order, as JSON text that PostgreSQL makes. Does not: factors
as Python objects, and whether they are intact (carbon_ledger.store.factors).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

from psycopg import sql

from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import Connection

# More than a factor ever has.
VERSIONS_MAX: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class FactorFilter:
    """Which factors; None narrows nothing."""

    release_id: str | None = None
    factor_id: str | None = None
    family: str | None = None
    publisher: str | None = None
    country: str | None = None
    energy_source: str | None = None
    year: int | None = None


def factor_page(
    conn: Connection, which: FactorFilter, *, limit: int, after: tuple[str, int] | None = None
) -> tuple[list[str], tuple[str, int] | None]:
    """At most `limit` factors after an id and version, as JSON; the last one's if there are more.

    Rows never change, and a release has the same for ever.
    """
    after_id, after_version = after or (None, None)
    statement = sql.SQL("select row_to_json(f)::text, f.factor_id, f.version from ({}) f").format(
        sql.SQL(query("told_factors").decode())
    )
    given = {"after_id": after_id, "after_version": after_version, "limit": limit + 1}
    rows = conn.execute(statement, {**asdict(which), **given}).fetchall()
    shown = rows[:limit]
    last = (shown[-1][1], shown[-1][2]) if len(rows) > limit else None
    return [text for text, _, _ in shown], last
