"""Keys by role: what each may read, what auditors read is recorded, and nobody asks too often."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from api.security import ASKED_LENGTH_MAX, SHOWN_LENGTH_MAX
from carbon_ledger.access_keys import ROLES, NewKey
from carbon_ledger.settings import Settings
from devstack.postgres import Postgres
from tests.support.api_server import make_key
from tests.support.postgres import LedgerDatabase, scratch_database
from tests.support.reading_ledger import bought, post, reading_api

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
# What each role is answered; a supplier's key may read of itself alone.
PATHS = {
    "/v1/inventory": {"operator", "reporter", "auditor", "service"},
    "/v1/suppliers/SUP_042_DE/inventory": set(ROLES),
    "/v1/entries": set(ROLES),
    "/v1/changes": {"operator", "reporter", "auditor", "service"},
    "/v1/entries/export": {"operator", "reporter", "auditor"},
    "/v1/factor-releases": {"operator", "reporter", "auditor", "service"},
    "/v1/completeness?start_date=2025-01-01&end_date=2025-01-31": {
        *("operator", "reporter", "auditor", "service"),
    },
    "/v1/dead-letters": {"operator", "auditor"},
}
# A key of role supplier that names every supplier.
ANY = "any supplier"


@dataclass(kw_only=True)
class World:
    """A ledger with two suppliers, and a key of each role."""

    url: str
    settings: Settings
    database: LedgerDatabase
    keys: dict[str, NewKey]

    def get(self, path: str, role: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.keys[role].text}"}
        return httpx.get(self.url + path, headers=headers, timeout=30)

    def reads(self) -> list[tuple[Any, ...]]:
        with closing(self.database.auditor()) as conn:
            return conn.execute(
                "select key_id, organization_id, method, path, query from access.audited_read "
                "order by read_id"
            ).fetchall()


@pytest.fixture(scope="module")
def world(ledger_server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home: Path = tmp_path_factory.mktemp("roles")
    with scratch_database(ledger_server.layout.database_url) as database:
        with closing(database.writer(autocommit=True)) as conn:
            day = date(2025, 3, 1)
            post(conn, [bought(1, day, "5"), bought(2, day, "7", supplier="SUP_043_FR")])
        with reading_api(database, home) as (url, settings):
            keys = {role: make_key(settings, role=role, scopes=()) for role in ROLES}
            keys[ANY] = make_key(settings, role="supplier", scopes=(), supplier_ids=("*",))
            yield World(url=url, settings=settings, database=database, keys=keys)


@pytest.mark.parametrize("path", list(PATHS))
def test_each_role_reads_what_is_its_own_and_nothing_else(world: World, path: str) -> None:
    statuses = {role: world.get(path, role).status_code for role in ROLES}
    assert statuses == {role: 200 if role in PATHS[path] else 403 for role in ROLES}


def test_a_supplier_sees_itself_alone(world: World) -> None:
    found = world.get("/v1/entries", "supplier").json()["entries"]
    assert {one["supplier_id"] for one in found} == {"SUP_042_DE"}
    assert world.get("/v1/suppliers/SUP_043_FR/inventory", "supplier").status_code == 404


def test_a_supplier_s_key_that_names_every_supplier_is_told_no_line_of_the_ledger(
    world: World,
) -> None:
    refused = world.get("/v1/inventory", ANY)
    assert refused.status_code == 403
    (one, *_) = world.get("/v1/entries", "reporter").json()["entries"]
    paths = (
        "/v1/entries",
        "/v1/entries?supplier_id=SUP_042_DE",
        f"/v1/entries/{one['entry_id']}",
    )
    for path in paths:
        answer = world.get(path, ANY)
        assert (answer.status_code, answer.content) == (403, refused.content)
    for path in ("/v1/entries/export", "/v1/changes", f"/v1/lineage/entries/{one['entry_id']}"):
        assert world.get(path, ANY).status_code == 403
    assert world.get("/v1/suppliers/SUP_043_FR/inventory", ANY).json()["total_kgco2e"] == "7"


def test_what_an_auditor_asks_for_is_recorded_and_nobody_else_s_questions(world: World) -> None:
    before = world.reads()
    for role in ROLES:
        world.get("/v1/inventory?scope=3&as_of=", role)
    world.get("/v1/entries/00000000-0000-8000-8000-000000000000", "auditor")
    world.get("/v1/suppliers/%00/inventory?x=%00%ff", "auditor")
    key = world.keys["auditor"].key_id
    assert world.reads()[len(before) :] == [
        (key, "default", "GET", "/v1/inventory", "scope=3&as_of="),
        (key, "default", "GET", "/v1/entries/00000000-0000-8000-8000-000000000000", ""),
        (key, "default", "GET", "/v1/suppliers//inventory", "x=%00%ff"),
    ]


def test_an_auditor_s_question_is_recorded_whole_or_not_answered(world: World) -> None:
    before = world.reads()
    last = "scope=3"
    longest = "&" * (ASKED_LENGTH_MAX - len(last)) + last
    assert world.get(f"/v1/inventory?{longest}", "auditor").status_code == 200
    refused = world.get(f"/v1/inventory?&{longest}", "auditor")
    assert refused.status_code == 422
    problem = refused.json()
    assert (problem["code"], problem["field"]) == ("invalid_parameter", "query")
    assert problem["value"] == "&" * SHOWN_LENGTH_MAX
    assert problem["valid"] == f"at most {ASKED_LENGTH_MAX} characters"
    path = world.get(f"/v1/factors/{'x' * ASKED_LENGTH_MAX}", "auditor")
    assert (path.status_code, path.json()["field"]) == (422, "path")
    assert [one[3:] for one in world.reads()[len(before) :]] == [("/v1/inventory", longest)]


def test_what_was_recorded_stays_and_the_gate_cannot_look_at_it(world: World) -> None:
    world.get("/v1/inventory", "auditor")
    with closing(world.database.admin()) as conn:
        for statement in (
            "delete from access.audited_read",
            "update access.audited_read set path = '/'",
            "truncate access.audited_read",
        ):
            with pytest.raises(psycopg.Error):
                conn.execute(statement)
    with psycopg.connect(world.database.gate_url, autocommit=True) as conn:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("select * from access.audited_read")


def test_an_auditor_is_told_nothing_that_could_not_be_recorded(world: World) -> None:
    with closing(world.database.admin()) as conn:
        conn.execute("revoke insert on access.audited_read from carbon_gate")
        try:
            assert world.get("/v1/inventory", "auditor").status_code >= 500
            assert world.get("/v1/inventory", "reporter").status_code == 200
        finally:
            conn.execute("grant insert on access.audited_read to carbon_gate")


def test_who_asks_too_often_is_asked_to_wait(
    world: World, ledger_server: Postgres, tmp_path: Path
) -> None:
    with reading_api(world.database, tmp_path, CARBON_API_REQUESTS_PER_SECOND="1") as (url, _):
        headers = {"Authorization": f"Bearer {world.keys['reporter'].text}"}
        with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
            answers = [client.get("/v1/factor-releases") for _ in range(30)]
        refused = [one for one in answers if one.status_code == 429]
        assert 0 < len(refused) < 30
        assert {one.status_code for one in answers} == {200, 429}
        assert refused[0].headers["Retry-After"] == "1"
        assert refused[0].json()["code"] == "too_many_requests"
        other = {"Authorization": f"Bearer {world.keys['service'].text}"}
        assert httpx.get(f"{url}/v1/factor-releases", headers=other).status_code == 200
