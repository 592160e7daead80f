"""`carbon period …`: how periods stand, closing, approving and reopening them.

Belongs here: options, tables on a terminal, JSON. Does not: which state may follow which
(carbon_ledger.organisation.period_close), keeping it (carbon_ledger.store.periods).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import click

from carbon_ledger.organisation.period_close import (
    IN_THE_WAY,
    OPEN,
    Cells,
    State,
    period_of,
    totals_judged,
    totals_of,
)
from carbon_ledger.policy import Policy
from carbon_ledger.quantities import canonical_text
from carbon_ledger.settings import load as load_settings
from carbon_ledger.store import periods
from carbon_ledger.store.connect import connect
from carbon_ledger.store.period_status import Disclosed, PeriodStatus, statuses
from carbon_ledger.workings import posted_fraction
from cli.ledger_commands import moment, table

CLOSING = ("soft-closed", "closed", "reported")
ACCEPTABLE = tuple(code for code, may in IN_THE_WAY.items() if may)


@contextmanager
def open_as(role: str) -> Iterator[Any]:
    """A connection of the WRITER, or of the AUDITOR, who sees every organization; autocommit."""
    with connect(load_settings()[f"CARBON_DATABASE_{role}_URL"], "carbon period", True) as conn:
        yield conn


def policy_of_settings() -> Policy:
    """The inventory's choices."""
    return Policy(gwp_set=load_settings()["CARBON_GWP_SET"])


class Number(click.ParamType):  # type: ignore[type-arg]
    """A decision's number: `7` or `P-7`."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value).removeprefix("P-").removeprefix("p-")
        if not text.isascii() or not text.isdigit():
            self.fail(f"{value!r} is no number of a decision; valid is for example P-7")
        return int(text)


@click.group()
def period() -> None:
    """Close periods, report them, and see what came late; closing takes two people."""


@period.command("status")
@click.option("--year", type=click.IntRange(2000, 2999), help="Only this year and its months.")
@click.option("--organization", help="Only this organization.")
@click.option("--json", "as_json", is_flag=True, help="For programs; numbers as exact texts.")
def period_status(year: int | None, organization: str | None, as_json: bool) -> None:
    """Show the state of each period, what came late, and what becomes of it."""
    with open_as("AUDITOR") as conn:
        found = statuses(conn, policy_of_settings(), year=year, organization=organization)
    if as_json:
        click.echo(json.dumps([values(one) for one in found], indent=2, ensure_ascii=False))
        return
    if not found:
        click.echo("There are no entries, and nothing was ever decided.")
        return
    click.echo("\n".join(told(found, datetime.now(UTC))))


@period.command("close")
@click.argument("which", metavar="YEAR|YEAR-MM")
@click.option("--state", type=click.Choice(CLOSING), required=True, help="What it becomes.")
@click.option("--by", required=True, help="Who decides.")
@click.option("--because", required=True, help="Why.")
@click.option("--organization", help="Whose period; needed where several have entries.")
@click.option("--as-of", metavar="MOMENT", help="As known then; default: what is final now.")
@click.option(
    "--snapshot", "snapshots", type=click.UUID, multiple=True, help="Reports of the close."
)
@click.option(
    "--despite",
    type=click.Choice(ACCEPTABLE),
    multiple=True,
    help="Close in spite of this; the second person agrees to it, too.",
)
def period_close(
    which: str,
    state: str,
    by: str,
    because: str,
    organization: str | None,
    as_of: str | None,
    snapshots: tuple[UUID, ...],
    despite: tuple[str, ...],
) -> None:
    """Close a period softly at once, or decide that it is closed or reported.

    \b
    carbon period close 2025-03 --state soft-closed --by "Plant Accountant" --because "March is in"
    carbon period close 2025 --state closed --by "Group Controller" --because "reviewed"
    """
    decide(
        which,
        cast(State, state.replace("-", "_")),
        by,
        because,
        organization,
        as_of=moment(as_of),
        snapshot_ids=snapshots,
        despite=despite,
    )


@period.command("reopen")
@click.argument("which", metavar="YEAR|YEAR-MM")
@click.option("--by", required=True, help="Who decides.")
@click.option("--because", required=True, help="Why.")
@click.option("--organization", help="Whose period; needed where several have entries.")
def period_reopen(which: str, by: str, because: str, organization: str | None) -> None:
    """Decide that a period is open again, once another person agrees."""
    decide(which, "reopened", by, because, organization)


def decide(
    which: str, state: State, by: str, because: str, organization: str | None, **more: Any
) -> None:
    """Keep a decision and say what it is and what is next."""
    period_of(which)  # What is no period is said before a database is asked.
    with open_as("WRITER") as conn:
        done = periods.decide(
            conn,
            *periods.which_period(conn, which.strip(), organization),
            state,
            by=by,
            reason=because,
            policy=policy_of_settings(),
            now=datetime.now(UTC),
            **more,
        )
    one = done.decision
    click.echo(
        f"P-{one.decision_id}: {one.period} of {one.organization_id} "
        f"{'is' if done.is_in_force else 'is to become'} {shown(state)} as of "
        f"{one.as_of.isoformat()}, digest {one.digest.hex()[:16]}"
    )
    for snapshot in one.snapshot_ids:
        click.echo(f"report snapshot {snapshot}")
    for snapshot in one.report_ids:
        click.echo(f"binds report {snapshot}: carbon report show {snapshot}")
    for obstacle in done.warnings:
        accepted = " (accepted)" if obstacle.code in one.accepted else ""
        click.echo(f"warning: {obstacle.code}{accepted}: {obstacle.message}")
    if not done.is_in_force:
        click.echo(
            f"Next, by somebody else: carbon period approve P-{one.decision_id} --by NAME "
            '--because "..."'
        )


@period.command("approve")
@click.argument("number", type=Number(), metavar="P-NUMBER")
@click.option("--by", required=True, help="Who agrees; another person than who decided.")
@click.option("--because", required=True, help="What was checked.")
def period_approve(number: int, by: str, because: str) -> None:
    """Agree to exactly what was decided; the period has its new state from then on."""
    with open_as("WRITER") as conn:
        done = periods.approve(
            conn,
            number,
            by=by,
            reason=because,
            policy=policy_of_settings(),
            now=datetime.now(UTC),
        )
    click.echo(
        f"P-{number}: {done.period} of {done.organization_id} is {shown(done.state)} as of "
        f"{done.as_of.isoformat()}, decided by {done.decided_by}, approved by {done.approved_by}, "
        f"digest {done.digest.hex()[:16]}"
    )


def shown(state: str) -> str:
    """A state as people spell it."""
    return state.replace("_", "-")


def told(found: list[PeriodStatus], now: datetime) -> list[str]:
    """Periods as a person reads them: a table, then what came late and what waits."""
    heads = ("organization", "period", "state", "as of", "by", "approved by")
    numbers = ("location kgCO2e", "market kgCO2e", "late lines", "late")
    rows = [
        (
            one.organization_id,
            one.period.text,
            shown(one.state),
            f"{last.as_of:%F %T}" if (last := one.changes[-1] if one.changes else None) else "",
            last.decided_by if last else "",
            (last.approved_by or "") if last else "",
            *(
                canonical_text(total) if name in totals_judged(one.period) else "with the year"
                for name, total in totals_of(one.closed).items()
            ),
            one.judgement.lines if one.judgement else 0,
            late_words(one),
        )
        for one in found
    ]
    lines = [table((*heads, *numbers), rows, right=4)]
    for one in found:
        lines += details(one, now)
    return lines


def late_words(one: PeriodStatus) -> str:
    """What becomes of late entries, in two words."""
    return one.judgement.treatment.replace("_", " ") if one.judgement else "none"


def details(one: PeriodStatus, now: datetime) -> list[str]:
    """Late figures of a period, what it discloses of earlier ones, and decisions that wait."""
    who = f"{one.organization_id} {one.period.text}"
    lines = []
    if one.late and one.judgement:
        share = one.judgement.share
        part = "of nothing closed" if share is None else f"{posted_fraction(share * 100):f} %"
        lines.append(
            f"\n{who}: recorded after it was {shown(one.state)}, {part} moved, the threshold is "
            f"{canonical_text(one.judgement.threshold * 100)} %: {late_words(one)}"
        )
        lines.append(cells_table(one.late))
        lines += [f"shown with {part.period} as a prior-period adjustment" for part in one.shown_in]
        if one.judgement.is_restatement_due:
            lines.append(
                f"the comparative is to be restated: carbon period reopen {one.period.text}, "
                "then close it as of now"
            )
    for part in one.adjustments:
        lines.append(f"\n{who} discloses prior-period adjustments of {part.origin}")
        lines.append(cells_table(part.cells))
    if one.reports:
        rows = [
            (part.report, part.profile, part.snapshot_id, part.content_sha256.hex())
            for part in one.reports
        ]
        lines.append(f"\n{who} binds whole reports, each the same for ever:")
        lines.append(table(("report", "profile", "snapshot", "sha256"), rows, right=0))
    elif one.state == "reported":
        lines.append(f"\n{who} was reported before whole reports were bound: none is")
    for decision in one.waiting:
        waits = "expired, nobody agreed" if decision.is_expired(now) else "waits for somebody else"
        lines.append(
            f"\n{who}: P-{decision.decision_id} by {decision.decided_by} {waits}: "
            f"{shown(decision.state)}, {decision.reason}"
        )
    return lines


def cells_table(cells: Cells) -> str:
    """Figures by scope, category and basis."""
    rows = [
        (key.scope, key.category or "", key.basis, cell.entries, cell.lines, f"{cell.kgco2e:f}")
        for key, cell in sorted(cells.items())
    ]
    return table(("scope", "category", "basis", "entries", "lines", "kgCO2e"), rows, right=3)


def values(one: PeriodStatus) -> dict[str, Any]:
    """A period as plain values, numbers as texts."""
    judged = one.judgement
    return {
        "organization": one.organization_id,
        "period": one.period.text,
        "first_date": one.period.first_date.isoformat(),
        "end_date": one.period.end_date.isoformat(),
        "state": one.state,
        "known_at": one.known_at.isoformat(),
        "history": [
            {
                "decision": f"P-{change.decision_id}",
                "state": change.state,
                "as_of": change.as_of.isoformat(),
                "by": change.decided_by,
                "because": change.reason,
                "decided_at": change.decided_at.isoformat(),
                "approved_by": change.approved_by,
                "approved_because": change.approval_reason,
                "recorded_at": change.recorded_at.isoformat(),
                "despite": list(change.accepted),
                "digest": change.digest.hex(),
                "content": change.content,
                "snapshots": [str(number) for number in change.snapshot_ids],
                "snapshot_sha256": change.snapshot_sha256.hex() if change.snapshot_sha256 else None,
                "reports": [str(number) for number in change.report_ids],
                "report_sha256": change.report_sha256.hex() if change.report_sha256 else None,
            }
            for change in one.changes
        ],
        "waiting": [
            {
                "decision": f"P-{decision.decision_id}",
                "state": decision.state,
                "by": decision.decided_by,
                "because": decision.reason,
                "as_of": decision.as_of.isoformat(),
                "digest": decision.digest.hex(),
                "decided_at": decision.decided_at.isoformat(),
                "expired": decision.is_expired(datetime.now(UTC)),
            }
            for decision in one.waiting
        ],
        "figures": None if one.state in OPEN else cell_values(one.closed),
        "totals_kgco2e": None
        if one.state in OPEN
        else {
            name: f"{total:f}" if name in totals_judged(one.period) else None
            for name, total in totals_of(one.closed).items()
        },
        "late": None
        if judged is None
        else {
            "treatment": judged.treatment,
            "restatement_due": judged.is_restatement_due,
            "flags": list(judged.flags),
            "lines": judged.lines,
            "delta_kgco2e": {name: f"{total:f}" for name, total in judged.delta_kgco2e.items()},
            "share": None if judged.share is None else f"{posted_fraction(judged.share):f}",
            "threshold": f"{judged.threshold:f}",
            "figures": cell_values(one.late),
            "shown_in": [disclosed_values(part) for part in one.shown_in],
        },
        "reports": [
            {
                "snapshot": str(part.snapshot_id),
                "report": part.report,
                "profile": part.profile,
                "sha256": part.content_sha256.hex(),
            }
            for part in one.reports
        ],
        "prior_period_adjustments": [disclosed_values(part) for part in one.adjustments],
    }


def disclosed_values(part: Disclosed) -> dict[str, Any]:
    """An adjustment as plain values."""
    return {"of": part.origin, "with": part.period, "figures": cell_values(part.cells)}


def cell_values(cells: Cells) -> list[dict[str, Any]]:
    """Figures as plain values; category null outside scope 3."""
    return [
        {
            "scope": key.scope,
            "category": key.category or None,
            "basis": key.basis,
            "kgco2e": f"{cell.kgco2e:f}",
            "kg_co2_biogenic": f"{cell.kg_co2_biogenic:f}",
            "entries": cell.entries,
            "lines": cell.lines,
        }
        for key, cell in sorted(cells.items())
    ]
