"""What a trip says of the person who drove: the fields that never leave a producer in the clear.

Belongs here: the fields, their checks, their one spelling as bytes. Does not: encryption
(carbon_ledger.personal.sealing). Neither `repr` nor a refusal shows a value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any, Final

from carbon_ledger.errors import RejectedRecord

TEXT_MAX: Final = 256
NOTE_MAX: Final = 1024
# Lengths tell names apart: what is encrypted has one of few lengths.
BLOCK_BYTES: Final = 128

_POSITION = re.compile(r"(-?[0-9]{1,2}(?:\.[0-9]{1,9})?),(-?[0-9]{1,3}(?:\.[0-9]{1,9})?)")


@dataclass(frozen=True, kw_only=True, slots=True)
class PersonalFields:
    """Who drove, from where, to where. `driver_id` is the source's own id of the person.

    Positions are `latitude,longitude` in degrees (WGS 84), e.g. `52.5200,13.4050`. `of` checks.
    """

    driver_id: str = field(repr=False)
    driver_name: str | None = field(default=None, repr=False)
    start_position: str | None = field(default=None, repr=False)
    end_position: str | None = field(default=None, repr=False)
    note: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Raises RejectedRecord `invalid_personal_field`, naming the field and not the value."""
        _text("driver_id", self.driver_id, TEXT_MAX)
        for name, maximum in (("driver_name", TEXT_MAX), ("note", NOTE_MAX)):
            value = getattr(self, name)
            if value is not None:
                _text(name, value, maximum)
        for name in ("start_position", "end_position"):
            value = getattr(self, name)
            if value is not None:
                _position(name, value)

    def to_bytes(self) -> bytes:
        """The one spelling of these fields: JSON, keys sorted, padded with blanks to a multiple of
        BLOCK_BYTES.
        """
        given = {name: value for name, value in self.values().items() if value is not None}
        text = json.dumps(given, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        return text + b" " * (-len(text) % BLOCK_BYTES)

    @classmethod
    def from_bytes(cls, data: bytes) -> PersonalFields:
        """The fields that `to_bytes` spelled. Raises RejectedRecord `invalid_personal_field`."""
        found: Any = None
        try:
            found = json.loads(data)
        except ValueError:
            # Its message would quote what it could not read.
            found = None
        if not isinstance(found, Mapping) or not set(found) <= set(NAMES):
            raise _refused("personal fields", f"a JSON object with {', '.join(NAMES)}")
        return cls(**{"driver_id": None, **found})

    def values(self) -> dict[str, str | None]:
        """Every field by name, in the clear: for the person it is about."""
        return {name: getattr(self, name) for name in NAMES}


NAMES: Final = tuple(one.name for one in fields(PersonalFields))


def _text(name: str, value: object, maximum: int) -> None:
    if not (isinstance(value, str) and 0 < len(value) <= maximum and value.isprintable()):
        raise _refused(name, f"1 to {maximum} printable characters")


def _position(name: str, value: object) -> None:
    found = _POSITION.fullmatch(value) if isinstance(value, str) else None
    if found is None or abs(Decimal(found[1])) > 90 or abs(Decimal(found[2])) > 180:
        raise _refused(name, "latitude,longitude in degrees, such as 52.5200,13.4050")


def _refused(name: str, valid: str) -> RejectedRecord:
    return RejectedRecord(
        "invalid_personal_field",
        f"{name} cannot be taken (what it says is not shown, it may be about a person)",
        field=name,
        valid=valid,
    )
