"""100,000 readings over MQTT, through a restarting broker and a standing Kafka, into the ledger."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from carbon_ledger.store.connect import connect
from tests.support.mqtt_clients import broker_on
from tests.support.mqtt_proof import event_id, prove

pytestmark = [pytest.mark.night, pytest.mark.stack, pytest.mark.timeout(3600)]

READINGS = int(os.environ.get("MQTT_READINGS", "100000"))
LEDGER_SECONDS = 1800


def test_a_hundred_thousand_readings_arrive_exactly(
    stack: Any,
    tmp_path: Path,
) -> None:
    run = f"night{int(time.time())}"
    with broker_on(tmp_path / "broker") as broker:
        proof = prove(
            stack,
            broker,
            tmp_path,
            run=run,
            readings=READINGS,
            restarts=3,
            kafka_seconds=30,
            seconds=1800,
        )
    print(json.dumps(dataclasses.asdict(proof)))  # noqa: T201
    assert proof.acknowledged == proof.distinct == READINGS
    assert (proof.missing, proof.foreign) == (0, 0)
    assert proof.counts["connections"] >= 4
    if "spark" not in stack.pids():
        pytest.skip("this stack has no Spark: the ledger's part was not run")
    ledgered = wait_for_ledger(stack, run)
    assert ledgered == {event_id(run, number) for number in range(READINGS)}


def wait_for_ledger(running: Any, run: str) -> set[str]:
    """The ids of the run's entries once they are all there; each may be there once."""
    url = running.stack_settings()["CARBON_DATABASE_READER_URL"]
    deadline = time.monotonic() + LEDGER_SECONDS
    with closing(connect(url, "test", autocommit=True)) as conn:
        while True:
            (count,) = conn.execute(
                "select count(*) from ledger.iot_energy where facility_id = %s", (run,)
            ).fetchone()
            if count >= READINGS or time.monotonic() > deadline:
                break
            time.sleep(5)
        rows = conn.execute(
            "select event_id from ledger.iot_energy where facility_id = %s and line_no = 1", (run,)
        ).fetchall()
    assert len(rows) == len(set(rows))
    return {one for (one,) in rows}
