"""Writes one Kafka partition's part of a batch: lines, identities, windows, refusals, account,
offsets.

Belongs here: the one transaction in which a part becomes known, whole or not at all. Does not: what
the lines say (carbon_ledger.posting), reading Kafka, retrying.

Order inside the transaction: the part is opened (progress row locked, attempt checked, start
compared with the last commit), record batches are appended as they come, then windows, the list of
what was posted, account and offsets close it. A crash anywhere leaves nothing; a repetition after
the commit finds the part committed and does nothing.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from carbon_ledger.entries import CANONICAL, COLUMNS, EntryRow, reversal_of
from carbon_ledger.errors import BrokenInvariant, CarbonError
from carbon_ledger.failpoints import failpoint
from carbon_ledger.posting import SERIES_COLUMNS, is_cancellation
from carbon_ledger.store.commits import PartCoordinates, insert_commit
from carbon_ledger.store.connect import query
from carbon_ledger.store.correct import read_entry
from carbon_ledger.store.rows import insert_entries, make_months_aside
from carbon_ledger.store.windows import WINDOW as FIVE_MINUTES
from carbon_ledger.store.windows import deltas_of, insert_deltas

# A writer that hangs between two statements must not keep the part from its successor for long.
IDLE_SECONDS = 45
NO_HASH = bytes(32)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WINDOW_MICROSECONDS = FIVE_MINUTES // timedelta(microseconds=1)
# Columns of a table of posted lines beside those of the entry: the row of the record batch it came
# from, the series of its windows, and the start of its window in microseconds since 1970.
ROW, SERIES, WINDOW = "_row", "_series", "_window"
NARROW, WIDE = pa.decimal128(38, 12), pa.decimal256(76, 24)
TIMESTAMPS = tuple(name for name, kind in CANONICAL if kind == "timestamp")
# Not in a table of posted lines: the part's own, and the version of the bytes, the table's default.
ASIDE = ("batch_id", "preimage")
BYTES = (*(name for name, kind in CANONICAL if kind == "bytes"), "content_sha256")


@dataclass(frozen=True, kw_only=True)
class PartKey:
    """Which part, of which batch, in which attempt."""

    batch_id: int
    attempt: int
    stream: str
    topic: str
    kafka_partition: int


@dataclass(frozen=True, kw_only=True)
class PartAccount:
    """What the account says beside the counts: where the raw records are, and by what they were
    judged.
    """

    archive_object: str
    archive_sha256: bytes
    archive_bytes: int
    factor_release: str
    code_version: str
    first_appended_at: datetime | None
    last_appended_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class RefusedRecord:
    """A record that is not ledgered, with its bytes and coordinates."""

    kafka_offset: int
    fate: str
    reason_code: str
    reason: str
    field: str | None
    value: str | None
    valid: str | None
    event_id: str | None
    schema_id: int | None
    appended_at: datetime | None
    record_key: bytes | None
    record_value: bytes | None
    record_headers: Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, kw_only=True)
class Known:
    """An event of the record batch that the ledger had already: which rows, and whether
    unchanged.
    """

    row: int
    event_id: str
    is_same_payload: bool
    is_superseded: bool


@dataclass(kw_only=True)
class Counts:
    """The part's account as it grows; records, and for `lines` lines."""

    records_read: int = 0
    ledgered: int = 0
    duplicate: int = 0
    dead_lettered: int = 0
    quarantined: int = 0
    lines: int = 0


class PartWriter:
    """The open transaction of a part. `open()` first; then `append`, `correct`, `refuse`;
    `close()` last.

    The connection must not be in autocommit; the caller commits nothing and closes it.

    """

    def __init__(self, connection: psycopg.Connection[Any], key: PartKey) -> None:
        self._connection = connection
        self.key = key
        self.counts = Counts()
        self.start_offset = 0
        self.end_offset = 0
        self.topic_incarnation = 0
        self.recorded_at = EPOCH
        self.series: dict[tuple[str | None, ...], int] = {}
        self._dates: set[str] = set()
        self._deltas: list[pa.Table] = []
        self._months: set[date] = set()
        self._entry_ids: list[bytes] = []
        self._content_sha256s: list[bytes] = []

    def open(self) -> bool:
        """Locks the part; False if it is committed already. Raises BrokenInvariant `fenced` or
        `gap`.
        """
        k = self.key
        cursor = self._connection.cursor()
        cursor.execute(f"set local idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'")
        try:
            cursor.execute(
                "select start_offset, end_offset, topic_incarnation, recorded_at, already_committed"
                " from manifest.open_part(%s::bigint, %s::int, %s, %s::int)",
                (k.batch_id, k.attempt, k.topic, k.kafka_partition),
            )
        except psycopg.Error as error:
            raise named_refusal(error) from error
        row = cursor.fetchone()
        if row is None:
            raise BrokenInvariant("part_unknown", f"batch {k.batch_id} has no part {k}")
        self.start_offset, self.end_offset, self.topic_incarnation, self.recorded_at, done = row
        return not done

    def stay(self) -> None:
        """Tells PostgreSQL that the writer is at work: one that says nothing for IDLE_SECONDS is
        taken for hung, and its transaction is ended."""
        self._connection.execute("select 1")

    def append(self, posted: pa.Table) -> list[Known]:
        """Posts the lines whose events are new, and returns the rows of those that are not.

        `posted` as spark.emissions.Judged.posted: canonical spellings as text; the lines of an
        event have one row number.
        """
        if not posted.num_rows:
            return []
        months = pc.unique(posted.column("activity_month")).to_pylist()
        self._ensure_months(date.fromisoformat(month) for month in months)
        is_first = pc.equal(posted.column("line_no"), "1")
        first_lines = posted if pc.all(is_first).as_py() else posted.filter(is_first)
        known = self._claim_identities(first_lines)
        failpoint("identities_claimed")
        fresh = posted
        if known:
            rows = pa.array([item.row for item in known], pa.int64())
            fresh = posted.filter(pc.invert(pc.is_in(posted.column(ROW), value_set=rows)))
        self._copy_entries(fresh)
        failpoint("entries_copied")
        self._deltas.append(_deltas(fresh))
        self.counts.ledgered += first_lines.num_rows - len(known)
        self.counts.lines += fresh.num_rows
        for item in known:
            if item.is_same_payload:
                self.counts.duplicate += 1
        return known

    def _ensure_months(self, months: Iterable[date]) -> None:
        # Over a second connection: a month made inside this transaction would stay locked until
        # its commit, and every other part that needs a new month would wait for it.
        missing = set(months) - self._months
        if missing:
            make_months_aside(self._connection, sorted(missing))
            self._months |= missing

    def _claim_identities(self, posted: pa.Table) -> list[Known]:
        first = _first_of_each(posted)
        taken = self._claim(posted if first is None else posted.take(first))
        if not taken and first is None:
            return []
        firsts = set(range(posted.num_rows)) if first is None else set(first.to_pylist())
        event_ids = posted.column("event_id").to_pylist()
        repeated = [
            number
            for number, event_id in enumerate(event_ids)
            if event_id in taken or number not in firsts
        ]
        payloads = self._payloads([event_ids[number] for number in repeated])
        rows = posted.column(ROW)
        hashes = posted.column("payload_sha256")
        known = []
        for number in repeated:
            payload = payloads[event_ids[number]]
            known.append(
                Known(
                    row=rows[number].as_py(),
                    event_id=event_ids[number],
                    is_same_payload=payload == bytes.fromhex(hashes[number].as_py()),
                    is_superseded=payload == NO_HASH,
                )
            )
        return known

    def _claim(self, once: pa.Table) -> set[str]:
        """Claims the events (each is there once) that are new; returns those that were taken.

        Looking first and copying what is new costs half of an insert that tolerates conflicts. A
        writer that takes one of them in between makes the copy fail; then they are inserted that
        way after all.
        """
        cursor = self._connection.cursor()
        cursor.execute(query("taken_identities"), ["\n".join(once.column("event_id").to_pylist())])
        taken = {row[0] for row in cursor.fetchall()}
        if taken:
            is_taken = pc.is_in(once.column("event_id"), value_set=pa.array(taken, pa.string()))
            once = once.filter(pc.invert(is_taken))
        # In the order of the ids, so that two writers with the same ids wait for each other in one
        # direction only.
        rows = pa.table(
            {
                "event_id": once.column("event_id"),
                "payload_sha256": pc.binary_join_element_wise(
                    "\\x", once.column("payload_sha256"), ""
                ),
                "entry_month": once.column("activity_month"),
                "entry_id": once.column("entry_id"),
            }
        ).sort_by("event_id")
        try:
            with self._connection.transaction():
                self._copy(f"ledger.event_identity ({', '.join(rows.column_names)})", rows)
        except psycopg.errors.UniqueViolation:
            columns = (
                once.column(name).to_pylist()
                for name in ("event_id", "payload_sha256", "activity_month", "entry_id")
            )
            cursor.execute(query("claim_identities"), ["\n".join(column) for column in columns])
            taken |= {row[0] for row in cursor.fetchall()}
        return taken

    def _payloads(self, event_ids: Sequence[str]) -> dict[str, bytes]:
        cursor = self._connection.execute(
            "select event_id, payload_sha256 from ledger.event_identity where event_id = any(%s)",
            (list(event_ids),),
        )
        return dict(cursor.fetchall())

    def _copy_entries(self, fresh: pa.Table) -> None:
        if not fresh.num_rows:
            return
        columns = {name: fresh.column(name) for name in COLUMNS if name not in ASIDE}
        for name in TIMESTAMPS:
            columns[name] = _timestamp_texts(columns[name])
        for name in BYTES:
            columns[name] = pc.binary_join_element_wise("\\x", columns[name], "")
        batch_id = pa.repeat(pa.scalar(str(self.key.batch_id)), fresh.num_rows)
        columns["batch_id"] = pa.chunked_array([batch_id])
        self._copy(f"ledger.entry ({', '.join(columns)})", pa.table(columns))
        self._entry_ids.append(bytes_of(fresh.column("entry_id")))
        self._content_sha256s.append(bytes_of(fresh.column("content_sha256")))

    def _copy(self, target: str, table: pa.Table) -> None:
        """COPY of a table."""
        with self._connection.cursor().copy(f"copy {target} from stdin (format csv)") as copy:
            copy.write(csv_of(table))

    def correct(
        self, event_id: str, activity_ref: str, revision: int, lines: Sequence[EntryRow]
    ) -> Known | None:
        """Posts a later revision: what stands of the activity is reversed, the new lines are added.

        The lines of a cancellation are taken back at once: they account for its record, and nothing
        of the activity stands after them.
        Returns what is known of the event instead, if it was taken before or a later one stands.
        Earlier revisions that never arrived are marked superseded, so that a latecomer cannot count
        twice.
        """
        first = lines[0]
        self._ensure_months(line.activity_month for line in lines)
        cursor = self._connection.execute(
            "insert into ledger.event_identity (event_id, payload_sha256, entry_month, entry_id)"
            " values (%s, %s, %s, %s) on conflict do nothing",
            (event_id, first.payload_sha256, first.activity_month, first.entry_id),
        )
        if not cursor.rowcount:
            payload = self._payloads([event_id])[event_id]
            return Known(
                row=-1,
                event_id=event_id,
                is_same_payload=payload == first.payload_sha256,
                is_superseded=payload == NO_HASH,
            )
        standing = self._connection.execute(
            query("standing_lines"),
            {"first": f"{activity_ref}#", "last": f"{activity_ref}$", "no_hash": NO_HASH},
        ).fetchall()
        cause = f"revision {revision} of {activity_ref}"
        rows = [
            self._taken_back(read_entry(self._connection, *place), first, cause)
            for place in standing
        ]
        rows.extend(lines)
        if is_cancellation(lines):
            rows.extend(self._taken_back(line, first, cause) for line in lines)
        self._connection.execute(
            query("supersede_earlier"),
            {
                "ref": activity_ref,
                "revision": revision,
                "month": first.activity_month,
                "entry_id": first.entry_id,
                "no_hash": NO_HASH,
            },
        )
        insert_entries(self._connection, rows)
        insert_deltas(
            self._connection,
            deltas_of(rows, recorded_at=self.recorded_at, batch_id=self.key.batch_id),
        )
        self._entry_ids.extend(row.entry_id.bytes for row in rows)
        self._content_sha256s.extend(row.content_sha256 for row in rows)
        self._dates.update(row.local_date.isoformat() for row in rows)
        self.counts.ledgered += 1
        self.counts.lines += len(rows)
        failpoint("revision_reversed")
        return None

    def _taken_back(self, original: EntryRow, by: EntryRow, cause: str) -> EntryRow:
        """The reversal of an entry because of the record that `by` is a line of."""
        return reversal_of(
            original,
            recorded_at=by.recorded_at,
            cause=cause,
            code_version=by.code_version,
            batch_id=self.key.batch_id,
            topic=by.topic,
            topic_incarnation=by.topic_incarnation,
            kafka_partition=by.kafka_partition,
            kafka_offset=by.kafka_offset,
        )

    def refuse(self, records: Sequence[RefusedRecord]) -> None:
        """Keeps records that are not ledgered, with their bytes, coordinates and reason."""
        if not records:
            return
        columns = (
            "topic, topic_incarnation, kafka_partition, kafka_offset, stream, batch_id, fate,"
            " reason_code, reason, field, offending_value, valid_values, event_id, schema_id,"
            " appended_at, record_key, record_value, record_headers"
        )
        statement = f"copy ledger.dead_letter ({columns}) from stdin"
        k = self.key
        with self._connection.cursor().copy(statement) as copy:
            for item in records:
                headers = [
                    [printable(name), None if value is None else value.hex()]
                    for name, value in item.record_headers
                ]
                copy.write_row(
                    (
                        k.topic,
                        self.topic_incarnation,
                        k.kafka_partition,
                        item.kafka_offset,
                        k.stream,
                        k.batch_id,
                        item.fate,
                        item.reason_code,
                        printable(item.reason),
                        item.field,
                        printable(item.value),
                        printable(item.valid),
                        item.event_id,
                        item.schema_id,
                        item.appended_at,
                        item.record_key,
                        item.record_value,
                        json.dumps(headers),
                    )
                )
        for item in records:
            if item.fate == "quarantined":
                self.counts.quarantined += 1
            else:
                self.counts.dead_lettered += 1
        failpoint("letters_kept")

    def close(self, account: PartAccount) -> tuple[str, ...]:
        """Windows, list of entries, account, offsets; then commits. Returns the local dates (ISO)
        posted to.

        Raises BrokenInvariant `fenced` if the attempt has been replaced meanwhile, and whatever
        constraint the account breaks.
        """
        deltas = _grouped(pa.concat_tables(self._deltas)) if self._deltas else None
        if deltas is not None and deltas.num_rows:
            self._dates.update(pc.unique(deltas.column("local_date")).to_pylist())
            self._copy_deltas(deltas)
        failpoint("deltas_copied")
        dates = tuple(sorted(self._dates))
        k, c = self.key, self.counts
        insert_commit(
            self._connection,
            kind="part",
            recorded_at=self.recorded_at,
            entry_ids=self._entry_ids,
            content_sha256s=self._content_sha256s,
            part=PartCoordinates(
                batch_id=k.batch_id,
                topic=k.topic,
                topic_incarnation=self.topic_incarnation,
                kafka_partition=k.kafka_partition,
                start_offset=self.start_offset,
            ),
        )
        failpoint("commit_listed")
        cursor = self._connection.cursor()
        cursor.executemany(
            "insert into manifest.batch_window (batch_id, local_date) values (%s, %s)"
            " on conflict do nothing",
            [(k.batch_id, day) for day in dates],
        )
        gaps = self.end_offset - self.start_offset - c.records_read
        cursor.execute(
            query("insert_batch_part"),
            {
                **vars(k),
                **vars(c),
                **vars(account),
                "topic_incarnation": self.topic_incarnation,
                "start_offset": self.start_offset,
                "end_offset": self.end_offset,
                "offsets_without_record": gaps,
                "recorded_at": self.recorded_at,
            },
        )
        failpoint("account_inserted")
        try:
            cursor.execute(
                "select manifest.close_part(%s::bigint, %s::int, %s, %s::int, %s::bigint)",
                (k.batch_id, k.attempt, k.topic, k.kafka_partition, self.end_offset),
            )
        except psycopg.Error as error:
            raise named_refusal(error) from error
        failpoint("part_before_commit")
        self._connection.commit()
        return dates

    def _copy_deltas(self, deltas: pa.Table) -> None:
        keys = list(self.series)
        codes = deltas.column(SERIES)
        columns: dict[str, Any] = {
            name: pa.array([key[place] for key in keys], pa.string()).take(codes)
            for place, name in enumerate(SERIES_COLUMNS)
        }
        moments = deltas.column(WINDOW).cast(pa.timestamp("us", tz="UTC"))
        columns["window_start"] = moments.cast(pa.string())
        for name in ("local_date", "quantity", "kgco2e", "entries", "lines"):
            columns[name] = deltas.column(name).cast(pa.string())
        count = deltas.num_rows
        columns["batch_id"] = pa.repeat(pa.scalar(str(self.key.batch_id)), count)
        columns["recorded_at"] = pa.repeat(pa.scalar(self.recorded_at.isoformat()), count)
        self._copy(f"windows.five_minute_delta ({', '.join(columns)})", pa.table(columns))


def csv_of(table: pa.Table) -> memoryview:
    """The rows as CSV: a null is an empty field, an empty text is quoted."""
    # Arrow's writer puts zeros in front of what follows a chunk without rows, which filters leave.
    batches = [batch for batch in table.to_batches() if batch.num_rows]
    buffer = io.BytesIO()
    options = pacsv.WriteOptions(include_header=False, quoting_style="needed")
    pacsv.write_csv(pa.Table.from_batches(batches, table.schema), buffer, options)
    return buffer.getbuffer()


def bytes_of(hexadecimal: pa.ChunkedArray) -> bytes:
    """The bytes of hexadecimal texts (hyphens as in a UUID are left out), one after the other."""
    return bytes.fromhex("".join(hexadecimal.to_pylist()).replace("-", ""))


def _first_of_each(posted: pa.Table) -> pa.Array | None:
    """The rows of the first record of each event; None if no event is there twice."""
    count = posted.num_rows
    if pc.count_distinct(posted.column("event_id")).as_py() == count:
        return None
    numbered = pa.table(
        {
            "event_id": posted.column("event_id"),
            ROW: posted.column(ROW),
            "number": pa.array(range(count), pa.int64()),
        }
    ).sort_by(ROW)
    firsts = numbered.group_by("event_id", use_threads=False).aggregate([("number", "first")])
    return firsts.column("number_first").combine_chunks()


def _timestamp_texts(microseconds_texts: pa.ChunkedArray) -> pa.Array:
    """Microseconds since 1970 as PostgreSQL's timestamps; few moments are shared by many rows."""
    coded = microseconds_texts.combine_chunks().dictionary_encode()
    moments = coded.dictionary.cast(pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    return moments.cast(pa.string()).take(coded.indices)


def _deltas(posted: pa.Table) -> pa.Table:
    """What first-revision lines add to their windows, grouped."""
    count = posted.num_rows
    return _grouped(
        pa.table(
            {
                SERIES: posted.column(SERIES),
                WINDOW: posted.column(WINDOW),
                "local_date": posted.column("local_date"),
                "quantity": _decimals(posted.column("quantity")),
                "kgco2e": _decimals(posted.column("kgco2e")),
                "entries": pa.repeat(pa.scalar(1, pa.int64()), count),
                "lines": pa.repeat(pa.scalar(1, pa.int64()), count),
            }
        )
    )


def _decimals(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    # Decimal text never has more than 18 + 24 digits, which only the wider type can always hold.
    try:
        return texts.cast(NARROW).cast(WIDE)
    except pa.ArrowInvalid:
        return texts.cast(WIDE)


def _grouped(table: pa.Table) -> pa.Table:
    keys = [SERIES, WINDOW, "local_date"]
    sums = ["quantity", "kgco2e", "entries", "lines"]
    grouped = table.group_by(keys).aggregate([(name, "sum") for name in sums])
    return grouped.rename_columns({f"{name}_sum": name for name in sums}).select(keys + sums)


def printable(text: str | None) -> str | None:
    """`text` without what PostgreSQL text cannot hold: NUL and lone surrogates, shown as
    escapes.
    """
    if text is None:
        return None
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def named_refusal(error: psycopg.Error) -> CarbonError | psycopg.Error:
    """The refusals of manifest.* under their own names; any other database error unchanged."""
    names = {"CL001": "gap", "CL002": "fenced", "CL003": "part_without_account"}
    code = names.get(error.sqlstate or "")
    return error if code is None else BrokenInvariant(code, str(error).splitlines()[0])
