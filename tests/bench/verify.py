"""`carbon verify` over a ledger of a million entries, against a plain COPY of the same table.

Alone: `python -m tests.bench.verify [--entries N]`, on the PostgreSQL that the settings name.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from carbon_ledger.entries import CANONICAL, PREIMAGE_VERSION, content_sha256
from carbon_ledger.notes import Signer
from carbon_ledger.store.commits import PartCoordinates, insert_commit
from carbon_ledger.store.entry_sums import sum_entries
from carbon_ledger.store.factors import store_release
from carbon_ledger.store.rows import entries_of_event
from carbon_ledger.store.seals import seal_pending
from factor_seeds.load import release
from tests.support.postgres import LedgerDatabase, reading, scratch_database

STEP = 50_000
TOPIC = "raw.iot.energy"
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
BEGIN_MICROSECONDS = 1_704_067_200_000_000
MINUTE = 60_000_000
SENSORS = 200


def run(url_of: Callable[[str, str], str], entries: int) -> dict[str, Any]:
    """Entries/s of a whole verification, and as a share of what COPY alone does just before and
    after.
    """
    from verifier.verify import verify

    with scratch_database(url_of) as database:
        fill(database, entries)
        before = copy_alone(database)
        begun = time.perf_counter()
        report = verify(database.verifier_url)
        seconds = time.perf_counter() - begun
        after = copy_alone(database)
    everything = (report.looked_at["entries"], report.unsealed_entries)
    if not report.is_clean or everything != (entries, 0):
        raise RuntimeError("\n".join(report.lines()[:20]))
    rate, plain = entries / seconds, 2 * entries / (before + after)
    return {
        "entries": entries,
        "seconds": round(seconds, 2),
        "entries_per_second": round(rate),
        "copy_alone_entries_per_second": round(plain),
        "ratio_to_copy_alone": round(rate / plain, 2),
        "seals": report.looked_at["seals"],
        "spent": {name: round(value, 2) for name, value in report.seconds.items()},
    }


def table(figures: dict[str, Any]) -> list[str]:
    """The same for people."""
    rate, plain = figures["entries_per_second"], figures["copy_alone_entries_per_second"]
    return [
        f"carbon verify ({figures['entries']:,} entries)",
        f"{'  everything, entries/s':34}{rate:>12,}",
        f"{'  COPY alone, entries/s':34}{plain:>12,}{figures['ratio_to_copy_alone']:>8}",
    ]


def copy_alone(database: LedgerDatabase) -> float:
    """Seconds of `copy ledger.entry to stdout`, whose bytes are thrown away."""
    with closing(database.verifier()) as conn, conn.cursor() as cursor:
        begun = time.perf_counter()
        with cursor.copy("copy (select * from ledger.entry) to stdout") as copy:
            while copy.read():
                pass
        return time.perf_counter() - begun


def fill(database: LedgerDatabase, entries: int) -> None:
    """A sealed ledger of parts of STEP entries each, with hashes, events, windows, sums and
    accounts.
    """
    with closing(database.writer()) as conn:
        store_release(conn, release())
        conn.commit()
        for first in range(0, entries, STEP):
            last = min(first + STEP, entries)
            for month in {moment(first), moment(last - 1)}:
                conn.execute("select ledger.ensure_month(%s)", (month.date(),))
            conn.commit()
            fill_part(conn, 1 + first // STEP, first, last)
            conn.commit()
        (event_id,) = conn.execute(
            "select event_id from ledger.entry order by event_id limit 1"
        ).fetchone()
        (row,) = entries_of_event(conn, event_id)
        if content_sha256(row) != row.content_sha256:
            raise RuntimeError("the benchmark spells entries otherwise than the ledger")
    signer = Signer(name="bench", private_key=Ed25519PrivateKey.generate())
    with closing(database.sealer()) as conn:
        while seal_pending(conn, signer, "bench"):
            pass
    with closing(database.writer(autocommit=True)) as conn:
        sum_entries(conn, 3_600)
    with closing(database.admin()) as conn:
        conn.execute("vacuum analyze")


def moment(number: int) -> datetime:
    """When reading `number` began."""
    return BEGIN + timedelta(minutes=number // SENSORS)


def fill_part(conn: Any, batch_id: int, first: int, last: int) -> None:
    """One part, in one transaction."""
    (recorded_at,) = conn.execute("select ledger.begin_writing()").fetchone()
    lines, identities, ids, hashes = [], [], [], []
    for line, identity, entry_id, digest in spelled(batch_id, first, last, recorded_at):
        lines.append(line)
        identities.append(identity)
        ids.append(entry_id)
        hashes.append(digest)
    names = [name for name, _ in CANONICAL]
    with conn.cursor() as cursor:
        columns = ", ".join((*names, "content_sha256", "batch_id"))
        with cursor.copy(f"copy ledger.entry ({columns}) from stdin") as copy:
            copy.write("".join(lines))
        columns = "event_id, payload_sha256, entry_month, entry_id"
        with cursor.copy(f"copy ledger.event_identity ({columns}) from stdin") as copy:
            copy.write("".join(identities))
    conn.execute(
        """insert into windows.five_minute_delta (organization_id, facility_id, country_iso2,
               window_start, local_date, scope, category, basis, activity_type, unit, quantity,
               kgco2e, entries, lines, batch_id, recorded_at)
           select organization_id, facility_id, country_iso2,
               date_bin('5 minutes', occurred_from, timestamptz '2000-01-01 00:00:00Z') as start,
               local_date, scope, category, basis, activity_type, unit, sum(quantity),
               sum(kgco2e), count(*), count(*), batch_id, min(recorded_at)
           from ledger.entry where batch_id = %s and activity_month between %s and %s
           group by organization_id, facility_id, country_iso2, start, local_date, scope, category,
               basis, activity_type, unit, batch_id""",
        (batch_id, moment(first).date().replace(day=1), moment(last).date()),
    )
    insert_commit(
        conn,
        kind="part",
        recorded_at=recorded_at,
        entry_ids=ids,
        content_sha256s=hashes,
        part=PartCoordinates(
            batch_id=batch_id,
            topic=TOPIC,
            topic_incarnation=0,
            kafka_partition=0,
            start_offset=first,
        ),
    )
    conn.execute(
        """insert into ledger.batch_part (batch_id, attempt, stream, topic, kafka_partition,
               start_offset, end_offset, records_read, ledgered, duplicate, dead_lettered,
               quarantined, offsets_without_record, lines, archive_object, archive_sha256,
               archive_bytes, factor_release, code_version, recorded_at)
           values (%(batch)s, 1, 'iot_energy', %(topic)s, 0, %(first)s, %(last)s, %(count)s,
               %(count)s, 0, 0, 0, 0, %(count)s, 'none', '', 0, 'bench', 'bench', %(at)s)""",
        {
            "batch": batch_id,
            "topic": TOPIC,
            "first": first,
            "last": last,
            "count": last - first,
            "at": recorded_at,
        },
    )


def spelled(
    batch_id: int, first: int, last: int, recorded_at: datetime
) -> Iterator[tuple[str, str, bytes, bytes]]:
    """Lines for COPY of entries and of identities, ids and hashes, of readings from `first` on."""
    row = reading(0, topic=TOPIC, topic_incarnation=0, kafka_partition=0, kafka_offset=0)
    recorded = int((recorded_at - BEGIN) / timedelta(microseconds=1)) + BEGIN_MICROSECONDS
    constant = {name: getattr(row, name) for name, _ in CANONICAL}
    constant.update(
        {
            "method": "measured",
            "rule_id": "S2-PURCHASED-ENERGY",
            "supersession_rank": 0,
            "primary_share": 1,
            "activity_scores": "1,1,1,1,2",
            "factor_scores": "2,1,1,2,2",
            "kgco2e": "4.250000000000",
            "schema_sha256": bytes(row.schema_sha256).hex(),
        }
    )
    schema = constant["schema_sha256"]
    for number in range(first, last):
        at = moment(number)
        since = BEGIN_MICROSECONDS + number // SENSORS * MINUTE
        ref = f"iot:BENCH-{number % SENSORS:05d}@{at:%Y-%m-%dT%H:%M:%SZ}"
        payload = hashlib.sha256(ref.encode()).hexdigest()
        key = f"{(since + MINUTE) // 1000:012x}8{payload[:3]}9{payload[3:18]}"
        entry_id = "-".join((key[:8], key[8:12], key[12:16], key[16:20], key[20:]))
        month, day = f"{at:%Y-%m-01}", f"{at:%Y-%m-%d}"
        own = {
            "entry_id": entry_id,
            "event_id": f"{ref}#0",
            "activity_ref": ref,
            "claim_key": f"{ref}|scope-2|-|location",
            "activity_month": month,
            "local_date": day,
            "occurred_from": since,
            "occurred_to": since + MINUTE,
            "recorded_at": recorded,
            "facility_id": f"PLANT-{number % SENSORS // 10}",
            "source_ref": f"BENCH-{number % SENSORS:05d}",
            "quantity": f"{12 + number % 7}.5",
            "payload_sha256": payload,
            "kafka_offset": number,
        }
        fields = {**constant, **own}
        texts = ["\0" if value is None else str(value) for value in fields.values()]
        digest = hashlib.sha256("\x1f".join((PREIMAGE_VERSION, *texts)).encode()).digest()
        fields["occurred_from"], fields["occurred_to"] = at, at + timedelta(minutes=1)
        fields["recorded_at"] = recorded_at
        fields["payload_sha256"], fields["schema_sha256"] = f"\\\\x{payload}", f"\\\\x{schema}"
        values = ["\\N" if value is None else str(value) for value in fields.values()]
        line = "\t".join((*values, f"\\\\x{digest.hex()}", str(batch_id))) + "\n"
        identity = f"{ref}#0\t\\\\x{payload}\t{month}\t{entry_id}\n"
        yield line, identity, bytes.fromhex(key), digest


def main() -> None:
    """Runs it against the embedded PostgreSQL of the environment's stack."""
    from carbon_ledger.settings import load
    from devstack.layout import Layout

    parser = argparse.ArgumentParser(prog="python -m tests.bench.verify", description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    options = parser.parse_args()
    figures = run(Layout.of(load()).database_url, options.entries)
    print(json.dumps(figures, indent=2))  # noqa: T201


if __name__ == "__main__":
    main()
