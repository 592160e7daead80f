"""Recomputes what was sealed: leaves, roots of batches, roots of the tree, stored nodes.

Belongs here: audit.seal, audit.seal_commit and audit.node against what commits list. Does not:
signed heads (verifier.heads), the hashing of the tree (verifier.tree).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from verifier.commits import Commit, Listed
from verifier.connection import Connection, query
from verifier.findings import Report
from verifier.tree import Tree, leaf_hashes, root_of

TABLE: Final = "audit.seal"


@dataclass(frozen=True, kw_only=True)
class Seal:
    """A row of audit.seal."""

    seal_no: int
    batch_id: int | None
    first_leaf: int
    leaves: int
    tree_size: int
    batch_root: bytes
    tree_root: bytes


@dataclass(kw_only=True)
class Sealed:
    """The tree as recomputed: `roots` at the sizes asked for; leaves from `broken_at` on are not
    those that were sealed, or cannot be found.
    """

    size: int = 0
    roots: dict[int, bytes] = field(default_factory=dict)
    seals: dict[int, Seal] = field(default_factory=dict)
    broken_at: int | None = None
    broken_seal: int | None = None

    def holds(self, size: int) -> bool:
        """Whether the first `size` leaves are those that were sealed."""
        return self.broken_at is None or size <= self.broken_at


class SealCheck:
    """One pass over the seals, in order; `run` reports each difference."""

    def __init__(self, connection: Connection, listed: Listed, report: Report) -> None:
        self.report = report
        self.commits = {commit.commit_id: commit for commit in listed.commits}
        self.listed = listed
        names = ("seal_no", "batch_id", "first_leaf", "leaves", "tree_size", "batch_root")
        self.seals = [
            Seal(**dict(zip((*names, "tree_root"), row, strict=True)))
            for row in connection.execute(query("seals"), binary=True).fetchall()
        ]
        self.members: dict[int, list[tuple[int, int, int, int]]] = defaultdict(list)
        for seal_no, *member in connection.execute(query("seal_commits")).fetchall():
            self.members[seal_no].append(tuple(member))
        self.nodes: dict[tuple[int, int], bytes] = {
            (level, index): hash_
            for level, index, hash_ in connection.execute(query("nodes"), binary=True).fetchall()
        }
        self.sealed: dict[int, int] = {}
        self.result = Sealed(seals={seal.seal_no: seal for seal in self.seals})

    def run(self, sizes: Iterable[int]) -> Sealed:
        """The tree over all sealed leaves, with its roots at `sizes` and at the end of each
        seal.
        """
        tree = Tree({*sizes, *(seal.tree_size for seal in self.seals)})
        end, number = 0, 0
        for seal in self.seals:
            if seal.seal_no != number + 1:
                self._add("seal_order", seal, f"seal {number + 1} is not there")
                self._break(end, seal)
            if (seal.first_leaf, seal.tree_size) != (end, end + seal.leaves):
                self._add(
                    "seal_order",
                    seal,
                    f"leaves {seal.first_leaf} to {seal.tree_size} do not follow on {end}",
                )
                self._break(min(end, seal.first_leaf), seal)
            contents = self._contents(seal)
            hashes = leaf_hashes(contents)
            self._check_root(seal, hashes)
            tree.add(hashes)
            end, number = seal.tree_size, seal.seal_no
        for seal_no in sorted(set(self.members) - set(self.result.seals)):
            self.report.add(
                "seal_order", "audit.seal_commit", "there is no such seal", seal_no=seal_no
            )
        self.result.size, self.result.roots = end, tree.roots
        self._check_tree_roots()
        self._check_nodes(tree)
        self._check_unsealed()
        if self.result.broken_at is not None:
            self.report.notes.append(
                f"From leaf {self.result.broken_at} on (seal {self.result.broken_seal}), roots of"
                " the tree differ because of what is named; they are not named one by one."
            )
        return self.result

    def _add(self, code: str, seal: Seal, message: str) -> None:
        self.report.add(code, TABLE, message, seal_no=seal.seal_no)

    def _break(self, leaf: int, seal: Seal) -> None:
        if self.result.broken_at is None or leaf < self.result.broken_at:
            self.result.broken_at, self.result.broken_seal = leaf, seal.seal_no

    def _contents(self, seal: Seal) -> bytes:
        """Content hashes of the seal's leaves, as far as its commits are there."""
        found = bytearray()
        order: list[tuple[Any, ...]] = []
        members = self.members.get(seal.seal_no, [])
        for place, (commit_id, position, first_leaf, entries) in enumerate(members):
            commit = self.commits.get(commit_id)
            if commit is None:
                self.report.add(
                    "commit_missing",
                    "audit.commit",
                    f"seal {seal.seal_no} holds it, and it is not there",
                    commit_id=commit_id,
                )
                self._break(seal.first_leaf, seal)
                continue
            self._check_member(seal, commit, (position, first_leaf, entries), place, len(found))
            found += self.listed.contents(commit)
            topic, incarnation, partition = commit.group[2:]
            place_of_part = (topic, int_or_0(incarnation), int_or_0(partition))
            order.append((*place_of_part, commit.start_offset or 0, commit_id))
        if order != sorted(order):
            self._add("seal_order", seal, "its commits are not in the order of their partitions")
        return bytes(found)

    def _check_member(
        self, seal: Seal, commit: Commit, said: tuple[int, int, int], place: int, so_far: int
    ) -> None:
        if commit.commit_id in self.sealed:
            self._add(
                "seal_order",
                seal,
                f"commit {commit.commit_id} is in seal {self.sealed[commit.commit_id]}, too",
            )
        self.sealed[commit.commit_id] = seal.seal_no
        expected = (place, seal.first_leaf + so_far // 32, commit.count)
        if said != expected:
            self.report.add(
                "seal_order",
                "audit.seal_commit",
                f"position, first leaf and entries are {said}, must be {expected}",
                seal_no=seal.seal_no,
                commit_id=commit.commit_id,
            )
        if commit.batch_id != seal.batch_id:
            self._add(
                "seal_order",
                seal,
                f"it is of batch {seal.batch_id or 'none'}, its commit {commit.commit_id} of batch"
                f" {commit.batch_id or 'none'}",
            )

    def _check_root(self, seal: Seal, hashes: list[bytes]) -> None:
        if len(hashes) == seal.leaves and root_of(hashes) == seal.batch_root:
            return
        self._break(seal.first_leaf, seal)
        commits = ", ".join(str(member[0]) for member in self.members.get(seal.seal_no, [])[:20])
        what = (
            "have another root than was sealed"
            if len(hashes) == seal.leaves
            else f"are {len(hashes)}, not {seal.leaves}"
        )
        self._add("seal_root", seal, f"the entries that its commits ({commits}) list {what}")

    def _check_tree_roots(self) -> None:
        for seal in self.seals:
            if not self.result.holds(seal.tree_size):
                return
            if self.result.roots.get(seal.tree_size) != seal.tree_root:
                self._add(
                    "seal_root",
                    seal,
                    f"the tree of the first {seal.tree_size} leaves has another root than was"
                    " written down, though each seal's own leaves are as sealed",
                )

    def _check_nodes(self, tree: Tree) -> None:
        for (level, index), expected in sorted(tree.nodes.items()):
            if not self.result.holds(index + 1 << level):
                continue
            found = self.nodes.get((level, index))
            if found != expected:
                message = "it is not there" if found is None else "it is not the hash of its leaves"
                self.report.add("node_altered", "audit.node", message, level=level, index=index)
        for level, index in sorted(set(self.nodes) - set(tree.nodes)):
            if self.result.holds(index + 1 << level):
                self.report.add(
                    "node_altered", "audit.node", "no seal completes it", level=level, index=index
                )

    def _check_unsealed(self) -> None:
        batches = {seal.batch_id for seal in self.seals if seal.batch_id is not None}
        oldest: int | None = None
        for commit in self.listed.commits:
            if commit.commit_id in self.sealed:
                continue
            self.report.unsealed_commits += 1
            self.report.unsealed_entries += commit.count
            moment = int_or_0(commit.group[0])
            oldest = moment if oldest is None else min(oldest, moment)
            if commit.batch_id in batches:
                self.report.add(
                    "seal_order",
                    "audit.seal_commit",
                    f"batch {commit.batch_id} is sealed without this commit of it",
                    commit_id=commit.commit_id,
                )
        self.report.oldest_unsealed = None if oldest is None else moment_text(oldest)


def int_or_0(text: bytes) -> int:
    """A number as PostgreSQL prints it; 0 for a null or an infinite time."""
    return int(text) if text.removeprefix(b"-").isdigit() else 0


def moment_text(microseconds: int) -> str:
    """Microseconds since 1970 as ISO 8601 in UTC."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    return moment.isoformat().replace("+00:00", "Z")
