"""Relaying dead letters from the ledger's outbox to dlq.failed_events.

Belongs here: the record a dead letter becomes, and the order of sending and marking. Does not:
which records are dead letters, their storage (carbon_ledger.store.dead_letters).

At least once: a letter is marked only after Kafka acknowledged it, so a crash in between sends it
again, under the same key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from carbon_ledger.events import iso_utc
from carbon_ledger.failpoints import failpoint
from carbon_ledger.settings import Settings
from carbon_ledger.store.dead_letters import DeadLetter, mark_relayed, unrelayed
from pipeline.producers import CarbonEventProducer
from pipeline.topics import DEAD_LETTERS

if TYPE_CHECKING:
    from carbon_ledger.store.rows import Connection

BATCH: Final = 500
# A call that finds more than this leaves the rest to the next one.
BATCHES_MAX: Final = 200
DELIVERY_SECONDS: Final = 30.0


def relay(conn: Connection, settings: Settings) -> int:
    """Sends the dead letters that are waiting and marks them; how many there were.

    `conn` has no transaction open. Key `topic:partition:offset` of the failed record, value its
    original bytes, headers as in `headers_of`. Raises DeliveryFailed or Unavailable with everything
    not yet marked left waiting.
    """
    letters = unrelayed(conn, BATCH)
    if not letters:
        return 0
    relayed = 0
    with CarbonEventProducer(settings=settings, delivery_seconds=DELIVERY_SECONDS) as producer:
        for _ in range(BATCHES_MAX):
            for letter in letters:
                producer.send_bytes(
                    DEAD_LETTERS, key_of(letter), letter.record_value, headers_of(letter)
                )
            producer.flush()
            failpoint("letters_sent")
            mark_relayed(conn, letters)
            failpoint("letters_marked")
            relayed += len(letters)
            letters = unrelayed(conn, BATCH)
            if not letters:
                break
    return relayed


def key_of(letter: DeadLetter) -> bytes:
    """The failed record's coordinates; a topic made anew under its old name counts from `~1`."""
    again = f"~{letter.topic_incarnation}" if letter.topic_incarnation else ""
    return f"{letter.topic}{again}:{letter.kafka_partition}:{letter.kafka_offset}".encode()


def headers_of(letter: DeadLetter) -> list[tuple[str, bytes | None]]:
    """What went wrong and where, under `carbon.` names, then the record's own headers unchanged.

    `carbon.record_key` is absent where the record had no key.
    """
    appended_at = None if letter.appended_at is None else iso_utc(letter.appended_at)
    told: dict[str, object] = {
        "carbon.topic": letter.topic,
        "carbon.topic_incarnation": letter.topic_incarnation,
        "carbon.partition": letter.kafka_partition,
        "carbon.offset": letter.kafka_offset,
        "carbon.stream": letter.stream,
        "carbon.batch_id": letter.batch_id,
        "carbon.fate": letter.fate,
        "carbon.reason_code": letter.reason_code,
        "carbon.reason": letter.reason,
        "carbon.field": letter.field,
        "carbon.value": letter.offending_value,
        "carbon.valid": letter.valid_values,
        "carbon.schema_id": letter.schema_id,
        "carbon.appended_at": appended_at,
    }
    headers: list[tuple[str, bytes | None]] = [
        (name, str(value).encode()) for name, value in told.items() if value is not None
    ]
    if letter.record_key is not None:
        headers.append(("carbon.record_key", letter.record_key))
    headers.extend(
        (name, None if value is None else bytes.fromhex(value))
        for name, value in letter.record_headers
    )
    return headers
