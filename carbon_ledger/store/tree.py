"""Kept hashes of the sealed tree, read from what commits list and from audit.node.

Belongs here: reading pieces, the tree's edge, comparing it with what was signed. Does not:
appending (carbon_ledger.store.seals), the hashing (carbon_ledger.merkle).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.merkle import (
    HASH_BYTES,
    STEP,
    WIDTH,
    Frontier,
    Hashes,
    Piece,
    leaf_hashes,
    pieces,
    root,
)
from carbon_ledger.store.connect import query

Connection = psycopg.Connection[tuple[Any, ...]]
# Complete subtrees of 256 leaves that `check_edge` recomputes from their leaves.
CHECKED_MAX = 64


def read_pieces(conn: Connection, wanted: Sequence[Piece]) -> Hashes:
    """The hashes of `wanted`, piece by piece. BrokenInvariant `tree_incomplete` if any is missing,
    and `leaves_overlap` if commits claim the same leaves.
    """
    found: dict[Piece, Sequence[bytes]] = {}
    above = [piece for piece in wanted if piece.level]
    for piece in wanted:
        if not piece.level:
            found[piece] = leaf_hashes(read_leaves(conn, piece.first, piece.last))
    if above:
        found.update(_read_nodes(conn, above))
    return found


def read_leaves(conn: Connection, start: int, end: int) -> bytes:
    """The content hashes of sealed leaves [start, end), joined. BrokenInvariant as of
    `read_pieces`.
    """
    rows = conn.execute(
        query("leaves_between"), {"start": start, "end": end}, binary=True
    ).fetchall()
    slices = []
    at = start
    for first_leaf, content in rows:
        if max(first_leaf, start) != at:
            break
        slices.append(content)
        at += len(content) // HASH_BYTES
    if at != end:
        raise BrokenInvariant(
            "tree_incomplete",
            f"leaves {start} to {end} were sealed, but commits list them only up to {at}",
        )
    return b"".join(slices)


def _read_nodes(conn: Connection, wanted: Sequence[Piece]) -> dict[Piece, list[bytes]]:
    rows = conn.execute(
        query("nodes_between"),
        {
            "levels": [piece.level for piece in wanted],
            "firsts": [piece.first for piece in wanted],
            "lasts": [piece.last for piece in wanted],
        },
        binary=True,
    ).fetchall()
    found: dict[Piece, list[bytes]] = {piece: [] for piece in wanted}
    for number, _, hash_ in rows:
        found[wanted[number - 1]].append(hash_)
    for piece, hashes in found.items():
        if len(hashes) != piece.last - piece.first:
            raise BrokenInvariant(
                "tree_incomplete",
                f"of the nodes {piece.first} to {piece.last} of level {piece.level},"
                f" {len(hashes)} are there",
            )
    return found


def read_frontier(conn: Connection, size: int) -> Frontier:
    """The edge of the tree of `size` leaves, from storage."""
    return Frontier.of(size, read_pieces(conn, pieces(0, size)))


def check_edge(conn: Connection, size: int, expected_root: bytes) -> int:
    """The tree of `size` leaves still has this root, and its last complete subtrees are those of
    their leaves; how many of these were recomputed.

    Raises BrokenInvariant `tree_altered` where storage says otherwise.
    """
    require_root(read_frontier(conn, size), expected_root)
    last = size // WIDTH
    first = max(0, last - CHECKED_MAX)
    if first == last:
        return 0
    kept = _read_nodes(conn, [Piece(STEP, first, last)])[Piece(STEP, first, last)]
    leaves = leaf_hashes(read_leaves(conn, first * WIDTH, last * WIDTH))
    for number, node in enumerate(kept):
        if root(leaves[number * WIDTH : (number + 1) * WIDTH]) != node:
            at = (first + number) * WIDTH
            raise BrokenInvariant(
                "tree_altered", f"leaves {at} to {at + WIDTH} are not those that were sealed"
            )
    return last - first


def require_root(frontier: Frontier, expected_root: bytes) -> None:
    """BrokenInvariant `tree_altered` unless the edge as read leads to this root."""
    found = frontier.root()
    if found != expected_root:
        raise BrokenInvariant(
            "tree_altered",
            f"the {frontier.size} sealed leaves had the root {expected_root.hex()}, storage now"
            f" leads to {found.hex()}; nothing is sealed or signed. `carbon verify` says where",
        )
