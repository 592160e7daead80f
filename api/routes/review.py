"""/v1/lineage: samples of entries for reviewers, and what they found.

Belongs here: parameters and answers. Does not: drawing and signing (api.reviewing), the same for
people (api.pages).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.answers import NOT_MODIFIED, PROBLEMS, answer_model, exact, known_parameters
from api.bodies import ExactRoute
from api.problems import Problem
from api.reviewing import draw_sample, sign
from api.routes.inventory import OfServices
from api.security import Caller, require
from carbon_ledger.lineage.review_samples import MONETARY_UNIT, SEED_MAX, SIZE_MAX, Method
from carbon_ledger.lineage.sign_offs import NOTE_LENGTH_MAX, Kind, Subject, Verdict
from carbon_ledger.store.sign_offs import PAGE_MAX, SignOff, list_sign_offs

router = APIRouter(
    tags=["lineage"],
    dependencies=[Depends(known_parameters)],
    responses=PROBLEMS,
    route_class=ExactRoute,
)
READ: Final = "lineage:read"
SIGN: Final = "lineage:sign"
CELL_ID: Final = r"^[^\x00-\x1f\x7f]{1,400}$"
SIGN_OFFS: Final = "/v1/lineage/sign-offs"
Reads = Annotated[Caller, Depends(require(READ))]


class SampledEntry(BaseModel):
    """An entry of a sample, and where it was read."""

    model_config = ConfigDict(extra="forbid")

    entry_id: UUID
    event_id: str
    line_no: int
    kgco2e: str
    topic: str | None
    kafka_partition: int | None
    kafka_offset: int | None


class SampleOut(BaseModel):
    """A sample of the entries of a kept report, or of one cell of it; the same for ever.

    `population` entries, together `population_kgco2e` taken by magnitude, are those it was drawn
    from; `how` says how it is drawn again, `sha256` is over the ids in their order, 16 bytes each.
    """

    model_config = ConfigDict(extra="forbid")

    snapshot_id: UUID
    cell_id: str | None
    as_of: datetime
    method: Method
    seed: int
    n: int
    how: str
    population: int
    population_kgco2e: str
    sha256: str
    entries: list[SampledEntry]


class SignOffIn(BaseModel):
    """What is signed off on, and what was found.

    A `cell` is named by `snapshot_id` and `cell_id`, an `entry` by `entry_id`, a `sample` by
    `snapshot_id`, `method`, `seed`, `n` and, if it is of one cell, `cell_id`.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    snapshot_id: UUID | None = None
    cell_id: str | None = Field(default=None, pattern=CELL_ID)
    entry_id: UUID | None = None
    method: Method | None = None
    seed: int | None = Field(default=None, ge=0, le=SEED_MAX)
    n: int | None = Field(default=None, ge=1, le=SIZE_MAX)
    verdict: Verdict
    note: str = Field(default="", max_length=NOTE_LENGTH_MAX)


class SignedOut(BaseModel):
    """The number of a sign-off that was added."""

    model_config = ConfigDict(extra="forbid")

    sign_off_id: int


class SignOffOut(BaseModel):
    """A sign-off; `stands` is false once a later one is of the same subject.

    `subject_sha256` is of what was looked at: the content of the entry or of the kept report, or
    the ids of the sample.
    """

    model_config = ConfigDict(extra="forbid")

    sign_off_id: int
    kind: Kind
    snapshot_id: UUID | None
    cell_id: str | None
    entry_id: UUID | None
    method: str | None
    seed: int | None
    n: int | None
    subject_sha256: str
    verdict: Verdict
    note: str
    signed_by: str
    key_id: str
    recorded_at: datetime
    stands: bool


class SignOffsOut(BaseModel):
    """Sign-offs, the newest first; `next_before` leads to older ones, null if there are none."""

    model_config = ConfigDict(extra="forbid")

    sign_offs: list[SignOffOut]
    next_before: int | None


@router.get(
    "/v1/lineage/reports/{snapshot_id}/sample",
    response_model=SampleOut,
    responses=NOT_MODIFIED,
)
def sample(
    request: Request,
    services: OfServices,
    caller: Reads,
    snapshot_id: UUID,
    cell_id: Annotated[str | None, Query(pattern=CELL_ID)] = None,
    method: Method = MONETARY_UNIT,
    seed: Annotated[int, Query(ge=0, le=SEED_MAX)] = 0,
    n: Annotated[int, Query(ge=1, le=SIZE_MAX)] = 25,
) -> Response:
    """Draw a sample of the entries of a kept report, or of one cell of it."""
    opened = services.reports.opened(services, caller.organization_id, snapshot_id)
    found = draw_sample(services, caller, opened, cell_id, method=method, seed=seed, size=n)
    answer = SampleOut(
        snapshot_id=snapshot_id,
        cell_id=cell_id,
        as_of=opened.report.as_of,
        method=found.sample.method,
        seed=seed,
        n=n,
        how=found.sample.words,
        population=found.sample.population,
        population_kgco2e=exact(found.sample.population_kgco2e),
        sha256=found.sample.sha256.hex(),
        entries=[
            SampledEntry(
                entry_id=row.entry_id,
                event_id=row.event_id,
                line_no=row.line_no,
                kgco2e=exact(row.kgco2e),
                topic=row.topic,
                kafka_partition=row.kafka_partition,
                kafka_offset=row.kafka_offset,
            )
            for row in found.entries
        ],
    )
    return answer_model(request, answer)


@router.get(SIGN_OFFS, response_model=SignOffsOut, responses=NOT_MODIFIED)
def list_all(
    request: Request,
    services: OfServices,
    caller: Reads,
    kind: Kind | None = None,
    snapshot_id: UUID | None = None,
    cell_id: Annotated[str | None, Query(pattern=CELL_ID)] = None,
    entry_id: UUID | None = None,
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
) -> Response:
    """List sign-offs of the organization, the newest first."""
    with services.readers.of(caller.organization_id) as conn:
        found = list_sign_offs(
            conn,
            organization=caller.organization_id,
            kind=kind,
            snapshot_id=snapshot_id,
            cell_id=cell_id,
            entry_id=entry_id,
            before=before,
            limit=limit + 1,
        )
    shown = found[:limit]
    answer = SignOffsOut(
        sign_offs=[_out(one) for one in shown],
        next_before=shown[-1].sign_off_id if len(found) > limit else None,
    )
    return answer_model(request, answer)


@router.post(SIGN_OFFS, response_model=SignedOut, status_code=201)
def add(
    services: OfServices,
    caller: Annotated[Caller, Depends(require(SIGN))],
    given: SignOffIn,
) -> SignedOut:
    """Sign off on a cell of a kept report, an entry or a sample; a later one supersedes it."""
    number = sign(services, caller, _subject(given), verdict=given.verdict, note=given.note)
    return SignedOut(sign_off_id=number)


def _subject(given: SignOffIn) -> Subject:
    """The subject; Problem 422 `subject_unclear` if it is not named by exactly what names it."""
    named: dict[str, Any] = {
        "snapshot_id": given.snapshot_id,
        "cell_id": given.cell_id,
        "entry_id": given.entry_id,
        "method": given.method,
        "seed": given.seed,
        "size": given.n,
    }
    needed = {
        "cell": {"snapshot_id", "cell_id"},
        "entry": {"entry_id"},
        "sample": {"snapshot_id", "method", "seed", "size"},
    }[given.kind]
    there = {name for name, value in named.items() if value is not None}
    optional = {"cell_id"} if given.kind == "sample" else set()
    if not needed <= there <= needed | optional:
        names = sorted("n" if name == "size" else name for name in needed)
        raise Problem(
            422,
            "subject_unclear",
            f"a {given.kind} is named by other fields",
            field="kind",
            value=given.kind,
            valid=", ".join(names) + (" and, if it is of one cell, cell_id" if optional else ""),
        )
    return Subject(kind=given.kind, **named)


def _out(one: SignOff) -> SignOffOut:
    subject = one.subject
    return SignOffOut(
        sign_off_id=one.sign_off_id,
        kind=subject.kind,
        snapshot_id=subject.snapshot_id,
        cell_id=subject.cell_id,
        entry_id=subject.entry_id,
        method=subject.method,
        seed=subject.seed,
        n=subject.size,
        subject_sha256=one.subject_sha256.hex(),
        verdict=one.verdict,
        note=one.note,
        signed_by=one.signed_by,
        key_id=one.key_id,
        recorded_at=one.recorded_at,
        stands=one.stands,
    )
