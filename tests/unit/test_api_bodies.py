"""Bodies: JSON is read exactly or refused; rows are cut without losing a byte."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.bodies import DEPTH_MAX, read_json
from api.problems import Problem
from api.rows import ROW_BYTES_MAX, ROWS_MAX, rows_of
from carbon_ledger.errors import RejectedRecord


def test_numbers_stay_as_they_were_written() -> None:
    found = read_json(b'{"a": 0.1, "b": 1e400, "c": 12345678901234567890.123456789, "d": 7}')
    assert found == {
        "a": Decimal("0.1"),
        "b": Decimal("1e400"),
        "c": Decimal("12345678901234567890.123456789"),
        "d": 7,
    }


REFUSED = {
    "nothing": (b"", "not_json"),
    "half": (b'{"a": ', "not_json"),
    "not a number": (b'{"a": NaN}', "not_json"),
    "endless": (b"[-Infinity]", "not_json"),
    "no UTF-8": (b'"\xff"', "not_utf8"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "not_json"),
    "a NUL": (b'{"a": "x\\u0000"}', "nul_byte"),
    "a NUL in a name": (b'{"\\u0000": 1}', "nul_byte"),
    "half of a pair": (b'["\\ud800"]', "not_text"),
    "a name twice": (b'{"a": 1, "a": 2}', "name_twice"),
    "a name twice, inside": (b'[{"b": {"a": 1, "a": 1}}]', "name_twice"),
    "a number of many digits": (b"[" + b"9" * 5000 + b"]", "out_of_range"),
    "a fraction of many digits": (b"[0." + b"9" * 5000 + b"]", "out_of_range"),
    "deep": (b"[" * (DEPTH_MAX + 2) + b"]" * (DEPTH_MAX + 2), "too_deep"),
    "very deep": (b"[" * 200_000, "not_json"),
}


@pytest.mark.parametrize(("body", "code"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_plain_document_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(RejectedRecord) as caught:
        read_json(body)
    assert caught.value.code == code


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@settings(max_examples=40)
@given(st.lists(VALUES, min_size=1, max_size=5), st.sampled_from([None, 1]))
def test_an_array_is_cut_into_what_was_in_it(values: list[object], indent: int | None) -> None:
    rows = rows_of(json.dumps(values, indent=indent).encode())
    assert [json.loads(row) for row in rows] == values


@settings(max_examples=40)
@given(st.lists(st.dictionaries(st.text(max_size=5), VALUES), min_size=1, max_size=5))
def test_lines_are_cut_into_what_was_in_them(values: list[object]) -> None:
    body = "\r\n".join(json.dumps(value) for value in values) + "\n\n"
    assert [json.loads(row) for row in rows_of(body.encode())] == values


def test_a_row_keeps_its_own_bytes() -> None:
    assert rows_of(b' [ {"a": 1.50} , {"b":2}] ') == [b'{"a": 1.50}', b'{"b":2}']
    assert rows_of(b'{"a": 1.50}\n{oops\n') == [b'{"a": 1.50}', b"{oops"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "no_rows"),
        (b"\n \n", "no_rows"),
        (b"[]", "no_rows"),
        (b"[1", "not_json"),
        (b"[1,]", "not_json"),
        (b"[1 2]", "not_json"),
        (b"[1] x", "not_json"),
        (b"[\xff]", "not_utf8"),
        (b"[" * 200_000, "not_json"),
    ],
)
def test_what_holds_no_rows_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(RejectedRecord) as caught:
        rows_of(body)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"1\n" * (ROWS_MAX + 1), "too_many_rows"),
        (b"[" + b"1," * ROWS_MAX + b"1]", "too_many_rows"),
        (b'"' + b"x" * ROW_BYTES_MAX + b'"', "row_too_large"),
    ],
)
def test_rows_are_bounded(body: bytes, code: str) -> None:
    with pytest.raises(Problem) as caught:
        rows_of(body)
    assert (caught.value.status, caught.value.code) == (413, code)
