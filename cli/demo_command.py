"""`carbon demo`: start the stack, let five sources send through their own protocols, wait for the
sensors to do the work, tell what came of it.

Belongs here: the order of things and the summary. Does not: the sources and their counts
(cli.demo), any of the work (it is left to the adapters and sensors, as in production).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from carbon_ledger.errors import BrokenInvariant, ConfigurationError, Unavailable
from carbon_ledger.settings import Settings, load
from cli.demo.accounts import (
    METERS,
    PORTAL,
    SOURCES,
    Seen,
    Sent,
    fault,
    faults,
    look_at,
    table,
    under_way,
)
from cli.demo.run import Run
from devstack.stack import Stack
from pipeline.sources.company_reference import STEEL_SUPPLIER
from pipeline.sources.demo import run_name

PATIENCE_SECONDS = 180.0
REPORT_SECONDS = 150.0
LOOK_SECONDS = 2.0
REASONS_MAX = 12

NOT_NEGATIVE = click.IntRange(min=0)

Report = Callable[[str], None]


@click.command()
@click.option(
    "--events",
    default=10_000,
    show_default=True,
    type=click.IntRange(min=1),
    help="Meter readings to send; the other sources send a few hundred records.",
)
@click.option(
    "--duration",
    default=60,
    show_default=True,
    type=NOT_NEGATIVE,
    help="Seconds to spread them over.",
)
@click.option(
    "--bad",
    default=20,
    show_default=True,
    type=NOT_NEGATIVE,
    help="Faulty meter messages beside them.",
)
@click.option(
    "--duplicates",
    default=20,
    show_default=True,
    type=NOT_NEGATIVE,
    help="Readings to send twice.",
)
@click.option(
    "--patience",
    default=PATIENCE_SECONDS,
    show_default=True,
    type=click.FloatRange(min=1),
    help="Seconds that anything may stand still before the demo says so.",
)
def demo(events: int, duration: int, bad: int, duplicates: int, patience: float) -> None:
    """Start the stack, let five sources send, and show what the sensors made of it.

    \b
    Factory meters       MQTT at QoS 1, by the stack's broker and adapter
    Vehicles             a telematics provider, asked over REST
    Shipments            a carrier's tracking answers, asked over REST
    Purchase orders      an ERP system's signed webhooks
    Supplier             a file left by SFTP, and declarations by the API

    Each source counts itself what it sent; exit code 1 if one does not add up with Kafka and the
    ledger. The stack stays up for a look; `carbon down` stops it. Ctrl-C while this runs stops
    everything.
    """
    from cli.stack_commands import addresses
    from devstack.stack import open_stack

    stack = open_stack()
    begun = time.monotonic()

    def report(line: str) -> None:
        click.echo(f"[{time.monotonic() - begun:5.1f} s] {line}")

    def sizes(since: datetime) -> dict[str, Any]:
        given = {"readings": events, "duration": duration, "bad": bad, "duplicates": duplicates}
        return {"name": run_name(since), "begun": since, "patience": patience, **given}

    try:
        bring_up(stack, report)
        settings = load()
        since, sent, seen = send_and_account(stack, settings, sizes, patience, report)
        wrong = faults(sent, seen)
        rows = []
        if not wrong:
            report("accounted for; waiting for the report …")
            rows = wait_for_report(settings, since, max(REPORT_SECONDS, patience))
        click.echo(summary(settings, sent, seen, since, rows))
        click.echo(addresses(stack))
        click.echo('  Letters    "carbon dlq list" says why each record was not taken')
        click.echo('  Stop it    "carbon down"')
        if wrong:
            told = "\n".join(["it does not add up:", *wrong])
            raise BrokenInvariant("demo_does_not_add_up", told)
    except KeyboardInterrupt:
        click.echo("\ninterrupted: stopping the stack …", err=True)
        stack.down()
        raise


def send_and_account(
    stack: Stack,
    settings: Settings,
    sizes: Callable[[datetime], dict[str, Any]],
    patience: float,
    report: Report,
) -> tuple[datetime, list[Sent], dict[str, Seen]]:
    """When the sources began, what each of them counted, and what has come of it since."""
    from cli.demo.sources import register_company, send_all

    register_company(settings)
    before = wait_for_rest(stack, settings, patience, report)
    since = datetime.now(UTC)
    with tempfile.TemporaryDirectory(dir=stack.layout.scratch("demo")) as folder:
        run = Run(
            **sizes(since),
            seed=int(since.timestamp() * 1_000_000) % 2**32,
            settings=settings,
            layout=stack.layout,
            folder=Path(folder),
        )
        report(
            f"five sources send for {run.duration} s, {run.readings:,} meter readings among it …"
        )
        sent = send_all(run, report)
    report("sent; waiting until every record is accounted for …")
    seen = wait_for_accounts(settings, before, sent, patience)
    return since, with_receipts(run, sent, seen), seen


def bring_up(stack: Stack, report: Report) -> None:
    """The stack, with the parts the sources send through.

    Raises ConfigurationError `extra_not_up` where it is up already without one of them.
    """
    from cli.demo.sources import EXTRAS
    from pipeline.preparation import prepare_streams

    try:
        stack.up(extras=EXTRAS, initialise=prepare_streams, report=report)
    except ConfigurationError as error:
        if error.code != "extra_not_up":
            raise
        raise ConfigurationError(
            error.code,
            f"the stack is up without all of {', '.join(EXTRAS)}, through which the demo's sources "
            "send; stop it with `carbon down` (its data stays), then `carbon demo` again",
        ) from error


def wait_for_rest(
    stack: Stack, settings: Settings, patience: float, report: Report
) -> dict[str, Seen]:
    """What there is, once nothing of an earlier run is on its way any more.

    Raises Unavailable `demo_backlog` if that stands still for `patience` seconds.
    """
    from devstack.sftp import DROPS, sftp_folder

    drops = sftp_folder(stack.layout.home) / "suppliers" / STEEL_SUPPLIER / DROPS
    last: list[str] = []
    changed = time.monotonic()
    while waiting := under_way(settings, drops):
        if waiting != last:
            report(f"waiting for what was sent earlier: {', '.join(waiting)} …")
            last, changed = waiting, time.monotonic()
        if time.monotonic() - changed > patience:
            raise Unavailable(
                "demo_backlog",
                f"what was sent earlier is still on its way after {patience:.0f} s "
                f"({', '.join(waiting)}); `carbon status` and the logs say why",
            )
        time.sleep(LOOK_SECONDS)
    return look_at(settings)


def wait_for_accounts(
    settings: Settings, before: Mapping[str, Seen], sent: Sequence[Sent], patience: float
) -> dict[str, Seen]:
    """By stream what has come since `before`, once every row adds up, or nothing more comes.

    Nothing more comes when nothing has changed for `patience` seconds.
    """
    last: dict[str, Seen] = {}
    changed = time.monotonic()
    while True:
        now = look_at(settings)
        seen = {stream: now[stream].since(before[stream]) for stream in now}
        if not faults([one for one in sent if one.problem is None], seen):
            return seen
        if seen != last:
            last, changed = seen, time.monotonic()
        if time.monotonic() - changed > patience:
            return seen
        time.sleep(LOOK_SECONDS)


def with_receipts(run: Run, sent: Sequence[Sent], seen: Mapping[str, Seen]) -> list[Sent]:
    """The same counts, the supplier's compared with its receipt, which comes last of all."""
    from cli.demo.suppliers import with_receipt

    found = []
    for one in sent:
        if one.source is PORTAL:
            is_read = fault(one, seen[one.source.stream]) is None
            found.append(with_receipt(run, one, run.patience if is_read else 0.0))
        else:
            found.append(one)
    return found


def wait_for_report(settings: Settings, since: datetime, seconds: float) -> list[Any]:
    """Rows of the year's ESRS E1 table, once it has been built after the last commit.

    Raises Unavailable `demo_no_report` after so many seconds without.
    """
    from carbon_ledger.store.connect import connect_as_reader
    from carbon_ledger.store.reports import latest_esrs_e1

    deadline = time.monotonic() + seconds
    while True:
        with closing(connect_as_reader(settings, "carbon-demo")) as connection:
            committed = connection.execute(
                "select max(closed_at) from ledger.batch_part where stream = %s", (METERS.stream,)
            ).fetchone()
            rows = latest_esrs_e1(connection, since.year)
        if rows and committed and committed[0] and rows[0].as_of >= committed[0]:
            return rows
        if time.monotonic() > deadline:
            raise Unavailable(
                "demo_no_report",
                f"no report of {since.year} was built within {seconds:.0f} s",
            )
        time.sleep(LOOK_SECONDS)


def summary(
    settings: Settings,
    sent: Sequence[Sent],
    seen: Mapping[str, Seen],
    since: datetime,
    report: Sequence[Any],
) -> str:
    """What came of it: the table of sources, how long it took, why what was refused, the report."""
    rows = ["", *table(sent, seen), ""]
    waits = latencies(settings, since)
    if waits:
        told = (f"{name} {high:.0f} s" for name, (_, high) in waits.items())
        rows += [f"  From Kafka to the ledger, 99 of 100 within: {', '.join(told)}"]
    rows += reason_rows(refusals(settings, since))
    return "\n".join([*rows, *report_rows(report), ""])


def report_rows(report: Sequence[Any]) -> list[str]:
    """The year's report as lines; none without a report."""
    if not report:
        return []
    rows = [
        "",
        f"  ESRS E1-6, gross location-based scope 2, {report[0].fiscal_year} so far, by country:",
    ]
    for row in sorted(report, key=lambda row: (row.organization_id, row.country_iso2)):
        kilograms = row.value * 1000
        share = Decimal(0) if row.substituted_share is None else row.substituted_share
        rows.append(
            f"    {row.organization_id:14} {row.country_iso2 or 'total':6}"
            f" {kilograms:>18,.3f} kgCO2e  {row.entries:>8,} entries"
            f"  {share:>6.1%} on life-cycle factors"
        )
    return rows


def reason_rows(reasons: Sequence[tuple[str, int]]) -> list[str]:
    """The reasons as a line, the most frequent ones by name; none without letters."""
    if not reasons:
        return []
    told = [f"{code} {count:,}" for code, count in reasons[:REASONS_MAX]]
    if rest := sum(count for _, count in reasons[REASONS_MAX:]):
        told.append(f"others {rest:,}")
    return [f"  Refused or dead letters, by reason: {', '.join(told)}"]


def refusals(settings: Settings, since: datetime) -> list[tuple[str, int]]:
    """Reason codes of the first LIST_MAX letters since then, the most frequent first."""
    from collections import Counter

    from carbon_ledger.store.connect import connect_as_reader
    from carbon_ledger.store.letters import LIST_MAX, Wanted, list_letters, tries_max

    with closing(connect_as_reader(settings, "carbon-demo")) as connection:
        letters = list_letters(
            connection, Wanted(since=since), limit=LIST_MAX, tries=tries_max(settings)
        )
    return Counter(one.reason_code for one in letters).most_common()


def latencies(settings: Settings, since: datetime) -> dict[str, tuple[float, float]]:
    """By source, seconds from Kafka's append to just before the commit: median and 99th percentile.

    Read from the archived records themselves, against the closing time of each part's account; a
    source of which nothing is archived is left out.
    """
    import numpy as np
    import pyarrow.parquet as pq

    from carbon_ledger.store.connect import connect_as_reader
    from spark.archive import open_archive

    with closing(connect_as_reader(settings, "carbon-demo")) as connection:
        parts = connection.execute(
            "select stream, archive_object, closed_at from ledger.batch_part"
            " where last_appended_at >= %s",
            (since,),
        ).fetchall()
    filesystem, root = open_archive(settings.archive_url)
    waits: dict[str, list[Any]] = {}
    for stream, path, closed_at in parts:
        stamps = pq.read_table(f"{root}/{path}", columns=["timestamp"], filesystem=filesystem)
        appended = stamps.column("timestamp").cast("int64").to_numpy()
        ours = appended[appended >= since.timestamp() * 1e6]
        waits.setdefault(stream, []).append(closed_at.timestamp() - ours / 1e6)
    found = {}
    for source in SOURCES:
        every = np.concatenate(waits.get(source.stream, [np.array([])]))
        if len(every):
            found[source.name] = (
                float(np.percentile(every, 50)),
                float(np.percentile(every, 99)),
            )
    return found
