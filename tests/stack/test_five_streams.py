"""Every stream of the registry, from its producer to its ledger asset, as Dagster runs it."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from carbon_ledger import settings
from carbon_ledger.calculation import EVENT_KINDS
from carbon_ledger.energy.meter_events import MeterReadingEvent
from carbon_ledger.event_fields import ActivityEvent
from carbon_ledger.inventory import Inventory
from carbon_ledger.purchasing.production import lines_of_production
from carbon_ledger.purchasing.production_events import SupplierProductionEvent
from carbon_ledger.reference.register import Register
from carbon_ledger.store.connect import connect_as_reader
from carbon_ledger.streams import STREAMS
from factor_seeds.load import shipped_book
from pipeline.producers import CarbonEventProducer
from pipeline.topics import STREAM_TOPICS
from tests.support.dagster_client import DagsterClient, wait_for
from tests.support.event_cases import CASES

pytestmark = [pytest.mark.stack, pytest.mark.daemon, pytest.mark.timeout(600)]

LEDGERED_SECONDS = 180.0
# Nothing of the shared stack's reference data: sites and vehicles nobody has registered.
STRANGE = {
    "iot_energy": {"facility_id": "{run}", "sensor_id": "{run}"},
    "transport": {"vehicle_id": "{run}", "operator": "own", "vehicle_class": "van_average"},
    "logistics": {"shipment_id": "{run}"},
    "procurement": {"document_id": "{run}", "purchase_order_id": "{run}"},
    "supplier": {"declaration_id": "{run}", "supplier_id": "{run}"},
    "activities": {"activity_id": "{run}"},
}


def one_event(stream: str, run: str) -> ActivityEvent:
    fields = next(fields for name, fields in CASES if name == stream)
    own = {name: value.format(run=run) for name, value in STRANGE[stream].items()}
    if stream == "transport":
        own |= {"fuel_type": "diesel", "fuel_litres": "31.7"}
    return EVENT_KINDS[stream].class_of(fields)(**{**fields, **own})


def test_an_event_of_every_stream_becomes_the_lines_of_the_pure_calculator(stack: Any) -> None:
    run = f"five-{uuid.uuid4().hex[:8]}"
    dagster = DagsterClient(stack.layout.port("dagster"))
    inventory = Inventory(book=shipped_book(), now=datetime.now(UTC), register=Register())
    expected: dict[str, list[tuple[int, Decimal]]] = {}
    with CarbonEventProducer() as producer:
        for stream in STREAMS:
            event = one_event(stream.name, run)
            producer.send(STREAM_TOPICS[stream.name].name, value=event)  # type: ignore[arg-type]
            lines = EVENT_KINDS[stream.name].lines(event, inventory)
            expected[event.event_id] = [
                (number, line.kgco2e) for number, line in enumerate(lines, start=1)
            ]
        # A report of a supplier's site speaks a wider schema in the topic of declarations.
        fields = next(one for _, one in CASES if one.get("kind") == "site_production")
        own = {"declaration_id": f"{run}-site", "supplier_id": run}
        report = SupplierProductionEvent(**{**fields, **own})
        producer.send("raw.supplier", value=report)
        expected[report.event_id] = [
            (number, line.kgco2e)
            for number, line in enumerate(lines_of_production(report, inventory), start=1)
        ]
        # A meter of something else than electricity speaks a wider schema in the same topic.
        register = MeterReadingEvent(
            sensor_id=f"{run}-heat",
            facility_id=run,
            country_iso2="GB",
            energy_kwh="12.5",
            meter_kind="heat",
            timestamp=datetime(2025, 3, 10, tzinfo=UTC),
            interval_seconds=900,
        )
        producer.send("raw.iot.energy", value=register)
    with connect_as_reader(settings.load(), "tests", autocommit=True) as conn:

        def posted() -> dict[str, list[tuple[int, Decimal]]]:
            rows = conn.execute(
                "select event_id, line_no, kgco2e from ledger.entry where event_id = any(%s)"
                " order by event_id, line_no",
                (list(expected),),
            ).fetchall()
            found: dict[str, list[tuple[int, Decimal]]] = {}
            for event_id, line_no, kgco2e in rows:
                found.setdefault(event_id, []).append((line_no, kgco2e))
            return found

        try:
            wait_for("every stream", lambda: len(posted()) == len(expected), LEDGERED_SECONDS)
        except AssertionError as error:
            letters = conn.execute(
                "select stream, reason_code, reason from ledger.dead_letter"
            ).fetchall()
            batches = conn.execute(
                "select stream, status, attempt, error from manifest.batch"
            ).fetchall()
            missing = sorted(expected.keys() - posted().keys())
            raise AssertionError(f"{missing}; letters {letters}; batches {batches}") from error
        assert posted() == expected
        wait_for(
            "the heat meter's fate",
            lambda: (
                conn.execute(
                    "select exists (select from ledger.entry where event_id = %s) or exists"
                    " (select from ledger.dead_letter where record_key = %s)",
                    (register.event_id, register.sensor_id.encode()),
                ).fetchone()
                == (True,)
            ),
            LEDGERED_SECONDS,
        )
    for stream in STREAMS:
        wait_for(
            f"{stream.name}'s materialization",
            lambda stream=stream: dagster.materializations("ledger", stream.name),  # type: ignore[misc]
            60,
        )
