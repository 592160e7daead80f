"""Restated entries made anew: the record they were computed from, by the restatement's rules.

Belongs here: those rules and the entry that follows. Does not: comparing (spark.reperform).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from carbon_ledger.entries import EntryRow
from carbon_ledger.errors import BrokenInvariant, CarbonError
from carbon_ledger.places import Rules
from carbon_ledger.policy import Policy
from carbon_ledger.restatement import restated, restated_cause
from carbon_ledger.store.lineage import PostedPart, RestatedBy, restated_rules
from spark.rejudge import RulesAsKnown, rejudge


def remade_by_restatement(
    connection: Any,
    archive_url: str,
    rules: RulesAsKnown,
    rows: Sequence[EntryRow],
    part_of: Callable[[EntryRow], PostedPart | None],
) -> dict[UUID, EntryRow | CarbonError]:
    """Each entry made anew, or why it cannot be; an entry no restatement knows is not among them.

    `part_of` finds the part of the record an entry names.
    """
    known = restated_rules(connection, [row.entry_id for row in rows])
    groups: dict[tuple[str, RestatedBy, str], list[EntryRow]] = defaultdict(list)
    parts: dict[str, PostedPart] = {}
    found: dict[UUID, EntryRow | CarbonError] = {}
    for row in rows:
        if row.entry_id not in known:
            continue
        part = part_of(row)
        if part is None:
            found[row.entry_id] = BrokenInvariant("part_missing", "no part holds its record")
            continue
        parts[part.archive_object] = part
        groups[part.archive_object, known[row.entry_id], row.factor_release].append(row)
    for (name, kept, release_id), some in groups.items():
        try:
            found |= _remade(connection, archive_url, rules, parts[name], kept, release_id, some)
        except CarbonError as error:
            for row in some:
                found.setdefault(row.entry_id, error)
    return found


def policy_of(rules: Rules, kept: RestatedBy) -> Policy:
    """The policy of a part, as a restatement changed it."""
    return replace(
        rules.policy,
        gwp_set=kept.gwp_set,
        max_vintage_gap_years=kept.max_vintage_gap_years,
    )


def _remade(
    connection: Any,
    archive_url: str,
    known: RulesAsKnown,
    part: PostedPart,
    kept: RestatedBy,
    release_id: str,
    rows: Sequence[EntryRow],
) -> dict[UUID, EntryRow | CarbonError]:
    rules = known.of(part, factor_release=release_id)
    rules = replace(
        rules, policy=policy_of(rules, kept), register=known.register(kept.reference_known_at)
    )
    offsets = {row.kafka_offset for row in rows if row.kafka_offset is not None}
    judged = {
        one.kafka_offset: one for one in rejudge(connection, archive_url, part, rules, offsets)
    }
    found: dict[UUID, EntryRow | CarbonError] = {}
    for row in rows:
        one = judged.get(row.kafka_offset if row.kafka_offset is not None else -1)
        lines = () if one is None else one.rows
        remade = next((line for line in lines if line.line_no == row.line_no), None)
        if one is not None and one.refusal is not None:
            found[row.entry_id] = one.refusal
        elif remade is None:
            found[row.entry_id] = BrokenInvariant(
                "line_unknown", f"its record posts no line {row.line_no} by the restatement's rules"
            )
        else:
            cause = restated_cause(row, kept.restatement_id)
            found[row.entry_id] = replace(
                restated(remade, row.event_id, cause), recorded_at=row.recorded_at
            )
    return found
