"""The restore drill: a stack loses its database, goes back to a moment, and catches up exactly.

    python -m tests.night.restore_drill [--events 1000000] [--home FOLDER] [--offset 12500]

What it does: a stack of its own takes four fifths of the records, is backed up, takes the rest, and
loses PostgreSQL's whole folder. It is restored to a moment in the middle of the rest, started, and
left alone until it has taken from Kafka what is missing, which must be something. Then its ledger
must have the digest that it had before, its accounts must be closed, and `carbon verify` must
accept the old heads up to the restored size and the new ones after it, naming the restore that was
declared. Prints one JSON object; exit status 1 if anything differs.

FOLDER is emptied first; one that is not of an earlier drill is refused.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from carbon_ledger.settings import load
from devstack import backup
from devstack.stack import Stack
from pipeline.preparation import prepare_streams
from tests.support.stack_environment import clean_environment

TOPIC, STREAM = "raw.iot.energy", "iot_energy"
PATIENCE_SECONDS = 3600
RTO_SECONDS_MAX = 300
# A file by which the drill knows its own folder again.
MARK = "of-a-restore-drill"


def main(argv: list[str] | None = None) -> int:
    """Runs the drill; 0 if the ledger came back whole and in time."""
    parser = argparse.ArgumentParser(prog="restore_drill")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--home", type=Path, default=Path(".carbon-drill"))
    parser.add_argument("--offset", type=int, default=12_500)
    options = parser.parse_args(argv)
    home: Path = options.home.resolve()
    if home.exists() and not (home / MARK).exists():
        parser.error(f"--home {home} is there and is not of an earlier drill; it would be emptied")
    clean = clean_environment()
    for name in set(os.environ) - set(clean):
        del os.environ[name]
    os.environ["CARBON_HOME"] = str(home)
    os.environ["CARBON_PORT_OFFSET"] = str(options.offset)
    stack = Stack(load())
    stack.down()
    stack.reset()
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (home / MARK).touch()
    try:
        found = drill(stack, options.events)
    finally:
        stack.down()
    found["faults"] = faults(found)
    print(json.dumps(found, indent=1, default=str))  # noqa: T201
    return 1 if found["faults"] else 0


def faults(found: dict[str, Any]) -> list[str]:
    """What is not as it must be in the figures of a drill, in a few words each."""
    before, after = found["before"], found["after"]
    told = [
        f"{name} was {before[name]}, is {after[name]}"
        for name in ("entries", "digest", "dead_letters")
        if before[name] != after[name]
    ]
    if found["rto_seconds"] > RTO_SECONDS_MAX:
        told.append(f"it was back after {found['rto_seconds']} s, later than {RTO_SECONDS_MAX} s")
    if not found["entries_posted_again"]:
        told.append("nothing was missing after the restore, so nothing was shown")
    told += [f"accounts: {one}" for one in after["account_faults"]]
    return told + [f"carbon verify: {one['code']}" for one in found["verify"]["findings"]]


def drill(stack: Stack, events: int) -> dict[str, Any]:
    """The whole drill; its figures."""
    up(stack)
    sent = send(stack, events * 4 // 5, seed=1, first=0)
    wait_for_ledger(stack, sent)
    taken = backup.take(stack.layout, stack.layout.backups)
    note(f"backup of {taken.size_bytes / 1e6:,.0f} MB")
    sent = add(sent, send(stack, events - events * 4 // 5, seed=2, first=events))
    middle = moment_in_the_middle(stack, sent)
    wait_for_ledger(stack, sent)
    wait_until_sealed(stack)
    before = state(stack)
    lose_database(stack)
    begun = time.monotonic()
    restored = backup.restore(stack.layout, stack.layout.backups, middle)
    up(stack)
    rto = time.monotonic() - begun
    declare(stack)
    wait_for_ledger(stack, sent)
    caught_up = time.monotonic() - begun
    wait_until_sealed(stack)
    after = state(stack)
    return {
        "events": events,
        "restored_to": middle,
        "restore_seconds": restored.seconds,
        "rto_seconds": round(rto, 1),
        "entries_posted_again": posted_since(stack, middle),
        "caught_up_seconds": round(caught_up, 1),
        "before": before,
        "after": after,
        "verify": verify(stack),
    }


def up(stack: Stack) -> None:
    """Starts the stack with everything in it."""
    stack.up(initialise=prepare_streams, report=note)


def note(line: str) -> None:
    """Progress, on stderr."""
    print(f"{datetime.now(UTC):%H:%M:%S} {line}", file=sys.stderr, flush=True)  # noqa: T201


def send(stack: Stack, count: int, seed: int, first: int) -> dict[int, int]:
    """Sends records; how many each partition got."""
    from pipeline.serialization import Registry, ensure_schema
    from tests.bench.events import send as send_records

    settings = stack.stack_settings()
    schema_id = ensure_schema(Registry(settings), TOPIC, STREAM)
    return send_records(settings, TOPIC, schema_id, count, seed, first)


def add(one: dict[int, int], other: dict[int, int]) -> dict[int, int]:
    """Sums by partition."""
    return {partition: one.get(partition, 0) + other.get(partition, 0) for partition in one | other}


def rows(stack: Stack, statement: str) -> list[tuple[Any, ...]]:
    """What the ledger's database answers a superuser."""
    import psycopg

    with psycopg.connect(stack.layout.database_url("postgres", "carbon"), autocommit=True) as conn:
        return conn.execute(statement.encode()).fetchall()


def committed(stack: Stack) -> dict[int, int]:
    """How far each partition is in the accounts."""
    found = rows(
        stack,
        f"select kafka_partition, committed_offset from manifest.progress where topic = '{TOPIC}'",
    )
    return dict(found)


def wait_for_ledger(stack: Stack, sent: dict[int, int]) -> None:
    """Returns once every record sent is in the accounts."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        done = committed(stack)
        if all(done.get(partition, 0) >= count for partition, count in sent.items()):
            return
        time.sleep(1)
    raise TimeoutError(f"sent {sent}, committed {committed(stack)}")


def moment_in_the_middle(stack: Stack, sent: dict[int, int]) -> datetime:
    """A moment at which some of what came after the backup was in the accounts, and some was
    not.
    """
    begin, end = sum(committed(stack).values()), sum(sent.values())
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        now = sum(committed(stack).values())
        if now >= end:
            raise RuntimeError(f"all {end} records were in the accounts at once: send more")
        if now > begin:
            ((moment,),) = rows(stack, "select clock_timestamp()")
            return moment  # type: ignore[no-any-return]
        time.sleep(0.02)
    raise TimeoutError(f"nothing was committed in {PATIENCE_SECONDS} s: {now} of {end} are")


def wait_until_sealed(stack: Stack) -> None:
    """Returns once every commit has its seal and every head is published."""
    deadline = time.monotonic() + 300
    question = """
        select (select count(*) from audit.commit c
                where not exists (select from audit.seal_commit s where s.commit_id = c.commit_id))
             + (select count(*) from audit.head h where not exists
                (select from audit.head_publication p
                 where p.tree_size = h.tree_size and p.place = 'file'))
    """
    while time.monotonic() < deadline:
        if rows(stack, question) == [(0,)]:
            return
        time.sleep(1)
    raise TimeoutError("commits stay unsealed")


def state(stack: Stack) -> dict[str, Any]:
    """What the ledger holds: counts, its digest, faults of its accounts."""
    from carbon_ledger.store.checks import check_accounts
    from carbon_ledger.store.connect import connect

    (counted,) = rows(
        stack,
        # What is posted per period is posted anew, under other numbers, after what it rests on.
        "select (select count(*) from ledger.entry where kafka_offset is not null),"
        " (select count(*) from ledger.dead_letter),"
        " (select count(*) from audit.seal), (select max(tree_size) from audit.head)",
    )
    url = stack.layout.database_url("carbon_verifier", "carbon")
    with connect(url, "drill", True) as conn:
        faults = [str(fault) for fault in check_accounts(conn)]
    entries, letters, seals, tree = counted
    return {
        "entries": entries,
        "dead_letters": letters,
        "seals": seals,
        "tree_size": tree,
        "digest": carbon("ledger", "digest", "--from-records").strip(),
        "account_faults": faults,
    }


def posted_since(stack: Stack, moment: datetime) -> int:
    """Entries that records posted after `moment`: of a ledger that was put back to it, those which
    it lacked then.
    """
    ((count,),) = rows(
        stack,
        "select count(*) from ledger.entry where kafka_offset is not null"
        f" and recorded_at > '{moment.isoformat()}'",
    )
    return int(count)


def carbon(*arguments: str, allowed: tuple[int, ...] = (0,)) -> str:
    """What a command of ours prints."""
    result = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    if result.returncode not in allowed:
        raise RuntimeError(f"carbon {' '.join(arguments)}: {result.stderr[-2000:]}")
    return result.stdout


def lose_database(stack: Stack) -> None:
    """PostgreSQL dies at once and its folder is gone, as after the loss of a disk."""
    pid = stack.pids()["postgres"]
    os.kill(pid, signal.SIGKILL)
    stack.down()
    shutil.rmtree(stack.layout.home / "postgres")
    note("the database is lost")


def declare(stack: Stack) -> None:
    """Says that the database was put back, so that the sealer goes on under a new name."""
    carbon("heads", "declare-restore", "--by", "drill", "--reason", "restore drill")


def verify(stack: Stack) -> dict[str, Any]:
    """What `carbon verify` says, against the heads that had left the database."""
    found: dict[str, Any] = json.loads(
        carbon("verify", "--json", "--accept-restore", "1", allowed=(0, 1))
    )
    return found


if __name__ == "__main__":
    raise SystemExit(main())
