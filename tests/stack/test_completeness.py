"""Completeness on real PostgreSQL: planted gaps are all found, and nothing else is."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from carbon_assets.completeness import completeness_report
from carbon_ledger.completeness import Completeness
from carbon_ledger.entries import reversal_of
from carbon_ledger.reference.expected import ControlTotal, ExpectedSource
from carbon_ledger.reference.files import Stated
from carbon_ledger.store.completeness import completeness, control_sums
from carbon_ledger.store.reference import apply_statements
from carbon_ledger.store.rows import ensure_month, insert_entries, insert_identity
from cli.completeness_command import completeness as command
from resources.database import LedgerDatabase as DatabaseResource
from tests.support.completeness_world import END, FIRST, Planted, Sizes, World, build_world
from tests.support.postgres import LedgerDatabase, reading, scratch_database

pytestmark = pytest.mark.stack

LATER = datetime(2025, 6, 1, tzinfo=UTC)
NOW = datetime(2026, 2, 3, tzinfo=UTC)
# What the night looks at: 200 gaps beside more than 1,000 clean source-months.
FULL = Sizes(meters_hourly=5, meters_six_hourly=20, vehicles=10, suppliers=140, gaps=50)
SMALL = Sizes(meters_hourly=1, meters_six_hourly=3, vehicles=3, suppliers=10, gaps=4)


@pytest.fixture(scope="module")
def database(stack) -> Iterator[LedgerDatabase]:  # type: ignore[no-untyped-def]
    with scratch_database(stack.layout.database_url) as found:
        yield found


@pytest.fixture(scope="module")
def world(database: LedgerDatabase) -> World:
    with closing(database.writer()) as conn:
        return build_world(conn, SMALL, seed=6)


def said(found: Completeness) -> list[Planted]:
    return sorted((one.kind, one.subject, one.begin, one.difference) for one in found.gaps)


def test_the_planted_gaps_are_found_and_nothing_else(
    database: LedgerDatabase, world: World
) -> None:
    with closing(database.reader()) as conn:
        found = completeness(conn, FIRST, END, LATER)
    assert said(found) == sorted(world.planted)
    assert len(world.planted) == 4 * SMALL.gaps
    clean = [one for one in found.months if one.expected and not one.missing]
    # A meter whose invoice differs is complete all the same.
    assert len(clean) == world.clean_source_months + SMALL.gaps


def test_a_month_alone_has_its_own_gaps(database: LedgerDatabase, world: World) -> None:
    month = next(begin for kind, _, begin, _ in world.planted if kind == "lost_file")
    first = date(month.year, month.month, 1)
    with closing(database.reader()) as conn:
        found = completeness(conn, first, date(2024, month.month + 1, 1), LATER)
    expected = [one for one in world.planted if one[2].month == month.month]
    assert said(found) == sorted(expected)


def test_the_command_names_them_and_says_so_by_its_status(
    database: LedgerDatabase, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARBON_DATABASE_READER_URL", database.reader_url)
    monkeypatch.setenv("CARBON_ORGANIZATIONS", "*")
    result = CliRunner().invoke(command, ["--period", "2024"], catch_exceptions=False)
    assert result.exit_code == 1, result.output
    for _, subject, _, _ in world.planted:
        assert subject in result.output
    result = CliRunner().invoke(command, ["--period", "2024", "--json"], catch_exceptions=False)
    answer = json.loads(result.output)
    assert answer["gaps_by_kind"]["lost_file"] == SMALL.gaps
    assert len(answer["gaps"]) == len(world.planted)
    result = CliRunner().invoke(command, ["--period", "2023-01"], catch_exceptions=False)
    assert result.exit_code == 2
    assert "Nothing is expected" in result.output
    result = CliRunner().invoke(command, ["--period", "2024-13"])
    assert result.exit_code == 2
    assert "2025-03" in result.output


def test_the_asset_says_the_same_of_a_fiscal_year(
    database: LedgerDatabase, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARBON_DATABASE_WRITER_URL", database.writer_url)
    run = dg.materialize(
        [completeness_report], partition_key="2024", resources={"database": DatabaseResource()}
    )
    (made,) = run.asset_materializations_for_node("reports__completeness")
    assert made.metadata["gap_count"].value == len(world.planted)
    (check,) = run.get_asset_check_evaluations()
    assert not check.passed
    assert len(check.metadata["gaps"].value) == len(world.planted)  # type: ignore[arg-type]


def test_what_was_taken_back_is_missing_again(database: LedgerDatabase) -> None:
    """A reversed reading is no reading; its correction is one."""
    row = reading(
        0,
        organization_id="acme",
        source_ref="taken-back",
        occurred_from=datetime(2023, 5, 1, tzinfo=UTC),
        occurred_to=datetime(2023, 5, 2, tzinfo=UTC),
        local_date=date(2023, 5, 1),
    )
    source = ExpectedSource(
        stream="iot_energy",
        source_id="taken-back",
        every="interval",
        interval_seconds=86_400,
        valid_from=date(2023, 5, 1),
        valid_to=date(2023, 5, 2),
    )
    with closing(database.writer()) as conn:
        ensure_month(conn, row.activity_month)
        insert_identity(conn, row)
        insert_entries(conn, [row])
        stated = [Stated(record=source, file="x.yaml")]
        apply_statements(conn, stated, source="x.yaml", source_sha256=bytes(32))
        assert completeness(conn, date(2023, 5, 1), date(2023, 6, 1), LATER).is_complete
        insert_entries(conn, [reversal_of(row, recorded_at=NOW, cause="another meter")])
        (gap,) = completeness(conn, date(2023, 5, 1), date(2023, 6, 1), LATER).gaps
        assert (gap.kind, gap.subject) == ("silent_source", "taken-back")
        conn.rollback()


def test_an_activity_counts_once_in_a_control_total_however_many_lines_it_posts(
    database: LedgerDatabase,
) -> None:
    begin = datetime(2023, 7, 1, tzinfo=UTC)

    def line(number: int, claim: str, **changes: object) -> object:
        values = {
            "organization_id": "acme",
            "stream": "transport",
            "source_ref": "truck",
            "activity_ref": "trip:1",
            "event_id": "trip:1#0",
            "line_no": number,
            "claim_key": claim,
            "occurred_from": begin,
            "occurred_to": begin,
            "local_date": begin.date(),
            "unit": "L",
            "entry_id": reading(900 + number).entry_id,
            **changes,
        }
        return reading(number, **values)

    rows = [
        # Two stretches of one trip, each with its fuel and the upstream of that fuel.
        line(1, "trip:1|1", quantity=Decimal(30)),
        line(2, "trip:1|3", quantity=Decimal(30)),
        line(3, "trip:1|1", quantity=Decimal(12)),
        line(4, "trip:1|3", quantity=Decimal(12)),
        line(5, "trip:1|1", quantity=Decimal(7), unit="kWh"),
    ]
    control = ControlTotal(
        control_id="card",
        kind="fuel_card",
        stream="transport",
        source_id="truck",
        quantity=Decimal(42),
        unit="L",
        valid_from=date(2023, 7, 1),
        valid_to=date(2023, 8, 1),
    )
    with closing(database.writer()) as conn:
        ensure_month(conn, date(2023, 7, 1))
        insert_entries(conn, rows)  # type: ignore[arg-type]
        ((_, found),) = control_sums(conn, [control])
        conn.rollback()
    assert found.sums == {"L": Decimal(42), "kWh": Decimal(7)}
    assert found.activities == {"L": 1, "kWh": 1}


@pytest.mark.night
def test_two_hundred_planted_gaps_are_found_without_a_false_alarm(stack: Any) -> None:
    with scratch_database(stack.layout.database_url) as database:
        with closing(database.writer()) as conn:
            world = build_world(conn, FULL, seed=200)
        with closing(database.reader()) as conn:
            begun = time.monotonic()
            found = completeness(conn, FIRST, END, LATER)
            seconds = time.monotonic() - begun
    planted, told = set(world.planted), set(said(found))
    sys.stdout.write(
        f"\n{world.entries} entries, {found.controls} control totals, {len(found.months)} "
        f"source-months, {world.clean_source_months} of them clean: {len(planted & told)} of "
        f"{len(planted)} gaps found, {len(told - planted)} false alarms, {seconds:.1f} s\n"
    )
    assert len(planted) == 200
    assert world.clean_source_months >= 1000
    assert told == planted
    assert len(found.gaps) == len(planted)
