"""MQTT readings arrive in Kafka exactly, whatever broker, Kafka and adapter do meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.support.extra_service import RunningService
from tests.support.kafka_reading import Since
from tests.support.mqtt_clients import broker_on, publish
from tests.support.mqtt_proof import (
    TOPIC,
    adapter,
    brought,
    event_id,
    frozen_kafka,
    prove,
    reading,
    write_config,
)

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def broker(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with broker_on(tmp_path_factory.mktemp("mqtt")) as one:
        yield one


def url(broker: RunningService) -> str:
    return f"mqtt://127.0.0.1:{broker.service.port}"


def name() -> str:
    return f"m{uuid4().hex[:8]}"


def test_a_restarted_broker_and_a_kafka_that_stands_still_lose_and_double_nothing(
    stack: Any, broker: RunningService, tmp_path: Path
) -> None:
    proof = prove(
        stack,
        broker,
        tmp_path,
        run=name(),
        readings=3000,
        restarts=1,
        kafka_seconds=4,
        seconds=120,
    )
    assert proof.acknowledged == proof.distinct == 3000
    assert (proof.missing, proof.foreign) == (0, 0)
    assert proof.counts["events"] <= proof.records  # more, if a delivery was given up and repeated
    assert proof.counts["connections"] >= 2
    assert proof.counts["letters"] == 0


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_slow_kafka_holds_the_broker_back_and_a_killed_adapter_gets_all_of_it_again(
    stack: Any, broker: RunningService, tmp_path: Path, version: str
) -> None:
    run = name()
    settings = stack.stack_settings()
    since = Since(settings=settings, topic=TOPIC)
    file = write_config(tmp_path, run, version=version, window=20)
    with adapter(stack, url(broker), file, run) as one:
        one.wait_connected()
        one.stop()
        # All of it before the first is read: HiveMQ sends no more while a part is unacknowledged.
        publish(url(broker), [reading(run, n) for n in range(200)])
        with frozen_kafka(stack):
            one.start()
            one.wait_for("received", 10)
            time.sleep(1.5)
            # Until the broker has confirmed the subscriptions, twice the window may be read.
            assert one.count("waiting_max") <= 40
            assert one.count("acknowledged") == 0
            assert "acknowledged yet" in str(one.status()["problem"])
            one.kill()
            one.start()
            one.wait_for("repeated", 1)
        one.wait_for("acknowledged", 200)
        assert one.count("waiting_max") <= 40
    assert set(brought(settings, since, run)) == {event_id(run, n) for n in range(200)}


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_retained_messages_are_old_and_bad_ones_become_letters_once(
    stack: Any, broker: RunningService, tmp_path: Path, version: str
) -> None:
    run = name()
    settings = stack.stack_settings()
    since = Since(settings=settings, topic=TOPIC)
    letters = Since(settings=settings, topic="dlq.failed_events")
    publish(url(broker), [reading(run, 0)], retain=True)
    file = write_config(tmp_path, run, version=version)
    bad = [(f"{run}/{run}/{run}-1", b"no json"), (f"{run}/{run}/{run}-2", b'{"at": "2024-01-01"}')]
    with adapter(stack, url(broker), file, run) as one:
        one.wait_connected()
        publish(url(broker), [*bad, reading(run, 1), reading(run, 1)])
        one.wait_for("events", 2)
        one.wait_for("letters", 2)
        one.stop()
        publish(url(broker), [reading(run, 2)])
        one.start()
        one.wait_for("events", 1)
        time.sleep(1)
        counts = one.status()["counts"]
    if version == "3.1.1":
        assert counts["retained_ignored"] == 1
        assert counts["received"] == 2
    else:  # asked not to send them
        assert counts["received"] == 1
    assert brought(settings, since, run) == {event_id(run, 1): 2, event_id(run, 2): 1}
    found = {
        headers["carbon.coordinates"]: (record.value(), headers)
        for record in letters.records()
        if (headers := {k: v.decode() for k, v in record.headers() or []}).get("carbon.source")
        == f"mqtt:{run}"
    }
    assert {where: value for where, (value, _) in found.items()} == dict(bad)
    reasons = [headers["carbon.reason_code"] for _, headers in found.values()]
    assert sorted(reasons) == ["missing_field", "not_json"]
    assert all(headers["carbon.stream"] == "iot_energy" for _, headers in found.values())


def test_once_ends_when_the_source_is_quiet(
    stack: Any, broker: RunningService, tmp_path: Path
) -> None:
    import subprocess
    import sys

    from tests.support.extra_service import ground_of

    run = name()
    file = write_config(tmp_path, run)
    environment = {**ground_of(stack).environment, "MQTT_URL": url(broker)}
    command = [sys.executable, "-m", "cli.main", "source", "run", str(file), "--once"]

    def once() -> dict[str, Any]:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=True
        )
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    assert once()["received"] == 0  # its session is there from now on
    publish(url(broker), [reading(run, n) for n in range(30)])
    said = once()
    assert (said["events"], said["acknowledged"]) == (30, 30)
