"""A client of the API, for programs that submit and mend: `httpx` and nothing else of this project.

Belongs here: one method per operation, signing of webhooks, errors with the server's own code. Does
not: what a document means. Numbers go as they are given: text and Decimal exactly, and a Decimal
as text, which every number of the API may be.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx

TIMEOUT_SECONDS: Final = 30.0
TRIES: Final = 4
WAIT_SECONDS_MAX: Final = 30.0
TIMESTAMP_HEADER: Final = "X-Carbon-Timestamp"
SIGNATURE_HEADER: Final = "X-Carbon-Signature"
DELIVERY_HEADER: Final = "X-Carbon-Delivery"
RETRIED: Final = frozenset({429, 503})


class ApiError(Exception):
    """An answer that is an error: `code` is stable, `field`, `value`, `valid` say what to mend."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(problem.get("code") or problem.get("error") or "http_error")
        self.detail = str(
            problem.get("detail")
            or problem.get("message")
            or problem.get("error_description")
            or ""
        )
        self.field = problem.get("field")
        self.value = problem.get("value")
        self.valid = problem.get("valid")
        super().__init__(f"{status} {self.code}: {self.detail}")


class CarbonLedgerClient:
    """Speaks to one API with one key. Whatever is submitted may be submitted again.

    A submission that was answered 503 or 429, or not at all, is repeated, up to TRIES times:
    nothing is ledgered twice by that. Raises ApiError for any other refusal, httpx.TransportError
    if the API cannot be reached.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8000",
        key: str | None = None,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._http = httpx.Client(base_url=base_url, timeout=timeout_seconds, headers=headers)
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes its connections."""
        self._http.close()

    def health(self) -> dict[str, Any]:
        """Whether Kafka and PostgreSQL answer; told, not raised, if they do not."""
        answer = self._http.get("/v1/health")
        found: dict[str, Any] = answer.json()
        return found

    def submit_declaration(self, declaration: Mapping[str, Any]) -> dict[str, Any]:
        """Declares one thing for a supplier of the key's; its event id."""
        return self._post("/v1/supplier/declarations", json_bytes(declaration))

    def submit_declarations(self, declarations: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Declares several at once; for each row whether it was taken, and why not."""
        lines = b"".join(json_bytes(one) + b"\n" for one in declarations)
        return self._post(
            "/v1/supplier/declarations:bulk", lines, {"Content-Type": "application/x-ndjson"}
        )

    def send_erp_document(
        self, system: str, document: Mapping[str, Any] | bytes, *, secret: bytes, delivery: str = ""
    ) -> dict[str, Any]:
        """Sends an order document as the ERP system would, signed with its secret; event ids."""
        body = document if isinstance(document, bytes) else json_bytes(document)
        headers = signed_headers(body, secret, int(time.time()))
        if delivery:
            headers[DELIVERY_HEADER] = delivery
        return self._post(f"/v1/webhooks/erp/{system}", body, headers)

    def list_dead_letters(
        self,
        *,
        reason: str | None = None,
        stream: str | None = None,
        source: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        states: Iterable[str] = (),
        limit: int = 100,
    ) -> dict[str, Any]:
        """Dead letters, those first that have waited longest, and whether there are more.

        Without `states` those that wait for a decision; `any` is every state. Needs scope dlq:read.
        """
        wanted = {
            "reason": reason,
            "stream": stream,
            "source": source,
            "since": None if since is None else since.isoformat(),
            "until": None if until is None else until.isoformat(),
            "state": list(states),
            "limit": limit,
        }
        query = {name: value for name, value in wanted.items() if value is not None}
        return self._ask("GET", "/v1/dead-letters", query=query)

    def show_dead_letter(self, letter_id: str) -> dict[str, Any]:
        """One letter: where from, why, what its bytes say, and every decision on it; dlq:read."""
        return self._ask("GET", _letter_path(letter_id))

    def replay_dead_letter(
        self,
        letter_id: str,
        *,
        why: str,
        changes: Mapping[str, str] | None = None,
        value: Mapping[str, Any] | None = None,
        stream: str | None = None,
        force: bool = False,
    ) -> dict[str, Any]:
        """Sends a letter again, in the name of the key's holder; which try it was. Scope dlq:write.

        `changes` are fields and their new values as text, `value` all fields of the event; without
        them the same bytes are judged again. `stream` says where an edge's letter belongs. Returns
        once Kafka has it. ApiError 409 `under_way` after an answer was lost: it was sent.
        """
        body: dict[str, Any] = {"why": why, "force": force, "changes": dict(changes or {})}
        if value is not None:
            body["value"] = dict(value)
        if stream is not None:
            body["stream"] = stream
        return self._post(f"{_letter_path(letter_id)}:replay", json_bytes(body))

    def discard_dead_letter(self, letter_id: str, *, why: str) -> dict[str, Any]:
        """Decides that a letter stays unledgered; nothing is deleted. Scope dlq:write."""
        return self._post(f"{_letter_path(letter_id)}:discard", json_bytes({"why": why}))

    def _post(
        self, path: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        given = {"Content-Type": "application/json", **(headers or {})}
        return self._ask("POST", path, body=body, headers=given)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        for number in range(1, TRIES + 1):
            try:
                answer = self._http.request(
                    method, path, params=query, content=body, headers=headers
                )
            except httpx.TransportError:
                if number == TRIES:
                    raise
                self._sleep(min(WAIT_SECONDS_MAX, 2.0**number))
                continue
            if answer.status_code in RETRIED and number < TRIES:
                self._sleep(_wait_seconds(answer, number))
                continue
            return _content(answer)
        raise ApiError(503, {"code": "busy"})


def _letter_path(letter_id: str) -> str:
    # An id is one part of the path, whatever stands in it.
    return f"/v1/dead-letters/{quote(letter_id, safe=':')}"


def json_bytes(document: Mapping[str, Any]) -> bytes:
    """The document as JSON, a Decimal as text."""
    return json.dumps(document, default=_plain, ensure_ascii=False, allow_nan=False).encode()


def signed_headers(body: bytes, secret: bytes, at: int) -> dict[str, str]:
    """The headers that say that `body` was sent at second `at` by who has the secret."""
    message = str(at).encode() + b"." + body
    tag = hmac.new(secret, message, hashlib.sha256).hexdigest()
    return {TIMESTAMP_HEADER: str(at), SIGNATURE_HEADER: f"sha256={tag}"}


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    raise TypeError(f"{type(value).__name__} is no JSON")


def _wait_seconds(answer: httpx.Response, number: int) -> float:
    asked = answer.headers.get("Retry-After", "")
    return min(WAIT_SECONDS_MAX, float(asked) if asked.isdigit() else 2.0**number)


def _content(answer: httpx.Response) -> dict[str, Any]:
    try:
        content = answer.json() if answer.content else {}
    except ValueError:
        content = {}
    found: dict[str, Any] = content if isinstance(content, dict) else {}
    if answer.is_success:
        return found
    raise ApiError(answer.status_code, found)
