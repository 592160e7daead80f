"""What restating one country's factor costs in a ledger of many: in proportion to what it touches.

`python tests/bench/restatement.py --server-home HOME --port-offset N` on a running PostgreSQL of
the embedded stack; prints JSON and writes it to `--output`. Belongs here: making the ledger,
timing. Does not: the judgement of the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

PART = 50_000
MONTHS = 12
# Country and its share of the readings, in percent.
SHARES = (("SE", 1), ("DE", 10), ("FR", 30), ("US", 59))


def main() -> None:
    """Fills a ledger and restates the factor of a small and of a larger country in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--server-home", required=True, help="CARBON_HOME of the PostgreSQL")
    parser.add_argument("--port-offset", default="0")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    os.environ["CARBON_HOME"] = options.server_home
    os.environ["CARBON_PORT_OFFSET"] = options.port_offset
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    figures = measure(options.entries)
    text = json.dumps(figures, indent=2)
    sys.stdout.write(text + "\n")
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


def readings(count: int) -> Any:
    """`count` readings spread over the months of 2025, countries by their shares."""
    from tests.support.archived_parts import reading

    chance = Random(5)
    countries = [country for country, share in SHARES for _ in range(share)]
    begin = datetime(2025, 1, 1, tzinfo=UTC)
    for number in range(count):
        month = number * MONTHS // count
        at = begin + timedelta(days=30 * month, minutes=15 * (number // 500 % 2_000))
        country = countries[number % 100]
        yield reading(
            at,
            sensor_id=f"S-{number}",
            facility_id=f"PLANT-{country}-{number % 20}",
            country_iso2=country,
            energy_kwh=f"{chance.randrange(1, 400_000) / 100:.2f}",
        )


def measure(count: int) -> dict[str, Any]:
    """Seconds of preview and posting for each country, in all and per touched entry."""
    from carbon_ledger.factor_book.rows import make_release
    from carbon_ledger.settings import load
    from devstack.layout import Layout
    from factor_seeds.load import release
    from tests.support.archived_parts import archived_ledger

    shipped = release()
    potentials = [row for row in shipped.index_rows if row.series.startswith("gwp_")]
    grids = [row for row in shipped.rows if row.family == "grid"]
    given = make_release("bench", grids, potentials)
    figures: dict[str, Any] = {"entries": count, "restatements": []}
    url_of = Layout.of(load()).database_url
    with (
        tempfile.TemporaryDirectory() as folder,
        archived_ledger(url_of, Path(folder)) as ledger,
    ):
        name = ledger.store(given)
        started = time.monotonic()
        pending: list[Any] = []
        for one in readings(count):
            pending.append(one)
            if len(pending) == PART:
                ledger.send(pending, name)
                pending = []
        if pending:
            ledger.send(pending, name)
        figures["fill_seconds"] = round(time.monotonic() - started, 1)
        with closing(ledger.database.admin()) as conn:
            conn.execute("analyze ledger.entry")
        for country in ("SE", "DE"):
            given = revised(given, country)
            figures["restatements"].append(restated(ledger, given, country))
    small, large = figures["restatements"]
    figures["per_entry_large_over_small"] = round(
        large["milliseconds_per_entry"] / small["milliseconds_per_entry"], 3
    )
    return figures


def revised(given: Any, country: str) -> Any:
    """The release with every factor of one country 0.01 kg higher, the others as they were."""
    from carbon_ledger.factor_book.rows import make_release, sealed

    rows = []
    for row in given.rows:
        if row.country_iso2 == country:
            kg = row.kgco2e_per_unit + Decimal("0.01")
            row = sealed(replace(row, version=row.version + 1, kgco2e_per_unit=kg))
        rows.append(row)
    return make_release("bench", rows, given.index_rows)


def restated(ledger: Any, given: Any, country: str) -> dict[str, Any]:
    """Preview, approval and posting of a release that revises one country."""
    from carbon_ledger.restatement import Target
    from carbon_ledger.store.restatements import approve
    from spark.restate import post, preview

    name = ledger.store(given)
    with closing(ledger.writer()) as conn:
        started = time.monotonic()
        found = preview(
            conn,
            ledger.settings,
            Target(release_id=name),
            first_date=date(2025, 1, 1),
            end_date=date(2026, 1, 1),
            by="bench",
            reason="measurement",
        ).restatement
        previewed = time.monotonic() - started
        if found is None:
            raise SystemExit(f"nothing changes for {country}")
        for who in ("one", "another"):
            approve(conn, found.restatement_id, who, "measurement")
        started = time.monotonic()
        post(conn, ledger.settings, found.restatement_id, by="bench")
        posted = time.monotonic() - started
    return {
        "country": country,
        "touched": found.entries,
        "preview_seconds": round(previewed, 2),
        "posting_seconds": round(posted, 2),
        "milliseconds_per_entry": round(1000 * (previewed + posted) / found.entries, 3),
    }


if __name__ == "__main__":
    main()
