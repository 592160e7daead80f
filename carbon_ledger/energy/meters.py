"""What a meter reading emits: electricity, gas, heat, steam, cooling, own generation.

Belongs here: from a reading to its line in scope 1 or 2. Does not: category 3
(category3), the market-based method (scope2), series of readings
(carbon_ledger.energy.meter_series), trees of meters (carbon_ledger.energy.meter_trees).

The market-based figure of a site is one of its period, not of a reading, so a reading posts the
location-based one alone. What is counted elsewhere (power for own chillers, exported power) gives a
line of 0 kg, so that the reading is not lost.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from carbon_ledger.calculate import LOCATION_BASED
from carbon_ledger.data_quality import Scores, of_match
from carbon_ledger.energy.location_intensity import IntensitySource, accepted_match
from carbon_ledger.energy.meter_amounts import Amount, amount_of, apply_amount
from carbon_ledger.energy.meter_events import MeterReadingEvent
from carbon_ledger.energy.meter_places import (
    find,
    fuel_selectors,
    heat_selectors,
    location_match,
)
from carbon_ledger.factor_book.book import FactorMatch
from carbon_ledger.greenhouse import MEMO_GASES
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import Applied, Assignment, EmissionLine, line_of
from carbon_ledger.places import Located, located
from carbon_ledger.workings import Formula, Operand, Term, formula_table

S2_LOCATION: Final = Formula(
    formula_id=LOCATION_BASED.formula_id,
    text=LOCATION_BASED.text,
    citation=LOCATION_BASED.citation,
)
S2_LOCATION_EVENT: Final = Formula(
    formula_id="S2-LB-EVENT",
    text="kgCO2e = kWh consumed x intensity of the grid in that interval (kgCO2e per kWh)",
    citation="GHG Protocol Scope 2 Guidance (2015), chapter 6, location-based method, table 6.2; "
    "the interval's own intensity by the inventory's policy",
)
S2_HEAT: Final = Formula(
    formula_id="S2-HEAT",
    text="kgCO2e = heat, steam or cooling received x factor of its supply",
    citation="GHG Protocol Corporate Standard, chapter 4: purchased steam, heat and cooling",
)
S1_METERED_FUEL: Final = Formula(
    formula_id="S1-METERED-FUEL",
    text="kgCO2e = volume x calorific value x combustion factor (kgCO2e per kWh of the fuel), or "
    "metered fuel energy or volume x combustion factor per that unit",
    citation="GHG Protocol Corporate Standard, chapters 4 and 6: stationary combustion, scope 1",
)
S2_OWN_GENERATION: Final = Formula(
    formula_id="S2-OWN-GENERATION",
    text="kgCO2e = kWh generated on site without fuel and used there x 0",
    citation="GHG Protocol Corporate Standard, chapter 4: scope 2 is purchased energy; the part of "
    "own generation that burns fuel is scope 1",
)
S2_EXPORT: Final = Formula(
    formula_id="S2-EXPORT",
    text="kgCO2e = kWh fed into the grid x 0: exported power is not netted from scope 2",
    citation="GHG Protocol Scope 2 Guidance (2015) (not checked against the source's text); "
    "ESRS E1 paragraphs 35 to 43 and AR 32 to 38: no netting of sold energy",
)
S2_CHILLED_WATER: Final = Formula(
    formula_id="S2-CHILLED-WATER",
    text="kgCO2e = cold from own chillers x 0: their electricity is metered and counted there",
    citation="GHG Protocol Corporate Standard, chapter 4: nothing is purchased twice",
)
FORMULAS: Final = formula_table(
    S2_LOCATION,
    S2_LOCATION_EVENT,
    S2_HEAT,
    S1_METERED_FUEL,
    S2_OWN_GENERATION,
    S2_EXPORT,
    S2_CHILLED_WATER,
)

# A meter that is read, without a statement that it was verified (Scope 3 Standard, table 7.6).
MEASURED: Final = Scores(technology=1, time=1, geography=1, completeness=1, reliability=2)
ESTIMATED: Final = Scores(technology=1, time=1, geography=1, completeness=2, reliability=3)
# A published factor before its vintage and place are known: unverified statistics of most plants.
PUBLISHED: Final = Scores(technology=1, time=1, geography=1, completeness=2, reliability=2)


def lines_of_meter_reading(
    event: MeterReadingEvent,
    inventory: Inventory,
    *,
    intensity: IntensitySource | None = None,
) -> tuple[EmissionLine, ...]:
    """The line of a meter reading in scope 1 or 2, in kgCO2e; location-based where scope 2.

    For plain electricity it is the line that carbon_ledger.posting gives. `intensity` describes the
    source of the event's own grid intensity, which becomes the official figure only if the policy
    says so and it meets every condition. Raises RejectedRecord: what the book raises where no
    factor may be used, what `amount_of` and `location_match` raise.
    """
    where = located(
        event.facility_id, event.country_iso2, event.region, event.occurred_from, inventory.register
    )
    amount = amount_of(event, where, inventory)
    return (line_of_amount(event, amount, where, inventory, intensity=intensity),)


def line_of_amount(
    event: MeterReadingEvent,
    amount: Amount,
    where: Located,
    inventory: Inventory,
    *,
    intensity: IntensitySource | None = None,
    is_estimate: bool = False,
    occurred_from: datetime | None = None,
    occurred_to: datetime | None = None,
) -> EmissionLine:
    """The line of an amount of the kind `event` is of, which may be an estimate for a gap.

    An estimate is flagged `estimated`, scored lower, and of method `estimated`.
    """
    formula, assignment, match, extra = _treatment(event, amount, where, inventory, intensity)
    if match is None:
        applied = _nothing(amount, formula)
    else:
        applied = apply_amount(amount, match, inventory)
        if event.fuel == "biogas":
            applied = _with_biogenic_memo(applied, amount, where, inventory)
    flags = {*where.place.flags, *amount.flags, *applied.flags, *extra}
    return line_of(
        assignment=assignment,
        formula=formula,
        terms=applied.terms,
        gas_terms=applied.gas_terms,
        basis="combustion" if assignment.scope == 1 else "location",
        method="estimated" if is_estimate else "measured",
        activity_type=activity_type_of(event),
        quantity=amount.quantity,
        unit=amount.shown_unit,
        gwp_set=applied.gwp_set,
        factor=match,
        activity_scores=ESTIMATED if is_estimate else MEASURED,
        factor_scores=None if match is None else of_match(PUBLISHED, match),
        primary_share=Decimal(0 if is_estimate else 1),
        occurred_from=occurred_from or event.occurred_from,
        occurred_to=occurred_to or event.occurred_to,
        flags=tuple(flags | {"estimated"}) if is_estimate else tuple(flags),
    )


def activity_type_of(event: MeterReadingEvent) -> str:
    """What the reading is of, as lines name it, e.g. `electricity:grid`, `fuel:natural_gas`."""
    if event.meter_kind == "electricity":
        return f"electricity:{event.energy_source}"
    if event.meter_kind == "solar":
        return f"self_generated:{event.energy_source}"
    if event.meter_kind == "gas":
        return f"fuel:{event.fuel or 'natural_gas'}"
    return {"export": "electricity:exported"}.get(event.meter_kind, event.meter_kind)


Treatment = tuple[Formula, Assignment, FactorMatch | None, tuple[str, ...]]


def _treatment(
    event: MeterReadingEvent,
    amount: Amount,
    where: Located,
    inventory: Inventory,
    intensity: IntensitySource | None,
) -> Treatment:
    kind = event.meter_kind
    if kind == "electricity":
        return _electricity(event, where, inventory, intensity)
    if kind == "gas":
        selectors = fuel_selectors(event.fuel or "natural_gas", where, "combustion")
        match = find("fuel", selectors, amount.unit, where, inventory)
        return S1_METERED_FUEL, STATIONARY, match, ()
    if kind in ("heat", "steam", "cooling"):
        selectors = heat_selectors(kind, where, "combustion")
        return S2_HEAT, PURCHASED, find("fuel", selectors, amount.unit, where, inventory), ()
    if kind == "solar":
        sold = ("certificates_sold",) if event.certificates_sold else ()
        return S2_OWN_GENERATION, OWN_GENERATION, None, sold
    if kind == "export":
        return S2_EXPORT, OWN_GENERATION, None, ("not_netted",)
    return S2_CHILLED_WATER, PURCHASED, None, ("counted_as_electricity",)


PURCHASED: Final = Assignment(
    scope=2,
    category=None,
    rule="S2-PURCHASED-ENERGY",
    reason="purchased or acquired electricity, steam, heat or cooling that is consumed "
    "(GHG Protocol Corporate Standard, chapter 4)",
)
STATIONARY: Final = Assignment(
    scope=1,
    category=None,
    rule="S1-STATIONARY-COMBUSTION",
    reason="fuel burnt in own equipment (GHG Protocol Corporate Standard, chapter 4)",
)
OWN_GENERATION: Final = Assignment(
    scope=2,
    category=None,
    rule="S2-OWN-GENERATION",
    reason="generated on site without fuel: nothing was purchased (GHG Protocol Corporate "
    "Standard, chapter 4)",
)


def _electricity(
    event: MeterReadingEvent,
    where: Located,
    inventory: Inventory,
    intensity: IntensitySource | None,
) -> Treatment:
    if inventory.policy.location_based_source == "event" and event.energy_source == "grid":
        accepted = accepted_match(
            event.grid_carbon_intensity_gco2_kwh,
            intensity,
            country_iso2=where.country_iso2,
            region=where.place.region,
            occurred_from=event.occurred_from,
        )
        if accepted.match is not None:
            return S2_LOCATION_EVENT, PURCHASED, accepted.match, ()
        match = location_match(where, event.energy_source, inventory)
        return S2_LOCATION, PURCHASED, match, ("event_intensity_not_accepted",)
    return S2_LOCATION, PURCHASED, location_match(where, event.energy_source, inventory), ()


def _with_biogenic_memo(
    applied: Applied, amount: Amount, where: Located, inventory: Inventory
) -> Applied:
    """Adds the carbon dioxide of a biofuel, which is outside the scopes and published on its own.

    GHG Protocol Corporate Standard, chapter 9; ESRS E1 AR 43(c).
    """
    selectors = fuel_selectors("biogas", where, "outside_of_scopes")
    memo = apply_amount(amount, find("fuel", selectors, amount.unit, where, inventory), inventory)
    biogenic = tuple(pair for pair in memo.gas_terms if pair[0] in MEMO_GASES)
    return replace(applied, gas_terms=(*applied.gas_terms, *biogenic))


def _nothing(amount: Amount, formula: Formula) -> Applied:
    zero = Operand(
        value=Decimal(0),
        unit=f"kgCO2e per {amount.unit}",
        label="by rule",
        source=formula.citation,
    )
    return Applied(
        terms=tuple(Term(operands=(*part.operands, zero), sign=part.sign) for part in amount.parts),
        gas_terms=(),
        gwp_set="not_applicable",
        flags=(),
    )
