"""Replaying a CSV file: its readings to Kafka, its bad rows to a file beside it.

Belongs here: the order of things while a file is replayed, and the account at its end. Does not:
what rows mean (csv_replay), what a person sees (cli).
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TextIO, TypeVar

from carbon_ledger.errors import ConfigurationError
from pipeline.producers import CarbonEventProducer
from pipeline.sources.csv_mapping import CsvMapping
from pipeline.sources.csv_replay import (
    BadRow,
    Coverage,
    CoverageReport,
    CsvReadings,
    FileForm,
    open_csv,
)
from pipeline.sources.pacing import Pacer

TOPIC: Final = "raw.iot.energy"
BAD_SHOWN: Final = 20
Item = TypeVar("Item")
REJECTED_COLUMNS: Final = ("rejected_line", "rejected_column", "rejected_code", "rejected_reason")


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayReport:
    """The account of one replay: a row is a reading or bad; a reading sent was delivered."""

    rows: int
    sent: int
    delivered: int
    bad: int
    bad_by_code: dict[str, int]
    first_bad: tuple[BadRow, ...]
    rounded: int
    coverage: CoverageReport
    rejected_path: Path | None


@dataclass(kw_only=True)
class RejectedFile:
    """Bad rows with their own columns and why, in the file's own format, so that repaired rows can
    be replayed by the same mapping; made when the first one comes."""

    path: Path
    mapping: FileForm
    header: tuple[str, ...]
    count: int = 0
    _file: TextIO | None = field(default=None, repr=False)
    _writer: Any = field(default=None, repr=False)

    def __enter__(self) -> Self:
        return self

    def add(self, row: BadRow) -> None:
        """Appends one row."""
        if self._file is None:
            self._open()
        # Cells and reasons stay aligned with the header even where a row was too short.
        cells = list(row.cells) + [""] * (len(self.header) - len(row.cells))
        self._writer.writerow([*cells, row.line, row.column, row.code, row.reason])
        self.count += 1

    def _open(self) -> None:
        try:
            self._file = self.path.open(
                "w", encoding=self.mapping.encoding, errors="surrogateescape", newline=""
            )
        except OSError as error:
            raise ConfigurationError(
                "rejected_file", f"bad rows cannot be written to {self.path}: {error}"
            ) from error
        self._writer = csv.writer(
            self._file, delimiter=self.mapping.delimiter, quotechar=self.mapping.quote
        )
        self._writer.writerow([*self.header, *REJECTED_COLUMNS])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()


@dataclass(kw_only=True)
class RowAccount:
    """What became of the rows of a file so far; a row is sent or bad, or merely looked at."""

    rows: int = 0
    sent: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    first_bad: list[BadRow] = field(default_factory=list)

    def take(
        self,
        items: Iterable[Item | BadRow],
        *,
        look: Callable[[Item], None],
        send: Callable[[Item], None] | None,
        set_aside: Callable[[BadRow], None],
        limit: int | None,
        per_second: float | None,
        progress: Callable[[int], None],
    ) -> None:
        """Takes at most `limit` rows: `look` at each good one, then `send` it, at most so many per
        second; `set_aside` the bad ones. Without `send` it only looks, at bad ones too.
        """
        pacer = Pacer(per_second=per_second)
        for item in items:
            if limit is not None and self.rows >= limit:
                break
            self.rows += 1
            if isinstance(item, BadRow):
                self.codes[item.code] += 1
                if len(self.first_bad) < BAD_SHOWN:
                    self.first_bad.append(item)
                if send is not None:
                    set_aside(item)
            else:
                look(item)
                if send is not None:
                    pacer.wait()
                    send(item)
                    self.sent += 1
            progress(self.rows)


def replay(
    path: Path,
    mapping: CsvMapping,
    producer: CarbonEventProducer | None,
    *,
    rejected_path: Path,
    limit: int | None = None,
    per_second: float | None = None,
    progress: Callable[[int], None] = lambda rows: None,
) -> ReplayReport:
    """Sends the readings of `path` and sets its bad rows aside; without a producer, only looks.

    The same file gives the same event ids every time. `limit`: rows to take. `progress` is told the
    rows done so far. Raises what the producer raises; what was sent until then is delivered.
    """
    coverage, account = Coverage(), RowAccount()
    before = 0 if producer is None else producer.delivered
    with open_csv(path, mapping) as lines:
        readings = CsvReadings(lines, mapping, datetime.now(UTC))
        rejected = RejectedFile(path=rejected_path, mapping=mapping, header=readings.header)
        with rejected:
            account.take(
                readings,
                look=lambda reading: coverage.add(reading.event),
                send=None
                if producer is None
                else lambda reading: producer.send(TOPIC, reading.event.sensor_id, reading.event),
                set_aside=rejected.add,
                limit=limit,
                per_second=per_second,
                progress=progress,
            )
    if producer is not None:
        producer.flush()
    return ReplayReport(
        rows=account.rows,
        sent=account.sent,
        delivered=0 if producer is None else producer.delivered - before,
        bad=account.codes.total(),
        bad_by_code=dict(account.codes),
        first_bad=tuple(account.first_bad),
        rounded=readings.rounded,
        coverage=coverage.report(),
        rejected_path=rejected_path if rejected.count else None,
    )
