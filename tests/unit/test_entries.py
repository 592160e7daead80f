"""An entry's bytes, hash, identity and negative."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, localcontext
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon_ledger.entries import (
    CANONICAL,
    CANONICAL_OF,
    COLUMNS,
    POSTED_COLUMNS,
    PREIMAGE,
    QUALITY_COLUMNS,
    EntryRow,
    canonical_bytes,
    content_sha256,
    entry_id,
    numeric_text,
    posted_text,
    reversal_of,
    sealed,
)
from carbon_ledger.errors import BrokenInvariant
from tests.support.entry_examples import RECORDED_AT, examples, of_version_1
from tests.support.postgres import reading

GOLDEN = Path(__file__).parent.parent / "golden" / "entry_bytes.json"
GOLDEN_1 = GOLDEN.with_name("entry_bytes_1.json")


def described(row: EntryRow) -> dict[str, object]:
    """What the golden file says of an entry: every field as spelled, the hash, the identity."""
    spelled = canonical_bytes(row).decode().split("\x1f")
    names = [name for name, _ in CANONICAL_OF[row.preimage]]
    named = dict(zip(["preimage", *names], spelled, strict=True))
    return {
        "fields": {name: None if text == "\x00" else text for name, text in named.items()},
        "content_sha256": content_sha256(row).hex(),
    }


def test_every_example_has_the_bytes_that_were_settled_once() -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert {name: described(row) for name, row in examples().items()} == golden


def test_entries_of_version_1_keep_the_bytes_that_were_settled_for_them() -> None:
    golden = json.loads(GOLDEN_1.read_text(encoding="utf-8"))
    rows = {
        name: of_version_1(row)
        for name, row in examples().items()
        if row.reverses_id is None and name != "unscored"
    }
    assert {name: described(row) for name, row in rows.items()} == golden


@pytest.mark.parametrize("column", QUALITY_COLUMNS)
def test_an_entry_of_version_1_says_nothing_that_its_bytes_leave_out(column: str) -> None:
    value = getattr(reading(0), column)
    with pytest.raises(BrokenInvariant) as caught:
        content_sha256(replace(of_version_1(reading(0)), **{column: value}))
    assert caught.value.code == "entry_quality_unhashed"


def test_a_version_of_the_bytes_that_there_is_not_is_refused() -> None:
    with pytest.raises(BrokenInvariant) as caught:
        canonical_bytes(replace(reading(0), preimage=3))
    assert caught.value.code == "entry_preimage"
    assert "1, 2" in caught.value.message


def test_what_takes_back_an_entry_of_version_1_is_of_the_present_version() -> None:
    back = reversal_of(of_version_1(reading(0)), recorded_at=RECORDED_AT, cause="wrong meter")
    assert back.preimage == PREIMAGE == 2
    assert [getattr(back, column) for column in QUALITY_COLUMNS] == [None] * 6
    assert content_sha256(back) == back.content_sha256


@pytest.mark.parametrize("golden", [GOLDEN, GOLDEN_1], ids=["version 2", "version 1"])
def test_the_bytes_follow_from_the_golden_fields_by_the_written_rule_alone(golden: Path) -> None:
    for name, said in json.loads(golden.read_text(encoding="utf-8")).items():
        texts = ["\x00" if text is None else text for text in said["fields"].values()]
        written = hashlib.sha256("\x1f".join(texts).encode()).hexdigest()
        assert written == said["content_sha256"], name


def test_the_canonical_columns_are_the_table_s_in_order_without_hash_and_batch() -> None:
    expected = [c for c in COLUMNS if c not in ("content_sha256", "batch_id", "preimage")]
    assert [name for name, _ in CANONICAL] == expected
    assert tuple(field.name for field in fields(EntryRow)) == COLUMNS


@pytest.mark.parametrize(
    "column", [name for name, _ in CANONICAL if name not in ("quantity", "category")]
)
def test_any_change_of_any_column_changes_the_hash(column: str) -> None:
    row = examples()["full"]
    other = examples()["reversal_of_zero"]
    value = getattr(other, column)
    if value == getattr(row, column):
        value = {str: "changed", int: 77}.get(type(value), datetime(2025, 1, 1, tzinfo=UTC))
        if column in ("activity_month", "local_date"):
            value = datetime(2025, 1, 1, tzinfo=UTC).date()
        if column.endswith("sha256"):
            value = b"\x09" * 32
    assert content_sha256(replace(row, **{column: value})) != content_sha256(row)


def test_the_batch_that_carried_an_entry_does_not_change_its_hash() -> None:
    row = reading(0)
    assert content_sha256(replace(row, batch_id=99, content_sha256=b"x")) == row.content_sha256


def test_a_null_and_an_empty_text_are_told_apart() -> None:
    assert content_sha256(reading(0, region=None)) != content_sha256(reading(0, region=""))


@pytest.mark.parametrize("character", ["\x00", "\x1f", "\n", "\x7f"])
def test_a_control_character_is_refused_wherever_it_hides(character: str) -> None:
    row = replace(reading(0), facility_id=f"a{character}b")
    with pytest.raises(BrokenInvariant) as caught:
        canonical_bytes(row)
    assert caught.value.code == "entry_control_character"


@pytest.mark.parametrize("character", ["\x00", "\x1f"])
def test_a_control_character_in_other_gases_cannot_imitate_the_separator(character: str) -> None:
    row = replace(reading(0), other_gases={f"a{character}b": "1"})
    assert canonical_bytes(row).count(b"\x1f") == len(CANONICAL)


@pytest.mark.parametrize("value", ["0.0000000000001", "1E+27", "NaN", "Infinity"])
def test_a_figure_that_would_have_to_be_rounded_or_does_not_fit_is_refused(value: str) -> None:
    with pytest.raises(BrokenInvariant):
        canonical_bytes(replace(reading(0), kgco2e=Decimal(value)))


def test_a_float_in_other_gases_is_refused() -> None:
    with pytest.raises(BrokenInvariant):
        canonical_bytes(replace(reading(0), other_gases={"sf6": 0.1}))  # type: ignore[dict-item]


def test_a_time_without_zone_is_refused() -> None:
    naive = datetime(2024, 1, 1)  # noqa: DTZ001
    with pytest.raises(BrokenInvariant):
        canonical_bytes(replace(reading(0), occurred_from=naive))


def test_the_zone_a_moment_is_written_in_does_not_matter() -> None:
    row = reading(0)
    seoul = timezone(timedelta(hours=9))
    moved = replace(row, occurred_from=row.occurred_from.astimezone(seoul))
    assert content_sha256(moved) == row.content_sha256


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("1E+3", "1000"),
        ("1.50E-3", "0.00150"),
        ("-0.00", "0.00"),
        ("0E+5", "0"),
        ("-1.5", "-1.5"),
        ("1E-24", "0.000000000000000000000001"),
    ],
)
def test_a_numeric_is_spelled_as_postgresql_prints_it(written: str, text: str) -> None:
    assert numeric_text(Decimal(written)) == text


@given(
    st.decimals(
        min_value=Decimal("-99999999999999999999999999"),
        max_value=Decimal("99999999999999999999999999"),
        places=12,
        allow_nan=False,
    )
)
def test_a_posted_figure_is_spelled_with_twelve_decimals_and_nothing_lost(value: Decimal) -> None:
    text = posted_text(value)
    assert Decimal(text) == value
    assert len(text.partition(".")[2]) == 12


def test_an_entry_id_is_a_version_8_uuid_that_begins_with_the_end_of_the_activity() -> None:
    moment = datetime(2024, 3, 1, 12, 0, 0, 123999, tzinfo=UTC)
    found = entry_id("iot:meter-1@2024-03-01T12:00:00Z#0", 1, moment)
    assert found.version == 8
    assert found.variant == "specified in RFC 4122"
    assert found.int >> 80 == int(moment.timestamp() * 1000)
    assert found == entry_id("iot:meter-1@2024-03-01T12:00:00Z#0", 1, moment)


def test_the_74_hash_bits_of_an_entry_id_are_where_the_standard_wants_them() -> None:
    moment = datetime(2024, 3, 1, tzinfo=UTC)
    digest = hashlib.sha256(b"carbon-entry-id/1\x1fe#0\x1f2\x1freversal").digest()
    bits = f"{int.from_bytes(digest, 'big'):0256b}"[:74]
    found = f"{entry_id('e#0', 2, moment, 'reversal').int:0128b}"
    assert found[48:52] == "1000"
    assert found[64:66] == "10"
    assert found[52:64] + found[66:] == bits


@given(st.sampled_from(["event_id", "line_no", "salt"]))
def test_event_line_and_salt_each_make_another_id(which: str) -> None:
    moment = datetime(2024, 3, 1, tzinfo=UTC)
    plain = {"event_id": "e#0", "line_no": 1, "salt": ""}
    other = {"event_id": "e#1", "line_no": 2, "salt": "reversal"}
    changed = {**plain, which: other[which]}
    assert entry_id(occurred_to=moment, **plain) != entry_id(occurred_to=moment, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["plain", "full", "huge", "tiny", "zero", "scope_3"])
def test_a_reversal_and_its_entry_add_up_to_nothing(name: str) -> None:
    row = examples()[name]
    # A careless unary minus would round to the ambient context's digits.
    with localcontext() as context:
        context.prec = 5
        back = reversal_of(row, recorded_at=RECORDED_AT, cause="why")
    with localcontext() as context:
        context.prec = 100
        for column in (*POSTED_COLUMNS, "quantity"):
            posted, taken = getattr(row, column), getattr(back, column)
            assert (posted is None) == (taken is None)
            assert posted is None or posted + taken == 0
    assert back.reverses_id == row.entry_id
    assert back.entry_id != row.entry_id
    assert back.content_sha256 == content_sha256(back)
    assert (back.event_id, back.claim_key, back.factor_id, back.flags, back.local_date) == (
        *(row.event_id, row.claim_key, row.factor_id, row.flags),
        row.local_date,
    )


def test_a_reversal_of_zero_is_zero_and_not_minus_zero() -> None:
    back = examples()["reversal_of_zero"]
    assert (str(back.quantity), str(back.kgco2e)) == ("0.000", "0")


def test_a_reversal_negates_the_other_gases_too() -> None:
    assert examples()["reversal"].other_gases == {
        "sf6": "-0.000000000001",
        "hfc_134a": "-1.5",
        "über": "0",
    }


def test_a_reversal_cannot_be_reversed() -> None:
    with pytest.raises(BrokenInvariant) as caught:
        reversal_of(examples()["reversal"], recorded_at=RECORDED_AT, cause="why")
    assert caught.value.code == "reversal_of_reversal"


@pytest.mark.parametrize("cause", ["", "  "])
def test_a_reversal_needs_a_cause(cause: str) -> None:
    with pytest.raises(BrokenInvariant) as caught:
        reversal_of(reading(0), recorded_at=RECORDED_AT, cause=cause)
    assert caught.value.code == "reversal_without_cause"


def test_sealing_twice_changes_nothing() -> None:
    assert sealed(sealed(reading(0))) == reading(0)
    assert isinstance(reading(0).entry_id, UUID)
