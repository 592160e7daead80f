"""100,000 readings over MQTT, through a restarting broker and a standing Kafka, into the ledger.

`MQTT_READINGS` gives it another size: with 2,000 it takes a few minutes.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from carbon_ledger.store.connect import connect
from tests.support.mqtt_clients import broker_on
from tests.support.mqtt_proof import energy_kwh, event_id, prove

pytestmark = [pytest.mark.night, pytest.mark.stack, pytest.mark.timeout(3600)]

READINGS = int(os.environ.get("MQTT_READINGS") or 100_000)
LEDGER_SECONDS = 1800


def test_a_hundred_thousand_readings_arrive_exactly(
    stack: Any,
    tmp_path: Path,
) -> None:
    assert "spark" in stack.pids(), "the ledger's half needs the stack with Spark"
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
    begun = time.monotonic()
    ledgered = wait_for_ledger(stack, run)
    expected = {event_id(run, n): Decimal(energy_kwh(n)) for n in range(READINGS)}
    assert len(expected) == READINGS
    assert ledgered == expected
    total = sum(ledgered.values())
    print(  # noqa: T201
        f"ledgered {len(ledgered)} of {READINGS} readings, each once, {total} kWh, "
        f"in {time.monotonic() - begun:.0f} s after Kafka had them"
    )


def wait_for_ledger(running: Any, run: str) -> dict[str, Decimal]:
    """Event id to kWh of the run's entries once they are all there; each may be there once."""
    url = running.stack_settings()["CARBON_DATABASE_READER_URL"]
    deadline = time.monotonic() + LEDGER_SECONDS
    with closing(connect(url, "test", autocommit=True, organizations="*")) as conn:
        while True:
            (count,) = conn.execute(
                "select count(*) from ledger.iot_energy where facility_id = %s", (run,)
            ).fetchone()
            if count >= READINGS or time.monotonic() > deadline:
                break
            time.sleep(5)
        rows = conn.execute(
            "select event_id, quantity, unit, line_no from ledger.iot_energy"
            " where facility_id = %s",
            (run,),
        ).fetchall()
    assert {(unit, line_no) for _, _, unit, line_no in rows} <= {("kWh", 1)}
    assert len(rows) == len({event_id for event_id, *_ in rows})
    return {event_id: quantity for event_id, quantity, *_ in rows}
