"""What suppliers declare over HTTP, rows and footprints, into a real Kafka."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.client import ApiError, CarbonLedgerClient, json_bytes
from carbon_ledger import settings as settings_module
from carbon_ledger.settings import Settings
from carbon_ledger.store.connect import connect
from tests.support.api_server import api_server, make_key
from tests.support.kafka_events import event_in
from tests.support.kafka_reading import Since
from tests.support.pact_events import event, footprint, fulfilled, request_file

pytestmark = pytest.mark.stack

TOPIC = "raw.supplier"
LETTERS = "dlq.failed_events"
OWN, FOREIGN = "request-of-ours", "request-of-somebody-else"


@pytest.fixture(scope="module")
def settings(stack: object) -> Settings:
    return settings_module.load()


@pytest.fixture(scope="module")
def url(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("pact") / "requests.yaml"
    path.write_text(request_file({OWN: "SUP_042_DE", FOREIGN: "SUP_043_FR"}), encoding="utf-8")
    with api_server(settings, CARBON_PACT_REQUESTS_FILE=str(path)) as (found, _):
        yield found


@pytest.fixture(scope="module")
def key(settings: Settings) -> str:
    return make_key(settings).text


@pytest.fixture
def client(url: str, key: str) -> Iterator[CarbonLedgerClient]:
    with CarbonLedgerClient(url, key) as made:
        yield made


def declaration(**changes: Any) -> dict[str, Any]:
    return {
        "declaration_id": f"d-{uuid4()}",
        "supplier_id": "SUP_042_DE",
        "entity_id": "acme-de",
        "kind": "product_footprint",
        "quantity": "500",
        "unit": "kg",
        "kgco2e_per_unit": Decimal("2.10"),
        "boundary": "cradle_to_gate",
        "gwp_set": "AR6",
        "timestamp": "2024-05-01T00:00:00Z",
        "interval_seconds": 31 * 86400,
        **changes,
    }


def events_in(since: Since) -> list[Any]:
    return [event_in(one.value(), "supplier") for one in since.records()]


def test_a_declaration_is_acknowledged_and_exact(
    client: CarbonLedgerClient, settings: Settings
) -> None:
    since = Since(settings=settings, topic=TOPIC)
    sent = declaration()
    answer = client.submit_declaration(sent)
    assert client.submit_declaration(sent) == answer
    events = events_in(since)
    assert {one.event_id for one in events} == {answer["event_id"]}
    assert len({one.value() for one in since.records()}) == 1
    assert events[0].kgco2e_per_unit == Decimal("2.10")


def test_numbers_never_pass_through_binary_floating_point(
    url: str, key: str, settings: Settings
) -> None:
    since = Since(settings=settings, topic=TOPIC)
    body = json_bytes(declaration(kgco2e_per_unit="?")).replace(b'"?"', b"0.10000000000000000555")
    answer = httpx.post(
        f"{url}/v1/supplier/declarations", content=body, headers={"Authorization": f"Bearer {key}"}
    )
    assert answer.status_code == 202, answer.text
    (found,) = events_in(since)
    # As binary floating point this is 0.1.
    assert found.kgco2e_per_unit == Decimal("0.10000000000000000555") != Decimal("0.1")


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"kgco2e_per_unit": "much"}, "not_a_number", "kgco2e_per_unit"),
        ({"unit": "furlong"}, "unknown_unit", "unit"),
        ({"timestamp": "yesterday"}, "not_a_timestamp", "timestamp"),
        ({"interval_seconds": 10**30}, "interval_out_of_range", "interval_seconds"),
        ({"interval_seconds": -1}, "interval_out_of_range", "interval_seconds"),
        ({"revision": 1000}, "revision_out_of_range", "revision"),
        ({"kgco2e_per_unit": "1e400"}, "out_of_range", "kgco2e_per_unit"),
        ({"colour": "green"}, "unknown_field", "colour"),
    ],
)
def test_what_is_wrong_is_named_and_kept(
    client: CarbonLedgerClient, settings: Settings, changes: dict[str, Any], code: str, field: str
) -> None:
    letters, events = (Since(settings=settings, topic=one) for one in (LETTERS, TOPIC))
    sent = declaration(**changes)
    with pytest.raises(ApiError) as caught:
        client.submit_declaration(sent)
    assert (caught.value.status, caught.value.code) == (422, code)
    assert caught.value.field == field
    (letter,) = letters.records()
    assert letter.value() == json_bytes(sent)
    assert dict(letter.headers())["carbon.reason_code"] == code.encode()
    assert events.records() == []


@pytest.mark.parametrize("as_array", [False, True])
def test_each_row_of_a_bulk_stands_for_itself(
    url: str, key: str, settings: Settings, as_array: bool
) -> None:
    letters, events = (Since(settings=settings, topic=one) for one in (LETTERS, TOPIC))
    rows = [
        json_bytes(declaration()),
        json_bytes(declaration(unit="furlong")),
        json_bytes(declaration(supplier_id="SUP_043_FR")),
        b'{"supplier_id":' if not as_array else b"7",
        json_bytes(declaration()),
    ]
    body = b"[" + b", ".join(rows) + b"]" if as_array else b"\n".join(rows)
    answer = httpx.post(
        f"{url}/v1/supplier/declarations:bulk",
        content=body,
        headers={"Authorization": f"Bearer {key}"},
        timeout=30,
    )
    assert answer.status_code == 202
    content = answer.json()
    assert (content["accepted"], content["refused"]) == (2, 3)
    assert [one["accepted"] for one in content["rows"]] == [True, False, False, False, True]
    assert [one["row"] for one in content["rows"]] == [1, 2, 3, 4, 5]
    codes = [one["code"] for one in content["rows"]]
    bad = "not_an_object" if as_array else "not_json"
    assert codes == [None, "unknown_unit", "supplier_not_yours", bad, None]
    ids = [one["event_id"] for one in content["rows"] if one["accepted"]]
    assert sorted(one.event_id for one in events_in(events)) == sorted(ids)
    # What is somebody else's is not kept.
    assert sorted(one.value() for one in letters.records()) == sorted([rows[1], rows[3]])


def test_a_key_declares_to_its_own_organization_s_entities_alone(
    url: str, settings: Settings
) -> None:
    """`theirs` is registered to organization `other`; nobody has registered `nobodys`."""
    entity_id = f"theirs-{uuid4()}"
    with connect(settings["CARBON_DATABASE_WRITER_URL"], "tests", True) as conn:
        conn.execute(
            "insert into reference.entity (entity_id, organization_id, kind, name, in_value_chain, "
            "valid_from, recorded_at) values (%s, 'other', 'subsidiary', '', false, "
            "'2020-01-01', now())",
            (entity_id,),
        )
    theirs, nobodys = declaration(entity_id=entity_id), declaration(entity_id=f"no-{uuid4()}")
    since = Since(settings=settings, topic=TOPIC)
    outcomes = []
    for organization in ("default", "other"):
        made = make_key(settings, organization_id=organization).text
        with CarbonLedgerClient(url, made) as client:
            answer = client.submit_declarations([theirs, nobodys])
            outcomes.append([row["code"] for row in answer["rows"]])
            if organization == "default":
                with pytest.raises(ApiError) as caught:
                    client.submit_declaration(theirs)
                assert (caught.value.status, caught.value.code) == (403, "entity_not_yours")
    assert outcomes == [["entity_not_yours", None], [None, "entity_not_yours"]]
    assert len(since.records()) == 2


def test_the_client_submits_many(client: CarbonLedgerClient, settings: Settings) -> None:
    since = Since(settings=settings, topic=TOPIC)
    answer = client.submit_declarations(declaration() for _ in range(300))
    assert (answer["accepted"], answer["refused"]) == (300, 0)
    assert len({one.event_id for one in events_in(since)}) == 300


# ---- PACT


def token(url: str, key: str) -> str:
    _, client_id, secret = key.split("_")
    answer = httpx.post(
        f"{url}/auth/token", data={"grant_type": "client_credentials"}, auth=(client_id, secret)
    )
    assert answer.status_code == 200, answer.text
    content = answer.json()
    assert (content["token_type"], content["expires_in"]) == ("Bearer", 3600)
    return str(content["access_token"])


def send(url: str, bearer: str, body: bytes) -> httpx.Response:
    return httpx.post(
        f"{url}/3/events",
        content=body,
        headers={
            "Authorization": f"Bearer {bearer}",
            "Content-Type": "application/cloudevents+json; charset=UTF-8",
        },
        timeout=30,
    )


def test_a_footprint_that_was_asked_for_is_a_declaration(
    url: str, key: str, settings: Settings
) -> None:
    since = Since(settings=settings, topic=TOPIC)
    sent = footprint()
    body = fulfilled(OWN, sent)
    answers = [send(url, token(url, key), body) for _ in range(2)]
    assert [(one.status_code, one.content) for one in answers] == [(200, b"")] * 2
    found = events_in(since)
    assert {one.event_id for one in found} == {f"supplier:SUP_042_DE@{sent['id']}:2024-05-01#0"}
    assert found[0].quantity == 24
    assert found[0].kgco2e_per_unit == Decimal("1.5")
    assert found[0].purchase_order_lines == ("PO-1/1",)


WRONG_EVENTS = {
    "a request of somebody else": (fulfilled(FOREIGN), "unknown_request"),
    "a request nobody made": (fulfilled("request-of-nobody"), "unknown_request"),
    "two footprints": (fulfilled(OWN, footprint(), footprint()), "ambiguous_footprints"),
    "a footprint without figures": (
        fulfilled(OWN, footprint(pcfExcludingBiogenicUptake=None)),
        "",
    ),
    "a footprint of version 4": (
        fulfilled(OWN, {**footprint(), "specVersion": "4.0.0"}),
        "unsupported_footprint_version",
    ),
    "no footprint": (event("RequestFulfilledEvent.3", {"requestEventId": OWN, "pfs": []}), ""),
    "an event of another kind": (event("Other.3", {}), "unknown_event_type"),
    "another version of CloudEvents": (fulfilled(OWN, specversion="0.3"), "unknown_version"),
    "no id": (fulfilled(OWN, id=""), "missing_field"),
    "no data": (fulfilled(OWN, data=None), "missing_field"),
    "no JSON": (b"{", "not_json"),
    "no object": (b"[]", "not_an_object"),
}


@pytest.mark.parametrize(("body", "code"), WRONG_EVENTS.values(), ids=WRONG_EVENTS)
def test_an_event_that_cannot_be_taken_is_refused_as_the_exchange_has_it_and_kept(
    url: str, key: str, settings: Settings, body: bytes, code: str
) -> None:
    letters, events = (Since(settings=settings, topic=one) for one in (LETTERS, TOPIC))
    answer = send(url, key, body)
    assert (answer.status_code, answer.json()["code"]) == (400, "BadRequest")
    assert code in answer.json()["message"]
    (letter,) = letters.records()
    assert letter.value() == body
    assert dict(letter.headers())["carbon.source"] == b"api:pact"
    assert events.records() == []


def test_a_foreign_and_an_absent_request_are_answered_alike(url: str, key: str) -> None:
    foreign, absent = (send(url, key, fulfilled(one)) for one in (FOREIGN, "request-of-nobody"))
    assert foreign.status_code == absent.status_code
    assert foreign.json() == absent.json()


@pytest.mark.parametrize(
    ("kind", "data", "code"),
    [
        ("PublishedEvent.3", {"pfIds": [str(uuid4())]}, b"footprint_published"),
        (
            "RequestRejectedEvent.3",
            {"requestEventId": OWN, "error": {"code": "NotFound", "message": "none"}},
            b"footprint_request_rejected",
        ),
    ],
)
def test_what_names_no_figures_is_taken_and_kept_for_somebody_to_see(
    url: str, key: str, settings: Settings, kind: str, data: dict[str, Any], code: bytes
) -> None:
    letters = Since(settings=settings, topic=LETTERS)
    answer = send(url, key, event(kind, data))
    assert (answer.status_code, answer.content) == (200, b"")
    (letter,) = letters.records()
    assert dict(letter.headers())["carbon.reason_code"] == code


def test_a_request_for_footprints_is_refused_at_once(url: str, key: str) -> None:
    answer = send(url, key, event("RequestCreatedEvent.3", {"productId": ["urn:gtin:1"]}))
    assert (answer.status_code, answer.json()["code"]) == (400, "BadRequest")


def test_a_token_opens_nothing_once_it_is_changed_or_its_time_is_over(url: str, key: str) -> None:
    good = token(url, key)
    name, key_id, until, tag = good.split("_")
    later = "_".join([name, key_id, str(int(until) + 1), tag])
    wrong = "_".join([name, key_id, until, "0" * 64])
    for bearer in (later, wrong):
        answer = send(url, bearer, fulfilled(OWN))
        assert (answer.status_code, answer.json()["code"]) == (401, "TokenExpired")
    assert send(url, "nothing", fulfilled(OWN)).json()["code"] == "AccessDenied"


@pytest.mark.parametrize(
    ("form", "auth", "status", "error"),
    [
        ({"grant_type": "password"}, None, 400, "unsupported_grant_type"),
        ({}, None, 400, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, None, 401, "invalid_client"),
        ({"grant_type": "client_credentials"}, ("a" * 16, "b" * 52), 401, "invalid_client"),
        ({"grant_type": "client_credentials"}, ("a\x00b", "c"), 401, "invalid_client"),
        (
            {"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"},
            None,
            401,
            "invalid_client",
        ),
        ({str(number): "x" for number in range(20)}, None, 400, "invalid_request"),
    ],
)
def test_no_token_is_given_to_who_is_not_known(
    url: str, form: dict[str, str], auth: tuple[str, str] | None, status: int, error: str
) -> None:
    answer = httpx.post(f"{url}/auth/token", data=form, auth=auth)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_a_file_of_requests_that_is_wrong_takes_nothing(
    settings: Settings, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "requests.yaml"
    content = json.loads(request_file({OWN: "SUP_042_DE"}))
    content["requests"][OWN]["quantity"] = 24.5
    path.write_text(json.dumps(content), encoding="utf-8")
    since = Since(settings=settings, topic=TOPIC)
    with api_server(settings, CARBON_PACT_REQUESTS_FILE=str(path)) as (url, _):
        answer = send(url, key, fulfilled(OWN))
    assert (answer.status_code, answer.json()["code"]) == (500, "InternalError")
    assert since.records() == []
