"""Rows of fuels, transport, spending, materials and waste as factors.

Belongs here: how these tables become Factor. Does not: electricity (factor_seeds.electricity),
choosing a factor.

Where a publisher gives only gases, the total is made from them with the publisher's own potentials;
where only carbon dioxide is given, it is the total, and the row says that it is only that. Biogenic
carbon dioxide is in no total. Methane of combustion is of kind `non_fossil`: its carbon is already
counted as carbon dioxide (the row states it, see SOURCES.md). Methane of a supply chain or a grid
has no stated kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final, Literal, cast

from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.factor_book.rows import Factor, Family, id_word
from carbon_ledger.greenhouse import GwpSet
from carbon_ledger.quantities import PRODUCT
from carbon_ledger.units import canonical_unit
from factor_seeds.tables import Source, gwp_set_of, number, required

SELECTORS: Final[dict[str, tuple[str, ...]]] = {
    "fuel": ("fuel_group", "fuel", "use", "stage"),
    "transport": (
        "category",
        "mode",
        "vehicle_group",
        "vehicle_class",
        "detail",
        "variant",
        "stage",
    ),
    "spend": ("naics_code", "version"),
    "material_waste": ("category", "item_group", "item", "treatment"),
}
OUTSIDE_OF_SCOPES: Final = "outside_of_scopes"
# Potentials of methane and nitrous oxide that a publisher's words state.
STATED_POTENTIALS: Final[dict[str, tuple[Decimal, Decimal]]] = {
    "AR5 (28/265)": (Decimal(28), Decimal(265)),
}
MATERIAL_CATEGORY: Final = "material_use"
_WASTE_BASIS: Final = {"waste_disposal": "waste_treatment"}


def selectors_of(table: str, row: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The columns by which the row is found, with the publisher's text, empty ones included."""
    return tuple((column, row[column]) for column in SELECTORS[table])


def activity_id(table: str, row: Mapping[str, str]) -> str:
    """The stable, readable id of a row: family, place, year, selectors, unit, source."""
    if table == "spend":
        return f"spend:US:{row['naics_code']}:{id_word(row['version'])}:{row['source_id']}"
    words = [id_word(row[column]) for column in SELECTORS[table]]
    family = family_of(table, row)
    unit = id_word(canonical_unit(row["unit"]))
    return ":".join([family, row["country_iso2"], row["year"], *words, unit, row["source_id"]])


def family_of(table: str, row: Mapping[str, str]) -> Family:
    """The family of factors a row belongs to."""
    if table == "material_waste":
        return "material" if row["category"] == MATERIAL_CATEGORY else "waste"
    return cast(Family, table)


def activity_factor(table: str, row: Mapping[str, str], source: Source) -> Factor:
    """The factor of a row of `table`."""
    if table == "spend":
        return _spend_factor(row, source)
    if table == "material_waste":
        return _material_factor(row, source)
    return _combustion_factor(table, row, source)


def _common(table: str, row: Mapping[str, str], source: Source) -> dict[str, Any]:
    """What all these rows have alike."""
    return {
        "factor_id": row["factor_id"],
        "family": family_of(table, row),
        "publisher": source.publisher,
        "dataset": source.title,
        "source_id": row["source_id"],
        "region": None,
        "region_name": None,
        "energy_source": "",
        "technology": None,
        "statistic": "published",
        "year_kind": cast(Literal["data", "edition", "none"], row["year_kind"]),
        "intensity_basis": "",
        "td_loss_pct": None,
        "td_kgco2e_per_unit": None,
        "upstream_kgco2e_per_unit": None,
        "quality_flags": tuple(row["quality_flags"].split()),
        "licence": source.licence,
        "sha256": row["sha256"],
        "selectors": selectors_of(table, row),
        "ch4_kind": cast(Literal["", "fossil", "non_fossil"], row["ch4_kind"]),
        "gwp_basis": row["gwp_basis"],
    }


def _validity(year: int) -> dict[str, Any]:
    return {"year": year, "valid_from": date(year, 1, 1), "valid_to": date(year + 1, 1, 1)}


def _combustion_factor(table: str, row: Mapping[str, str], source: Source) -> Factor:
    """Fuels and transport: gases by stage of the chain."""
    total, coverage, gwp_set, origin = _total(row)
    return Factor(
        **_common(table, row, source),
        **_validity(int(row["year"])),
        version=int(row["version"]),
        country_iso2=row["country_iso2"],
        basis=row["stage"],
        method=row["use"] if table == "fuel" else row["category"],
        boundary=row["stage"],
        gas_coverage=coverage,
        unit=canonical_unit(row["unit"]),
        kgco2e_per_unit=total,
        kg_co2_per_unit=number(row, "kg_co2_per_unit"),
        kg_ch4_per_unit=number(row, "kg_ch4_per_unit"),
        kg_n2o_per_unit=number(row, "kg_n2o_per_unit"),
        kg_co2_biogenic_per_unit=(
            number(row, "biogenic_kg_co2_per_unit") if table == "fuel" else None
        ),
        gwp_set=gwp_set,
        co2e_origin=origin,
        note=row["note"] or None,
        stage=row["stage"],
    )


def _total(
    row: Mapping[str, str],
) -> tuple[Decimal, Literal["CO2e", "CO2", "CH4+N2O"], GwpSet, str]:
    """(kgCO2e per unit, which gases are in it, with which potentials, where it comes from)."""
    published = number(row, "kgco2e_per_unit")
    if published is not None:
        return published, "CO2e", gwp_set_of(row["gwp_basis"]), row["co2e_origin"]
    if row["stage"] == OUTSIDE_OF_SCOPES:
        return Decimal(0), "CO2", "not_applicable", OUTSIDE_OF_SCOPES
    co2, ch4, n2o = (number(row, f"kg_{gas}_per_unit") for gas in ("co2", "ch4", "n2o"))
    if co2 is not None and ch4 is None and n2o is None:
        return co2, "CO2", "not_applicable", "computed_from_gases"
    potentials = STATED_POTENTIALS.get(row["gwp_basis"])
    if co2 is None and ch4 is not None and n2o is not None and potentials is not None:
        total = PRODUCT.add(
            PRODUCT.multiply(ch4, potentials[0]), PRODUCT.multiply(n2o, potentials[1])
        )
        return total, "CH4+N2O", gwp_set_of(row["gwp_basis"]), "computed_from_gases"
    raise BrokenInvariant(
        "factor_value", f"{row['factor_id']} has no total and no gases to make one from"
    )


def _spend_factor(row: Mapping[str, str], source: Source) -> Factor:
    """Per US dollar at purchasers' prices, margins of trade and transport included.

    Fluorinated gases are in the total but not given apart.
    """
    return Factor(
        **_common("spend", row, source),
        **_validity(int(row["price_year"])),
        version=int(row["row_version"]),
        country_iso2="US",
        basis="eeio_purchaser",
        method="environmentally extended input-output",
        boundary="cradle_to_gate_with_margins",
        gas_coverage="CO2e",
        unit=row["currency"],
        kgco2e_per_unit=required(row, "kgco2e_per_usd_with_margins"),
        kg_co2_per_unit=number(row, "kg_co2_per_usd_with_margins"),
        kg_ch4_per_unit=number(row, "kg_ch4_per_usd_with_margins"),
        kg_n2o_per_unit=number(row, "kg_n2o_per_usd_with_margins"),
        gwp_set=gwp_set_of(row["gwp_basis"]),
        co2e_origin="published",
        note=f"{row['naics_title']} (NAICS {row['naics_year']})",
        currency=row["currency"],
        price_year=int(row["price_year"]),
        price_basis=cast(Literal["purchaser", "basic"], row["price_basis"]),
        has_other_gases=True,
    )


def _material_factor(row: Mapping[str, str], source: Source) -> Factor:
    """Materials, treatment of waste, and what is published beside them; no gases are given."""
    is_material = row["category"] == MATERIAL_CATEGORY
    basis = "cradle_to_gate" if is_material else _WASTE_BASIS.get(row["category"], row["category"])
    return Factor(
        **_common("material_waste", row, source),
        **_validity(int(row["year"])),
        version=int(row["version"]),
        country_iso2=row["country_iso2"],
        basis=basis,
        method=row["category"],
        boundary=basis,
        gas_coverage="CO2e",
        unit=canonical_unit(row["unit"]),
        kgco2e_per_unit=required(row, "kgco2e_per_unit"),
        kg_co2_per_unit=None,
        kg_ch4_per_unit=None,
        kg_n2o_per_unit=None,
        gwp_set=gwp_set_of(row["gwp_basis"]),
        co2e_origin="published",
        note=row["note"] or None,
    )
