"""Seals what commits have posted: leaf numbers, roots, one growing tree, a signed head.

Belongs here: the one transaction that seals, and which commits are ready for it. Does not: the
hashing (carbon_ledger.merkle), keys (carbon_ledger.signing_keys), sending heads outside
(pipeline.heads).

Sealers take turns by a lock that no other role can take (`audit.begin_sealing`); commits never wait
for it, nor it for them. A batch is sealed when all its parts are in. Commits become visible in
another order than that of their numbers and times, so nothing here walks by "larger than the last
one": what has no seal is looked for, back to the moment up to which the last seal left none
(`complete_until`), less an hour, and once a day everywhere, for clocks that were set back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg

from carbon_ledger import merkle
from carbon_ledger.errors import BrokenInvariant, Unavailable
from carbon_ledger.failpoints import failpoint
from carbon_ledger.merkle import Frontier
from carbon_ledger.notes import Checkpoint, Signer
from carbon_ledger.store.connect import query
from carbon_ledger.store.heads import Place, latest_head
from carbon_ledger.store.tree import read_frontier, require_root

Connection = psycopg.Connection[tuple[Any, ...]]

# A seal takes seconds; who waits longer for another sealer's is told whose.
TURN_SECONDS: Final = 10
# One call looks at so many commits, and appends about so many leaves at most; the rest is for the
# next call.
COMMITS_MAX: Final = 5000
LEAVES_MAX: Final = 2_000_000
# How far clocks may be set back before only the daily look finds what was recorded meanwhile.
SLACK: Final = timedelta(hours=1)
EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
INSTANT: Final = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """A seal: `leaves` entries from leaf `first_leaf` on, the tree's root after them."""

    seal_no: int
    batch_id: int | None
    first_leaf: int
    leaves: int
    tree_size: int
    batch_root: bytes
    tree_root: bytes
    commits: int


@dataclass(frozen=True, kw_only=True)
class _Ready:
    """A batch, or a commit of none, that can be sealed."""

    batch_id: int | None
    commit_id: int


@dataclass(frozen=True, kw_only=True)
class _Last:
    """The seal to go on from."""

    seal_no: int = 0
    tree_size: int = 0
    tree_root: bytes = merkle.EMPTY_ROOT
    complete_until: datetime = EVER
    sealed_at: datetime = EVER


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What has no seal: the ready ones in order; by commit number, when each was recorded."""

    ready: Sequence[_Ready]
    recorded_at: dict[int, datetime]
    complete_until: datetime


def seal_pending(
    conn: Connection,
    signer: Signer,
    origin: str,
    *,
    now: datetime | None = None,
    leaves_max: int = LEAVES_MAX,
) -> list[Sealed]:
    """Seals what is ready and signs one head over it, in one transaction; [] if nothing is.

    `conn` is the sealer's, in autocommit. At most COMMITS_MAX commits are looked at, and sealing
    stops once `leaves_max` leaves are appended. `now` (aware; the database's clock if none) stamps
    the seals and the head.

    Raises Unavailable `sealing_held`, naming the session, where another one seals for more than
    TURN_SECONDS. Before anything is signed, the tree so far is rebuilt from storage and compared
    with its last root: BrokenInvariant `tree_altered` or `tree_incomplete` if it differs,
    `signing_key_changed` if the last head was signed with another key; then nothing is sealed.
    """
    with conn.transaction():
        _take_turn(conn)
        last = _last_seal(conn)
        found = _find(conn, last, now)
        if not found.ready:
            return []
        head = latest_head(conn)
        if head is not None and head.public_key != signer.key.public_key:
            raise BrokenInvariant(
                "signing_key_changed",
                f"the last head, of {head.tree_size} leaves, was signed with the key"
                f" {head.public_key.hex()}, and this one is {signer.key.public_key.hex()}. Nothing"
                " is sealed: give the sealer that key back (CARBON_SIGNING_KEY_FILE)",
            )
        frontier = read_frontier(conn, last.tree_size)
        require_root(frontier, last.tree_root)
        sealed = _seal_all(conn, last, found, frontier, now, leaves_max)
        if sealed:
            _sign(conn, signer, origin, sealed[-1], head.tree_size if head else None, now)
            failpoint("sealer_signed")
    return sealed


def _take_turn(conn: Connection) -> None:
    conn.execute(f"set local lock_timeout = '{TURN_SECONDS}s'".encode())
    try:
        with conn.transaction():
            conn.execute("select audit.begin_sealing()")
    except psycopg.errors.LockNotAvailable:
        holders = conn.execute(query("sealing_holders")).fetchall()
        named = [
            f"{role} ({name or 'unnamed'}, pid {pid}, {mode})" for pid, role, name, mode in holders
        ]
        raise Unavailable(
            "sealing_held",
            f"audit.seal has been locked for {TURN_SECONDS} s by"
            f" {'; '.join(named) or 'a session that is gone'}, so nothing is sealed; the next run"
            " tries again",
        ) from None


def is_work_waiting(conn: Connection, places: Sequence[Place]) -> bool:
    """Whether a commit can be sealed now, or one of `places` has not got the latest head."""
    last = _last_seal(conn)
    row = conn.execute(
        query("audit_work_waiting"),
        {"since": _look_back(last), "places": list(places)},
    ).fetchone()
    return bool(row and row[0])


def _last_seal(conn: Connection) -> _Last:
    row = conn.execute(query("latest_seal"), binary=True).fetchone()
    if row is None:
        return _Last()
    return _Last(**dict(zip(_Last.__dataclass_fields__, row, strict=True)))


def _look_back(last: _Last) -> datetime:
    return max(last.complete_until - SLACK, EVER)


def _find(conn: Connection, last: _Last, now: datetime | None) -> _Found:
    # The horizon before the look: a writer that it does not know of is later than it.
    row = conn.execute(
        "select ledger.knowledge_horizon(), coalesce(%s, clock_timestamp())", (now,)
    ).fetchone()
    if row is None:
        raise BrokenInvariant("no_horizon", "the database does not tell the time")
    horizon, moment = row
    is_first_of_day = last.sealed_at.date() != moment.date()
    rows = conn.execute(
        query("unsealed_commits"),
        {"since": EVER if is_first_of_day else _look_back(last), "limit": COMMITS_MAX},
    ).fetchall()
    ready: dict[tuple[int, int], _Ready] = {}
    recorded: dict[int, datetime] = {}
    for commit_id, batch_id, _, recorded_at, is_whole in rows:
        recorded[commit_id] = recorded_at
        if is_whole:
            # Batches by their number, then commits of none by theirs.
            key = (0, batch_id) if batch_id is not None else (1, commit_id)
            ready.setdefault(key, _Ready(batch_id=batch_id, commit_id=commit_id))
    until = horizon
    if len(rows) == COMMITS_MAX:
        until = min(until, rows[-1][3] - INSTANT)
    return _Found(
        ready=[ready[key] for key in sorted(ready)],
        recorded_at=recorded,
        complete_until=max(until, EVER),
    )


def _seal_all(
    conn: Connection,
    last: _Last,
    found: _Found,
    frontier: Frontier,
    now: datetime | None,
    leaves_max: int,
) -> list[Sealed]:
    sealed: list[Sealed] = []
    waiting = dict(found.recorded_at)
    for unit in found.ready:
        if frontier.size - last.tree_size >= leaves_max:
            break
        commits = conn.execute(query("commits_of_unit"), vars(unit), binary=True).fetchall()
        for commit_id, *_ in commits:
            waiting.pop(commit_id, None)
        oldest = min(waiting.values(), default=found.complete_until + INSTANT)
        sealed.append(
            _append(
                conn,
                frontier,
                seal_no=last.seal_no + len(sealed) + 1,
                batch_id=unit.batch_id,
                commits=commits,
                complete_until=min(found.complete_until, oldest - INSTANT),
                now=now,
            )
        )
    return sealed


def _append(
    conn: Connection,
    frontier: Frontier,
    *,
    seal_no: int,
    batch_id: int | None,
    commits: Sequence[tuple[int, int, bytes]],
    complete_until: datetime,
    now: datetime | None,
) -> Sealed:
    first_leaf = frontier.size
    hashes: list[bytes] = []
    first_leaves = []
    for _, entries, content in commits:
        first_leaves.append(first_leaf + len(hashes))
        hashes.extend(merkle.leaf_hashes(content))
        if first_leaf + len(hashes) != first_leaves[-1] + entries:
            raise BrokenInvariant(
                "commit_miscounted", f"a commit of seal {seal_no} lists not the entries it counts"
            )
    nodes = list(frontier.append(hashes))
    sealed = Sealed(
        seal_no=seal_no,
        batch_id=batch_id,
        first_leaf=first_leaf,
        leaves=len(hashes),
        tree_size=frontier.size,
        batch_root=merkle.root(hashes),
        tree_root=frontier.root(),
        commits=len(commits),
    )
    conn.execute(
        query("insert_seal"),
        {
            **{name: getattr(sealed, name) for name in Sealed.__dataclass_fields__},
            "complete_until": complete_until,
            "sealed_at": now,
        },
    )
    conn.execute(
        query("insert_seal_commits"),
        {
            "seal_no": seal_no,
            "commit_ids": [commit_id for commit_id, *_ in commits],
            "first_leaves": first_leaves,
            "entries": [entries for _, entries, _ in commits],
        },
    )
    if nodes:
        levels, indices, roots = zip(*nodes, strict=True)
        conn.execute(
            query("insert_nodes"),
            {"levels": list(levels), "indices": list(indices), "hashes": list(roots)},
        )
    return sealed


def _sign(
    conn: Connection,
    signer: Signer,
    origin: str,
    last: Sealed,
    prev_size: int | None,
    now: datetime | None,
) -> None:
    # What is signed is what storage gives back, not what this process believes to have written.
    stored = _last_seal(conn)
    require_root(read_frontier(conn, stored.tree_size), last.tree_root)
    checkpoint = Checkpoint(
        origin=origin,
        tree_size=stored.tree_size,
        root=stored.tree_root,
        extensions=(f"seal {stored.seal_no}",),
    )
    conn.execute(
        query("insert_head"),
        {
            "tree_size": stored.tree_size,
            "prev_size": prev_size,
            "seal_no": stored.seal_no,
            "origin": origin,
            "root": stored.tree_root,
            "note": str(signer.sign(checkpoint.text)),
            "public_key": signer.key.public_key,
            "signed_at": now,
        },
    )
