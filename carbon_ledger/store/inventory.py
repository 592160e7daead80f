"""Inventories: what an organization, a facility, a category or a supplier emitted, by time.

Belongs here: the question and its answer, exact. Does not: who may ask it (api), report tables
(carbon_ledger.store.reports), totals by other keys (carbon_ledger.store.read).

The sums are over the entries that stood at a moment: what is summed already (entry_sums) and the
lines recorded since, or lines alone where sums are not kept as finely as is asked. Windows do not
know suppliers, releases and shares, and are as of now alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal, get_args

from psycopg.rows import dict_row

from carbon_ledger.errors import BrokenInvariant, ConfigurationError, RejectedRecord
from carbon_ledger.store.connect import query
from carbon_ledger.store.entry_sums import TRIES, sums_until
from carbon_ledger.store.rows import Connection

Granularity = Literal["total", "monthly", "daily", "hourly", "five_minute"]
ScopeTwoBasis = Literal["location", "market"]
GRANULARITIES: Final[tuple[str, ...]] = get_args(Granularity)
BASES: Final[tuple[str, ...]] = get_args(ScopeTwoBasis)
# A year of one facility has 105,120 five-minute buckets.
SERIES_MAX: Final = 110_000
# Rows of the answer besides the series: the total, three scopes, their categories.
_OTHERS_MAX: Final = 1 + 3 + 17
_SPANS: Final = {
    "daily": timedelta(days=1),
    "hourly": timedelta(hours=1),
    "five_minute": timedelta(minutes=5),
}


@dataclass(frozen=True, kw_only=True)
class InventoryQuestion:
    """Which entries: local dates [start, end) of the sites' calendars, and what they are of.

    `basis` is which of scope 2 is read; the two are never added up. None narrows nothing.
    """

    start: date | None = None
    end: date | None = None
    scope: int | None = None
    category: int | None = None
    basis: ScopeTwoBasis = "location"
    granularity: Granularity = "total"
    facility: str | None = None
    supplier: str | None = None


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """Emissions of [start, end) in kgCO2e. Dates are local, hours and five minutes are UTC."""

    start: date | datetime
    end: date | datetime
    kgco2e: Decimal
    entries: int


@dataclass(frozen=True, kw_only=True)
class Part:
    """Emissions of one scope, or of one category of scope 3, in kgCO2e."""

    scope: int
    category: int | None
    kgco2e: Decimal
    entries: int


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What stood at `as_of`; kgCO2e, exact at 12 decimals. No entries: zero, and nothing else.

    `primary_data_share` is the share of the absolute kgCO2e that is primary data, of the entries
    that say so; `substituted_share` that of the total that rests on a factor of another boundary.
    Both 0 to 1 at 6 decimals, None where nothing can be said. `last_event_timestamp` is the
    timestamp of the latest event. Buckets without an entry are left out.
    """

    as_of: datetime
    total_kgco2e: Decimal
    entries: int
    primary_data_share: Decimal | None
    substituted_share: Decimal | None
    last_event_timestamp: datetime | None
    factor_releases: tuple[str, ...]
    by_scope: tuple[Part, ...]
    by_category: tuple[Part, ...]
    series: tuple[Bucket, ...]


def inventory(conn: Connection, question: InventoryQuestion, as_of: datetime) -> Inventory:
    """The inventory of what stood at `as_of`, which is final up to read.knowledge_horizon.

    Raises RejectedRecord `too_many_buckets` for a series of more than SERIES_MAX,
    ConfigurationError `unknown_granularity`, `unknown_basis`.
    """
    if question.granularity not in GRANULARITIES:
        raise ConfigurationError(
            "unknown_granularity",
            f"granularity {question.granularity!r} is none; valid are {', '.join(GRANULARITIES)}",
        )
    if question.basis not in BASES:
        raise ConfigurationError(
            "unknown_basis", f"basis {question.basis!r} is none; valid are {', '.join(BASES)}"
        )
    parameters = {**asdict(question), "as_of": as_of, "limit": SERIES_MAX + _OTHERS_MAX + 1}
    rows = _from_sums(conn, question, parameters)
    if rows is None:
        rows = _asked(conn, "inventory", parameters)
    told: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        told.setdefault(row["told"], []).append(row)
    if len(told.get("series", ())) > SERIES_MAX:
        raise RejectedRecord(
            "too_many_buckets",
            f"there are more than {SERIES_MAX} {question.granularity} buckets",
            field="granularity",
            value=question.granularity,
            valid="a coarser granularity, or less time",
        )
    if len(told.get("total", ())) != 1:
        raise BrokenInvariant("inventory_total", "the database gave no total")
    total = told["total"][0]
    return Inventory(
        as_of=as_of,
        total_kgco2e=total["kgco2e"],
        entries=total["entries"],
        primary_data_share=total["primary_share"],
        substituted_share=total["substituted_share"],
        last_event_timestamp=total["last_event"],
        factor_releases=tuple(total["factor_releases"]),
        by_scope=_parts(told.get("scope", ())),
        by_category=_parts(row for row in told.get("category", ()) if row["category"] is not None),
        series=tuple(_bucket(question, row) for row in told.get("series", ())),
    )


def _rollup(question: InventoryQuestion) -> tuple[str, str] | None:
    """Whose sums answer the question: which, and of what; None where only lines do."""
    if question.granularity == "five_minute" or (question.facility and question.supplier):
        return None
    if question.facility is None and question.supplier is None:
        is_hourly = question.granularity == "hourly"
        return "organization_hour" if is_hourly else "organization", ""
    if question.granularity == "hourly":
        return None
    if question.facility is not None:
        return "facility", question.facility
    return "supplier", question.supplier or ""


def _from_sums(
    conn: Connection, question: InventoryQuestion, parameters: dict[str, Any]
) -> list[dict[str, Any]] | None:
    """Rows as of the query `inventory`, made from sums; None where they cannot be."""
    rollup = _rollup(question)
    if rollup is None:
        return None
    asked = {**parameters, "rollup": rollup[0], "rollup_id": rollup[1]}
    for _ in range(TRIES):
        until = sums_until(conn, parameters["as_of"])
        if until is None:
            return None
        rows = _asked(conn, "inventory_sums", {**asked, "until": until})
        # No row: between the two statements segments became one.
        if rows:
            break
    else:
        return None
    total = _total(rows)
    latest: datetime | None = total["last_event"]
    for day, at_most in zip(
        total["doubtful_dates"] or (), total["doubtful_at_most"] or (), strict=True
    ):
        if latest is not None and at_most <= latest:
            break
        of_day = {"start": day, "end": day + timedelta(days=1), "granularity": "total"}
        found = _total(_asked(conn, "inventory", parameters | of_day))["last_event"]
        if found is not None and (latest is None or found > latest):
            latest = found
    total["last_event"] = latest
    return rows


def _asked(conn: Connection, name: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query(name), parameters).fetchall()


def _total(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return next(row for row in rows if row["told"] == "total")


def _parts(rows: Any) -> tuple[Part, ...]:
    names = ("scope", "category", "kgco2e", "entries")
    return tuple(Part(**{name: row[name] for name in names}) for row in rows)


def _bucket(question: InventoryQuestion, row: dict[str, Any]) -> Bucket:
    start, end = _span(question, row)
    return Bucket(start=start, end=end, kgco2e=row["kgco2e"], entries=row["entries"])


def _span(
    question: InventoryQuestion, row: dict[str, Any]
) -> tuple[date, date] | tuple[datetime, datetime]:
    if question.granularity == "total":
        # Where the question leaves an end open, the entries say it.
        first: date = question.start or row["first_date"]
        return first, question.end or row["last_date"] + timedelta(days=1)
    begin: datetime = row["bucket"]
    if question.granularity == "monthly":
        return begin.date(), (begin.replace(day=1) + timedelta(days=32)).replace(day=1).date()
    end = begin + _SPANS[question.granularity]
    if question.granularity == "daily":
        return begin.date(), end.date()
    return begin.replace(tzinfo=UTC), end.replace(tzinfo=UTC)
