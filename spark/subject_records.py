"""Everything the archive holds of one person, opened for that person.

Belongs here: finding the records that bear a pseudonym, decoding and unsealing them. Does not: the
keys (carbon_ledger.store.vault), who may ask.

Every archived record is looked at, whether it was ledgered, a duplicate or refused: a person's
right of access is to all that is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from carbon_ledger.calculation import EVENT_KINDS
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.event_fields import avro_fields
from carbon_ledger.personal.pseudonyms import SEALED_FIELD, SUBJECT_FIELD
from carbon_ledger.personal.sealing import SubjectKey, unseal
from carbon_ledger.store.lineage import PostedPart, posted_parts
from carbon_ledger.store.schemas import known_schemas
from pipeline.serialization import widest_schema_text
from spark.archive import ArchivedObject, read
from spark.decode import FRAME_BYTES, WriterSchema, decode_body, frame_schema_id


@dataclass(frozen=True, kw_only=True)
class SubjectRecord:
    """One archived record of a person: where it is, what it says, and what was sealed in it.

    `personal` is None, and `unreadable` says why, where the sealed fields cannot be opened.
    """

    topic: str
    topic_incarnation: int
    kafka_partition: int
    kafka_offset: int
    appended_at: datetime
    event_id: str | None
    fields: dict[str, Any]
    personal: dict[str, str | None] | None = field(repr=False)
    unreadable: str | None


def records_of(
    connection: Any, archive_url: str, subject_ref: str, key: SubjectKey | None
) -> Iterator[SubjectRecord]:
    """The person's archived records, part by part in the order they were recorded.

    `connection` is the reader's; `key` is None after an erasure. Raises BrokenInvariant
    `archive_missing` or `archive_altered`: the objects' hashes are checked first.
    """
    schemas = {
        one.schema_id: WriterSchema(
            schema_id=one.schema_id, text=one.schema_text, sha256=one.schema_sha256
        )
        for one in known_schemas(connection)
    }
    for part in posted_parts(connection):
        if not bears_persons(part.stream):
            continue
        archived = ArchivedObject(
            path=part.archive_object, sha256=part.archive_sha256, size_bytes=part.archive_bytes
        )
        for batch in read(archive_url, archived):
            yield from _found(batch, part, schemas, subject_ref, key)


def bears_persons(stream: str) -> bool:
    """Whether events of a stream may bear a pseudonym."""
    return stream in EVENT_KINDS and any(one.name == SUBJECT_FIELD for one in avro_fields(stream))


def _found(
    batch: pa.RecordBatch,
    part: PostedPart,
    schemas: dict[int, WriterSchema],
    subject_ref: str,
    key: SubjectKey | None,
) -> Iterator[SubjectRecord]:
    # Avro writes text as it is: a record that bears the pseudonym holds its bytes.
    holds = pc.match_substring(batch.column("value"), subject_ref)
    for record in batch.filter(pc.fill_null(holds, False)).to_pylist():
        fields = _fields(record["value"], part.stream, schemas)
        if fields is not None and fields.get(SUBJECT_FIELD) != subject_ref:
            continue
        event_id: str | None = None
        personal: dict[str, str | None] | None = None
        unreadable: str | None = "the record cannot be decoded"
        if fields is not None:
            # An event that is refused still has its identity.
            event_id = EVENT_KINDS[part.stream].event_class(**fields).event_id
            personal, unreadable = _opened(fields.get(SEALED_FIELD), subject_ref, event_id, key)
        yield SubjectRecord(
            topic=part.topic,
            topic_incarnation=part.topic_incarnation,
            kafka_partition=part.kafka_partition,
            kafka_offset=record["offset"],
            appended_at=record["timestamp"],
            event_id=event_id,
            fields={name: value for name, value in (fields or {}).items() if name != SEALED_FIELD},
            personal=personal,
            unreadable=unreadable,
        )


def _fields(value: bytes, stream: str, schemas: dict[int, WriterSchema]) -> dict[str, Any] | None:
    try:
        writer = schemas.get(frame_schema_id(value))
        if writer is None:
            return None
        return decode_body(value[FRAME_BYTES:], writer, widest_schema_text(stream)).fields
    except RejectedRecord:
        return None


def _opened(
    sealed: str | None, subject_ref: str, event_id: str, key: SubjectKey | None
) -> tuple[dict[str, str | None] | None, str | None]:
    if sealed is None:
        return None, "the record has nothing sealed"
    if key is None:
        return None, "the key was destroyed"
    try:
        return unseal(key, sealed, subject_ref=subject_ref, event_id=event_id).values(), None
    except RejectedRecord as reason:
        return None, reason.message
