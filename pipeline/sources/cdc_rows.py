"""What follows from a change of a captured row: events, corrections, cancellations.

Belongs here: applying a change to what is known, and writing down what is to be sent because of it.
Does not: decoding (cdc_envelope), which column is what (cdc_mapping), Kafka (cdc_bridge).

Order. The changes of one row are applied in the order of the database's log, each once: one whose
place in the log is not after the last one applied is known already, because a connector that was
killed tells again what it told before. A snapshot tells how rows were at its place in the log; it
is taken at face value if nothing later is known of the row. A row that was there before a
snapshot and is not in it was deleted while nobody looked.

Revision. The first event of an activity has revision 0, each later one that says something else
has the next. So they have no gaps, and a change that is told again has the revision it had.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.purchasing.purchase_events import PurchaseOrderEvent
from carbon_ledger.store.captured import CapturedActivity, CapturedRow, CapturedRows
from pipeline.edge_letters import EdgeLetter
from pipeline.sources.cdc_envelope import Change
from pipeline.sources.cdc_mapping import HEADER, LINE, ROLES, STREAM, ErpMapping, Image, key_of

EVENT: Final = "event"
LETTER: Final = "letter"
CONTENT_TYPE: Final = "application/json"


@dataclass(kw_only=True)
class Applied:
    """What became of change records, by count; `events` are those written down to be sent."""

    read: int = 0
    applied: int = 0
    known: int = 0
    tombstones: int = 0
    ignored: int = 0
    events: int = 0
    cancelled: int = 0
    letters: int = 0


@dataclass(frozen=True, kw_only=True)
class Told:
    """The record that tells of a change: its place and its bytes."""

    coordinates: str
    payload: bytes


class ChangeApplier:
    """Applies changes to what is known of a source, in the transaction of `rows`."""

    def __init__(self, rows: CapturedRows, mapping: ErpMapping, now: datetime) -> None:
        self.rows, self.mapping, self.now = rows, mapping, now
        self.counts = Applied()

    def apply(self, change: Change, told: Told) -> None:
        """Applies one change. Raises RejectedRecord if it cannot be understood; what is known is
        then as it was.
        """
        role = self.mapping.role_of(change.table)
        if role is None:
            self.counts.ignored += 1
            return
        if change.operation == "truncate":
            self._remove_older((role,), change, told)
            self.counts.applied += 1
            return
        if self._put(role, change, told):
            self.counts.applied += 1
        else:
            self.counts.known += 1
        if change.ends_snapshot:
            self._remove_older(ROLES, change, told)

    def refuse(self, problem: RejectedRecord, told: Told) -> None:
        """Writes down a letter for a record of which nothing, or not all, could be used."""
        letter = EdgeLetter.of(
            problem,
            source=self.rows.source,
            coordinates=told.coordinates,
            payload=told.payload,
            stream=STREAM,
            content_type=CONTENT_TYPE,
        )
        body = {name: getattr(letter, name) for name in letter.__slots__ if name != "payload"}
        self.rows.add_pending(LETTER, body, told.payload)
        self.counts.letters += 1

    def _put(self, role: str, change: Change, told: Told) -> bool:
        """Keeps the row as the change tells it; False if that is known already."""
        table = self.mapping.tables[role]
        row_key = key_of(table.key, change.row, change.before, change.key)
        known = self.rows.row(role, row_key)
        if known is not None and _is_known(known, change):
            return False
        image: Image | None = None
        if change.row is not None:
            image = self.mapping.image(role, change.row, None if known is None else known.image)
            header_key = key_of(table.header, change.row)
        elif known is not None:
            header_key = known.header_key
        else:
            header_key = key_of(table.header, change.before, change.key)
        row = known or CapturedRow(row_key=row_key, header_key=header_key)
        row = replace(row, header_key=header_key, image=image)
        if change.is_snapshot:
            row = replace(row, snapshot_position=change.position)
        else:
            row = replace(row, stream_position=change.position)
        self.rows.put_row(role, row)
        self._follow(role, row, told)
        return True

    def _remove_older(self, roles: Iterable[str], change: Change, told: Told) -> None:
        """Takes away the rows that were there before and are not there at this place of the log."""
        for role in roles:
            for row in self.rows.older_rows(role, change.position):
                gone = replace(row, image=None)
                if change.is_snapshot:
                    gone = replace(gone, snapshot_position=change.position)
                else:
                    gone = replace(gone, stream_position=change.position)
                self.rows.put_row(role, gone)
                self._follow(role, gone, told)

    def _follow(self, role: str, row: CapturedRow, told: Told) -> None:
        """What is to be sent because a row is now as it is."""
        if role == HEADER:
            for line in self.rows.lines(row.row_key):
                self._line(line, row, told)
            return
        self._line(row, self.rows.row(HEADER, row.header_key), told)

    def _line(self, line: CapturedRow, header: CapturedRow | None, told: Told) -> None:
        if header is None:
            return  # Its header comes, and brings it then.
        wanted: PurchaseOrderEvent | None = None
        if self._is_there(line, header):
            try:
                wanted = self._event(header.image or {}, line.image or {})
            except RejectedRecord as problem:
                # The last good state stands until there is another one.
                self.refuse(problem, told)
                return
        ref = None if wanted is None else wanted.activity_ref
        if line.activity_ref not in (None, ref):
            self._cancel(str(line.activity_ref), line, told)
        if wanted is not None:
            self._send(wanted, line, told)
        elif line.activity_ref is not None:
            self.rows.put_row(LINE, replace(line, activity_ref=None))

    def _is_there(self, line: CapturedRow, header: CapturedRow) -> bool:
        images = ((HEADER, header.image), (LINE, line.image))
        return all(
            image is not None and not self.mapping.tables[role].is_deleted(image)
            for role, image in images
        )

    def _event(self, header: Image, line: Image) -> PurchaseOrderEvent:
        fields = self.mapping.fields(header, line)
        return PurchaseOrderEvent.from_fields(fields, self.now)

    def _send(self, event: PurchaseOrderEvent, line: CapturedRow, told: Told) -> None:
        """Writes the event down, unless it says what was said already."""
        ref = event.activity_ref
        before = self.rows.activity(ref)
        sent = _without_revision(event.to_avro_fields())
        if before is not None and before.is_standing and before.sent == sent:
            self.rows.put_activity(replace(before, row_key=line.row_key))
        else:
            now = CapturedActivity(
                activity_ref=ref,
                row_key=line.row_key,
                revision=0 if before is None else before.revision + 1,
                sent=sent,
                is_standing=True,
            )
            try:
                self._write(now)
            except RejectedRecord as problem:
                self.refuse(problem, told)
                return
        if line.activity_ref != ref:
            self.rows.put_row(LINE, replace(line, activity_ref=ref))

    def _cancel(self, activity_ref: str, line: CapturedRow, told: Told) -> None:
        """Writes a cancellation down, if the activity stands and is this line's."""
        before = self.rows.activity(activity_ref)
        if before is None or not before.is_standing or before.row_key != line.row_key:
            return
        try:
            self._write(before.cancelled())
        except RejectedRecord as problem:
            self.refuse(problem, told)
            return
        self.counts.cancelled += 1

    def _write(self, activity: CapturedActivity) -> None:
        fields = {
            **activity.sent,
            "revision": activity.revision,
            "is_cancelled": not activity.is_standing,
        }
        PurchaseOrderEvent.from_avro_fields(fields, self.now)
        self.rows.put_activity(activity)
        self.rows.add_pending(EVENT, fields)
        self.counts.events += 1


def _is_known(row: CapturedRow, change: Change) -> bool:
    if change.is_snapshot:
        return change.position <= max(row.snapshot_position, row.stream_position)
    # A transaction that was open while a snapshot was taken wrote before it, and is not in it.
    return change.position <= row.stream_position


def _without_revision(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name != "revision"}
