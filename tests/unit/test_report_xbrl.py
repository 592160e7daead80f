"""Facts in xBRL-JSON: what the taxonomy has a name for, and nothing it does not allow."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from carbon_ledger.errors import BrokenInvariant, ConfigurationError
from carbon_ledger.organisation.categories import CATEGORIES
from carbon_ledger.quantities import canonical_text
from carbon_ledger.reporting.esrs_e1 import esrs_e1
from carbon_ledger.reporting.esrs_profile import (
    CATEGORY_AXIS,
    CONCEPTS,
    COUNTRY_AXIS,
    UNIT_OF,
    category_dimension,
)
from carbon_ledger.reporting.inputs import Revenue
from carbon_ledger.reporting.report_xbrl import UNITS, is_lei, report_to_xbrl_json, year_of
from carbon_ledger.reporting.stated import Stated
from carbon_ledger.reporting.tables import Cell, Dimension, Report
from tests.support.cdp_examples import cdp_inputs
from tests.support.report_documents import small_report, with_cell
from tests.support.report_examples import YEAR, inputs, reported

YEAR_2025 = "2025-01-01T00:00:00/2026-01-01T00:00:00"


def facts(report: Report, **given: Any) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(report_to_xbrl_json(report, **given))["facts"]
    return found


def whole_report() -> Report:
    stated = [
        Stated(subject="target_pct", fiscal_year=2025, key=year, value=Decimal(42), source="plan")
        for year in ("2030", "2050")
    ]
    regulated = [
        Stated(subject="scope_1_regulated", fiscal_year=year, value=Decimal("0.2"), source="ETS")
        for year in (2025, 2020)
    ]
    return esrs_e1(
        inputs(
            base_year=2020,
            cubes={2025: YEAR, 2024: YEAR[:3], 2020: YEAR},
            statements=(*stated, *regulated),
            revenues={
                2025: Revenue(
                    fiscal_year=2025, amount=Decimal(3), currency="EUR", source="accounts"
                )
            },
            previously_reported=(reported(2024, "E1-6/scope_1/current", "1"),),
        )
    )


def test_the_document_says_what_it_is_and_names_its_prefixes() -> None:
    document = json.loads(report_to_xbrl_json(small_report()))
    assert document["documentInfo"] == {
        "documentType": "https://xbrl.org/2021/xbrl-json",
        "namespaces": {
            "esrs": "https://xbrl.efrag.org/taxonomy/esrs/2023-12-22",
            "iso4217": "http://www.xbrl.org/2003/iso4217",
            "organization": "urn:carbon-ledger:organization",
            "utr": "http://www.xbrl.org/2009/utr",
        },
        "taxonomy": ["https://xbrl.efrag.org/taxonomy/esrs/2023-12-22/esrs_all.xsd"],
    }


def test_a_figure_is_a_fact_with_its_exact_value_period_unit_and_dimensions() -> None:
    found = facts(small_report())
    assert found["c.small.goods"] == {
        "value": "3.000000000000001",
        "dimensions": {
            "concept": "esrs:GrossScope3GreenhouseGasEmissions",
            "entity": "organization:org-1",
            "period": YEAR_2025,
            "unit": "utr:tCO2e",
            f"esrs:{CATEGORY_AXIS}": "esrs:Category1PurchasedGoodsAndServicesMember",
        },
    }
    assert found["c.small.freight"]["dimensions"][f"esrs:{COUNTRY_AXIS}"] == "esrs:DE"
    assert "c.small.total" not in found  # it has no concept


def test_a_percentage_is_a_fraction_without_a_unit_and_a_quotient_says_its_decimals() -> None:
    share = facts(whole_report())["c.E1-6.scope_1_regulated_pct.current"]
    assert (share["value"], share["decimals"]) == ("0.19990004997501", 14)
    assert "unit" not in share["dimensions"]
    intensity = facts(whole_report())["c.E1-6.intensity.location"]
    assert intensity["dimensions"]["unit"] == "utr:tCO2e/iso4217:EUR"
    assert intensity["decimals"] == 12


def test_biogenic_carbon_dioxide_is_a_figure_in_tonnes_of_its_type() -> None:
    assert facts(whole_report())["c.E1-6.beside.biogenic_scope_1"]["dimensions"]["unit"] == (
        "utr:tCO2e"
    )


@pytest.mark.parametrize(
    ("fact", "period"),
    [
        ("c.E1-6.scope_1.current", YEAR_2025),
        ("c.E1-6.total_location.comparative", "2024-01-01T00:00:00/2025-01-01T00:00:00"),
        ("c.E1-6.scope_1_regulated_pct.base_year", "2020-01-01T00:00:00/2021-01-01T00:00:00"),
        ("c.E1-6.scope_1.target_2030", "2030-01-01T00:00:00/2031-01-01T00:00:00"),
        ("c.E1-6.scope_1.target_2050", "2050-01-01T00:00:00/2051-01-01T00:00:00"),
        ("c.E1-6.intensity.market", YEAR_2025),
        (
            "c.restated.E1-6.scope_1.comparative.old",
            "2024-01-01T00:00:00/2025-01-01T00:00:00",
        ),
    ],
)
def test_a_fact_is_of_the_period_its_figure_is_of(fact: str, period: str) -> None:
    assert facts(whole_report())[fact]["dimensions"]["period"] == period


def test_a_fiscal_year_may_begin_on_another_day() -> None:
    report = replace(small_report(), period_begin=date(2024, 10, 1), period_end=date(2025, 10, 1))
    found = facts(report)["c.small.goods"]["dimensions"]["period"]
    assert found == "2024-10-01T00:00:00/2025-10-01T00:00:00"


def test_what_was_previously_stated_is_a_fact_beside_the_figure_of_now() -> None:
    found = facts(whole_report())
    old = found["c.restated.E1-6.scope_1.comparative.old"]
    assert old["value"] == "1"
    assert old["dimensions"]["esrs:ReportingScopeAxis"] == "esrs:PreviouslyStatedMember"
    assert found["c.E1-6.scope_1.comparative"]["value"] == "1.0005"


def test_what_was_previously_stated_is_of_the_year_of_its_figure() -> None:
    """The report of 2025 was bound: both its columns moved since, and the target with them."""
    report = esrs_e1(
        inputs(
            base_year=2024,
            statements=(
                Stated(
                    subject="target_pct",
                    fiscal_year=2025,
                    key="2030",
                    value=Decimal(50),
                    source="plan",
                ),
            ),
            previously_reported=(
                reported(2025, "E1-6/scope_1/current", "0.9", base_year=2024),
                reported(2025, "E1-6/scope_1/comparative", "1.9", base_year=2024),
                reported(2025, "E1-6/scope_1/base_year", "1.9", base_year=2024),
                reported(2025, "E1-6/scope_1/target_2030", "0.95", base_year=2024),
            ),
        )
    )
    found = facts(report)
    old = {
        name: (one["value"], one["dimensions"]["period"][:4])
        for name, one in found.items()
        if one["dimensions"].get("esrs:ReportingScopeAxis") == "esrs:PreviouslyStatedMember"
    }
    assert old == {
        "c.restated.E1-6.scope_1.current.old": ("0.9", "2025"),
        "c.restated.E1-6.scope_1.comparative.old": ("1.9", "2024"),
        "c.restated.E1-6.scope_1.base_year.old": ("1.9", "2024"),
        "c.restated.E1-6.scope_1.target_2030.old": ("0.95", "2030"),
    }
    for name in old:
        now = found[name.removesuffix(".old").replace("c.restated.", "c.")]["dimensions"]
        assert found[name]["dimensions"] == now | {
            "esrs:ReportingScopeAxis": "esrs:PreviouslyStatedMember"
        }


def test_the_parts_of_paragraph_50_are_facts_of_the_axis_of_control() -> None:
    given = cdp_inputs(statements=())
    found = facts(esrs_e1(given))
    parts = {
        "accounting_group": "esrs:ConsolidatedAccountingGroupFinancialControlMember",
        "other_entities": "esrs:OtherInvesteesExcludedFromConsolidatedAccountingGroupIncluding"
        "ContractualArrangementsOperationalControlMember",
    }
    axis = "esrs:FinancialAndOperationalControlAxis"
    cells = esrs_e1(given).cells()
    for name in ("scope_1", "scope_2_location", "scope_2_market"):
        whole = found[f"c.E1-6.{name}.current"]["dimensions"]
        for part, member in parts.items():
            cell = cells[f"E1-6/group/{part}/{name}"]
            if cell.value is None:
                continue
            fact = found[f"c.E1-6.group.{part}.{name}"]
            assert fact["value"] == canonical_text(cell.number)
            assert fact["dimensions"] == whole | {axis: member}
    # Sites of no registered entity are in neither part.
    assert cells["E1-6/group/not registered/scope_1"].value is not None
    assert {one["dimensions"][axis] for one in found.values() if axis in one["dimensions"]} == {
        *parts.values()
    }


def test_a_kept_report_is_written_by_the_datapoint_it_was_kept_with() -> None:
    """EFRAG has gross scope 1 as E1-6_07; E1-6_01 is the table, and older reports have it."""
    report = small_report()
    assert report.cells()["small/scope_1"].datapoint == "E1-6_07"
    old = with_cell(report, "small/scope_1", datapoint="E1-6_01")
    assert report_to_xbrl_json(old) == report_to_xbrl_json(report)


def test_the_legal_entity_identifier_names_the_organization_where_there_is_one() -> None:
    lei = "529900T8BM49AURSDO55"
    document = json.loads(report_to_xbrl_json(small_report(), lei=lei))
    assert document["facts"]["c.small.goods"]["dimensions"]["entity"] == f"lei:{lei}"
    assert document["documentInfo"]["namespaces"]["lei"] == "http://standards.iso.org/iso/17442"
    for wrong in ("529900T8BM49AURSDO56", "529900", lei.lower()):
        assert not is_lei(wrong)
        with pytest.raises(ConfigurationError, match="no legal entity identifier"):
            report_to_xbrl_json(small_report(), lei=wrong)


@pytest.mark.parametrize(
    ("code", "cell_id", "changes"),
    [
        ("unknown_concept", "small/goods", {"concept": "TotalGHGEmissions"}),
        ("unit_of_concept", "small/goods", {"unit": "kgCO2e"}),
        ("unit_of_concept", "small/goods", {"unit": "MWh"}),
        ("unit_of_concept", "small/revenue", {"unit": "euro"}),
        ("datapoint_of_concept", "small/goods", {"datapoint": "E1-6_12"}),
        ("value_of_concept", "small/goods", {"value": "much"}),
        (
            "axis_of_concept",
            "small/revenue",
            {"dimensions": (Dimension(axis=COUNTRY_AXIS, member="DE"),)},
        ),
        (
            "axis_of_concept",
            "small/scope_1",
            {"dimensions": (Dimension(axis=COUNTRY_AXIS, member="DE", is_typed=True),)},
        ),
        (
            "axis_of_concept",
            "small/scope_1",
            {"dimensions": (Dimension(axis=COUNTRY_AXIS, member="not a name"),)},
        ),
        (
            "axis_of_concept",
            "small/scope_1",
            {"dimensions": (Dimension(axis=COUNTRY_AXIS, member="DE"),) * 2},
        ),
        ("fact_twice", "small/goods", {"dimensions": ()}),
        ("fact_of_several_years", "small/freight", {"year": 2024}),
    ],
)
def test_what_the_taxonomy_does_not_allow_is_refused(
    code: str, cell_id: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(BrokenInvariant) as caught:
        report_to_xbrl_json(with_cell(small_report(), cell_id, **changes))
    assert caught.value.code == code


def test_the_same_said_twice_is_one_fact() -> None:
    report = small_report()
    twin = replace(report.cells()["small/goods"], cell_id="small/goods again")
    (section,) = report.sections
    more = replace(section, cells={**section.cells, twin.cell_id: twin})
    found = facts(replace(report, sections=(more,)))
    assert "c.small.goods" in found
    assert not [name for name in found if "again" in name]


def test_a_typed_axis_has_text_as_its_member() -> None:
    typed = Dimension(axis="NameOfSubsidiaryTypedAxis", member="Stahl & Söhne", is_typed=True)
    found = facts(with_cell(small_report(), "small/scope_1", dimensions=(typed,)))
    assert found["c.small.scope_1"]["dimensions"]["esrs:NameOfSubsidiaryTypedAxis"] == (
        "Stahl & Söhne"
    )


def test_a_profile_without_concepts_has_no_facts_to_give() -> None:
    with pytest.raises(ConfigurationError, match="has a concept of a taxonomy"):
        report_to_xbrl_json(esrs_e1(inputs(), "esrs_2026"))


def test_every_type_of_the_profile_has_a_unit_here() -> None:
    assert UNITS.keys() == UNIT_OF.keys()
    figures = {one.item for one in CONCEPTS.values()} - {"text"}
    assert figures <= UNIT_OF.keys()


def test_every_category_has_the_taxonomy_s_member_of_its_number() -> None:
    for number in CATEGORIES:
        member = category_dimension(number).member
        assert member.startswith(f"Category{number}")
        assert not member[len(f"Category{number}")].isdigit()


def test_the_year_of_a_cell_is_its_own_or_that_of_its_parts() -> None:
    parts = {
        name: Cell(cell_id=name, value=Decimal(1), operation="stated", year=year)
        for name, year in (("a", 2024), ("b", None))
    }
    made = Cell(cell_id="c", value=Decimal(2), operation="sum", inputs=("a", "b"))
    assert year_of(made, parts, 2025) == 2024
    assert year_of(parts["b"], parts, 2025) == 2025
