"""Baseline (a): one plain Python process that does by hand what the pipeline does through Spark.

It reads the same offsets with one consumer, decodes with fastavro, validates by the same rules,
computes Decimal figures and the same three hashes, claims identities and copies the same columns.
It is written to be fast: verdicts on values that repeat are remembered, and rows go to COPY as
text. It keeps no archive, no windows, no offsets and no account.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

import fastavro
from confluent_kafka import Consumer, TopicPartition

from carbon_ledger import events
from carbon_ledger.entries import CANONICAL, COLUMNS, NULL, PREIMAGE_VERSION, SEPARATOR, entry_id
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.places import Rules, located
from carbon_ledger.posting import claim_key, flags_text, match_reading
from carbon_ledger.quantities import POSTED_QUANTUM, PRODUCT, ROUNDING
from carbon_ledger.reference.records import zone_of
from carbon_ledger.settings import Settings
from carbon_ledger.store.connect import connect, query
from pipeline.kafka import kafka_config
from pipeline.serialization import schema_text, sha256_of
from spark.decode import parsed_schema

BATCH = 20_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COPIED = [name for name in COLUMNS if name not in ("batch_id", "preimage")]


def messages(settings: Settings, topic: str, ends: dict[int, int]) -> Iterator[list[Any]]:
    """The topic's messages up to `ends`, in lists of at most BATCH."""
    consumer = Consumer(
        {
            **kafka_config(settings),
            "group.id": "baseline",
            "enable.auto.commit": False,
            "fetch.message.max.bytes": 8_000_000,
            "queued.max.messages.kbytes": 200_000,
        }
    )
    consumer.assign([TopicPartition(topic, number, 0) for number in ends])
    left = sum(ends.values())
    while left:
        found = consumer.consume(min(BATCH, left), timeout=10)
        left -= len(found)
        yield found
    consumer.close()


def run(
    settings: Settings, url: str, topic: str, ends: dict[int, int], rules: Rules, schema_id: int
) -> dict[str, int]:
    """Everything from Kafka to the ledger; counts of records by fate."""
    counts = {"read": 0, "ledgered": 0, "dead_lettered": 0, "duplicate": 0}
    judge = Judge(rules, schema_id)
    with closing(connect(url, "baseline")) as conn:
        months: set[str] = set()
        for found in messages(settings, topic, ends):
            recorded_at = datetime.now(UTC)
            rows: list[dict[str, str | None]] = []
            letters = []
            for message in found:
                try:
                    rows.append(judge.row(message, recorded_at))
                except RejectedRecord as reason:
                    letters.append((message, reason))
            for month in {row["activity_month"] for row in rows} - months:
                conn.execute("select ledger.ensure_month(%s)", (month,))
                months.add(str(month))
            ledgered = store(conn, rows)
            store_letters(conn, letters)
            conn.commit()
            counts["read"] += len(found)
            counts["ledgered"] += ledgered
            counts["duplicate"] += len(rows) - ledgered
            counts["dead_lettered"] += len(letters)
    return counts


class Judge:
    """Decodes, validates and computes one record after the other."""

    def __init__(self, rules: Rules, schema_id: int) -> None:
        text = schema_text("iot_energy")
        self.rules = rules
        self.schema = parsed_schema(text)
        self.frame = bytes([0]) + schema_id.to_bytes(4, "big")
        self.schema_hash = sha256_of(text).hex()
        self.now = datetime.now(UTC)

    @lru_cache(maxsize=100_000)  # noqa: B019 - one judge per process
    def known(self, *values: Any) -> Any:
        """The verdict on the fields that repeat, and what follows from them."""
        sensor, facility, country, region, source, interval, scope, revision, intensity = values
        events.check_identifier("sensor_id", sensor)
        events.check_identifier("facility_id", facility)
        events.check_country(country)
        events.check_region(region, country)
        events.check_interval_seconds(interval)
        events.check_scope(scope)
        events.check_revision(revision)
        grams = events.check_intensity(intensity)
        return (
            events.check_energy_source(source),
            None if grams is None else grams / 1000,
        )

    @lru_cache(maxsize=100_000)  # noqa: B019
    def place(self, facility: str, country: str, region: str | None, day: date) -> Any:
        """The place of a facility on a UTC day."""
        rules = self.rules
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        place = located(
            facility, country, region, noon, rules.register, rules.default_organization
        ).place
        return place, zone_of(place.time_zone)

    @lru_cache(maxsize=100_000)  # noqa: B019
    def match(self, source: str, country: str, region: str | None, day: Any) -> Any:
        return match_reading(source, country, region, day, self.rules)

    def row(self, message: Any, recorded_at: datetime) -> dict[str, str | None]:
        """The entry's columns as text, in their canonical spelling; RejectedRecord if refused."""
        value = message.value()
        if not value or value[:5] != self.frame or len(value) > 65_536:
            raise RejectedRecord("frame", "not our frame")
        body = value[5:]
        stream = io.BytesIO(body)
        try:
            fields = fastavro.schemaless_reader(stream, self.schema, None)
        except (EOFError, ValueError, IndexError, TypeError, OverflowError) as error:
            raise RejectedRecord("malformed_avro", str(error)) from error
        if stream.tell() != len(body):
            raise RejectedRecord("trailing_bytes", "bytes follow")
        source, per_kwh = self.known(
            fields["sensor_id"],
            fields["facility_id"],
            fields["country_iso2"],
            fields["region"],
            fields["energy_source"],
            fields["interval_seconds"],
            fields["scope"],
            fields["revision"],
            fields["grid_carbon_intensity_gco2_kwh"],
        )
        kwh = events.check_energy_kwh(fields["energy_kwh"])
        start = events.check_timestamp(fields["timestamp"], self.now)
        end = start + timedelta(seconds=fields["interval_seconds"])
        country = fields["country_iso2"]
        place, zone = self.place(fields["facility_id"], country, fields["region"], start.date())
        day = start.astimezone(zone).date()
        weighed = self.match(source, country, place.region, day)
        match = weighed.match
        factor = match.factor
        ref = f"iot:{fields['sensor_id']}@{events.iso_utc(start)}"
        event_id = f"{ref}#{fields['revision']}"
        row: dict[str, str | None] = {
            "organization_id": place.organization_id,
            "entry_id": str(entry_id(event_id, 1, end)),
            "event_id": event_id,
            "line_no": "1",
            "activity_ref": ref,
            "claim_key": claim_key(ref, 2, None, "location"),
            "stream": "iot_energy",
            "activity_month": day.replace(day=1).isoformat(),
            "local_date": day.isoformat(),
            "occurred_from": str(fields["timestamp"]),
            "occurred_to": str(fields["timestamp"] + fields["interval_seconds"] * 1_000_000),
            "recorded_at": str(int((recorded_at - EPOCH) / timedelta(microseconds=1))),
            "scope": "2",
            "basis": "location",
            "facility_id": fields["facility_id"],
            "source_ref": fields["sensor_id"],
            "country_iso2": fields["country_iso2"],
            "region": place.region,
            "activity_type": f"electricity:{source}",
            "quantity": f"{kwh:f}",
            "unit": "kWh",
            "kgco2e": posted(kwh, weighed.weighed.kgco2e_per_unit),
            "gas_split": factor.gas_split,
            "kg_co2_fossil": posted(kwh, factor.kg_co2_per_unit),
            "kg_ch4": posted(kwh, factor.kg_ch4_per_unit),
            "kg_n2o": posted(kwh, factor.kg_n2o_per_unit),
            "gwp_set": weighed.weighed.gwp_set,
            "kgco2e_granular": posted(kwh, per_kwh),
            "factor_id": factor.factor_id,
            "factor_version": str(factor.version),
            "factor_release": match.release_id,
            "factor_match": match.how_matched,
            "vintage_gap_years": None
            if match.vintage_gap_years is None
            else str(match.vintage_gap_years),
            "flags": flags_text(place, weighed),
            "formula_id": "S2-LB",
            "method": "measured",
            "rule_id": "S2-PURCHASED-ENERGY",
            "supersession_rank": "0",
            "primary_share": "1",
            "activity_scores": "1,1,1,1,2",
            "factor_scores": weighed.scores,
            "payload_sha256": hashlib.sha256(body).hexdigest(),
            "schema_sha256": self.schema_hash,
            "code_version": self.rules.code_version,
            "topic": message.topic(),
            "topic_incarnation": "0",
            "kafka_partition": str(message.partition()),
            "kafka_offset": str(message.offset()),
        }
        get = row.get
        canonical = SEPARATOR.join(
            [
                PREIMAGE_VERSION,
                *(NULL if (text := get(name)) is None else text for name, _ in CANONICAL),
            ]
        )
        row["content_sha256"] = hashlib.sha256(canonical.encode()).hexdigest()
        return row


def posted(quantity: Decimal, per_unit: Decimal | None) -> str | None:
    """The product, rounded once, as text; None without a factor."""
    if per_unit is None:
        return None
    product = PRODUCT.multiply(quantity, per_unit)
    return f"{product.quantize(POSTED_QUANTUM, context=ROUNDING):f}"


TIMES = {"occurred_from", "occurred_to", "recorded_at"}
HASHES = {"payload_sha256", "schema_sha256", "content_sha256"}


def store(conn: Any, rows: list[dict[str, str | None]]) -> int:
    """Claims the identities, copies the rows of those that are new; how many."""
    cursor = conn.cursor()
    names = ("event_id", "payload_sha256", "activity_month", "entry_id")
    once: dict[str | None, dict[str, str | None]] = {}
    for row in rows:
        once.setdefault(row["event_id"], row)
    cursor.execute(
        query("claim_identities"),
        ["\n".join(str(row[name]) for row in once.values()) for name in names],
    )
    taken = {row[0] for row in cursor.fetchall()}
    fresh = [row for event_id, row in once.items() if event_id not in taken]
    lines = []
    for row in fresh:
        cells = []
        for name in COPIED:
            text = row.get(name)
            if text is None:
                cells.append("\\N")
            elif name in TIMES:
                cells.append((EPOCH + timedelta(microseconds=int(text))).isoformat())
            elif name in HASHES:
                cells.append("\\\\x" + text)
            else:
                cells.append(text)
        lines.append("\t".join(cells))
    with cursor.copy(f"copy ledger.entry ({', '.join(COPIED)}) from stdin") as copy:
        copy.write("\n".join(lines) + "\n")
    return len(fresh)


def store_letters(conn: Any, letters: list[tuple[Any, RejectedRecord]]) -> None:
    """Keeps refused records with their bytes."""
    columns = (
        "topic, topic_incarnation, kafka_partition, kafka_offset, stream, batch_id, fate,"
        " reason_code, reason, record_key, record_value, record_headers"
    )
    with conn.cursor().copy(f"copy ledger.dead_letter ({columns}) from stdin") as copy:
        for message, reason in letters:
            copy.write_row(
                (
                    message.topic(),
                    0,
                    message.partition(),
                    message.offset(),
                    "iot_energy",
                    0,
                    "dead_lettered",
                    reason.code,
                    reason.message.replace("\x00", ""),
                    message.key(),
                    message.value(),
                    json.dumps([]),
                )
            )
