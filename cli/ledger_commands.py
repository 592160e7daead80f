"""`carbon ledger …`: asking the ledger; and what its neighbours share: a connection, a table.

Belongs here: options, tables on a terminal, JSON. Does not: any question's answer
(carbon_ledger.store).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

import click
import psycopg

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.settings import load as load_settings
from carbon_ledger.store.connect import connect
from carbon_ledger.store.read import BY, TotalRow, knowledge_horizon, totals

DATE = click.DateTime(["%Y-%m-%d"])


@contextmanager
def open_database(role: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A connection of the READER or the WRITER, committed and closed at the end."""
    url = load_settings()[f"CARBON_DATABASE_{role}_URL"]
    with connect(url, "carbon cli") as conn:
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
    """An ISO 8601 moment; without a zone it is UTC."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            "as_of", f"{text!r} is no moment; valid is for example 2026-03-01T12:00:00Z"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


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


def scope_text(row: TotalRow) -> str:
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
