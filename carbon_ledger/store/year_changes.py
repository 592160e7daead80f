"""What a file of reference data does to fiscal years: what forbids it, and what has to be said.

Belongs here: organizations whose fiscal years begin in another month by the file, beside periods
that were closed and reports that are kept. Does not: what must hold between records
(carbon_ledger.reference.checks), storing (carbon_ledger.store.reference).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from carbon_ledger.reference.checks import FIRST_MONTH, latest, place_of
from carbon_ledger.reference.fields import Record
from carbon_ledger.reference.files import Fault, Stated
from carbon_ledger.reference.records import Entity
from carbon_ledger.reference.register import Register
from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import Connection

# By organization the month before and after.
Moves = Mapping[str, tuple[int, int]]


def moved_years(stored: Iterable[Record], stated: Sequence[Stated]) -> Moves:
    """The organizations whose fiscal years begin in another month by a file."""
    held = {place: one for place, one in latest(stored).items() if isinstance(one, Entity)}
    before = _register(held.values())
    held |= {place_of(one.record): one.record for one in stated if isinstance(one.record, Entity)}
    after = _register(held.values())
    names = sorted({one.organization_id for one in held.values()})
    months = {name: (before.first_month(name), after.first_month(name)) for name in names}
    return {name: months[name] for name in names if months[name][0] != months[name][1]}


def _register(records: Iterable[Record]) -> Register:
    # Of what is stored and what is stated now none is older.
    return Register(records=tuple(replace(one, recorded_at=None) for one in records))


def closed_year_faults(conn: Connection, moves: Moves, stated: Sequence[Stated]) -> list[Fault]:
    """Faults `fiscal_year_is_closed`: a year that was ever closed, or is about to be, keeps the
    days that it was closed with.
    """
    if not moves:
        return []
    faults = []
    rows = conn.execute(query("fiscal_years_closed"), {"organizations": list(moves)}).fetchall()
    for organization, years in rows:
        old, new = moves[organization]
        one = next(
            each
            for each in stated
            if isinstance(each.record, Entity) and each.record.organization_id == organization
        )
        faults.append(
            Fault(
                file=one.file,
                row=one.row,
                kind=one.record.KIND,
                field=FIRST_MONTH,
                value=str(new),
                code="fiscal_year_is_closed",
                message=f"{FIRST_MONTH}: fiscal years of {organization} would begin in month {new}"
                f", and {', '.join(years)} was closed as one that begins in month {old}",
                valid=str(old),
            )
        )
    return faults


def notes_on_years(conn: Connection, moves: Moves) -> tuple[str, ...]:
    """What becomes of reports that are kept of years that begin in another month from now on."""
    if not moves:
        return ()
    rows = conn.execute(query("fiscal_years_kept"), {"organizations": list(moves)}).fetchall()
    kept = {organization: (reports, years) for organization, reports, years in rows}
    notes = []
    for organization, (old, new) in moves.items():
        note = (
            f"fiscal years of {organization} begin in month {new}, not {old}; period postings "
            "follow, and reports that are made as of earlier moments have the old years"
        )
        if organization in kept:
            reports, years = kept[organization]
            note += (
                f"; {reports} kept reports of {', '.join(map(str, years))} stay as they are, "
                f"of years that begin in month {old}"
            )
        notes.append(note)
    return tuple(notes)
