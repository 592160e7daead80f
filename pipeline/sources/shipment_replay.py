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
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from pathlib import Path
from typing import Final

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.transport.shipment_events import ShipmentEvent
from pipeline.edge_letters import EdgeLetter, send_edge_letter
from pipeline.producers import CarbonEventProducer
from pipeline.sources.csv_replay import BadRow
from pipeline.sources.replay import RejectedFile, RowAccount
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


@dataclass(kw_only=True)
class Legs:
    """What the legs of a file are together: exact mass, assumptions by field, the UTC borders."""

    total_kg: Decimal = Decimal(0)
    assumed: Counter[str] = field(default_factory=Counter)
    first: datetime | None = None
    end: datetime | None = None

    def add(self, event: ShipmentEvent) -> None:
        """Counts one leg."""
        self.total_kg = SUM.add(self.total_kg, event.mass_kg or Decimal(0))
        self.assumed.update(event.assumed)
        begin, end = event.timestamp, event.occurred_to
        self.first = begin if self.first is None else min(self.first, begin)
        self.end = end if self.end is None else max(self.end, end)


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
    account, legs = RowAccount(), Legs()
    before = 0 if producer is None else producer.delivered
    digest = _sha256(path)
    with path.open(encoding=mapping.encoding, errors="surrogateescape", newline="") as lines:
        reader = ShipmentRows(lines, mapping, datetime.now(UTC))
        rejected = RejectedFile(path=rejected_path, mapping=mapping, header=reader.header)

        def set_aside(row: BadRow) -> None:
            rejected.add(row)
            if producer is not None:
                send_edge_letter(producer, letter_of(row, path.name, digest, mapping))

        with rejected:
            account.take(
                reader,
                look=lambda shipment: legs.add(shipment.event),
                send=None
                if producer is None
                else lambda shipment: producer.send(
                    TOPIC, shipment.event.shipment_id, shipment.event
                ),
                set_aside=set_aside,
                limit=limit,
                per_second=per_second,
                progress=progress,
            )
    if producer is not None:
        producer.flush()
    bad = account.codes.total()
    letters = 0 if producer is None else bad
    return ShipmentReport(
        rows=account.rows,
        sent=account.sent,
        delivered=0 if producer is None else producer.delivered - before - letters,
        dead_letters=letters,
        bad=bad,
        bad_by_code=dict(account.codes),
        first_bad=tuple(account.first_bad),
        total_kg=legs.total_kg,
        assumed=dict(legs.assumed),
        first=legs.first,
        end=legs.end,
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
