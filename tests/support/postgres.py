"""A fresh, migrated ledger database inside a running PostgreSQL server, one per test module."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from carbon_ledger.entries import EntryRow, entry_id, sealed
from carbon_ledger.quantities import exact_product, quantize_posted
from carbon_ledger.store.connect import connect
from carbon_ledger.store.factors import store_release
from carbon_ledger.store.migrate import migrate, read_migrations
from factor_seeds.load import release

Connection = psycopg.Connection[tuple[Any, ...]]
TOPIC = "raw.iot.energy"


@dataclass(frozen=True, kw_only=True)
class LedgerDatabase:
    """URLs of one scratch database, by role."""

    admin_url: str
    writer_url: str
    reader_url: str
    sealer_url: str
    verifier_url: str
    auditor_url: str
    vault_url: str
    gate_url: str

    @classmethod
    def named(cls, url_of: Callable[[str, str], str], database: str) -> LedgerDatabase:
        """The database called `database`; `url_of(role, database)` is the server's."""
        services = ("writer", "reader", "sealer", "verifier", "auditor", "vault", "gate")
        return cls(
            admin_url=f"{url_of('carbon_migrator', database)}?options=-c%20role%3Dcarbon_owner",
            **{f"{name}_url": url_of(f"carbon_{name}", database) for name in services},
        )

    def admin(self) -> Connection:
        """The migrator as the owner, in autocommit mode."""
        return connect(self.admin_url, "tests", True, may_own=True)

    def writer(self, autocommit: bool = False) -> Connection:
        """The role that batches write with."""
        return connect(self.writer_url, "tests", autocommit)

    def reader(self) -> Connection:
        """The role that only reads, here every organization, in autocommit mode."""
        return connect(self.reader_url, "tests", True, organizations="*")

    def sealer(self) -> Connection:
        """The role that adds seals and heads, in autocommit mode."""
        return connect(self.sealer_url, "tests", True)

    def verifier(self) -> Connection:
        """The role that recomputes everything, in autocommit mode."""
        return connect(self.verifier_url, "tests", True)

    def auditor(self) -> Connection:
        """The role of whoever examines the ledger, in autocommit mode."""
        return connect(self.auditor_url, "tests", True)


def migrated_template(server: Connection, url_of: Callable[[str, str], str]) -> str:
    """Name of a database with just these migrations in it, made where the server has none yet.

    A copy of it is there in a fraction of the time that the migrations take.
    """
    digest = hashlib.sha256(b"".join(one.sha256 for one in read_migrations())).hexdigest()
    return template_database(
        server,
        f"template_ledger_{digest[:12]}",
        "template1",
        lambda name: migrate(url_of("carbon_migrator", name)),
    )


def factors_template(server: Connection, url_of: Callable[[str, str], str]) -> str:
    """Name of a database that has the shipped factors besides, which take seconds to store."""
    migrated = migrated_template(server, url_of)
    rows = release()

    def fill(name: str) -> None:
        grant_connect(server, name)
        with closing(connect(url_of("carbon_writer", name), "tests", True)) as conn:
            store_release(conn, rows)

    name = f"{migrated}_{hashlib.sha256(rows.release_id.encode()).hexdigest()[:12]}"
    return template_database(server, name, migrated, fill)


def template_database(
    server: Connection, name: str, origin: str, fill: Callable[[str], object]
) -> str:
    """`name`, a database to copy: made of `origin` and filled where the server has none yet."""
    server.execute("select pg_advisory_lock(7299)")
    try:
        found = server.execute(
            "select datistemplate from pg_database where datname = %s", (name,)
        ).fetchone()
        if found == (True,):
            return name
        database = sql.Identifier(name)
        # Half made by somebody who was stopped.
        server.execute(sql.SQL("drop database if exists {} with (force)").format(database))
        server.execute(
            sql.SQL("create database {} owner carbon_owner template {}").format(
                database, sql.Identifier(origin)
            )
        )
        fill(name)
        server.execute(sql.SQL("alter database {} is_template true").format(database))
    finally:
        server.execute("select pg_advisory_unlock(7299)")
    return name


def grant_connect(server: Connection, database: str) -> None:
    """Lets the ledger's roles into `database`, as the embedded stack does into its own."""
    server.execute(
        sql.SQL(
            "grant connect on database {} to carbon_migrator, carbon_writer, carbon_reader, "
            "carbon_sealer, carbon_verifier, carbon_auditor, carbon_vault, carbon_gate"
        ).format(sql.Identifier(database))
    )


@contextmanager
def scratch_database(
    url_of: Callable[[str, str], str],
    migrated: bool = True,
    with_factors: bool = False,
    template_of: Callable[[Connection], str] | None = None,
) -> Iterator[LedgerDatabase]:
    """A new database owned by carbon_owner; `url_of(role, database)` is the server's.

    With the ledger's schema unless told otherwise, `with_factors` with the shipped release too; or
    a copy of the database that `template_of` names, given the server's superuser.

    The server has the roles of the ledger and a superuser `postgres`, as the embedded stack's
    has. The database is dropped at the end, whoever is still connected.
    """
    name = f"scratch_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(url_of("postgres", "postgres"), autocommit=True) as server:
        database = sql.Identifier(name)
        if template_of is not None:
            template = template_of(server)
        elif with_factors:
            template = factors_template(server, url_of)
        else:
            template = migrated_template(server, url_of) if migrated else "template1"
        server.execute(
            sql.SQL("create database {} owner carbon_owner template {}").format(
                database, sql.Identifier(template)
            )
        )
        try:
            server.execute(sql.SQL("revoke all on database {} from public").format(database))
            grant_connect(server, name)
            found = LedgerDatabase.named(url_of, name)
            yield found
        finally:
            server.execute(sql.SQL("drop database {} with (force)").format(database))


def rows_read(conn: Connection, schema: str, names: str) -> int:
    """Rows that anybody has read so far of the tables of a schema whose names match."""
    conn.execute("select pg_stat_force_next_flush()")
    conn.commit()
    row = conn.execute(
        "select sum(idx_tup_fetch + seq_tup_read) from pg_stat_user_tables"
        " where schemaname = %s and relname ~ %s",
        (schema, names),
    ).fetchone()
    assert row is not None
    return int(row[0])


def reading(number: int = 0, **changes: Any) -> EntryRow:
    """A plausible entry of a meter reading, sealed; number n begins n minutes into March 2024.

    `changes` replace columns; identity, month and hash follow from them unless given.
    """
    begin = datetime(2024, 3, 1, tzinfo=UTC) + timedelta(minutes=number)
    occurred_from = changes.get("occurred_from", begin)
    occurred_to = changes.get("occurred_to", occurred_from + timedelta(minutes=1))
    sensor = changes.get("source_ref", "meter-1")
    activity_ref = changes.get("activity_ref", f"iot:{sensor}@{occurred_from:%Y-%m-%dT%H:%M:%SZ}")
    event_id = changes.get("event_id", f"{activity_ref}#0")
    local_date: date = changes.get("local_date", occurred_from.date())
    quantity = changes.get("quantity", Decimal("1.50"))
    row = EntryRow(
        organization_id="default",
        entry_id=entry_id(event_id, 1, occurred_to),
        event_id=event_id,
        line_no=1,
        activity_ref=activity_ref,
        claim_key=f"{activity_ref}|scope-2|-|location",
        stream="iot_energy",
        activity_month=local_date.replace(day=1),
        local_date=local_date,
        occurred_from=occurred_from,
        occurred_to=occurred_to,
        recorded_at=datetime(2026, 1, 1, tzinfo=UTC),
        scope=2,
        basis="location",
        facility_id="plant-1",
        source_ref=sensor,
        country_iso2="DE",
        activity_type="electricity:grid",
        quantity=quantity,
        unit="kWh",
        kgco2e=quantize_posted(exact_product(quantity, Decimal("0.38"))),
        gas_split="not_available",
        gwp_set="AR5",
        factor_id="grid:DE:2024",
        factor_version=1,
        factor_release="test-000000000000",
        factor_match="country/location/exact-year",
        vintage_gap_years=0,
        formula_id="S2-LB",
        method="measured",
        rule_id="S2-PURCHASED-ENERGY",
        supersession_rank=0,
        primary_share=Decimal(1),
        activity_scores="1,1,1,1,2",
        factor_scores="2,1,1,2,2",
        payload_sha256=bytes([number % 256]) * 32,
        schema_sha256=b"\x02" * 32,
        code_version="test",
    )
    return sealed(replace(row, **changes))


@dataclass(frozen=True, kw_only=True)
class Part:
    """One Kafka partition's part of a batch, as the manifest has claimed it."""

    batch_id: int
    attempt: int
    topic: str
    kafka_partition: int
    start_offset: int
    end_offset: int

    def open(self, conn: Connection) -> Any:
        """manifest.open_part in the connection's transaction, as a dict."""
        with conn.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(
                "select * from manifest.open_part(%s, %s, %s, %s)",
                (self.batch_id, self.attempt, self.topic, self.kafka_partition),
            ).fetchone()

    def account(self, conn: Connection, **changes: int) -> None:
        """The accounting row: every offset a ledgered record, unless `changes` say else."""
        records = self.end_offset - self.start_offset
        figures: dict[str, object] = {
            "batch_id": self.batch_id,
            "attempt": self.attempt,
            "stream": "iot_energy",
            "topic": self.topic,
            "kafka_partition": self.kafka_partition,
            "start_offset": self.start_offset,
            "end_offset": self.end_offset,
            "records_read": records,
            "ledgered": records,
            "duplicate": 0,
            "dead_lettered": 0,
            "quarantined": 0,
            "offsets_without_record": 0,
            "lines": records,
            "archive_object": "none",
            "archive_sha256": b"",
            "archive_bytes": 0,
            "factor_release": "test",
            "code_version": "test",
            **changes,
        }
        names = sql.SQL(", ").join(map(sql.Identifier, figures))
        places = sql.SQL(", ").join(map(sql.Placeholder, figures))
        conn.execute(
            sql.SQL("insert into ledger.batch_part ({}) values ({})").format(names, places), figures
        )

    def close(self, conn: Connection) -> None:
        """manifest.close_part."""
        conn.execute(
            "select manifest.close_part(%s, %s, %s, %s, %s)",
            (self.batch_id, self.attempt, self.topic, self.kafka_partition, self.end_offset),
        )


def claim(
    conn: Connection, ranges: Mapping[int, tuple[int, int]], topic: str = TOPIC, attempt: int = 1
) -> list[Part]:
    """A new batch over `ranges` (Kafka partition to offsets), as the planner claims one; its parts.

    Whatever batch the stream had open is taken to be done.
    """
    stream = "iot_energy" if topic == TOPIC else topic
    conn.execute(
        "insert into manifest.stream (stream, topic) values (%s, %s) on conflict do nothing",
        (stream, topic),
    )
    conn.execute("update manifest.batch set status = 'done' where stream = %s", (stream,))
    row = conn.execute(
        "insert into manifest.batch (stream, arrival_partition, attempt) "
        "values (%s, '2026-01-01-00:00', %s) returning batch_id",
        (stream, attempt),
    ).fetchone()
    assert row is not None
    parts = []
    for number, (start, end) in ranges.items():
        conn.execute(
            "insert into manifest.progress (topic, kafka_partition, planned_offset, "
            "committed_offset) values (%s, %s, %s, 0) on conflict (topic, topic_incarnation, "
            "kafka_partition) do update set planned_offset = excluded.planned_offset",
            (topic, number, end),
        )
        conn.execute(
            "insert into manifest.batch_range (batch_id, topic, kafka_partition, start_offset, "
            "end_offset) values (%s, %s, %s, %s, %s)",
            (row[0], topic, number, start, end),
        )
        parts.append(
            Part(
                batch_id=row[0],
                attempt=attempt,
                topic=topic,
                kafka_partition=number,
                start_offset=start,
                end_offset=end,
            )
        )
    return parts
