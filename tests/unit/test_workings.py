"""A figure is exactly the sum of its products, rounded once, and its text is of one line each."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.workings import Operand, Term, exact_text, one_line, posted_fraction

NUMBERS = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9),
    st.fractions(min_value=-(10**6), max_value=10**6, max_denominator=10**6),
)


def operand(value: Decimal | Fraction, *, divides: bool = False) -> Operand:
    return Operand(value=value, unit="1", label="a number", divides=divides)


@given(
    st.lists(st.tuples(NUMBERS, st.booleans()), min_size=1, max_size=6), st.sampled_from((1, -1))
)
@settings(max_examples=200, deadline=None)
def test_a_term_is_the_exact_product_of_its_operands(
    parts: list[tuple[Decimal | Fraction, bool]], sign: int
) -> None:
    term = Term(
        operands=tuple(operand(value, divides=divides) for value, divides in parts), sign=sign
    )
    if any(divides and not value for value, divides in parts):
        with pytest.raises(RejectedRecord) as caught:
            term.exact()
        assert caught.value.code == "division_by_zero"
        assert caught.value.field == "a number"
        return
    factors = (1 / Fraction(value) if divides else Fraction(value) for value, divides in parts)
    assert term.exact() == sign * prod(factors)


@pytest.mark.parametrize(
    ("exact", "posted"),
    [
        ("1/2000000000000", "0E-12"),
        ("3/2000000000000", "2E-12"),
        ("5/2000000000000", "2E-12"),
        ("-3/2000000000000", "-2E-12"),
        ("-1/2000000000000", "0E-12"),
        ("1/3", "0.333333333333"),
        ("99999999999999999999999999", "99999999999999999999999999.000000000000"),
    ],
)
def test_a_figure_is_rounded_half_even_to_twelve_decimals(exact: str, posted: str) -> None:
    assert posted_fraction(Fraction(exact)).as_tuple() == Decimal(posted).as_tuple()


def test_a_figure_beyond_the_ledger_is_refused() -> None:
    for sign in (1, -1):
        with pytest.raises(RejectedRecord) as caught:
            posted_fraction(Fraction(sign * 10**26))
        assert caught.value.code == "out_of_range"


def test_a_text_that_would_begin_another_line_does_not() -> None:
    assert one_line("kept: é, 二, x 1/3") == "kept: é, 二, x 1/3"
    for odd in "\n\r\t\v\f\x00\x1b\x85\u2028\u2029\u202e\ud800":
        assert one_line(f"a{odd}b") == "a b"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(1, 3), "1/3"),
        (Fraction(45359237, 10**8), "0.45359237"),
        (Fraction(-1, 8), "-0.125"),
        (Fraction(2500, 9), "2500/9"),
        (Fraction(0), "0"),
        (Fraction(3), "3"),
    ],
)
def test_a_ratio_that_ends_is_written_as_a_decimal(value: Fraction, text: str) -> None:
    assert exact_text(value) == text
    assert Fraction(text) == value
