"""What the simulator's world is made of: records, the store, its transactions, who works on it.

Belongs here: PostgreSQL as far as the commit and the seal need it: locks, commits, lost answers.
Does not: what anybody does with it (tests.chaos.simulator).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.chaos.simulator import World

PARTITIONS: Final = 2
# What a step may be: a place where the actor can be killed, stopped or overtaken.
Step = Generator[str, None, None]


class Gone(Exception):
    """The connection, and with it the transaction, is lost; what was asked may have happened."""


class Refused(Exception):
    """The database says no: fenced, gap, taken. The transaction is lost."""


class Broken(Exception):
    """A rule does not hold."""


@dataclass(frozen=True)
class Record:
    """A record in Kafka: its event, its revision, and what it says."""

    event: str
    payload: int


@dataclass(frozen=True)
class Entry:
    """A ledger entry: which record it came from, and by which commit."""

    event: str
    partition: int
    offset: int
    payload: int
    sha256: bytes


@dataclass(frozen=True)
class Account:
    """A part's account; counts in records."""

    batch_id: int
    attempt: int
    partition: int
    start: int
    end: int
    ledgered: int
    duplicate: int
    quarantined: int


@dataclass(frozen=True)
class Commit:
    """The list of entries that one transaction posted. Its id was given before it committed."""

    commit_id: int
    batch_id: int | None
    partition: int
    start: int
    sha256s: tuple[bytes, ...]


@dataclass(frozen=True)
class Seal:
    """Commits appended to the tree together."""

    commit_ids: tuple[int, ...]
    size: int
    root: bytes


@dataclass(frozen=True)
class Batch:
    """A claim, as the manifest has it."""

    batch_id: int
    ranges: tuple[tuple[int, int, int], ...]
    planned_at: datetime
    not_before: datetime
    attempt: int = 1
    status: str = "planned"
    run: str | None = None
    lease_until: datetime | None = None


@dataclass
class Store:
    """What PostgreSQL has committed. Values are immutable: copied containers are a backup."""

    planned: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(PARTITIONS), 0))
    committed: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(PARTITIONS), 0))
    batches: dict[int, Batch] = field(default_factory=dict)
    payloads: dict[str, int] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    commits: dict[int, Commit] = field(default_factory=dict)
    seals: list[Seal] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    published: int = 0
    last_planned_at: datetime | None = None
    next_id: int = 1

    def backup(self) -> Store:
        """A copy that later changes do not reach."""
        return Store(**{name: copy(value) for name, value in vars(self).items()})

    @property
    def open_batch(self) -> Batch | None:
        """The one batch that is not done."""
        return next((b for b in self.batches.values() if b.status != "done"), None)


@dataclass
class Transaction:
    """Changes that happen at the commit, and what is locked until then."""

    world: World
    owner: Actor | None = None
    locks: set[str] = field(default_factory=set)
    changes: list[Callable[[Store], None]] = field(default_factory=list)
    touched: float = 0.0
    is_over: bool = False

    def try_lock(self, name: str) -> bool:
        """Whether the lock is ours now; raises Gone if the transaction was ended meanwhile."""
        self.check()
        holders = [one for one in self.world.transactions if one is not self and name in one.locks]
        if holders:
            return False
        self.locks.add(name)
        return True

    def check(self) -> None:
        """Raises Gone if the server has ended the session."""
        if self.is_over:
            raise Gone
        self.touched = self.world.elapsed

    def change(self, act: Callable[[Store], None]) -> None:
        """Adds a change."""
        self.check()
        self.changes.append(act)

    def commit(self) -> None:
        """All changes happen at once. Raises Gone if the answer is lost, with them or without."""
        self.check()
        lost = self.world.happens(0.03)
        self.world.met["lost answer"] += lost
        if lost and self.world.happens(0.5):
            self.end()
            raise Gone
        for act in self.changes:
            act(self.world.store)
        self.end()
        self.world.watch()
        if lost:
            raise Gone

    def end(self) -> None:
        """The session is over: nothing is locked any more, and nothing more can happen."""
        self.is_over = True
        if self in self.world.transactions:
            self.world.transactions.remove(self)


@dataclass
class Actor:
    """A process at work, and until when it stands still."""

    name: str
    steps: Step
    asleep_until: float = 0.0
