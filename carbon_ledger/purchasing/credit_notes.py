"""What a credit note takes back: the working of the credited line, with the credit's amount.

Belongs here: a credit note whose original line is at hand. Does not: one whose original is not
(carbon_ledger.purchasing.purchases prices it as on the original's day).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from carbon_ledger.claims.facts import CREDIT_NOTE
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.lines import EmissionLine, line_of
from carbon_ledger.organisation.categories import SPEND_BASED
from carbon_ledger.purchasing.purchase_events import PurchaseOrderEvent
from carbon_ledger.quantities import canonical_text
from carbon_ledger.units import ratio
from carbon_ledger.workings import Operand, Term


def credit_line(event: PurchaseOrderEvent, credited: EmissionLine) -> EmissionLine:
    """The credited line's own working, its amount replaced by the credit note's, which is negative.

    So factor, version, exchange rate and price index are those of the original. Raises
    RejectedRecord `credit_quantity_missing`, `credit_currency_mismatch`, `credit_exceeds_original`.
    """
    is_money = credited.method == SPEND_BASED
    value = event.amount_net if is_money else event.quantity
    unit = event.currency if is_money else event.unit
    _check_credit(event, credited, value, unit)
    conversion = (
        ()
        if is_money or unit == credited.unit
        else (
            Operand(
                value=ratio(unit or "", credited.unit),
                unit=f"{credited.unit} per {unit}",
                label="unit conversion",
            ),
        )
    )

    def taken_back(terms: Sequence[Term]) -> tuple[Term, ...]:
        return tuple(
            replace(
                term,
                operands=(
                    replace(
                        term.operands[0],
                        value=value or Decimal(0),
                        unit=term.operands[0].unit if is_money else unit or "",
                        source=f"{event.document_kind} {event.line_ref} for "
                        f"{event.corrects or 'a line'}",
                    ),
                    *conversion,
                    *term.operands[1:],
                ),
            )
            for term in terms
        )

    return line_of(
        assignment=credited.assignment,
        formula=credited.working.formula,
        terms=taken_back(credited.working.terms),
        gas_terms=tuple((gas, taken_back(one.terms)) for gas, one in credited.gas_workings),
        basis=credited.basis,
        method=credited.method,
        rank=credited.rank,
        activity_type=credited.activity_type,
        quantity=value or Decimal(0),
        unit=unit or "",
        gwp_set=credited.gwp_set,
        factor=credited.factor,
        activity_scores=credited.activity_scores,
        factor_scores=credited.factor_scores,
        occurred_from=event.occurred_from,
        occurred_to=event.occurred_to,
        flags=(*credited.flags, CREDIT_NOTE),
    )


def _check_credit(
    event: PurchaseOrderEvent, credited: EmissionLine, value: Decimal | None, unit: str | None
) -> None:
    """Raises RejectedRecord where the credit note cannot be of that line."""
    if value is None or unit is None:
        raise RejectedRecord(
            "credit_quantity_missing",
            f"{event.line_ref} takes back a line that was booked by its quantity",
            field="quantity",
            valid=f"the quantity taken back, in a unit like {credited.unit}",
        )
    if credited.method == SPEND_BASED and unit != credited.unit:
        raise RejectedRecord(
            "credit_currency_mismatch",
            f"{event.line_ref} is in {unit}, what it takes back in {credited.unit}",
            field="currency",
            value=unit,
            valid=credited.unit,
        )
    taken = -Fraction(value)
    if credited.method != SPEND_BASED:
        taken *= ratio(unit, credited.unit)
    if taken > Fraction(credited.quantity):
        raise RejectedRecord(
            "credit_exceeds_original",
            f"{event.line_ref} takes back {canonical_text(value.copy_abs())} {unit} of "
            f"{canonical_text(credited.quantity)} {credited.unit}",
            field="amount_net" if credited.method == SPEND_BASED else "quantity",
            value=value,
            valid=f"at most {canonical_text(credited.quantity)} {credited.unit}",
        )
