"""Replaying a file of shipments: legs to Kafka, rows that are none to a file and the dead letters.

Belongs here: the order of things while such a file is replayed, and the account at its end. Does
not: what rows mean (shipment_rows), what a person sees (cli).
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from pathlib import Path
from typing import Final

from carbon_ledger.errors import ConfigurationError
from pipeline.edge_letters import EdgeLetter, send_edge_letter
from pipeline.producers import CarbonEventProducer
from pipeline.sources.csv_replay import BadRow
from pipeline.sources.pacing import Pacer
from pipeline.sources.replay import BAD_SHOWN, RejectedFile
from pipeline.sources.shipment_rows import STREAM, ShipmentMapping, ShipmentRows

TOPIC: Final = "raw.logistics"
# Wide enough for a sum of as many masses as a file can hold; a lost digit would raise.
SUM: Final = Context(prec=76, traps=[Inexact, InvalidOperation, Overflow])


@dataclass(frozen=True, kw_only=True, slots=True)
class ShipmentReport:
    """The account of one replay: a row is a leg or bad; what was sent was delivered.

    `dead_letters`: bad rows now in dlq.failed_events. `assumed`: by field, how many legs have an
    assumption there.
    """

    rows: int
    sent: int
    delivered: int
    dead_letters: int
    bad: int
    bad_by_code: dict[str, int]
    first_bad: tuple[BadRow, ...]
    total_kg: Decimal
    assumed: dict[str, int]
    first: datetime | None
    end: datetime | None
    rejected_path: Path | None


def replay_shipments(
    path: Path,
    mapping: ShipmentMapping,
    producer: CarbonEventProducer | None,
    *,
    rejected_path: Path,
    limit: int | None = None,
    per_second: float | None = None,
    progress: Callable[[int], None] = lambda rows: None,
) -> ShipmentReport:
    """Sends the legs of `path`, and each row that is none as a dead letter with its reason.

    Without a producer it only looks. The same file gives the same event ids and letters every time.
    """
    pacer = Pacer(per_second=per_second)
    codes: Counter[str] = Counter()
    assumed: Counter[str] = Counter()
    shown: list[BadRow] = []
    rows = sent = letters = 0
    total, first, end = Decimal(0), None, None
    before = 0 if producer is None else producer.delivered
    digest = _sha256(path)
    with path.open(encoding=mapping.encoding, errors="surrogateescape", newline="") as lines:
        reader = ShipmentRows(lines, mapping, datetime.now(UTC))
        rejected = RejectedFile(path=rejected_path, mapping=mapping, header=reader.header)
        with rejected:
            for item in reader:
                if limit is not None and rows >= limit:
                    break
                rows += 1
                if isinstance(item, BadRow):
                    codes[item.code] += 1
                    shown.extend([item] if len(shown) < BAD_SHOWN else [])
                    if producer is not None:
                        rejected.add(item)
                        send_edge_letter(producer, letter_of(item, path.name, digest, mapping))
                        letters += 1
                else:
                    event = item.event
                    total = SUM.add(total, event.mass_kg or Decimal(0))
                    assumed.update(event.assumed)
                    first = event.timestamp if first is None else min(first, event.timestamp)
                    end = event.occurred_to if end is None else max(end, event.occurred_to)
                    if producer is not None:
                        pacer.wait()
                        producer.send(TOPIC, event.shipment_id, event)
                        sent += 1
                progress(rows)
    if producer is not None:
        producer.flush()
    return ShipmentReport(
        rows=rows,
        sent=sent,
        delivered=0 if producer is None else producer.delivered - before - letters,
        dead_letters=letters,
        bad=codes.total(),
        bad_by_code=dict(codes),
        first_bad=tuple(shown),
        total_kg=total,
        assumed=dict(assumed),
        first=first,
        end=end,
        rejected_path=rejected_path if rejected.count else None,
    )


def letter_of(row: BadRow, name: str, digest: str, mapping: ShipmentMapping) -> EdgeLetter:
    """The dead letter of a row: its cells as the file had them, where it stands, why it is none."""
    text = io.StringIO()
    csv.writer(
        text, delimiter=mapping.delimiter, quotechar=mapping.quote, lineterminator=""
    ).writerow(row.cells)
    return EdgeLetter(
        source=f"replay:{name}",
        coordinates=f"sha256 {digest} line {row.line}",
        payload=text.getvalue().encode(mapping.encoding.removesuffix("-sig"), "surrogateescape"),
        reason_code=row.code,
        reason=row.reason,
        stream=STREAM,
        field=row.column or None,
        value=row.value or None,
        content_type="text/csv",
    )


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigurationError("file_unreadable", f"{path} cannot be read: {error}") from error
