"""`carbon ledger …`: asking the ledger; and what its neighbours share: a connection, a table.

Belongs here: options, tables on a terminal, JSON. Does not: any question's answer
(carbon_ledger.store).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import click
import psycopg

from carbon_ledger.data_quality import INDICATORS, RollUp
from carbon_ledger.digest import SetDigest
from carbon_ledger.events import written_moment
from carbon_ledger.settings import load as load_settings
from carbon_ledger.store.connect import connect
from carbon_ledger.store.lineage import entries_by_id_order, entries_of_records
from carbon_ledger.store.quality import QUALITY_BY, QualityRow, quality
from carbon_ledger.store.read import BY, TotalRow, knowledge_horizon, totals
from carbon_ledger.workings import posted_fraction

NOTHING = "-"
DATE = click.DateTime(["%Y-%m-%d"])


@contextmanager
def open_database(role: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A connection of the READER or the WRITER, committed and closed at the end."""
    settings = load_settings()
    url, seen = settings[f"CARBON_DATABASE_{role}_URL"], settings["CARBON_ORGANIZATIONS"]
    with connect(url, "carbon cli", organizations=seen) as conn:
        yield conn


def table(heads: Sequence[str], rows: Sequence[Sequence[object]], right: int) -> str:
    """Aligned text; the last `right` columns are numbers, aligned at their end."""
    cells = [list(heads), *[["" if cell is None else str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    lines = []
    for row in cells:
        words = [
            word.rjust(width) if column >= len(heads) - right else word.ljust(width)
            for column, (word, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(words).rstrip())
    return "\n".join(lines)


def moment(text: str | None) -> datetime | None:
    """An option's ISO 8601 moment; without a zone it is UTC. Raises ConfigurationError `as_of`."""
    return written_moment(text, "as_of")


def day(value: datetime | None) -> date | None:
    """The date that click parsed."""
    return None if value is None else value.date()


@click.group()
def ledger() -> None:
    """Ask the ledger."""


@ledger.command("totals")
@click.option("--by", type=click.Choice(BY), default="country", show_default=True)
@click.option("--as-of", metavar="MOMENT", help="As known then, e.g. 2026-03-01T12:00:00Z.")
@click.option("--from", "start", type=DATE, help="First local date.")
@click.option("--until", "end", type=DATE, help="Local date after the last one.")
@click.option("--organization", help="Only this organization.")
@click.option("--json", "as_json", is_flag=True, help="For programs; numbers as exact texts.")
def ledger_totals(
    by: str,
    as_of: str | None,
    start: datetime | None,
    end: datetime | None,
    organization: str | None,
    as_json: bool,
) -> None:
    """Show exact sums of energy and kgCO2e, one row per scope, basis and unit."""
    known_at = moment(as_of)
    with open_database("READER") as conn:
        horizon = knowledge_horizon(conn)
        rows = totals(
            conn, by=by, as_of=known_at, start=day(start), end=day(end), organization=organization
        )
    is_final = known_at is not None and known_at <= horizon
    if as_json:
        answer = {
            "by": by,
            "as_of": known_at.isoformat() if known_at else None,
            "is_final": is_final,
            "rows": [total_as_json(row) for row in rows],
        }
        click.echo(json.dumps(answer, indent=2))
        return
    if not rows:
        click.echo("The ledger has no entries there.")
        return
    heads = (by, "scope", "basis", "unit", "entries", "quantity", "kgCO2e")
    lines = [
        (
            *(row.key, scope_text(row), row.basis, row.unit),
            *(row.entries, f"{row.quantity:f}", f"{row.kgco2e:f}"),
        )
        for row in rows
    ]
    click.echo(table(heads, lines, right=3))
    if known_at is not None and not is_final:
        click.echo(f"Not final: writers are at work; final is up to {horizon.isoformat()}.")


@ledger.command("quality")
@click.option("--by", type=click.Choice(QUALITY_BY), default="total", show_default=True)
@click.option("--year", type=int, help="Only this year, by the calendars of the sites.")
@click.option("--as-of", metavar="MOMENT", help="As known then, e.g. 2026-03-01T12:00:00Z.")
@click.option("--organization", help="Only this organization.")
@click.option("--json", "as_json", is_flag=True, help="For programs; numbers as exact texts.")
def ledger_quality(
    by: str, year: int | None, as_of: str | None, organization: str | None, as_json: bool
) -> None:
    """Show how good the figures are: scores, 1 very good to 4 poor, and the share of primary data.

    Weighed by kgCO2e, of the entries that stand; activity data and emission factors apart.
    """
    with open_database("READER") as conn:
        rows = quality(conn, by=by, year=year, as_of=moment(as_of), organization=organization)
    if as_json:
        answer = {"by": by, "year": year, "rows": [quality_as_json(row) for row in rows]}
        click.echo(json.dumps(answer, indent=2))
        return
    if not rows:
        click.echo("The ledger has no entries there.")
        return
    heads = (by, "scope", "basis", "entries", "kgCO2e")
    lines = [
        (
            *(row.key, scope_text(row), row.basis, row.entries, f"{row.kgco2e:f}"),
            *(score_text(one) for one in (row.activity, row.factor)),
            *(percent_text(one) for one in (row.primary, row.supplier_sourced)),
        )
        for row in rows
    ]
    measures = ("activity data", "emission factors", "primary", "of suppliers")
    click.echo(table([*heads, *measures], lines, right=6))
    click.echo(f"Scores: the mean (and the worst {', '.join(INDICATORS)}), 1 very good to 4 poor.")


def score_text(found: RollUp | None) -> str:
    """The mean to two decimals, half-even, and the worst of each indicator; `-` if unscored."""
    if found is None:
        return NOTHING
    worst = " ".join(map(str, found.worst.as_tuple()))
    return f"{Decimal(round(found.overall * 100)).scaleb(-2):.2f} ({worst})"


def percent_text(share: Fraction | None) -> str:
    """A share in per cent to two decimals, half-even; `-` where nothing is known."""
    return NOTHING if share is None else f"{Decimal(round(share * 10_000)).scaleb(-2):.2f} %"


def quality_as_json(row: QualityRow) -> dict[str, object]:
    """The row with its numbers as texts, so that no reader rounds them; shares are 0 to 1."""
    shares = {
        "primary_share": row.primary,
        "supplier_sourced_share": row.supplier_sourced,
        "primary_known_share": row.primary_known,
    }
    return {
        "key": row.key,
        "scope": row.scope,
        "category": row.category,
        "basis": row.basis,
        "entries": row.entries,
        "kgco2e": f"{row.kgco2e:f}",
        "activity_data": _roll_up_as_json(row.activity),
        "emission_factors": _roll_up_as_json(row.factor),
        **{name: _fraction_text(share) for name, share in shares.items()},
    }


def _roll_up_as_json(found: RollUp | None) -> dict[str, object] | None:
    if found is None:
        return None
    return {
        "overall": _fraction_text(found.overall),
        "mean": dict(zip(INDICATORS, map(_fraction_text, found.mean), strict=True)),
        "worst": dict(zip(INDICATORS, found.worst.as_tuple(), strict=True)),
        "scored_share": _fraction_text(found.scored_share),
    }


def _fraction_text(value: Fraction | None) -> str | None:
    return None if value is None else f"{posted_fraction(value):f}"


@ledger.command("digest")
@click.option("--year", type=click.IntRange(2000, 2999), help="Only of this year of activity.")
@click.option("--from-records", is_flag=True, help="Only what a batch posted from records.")
@click.option("--any-code", is_flag=True, help="Whichever version of the code computed it.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def ledger_digest(year: int | None, from_records: bool, any_code: bool, as_json: bool) -> None:
    """Show the digest of all entries: ledgers that say the same have the same one."""
    with open_database("AUDITOR") as conn:
        digest = SetDigest(any_code).add(
            entries_of_records(conn, year) if from_records else entries_by_id_order(conn, year)
        )
    if as_json:
        answer = {"sha256": digest.hexdigest(), "entries": digest.entries}
        click.echo(json.dumps(answer))
        return
    click.echo(f"sha256 {digest.hexdigest()} of {digest.entries} entries")


def scope_text(row: TotalRow | QualityRow) -> str:
    """`2`, or `3.4` for category 4 of scope 3."""
    return str(row.scope) if row.category is None else f"{row.scope}.{row.category}"


def total_as_json(row: TotalRow) -> dict[str, object]:
    """The row with its numbers as texts, so that no reader rounds them."""
    return {
        "key": row.key,
        "scope": row.scope,
        "category": row.category,
        "basis": row.basis,
        "unit": row.unit,
        "quantity": f"{row.quantity:f}",
        "kgco2e": f"{row.kgco2e:f}",
        "entries": row.entries,
        "lines": row.lines,
    }
