"""`carbon stream status | resume | run`: why a stream stands still, letting it go on, driving it.

Belongs here: words to whoever typed the command. Does not: what accepting a gap does
(carbon_ledger.store.gaps), the continuous driver (spark.continuous), what Dagster is told of it
(carbon_assets.continuous).
"""

from __future__ import annotations

import getpass
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click

from carbon_ledger import streams
from carbon_ledger.errors import Unavailable
from carbon_ledger.settings import DAGSTER_VARIABLES, load, read_env_file
from carbon_ledger.store import drivers, gaps, manifest
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
        held = {one.stream: drivers.driver_of(conn, one.stream) for one in found}
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], default=str, indent=1))
    elif not found:
        click.echo("No stream has been seen by its planner yet.")
    for one in found if not as_json else ():
        click.echo(_account(one))
        driver = held[one.stream]
        if driver is not None:
            since = driver.taken_at.isoformat(timespec="seconds")
            click.echo(f"  driven by the continuous driver {driver.driver} since {since}")
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


TRIGGER = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)(ms|s|m)")
TRIGGER_MS = {"ms": 1, "s": 1_000, "m": 60_000}
TRIGGER_MS_MAX = 300_000


def _trigger_ms(text: str) -> int:
    """Milliseconds of `500ms`, `1s`, `2.5s` or `1m`; click.BadParameter for anything else."""
    found = TRIGGER.fullmatch(text.strip())
    milliseconds = int(float(found[1]) * TRIGGER_MS[found[2]]) if found else 0
    if not 100 <= milliseconds <= TRIGGER_MS_MAX:
        raise click.BadParameter(
            f"{text!r} is no trigger; valid is a number with ms, s or m, from 100ms to 5m",
            param_hint="--trigger",
        )
    return milliseconds


@stream.command()
@click.argument("name")
@click.option(
    "--trigger",
    default="250ms",
    show_default=True,
    help="How often to look for records: 500ms, 1s, 5s, 1m.",
)
@click.option("--no-report", is_flag=True, help="Tell Dagster nothing.")
def run(name: str, trigger: str, no_report: bool) -> None:
    """Work off a stream continuously, without runs, until interrupted.

    \b
    carbon stream run iot_energy
    carbon stream run transport --trigger 5s

    While this goes on the stream's planner leaves it alone, and takes over within half a minute if
    this is killed. Ctrl-C or SIGTERM finishes what is under way. Dagster sees one materialization
    every half minute, without a run.
    """
    from spark.continuous import drive

    found, milliseconds = streams.find(name), _trigger_ms(trigger)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def say(line: str) -> None:
        click.echo(f"{time.strftime('%H:%M:%S')} {line}")

    with _dagster_report(found, no_report, say) as report:
        drive(found, settings=load(), trigger_ms=milliseconds, stop=stop, say=say, report=report)


@contextmanager
def _dagster_report(
    found: streams.Stream, is_off: bool, say: Callable[[str], None]
) -> Iterator[Callable[[Connection], object]]:
    """What the driver calls to tell Dagster and to send dead letters on; without DAGSTER_HOME only
    the latter."""
    from pipeline.dead_letters import relay

    settings = load()
    written = read_env_file(Path(settings["CARBON_HOME"]) / "stack.env")
    for variable in DAGSTER_VARIABLES:
        if variable in written:
            os.environ.setdefault(variable, written[variable])
    if is_off or not os.environ.get("DAGSTER_HOME"):
        say("DAGSTER_HOME is not set: Dagster is told nothing" if not is_off else "no reports")
        yield lambda conn: relay(conn, settings)
        return
    import dagster as dg
    from sqlalchemy.exc import SQLAlchemyError

    from carbon_assets.continuous import report_batches

    with dg.DagsterInstance.get() as instance:

        def report(conn: Connection) -> None:
            relay(conn, settings)
            try:
                report_batches(conn, instance, found)
            except SQLAlchemyError as error:
                text = " ".join(str(error).split())[:200]
                raise Unavailable("dagster_storage", f"Dagster cannot be told: {text}") from error

        yield report
