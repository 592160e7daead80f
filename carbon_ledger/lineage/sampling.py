"""A sample of entries that a seed determines: in proportion to their size, or each as likely.

Belongs here: the draw. Does not: what is done with it. The method is systematic selection with
probability proportional to size, as auditors draw by monetary unit: whatever is larger than the
interval is in the sample for certain, the rest is drawn along its running sum.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable
from decimal import Decimal
from typing import Final, TypeVar

from carbon_ledger.quantities import POSTED_SCALE

Key = TypeVar("Key", bound=Hashable)
_HASH_BITS: Final = 256


def draw(sizes: Iterable[tuple[Key, Decimal]], number: int, seed: int) -> list[Key]:
    """`number` different keys (all of them, if there are fewer); the same for the same seed and
    sizes, in whatever order they come.

    A key's chance is proportional to the magnitude of its size. Keys of size zero are drawn only
    once no others are left.
    """
    scaled = [(key, int(abs(size).scaleb(POSTED_SCALE))) for key, size in sizes]
    shuffled = sorted(scaled, key=lambda one: _place(seed, one[0]))
    chosen: list[Key] = []
    rest = [one for one in shuffled if one[1]]
    zeros = [key for key, size in shuffled if not size]
    while rest and len(chosen) < number:
        left = number - len(chosen)
        total = sum(size for _, size in rest)
        certain = [key for key, size in rest if size * left >= total]
        if not certain:
            return [*chosen, *_along(rest, left, total, seed)]
        taken = set(certain[:left])
        chosen += certain[:left]
        rest = [one for one in rest if one[0] not in taken]
    return [*chosen, *zeros[: number - len(chosen)]]


def draw_evenly(keys: Iterable[Key], number: int, seed: int) -> list[Key]:
    """`number` different keys, each as likely as any other; the same for the same seed."""
    return sorted(keys, key=lambda key: _place(seed, key))[:number]


def _place(seed: int, key: Hashable) -> bytes:
    return hashlib.sha256(f"carbon-sample/1\x1f{seed}\x1f{key}".encode()).digest()


def _along(rest: list[tuple[Key, int]], number: int, total: int, seed: int) -> list[Key]:
    """The keys that `number` equally spaced points along the running sum fall into."""
    offset = int.from_bytes(hashlib.sha256(f"carbon-sample-start/1\x1f{seed}".encode()).digest())
    # The point of rank n is (n + offset / 2^256) x total / number; everything times number x 2^256.
    chosen: list[Key] = []
    running = 0
    for key, size in rest:
        running += size
        if ((len(chosen) << _HASH_BITS) + offset) * total < (running * number) << _HASH_BITS:
            chosen.append(key)
    return chosen
