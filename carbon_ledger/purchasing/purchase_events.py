"""The typed event of a line of a purchasing document.

Belongs here: its fields, their checks, its natural key. Does not: what it emits
(carbon_ledger.purchasing.purchases), Avro bytes (pipeline.serialization).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Final

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.event_fields import (
    ActivityEvent,
    EventType,
    choice,
    country,
    flag,
    identifier,
    moment,
    optional,
    revision_number,
    seconds,
    share,
    shown,
    signed_amount,
    text,
    whole,
)
from carbon_ledger.quantities import PRODUCT, canonical_text
from carbon_ledger.units import canonical_unit

PURCHASE_ORDER: Final = "purchase_order"
GOODS_RECEIPT: Final = "goods_receipt"
INVOICE: Final = "invoice"
CREDIT_NOTE: Final = "credit_note"
DOCUMENT_KINDS: Final = (PURCHASE_ORDER, GOODS_RECEIPT, INVOICE, CREDIT_NOTE)
LINE_KINDS: Final = ("item", "freight", "tax")
PRICE_BASES: Final = ("purchaser", "basic")
LINE_MAX: Final = 1_000_000

_CURRENCY = re.compile(r"[A-Z]{3}")
_CODE = re.compile(r"[a-z][a-z0-9_]{0,31}:[A-Za-z0-9._-]{1,64}")


def currency_code(field_name: str, value: object) -> str:
    """Three capital letters, as ISO 4217 has them; code `unknown_currency`.

    Whether there is a rate for it is a question for the price table.
    """
    if isinstance(value, str) and _CURRENCY.fullmatch(value):
        return value
    raise RejectedRecord(
        "unknown_currency",
        f"{field_name}: {shown(value)} is no currency",
        field=field_name,
        value=value,
        valid="an ISO 4217 code such as EUR",
    )


def unit_name(field_name: str, value: object) -> str:
    """A unit in its one spelling; code `unknown_unit`."""
    return canonical_unit(value, field=field_name)


def system_code(field_name: str, value: object) -> str:
    """A system and a code of it, `system:code`; code `invalid_classification`."""
    if isinstance(value, str) and _CODE.fullmatch(value):
        return value
    raise RejectedRecord(
        "invalid_classification",
        f"{field_name}: {shown(value)} names no code of a system",
        field=field_name,
        value=value,
        valid="system:code, such as unspsc:44103105, naics:331110 or gl:627100",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class PurchaseOrderEvent(ActivityEvent):
    """A line of an order, a goods receipt, an invoice or a credit note.

    Money in `currency`, without tax and without freight billed apart; on a credit note it is
    negative, and so is the quantity. The period `[timestamp, timestamp + interval_seconds)` is the
    one the purchase belongs to. A line that was deleted or cancelled at its source comes once more,
    in a later revision, with `is_cancelled`: nothing of it stands then; a later revision without it
    brings the line back.
    """

    purchase_order_id: str
    document_id: str
    document_kind: str
    line_no: int
    entity_id: str
    facility_id: str | None = None
    supplier_id: str
    supplier_country_iso2: str | None = None
    item_id: str | None = None
    classification: str | None = None
    amount_net: Decimal
    currency: str
    quantity: Decimal | None = None
    unit: str | None = None
    is_capital: bool = False
    is_intra_group: bool = False
    timestamp: datetime
    interval_seconds: int = 0
    revision: int = 0
    order_line_no: int | None = None
    line_kind: str | None = None
    account: str | None = None
    amount_gross: Decimal | None = None
    vat_amount: Decimal | None = None
    freight_amount: Decimal | None = None
    price_basis: str | None = None
    margin_share: Decimal | None = None
    material_item: str | None = None
    material_treatment: str | None = None
    corrects: str | None = None
    corrects_timestamp: datetime | None = None
    is_cancelled: bool = False
    problem: RejectedRecord | None = field(init=False, repr=False, compare=False, default=None)

    TYPE: ClassVar[EventType] = EventType(
        stream="procurement",
        checks={
            "purchase_order_id": identifier,
            "document_id": identifier,
            "document_kind": choice(*DOCUMENT_KINDS, code="unknown_document_kind"),
            "line_no": whole(LINE_MAX, "line_out_of_range"),
            "entity_id": identifier,
            "facility_id": optional(identifier),
            "supplier_id": identifier,
            "supplier_country_iso2": optional(country),
            "item_id": optional(identifier),
            "classification": optional(system_code),
            "amount_net": signed_amount,
            "currency": currency_code,
            "quantity": optional(signed_amount),
            "unit": optional(unit_name),
            "is_capital": flag,
            "is_intra_group": flag,
            "timestamp": moment,
            "interval_seconds": seconds(),
            "revision": revision_number,
            "order_line_no": optional(whole(LINE_MAX, "line_out_of_range")),
            "line_kind": optional(choice(*LINE_KINDS, code="unknown_line_kind")),
            "account": optional(system_code),
            "amount_gross": optional(signed_amount),
            "vat_amount": optional(signed_amount),
            "freight_amount": optional(signed_amount),
            "price_basis": optional(choice(*PRICE_BASES, code="unknown_price_basis")),
            "margin_share": optional(share),
            "material_item": optional(text),
            "material_treatment": optional(text),
            "corrects": optional(identifier),
            "corrects_timestamp": optional(moment),
            "is_cancelled": flag,
        },
    )

    @property
    def activity_ref(self) -> str:
        """Natural key: document and line."""
        return f"purchase:{self.line_ref}"

    @property
    def line_ref(self) -> str:
        """The line as other documents and declarations name it: `document_id/line_no`."""
        return f"{self.document_id}/{self.line_no}"

    @property
    def order_ref(self) -> str:
        """The line of the order that every document of one purchase shares: the claim it makes."""
        line = self.line_no if self.order_line_no is None else self.order_line_no
        return f"{self.entity_id}:{self.purchase_order_id}/{line}"

    def judge(self) -> None:
        """Raises RejectedRecord if signs, quantity and unit, or the parts of the bill disagree.

        Codes: `credit_note_not_negative`, `negative_amount`, `quantity_without_unit`,
        `material_without_quantity`, `amount_not_reconciled`.
        """
        _check_signs(self)
        if (self.quantity is None) != (self.unit is None):
            raise RejectedRecord(
                "quantity_without_unit",
                "quantity and unit belong together",
                field="quantity" if self.quantity is None else "unit",
                valid="both, or neither",
            )
        if self.material_item is not None and self.quantity is None:
            raise RejectedRecord(
                "material_without_quantity",
                f"material_item {shown(self.material_item)} is of no quantity",
                field="quantity",
                valid="a quantity and its unit beside material_item",
            )
        _check_bill(self)


def _check_signs(event: PurchaseOrderEvent) -> None:
    is_credit = event.document_kind == CREDIT_NOTE
    for name in ("amount_net", "quantity"):
        value: Decimal | None = getattr(event, name)
        if value is None or not value or (value < 0) == is_credit:
            continue
        raise RejectedRecord(
            "credit_note_not_negative" if is_credit else "negative_amount",
            f"{name}: {canonical_text(value)} on a document of kind {event.document_kind}",
            field=name,
            value=value,
            valid="0 or below on a credit note" if is_credit else "0 or more; less: a credit_note",
        )


def _check_bill(event: PurchaseOrderEvent) -> None:
    if event.amount_gross is None:
        return
    parts = event.amount_net
    for part in (event.vat_amount, event.freight_amount):
        if part is not None:
            parts = PRODUCT.add(parts, part)
    if parts != event.amount_gross:
        raise RejectedRecord(
            "amount_not_reconciled",
            f"net, tax and freight make {canonical_text(parts)}, billed are "
            f"{canonical_text(event.amount_gross)} {event.currency}",
            field="amount_gross",
            value=event.amount_gross,
            valid="amount_net + vat_amount + freight_amount",
        )
