"""Entries computed again from the archive alone, on real parts: all topics are gone by then.

One ledger for the module: several streams, two schemas, corrections by later revisions and by hand,
duplicates, refusals, and reference data that changed between batches.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import fastavro
import psycopg
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from confluent_kafka.admin import AdminClient

from carbon_ledger import settings as settings_module
from carbon_ledger.errors import CarbonError
from carbon_ledger.factor_book.rows import make_release, sealed
from carbon_ledger.lineage.part_terms import terms_of, terms_text
from carbon_ledger.reference.files import Stated
from carbon_ledger.reference.records import Site
from carbon_ledger.restatement import Target
from carbon_ledger.store.correct import post_correction
from carbon_ledger.store.factors import store_release
from carbon_ledger.store.reference import (
    REFERENCE_LOCK,
    apply_statements,
    await_reference_writers,
)
from carbon_ledger.store.reports import build_esrs_e1
from carbon_ledger.store.restatements import approve
from carbon_ledger.store.rows import find_entry
from cli.main import group
from factor_seeds.load import release
from pipeline.kafka import kafka_config
from pipeline.serialization import Registry, schema_text, widest_schema_text
from spark import restate
from spark.archive import TERMS_KEY, read_terms
from tests.support.event_cases import RECORDS, framed, sendable
from tests.support.micro_batch import Bench, bench_on, reading
from tests.support.postgres import LedgerDatabase, scratch_database

pytestmark = pytest.mark.stack
YEAR = 2024
READINGS = 1_000
CORRECTED = 60
FACILITIES = (("KR-1", "KR"), ("US-1", "US"), ("GB-1", "GB"), ("F1", "DE"))


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A ledger whose Kafka topics are gone."""

    database: LedgerDatabase
    superuser_url: str
    archive: Path

    def carbon(self, *words: str, organizations: str = "*") -> Result:
        """The `carbon` command on this ledger."""
        environment = {
            "CARBON_ORGANIZATIONS": organizations,
            "CARBON_DATABASE_AUDITOR_URL": self.database.auditor_url,
            "CARBON_DATABASE_READER_URL": self.database.reader_url,
            "CARBON_ARCHIVE_URL": f"file://{self.archive}",
            # Nobody answers there: neither Kafka nor the registry is needed.
            "CARBON_REGISTRY_URL": "http://127.0.0.1:9",
            "CARBON_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
        }
        return CliRunner(env=environment).invoke(group, list(words))

    def reperformed(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Exit code and answer of `carbon reperform`."""
        result = self.carbon("reperform", "--json", *words)
        assert result.exit_code in (0, 1), result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)
        answer: dict[str, Any] = json.loads(result.output)
        return result.exit_code, answer

    def rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        with closing(self.database.auditor()) as conn:
            return conn.execute(statement, parameters).fetchall()

    @contextmanager
    def altered(self, change: str, undo: str, *parameters: object) -> Iterator[None]:
        """A change that only a superuser can make, past every guard; undone at the end."""
        with psycopg.connect(self.superuser_url, autocommit=True) as conn:
            conn.execute("set session_replication_role = replica")
            assert conn.execute(change, parameters).rowcount == 1
            try:
                yield
            finally:
                assert conn.execute(undo, parameters).rowcount == 1


@pytest.fixture(scope="module")
def recorded(stack: Any) -> Iterator[Recorded]:
    settings = settings_module.load()
    with scratch_database(stack.layout.database_url, with_factors=True) as database:
        _apply(database, RECORDS)
        with ExitStack() as benches:
            bench = benches.enter_context(bench_on(database, "iot_energy"))
            _send_readings(bench)
            bench.work()
            moved = replace(
                next(one for one in RECORDS if isinstance(one, Site) and one.facility_id == "KR-1"),
                organization_id="elsewhere",
                time_zone="Europe/Berlin",
            )
            _apply(database, [moved])
            _send_revisions(bench)
            bench.work()
            _correct_by_hand(database)
            with closing(database.writer()) as conn:
                build_esrs_e1(
                    conn, YEAR, snapshot_id=uuid4(), run_id="a-run", code_version="a-version"
                )
                conn.commit()
            for stream in ("transport", "logistics", "procurement", "supplier", "activities"):
                _send_cases(benches.enter_context(bench_on(database, stream)), stream)
            _restate(database, settings)
        topics = {row[0] for row in _all(database, "select distinct topic from ledger.batch_part")}
        assert len(topics) == 6
        _await_gone(AdminClient(kafka_config(settings)), topics)
        with closing(database.writer()) as conn:
            name = conn.info.dbname
        yield Recorded(
            database=database,
            superuser_url=stack.layout.database_url("postgres", name),
            archive=Path(settings.archive_url.removeprefix("file://")),
        )


def _restate(database: LedgerDatabase, settings: settings_module.Settings) -> None:
    """Doubles the figures of one country by a further release, as two people approved."""
    doubled = [
        sealed(replace(row, version=row.version + 1, kgco2e_per_unit=row.kgco2e_per_unit * 2))
        if row.country_iso2 == "DE" and row.family == "grid"
        else row
        for row in release().rows
    ]
    changed = make_release("doubled", doubled, release().index_rows)
    with closing(database.writer(autocommit=True)) as conn:
        store_release(conn, changed)
        found = restate.preview(
            conn,
            settings,
            Target(release_id=changed.release_id),
            first_date=date(YEAR, 1, 1),
            end_date=date(YEAR + 1, 1, 1),
            by="controller",
            reason="the publisher corrected its figure",
        ).restatement
        assert found is not None
        for person in ("Grace", "Edsger"):
            approve(conn, found.restatement_id, person, "checked against the publication")
        posted = restate.post(conn, settings, found.restatement_id, by="controller")
        assert sum(one.entries for one in posted) > 100


def _await_gone(admin: AdminClient, topics: set[str]) -> None:
    """Deleting a topic is acknowledged before every list of topics lacks it."""
    deadline = time.monotonic() + 60
    while topics & set(admin.list_topics(timeout=10).topics):
        assert time.monotonic() < deadline, "the topics are still there"
        time.sleep(0.2)


def _all(database: LedgerDatabase, statement: str) -> list[tuple[Any, ...]]:
    with closing(database.reader()) as conn:
        return conn.execute(statement).fetchall()


def _apply(database: LedgerDatabase, records: Any) -> None:
    with closing(database.writer()) as conn:
        stated = [Stated(record=one, file="cases.yaml") for one in records]
        apply_statements(conn, stated, source="cases.yaml", source_sha256=bytes(32))
        conn.commit()


def _send_readings(bench: Bench) -> None:
    chance = Random(11)
    for number in range(READINGS):
        facility, country = FACILITIES[number % len(FACILITIES)]
        kwh = f"{chance.randrange(10 ** (1 + number % 6))}.{chance.randrange(1000):03d}"
        event = reading(number, facility_id=facility, country_iso2=country, energy_kwh=kwh)
        bench.send_events(event, partition=number % 2)
    older = json.loads(schema_text("iot_energy"))
    older["fields"] = [one for one in older["fields"] if one["name"] != "revision"]
    text = json.dumps(older, separators=(",", ":"))
    older_id = Registry(bench.settings).register(f"{bench.stream.topic}-value", text)
    for number in range(READINGS, READINGS + 20):
        body = io.BytesIO()
        fields = reading(number, energy_kwh="3.25").to_avro_fields()
        fastavro.schemaless_writer(body, fastavro.parse_schema(older), fields)
        bench.send((b"old", bytes([0]) + older_id.to_bytes(4, "big") + body.getvalue()))


def _send_revisions(bench: Bench) -> None:
    for number in range(CORRECTED):
        facility, country = FACILITIES[number % len(FACILITIES)]
        event = reading(
            number, facility_id=facility, country_iso2=country, energy_kwh="77.5", revision=1
        )
        bench.send_events(event, partition=number % 2)
    for number in range(READINGS + 20, READINGS + 60):
        facility, country = FACILITIES[number % len(FACILITIES)]
        bench.send_events(
            reading(number, facility_id=facility, country_iso2=country), partition=number % 2
        )
    bench.send((b"bad", b"\x09"))
    bench.send_events(reading(READINGS - 1, facility_id="GB-1", energy_kwh="999999"))


def _send_cases(bench: Bench, stream: str) -> None:
    registry = Registry(bench.settings)
    schema_id = registry.register(f"{bench.stream.topic}-value", widest_schema_text(stream))
    for name, fields in sendable():
        if name == stream:
            bench.send((b"k", framed(stream, fields, schema_id)))
    bench.work()


def _correct_by_hand(database: LedgerDatabase) -> None:
    with closing(database.writer()) as conn:
        found = conn.execute(
            "select activity_month, entry_id from ledger.active_entry order by entry_id limit 3"
        ).fetchall()
        conn.rollback()
        for number, (month, entry_id) in enumerate(found):
            original = find_entry(conn, month, entry_id)
            conn.rollback()
            assert original is not None
            post_correction(
                conn,
                activity_month=month,
                entry_id=entry_id,
                replacement=None if number == 2 else replace(original, quantity=original.quantity),
                cause="meter read again, on the word of the site manager",
            )


def test_a_thousand_drawn_entries_come_out_equal_without_kafka(recorded: Recorded) -> None:
    code, answer = recorded.reperformed("--sample", "1000", "--seed", "7", "--uniform")
    assert (code, answer["entries"], answer["faults"]) == (0, 1000, [])
    assert answer["equal"] + answer["by_hand"] == 1000
    code, answer = recorded.reperformed("--sample", "1000", "--seed", "7")
    assert (code, answer["entries"], answer["faults"]) == (0, 1000, [])
    assert answer["equal"] + answer["by_hand"] == 1000


def test_the_whole_ledger_comes_out_equal_and_what_was_said_by_hand_is_named(
    recorded: Recorded,
) -> None:
    code, answer = recorded.reperformed("--all")
    assert (code, answer["faults"]) == (0, [])
    assert answer["entries"] == recorded.rows("select count(*) from ledger.entry")[0][0]
    assert answer["equal"] == answer["entries"] - 2
    assert [one["cause"] for one in answer["posted_by_hand"]] == [
        "meter read again, on the word of the site manager"
    ] * 2
    kinds = recorded.rows("select count(*) from audit.commit c where c.kind = 'restatement'")
    assert kinds[0][0] > 0
    changed = recorded.rows(
        "select count(distinct organization_id), count(*) from ledger.entry"
        " where facility_id = 'KR-1' and stream = 'iot_energy'"
    )
    assert changed[0][0] == 2, "reference data changed between batches, and both are re-performed"


def test_a_ledger_rebuilt_from_the_archive_alone_has_the_same_digest(
    recorded: Recorded, stack: Any, tmp_path: Path
) -> None:
    """Into an empty database; objects of attempts that did not commit change nothing."""
    archive = tmp_path / "archive"
    for folder in ("schemas", "releases", "reference"):
        shutil.copytree(recorded.archive / folder, archive / folder)
    for (topic,) in recorded.rows("select distinct topic from ledger.batch_part"):
        shutil.copytree(recorded.archive / topic, archive / topic)
    uncommitted = _with_an_attempt_that_did_not_commit(recorded, archive)
    with scratch_database(stack.layout.database_url) as empty:
        result = recorded.carbon(
            *("rebuild", "--json", "--archive", f"file://{archive}"),
            *("--database", empty.writer_url),
        )
        assert result.exception is None, result.output
        answer = json.loads(result.output)
        assert answer["left_out"] == [uncommitted]
        assert (answer["undescribed"], answer["gaps"]) == ([], [])
        before = recorded.rows(
            "select sum(records_read), sum(ledgered), sum(duplicate), sum(dead_lettered),"
            " sum(quarantined), sum(lines) from ledger.batch_part"
        )[0]
        names = ("records_read", "ledgered", "duplicate", "dead_lettered", "quarantined", "lines")
        assert tuple(answer[name] for name in names) == before
        original = _digest(recorded, "--from-records", "--any-code")
        assert (answer["sha256_of_any_code"], answer["entries"]) == original
        if not answer["other_code"]:
            assert answer["sha256"] == _digest(recorded, "--from-records")[0]
        rebuilt = replace(recorded, database=empty, archive=archive)
        assert original == _digest(rebuilt, "--any-code")
        assert rebuilt.reperformed("--all")[1]["equal"] == answer["entries"]
        again = recorded.carbon(
            *("rebuild", "--archive", f"file://{archive}", "--database", empty.writer_url)
        )
        assert isinstance(again.exception, CarbonError)
        assert again.exception.code == "ledger_not_empty"


def _digest(recorded: Recorded, *words: str) -> tuple[str, int]:
    answer = json.loads(recorded.carbon("ledger", "digest", "--json", *words).output)
    return answer["sha256"], answer["entries"]


def _with_an_attempt_that_did_not_commit(recorded: Recorded, archive: Path) -> str:
    """The same records once more, as an earlier try of the same attempt would have left them."""
    path = recorded.rows("select archive_object from ledger.batch_part order by 1 limit 1")[0][0]
    table = pq.read_table(archive / path)
    text = read_terms(f"file://{archive}", path)
    assert text is not None
    terms = terms_of(text)
    earlier = replace(terms, recorded_at=terms.recorded_at - timedelta(seconds=30))
    content = io.BytesIO()
    described = {TERMS_KEY: terms_text(earlier)}
    pq.write_table(table.replace_schema_metadata(described), content)
    name = f"{hashlib.sha256(content.getvalue()).hexdigest()}.parquet"
    (archive / path).with_name(name).write_bytes(content.getvalue())
    return f"{path.rpartition('/')[0]}/{name}"


def test_the_digest_tells_a_changed_entry(recorded: Recorded) -> None:
    entry_id = _an_entry(recorded)[0]
    before = _digest(recorded)
    with recorded.altered(
        "update ledger.entry set flags = flags || ',x' where entry_id = %s",
        "update ledger.entry set flags = left(flags, -2) where entry_id = %s",
        entry_id,
    ):
        assert _digest(recorded)[0] != before[0]
    assert _digest(recorded) == before


def _an_entry(recorded: Recorded, where: str = "true") -> Any:
    return recorded.rows(
        "select entry_id, activity_month, factor_id, schema_sha256, topic, kafka_partition,"
        f" kafka_offset from ledger.active_entry where topic is not null and {where}"
        " order by entry_id limit 1"
    )[0]


def test_an_altered_figure_is_found_and_named(recorded: Recorded) -> None:
    entry_id = _an_entry(recorded)[0]
    with recorded.altered(
        "update ledger.entry set kgco2e = kgco2e + 0.000000000001 where entry_id = %s",
        "update ledger.entry set kgco2e = kgco2e - 0.000000000001 where entry_id = %s",
        entry_id,
    ):
        code, answer = recorded.reperformed("--all")
        assert code == 1
        assert [one["entry_id"] for one in answer["faults"]] == [str(entry_id)]
        assert {one["field"] for one in answer["faults"][0]["differences"]} == {
            "kgco2e",
            "content_sha256",
        }
        said = recorded.carbon("reperform", "--entry", str(entry_id))
        assert said.exit_code == 1
        assert f"differs: {entry_id}" in said.output
        assert "is stored" in said.output
    assert recorded.reperformed("--all")[0] == 0


def test_an_altered_factor_row_is_found_and_named(recorded: Recorded) -> None:
    factor_id = _an_entry(recorded, "stream = 'iot_energy' and country_iso2 = 'GB'")[2]
    with recorded.altered(
        "update factors.factor set kgco2e_per_unit = kgco2e_per_unit + 1 where factor_id = %s",
        "update factors.factor set kgco2e_per_unit = kgco2e_per_unit - 1 where factor_id = %s",
        factor_id,
    ):
        code, answer = recorded.reperformed("--sample", "50")
        assert code == 1
        assert factor_id in answer["faults"][0]["reason"]
        assert answer["faults"][0]["code"] == "factor_hash"


def test_an_archived_byte_that_was_flipped_is_found_and_named(recorded: Recorded) -> None:
    path, records = recorded.rows(
        "select archive_object, records_read from ledger.batch_part order by recorded_at limit 1"
    )[0]
    file = recorded.archive / path
    with _flipped(file):
        code, answer = recorded.reperformed("--all")
        assert code == 1
        assert len(answer["faults"]) >= records
        assert {one["code"] for one in answer["faults"]} <= {"archive_altered", "original_fails"}
        assert all(path in one["reason"] for one in answer["faults"])
        assert answer["equal"] > 0, "what lies in other objects is still computed"
    assert recorded.reperformed("--all")[0] == 0


@contextmanager
def _flipped(file: Path) -> Iterator[None]:
    original = file.read_bytes()
    os.chmod(file, stat.S_IRUSR | stat.S_IWUSR)
    try:
        middle = len(original) // 2
        file.write_bytes(original[:middle] + bytes([original[middle] ^ 1]) + original[middle + 1 :])
        yield
    finally:
        file.write_bytes(original)
        os.chmod(file, stat.S_IRUSR)


def test_a_schema_that_is_missing_is_found_and_named(recorded: Recorded) -> None:
    older = recorded.rows(
        "select schema_id, schema_sha256, subject, schema_text from factors.writer_schema"
        " where schema_text not like '%%revision%%' limit 1"
    )[0]
    with psycopg.connect(recorded.superuser_url, autocommit=True) as conn:
        conn.execute("set session_replication_role = replica")
        conn.execute("delete from factors.writer_schema where schema_id = %s", (older[0],))
        try:
            code, answer = recorded.reperformed("--all")
        finally:
            conn.execute(
                "insert into factors.writer_schema (schema_id, schema_sha256, subject, schema_text)"
                " values (%s, %s, %s, %s)",
                older,
            )
    assert code == 1
    assert len(answer["faults"]) >= 20
    assert {one["code"] for one in answer["faults"]} <= {"unknown_schema_id", "original_fails"}
    assert f"schema id {older[0]} " in answer["faults"][0]["reason"]


def test_a_bundle_is_computed_again_with_python_alone(recorded: Recorded, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    result = recorded.carbon("export-bundle", str(folder), "--sample", "300", "--seed", "3")
    assert result.exception is None, result.output
    equal = _recomputed(folder)
    assert equal.returncode == 0, equal.stdout + equal.stderr
    computed = int(equal.stdout.split(" of ")[0])
    assert f"{computed} of {computed} equal" in equal.stdout
    assert computed > 290
    sampled = [json.loads(one) for one in (folder / "entries.jsonl").read_text().splitlines()]
    assert sum(one["is_sampled"] for one in sampled) == 300
    victim = next(one for one in sampled if one["kind"] == "record" and one["is_sampled"])
    victim["entry"]["kgco2e"] = "1.000000000000"
    text = "".join(json.dumps(one) + "\n" for one in sampled)
    (folder / "entries.jsonl").write_text(text)
    altered = _recomputed(folder)
    assert altered.returncode == 1
    assert "file: entries.jsonl is not the file that was exported" in altered.stdout
    assert f"{victim['entry']['entry_id']} (record): kgco2e: 1.000000000000 is stored" in (
        altered.stdout
    )
    again = recorded.carbon("export-bundle", str(folder), "--sample", "3")
    assert isinstance(again.exception, CarbonError)
    assert again.exception.code == "folder_not_empty"


def _recomputed(folder: Path) -> subprocess.CompletedProcess[str]:
    """What the bundle's script says where there is no library and no path."""
    return subprocess.run(
        [sys.executable, "-I", "-S", "reperform.py"],
        cwd=folder,
        env={"PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_bundle_of_named_entries_has_every_stream(recorded: Recorded, tmp_path: Path) -> None:
    ids = [
        str(row[0])
        for row in recorded.rows(
            "select entry_id from (select entry_id, row_number() over (partition by stream,"
            " formula_id, reverses_id is null order by entry_id) as place from ledger.entry) t"
            " where place <= 2"
        )
    ]
    file = tmp_path / "ids.txt"
    file.write_text("\n".join(ids))
    folder = tmp_path / "bundle"
    result = recorded.carbon("export-bundle", str(folder), "--entries", str(file))
    assert result.exception is None, result.output
    said = _recomputed(folder)
    assert said.returncode == 0, said.stdout + said.stderr
    streams = {
        json.loads(one)["entry"]["stream"]
        for one in (folder / "entries.jsonl").read_text().splitlines()
    }
    assert streams == {
        "iot_energy",
        "transport",
        "logistics",
        "procurement",
        "supplier",
        "activities",
    }


def _traced(recorded: Recorded, what: str, *words: str) -> Any:
    result = recorded.carbon("trace", what, "--json", *words)
    assert result.exception is None, result.output
    told = recorded.carbon("trace", what, *words)
    assert told.exception is None, told.output
    return json.loads(result.output), told.output


def test_a_figure_is_traced_to_its_entries_and_an_entry_to_its_bytes(recorded: Recorded) -> None:
    stories, text = _traced(recorded, f"{YEAR}:E1-6_09:DE", "--size", "5")
    story = next(one for one in stories if one["cell"]["organization_id"] == "default")
    assert story["is_sum_of_its_entries"]
    assert "that is the value" in text
    assert story["pages"] == -(-story["lines"] // 5)
    sizes = [abs(float(one["kgco2e"])) for one in story["entries"]]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == 5
    second = _traced(recorded, f"{YEAR}:E1-6_09:DE", "--size", "5", "--page", "2")[0]
    first_ids = {one["entry_id"] for one in story["entries"]}
    page = next(one for one in second if one["cell"]["organization_id"] == "default")
    assert not first_ids & {one["entry_id"] for one in page["entries"]}
    posted = next(one for one in story["entries"] if one["reverses_id"] is None)
    entry, text = _traced(recorded, posted["entry_id"])
    record = entry["record"]
    assert record["comes_out_equal"]
    assert record["payload"]["sha256"] == record["payload_sha256"]
    assert record["payload"]["fields"]["country_iso2"] == "DE"
    assert (recorded.archive / record["archive_object"]).is_file()
    assert entry["factor"]["licence"]
    assert entry["batch"]["run_id"] == "run"
    assert entry["seal"]["kind"] == "part"
    assert [one["window"] for one in entry["windows"]] == ["five_minutes", "day"]
    assert {one["country_iso2"] for one in entry["cells"]} == {"", "DE"}
    figure = entry["entry"]["kgco2e"].rstrip("0").rstrip(".")
    assert any(f"= {figure} kgCO2e" in line for line in record["working"])
    for said in ("working:", "source:", "licence:", "Dagster run run", "archive object"):
        assert said in text


def test_a_record_is_traced_to_its_entries_their_reversals_and_the_reports(
    recorded: Recorded,
) -> None:
    event_id, topic, partition, offset, incarnation = recorded.rows(
        "select e.event_id, e.topic, e.kafka_partition, e.kafka_offset, e.topic_incarnation"
        " from ledger.entry e join ledger.reversal r on r.entry_id = e.entry_id"
        " join ledger.entry b on b.entry_id = r.reversal_entry_id"
        " where b.topic is not null and e.country_iso2 = 'GB' order by e.entry_id limit 1"
    )[0]
    story, text = _traced(recorded, f"{topic}@{incarnation}:{partition}:{offset}")
    assert (story, text) == _traced(recorded, event_id)
    assert story["fate"] == "ledgered"
    states = [(one["is_of_this_record"], one["stands"]) for one in story["entries"]]
    assert states == [(True, False), (False, False), (False, True)]
    assert story["entries"][1]["reverses_id"] == story["entries"][0]["entry_id"]
    assert story["entries"][1]["cause"].startswith("revision 1 of ")
    assert story["entries"][0]["cells"]
    assert "takes back" in text


def test_refused_records_are_traced_to_their_reason(recorded: Recorded) -> None:
    letters = recorded.rows(
        "select topic, kafka_partition, kafka_offset, fate, reason_code from ledger.dead_letter"
    )
    assert {one[3] for one in letters} == {"dead_lettered", "quarantined"}
    for topic, partition, offset, fate, code in letters:
        story, text = _traced(recorded, f"{topic}:{partition}:{offset}")
        assert (story["fate"], story["dead_letter"]["reason_code"]) == (fate, code)
        assert code in text
    nothing = recorded.carbon("trace", "raw.nothing:0:1")
    assert isinstance(nothing.exception, CarbonError)
    assert nothing.exception.code == "unknown_record"


def test_a_record_of_another_organization_is_not_shown(recorded: Recorded) -> None:
    """The archive knows no organizations: what may be seen is asked of the database."""
    topic, partition, offset, entry_id = recorded.rows(
        "select topic, kafka_partition, kafka_offset, entry_id from ledger.entry"
        " where organization_id = 'acme' and topic is not null order by entry_id limit 1"
    )[0]
    place = f"{topic}:{partition}:{offset}"
    for what, code in ((place, "unknown_record"), (str(entry_id), "unknown_entry")):
        hidden = recorded.carbon("trace", what, organizations="elsewhere")
        assert isinstance(hidden.exception, CarbonError)
        assert hidden.exception.code == code
        seen = recorded.carbon("trace", what, organizations="acme")
        assert seen.exception is None, seen.output


def test_a_part_waits_for_reference_data_that_is_being_recorded(recorded: Recorded) -> None:
    """Else a statement with an earlier moment could come after the part has looked."""
    done = threading.Event()

    def wait() -> None:
        with closing(recorded.database.writer()) as conn:
            await_reference_writers(conn)
            done.set()

    with closing(recorded.database.writer()) as recording:
        recording.execute("select pg_advisory_xact_lock(%s, 0)", (REFERENCE_LOCK,))
        waiter = threading.Thread(target=wait)
        waiter.start()
        assert not done.wait(1)
        recording.commit()
        assert done.wait(20)
        waiter.join(20)
