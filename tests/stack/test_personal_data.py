"""Persons in trips: through Kafka, Spark, archive and ledger, then erased, and nobody reads them.

The names and places planted here must be nowhere but in what was handed to the producer.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest
from confluent_kafka import TopicPartition
from psycopg import sql
from psycopg.rows import kwargs_row

from carbon_ledger.entries import EntryRow, content_sha256
from carbon_ledger.errors import BrokenInvariant, ConfigurationError
from carbon_ledger.notes import Signer
from carbon_ledger.personal.fields import PersonalFields
from carbon_ledger.personal.key_files import KeyFiles
from carbon_ledger.reference.files import Stated
from carbon_ledger.store.reference import apply_statements
from carbon_ledger.store.seals import seal_pending
from carbon_ledger.store.vault import SubjectVault
from carbon_ledger.transport.vehicle_events import VehicleTelemetryEvent
from pipeline import producers
from pipeline.dead_letters import relay
from pipeline.producers import CarbonEventProducer
from pipeline.topics import DEAD_LETTERS, TOPIC_NAMED
from spark.subject_records import SubjectRecord, records_of
from tests.support.event_cases import RECORDS
from tests.support.kafka_reading import Since, consumer
from tests.support.micro_batch import Bench, micro_batch_bench
from tests.support.postgres import scratch_database
from tests.support.sealed_ledger import ORIGIN, new_signer
from verifier.verify import verify

pytestmark = pytest.mark.stack

PERSONS = 100
TRIPS = 3
# Of a trip: burning the fuel, and making it.
LINES = 2
START = datetime(2025, 5, 2, 6, tzinfo=UTC)
# In every record, and not personal: whoever looks for names must find these, or looks in vain.
CONTROL = "FLEET-CONTROL"


def who(number: int) -> PersonalFields:
    return PersonalFields(
        driver_id=f"plantedid{number:03d}",
        driver_name=f"Zebulon Plantedname{number:03d}",
        start_position=f"47.{number:03d}7391,8.5{number:03d}417",
        end_position=f"46.{number:03d}2846,7.4{number:03d}539",
        note=f"plantednote{number:03d} doctor's appointment",
    )


PLANTED = (b"plantedid", b"Plantedname", b"Zebulon", b"plantednote", b"7391,8.5", b"2846,7.4")


def trip(number: int, leg: int, **changes: Any) -> VehicleTelemetryEvent:
    fields: dict[str, Any] = {
        "vehicle_id": f"{CONTROL}-{number:03d}",
        "trip_id": f"T{leg}",
        "country_iso2": "GB",
        "vehicle_class": "artic_hgv_over_33t",
        "fuel_type": "diesel",
        "fuel_litres": f"{20 + leg}.{number:03d}",
        "timestamp": START + timedelta(days=leg),
        "interval_seconds": 7200,
    }
    return VehicleTelemetryEvent(**{**fields, **changes})


@dataclass(kw_only=True)
class World:
    """A bench that trips were sent to, the vault that sealed them, and whose they are."""

    bench: Bench
    files: KeyFiles
    vault: SubjectVault
    refs: dict[int, str]
    letters: Since
    folder: Path
    signer: Signer

    def send(self, *trips: tuple[VehicleTelemetryEvent, PersonalFields]) -> None:
        """Through the producer, as a telematics gateway does."""
        with CarbonEventProducer(settings=self.bench.settings, vault=self.vault) as producer:
            for event, personal in trips:
                producer.send(self.bench.stream.topic, value=event, personal=personal)
        with closing(consumer(self.bench.settings)) as reader:
            for number in self.bench.highs:
                place = TopicPartition(self.bench.stream.topic, number)
                self.bench.highs[number] = reader.get_watermark_offsets(place, timeout=15)[1]

    def records(self, ref: str) -> list[SubjectRecord]:
        """What the archive has of a pseudonym, opened as far as there is a key."""
        key = self.vault.key_of(ref)
        with closing(self.bench.database.reader()) as conn:
            return list(records_of(conn, self.bench.settings.archive_url, ref, key))

    def environment(self) -> dict[str, str]:
        """For `carbon`: this bench's database, these key files."""
        return {
            **os.environ,
            "CARBON_DATABASE_READER_URL": self.bench.database.reader_url,
            "CARBON_DATABASE_VAULT_URL": self.bench.database.vault_url,
            "CARBON_VAULT_KEY_FILE": str(self.files.vault_key_file),
        }

    def carbon(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cli.main", "subject", *words],
            env=self.environment(),
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def ledger(self) -> str:
        """Digest of all entries and all windows, every column of them."""
        digest = hashlib.sha256()
        for table in ("ledger.entry", "windows.five_minute"):
            rows = self.bench.rows(f"select t::text from {table} t order by 1")
            digest.update("\n".join(row[0] for row in rows).encode())
        return digest.hexdigest()


@pytest.fixture(scope="module")
def world(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("vault")
    patch = pytest.MonkeyPatch()
    with micro_batch_bench(stack, "transport") as bench:
        # The producer's own topic is shared; this one is this module's, with the same rules.
        topic = bench.stream.topic
        patch.setitem(producers.EVENT_CLASSES_OF_TOPIC, topic, (VehicleTelemetryEvent,))  # type: ignore[arg-type]
        patch.setitem(TOPIC_NAMED, topic, replace(TOPIC_NAMED["raw.transport"], name=topic))  # type: ignore[arg-type]
        with closing(bench.database.writer()) as conn:
            stated = [Stated(record=one, file="cases.yaml") for one in RECORDS]
            apply_statements(conn, stated, source="cases.yaml", source_sha256=bytes(32))
            conn.commit()
        files = KeyFiles(folder / "vault.key")
        with SubjectVault(bench.database.vault_url, files, organization_id="acme") as vault:
            found = World(
                bench=bench,
                files=files,
                vault=vault,
                refs={},
                letters=Since(settings=bench.settings, topic=DEAD_LETTERS),
                folder=folder,
                signer=new_signer(),
            )
            sent = [(trip(n, leg), who(n)) for n in range(PERSONS) for leg in range(TRIPS)]
            # A retry, a correction, and trips the ledger refuses.
            sent += [(trip(n, 0), who(n)) for n in range(10)]
            sent += [(trip(n, 1, revision=1, fuel_litres="7"), who(n)) for n in range(10, 20)]
            sent += [(trip(n, 9, fuel_type="no_such_fuel"), who(n)) for n in range(20, 30)]
            found.send(*sent)
            found.refs = {n: vault.add(who(n).driver_id) for n in range(PERSONS)}
            result = bench.work()
            assert result.total("records_read") == len(sent)
            assert result.total("duplicate") == 10
            assert result.total("dead_lettered") == 10
            assert result.total("quarantined") == 0
            with closing(bench.database.writer(autocommit=True)) as conn:
                assert relay(conn, bench.settings) == 10
            with closing(bench.database.sealer()) as conn:
                assert seal_pending(conn, found.signer, ORIGIN)
            yield found
    patch.undo()


def test_the_ledger_knows_pseudonyms_and_each_is_one_person_s(world: World) -> None:
    rows = world.bench.rows(
        "select source_ref, array_agg(distinct subject_ref) from ledger.entry group by 1"
    )
    assert len(rows) == PERSONS
    assert {vehicle: refs for vehicle, refs in rows} == {
        f"{CONTROL}-{n:03d}": [ref] for n, ref in world.refs.items()
    }
    assert len(set(world.refs.values())) == PERSONS
    assert world.bench.rows("select count(*) from ledger.entry where subject_ref is null") == [(0,)]


def test_a_retried_event_is_the_same_bytes(world: World) -> None:
    one = world.vault.sealed(trip(0, 0), who(0))
    with SubjectVault(world.bench.database.vault_url, world.files, organization_id="acme") as other:
        assert other.sealed(trip(0, 0), who(0)) == one


def test_a_person_s_records_open_for_that_person(world: World, tmp_path: Path) -> None:
    for number in (0, 15, 25, 99):
        records = world.records(world.refs[number])
        extra = 1 if number < 30 else 0
        assert len(records) == TRIPS + extra
        assert [one.personal for one in records] == [who(number).values()] * len(records)
        assert {one.fields["vehicle_id"] for one in records} == {f"{CONTROL}-{number:03d}"}
    target = tmp_path / "for-the-person.jsonl"
    done = world.carbon("export", world.refs[25], "--to", str(target))
    assert (done.returncode, done.stderr.strip()) == (0, "4 records, 0 of them unreadable.")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert {line["personal"]["driver_name"] for line in lines} == {who(25).driver_name}
    assert "Plantedname" not in done.stdout + done.stderr
    again = world.carbon("export", world.refs[25], "--to", str(target))
    assert again.returncode == 1
    target.unlink()


def test_another_s_key_opens_nothing(world: World) -> None:
    key = world.vault.key_of(world.refs[40])
    with closing(world.bench.database.reader()) as conn:
        found = list(records_of(conn, world.bench.settings.archive_url, world.refs[41], key))
    assert len(found) == TRIPS
    assert [one.personal for one in found] == [None] * TRIPS


# ---- the canary: where could a name be?


def database_text(url: str) -> bytes:
    """Every row of every table of ours, as text; bytea also as it is."""
    out = io.BytesIO()
    with psycopg.connect(url, autocommit=True) as conn:
        tables = conn.execute(
            "select c.oid::regclass::text from pg_class c where c.relkind in ('r', 'm') "
            "and c.relnamespace not in ('pg_catalog'::regnamespace, "
            "'information_schema'::regnamespace, 'pg_toast'::regnamespace)"
        ).fetchall()
        assert len(tables) > 20
        for (table,) in tables:
            with conn.cursor().copy(sql.SQL(f"copy {table} to stdout")) as rows:  # type: ignore[arg-type]
                for row in rows:
                    out.write(bytes(row))
    return with_bytea(out.getvalue())


def with_bytea(text: bytes) -> bytes:
    """`text`, and behind it what its hexadecimal words say."""
    words = [word[3:] for word in text.split() if word.startswith(b"\\\\x")]
    return text + b"\n".join(bytes.fromhex(word.decode()) for word in words if len(word) % 2 == 0)


def kafka_bytes(world: World) -> bytes:
    topic = Since.__new__(Since)
    topic.settings, topic.topic = world.bench.settings, world.bench.stream.topic
    topic.ends = dict.fromkeys(world.bench.highs, 0)
    found = b""
    for message in [*topic.records(), *world.letters.records()]:
        found += (message.key() or b"") + (message.value() or b"")
        found += b"".join(k.encode() + (v or b"") for k, v in message.headers() or [])
    return found


def archive_bytes(world: World) -> bytes:
    root = Path(world.bench.settings.archive_url.removeprefix("file://"))
    found = b""
    for path in (root / world.bench.stream.topic).rglob("*.parquet"):
        found += path.read_bytes()
        for record in pq.read_table(path).to_pylist():
            found += (record["key"] or b"") + record["value"] + repr(record["headers"]).encode()
    return found


def files_with(folder: Path, words: tuple[bytes, ...]) -> set[Path]:
    """Files below `folder` that hold one of `words`: logs, storage, write-ahead log and all."""
    found = set()
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            if any(word in content for word in words):
                found.add(path)
    return found


def admin_url(world: World, stack: Any) -> str:
    name = psycopg.conninfo.conninfo_to_dict(world.bench.database.writer_url)["dbname"]
    return str(stack.layout.database_url("postgres", str(name)))


def test_no_planted_name_is_anywhere(world: World, stack: Any) -> None:
    with psycopg.connect(admin_url(world, stack), autocommit=True) as conn:
        conn.execute("checkpoint")
    places = {
        "database": database_text(admin_url(world, stack)),
        "kafka": kafka_bytes(world),
        "archive": archive_bytes(world),
    }
    for name, content in places.items():
        assert CONTROL.encode() in content, f"the search of {name} finds nothing at all"
        assert [word for word in PLANTED if word in content] == [], name
    assert files_with(stack.layout.home, PLANTED) == set()
    assert files_with(world.folder, PLANTED) == set()
    assert files_with(stack.layout.home / "postgres", (CONTROL.encode(),))
    shown = [world.carbon("list"), world.carbon("show", world.refs[25])]
    assert [one.returncode for one in shown] == [0, 0]
    told = "".join(one.stdout + one.stderr for one in shown).encode()
    assert world.refs[25].encode() in told
    assert [word for word in PLANTED if word in told] == []


def test_the_canary_sees_a_name_that_is_there(world: World, stack: Any, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"..Zebulon..")
    assert files_with(tmp_path, PLANTED) == {tmp_path / "log"}
    assert b"Zebulon" in with_bytea(b"1\t\\\\x" + b"Zebulon".hex().encode() + b"\t2")


# ---- what the vault refuses


def test_without_a_vault_nothing_personal_is_sent(world: World) -> None:
    topic, before = world.bench.stream.topic, dict(world.bench.highs)
    with CarbonEventProducer(settings=world.bench.settings) as producer:
        with pytest.raises(ConfigurationError) as refusal:
            producer.send(topic, value=trip(1, 50), personal=who(1))
        assert refusal.value.code == "vault_missing"
        assert not any(word.decode() in str(refusal.value) for word in PLANTED)
    with CarbonEventProducer(settings=world.bench.settings, vault=world.vault) as producer:
        given = world.vault.sealed(trip(1, 50), who(1))
        with pytest.raises(ConfigurationError) as refusal:
            producer.send(topic, value=given, personal=who(1))
        assert refusal.value.code == "subject_given"
    world.send()
    assert dict(world.bench.highs) == before


def test_a_lost_or_foreign_vault_key_is_seen_and_never_replaced(
    world: World, tmp_path: Path
) -> None:
    url = world.bench.database.vault_url
    lost = KeyFiles(tmp_path / "vault.key")
    with SubjectVault(url, lost, organization_id="acme") as vault:
        with pytest.raises(BrokenInvariant, match="restore the file"):
            vault.add("plantedid000")
        assert not lost.vault_key_file.exists()
        lost.make_vault_key()
        with pytest.raises(BrokenInvariant, match="not the key of this database"):
            vault.add("plantedid000")


def test_keys_go_with_an_erasure_or_not_at_all(world: World) -> None:
    database = world.bench.database
    ref = world.refs[50]
    writes = (
        ("delete from personal.subject_key where subject_ref = %s", psycopg.Error),
        ("update personal.subject_key set key_id = 'x' where subject_ref = %s", psycopg.Error),
        ("delete from personal.subject where subject_ref = %s", psycopg.Error),
        ("truncate personal.subject_key, personal.subject, personal.erasure", psycopg.Error),
        (
            "insert into personal.erasure (subject_ref, erased_at, erased_by, reason) "
            "values (%s, now(), 'x', ' ')",
            psycopg.Error,
        ),
    )
    for statement, error in writes:
        parameters = (ref,) if "%s" in statement else ()
        # The owner too, who holds every grant.
        with closing(database.admin()) as conn, pytest.raises(error):
            conn.execute(statement, parameters)
        with psycopg.connect(database.vault_url, autocommit=True) as conn, pytest.raises(error):
            conn.execute(statement, parameters)
    for url in (database.writer_url, database.reader_url, database.sealer_url):
        with psycopg.connect(url, autocommit=True) as conn:
            for table in ("subject", "subject_key", "erasure"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    conn.execute(f"select * from personal.{table}")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute("select personal.erase_subject(%s, now(), 'x', 'x')", (ref,))
    with psycopg.connect(database.auditor_url, autocommit=True) as conn:
        assert conn.execute("select count(*) from personal.subject").fetchone() == (PERSONS,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("select * from personal.subject_key")
    with psycopg.connect(database.vault_url, autocommit=True) as conn:
        for table in ("ledger.entry", "ledger.dead_letter", "audit.commit"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(f"select * from {table}")
    assert world.vault.key_of(ref) is not None


# ---- erasure; in this order


def test_a_hundred_are_erased_and_nobody_reads_them(
    world: World, stack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As it is before: the ledger, and a backup of the whole database.
    before = world.ledger()
    readable = sum(
        one.personal is not None for ref in world.refs.values() for one in world.records(ref)
    )
    assert readable == PERSONS * TRIPS + 30
    backup = copied_database(world, stack)
    try:
        done = world.carbon("erase", world.refs[0], "--because", "request 2026-114", "--by", "dpo")
        assert (done.returncode, done.stderr) == (0, "")
        assert world.refs[0] in done.stdout
        # One is interrupted after each step; the rest go through.
        interrupted = [world.refs[1], world.refs[2]]
        for ref, step in zip(interrupted, ("_finish", "_after_database"), strict=True):
            interrupt(world, ref, step, monkeypatch)
        for number in range(3, PERSONS):
            world.vault.erase(world.refs[number], by="dpo", reason="request 2026-114")
        assert world.carbon("replay-erasures").stdout.count("erased again") == 2
        assert world.carbon("replay-erasures").stdout == "0 erasures had anything left to do.\n"
        nobody_reads(world)
        assert world.ledger() == before
        restored_backup_opens_nothing(world, backup)
    finally:
        drop_database(stack, backup)


def interrupt(world: World, ref: str, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An erasure that dies after it was noted, or after the key was deleted."""

    def die(*_: object, **__: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if step == "_finish":
            patch.setattr(SubjectVault, "_finish", die)
        else:
            patch.setattr(KeyFiles, "destroy_secret", die)
        with pytest.raises(KeyboardInterrupt):
            world.vault.erase(ref, by="dpo", reason="request 2026-115")
    assert world.files.secret(ref) is not None


def nobody_reads(world: World) -> None:
    assert [ref for ref in world.refs.values() if world.vault.key_of(ref) is not None] == []
    found = [one for ref in world.refs.values() for one in world.records(ref)]
    assert len(found) == PERSONS * TRIPS + 30
    assert [one.personal for one in found if one.personal is not None] == []
    assert {one.unreadable for one in found} == {"the key was destroyed"}
    admin = world.bench.database.admin
    with closing(admin()) as conn:
        assert conn.execute("select count(*) from personal.subject_key").fetchone() == (0,)
        assert conn.execute("select count(*) from personal.erasure").fetchone() == (PERSONS,)
    assert [p for p in (world.folder / "subjects").rglob("*") if p.is_file()] == []
    assert len(world.files.erasures()) == PERSONS
    done = world.carbon("export", world.refs[7], "--to", "-")
    assert done.returncode == 0
    assert {json.loads(line)["personal"] for line in done.stdout.splitlines()} == {None}


def copied_database(world: World, stack: Any) -> str:
    """What a backup of the database taken now would restore: its URL, as the vault."""
    source = psycopg.conninfo.conninfo_to_dict(world.bench.database.vault_url)["dbname"]
    world.vault.close()
    name = f"restored_{source}"
    with psycopg.connect(stack.layout.database_url("postgres", "postgres"), autocommit=True) as on:
        on.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (source,)
        )
        on.execute(
            sql.SQL("create database {} template {}").format(
                sql.Identifier(name), sql.Identifier(str(source))
            )
        )
        on.execute(
            sql.SQL("grant connect on database {} to carbon_vault").format(sql.Identifier(name))
        )
    return str(stack.layout.database_url("carbon_vault", name))


def drop_database(stack: Any, url: str) -> None:
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    with psycopg.connect(stack.layout.database_url("postgres", "postgres"), autocommit=True) as on:
        on.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(str(name))))


def restored_backup_opens_nothing(world: World, url: str) -> None:
    """The keys are back in the database, and none opens; then they go again."""
    with SubjectVault(url, world.files, organization_id="acme") as restored:
        keys = sum(one.has_key for one in restored.subjects())
        assert keys == PERSONS
        # Whoever is asked for is erased again at once, the others by the command.
        assert restored.key_of(world.refs[5]) is None
        assert len(restored.replay()) == PERSONS - 1
        assert [one for one in restored.subjects() if one.has_key or one.erased_at is None] == []
        assert restored.replay() == []


def test_the_ledger_still_verifies(world: World) -> None:
    report = verify(world.bench.database.verifier_url, keys=[world.signer.key.public_key])
    assert report.counts == {}
    assert report.unsealed_entries == 0
    with (
        closing(world.bench.database.reader()) as conn,
        conn.cursor(row_factory=kwargs_row(EntryRow)) as cursor,
    ):
        rows = cursor.execute("select * from ledger.entry").fetchall()
    assert len(rows) > LINES * PERSONS * TRIPS
    assert report.looked_at["entries"] == len(rows)
    assert world.bench.rows("select sum(lines) from ledger.batch_part") == [(len(rows),)]
    assert [row.entry_id for row in rows if row.content_sha256 != content_sha256(row)] == []
    topic = Since.__new__(Since)
    topic.settings, topic.topic = world.bench.settings, world.bench.stream.topic
    topic.ends = dict.fromkeys(world.bench.highs, 0)
    payloads = {
        (one.partition(), one.offset()): hashlib.sha256(one.value()[5:]).digest()
        for one in topic.records()
    }
    posted = [row for row in rows if not row.is_reversal]
    assert [
        row.entry_id
        for row in posted
        if payloads[row.kafka_partition, row.kafka_offset] != row.payload_sha256
    ] == []


def test_who_comes_back_is_somebody_new(world: World) -> None:
    world.send((trip(3, 0), who(3)), (trip(3, 30), who(3)))
    result = world.bench.work()
    # The trip that is there already says something else now: it is set aside, not counted twice.
    assert (result.total("quarantined"), result.total("ledgered")) == (1, 1)
    new = world.vault.add(who(3).driver_id)
    assert new != world.refs[3]
    assert [one.personal for one in world.records(new)] == [who(3).values()] * 2
    assert {one.personal is None for one in world.records(world.refs[3])} == {True}
    world.vault.erase(new, by="dpo", reason="request 2026-116")
    assert [one.personal for one in world.records(new)] == [None, None]


# ---- the command


def test_the_command_adds_shows_and_refuses(world: World) -> None:
    added = world.carbon("add", given="plantedid777\n")
    assert added.returncode == 0
    ref = added.stdout.strip()
    assert world.carbon("add", "plantedid777").stdout.strip() == ref
    assert world.carbon("add", "plantedid777", "--organization", "other").stdout.strip() != ref
    listed = json.loads(world.carbon("list", "--json").stdout)
    assert [one["has_key"] for one in listed if one["subject_ref"] == ref] == [True]
    unknown = world.carbon("show", "Zebulon Plantedname001")
    assert unknown.returncode == 1
    assert "Plantedname" not in unknown.stdout + unknown.stderr
    assert world.carbon("erase", ref, "--because", " ").returncode == 1
    assert world.carbon("erase", ref, "--because", "request 7", "--by", "dpo").returncode == 0
    shown = world.carbon("show", ref).stdout
    assert "erased" in shown
    assert "by dpo, because: request 7" in shown
    again = json.loads(world.carbon("show", world.refs[3], "--json").stdout)
    assert [(one["stream"], one["entries"]) for one in again["ledger"]] == [
        ("transport", LINES * TRIPS)
    ]


def test_an_erasure_on_one_side_alone_is_completed(stack: Any, tmp_path: Path) -> None:
    """The list outside is lost, or the database is: either brings the other back."""
    files = KeyFiles(tmp_path / "vault.key")
    with (
        scratch_database(stack.layout.database_url) as database,
        SubjectVault(database.vault_url, files, organization_id="acme") as vault,
    ):
        ref, kept = vault.add("a"), vault.add("b")
        made = vault.erase(ref, by="dpo", reason="request 1")
        assert vault.erase(ref, by="other", reason="request 2") == made
        files.erasures_file.unlink()
        assert vault.replay() == [made]
        assert files.erasures() == [made]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            with closing(database.admin()) as conn:
                conn.execute(
                    "insert into personal.subject_key (subject_ref, lookup, wrapped_key, key_id) "
                    "values (%s, %s, '', '')",
                    (ref, bytes(32)),
                )
        assert vault.key_of(kept) is not None
        files.destroy_secret(kept)
        vault.close()
        with pytest.raises(BrokenInvariant, match="was not erased"):
            vault.key_of(kept)
