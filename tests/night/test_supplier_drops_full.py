"""The issue's own figures for dropped files, with a worker beside the stack's own sensor.

200 drops of ten suppliers, 50 of them cut half-way and resumed, 20 of them again under new names,
and 30 hostile files, among them a symbolic link and a line of a gigabyte: exact ledger, exact
receipts, nothing written outside the drop folders.

`SUPPLIER_DROPS` gives it another size, all else in proportion: with 20 it takes a few minutes.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from carbon_ledger.errors import CarbonError
from carbon_ledger.settings import PROJECT_ROOT, load
from carbon_ledger.store.connect import connect
from resources.drops import work_off_drops
from scripts import build_drop_templates as templates
from tests.support.dagster_client import wait_for
from tests.support.hostile_files import hostile_files, workbook
from tests.support.kafka_reading import Since
from tests.support.supplier_side import (
    KIND,
    Drop,
    Suppliers,
    check_receipts,
    events_in,
    expected_codes,
    in_stack_env,
    make_drop,
    sftp_server,
    tree,
)

pytestmark = [pytest.mark.night, pytest.mark.timeout(1500)]

FULL = 200
DROPS = int(os.environ.get("SUPPLIER_DROPS") or FULL)
SUPPLIERS, CUT, DOUBLED = min(10, DROPS), DROPS // 4, DROPS // 10
# At least the link, the long line and one more.
HOSTILE = max(3, min(30, DROPS * 3 // 20))
QUIET_SECONDS = 3
# Longer than several looks, so that each half of a file was seen at rest.
REST_SECONDS = 35.0
CUT_WAIT_SECONDS = 240
LINE_BYTES = 1 << 30 if DROPS >= FULL else 64 << 20
FAULTS_MAX = 5
DONE_SECONDS = 700.0


def test_drops_a_quarter_cut_a_tenth_doubled_and_hostile_ones_are_ledgered_exactly(
    stack: Any, tmp_path: Path
) -> None:
    names = [f"SUP_{uuid.uuid4().hex[:8]}" for _ in range(SUPPLIERS)]
    drops = [make_drop(names[n % SUPPLIERS], n, bad=n % 3 == 0) for n in range(DROPS)]
    cut, doubled = drops[:CUT], drops[CUT : CUT + DOUBLED]
    # One is the link and one the long line.
    hostile = hostile_files(workbook([["a"], [1]]))[: HOSTILE - 2]
    codes = expected_codes(hostile, tmp_path)
    codes["line.csv"] = "file_too_large"
    assert len(codes) == HOSTILE
    events = Since(settings=load(), topic="raw.supplier")
    begun = time.monotonic()
    with (
        sftp_server(tmp_path / "sftp") as suppliers,
        in_stack_env(stack, suppliers, quiet=QUIET_SECONDS, cut_wait=CUT_WAIT_SECONDS),
        _worker(),
    ):
        for name in names:
            suppliers.join(name)
        outside = _outside(tmp_path)
        for name in names:
            _leave(suppliers, name, drops, cut)
        _leave_hostile(suppliers, names[0], hostile)
        time.sleep(REST_SECONDS)
        read = {one["file"] for name in names for one in suppliers.receipts(name)}
        assert not read & {drop.name for drop in cut}
        for name in names:
            with suppliers.login(name) as upload:
                for drop in (one for one in cut if one.supplier_id == name):
                    upload.resume(drop.name, drop.content)
        originals = {drop.name for drop in doubled}
        wait_for("the originals", lambda: originals <= _files(suppliers, names), DONE_SECONDS)
        for name in names:
            with suppliers.login(name) as upload:
                for drop in (one for one in doubled if one.supplier_id == name):
                    upload.put(f"again-{drop.name}", drop.content)
        count = DROPS + DOUBLED + HOSTILE
        wait_for("all receipts", lambda: _receipts(suppliers, names) == count, DONE_SECONDS)
        expected = {event_id: kg for drop in drops for event_id, kg in _kg(drop).items()}
        seconds = time.monotonic() - begun
        wait_for("the ledger", lambda: len(_lines(names)) >= len(expected), DONE_SECONDS)
        assert _lines(names) == {event_id: [(1, kg)] for event_id, kg in expected.items()}
        # Nothing was bought from these suppliers, so what they declare stands for nothing.
        settled = {event_id.replace("#0", "#c1"): Decimal(0) for event_id in expected}
        wait_for("supersession", lambda: _not_admitted(names) == settled, DONE_SECONDS)
        found = events_in([bytes(one.value() or b"") for one in events.records()])
        assert {event_id: len(values) for event_id, values in found.items()} == dict.fromkeys(
            expected, 1
        )
        for name in names:
            check_receipts(
                suppliers,
                name,
                [one for one in drops if one.supplier_id == name],
                [one for one in doubled if one.supplier_id == name],
                codes if name == names[0] else {},
            )
        assert _outside(tmp_path) == outside
        assert not Path("/etc/evil.xml").exists()
        kept = {path.stat().st_size for path in (tmp_path / "quarantine").rglob("*.bin")}
        assert LINE_BYTES in kept
    rejected = sum(len(one.rejected) for one in drops)
    sys.stdout.write(
        f"{DROPS} drops ({CUT} cut), {DOUBLED} doubled, {HOSTILE} hostile: {len(expected)} events, "
        f"{rejected} rejected rows, {count} receipts, in {seconds:.0f} s; "
        f"{len(expected)} ledger lines, {sum(expected.values())} kgCO2e\n"
    )


@contextmanager
def _worker() -> Iterator[None]:
    """Works off what is whole again and again, as the sensor's runs do; they may be at it too."""
    stop, faults = threading.Event(), list[CarbonError]()

    def work() -> None:
        given = load()
        while not stop.wait(2) and len(faults) < FAULTS_MAX:
            try:
                with connect(given["CARBON_DATABASE_WRITER_URL"], "tests", True) as conn:
                    work_off_drops(given, conn)
            except CarbonError as error:
                faults.append(error)

    with ThreadPoolExecutor(1) as pool:
        worker = pool.submit(work)
        try:
            yield
        finally:
            stop.set()
    # Raises what the worker ended with: the sensor's runs would have done its work.
    worker.result()
    assert faults == []


def _leave(suppliers: Suppliers, name: str, drops: list[Drop], cut: list[Drop]) -> None:
    with suppliers.login(name) as upload:
        for number, drop in enumerate(one for one in drops if one.supplier_id == name):
            if drop in cut:
                upload.put_and_be_cut(drop.name, drop.content)
            elif number % 2:
                upload.put_and_rename(drop.name, drop.content)
            else:
                upload.put(drop.name, drop.content)


def _leave_hostile(suppliers: Suppliers, name: str, hostile: Any) -> None:
    with suppliers.login(name) as upload:
        for one in hostile:
            upload.put(one.name, one.content)
    os.symlink("/etc/passwd", suppliers.inside(name) / "link.csv")
    # Made where the server has it: sending zeros for a minute would show nothing more.
    with (suppliers.inside(name) / "line.csv").open("wb") as file:
        file.write(b"a,b\n1,x")
        file.truncate(LINE_BYTES - 1)
        file.seek(0, os.SEEK_END)
        file.write(b"\n")


def _kg(drop: Drop) -> dict[str, Decimal]:
    """The sum of the scopes of each accepted row."""
    example = templates.KINDS[KIND]
    rest = sum(Decimal(example[name]) for name in ("scope2_location_kgco2e", "upstream_kgco2e"))
    number = int(drop.name[5:9])
    return {
        event_id: Decimal(f"{1000 + number}.{row}5") + rest
        for row, event_id in enumerate(drop.event_ids)
    }


def _lines(names: list[str]) -> dict[str, list[tuple[int, Decimal]]]:
    """Every line that was posted of the suppliers' rows, whatever became of it: event id to lines.

    What supersession posts in the place of a line (`…#c1`) is none of them.
    """
    found: dict[str, list[tuple[int, Decimal]]] = {}
    with connect(load()["CARBON_DATABASE_WRITER_URL"], "tests", True) as conn:
        for name in names:
            rows = conn.execute(
                "select event_id, line_no, kgco2e from ledger.entry where event_id like %s"
                " and reverses_id is null and event_id not like '%%#c%%'"
                " order by event_id, line_no",
                (f"supplier:{name}@%",),
            )
            for event_id, line_no, kgco2e in rows:
                found.setdefault(event_id, []).append((line_no, kgco2e))
    return found


def _not_admitted(names: list[str]) -> dict[str, Decimal]:
    """The lines of the suppliers that stand as not admitted: event id to kgCO2e."""
    with connect(load()["CARBON_DATABASE_WRITER_URL"], "tests", True) as conn:
        return dict(
            conn.execute(
                "select event_id, kgco2e from ledger.active_entry"
                " where event_id like any(%s) and flags like '%%not_admitted%%'",
                ([f"supplier:{name}@%" for name in names],),
            ).fetchall()
        )


def _files(suppliers: Suppliers, names: list[str]) -> set[str]:
    return {one["file"] for name in names for one in suppliers.receipts(name)}


def _receipts(suppliers: Suppliers, names: list[str]) -> int:
    return sum(len(list(suppliers.inside(name, "receipts").glob("*.txt"))) for name in names)


def _outside(folder: Path) -> tuple[dict[str, str], list[str]]:
    """Everything beside the suppliers' folders and the quarantine, and the checkout's own names."""
    allowed = tuple(f"{folder / one}{os.sep}" for one in ("quarantine", "sftp/suppliers"))
    found = {path: digest for path, digest in tree(folder).items() if not path.startswith(allowed)}
    return found, sorted(os.listdir(PROJECT_ROOT))
