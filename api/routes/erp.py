"""POST /v1/webhooks/erp/{system}: purchase orders as an ERP system sends them.

Belongs here: from a signed body to acknowledged events, and the answer. Does not: signatures
(api.signatures), documents (pipeline.sources.erp_documents).

202 means that Kafka has acknowledged every event and every letter of the body. Whatever is answered
otherwise, or not at all, may be sent again: the same body makes the same event ids, which the
ledger takes once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Path
from pydantic import BaseModel, Field

from api.bodies import raw_body, read_json
from api.client import DELIVERY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER
from api.problems import Problem, described, problem_of
from api.services import Services, services_of
from api.signatures import WINDOW_SECONDS, check_signature
from carbon_ledger.errors import RejectedRecord
from pipeline.edge_letters import EdgeLetter, send_edge_letter
from pipeline.producers import CarbonEventProducer
from pipeline.sources.erp_documents import ErpSystem, lines_of_body

router = APIRouter(tags=["erp"])
TOPIC: Final = "raw.procurement"
STREAM: Final = "procurement"
_SYSTEM: Final = r"^[A-Za-z0-9._:+-]{1,64}$"
REASON_LENGTH_MAX: Final = 2_000
_DELIVERY: Final = re.compile(r"[A-Za-z0-9._:/+-]{1,128}")


class RefusedLine(BaseModel):
    """A line that became no event, and what is wrong with it."""

    place: str
    code: str
    detail: str
    field: str | None = None
    value: str | None = None
    valid: str | None = None


class Received(BaseModel):
    """What became of a delivery: the same each time it is sent."""

    delivery: str = Field(description="the delivery's id if it had one, else its SHA-256")
    events: list[str] = Field(description="ids of the events that Kafka has acknowledged")
    refused: list[RefusedLine] = Field(
        description="lines that became no event; the delivery is kept as a dead letter"
    )


@router.post(
    "/v1/webhooks/erp/{system}",
    status_code=202,
    responses=described({401: "not signed, signed long ago, or not with a secret of the system"}),
    openapi_extra={
        "security": [{"signature": []}],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
    },
)
def receive(
    services: Annotated[Services, Depends(services_of)],
    body: Annotated[bytes, Depends(raw_body)],
    system: Annotated[str, Path(pattern=_SYSTEM)],
    timestamp: Annotated[str | None, Header(alias=TIMESTAMP_HEADER)] = None,
    signature: Annotated[str | None, Header(alias=SIGNATURE_HEADER)] = None,
    delivery: Annotated[str | None, Header(alias=DELIVERY_HEADER)] = None,
) -> Received:
    """Take the purchase orders of a signed body; 202 once Kafka has acknowledged them."""
    sender = services.erp_systems.find(system)
    check_signature(
        body,
        timestamp=timestamp,
        signature=signature,
        known=[] if sender is None else sender.secrets(),
        now=services.clock(),
        window_seconds=WINDOW_SECONDS if sender is None else sender.window_seconds,
    )
    if sender is None:
        raise Problem(401, "signature_wrong", "the signature is not of this body")
    digest = hashlib.sha256(body).hexdigest()
    name = delivery if delivery and _DELIVERY.fullmatch(delivery) else digest
    known = services.deliveries.find(system, digest)
    if known is None:
        known = _take(services, sender.system, body, digest)
        services.deliveries.add(system, digest, known)
    return Received(delivery=name, **known)


def _take(services: Services, system: ErpSystem, body: bytes, digest: str) -> dict[str, Any]:
    """Sends what is in the body, letters for what is not; returns when Kafka has it all."""
    try:
        lines = lines_of_body(read_json(body), system, services.clock())
    except RejectedRecord as problem:
        with services.producers.one() as producer:
            _send_letter(producer, system, body, digest, problem)
        raise problem_of(problem) from None
    events = [line.event for line in lines if line.event is not None]
    refused = [(line.place, line.problem) for line in lines if line.problem is not None]
    with services.producers.one() as producer:
        for event in events:
            producer.send(TOPIC, None, event)
        if refused:
            _send_letter(producer, system, body, digest, _all_of(refused, len(lines)))
    if not events:
        raise problem_of(refused[0][1])
    return {
        "events": [event.event_id for event in events],
        "refused": [_refused(place, problem) for place, problem in refused],
    }


def _all_of(refused: Sequence[tuple[str, RejectedRecord]], lines: int) -> RejectedRecord:
    """One refusal for a delivery, whose bytes are kept once however many of its lines are wrong."""
    told = "; ".join(f"{place}: {problem.message}" for place, problem in refused)
    first = refused[0][1]
    return RejectedRecord(
        first.code,
        f"{len(refused)} of {lines} lines: {told}"[:REASON_LENGTH_MAX],
        field=first.field,
        value=first.value,
        valid=first.valid,
    )


def _send_letter(
    producer: CarbonEventProducer,
    system: ErpSystem,
    body: bytes,
    digest: str,
    problem: RejectedRecord,
) -> None:
    letter = EdgeLetter.of(
        problem,
        source=f"erp:{system.system}",
        coordinates=digest,
        payload=body,
        stream=STREAM,
        content_type="application/json",
    )
    send_edge_letter(producer, letter)


def _refused(place: str, problem: RejectedRecord) -> dict[str, Any]:
    return {
        "place": place,
        "code": problem.code,
        "detail": problem.message,
        "field": problem.field,
        "value": problem.value,
        "valid": problem.valid,
    }
