"""The PACT exchange of footprints, version 3, as far as a data recipient takes part in it.

Belongs here: POST /auth/token, POST /3/events, and errors in the shape that exchange has. Does not:
footprints themselves (carbon_ledger.purchasing.pact), what was bought (api.pact_requests).

Technical Specifications for PCF Data Exchange 3.0, Action Authenticate and Action Events. This
system asks for footprints and offers none, so there are no footprints to list here.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import parse_qs, unquote_plus

from fastapi import APIRouter, Depends, Header, Response
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials

from api.bodies import raw_body, read_json
from api.problems import RETRY_AFTER_SECONDS, Problem, printable, problem_of
from api.routes.supplier import SCOPE, TOPIC, send_letter
from api.security import BEARER, Caller, caller_of
from api.services import Services, services_of
from api.tokens import TOKEN_SECONDS, is_token, new_token
from carbon_ledger.errors import CarbonError, RejectedRecord
from carbon_ledger.purchasing.pact import declaration_of, footprints_in
from carbon_ledger.purchasing.supplier_events import SupplierDeclarationEvent

router = APIRouter(tags=["pact"])
PREFIX: Final = "org.wbcsd.pact.ProductFootprint."
FULFILLED: Final = f"{PREFIX}RequestFulfilledEvent.3"
PUBLISHED: Final = f"{PREFIX}PublishedEvent.3"
REJECTED: Final = f"{PREFIX}RequestRejectedEvent.3"
CREATED: Final = f"{PREFIX}RequestCreatedEvent.3"
BODY_LIMITS: Final = {"/3/events": 4 * 1024 * 1024, "/auth/token": 8 * 1024}
PAYLOAD_BYTES_MAX: Final = 3 * 1024 * 1024
FORM_FIELDS_MAX: Final = 10

_ERROR: Final = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
}
_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"description": "an error", "content": {"application/json": {"schema": _ERROR}}}
    for status in (400, 401, 403, 404, 429, 500, 503, 504)
}
_OAUTH_ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
}


class _PactError(Exception):
    def __init__(self, status: int, code: str, message: str, retry_after: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.retry_after = retry_after or (str(RETRY_AFTER_SECONDS) if status == 503 else "")

    def response(self) -> JSONResponse:
        headers = {"Retry-After": self.retry_after} if self.retry_after else None
        content = {"code": self.code, "message": printable(self.message)}
        return JSONResponse(content, self.status, headers=headers)


# ---- Action Authenticate


@router.post(
    "/auth/token",
    responses={
        status: {
            "description": "no token",
            "content": {"application/json": {"schema": _OAUTH_ERROR}},
        }
        for status in (400, 401)
    },
    openapi_extra={
        "security": [{"client": []}],
        "requestBody": {
            "required": True,
            "content": {
                "application/x-www-form-urlencoded": {
                    "schema": {
                        "type": "object",
                        "required": ["grant_type"],
                        "properties": {
                            "grant_type": {"const": "client_credentials"},
                            "client_id": {"type": "string"},
                            "client_secret": {"type": "string"},
                        },
                    }
                }
            },
        },
    },
)
def token(
    services: Annotated[Services, Depends(services_of)],
    body: Annotated[bytes, Depends(raw_body)],
    authorization: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> JSONResponse:
    """An access token for a key: its id is the client's id, its secret the client's secret."""
    try:
        form = parse_qs(body.decode("ascii"), max_num_fields=FORM_FIELDS_MAX)
    except ValueError:
        return _no_token(400, "invalid_request", "the body is no form")
    if form.get("grant_type") != ["client_credentials"]:
        return _no_token(400, "unsupported_grant_type", "grant_type is client_credentials")
    client_id, secret = _client(form, authorization)
    key = services.keys.find(client_id) if client_id else None
    if key is None or not key.is_opened_by(secret) or not key.is_good(services.clock()):
        return _no_token(401, "invalid_client", "Authentication failed")
    content = {
        "access_token": new_token(key.key_id, services),
        "token_type": "Bearer",
        "expires_in": TOKEN_SECONDS,
        "scope": " ".join(key.scopes),
    }
    return JSONResponse(content, headers={"Cache-Control": "no-store"})


def _client(form: Mapping[str, list[str]], authorization: str | None) -> tuple[str, str]:
    if authorization is not None and authorization[:6].lower() == "basic ":
        try:
            text = base64.b64decode(authorization[6:], validate=True).decode("ascii")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        client_id, _, secret = text.partition(":")
        return _plain_id(unquote_plus(client_id)), unquote_plus(secret)
    return _plain_id(form.get("client_id", [""])[0]), form.get("client_secret", [""])[0]


def _plain_id(client_id: str) -> str:
    # What is no key id is not even looked up: PostgreSQL takes no NUL.
    return client_id if client_id.isalnum() and len(client_id) <= 64 else ""


def _no_token(status: int, error: str, description: str) -> JSONResponse:
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="carbon-ledger"'
    return JSONResponse({"error": error, "error_description": description}, status, headers=headers)


# ---- Action Events


@router.post(
    "/3/events",
    responses=_ERRORS,
    response_class=Response,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/cloudevents+json": {
                    "schema": {
                        "type": "object",
                        "required": ["type", "specversion", "id", "source", "data"],
                        "properties": {
                            "type": {"enum": [FULFILLED, PUBLISHED, REJECTED]},
                            "specversion": {"const": "1.0"},
                            "id": {"type": "string"},
                            "source": {"type": "string"},
                            "data": {"type": "object"},
                        },
                    }
                }
            },
        }
    },
)
def events(
    services: Annotated[Services, Depends(services_of)],
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)],
    body: Annotated[bytes, Depends(raw_body)],
) -> Response:
    """Take an event of a data owner; 200 with no content once Kafka has what it says."""
    try:
        caller = _caller(services, given)
        _take(services, caller, body)
    except _PactError as error:
        return error.response()
    except Problem as problem:
        return _translated(problem).response()
    except CarbonError as error:
        return _translated(problem_of(error)).response()
    return Response(status_code=200)


def _caller(services: Services, given: HTTPAuthorizationCredentials | None) -> Caller:
    try:
        caller = caller_of(services, given)
    except Problem as problem:
        if problem.status != 401:
            raise
        is_expired = given is not None and is_token(given.credentials)
        code = "TokenExpired" if is_expired else "AccessDenied"
        raise _PactError(401, code, "the access token is not valid, or no longer") from None
    if not caller.may(SCOPE):
        raise _PactError(403, "AccessDenied", "Access denied")
    return caller


def _take(services: Services, caller: Caller, body: bytes) -> None:
    if len(body) > PAYLOAD_BYTES_MAX:
        raise _PactError(400, "BadRequest", f"an event has at most {PAYLOAD_BYTES_MAX} bytes")
    try:
        event = _event(body)
        kind = str(event["type"])
        if kind == CREATED:
            raise _PactError(400, "BadRequest", "this system offers no footprints")
        if kind == FULFILLED:
            declaration = _declaration(services, caller, event)
        else:
            declaration = None
            _notice(kind, event)
    except RejectedRecord as problem:
        is_notice = problem.code in (PUBLISHED_CODE, REJECTED_CODE)
        with services.producers.one() as producer:
            send_letter(producer, caller, body, problem, "pact")
        if is_notice:
            return
        raise _PactError(400, "BadRequest", f"{problem.code}: {problem}") from None
    if declaration is not None:
        with services.producers.one() as producer:
            producer.send(TOPIC, None, declaration)


PUBLISHED_CODE: Final = "footprint_published"
REJECTED_CODE: Final = "footprint_request_rejected"


def _notice(kind: str, event: Mapping[str, Any]) -> None:
    """What names footprints without holding them is kept as a letter: somebody has to ask for them.

    Always raises RejectedRecord, whose code says what it is.
    """
    data = event["data"]
    if kind == PUBLISHED:
        ids = data.get("pfIds")
        if not isinstance(ids, list) or not ids or not all(isinstance(one, str) for one in ids):
            raise RejectedRecord(
                "missing_field", "data.pfIds names no footprint", field="data.pfIds"
            )
        raise RejectedRecord(
            PUBLISHED_CODE,
            f"{len(ids)} footprint(s) were published; request them to have them",
            field="data.pfIds",
            value=", ".join(ids),
            valid="a RequestFulfilledEvent, which holds the footprints",
        )
    if kind == REJECTED:
        raise RejectedRecord(
            REJECTED_CODE,
            "the supplier has no footprint for a request",
            field="data.requestEventId",
            value=data.get("requestEventId"),
            valid="a RequestFulfilledEvent",
        )
    raise RejectedRecord(
        "unknown_event_type",
        "this type of event is not known here",
        field="type",
        value=kind,
        valid=", ".join((FULFILLED, PUBLISHED, REJECTED)),
    )


def _event(body: bytes) -> Mapping[str, Any]:
    event = read_json(body)
    if not isinstance(event, Mapping):
        raise RejectedRecord("not_an_object", "an event is an object", valid="a CloudEvent")
    for name in ("type", "specversion", "id", "source"):
        if not isinstance(event.get(name), str) or not event[name]:
            raise RejectedRecord("missing_field", f"{name} is missing", field=name, valid="text")
    if event["specversion"] != "1.0":
        raise RejectedRecord(
            "unknown_version",
            "this version of CloudEvents is not read here",
            field="specversion",
            value=event["specversion"],
            valid="1.0",
        )
    if not isinstance(event.get("data"), Mapping):
        raise RejectedRecord("missing_field", "data is missing", field="data", valid="an object")
    return event


def _declaration(
    services: Services, caller: Caller, event: Mapping[str, Any]
) -> SupplierDeclarationEvent:
    request_id = event["data"].get("requestEventId")
    request = services.pact_requests.find(request_id) if isinstance(request_id, str) else None
    if request is None or not caller.key.may_submit_for(request.bought.supplier_id):
        raise RejectedRecord(
            "unknown_request",
            "no request of this id was made to you",
            field="data.requestEventId",
            value=request_id,
            valid="the id of a RequestCreatedEvent that you were sent",
        )
    footprints = [
        one
        for one in footprints_in(event)
        if not request.product_ids or request.product_ids & _products(one)
    ]
    if len(footprints) != 1:
        raise RejectedRecord(
            "ambiguous_footprints",
            f"{len(footprints)} footprints answer a request about one product",
            field="data.pfs",
            value=len(footprints),
            valid="one footprint of the product that was asked for",
        )
    declaration = declaration_of(footprints[0], request.bought)
    declaration.check(services.clock())
    return declaration


def _products(footprint: Mapping[str, object]) -> frozenset[str]:
    given = footprint.get("productIds")
    return (
        frozenset(one for one in given if isinstance(one, str))
        if isinstance(given, list)
        else frozenset()
    )


def _translated(problem: Problem) -> _PactError:
    code = {400: "BadRequest", 403: "AccessDenied", 404: "NotFound", 422: "BadRequest"}.get(
        problem.status, "InternalError"
    )
    status = 400 if problem.status == 422 else problem.status
    return _PactError(status, code, problem.detail, problem.headers.get("Retry-After", ""))
