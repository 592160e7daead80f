"""Reviewers' sessions: a key given once in a form, and a signed cookie that stands for it.

Belongs here: the cookie, who it stands for, the token that forms carry. Does not: the pages, keys
of programs (api.security).

The cookie names the key's id and is signed; the key itself is in no cookie, address or log. It is
good for SESSION_SECONDS, ends with its key, and a browser sends it with requests that begin on
these pages alone (SameSite=Strict). Forms that write carry a token of the session besides.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from typing import Annotated, Final
from urllib.parse import parse_qsl, urlsplit

from fastapi import Depends, Request, Response

from api.pages.links import HOME, LOGIN, is_page
from api.problems import Problem
from api.security import Caller, record_question, scope_missing
from api.services import Services, services_of
from api.tokens import tag_of
from carbon_ledger.access_keys import parts_of

COOKIE: Final = "carbon_review"
SESSION_SECONDS: Final = 8 * 3600
READ: Final = "lineage:read"
SIGN: Final = "lineage:sign"
FORM_TOKEN: Final = "form_token"  # noqa: S105
FIELDS_MAX: Final = 20
_SESSION = re.compile(r"cs_([a-z2-7]{16})_([0-9]{10})_([0-9a-f]{64})")
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class LoginNeeded(Exception):
    """The request is nobody's: the browser is led to the form, and then to `wanted`."""

    def __init__(self, wanted: str) -> None:
        super().__init__("a session is needed")
        self.wanted = wanted


def opened(services: Services, text: str) -> Caller:
    """Who a key that was typed into the form is of.

    Problem 401 `unauthorized` for a key that is wrong, unknown, expired or revoked, all alike; 403
    `scope_missing` for one that may not see these pages.
    """
    parts = parts_of(text.strip())
    key = None if parts is None else services.keys.find(parts[0])
    if key is None or parts is None or not key.is_opened_by(parts[1]):
        raise _wrong_key()
    if not key.is_good(services.clock()):
        raise _wrong_key()
    services.rates.count(key.key_id)
    return _may_read(Caller(key=key))


def set_session(response: Response, request: Request, services: Services, caller: Caller) -> None:
    """Gives the browser a session of the caller's."""
    until = int(services.clock().timestamp()) + SESSION_SECONDS
    key_id = caller.key.key_id
    text = f"cs_{key_id}_{until:010d}_{_tag(key_id, until, services)}"
    response.set_cookie(
        COOKIE,
        text,
        max_age=SESSION_SECONDS,
        path=HOME,
        httponly=True,
        samesite="strict",
        secure=not _is_local(request),
    )


def _is_local(request: Request) -> bool:
    """Whether the browser speaks plain HTTP to this machine itself: so says Host and, where there
    is one, Origin. A proxy may put a loopback address into Host; Origin is still the browser's.
    """
    addresses = [f"{request.scope['scheme']}://{request.headers.get('host', '')}"]
    addresses += request.headers.getlist("origin")
    return all(_is_plain_loopback(one) for one in addresses)


def _is_plain_loopback(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme == "http" and parts.hostname in _LOOPBACK


def end_session(response: Response) -> None:
    """Takes the session from the browser."""
    response.delete_cookie(COOKIE, path=HOME, httponly=True, samesite="strict")


def reviewer(request: Request, services: Annotated[Services, Depends(services_of)]) -> Caller:
    """A dependency: whoever the session is of, if the key still opens these pages.

    Raises LoginNeeded for nobody; Problem 403 `scope_missing`, 429 `too_many_requests`. What an
    auditor asks for is written down before the answer.
    """
    key_id = _key_id_of(request.cookies.get(COOKIE, ""), services)
    key = None if key_id is None else services.keys.find(key_id)
    if key is None or not key.is_good(services.clock()):
        raise LoginNeeded(_wanted(request))
    services.rates.count(key.key_id)
    caller = _may_read(Caller(key=key))
    record_question(services, caller, request)
    return caller


Reviewer = Annotated[Caller, Depends(reviewer)]


def form_token(request: Request, services: Services) -> str:
    """What the forms of this session carry; nobody without the session can make it."""
    return tag_of("form", request.cookies.get(COOKIE, ""), services.settings)


async def form_fields(request: Request) -> dict[str, str]:
    """A dependency: the fields of a form that one of these pages sent, each once.

    Raises Problem 415 `form_needed`, 403 `foreign_form` for one of another site's.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Problem(
            415, "form_needed", "this takes a form", valid="application/x-www-form-urlencoded"
        )
    _check_origin(request.headers)
    try:
        pairs = parse_qsl(
            (await request.body()).decode("utf-8"),
            keep_blank_values=True,
            max_num_fields=FIELDS_MAX,
            errors="strict",
        )
    except ValueError:
        raise Problem(422, "form_needed", "this is no form", valid="UTF-8, 20 fields") from None
    return dict(pairs)


Form = Annotated[dict[str, str], Depends(form_fields)]


def check_form(request: Request, services: Services, form: Mapping[str, str]) -> None:
    """Returns if the form is of this session; Problem 403 `foreign_form` else."""
    given = form.get(FORM_TOKEN, "").encode()
    if not hmac.compare_digest(given, form_token(request, services).encode()):
        raise _foreign_form()


def wanted_page(text: str | None) -> str:
    """Where to go after the form: `text` if it is one of these pages, the first page else."""
    return text if text is not None and is_page(text) else HOME


def _check_origin(headers: Mapping[str, str]) -> None:
    """Browsers say where a form was; Sec-Fetch-Site holds behind a proxy that changes Host."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        if site not in ("same-origin", "none"):
            raise _foreign_form()
        return
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != headers.get("host"):
        raise _foreign_form()


def _key_id_of(text: str, services: Services) -> str | None:
    found = _SESSION.fullmatch(text)
    if found is None:
        return None
    key_id, until = found[1], int(found[2])
    if not hmac.compare_digest(found[3], _tag(key_id, until, services)):
        return None
    return key_id if services.clock().timestamp() < until else None


def _tag(key_id: str, until: int, services: Services) -> str:
    return tag_of("review session", f"{key_id}\n{until}", services.settings)


def _wanted(request: Request) -> str:
    if request.method != "GET" or request.url.path == LOGIN:
        return HOME
    query = request.url.query
    return f"{request.scope['raw_path'].decode('latin-1')}{'?' if query else ''}{query}"


def _may_read(caller: Caller) -> Caller:
    if not caller.may(READ):
        raise scope_missing(READ)
    return caller


def _wrong_key() -> Problem:
    return Problem(
        401,
        "unauthorized",
        "this takes a key that is known, has not expired and was not revoked",
        valid="a key of `carbon key create`",
    )


def _foreign_form() -> Problem:
    return Problem(
        403,
        "foreign_form",
        "the form is not of this session: go back, load the page again, and send it again",
    )
