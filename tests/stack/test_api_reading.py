"""What every reading operation has: parameters that are known, no NUL character, a tag, HEAD."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest

from api.described import EXAMPLES
from carbon_ledger.access_keys import NewKey
from carbon_ledger.settings import Settings
from carbon_ledger.store.connect import connect
from carbon_ledger.store.edge_letters import keep_edge_letters
from carbon_ledger.store.entry_export import FORMATS
from devstack.postgres import Postgres
from pipeline.metrics import text_of
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
        """By path of each reading operation, an address of something there; as of one moment where
        an answer is as of one, so that the same is answered each time.
        """
        as_of = self.ask("/v1/inventory").json()["as_of"]
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
        queries = {
            "as_of": as_of,
            "start_date": "2025-01-01",
            "end_date": "2025-12-31",
            "limit": "3",
            "n": "2",
        }
        found = {}
        for path, methods in self.document()["paths"].items():
            if "get" in methods:
                address = re.sub(r"\{(\w+)\}", lambda one: quote(str(values[one[1]])), path)
                known = {one["name"] for one in methods["get"].get("parameters", ())}
                query = {name: value for name, value in queries.items() if name in known}
                found[path] = f"{address}?{urlencode(query)}" if query else address
        return found

    def figures(self) -> dict[str, float]:
        """What the API's process has counted, by sample."""
        text = text_of(self.app.state.services.requests.metrics())
        lines = (line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
        return {name: float(value) for name, value in lines}


@pytest.fixture(scope="module")
def world(ledger_server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home: Path = tmp_path_factory.mktemp("api_reading")
    with scratch_database(ledger_server.layout.database_url, with_factors=True) as database:
        settings = settings_of(
            database,
            home,
            CARBON_DEFAULT_ORGANIZATION=OWN,
            CARBON_API_REQUESTS_PER_SECOND="0",
            CARBON_DATABASE_AUDITOR_URL=database.auditor_url,
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
        first = world.ask(address)
        assert first.status_code == 200, first.text
        assert first.headers["Cache-Control"].startswith("private, ")
        assert first.headers["Vary"] == "Authorization"
        tag = first.headers["ETag"]
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


def test_head_is_answered_as_get_is_without_its_content(world: World) -> None:
    volatile = {"date", "transfer-encoding"}
    for path, address in world.reading().items():
        # The figures of the process change with each request.
        more = {"content-length"} if path == "/metrics" else set()
        got, headed = (world.ask(address, method) for method in ("GET", "HEAD"))
        assert (headed.status_code, headed.content) == (got.status_code, b""), path
        told = [
            {name: value for name, value in one.headers.items() if name not in volatile | more}
            for one in (got, headed)
        ]
        assert told[0] == told[1], path
        if path not in UNTAGGED:
            same = world.ask(address, "HEAD", headers={"If-None-Match": got.headers["ETag"]})
            assert same.status_code == 304
    assert world.ask("/v1/openapi.json", "HEAD").status_code == 200
    assert world.ask("/v1/nothing", "HEAD").status_code == 404
    assert httpx.head(f"{world.url}/v1/entries").status_code == 401
    assert httpx.head(f"{world.url}/review/login").status_code == 200
    refused = world.ask("/v1/supplier/declarations", "HEAD")
    assert (refused.status_code, refused.headers["Allow"], refused.content) == (405, "POST", b"")
    assert world.ask("/v1/inventory", "DELETE").headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("form", list(FORMATS))
def test_head_of_an_export_makes_none(
    world: World, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    begun = []

    def counts(*_: Any) -> Iterator[bytes]:
        begun.append(form)
        yield b"content"

    monkeypatch.setitem(FORMATS, form, counts)
    before = world.figures()
    headed = world.ask(f"/v1/entries/export?format={form}", "HEAD")
    assert (headed.status_code, headed.content, begun) == (200, b"", [])
    assert headed.headers["Content-Disposition"].endswith(f'"entries.{form}"')
    assert datetime.fromisoformat(headed.headers["Carbon-As-Of"])
    after = world.figures()
    exports = [name for name in {*before, *after} if "export_" in name or "exports_" in name]
    assert {name: before.get(name) for name in exports} == {
        name: after.get(name) for name in exports
    }
    # The connection that reads for exports was given back: there are three.
    for _ in range(5):
        assert world.ask(f"/v1/entries/export?format={form}", "HEAD").status_code == 200
    assert world.ask(f"/v1/entries/export?format={form}").content == b"content"
    assert begun == [form]


def test_head_is_counted_as_the_get_it_stands_for(world: World) -> None:
    sample = 'carbon_api_requests_total{method="GET",route="/v1/factor-releases",status="200"}'
    before = world.figures().get(sample, 0)
    world.ask("/v1/factor-releases", "HEAD")
    after = world.figures()
    assert after[sample] == before + 1
    assert not any("HEAD" in name for name in after)


def test_head_of_an_auditor_is_written_down_and_limited(world: World) -> None:
    with closing(connect(world.settings["CARBON_DATABASE_AUDITOR_URL"], "tests", True)) as conn:

        def reads() -> list[Any]:
            return conn.execute(
                "select method, path, query from access.audited_read order by read_id"
            ).fetchall()

        before = len(reads())
        assert world.ask("/v1/inventory?scope=3", "HEAD", who="auditor").status_code == 200
        assert reads()[before:] == [("HEAD", "/v1/inventory", "scope=3")]
    with api_server(world.settings, CARBON_API_REQUESTS_PER_SECOND="1") as (url, _):
        headers = {"Authorization": f"Bearer {world.keys['everything'].text}"}
        answers = [httpx.head(f"{url}/v1/inventory", headers=headers) for _ in range(6)]
    assert [one.status_code for one in answers[:2]] == [200, 200]
    limited = [one for one in answers if one.status_code == 429]
    assert limited
    assert all(one.headers["Retry-After"] and not one.content for one in limited)


def shape(value: Any) -> Any:
    """What an answer has: names within names, and of a list the shape of its first."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else None


def lacking(told: Any, real: Any, place: str = "") -> Iterator[str]:
    """Names that only one of two shapes has, where both have any."""
    if isinstance(told, list) and isinstance(real, list):
        yield from lacking(told[0], real[0], f"{place}[]")
    elif isinstance(told, dict) and isinstance(real, dict):
        yield from (f"{place}.{name}" for name in told.keys() ^ real.keys())
        for name in told.keys() & real.keys():
            yield from lacking(told[name], real[name], f"{place}.{name}")


# What is in these is of the stream, the table or the day.
OPEN = (".fields", ".batch", ".seal", ".payload", ".gaps_by_kind", ".other_gases")


def test_the_examples_of_answers_are_what_is_answered(world: World) -> None:
    examples = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    for path, address in world.reading().items():
        if path in NO_JSON:
            continue
        told = shape(examples[f"GET {path}"]["answer"])
        real = shape(world.ask(address).json())
        found = [one for one in lacking(told, real) if not any(name in one for name in OPEN)]
        assert found == [], path
    assert list(lacking({"a": [{"b": None}]}, {"a": [{"c": None}]})) != []


def test_the_examples_of_bodies_are_taken(world: World) -> None:
    examples = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    bodies = {name: one["body"] for name, one in examples.items() if "body" in one}
    submitted = "POST /v1/activities"
    for number, (kind, body) in enumerate(bodies[submitted].items()):
        text = body if kind == "text/csv" else json.dumps(body)
        # Of one submission each, or the second file has rows that were submitted already.
        content = text.replace("W-1", f"example-{number}").encode()
        suffix = "csv" if kind == "text/csv" else "json"
        answer = world.ask(f"/v1/activities?name=waste.{suffix}", "POST", content=content)
        assert (answer.status_code, answer.json()["rows_refused"]) == (201, 0), answer.text
        assert answer.json().keys() == examples[submitted]["answer"].keys()
    token = httpx.post(
        f"{world.url}/auth/token",
        data=bodies["POST /auth/token"]["application/x-www-form-urlencoded"],
        auth=(world.keys["everything"].key_id, world.keys["everything"].secret),
    )
    assert token.status_code == 200
    assert token.json().keys() == examples["POST /auth/token"]["answer"].keys()
    # They name what is not there.
    for name, status in (
        ("POST /v1/lineage/sign-offs", 404),
        ("POST /v1/activities/{number}/approval", 404),
        ("POST /v1/activities/{number}/rejection", 404),
        ("POST /v1/dead-letters/{letter_id}:discard", 404),
        ("POST /v1/dead-letters/{letter_id}:replay", 404),
    ):
        address = name.removeprefix("POST ").replace("{number}", str(2**62))
        address = address.replace("{letter_id}", "edge:0000000000000000")
        answer = world.ask(address, "POST", json=bodies[name]["application/json"])
        assert answer.status_code == status, answer.text
