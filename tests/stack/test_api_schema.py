"""Every answer is what the OpenAPI document says: Schemathesis, as every kind of caller.

`API_REQUESTS` asks for another number of requests; `make night` makes 100,000.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from carbon_ledger import settings as settings_module
from carbon_ledger.settings import Settings
from tests.support.api_fuzzing import fuzz
from tests.support.api_server import api_server
from tests.support.api_world import OWN, WEIGHTS, fill, headers_of, keys_of_callers
from tests.support.pact_events import request_file
from tests.support.postgres import scratch_database

REQUESTS = int(os.environ.get("API_REQUESTS") or 5_000)
pytestmark = [pytest.mark.stack, pytest.mark.timeout(900 + REQUESTS)]
SEED = 20_261_129
SYSTEMS = """
systems:
  sap-prod: {kind: sap_s4hana, secret_files: [sap]}
"""


@pytest.fixture(scope="module")
def server(
    stack: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Any, Any, Any]]:
    """The API in front of a ledger of its own and the stack's Kafka: URL, app, callers, known."""
    folder: Path = tmp_path_factory.mktemp("schema")
    (folder / "sap").write_bytes(b"sap-secret-number-one")
    (folder / "sap").chmod(0o600)
    (folder / "erp.yaml").write_text(SYSTEMS, encoding="utf-8")
    (folder / "pact.yaml").write_text(
        request_file({"request-of-ours": "SUP_042_DE"}), encoding="utf-8"
    )
    with scratch_database(stack.layout.database_url, with_factors=True) as database:
        settings = Settings(
            {
                **settings_module.load().values,
                "CARBON_DATABASE_WRITER_URL": database.writer_url,
                "CARBON_DATABASE_READER_URL": database.reader_url,
                "CARBON_DATABASE_GATE_URL": database.gate_url,
                "CARBON_DEFAULT_ORGANIZATION": OWN,
                "CARBON_ERP_SYSTEMS_FILE": str(folder / "erp.yaml"),
                "CARBON_PACT_REQUESTS_FILE": str(folder / "pact.yaml"),
                "CARBON_API_REQUESTS_PER_SECOND": "0",
            }
        )
        told = fill(database, settings)
        callers = headers_of(keys_of_callers(settings))
        with api_server(settings) as (url, app):
            yield url, app, callers, told.known


def test_no_answer_is_a_fault_or_breaks_the_document(server: tuple[str, Any, Any, Any]) -> None:
    url, _, callers, known = server
    found = fuzz(url, callers, requests_wanted=REQUESTS, known=known, seed=SEED, weights=WEIGHTS)
    print(f"{found.requests} requests: {found.by_status()}")  # noqa: T201
    assert found.faults == {}
    assert found.requests >= REQUESTS
    asked = {(who, operation) for who, operation, _ in found.statuses}
    operations = {operation for _, operation in asked}
    # Health has one request to draw and no more.
    assert len(asked) >= len(operations) * len(callers) * 0.9
    # It is not refusals alone that were looked at.
    assert found.by_status()[200] > REQUESTS / 10


class _Planted(BaseModel):
    number: int


def test_a_planted_fault_is_found(server: tuple[str, Any, Any, Any]) -> None:
    url, app, callers, known = server

    def breaks(number: int) -> Response:
        """Fail, or answer what the document does not say."""
        if number == 7:
            raise RuntimeError("planted")
        told = {"number": "seven"} if number == 8 else {"number": number}
        return JSONResponse(told, 418 if number == 9 else 200)

    routes = len(app.router.routes)
    app.add_api_route("/v1/planted/{number}", breaks, methods=["GET"], response_model=_Planted)
    app.openapi_schema = None
    try:
        found = fuzz(
            url,
            {"everything": callers["everything"]},
            requests_wanted=60,
            known={**known, "number": [7, 8, 9]},
            seed=SEED,
            only="/v1/planted/{number}",
        )
    finally:
        del app.router.routes[routes:]
        app.openapi_schema = None
    kinds = {kind.partition(": ")[0] for kind in found.faults}
    assert kinds == {f"GET /v1/planted/{{number}} {status}" for status in (200, 418, 500)}
