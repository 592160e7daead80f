"""The grid intensity an event brings along: when it may be official, and how it compares.

Belongs here: the conditions an outside intensity must meet to be the location-based figure, and its
reconciliation with the factor. Does not: factors of the book (factor_book.book), lines.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal

from carbon_ledger.energy.given_rates import given_rate
from carbon_ledger.factor_book.book import FactorMatch
from carbon_ledger.factor_book.rows import Factor
from carbon_ledger.greenhouse import GwpSet
from carbon_ledger.quantities import PRODUCT
from carbon_ledger.workings import posted_fraction

GRAMS: Final = Decimal(1000)


@dataclass(frozen=True, kw_only=True, slots=True)
class IntensitySource:
    """Who publishes the intensity events carry, and what the figure is.

    `statistic` average or marginal; `boundary` direct_combustion (production only) or anything
    wider; `gas_coverage` CO2e or CO2; `version` None where the provider's version is not kept.
    """

    provider: str
    version: int | None
    statistic: Literal["average", "marginal"]
    boundary: str
    gas_coverage: Literal["CO2e", "CO2"]
    country_iso2: str
    region: str | None = None
    gwp_set: GwpSet = "unstated"
    licence: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """One condition, whether it is met, and why."""

    name: str
    is_met: bool
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance:
    """All conditions, and the match that results if every one is met."""

    conditions: tuple[Condition, ...]
    match: FactorMatch | None


def conditions_of(
    intensity: Decimal | None,
    source: IntensitySource | None,
    *,
    country_iso2: str,
    region: str | None,
) -> tuple[Condition, ...]:
    """Every condition for an event's intensity to be the official location-based figure.

    Average, not marginal; direct emissions of production, nothing upstream; CO2e; the same grid;
    a version that is kept. An intensity whose source is not described meets none.
    """
    if intensity is None or source is None:
        missing = "no intensity" if intensity is None else "no description of its source"
        return (Condition(name="described", is_met=False, reason=f"the event has {missing}"),)
    grid = f"{source.country_iso2}/{source.region or '-'}"
    wanted = f"{country_iso2}/{region or '-'}"
    return (
        Condition(name="described", is_met=True, reason=f"source {source.provider}"),
        Condition(
            name="average",
            is_met=source.statistic == "average",
            reason=f"the figure is {source.statistic}",
        ),
        Condition(
            name="production_only",
            is_met=source.boundary == "direct_combustion",
            reason=f"the boundary is {source.boundary}",
        ),
        Condition(
            name="co2e",
            is_met=source.gas_coverage == "CO2e",
            reason=f"the figure covers {source.gas_coverage}",
        ),
        Condition(
            name="same_grid", is_met=grid == wanted, reason=f"grid {grid}, consumed in {wanted}"
        ),
        Condition(
            name="version_kept",
            is_met=source.version is not None and source.version >= 1,
            reason=f"version {source.version}",
        ),
    )


def accepted_match(
    intensity: Decimal | None,
    source: IntensitySource | None,
    *,
    country_iso2: str,
    region: str | None,
    occurred_from: datetime,
) -> Acceptance:
    """The intensity (gCO2e per kWh) as a matched factor if every condition is met, else None."""
    found = conditions_of(intensity, source, country_iso2=country_iso2, region=region)
    if source is None or intensity is None or not all(one.is_met for one in found):
        return Acceptance(conditions=found, match=None)
    factor = _factor_of(intensity, source, occurred_from.date())
    match = FactorMatch(
        factor=factor,
        release_id=f"event:{source.provider}",
        how_matched=f"{'region' if region else 'country'}/location/interval",
        geography_level="region" if region else "country",
        boundary_level="location",
        vintage_gap_years=0,
        boundary_substitute=False,
        flags=("event_intensity",),
    )
    return Acceptance(conditions=found, match=match)


def _factor_of(intensity: Decimal, source: IntensitySource, day: date) -> Factor:
    return given_rate(
        factor_id=f"event:{source.provider}:{source.region or source.country_iso2}",
        version=source.version or 1,
        publisher=source.provider,
        dataset="grid intensity carried by the event",
        energy_source="grid",
        basis="location",
        boundary=source.boundary,
        kgco2e_per_kwh=PRODUCT.divide(intensity, GRAMS),
        gwp_set=source.gwp_set,
        gas_coverage=source.gas_coverage,
        country_iso2=source.country_iso2,
        region=source.region,
        year=day.year,
        licence=source.licence,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """One reading with both figures: kgCO2e by the factor, and by its own intensity if it has
    one.
    """

    facility_id: str
    energy_kwh: Decimal
    kgco2e_factor: Decimal
    intensity_gco2_kwh: Decimal | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconciled:
    """A site's readings that carry an intensity, under both figures; kgCO2e, posted scale.

    `difference_kgco2e` is events minus factor, over the covered kWh alone; what carries no
    intensity is counted apart.
    """

    facility_id: str
    covered_kwh: Decimal
    uncovered_kwh: Decimal
    kgco2e_factor: Decimal
    kgco2e_event: Decimal
    difference_kgco2e: Decimal


def reconcile(readings: Iterable[Compared]) -> tuple[Reconciled, ...]:
    """By site, in name order: what the events' own intensities would have given beside the
    factor.
    """
    by_site: dict[str, list[Compared]] = {}
    for one in readings:
        by_site.setdefault(one.facility_id, []).append(one)
    return tuple(_reconciled(site, by_site[site]) for site in sorted(by_site))


def _reconciled(facility_id: str, readings: list[Compared]) -> Reconciled:
    covered = [one for one in readings if one.intensity_gco2_kwh is not None]
    by_factor = sum((Fraction(one.kgco2e_factor) for one in covered), Fraction(0))
    by_event = sum(
        (
            Fraction(one.energy_kwh) * Fraction(one.intensity_gco2_kwh or 0) / 1000
            for one in covered
        ),
        Fraction(0),
    )
    kwh = sum((Fraction(one.energy_kwh) for one in covered), Fraction(0))
    rest = sum((Fraction(one.energy_kwh) for one in readings), Fraction(0)) - kwh
    return Reconciled(
        facility_id=facility_id,
        covered_kwh=posted_fraction(kwh),
        uncovered_kwh=posted_fraction(rest),
        kgco2e_factor=posted_fraction(by_factor),
        kgco2e_event=posted_fraction(by_event),
        difference_kgco2e=posted_fraction(by_event - by_factor),
    )
