"""/v1/dead-letters: records that were not ledgered, and their way back; /metrics: how much waits.

Belongs here: parameters, bodies and answers. Does not: what a letter's state is
(carbon_ledger.store.letters), deciding (carbon_ledger.store.letter_decisions), sending
(pipeline.letter_replay), the figures (pipeline.metrics).

A letter's bytes may be of any organization, so only keys of the ledger's own organization
(CARBON_DEFAULT_ORGANIZATION) get to see one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi import Request as HttpRequest
from pydantic import BaseModel, ConfigDict, Field, RootModel, StringConstraints

from api.answers import NOT_MODIFIED, PROBLEMS, WORD, Word, answer_model, known_parameters
from api.bodies import ExactRoute
from api.problems import Problem, absent, described, problem_of
from api.security import Caller, require
from api.services import Services, services_of
from carbon_ledger.errors import CarbonError, ConfigurationError
from carbon_ledger.settings import Settings
from carbon_ledger.store.connect import connect_as_reader, connect_as_writer
from carbon_ledger.store.letter_decisions import decide_discards
from carbon_ledger.store.letters import (
    STATES,
    UNDECIDED,
    Wanted,
    find_letter,
    history,
    letter_records,
    list_letters,
    tries_max,
)
from pipeline import metrics
from pipeline.letter_replay import Request, letter_values, replay, view_of

if TYPE_CHECKING:
    from carbon_ledger.store.rows import Connection

router = APIRouter(
    tags=["dead letters"],
    dependencies=[Depends(known_parameters)],
    responses=PROBLEMS,
    route_class=ExactRoute,
)
LIST_MAX: Final = 1_000
TEXT_MAX: Final = 1_000
# Refusals that come of the letter's state, and not of what was asked.
CONFLICTING: Final = frozenset(
    {
        *("already_landed", "under_way", "discarded", "tries_exhausted", "same_conflict"),
        *("letter_landed", "letter_replayed", "letter_discarded"),
    }
)
CONFLICT: Final = described({409: "the letter has landed, is under way, exhausted or discarded"})
Answer = TypeVar("Answer")
LetterId = Annotated[str, Path(pattern=r"^[A-Za-z0-9._~:-]{1,300}$")]


class Letters(BaseModel):
    """Letters, those first that have waited longest; `more` if there are more than asked for."""

    letters: list[dict[str, Any]]
    more: bool


class LetterOut(RootModel[dict[str, Any]]):
    """A letter, all of it: as in a list, its bytes in base64, what they say, every decision."""


class Decided(BaseModel):
    """What was decided: `sent` or `discarded`, and the number of the try if it was sent."""

    letter_id: str
    outcome: str
    try_no: int | None = None


class Said(BaseModel):
    """Why; who it is, is the key's holder."""

    model_config = ConfigDict(extra="forbid")
    why: str = Field(min_length=1, max_length=TEXT_MAX)


class Replayed(Said):
    """Without `changes` and `value` the same bytes are judged again."""

    changes: dict[str, str] = Field(default_factory=dict, description="fields and new values")
    value: dict[str, Any] | None = Field(default=None, description="all fields of the event")
    stream: str | None = Field(default=None, description="where an edge's letter belongs")
    force: bool = False


def _of_the_operator(services: Services, caller: Caller) -> None:
    if caller.organization_id != services.settings["CARBON_DEFAULT_ORGANIZATION"]:
        raise Problem(
            403, "organization_not_allowed", "dead letters are shown to the ledger's operator alone"
        )


async def reads(
    services: Annotated[Services, Depends(services_of)],
    caller: Annotated[Caller, Depends(require("dlq:read"))],
) -> Caller:
    """A dependency: a key of the operator that may read dead letters."""
    _of_the_operator(services, caller)
    return caller


async def decides(
    services: Annotated[Services, Depends(services_of)],
    caller: Annotated[Caller, Depends(require("dlq:write"))],
) -> Caller:
    """A dependency: a key of the operator that may decide on dead letters."""
    _of_the_operator(services, caller)
    return caller


def _reader(settings: Settings) -> closing[Connection]:
    return closing(connect_as_reader(settings, "carbon api letters", autocommit=True))


def _writer(settings: Settings) -> closing[Connection]:
    return closing(connect_as_writer(settings, "carbon api letters", autocommit=True))


@router.get("/v1/dead-letters", response_model=Letters, responses=NOT_MODIFIED)
def list_dead_letters(
    request: HttpRequest,
    services: Annotated[Services, Depends(services_of)],
    _: Annotated[Caller, Depends(reads)],
    reason: Word = None,
    stream: Word = None,
    source: Word = None,
    since: datetime | None = None,
    until: datetime | None = None,
    state: Annotated[
        list[Annotated[str, StringConstraints(pattern=WORD)]] | None,
        Query(description=f"of {', '.join(STATES)}, or any; may be given several times"),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 100,
) -> Response:
    """List dead letters of topics and of edges; without `state` those that wait for a decision."""
    settings = services.settings
    states = tuple(state or UNDECIDED)
    wanted = _found(
        lambda: Wanted(
            reason=reason,
            stream=stream,
            source=source,
            since=_aware(since),
            until=_aware(until),
            states=() if "any" in states else states,
        )
    )
    with _reader(settings) as conn:
        found = list_letters(conn, wanted, limit=limit + 1, tries=tries_max(settings))
    told = Letters(letters=[_plain(asdict(one)) for one in found[:limit]], more=len(found) > limit)
    return answer_model(request, told)


@router.get("/v1/dead-letters/{letter_id}", response_model=LetterOut, responses=NOT_MODIFIED)
def show_dead_letter(
    request: HttpRequest,
    services: Annotated[Services, Depends(services_of)],
    _: Annotated[Caller, Depends(reads)],
    letter_id: LetterId,
) -> Response:
    """Show a letter: where from, why, what its bytes say, and every decision on it."""
    tries = tries_max(services.settings)
    with _reader(services.settings) as conn:
        letter = _found(lambda: find_letter(conn, letter_id, tries=tries))
        (record,) = letter_records(conn, [letter.letter_id], tries=tries)
        told = letter_values(letter, record, view_of(conn, record), history(conn, letter.letter_id))
    return answer_model(request, LetterOut(_plain(told)))


@router.post("/v1/dead-letters/{letter_id}:replay", status_code=202, responses=CONFLICT)
def replay_dead_letter(
    services: Annotated[Services, Depends(services_of)],
    caller: Annotated[Caller, Depends(decides)],
    letter_id: LetterId,
    body: Replayed,
) -> Decided:
    """Send a letter again; 202 once Kafka has it. What has landed or is under way gives 409."""
    request = Request(
        wanted=Wanted(ids=(letter_id,)),
        who=caller.name,
        why=body.why,
        force=body.force,
        changes=body.changes,
        value=body.value,
        stream=body.stream,
    )
    with _writer(services.settings) as conn:
        outcome = _found(lambda: replay(conn, services.settings, request))
    if outcome.refused:
        raise _refusal(outcome.refused[0].problem)
    (sent,) = outcome.sent
    return Decided(letter_id=sent.letter_id, outcome="sent", try_no=sent.try_no)


@router.post("/v1/dead-letters/{letter_id}:discard", responses=CONFLICT)
def discard_dead_letter(
    services: Annotated[Services, Depends(services_of)],
    caller: Annotated[Caller, Depends(decides)],
    letter_id: LetterId,
    body: Said,
) -> Decided:
    """Decide that a letter stays unledgered; nothing is deleted."""
    with _writer(services.settings) as conn:
        _, refused = _found(
            lambda: decide_discards(
                conn,
                [letter_id],
                decided_by=caller.name,
                reason=body.why,
                tries=tries_max(services.settings),
            )
        )
    if refused:
        raise _refusal(refused[0].problem)
    return Decided(letter_id=letter_id, outcome="discarded")


@router.get("/metrics", response_class=Response, tags=["metrics"])
def prometheus_metrics(
    services: Annotated[Services, Depends(services_of)],
    _: Annotated[Caller, Depends(reads)],
) -> Response:
    """Lag, records by fate, open dead letters, ages of seals and reports, requests of this process,
    as Prometheus reads them.
    """
    text = metrics.exposition(services.settings, services.requests.metrics())
    return Response(
        text, headers={"Content-Type": metrics.CONTENT_TYPE, "Cache-Control": "no-store"}
    )


def _aware(moment: datetime | None) -> datetime | None:
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=UTC)


def _found(ask: Callable[[], Answer]) -> Answer:
    """What `ask` answers; 404 for a letter that does not exist, 422 for a word nobody knows."""
    try:
        return ask()
    except ConfigurationError as error:
        if error.code in ("letter_unknown", "letter_id_malformed"):
            raise absent() from error
        field = {"unknown_state": "state", "stream_unknown": "stream"}.get(error.code)
        if field is not None:
            raise Problem(422, error.code, error.message, field=field) from error
        raise


def _refusal(problem: CarbonError) -> Problem:
    """Why nothing was decided: 404, 409 for a letter in another state, 422 for an edit."""
    if problem.code == "letter_unknown":
        return absent()
    told = problem_of(problem)
    if problem.code in CONFLICTING:
        told.status = 409
    return told


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """As JSON has them: numbers exactly, as text where JSON has no such number."""
    found: dict[str, Any] = json.loads(json.dumps(values, default=_told))
    return found


def _told(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
