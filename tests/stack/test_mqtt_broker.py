"""The embedded MQTT broker keeps what it acknowledged, its own restarts included."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.mqtt import MqttBroker
from tests.support.extra_service import RunningService
from tests.support.mqtt_clients import Collector, broker_on, publish

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with broker_on(tmp_path_factory.mktemp("mqtt")) as one:
        yield one


def url(broker: RunningService) -> str:
    return f"mqtt://127.0.0.1:{broker.service.port}"


def test_what_was_acknowledged_survives_a_restart(broker: RunningService) -> None:
    """For sessions that were away, in both versions, and for what was sent and not acknowledged."""
    away = {version: f"away/{version}" for version in ("3.1.1", "5")}
    for version, topic in away.items():
        with Collector(url(broker), f"away-{version}", topic, version=version) as first:
            assert not first.session_present
            publish(url(broker), [(topic, b"seen")])
            first.wait_for(1)
        assert publish(url(broker), [(topic, f"{n}".encode()) for n in range(300)]) == 300
    with Collector(url(broker), "slow", "slow/#", acknowledge=False) as slow:
        publish(url(broker), [("slow/one", f"{n}".encode()) for n in range(20)])
        slow.wait_for(1)
        broker.stop()
    broker.start()
    for version, topic in away.items():
        with Collector(url(broker), f"away-{version}", topic, version=version) as second:
            assert second.session_present
            second.wait_for(300)
        assert [one.payload for one in second.messages] == [f"{n}".encode() for n in range(300)]
        assert not any(one.retain for one in second.messages)
    with Collector(url(broker), "slow", "slow/#") as third:
        third.wait_for(20)
    assert {one.payload for one in third.messages} == {f"{n}".encode() for n in range(20)}


def answer(server: socket.socket) -> None:
    """Says what no MQTT broker would."""
    connection, _ = server.accept()
    with connection:
        connection.recv(100)
        connection.sendall(b"HTTP")
        connection.recv(100)


def test_a_broker_that_is_not_there_or_is_no_broker_is_not_ready(
    broker: RunningService, tmp_path: Path
) -> None:
    assert broker.service.probe() is None
    elsewhere = MqttBroker(broker.ground.layout, broker.ground.settings)
    with socket.create_server(("127.0.0.1", 0)) as server:
        elsewhere.port = server.getsockname()[1]
        threading.Thread(target=answer, args=(server,), daemon=True).start()
        assert "answers 48545450 to a CONNECT" in (elsewhere.probe() or "")
    assert "does not accept a connection" in (elsewhere.probe() or "")
