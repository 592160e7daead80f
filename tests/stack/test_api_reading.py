"""What every reading operation has: parameters that are known, no NUL character, an entity tag."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from carbon_ledger.access_keys import NewKey
from carbon_ledger.settings import Settings
from carbon_ledger.store.edge_letters import keep_edge_letters
from devstack.postgres import Postgres
from tests.support.api_server import api_server
from tests.support.api_world import OWN, Told, fill, keys_of_callers, letter
from tests.support.postgres import scratch_database
from tests.support.reading_ledger import settings_of

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
# Not JSON: for spreadsheets and for Prometheus.
NO_JSON = {"/v1/entries/export", "/metrics"}
UNTAGGED = {*NO_JSON, "/v1/health", "/v1/ready"}


@dataclass(kw_only=True)
class World:
    """A ledger with something of everything, its API, and a key of each kind of caller."""

    url: str
    app: Any
    settings: Settings
    told: Told
    keys: dict[str, NewKey]

    def ask(
        self, path: str, method: str = "GET", who: str = "everything", **given: Any
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.keys[who].text}", **given.pop("headers", {})}
        return httpx.request(method, self.url + path, headers=headers, timeout=60, **given)

    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.url}/v1/openapi.json", timeout=60).json()
        return found

    def reading(self) -> dict[str, str]:
        """By path of each reading operation that needs a key, an address of something there."""
        values = {
            "number": self.told.submissions[0],
            "letter_id": self.told.letter_id,
            "facility_id": "plant-1",
            "category": 1,
            "supplier_id": "SUP_042_DE",
            "entry_id": self.told.entry_ids[0],
            "release_id": self.told.release_id,
            "factor_id": self.told.factor_id,
            "snapshot_id": self.told.snapshot_id,
        }
        queries = {"/v1/completeness": "?start_date=2025-01-01&end_date=2025-01-31"}
        found = {}
        for path, methods in self.document()["paths"].items():
            if "get" in methods:
                address = re.sub(r"\{(\w+)\}", lambda one: quote(str(values[one[1]])), path)
                found[path] = address + queries.get(path, "")
        return found


@pytest.fixture(scope="module")
def world(ledger_server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home: Path = tmp_path_factory.mktemp("api_reading")
    with scratch_database(ledger_server.layout.database_url, with_factors=True) as database:
        settings = settings_of(
            database,
            home,
            CARBON_DEFAULT_ORGANIZATION=OWN,
            CARBON_API_REQUESTS_PER_SECOND="0",
        )
        told = fill(database, settings)
        nowhere = replace(letter(), letter_id="edge:00f1c2a9b34d5e70", stream=None, kafka_offset=1)
        with closing(database.writer(autocommit=True)) as conn:
            keep_edge_letters(
                conn, [nowhere], topic_id="T", kafka_partition=0, start_offset=1, next_offset=2
            )
        keys = keys_of_callers(settings)
        with api_server(settings) as (url, app):
            yield World(url=url, app=app, settings=settings, told=told, keys=keys)


def test_a_misspelt_parameter_and_one_given_twice_are_refused(world: World) -> None:
    for path, address in world.reading().items():
        if path in ("/v1/health", "/v1/ready"):
            continue
        more = "&" if "?" in address else "?"
        strange = world.ask(f"{address}{more}resaon=x")
        assert (strange.status_code, strange.json()["code"]) == (422, "unknown_parameter"), path
        assert strange.json()["field"] == "query.resaon"
    twice = world.ask("/v1/dead-letters?limit=1&limit=2")
    assert (twice.status_code, twice.json()["code"]) == (422, "parameter_twice")
    assert world.ask("/v1/dead-letters?state=open&state=discarded").status_code == 200
    strange = world.ask("/v1/activities?name=a.csv&tempalte=waste", "POST", content=b"a")
    assert (strange.status_code, strange.json()["code"]) == (422, "unknown_parameter")


def test_a_nul_character_in_any_parameter_is_refused(world: World) -> None:
    tried = 0
    for path, methods in world.document()["paths"].items():
        for method, operation in methods.items():
            known = operation.get("parameters", ())
            for one in known:
                if one["in"] not in ("path", "query"):
                    continue
                there = {"name": "a.csv", "start_date": "2025-01-01", "end_date": "2025-01-31"}
                needed = [given["name"] for given in known if given.get("required")]
                query = {name: value for name, value in there.items() if name in needed}
                address = re.sub(r"\{(\w+)\}", "1", path)
                if one["in"] == "path":
                    address = re.sub(
                        r"\{(\w+)\}",
                        lambda at, name=one["name"]: "a%00b" if at[1] == name else "1",
                        path,
                    )
                else:
                    query[one["name"]] = "a\x00b"
                body = {"content": b"{}"} if method == "post" else {}
                answer = world.ask(address, method.upper(), params=query, **body)
                # A webhook is not signed here.
                expected = 401 if "/webhooks/" in path else 422
                assert answer.status_code in (422, expected), f"{method} {path} {one['name']}"
                tried += 1
    assert tried > 60


def test_a_nul_character_on_a_page_is_refused(world: World) -> None:
    with httpx.Client(base_url=world.url, timeout=60) as browser:
        form = {"key": world.keys["auditor"].text}
        assert browser.post("/review/login", data=form).status_code == 303
        report = f"/review/reports/{world.told.snapshot_id}"
        for address in (
            *("/review?before=%00", "/review/now?report=%00&year=2025", "/review/find?what=%23%00"),
            *("/review/now?report=cdp&year=2025&as_of=%00", "/review/reports/%00"),
            *(f"{report}/document?form=%00", f"{report}/cells/%00", f"{report}/cells/a?after=%00"),
            *(f"{report}/sample?cell=%00", f"{report}/sample?method=%00"),
            *("/review/factors/1/a%00", f"/review/entries/{world.told.entry_ids[0]}?before=%00"),
            *(
                "/review/login?next=%00",
                "/review/sign-offs?before=%00",
                "/review/records/%00/0/0/0",
            ),
        ):
            assert browser.get(address).status_code == 422, address


def test_every_answer_has_a_tag_by_which_it_is_not_sent_again(world: World) -> None:
    for path, address in world.reading().items():
        if path in UNTAGGED:
            continue
        # As of a moment of one's own an answer stays the same.
        if path in ("/v1/completeness",):
            address += "&as_of=2025-06-01T00:00:00Z"
        first = world.ask(address)
        assert first.status_code == 200, first.text
        assert first.headers["Cache-Control"].startswith("private, ")
        assert first.headers["Vary"] == "Authorization"
        tag = first.headers["ETag"]
        if "as_of" in first.text and "as_of" not in address and "/lineage/" not in path:
            continue
        again = world.ask(address, headers={"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b""), path
        assert again.headers["ETag"] == tag


def test_what_would_be_valid_is_named_as_the_body_has_it(world: World) -> None:
    path = "/v1/dead-letters/edge:00f1c2a9b34d5e70:replay"
    refused = world.ask(path, "POST", json={"why": "a test"})
    assert (refused.status_code, refused.json()["code"]) == (422, "stream_missing")
    assert refused.json()["valid"].startswith("`stream` (--to-stream) is one of iot_energy")
    refused = world.ask(path, "POST", json={"why": "a test", "stream": "iot_energy"})
    assert (refused.status_code, refused.json()["code"]) == (422, "not_an_event")
    assert refused.json()["valid"].startswith("`changes` (--set FIELD=VALUE), `value` (--value")
