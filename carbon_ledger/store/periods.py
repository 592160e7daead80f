"""Periods of organizations: decisions about their state, and what stands in the way of them.

Belongs here: rows of ledger.period_decision and ledger.period_state, sums of late entries. Does
not: which state may follow which (carbon_ledger.organisation.period_close), how periods stand
(carbon_ledger.store.period_status), report figures (carbon_ledger.store.reports).

Who may decide what alone is a constraint of the database; here it is said in words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import class_row

from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.organisation.period_close import (
    CLOSED,
    TWO_PEOPLE,
    Cell,
    CellKey,
    Obstacle,
    Period,
    State,
    cells_of,
    check_step,
    judge_late,
    left_in_the_way,
    period_of,
)
from carbon_ledger.policy import Policy
from carbon_ledger.restatement import person, same_person
from carbon_ledger.store.connect import query
from carbon_ledger.store.period_obstacles import (
    obstacles_of,
    open_restatements,
    settled_moment,
)
from carbon_ledger.store.period_reports import (
    digest_of_reports,
    reports_as_of,
    reports_to_bind,
)
from carbon_ledger.store.read import knowledge_horizon
from carbon_ledger.store.reference import fiscal_years
from carbon_ledger.store.reports import (
    build_esrs_e1,
    content_of_rows,
    snapshot_rows,
    snapshots_of,
)
from carbon_ledger.store.rows import Connection, begin_writing
from carbon_ledger.version import code_version

# What was decided is to be agreed to while it is remembered (also a trigger of the database).
DECISION_HOLDS: Final = timedelta(days=30)
# What the database found to be another when a state was to be kept, by its constraint.
MOVED: Final = {
    "period_state_is_what_was_decided": "the figures",
    "period_state_binds_its_reports": "the whole reports",
}


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What somebody decided about a period; `digest` is the SHA-256 of `content`, 32 bytes.

    A reported period names rows of reports.esrs_e1 (`snapshot_ids`) and binds whole kept reports
    (`report_ids`, of reports.snapshot), each with the SHA-256 of what they say.
    """

    decision_id: int
    organization_id: str
    period: str
    first_date: date
    end_date: date
    state_no: int
    previous_state: State
    state: State
    as_of: datetime
    content: str
    digest: bytes
    snapshot_ids: Sequence[UUID]
    snapshot_sha256: bytes | None
    report_ids: Sequence[UUID]
    report_sha256: bytes | None
    accepted: Sequence[str]
    decided_by: str
    reason: str
    decided_at: datetime

    def is_expired(self, now: datetime) -> bool:
        """Whether it waited for a second person for too long."""
        return now - self.decided_at > DECISION_HOLDS

    @property
    def span(self) -> Period:
        """The period."""
        return Period(text=self.period, first_date=self.first_date, end_date=self.end_date)


@dataclass(frozen=True, kw_only=True)
class StateChange(Decision):
    """A decision that is in force, who agreed (None: nobody had to), and since when."""

    approved_by: str | None
    approval_reason: str | None
    recorded_at: datetime


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a decision, and what stands in the way without having stopped it."""

    decision: Decision
    is_in_force: bool
    warnings: tuple[Obstacle, ...]


def changes_of(
    conn: Connection, organization: str | None = None, period: str | None = None
) -> list[StateChange]:
    """Every change of state, by organization, period and number."""
    with conn.cursor(row_factory=class_row(StateChange)) as cursor:
        return cursor.execute(
            query("period_states"), {"organization": organization, "period": period}
        ).fetchall()


def waiting_decisions(conn: Connection) -> list[Decision]:
    """Decisions that a second person may agree to, oldest first."""
    with conn.cursor(row_factory=class_row(Decision)) as cursor:
        return cursor.execute(query("period_decisions")).fetchall()


def content_of(conn: Connection, organization: str, period: Period, as_of: datetime) -> str:
    """What a period came to as known at a moment, as text (ledger.period_content)."""
    row = conn.execute(
        query("period_content"),
        {
            "organization": organization,
            "first_date": period.first_date,
            "end_date": period.end_date,
            "as_of": as_of,
        },
    ).fetchone()
    if row is None:
        raise BrokenInvariant("period_content", "the database gave no content of a period")
    return str(row[0])


def late_cells(
    conn: Connection,
    organization: str,
    period: Period,
    after: datetime,
    until: datetime | None = None,
) -> dict[CellKey, Cell]:
    """What was recorded of a period in (after, until], summed as its figures are, kgCO2e."""
    rows = conn.execute(
        query("period_late"),
        {
            "organization": organization,
            "first_date": period.first_date,
            "end_date": period.end_date,
            "after": after,
            "until": until,
        },
    )
    return {
        CellKey(scope=scope, category=category, basis=basis): Cell(
            kgco2e=kgco2e, kg_co2_biogenic=biogenic, entries=entries, lines=lines
        )
        for scope, category, basis, kgco2e, biogenic, entries, lines in rows
    }


def which_period(
    conn: Connection, text: str, organization: str | None = None
) -> tuple[str, Period]:
    """The organization that is meant, the one named or the only one with entries in the period that
    `text` names, and that period: a fiscal year is the organization's own.

    Raises RejectedRecord `unknown_period`, and `unknown_organization` where there are none,
    several, or not that one.
    """
    register = fiscal_years(conn)
    found: dict[str, Period] = {}
    for month in register.first_months:
        period = period_of(text, month)
        rows = conn.execute(
            query("period_organizations"),
            {"first_date": period.first_date, "end_date": period.end_date},
        )
        found |= {str(name): period for (name,) in rows if register.first_month(name) == month}
    known = sorted(found)
    if organization is None and len(known) == 1:
        return known[0], found[known[0]]
    if organization is not None and organization in found:
        return organization, found[organization]
    raise RejectedRecord(
        "unknown_organization",
        f"{text} has entries of {len(known)} organizations"
        + ("" if organization is None else f", none of {organization}"),
        field="organization",
        value=organization,
        valid=", ".join(known) or f"none: there is no entry in {text}",
    )


def decide(
    conn: Connection,
    organization: str,
    period: Period,
    state: State,
    *,
    by: str,
    reason: str,
    policy: Policy,
    now: datetime,
    as_of: datetime | None = None,
    snapshot_ids: Sequence[UUID] = (),
    despite: Sequence[str] = (),
) -> Outcome:
    """Decide that a period becomes `state`: in force at once if soft-closed, else once approved.

    A period is reported as of its close, and names report snapshots of that moment, and binds whole
    reports of it: those given, else the newest there are, else ones made now. `as_of` None is
    `settled_moment`. Raises RejectedRecord: `period_state`, `period_is_no_year`, `no_name`,
    `no_reason`, `as_of_not_final`, `in_the_way` (not for a soft close), `not_acceptable`,
    `as_of_is_the_close`, `no_snapshot`, `decided_already`.
    """
    name, words = person(by), _reason(reason)
    changes = changes_of(conn, organization, period.text)
    last = changes[-1] if changes else None
    previous: State = last.state if last else "open"
    check_step(period, previous, state, fiscal_years(conn).first_month(organization))
    moment = _moment(conn, state, as_of, last)
    found = _in_the_way(conn, organization, period, state, moment, last, policy, now)
    left = left_in_the_way(found, despite)
    if left and state in CLOSED:
        raise _in_the_way_of(period, state, left)
    with conn.transaction():
        named, sha256 = _snapshots(conn, organization, period, state, moment, snapshot_ids)
        bound = _reports(conn, organization, period, state, moment, snapshot_ids)
        content = content_of(conn, organization, period, moment)
        decision = Decision(
            decision_id=_new_number(conn),
            organization_id=organization,
            period=period.text,
            first_date=period.first_date,
            end_date=period.end_date,
            state_no=len(changes) + 1,
            previous_state=previous,
            state=state,
            as_of=moment,
            content=content,
            digest=hashlib.sha256(content.encode()).digest(),
            snapshot_ids=named,
            snapshot_sha256=sha256,
            report_ids=bound,
            report_sha256=digest_of_reports(conn, bound) if bound else None,
            accepted=sorted({one.code for one in found} - {one.code for one in left}),
            decided_by=name,
            reason=words,
            decided_at=now,
        )
        conn.execute(query("insert_period_decision"), vars(decision))
        if state not in TWO_PEOPLE:
            _insert_state(conn, decision, None, None)
    return Outcome(decision=decision, is_in_force=state not in TWO_PEOPLE, warnings=tuple(found))


def _reason(reason: str) -> str:
    if not reason.strip():
        raise RejectedRecord(
            "no_reason", "a decision says why", field="because", valid="why it is right"
        )
    return reason.strip()


def _moment(
    conn: Connection, state: State, as_of: datetime | None, last: StateChange | None
) -> datetime:
    if state == "reported" and last is not None:
        if as_of not in (None, last.as_of):
            raise RejectedRecord(
                "as_of_is_the_close",
                "a period is reported as of the moment it was closed as of",
                field="as_of",
                value=as_of,
                valid=last.as_of.isoformat(),
            )
        return last.as_of
    if as_of is None:
        return settled_moment(conn)
    horizon = knowledge_horizon(conn)
    if as_of > horizon:
        raise RejectedRecord(
            "as_of_not_final",
            f"what is known as of {as_of.isoformat()} is not final yet",
            field="as_of",
            value=as_of,
            valid=f"up to {horizon.isoformat()}, which grows with the clock",
        )
    return as_of


def _in_the_way(
    conn: Connection,
    organization: str,
    period: Period,
    state: State,
    as_of: datetime,
    last: StateChange | None,
    policy: Policy,
    now: datetime,
) -> list[Obstacle]:
    if state == "reopened":
        return []
    if state != "reported" or last is None:
        return obstacles_of(conn, organization, period, as_of, now)
    late = late_cells(conn, organization, period, last.as_of)
    judged = judge_late(last.state, cells_of(last.content), late, policy)
    found = open_restatements(conn, organization, period)
    if judged.is_restatement_due:
        found.append(
            Obstacle(
                code="late_entries_significant",
                message=f"{judged.lines} lines recorded after the close reach the threshold of "
                f"{judged.threshold}: reopen {period.text}, and close it as of now",
            )
        )
    return found


def _in_the_way_of(period: Period, state: State, left: Iterable[Obstacle]) -> RejectedRecord:
    return RejectedRecord(
        "in_the_way",
        f"{period.text} cannot become {state}: "
        + "; ".join(f"{one.code}: {one.message}" for one in left),
        field="period",
        value=period.text,
        valid="a period that nothing stands in the way of, as of a moment before open work began "
        "(--as-of), or with what two people accept (--despite CODE)",
    )


def _snapshots(
    conn: Connection,
    organization: str,
    period: Period,
    state: State,
    as_of: datetime,
    given: Sequence[UUID],
) -> tuple[list[UUID], bytes | None]:
    """The snapshots a reported period names, and the SHA-256 of their rows of the organization."""
    if state != "reported":
        return [], None
    year = int(period.text)
    known = snapshots_of(conn, organization, year, as_of)
    if not known and not given:
        rows = build_esrs_e1(
            conn,
            year,
            as_of,
            snapshot_id=uuid4(),
            run_id="carbon period close",
            code_version=code_version(),
        )
        known = [row.snapshot_id for row in rows if row.organization_id == organization][:1]
    whole = {one.snapshot_id for one in reports_as_of(conn, organization, year, as_of)}
    named = sorted(set(given) - whole) or known[:1]
    strangers = [one for one in named if one not in known]
    if not named or strangers:
        raise RejectedRecord(
            "no_snapshot",
            f"{strangers[0]} is no report snapshot of {organization}, {year}, as of its close"
            if strangers
            else f"{organization} has no report of {year} as of its close",
            field="snapshot",
            value=strangers[0] if strangers else None,
            valid=", ".join(map(str, [*known, *sorted(whole)]))
            or f"a snapshot as of {as_of.isoformat()}",
        )
    rows = snapshot_rows(conn, named, organization)
    return named, hashlib.sha256(content_of_rows(rows)).digest()


def _reports(
    conn: Connection,
    organization: str,
    period: Period,
    state: State,
    as_of: datetime,
    given: Sequence[UUID],
) -> list[UUID]:
    """The whole reports that a reported period binds; none for any other state."""
    if state != "reported":
        return []
    return reports_to_bind(
        conn,
        organization,
        int(period.text),
        as_of,
        given,
        code_version=code_version(),
    )


def _new_number(conn: Connection) -> int:
    row = conn.execute("select nextval('ledger.period_decision_number')").fetchone()
    if row is None:
        raise BrokenInvariant("period_decision_number", "the database gave no number")
    return int(row[0])


def _insert_state(
    conn: Connection, decision: Decision, approved_by: str | None, reason: str | None
) -> None:
    values = {**vars(decision), "approved_by": approved_by, "approval_reason": reason}
    try:
        conn.execute(query("insert_period_state"), values)
    except psycopg.errors.UniqueViolation as error:
        raise RejectedRecord(
            "decided_already",
            f"{decision.period} was changed by somebody else meanwhile",
            field="period",
            value=decision.period,
            valid="a decision about the state it has now",
        ) from error


def approve(
    conn: Connection, decision_id: int, *, by: str, reason: str, policy: Policy, now: datetime
) -> StateChange:
    """Agree, as somebody else, to exactly what was decided; it is in force from then on.

    Raises RejectedRecord `unknown_decision` (none, in force already, or overtaken), `same_person`,
    `decision_expired`, `no_name`, `no_reason`, `in_the_way`, `ledger_moved`, `decided_already`.
    """
    name, words = person(by), _reason(reason)
    waiting = {one.decision_id: one for one in waiting_decisions(conn)}
    decision = waiting.get(decision_id)
    if decision is None:
        raise RejectedRecord(
            "unknown_decision",
            f"no decision P-{decision_id} waits for approval",
            field="decision",
            value=f"P-{decision_id}",
            valid=", ".join(f"P-{number}" for number in waiting) or "none: nothing waits",
        )
    if same_person(name, decision.decided_by):
        raise RejectedRecord(
            "same_person",
            f"{name} decided P-{decision_id}; somebody else has to agree",
            field="by",
            value=name,
            valid="another person",
        )
    if decision.is_expired(now):
        raise RejectedRecord(
            "decision_expired",
            f"P-{decision_id} was decided at {decision.decided_at.isoformat()}, and a decision "
            f"waits for a second person for {DECISION_HOLDS.days} days",
            field="decision",
            value=f"P-{decision_id}",
            valid="a new decision",
        )
    if decision.state in CLOSED:
        changes = changes_of(conn, decision.organization_id, decision.period)
        found = _in_the_way(
            conn,
            decision.organization_id,
            decision.span,
            decision.state,
            decision.as_of,
            changes[-1] if changes else None,
            policy,
            now,
        )
        left = left_in_the_way(found, decision.accepted)
        if left:
            raise _in_the_way_of(decision.span, decision.state, left)
    try:
        with conn.transaction():
            # So that no moment is final at which a report may or may not know of this.
            begin_writing(conn)
            _insert_state(conn, decision, name, words)
    except psycopg.errors.CheckViolation as error:
        what = MOVED.get(error.diag.constraint_name or "")
        if what is None:
            raise
        raise RejectedRecord(
            "ledger_moved",
            f"{what} of {decision.period} as of {decision.as_of.isoformat()} are not what "
            f"P-{decision_id} was decided on",
            field="decision",
            value=f"P-{decision_id}",
            valid="a new decision",
        ) from error
    return changes_of(conn, decision.organization_id, decision.period)[-1]
