"""The activity register: POST /v1/activities, and what another person decides about it.

Belongs here: from a file in a body to a submission, approval and rejection. Does not: judging the
file and sending its events (pipeline.activity_register).

The person is who holds the key, by the person's id: each id has one name in all keys, each name one
id, so the name that is recorded is of one person. A key without one may look, and neither submit
nor decide. A key sees and decides about submissions of its own organization, and only of those that
came through the API.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field

from api.answers import NO_NUL, NOT_MODIFIED, PROBLEMS, answer_model, known_parameters
from api.bodies import ExactRoute, raw_body
from api.problems import Problem, described, printable, problem_of
from api.security import Caller, require
from api.services import Services, services_of
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.quantities import canonical_text
from carbon_ledger.store.activities import (
    Submission,
    decide,
    find_submission,
    refused_rows,
)
from carbon_ledger.store.connect import connect
from carbon_ledger.store.rows import Connection
from pipeline.activity_register import FILE_LIMITS, approve, inventory_of, submit_file

router = APIRouter(
    tags=["activities"],
    dependencies=[Depends(known_parameters)],
    responses=PROBLEMS,
    route_class=ExactRoute,
)
SUBMIT: Final = "activities:submit"
APPROVE: Final = "activities:approve"
PATH: Final = "/v1/activities"
BODY_LIMITS: Final = {PATH: FILE_LIMITS.file_bytes}
NAME_MAX: Final = 200
# Refusals of a decision that the state of the submission makes wrong, not the request.
CONFLICTS: Final = frozenset({"decided_already", "nothing_to_approve"})

_DECIDING: Final = described(
    {
        404: "no such submission of the key's organization",
        409: "it is decided already, or has no row to approve",
    }
)
_FILES: Final = {
    "text/csv": {"schema": {"type": "string"}},
    "application/json": {"schema": {"type": "array", "items": {"type": "object"}}},
    "application/xlsx": {"schema": {"type": "string", "format": "binary"}},
}


class RefusedRow(BaseModel):
    """A row that cannot be approved."""

    line: int = Field(description="line of the file; in JSON the position of the object")
    code: str
    detail: str | None = None
    field: str | None = None
    value: str | None = None
    valid: str | None = None


class SubmissionAnswer(BaseModel):
    """A submission and what became of it."""

    submission: str = Field(description="such as A-7")
    status: str = Field(description="pending, rejected, approved (not all sent yet) or sent")
    template: str
    file_sha256: str
    rows_accepted: int
    rows_refused: int
    kgco2e: str = Field(description="what the accepted rows came to when submitted; exact text")
    submitted_by: str
    decided_by: str | None = None
    reason: str | None = None
    decided_at: datetime | None = None
    refused: list[RefusedRow] = Field(description="the rows that were refused, in order")


class Decision(BaseModel):
    """Why somebody approves or rejects."""

    reason: str = Field(default="", max_length=1000)


@contextmanager
def _register(services: Services) -> Iterator[Connection]:
    """The register's connection; refusals are problems with their status."""
    url = services.settings["CARBON_DATABASE_WRITER_URL"]
    try:
        with connect(url, "carbon api", True) as conn:
            yield conn
    except RejectedRecord as problem:
        status = {"unknown_submission": 404, "own_submission": 403}.get(problem.code)
        if problem.code in CONFLICTS:
            status = 409
        if status is None:
            raise problem_of(problem) from None
        raise Problem(
            status,
            problem.code,
            problem.message,
            field=problem.field,
            value=problem.value,
            valid=problem.valid,
        ) from None


@router.post(
    PATH,
    status_code=201,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": _FILES,
        }
    },
)
def submit(
    services: Annotated[Services, Depends(services_of)],
    caller: Annotated[Caller, Depends(require(SUBMIT))],
    body: Annotated[bytes, Depends(raw_body)],
    name: Annotated[
        str,
        Query(min_length=1, max_length=NAME_MAX, pattern=NO_NUL, description="waste-2025.csv"),
    ],
    template: Annotated[str | None, Query(max_length=NAME_MAX, pattern=NO_NUL)] = None,
) -> SubmissionAnswer:
    """Submit a file of activities; its accepted rows await another person's approval.

    The same bytes again are answered with the submission they are already.
    """
    with _register(services) as conn:
        found = submit_file(
            conn,
            inventory_of(conn, services.settings, services.clock()),
            name=name,
            content=body,
            by=_person(caller),
            template=template,
            organization_id=caller.organization_id,
            default_organization=services.settings["CARBON_DEFAULT_ORGANIZATION"],
        )
        return _answer(conn, found)


@router.get(
    PATH + "/{number}",
    response_model=SubmissionAnswer,
    responses={**described({404: "no such submission of the key's organization"}), **NOT_MODIFIED},
)
def show(
    request: Request,
    services: Annotated[Services, Depends(services_of)],
    caller: Annotated[Caller, Depends(require(SUBMIT))],
    number: Annotated[int, Path(ge=1, le=2**62)],
) -> Response:
    """Show a submission."""
    with _register(services) as conn:
        found = _answer(conn, find_submission(conn, number, caller.organization_id))
    return answer_model(request, found)


@router.post(PATH + "/{number}/approval", responses=_DECIDING)
def approve_submission(
    services: Annotated[Services, Depends(services_of)],
    caller: Annotated[Caller, Depends(require(APPROVE))],
    number: Annotated[int, Path(ge=1, le=2**62)],
    decision: Decision,
) -> SubmissionAnswer:
    """Approve what another person submitted; answers once Kafka has acknowledged its events."""
    with _register(services) as conn:
        find_submission(conn, number, caller.organization_id)
        found = approve(
            conn, services.producers.one, number, by=_person(caller), reason=decision.reason
        )
        return _answer(conn, found)


@router.post(PATH + "/{number}/rejection", responses=_DECIDING)
def reject_submission(
    services: Annotated[Services, Depends(services_of)],
    caller: Annotated[Caller, Depends(require(APPROVE))],
    number: Annotated[int, Path(ge=1, le=2**62)],
    decision: Decision,
) -> SubmissionAnswer:
    """Reject a submission, and say why."""
    with _register(services) as conn:
        find_submission(conn, number, caller.organization_id)
        found = decide(conn, number, approved=False, by=_person(caller), reason=decision.reason)
        return _answer(conn, found)


def _person(caller: Caller) -> str:
    """What the person who calls is called; Problem 403 `key_without_person`."""
    if caller.key.person_id is None:
        raise Problem(
            403,
            "key_without_person",
            "the key was made before keys said whose they are; have one made with --person",
        )
    return caller.key.holder


def _answer(conn: Connection, found: Submission) -> SubmissionAnswer:
    return SubmissionAnswer(
        submission=found.name,
        status=found.status,
        template=found.template,
        file_sha256=found.file_sha256.hex(),
        rows_accepted=found.rows_accepted,
        rows_refused=found.rows_refused,
        kgco2e=canonical_text(found.kgco2e),
        submitted_by=found.submitted_by,
        decided_by=found.decided_by,
        reason=found.reason,
        decided_at=found.decided_at,
        refused=[
            RefusedRow(
                line=one.line,
                code=one.problem.code,
                detail=printable(one.problem.message),
                field=printable(one.problem.field),
                value=printable(one.problem.value),
                valid=printable(one.problem.valid),
            )
            for one in refused_rows(conn, found.submission_id)
        ],
    )
