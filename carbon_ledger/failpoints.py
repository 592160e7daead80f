"""Named points at which a test makes the process die or stand still: one list, and how to reach it.

Belongs here: the names, what has happened at each, and the act itself. Does not: anything that
production needs. For tests only: without CARBON_FAILPOINT a point costs one look into the
environment, and nothing in the project ever sets that variable for a process it starts.
"""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from carbon_ledger.errors import ConfigurationError

VARIABLE: Final = "CARBON_FAILPOINT"
_WANTED = re.compile(r"([a-z_]+)(?::([1-9]\d{0,8}))?(!stop)?")


@dataclass(frozen=True, kw_only=True)
class Failpoint:
    """A point in the code: the module that calls it, and what has and has not happened there."""

    name: str
    module: str
    done: str


# In the order in which an event meets them.
_POINTS: Final = (
    ("producer_queued", "pipeline.producers", "a record is in the buffer, perhaps not in Kafka"),
    ("producer_flushed", "pipeline.producers", "Kafka acknowledged what was sent"),
    ("changes_applied", "pipeline.sources.cdc_bridge", "captured changes are applied; not sent"),
    ("captured_events_sent", "pipeline.sources.cdc_bridge", "Kafka has their events; not marked"),
    ("changes_relayed", "pipeline.sources.cdc_bridge", "events marked; offsets not committed"),
    ("claim_begun", "carbon_ledger.store.manifest", "a batch has its row; no range, no commit"),
    ("claim_made", "carbon_ledger.store.manifest", "a batch has its ranges; not committed"),
    ("claim_committed", "sensors.planner", "a batch is claimed; no run was asked for"),
    ("attempt_taken", "carbon_ledger.store.manifest", "a run has the attempt; not committed"),
    ("attempt_begun", "carbon_assets.ledger_run", "the run has the attempt and its first lease"),
    ("lease_renewed", "carbon_ledger.store.manifest", "a sign of life; not committed"),
    ("records_read", "spark.sink", "the first records came; no transaction is open"),
    ("part_opened", "spark.sink", "a part's progress row is locked"),
    ("identities_claimed", "carbon_ledger.store.append", "identities; no entry"),
    ("entries_copied", "carbon_ledger.store.append", "identities and entries; no windows"),
    ("revision_reversed", "carbon_ledger.store.append", "what stood is reversed, the new posted"),
    ("letters_kept", "carbon_ledger.store.append", "refused records are in the outbox"),
    ("batch_appended", "spark.sink", "a record batch is in the transaction"),
    ("archive_written", "spark.archive", "the object's bytes are on disk under a passing name"),
    ("archive_closed", "spark.sink", "the object is in the archive; nothing is committed"),
    ("deltas_copied", "carbon_ledger.store.append", "windows too; no list of entries"),
    ("commit_listed", "carbon_ledger.store.append", "the list of entries too; no account"),
    ("account_inserted", "carbon_ledger.store.append", "the account too; offsets not moved"),
    ("part_before_commit", "carbon_ledger.store.append", "offsets moved too; not committed"),
    ("part_committed", "spark.sink", "the part is committed; nobody was told"),
    ("batch_finishing", "carbon_ledger.store.manifest", "the batch is done; not committed"),
    ("batch_finished", "carbon_assets.ledger_run", "the batch is done; the run has not ended"),
    ("failure_noted", "carbon_ledger.store.manifest", "an attempt is given up; not committed"),
    ("letters_sent", "pipeline.dead_letters", "Kafka has the dead letters; they are not marked"),
    ("letters_marking", "carbon_ledger.store.dead_letters", "letters marked; not committed"),
    ("letters_marked", "pipeline.dead_letters", "the dead letters are marked as relayed"),
    ("edge_letters_keeping", "carbon_ledger.store.edge_letters", "edges' letters; not committed"),
    ("edge_letters_kept", "pipeline.letter_uptake", "letters of edges and their offset are kept"),
    (
        "replays_deciding",
        "carbon_ledger.store.letter_decisions",
        "replays are decided; not committed",
    ),
    ("replays_decided", "pipeline.letter_replay", "replays are decided; nothing is sent"),
    ("replays_sent", "pipeline.letter_replay", "Kafka has the replays; nobody noted that"),
    (
        "sendings_noting",
        "carbon_ledger.store.letter_decisions",
        "sendings are noted; not committed",
    ),
    ("sendings_noted", "pipeline.letter_replay", "replays are sent, and that is noted"),
    ("windows_verified", "carbon_ledger.store.upkeep", "windows compared; not committed"),
    ("report_built", "carbon_ledger.store.reports", "a snapshot is written; not committed"),
    ("correction_posted", "carbon_ledger.store.correct", "a correction by hand; not committed"),
    ("correction_committed", "carbon_ledger.store.correct", "the correction stands; nobody knows"),
    (
        "restatement_posted",
        "carbon_ledger.store.restatement_posting",
        "a month of a restatement; not committed",
    ),
    (
        "restatement_committed",
        "carbon_ledger.store.restatement_posting",
        "a month of a restatement stands; nobody knows",
    ),
    ("sealer_signed", "carbon_ledger.store.seals", "seals and a signed head; not committed"),
    ("head_committed", "pipeline.heads", "a signed head is committed; it is nowhere else"),
    ("head_filed", "pipeline.heads", "the head is in its file; nobody noted that"),
    ("head_sent", "pipeline.heads", "Kafka acknowledged the head; nobody noted that"),
    ("reference_stored", "carbon_ledger.store.reference", "reference data; not committed"),
    ("release_stored", "carbon_ledger.store.factors", "a factor release; not committed"),
    ("drop_claimed", "pipeline.drops.work", "a dropped file is claimed; nothing of it is sent"),
    ("drop_recorded", "pipeline.drops.work", "a dropped file's outcome stands; no receipt is left"),
    ("drop_receipted", "pipeline.drops.work", "the receipt is left; the file is not put aside"),
    ("migration_applied", "carbon_ledger.store.migrate", "a migration's changes; not recorded"),
    ("migration_committed", "carbon_ledger.store.migrate", "a migration is there and recorded"),
)
FAILPOINTS: Final[Mapping[str, Failpoint]] = MappingProxyType(
    {name: Failpoint(name=name, module=module, done=done) for name, module, done in _POINTS}
)

_hits: Counter[str] = Counter()


def failpoint(name: str) -> None:
    """Kills the process here, or stops it, if CARBON_FAILPOINT names this point.

    `part_opened` kills at the first hit in this process, `part_opened:3` at the third; with `!stop`
    at the end the process is stopped (SIGSTOP) instead, and goes on when somebody continues it.
    """
    wanted = os.environ.get(VARIABLE)
    if wanted is not None:
        _reach(name, wanted)


def _reach(name: str, wanted: str) -> None:
    found = _WANTED.fullmatch(wanted)
    if found is None or found[1] not in FAILPOINTS:
        raise ConfigurationError(
            "unknown_failpoint",
            f"{VARIABLE} is {wanted!r}; valid are a name, `name:2`, `name!stop` and `name:2!stop` "
            f"with one of: {', '.join(FAILPOINTS)}",
        )
    if found[1] != name:
        return
    _hits[name] += 1
    if _hits[name] == int(found[2] or 1):
        os.kill(os.getpid(), signal.SIGSTOP if found[3] else signal.SIGKILL)
