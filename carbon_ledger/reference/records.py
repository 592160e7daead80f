"""Reference data as the ledger uses it: entities, sites, meters, vehicles, suppliers, amounts.

Belongs here: the records and what makes one valid. Does not: contracts and certificates
(carbon_ledger.reference.instruments), what holds between records (carbon_ledger.reference.checks),
lookup (carbon_ledger.reference.register), where they are kept (carbon_ledger.store) or come from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, ClassVar, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.events import check_region
from carbon_ledger.reference.fields import (
    Amount,
    AnyAmount,
    Country,
    Currency,
    FilledText,
    Identifier,
    OptionalAmount,
    OptionalAnyAmount,
    OptionalCountry,
    OptionalIdentifier,
    OptionalMonth,
    OptionalPositive,
    OptionalText,
    OptionalUnit,
    OptionalYesNo,
    Record,
    Share,
    Text,
    UnitName,
    YesNo,
    one_of,
    optional,
    rejected,
)
from carbon_ledger.reporting.stated import SUBJECTS, coordinates_of
from carbon_ledger.units import dimension_of

ENTITY_KINDS: Final = (
    "parent",
    "subsidiary",
    "associate",
    "joint_venture",
    "joint_operation",
    "unconsolidated",
    "franchise",
)
LEASE_TYPES: Final = ("finance", "operating")
VEHICLE_OWNERSHIPS: Final = (
    "own",
    "leased",
    "carrier",
    "customer_carrier",
    "rental",
    "employee",
)
ENERGIES: Final = ("energy", "energy, gross heating value", "energy, net heating value")
# What a meter of each carrier may count.
CARRIERS: Final = {
    "electricity": ("energy",),
    "solar": ("energy",),
    "gas": (*ENERGIES, "volume", "gas at standard conditions"),
    "heat": ("energy",),
    "steam": ("energy", "mass"),
    "cooling": ("energy",),
}
REVENUE_MEASURES: Final = ("net_revenue", "net_revenue_high_climate_impact")
BUDGET_MEASURES: Final = (
    "total_location",
    "total_market",
    "scope_1",
    "scope_2_location",
    "scope_2_market",
    "scope_3",
    *(f"scope_3_category_{number}" for number in range(1, 16)),
)
SPEND_ROUTES: Final = ("spend", "energy", "fuel", "freight", "travel", "waste")

Lease = Annotated[str | None, optional(one_of(*LEASE_TYPES))]


@cache
def zone_of(name: str) -> ZoneInfo:
    """The zone of an IANA name, read once: ZoneInfo itself remembers no more than eight.

    Raises RejectedRecord `unknown_time_zone`.
    """
    return ZoneInfo(check_time_zone(name))


def check_time_zone(value: object) -> str:
    """`value` if it is an IANA time zone; code `unknown_time_zone`."""
    try:
        if isinstance(value, str):
            ZoneInfo(value)
            return value
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise RejectedRecord(
        "unknown_time_zone",
        f"time_zone: {str(value)[:60]!r} is not a time zone",
        field="time_zone",
        value=value,
        valid="an IANA name such as Europe/Berlin, Asia/Seoul or UTC",
    )


def _time_zone(_: str, value: object) -> str:
    return check_time_zone(value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entity(Record):
    """A legal entity or joint arrangement; `kind` is how the group accounts for it.

    `in_value_chain` says whether an entity outside the boundary is a supplier or customer (ESRS E1
    paragraph 46). `fiscal_year_first_month` is the month in which its fiscal year begins (None:
    January); that of the parent is the organization's (Register.first_month).
    """

    KIND: ClassVar[str] = "entity"
    KEY: ClassVar[tuple[str, ...]] = ("entity_id",)

    entity_id: Identifier
    organization_id: Identifier
    kind: Annotated[str, one_of(*ENTITY_KINDS)]
    name: Text = ""
    country_iso2: OptionalCountry = None
    in_value_chain: YesNo = False
    fiscal_year_first_month: OptionalMonth = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ownership(Record):
    """The stake a parent has in an entity: exact equity share and which control goes with it.

    An entity may have several parents. GHG Protocol Corporate Standard, chapter 3; a share of 0
    with operational control is an entity that is only operated.
    """

    KIND: ClassVar[str] = "ownership"
    KEY: ClassVar[tuple[str, ...]] = ("entity_id", "parent_id")

    entity_id: Identifier
    parent_id: Identifier
    equity_share: Share
    financial_control: YesNo
    operational_control: YesNo

    def own_problems(self) -> Iterator[RejectedRecord]:
        """An entity cannot own itself."""
        if self.entity_id == self.parent_id:
            yield rejected(
                "own_parent", "parent_id", self.parent_id, "an entity cannot own itself", "another"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Site(Record):
    """A facility, whose it is and whose calendar it keeps.

    `time_zone` is an IANA name: a day of the ledger is a day of that calendar. `market` is the
    market whose instruments may be used (None: the country), `zone` the deliverability zone.
    `lease_role` and `lease_type` say that the reporter leases it in (lessee) or out (lessor);
    `area_m2` is the reporter's own, `building_area_m2` the whole building's. Construction raises
    RejectedRecord with the codes of carbon_ledger.events, or `unknown_time_zone`.
    """

    KIND: ClassVar[str] = "site"
    KEY: ClassVar[tuple[str, ...]] = ("facility_id",)

    facility_id: Identifier
    organization_id: Identifier
    country_iso2: Country
    time_zone: Annotated[str, _time_zone]
    region: OptionalText = None
    name: Text = ""
    entity_id: OptionalIdentifier = None
    fiscal_year_first_month: OptionalMonth = None
    market: OptionalIdentifier = None
    zone: OptionalIdentifier = None
    lease_role: Annotated[str | None, optional(one_of("lessee", "lessor"))] = None
    lease_type: Lease = None
    area_m2: OptionalPositive = None
    building_area_m2: OptionalPositive = None

    def own_problems(self) -> Iterator[RejectedRecord]:
        """Region within the country, lease whole, area within the building."""
        try:
            check_region(self.region, self.country_iso2)
        except RejectedRecord as problem:
            yield problem
        if (self.lease_role is None) != (self.lease_type is None):
            missing = "lease_role" if self.lease_role is None else "lease_type"
            yield rejected(
                "lease_incomplete",
                missing,
                None,
                "a lease has both a role and a type",
                "lease_role lessee|lessor with lease_type finance|operating, or neither",
            )
        if self.area_m2 and self.building_area_m2 and self.area_m2 > self.building_area_m2:
            yield rejected(
                "area_over_building",
                "area_m2",
                self.area_m2,
                f"{self.area_m2} m2 is more than the building's {self.building_area_m2}",
                "an area within the building",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Meter(Record):
    """A meter of a site, and its place in the tree of meters.

    `kind`: main (what the site draws), sub (part of its parent), virtual (calculated, never read).
    `register_size` is the reading at which a cumulative register starts again from 0, in `unit`.
    `calorific_value_kwh_per_unit` makes kWh of a gas meter's volume, on the `heating_value` stated.
    """

    KIND: ClassVar[str] = "meter"
    KEY: ClassVar[tuple[str, ...]] = ("meter_id",)

    meter_id: Identifier
    facility_id: Identifier
    kind: Annotated[str, one_of("main", "sub", "virtual")]
    carrier: Annotated[str, one_of(*CARRIERS)]
    unit: UnitName = "kWh"
    parent_id: OptionalIdentifier = None
    reading: Annotated[str, one_of("interval", "cumulative")] = "interval"
    register_size: OptionalPositive = None
    calorific_value_kwh_per_unit: OptionalPositive = None
    heating_value: Annotated[str | None, optional(one_of("gross", "net"))] = None
    name: Text = ""

    def own_problems(self) -> Iterator[RejectedRecord]:
        """Place in the tree, unit of the carrier, register and calorific value where they apply."""
        if self.parent_id == self.meter_id:
            yield rejected(
                "own_parent", "parent_id", self.parent_id, "a meter is not below itself", "another"
            )
        if (self.kind == "sub") != (self.parent_id is not None) and self.kind != "virtual":
            yield rejected(
                "parent_and_kind_differ",
                "parent_id",
                self.parent_id,
                f"a {self.kind} meter {'needs a' if self.kind == 'sub' else 'has no'} parent",
                "a parent for a sub-meter, none for a main meter",
            )
        dimensions = CARRIERS[self.carrier]
        if dimension_of(self.unit) not in dimensions:
            yield rejected(
                "unit_not_of_carrier",
                "unit",
                self.unit,
                f"{self.unit} measures {dimension_of(self.unit)}, not {self.carrier}",
                f"a unit of {' or '.join(dimensions)}",
            )
        if self.register_size is not None and self.reading != "cumulative":
            yield rejected(
                "register_of_interval_meter",
                "register_size",
                self.register_size,
                "an interval meter has no register that starts again",
                "none, or reading cumulative",
            )
        if (self.calorific_value_kwh_per_unit is None) != (self.heating_value is None):
            yield rejected(
                "heating_value_incomplete",
                "heating_value",
                self.heating_value,
                "a calorific value is stated as gross or net",
                "both calorific_value_kwh_per_unit and heating_value, or neither",
            )
        elif self.heating_value is not None and self.carrier != "gas":
            yield rejected(
                "heating_value_of_no_gas",
                "heating_value",
                self.heating_value,
                f"{self.carrier} has no heating value",
                "none, or carrier gas",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Vehicle(Record):
    """A vehicle, and whose: its ownership decides scope and category of what it burns.

    `operational_control` says who decides how a leased or rented one runs (None: as the ownership
    suggests). `l_per_100km_min` and `_max` are the band its fuel use is checked against.
    """

    KIND: ClassVar[str] = "vehicle"
    KEY: ClassVar[tuple[str, ...]] = ("vehicle_id",)

    vehicle_id: Identifier
    ownership: Annotated[str, one_of(*VEHICLE_OWNERSHIPS)]
    vehicle_class: FilledText
    fuel: OptionalText = None
    entity_id: OptionalIdentifier = None
    facility_id: OptionalIdentifier = None
    lease_type: Lease = None
    operational_control: OptionalYesNo = None
    country_iso2: OptionalCountry = None
    payload_kg: OptionalPositive = None
    l_per_100km_min: OptionalAmount = None
    l_per_100km_max: OptionalPositive = None

    def own_problems(self) -> Iterator[RejectedRecord]:
        """A lease type exactly where there is a lease, a band in order."""
        if (self.ownership == "leased") != (self.lease_type is not None):
            yield rejected(
                "lease_incomplete",
                "lease_type",
                self.lease_type,
                f"ownership is {self.ownership}",
                "finance|operating for a leased vehicle, none for any other",
            )
        low, high = self.l_per_100km_min, self.l_per_100km_max
        if low is not None and high is not None and low > high:
            yield rejected(
                "band_upside_down",
                "l_per_100km_max",
                high,
                f"{high} is below the minimum {low}",
                "at least l_per_100km_min",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Supplier(Record):
    """A supplier; `entity_id` names it if it belongs to the group or is an associate.

    Purchases from a subsidiary are eliminated, those from an associate stay in category 1 (Scope 3
    Standard, chapter 5).
    """

    KIND: ClassVar[str] = "supplier"
    KEY: ClassVar[tuple[str, ...]] = ("supplier_id",)

    supplier_id: Identifier
    country_iso2: Country
    sector: OptionalText = None
    entity_id: OptionalIdentifier = None
    name: Text = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SupplierItem(Record):
    """Which of our items a supplier's product is; `units_per_product` of ours (in `unit`) are one
    of theirs: so much a footprint that counts their products stands for of what was bought.
    """

    KIND: ClassVar[str] = "supplier_item"
    KEY: ClassVar[tuple[str, ...]] = ("supplier_id", "product_id")

    supplier_id: Identifier
    product_id: Identifier
    item_id: Identifier
    unit: OptionalUnit = None
    units_per_product: OptionalPositive = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SpendClass(Record):
    """What a code of a purchasing or accounting system means: the NAICS sector its spend is of.

    `route` says that such lines belong to another stream (energy, fuel, freight, travel, waste), so
    that nothing is counted twice.
    """

    KIND: ClassVar[str] = "spend_class"
    KEY: ClassVar[tuple[str, ...]] = ("system", "code")

    system: Identifier
    code: Identifier
    naics_code: OptionalIdentifier = None
    route: Annotated[str, one_of(*SPEND_ROUTES)] = "spend"
    note: Text = ""

    def own_problems(self) -> Iterator[RejectedRecord]:
        """Spend needs a sector of 2 to 6 digits."""
        if self.naics_code is None:
            if self.route == "spend":
                yield rejected(
                    "missing_value", "naics_code", None, "is missing", "a NAICS code, or a route"
                )
        elif not (self.naics_code.isdigit() and 2 <= len(self.naics_code) <= 6):
            yield rejected(
                "not_a_naics_code",
                "naics_code",
                self.naics_code,
                f"{self.naics_code} is not a NAICS code",
                "2 to 6 digits, such as 331110",
            )


def _needs_an_end(record: Record) -> Iterator[RejectedRecord]:
    if record.valid_to is None:
        yield rejected(
            "period_without_end",
            "valid_to",
            None,
            f"{record.KIND} is of a period",
            "the day after the period's last",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Revenue(Record):
    """What an entity turned over in `[valid_from, valid_to)`, as in its financial statements.

    ESRS E1 paragraphs 43 and 53-55 ask for net revenue, and for that of high climate impact
    sectors.
    """

    KIND: ClassVar[str] = "revenue"
    KEY: ClassVar[tuple[str, ...]] = ("entity_id", "measure")

    entity_id: Identifier
    amount: AnyAmount
    currency: Currency
    measure: Annotated[str, one_of(*REVENUE_MEASURES)] = "net_revenue"

    def own_problems(self) -> Iterator[RejectedRecord]:
        """A period has an end."""
        return _needs_an_end(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget(Record):
    """The kgCO2e an entity, or one of its sites, may emit in `[valid_from, valid_to)`."""

    KIND: ClassVar[str] = "budget"
    KEY: ClassVar[tuple[str, ...]] = ("entity_id", "facility_id", "measure")

    entity_id: Identifier
    budget_kgco2e: Amount
    measure: Annotated[str, one_of(*BUDGET_MEASURES)]
    facility_id: OptionalIdentifier = None

    def own_problems(self) -> Iterator[RejectedRecord]:
        """A period has an end."""
        return _needs_an_end(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Disclosure(Record):
    """What a company states for its reports in `[valid_from, valid_to)` and no event carries.

    `subject` says what it is about and in which unit `value` is (carbon_ledger.reporting.stated),
    `item` which one of it: a category, a target year, a quality standard. `source` is the document
    it rests on.
    """

    KIND: ClassVar[str] = "disclosure"
    KEY: ClassVar[tuple[str, ...]] = ("organization_id", "subject", "item")

    organization_id: Identifier
    subject: Annotated[str, one_of(*SUBJECTS)]
    source: FilledText
    item: Text = ""
    value: OptionalAnyAmount = None
    text: Text = ""

    def own_problems(self) -> Iterator[RejectedRecord]:
        """A period has an end, a figure is where the subject has a unit, words are elsewhere."""
        yield from _needs_an_end(self)
        unit = SUBJECTS[self.subject][0]
        if unit and self.value is None:
            yield rejected(
                "missing_value", "value", None, f"{self.subject} is a figure", f"a number in {unit}"
            )
        if not unit and self.value is not None:
            yield rejected(
                "unknown_value", "value", self.value, f"{self.subject} is no figure", "no value"
            )
        if not unit and not self.text and self.subject != "base_year":
            yield rejected("missing_value", "text", "", f"{self.subject} is words", "some text")
        if self.subject == "site_coordinates" and coordinates_of(self.text) is None:
            yield rejected(
                "unknown_value",
                "text",
                self.text,
                "coordinates are latitude and longitude in degrees",
                "such as 52.52, 13.405; from -90 to 90 and from -180 to 180",
            )
        if self.subject == "emissions_change" and not _is_a_year(self):
            yield rejected(
                "not_a_year",
                "valid_to",
                self.valid_to,
                "a change against the year before is of one fiscal year",
                "the first of the month in which a fiscal year begins to that of the next",
            )
        if self.subject in _BY_YEAR and not (self.item.isdigit() and len(self.item) == 4):
            yield rejected("not_a_year", "item", self.item, "the year is `item`", "such as 2030")
        if self.subject == "category_excluded" and self.item not in _CATEGORY_ITEMS:
            yield rejected(
                "unknown_choice",
                "item",
                self.item,
                "the category is `item`",
                "|".join(_CATEGORY_ITEMS),
            )


def _is_a_year(one: Record) -> bool:
    begin = one.valid_from
    return begin.day == 1 and one.valid_to == begin.replace(year=begin.year + 1)


_BY_YEAR: Final = ("base_year", "target_pct")
_CATEGORY_ITEMS: Final = tuple(str(number) for number in range(1, 16))
