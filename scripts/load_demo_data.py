"""Sends made-up meter readings of sixty plants to Kafka, at an even pace; or, with --company, the
history of one company in all five streams, beside a file of what must come of it.

Belongs here: the command line, pace, progress and account of a run. Does not: what the events say
(pipeline.sources.demo, pipeline.sources.company), what must come of them (scripts.demo_truth).

The last line on stdout is the account of the run as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from carbon_ledger import settings as settings_module
from carbon_ledger.errors import CarbonError, ConfigurationError
from carbon_ledger.events import IoTEnergyEvent
from carbon_ledger.quantities import canonical_text
from carbon_ledger.settings import Settings
from carbon_ledger.store.connect import connect
from carbon_ledger.store.reference import register_sites
from pipeline.producers import CarbonEventProducer
from pipeline.sources import company, company_reference, demo
from pipeline.sources.pacing import Pacer
from scripts import demo_truth
from scripts.demo_report_truth import as_text, truth_of_reports

TOPIC = "raw.iot.energy"
# The company's history is the same unless somebody asks for another one.
COMPANY_SEED = 1
Record = tuple[bytes | None, bytes | None]


@dataclass(kw_only=True)
class Account:
    """What was sent in this run."""

    readings: int = 0
    duplicates: int = 0
    malformed: int = 0
    by_country: dict[str, tuple[int, Decimal]] = field(default_factory=dict)
    by_fault: dict[str, int] = field(default_factory=dict)

    def add(self, event: IoTEnergyEvent) -> None:
        """Counts a reading sent for the first time."""
        self.readings += 1
        count, kwh = self.by_country.get(event.country_iso2, (0, Decimal(0)))
        self.by_country[event.country_iso2] = (count + 1, kwh + event.energy_kwh)

    def summary(self, producer: CarbonEventProducer, seed: int, run: str) -> dict[str, object]:
        """The account as it is printed. kWh are exact decimal text."""
        total = sum((kwh for _, kwh in self.by_country.values()), Decimal(0))
        return {
            "run": run,
            "seed": seed,
            "events": self.readings,
            "duplicates": self.duplicates,
            "malformed": self.malformed,
            "sent": producer.sent,
            "delivered": producer.delivered,
            "total_kwh": canonical_text(total),
            "by_country": {
                country: {"events": count, "kwh": canonical_text(kwh)}
                for country, (count, kwh) in sorted(self.by_country.items())
            },
            "malformed_by_reason": dict(sorted(self.by_fault.items())),
        }


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; 0 if everything sent was delivered."""
    options = _parser().parse_args(argv)
    try:
        _check(options)
        do = run_company if options.company else run
        summary = do(options, settings_module.load())
    except CarbonError as error:
        print(f"load_demo_data: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("load_demo_data: interrupted", file=sys.stderr)
        return 130
    print(json.dumps(summary))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="load_demo_data", description=__doc__)
    parser.add_argument("--events", type=_count, default=10_000, help="readings to send")
    parser.add_argument(
        "--duration", type=float, default=60.0, help="seconds to spread them over; 0: no pacing"
    )
    parser.add_argument("--seed", type=int, help="the same seed gives the same loads")
    parser.add_argument("--bootstrap-servers", help="Kafka, if not the one of the settings")
    parser.add_argument(
        "--bad", type=_count, default=0, help="malformed records to send beside the readings"
    )
    parser.add_argument(
        "--duplicates", type=_count, default=0, help="readings to send a second time"
    )
    parser.add_argument(
        "--no-sites", action="store_true", help="do not register the plants' calendars"
    )
    group = parser.add_argument_group(
        "one company in all five streams",
        "Its reference data, then its events as fast as Kafka takes them; --seed is "
        f"{COMPANY_SEED} if left out. For example: --company --years 2025 --truth truth.json",
    )
    group.add_argument("--company", action="store_true", help="send the company's history")
    group.add_argument(
        "--years",
        type=int,
        nargs="+",
        metavar="YEAR",
        help=f"fiscal years to send (default: {' '.join(map(str, company_reference.YEARS))})",
    )
    group.add_argument(
        "--truth", type=Path, metavar="FILE", help="write what must come of the events, as JSON"
    )
    group.add_argument(
        "--reference-only", action="store_true", help="apply the reference data, send nothing"
    )
    return parser


def _check(options: argparse.Namespace) -> None:
    """Refuses options of one mode in the other: nothing that was asked for is left undone."""
    of_company = ("years", "truth", "reference_only")
    wrong = ("bad", "duplicates", "no_sites") if options.company else of_company
    for name in wrong:
        if getattr(options, name):
            rule = "does not go with" if options.company else "needs"
            raise ConfigurationError(
                "option_of_other_mode", f"--{name.replace('_', '-')} {rule} --company"
            )


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return number


def run(options: argparse.Namespace, settings: Settings) -> dict[str, object]:
    """Sends everything asked for, and returns the account once Kafka has acknowledged all of it."""
    begun = datetime.now(UTC)
    seed = int(begun.timestamp() * 1_000_000) % 2**32 if options.seed is None else options.seed
    name = demo.run_name(begun)
    if not options.no_sites:
        with connect(settings["CARBON_DATABASE_WRITER_URL"], "load_demo_data") as conn:
            register_sites(conn, [plant.site for plant in demo.plants()])
    total = options.events + options.bad + options.duplicates
    pacer = Pacer(per_second=total / options.duration if options.duration > 0 else None)
    account = Account()
    chance = Random(seed)
    made = CarbonEventProducer(options.bootstrap_servers, settings=settings)
    with made as producer, _bar() as bar:
        task = bar.add_task("readings", total=total)
        faults = _malformed(options.bad, producer, seed) if options.bad else iter(())
        events = demo.readings(demo.meters(name), options.events, begun, seed)
        kept: list[IoTEnergyEvent] = []
        for kind in _order(options, chance):
            pacer.wait()
            if kind == "malformed":
                code, (key, value) = next(faults)
                producer.send_bytes(TOPIC, key, value)
                account.malformed += 1
                account.by_fault[code] = account.by_fault.get(code, 0) + 1
            elif kind == "duplicate":
                event = chance.choice(kept)
                producer.send(TOPIC, event.sensor_id, event)
                account.duplicates += 1
            else:
                event = next(events)
                producer.send(TOPIC, event.sensor_id, event)
                account.add(event)
                if options.duplicates:
                    kept.append(event)
            if producer.sent % 50 == 0:
                bar.update(task, completed=producer.sent)
        producer.flush()
        bar.update(task, completed=total)
    return account.summary(producer, seed, name)


def run_company(options: argparse.Namespace, settings: Settings) -> dict[str, object]:
    """Applies the company's reference data, sends its events, and returns the account once Kafka
    has acknowledged all of them.
    """
    seed = COMPANY_SEED if options.seed is None else options.seed
    years = company.check_years(options.years or company_reference.YEARS)
    if options.truth is not None:
        write_truth(options.truth, seed, years)
    summary: dict[str, object] = {
        "company": company_reference.ORGANIZATION,
        "seed": seed,
        "years": list(years),
        "reference_changes": _apply_reference(settings),
        "truth": None if options.truth is None else str(options.truth),
    }
    if options.reference_only:
        return summary
    by_topic: dict[str, int] = {}
    with CarbonEventProducer(options.bootstrap_servers, settings=settings) as producer:
        for activity in company.history(seed, years):
            producer.send(activity.topic, value=activity.event())
            by_topic[activity.topic] = by_topic.get(activity.topic, 0) + 1
        producer.flush()
    return {
        **summary,
        "events": sum(by_topic.values()),
        "by_topic": dict(sorted(by_topic.items())),
        "sent": producer.sent,
        "delivered": producer.delivered,
    }


def _apply_reference(settings: Settings) -> int:
    """How many statements were not stored so before."""
    with connect(settings["CARBON_DATABASE_WRITER_URL"], "load_demo_data") as conn:
        return company_reference.apply_reference(conn)


def write_truth(path: Path, seed: int, years: Sequence[int]) -> None:
    """Writes the oracle's file: whole or not at all, the same bytes for the same seed and years."""
    known = [(one.stream, one.fields) for one in company.history(seed, years)]
    reference = company_reference.reference_rows()
    told: dict[str, Any] = {
        "company": company_reference.ORGANIZATION,
        "seed": seed,
        "years": list(years),
        **demo_truth.truth_of(known, reference, company_reference.RESTATED),
        "reports": {
            str(year): {
                name: as_text(cells)
                for name, cells in truth_of_reports(known, reference, year).items()
            }
            for year in years
        },
    }
    beside = path.with_name(path.name + ".part")
    try:
        beside.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n", encoding="ascii")
        os.replace(beside, path)
    except OSError as error:
        raise ConfigurationError(
            "truth_not_written", f"--truth {path}: {error.strerror}; valid: a file in a folder"
        ) from error


def _order(options: argparse.Namespace, chance: Random) -> list[str]:
    """Readings, duplicates and malformed records mixed; the first is a reading if there is one."""
    kinds = ["duplicate"] * options.duplicates + ["malformed"] * options.bad
    if options.duplicates and not options.events:
        raise ConfigurationError("nothing_to_repeat", "--duplicates needs --events of at least 1")
    kinds += ["reading"] * max(0, options.events - 1)
    chance.shuffle(kinds)
    return ["reading"] * min(1, options.events) + kinds


def _malformed(
    count: int, producer: CarbonEventProducer, seed: int
) -> Iterator[tuple[str, Record]]:
    try:
        from tests.support.malformed import malformed_records
    except ImportError as error:
        raise ConfigurationError(
            "no_malformed_records", "--bad needs the tests folder of a checkout"
        ) from error
    schema_id = producer.schema_id(TOPIC)
    for record in malformed_records(count, schema_id, datetime.now(UTC), seed):
        yield record.reason_code, (record.key, record.value)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


if __name__ == "__main__":
    sys.exit(main())
