"""Restating events of several lines that came through Kafka and Spark, and revising them after."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from psycopg.rows import dict_row

from carbon_ledger.calculation import EVENT_KINDS
from carbon_ledger.entries import content_sha256
from carbon_ledger.factor_book.rows import make_release, sealed
from carbon_ledger.quantities import exact_product
from carbon_ledger.reference.files import Stated
from carbon_ledger.restatement import Target
from carbon_ledger.store import factors
from carbon_ledger.store.correct import read_entry
from carbon_ledger.store.reference import apply_statements
from carbon_ledger.store.restatement_posting import posting_faults
from carbon_ledger.store.restatements import approve, restatement_lines
from factor_seeds.load import release
from pipeline.serialization import Registry, widest_schema_text
from spark.restate import post, preview
from tests.support.event_cases import RECORDS, framed, outcome, said_of_row, sendable
from tests.support.micro_batch import micro_batch_bench

pytestmark = pytest.mark.stack

SPAN = {"first_date": date(2024, 1, 1), "end_date": date(2026, 1, 1)}


def revised(factor_ids: set[str]) -> Any:
    """The shipped release with some figures a tenth higher."""
    shipped = release()
    rows = []
    for row in shipped.rows:
        if row.factor_id in factor_ids:
            kg = exact_product(row.kgco2e_per_unit, Decimal("1.1"))
            # One without gases of its own has no other way to its CO2e.
            rows.append(
                sealed(
                    replace(
                        row,
                        version=row.version + 1,
                        kgco2e_per_unit=kg,
                        kg_co2_per_unit=None,
                        kg_ch4_per_unit=None,
                        kg_n2o_per_unit=None,
                    )
                )
            )
        else:
            rows.append(row)
    return make_release(shipped.name, rows, shipped.index_rows)


@pytest.mark.parametrize("stream", ["transport", "iot_energy", "procurement"])
def test_lines_of_one_factor_are_restated_and_their_neighbours_are_not(
    stack: Any, stream: str
) -> None:
    accepted: dict[str, dict[str, Any]] = {}
    for name, fields in sendable():
        if name == stream and not isinstance(outcome(stream, fields), str):
            accepted.setdefault(EVENT_KINDS[stream].class_of(fields)(**fields).activity_ref, fields)
    with micro_batch_bench(stack, stream) as bench:
        with closing(bench.database.writer()) as conn:
            stated = [Stated(record=one, file="cases.yaml") for one in RECORDS]
            apply_statements(conn, stated, source="cases.yaml", source_sha256=bytes(32))
            conn.commit()
        registry = Registry(bench.settings)
        schema_id = registry.register(f"{bench.stream.topic}-value", widest_schema_text(stream))
        for fields in accepted.values():
            bench.send((b"k", framed(stream, fields, schema_id)))
        assert bench.work().total("ledgered") == len(accepted)
        there = dict(bench.rows("select entry_id, content_sha256 from ledger.entry"))
        # The factor of the last line of an event that has several.
        ((factor_id,),) = bench.rows(
            "select factor_id from ledger.entry where factor_id not like 'stated:%%'"
            " and kgco2e <> 0 order by line_no desc, entry_id limit 1"
        )
        named = bench.rows("select entry_id from ledger.entry where factor_id = %s", factor_id)
        with closing(bench.database.writer(autocommit=True)) as conn:
            given = revised({factor_id})
            factors.store_release(conn, given)
            target = Target(release_id=given.release_id)
            found = preview(
                conn, bench.settings, target, by="Group Controller", reason="revised", **SPAN
            ).restatement
            assert found is not None
            for who in ("Group Controller", "Head of Sustainability"):
                approve(conn, found.restatement_id, who, "checked")
            post(conn, bench.settings, found.restatement_id, by="Data Engineer")
            assert posting_faults(conn, found.restatement_id) == []
            lines = restatement_lines(conn, found.restatement_id)
            assert {one["entry_id"] for one in lines} <= {one[0] for one in named}
            for one in lines:
                new = read_entry(conn, one["activity_month"], one["new_entry_id"])
                assert new.content_sha256 == content_sha256(new)
                assert new.factor_id == factor_id
        after = dict(bench.rows("select entry_id, content_sha256 from ledger.entry"))
        assert {name: after[name] for name in there} == there
        assert len(after) == len(there) + 2 * len(lines)
        windows = bench.rows("select sum(kgco2e), sum(entries) from windows.five_minute")
        assert windows == bench.rows("select sum(kgco2e), count(*) from ledger.active_entry")

        # A later revision of each event takes back what was restated and what was not.
        expected = {}
        for fields in accepted.values():
            later = {**fields, "revision": fields.get("revision", 0) + 1}
            said = outcome(stream, later)
            if not isinstance(said, str):
                bench.send((b"k", framed(stream, later, schema_id)))
                expected[EVENT_KINDS[stream].class_of(later)(**later).event_id] = said
        bench.work()
        standing: dict[str, list[Any]] = {}
        with closing(bench.database.reader()) as conn, conn.cursor(row_factory=dict_row) as cursor:
            cursor.execute("select * from ledger.active_entry order by event_id, line_no")
            for row in cursor:
                standing.setdefault(row["event_id"], []).append(said_of_row(row))
        assert {name: standing.get(name) for name in expected} == expected
        refs = {name.rpartition("#")[0] for name in expected}
        others = [
            name for name in standing if name.rpartition("#")[0] in refs and name not in expected
        ]
        assert others == []
