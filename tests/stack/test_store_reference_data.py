"""Reference data in PostgreSQL: two clocks, all or nothing, nothing twice, nothing lost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from click.testing import CliRunner, Result

from carbon_assets.reference import reference_register
from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.reference.fields import Record, checks_of
from carbon_ledger.reference.files import KINDS, Stated, parse
from carbon_ledger.settings import PROJECT_ROOT
from carbon_ledger.store.read import knowledge_horizon
from carbon_ledger.store.reference import (
    Applied,
    FaultyFile,
    apply_statements,
    read_register,
    read_sites,
    read_statements,
    register_sites,
)
from carbon_ledger.store.reference import _insert as insert_unchecked
from carbon_ledger.store.rows import begin_writing
from cli.reference_commands import reference
from resources.database import LedgerDatabase as ReferenceDatabase
from tests.support import reference_examples
from tests.support.postgres import Connection, LedgerDatabase, scratch_database
from tests.support.reference_examples import entity, meter

pytestmark = pytest.mark.stack

site = partial(
    reference_examples.site,
    "steel-1",
    country_iso2="KR",
    time_zone="Asia/Seoul",
    name="steel",
)
mill = partial(reference_examples.site, "mill-2")


@pytest.fixture
def database(stack) -> Iterator[LedgerDatabase]:  # type: ignore[no-untyped-def]
    with scratch_database(stack.layout.database_url) as found:
        yield found


def store(conn: Connection, *records: Record) -> Applied:
    """Apply the records as one file."""
    stated = [Stated(record=one, file="t.yaml", row=row) for row, one in enumerate(records, 1)]
    return apply_statements(conn, stated, source="t.yaml", source_sha256=bytes(32))


def example() -> list[Stated]:
    text = (PROJECT_ROOT / "docs/examples/reference.yaml").read_text(encoding="utf-8")
    return list(parse({"example.yaml": text}).stated)


def test_a_site_that_has_ended_keeps_its_calendar_and_a_withdrawn_one_has_none(
    database: LedgerDatabase,
) -> None:
    closed, sold = site(valid_to=date(2020, 1, 1)), date(2025, 7, 1)
    mistaken = site(organization_id="other", valid_from=sold, valid_to=sold)
    with database.writer() as conn:
        store(conn, closed, mistaken)
        (found,) = read_sites(conn).values()
        assert (found.organization_id, found.time_zone) == ("acme", "Asia/Seoul")
        store(conn, site(valid_to=site().valid_from))
        assert read_sites(conn) == {}


def test_a_stream_s_calendar_leaves_alone_what_else_is_known_of_a_site(
    database: LedgerDatabase,
) -> None:
    known = site(lease_role="lessee", lease_type="finance", area_m2="12.50", market="KR")
    with database.writer() as conn:
        store(conn, known)
        assert register_sites(conn, [site()]) == 0
        assert register_sites(conn, [site(name="works")]) == 1
        found = read_register(conn).site("steel-1", date(2024, 1, 1))
    assert found == replace(known, name="works")


def test_every_kind_comes_back_as_it_went_in(database: LedgerDatabase) -> None:
    stated = example()
    with database.writer() as conn:
        applied = apply_statements(conn, stated, source="e", source_sha256=bytes(32))
        found = read_statements(conn)
    assert set(found) == {one.record for one in stated}
    assert {one.recorded_at for one in found} == {applied.recorded_at}
    assert {type(one) for one in found} == set(KINDS.values())


def test_the_second_time_nothing_changes(database: LedgerDatabase) -> None:
    with database.writer() as conn:
        first = apply_statements(conn, example(), source="e", source_sha256=bytes(32))
        second = apply_statements(conn, example(), source="e", source_sha256=bytes(32))
        kept = conn.execute("select added, superseded, ended from reference.application").fetchall()
    assert (first.comparison.count("added"), first.comparison.unchanged) == (36, 0)
    assert (second.comparison.changes, second.comparison.unchanged) == ((), 36)
    assert second.recorded_at is None
    assert kept == [(36, 0, 0)]


def test_what_was_known_then_is_what_a_register_of_then_says(database: LedgerDatabase) -> None:
    day = date(2024, 3, 1)
    with database.writer(autocommit=True) as conn:
        moments = []
        for records in (
            [entity(), site(entity_id="acme")],
            [site(entity_id="acme", name="renamed")],
            [site(entity_id="acme", name="renamed", valid_to=date(2024, 2, 1)), mill()],
        ):
            moments.append(store(conn, *records).recorded_at)
        registers = [
            read_register(conn, moment and moment + shift)
            for moment in moments
            for shift in (timedelta(microseconds=-1), timedelta(0))
        ]
        names = [found and found.name for found in (one.site("steel-1", day) for one in registers)]
        assert names == [None, "steel", "steel", "renamed", "renamed", None]
        assert [one.site("mill-2", day) is not None for one in registers] == [*[False] * 5, True]
        # The register of now answers for every one of those moments as well.
        now = read_register(conn)
        again = [now.site("steel-1", day, moment) for moment in moments]
        assert [one and one.name for one in again] == ["steel", "renamed", None]
        kept = conn.execute("select count(*) from reference.site").fetchone()
    assert kept == (4,)


def test_a_moment_that_is_not_over_has_no_register(database: LedgerDatabase) -> None:
    with database.writer() as conn, database.reader() as other:
        conn.execute("select 1")
        moment = store(conn, entity()).recorded_at
        assert moment is not None
        # Not committed: whoever asks for that moment now must not be told that nothing was known.
        with pytest.raises(RejectedRecord) as refused:
            read_register(other, moment)
        assert refused.value.code == "known_at_not_final"
        conn.commit()
        assert knowledge_horizon(other) > moment
        assert read_register(other, moment).entity("acme", date(2024, 1, 1)) == entity()
        with pytest.raises(RejectedRecord):
            read_register(other, moment + timedelta(days=1))


def test_a_file_with_a_fault_stores_nothing(database: LedgerDatabase) -> None:
    with database.writer() as conn:
        store(conn, entity(), site(entity_id="acme"))
        with pytest.raises(FaultyFile) as refused:
            store(conn, mill(), entity(valid_to=date(2024, 1, 1)), meter(facility_id="no"))
        found = read_statements(conn)
    assert [(one.file, one.row, one.code) for one in refused.value.faults] == [
        ("(stored)", None, "reference_not_in_force"),
        ("t.yaml", 3, "unknown_reference"),
    ]
    assert len(found) == 2


def test_a_failure_half_way_stores_nothing(database: LedgerDatabase) -> None:
    """The last kind of the file is refused by its table: the others go with it."""
    with database.admin() as conn:
        conn.execute(
            "alter table reference.spend_class add constraint planted check (code <> '6400')"
        )
    with database.writer(autocommit=True) as conn:
        with pytest.raises(psycopg.errors.CheckViolation):
            apply_statements(conn, example(), source="e", source_sha256=bytes(32))
        assert read_statements(conn) == ()


def test_two_writers_at_once_record_a_statement_once(database: LedgerDatabase) -> None:
    with database.writer() as first, ThreadPoolExecutor(1) as pool:
        first.execute("select 1")
        store(first, entity())

        def other() -> Applied:
            with database.writer() as second:
                return store(second, entity())

        waiting = pool.submit(other)
        with database.admin() as watcher:
            wait_for_lock(watcher)
        assert not waiting.done()
        first.commit()
        assert waiting.result(30).comparison.changes == ()
    with database.reader() as conn:
        assert len(read_statements(conn)) == 1


def wait_for_lock(conn: Connection) -> None:
    """Until somebody waits for an advisory lock of this database."""
    for _ in range(200):
        row = conn.execute(
            "select count(*) from pg_locks l join pg_database d on d.oid = l.database "
            "where d.datname = current_database() and l.locktype = 'advisory' and not l.granted"
        ).fetchone()
        if row and row[0]:
            return
        time.sleep(0.05)
    raise AssertionError("nobody waits")


BREACHES = [
    ("entity", "kind", "'daughter'", "entity_kind_is_known"),
    ("entity", "valid_to", "'1990-01-01'", "entity_does_not_end_before_it_begins"),
    ("ownership", "equity_share", "'0.5'", "ownership_share_is_a_fraction"),
    ("ownership", "equity_share", "'4/3'", "ownership_share_is_at_most_one"),
    ("ownership", "parent_id", "entity_id", "ownership_is_of_another"),
    ("site", "lease_type", "null", "site_lease_is_whole"),
    ("site", "area_m2", "'NaN'", "site_area_is_positive"),
    ("site", "area_m2", "99999", "site_area_is_within_the_building"),
    ("meter", "parent_id", "null", "meter_place_follows_its_kind"),
    ("meter", "register_size", "5", "meter_register_is_of_a_cumulative_one"),
    ("vehicle", "lease_type", "null", "vehicle_lease_is_whole"),
    ("vehicle", "l_per_100km_min", "99", "vehicle_band_is_in_order"),
    ("supplier_item", "units_per_product", "'infinity'", "supplier_item_amount_is_positive"),
    ("instrument", "serial_no", "null", "instrument_certificate_is_whole"),
    ("instrument", "retirement_evidence", "''", "instrument_retirement_is_evident"),
    ("instrument", "emission_rate_kgco2e_per_kwh", "-1", "instrument_rate_is_not_negative"),
    ("instrument", "market", "null", "instrument_has_a_place"),
    ("instrument", "vintage_to", "vintage_from", "instrument_vintage_is_in_order"),
    ("revenue", "currency", "'euro'", "revenue_currency_is_three_letters"),
    ("revenue", "amount", "'NaN'", "revenue_is_finite"),
    ("budget", "measure", "'scope_3_category_16'", "budget_measure_is_known"),
    ("budget", "budget_kgco2e", "-1", "budget_is_not_negative"),
    ("report_schedule", "schedule", "'weekly'", "report_schedule_is_known"),
    ("report_schedule", "due_time", "'24:00'", "report_schedule_has_a_time"),
    ("report_schedule", "working_day", "null", "report_schedule_has_its_day"),
    ("report_schedule", "working_day", "21", "report_schedule_working_day_is_near"),
    ("report_schedule", "due_day", "'13-01'", "report_schedule_day_is_of_a_year"),
    ("report_schedule", "weekend", "'mon'", "report_schedule_weekend_is_known"),
    ("holiday", "name", "' '", "holiday_has_a_name"),
    ("holiday", "valid_to", "valid_from - 1", "holiday_does_not_end_before_it_begins"),
    ("spend_class", "naics_code", "'x'", "spend_class_naics_is_digits"),
    ("spend_class", "naics_code", "null", "spend_class_has_a_sector"),
]
# Where the breach needs a row of a certain sort.
CHOSEN = {
    ("site", "lease_type"): "lease_type is not null",
    ("site", "area_m2"): "area_m2 is not null",
    ("meter", "parent_id"): "kind = 'sub'",
    ("meter", "register_size"): "reading = 'interval'",
    ("report_schedule", "working_day"): "working_day is not null",
    ("report_schedule", "due_day"): "due_day is not null",
    ("spend_class", "naics_code"): "route = 'spend'",
}


def test_the_tables_refuse_what_the_records_refuse(database: LedgerDatabase) -> None:
    with database.writer(autocommit=True) as conn:
        apply_statements(conn, example(), source="e", source_sha256=bytes(32))
        for table, column, value, constraint in BREACHES:
            names = [*checks_of(KINDS[table]), "recorded_at"]
            values = [
                value if name == column else "now()" if name == "recorded_at" else name
                for name in names
            ]
            where = CHOSEN.get((table, column), "true")
            if table == "instrument":
                where = "kind = 'certificate_unbundled'"
            with pytest.raises(psycopg.errors.CheckViolation) as refused:
                conn.execute(
                    f"insert into reference.{table} ({', '.join(names)}) "
                    f"select {', '.join(values)} from reference.{table} where {where} limit 1"
                )
            assert refused.value.diag.constraint_name == constraint, (table, column)


def test_a_stored_row_that_cannot_be_read_stops_the_reader(database: LedgerDatabase) -> None:
    with database.writer(autocommit=True) as conn:
        conn.execute(
            "insert into reference.site (facility_id, organization_id, country_iso2, time_zone) "
            "values ('f', 'o', 'DE', 'Mars/Base')"
        )
        with pytest.raises(BrokenInvariant) as stopped:
            read_register(conn)
    assert stopped.value.code == "stored_reference_data"


def test_the_commands_show_store_and_store_nothing_twice(
    database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CARBON_DATABASE_WRITER_URL", database.writer_url)
    monkeypatch.setenv("CARBON_DATABASE_READER_URL", database.reader_url)
    path = str(PROJECT_ROOT / "docs/examples/reference.yaml")

    def carbon(*words: str) -> Result:
        return CliRunner().invoke(reference, list(words))

    shown = carbon("diff", path)
    last = "36 added, 0 superseded, 0 ended, 0 as stored, 0 stored and not mentioned (they stay)."
    assert (shown.exit_code, shown.stdout.splitlines()[-1]) == (0, last)
    assert carbon("diff", path).stdout == shown.stdout
    done = carbon("apply", path)
    assert (done.exit_code, done.stdout) == (0, shown.stdout)
    again = json.loads(carbon("apply", "--json", path).stdout)
    assert again == {"recorded_at": None, "changes": [], "unchanged": 36, "absent": 0}

    end = tmp_path / "end.yaml"
    end.write_text("supplier: [{supplier_id: ore-co, country_iso2: AU, valid_to: 2024-01-01}]")
    refused = carbon("diff", str(end))
    assert refused.exit_code == 1
    assert "supplier_item: supplier_id: ore-co FE62 from 2000-01-01" in refused.stdout
    assert carbon("apply", str(end)).exit_code == 1
    alone = carbon("check", str(end))
    assert (alone.exit_code, carbon("check", "--with-stored", str(end)).exit_code) == (0, 1)

    end.write_text(
        "supplier: [{supplier_id: ore-co, country_iso2: AU, sector: '212210', "
        "name: Ore Company, valid_to: 2024-01-01}]\n"
        "supplier_item: [{supplier_id: ore-co, product_id: FE62, item_id: iron-ore-62, unit: t, "
        "units_per_product: 1.0, valid_to: 2024-01-01}]\n"
    )
    ended = json.loads(carbon("apply", "--json", str(end)).stdout)
    assert [(one["action"], one["key"]) for one in ended["changes"]] == [
        ("ended", ["ore-co"]),
        ("ended", ["ore-co", "FE62"]),
    ]
    assert ended["absent"] == 34
    with database.reader() as conn:
        register = read_register(conn)
        kept = conn.execute("select source, octet_length(source_sha256) from reference.application")
        assert set(kept.fetchall()) == {("reference.yaml", 32), ("end.yaml", 32)}
    assert register.supplier("ore-co", date(2023, 12, 31)) is not None
    assert register.supplier("ore-co", date(2024, 1, 1)) is None


def materialize_register(monkeypatch: pytest.MonkeyPatch, url: str) -> dg.ExecuteInProcessResult:
    monkeypatch.setenv("CARBON_DATABASE_WRITER_URL", url)
    return dg.materialize(
        [reference_register],
        resources={"database": ReferenceDatabase()},
        instance=dg.DagsterInstance.ephemeral(),
        raise_on_error=False,
    )


def test_the_asset_says_what_is_registered_and_fails_on_a_fault_among_it(
    database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.writer() as conn:
        store(conn, site(), mill())
        conn.commit()
    result = materialize_register(monkeypatch, database.writer_url)
    assert result.success
    (materialization,) = result.get_asset_materialization_events()
    metadata = materialization.materialization.metadata
    assert metadata["dagster/row_count"].value == 2
    # As nobody can through `apply`: a meter of a facility that is not registered.
    with database.writer() as conn:
        insert_unchecked(conn, [meter("m-1", facility_id="nowhere")], begin_writing(conn))
        conn.commit()
    result = materialize_register(monkeypatch, database.writer_url)
    assert not result.success
    failure = result.failure_data_for_node("reference__register")
    assert failure is not None
    assert "nowhere" in str(failure.user_failure_data)
