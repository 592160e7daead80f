"""A ledger built again from the archive alone, into an empty database.

Belongs here: which archived objects were committed, and committing their records anew, in the same
way as a batch does. Does not: what never was a record: corrections by hand, restatements,
supersession and period postings, report snapshots, seals and heads, decisions on topic accidents.

Neither Kafka, registry nor JVM is needed: records are judged one by one, with the writer schemas,
factor releases and reference data that the archive has beside them. Entries keep the moment at
which they were first recorded, so that answers as of then are what they were.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pyarrow.compute as pc

from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.factor_book.book import FactorBook
from carbon_ledger.lineage.part_terms import PartTerms, terms_of
from carbon_ledger.places import Rules
from carbon_ledger.reference.register import Register
from carbon_ledger.store.append import PartAccount, PartKey, PartWriter
from carbon_ledger.store.connect import connect
from carbon_ledger.store.entry_sums import forget_sums
from carbon_ledger.store.factors import read_book, store_release
from carbon_ledger.store.rebuild_claims import (
    REBUILD_ATTEMPT,
    claim_batch,
    finish_batch,
    refuse_unless_empty,
)
from carbon_ledger.store.reference import restore_statements
from carbon_ledger.store.schemas import remember_schema
from carbon_ledger.version import code_version
from pipeline.serialization import schema_text, subject_of, unknown_schema_id
from spark.archive import ArchivedObject, object_paths, object_size, read, read_terms
from spark.archived_rules import archived_reference, archived_release, archived_schema
from spark.decode import WriterSchema
from spark.emissions import Part, judge
from spark.sink import append_judged


@dataclass(frozen=True, kw_only=True)
class FoundPart:
    """An archived part: its object and what it says of itself."""

    archived: ArchivedObject
    terms: PartTerms


@dataclass(kw_only=True)
class Found:
    """What the archive holds.

    `parts` were committed, in the order they are to be posted in. `left_out` objects belong to
    attempts that did not commit; `undescribed` objects do not say which part they are. `gaps` are
    ranges of offsets that no object has: (topic, incarnation, partition, from, until).
    """

    parts: list[FoundPart] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    undescribed: list[str] = field(default_factory=list)
    gaps: list[tuple[str, int, int, int, int]] = field(default_factory=list)


def find_parts(archive_url: str) -> Found:
    """The archive's parts. Of several objects for one start the last attempt is the one that
    committed: an attempt that finds its part committed archives nothing.

    Raises BrokenInvariant `archive_altered` for an object that is not what its name says.
    """
    found = Found()
    by_place: dict[tuple[str, int, int], list[FoundPart]] = defaultdict(list)
    for path in object_paths(archive_url):
        text = read_terms(archive_url, path)
        if text is None:
            found.undescribed.append(path)
            continue
        sha256 = bytes.fromhex(path.rpartition("/")[2].removesuffix(".parquet"))
        archived = ArchivedObject(
            path=path, sha256=sha256, size_bytes=object_size(archive_url, path)
        )
        terms = terms_of(text)
        by_place[terms.where].append(FoundPart(archived=archived, terms=terms))
    for place, parts in sorted(by_place.items()):
        parts.sort(key=lambda one: (one.terms.start_offset, *_rank(one.terms)))
        last: dict[int, FoundPart] = {one.terms.start_offset: one for one in parts}
        expected: int | None = None
        for one in parts:
            start = one.terms.start_offset
            if last[start] is not one or (expected is not None and start < expected):
                found.left_out.append(one.archived.path)
                continue
            if expected is not None and start > expected:
                found.gaps.append((*place, expected, start))
            expected = one.terms.end_offset
            found.parts.append(one)
    found.parts.sort(key=lambda one: (one.terms.recorded_at, one.terms.where))
    return found


def _rank(terms: PartTerms) -> tuple[Any, ...]:
    return terms.batch_id, terms.attempt, terms.recorded_at


@dataclass(kw_only=True)
class Rebuilt:
    """What was posted anew, in records and lines; `other_code` counts parts that other code judged
    first.
    """

    parts: int = 0
    other_code: int = 0
    counts: Counter[str] = field(default_factory=Counter)


def rebuild_ledger(
    database_url: str,
    archive_url: str,
    found: Found,
    told: Callable[[str], None] = lambda text: None,
) -> Rebuilt:
    """Commits every part of `found` into an empty, migrated ledger; `told` hears of each batch.

    Raises ConfigurationError `ledger_not_empty`, BrokenInvariant if something in the archive is
    missing or altered; batches posted before that stay.
    """
    rebuilt = Rebuilt()
    with closing(connect(database_url, "carbon-rebuild")) as connection:
        refuse_unless_empty(connection)
        connection.rollback()
        _restore_rules(connection, archive_url, found.parts)
        books: dict[str, FactorBook] = {}
        registers: dict[str | None, Register] = {}
        for parts in _batches(found.parts):
            batch_id = claim_batch(connection, [one.terms for one in parts])
            connection.commit()
            for one in parts:
                terms = one.terms
                if terms.factor_release not in books:
                    books[terms.factor_release] = read_book(connection, terms.factor_release)
                if terms.reference_sha256 not in registers:
                    registers[terms.reference_sha256] = Register(
                        records=archived_reference(archive_url, terms.reference_sha256)
                    )
                rules = Rules(
                    book=books[terms.factor_release],
                    register=registers[terms.reference_sha256],
                    policy=terms.policy,
                    default_organization=terms.default_organization,
                    code_version=code_version(),
                )
                connection.rollback()
                counts = _post(connection, archive_url, one, batch_id, rules)
                rebuilt.counts.update(counts)
                rebuilt.parts += 1
                rebuilt.other_code += terms.code_version != code_version()
            finish_batch(connection, batch_id)
            told(f"{parts[0].terms.stream}: batch {parts[0].terms.batch_id}, {len(parts)} parts")
        # Lines have the moments of their first recording: sums that a sensor made meanwhile may
        # end after them.
        forget_sums(connection)
        connection.commit()
    return rebuilt


def _batches(parts: Sequence[FoundPart]) -> Iterator[list[FoundPart]]:
    """The parts by the batch they were of, batches in the order of their first part."""
    batches: dict[int, list[FoundPart]] = {}
    for one in parts:
        batches.setdefault(one.terms.batch_id, []).append(one)
    yield from batches.values()


def _restore_rules(connection: Any, archive_url: str, parts: Sequence[FoundPart]) -> None:
    """Writer schemas, factor releases and reference data, in the order they came up."""
    seen: set[object] = set()
    for one in parts:
        terms = one.terms
        for schema_id, sha256 in terms.schemas.items():
            if (terms.topic, schema_id, sha256) not in seen:
                seen.add((terms.topic, schema_id, sha256))
                schema = archived_schema(archive_url, schema_id, sha256)
                remember_schema(connection, subject_of(terms.topic), schema_id, schema.text)
        if terms.factor_release not in seen:
            seen.add(terms.factor_release)
            store_release(connection, archived_release(archive_url, terms.factor_release))
        if terms.reference_sha256 is not None and terms.reference_sha256 not in seen:
            seen.add(terms.reference_sha256)
            restore_statements(connection, archived_reference(archive_url, terms.reference_sha256))
    connection.commit()


def _post(
    connection: Any, archive_url: str, one: FoundPart, batch_id: int, rules: Rules
) -> dict[str, int]:
    terms = one.terms
    key = PartKey(
        batch_id=batch_id,
        attempt=REBUILD_ATTEMPT,
        stream=terms.stream,
        topic=terms.topic,
        kafka_partition=terms.kafka_partition,
    )
    writer = PartWriter(connection, key)
    if not writer.open():
        raise BrokenInvariant("part_committed", f"{one.archived.path} is committed already")
    writer.recorded_at = terms.recorded_at
    part = Part(
        rules=rules,
        stream=terms.stream,
        topic=terms.topic,
        topic_incarnation=terms.topic_incarnation,
        kafka_partition=terms.kafka_partition,
        batch_id=batch_id,
        recorded_at=terms.recorded_at,
        now=terms.recorded_at,
        current=None,
        reader_text=schema_text(terms.stream),
        writer_schema=_schemas(archive_url, terms),
        series=writer.series,
    )
    stamps = []
    for batch in read(archive_url, one.archived):
        append_judged(writer, batch, judge(batch, part))
        bounds = pc.min_max(batch.column("timestamp")).as_py()
        stamps += [bounds["min"], bounds["max"]]
    writer.close(
        PartAccount(
            archive_object=one.archived.path,
            archive_sha256=one.archived.sha256,
            archive_bytes=one.archived.size_bytes,
            factor_release=terms.factor_release,
            code_version=rules.code_version,
            first_appended_at=min(filter(None, stamps), default=None),
            last_appended_at=max(filter(None, stamps), default=None),
        )
    )
    return vars(writer.counts)


def _schemas(archive_url: str, terms: PartTerms) -> Callable[[int], WriterSchema]:
    known = {
        schema_id: archived_schema(archive_url, schema_id, sha256)
        for schema_id, sha256 in terms.schemas.items()
    }

    def find(schema_id: int) -> WriterSchema:
        if schema_id not in known:
            raise unknown_schema_id(schema_id)
        return known[schema_id]

    return find
