"""Inventories by HTTP: exact, of whom it was asked, as of when, and of nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.routes.inventory import InventoryOut
from carbon_ledger.calculation import EVENT_KINDS
from carbon_ledger.entries import EntryRow
from carbon_ledger.quantities import canonical_text
from carbon_ledger.settings import Settings
from carbon_ledger.store.correct import post_correction
from carbon_ledger.store.quality import quality
from carbon_ledger.store.read import daily
from devstack.postgres import Postgres
from tests.support.api_server import make_key
from tests.support.postgres import LedgerDatabase, reading, scratch_database
from tests.support.reading_ledger import bought, post, reading_api

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
JANUARY, JUNE, NEXT = date(2025, 1, 1), date(2025, 6, 30), date(2026, 1, 1)
OWN = "SUP_042_DE"


def metered(number: int, day: date, kgco2e: str, **changes: Any) -> EntryRow:
    noon = datetime(day.year, day.month, day.day, 12, number, tzinfo=UTC)
    return reading(number, occurred_from=noon, local_date=day, kgco2e=Decimal(kgco2e), **changes)


def first_entries() -> list[EntryRow]:
    return [
        bought(1, JANUARY, "100.000000000001"),
        bought(2, JANUARY, "300", stream="supplier"),
        bought(3, JUNE, "50", category=4, flags="boundary_substitute,vintage_gap"),
        bought(4, JUNE, "7", supplier="SUP_043_FR"),
        bought(5, NEXT, "11"),
        bought(6, JUNE, "13", organization_id="acme"),
        # A sensor may be called as a supplier is, and is none.
        metered(7, JUNE, "1000", source_ref=OWN),
        metered(8, JUNE, "900", basis="market"),
        metered(9, JUNE, "20", scope=1, basis="combustion", facility_id="plant-2"),
        # Energy-related, beside the location-based one of the same electricity.
        metered(12, JUNE, "40", scope=3, category=3, basis="location", facility_id="plant-3"),
        metered(13, JUNE, "30", scope=3, category=3, basis="market", facility_id="plant-3"),
        # Evidence enters no total.
        bought(10, JUNE, "0", scope=0, category=None, basis="evidence"),
    ]


@dataclass(kw_only=True)
class World:
    """A ledger whose entries were posted, one of them corrected afterwards."""

    url: str
    settings: Settings
    database: LedgerDatabase
    before_correction: datetime
    headers: dict[str, dict[str, str]]

    def get(self, path: str, key: str = "reporter", **query: Any) -> httpx.Response:
        return httpx.get(self.url + path, params=query, headers=self.headers[key], timeout=30)

    def inventory(self, path: str, key: str = "reporter", **query: Any) -> dict[str, Any]:
        answer = self.get(path, key, **query)
        assert answer.status_code == 200, answer.text
        InventoryOut.model_validate_json(answer.content)
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture(scope="module")
def world(ledger_server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home: Path = tmp_path_factory.mktemp("inventory")
    with scratch_database(ledger_server.layout.database_url) as database:
        with closing(database.writer(autocommit=True)) as conn:
            recorded_at = post(conn, first_entries())
            wrong = bought(11, JUNE, "5000")
            before = post(conn, [wrong])
            assert recorded_at < before
            post_correction(
                conn,
                activity_month=wrong.activity_month,
                entry_id=wrong.entry_id,
                replacement=None,
                cause="a test",
            )
        with reading_api(database, home) as (url, settings):
            keys = {
                "reporter": make_key(settings, scopes=("ledger:read",), supplier_ids=()),
                "supplier": make_key(settings, scopes=("supplier:read",)),
                "acme": make_key(
                    settings, scopes=("ledger:read",), organization_id="acme", supplier_ids=()
                ),
            }
            yield World(
                url=url,
                settings=settings,
                database=database,
                before_correction=before,
                headers={
                    name: {"Authorization": f"Bearer {key.text}"} for name, key in keys.items()
                },
            )


def test_a_supplier_s_year_holds_what_it_declared_and_what_was_estimated(world: World) -> None:
    found = world.inventory(
        f"/v1/suppliers/{OWN}/inventory",
        scope=3,
        start_date="2025-01-01",
        end_date="2025-12-31",
        granularity="daily",
    )
    assert (found["total_kgco2e"], found["total_tco2e"]) == (
        "450.000000000001",
        "0.450000000000001",
    )
    assert found["entries"] == 3
    assert found["series"] == [
        {
            "start": "2025-01-01",
            "end": "2025-01-02",
            "kgco2e": "400.000000000001",
            "entries": 2,
        },
        {"start": "2025-06-30", "end": "2025-07-01", "kgco2e": "50", "entries": 1},
    ]
    assert found["by_category"] == [
        {"category": 1, "kgco2e": "400.000000000001", "entries": 2},
        {"category": 4, "kgco2e": "50", "entries": 1},
    ]
    assert found["by_scope"] == [{"scope": 3, "kgco2e": "450.000000000001", "entries": 3}]
    # 300 of 450 are 80 % primary data; 50 of 450 rest on a substitute.
    assert found["primary_data_share"] == "0.533333"
    assert found["substituted_share"] == "0.111111"
    assert found["last_event_timestamp"] == "2025-06-30T00:03:00Z"
    assert found["factor_releases"] == ["test-000000000000"]


def test_both_ends_of_the_period_are_in_it(world: World) -> None:
    path = f"/v1/suppliers/{OWN}/inventory"
    one_day = world.inventory(path, start_date="2026-01-01", end_date="2026-01-01")
    assert one_day["total_kgco2e"] == "11"
    assert world.inventory(path, end_date="2025-12-31")["total_kgco2e"] == "450.000000000001"
    assert world.inventory(path, start_date="2025-06-30")["total_kgco2e"] == "61"


def test_the_two_figures_of_scope_2_are_never_added_up(world: World) -> None:
    path = "/v1/facilities/plant-1/inventory"
    assert world.inventory(path, scope=2)["total_kgco2e"] == "1000"
    assert world.inventory(path, scope=2, basis="market")["total_kgco2e"] == "900"
    whole = world.inventory("/v1/inventory", start_date="2025-01-01", end_date="2025-12-31")
    assert {one["scope"]: one["kgco2e"] for one in whole["by_scope"]} == {
        1: "20",
        2: "1000",
        3: "497.000000000001",
    }
    assert whole["total_kgco2e"] == "1517.000000000001"


@pytest.mark.parametrize("basis", ["location", "market"])
def test_what_of_scope_3_rests_on_a_market_based_figure_is_not_added_to_it(
    world: World, basis: str
) -> None:
    for path in ("/v1/facilities/plant-3/inventory", "/v1/categories/3/inventory"):
        found = world.inventory(path, basis=basis)
        assert (found["total_kgco2e"], found["entries"]) == ("40", 1)
        assert found["by_category"] == [{"category": 3, "kgco2e": "40", "entries": 1}]


def test_an_organization_sees_its_own_rows_alone(world: World) -> None:
    assert world.inventory("/v1/inventory", "acme")["total_kgco2e"] == "13"
    assert world.inventory(f"/v1/suppliers/{OWN}/inventory", "acme")["total_kgco2e"] == "13"
    own = world.inventory(f"/v1/suppliers/{OWN}/inventory")
    assert own["total_kgco2e"] == "461.000000000001"


def test_nothing_is_an_empty_inventory(world: World) -> None:
    for path in (
        "/v1/suppliers/SUP_999_XX/inventory",
        "/v1/facilities/nowhere/inventory",
        "/v1/categories/9/inventory",
    ):
        for granularity in ("total", "daily"):
            found = world.inventory(path, granularity=granularity)
            assert (found["total_kgco2e"], found["total_tco2e"], found["entries"]) == ("0", "0", 0)
            assert found["series"] == found["by_scope"] == found["factor_releases"] == []
            assert found["last_event_timestamp"] is None
            assert found["primary_data_share"] is None


def test_a_supplier_s_key_reads_of_itself_alone_and_others_are_as_if_they_were_not(
    world: World,
) -> None:
    own = world.inventory(f"/v1/suppliers/{OWN}/inventory", "supplier")
    assert own["total_kgco2e"] == "461.000000000001"
    foreign, nobody = (
        world.get(f"/v1/suppliers/{one}/inventory", "supplier")
        for one in ("SUP_043_FR", "SUP_999_XX")
    )
    assert foreign.status_code == nobody.status_code == 404
    assert foreign.content == nobody.content
    for path in ("/v1/inventory", "/v1/facilities/plant-1/inventory", "/v1/categories/1/inventory"):
        assert world.get(path, "supplier").status_code == 403


def test_as_of_a_moment_it_is_what_stood_then_and_stays_so(world: World) -> None:
    path = f"/v1/suppliers/{OWN}/inventory"
    then = world.inventory(path, as_of=world.before_correction.isoformat())
    assert then["total_kgco2e"] == "5461.000000000001"
    assert then["last_event_timestamp"] == "2026-01-01T00:05:00Z"
    now = world.inventory(path)
    assert now["total_kgco2e"] == "461.000000000001"
    again = world.get(path, as_of=now["as_of"])
    assert again.json() == now
    later = world.get(path, as_of=(datetime.now(UTC) + timedelta(days=1)).isoformat())
    assert later.status_code == 422
    problem = later.json()
    assert (problem["code"], problem["field"]) == ("not_known_yet", "as_of")
    valid = datetime.fromisoformat(problem["valid"].removeprefix("a moment until "))
    assert world.get(path, as_of=valid.isoformat()).status_code == 200


def test_every_granularity_adds_up_to_the_total(world: World) -> None:
    starts = {
        "total": "2025-01-01",
        "monthly": "2025-01-01",
        "daily": "2025-01-01",
        "hourly": "2025-01-01T00:00:00Z",
        "five_minute": "2025-01-01T00:00:00Z",
    }
    for granularity, start in starts.items():
        found = world.inventory("/v1/inventory", granularity=granularity)
        series = found["series"]
        assert series[0]["start"] == start
        total = sum((Decimal(one["kgco2e"]) for one in series), Decimal(0))
        assert canonical_text(total) == found["total_kgco2e"]
        assert sum(one["entries"] for one in series) == found["entries"]
        assert [one["start"] for one in series] == sorted(one["start"] for one in series)


def test_a_day_s_figure_is_the_windows_and_its_share_the_quality_report_s(world: World) -> None:
    with closing(world.database.reader()) as conn:
        windows = daily(conn, start=JUNE, end=JUNE + timedelta(days=1), organization="default")
        graded = quality(conn, year=2026, organization="default")
    counted = [one for one in windows if one.scope and one.basis != "market"]
    found = world.inventory("/v1/inventory", start_date=str(JUNE), end_date=str(JUNE))
    assert canonical_text(sum((one.kgco2e for one in counted), Decimal(0))) == found["total_kgco2e"]
    assert sum(one.entries for one in counted) == found["entries"]
    (one,) = graded
    assert one.primary == 0
    next_year = world.inventory("/v1/inventory", start_date="2026-01-01")
    assert next_year["primary_data_share"] == "0"


def test_what_did_not_change_is_not_sent_again(world: World) -> None:
    path, as_of = "/v1/inventory", world.before_correction.isoformat()
    first = world.get(path, as_of=as_of)
    world.headers["again"] = {**world.headers["reporter"], "If-None-Match": first.headers["ETag"]}
    again = world.get(path, "again", as_of=as_of)
    assert (again.status_code, again.content) == (304, b"")
    assert world.get(path, "again").status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        {"scop": 3},
        {"scope": [3, 2]},
        {"scope": 0},
        {"scope": 4},
        {"basis": "both"},
        {"granularity": "yearly"},
        {"start_date": "2025-02-30"},
        {"start_date": "0001-01-01"},
        {"end_date": "9999-12-31"},
        {"start_date": "2025-02-01", "end_date": "2025-01-31"},
        {"as_of": "yesterday"},
        {"as_of": "0001-01-01T00:00:00+14:00"},
        {"as_of": "9999-12-31T23:59:59-14:00"},
    ],
)
def test_what_cannot_be_asked_is_refused(world: World, query: dict[str, Any]) -> None:
    answer = world.get("/v1/inventory", **query)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_streams_whose_events_name_a_supplier_are_those_of_the_database(world: World) -> None:
    with closing(world.database.reader()) as conn:
        for stream, kind in EVENT_KINDS.items():
            found = conn.execute("select ledger.supplier_of(%s, 'S')", (stream,)).fetchone()
            assert found is not None
            assert (found[0] == "S") == ("supplier_id" in kind.event_class.__slots__)


def test_the_supplier_s_entries_are_found_by_their_index(world: World) -> None:
    with closing(world.database.admin()) as conn:
        conn.execute("set enable_seqscan = off")
        plan = conn.execute(
            "explain select count(*) from ledger.entry e where e.stream in ('procurement', "
            "'supplier') and e.source_ref = 'SUP_042_DE' and ledger.supplier_of(e.stream, "
            "e.source_ref) = 'SUP_042_DE'"
        ).fetchall()
    assert "source_ref_local_date_idx" in str(plan)
