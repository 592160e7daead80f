"""Category 3 of scope 3: fuel- and energy-related activities that are in neither scope 1 nor 2.

Belongs here: the four activities a, b, c, d for fuels, electricity and heat, per basis. Does not:
combustion and purchased energy themselves (meters), fuel of vehicles and transport.

GHG Protocol Scope 3 Standard (2011), table 5.4 and box 5.5; Technical Guidance (2013), chapter 3:
a upstream of fuels, b upstream of electricity and heat, c what is lost on the way, with its
upstream, d energy that is sold on (resellers alone). What is not published is named as missing,
never filled in. A life-cycle figure that stands in for a direct one in scope 2 holds all of this
already, so nothing is posted for those kWh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal

from carbon_ledger.data_quality import Scores, of_match
from carbon_ledger.energy.meter_amounts import Amount, Part, apply_amount
from carbon_ledger.energy.meters import MEASURED
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.book import FactorMatch
from carbon_ledger.factor_book.losses import LossRate
from carbon_ledger.factor_book.use import EMBEDDED_SET
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import Applied, Assignment, EmissionLine, line_of
from carbon_ledger.workings import Formula, Operand, Term, formula_table, scaled

_GUIDANCE = "GHG Protocol Technical Guidance for Calculating Scope 3 Emissions (2013), chapter 3"
S3_3A: Final = Formula(
    formula_id="S3-3A",
    text="kgCO2e = fuel x well-to-tank factor",
    citation=f"{_GUIDANCE}, activity A",
)
S3_3B: Final = Formula(
    formula_id="S3-3B",
    text="kgCO2e = energy consumed x well-to-tank factor of its generation",
    citation=f"{_GUIDANCE}, activity B",
)
S3_3C: Final = Formula(
    formula_id="S3-3C",
    text="kgCO2e = energy consumed x generation factor x loss rate (kWh lost per kWh delivered), "
    "or energy consumed x factor of transmission and distribution losses",
    citation=f"{_GUIDANCE}, activity C",
)
S3_3C_UPSTREAM: Final = Formula(
    formula_id="S3-3C-UPSTREAM",
    text="kgCO2e = energy lost on the way x well-to-tank factor of its generation, or energy "
    "consumed x well-to-tank factor of losses",
    citation=f"{_GUIDANCE}, activity C; Scope 3 Standard (2011), box 5.5",
)
S3_3D: Final = Formula(
    formula_id="S3-3D",
    text="kgCO2e = energy bought and sold to end users x (generation factor + its well-to-tank "
    "factor)",
    citation=f"{_GUIDANCE}, activity D",
)
FORMULAS: Final = formula_table(S3_3A, S3_3B, S3_3C, S3_3C_UPSTREAM, S3_3D)

Activity = Literal["a", "b", "c", "d"]
_REASONS: Final[dict[Activity, str]] = {
    "a": "upstream emissions of fuel the reporter burns",
    "b": "upstream emissions of energy the reporter purchases",
    "c": "energy lost between generation and the reporter",
    "d": "energy the reporter purchases and sells to end users",
}
# Publishers whose upstream column holds the losses too, as their own notes say.
LOSSES_IN_UPSTREAM: Final = frozenset({"nga_2024"})
MIXED_SETS: Final = "mixed"
AVERAGE_DATA: Final = Scores(technology=2, time=1, geography=1, completeness=1, reliability=3)


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """A loss rate from 0 to 1, and of which kWh it is a share.

    A rate of what is delivered multiplies consumption as it is; a rate of what is generated is
    rate / (1 - rate) of consumption.
    """

    share: Fraction
    relative_to: Literal["delivered", "generated"]
    source: str
    flags: tuple[str, ...] = ()

    @classmethod
    def of_rate(cls, rate: LossRate) -> Loss:
        """A published rate of the book, which is of what is put into the grid."""
        return cls(
            share=Fraction(rate.pct) / 100,
            relative_to="generated",
            source=f"{rate.source} {rate.year}, {rate.how_matched}",
            flags=rate.flags,
        )

    def operands(self, unit: str) -> tuple[Operand, ...]:
        """The loss per unit delivered; RejectedRecord `loss_rate_out_of_range`."""
        limit = self.share <= 1 if self.relative_to == "delivered" else self.share < 1
        if not (self.share >= 0 and limit):
            raise RejectedRecord(
                "loss_rate_out_of_range",
                f"a loss rate of {self.share} of what is {self.relative_to} cannot be",
                field="loss_rate",
                value=self.share,
                valid="a share from 0 to below 1",
            )
        rate = Operand(
            value=self.share,
            unit=f"{unit} lost per {unit} {self.relative_to}",
            label="loss rate",
            source=self.source,
        )
        if self.relative_to == "delivered":
            return (rate,)
        arrives = Operand(
            value=1 - self.share,
            unit=f"{unit} delivered per {unit} generated",
            label="1 - loss rate",
            source=self.source,
            divides=True,
        )
        return (rate, arrives)


@dataclass(frozen=True, kw_only=True, slots=True)
class StatedRate:
    """A published figure in kgCO2e per `unit`, with where it stands and the potentials in it."""

    kgco2e: Decimal
    unit: str
    source: str
    gwp_set: str = "unstated"


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """An activity that has no line, and why; `code` is stable."""

    activity: Activity
    code: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Category3:
    """The lines there are, and what is missing for the others."""

    lines: tuple[EmissionLine, ...]
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Consumed:
    """Energy or fuel a line of scope 1 or 2 was made of, on one basis, in one period."""

    amount: Amount
    activity_type: str
    occurred_from: datetime
    occurred_to: datetime
    basis: Literal["location", "market", "combustion"] = "location"


def energy(
    kwh: Decimal,
    activity_type: str,
    occurred_from: datetime,
    occurred_to: datetime,
    *,
    basis: Literal["location", "market"] = "location",
    source: str = "",
) -> Consumed:
    """Electricity or heat of a site and day, in kWh, as category 3 is posted for it."""
    operand = Operand(value=kwh, unit="kWh", label="consumed", source=source)
    return Consumed(
        amount=Amount(
            parts=(Part(sign=1, operands=(operand,)),), unit="kWh", quantity=kwh, shown_unit="kWh"
        ),
        activity_type=activity_type,
        occurred_from=occurred_from,
        occurred_to=occurred_to,
        basis=basis,
    )


def lines_of_fuel(consumed: Consumed, upstream: FactorMatch, inventory: Inventory) -> Category3:
    """Activity a: the upstream of a fuel that was burnt in scope 1.

    `upstream` is the well-to-tank factor. Raises RejectedRecord `not_well_to_tank` for another
    stage, and what apply_factor raises.
    """
    _check_stage(upstream, ("wtt",))
    applied = apply_amount(consumed.amount, upstream, inventory)
    return Category3(lines=(_line("a", S3_3A, consumed, applied, upstream),))


def _check_stage(match: FactorMatch, stages: tuple[str, ...]) -> None:
    if match.factor.stage not in stages:
        raise RejectedRecord(
            "not_well_to_tank",
            f"{match.factor.factor_id} is of stage {match.factor.stage or 'none'}",
            field="stage",
            value=match.factor.stage,
            valid=", ".join(stages),
        )


def lines_of_electricity(
    consumed: Consumed,
    match: FactorMatch,
    inventory: Inventory,
    *,
    loss: Loss | None = None,
    upstream: StatedRate | None = None,
    upstream_of_losses: StatedRate | None = None,
) -> Category3:
    """Activities b and c of purchased electricity on one basis, from the scope 2 factor.

    What is stated (`upstream`, `loss`, `upstream_of_losses`) comes before what the factor's own row
    publishes of the same; but a figure of losses that the row publishes (kgCO2e per kWh) comes
    before any loss rate, which then gives their upstream alone. What is in neither is named as
    missing. Every kWh once per basis. Raises RejectedRecord `loss_rate_out_of_range` and what
    apply_factor raises.
    """
    if match.boundary_substitute:
        return Category3(lines=(), missing=_all_in_the_substitute())
    row = match.factor
    rate = upstream or _own_rate(match, "upstream_kgco2e_per_unit")
    lines: list[EmissionLine] = []
    missing: list[Missing] = []
    if rate is None:
        missing.append(_missing("b", "upstream_not_published", match))
    else:
        holds_losses = row.source_id in LOSSES_IN_UPSTREAM and upstream is None
        flags = ("upstream_includes_losses",) if holds_losses else ()
        lines.append(_stated_line("b", S3_3B, consumed, rate, match, inventory, flags))
        if holds_losses:
            return Category3(lines=tuple(lines))
    loss = loss or _own_loss(match)
    published = _own_rate(match, "td_kgco2e_per_unit")
    if published is not None:
        lines.append(_stated_line("c", S3_3C, consumed, published, match, inventory))
    elif loss is not None:
        lines.append(_lost_line(consumed, match, loss, inventory))
    else:
        missing.append(_missing("c", "losses_not_published", match))
    found = _upstream_of_losses(consumed, match, rate, loss, upstream_of_losses, inventory)
    if isinstance(found, EmissionLine):
        lines.append(found)
    elif found is not None:
        missing.append(found)
    return Category3(lines=tuple(lines), missing=tuple(missing))


def _all_in_the_substitute() -> tuple[Missing, ...]:
    reason = "the life-cycle figure used in scope 2 holds it already"
    return tuple(
        Missing(activity=activity, code="included_in_substitute", reason=reason)
        for activity in ("b", "c")
    )


def _missing(activity: Activity, code: str, match: FactorMatch) -> Missing:
    return Missing(
        activity=activity,
        code=code,
        reason=f"{match.factor.factor_id} publishes no such figure, and none is stated",
    )


def _own_rate(match: FactorMatch, column: str) -> StatedRate | None:
    row = match.factor
    value: Decimal | None = getattr(row, column)
    if value is None:
        return None
    return StatedRate(
        kgco2e=value,
        unit=row.unit,
        source=f"{row.factor_id} version {row.version}, {column}",
        gwp_set=row.gwp_set,
    )


def _own_loss(match: FactorMatch) -> Loss | None:
    row = match.factor
    if row.td_loss_pct is None:
        return None
    return Loss(
        share=Fraction(row.td_loss_pct) / 100,
        relative_to="generated",
        source=f"{row.factor_id} version {row.version}, td_loss_pct",
    )


def _lost_line(
    consumed: Consumed, match: FactorMatch, loss: Loss, inventory: Inventory
) -> EmissionLine:
    """Activity c from a loss rate: the generation of what was lost."""
    applied = apply_amount(consumed.amount, match, inventory)
    by = loss.operands(consumed.amount.unit)
    lost = replace(
        applied,
        terms=scaled(applied.terms, by),
        gas_terms=tuple((gas, scaled(terms, by)) for gas, terms in applied.gas_terms),
    )
    return _line("c", S3_3C, consumed, lost, match, loss.flags)


def _upstream_of_losses(
    consumed: Consumed,
    match: FactorMatch,
    upstream: StatedRate | None,
    loss: Loss | None,
    stated: StatedRate | None,
    inventory: Inventory,
) -> EmissionLine | Missing | None:
    """Activity c, its own upstream: as stated, else upstream x loss rate, else from the published
    losses, which are loss rate x generation factor.
    """
    if stated is not None:
        return _stated_line("c", S3_3C_UPSTREAM, consumed, stated, match, inventory)
    if upstream is None:
        return None
    if loss is not None:
        applied = _stated(consumed, upstream, inventory)
        lost = replace(applied, terms=scaled(applied.terms, loss.operands(consumed.amount.unit)))
        return _line("c", S3_3C_UPSTREAM, consumed, lost, match, loss.flags)
    published = _own_rate(match, "td_kgco2e_per_unit")
    if published is None or not match.factor.kgco2e_per_unit:
        return _missing("c", "upstream_of_losses_not_published", match)
    applied = _stated(consumed, upstream, inventory)
    per_delivered = (
        Operand(
            value=published.kgco2e,
            unit=f"kgCO2e per {published.unit}",
            label="losses per unit delivered",
            source=published.source,
        ),
        Operand(
            value=match.factor.kgco2e_per_unit,
            unit=f"kgCO2e per {match.factor.unit}",
            label="generation factor",
            source=f"{match.factor.factor_id} version {match.factor.version}",
            divides=True,
        ),
    )
    lost = replace(applied, terms=scaled(applied.terms, per_delivered))
    return _line("c", S3_3C_UPSTREAM, consumed, lost, match, ("upstream_of_losses_derived",))


def lines_of_heat(
    consumed: Consumed,
    match: FactorMatch,
    inventory: Inventory,
    *,
    upstream: FactorMatch | None = None,
    losses: FactorMatch | None = None,
    upstream_of_losses: FactorMatch | None = None,
    loss: Loss | None = None,
) -> Category3:
    """Activities b and c of purchased heat, steam or cooling.

    Published factors of each part, or a loss rate applied to the scope 2 factor `match`. Raises
    RejectedRecord `not_well_to_tank`, `loss_rate_out_of_range`.
    """
    lines: list[EmissionLine] = []
    missing: list[Missing] = []
    if upstream is None:
        missing.append(_missing("b", "upstream_not_published", match))
    else:
        _check_stage(upstream, ("wtt",))
        applied = apply_amount(consumed.amount, upstream, inventory)
        lines.append(_line("b", S3_3B, consumed, applied, upstream))
    if losses is not None:
        _check_stage(losses, ("distribution_losses", "td_losses"))
        applied = apply_amount(consumed.amount, losses, inventory)
        lines.append(_line("c", S3_3C, consumed, applied, losses))
    elif loss is not None:
        lines.append(_lost_line(consumed, match, loss, inventory))
    else:
        missing.append(_missing("c", "losses_not_published", match))
    if upstream_of_losses is not None:
        _check_stage(upstream_of_losses, ("wtt_distribution_losses", "wtt_td_losses", "wtt"))
        applied = apply_amount(consumed.amount, upstream_of_losses, inventory)
        lines.append(_line("c", S3_3C_UPSTREAM, consumed, applied, upstream_of_losses))
    return Category3(lines=tuple(lines), missing=tuple(missing))


def lines_of_resold(
    consumed: Consumed,
    match: FactorMatch,
    inventory: Inventory,
    *,
    is_reseller: bool,
    upstream: StatedRate | None = None,
) -> Category3:
    """Activity d: generation and upstream of energy that was bought and sold to end users.

    Raises RejectedRecord `only_for_resellers` for anyone else, whose purchases are scope 2.
    """
    if not is_reseller:
        raise RejectedRecord(
            "only_for_resellers",
            "activity d is of energy sold on; what is consumed is scope 2",
            field="activity",
            value="d",
            valid="activities a, b, c",
        )
    applied = apply_amount(consumed.amount, match, inventory)
    rate = upstream or _own_rate(match, "upstream_kgco2e_per_unit")
    if match.boundary_substitute:
        return Category3(lines=(_line("d", S3_3D, consumed, applied, match),))
    if rate is None:
        line = _line("d", S3_3D, consumed, applied, match, ("upstream_not_published",))
        return Category3(lines=(line,), missing=(_missing("d", "upstream_not_published", match),))
    above = _stated(consumed, rate, inventory)
    # The published upstream has no gases, and half a vector would look like a whole one.
    both = Applied(
        terms=(*applied.terms, *above.terms),
        gas_terms=(),
        gwp_set=applied.gwp_set if applied.gwp_set == above.gwp_set else MIXED_SETS,
        flags=tuple(sorted({*applied.flags, *above.flags})),
    )
    return Category3(lines=(_line("d", S3_3D, consumed, both, match),))


def _stated(consumed: Consumed, rate: StatedRate, inventory: Inventory) -> Applied:
    """A stated figure applied: CO2e alone, the potentials in it kept and said where they differ."""
    if rate.unit != consumed.amount.unit:
        raise RejectedRecord(
            "incompatible_unit",
            f"{rate.source} is per {rate.unit}, the consumption in {consumed.amount.unit}",
            field="unit",
            value=rate.unit,
            valid=consumed.amount.unit,
        )
    figure = Operand(
        value=rate.kgco2e, unit=f"kgCO2e per {rate.unit}", label="published", source=rate.source
    )
    differs = rate.gwp_set != inventory.policy.gwp_set
    return Applied(
        terms=tuple(
            Term(operands=(*part.operands, figure), sign=part.sign)
            for part in consumed.amount.parts
        ),
        gas_terms=(),
        gwp_set=rate.gwp_set,
        flags=(EMBEDDED_SET,) if differs else (),
    )


def _stated_line(
    activity: Activity,
    formula: Formula,
    consumed: Consumed,
    rate: StatedRate,
    match: FactorMatch,
    inventory: Inventory,
    flags: Sequence[str] = (),
) -> EmissionLine:
    return _line(activity, formula, consumed, _stated(consumed, rate, inventory), match, flags)


def _line(
    activity: Activity,
    formula: Formula,
    consumed: Consumed,
    applied: Applied,
    match: FactorMatch,
    flags: Sequence[str] = (),
) -> EmissionLine:
    return line_of(
        assignment=Assignment(
            scope=3,
            category=3,
            rule=f"S3-3-{activity.upper()}",
            reason=f"{_REASONS[activity]} (GHG Protocol Scope 3 Standard, table 5.4, category 3, "
            f"activity {activity})",
        ),
        formula=formula,
        terms=applied.terms,
        gas_terms=applied.gas_terms,
        basis=consumed.basis,
        method="average_data",
        rank=2,
        activity_type=f"category_3{activity}:{consumed.activity_type}",
        quantity=consumed.amount.quantity,
        unit=consumed.amount.shown_unit,
        gwp_set=applied.gwp_set,
        factor=match,
        activity_scores=MEASURED,
        factor_scores=of_match(AVERAGE_DATA, match),
        occurred_from=consumed.occurred_from,
        occurred_to=consumed.occurred_to,
        flags=(*consumed.amount.flags, *match.flags, *applied.flags, *flags),
    )
