"""What the tests ask a running Dagster: its GraphQL, and its own command line."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx

from carbon_ledger.settings import PROJECT_ROOT

STALE_CONNECTIONS_MAX = 10
LOCATION = {"repositoryLocationName": "carbon", "repositoryName": "__repository__"}


class DagsterClient:
    """GraphQL of the web server on `port`."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/graphql"

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The answer's data; AssertionError on a GraphQL error.

        Dagster's web server keeps connections of a PostgreSQL that was killed, and answers 500 once
        for each of them; as somebody at a browser would, this tries again.
        """
        for _ in range(STALE_CONNECTIONS_MAX):
            answer = httpx.post(self.url, json={"query": query, "variables": variables}, timeout=30)
            if answer.status_code < 500:
                break
            time.sleep(0.5)
        answer.raise_for_status()
        body = answer.json()
        assert "errors" not in body, body["errors"]
        data: dict[str, Any] = body["data"]
        return data

    def location(self) -> dict[str, str]:
        """Name of the one code location, as selectors want it."""
        found = self.ask(
            "{repositoriesOrError{... on RepositoryConnection{nodes{name location{name}}}}}"
        )
        node = found["repositoriesOrError"]["nodes"][0]
        return {"repositoryLocationName": node["location"]["name"], "repositoryName": node["name"]}

    def materializations(self, *key: str, limit: int = 20) -> list[dict[str, Any]]:
        """Newest first: partition, run id and metadata by label."""
        data = self.ask(
            """
            query($key: [String!]!, $limit: Int) {
              assetNodeOrError(assetKey: {path: $key}) { ... on AssetNode {
                assetMaterializations(limit: $limit) {
                  partition runId metadataEntries { label
                    ... on IntMetadataEntry { intValue } ... on TextMetadataEntry { text }
                    ... on MarkdownMetadataEntry { mdStr } ... on JsonMetadataEntry { jsonString }
                    ... on FloatMetadataEntry { floatValue } } } } } }
            """,
            key=list(key),
            limit=limit,
        )
        return [
            {
                "partition": one["partition"],
                "run_id": one["runId"],
                "metadata": {
                    entry["label"]: next(
                        (v for k, v in entry.items() if k != "label" and v is not None), None
                    )
                    for entry in one["metadataEntries"]
                },
            }
            for one in data["assetNodeOrError"]["assetMaterializations"]
        ]

    def observations(self, *key: str) -> list[dict[str, Any]]:
        """Newest first: metadata of an external asset's observations."""
        data = self.ask(
            """
            query($key: [String!]!) {
              assetNodeOrError(assetKey: {path: $key}) { ... on AssetNode {
                assetObservations(limit: 5) { metadataEntries { label
                    ... on IntMetadataEntry { intValue } ... on JsonMetadataEntry { jsonString } }
                    } } } }
            """,
            key=list(key),
        )
        return [
            {e["label"]: e.get("intValue", e.get("jsonString")) for e in one["metadataEntries"]}
            for one in data["assetNodeOrError"]["assetObservations"]
        ]

    def check(self, key: list[str], name: str) -> list[bool]:
        """Outcomes of an asset check, newest first."""
        data = self.ask(
            """
            query($key: AssetKeyInput!, $name: String!) {
              assetCheckExecutions(assetKey: $key, checkName: $name, limit: 5) {
                evaluation { success } } }
            """,
            key={"path": key},
            name=name,
        )
        return [
            one["evaluation"]["success"]
            for one in data["assetCheckExecutions"]
            if one["evaluation"]
        ]

    def backfill(self, key: list[str], partitions: list[str]) -> str:
        """Starts a backfill as the web UI does; its id."""
        data = self.ask(
            """
            mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams:
            $params) {
              __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
              } }
            """,
            params={"assetSelection": [{"path": key}], "partitionNames": partitions},
        )
        started = data["launchPartitionBackfill"]
        assert started["__typename"] == "LaunchBackfillSuccess", started
        backfill_id: str = started["backfillId"]
        return backfill_id

    def backfill_status(self, backfill_id: str) -> str:
        """E.g. REQUESTED, COMPLETED_SUCCESS."""
        data = self.ask(
            "query($id: String!) { partitionBackfillOrError(backfillId: $id) { "
            "... on PartitionBackfill { status } } }",
            id=backfill_id,
        )
        status: str = data["partitionBackfillOrError"]["status"]
        return status

    def set_cursor(self, sensor: str, cursor: str | None) -> None:
        """Overwrites a sensor's cursor, as somebody may by hand."""
        self.ask(
            """
            mutation($selector: SensorSelector!, $cursor: String) {
              setSensorCursor(sensorSelector: $selector, cursor: $cursor) { __typename
                ... on PythonError { message } } }
            """,
            selector={**self.location(), "sensorName": sensor},
            cursor=cursor,
        )

    def run_status(self, run_id: str) -> str:
        """E.g. STARTED, SUCCESS, FAILURE."""
        data = self.ask(
            "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }", id=run_id
        )
        status: str = data["runOrError"]["status"]
        return status

    def runs_under_way(self) -> list[str]:
        """Ids of the runs that have started and not ended."""
        data = self.ask(
            "query($filter: RunsFilter!) { runsOrError(filter: $filter, limit: 5) { "
            "... on Runs { results { runId } } } }",
            filter={"statuses": ["STARTING", "STARTED"]},
        )
        return [one["runId"] for one in data["runsOrError"]["results"]]

    def run_pids(self, run_id: str) -> list[int]:
        """Process ids that the run's log names as its own."""
        data = self.ask(
            "query($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events { "
            "... on MessageEvent { message } } } } }",
            id=run_id,
        )
        messages = [one.get("message", "") for one in data["logsForRun"]["events"]]
        marks = [
            m.split("(pid: ", 1)[1].split(")", 1)[0] for m in messages if "in process (pid: " in m
        ]
        return [int(mark) for mark in marks]


def dagster_command(environment: dict[str, str], *arguments: str) -> str:
    """Output of `dagster …` with the stack's variables; AssertionError if it fails."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "dagster", *arguments],
        cwd=PROJECT_ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def wait_for(what: str, is_so: Callable[[], Any], seconds: float) -> Any:
    """The first truthy answer of `is_so`; AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = is_so()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds:.0f} s there is still no {what}")
        time.sleep(0.5)
