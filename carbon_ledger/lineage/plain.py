"""Records as plain JSON values and back, to the last digit; the standard library alone.

Belongs here: factors, index rows, statements of reference data and entries, spelled for a file that
outlives the database. Does not: what they mean. Numbers are texts, so that no reader rounds them.
"""

from __future__ import annotations

import base64
import json
import types
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.factor_book.index_rows import IndexRow
from carbon_ledger.factor_book.rows import Factor, FactorRelease, make_release
from carbon_ledger.reference.fields import Record
from carbon_ledger.reference.instruments import Instrument
from carbon_ledger.reference.records import (
    Budget,
    Entity,
    Meter,
    Ownership,
    Revenue,
    Site,
    SpendClass,
    Supplier,
    SupplierItem,
    Vehicle,
)

Made = TypeVar("Made")

KINDS: Final[dict[str, type[Record]]] = {
    kind.KIND: kind
    for kind in (
        *(Entity, Ownership, Site, Meter, Vehicle, Supplier, SupplierItem, Instrument),
        *(Revenue, Budget, SpendClass),
    )
}


def plain(value: object) -> object:
    """`value` as JSON has it: numbers that are not whole as text, bytes as base64."""
    if value is None or type(value) in (str, int, bool):  # most are, and are seen to be at once
        return value
    if isinstance(value, Decimal | Fraction | UUID):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    return value


def plain_fields(record: Any) -> dict[str, object]:
    """The fields of a dataclass, each plain."""
    kind: Any = type(record)
    return {name: plain(getattr(record, name)) for name in _names(kind)}


@cache
def _names(kind: Hashable) -> tuple[str, ...]:
    dataclass: Any = kind
    return tuple(one.name for one in fields(dataclass))


def made(kind: type[Made], values: Mapping[str, Any]) -> Made:
    """The dataclass of such fields again. Raises BrokenInvariant `plain_record`."""
    hashable: Any = kind
    hints = _hints(hashable)
    try:
        return kind(**{name: _typed(hints[name], value) for name, value in values.items()})
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise BrokenInvariant(
            "plain_record", f"a {kind.__name__} cannot be read: {error}"
        ) from error


@cache
def _hints(kind: Hashable) -> dict[str, Any]:
    return get_type_hints(kind)


def _typed(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(one for one in get_args(hint) if one is not types.NoneType)
    origin = get_origin(hint) or hint
    if origin in (Decimal, Fraction, UUID):
        return origin(value)
    if origin in (date, datetime):
        return origin.fromisoformat(value)
    if origin is bytes:
        return base64.b64decode(value, validate=True)
    if origin is tuple:
        return tuple(tuple(one) if isinstance(one, list) else one for one in value)
    return value


def release_text(release: FactorRelease) -> str:
    """A whole release as JSON, one row a line."""
    encode = json.JSONEncoder(ensure_ascii=False).encode
    rows = [encode(plain_fields(row)) for row in release.rows]
    index = [encode(plain_fields(row)) for row in release.index_rows]
    head = f'{{"name":{json.dumps(release.name)},"release_id":{json.dumps(release.release_id)}'
    return f'{head},\n"factors":[{_lines(rows)}],\n"index_rows":[{_lines(index)}]}}\n'


def _lines(texts: Sequence[str]) -> str:
    return "\n" + ",\n".join(texts) + "\n" if texts else ""


def release_of(text: str) -> FactorRelease:
    """The release of such a text. Raises BrokenInvariant `release_changed` if it is not the one it
    names; whether its rows are intact is for check_factor and check_index to say.
    """
    values = json.loads(text)
    release = make_release(
        values["name"],
        [made(Factor, row) for row in values["factors"]],
        [made(IndexRow, row) for row in values["index_rows"]],
    )
    if release.release_id != values["release_id"]:
        raise BrokenInvariant(
            "release_changed",
            f"the rows kept for release {values['release_id']} make {release.release_id}",
        )
    return release


def reference_text(records: Sequence[Record]) -> str:
    """Statements of reference data as JSON, one a line, in the order given."""
    rows = [
        json.dumps({"kind": one.KIND, **plain_fields(one)}, ensure_ascii=False) for one in records
    ]
    return f"[{_lines(rows)}]\n"


def reference_of(text: str) -> tuple[Record, ...]:
    """The statements of such a text."""
    found = []
    for values in json.loads(text):
        kind = KINDS[values.pop("kind")]
        found.append(made(kind, values))
    return tuple(found)
