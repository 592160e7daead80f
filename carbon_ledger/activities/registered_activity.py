"""An activity of the register: what no other stream carries, submitted by hand and approved.

Belongs here: its event and its lines. Does not: the columns people fill in (templates), approval
(carbon_ledger.store.activities), how a figure is made (category_methods).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Final

from carbon_ledger.activities.category_methods import MEMO_FLAG, lines_of_activity
from carbon_ledger.activities.templates import TEMPLATES
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.event_fields import (
    YEAR_SECONDS,
    ActivityEvent,
    EventType,
    amount,
    choice,
    country,
    identifier,
    moment,
    optional,
    revision_number,
    seconds,
    shown,
    text,
    whole,
)
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import EmissionLine
from carbon_ledger.places import site_at
from carbon_ledger.quantities import canonical_text
from carbon_ledger.reference.records import zone_of

FIELDS_LENGTH_MAX: Final = 16_384
LINE_MAX: Final = 10_000_000
# What the event itself says, and its fields therefore do not.
OWN_FIELDS: Final = ("id", "date", "occurred_from", "occurred_to", "quantity", "unit")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def canonical_fields(fields: Mapping[str, Any]) -> str:
    """The one spelling of the calculator's fields: sorted keys, no blanks, numbers as text."""
    return json.dumps(_as_text(fields), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _as_text(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _as_text(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_as_text(one) for one in value]
    if isinstance(value, Decimal):
        return canonical_text(value)
    if value is None or isinstance(value, bool | str):
        return value
    return str(value)


def _fields_text(name: str, value: object) -> str:
    try:
        if isinstance(value, str) and len(value) <= FIELDS_LENGTH_MAX:
            found = json.loads(value, parse_float=str, parse_int=str, parse_constant=str)
        else:
            found = None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RejectedRecord(
            "invalid_fields",
            f"{name}: {shown(value)} is no JSON object of at most {FIELDS_LENGTH_MAX} characters",
            field=name,
            value=value,
            valid='an object such as {"factor":{"kgco2e":"2.5","per":"kg"},"scope":1}',
        )
    return canonical_fields(found)


def _sha256_hex(name: str, value: object) -> str:
    if isinstance(value, str) and _SHA256.fullmatch(value):
        return value
    raise RejectedRecord(
        "invalid_digest",
        f"{name}: {shown(value)} is no SHA-256",
        field=name,
        value=value,
        valid="64 hexadecimal digits in lower case",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisteredActivityEvent(ActivityEvent):
    """An activity of `[timestamp, timestamp + interval_seconds)`, as a template's row states it.

    `fields` and `quantity` of `unit` are the calculator's activity (category_methods); the rest
    says whose it is, and from which line of which file, submission and approval it comes.
    """

    activity_id: str
    template: str
    entity_id: str
    facility_id: str | None = None
    country_iso2: str | None = None
    quantity: Decimal | None = None
    unit: str | None = None
    fields: str
    timestamp: datetime
    interval_seconds: int
    revision: int = 0
    submission_id: str
    approval_id: str
    file_sha256: str
    file_line: int
    problem: RejectedRecord | None = field(init=False, repr=False, compare=False, default=None)

    TYPE: ClassVar[EventType] = EventType(
        stream="activities",
        checks={
            "activity_id": identifier,
            "template": choice(*TEMPLATES, code="unknown_template"),
            "entity_id": identifier,
            "facility_id": optional(identifier),
            "country_iso2": optional(country),
            "quantity": optional(amount),
            "unit": optional(text),
            "fields": _fields_text,
            "timestamp": moment,
            "interval_seconds": seconds(YEAR_SECONDS),
            "revision": revision_number,
            "submission_id": identifier,
            "approval_id": identifier,
            "file_sha256": _sha256_hex,
            "file_line": whole(LINE_MAX, "line_out_of_range"),
        },
    )

    def judge(self) -> None:
        """Raises RejectedRecord `quantity_without_unit`, `said_twice`."""
        if (self.quantity is None) != (self.unit is None):
            raise RejectedRecord(
                "quantity_without_unit",
                "quantity and unit belong together",
                field="quantity" if self.quantity is None else "unit",
                valid="both, or neither",
            )
        twice = [name for name in OWN_FIELDS if name in json.loads(self.fields)]
        if twice:
            raise RejectedRecord(
                "said_twice",
                f"fields: {twice[0]} is said by the event itself",
                field="fields",
                value=twice[0],
                valid=f"fields without {', '.join(OWN_FIELDS)}",
            )

    @property
    def activity_ref(self) -> str:
        """Natural key: the entity and its own name of the activity."""
        return f"activity:{self.entity_id}@{self.activity_id}"


def lines_of_registered_activity(
    event: RegisteredActivityEvent, inventory: Inventory
) -> tuple[EmissionLine, ...]:
    """The lines of an activity of the register, each of the type its template names.

    The factor is that of the site's local day on which the activity begins (UTC where the site is
    not registered). Raises RejectedRecord as `lines_of_activity` does, and `scope_unassigned`: what
    is registered counts somewhere.
    """
    activity: dict[str, Any] = {
        **json.loads(event.fields),
        "date": _local_day(event, inventory).isoformat(),
        "occurred_from": event.occurred_from,
        "occurred_to": event.occurred_to,
    }
    if event.quantity is not None:
        activity |= {"quantity": event.quantity, "unit": event.unit}
    lines = lines_of_activity(activity, inventory)
    if any(line.assignment.scope == 0 and MEMO_FLAG not in line.flags for line in lines):
        raise RejectedRecord(
            "scope_unassigned",
            f"what is registered as {event.template} is in no scope: {lines[0].assignment.reason}",
            field="fields",
            valid="a scope, with its category where it is 3, or a formula of one category",
        )
    return tuple(replace(line, activity_type=event.template) for line in lines)


def _local_day(event: RegisteredActivityEvent, inventory: Inventory) -> Any:
    site = (
        None
        if event.facility_id is None
        else site_at(event.facility_id, event.occurred_from, inventory.register)
    )
    begin = event.occurred_from
    return (begin if site is None else begin.astimezone(zone_of(site.time_zone))).date()
