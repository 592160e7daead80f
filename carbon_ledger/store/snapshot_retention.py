"""Report snapshots that may go: retired by the database's own rule, counted.

Belongs here: asking for it. Does not: the rule, which is a function of the database
(reports.retire_snapshots) so that nobody's rights let another one be applied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from psycopg.rows import class_row

from carbon_ledger.errors import BrokenInvariant, ConfigurationError
from carbon_ledger.settings import Settings
from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import Connection

DAYS_MIN: Final = 7
DAYS_MAX: Final = 3650
# Of one call: each has some thousand cells.
AT_MOST: Final = 500


@dataclass(frozen=True, kw_only=True)
class Retired:
    """How many snapshots went: whole reports, and rows of reports.esrs_e1."""

    snapshots: int
    rows: int


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What is left: whole reports, snapshots of reports.esrs_e1, all that ever went, bytes."""

    snapshots: int
    row_snapshots: int
    retired: int
    size_bytes: int


def snapshot_days(settings: Settings) -> int:
    """After how many days snapshots are thinned; ConfigurationError `snapshot_days`."""
    text = settings["CARBON_SNAPSHOT_DAYS"]
    if text.isascii() and text.isdigit() and len(text) <= 4 and DAYS_MIN <= int(text) <= DAYS_MAX:
        return int(text)
    raise ConfigurationError(
        "snapshot_days",
        f"CARBON_SNAPSHOT_DAYS is {text!r}; valid are {DAYS_MIN} to {DAYS_MAX} days",
    )


def retire_snapshots(
    conn: Connection, *, run: str, after_days: int, at_most: int = AT_MOST
) -> Retired:
    """Retires what may go, `at_most` of each kind, the oldest first: what was kept because
    something was posted, more than `after_days` days ago (7 or more), is not the last of its UTC
    day (after a year: of its month), and is cited nowhere."""
    with conn.transaction():
        found = conn.execute(
            query("retire_snapshots"), {"run": run, "after_days": after_days, "at_most": at_most}
        ).fetchall()
    counts = {str(kind): int(number) for kind, number in found}
    return Retired(snapshots=counts["snapshot"], rows=counts["rows"])


def kept_snapshots(conn: Connection) -> Kept:
    """What is kept of reports now."""
    with conn.cursor(row_factory=class_row(Kept)) as cursor:
        found = cursor.execute(query("snapshot_counts")).fetchone()
    if found is None:
        raise BrokenInvariant("snapshot_counts", "a count gave no row")
    return found
