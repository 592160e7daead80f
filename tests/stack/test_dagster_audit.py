"""The auditors' Dagster web server, the real one: it shows everything and changes nothing.

Beside it, without `--read-only`, the same requests are taken, so that a refusal is its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from devstack.dagster import AuditWebserver, Webserver, audit_url
from tests.support.dagster_client import LOCATION
from tests.support.extra_service import ground_of, running

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
RUN_ID = "00000000-0000-4000-8000-000000000000"
LAUNCH = """
mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on UnauthorizedError { message } ... on PythonError { message } } }
"""
# Mutations, and what they answer where they may not be done.
MUTATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "launchRun": (
        LAUNCH,
        {
            "params": {
                "selector": {**LOCATION, "jobName": "seal"},
                "runConfigData": {},
                "mode": "default",
            }
        },
    ),
    "deletePipelineRun": (
        "mutation($run: String!) { deletePipelineRun(runId: $run) { __typename } }",
        {"run": RUN_ID},
    ),
    "terminateRun": (
        "mutation($run: String!) { terminateRun(runId: $run) { __typename } }",
        {"run": RUN_ID},
    ),
    "wipeAssets": (
        'mutation { wipeAssets(assetPartitionRanges: [{assetKey: {path: ["none"]}}]) '
        "{ __typename } }",
        {},
    ),
    "reportRunlessAssetEvents": (
        "mutation { reportRunlessAssetEvents(eventParams: {eventType: ASSET_MATERIALIZATION, "
        'assetKey: {path: ["none"]}}) { __typename } }',
        {},
    ),
    "startSensor": (
        "mutation($selector: SensorSelector!) { startSensor(sensorSelector: $selector) "
        "{ __typename } }",
        {"selector": {**LOCATION, "sensorName": "plan_iot_energy"}},
    ),
}


@pytest.fixture(scope="module")
def audit(stack: Any) -> Iterator[str]:
    """Its address, with the prefix."""
    with running(AuditWebserver(stack.layout), ground_of(stack)):
        yield audit_url(stack.layout)


def asked(url: str, name: str) -> dict[str, Any]:
    query, variables = MUTATIONS[name]
    answer = httpx.post(f"{url}/graphql", json={"query": query, "variables": variables}, timeout=60)
    body: dict[str, Any] = answer.json()
    assert "data" in body, body
    found: dict[str, Any] = body["data"][name]
    return found


@pytest.mark.parametrize("name", list(MUTATIONS))
def test_a_mutation_is_refused(audit: str, name: str) -> None:
    assert asked(audit, name)["__typename"] == "UnauthorizedError"


def test_no_materialization_can_be_reported(audit: str) -> None:
    for what in ("materialization", "check", "observation"):
        answer = httpx.post(f"{audit}/report_asset_{what}/none", json={}, timeout=60)
        assert answer.status_code == 401, answer.text


def test_everything_is_shown_and_no_permission_is_given(audit: str) -> None:
    query = """
      { permissions { permission value } assetNodes { assetKey { path } }
        runsOrError(limit: 1) { __typename } }
    """
    data = httpx.post(f"{audit}/graphql", json={"query": query}, timeout=60).json()["data"]
    assert {one["value"] for one in data["permissions"]} == {False}
    assert ["reports", "esrs_e1"] in [one["assetKey"]["path"] for one in data["assetNodes"]]
    assert data["runsOrError"]["__typename"] == "Runs"


def test_it_is_under_its_path_alone(audit: str) -> None:
    page = httpx.get(f"{audit}/", timeout=60)
    assert page.status_code == 200
    assert "/audit" in page.text
    outside = audit.removesuffix("/audit")
    assert httpx.post(f"{outside}/graphql", json={"query": "{ version }"}).status_code == 404


def test_the_operators_web_server_would_have_done_it(stack: Any, audit: str) -> None:
    """What is refused above is refused for being read-only, and for nothing else."""
    with_rights = Webserver(stack.layout)
    url = f"http://127.0.0.1:{with_rights.port}"
    for name in ("terminateRun", "deletePipelineRun", "wipeAssets"):
        assert asked(url, name)["__typename"] != "UnauthorizedError"
