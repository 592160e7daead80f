"""What must hold in the simulator's world after every commit and every published head.

Belongs here: the rules, checked from the records alone. Does not: how the world comes about.
"""

from __future__ import annotations

from tests.chaos.simulated_store import PARTITIONS, Broken, Commit, Seal, Store
from tests.chaos.simulator import World
from tests.chaos.tree import tree_root

QUIET_STEPS_MAX = 6_000


class Judge:
    """Looks at `world` whenever something was committed or published; raises Broken."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seen_accounts = 0
        self.seen_heads: list[Seal] = []
        self.store = world.store
        world.watchers.append(self.look)

    def look(self) -> None:
        """After every commit and head."""
        store = self.world.store
        if store is not self.store:  # The database was put back.
            self.store, self.seen_accounts = store, len(store.accounts)
        self._entries(store)
        self._accounts(store)
        self._heads(store)

    def _entries(self, store: Store) -> None:
        events = [entry.event for entry in store.entries]
        if len(set(events)) != len(events):
            raise Broken("an event is in the ledger twice")
        for entry in store.entries:
            if entry.offset >= store.committed[entry.partition]:
                raise Broken(f"{entry.event} is in the ledger, its offset is not committed")
        listed = [sha256 for one in store.commits.values() for sha256 in one.sha256s]
        of_batches = [
            sha256
            for one in store.commits.values()
            if one.batch_id is not None
            for sha256 in one.sha256s
        ]
        if len(set(listed)) != len(listed):
            raise Broken("an entry is in two lists")
        if set(of_batches) != {entry.sha256 for entry in store.entries}:
            raise Broken("the lists are not the ledger's entries")

    def _accounts(self, store: Store) -> None:
        ends = dict.fromkeys(range(PARTITIONS), 0)
        for account in store.accounts:
            if account.start != ends[account.partition]:
                raise Broken(f"accounts overlap or leave a hole: {account}")
            ends[account.partition] = account.end
            read = account.end - account.start
            if read != account.ledgered + account.duplicate + account.quarantined:
                raise Broken(f"the account is not closed: {account}")
            entries = sum(
                1
                for entry in store.entries
                if entry.partition == account.partition
                and account.start <= entry.offset < account.end
            )
            if entries != account.ledgered:
                raise Broken(f"{entries} entries are in the ledger of {account}")
        if ends != store.committed:
            raise Broken(f"the accounts end at {ends}, the offsets at {store.committed}")
        for account in store.accounts[self.seen_accounts :]:
            batch = store.batches[account.batch_id]
            if batch.attempt != account.attempt:
                raise Broken(f"attempt {account.attempt} committed, the batch has {batch.attempt}")
        self.seen_accounts = len(store.accounts)

    def _heads(self, store: Store) -> None:
        outside = self.world.outside
        if outside[: len(self.seen_heads)] != self.seen_heads:
            raise Broken("a published head has changed")
        for head in outside[len(self.seen_heads) :]:
            last = self.seen_heads[-1] if self.seen_heads else None
            if last is not None and head.size <= last.size:
                raise Broken(f"head of {head.size} leaves follows one of {last.size}")
            leaves = self.leaves_of([*outside[: len(self.seen_heads)], head], store.commits)
            if tree_root(leaves) != head.root or len(leaves) != head.size:
                raise Broken("a signed head is not the tree of what was sealed")
            if last is not None and tree_root(leaves[: last.size]) != last.root:
                raise Broken("a signed head contradicts an earlier one")
            self.seen_heads.append(head)

    @staticmethod
    def leaves_of(seals: list[Seal], commits: dict[int, Commit]) -> list[bytes]:
        """The leaf data of seals, from the lists that they name."""
        named = [number for seal in seals for number in seal.commit_ids]
        missing = [number for number in named if number not in commits]
        if missing:
            raise Broken(f"a signed head covers commits that are not there: {missing}")
        return [sha256 for number in named for sha256 in commits[number].sha256s]

    def await_quiet(self) -> None:
        """Without faults the world comes to rest: everything sent, committed, done and sealed."""
        world = self.world
        for _ in range(QUIET_STEPS_MAX):
            if not self.unrest():
                return
            world.step()
        raise Broken(f"there is no quiet: {self.unrest()}")

    def unrest(self) -> str | None:
        """What is still to be done."""
        world, store = self.world, self.world.store
        if world.unsent > 0:
            return f"{world.unsent} records are not sent"
        if store.committed != world.highs:
            return f"committed is {store.committed} of {world.highs}, {store.open_batch}"
        if store.open_batch is not None:
            return f"{store.open_batch} is open"
        if world.is_sealer_halted:
            return None
        sealed = {number for seal in store.seals for number in seal.commit_ids}
        if sealed != set(store.commits):
            return f"commits {sorted(set(store.commits) - sealed)} are not sealed"
        if world.outside != store.seals:
            return "heads are not published"
        return None

    def at_the_end(self) -> None:
        """Everything sent is in the ledger, once, as it was first sent in its partition."""
        self.look()
        world = self.world
        for partition, records in world.topic.items():
            first: dict[str, int] = {}
            for record in records:
                first.setdefault(record.event, record.payload)
            found = {
                entry.event: entry.payload
                for entry in world.store.entries
                if entry.partition == partition
            }
            if found != first:
                raise Broken(f"partition {partition}: {set(found.items()) ^ set(first.items())}")
