"""What a supplier's site reports of its production, as lines of the inventory.

Belongs here: our part of a site's figures by the quantity made, and what its energy stands for
where a figure is missing. Does not: the fields (production_events), whether such data may be used
(declaration_rules), average factors of inputs (hybrid_fill), how the figure replaces an estimate
(carbon_ledger.claims.supersession).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Final

from carbon_ledger.energy.meter_places import check_location_factor, check_substitute
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.book import FactorMatch, FactorQuery
from carbon_ledger.factor_book.use import apply_factor
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import EmissionLine, line_of
from carbon_ledger.organisation.categories import HYBRID, METHOD_RANKS
from carbon_ledger.purchasing.declaration_rules import declaration_scores, refuse_unfit
from carbon_ledger.purchasing.declarations import (
    RANK_ALLOCATED,
    purchase_of,
    scope2_field,
    stated_line,
)
from carbon_ledger.purchasing.hybrid_fill import FILL_SCORES, fill_line
from carbon_ledger.purchasing.production_events import SupplierProductionEvent
from carbon_ledger.purchasing.supplier_events import SupplierDeclarationEvent
from carbon_ledger.quantities import canonical_text
from carbon_ledger.workings import Formula, Operand, Term, formula_table, scaled

_HYBRID: Final = (
    "Technical Guidance for Calculating Scope 3 Emissions (2013), category 1, hybrid method"
)
SITE_FORMULA: Final = Formula(
    formula_id="S3-1-SITE",
    text="(scope 1 + scope 2 + upstream of the site) x quantity for us / quantity made",
    citation="GHG Protocol Scope 3 Standard (2011), chapter 8 (physical allocation); Technical "
    "Guidance for Calculating Scope 3 Emissions (2013), category 1, supplier-specific and hybrid "
    "methods",
)
ELECTRICITY_FORMULA: Final = Formula(
    formula_id="S3-1-SITE-ELECTRICITY",
    text="electricity of the site x average factor of its grid x quantity for us / quantity made",
    citation=f"{_HYBRID}: scope 2 of the supplier; GHG Protocol Scope 2 Guidance (2015), chapter 6 "
    "(location-based)",
)
FORMULAS: Final = formula_table(SITE_FORMULA, ELECTRICITY_FORMULA)
# How far our figure and the supplier's own may be apart: it was asked for to be compared.
ALLOCATION_TOLERANCE: Final = Fraction(1, 100)
NOT_COMPARED: Final = "allocated_figure_not_compared"
COMBUSTION: Final = "combustion"


def lines_of_production(
    event: SupplierProductionEvent, inventory: Inventory
) -> tuple[EmissionLine, ...]:
    """Our part of what the site states as one line, and one line per figure filled by an average.

    Category 1, or 2 for what is capitalised; kgCO2e. Scope 1 is stated, or made of the fuels; scope
    2 is stated, or made of the electricity with the average factor of the site's grid; upstream is
    stated, or filled from inputs. A stated figure counts, and the energy beside it is evidence.
    Raises RejectedRecord: what `refuse_unfit` lists, `scope1_missing`, `scope2_missing`,
    `country_missing`, `not_a_combustion_factor`, `allocation_disagrees`, and what the factor book
    raises. Formulas: S3-1-SITE, S3-1-SITE-ELECTRICITY, S3-1-HYBRID-FILL. Sources: GHG Protocol
    Scope 3 Standard (2011), chapter 8; Technical Guidance for Calculating Scope 3 Emissions (2013),
    category 1.
    """
    event.check(inventory.now)
    declared = event.as_declaration()
    refuse_unfit(declared, inventory.policy)
    key = _key(event)
    stated, flags = _stated(declared, inventory)
    filled = _filled(event, declared, key, inventory)
    own: tuple[EmissionLine, ...] = ()
    if stated:
        line = stated_line(
            declared,
            inventory,
            formula=SITE_FORMULA,
            terms=scaled((Term(operands=(part,), label=part.label) for part in stated), key),
            rank=RANK_ALLOCATED,
            is_hybrid=bool(filled),
            activity_type=f"supplier/{event.kind}",
            quantity=event.quantity or Decimal(0),
            unit=event.unit or "",
            flags=flags,
        )
        own = (line,)
    return _compared(event, own, filled)


def _key(event: SupplierProductionEvent) -> tuple[Operand, ...]:
    """Our part of what was made, exact: part and whole."""
    source = f"report {event.declaration_id} of {event.supplier_id}"
    ours = Operand(
        value=event.quantity or Decimal(0),
        unit=event.unit or "",
        label="quantity made for us",
        source=source,
    )
    whole = Operand(
        value=event.produced_quantity or Decimal(0),
        unit=event.unit or "",
        label=f"quantity made at {event.production_site_id}",
        source=source,
        divides=True,
    )
    return ours, whole


def _stated(
    declared: SupplierDeclarationEvent, inventory: Inventory
) -> tuple[list[Operand], tuple[str, ...]]:
    """The figures the site states, of scope 2 the one the policy prefers, and flags."""
    flags: tuple[str, ...] = ()
    names = [] if declared.scope1_kgco2e is None else [("scope1_kgco2e", "scope 1")]
    if _has_scope2(declared):
        field, flags = scope2_field(declared, inventory)
        names.append((field, field.split("_kg")[0].replace("_", " ").replace("scope2", "scope 2")))
    if declared.upstream_kgco2e is not None:
        names.append(("upstream_kgco2e", "upstream"))
    source = f"report {declared.declaration_id} of {declared.supplier_id}"
    return [
        Operand(
            value=getattr(declared, name),
            unit="kgCO2e",
            label=f"the site's {label}",
            source=source,
        )
        for name, label in names
    ], flags


def _has_scope2(declared: SupplierDeclarationEvent) -> bool:
    figures = (declared.scope2_location_kgco2e, declared.scope2_market_kgco2e)
    return any(one is not None for one in figures)


def _filled(
    event: SupplierProductionEvent,
    declared: SupplierDeclarationEvent,
    key: Sequence[Operand],
    inventory: Inventory,
) -> tuple[EmissionLine, ...]:
    """What is not stated, by average factors: fuels, electricity, the upstream's inputs."""
    lines: list[EmissionLine] = []
    if event.scope1_kgco2e is None:
        if not event.fuels:
            raise RejectedRecord(
                "scope1_missing",
                f"report {event.declaration_id} states neither scope 1 nor the fuels burnt",
                field="scope1_kgco2e",
                valid="a figure, which may be 0, or fuels",
            )
        for one in event.fuel_inputs:
            line = fill_line(declared, one, key, purchase_of(declared), inventory)
            if line.basis != COMBUSTION:
                raise RejectedRecord(
                    "not_a_combustion_factor",
                    f"fuels: what {dict(one.selectors)} names is a {line.basis} factor",
                    field="fuels",
                    value=one.written(),
                    valid="selectors of a fuel's combustion; its upstream is an upstream_input",
                )
            lines.append(line)
    if not _has_scope2(declared):
        lines.append(_electricity_line(event, declared, key, inventory))
    lines += [
        fill_line(declared, one, key, purchase_of(declared), inventory) for one in declared.inputs
    ]
    return tuple(lines)


def _electricity_line(
    event: SupplierProductionEvent,
    declared: SupplierDeclarationEvent,
    key: Sequence[Operand],
    inventory: Inventory,
) -> EmissionLine:
    match = _grid(event, inventory)
    used = Operand(
        value=event.electricity_kwh or Decimal(0),
        unit="kWh",
        label="electricity of the site",
        source=f"report {event.declaration_id} of {event.supplier_id}",
    )
    applied = apply_factor((used, *key), "kWh", match, inventory.book.gwp, inventory.policy.gwp_set)
    return line_of(
        assignment=purchase_of(declared),
        formula=ELECTRICITY_FORMULA,
        terms=applied.terms,
        gas_terms=applied.gas_terms,
        basis="location",
        method=HYBRID,
        rank=METHOD_RANKS[HYBRID],
        activity_type="supplier/site_electricity",
        quantity=event.electricity_kwh or Decimal(0),
        unit="kWh",
        gwp_set=applied.gwp_set,
        factor=match,
        activity_scores=declaration_scores(declared),
        factor_scores=FILL_SCORES,
        occurred_from=event.occurred_from,
        occurred_to=event.occurred_to,
        flags=(*applied.flags, "hybrid_fill"),
    )


def _grid(event: SupplierProductionEvent, inventory: Inventory) -> FactorMatch:
    if event.electricity_kwh is None:
        raise RejectedRecord(
            "scope2_missing",
            f"report {event.declaration_id} states neither scope 2 nor the electricity used",
            field="scope2_location_kgco2e",
            valid="a figure, which may be 0, or electricity_kwh",
        )
    if event.geography_country_iso2 is None:
        raise RejectedRecord(
            "country_missing",
            f"report {event.declaration_id} does not say where its electricity was drawn",
            field="geography_country_iso2",
            valid="the country of the site",
        )
    match = inventory.book.match(
        FactorQuery(
            energy_source="grid",
            country_iso2=event.geography_country_iso2,
            region=None,
            activity_date=event.occurred_from.date(),
        ),
        max_vintage_gap_years=inventory.policy.max_vintage_gap_years,
    )
    check_location_factor(match)
    check_substitute(match, inventory.policy)
    return match


def _compared(
    event: SupplierProductionEvent, own: Sequence[EmissionLine], filled: Sequence[EmissionLine]
) -> tuple[EmissionLine, ...]:
    """The lines, if the supplier's own figure of our part agrees with them; where averages stand
    for something, it need not, and is flagged as not compared.
    """
    lines = (*own, *filled)
    theirs = event.allocated_kgco2e
    if theirs is None:
        return lines
    if filled:
        return tuple(
            replace(line, flags=tuple(sorted({*line.flags, NOT_COMPARED}))) for line in lines
        )
    found = sum((Fraction(line.kgco2e) for line in lines), Fraction(0))
    if abs(Fraction(theirs) - found) > ALLOCATION_TOLERANCE * found:
        shown = ", ".join(canonical_text(line.kgco2e) for line in lines)
        raise RejectedRecord(
            "allocation_disagrees",
            f"allocated_kgco2e: {canonical_text(theirs)} is stated, our part of the site's figures "
            f"is {shown}",
            field="allocated_kgco2e",
            value=theirs,
            valid="what the figures and quantities come to, within 1 %, or none",
        )
    return lines
