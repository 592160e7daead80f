"""A year with everything module 7 of CDP's questionnaire tells apart, and the year before it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from carbon_ledger.greenhouse import GwpTable
from carbon_ledger.reporting.fuel_energy import FuelEnergy
from carbon_ledger.reporting.inputs import ReportInputs, Revenue, SitePlace
from carbon_ledger.reporting.stated import Stated
from tests.support.report_examples import EVIDENCE, PROMISED, inputs, row

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
    row(3, "1400", 1, method="measured", basis="cradle_to_gate"),
    # Of 0 kg: nothing was measured.
    row(3, "0", 1, **PROMISED),
    *EVIDENCE,
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


# ---- energy

FUELS: Final = {
    one.factor_id: one
    for one in (
        FuelEnergy(
            factor_id=name,
            fuel=fuel,
            carrier=carrier,
            unit=unit,
            net_kwh_per_unit=None if kwh is None else Decimal(kwh),
            tracer="kgco2e",
            kg_per_unit=Decimal(kg),
            gwp_set="AR6",
            how="published",
        )
        for name, fuel, carrier, unit, kwh, kg in (
            ("gas", "Natural gas", "natural_gas", "m3", "10", "2"),
            ("diesel", "Diesel", "oil", "L", "9.5", "2.5"),
            ("pellets", "Wood pellets", "renewable", "kg", "4.8", "0.05"),
            ("tyres", "Tires", "other_fossil", "kg", None, "3"),
        )
    )
}


def _fuel(name: str, quantity: str, unit: str, activity_type: str, **given: Any) -> Any:
    kg = Decimal(quantity) * FUELS[name].kg_per_unit
    return row(
        1,
        str(kg),
        activity_type=activity_type,
        unit=unit,
        quantity=Decimal(quantity),
        factor_id=name,
        **given,
    )


def _power(kwh: str, kg: str, factor_id: str, formula_id: str, **given: Any) -> Any:
    fields: dict[str, Any] = {"basis": "market", "activity_type": "electricity:market"}
    return row(
        2,
        kg,
        quantity=Decimal(kwh),
        factor_id=factor_id,
        formula_id=formula_id,
        **{**fields, **given},
    )


ENERGY_YEAR: Final = (
    _fuel("gas", "1000", "m3", "fuel:natural_gas"),  # 10 MWh
    _fuel("diesel", "200", "L", "vehicle_fuel:diesel", country_iso2="FR"),  # 1.9 MWh
    _fuel("pellets", "500", "kg", "stationary_fuels"),  # 2.4 MWh
    _fuel("tyres", "10", "kg", "stationary_fuels"),  # not determined
    _power("4000", "0", "instrument:go-1", "S2-MB-INSTRUMENT"),
    _power("1000", "0", "instrument:go-1", "S2-MB-INSTRUMENT", country_iso2="FR"),
    _power("500", "5", "instrument:atom", "S2-MB-INSTRUMENT", country_iso2="FR"),
    _power("700", "70", "instrument:chips", "S2-MB-INSTRUMENT"),
    _power("2500", "900", "residual", "S2-MB-RESIDUAL"),
    _power("300", "0", "rule:own", "S2-OWN-GENERATION"),
    row(2, "500", quantity=Decimal(8700)),
    row(2, "0", quantity=Decimal(300), activity_type="self_generated:solar"),
    row(2, "40", quantity=Decimal(600), activity_type="steam"),
    row(2, "9", quantity=Decimal(90), activity_type="vehicle_electricity", country_iso2="ZZ"),
)
ENERGY_STATEMENTS: Final = (
    stated("energy_production_renewable", "roof", "0.35"),
    stated("energy_production_non_renewable", "heat", "2"),
    stated("generation_consumed", "heat", "1.5"),
    stated("fuel_for_generation", "Gas/cogeneration", "3"),
    stated("instrument_tracking", "go-1", text="GO"),
    stated("instrument_commissioned", "go-1", text="2019"),
)


def energy_inputs(**given: Any) -> ReportInputs:
    """A year with every kind of energy."""
    fields: dict[str, Any] = {
        "cubes": {2025: ENERGY_YEAR},
        "fuels": {"AR6": FUELS},
        "instrument_sources": {
            "instrument:go-1": "wind",
            "instrument:atom": "nuclear",
            "instrument:chips": "biomass",
        },
        "instrument_kinds": {
            "instrument:go-1": "certificate_unbundled",
            "instrument:atom": "supplier_rate",
            "instrument:chips": "ppa",
        },
        "statements": ENERGY_STATEMENTS,
    }
    return inputs(**{**fields, **given})
