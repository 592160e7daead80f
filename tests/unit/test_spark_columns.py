"""Whole columns spelled at once are what carbon_ledger says value by value."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from carbon_ledger.calculate import posted_product
from carbon_ledger.entries import entry_id
from spark.archive import HEADERS, headers_from_json
from spark.columns import entry_ids, hex_texts, posted_products, sha256_of_each

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PLAIN = st.from_regex(r"(0|[1-9][0-9]{0,17})(\.[0-9]{1,12})?", fullmatch=True)
FACTORS = st.decimals(min_value=0, max_value=10_000, allow_nan=False, allow_infinity=False).map(
    lambda value: value.quantize(Decimal("1E-20")).normalize()
)


@given(texts=st.lists(st.text(min_size=1), min_size=1, max_size=5), at=st.integers(0, 4 * 10**12))
def test_entry_ids_are_those_of_the_ledger(texts: list[str], at: int) -> None:
    moments = np.array([at + number for number in range(len(texts))], dtype=np.int64)
    column = entry_ids(pa.array(texts, pa.string()), moments)
    assert column.to_pylist() == [
        str(entry_id(text, 1, EPOCH + timedelta(milliseconds=int(moment))))
        for text, moment in zip(texts, moments.tolist(), strict=True)
    ]


@given(values=st.lists(st.binary(min_size=5, max_size=80), min_size=1, max_size=5))
def test_hashes_are_those_of_each_value(values: list[bytes]) -> None:
    column = pa.array(values, pa.binary())
    assert hex_texts(sha256_of_each(column, 5)).to_pylist() == [
        hashlib.sha256(value[5:]).hexdigest() for value in values
    ]


@given(
    quantities=st.lists(PLAIN, min_size=1, max_size=6),
    factors=st.lists(st.one_of(st.none(), FACTORS), min_size=1, max_size=3),
    data=st.data(),
)
def test_products_are_exact_and_rounded_once(
    quantities: list[str], factors: list[Decimal | None], data: st.DataObject
) -> None:
    codes = [data.draw(st.integers(0, len(factors) - 1)) for _ in quantities]
    column = posted_products(pa.array(quantities, pa.string()), factors, np.array(codes))
    expected = [
        None
        if (factor := factors[code]) is None
        else f"{posted_product(Decimal(text), factor, field='x'):f}"
        for text, code in zip(quantities, codes, strict=True)
    ]
    assert column.to_pylist() == expected


def test_a_tie_goes_to_the_even_digit_and_a_small_figure_has_no_exponent() -> None:
    column = posted_products(
        pa.array(["0.000000000001", "0.000000000003", "0", "0.000000000001"]),
        [Decimal("0.5"), Decimal(1)],
        np.array([0, 0, 1, 1]),
    )
    assert column.to_pylist() == [
        "0.000000000000",
        "0.000000000002",
        "0.000000000000",
        "0.000000000001",
    ]


def test_headers_come_back_as_they_were_sent() -> None:
    texts = pa.array(
        [None, '[{"key":"a","value":"AP8="},{"key":"b"},{"key":"a","value":""}]', "[]"], pa.string()
    )
    assert headers_from_json(texts).to_pylist() == [
        None,
        [
            {"key": "a", "value": b"\x00\xff"},
            {"key": "b", "value": None},
            {"key": "a", "value": b""},
        ],
        [],
    ]
    assert headers_from_json(pa.nulls(3, pa.string())).type == HEADERS
