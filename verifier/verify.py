"""Recomputes the whole ledger inside one snapshot and compares it with everything written down.

Belongs here: the order of the checks and who does which, in two processes at most. Does not: any
single check.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from typing import Final

import psycopg

from verifier.commits import Comparison, Listed, check_accounts, read_commits
from verifier.connection import (
    CannotVerify,
    Connection,
    exported,
    open_snapshot,
    prepare,
    why_unreadable,
)
from verifier.entries import Scan, scan
from verifier.findings import Report
from verifier.heads import HeadCheck, OutsideHead
from verifier.pairs import (
    check_bound_reports,
    check_digits,
    check_identities,
    check_reversals,
    check_sums,
    check_windows,
)
from verifier.places import locate
from verifier.protections import check_protections
from verifier.seals import SealCheck

Witness = tuple[str, bytes]
WORKER_SECONDS: Final = 3600


def verify(
    url: str,
    *,
    outside: Sequence[OutsideHead] = (),
    keys: Sequence[bytes] = (),
    witness: Witness | None = None,
    accepted: Collection[int] = (),
) -> Report:
    """Every difference in the ledger at `url`, as of one moment; CannotVerify if it cannot be read.

    `outside` are heads that left the database, read before this is called; `keys` the Ed25519 keys
    (32 bytes) that heads must be signed with; `witness` a name and its key; `accepted` the numbers
    of the declared restores that the reader accepts.
    """
    report = Report()
    try:
        with timed(report, "total"), open_snapshot(url) as connection:
            with second_process(url, exported(connection)) as pipe:
                with timed(report, "first half of the entries"):
                    scans = [scan(connection, 0, 2)]
                with timed(report, "commits, seals and heads"):
                    listed = check_sealed(connection, report, outside, keys, witness, accepted)
                with timed(report, "reversals and events"):
                    check_reversals(connection, report)
                    check_identities(connection, report)
                with timed(report, "digits of figures"):
                    check_digits(connection, report)
                with timed(report, "reports that periods bind"):
                    check_bound_reports(connection, report)
                with timed(report, "triggers and row security"):
                    check_protections(connection, report)
                with timed(report, "waiting for the second half and the windows"):
                    other, found = received(pipe)
            scans.append(other)
            with timed(report, "comparison"):
                compare(connection, scans, listed, report)
            report.merge(found)
            with timed(report, "places of the rows that differ"):
                locate(connection, report)
    except psycopg.Error as error:
        raise CannotVerify(why_unreadable(url, error)) from error
    return report


def verify_on(
    connection: Connection,
    *,
    outside: Sequence[OutsideHead] = (),
    keys: Sequence[bytes] = (),
    witness: Witness | None = None,
    accepted: Collection[int] = (),
) -> Report:
    """As `verify`, over an open connection and what it sees, its own changes included; alone."""
    report = Report()
    with timed(report, "total"):
        prepare(connection)
        listed = check_sealed(connection, report, outside, keys, witness, accepted)
        compare(connection, [scan(connection)], listed, report)
        check_reversals(connection, report)
        check_identities(connection, report)
        check_digits(connection, report)
        check_bound_reports(connection, report)
        check_windows(connection, report)
        check_sums(connection, report)
        check_protections(connection, report)
        locate(connection, report)
    return report


def check_sealed(
    connection: Connection,
    report: Report,
    outside: Sequence[OutsideHead],
    keys: Sequence[bytes],
    witness: Witness | None,
    accepted: Collection[int] = (),
) -> Listed:
    """What commits list, after seals and heads were compared with it."""
    listed = read_commits(connection, report)
    seals = SealCheck(connection, listed, report)
    sizes = {one.head.tree_size for one in outside if one.head is not None}
    sealed = seals.run({*sizes, *HeadCheck.sizes(connection)})
    heads = HeadCheck(connection, sealed, keys, report, accepted)
    heads.inside()
    heads.outside(outside)
    if witness is not None:
        heads.witnessed(outside, *witness)
    report.looked_at["commits"] = len(listed.commits)
    report.looked_at["seals"] = len(sealed.seals)
    report.looked_at["heads"] = len(heads.rows)
    report.looked_at["heads outside the database"] = len(outside)
    return listed


def compare(connection: Connection, scans: list[Scan], listed: Listed, report: Report) -> None:
    """Entries against commits, and commits against accounts."""
    report.looked_at["entries"] = sum(len(one.ids) // 16 for one in scans)
    contradicted = check_accounts(connection, listed, report)
    Comparison(scans, listed, report).run(contradicted)


@contextmanager
def timed(report: Report, name: str) -> Iterator[None]:
    """Notes the seconds that the block takes."""
    begun = time.perf_counter()
    yield
    report.seconds[name] = time.perf_counter() - begun


@contextmanager
def second_process(url: str, snapshot: str) -> Iterator[Pipe]:
    """Another process that hashes the other half of the entries and sums the windows."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(url, snapshot, there), daemon=True)
    process.start()
    there.close()
    try:
        yield here
    finally:
        here.close()
        process.terminate()
        process.join()


def _work(url: str, snapshot: str, pipe: Pipe) -> None:
    report = Report()
    try:
        with open_snapshot(url, snapshot) as connection:
            found = scan(connection, 1, 2)
            check_windows(connection, report)
            check_sums(connection, report)
        pipe.send((found, report))
    except psycopg.Error as error:
        pipe.send(why_unreadable(url, error))
    except CannotVerify as error:
        pipe.send(str(error))
    finally:
        pipe.close()


def received(pipe: Pipe) -> tuple[Scan, Report]:
    """What the other process found; CannotVerify if it failed or is gone."""
    try:
        late = f"it took longer than {WORKER_SECONDS:,} s"
        found = pipe.recv() if pipe.poll(WORKER_SECONDS) else late
    except EOFError:
        found = "it ended early"
    if isinstance(found, str):
        raise CannotVerify(f"half of the entries have no result: {found}")
    other, report = found
    return other, report
