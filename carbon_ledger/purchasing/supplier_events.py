"""The typed event of what a supplier declares about its emissions.

Belongs here: its fields, their checks, its natural key, inputs that fill a missing upstream. Does
not: what it means for our figures (carbon_ledger.purchasing.declarations), footprint documents
(carbon_ledger.purchasing.pact), Avro bytes (pipeline.serialization).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Final

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.event_fields import (
    YEAR_SECONDS,
    ActivityEvent,
    Check,
    EventType,
    amount,
    choice,
    country,
    flag,
    identifier,
    moment,
    optional,
    revision_number,
    seconds,
    several,
    share,
    shown,
    signed_amount,
    text,
)
from carbon_ledger.purchasing.purchase_events import currency_code
from carbon_ledger.quantities import canonical_text
from carbon_ledger.units import canonical_unit

PRODUCT_FOOTPRINT: Final = "product_footprint"
ALLOCATED_TOTAL: Final = "allocated_total"
CORPORATE_TOTAL: Final = "corporate_total"
KINDS: Final = (PRODUCT_FOOTPRINT, ALLOCATED_TOTAL, CORPORATE_TOTAL)
# What a site reports of its production is an event of its own: carbon_ledger.purchasing.
# production_events.
SITE_PRODUCTION: Final = "site_production"
CRADLE_TO_GATE: Final = "cradle_to_gate"
BOUNDARIES: Final = (CRADLE_TO_GATE, "gate_to_gate", "cradle_to_grave")
ALLOCATION_METHODS: Final = ("mass", "volume", "energy", "economic")
# `verified`: by a third party, the level of its opinion not said (footprints of version 3).
ASSURANCES: Final = ("none", "limited", "reasonable", "verified")
GWP_SETS: Final = ("SAR", "AR4", "AR5", "AR6")
ACTIVE: Final = "Active"
DEPRECATED: Final = "Deprecated"
DQR_SCALES: Final = (3, 5)
INPUT_FAMILIES: Final = ("material", "waste", "transport", "fuel", "spend")
INPUT_TEXT_MAX: Final = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class UpstreamInput:
    """Something a supplier used: an amount and the factor of it, by its published selectors.

    `unit` is a currency for family `spend`.
    """

    family: str
    selectors: tuple[tuple[str, str], ...]
    quantity: Decimal
    unit: str

    def written(self) -> str:
        """The one spelling of it as text, which `read_input` reads."""
        content = {
            "family": self.family,
            "quantity": canonical_text(self.quantity),
            "selectors": dict(self.selectors),
            "unit": self.unit,
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def read_input(field_name: str, value: object) -> UpstreamInput:
    """An input from its JSON text; codes `invalid_input`, and those of its parts."""
    try:
        if isinstance(value, str) and len(value) <= INPUT_TEXT_MAX:
            found = json.loads(value, parse_float=Decimal)
        else:
            found = value
    except (json.JSONDecodeError, RecursionError):
        found = None
    if (
        not isinstance(found, Mapping)
        or set(found) != {"family", "selectors", "quantity", "unit"}
        or not isinstance(found["selectors"], Mapping)
    ):
        raise RejectedRecord(
            "invalid_input",
            f"{field_name}: {shown(value)} is no input",
            field=field_name,
            value=value,
            valid="a JSON object of family, selectors (column to published text), quantity, unit",
        )
    family = str(choice(*INPUT_FAMILIES, code="invalid_input")(field_name, found["family"]))
    selectors = tuple(
        sorted(
            (text(field_name, column), text(field_name, published))
            for column, published in found["selectors"].items()
        )
    )
    unit = found["unit"]
    return UpstreamInput(
        family=family,
        selectors=selectors,
        quantity=amount(field_name, found["quantity"]),
        unit=currency_code(field_name, unit)
        if family == "spend"
        else canonical_unit(unit, field=field_name),
    )


def input_text(field_name: str, value: object) -> str:
    """An upstream input as it is written; codes of `read_input`."""
    return read_input(field_name, value).written()


def percentage(field_name: str, value: object) -> Decimal:
    """Percent from 0 to 100; code `out_of_range` above, else as for `amount`."""
    number = amount(field_name, value)
    if number > 100:
        raise RejectedRecord(
            "out_of_range",
            f"{field_name}: {shown(value)} % is more than the whole",
            field=field_name,
            value=value,
            valid="0 to 100",
        )
    return number


def above_zero(check: Check) -> Check:
    """As `check`, and the number is not 0; code `not_positive`."""

    def checked(field_name: str, value: object) -> object:
        number = check(field_name, value)
        if number:
            return number
        raise RejectedRecord(
            "not_positive",
            f"{field_name}: {shown(value)} is not above zero",
            field=field_name,
            value=value,
            valid="a number above zero",
        )

    return checked


def _zero_or_below(field_name: str, value: object) -> Decimal:
    number = signed_amount(field_name, value)
    if number > 0:
        raise RejectedRecord(
            "removal_above_zero",
            f"{field_name}: {shown(value)} takes nothing out",
            field=field_name,
            value=value,
            valid="0 or below",
        )
    return number


def _scale(field_name: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value in DQR_SCALES:
        return value
    raise RejectedRecord(
        "unknown_dqr_scale",
        f"{field_name}: {shown(value)} is no scale of ratings",
        field=field_name,
        value=value,
        valid="3 (footprints of version 2) or 5 (version 3)",
    )


_PER_UNIT: Final = (
    "fossil_kgco2e_per_unit",
    "land_use_kgco2e_per_unit",
    "biogenic_non_co2_kgco2e_per_unit",
    "biogenic_co2_kg_per_unit",
    "outbound_logistics_kgco2e_per_unit",
)
_SIGNED_PER_UNIT: Final = ("kgco2e_per_unit", "including_kgco2e_per_unit")
_REMOVED_PER_UNIT: Final = ("uptake_kgco2e_per_unit", "removals_kgco2e_per_unit")
_TOTALS: Final = (
    "scope1_kgco2e",
    "scope2_location_kgco2e",
    "scope2_market_kgco2e",
    "upstream_kgco2e",
)
RATINGS: Final = (
    "technological_dqr",
    "temporal_dqr",
    "geographical_dqr",
    "completeness_dqr",
    "reliability_dqr",
)
_MOMENTS: Final = ("created", "reference_from", "reference_to", "valid_from", "valid_to")


@dataclass(frozen=True, kw_only=True, slots=True)
class SupplierDeclarationEvent(ActivityEvent):
    """What a supplier declares for `[timestamp, timestamp + interval_seconds)`.

    A product footprint is in kgCO2e per `declared_amount` (null: 1) of `unit`, and `quantity` is
    the amount bought in that time. An allocated total is ours already; a corporate total is the
    supplier's, of which `allocation_part` / `allocation_whole` (or `allocation_share`) is ours.
    """

    declaration_id: str
    supplier_id: str
    entity_id: str
    kind: str
    product_id: str | None = None
    purchase_order_lines: tuple[str, ...] = ()
    quantity: Decimal | None = None
    unit: str | None = None
    kgco2e_per_unit: Decimal | None = None
    fossil_kgco2e_per_unit: Decimal | None = None
    land_use_kgco2e_per_unit: Decimal | None = None
    biogenic_non_co2_kgco2e_per_unit: Decimal | None = None
    scope1_kgco2e: Decimal | None = None
    scope2_location_kgco2e: Decimal | None = None
    scope2_market_kgco2e: Decimal | None = None
    upstream_kgco2e: Decimal | None = None
    allocation_method: str | None = None
    allocation_share: Decimal | None = None
    boundary: str
    gwp_set: str
    primary_data_share_pct: Decimal | None = None
    assurance: str | None = None
    timestamp: datetime
    interval_seconds: int = 0
    revision: int = 0
    footprint_id: str | None = None
    footprint_spec: str | None = None
    footprint_status: str | None = None
    preceding_ids: tuple[str, ...] = ()
    created: datetime | None = None
    reference_from: datetime | None = None
    reference_to: datetime | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    declared_amount: Decimal | None = None
    quantity_unit: str | None = None
    product_mass_kg: Decimal | None = None
    including_kgco2e_per_unit: Decimal | None = None
    uptake_kgco2e_per_unit: Decimal | None = None
    removals_kgco2e_per_unit: Decimal | None = None
    biogenic_co2_kg_per_unit: Decimal | None = None
    outbound_logistics_kgco2e_per_unit: Decimal | None = None
    exempted_emissions_pct: Decimal | None = None
    geography_country_iso2: str | None = None
    dqr_scale: int | None = None
    technological_dqr: Decimal | None = None
    temporal_dqr: Decimal | None = None
    geographical_dqr: Decimal | None = None
    completeness_dqr: Decimal | None = None
    reliability_dqr: Decimal | None = None
    coverage_share: Decimal | None = None
    allocation_part: Decimal | None = None
    allocation_whole: Decimal | None = None
    allocation_unit: str | None = None
    upstream_inputs: tuple[str, ...] = ()
    is_capital: bool = False
    remarks: tuple[str, ...] = ()
    problem: RejectedRecord | None = field(init=False, repr=False, compare=False, default=None)

    TYPE: ClassVar[EventType] = EventType(
        stream="supplier",
        checks={
            "declaration_id": identifier,
            "supplier_id": identifier,
            "entity_id": identifier,
            "kind": choice(*KINDS, code="unknown_declaration_kind"),
            "product_id": optional(text),
            "purchase_order_lines": several(identifier),
            "quantity": optional(amount),
            "unit": optional(lambda name, value: canonical_unit(value, field=name)),
            **dict.fromkeys(_PER_UNIT, optional(amount)),
            **dict.fromkeys(_SIGNED_PER_UNIT, optional(signed_amount)),
            **dict.fromkeys(_REMOVED_PER_UNIT, optional(_zero_or_below)),
            **dict.fromkeys(_TOTALS, optional(signed_amount)),
            "allocation_method": optional(
                choice(*ALLOCATION_METHODS, code="unknown_allocation_method")
            ),
            "allocation_share": optional(share),
            "boundary": choice(*BOUNDARIES, code="unknown_boundary"),
            "gwp_set": choice(*GWP_SETS, code="unknown_gwp_set"),
            "primary_data_share_pct": optional(percentage),
            "assurance": optional(choice(*ASSURANCES, code="unknown_assurance")),
            "timestamp": moment,
            "interval_seconds": seconds(YEAR_SECONDS),
            "revision": revision_number,
            "footprint_id": optional(identifier),
            "footprint_spec": optional(identifier),
            "footprint_status": optional(choice(ACTIVE, DEPRECATED, code="unknown_status")),
            "preceding_ids": several(identifier),
            **dict.fromkeys(_MOMENTS, optional(moment)),
            "declared_amount": optional(above_zero(amount)),
            "quantity_unit": optional(lambda name, value: canonical_unit(value, field=name)),
            "product_mass_kg": optional(above_zero(amount)),
            "exempted_emissions_pct": optional(percentage),
            "geography_country_iso2": optional(country),
            "dqr_scale": optional(_scale),
            **dict.fromkeys(RATINGS, optional(above_zero(amount))),
            "coverage_share": optional(share),
            "allocation_part": optional(amount),
            "allocation_whole": optional(above_zero(amount)),
            "allocation_unit": optional(text),
            "upstream_inputs": several(input_text),
            "is_capital": flag,
            "remarks": several(identifier),
        },
    )

    @property
    def activity_ref(self) -> str:
        """Natural key: the supplier and its declaration."""
        return f"supplier:{self.supplier_id}@{self.declaration_id}"

    @property
    def inputs(self) -> tuple[UpstreamInput, ...]:
        """The inputs that fill a missing upstream."""
        return tuple(read_input("upstream_inputs", one) for one in self.upstream_inputs)

    def judge(self) -> None:
        """Raises RejectedRecord if fields contradict each other.

        Codes: `rating_above_scale`, `allocation_key_incomplete`, `share_out_of_range`,
        `period_backwards`, `succeeds_itself`.
        """
        _check_ratings(self)
        _check_key(self)
        for first, last in (("reference_from", "reference_to"), ("valid_from", "valid_to")):
            start, end = getattr(self, first), getattr(self, last)
            if start is not None and end is not None and end < start:
                raise RejectedRecord(
                    "period_backwards",
                    f"{last} {end.isoformat()} is before {first} {start.isoformat()}",
                    field=last,
                    value=end,
                    valid=f"{start.isoformat()} or later",
                )
        if self.footprint_id is not None and self.footprint_id in self.preceding_ids:
            raise RejectedRecord(
                "succeeds_itself",
                f"footprint {self.footprint_id} replaces itself",
                field="preceding_ids",
                value=self.footprint_id,
                valid="the ids of earlier footprints: any change makes a new id",
            )


def _check_ratings(event: SupplierDeclarationEvent) -> None:
    for name in RATINGS:
        rating: Decimal | None = getattr(event, name)
        if rating is None:
            continue
        if event.dqr_scale is None or not 1 <= rating <= event.dqr_scale:
            raise RejectedRecord(
                "rating_above_scale",
                f"{name}: {canonical_text(rating)} is outside its scale {event.dqr_scale}",
                field=name,
                value=rating,
                valid="1 (best) to dqr_scale, which is 3 or 5",
            )


def _check_key(event: SupplierDeclarationEvent) -> None:
    key = (event.allocation_part, event.allocation_whole, event.allocation_unit)
    if any(one is None for one in key) and any(one is not None for one in key):
        raise RejectedRecord(
            "allocation_key_incomplete",
            "an allocation key is a part, a whole and their unit",
            field="allocation_part",
            valid="allocation_part, allocation_whole and allocation_unit, or none of them",
        )
    part, whole_ = event.allocation_part, event.allocation_whole
    if part is not None and whole_ is not None and part > whole_:
        raise RejectedRecord(
            "share_out_of_range",
            f"our part {canonical_text(part)} is more than the whole {canonical_text(whole_)}",
            field="allocation_part",
            value=part,
            valid=f"0 to {canonical_text(whole_)}",
        )
