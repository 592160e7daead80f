"""Supersession posted: each claim that something new was said of, in a transaction of its own.

Belongs here: from entries that wait to plans that are posted, and the recomputation of a sample.
Does not: the rules (carbon_ledger.claims), the statements (carbon_ledger.store.claims), when it
runs (sensors.supersession). No JVM, no Kafka, no registry.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from carbon_ledger.claims.posting_plan import Plan, plan
from carbon_ledger.entries import EntryRow
from carbon_ledger.errors import BrokenInvariant, CarbonError, RejectedRecord
from carbon_ledger.policy import Policy
from carbon_ledger.quantities import PRODUCT
from carbon_ledger.settings import Settings
from carbon_ledger.store.claims import (
    HeldClaim,
    at_work,
    claim_members,
    claims_of_entries,
    held_claims,
    hold_claim,
    lock_claim,
    post_plan,
    sample_claims,
    standings_of,
    take_aside,
    waiting_entries,
)
from carbon_ledger.version import code_version
from spark.claim_facts import ClaimRecords

# Of a run, which the sensor asks for again while something waits.
RUN_SECONDS: Final = 120.0
SAMPLE_CLAIMS: Final = 200
CLAIMS_AT_ONCE: Final = 50
# Of a run: claims of many purchases are recomputed by the next runs too, which draw anew.
SAMPLE_SECONDS: Final = 10.0


@dataclass(kw_only=True)
class Outcome:
    """What a run did. `delta_kgco2e` is by how much the ledger changed; `held` names claims left as
    they are, `moved` those that somebody else wrote to, which the next run looks at again.
    """

    claims: int = 0
    entries_taken: int = 0
    facts_by_role: Counter[str] = field(default_factory=Counter)
    reversals: int = 0
    lines_posted: int = 0
    delta_kgco2e: Decimal = Decimal(0)
    held: list[HeldClaim] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)


def supersede(
    conn: Any,
    settings: Settings,
    *,
    claims_max: int | None = None,
    seconds: float = RUN_SECONDS,
) -> Outcome:
    """Takes every entry that waits into its claim, and posts what that changes; claim by claim.

    `conn` is the writer's, in autocommit. Each claim is committed by itself, so a run that is cut
    off goes on where it was, and a second run posts nothing. `claims_max` ends the run early, and
    no claim is begun after `seconds`: entries may come in without end, and a run must not go on so.
    """
    outcome = Outcome()
    deadline = time.monotonic() + seconds

    def is_over() -> bool:
        is_enough = claims_max is not None and outcome.claims >= claims_max
        return is_enough or time.monotonic() > deadline

    records = ClaimRecords(conn, settings)
    with at_work(conn):
        while not is_over():
            waiting = waiting_entries(conn)
            before = outcome.entries_taken
            if waiting:
                _work(conn, records, settings, waiting, outcome, is_over)
            if outcome.entries_taken == before:
                break
    return outcome


def _work(
    conn: Any,
    records: ClaimRecords,
    settings: Settings,
    waiting: Sequence[EntryRow],
    outcome: Outcome,
    is_over: Callable[[], bool],
) -> None:
    known = claims_of_entries(
        conn, [row.reverses_id for row in waiting if row.reverses_id is not None]
    )
    placed = records.claims(waiting, known)
    aside: list[EntryRow] = []
    by_claim: dict[str, list[EntryRow]] = defaultdict(list)
    for row in waiting:
        claim = placed.claims.get(row.entry_id)
        if row.entry_id in placed.problems:
            by_claim[f"unplaced:{row.activity_ref}"].append(row)
        elif claim is None:
            aside.append(row)
        else:
            by_claim[claim].append(row)
    take_aside(conn, aside)
    outcome.entries_taken += len(aside)
    policy = Policy(gwp_set=settings["CARBON_GWP_SET"])
    claims = sorted(by_claim)
    for number, claim in enumerate(claims):
        if is_over():
            return
        if number % CLAIMS_AT_ONCE == 0:
            _load(conn, records, claims[number : number + CLAIMS_AT_ONCE])
        rows = by_claim[claim]
        problem = placed.problems.get(rows[0].entry_id)
        _settle(conn, records, claim, rows, policy, problem, outcome)


def _load(conn: Any, records: ClaimRecords, claims: Sequence[str]) -> None:
    """Reads the records of some claims: an archived object is opened once for all of them."""
    # What cannot be read is told of its own claim, when that is planned.
    with suppress(RejectedRecord, BrokenInvariant):
        records.load(claim_members(conn, claims))


def _settle(
    conn: Any,
    records: ClaimRecords,
    claim: str,
    waiting: Sequence[EntryRow],
    policy: Policy,
    problem: CarbonError | None,
    outcome: Outcome,
) -> None:
    """One claim, in one transaction; where it cannot be planned it is held, in another."""
    outcome.claims += 1
    try:
        if problem is not None:
            raise problem
        with conn.transaction():
            lock_claim(conn, claim)
            made = plan_of(conn, records, claim, policy, waiting)
            posted = post_plan(conn, made, waiting, standings_of(conn, claim))
    except (RejectedRecord, BrokenInvariant) as error:
        if error.code == "claim_moved":
            outcome.moved.append(claim)
            return
        with conn.transaction():
            lock_claim(conn, claim)
            hold_claim(conn, claim, waiting, error.code, error.message)
        outcome.held.append(HeldClaim(claim=claim, flags=error.code, cause=error.message))
        outcome.entries_taken += len(waiting)
        return
    outcome.entries_taken += len(waiting)
    roles = {one.member.fact_id: one.standing.role for one in made.changes}
    outcome.facts_by_role.update(roles.values())
    outcome.reversals += sum(1 for row in posted if row.is_reversal)
    outcome.lines_posted += sum(1 for row in posted if not row.is_reversal)
    outcome.delta_kgco2e = PRODUCT.add(outcome.delta_kgco2e, made.delta_kgco2e)


def plan_of(
    conn: Any,
    records: ClaimRecords,
    claim: str,
    policy: Policy,
    waiting: Sequence[EntryRow] = (),
) -> Plan:
    """What to post so that a claim, with the entries that wait for it, says what its facts say.

    Raises RejectedRecord and BrokenInvariant where that cannot be told.
    """
    taken = {row.entry_id for row in waiting}
    rows = [row for row in claim_members(conn, [claim]) if row.entry_id not in taken]
    found = records.facts(claim, [*rows, *waiting])
    new = {row.activity_ref for row in waiting}
    return plan(
        claim,
        found.members,
        policy,
        changed={
            one.fact_id
            for one in found.members
            if any(line.whole.activity_ref in new for line in one.lines)
        },
        left=found.left,
        code_version=code_version(),
    )


def faults(
    conn: Any,
    settings: Settings,
    *,
    seed: str,
    sample: int = SAMPLE_CLAIMS,
    seconds: float = SAMPLE_SECONDS,
) -> tuple[int, list[str]]:
    """How many claims of a sample were recomputed from their records, and every one that says
    something else than its facts do, or is held. No claim is begun after `seconds`.
    """
    deadline = time.monotonic() + seconds
    policy = Policy(gwp_set=settings["CARBON_GWP_SET"])
    held = held_claims(conn)
    found = [f"{one.claim} is held: {one.flags}, {one.cause}" for one in held]
    skipped = {one.claim for one in held}
    claims = [one for one in sample_claims(conn, sample, seed) if one not in skipped]
    records = ClaimRecords(conn, settings)
    checked = 0
    for claim in claims:
        if time.monotonic() > deadline:
            break
        if checked % CLAIMS_AT_ONCE == 0:
            _load(conn, records, claims[checked : checked + CLAIMS_AT_ONCE])
        checked += 1
        try:
            made = plan_of(conn, records, claim, policy)
        except (RejectedRecord, BrokenInvariant) as error:
            found.append(f"{claim}: {error.code}, {error.message}")
            continue
        found += [
            f"{claim}: {one.member.key} stands at "
            f"{'nothing' if one.old is None else one.old.kgco2e} kgCO2e, "
            f"its facts give {None if one.new is None else one.new.kgco2e} ({one.standing.role})"
            for one in made.postings
        ]
    return checked, found
