"""Broken readings through the ledger, back by repair, new factors or discard: exact at any size.

Belongs here: the one course of events that tests/stack takes small and tests/night large. Does not:
single rules of replaying (tests/stack/test_dead_letters.py).
"""

from __future__ import annotations

import signal
import threading
from collections import Counter
from contextlib import closing
from dataclasses import dataclass

from carbon_ledger.store.checks import check_accounts
from carbon_ledger.store.factors import store_release
from carbon_ledger.store.letter_decisions import decide_discards
from carbon_ledger.store.letters import Wanted
from carbon_ledger.store.upkeep import account_faults
from factor_seeds.load import release
from pipeline.letter_replay import Outcome, Request, resume
from tests.support.broken_readings import (
    CODES,
    DISCARDED,
    EDITS,
    Broken,
    broken,
    counts,
    good_before_conflict,
    with_antarctica,
)
from tests.support.letters import Ground

TRIES = 3


@dataclass(kw_only=True)
class Proof:
    """What was seen, for the report."""

    records: int
    by_fault: Counter[str]
    sent: int = 0
    resumed: int = 0
    under_way: int = 0
    duplicates: int = 0
    kills: int = 0


def prove(ground: Ground, count: int) -> Proof:
    """The whole course; AssertionError where anything is not exactly as it must be."""
    records = list(broken(count, ground.schema_id))
    by_fault = counts(records)
    proof = Proof(records=count, by_fault=by_fault)
    _judged_once(ground, records, by_fault)
    with closing(ground.database.writer(autocommit=True)) as conn:
        added = with_antarctica(release())
        store_release(conn, added)
        ground.release_id = added.release_id
    _repair(ground, by_fault, proof)
    landed = sum(by_fault[fault] for fault in EDITS)
    _poison(ground, by_fault["poison"])
    _discard(ground, by_fault)
    assert ground.states() == Counter(
        landed=landed,
        exhausted=by_fault["poison"],
        discarded=sum(by_fault[fault] for fault in DISCARDED),
    )
    _exact(ground, records, by_fault)
    _again(ground, landed)
    print(proof)  # noqa: T201
    return proof


def _judged_once(ground: Ground, records: list[Broken], by_fault: Counter[str]) -> None:
    first = good_before_conflict(records, ground.schema_id)
    ground.send(*first)
    assert ground.work()["ledgered"] == len(first)
    ground.send(*((one.key, one.value) for one in records))
    fates = ground.work()
    conflicts = by_fault["conflict"]
    assert (fates["dead_lettered"], fates["quarantined"]) == (len(records) - conflicts, conflicts)
    found = ground.letters()
    assert Counter(one.reason_code for one in found) == Counter(
        {CODES[fault]: number for fault, number in by_fault.items()}
    )
    assert {one.state for one in found} == {"open"}


def _repair(ground: Ground, by_fault: Counter[str], proof: Proof) -> None:
    """Every class by two people at once, one of whom may die between any two steps."""
    deaths = {
        "country_alias": "replays_sent",
        "negative": "replays_decided",
        "json": "sendings_noting",
        "conflict": "sendings_noted",
    }
    for fault, edit in EDITS.items():
        request = Request(
            wanted=Wanted(reason=CODES[fault]), who="night shift", why=f"{fault}", changes=edit
        )
        if fault in deaths:
            assert ground.replay_and_die(deaths[fault], request) == -signal.SIGKILL
            proof.kills += 1
        outcomes: list[Outcome] = []

        def again(request: Request = request, outcomes: list[Outcome] = outcomes) -> None:
            outcomes.append(
                ground.replay(
                    wanted=request.wanted, who="day shift", why="again", changes=request.changes
                )
            )

        threads = [threading.Thread(target=again) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(300)
        assert len(outcomes) == 2, "a replay raised"
        proof.sent += sum(len(one.sent) for one in outcomes)
        refused = [one.problem.code for outcome in outcomes for one in outcome.refused]
        assert set(refused) <= {"under_way"}
        proof.under_way += len(refused)
        with closing(ground.database.writer(autocommit=True)) as conn:
            proof.resumed += resume(conn, ground.settings, older_than_seconds=0)
            assert resume(conn, ground.settings, older_than_seconds=0) == 0
        fates = ground.work()
        told = Counter(one.reason for one in ground.letters(states=("open",)) if one.tries)
        assert fates["ledgered"] == by_fault[fault], (fault, fates, told)
        assert fates["dead_lettered"] == fates["quarantined"] == 0
        proof.duplicates += fates["duplicate"]


def _poison(ground: Ground, poison: int) -> None:
    """What is refused however often it is sent is sent three times, and then only by force."""
    wanted = Wanted(reason=CODES["poison"])
    for _ in range(TRIES):
        assert len(ground.replay(wanted=wanted).sent) == poison
        assert ground.work()["dead_lettered"] == poison
    assert ground.replay(wanted=wanted).sent == ()
    stopped = ground.letters(states=("exhausted",))
    assert [one.tries for one in stopped] == [TRIES] * poison
    first = stopped[0].letter_id
    (refused,) = ground.replay(first).refused
    assert refused.problem.code == "tries_exhausted"
    (forced,) = ground.replay(first, force=True, why="the source swears it is right").sent
    assert forced.try_no == TRIES + 1
    assert ground.work()["dead_lettered"] == 1


def _discard(ground: Ground, by_fault: Counter[str]) -> None:
    for fault in DISCARDED:
        ids = [one.letter_id for one in ground.letters(reason=CODES[fault])]
        assert len(ids) == by_fault[fault]
        with closing(ground.database.writer(autocommit=True)) as conn:
            done, refused = decide_discards(
                conn, ids, decided_by="day shift", reason="test meter", tries=TRIES
            )
        assert (done, refused) == (ids, [])


def _exact(ground: Ground, records: list[Broken], by_fault: Counter[str]) -> None:
    """Each repaired reading stands once, nothing else does, and the accounts are even."""
    standing = ground.rows("select split_part(event_id, '@', 1) from ledger.active_entry")
    repaired = Counter(f"iot:{one.sensor_id}" for one in records if one.fault in EDITS)
    assert Counter(sensor for (sensor,) in standing) == repaired
    with closing(ground.database.reader()) as conn:
        assert check_accounts(conn) == []
    batches = [number for (number,) in ground.rows("select batch_id from manifest.batch")]
    with closing(ground.database.writer()) as conn:
        assert account_faults(conn, batches) == []
    kinds = Counter(
        dict(ground.rows("select kind, count(*) from ledger.letter_decision group by kind"))
    )
    tried = sum(by_fault[fault] for fault in EDITS) + TRIES * by_fault["poison"] + 1
    assert kinds == Counter(replay=tried, discard=sum(by_fault[fault] for fault in DISCARDED))
    said = ground.rows("select distinct decided_by from ledger.letter_decision")
    assert {who for (who,) in said} <= {"night shift", "day shift", "operator"}


def _again(ground: Ground, landed: int) -> None:
    """What has landed is not sent again, whoever asks."""
    ids = [one.letter_id for one in ground.letters(states=("landed",))]
    outcome = ground.replay(*ids, force=True)
    assert outcome.sent == ()
    assert Counter(one.problem.code for one in outcome.refused) == Counter(already_landed=landed)
    assert ground.work() == Counter()
