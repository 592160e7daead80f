"""A supplier's declaration beside what was bought from it, and a year's statement over its months.

Belongs here: coverage, the implied intensity, the true-up. Does not: a declaration by itself
(declaration_rules), what replaces what (carbon_ledger.claims.supersession).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final

from carbon_ledger.claims.claims import Coverage, coverage, unit_ratio
from carbon_ledger.claims.supersession import pro_rata
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import EmissionLine
from carbon_ledger.purchasing.purchase_booking import not_booked
from carbon_ledger.purchasing.purchase_events import PurchaseOrderEvent
from carbon_ledger.purchasing.purchases import lines_of_purchase
from carbon_ledger.purchasing.spend import parts_by_year
from carbon_ledger.purchasing.spend_routes import SPEND, target_of
from carbon_ledger.purchasing.supplier_events import PRODUCT_FOOTPRINT, SupplierDeclarationEvent
from carbon_ledger.workings import Operand, Working, scaled

INTENSITY_REVIEW: Final = "implied_intensity_review"
TRUE_UP: Final = "annual_true_up"


@dataclass(frozen=True, kw_only=True, slots=True)
class ErpCheck:
    """What the purchases say of a declaration.

    `coverage` is the declared part of what was bought; `implied` and `estimated` are kgCO2e per
    unit of the policy's currency, by the declaration and by the purchases' own factors (None where
    there is no spend). A conflict keeps the declaration from counting until a person has looked.
    """

    coverage: Coverage
    covered_by: str
    implied: Fraction | None
    estimated: Fraction | None
    flags: tuple[str, ...]

    @property
    def is_conflict(self) -> bool:
        """Whether more is declared than was bought, beyond the policy's tolerance."""
        return self.coverage.is_conflict


def check_against_purchases(
    event: SupplierDeclarationEvent,
    lines: Sequence[EmissionLine],
    purchases: Sequence[PurchaseOrderEvent],
    inventory: Inventory,
) -> ErpCheck:
    """Coverage by quantity where every purchase has one that converts, else by spend; and the
    implied intensity beside the estimate's.

    Only booked purchases of the supplier, the entity, the period and, if the declaration names
    them, its lines count. Flags `coverage_conflict`, `coverage_capped`, and
    `implied_intensity_review` outside the policy's band. Raises RejectedRecord
    `no_purchase_to_cover`, `coverage_not_comparable`, and what the calculators raise. A choice of
    this project.
    """
    bought = purchases_of(event, purchases, inventory)
    if not bought:
        raise RejectedRecord(
            "no_purchase_to_cover",
            f"nothing was bought from {event.supplier_id} that {event.declaration_id} would cover",
            field="purchase_order_lines",
            value=", ".join(event.purchase_order_lines)[:200] or None,
            valid="a booked purchase of the supplier in the declaration's period",
        )
    found, by = _coverage(event, bought, inventory)
    spend = sum((_in_currency(one, inventory) for one in bought), Fraction(0))
    estimate = _kg(line for one in bought for line in lines_of_purchase(one, inventory))
    declared = _kg(line for line in lines if line.assignment.category in (1, 2))
    flags = set(found.flags)
    covered_spend = found.share * spend
    implied = declared / covered_spend if covered_spend > 0 else None
    estimated = estimate / spend if spend > 0 else None
    if implied is not None and estimated is not None and estimated > 0:
        low, high = inventory.policy.implied_intensity_band
        if not Fraction(low) <= implied / estimated <= Fraction(high):
            flags.add(INTENSITY_REVIEW)
    return ErpCheck(
        coverage=found,
        covered_by=by,
        implied=implied,
        estimated=estimated,
        flags=tuple(sorted(flags)),
    )


def purchases_of(
    event: SupplierDeclarationEvent, purchases: Sequence[PurchaseOrderEvent], inventory: Inventory
) -> tuple[PurchaseOrderEvent, ...]:
    """The booked purchases a declaration is about: of its category, and of no other stream."""
    named = set(event.purchase_order_lines)
    known = {
        one.order_ref: [other for other in purchases if other.order_ref == one.order_ref]
        for one in purchases
    }
    return tuple(
        one
        for one in purchases
        if (one.supplier_id, one.entity_id) == (event.supplier_id, event.entity_id)
        and event.occurred_from <= one.occurred_from < event.occurred_to
        and (not named or one.line_ref in named)
        and one.is_capital == event.is_capital
        and not_booked(one, known[one.order_ref], inventory) is None
        and target_of(one, _day(one, inventory), inventory.register).route == SPEND
    )


def _coverage(
    event: SupplierDeclarationEvent, bought: Sequence[PurchaseOrderEvent], inventory: Inventory
) -> tuple[Coverage, str]:
    policy = inventory.policy
    if event.kind == PRODUCT_FOOTPRINT and event.quantity is not None:
        unit = event.quantity_unit or event.unit or ""
        quantities = [_quantity_in(one, unit) for one in bought]
        known = [one for one in quantities if one is not None]
        if len(known) == len(quantities):
            whole = sum(known, Fraction(0))
            return coverage(Fraction(event.quantity), whole, policy), "quantity"
    if event.allocation_part is not None and event.allocation_unit is not None:
        covered = Fraction(event.allocation_part)
        if all(one.currency == event.allocation_unit for one in bought):
            whole = sum((Fraction(one.amount_net) for one in bought), Fraction(0))
            return coverage(covered, whole, policy), "spend"
        quantities = [_quantity_in(one, event.allocation_unit) for one in bought]
        known = [one for one in quantities if one is not None]
        if len(known) == len(quantities):
            return coverage(covered, sum(known, Fraction(0)), policy), "quantity"
        if event.allocation_unit in inventory.book.prices.currencies:
            day = event.occurred_from.date()
            rate = inventory.book.prices.fx(
                event.allocation_unit, policy.default_currency, day.year, policy
            )
            whole = sum((_in_currency(one, inventory) for one in bought), Fraction(0))
            return coverage(covered * rate.value, whole, policy), "spend"
    if event.coverage_share is not None:
        return coverage(Fraction(event.coverage_share), Fraction(1), policy), "stated"
    raise RejectedRecord(
        "coverage_not_comparable",
        f"what {event.declaration_id} covers cannot be compared with what was bought",
        field="quantity",
        value=event.quantity,
        valid="a quantity in a unit of the purchases, a key in their money, or coverage_share",
    )


def _quantity_in(purchase: PurchaseOrderEvent, unit: str) -> Fraction | None:
    if purchase.quantity is None or purchase.unit is None:
        return None
    found = unit_ratio(purchase.unit, unit)
    return None if found is None else Fraction(purchase.quantity) * found


def _in_currency(purchase: PurchaseOrderEvent, inventory: Inventory) -> Fraction:
    year = _day(purchase, inventory).year
    policy = inventory.policy
    rate = inventory.book.prices.fx(purchase.currency, policy.default_currency, year, policy)
    return Fraction(purchase.amount_net) * rate.value


def _day(purchase: PurchaseOrderEvent, inventory: Inventory) -> date:
    """The local day a purchase begins on."""
    start = purchase.occurred_from
    return parts_by_year(start, start, purchase.facility_id, inventory)[0].day


def _kg(lines: Iterable[EmissionLine]) -> Fraction:
    return sum((line.working.exact() for line in lines), Fraction(0))


def true_up(
    statement: Sequence[EmissionLine],
    spend_by_month: Mapping[tuple[datetime, datetime], Decimal],
) -> tuple[EmissionLine, ...]:
    """A year's statement as lines of its months, pro rata of what was spent in each; kgCO2e.

    They supersede the months' provisional lines. The exact parts add up to the statement; each is
    rounded once, so twelve posted parts miss it by at most 6E-12 kg. Raises RejectedRecord as
    `pro_rata`, and `month_outside_statement`. A choice of this project.
    """
    weights = {start.isoformat(): spend for (start, _), spend in spend_by_month.items()}
    shares = pro_rata(weights)
    whole = Fraction(0)
    for spend in weights.values():
        whole += Fraction(spend)
    parts: list[EmissionLine] = []
    for (start, end), spend in sorted(spend_by_month.items()):
        if not shares[start.isoformat()]:
            continue
        key = (
            Operand(value=spend, unit="spend", label="spend of the month", source=f"{start:%Y-%m}"),
            Operand(value=whole, unit="spend", label="spend of the year", divides=True),
        )
        parts.extend(_month_of(line, start, end, key) for line in statement)
    return tuple(parts)


def _month_of(
    line: EmissionLine, start: datetime, end: datetime, key: tuple[Operand, ...]
) -> EmissionLine:
    begins, ends = line.occurred_from, line.occurred_to
    if begins is None or ends is None or start < begins or end > ends:
        raise RejectedRecord(
            "month_outside_statement",
            f"{start:%Y-%m} is not in the period of the statement",
            field="spend_by_month",
            value=start.isoformat(),
            valid=f"months from {begins} to {ends}",
        )
    working = Working(formula=line.working.formula, terms=scaled(line.working.terms, key))
    gas_workings = tuple(
        (gas, replace(one, terms=scaled(one.terms, key))) for gas, one in line.gas_workings
    )
    return replace(
        line,
        working=working,
        kgco2e=working.posted(),
        gas_workings=gas_workings,
        gases=line.gases.of({gas: one.posted() for gas, one in gas_workings}),
        occurred_from=start,
        occurred_to=end,
        flags=tuple(sorted({*line.flags, TRUE_UP})),
    )
