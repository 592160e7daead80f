"""Archived records judged again, one by one, without Kafka, registry or JVM.

Belongs here: from a part's archived object to the rows that given rules make of its records, and
the rules as they were when it was committed. Does not: comparing with the ledger, posting.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from carbon_ledger.entries import EntryRow
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.book import FactorBook
from carbon_ledger.lineage.part_terms import PartTerms, terms_of
from carbon_ledger.places import Rules
from carbon_ledger.policy import Policy
from carbon_ledger.reference.register import Register
from carbon_ledger.settings import Settings
from carbon_ledger.store.factors import read_book
from carbon_ledger.store.kept_books import KeptBooks
from carbon_ledger.store.reference import read_statements
from carbon_ledger.store.schemas import known_schemas
from carbon_ledger.version import code_version
from pipeline.serialization import schema_text
from spark.archive import ArchivedObject, read, read_terms
from spark.decode import WriterSchema
from spark.emissions import Part, Refusal, judge_record


class ArchivedPart(Protocol):
    """What is needed of a part: carbon_ledger.store.lineage.PostedPart has it."""

    @property
    def stream(self) -> str: ...
    @property
    def topic(self) -> str: ...
    @property
    def topic_incarnation(self) -> int: ...
    @property
    def kafka_partition(self) -> int: ...
    @property
    def batch_id(self) -> int: ...
    @property
    def recorded_at(self) -> datetime: ...
    @property
    def factor_release(self) -> str: ...
    @property
    def archive_object(self) -> str: ...
    @property
    def archive_sha256(self) -> bytes: ...
    @property
    def archive_bytes(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Rejudged:
    """What the rules make of one record: the rows of its event, or why it is refused.

    `revision` above 0: a correction, whose reversals of what stood before are not among the rows.
    `value` are the record's bytes as archived.
    """

    kafka_offset: int
    value: bytes | None
    event_id: str | None = None
    revision: int = 0
    rows: tuple[EntryRow, ...] = ()
    refusal: RejectedRecord | None = None


def rejudge(
    connection: Any,
    archive_url: str,
    part: ArchivedPart,
    rules: Rules,
    offsets: Collection[int] | None = None,
) -> Iterator[Rejudged]:
    """The part's records in order of offset (only those of `offsets`, if given), judged by `rules`.

    Rows bear the part's recorded_at, batch and coordinates, and the rules' code version. Raises
    BrokenInvariant `archive_missing` or `archive_altered`: the object's hash is checked first.
    """
    schemas = SchemasOf(connection, terms_in(archive_url, part))
    yield from rejudge_with(archive_url, part, rules, schemas, offsets)


def rejudge_with(
    archive_url: str,
    part: ArchivedPart,
    rules: Rules,
    writer_schema: Callable[[int], WriterSchema],
    offsets: Collection[int] | None = None,
) -> Iterator[Rejudged]:
    """As `rejudge`, with writer schemas from wherever the caller has them."""
    judged_as = Part(
        rules=rules,
        stream=part.stream,
        topic=part.topic,
        topic_incarnation=part.topic_incarnation,
        kafka_partition=part.kafka_partition,
        batch_id=part.batch_id,
        recorded_at=part.recorded_at,
        now=part.recorded_at,
        current=None,
        reader_text=schema_text(part.stream),
        writer_schema=writer_schema,
    )
    wanted = None if offsets is None else pa.array(sorted(offsets), pa.int64())
    for batch in read(archive_url, archived_object(part)):
        chosen = batch
        if wanted is not None:
            chosen = batch.filter(pc.is_in(batch.column("offset"), value_set=wanted))
        values = chosen.column("value")
        for number, offset in enumerate(chosen.column("offset").to_pylist()):
            value = values[number].as_py()
            found = judge_record(number, value, offset, judged_as)
            if isinstance(found, Refusal):
                yield Rejudged(
                    kafka_offset=offset,
                    value=value,
                    event_id=found.event_id,
                    refusal=found.reason,
                )
            else:
                yield Rejudged(
                    kafka_offset=offset,
                    value=value,
                    event_id=found.event_id,
                    revision=found.revision,
                    rows=found.lines,
                )


def archived_object(part: ArchivedPart) -> ArchivedObject:
    """The part's object, by its path and hash."""
    return ArchivedObject(
        path=part.archive_object, sha256=part.archive_sha256, size_bytes=part.archive_bytes
    )


def terms_in(archive_url: str, part: ArchivedPart) -> PartTerms | None:
    """What the part's object says of itself; None of an object that says nothing."""
    text = read_terms(archive_url, part.archive_object)
    return None if text is None else terms_of(text)


class SchemasOf:
    """Writer schemas as PostgreSQL remembers them: by the hash the part names, else by id."""

    def __init__(self, connection: Any, terms: PartTerms | None) -> None:
        self._by_place: dict[tuple[int, str], WriterSchema] = {}
        self._by_id: dict[int, WriterSchema] = {}
        self._named: Mapping[int, str] = {} if terms is None else terms.schemas
        for one in known_schemas(connection):
            found = WriterSchema(
                schema_id=one.schema_id, text=one.schema_text, sha256=one.schema_sha256
            )
            self._by_place[one.schema_id, one.schema_sha256.hex()] = found
            self._by_id[one.schema_id] = found

    def __call__(self, schema_id: int) -> WriterSchema:
        named = self._named.get(schema_id)
        found = (
            self._by_id.get(schema_id) if named is None else self._by_place.get((schema_id, named))
        )
        if found is None:
            raise RejectedRecord(
                "unknown_schema_id",
                f"schema id {schema_id} is not among the writer schemas that were kept",
                value=schema_id,
                valid="the id of a schema that a record was once read with",
            )
        return found


@dataclass(kw_only=True)
class RulesAsKnown:
    """The rules of each part as they were when it was committed: factors, reference data, policy.

    Books and registers are read once; with `kept`, books are those that the process has. Of a part
    whose object does not say by what policy it was judged, today's settings are taken.
    """

    connection: Any
    archive_url: str
    settings: Settings
    kept: KeptBooks | None = None
    _books: dict[str, FactorBook] = field(default_factory=dict)
    _registers: dict[int, Register] = field(default_factory=dict)
    _everything: Register | None = None

    def of(self, part: ArchivedPart, *, factor_release: str | None = None) -> Rules:
        """The rules of `part`, or the same with the factors of another release.

        Raises BrokenInvariant if a factor or a release was altered, Unavailable if one is missing.
        """
        terms = terms_in(self.archive_url, part)
        if terms is None:
            policy = Policy(
                gwp_set=self.settings["CARBON_GWP_SET"],
                max_vintage_gap_years=int(self.settings["CARBON_MAX_VINTAGE_GAP_YEARS"]),
            )
            organization = self.settings["CARBON_DEFAULT_ORGANIZATION"]
        else:
            policy, organization = terms.policy, terms.default_organization
        return Rules(
            book=self.book(factor_release or part.factor_release),
            register=self.register(part.recorded_at),
            policy=policy,
            default_organization=organization,
            code_version=code_version(),
        )

    def book(self, release_id: str) -> FactorBook:
        """The factors of a release, checked against their hashes when they were read."""
        if self.kept is not None:
            return self.kept.of(self.connection, release_id)
        if release_id not in self._books:
            self._books[release_id] = read_book(self.connection, release_id)
        return self._books[release_id]

    def register(self, known_at: datetime) -> Register:
        """All reference data as it was known at a moment."""
        if self._everything is None:
            self._everything = Register(records=read_statements(self.connection))
        known = self._everything.as_known_at(known_at)
        return self._registers.setdefault(len(known.records), known)
