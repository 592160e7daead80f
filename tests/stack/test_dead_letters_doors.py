"""Command line, API, assets and metrics: four doors to the same letters."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner, Result
from fastapi.testclient import TestClient

from api.app import create_app
from api.client import ApiError, CarbonLedgerClient
from carbon_assets import dead_letters
from carbon_ledger.settings import load
from carbon_ledger.store.keys import create_key
from cli.dlq_commands import dlq
from pipeline.edge_letters import EdgeLetter, send_edge_letter
from pipeline.metrics import Metric, exposition, text_of
from pipeline.producers import CarbonEventProducer
from resources.database import LedgerDatabase
from sensors.dead_letters import figures
from tests.support.api_server import api_server
from tests.support.broken_readings import fields_of
from tests.support.letters import Ground, letter_ground
from tests.support.malformed import body_bytes, framed

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
NUMBERS = count(1)


@pytest.fixture(scope="module")
def shared_ground(stack: Any, tmp_path_factory: Any) -> Iterator[Ground]:
    with letter_ground(stack, tmp_path_factory.mktemp("letters")) as found:
        yield found


@pytest.fixture
def ground(shared_ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """The ground, with the settings of this process pointing to its ledger."""
    for role in ("writer", "reader", "gate"):
        url = getattr(shared_ground.database, f"{role}_url")
        monkeypatch.setenv(f"CARBON_DATABASE_{role.upper()}_URL", url)
    shared_ground.mark()
    return shared_ground


def bad(ground: Ground, fault: str = "negative") -> str:
    """A refused reading; its letter's id."""
    fields = fields_of(fault, next(NUMBERS))
    ground.send((b"meter", framed(ground.schema_id, body_bytes(fields))))
    ground.work()
    return max(ground.letters(), key=lambda one: one.recorded_at).letter_id


def carbon(*words: str) -> Result:
    return CliRunner().invoke(dlq, list(words))


def test_the_command_line_lists_shows_replays_and_discards(ground: Ground, tmp_path: Path) -> None:
    first, second = bad(ground), bad(ground, "country_alias")
    listed = carbon("list", "--reason", "unknown_country")
    assert second in listed.output
    assert first not in listed.output
    said = ("--who", "operator", "--why", "UK is GB")
    shown = carbon("show", second, "--raw", str(tmp_path / "raw"))
    assert "country_iso2 = UK" in shown.output
    assert "UK" in shown.output
    assert "nothing has been decided on it" in shown.output
    assert (tmp_path / "raw").read_bytes()[:1] == b"\0"
    assert carbon("replay", second, "--set", "country_iso2=GB").exit_code == 2
    refused = carbon("replay", second, "--set", "country_iso2=XX", *said)
    assert refused.exit_code == 3
    assert "unknown_country" in refused.output
    sent = carbon("replay", second, "--set", "country_iso2=GB", "--json", *said)
    assert json.loads(sent.output)["sent"] == [{"letter_id": second, "try": 1}]
    ground.work()
    assert carbon("discard", first, *said).output == "1 discarded\n"
    assert carbon("discard", first, *said).exit_code == 3
    states = json.loads(carbon("list", "--state", "any", "--json").output)["letters"]
    assert {one["letter_id"]: one["state"] for one in states}[second] == "landed"
    told = json.loads(carbon("show", second, "--json").output)
    (decision,) = told["decisions"]
    assert (decision["decided_by"], decision["reason"]) == ("operator", "UK is GB")
    assert base64.b64decode(told["record_value_base64"])[:1] == b"\0"
    history = carbon("show", second).output
    assert "replay, try 1 by operator: UK is GB" in history
    assert isinstance(carbon("show", "nonsense").exception, Exception)
    assert isinstance(carbon("replay", *said).exception, Exception)


@pytest.fixture
def client(ground: Ground) -> Iterator[TestClient]:
    with TestClient(create_app(load())) as found:
        yield found


def key(ground: Ground, *scopes: str, organization: str = "default") -> dict[str, str]:
    """The header of a new key."""
    with ground.database.writer(autocommit=True) as conn:
        made = create_key(
            conn,
            organization_id=organization,
            scopes=scopes,
            supplier_ids=(),
            holder="night shift",
            created_by="tests",
            expires_at=datetime.now(UTC) + timedelta(days=1),
        )
    return {"Authorization": f"Bearer {made.text}"}


def test_the_api_lists_shows_replays_and_discards(ground: Ground, client: TestClient) -> None:
    first, second = bad(ground), bad(ground, "country_alias")
    reads, writes = key(ground, "dlq:read"), key(ground, "dlq:read", "dlq:write")
    since = {"since": str(ground.since)}
    listed = client.get("/v1/dead-letters", params=since, headers=reads).json()
    assert {one["letter_id"] for one in listed["letters"]} == {first, second}
    assert listed["more"] is False
    page = client.get("/v1/dead-letters", params=since | {"limit": 1}, headers=reads).json()
    assert ([one["letter_id"] for one in page["letters"]], page["more"]) == ([first], True)
    shown = client.get(f"/v1/dead-letters/{second}", headers=reads).json()
    assert (shown["fields"]["country_iso2"], shown["state"]) == ("UK", "open")
    path = f"/v1/dead-letters/{second}:replay"
    body: dict[str, Any] = {"why": "UK is GB", "changes": {"country_iso2": "GB"}}
    assert client.post(path, json=body).status_code == 401
    assert client.post(path, json=body, headers=reads).status_code == 403
    assert client.post(path, json={"changes": {}}, headers=writes).status_code == 422
    wrong = body | {"changes": {"country_iso2": "XX"}}
    refused = client.post(path, json=wrong, headers=writes)
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_country")
    sent = client.post(path, json=body, headers=writes)
    assert (sent.status_code, sent.json()["try_no"]) == (202, 1)
    again = client.post(path, json=body, headers=writes)
    assert (again.status_code, again.json()["code"]) == (409, "under_way")
    ground.work()
    told = client.get(f"/v1/dead-letters/{second}", headers=reads).json()
    assert told["state"] == "landed"
    assert "night shift" in told["decisions"][0]["decided_by"]
    path = f"/v1/dead-letters/{first}:discard"
    assert client.post(path, json={"why": "a test"}, headers=writes).status_code == 200
    assert client.post(path, json={"why": "a test"}, headers=writes).status_code == 409
    for unknown in ("raw.iot.energy:0:999999999", "nonsense", "edge:0000000000000000"):
        assert client.get(f"/v1/dead-letters/{unknown}", headers=reads).status_code == 404
        path = f"/v1/dead-letters/{unknown}:replay"
        assert client.post(path, json=body, headers=writes).status_code == 404
    for name, code in (("state", "unknown_state"), ("stream", "stream_unknown")):
        strange = client.get("/v1/dead-letters", params={name: "lost"}, headers=reads)
        assert (strange.status_code, strange.json()["code"]) == (422, code)


def test_the_python_client_lists_shows_replays_and_discards_at_a_running_server(
    ground: Ground,
) -> None:
    first, second = bad(ground), bad(ground, "country_alias")
    text = key(ground, "dlq:read", "dlq:write")["Authorization"].removeprefix("Bearer ")
    settings = load()
    with api_server(settings) as (url, _), CarbonLedgerClient(url, text) as client:
        listed = client.list_dead_letters(since=ground.since)
        assert {one["letter_id"] for one in listed["letters"]} == {first, second}
        page = client.list_dead_letters(since=ground.since, limit=1)
        assert ([one["letter_id"] for one in page["letters"]], page["more"]) == ([first], True)
        chosen = client.list_dead_letters(since=ground.since, reason="unknown_country")
        assert [one["letter_id"] for one in chosen["letters"]] == [second]
        assert client.show_dead_letter(second)["fields"]["country_iso2"] == "UK"
        mend = {"why": "UK is GB", "changes": {"country_iso2": "GB"}}
        with pytest.raises(ApiError) as caught:
            client.replay_dead_letter(second, why="UK is XX", changes={"country_iso2": "XX"})
        assert (caught.value.status, caught.value.code) == (422, "unknown_country")
        sent = client.replay_dead_letter(second, **mend)
        assert (sent["letter_id"], sent["outcome"], sent["try_no"]) == (second, "sent", 1)
        with pytest.raises(ApiError) as caught:
            client.replay_dead_letter(second, **mend)
        assert (caught.value.status, caught.value.code) == (409, "under_way")
        ground.work()
        told = client.show_dead_letter(second)
        assert told["state"] == "landed"
        assert "night shift" in told["decisions"][0]["decided_by"]
        assert client.discard_dead_letter(first, why="a test")["outcome"] == "discarded"
        assert client.list_dead_letters(since=ground.since)["letters"] == []
        every = client.list_dead_letters(since=ground.since, states=["any"])["letters"]
        assert {one["letter_id"]: one["state"] for one in every} == {
            first: "discarded",
            second: "landed",
        }
        for unknown in ("raw.iot.energy:0:999999999", "../health", "a/b?c#d"):
            with pytest.raises(ApiError) as caught:
                client.show_dead_letter(unknown)
            assert caught.value.status == 404
    reads = key(ground, "dlq:read")["Authorization"].removeprefix("Bearer ")
    with api_server(settings) as (url, _), CarbonLedgerClient(url, reads) as client:
        with pytest.raises(ApiError) as caught:
            client.discard_dead_letter(first, why="may not")
        assert caught.value.status == 403


def test_dead_letters_are_for_the_operator_alone(ground: Ground, client: TestClient) -> None:
    stranger = key(ground, "dlq:read", "dlq:write", organization="somebody-else")
    for path in ("/v1/dead-letters", f"/v1/dead-letters/{bad(ground)}", "/metrics"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers=stranger).status_code == 403
        assert client.get(path, headers=key(ground, "dlq:write")).status_code == 403


def test_metrics_say_lag_fates_and_what_is_open(ground: Ground, client: TestClient) -> None:
    bad(ground)
    values = fields_of("negative", next(NUMBERS))
    ground.send((b"meter", framed(ground.schema_id, body_bytes(values))))
    answer = client.get("/metrics", headers=key(ground, "dlq:read"))
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if line[0] != "#")
    assert found['carbon_stream_lag_records{stream="iot_energy"}'] == "1"
    assert found['carbon_part_up{part="kafka"}'] == "1"
    dead = int(found['carbon_stream_records_total{stream="iot_energy",fate="dead_lettered"}'])
    assert dead == ground.rows("select sum(dead_lettered) from ledger.batch_part")[0][0]
    labels = 'stream="iot_energy",reason="negative_quantity",state="open"'
    assert int(found[f"carbon_dead_letters_open{{{labels}}}"]) >= 1
    assert float(found["carbon_dead_letters_oldest_age_seconds"]) > 0
    assert found["carbon_sealed_entries"] == "0"
    assert not any(name.startswith("carbon_seal_age_seconds") for name in found)
    again = client.get("/metrics", headers=key(ground, "dlq:read")).text
    assert 'carbon_api_requests_total{method="GET",route="/metrics",status="200"} 1' in again
    ground.work()
    dark = load({**ground.settings.values, **environment(ground)})
    text = exposition(dark)
    assert "carbon_stream_lag_records" not in text
    assert 'carbon_part_up{part="kafka"} 0' in text


def environment(ground: Ground) -> dict[str, str]:
    """Settings of this ground, with a Kafka that nobody is at."""
    return {
        "CARBON_KAFKA_BOOTSTRAP_SERVERS": "localhost:1",
        "CARBON_DATABASE_READER_URL": ground.database.reader_url,
    }


def test_labels_are_escaped() -> None:
    labels = (("reason", 'a "b"\\c\nd'),)
    metric = Metric(name="m", kind="gauge", meaning="one\ntwo", samples=[(labels, 1)])
    assert text_of([metric]).splitlines() == [
        "# HELP m one\\ntwo",
        "# TYPE m gauge",
        'm{reason="a \\"b\\"\\\\c\\nd"} 1',
    ]


def test_the_assets_take_up_and_replay_and_the_figures_are_observed(ground: Ground) -> None:
    tag = uuid.uuid4().hex[:8]
    with CarbonEventProducer(settings=ground.settings) as producer:
        letter = EdgeLetter(
            source=f"mqtt:{tag}",
            coordinates="a 1",
            payload=b"?",
            reason_code=f"not_json_{tag}",
            reason="no JSON",
        )
        send_edge_letter(producer, letter)
        producer.flush()
    resources = {"database": LedgerDatabase()}
    taken = dg.materialize([dead_letters.edge_letters], resources=resources)
    (facts,) = taken.asset_materializations_for_node("dlq__edge_letters")
    assert facts.metadata["taken"].value >= 1
    assert [one.source for one in ground.letters(source=f"mqtt:{tag}")] == [f"mqtt:{tag}"]
    letter_id = bad(ground)
    config = {"ids": [letter_id], "who": "w", "why": "y", "changes": {"energy_kwh": "3"}}
    for sent, refused in ((1, {}), (0, {"under_way": 1})):
        done = dg.materialize(
            [dead_letters.replay],
            resources=resources,
            run_config={"ops": {"dlq__replay": {"config": config}}},
        )
        (facts,) = done.asset_materializations_for_node("dlq__replay")
        assert facts.metadata["sent"].value == sent
        assert facts.metadata["refused_by_code"].value == refused
    ground.work()
    assert ground.letters(ids=(letter_id,))[0].state == "landed"
    from carbon_ledger.store.letters import count_letters

    with closing(ground.database.reader()) as conn:
        told = figures(count_letters(conn, tries=3), datetime.now(UTC))
    assert told["by_reason"][f"not_json_{tag}"] == 1
    assert told["oldest_age_seconds"] > 0
