"""What reports are made from, read from the ledger and the reference data as known at one moment.

Belongs here: sums of entries by year and organization, statements, revenue, sites; the entries
behind a cell. Does not: figures (carbon_ledger.reporting), keeping reports
(carbon_ledger.store.report_snapshots).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache, partial
from typing import Any, Final
from uuid import UUID

from psycopg.rows import class_row, dict_row

from carbon_ledger.energy.instruments import INSTRUMENT
from carbon_ledger.energy.vehicle_charging import kgco2e_per_kwh
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.book import FactorBook
from carbon_ledger.organisation.fiscal_year import fiscal_period
from carbon_ledger.policy import Policy
from carbon_ledger.reference.instruments import Instrument
from carbon_ledger.reference.records import Entity, Site
from carbon_ledger.reference.register import PARENT, Register
from carbon_ledger.reporting.cube import CubeRow, Selection
from carbon_ledger.reporting.energy_rows import ChargingRates, is_charging, rate_key
from carbon_ledger.reporting.fuel_energy import fuels_used
from carbon_ledger.reporting.inputs import ReportInputs, Revenue, SitePlace
from carbon_ledger.reporting.potentials import inventory_set
from carbon_ledger.reporting.stated import Stated, coordinates_of, stated_of
from carbon_ledger.store.connect import query
from carbon_ledger.store.entry_sums import TRIES, sums_until
from carbon_ledger.store.factors import list_releases, read_book
from carbon_ledger.store.read import final_moment
from carbon_ledger.store.reference import fiscal_years, read_register
from carbon_ledger.store.report_restated import reported_before
from carbon_ledger.store.report_statements import base_year_of, statements_of
from carbon_ledger.store.rows import Connection

# What rows of the cube are told apart by, in the order of the queries' columns.
KEYS: Final = (
    *("scope", "category", "basis", "stream", "facility_id", "country_iso2", "activity_type"),
    *("unit", "method", "gwp_set", "gas_split", "factor_id", "factor_version", "formula_id"),
)
ENTRIES_A_PAGE: Final = 1000

Cube = tuple[CubeRow, ...]
# A place among entries: month of activity, id.
Place = tuple[date, UUID]
FIRST_PLACE: Final[Place] = (date(1, 1, 1), UUID(int=0))


def read_cubes(
    conn: Connection, begin: date, end: date, as_of: datetime, organization: str | None = None
) -> dict[str, Cube]:
    """By organization the sums of its standing entries of `[begin, end)`, as known at `as_of`; a
    fiscal year begins and ends with a month.
    """
    asked = {"begin": begin, "end": end, "as_of": as_of, "organization": organization}
    gases: dict[tuple[Any, ...], list[tuple[str, Decimal]]] = defaultdict(list)
    with hashing(conn), conn.cursor(row_factory=dict_row) as cursor:
        for one in cursor.execute(query("report_gas_sums"), asked):
            place = (one["organization_id"], *(one[name] for name in KEYS))
            gases[place].append((one["gas"], one["kg"]))
        found: dict[str, list[CubeRow]] = defaultdict(list)
        for one in _sums(conn, asked):
            organization_id = one.pop("organization_id")
            place = (organization_id, *(one[name] for name in KEYS))
            one["factor_releases"] = tuple(sorted(one["factor_releases"]))
            found[organization_id].append(CubeRow(**one, other_gases=tuple(gases.get(place, ()))))
    return {name: tuple(rows) for name, rows in sorted(found.items())}


def _sums(conn: Connection, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the query `report_sums`: of whole months from their sums, else from lines."""
    with conn.cursor(row_factory=dict_row) as cursor:
        for _ in range(TRIES if asked["begin"].day == asked["end"].day == 1 else 0):
            until = sums_until(conn, asked["as_of"])
            if until is None:
                break
            known = {"until": until, "is_of_sums": True}
            rows = cursor.execute(query("report_sums"), asked | known).fetchall()
            # None: there are none, or segments were merged between the two statements.
            if rows:
                return rows
        lines = {"until": None, "is_of_sums": False}
        return cursor.execute(query("report_sums"), asked | lines).fetchall()


def read_years(
    conn: Connection,
    register: Register,
    fiscal_year: int,
    as_of: datetime,
    organization: str | None = None,
) -> dict[str, Cube]:
    """By organization the sums of its own fiscal year, where it has entries of it."""
    if organization is not None:
        period = register.fiscal_period(organization, fiscal_year)
        return read_cubes(conn, *period, as_of, organization)
    found: dict[str, Cube] = {}
    for month in register.first_months:
        cubes = read_cubes(conn, *fiscal_period(fiscal_year, month), as_of)
        found |= {name: rows for name, rows in cubes.items() if register.first_month(name) == month}
    return dict(sorted(found.items()))


@contextmanager
def hashing(conn: Connection) -> Iterator[None]:
    """Until the end of the block, groups are made by hashing wherever they can be.

    By its statistics PostgreSQL expects nearly as many groups as lines and sorts every line, which
    takes several times as long as reading them; they are few, and more than memory holds would go
    to disk.
    """
    with conn.transaction():
        conn.execute("select set_config('enable_sort', 'off', true)")
        yield
        conn.execute("select set_config('enable_sort', 'on', true)")


def read_report_inputs(
    conn: Connection,
    fiscal_year: int,
    *,
    as_of: datetime | None = None,
    code_version: str,
    policy: Policy | None = None,
    organization: str | None = None,
) -> list[ReportInputs]:
    """The inputs of every organization that has entries of the year, or of one.

    All years and the reference data as known at one moment, which is final. The inputs of one are
    the same whether it is asked for alone or with all. The set of potentials
    is the one that the year's entries were made with (`inventory_set`), whatever `policy` says of
    new ones. Raises ConfigurationError `as_of_not_final`.
    """
    policy = policy or Policy()
    with conn.transaction():
        moment = final_moment(conn, as_of)
        register = read_register(conn, moment)
        years = {fiscal_year: read_years(conn, register, fiscal_year, moment, organization)}
        organizations = list(years[fiscal_year])
        bases = {one: base_year_of(register, one, fiscal_year) for one in organizations}
        for year in {fiscal_year - 1, *(year for year in bases.values() if year)} - {fiscal_year}:
            years[year] = read_years(conn, register, year, moment, organization)
        book = _book(conn, moment)
        # An organization's own years alone: what the others' base years are is nothing to it.
        own = {
            one: sorted({fiscal_year, fiscal_year - 1, base or fiscal_year})
            for one, base in bases.items()
        }
        periods = {
            one: {year: register.fiscal_period(one, year) for year in own[one]}
            for one in organizations
        }
        before = {one: reported_before(conn, one, periods[one], moment) for one in organizations}
        sets = {one: inventory_set(years[fiscal_year].get(one, ())) for one in organizations}
        older = cache(partial(read_book, conn))

        def book_of(release: str) -> FactorBook:
            return book if book is not None and book.release_id == release else older(release)

        rows = {
            one: [row for year in own[one] for row in years[year].get(one, ())]
            for one in organizations
        }
        fuels = {
            one: {} if book is None else fuels_used(rows[one], book, sets[one], book_of)
            for one in organizations
        }
        charging = {one: _charging_rates(rows[one], book_of) for one in organizations}
    # Beyond the year of every organization: what is not used in it is named by no entry.
    instruments = register.instruments_before(date(fiscal_year + 1, 1, 1))
    stated = {one: statements_of(register, one, set(own[one])) for one in organizations}
    return [
        ReportInputs(
            organization_id=one,
            fiscal_year=fiscal_year,
            period_begin=periods[one][fiscal_year][0],
            period_end=periods[one][fiscal_year][1],
            as_of=moment,
            code_version=code_version,
            cubes={year: years[year].get(one, ()) for year in own[one]},
            policy=replace(policy, gwp_set=sets[one]),
            gwp=None if book is None else book.gwp,
            base_year=bases[one],
            statements=stated[one],
            revenues=_revenues(register, one, set(own[one])),
            sites=_sites(register, *periods[one][fiscal_year], stated[one]),
            instrument_sources=_instrument_sources(instruments, book),
            instrument_kinds=_instrument_kinds(instruments),
            fuels=fuels[one],
            charging=charging[one],
            previously_reported=before[one].figures,
            restatement_causes=before[one].causes,
        )
        for one in organizations
    ]


def _charging_rates(rows: Iterable[CubeRow], book_of: Callable[[str], FactorBook]) -> ChargingRates:
    """What the kWh of vehicles' electricity follow from, by the books of the entries' own releases,
    as period postings have it (carbon_ledger.energy.vehicle_charging.charged_kwh).
    """
    found: dict[tuple[str, int, str, str], Decimal | None] = {}
    for row in rows:
        if not is_charging(row):
            continue
        factor = rate_key(row)
        for release in row.factor_releases:
            try:
                rate = kgco2e_per_kwh(*factor, book_of(release))
            except RejectedRecord:
                # Its potentials cannot be had: then it is not posted either.
                rate = None
            found[factor] = None if rate is None or found.get(factor, rate) is None else rate
    return found


def _book(conn: Connection, moment: datetime) -> FactorBook | None:
    """The newest factor release that was stored at the moment, None if there was none."""
    known = [one for one in list_releases(conn) if one.recorded_at <= moment]
    newest = max(known, key=lambda one: (one.recorded_at, one.release_id), default=None)
    return None if newest is None else read_book(conn, newest.release_id)


def _revenues(register: Register, organization_id: str, years: set[int]) -> dict[int, Revenue]:
    """Net revenue of the organization's parent entity for exactly the fiscal year.

    A group's net revenue is that of its consolidated statements, which are the parent's: revenues
    of subsidiaries are not added up, since what they sell each other is in them.
    """
    found = {}
    for year in sorted(years):
        begin, end = register.fiscal_period(organization_id, year)
        parents = [
            one
            for one in register.entities(begin)
            if one.organization_id == organization_id and one.kind == PARENT
        ]
        for parent in parents:
            amounts = {
                measure: [
                    one
                    for one in register.revenues(parent.entity_id, begin, end, measure)
                    if (one.valid_from, one.valid_to) == (begin, end)
                ]
                for measure in ("net_revenue", "net_revenue_high_climate_impact")
            }
            if not amounts["net_revenue"]:
                continue
            revenue, high = amounts["net_revenue"][0], amounts["net_revenue_high_climate_impact"]
            found[year] = Revenue(
                fiscal_year=year,
                amount=revenue.amount,
                currency=revenue.currency,
                source=f"revenue of {parent.entity_id}",
                high_climate_impact=high[0].amount
                if high and high[0].currency == revenue.currency
                else None,
            )
    return found


def _sites(
    register: Register, begin: date, end: date, statements: Sequence[Stated]
) -> dict[str, SitePlace]:
    """Each site as it was on the last day of the year on which it was one: what was opened or
    bought meanwhile is registered, and what changed hands is its last owner's. Its division and
    coordinates are what the company states of the year.
    """
    fiscal_year = (end - timedelta(days=1)).year
    divisions, coordinates = (
        {one.key: one.text for one in stated_of(statements, subject, fiscal_year)}
        for subject in ("site_division", "site_coordinates")
    )
    found = {}
    for site in register.sites_within(begin, end):
        last = end if site.valid_to is None or site.valid_to > end else site.valid_to
        owner = register.entity(site.entity_id or "", last - timedelta(days=1))
        latitude, longitude = coordinates_of(coordinates.get(site.facility_id, "")) or (None, None)
        found[site.facility_id] = replace(
            _place(site, owner),
            division=divisions.get(site.facility_id, ""),
            latitude=latitude,
            longitude=longitude,
        )
    return found


def _place(site: Site, owner: Entity | None) -> SitePlace:
    return SitePlace(
        facility_id=site.facility_id,
        entity_id=site.entity_id or "",
        entity_name="" if owner is None else owner.name,
        entity_kind="" if owner is None else owner.kind,
        name=site.name,
        country_iso2=site.country_iso2,
    )


def _instrument_sources(
    instruments: Sequence[Instrument], book: FactorBook | None
) -> dict[str, str]:
    """By factor id of an instrument, as entries have it, the source it attests, and by that of a
    direct supply the source it comes from.
    """
    supplies = () if book is None else book.rows_of("energy_source")
    return {
        **{one.factor_id: one.energy_source for one in supplies},
        **{f"{INSTRUMENT}{one.instrument_id}": one.generation_source for one in instruments},
    }


def _instrument_kinds(instruments: Sequence[Instrument]) -> dict[str, str]:
    """By factor id of an instrument, as entries have it, what kind of instrument it is."""
    return {f"{INSTRUMENT}{one.instrument_id}": one.kind for one in instruments}


@dataclass(frozen=True, kw_only=True)
class CellEntry:
    """An entry behind a cell, and where its record is."""

    entry_id: UUID
    activity_month: date
    event_id: str
    line_no: int
    stream: str
    facility_id: str
    local_date: date
    activity_type: str
    quantity: Decimal
    unit: str
    kgco2e: Decimal
    factor_id: str
    factor_version: int
    formula_id: str
    method: str
    topic: str | None
    kafka_partition: int | None
    kafka_offset: int | None


def selection_parameters(
    years: Register, organization_id: str, year: int, selection: Selection, as_of: datetime
) -> dict[str, Any]:
    """The parameters of report_entries.sql for all of a cell's entries of a fiscal year, which has
    the days that `years`, the register as known at `as_of`, gives it.
    """
    begin, end = years.fiscal_period(organization_id, year)
    return {
        **{name: [*values] for name, values in asdict(selection).items()},
        "organization": organization_id,
        "begin": begin,
        "end": end,
        "as_of": as_of,
        "after_month": FIRST_PLACE[0],
        "after_id": FIRST_PLACE[1],
        "limit": None,
    }


def entries_behind(
    conn: Connection,
    organization_id: str,
    year: int,
    selection: Selection,
    as_of: datetime,
    *,
    limit: int | None = None,
    after: Place = FIRST_PLACE,
) -> Iterator[CellEntry]:
    """The standing entries that a cell takes, as known at `as_of`, by month and id, in pages: those
    after a place.
    """
    years = fiscal_years(conn, as_of)
    asked = selection_parameters(years, organization_id, year, selection, as_of)
    place, given = after, 0
    while limit is None or given < limit:
        size = ENTRIES_A_PAGE if limit is None else min(ENTRIES_A_PAGE, limit - given)
        with conn.cursor(row_factory=class_row(CellEntry)) as cursor:
            page = cursor.execute(
                query("report_entries"),
                {**asked, "after_month": place[0], "after_id": place[1], "limit": size},
            ).fetchall()
        yield from page
        given += len(page)
        if len(page) < size:
            return
        place = (page[-1].activity_month, page[-1].entry_id)
