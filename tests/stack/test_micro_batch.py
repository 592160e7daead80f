"""The micro-batch on real parts: Kafka, registry, Spark Connect, PostgreSQL, archive.

Each test has a topic and a ledger database of its own, so that the planner of the running stack
takes no part, and drives the manifest by hand.
"""

from __future__ import annotations

import io
import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import fastavro
import pyarrow as pa
import pytest

from carbon_ledger.entries import content_sha256
from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.factor_book.rows import make_release, sealed
from carbon_ledger.store import factors, manifest, read
from carbon_ledger.store.rows import entries_of_event
from factor_seeds.load import release
from pipeline.serialization import Registry, encode, schema_text
from spark.archive import ArchivedObject
from spark.archive import read as read_archive
from spark.micro_batch import BatchResult
from spark.rebuild import rebuild
from tests.support.malformed import malformed_records
from tests.support.micro_batch import PARTITIONS, START, Bench, micro_batch_bench, reading
from tests.support.oracle import FACTOR_COLUMNS, decimal_text, kgco2e, weighed

pytestmark = pytest.mark.stack
FATES = ("ledgered", "duplicate", "dead_lettered", "quarantined")


@pytest.fixture
def bench(stack: Any) -> Iterator[Bench]:
    with micro_batch_bench(stack) as bench:
        yield bench


def test_readings_become_entries_equal_to_the_oracle_to_the_last_digit(bench: Bench) -> None:
    chance = Random(3)
    sent = {}
    for number in range(300):
        kwh = f"{chance.randrange(10**9)}.{chance.randrange(1000):03d}"
        event = reading(number, energy_kwh=kwh)
        sent[event.event_id] = kwh
        bench.send_events(event, partition=number % PARTITIONS)
    result = bench.work()
    assert (result.total("records_read"), result.total("ledgered")) == (300, 300)
    factor = {
        row[0]: weighed(*row[1:])
        for row in bench.rows(f"select f.factor_id, {FACTOR_COLUMNS} from factors.factor f")
    }
    found = bench.rows("select event_id, quantity, kgco2e, factor_id from ledger.iot_energy")
    assert len(found) == 300
    for event_id, quantity, kilograms, factor_id in found:
        assert quantity == Decimal(sent[event_id])
        assert f"{kilograms:f}" == decimal_text(kgco2e(sent[event_id], factor[factor_id]))
    with closing(bench.database.reader()) as conn:
        for event_id in list(sent)[:20]:
            row = entries_of_event(conn, event_id)[0]
            assert row.content_sha256 == content_sha256(row)
        assert read.check_windows(conn, [START.date()]) == []
        assert read.check_accounts(conn) == []


def test_every_kind_of_malformed_record_is_dead_lettered_with_its_reason_and_bytes(
    bench: Bench,
) -> None:
    """Good records beside them are ledgered, and the batch is not stopped."""
    bad = list(malformed_records(1_000, bench.schema_id, datetime.now(UTC), seed=5))
    assert len({one.kind for one in bad}) >= 20
    for number, one in enumerate(bad):
        bench.send((one.key, one.value), partition=number % PARTITIONS)
        if number % 10 == 0:
            bench.send_events(reading(number), partition=number % PARTITIONS)
    result = bench.work()
    assert result.total("ledgered") == 100
    assert result.total("dead_lettered") == 1_000
    letters = bench.rows(
        "select record_key, record_value, reason_code from ledger.dead_letter"
        " order by kafka_offset, kafka_partition"
    )
    assert Counter(letters) == Counter((one.key, one.value, one.reason_code) for one in bad)


def test_the_same_reading_again_is_a_duplicate_and_another_content_is_quarantined(
    bench: Bench,
) -> None:
    bench.send_events(reading(1), reading(1), reading(1, energy_kwh="13"))
    first = bench.work()
    bench.send_events(reading(1), reading(1, energy_kwh="14"), reading(2))
    second = bench.work()
    assert [first.total(name) for name in FATES] == [1, 1, 0, 1]
    assert [second.total(name) for name in FATES] == [1, 1, 0, 1]
    assert (
        bench.rows("select fate, reason_code from ledger.dead_letter")
        == [("quarantined", "identity_conflict")] * 2
    )


def test_a_higher_revision_corrects_and_a_late_lower_one_is_quarantined(bench: Bench) -> None:
    bench.send_events(reading(1, energy_kwh="10"), reading(2, energy_kwh="5", revision=2))
    bench.work()
    bench.send_events(reading(1, energy_kwh="11", revision=1), reading(2, energy_kwh="4"))
    result = bench.work()
    assert [result.total(name) for name in FATES] == [1, 0, 0, 1]
    assert result.total("lines") == 2
    standing = bench.rows("select event_id, quantity from ledger.active_entry order by event_id")
    assert [(event_id[4:6], str(quantity)) for event_id, quantity in standing] == [
        ("M1", "11"),
        ("M2", "5"),
    ]
    assert bench.rows("select sum(quantity) from windows.five_minute") == [(Decimal(16),)]
    assert bench.rows("select reason_code from ledger.dead_letter") == [("stale_revision",)]


def test_each_commit_lists_what_it_posted_in_the_transaction_that_posted_it(bench: Bench) -> None:
    bench.send_events(*(reading(number) for number in range(40)), partition=0)
    bench.send_events(reading(90), reading(91, energy_kwh="2.5"), partition=1)
    bench.work()
    bench.send_events(reading(0, energy_kwh="3", revision=1), reading(40), reading(90), partition=0)
    bench.work()
    bench.send_events(reading(90), partition=1)
    bench.work()
    commits = bench.rows(
        "select entry_ids, content_sha256s, entries, recorded_at, batch_id, kafka_partition,"
        " start_offset from audit.commit order by commit_id"
    )
    assert [
        (commit[2], commit[5], commit[6]) for commit in sorted(commits, key=lambda c: c[4:])
    ] == [
        (40, 0, 0),
        (2, 1, 0),
        (3, 0, 40),
    ]
    listed = {}
    for ids, hashes, entries, recorded_at, batch_id, partition, _ in commits:
        for place in range(entries):
            entry_id = UUID(bytes=bytes(ids[16 * place : 16 * place + 16]))
            content = bytes(hashes[32 * place : 32 * place + 32])
            listed[entry_id] = (content, recorded_at, batch_id, partition)
    entries = bench.rows(
        "select entry_id, content_sha256, recorded_at, batch_id, kafka_partition from ledger.entry"
    )
    assert listed == {row[0]: (bytes(row[1]), *row[2:]) for row in entries}
    assert len(entries) == sum(commit[2] for commit in commits) == 45


def test_a_committed_batch_run_again_changes_nothing(bench: Bench) -> None:
    bench.send_events(*(reading(number) for number in range(50)))
    plan = bench.plan()
    bench.run(plan)
    again = bench.run(plan)
    assert all(part.already_committed for part in again.parts)
    assert bench.rows("select count(*) from ledger.entry") == [(50,)]


def test_an_attempt_that_was_replaced_cannot_commit(bench: Bench) -> None:
    """A run declared dead may still be alive: its commit is refused, its successor's is not."""
    bench.send_events(reading(1))
    stale = bench.plan()
    with closing(bench.database.writer(autocommit=True)) as conn:
        manifest.fail_attempt(conn, stale.batch_id, stale.attempt, "taken for dead")
        fresh = manifest.live_batch(conn, bench.stream.name)
        assert fresh is not None
        assert fresh.attempt > stale.attempt
        with pytest.raises(BrokenInvariant, match="fenced"):
            bench.run(stale)
        assert bench.rows("select count(*) from ledger.entry") == [(0,)]
        bench.run(manifest.begin_attempt(conn, fresh.batch_id, fresh.attempt, "successor"))
    assert bench.rows("select count(*) from ledger.entry") == [(1,)]


def test_two_drivers_on_the_same_batch_at_once_add_nothing_twice(bench: Bench) -> None:
    bench.send_events(*(reading(number) for number in range(2_000)))
    plan = bench.plan()
    results: list[BatchResult] = []
    threads = [threading.Thread(target=lambda: results.append(bench.run(plan))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(results) == 2
    assert sum(result.total("ledgered") for result in results) == 2_000
    assert bench.rows("select count(*) from ledger.entry") == [(2_000,)]


def test_records_written_with_an_older_schema_are_read_beside_new_ones(bench: Bench) -> None:
    """Several schema ids in one batch; the older writer lacks the fields that have defaults."""
    older = json.loads(schema_text("iot_energy"))
    older["fields"] = [field for field in older["fields"] if field["name"] not in ("revision",)]
    text = json.dumps(older, separators=(",", ":"))
    older_id = Registry(bench.settings).register(f"{bench.stream.topic}-value", text)
    fields = reading(7, energy_kwh="3").to_avro_fields()
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(older), fields)
    bench.send((b"M7", bytes([0]) + older_id.to_bytes(4, "big") + body.getvalue()))
    bench.send_events(reading(8))
    assert bench.work().total("ledgered") == 2
    hashes = bench.rows("select distinct schema_sha256 from ledger.entry")
    assert {row[0] for row in hashes} <= {
        row[0] for row in bench.rows("select schema_sha256 from factors.writer_schema")
    }
    assert len(hashes) == 2


def test_the_archive_holds_every_record_as_it_was_and_tells_an_altered_object(
    bench: Bench, tmp_path: Any
) -> None:
    value = encode(reading(1), bench.schema_id)
    bench.producer.produce(
        bench.stream.topic, key=b"k", value=value, partition=0, headers=[("trace", b"\x00\xff")]
    )
    bench.highs[0] += 1
    bench.send((b"bad", b"\x09"))
    bench.work()
    path, sha256, size = bench.rows(
        "select archive_object, archive_sha256, archive_bytes from ledger.batch_part"
    )[0]
    archived = ArchivedObject(path=path, sha256=sha256, size_bytes=size)
    table = pa.Table.from_batches(list(read_archive(bench.settings.archive_url, archived)))
    assert table.column("value").to_pylist() == [value, b"\x09"]
    assert table.column("headers").to_pylist()[0] == [{"key": "trace", "value": b"\x00\xff"}]
    file = bench.settings.archive_url.removeprefix("file://") + "/" + path
    os.chmod(file, 0o644)
    with open(file, "r+b") as handle:
        handle.seek(50)
        byte = handle.read(1)
        handle.seek(50)
        handle.write(bytes([byte[0] ^ 1]))
    with pytest.raises(BrokenInvariant, match="no longer has the hash"):
        list(read_archive(bench.settings.archive_url, archived))


def test_a_rebuild_adds_nothing_and_reports_what_would_differ(bench: Bench) -> None:
    bench.send_events(*(reading(number) for number in range(40)), reading(1))
    bench.send((b"bad", b"\x09"))
    bench.work()
    with closing(bench.database.writer(autocommit=True)) as conn:
        plans = manifest.plans_of_partitions(conn, bench.stream.name, ["2026-01-01-00:00"])
    report = rebuild(bench.spark, bench.database.writer_url, plans, bench.settings)
    assert (report.records_read, report.known, report.refused) == (42, 41, 1)
    assert not report.differs
    shifted = [
        sealed(replace(row, version=row.version + 1, kgco2e_per_unit=row.kgco2e_per_unit * 2))
        if row.country_iso2 == "DE"
        else row
        for row in release().rows
    ]
    with closing(bench.database.writer(autocommit=True)) as conn:
        factors.store_release(conn, make_release("doubled", shifted))
    report = rebuild(bench.spark, bench.database.writer_url, plans, bench.settings)
    assert (report.known, report.differ_figure) == (0, 41)
    assert "in the ledger" in report.samples[0]
    assert bench.rows("select count(*) from ledger.entry") == [(40,)]
