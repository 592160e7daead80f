"""What follows from changes of captured rows, in whatever order and repetition they come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from carbon_ledger.errors import BrokenInvariant, ConfigurationError, RejectedRecord
from carbon_ledger.events import REVISION_MAX
from carbon_ledger.settings import load
from carbon_ledger.store.captured import CapturedRows
from pipeline.sources.cdc_bridge import Bridge, BridgeConfig
from pipeline.sources.cdc_envelope import Change
from pipeline.sources.cdc_mapping import find_mapping, read_mapping
from pipeline.sources.cdc_rows import ChangeApplier, Told
from tests.support.postgres import LedgerDatabase, scratch_database

pytestmark = pytest.mark.stack

MAPPING = read_mapping(find_mapping("erp_example"))
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEADER, LINE = "purchasing.purchase_order", "purchasing.purchase_order_line"
OPERATIONS = {"c": "insert", "u": "update", "d": "delete", "r": "read", "t": "truncate"}


def order(po_id: str = "P", **changes: Any) -> dict[str, Any]:
    row = dict.fromkeys(MAPPING.columns("header"))
    row |= {"po_id": po_id, "company_code": "DE01", "supplier_id": "S1", "currency": "EUR"}
    return {**row, "ordered_on": "2024-05-06", "deletion_flag": "false", **changes}


def line(line_no: int = 1, po_id: str = "P", **changes: Any) -> dict[str, Any]:
    row = dict.fromkeys(MAPPING.columns("line"))
    row |= {"po_id": po_id, "line_no": line_no, "net_amount": "10.00", "deletion_flag": "false"}
    return {**row, **changes}


@dataclass
class Book:
    """A source whose changes are applied one by one, each in its own transaction."""

    database: LedgerDatabase
    letters: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.connection = self.database.writer()
        self.rows = CapturedRows(self.connection, "cdc:test")
        self.applier = ChangeApplier(self.rows, MAPPING, NOW)

    def tell(
        self,
        op: str,
        table: str,
        position: int,
        row: dict[str, Any] | None,
        before: dict[str, Any] | None = None,
        last: bool = False,
    ) -> list[tuple[str, str]]:
        """Applies a change; the events (id, `amount supplier` or `cancelled`) it leads to."""
        change = Change(
            operation=OPERATIONS[op],
            table=table,
            position=f"{position:020d}",
            key={},
            row=row,
            before=before,
            is_snapshot=op == "r",
            ends_snapshot=last,
        )
        told = Told(coordinates=f"t:0:{position}", payload=b"{}")
        try:
            with self.connection.transaction():
                self.applier.apply(change, told)
        except RejectedRecord as problem:
            with self.connection.transaction():
                self.applier.refuse(problem, told)
        return self.taken()

    def taken(self) -> list[tuple[str, str]]:
        with self.connection.transaction():
            waiting = self.rows.pending(1000)
            if waiting:
                self.rows.remove_pending(waiting[-1].pending_no)
        found = []
        for one in waiting:
            body = one.body
            if one.kind == "letter":
                self.letters.append(body["reason_code"])
                continue
            what = f"{body['amount_net']} {body['supplier_id']}"
            found.append(
                (
                    f"{body['document_id']}/{body['line_no']}#{body['revision']}",
                    "cancelled" if body["is_cancelled"] else what,
                )
            )
        return found


@pytest.fixture
def book(stack: Any) -> Iterator[Book]:
    with scratch_database(stack.layout.database_url) as database:
        book = Book(database)
        yield book
        book.connection.close()


def test_inserts_updates_and_deletes_become_an_event_its_corrections_and_a_cancellation(
    book: Book,
) -> None:
    assert book.tell("c", HEADER, 1, order()) == []
    assert book.tell("c", LINE, 2, line()) == [("P/1#0", "10 S1")]
    assert book.tell("u", LINE, 3, line(net_amount="11.5")) == [("P/1#1", "11.5 S1")]
    assert book.tell("u", LINE, 4, line(net_amount="11.50")) == [], "nothing it says has changed"
    assert book.tell("u", HEADER, 5, order(supplier_id="S2")) == [("P/1#2", "11.5 S2")]
    assert book.tell("d", LINE, 6, None, line()) == [("P/1#3", "cancelled")]
    assert book.tell("c", LINE, 7, line()) == [("P/1#4", "10 S2")]
    assert book.tell("u", LINE, 8, line(deletion_flag="true")) == [("P/1#5", "cancelled")]
    assert book.tell("u", HEADER, 9, order(supplier_id="S3")) == []
    assert book.tell("u", LINE, 10, line()) == [("P/1#6", "10 S3")]
    assert book.tell("d", HEADER, 11, None, order()) == [("P/1#7", "cancelled")]
    assert book.tell("d", LINE, 12, None, line()) == []
    assert book.rows.counts().standing == 0


def test_what_is_told_again_leads_to_nothing_again(book: Book) -> None:
    story = [
        ("c", HEADER, 1, order()),
        ("c", LINE, 2, line()),
        ("u", LINE, 3, line(net_amount="11")),
        ("d", LINE, 4, None),
    ]
    for op, table, position, row in story:
        book.tell(op, table, position, row, line())
    assert [book.tell(op, table, at, row, line()) for op, table, at, row in story] == [[]] * 4
    assert book.applier.counts.known == 4


def test_lines_wait_for_their_header(book: Book) -> None:
    assert book.tell("r", LINE, 5, line(1)) + book.tell("r", LINE, 5, line(2)) == []
    assert book.rows.counts().orphans == 2
    assert book.tell("r", HEADER, 5, order()) == [("P/1#0", "10 S1"), ("P/2#0", "10 S1")]


def test_a_change_of_a_transaction_that_was_open_during_the_snapshot_is_not_lost(
    book: Book,
) -> None:
    book.tell("r", HEADER, 100, order())
    assert book.tell("r", LINE, 100, line()) == [("P/1#0", "10 S1")]
    assert book.tell("u", LINE, 90, line(net_amount="12")) == [("P/1#1", "12 S1")]
    assert book.tell("r", LINE, 100, line()) == [], "the snapshot, told again"
    assert book.tell("u", LINE, 90, line(net_amount="12")) == []


def test_what_was_deleted_while_nobody_looked_is_found_by_the_next_snapshot(book: Book) -> None:
    book.tell("c", HEADER, 1, order())
    for number in (1, 2, 3):
        book.tell("c", LINE, 1 + number, line(number))
    assert book.tell("r", HEADER, 50, order()) == []
    assert book.tell("r", LINE, 50, line(2)) == []
    assert book.tell("r", LINE, 50, line(3, net_amount="7"), last=True) == [
        ("P/3#1", "7 S1"),
        ("P/1#1", "cancelled"),
    ]
    assert book.tell("r", LINE, 50, line(3, net_amount="7"), last=True) == []


def test_a_truncated_table_cancels_every_line_and_nothing_that_came_later(book: Book) -> None:
    book.tell("c", HEADER, 1, order())
    book.tell("c", LINE, 2, line(1))
    book.tell("c", LINE, 3, line(2))
    assert sorted(book.tell("t", LINE, 4, None)) == [
        ("P/1#1", "cancelled"),
        ("P/2#1", "cancelled"),
    ]
    assert book.tell("c", LINE, 5, line(2)) == [("P/2#2", "10 S1")]
    assert book.tell("t", LINE, 4, None) == [], "told again"


def test_a_row_that_the_ledger_would_refuse_is_a_letter_and_the_last_good_one_stands(
    book: Book,
) -> None:
    book.tell("c", HEADER, 1, order())
    book.tell("c", LINE, 2, line())
    assert book.tell("u", LINE, 3, line(net_amount="-1")) == []
    assert book.tell("u", LINE, 4, {"po_id": "P", "line_no": 1}) == []
    assert book.letters == ["negative_amount", "missing_column"]
    assert book.tell("u", LINE, 5, line(net_amount="9")) == [("P/1#1", "9 S1")]
    assert book.tell("c", "other.table", 6, {"a": "1"}) == []
    assert book.applier.counts.ignored == 1


def test_the_revisions_of_an_activity_end_with_a_letter_and_not_in_silence(book: Book) -> None:
    book.tell("c", HEADER, 1, order())
    book.tell("c", LINE, 2, line())
    with book.connection.transaction():
        known = book.rows.activity("purchase:P/1")
        assert known is not None
        book.connection.execute("update capture.activity set revision = %s", (REVISION_MAX,))
    assert book.tell("u", LINE, 3, line(net_amount="9")) == []
    assert book.tell("d", LINE, 4, None, line()) == []
    assert book.letters == ["revision_out_of_range"] * 2


def test_one_process_at_a_time_works_on_a_source(book: Book) -> None:
    book.rows.lock()
    other = CapturedRows(book.database.writer(), book.rows.source)
    with pytest.raises(ConfigurationError, match="cdc:test"):
        other.lock()
    other.connection.close()


def test_it_goes_on_where_the_database_is_and_not_beyond_what_was_deleted(book: Book) -> None:
    config = BridgeConfig(source=book.rows.source, topic="cdc.t", group="g", mapping=MAPPING)
    bridge = Bridge(config, load(), book.connection, producer=None)  # type: ignore[arg-type]
    assert bridge._start(3, 9) == 3, "nothing is known yet"
    with book.connection.transaction():
        book.rows.put_progress("cdc.t", 7)
    assert bridge._start(3, 9) == 7
    assert bridge._start(0, 5) == 0, "the topic was made anew"
    with pytest.raises(BrokenInvariant, match="begins at offset 8, and 7 was to come next"):
        bridge._start(8, 9)
