"""`carbon demo`: start the stack, send readings, wait for the sensors to do the work, tell what
came of it.

Belongs here: the order of things and the summary. Does not: sending (scripts.load_demo_data), any
of the work (it is left to the sensors, as in production).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import click

from carbon_ledger.errors import BrokenInvariant, Unavailable
from carbon_ledger.settings import Settings, load
from cli.stream_status import COUNTS, stream_status

STREAM = "iot_energy"
QUIET_SECONDS = 180
REPORT_SECONDS = 150


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What the loader says it sent; counts of records."""

    records: int
    readings: int
    duplicates: int
    malformed: int


@click.command()
@click.option("--events", default=10_000, show_default=True, help="Readings to send.")
@click.option("--duration", default=60, show_default=True, help="Seconds to spread them over.")
@click.option("--bad", default=20, show_default=True, help="Malformed records to send beside them.")
@click.option("--duplicates", default=20, show_default=True, help="Readings to send twice.")
def demo(events: int, duration: int, bad: int, duplicates: int) -> None:
    """Start the stack, send made-up readings, and show what the sensors made of them.

    The stack stays up for a look; `carbon down` stops it. Ctrl-C while this runs stops everything.
    """
    from cli.stack_commands import addresses
    from devstack.stack import open_stack
    from pipeline.preparation import prepare_streams

    stack = open_stack()
    begun = time.monotonic()

    def report(line: str) -> None:
        click.echo(f"[{time.monotonic() - begun:5.1f} s] {line}")

    try:
        stack.up(initialise=prepare_streams, report=report)
        settings = load()
        before = account(settings)
        since = datetime.now(UTC)
        report(f"sending {events:,} readings over {duration} s …")
        sent = send(events, duration, bad, duplicates)
        report("sent; waiting until every record is accounted for …")
        after = wait_for_accounts(settings, before, sent.records)
        report("accounted for; waiting for the report …")
        table = wait_for_report(settings, since)
        click.echo(summary(settings, sent, before, after, since, table))
        click.echo(addresses(stack))
        click.echo('  Stop it    "carbon down"')
    except KeyboardInterrupt:
        click.echo("\ninterrupted: stopping the stack …", err=True)
        stack.down()
        raise


def send(events: int, duration: int, bad: int, duplicates: int) -> Sent:
    """Runs the loader, progress bar on the terminal, and reads its account."""
    command = [sys.executable, "-m", "scripts.load_demo_data"]
    command += ["--events", str(events), "--duration", str(duration)]
    command += ["--bad", str(bad), "--duplicates", str(duplicates)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise Unavailable("demo_not_sent", "the demo readings could not be sent; see above")
    told = json.loads(done.stdout.strip().splitlines()[-1])
    return Sent(
        records=told["delivered"],
        readings=told["events"],
        duplicates=told["duplicates"],
        malformed=told["malformed"],
    )


def account(settings: Settings) -> dict[str, Any]:
    """The stream's account; zeros before its first batch."""
    nothing: dict[str, Any] = {**dict.fromkeys(COUNTS, 0), "lag": None, "halted": None}
    return stream_status(settings).get(STREAM, nothing)


def wait_for_accounts(settings: Settings, before: dict[str, Any], records: int) -> dict[str, Any]:
    """The account once it has `records` more than before; Unavailable if it stands still for
    long.
    """
    seen, last_change = before["read"], time.monotonic()
    while True:
        now = account(settings)
        if now["halted"]:
            raise BrokenInvariant("stream_halted", f"{STREAM} is halted: {now['halted']}")
        if now["read"] >= before["read"] + records and now["lag"] == 0:
            return now
        if now["read"] > seen:
            seen, last_change = now["read"], time.monotonic()
        if time.monotonic() - last_change > QUIET_SECONDS:
            raise Unavailable(
                "demo_stalled",
                f"{now['read'] - before['read']} of {records} records are accounted for, and "
                f"nothing moved for {QUIET_SECONDS} s; `carbon status` and the logs say why",
            )
        time.sleep(1)


def wait_for_report(settings: Settings, since: datetime) -> list[Any]:
    """Rows of the year's ESRS E1 table, once it has been built after the last commit."""
    from carbon_ledger.store.connect import connect_as_reader
    from carbon_ledger.store.reports import latest_esrs_e1

    deadline = time.monotonic() + REPORT_SECONDS
    while True:
        with closing(connect_as_reader(settings, "carbon-demo")) as connection:
            committed = connection.execute(
                "select max(closed_at) from ledger.batch_part where stream = %s", (STREAM,)
            ).fetchone()
            rows = latest_esrs_e1(connection, since.year)
        if rows and committed and committed[0] and rows[0].as_of >= committed[0]:
            return rows
        if time.monotonic() > deadline:
            raise Unavailable(
                "demo_no_report", f"no report of {since.year} was built within {REPORT_SECONDS} s"
            )
        time.sleep(2)


def summary(
    settings: Settings,
    sent: Sent,
    before: dict[str, Any],
    after: dict[str, Any],
    since: datetime,
    table: list[Any],
) -> str:
    """What came of it; raises BrokenInvariant if it does not add up."""
    grown = {name: after[name] - before[name] for name in COUNTS}
    fates = sum(grown[name] for name in COUNTS if name != "read")
    if grown["read"] != sent.records or fates != grown["read"]:
        raise BrokenInvariant(
            "demo_does_not_add_up",
            f"{sent.records} records were sent, the accounts grew by {grown}",
        )
    median, high = latency(settings, since)
    rows = [
        "",
        f"  Sent            {sent.records:>10,}   ({sent.readings:,} readings, {sent.duplicates}"
        f" sent twice, {sent.malformed} malformed)",
        f"  Ledgered        {grown['ledgered']:>10,}",
        f"  Duplicate       {grown['duplicate']:>10,}",
        f"  Dead-lettered   {grown['dead_lettered']:>10,}",
        f"  Quarantined     {grown['quarantined']:>10,}",
        f"  Event to ledger {median:>9.1f} s p50, {high:.1f} s p99",
        "",
        f"  ESRS E1-6, gross location-based scope 2, {table[0].fiscal_year} so far, by country:",
    ]
    for row in sorted(table, key=lambda row: (row.organization_id, row.country_iso2)):
        kilograms = row.value * 1000
        share = Decimal(0) if row.substituted_share is None else row.substituted_share
        rows.append(
            f"    {row.organization_id:14} {row.country_iso2 or 'total':6}"
            f" {kilograms:>18,.3f} kgCO2e  {row.entries:>8,} entries"
            f"  {share:>6.1%} on life-cycle factors"
        )
    return "\n".join([*rows, ""])


def latency(settings: Settings, since: datetime) -> tuple[float, float]:
    """Seconds from Kafka's append to just before the commit, median and 99th percentile, per
    record.

    Read from the archived records themselves, against the closing time of each part's account.

    """
    import numpy as np
    import pyarrow.parquet as pq

    from carbon_ledger.store.connect import connect_as_reader
    from spark.archive import open_archive

    with closing(connect_as_reader(settings, "carbon-demo")) as connection:
        parts = connection.execute(
            "select archive_object, closed_at from ledger.batch_part"
            " where stream = %s and last_appended_at >= %s",
            (STREAM, since),
        ).fetchall()
    filesystem, root = open_archive(settings.archive_url)
    waits = []
    for path, closed_at in parts:
        stamps = pq.read_table(f"{root}/{path}", columns=["timestamp"], filesystem=filesystem)
        appended = stamps.column("timestamp").cast("int64").to_numpy()
        waits.append(closed_at.timestamp() - appended[appended >= since.timestamp() * 1e6] / 1e6)
    every = np.concatenate(waits)
    return float(np.percentile(every, 50)), float(np.percentile(every, 99))
