"""Sending dead letters again: re-judged as they are, or repaired, each landing once.

Belongs here: the order of deciding, sending and noting; the record a letter becomes. Does not:
which decisions are allowed (carbon_ledger.store.letter_decisions), reading and editing bytes
(pipeline.letter_repair).

Decided first, then sent, then noted. Whoever dies in between leaves a decision that the next call
sends; a record that arrives twice has one event_id and is posted once.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.failpoints import failpoint
from carbon_ledger.settings import Settings
from carbon_ledger.store.letter_decisions import (
    UNSENT_SECONDS,
    Proposal,
    Refused,
    Replay,
    Sending,
    decide_replays,
    has_unsent_replays,
    record_sendings,
    unsent_replays,
    why_settled,
)
from carbon_ledger.store.letters import (
    LIST_MAX,
    Decision,
    Letter,
    LetterRecord,
    Wanted,
    letter_records,
    list_letters,
    schema_texts,
    tries_max,
)
from pipeline.letter_repair import View, edited_fields, event_of_fields, key_of_event, view
from pipeline.producers import CarbonEventProducer
from pipeline.serialization import Registry, encode, ensure_schema, schema_name
from pipeline.topics import STREAM_TOPICS

if TYPE_CHECKING:
    from confluent_kafka import Message

    from carbon_ledger.store.rows import Connection

# Letters decided, sent and noted at a time: so many records are held, and sent again after a crash.
CHUNK: Final = 50
DELIVERY_SECONDS: Final = 30.0
# The id of our schema of that name for that topic.
SchemaId = Callable[[str, str], int]
# What is made of rows that two people answer for is not made here by one.
APPROVED_ELSEWHERE: Final = frozenset({"activities"})
# Says of a record whose replay it is; what an earlier replay said is replaced.
HEADERS: Final = ("carbon.letter", "carbon.try", "carbon.decision")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be sent again, by whose decision and why.

    Without `changes` and `value` the same bytes are judged again. `changes` are fields and their
    new values as text; `value` is all fields of one letter's event. `stream`: where an edge's
    letter belongs if it does not say so itself.
    """

    wanted: Wanted
    who: str
    why: str
    limit: int = LIST_MAX
    force: bool = False
    changes: Mapping[str, str] = field(default_factory=dict)
    value: Mapping[str, Any] | None = None
    stream: str | None = None

    def __post_init__(self) -> None:
        """Raises RejectedRecord for a request that could mean every letter, or one value for
        several.
        """
        if not self.wanted.narrows:
            raise RejectedRecord(
                "nothing_selected",
                "no letter is named and no condition given",
                valid="ids, or a reason, stream, source, since or until",
            )
        if self.value is not None and len(self.wanted.ids) != 1:
            raise RejectedRecord(
                "one_value_for_several", "a whole value repairs one letter, named by its id"
            )


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A letter that was sent again, and which try that was."""

    letter_id: str
    try_no: int
    topic: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a request: replays that Kafka acknowledged, letters refused, and how many
    decisions of earlier calls were sent now.
    """

    sent: tuple[Sent, ...]
    refused: tuple[Refused, ...]
    resumed: int


def replay(conn: Connection, settings: Settings, request: Request) -> Outcome:
    """Sends the wanted letters again, after what earlier calls left undone.

    `conn` is in autocommit. A letter that may not be sent, or whose edit is no event, is refused
    by itself; the others are sent. Raises Unavailable or DeliveryFailed with the decisions made so
    far standing: `resume`, or the next call, sends them.
    """
    tries = tries_max(settings)
    ids = _selected(conn, request, tries)
    sent: list[Sent] = []
    refused: list[Refused] = []
    # Asked once a topic and schema: thousands of letters are of a few of them.
    schema_id = cache(partial(ensure_schema, Registry(settings)))
    with CarbonEventProducer(settings=settings, delivery_seconds=DELIVERY_SECONDS) as producer:
        resumed = _resume(conn, producer)
        for start in range(0, len(ids), CHUNK):
            chunk = ids[start : start + CHUNK]
            proposals = _proposals(conn, schema_id, request, chunk, tries, refused)
            decided, others = decide_replays(
                conn,
                proposals,
                decided_by=request.who,
                reason=request.why,
                tries=tries,
                is_forced=request.force,
            )
            failpoint("replays_decided")
            refused += others
            _send(conn, producer, decided)
            sent += [
                Sent(letter_id=one.letter_id, try_no=one.try_no, topic=one.topic) for one in decided
            ]
    return Outcome(sent=tuple(sent), refused=tuple(refused), resumed=resumed)


def resume(
    conn: Connection, settings: Settings, *, older_than_seconds: int = UNSENT_SECONDS
) -> int:
    """Sends what was decided so long ago and, as far as anybody noted, never sent; how many."""
    if not has_unsent_replays(conn, older_than_seconds):
        return 0
    with CarbonEventProducer(settings=settings, delivery_seconds=DELIVERY_SECONDS) as producer:
        return _resume(conn, producer, older_than_seconds)


def view_of(conn: Connection, record: LetterRecord) -> View:
    """What the letter's bytes say, as far as they can be read."""
    return view(record.record_value, record.stream, partial(schema_texts, conn))


def letter_values(
    letter: Letter, record: LetterRecord, seen: View, decisions: Sequence[Decision]
) -> dict[str, Any]:
    """All of a letter as plain values, for JSON; its bytes in base64, times as they are."""
    key, value = record.record_key, record.record_value
    return {
        **asdict(letter),
        "record_key": None if key is None else key.decode(errors="backslashreplace"),
        "record_value_base64": None if value is None else base64.b64encode(value).decode(),
        "record_headers": {
            name: None if text is None else bytes.fromhex(text).decode(errors="backslashreplace")
            for name, text in record.record_headers
        },
        "read_as": seen.form,
        "fields": seen.fields,
        "text": seen.text,
        "note": seen.note,
        "decisions": [asdict(one) for one in decisions],
    }


def _resume(
    conn: Connection, producer: CarbonEventProducer, older_than_seconds: int = UNSENT_SECONDS
) -> int:
    resumed = 0
    # Each round takes what is left, and what it sent is no longer left: so many rounds are enough.
    for _ in range(LIST_MAX // CHUNK):
        waiting = unsent_replays(conn, limit=CHUNK, older_than_seconds=older_than_seconds)
        if not waiting:
            break
        _send(conn, producer, waiting)
        resumed += len(waiting)
    return resumed


def _selected(conn: Connection, request: Request, tries: int) -> list[str]:
    wanted = request.wanted
    if wanted.ids:
        return list(dict.fromkeys(wanted.ids))
    states = wanted.states or (("open", "exhausted") if request.force else ("open",))
    chosen = Wanted(
        reason=wanted.reason,
        stream=wanted.stream,
        source=wanted.source,
        since=wanted.since,
        until=wanted.until,
        states=states,
    )
    found = list_letters(conn, chosen, limit=request.limit, tries=tries)
    return [letter.letter_id for letter in found]


def _proposals(
    conn: Connection,
    schema_id: SchemaId,
    request: Request,
    ids: Sequence[str],
    tries: int,
    refused: list[Refused],
) -> list[Proposal]:
    """What would be sent for these letters; those whose edit is no event go to `refused`."""
    found = {one.letter_id: one for one in letter_records(conn, ids, tries=tries)}
    proposals = []
    for letter_id in ids:
        record = found.get(letter_id)
        try:
            if record is None:
                raise RejectedRecord("letter_unknown", "there is no such dead letter")
            # Before the edit is: of what has landed nobody asks whether the edit is right.
            settled = why_settled(record, request.force)
            if settled is not None:
                raise settled
            proposals.append(_proposal(conn, schema_id, request, record))
        except RejectedRecord as problem:
            refused.append(Refused(letter_id=letter_id, problem=problem))
    return proposals


def _proposal(
    conn: Connection, schema_id: SchemaId, request: Request, record: LetterRecord
) -> Proposal:
    is_edited = bool(request.changes) or request.value is not None
    if record.raw_topic is not None and not is_edited:
        return _same(record, record.raw_topic)
    stream = record.stream or request.stream
    if stream is None:
        raise RejectedRecord(
            "stream_missing",
            "the letter does not say which stream it is for",
            field="stream",
            valid=f"`stream` (--to-stream) is one of {', '.join(STREAM_TOPICS)}",
        )
    if stream in APPROVED_ELSEWHERE:
        raise RejectedRecord(
            "approval_needed",
            f"records of {stream} are made of rows that a second person approved, so no edit makes "
            "one",
            field="stream",
            value=stream,
            valid="submitting the corrected row again, or discarding this letter",
        )
    found = view(record.record_value, stream, partial(schema_texts, conn))
    try:
        fields = edited_fields(stream, found, request.changes, request.value)
        event = event_of_fields(stream, fields, datetime.now(UTC))
    except RejectedRecord as problem:
        if is_edited:
            raise
        raise RejectedRecord(
            "not_an_event",
            f"what the edge received is no event of {stream} as it is: {problem}",
            field=problem.field,
            value=problem.value,
            valid="`changes` (--set FIELD=VALUE), `value` (--value FILE), or sending it again at "
            "its source",
        ) from problem
    topic = record.raw_topic or STREAM_TOPICS[stream].name
    return Proposal(
        letter_id=record.letter_id,
        topic=topic,
        record_key=key_of_event(stream, event),
        record_value=encode(event, schema_id(topic, schema_name(event))),
        record_headers=_own_headers(record) if record.raw_topic is not None else (),
        changes=dict(request.changes) if request.value is None else _texts(fields),
    )


def _same(record: LetterRecord, topic: str) -> Proposal:
    return Proposal(
        letter_id=record.letter_id,
        topic=topic,
        record_key=record.record_key,
        record_value=record.record_value,
        record_headers=_own_headers(record),
    )


def _own_headers(record: LetterRecord) -> list[tuple[str, str | None]]:
    return [(name, value) for name, value in record.record_headers if name not in HEADERS]


def _texts(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if value is None else str(value) for name, value in fields.items()}


def _send(conn: Connection, producer: CarbonEventProducer, replays: Sequence[Replay]) -> None:
    """Sends, waits for Kafka, and notes where each record is."""
    sendings: list[Sending] = []
    for one in replays:
        producer.send_bytes(
            one.topic, one.record_key, one.record_value, headers_of(one), _noting(one, sendings)
        )
    producer.flush()
    failpoint("replays_sent")
    record_sendings(conn, sendings)
    failpoint("sendings_noted")


def _noting(one: Replay, sendings: list[Sending]) -> Callable[[Message], None]:
    def note(message: Message) -> None:
        partition, offset = message.partition(), message.offset()
        if partition is None or offset is None:
            return
        sendings.append(
            Sending(
                decision_id=one.decision_id,
                topic=one.topic,
                kafka_partition=partition,
                kafka_offset=offset,
            )
        )

    return note


def headers_of(one: Replay) -> list[tuple[str, bytes | None]]:
    """Which letter it is, which try, by which decision; then the record's own headers."""
    told = (one.letter_id, str(one.try_no), str(one.decision_id))
    own = [
        (name, None if value is None else bytes.fromhex(value))
        for name, value in one.record_headers
    ]
    return [(name, text.encode()) for name, text in zip(HEADERS, told, strict=True)] + own
