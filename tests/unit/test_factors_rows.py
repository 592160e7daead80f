"""A factor row: its hash covers every field, and a row that cannot be right is refused."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, fields, replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.factor_book.book import Factor, check_factor, factor_sha256, make_release, sealed
from tests.support.factor_examples import grid_factor, supply_factor

# Another value for each field, so that a field left out of the hash shows.
CHANGED: dict[str, Any] = {
    "factor_id": "grid:other",
    "version": 2,
    "family": "energy_source",
    "publisher": "Other",
    "dataset": "Other",
    "source_id": "other",
    "country_iso2": "FR",
    "region": "DE-BY",
    "region_name": "Bavaria",
    "energy_source": "coal",
    "technology": "new",
    "statistic": "median",
    "year": 2021,
    "year_kind": "edition",
    "valid_from": date(2019, 1, 1),
    "valid_to": date(2022, 1, 1),
    "basis": "market",
    "method": "lifecycle",
    "boundary": "lifecycle_generation",
    "intensity_basis": "consumption",
    "gas_coverage": "CO2",
    "unit": "MWh",
    "kgco2e_per_unit": Decimal("0.41"),
    "kg_co2_per_unit": Decimal(0),
    "kg_ch4_per_unit": Decimal(0),
    "kg_n2o_per_unit": Decimal(0),
    "gwp_set": "AR6",
    "gwp_basis": "AR6",
    "co2e_origin": "computed_from_gases",
    "td_loss_pct": Decimal(4),
    "td_kgco2e_per_unit": Decimal("0.01"),
    "upstream_kgco2e_per_unit": Decimal("0.01"),
    "quality_flags": ("preliminary",),
    "licence": "none",
    "note": "seen",
    "selectors": (("fuel", "Diesel"),),
    "kg_co2_biogenic_per_unit": Decimal("0.1"),
    "ch4_kind": "fossil",
    "stage": "wtt",
    "currency": "USD",
    "price_year": 2021,
    "price_basis": "basic",
    "has_other_gases": True,
}


def test_the_table_of_changes_names_every_field() -> None:
    assert set(CHANGED) == {field.name for field in fields(Factor)} - {"sha256"}


@pytest.mark.parametrize("name", sorted(CHANGED))
def test_the_hash_covers_every_field(name: str) -> None:
    factor = grid_factor()
    altered = replace(factor, **{name: CHANGED[name]})
    assert factor_sha256(altered) != factor.sha256
    with pytest.raises(BrokenInvariant) as fault:
        check_factor(altered)
    assert fault.value.code == "factor_hash"


def test_the_hash_does_not_depend_on_how_a_number_is_spelled() -> None:
    assert (
        grid_factor(kgco2e_per_unit=Decimal("0.40")).sha256
        == grid_factor(kgco2e_per_unit=Decimal("0.400000000000")).sha256
    )


def test_the_hash_of_a_known_row_never_changes() -> None:
    # A change here means that rows already loaded somewhere no longer verify: raise the version
    # of the pre-image instead.
    assert grid_factor().sha256 == (
        "0cf73cbd226de07324a4d12d3cdcaa5802a6b15e9fbbca160e05abbcb28ed02c"
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"version": 0}, "factor_version"),
        ({"boundary": "cradle_to_grave"}, "factor_boundary"),
        ({"gwp_set": "AR9"}, "factor_gwp_set"),
        ({"energy_source": "coal"}, "factor_energy_source"),
        ({"valid_to": None}, "factor_validity"),
        ({"valid_from": date(2020, 7, 1)}, "factor_validity"),
        ({"valid_to": date(2020, 1, 1)}, "factor_validity"),
        ({"country_iso2": None}, "factor_geography"),
        ({"kgco2e_per_unit": None}, "factor_value"),
        ({"kgco2e_per_unit": Decimal("-0.1")}, "factor_value"),
        ({"kgco2e_per_unit": Decimal("NaN")}, "factor_value"),
        ({"kg_ch4_per_unit": Decimal("-1")}, "factor_value"),
    ],
)
def test_a_row_that_cannot_be_right_is_refused(changes: dict[str, Any], code: str) -> None:
    check_factor(grid_factor())
    with pytest.raises(BrokenInvariant) as fault:
        check_factor(sealed(replace(grid_factor(), **changes)))
    assert fault.value.code == code
    assert "grid:DE:2020" in str(fault.value)


def test_a_row_cannot_be_edited() -> None:
    with pytest.raises(FrozenInstanceError):
        grid_factor().kgco2e_per_unit = Decimal(0)  # type: ignore[misc]


def test_a_gas_that_is_not_published_is_not_zero() -> None:
    part = grid_factor(kg_co2_per_unit=Decimal("0.39"))
    whole = grid_factor(
        kg_co2_per_unit=Decimal("0.39"), kg_ch4_per_unit=Decimal(0), kg_n2o_per_unit=Decimal(0)
    )
    assert (part.gas_split, part.gases.kg_ch4) == ("not_available", None)
    assert (whole.gas_split, whole.gases.kg_ch4) == ("available", Decimal(0))


def test_a_release_is_named_by_its_rows_and_not_by_their_order() -> None:
    rows = [grid_factor(2019), grid_factor(2020), supply_factor("coal")]
    release = make_release("2026.1", rows)
    assert release == make_release("2026.1", reversed(rows))
    assert release.release_id == f"2026.1-{release.sha256[:12]}"
    assert release.release_id != make_release("2026.1", rows[:2]).release_id
    assert (
        release.release_id
        != make_release("2026.1", [*rows[:2], supply_factor("coal", version=2)]).release_id
    )
    assert pickle.loads(pickle.dumps(release)) == release  # noqa: S301 - our own bytes
