"""What reports take from the register and from the sums of entries: amounts by days, potentials."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.reference.records import Disclosure
from carbon_ledger.reference.register import Register
from carbon_ledger.reporting.cube import CubeRow, Selection
from carbon_ledger.reporting.potentials import inventory_set
from carbon_ledger.reporting.stated import Stated, part_of_amount
from carbon_ledger.store.connect import query
from carbon_ledger.store.report_inputs import _sites
from carbon_ledger.store.report_statements import statements_of
from carbon_ledger.store.reports import _figures
from tests.support.reference_examples import site


def stated(subject: str, begin: str, end: str, **more: Any) -> Disclosure:
    plain = {"organization_id": "acme", "source": "plan", "valid_from": begin, "valid_to": end}
    return Disclosure(**{**plain, "subject": subject, **more})


def of_years(*records: Disclosure) -> dict[int, list[Stated]]:
    found = statements_of(Register(records=records), "acme", {2025, 2026, 2027})
    return {year: [one for one in found if one.fiscal_year == year] for year in (2025, 2026, 2027)}


def test_an_amount_of_two_years_is_of_each_by_days_and_never_of_both_in_full() -> None:
    found = of_years(stated("removal_own", "2025-01-01", "2027-01-01", item="dac", value="730"))
    assert [one.value for one in found[2025]] == [Decimal(365)]
    assert [one.value for one in found[2026]] == [Decimal(365)]
    assert found[2027] == []
    assert found[2025][0].source == "plan; 365 of its 730 days"


def test_an_amount_of_exactly_a_year_is_as_stated_and_halves_are_added_up() -> None:
    whole = stated("credits_eu", "2025-01-01", "2026-01-01", value="7.123456789012345")
    assert [(one.value, one.source) for one in of_years(whole)[2025]] == [
        (Decimal("7.123456789012345"), "plan")
    ]
    halves = (
        stated("credits_eu", "2025-01-01", "2025-07-01", value="1"),
        stated("credits_eu", "2025-07-01", "2026-01-01", value="2", source="second plan"),
    )
    assert [(one.value, one.source) for one in of_years(*halves)[2025]] == [
        (Decimal(3), "plan; second plan")
    ]


def test_words_and_plans_are_of_the_year_that_begins_in_their_period() -> None:
    found = of_years(
        stated("category_excluded", "2025-01-01", "2027-01-01", item="7", text="small"),
        stated("credits_planned", "2025-01-01", "2027-01-01", item="2030", value="5"),
    )
    assert [one.subject for one in found[2026]] == ["category_excluded", "credits_planned"]
    assert found[2026][1].value == Decimal(5)


@given(
    st.decimals(min_value=-(10**9), max_value=10**9, places=6),
    st.integers(min_value=0, max_value=900),
    st.integers(min_value=1, max_value=2000),
)
def test_the_parts_of_all_years_are_the_whole(value: Decimal, offset: int, days: int) -> None:
    begin = date.fromordinal(date(2024, 1, 1).toordinal() + offset)
    end = date.fromordinal(begin.toordinal() + days)
    parts = [
        part_of_amount(value, (begin, end), (date(year, 1, 1), date(year + 1, 1, 1)))
        for year in range(begin.year, end.year + 1)
        if date(year, 1, 1) < end
    ]
    assert sum(part for part, _, _ in parts) == value
    assert sum(count for _, count, _ in parts) == days


def test_a_change_against_the_year_before_is_of_one_year() -> None:
    with pytest.raises(RejectedRecord) as caught:
        stated("emissions_change", "2025-01-01", "2027-01-01", item="output", value="-5")
    assert (caught.value.code, caught.value.field) == ("not_a_year", "valid_to")
    stated("emissions_change", "2025-01-01", "2026-01-01", item="output", value="-5")


@pytest.mark.parametrize("text", ["52.5", "91, 0", "0, 181", "a, b", "52.5 13.4", "1e1, 2"])
def test_coordinates_are_two_numbers_of_degrees(text: str) -> None:
    given_site = {"item": "plant", "text": text}
    with pytest.raises(RejectedRecord) as caught:
        stated("site_coordinates", "2025-01-01", "2026-01-01", **given_site)
    assert (caught.value.field, caught.value.value) == ("text", text)


def test_a_site_has_the_division_and_coordinates_that_are_stated_of_it() -> None:
    records = (
        site("plant", organization_id="acme"),
        site("office", organization_id="acme"),
        stated("site_division", "2025-01-01", "2026-01-01", item="plant", text="Castings"),
        stated("site_coordinates", "2025-01-01", "2026-01-01", item="plant", text="-52.52, 13.4"),
    )
    register = Register(records=records)
    found = _sites(
        register, date(2025, 1, 1), date(2026, 1, 1), statements_of(register, "acme", {2025})
    )
    plant, office = found["plant"], found["office"]
    assert (plant.division, plant.latitude, plant.longitude) == (
        "Castings",
        Decimal("-52.52"),
        Decimal("13.4"),
    )
    assert (office.division, office.latitude) == ("", None)


ROW = CubeRow(
    scope=1, category=None, basis="combustion", stream="iot_energy", facility_id="plant",
    country_iso2="DE", activity_type="fuel:natural_gas", unit="kWh", method="measured",
    gwp_set="AR5", gas_split="available", factor_id="f", factor_version=1,
    kgco2e=Decimal(10), kg_ch4=Decimal(1), entries=3,
)  # fmt: skip


def test_the_set_of_potentials_is_the_one_in_the_figures() -> None:
    assert inventory_set((ROW,)) == "AR5"
    # Published potentials of a figure whose gases are not known, and carbon dioxide alone, say
    # nothing; of several sets, that of most entries.
    embedded = replace(ROW, gwp_set="AR4", gas_split="not_available", entries=90)
    carbon = replace(ROW, gwp_set="SAR", kg_ch4=Decimal(0), entries=90)
    assert inventory_set((embedded, carbon, ROW)) == "AR5"
    assert inventory_set((ROW, replace(ROW, gwp_set="AR6", entries=4))) == "AR6"
    assert inventory_set((ROW, replace(ROW, gwp_set="AR6", entries=2))) == "AR5"
    assert inventory_set((embedded, carbon)) == "AR6"


@pytest.mark.parametrize(
    ("kgco2e", "substituted", "share"),
    [
        ("100", "25", Decimal("0.250000000000")),
        ("100", "100", Decimal(1)),
        # A correction without a substitute is larger than what it corrects: 60 % of -10 is none.
        ("-10", "6", None),
        ("10", "16", None),
        ("0", "0", None),
    ],
)
def test_a_share_of_substitutes_is_a_part_of_a_whole_or_none(
    kgco2e: str, substituted: str, share: Decimal | None
) -> None:
    found = _figures(
        {
            "organization_id": "acme",
            "country_iso2": "DE",
            "kgco2e": Decimal(kgco2e),
            "substituted_kgco2e": Decimal(substituted),
            "entries": 1,
            "factor_releases": ["r"],
        }
    )
    assert found["substituted_share"] == share


def test_what_a_selection_asks_is_asked_of_entries_and_of_cells_alike() -> None:
    """A list that one of the queries forgot makes a cell's trail and an entry's page disagree."""
    names = [one.name for one in fields(Selection)]
    entries, cells = (query(one).decode() for one in ("report_entries", "reports_reached"))
    assert [one for one in names if f"%({one})s" not in entries] == []
    assert [one for one in names if f"c.selection -> '{one}'" not in cells] == []
