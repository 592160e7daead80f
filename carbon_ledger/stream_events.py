"""From the decoded fields of a record to the event of its stream.

Belongs here: which class of event it is. Does not: decoding, what the event posts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any, Final

from carbon_ledger.calculation import EVENT_KINDS
from carbon_ledger.event_fields import ActivityEvent, avro_fields
from carbon_ledger.events import IoTEnergyEvent

# Streams whose widest schema, with every field a record can have, is another than their own.
WIDER_SCHEMAS: Final = {"iot_energy": "meter_reading"}
# The one stream whose plain events are judged column by column.
METER_STREAM: Final = "iot_energy"
PLAIN_FIELDS: Final = frozenset(field.name for field in avro_fields(METER_STREAM))


@cache
def widest_schema_file(stream: str) -> str:
    """The text of the file of a stream's widest schema, as it is written."""
    name = WIDER_SCHEMAS.get(stream, stream)
    return resources.files("carbon_ledger").joinpath("schemas", f"{name}.avsc").read_text("utf-8")


def event_of(stream: str, fields: dict[str, Any], now: datetime) -> IoTEnergyEvent | ActivityEvent:
    """The event of a decoded record; a meter reading is a plain one unless it says more.

    Raises RejectedRecord where a field is not acceptable.
    """
    if stream == METER_STREAM and not says_more(fields):
        return IoTEnergyEvent.from_avro_fields(fields, now)
    return EVENT_KINDS[stream].event_class.from_avro_fields(fields, now)


def says_more(fields: Mapping[str, Any]) -> bool:
    """Whether a meter reading has anything beyond plain electricity in kWh."""
    return not fields.keys() <= PLAIN_FIELDS and any(
        fields.get(field.name, field.default) != field.default
        for field in avro_fields("meter_reading")
        if not field.is_required and field.name not in PLAIN_FIELDS
    )
