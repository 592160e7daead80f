"""Who may do what over HTTP: every operation there is, and every kind of caller."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.client import SIGNATURE_HEADER, TIMESTAMP_HEADER, json_bytes, signed_headers
from carbon_ledger import settings as settings_module
from carbon_ledger.access_keys import SCOPES, NewKey
from carbon_ledger.settings import Settings
from carbon_ledger.store.connect import connect
from carbon_ledger.store.keys import revoke_key
from tests.support.api_operations import CLIENT, KEY, OPEN, OPERATIONS, SIGNATURE, Request
from tests.support.api_server import api_server, make_key
from tests.support.erp_documents import sap_order
from tests.support.pact_events import request_file

pytestmark = pytest.mark.stack

SECRETS = {"sap": b"sap-secret-number-one", "oracle": b"oracle-secret-number-1"}
SYSTEMS = """
systems:
  sap-prod: {kind: sap_s4hana, secret_files: [sap]}
  fusion: {kind: oracle_fusion, secret_files: [oracle]}
"""
BODY = json_bytes(sap_order("4711"))


@pytest.fixture(scope="module")
def settings(stack: object) -> Settings:
    return settings_module.load()


@pytest.fixture(scope="module")
def server(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Any]]:
    folder: Path = tmp_path_factory.mktemp("access")
    for name, secret in SECRETS.items():
        (folder / name).write_bytes(secret)
        (folder / name).chmod(0o600)
    (folder / "erp.yaml").write_text(SYSTEMS, encoding="utf-8")
    suppliers = {"request-of-ours": "SUP_042_DE", "request-of-somebody-else": "SUP_043_FR"}
    (folder / "pact.yaml").write_text(request_file(suppliers), encoding="utf-8")
    with api_server(
        settings,
        CARBON_ERP_SYSTEMS_FILE=str(folder / "erp.yaml"),
        CARBON_PACT_REQUESTS_FILE=str(folder / "pact.yaml"),
    ) as found:
        yield found


@pytest.fixture(scope="module")
def keys(settings: Settings) -> dict[str, NewKey]:
    """A key of each kind; the one of every scope but one is made where it is needed."""
    made = {
        "own": make_key(settings),
        "expired": make_key(settings, expires_at=datetime.now(UTC) + timedelta(seconds=1)),
        "revoked": make_key(settings),
    }
    with connect(settings["CARBON_DATABASE_WRITER_URL"], "tests", True) as conn:
        revoke_key(conn, made["revoked"].key_id, revoked_by="tests", reason="for a test")
    time.sleep(1.1)
    unknown = make_key(settings)
    made["unknown"] = replace(unknown, secret=made["own"].secret)
    return made


def call(
    url: str, method: str, request: Request, headers: dict[str, str] | None = None, **auth: Any
) -> httpx.Response:
    given = {"Content-Type": "application/json", **request.headers, **(headers or {})}
    return httpx.request(
        method, url + request.path, content=request.body, headers=given, timeout=30, **auth
    )


def bearer(key: NewKey) -> dict[str, str]:
    return {"Authorization": f"Bearer {key.text}"}


def of_kind(kind: str) -> list[Any]:
    return [
        pytest.param(method, OPERATIONS[method, path], id=f"{method} {path}")
        for method, path in OPERATIONS
        if OPERATIONS[method, path].needs == kind
    ]


def without_a_row(document: dict[str, Any]) -> list[str]:
    """Operations of an OpenAPI document that nobody has said who may call."""
    there = {(method, path) for path, methods in document["paths"].items() for method in methods}
    return sorted(f"{method} {path}" for method, path in there ^ set(OPERATIONS))


def test_every_operation_has_a_row(server: tuple[str, Any]) -> None:
    document = httpx.get(f"{server[0]}/v1/openapi.json", timeout=30).json()
    assert without_a_row(document) == []
    document["paths"]["/v1/forgotten"] = {"get": {}}
    assert without_a_row(document) == ["get /v1/forgotten"]


def test_the_description_says_how_each_operation_is_opened(server: tuple[str, Any]) -> None:
    document = httpx.get(f"{server[0]}/v1/openapi.json", timeout=30).json()
    schemes = document["components"]["securitySchemes"]
    for (method, path), operation in OPERATIONS.items():
        said = document["paths"][path][method].get("security", [])
        names = [name for one in said for name in one]
        assert names == ([] if operation.needs == OPEN else [operation.needs])
        assert set(names) <= set(schemes)


@pytest.mark.parametrize(("method", "operation"), of_kind(KEY))
def test_an_operation_is_open_to_a_good_key_with_its_scope_alone(
    server: tuple[str, Any],
    settings: Settings,
    keys: dict[str, NewKey],
    method: str,
    operation: Any,
) -> None:
    url = server[0]
    own = call(url, method, operation.own, bearer(keys["own"]))
    assert own.status_code == operation.own_status, own.text
    refused = {
        "no key": call(url, method, operation.own),
        "no scheme": call(url, method, operation.own, {"Authorization": keys["own"].text}),
        "an empty key": call(url, method, operation.own, {"Authorization": "Bearer"}),
        "a key of another form": call(url, method, operation.own, {"Authorization": "Bearer x"}),
        **{
            name: call(url, method, operation.own, bearer(keys[name]))
            for name in ("expired", "revoked", "unknown")
        },
    }
    assert {name: one.status_code for name, one in refused.items()} == dict.fromkeys(refused, 401)
    assert len({one.content for one in refused.values()}) == 1
    opening = {operation.scope, operation.or_scope}
    others = tuple(scope for scope in SCOPES if scope not in opening)
    wrong = call(url, method, operation.own, bearer(make_key(settings, scopes=others)))
    assert wrong.status_code == 403
    for scope in opening - {None}:
        right = call(url, method, operation.own, bearer(make_key(settings, scopes=(scope,))))
        assert right.status_code == operation.own_status


@pytest.mark.parametrize(("method", "operation"), of_kind(KEY))
def test_what_is_somebody_else_s_is_answered_like_what_is_not_there(
    server: tuple[str, Any], keys: dict[str, NewKey], method: str, operation: Any
) -> None:
    if operation.foreign is None:
        assert operation.absent is None
        return
    foreign, absent = (
        call(server[0], method, one, bearer(keys["own"]))
        for one in (operation.foreign, operation.absent)
    )
    assert foreign.status_code == absent.status_code == operation.foreign_status
    assert foreign.content == absent.content


@pytest.mark.parametrize(("method", "operation"), of_kind(SIGNATURE))
def test_a_webhook_is_open_to_its_system_s_signature_alone(
    server: tuple[str, Any], keys: dict[str, NewKey], method: str, operation: Any
) -> None:
    url, now = server[0], int(time.time())
    own, foreign, absent = (
        replace(one, body=BODY) for one in (operation.own, operation.foreign, operation.absent)
    )
    good = signed_headers(BODY, SECRETS["sap"], now)
    assert call(url, method, own, good).status_code == operation.own_status
    refused = {
        "not signed": call(url, method, own),
        "a key instead": call(url, method, own, bearer(keys["own"])),
        "no time": call(url, method, own, {SIGNATURE_HEADER: good[SIGNATURE_HEADER]}),
        "another time": call(url, method, own, {**good, TIMESTAMP_HEADER: str(now - 1)}),
        "an old signature": call(url, method, own, signed_headers(BODY, SECRETS["sap"], now - 999)),
        "another system's": call(url, method, own, signed_headers(BODY, SECRETS["oracle"], now)),
    }
    assert {name: one.status_code for name, one in refused.items()} == dict.fromkeys(refused, 401)
    to_others = [call(url, method, one, good) for one in (foreign, absent)]
    assert [one.status_code for one in to_others] == [operation.foreign_status] * 2
    assert to_others[0].content == to_others[1].content


@pytest.mark.parametrize(("method", "operation"), of_kind(CLIENT))
def test_a_token_is_given_to_a_good_key_alone(
    server: tuple[str, Any], keys: dict[str, NewKey], method: str, operation: Any
) -> None:
    url = server[0]
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    def ask(key: NewKey) -> httpx.Response:
        return call(url, method, operation.own, form, auth=(key.key_id, key.secret))

    assert ask(keys["own"]).status_code == operation.own_status
    refused = [ask(keys[name]) for name in ("expired", "revoked", "unknown")]
    refused.append(call(url, method, operation.own, form))
    assert {one.status_code for one in refused} == {401}
    assert len({one.content for one in refused}) == 1


def test_a_token_ends_with_its_key(server: tuple[str, Any], settings: Settings) -> None:
    url, key = server[0], make_key(settings)
    answer = httpx.post(
        f"{url}/auth/token",
        data={"grant_type": "client_credentials"},
        auth=(key.key_id, key.secret),
    )
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    request = OPERATIONS["post", "/v1/supplier/declarations"].own
    assert call(url, "post", request, headers).status_code == 202
    with connect(settings["CARBON_DATABASE_WRITER_URL"], "tests", True) as conn:
        revoke_key(conn, key.key_id, revoked_by="tests", reason="for a test")
    begun = time.monotonic()
    while call(url, "post", request, headers).status_code != 401:
        assert time.monotonic() - begun < 5
        time.sleep(0.1)


def test_no_error_shows_where_it_happened(server: tuple[str, Any]) -> None:
    url, app = server

    def fails() -> None:
        raise RuntimeError("secret detail")

    app.add_api_route("/v1/fails", fails, include_in_schema=False)
    answers = {
        500: httpx.get(f"{url}/v1/fails"),
        404: httpx.get(f"{url}/v1/nothing"),
        405: httpx.delete(f"{url}/v1/health"),
        422: httpx.post(f"{url}/v1/webhooks/erp/{'x' * 500}"),
    }
    for status, answer in answers.items():
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status
        assert "secret detail" not in answer.text
        assert "Traceback" not in answer.text
