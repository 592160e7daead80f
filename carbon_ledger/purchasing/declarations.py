"""What suppliers declare, as lines of the inventory: footprints, allocated and corporate totals.

Belongs here: what is refused, how a declaration is scaled to what was bought, how a missing
upstream is filled. Does not: footprint documents (pact), checks against purchases
(carbon_ledger.purchasing.declaration_checks), how a declaration replaces an estimate
(carbon_ledger.claims.supersession).

A supplier's figure counts gross: uptake of carbon by biomass and removals are never netted, and
biogenic carbon dioxide is reported apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Final

from carbon_ledger.data_quality import Scores
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.greenhouse import CO2_BIOGENIC
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import Assignment, EmissionLine, line_of
from carbon_ledger.organisation.categories import HYBRID, METHOD_RANKS, SUPPLIER_SPECIFIC
from carbon_ledger.purchasing.declaration_rules import (
    declaration_scores,
    flags_of,
    is_verified,
    refuse_unfit,
    sum_version,
)
from carbon_ledger.purchasing.hybrid_fill import fill_line
from carbon_ledger.purchasing.supplier_events import (
    CORPORATE_TOTAL,
    PRODUCT_FOOTPRINT,
    SupplierDeclarationEvent,
)
from carbon_ledger.quantities import CONVERSION, canonical_text
from carbon_ledger.units import dimension_of, ratio
from carbon_ledger.workings import Formula, Operand, Term, Working, formula_table, scaled

_GUIDANCE = "Technical Guidance for Calculating Scope 3 Emissions (2013), category 1"
_TABLE = "GHG Protocol Scope 3 Standard (2011), table 5.4"

FOOTPRINT_FORMULA: Final = Formula(
    formula_id="S3-1-FOOTPRINT",
    text="amount bought / declared amount x (fossil + land-use change + biogenic other than CO2)",
    citation=f"{_GUIDANCE}, supplier-specific method; PACT technical specification 3.0.3, "
    "CarbonFootprint; gross of uptake and removals: a choice of this project",
)
ALLOCATED_FORMULA: Final = Formula(
    formula_id="S3-1-ALLOCATED",
    text="scope 1 + scope 2 + upstream that the supplier allocates to us",
    citation="GHG Protocol Scope 3 Standard (2011), chapter 8; " + _GUIDANCE,
)
CORPORATE_FORMULA: Final = Formula(
    formula_id="S3-1-CORPORATE",
    text="(scope 1 + scope 2 + upstream of the supplier) x our part / the whole of its output",
    citation="GHG Protocol Scope 3 Standard (2011), chapter 8 (physical key before economic)",
)
OUTBOUND_FORMULA: Final = Formula(
    formula_id="S3-4-DECLARED-OUTBOUND",
    text="amount bought / declared amount x transport from the supplier's gate",
    citation=f"PACT technical specification 3.0.3, outboundLogisticsGhgEmissions; {_TABLE}",
)
REMOVAL_FORMULA: Final = Formula(
    formula_id="REMOVAL-DECLARED",
    text="amount bought / declared amount x removals and captured carbon; outside every scope",
    citation="GHG Protocol Scope 3 Standard (2011), chapter 11.1; ESRS E1 AR 46(k)",
)
EVIDENCE_FORMULA: Final = Formula(
    formula_id="EVIDENCE-DECLARATION",
    text="declared figure x share booked here, which is none",
    citation="PACT technical specification 3.0.3, life cycle of a footprint; GHG Protocol Scope 3 "
    "Standard (2011), chapter 5 (no activity is counted twice)",
)
FORMULAS: Final = formula_table(
    FOOTPRINT_FORMULA,
    ALLOCATED_FORMULA,
    CORPORATE_FORMULA,
    OUTBOUND_FORMULA,
    REMOVAL_FORMULA,
    EVIDENCE_FORMULA,
)

RANK_VERIFIED: Final = 6
RANK_ALLOCATED: Final = 4
GROSS_PARTS: Final = (
    ("fossil_kgco2e_per_unit", "fossil emissions"),
    ("land_use_kgco2e_per_unit", "land-use change emissions"),
    ("biogenic_non_co2_kgco2e_per_unit", "biogenic emissions other than CO2"),
)
RECEIPT_SCORES: Final = Scores(technology=1, time=1, geography=1, completeness=1, reliability=1)


def lines_of_declaration(
    event: SupplierDeclarationEvent, inventory: Inventory, *, remainder: Operand | None = None
) -> tuple[EmissionLine, ...]:
    """The supplier's figure as a line, one line per filled input, and the way from its gate.

    Category 1, or 2 for what is capitalised; outbound logistics category 4. A deprecated footprint
    has its figure, flagged: whether it still counts depends on what replaced it. `remainder` is
    the share of the outbound way that no tracked shipment accounts for (`Ruling.operand`). kgCO2e.
    Raises RejectedRecord: what `refuse_unfit` lists, `quantity_missing`, `unit_missing`,
    `incompatible_unit`, `footprint_missing`, `negative_footprint`, `negative_total`,
    `scope1_missing`, `scope2_missing`, `allocation_key_missing`, and what the factor book raises.
    Formulas: S3-1-FOOTPRINT, S3-1-ALLOCATED, S3-1-CORPORATE, S3-1-HYBRID-FILL,
    S3-4-DECLARED-OUTBOUND.
    """
    event.check(inventory.now)
    refuse_unfit(event, inventory.policy)
    if event.kind == PRODUCT_FOOTPRINT:
        scale, scale_flags = declared_units(event)
        stage = _footprint_line(event, scale, scale_flags, inventory)
    else:
        scale = _share(event) if event.kind == CORPORATE_TOTAL else ()
        stage = _total_line(event, scale, inventory)
    fill = tuple(
        fill_line(event, one, scale, purchase_of(event), inventory) for one in event.inputs
    )
    return (stage, *fill, *_outbound_lines(event, scale, remainder, inventory))


def purchase_of(event: SupplierDeclarationEvent) -> Assignment:
    """Category 1, or 2 for what is capitalised."""
    return Assignment(
        scope=3,
        category=2 if event.is_capital else 1,
        rule="SUPPLIER-CAPITAL" if event.is_capital else "SUPPLIER-GOODS",
        reason="declared by the supplier for "
        + ("capital goods: category 2" if event.is_capital else "goods and services: category 1")
        + f", up to its gate ({_TABLE})",
    )


def stated_line(
    event: SupplierDeclarationEvent,
    inventory: Inventory,
    *,
    assignment: Assignment | None = None,
    formula: Formula,
    terms: Sequence[Term],
    gas_terms: Sequence[tuple[str, Sequence[Term]]] = (),
    rank: int,
    is_hybrid: bool = False,
    activity_type: str,
    quantity: Decimal,
    unit: str,
    flags: Sequence[str] = (),
) -> EmissionLine:
    """A line of figures that the supplier states, with what the declaration says of all of them.

    kgCO2e. `assignment` is that of the purchase unless given. `rank` is that of the figures alone;
    where averages fill a part (`is_hybrid`), method and rank are those of the hybrid method.
    """
    return line_of(
        assignment=assignment or purchase_of(event),
        formula=formula,
        terms=terms,
        gas_terms=gas_terms,
        basis="supplier",
        method=HYBRID if is_hybrid else SUPPLIER_SPECIFIC,
        rank=METHOD_RANKS[HYBRID] if is_hybrid else rank,
        activity_type=activity_type,
        quantity=quantity,
        unit=unit,
        gwp_set=event.gwp_set,
        activity_scores=RECEIPT_SCORES,
        factor_scores=declaration_scores(event),
        primary_share=primary_share(event),
        occurred_from=event.occurred_from,
        occurred_to=event.occurred_to,
        flags=(*flags, *flags_of(event, inventory.policy)),
    )


def _operand(event: SupplierDeclarationEvent, name: str, label: str, unit: str) -> Operand:
    return Operand(
        value=getattr(event, name),
        unit=unit,
        label=label,
        source=f"declaration {event.declaration_id} of {event.supplier_id}",
    )


# ---- product footprints


def declared_units(event: SupplierDeclarationEvent) -> tuple[tuple[Operand, ...], tuple[str, ...]]:
    """How many declared units were bought, as operands, and flags.

    Where the amount bought is a mass and the declared unit is not, the product's mass converts,
    flagged `converted_by_product_mass`. Raises RejectedRecord `quantity_missing`, `unit_missing`,
    `incompatible_unit`.
    """
    if event.quantity is None or event.unit is None:
        name = "quantity" if event.quantity is None else "unit"
        raise RejectedRecord(
            f"{name}_missing",
            f"declaration {event.declaration_id} states no {name}",
            field=name,
            valid="the amount bought in its period, from goods receipts"
            if name == "quantity"
            else "the declared unit of the footprint",
        )
    bought = event.quantity_unit or event.unit
    operands = [
        Operand(value=event.quantity, unit=bought, label="amount bought", source="goods receipts")
    ]
    by_mass = (
        event.product_mass_kg is not None
        and dimension_of(bought) == "mass"
        and dimension_of(event.unit) != "mass"
    )
    target = "kg" if by_mass else event.unit
    conversion = ratio(bought, target, field="quantity_unit")
    if conversion != 1:
        operands.append(
            Operand(value=conversion, unit=f"{target} per {bought}", label="unit conversion")
        )
    if by_mass:
        mass = _operand(event, "product_mass_kg", "mass of the declared amount", "kg")
        operands.append(replace(mass, divides=True))
        return tuple(operands), ("converted_by_product_mass",)
    if event.declared_amount is not None and event.declared_amount != 1:
        declared = _operand(event, "declared_amount", "declared amount", event.unit)
        operands.append(replace(declared, divides=True))
    return tuple(operands), ()


def _declared_unit(event: SupplierDeclarationEvent) -> str:
    """What the figures are for, e.g. `12 L`, or `kg` where the amount is one."""
    amount = event.declared_amount
    unit = event.unit or ""
    return unit if amount is None or amount == 1 else f"{canonical_text(amount)} {unit}"


def _footprint_line(
    event: SupplierDeclarationEvent,
    scale: Sequence[Operand],
    scale_flags: Sequence[str],
    inventory: Inventory,
) -> EmissionLine:
    declared = _declared_unit(event)
    per = f"kgCO2e per {declared}"
    flags = set(scale_flags)
    if all(getattr(event, name) is not None for name, _ in GROSS_PARTS):
        parts = [(_operand(event, name, label, per), 1) for name, label in GROSS_PARTS]
    elif event.kgco2e_per_unit is not None:
        parts = _parts_of_sum(event, per)
        flags.add("biogenic_not_separable")
    else:
        raise RejectedRecord(
            "footprint_missing",
            f"declaration {event.declaration_id} states no footprint",
            field="kgco2e_per_unit",
            valid="kgco2e_per_unit, or its fossil, land-use and biogenic parts",
        )
    if sum((sign * Fraction(part.value) for part, sign in parts), Fraction(0)) < 0:
        raise RejectedRecord(
            "negative_footprint",
            f"declaration {event.declaration_id} is below zero before uptake",
            field="kgco2e_per_unit",
            value=parts[0][0].value,
            valid="0 or more: removals are reported apart",
        )
    gas_terms: list[tuple[str, tuple[Term, ...]]] = []
    if event.biogenic_co2_kg_per_unit is not None:
        biogenic = _operand(
            event, "biogenic_co2_kg_per_unit", "biogenic CO2", f"kg CO2 per {declared}"
        )
        gas_terms.append((CO2_BIOGENIC, (Term(operands=(*scale, biogenic)),)))
    return stated_line(
        event,
        inventory,
        formula=FOOTPRINT_FORMULA,
        terms=tuple(
            Term(operands=(*scale, part), label=part.label, sign=sign) for part, sign in parts
        ),
        gas_terms=gas_terms,
        rank=RANK_VERIFIED if is_verified(event) else METHOD_RANKS[SUPPLIER_SPECIFIC],
        is_hybrid=bool(event.upstream_inputs),
        activity_type=f"supplier/{event.product_id or event.declaration_id}",
        quantity=event.quantity or Decimal(0),
        unit=event.quantity_unit or event.unit or "",
        flags=tuple(flags),
    )


def _parts_of_sum(event: SupplierDeclarationEvent, per: str) -> list[tuple[Operand, int]]:
    """The stated sum, with what is stated apart put right: (operand, sign).

    The sum of version 3 (and of what names no version) has removals netted, which are taken out of
    it again; in version 3 it has biogenic CO2 too, which is reported apart. That of version 2 has
    no biogenic emissions, so land-use change and other biogenic ones are added where stated. PACT
    technical specifications 2 and 3.0.3; gross of removals: GHG Protocol Scope 3 Standard, 11.1.
    """
    parts = [(_operand(event, "kgco2e_per_unit", "footprint without biogenic uptake", per), 1)]
    version = sum_version(event)
    if version == "2":
        names, sign = [*GROSS_PARTS[1:]], 1
    else:
        names, sign = [("removals_kgco2e_per_unit", "removals")], -1
        if version == "3":
            names.append(("biogenic_co2_kg_per_unit", "biogenic CO2"))
    for name, label in names:
        if getattr(event, name) is not None:
            parts.append((_operand(event, name, label, per), sign))
    return parts


def primary_share(event: SupplierDeclarationEvent) -> Decimal:
    """What the supplier says of primary data, else all of it: it is the supplier's own activity."""
    pct = event.primary_data_share_pct
    return Decimal(1) if pct is None else CONVERSION.divide(pct, Decimal(100))


def removals_of_declaration(
    event: SupplierDeclarationEvent, inventory: Inventory
) -> Working | None:
    """Removals and captured carbon of what was bought, in kgCO2e, 0 or below; None if none stated.

    For the table of removals alone; no scope total has them. Raises what `declared_units` raises.
    """
    event.check(inventory.now)
    if event.removals_kgco2e_per_unit is None:
        return None
    scale, _ = declared_units(event)
    per = f"kgCO2e per {_declared_unit(event)}"
    removed = _operand(event, "removals_kgco2e_per_unit", "removals", per)
    return Working(formula=REMOVAL_FORMULA, terms=(Term(operands=(*scale, removed)),))


def _outbound_lines(
    event: SupplierDeclarationEvent,
    scale: Sequence[Operand],
    remainder: Operand | None,
    inventory: Inventory,
) -> tuple[EmissionLine, ...]:
    """Transport from the supplier's gate: evidence where shipments count it, but for the rest."""
    if event.outbound_logistics_kgco2e_per_unit is None or event.kind != PRODUCT_FOOTPRINT:
        return ()
    assignment = Assignment(
        scope=3,
        category=4,
        rule="SUPPLIER-OUTBOUND",
        reason=f"from the tier 1 supplier's gate to the reporter: category 4 ({_TABLE})",
    )
    outbound = _operand(
        event,
        "outbound_logistics_kgco2e_per_unit",
        "transport from the supplier's gate",
        f"kgCO2e per {_declared_unit(event)}",
    )
    by_shipments = inventory.policy.outbound_logistics == "shipments"
    left = () if not by_shipments or remainder is None else (remainder,)
    lines: list[EmissionLine] = []
    if by_shipments:
        flag = "outbound_logistics_by_shipments"
        declared = event.outbound_logistics_kgco2e_per_unit
        lines.append(_evidence(event, assignment, flag, declared, outbound.unit))
        if remainder is None or not remainder.value:
            return tuple(lines)
    lines.append(
        stated_line(
            event,
            inventory,
            assignment=assignment,
            formula=OUTBOUND_FORMULA,
            terms=(Term(operands=(*scale, outbound, *left)),),
            rank=METHOD_RANKS[SUPPLIER_SPECIFIC],
            activity_type="supplier/outbound_logistics",
            quantity=event.quantity or Decimal(0),
            unit=event.quantity_unit or event.unit or "",
        )
    )
    return tuple(lines)


def _evidence(
    event: SupplierDeclarationEvent,
    assignment: Assignment,
    flag: str,
    figure: Decimal,
    unit: str,
) -> EmissionLine:
    return line_of(
        assignment=assignment,
        formula=EVIDENCE_FORMULA,
        terms=(
            Term(
                operands=(
                    Operand(
                        value=figure,
                        unit=unit,
                        label="declared figure",
                        source=f"declaration {event.declaration_id} of {event.supplier_id}",
                    ),
                    Operand(value=Decimal(0), unit="1", label="share booked here", source=flag),
                )
            ),
        ),
        basis="evidence",
        method="evidence",
        activity_type=f"evidence/{flag}",
        quantity=event.quantity or Decimal(0),
        unit=event.quantity_unit or event.unit or "kgCO2e",
        gwp_set=event.gwp_set,
        occurred_from=event.occurred_from,
        occurred_to=event.occurred_to,
        flags=(flag,),
    )


# ---- totals


def _share(event: SupplierDeclarationEvent) -> tuple[Operand, ...]:
    """Our share of a corporate total, exact: part and whole where they are known."""
    key = f"{event.allocation_method or 'stated'} key"
    if event.allocation_part is not None:
        unit = event.allocation_unit or ""
        whole = _operand(event, "allocation_whole", f"the supplier's whole output, {key}", unit)
        return (
            _operand(event, "allocation_part", f"our purchases, {key}", unit),
            replace(whole, divides=True),
        )
    if event.allocation_share is not None:
        return (_operand(event, "allocation_share", f"our share, {key}", "share"),)
    raise RejectedRecord(
        "allocation_key_missing",
        f"declaration {event.declaration_id} is of the supplier's whole, and no part is ours",
        field="allocation_part",
        valid="allocation_part, allocation_whole and allocation_unit, or allocation_share",
    )


def scope2_field(
    event: SupplierDeclarationEvent, inventory: Inventory
) -> tuple[str, tuple[str, ...]]:
    """The field of the scope 2 figure that the policy prefers, else the other one, flagged."""
    wanted = f"scope2_{inventory.policy.supplier_scope2}_kgco2e"
    if getattr(event, wanted) is not None:
        return wanted, ()
    for name in ("scope2_location_kgco2e", "scope2_market_kgco2e"):
        if getattr(event, name) is not None:
            return name, ("scope2_other_basis",)
    raise RejectedRecord(
        "scope2_missing",
        f"declaration {event.declaration_id} states no scope 2",
        field=wanted,
        valid="a figure, which may be 0",
    )


def _total_line(
    event: SupplierDeclarationEvent, share: Sequence[Operand], inventory: Inventory
) -> EmissionLine:
    if event.scope1_kgco2e is None:
        raise RejectedRecord(
            "scope1_missing",
            f"declaration {event.declaration_id} states no scope 1",
            field="scope1_kgco2e",
            valid="a figure, which may be 0",
        )
    scope2, flags = scope2_field(event, inventory)
    named = [("scope1_kgco2e", "scope 1"), (scope2, scope2.split("_kg")[0].replace("_", " "))]
    if event.upstream_kgco2e is not None:
        named.append(("upstream_kgco2e", "upstream"))
    parts = [_operand(event, name, f"the supplier's {label}", "kgCO2e") for name, label in named]
    for name, part in zip((name for name, _ in named), parts, strict=True):
        if part.value < 0:
            raise RejectedRecord(
                "negative_total",
                f"{part.label} of declaration {event.declaration_id} is {part.value} kgCO2e",
                field=name,
                value=part.value,
                valid="0 or more: removals, credits and avoided emissions are not part of it",
            )
    is_corporate = event.kind == CORPORATE_TOTAL
    if is_corporate and event.allocation_method == "economic":
        flags = (*flags, "economic_allocation")
    quantity, unit = event.allocation_part, event.allocation_unit
    return stated_line(
        event,
        inventory,
        formula=CORPORATE_FORMULA if is_corporate else ALLOCATED_FORMULA,
        terms=scaled((Term(operands=(part,), label=part.label) for part in parts), tuple(share)),
        rank=RANK_ALLOCATED,
        is_hybrid=bool(event.upstream_inputs),
        activity_type=f"supplier/{event.kind}",
        quantity=Decimal(1) if quantity is None else quantity,
        unit=unit or "declaration",
        flags=flags,
    )
