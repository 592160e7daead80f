"""The quiet ledger beside what the oracle says: what is lost, doubled, altered, unexplained.

Belongs here: comparing, with nothing of the pipeline's own arithmetic. Does not: deciding what was
sent (tests.support.oracle), waiting for quiet.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow.parquet as pq

from tests.chaos.load import COUNTRIES, moment_of
from tests.chaos.tree import tree_root
from tests.support.oracle import FACTOR_COLUMNS, Sent, fraction_of, kgco2e, weighed
from tests.support.postgres import Connection

Figure = tuple[Fraction, Fraction, str, str]
Refused = Counter[tuple[bytes | None, bytes | None, str]]
FATES = ("ledgered", "duplicate", "dead_lettered", "quarantined")


@dataclass(kw_only=True)
class Verdict:
    """What is wrong; event ids, but for `faults`, which are sentences. Empty is the only good one.

    lost: sent and not there. doubled: there more than once. altered: there with another figure.
    unexplained: there, and never sent.
    """

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing at all is wrong."""
        return not any(vars(self).values())

    def fault(self, what: str, expected: object, found: object) -> None:
        """A fault, if what is found is not what is expected."""
        if expected != found:
            self.faults.append(f"{what}: expected {expected}, found {found}"[:600])


def event_id(record: Sent) -> str:
    """The natural key of a reading at a whole second, by its written rule."""
    return f"iot:{record.sensor_id}@{moment_of(record):%Y-%m-%dT%H:%M:%SZ}#{record.revision}"


def factors_of(conn: Connection, plant: str) -> dict[str, str]:
    """The one factor behind each country's entries, in AR6, as text."""
    rows = conn.execute(
        f"select distinct e.country_iso2, f.country_iso2, f.unit, {FACTOR_COLUMNS}"
        " from ledger.entry e join factors.factor f"
        " on f.factor_id = e.factor_id and f.version = e.factor_version"
        " where e.facility_id = %s and e.stream = 'iot_energy'",
        (plant,),
    ).fetchall()
    if any(row[0] != row[1] or row[2] != "kWh" for row in rows):
        raise AssertionError(f"factors of another country or unit: {rows}")
    factors = {row[0]: weighed(*row[3:]) for row in rows}
    if len(factors) != len(rows) or not set(factors) <= set(COUNTRIES):
        raise AssertionError(f"not one factor a country: {rows}")
    return factors


def expected_entries(standing: Iterable[Sent], factors: Mapping[str, str]) -> dict[str, Figure]:
    """The entry of each reading that stands, by event id."""
    return {
        event_id(one): (
            fraction_of(one.kwh),
            kgco2e(one.kwh, factors[one.country_iso2]),
            "kWh",
            one.country_iso2,
        )
        for one in standing
        if one.country_iso2 in factors
    }


def compare_entries(
    conn: Connection, plant: str, standing: Iterable[Sent], verdict: Verdict
) -> None:
    """Event by event: the same ones stand, each with its exact quantity and figure, once."""
    standing = list(standing)
    expected = expected_entries(standing, factors_of(conn, plant))
    verdict.lost += sorted({event_id(one) for one in standing} - set(expected))
    rows = conn.execute(
        "select event_id, quantity::text, kgco2e::text, unit, country_iso2"
        " from ledger.active_entry where facility_id = %s and stream = 'iot_energy'",
        (plant,),
    ).fetchall()
    count = Counter(row[0] for row in rows)
    found = {row[0]: (fraction_of(row[1]), fraction_of(row[2]), row[3], row[4]) for row in rows}
    verdict.lost += sorted(set(expected) - set(found))
    verdict.doubled += sorted(one for one, times in count.items() if times > 1)
    verdict.altered += sorted(
        one for one, figure in found.items() if one in expected and expected[one] != figure
    )
    verdict.unexplained += sorted(set(found) - set(expected))


def compare_lines(
    conn: Connection, plant: str, lines: int, reversals: int, kwh: Fraction, verdict: Verdict
) -> None:
    """So many lines and reversals, which add up to `kwh`; each entry is in one commit's list."""
    row: Any = conn.execute(
        "select count(*), count(*) filter (where reverses_id is not null), sum(quantity)::text"
        " from ledger.iot_energy where facility_id = %s",
        (plant,),
    ).fetchone()
    verdict.fault("lines and reversals", (lines, reversals), row[:2])
    verdict.fault("kWh in all lines", kwh, fraction_of(row[2] or "0"))
    ids = conn.execute("select entry_ids from audit.commit").fetchall()
    listed = Counter(
        row[0][start : start + 16] for row in ids for start in range(0, len(row[0]), 16)
    )
    entries = conn.execute("select entry_id from ledger.entry").fetchall()
    there = {row[0].bytes for row in entries}
    verdict.fault("entries listed by two commits", 0, sum(1 for n in listed.values() if n > 1))
    verdict.fault("entries that no commit lists", 0, len(there - set(listed)))
    verdict.fault("listed entries that are not there", 0, len(set(listed) - there))


def compare_accounts(
    conn: Connection,
    topic: str,
    begun: Mapping[int, int],
    ends: Mapping[int, int],
    fates: Counter[str],
    verdict: Verdict,
) -> None:
    """The parts cover every offset once, and their counts are those of what was sent."""
    rows = conn.execute(
        "select kafka_partition, start_offset, end_offset, records_read, ledgered, duplicate,"
        " dead_lettered, quarantined from ledger.batch_part p"
        " join manifest.stream s using (topic, topic_incarnation)"
        " where p.topic = %s order by kafka_partition, start_offset",
        (topic,),
    ).fetchall()
    position = dict.fromkeys(ends, 0)
    total: Counter[str] = Counter()
    for partition, start, end, read, *counts in rows:
        verdict.fault(f"start of the part after {partition}", position[partition], start)
        position[partition] = end
        verdict.fault(f"records of part {partition} [{start}, {end})", end - start, read)
        verdict.fault(f"fates of part {partition} [{start}, {end})", read, sum(counts))
        if end > begun[partition]:
            verdict.fault(
                f"part {partition} [{start}, {end}) is ours whole", True, start >= begun[partition]
            )
            total.update(dict(zip(FATES, counts, strict=True)))
    verdict.fault("ends of the accounts", dict(ends), position)
    verdict.fault("fates", dict(+fates), dict(+total))


def our_letters(
    conn: Connection, topic: str, begun: Mapping[int, int]
) -> list[tuple[int, int, str, str, bytes | None, bytes | None]]:
    """Partition, offset, fate, reason, key and value of the letters since `begun`."""
    rows = conn.execute(
        "select kafka_partition, kafka_offset, fate, reason_code, record_key, record_value"
        " from ledger.dead_letter d join manifest.stream s using (topic, topic_incarnation)"
        " where d.topic = %s",
        (topic,),
    ).fetchall()
    return [row for row in rows if row[1] >= begun[row[0]]]  # type: ignore[misc]


def compare_letters(
    conn: Connection,
    topic: str,
    begun: Mapping[int, int],
    refused: Refused,
    fates: Counter[str],
    verdict: Verdict,
) -> None:
    """Exactly the records made malformed are refused, each for its reason, with its bytes."""
    ours = our_letters(conn, topic, begun)
    found = Counter(
        (key, value, code) for _, _, fate, code, key, value in ours if fate == "dead_lettered"
    )
    verdict.fault("refused records that were not", {}, dict(found - refused))
    verdict.fault("records that should have been refused", {}, dict(refused - found))
    conflicts = Counter(row[3] for row in ours if row[2] == "quarantined")
    verdict.fault(
        "quarantined",
        {"identity_conflict": fates["quarantined"]} if fates["quarantined"] else {},
        dict(conflicts),
    )


def compare_windows(conn: Connection, plant: str, standing: list[Sent], verdict: Verdict) -> None:
    """The daily windows are the sum of what stands."""
    expected = expected_entries(standing, factors_of(conn, plant)).values()
    row: Any = conn.execute(
        "select coalesce(sum(quantity), 0)::text, coalesce(sum(kgco2e), 0)::text,"
        " coalesce(sum(entries), 0) from windows.daily"
        " where facility_id = %s and scope = 2 and basis = 'location'",
        (plant,),
    ).fetchone()
    kwh = sum((figure[0] for figure in expected), Fraction(0))
    kilograms = sum((figure[1] for figure in expected), Fraction(0))
    verdict.fault(
        "daily windows",
        (kwh, kilograms, len(standing)),
        (Fraction(row[0]), Fraction(row[1]), int(row[2])),
    )


def compare_heads(conn: Connection, folder: Path, verdict: Verdict) -> None:
    """Every commit is sealed once; heads are trees of what was sealed, and are outside as signed.

    Of many heads the first, the last and those at eighths of the way are recomputed.
    """
    rows = conn.execute(
        "select c.content_sha256s, s.commit_id from audit.commit c"
        " left join audit.seal_commit s using (commit_id) order by s.seal_no, s.position"
    ).fetchall()
    verdict.fault("commits that are not sealed", 0, sum(1 for row in rows if row[1] is None))
    leaves = [row[0][at : at + 32] for row in rows for at in range(0, len(row[0]), 32)]
    heads = conn.execute("select tree_size, root, note from audit.head order by 1").fetchall()
    verdict.fault("size of the last head", [len(leaves)], [size for size, _, _ in heads[-1:]])
    chosen = sorted({eighth * (len(heads) - 1) // 8 for eighth in range(9)}) if heads else []
    for size, root, _ in (heads[place] for place in chosen):
        verdict.fault(f"root of {size} leaves", tree_root(leaves[:size]), root)
    outside = {path.name: path.read_text() for path in folder.glob("*.note") if path.stem.isdigit()}
    noted = {f"{size}.note": note for size, _, note in heads}
    verdict.fault("heads that are not outside", [], sorted(set(noted) - set(outside)))
    verdict.fault(
        "heads outside that are none of ours",
        [],
        sorted(name for name, note in outside.items() if noted.get(name) != note),
    )


def compare_archive(
    conn: Connection, topic: str, begun: Mapping[int, int], archive_url: str, verdict: Verdict
) -> None:
    """Every part's object is there, has its hash, and holds each of its offsets once."""
    root = Path(unquote(urlsplit(archive_url).path))
    rows = conn.execute(
        "select kafka_partition, start_offset, end_offset, archive_object, archive_sha256"
        " from ledger.batch_part where topic = %s",
        (topic,),
    ).fetchall()
    for partition, start, end, name, sha256 in rows:
        if end <= begun[partition]:
            continue
        path = root / name
        if not path.is_file():
            verdict.faults.append(f"{name} of part {partition} [{start}, {end}) is not archived")
            continue
        verdict.fault(f"hash of {name}", sha256, hashlib.sha256(path.read_bytes()).digest())
        offsets = pq.read_table(path, columns=["offset"]).column("offset").to_pylist()
        verdict.fault(f"offsets in {name}", list(range(start, end)), sorted(offsets))
