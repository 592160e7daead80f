"""`carbon ledger …` and `carbon factors …`: asking the ledger, loading and explaining factors.

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
from carbon_ledger.factors import Candidate, FactorQuery
from carbon_ledger.settings import load as load_settings
from carbon_ledger.store.connect import connect
from carbon_ledger.store.factors import (
    latest_release_id,
    list_releases,
    read_book,
    store_release,
)
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


@click.group()
def factors() -> None:
    """Load, list and explain emission factors."""


@factors.command("load")
def factors_load() -> None:
    """Store the shipped release; rows that are there already stay as they are."""
    from factor_seeds.load import release

    shipped = release()
    with open_database("WRITER") as conn:
        inserted = store_release(conn, shipped)
    click.echo(f"{shipped.release_id}: {len(shipped.rows)} factors, {inserted} of them new.")


@factors.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def factors_list(as_json: bool) -> None:
    """List the stored releases, newest first."""
    with open_database("READER") as conn:
        releases = list_releases(conn)
    if as_json:
        answer = [
            {
                "release_id": one.release_id,
                "factors": one.factor_count,
                "sha256": one.sha256.hex(),
                "recorded_at": one.recorded_at.isoformat(),
            }
            for one in releases
        ]
        click.echo(json.dumps(answer, indent=2))
    elif releases:
        heads = ("release", "sha256", "stored at", "factors")
        rows = [
            (
                one.release_id,
                one.sha256.hex()[:16],
                f"{one.recorded_at:%F %T} UTC",
                one.factor_count,
            )
            for one in releases
        ]
        click.echo(table(heads, rows, right=1))
    else:
        click.echo("No factors are loaded; load the shipped ones with `carbon factors load`.")


@factors.command("explain")
@click.argument("energy_source")
@click.argument("country_iso2")
@click.argument("on", type=DATE, metavar="DATE")
@click.option("--region", help="ISO 3166-2 code or the publisher's name of a grid region.")
@click.option("--release", "release_id", help="A stored release; the newest if left out.")
@click.option("--all", "show_all", is_flag=True, help="Every row that was looked at.")
def factors_explain(
    energy_source: str,
    country_iso2: str,
    on: datetime,
    region: str | None,
    release_id: str | None,
    show_all: bool,
) -> None:
    """Show which factor an activity of that day gets, and why no other.

    For example: carbon factors explain grid KR 2018-01-01
    """
    gap_max = int(load_settings()["CARBON_MAX_VINTAGE_GAP_YEARS"])
    asked = FactorQuery(
        energy_source=energy_source,
        country_iso2=country_iso2,
        activity_date=on.date(),
        region=region,
    )
    with open_database("READER") as conn:
        book = read_book(conn, release_id or latest_release_id(conn))
    # Where nothing fits, `match` says so better than a list can.
    match = book.match(asked, max_vintage_gap_years=gap_max)
    chosen = match.factor
    click.echo(f"release    {book.release_id}")
    click.echo(f"factor     {chosen.factor_id} version {chosen.version}")
    click.echo(f"value      {chosen.kgco2e_per_unit:f} kgCO2e per {chosen.unit}")
    click.echo(f"publisher  {chosen.publisher}: {chosen.dataset}")
    click.echo(f"matched    {match.how_matched}")
    click.echo(f"vintage    {chosen.year or '-'}, gap {match.vintage_gap_years or 0} years")
    click.echo(f"flags      {', '.join(match.flags) or '-'}")
    candidates = book.explain(asked, max_vintage_gap_years=gap_max)
    shown = candidates if show_all else candidates[:10]
    click.echo()
    heads = ("factor", "year", "boundary", "why", "kgCO2e per unit")
    click.echo(table(heads, [candidate_row(one) for one in shown], right=1))
    if len(shown) < len(candidates):
        click.echo(f"… and {len(candidates) - len(shown)} more; --all shows them.")


def candidate_row(candidate: Candidate) -> tuple[object, ...]:
    """One row that was looked at, as cells."""
    factor = candidate.factor
    value = f"{factor.kgco2e_per_unit:f}"
    return (factor.factor_id, factor.year, factor.boundary, candidate.reason, value)
