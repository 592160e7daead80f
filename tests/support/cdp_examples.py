"""A year with everything module 7 of CDP's questionnaire tells apart, and the year before it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from carbon_ledger.greenhouse import GwpTable
from carbon_ledger.reporting.inputs import ReportInputs, Revenue, SitePlace
from carbon_ledger.reporting.stated import Stated
from tests.support.report_examples import inputs, row

GWP: Final = GwpTable(
    {
        ("AR6", "CH4"): (Decimal("27.9"), "t"),
        ("AR6", "N2O"): (Decimal(273), "t"),
        ("AR6", "SF6"): (Decimal(25200), "t"),
        ("AR6", "R-410A"): (Decimal("2255.5"), "t"),
        ("AR6", "HFC-134a"): (Decimal(1530), "t"),
        ("AR6", "HFE-125"): (Decimal(14300), "t"),
    }
)


def burnt(kg: str, co2: str, ch4: str, n2o: str, **given: Any) -> Any:
    """Scope 1 whose gases are given."""
    masses = {"kg_co2_fossil": co2, "kg_ch4": ch4, "kg_n2o": n2o}
    gases = {name: Decimal(text) for name, text in masses.items()}
    return row(1, kg, gas_split="available", activity_type="fuel:natural_gas", **gases, **given)


# 1000 + 10 x 27.9 + 2 x 273 = 1825; 600 + 27.9 = 627.9.
YEAR: Final = (
    burnt("1825", "1000", "10", "2", kg_co2_biogenic=Decimal(40)),
    burnt("627.9", "600", "1", "0", facility_id="plant-2", country_iso2="FR"),
    row(1, "500", activity_type="vehicle_fuel:diesel", gwp_set="AR5", facility_id="fleet"),
    row(
        1,
        "24855.5",
        activity_type="refrigerants",
        gas_split="available",
        other_gases=(("R-410A", Decimal("0.0")), ("SF6", Decimal("0.98")), ("CF4", Decimal(1))),
        facility_id="plant-2",
        country_iso2="FR",
    ),
    row(
        1,
        "153",
        activity_type="refrigerants",
        gas_split="available",
        other_gases=(("HFC-134a", Decimal("0.1")),),
    ),
    row(2, "2000", facility_id="plant-1"),
    row(2, "300", activity_type="vehicle_electricity", facility_id="fleet"),
    row(2, "700", activity_type="steam", facility_id="venture", country_iso2="ZZ"),
    row(2, "1200.25", basis="market", activity_type="electricity:market"),
    row(2, "650", basis="market", activity_type="steam", facility_id="venture"),
    row(3, "30000", 1, method="spend-based", basis="cradle_to_gate"),
    row(3, "18600", 1, method="supplier-specific", basis="supplier"),
    row(3, "1400", 1, method="evidence", basis="cradle_to_gate"),
    row(3, "100", 3, method="average_data"),
    row(3, "70", 3, basis="market"),
    row(3, "40", 14, method="franchise-specific"),
    row(0, "999"),
)
BEFORE: Final = (
    row(1, "30000", activity_type="fuel:natural_gas"),
    row(2, "2500"),
    row(2, "1500", basis="market"),
    row(3, "60000", 1),
    row(3, "100", 3),
    row(3, "7", 2),
)


def stated(subject: str, key: str = "", value: str | None = None, text: str = "") -> Stated:
    """A statement for 2025."""
    figure = None if value is None else Decimal(value)
    return Stated(
        subject=subject, fiscal_year=2025, key=key, value=figure, text=text, source="minutes 12"
    )


STATEMENTS: Final = (
    stated("category_excluded", "14", text="one kiosk"),
    stated("category_excluded", "10", text="no intermediate goods"),
    stated("category_to_calculate", "7", text="a survey is on its way"),
    stated("emissions_change", "Change in output", "-1500.5", "one line stood still"),
    stated("emissions_change", "new site", "20"),
    stated("category_change_reason", "1", text="Change in output"),
    stated("verification_type", "scope_1", text="Limited assurance"),
    stated("verification_standard", "scope_1", text="ISAE 3410"),
    stated("verified_pct", "scope_1", "100"),
    stated("verification", "scope_2_market", text="ISAE 3410, limited, statement 7"),
    stated("verification_cycle", "category_01", text="Annual process"),
    stated("subsidiary_identifier", "north", text="LEI 5299000J2N45DDNE4Y28"),
    stated("intensity_denominator", "unit of production", "500", "washing machines"),
    stated("explanation", "7.6/reporting_year", text="measured at every stack"),
)
SITES: Final = {
    one.facility_id: one
    for one in (
        SitePlace(
            facility_id="plant-1",
            entity_id="north",
            entity_name="North Ltd",
            entity_kind="subsidiary",
            name="Mill",
            country_iso2="DE",
            division="Steel",
            latitude=Decimal("51.5"),
            longitude=Decimal("7.25"),
        ),
        SitePlace(
            facility_id="plant-2",
            entity_id="head",
            entity_name="Head plc",
            entity_kind="parent",
            division="Steel",
        ),
        SitePlace(facility_id="venture", entity_id="jv", entity_kind="joint_venture"),
    )
}
REVENUES: Final = {
    year: Revenue(fiscal_year=year, amount=Decimal(amount), currency="EUR", source="accounts")
    for year, amount in ((2025, "4000000"), (2024, "3000000"))
}


def cdp_inputs(**given: Any) -> ReportInputs:
    """The year 2025 with 2024 before it and as its base year."""
    fields: dict[str, Any] = {
        "cubes": {2025: YEAR, 2024: BEFORE},
        "gwp": GWP,
        "base_year": 2024,
        "statements": STATEMENTS,
        "sites": SITES,
        "revenues": REVENUES,
    }
    return inputs(**{**fields, **given})
