"""A ledger posted, corrected and sealed through the store: what the verifier's tests change."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from carbon_ledger.entries import EntryRow, sealed
from carbon_ledger.notes import Signer
from carbon_ledger.settings import PROJECT_ROOT
from carbon_ledger.store.correct import post_correction
from carbon_ledger.store.rows import ensure_month, insert_entries, insert_identity
from carbon_ledger.store.seals import seal_pending
from carbon_ledger.store.windows import deltas_of, insert_deltas
from tests.support.entry_examples import examples
from tests.support.postgres import Connection, LedgerDatabase, Part, claim, reading
from tests.support.sealing_examples import list_part

ORIGIN = "carbon-ledger"
PARTITIONS = 2
PER_PART = 100
CORRECTIONS = 20


def new_signer() -> Signer:
    """A signer with a key that nobody else has."""
    return Signer(name=ORIGIN, private_key=Ed25519PrivateKey.generate())


def post_part(conn: Connection, part: Part, rows: Sequence[EntryRow]) -> list[EntryRow]:
    """Posts `rows` as the lines of `part`, one record each, in one transaction; as they are then.

    Their months exist, and so do none of their events.
    """
    with conn.transaction():
        opened = part.open(conn)
        posted = [
            sealed(
                replace(
                    row,
                    recorded_at=opened["recorded_at"],
                    batch_id=part.batch_id,
                    topic=part.topic,
                    topic_incarnation=opened["topic_incarnation"],
                    kafka_partition=part.kafka_partition,
                    kafka_offset=part.start_offset + number,
                )
            )
            for number, row in enumerate(rows)
        ]
        for row in posted:
            insert_identity(conn, row)
        insert_entries(conn, posted)
        insert_deltas(
            conn, deltas_of(posted, recorded_at=opened["recorded_at"], batch_id=part.batch_id)
        )
        list_part(conn, part, opened, posted)
        part.account(conn, recorded_at=opened["recorded_at"])
        part.close(conn)
    return posted


def with_payloads(rows: Sequence[EntryRow]) -> list[EntryRow]:
    """The same with a payload hash each of its own; the examples' may be that of no payload."""
    return [
        replace(row, payload_sha256=hashlib.sha256(row.event_id.encode()).digest()) for row in rows
    ]


def correct(conn: Connection, row: EntryRow, number: int) -> None:
    """Corrects `row`, or takes it back for good if `number` is odd."""
    post_correction(
        conn,
        activity_month=row.activity_month,
        entry_id=row.entry_id,
        replacement=None if number % 2 else replace(row, quantity=Decimal(number)),
        cause=f"correction {number}",
    )


def fill(database: LedgerDatabase, signer: Signer, parts: int = 20) -> list[str]:
    """Posts `parts` parts of PER_PART entries, two to a batch, and corrections; seals them all.

    The first part has entries of every shape. Returns the heads, oldest first.
    """
    shapes = [row for row in examples().values() if not row.is_reversal]
    with database.writer(autocommit=True) as conn, database.sealer() as sealer:
        for month in {row.activity_month for row in shapes} | {date(2024, 3, 1)}:
            ensure_month(conn, month)
        for number in range(parts // PARTITIONS):
            begin = number * PER_PART
            ranges = dict.fromkeys(range(PARTITIONS), (begin, begin + PER_PART))
            for part in claim(conn, ranges):
                first = 10_000 + (PARTITIONS * number + part.kafka_partition) * PER_PART
                rows = [reading(first + at, source_ref="m") for at in range(PER_PART)]
                if number == 0 and part.kafka_partition == 0:
                    rows[: len(shapes)] = shapes
                posted = post_part(conn, part, with_payloads(rows))
                for turn in range(CORRECTIONS * PARTITIONS // parts):
                    correct(conn, posted[turn], turn + part.kafka_partition)
            seal_pending(sealer, signer, ORIGIN)
        rows = sealer.execute("select note from audit.head order by tree_size").fetchall()
    return [note for (note,) in rows]


def carbon(database: LedgerDatabase, *words: str) -> subprocess.CompletedProcess[str]:
    """The command `carbon` in a process of its own, which meets the database as the verifier."""
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *words],
        cwd=PROJECT_ROOT,
        env={**os.environ, "CARBON_DATABASE_VERIFIER_URL": database.verifier_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
