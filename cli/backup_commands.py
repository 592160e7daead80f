"""`carbon backup take|list|prune`, `carbon restore`.

Belongs here: talking to whoever typed the command. Does not: taking and restoring
(devstack.backup).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

import click

from carbon_ledger.errors import ConfigurationError
from devstack import backup as backups_of
from devstack.backup import Backup
from devstack.stack import open_stack

LATEST = "latest"


@click.group()
def backup() -> None:
    """Base backups and WAL of the embedded PostgreSQL."""


@backup.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def take(as_json: bool) -> None:
    """Take a base backup of the running stack and verify it; WAL is kept from the first one on."""
    layout = open_stack().layout
    taken = backups_of.take(layout, layout.backups)
    if as_json:
        click.echo(json.dumps(taken.as_json()))
        return
    click.echo(f"Backup {_line(taken)}")
    click.echo(f"  in {taken.folder}; it verifies, and WAL is kept in {layout.backups / 'wal'}")


@backup.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_backups(as_json: bool) -> None:
    """Show the backups, oldest first."""
    layout = open_stack().layout
    found = backups_of.backups(layout.backups)
    if as_json:
        click.echo(json.dumps([one.as_json() for one in found]))
        return
    for one in found:
        click.echo(_line(one))
    if not found:
        click.echo(f"There is no backup in {layout.backups}; take one with `carbon backup take`.")


@backup.command()
@click.option("--keep", type=int, required=True, help="How many of the newest to keep.")
def prune(keep: int) -> None:
    """Remove older backups and the WAL that only they needed."""
    removed = backups_of.prune(open_stack().layout.backups, keep)
    click.echo("\n".join(removed) if removed else "Nothing to remove.")


def _line(one: Backup) -> str:
    return f"{one.name}  {one.size_bytes / 1e6:,.0f} MB  reaches from {_moment(one.finished_at)}"


def _moment(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


@click.command()
@click.option(
    "--to",
    default=LATEST,
    show_default=True,
    help="The moment to go back to, e.g. 2026-03-01T12:00:00Z, or `latest`: as far as WAL reaches.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def restore(to: str, as_json: bool) -> None:
    """Put PostgreSQL back to a moment; the stack must be down.

    The cluster that was there is moved aside and kept. Start the stack afterwards: it takes from
    Kafka what is missing, and what is there already adds nothing.
    """
    stack = open_stack()
    if stack.is_running():
        raise ConfigurationError(
            "stack_running",
            f"the stack in {stack.layout.home} is running; stop it with `carbon down` first",
        )
    done = backups_of.restore(stack.layout, stack.layout.backups, _parsed(to))
    if as_json:
        click.echo(json.dumps(done.as_json()))
        return
    click.echo(f"Restored from backup {done.backup} in {done.seconds:.1f} s.")
    click.echo(f"  last transaction  {_moment(done.last_transaction_at)}")
    if done.replaced is not None:
        click.echo(f"  replaced cluster  {done.replaced}")
    click.echo("Next: `carbon up`, then `carbon verify` against the heads that left the machine.")


def _parsed(to: str) -> datetime | None:
    if to == LATEST:
        return None
    try:
        moment = datetime.fromisoformat(to)
    except ValueError:
        raise ConfigurationError(
            "restore_time", f"{to!r} is no moment; valid is e.g. 2026-03-01T12:00:00Z, or latest"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
