"""The parts of a figure of transport: which gases, flags and potentials their sum has."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from carbon_ledger.greenhouse import CO2_BIOGENIC
from carbon_ledger.lines import Applied
from carbon_ledger.transport.parts import Part, factor_scores, joined, local_day, memo
from carbon_ledger.workings import Operand, Term
from tests.support.factor_examples import grid_query
from tests.support.meter_examples import plain_grid, shipped, stated
from tests.support.reference_examples import site

MATCH = stated(plain_grid("DE", "0.5")).book.match(grid_query("DE", 2024))


def term(kg: str, unit: str = "kgCO2e") -> Term:
    return Term(operands=(Operand(value=Decimal(kg), unit=unit, label="stated"),))


def piece(kg: str | None, *gases: str, label: str = "burnt", **changes: Any) -> Part:
    """A part of so many kgCO2e (None: it adds to no total) and 1 kg of each of these gases."""
    plain: dict[str, Any] = {
        "terms": () if kg is None else (term(kg),),
        "gas_terms": tuple((gas, (term("1", f"kg {gas}"),)) for gas in gases),
        "gwp_set": "AR6",
        "flags": (),
    }
    return Part(label=label, match=MATCH, applied=Applied(**{**plain, **changes}))


def gases_of(found: Applied) -> dict[str, int]:
    return {gas: len(terms) for gas, terms in found.gas_terms}


def test_a_sum_has_the_terms_of_its_parts_and_each_gas_of_all_of_them() -> None:
    found = joined([piece("2", "N2O", "CO2"), piece("3", "CO2", label="before")], "AR6")
    assert [one.exact() for one in found.terms] == [2, 3]
    assert gases_of(found) == {"CO2": 2, "N2O": 1}
    assert [one.label for one in dict(found.gas_terms)["CO2"]] == ["burnt", "before"]
    assert (found.gwp_set, found.flags) == ("AR6", ())


@pytest.mark.parametrize(
    ("parts", "gases", "is_incomplete"),
    [
        ([piece("2", "CO2"), piece("3")], {}, True),
        ([piece("2", "CO2", CO2_BIOGENIC), piece("3")], {CO2_BIOGENIC: 1}, True),
        # A memo gas alone does not say what the figure is made of.
        ([piece("2", "CO2"), piece("3", CO2_BIOGENIC)], {CO2_BIOGENIC: 1}, True),
        ([piece("2", CO2_BIOGENIC), piece("3")], {CO2_BIOGENIC: 1}, False),
        ([piece("2"), piece("3")], {}, False),
        # What adds to no total need not have gases, and its own stay.
        ([piece("2", "CO2"), piece(None)], {"CO2": 1}, False),
        ([piece("2", "CO2"), piece(None, CO2_BIOGENIC)], {"CO2": 1, CO2_BIOGENIC: 1}, False),
    ],
)
def test_the_gases_of_a_figure_are_all_of_it_or_none(
    parts: list[Part], gases: dict[str, int], is_incomplete: bool
) -> None:
    found = joined(parts, "AR6")
    assert gases_of(found) == gases
    assert ("gases_incomplete" in found.flags) is is_incomplete


@pytest.mark.parametrize(
    ("sets", "used", "is_embedded"),
    [
        (("AR6", "AR6"), "AR6", False),
        (("AR5", "AR5"), "AR5", False),
        (("AR6", "AR5"), "AR6", True),
        (("AR4", "AR5"), "AR6", True),
        (("AR5", "not_applicable"), "AR5", False),
        (("not_applicable", "not_applicable"), "not_applicable", False),
    ],
)
def test_the_potentials_of_a_sum_are_those_of_every_part_or_the_inventory_s_flagged(
    sets: tuple[str, ...], used: str, is_embedded: bool
) -> None:
    found = joined([piece("1", gwp_set=one) for one in sets], "AR6")
    assert (found.gwp_set, "gwp_set_embedded" in found.flags) == (used, is_embedded)
    aside = joined([piece("1", gwp_set="AR6"), piece(None, gwp_set="AR5")], "AR6")
    assert (aside.gwp_set, aside.flags) == ("AR6", ())


def test_carbon_dioxide_alone_and_the_rest_alone_are_whole_together() -> None:
    co2, rest = piece("1", flags=("co2_only", "x")), piece("2", flags=("ch4_n2o_only",))
    assert joined([co2, rest], "AR6").flags == ("x",)
    assert joined([co2, piece("2")], "AR6").flags == ("co2_only", "x")
    both = piece("1", flags=("ch4_n2o_only", "co2_only"))
    assert joined([both], "AR6").flags == ("ch4_n2o_only", "co2_only")


def test_a_memo_keeps_its_memo_gases_and_adds_to_no_total() -> None:
    found = memo(piece("2", "CO2", CO2_BIOGENIC, flags=("x",))).applied
    assert (found.terms, gases_of(found)) == ((), {CO2_BIOGENIC: 1})
    assert (found.gwp_set, found.flags) == ("not_applicable", ("x",))


@pytest.mark.parametrize(
    ("level", "geography"), [("region", 1), ("country", 1), ("proxy", 3), ("any", 3)]
)
@pytest.mark.parametrize(("gap", "time"), [(0, 1), (-3, 2), (None, 4)])
def test_a_published_factor_is_scored_by_its_vintage_and_its_place(
    level: Any, geography: int, gap: int | None, time: int
) -> None:
    match = replace(MATCH, geography_level=level, vintage_gap_years=gap)
    found = factor_scores(match, technology=3).as_tuple()
    assert (found[0], *found[3:]) == (3, 2, 2)
    assert (found[1], found[2]) == (time, geography)


def test_a_day_is_that_of_the_site_or_of_utc() -> None:
    inventory = shipped(site("depot", time_zone="America/New_York", country_iso2="US"))
    moment = datetime(2025, 3, 1, 3, tzinfo=UTC)
    assert local_day(moment, "depot", inventory) == date(2025, 2, 28)
    for facility in ("elsewhere", None):
        assert local_day(moment, facility, inventory) == date(2025, 3, 1)
