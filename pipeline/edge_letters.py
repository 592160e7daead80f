"""Dead letters of the edges: what an adapter received and could not turn into an event.

Belongs here: the record such a letter becomes in dlq.failed_events. Does not: letters of records
that were in a raw topic already (pipeline.dead_letters), what an adapter refuses.

A letter's key is its source, its coordinates there and the SHA-256 of its bytes: the same thing
received twice is the same letter.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.events import iso_utc
from pipeline.producers import CarbonEventProducer
from pipeline.topics import DEAD_LETTERS

EDGE: Final = "edge"
VALUE_SHOWN: Final = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class EdgeLetter:
    """Something received outside Kafka that became no event, and why.

    `source` names the adapter as it is configured (`mqtt:plant-7`), `coordinates` the place within
    it (a topic and message id, a URL with page and item, a file's SHA-256 and line). `stream` is
    the one it was meant for, if that is known. `payload` is what was received, unchanged.
    """

    source: str
    coordinates: str
    payload: bytes
    reason_code: str
    reason: str
    stream: str | None = None
    field: str | None = None
    value: str | None = None
    valid: str | None = None
    content_type: str = "application/octet-stream"

    @classmethod
    def of(
        cls,
        problem: RejectedRecord,
        *,
        source: str,
        coordinates: str,
        payload: bytes,
        stream: str | None = None,
        content_type: str = "application/octet-stream",
    ) -> Self:
        """The letter of a refused record: code, message, field, value and valid values are its."""
        return cls(
            source=source,
            coordinates=coordinates,
            payload=payload,
            reason_code=problem.code,
            reason=problem.message,
            stream=stream,
            field=problem.field,
            value=None if problem.value is None else str(problem.value)[:VALUE_SHOWN],
            valid=None if problem.valid is None else str(problem.valid),
            content_type=content_type,
        )

    @property
    def key(self) -> bytes:
        """Source, coordinates and the hash of the bytes."""
        digest = hashlib.sha256(self.payload).hexdigest()
        return f"{self.source}:{self.coordinates}:{digest}".encode()

    def headers(self, received_at: datetime) -> list[tuple[str, bytes | None]]:
        """What went wrong and where, under `carbon.` names, as in letters of raw records."""
        told = {
            "carbon.fate": EDGE,
            "carbon.source": self.source,
            "carbon.coordinates": self.coordinates,
            "carbon.stream": self.stream,
            "carbon.reason_code": self.reason_code,
            "carbon.reason": self.reason,
            "carbon.field": self.field,
            "carbon.value": self.value,
            "carbon.valid": self.valid,
            "carbon.content_type": self.content_type,
            "carbon.received_at": iso_utc(received_at),
        }
        # A value shown may have half a surrogate pair in it, out of JSON; the payload has it whole.
        return [
            (name, value.encode(errors="backslashreplace"))
            for name, value in told.items()
            if value is not None
        ]


def send_edge_letter(producer: CarbonEventProducer, letter: EdgeLetter) -> None:
    """Takes the letter for delivery; like an event's, its delivery is certain after `flush`.

    Raises what `CarbonEventProducer.send_bytes` raises.
    """
    producer.send_bytes(DEAD_LETTERS, letter.key, letter.payload, letter.headers(datetime.now(UTC)))
