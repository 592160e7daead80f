"""The tree over the ledger's entries: RFC 6962, 2.1 (RFC 9162, 2.1), pure and without a database.

Belongs here: roots, which hashes a proof consists of, checking proofs, how the tree is kept. Does
not: what a leaf says (carbon_ledger.entries), where hashes are stored (carbon_ledger.store).

A leaf's data is an entry's 32-byte content hash; its leaf hash is SHA-256(0x00 || data), a node is
SHA-256(0x01 || left || right), the empty tree is SHA-256 of nothing, and no node is ever doubled.

Kept are the leaves and the roots of complete subtrees of 2^8, 2^16, 2^24 ... leaves. Whatever else
a root or a proof needs lies inside fewer than 256 of these, level by level: a `Piece` names them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256().digest()
STEP: Final = 8  # levels from one kept level to the next
WIDTH: Final = 1 << STEP


@dataclass(frozen=True, slots=True)
class Piece:
    """Kept hashes number `first` to `last` - 1 of `level`: leaf hashes at 0, else subtree roots."""

    level: int
    first: int
    last: int


Hashes = Mapping[Piece, Sequence[bytes]]


def leaf_hash(data: bytes) -> bytes:
    """Hash of a leaf (RFC 6962, 2.1)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of a node over its two children (RFC 6962, 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def leaf_hashes(data: bytes) -> list[bytes]:
    """Leaf hashes of 32-byte leaf data joined into one byte string."""
    sha256 = hashlib.sha256
    return [
        sha256(b"\x00" + data[at : at + HASH_BYTES]).digest()
        for at in range(0, len(data), HASH_BYTES)
    ]


def root(hashes: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1 over leaf hashes, or over subtrees of which all but the last are of one
    size.

    Level by level, an odd last hash going up as it is: the same as splitting at the largest power
    of two below the number of leaves.
    """
    if not hashes:
        return EMPTY_ROOT
    sha256 = hashlib.sha256
    level = hashes
    while len(level) > 1:
        above = [
            sha256(b"\x01" + level[at] + level[at + 1]).digest()
            for at in range(0, len(level) - 1, 2)
        ]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0]


# --- the growing tree ---------------------------------------------------------------------------


def pieces(start: int, end: int) -> list[Piece]:
    """The kept hashes that the subtree over leaves [start, end) is made of, from the leaves up.

    `start` is a multiple of a power of two that is no less than `end - start`, as every subtree of
    RFC 6962, 2.1 is.
    """
    found = []
    level = 0
    while end - start >= WIDTH:
        if end % WIDTH:
            found.append(Piece(level, end // WIDTH * WIDTH, end))
        start, end, level = start // WIDTH, end // WIDTH, level + STEP
    if end > start:
        found.append(Piece(level, start, end))
    return found


def root_of(start: int, end: int, hashes: Hashes) -> bytes:
    """Root of the subtree over leaves [start, end), from the hashes of `pieces(start, end)`."""
    found: bytes | None = None
    for piece in pieces(start, end):
        row = hashes[piece]
        found = root(row if found is None else [*row, found])
    return EMPTY_ROOT if found is None else found


@dataclass
class Frontier:
    """The right edge of a tree: by kept level, the hashes that are in no complete subtree of the
    next.

    `tails[0]` are fewer than 256 leaf hashes, `tails[1]` fewer than 256 roots of 2^8 leaves, and so
    on. It is all that appending needs.
    """

    size: int = 0
    tails: list[list[bytes]] = field(default_factory=lambda: [[]])

    @classmethod
    def of(cls, size: int, hashes: Hashes) -> Frontier:
        """The edge of a tree of `size` leaves, from the hashes of `pieces(0, size)`."""
        found = cls(size=size)
        for piece in pieces(0, size):
            while len(found.tails) <= piece.level // STEP:
                found.tails.append([])
            found.tails[piece.level // STEP] = list(hashes[piece])
        return found

    def root(self) -> bytes:
        """Root of the tree (RFC 6962, 2.1)."""
        found: bytes | None = None
        for tail in self.tails:
            if tail:
                found = root(tail if found is None else [*tail, found])
        return EMPTY_ROOT if found is None else found

    def append(self, hashes: Sequence[bytes]) -> Iterator[tuple[int, int, bytes]]:
        """Appends leaf hashes; yields (level, index, root) of every subtree that became complete
        and is to be kept. The tree has grown once the iterator is exhausted.
        """
        self.tails[0].extend(hashes)
        self.size += len(hashes)
        for row, tail in enumerate(self.tails):
            complete = len(tail) // WIDTH
            if not complete:
                return
            if row + 1 == len(self.tails):
                self.tails.append([])
            first = (self.size >> (STEP * (row + 1))) - complete
            for number in range(complete):
                subtree = root(tail[number * WIDTH : (number + 1) * WIDTH])
                self.tails[row + 1].append(subtree)
                yield STEP * (row + 1), first + number, subtree
            del tail[: complete * WIDTH]


# --- proofs -------------------------------------------------------------------------------------


def _split(count: int) -> int:
    """The largest power of two below `count`, which is at least 2."""
    return 1 << ((count - 1).bit_length() - 1)


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """The subtrees, as leaves [start, end), whose roots prove leaf `index` of `size` to be there:
    PATH(m, D[n]) of RFC 6962, 2.1.1, from the leaf's sibling up. ValueError for no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    start, end = 0, size
    found = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start = middle
    return found[::-1]


def consistency_ranges(old: int, new: int) -> list[tuple[int, int]]:
    """The subtrees whose roots prove the tree of `old` leaves to be the beginning of that of `new`:
    PROOF(m, D[n]) of RFC 6962, 2.1.2. ValueError unless 0 <= old <= new; none if old is 0 or new.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {old} leaves is no beginning of one of {new}")
    if old in (0, new):
        return []
    start, end = 0, new
    found = []
    while old < end:
        middle = start + _split(end - start)
        if old <= middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start = middle
    if start:  # else it is the old root itself, which whoever checks has already
        found.append((start, end))
    return found[::-1]


def proof(ranges: Sequence[tuple[int, int]], hashes: Hashes) -> list[bytes]:
    """The roots of `ranges`; `hashes` holds those of `pieces` of each."""
    return [root_of(start, end, hashes) for start, end in ranges]


def verify_inclusion(
    leaf: bytes, index: int, size: int, path: Sequence[bytes], expected_root: bytes
) -> bool:
    """Whether `path` proves the leaf hash `leaf` to be number `index` of the tree of `size` leaves
    with that root (RFC 9162, 2.1.3.2).
    """
    if not 0 <= index < size or not _are_hashes([leaf, expected_root, *path]):
        return False
    node, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if node % 2 or node == last:
            found = node_hash(sibling, found)
            while node % 2 == 0 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and found == expected_root


def verify_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]
) -> bool:
    """Whether `path` proves the tree of `old` leaves to be the beginning of that of `new`, both
    with their roots (RFC 9162, 2.1.4.2).
    """
    if not 0 <= old <= new or not _are_hashes([old_root, new_root, *path]):
        return False
    if old in (0, new):
        return not path and old_root == (new_root if old else EMPTY_ROOT)
    steps = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not steps:
        return False
    node, last = old - 1, new - 1
    while node % 2:
        node, last = node >> 1, last >> 1
    found_old = found_new = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if node % 2 or node == last:
            found_old, found_new = node_hash(step, found_old), node_hash(step, found_new)
            while node % 2 == 0 and node:
                node, last = node >> 1, last >> 1
        else:
            found_new = node_hash(found_new, step)
        node, last = node >> 1, last >> 1
    return last == 0 and found_old == old_root and found_new == new_root


def _are_hashes(values: Sequence[bytes]) -> bool:
    return all(len(value) == HASH_BYTES for value in values)


Reader = Callable[[Sequence[Piece]], Hashes]


def read_proof(ranges: Sequence[tuple[int, int]], read: Reader) -> list[bytes]:
    """The roots of `ranges`, with all that they need read at once."""
    wanted = {piece for start, end in ranges for piece in pieces(start, end)}
    return proof(ranges, read(sorted(wanted, key=lambda one: (one.level, one.first))))
