"""Which energy carrier each published fuel is, as reports of energy tell carriers apart.

Belongs here: the table. Does not: how much energy is in a fuel (fuel_energy).

ESRS E1 AR 34 has rows for coal, crude oil, natural gas, other fossil sources and renewable fuels.
Gases made of coal are coal products, liquefied petroleum gases and natural gas liquids are products
of crude oil (Regulation (EC) No 1099/2008, annex B; not checked against its text). A blend is
wholly the fossil fuel it is sold as, as the origin of what is blended in is not contracted, and
waste without a stated biogenic part is fossil (AR 32(j): conservative). Peat is no biomass.
"""

from __future__ import annotations

from typing import Final, Literal

Carrier = Literal["coal", "oil", "natural_gas", "other_fossil", "renewable"]
CARRIERS: Final[tuple[Carrier, ...]] = ("coal", "oil", "natural_gas", "other_fossil", "renewable")

# Published names: DESNZ, EPA (hub), NGA.
_FUELS: Final[dict[Carrier, tuple[str, ...]]] = {
    "coal": (
        "Anthracite",
        "Bituminous",
        "Blast Furnace Gas",
        "Coal (domestic)",
        "Coal (electricity generation - home produced coal only)",
        "Coal (electricity generation)",
        "Coal (industrial)",
        "Coal Coke",
        "Coke Oven Gas",
        "Coking coal",
        "Lignite",
        "Mixed (Commercial Sector)",
        "Mixed (Electric Power Sector)",
        "Mixed (Industrial Coking)",
        "Mixed (Industrial Sector)",
        "Sub-bituminous",
    ),
    "oil": (
        "Asphalt and Road Oil",
        "Aviation Gasoline",
        "Aviation spirit",
        "Aviation turbine fuel",
        "Burning oil",
        "Butane",
        "Butylene",
        "Crude Oil",
        "Diesel",
        "Diesel (100% mineral diesel)",
        "Diesel (average biofuel blend)",
        "Diesel Equipment",
        "Diesel Fuel",
        "Diesel Off-Road Trucks",
        "Distillate Fuel Oil No. 1",
        "Distillate Fuel Oil No. 2",
        "Distillate Fuel Oil No. 4",
        "Ethane",
        "Ethylene",
        "Fuel Gas",
        "Fuel oil",
        "Gas oil",
        "Gasoline",
        "Gasoline (2 stroke)",
        "Gasoline (4 stroke)",
        "Gasoline Off-Road Trucks",
        "Heavy Gas Oils",
        "Isobutane",
        "Isobutylene",
        "Jet Fuel",
        "Kerosene",
        "Kerosene-Type Jet Fuel",
        "LPG",
        "Liquefied Petroleum Gases (LPG)",
        "Lubricants",
        "Marine fuel oil",
        "Marine gas oil",
        "Motor Gasoline",
        "Naphtha",
        "Naphtha (<401 deg F)",
        "Natural Gasoline",
        "Other Oil (>401 deg F)",
        "Other petroleum gas",
        "Pentanes Plus",
        "Petrochemical Feedstocks",
        "Petrol (100% mineral petrol)",
        "Petrol (average biofuel blend)",
        "Petroleum Coke (Solid)",
        "Petroleum coke",
        "Processed fuel oils - distillate oil",
        "Processed fuel oils - residual oil",
        "Propane",
        "Propane Gas",
        "Propylene",
        "Refinery miscellaneous",
        "Residual Fuel Oil",
        "Residual Fuel Oil No. 5",
        "Residual Fuel Oil No. 6",
        "Special Naphtha",
        "Unfinished Oils",
        "Used Oil",
        "Waste oils",
    ),
    "natural_gas": (
        "CNG",
        "Compressed Natural Gas (CNG)",
        "LNG",
        "Liquefied Natural Gas (LNG)",
        "Natural Gas",
        "Natural gas",
        "Natural gas (100% mineral blend)",
        "Natural gas (pipeline)",
        *(
            f"Natural gas (pipeline), {place}"
            for area in ("NSW and ACT", "NT", "QLD", "SA", "TAS", "VIC", "WA")
            for place in (f"{area} metro", f"{area} non-metro")
        ),
    ),
    "other_fossil": ("Municipal Solid Waste", "Peat", "Plastics", "Tires"),
    "renewable": (
        "Agricultural Byproducts",
        "Avtur (renewable)",
        "Bagasse",
        "Bamboo",
        "Biodiesel (100%)",
        "Biodiesel HVO",
        "Biodiesel ME",
        "Biodiesel ME (from Tallow)",
        "Biodiesel ME (from tallow)",
        "Biodiesel ME (from used cooking oil)",
        "Bioethanol",
        "Biogas",
        "Biomethane (compressed)",
        "Biomethane (liquified)",
        "Biopropane",
        "Development diesel",
        "Development petrol",
        "Ethanol (100%)",
        "Grass/straw",
        "Landfill Gas",
        "Landfill gas",
        "Methanol (bio)",
        "North American Hardwood",
        "North American Softwood",
        "Off road biodiesel",
        "Other Biomass Gases",
        "Rendered Animal Fat",
        "Solid Byproducts",
        "Straw",
        "Vegetable Oil",
        "Wood and Wood Residuals",
        "Wood chips",
        "Wood logs",
        "Wood pellets",
    ),
}
CARRIER_OF: Final[dict[str, Carrier]] = {
    name: carrier for carrier, names in _FUELS.items() for name in names
}
# Published in the same tables, but energy that is bought, not burnt.
NOT_FUELS: Final = (
    "5% loss",
    "District heat and steam",
    "Electricity: UK",
    "Onsite heat and steam",
    "Steam and heat (natural gas, 80% efficiency)",
)
