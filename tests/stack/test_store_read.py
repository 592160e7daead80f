"""Totals, accounts, windows and report tables, against figures worked out by hand."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from carbon_ledger.entries import EntryRow, sealed
from carbon_ledger.errors import ConfigurationError
from carbon_ledger.store.checks import check_windows
from carbon_ledger.store.correct import post_correction
from carbon_ledger.store.read import (
    OpenGap,
    daily,
    entries_as_of,
    five_minute,
    knowledge_horizon,
    stream_accounts,
    totals,
)
from carbon_ledger.store.reports import EsrsRow, build_esrs_e1, latest_esrs_e1
from carbon_ledger.store.rows import begin_writing, ensure_month, insert_entries, insert_identity
from carbon_ledger.store.upkeep import report_faults
from carbon_ledger.store.windows import deltas_of, insert_deltas
from tests.support.postgres import Connection, LedgerDatabase, claim, reading, scratch_database

pytestmark = pytest.mark.stack


def activity(
    number: int, day: date, kwh: str, kgco2e: str, country: str = "DE", **changes: object
) -> EntryRow:
    """An entry of noon UTC on `day`."""
    noon = datetime(day.year, day.month, day.day, 12, number % 60, tzinfo=UTC)
    return reading(
        number,
        occurred_from=noon,
        quantity=Decimal(kwh),
        kgco2e=Decimal(kgco2e),
        country_iso2=country,
        **changes,
    )


def readings() -> list[EntryRow]:
    """Two years, two countries, two organizations, three facilities."""
    substitute = "boundary_substitute,vintage_gap"
    return [
        activity(1, date(2023, 12, 31), "1", "0.5"),
        activity(2, date(2024, 1, 1), "10", "4"),
        activity(3, date(2024, 1, 1), "20", "8", facility_id="plant-2"),
        activity(4, date(2024, 6, 30), "30", "0.000000000001", "FR"),
        activity(5, date(2024, 6, 30), "40", "12", "FR", flags=substitute),
        activity(6, date(2024, 12, 31), "50", "20", organization_id="acme", facility_id="x"),
        activity(7, date(2025, 1, 1), "60", "24"),
        activity(8, date(2024, 5, 5), "7", "3", scope=1, basis="direct"),
        activity(9, date(2024, 5, 5), "7", "2", basis="market"),
        # Substituted in name only: the flag has another one's name in it.
        activity(10, date(2024, 6, 30), "5", "4", "FR", flags="no_boundary_substitute"),
    ]


def post(conn: Connection, rows: list[EntryRow]) -> datetime:
    """Entries, identities and windows in one commit; when."""
    for row in rows:
        ensure_month(conn, row.activity_month)
    with conn.transaction():
        recorded_at: datetime = begin_writing(conn)
        stamped = [sealed(replace(row, recorded_at=recorded_at)) for row in rows]
        for row in stamped:
            insert_identity(conn, row)
        insert_entries(conn, stamped)
        insert_deltas(conn, deltas_of(stamped, recorded_at=recorded_at))
    return recorded_at


@pytest.fixture(scope="module")
def database(stack) -> Iterator[LedgerDatabase]:  # type: ignore[no-untyped-def]
    with scratch_database(stack.layout.database_url) as found:
        with found.writer() as conn:
            post(conn, readings())
        yield found


@pytest.fixture
def own_database(stack) -> Iterator[LedgerDatabase]:  # type: ignore[no-untyped-def]
    with scratch_database(stack.layout.database_url) as found:
        with found.writer() as conn:
            post(conn, readings())
        yield found


def sums(rows: list) -> dict[str, tuple[str, str, int]]:  # type: ignore[type-arg]
    """Key to quantity, kgCO2e and entries, of location-based scope 2."""
    return {
        row.key: (str(row.quantity), str(row.kgco2e), row.entries)
        for row in rows
        if (row.scope, row.basis) == (2, "location")
    }


def test_totals_by_country_are_exact_to_the_last_digit(database: LedgerDatabase) -> None:
    with database.reader() as conn:
        assert sums(totals(conn, by="country")) == {
            "DE": ("141", "56.500000000000", 5),
            "FR": ("75", "16.000000000001", 3),
        }


def test_totals_by_facility_month_and_organization(database: LedgerDatabase) -> None:
    with database.reader() as conn:
        assert sums(totals(conn, by="facility"))["plant-2"] == ("20", "8.000000000000", 1)
        assert list(sums(totals(conn, by="month"))) == [
            *("2023-12", "2024-01", "2024-06", "2024-12", "2025-01"),
        ]
        assert sums(totals(conn, by="organization"))["acme"] == ("50", "20.000000000000", 1)


def test_scopes_and_bases_are_never_added_up(database: LedgerDatabase) -> None:
    with database.reader() as conn:
        found = {(row.scope, row.basis): row.kgco2e for row in totals(conn)}
    assert found == {
        (1, "direct"): Decimal(3),
        (2, "location"): Decimal("72.500000000001"),
        (2, "market"): Decimal(2),
    }


def test_totals_keep_to_the_days_and_the_organization_asked_for(database: LedgerDatabase) -> None:
    with database.reader() as conn:
        year = {"start": date(2024, 1, 1), "end": date(2025, 1, 1)}
        assert sums(totals(conn, **year))[""] == ("155", "48.000000000001", 6)  # type: ignore[arg-type]
        assert sums(totals(conn, organization="acme"))[""] == ("50", "20.000000000000", 1)
        assert sums(totals(conn, start=date(2024, 1, 2), end=date(2024, 6, 30))) == {}
        assert sums(totals(conn, start=date(2024, 6, 30), end=date(2024, 7, 1)))[""][0] == "75"


def test_an_unknown_grouping_is_refused_with_the_known_ones(database: LedgerDatabase) -> None:
    with database.reader() as conn, pytest.raises(ConfigurationError) as caught:
        totals(conn, by="colour")
    assert "country" in caught.value.message


def test_entries_as_of_are_filtered_and_in_order_of_activity(database: LedgerDatabase) -> None:
    with database.reader() as conn:
        now = datetime(2999, 1, 1, tzinfo=UTC)
        found = list(entries_as_of(conn, now, start=date(2024, 6, 30), end=date(2024, 7, 1)))
        assert [row.quantity for row in found] == [Decimal(30), Decimal(40), Decimal(5)]
        assert [row.facility_id for row in entries_as_of(conn, now, facility="x")] == ["x"]
        assert [row.facility_id for row in entries_as_of(conn, now, organization="acme")] == ["x"]
        assert list(entries_as_of(conn, datetime(2025, 1, 1, tzinfo=UTC))) == []


def test_windows_are_the_sums_of_their_entries(database: LedgerDatabase) -> None:
    day = {"start": date(2024, 6, 30), "end": date(2024, 7, 1)}
    with database.reader() as conn:
        fine = five_minute(conn, **day)
        (whole,) = daily(conn, **day)
        assert check_windows(conn, [row.local_date for row in readings()]) == []
    starts = [row.window_start for row in fine]
    assert starts == [datetime(2024, 6, 30, 12, minute, tzinfo=UTC) for minute in (0, 5, 10)]
    assert [row.kgco2e for row in fine] == [
        *(Decimal("0.000000000001"), Decimal(12), Decimal(4)),
    ]
    assert (whole.kgco2e, whole.entries) == (Decimal("16.000000000001"), 3)


def test_an_entry_without_its_window_and_a_window_without_its_entry_are_found(
    own_database: LedgerDatabase,
) -> None:
    bare, stray = (
        activity(20, date(2024, 6, 29), "1", "1"),
        activity(21, date(2024, 6, 28), "1", "1"),
    )
    with own_database.writer() as conn:
        insert_entries(conn, [bare])
        insert_deltas(conn, deltas_of([stray], recorded_at=datetime.now(UTC)))
        conn.commit()
        found = check_windows(conn, [date(2024, 6, day) for day in (28, 29, 30)])
    assert [(one.local_date.day, one.entry_count, one.window_count) for one in found] == [
        *((28, 0, 1), (29, 1, 0)),
    ]


def report(conn: Connection, **changes: object) -> list[EsrsRow]:
    """A snapshot of fiscal year 2024, but for `changes`."""
    plain = {
        "fiscal_year": 2024,
        "snapshot_id": uuid.uuid4(),
        "run_id": "run-1",
        "code_version": "test",
    }
    return build_esrs_e1(conn, **{**plain, **changes})  # type: ignore[arg-type]


def figures(rows: list[EsrsRow]) -> dict[tuple[str, str], tuple[Decimal, int, Decimal | None]]:
    """Organization and country to value, entries and substituted share."""
    return {
        (row.organization_id, row.country_iso2): (row.value, row.entries, row.substituted_share)
        for row in rows
    }


def test_the_report_is_scope_2_location_based_in_tonnes_by_country(
    database: LedgerDatabase,
) -> None:
    with database.writer() as conn:
        rows = report(conn)
    assert figures(rows) == {
        ("acme", ""): (Decimal("0.020"), 1, Decimal(0)),
        ("acme", "DE"): (Decimal("0.020"), 1, Decimal(0)),
        ("default", ""): (Decimal("0.028000000000001"), 5, Decimal("0.428571428571")),
        ("default", "DE"): (Decimal("0.012"), 2, Decimal(0)),
        # 12 of 16.000000000001 kg, half-even at the twelfth decimal.
        ("default", "FR"): (Decimal("0.016000000000001"), 3, Decimal("0.750000000000")),
    }
    first = rows[0]
    assert (first.datapoint, first.unit) == ("E1-6_09", "tCO2e")
    assert first.concept == "GrossLocationBasedScope2GreenhouseGasEmissions"
    assert first.factor_releases == "test-000000000000"


def test_a_report_built_again_is_a_new_snapshot_of_equal_figures(database: LedgerDatabase) -> None:
    with database.writer() as conn:
        one = report(conn)
        two = report(conn, as_of=one[0].as_of)
        assert one[0].snapshot_id != two[0].snapshot_id
        assert figures(one) == figures(two)
        conn.commit()
        assert latest_esrs_e1(conn, 2024) == two


def test_a_report_as_of_then_does_not_know_what_came_later(own_database: LedgerDatabase) -> None:
    with own_database.writer() as conn:
        before = report(conn)
        conn.commit()
        late = activity(30, date(2024, 2, 2), "100", "38")
        post(conn, [late])
        post_correction(
            conn,
            activity_month=date(2024, 1, 1),
            entry_id=readings()[1].entry_id,
            replacement=None,
            cause="not ours",
        )
        after = report(conn)
        again = report(conn, as_of=before[0].as_of)
    assert figures(again) == figures(before)
    assert figures(after)[("default", "DE")] == (Decimal("0.046"), 2, Decimal(0))


def test_a_country_whose_entries_were_all_taken_back_is_not_reported(
    own_database: LedgerDatabase,
) -> None:
    with own_database.writer() as conn:
        for row in readings():
            if row.country_iso2 == "FR":
                post_correction(
                    conn,
                    activity_month=row.activity_month,
                    entry_id=row.entry_id,
                    replacement=None,
                    cause="not ours",
                )
        assert ("default", "FR") not in figures(report(conn))


def test_a_report_of_many_digits_is_compared_with_the_ledger_to_the_last_one(
    own_database: LedgerDatabase,
) -> None:
    with own_database.writer() as conn:
        post(conn, [activity(40, date(2022, 2, 2), "1", "123456789.000000000001")])
        rows = report(conn, fiscal_year=2022)
        assert rows[0].value == Decimal("123456.789000000000001")
        assert report_faults(conn, rows[0].snapshot_id) == []


def test_a_report_of_a_moment_that_is_not_final_is_refused(database: LedgerDatabase) -> None:
    with database.writer() as conn, pytest.raises(ConfigurationError) as caught:
        report(conn, as_of=knowledge_horizon(conn) + timedelta(hours=1))
    assert caught.value.code == "as_of_not_final"


def test_a_year_without_entries_is_no_report_rather_than_zero(database: LedgerDatabase) -> None:
    with database.writer() as conn:
        assert report(conn, fiscal_year=2020) == []
        assert latest_esrs_e1(conn, 2020) == []


def test_the_accounts_of_a_stream_say_what_became_of_its_records(
    own_database: LedgerDatabase,
) -> None:
    with own_database.writer() as conn:
        first, second = claim(conn, {0: (0, 10), 1: (0, 4)})
        first.open(conn)
        first.account(
            conn,
            records_read=9,
            ledgered=4,
            duplicate=2,
            dead_lettered=2,
            quarantined=1,
            offsets_without_record=1,
            lines=5,
        )
        first.close(conn)
        second.open(conn)
        second.account(conn)
        second.close(conn)
        claim(conn, {0: (10, 15)}, attempt=3)
        conn.execute(
            "update manifest.stream set halted_reason = 'topic truncated', halted_at = now()"
        )
        conn.execute(
            "insert into manifest.gap (stream, topic, kafka_partition, kind, expected_offset, "
            "found_offset, detail) "
            "values ('iot_energy', 'raw.iot.energy', 1, 'topic_truncated', 4, 9, 'four to nine')"
        )
        conn.commit()
        (account,) = stream_accounts(conn)
    assert (account.stream, account.topic) == ("iot_energy", "raw.iot.energy")
    assert (account.read, account.ledgered, account.duplicate) == (13, 8, 2)
    assert (account.dead_lettered, account.quarantined, account.lines) == (2, 1, 9)
    assert account.read == (
        account.ledgered + account.duplicate + account.dead_lettered + account.quarantined
    )
    assert [
        (p.kafka_partition, p.planned_offset, p.committed_offset) for p in account.partitions
    ] == [
        *((0, 15, 10), (1, 4, 4)),
    ]
    assert account.lag({0: 20, 1: 4, 2: 7}) == 10 + 0 + 7
    assert account.open_batch is not None
    assert (account.open_batch.status, account.open_batch.attempt) == ("planned", 3)
    assert account.halted_reason == "topic truncated"
    (gap,) = account.open_gaps
    assert gap == OpenGap(
        gap_id=gap.gap_id,
        kind="topic_truncated",
        kafka_partition=1,
        expected_offset=4,
        found_offset=9,
        detail="four to nine",
    )


def test_a_ledger_that_has_planned_nothing_has_no_accounts(database: LedgerDatabase) -> None:
    with database.reader() as conn:
        assert stream_accounts(conn) == []
