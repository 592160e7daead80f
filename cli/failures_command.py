"""`carbon failures`: runs that failed, and who was told of them.

Belongs here: the table. Does not: telling (sensors.run_failures).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import click

from carbon_ledger.store.run_failures import run_failures
from cli.ledger_commands import open_database, table

ERROR_SHOWN = 80


@click.command()
@click.option("--days", type=click.IntRange(1, 3650), default=7, show_default=True)
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="For programs; errors whole.")
def failures(days: int, limit: int, as_json: bool) -> None:
    """List runs that failed, the last one first, and who was sent word of each."""
    with open_database("READER") as conn:
        found = run_failures(conn, datetime.now(UTC) - timedelta(days=days), limit)
    if as_json:
        rows = [{**asdict(one), "failed_at": one.failed_at.isoformat()} for one in found]
        click.echo(json.dumps(rows, indent=2))
    elif not found:
        click.echo(f"No run failed in the last {days} days.")
    else:
        heads = ("failed at", "job", "part", "error", "told", "run")
        lines = [
            (
                f"{one.failed_at:%Y-%m-%d %H:%M:%S}",
                one.job,
                one.part,
                " ".join(one.error.split())[:ERROR_SHOWN],
                "; ".join(one.told) or "recorded",
                one.run_id,
            )
            for one in found
        ]
        click.echo(table(heads, lines, right=0))
