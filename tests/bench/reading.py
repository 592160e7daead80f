"""Reading a large ledger: a year's report, a day that comes late, inventories while entries come
in, exports.

`python -m tests.bench.reading [--entries N]`, on a PostgreSQL of its own; prints JSON.
Belongs here: making the ledger, asking, baselines of the same minute. Does not: the judgement of
the figures.

Baselines: one plain GROUP BY of the year's lines, and COPY of the table as it is.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil

from carbon_ledger.settings import PROJECT_ROOT
from carbon_ledger.store.entry_sums import sum_entries
from carbon_ledger.store.report_inputs import KEYS, read_cubes
from carbon_ledger.store.rows import ensure_month
from devstack.layout import Layout
from devstack.postgres import Postgres
from sensors.entry_sums import TICK_SECONDS, WORK_SECONDS
from tests.bench.late_day import late_day
from tests.bench.sealing import percentile
from tests.support.api_server import make_key
from tests.support.dagster_client import wait_for
from tests.support.own_postgres import free_offset, running
from tests.support.postgres import LedgerDatabase, reading, scratch_database
from tests.support.reading_ledger import bought, post, settings_of

YEAR = 2025
FACILITIES = 200
CLIENTS = 8
INGEST_ROWS = 200
STEP = 250_000
SUPPLIER = "SUP_042_DE"
START_SECONDS = 60
# How long inventories are asked for.
SECONDS = 60
# Between a client's questions, on average: dashboards that look again and again, and a machine at
# its limit.
PAUSES = (0.25, 0.0)
# One question of each kind in turn, as each of the clients asks them.
QUESTIONS: dict[str, Callable[[random.Random], tuple[str, dict[str, Any]]]] = {
    "supplier, a year by day": lambda _: (
        f"/v1/suppliers/{SUPPLIER}/inventory",
        {"granularity": "daily", "start_date": f"{YEAR}-01-01", "end_date": f"{YEAR}-12-31"},
    ),
    "facility, a month by day": lambda chance: (
        f"/v1/facilities/PLANT-{chance.randrange(FACILITIES)}/inventory",
        {"granularity": "daily", "start_date": f"{YEAR}-02-01", "end_date": f"{YEAR}-02-28"},
    ),
    "organization, a day by hour": lambda chance: (
        "/v1/inventory",
        dict.fromkeys(("start_date", "end_date"), f"{YEAR}-02-{1 + chance.randrange(28):02d}")
        | {"granularity": "hourly"},
    ),
}
PLAIN = """
    select scope, category, basis, facility_id, country_iso2, sum(kgco2e), count(*)
    from ledger.entry
    where activity_month >= %s and activity_month < %s
    group by 1, 2, 3, 4, 5
"""
# Connections of the API's pools, which stay open.
READERS = """
    select pid from pg_stat_activity
    where datname = current_database() and application_name = 'carbon reader pool'
"""
ONLY = ("exports", "inventories", "late-day")
FORMS = ("ndjson", "csv", "parquet")
# The same by the columns that reports tell lines apart by.
PLAIN_OF_ALL = f"""
    select organization_id, {", ".join(KEYS)}, sum(kgco2e), count(*)
    from ledger.entry
    where activity_month >= %s and activity_month < %s
    group by {", ".join(str(number + 1) for number in range(len(KEYS) + 1))}
"""


def note(text: str) -> None:
    """Says what is done now."""
    sys.stderr.write(f"{datetime.now(UTC):%H:%M:%S} {text}\n")


def fill(database: LedgerDatabase, entries: int) -> None:
    """`entries` readings of 200 facilities over the year, and a thousand purchases."""
    begin = datetime(YEAR, 1, 1, tzinfo=UTC)
    text = (Path(__file__).parent / "fill.sql").read_text(encoding="utf-8")
    # Whatever their number is, they fill the year, so that a month has a twelfth of them.
    each = max(1, entries // (364 * 24 * 60))
    text = text.replace("2023-01-01", f"{begin:%Y-%m-%d}").replace("n / 7", f"n / {each}")
    with closing(database.writer(autocommit=True)) as conn:
        for month in range(1, 13):
            ensure_month(conn, date(YEAR, month, 1))
        count = min(entries, each * 364 * 24 * 60)
        for first in range(0, count, STEP):
            conn.execute(text, {"first": first, "last": min(count, first + STEP) - 1})
        days = [begin.date() + timedelta(days=number % 365) for number in range(1_000)]
        post(conn, [bought(number, day, "12.5") for number, day in enumerate(days)])
    with closing(database.admin()) as conn:
        conn.execute("vacuum analyze")


def seconds_of(work: Callable[[], Any]) -> float:
    """How long it takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def report(database: LedgerDatabase) -> dict[str, Any]:
    """Seconds of a year's sums for its reports: read line by line, and from the sums by month; of
    making those sums from nothing; of one plain GROUP BY before and after, and of one by all the
    columns that reports tell lines apart by.
    """
    year = date(YEAR, 1, 1), date(YEAR + 1, 1, 1)
    with closing(database.reader()) as conn, closing(database.writer(autocommit=True)) as writer:
        (moment,) = conn.execute("select ledger.knowledge_horizon()").fetchone() or (None,)
        before = seconds_of(lambda: conn.execute(PLAIN, year).fetchall())
        by_lines = seconds_of(lambda: read_cubes(conn, *year, moment))
        after = seconds_of(lambda: conn.execute(PLAIN, year).fetchall())
        of_all = seconds_of(lambda: conn.execute(PLAIN_OF_ALL, year).fetchall())
        note("sums from nothing")
        summing = seconds_of(lambda: sum_entries(writer, 3_600))
        writer.execute("analyze windows.day_sum, windows.month_sum")
        (moment,) = conn.execute("select ledger.knowledge_horizon()").fetchone() or (None,)
        own = seconds_of(lambda: read_cubes(conn, *year, moment))
    plain = (before + after) / 2
    return {
        "report_seconds": round(own, 3),
        "group_by_seconds": round(plain, 2),
        "ratio_to_group_by": round(own / plain, 3),
        "report_by_lines_seconds": round(by_lines, 2),
        "ratio_by_lines_to_group_by": round(by_lines / plain, 2),
        "sums_from_nothing_seconds": round(summing, 1),
        "group_by_of_all_columns_seconds": round(of_all, 2),
        "ratio_by_lines_to_group_by_of_all_columns": round(by_lines / of_all, 2),
    }


@contextmanager
def api(database: LedgerDatabase, home: Path) -> Iterator[tuple[httpx.Client, psutil.Process]]:
    """The API in a process of its own, as `carbon api` runs it; a client of a reporter's key."""
    settings = settings_of(database, home, CARBON_API_REQUESTS_PER_SECOND="0")
    key = make_key(settings, role="reporter", scopes=(), supplier_ids=())
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    others = {name: text for name, text in os.environ.items() if not name.startswith("CARBON_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "api", "--port", str(port)],
        cwd=PROJECT_ROOT,
        env={**others, **{name: text for name, text in settings.values.items() if text}},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {key.text}"},
            timeout=600,
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                client.get("/v1/inventory", params={"start_date": "2199-01-01"})
                break
            except httpx.TransportError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
                time.sleep(0.2)
        yield client, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def processor_seconds(server: psutil.Process, database: LedgerDatabase) -> tuple[float, float]:
    """User and system time so far of the API, and of the connections that it reads with."""
    with closing(database.reader()) as conn:
        readers = [psutil.Process(pid) for (pid,) in conn.execute(READERS)]
        spent = [process.cpu_times() for process in (server, *readers)]
    each = [times.user + times.system for times in spent]
    return each[0], sum(each[1:])


def exports(
    client: httpx.Client, server: psutil.Process, database: LedgerDatabase, entries: int
) -> dict[str, Any]:
    """Entries a second of each form, processor time of each entry, the server's memory before and
    at most, and COPY alone.
    """
    found: dict[str, Any] = {}
    with closing(database.reader()) as conn, conn.cursor() as cursor:

        def plain() -> None:
            with cursor.copy("copy (select * from ledger.entry) to stdout") as copy:
                while copy.read():
                    pass

        found["copy_alone"] = round(entries / seconds_of(plain))
    for form in FORMS:
        note(f"export as {form}")
        before = most = server.memory_info().rss
        size = 0
        spent = processor_seconds(server, database)
        begun = time.perf_counter()
        with client.stream("GET", "/v1/entries/export", params={"format": form}) as answer:
            answer.raise_for_status()
            for number, piece in enumerate(answer.iter_raw(1 << 20)):
                size += len(piece)
                if number % 50 == 0:
                    most = max(most, server.memory_info().rss)
        seconds = time.perf_counter() - begun
        api, postgres = (
            round((now - before) * 1e6 / entries, 1)
            for before, now in zip(spent, processor_seconds(server, database), strict=True)
        )
        found[form] = {
            "entries_per_second": round(entries / seconds),
            "api_processor_microseconds_per_entry": api,
            "postgres_processor_microseconds_per_entry": postgres,
            "megabytes": size >> 20,
            "memory_before_megabytes": before >> 20,
            "memory_most_megabytes": most >> 20,
        }
    return found


def ask(
    base_url: str, headers: dict[str, str], number: int, pause: float, told: Any, over: Any
) -> None:
    """One client, in a process of its own: waiting for its neighbours is not the API's time. Asks
    until it is `over`, each time one of the questions by chance, and tells name and milliseconds.
    """
    chance = random.Random(number)
    with httpx.Client(base_url=base_url, headers=headers, timeout=600) as client:
        while not over.is_set():
            # As people do who know nothing of each other: never all at once again and again.
            time.sleep(chance.expovariate(1 / pause) if pause else 0)
            name = chance.choice(list(QUESTIONS))
            path, parameters = QUESTIONS[name](chance)
            begun = time.perf_counter()
            client.get(path, params=parameters).raise_for_status()
            told.put((name, (time.perf_counter() - begun) * 1000))


@contextmanager
def asking(client: httpx.Client, pause: float, told: Any) -> Iterator[None]:
    """CLIENTS processes that ask."""
    of = (str(client.base_url), dict(client.headers))
    context = multiprocessing.get_context("spawn")
    over = context.Event()
    clients = [
        context.Process(target=ask, args=(*of, number, pause, told, over))
        for number in range(CLIENTS)
    ]
    for one in clients:
        one.start()
    try:
        yield
    finally:
        over.set()
        for one in clients:
            one.join()


def inventories(
    client: httpx.Client, database: LedgerDatabase, seconds: int, pause: float
) -> dict[str, Any]:
    """p50 and p95 in milliseconds of each kind of question of CLIENTS clients, while entries come
    in, and of one plain GROUP BY of a month at the same time. Each client asks again some `pause`
    seconds after an answer: at once, and the machine has no time to spare.
    """
    over = threading.Event()
    told: Any = multiprocessing.get_context("spawn").SimpleQueue()
    found: dict[str, list[float]] = {name: [] for name in QUESTIONS}
    ingested = 0
    first = random.randrange(50_000_000, 2_000_000_000)
    month = date(YEAR, 2, 1), date(YEAR, 3, 1)

    def ingest() -> None:
        nonlocal ingested
        with closing(database.writer(autocommit=True)) as conn:
            ensure_month(conn, date(YEAR, 3, 1))
            while not over.is_set():
                base = first + ingested
                rows = [
                    reading(base + number, occurred_from=datetime(YEAR, 3, 1, tzinfo=UTC)
                            + timedelta(seconds=(ingested + number) % 2_000_000),
                            source_ref=f"INGEST-{base + number}")
                    for number in range(INGEST_ROWS)
                ]  # fmt: skip
                post(conn, rows)
                ingested += len(rows)
                over.wait(0.2)

    def keep_summing() -> None:
        # As its sensor does.
        with closing(database.writer(autocommit=True)) as conn:
            while not over.wait(TICK_SECONDS):
                sum_entries(conn, WORK_SECONDS)

    def keep_told() -> None:
        while (one := told.get()) is not None:
            found[one[0]].append(one[1])

    reader = threading.Thread(target=keep_told)
    reader.start()
    threads = [threading.Thread(target=ingest), threading.Thread(target=keep_summing)]
    plain = []
    with closing(database.reader()) as conn, asking(client, pause, told):
        # Each has asked once: none is still starting.
        wait_for("answer to each", lambda: sum(map(len, found.values())) >= CLIENTS, START_SECONDS)
        begun = time.monotonic()
        for one in threads:
            one.start()
        for times in found.values():
            times.clear()
        while time.monotonic() < begun + seconds:
            plain.append(seconds_of(lambda: conn.execute(PLAIN, month).fetchall()) * 1000)
            time.sleep(1)
        asked = {name: list(times) for name, times in found.items()}
    over.set()
    told.put(None)
    for one in (*threads, reader):
        one.join()
    return {
        "clients": CLIENTS,
        "pause_seconds": pause,
        "answers_per_second": round(sum(map(len, asked.values())) / seconds, 1),
        "ingested_per_second": round(ingested / seconds),
        "group_by_of_a_month_ms_p50": percentile(plain, 50),
        **{
            name: {
                "asked": len(times),
                "ms_p50": percentile(times, 50),
                "ms_p95": percentile(times, 95),
            }
            for name, times in asked.items()
        },
    }


def run(entries: int, seconds: int, only: str | None) -> dict[str, Any]:
    """All of it, or one of ONLY alone, on a PostgreSQL of its own."""
    with tempfile.TemporaryDirectory(prefix="carbon-bench-") as folder:
        home = Path(folder)
        server = Postgres(Layout(home=home, cache=home, offset=free_offset()))
        with (
            running(server),
            scratch_database(server.layout.database_url, with_factors=True) as database,
        ):
            note(f"a ledger of {entries:,} entries")
            fill(database, entries)
            with closing(database.reader()) as conn:
                (count,) = conn.execute("select count(*) from ledger.entry").fetchone() or (0,)
            found: dict[str, Any] = {"entries": count}
            if only == "inventories":
                with closing(database.writer(autocommit=True)) as conn:
                    sum_entries(conn, 3_600)
            elif only is None:
                note("a year's report")
                found["report"] = report(database)
            if only in (None, "late-day"):
                note("a day that comes late")
                found["late day"] = late_day(database, YEAR)
            if only == "late-day":
                return found
            with api(database, home) as (client, process):
                if only != "inventories":
                    found["exports"] = exports(client, process, database, count)
                for pause in () if only == "exports" else PAUSES:
                    note(f"inventories, {CLIENTS} clients for {seconds} s, pause {pause} s")
                    found[f"inventories, pause {pause} s"] = inventories(
                        client, database, seconds, pause
                    )
            return found


def main() -> None:
    """Prints the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.reading", description=__doc__)
    parser.add_argument("--entries", type=int, default=5_000_000)
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of inventories")
    parser.add_argument("--only", choices=ONLY, help="nothing but these")
    options = parser.parse_args()
    found = run(options.entries, options.seconds, options.only)
    print(json.dumps(found, indent=2))  # noqa: T201


if __name__ == "__main__":
    main()
