"""The way of a figure: from a report to the bytes it rests on, and from a record to the reports.

Belongs here: going that way, one step after the other, and what is found as plain values. Does not:
the single questions (carbon_ledger.store.trace), the words (carbon_ledger.lineage.told).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from uuid import UUID

from carbon_ledger.calculation import EVENT_KINDS, explained
from carbon_ledger.entries import REVERSAL_SALT, EntryRow
from carbon_ledger.entries import entry_id as entry_id_of
from carbon_ledger.errors import CarbonError, ConfigurationError, RejectedRecord
from carbon_ledger.lineage.compare import differences, one_of
from carbon_ledger.lineage.plain import plain
from carbon_ledger.personal.pseudonyms import SEALED_FIELD, SUBJECT_FIELD, is_subject_ref
from carbon_ledger.places import Rules
from carbon_ledger.settings import Settings
from carbon_ledger.store.connect import EVERY_ORGANIZATION
from carbon_ledger.store.factors import check_factors
from carbon_ledger.store.kept_books import KeptBooks
from carbon_ledger.store.lineage import (
    EntryKey,
    PostedPart,
    entries_by_id,
    entries_by_key,
    entries_of_payload,
    entries_of_record,
    posted_parts,
)
from carbon_ledger.store.trace import (
    DATAPOINTS,
    Cell,
    asked,
    cell_entries,
    cells_of_entry,
    events_of_activity,
    first_line_of,
    report_cells,
    reversals_of,
    seal_of,
    windows_of,
)
from carbon_ledger.stream_events import typed_event_of
from pipeline.serialization import widest_schema_text
from spark.decode import FRAME_BYTES, decode_body, frame_schema_id
from spark.rejudge import Rejudged, RulesAsKnown, SchemasOf, rejudge_with, terms_in

Story = dict[str, Any]
ENTRY_FIELDS: Final = (
    *("entry_id", "event_id", "line_no", "stream", "organization_id", "facility_id"),
    *("country_iso2", "local_date", "occurred_from", "occurred_to", "scope", "category", "basis"),
    *("activity_type", "quantity", "unit", "kgco2e", "gwp_set", "flags", "recorded_at"),
    *("code_version", "batch_id", "topic", "topic_incarnation", "kafka_partition", "kafka_offset"),
    *("reverses_id", "cause", "factor_id", "factor_version", "factor_release", "factor_match"),
)


@dataclass(kw_only=True)
class Tracer:
    """Answers as plain values (numbers and times as text), ready for JSON or for telling.

    `connection` may be any role that reads; what it does not see is not found. With `kept_books`
    of a release only the factors are read that the record's lines name, once its book is there.
    """

    connection: Any
    archive_url: str
    settings: Settings
    kept_books: KeptBooks | None = None

    def figure(
        self,
        fiscal_year: int,
        datapoint: str,
        country_iso2: str,
        *,
        organization_id: str | None = None,
        snapshot_id: UUID | None = None,
        page: int = 1,
        size: int = 20,
    ) -> list[Story]:
        """Per organization the newest such cell (or that of a snapshot), with a page of its
        entries. Raises ConfigurationError `unknown_figure`.
        """
        if datapoint not in DATAPOINTS:
            raise ConfigurationError(
                "unknown_figure",
                f"{datapoint!r} is no datapoint of a report; known are {', '.join(DATAPOINTS)}",
            )
        newest: dict[str, Cell] = {}
        for cell in report_cells(
            self.connection,
            fiscal_year=fiscal_year,
            datapoint=datapoint,
            countries=(country_iso2,),
            organization_id=organization_id,
            snapshot_id=snapshot_id,
        ):
            newest.setdefault(cell.organization_id, cell)
        if not newest:
            raise ConfigurationError(
                "unknown_figure",
                f"no report has {datapoint} of {fiscal_year}"
                + (f" for {country_iso2}" if country_iso2 else ""),
            )
        return [self._cell(cell, page, size) for _, cell in sorted(newest.items())]

    def _cell(self, cell: Cell, page: int, size: int) -> Story:
        rows, lines, kgco2e = cell_entries(
            self.connection, cell, limit=size, offset=(page - 1) * size
        )
        return {
            "cell": plain(vars(cell)),
            "lines": lines,
            "kgco2e": plain(kgco2e),
            "is_sum_of_its_entries": kgco2e.scaleb(-3) == cell.value,
            "page": page,
            "pages": -(-lines // size),
            "entries": [_entry(row) for row in rows],
        }

    def entry(self, entry_id: UUID) -> Story:
        """An entry with everything it rests on and everything it is in. Raises ConfigurationError
        `unknown_entry`.
        """
        found = entries_by_id(self.connection, [entry_id])
        if not found:
            raise ConfigurationError("unknown_entry", f"the ledger has no entry {entry_id}")
        return self._told(found[0])

    def _told(self, row: EntryRow) -> Story:
        reversal = reversals_of(self.connection, [row.entry_id]).get(row.entry_id)
        seal = seal_of(self.connection, row)
        return {
            "entry": _entry(row),
            "stands": row.reverses_id is None and reversal is None,
            "reversed_by": None if reversal is None else str(reversal[0]),
            "record": self._origin(row),
            "factor": self._factor(row),
            "batch": plain(asked(self.connection, "run_of_batch", batch_id=row.batch_id) or {}),
            "seal": plain(seal) if seal else None,
            **self._forward(row),
        }

    def _factor(self, row: EntryRow) -> Story | None:
        found = asked(
            self.connection,
            "factor_source",
            factor_id=row.factor_id,
            version=row.factor_version,
        )
        return None if found is None else _values(found)

    def _forward(self, row: EntryRow) -> Story:
        return {
            "windows": [_values(one) for one in windows_of(self.connection, row)],
            "cells": [plain(vars(cell)) for cell in cells_of_entry(self.connection, row)],
        }

    def _origin(self, row: EntryRow) -> Story | None:
        """The record of an entry, decoded, and the working of its line; None without a record."""
        if row.topic is None or row.kafka_partition is None or row.kafka_offset is None:
            return None
        part = self._part(
            row.topic, row.kafka_partition, row.kafka_offset, row.topic_incarnation or 0
        )
        if part is None:
            return {"problem": "no committed part holds its record"}
        story, one, rules = self._record(part, row.kafka_offset)
        story["payload_sha256"] = row.payload_sha256.hex()
        if one is None or rules is None:
            return story
        if not self._sees_everything:
            # Reference data of others may bear on it, and is not seen.
            return story
        remade = one_of(one.rows, row)
        if remade is not None and row.reverses_id is None:
            story["comes_out_equal"] = not differences(row, remade)
            story["computed_by_this_code"] = remade.code_version == row.code_version
            story["working"] = self._working(part, one, rules, row.line_no)
        return story

    def record(
        self, topic: str, kafka_partition: int, kafka_offset: int, topic_incarnation: int | None
    ) -> Story:
        """What became of a record; of the newest topic of that name, unless its number is given.

        Raises ConfigurationError `unknown_record`.
        """
        unknown = ConfigurationError(
            "unknown_record",
            f"no committed part holds {topic}:{kafka_partition}:{kafka_offset}, or it is of an "
            "organization that this connection does not see",
        )
        part = self._part(topic, kafka_partition, kafka_offset, topic_incarnation)
        if part is None:
            raise unknown
        story, one, _ = self._record(part, kafka_offset)
        letter = asked(
            self.connection,
            "dead_letter_at",
            topic=topic,
            topic_incarnation=part.topic_incarnation,
            kafka_partition=kafka_partition,
            kafka_offset=kafka_offset,
        )
        told: Story = {
            "record": story,
            "batch": plain(asked(self.connection, "run_of_batch", batch_id=part.batch_id) or {}),
            "dead_letter": None if letter is None else _values(letter),
            "entries": [],
        }
        if one is not None and one.rows and self._sees_everything:
            keys = _keys(one.rows)
            told |= self._activity(one.rows[0].activity_ref, keys, (part, kafka_offset))
        if not told["entries"]:
            # The archive was altered, or what its rules rest on is not seen: the ledger knows.
            posted = entries_of_record(self.connection, part, kafka_offset)
            posted = posted or self._posted_before(part, one)
            keys = [(row.entry_id, row.activity_month) for row in posted]
            if posted:
                told |= self._activity(posted[0].activity_ref, keys, (part, kafka_offset))
        if letter is None and not told["entries"]:
            # A record has entries, is one that was posted already, or is kept as refused: so it is
            # somebody else's, or a refused one, which is of nobody yet.
            raise unknown
        told["fate"] = _fate(told, letter)
        return told

    def _posted_before(self, part: PostedPart, one: Rejudged | None) -> list[EntryRow]:
        """The entries of a record that came again, byte for byte, from the one that was posted.

        What it is judged by need not be seen here: its own fields say which event it is. Other
        bytes of the same event are refused, and that is not seen by who sees no letters.
        """
        if one is None or one.value is None:
            return []
        body = one.value[FRAME_BYTES:]
        try:
            event = typed_event_of(part.stream, self._fields(part, one), part.recorded_at)
        except RejectedRecord:
            return []
        return entries_of_payload(
            self.connection,
            event.event_id,
            hashlib.sha256(body).digest(),
            event.occurred_from,
            event.occurred_to,
        )

    def _fields(self, part: PostedPart, one: Rejudged) -> dict[str, Any]:
        writer = self._schemas(part)(frame_schema_id(one.value))
        body = (one.value or b"")[FRAME_BYTES:]
        return decode_body(body, writer, widest_schema_text(part.stream)).fields

    @property
    def _sees_everything(self) -> bool:
        return self.settings["CARBON_ORGANIZATIONS"] == EVERY_ORGANIZATION

    def event(self, event_id: str) -> Story:
        """What became of an event. Raises ConfigurationError `unknown_event_id`."""
        first = first_line_of(self.connection, event_id)
        row = entries_by_key(self.connection, [first]).get(first[0]) if first else None
        if row is None or row.event_id != event_id:
            raise ConfigurationError(
                "unknown_event_id", f"the ledger has no entries of event {event_id!r}"
            )
        if row.topic is None or row.kafka_partition is None or row.kafka_offset is None:
            return {"record": None, **self._activity(row.activity_ref, [], None), "fate": "by hand"}
        return self.record(row.topic, row.kafka_partition, row.kafka_offset, row.topic_incarnation)

    def _activity(
        self, activity_ref: str, keys: list[EntryKey], record: tuple[PostedPart, int] | None
    ) -> Story:
        """The entries of a record and of every other event of its activity, with reversals."""
        every = dict(keys)
        for _, month, entry_id in events_of_activity(self.connection, activity_ref):
            every.setdefault(entry_id, month)
        rows = entries_by_key(self.connection, list(every.items()))
        taken_back = reversals_of(self.connection, list(rows))
        rows |= entries_by_key(self.connection, list(taken_back.values()))
        ordered = sorted(
            rows.values(), key=lambda row: (row.recorded_at, not row.is_reversal, row.line_no)
        )
        return {
            "activity_ref": activity_ref,
            "entries": [
                {
                    **_entry(row),
                    "is_of_this_record": record is not None and _is_of(row, *record),
                    "stands": row.reverses_id is None and row.entry_id not in taken_back,
                    **self._forward(row),
                }
                for row in ordered
            ],
        }

    def _part(
        self, topic: str, kafka_partition: int, kafka_offset: int, topic_incarnation: int | None
    ) -> PostedPart | None:
        found = posted_parts(
            self.connection,
            topic=topic,
            kafka_partition=kafka_partition,
            topic_incarnation=topic_incarnation,
            kafka_offset=kafka_offset,
        )
        return max(found, key=lambda part: part.topic_incarnation, default=None)

    def _record(
        self, part: PostedPart, kafka_offset: int
    ) -> tuple[Story, Rejudged | None, Rules | None]:
        story: Story = {
            "archive_object": part.archive_object,
            "archive_sha256": part.archive_sha256.hex(),
            "topic": part.topic,
            "topic_incarnation": part.topic_incarnation,
            "kafka_partition": part.kafka_partition,
            "kafka_offset": kafka_offset,
            "recorded_at": plain(part.recorded_at),
            "factor_release": part.factor_release,
            "code_version": part.code_version,
        }
        try:
            rules = RulesAsKnown(
                connection=self.connection,
                archive_url=self.archive_url,
                settings=self.settings,
                kept=self.kept_books,
            ).of(part)
            found = list(
                rejudge_with(
                    self.archive_url, part, rules, self._schemas(part), offsets=[kafka_offset]
                )
            )
            if self.kept_books is not None:
                named = [row.factor_id for one in found for row in one.rows]
                check_factors(self.connection, part.factor_release, named)
        except CarbonError as error:
            return {**story, "problem": f"{error.code}: {error.message}"}, None, None
        if not found:
            return {**story, "problem": "the part has no record at this offset"}, None, rules
        one = found[0]
        story["event_id"] = one.event_id
        if self._sees_everything:
            # Vehicles, meters and suppliers of others may bear on it: who does not see them would
            # be told a refusal that never was.
            story["refusal"] = None if one.refusal is None else one.refusal.values()
        story["payload"] = self._payload(part, one)
        return story, one, rules

    def _schemas(self, part: PostedPart) -> SchemasOf:
        return SchemasOf(self.connection, terms_in(self.archive_url, part))

    def _payload(self, part: PostedPart, one: Rejudged) -> Story | None:
        try:
            schema_id = frame_schema_id(one.value)
            writer = self._schemas(part)(schema_id)
            body = (one.value or b"")[FRAME_BYTES:]
            # By our own schema: a field of the sender's that we do not know may name somebody.
            fields = decode_body(body, writer, widest_schema_text(part.stream)).fields
        except RejectedRecord:
            return None
        values = {name: plain(value) for name, value in fields.items()}
        if values.get(SEALED_FIELD):
            values[SEALED_FIELD] = "(sealed)"
        if values.get(SUBJECT_FIELD) and not is_subject_ref(str(values[SUBJECT_FIELD])):
            values[SUBJECT_FIELD] = "(no pseudonym)"
        return {
            "schema_id": schema_id,
            "schema_sha256": writer.sha256.hex(),
            "sha256": hashlib.sha256(body).hexdigest(),
            "bytes": len(body),
            "fields": values,
        }

    def _working(
        self, part: PostedPart, one: Rejudged, rules: Rules, line_no: int
    ) -> list[str] | None:
        """The line as a person would write it down, made again from the record."""
        kind = EVENT_KINDS[part.stream]
        event = typed_event_of(part.stream, self._fields(part, one), part.recorded_at)
        lines = kind.lines(event, rules.inventory(part.recorded_at))
        return explained(lines[line_no - 1]) if line_no <= len(lines) else None


def _is_of(row: EntryRow, part: PostedPart, kafka_offset: int) -> bool:
    return (row.topic, row.topic_incarnation, row.kafka_partition, row.kafka_offset) == (
        part.topic,
        part.topic_incarnation,
        part.kafka_partition,
        kafka_offset,
    )


def _keys(rows: Sequence[EntryRow]) -> list[EntryKey]:
    """Where the lines of a record are, and what takes them back."""
    keys: list[tuple[UUID, date]] = []
    for row in rows:
        back = entry_id_of(row.event_id, row.line_no, row.occurred_to, REVERSAL_SALT)
        keys += [(row.entry_id, row.activity_month), (back, row.activity_month)]
    return keys


def _fate(told: Story, letter: dict[str, Any] | None) -> str:
    if letter is not None:
        return str(letter["fate"])
    if any(one["is_of_this_record"] for one in told["entries"]):
        return "ledgered"
    return "duplicate" if told["entries"] else "unknown"


def _entry(row: EntryRow) -> Story:
    return {name: plain(getattr(row, name)) for name in ENTRY_FIELDS}


def _values(row: dict[str, Any]) -> Story:
    return {name: plain(value) for name, value in row.items()}
