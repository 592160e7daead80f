"""The door for numbers, the one rounding, and the energy units."""

from __future__ import annotations

import decimal
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.quantities import (
    POSTED_SCALE,
    canonical_text,
    decimal_from,
    exact_product,
    quantize_posted,
)
from carbon_ledger.units import DIMENSIONS, convert


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("3.17", "3.17"),
        ("0.10", "0.10"),
        ("-4", "-4"),
        ("+1.5e3", "1.5E+3"),
        (7, "7"),
        (0.1, "0.1"),
        (1e-7, "1E-7"),
        (Decimal("2.50"), "2.50"),
        ("9" * 38, "9" * 38),
    ],
)
def test_a_number_enters_exactly_as_written(value: object, expected: str) -> None:
    assert str(decimal_from(value)) == expected


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("", "not_a_number"),
        (" 1", "not_a_number"),
        ("1\n", "not_a_number"),
        ("1,5", "not_a_number"),
        ("1_000", "not_a_number"),
        ("\u0661", "not_a_number"),
        ("0x10", "not_a_number"),
        (".5", "not_a_number"),
        ("1e", "not_a_number"),
        ("1" * 101, "not_a_number"),
        (None, "not_a_number"),
        (True, "not_a_number"),
        (b"1", "not_a_number"),
        (Fraction(1, 3), "not_a_number"),
        ("NaN", "not_finite"),
        ("sNaN", "not_finite"),
        ("-Infinity", "not_finite"),
        (float("nan"), "not_finite"),
        (float("inf"), "not_finite"),
        (Decimal("NaN"), "not_finite"),
        ("1e400", "out_of_range"),
        ("1e-400", "out_of_range"),
        ("9" * 39, "out_of_range"),
        pytest.param(10**5000, "out_of_range", id="giant integer"),
        (Decimal("1E+999999"), "out_of_range"),
    ],
)
def test_what_is_not_a_modest_finite_number_is_refused_by_name(value: object, code: str) -> None:
    with pytest.raises(RejectedRecord) as refusal:
        decimal_from(value, field="energy_kwh")
    assert refusal.value.code == code
    assert refusal.value.field == "energy_kwh"
    assert refusal.value.valid


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0.0000000000005", "0.000000000000"),
        ("0.0000000000015", "0.000000000002"),
        ("0.0000000000025", "0.000000000002"),
        ("0.00000000000250000000000000000000000001", "0.000000000003"),
        ("-0.0000000000001", "0.000000000000"),
        ("1E+25", "1" + "0" * 25 + "." + "0" * 12),
        ("99999999999999999999999999.9999999999994", "9" * 26 + "." + "9" * 12),
    ],
)
def test_a_posted_figure_is_rounded_half_even_to_twelve_decimals(value: str, expected: str) -> None:
    assert f"{quantize_posted(Decimal(value)):f}" == expected


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("1E+26", "out_of_range"),
        ("-1E+26", "out_of_range"),
        ("99999999999999999999999999.9999999999995", "out_of_range"),
        ("1E+999999", "out_of_range"),
        ("NaN", "not_finite"),
        ("Infinity", "not_finite"),
    ],
)
def test_a_figure_the_column_cannot_hold_is_refused(value: str, code: str) -> None:
    with pytest.raises(RejectedRecord) as refusal:
        quantize_posted(Decimal(value))
    assert refusal.value.code == code


def test_the_ambient_decimal_context_changes_nothing() -> None:
    product, gigajoule = Decimal("1.23456789012345678"), Decimal(1)
    before = (
        exact_product(product, product),
        quantize_posted(Decimal("0.0000000000025")),
        convert(gigajoule, "GJ", "kWh"),
    )
    with decimal.localcontext(decimal.Context(prec=2, rounding=decimal.ROUND_UP)):
        after = (
            exact_product(product, product),
            quantize_posted(Decimal("0.0000000000025")),
            convert(gigajoule, "GJ", "kWh"),
        )
    assert before == after


def test_a_product_that_cannot_be_exact_is_refused_not_rounded() -> None:
    long = Decimal("1." + "3" * 100)
    with pytest.raises(RejectedRecord, match="exactly") as refusal:
        exact_product(long, long)
    assert refusal.value.code == "out_of_range"


MODEST = st.decimals(
    min_value=Decimal("-1E+14"), max_value=Decimal("1E+14"), places=6, allow_nan=False
)


@given(left=MODEST, right=MODEST)
def test_products_are_exact(left: Decimal, right: Decimal) -> None:
    assert Fraction(exact_product(left, right)) == Fraction(left) * Fraction(right)


@given(value=st.fractions(min_value=-(10**20), max_value=10**20, max_denominator=10**18))
def test_rounding_agrees_with_integer_arithmetic(value: Fraction) -> None:
    # Only terminating fractions are decimals: scale to 18 places first.
    exact = Decimal(int(value * 10**18)).scaleb(-18, decimal.Context(prec=60))
    expected = Fraction(round(Fraction(exact) * 10**POSTED_SCALE), 10**POSTED_SCALE)
    assert Fraction(quantize_posted(exact)) == expected


@pytest.mark.parametrize(
    ("value", "from_unit", "to_unit", "expected"),
    [
        ("1", "MWh", "kWh", "1000"),
        ("1", "kWh", "GJ", "0.0036"),
        ("9", "GJ", "kWh", "2500"),
        ("1", "kWh", "J", "3600000"),
        ("3.6", "MJ", "kWh", "1"),
        ("1", "MMBtu", "J", "1055055852.62"),
    ],
)
def test_energy_units_convert_by_exact_ratios(
    value: str, from_unit: str, to_unit: str, expected: str
) -> None:
    assert convert(Decimal(value), from_unit, to_unit) == Decimal(expected)


@given(value=MODEST, units=st.tuples(*[st.sampled_from(sorted(DIMENSIONS["energy"]))] * 2))
def test_energy_units_round_trip(value: Decimal, units: tuple[str, str]) -> None:
    there, back = units
    returned = convert(convert(value, there, back), back, there)
    assert abs(Fraction(returned) - Fraction(value)) <= abs(Fraction(value)) / 10**60


def test_an_unknown_unit_is_refused_with_the_known_ones_named() -> None:
    with pytest.raises(RejectedRecord) as refusal:
        convert(Decimal(1), "kwhr", "J")
    assert refusal.value.code == "unknown_unit"
    assert "kWh" in str(refusal.value.valid)


@pytest.mark.parametrize(
    ("value", "text"),
    [("0.10", "0.1"), ("1E+3", "1000"), ("-0.0", "0"), ("100", "100"), ("0E-12", "0")],
)
def test_equal_values_have_one_spelling(value: str, text: str) -> None:
    assert canonical_text(Decimal(value)) == text
