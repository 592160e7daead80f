"""A bundle of entries and all they rest on, computed again with the standard library alone.

Belongs here: what is in a bundle's folder, reading it, the verdicts. Does not: making one
(spark.bundle). This module and all it imports are copied into every bundle, so nothing here may
import what is not in carbon_ledger's pure part or in Python itself.

A folder has `entries.jsonl` (every entry of the sample, and the originals of reversals in it),
`records.jsonl` (raw records, base64, with their coordinates), `parts.json` (by which rules they
were judged), `schemas/`, `releases/`, `reference/`, `zones/` (calendars), `code/`, `SHA256SUMS`.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import sys
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Final
from uuid import UUID

from carbon_ledger.entries import EntryRow
from carbon_ledger.errors import BrokenInvariant, CarbonError, RejectedRecord
from carbon_ledger.events import IoTEnergyEvent
from carbon_ledger.factor_book.book import FactorBook
from carbon_ledger.factor_book.index_rows import check_index
from carbon_ledger.factor_book.rows import check_factor
from carbon_ledger.lineage.avro_reader import decoded
from carbon_ledger.lineage.compare import differences, one_of, reversal_differences
from carbon_ledger.lineage.part_terms import PartTerms, terms_of
from carbon_ledger.lineage.plain import made, reference_of, release_of
from carbon_ledger.places import Rules
from carbon_ledger.posting import Origin, lines_of_reading, rows_of_event
from carbon_ledger.reference.register import Register
from carbon_ledger.restatement import restated, restated_cause
from carbon_ledger.stream_events import event_of, widest_schema_file

FRAME_BYTES: Final = 5
PLACE: Final = ("topic", "topic_incarnation", "kafka_partition", "kafka_offset")
ENTRIES, RECORDS, PARTS, SUMS = "entries.jsonl", "records.jsonl", "parts.json", "SHA256SUMS"
ZONES: Final = "zones"
# Not computed from one record, and so said apart.
APART: Final = ("by_hand", "supersession", "period")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Of one entry: whether it came out equal, or what is wrong."""

    entry_id: UUID
    kind: str
    is_equal: bool
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BundledEntry:
    """An entry of a bundle. `kind` as spark.reperform has it (`taken_back` is a reversal that no
    record caused); `is_sampled`: one of the sample, not an original that only came along;
    `rules`: place in parts.json of what its record was judged by; `restatement`: its number.
    """

    row: EntryRow
    kind: str
    is_sampled: bool
    rules: int | None
    restatement: int | None


@dataclass(kw_only=True)
class Bundle:
    """A bundle's folder; what is in it is read when it is needed."""

    folder: Path
    _books: dict[str, FactorBook] = field(default_factory=dict)

    def check_files(self) -> list[str]:
        """Files that are not what SHA256SUMS says, or not there."""
        wrong = []
        for line in (self.folder / SUMS).read_text("utf-8").splitlines():
            sha256, name = line.split("  ", 1)
            file = self.folder / name
            if not file.is_file():
                wrong.append(f"{name} is missing")
            elif hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
                wrong.append(f"{name} is not the file that was exported")
        return wrong

    @cached_property
    def entries(self) -> dict[UUID, BundledEntry]:
        """Every entry by its id."""
        found = {}
        for line in (self.folder / ENTRIES).read_text("utf-8").splitlines():
            values = json.loads(line)
            row = made(EntryRow, values.pop("entry"))
            found[row.entry_id] = BundledEntry(row=row, **values)
        return found

    @cached_property
    def parts(self) -> list[PartTerms]:
        """By which rules records were judged."""
        values = json.loads((self.folder / PARTS).read_text("utf-8"))
        return [terms_of(json.dumps(one)) for one in values]

    @cached_property
    def _records(self) -> dict[tuple[object, ...], bytes]:
        found: dict[tuple[object, ...], bytes] = {}
        for line in (self.folder / RECORDS).read_text("utf-8").splitlines():
            one = json.loads(line)
            place = tuple(one[name] for name in PLACE)
            found[place] = base64.b64decode(one["value"] or "")
        return found

    def _rules(self, terms: PartTerms) -> Rules:
        release_id = terms.factor_release
        if release_id not in self._books:
            file = self.folder / "releases" / f"{release_id}.json.gz"
            release = release_of(gzip.decompress(file.read_bytes()).decode())
            for factor in release.rows:
                check_factor(factor)
            for index in release.index_rows:
                check_index(index)
            self._books[release_id] = FactorBook(release.rows, release_id, release.index_rows)
        return Rules(
            book=self._books[release_id],
            register=self._register(terms.reference_sha256),
            policy=terms.policy,
            default_organization=terms.default_organization,
            code_version=terms.code_version,
        )

    def _register(self, sha256: str | None) -> Register:
        if sha256 not in self._registers:
            file = self.folder / "reference" / f"{sha256}.json"
            records = () if sha256 is None else reference_of(_checked(file, sha256))
            self._registers[sha256] = Register(records=records)
        return self._registers[sha256]

    @cached_property
    def _registers(self) -> dict[str | None, Register]:
        return {}

    def verdicts(self) -> list[Verdict]:
        """Of every entry of the sample, in the order of the file."""
        return [self.verdict(one.row) for one in self.entries.values() if one.is_sampled]

    def verdict(self, row: EntryRow) -> Verdict:
        """Of one entry; what cannot be computed is a problem, not an exception."""
        kind = self.entries[row.entry_id].kind
        if kind in APART:
            return Verdict(entry_id=row.entry_id, kind=kind, is_equal=False)
        try:
            problems = self._problems(row)
        except (CarbonError, OSError, ValueError) as error:
            problems = (f"{getattr(error, 'code', type(error).__name__)}: {error}",)
        return Verdict(entry_id=row.entry_id, kind=kind, is_equal=not problems, problems=problems)

    def _problems(self, row: EntryRow) -> tuple[str, ...]:
        number = self.entries[row.entry_id].restatement
        if row.reverses_id is None:
            rows, _ = self._judged(row)
            if number is not None:
                cause = restated_cause(row, number)
                rows = tuple(
                    replace(restated(one, row.event_id, cause), recorded_at=row.recorded_at)
                    for one in rows
                    if one.line_no == row.line_no
                )
            remade = one_of(rows, row)
            if remade is None:
                return (f"its record posts no line {row.line_no} of {row.event_id}",)
            return tuple(map(str, differences(row, remade)))
        original = self.entries.get(row.reverses_id)
        if original is None:
            return (f"entry {row.reverses_id}, which it takes back, is not in the bundle",)
        before = self.verdict(original.row)
        if before.problems:
            return (f"entry {row.reverses_id}, which it takes back: {before.problems[0]}",)
        why = None
        if row.topic is not None and self.entries[row.entry_id].kind == "reversal":
            rows, revision = self._judged(row)
            why = f"revision {revision} of {rows[0].activity_ref}"
        return tuple(map(str, reversal_differences(row, original.row, why)))

    def _judged(self, row: EntryRow) -> tuple[tuple[EntryRow, ...], int]:
        """The rows of the record that an entry names, and the revision of its event."""
        place = tuple(getattr(row, name) for name in PLACE)
        number = self.entries[row.entry_id].rules
        if place not in self._records or number is None:
            raise BrokenInvariant("record_missing", f"record {place} is not in the bundle")
        value, terms = self._records[place], self.parts[number]
        if len(value) < FRAME_BYTES or value[0]:
            raise RejectedRecord("wrong_magic_byte", "the record is not in Confluent framing")
        schema_id, body = int.from_bytes(value[1:FRAME_BYTES], "big"), value[FRAME_BYTES:]
        writer_text, sha256 = self._schema(schema_id, terms.schemas)
        fields = decoded(body, writer_text, widest_schema_file(terms.stream))
        event = event_of(terms.stream, fields, terms.recorded_at)
        origin = Origin(
            topic=terms.topic,
            topic_incarnation=terms.topic_incarnation,
            kafka_partition=terms.kafka_partition,
            kafka_offset=row.kafka_offset or 0,
            batch_id=terms.batch_id,
            recorded_at=terms.recorded_at,
            payload_sha256=hashlib.sha256(body).digest(),
            schema_sha256=bytes.fromhex(sha256),
        )
        rules = self._rules(terms)
        if isinstance(event, IoTEnergyEvent):
            return lines_of_reading(event, origin, rules), event.revision
        return rows_of_event(terms.stream, event, origin, rules), event.revision

    def _schema(self, schema_id: int, schemas: Mapping[int, str]) -> tuple[str, str]:
        if schema_id not in schemas:
            raise RejectedRecord("unknown_schema_id", f"schema id {schema_id} is not in the bundle")
        sha256 = schemas[schema_id]
        return _checked(self.folder / "schemas" / f"{sha256}.avsc", sha256), sha256


def _checked(file: Path, sha256: str) -> str:
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise BrokenInvariant("bundle_altered", f"{file.name} is not the file that was exported")
    return content.decode()


def main(folder: Path) -> int:
    """Writes the verdicts on a bundle; 0 if every entry that can be computed came out equal and
    every file is as it was exported.
    """
    zoneinfo.reset_tzpath([str((folder / ZONES).resolve())])
    bundle = Bundle(folder=folder)
    lines, is_equal = report(bundle)
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if is_equal else 1


def report(bundle: Bundle) -> tuple[list[str], bool]:
    """What is to be said of a bundle, and whether everything is equal."""
    wrong = bundle.check_files()
    found = bundle.verdicts()
    computed = [one for one in found if one.kind not in APART]
    equal = sum(one.is_equal for one in computed)
    lines = [f"{equal} of {len(computed)} equal"]
    for kind in APART:
        count = sum(one.kind == kind for one in found)
        if count:
            lines.append(f"{count} of kind {kind}, which no record makes: not computed")
    lines += [f"file: {text}" for text in wrong]
    lines += [
        f"{one.entry_id} ({one.kind}): {problem}" for one in computed for problem in one.problems
    ]
    return lines, equal == len(computed) and not wrong
