"""A bundle of entries and all they rest on, for somebody who has nothing but Python.

Belongs here: gathering records, schemas, factors, reference data, calendars and code into a folder.
Does not: computing from it (carbon_ledger.lineage.bundle, which is copied into the folder).
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import zoneinfo
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from carbon_ledger.entries import EntryRow
from carbon_ledger.errors import BrokenInvariant, ConfigurationError
from carbon_ledger.lineage.bundle import APART, ENTRIES, PARTS, RECORDS, SUMS, ZONES
from carbon_ledger.lineage.bundle_code import copy_code
from carbon_ledger.lineage.part_terms import PartTerms, terms_text
from carbon_ledger.lineage.plain import plain_fields, reference_text, release_text
from carbon_ledger.places import DEFAULT_TIME_ZONE
from carbon_ledger.reference.records import Site
from carbon_ledger.reference.register import Register
from carbon_ledger.settings import Settings
from carbon_ledger.store.factors import read_release
from carbon_ledger.store.lineage import PostedPart, entries_by_key, restated_rules
from carbon_ledger.version import code_version
from spark.archive import read
from spark.decode import frame_schema_id
from spark.rejudge import RulesAsKnown, SchemasOf, archived_object, terms_in
from spark.reperform import Reperformer, record_key
from spark.reperform_restated import policy_of

SCRIPT: Final = '''\
"""Computes the entries of this folder again, with Python 3.11 or later and nothing else."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER / "code"))

from carbon_ledger.lineage.bundle import main

sys.exit(main(FOLDER))
'''
README: Final = """\
Entries of a carbon ledger, and all they rest on.

    python reperform.py

computes every entry again: raw record, decoded with its writer schema, judged by the rules in
code/, with the factors in releases/ and the reference data in reference/ as they were known when
the entry was recorded. It prints `N of N equal`, or names what differs. It needs Python 3.11 or
later, no library and no network.

entries.jsonl    the entries as the ledger has them, one a line
records.jsonl    the raw records as they were archived (value: base64), with their coordinates
parts.json       when and by which rules the records were judged
schemas/         writer schemas, each named by the SHA-256 of its text
releases/        factor releases, whole: each row with its source, its licence and its SHA-256
reference/       sites, vehicles and the like, each statement with the moment it was recorded
zones/           the calendars of the sites
code/            the rules, as the ledger runs them ({code})
SHA256SUMS       of every other file: sha256sum -c SHA256SUMS
"""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What is in a bundle: `computed` entries of the sample, those `apart` that no record makes."""

    entries: int
    computed: int
    apart: int
    records: int
    modules: int


def export_bundle(
    connection: Any,
    archive_url: str,
    settings: Settings,
    folder: Path,
    rows: Sequence[EntryRow],
) -> Exported:
    """Writes the bundle of `rows`; the folder must not be there, or be empty.

    Raises ConfigurationError `folder_not_empty`, BrokenInvariant if something they rest on is
    missing or altered.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ConfigurationError("folder_not_empty", f"{folder} has files in it already")
    folder.mkdir(parents=True, exist_ok=True)
    worker = Reperformer(connection=connection, archive_url=archive_url, settings=settings)
    sampled = {row.entry_id for row in rows}
    every = {row.entry_id: row for row in rows}
    every |= entries_by_key(
        connection,
        [
            (row.reverses_id, row.activity_month)
            for row in rows
            if row.reverses_id is not None and row.reverses_id not in every
        ],
    )
    kinds = {row.entry_id: _kind(worker, row) for row in every.values()}
    computed = [row for row in every.values() if _is_of_a_record(row, kinds[row.entry_id])]
    gathered = _Gathered(connection=connection, archive_url=archive_url, folder=folder)
    rules = gathered.rules(settings, worker, computed)
    restated = restated_rules(connection, [row.entry_id for row in computed])
    lines = [
        {
            "entry": plain_fields(row),
            "kind": kinds[row.entry_id],
            "is_sampled": row.entry_id in sampled,
            "rules": rules.get(row.entry_id),
            "restatement": restated[row.entry_id].restatement_id
            if row.entry_id in restated
            else None,
        }
        for row in every.values()
    ]
    _write_lines(folder / ENTRIES, lines)
    modules = copy_code(folder / "code")
    (folder / "reperform.py").write_text(SCRIPT, "utf-8")
    (folder / "README.txt").write_text(README.replace("{code}", code_version()), "utf-8")
    _write_sums(folder)
    apart = sum(kinds[entry_id] in APART for entry_id in sampled)
    return Exported(
        entries=len(rows),
        computed=len(rows) - apart,
        apart=apart,
        records=gathered.records,
        modules=modules,
    )


def _kind(worker: Reperformer, row: EntryRow) -> str:
    if row.is_reversal and not worker.is_of_a_record(row):
        return "taken_back"
    return worker.kind_of(row)


def _is_of_a_record(row: EntryRow, kind: str) -> bool:
    return kind not in (*APART, "taken_back") and record_key(row) is not None


@dataclass(kw_only=True)
class _Gathered:
    """Records, and the rules they were judged by, as they are put into the folder."""

    connection: Any
    archive_url: str
    folder: Path
    records: int = 0

    def rules(
        self, settings: Settings, worker: Reperformer, rows: Sequence[EntryRow]
    ) -> dict[UUID, int]:
        """Writes all that the rows rest on; of each row the place in parts.json of its rules."""
        for name in ("schemas", "releases", "reference", ZONES):
            (self.folder / name).mkdir()
        known = RulesAsKnown(
            connection=self.connection, archive_url=self.archive_url, settings=settings
        )
        restated = restated_rules(self.connection, [row.entry_id for row in rows])
        wanted: dict[tuple[str, int, int], set[int]] = defaultdict(set)
        by_record: dict[object, list[EntryRow]] = defaultdict(list)
        for row in rows:
            key = record_key(row)
            if key is not None:
                wanted[key[0]].add(key[1])
                by_record[key].append(row)
        told: list[str] = []
        lines: list[dict[str, object]] = []
        places: dict[UUID, int] = {}
        zones = {DEFAULT_TIME_ZONE}
        for part, offsets in worker.parts_of(wanted):
            where = (part.topic, part.topic_incarnation, part.kafka_partition)
            schemas = self._records(part, offsets, lines)
            for row in (one for offset in offsets for one in by_record[where, offset]):
                rules = known.of(part, factor_release=row.factor_release)
                register, policy = rules.register, rules.policy
                kept = restated.get(row.entry_id)
                if kept is not None:
                    register = known.register(kept.reference_known_at)
                    policy = policy_of(rules, kept)
                zones |= {one.time_zone for one in register.records if isinstance(one, Site)}
                terms = terms_text(
                    PartTerms(
                        stream=part.stream,
                        topic=part.topic,
                        topic_incarnation=part.topic_incarnation,
                        kafka_partition=part.kafka_partition,
                        start_offset=part.start_offset,
                        end_offset=part.end_offset,
                        batch_id=part.batch_id,
                        attempt=part.attempt,
                        recorded_at=part.recorded_at,
                        factor_release=self._release(row.factor_release),
                        code_version=part.code_version,
                        default_organization=rules.default_organization,
                        gwp_set=policy.gwp_set,
                        max_vintage_gap_years=policy.max_vintage_gap_years,
                        reference_sha256=self._reference(register),
                        schemas=schemas,
                    )
                )
                if terms not in told:
                    told.append(terms)
                places[row.entry_id] = told.index(terms)
        _write_lines(self.folder / RECORDS, lines)
        text = json.dumps([json.loads(one) for one in told], indent=1, ensure_ascii=False)
        (self.folder / PARTS).write_text(text + "\n", "utf-8")
        for zone in sorted(zones):
            place = self.folder / ZONES / zone
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(_zone(zone))
        self.records = len(lines)
        return places

    def _records(
        self, part: PostedPart, offsets: Sequence[int], lines: list[dict[str, object]]
    ) -> dict[int, str]:
        """Adds the records of a part to `lines`; the hashes (hex) of their schemas by id."""
        schemas = SchemasOf(self.connection, terms_in(self.archive_url, part))
        met: dict[int, str] = {}
        for offset, value in _values(self.archive_url, part, offsets):
            schema_id = frame_schema_id(value)
            if schema_id not in met:
                schema = schemas(schema_id)
                met[schema_id] = schema.sha256.hex()
                file = self.folder / "schemas" / f"{met[schema_id]}.avsc"
                file.write_bytes(schema.text.encode())
            lines.append(
                {
                    "topic": part.topic,
                    "topic_incarnation": part.topic_incarnation,
                    "kafka_partition": part.kafka_partition,
                    "kafka_offset": offset,
                    "archive_object": part.archive_object,
                    "value": None if value is None else base64.b64encode(value).decode(),
                }
            )
        return met

    def _release(self, release_id: str) -> str:
        file = self.folder / "releases" / f"{release_id}.json.gz"
        if not file.exists():
            text = release_text(read_release(self.connection, release_id))
            file.write_bytes(gzip.compress(text.encode(), mtime=0))
        return release_id

    def _reference(self, register: Register) -> str | None:
        if not register.records:
            return None
        if id(register) not in self._hashes:
            content = reference_text(register.records).encode()
            sha256 = hashlib.sha256(content).hexdigest()
            (self.folder / "reference" / f"{sha256}.json").write_bytes(content)
            self._hashes[id(register)] = (register, sha256)
        return self._hashes[id(register)][1]

    @cached_property
    def _hashes(self) -> dict[int, tuple[Register, str]]:
        return {}


def _values(
    archive_url: str, part: PostedPart, offsets: Sequence[int]
) -> list[tuple[int, bytes | None]]:
    wanted = pa.array(offsets, pa.int64())
    found: list[tuple[int, bytes | None]] = []
    for batch in read(archive_url, archived_object(part)):
        chosen = batch.filter(pc.is_in(batch.column("offset"), value_set=wanted))
        found += zip(
            chosen.column("offset").to_pylist(), chosen.column("value").to_pylist(), strict=True
        )
    return found


def _zone(name: str) -> bytes:
    """The calendar's own file, from wherever Python finds it."""
    for folder in zoneinfo.TZPATH:
        file = Path(folder) / name
        if file.is_file():
            return file.read_bytes()
    try:
        return resources.files("tzdata.zoneinfo").joinpath(*name.split("/")).read_bytes()
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise BrokenInvariant("zone_missing", f"no calendar {name} on this machine") from error


def _write_lines(file: Path, values: Sequence[object]) -> None:
    text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in values)
    file.write_text(text, "utf-8")


def _write_sums(folder: Path) -> None:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(folder).as_posix()}\n"
        for file in files
    ]
    (folder / SUMS).write_text("".join(lines), "utf-8")
