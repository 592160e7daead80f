"""ERP webhooks over HTTP into a real Kafka: 202 is a promise, and anything else loses nothing."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.client import ApiError, CarbonLedgerClient, json_bytes, signed_headers
from carbon_ledger import settings as settings_module
from carbon_ledger.settings import Settings
from tests.support.api_server import api_server
from tests.support.erp_documents import oracle_order, sap_order
from tests.support.kafka_events import event_in
from tests.support.kafka_reading import Since

pytestmark = pytest.mark.stack

TOPIC = "raw.procurement"
LETTERS = "dlq.failed_events"
OLD, NEW, ORACLE = b"sap-secret-number-one", b"sap-secret-number-two", b"oracle-secret-number-1"
SYSTEMS = """
systems:
  sap-prod:
    kind: sap_s4hana
    secret_files: [sap.new, sap.old]
    entities: {"1010": acme-de}
  fusion:
    kind: oracle_fusion
    secret_files: [oracle]
"""


@pytest.fixture(scope="module")
def settings(stack: object) -> Settings:
    return settings_module.load()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of systems and its secrets."""
    made = tmp_path_factory.mktemp("erp")
    for name, secret in {"sap.new": NEW, "sap.old": OLD, "oracle": ORACLE}.items():
        (made / name).write_bytes(secret + b"\n")
        (made / name).chmod(0o600)
    (made / "erp.yaml").write_text(SYSTEMS, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def url(settings: Settings, folder: Path) -> Iterator[str]:
    with api_server(settings, CARBON_ERP_SYSTEMS_FILE=str(folder / "erp.yaml")) as (found, _):
        yield found


def number() -> str:
    return str(uuid4().int)[:12]


def post(url: str, system: str, body: bytes, secret: bytes = OLD, **headers: str) -> httpx.Response:
    given = {**signed_headers(body, secret, int(time.time())), **headers}
    return httpx.post(f"{url}/v1/webhooks/erp/{system}", content=body, headers=given, timeout=60)


def ids_in(since: Since) -> list[str]:
    """Event ids of what arrived."""
    return [event_in(one.value(), "procurement").event_id for one in since.records()]


@pytest.mark.parametrize(
    ("system", "document", "secret"),
    [
        ("sap-prod", sap_order(number(), items=3), OLD),
        ("sap-prod", sap_order(number()), NEW),
        ("fusion", oracle_order(number()), ORACLE),
    ],
)
def test_what_is_answered_202_is_in_kafka(
    url: str, settings: Settings, system: str, document: dict[str, Any], secret: bytes
) -> None:
    since = Since(settings=settings, topic=TOPIC)
    answer = post(url, system, json_bytes(document), secret)
    assert answer.status_code == 202
    assert answer.json()["refused"] == []
    assert sorted(ids_in(since)) == sorted(answer.json()["events"])


def test_a_delivery_that_comes_again_is_answered_alike_and_adds_no_event(
    url: str, settings: Settings, folder: Path
) -> None:
    body = json_bytes(sap_order(number(), items=2))
    since = Since(settings=settings, topic=TOPIC)
    first = post(url, "sap-prod", body)
    again = post(url, "sap-prod", body)
    assert first.status_code == again.status_code == 202
    assert first.json() == again.json()
    assert len(since.records()) == 2
    # Another process has not seen it: it sends the same event ids, which the ledger takes once.
    with api_server(settings, CARBON_ERP_SYSTEMS_FILE=str(folder / "erp.yaml")) as (other, _):
        assert post(other, "sap-prod", body).json() == first.json()
    assert set(ids_in(since)) == set(first.json()["events"])
    assert len({one.value() for one in since.records()}) == 2


def test_a_line_that_is_wrong_is_a_letter_and_the_others_are_events(
    url: str, settings: Settings
) -> None:
    order = sap_order(number(), items=3)
    order["to_PurchaseOrderItem"]["results"][1]["PurchaseOrderQuantityUnit"] = "BOX"
    body = json_bytes(order)
    letters = Since(settings=settings, topic=LETTERS)
    answer = post(url, "sap-prod", body)
    assert answer.status_code == 202
    assert len(answer.json()["events"]) == 2
    (refused,) = answer.json()["refused"]
    assert (refused["code"], refused["value"]) == ("unknown_unit", "BOX")
    (letter,) = letters.records()
    headers = dict(letter.headers())
    assert letter.value() == body
    assert headers["carbon.source"] == b"erp:sap-prod"
    assert headers["carbon.reason_code"] == b"unknown_unit"
    assert headers["carbon.stream"] == b"procurement"
    assert f"1 of 3 lines: {refused['place']}: ".encode() in headers["carbon.reason"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "not_json"),
        (b'{"PurchaseOrder": "1\\u0000"}', 400, "nul_byte"),
        (b"\xff", 400, "not_utf8"),
        (b'{"PurchaseOrder": "1", "a": ' + b"9" * 5000 + b"}", 422, "out_of_range"),
        (b'{"hello": 1}', 422, "no_document"),
        (b'{"PurchaseOrder": "1"}', 422, "no_lines"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_and_kept(
    url: str, settings: Settings, body: bytes, status: int, code: str
) -> None:
    letters, events = (Since(settings=settings, topic=one) for one in (LETTERS, TOPIC))
    answer = post(url, "sap-prod", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert [one.value() for one in letters.records()] == [body]
    assert events.records() == []


def test_without_a_good_signature_nothing_is_taken_or_kept(url: str, settings: Settings) -> None:
    body = json_bytes(sap_order(number()))
    now = int(time.time())
    letters, events = (Since(settings=settings, topic=one) for one in (LETTERS, TOPIC))
    unsigned = httpx.post(f"{url}/v1/webhooks/erp/sap-prod", content=body)
    late = post(url, "sap-prod", body, **signed_headers(body, OLD, now - 400))
    answers = {
        "unsigned": unsigned,
        "another system's secret": post(url, "sap-prod", body, ORACLE),
        "an unknown system": post(url, "nobody", body),
        "late": late,
        "another body": post(url, "sap-prod", body, **signed_headers(body + b" ", OLD, now)),
    }
    assert {name: one.status_code for name, one in answers.items()} == dict.fromkeys(answers, 401)
    # Whether there is a system of a name is not told.
    assert answers["another system's secret"].json() == answers["an unknown system"].json()
    assert late.json()["code"] == "timestamp_outside_window"
    assert "s behind" in late.json()["detail"]
    assert letters.records() == events.records() == []


def test_a_secret_is_changed_without_a_restart(url: str, folder: Path) -> None:
    body = json_bytes(sap_order(number()))
    drawn = b"sap-secret-number-three"
    try:
        (folder / "sap.old").write_bytes(drawn)
        assert post(url, "sap-prod", body, OLD).status_code == 401
        assert post(url, "sap-prod", body, drawn).status_code == 202
    finally:
        (folder / "sap.old").write_bytes(OLD)


def test_a_body_that_is_too_large_is_refused_before_it_is_read(url: str) -> None:
    answer = post(url, "sap-prod", b"x" * (1024 * 1024 + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")

    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 65536

    try:
        chunked = httpx.post(f"{url}/v1/webhooks/erp/sap-prod", content=endless())
    except httpx.TransportError:
        return  # the server has closed while this was still sending
    assert chunked.status_code == 413


def test_while_kafka_hangs_nothing_is_promised_and_afterwards_nothing_is_lost(
    url: str, settings: Settings, stack: Any
) -> None:
    bodies = [json_bytes(sap_order(number(), items=5)) for _ in range(4)]
    since = Since(settings=settings, topic=TOPIC)
    before = post(url, "sap-prod", bodies[0])
    broker = stack.pids()["kafka"]
    os.kill(broker, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        with ThreadPoolExecutor(4) as threads:
            during = list(threads.map(lambda body: post(url, "sap-prod", body), bodies[1:]))
        took = time.monotonic() - begun
        # What was taken before is known without Kafka.
        assert post(url, "sap-prod", bodies[0]).status_code == 202
        health, ready = (httpx.get(f"{url}/v1/{name}", timeout=30) for name in ("health", "ready"))
    finally:
        os.kill(broker, signal.SIGCONT)
    assert [one.status_code for one in during] == [503] * 3
    assert all(int(one.headers["retry-after"]) > 0 for one in during)
    assert took < 30
    assert (health.status_code, health.json()["kafka"]) == (200, "unavailable")
    # What is there is read meanwhile.
    assert (ready.status_code, ready.json()["kafka"]["status"]) == (200, "unavailable")
    with CarbonLedgerClient(url) as client:
        after = [
            client.send_erp_document("sap-prod", body, secret=NEW)["events"] for body in bodies[1:]
        ]
    promised = set(before.json()["events"]).union(*after)
    assert len(promised) == 20
    found = ids_in(since)
    assert set(found) == promised
    # A record that was cut off may have arrived after all: then it is the same record twice.
    assert len({one.value() for one in since.records()}) == 20


def test_more_at_once_than_can_be_taken_is_slowed_and_not_lost(
    url: str, settings: Settings
) -> None:
    documents = [sap_order(number()) for _ in range(60)]
    since = Since(settings=settings, topic=TOPIC)

    def send(document: dict[str, Any]) -> str:
        with CarbonLedgerClient(url) as client:
            answer = client.send_erp_document("sap-prod", document, secret=OLD)
        (event,) = answer["events"]
        return str(event)

    with ThreadPoolExecutor(20) as threads:
        sent = list(threads.map(send, documents))
    assert sorted(ids_in(since)) == sorted(sent)


def test_the_client_tells_a_refusal_by_its_code(url: str) -> None:
    with CarbonLedgerClient(url) as client, pytest.raises(ApiError) as caught:
        client.send_erp_document("sap-prod", {"hello": 1}, secret=OLD)
    assert caught.value.code == "no_document"
    assert json.loads(json.dumps(caught.value.valid)).startswith("a document of kind sap_s4hana")
