"""Errors as a caller sees them: problem details (RFC 9457) with our stable code.

Belongs here: which error is which status, what of it is shown. Does not: errors of the PACT
exchange, which has a shape of its own (api.routes.pact).

What is shown never holds a secret: a refused value is shown only where it is data of the caller's.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from carbon_ledger.errors import CarbonError, RejectedRecord, Unavailable

log = logging.getLogger("carbon.api")

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = 5
# A question that the database gave up.
TOO_SLOW: Final = "answer_too_slow"
# Refusals that say that the request cannot be read at all.
UNREADABLE: Final = frozenset({"not_json", "nul_byte", "not_text", "name_twice", "not_utf8"})

PROBLEM_SCHEMA: Final[dict[str, Any]] = {
    "title": "Problem",
    "type": "object",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "stable; what a program may decide by"},
        "detail": {"type": ["string", "null"]},
        "field": {"type": ["string", "null"]},
        "value": {"type": ["string", "null"]},
        "valid": {"type": ["string", "null"]},
    },
}


def problem_of_parameters(error: RequestValidationError) -> Problem:
    """422 `invalid_parameter`, of the first parameter that is not valid."""
    first: Mapping[str, Any] = error.errors()[0]
    return Problem(
        422,
        "invalid_parameter",
        str(first.get("msg", "a parameter is not valid")),
        field=".".join(str(part) for part in first.get("loc", ())),
        value=str(first.get("input"))[:200],
    )


def described(statuses: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    """Answers that are problems, as the OpenAPI document has them: by status what it means."""
    return {
        status: {"description": what, "content": {MEDIA_TYPE: {"schema": PROBLEM_SCHEMA}}}
        for status, what in statuses.items()
    }


class Problem(Exception):
    """An answer that is an error. `code` is stable; `detail` is for people."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        value: str | None = None,
        valid: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.field, self.value, self.valid = field, value, valid
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        """The answer."""
        content = {
            "type": f"urn:carbon-ledger:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": printable(self.detail),
            "field": printable(self.field),
            "value": printable(self.value),
            "valid": printable(self.valid),
        }
        shown = {name: value for name, value in content.items() if value is not None}
        return JSONResponse(shown, self.status, headers=self.headers or None, media_type=MEDIA_TYPE)


def printable(text: str | None) -> str | None:
    """The text without what UTF-8 cannot carry (halves of surrogate pairs)."""
    return None if text is None else text.encode("utf-8", "replace").decode()


def absent() -> Problem:
    """What is answered for what is not there, and for what is somebody else's: the same."""
    return Problem(404, "not_found", "there is nothing here")


def problem_of(error: CarbonError) -> Problem:
    """The answer to one of our own errors.

    A refused record is the caller's to correct (422; 400 where it could not be read), something
    unavailable is to be tried again (503 with Retry-After), an answer that takes too long is not
    (504), all else is ours (500, told in the log alone).
    """
    if isinstance(error, RejectedRecord):
        return Problem(
            400 if error.code in UNREADABLE else 422,
            error.code,
            error.message,
            field=error.field,
            value=error.value,
            valid=error.valid,
        )
    if isinstance(error, Unavailable):
        log.warning("unavailable: %s: %s", error.code, error.message)
        if error.code == TOO_SLOW:
            # Asked again it takes as long again: no client is to do that by itself.
            return Problem(
                504,
                error.code,
                "the answer takes longer than it may",
                valid="less time, a coarser granularity, or an export",
            )
        return Problem(
            503,
            error.code,
            "this cannot be taken now; nothing is lost if it is sent again later",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )
    log.error("internal: %s: %s", error.code, error.message)
    return Problem(500, "internal_error", "this is a fault of the server's; it is in its log")


def install_handlers(app: FastAPI) -> None:
    """Every error of `app` becomes a problem; none shows a traceback."""

    def of_problem(_: Request, error: Exception) -> JSONResponse:
        return error.response() if isinstance(error, Problem) else _internal()

    def of_carbon(_: Request, error: Exception) -> JSONResponse:
        return problem_of(error).response() if isinstance(error, CarbonError) else _internal()

    def of_http(_: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, HTTPException):
            return _internal()
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
        detail = "there is nothing here" if error.status_code == 404 else str(error.detail)
        headers = dict(error.headers or {})
        allowed = headers.get("Allow", "").split(", ")
        if "GET" in allowed and "HEAD" not in allowed:
            headers["Allow"] = ", ".join([*allowed, "HEAD"])
        return Problem(error.status_code, code, detail, headers=headers).response()

    def of_validation(_: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, RequestValidationError):
            return _internal()
        return problem_of_parameters(error).response()

    def of_any(_: Request, error: Exception) -> JSONResponse:
        # The traceback is logged by the server, which gets the error as well.
        return _internal()

    app.add_exception_handler(Problem, of_problem)
    app.add_exception_handler(CarbonError, of_carbon)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, of_validation)
    app.add_exception_handler(Exception, of_any)


def _internal() -> JSONResponse:
    return Problem(
        500, "internal_error", "this is a fault of the server's; it is in its log"
    ).response()
