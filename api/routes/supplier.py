"""What suppliers declare: POST /v1/supplier/declarations, one at a time and in bulk.

Belongs here: from a body to acknowledged events, one answer for each row. Does not: what a
declaration may say (carbon_ledger.purchasing.supplier_events), footprints of the PACT exchange
(api.routes.pact).

A key declares for its own suppliers and for no others. What is refused is kept as a dead letter,
with its bytes, so that it can be mended here too.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from api.answers import PROBLEMS
from api.bodies import raw_body, read_json
from api.problems import Problem, described, printable, problem_of
from api.rows import rows_of
from api.security import Caller, may_declare_for, require
from api.services import Services, services_of
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.purchasing.production_events import SupplierEvent, supplier_event
from pipeline.edge_letters import EdgeLetter, send_edge_letter
from pipeline.producers import CarbonEventProducer

log = logging.getLogger("carbon.api")
router = APIRouter(tags=["supplier"], responses=PROBLEMS)
SCOPE: Final = "submit:supplier"
TOPIC: Final = "raw.supplier"
STREAM: Final = "supplier"
BULK: Final = "/v1/supplier/declarations:bulk"
BODY_LIMITS: Final = {BULK: 8 * 1024 * 1024}
# Not kept: it is of somebody that the key has nothing to do with.
FOREIGN: Final = frozenset({"supplier_not_yours", "entity_not_yours"})

_FORBIDDEN: Final = described({403: "the key may not do this, or not for this supplier"})
_DECLARATION: Final = {
    "type": "object",
    "required": ["declaration_id", "supplier_id", "entity_id", "kind", "timestamp"],
    "description": "the fields of SupplierDeclarationEvent, or with kind site_production of "
    "SupplierProductionEvent; numbers as text or as numbers",
}


class Accepted(BaseModel):
    """A declaration that Kafka has acknowledged."""

    event_id: str


class RowResult(BaseModel):
    """What became of a row."""

    row: int = Field(description="from 1 on")
    accepted: bool
    event_id: str | None = None
    code: str | None = None
    detail: str | None = None
    field: str | None = None
    value: str | None = None
    valid: str | None = None


class BulkResult(BaseModel):
    """What became of each row; what was accepted, Kafka has acknowledged."""

    accepted: int
    refused: int
    rows: list[RowResult]


@dataclass(frozen=True, kw_only=True)
class _Row:
    number: int
    content: bytes
    event: SupplierEvent | None = None
    problem: RejectedRecord | None = None


@router.post(
    "/v1/supplier/declarations",
    status_code=202,
    responses=_FORBIDDEN,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _DECLARATION}},
        }
    },
)
def declare(
    services: Annotated[Services, Depends(services_of)],
    caller: Annotated[Caller, Depends(require(SCOPE))],
    body: Annotated[bytes, Depends(raw_body)],
) -> Accepted:
    """Declare one thing; 202 once Kafka has acknowledged it. It may be sent again."""
    row = _judged(services, caller, 1, body)
    if row.problem is not None and row.problem.code in FOREIGN:
        raise Problem(403, row.problem.code, row.problem.message, field=row.problem.field)
    _send(services, caller, [row])
    if row.event is None:
        raise problem_of(row.problem or RejectedRecord("no_rows", "there is no declaration"))
    return Accepted(event_id=row.event.event_id)


@router.post(
    BULK,
    status_code=202,
    responses=_FORBIDDEN,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/x-ndjson": {"schema": {"type": "string"}},
                "application/json": {"schema": {"type": "array", "items": _DECLARATION}},
            },
        }
    },
)
def declare_many(
    services: Annotated[Services, Depends(services_of)],
    caller: Annotated[Caller, Depends(require(SCOPE))],
    body: Annotated[bytes, Depends(raw_body)],
) -> BulkResult:
    """Declare several things, as an array or one a line; each row stands for itself."""
    rows = [
        _judged(services, caller, number, content)
        for number, content in enumerate(rows_of(body), start=1)
    ]
    _send(services, caller, rows)
    results = [_result(row) for row in rows]
    accepted = sum(one.accepted for one in results)
    return BulkResult(accepted=accepted, refused=len(results) - accepted, rows=results)


def _judged(services: Services, caller: Caller, number: int, content: bytes) -> _Row:
    try:
        fields = read_json(content)
        if not isinstance(fields, Mapping):
            raise RejectedRecord(
                "not_an_object", "a declaration is an object", valid="a JSON object"
            )
        supplier_id = fields.get("supplier_id")
        if isinstance(supplier_id, str) and not caller.key.may_submit_for(supplier_id):
            raise RejectedRecord(
                "supplier_not_yours",
                "the key may not declare for this supplier",
                field="supplier_id",
                value=supplier_id,
            )
        event = supplier_event(fields, services.clock())
        if not may_declare_for(services, caller, event.entity_id):
            raise RejectedRecord(
                "entity_not_yours",
                "the key may not declare to this entity",
                field="entity_id",
                value=event.entity_id,
            )
    except RejectedRecord as problem:
        return _Row(number=number, content=content, problem=problem)
    return _Row(number=number, content=content, event=event)


def _send(services: Services, caller: Caller, rows: list[_Row]) -> None:
    """Returns when Kafka has acknowledged every event, and every letter of what is none."""
    with services.producers.one() as producer:
        for row in rows:
            if row.event is not None:
                producer.send(TOPIC, None, row.event)
            elif row.problem is not None and row.problem.code not in FOREIGN:
                send_letter(producer, caller, row.content, row.problem)
    taken = sum(row.event is not None for row in rows)
    log.info("%s declared: %d taken, %d refused", caller.name, taken, len(rows) - taken)


def send_letter(
    producer: CarbonEventProducer,
    caller: Caller,
    content: bytes,
    problem: RejectedRecord,
    source: str = "supplier",
) -> None:
    """Keeps what a caller sent and could not be taken, once however often it is sent."""
    letter = EdgeLetter.of(
        problem,
        source=f"api:{source}",
        coordinates=f"{caller.key.key_id}/{hashlib.sha256(content).hexdigest()[:16]}",
        payload=content,
        stream=STREAM,
        content_type="application/json",
    )
    send_edge_letter(producer, letter)


def _result(row: _Row) -> RowResult:
    if row.event is not None:
        return RowResult(row=row.number, accepted=True, event_id=row.event.event_id)
    problem = row.problem
    if problem is None:
        return RowResult(row=row.number, accepted=False)
    return RowResult(
        row=row.number,
        accepted=False,
        code=problem.code,
        detail=printable(problem.message),
        field=printable(problem.field),
        value=printable(problem.value),
        valid=printable(problem.valid),
    )
