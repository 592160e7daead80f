"""Samples, digests, comparisons, and the spellings that outlive the database: pure parts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from carbon_ledger.digest import SetDigest
from carbon_ledger.entries import CANONICAL, EntryRow, reversal_of, sealed
from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.lineage import bundle_code
from carbon_ledger.lineage.compare import differences, reversal_differences
from carbon_ledger.lineage.part_terms import PartTerms, terms_of, terms_text
from carbon_ledger.lineage.plain import (
    made,
    plain_fields,
    reference_of,
    reference_text,
    release_of,
    release_text,
)
from carbon_ledger.lineage.sampling import draw, draw_evenly
from factor_seeds.load import release
from tests.support.event_cases import RECORDS
from tests.support.postgres import reading

LATER = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize("number", [1, 7, 100, 999, 1_000, 2_000])
def test_a_draw_gives_as_many_different_keys_whatever_the_order(number: int) -> None:
    chance = Random(3)
    sizes = [(n, Decimal(chance.randrange(-(10**9), 10**9)).scaleb(-6)) for n in range(990)]
    sizes += [(n, Decimal(0)) for n in range(990, 1_000)]
    first = draw(sizes, number, seed=5)
    chance.shuffle(sizes)
    assert draw(sizes, number, seed=5) == first
    assert len(set(first)) == len(first) == min(number, 1_000)
    if number <= 100:
        assert draw(sizes, number, seed=6) != first
        assert not set(first) & set(range(990, 1_000))


def test_a_draw_is_in_proportion_to_size_and_takes_what_is_larger_than_the_interval() -> None:
    sizes = [("huge", Decimal(-1000)), *((f"s{n}", Decimal(1)) for n in range(500))]
    sizes += [(f"b{n}", Decimal(3)) for n in range(500)]
    big = 0
    for seed in range(100):
        chosen = draw(sizes, 50, seed)
        assert "huge" in chosen
        big += sum(key.startswith("b") for key in chosen)
    # 49 drawn each time, three quarters of the size is in the big ones.
    assert abs(big - 100 * 49 * 3 // 4) < 150
    even = sum(
        key.startswith("b") for seed in range(100) for key in draw_evenly(dict(sizes), 50, seed)
    )
    assert abs(even - 100 * 50 // 2) < 250


def _rows() -> list[EntryRow]:
    rows = [reading(number) for number in range(20)]
    return sorted(rows, key=lambda row: row.entry_id)


def test_a_digest_is_of_everything_but_when_it_was_written() -> None:
    rows = _rows()
    before = SetDigest().add(rows).hexdigest()
    later = [sealed(replace(row, recorded_at=LATER, batch_id=77)) for row in rows]
    assert SetDigest().add(later).hexdigest() == before
    changes: dict[str, Any] = {
        "text": "x",
        "integer": 3,
        "numeric": Decimal("9.9"),
        "posted": Decimal("9.900000000000"),
        "timestamp": datetime(2024, 3, 9, tzinfo=UTC),
        "date": datetime(2024, 4, 1, tzinfo=UTC).date(),
        "uuid": None,
        "bytes": b"\x09" * 32,
        "json": {"SF6": "1"},
    }
    seen = {before}
    for name, kind in CANONICAL:
        if name in ("recorded_at", "entry_id"):
            continue
        value = rows[1].entry_id if kind == "uuid" else changes[kind]
        change: Any = {name: value}
        seen.add(SetDigest().add([replace(rows[0], **change), *rows[1:]]).hexdigest())
    assert len(seen) == len(CANONICAL) - 1
    assert SetDigest().add(rows[1:]).hexdigest() not in seen
    other = [replace(row, code_version="other") for row in rows]
    assert SetDigest().add(other).hexdigest() != before
    one, two = (SetDigest(any_code=True).add(some).hexdigest() for some in (rows, other))
    assert one == two != before


def test_a_digest_refuses_what_is_out_of_order_or_twice() -> None:
    rows = _rows()
    for wrong in ([rows[1], rows[0]], [rows[0], rows[0]]):
        with pytest.raises(BrokenInvariant, match="comes after"):
            SetDigest().add(wrong)


def test_every_field_that_differs_is_named_with_both_values() -> None:
    stored = reading(1)
    assert differences(stored, replace(stored, code_version="other")) == ()
    remade = replace(stored, kgco2e=stored.kgco2e + Decimal("1E-12"), flags="x")
    found = differences(stored, remade)
    assert [one.field for one in found] == ["kgco2e", "flags"]
    assert (found[0].stored, found[0].remade) == (f"{stored.kgco2e:f}", f"{remade.kgco2e:f}")
    # Altered together with what it is computed from: its own hash still tells.
    altered = replace(stored, flags="x")
    assert [one.field for one in differences(altered, remade)] == ["kgco2e", "content_sha256"]


def test_a_reversal_must_be_the_negative_and_say_why() -> None:
    original = reading(1)
    back = reversal_of(original, recorded_at=LATER, cause="revision 1 of x")
    assert reversal_differences(back, original, "revision 1 of x") == ()
    assert [one.field for one in reversal_differences(back, original, "revision 2 of x")] == [
        "cause"
    ]
    wrong = sealed(replace(back, kgco2e=back.kgco2e + 1))
    assert [one.field for one in reversal_differences(wrong, original, None)] == ["kgco2e"]


def test_rules_and_entries_come_back_as_they_were() -> None:
    known = [replace(one, recorded_at=LATER) for one in RECORDS]
    back = reference_of(reference_text(known))
    assert back == tuple(known)
    assert [one.recorded_at for one in back] == [LATER] * len(known)
    rows = release()
    assert release_of(release_text(rows)) == rows
    entry = replace(
        reading(1), other_gases={"SF6": "0.1"}, reverses_id=reading(2).entry_id, cause="why"
    )
    assert made(EntryRow, plain_fields(entry)) == entry
    with pytest.raises(BrokenInvariant):
        made(EntryRow, {**plain_fields(entry), "quantity": "much"})
    altered = release_text(rows).replace('"sha256": "0', '"sha256": "1', 1)
    with pytest.raises(BrokenInvariant, match="kept for release"):
        release_of(altered)


def test_the_terms_of_a_part_come_back_as_they_were() -> None:
    terms = PartTerms(
        stream="iot_energy",
        topic="raw.iot.energy",
        topic_incarnation=1,
        kafka_partition=3,
        start_offset=5,
        end_offset=9,
        batch_id=2,
        attempt=1,
        recorded_at=LATER + timedelta(microseconds=7),
        factor_release="2026.1-x",
        code_version="1",
        gwp_set="AR6",
        max_vintage_gap_years=5,
        reference_sha256="ab" * 32,
        schemas={7: "cd" * 32},
    )
    assert terms_of(terms_text(terms)) == terms
    for text in ("{}", "[]", "x", terms_text(terms).replace("carbon-part/1", "carbon-part/9")):
        with pytest.raises(BrokenInvariant) as error:
            terms_of(text)
        assert error.value.code == "part_terms"


def test_the_code_of_a_bundle_needs_nothing_but_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = bundle_code.needed_modules()
    assert "carbon_ledger.posting" in modules
    assert not [name for name in modules if name.startswith("carbon_ledger.store")]
    # Planted: a module that imports a library, and one that imports the store.
    for planted in ("import psycopg\n", "from carbon_ledger.store import rows\n"):
        (tmp_path / "carbon_ledger").mkdir(exist_ok=True)
        (tmp_path / "carbon_ledger" / "__init__.py").write_text("")
        (tmp_path / "carbon_ledger" / "planted.py").write_text(planted)
        monkeypatch.setattr(bundle_code, "ROOT", tmp_path / "carbon_ledger")
        with pytest.raises(BrokenInvariant) as error:
            bundle_code.needed_modules("carbon_ledger.planted")
        assert error.value.code == "bundle_not_pure"
