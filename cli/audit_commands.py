"""`carbon audit …`: samples of the entries of kept reports, and what reviewers found.

Belongs here: options, tables on a terminal. Does not: the draw (carbon_ledger.lineage), signing,
which a person does with a key of their own (api.pages, api.routes.review).
"""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import click

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.lineage.review_samples import METHODS, MONETARY_UNIT, SEED_MAX, SIZE_MAX, drawn
from carbon_ledger.lineage.sign_offs import KINDS
from carbon_ledger.quantities import canonical_text
from carbon_ledger.reporting.cell_trail import OF_A_TOTAL, selections_behind
from carbon_ledger.store.lineage import entries_by_id
from carbon_ledger.store.report_snapshots import read_snapshot
from carbon_ledger.store.report_trail import sizes_behind
from carbon_ledger.store.sign_offs import PAGE_MAX, list_sign_offs
from cli.ledger_commands import open_database, table


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def audit() -> None:
    """Review reports: draw samples of their entries, list sign-offs.

    \b
    carbon audit sample SNAPSHOT --cell E1-6/scope_1/current -n 25 --seed 7
    carbon audit sign-offs --snapshot SNAPSHOT
    """


@audit.command("sample")
@click.argument("snapshot", type=click.UUID)
@click.option("--cell", "cell_id", help="Of this cell's entries alone.")
@click.option(
    "-n", "size", type=click.IntRange(1, SIZE_MAX), default=25, show_default=True, help="Entries."
)
@click.option("--seed", type=click.IntRange(0, SEED_MAX), default=0, show_default=True)
@click.option(
    "--method", type=click.Choice(list(METHODS)), default=MONETARY_UNIT, show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def audit_sample(
    snapshot: UUID, cell_id: str | None, size: int, seed: int, method: str, as_json: bool
) -> None:
    """Draw a sample of the entries of a kept report; the same arguments draw the same entries."""
    with open_database("READER") as conn:
        report = read_snapshot(conn, snapshot).opened()
        cells = report.cells()
        if cell_id is None:
            selections = [(report.fiscal_year, OF_A_TOTAL)]
        elif cell_id in cells:
            selections = selections_behind(cells, cell_id)
        else:
            raise ConfigurationError(
                "unknown_cell",
                f"the report has no cell {cell_id!r}; `carbon report show` has them all",
            )
        sizes = sizes_behind(conn, report.organization_id, selections, report.as_of)
        sample = drawn(sizes, method=method, seed=seed, size=size)
        rows = {row.entry_id: row for row in entries_by_id(conn, sample.entry_ids)}
    entries = [
        {
            "entry_id": str(one),
            "event_id": rows[one].event_id,
            "line_no": rows[one].line_no,
            "kgco2e": canonical_text(rows[one].kgco2e),
        }
        for one in sample.entry_ids
    ]
    if as_json:
        answer = {
            "snapshot_id": str(snapshot),
            "cell_id": cell_id,
            "as_of": report.as_of.isoformat(),
            "method": sample.method,
            "seed": seed,
            "n": size,
            "how": sample.words,
            "population": sample.population,
            "population_kgco2e": canonical_text(sample.population_kgco2e),
            "sha256": sample.sha256.hex(),
            "entries": entries,
        }
        click.echo(json.dumps(answer, indent=2))
        return
    click.echo(
        f"{len(entries)} of {sample.population} entries, "
        f"{canonical_text(sample.population_kgco2e)} kgCO2e by magnitude; seed {seed}; "
        f"sha256 {sample.sha256.hex()}"
    )
    click.echo(sample.words)
    lines = [(one["entry_id"], one["event_id"], one["line_no"], one["kgco2e"]) for one in entries]
    click.echo(table(("entry", "event", "line", "kgCO2e"), lines, right=1))


@audit.command("sign-offs")
@click.option("--snapshot", type=click.UUID, help="Of this kept report, its cells and samples.")
@click.option("--entry", type=click.UUID, help="Of this entry.")
@click.option("--kind", type=click.Choice(KINDS), help="Of such subjects.")
@click.option("--organization", help="Only this organization.")
@click.option("--before", type=click.IntRange(1), help="Older than this one.")
@click.option("--limit", type=click.IntRange(1, PAGE_MAX), default=100, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def audit_sign_offs(
    snapshot: UUID | None,
    entry: UUID | None,
    kind: str | None,
    organization: str | None,
    before: int | None,
    limit: int,
    as_json: bool,
) -> None:
    """List what reviewers found, the newest first; superseded ones are there, too."""
    with open_database("READER") as conn:
        found = list_sign_offs(
            conn,
            organization=organization,
            kind=kind,
            snapshot_id=snapshot,
            entry_id=entry,
            before=before,
            limit=limit,
        )
    rows: list[dict[str, Any]] = [
        {
            "sign_off_id": one.sign_off_id,
            "organization": one.organization_id,
            "kind": one.subject.kind,
            "snapshot_id": _text(one.subject.snapshot_id),
            "cell_id": one.subject.cell_id,
            "entry_id": _text(one.subject.entry_id),
            "method": one.subject.method,
            "seed": one.subject.seed,
            "n": one.subject.size,
            "subject_sha256": one.subject_sha256.hex(),
            "verdict": one.verdict,
            "note": one.note,
            "signed_by": one.signed_by,
            "recorded_at": one.recorded_at.isoformat(),
            "stands": one.stands,
        }
        for one in found
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif not rows:
        click.echo("Nobody signed off on anything there.")
    else:
        heads = ("no", "of", "verdict", "by", "when", "note")
        lines = [
            (
                one["sign_off_id"],
                f"{one['kind']} {one['entry_id'] or one['cell_id'] or one['snapshot_id']}",
                one["verdict"] + ("" if one["stands"] else " (superseded)"),
                one["signed_by"],
                one["recorded_at"],
                " ".join(str(one["note"]).split()),
            )
            for one in rows
        ]
        click.echo(table(heads, lines, right=0))


def _text(value: object) -> str | None:
    return None if value is None else str(value)
