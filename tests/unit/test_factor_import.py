"""Licensed factor sets, and what one release has otherwise than another."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from carbon_ledger.errors import ConfigurationError, RejectedRecord
from carbon_ledger.factor_book.book import FactorBook, sealed
from carbon_ledger.factor_book.diff import FieldChange, diff
from carbon_ledger.factor_book.importing import (
    ImportMapping,
    Problem,
    imported,
    merged_release,
    parse_mapping,
)
from carbon_ledger.factor_book.rows import FactorRelease, make_release
from carbon_ledger.policy import Policy
from tests.support.factor_examples import (
    activity_factor,
    activity_query,
    grid_factor,
    grid_query,
)

POLICY = Policy()
EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
MAPPING: dict[str, Any] = {
    "publisher": "Institute of Examples",
    "dataset": "Process database 3.1",
    "source_id": "process_31",
    "licence": "licensed to the reporting company until 2027; not to be passed on",
    "family": "process",
    "columns": {
        "kgco2e_per_unit": "GWP100",
        "unit": "Unit",
        "country_iso2": "Geography",
        "year": "Reference year",
    },
    "selectors": {"activity": "Activity name", "product": "Product"},
    "constants": {"gwp_set": "AR6", "stage": "cradle_to_gate"},
    "values": {"country_iso2": {"GLO": ""}},
}
ROW = {
    "Activity name": "steel production, electric",
    "Product": "steel, low-alloyed",
    "GWP100": "0.4123",
    "Unit": "kg",
    "Geography": "DE",
    "Reference year": "2023",
}
CURRENT = make_release("2026.1", [grid_factor(2020), activity_factor()])


def mapping(**changes: Any) -> ImportMapping:
    return parse_mapping({**MAPPING, **changes})


def problems(*rows: dict[Any, Any], **changes: Any) -> list[Problem]:
    found, wrong = imported(mapping(**changes), rows)
    assert not found or len(rows) > 1
    return wrong


def merged(
    *rows: dict[str, str], current: FactorRelease = CURRENT, **changes: Any
) -> FactorRelease:
    said = mapping(**changes)
    found, wrong = imported(said, rows)
    assert not wrong
    return merged_release(current, said, found)


def test_a_licensed_row_is_found_by_its_publishers_own_words() -> None:
    world = ROW | {"Geography": "GLO", "GWP100": "0.5"}
    release = merged(ROW, world)
    assert release.release_id.startswith("2026.1+process_31-")
    assert len(release.rows) == 4
    book = FactorBook.of(release)
    match = book.find(
        activity_query("process", 2023, "DE", "t", activity="steel production, electric"), POLICY
    )
    assert str(match.factor.kgco2e_per_unit) == "0.4123"
    assert match.how_matched == "country/cradle_to_gate/exact-year"
    assert match.flags == ("licensed_set",)
    assert match.factor.licence == MAPPING["licence"]
    assert match.factor.factor_id == (
        "process:DE:2023:steel-production-electric:steel-low-alloyed:kg:process_31"
    )
    elsewhere = book.find(
        activity_query("process", 2023, "KR", product="steel, low-alloyed"), POLICY
    )
    assert (elsewhere.geography_level, str(elsewhere.factor.kgco2e_per_unit)) == ("any", "0.5")
    assert book.match(grid_query()).factor in CURRENT.rows


def test_the_documented_example_is_a_mapping_that_works() -> None:
    text = (EXAMPLES / "licensed_factors.yaml").read_text(encoding="utf-8")
    said = parse_mapping(yaml.safe_load(text))
    (found,), wrong = imported(said, [ROW | {"Geography": "GLO", "Unit": "metric ton*km"}])
    assert not wrong
    assert (found.country_iso2, found.unit, found.stage) == (None, "tkm", "cradle_to_gate")


def test_an_import_again_changes_nothing_and_a_changed_figure_is_the_next_version() -> None:
    once = merged(ROW)
    assert merged(ROW, current=once) == once
    again = merged(ROW | {"GWP100": "0.4200"}, current=once)
    assert again.release_id.startswith("2026.1+process_31-")
    assert again.release_id != once.release_id
    said = diff(once, again)
    assert (said.added, said.removed) == ((), ())
    (change,) = said.changed
    assert (change.old_version, change.new_version) == (1, 2)
    assert change.fields == (FieldChange(field="kgco2e_per_unit", old="0.4123", new="0.42"),)


def test_a_second_set_is_named_beside_the_first() -> None:
    both = merged(ROW, current=merged(ROW), source_id="other", family="other")
    assert both.release_id.startswith("2026.1+process_31+other-")
    assert len(both.rows) == 4


def test_a_factor_per_money_says_its_price_year_and_basis() -> None:
    said = {
        "columns": {"kgco2e_per_unit": "GWP100"},
        "constants": {"gwp_set": "AR5", "unit": "EUR", "currency": "EUR", "price_year": 2019}
        | {"price_basis": "basic", "country_iso2": "DE"},
    }
    (found,), wrong = imported(mapping(**said), [ROW])
    assert not wrong
    assert (found.unit, found.currency, found.price_year, found.price_basis) == (
        *("EUR", "EUR", 2019, "basic"),
    )
    without = said | {"constants": {**said["constants"], "price_basis": ""}}
    assert problems(ROW, **without)[0].column == "price_basis"


def test_a_licensed_grid_factor_is_matched_as_the_shipped_ones() -> None:
    said = {
        "family": "grid",
        "selectors": {},
        "constants": {"gwp_set": "AR5", "boundary": "direct_combustion", "unit": "kWh"}
        | {"intensity_basis": "generation"},
        "columns": {"kgco2e_per_unit": "GWP100", "country_iso2": "Geography"}
        | {"year": "Reference year"},
    }
    release = merged(ROW | {"Geography": "KR"}, **said)
    match = FactorBook.of(release).match(grid_query("KR", 2023))
    assert (match.how_matched, str(match.factor.kgco2e_per_unit)) == (
        *("country/location/exact-year", "0.4123"),
    )
    with pytest.raises(RejectedRecord) as refused:
        merged(ROW | {"Reference year": "2020"}, **said)
    assert refused.value.code == "import_tie"


@pytest.mark.parametrize(
    ("change", "column", "value", "code"),
    [
        ({"GWP100": "0,41"}, "GWP100", "0,41", "not_a_number"),
        ({"GWP100": "-1"}, "GWP100", "-1", "import_value"),
        ({"GWP100": ""}, "GWP100", "", "import_value"),
        ({"GWP100": "NaN"}, "GWP100", "NaN", "not_finite"),
        ({"Unit": "bushel"}, "Unit", "bushel", "unknown_unit"),
        ({"Geography": "RER"}, "Geography", "RER", "unknown_country"),
        ({"Reference year": "23"}, "Reference year", "23", "import_value"),
        ({"Reference year": "2023.0"}, "Reference year", "2023.0", "import_value"),
    ],
)
def test_a_bad_row_is_named_with_its_line_column_and_value(
    change: dict[str, str], column: str, value: str, code: str
) -> None:
    (wrong,) = problems(ROW | change)
    assert (wrong.row, wrong.column, wrong.value, wrong.code) == (2, column, value, code)
    assert "valid" in str(wrong)
    assert str(wrong).startswith(f"row 2, {column}")


def test_every_bad_row_is_named_not_just_the_first() -> None:
    wrong = problems(ROW | {"GWP100": "x"}, ROW, ROW | {"Unit": "y"}, ROW, {**ROW, None: ["z"]})
    assert [(one.row, one.code) for one in wrong] == [
        (2, "not_a_number"),
        (4, "unknown_unit"),
        (5, "row_twice"),
        (6, "row_cells"),
    ]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"licence": ""}, "licence"),
        ({"publisher": None}, "publisher"),
        ({"source_id": "Process 3.1"}, "source_id"),
        ({"family": "Process"}, "family"),
        ({"colour": "red"}, "colour"),
        ({"columns": {"price": "GWP100"}}, "columns.price"),
        ({"columns": {"kgco2e_per_unit": "GWP100"}}, "unit"),
        ({"constants": {"gwp_set": 6.0}}, "constants.gwp_set"),
        ({"constants": {"gwp_set": {"GWP100": "AR6"}}}, "constants.gwp_set"),
        ({"constants": {"gwp_set": "AR6", "unit": "kg"}}, "unit"),
        ({"selectors": {}}, "selectors"),
        ({"selectors": {"Activity": "Activity name"}}, "selectors.Activity"),
        ({"values": {"country_iso2": "GLO"}}, "values"),
    ],
)
def test_a_mapping_that_says_too_little_or_something_unknown_is_refused(
    changes: dict[str, Any], word: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        mapping(**changes)
    assert refused.value.code == "import_mapping"
    assert word in refused.value.message


@pytest.mark.parametrize("content", [None, [], "text", 3])
def test_a_file_that_is_no_mapping_is_refused(content: object) -> None:
    with pytest.raises(ConfigurationError):
        parse_mapping(content)


def test_a_mapping_names_the_part_in_which_something_is_missing() -> None:
    with pytest.raises(ConfigurationError) as refused:
        mapping(columns={"kgco2e_per_unit": "GWP100"})
    assert refused.value.message.startswith("columns: unit is missing; valid: ")


@pytest.mark.parametrize(
    ("changes", "basis"),
    [
        ({}, "cradle_to_gate"),
        ({"constants": {"gwp_set": "AR6"}}, "licensed"),
        (
            {
                "family": "grid",
                "constants": {"gwp_set": "AR6", "boundary": "direct_combustion", "unit": "kWh"},
                "columns": {
                    name: MAPPING["columns"][name]
                    for name in ("kgco2e_per_unit", "country_iso2", "year")
                },
            },
            "location",
        ),
        ({"constants": {"gwp_set": "AR6", "basis": "own words"}}, "own words"),
    ],
)
def test_the_basis_of_a_licensed_row_is_stated_or_follows_from_what_it_is(
    changes: dict[str, Any], basis: str
) -> None:
    (found,), wrong = imported(mapping(**changes), [ROW])
    assert not wrong
    assert (found.basis, found.co2e_origin, found.quality_flags) == (
        *(basis, "published", ("licensed_set",)),
    )


def test_a_licensed_row_may_name_its_region() -> None:
    columns = MAPPING["columns"] | {"region": "Region", "region_name": "Name"}
    rows = [
        ROW | {"Region": "DE-BY", "Name": "Bavaria"},
        ROW | {"Region": "", "Name": ""},
    ]
    found, wrong = imported(mapping(columns=columns), rows)
    assert not wrong
    assert [(one.region, one.region_name) for one in found] == [("DE-BY", "Bavaria"), (None, None)]


def test_a_factor_per_money_is_per_its_own_currency() -> None:
    said = {"gwp_set": "AR5", "currency": "EUR", "price_year": 2019, "price_basis": "basic"}
    (wrong,) = problems(ROW | {"Unit": "USD"}, constants=said)
    assert (wrong.column, wrong.value) == ("Unit", "USD")
    assert "the currency, EUR" in wrong.message


def test_an_unknown_set_of_potentials_is_refused() -> None:
    (wrong,) = problems(ROW, constants={"gwp_set": "AR7"})
    assert (wrong.column, wrong.value) == ("gwp_set", "AR7")


def test_a_source_id_of_another_publisher_cannot_be_taken() -> None:
    with pytest.raises(RejectedRecord) as refused:
        merged(ROW, source_id="example")
    assert refused.value.code == "import_source"


def test_an_imported_row_that_cannot_be_told_from_another_is_refused() -> None:
    with pytest.raises(RejectedRecord) as refused:
        merged(ROW, current=merged(ROW), source_id="rival")
    assert refused.value.code == "import_tie"
    assert "process_31" in refused.value.message


def test_a_release_differs_from_itself_in_nothing() -> None:
    assert diff(CURRENT, CURRENT).is_empty


def test_what_is_added_removed_and_changed_is_told_with_the_old_and_the_new_value() -> None:
    kept, gone, changed = grid_factor(2019), grid_factor(2020), grid_factor(2021)
    newer = sealed(
        replace(changed, version=2, kgco2e_per_unit=Decimal("0.30"), quality_flags=("preliminary",))
    )
    old = make_release("2026.1", [kept, gone, changed])
    new = make_release("2026.2", [kept, newer, activity_factor()])
    said = diff(old, new)
    assert said.added == (activity_factor().factor_id,)
    assert said.removed == (gone.factor_id,)
    (change,) = said.changed
    assert change.row_id == changed.factor_id
    assert [(one.field, one.old, one.new) for one in change.fields] == [
        ("kgco2e_per_unit", "0.4", "0.3"),
        ("quality_flags", "", "preliminary"),
    ]
    back = diff(new, old)
    assert (back.added, back.removed) == (said.removed, said.added)


def test_electricity_is_taken_per_kwh_alone() -> None:
    said = {
        "family": "grid",
        "selectors": {},
        "constants": {"gwp_set": "AR5", "boundary": "direct_combustion", "unit": "MWh"},
        "columns": {"kgco2e_per_unit": "GWP100", "country_iso2": "Geography"}
        | {"year": "Reference year"},
    }
    (wrong,) = problems(ROW | {"Geography": "KR"}, **said)
    assert (wrong.column, wrong.value) == ("unit", "MWh")
