"""`carbon report …`: disclosure tables, what each cell is made of, and what changed between two.

Belongs here: options, tables on a terminal. Does not: figures (carbon_ledger.reporting), reading
the ledger (carbon_ledger.store.report_inputs).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import click

from api.pages.links import Made, cells_at
from carbon_assets.suites import publishing_holds
from carbon_ledger.errors import ConfigurationError
from carbon_ledger.policy import Policy
from carbon_ledger.quantities import canonical_text
from carbon_ledger.report_names import REPORTS_OF
from carbon_ledger.reporting.cdp import cdp
from carbon_ledger.reporting.cdp_profile import CDP_PROFILE
from carbon_ledger.reporting.documents import FORMATS, document
from carbon_ledger.reporting.esrs_e1 import PROFILE, esrs_e1
from carbon_ledger.reporting.inputs import ReportInputs
from carbon_ledger.reporting.report_diff import diff_reports
from carbon_ledger.reporting.tables import Cell, Report, Table
from carbon_ledger.settings import load as load_settings
from carbon_ledger.store.report_inputs import entries_behind, read_report_inputs
from carbon_ledger.store.report_schedules import (
    CATCH_UP,
    coming_reports,
    missing_reports,
    scheduled_reports,
)
from carbon_ledger.store.report_snapshots import find_snapshots, keep_report, read_snapshot
from carbon_ledger.store.rows import Connection
from carbon_ledger.store.validations import blocking_failures
from carbon_ledger.version import code_version
from cli.ledger_commands import moment, open_database, table

TABLE = "table"
FORMS = (TABLE, *FORMATS)
REPORTS = ("esrs_e1", "cdp")
# What reviewers' pages make of the entries as known at a moment.
DEFAULT_PROFILES = {"esrs_e1": PROFILE, "cdp": CDP_PROFILE}
NO_PAGES = "-"
ENTRIES_SHOWN = 20


@click.group()
def report() -> None:
    """Make, list, show and compare reports."""


Command = Callable[..., None]


def making(command: Command) -> Command:
    """The options of every command that makes a report."""
    form = click.Choice(FORMS)
    file = click.Path(path_type=Path, dir_okay=False)
    for option in reversed(
        (
            click.option("--year", type=int, required=True, help="The fiscal year."),
            click.option(
                "--as-of", metavar="MOMENT", help="As known then, e.g. 2026-03-01T12:00:00Z."
            ),
            click.option("--organization", help="Only this organization."),
            click.option("--format", "form", type=form, default="table", show_default=True),
            click.option("--out", type=file, help="Write to this file."),
            click.option("--lei", default="", help="Legal entity identifier, for xbrl-json."),
            click.option("--keep", is_flag=True, help="Keep it as a snapshot, as scheduled ones."),
        )
    ):
        command = option(command)
    return command


@report.command("esrs-e1")
@click.option("--profile", default=PROFILE, show_default=True, help="Which version of ESRS.")
@making
def report_esrs_e1(profile: str, **given: Any) -> None:
    """Make ESRS E1 of a fiscal year from the entries as known at a moment."""
    _make(lambda inputs: esrs_e1(inputs, profile), **given)


@report.command("cdp")
@click.option("--profile", default=CDP_PROFILE, show_default=True, help="Which questionnaire.")
@making
def report_cdp(profile: str, **given: Any) -> None:
    """Answer module 7 of CDP's questionnaire for a fiscal year."""
    _make(lambda inputs: cdp(inputs, profile), **given)


def _make(
    maker: Callable[[ReportInputs], Report],
    *,
    year: int,
    as_of: str | None,
    organization: str | None,
    form: str,
    out: Path | None,
    lei: str,
    keep: bool,
) -> None:
    settings = load_settings()
    with open_database("WRITER" if keep else "READER") as conn:
        found = read_report_inputs(
            conn,
            year,
            as_of=moment(as_of),
            code_version=code_version(),
            policy=Policy(gwp_set=settings["CARBON_GWP_SET"]),
            organization=organization,
        )
        if not found:
            raise ConfigurationError(
                "no_entries",
                f"the ledger has no entries of {year}"
                + (f" of {organization}" if organization else "")
                + "; `carbon ledger totals --by organization` shows what it has",
            )
        if out is not None and len(found) > 1:
            names = ", ".join(one.organization_id for one in found)
            raise ConfigurationError(
                "which_organization", f"--out takes one report: --organization is one of {names}"
            )
        if keep:
            refuse_what_fails(conn)
        made = [maker(inputs) for inputs in found]
        refs: list[UUID | Made | None] = [_made_ref(one) for one in made]
        for number, one in enumerate(made if keep else ()):
            refs[number] = snapshot_id = uuid4()
            keep_report(conn, one, snapshot_id=snapshot_id, run_id="carbon report")
            click.echo(f"kept {one.organization_id} as {snapshot_id}", err=True)
    _give(list(zip(made, refs, strict=True)), form, out, lei)


def _made_ref(made: Report) -> Made | None:
    """What reviewers' pages make the same report by; None for a profile that they do not make."""
    if DEFAULT_PROFILES.get(made.name) != made.profile:
        return None
    return Made(report=made.name, fiscal_year=made.fiscal_year, as_of=made.as_of)


def refuse_what_fails(conn: Connection) -> None:
    """Nothing is kept while expectations fail critically; ConfigurationError `quality_failing`."""
    found = blocking_failures(conn, publishing_holds(), datetime.now(UTC))
    if found:
        units = ", ".join(f"{one.suite} {one.unit}" for one in found[:5])
        raise ConfigurationError(
            "quality_failing",
            f"figures rest on what fails its expectations: {units}; `carbon quality show` says "
            "what, and without --keep the report is shown all the same",
        )


@report.command("schedule")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def report_schedule(as_json: bool) -> None:
    """Show which reports are due by the companies' calendars: made, missing, next."""
    with open_database("READER") as conn:
        made = scheduled_reports(conn, datetime.now(UTC) - CATCH_UP)
        missing, coming = missing_reports(conn), coming_reports(conn)
    rows = [
        {
            **{"state": "made", "due_at": one.due_at.isoformat(), "schedule": one.schedule},
            **{"organization": one.organization_id, "period": one.period, "report": one.report},
            "snapshot": None if one.snapshot_id is None else str(one.snapshot_id),
        }
        for one in sorted(made, key=lambda one: (one.due_at, one.report))
    ] + [
        {
            **{"state": state, "due_at": one.due_at.isoformat(), "schedule": one.schedule},
            **{"organization": one.organization_id, "period": one.period},
            **{"report": ", ".join(REPORTS_OF[one.schedule]), "snapshot": None},
        }
        for state, dues in (("missing", missing), ("next", coming))
        for one in dues
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif not rows:
        click.echo(
            "No organization states a report schedule; `carbon reference apply` takes them "
            "(kind report_schedule)."
        )
    else:
        heads = list(rows[0])
        click.echo(table(heads, [[one[head] or "" for head in heads] for one in rows], right=0))


@report.command("list")
@click.option("--report", "name", type=click.Choice(REPORTS), default="esrs_e1", show_default=True)
@click.option("--year", type=int, help="Only this fiscal year.")
@click.option("--organization", help="Only this organization.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def report_list(name: str, year: int | None, organization: str | None, as_json: bool) -> None:
    """List the reports that are kept, the newest first."""
    with open_database("READER") as conn:
        found = find_snapshots(conn, report=name, fiscal_year=year, organization=organization)
    rows = [
        {
            "snapshot_id": str(one.snapshot_id),
            "organization": one.organization_id,
            "year": one.fiscal_year,
            "profile": one.profile,
            "as_of": one.as_of.isoformat(),
            "sha256": one.content_sha256.hex(),
            "run": one.run_id,
        }
        for one in found
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif not rows:
        click.echo("No report is kept there.")
    else:
        shown = [{**one, "sha256": str(one["sha256"])[:12]} for one in rows]
        click.echo(table(list(shown[0]), [list(one.values()) for one in shown], right=0))


@report.command("show")
@click.argument("snapshot", type=click.UUID)
@click.option("--format", "form", type=click.Choice(FORMS), default="table", show_default=True)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file.")
@click.option("--lei", default="", help="Legal entity identifier, for xbrl-json.")
def report_show(snapshot: UUID, form: str, out: Path | None, lei: str) -> None:
    """Show a report that is kept, as it was made."""
    with open_database("READER") as conn:
        opened = read_snapshot(conn, snapshot).opened()
    _give([(opened, snapshot)], form, out, lei)


@report.command("diff")
@click.argument("old", type=click.UUID)
@click.argument("new", type=click.UUID)
@click.option("--json", "as_json", is_flag=True, help="For programs; figures as exact texts.")
def report_diff(old: UUID, new: UUID, as_json: bool) -> None:
    """Say what differs between two kept reports: cells added, removed, changed, and texts."""
    with open_database("READER") as conn:
        found = diff_reports(read_snapshot(conn, old).opened(), read_snapshot(conn, new).opened())
    click.echo(found.as_json() if as_json else found.as_table(), nl=False)


@report.command("cell")
@click.argument("snapshot", type=click.UUID)
@click.argument("cell_id")
@click.option("--entries", type=click.IntRange(0), default=ENTRIES_SHOWN, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def report_cell(snapshot: UUID, cell_id: str, entries: int, as_json: bool) -> None:
    """Lead a cell of a kept report to the cells or entries it is made of."""
    with open_database("READER") as conn:
        opened = read_snapshot(conn, snapshot).opened()
        cells = opened.cells()
        if cell_id not in cells:
            near = [one for one in cells if cell_id.lower() in one.lower()][:8]
            raise ConfigurationError(
                "unknown_cell",
                f"the report has no cell {cell_id!r}; "
                + (f"there are {', '.join(near)}" if near else "`carbon report show` has them all"),
            )
        cell = cells[cell_id]
        behind = []
        if cell.selection is not None and cell.year is not None:
            behind = list(
                entries_behind(
                    conn,
                    opened.organization_id,
                    cell.year,
                    cell.selection,
                    opened.as_of,
                    limit=entries,
                )
            )
    if as_json:
        answer = {
            **_cell_as_json(cell),
            "inputs": [_cell_as_json(cells[one]) for one in cell.inputs],
            "behind": [
                {
                    "entry_id": str(one.entry_id),
                    "event_id": one.event_id,
                    "line_no": one.line_no,
                    "kgco2e": canonical_text(one.kgco2e),
                    "factor": f"{one.factor_id}#{one.factor_version}",
                    "record": _record(one.topic, one.kafka_partition, one.kafka_offset),
                }
                for one in behind
            ],
        }
        click.echo(json.dumps(answer, indent=2))
        return
    click.echo("\n".join(_explained(cell, cells)))
    if behind:
        heads = ("entry", "event", "line", "factor", "record", "kgCO2e")
        lines = [
            (
                *(one.entry_id, one.event_id, one.line_no, f"{one.factor_id}#{one.factor_version}"),
                _record(one.topic, one.kafka_partition, one.kafka_offset),
                canonical_text(one.kgco2e),
            )
            for one in behind
        ]
        click.echo(table(heads, lines, right=1))
        if cell.entries > len(behind):
            click.echo(f"{cell.entries - len(behind)} more; --entries shows them.")
        click.echo("`carbon trace ENTRY` leads on to record, factor, formula and run.")


def _give(
    made: Sequence[tuple[Report, UUID | Made | None]], form: str, out: Path | None, lei: str
) -> None:
    """To the terminal, or byte for byte to a file. Raises ConfigurationError `needs_a_file`."""
    if form == TABLE:
        content = ("\n\n".join(_text(one) for one, _ in made) + "\n").encode()
    elif out is None and not FORMATS[form].is_text:
        raise ConfigurationError(
            "needs_a_file", f"{form} is no text: --out FILE{FORMATS[form].suffix} writes it"
        )
    else:
        content = b"".join(_document(one, ref, form, lei) for one, ref in made)
    if out is None:
        click.echo(content.decode(), nl=False)
    else:
        out.write_bytes(content)
        click.echo(f"written to {out}", err=True)


def _document(made: Report, ref: UUID | Made | None, form: str, lei: str) -> bytes:
    content = document(made, form, lineage_url=_lineage_url(ref), lei=lei)
    return content + b"\n" if form == "json" and not content.endswith(b"\n") else content


def _lineage_url(ref: UUID | Made | None) -> str:
    """What cells' ids are put behind for the reviewers' pages; "" where there are none."""
    home = load_settings()["CARBON_REVIEW_URL"]
    return "" if ref is None or home == NO_PAGES else cells_at(ref, home)


def _text(made: Report) -> str:
    head = (
        f"{made.title}\n{made.organization_id}, fiscal year {made.fiscal_year}, as known at "
        f"{made.as_of.isoformat()}"
    )
    flags = f"\nflags: {', '.join(made.flags)}" if made.flags else ""
    said = [f"{one.heading}\n  {one.text}" for one in made.statements]
    return "\n\n".join([head + flags, *(_table(one) for one in made.tables), *said])


def _table(one: Table) -> str:
    heads = ["", *(column.heading for column in one.columns)]
    lines = []
    for row in one.rows:
        found = [row.cells.get(column.column_id) for column in one.columns]
        lines.append([row.label, *("" if cell is None else _shown(cell) for cell in found)])
    is_text = any(not column.unit for column in one.columns)
    right = 0 if is_text else len(one.columns)
    return f"{one.table_id}  {one.title}\n{table(heads, lines, right=right)}"


def _shown(cell: Cell) -> str:
    """Exactly, and what has no figure as a dash."""
    if isinstance(cell.value, Decimal):
        return canonical_text(cell.value)
    return "-" if cell.value is None else cell.value


def _explained(cell: Cell, cells: dict[str, Cell]) -> list[str]:
    lines = [f"{cell.cell_id}: {_shown(cell)} {cell.unit}".rstrip()]
    if cell.concept:
        lines.append(f"  concept {cell.concept} ({cell.datapoint})")
    if cell.note:
        lines.append(f"  {cell.note}")
    if cell.source:
        lines.append(f"  stated by {cell.source}")
    if cell.selection is not None:
        asked = ", ".join(
            f"{name} {' or '.join(values)}" for name, values in cell.selection.as_text().items()
        )
        lines.append(
            f"  sum of {cell.measure} of {cell.entries} entries of {cell.year} with {asked}, "
            f"times {canonical_text(cell.scale)}"
        )
    if cell.inputs:
        scale = "" if cell.scale == 1 else f", times {canonical_text(cell.scale)}"
        lines.append(f"  {cell.operation} of{scale}")
        lines += [f"    {one}: {_shown(cells[one])} {cells[one].unit}" for one in cell.inputs]
    return lines


def _cell_as_json(cell: Cell) -> dict[str, Any]:
    return {
        "cell_id": cell.cell_id,
        "value": _shown(cell),
        "unit": cell.unit,
        "operation": cell.operation,
        "year": cell.year,
        "selection": None if cell.selection is None else cell.selection.as_text(),
        "entries": cell.entries,
        "concept": cell.concept,
        "datapoint": cell.datapoint,
        "source": cell.source,
        "note": cell.note,
    }


def _record(topic: str | None, partition: int | None, offset: int | None) -> str:
    return "" if topic is None else f"{topic}/{partition}@{offset}"
