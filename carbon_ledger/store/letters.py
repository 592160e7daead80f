"""Letters: every record that was not ledgered, of topics and of edges, and what was decided on it.

Belongs here: finding them, their state, their history. Does not: deciding on one
(carbon_ledger.store.letter_decisions), making a record out of one (pipeline.letter_repair), sending
it (pipeline.letter_replay).

A letter's id is where its record is: `topic:partition:offset` (`topic~1:…` in a topic made anew
under its old name), or `edge:` and a hash for what never was in a raw topic. Its state is nowhere
written down; it follows from decisions, accounts and further dead letters (view ledger.letter).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg.rows import class_row, dict_row

from carbon_ledger import streams
from carbon_ledger.errors import ConfigurationError
from carbon_ledger.settings import Settings
from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import Connection

STATES: Final = ("open", "exhausted", "replayed", "landed", "discarded")
# What somebody still has to decide on.
UNDECIDED: Final = ("open", "exhausted")
LIST_MAX: Final = 10_000

_RECORD_ID = re.compile(r"([A-Za-z0-9._-]{1,249})(?:~([1-9]\d{0,4}))?:(\d{1,9}):(\d{1,18})")
_EDGE_ID = re.compile(r"edge:[0-9a-f]{16}")


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A letter as a list shows it: its latest judgement and its state, without its bytes.

    `source` is the topic, or the adapter of an edge. `happened_at`: when its record was appended or
    received; `recorded_at`: when it became a letter. `tries`: how often it was replayed.
    """

    letter_id: str
    kind: str
    fate: str
    state: str
    stream: str | None
    source: str
    coordinates: str
    batch_id: int | None
    reason_code: str
    reason: str
    field: str | None
    offending_value: str | None
    valid_values: str | None
    first_reason_code: str
    happened_at: datetime | None
    recorded_at: datetime
    tries: int
    decided_by: str | None
    decided_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class LetterRecord:
    """The bytes of a letter, as last judged. `raw_topic` None: they never were in a raw topic.

    `record_headers`: the record's own, values in hex.
    """

    letter_id: str
    kind: str
    fate: str
    state: str
    stream: str | None
    raw_topic: str | None
    reason_code: str
    tries: int
    content_type: str | None
    record_key: bytes | None
    record_value: bytes | None
    record_headers: Sequence[tuple[str, str | None]]
    decided_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which letters; what is None or empty is no condition. `until` is exclusive."""

    ids: tuple[str, ...] = ()
    reason: str | None = None
    stream: str | None = None
    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    states: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a state or a stream that does not exist."""
        if self.stream is not None:
            streams.find(self.stream)
        for state in self.states:
            if state not in STATES:
                raise ConfigurationError(
                    "unknown_state",
                    f"{state!r} is no state of a letter; valid are: {', '.join(STATES)}",
                )

    @property
    def narrows(self) -> bool:
        """Whether it is less than every letter there is."""
        given = (self.reason, self.stream, self.source, self.since, self.until)
        return bool(self.ids) or any(one is not None for one in given)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One decision in a letter's history; `returns` are the refusals of what was sent."""

    decision_no: int
    kind: str
    try_no: int | None
    is_forced: bool
    changes: Mapping[str, Any] | None
    decided_by: str
    reason: str
    decided_at: datetime
    sent_at: datetime | None
    sent_topic: str | None
    sent_partition: int | None
    sent_offset: int | None
    returns: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class LetterCount:
    """How many letters of a stream are in a state for one reason, the oldest since when."""

    state: str
    stream: str | None
    reason_code: str
    letters: int
    oldest_at: datetime


def tries_max(settings: Settings) -> int:
    """How often a letter is replayed without being forced. Raises ConfigurationError."""
    text = settings["CARBON_DLQ_TRIES_MAX"]
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 100:
        raise ConfigurationError(
            "setting_invalid", f"CARBON_DLQ_TRIES_MAX is {text!r}; valid are whole numbers 1 to 100"
        )
    return int(text)


def list_letters(conn: Connection, wanted: Wanted, *, limit: int, tries: int) -> list[Letter]:
    """At most `limit` letters, those first that became letters first; `tries` as `tries_max`."""
    rows: list[Letter] = []
    with conn.cursor(row_factory=class_row(Letter)) as cursor:
        for narrowed in _searches(wanted.ids):
            conditions = {
                "reason": wanted.reason,
                "stream": wanted.stream,
                "source": wanted.source,
                "since": wanted.since,
                "until": wanted.until,
                "states": list(wanted.states) or None,
                "tries_max": tries,
                "limit": min(limit, LIST_MAX),
            }
            rows += cursor.execute(query("letters"), {**narrowed, **conditions}).fetchall()
    return sorted(rows, key=lambda one: (one.recorded_at, one.letter_id))[:limit]


def find_letter(conn: Connection, letter_id: str, *, tries: int) -> Letter:
    """The letter; a record that was sent for a letter and refused again leads to that letter.

    Raises ConfigurationError `letter_unknown`.
    """
    found = list_letters(conn, Wanted(ids=(letter_id,)), limit=1, tries=tries)
    if found:
        return found[0]
    record = _RECORD_ID.fullmatch(letter_id)
    if record is not None:
        row = conn.execute(query("letter_of_return"), _coordinates(record)).fetchone()
        if row is not None:
            return find_letter(conn, row[0], tries=tries)
    raise ConfigurationError(
        "letter_unknown",
        f"there is no dead letter {letter_id}; `carbon dlq list --state any` has them all",
    )


def letter_records(conn: Connection, ids: Sequence[str], *, tries: int) -> list[LetterRecord]:
    """The bytes of these letters; one that does not exist is not in the answer."""
    rows: list[LetterRecord] = []
    with conn.cursor(row_factory=class_row(LetterRecord)) as cursor:
        for narrowed in _searches(tuple(ids)):
            values = {**narrowed, "tries_max": tries}
            rows += cursor.execute(query("letter_records"), values).fetchall()
    return rows


def history(conn: Connection, letter_id: str) -> list[Decision]:
    """Every decision on the letter, the first one first."""
    with conn.cursor(row_factory=class_row(Decision)) as cursor:
        return cursor.execute(query("letter_history"), {"letter_id": letter_id}).fetchall()


def count_letters(conn: Connection, *, tries: int) -> list[LetterCount]:
    """Letters by state, stream and reason, in one snapshot."""
    with conn.cursor(row_factory=class_row(LetterCount)) as cursor:
        return cursor.execute(query("count_letters"), {"tries_max": tries}).fetchall()


def count_edge_letters(conn: Connection, sources: Sequence[str]) -> dict[str, int]:
    """By source (`mqtt:plant`) how many letters of it there are; 0 of one that has none."""
    rows = conn.execute(
        "select source, count(*) from ledger.edge_letter where source = any(%s) group by source",
        (list(sources),),
    ).fetchall()
    return {**dict.fromkeys(sources, 0), **dict(rows)}


def schema_texts(conn: Connection, schema_id: int) -> list[str]:
    """Texts of writer schemas that bore this id, the one seen last first."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "select schema_text from factors.writer_schema where schema_id = %s"
            " order by recorded_at desc",
            (schema_id,),
        ).fetchall()
    return [row["schema_text"] for row in rows]


def _searches(ids: tuple[str, ...]) -> list[dict[str, Any]]:
    """The search for letters by id as one or two that an index serves; without ids, one for all."""
    if not ids:
        return [{"ids": None, "topics": None, "offsets": None}]
    records = [found for one in ids if (found := _RECORD_ID.fullmatch(one))]
    edges = [one for one in ids if _EDGE_ID.fullmatch(one)]
    known = {found[0] for found in records} | set(edges)
    for one in ids:
        if one not in known:
            raise ConfigurationError(
                "letter_id_malformed",
                f"{one[:80]!r} is no id of a dead letter; valid are topic:partition:offset, for "
                "example raw.iot.energy:2:1047, and edge: with 16 hexadecimal digits",
            )
    searches: list[dict[str, Any]] = []
    if records:
        searches.append(
            {
                "ids": [found[0] for found in records],
                "topics": sorted({found[1] for found in records}),
                "offsets": sorted({int(found[4]) for found in records}),
            }
        )
    if edges:
        searches.append({"ids": edges, "topics": None, "offsets": None})
    return searches


def _coordinates(record: re.Match[str]) -> dict[str, Any]:
    return {
        "topic": record[1],
        "topic_incarnation": int(record[2] or 0),
        "kafka_partition": int(record[3]),
        "kafka_offset": int(record[4]),
    }
