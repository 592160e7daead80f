"""Sends made-up meter readings of sixty plants to Kafka, at an even pace.

Belongs here: the command line, pace, progress and account of a run. Does not: what the readings say
(pipeline.sources.demo).

The last line on stdout is the account of the run as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from random import Random

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
from pipeline.sources import demo
from pipeline.sources.pacing import Pacer

TOPIC = "raw.iot.energy"
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
        summary = run(options, settings_module.load())
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
    return parser


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
