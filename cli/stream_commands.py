"""`carbon stream status | resume`: why a stream stands still, and letting it go on.

Belongs here: words to whoever typed the command. Does not: what accepting a gap does
(carbon_ledger.store.gaps).
"""

from __future__ import annotations

import getpass
import json
import sys
from dataclasses import asdict

import click

from carbon_ledger import streams
from carbon_ledger.settings import load
from carbon_ledger.store import gaps, manifest
from carbon_ledger.store.connect import connect
from carbon_ledger.store.manifest import Connection
from carbon_ledger.store.read import StreamAccount, stream_accounts

HALTED = 3


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def stream() -> None:
    """Streams: how far they are, why one is halted, and letting it go on."""


def _open() -> Connection:
    return connect(load()["CARBON_DATABASE_WRITER_URL"], "carbon stream", autocommit=True)


@stream.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(name: str | None, as_json: bool) -> None:
    """Show the accounts of each stream; exit code 3 if one is halted."""
    if name is not None:
        streams.find(name)
    with _open() as conn:
        found = [one for one in stream_accounts(conn) if name in (None, one.stream)]
        open_gaps = {one.stream: gaps.open_gaps(conn, one.stream) for one in found}
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], default=str, indent=1))
    elif not found:
        click.echo("No stream has been seen by its planner yet.")
    for one in found if not as_json else ():
        click.echo(_account(one))
        for gap in open_gaps[one.stream]:
            click.echo(_guidance(gap))
    if any(one.halted_reason for one in found):
        sys.exit(HALTED)


def _account(one: StreamAccount) -> str:
    state = "halted" if one.halted_reason else "running"
    lines = [
        f"{one.stream}: {state}; topic {one.topic}, incarnation {one.topic_incarnation}",
        f"  read {one.read} = ledgered {one.ledgered} + duplicate {one.duplicate}"
        f" + dead-lettered {one.dead_lettered} + quarantined {one.quarantined}",
    ]
    lines.extend(
        f"  partition {p.kafka_partition}: committed to {p.committed_offset}, claimed to "
        f"{p.planned_offset}"
        for p in one.partitions
    )
    if one.open_batch is not None:
        batch = one.open_batch
        error = f"; last error: {batch.error}" if batch.error else ""
        lines.append(f"  batch {batch.batch_id} is {batch.status}, attempt {batch.attempt}{error}")
    return "\n".join(lines)


def _guidance(gap: gaps.Gap) -> str:
    lines = [
        f"  gap {gap.gap_id}, {gap.kind}, found at {gap.found_at.isoformat(timespec='seconds')}",
        f"    {gap.detail}",
        f"    if you accept it: {gap.consequence}",
    ]
    if gap.kind != "topic_missing":
        lines.append(f"    to accept it: {gap.command}")
    return "\n".join(lines)


@stream.command()
@click.argument("name")
@click.option(
    "--accept-gap", type=int, help="Number of the gap to accept; see `carbon stream status`."
)
@click.option("--because", default="", help="Why it may be accepted; kept for the auditor.")
@click.option("--by", default="", help="Who decides; the name of the system user if left out.")
def resume(name: str, accept_gap: int | None, because: str, by: str) -> None:
    """Let a halted stream go on, one gap at a time; nothing is skipped that is not accepted
    here."""
    streams.find(name)
    with _open() as conn:
        if accept_gap is None:
            _show_gaps(name, gaps.open_gaps(conn, name))
            return
        left = gaps.accept_gap(conn, name, accept_gap, because=because, by=by or getpass.getuser())
        halted = manifest.read_state(conn, name).halted_reason
    click.echo(f"Gap {accept_gap} of stream {name} is accepted.")
    if halted is None:
        click.echo("The stream goes on with the planner's next tick.")
        return
    click.echo(f"The stream is still halted by {len(left)} more:")
    for gap in left:
        click.echo(_guidance(gap))
    sys.exit(HALTED)


def _show_gaps(name: str, found: list[gaps.Gap]) -> None:
    if not found:
        click.echo(f"Stream {name} is not halted; there is nothing to accept.")
        return
    click.echo(f"Stream {name} is halted. Each gap has to be accepted by its number:")
    for gap in found:
        click.echo(_guidance(gap))
    sys.exit(HALTED)
