"""Alive and ready: what the API says of itself while a part of what it needs is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.routes.health import NEEDED_FOR
from carbon_ledger.settings import Settings
from carbon_ledger.store.connect import connect
from devstack.postgres import Postgres
from tests.support.api_server import api_server, make_key
from tests.support.postgres import LedgerDatabase, scratch_database
from tests.support.reading_ledger import NOWHERE, settings_of

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]
NO_DATABASE = f"postgresql://nobody:nothing@{NOWHERE}/nothing"


@pytest.fixture(scope="module")
def database(ledger_server: Postgres) -> Iterator[LedgerDatabase]:
    with scratch_database(ledger_server.layout.database_url) as found:
        yield found


@pytest.fixture
def settings(database: LedgerDatabase, tmp_path: Path) -> Settings:
    """Of an API that has a database, and no Kafka."""
    return settings_of(database, tmp_path)


def told(url: str) -> tuple[Any, Any]:
    """Status and content of /v1/health, and of /v1/ready."""
    answers = [httpx.get(f"{url}/v1/{name}", timeout=30) for name in ("health", "ready")]
    for one in answers:
        assert one.headers["Cache-Control"] == "no-store"
        assert NOWHERE not in one.text
    return tuple((one.status_code, one.json()) for one in answers)  # type: ignore[return-value]


def statuses(ready: dict[str, Any]) -> dict[str, str]:
    return {name: one["status"] for name, one in ready.items() if name != "status"}


def test_without_kafka_it_is_alive_and_ready_and_reads(settings: Settings) -> None:
    with api_server(settings) as (url, _):
        (alive, health), (is_ready, ready) = told(url)
        key = make_key(settings)
        headers = {"Authorization": f"Bearer {key.text}"}
        assert httpx.get(f"{url}/v1/inventory", headers=headers).status_code == 200
    assert alive == 200
    assert health == {"status": "unavailable", "kafka": "unavailable", "database": "ok"}
    assert (is_ready, ready["status"]) == (200, "ok")
    assert statuses(ready) == {"reader": "ok", "gate": "ok", "kafka": "unavailable"}
    assert {name: ready[name]["needed_for"] for name in NEEDED_FOR} == NEEDED_FOR


@pytest.mark.parametrize("missing", ["reader", "gate"])
def test_without_a_database_it_is_alive_and_not_ready(settings: Settings, missing: str) -> None:
    key = make_key(settings)
    with api_server(settings, **{f"CARBON_DATABASE_{missing.upper()}_URL": NO_DATABASE}) as (
        url,
        _,
    ):
        (alive, health), (is_ready, ready) = told(url)
        headers = {"Authorization": f"Bearer {key.text}"}
        reading = httpx.get(f"{url}/v1/inventory", headers=headers)
    assert alive == 200
    assert health == {"status": "unavailable", "kafka": "unavailable", "database": "unavailable"}
    assert (is_ready, ready["status"]) == (503, "unavailable")
    there = {"reader": "ok", "gate": "ok", "kafka": "unavailable"}
    assert statuses(ready) == {**there, missing: "unavailable"}
    assert reading.status_code == 503


def test_a_connection_that_is_lost_is_opened_again(
    settings: Settings, database: LedgerDatabase
) -> None:
    with api_server(settings) as (url, app):
        assert told(url)[1][0] == 200
        # Each role may end its own connections.
        for role, name in (("reader", "carbon api ready"), ("gate", "carbon api")):
            with closing(connect(getattr(database, f"{role}_url"), "tests", True)) as conn:
                ended = conn.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where application_name = %s and datname = current_database()",
                    (name,),
                ).fetchall()
                assert ended == [(True,)]
        for part in (app.state.services.parts.reader, app.state.services.parts.gate):
            part._found = None
        assert told(url)[1][0] == 200


def test_what_a_part_is_needed_for_is_there(settings: Settings) -> None:
    with api_server(settings) as (url, _):
        document = httpx.get(f"{url}/v1/openapi.json", timeout=30).json()
    operations = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
    }
    named = {one for what in NEEDED_FOR.values() for one in what if one.startswith(("GET", "POST"))}
    assert named
    assert named <= operations
