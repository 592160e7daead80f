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
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.event_fields import ActivityEvent, avro_fields, own_fields, shown
from carbon_ledger.events import IoTEnergyEvent

# Streams whose widest schema, with every field a record can have, is another than their own.
WIDER_SCHEMAS: Final = {"iot_energy": "meter_reading", "supplier": "supplier_production"}
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

    Raises RejectedRecord where a field is not acceptable, or says something that an event of its
    kind does not (`field_of_another_kind`).
    """
    if stream == METER_STREAM and not says_more(fields):
        return IoTEnergyEvent.from_avro_fields(fields, now)
    return typed_event_of(stream, fields, now)


def typed_event_of(stream: str, fields: Mapping[str, Any], now: datetime) -> ActivityEvent:
    """As `event_of`, a meter reading always as a MeterReadingEvent."""
    event_class = EVENT_KINDS[stream].class_of(fields)
    return event_class.from_avro_fields(own_part(stream, event_class, fields), now)


def own_part(
    stream: str, event_class: type[ActivityEvent], fields: Mapping[str, Any]
) -> dict[str, Any]:
    """The fields of a record without those of the stream's other kinds of event.

    Raises RejectedRecord `field_of_another_kind` if one of these says something.
    """
    own = {field.name for field in own_fields(event_class)}
    left = dict(fields)
    for field in avro_fields(WIDER_SCHEMAS.get(stream, stream)):
        if field.name in own or field.name not in left:
            continue
        value = left.pop(field.name)
        said = tuple(value) if isinstance(value, list) else value
        if said != field.default:
            raise RejectedRecord(
                "field_of_another_kind",
                f"{field.name}: {shown(value)} is of no use in a {event_class.__name__}",
                field=field.name,
                value=value,
                valid=f"fields of a {event_class.__name__}: {', '.join(sorted(own))}",
            )
    return left


def says_more(fields: Mapping[str, Any]) -> bool:
    """Whether a meter reading has anything beyond plain electricity in kWh."""
    return not fields.keys() <= PLAIN_FIELDS and any(
        fields.get(field.name, field.default) != field.default
        for field in avro_fields("meter_reading")
        if not field.is_required and field.name not in PLAIN_FIELDS
    )
