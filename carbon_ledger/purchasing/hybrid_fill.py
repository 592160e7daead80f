"""What a supplier's own figure leaves out of its upstream, filled from the inputs it states.

Belongs here: one input by its average factor. Does not: whether a fill is needed
(declaration_rules), the supplier's own figure (declarations).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from carbon_ledger.data_quality import Scores
from carbon_ledger.factor_book.book import ActivityQuery
from carbon_ledger.factor_book.use import apply_factor
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import Assignment, EmissionLine, line_of
from carbon_ledger.organisation.categories import HYBRID, METHOD_RANKS
from carbon_ledger.purchasing.declaration_rules import declaration_scores
from carbon_ledger.purchasing.spend import Money, in_prices_of
from carbon_ledger.purchasing.supplier_events import SupplierDeclarationEvent, UpstreamInput
from carbon_ledger.workings import Formula, Operand, formula_table

FILL_FORMULA: Final = Formula(
    formula_id="S3-1-HYBRID-FILL",
    text="input of the supplier x our share of it x average factor of the input",
    citation="Technical Guidance for Calculating Scope 3 Emissions (2013), category 1, hybrid "
    "method",
)
FORMULAS: Final = formula_table(FILL_FORMULA)
# Average factors say nothing of this supplier beyond what it used.
FILL_SCORES: Final = Scores(technology=2, time=2, geography=3, completeness=2, reliability=3)


def fill_line(
    event: SupplierDeclarationEvent,
    one: UpstreamInput,
    scale: Sequence[Operand],
    assignment: Assignment,
    inventory: Inventory,
) -> EmissionLine:
    """An input by its average factor, on the scale of the supplier's figures; kgCO2e.

    Raises RejectedRecord what the factor book and the price table raise. Formula: Technical
    Guidance for Calculating Scope 3 Emissions (2013), category 1, hybrid method.
    """
    on = event.occurred_from.date()
    query = ActivityQuery(
        family=one.family,
        selectors=one.selectors,
        activity_date=on,
        country_iso2=_country(event, inventory),
        unit=one.unit,
    )
    match = inventory.book.find(query, inventory.policy)
    amount = Operand(
        value=one.quantity,
        unit=one.unit,
        label="input of the supplier",
        source=f"declaration {event.declaration_id} of {event.supplier_id}",
    )
    chain: tuple[Operand, ...] = (amount,)
    unit, flags = one.unit, ["hybrid_fill"]
    if one.family == "spend":
        money = Money(
            amount=one.quantity,
            currency=one.unit,
            year=on.year,
            label=amount.label,
            source=amount.source,
        )
        sector = dict(one.selectors).get("naics_code")
        priced = in_prices_of(money, match.factor, inventory, sector)
        chain, unit = priced.operands, priced.unit
        flags.extend(priced.flags)
    applied = apply_factor(
        (*chain, *scale), unit, match, inventory.book.gwp, inventory.policy.gwp_set
    )
    return line_of(
        assignment=assignment,
        formula=FILL_FORMULA,
        terms=applied.terms,
        gas_terms=applied.gas_terms,
        basis=match.factor.basis,
        method=HYBRID,
        rank=METHOD_RANKS[HYBRID],
        activity_type=f"supplier/input/{one.family}",
        quantity=one.quantity,
        unit=one.unit,
        gwp_set=applied.gwp_set,
        factor=match,
        activity_scores=declaration_scores(event),
        factor_scores=FILL_SCORES,
        occurred_from=event.occurred_from,
        occurred_to=event.occurred_to,
        flags=(*applied.flags, *flags),
    )


def _country(event: SupplierDeclarationEvent, inventory: Inventory) -> str | None:
    if event.geography_country_iso2 is not None:
        return event.geography_country_iso2
    supplier = inventory.register.supplier(event.supplier_id, event.occurred_from.date())
    return None if supplier is None else supplier.country_iso2
