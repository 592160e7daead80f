"""From the decoded fields of a record to the event of its stream: of which class, and why not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from carbon_ledger.energy.meter_events import MeterReadingEvent
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.events import IoTEnergyEvent
from carbon_ledger.purchasing.supplier_events import SupplierDeclarationEvent
from carbon_ledger.stream_events import (
    PLAIN_FIELDS,
    event_of,
    says_more,
    typed_event_of,
    widest_schema_file,
)
from tests.support.meter_examples import reading
from tests.support.purchase_examples import declaration

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WIDE = reading(energy_source="grid").to_avro_fields()
PLAIN = {name: value for name, value in WIDE.items() if name in PLAIN_FIELDS}


@pytest.mark.parametrize(
    ("fields", "is_more"),
    [
        (PLAIN, False),
        # The widest schema with every further field at its default says no more than the plain one.
        (WIDE, False),
        ({**PLAIN, "unit": None}, False),
        ({**PLAIN, "meter_kind": "heat"}, True),
        ({**WIDE, "meter_kind": "solar", "energy_source": "solar"}, True),
    ],
)
def test_a_meter_reading_is_a_plain_one_unless_it_says_more(
    fields: dict[str, Any], is_more: bool
) -> None:
    assert says_more(fields) is is_more
    found = event_of("iot_energy", fields, NOW)
    assert type(found) is (MeterReadingEvent if is_more else IoTEnergyEvent)
    assert type(typed_event_of("iot_energy", fields, NOW)) is MeterReadingEvent


def test_a_field_of_another_kind_may_be_there_if_it_says_nothing() -> None:
    fields = declaration().to_avro_fields()
    names = {one["name"] for one in json.loads(widest_schema_file("supplier"))["fields"]}
    others = sorted(names - set(fields))
    assert "production_site_id" in others
    assert event_of("supplier", fields, NOW) == declaration()
    silent = {**fields, "production_site_id": None, "fuels": []}
    assert type(event_of("supplier", silent, NOW)) is SupplierDeclarationEvent
    for name, value in (("production_site_id", "works.1"), ("fuels", ["{}"])):
        with pytest.raises(RejectedRecord) as refused:
            event_of("supplier", {**silent, name: value}, NOW)
        assert (refused.value.code, refused.value.field) == ("field_of_another_kind", name)
        assert "declaration_id" in (refused.value.valid or "")


def test_the_widest_schema_of_a_stream_has_the_fields_of_all_its_kinds() -> None:
    for stream, name in (("iot_energy", "meter_kind"), ("supplier", "fuels"), ("transport", "")):
        fields = {one["name"] for one in json.loads(widest_schema_file(stream))["fields"]}
        assert name in {*fields, ""}
        assert "timestamp" in fields
