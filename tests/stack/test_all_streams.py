"""Events of every stream through real Kafka, Spark and PostgreSQL give the pure lines."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from psycopg.rows import dict_row

from carbon_ledger.calculation import EVENT_KINDS
from carbon_ledger.reference.files import Stated
from carbon_ledger.store.reference import apply_statements
from pipeline.serialization import Registry, widest_schema_text
from tests.support.event_cases import RECORDS, framed, outcome, said_of_row, sendable
from tests.support.micro_batch import micro_batch_bench

pytestmark = pytest.mark.stack


@pytest.mark.parametrize("stream", sorted(EVENT_KINDS))
def test_the_ledger_has_the_lines_of_the_pure_calculator(stack: Any, stream: str) -> None:
    cases = [fields for name, fields in sendable() if name == stream]
    with micro_batch_bench(stack, stream) as bench:
        with closing(bench.database.writer()) as conn:
            stated = [Stated(record=one, file="cases.yaml") for one in RECORDS]
            apply_statements(conn, stated, source="cases.yaml", source_sha256=bytes(32))
            conn.commit()
        registry = Registry(bench.settings)
        schema_id = registry.register(f"{bench.stream.topic}-value", widest_schema_text(stream))
        expected: dict[str, Any] = {}
        for fields in cases:
            event = EVENT_KINDS[stream].class_of(fields)(**fields)
            if event.event_id in expected:
                continue
            expected[event.event_id] = outcome(stream, fields)
            bench.send((b"k", framed(stream, fields, schema_id)))
        result = bench.work()
        refused = [code for code in expected.values() if isinstance(code, str)]
        assert result.total("records_read") == len(expected)
        assert result.total("dead_lettered") == len(refused)
        assert result.total("ledgered") == len(expected) - len(refused)
        letters = bench.rows("select reason_code from ledger.dead_letter")
        assert sorted(code for (code,) in letters) == sorted(refused)
        found: dict[str, list[Any]] = {}
        with closing(bench.database.reader()) as conn, conn.cursor(row_factory=dict_row) as cursor:
            cursor.execute("select * from ledger.entry order by event_id, line_no")
            for row in cursor:
                found.setdefault(row["event_id"], []).append(said_of_row(row))
        assert found == {
            event_id: lines for event_id, lines in expected.items() if not isinstance(lines, str)
        }
        windows = bench.rows("select sum(kgco2e), sum(entries) from windows.five_minute")
        entries = bench.rows("select sum(kgco2e), count(*) from ledger.entry")
        assert windows == entries


@pytest.mark.parametrize("stream", sorted(EVENT_KINDS))
def test_a_later_revision_takes_back_every_line_of_the_one_before(stack: Any, stream: str) -> None:
    first: dict[str, dict[str, Any]] = {}
    for name, fields in sendable():
        if name != stream or isinstance(outcome(stream, fields), str):
            continue
        later = {**fields, "revision": fields.get("revision", 0) + 1}
        if not isinstance(outcome(stream, later), str):
            first.setdefault(EVENT_KINDS[stream].class_of(fields)(**fields).activity_ref, fields)
    with micro_batch_bench(stack, stream) as bench:
        with closing(bench.database.writer()) as conn:
            stated = [Stated(record=one, file="cases.yaml") for one in RECORDS]
            apply_statements(conn, stated, source="cases.yaml", source_sha256=bytes(32))
            conn.commit()
        registry = Registry(bench.settings)
        schema_id = registry.register(f"{bench.stream.topic}-value", widest_schema_text(stream))
        expected: dict[str, Any] = {}
        for revision in (0, 1):
            for fields in first.values():
                sent = {**fields, "revision": fields.get("revision", 0) + revision}
                event = EVENT_KINDS[stream].class_of(sent)(**sent)
                bench.send((b"k", framed(stream, sent, schema_id)))
                if revision:
                    expected[event.event_id] = outcome(stream, sent)
            assert bench.work().total("ledgered") == len(first)
        found: dict[str, list[Any]] = {}
        with closing(bench.database.reader()) as conn, conn.cursor(row_factory=dict_row) as cursor:
            cursor.execute("select * from ledger.active_entry order by event_id, line_no")
            for row in cursor:
                found.setdefault(row["event_id"], []).append(said_of_row(row))
        assert found == expected
        assert stream != "transport" or any(len(lines) > 1 for lines in expected.values())
        windows = bench.rows("select sum(kgco2e), sum(entries) from windows.five_minute")
        assert windows == bench.rows("select sum(kgco2e), count(*) from ledger.active_entry")
