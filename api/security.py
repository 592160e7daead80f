"""Who calls: keys and access tokens, and what they may do.

Belongs here: from an Authorization header to a Caller, and the dependency that asks for a scope.
Does not: what a key is (carbon_ledger.access_keys), signatures of webhooks (api.signatures).

Whoever is not known, no longer known, or cannot be looked up gets in nowhere; an absent key, a
wrong, an expired and a revoked one are answered alike.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api import tokens
from api.head_requests import asked_method
from api.problems import Problem, printable
from api.services import Services, services_of
from carbon_ledger.access_keys import (
    ANY_SUPPLIER,
    AUDITOR,
    READS_ALL,
    SCOPES,
    ApiKey,
    parts_of,
)

ASKED_LENGTH_MAX: Final = 4_000
SHOWN_LENGTH_MAX: Final = 200
BEARER: Final = HTTPBearer(
    scheme_name="key",
    description="a key of `carbon key create`, or an access token of /auth/token",
    auto_error=False,
)


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Whoever sent a request, by its key. `name` may be written to logs and records."""

    key: ApiKey

    @property
    def organization_id(self) -> str:
        """The organization whose ledger the caller may speak to."""
        return self.key.organization_id

    @property
    def name(self) -> str:
        """Key id and holder."""
        return f"key {self.key.key_id} ({self.key.holder})"

    def may(self, scope: str) -> bool:
        """Whether the key has this scope."""
        return scope in self.key.scopes

    @property
    def suppliers(self) -> tuple[str, ...] | None:
        """The suppliers that are all it may read of, as its key names them: `*` is any supplier's,
        and no line of nobody's. None: it may read of everybody, and what is of no supplier.
        """
        if READS_ALL & set(self.key.scopes):
            return None
        return self.key.supplier_ids

    def may_read_of(self, supplier_id: str) -> bool:
        """Whether it may read what is of this supplier."""
        return self.suppliers is None or self.key.may_submit_for(supplier_id)


def may_declare_for(services: Services, caller: Caller, entity_id: str) -> bool:
    """Whether an entity is the caller's organization's: it, and never another's.

    What nobody registered is on the default organization's books. Raises Unavailable.
    """
    organizations = services.keys.organizations_of(entity_id)
    default = services.settings["CARBON_DEFAULT_ORGANIZATION"]
    return (organizations or (default,)) == (caller.organization_id,)


def caller_of(services: Services, given: HTTPAuthorizationCredentials | None) -> Caller:
    """The caller that a header names; Problem 401 `unauthorized` for any other, 429
    `too_many_requests` for a key that asks too often.

    Raises Unavailable if the keys cannot be asked.
    """
    key = None if given is None else _key_of(services, given.credentials)
    if key is None or not key.is_good(services.clock()):
        raise Problem(
            401,
            "unauthorized",
            "this takes a key that is known, has not expired and was not revoked",
            valid="Authorization: Bearer KEY",
            headers={"WWW-Authenticate": 'Bearer realm="carbon-ledger"'},
        )
    services.rates.count(key.key_id)
    return Caller(key=key)


def _key_of(services: Services, credentials: str) -> ApiKey | None:
    parts = parts_of(credentials)
    if parts is not None:
        key = services.keys.find(parts[0])
        return key if key is not None and key.is_opened_by(parts[1]) else None
    key_id = tokens.key_id_of(credentials, services)
    return None if key_id is None else services.keys.find(key_id)


def authenticated(
    request: Request,
    services: Annotated[Services, Depends(services_of)],
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)],
) -> Caller:
    """A dependency: any good key. What an auditor asks is written down whole, before the answer.

    Raises Problem 422 `invalid_parameter` for an auditor's path or query that is longer than
    ASKED_LENGTH_MAX: neither written down nor answered.
    """
    caller = caller_of(services, given)
    record_question(services, caller, request)
    return caller


def record_question(services: Services, caller: Caller, request: Request) -> None:
    """Writes down what is asked if it is an auditor who asks: before the answer, and whole.

    Raises Problem 422 `invalid_parameter`, as `authenticated`.
    """
    if caller.key.role != AUDITOR:
        return
    raw: bytes = request.scope["query_string"]
    services.keys.record_read(
        caller.key,
        asked_method(request),
        _recorded("path", request.url.path),
        _recorded("query", raw.decode("latin-1")),
    )


def _recorded(field: str, text: str) -> str:
    if len(text) > ASKED_LENGTH_MAX:
        raise Problem(
            422,
            "invalid_parameter",
            f"the {field} is longer than what is recorded of an auditor's questions",
            field=field,
            value=text[:SHOWN_LENGTH_MAX],
            valid=f"at most {ASKED_LENGTH_MAX} characters",
        )
    # PostgreSQL takes no NUL character.
    return (printable(text) or "").replace("\x00", "")


def require(*scopes: str) -> Callable[[Caller], Awaitable[Caller]]:
    """A dependency: a good key with one of these scopes; Problem 403 `scope_missing` for others."""
    if not scopes or not set(scopes) <= set(SCOPES):
        raise ValueError(f"{scopes!r} are no scopes")

    async def with_scope(caller: Annotated[Caller, Depends(authenticated)]) -> Caller:
        if not any(caller.may(scope) for scope in scopes):
            raise scope_missing(*scopes)
        return caller

    return with_scope


async def reads_lines(
    caller: Annotated[Caller, Depends(require("ledger:read", "supplier:read"))],
) -> Caller:
    """A dependency: a key that may read lines of the ledger, all of them or those of suppliers that
    it names. Problem 403 `scope_missing` for others, and for a key of suppliers that names `*`:
    the lines of every supplier are the organization's.
    """
    if caller.suppliers == (ANY_SUPPLIER,):
        raise scope_missing("ledger:read")
    return caller


def scope_missing(*scopes: str) -> Problem:
    """What is answered to a key that has none of these scopes."""
    return Problem(
        403,
        "scope_missing",
        "the key may not do this",
        valid=f"a key with {' or '.join(scopes)}",
    )
