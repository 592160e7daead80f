"""The group structure out of the register: its entities and stakes, as known at a moment.

Belongs here: from registered records to a structure. Does not: what the structure means
(boundary), the records and their checks (carbon_ledger.reference.records).
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime

from carbon_ledger.organisation.boundary import GroupStructure, Holding
from carbon_ledger.reference.fields import Record
from carbon_ledger.reference.records import Entity, Ownership
from carbon_ledger.reference.register import Register, timeline_of


def structure_of(register: Register, reporter_id: str, known_at: datetime) -> GroupStructure:
    """Everything registered about entities and stakes by `known_at`; a later statement of the same
    day replaces the one before it.

    Raises RejectedRecord as GroupStructure does, above all `unknown_entity` where a stake names an
    entity that is not registered.
    """
    known = [one for one in register.records if _is_known(one, known_at)]
    names = sorted({one.entity_id for one in known if isinstance(one, Entity)})
    statements: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for one in known:
        if isinstance(one, Ownership):
            statements[one.key].append(one)
    holdings = [
        Holding(
            entity_id=one.entity_id,
            owner_id=one.parent_id,
            equity_share=one.equity_share,
            has_financial_control=one.financial_control,
            has_operational_control=one.operational_control,
            valid_from=one.valid_from,
            valid_to=one.valid_to,
            known_from=one.recorded_at or known_at,
        )
        for _, made in sorted(statements.items())
        for one in timeline_of(made).records
        if isinstance(one, Ownership)
    ]
    return GroupStructure(reporter_id, names, holdings, known_at)


def value_chain_of(register: Register, on: date, known_at: datetime) -> frozenset[str]:
    """Entities that supply or buy, by what is registered on a day (ESRS E1 paragraph 46)."""
    entities = register.entities(on, known_at)
    return frozenset(one.entity_id for one in entities if one.in_value_chain)


def _is_known(one: Record, known_at: datetime) -> bool:
    return one.recorded_at is None or one.recorded_at <= known_at
