"""Purchased electricity of a period under both methods: location-based, and market-based.

Belongs here: the lines of both methods, what instruments have left over, and what must be
disclosed. Does not: whether an instrument may be used (instruments), what it covers
(carbon_ledger.energy.scope2_waterfall), single readings (carbon_ledger.energy.meters).

GHG Protocol Scope 2 Guidance (2015), chapters 4, 6 and 7. Both figures are always made. Instruments
never touch the location-based one. Per market, kWh are covered by certificates, then contracts,
then supplier rates; what remains takes the residual mix, or, disclosed, the grid average where the
market has none. What an instrument has beyond the consumption is reported and goes nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Final

from carbon_ledger.data_quality import Scores, of_match, time_score
from carbon_ledger.energy.certificate_matching import check_not_negative
from carbon_ledger.energy.instruments import Instrument, Judged, Use, judge
from carbon_ledger.energy.meter_places import check_substitute
from carbon_ledger.energy.meters import (
    MEASURED,
    OWN_GENERATION,
    PUBLISHED,
    PURCHASED,
    S2_LOCATION,
    S2_OWN_GENERATION,
)
from carbon_ledger.energy.scope2_waterfall import (
    InstrumentUse,
    Market,
    Period,
    SiteLoad,
    Tranche,
    Waterfall,
    location_of,
    volumes_left,
)
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.book import GRID, FactorMatch
from carbon_ledger.factor_book.use import apply_factor
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import EmissionLine, line_of
from carbon_ledger.quantities import PRODUCT
from carbon_ledger.workings import Formula, Operand, Term, formula_table

_GUIDANCE = "GHG Protocol Scope 2 Guidance (2015), chapter 6, table 6.3"
S2_INSTRUMENT: Final = Formula(
    formula_id="S2-MB-INSTRUMENT",
    text="kgCO2e = kWh covered by the instrument x its emission rate (kgCO2e per kWh)",
    citation=f"{_GUIDANCE}, steps 1 to 3; quality criteria of table 7.1",
)
S2_RESIDUAL: Final = Formula(
    formula_id="S2-MB-RESIDUAL",
    text="kgCO2e = kWh not covered x residual mix of the market (kgCO2e per kWh)",
    citation=f"{_GUIDANCE}, step 4",
)
S2_GRID_AVERAGE: Final = Formula(
    formula_id="S2-MB-GRID",
    text="kgCO2e = kWh not covered x grid average, as the market has no residual mix",
    citation=f"{_GUIDANCE}, step 5, to be disclosed",
)
S2_SAME: Final = Formula(
    formula_id="S2-MB-SAME",
    text="kgCO2e = kWh x the location-based factor: there is no instrument to choose by",
    citation="GHG Protocol Scope 2 Guidance (2015), on markets without instruments (not checked "
    "against the source's text)",
)
FORMULAS: Final = formula_table(S2_INSTRUMENT, S2_RESIDUAL, S2_GRID_AVERAGE, S2_SAME)

GRID_AVERAGE: Final = "grid_average_in_market_based"
SAME_AS_LOCATION: Final = "market_equals_location"


@dataclass(frozen=True, kw_only=True, slots=True)
class Surplus:
    """kWh of a usable instrument beyond what it could cover in its own market and period."""

    instrument_id: str
    market: str
    kwh: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class DualReport:
    """Both methods for one period, and everything that is to be said beside them."""

    location: tuple[EmissionLine, ...]
    market: tuple[EmissionLine, ...]
    # Of each market-based line the site, and the instrument or what took its place.
    market_places: tuple[tuple[str, str], ...]
    tranches: tuple[Tranche, ...]
    judged: tuple[Judged, ...]
    uses: tuple[InstrumentUse, ...]
    surplus: tuple[Surplus, ...]
    disclosures: tuple[str, ...]


def dual_report(
    loads: Sequence[SiteLoad],
    instruments: Sequence[Instrument],
    markets: Sequence[Market],
    period: Period,
    inventory: Inventory,
    *,
    used_before: Mapping[str, Decimal] | None = None,
    deliverable: Mapping[str, frozenset[str]] | None = None,
) -> DualReport:
    """Location-based and market-based kgCO2e of all loads of a period, always both.

    One line per site and rate under each method. `used_before` are kWh of instruments used for
    other periods or reports. With a `Policy.matching_granularity` finer than the year, certificates
    and contracts cover only load of the same interval, in a deliverable zone. Raises RejectedRecord
    `load_outside_period`, `unknown_market`, `source_of_grid_power`, `negative_quantity`,
    `instrument_twice`, `certificate_overused`, `certificate_without_volume`, `not_a_residual_mix`,
    `load_coarser_than_granularity`, and what `location_match` raises.
    """
    by_market = {one.market_id: one for one in markets}
    _check(loads, instruments, by_market, period)
    waterfall = Waterfall(
        loads=loads,
        matches=tuple(location_of(load, inventory) for load in loads),
        markets=by_market,
        period=period,
        inventory=inventory,
        deliverable=deliverable or {},
        remaining=[load.kwh if load.is_of_grid else Decimal(0) for load in loads],
        volume=volumes_left(instruments, used_before or {}),
    )
    judged = _judged(loads, instruments, by_market, period, inventory)
    usable = [one.instrument for one in judged if not one.is_void]
    for market in sorted({load.market for load in loads}):
        waterfall.cover(market, [one for one in usable if one.market == market])
        waterfall.take_the_rest(market, any(one.market == market for one in usable))
    waterfall.check()
    market_lines = _market_lines(waterfall)
    return DualReport(
        location=_location_lines(waterfall),
        market=tuple(line for _, line in market_lines),
        market_places=tuple(place for place, _ in market_lines),
        tranches=tuple(waterfall.tranches),
        judged=judged,
        uses=tuple(waterfall.uses),
        surplus=tuple(
            Surplus(
                instrument_id=one.instrument_id,
                market=one.market,
                kwh=waterfall.volume[one.instrument_id] or Decimal(0),
            )
            for one in sorted(usable, key=lambda item: item.instrument_id)
            if waterfall.volume[one.instrument_id]
        ),
        disclosures=_disclosures(waterfall, judged),
    )


def _check(
    loads: Sequence[SiteLoad],
    instruments: Sequence[Instrument],
    markets: Mapping[str, Market],
    period: Period,
) -> None:
    for load in loads:
        check_not_negative(load.kwh, f"load of {load.facility_id}")
        if load.market not in markets:
            raise RejectedRecord(
                "unknown_market",
                f"{load.facility_id} consumes in market {load.market!r}",
                field="market",
                value=load.market,
                valid=", ".join(sorted(markets)),
            )
        if load.is_of_grid and load.energy_source != GRID:
            raise RejectedRecord(
                "source_of_grid_power",
                f"{load.facility_id} draws from the grid, whose power is not {load.energy_source}",
                field="energy_source",
                value=load.energy_source,
                valid="grid, or a direct line; what was contracted is an instrument",
            )
        if not period.begin <= load.occurred_from <= load.occurred_to <= period.end:
            raise RejectedRecord(
                "load_outside_period",
                f"a load of {load.facility_id} from {load.occurred_from.isoformat()} is outside",
                field="occurred_from",
                value=load.occurred_from,
                valid=f"{period.begin.isoformat()} to {period.end.isoformat()}",
            )
    seen: set[str] = set()
    for one in instruments:
        if one.instrument_id in seen:
            raise RejectedRecord(
                "instrument_twice",
                f"instrument {one.instrument_id} is there twice",
                field="instrument_id",
                value=one.instrument_id,
                valid="each instrument once",
            )
        seen.add(one.instrument_id)
    for market in markets.values():
        if market.residual_mix is not None and market.residual_mix.factor.basis != "residual":
            raise RejectedRecord(
                "not_a_residual_mix",
                f"{market.residual_mix.factor.factor_id} is of basis "
                f"{market.residual_mix.factor.basis}, no residual mix",
                field="market",
                value=market.market_id,
                valid="a factor of basis residual, or none",
            )


def _judged(
    loads: Sequence[SiteLoad],
    instruments: Sequence[Instrument],
    markets: Mapping[str, Market],
    period: Period,
    inventory: Inventory,
) -> tuple[Judged, ...]:
    consumed_in = {load.market for load in loads}
    site_markets = {load.facility_id: load.market for load in loads}
    found = []
    for one in sorted(instruments, key=lambda item: item.instrument_id):
        # An instrument of a market nobody consumes in is judged for the site it is for, or for any.
        market = one.market
        if market not in consumed_in:
            market = site_markets.get(one.facility_id or "", min(consumed_in, default="-"))
        setting = markets.get(market, Market(market_id=market))
        use = Use(
            reporter=period.reporter,
            market=market,
            begin=period.begin,
            end=period.end,
            now=inventory.now,
            site_markets=site_markets,
            has_residual_mix=setting.residual_mix is not None,
            discloses_absence=setting.discloses_absence,
        )
        found.append(judge(one, use, instruments, inventory.policy))
    return tuple(found)


def _location_lines(waterfall: Waterfall) -> tuple[EmissionLine, ...]:
    kwh: dict[tuple[str, str, str], tuple[Decimal, FactorMatch | None]] = {}
    for load, match in zip(waterfall.loads, waterfall.matches, strict=True):
        key = (load.facility_id, load.energy_source, _name(match))
        so_far, _ = kwh.get(key, (Decimal(0), None))
        kwh[key] = (PRODUCT.add(so_far, load.kwh), match)
    return tuple(
        _line(
            waterfall,
            facility_id=facility_id,
            formula=S2_OWN_GENERATION if match is None else S2_LOCATION,
            kwh=amount,
            match=match,
            basis="location",
            activity_type=f"self_generated:{source}" if match is None else f"electricity:{source}",
        )
        for (facility_id, source, _), (amount, match) in sorted(
            kwh.items(), key=lambda item: item[0]
        )
    )


def _name(match: FactorMatch | None) -> str:
    """The factor and how it matched, so that kWh of two years with one factor keep their flags."""
    if match is None:
        return ""
    row = match.factor
    return f"{row.factor_id}#{row.version} {match.how_matched} {match.vintage_gap_years}"


_FORMULA_OF: Final = {
    "residual_mix": (S2_RESIDUAL, ()),
    "grid_average": (S2_GRID_AVERAGE, (GRID_AVERAGE,)),
    "location": (S2_SAME, (SAME_AS_LOCATION,)),
    "direct_line": (S2_SAME, (SAME_AS_LOCATION,)),
    "own_generation": (S2_OWN_GENERATION, (SAME_AS_LOCATION,)),
}


def _market_lines(waterfall: Waterfall) -> list[tuple[tuple[str, str], EmissionLine]]:
    """The lines by site and rate, each with its site and the source of its rate."""
    kwh: dict[tuple[str, str, str], tuple[Decimal, FactorMatch | None]] = {}
    for one in waterfall.tranches:
        key = (one.facility_id, one.source, _name(one.match))
        so_far, _ = kwh.get(key, (Decimal(0), None))
        kwh[key] = (PRODUCT.add(so_far, one.kwh), one.match)
    lines = []
    for (facility_id, source, _), (amount, match) in sorted(kwh.items(), key=lambda item: item[0]):
        formula, flags = _FORMULA_OF.get(source, (S2_INSTRUMENT, ()))
        line = _line(
            waterfall,
            facility_id=facility_id,
            formula=formula,
            kwh=amount,
            match=match,
            basis="market",
            activity_type="electricity:market",
            flags=flags,
        )
        lines.append(((facility_id, source), line))
    return lines


def _line(
    waterfall: Waterfall,
    *,
    facility_id: str,
    formula: Formula,
    kwh: Decimal,
    match: FactorMatch | None,
    basis: str,
    activity_type: str,
    flags: tuple[str, ...] = (),
) -> EmissionLine:
    inventory, period = waterfall.inventory, waterfall.period
    operand = Operand(value=kwh, unit="kWh", label="consumed", source=f"site {facility_id}")
    zero = Operand(
        value=Decimal(0), unit="kgCO2e per kWh", label="by rule", source=formula.citation
    )
    if match is None:
        terms: tuple[Term, ...] = (Term(operands=(operand, zero)),)
        gas_terms: tuple[tuple[str, tuple[Term, ...]], ...] = ()
        gwp_set = "not_applicable"
    else:
        check_substitute(match, inventory.policy)
        applied = apply_factor(
            (operand,), "kWh", match, inventory.book.gwp, inventory.policy.gwp_set
        )
        terms, gas_terms, gwp_set = applied.terms, applied.gas_terms, applied.gwp_set
        flags = (*flags, *applied.flags)
    return line_of(
        assignment=OWN_GENERATION if match is None else PURCHASED,
        formula=formula,
        terms=terms,
        gas_terms=gas_terms,
        basis=basis,
        method="measured",
        activity_type=activity_type,
        quantity=kwh,
        unit="kWh",
        gwp_set=gwp_set,
        factor=match,
        activity_scores=MEASURED,
        factor_scores=_scores(match),
        primary_share=Decimal(1),
        occurred_from=period.begin,
        occurred_to=period.end,
        flags=flags,
    )


def _scores(match: FactorMatch | None) -> Scores | None:
    """Of a factor of the book by how it matched; an instrument is of the market and of a vintage
    within the policy, or it is void; the year of a registered residual mix is not known.
    """
    if match is None:
        return None
    if match.factor.basis in ("market", "supplier"):
        return PUBLISHED
    if match.factor.basis == "residual":
        return replace(PUBLISHED, time=time_score(match.vintage_gap_years))
    return of_match(PUBLISHED, match)


def _disclosures(waterfall: Waterfall, judged: Sequence[Judged]) -> tuple[str, ...]:
    said = set()
    for one in judged:
        said |= {f"instrument_void:{one.instrument.instrument_id}:{v.name}" for v in one.failed}
    for tranche in waterfall.tranches:
        if tranche.source in ("grid_average", "location"):
            flag = GRID_AVERAGE if tranche.source == "grid_average" else SAME_AS_LOCATION
            said.add(f"{flag}:{tranche.market}")
        if tranche.match is not None and tranche.match.boundary_substitute:
            said.add(f"boundary_substitute:{tranche.market}")
    consumed_in = {load.market for load in waterfall.loads}
    if not any(waterfall.markets[name].has_instruments for name in consumed_in) and not any(
        not one.is_void for one in judged
    ):
        said.add("no_instruments_in_any_market")
    return tuple(sorted(said))


def as_market_line(line: EmissionLine) -> EmissionLine:
    """The market-based line of heat, steam or cooling, which no instrument covers: the same figure.

    Raises RejectedRecord `not_location_based` for a line of another basis or scope.
    """
    if line.basis != "location" or line.assignment.scope != 2:
        raise RejectedRecord(
            "not_location_based",
            f"a line of scope {line.assignment.scope}, {line.basis}, has no market-based twin",
            field="basis",
            value=line.basis,
            valid="a location-based line of scope 2",
        )
    flags = tuple(sorted({*line.flags, SAME_AS_LOCATION}))
    return replace(line, basis="market", flags=flags)


def substituted_share(lines: Iterable[EmissionLine]) -> Fraction:
    """The share of kgCO2e that rests on life-cycle figures in place of direct ones, 0 to 1."""
    whole = Fraction(0)
    substituted = Fraction(0)
    for line in lines:
        whole += Fraction(line.kgco2e)
        if "boundary_substitute" in line.flags:
            substituted += Fraction(line.kgco2e)
    return substituted / whole if whole else Fraction(0)
