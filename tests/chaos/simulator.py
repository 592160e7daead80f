"""The commit and the seal against a store that forgets, writers that wake late and clocks that lie.

Belongs here: a world of one thread whose every step comes from a seed. Its planner decides with
carbon_ledger.planning and its sealer builds carbon_ledger.merkle's tree, as the running ones do;
PostgreSQL, Kafka and Dagster are modelled, with their locks, time limits and lost answers. Does
not: judging the world (tests.chaos.invariants), processes, files, SQL.

    python -m tests.chaos.simulator --seeds 100000

runs so many worlds and prints the seed of each that breaks a rule.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from carbon_ledger import merkle, planning
from carbon_ledger.planning import OpenBatch, PartitionProgress, RunSight, StreamState, TopicSight
from carbon_ledger.streams import STREAMS, Stream
from tests.chaos.simulated_store import (
    PARTITIONS,
    Account,
    Actor,
    Batch,
    Broken,
    Commit,
    Entry,
    Gone,
    Record,
    Refused,
    Seal,
    Step,
    Store,
    Transaction,
)

BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
TOPIC_ID: Final = "T"
# As manifest.LEASE_SECONDS, append.IDLE_SECONDS and the planner's lock time.
LEASE: Final = timedelta(seconds=20)
IDLE_SECONDS: Final = 45.0
BUGS: Final = ("no_fence", "offsets_apart", "seal_above_last", "publish_first", "late_look")


class World:
    """Topic, store, runs and actors of one seed. `bugs`: faults planted on purpose."""

    def __init__(self, seed: int, bugs: frozenset[str] = frozenset()) -> None:
        self.chance = Random(seed)
        self.bugs = bugs
        self.stream: Stream = STREAMS[0]
        self.topic: dict[int, list[Record]] = {n: [] for n in range(PARTITIONS)}
        self.store = Store()
        self.older: Store | None = None
        self.transactions: list[Transaction] = []
        self.actors: list[Actor] = []
        self.runs: dict[str, tuple[str, datetime | None]] = {}
        self.outside: list[Seal] = []
        self.is_sealer_halted = False
        self.elapsed = 0.0
        self.skew = 0.0
        self.faults = True
        self.steps = 0
        self.working: Actor | None = None
        # What happened, so that a test can see that everything does.
        self.met: Counter[str] = Counter()
        self.unsent = self.chance.randrange(10, 60)
        self.watchers: list[Callable[[], None]] = []

    # --- chance and time ---

    def happens(self, share: float) -> bool:
        """Whether a fault of this likelihood happens now; none does once the world heals."""
        return self.faults and self.chance.random() < share

    @property
    def now(self) -> datetime:
        """What the database's clock says, which may be anything."""
        return BEGIN + timedelta(seconds=self.elapsed + self.skew)

    def watch(self) -> None:
        """Something was committed or published: whoever judges looks."""
        for watcher in self.watchers:
            watcher()

    def begin(self) -> Transaction:
        """A new transaction."""
        found = Transaction(self, owner=self.working, touched=self.elapsed)
        self.transactions.append(found)
        return found

    # --- the loop ---

    def step(self) -> None:
        """Time passes, a fault may happen, one actor goes one step further."""
        self.steps += 1
        self.elapsed += self.chance.uniform(0, 0.6 if self.faults else 2.0)
        self._misfortune()
        for transaction in list(self.transactions):
            if self.elapsed - transaction.touched > IDLE_SECONDS:
                self.met["session ended"] += 1
                transaction.end()
        if self.chance.random() < 0.25:
            self._spawn()
        awake = [one for one in self.actors if one.asleep_until <= self.elapsed]
        if awake:
            self._advance(self.chance.choice(awake))

    def _advance(self, actor: Actor) -> None:
        self.working = actor
        try:
            next(actor.steps)
        except (StopIteration, Gone, Refused) as end:
            self.remove(actor)
            if not isinstance(end, StopIteration) and actor.name in self.runs:
                # The run ends with an exception, and Dagster knows it at once.
                self.met[type(end).__name__.lower()] += 1
                self.runs[actor.name] = ("failed", self.runs[actor.name][1])
            return
        if self.happens(0.02):
            self.met["kill"] += 1
            self.remove(actor)
        elif self.happens(0.02):
            self.met["zombie"] += 1
            actor.asleep_until = self.elapsed + self.chance.uniform(5, 60)

    def remove(self, actor: Actor) -> None:
        """The process is gone, and the server ends its sessions."""
        self.actors.remove(actor)
        for transaction in list(self.transactions):
            if transaction.owner is actor:
                transaction.end()

    def _misfortune(self) -> None:
        if self.happens(0.006):
            self.met["clock jump"] += 1
            self.skew += self.chance.uniform(-300, 300)
        if self.older is None and self.happens(0.01):
            self.older = self.store.backup()
        elif self.older is not None and self.happens(0.002):
            self._restore(self.older)
        if self.happens(
            0.004
        ):  # PostgreSQL dies: every session is over, nothing committed is lost.
            for transaction in list(self.transactions):
                transaction.end()

    def _restore(self, older: Store) -> None:
        """The database is put back to a backup; processes start anew, Kafka and the outside heads
        stay."""
        for actor in list(self.actors):
            self.actors.remove(actor)
        for transaction in list(self.transactions):
            transaction.end()
        self.met["restore"] += 1
        self.store = older.backup()
        self.runs = {
            name: ("failed", at) if outlook in ("waiting", "started") else (outlook, at)
            for name, (outlook, at) in self.runs.items()
        }
        # Runs that the restored database has never asked for are unknown to Dagster too.
        known = {f"{b.batch_id}:{n}" for b in self.store.batches.values() for n in range(99)}
        self.runs = {name: run for name, run in self.runs.items() if name in known}
        self.watch()

    def _spawn(self) -> None:
        names = {one.name for one in self.actors}
        makers: list[tuple[str, Callable[[], Step]]] = [
            ("producer", self.produce),
            ("planner", self.plan),
            ("sealer", self.seal),
            ("corrector", self.correct),
        ]
        for run, (outlook, _) in list(self.runs.items()):
            if outlook == "waiting":
                makers.append((run, lambda run=run: self.work(run)))  # type: ignore[misc]
            elif outlook == "started" and run not in names and self.chance.random() < 0.2:
                # Dagster's monitoring finds a run whose process is gone.
                self.runs[run] = ("failed", self.runs[run][1])
        name, make = self.chance.choice(makers)
        # A sealer or planner may overlap with one that stands still, as a second tick does.
        if name not in names or self.happens(0.1):
            self.actors.append(Actor(name, make()))

    # --- Kafka ---

    def produce(self) -> Step:
        """Sends records, some twice because the answer was lost, some late, some changed."""
        if self.unsent <= 0 or (not self.faults and self.chance.random() < 0.5):
            return
        number = self.unsent = self.unsent - 1
        partition = number % PARTITIONS
        record = Record(f"e{number}", self.chance.randrange(3))
        if self.happens(0.3):
            self.met["reordered"] += 1
            yield "a record waits while later ones are sent"
        self.topic[partition].append(record)
        yield "sent, not acknowledged"
        if self.happens(0.2):
            self.met["sent twice"] += 1
            self.topic[partition].append(record)
        if self.happens(0.05):
            self.topic[partition].append(Record(record.event, record.payload + 1))

    @property
    def highs(self) -> dict[int, int]:
        """End offsets."""
        return {partition: len(records) for partition, records in self.topic.items()}

    # --- the planner ---

    def state(self) -> StreamState:
        """The manifest as carbon_ledger.planning wants it."""
        store = self.store
        progress = {
            n: PartitionProgress(first=0, planned=store.planned[n], committed=store.committed[n])
            for n in range(PARTITIONS)
        }
        return StreamState(
            stream=self.stream.name,
            topic=self.stream.topic,
            topic_id=TOPIC_ID,
            last_planned_at=store.last_planned_at,
            progress=progress,
        )

    def plan(self) -> Step:
        """A tick: claims, or attends to the open batch."""
        before = self.state()
        sight = TopicSight(topic_id=TOPIC_ID, offsets={n: (0, h) for n, h in self.highs.items()})
        yield "looked at the topic"
        tx = self.begin()
        if not tx.try_lock("stream"):
            tx.end()
            return
        # Whoever was overtaken by another planner since it looked knows less than the accounts.
        is_judged = "late_look" in self.bugs or not planning.is_overtaken(before, self.state())
        if is_judged and planning.find_gaps(self.state(), sight):
            raise Broken("the planner sees a gap in a topic that is whole")
        yield "compared"
        batch = self.store.open_batch
        if batch is None:
            yield from self._claim(tx, sight)
        else:
            yield from self._attend(tx, batch)

    def _claim(self, tx: Transaction, sight: TopicSight) -> Step:
        state = self.state()
        pending = planning.pending_records(state, sight.highs)
        if not planning.is_due(
            self.stream, sum(pending.values()), state.last_planned_at, self.now
        ) and not (pending and not self.faults):
            tx.end()
            return
        shares = planning.share_out(pending, self.chance.choice([3, 8, 1000]))
        ranges = tuple(
            (n, state.progress[n].planned, state.progress[n].planned + count)
            for n, count in shares.items()
        )
        number, now = self.new_id(), self.now
        yield "batch inserted"
        batch = Batch(number, ranges, planned_at=now, not_before=now)

        def claim(store: Store) -> None:
            store.batches[number] = batch
            store.last_planned_at = now
            for partition, _, end in ranges:
                store.planned[partition] = end

        tx.change(claim)
        yield "claimed, not committed"
        tx.commit()
        yield "claimed"
        self.request(batch)

    def _attend(self, tx: Transaction, batch: Batch) -> Step:
        name = f"{batch.batch_id}:{batch.attempt}"
        outlook, started_at = self.runs.get(name, ("none", None))
        run = RunSight(outlook=outlook, run_id=name, started_at=started_at)  # type: ignore[arg-type]
        seen = OpenBatch(
            batch_id=batch.batch_id,
            attempt=batch.attempt,
            status=batch.status,  # type: ignore[arg-type]
            arrival_partition=planning.arrival_partition(batch.planned_at),
            planned_at=batch.planned_at,
            not_before=batch.not_before,
            lease_until=batch.lease_until,
            run_id=batch.run,
        )
        step = planning.next_step(seen, run, self.now)
        yield "decided"
        if step.action == "request":
            tx.end()
            self.request(batch)
        elif step.action == "retry":
            if outlook in ("waiting", "started"):
                self.runs[name] = ("failed", started_at)
            yield "the run was given up"
            self.give_up(tx, batch.batch_id, batch.attempt)
            tx.commit()
        else:
            tx.end()

    def request(self, batch: Batch) -> None:
        """Dagster launches at most one run for a run key."""
        self.runs.setdefault(f"{batch.batch_id}:{batch.attempt}", ("waiting", None))

    def give_up(self, tx: Transaction, batch_id: int, attempt: int) -> None:
        """The attempt is replaced by the next one, unless it was already. Raises Refused while a
        part's commit holds the batch."""
        batch = self.store.batches.get(batch_id)
        if batch is None or batch.attempt != attempt or batch.status == "done":
            tx.end()
            raise Refused
        if not self._lock_batch(tx, batch_id):
            tx.end()
            raise Refused
        wait = timedelta(seconds=planning.back_off_seconds(attempt + 1))
        after = Batch(
            batch_id,
            batch.ranges,
            planned_at=batch.planned_at,
            not_before=self.now + wait,
            attempt=attempt + 1,
        )
        tx.change(lambda store: store.batches.__setitem__(batch_id, after))

    def _lock_batch(self, tx: Transaction, batch_id: int) -> bool:
        shared = f"share:{batch_id}"
        if any(name.startswith(shared) for one in self.transactions for name in one.locks):
            return False
        return tx.try_lock(f"batch:{batch_id}")

    # --- a run ---

    def work(self, run: str) -> Step:
        """A run: takes its attempt, commits its parts, finishes the batch."""
        outlook, _ = self.runs.get(run, ("failed", None))
        if outlook != "waiting":
            return
        self.runs[run] = ("started", self.now)
        batch_id, attempt = map(int, run.split(":"))
        yield "started"
        tx = self.begin()
        batch = self._current(tx, batch_id, attempt)
        taken = Batch(
            **{**vars(batch), "status": "running", "run": run, "lease_until": self.now + LEASE}
        )
        tx.change(lambda store: store.batches.__setitem__(batch_id, taken))
        yield "took the attempt, not committed"
        tx.commit()
        for partition, start, end in batch.ranges:
            yield "a part is next"
            yield from self.commit_part(batch_id, attempt, partition, start, end)
            tx = self.begin()
            current = self._current(tx, batch_id, attempt)
            renewed = Batch(**{**vars(current), "lease_until": self.now + LEASE})
            tx.change(lambda store, renewed=renewed: store.batches.__setitem__(batch_id, renewed))  # type: ignore[misc]
            tx.commit()
        yield "every part is committed"
        tx = self.begin()
        current = self._current(tx, batch_id, attempt)
        if any(self.store.committed[n] < end for n, _, end in current.ranges):
            tx.end()
            raise Refused
        done = Batch(**{**vars(current), "status": "done"})
        tx.change(lambda store: store.batches.__setitem__(batch_id, done))
        yield "done, not committed"
        tx.commit()
        yield "done"
        self.runs[run] = ("succeeded", self.runs[run][1])

    def _current(self, tx: Transaction, batch_id: int, attempt: int) -> Batch:
        batch = self.store.batches.get(batch_id)
        if batch is None or batch.attempt != attempt or batch.status == "done":
            tx.end()
            raise Refused
        if not self._lock_batch(tx, batch_id):
            tx.end()
            raise Refused
        return batch

    def fence(self, tx: Transaction, batch_id: int, attempt: int) -> None:
        """Raises Refused unless the attempt is the batch's current one, and keeps it so until the
        transaction ends."""
        if "no_fence" in self.bugs:
            return
        batch = self.store.batches.get(batch_id)
        is_held = any(
            f"batch:{batch_id}" in one.locks for one in self.transactions if one is not tx
        )
        if batch is None or batch.attempt != attempt or batch.status == "done" or is_held:
            tx.end()
            raise Refused
        tx.locks.add(f"share:{batch_id}:{id(tx)}")

    def commit_part(
        self, batch_id: int, attempt: int, partition: int, start: int, end: int
    ) -> Step:
        """One transaction: lock, fence, compare, identities, entries, list, account, offsets."""
        tx = self.begin()
        while not tx.try_lock(f"progress:{partition}"):
            yield "waits for another writer of the partition"
        self.fence(tx, batch_id, attempt)
        committed = self.store.committed[partition]
        if committed >= end:
            tx.end()
            return
        if committed != start:
            tx.end()
            raise Refused
        yield "part opened"
        entries, counts = self.judge(partition, start, end)
        commit_id = self.new_id()
        yield "entries copied"
        listed = Commit(
            commit_id, batch_id, partition, start, tuple(entry.sha256 for entry in entries)
        )
        account = Account(batch_id, attempt, partition, start, end, **counts)
        self.fence(tx, batch_id, attempt)

        def post(store: Store) -> None:
            if any(entry.event in store.payloads for entry in entries):
                raise Broken("an identity was claimed twice")
            store.payloads |= {entry.event: entry.payload for entry in entries}
            store.entries += entries
            if entries:
                store.commits[commit_id] = listed

        def move(store: Store) -> None:
            store.accounts.append(account)
            store.committed[partition] = end

        tx.change(post)
        yield "account inserted"
        if "offsets_apart" in self.bugs:
            tx.commit()
            yield "entries committed, offsets not"
            tx = self.begin()
        tx.change(move)
        yield "before the commit"
        tx.commit()
        yield "committed, nobody knows"

    def judge(self, partition: int, start: int, end: int) -> tuple[list[Entry], dict[str, int]]:
        """The new entries of the records, and what became of each record."""
        entries: dict[str, Entry] = {}
        counts = {"ledgered": 0, "duplicate": 0, "quarantined": 0}
        for offset in range(start, end):
            record = self.topic[partition][offset]
            known = self.store.payloads.get(record.event)
            if known is None and record.event in entries:
                known = entries[record.event].payload
            if known is None:
                text = f"{record.event}|{record.payload}|{partition}|{offset}|{self.now}"
                sha256 = hashlib.sha256(text.encode()).digest()
                entries[record.event] = Entry(
                    record.event, partition, offset, record.payload, sha256
                )
                counts["ledgered"] += 1
            else:
                counts["duplicate" if known == record.payload else "quarantined"] += 1
        return list(entries.values()), counts

    def new_id(self) -> int:
        """The next number of a sequence: given at once, whether or not its transaction commits."""
        self.store.next_id += 1
        return self.store.next_id

    # --- beside batches ---

    def correct(self) -> Step:
        """A commit that belongs to no batch."""
        if not self.happens(0.3):
            return
        tx = self.begin()
        commit_id = self.new_id()
        yield "correction posted, not committed"
        sha256 = hashlib.sha256(f"correction {commit_id} {self.now}".encode()).digest()
        listed = Commit(commit_id, None, -1, -1, (sha256,))
        tx.change(lambda store: store.commits.__setitem__(commit_id, listed))
        yield "about to commit"
        tx.commit()

    # --- the sealer ---

    def unsealed(self) -> list[Commit]:
        """The commits of the next seal: all of one done batch, or one of no batch."""
        store = self.store
        sealed = {one for seal in store.seals for one in seal.commit_ids}
        waiting = [one for one in store.commits.values() if one.commit_id not in sealed]
        if "seal_above_last" in self.bugs:
            last = max(sealed, default=0)
            waiting = [one for one in waiting if one.commit_id > last]
        ready = [
            one
            for one in waiting
            if one.batch_id is None or store.batches[one.batch_id].status == "done"
        ]
        if not ready:
            return []
        first = min(ready, key=lambda one: one.commit_id)
        if first.batch_id is None:
            return [first]
        same = [one for one in ready if one.batch_id == first.batch_id]
        return sorted(same, key=lambda one: (one.partition, one.start))

    def seal(self) -> Step:
        """Appends what is not sealed to the tree, commits seal and signed head, then publishes."""
        if self.is_sealer_halted:
            return
        tx = self.begin()
        if not tx.try_lock("sealer"):
            tx.end()
            return
        yield "took its lock"
        yield from self.publish()
        if self.is_sealer_halted:
            tx.end()
            return
        chosen = self.unsealed()
        if not chosen:
            tx.end()
            return
        yield "loaded"
        leaves = [*self.store.leaves]
        leaves += [merkle.leaf_hash(sha256) for one in chosen for sha256 in one.sha256s]
        seal = Seal(tuple(one.commit_id for one in chosen), len(leaves), merkle.root(leaves))
        count = len(self.store.seals)
        yield "signed"
        if "publish_first" in self.bugs:
            self.outside.append(seal)
            self.watch()
            yield "published, not committed"

        def append(store: Store) -> None:
            if len(store.seals) != count:
                raise Broken("the tree forks: two seals follow the same one")
            store.seals.append(seal)
            store.leaves[:] = leaves

        tx.change(append)
        yield "before the commit"
        tx.commit()
        yield "sealed, not published"
        if "publish_first" not in self.bugs:
            yield from self.publish()

    def publish(self) -> Step:
        """Every committed head goes outside, in order; a store that is not a continuation of what
        is outside was put back, and signs nothing any more."""
        while True:
            seals, count = self.store.seals, len(self.outside)
            if self.outside != seals[:count]:
                self.is_sealer_halted = True
                self.met["halt"] += 1
                if not self.met["restore"]:
                    raise Broken("a head is outside that the database does not have")
                return
            if count == len(seals):
                return
            self.outside.append(seals[count])
            self.watch()
            yield "published"


def run_seed(seed: int, bugs: frozenset[str] = frozenset(), steps: int = 300) -> World:
    """One world: `steps` with faults, then none until all is quiet. Broken names the seed."""
    from tests.chaos.invariants import Judge

    world = World(seed, bugs)
    judge = Judge(world)
    try:
        for _ in range(steps):
            world.step()
        world.faults = False
        for actor in world.actors:
            actor.asleep_until = 0.0
        judge.await_quiet()
        judge.at_the_end()
    except Broken as error:
        raise Broken(f"seed {seed}, step {world.steps}: {error}") from error
    return world


def main(arguments: list[str] | None = None) -> int:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="tests.chaos.simulator")
    parser.add_argument("--seeds", type=int, default=2_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--bug", choices=BUGS, action="append", default=[])
    given: Any = parser.parse_args(arguments)
    failed, met = 0, Counter[str]()
    for seed in range(given.first, given.first + given.seeds):
        try:
            met += run_seed(seed, frozenset(given.bug)).met
        except Broken as error:
            failed += 1
            sys.stdout.write(f"{error}\n")
    counts = ", ".join(f"{count} x {what}" for what, count in sorted(met.items()))
    sys.stdout.write(f"{given.seeds} seeds, {failed} failed; {counts}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    # Not the `main` of this module, which is called __main__ and is another one than Judge's.
    from tests.chaos import simulator

    raise SystemExit(simulator.main())
