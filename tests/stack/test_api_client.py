"""The client against a real server and database, and a consumer that is killed and killed again."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from api.client import (
    ApiError,
    AsyncCarbonLedgerClient,
    CarbonLedgerClient,
    InvalidArgument,
    NotAuthorized,
    NotFound,
    Refused,
)
from api.local_key import LOCAL_SCOPES, ensure_local_key, local_key_file
from carbon_ledger.access_keys import parts_of
from carbon_ledger.settings import PROJECT_ROOT, Settings
from carbon_ledger.store.connect import connect
from carbon_ledger.store.correct import post_correction
from carbon_ledger.store.keys import list_keys, revoke_key
from carbon_ledger.store.seals import seal_pending
from devstack.postgres import Postgres
from tests.support.change_consumer import PICO, open_totals, totals
from tests.support.postgres import LedgerDatabase, scratch_database
from tests.support.reading_ledger import bought, post, reading_api
from tests.support.sealed_ledger import ORIGIN, new_signer

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
CONSUMER = PROJECT_ROOT / "tests" / "support" / "change_consumer.py"
PAGE = (PROJECT_ROOT / "docs" / "api.md").read_text(encoding="utf-8")
README = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
OWN = "SUP_042_DE"
KILLS = 20


@dataclass(kw_only=True)
class World:
    """A ledger, an API in front of it, the local key in the stack's home."""

    url: str
    home: Path
    settings: Settings
    database: LedgerDatabase
    key: str


@pytest.fixture(scope="module")
def world(ledger_server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home: Path = tmp_path_factory.mktemp("client")
    (home / "stack.env").touch()
    with scratch_database(ledger_server.layout.database_url) as database:
        with closing(database.writer(autocommit=True)) as conn:
            rows = [
                bought(number, date(2025, 3, 1 + number % 9), "1234567.5") for number in range(9)
            ]
            post(conn, rows)
        with reading_api(database, home) as (url, settings):
            path = ensure_local_key(settings, "127.0.0.1")
            assert path is not None
            yield World(
                url=url,
                home=home,
                settings=settings,
                database=database,
                key=path.read_text(encoding="ascii").strip(),
            )


def test_the_documented_snippet_runs(world: World) -> None:
    snippet, on_page = (
        text
        for page in (README, PAGE)
        for text in re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
        if "get_supplier_inventory" in text
    )
    assert snippet == on_page
    done = subprocess.run(
        [sys.executable, "-c", snippet.replace("http://localhost:8000", world.url)],
        cwd=PROJECT_ROOT,
        env={
            **{name: text for name, text in os.environ.items() if name != "CARBON_API_KEY"},
            "CARBON_HOME": str(world.home),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "11,111.1 tCO2e, last event 2025-03-09 00:08:00+00:00\n"


def test_an_inventory_is_exact_and_becomes_a_data_frame(world: World) -> None:
    with CarbonLedgerClient(world.url, world.key) as client:
        found = client.get_supplier_inventory(
            supplier_id=OWN,
            scope=3,
            start_date=date(2025, 1, 1),
            end_date="2025-12-31",
            granularity="daily",
        )
        assert found.total_tco2e == Decimal("11111.1075")
        assert f"{found.total_tco2e:,.1f}" == "11,111.1"
        assert found.last_event_timestamp == datetime(2025, 3, 9, 0, 8, tzinfo=UTC)
        assert (found.primary_data_share, found.by_category) == (0, {1: Decimal("11111107.5")})
        assert [one.start for one in found.series] == [date(2025, 3, day) for day in range(1, 10)]
        frame = found.to_pandas()
        assert sum(frame["kgco2e"]) == found.total_kgco2e
        assert list(frame.columns) == ["end", "kgco2e", "entries"]
        empty = client.get_supplier_inventory("SUP_999_XX", granularity="daily")
        assert (empty.total_tco2e, empty.series, empty.entries) == (0, (), 0)
        assert len(empty.to_pandas()) == 0
        whole = client.get_inventory(as_of=found.as_of)
        assert whole.total_kgco2e == client.get_category_inventory(1).total_kgco2e
        assert client.get_facility_inventory("plant-1", basis="market").scope is None


def test_entries_and_exports_are_the_same(world: World, tmp_path: Path) -> None:
    with CarbonLedgerClient(world.url, world.key) as client:
        found = list(client.entries(supplier_id=OWN, is_active=True))
        assert len(found) == 9
        assert client.get_entry(found[0]["entry_id"]) == found[0]
        as_of = client.export_entries(tmp_path / "all.ndjson", supplier_id=OWN)
        lines = (tmp_path / "all.ndjson").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line) for line in lines] == found
        client.export_entries(tmp_path / "all.parquet", form="parquet", as_of=as_of)
        assert pq.read_table(tmp_path / "all.parquet").num_rows == 9
        with pytest.raises(Refused) as caught:
            client.export_entries(tmp_path / "none.csv", form="csv", as_of="2199-01-01T00:00:00Z")
        assert caught.value.code == "not_known_yet"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["all.ndjson", "all.parquet"]


def test_errors_are_told_apart(world: World) -> None:
    with CarbonLedgerClient(world.url, "") as client:
        with pytest.raises(NotAuthorized, match=r"unauthorized: .*no key was sent"):
            client.get_inventory()
    with CarbonLedgerClient(world.url, world.key) as client:
        with pytest.raises(NotFound):
            client.get_entry("00000000-0000-8000-8000-000000000000")
        with pytest.raises(NotFound):
            client.get_factor("none")
        with pytest.raises(Refused) as caught:
            client.get_inventory(scope=4)
        assert isinstance(caught.value, ApiError)
        assert (caught.value.code, caught.value.field) == ("invalid_parameter", "query.scope")
        assert "(field query.scope; value '4'" in str(caught.value)
        with pytest.raises(InvalidArgument, match="not_an_identifier"):
            client.get_supplier_inventory("..")
        assert client.list_factor_releases() == []
        assert client.get_completeness("2025-01-01", "2025-01-31")["expected"] == 0


def test_the_client_that_does_not_block_answers_the_same(world: World, tmp_path: Path) -> None:
    async def ask() -> None:
        async with AsyncCarbonLedgerClient(world.url, world.key) as client:
            one, other = await asyncio.gather(
                client.get_supplier_inventory(supplier_id=OWN, granularity="daily"),
                client.get_inventory(),
            )
            assert one.total_kgco2e == other.total_kgco2e == Decimal("11111107.5")
            entries = [entry async for entry in client.entries(scope=3)]
            assert len(entries) == 9
            await client.export_entries(tmp_path / "all.csv", form="csv")
            assert (tmp_path / "all.csv").read_bytes().count(b"\n") == 10
            assert [change async for change in client.changes()] == []
            with pytest.raises(NotFound):
                await client.get_entry("00000000-0000-8000-8000-000000000000")

    asyncio.run(ask())


def test_the_local_key_is_private_kept_while_it_is_good_and_made_nowhere_else(
    world: World,
) -> None:
    path = local_key_file(world.settings)
    assert path.stat().st_mode & 0o777 == 0o600
    assert ensure_local_key(world.settings, "::1") == path
    assert path.read_text(encoding="ascii").strip() == world.key
    parts = parts_of(world.key)
    assert parts is not None
    with connect(world.settings["CARBON_DATABASE_WRITER_URL"], "tests", True) as conn:
        (kept,) = list_keys(conn, parts[0])
        assert kept.scopes == LOCAL_SCOPES
        assert not any(scope.startswith("activities:") for scope in kept.scopes)
    assert ensure_local_key(world.settings, "0.0.0.0") is None  # noqa: S104
    elsewhere = {"CARBON_DATABASE_WRITER_URL": "postgresql://u:p@db.example.org/carbon"}
    assert ensure_local_key(Settings({**world.settings.values, **elsewhere}), "127.0.0.1") is None
    nowhere = {"CARBON_DATABASE_WRITER_URL": "postgresql://u:p@127.0.0.1:1/carbon"}
    assert ensure_local_key(Settings({**world.settings.values, **nowhere}), "127.0.0.1") is None
    bare = {"CARBON_HOME": str(world.home / "other")}
    assert ensure_local_key(Settings({**world.settings.values, **bare}), "127.0.0.1") is None


def test_a_local_key_that_was_revoked_is_made_anew(
    ledger_server: Postgres, world: World, tmp_path: Path
) -> None:
    (tmp_path / "stack.env").touch()
    settings = Settings({**world.settings.values, "CARBON_HOME": str(tmp_path)})
    path = ensure_local_key(settings, "127.0.0.1")
    assert path is not None
    first = path.read_text(encoding="ascii")
    parts = parts_of(first.strip())
    assert parts is not None
    with connect(settings["CARBON_DATABASE_WRITER_URL"], "tests", True) as conn:
        revoke_key(conn, parts[0], revoked_by="tests", reason="for a test")
    assert ensure_local_key(settings, "127.0.0.1") == path
    assert path.read_text(encoding="ascii") != first


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606])
def test_a_local_key_that_others_could_read_is_revoked_and_made_anew(
    world: World, tmp_path: Path, mode: int
) -> None:
    (tmp_path / "stack.env").touch()
    settings = Settings({**world.settings.values, "CARBON_HOME": str(tmp_path)})
    path = ensure_local_key(settings, "127.0.0.1")
    assert path is not None
    first = parts_of(path.read_text(encoding="ascii").strip())
    path.chmod(mode)
    assert ensure_local_key(settings, "127.0.0.1") == path
    assert path.stat().st_mode & 0o777 == 0o600
    second = parts_of(path.read_text(encoding="ascii").strip())
    assert first is not None
    assert second is not None
    with connect(settings["CARBON_DATABASE_WRITER_URL"], "tests", True) as conn:
        assert list_keys(conn, first[0])[0].reason == "others could read its file"
        assert list_keys(conn, second[0])[0].is_good(datetime.now(UTC))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"no key\n", b"ck_x" * 5_000])
def test_a_local_key_file_without_a_key_is_written_anew(
    world: World, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "stack.env").touch()
    settings = Settings({**world.settings.values, "CARBON_HOME": str(tmp_path)})
    path = local_key_file(settings)
    path.parent.mkdir()
    path.write_bytes(content)
    path.chmod(0o600)
    assert ensure_local_key(settings, "127.0.0.1") == path
    assert parts_of(path.read_text(encoding="ascii").strip()) is not None


@contextmanager
def consumer(world: World, path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A consumer's process, killed at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, str(CONSUMER), world.url, str(path)],
        env={**os.environ, "CARBON_API_KEY": world.key, "PYTHONPATH": str(PROJECT_ROOT)},
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(30)


def test_a_consumer_that_is_killed_twenty_times_has_the_exact_total(
    world: World, tmp_path: Path
) -> None:
    chance = random.Random(20)
    path, signer = tmp_path / "totals.sqlite", new_signer()
    totals_of = open_totals(path)
    number = 1_000

    def write_more() -> None:
        nonlocal number
        begin, number = number, number + 40
        with closing(world.database.writer(autocommit=True)) as conn:
            rows = [
                bought(one, date(2025, 5, 1), f"{one}.000000000{one % 1000:03d}")
                for one in range(begin, number)
            ]
            post(conn, rows)
            post_correction(
                conn,
                activity_month=rows[3].activity_month,
                entry_id=rows[3].entry_id,
                replacement=None,
                cause="a test",
            )
        with closing(world.database.sealer()) as conn:
            seal_pending(conn, signer, ORIGIN)

    for _ in range(KILLS):
        write_more()
        begun = totals(totals_of)[0]
        with consumer(world, path) as process:
            deadline = time.monotonic() + 60
            while totals(totals_of)[0] <= begun + chance.randrange(30):
                assert process.poll() is None, process.stderr and process.stderr.read()
                assert time.monotonic() < deadline
                time.sleep(0.002)
    with CarbonLedgerClient(world.url, world.key) as client, consumer(world, path):
        sealed = max(one.seq for one in client.changes())
        deadline = time.monotonic() + 60
        while totals(totals_of)[0] < sealed:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        expected = client.get_inventory().total_kgco2e
    seq, picograms = totals(totals_of)
    assert seq == sealed
    assert Decimal(picograms) / PICO == expected
    with closing(world.database.reader()) as conn:
        (row,) = conn.execute("select sum(kgco2e), count(*) from ledger.entry").fetchall()
    assert (expected, sealed) == (row[0], row[1])
