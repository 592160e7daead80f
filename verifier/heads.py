"""Compares signed heads, inside and outside the database, with the tree as recomputed.

Belongs here: audit.head, files of heads that left the database, their signatures. Does not: parsing
and checking a single head (verifier.check_proof), the tree.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verifier.check_proof import (
    Head,
    ProofError,
    check_signature,
    cosigned_at,
    parse_head,
    read_key,
)
from verifier.connection import CannotVerify, Connection, query
from verifier.findings import Report
from verifier.seals import Sealed

TABLE: Final = "audit.head"
RESTORES: Final = "audit.restore"
PUBLIC_KEY: Final = "ledger-public-key.pem"


@dataclass(frozen=True, kw_only=True)
class OutsideHead:
    """A head that left the database, and where it was found."""

    name: str
    head: Head | None
    remark: str


def read_outside(folders: Sequence[Path]) -> list[OutsideHead]:
    """Heads in the files of `folders`, the smallest tree first, each once.

    Read these before the snapshot is taken: a head is in the database before it leaves it. Hidden
    files, files that are still being written (`.tmp`) and keys (`.pem`) are left out. CannotVerify
    for a folder that is not there.
    """
    found: dict[str, OutsideHead] = {}
    for folder in folders:
        if not folder.is_dir():
            raise CannotVerify(f"{folder} is no folder of heads")
        for path in sorted(folder.rglob("*")):
            is_head = path.is_file() and path.suffix not in (".tmp", ".pem")
            if not is_head or path.name.startswith("."):
                continue
            try:
                note = path.read_text(encoding="utf-8")
                one = OutsideHead(name=str(path), head=parse_head(note), remark="")
            except (ProofError, UnicodeDecodeError) as error:
                note, one = str(path), OutsideHead(name=str(path), head=None, remark=str(error))
            found.setdefault(note, one)
    return sorted(found.values(), key=lambda one: (one.head.tree_size if one.head else 0, one.name))


def keys_beside(folders: Sequence[Path]) -> list[bytes]:
    """The ledger's public keys that lie beside its heads; ProofError for one that is none."""
    paths = [folder / PUBLIC_KEY for folder in folders]
    return [read_key(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]


class HeadCheck:
    """Signed heads against `sealed`; `keys` are the ledger's keys that the reader trusts,
    `accepted` the numbers of the declared restores that he accepts.
    """

    def __init__(
        self,
        connection: Connection,
        sealed: Sealed,
        keys: Sequence[bytes],
        report: Report,
        accepted: Collection[int] = (),
    ) -> None:
        self.sealed, self.report, self.accepted = sealed, report, accepted
        self.rows = connection.execute(query("heads"), binary=True).fetchall()
        self.restores = connection.execute(query("restores")).fetchall()
        self.keys = list(keys)
        if not keys and self.rows:
            # Better than nothing: a forger without a key must also replace the one that is named.
            self.keys = sorted({bytes(row[-1]) for row in self.rows})
            report.notes.append(
                "No key was given: signatures are checked with the keys that the database names."
            )

    @staticmethod
    def sizes(connection: Connection) -> list[int]:
        """Sizes at which the database has heads."""
        return [row[0] for row in connection.execute("select tree_size from audit.head")]

    def _signature_fault(self, head: Head) -> str:
        fault = "no key is known"
        for key in self.keys:
            try:
                check_signature(head, key)
            except ProofError as error:
                fault = str(error)
            else:
                return ""
        return fault

    def inside(self) -> None:
        """Heads in the database: text, signature, root, and that each follows the one before."""
        previous: int | None = None
        for size, prev_size, seal_no, origin, root, note, key in self.rows:
            faults = []
            if prev_size != previous:
                faults.append(f"it follows the head of {prev_size} leaves, must be {previous}")
            previous = size
            try:
                head = parse_head(note)
            except ProofError as error:
                faults.append(str(error))
            else:
                said = (head.origin, head.tree_size, head.root)
                if said != (origin, size, root):
                    faults.append("its columns are not those of its signed text")
                if f"seal {seal_no}" not in head.extensions:
                    faults.append(f"its signed text does not name seal {seal_no}")
                fault = self._signature_fault(head)
                if not fault and bytes(key) not in self.keys:
                    fault = "it names another key than the one given"
                if fault:
                    self.report.add("head_signature", TABLE, fault, tree_size=size)
            seal = self.sealed.seals.get(seal_no)
            if seal is None or seal.tree_size != size:
                faults.append(f"seal {seal_no} does not end at leaf {size}")
            if self.sealed.holds(size) and self.sealed.roots.get(size) != root:
                faults.append(f"the first {size} leaves have another root")
            for fault in faults:
                self.report.add("head_altered", TABLE, fault, tree_size=size)

    def given_up(self, heads: Sequence[OutsideHead]) -> list[OutsideHead]:
        """The heads that are left to be compared, without those of a state that was given up in a
        restore which the reader accepts.

        A declaration is a row of the very database that it excuses, so it excuses nothing by
        itself: each is a finding until the reader names it.
        """
        rest = list(heads)
        for number, origin, new_origin, size, seen, note, by, reason, at in self.restores:
            fault = self._declaration_fault(origin, new_origin, size, seen, note)
            if fault:
                self.report.add("head_altered", RESTORES, fault, restore=number)
                continue
            told = (
                f"on {at:%Y-%m-%d %H:%M:%S} UTC {by} declared ({reason}) that it was put back: the"
                f" heads of {origin} beyond {size:,} leaves, up to {seen:,}, are of a state that"
                " was given up"
            )
            if number not in self.accepted:
                self.report.add("restore_declared", RESTORES, told, restore=number)
                continue
            lost = [
                one
                for one in rest
                if one.head is not None
                and one.head.origin == origin
                and size < one.head.tree_size <= seen
                and not self._signature_fault(one.head)
            ]
            rest = [one for one in rest if one not in lost]
            self.report.notes.append(
                f"Accepted restore {number}: {told}; {len(lost)} of them were found outside."
            )
        return rest

    def _declaration_fault(
        self, origin: str, new_origin: str, size: int, seen: int, note: str
    ) -> str:
        """What is wrong with a declared restore, or nothing."""
        try:
            declared = parse_head(note)
        except ProofError as error:
            return str(error)
        fault = self._signature_fault(declared)
        if fault:
            return fault
        if (declared.origin, declared.tree_size) != (origin, seen):
            return "it declares another head than the one it keeps"
        sizes: dict[str, list[int]] = {origin: [0], new_origin: []}
        for tree_size, _, _, signed_by, *_ in self.rows:
            sizes.setdefault(signed_by, []).append(tree_size)
        if max(sizes[origin]) != size:
            return f"the last head of {origin} is of {max(sizes[origin])} leaves, not of {size}"
        if min(sizes[new_origin], default=size + 1) <= size:
            return f"heads of {new_origin} begin before leaf {size}"
        return ""

    def outside(self, heads: Sequence[OutsideHead]) -> None:
        """Heads that left the database: is each still a beginning of what is there?"""
        heads = self.given_up(heads)
        agreed, differing, longer = 0, [], []
        known = {row[0] for row in self.rows}
        gone = []
        for one in heads:
            head = one.head
            fault = one.remark if head is None else self._signature_fault(head)
            if fault or head is None:
                self.report.add("head_signature", "outside", fault, file=one.name)
            elif head.tree_size > self.sealed.size:
                longer.append((one, head))
            elif self.sealed.roots.get(head.tree_size) != head.root:
                differing.append((one, head))
            else:
                if not differing:
                    agreed = head.tree_size
                if head.tree_size not in known:
                    gone.append((one, head))
        if differing:
            one, head = differing[0]
            self.report.add(
                "head_fork",
                "outside",
                f"its {head.tree_size} leaves have another root here: the history differs after"
                f" leaf {agreed} and before leaf {head.tree_size}{_more(differing)}",
                file=one.name,
                tree_size=head.tree_size,
                agreed_size=agreed,
            )
        if longer:
            one, head = longer[-1]
            self.report.add(
                "tail_cut",
                "outside",
                f"{head.tree_size} leaves were signed, {self.sealed.size} are there: leaves"
                f" {self.sealed.size} to {head.tree_size} are gone{_more(longer)}",
                file=one.name,
                tree_size=head.tree_size,
                first_missing_leaf=self.sealed.size,
            )
        if gone:
            one, head = gone[0]
            self.report.add(
                "head_rolled_back",
                "outside",
                f"the head of {head.tree_size} leaves was published and is not in the database"
                f"{_more(gone)}",
                file=one.name,
                tree_size=head.tree_size,
            )

    def witnessed(self, heads: Sequence[OutsideHead], name: str, key: bytes) -> None:
        """Adds to the account up to which size the witness `name` has cosigned."""
        sizes = []
        for one in heads:
            if one.head is None or all(line.name != name for line in one.head.signatures):
                continue
            try:
                cosigned_at(one.head, name, key)
            except ProofError as error:
                self.report.add("head_signature", "outside", str(error), file=one.name)
            else:
                sizes.append(one.head.tree_size)
        largest = max(sizes, default=0)
        self.report.notes.append(f"{name} has cosigned the tree up to {largest:,} leaves.")


def _more(found: Sequence[object]) -> str:
    return f" (and {len(found) - 1} more such heads)" if len(found) > 1 else ""
