"""The typed event of what a supplier's own production site reports of a period.

Belongs here: its fields, their checks, its natural key, what it is as a declaration. Does not: its
figures (carbon_ledger.purchasing.production), Avro bytes (pipeline.serialization).

The record is that of schemas/supplier.avsc with fields after it (schemas/supplier_production.avsc),
so reports and declarations are one topic, and share the natural key: a report may take the place
of a declaration, and the other way round, as its next revision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Final

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.event_fields import (
    YEAR_SECONDS,
    ActivityEvent,
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
    text,
)
from carbon_ledger.purchasing.supplier_events import (
    ALLOCATION_METHODS,
    ASSURANCES,
    BOUNDARIES,
    CORPORATE_TOTAL,
    GWP_SETS,
    SITE_PRODUCTION,
    SupplierDeclarationEvent,
    UpstreamInput,
    above_zero,
    input_text,
    percentage,
    read_input,
)
from carbon_ledger.quantities import canonical_text
from carbon_ledger.units import canonical_unit, dimension_of

FUEL: Final = "fuel"
_FIGURES: Final = (
    "scope1_kgco2e",
    "scope2_location_kgco2e",
    "scope2_market_kgco2e",
    "upstream_kgco2e",
    "electricity_kwh",
    "allocated_kgco2e",
)


def _fuel(field_name: str, value: object) -> str:
    found = read_input(field_name, value)
    if found.family == FUEL:
        return found.written()
    raise RejectedRecord(
        "not_a_fuel",
        f"{field_name}: {found.family} is not burnt",
        field=field_name,
        value=found.family,
        valid=f"inputs of family {FUEL}; others are upstream_inputs",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class SupplierProductionEvent(ActivityEvent):
    """What one site made, used and emitted in `[timestamp, timestamp + interval_seconds)`.

    Of `produced_quantity` of the product, `quantity` was made for us, both in `unit`. Figures in
    kgCO2e, `electricity_kwh` and `fuels` are of all that was made: what is ours of them is
    `quantity` / `produced_quantity`. A site that makes several products reports each by itself.
    `allocated_kgco2e` is the supplier's own figure of our part.
    """

    declaration_id: str
    supplier_id: str
    entity_id: str
    kind: str = SITE_PRODUCTION
    product_id: str | None = None
    purchase_order_lines: tuple[str, ...] = ()
    quantity: Decimal | None = None
    unit: str | None = None
    scope1_kgco2e: Decimal | None = None
    scope2_location_kgco2e: Decimal | None = None
    scope2_market_kgco2e: Decimal | None = None
    upstream_kgco2e: Decimal | None = None
    boundary: str
    gwp_set: str
    primary_data_share_pct: Decimal | None = None
    assurance: str | None = None
    timestamp: datetime
    interval_seconds: int = 0
    revision: int = 0
    geography_country_iso2: str | None = None
    coverage_share: Decimal | None = None
    upstream_inputs: tuple[str, ...] = ()
    is_capital: bool = False
    production_site_id: str | None = None
    produced_quantity: Decimal | None = None
    electricity_kwh: Decimal | None = None
    fuels: tuple[str, ...] = ()
    allocated_kgco2e: Decimal | None = None
    problem: RejectedRecord | None = field(init=False, repr=False, compare=False, default=None)

    TYPE: ClassVar[EventType] = EventType(
        stream="supplier_production",
        checks={
            "declaration_id": identifier,
            "supplier_id": identifier,
            "entity_id": identifier,
            "kind": choice(SITE_PRODUCTION, code="unknown_declaration_kind"),
            "product_id": optional(text),
            "purchase_order_lines": several(identifier),
            "quantity": optional(amount),
            "unit": optional(lambda name, value: canonical_unit(value, field=name)),
            **dict.fromkeys(_FIGURES, optional(amount)),
            "boundary": choice(*BOUNDARIES, code="unknown_boundary"),
            "gwp_set": choice(*GWP_SETS, code="unknown_gwp_set"),
            "primary_data_share_pct": optional(percentage),
            "assurance": optional(choice(*ASSURANCES, code="unknown_assurance")),
            "timestamp": moment,
            "interval_seconds": seconds(YEAR_SECONDS),
            "revision": revision_number,
            "geography_country_iso2": optional(country),
            "coverage_share": optional(share),
            "upstream_inputs": several(input_text),
            "is_capital": flag,
            "production_site_id": optional(identifier),
            "produced_quantity": optional(above_zero(amount)),
            "fuels": several(_fuel),
        },
    )

    @property
    def activity_ref(self) -> str:
        """Natural key, as of a declaration: the supplier and its report."""
        return f"supplier:{self.supplier_id}@{self.declaration_id}"

    @property
    def fuel_inputs(self) -> tuple[UpstreamInput, ...]:
        """The fuels that were burnt."""
        return tuple(read_input("fuels", one) for one in self.fuels)

    def judge(self) -> None:
        """Raises RejectedRecord if something is missing, or fields contradict each other.

        Codes: `production_site_missing`, `product_missing`, `quantity_missing`, `unit_missing`,
        `produced_quantity_missing`, `period_missing`, `share_out_of_range`.
        """
        needed = (
            ("production_site_id", "production_site", "the site that made the product"),
            ("product_id", "product", "the product that was made"),
            ("quantity", "quantity", "what of it was made for us"),
            ("unit", "unit", "the unit of both quantities"),
            ("produced_quantity", "produced_quantity", "all that the site made of it"),
            ("interval_seconds", "period", "the length of the period in s, above 0"),
        )
        for name, what, valid in needed:
            value = getattr(self, name)
            if value is None or (name == "interval_seconds" and not value):
                raise RejectedRecord(
                    f"{what}_missing",
                    f"report {self.declaration_id} does not state its {what.replace('_', ' ')}",
                    field=name,
                    valid=valid,
                )
        ours, made = self.quantity or Decimal(0), self.produced_quantity or Decimal(0)
        if ours > made:
            raise RejectedRecord(
                "share_out_of_range",
                f"quantity: {canonical_text(ours)} for us is more than the {canonical_text(made)} "
                "that were made",
                field="quantity",
                value=ours,
                valid=f"0 to {canonical_text(made)}",
            )

    def as_declaration(self) -> SupplierDeclarationEvent:
        """The report as a corporate total whose key is the quantity made: what is asked of any
        declaration (whether it may be used, how good it is, what it covers) is asked of this.
        """
        method = None if self.unit is None else dimension_of(self.unit)
        same: dict[str, Any] = {name: getattr(self, name) for name in SHARED}
        return SupplierDeclarationEvent(
            **same,
            kind=CORPORATE_TOTAL,
            allocation_method=method if method in ALLOCATION_METHODS else None,
            allocation_part=self.quantity,
            allocation_whole=self.produced_quantity,
            allocation_unit=self.unit,
        )


# Fields that say the same in a report and in a declaration. A declaration's `quantity` in `unit` is
# what was bought; a report's is its key.
SHARED: Final = tuple(
    name
    for name in (one.name for one in fields(SupplierProductionEvent) if one.init)
    if name in {one.name for one in fields(SupplierDeclarationEvent)} - {"kind", "quantity", "unit"}
)

# What a supplier may say: of one record, the one or the other by its kind.
SupplierEvent = SupplierDeclarationEvent | SupplierProductionEvent


def supplier_event(fields: Mapping[str, object], now: datetime) -> SupplierEvent:
    """The event of named values, a report where its kind is `site_production`; raises what
    `from_fields` raises.
    """
    if fields.get("kind") == SITE_PRODUCTION:
        return SupplierProductionEvent.from_fields(fields, now)
    return SupplierDeclarationEvent.from_fields(fields, now)
