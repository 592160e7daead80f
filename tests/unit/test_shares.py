"""Shares and allocation keys, and the unit a product of operands comes out in."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon_ledger.activities.shares import (
    Load,
    Output,
    allocate,
    limiting_key,
    product_of,
    share_operands,
)
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.unit_algebra import conversion, is_currency, quantity_unit


@pytest.mark.parametrize(
    ("value", "exact"),
    [
        ("0.25", "1/4"),
        ("1/3", "1/3"),
        (Fraction(2, 7), "2/7"),
        (1, "1"),
        ({"part": "5000", "whole": "15000"}, "1/3"),
        ({"part": "150", "of": ["240", "150", "100"]}, "15/49"),
        ({"part": "30", "whole": "100", "occupancy": "0.6"}, "1/2"),
    ],
)
def test_a_share_is_exact(value: object, exact: str) -> None:
    operands = share_operands(value, field="share", label="share")
    assert product_of(operands) == Fraction(exact)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("-0.1", "share_out_of_range"),
        ("4/3", "share_out_of_range"),
        ("1/0", "allocation_without_key"),
        ("a third", "not_a_number"),
        ({"part": "1"}, "missing_field"),
        ({"part": "1", "whole": "2", "of": ["1"]}, "missing_field"),
        ({"part": "1", "whole": "2", "hole": "3"}, "unknown_field"),
        ({"part": "-1", "whole": "2"}, "negative_quantity"),
        ({"part": "1", "of": "12"}, "not_a_list"),
        ({"part": "1", "of": []}, "not_a_list"),
        ({"part": "1", "of": ["1", "-1"]}, "negative_quantity"),
        ({"part": "2", "of": ["1"]}, "part_not_in_whole"),
        ({"part": "1", "whole": "2", "occupancy": "1.1"}, "share_out_of_range"),
    ],
)
def test_what_is_no_share_is_refused(value: object, code: str) -> None:
    with pytest.raises(RejectedRecord) as refused:
        share_operands(value, field="share", label="share")
    assert refused.value.code == code
    assert refused.value.valid


def _outputs(*amounts: str) -> list[Output]:
    return [
        Output(name=f"o{number}", amount=Decimal(amount)) for number, amount in enumerate(amounts)
    ]


@given(amounts=st.lists(st.integers(1, 10**9), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_allocated_shares_add_up_to_exactly_one(amounts: list[int]) -> None:
    shares = allocate(_outputs(*map(str, amounts)), key="mass", unit="kg")
    assert sum(map(product_of, shares.values()), Fraction(0)) == 1


def test_waste_bears_no_burden() -> None:
    outputs = [*_outputs("3", "1"), Output(name="scrap", amount=Decimal(96), is_waste=True)]
    shares = allocate(outputs, key="mass", unit="kg")
    assert [product_of(one) for one in shares.values()] == [Fraction(3, 4), Fraction(1, 4), 0]


@pytest.mark.parametrize(
    ("outputs", "key", "code"),
    [
        (_outputs("1"), "colour", "unknown_allocation_key"),
        (_outputs("1"), "revenue", "economic_key_refused"),
        (_outputs("0", "0"), "mass", "allocation_without_key"),
        (_outputs("1", "-1"), "mass", "negative_quantity"),
        ([*_outputs("1"), *_outputs("2")], "mass", "duplicate_output"),
        ([], "mass", "allocation_without_key"),
    ],
)
def test_an_allocation_that_cannot_be_is_refused(
    outputs: list[Output], key: str, code: str
) -> None:
    with pytest.raises(RejectedRecord) as refused:
        allocate(outputs, key=key, unit="kg")
    assert refused.value.code == code


def test_a_negative_output_is_named_with_the_most_negative_amount() -> None:
    with pytest.raises(RejectedRecord) as refused:
        allocate(_outputs("1", "-1", "-3"), key="mass", unit="kg")
    assert (refused.value.field, refused.value.value) == ("outputs", "-3")


def test_money_shares_out_only_where_nothing_physical_does() -> None:
    shares = allocate(_outputs("1", "3"), key="revenue", unit="EUR", has_physical_relation=False)
    assert product_of(shares["o1"]) == Fraction(3, 4)


def _load(mass: str, volume: str) -> Load:
    return Load(mass_kg=Decimal(mass), volume_m3=Decimal(volume))


@pytest.mark.parametrize(
    ("loads", "key"),
    [
        ([("9000", "10"), ("1000", "5")], "mass"),
        ([("500", "40"), ("500", "20")], "volume"),
        ([("5000", "40")], "mass"),
        ([("5000", "40.0001")], "volume"),
    ],
)
def test_whichever_limits_the_vehicle_shares_it_out(loads: list[tuple[str, str]], key: str) -> None:
    assert limiting_key([_load(*one) for one in loads], _load("10000", "80")) == key


@pytest.mark.parametrize(
    ("load", "capacity", "code", "value"),
    [
        (("10001", "1"), ("10000", "80"), "over_capacity", Fraction(10001, 10000)),
        (("1", "81"), ("10000", "80"), "over_capacity", Fraction(81, 80)),
        (("1", "1"), ("0", "80"), "allocation_without_key", 0),
    ],
)
def test_a_vehicle_that_cannot_take_it_is_refused_with_how_full_it_would_be(
    load: tuple[str, str], capacity: tuple[str, str], code: str, value: Fraction
) -> None:
    with pytest.raises(RejectedRecord) as refused:
        limiting_key([_load(*load)], _load(*capacity))
    assert (refused.value.code, Fraction(str(refused.value.value))) == (code, value)


@pytest.mark.parametrize(
    ("units", "target", "number"),
    [
        ([("t", False), ("km", False)], "tkm", "1"),
        ([("kg", False), ("km", False)], "tkm", "1/1000"),
        ([("m3", False), ("h", False)], "m3_day", "1/24"),
        ([("use per piece", False), ("piece", False), ("kWh per use", False)], "kWh", "1"),
        ([("MJ per use", False), ("use", False)], "kWh", "5/18"),
        ([("vehicle", False), ("mi", False)], "vkm", "1609344/1000000"),
        ([("kgCO2e", False), ("EUR", False), ("EUR", True)], "tCO2e", "1/1000"),
        ([("1", False), ("gal", False)], "L", "3785411784/1000000000"),
        ([("litre x 1", False)], "m3", "1/1000"),
        ([("lb", False), ("lb", True), ("kWh", False)], "kWh", "1"),
    ],
)
def test_a_product_of_units_is_exactly_so_many_of_the_target(
    units: list[tuple[str, bool]], target: str, number: str
) -> None:
    assert conversion(units, target) == Fraction(number)


@pytest.mark.parametrize(
    ("units", "target"),
    [
        ([("t", False)], "tkm"),
        ([("kWh per use", False)], "kWh"),
        ([("EUR", False)], "USD"),
        ([("kg", False)], "kgCO2e"),
        ([("uses", False), ("kWh per use", False)], "kWh"),
        ([("pkm", False)], "vkm"),
        ([("m2", False), ("m2", False)], "m2"),
    ],
)
def test_a_product_that_comes_out_otherwise_is_refused_with_what_is_left(
    units: list[tuple[str, bool]], target: str
) -> None:
    with pytest.raises(RejectedRecord, match=r"too much|lacking") as refused:
        conversion(units, target)
    assert refused.value.code == "incompatible_unit"


def test_a_currency_is_no_unit_of_measure_and_no_abbreviation_of_one() -> None:
    assert is_currency("EUR")
    assert not is_currency("TEU")
    assert not is_currency("FEU")
    for unit in ("Eur", "kwhh", "", "t CO2e", "%"):
        with pytest.raises(RejectedRecord) as refused:
            quantity_unit(unit)
        assert refused.value.code == "unknown_unit"
