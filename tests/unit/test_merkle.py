"""The tree of RFC 6962, beside an implementation that follows the RFC's recursion word by word."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from carbon_ledger import merkle
from carbon_ledger.merkle import Frontier, Hashes, Piece

# Inputs and roots of the test vectors that the Certificate Transparency log servers share.
VECTOR_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
VECTOR_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def split(count: int) -> int:
    power = 1
    while power * 2 < count:
        power *= 2
    return power


def mth(leaves: Sequence[bytes]) -> bytes:
    """MTH(D[n]) of RFC 6962, 2.1, as it is written there."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = split(len(leaves))
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


class Rfc:
    """The RFC's functions over slices [start, end) of the leaves; each root is made once."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.leaves, self.made = leaves, dict[tuple[int, int], bytes]()

    def mth(self, start: int, end: int) -> bytes:
        """MTH(D[n]) of RFC 6962, 2.1."""
        if (start, end) not in self.made:
            if end - start < 2:
                self.made[start, end] = mth(self.leaves[start:end])
            else:
                k = start + split(end - start)
                both = self.mth(start, k) + self.mth(k, end)
                self.made[start, end] = hashlib.sha256(b"\x01" + both).digest()
        return self.made[start, end]

    def path(self, m: int, start: int, end: int) -> list[bytes]:
        """PATH(m, D[n]) of RFC 6962, 2.1.1."""
        if end - start == 1:
            return []
        k = split(end - start)
        if m < k:
            return [*self.path(m, start, start + k), self.mth(start + k, end)]
        return [*self.path(m - k, start + k, end), self.mth(start, start + k)]

    def subproof(self, m: int, start: int, end: int, is_old: bool) -> list[bytes]:
        """SUBPROOF(m, D[n], b) of RFC 6962, 2.1.2."""
        if m == end - start:
            return [] if is_old else [self.mth(start, end)]
        k = split(end - start)
        if m <= k:
            return [*self.subproof(m, start, start + k, is_old), self.mth(start + k, end)]
        return [*self.subproof(m - k, start + k, end, False), self.mth(start, start + k)]


def data(count: int) -> list[bytes]:
    return [hashlib.sha256(b"%d" % number).digest() for number in range(count)]


class Kept:
    """What storage keeps of a tree: its leaf hashes and every complete subtree of 2^8k leaves."""

    def __init__(self, leaves: Sequence[bytes], steps: Iterator[int] | None = None) -> None:
        self.hashes = merkle.leaf_hashes(b"".join(leaves))
        self.frontier, self.nodes = Frontier(), dict[tuple[int, int], bytes]()
        at = 0
        while at < len(leaves):
            size = next(steps) if steps else len(leaves)
            for level, index, subtree in self.frontier.append(self.hashes[at : at + size]):
                assert (level, index) not in self.nodes, "a node is kept once"
                self.nodes[level, index] = subtree
            at += size

    def read(self, wanted: Sequence[Piece]) -> Hashes:
        return {
            piece: self.hashes[piece.first : piece.last]
            if piece.level == 0
            else [self.nodes[piece.level, index] for index in range(piece.first, piece.last)]
            for piece in wanted
        }


def test_roots_are_those_of_the_published_vectors() -> None:
    assert merkle.EMPTY_ROOT.hex() == hashlib.sha256(b"").hexdigest()
    hashes = [merkle.leaf_hash(leaf) for leaf in VECTOR_LEAVES]
    for size, expected in enumerate(VECTOR_ROOTS, start=1):
        assert merkle.root(hashes[:size]).hex() == expected


def test_every_proof_up_to_256_leaves_is_the_rfcs_and_proves_nothing_else() -> None:
    leaves = data(256)
    rfc, kept = Rfc(leaves), Kept(leaves)

    @cache
    def root_of(start: int, end: int) -> bytes:
        return merkle.root_of(start, end, kept.read(merkle.pieces(start, end)))

    for size in range(1, 257):
        root = root_of(0, size)
        assert root == rfc.mth(0, size)
        for index in range(size):
            path = [root_of(*one) for one in merkle.inclusion_ranges(index, size)]
            assert path == rfc.path(index, 0, size)
            assert merkle.verify_inclusion(kept.hashes[index], index, size, path, root)
            other = (index + size // 2) % size
            if size % 7 == 0 and other != index:
                assert not merkle.verify_inclusion(kept.hashes[other], index, size, path, root)
                assert not merkle.verify_inclusion(kept.hashes[index], other, size, path, root)
        for old in range(1, size):
            path = [root_of(*one) for one in merkle.consistency_ranges(old, size)]
            assert path == rfc.subproof(old, 0, size, True)
            assert merkle.verify_consistency(old, size, root_of(0, old), root, path)
            if size % 7 == 0:
                wrong = root_of(0, old - 1) if old > 1 else root
                assert not merkle.verify_consistency(old, size, wrong, root, path)
                assert not merkle.verify_consistency(
                    old, size, root_of(0, old), root_of(0, size - 1), path
                )


@settings(max_examples=25)
@given(st.randoms(use_true_random=False), st.integers(1, 5_000))
@example(random.Random(2), 66_000)
def test_a_tree_that_grew_in_any_steps_is_the_tree_of_its_leaves(
    rng: random.Random, count: int
) -> None:
    leaves = data(count)
    steps = iter(lambda: rng.choice((1, 7, 255, 256, 257, 4096, 65_536)), 0)
    kept = Kept(leaves, steps)
    assert kept.frontier.size == count
    root = merkle.root(kept.hashes)
    assert kept.frontier.root() == root
    pieces = merkle.pieces(0, count)
    assert sum(piece.last - piece.first for piece in pieces) < 256 * 3
    assert Frontier.of(count, kept.read(pieces)).root() == root
    index = rng.randrange(count)
    path = merkle.read_proof(merkle.inclusion_ranges(index, count), kept.read)
    assert merkle.verify_inclusion(kept.hashes[index], index, count, path, root)
    old = rng.randint(1, count)
    path = merkle.read_proof(merkle.consistency_ranges(old, count), kept.read)
    assert merkle.verify_consistency(old, count, merkle.root(kept.hashes[:old]), root, path)


def test_an_edge_read_back_goes_on_as_the_one_it_was_read_from() -> None:
    leaves = data(3000)
    whole = Kept(leaves)
    for at in (1, 255, 256, 257, 1024, 2999):
        first = Kept(leaves[:at])
        edge = Frontier.of(at, first.read(merkle.pieces(0, at)))
        added = dict[tuple[int, int], bytes]()
        for level, index, subtree in edge.append(whole.hashes[at:]):
            added[level, index] = subtree
        assert edge.root() == whole.frontier.root()
        assert {**first.nodes, **added} == whole.nodes


def mutations(path: list[bytes], rng: random.Random) -> Iterator[list[bytes]]:
    yield path[:-1]
    yield [*path, hashlib.sha256(b"more").digest()]
    yield [path[0], *path]
    yield [path[0][:31], *path[1:]]
    for place, step in enumerate(path):
        bit = rng.randrange(256)
        changed = (int.from_bytes(step, "big") ^ 1 << bit).to_bytes(32, "big")
        yield [*path[:place], changed, *path[place + 1 :]]
    if len(path) > 1 and path != path[::-1]:
        yield path[::-1]


def test_forged_proofs_are_refused() -> None:
    rng = random.Random(6962)
    leaves = data(1000)
    kept = Kept(leaves)
    refused = 0
    for _ in range(60):
        size = rng.randint(2, 1000)
        index, old = rng.randrange(size), rng.randint(1, size - 1)
        root, old_root = merkle.root(kept.hashes[:size]), merkle.root(kept.hashes[:old])
        path = merkle.read_proof(merkle.inclusion_ranges(index, size), kept.read)
        for forged in mutations(path, rng):
            assert not merkle.verify_inclusion(kept.hashes[index], index, size, forged, root)
            refused += 1
        path = merkle.read_proof(merkle.consistency_ranges(old, size), kept.read)
        for forged in mutations(path, rng):
            assert not merkle.verify_consistency(old, size, old_root, root, forged)
            refused += 1
        assert not merkle.verify_inclusion(kept.hashes[index], index + size, size, path, root)
        assert not merkle.verify_inclusion(kept.hashes[index], -1, size, path, root)
    assert refused > 1000


def test_consistency_with_nothing_or_itself_takes_no_path() -> None:
    root = mth(data(5))
    assert merkle.verify_consistency(0, 5, merkle.EMPTY_ROOT, root, [])
    assert merkle.verify_consistency(5, 5, root, root, [])
    assert not merkle.verify_consistency(5, 5, root, merkle.EMPTY_ROOT, [])
    assert not merkle.verify_consistency(0, 5, root, root, [])
    assert not merkle.verify_consistency(0, 5, merkle.EMPTY_ROOT, root, [root])
    assert not merkle.verify_consistency(6, 5, root, root, [])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5)])
def test_there_is_no_path_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no leaf"):
        merkle.inclusion_ranges(index, size)


def test_a_leaf_is_no_node_and_the_last_leaf_is_not_doubled() -> None:
    one, two = data(2)
    forged = merkle.leaf_hash(merkle.leaf_hash(one) + merkle.leaf_hash(two))
    assert forged != mth([one, two])
    assert mth([one, two, two]) != mth([one, two])
    assert merkle.root(merkle.leaf_hashes(one + two + two)) == mth([one, two, two])
