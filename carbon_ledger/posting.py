"""From an accepted event to the lines it posts: the one place that decides what an event means.

Belongs here: the lines of each kind of event, as pure functions of the event, the sites and the
factors. Does not: whether the event is acceptable (carbon_ledger.events), the arithmetic
(carbon_ledger.calculate), the database. Spark's column-wise lane must agree with this module to the
last digit; the tests compare them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from carbon_ledger.calculate import location_based, posted_product
from carbon_ledger.entries import EntryRow, entry_id, sealed
from carbon_ledger.events import IoTEnergyEvent
from carbon_ledger.factors import FactorBook, FactorMatch, FactorQuery
from carbon_ledger.reference import Site, zone_of

UNREGISTERED = "unregistered_facility"
OTHER_COUNTRY = "country_differs_from_site"
VINTAGE_GAP = "vintage_gap"
DEFAULT_TIME_ZONE = "UTC"
GRAMS_PER_KILOGRAM_EXPONENT = 3


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What the lines of a batch are computed with; the same for every record of the batch."""

    book: FactorBook
    sites: Mapping[str, Site]
    default_organization: str
    max_vintage_gap_years: int
    code_version: str


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where one record came from, and when it became known (aware UTC)."""

    topic: str
    topic_incarnation: int
    kafka_partition: int
    kafka_offset: int
    batch_id: int
    recorded_at: datetime
    payload_sha256: bytes
    schema_sha256: bytes


@dataclass(frozen=True, kw_only=True)
class Place:
    """Whose facility it is, in which calendar and grid, and what is remarkable about that."""

    organization_id: str
    time_zone: str
    region: str | None
    flags: tuple[str, ...]


def place_of(facility_id: str, country_iso2: str, region: str | None, rules: Rules) -> Place:
    """The registered site of a facility, or the default organization's, flagged, on the UTC
    calendar.
    """
    site = rules.sites.get(facility_id)
    if site is None:
        return Place(
            organization_id=rules.default_organization,
            time_zone=DEFAULT_TIME_ZONE,
            region=region,
            flags=(UNREGISTERED,),
        )
    if site.country_iso2 != country_iso2:
        return Place(
            organization_id=site.organization_id,
            time_zone=site.time_zone,
            region=region,
            flags=(OTHER_COUNTRY,),
        )
    return Place(
        organization_id=site.organization_id,
        time_zone=site.time_zone,
        region=region or site.region,
        flags=(),
    )


def match_reading(
    energy_source: str, country_iso2: str, region: str | None, local_date: date, rules: Rules
) -> FactorMatch:
    """The factor of a meter reading. Raises RejectedRecord where none may be used."""
    return rules.book.match(
        FactorQuery(
            energy_source=energy_source,
            country_iso2=country_iso2,
            region=region,
            activity_date=local_date,
        ),
        max_vintage_gap_years=rules.max_vintage_gap_years,
    )


def flags_text(place: Place, match: FactorMatch) -> str:
    """All remarks on a line, sorted, separated by commas."""
    gap = (VINTAGE_GAP,) if match.vintage_gap_years else ()
    return ",".join(sorted({*place.flags, *match.flags, *gap}))


def claim_key(activity_ref: str, scope: int, category: int | None, basis: str) -> str:
    """What may be claimed once: one activity under one scope, category and basis."""
    return f"{activity_ref}|scope-{scope}|{'-' if category is None else category}|{basis}"


def lines_of_reading(event: IoTEnergyEvent, origin: Origin, rules: Rules) -> tuple[EntryRow, ...]:
    """The lines of a meter reading: one, scope 2, location-based (GHG Protocol Scope 2 Guidance,
    ch. 6).

    The line falls on the site's local date at the start of the interval. Figures in kgCO2e,
    quantity in kWh as sent. Raises RejectedRecord where no factor may be used.
    """
    place = place_of(event.facility_id, event.country_iso2, event.region, rules)
    local_date = event.occurred_from.astimezone(zone_of(place.time_zone)).date()
    match = match_reading(event.energy_source, event.country_iso2, place.region, local_date, rules)
    emission = location_based(event.energy_kwh, match)
    intensity = event.grid_carbon_intensity_gco2_kwh
    granular = None
    if intensity is not None:
        granular = posted_product(
            event.energy_kwh,
            intensity.scaleb(-GRAMS_PER_KILOGRAM_EXPONENT),
            field="grid_carbon_intensity_gco2_kwh",
        )
    row = EntryRow(
        organization_id=place.organization_id,
        entry_id=entry_id(event.event_id, 1, event.occurred_to),
        event_id=event.event_id,
        line_no=1,
        activity_ref=event.activity_ref,
        claim_key=claim_key(event.activity_ref, 2, None, "location"),
        stream="iot_energy",
        activity_month=local_date.replace(day=1),
        local_date=local_date,
        occurred_from=event.occurred_from,
        occurred_to=event.occurred_to,
        recorded_at=origin.recorded_at,
        scope=2,
        category=None,
        basis="location",
        facility_id=event.facility_id,
        source_ref=event.sensor_id,
        country_iso2=event.country_iso2,
        region=place.region,
        activity_type=f"electricity:{event.energy_source}",
        quantity=event.energy_kwh,
        unit="kWh",
        kgco2e=emission.kgco2e,
        gas_split=emission.gas_split,
        kg_co2_fossil=emission.kg_co2,
        kg_co2_biogenic=None,
        kg_ch4=emission.kg_ch4,
        kg_n2o=emission.kg_n2o,
        other_gases=None,
        gwp_set=match.factor.gwp_set,
        kgco2e_granular=granular,
        factor_id=emission.factor_id,
        factor_version=emission.factor_version,
        factor_release=match.release_id,
        factor_match=match.how_matched,
        vintage_gap_years=match.vintage_gap_years,
        flags=flags_text(place, match),
        formula_id=emission.formula_id,
        payload_sha256=origin.payload_sha256,
        schema_sha256=origin.schema_sha256,
        code_version=rules.code_version,
        batch_id=origin.batch_id,
        topic=origin.topic,
        topic_incarnation=origin.topic_incarnation,
        kafka_partition=origin.kafka_partition,
        kafka_offset=origin.kafka_offset,
    )
    return (sealed(row),)


def window_series(row: EntryRow) -> tuple[str, ...]:
    """What the windows of a line are kept by: organization, facility, country, scope, basis, …"""
    return (
        row.organization_id,
        row.facility_id,
        row.country_iso2,
        str(row.scope),
        row.basis,
        row.activity_type,
        row.unit,
    )
