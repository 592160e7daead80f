"""Purchases and declarations through Kafka, Spark and PostgreSQL, and the asset that lets one of
two figures of the same thing count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import dagster as dg
import pytest
from psycopg.rows import kwargs_row

from carbon_assets.supersession import supersession_asset
from carbon_ledger.calculation import EVENT_KINDS, calculate
from carbon_ledger.entries import EntryRow, content_sha256
from carbon_ledger.factor_book.rows import make_release, sealed
from carbon_ledger.store.checks import check_accounts, check_windows, reconcile
from carbon_ledger.store.claims import (
    AT_WORK_LOCK,
    at_work,
    held_claims,
    is_waiting,
    take_entries,
)
from carbon_ledger.store.correct import post_correction
from carbon_ledger.store.factors import store_release
from carbon_ledger.store.read import entries_as_of, knowledge_horizon
from carbon_ledger.store.rows import begin_writing, entries_of_event
from carbon_ledger.workings import posted_fraction
from devstack.processes import wait_until
from factor_seeds.load import release
from pipeline.serialization import Registry, widest_schema_text
from resources.database import LedgerDatabase
from sensors.supersession import _is_waiting
from spark.supersede import Outcome, faults, supersede
from tests.support.event_cases import INVENTORY, framed
from tests.support.micro_batch import Bench, bench_on, micro_batch_bench

pytestmark = pytest.mark.stack

CLAIM = "acme-gmbh|supplier:SUP-1|1|2024-05"
PURCHASE = "purchase:INV-1/1"


def order(**changes: Any) -> dict[str, Any]:
    """An invoice line of 20 t of steel for 12,345.67 EUR in May 2024."""
    return {
        "purchase_order_id": "PO-1",
        "document_id": "INV-1",
        "document_kind": "invoice",
        "line_no": 1,
        "entity_id": "acme-gmbh",
        "supplier_id": "SUP-1",
        "supplier_country_iso2": "DE",
        "classification": "naics:331110",
        "amount_net": "12345.67",
        "currency": "EUR",
        "quantity": "20000",
        "unit": "kg",
        "timestamp": "2024-05-06T00:00:00Z",
        **changes,
    }


def declared(**changes: Any) -> dict[str, Any]:
    """The supplier's footprint of 0.7 kgCO2e per kg, for 5 t of the 20 t."""
    return {
        "declaration_id": "pcf-1:2024-05-01",
        "supplier_id": "SUP-1",
        "entity_id": "acme-gmbh",
        "kind": "product_footprint",
        "purchase_order_lines": ["INV-1/1"],
        "quantity": "5000",
        "unit": "kg",
        "kgco2e_per_unit": "0.7",
        "boundary": "cradle_to_gate",
        "gwp_set": "AR6",
        "timestamp": "2024-05-01T00:00:00Z",
        "interval_seconds": 31 * 86400,
        **changes,
    }


ESTIMATE = calculate({"event": "procurement", **order()}, INVENTORY)[0]
KG = ESTIMATE.kgco2e


def share(part: Fraction) -> Decimal:
    """So much of the estimate, from its exact working, rounded once."""
    return posted_fraction(ESTIMATE.working.exact() * part)


@dataclass(kw_only=True)
class Streams:
    """One ledger and the topics of both streams."""

    benches: dict[str, Bench]
    schemas: dict[str, int]

    @property
    def bench(self) -> Bench:
        return self.benches["procurement"]

    def send(self, *events: dict[str, Any]) -> None:
        """Sends orders and declarations, and has a batch of each stream take them in."""
        used = set()
        for fields in events:
            stream = "procurement" if "document_id" in fields else "supplier"
            self.benches[stream].send((b"k", framed(stream, fields, self.schemas[stream])))
            used.add(stream)
        for stream in sorted(used):
            sent = [one for one in events if ("document_id" in one) == (stream == "procurement")]
            assert self.benches[stream].work().total("ledgered") == len(sent)

    def settle(self, **more: Any) -> Outcome:
        with closing(self.bench.database.writer(autocommit=True)) as conn:
            return supersede(conn, self.bench.settings, **more)

    def active(self) -> dict[str, list[tuple[Decimal, str]]]:
        """kgCO2e and flags of what stands, by activity."""
        found: dict[str, list[tuple[Decimal, str]]] = {}
        for ref, kg, flags in self.bench.rows(
            "select activity_ref, kgco2e, flags from ledger.active_entry order by 1, line_no"
        ):
            found.setdefault(ref, []).append((kg, flags))
        return found

    def kg(self) -> dict[str, Decimal]:
        """kgCO2e of what stands, by activity."""
        return {
            ref: sum((kg for kg, _ in lines), Decimal(0)) for ref, lines in self.active().items()
        }

    def standing_entry(self, ref: str) -> EntryRow:
        """The one entry of an activity that stands."""
        with closing(self.bench.database.reader()) as conn:
            with conn.cursor(row_factory=kwargs_row(EntryRow)) as cursor:
                (row,) = cursor.execute(
                    "select e.* from ledger.active_entry a join ledger.entry e using "
                    "(activity_month, entry_id) where a.activity_ref = %s",
                    (ref,),
                ).fetchall()
        return row

    def withdraw(self, ref: str, replacement: EntryRow | None = None) -> None:
        """Somebody takes the line of an activity back by hand, or puts another in its place."""
        row = self.standing_entry(ref)
        with closing(self.bench.database.writer(autocommit=True)) as conn:
            post_correction(
                conn,
                activity_month=row.activity_month,
                entry_id=row.entry_id,
                replacement=replacement,
                cause="on the word of Group Controller",
            )

    def standings(self) -> dict[str, tuple[str, str]]:
        """Role and share of every fact of every claim, as last decided."""
        rows = self.bench.rows(
            "select distinct on (claim, fact_id, line_no) claim, fact_id, role, share "
            "from ledger.claim_standing order by claim, fact_id, line_no, decided_at desc"
        )
        return {f"{claim} {fact_id}": (role, part) for claim, fact_id, role, part in rows}

    def horizon(self) -> datetime:
        with closing(self.bench.database.reader()) as conn:
            return knowledge_horizon(conn)

    def kg_as_of(self, moment: datetime) -> Decimal:
        with closing(self.bench.database.reader()) as conn:
            return sum((row.kgco2e for row in entries_as_of(conn, moment)), Decimal(0))

    def check(self) -> None:
        """Hashes are of their rows, every entry is in one commit, windows are sums, all adds up."""
        assert self.settle().lines_posted == 0
        with closing(self.bench.database.auditor()) as conn:
            with conn.cursor(row_factory=kwargs_row(EntryRow)) as cursor:
                rows = cursor.execute("select * from ledger.entry").fetchall()
            assert all(row.content_sha256 == content_sha256(row) for row in rows)
            listed: set[bytes] = set()
            for ids, hashes in conn.execute("select entry_ids, content_sha256s from audit.commit"):
                listed |= {
                    ids[16 * n : 16 * n + 16] + hashes[32 * n : 32 * n + 32]
                    for n in range(len(ids) // 16)
                }
            assert listed == {row.entry_id.bytes + row.content_sha256 for row in rows}
            days = sorted({row.local_date for row in rows})
            assert check_windows(conn, days) == []
            assert check_accounts(conn) == []
            assert reconcile(conn) == []
            taken = conn.execute("select count(*) from ledger.claim_entry").fetchone()
            assert taken == (len(rows),)
        with closing(self.bench.database.writer(autocommit=True)) as conn:
            assert not is_waiting(conn)
            assert faults(conn, self.bench.settings, seed="check")[1] == []


@contextmanager
def both_streams(stack: Any) -> Iterator[Streams]:
    """A fresh ledger for both streams."""
    with (
        micro_batch_bench(stack, "procurement") as orders,
        bench_on(orders.database, "supplier") as declarations,
    ):
        benches = {"procurement": orders, "supplier": declarations}
        schemas = {
            name: Registry(one.settings).register(
                f"{one.stream.topic}-value", widest_schema_text(name)
            )
            for name, one in benches.items()
        }
        yield Streams(benches=benches, schemas=schemas)


@pytest.fixture
def streams(stack: Any) -> Iterator[Streams]:
    with both_streams(stack) as found:
        yield found


def newer_release(streams: Streams) -> None:
    """From now on batches are judged with a factor half as large for the sector."""
    given = release()
    rows = [
        sealed(replace(row, version=row.version + 1, kgco2e_per_unit=row.kgco2e_per_unit / 2))
        if row.family == "spend" and dict(row.selectors).get("naics_code") == "331110"
        else row
        for row in given.rows
    ]
    new = make_release("newer", rows, given.index_rows)
    assert new.release_id != given.release_id
    with closing(streams.bench.database.writer(autocommit=True)) as conn:
        store_release(conn, new)
    for bench in streams.benches.values():
        bench.release_id = new.release_id


def test_from_estimate_to_partial_to_full_and_back_with_the_factor_of_its_day(
    streams: Streams,
) -> None:
    streams.send(order())
    outcome = streams.settle()
    assert (outcome.claims, outcome.lines_posted, outcome.delta_kgco2e) == (1, 0, 0)
    assert outcome.facts_by_role == {"counts": 1}
    before = streams.standing_entry(PURCHASE)
    assert before.kgco2e == KG
    moment = streams.horizon()

    newer_release(streams)
    streams.send(declared())
    assert sum(streams.kg().values()) == KG + 3500
    outcome = streams.settle()
    assert (outcome.reversals, outcome.lines_posted) == (1, 1)
    assert outcome.delta_kgco2e == share(Fraction(3, 4)) - KG
    ref = "supplier:SUP-1@pcf-1:2024-05-01"
    assert streams.kg() == {PURCHASE: share(Fraction(3, 4)), ref: Decimal(3500)}
    part = streams.standing_entry(PURCHASE)
    assert part.event_id == f"{PURCHASE}#c1"
    assert part.cause == f"claim {CLAIM}: {ref}#0"
    assert "partially_superseded" in part.flags.split(",")
    kept = ("scope", "category", "basis", "factor_id", "factor_release", "method", "quantity")
    assert [getattr(part, name) for name in kept] == [getattr(before, name) for name in kept]
    assert streams.kg_as_of(moment) == KG
    assert streams.bench.rows("select entries from audit.commit where kind = 'supersession'") == [
        (2,)
    ]
    streams.check()

    streams.send(declared(revision=1, quantity="20000"))
    assert streams.settle().lines_posted == 1
    assert streams.kg() == {PURCHASE: Decimal(0), ref: Decimal(14000)}
    assert "covered" in streams.standing_entry(PURCHASE).flags.split(",")
    streams.check()

    streams.withdraw(ref)
    outcome = streams.settle()
    # The evidence of what was retracted, and the estimate; what is taken back is the line of 0 kg.
    assert (outcome.reversals, outcome.lines_posted) == (1, 2)
    again = streams.standing_entry(PURCHASE)
    assert (again.kgco2e, again.flags) == (KG, before.flags)
    assert (again.factor_id, again.factor_version) == (before.factor_id, before.factor_version)
    assert again.factor_release == before.factor_release != streams.bench.release_id
    assert streams.active()[ref] == [(Decimal(0), "biogenic_not_separable,retracted")]
    assert streams.standings() == {
        f"{CLAIM} {PURCHASE}@2024-05": ("counts", "1/1"),
        f"{CLAIM} {ref}": ("retracted", "0/1"),
    }
    assert streams.kg_as_of(moment) == KG
    streams.check()

    streams.send(declared(revision=2, quantity="10000"))
    streams.settle()
    assert streams.kg() == {PURCHASE: share(Fraction(1, 2)), ref: Decimal(7000)}
    streams.check()


def test_whichever_comes_first_the_same_stands(stack: Any) -> None:
    events = [
        order(),
        order(document_id="INV-2", amount_net="2000.50", quantity="3000"),
        declared(),
        declared(
            declaration_id="total",
            kind="allocated_total",
            kgco2e_per_unit=None,
            purchase_order_lines=[],
            quantity=None,
            unit=None,
            scope1_kgco2e="900",
            scope2_location_kgco2e="100",
            upstream_kgco2e="2000",
        ),
    ]
    found = []
    for ordered in (events, events[::-1]):
        with both_streams(stack) as streams:
            for event in ordered:
                streams.send(event)
                streams.settle()
            streams.check()
            found.append((streams.active(), streams.standings()))
    assert found[0] == found[1]
    assert found[0][0]["supplier:SUP-1@total"] == [
        (Decimal(0), "coverage_not_comparable,not_admitted")
    ]
    assert found[0][0][PURCHASE][0][0] == share(Fraction(3, 4))


def test_a_deprecated_footprint_gives_way_and_a_purchase_that_moves_takes_its_claim_along(
    streams: Streams,
) -> None:
    old, new = (f"supplier:SUP-1@pcf-{n}:2024-05-01" for n in (1, 2))
    streams.send(order(), declared(footprint_status="Deprecated"))
    streams.settle()
    assert "deprecated_without_successor" in streams.standing_entry(old).flags
    successor = declared(
        declaration_id="pcf-2:2024-05-01", kgco2e_per_unit="0.8", preceding_ids=["pcf-1"]
    )
    streams.send(successor)
    streams.settle()
    assert streams.kg() == {PURCHASE: share(Fraction(3, 4)), old: Decimal(0), new: Decimal(4000)}
    streams.check()

    streams.send(order(revision=1, timestamp="2024-06-03T00:00:00Z"))
    assert streams.settle().claims == 2
    assert streams.kg() == {PURCHASE: KG, old: Decimal(0), new: Decimal(0)}
    assert "no_purchase_to_cover" in streams.standing_entry(new).flags.split(",")
    assert streams.standing_entry(new).cause == f"claim {CLAIM}: {PURCHASE} left"
    assert streams.standings()[f"{CLAIM} {PURCHASE}@2024-05"] == ("left", "0/1")
    streams.check()


def test_a_run_that_ends_between_claims_goes_on_and_a_correction_by_hand_is_the_whole(
    streams: Streams,
) -> None:
    ours = order(supplier_id="SUP-2", document_id="INV-2")
    theirs = declared(supplier_id="SUP-2", purchase_order_lines=["INV-2/1"], quantity="10000")
    streams.send(order(), ours)
    streams.settle()
    corrected = replace(streams.standing_entry("purchase:INV-2/1"), kgco2e=Decimal(6000))
    streams.withdraw("purchase:INV-2/1", corrected)
    streams.send(declared(), theirs)
    assert streams.settle(claims_max=1).claims == 1
    assert streams.kg()["purchase:INV-2/1"] == 6000
    assert streams.settle().claims == 1
    assert streams.kg()[PURCHASE] == share(Fraction(3, 4))
    assert streams.kg()["purchase:INV-2/1"] == 3000
    streams.check()


def run_asset(streams: Streams) -> tuple[dict[str, Any], Any]:
    """The asset's run: its metadata and its check."""
    done = dg.materialize(
        [supersession_asset([])], resources={"database": LedgerDatabase()}, raise_on_error=False
    )
    assert done.success
    (event,) = done.asset_materializations_for_node("ledger__supersession")
    (check,) = done.get_asset_check_evaluations()
    return {name: one.value for name, one in event.metadata.items()}, check


def test_the_asset_posts_and_its_check_sees_what_counts_twice(
    streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARBON_DATABASE_WRITER_URL", streams.bench.database.writer_url)
    streams.send(order(), declared())
    metadata, check = run_asset(streams)
    assert check.passed
    assert (metadata["claims"], metadata["reversals"], metadata["lines_posted"]) == (1, 1, 1)
    assert metadata["facts_by_role"] == {"counts": 2}
    assert Decimal(metadata["delta_kgco2e"]) == share(Fraction(3, 4)) - KG
    metadata, check = run_asset(streams)
    assert check.passed
    assert (metadata["claims"], metadata["lines_posted"]) == (0, 0)

    # The whole estimate again, by hand, and hidden from the asset as if it had been looked at.
    part = streams.standing_entry(PURCHASE)
    with closing(streams.bench.database.reader()) as conn:
        whole = entries_of_event(conn, f"{PURCHASE}#0")[0]
    streams.withdraw(PURCHASE, replace(part, kgco2e=KG, flags=whole.flags))
    planted = streams.bench.rows(
        "select e.entry_id from ledger.entry e where not exists "
        "(select from ledger.claim_entry c where c.entry_id = e.entry_id)"
    )
    assert len(planted) == 2
    with closing(streams.bench.database.writer()) as conn:
        rows = _entries(conn, [entry_id for (entry_id,) in planted])
        take_entries(conn, [(row, CLAIM) for row in rows], begin_writing(conn))
        conn.commit()
    metadata, check = run_asset(streams)
    assert not check.passed
    assert metadata["lines_posted"] == 0
    assert f"stands at {KG} kgCO2e" in check.metadata["first_faults"].value[0]


def test_a_correction_of_a_share_is_held_until_something_new_is_said(streams: Streams) -> None:
    streams.send(order(), declared())
    streams.settle()
    part = streams.standing_entry(PURCHASE)
    streams.withdraw(PURCHASE, replace(part, kgco2e=Decimal(1)))
    outcome = streams.settle()
    assert [one.flags for one in outcome.held] == ["corrected_by_hand"]
    assert streams.settle().claims == 0
    with closing(streams.bench.database.writer(autocommit=True)) as conn:
        assert [one.claim for one in held_claims(conn)] == [CLAIM]
        assert "is held" in faults(conn, streams.bench.settings, seed="x")[1][0]
    streams.send(order(revision=1))
    streams.settle()
    assert streams.kg()[PURCHASE] == share(Fraction(3, 4))
    streams.check()


def _entries(conn: Any, entry_ids: Sequence[Any]) -> list[EntryRow]:
    with conn.cursor(row_factory=kwargs_row(EntryRow)) as cursor:
        found: list[EntryRow] = cursor.execute(
            "select * from ledger.entry where entry_id = any(%s)", (list(entry_ids),)
        ).fetchall()
    return found


def test_both_streams_make_events() -> None:
    """The events here can be sent: their fields are those of the streams."""
    for stream, fields in (("procurement", order()), ("supplier", declared())):
        assert EVENT_KINDS[stream].class_of(fields)(**fields).event_id.endswith("#0")


def test_a_run_ends_though_entries_come_in_without_end(streams: Streams) -> None:
    streams.send(order())
    outcome = streams.settle(seconds=0)
    assert (outcome.claims, outcome.entries_taken) == (0, 0)
    assert streams.settle().claims == 1


def test_no_run_is_asked_for_while_another_one_lives(
    streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = streams.bench.database
    monkeypatch.setenv("CARBON_DATABASE_WRITER_URL", database.writer_url)
    streams.send(order())
    resource = LedgerDatabase()
    assert _is_waiting(resource)
    with closing(database.writer(autocommit=True)) as other:
        with at_work(other):
            assert not _is_waiting(resource)
        assert _is_waiting(resource)
        other.execute("select pg_advisory_lock_shared(%s, 0)", (AT_WORK_LOCK,))
    # Whoever is gone is not at work.
    assert wait_until(lambda: _is_waiting(resource), 10)
    streams.settle()
    assert not _is_waiting(resource)
