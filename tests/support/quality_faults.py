"""A ledger with one part of it for each fault of its data, and the expectations that must see it.

Belongs here: the parts (an hour of entries, a day of windows, a release, a snapshot for each
fault), and the faults, planted by a superuser past every constraint. Does not: looking.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg

from carbon_ledger.entries import EntryRow, reversal_of, sealed
from carbon_ledger.factor_book.rows import release_sha256
from carbon_ledger.quantities import exact_product, quantize_posted
from carbon_ledger.store.reports import build_esrs_e1
from carbon_ledger.store.rows import begin_writing, ensure_month, insert_entries
from carbon_ledger.store.windows import deltas_of, insert_deltas
from factor_seeds.load import release
from tests.support.postgres import LedgerDatabase, claim, reading
from tests.support.sealing_examples import list_part

FACTOR = "grid:DE:2024:lifecycle:ember_owid_2026"
FIRST_HOUR = datetime(2026, 1, 5, tzinfo=UTC)
FIRST_DAY = date(2023, 6, 1)
OLD = datetime(2020, 1, 1, tzinfo=UTC)
REPORTED = 2022
CLEAN = "nothing at all"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is planted, in words and as statements, and every expectation that then fails.

    The statements are given what their part is called by: an hour has batch and first (offset), a
    day has day, a release has release, a snapshot has snapshot.
    """

    suite: str
    fails: tuple[str, ...]
    what: str
    statements: tuple[str, ...] = ()
    factors: tuple[tuple[str, int, str, str], ...] = ()
    before: tuple[tuple[str, int, str, str], ...] = ()
    values: tuple[str, ...] = ()
    usual: tuple[int, str] | None = None
    unit: str = field(default="")


def _entry(offset: int, change: str) -> str:
    return (
        f"update ledger.entry set {change} where batch_id = %(batch)s and kafka_offset = "
        f"%(first)s + {offset}"
    )


def _delta(activity_type: str, change: str) -> str:
    return (
        f"update windows.five_minute_delta set {change} where batch_id = %(batch)s and "
        f"activity_type = '{activity_type}'"
    )


def _hour(name: str, what: str, *statements: str) -> Fault:
    return Fault(suite="entries", fails=(name,), what=what, statements=statements)


def _day(name: str, what: str, *statements: str, also: tuple[str, ...] = (), **more: Any) -> Fault:
    return Fault(suite="windows", fails=(name, *also), what=what, statements=statements, **more)


def _both(change: str, where: str = "electricity:grid") -> tuple[str, str]:
    """The same change of a day's entries and of its windows."""
    condition = f"where local_date = %(day)s and activity_type = '{where}'"
    return (
        f"update ledger.entry set {change} {condition}",
        f"update windows.five_minute_delta set {change} {condition}",
    )


def _snapshot(
    name: str, what: str, change: str, countries: str, also: tuple[str, ...] = ()
) -> Fault:
    statement = (
        f"update reports.esrs_e1 set {change} where snapshot_id = %(snapshot)s and country_iso2 "
        f"in ({countries})"
    )
    return Fault(suite="esrs_e1", fails=(name, *also), what=what, statements=(statement,))


def _release(name: str, what: str, change: str) -> Fault:
    statement = (
        f"update factors.factor set {change} where factor_id in (select factor_id from "
        "factors.release_factor where release_id = %(release)s order by 1 limit 1)"
    )
    return Fault(suite="factors", fails=(name,), what=what, statements=(statement,))


HOURS = (
    _hour("event_id_is_there", "no event id", _entry(0, "event_id = null")),
    _hour("facility_id_is_there", "no facility", _entry(0, "facility_id = null")),
    _hour("activity_type_is_there", "no activity", _entry(0, "activity_type = null")),
    _hour("quantity_is_there", "no quantity", _entry(1, "quantity = null")),
    _hour("unit_is_there", "no unit", _entry(0, "unit = null")),
    _hour("kgco2e_is_there", "no figure", _entry(1, "kgco2e = null")),
    _hour("factor_id_is_there", "no factor", _entry(2, "factor_id = null")),
    _hour("factor_release_is_there", "no release", _entry(2, "factor_release = null")),
    _hour("scope_is_known", "a fourth scope", _entry(0, "scope = 4")),
    _hour("category_fits_scope", "a missing category", _entry(4, "category = null")),
    _hour("gas_split_is_known", "another split", _entry(4, "gas_split = 'perhaps'")),
    _hour("gwp_set_is_known", "potentials of no report", _entry(0, "gwp_set = 'AR9'")),
    _hour("country_is_a_code", "a country in small letters", _entry(0, "country_iso2 = 'de'")),
    _hour(
        "quantity_is_finite",
        "a quantity that is no number",
        _entry(4, "quantity = 'NaN'"),
        _delta("other:four", "quantity = 'NaN'"),
    ),
    _hour(
        "kgco2e_is_bounded",
        "more than the world emits",
        _entry(4, "kgco2e = 2000000000000"),
        _delta("other:four", "kgco2e = 2000000000000"),
    ),
    _hour("vintage_gap_is_bounded", "a factor of 1925", _entry(0, "vintage_gap_years = -99")),
    _hour("primary_share_is_a_share", "a share of two", _entry(0, "primary_share = 2")),
    _hour(
        "interval_is_forward",
        "ended before it began",
        _entry(0, "occurred_to = occurred_from - interval '1 hour'"),
    ),
    _hour(
        "activity_has_begun",
        "of the day after tomorrow",
        _entry(
            0,
            "occurred_from = recorded_at + interval '2 days', occurred_to = recorded_at + interval "
            "'3 days'",
        ),
    ),
    _hour(
        "entry_id_is_unique",
        "two entries of one id",
        _entry(
            4,
            "entry_id = (select e.entry_id from ledger.entry e where e.batch_id = %(batch)s and "
            "e.kafka_offset = %(first)s)",
        ),
    ),
    _hour("record_line_is_posted_once", "a line twice", _entry(4, "kafka_offset = %(first)s")),
    _hour(
        "entries_equal_commits",
        "a commit that lists one more",
        "update audit.commit set entries = entries + 1 where batch_id = %(batch)s",
    ),
    _hour(
        "lines_equal_accounts",
        "an account with one line more",
        "update ledger.batch_part set lines = lines + 1 where batch_id = %(batch)s",
    ),
    _hour(
        "kgco2e_equals_windows", "a changed entry", _entry(4, "kgco2e = kgco2e + 0.000000000001")
    ),
    _hour(
        "reversal_is_the_negative",
        "a reversal of something else",
        _entry(3, "kgco2e = kgco2e + 1"),
        _delta("other:two", "kgco2e = kgco2e + 1"),
    ),
    _hour("factor_is_in_its_release", "a factor of nowhere", _entry(0, "factor_id = 'grid:XX'")),
    _hour(
        "release_is_the_accounts",
        "a stale release",
        "insert into factors.release (release_id, sha256, factor_count, recorded_at) values "
        "('stale-000000000000', sha256(''::bytea), 1, '2019-01-01')",
        "insert into factors.release_factor select 'stale-000000000000', factor_id, factor_version "
        "from ledger.entry where batch_id = %(batch)s and kafka_offset = %(first)s",
        _entry(0, "factor_release = 'stale-000000000000'"),
    ),
    _hour(
        "location_based_recomputes",
        "another figure in entry and window",
        _entry(0, "kgco2e = kgco2e + 0.000000000001"),
        _delta("electricity:grid", "kgco2e = kgco2e + 0.000000000001"),
    ),
    _hour("unit_is_the_factors", "a wrong unit", _entry(0, "unit = 'MWh'")),
)
DAYS = (
    _day("facility_id_is_there", "no facility", *_both("facility_id = null")),
    _day("activity_type_is_there", "no activity", *_both("activity_type = null")),
    _day("kgco2e_is_there", "no figure", *_both("kgco2e = null")),
    _day("scope_is_known", "a seventh scope", *_both("scope = 7")),
    _day(
        "window_is_aligned",
        "a window that begins one second late",
        _both("window_start = window_start + interval '1 second'")[1],
        also=("windows_equal_entries",),
    ),
    _day(
        "window_is_near_its_day",
        "a window three days later",
        _both("occurred_from = occurred_from + interval '3 days'")[0],
        _both("window_start = window_start + interval '3 days'")[1],
    ),
    _day(
        "entries_are_not_negative",
        "taken back, and never posted",
        _both("reverses_id = gen_random_uuid()")[0],
        _both("entries = -1")[1],
    ),
    _day(
        "nothing_stands_nothing_counts",
        "taken back, and not all of it",
        _both("kgco2e = kgco2e + 1", "other:two")[0] + " and reverses_id is not null",
        _both("kgco2e = kgco2e + 1", "other:two")[1],
    ),
    _day(
        "windows_equal_entries",
        "a wrong total in the last place",
        _both("kgco2e = kgco2e + 0.000000000001")[1],
    ),
    _day(
        "row_count_is_usual",
        "one line where a hundred are usual",
        values=("1",),
        usual=(100, "1"),
    ),
    _day(
        "mean_is_usual",
        "one line of thirty times the usual",
        values=("1", "1", "28"),
        usual=(1, "1"),
    ),
    _day(
        "median_is_usual",
        "most lines of four times the usual",
        values=("4", "4", "0.1"),
        usual=(1, "1"),
    ),
)
KEPT = (("t-kept", 1, "kWh", "0.3"), ("t-other", 1, "kWh", "0.4"))
RELEASES = (
    _release("publisher_is_there", "no publisher", "publisher = null"),
    _release("unit_is_there", "no unit", "unit = null"),
    _release("figure_is_there", "no figure", "kgco2e_per_unit = null"),
    _release("licence_is_there", "no licence", "licence = null"),
    _release("gas_split_is_known", "another split", "gas_split = 'perhaps'"),
    _release("gwp_set_is_known", "potentials of no report", "gwp_set = 'AR9'"),
    _release("country_is_a_code", "a country of three letters", "country_iso2 = 'DEU'"),
    _release("figure_is_bounded", "a figure below zero", "kgco2e_per_unit = -1"),
    _release("year_is_bounded", "a figure of 1950", "year = 1950"),
    _release("grid_figure_is_plausible", "grams for kilograms", "kgco2e_per_unit = 380"),
    _release(
        "validity_is_forward",
        "valid until before it begins",
        "valid_from = '2024-02-01', valid_to = '2024-01-01'",
    ),
    Fault(
        suite="factors",
        fails=("factor_is_unique",),
        what="a factor in two versions",
        factors=(("t-twice", 1, "kWh", "0.3"), ("t-twice", 2, "kWh", "0.3")),
    ),
    Fault(
        suite="factors",
        fails=("count_is_the_releases",),
        what="a release that says it has more",
        statements=("update factors.release set factor_count = 3 where release_id = %(release)s",),
    ),
    _release("hash_recomputes", "a row of another hash", "sha256 = sha256('other'::bytea)"),
    Fault(
        suite="factors",
        fails=("unit_is_kept",),
        what="per MWh what was per kWh",
        before=KEPT,
        factors=(("t-kept", 2, "MWh", "0.3"), KEPT[1]),
    ),
    Fault(
        suite="factors",
        fails=("figure_is_near_the_last",),
        what="four times the figure of the release before",
        before=(("t-near", 1, "kWh", "0.3"), ("t-same", 1, "kWh", "0.4")),
        factors=(("t-near", 2, "kWh", "1.2"), ("t-same", 1, "kWh", "0.4")),
    ),
    # The last: what comes after a large release would be small, too.
    Fault(
        suite="factors",
        fails=("row_count_is_near_the_last",),
        what="one factor where forty were",
        before=tuple((f"t-forty-{number}", 1, "kWh", "0.3") for number in range(40)),
        factors=(("t-forty-0", 1, "kWh", "0.3"),),
    ),
)
SNAPSHOTS = (
    _snapshot("concept_is_there", "no concept", "concept = null", "'DE'"),
    _snapshot("value_is_there", "no value", "value = null", "'FR'"),
    _snapshot("unit_is_tonnes", "in kilograms", "unit = 'kg'", "'DE'"),
    _snapshot("datapoint_is_known", "another datapoint", "datapoint = 'E1-6_99'", "'DE'"),
    _snapshot("country_is_a_code", "a country in small letters", "country_iso2 = 'de'", "'DE'"),
    _snapshot(
        "value_is_finite",
        "a value that is no number",
        "value = 'NaN'",
        "'FR'",
        also=("countries_equal_total",),
    ),
    _snapshot("substituted_share_is_a_share", "a share of two", "substituted_share = 2", "'DE'"),
    _snapshot(
        "as_of_is_past", "of tomorrow", "as_of = recorded_at + interval '1 day'", "'','DE','FR'"
    ),
    Fault(
        suite="esrs_e1",
        fails=("row_is_unique",),
        what="a country twice",
        statements=(
            "insert into reports.esrs_e1 select * from reports.esrs_e1 where snapshot_id = "
            "%(snapshot)s and country_iso2 = 'FR'",
        ),
    ),
    _snapshot("total_equals_entries", "a wrong total", "value = value + 0.000001", "'','DE'"),
    _snapshot("countries_equal_total", "a wrong country", "value = value + 0.000001", "'DE'"),
    _snapshot("entries_are_counted", "one entry more", "entries = entries + 1", "''"),
    _snapshot("releases_are_known", "a release of nowhere", "factor_releases = 'gone'", "''"),
    # The last: each snapshot after it would be unlike last week's, too.
    Fault(
        suite="esrs_e1",
        fails=("value_is_near_the_last",),
        what="ten times the snapshot of last week",
        statements=(
            "insert into reports.esrs_e1 select gen_random_uuid(), organization_id, fiscal_year, "
            "framework_profile, datapoint, concept, country_iso2, value / 10, unit, entries, "
            "substituted_share, as_of, factor_releases, code_version, run_id, recorded_at - "
            "interval '8 days' from reports.esrs_e1 where snapshot_id = %(snapshot)s",
        ),
    ),
)


DROP_LEDGER_VIEWS = """
do $$
declare
    place text;
begin
    for place in
        select relname from pg_class where relkind = 'v' and relnamespace = 'ledger'::regnamespace
    loop
        execute format('drop view if exists ledger.%I cascade', place);
    end loop;
end
$$
"""
DROP_VIEW = "drop view windows.five_minute cascade"
GRANT_VIEW = "grant select on windows.five_minute to carbon_verifier"
SERIES = (
    "organization_id, facility_id, country_iso2, window_start, local_date, scope, category, basis, "
    "activity_type, unit"
)


def _view(kgco2e: str, more: str = "") -> tuple[str, ...]:
    text = (
        f"select {SERIES}, sum(quantity) as quantity, {kgco2e} as kgco2e, sum(entries) as entries, "
        f"sum(lines) as lines{more} from windows.five_minute_delta group by {SERIES}"
    )
    return (DROP_VIEW, f"create view windows.five_minute as {text}", GRANT_VIEW)


def _twice() -> tuple[str, ...]:
    _, view, _ = _view("sum(kgco2e)")
    text = view.removeprefix("create view windows.five_minute as ")
    return (DROP_VIEW, f"create view windows.five_minute as {text} union all {text}", GRANT_VIEW)


def _table(suite: str, table: str, column: str, other: str, *first: str) -> tuple[Fault, Fault]:
    """A column more, and a column of another type, after the statements of `first`."""
    return (
        Fault(
            suite=suite,
            fails=("columns_are_declared",),
            what="a column that nobody declared",
            statements=(f"alter table {table} add column surplus text",),
        ),
        Fault(
            suite=suite,
            fails=("types_are_declared",),
            what="a column of another type",
            statements=(
                *first,
                f"alter table {table} drop column surplus cascade",
                f"alter table {table} alter column {column} type {other}",
            ),
        ),
    )


# Of the whole table, so after all others.
TABLES = (
    Fault(
        suite="windows",
        fails=("columns_are_declared",),
        what="a column that nobody declared",
        statements=_view("sum(kgco2e)", ", 1 as surplus"),
    ),
    Fault(
        suite="windows",
        fails=("types_are_declared",),
        what="a figure that is a float",
        statements=_view("sum(kgco2e)::double precision"),
    ),
    Fault(
        suite="windows",
        fails=("series_is_unique",),
        what="every window twice",
        statements=_twice(),
    ),
    *_table("entries", "ledger.entry", "vintage_gap_years", "integer", DROP_LEDGER_VIEWS),
    *_table("factors", "factors.factor", "year", "bigint"),
    *_table("esrs_e1", "reports.esrs_e1", "entries", "integer"),
)


def clean(suite: str) -> Fault:
    """A part in which nothing is planted."""
    return Fault(suite=suite, fails=(), what=CLEAN)


@dataclass(kw_only=True)
class World:
    """A ledger that a superuser may spoil."""

    database: LedgerDatabase
    superuser: psycopg.Connection[tuple[Any, ...]]
    offset: int = 0
    has_reported_year: bool = False

    def plant(self, number: int, fault: Fault) -> Fault:
        """A part of its own with the fault in it; the fault with the name of that part."""
        make = {
            "entries": self._make_hour,
            "windows": self._make_day,
            "factors": self._make_release,
            "esrs_e1": self._make_snapshot,
        }[fault.suite]
        unit, names = make(number, fault)
        for statement in fault.statements:
            done = self.superuser.execute(statement.encode(), names)
            assert done.rowcount, (fault, statement)
        return replace(fault, unit=unit)

    def prepare(self) -> None:
        """Months, and no constraint and no trigger."""
        with closing(self.database.writer(autocommit=True)) as conn:
            days = [date(2024, 3, 1), date(REPORTED, 1, 1)]
            days += [FIRST_DAY + timedelta(days=30 * number) for number in range(20)]
            for month in sorted({day.replace(day=1) for day in days}):
                ensure_month(conn, month)
        self.superuser.execute("set session_replication_role = replica")
        self.superuser.execute(LOOSEN)

    def _make_hour(self, number: int, fault: Fault) -> tuple[str, dict[str, Any]]:
        with closing(self.database.writer(autocommit=True)) as conn:
            (part,) = claim(conn, {0: (self.offset, self.offset + 5)})
            self.offset += 5
            with conn.transaction():
                opened = part.open(conn)
                place = {
                    "recorded_at": opened["recorded_at"],
                    "batch_id": part.batch_id,
                    "topic": part.topic,
                    "topic_incarnation": opened["topic_incarnation"],
                    "kafka_partition": 0,
                }
                rows = [
                    sealed(replace(row, **place, kafka_offset=part.start_offset + at))
                    for at, row in enumerate(five_lines(number))
                ]
                insert_entries(conn, rows)
                deltas = deltas_of(rows, recorded_at=place["recorded_at"], batch_id=part.batch_id)
                insert_deltas(conn, deltas)
                list_part(conn, part, opened, rows)
                part.account(
                    conn,
                    recorded_at=opened["recorded_at"],
                    factor_release=release().release_id,  # type: ignore[arg-type]
                )
                part.close(conn)
        hour = FIRST_HOUR + timedelta(hours=number)
        names = {"batch": part.batch_id, "first": part.start_offset, "at": hour}
        for table in ("ledger.entry", "audit.commit"):
            statement = f"update {table} set recorded_at = %(at)s where batch_id = %(batch)s"
            self.superuser.execute(statement.encode(), names)
        return f"{hour:%Y-%m-%dT%H:%MZ}", names

    def _make_day(self, number: int, fault: Fault) -> tuple[str, dict[str, Any]]:
        day = FIRST_DAY + timedelta(days=3 * number)
        begin = datetime(day.year, day.month, day.day, 6, tzinfo=UTC)
        if fault.values:
            rows = [
                line(
                    begin + timedelta(minutes=5 * at),
                    f"{number}-{at}",
                    Decimal(value),
                    activity_type=f"usual:{number}",
                )
                for at, value in enumerate(fault.values)
            ]
        else:
            rows = list(five_lines(1000 + number, begin))
        with closing(self.database.writer(autocommit=True)) as conn, conn.transaction():
            moment = begin_writing(conn)
            insert_entries(conn, [sealed(replace(row, recorded_at=moment)) for row in rows])
            insert_deltas(conn, deltas_of(rows, recorded_at=moment))
        if fault.usual is not None:
            lines, value = fault.usual
            self.superuser.execute(
                USUAL, {"like": rows[0].activity_type, "day": day, "lines": lines, "kg": value}
            )
        return day.isoformat(), {"day": day}

    def _make_release(self, number: int, fault: Fault) -> tuple[str, dict[str, Any]]:
        moment = OLD + timedelta(hours=number)
        if fault.before:
            self._add_release(f"before{number}", fault.before, moment - timedelta(minutes=1))
        rows = fault.factors or (
            (f"t-{number}-a", 1, "kWh", "0.3"),
            (f"t-{number}-b", 1, "kWh", "0.4"),
        )
        name = self._add_release(f"made{number}", rows, moment)
        return name, {"release": name}

    def _add_release(
        self, name: str, rows: Iterable[tuple[str, int, str, str]], moment: datetime
    ) -> str:
        listed = [(id_, version, hash_of(id_, version).hex()) for id_, version, _, _ in rows]
        digest = release_sha256(name, listed)
        release_id = f"{name}-{digest[:12]}"
        self.superuser.execute(
            "insert into factors.release (release_id, sha256, factor_count, recorded_at) "
            "values (%s, %s, %s, %s)",
            (release_id, bytes.fromhex(digest), len(listed), moment),
        )
        for id_, version, unit, figure in rows:
            self.superuser.execute(
                MADE_FACTOR,
                {
                    "id": id_,
                    "version": version,
                    "unit": unit,
                    "figure": figure,
                    "sha256": hash_of(id_, version),
                    "like": FACTOR,
                },
            )
            self.superuser.execute(
                "insert into factors.release_factor values (%s, %s, %s)",
                (release_id, id_, version),
            )
        return release_id

    def _make_snapshot(self, number: int, fault: Fault) -> tuple[str, dict[str, Any]]:
        with closing(self.database.writer(autocommit=True)) as conn:
            if not self.has_reported_year:
                self.has_reported_year = True
                moment = datetime(REPORTED, 1, 5, tzinfo=UTC)
                begin = begin_writing(conn)
                rows = [
                    line(moment, "reported-1", Decimal("1234.5")),
                    line(moment, "reported-2", Decimal(0), country_iso2="FR"),
                ]
                insert_entries(conn, [sealed(replace(row, recorded_at=begin)) for row in rows])
            snapshot_id = uuid4()
            build_esrs_e1(
                conn, REPORTED, snapshot_id=snapshot_id, run_id="test", code_version="test"
            )
        return str(snapshot_id), {"snapshot": snapshot_id}


def line(moment: datetime, name: str, kgco2e: Decimal, **changes: Any) -> EntryRow:
    """An entry of `kgco2e`, in itself plausible; its factor is stated."""
    return reading(
        occurred_from=moment,
        occurred_to=moment + timedelta(minutes=1),
        source_ref=name,
        activity_ref=f"test:{name}",
        kgco2e=quantize_posted(kgco2e),
        quantity=kgco2e,
        factor_id=f"stated:{name}",
        factor_match="stated",
        factor_release=release().release_id,
        formula_id="TEST",
        **changes,
    )


def five_lines(number: int, begin: datetime | None = None) -> tuple[EntryRow, ...]:
    """Two readings, one of 0 kWh; a line of scope 3 and what takes it back; another such line."""
    at = begin or datetime(2024, 3, 1, tzinfo=UTC) + timedelta(minutes=10 * number)
    factor = next(one for one in release().rows if one.factor_id == FACTOR)
    electricity: dict[str, Any] = {
        "occurred_from": at,
        "factor_id": factor.factor_id,
        "factor_version": factor.version,
        "factor_release": release().release_id,
        "gwp_set": factor.gwp_set,
    }
    read, idle = (
        reading(
            **electricity,
            source_ref=f"meter-{number}-{at_line}",
            quantity=quantity,
            kgco2e=quantize_posted(exact_product(quantity, factor.kgco2e_per_unit)),
            **more,
        )
        for at_line, (quantity, more) in enumerate(
            (
                (Decimal("12.5"), {}),
                (Decimal(0), {"activity_type": "electricity:idle"}),
            )
        )
    )
    scope_3 = {"scope": 3, "category": 4, "basis": "wtw"}
    two = line(at, f"{number}-two", Decimal("7.25"), activity_type="other:two", **scope_3)
    four = line(at, f"{number}-four", Decimal("9.75"), activity_type="other:four", **scope_3)
    taken_back = reversal_of(two, recorded_at=two.recorded_at, cause="test")
    return read, idle, two, taken_back, four


def hash_of(factor_id: str, version: int) -> bytes:
    """What stands for the hash of a made-up factor."""
    return hashlib.sha256(f"{factor_id}/{version}".encode()).digest()


LOOSEN = """
do $$
declare
    found record;
begin
    for found in
        select c.conrelid::regclass as place, c.conname
        from pg_constraint c
        join pg_class t on t.oid = c.conrelid
        join pg_namespace n on n.oid = c.connamespace
        where n.nspname in ('ledger', 'audit', 'windows', 'factors', 'reports')
          and c.contype in ('c', 'f', 'p', 'u') and c.coninhcount = 0 and c.conparentid = 0
          and t.relname not in ('validation') and (t.relname <> 'release' or c.contype = 'c')
        order by c.contype = 'f' desc
    loop
        execute format(
            'alter table %s drop constraint if exists %I cascade', found.place, found.conname);
    end loop;
    for found in
        select a.attrelid::regclass as place, a.attname
        from pg_attribute a
        join pg_class t on t.oid = a.attrelid
        join pg_namespace n on n.oid = t.relnamespace
        where n.nspname in ('ledger', 'windows', 'factors', 'reports') and t.relkind in ('r', 'p')
          and not t.relispartition and a.attnotnull and a.attnum > 0 and a.attidentity = ''
          and t.relname <> 'release' and (t.relname, a.attname) <> ('entry', 'activity_month')
    loop
        execute format('alter table %s alter column %I drop not null', found.place, found.attname);
    end loop;
end
$$
"""
USUAL = """
insert into windows.five_minute_delta (
    organization_id, facility_id, country_iso2, window_start, local_date, scope, category, basis,
    activity_type, unit, quantity, kgco2e, entries, lines, recorded_at)
select 'default', 'plant-1', 'DE', d.day + n.number * interval '5 minutes', d.day, 2, null,
       'location', %(like)s, 'kWh', 1, %(kg)s, 1, 1, '2020-01-01'
from (select %(day)s::date - back as day from generate_series(1, 20) as back) as d
cross join generate_series(1, %(lines)s) as n (number)
"""
MADE_FACTOR = """
insert into factors.factor
select (jsonb_populate_record(f, jsonb_build_object(
    'factor_id', %(id)s::text, 'version', %(version)s::integer, 'unit', %(unit)s::text,
    'kgco2e_per_unit', %(figure)s::numeric, 'sha256', %(sha256)s::bytea))).*
from factors.factor f
where f.factor_id = %(like)s
  and not exists (
    select from factors.factor x where x.factor_id = %(id)s and x.version = %(version)s)
"""
