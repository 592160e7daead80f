"""What entries add to their five-minute windows.

Belongs here: the exact sums of a handful of entries per window, and appending them. Does not: the
column-wise sums of a whole batch (carbon_ledger.store.append), reading windows
(carbon_ledger.store.read).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from carbon_ledger.entries import EntryRow
from carbon_ledger.quantities import PRODUCT
from carbon_ledger.store.connect import query

if TYPE_CHECKING:
    from carbon_ledger.store.rows import Connection

WINDOW: Final = timedelta(minutes=5)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowDelta:
    """One row of windows.five_minute_delta; `quantity` in `unit`, `kgco2e` in kg.

    `entries` counts what stands (+1 for a line posted, -1 for one reversed), `lines` every line.
    """

    organization_id: str
    facility_id: str
    country_iso2: str
    window_start: datetime
    local_date: date
    scope: int
    category: int | None
    basis: str
    activity_type: str
    unit: str
    quantity: Decimal
    kgco2e: Decimal
    entries: int
    lines: int
    batch_id: int | None
    recorded_at: datetime


def window_start(moment: datetime) -> datetime:
    """Start of the five minutes [start, start + 5 min), counted from 1970, that hold `moment`."""
    return moment - (moment - _EPOCH) % WINDOW


def deltas_of(
    rows: Iterable[EntryRow], *, recorded_at: datetime, batch_id: int | None = None
) -> list[WindowDelta]:
    """What `rows` add to each window, exactly, one delta per window and series, in order.

    A reversal carries its negative figures already, so it is added like any other line.
    """
    keys = ("organization_id", "facility_id", "country_iso2", "local_date", "scope", "category")
    more = ("basis", "activity_type", "unit")
    grouped: dict[tuple[object, ...], list[EntryRow]] = {}
    for row in rows:
        series = tuple(getattr(row, name) for name in (*keys, *more))
        grouped.setdefault((window_start(row.occurred_from), *series), []).append(row)
    deltas = [
        WindowDelta(
            organization_id=members[0].organization_id,
            facility_id=members[0].facility_id,
            country_iso2=members[0].country_iso2,
            window_start=window_start(members[0].occurred_from),
            local_date=members[0].local_date,
            scope=members[0].scope,
            category=members[0].category,
            basis=members[0].basis,
            activity_type=members[0].activity_type,
            unit=members[0].unit,
            quantity=exact_sum(row.quantity for row in members),
            kgco2e=exact_sum(row.kgco2e for row in members),
            entries=sum(-1 if row.is_reversal else 1 for row in members),
            lines=len(members),
            batch_id=batch_id,
            recorded_at=recorded_at,
        )
        for members in grouped.values()
    ]
    return sorted(deltas, key=lambda one: (one.window_start, one.facility_id, one.activity_type))


def exact_sum(values: Iterable[Decimal]) -> Decimal:
    """Sum without any rounding, whatever the ambient decimal context says."""
    total = Decimal(0)
    for value in values:
        total = PRODUCT.add(total, value)
    return total


def insert_deltas(conn: Connection, deltas: Sequence[WindowDelta]) -> None:
    """Append `deltas` in the caller's transaction, which is the one of their entries."""
    with conn.cursor() as cursor:
        cursor.executemany(query("insert_window_delta"), [asdict(delta) for delta in deltas])
