"""Answers of reading operations: their parameters' types, entity tags, what may be kept.

Belongs here: what several of those routes have in common. Does not: what they answer.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, get_args, get_origin

from fastapi import Depends, Path, Query, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel

from api.problems import Problem, described
from api.security import Caller, authenticated
from carbon_ledger.quantities import canonical_text

# As events have them; a slash is part of some.
IDENTIFIER: Final = r"^[A-Za-z0-9._:/+-]{1,128}$"
# Printable, as ids of factors and names of sources are; no control character.
WORD: Final = r"^[^\x00-\x1f\x7f]{1,200}$"
# Of any other text: PostgreSQL takes no NUL character.
NO_NUL: Final = r"^[^\x00]*$"
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2199, 12, 31)
Word = Annotated[str | None, Query(pattern=WORD)]
Identifier = Annotated[str, Path(pattern=IDENTIFIER, examples=["SUP_042_DE"])]
Day = Annotated[
    date | None,
    Query(ge=FIRST_DAY, le=LAST_DAY, description="a local date of the site's calendar"),
]
AsOf = Annotated[
    datetime | None,
    Query(
        description="what was known at that moment (UTC if no offset is given); left out: the "
        "latest moment of which an answer never changes",
        examples=["2026-01-31T12:00:00Z"],
    ),
]
NOT_MODIFIED: Final[dict[int | str, dict[str, Any]]] = {
    304: {"description": "as `If-None-Match` has it already"}
}
# Problems of every operation that takes a key, besides those of all operations.
PROBLEMS: Final = described(
    {
        401: "no good key",
        403: "the key may not do this",
        404: "it is not there, or is somebody else's",
        429: "the key makes more requests than it may",
    }
)
# Asked again each time: by its tag, what did not change is not sent again.
REVALIDATED: Final = "private, no-cache"
# Never changes: by the key's holder it may be kept.
IMMUTABLE: Final = "private, max-age=86400, immutable"


async def known_parameters(request: Request, _: Annotated[Caller, Depends(authenticated)]) -> None:
    """A dependency: every parameter is one of the operation's, and is given once, save for lists. A
    misspelt filter would else be none, and the answer would be about more than was asked.

    Raises Problem 422 `unknown_parameter`, `parameter_twice`.
    """
    route: APIRoute = request.scope["route"]
    known = _query_names(route.dependant)
    given = Counter(name for name, _ in request.query_params.multi_items())
    lists = _lists(route.dependant)
    twice = [one for one in given if given[one] > 1 and one not in lists]
    for code, detail, names in (
        ("unknown_parameter", "this is no parameter", [one for one in given if one not in known]),
        ("parameter_twice", "a parameter is given once", twice),
    ):
        if names:
            raise Problem(
                422, code, detail, field=f"query.{names[0][:60]}", valid=", ".join(sorted(known))
            )


def _query_names(dependant: Dependant) -> set[str]:
    found = {one.alias for one in dependant.query_params}
    return found.union(*(_query_names(one) for one in dependant.dependencies))


def _lists(dependant: Dependant) -> set[str]:
    """Parameters that may be given several times."""
    found = {one.alias for one in dependant.query_params if _is_list(one.field_info.annotation)}
    return found.union(*(_lists(one) for one in dependant.dependencies))


def _is_list(kind: Any) -> bool:
    return get_origin(kind) is list or any(_is_list(one) for one in get_args(kind))


def aware(moment: datetime | None) -> datetime | None:
    """The moment; one without an offset is taken as UTC. Problem 422 for one out of all bounds."""
    if moment is None:
        return None
    found = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    if not FIRST_DAY <= found.date() <= LAST_DAY:
        raise Problem(
            422,
            "out_of_range",
            "that moment is not of this ledger's time",
            value=found.isoformat(),
            valid=f"{FIRST_DAY} to {LAST_DAY}",
        )
    return found.astimezone(UTC)


def exact(value: Decimal) -> str:
    """A number as text, every digit of it, without an exponent and without zeros at its end."""
    return canonical_text(value)


def exact_or_none(value: Decimal | None) -> str | None:
    """The same, for what may be unknown."""
    return None if value is None else exact(value)


def answer_model(request: Request, content: BaseModel, *, cache: str = REVALIDATED) -> Response:
    """The content as JSON, with a tag of its own bytes; 304 if the caller has them."""
    return answer_bytes(request, content.model_dump_json().encode(), cache=cache)


def answer_bytes(request: Request, content: bytes, *, cache: str = REVALIDATED) -> Response:
    """JSON that is bytes already; as `answer_model`."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": cache, "Vary": "Authorization"}
    if tag in _tags(request):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)


def _tags(request: Request) -> set[str]:
    given = request.headers.get("If-None-Match", "")[:4096]
    # A cache between may have made a tag a weak one.
    return {one.strip().removeprefix("W/") for one in given.split(",")}
