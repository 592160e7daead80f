"""Taking up letters of edges: out of dlq.failed_events into PostgreSQL, each offset once.

Belongs here: reading the queue by offset, what a record of it says. Does not: sending letters there
(pipeline.edge_letters, pipeline.dead_letters), keeping them (carbon_ledger.store.edge_letters).

Offsets are kept with the letters, in one transaction; no consumer group remembers anything. Letters
of raw records are passed over: they were in PostgreSQL first.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from carbon_ledger.errors import BrokenInvariant, Unavailable
from carbon_ledger.failpoints import failpoint
from carbon_ledger.settings import Settings
from carbon_ledger.store.append import printable
from carbon_ledger.store.edge_letters import EdgeRecord, keep_edge_letters, uptake_offsets
from pipeline.edge_letters import EDGE
from pipeline.kafka import brokers_unavailable, kafka_config
from pipeline.topic_sight import look
from pipeline.topics import DEAD_LETTERS

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

    from carbon_ledger.store.rows import Connection

CHUNK_RECORDS: Final = 500
# A letter is as large as a record may be; a chunk is bounded by both.
CHUNK_BYTES: Final = 32 * 1024 * 1024
CHUNKS_MAX: Final = 1_000
READ_SECONDS: Final = 20.0
# What the outbox relayed: fates of records that ledger.dead_letter has.
RELAYED: Final = frozenset({"dead_lettered", "quarantined"})
CONNECT: Final = "__connect.errors."
ID_BYTES: Final = 8
TEXT_MAX: Final = 2_000
# Codes are in an index.
CODE_MAX: Final = 100


@dataclass(frozen=True, kw_only=True)
class Uptake:
    """What was read: `records` of the queue, `taken` new letters, `known` ones that were there,
    `relayed` ones of raw records. `offsets_lost`: gone from the queue before they were read.
    """

    records: int = 0
    taken: int = 0
    known: int = 0
    relayed: int = 0
    offsets_lost: int = 0

    def __add__(self, other: Uptake) -> Uptake:
        return Uptake(**{name: value + getattr(other, name) for name, value in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class _Chunk:
    """Records [start, end) of one partition, those of edges among them."""

    letters: Sequence[EdgeRecord]
    records: int
    end: int


def is_waiting(conn: Connection, settings: Settings) -> bool:
    """Whether the queue has records that were not looked at. Raises Unavailable."""
    sight = look(DEAD_LETTERS, settings)
    if sight.topic_id is None:
        return False
    done = uptake_offsets(conn, sight.topic_id)
    return any(done.get(partition, 0) < high for partition, high in sight.highs.items())


def take_up(conn: Connection, settings: Settings) -> Uptake:
    """Keeps every letter of an edge that the queue has by now and PostgreSQL has not.

    `conn` is in autocommit. Two callers at once take each offset once. A queue that was made anew
    is read from its beginning; its letters have the ids they had. Raises Unavailable.
    """
    sight = look(DEAD_LETTERS, settings)
    total = Uptake()
    if sight.topic_id is None:
        return total
    done = uptake_offsets(conn, sight.topic_id)
    for partition, (low, high) in sorted(sight.offsets.items()):
        known = done.get(partition, 0)
        start = max(low, known)
        if start >= high:
            continue
        total += Uptake(offsets_lost=start - known)
        total += _take_partition(conn, settings, sight.topic_id, partition, (known, start, high))
    return total


def _take_partition(
    conn: Connection,
    settings: Settings,
    topic_id: str,
    partition: int,
    offsets: tuple[int, int, int],
) -> Uptake:
    from confluent_kafka import Consumer, TopicPartition

    known, start, high = offsets
    consumer = Consumer(
        {
            **kafka_config(settings),
            # Named because the client wants it; it is never joined and nothing is committed to it.
            "group.id": "carbon-letter-uptake",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            # Offsets that are gone are an error here, not a reason to begin somewhere else.
            "auto.offset.reset": "error",
            "queued.max.messages.kbytes": CHUNK_BYTES // 1024,
        }
    )
    total = Uptake()
    try:
        consumer.assign([TopicPartition(DEAD_LETTERS, partition, start)])
        for _ in range(CHUNKS_MAX):
            if start >= high:
                break
            chunk = _read(consumer, settings, start, high)
            new = keep_edge_letters(
                conn,
                chunk.letters,
                topic_id=topic_id,
                kafka_partition=partition,
                start_offset=known,
                next_offset=chunk.end,
            )
            failpoint("edge_letters_kept")
            if new is None:
                break
            of_edges = len(chunk.letters)
            total += Uptake(
                records=chunk.records,
                taken=new,
                known=of_edges - new,
                relayed=chunk.records - of_edges,
            )
            known = start = chunk.end
    finally:
        consumer.close()
    return total


def _read(consumer: Consumer, settings: Settings, start: int, high: int) -> _Chunk:
    """The next records, up to a number, a size, or `high`; at least one offset further."""
    from confluent_kafka import KafkaError

    letters: list[EdgeRecord] = []
    records, size, end = 0, 0, start
    deadline = time.monotonic() + READ_SECONDS
    while end < high and records < CHUNK_RECORDS and size < CHUNK_BYTES:
        message = consumer.poll(1.0)
        if message is None:
            if time.monotonic() > deadline:
                break
            continue
        error = message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                # Offsets without a record, at the end of a transaction: there is nothing to read.
                end = high
                break
            if error.fatal() or time.monotonic() > deadline:
                raise brokers_unavailable(kafka_config(settings), error.str())
            continue
        offset = message.offset()
        if offset is None:
            raise BrokenInvariant("no_offset", f"a record of {DEAD_LETTERS} has no offset")
        records, end = records + 1, offset + 1
        size += len(message.value() or b"")
        letter = edge_record(message)
        if letter is not None:
            letters.append(letter)
    if end == start:
        raise Unavailable(
            "queue_silent",
            f"{DEAD_LETTERS} gave nothing from offset {start} on within {READ_SECONDS:.0f} s, "
            f"although it goes to {high}",
        )
    return _Chunk(letters=letters, records=records, end=end)


def edge_record(message: Message) -> EdgeRecord | None:
    """The letter a record of the queue is; None if it is of a raw record and kept already.

    A record that says nothing of itself, or in words nobody here knows, is a letter too.
    """
    headers = _headers(message)
    told = {name: _text(value) for name, value in reversed(headers) if value is not None}
    fate = told.get("carbon.fate")
    if fate in RELAYED:
        return None
    if fate == EDGE:
        said = _said_by_edge(told)
    elif f"{CONNECT}topic" in told or f"{CONNECT}connector.name" in told:
        said = _said_by_connect(told)
    else:
        said = _unlabelled(message)
    payload = message.value()
    content = b"" if payload is None else bytes(payload)
    key = message.key()
    named = f"{said['source']}\0{said['coordinates']}\0".encode()
    return EdgeRecord(
        letter_id=f"edge:{hashlib.sha256(named + content).hexdigest()[: 2 * ID_BYTES]}",
        **said,
        record_key=None if key is None else _as_bytes(key),
        record_value=None if payload is None else content,
        record_headers=[(name, None if value is None else value.hex()) for name, value in headers],
        topic=str(message.topic()),
        kafka_partition=int(message.partition() or 0),
        kafka_offset=int(message.offset() or 0),
    )


def _headers(message: Message) -> list[tuple[str, bytes | None]]:
    """The headers under names that PostgreSQL can hold; none where a name is not even text."""
    try:
        given: Any = message.headers() or []
    except UnicodeDecodeError:
        return []
    return [(printable(str(name)) or "", _as_bytes(value)) for name, value in given]


def _said_by_edge(told: Mapping[str, str]) -> dict[str, Any]:
    return {
        "source": told.get("carbon.source") or "unknown",
        "coordinates": told.get("carbon.coordinates") or "unknown",
        "stream": told.get("carbon.stream"),
        "reason_code": (told.get("carbon.reason_code") or "unlabelled")[:CODE_MAX],
        "reason": told.get("carbon.reason") or "the edge gave no reason",
        "field": told.get("carbon.field"),
        "offending_value": told.get("carbon.value"),
        "valid_values": told.get("carbon.valid"),
        "content_type": told.get("carbon.content_type") or "application/octet-stream",
        "received_at": _moment(told.get("carbon.received_at")),
    }


def _said_by_connect(told: Mapping[str, str]) -> dict[str, Any]:
    """What Kafka Connect says of a record it could not convert or transform (KIP-298)."""
    place = [told.get(f"{CONNECT}{name}") for name in ("topic", "partition", "offset")]
    stage = told.get(f"{CONNECT}stage", "").lower() or "record"
    message = told.get(f"{CONNECT}exception.message")
    kind = told.get(f"{CONNECT}exception.class.name", "")
    return {
        "source": f"connect:{told.get(f'{CONNECT}connector.name') or 'unknown'}",
        "coordinates": ":".join(one or "?" for one in place),
        "stream": None,
        "reason_code": f"connect_{stage}"[:CODE_MAX],
        "reason": message or kind or "the connector gave no reason",
        "field": None,
        "offending_value": None,
        "valid_values": None,
        "content_type": "application/octet-stream",
        "received_at": None,
    }


def _unlabelled(message: Message) -> dict[str, Any]:
    return {
        "source": "unknown",
        "coordinates": f"{message.topic()}:{message.partition()}:{message.offset()}",
        "stream": None,
        "reason_code": "unlabelled",
        "reason": "the record came without the headers that say where from and why",
        "field": None,
        "offending_value": None,
        "valid_values": None,
        "content_type": "application/octet-stream",
        "received_at": None,
    }


def _text(value: bytes) -> str:
    return (printable(value.decode("utf-8", "replace")) or "")[:TEXT_MAX]


def _as_bytes(value: Any) -> bytes | None:
    if value is None:
        return None
    return value.encode() if isinstance(value, str) else bytes(value)


def _moment(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
