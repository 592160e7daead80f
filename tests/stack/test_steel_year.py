"""A month of quarter hours, and at night a year of them, from a CSV file to the ledger: every
reading, to the last digit, in the plant's own calendar."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from carbon_ledger import settings as settings_module
from carbon_ledger.settings import PROJECT_ROOT
from carbon_ledger.store.checks import altered_entries, check_accounts, check_windows, reconcile
from carbon_ledger.store.connect import connect_as_reader
from tests.support.dagster_client import wait_for
from tests.support.kafka_reading import end_offsets
from tests.support.oracle import fraction_of, kgco2e
from tests.support.postgres import Connection
from tests.support.steel_lookalike import QUARTERS, steel_lookalike, steel_mapping

pytestmark = [pytest.mark.stack, pytest.mark.daemon, pytest.mark.timeout(600)]

TOPIC = "raw.iot.energy"
EXAMPLE = PROJECT_ROOT / "docs" / "examples" / "steel_industry_energy.mapping.yaml"
YEAR, JANUARY = 365, 31
AGAIN = 1_000
SECONDS = 240.0
NEW_YEAR = date(2018, 1, 1)


@dataclass
class Ledger:
    """What the accounts say of records since an offset."""

    conn: Connection
    settings: Any

    def ends(self) -> dict[int, int]:
        return end_offsets(self.settings, TOPIC)

    def await_all_read(self) -> None:
        """Until every offset of the topic is committed."""
        ends = self.ends()

        def is_read() -> bool:
            rows = self.conn.execute(
                "select kafka_partition, committed_offset from manifest.progress"
                " join manifest.stream s using (topic, topic_incarnation) where topic = %s",
                (TOPIC,),
            ).fetchall()
            return dict.fromkeys(ends, 0) | dict(rows) == ends

        wait_for("end of all batches", is_read, SECONDS)

    def fates_since(self, begun: dict[int, int]) -> tuple[int, ...]:
        """read, ledgered, duplicate, dead-lettered and quarantined after these offsets."""
        total = [0] * 5
        for partition, offset in begun.items():
            row = self.conn.execute(
                "select coalesce(sum(records_read), 0), coalesce(sum(ledgered), 0),"
                " coalesce(sum(duplicate), 0), coalesce(sum(dead_lettered), 0),"
                " coalesce(sum(quarantined), 0) from ledger.batch_part"
                " join manifest.stream s using (topic, topic_incarnation)"
                " where topic = %s and kafka_partition = %s and start_offset >= %s",
                (TOPIC, partition, offset),
            ).fetchone()
            assert row is not None
            total = [one + int(more) for one, more in zip(total, row, strict=True)]
        return tuple(total)

    def one(self, text: str, *values: object) -> tuple[Any, ...]:
        row = self.conn.execute(text.encode(), values).fetchone()
        assert row is not None
        return row


@pytest.fixture
def ledger(stack: object) -> Iterator[Ledger]:
    settings = settings_module.load()
    with connect_as_reader(settings, "tests", autocommit=True) as conn:
        yield Ledger(conn, settings)


def replay(path: Path, mapping: Path, *options: str) -> dict[str, Any]:
    """The account of `carbon replay`."""
    command = [sys.executable, "-m", "cli.main", "replay", str(path), "--mapping", str(mapping)]
    done = subprocess.run(
        [*command, "--json", *options],
        cwd=PROJECT_ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    account: dict[str, Any] = json.loads(done.stdout)
    return account


def kwh_of_days(path: Path) -> list[list[str]]:
    """The file's own quantities, day by day: 96 rows each, in order."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        values = [row["Usage_kWh"] for row in csv.DictReader(stream)]
    return [values[first : first + QUARTERS] for first in range(0, len(values), QUARTERS)]


@pytest.mark.parametrize("count", [JANUARY, pytest.param(YEAR, marks=pytest.mark.night)])
def test_days_of_a_meter_are_ledgered_whole_and_once(
    count: int, ledger: Ledger, tmp_path: Path
) -> None:
    path = tmp_path / "steel.csv"
    whole = steel_lookalike(path)
    mapping, plant = steel_mapping(EXAMPLE, tmp_path)
    days = kwh_of_days(path)[:count]
    expected = sum((Decimal(text) for day in days for text in day), Decimal(0))
    assert (expected == whole) == (count == YEAR)
    readings = count * QUARTERS
    ledger.await_all_read()
    begun = ledger.ends()
    account = replay(path, mapping, "--limit", str(readings))
    assert (account["rows"], account["sent"], account["delivered"]) == (readings,) * 3
    assert Decimal(account["coverage"]["total_kwh"]) == expected
    ledger.await_all_read()
    assert ledger.fates_since(begun) == (readings, readings, 0, 0, 0)
    check_days(ledger, plant, days, expected)
    check_report(ledger, plant, readings)

    begun = ledger.ends()
    before = ledger.one("select count(*), max(recorded_at) from ledger.iot_energy")
    again = replay(path, mapping, "--limit", str(AGAIN))
    assert again["delivered"] == AGAIN
    ledger.await_all_read()
    assert ledger.fates_since(begun) == (AGAIN, 0, AGAIN, 0, 0)
    assert ledger.one("select count(*), max(recorded_at) from ledger.iot_energy") == before


def check_days(ledger: Ledger, plant: str, days: list[list[str]], total: Decimal) -> None:
    """Entries, factor, calendar and windows of the plant's days from New Year on."""
    calendar = [NEW_YEAR + timedelta(days=number) for number in range(len(days))]
    end_date = calendar[-1] + timedelta(days=1)
    count, kwh, dates, first, last, months = ledger.one(
        "select count(*), sum(quantity)::text, count(distinct local_date), min(local_date),"
        " max(local_date), count(distinct activity_month) from ledger.active_entry"
        " where facility_id = %s and stream = 'iot_energy'",
        plant,
    )
    assert (count, Decimal(kwh)) == (len(days) * QUARTERS, total)
    assert (dates, first, last) == (len(days), calendar[0], calendar[-1])
    assert months == len({day.month for day in calendar})
    start, end = ledger.one(
        "select min(occurred_from) at time zone 'Asia/Seoul',"
        " max(occurred_to) at time zone 'Asia/Seoul' from ledger.iot_energy where facility_id = %s",
        plant,
    )
    assert (start.isoformat(), end.isoformat()) == (
        "2018-01-01T00:00:00",
        f"{end_date}T00:00:00",
    )
    factor = ledger.one(
        "select distinct f.kgco2e_per_unit::text, f.country_iso2, f.year, e.vintage_gap_years,"
        " 'vintage_gap' = any(string_to_array(e.flags, ','))"
        " from ledger.iot_energy e join factors.factor f"
        " on f.factor_id = e.factor_id and f.version = e.factor_version"
        " where e.facility_id = %s",
        plant,
    )
    assert factor[1:] == ("KR", 2019, 1, True)
    figures = [[kgco2e(text, factor[0]) for text in day] for day in days]
    windows = ledger.conn.execute(
        "select local_date, sum(quantity)::text, sum(kgco2e)::text, sum(entries)::int"
        " from windows.daily where facility_id = %s and scope = 2 and basis = 'location'"
        " group by local_date order by local_date",
        (plant,),
    ).fetchall()
    assert [(day, Fraction(q), Fraction(kg), n) for day, q, kg, n in windows] == [
        (day, sum(map(fraction_of, texts), Fraction(0)), sum(kgs, Fraction(0)), QUARTERS)
        for day, texts, kgs in zip(calendar, days, figures, strict=True)
    ]
    posted = ledger.one(
        "select sum(kgco2e)::text from ledger.active_entry"
        " where facility_id = %s and stream = 'iot_energy'",
        plant,
    )
    assert Fraction(posted[0]) == sum((kg for day in figures for kg in day), Fraction(0))
    assert check_windows(ledger.conn, calendar) == []
    assert check_accounts(ledger.conn) == []
    assert reconcile(ledger.conn) == []
    assert altered_entries(ledger.conn, calendar[-1].replace(day=1)) == []


def check_report(ledger: Ledger, plant: str, readings: int) -> None:
    """A report of 2018 is made, of all the plant's entries."""
    wait_for(
        "report of the plant's year",
        lambda: ledger.conn.execute(
            "select 1 from reports.esrs_e1 where organization_id = %s and fiscal_year = 2018"
            " and entries = %s limit 1",
            (plant, readings),
        ).fetchone(),
        SECONDS,
    )
