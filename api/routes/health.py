"""/v1/health: that this process is alive; /v1/ready: whether what it needs answers.

Belongs here: the answers, and what each part is needed for. Does not: asking the parts (api.parts).

Neither takes a key, nor tells an address.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field

from api.services import Services, services_of

router = APIRouter(tags=["health"])
Status = Literal["ok", "unavailable"]
# Which operations each part is needed for.
NEEDED_FOR: Final[dict[str, list[str]]] = {
    "reader": ["every GET that takes a key", "the pages at /review"],
    "gate": ["every operation that takes a key", "POST /auth/token", "the pages at /review"],
    "kafka": [
        "POST /v1/webhooks/erp/{system}",
        "POST /v1/supplier/declarations",
        "POST /v1/supplier/declarations:bulk",
        "POST /3/events",
        "POST /v1/activities/{number}/approval",
        "POST /v1/dead-letters/{letter_id}:replay",
    ],
}


class Health(BaseModel):
    """Each part: `ok`, or `unavailable`; `status`: `ok` if each is. `database` is PostgreSQL, asked
    as the reader and as the gate.
    """

    status: Status
    kafka: Status
    database: Status


class Part(BaseModel):
    """Whether a part answers, and which operations are answered 503 without it."""

    status: Status
    needed_for: list[str]


class Readiness(BaseModel):
    """Whether requests can be taken: `ok` if the reader's database and the gate's answer, without
    which nothing is read and nobody let in. Without Kafka nothing is taken in, and all is read.
    """

    status: Status
    reader: Part = Field(description="PostgreSQL, as the ledger is read")
    gate: Part = Field(description="PostgreSQL, as keys are looked up")
    kafka: Part


@router.get("/v1/health")
def health(services: Annotated[Services, Depends(services_of)], response: Response) -> Health:
    """Say that this process is alive, and what it needs is: always 200."""
    found = services.parts.answers()
    response.headers["Cache-Control"] = "no-store"
    return Health(
        status=_status(found.kafka and found.reader and found.gate),
        kafka=_status(found.kafka),
        database=_status(found.reader and found.gate),
    )


@router.get(
    "/v1/ready",
    responses={503: {"model": Readiness, "description": "nothing can be read"}},
)
def ready(services: Annotated[Services, Depends(services_of)], response: Response) -> Readiness:
    """Say whether requests can be taken: 503 unless the ledger can be read."""
    found = services.parts.answers()
    is_ready = found.reader and found.gate
    response.status_code = 200 if is_ready else 503
    response.headers["Cache-Control"] = "no-store"
    parts = {
        name: Part(status=_status(getattr(found, name)), needed_for=needed_for)
        for name, needed_for in NEEDED_FOR.items()
    }
    return Readiness(status=_status(is_ready), **parts)


def _status(is_there: bool) -> Status:
    return "ok" if is_there else "unavailable"
