"""What the demo's sources say: every good one becomes an event, every bad one is refused."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from carbon_ledger.calculation import EVENT_KINDS
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.inventory import Inventory
from carbon_ledger.reference.files import parse
from carbon_ledger.reference.register import Register
from carbon_ledger.settings import PROJECT_ROOT
from factor_seeds.load import shipped_book
from pipeline.drops.declarations import event_of_row
from pipeline.files.safe_tables import TableRow
from pipeline.sources import company_reference, demo, demo_feeds
from pipeline.sources.erp_documents import ErpSystem, lines_of_body, shape_named
from pipeline.sources.field_mapping import Surroundings
from pipeline.sources.meter_registers import RegisterBook
from pipeline.sources.mqtt_config import mqtt_config
from pipeline.sources.mqtt_messages import Judge
from pipeline.sources.rest_items import Mapped, read_item
from pipeline.sources.rest_mapping import read_provider
from pipeline.sources.source_config import read_source

BEGUN = datetime(2026, 3, 14, 9, 26, 53, 589793, tzinfo=UTC)
RUN = demo.run_name(BEGUN)
SEED = 11
PARSED = parse({"company.yaml": company_reference.reference_yaml()})
INVENTORY = Inventory(
    book=shipped_book(),
    now=BEGUN,
    register=Register(records=tuple(one.record for one in PARSED.stated)),
)


def asked(provider: str, subject: dict[str, str], told: demo_feeds.Told) -> Iterator[Any]:
    """What a poller makes of something the provider says."""
    around = Surroundings(subject=subject, values={"payer": "reporter"})
    return read_item(told.content, read_provider(provider, PROJECT_ROOT), around, BEGUN)


def is_taken(outcome: Any) -> bool:
    """Whether it becomes an event, and the ledger posts it."""
    if not isinstance(outcome, Mapped):
        return False
    event = outcome.event
    try:
        EVENT_KINDS[event.TYPE.stream].lines(event, INVENTORY)
    except RejectedRecord:
        return False
    return True


def test_trips_are_taken_but_for_the_bad_ones() -> None:
    feeds = demo_feeds.trips(BEGUN, 40, 4, SEED)
    subjects = {row["samsara_id"]: row for row in demo_feeds.vehicles()}
    told = [(vehicle, one) for vehicle, some in feeds.items() for one in some]
    assert len({one.key for _, one in told}) == 44
    assert sum(one.is_bad for _, one in told) == 4
    for vehicle, one in told:
        (outcome,) = asked("samsara_trips", subjects[vehicle], one)
        assert is_taken(outcome) is not one.is_bad, one
        assert datetime.fromtimestamp(one.content["startMs"] / 1000, UTC) > BEGUN - (
            demo_feeds.TRIPS_SINCE
        )


def test_shipments_are_taken_in_each_state_but_for_the_bad_ones() -> None:
    feeds = demo_feeds.shipments(BEGUN, 20, 3, SEED)
    assert [len(some) for some in feeds.values()] == [2] * 20 + [1] * 3
    for (number, some), row in zip(
        feeds.items(), demo_feeds.tracking_rows(list(feeds)), strict=True
    ):
        assert row["tracking_number"] == number
        for one in some:
            (outcome,) = asked("dhl_unified_tracking", row, one)
            assert is_taken(outcome) is not one.is_bad, one


def test_orders_are_taken_line_by_line_but_for_the_bad_lines() -> None:
    system = ErpSystem(
        system="demo-sap",
        shape=shape_named(demo_feeds.erp_system()["kind"]),
        document_prefix="demo-sap:",
        entities=demo_feeds.erp_system()["entities"],
        suppliers=demo_feeds.erp_system()["suppliers"],
    )
    ids = set()
    for order in demo_feeds.orders(BEGUN, 10, 2, SEED):
        lines = lines_of_body(order.document, system, BEGUN)
        assert [sum(one.event is not None for one in lines), order.bad] == [
            order.good,
            sum(one.problem is not None for one in lines),
        ]
        for line in lines:
            if line.event is not None:
                ids.add(line.event.event_id)
                assert EVENT_KINDS["procurement"].lines(line.event, INVENTORY)
    assert len(ids) == sum(one.good for one in demo_feeds.orders(BEGUN, 10, 2, SEED))


def test_declarations_are_taken_as_a_file_and_as_objects_but_for_the_bad_ones() -> None:
    rows = demo_feeds.declarations(RUN, BEGUN, 5, 2, SEED)
    again = list(csv.DictReader(io.StringIO(demo_feeds.as_csv(rows).decode())))
    assert again == rows
    lines = [TableRow(line=line, cells=row) for line, row in enumerate(rows, start=2)]
    for line in lines[:5]:
        event = event_of_row(line, company_reference.STEEL_SUPPLIER, BEGUN)
        assert EVENT_KINDS["supplier"].lines(event, INVENTORY)
    for line in lines[5:]:
        with pytest.raises(RejectedRecord, match="kgco2e_per_unit"):
            event_of_row(line, company_reference.STEEL_SUPPLIER, BEGUN)


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    config = read_source(PROJECT_ROOT / "deploy" / "sources" / "mqtt.toml", {})
    return Judge(mqtt_config(config), RegisterBook(tmp_path / "book.sqlite"))


def test_a_meter_s_message_becomes_the_reading_it_was_made_of(judge: Judge) -> None:
    for event in demo.readings(demo.meters(RUN), 300, BEGUN, SEED):
        message = demo_feeds.meter_message(event)
        (found,) = judge.judge(message.topic, message.payload).events
        assert found == event


def test_a_bad_meter_message_is_refused_at_the_edge_or_has_no_factor(judge: Judge) -> None:
    seen = set()
    for message in demo_feeds.bad_meter_messages(RUN, BEGUN, 8):
        found = judge.judge(message.topic, message.payload)
        seen |= {one.reason_code for one in found.letters}
        assert [one.country_iso2 for one in found.events] in ([], ["AQ"])
        assert len(found.letters) + len(found.events) == 1
    assert len(seen) == 3, seen
