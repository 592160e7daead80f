"""How periods stand: their state, what came late and where it is shown, whether it can be rebuilt.

Belongs here: answers that change nothing, and the comparisons behind the checks of periods. Does
not: deciding (carbon_ledger.store.periods), the rule (carbon_ledger.organisation.period_close).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from carbon_ledger.organisation.period_close import (
    CLOSED,
    OPEN,
    Cell,
    CellKey,
    Cells,
    LateJudgement,
    Period,
    Standing,
    State,
    cells_of,
    disclosures,
    judge_late,
    period_of,
    sum_of,
    totals_judged,
)
from carbon_ledger.policy import Policy
from carbon_ledger.reference.register import Register
from carbon_ledger.store.connect import query
from carbon_ledger.store.period_reports import (
    BoundReport,
    bound_report_faults,
    bound_reports,
)
from carbon_ledger.store.periods import (
    Decision,
    StateChange,
    changes_of,
    content_of,
    late_cells,
    waiting_decisions,
)
from carbon_ledger.store.read import knowledge_horizon
from carbon_ledger.store.reference import fiscal_years
from carbon_ledger.store.reports import computed_esrs_e1, content_of_rows, snapshot_rows
from carbon_ledger.store.rows import Connection

DIFFERENCES_SHOWN: Final = 5
EVER: Final = datetime(2000, 1, 1, tzinfo=UTC)
NO_SNAPSHOT: Final = UUID(int=0)

PeriodKey = tuple[str, Period]


@dataclass(frozen=True, kw_only=True)
class Disclosed:
    """Late entries of `origin` that are shown with `period` as a prior-period adjustment."""

    origin: str
    period: str
    cells: Cells


@dataclass(frozen=True, kw_only=True)
class PeriodStatus:
    """A period as it stands: its changes, what it was closed with, what came late.

    `closed` has the figures as of the close ({} while it is open), `late` what was recorded since
    and up to `known_at`, `shown_in` where that is disclosed, `adjustments` what of earlier periods
    this one discloses, `reports` the whole reports that it binds. Figures in kgCO2e.
    """

    organization_id: str
    period: Period
    changes: tuple[StateChange, ...]
    waiting: tuple[Decision, ...]
    known_at: datetime
    closed: Cells = field(default_factory=dict)
    late: Cells = field(default_factory=dict)
    judgement: LateJudgement | None = None
    shown_in: tuple[Disclosed, ...] = ()
    adjustments: tuple[Disclosed, ...] = ()
    reports: tuple[BoundReport, ...] = ()

    @property
    def state(self) -> State:
        """The state that holds."""
        return self.changes[-1].state if self.changes else "open"

    @property
    def standing(self) -> Standing:
        """The state, and as of when it was closed."""
        as_of = None if self.state in OPEN else self.changes[-1].as_of
        return Standing(period=self.period, state=self.state, as_of=as_of)


def statuses(
    conn: Connection,
    policy: Policy,
    *,
    year: int | None = None,
    organization: str | None = None,
) -> list[PeriodStatus]:
    """Every period that was ever decided on, and every year with entries, in order.

    `year` leaves out periods of another fiscal year; what they disclose is found all the same.
    """
    known_at = knowledge_horizon(conn)
    changes: dict[PeriodKey, list[StateChange]] = defaultdict(list)
    for change in changes_of(conn, organization):
        changes[change.organization_id, change.span].append(change)
    waiting: dict[PeriodKey, list[Decision]] = defaultdict(list)
    for one in waiting_decisions(conn):
        if organization in (None, one.organization_id):
            waiting[one.organization_id, one.span].append(one)
    decided = {*changes, *waiting}
    texts = {(name, period.text) for name, period in decided}
    register = fiscal_years(conn)
    years = {
        (name, period_of(str(number), register.first_month(name)))
        for name, number in conn.execute(query("period_years"), {"organization": organization})
        if (name, str(number)) not in texts
    }
    found = {
        (name, period): _status(
            conn,
            PeriodStatus(
                organization_id=name,
                period=period,
                changes=tuple(changes.get((name, period), ())),
                waiting=tuple(waiting.get((name, period), ())),
                known_at=known_at,
            ),
            policy,
        )
        for name, period in sorted({*decided, *years})
    }
    shown = _shown(conn, found, register)
    return [
        replace(
            one,
            shown_in=tuple(shown.get(key, ())),
            adjustments=tuple(
                each
                for (name, _), parts in shown.items()
                for each in parts
                if name == key[0] and each.period == key[1].text
            ),
        )
        for key, one in found.items()
        if year in (None, register.fiscal_year_of(key[0], one.period.first_date))
    ]


def _status(conn: Connection, bare: PeriodStatus, policy: Policy) -> PeriodStatus:
    """With its figures, and what came late of it."""
    if bare.state in OPEN:
        return bare
    last = bare.changes[-1]
    closed = cells_of(last.content)
    late = late_cells(conn, bare.organization_id, bare.period, last.as_of, bare.known_at)
    judgement = judge_late(bare.state, closed, late, policy, totals_judged(bare.period))
    reports = tuple(bound_reports(conn, last.report_ids)) if last.report_ids else ()
    return replace(bare, closed=closed, late=late, judgement=judgement, reports=reports)


def _shown(
    conn: Connection, found: Mapping[PeriodKey, PeriodStatus], register: Register
) -> dict[PeriodKey, list[Disclosed]]:
    """Where the late entries of closed periods are disclosed."""
    shown: dict[PeriodKey, list[Disclosed]] = {}
    for (organization, period), one in found.items():
        if one.state not in CLOSED or not one.late:
            continue
        others = [each.standing for (name, _), each in found.items() if name == organization]
        for part in disclosures(one.standing, others, register.first_month(organization)):
            until = part.until or one.known_at
            cells = late_cells(conn, organization, period, part.after, until)
            if cells:
                shown.setdefault((organization, period), []).append(
                    Disclosed(origin=period.text, period=part.period.text, cells=cells)
                )
    return shown


@dataclass(frozen=True, kw_only=True)
class PeriodFault:
    """A period that is not what it was closed with, and how."""

    organization_id: str
    period: str
    what: str


def late_faults(conn: Connection, found: Iterable[PeriodStatus]) -> list[PeriodFault]:
    """Where closed figures and late entries do not add up to what the ledger has, to the last
    digit, and where late entries are shown in no disclosure, or twice.
    """
    faults = []
    for one in found:
        if one.state in OPEN:
            continue
        span = (conn, one.organization_id, one.period)
        added = sum_of(one.closed, late_cells(*span, one.changes[-1].as_of, one.known_at))
        now = sum_of({}, late_cells(*span, EVER, one.known_at))
        faults += [
            PeriodFault(
                organization_id=one.organization_id,
                period=one.period.text,
                what=f"{_cell_text(key)}: closed and late entries are {_kg(added.get(key))}, the "
                f"ledger has {_kg(now.get(key))}",
            )
            for key in sorted({*added, *now})
            if added.get(key) != now.get(key)
        ]
        shown: Cells = {}
        for part in one.shown_in:
            shown = sum_of(shown, part.cells)
        if one.state in CLOSED and shown != sum_of({}, one.late):
            faults.append(
                PeriodFault(
                    organization_id=one.organization_id,
                    period=one.period.text,
                    what="late entries are not what later periods disclose",
                )
            )
    return faults


def _cell_text(key: CellKey) -> str:
    category = f" category {key.category}" if key.category else ""
    return f"scope {key.scope}{category} {key.basis}"


def _kg(cell: Cell | None) -> str:
    if cell is None:
        return "nothing"
    return f"{cell.kgco2e} kgCO2e in {cell.entries} entries"


def reproduction_faults(conn: Connection, organization: str | None = None) -> list[PeriodFault]:
    """Changes of state whose figures, or whose reports, the ledger does not give again to the byte.

    Each is built again as of its own moment: ledger.period_content, and of a reported period the
    rows of its snapshots, as they are kept and as the entries give them, and the whole reports that
    it binds (carbon_ledger.store.period_reports).
    """
    faults = []
    for change in changes_of(conn, organization):
        again = content_of(conn, change.organization_id, change.span, change.as_of)
        what = []
        if again != change.content:
            what.append(_difference(cells_of(change.content), cells_of(again)))
        if hashlib.sha256(change.content.encode()).digest() != change.digest:
            what.append("the digest is not of the figures that are kept")
        if change.state == "reported":
            what += _report_differences(conn, change)
            what += bound_report_faults(conn, change.report_ids, change.report_sha256)
        faults += [
            PeriodFault(
                organization_id=change.organization_id,
                period=change.period,
                what=f"{change.state}, as of {change.as_of.isoformat()}: {one}",
            )
            for one in what
        ]
    return faults


def _difference(kept: Cells, again: Cells) -> str:
    named = [
        f"{_cell_text(key)} was {_kg(kept.get(key))}, is {_kg(again.get(key))}"
        for key in sorted({*kept, *again})
        if kept.get(key) != again.get(key)
    ]
    return "; ".join(named[:DIFFERENCES_SHOWN]) or "same figures, of other entries"


def _report_differences(conn: Connection, change: StateChange) -> list[str]:
    kept = snapshot_rows(conn, change.snapshot_ids, change.organization_id)
    again = computed_esrs_e1(
        conn,
        int(change.period),
        change.as_of,
        snapshot_id=NO_SNAPSHOT,
        run_id="",
        code_version="",
        organization=change.organization_id,
    )
    return [
        words
        for rows, words in (
            (kept, "the report snapshots are not what was reported"),
            (again, "the report built again is not what was reported"),
        )
        if hashlib.sha256(content_of_rows(rows)).digest() != change.snapshot_sha256
    ]
