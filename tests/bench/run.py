"""`make bench`: the micro-batch path against two baselines of the same minutes, its size, its
latency; and `carbon calc` alone.

Prints one JSON document and a table. Every rate stands beside the baseline it is a ratio of:
(a) one plain Python process that does the same by hand (tests/bench/baseline.py), and
(b) COPY alone of the very rows the pipeline wrote, into the same table with the same primary key.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from carbon_ledger.settings import PROJECT_ROOT

HOME = PROJECT_ROOT / ".carbon-bench"
OFFSET = "12000"


def enter_environment() -> None:
    """A stack of its own, whatever stack the caller's environment names."""
    for name in [name for name in os.environ if name.startswith(("CARBON_", "DAGSTER_"))]:
        if name not in ("CARBON_CACHE", "CARBON_MAVEN_REPOSITORY"):
            del os.environ[name]
    os.environ["CARBON_HOME"] = str(HOME)
    os.environ["CARBON_PORT_OFFSET"] = OFFSET


def main() -> int:
    """Runs the benchmark; 0 whatever the figures are, since this machine may be shared."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--prefill", type=int, default=5_000_000, help="rows there beforehand")
    parser.add_argument("--latency-seconds", type=int, default=90)
    parser.add_argument("--burst-seconds", type=int, default=0, help="of ten times the load")
    parser.add_argument("--activities", type=int, default=100_000, help="for carbon calc")
    parser.add_argument("--verify", type=int, default=1_000_000, help="entries for carbon verify")
    parser.add_argument("--reading", type=int, default=5_000_000, help="entries that are read")
    parser.add_argument("--only-calc", action="store_true", help="carbon calc alone, no stack")
    parser.add_argument("--output", type=Path, default=PROJECT_ROOT / "bench-results")
    options = parser.parse_args()
    enter_environment()
    results: dict[str, Any] = {"events": options.events, "cores": os.cpu_count()}
    if options.activities:
        from tests.bench import calc

        note(f"carbon calc: {options.activities:,} activities")
        results["calc"] = calc.run(options.activities)
    if options.reading and not options.only_calc:
        from tests.bench import reading

        note(f"reports, exports, inventories: {options.reading:,} entries")
        results["reading"] = reading.run(options.reading, reading.SECONDS)
    if not options.only_calc:
        with_stack(options, results)
    options.output.mkdir(exist_ok=True)
    text = json.dumps(results, indent=2)
    (options.output / f"{time.strftime('%Y%m%dT%H%M%S')}.json").write_text(text + "\n")
    print(text)  # noqa: T201
    print(table(results))  # noqa: T201
    return 0


def with_stack(options: argparse.Namespace, results: dict[str, Any]) -> None:
    """What needs the stack: throughput into an empty and a filled ledger, and latency."""
    from carbon_ledger.settings import load
    from devstack.stack import Stack
    from pipeline.preparation import prepare_streams

    stack = Stack(load())
    stack.down()
    stack.reset()
    try:
        stack.up(dagster=False, initialise=prepare_streams, report=note)
        if options.verify:
            from tests.bench import verify

            note(f"carbon verify: {options.verify:,} entries")
            results["verify"] = verify.run(stack.layout.database_url, options.verify)
            from tests.bench import sealing

            note(f"proofs and seals: {options.verify:,} entries")
            results["sealing"] = sealing.run(stack.layout.database_url, options.verify)
        results["empty_ledger"] = throughput(stack, options.events, 0)
        if options.prefill:
            results["prefilled_ledger"] = throughput(stack, options.events, options.prefill)
        stack.down()
        if options.latency_seconds:
            from tests.bench import latency

            stack.reset()
            stack.up(initialise=prepare_streams, report=note)
            results["latency"] = latency.measure(
                seconds=options.latency_seconds, burst_seconds=options.burst_seconds
            )
    finally:
        stack.down()


def note(line: str) -> None:
    """Progress, on stderr."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)  # noqa: T201


def throughput(stack: Any, count: int, prefill: int) -> dict[str, Any]:
    """Records/s of pipeline and baselines from the same offsets, into ledgers with `prefill`
    rows.
    """
    from carbon_ledger.settings import load
    from tests.bench.events import create_topic, send
    from tests.support.postgres import scratch_database

    settings = load()
    topic = f"bench.iot.{int(time.time())}"
    schema_id = create_topic(settings, topic)
    note(f"sending {count:,} records to {topic}")
    ends = send(settings, topic, schema_id, count)
    figures: dict[str, Any] = {"prefill_rows": prefill}
    warm = f"{topic}.warm"
    create_topic(settings, warm)
    # The path runs on a warm service, whose compiled code takes some 500,000 records to settle.
    warm_ends = send(settings, warm, schema_id, 500_000)
    with scratch_database(stack.layout.database_url) as database:
        pipeline(settings, database, warm, warm_ends)
    with scratch_database(stack.layout.database_url) as before:
        fill(before, prefill)
        with copy_of(stack, before) as database:
            figures["plain_python"] = plain(settings, database, topic, ends, schema_id)
        with copy_of(stack, before) as database, copy_of(stack, before) as target:
            figures["pipeline"] = pipeline(settings, database, topic, ends)
            figures["copy_alone"] = copy_alone(database, target)
        with copy_of(stack, before) as database:
            from tests.bench.sealing import AlongSealer

            note("the pipeline, sealing after each batch")
            figures["pipeline_sealing"] = pipeline(
                settings, database, topic, ends, AlongSealer(database)
            )
    rate = figures["pipeline"]["records_per_second"]
    figures["ratio_of_sealing"] = round(figures["pipeline_sealing"]["records_per_second"] / rate, 2)
    figures["ratio_to_plain_python"] = round(
        rate / figures["plain_python"]["records_per_second"], 2
    )
    figures["ratio_to_copy_alone"] = round(
        figures["pipeline"]["entries_per_second"] / figures["copy_alone"]["entries_per_second"], 2
    )
    return figures


@contextmanager
def stopwatch() -> Any:
    """A list that holds the seconds once the block is done."""
    seconds: list[float] = []
    begun = time.perf_counter()
    yield seconds
    seconds.append(time.perf_counter() - begun)


@contextmanager
def copy_of(stack: Any, before: Any) -> Any:
    """The same ledger again, file by file; gone afterwards."""
    import psycopg

    from tests.support.postgres import LedgerDatabase, grant_connect

    source = before.admin_url.rpartition("/")[2].partition("?")[0]
    name = f"bench_{uuid.uuid4().hex[:12]}"
    url_of = stack.layout.database_url
    with psycopg.connect(url_of("postgres", "postgres"), autocommit=True) as server:
        server.execute(
            f"create database {name} owner carbon_owner template {source} strategy file_copy"
        )
        grant_connect(server, name)
        server.execute("checkpoint")
        yield LedgerDatabase.named(url_of, name)
        server.execute(f"drop database {name} with (force)")


def fill(database: Any, rows: int) -> None:
    """`rows` entries and identities that were there before, spread over two years."""
    if not rows:
        return
    note(f"filling a ledger with {rows:,} rows")
    with closing(database.writer()) as conn:
        from carbon_ledger.store import factors
        from carbon_ledger.store.rows import ensure_month
        from factor_seeds.load import release

        factors.store_release(conn, release())
        for year in (2023, 2024):
            for month in range(1, 13):
                ensure_month(conn, date(year, month, 1))
        conn.commit()
        query = (Path(__file__).parent / "fill.sql").read_text()
        step = 250_000
        for start in range(0, rows, step):
            conn.execute(query, {"first": start, "last": min(rows, start + step) - 1})
            conn.commit()


def plain(
    settings: Any, database: Any, topic: str, ends: dict[int, int], schema_id: int
) -> dict[str, Any]:
    """Baseline (a)."""
    from carbon_ledger.places import Rules
    from factor_seeds.load import shipped_book
    from tests.bench import baseline

    rules = Rules(book=shipped_book(), code_version="baseline")
    note("baseline (a): one plain Python process")
    with stopwatch() as seconds:
        counts = baseline.run(settings, database.writer_url, topic, ends, rules, schema_id)
    return {
        **counts,
        "seconds": round(seconds[0], 2),
        "records_per_second": round(counts["read"] / seconds[0]),
    }


def pipeline(
    settings: Any,
    database: Any,
    topic: str,
    ends: dict[int, int],
    after_batch: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """The whole micro-batch path: claims, Spark, archive, judgement, one transaction per part."""
    from carbon_ledger.planning import TopicSight
    from carbon_ledger.store import factors, gaps, manifest
    from carbon_ledger.streams import find
    from factor_seeds.load import release
    from spark.micro_batch import run_batch
    from spark.session import connect as connect_spark

    stream = replace(find("iot_energy"), topic=topic, max_wait_seconds=0)
    rows = release()
    spark = connect_spark(settings["CARBON_SPARK_REMOTE"])
    note("the pipeline")
    with closing(database.writer(autocommit=True)) as conn:
        factors.store_release(conn, rows)
        manifest.ensure_stream(conn, stream)
        sight = TopicSight(topic_id="T", offsets={number: (0, end) for number, end in ends.items()})
        gaps.observe_topic(conn, stream.name, sight)
        wal = conn.execute("select pg_current_wal_lsn()").fetchone()
        totals = dict.fromkeys(
            ("records_read", "ledgered", "duplicate", "dead_lettered", "quarantined"), 0
        )
        with stopwatch() as seconds:
            while True:
                plan = manifest.plan_batch(
                    conn,
                    stream,
                    ends,
                    factor_release=rows.release_id,
                    arrival_partition="2026-01-01-00:00",
                )
                if plan is None:
                    break
                plan = manifest.begin_attempt(conn, plan.batch_id, plan.attempt, "bench")
                result = run_batch(spark, database.writer_url, plan, settings)
                manifest.finish_batch(conn, plan.batch_id, plan.attempt)
                after_batch()
                for name in totals:
                    totals[name] += result.total(name)
        sizes = conn.execute(
            "select pg_wal_lsn_diff(pg_current_wal_lsn(), %s)::bigint,"
            " (select sum(archive_bytes)::bigint from ledger.batch_part),"
            " (select sum(pg_table_size(i.inhrelid))::bigint from pg_inherits i"
            "  where i.inhparent = 'ledger.entry'::regclass),"
            " (select sum(pg_indexes_size(i.inhrelid))::bigint from pg_inherits i"
            "  where i.inhparent = 'ledger.entry'::regclass),"
            " pg_total_relation_size('ledger.event_identity'),"
            " (select count(*) from ledger.entry)",
            wal,
        ).fetchone()
    wal_bytes, archive, heap, index, identity, entries = sizes
    return {
        **totals,
        "seconds": round(seconds[0], 2),
        "records_per_second": round(totals["records_read"] / seconds[0]),
        "entries_per_second": round(totals["ledgered"] / seconds[0]),
        "bytes_per_entry": {
            "heap": round(heap / entries),
            "primary_key": round(index / entries),
            "identity_with_key": round(identity / entries),
            "write_ahead_log": round(wal_bytes / totals["ledgered"]),
            "archive": round(archive / totals["ledgered"]),
        },
    }


def copy_alone(source: Any, target: Any) -> dict[str, Any]:
    """Baseline (b): COPY of the rows the pipeline wrote, text format, one connection."""
    from carbon_ledger.entries import COLUMNS

    note("baseline (b): COPY alone")
    names = ", ".join(COLUMNS)
    chunks: list[bytes] = []
    with closing(source.reader()) as conn, conn.cursor() as cursor:
        months = cursor.execute(
            "select distinct activity_month from ledger.entry where topic is not null"
        ).fetchall()
        with cursor.copy(
            f"copy (select {names} from ledger.entry where topic is not null) to stdout"
        ) as copy:
            chunks = [bytes(block) for block in copy]
    with closing(target.writer()) as conn, conn.cursor() as cursor:
        for (month,) in months:
            cursor.execute("select ledger.ensure_month(%s)", (month,))
        conn.commit()
        with stopwatch() as seconds:
            with cursor.copy(f"copy ledger.entry ({names}) from stdin") as copy:
                for block in chunks:
                    copy.write(block)
            written = cursor.rowcount
            conn.commit()
    return {
        "entries": written,
        "seconds": round(seconds[0], 2),
        "entries_per_second": round(written / seconds[0]),
    }


def table(results: dict[str, Any]) -> str:
    """The same for people."""
    rows = [f"{'':34}{'records/s':>12}{'ratio':>8}"]
    for name in ("empty_ledger", "prefilled_ledger"):
        if name not in results:
            continue
        one = results[name]
        rows.append(f"{name} ({one['prefill_rows']:,} rows before)")
        rows.append(f"{'  pipeline':34}{one['pipeline']['records_per_second']:>12,}")
        sealing_rate = one["pipeline_sealing"]["records_per_second"]
        rows.append(
            f"{'  sealing after each batch':34}{sealing_rate:>12,}{one['ratio_of_sealing']:>8}"
        )
        plain_rate = one["plain_python"]["records_per_second"]
        rows.append(
            f"{'  (a) plain Python process':34}{plain_rate:>12,}{one['ratio_to_plain_python']:>8}"
        )
        rows.append(f"{'  pipeline, entries/s':34}{one['pipeline']['entries_per_second']:>12,}")
        copied = one["copy_alone"]["entries_per_second"]
        rows.append(
            f"{'  (b) COPY alone, entries/s':34}{copied:>12,}{one['ratio_to_copy_alone']:>8}"
        )
        sizes = ", ".join(f"{k} {v}" for k, v in one["pipeline"]["bytes_per_entry"].items())
        rows.append(f"  bytes per entry: {sizes}")
    if "calc" in results:
        from tests.bench import calc

        rows += calc.table(results["calc"])
    if "verify" in results:
        from tests.bench import verify

        rows += verify.table(results["verify"])
    if "sealing" in results:
        from tests.bench import sealing

        rows += sealing.table(results["sealing"])
    if "latency" in results:
        from tests.bench import latency

        rows += latency.table(results["latency"])
    return "\n".join(rows)


if __name__ == "__main__":
    raise SystemExit(main())
