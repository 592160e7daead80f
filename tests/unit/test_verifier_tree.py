"""The verifier's tree: the published vectors of RFC 6962, and agreement with the ledger's own."""

from __future__ import annotations

import hashlib
import random

import pytest

from carbon_ledger import merkle
from verifier.check_proof import (
    ProofError,
    check_consistency,
    leaf_hash,
    node_hash,
    root_of_inclusion,
)
from verifier.tree import EMPTY_ROOT, Tree, leaf_hashes, root_of

# Leaves and roots that the Certificate Transparency project publishes for RFC 6962.
LEAVES = [
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
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
# Inclusion proofs of that project: leaf (from 0), size, path.
PATHS = (
    (0, 1, ()),
    (
        0,
        8,
        (
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ),
    ),
    (
        5,
        8,
        (
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ),
    ),
    (2, 3, ("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",)),
    (
        1,
        5,
        (
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ),
    ),
)
SIZES = 256


def many(count: int) -> list[bytes]:
    """Leaf hashes of `count` content hashes."""
    return [leaf_hash(hashlib.sha256(str(number).encode()).digest()) for number in range(count)]


def pieces_of(leaves: list[bytes], start: int, end: int) -> bytes:
    """Root of the leaves from `start` to `end` - 1, by the definition of RFC 6962, 2.1."""
    count = end - start
    if count == 1:
        return leaves[start]
    split = 1 << (count - 1).bit_length() - 1
    left, right = pieces_of(leaves, start, start + split), pieces_of(leaves, start + split, end)
    return node_hash(left, right)


@pytest.mark.parametrize("size", range(1, 9))
def test_the_published_roots(size: int) -> None:
    assert root_of([leaf_hash(leaf) for leaf in LEAVES[:size]]).hex() == ROOTS[size - 1]


def test_the_empty_tree() -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert EMPTY_ROOT.hex() == root_of([]).hex() == empty
    assert Tree([0]).roots == {0: EMPTY_ROOT}


@pytest.mark.parametrize(("index", "size", "path"), PATHS)
def test_the_published_inclusion_proofs(index: int, size: int, path: tuple[str, ...]) -> None:
    steps = [bytes.fromhex(step) for step in path]
    leaf = leaf_hash(LEAVES[index])
    assert root_of_inclusion(leaf, index, size, steps).hex() == ROOTS[size - 1]


def test_a_tree_that_grows_has_the_roots_of_the_definition() -> None:
    leaves = many(1100)
    random_sizes = random.Random(5).sample(range(1, 1101), 60)
    sizes = [0, 1, 2, 255, 256, 257, 511, 512, 513, 1023, 1024, 1025, *random_sizes]
    tree = Tree(sizes)
    at = 0
    for step in (1, 254, 2, 255, 1, 300, 287):
        tree.add(leaves[at : at + step])
        at += step
    assert at == 1100
    for size in sizes:
        expected = pieces_of(leaves, 0, size) if size else EMPTY_ROOT
        assert tree.roots[size] == expected, size
    assert sorted(tree.nodes) == [(8, 0), (8, 1), (8, 2), (8, 3)]
    for level, index in tree.nodes:
        assert tree.nodes[level, index] == pieces_of(leaves, index << level, index + 1 << level)


def test_subtrees_of_65536_leaves_are_noted() -> None:
    leaves = many(256) * 514
    tree = Tree([len(leaves)])
    tree.add(leaves)
    tile = root_of(leaves[:256])
    assert tree.nodes[16, 0] == tree.nodes[16, 1] == root_of([tile] * 256)
    assert [key for key in tree.nodes if key[0] > 16] == []
    assert tree.roots[len(leaves)] == root_of([tile] * 514)


def test_content_hashes_one_after_the_other_are_leaves() -> None:
    contents = [bytes([number]) * 32 for number in range(5)]
    assert leaf_hashes(b"".join(contents)) == [leaf_hash(content) for content in contents]


class SubtreeRoots(dict[tuple[int, int], bytes]):
    """Roots over leaves [start, end) as the ledger computes them, each once."""

    def __init__(self, leaves: list[bytes]) -> None:
        super().__init__()
        self.leaves = leaves

    def __missing__(self, key: tuple[int, int]) -> bytes:
        self[key] = merkle.root(self.leaves[slice(*key)])
        return self[key]


def test_every_inclusion_proof_up_to_256_leaves_is_the_ledgers() -> None:
    leaves = many(SIZES)
    roots = SubtreeRoots(leaves)
    for size in range(1, SIZES + 1):
        own = root_of(leaves[:size])
        assert own == roots[0, size]
        for index in range(size):
            path = [roots[part] for part in merkle.inclusion_ranges(index, size)]
            assert root_of_inclusion(leaves[index], index, size, path) == own


def test_every_consistency_proof_up_to_256_leaves_is_the_ledgers() -> None:
    leaves = many(SIZES)
    roots = SubtreeRoots(leaves)
    own = [root_of(leaves[:size]) for size in range(SIZES + 1)]
    for new in range(1, SIZES + 1):
        for old in range(1, new + 1):
            path = [roots[part] for part in merkle.consistency_ranges(old, new)]
            check_consistency(old, new, own[old], own[new], path)
            if old < new:
                with pytest.raises(ProofError):
                    check_consistency(old, new, own[old - 1], own[new], path)


def test_impossible_proofs_are_refused() -> None:
    leaf = many(1)[0]
    for index, size, path in ((1, 1, []), (-1, 4, []), (0, 2, []), (0, 1, [leaf]), (0, 0, [])):
        with pytest.raises(ProofError):
            root_of_inclusion(leaf, index, size, path)
    for old, new, path in ((2, 1, []), (-1, 1, []), (1, 2, []), (0, 2, [leaf]), (2, 2, [leaf])):
        with pytest.raises(ProofError):
            check_consistency(old, new, leaf, leaf, path)
    with pytest.raises(ProofError, match="two different roots"):
        check_consistency(3, 3, leaf, EMPTY_ROOT, [])
