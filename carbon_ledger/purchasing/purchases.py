"""What purchases emit: lines of orders, receipts, invoices and credit notes.

Belongs here: average-data before spend, evidence with 0 kg. Does not: which document books
(purchase_booking), money (spend), sectors and streams
(carbon_ledger.purchasing.spend_routes), how far another stream accounts for a purchase
(carbon_ledger.claims.double_counting), what suppliers declare (declarations).

An order is a commitment and a second document about one order line is evidence: both are lines of
0 kg, so that what was seen and not counted can be found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

from carbon_ledger.data_quality import Scores
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.book import ActivityQuery, FactorMatch
from carbon_ledger.factor_book.use import apply_factor
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import Assignment, EmissionLine, line_of
from carbon_ledger.organisation.categories import AVERAGE_DATA, METHOD_RANKS, SPEND_BASED
from carbon_ledger.purchasing.credit_notes import credit_line
from carbon_ledger.purchasing.purchase_booking import Evidence, not_booked, purchase_assignment
from carbon_ledger.purchasing.purchase_events import CREDIT_NOTE, PurchaseOrderEvent
from carbon_ledger.purchasing.residual_spend import residual_match
from carbon_ledger.purchasing.spend import (
    SPEND_BASED_FORMULA,
    Money,
    Part,
    in_prices_of,
    parts_by_year,
    sector_match,
    spend_scores,
)
from carbon_ledger.purchasing.spend_routes import (
    ROUTE_ASSIGNMENTS,
    SPEND,
    SPEND_CAN_STAND_FOR,
    Target,
    target_of,
)
from carbon_ledger.workings import Formula, Operand, Term, formula_table

AVERAGE_DATA_FORMULA: Final = Formula(
    formula_id="S3-1-AVERAGE",
    text="quantity bought x average cradle-to-gate factor of the material",
    citation="Technical Guidance for Calculating Scope 3 Emissions (2013), category 1, "
    "average-data method",
)
EVIDENCE_FORMULA: Final = Formula(
    formula_id="EVIDENCE",
    text="amount x share booked here, which is none: it is booked elsewhere or not at all",
    citation="GHG Protocol Scope 3 Standard (2011), chapter 5 (no activity is counted twice)",
)
FORMULAS: Final = formula_table(AVERAGE_DATA_FORMULA, EVIDENCE_FORMULA)

UNMAPPED: Final = "unmapped_spend"
# An invoice or a receipt is an audited record of the purchase itself.
DOCUMENT_SCORES: Final = Scores(technology=1, time=1, geography=1, completeness=1, reliability=1)
MATERIAL_SCORES: Final = Scores(technology=2, time=2, geography=3, completeness=2, reliability=3)
# Why no average-data figure could be made of a stated material, as flags of the spend-based one.
_FALLBACKS: Final = {
    "unknown_family": "physical_factor_missing",
    "factor_missing": "physical_factor_missing",
    "factor_vintage_gap": "physical_factor_missing",
    "incompatible_unit": "quantity_not_convertible",
}


def lines_of_purchase(
    event: PurchaseOrderEvent,
    inventory: Inventory,
    *,
    siblings: Sequence[PurchaseOrderEvent] = (),
    credited: EmissionLine | None = None,
    remainder: Operand | None = None,
) -> tuple[EmissionLine, ...]:
    """The lines of a document line: one per calendar year its period touches, or evidence of 0 kg.

    `siblings` are the other documents known of the same order line (an order line is booked by one
    kind of document); `credited` is the line a credit note takes back, whose factor, rates and year
    are then the credit note's; `remainder` is the share of a purchase of another stream that no
    event of that stream accounts for (`Ruling.operand`), which is then booked by spend. kgCO2e.
    Raises RejectedRecord: `unmapped_spend` (by policy), `spend_not_combustion`, what the credit
    checks, the factor book and the price table raise. Formulas: S3-SPEND, S3-1-AVERAGE.
    """
    event.check(inventory.now)
    reason = not_booked(event, siblings, inventory)
    if reason is not None:
        return (_evidence_line(event, reason),)
    if event.document_kind == CREDIT_NOTE:
        # Sector, stream and prices are those of what is taken back, whatever they are by now.
        parts = _credited_period(event, inventory)
    else:
        credited = None
        parts = parts_by_year(event.occurred_from, event.occurred_to, event.facility_id, inventory)
    target = target_of(event, parts[0].day, inventory.register)
    if target.route != SPEND:
        return _routed_lines(event, target, parts, credited, remainder, inventory)
    if credited is not None:
        return (credit_line(event, credited),)
    assignment = purchase_assignment(event)
    return tuple(_booked_line(event, part, target, assignment, (), inventory) for part in parts)


# ---- evidence


def _evidence_line(
    event: PurchaseOrderEvent, reason: Evidence, share: Operand | None = None
) -> EmissionLine:
    booked = Operand(
        value=Decimal(0),
        unit="kgCO2e per " + event.currency,
        label="share booked here",
        source=reason.assignment.rule,
    )
    return line_of(
        assignment=reason.assignment,
        formula=EVIDENCE_FORMULA,
        terms=(Term(operands=(_amount(event), *([share] if share else []), booked)),),
        basis="evidence",
        method="evidence",
        activity_type=f"evidence/{reason.flag}",
        quantity=event.amount_net,
        unit=event.currency,
        gwp_set="not_applicable",
        activity_scores=DOCUMENT_SCORES,
        occurred_from=event.occurred_from,
        occurred_to=event.occurred_to,
        flags=(reason.flag,),
    )


def _amount(event: PurchaseOrderEvent) -> Operand:
    return Operand(
        value=event.amount_net,
        unit=event.currency,
        label="net amount",
        source=f"{event.document_kind} {event.line_ref}",
    )


# ---- other streams


def _routed_lines(
    event: PurchaseOrderEvent,
    target: Target,
    parts: Sequence[Part],
    credited: EmissionLine | None,
    remainder: Operand | None,
    inventory: Inventory,
) -> tuple[EmissionLine, ...]:
    """Evidence, and what no event of the stream accounts for by spend.

    A line that was booked by spend is taken back by its own factor and share.
    """
    assignment = ROUTE_ASSIGNMENTS[target.route]
    evidence = _evidence_line(
        event, Evidence(assignment=assignment, flag=f"routed_to_{target.route}")
    )
    is_without = target.route in inventory.policy.spend_without_stream
    if credited is not None and credited.method == SPEND_BASED:
        taken_back = credit_line(event, credited)
        return (taken_back,) if is_without and remainder is None else (evidence, taken_back)
    if not is_without and (remainder is None or not remainder.value):
        return (evidence,)
    if target.route not in SPEND_CAN_STAND_FOR:
        raise RejectedRecord(
            "spend_not_combustion",
            f"the factor of the sector that sells {target.route} is of making it, not of burning "
            "it",
            field="classification",
            value=event.classification or event.account,
            valid=f"activities of the {target.route} stream (litres, kWh) for what is not covered",
        )
    booked = replace(
        assignment,
        rule=f"{assignment.rule}-SPEND",
        reason=f"{assignment.reason}; no event accounts for this spend",
    )
    left = () if remainder is None else (remainder,)
    spent = tuple(_booked_line(event, part, target, booked, left, inventory) for part in parts)
    return spent if is_without and remainder is None else (evidence, *spent)


# ---- what is booked


def _booked_line(
    event: PurchaseOrderEvent,
    part: Part,
    target: Target,
    assignment: Assignment,
    left: tuple[Operand, ...],
    inventory: Inventory,
) -> EmissionLine:
    """Average-data where a quantity has a physical factor, else spend."""
    fallback: tuple[str, ...] = ()
    if event.material_item is not None and target.route == SPEND:
        match = _material_match(event, part, inventory)
        if isinstance(match, FactorMatch):
            return _material_line(event, part, match, assignment, inventory)
        fallback = (match,)
    if target.naics_code is None:
        return _unmapped_line(event, part, target, assignment, left, inventory, fallback)
    country = _country(event, part, inventory)
    match = sector_match(target.naics_code, part.day, country, inventory)
    return _spend_line(
        event,
        part,
        match,
        assignment,
        left,
        inventory,
        activity_type=f"spend/{target.naics_code}",
        sector=target.naics_code,
        flags=(*fallback, *_credit_flags(event)),
        source=target.how,
    )


def _unmapped_line(
    event: PurchaseOrderEvent,
    part: Part,
    target: Target,
    assignment: Assignment,
    left: tuple[Operand, ...],
    inventory: Inventory,
    fallback: tuple[str, ...],
) -> EmissionLine:
    """A row of its own with the average factor, or a refusal, as the policy has it."""
    if inventory.policy.unmapped_spend == "reject":
        raise RejectedRecord(
            UNMAPPED,
            f"{event.line_ref} is of no sector: {event.classification or 'no classification'}, "
            f"{event.account or 'no account'}",
            field="classification",
            value=event.classification or event.account,
            valid="a code with a registered mapping, or naics:CODE",
        )
    return _spend_line(
        event,
        part,
        residual_match(part.day, inventory),
        replace(assignment, rule=f"{assignment.rule}-UNMAPPED"),
        left,
        inventory,
        activity_type="spend/unmapped",
        sector=None,
        flags=(UNMAPPED, *fallback, *_credit_flags(event)),
        source=target.how,
    )


def _spend_line(
    event: PurchaseOrderEvent,
    part: Part,
    match: FactorMatch,
    assignment: Assignment,
    left: tuple[Operand, ...],
    inventory: Inventory,
    *,
    activity_type: str,
    sector: str | None,
    flags: Sequence[str],
    source: str,
) -> EmissionLine:
    money = Money(
        amount=event.amount_net,
        currency=event.currency,
        year=part.day.year,
        price_basis=event.price_basis or "purchaser",
        margin_share=event.margin_share,
        label="net amount",
        source=f"{event.document_kind} {event.line_ref}; {source}",
    )
    chain = in_prices_of(money, match.factor, inventory, sector)
    applied = apply_factor(
        (*chain.operands, *part.share, *left),
        chain.unit,
        match,
        inventory.book.gwp,
        inventory.policy.gwp_set,
    )
    return line_of(
        assignment=assignment,
        formula=SPEND_BASED_FORMULA,
        terms=applied.terms,
        gas_terms=applied.gas_terms,
        basis=f"eeio_{match.factor.price_basis}",
        method=SPEND_BASED,
        rank=METHOD_RANKS[SPEND_BASED],
        activity_type=activity_type,
        quantity=event.amount_net,
        unit=event.currency,
        gwp_set=applied.gwp_set,
        factor=match,
        activity_scores=DOCUMENT_SCORES,
        factor_scores=spend_scores(match, _country(event, part, inventory), part.day.year),
        occurred_from=part.begins,
        occurred_to=part.ends,
        flags=(*applied.flags, *chain.flags, *flags),
    )


def _country(event: PurchaseOrderEvent, part: Part, inventory: Inventory) -> str | None:
    if event.supplier_country_iso2 is not None:
        return event.supplier_country_iso2
    supplier = inventory.register.supplier(event.supplier_id, part.day)
    return None if supplier is None else supplier.country_iso2


def _material_match(
    event: PurchaseOrderEvent, part: Part, inventory: Inventory
) -> FactorMatch | str:
    """The factor of the stated material, or the flag that says why there is none."""
    selectors = [("item", event.material_item or "")]
    if event.material_treatment is not None:
        selectors.append(("treatment", event.material_treatment))
    query = ActivityQuery(
        family="material",
        selectors=tuple(selectors),
        activity_date=part.day,
        country_iso2=_country(event, part, inventory),
        unit=event.unit,
    )
    try:
        return inventory.book.find(query, inventory.policy)
    except RejectedRecord as problem:
        flag = _FALLBACKS.get(problem.code)
        if flag is None:
            raise
        return flag


def _material_line(
    event: PurchaseOrderEvent,
    part: Part,
    match: FactorMatch,
    assignment: Assignment,
    inventory: Inventory,
) -> EmissionLine:
    if event.quantity is None or event.unit is None:
        raise RejectedRecord(
            "material_without_quantity",
            f"{event.line_ref} states a material but no quantity",
            field="quantity",
            valid="a quantity and its unit",
        )
    quantity = Operand(
        value=event.quantity,
        unit=event.unit,
        label="quantity bought",
        source=f"{event.document_kind} {event.line_ref}",
    )
    applied = apply_factor(
        (quantity, *part.share), event.unit, match, inventory.book.gwp, inventory.policy.gwp_set
    )
    return line_of(
        assignment=assignment,
        formula=AVERAGE_DATA_FORMULA,
        terms=applied.terms,
        gas_terms=applied.gas_terms,
        basis="cradle_to_gate",
        method=AVERAGE_DATA,
        rank=METHOD_RANKS[AVERAGE_DATA],
        activity_type=f"material/{event.material_item}",
        quantity=event.quantity,
        unit=event.unit,
        gwp_set=applied.gwp_set,
        factor=match,
        activity_scores=DOCUMENT_SCORES,
        factor_scores=MATERIAL_SCORES,
        occurred_from=part.begins,
        occurred_to=part.ends,
        flags=(*applied.flags, *_credit_flags(event)),
    )


def _credit_flags(event: PurchaseOrderEvent) -> tuple[str, ...]:
    if event.document_kind != CREDIT_NOTE:
        return ()
    named = event.corrects is not None and event.corrects_timestamp is not None
    return ("credit_note",) if named else ("credit_note", "credit_note_unreferenced")


def _credited_period(event: PurchaseOrderEvent, inventory: Inventory) -> tuple[Part, ...]:
    """The credit note's own period, priced as on the day of what it takes back, if that is said."""
    origin = event.corrects_timestamp or event.occurred_from
    part = parts_by_year(origin, origin, event.facility_id, inventory)[0]
    return (replace(part, begins=event.occurred_from, ends=event.occurred_to),)
