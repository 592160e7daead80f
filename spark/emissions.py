"""From a batch of Kafka records to lines and refusals: what Spark's Python workers compute.

Belongs here: the column-wise lane, and the hand-over to the record-wise one. Does not: the rules.
Whether a value is acceptable is asked of carbon_ledger.events, once per distinct value; which
factor applies is asked of carbon_ledger.posting, once per distinct key; whatever the column-wise
lane is not certain to accept goes to carbon_ledger.posting record by record, and only that lane
refuses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from carbon_ledger import events
from carbon_ledger.calculate import LOCATION_BASED
from carbon_ledger.entries import (
    CANONICAL,
    NULL,
    PREIMAGE_VERSION,
    SEPARATOR,
    SPELLING,
    EntryRow,
    microseconds,
    numeric_text,
)
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.places import Place, Rules, place_of, site_all_day
from carbon_ledger.posting import (
    READING_METHOD,
    READING_PRIMARY_SHARE,
    READING_RANK,
    READING_RULE,
    READING_SCORES,
    Origin,
    ReadingFactor,
    claim_key,
    flags_text,
    is_cancellation,
    lines_of_reading,
    match_reading,
    rows_of_event,
    window_series,
)
from carbon_ledger.quantities import PRODUCT
from carbon_ledger.store.append import ROW, SERIES, WINDOW, WINDOW_MICROSECONDS
from carbon_ledger.stream_events import METER_STREAM, event_of
from pipeline.serialization import widest_schema_text
from spark.columns import entry_ids, hex_texts, posted_products, sha256_of_each
from spark.decode import FRAME_BYTES, WriterSchema, decode_body, frame_schema_id

STREAM = METER_STREAM
# Certain to be accepted as it stands, and PostgreSQL's own spelling of it.
PLAIN_DECIMAL = r"^(0|[1-9][0-9]{0,17})(\.[0-9]{1,12})?$"
GRAM = Decimal("0.001")
FIRST_DAY = date(1970, 1, 1)
DAY_MICROSECONDS = 86_400 * 1_000_000
ACCEPTED_CACHE_MAX = 200_000
# A record takes up to a millisecond, on a busy machine ten.
MEANWHILE_EVERY = 250


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A record that is not ledgered: which row of its batch, its fate and the reason."""

    row: int
    fate: str
    reason: RejectedRecord
    event_id: str | None = None
    schema_id: int | None = None


@dataclass(frozen=True, kw_only=True)
class Correction:
    """An accepted event of a later revision, or a cancellation: which row, its event, the lines it
    posts.
    """

    row: int
    event_id: str
    activity_ref: str
    revision: int
    lines: tuple[EntryRow, ...]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What became of a record batch: every record is in exactly one of the three.

    `posted` has one row per first-revision line, in no particular order: the columns of the
    canonical bytes as text in their canonical spelling (null for null), content_sha256 in hex, and
    ROW, SERIES, WINDOW.
    """

    posted: pa.Table
    corrections: list[Correction]
    refusals: list[Refusal]


@dataclass(kw_only=True)
class Part:
    """One Kafka partition's part of a batch, as the lanes see it; `series` grows as windows are
    met.
    """

    rules: Rules
    stream: str = STREAM
    topic: str
    topic_incarnation: int
    kafka_partition: int
    batch_id: int
    recorded_at: datetime
    now: datetime
    current: WriterSchema | None
    reader_text: str
    writer_schema: Callable[[int], WriterSchema]
    series: dict[tuple[str | None, ...], int] = field(default_factory=dict)
    # Called every now and then while records are judged one by one.
    meanwhile: Callable[[], None] = lambda: None

    def reader_of(self, writer: WriterSchema) -> str:
        """The schema a record of `writer` is read with, one by one: the widest of the stream."""
        is_own = writer.text == self.reader_text
        return self.reader_text if is_own else widest_schema_text(self.stream)

    def series_of(self, key: tuple[str | None, ...]) -> int:
        """A small number for what posting.window_series gives."""
        return self.series.setdefault(key, len(self.series))


def judge(batch: pa.RecordBatch, part: Part) -> Judged:
    """Decodes, validates, matches and computes every record of `batch`; loses none.

    `batch` has the columns of spark.decode.spark_decoded. Raises Unavailable where a schema cannot
    be had.
    """
    certain, plain = _column_lane(batch, part)
    posted = _with_content_hash(plain)
    rows: list[EntryRow] = []
    row_numbers: list[int] = []
    corrections: list[Correction] = []
    refusals: list[Refusal] = []
    uncertain = np.flatnonzero(~certain)
    if len(uncertain):
        values = batch.column("value")
        offsets = batch.column("offset")
        for judged, number in enumerate(uncertain.tolist()):
            if judged % MEANWHILE_EVERY == 0:
                part.meanwhile()
            outcome = judge_record(number, values[number].as_py(), offsets[number].as_py(), part)
            if isinstance(outcome, Refusal):
                refusals.append(outcome)
            elif outcome.revision or is_cancellation(outcome.lines):
                corrections.append(outcome)
            else:
                rows.extend(outcome.lines)
                row_numbers.extend([number] * len(outcome.lines))
    if rows:
        slow = _with_content_hash(_spell(rows, row_numbers, part))
        posted = pa.concat_tables([posted, slow.select(posted.column_names)])
    return Judged(posted=posted, corrections=corrections, refusals=refusals)


def judge_record(number: int, value: bytes | None, offset: int, part: Part) -> Correction | Refusal:
    """The record-wise lane: the verdict on one record, by the rules themselves.

    `number` is its row, `offset` its Kafka offset.
    """
    schema_id: int | None = None
    event_id: str | None = None
    try:
        schema_id = frame_schema_id(value)
        body = (value or b"")[FRAME_BYTES:]
        writer = part.writer_schema(schema_id)
        decoded = decode_body(body, writer, part.reader_of(writer))
        event = event_of(part.stream, decoded.fields, part.now)
        event_id = event.event_id
        origin = Origin(
            topic=part.topic,
            topic_incarnation=part.topic_incarnation,
            kafka_partition=part.kafka_partition,
            kafka_offset=offset,
            batch_id=part.batch_id,
            recorded_at=part.recorded_at,
            payload_sha256=hashlib.sha256(body).digest(),
            schema_sha256=decoded.schema_sha256,
        )
        if isinstance(event, events.IoTEnergyEvent):
            lines = lines_of_reading(event, origin, part.rules)
        else:
            lines = rows_of_event(part.stream, event, origin, part.rules)
    except RejectedRecord as reason:
        return Refusal(
            row=number, fate="dead_lettered", reason=reason, event_id=event_id, schema_id=schema_id
        )
    return Correction(
        row=number,
        event_id=event.event_id,
        activity_ref=event.activity_ref,
        revision=event.revision,
        lines=lines,
    )


def _column_lane(batch: pa.RecordBatch, part: Part) -> tuple[np.ndarray, pa.Table]:
    """Which rows are certain to be accepted, and their lines."""
    count = batch.num_rows
    if part.stream != STREAM or part.current is None or "d" not in batch.schema.names:
        return np.zeros(count, dtype=bool), _spell([], [], part)
    decoded = batch.column("d")
    certain = _numpy(decoded.is_valid())
    certain &= _every_byte_accounted_for(batch, decoded)
    certain &= _numpy(
        pc.fill_null(pc.match_substring_regex(_field(decoded, "energy_kwh"), PLAIN_DECIMAL), False)
    )
    micros = _numpy(pc.fill_null(_field(decoded, "timestamp"), -1))
    certain &= _is_plain_time(micros, part.now)
    certain &= _numpy(pc.fill_null(pc.equal(_field(decoded, "revision"), 0), False))
    certain &= _numpy(pc.fill_null(pc.equal(_field(decoded, "scope"), 2), False))
    coded = {name: _coded(_field(decoded, name)) for name in CHECKS}
    for name, (codes, values) in coded.items():
        accepted = np.array([*(_accepts(name, value) for value in values), name in NULLABLE])
        certain &= accepted[codes]
    index = np.flatnonzero(certain)
    if not len(index):
        return certain, _spell([], [], part)
    resolved = _resolve(index, coded, micros, part)
    certain[index[~resolved.matched]] = False
    if not resolved.matched.any():
        return certain, _spell([], [], part)
    return certain, _lines(batch, index[resolved.matched], micros, resolved, part.current, part)


def _numpy(array: pa.Array) -> np.ndarray:
    result: np.ndarray = array.to_numpy(zero_copy_only=False)
    return result.copy() if not result.flags.writeable else result


def _field(decoded: pa.StructArray, name: str) -> pa.Array:
    return pc.struct_field(decoded, name)


def _varint_length(value: np.ndarray) -> np.ndarray:
    """Bytes of each int64 in Avro's zig-zag variable-length encoding (Avro 1.12, binary
    encoding).
    """
    zigzag = ((value << 1) ^ (value >> 63)).astype(np.uint64)
    length = np.ones(len(value), dtype=np.int64)
    for bits in range(7, 64, 7):
        length += zigzag >= np.uint64(1 << bits)
    return length


def _every_byte_accounted_for(batch: pa.RecordBatch, decoded: pa.StructArray) -> np.ndarray:
    """Where the decoded fields, encoded again, are as long as the body: nothing trails, nothing
    lacks.
    """
    expected = np.full(batch.num_rows, FRAME_BYTES, dtype=np.int64)
    for item in decoded.type:
        column = _field(decoded, item.name)
        if pa.types.is_string(item.type):
            length = _numpy(pc.fill_null(pc.cast(pc.binary_length(column), pa.int64()), 0))
            size = _varint_length(length) + length
        else:
            size = _varint_length(_numpy(pc.fill_null(pc.cast(column, pa.int64()), 0)))
        if item.name in NULLABLE:
            size = 1 + np.where(_numpy(column.is_valid()), size, 0)
        expected += size
    actual = _numpy(pc.fill_null(pc.cast(pc.binary_length(batch.column("value")), pa.int64()), 0))
    same: np.ndarray = expected == actual
    return same


def _is_plain_time(micros: np.ndarray, now: datetime) -> np.ndarray:
    """Whole seconds well inside the valid range; the edges are left to the record-wise lane."""
    first = microseconds(events.TIMESTAMP_MIN)
    last = microseconds(now)
    plain: np.ndarray = (micros >= first) & (micros <= last) & (micros % 1_000_000 == 0)
    return plain


def _coded(column: pa.Array) -> tuple[np.ndarray, list[Any]]:
    """Codes into the list of distinct values; null has the code one past the last."""
    encoded = pc.dictionary_encode(column)
    codes = _numpy(pc.fill_null(encoded.indices, len(encoded.dictionary)))
    return codes, encoded.dictionary.to_pylist()


# Fields with few distinct values, and the rule that judges each; `region` is judged with its
# country.
CHECKS: dict[str, Callable[[Any], Any]] = {
    "sensor_id": lambda value: events.check_identifier("sensor_id", value),
    "facility_id": lambda value: events.check_identifier("facility_id", value),
    "country_iso2": events.check_country,
    "region": lambda value: events.check_region(value, "US" if value[:5] == "EGRID" else value[:2]),
    "energy_source": events.check_energy_source,
    "grid_carbon_intensity_gco2_kwh": events.check_intensity,
    "interval_seconds": events.check_interval_seconds,
}
NULLABLE = ("region", "grid_carbon_intensity_gco2_kwh")
# These may come out of their check in another spelling, which the lane then uses.
RESPELLED = ("energy_source", "grid_carbon_intensity_gco2_kwh")
_accepted: set[tuple[str, Any]] = set()


def _accepts(name: str, value: Any) -> bool:
    """Whether the rule accepts `value` as it stands; verdicts on good values are remembered."""
    if (name, value) in _accepted:
        return True
    try:
        accepted = CHECKS[name](value)
    except RejectedRecord:
        return False
    if name not in RESPELLED and accepted != value:
        return False
    if len(_accepted) >= ACCEPTED_CACHE_MAX:
        _accepted.clear()
    _accepted.add((name, value))
    return True


@dataclass(frozen=True, kw_only=True)
class _Key:
    """One distinct (facility, country, region, day, source, year) of a record batch, and its factor
    if any.
    """

    facility_id: str
    country_iso2: str
    place: Place
    energy_source: str
    factor: ReadingFactor | None

    @property
    def series(self) -> tuple[str | None, ...]:
        """What the windows of these lines are kept by; as posting.window_series."""
        return (
            self.place.organization_id,
            self.facility_id,
            self.country_iso2,
            "2",
            None,
            "location",
            f"electricity:{self.energy_source}",
            "kWh",
        )


@dataclass(frozen=True, kw_only=True)
class _Resolved:
    """Per certain row: whether a factor was found, its local date (days since 1970), its key by
    code.
    """

    matched: np.ndarray
    local_days: np.ndarray
    codes: np.ndarray
    keys: list[_Key]


def _resolve(
    index: np.ndarray,
    coded: dict[str, tuple[np.ndarray, list[Any]]],
    micros: np.ndarray,
    part: Part,
) -> _Resolved:
    """Asks the rules once per distinct (facility, country, region, day), then once per (…, source,
    year).

    Where a site changes within a day or the days beside it, it depends on the hour which one holds:
    such rows have no factor here, and go to the record-wise lane.
    """
    facility, country, region, source = (
        coded[name] for name in ("facility_id", "country_iso2", "region", "energy_source")
    )
    utc_days = micros[index] // DAY_MICROSECONDS
    first_day = int(utc_days.min())
    place_keys, place_codes = _combine(
        [
            *((codes[index], len(values) + 1) for codes, values in (facility, country, region)),
            (utc_days - first_day, int(utc_days.max()) - first_day + 1),
        ]
    )
    regions = [*region[1], None]
    rules = part.rules
    places: list[tuple[str, str, Place]] = []
    is_settled: list[bool] = []
    for f, c, r, d in place_keys:
        facility_id, country_iso2 = facility[1][f], country[1][c]
        utc_day = FIRST_DAY + timedelta(days=first_day + d)
        site, is_same = site_all_day(facility_id, utc_day, rules.register)
        place = place_of(site, country_iso2, regions[r], rules.default_organization)
        places.append((facility_id, country_iso2, place))
        is_settled.append(is_same)
    local_days = _local_days(
        micros[index], place_codes, [place.time_zone for _, _, place in places]
    )
    years = local_days.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970
    first_year = int(years.min())
    match_keys, match_codes = _combine(
        [
            (place_codes, len(places)),
            (source[0][index], len(source[1]) + 1),
            (years - first_year, int(years.max()) - first_year + 1),
        ]
    )
    keys = []
    for p, s, y in match_keys:
        facility_id, country_iso2, place = places[p]
        energy_source = events.check_energy_source(source[1][s])
        try:
            events.check_region(place.region, country_iso2)
            factor: ReadingFactor | None = match_reading(
                energy_source, country_iso2, place.region, date(first_year + y, 1, 1), rules
            )
        except RejectedRecord:
            factor = None
        if not is_settled[p]:
            factor = None
        keys.append(
            _Key(
                facility_id=facility_id,
                country_iso2=country_iso2,
                place=place,
                energy_source=energy_source,
                factor=factor,
            )
        )
    return _Resolved(
        matched=np.array([key.factor is not None for key in keys])[match_codes],
        local_days=local_days,
        codes=match_codes,
        keys=keys,
    )


def _combine(columns: list[tuple[np.ndarray, int]]) -> tuple[list[tuple[int, ...]], np.ndarray]:
    """Distinct combinations of code columns (each with its size), and per row which one it has."""
    mixed = np.zeros(len(columns[0][0]), dtype=np.int64)
    for codes, size in columns:
        mixed = mixed * size + codes
    distinct, inverse = np.unique(mixed, return_inverse=True)
    keys = []
    for value in distinct.tolist():
        parts: list[int] = []
        for _, size in reversed(columns):
            value, code = divmod(value, size)
            parts.append(code)
        keys.append(tuple(reversed(parts)))
    return keys, inverse.reshape(-1)


def _local_days(micros: np.ndarray, place_codes: np.ndarray, zones: list[str]) -> np.ndarray:
    """The local date of each moment in its place's time zone, in days since 1970-01-01."""
    days = np.empty(len(micros), dtype=np.int64)
    zone_codes = np.array([sorted(set(zones)).index(zone) for zone in zones])[place_codes]
    for code, zone in enumerate(sorted(set(zones))):
        rows = np.flatnonzero(zone_codes == code)
        moments = pa.array(micros[rows], pa.int64()).cast(pa.timestamp("us", tz="UTC"))
        local = pc.local_timestamp(moments.cast(pa.timestamp("us", tz=zone)))
        days[rows] = _numpy(local.cast(pa.date32()).cast(pa.int32()))
    return days


def _lines(
    batch: pa.RecordBatch,
    index: np.ndarray,
    micros: np.ndarray,
    resolved: _Resolved,
    current: WriterSchema,
    part: Part,
) -> pa.Table:
    """One line per row of `index`, column by column, as carbon_ledger.posting makes them one by
    one.
    """
    codes = resolved.codes[resolved.matched]
    local_days = resolved.local_days[resolved.matched]
    take = pa.array(index)
    decoded = batch.column("d")
    count = len(index)
    text = pa.string()

    def field_text(name: str) -> pa.Array:
        return _field(decoded, name).take(take)

    def by_key(value: Callable[[_Key, ReadingFactor], str | None]) -> pa.Array:
        texts = [None if key.factor is None else value(key, key.factor) for key in resolved.keys]
        return pa.array(texts, text).take(pa.array(codes))

    def gas(name: str) -> pa.Array:
        rows = [key.factor and getattr(key.factor.match.factor, name) for key in resolved.keys]
        return posted_products(kwh, rows, codes)

    weighed = [key.factor and key.factor.weighed.kgco2e_per_unit for key in resolved.keys]

    def same(text: str | None) -> pa.Array:
        return pa.repeat(pa.scalar(text, pa.string()), count)

    start = micros[index]
    seconds = _numpy(field_text("interval_seconds")).astype(np.int64)
    end = start + seconds * 1_000_000
    sensor, kwh = field_text("sensor_id"), field_text("energy_kwh")
    stamp = pc.utf8_replace_slice(
        pa.array(start // 1_000_000).cast(pa.timestamp("s")).cast(text), 10, 11, "T"
    )
    activity_ref = pc.binary_join_element_wise("iot:", sensor, "@", stamp, "Z", "")
    event_id = pc.binary_join_element_wise(activity_ref, "#0", "")
    values = batch.column("value").take(take)
    days = pa.array(local_days, pa.int32()).cast(pa.date32())
    months = local_days.astype("datetime64[D]").astype("datetime64[M]").astype("datetime64[D]")
    intensities, intensity_codes = _granular(field_text("grid_carbon_intensity_gco2_kwh"))
    series = [-1 if key.factor is None else part.series_of(key.series) for key in resolved.keys]
    columns: dict[str, pa.Array] = {
        "organization_id": by_key(lambda key, _: key.place.organization_id),
        "entry_id": entry_ids(event_id, end // 1000),
        "event_id": event_id,
        "line_no": same("1"),
        "activity_ref": activity_ref,
        "claim_key": pc.binary_join_element_wise(
            activity_ref, claim_key("", 2, None, "location"), ""
        ),
        "stream": same(STREAM),
        "activity_month": pa.array(months.astype(np.int64), pa.int64())
        .cast(pa.int32())
        .cast(pa.date32())
        .cast(text),
        "local_date": days.cast(text),
        "occurred_from": pa.array(start).cast(text),
        "occurred_to": pa.array(end).cast(text),
        "recorded_at": same(str(microseconds(part.recorded_at))),
        "scope": same("2"),
        "category": same(None),
        "basis": same("location"),
        "facility_id": field_text("facility_id"),
        "source_ref": sensor,
        "country_iso2": field_text("country_iso2"),
        "region": by_key(lambda key, _: key.place.region),
        "activity_type": by_key(lambda key, _: f"electricity:{key.energy_source}"),
        "quantity": kwh,
        "unit": same("kWh"),
        "kgco2e": posted_products(kwh, weighed, codes),
        "gas_split": by_key(lambda _, factor: factor.match.factor.gas_split),
        "kg_co2_fossil": gas("kg_co2_per_unit"),
        "kg_co2_biogenic": same(None),
        "kg_ch4": gas("kg_ch4_per_unit"),
        "kg_n2o": gas("kg_n2o_per_unit"),
        "other_gases": same(None),
        "gwp_set": by_key(lambda _, factor: factor.weighed.gwp_set),
        "kgco2e_granular": posted_products(kwh, intensities, intensity_codes),
        "factor_id": by_key(lambda _, factor: factor.match.factor.factor_id),
        "factor_version": by_key(lambda _, factor: str(factor.match.factor.version)),
        "factor_release": same(part.rules.book.release_id),
        "factor_match": by_key(lambda _, factor: factor.match.how_matched),
        "vintage_gap_years": by_key(
            lambda _, factor: None if (gap := factor.match.vintage_gap_years) is None else str(gap)
        ),
        "flags": by_key(lambda key, factor: flags_text(key.place, factor)),
        "formula_id": same(LOCATION_BASED.formula_id),
        "method": same(READING_METHOD),
        "rule_id": same(READING_RULE),
        "supersession_rank": same(str(READING_RANK)),
        "primary_share": same(numeric_text(READING_PRIMARY_SHARE)),
        "activity_scores": same(READING_SCORES),
        "factor_scores": by_key(lambda _, factor: factor.scores),
        "reverses_id": same(None),
        "cause": same(None),
        "subject_ref": same(None),
        "payload_sha256": hex_texts(sha256_of_each(values, FRAME_BYTES)),
        "schema_sha256": same(current.sha256.hex()),
        "code_version": same(part.rules.code_version),
        "topic": same(part.topic),
        "topic_incarnation": same(str(part.topic_incarnation)),
        "kafka_partition": same(str(part.kafka_partition)),
        "kafka_offset": batch.column("offset").take(take).cast(text),
    }
    table = {name: columns[name] for name, _ in CANONICAL}
    table[ROW] = pa.array(index.astype(np.int64))
    table[SERIES] = pa.array(np.array(series)[codes].astype(np.int64))
    table[WINDOW] = pa.array(start - start % WINDOW_MICROSECONDS)
    return pa.table(table)


def _granular(intensities: pa.Array) -> tuple[list[Decimal | None], np.ndarray]:
    """kgCO2e per kWh by the events' own intensity in gCO2e per kWh: distinct ones, and which."""
    codes, values = _coded(intensities)
    return [*(PRODUCT.multiply(Decimal(value), GRAM) for value in values), None], codes


def _spell(rows: list[EntryRow], row_numbers: list[int], part: Part) -> pa.Table:
    """Lines made one by one, as the same kind of table."""
    table: dict[str, pa.Array] = {}
    for name, kind in CANONICAL:
        spell = SPELLING[kind]
        values = [getattr(row, name) for row in rows]
        table[name] = pa.array([None if v is None else spell(v) for v in values], pa.string())
    starts = [microseconds(row.occurred_from) for row in rows]
    table[ROW] = pa.array(row_numbers, pa.int64())
    table[SERIES] = pa.array([part.series_of(window_series(row)) for row in rows], pa.int64())
    table[WINDOW] = pa.array([start - start % WINDOW_MICROSECONDS for start in starts], pa.int64())
    return pa.table(table)


def _with_content_hash(posted: pa.Table) -> pa.Table:
    """Adds content_sha256: SHA-256, in hex, of each line's canonical bytes
    (carbon_ledger.entries).
    """
    if not posted.num_rows:
        return posted.append_column("content_sha256", pa.array([], pa.string()))
    joined = pc.binary_join_element_wise(
        PREIMAGE_VERSION,
        *(posted.column(name) for name, _ in CANONICAL),
        SEPARATOR,
        null_handling="replace",
        null_replacement=NULL,
    )
    return posted.append_column(
        "content_sha256", hex_texts(sha256_of_each(joined.combine_chunks()))
    )
