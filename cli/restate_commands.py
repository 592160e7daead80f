"""`carbon restate …`: previewing, approving, posting and showing restatements.

Belongs here: options, tables on a terminal, JSON. Does not: what a restatement is
(carbon_ledger.restatement), computing or posting it (spark.restate).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import click

from carbon_ledger.restatement import APPROVALS_NEEDED, CAUSES, Target
from carbon_ledger.restatement_effects import BOUNDARY_KINDS, DEFAULT_BOUNDARY_KIND
from carbon_ledger.settings import load as load_settings
from carbon_ledger.store.connect import connect
from carbon_ledger.store.restatement_posting import PostedMonth, posting_faults
from carbon_ledger.store.restatements import (
    Restatement,
    approvals,
    approve,
    find_restatement,
    list_restatements,
    restatement_lines,
    summary_values,
)
from cli.ledger_commands import DATE, moment, table

SHOWN_MAX = 12
FIRST_YEAR = 2000


@contextmanager
def open_as(role: str) -> Iterator[Any]:
    """A connection of the WRITER, or of the AUDITOR, who sees every organization; autocommit."""
    with connect(load_settings()[f"CARBON_DATABASE_{role}_URL"], "carbon restate", True) as conn:
        yield conn


class Number(click.ParamType):  # type: ignore[type-arg]
    """A restatement's number: `7` or `R-7`."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value).removeprefix("R-").removeprefix("r-")
        if not text.isascii() or not text.isdigit():
            self.fail(f"{value!r} is no number of a restatement; valid is for example R-7")
        return int(text)


NUMBER = Number()


@click.group()
def restate() -> None:
    """Restate what other factors, potentials, boundaries or rules change; two people agree."""


@restate.command("preview")
@click.option("--release", "release_id", help="Factors of this stored release.")
@click.option("--gwp", "gwp_set", help="Global warming potentials: SAR, AR4, AR5 or AR6.")
@click.option(
    "--reference-as-of", metavar="MOMENT", help="Entities, sites, vehicles ... as known then."
)
@click.option("--max-vintage-gap-years", type=click.IntRange(0, 100), help="A policy's gap.")
@click.option("--recompute", is_flag=True, help="Also what another version of the code posted.")
@click.option("--year", type=click.IntRange(FIRST_YEAR, 2999), help="Only this calendar year.")
@click.option("--from", "start", type=DATE, help="First local date.")
@click.option("--to", "end", type=DATE, help="Last local date.")
@click.option("--base-year", type=click.IntRange(FIRST_YEAR, 2999), help="Test its threshold.")
@click.option(
    "--boundary-kind",
    type=click.Choice(BOUNDARY_KINDS),
    default=DEFAULT_BOUNDARY_KIND,
    show_default=True,
    help="What a change of reference data is to the base year.",
)
@click.option("--by", required=True, help="Who previews.")
@click.option("--reason", required=True, help="Why.")
@click.option("--json", "as_json", is_flag=True, help="For programs; numbers as exact texts.")
def restate_preview(
    release_id: str | None,
    gwp_set: str | None,
    reference_as_of: str | None,
    max_vintage_gap_years: int | None,
    recompute: bool,
    year: int | None,
    start: datetime | None,
    end: datetime | None,
    base_year: int | None,
    boundary_kind: str,
    by: str,
    reason: str,
    as_json: bool,
) -> None:
    """Compute what would move, and keep it for approval; nothing is posted."""
    from spark.restate import preview

    target = Target(
        release_id=release_id,
        gwp_set=gwp_set,
        reference_as_of=moment(reference_as_of),
        max_vintage_gap_years=max_vintage_gap_years,
        recompute=recompute,
    )
    first_date, end_date = span(year, start, end)
    with open_as("WRITER") as conn:
        found = preview(
            conn,
            load_settings(),
            target,
            first_date=first_date,
            end_date=end_date,
            by=by,
            reason=reason,
            base_year=base_year,
            boundary_kind=boundary_kind,
        )
    if as_json:
        click.echo(json.dumps(as_values(found.restatement, found.summary), indent=2))
        return
    if found.restatement is None:
        click.echo("Nothing would change; nothing was kept.")
        show_left(found.summary)
        return
    show(found.restatement, found.summary)
    number = found.restatement.restatement_id
    click.echo(f'\nNext, by two people: carbon restate approve R-{number} --by NAME --reason "..."')


def span(year: int | None, start: datetime | None, end: datetime | None) -> tuple[date, date]:
    """The local dates [first, end) that the options name; everything if they name nothing."""
    if year is not None:
        if start is not None or end is not None:
            raise click.UsageError("--year goes without --from and --to")
        return date(year, 1, 1), date(year + 1, 1, 1)
    first = date(FIRST_YEAR, 1, 1) if start is None else start.date()
    # A calendar may be a day ahead of UTC.
    last = (datetime.now(UTC) + timedelta(days=1)).date() if end is None else end.date()
    return first, last + timedelta(days=1)


@restate.command("approve")
@click.argument("number", type=NUMBER)
@click.option("--by", required=True, help="Who approves; each person once, two are needed.")
@click.option("--reason", required=True, help="What was checked.")
def restate_approve(number: int, by: str, reason: str) -> None:
    """Agree to exactly what was previewed."""
    with open_as("WRITER") as conn:
        found = approve(conn, number, by, reason)
    click.echo(
        f"R-{number}, digest {found.digest.hex()[:16]}: {len(found.approved_by)} of "
        f"{APPROVALS_NEEDED} approvals ({', '.join(found.approved_by)})."
    )
    if found.is_approved:
        click.echo(f"Next: carbon restate post R-{number} --by NAME")


@restate.command("post")
@click.argument("number", type=NUMBER)
@click.option("--by", required=True, help="Who posts.")
def restate_post(number: int, by: str) -> None:
    """Post what two people approved, month by month; repeat it after an interruption."""
    from spark.restate import post

    with open_as("WRITER") as conn:
        done = post(conn, load_settings(), number, by=by, report=show_month)
        found = find_restatement(conn, number)
    posted = sum(one.entries for one in done if not one.was_posted)
    click.echo(f"R-{number} is {found.status}: {posted} entries restated now.")


def show_month(one: PostedMonth) -> None:
    """One line for a month."""
    what = "was posted before" if one.was_posted else f"{one.delta_kgco2e:+f} kgCO2e"
    click.echo(f"{one.month:%Y-%m}  {one.entries} entries  {what}")


@restate.command("show")
@click.argument("number", type=NUMBER)
@click.option("--lines", is_flag=True, help="Every line.")
@click.option("--json", "as_json", is_flag=True, help="For programs; numbers as exact texts.")
def restate_show(number: int, lines: bool, as_json: bool) -> None:
    """Show a restatement: what moves, who approved, what is posted."""
    with open_as("AUDITOR") as conn:
        found = find_restatement(conn, number)
        agreed = approvals(conn, number)
        faults = posting_faults(conn, number)
        each = restatement_lines(conn, number) if lines else []
    summary = summary_values(found)
    if as_json:
        values = as_values(found, summary)
        values["approvals"] = [
            {"by": by, "reason": reason, "at": at.isoformat()} for by, reason, at in agreed
        ]
        values["faults"] = faults
        if lines:
            values["lines"] = [
                {name: None if value is None else str(value) for name, value in one.items()}
                for one in each
            ]
        click.echo(json.dumps(values, indent=2))
        return
    show(found, summary)
    for by, reason, at in agreed:
        click.echo(f"approved by {by} on {at:%F %T} UTC: {reason}")
    for fault in faults:
        click.echo(f"NOT AS PREVIEWED: {fault}")
    if lines:
        heads = ("month", "entry", "new entry", *CAUSES, "kgCO2e")
        rows = [
            (
                f"{one['activity_month']:%Y-%m}",
                one["entry_id"],
                one["new_entry_id"],
                *(f"{one[f'delta_{cause}']:f}" for cause in CAUSES),
                f"{one['delta_kgco2e']:f}",
            )
            for one in each
        ]
        click.echo("\n" + table(heads, rows, right=len(CAUSES) + 1))


@restate.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def restate_list(as_json: bool) -> None:
    """List restatements, newest first."""
    with open_as("AUDITOR") as conn:
        found = list_restatements(conn)
    if as_json:
        click.echo(json.dumps([as_values(one, None) for one in found], indent=2))
        return
    if not found:
        click.echo("Nothing was ever previewed.")
        return
    heads = ("number", "status", "what", "previewed", "by", "approved by", "entries", "kgCO2e")
    rows = [
        (
            f"R-{one.restatement_id}",
            one.status,
            one.target.text,
            f"{one.previewed_at:%F %T} UTC",
            one.previewed_by,
            ", ".join(one.approved_by),
            one.entries,
            f"{one.delta_kgco2e:f}",
        )
        for one in found
    ]
    click.echo(table(heads, rows, right=2))


def show(found: Restatement, summary: Mapping[str, Any]) -> None:
    """A restatement as text."""
    click.echo(
        f"R-{found.restatement_id} ({found.status}): {found.target.text}\n"
        f"{found.reason}; previewed by {found.previewed_by} on {found.previewed_at:%F %T} UTC\n"
        f"local dates {found.first_date} to before {found.end_date}, entries recorded up to "
        f"{found.known_at.isoformat()}\n"
        f"{found.entries} entries in {len(found.months)} months "
        f"({len(found.posted_months)} posted), digest {found.digest.hex()}\n"
    )
    steps = [(str(cause), summary["by_cause"][cause]) for cause in CAUSES]
    steps.append(("together", summary["delta_kgco2e"]))
    click.echo(table(("cause", "kgCO2e"), steps, right=1))
    for name in ("organization", "facility", "country", "kind", "fiscal_year"):
        moved = sorted(summary[f"by_{name}"].items())
        if moved:
            click.echo("\n" + table((name, "kgCO2e"), moved[:SHOWN_MAX], right=1))
            if len(moved) > SHOWN_MAX:
                click.echo(f"... and {len(moved) - SHOWN_MAX} more; --json has them all")
    cells = [
        (
            cell["organization_id"],
            cell["fiscal_year"],
            cell["country_iso2"] or "total",
            cell["stated"] or "not reported",
            cell["delta"],
            cell["restated"] or "",
        )
        for cell in summary["report_cells"]
    ]
    if cells:
        heads = ("reports.esrs_e1", "year", "country", "stated tCO2e", "delta", "restated")
        click.echo("\n" + table(heads, cells[:SHOWN_MAX], right=3))
    for one in summary["base_year"]:
        due = "is to be recalculated" if one["is_due"] else "stands"
        click.echo(
            f"\nbase year {one['base_year']} of {one['organization_id']} {due}: "
            f"{one['delta_kgco2e']} (before: {one['earlier_kgco2e']}) on {one['stated_kgco2e']} "
            f"kgCO2e; {one['reason']}"
        )
    show_left(summary)


def show_left(summary: Mapping[str, Any]) -> None:
    """What stays as it is although it was looked at."""
    for reason, count in summary["refused"].items():
        click.echo(f"\n{count} entries stay: the new rules refuse their records ({reason})")
    if summary["not_recomputable"]:
        click.echo(
            f"\n{summary['not_recomputable']} entries stay: no archived record alone made them"
        )


def as_values(found: Restatement | None, summary: Mapping[str, Any] | None) -> dict[str, Any]:
    """A restatement as plain values, numbers as texts."""
    if found is None:
        return {"restatement": None, "summary": summary}
    return {
        "restatement": f"R-{found.restatement_id}",
        "status": found.status,
        "what": found.target.text,
        "reason": found.reason,
        "from_releases": found.from_releases.split(","),
        "first_date": found.first_date.isoformat(),
        "end_date": found.end_date.isoformat(),
        "known_at": found.known_at.isoformat(),
        "previewed_by": found.previewed_by,
        "previewed_at": found.previewed_at.isoformat(),
        "approved_by": list(found.approved_by),
        "code_version": found.code_version,
        "entries": found.entries,
        "delta_kgco2e": f"{found.delta_kgco2e:f}",
        "digest": found.digest.hex(),
        "months": [month.strftime("%Y-%m") for month in found.months],
        "posted_months": [month.strftime("%Y-%m") for month in found.posted_months],
        "summary": summary,
    }
