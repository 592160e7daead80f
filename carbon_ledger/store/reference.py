"""Reference data in PostgreSQL: every statement is kept, the last one about a key and begin holds.

Belongs here: rows of reference.* and their records, applying a file. Does not: what makes a record
or a file right (carbon_ledger.reference.checks), lookup (carbon_ledger.reference.register).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from psycopg import sql
from psycopg.rows import kwargs_row

from carbon_ledger.errors import BrokenInvariant, CarbonError, RejectedRecord
from carbon_ledger.failpoints import failpoint
from carbon_ledger.reference.changes import Comparison, compare
from carbon_ledger.reference.checks import faults_of, latest, place_of
from carbon_ledger.reference.fields import Record, checks_of
from carbon_ledger.reference.files import KINDS, Fault, Stated
from carbon_ledger.reference.records import Entity, Site
from carbon_ledger.reference.register import Register
from carbon_ledger.store.connect import query
from carbon_ledger.store.read import knowledge_horizon
from carbon_ledger.store.rows import Connection, begin_writing
from carbon_ledger.store.year_changes import closed_year_faults, moved_years, notes_on_years

# Writers of reference data take it alone, so that what one of them has checked stays true.
REFERENCE_LOCK: Final = 7206
# What the calendar of a stream's own files states of a site; everything else stays as it is known.
CALENDAR_FIELDS: Final = ("organization_id", "country_iso2", "region", "time_zone", "name")


class FaultyFile(CarbonError):
    """A file of reference data that does not fit; `faults` are all of them."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        lines = "\n".join(map(str, faults))
        super().__init__(
            "faulty_reference_data", f"{len(faults)} faults; nothing was stored:\n{lines}"
        )
        self.faults = tuple(faults)


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What became of a file: its changes, the moment they bear (None: nothing changed), and what
    has to be said of them.
    """

    comparison: Comparison
    recorded_at: datetime | None
    notes: tuple[str, ...] = ()


def read_statements(
    conn: Connection, kinds: Iterable[type[Record]] = tuple(KINDS.values())
) -> tuple[Record, ...]:
    """Every statement ever recorded, each with its moment, in order of recording.

    All kinds as of one moment. Raises BrokenInvariant `stored_reference_data` if a row is not what
    could have been stored.
    """
    names = [kind.KIND for kind in kinds]
    found = conn.execute(query("reference_statements"), {"kinds": names}).fetchall()
    return tuple(_record(*row) for row in found)


def _record(kind: str, statement: str, recorded_at: datetime) -> Record:
    values = json.loads(statement, parse_float=Decimal)
    try:
        return KINDS[kind](**values, recorded_at=recorded_at)
    except RejectedRecord as error:
        raise BrokenInvariant(
            "stored_reference_data", f"a stored {kind} cannot be read: {error}"
        ) from error


def read_register(conn: Connection, known_at: datetime | None = None) -> Register:
    """Everything stored, for lookup by day, as known at a moment (None: now).

    The answer for a moment is final. Raises RejectedRecord `known_at_not_final` for a moment at
    which a writer may still be recording.
    """
    if known_at is not None:
        horizon = knowledge_horizon(conn)
        if known_at > horizon:
            raise RejectedRecord(
                "known_at_not_final",
                f"what is known at {known_at.isoformat()} is not final yet",
                field="known_at",
                value=known_at.isoformat(),
                valid=f"{horizon.isoformat()} or earlier",
            )
    return Register(records=read_statements(conn), known_at=known_at)


def fiscal_years(conn: Connection, known_at: datetime | None = None) -> Register:
    """The register's entities alone, as known at a moment (None: now): which days a fiscal year of
    an organization has.
    """
    return Register(records=read_statements(conn, (Entity,)), known_at=known_at)


def await_reference_writers(conn: Connection) -> None:
    """Returns once whoever was recording reference data at the call has committed or given up.

    What is read afterwards holds everything recorded before the call. Needs READ COMMITTED.
    """
    conn.execute("select pg_advisory_lock_shared(%s, 0)", (REFERENCE_LOCK,))
    conn.execute("select pg_advisory_unlock_shared(%s, 0)", (REFERENCE_LOCK,))


def count_statements(conn: Connection) -> int:
    """How many statements there are: as long as it is the same, so is all reference data."""
    found = conn.execute(query("count_reference_statements")).fetchone()
    if found is None:
        raise BrokenInvariant("stored_reference_data", "a count gave no row")
    return int(found[0])


def apply_statements(
    conn: Connection, stated: Sequence[Stated], *, source: str, source_sha256: bytes
) -> Applied:
    """Record what a file states and is not stored so; all of it or nothing, once.

    Nothing is deleted: a changed statement supersedes, one that is not in the file stays. Raises
    FaultyFile if the file, together with what is stored, has a fault, or would give a fiscal year
    that was closed other days (`fiscal_year_is_closed`).
    """
    with conn.transaction():
        conn.execute("select pg_advisory_xact_lock(%s, 0)", (REFERENCE_LOCK,))
        stored = read_statements(conn)
        moves = moved_years(stored, stated)
        faults = [*faults_of(stated, stored), *closed_year_faults(conn, moves, stated)]
        if faults:
            raise FaultyFile(faults)
        comparison = compare(stored, stated)
        if not comparison.changes:
            return Applied(comparison=comparison, recorded_at=None)
        notes = notes_on_years(conn, moves)
        recorded_at: datetime = begin_writing(conn)
        _insert(conn, [change.stated.record for change in comparison.changes], recorded_at)
        conn.execute(
            query("insert_reference_application"),
            {
                "recorded_at": recorded_at,
                "source": source,
                "source_sha256": source_sha256,
                "added": comparison.count("added"),
                "superseded": comparison.count("superseded"),
                "ended": comparison.count("ended"),
            },
        )
    return Applied(comparison=comparison, recorded_at=recorded_at, notes=notes)


def register_sites(conn: Connection, sites: Sequence[Site]) -> int:
    """Record calendars that are new or differ from the last statement; the number of rows added.

    A statement is replaced by a later one with the same facility and `valid_from`; nothing is lost.
    What the last statement says beyond owner, country, region, time zone and name is kept.
    """
    with conn.transaction():
        conn.execute("select pg_advisory_xact_lock(%s, 0)", (REFERENCE_LOCK,))
        known = latest(read_statements(conn, [Site]))
        wanted = [_beside_what_is_known(site, known.get(place_of(site))) for site in sites]
        # Of several statements about one facility in one call the last one holds.
        fresh = [one for one in latest(wanted).values() if known.get(place_of(one)) != one]
        if fresh:
            _insert(conn, fresh, begin_writing(conn))
    return len(fresh)


def _beside_what_is_known(site: Site, known: Record | None) -> Site:
    if not isinstance(known, Site):
        return replace(site, recorded_at=None)
    stated = {name: getattr(site, name) for name in CALENDAR_FIELDS}
    return replace(known, **stated, recorded_at=None)


def restore_statements(conn: Connection, records: Sequence[Record]) -> int:
    """Puts statements back as they once were recorded, each with its own moment; those that are
    there already are left. The number of rows added.
    """
    with conn.transaction():
        conn.execute("select pg_advisory_xact_lock(%s, 0)", (REFERENCE_LOCK,))
        there = {(one, one.recorded_at) for one in read_statements(conn)}
        added = 0
        for record in records:
            if record.recorded_at is not None and (record, record.recorded_at) not in there:
                _insert(conn, [record], record.recorded_at)
                added += 1
    return added


def read_sites(conn: Connection, on: date | None = None) -> dict[str, Site]:
    """Facility id to the site in force on a day (None: today, UTC), by what is known now.

    A site that has ended keeps its calendar here: what is reported of its last days, late, still
    needs it. Whether it was in force is for the register to say.
    """
    with conn.cursor(row_factory=kwargs_row(Site)) as cursor:
        found = cursor.execute(query("sites_in_force"), {"day": on}).fetchall()
    return {site.facility_id: site for site in found}


def _insert(conn: Connection, records: Sequence[Record], recorded_at: datetime) -> None:
    for kind in KINDS.values():
        rows = [one for one in records if isinstance(one, kind)]
        if rows:
            names = list(checks_of(kind))
            statement = sql.SQL("insert into reference.{} ({}) values ({})").format(
                sql.Identifier(kind.KIND),
                sql.SQL(", ").join(map(sql.Identifier, [*names, "recorded_at"])),
                sql.SQL(", ").join(sql.Placeholder() * (len(names) + 1)),
            )
            values = [[*_columns(one, names), recorded_at] for one in rows]
            with conn.cursor() as cursor:
                cursor.executemany(statement, values)
    failpoint("reference_stored")


def _columns(record: Record, names: Sequence[str]) -> list[Any]:
    values = (getattr(record, name) for name in names)
    return [str(value) if isinstance(value, Fraction) else value for value in values]
