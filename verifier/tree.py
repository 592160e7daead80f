"""The RFC 6962 tree over all leaves, recomputed from the first to the last.

Belongs here: roots at the sizes that somebody has written down, roots of batches, roots of complete
subtrees. Does not: what the leaves are, or what the roots are compared with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from verifier.check_proof import node_hash

EMPTY_ROOT: Final = hashlib.sha256().digest()
# Complete subtrees are written down at every eighth level.
TILE_LEVEL: Final = 8
TILE: Final = 1 << TILE_LEVEL


def leaf_hashes(contents: bytes) -> list[bytes]:
    """Leaf hashes of content hashes that stand one after the other, 32 bytes each."""
    sha256 = hashlib.sha256
    return [
        sha256(b"\x00" + contents[start : start + 32]).digest()
        for start in range(0, len(contents), 32)
    ]


def _parents(level: list[bytes]) -> list[bytes]:
    """Hashes of the nodes over the complete pairs of a level."""
    sha256 = hashlib.sha256
    return [
        sha256(b"\x01" + left + right).digest()
        for left, right in zip(level[::2], level[1::2], strict=False)
    ]


def root_of(leaves: list[bytes]) -> bytes:
    """Root of the tree over these leaf hashes alone (RFC 6962, 2.1).

    A last node without a partner goes up unhashed, which is the split at the largest power of two
    seen from below.
    """
    if not leaves:
        return EMPTY_ROOT
    level = leaves
    while len(level) > 1:
        above = _parents(level)
        if len(level) & 1:
            above.append(level[-1])
        level = above
    return level[0]


class Tree:
    """Takes all leaves in order; remembers the root at each of the `sizes` it was asked for."""

    def __init__(self, sizes: Iterable[int]) -> None:
        self._wanted = sorted(set(sizes), reverse=True)
        self._complete: list[bytes] = []
        self._open: list[bytes] = []
        self.size = 0
        self.roots: dict[int, bytes] = {}
        # Level and index of each complete subtree at levels 8, 16, 24, … to its root.
        self.nodes: dict[tuple[int, int], bytes] = {}
        self._note([[]])

    def add(self, leaves: list[bytes]) -> None:
        """Appends leaf hashes."""
        start = 0
        while start < len(leaves):
            taken = leaves[start : start + TILE - len(self._open)]
            start += len(taken)
            self._open.extend(taken)
            self.size += len(taken)
            levels = [self._open]
            if len(self._open) == TILE or self._is_wanted():
                while len(levels[-1]) > 1:
                    levels.append(_parents(levels[-1]))
            self._note(levels)
            if len(self._open) == TILE:
                self._close(levels[-1][0])

    def _is_wanted(self) -> bool:
        return bool(self._wanted) and self._wanted[-1] <= self.size

    def _note(self, levels: list[list[bytes]]) -> None:
        """Roots at the sizes that the open tile has reached, from its levels."""
        before = self.size - len(self._open)
        while self._is_wanted():
            size = self._wanted.pop()
            parts = list(self._complete)
            begin, left = 0, size - before
            for level in range(TILE_LEVEL, -1, -1):
                if left >> level & 1:
                    parts.append(levels[level][begin >> level])
                    begin += 1 << level
            self.roots[size] = _fold(parts)

    def _close(self, root: bytes) -> None:
        index = (self.size >> TILE_LEVEL) - 1
        level = TILE_LEVEL
        self.nodes[level, index] = root
        while index & 1:
            root = node_hash(self._complete.pop(), root)
            index, level = index >> 1, level + 1
            if level % TILE_LEVEL == 0:
                self.nodes[level, index] = root
        self._complete.append(root)
        self._open = []


def _fold(parts: list[bytes]) -> bytes:
    """Root over complete subtrees, the largest first."""
    if not parts:
        return EMPTY_ROOT
    root = parts[-1]
    for left in reversed(parts[:-1]):
        root = node_hash(left, root)
    return root
