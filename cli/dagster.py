"""What commands ask the running Dagster: its GraphQL.

Belongs here: asking, and errors in words. Does not: what is asked for (the commands).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import httpx

from carbon_ledger.errors import Unavailable

TIMEOUT_SECONDS: Final = 60.0
# Dagster's web server keeps connections of a PostgreSQL that was restarted, and answers 500 once
# for each of them.
TRIES_MAX: Final = 5
LAUNCH: Final = """
mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on Error { message } } }
"""
STATUS: Final = """
query($id: String!) { partitionBackfillOrError(backfillId: $id) {
  __typename ... on PartitionBackfill { status } ... on Error { message } } }
"""


class Dagster:
    """The web server at `url`. Raises Unavailable `dagster_unavailable`, `dagster_refused`."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def launch_backfill(self, assets: Sequence[str], partitions: Sequence[str]) -> str:
        """Asks for these partitions of these assets, as the web UI does; the backfill's id."""
        found = self._ask(
            LAUNCH,
            params={
                "assetSelection": [{"path": asset.split("/")} for asset in assets],
                "partitionNames": list(partitions),
                "tags": [{"key": "carbon/backfill", "value": "carbon backfill"}],
            },
        )["launchPartitionBackfill"]
        if found["__typename"] != "LaunchBackfillSuccess":
            raise Unavailable("dagster_refused", f"no backfill: {_words(found)}")
        return str(found["backfillId"])

    def backfill_status(self, backfill_id: str) -> str:
        """E.g. REQUESTED, COMPLETED_SUCCESS."""
        found = self._ask(STATUS, id=backfill_id)["partitionBackfillOrError"]
        if found["__typename"] != "PartitionBackfill":
            raise Unavailable("dagster_refused", f"backfill {backfill_id}: {_words(found)}")
        return str(found["status"])

    def _ask(self, query: str, **variables: Any) -> dict[str, Any]:
        try:
            for _ in range(TRIES_MAX):
                answer = httpx.post(
                    f"{self.url}/graphql",
                    json={"query": query, "variables": variables},
                    timeout=TIMEOUT_SECONDS,
                )
                if answer.status_code < 500:
                    break
            body = answer.raise_for_status().json()
        except (httpx.HTTPError, ValueError) as error:
            raise Unavailable(
                "dagster_unavailable",
                f"Dagster does not answer at {self.url} ({type(error).__name__}); `carbon up` "
                "starts the embedded one, CARBON_DAGSTER_URL says where another is",
            ) from error
        if "errors" in body:
            raise Unavailable("dagster_refused", str(body["errors"])[:500])
        found: dict[str, Any] = body["data"]
        return found


def _words(found: dict[str, Any]) -> str:
    return str(found.get("message") or found["__typename"])
