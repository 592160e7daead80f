"""Bodies that FastAPI reads are read as exactly as those that are taken as bytes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel

from api.app import create_app
from api.bodies import ExactRoute, read_json
from api.problems import install_handlers
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.settings import Settings, load

DIGITS = "500.123456789012345678901"


class _Body(BaseModel):
    value: dict[str, Any]


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()
    router = APIRouter(route_class=ExactRoute)

    @router.post("/")
    def taken(body: _Body) -> str:
        assert isinstance(body.value["quantity"], Decimal)
        return f"{body.value['quantity']}"

    app.include_router(router)
    install_handlers(app)
    return TestClient(app)


def post(client: TestClient, text: str, path: str = "/") -> tuple[int, Any]:
    answer = client.post(path, content=text, headers={"Content-Type": "application/json"})
    return answer.status_code, answer.json()


def test_every_digit_of_a_number_arrives(client: TestClient) -> None:
    assert post(client, f'{{"value": {{"quantity": {DIGITS}}}}}') == (200, DIGITS)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"value": {"quantity": 1.5, "quantity": 2.5}}', "name_twice"),
        ('{"value": {}, "value": {"quantity": 2.5}}', "name_twice"),
        ('{"value": {"quantity": NaN}}', "not_json"),
        ('{"value": {"quantity": "\\u0000"}}', "nul_byte"),
        ('{"value": {"quantity": "\\ud800"}}', "not_text"),
        ("{", "not_json"),
    ],
)
def test_what_is_ambiguous_is_refused_with_its_reason(
    client: TestClient, text: str, code: str
) -> None:
    status, problem = post(client, text)
    assert (status // 100, problem["code"]) == (4, code)


def test_what_a_model_refuses_is_refused_as_before(client: TestClient) -> None:
    status, problem = post(client, '{"other": 1}')
    assert (status, problem["code"], problem["field"]) == (422, "invalid_parameter", "body.value")


def test_every_operation_with_a_model_for_its_body_reads_it_so() -> None:
    """The others take bytes, which they read once they know whose they are."""
    # A port that nothing listens on.
    url = "postgresql://nobody@127.0.0.1:9/none"
    nowhere = {f"CARBON_DATABASE_{name}_URL": url for name in ("GATE", "READER", "WRITER")}
    app = create_app(Settings({**load().values, **nowhere}))
    client = TestClient(app, raise_server_exceptions=False)
    found = set()
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {})
            if "$ref" not in content.get("application/json", {}).get("schema", {}):
                continue
            asked = path.replace("{number}", "1").replace("{letter_id}", "x")
            status, problem = post(client, '{"why": "a", "why": "b"}', asked)
            if problem["code"] == "name_twice":
                found.add(f"{method} {path}")
            else:
                assert status in (401, 503), (path, problem)
    assert found == {
        "post /v1/activities/{number}/approval",
        "post /v1/activities/{number}/rejection",
        "post /v1/dead-letters/{letter_id}:discard",
        "post /v1/dead-letters/{letter_id}:replay",
        "post /v1/lineage/sign-offs",
    }


def test_the_first_name_that_comes_twice_is_named_however_many_there_are() -> None:
    names = ", ".join(f'"n{number}": 0' for number in range(200_000))
    with pytest.raises(RejectedRecord) as refused:
        read_json(f'{{{names}, "n199999": 1}}'.encode())
    assert (refused.value.code, refused.value.field) == ("name_twice", "n199999")
