"""The task: one Kafka partition's part of a batch, from its records to its commit.

Runs in a Python worker of a Spark executor, once per part; Spark may run it again, and a part that
is committed is left as it is. Belongs here: tying archive, judgement and transaction together. Does
not: the judgement (spark.emissions), the transaction (carbon_ledger.store.append).
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib.machinery import PathFinder
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from carbon_ledger import settings as settings_module
from carbon_ledger.errors import BrokenInvariant, RejectedRecord, Unavailable
from carbon_ledger.factor_book.book import FactorBook
from carbon_ledger.failpoints import failpoint
from carbon_ledger.lineage.part_terms import PartTerms, terms_text
from carbon_ledger.places import Rules
from carbon_ledger.policy import Policy
from carbon_ledger.reference.register import Register
from carbon_ledger.store.append import Known, PartAccount, PartKey, PartWriter, RefusedRecord
from carbon_ledger.store.connect import connect
from carbon_ledger.store.factors import read_book
from carbon_ledger.store.reference import (
    await_reference_writers,
    count_statements,
    read_register,
)
from carbon_ledger.store.schemas import remember_schema
from spark.archive import ArchiveWriter, raw_records
from spark.archived_rules import keep_reference, keep_release, keep_schema
from spark.decode import WriterSchema
from spark.emissions import Correction, Judged, Part, Refusal, judge

RESULT_SCHEMA = "result string"
# Shorter than a lease, so that a database that stays away is the planner's concern soon.
DATABASE_PATIENCE_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True)
class Job:
    """What every task of a batch is told; small, and free of anything a worker can look up
    itself.
    """

    database_url: str
    archive_url: str
    batch_id: int
    attempt: int
    stream: str
    factor_release: str
    code_version: str
    default_organization: str
    max_vintage_gap_years: int
    gwp_set: str
    subject: str
    reader_text: str
    current: WriterSchema | None


@dataclass(frozen=True, kw_only=True)
class PartResult:
    """What became of a part; counts in records, `lines` in lines, dates ISO in the sites'
    calendars.
    """

    topic: str
    kafka_partition: int
    start_offset: int
    end_offset: int
    already_committed: bool
    records_read: int = 0
    ledgered: int = 0
    duplicate: int = 0
    dead_lettered: int = 0
    quarantined: int = 0
    lines: int = 0
    archive_object: str = ""
    local_dates: tuple[str, ...] = ()


def commit_parts(job: Job, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """For `mapInArrow`: commits the part whose records come in, and yields its result as one
    JSON text.

    All records must be of one Kafka partition, in offset order, as Spark's Kafka source reads it.

    """
    forget_archives()
    first = next((batch for batch in batches if batch.num_rows), None)
    if first is None:
        return
    topic = first.column("topic")[0].as_py()
    partition = first.column("partition")[0].as_py()
    failpoint("records_read")
    result = commit_part(job, topic, partition, _chain(first, batches))
    yield pa.RecordBatch.from_pydict({"result": [json.dumps(asdict(result))]})


def _chain(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest


def commit_part(
    job: Job, topic: str, kafka_partition: int, batches: Iterator[pa.RecordBatch]
) -> PartResult:
    """Archives, judges and commits one part. Raises what makes the attempt fail; nothing is left
    then.
    """
    key = PartKey(
        batch_id=job.batch_id,
        attempt=job.attempt,
        stream=job.stream,
        topic=topic,
        kafka_partition=kafka_partition,
    )
    with closing(_connect_patiently(job)) as connection:
        writer = PartWriter(connection, key)
        if not writer.open():
            for _ in batches:  # Spark expects its input to be read.
                pass
            return PartResult(
                topic=topic,
                kafka_partition=kafka_partition,
                start_offset=writer.start_offset,
                end_offset=writer.end_offset,
                already_committed=True,
            )
        failpoint("part_opened")
        with ArchiveWriter(job.archive_url, topic, kafka_partition) as archive, collector_paused():
            rules = _rules(job, connection, writer.recorded_at)
            return _fill(job, writer, archive, batches, rules)


def _connect_patiently(job: Job) -> Any:
    """The task's connection; waits out a PostgreSQL that is just coming up again.

    Spark gives a failed task its next try at once, so a restart of a few seconds would use up all
    tries, and the batch would need a new run.
    """
    deadline = time.monotonic() + DATABASE_PATIENCE_SECONDS
    while True:
        try:
            return connect(job.database_url, f"carbon-writer-{job.batch_id}")
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def _fill(
    job: Job,
    writer: PartWriter,
    archive: ArchiveWriter,
    batches: Iterator[pa.RecordBatch],
    rules: Rules,
) -> PartResult:
    key = writer.key
    schemas = SchemaLookup(job.database_url, job.subject)
    part = Part(
        rules=rules,
        stream=job.stream,
        topic=key.topic,
        topic_incarnation=writer.topic_incarnation,
        kafka_partition=key.kafka_partition,
        batch_id=key.batch_id,
        recorded_at=writer.recorded_at,
        now=writer.recorded_at,
        current=job.current,
        reader_text=job.reader_text,
        writer_schema=schemas,
        series=writer.series,
        meanwhile=writer.stay,
    )
    appended: list[datetime] = []
    for batch in batches:
        _check_partition(batch, key)
        raw = raw_records(batch)
        archive.write(raw)
        judged = judge(batch, part)
        append_judged(writer, raw, judged)
        stamps = pc.min_max(raw.column("timestamp"))
        appended += [stamps["min"].as_py(), stamps["max"].as_py()]
        failpoint("batch_appended")
    archive.describe(_terms(job, writer, rules, schemas))
    archived = archive.close()
    failpoint("archive_closed")
    dates = writer.close(
        PartAccount(
            archive_object=archived.path,
            archive_sha256=archived.sha256,
            archive_bytes=archived.size_bytes,
            factor_release=job.factor_release,
            code_version=job.code_version,
            first_appended_at=min(appended, default=None),
            last_appended_at=max(appended, default=None),
        )
    )
    failpoint("part_committed")
    return PartResult(
        topic=key.topic,
        kafka_partition=key.kafka_partition,
        start_offset=writer.start_offset,
        end_offset=writer.end_offset,
        already_committed=False,
        archive_object=archived.path,
        local_dates=dates,
        **vars(writer.counts),
    )


def _terms(job: Job, writer: PartWriter, rules: Rules, schemas: SchemaLookup) -> str:
    """What the object says of itself; what it refers to is in the archive before it is."""
    if job.current is not None:
        schemas.met[job.current.schema_id] = job.current
    for schema in schemas.met.values():
        keep_schema(job.archive_url, schema)
    keep_release(job.archive_url, job.factor_release, job.database_url)
    key = writer.key
    return terms_text(
        PartTerms(
            stream=key.stream,
            topic=key.topic,
            topic_incarnation=writer.topic_incarnation,
            kafka_partition=key.kafka_partition,
            start_offset=writer.start_offset,
            end_offset=writer.end_offset,
            batch_id=key.batch_id,
            attempt=key.attempt,
            recorded_at=writer.recorded_at,
            factor_release=job.factor_release,
            code_version=job.code_version,
            default_organization=job.default_organization,
            gwp_set=job.gwp_set,
            max_vintage_gap_years=job.max_vintage_gap_years,
            reference_sha256=keep_reference(job.archive_url, rules.register),
            schemas={number: one.sha256.hex() for number, one in sorted(schemas.met.items())},
        )
    )


def reading_part(job: Job, connection: Any) -> Part:
    """A part for looking only: judged now, by the job's rules, of no particular Kafka partition."""
    moment = datetime.now(UTC)
    return Part(
        rules=_rules(job, connection),
        stream=job.stream,
        topic=job.subject.removesuffix("-value"),
        topic_incarnation=0,
        kafka_partition=0,
        batch_id=job.batch_id,
        recorded_at=moment,
        now=moment,
        current=job.current,
        reader_text=job.reader_text,
        writer_schema=SchemaLookup(job.database_url, job.subject),
    )


def _check_partition(batch: pa.RecordBatch, key: PartKey) -> None:
    bounds = pc.min_max(batch.column("partition"))
    if batch.num_rows and bounds.as_py() != {
        "min": key.kafka_partition,
        "max": key.kafka_partition,
    }:
        raise BrokenInvariant(
            "part_mixed", f"a task for {key.topic}-{key.kafka_partition} was given {bounds}"
        )


def append_judged(writer: PartWriter, raw: pa.RecordBatch, judged: Judged) -> None:
    """Posts what the rules made of a batch of raw records, and keeps what is not ledgered."""
    writer.counts.records_read += raw.num_rows
    known = [(item, item.row) for item in writer.append(judged.posted)]
    for correction in judged.corrections:
        found = _correct(writer, correction)
        if found is not None:
            known.append((found, correction.row))
    refusals = list(judged.refusals)
    for item, row in known:
        if not item.is_same_payload:
            refusals.append(
                Refusal(row=row, fate="quarantined", reason=_conflict(item), event_id=item.event_id)
            )
    if refusals:
        records = raw.take(pa.array([item.row for item in refusals])).to_pylist()
        writer.refuse(list(map(_refused, records, refusals)))


def _correct(writer: PartWriter, correction: Correction) -> Known | None:
    found = writer.correct(
        correction.event_id, correction.activity_ref, correction.revision, correction.lines
    )
    if found is not None and found.is_same_payload:
        writer.counts.duplicate += 1
    return found


def _conflict(item: Known) -> RejectedRecord:
    if item.is_superseded:
        return RejectedRecord(
            "stale_revision",
            f"{item.event_id} arrived after a later revision of the same activity",
            field="revision",
            valid="a revision above the one that stands",
        )
    return RejectedRecord(
        "identity_conflict",
        f"{item.event_id} is known with other content; to change it, send a higher revision",
        field="revision",
        valid="the same content, or a higher revision",
    )


def _refused(record: dict[str, Any], refusal: Refusal) -> RefusedRecord:
    reason = refusal.reason
    return RefusedRecord(
        kafka_offset=record["offset"],
        fate=refusal.fate,
        reason_code=reason.code,
        reason=reason.message,
        field=reason.field,
        value=reason.value,
        valid=reason.valid,
        event_id=refusal.event_id,
        schema_id=refusal.schema_id,
        appended_at=record["timestamp"],
        record_key=record["key"],
        record_value=record["value"],
        record_headers=[(item["key"], item["value"]) for item in record["headers"] or ()],
    )


def _rules(job: Job, connection: Any, known_at: datetime | None = None) -> Rules:
    return Rules(
        book=_book(job.database_url, job.factor_release),
        register=_register(job.database_url, connection, known_at),
        policy=Policy(gwp_set=job.gwp_set, max_vintage_gap_years=job.max_vintage_gap_years),
        default_organization=job.default_organization,
        code_version=job.code_version,
    )


_registers: dict[str, tuple[int, Register]] = {}


def _register(database_url: str, connection: Any, known_at: datetime | None) -> Register:
    """Reference data as known at a moment that has passed (None: now); read again only when some
    was added.

    Judging the records again must find the same: so what was being recorded at that moment is
    waited for, and what was recorded since is left out.
    """
    await_reference_writers(connection)
    count = count_statements(connection)
    known = _registers.get(database_url)
    if known is None or known[0] != count:
        _registers.clear()
        _registers[database_url] = known = (count, read_register(connection))
    return known[1] if known_at is None else known[1].as_known_at(known_at)


_books: dict[str, FactorBook] = {}
BOOKS_MAX = 4


def _book(database_url: str, release_id: str) -> FactorBook:
    """The factors of a release; its id is a hash of its content, so a worker reads it once."""
    if release_id not in _books:
        while len(_books) >= BOOKS_MAX:
            _books.pop(next(iter(_books)))
        with closing(connect(database_url, "carbon-factor-book", autocommit=True)) as connection:
            _books[release_id] = read_book(connection, release_id)
        # A worker collects garbage after every task; what stays anyway need not be walked.
        gc.collect()
        gc.freeze()
    return _books[release_id]


class SchemaLookup:
    """Writer schemas by id, for one part: from the registry, remembered in PostgreSQL.

    An id never changes its schema, so found ones are kept for good; an id that the registry does
    not know is asked for once a part, since it may be registered later.
    """

    def __init__(self, database_url: str, subject: str) -> None:
        self._database_url = database_url
        self._subject = subject
        self._unknown: dict[int, RejectedRecord] = {}
        # Those found so far, by id.
        self.met: dict[int, WriterSchema] = {}

    def __call__(self, schema_id: int) -> WriterSchema:
        """The schema. Raises RejectedRecord `unknown_schema_id`, or Unavailable."""
        if schema_id in self._unknown:
            raise self._unknown[schema_id]
        try:
            found = _writer_schema(self._database_url, self._subject, schema_id)
        except RejectedRecord as reason:
            self._unknown[schema_id] = reason
            raise
        self.met[schema_id] = found
        return found


@lru_cache(maxsize=256)
def _writer_schema(database_url: str, subject: str, schema_id: int) -> WriterSchema:
    text, sha256 = _registry().writer_schema(schema_id)
    with closing(connect(database_url, "carbon-schemas", autocommit=True)) as connection:
        remember_schema(connection, subject, schema_id, text)
    return WriterSchema(schema_id=schema_id, text=text, sha256=sha256)


@cache
def _registry() -> Any:
    from pipeline.serialization import Registry

    return Registry(settings_module.load())


def forget_archives() -> None:
    """Takes Spark's own archives off this worker's search path; pyspark is installed beside us.

    Before every task a worker reads the contents of each archive there again, in Python, and one of
    them is Spark's core jar with thousands of entries: a tenth of a second a task.
    """
    archives = [name for name in sys.path if name.endswith((".jar", ".zip"))]
    if not archives or PathFinder.find_spec("pyspark", _without(archives)) is None:
        return
    sys.path[:] = _without(archives)
    for name in list(sys.path_importer_cache):
        if name.startswith(tuple(archives)):
            del sys.path_importer_cache[name]


def _without(archives: list[str]) -> list[str]:
    return [name for name in sys.path if name not in archives]


@contextmanager
def collector_paused() -> Iterator[None]:
    """Python's cycle collector stands still: a part makes millions of short texts and no cycles,
    and walking them took a sixth of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
