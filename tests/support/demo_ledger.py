"""The demo company in a ledger of its own, with the registry's schemas, without Kafka or a JVM.

Belongs here: its reference data and events, committed by the sink as records of real topics are.
Does not: sending them (scripts.load_demo_data), what must come of them (scripts.demo_truth).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from carbon_ledger import settings as settings_module
from carbon_ledger.planning import TopicSight
from carbon_ledger.store import gaps, manifest
from carbon_ledger.streams import find
from factor_seeds.load import release
from pipeline.serialization import Registry, encode, ensure_schema
from pipeline.sources import company, company_reference
from spark.micro_batch import make_job
from spark.sink import commit_part
from tests.support.postgres import Connection, LedgerDatabase, scratch_database

SEED = 1
AT_ONCE = 500


@dataclass(frozen=True, kw_only=True)
class DemoLedger:
    """The company's ledger, and by stream how many records became what."""

    database: LedgerDatabase
    fates: dict[str, Counter[str]]


@contextmanager
def demo_ledger(
    url_of: Callable[[str, str], str], folder: Path, years: Sequence[int]
) -> Iterator[DemoLedger]:
    """Every event of `years`, in one batch for each stream, archived below `folder`."""
    with scratch_database(url_of, with_factors=True) as database:
        with closing(database.writer(autocommit=True)) as conn:
            company_reference.apply_reference(conn)
        fates = post_activities(database, folder, company.history(SEED, years))
        yield DemoLedger(database=database, fates=fates)


def settings_of(database: LedgerDatabase, folder: Path) -> settings_module.Settings:
    """The stack's settings with this ledger, and an archive below `folder`."""
    return settings_module.Settings(
        values={
            **settings_module.load().values,
            "CARBON_DATABASE_WRITER_URL": database.writer_url,
            "CARBON_DATABASE_READER_URL": database.reader_url,
            "CARBON_ARCHIVE_URL": (folder / "archive").absolute().as_uri(),
        }
    )


def post_activities(
    database: LedgerDatabase, folder: Path, activities: Iterable[company.Activity]
) -> dict[str, Counter[str]]:
    """Takes these events after those the ledger has, in one batch for each stream; their fates."""
    settings = settings_of(database, folder)
    return {
        stream: _post(database, settings, stream, records)
        for stream, records in _records(settings, activities).items()
    }


def _records(
    settings: settings_module.Settings, activities: Iterable[company.Activity]
) -> dict[str, list[bytes]]:
    """The framed value of every event, by stream; the registry knows their schemas."""
    registry = Registry(settings)
    ids: dict[str, int] = {}
    found: dict[str, list[bytes]] = defaultdict(list)
    for activity in activities:
        if activity.schema not in ids:
            ids[activity.schema] = ensure_schema(registry, activity.topic, activity.schema)
        found[activity.stream].append(encode(activity.event(), ids[activity.schema]))
    return found


def _post(
    database: LedgerDatabase,
    settings: settings_module.Settings,
    name: str,
    records: Sequence[bytes],
) -> Counter[str]:
    stream = replace(find(name), max_wait_seconds=0, records_max=len(records))
    with closing(database.writer(autocommit=True)) as conn:
        manifest.ensure_stream(conn, stream)
        begin = _taken(conn, name)
        end = begin + len(records)
        gaps.observe_topic(conn, name, TopicSight(topic_id="T", offsets={0: (0, end)}))
        plan = manifest.plan_batch(
            conn,
            stream,
            {0: end},
            factor_release=release().release_id,
            arrival_partition="2026-01-01-00:00",
        )
        assert plan is not None
        plan = manifest.begin_attempt(conn, plan.batch_id, plan.attempt, "test")
        job = make_job(database.writer_url, plan, settings)
        batches = (
            _batch(stream.topic, begin + first, records[first : first + AT_ONCE])
            for first in range(0, len(records), AT_ONCE)
        )
        result = commit_part(job, stream.topic, 0, batches)
        manifest.finish_batch(conn, plan.batch_id, plan.attempt)
    names = ("records_read", "ledgered", "duplicate", "dead_lettered", "quarantined")
    return Counter({one: getattr(result, one) for one in names})


def _taken(conn: Connection, stream: str) -> int:
    """The offset up to which the ledger has the stream's only Kafka partition."""
    found = conn.execute(
        "select coalesce(max(end_offset), 0) from ledger.batch_part where stream = %s", (stream,)
    ).fetchone()
    assert found is not None
    return int(found[0])


def _batch(topic: str, first: int, values: Sequence[bytes]) -> pa.RecordBatch:
    count = len(values)
    now = datetime.now(UTC)
    return pa.RecordBatch.from_pydict(
        {
            "topic": pa.array([topic] * count, pa.string()),
            "partition": pa.array([0] * count, pa.int32()),
            "offset": pa.array(range(first, first + count), pa.int64()),
            "timestamp": pa.array([now] * count, pa.timestamp("us", tz="UTC")),
            "key": pa.nulls(count, pa.binary()),
            "value": pa.array(values, pa.binary()),
            "headers": pa.nulls(count, pa.string()),
        }
    )
