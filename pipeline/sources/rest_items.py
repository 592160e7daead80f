"""From an item of a provider's answer to events, or to a named reason why not, with its bytes.

Belongs here: skipping, expanding, building and checking events, the item's bytes without what is
personal. Does not: the rules of fields (field_mapping), revisions and cursors (rest_state).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.event_fields import ActivityEvent
from pipeline.sources.field_mapping import Surroundings, read_fields, walk
from pipeline.sources.rest_mapping import Provider

WITHHELD: Final = "withheld: personal"
# What is nested deeper is no answer of a carrier's.
DEPTH_MAX: Final = 100


@dataclass(frozen=True, kw_only=True)
class Mapped:
    """An item's event; `fingerprint` is of all it says but its revision."""

    event: ActivityEvent
    values: Mapping[str, Any]
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Refused:
    """An item that is no event: why, and its bytes."""

    problem: RejectedRecord
    payload: bytes


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """An item that is no activity, by a rule of the mapping."""

    why: str


def items_of(answer: object, provider: Provider) -> list[object]:
    """The items of a page. Raises RejectedRecord `answer_shape` where the path is not there."""
    if not isinstance(answer, dict | list):
        raise RejectedRecord(
            "answer_shape",
            f"the answer is a {type(answer).__name__}, no object",
            valid="a JSON object or list",
        )
    if not provider.items:
        return list(answer) if isinstance(answer, list) else [answer]
    return walk(answer, provider.items)


def read_item(
    item: object, provider: Provider, around: Surroundings, now: datetime
) -> Iterator[Mapped | Refused | Skipped]:
    """What becomes of an item: one thing per event the mapping makes of it, never nothing."""
    for skip in provider.skips:
        if skip.applies(item):
            yield Skipped(why=skip.why)
            return
    for spec in provider.events:
        elements = walk(item, spec.each) if spec.each else [item]
        if not elements:
            problem = RejectedRecord(
                "item_has_no_parts",
                "the list that the mapping makes events of is empty or missing",
                valid="at least one element",
            )
            yield Refused(problem=problem, payload=item_bytes(item, provider.personal))
        for element in elements:
            surroundings = Surroundings(
                root=item, subject=around.subject, values=around.values, zone=around.zone
            )
            try:
                values = read_fields(spec.rules, element, surroundings)
                yield mapped(values, provider, now)
            except RejectedRecord as problem:
                yield Refused(problem=problem, payload=item_bytes(item, provider.personal))


def mapped(values: Mapping[str, Any], provider: Provider, now: datetime) -> Mapped:
    """The event of the values, checked. Raises RejectedRecord as the event's own checks do."""
    event = provider.event_class.from_fields(values, now)
    said = {name: one for name, one in event.to_avro_fields().items() if name != "revision"}
    text = json.dumps(said, sort_keys=True, ensure_ascii=False)
    return Mapped(
        event=event, values=values, fingerprint=hashlib.sha256(text.encode()).hexdigest()[:32]
    )


def item_bytes(item: object, personal: frozenset[str] = frozenset()) -> bytes:
    """The item as JSON, every number in its own spelling, the values of personal keys withheld."""
    return _written(item, personal, 0).encode()


def _written(node: object, personal: frozenset[str], depth: int) -> str:
    if depth > DEPTH_MAX:
        return '"nested too deep"'
    if isinstance(node, dict):
        parts = (
            f"{json.dumps(key, ensure_ascii=False)}:"
            + (
                json.dumps(WITHHELD)
                if key in personal and one is not None
                else _written(one, personal, depth + 1)
            )
            for key, one in node.items()
        )
        return "{" + ",".join(parts) + "}"
    if isinstance(node, list):
        return "[" + ",".join(_written(one, personal, depth + 1) for one in node) + "]"
    if isinstance(node, Decimal):
        return str(node)
    return json.dumps(node, ensure_ascii=False)
