"""Compares the entries that are there with the ones that commits list.

Belongs here: reading audit.commit, the comparison, accounts of parts. Does not: hashing entries
(verifier.entries), seals (verifier.seals).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from verifier.connection import Connection, query
from verifier.entries import AlteredRow, Scan, id_texts
from verifier.findings import Report

Numbers = npt.NDArray[Any]
CHUNK: Final = 200_000
TABLE: Final = "ledger.entry"
GROUP: Final = ("recorded_at", "batch_id", "topic", "topic_incarnation", "kafka_partition")
NULL_TEXT: Final = b"\x00"


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A row of audit.commit; its entries are `first` to `first + count` of all that are listed."""

    commit_id: int
    kind: str
    group: tuple[bytes, ...]
    start_offset: int | None
    first: int
    count: int

    @property
    def recorded_at(self) -> int:
        """Microseconds since 1970."""
        return int(self.group[0])

    @property
    def batch_id(self) -> int | None:
        """The batch, if it is a part of one."""
        return None if self.group[1] == NULL_TEXT else int(self.group[1])


@dataclass(kw_only=True)
class Listed:
    """All commits in the order of their ids, and what they list, one after the other."""

    commits: list[Commit] = field(default_factory=list)
    ids: bytearray = field(default_factory=bytearray)
    hashes: bytearray = field(default_factory=bytearray)

    def contents(self, commit: Commit) -> bytes:
        """Content hashes of the commit's entries."""
        return bytes(self.hashes[32 * commit.first : 32 * (commit.first + commit.count)])


def read_commits(connection: Connection, report: Report) -> Listed:
    """Every commit; one whose columns contradict each other is a finding."""
    listed = Listed()
    with connection.cursor("commits", binary=True) as cursor:
        cursor.itersize = 50
        cursor.execute(query("commits"))
        for commit_id, kind, *group, start_offset, entries, ids, hashes in cursor:
            count = min(len(ids) // 16, len(hashes) // 32)
            if (16 * entries, 32 * entries) != (len(ids), len(hashes)):
                report.add(
                    "commit_altered",
                    "audit.commit",
                    f"it says {entries} entries and lists {len(ids) / 16:g} ids and"
                    f" {len(hashes) / 32:g} hashes",
                    commit_id=commit_id,
                )
            spelled = tuple(NULL_TEXT if one == "\x01" else one.encode() for one in group)
            listed.commits.append(
                Commit(
                    commit_id=commit_id,
                    kind=kind,
                    group=spelled,
                    start_offset=start_offset,
                    first=len(listed.ids) // 16,
                    count=count,
                )
            )
            listed.ids += ids[: 16 * count]
            listed.hashes += hashes[: 32 * count]
    return listed


def check_accounts(connection: Connection, listed: Listed, report: Report) -> set[int]:
    """Compares the commits of parts with the parts' accounts; the ids of those that contradict."""
    accounts = {
        (topic, incarnation, partition, start): (batch_id, lines, recorded_at)
        for topic, incarnation, partition, start, batch_id, lines, recorded_at in (
            connection.execute(query("accounts")).fetchall()
        )
    }
    contradicted = set()
    seen = set()
    for commit in listed.commits:
        if commit.kind != "part":
            continue
        recorded_at, batch_id, topic, incarnation, partition = (
            text.decode() for text in commit.group
        )
        key = (topic, incarnation, partition, commit.start_offset)
        account = accounts.get(key)
        remark = ""
        if account is None:
            remark = f"there is no account of {topic}/{partition} from {commit.start_offset}"
        elif key in seen:
            remark = f"another commit is of {topic}/{partition} from {commit.start_offset}, too"
        elif account != (batch_id, commit.count, recorded_at):
            remark = (
                f"batch {batch_id}, {commit.count} entries, recorded_at {recorded_at}; its account"
                f" says batch {account[0]}, {account[1]} lines, {account[2]}"
            )
        if remark:
            contradicted.add(commit.commit_id)
            report.add("commit_altered", "audit.commit", remark, commit_id=commit.commit_id)
        seen.add(key)
    for key, (batch_id, lines, _) in accounts.items():
        if lines and key not in seen:
            report.add(
                "commit_missing",
                "audit.commit",
                f"the account of a part of batch {batch_id} has {lines} lines and no commit",
                topic=key[0],
                topic_incarnation=key[1],
                kafka_partition=key[2],
                start_offset=key[3],
            )
    return contradicted


def _keys(raw: bytes | bytearray) -> tuple[Numbers, Numbers]:
    pairs = np.frombuffer(raw, ">u8").reshape(-1, 2)
    return pairs[:, 0].astype(np.uint64), pairs[:, 1].astype(np.uint64)


class Comparison:
    """Entries that are there (`scan`s) against entries that are listed, by id."""

    def __init__(self, scans: list[Scan], listed: Listed, report: Report) -> None:
        self.listed, self.report = listed, report
        self.ids, self.hashes = bytearray(), bytearray()
        groups: list[Numbers] = []
        self.group_names: list[tuple[bytes, ...]] = []
        self.altered: dict[bytes, list[AlteredRow]] = {}
        for scan in scans:
            self.ids += scan.ids
            self.hashes += scan.hashes
            groups.extend(part + len(self.group_names) for part in scan.groups)
            self.group_names.extend(scan.group_names)
            scan.ids, scan.hashes, scan.groups = bytearray(), bytearray(), []
            for row in scan.altered:
                raw = bytes.fromhex(row.entry_id.replace("-", ""))
                self.altered.setdefault(raw, []).append(row)
            if scan.altered_count > len(scan.altered):
                more = scan.altered_count - len(scan.altered)
                report.counts["entry_altered"] += more
        self.groups: Numbers = np.concatenate(groups) if groups else np.array([], np.int32)
        self.firsts: Numbers = np.array([commit.first for commit in listed.commits], np.int64)

    def run(self, contradicted: set[int]) -> None:
        """Reports each difference."""
        there, listed = self._pairs()
        differ = self._hashes_differ(there, listed)
        for place in np.flatnonzero(differ):
            self._altered(int(there[place]), int(listed[place]))
        reported = {bytes(self.ids[16 * at : 16 * at + 16]) for at in there[differ].tolist()}
        self._altered_beside(there, listed, reported)
        self._groups_differ(there, listed, differ, contradicted)

    def _commit_of(self, at: int) -> Commit:
        return self.listed.commits[int(np.searchsorted(self.firsts, at, "right")) - 1]

    def _pairs(self) -> tuple[Numbers, Numbers]:
        """Places of each entry among those that are there and among those that are listed."""
        high, low = _keys(self.ids)
        listed_high, listed_low = _keys(self.listed.ids)
        there, listed = np.lexsort((low, high)), np.lexsort((listed_low, listed_high))
        high, low = high[there], low[there]
        listed_high, listed_low = listed_high[listed], listed_low[listed]
        once = not np.any((high[1:] == high[:-1]) & (low[1:] == low[:-1]))
        if once and np.array_equal(high, listed_high) and np.array_equal(low, listed_low):
            return there, listed
        return self._pairs_with_gaps(
            np.concatenate((high, listed_high)),
            np.concatenate((low, listed_low)),
            np.concatenate((there, listed)),
            len(there),
        )

    def _pairs_with_gaps(
        self, high: Numbers, low: Numbers, places: Numbers, count: int
    ) -> tuple[Numbers, Numbers]:
        order = np.lexsort((low, high))
        is_listed = order >= count
        high, low, places = high[order], low[order], places[order]
        new = np.ones(len(order), bool)
        new[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
        starts = np.flatnonzero(new)
        lengths = np.diff(np.append(starts, len(order)))
        following = np.minimum(starts + 1, len(order) - 1)
        paired = (lengths == 2) & ~is_listed[starts] & is_listed[following]
        for start, length in zip(starts[~paired].tolist(), lengths[~paired].tolist(), strict=True):
            own = places[start : start + length]
            of_list = is_listed[start : start + length]
            self._unpaired(own[~of_list].tolist(), own[of_list].tolist())
        return places[starts[paired]], places[starts[paired] + 1]

    def _unpaired(self, there: list[int], listed: list[int]) -> None:
        source = self.ids[16 * there[0] :] if there else self.listed.ids[16 * listed[0] :]
        (text,) = id_texts(bytes(source[:16]))
        commits = [self._commit_of(at).commit_id for at in listed]
        if not there:
            message = f"commit {commits[0]} lists it, and it is not there"
            self.report.add("entry_missing", TABLE, message, entry_id=text, commit_id=commits[0])
        if not listed:
            self.report.add("entry_unlisted", TABLE, "no commit lists it", entry_id=text)
        if len(there) > 1 or len(listed) > 1:
            message = f"it is there {len(there)} times; listed by commits {commits or 'none'}"
            self.report.add("entry_twice", TABLE, message, entry_id=text)

    def _hashes_differ(self, there: Numbers, listed: Numbers) -> Numbers:
        own = np.frombuffer(self.hashes, np.uint64).reshape(-1, 4)
        other = np.frombuffer(self.listed.hashes, np.uint64).reshape(-1, 4)
        differ = np.zeros(len(there), bool)
        for start in range(0, len(there), CHUNK):
            part = slice(start, start + CHUNK)
            differ[part] = np.any(own[there[part]] != other[listed[part]], axis=1)
        return differ

    def _altered(self, at: int, listed_at: int) -> None:
        raw = bytes(self.ids[16 * at : 16 * at + 16])
        (text,) = id_texts(raw)
        expected = bytes(self.listed.hashes[32 * listed_at : 32 * listed_at + 32])
        computed = bytes(self.hashes[32 * at : 32 * at + 32])
        row = self.altered.pop(raw, [None])[0]
        if row is None:
            columns = "content_sha256 and another column (the row was rewritten with its hash)"
        elif row.other_version == expected:
            columns = "preimage"
        elif row.stored == expected:
            columns = row.remark or "one of those that are hashed"
        else:
            columns = "content_sha256 and another column"
        self.report.add(
            "entry_altered",
            TABLE,
            f"column: {columns}; it was posted with hash {expected.hex()[:16]}…, its row now has"
            f" {computed.hex()[:16]}…",
            entry_id=text,
            commit_id=self._commit_of(listed_at).commit_id,
        )

    def _altered_beside(self, there: Numbers, listed: Numbers, reported: set[bytes]) -> None:
        """Rows that have the listed hash but another one beside it, or are in no commit at all."""
        for raw, rows in self.altered.items():
            if raw in reported:
                continue
            for row in rows:
                columns = row.remark or "content_sha256"
                self.report.add(
                    "entry_altered",
                    TABLE,
                    f"column: {columns}; beside it stands {row.stored.hex()[:16]}…, its row has"
                    f" hash {row.computed.hex()[:16]}…",
                    entry_id=row.entry_id,
                    activity_month=row.activity_month,
                )

    def _groups_differ(
        self, there: Numbers, listed: Numbers, differ: Numbers, contradicted: set[int]
    ) -> None:
        """Columns that all entries of a commit share with it."""
        numbers = np.searchsorted(self.firsts, listed, "right") - 1
        both = self.groups[there].astype(np.int64) << 32 | numbers
        for pair in np.unique(both).tolist():
            group, commit = self.group_names[pair >> 32], self.listed.commits[pair & 0xFFFFFFFF]
            shared = GROUP if commit.kind == "part" else GROUP[:2]
            wrong = [
                name
                for name, own, of_commit in zip(GROUP, group, commit.group, strict=True)
                if name in shared and own != of_commit
            ]
            if not wrong:
                continue
            places = np.flatnonzero(both == pair)
            if "batch_id" in wrong and commit.commit_id not in contradicted:
                self._other_batch(there[places], group, commit)
            hashed = [name for name in wrong if name != "batch_id"]
            # A row whose bytes have the listed hash says what was posted.
            if hashed and not differ[places].all():
                self.report.add(
                    "commit_altered",
                    "audit.commit",
                    f"column: {', '.join(hashed)}; its entries say something else",
                    commit_id=commit.commit_id,
                )

    def _other_batch(self, places: Numbers, group: tuple[bytes, ...], commit: Commit) -> None:
        said = "none" if group[1] == NULL_TEXT else group[1].decode()
        for at in places.tolist():
            (text,) = id_texts(bytes(self.ids[16 * at : 16 * at + 16]))
            self.report.add(
                "entry_altered",
                TABLE,
                f"column: batch_id; it says {said}, its commit {commit.batch_id or 'none'}",
                entry_id=text,
                commit_id=commit.commit_id,
            )
