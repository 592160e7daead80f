"""A leg as the rules see it, its formulas, and the line its figure becomes.

Belongs here: the leg with its assignment, formulas, the making of a line, the split into tank to
wheel and well to tank. Does not: figures (carbon_ledger.transport.shipments), categories
(carbon_ledger.transport.shipment_category).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Final

from carbon_ledger.data_quality import DEFAULT_SCORES
from carbon_ledger.factor_book.book import FactorMatch
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import Applied, Assignment, EmissionLine, line_of
from carbon_ledger.transport.parts import Ask, factor_scores
from carbon_ledger.transport.shipment_events import ShipmentEvent
from carbon_ledger.workings import Formula, formula_table, posted_fraction

_ISO = "ISO 14083:2023 and GLEC Framework v3 (not checked against the source's text)"
_GUIDANCE = "GHG Protocol Technical Guidance for Calculating Scope 3 Emissions (2013), category 4"

DEFAULT: Final = Formula(
    formula_id="TCE-DEFAULT",
    text="kgCO2e = mass x distance x (intensity tank to wheel + intensity well to tank)",
    citation=f"{_GUIDANCE}, distance-based method; {_ISO}",
)
DECLARED: Final = Formula(
    formula_id="TCE-DECLARED",
    text="kgCO2e = what the carrier declares from well to wheel",
    citation=f"{_GUIDANCE}, carrier-specific data; {_ISO}, primary and modelled data",
)
DECLARED_TTW: Final = Formula(
    formula_id="TCE-DECLARED-TTW",
    text="kgCO2e = declared tank to wheel + declared tank to wheel x default intensity well to "
    "tank / default intensity tank to wheel",
    citation=f"{_ISO}, energy provision",
)
HUB_FORMULA: Final = Formula(
    formula_id="TCE-HUB",
    text="kgCO2e = throughput x intensity of the hub, or volume x days stored x intensity",
    citation=f"{_GUIDANCE}, average-data method for storage; {_ISO}, hub operations",
)
STATE: Final = Formula(
    formula_id="TCE-STATE",
    text="0 kgCO2e: the leg is counted when it is delivered, or by the vehicle that carried it",
    citation="GHG Protocol Scope 3 Standard (2011), 5.3: an activity is counted once",
)
FORMULAS: Final = formula_table(DEFAULT, DECLARED, DECLARED_TTW, HUB_FORMULA, STATE)

TANK_TO_WHEEL: Final = "tank to wheel"
WELL_TO_TANK: Final = "well to tank"
WHOLE: Final = "well to wheel"


@dataclass(frozen=True, kw_only=True, slots=True)
class Leg:
    """A leg with everything about it that the rules look at."""

    event: ShipmentEvent
    inventory: Inventory
    on: date
    assignment: Assignment
    flags: frozenset[str]

    def find(self, ask: Ask) -> FactorMatch:
        """The factor where the leg began."""
        return ask.find(self.event.country_iso2, self.on, self.inventory)


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """kgCO2e of a line from tank to wheel and from well to tank; None where it is not known."""

    ttw: Decimal | None
    wtt: Decimal | None


def split_of(line: EmissionLine) -> Split:
    """The parts of a leg's figure, each rounded as a figure is (ISO 14083 reports both)."""
    sums: dict[str, Fraction] = {}
    for term in line.working.terms:
        sums[term.label] = sums.get(term.label, Fraction(0)) + term.exact()
    if WHOLE in sums or not sums:
        return Split(ttw=None, wtt=None)
    return Split(
        ttw=posted_fraction(sums.get(TANK_TO_WHEEL, Fraction(0))),
        wtt=posted_fraction(sums.get(WELL_TO_TANK, Fraction(0))),
    )


def informing_line(leg: Leg, flag: str) -> EmissionLine:
    """A line of 0 kg that says why the leg is not counted here."""
    nothing = Applied(terms=(), gas_terms=(), gwp_set="not_applicable", flags=())
    return leg_line(
        leg,
        STATE,
        nothing,
        method="measured",
        basis="informational",
        rank=0,
        match=None,
        scores="shipment_default_intensity",
        flags={flag, *leg.flags},
    )


def leg_line(
    leg: Leg,
    formula: Formula,
    applied: Applied,
    *,
    method: str,
    basis: str,
    rank: int,
    match: FactorMatch | None,
    scores: str,
    flags: set[str],
    primary_share: Decimal = Decimal(0),
) -> EmissionLine:
    """The line of a leg's figure; `scores` names a kind of data of DEFAULT_SCORES."""
    event = leg.event
    quantity, unit = _quantity(event)
    return line_of(
        assignment=leg.assignment,
        formula=formula,
        terms=applied.terms,
        gas_terms=applied.gas_terms,
        basis=basis,
        method=method,
        rank=rank,
        activity_type=f"freight:{event.mode}",
        quantity=quantity,
        unit=unit,
        gwp_set=applied.gwp_set,
        factor=match,
        activity_scores=DEFAULT_SCORES[scores],
        factor_scores=None if match is None else factor_scores(match, technology=3),
        primary_share=primary_share,
        occurred_from=event.occurred_from,
        occurred_to=event.occurred_to,
        flags=tuple({*applied.flags, *flags}),
    )


def _quantity(event: ShipmentEvent) -> tuple[Decimal, str]:
    """What the line is about, as stated: mass, else containers, else the leg itself."""
    if event.mass_kg is not None:
        return event.mass_kg, "kg"
    if event.teu is not None:
        return event.teu, "TEU"
    if event.volume_m3 is not None:
        return event.volume_m3, "m3"
    return Decimal(1), "piece"
