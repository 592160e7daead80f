"""`carbon replay FILE --mapping MAPPING.yaml`.

Belongs here: talking to whoever typed it. Does not: reading or sending (pipeline.sources).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from carbon_ledger import settings
from carbon_ledger.events import iso_utc
from carbon_ledger.quantities import canonical_text
from carbon_ledger.settings import Settings

if TYPE_CHECKING:
    from carbon_ledger.reference.records import Site
    from pipeline.sources.replay import ReplayReport
    from pipeline.sources.shipment_replay import ShipmentReport

BAD_ROWS = 1


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--mapping",
    "mapping_path",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What the file's columns mean; docs/replay.md explains it.",
)
@click.option("--dry-run", is_flag=True, help="Read and check every row, send nothing.")
@click.option("--limit", type=click.IntRange(min=1), help="Stop after that many rows.")
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), help="At most that many events/s."
)
@click.option("--skip-bad", is_flag=True, help="Bad rows do not make the exit code 1.")
@click.option(
    "--rejected",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where bad rows go; FILE.rejected.csv.",
)
@click.option("--json", "as_json", is_flag=True, help="The account as one line of JSON.")
def replay(
    file: Path,
    mapping_path: Path,
    dry_run: bool,
    limit: int | None,
    rate: float | None,
    skip_bad: bool,
    rejected: Path | None,
    as_json: bool,
) -> None:
    """Send the meter readings or shipments of a CSV file to Kafka.

    The same file gives the same events every time: what is in the ledger already stays as it is.
    Rows that are none are written to FILE.rejected.csv with the reason; repaired there, they can be
    replayed with the same mapping. Exit code 1 if there were any. Of shipments each such row is a
    dead letter too.
    """
    from pipeline.producers import CarbonEventProducer
    from pipeline.sources.csv_mapping import CsvMapping
    from pipeline.sources.replay import replay as replay_readings
    from pipeline.sources.shipment_replay import replay_shipments
    from pipeline.sources.shipment_rows import read_replay_mapping

    mapping = read_replay_mapping(mapping_path)
    rows = _count_rows(file) if limit is None else min(limit, _count_rows(file))
    rejected_path = rejected or file.with_name(file.name + ".rejected.csv")
    producer = None
    if not dry_run:
        resolved = settings.load()
        if isinstance(mapping, CsvMapping) and mapping.site is not None:
            register_site(resolved, mapping.site)
        producer = CarbonEventProducer(settings=resolved)
    report: ReplayReport | ShipmentReport
    with _progress(file.name, rows) as advance:
        how: dict[str, Any] = {
            "rejected_path": rejected_path,
            "limit": limit,
            "per_second": rate,
            "progress": advance,
        }
        if isinstance(mapping, CsvMapping):
            report = replay_readings(file, mapping, producer, **how)
            told = _as_json(report) if as_json else _as_text(report, dry_run)
        else:
            report = replay_shipments(file, mapping, producer, **how)
            told = _shipments_json(report) if as_json else _shipments_text(report, dry_run)
    if producer is not None:
        producer.close()
    click.echo(told)
    if report.bad and not skip_bad:
        sys.exit(BAD_ROWS)


def register_site(resolved: Settings, site: Site) -> None:
    """Make the mapping's site known before its first reading: its calendar holds for all."""
    from carbon_ledger.store.connect import connect
    from carbon_ledger.store.reference import register_sites

    with connect(resolved["CARBON_DATABASE_WRITER_URL"], "carbon replay") as conn:
        register_sites(conn, [site])


def _count_rows(file: Path) -> int:
    """Lines but the header; a cell with a line break counts twice, which a bar can bear."""
    with file.open("rb") as stream:
        chunks = iter(lambda: stream.read(1 << 20), b"")
        return max(0, sum(chunk.count(b"\n") or chunk.count(b"\r") for chunk in chunks) - 1)


@contextmanager
def _progress(name: str, rows: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=rows)

        def advance(done: int) -> None:
            if done % 200 == 0:
                bar.update(task, completed=done)

        yield advance
        bar.update(task, completed=rows)


def _as_json(report: ReplayReport) -> str:
    told = asdict(report)
    told["coverage"] |= {
        "first": _iso(report.coverage.first),
        "end": _iso(report.coverage.end),
        "total_kwh": canonical_text(report.coverage.total_kwh),
        "is_tiled": report.coverage.is_tiled,
    }
    return json.dumps(told, default=str)


def _as_text(report: ReplayReport, dry_run: bool) -> str:
    coverage = report.coverage
    verb = "would send" if dry_run else "sent"
    count = coverage.readings if dry_run else report.sent
    lines = [
        f"{report.rows:,} rows: {verb} {count:,} readings of {coverage.sensors} sensor(s), "
        f"{report.bad:,} bad",
        f"  total     {canonical_text(coverage.total_kwh)} kWh",
        f"  intervals {coverage}",
    ]
    if not dry_run:
        lines.insert(1, f"  delivered {report.delivered:,}")
    if report.rounded:
        lines.append(
            f"  {report.rounded:,} quantities do not terminate in kWh: rounded to 24 decimals"
        )
    lines += [
        f"  line {row.line}: {row.column + ': ' if row.column else ''}{row.reason} [{row.code}]"
        for row in report.first_bad
    ]
    if report.bad > len(report.first_bad):
        lines.append(f"  … and {report.bad - len(report.first_bad):,} more")
    if report.rejected_path is not None:
        lines.append(f"  bad rows are in {report.rejected_path}")
    return "\n".join(lines)


def _shipments_json(report: ShipmentReport) -> str:
    told = asdict(report) | {
        "first": _iso(report.first),
        "end": _iso(report.end),
        "total_kg": canonical_text(report.total_kg),
    }
    return json.dumps(told, default=str)


def _shipments_text(report: ShipmentReport, dry_run: bool) -> str:
    verb, count = ("would send", report.rows - report.bad) if dry_run else ("sent", report.sent)
    lines = [f"{report.rows:,} rows: {verb} {count:,} shipments, {report.bad:,} bad"]
    if not dry_run:
        lines.append(f"  delivered {report.delivered:,}, and {report.dead_letters:,} dead letters")
    lines.append(f"  total     {canonical_text(report.total_kg)} kg")
    if report.first is not None and report.end is not None:
        lines.append(f"  from      {iso_utc(report.first)} to {iso_utc(report.end)}")
    for name, number in sorted(report.assumed.items()):
        lines.append(f"  assumed   {name} of {number:,}")
    reasons = {row.code: row.reason for row in reversed(report.first_bad)}
    for code, number in sorted(report.bad_by_code.items(), key=lambda one: -one[1]):
        example = f", such as: {reasons[code]}" if code in reasons else ""
        lines.append(f"  bad {number:>7,}  {code}{example}")
    if report.rejected_path is not None:
        lines.append(f"  bad rows are in {report.rejected_path}")
    return "\n".join(lines)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else iso_utc(moment)
