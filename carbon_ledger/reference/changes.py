"""What a file of reference data would change among what is stored.

Belongs here: the comparison, as a pure function. Does not: what is right
(carbon_ledger.reference.checks), writing it down (carbon_ledger.store.reference).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date
from typing import Literal

from carbon_ledger.reference.checks import Place, latest, place_of
from carbon_ledger.reference.fields import Record
from carbon_ledger.reference.files import Stated

Action = Literal["added", "superseded", "ended"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """A statement that is not stored as it is in the file.

    `ended`: nothing but an end that is new, or earlier. `differences` are (field, before, after).
    """

    action: Action
    stated: Stated
    differences: tuple[tuple[str, object, object], ...] = ()

    def __str__(self) -> str:
        record = self.stated.record
        about = " ".join([record.KIND, *(part for part in record.key if part)])
        text = f"{self.action} {about} from {record.valid_from}"
        if self.action == "added" and record.valid_to is not None:
            text += f" to {record.valid_to}"
        said = [f"{name}: {_text(old)} -> {_text(new)}" for name, old, new in self.differences]
        return text + (f" ({'; '.join(said)})" if said else "")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a file would do: its changes in order, and how much stays.

    `unchanged` statements are stored exactly so; `absent` ones are stored, not in the file, and
    stay.
    """

    changes: tuple[Change, ...]
    unchanged: int
    absent: int

    def count(self, action: Action) -> int:
        """How many changes are of one kind."""
        return sum(1 for one in self.changes if one.action == action)


def _text(value: object) -> str:
    return "none" if value is None or value == "" else str(value)


def compare(stored: Iterable[Record], stated: Sequence[Stated]) -> Comparison:
    """The changes of a file that has no faults, in its order."""
    known = latest(stored)
    changes: list[Change] = []
    for one in stated:
        before = known.get(place_of(one.record))
        if before is None:
            changes.append(Change(action="added", stated=one))
        elif before != one.record:
            changes.append(_change(before, one))
    mentioned: set[Place] = {place_of(one.record) for one in stated}
    return Comparison(
        changes=tuple(changes),
        unchanged=len(mentioned) - len(changes),
        absent=len(known.keys() - mentioned),
    )


def _change(before: Record, stated: Stated) -> Change:
    after = stated.record
    differences = tuple(
        (one.name, getattr(before, one.name), getattr(after, one.name))
        for one in fields(after)
        if one.compare and getattr(before, one.name) != getattr(after, one.name)
    )
    is_end = [name for name, _, _ in differences] == ["valid_to"] and (
        (after.valid_to or date.max) < (before.valid_to or date.max)
    )
    action: Action = "ended" if is_end else "superseded"
    return Change(action=action, stated=stated, differences=differences)
