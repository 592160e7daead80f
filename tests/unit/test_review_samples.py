"""Samples for reviewers: what a seed determines, how likely an entry is, what is refused."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.lineage.review_samples import METHODS, SEED_MAX, SIZE_MAX, drawn

SIZES = {UUID(int=number): Decimal(number) - 20 for number in range(60)}


@given(
    st.dictionaries(st.uuids(), st.decimals(-1000, 1000, places=3), max_size=40),
    st.integers(0, SEED_MAX),
    st.integers(1, 50),
    st.sampled_from(list(METHODS)),
)
def test_a_sample_is_of_different_entries_and_the_same_in_any_order(
    sizes: dict[UUID, Decimal], seed: int, size: int, method: str
) -> None:
    sample = drawn(sizes, method=method, seed=seed, size=size)
    assert len(sample.entry_ids) == len(set(sample.entry_ids)) == min(size, len(sizes))
    assert set(sample.entry_ids) <= set(sizes)
    assert sample.population == len(sizes)
    assert sample.population_kgco2e == sum(abs(one) for one in sizes.values())
    shuffled = list(sizes.items())
    Random(seed).shuffle(shuffled)
    assert drawn(dict(shuffled), method=method, seed=seed, size=size) == sample
    assert sample.sha256 == hashlib.sha256(b"".join(one.bytes for one in sample.entry_ids)).digest()


def test_simple_random_is_drawn_again_by_what_its_words_say() -> None:
    sample = drawn(SIZES, method="simple_random", seed=7, size=10)
    by_hand = sorted(
        SIZES,
        key=lambda one: hashlib.sha256(b"carbon-sample/1\x1f7\x1f" + str(one).encode()).digest(),
    )
    assert list(sample.entry_ids) == by_hand[:10]


def test_monetary_unit_is_drawn_again_by_what_its_words_say() -> None:
    sizes = {one: size for one, size in SIZES.items() if size}
    sample = drawn(sizes, method="monetary_unit", seed=7, size=5)
    ordered = sorted(
        sizes,
        key=lambda one: hashlib.sha256(b"carbon-sample/1\x1f7\x1f" + str(one).encode()).digest(),
    )
    total = sum(abs(one) for one in sizes.values())
    assert all(abs(one) * 5 < total for one in sizes.values())  # none is certain
    start = int.from_bytes(hashlib.sha256(b"carbon-sample-start/1\x1f7").digest()) / 2**256
    running, taken = 0.0, []
    for one in ordered:
        running += float(abs(sizes[one]))
        if (len(taken) + start) * float(total) / 5 < running:
            taken.append(one)
    assert list(sample.entry_ids) == taken


def test_what_is_as_large_as_the_interval_is_always_in_the_sample() -> None:
    large = UUID(int=999)
    sizes = {**SIZES, large: Decimal(-1_000_000)}
    samples = [drawn(sizes, method="monetary_unit", seed=seed, size=3) for seed in range(50)]
    assert all(large in one.entry_ids for one in samples)
    by_chance = [drawn(sizes, method="simple_random", seed=seed, size=3) for seed in range(50)]
    assert not all(large in one.entry_ids for one in by_chance)
    assert len({one.entry_ids for one in samples}) > 40


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"method": "by_eye"}, "method_unknown"),
        ({"seed": -1}, "out_of_range"),
        ({"seed": SEED_MAX + 1}, "out_of_range"),
        ({"size": 0}, "out_of_range"),
        ({"size": SIZE_MAX + 1}, "out_of_range"),
    ],
)
def test_a_draw_that_cannot_be_is_refused(changes: dict[str, object], code: str) -> None:
    arguments = {"method": "monetary_unit", "seed": 1, "size": 1, **changes}
    with pytest.raises(RejectedRecord) as refused:
        drawn(SIZES, **arguments)  # type: ignore[arg-type]
    assert refused.value.code == code
