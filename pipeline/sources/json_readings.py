"""Plain JSON messages of meters: one reading in a message, or a list of them.

Belongs here: bytes to values, exactly. Does not: what the values mean (meter_mapping).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final, NoReturn

from carbon_ledger.errors import RejectedRecord
from pipeline.sources.meter_mapping import dig

# Of one message; more would be a file in disguise, and fill the window alone.
ITEMS_MAX: Final = 5000


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def parse(payload: bytes) -> Any:
    """The value of a JSON document, numbers as Decimal; RejectedRecord `not_json`."""
    try:
        return json.loads(payload.decode(), parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise RejectedRecord(
            "not_json",
            f"the payload is no JSON: {str(error)[:200]}",
            value=payload[:60].decode(errors="backslashreplace"),
            valid="a JSON document in UTF-8",
        ) from None


def items(message: Any, path: tuple[str, ...]) -> Iterator[tuple[int | None, Any]]:
    """The readings in a message with their numbers from 1, or the message itself with None.

    Raises RejectedRecord `not_an_object`, `not_a_list`, `too_many_items`.
    """
    if not isinstance(message, dict):
        raise RejectedRecord(
            "not_an_object",
            "the message is no JSON object",
            value=message,
            valid="an object { … }",
        )
    if not path:
        yield None, message
        return
    found = dig(message, path)
    if not isinstance(found, list):
        raise RejectedRecord(
            "not_a_list",
            f"{'.'.join(path)} is no list",
            field=".".join(path),
            valid="a list of readings",
        )
    if len(found) > ITEMS_MAX:
        raise RejectedRecord(
            "too_many_items",
            f"{'.'.join(path)} has {len(found)} readings",
            field=".".join(path),
            value=len(found),
            valid=f"at most {ITEMS_MAX} in a message",
        )
    yield from enumerate(found, 1)
