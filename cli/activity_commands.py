"""`carbon activities …`: templates, submitting, approving and rejecting what no stream carries.

Belongs here: options, tables on a terminal, JSON, writing template files. Does not: judging a file
or sending its events (pipeline.activity_register), the register (carbon_ledger.store.activities).
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from carbon_ledger.activities.templates import (
    OPEN_COLUMNS,
    REQUIRED_FIELDS,
    TEMPLATES,
    Template,
    find_template,
)
from carbon_ledger.quantities import canonical_text
from carbon_ledger.settings import load as load_settings
from carbon_ledger.store.activities import (
    AcceptedRow,
    RefusedRow,
    Submission,
    accepted_rows,
    decide,
    find_submission,
    list_submissions,
    refused_rows,
)
from carbon_ledger.store.connect import connect
from cli.ledger_commands import table

FORMATS = ("csv", "xlsx", "json")
ROWS_SHOWN = 20
REFUSED_SOME = 2


@contextmanager
def open_as(role: str) -> Iterator[Any]:
    """A connection of the WRITER or the AUDITOR; autocommit."""
    url = load_settings()[f"CARBON_DATABASE_{role}_URL"]
    with connect(url, "carbon activities", True) as conn:
        yield conn


class Number(click.ParamType):  # type: ignore[type-arg]
    """A submission's number: `7` or `A-7`."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value).removeprefix("A-").removeprefix("a-")
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            self.fail(f"{value!r} is no number of a submission; valid is for example A-7")
        return int(text)


NUMBER = Number()
WHO = click.option("--who", required=True, help="Who does this: a person's name.")
JSON = click.option("--json", "as_json", is_flag=True, help="For programs; numbers as exact texts.")


@click.group()
def activities() -> None:
    """Register what no stream carries; another person approves it.

    \b
    carbon activities templates --write templates
    carbon activities submit waste-2025-01.csv --who "Site engineer"
    carbon activities show A-1
    carbon activities approve A-1 --who "Sustainability lead"
    """


@activities.command("templates")
@click.argument("name", required=False)
@click.option(
    "--write",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the templates into this folder.",
)
@click.option("--format", "form", type=click.Choice(FORMATS), help="Only this format.")
@JSON
def activities_templates(
    name: str | None, folder: Path | None, form: str | None, as_json: bool
) -> None:
    """List the templates, or show the columns of one; one per category and scope 1 source."""
    chosen = list(TEMPLATES.values()) if name is None else [find_template(name)]
    if folder is not None:
        paths = [
            path
            for template in chosen
            for path in write_template(template, folder, FORMATS if form is None else (form,))
        ]
        click.echo(f"{len(paths)} files in {folder}: {', '.join(one.name for one in paths[:6])} …")
    elif as_json:
        click.echo(json.dumps([template_values(one) for one in chosen], indent=2))
    elif name is None:
        rows = [(one.name, scope_of(one), one.title) for one in chosen]
        click.echo(table(("template", "scope", "what"), rows, 0))
    else:
        click.echo("\n".join(told_template(chosen[0])))


def scope_of(template: Template) -> str:
    """`1`, or `3.5` for category 5."""
    return "1" if template.category is None else f"3.{template.category}"


def template_values(template: Template) -> dict[str, Any]:
    """A template as plain values."""
    return {
        "name": template.name,
        "scope": scope_of(template),
        "title": template.title,
        "required": list(REQUIRED_FIELDS),
        "columns": list(template.columns),
        "formulas": {
            one.formula.formula_id: [kind.name for kind in one.kinds] for one in template.recipes
        },
    }


def told_template(template: Template) -> list[str]:
    """A template as a person reads it."""
    lines = [
        f"{template.name}: {template.title} (scope {scope_of(template)})",
        f"columns: {', '.join(template.columns)}",
        f"further columns may begin with: {', '.join(OPEN_COLUMNS)}",
    ]
    for recipe in template.recipes:
        lines.append(f"formula {recipe.formula.formula_id}: {recipe.formula.text}")
        for kind in recipe.kinds:
            needs = [] if kind.quantity == "none" else ["quantity", "unit"]
            needs += [one.name for one in kind.parts if one.is_required]
            needs += {"required": ["factor"], "gas": ["gas or factor"], "none": []}[kind.factor]
            lines.append(f"  kind {kind.name}: {', '.join(needs)}")
    return lines


def write_template(template: Template, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Empty files of a template, one per format; what is there already is not overwritten."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for form in formats:
        path = folder / f"{template.name}.{form}"
        if path.exists():
            raise click.UsageError(f"{path} is there already; nothing is overwritten")
        path.write_bytes(template_bytes(template, form))
        written.append(path)
    return written


def template_bytes(template: Template, form: str) -> bytes:
    """A file of the template without a row: the header, or in JSON one object without values."""
    columns = template.columns
    if form == "json":
        return (json.dumps([dict.fromkeys(columns, "")], indent=2) + "\n").encode()
    if form == "csv":
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerow(columns)
        return text.getvalue().encode()
    from openpyxl import Workbook

    book = Workbook()
    book.active.title = template.name[:31]
    book.active.append(list(columns))
    book.active.freeze_panes = "A2"
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


@activities.command("submit")
@click.argument(
    "path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--template", help="The template; default: what the file is named after.")
@WHO
@JSON
def activities_submit(path: Path, template: str | None, who: str, as_json: bool) -> None:
    """Judge every row of FILE (CSV, XLSX, JSON) and keep it for approval.

    FILE is named after its template, such as waste-2025-01.csv. Exit status: 0 every row is
    accepted, 2 some were refused; those that were accepted await approval all the same.
    """
    from pipeline.activity_register import FILE_LIMITS, inventory_of, submit_file

    if path.stat().st_size > FILE_LIMITS.file_bytes:
        raise click.UsageError(f"{path} has more than {FILE_LIMITS.file_bytes:,} bytes")
    settings = load_settings()
    with open_as("WRITER") as conn:
        found = submit_file(
            conn,
            inventory_of(conn, settings, datetime.now(UTC)),
            name=path.name,
            content=path.read_bytes(),
            by=who,
            template=template,
            default_organization=settings["CARBON_DEFAULT_ORGANIZATION"],
        )
        show(conn, found, as_json)
    if not as_json and found.status == "pending" and found.rows_accepted:
        click.echo(f"Next, by somebody else: carbon activities approve {found.name} --who NAME")
    if found.rows_refused:
        sys.exit(REFUSED_SOME)


@activities.command("list")
@JSON
def activities_list(as_json: bool) -> None:
    """List submissions, newest first."""
    with open_as("AUDITOR") as conn:
        found = list_submissions(conn)
    if as_json:
        click.echo(json.dumps([submission_values(one) for one in found], indent=2))
        return
    rows = [
        (one.name, one.status, one.template, one.file_name, one.submitted_by, one.rows_accepted,
         one.rows_refused, canonical_text(one.kgco2e))
        for one in found
    ]  # fmt: skip
    heads = ("", "status", "template", "file", "submitted by", "rows", "refused", "kgCO2e")
    click.echo(table(heads, rows, 3))


@activities.command("show")
@click.argument("number", type=NUMBER)
@JSON
def activities_show(number: int, as_json: bool) -> None:
    """Show a submission: its rows, what they come to, which were refused and why."""
    with open_as("AUDITOR") as conn:
        show(conn, find_submission(conn, number), as_json)


@activities.command("approve")
@click.argument("number", type=NUMBER)
@WHO
@click.option("--why", default="", help="What was checked.")
@JSON
def activities_approve(number: int, who: str, why: str, as_json: bool) -> None:
    """Approve a submission of somebody else; its events are sent to the ledger."""
    from pipeline.activity_register import approve
    from pipeline.producers import CarbonEventProducer

    with open_as("WRITER") as conn:
        found = approve(
            conn,
            lambda: CarbonEventProducer(settings=load_settings()),
            number,
            by=who,
            reason=why,
        )
    if as_json:
        click.echo(json.dumps(submission_values(found), indent=2))
    else:
        click.echo(
            f"{found.name} is {found.status}: {found.rows_accepted} events, submitted by "
            f"{found.submitted_by}, approved by {found.decided_by}."
        )


@activities.command("reject")
@click.argument("number", type=NUMBER)
@WHO
@click.option("--why", required=True, help="What is wrong with it.")
def activities_reject(number: int, who: str, why: str) -> None:
    """Reject a submission; corrected, it is submitted again."""
    with open_as("WRITER") as conn:
        found = decide(conn, number, approved=False, by=who, reason=why)
    click.echo(f"{found.name} is rejected by {found.decided_by}: {found.reason}")


@activities.command("send")
def activities_send() -> None:
    """Send what is approved and was not sent, as Kafka was down; again adds nothing."""
    from pipeline.activity_register import send_approved
    from pipeline.producers import CarbonEventProducer

    with open_as("WRITER") as conn:
        sent = send_approved(conn, lambda: CarbonEventProducer(settings=load_settings()))
    click.echo(f"{len(sent)} submissions sent{''.join(f', {one.name}' for one in sent)}.")


def show(conn: Any, found: Submission, as_json: bool) -> None:
    """A submission with its rows."""
    accepted = accepted_rows(conn, found.submission_id)
    refused = refused_rows(conn, found.submission_id)
    if as_json:
        values = submission_values(found)
        values["rows"] = [row_values(one) for one in accepted]
        values["refusals"] = [refusal_values(one) for one in refused]
        click.echo(json.dumps(values, indent=2))
        return
    decided = f", {found.decided_by}: {found.reason}" if found.decided_by else ""
    click.echo(
        f"{found.name} {found.template} ({found.file_name}, SHA-256 "
        f"{found.file_sha256.hex()[:16]}), submitted by {found.submitted_by}: {found.status}"
        f"{decided}"
    )
    click.echo(
        f"{found.rows_accepted} rows accepted, {canonical_text(found.kgco2e)} kgCO2e; "
        f"{found.rows_refused} refused"
    )
    rows = [
        (one.line, one.event.activity_id, one.event.entity_id, one.event.facility_id,
         f"{one.event.occurred_from:%Y-%m-%d}", canonical_text(one.kgco2e))
        for one in accepted[:ROWS_SHOWN]
    ]  # fmt: skip
    if rows:
        click.echo(table(("line", "activity", "entity", "site", "from (UTC)", "kgCO2e"), rows, 1))
    if len(accepted) > ROWS_SHOWN:
        click.echo(f"… and {len(accepted) - ROWS_SHOWN} more; --json shows all")
    for refusal in refused[:ROWS_SHOWN]:
        problem = refusal.problem
        valid = f"; valid: {problem.valid}" if problem.valid else ""
        click.echo(f"line {refusal.line}: {problem.message} [{problem.code}]{valid}")


def submission_values(one: Submission) -> dict[str, Any]:
    """A submission as plain values."""
    return {
        "submission": one.name,
        "status": one.status,
        "template": one.template,
        "file_name": one.file_name,
        "file_sha256": one.file_sha256.hex(),
        "rows_accepted": one.rows_accepted,
        "rows_refused": one.rows_refused,
        "kgco2e": canonical_text(one.kgco2e),
        "submitted_by": one.submitted_by,
        "submitted_at": one.submitted_at.isoformat(),
        "decided_by": one.decided_by,
        "reason": one.reason,
        "decided_at": None if one.decided_at is None else one.decided_at.isoformat(),
        "delivered_at": None if one.delivered_at is None else one.delivered_at.isoformat(),
    }


def row_values(one: AcceptedRow) -> dict[str, Any]:
    """An accepted row as plain values."""
    event = one.event
    return {
        "line": one.line,
        "event_id": event.event_id,
        "facility_id": event.facility_id,
        "occurred_from": event.occurred_from.isoformat(),
        "occurred_to": event.occurred_to.isoformat(),
        "kgco2e": canonical_text(one.kgco2e),
    }


def refusal_values(one: RefusedRow) -> dict[str, Any]:
    """A refused row as plain values."""
    return {"line": one.line, **one.problem.values()}
