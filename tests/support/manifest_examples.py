"""Streams of their own, claimed and committed without Spark: what the manifest's tests stand on."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime

from carbon_ledger.planning import TopicSight
from carbon_ledger.store import gaps, manifest
from carbon_ledger.store.manifest import BatchPlan
from carbon_ledger.streams import STREAMS, Stream
from tests.support.postgres import Connection, Part

HOUR = "2026-11-24-10:00"


def own_stream(**changes: int) -> Stream:
    """A stream nobody else has, whose claims are due at once."""
    name = f"s_{uuid.uuid4().hex[:8]}"
    base = replace(STREAMS[0], name=name, topic=f"topic.{name}", max_wait_seconds=0)
    return replace(base, **changes)  # type: ignore[arg-type]


def sight(*highs: int, topic_id: str = "A", lows: tuple[int, ...] = ()) -> TopicSight:
    """A topic with these end offsets; first offsets 0 unless given."""
    low = lows or (0,) * len(highs)
    return TopicSight(topic_id=topic_id, offsets=dict(enumerate(zip(low, highs, strict=True))))


def observe(conn: Connection, stream: Stream, seen: TopicSight) -> list[gaps.Gap]:
    """The stream exists and has seen its topic; the gaps that are open."""
    manifest.ensure_stream(conn, stream)
    return gaps.observe_topic(conn, stream.name, seen)


def plan(
    conn: Connection, stream: Stream, seen: TopicSight, now: datetime | None = None
) -> BatchPlan | None:
    """A claim below the sight's end offsets."""
    return manifest.plan_batch(
        conn, stream, seen.highs, factor_release="test", arrival_partition=HOUR, now=now
    )


def commit(conn: Connection, batch: BatchPlan, *partitions: int, **account: int) -> None:
    """The parts of `partitions` (none given: all) are in the accounts, each in its own
    transaction."""
    for one in batch.ranges:
        if partitions and one.kafka_partition not in partitions:
            continue
        part = Part(
            batch_id=batch.batch_id,
            attempt=batch.attempt,
            topic=one.topic,
            kafka_partition=one.kafka_partition,
            start_offset=one.start_offset,
            end_offset=one.end_offset,
        )
        with conn.transaction():
            opened = part.open(conn)
            if opened["already_committed"]:
                continue
            part.account(
                conn,
                stream=batch.stream,  # type: ignore[arg-type]
                topic_incarnation=one.topic_incarnation,
                archive_sha256=b"\x01" * 32,  # type: ignore[arg-type]
                **account,
            )
            part.close(conn)


def work_off(conn: Connection, batch: BatchPlan) -> None:
    """The batch as a run without a fault works it off."""
    manifest.begin_attempt(conn, batch.batch_id, batch.attempt, f"run-{batch.run_key}")
    commit(conn, batch)
    manifest.finish_batch(conn, batch.batch_id, batch.attempt)


def utc_now() -> datetime:
    """Now, aware."""
    return datetime.now(UTC)
