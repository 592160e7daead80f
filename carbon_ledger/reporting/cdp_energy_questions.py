"""Questions 7.30 and its parts of CDP's questionnaire: columns, and lists to choose from.

Belongs here: what is asked of energy. Does not: the rest of the module (cdp_questions), how an
answer is made (cdp_energy). The lists were not checked against the questionnaire's own text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from carbon_ledger.reporting.cdp_questions import COMMENT, OTHER, Asked, Question

_MWH: Final = "MWh"

ENERGY_LISTS: Final[Mapping[str, tuple[str, ...]]] = {
    "heating_value": (
        "LHV (lower heating value)",
        "HHV (higher heating value)",
        "Unable to confirm heating value",
    ),
    "energy_activity": (
        "Consumption of fuel (excluding feedstocks)",
        "Consumption of purchased or acquired electricity",
        "Consumption of purchased or acquired heat",
        "Consumption of purchased or acquired steam",
        "Consumption of purchased or acquired cooling",
        "Consumption of self-generated non-fuel renewable energy",
        "Total energy consumption",
    ),
    "fuel": (
        "Sustainable biomass",
        "Other biomass",
        "Other renewable fuels (e.g. renewable hydrogen)",
        "Coal",
        "Oil",
        "Gas",
        "Other non-renewable fuels (e.g. non-renewable hydrogen)",
        "Total fuel",
    ),
    "carrier": ("Electricity", "Heat", "Steam", "Cooling"),
    "sourcing_method": (
        "Unbundled procurement of energy attribute certificates (EACs)",
        "Retail supply contract with an electricity supplier (retail green electricity)",
        "Physical power purchase agreement (physical PPA) with a grid-connected generator",
        "Direct line to an off-site generator owned by a third party with no grid transfers "
        "(direct line PPA)",
        OTHER,
    ),
    "technology": (
        "Wind",
        "Solar",
        "Hydropower (capacity unknown)",
        "Geothermal",
        "Tidal",
        "Wave",
        "Sustainable biomass",
        "Nuclear",
        "Renewable energy mix, please specify",
        OTHER,
    ),
    "able_to_report": ("Yes", "No"),
}

ENERGY_QUESTIONS: Final[Mapping[str, Question]] = {
    one.number: one
    for one in (
        Question(
            number="7.30",
            title="Energy-related activities undertaken",
            of="Activity",
            columns=(
                Asked(
                    column_id="undertaken",
                    heading="Indicate whether your organization undertook this activity",
                    choices="yes_no",
                ),
            ),
        ),
        Question(
            number="7.30.1",
            title="Energy consumption totals, feedstocks excluded",
            of="Activity",
            row_choices="energy_activity",
            columns=(
                Asked(column_id="heating_value", heading="Heating value", choices="heating_value"),
                Asked(column_id="renewable", heading="MWh from renewable sources", unit=_MWH),
                Asked(
                    column_id="non_renewable",
                    heading="MWh from non-renewable sources",
                    unit=_MWH,
                ),
                Asked(
                    column_id="total",
                    heading="Total (renewable + non-renewable) MWh",
                    unit=_MWH,
                ),
            ),
        ),
        Question(
            number="7.30.7",
            title="Fuel consumed, feedstocks excluded, by fuel type",
            of="Fuel",
            row_choices="fuel",
            columns=(
                Asked(column_id="heating_value", heading="Heating value", choices="heating_value"),
                Asked(
                    column_id="total",
                    heading="Total fuel MWh consumed by the organization",
                    unit=_MWH,
                ),
                *(
                    Asked(
                        column_id=use,
                        heading=f"MWh fuel consumed for {words}",
                        unit=_MWH,
                    )
                    for use, words in (
                        ("electricity", "self-generation of electricity"),
                        ("heat", "self-generation of heat"),
                        ("steam", "self-generation of steam"),
                        ("cooling", "self-generation of cooling"),
                        ("cogeneration", "self-cogeneration or self-trigeneration"),
                    )
                ),
                COMMENT,
            ),
        ),
        Question(
            number="7.30.9",
            title="Electricity, heat, steam and cooling generated and consumed",
            of="Energy carrier",
            row_choices="carrier",
            columns=(
                Asked(column_id="gross", heading="Total gross generation (MWh)", unit=_MWH),
                Asked(
                    column_id="consumed",
                    heading="Generation that is consumed by the organization (MWh)",
                    unit=_MWH,
                ),
                Asked(
                    column_id="gross_renewable",
                    heading="Gross generation from renewable sources (MWh)",
                    unit=_MWH,
                ),
                Asked(
                    column_id="consumed_renewable",
                    heading="Generation from renewable sources that is consumed by the "
                    "organization (MWh)",
                    unit=_MWH,
                ),
            ),
        ),
        Question(
            number="7.30.14",
            title="Low-carbon energy in the market-based scope 2 figure",
            of="Country/area",
            columns=(
                Asked(column_id="method", heading="Sourcing method", choices="sourcing_method"),
                Asked(column_id="carrier", heading="Energy carrier", choices="carrier"),
                Asked(
                    column_id="technology",
                    heading="Low-carbon technology type",
                    choices="technology",
                ),
                Asked(
                    column_id="energy",
                    heading="Low-carbon energy consumed via selected sourcing method in the "
                    "reporting year (MWh)",
                    unit=_MWH,
                ),
                Asked(column_id="tracking", heading="Tracking instrument used"),
                Asked(
                    column_id="origin",
                    heading="Country/area of origin (generation) of the low-carbon energy or "
                    "energy attribute",
                ),
                Asked(
                    column_id="is_able",
                    heading="Are you able to report the commissioning or re-powering year of the "
                    "energy generation facility?",
                    choices="able_to_report",
                ),
                Asked(
                    column_id="commissioned",
                    heading="Commissioning year of the energy generation facility",
                ),
                COMMENT,
            ),
        ),
        Question(
            number="7.30.16",
            title="Electricity, heat, steam and cooling consumed, by country or area",
            of="Country/area",
            columns=(
                Asked(
                    column_id="purchased",
                    heading="Consumption of purchased electricity (MWh)",
                    unit=_MWH,
                ),
                Asked(
                    column_id="self_generated",
                    heading="Consumption of self-generated electricity (MWh)",
                    unit=_MWH,
                ),
                Asked(
                    column_id="heat_purchased",
                    heading="Consumption of purchased heat, steam, and cooling (MWh)",
                    unit=_MWH,
                ),
                Asked(
                    column_id="heat_self_generated",
                    heading="Consumption of self-generated heat, steam, and cooling (MWh)",
                    unit=_MWH,
                ),
                Asked(
                    column_id="total",
                    heading="Total electricity/heat/steam/cooling energy consumption (MWh)",
                    unit=_MWH,
                ),
            ),
        ),
    )
}
