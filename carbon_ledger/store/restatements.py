"""Restatements in PostgreSQL: candidates, previews, approvals, postings.

Belongs here: rows of ledger.restatement and its neighbours, and the one transaction that posts a
month. Does not: what a restatement is (carbon_ledger.restatement), computing lines (spark.restate).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from carbon_ledger.entries import COLUMNS, EntryRow
from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.restatement import (
    APPROVALS_NEEDED,
    CAUSES,
    GASES,
    LineChange,
    Target,
    difference,
    person,
    same_person,
)
from carbon_ledger.restatement_reach import Reach
from carbon_ledger.store.connect import query
from carbon_ledger.store.reports import SCOPE_2_LOCATION_DATAPOINT
from carbon_ledger.store.rows import (
    Connection,
)

LINE_COLUMNS: Final = (
    "restatement_id",
    "activity_month",
    "entry_id",
    "new_entry_id",
    "new_month",
    "new_event_id",
    "line_no",
    "delta_kgco2e",
    *(f"delta_{cause}" for cause in CAUSES),
    *(f"delta_{gas}" for gas in GASES),
    "policy_gwp_set",
    "policy_vintage_gap",
    "reference_known_at",
)


@dataclass(frozen=True, kw_only=True)
class RulesKept:
    """The rules an earlier restatement posted an entry with, beside its factor release."""

    gwp_set: str
    max_vintage_gap_years: int
    reference_known_at: datetime


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An entry that stands and may change. `kept` None: the rules are those of its record's part.

    `is_recomputable`: an archived record made the figure, and nothing else did.
    """

    row: EntryRow
    kept: RulesKept | None
    is_recomputable: bool


def release_months(
    conn: Connection, first_date: date, end_date: date, known_at: datetime
) -> dict[date, tuple[str, ...]]:
    """The releases named by entries of the local dates [first_date, end_date), by month."""
    months: dict[date, list[str]] = {}
    parameters = {"first_date": first_date, "end_date": end_date, "known_at": known_at}
    for month, release in conn.execute(query("restatement_releases"), parameters):
        months.setdefault(month, []).append(release)
    return {month: tuple(releases) for month, releases in months.items()}


def candidates(
    conn: Connection,
    month: date,
    reach: Reach,
    *,
    first_date: date,
    end_date: date,
    known_at: datetime,
) -> list[Candidate]:
    """Standing entries of the month that `reach` names, in order of their ids."""
    boundary = reach.boundary
    by_id = [(one.from_release, name) for one in reach.factors for name in one.factor_ids]
    by_stream = [(one.from_release, name) for one in reach.factors for name in one.streams]
    parameters = {
        "month": month,
        "first_date": first_date,
        "end_date": end_date,
        "known_at": known_at,
        "releases": [release for release, _ in by_id],
        "factor_ids": [name for _, name in by_id],
        "stream_releases": [release for release, _ in by_stream],
        "factor_streams": [name for _, name in by_stream],
        "gwp_set": reach.gwp_set,
        "gwp_factor_ids": list(reach.gwp_factor_ids),
        "reference_as_of": reach.reference_as_of,
        "facilities": [name for name, _ in boundary.facilities],
        "facility_moments": [at for _, at in boundary.facilities],
        "sources": [name for name, _ in boundary.sources],
        "source_moments": [at for _, at in boundary.sources],
        "streams": [name for name, _ in boundary.streams],
        "stream_moments": [at for _, at in boundary.streams],
        "everything": boundary.everything,
        "max_gap": reach.max_vintage_gap_years,
        "other_code_than": reach.other_code_than,
    }
    with conn.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(query("restatement_candidates"), parameters)
        return [_candidate(values) for values in found]


def _candidate(values: dict[str, Any]) -> Candidate:
    kept = None
    if values["reference_known_at"] is not None:
        kept = RulesKept(
            gwp_set=values["policy_gwp_set"],
            max_vintage_gap_years=values["policy_vintage_gap"],
            reference_known_at=values["reference_known_at"],
        )
    return Candidate(row=_entry(values), kept=kept, is_recomputable=bool(values["is_recomputable"]))


def _entry(values: Mapping[str, Any]) -> EntryRow:
    return EntryRow(**{name: values[name] for name in COLUMNS})


RecordPlace = tuple[str, int, int, int]


def line_numbers(
    conn: Connection, month: date, records: Collection[RecordPlace]
) -> dict[RecordPlace, set[int]]:
    """Numbers of the lines that the records (topic, incarnation, partition, offset) have in the
    ledger, whether they stand or not, in the month and its two neighbours.
    """
    found: dict[RecordPlace, set[int]] = defaultdict(set)
    if records:
        columns = [list(column) for column in zip(*sorted(records), strict=True)]
        names = ("topics", "incarnations", "partitions", "offsets")
        parameters = {"month": month, **dict(zip(names, columns, strict=True))}
        for *place, line_no in conn.execute(query("restatement_siblings"), parameters):
            topic, incarnation, partition, offset = place
            found[topic, incarnation, partition, offset].add(line_no)
    return found


def stated_cells(conn: Connection) -> dict[tuple[str, int, str], Decimal]:
    """(organization, fiscal year, country or empty) to tCO2e, by the newest snapshots."""
    rows = conn.execute(
        query("restatement_stated_cells"), {"datapoint": SCOPE_2_LOCATION_DATAPOINT}
    )
    return {(organization, year, country): value for organization, year, country, value in rows}


def base_year_totals(conn: Connection, year: int, known_at: datetime) -> dict[str, Decimal]:
    """kgCO2e of a fiscal year by organization, location-based, as known at a moment."""
    rows = conn.execute(
        query("restatement_base_year"),
        {"year": year, "known_at": known_at},
    )
    return {organization: value for organization, value in rows}


@dataclass(frozen=True, kw_only=True)
class PlannedMonth:
    """A month of a preview."""

    month: date
    entries: int
    delta_kgco2e: Decimal
    digest: bytes


@dataclass(frozen=True, kw_only=True)
class PlannedLine:
    """One line of a plan: the change, the new entry as it is to be posted, the rules it was made
    with. `new` has neither its moment nor its hash yet.
    """

    change: LineChange
    new: EntryRow | None
    kept: RulesKept


@dataclass(frozen=True, kw_only=True)
class Restatement:
    """A stored preview with what became of it."""

    restatement_id: int
    from_releases: str
    release_id: str | None
    gwp_set: str | None
    reference_as_of: datetime | None
    max_vintage_gap_years: int | None
    recompute: bool
    first_date: date
    end_date: date
    base_year: int | None
    code_version: str
    known_at: datetime
    entries: int
    delta_kgco2e: Decimal
    digest: bytes
    summary: str
    previewed_by: str
    reason: str
    previewed_at: datetime
    approved_by: Sequence[str]
    months: Sequence[date]
    posted_months: Sequence[date]

    @property
    def target(self) -> Target:
        """What is changed."""
        return Target(
            release_id=self.release_id,
            gwp_set=self.gwp_set,
            reference_as_of=self.reference_as_of,
            max_vintage_gap_years=self.max_vintage_gap_years,
            recompute=self.recompute,
        )

    @property
    def is_approved(self) -> bool:
        """Whether two people agreed to it."""
        return len(self.approved_by) >= APPROVALS_NEEDED

    @property
    def open_months(self) -> tuple[date, ...]:
        """Months that are not posted yet, in order."""
        posted = set(self.posted_months)
        return tuple(month for month in self.months if month not in posted)

    @property
    def status(self) -> str:
        """previewed, approved, posting or posted."""
        if not self.open_months:
            return "posted"
        if self.posted_months:
            return "posting"
        return "approved" if self.is_approved else "previewed"


def new_number(conn: Connection) -> int:
    """The number of a restatement to be; numbers of previews that were given up are not used."""
    row = conn.execute("select nextval('ledger.restatement_number')").fetchone()
    if row is None:
        raise BrokenInvariant("restatement_number", "the database gave no number")
    return int(row[0])


def line_values(restatement_id: int, line: PlannedLine) -> tuple[object, ...]:
    """The row of ledger.restatement_line, in the order of LINE_COLUMNS."""
    change, new = line.change, line.new
    return (
        restatement_id,
        change.side.activity_month,
        None if change.old is None else change.old.entry_id,
        None if new is None else new.entry_id,
        None if new is None else new.activity_month,
        None if new is None else new.event_id,
        change.side.line_no,
        change.delta_kgco2e,
        *(change.steps[cause] for cause in CAUSES),
        *(difference(new, change.old, gas) for gas in GASES),
        line.kept.gwp_set,
        line.kept.max_vintage_gap_years,
        line.kept.reference_known_at,
    )


def store_preview(
    conn: Connection,
    values: Mapping[str, Any],
    target: Target,
    summary: Mapping[str, Any],
    months: Sequence[PlannedMonth],
    lines: Iterable[tuple[object, ...]],
) -> None:
    """Keep a preview, whole or not at all; `values` are the other columns of ledger.restatement."""
    number = values["restatement_id"]
    with conn.transaction():
        conn.execute(
            query("insert_restatement"), {**values, **vars(target), "summary": Jsonb(dict(summary))}
        )
        with conn.cursor() as cursor:
            with cursor.copy(
                "copy ledger.restatement_month"
                " (restatement_id, activity_month, entries, delta_kgco2e, digest) from stdin"
            ) as copy:
                for one in months:
                    copy.write_row((number, one.month, one.entries, one.delta_kgco2e, one.digest))
            with cursor.copy(
                f"copy ledger.restatement_line ({', '.join(LINE_COLUMNS)}) from stdin"
            ) as copy:
                for line in lines:
                    copy.write_row(line)


def list_restatements(conn: Connection) -> list[Restatement]:
    """All of them, newest first."""
    return _find(conn, None)


def find_restatement(conn: Connection, restatement_id: int) -> Restatement:
    """One of them; RejectedRecord `unknown_restatement`."""
    found = _find(conn, restatement_id)
    if not found:
        raise RejectedRecord(
            "unknown_restatement",
            f"there is no restatement R-{restatement_id}",
            field="restatement",
            value=restatement_id,
            valid="a number that `carbon restate list` shows",
        )
    return found[0]


def _find(conn: Connection, restatement_id: int | None) -> list[Restatement]:
    with conn.cursor(row_factory=class_row(Restatement)) as cursor:
        return cursor.execute(
            query("find_restatement"), {"restatement_id": restatement_id}
        ).fetchall()


def approve(conn: Connection, restatement_id: int, by: str, reason: str) -> Restatement:
    """Record that somebody agrees to exactly what was previewed.

    Raises RejectedRecord `no_name`, `no_reason`, `approved_already` (each person once, and two are
    needed), `already_posted`, `unknown_restatement`.
    """
    name = person(by)
    if not reason.strip():
        raise RejectedRecord(
            "no_reason", "an approval says why", field="reason", valid="why it is right"
        )
    found = find_restatement(conn, restatement_id)
    if found.status == "posted":
        raise _already_posted(found)
    if any(same_person(name, other) for other in found.approved_by):
        raise _approved_already(restatement_id, name)
    try:
        with conn.transaction():
            conn.execute(
                query("insert_restatement_approval"),
                {
                    "restatement_id": restatement_id,
                    "approved_by": name,
                    "reason": reason.strip(),
                    "digest": found.digest,
                },
            )
    except psycopg.errors.UniqueViolation as error:
        raise _approved_already(restatement_id, name) from error
    return find_restatement(conn, restatement_id)


def _approved_already(restatement_id: int, name: str) -> RejectedRecord:
    return RejectedRecord(
        "approved_already",
        f"{name} approved R-{restatement_id} already; each person counts once",
        field="by",
        value=name,
        valid="somebody else: two different people are needed",
    )


def _already_posted(found: Restatement) -> RejectedRecord:
    return RejectedRecord(
        "already_posted",
        f"R-{found.restatement_id} is posted, all {len(found.months)} months of it",
        field="restatement",
        value=found.restatement_id,
        valid="a restatement that is not posted yet",
    )


def check_postable(conn: Connection, restatement_id: int) -> Restatement:
    """The restatement, if it may be posted now.

    Raises RejectedRecord: `already_posted`, `not_approved`, and `ledger_moved` if a line of it was
    corrected by somebody else since the preview.
    """
    found = find_restatement(conn, restatement_id)
    if found.status == "posted":
        raise _already_posted(found)
    if not found.is_approved:
        raise RejectedRecord(
            "not_approved",
            f"R-{restatement_id} has {len(found.approved_by)} of {APPROVALS_NEEDED} approvals",
            field="restatement",
            value=restatement_id,
            valid="a restatement that two different people approved",
        )
    moved = conn.execute(query("restatement_moved"), {"restatement_id": restatement_id}).fetchall()
    if moved:
        raise ledger_moved(restatement_id, "; ".join(what for _, _, what in moved))
    return found


def ledger_moved(restatement_id: int, what: str) -> RejectedRecord:
    """The refusal of a posting whose preview no longer describes the ledger."""
    return RejectedRecord(
        "ledger_moved",
        f"the ledger is not what R-{restatement_id} was previewed on: {what}",
        field="restatement",
        value=restatement_id,
        valid="a new preview, approved anew",
    )


def event_ids(
    conn: Connection, restatement_id: int, month: date
) -> dict[tuple[UUID | None, int, str], str]:
    """The event ids the preview gave to new lines: by entry taken back, line number, activity."""
    rows = conn.execute(
        query("restatement_event_ids"), {"restatement_id": restatement_id, "month": month}
    )
    return {
        (entry_id, line_no, event_id.rpartition("#")[0]): event_id
        for entry_id, line_no, event_id in rows
    }


def approvals(conn: Connection, restatement_id: int) -> list[tuple[str, str, datetime]]:
    """Who approved, why, and when, in order."""
    return list(
        conn.execute(query("restatement_approvals"), {"restatement_id": restatement_id}).fetchall()
    )


def restatement_lines(
    conn: Connection, restatement_id: int, limit: int | None = None
) -> list[dict[str, Any]]:
    """Its lines by month and entry (None: all of them), figures in kgCO2e."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            query("restatement_lines"), {"restatement_id": restatement_id, "limit": limit}
        ).fetchall()


def summary_values(restatement: Restatement) -> dict[str, Any]:
    """The summary that was kept with the preview."""
    values: dict[str, Any] = json.loads(restatement.summary)
    return values
