"""Purchase orders as ERP systems write them, as PurchaseOrderEvents.

Belongs here: finding documents and lines in what a system sent, reading its times, amounts, units
and deletions by a shape kept as data (erp_shapes/*.yaml). Does not: HTTP and signatures
(api.routes.erp), reading a database's log (pipeline.sources of change capture).

A line's revision is the document's version number. A document that says when it was changed but not
how often is refused: two changes could not be put in order. A line that is deleted comes once more,
in a later revision, cancelled.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from functools import cache
from importlib import resources
from typing import Any, Final

import yaml

from carbon_ledger.errors import ConfigurationError, RejectedRecord
from carbon_ledger.event_fields import moment, shown
from carbon_ledger.purchasing.purchase_events import PURCHASE_ORDER, PurchaseOrderEvent
from carbon_ledger.quantities import decimal_from

SHAPES: Final = ("sap_s4hana", "oracle_fusion")
DOCUMENTS_MAX: Final = 1_000
LINES_MAX: Final = 5_000

# ISO 4217: minor units of currencies that have not two.
MINOR_UNITS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF"), 0),
    **dict.fromkeys(("UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# OData V2: milliseconds since 1970 in UTC; the offset only says where it was written.
_ODATA_DATE: Final = re.compile(r"/Date\((-?[0-9]{1,15})([+-][0-9]{4})?\)/")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EXACT: Final = Context(prec=80, rounding=ROUND_HALF_UP)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Where a kind of system keeps what an event says; the content of a file of erp_shapes."""

    name: str
    documents: tuple[str, ...]
    items: tuple[str, ...]
    header: Mapping[str, Sequence[str]]
    item: Mapping[str, Sequence[str]]
    class_system: str
    deleted_values: frozenset[str]
    units: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ErpSystem:
    """One system that sends documents: its shape, and what its own words mean here.

    `entities` maps its companies to entities (empty: they are called alike); `document_prefix` goes
    before its document numbers, which another system may use too.
    """

    system: str
    shape: Shape
    document_prefix: str
    entities: Mapping[str, str] = field(default_factory=dict)
    suppliers: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ErpLine:
    """A line as it was found: an event, or why there is none. `place` names it within the body."""

    place: str
    event: PurchaseOrderEvent | None = None
    problem: RejectedRecord | None = None


@cache
def shape_named(name: str) -> Shape:
    """A shape of SHAPES; ConfigurationError `erp_kind_unknown`."""
    if name not in SHAPES:
        raise ConfigurationError(
            "erp_kind_unknown", f"{name!r} is no kind of ERP system; known are: {', '.join(SHAPES)}"
        )
    file = resources.files("pipeline").joinpath("sources", "erp_shapes", f"{name}.yaml")
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    return Shape(
        name=name,
        documents=tuple(content["documents"]),
        items=tuple(content["items"]),
        header=content["header"],
        item=content["item"],
        class_system=content["class_system"],
        deleted_values=frozenset(content["deleted_values"]),
        units=content["units"],
    )


def lines_of_body(body: object, system: ErpSystem, now: datetime) -> list[ErpLine]:
    """Every line of every document in a body, in its order, each an event or a refusal.

    Equal bodies give equal events. Raises RejectedRecord `no_document`, `too_many_documents`,
    `too_many_lines`; what is wrong with one line is told in its place.
    """
    documents = _documents(body, system.shape)
    found: list[ErpLine] = []
    for document in documents:
        found.extend(_lines_of_document(document, system, now))
        if len(found) > LINES_MAX:
            raise RejectedRecord(
                "too_many_lines", "there are too many lines at once", valid=f"at most {LINES_MAX}"
            )
    return found


def _documents(body: object, shape: Shape) -> list[Mapping[str, Any]]:
    found: object = body
    if isinstance(body, Mapping) and _first(body, shape.header["number"]) is None:
        for path in shape.documents:
            inner = _at(body, path)
            if isinstance(inner, list | Mapping):
                found = inner
                break
    listed: list[Any] = found if isinstance(found, list) else [found]
    if len(listed) > DOCUMENTS_MAX:
        raise RejectedRecord(
            "too_many_documents",
            "there are too many documents at once",
            valid=f"at most {DOCUMENTS_MAX}",
        )
    if not listed or not all(isinstance(one, Mapping) for one in listed):
        raise _no_document(shape)
    if all(_first(one, shape.header["number"]) is None for one in listed):
        raise _no_document(shape)
    return listed


def _no_document(shape: Shape) -> RejectedRecord:
    return RejectedRecord(
        "no_document",
        "there is no purchase order in this",
        field="/".join(shape.header["number"]),
        valid=f"a document of kind {shape.name}, or a list of them in {'/'.join(shape.documents)}",
    )


def _lines_of_document(
    document: Mapping[str, Any], system: ErpSystem, now: datetime
) -> list[ErpLine]:
    shape = system.shape
    number = str(_first(document, shape.header["number"]) or "?")[:60]
    try:
        items = _items(document, shape)
        header = _header(document, system)
    except RejectedRecord as problem:
        return [ErpLine(place=number, problem=problem)]
    found = []
    for position, item in enumerate(items, start=1):
        place = f"{number}/{position}"
        try:
            event = _event(item, header, system)
            event.check(now)
            found.append(ErpLine(place=f"{number}/{event.line_no}", event=event))
        except RejectedRecord as problem:
            found.append(ErpLine(place=place, problem=problem))
    return found


def _items(document: Mapping[str, Any], shape: Shape) -> list[Mapping[str, Any]]:
    for path in shape.items:
        items = _at(document, path)
        if isinstance(items, list) and items and all(isinstance(one, Mapping) for one in items):
            return items
    raise RejectedRecord(
        "no_lines",
        "the document has no lines; ask for it with its lines expanded",
        field=shape.items[0],
        valid=f"lines in {' or '.join(shape.items)}",
    )


@dataclass(frozen=True, kw_only=True)
class _Header:
    number: str
    revision: int
    entity_id: str
    supplier_id: str
    supplier_country: str | None
    currency: object
    ordered_at: datetime
    is_deleted: bool


def _header(document: Mapping[str, Any], system: ErpSystem) -> _Header:
    fields = system.shape.header
    number = str(_required(document, fields, "number"))
    company = str(_required(document, fields, "entity"))
    supplier = str(_required(document, fields, "supplier"))
    return _Header(
        number=number,
        revision=_revision(document, fields),
        entity_id=_translated(company, system.entities, fields["entity"][0]),
        supplier_id=system.suppliers.get(supplier, supplier),
        supplier_country=_optional_text(document, fields, "supplier_country"),
        currency=_first(document, fields["currency"]),
        ordered_at=read_time(fields["date"][0], _required(document, fields, "date")),
        is_deleted=_is_deleted(document, fields, system.shape),
    )


def _event(item: Mapping[str, Any], header: _Header, system: ErpSystem) -> PurchaseOrderEvent:
    fields = system.shape.item
    line_no = _line_no(fields["line"][0], _required(item, fields, "line"))
    currency = str(_first(item, fields["currency"]) or header.currency or "")
    is_deleted = header.is_deleted or _is_deleted(item, fields, system.shape)
    quantity = unit = None
    if not is_deleted and (given := _first(item, fields["quantity"])) is not None:
        quantity = decimal_from(given, field=fields["quantity"][0])
        unit = _unit(str(_required(item, fields, "unit")), system)
    code = _optional_text(item, fields, "class")
    return PurchaseOrderEvent(
        purchase_order_id=header.number,
        document_id=f"{system.document_prefix}{header.number}",
        document_kind=PURCHASE_ORDER,
        line_no=line_no,
        entity_id=header.entity_id,
        facility_id=_optional_text(item, fields, "facility"),
        supplier_id=header.supplier_id,
        supplier_country_iso2=header.supplier_country,
        item_id=_optional_text(item, fields, "item"),
        classification=None if code is None else f"{system.shape.class_system}:{code}",
        amount_net=Decimal(0) if is_deleted else _amount(item, fields, currency),
        currency=currency,
        quantity=quantity,
        unit=unit,
        timestamp=header.ordered_at,
        revision=header.revision,
        is_cancelled=is_deleted,
    )


# ---- single values


def read_time(name: str, value: object) -> datetime:
    """A time as OData V2 (`/Date(1717200000000)/`) or ISO 8601 writes it; a date is its start, UTC.

    Codes of `carbon_ledger.event_fields.moment`.
    """
    if isinstance(value, str) and (found := _ODATA_DATE.fullmatch(value)):
        try:
            return _EPOCH + timedelta(milliseconds=int(found[1]))
        except OverflowError:
            pass
    elif isinstance(value, str) and (_DATE.match(value)):
        return moment(name, value)
    raise RejectedRecord(
        "not_a_timestamp",
        f"{name}: {shown(value)} is not a point in time",
        field=name,
        value=value,
        valid="/Date(1717200000000)/, or ISO 8601 text such as 2024-06-01T00:00:00Z",
    )


def rounded_money(amount: Fraction, currency: str) -> Decimal:
    """An amount in a currency's smallest unit, half up, as ERP systems round what they bill."""
    quantum = Decimal(1).scaleb(-MINOR_UNITS.get(currency, 2))
    units = amount / Fraction(quantum)
    whole, rest = divmod(abs(units), 1)
    whole += 1 if rest >= Fraction(1, 2) else 0
    signed = Decimal(int(whole)) if amount >= 0 else -Decimal(int(whole))
    return _EXACT.multiply(signed, quantum)


def _amount(item: Mapping[str, Any], fields: Mapping[str, Sequence[str]], currency: str) -> Decimal:
    given = _first(item, fields["amount"])
    if given is not None:
        return decimal_from(given, field=fields["amount"][0])
    price = Fraction(_number(item, fields, "price"))
    quantity = Fraction(_number(item, fields, "quantity"))
    per = Fraction(_number(item, fields, "price_per", 1))
    numerator = Fraction(_number(item, fields, "price_numerator", 1))
    denominator = Fraction(_number(item, fields, "price_denominator", 1))
    if not per or not denominator:
        raise RejectedRecord(
            "division_by_zero",
            "a price per nothing is no price",
            field="/".join([*fields["price_per"], *fields["price_denominator"]]),
            value=0,
            valid="a number above zero",
        )
    return rounded_money(price * quantity * numerator / denominator / per, currency)


def _number(
    item: Mapping[str, Any],
    fields: Mapping[str, Sequence[str]],
    name: str,
    default: int | None = None,
) -> Decimal:
    given = _first(item, fields[name])
    if given is None and default is not None:
        return Decimal(default)
    if given is None:
        given = _required(item, fields, name)
    return decimal_from(given, field=fields[name][0])


def _revision(document: Mapping[str, Any], fields: Mapping[str, Sequence[str]]) -> int:
    given = _first(document, fields["version"])
    if given is None:
        if _first(document, fields["changed_at"]) is None:
            return 0
        raise RejectedRecord(
            "revision_missing",
            f"the document has {fields['changed_at'][0]} and no version: two changes of it could "
            "not be put in order",
            field=fields["version"][0],
            valid="a version number from 0 on, which each change raises",
        )
    text = str(given)
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return int(text)
    raise RejectedRecord(
        "revision_out_of_range",
        f"{fields['version'][0]}: {shown(given)} is no version number",
        field=fields["version"][0],
        value=given,
        valid="a whole number from 0 on",
    )


def _line_no(name: str, value: object) -> int:
    text = str(value)
    if not isinstance(value, bool) and text.isascii() and text.isdigit() and len(text) <= 9:
        return int(text)
    raise RejectedRecord(
        "line_out_of_range",
        f"{name}: {shown(value)} is no number of a line",
        field=name,
        value=value,
        valid="a whole number from 0 on",
    )


def _unit(code: str, system: ErpSystem) -> str:
    # A code that nobody has translated is judged by the event, which knows the units there are.
    return system.units.get(code) or system.shape.units.get(code) or code


def _translated(value: str, table: Mapping[str, str], name: str) -> str:
    if not table:
        return value
    found = table.get(value)
    if found is None:
        raise RejectedRecord(
            "unknown_company",
            f"{name}: {shown(value)} is no company of this system",
            field=name,
            value=value,
            valid=f"a company in `entities` of its configuration: {', '.join(sorted(table))[:100]}",
        )
    return found


def _is_deleted(
    document: Mapping[str, Any], fields: Mapping[str, Sequence[str]], shape: Shape
) -> bool:
    given = _first(document, fields["deleted"])
    text = "true" if given is True else str(given)
    return given is not None and text in shape.deleted_values


def _optional_text(
    document: Mapping[str, Any], fields: Mapping[str, Sequence[str]], name: str
) -> str | None:
    given = _first(document, fields[name])
    return None if given is None else str(given)


def _required(
    document: Mapping[str, Any], fields: Mapping[str, Sequence[str]], name: str
) -> object:
    found = _first(document, fields[name])
    if found is None:
        raise RejectedRecord(
            "missing_field",
            f"{fields[name][0]} is missing",
            field=fields[name][0],
            valid=f"a value in {' or '.join(fields[name])}",
        )
    if isinstance(found, Mapping | list):
        raise RejectedRecord(
            "wrong_type",
            f"{fields[name][0]} is no single value",
            field=fields[name][0],
            valid="text or a number",
        )
    return found


def _first(document: Mapping[str, Any], names: Sequence[str]) -> object:
    """The first of these fields that is there and not empty."""
    for name in names:
        found = _at(document, name)
        if found is not None and found != "":
            return found
    return None


def _at(document: object, path: str) -> object:
    for part in path.split("."):
        if not isinstance(document, Mapping):
            return None
        document = document.get(part)
    return document
