"""`carbon reperform`: entries computed again from the archive, and compared.

Belongs here: options, which entries, what is printed. Does not: computing (spark.reperform).
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any, Final
from uuid import UUID

import click

from carbon_ledger.entries import EntryRow
from carbon_ledger.errors import ConfigurationError
from carbon_ledger.lineage.sampling import draw, draw_evenly
from carbon_ledger.settings import load as load_settings
from carbon_ledger.store.lineage import (
    entries_by_id,
    entries_by_key,
    entries_in_order,
    entry_sizes,
)
from carbon_ledger.version import code_version
from cli.ledger_commands import open_database

FAULTS_SHOWN: Final = 20
FAULTS_TOLD: Final = 10_000
TOLD: Final = {
    "equal": "came out equal in every field",
    "differs": "came out otherwise",
    "failed": "cannot be computed",
    "by_hand": "posted by hand: no record says them, a person does",
    "not_reperformed": "of a kind that is not computed from one record",
}


@click.command("reperform")
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="N entries, by a draw.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw.")
@click.option(
    "--uniform", is_flag=True, help="Each entry as likely, not in proportion to its kgCO2e."
)
@click.option("--entry", "entry_ids", multiple=True, type=click.UUID, help="This entry.")
@click.option("--all", "is_all", is_flag=True, help="Every entry.")
@click.option("--year", type=click.IntRange(2000, 2999), help="Only of this year of activity.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def reperform(
    sample: int | None,
    seed: int,
    uniform: bool,
    entry_ids: tuple[UUID, ...],
    is_all: bool,
    year: int | None,
    as_json: bool,
) -> None:
    """Compute entries again from archived bytes, writer schemas and factor rows, and compare.

    Neither Kafka nor the schema registry is asked. Exit code 1 if an entry differs or cannot be
    computed.
    """
    if sum((sample is not None, bool(entry_ids), is_all)) != 1:
        raise ConfigurationError(
            "which_entries", "say which entries: --sample N, --entry ID or --all"
        )
    # Half a second of imports, which a wrong option need not wait for.
    from spark.reperform import Outcome, Reperformer

    settings = load_settings()
    counts: Counter[str] = Counter()
    by_hand: list[Outcome] = []
    others: Counter[str] = Counter()
    faults: list[Outcome] = []
    with open_database("AUDITOR") as conn, open_database("AUDITOR") as beside:
        rows = (
            chosen_entries(conn, sample, seed, uniform, entry_ids, year)
            if sample or entry_ids
            else entries_in_order(conn, year)
        )
        worker = Reperformer(connection=beside, archive_url=settings.archive_url, settings=settings)
        for one in worker.outcomes(rows):
            counts[one.verdict] += 1
            counts["other_code"] += one.is_other_code
            if one.verdict == "by_hand":
                by_hand.append(one)
            elif one.verdict == "not_reperformed":
                others[one.kind] += 1
            elif one.is_fault and len(faults) < FAULTS_TOLD:
                faults.append(one)
    drawn = None if sample is None else _drawn(seed, uniform)
    if as_json:
        click.echo(json.dumps(_values(counts, by_hand, others, faults, drawn), indent=2))
    else:
        _print(counts, by_hand, others, faults, drawn)
    if counts["differs"] or counts["failed"]:
        sys.exit(1)


def chosen_entries(
    conn: Any,
    sample: int | None,
    seed: int,
    uniform: bool,
    entry_ids: tuple[UUID, ...],
    year: int | None,
) -> list[EntryRow]:
    """The entries of these ids, or else a sample. Raises ConfigurationError `unknown_entry`."""
    if entry_ids:
        found = entries_by_id(conn, entry_ids)
        missing = set(entry_ids) - {row.entry_id for row in found}
        if missing:
            raise ConfigurationError(
                "unknown_entry", f"the ledger has no entry {', '.join(sorted(map(str, missing)))}"
            )
        return found
    sizes, number = entry_sizes(conn, year), sample or 0
    if uniform:
        keys = draw_evenly((key for key, _ in sizes), number, seed)
    else:
        keys = draw(sizes, number, seed)
    drawn = entries_by_key(conn, keys)
    return [drawn[entry_id] for entry_id, _ in keys]


def _drawn(seed: int, uniform: bool) -> str:
    how = "each as likely" if uniform else "in proportion to kgCO2e"
    return f"drawn {how}, seed {seed}"


def _values(
    counts: Counter[str], by_hand: list[Any], others: Counter[str], faults: list[Any], drawn: Any
) -> dict[str, Any]:
    return {
        "entries": sum(counts[name] for name in TOLD),
        "drawn": drawn,
        **{name: counts[name] for name in TOLD},
        "other_code": counts["other_code"],
        "code_version": code_version(),
        "kinds_not_reperformed": dict(others),
        "posted_by_hand": [
            {"entry_id": str(one.entry_id), "event_id": one.event_id, "cause": one.reason}
            for one in by_hand
        ],
        "faults": [
            {
                "entry_id": str(one.entry_id),
                "event_id": one.event_id,
                "kind": one.kind,
                "verdict": one.verdict,
                "code": one.code,
                "reason": one.reason,
                "differences": [vars_of(item) for item in one.differences],
            }
            for one in faults
        ],
    }


def vars_of(difference: Any) -> dict[str, str | None]:
    """A difference as plain values."""
    return {
        "field": difference.field,
        "stored": difference.stored,
        "remade": difference.remade,
    }


def _print(
    counts: Counter[str], by_hand: list[Any], others: Counter[str], faults: list[Any], drawn: Any
) -> None:
    entries = sum(counts[name] for name in TOLD)
    click.echo(f"{counts['equal']} of {entries} entries equal" + (f" ({drawn})" if drawn else ""))
    for name, meaning in TOLD.items():
        if counts[name] and name != "equal":
            click.echo(f"  {counts[name]:>8}  {meaning}")
    for kind, count in sorted(others.items()):
        click.echo(f"            of which {kind}: {count}")
    if counts["other_code"]:
        click.echo(
            f"  {counts['other_code']:>8}  were posted by other code than {code_version()}, which "
            "computed them now"
        )
    for one in by_hand[:FAULTS_SHOWN]:
        click.echo(f"by hand: {one.entry_id} {one.event_id}: {one.reason}")
    for one in faults[:FAULTS_SHOWN]:
        click.echo(f"{one.verdict}: {one.entry_id} {one.event_id}")
        if one.reason:
            click.echo(f"    {one.code}: {one.reason}")
        for item in one.differences:
            click.echo(f"    {item}")
    shown = max(len(by_hand), len(faults))
    if shown > FAULTS_SHOWN:
        click.echo(f"… {shown - FAULTS_SHOWN} more; --json has them")
