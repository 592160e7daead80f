"""Contractual instruments of the market-based method, and the eight quality criteria.

Belongs here: what an instrument states, and whether each criterion is met, with the reason. Does
not: which kWh it covers (carbon_ledger.energy.scope2), where instruments are registered
(carbon_ledger.reference.instruments).

GHG Protocol Scope 2 Guidance (2015), chapter 7, table 7.1. What an instrument states is not enough
where the facts say otherwise: a certificate that nobody retired, or whose serial number appears
twice, is void whatever is stated of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final, Literal

from carbon_ledger.energy.given_rates import given_rate
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.book import FactorMatch
from carbon_ledger.factor_book.rows import Factor
from carbon_ledger.greenhouse import GwpSet
from carbon_ledger.policy import Policy
from carbon_ledger.reference.instruments import Instrument as RegisteredInstrument

InstrumentKind = Literal["certificate_bundled", "certificate_unbundled", "ppa", "supplier_rate"]
# How the id of a factor begins that an instrument states.
INSTRUMENT: Final = "instrument:"
CERTIFICATES: Final[tuple[InstrumentKind, ...]] = ("certificate_bundled", "certificate_unbundled")
# Steps 1 to 3 of the market-based hierarchy (Scope 2 Guidance, table 6.3).
WATERFALL: Final[tuple[tuple[InstrumentKind, ...], ...]] = (
    CERTIFICATES,
    ("ppa",),
    ("supplier_rate",),
)

Status = Literal["met", "failed", "not_applicable"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Statements:
    """What is stated of an instrument, criterion by criterion; None: nothing is stated."""

    conveys_emission_rate: bool | None = None
    is_only_claim: bool | None = None
    is_tracked_and_retired: bool | None = None
    has_close_vintage: bool | None = None
    is_of_same_market: bool | None = None
    is_net_of_sold_certificates: bool | None = None
    passes_all_claims: bool | None = None
    has_residual_mix_or_discloses: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Instrument:
    """A certificate, contract or supplier rate: kWh of a market at an emission rate.

    `volume_kwh` None is unlimited (a supplier rate). It is for one `facility_id`, or for every site
    of its market. `boundary` other than direct_combustion makes it a boundary substitute.
    """

    instrument_id: str
    kind: InstrumentKind
    market: str
    generation_source: str
    kgco2e_per_kwh: Decimal
    stated: Statements
    kg_co2_biogenic_per_kwh: Decimal | None = None
    volume_kwh: Decimal | None = None
    vintage_from: datetime | None = None
    vintage_to: datetime | None = None
    facility_id: str | None = None
    zone: str | None = None
    serials: tuple[str, ...] = ()
    # Numbered certificates as (what is before the number, its digits, first, last), both included.
    serial_range: tuple[str, int, int, int] | None = None
    retired_on: date | None = None
    retired_for: str | None = None
    boundary: str = "direct_combustion"
    gwp_set: GwpSet = "unstated"
    version: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One criterion of one instrument: its number in table 7.1, name, status, reason."""

    number: int
    name: str
    status: Status
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """An instrument under all eight criteria; one that failed makes the tranche void."""

    instrument: Instrument
    verdicts: tuple[Verdict, ...]

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """The criteria it fails, in order."""
        return tuple(one for one in self.verdicts if one.status == "failed")

    @property
    def is_void(self) -> bool:
        """Whether it may not be used."""
        return bool(self.failed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """What an instrument is to be used for, and by whom, as known at `now`.

    `site_markets`: the market each site consumes in. `has_residual_mix`: the market publishes one;
    `discloses_absence`: if not, the report says so.
    """

    reporter: str
    market: str
    begin: datetime
    end: datetime
    now: datetime
    site_markets: dict[str, str]
    has_residual_mix: bool
    discloses_absence: bool


def judge(instrument: Instrument, use: Use, others: Sequence[Instrument], policy: Policy) -> Judged:
    """The eight quality criteria of an instrument, one by one, each with its reason.

    Criterion 6 is asked of supplier rates alone, criterion 7 of direct purchases (contracts).
    Scope 2 Guidance (2015), table 7.1.
    """
    stated = instrument.stated
    checks: tuple[tuple[str, bool | None, tuple[str, bool] | None], ...] = (
        ("conveys_emission_rate", stated.conveys_emission_rate, None),
        ("is_only_claim", stated.is_only_claim, _claimed_twice(instrument, others)),
        ("is_tracked_and_retired", stated.is_tracked_and_retired, _retirement(instrument, use)),
        ("has_close_vintage", stated.has_close_vintage, _vintage(instrument, use, policy)),
        ("is_of_same_market", stated.is_of_same_market, _market(instrument, use)),
        ("is_net_of_sold_certificates", stated.is_net_of_sold_certificates, None),
        ("passes_all_claims", stated.passes_all_claims, None),
        (
            "has_residual_mix_or_discloses",
            stated.has_residual_mix_or_discloses,
            _residual_mix(use),
        ),
    )
    return Judged(
        instrument=instrument,
        verdicts=tuple(
            _verdict(number, name, statement, fact, instrument.kind)
            for number, (name, statement, fact) in enumerate(checks, start=1)
        ),
    )


_ASKED_ONLY_OF: Final[dict[str, InstrumentKind]] = {
    "is_net_of_sold_certificates": "supplier_rate",
    "passes_all_claims": "ppa",
}


def _verdict(
    number: int,
    name: str,
    statement: bool | None,
    fact: tuple[str, bool] | None,
    kind: InstrumentKind,
) -> Verdict:
    asked = _ASKED_ONLY_OF.get(name, kind)
    status: Status = "met"
    reason = "stated" if fact is None else f"stated; {fact[0]}"
    if asked != kind:
        status, reason = "not_applicable", f"asked of {asked} alone"
    elif not statement:
        status = "failed"
        reason = "nothing is stated" if statement is None else "stated not to be so"
    elif fact is not None and not fact[1]:
        status, reason = "failed", fact[0]
    return Verdict(number=number, name=name, status=status, reason=reason)


def _claimed_twice(instrument: Instrument, others: Sequence[Instrument]) -> tuple[str, bool] | None:
    if not instrument.serials:
        return None
    for other in others:
        if other.instrument_id == instrument.instrument_id:
            continue
        shared = sorted(set(instrument.serials) & set(other.serials))
        if shared:
            return f"serial {shared[0]} is also in {other.instrument_id}", False
        if _ranges_meet(instrument, other):
            return f"some of its serials are also in {other.instrument_id}", False
    return "no other instrument has its serials", True


def _ranges_meet(one: Instrument, other: Instrument) -> bool:
    if one.serial_range is None or other.serial_range is None:
        return False
    *series, first, last = one.serial_range
    *other_series, other_first, other_last = other.serial_range
    return series == other_series and first <= other_last and other_first <= last


def _retirement(instrument: Instrument, use: Use) -> tuple[str, bool] | None:
    if instrument.retired_for is not None and instrument.retired_for != use.reporter:
        return f"retired for {instrument.retired_for}, not for {use.reporter}", False
    if instrument.retired_on is None:
        if instrument.kind in CERTIFICATES:
            return "not retired", False
        return None
    if instrument.retired_on > use.now.date():
        return f"retired on {instrument.retired_on}, which is still to come", False
    return f"retired on {instrument.retired_on}", True


def _vintage(instrument: Instrument, use: Use, policy: Policy) -> tuple[str, bool] | None:
    begin, end = instrument.vintage_from, instrument.vintage_to
    if begin is None or end is None:
        return None if instrument.kind == "supplier_rate" else ("no vintage", False)
    gap = max(begin - use.end, use.begin - end, timedelta(0))
    text = f"generated {begin.date()} to {end.date()}, {gap.days} days from the period"
    return text, gap <= timedelta(days=policy.max_certificate_gap_days)


def _market(instrument: Instrument, use: Use) -> tuple[str, bool]:
    if instrument.market != use.market:
        return f"of market {instrument.market}, consumed in {use.market}", False
    if instrument.facility_id is not None:
        market = use.site_markets.get(instrument.facility_id)
        if market != use.market:
            return f"for {instrument.facility_id}, which consumes in {market or 'no market'}", False
    return f"of market {instrument.market}", True


def _residual_mix(use: Use) -> tuple[str, bool]:
    if use.has_residual_mix:
        return f"{use.market} publishes a residual mix", True
    if use.discloses_absence:
        return "the report discloses that there is no residual mix", True
    return f"{use.market} has no residual mix, and that is not disclosed", False


def instrument_match(instrument: Instrument) -> FactorMatch:
    """The rate of an instrument as a factor that can be applied: kgCO2e per kWh, basis market (or
    supplier).

    Its biogenic carbon dioxide is a memo, never in the figure (ESRS E1 AR 45(e)).
    """
    factor = given_rate(
        factor_id=f"{INSTRUMENT}{instrument.instrument_id}",
        version=instrument.version,
        publisher=instrument.market,
        dataset=instrument.kind,
        energy_source=instrument.generation_source,
        basis="supplier" if instrument.kind == "supplier_rate" else "market",
        boundary=instrument.boundary,
        kgco2e_per_kwh=instrument.kgco2e_per_kwh,
        gwp_set=instrument.gwp_set,
        kg_co2_biogenic_per_kwh=instrument.kg_co2_biogenic_per_kwh,
    )
    return _match(factor)


def residual_match(record: RegisteredInstrument, version: int = 1) -> FactorMatch:
    """A registered residual mix as the factor of a market's uncovered kWh, basis residual.

    Raises RejectedRecord `not_a_residual_mix` for another kind of record.
    """
    if record.kind != "residual_mix":
        raise RejectedRecord(
            "not_a_residual_mix",
            f"{record.instrument_id} is a {record.kind}",
            field="kind",
            value=record.kind,
            valid="residual_mix",
        )
    factor = given_rate(
        factor_id=f"residual:{record.instrument_id}",
        version=version,
        publisher=record.market or "-",
        dataset=record.kind,
        energy_source="grid",
        basis="residual",
        boundary="direct_combustion",
        kgco2e_per_kwh=record.emission_rate_kgco2e_per_kwh,
        gwp_set="unstated",
        kg_co2_biogenic_per_kwh=record.biogenic_co2_kg_per_kwh,
    )
    return _match(factor)


def _match(factor: Factor) -> FactorMatch:
    is_substitute = factor.boundary != "direct_combustion"
    return FactorMatch(
        factor=factor,
        release_id="instruments",
        how_matched=f"{factor.basis}/{factor.dataset}",
        geography_level="any",
        boundary_level=factor.basis,
        vintage_gap_years=None,
        boundary_substitute=is_substitute,
        flags=("boundary_substitute",) if is_substitute else (),
    )


def instrument_of(
    record: RegisteredInstrument, site_market: str | None = None
) -> Instrument | None:
    """A registered instrument of electricity as the waterfall takes it; None for one of heat, and
    for a residual mix, which is no instrument (see `residual_match`).

    One that names a site but no market is of `site_market`, the market of that site; without it, of
    the market `-`, and so fails the fifth criterion.
    """
    if record.kind == "residual_mix" or record.carrier != "electricity":
        return None
    kind: InstrumentKind = next(one for step in WATERFALL for one in step if one == record.kind)
    return Instrument(
        instrument_id=record.instrument_id,
        kind=kind,
        market=record.market or site_market or "-",
        generation_source=record.generation_source,
        kgco2e_per_kwh=record.emission_rate_kgco2e_per_kwh,
        kg_co2_biogenic_per_kwh=record.biogenic_co2_kg_per_kwh,
        volume_kwh=record.volume_kwh,
        vintage_from=record.vintage_from,
        vintage_to=record.vintage_to,
        facility_id=record.facility_id,
        zone=record.zone,
        serials=() if record.serial_no is None else (record.serial_no,),
        serial_range=record.serials,
        retired_on=record.retired_on if record.retirement != "none" else None,
        stated=Statements(
            conveys_emission_rate=record.conveys_emission_rate,
            is_only_claim=record.is_only_claim,
            is_tracked_and_retired=record.is_tracked_and_retired,
            has_close_vintage=record.has_close_vintage,
            is_of_same_market=record.is_of_same_market,
            is_net_of_sold_certificates=record.is_net_of_sold_certificates,
            passes_all_claims=record.passes_all_claims,
            has_residual_mix_or_discloses=record.has_residual_mix_or_discloses,
        ),
    )
