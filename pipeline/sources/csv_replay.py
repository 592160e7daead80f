"""From the rows of a CSV file to meter readings, or to a named reason per row why not.

Belongs here: reading rows with their line numbers, numbers and units, local stamps and their edges
(interval ends, midnight, clock changes), whether the intervals tile. Does not: what the file means
(pipeline.sources.csv_mapping), sending (pipeline.sources.replay).
"""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation, Overflow
from itertools import pairwise
from pathlib import Path
from typing import Final, Protocol, TextIO

from carbon_ledger.errors import ConfigurationError, RejectedRecord
from carbon_ledger.events import FRACTION_DIGITS_MAX, IoTEnergyEvent, iso_utc
from carbon_ledger.quantities import decimal_from
from carbon_ledger.units import convert
from pipeline.sources.csv_mapping import INTEGER_FIELDS, CsvMapping

DAY: Final = timedelta(days=1)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
FIELD_CHARACTERS_MAX: Final = 131_072
# kWh of a unit built on joules need not terminate: 1 GJ is 2500/9 kWh.
CONVERTED_QUANTUM: Final = Decimal(1).scaleb(-FRACTION_DIGITS_MAX)
# Wide enough for a sum of as many quantities as a file can hold; a lost digit would raise.
SUM: Final = Context(prec=76, traps=[Inexact, InvalidOperation, Overflow])
CONVERTED: Final = Context(prec=76, rounding=ROUND_HALF_EVEN)
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A row that gave an event. `line` is its first line in the file, counted from 1."""

    line: int
    event: IoTEnergyEvent


@dataclass(frozen=True, kw_only=True, slots=True)
class BadRow:
    """A row that gave none: where, which value, why (stable code and sentence), and its cells."""

    line: int
    column: str
    value: str
    code: str
    reason: str
    cells: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    line: int
    cells: Mapping[str, str]


class Refused(Exception):
    """One row's reason, on its way to becoming a BadRow."""

    def __init__(self, code: str, reason: str, column: str = "", value: str = "") -> None:
        super().__init__(reason)
        self.code, self.reason, self.column, self.value = code, reason, column, value


def open_csv(path: Path, mapping: CsvMapping) -> TextIO:
    """The file as text; bytes that are no text survive as marks that refuse their row alone."""
    try:
        return path.open(encoding=mapping.encoding, errors="surrogateescape", newline="")
    except OSError as error:
        raise ConfigurationError("file_unreadable", f"{path} cannot be read: {error}") from error


class FileForm(Protocol):
    """How a file is written, as its mapping says."""

    @property
    def delimiter(self) -> str: ...

    @property
    def encoding(self) -> str: ...

    @property
    def quote(self) -> str: ...


class FileRows:
    """The rows of a CSV file after its header, in its order: iterate for the line each begins in,
    counted from 1, and its cells, or the csv.Error why it cannot be read. Blank lines are no rows.

    Raises ConfigurationError `csv_header` on construction if the header cannot be read.
    """

    def __init__(self, lines: Iterable[str], form: FileForm) -> None:
        csv.field_size_limit(FIELD_CHARACTERS_MAX)
        self._reader = csv.reader(
            lines, delimiter=form.delimiter, quotechar=form.quote, strict=True
        )
        try:
            self.header = tuple(next(self._reader, []))
        except csv.Error as error:
            raise ConfigurationError("csv_header", f"the header cannot be read: {error}") from error

    @property
    def line(self) -> int:
        """The last line that was read."""
        return self._reader.line_num

    def __iter__(self) -> Iterator[tuple[int, Sequence[str] | csv.Error]]:
        while True:
            line = self._reader.line_num + 1
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield line, error
            else:
                if cells:
                    yield line, cells


class CsvReadings:
    """The readings of one CSV file, in its order: iterate for Reading and BadRow, one per row.

    Pure but for the lines it is given. Raises ConfigurationError on construction if the header
    lacks a column of the mapping. Blank lines are no rows.
    """

    def __init__(self, lines: Iterable[str], mapping: CsvMapping, now: datetime) -> None:
        self._rows = FileRows(lines, mapping)
        self.header = self._rows.header
        self._mapping = mapping
        self._now = now
        self._clock = LocalClock(mapping)
        self._position = _positions(self.header, mapping)
        self.rounded = 0

    def __iter__(self) -> Iterator[Reading | BadRow]:
        for line, cells in self._rows:
            if isinstance(cells, csv.Error):
                reason = f"not a CSV row: {cells}, through line {self._rows.line}"
                yield _bad(line, (), Refused("csv_row", reason))
                continue
            try:
                yield Reading(line=line, event=self._event(cells))
            except Refused as refusal:
                yield _bad(line, cells, refusal)

    def _event(self, cells: Sequence[str]) -> IoTEnergyEvent:
        if len(cells) != len(self.header):
            raise Refused(
                "csv_row", f"has {len(cells)} cells where the header has {len(self.header)}"
            )
        values: dict[str, object] = {
            "grid_carbon_intensity_gco2_kwh": None,
            **self._mapping.constants,
        }
        for name, position in self._position.items():
            column, text = self.header[position], cells[position].strip()
            if _SURROGATE.search(text):
                shown = text.encode(errors="surrogateescape").decode(errors="backslashreplace")
                raise Refused("bad_utf8", f"not text in {self._mapping.encoding}", column, shown)
            try:
                values[name] = self._value(name, text, str(values.get("sensor_id", "")))
            except RejectedRecord as error:
                raise Refused(error.code, str(error), column, text) from error
        event = IoTEnergyEvent(**values, interval_seconds=self._mapping.interval_seconds)  # type: ignore[arg-type]
        try:
            event.check(self._now)
        except RejectedRecord as error:
            at = self._position.get(error.field or "")
            column = "" if at is None else self.header[at]
            raise Refused(error.code, str(error), column, str(error.value)) from error
        return event

    def _value(self, name: str, text: str, sensor_id: str) -> object:
        if name == "timestamp":
            return self._clock.start_of(text, sensor_id)
        if name == "energy_kwh":
            return self._energy_kwh(text)
        if name == "grid_carbon_intensity_gco2_kwh":
            return self._number(name, text) if text else None
        if name == "region":
            return text or None
        if name in INTEGER_FIELDS:
            return _integer(name, text)
        return text

    def _number(self, name: str, text: str) -> Decimal:
        if self._mapping.decimal == ",":
            if "." in text:
                raise _not_a_number(name, text, "a number with a decimal comma, such as 12,5")
            text = text.replace(",", ".")
        return decimal_from(text, field=name)

    def _energy_kwh(self, text: str) -> Decimal:
        number = self._number("energy_kwh", text)
        if self._mapping.energy_unit == "kWh":
            return number
        kwh = convert(number, self._mapping.energy_unit, "kWh")
        exponent = kwh.as_tuple().exponent
        if isinstance(exponent, int) and exponent < -FRACTION_DIGITS_MAX:
            self.rounded += 1
            kwh = kwh.quantize(CONVERTED_QUANTUM, context=CONVERTED)
        return kwh


def _bad(line: int, cells: Sequence[str], refusal: Refused) -> BadRow:
    return BadRow(
        line=line,
        column=refusal.column,
        value=refusal.value[:200],
        code=refusal.code,
        reason=refusal.reason,
        cells=tuple(cells),
    )


def _positions(header: Sequence[str], mapping: CsvMapping) -> dict[str, int]:
    """Where each mapped field is; `sensor_id` first, because stamps are told apart by sensor."""
    positions = {}
    for name, column in sorted(mapping.columns.items(), key=lambda pair: pair[0] != "sensor_id"):
        found = header.count(column)
        if found != 1:
            problem = "is not in the header" if not found else f"is in the header {found} times"
            raise ConfigurationError(
                "csv_column",
                f"column {column!r} (columns.{name}) {problem}; the header has: "
                f"{', '.join(map(repr, header))}",
            )
        positions[name] = header.index(column)
    return positions


def _not_a_number(name: str, text: str, valid: str) -> RejectedRecord:
    return RejectedRecord(
        "not_a_number", f"{text[:60]!r} is not a number", field=name, value=text, valid=valid
    )


def _integer(name: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", text):
        raise _not_a_number(name, text, "a whole number")
    return int(text)


class LocalClock:
    """From a file's stamps to the UTC start of the interval each belongs to.

    The interval's length is counted in elapsed time, so a stamp after a clock change is no longer.
    """

    def __init__(self, mapping: CsvMapping) -> None:
        self._mapping = mapping
        self._interval = timedelta(seconds=mapping.interval_seconds)
        self._seen_in_fold: set[tuple[str, datetime]] = set()

    def start_of(self, text: str, sensor_id: str) -> datetime:
        """Start of the interval stamped `text`, aware UTC.

        Raises RejectedRecord `not_a_timestamp`, `nonexistent_local_time` (skipped by a clock
        change) or `ambiguous_local_time` (repeated by one, and the mapping does not say which).
        """
        try:
            return self._start_of(self._parse(text), text, sensor_id)
        except OverflowError:
            raise self._not_a_stamp(text) from None

    def _start_of(self, stamp: datetime, text: str, sensor_id: str) -> datetime:
        if self._mapping.midnight == "same_date" and stamp.time() == datetime.min.time():
            stamp += DAY
        if stamp.tzinfo is None:
            moment = self._utc(stamp, text, sensor_id)
        else:
            moment = stamp.astimezone(UTC)
        return moment - self._interval if self._mapping.stamp == "interval_end" else moment

    def _parse(self, text: str) -> datetime:
        for form in self._mapping.formats:
            try:
                if form == "iso":
                    return datetime.fromisoformat(text)
                return datetime.strptime(text, form)  # noqa: DTZ007 - local on purpose, see _utc
            except ValueError:
                continue
        raise self._not_a_stamp(text)

    def _not_a_stamp(self, text: str) -> RejectedRecord:
        return RejectedRecord(
            "not_a_timestamp",
            f"{text[:60]!r} is not a stamp",
            field="timestamp",
            value=text,
            valid=" or ".join(self._mapping.formats),
        )

    def _utc(self, stamp: datetime, text: str, sensor_id: str) -> datetime:
        zone = self._mapping.time_zone
        first = stamp.replace(tzinfo=zone, fold=0)
        second = stamp.replace(tzinfo=zone, fold=1)
        if first.utcoffset() == second.utcoffset():
            return first.astimezone(UTC)
        if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != stamp:
            raise RejectedRecord(
                "nonexistent_local_time",
                f"{text[:60]!r} does not exist in {zone.key}: clocks skipped it",
                field="timestamp",
                value=text,
                valid="a local time outside the hour clocks skip",
            )
        return (second if self._is_second_pass(stamp, text, sensor_id) else first).astimezone(UTC)

    def _is_second_pass(self, stamp: datetime, text: str, sensor_id: str) -> bool:
        fold = self._mapping.fold
        if fold == "refuse":
            raise RejectedRecord(
                "ambiguous_local_time",
                f"{text[:60]!r} happened twice in {self._mapping.time_zone.key}",
                field="timestamp",
                value=text,
                valid="time.fold: first, second or in_order in the mapping, or stamps with offsets",
            )
        if fold != "in_order":
            return fold == "second"
        key = (sensor_id, stamp)
        is_second = key in self._seen_in_fold
        self._seen_in_fold.add(key)
        return is_second


@dataclass(kw_only=True)
class Coverage:
    """What the readings of a file cover: exact total, and whether each sensor's intervals tile."""

    readings: int = 0
    total_kwh: Decimal = Decimal(0)
    _starts: dict[str, array[int]] = field(default_factory=dict)
    _seconds: int = 0

    def add(self, event: IoTEnergyEvent) -> None:
        """Counts one reading. All readings of a file have the same interval."""
        self.readings += 1
        self.total_kwh = SUM.add(self.total_kwh, event.energy_kwh)
        self._seconds = event.interval_seconds
        starts = self._starts.setdefault(event.sensor_id, array("q"))
        starts.append((event.timestamp - EPOCH) // MICROSECOND)

    def report(self) -> CoverageReport:
        """The figures so far."""
        length = self._seconds * 1_000_000
        gaps = overlaps = repeated = missing = backwards = 0
        first, last = None, None
        for starts in self._starts.values():
            backwards += sum(later < earlier for earlier, later in pairwise(starts))
            ordered = sorted(starts)
            first = ordered[0] if first is None else min(first, ordered[0])
            last = ordered[-1] if last is None else max(last, ordered[-1])
            for earlier, later in pairwise(ordered):
                repeated += later == earlier
                overlaps += earlier < later < earlier + length
                if length and later > earlier + length:
                    gaps += 1
                    missing += later - earlier - length
        return CoverageReport(
            sensors=len(self._starts),
            readings=self.readings,
            total_kwh=self.total_kwh,
            first=None if first is None else EPOCH + timedelta(microseconds=first),
            end=None if last is None else EPOCH + timedelta(microseconds=last + length),
            gaps=gaps,
            missing_seconds=missing // 1_000_000,
            overlaps=overlaps,
            repeated=repeated,
            out_of_order=backwards,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CoverageReport:
    """`first` and `end` are the UTC borders; the other figures are summed over the sensors.

    `gaps` (with `missing_seconds` of time in them) and `overlaps` count neighbours that do not
    meet; `repeated` counts stamps that occur again, `out_of_order` rows that go back in time.
    """

    sensors: int
    readings: int
    total_kwh: Decimal
    first: datetime | None
    end: datetime | None
    gaps: int
    missing_seconds: int
    overlaps: int
    repeated: int
    out_of_order: int

    @property
    def is_tiled(self) -> bool:
        """Whether every sensor's intervals meet without gap, overlap or repetition.

        Shifting one stamp a day by a day can still tile; then it is `out_of_order` that tells.
        """
        return not (self.gaps or self.overlaps or self.repeated)

    def __str__(self) -> str:
        if self.first is None or self.end is None:
            return "no readings"
        shape = (
            "no gap, no overlap"
            if self.is_tiled
            else f"{self.gaps} gaps ({self.missing_seconds} s), {self.overlaps} overlaps, "
            f"{self.repeated} repeated"
        )
        order = f", {self.out_of_order} times out of order" if self.out_of_order else ", in order"
        return f"{iso_utc(self.first)} to {iso_utc(self.end)}, {shape}{order}"
