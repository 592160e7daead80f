"""From an accepted event to the lines it posts: the one place that decides what an event means.

Belongs here: the ledger rows of each kind of event, as pure functions of the event and the rules.
Does not: whether the event is acceptable (the event modules), its figures (the calculators), the
database. Spark's column-wise lane must agree with this module to the last digit; the tests compare
them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from carbon_ledger.calculate import location_based, posted_product
from carbon_ledger.calculation import EVENT_KINDS
from carbon_ledger.data_quality import of_match
from carbon_ledger.energy.meter_events import MeterReadingEvent
from carbon_ledger.energy.meter_places import check_location_factor, check_substitute
from carbon_ledger.energy.meters import MEASURED, PUBLISHED, PURCHASED
from carbon_ledger.energy.period_postings import PeriodLine
from carbon_ledger.entries import EntryRow, entry_id, sealed
from carbon_ledger.event_fields import ActivityEvent
from carbon_ledger.events import IoTEnergyEvent
from carbon_ledger.factor_book.book import FactorMatch, FactorQuery
from carbon_ledger.factor_book.use import Weighed, weigh
from carbon_ledger.greenhouse import CO2, CO2_BIOGENIC, METHANES, N2O, Gases
from carbon_ledger.lines import CANCELLED, EmissionLine
from carbon_ledger.places import Place, Rules, located
from carbon_ledger.quantities import canonical_text

GRAMS_PER_KILOGRAM_EXPONENT = 3
# Of lines that no factor of the book made: the event itself states the figure, or there is none.
STATED_FACTOR: Final = "stated"
NO_FACILITY: Final = "unassigned"
NO_COUNTRY: Final = "ZZ"
# The stream of what is posted per period, and the hash of what its payloads are called.
PERIOD_STREAM: Final = "period_postings"
PERIOD_SCHEMA: Final = "carbon-period-basis/1"
PERIOD_SCHEMA_SHA256: Final = hashlib.sha256(PERIOD_SCHEMA.encode()).digest()


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
class ReadingFactor:
    """The factor of a meter reading, its CO2e in the inventory's set of potentials, its scores."""

    match: FactorMatch
    weighed: Weighed
    scores: str


# How good every plain reading is, but for its factor: what carbon_ledger.energy.meters says of one.
READING_METHOD: Final = "measured"
READING_RULE: Final = PURCHASED.rule
READING_RANK: Final = 0
READING_PRIMARY_SHARE: Final = Decimal(1)
READING_SCORES: Final = MEASURED.text


def match_reading(
    energy_source: str, country_iso2: str, region: str | None, local_date: date, rules: Rules
) -> ReadingFactor:
    """The factor of a meter reading. Raises RejectedRecord where none may be used."""
    match = rules.book.match(
        FactorQuery(
            energy_source=energy_source,
            country_iso2=country_iso2,
            region=region,
            activity_date=local_date,
        ),
        max_vintage_gap_years=rules.policy.max_vintage_gap_years,
    )
    check_location_factor(match)
    check_substitute(match, rules.policy)
    return ReadingFactor(
        match=match,
        weighed=weigh(match.factor, rules.book.gwp, rules.policy.gwp_set),
        scores=of_match(PUBLISHED, match).text,
    )


def flags_text(place: Place, factor: ReadingFactor) -> str:
    """All remarks on a line, sorted, separated by commas."""
    return ",".join(sorted({*place.flags, *factor.match.flags, *factor.weighed.flags}))


def claim_key(activity_ref: str, scope: int, category: int | None, basis: str) -> str:
    """What may be claimed once: one activity under one scope, category and basis."""
    return f"{activity_ref}|scope-{scope}|{'-' if category is None else category}|{basis}"


def lines_of_reading(event: IoTEnergyEvent, origin: Origin, rules: Rules) -> tuple[EntryRow, ...]:
    """The lines of a meter reading: one, scope 2, location-based (GHG Protocol Scope 2 Guidance,
    ch. 6).

    The line falls on the site's local date at the start of the interval. Figures in kgCO2e,
    quantity in kWh as sent. Raises RejectedRecord where no factor may be used.
    """
    where = located(
        event.facility_id,
        event.country_iso2,
        event.region,
        event.occurred_from,
        rules.register,
        rules.default_organization,
    )
    place, local_date = where.place, where.local_date
    factor = match_reading(event.energy_source, event.country_iso2, place.region, local_date, rules)
    match = factor.match
    emission = location_based(event.energy_kwh, match, factor.weighed)
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
        gwp_set=factor.weighed.gwp_set,
        kgco2e_granular=_granular(event),
        factor_id=emission.factor_id,
        factor_version=emission.factor_version,
        factor_release=match.release_id,
        factor_match=match.how_matched,
        vintage_gap_years=match.vintage_gap_years,
        flags=flags_text(place, factor),
        formula_id=emission.formula_id,
        method=READING_METHOD,
        rule_id=READING_RULE,
        supersession_rank=READING_RANK,
        primary_share=READING_PRIMARY_SHARE,
        activity_scores=READING_SCORES,
        factor_scores=factor.scores,
        code_version=rules.code_version,
        **vars(origin),
    )
    return (sealed(row),)


def rows_of_event(
    stream: str, event: ActivityEvent, origin: Origin, rules: Rules
) -> tuple[EntryRow, ...]:
    """The ledger rows of an event of any stream: one per line of its calculator, in its order.

    A line falls on the local date of the event's facility (UTC where there is none), and belongs to
    the facility's organization, or that of the entity the event names. Raises RejectedRecord as the
    stream's calculator does.
    """
    lines = EVENT_KINDS[stream].lines(event, rules.inventory(origin.recorded_at))
    return tuple(
        sealed(_row(stream, event, line, number, origin, rules))
        for number, line in enumerate(lines, start=1)
    )


def is_cancellation(rows: Sequence[EntryRow]) -> bool:
    """Whether the rows of an event say that its activity was cancelled: nothing of it may stand."""
    return any(CANCELLED in row.flags.split(",") for row in rows)


def _row(
    stream: str, event: ActivityEvent, line: EmissionLine, number: int, origin: Origin, rules: Rules
) -> EntryRow:
    one = line.assignment
    begin, end = line.occurred_from or event.occurred_from, line.occurred_to or event.occurred_to
    facility = getattr(event, "facility_id", None)
    country = _country(event, begin.date(), rules)
    where = located(
        facility or NO_FACILITY,
        country,
        getattr(event, "region", None),
        begin,
        rules.register,
        _organization(event, begin.date(), rules),
    )
    match = line.factor
    place_flags = where.place.flags if facility else ()
    return EntryRow(
        organization_id=where.place.organization_id,
        entry_id=entry_id(event.event_id, number, end),
        event_id=event.event_id,
        line_no=number,
        activity_ref=event.activity_ref,
        claim_key=claim_key(event.activity_ref, one.scope, one.category, line.basis),
        stream=stream,
        activity_month=where.local_date.replace(day=1),
        local_date=where.local_date,
        occurred_from=begin,
        occurred_to=end,
        basis=line.basis,
        facility_id=facility or NO_FACILITY,
        source_ref=_source_ref(event),
        country_iso2=country,
        region=where.place.region,
        kgco2e_granular=_granular(event),
        factor_id=f"{STATED_FACTOR}:{event.activity_ref}"
        if match is None
        else match.factor.factor_id,
        factor_version=event.revision + 1 if match is None else match.factor.version,
        factor_release=rules.book.release_id,
        factor_match=STATED_FACTOR if match is None else match.how_matched,
        flags=",".join(sorted({*line.flags, *place_flags})),
        **_columns_of(line),
        subject_ref=getattr(event, "subject_ref", None),
        code_version=rules.code_version,
        **vars(origin),
    )


def _columns_of(line: EmissionLine) -> dict[str, Any]:
    """The columns that a line alone decides."""
    gases, match = line.gases, line.factor
    return {
        "scope": line.assignment.scope,
        "category": line.assignment.category,
        "activity_type": line.activity_type,
        "quantity": line.quantity,
        "unit": line.unit,
        "kgco2e": line.kgco2e,
        "gas_split": line.gas_split,
        "kg_co2_fossil": gases.get(CO2),
        "kg_co2_biogenic": gases.get(CO2_BIOGENIC),
        "kg_ch4": _methane(gases),
        "kg_n2o": gases.get(N2O),
        "other_gases": _other_gases(gases),
        "gwp_set": line.gwp_set,
        "vintage_gap_years": None if match is None else match.vintage_gap_years,
        "formula_id": line.working.formula.formula_id,
        "method": line.method,
        "rule_id": line.assignment.rule,
        "supersession_rank": line.rank,
        "primary_share": line.primary_share,
        "activity_scores": None if line.activity_scores is None else line.activity_scores.text,
        "factor_scores": None if line.factor_scores is None else line.factor_scores.text,
    }


def row_of_period(
    one: PeriodLine, *, event_id: str, recorded_at: datetime, release_id: str, code_version: str
) -> EntryRow:
    """The entry of a period's line, not sealed yet. Its payload is the text of what it was computed
    from; `release_id` is the release of the book that was used.
    """
    line, match = one.line, one.line.factor
    begin = line.occurred_from or recorded_at
    end = line.occurred_to or recorded_at
    return EntryRow(
        organization_id=one.organization_id,
        entry_id=entry_id(event_id, one.line_no, end),
        event_id=event_id,
        line_no=one.line_no,
        activity_ref=one.activity_ref,
        claim_key=claim_key(
            one.activity_ref, line.assignment.scope, line.assignment.category, line.basis
        ),
        stream=PERIOD_STREAM,
        activity_month=one.local_date.replace(day=1),
        local_date=one.local_date,
        occurred_from=begin,
        occurred_to=end,
        recorded_at=recorded_at,
        basis=line.basis,
        facility_id=one.facility_id,
        source_ref=one.facility_id,
        country_iso2=one.country_iso2,
        region=one.region,
        # Where no factor applies, the rule that says so is the reason of the zero.
        factor_id=f"rule:{line.assignment.rule}" if match is None else match.factor.factor_id,
        factor_version=1 if match is None else match.factor.version,
        factor_release=release_id,
        factor_match="by_rule" if match is None else match.how_matched,
        flags=",".join(line.flags),
        **_columns_of(line),
        payload_sha256=one.basis_sha256,
        schema_sha256=PERIOD_SCHEMA_SHA256,
        code_version=code_version,
    )


# Where the events of a stream say which country they are of, the first that is there.
_COUNTRY_FIELDS: Final = ("country_iso2", "supplier_country_iso2", "geography_country_iso2")
_SOURCE_FIELDS: Final = (
    "sensor_id",
    "vehicle_id",
    "carrier_id",
    "supplier_id",
    "shipment_id",
    "template",
)


def _first(event: ActivityEvent, names: Sequence[str], otherwise: str) -> str:
    found = (getattr(event, name, None) for name in names)
    return next((str(value) for value in found if value), otherwise)


def _country(event: ActivityEvent, on: date, rules: Rules) -> str:
    """What the event says, else where its supplier is registered at that date, else NO_COUNTRY."""
    supplier_id = getattr(event, "supplier_id", None)
    supplier = None if supplier_id is None else rules.register.supplier(supplier_id, on)
    registered = NO_COUNTRY if supplier is None else supplier.country_iso2
    return _first(event, _COUNTRY_FIELDS, registered)


def _source_ref(event: ActivityEvent) -> str:
    return _first(event, _SOURCE_FIELDS, event.activity_ref)


def _organization(event: ActivityEvent, on: date, rules: Rules) -> str:
    entity_id = getattr(event, "entity_id", None)
    entity = None if entity_id is None else rules.register.entity(entity_id, on)
    return rules.default_organization if entity is None else entity.organization_id


def _methane(gases: Gases) -> Decimal | None:
    """kg of methane of any origin; what origin it is of is in the factor."""
    found = [kg for gas, kg in gases if gas in METHANES]
    return sum(found[1:], found[0]) if found else None


def _other_gases(gases: Gases) -> dict[str, str] | None:
    named = {CO2, CO2_BIOGENIC, N2O, *METHANES}
    return {gas: canonical_text(kg) for gas, kg in gases if gas not in named} or None


def _granular(event: ActivityEvent | IoTEnergyEvent) -> Decimal | None:
    """kgCO2e by the intensity a reading of electricity itself carries."""
    if isinstance(event, MeterReadingEvent):
        is_elsewhere = event.quantity is not None or event.is_register
        if event.meter_kind != "electricity" or is_elsewhere:
            return None
    elif not isinstance(event, IoTEnergyEvent):
        return None
    intensity = event.grid_carbon_intensity_gco2_kwh
    if intensity is None:
        return None
    return posted_product(
        event.energy_kwh,
        intensity.scaleb(-GRAMS_PER_KILOGRAM_EXPONENT),
        field="grid_carbon_intensity_gco2_kwh",
    )


SERIES_COLUMNS: Final = (
    "organization_id",
    "facility_id",
    "country_iso2",
    "scope",
    "category",
    "basis",
    "activity_type",
    "unit",
)


def window_series(row: EntryRow) -> tuple[str | None, ...]:
    """What the windows of a line are kept by: SERIES_COLUMNS, as text."""
    values = (getattr(row, name) for name in SERIES_COLUMNS)
    return tuple(None if value is None else str(value) for value in values)
