"""Lineage of a record that was archived: what is told, and what a narrower view leaves untold."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.factor_book.book import FactorBook
from carbon_ledger.factor_book.rows import make_release
from carbon_ledger.reference.files import Stated
from carbon_ledger.reference.records import Vehicle
from carbon_ledger.settings import Settings
from carbon_ledger.store.connect import connect
from carbon_ledger.store.factors import store_release
from carbon_ledger.store.kept_books import KeptBooks
from carbon_ledger.store.reference import apply_statements
from devstack.postgres import Postgres
from factor_seeds.load import release as shipped_release
from pipeline.serialization import widest_schema_text
from spark.sink import _registry
from spark.trace import Tracer
from tests.support.archived_parts import SCHEMA_ID, ArchivedLedger, archived_ledger, reading
from tests.support.one_schema import serving_schema

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
SHIPPED = shipped_release()
# The grid of Germany, and the potentials.
RELEASE = make_release(
    "test",
    [row for row in SHIPPED.rows if row.family == "grid" and row.country_iso2 == "DE"],
    [row for row in SHIPPED.index_rows if row.series.startswith("gwp_")],
)
BEGIN = datetime(2025, 3, 10, 8, tzinfo=UTC)


@contextmanager
def one_reading(server: Postgres, folder: Path) -> Iterator[ArchivedLedger]:
    """A ledger of one reading, below `folder`."""
    with archived_ledger(server.layout.database_url, folder) as found:
        found.send([reading(BEGIN)], found.store(RELEASE))
        yield found


@pytest.fixture(scope="module")
def ledger(
    ledger_server: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ArchivedLedger]:
    with one_reading(ledger_server, tmp_path_factory.mktemp("lineage")) as found:
        yield found


def traced(
    ledger: ArchivedLedger, organizations: str, kept: KeptBooks | None = None
) -> dict[str, Any]:
    """The record of the first entry, for who sees these organizations."""
    ((entry_id,),) = ledger.rows("select entry_id from ledger.entry order by line_no limit 1")
    with tracer(ledger, organizations, kept) as found:
        record: dict[str, Any] = found.entry(entry_id)["record"]
    return record


@contextmanager
def tracer(
    ledger: ArchivedLedger, organizations: str, kept: KeptBooks | None = None
) -> Iterator[Tracer]:
    """For who sees these organizations."""
    settings = Settings({**ledger.settings.values, "CARBON_ORGANIZATIONS": organizations})
    with closing(
        connect(ledger.database.reader_url, "tests", True, organizations=organizations)
    ) as conn:
        yield Tracer(
            connection=conn, archive_url=ledger.archive_url, settings=settings, kept_books=kept
        )


def record_at(ledger: ArchivedLedger, offset: int, organizations: str) -> dict[str, Any]:
    with tracer(ledger, organizations) as found:
        story: dict[str, Any] = found.record(ledger.topic, 0, offset, None)
    return story


def is_unknown(ledger: ArchivedLedger, offset: int, organizations: str) -> bool:
    with pytest.raises(ConfigurationError) as refused:
        record_at(ledger, offset, organizations)
    return refused.value.code == "unknown_record"


def test_a_refusal_is_told_by_what_sees_everything_alone(ledger: ArchivedLedger) -> None:
    everything, own = traced(ledger, "*"), traced(ledger, "default")
    assert everything["refusal"] is None
    assert everything["comes_out_equal"] is True
    # Vehicles, meters and suppliers of others are not seen: what is judged without is no verdict.
    told_to_all = {"comes_out_equal", "computed_by_this_code", "working"}
    assert set(everything) - set(own) == {"refusal", *told_to_all}
    assert own == {name: everything[name] for name in own}


TRIP = {
    "vehicle_id": "van-1",
    "trip_id": "T1",
    "country_iso2": "DE",
    "vehicle_class": "van_average",
    "timestamp": "2025-05-31T23:30:00Z",
    "interval_seconds": 3600,
    # Of what, only the register of vehicles says, which one organization does not see.
    "fuel_litres": "10",
}


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The sink asks one that knows the schema of trips, by the id they are framed with."""
    with serving_schema(SCHEMA_ID, widest_schema_text("transport")) as url:
        monkeypatch.setenv("CARBON_REGISTRY_URL", url)
        _registry.cache_clear()
        yield
        _registry.cache_clear()


@pytest.mark.usefixtures("registry")
def test_a_record_that_came_again_is_known_to_its_organization(
    ledger_server: Postgres, tmp_path: Path
) -> None:
    """It has no entries of its own, and cannot be judged again by who sees no vehicles."""
    url_of = ledger_server.layout.database_url
    with archived_ledger(url_of, tmp_path, stream="transport") as ledger:
        release_id = ledger.store(SHIPPED)
        van = Vehicle(
            vehicle_id="van-1", vehicle_class="van_average", fuel="diesel", ownership="own"
        )
        with closing(ledger.writer()) as conn, conn.transaction():
            apply_statements(
                conn,
                [Stated(record=van, file="test.yaml")],
                source="test.yaml",
                source_sha256=bytes(32),
            )
        assert ledger.send_events([TRIP], release_id).ledgered == 1
        again = ledger.send_events([TRIP, {**TRIP, "fuel_litres": "11"}], release_id)
        assert (again.duplicate, again.quarantined) == (1, 1)
        first, second = (record_at(ledger, offset, "default") for offset in (0, 1))
        assert first["record"]["event_id"] == second["record"]["event_id"]
        assert (first["fate"], second["fate"]) == ("ledgered", "duplicate")
        numbers = [[one["entry_id"] for one in story["entries"]] for story in (first, second)]
        assert numbers[0] == numbers[1] != []
        assert not any(one["is_of_this_record"] for one in second["entries"])
        assert record_at(ledger, 1, "*")["fate"] == "duplicate"
        # Other bytes were refused, which is told to who sees everything; and nothing to strangers.
        assert record_at(ledger, 2, "*")["fate"] == "quarantined"
        assert is_unknown(ledger, 2, "default")
        assert [is_unknown(ledger, offset, "elsewhere") for offset in range(3)] == [True] * 3


def test_a_refused_record_is_no_duplicate_to_who_does_not_see_the_refusal(
    ledger: ArchivedLedger,
) -> None:
    (release_id,) = {row[0] for row in ledger.rows("select release_id from factors.release")}
    refused = ledger.send([reading(BEGIN, energy_kwh="99")], release_id)
    assert refused.quarantined == 1
    assert record_at(ledger, 1, "*")["fate"] == "quarantined"
    assert is_unknown(ledger, 1, "default")


def alter(ledger: ArchivedLedger, where: str) -> None:
    """Doubles factors behind everybody's back; their hashes stay."""
    with closing(ledger.database.admin()) as conn:
        conn.execute("alter table factors.factor disable trigger refuse_change")
        conn.execute(
            f"update factors.factor set kgco2e_per_unit = 2 * kgco2e_per_unit "  # type: ignore[arg-type]
            f"where {where}"
        )


def test_with_kept_books_a_trace_reads_the_factors_of_its_lines_and_no_others(
    ledger_server: Postgres, tmp_path: Path
) -> None:
    """The page of an entry took seconds, nearly all of them to read a release of 7,500 factors."""
    kept = KeptBooks()
    with one_reading(ledger_server, tmp_path) as ledger:
        ((factor_id,),) = ledger.rows(
            "select factor_id from ledger.entry where starts_with(factor_id, 'grid:') limit 1"
        )
        first = traced(ledger, "*", kept)
        assert first["comes_out_equal"] is True
        assert first == traced(ledger, "*")
        alter(ledger, f"factor_id <> '{factor_id}'")
        assert traced(ledger, "*")["problem"].startswith("factor_hash")
        assert traced(ledger, "*", kept) == first
        alter(ledger, f"factor_id = '{factor_id}'")
        told = traced(ledger, "*", kept)
        assert told["problem"].startswith("factor_hash")
        assert factor_id in told["problem"]
        assert "working" not in told


def test_the_books_asked_for_last_are_kept_and_each_is_read_once(ledger: ArchivedLedger) -> None:
    with closing(ledger.writer()) as conn:
        names = [RELEASE.release_id]
        for number in (1, 2):
            release = make_release(f"test{number}", RELEASE.rows, RELEASE.index_rows)
            store_release(conn, release)
            names.append(release.release_id)
    kept = KeptBooks(2)

    def book(name: str) -> FactorBook:
        with closing(ledger.database.reader()) as conn:
            return kept.of(conn, name)

    with ThreadPoolExecutor(8) as pool:
        (first,) = {*pool.map(book, [names[0]] * 8)}
    second = book(names[1])
    assert (book(names[0]), first.release_id) == (first, names[0])
    assert book(names[2]).release_id == names[2]
    assert book(names[0]) is first
    assert book(names[1]) is not second
