"""Who may do what: the writer only adds, the reader only reads, the owner is stopped as well."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest

from carbon_ledger.reference.files import KINDS, parse
from carbon_ledger.settings import PROJECT_ROOT
from carbon_ledger.store.reference import apply_statements
from carbon_ledger.store.rows import ensure_month, insert_entries, insert_identity
from carbon_ledger.store.windows import deltas_of, insert_deltas
from tests.support.postgres import Connection, LedgerDatabase, reading, scratch_database

pytestmark = pytest.mark.stack

APPEND_ONLY = (
    *("ledger.entry", "ledger.entry_2024_03", "ledger.event_identity", "ledger.batch_part"),
    *("ledger.dead_letter", "ledger.dead_letter_relay", "ledger.reversal"),
    *("factors.release", "factors.factor", "factors.release_factor", "factors.writer_schema"),
    *("factors.index_row", "factors.release_index"),
    *("windows.five_minute_delta", "windows.verification", "reports.esrs_e1"),
    *("reference.application", *(f"reference.{kind}" for kind in KINDS)),
)
# Tables without a row in these tests; test_privileges.py tries every role on each.
TRIED_ELSEWHERE = {
    *("ledger.claim_entry", "ledger.claim_standing", "ledger.restatement"),
    *("ledger.restatement_approval", "ledger.restatement_line", "ledger.restatement_month"),
    *("ledger.activity_submission", "ledger.activity_row", "ledger.activity_refusal"),
    *("ledger.activity_decision", "ledger.activity_delivery"),
    *("ledger.restatement_posting", "ledger.period_basis", "ledger.period_run"),
    *("ledger.period_decision", "ledger.period_state"),
    *("ledger.source_file", "ledger.source_file_outcome"),
    *("reports.snapshot", "reports.cell", "reports.scheduled", "reports.snapshot_retired"),
    *("ledger.edge_letter", "ledger.letter_decision", "ledger.letter_sending"),
    *("windows.sum_segment", "windows.day_sum", "windows.month_sum"),
}
DENIED = psycopg.errors.InsufficientPrivilege


def store_reference_example(conn: Connection) -> None:
    """A row of every kind of reference data."""
    text = (PROJECT_ROOT / "docs/examples/reference.yaml").read_text(encoding="utf-8")
    stated = parse({"example.yaml": text}).stated
    apply_statements(conn, stated, source="example.yaml", source_sha256=bytes(32))


@pytest.fixture(scope="module")
def database(stack) -> Iterator[LedgerDatabase]:  # type: ignore[no-untyped-def]
    with scratch_database(stack.layout.database_url) as found:
        with found.writer() as conn:
            ensure_month(conn, reading(0).activity_month)
            insert_identity(conn, reading(0))
            insert_entries(conn, [reading(0)])
            insert_deltas(conn, deltas_of([reading(0)], recorded_at=datetime.now(UTC)))
            conn.execute(
                "insert into factors.writer_schema (schema_sha256, subject, schema_id, schema_text)"
                " values (sha256('x'), 's', 1, 'x')"
            )
            store_reference_example(conn)
            add_others(conn)
        yield found


def add_others(conn: psycopg.Connection) -> None:  # type: ignore[type-arg]
    """A row in each of the other tables, so that a refused change is not an empty one."""
    conn.execute(
        "insert into ledger.dead_letter (topic, kafka_partition, kafka_offset, stream, batch_id, "
        "fate, reason_code, reason) values ('t', 0, 0, 's', 1, 'dead_lettered', 'c', 'r')"
    )
    conn.execute(
        "insert into ledger.dead_letter_relay (topic, kafka_partition, kafka_offset) "
        "values ('t', 0, 0)"
    )
    conn.execute(
        "insert into ledger.batch_part (batch_id, attempt, stream, topic, kafka_partition, "
        "start_offset, end_offset, records_read, ledgered, duplicate, dead_lettered, quarantined, "
        "offsets_without_record, lines, archive_object, archive_sha256, archive_bytes, "
        "factor_release, code_version) "
        "values (1, 1, 's', 't', 0, 0, 1, 1, 0, 0, 1, 0, 0, 0, '', '', 0, '', '')"
    )
    conn.execute(
        "insert into factors.release (release_id, sha256, factor_count) "
        "values ('r', sha256('r'), 1)"
    )
    conn.execute(
        "insert into factors.factor (factor_id, version, family, publisher, dataset, source_id, "
        "boundary, basis, method, unit, kgco2e_per_unit, gas_split, gwp_set, licence, sha256) "
        "values ('f', 1, '', '', '', '', '', '', '', '', 0, 'not_available', '', '', sha256('f'))"
    )
    conn.execute("insert into factors.release_factor values ('r', 'f', 1)")
    conn.execute(
        "insert into factors.index_row (index_id, version, series, key, value, unit, publisher, "
        "source_id, licence, sha256) values ('i', 1, '', '', 1, '', '', '', '', sha256('i'))"
    )
    conn.execute("insert into factors.release_index values ('r', 'i', 1)")
    conn.execute("insert into windows.verification values ('2024-03-01', now(), 1, 1, 0, 'r')")
    conn.execute(
        "insert into reports.esrs_e1 (snapshot_id, organization_id, fiscal_year, "
        "framework_profile, datapoint, concept, value, unit, entries, as_of, factor_releases, "
        "code_version, run_id) "
        "values (gen_random_uuid(), 'o', 2024, '', '', '', 0, 't', 0, now(), '', '', '')"
    )


def first_column(conn: psycopg.Connection, table: str) -> str:  # type: ignore[type-arg]
    """Name of the table's first column."""
    row = conn.execute(
        "select attname from pg_attribute where attrelid = %s::regclass and attnum = 1", (table,)
    ).fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize(
    "change",
    [
        "update {table} set {column} = {column}",
        "delete from {table}",
        "truncate {table}",
        "alter table {table} add column extra integer",
        "alter table {table} disable trigger all",
        "drop table {table}",
        "create trigger t before insert on {table} for each row execute function now()",
    ],
)
def test_the_writer_can_change_nothing_that_is_written(
    database: LedgerDatabase, table: str, change: str
) -> None:
    with database.writer() as conn:
        column = first_column(conn, table)
        with pytest.raises(DENIED):
            conn.execute(change.format(table=table, column=column))


@pytest.mark.parametrize("table", [t for t in APPEND_ONLY if t != "ledger.reversal"])
@pytest.mark.parametrize(
    "change", ["update {table} set {column} = {column}", "delete from {table}"]
)
def test_even_the_owner_s_change_is_refused_by_a_trigger(
    database: LedgerDatabase, table: str, change: str
) -> None:
    with database.admin() as conn:
        column = first_column(conn, table)
        with pytest.raises(DENIED) as caught:
            conn.execute(change.format(table=table, column=column))
    assert "rows are only ever added" in str(caught.value)


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_even_the_owner_cannot_truncate(database: LedgerDatabase, table: str) -> None:
    with database.admin() as conn, pytest.raises(DENIED) as caught:
        conn.execute(f"truncate {table} cascade")
    assert "rows are only ever added" in str(caught.value)


def test_the_writer_cannot_go_round_the_table_into_a_partition(database: LedgerDatabase) -> None:
    with database.writer() as conn, pytest.raises(DENIED):
        conn.execute("insert into ledger.entry_2024_03 select * from ledger.entry")


@pytest.mark.parametrize(
    "statement",
    [
        "create table ledger.other (a integer)",
        "create table public.other (a integer)",
        "create function ledger.f() returns integer language sql as 'select 1'",
        "insert into ledger.reversal values (gen_random_uuid(), gen_random_uuid(), now(), now())",
        "insert into public.schema_migration (version, name, sha256) values (99, 'x', '')",
        "delete from manifest.stream",
        "delete from manifest.progress",
        "delete from manifest.batch",
        "update manifest.batch_range set end_offset = 1",
        "select ledger.make_append_only('ledger.entry')",
        "set role carbon_migrator",
        "drop schema ledger cascade",
    ],
)
def test_the_writer_cannot_reach_beyond_its_tables(
    database: LedgerDatabase, statement: str
) -> None:
    with database.writer() as conn, pytest.raises(DENIED):
        conn.execute(statement)


@pytest.mark.parametrize("table", [*APPEND_ONLY, "manifest.stream", "manifest.progress"])
def test_the_reader_reads_and_does_nothing_else(database: LedgerDatabase, table: str) -> None:
    with database.reader() as conn:
        if table != "ledger.entry_2024_03":
            conn.execute(f"select * from {table}").fetchall()
        with pytest.raises(DENIED):
            conn.execute(f"insert into {table} select * from {table}")


def test_the_reader_cannot_make_a_month(database: LedgerDatabase) -> None:
    with database.reader() as conn, pytest.raises(DENIED):
        conn.execute("select ledger.ensure_month('2024-05-01')")


def test_every_table_of_the_ledger_s_schemas_is_looked_at_here(database: LedgerDatabase) -> None:
    with database.reader() as conn:
        found = conn.execute(
            "select schemaname || '.' || tablename from pg_tables where schemaname in "
            "('ledger', 'factors', 'reference', 'windows', 'reports')"
        ).fetchall()
    assert {name for (name,) in found} == set(APPEND_ONLY) | TRIED_ELSEWHERE
