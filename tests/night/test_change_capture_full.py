"""Change capture at full size: 1,000 inserts, 200 updates, 50 deletes, two kills of the worker."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from carbon_ledger.settings import load
from carbon_ledger.store.captured import CapturedRows
from carbon_ledger.store.connect import connect
from pipeline.connect import ConnectClient
from tests.support.dagster_client import wait_for
from tests.support.erp import Erp, connect_worker, connector_for, running_bridge
from tests.support.extra_service import RunningService
from tests.support.plain_ledger import plain_ledger

pytestmark = [pytest.mark.night, pytest.mark.timeout(800)]


def kill_and_start_again(worker: RunningService, work: Callable[[], None]) -> None:
    """Kills the worker at once and brings it back while the ERP is at work."""
    worker.kill()
    # The work is in the thread: a service ends with the thread that started it.
    at_work = Thread(target=work)
    at_work.start()
    worker.start()
    at_work.join(120)
    assert not at_work.is_alive()


def insert_slowly(erp: Erp) -> None:
    for _ in range(25):
        erp.insert(20)
        time.sleep(0.2)


def update_and_delete(erp: Erp) -> None:
    for _ in range(10):
        erp.update(10)
        time.sleep(0.2)
    erp.delete(50)


def test_the_active_lines_are_the_final_state_of_the_erp(stack: Any, tmp_path: Path) -> None:
    settings = load()
    name = f"erp-{uuid.uuid4().hex[:8]}"

    def captured() -> Any:
        url = settings["CARBON_DATABASE_READER_URL"]
        with closing(connect(url, "t", organizations="*")) as conn:
            return CapturedRows(conn, f"cdc:{name}").counts()

    with connect_worker(stack) as worker, ConnectClient(settings["CARBON_CONNECT_URL"]) as client:
        connector, _ = connector_for(name, tmp_path, settings)
        client.apply(connector)
        client.await_running(name)
        erp = Erp(settings=settings, prefix=name)
        with running_bridge(name, tmp_path):
            for _ in range(25):
                erp.insert(20)
            wait_for("capture", lambda: captured().lines >= 100, 120)
            kill_and_start_again(worker, lambda: insert_slowly(erp))
            wait_for("all inserts", lambda: captured().lines == 1000, 180)
            for _ in range(10):
                erp.update(10)
            kill_and_start_again(worker, lambda: update_and_delete(erp))
            expected = erp.state()
            assert 900 < len(expected) <= 950
            wait_for("all changes", lambda: captured().standing == len(expected), 180)
            wait_for("nothing to send", lambda: captured().pending == 0, 60)
            # What the last changes are is not in these numbers: a last one is waited for.
            erp.insert(1)
            wait_for("last insert", lambda: captured().standing == len(expected) + 1, 60)
            expected = erp.state()
            wait_for("nothing to send", lambda: captured().pending == 0, 60)
        with plain_ledger(stack, "procurement") as ledger:
            ledger.take()
            rows = ledger.rows(
                "select activity_ref, quantity, unit, source_ref from ledger.active_entry"
                " where activity_ref like %s",
                f"purchase:{name}-%",
            )
            refused = ledger.rows("select reason_code from ledger.dead_letter")
            sent = ledger.totals
        print(f"{len(rows)} active lines, the ERP has {len(expected)}; {dict(sent)}")  # noqa: T201
        assert {ref: tuple(rest) for ref, *rest in rows} == expected
        assert len(rows) == len(expected)
        assert refused == []
        client.delete(name)
        erp.close()
