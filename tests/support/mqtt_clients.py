"""MQTT clients and a broker for tests: publishing what was acknowledged, collecting what came.

Belongs here: plain paho clients, the embedded broker on its own. Does not: our adapter.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from carbon_ledger.settings import load
from devstack import downloads
from devstack.environment import child_environment
from devstack.extras import Ground
from devstack.layout import Layout
from devstack.mqtt import MqttBroker
from tests.support.extra_service import RunningService, running

VERSIONS = {"3.1.1": mqtt.MQTTv311, "5": mqtt.MQTTv5}
SECONDS_MAX = 60.0


@contextmanager
def broker_on(home: Path, offset: int | None = None) -> Iterator[RunningService]:
    """The embedded broker alone, in `home`, on the test stack's port for it."""
    base = load()
    settings = load(
        {
            "CARBON_HOME": str(home),
            "CARBON_CACHE": str(base.cache),
            "CARBON_PORT_OFFSET": str(base.port_offset if offset is None else offset),
        }
    )
    layout = Layout.of(settings)
    ground = Ground(
        layout=layout,
        settings=settings,
        jars=downloads.cache_folder(settings),
        environment=child_environment(layout, {}, str(settings.cache)),
    )
    with running(MqttBroker(layout, settings), ground) as one:
        yield one


def client(client_id: str, *, version: str = "3.1.1", clean: bool = False, **more: Any) -> Any:
    """A paho client; with `clean` false its session outlives its connection."""
    if version == "5":
        return mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv5, **more
        )
    return mqtt.Client(
        CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=clean, **more
    )


def connect(one: Any, url: str, *, version: str = "3.1.1") -> None:
    """Connects to mqtt://host:port."""
    place = urlsplit(url)
    options: dict[str, Any] = {}
    if version == "5":
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        options = {"clean_start": False, "properties": properties}
    one.connect(place.hostname or "", place.port or 1883, 30, **options)


def publish(
    url: str,
    messages: Iterable[tuple[str, bytes]],
    *,
    retain: bool = False,
    client_id: str = "publisher",
    window: int = 90,
) -> int:
    """Publishes at QoS 1; returns how many the broker acknowledged, which is all or it raises."""
    one = client(client_id)
    one.max_inflight_messages_set(window)
    connect(one, url)
    one.loop_start()
    try:
        sent = [one.publish(topic, payload, 1, retain) for topic, payload in messages]
        deadline = time.monotonic() + SECONDS_MAX
        for info in sent:
            info.wait_for_publish(max(0.0, deadline - time.monotonic()))
        return sum(info.is_published() for info in sent)
    finally:
        one.disconnect()
        one.loop_stop()


class Publisher(threading.Thread):
    """Publishes at QoS 1 over every break of the connection, until all is acknowledged.

    `acknowledged` counts what the broker has taken; a message it did not acknowledge is sent again.
    """

    def __init__(self, url: str, messages: Iterable[tuple[str, bytes]], *, seconds: float) -> None:
        super().__init__(daemon=True)
        self.url, self.messages, self.seconds = url, messages, seconds
        self.acknowledged = 0
        self._answers: deque[int] = deque()
        self._pending: set[int] = set()

    def run(self) -> None:
        one = client("publisher")
        one.max_inflight_messages_set(90)
        one.reconnect_delay_set(1, 1)
        one.on_publish = lambda _client, _data, mid, *_: self._answers.append(mid)
        connect(one, self.url)
        one.loop_start()
        deadline = time.monotonic() + self.seconds
        try:
            for topic, payload in self.messages:
                self._pending.add(one.publish(topic, payload, 1).mid)
                while len(self._pending) >= 1000 and time.monotonic() < deadline:
                    self._count()
            while self._pending and time.monotonic() < deadline:
                self._count()
        finally:
            one.disconnect()
            one.loop_stop()

    def _count(self) -> None:
        if not self._answers:
            time.sleep(0.002)
        while self._answers:
            self._pending.discard(self._answers.popleft())
            self.acknowledged += 1


class Collector:
    """A subscriber with a session that outlives it: everything it gets is in `messages`."""

    def __init__(
        self,
        url: str,
        client_id: str,
        topic: str,
        *,
        version: str = "3.1.1",
        acknowledge: bool = True,
    ) -> None:
        self.url, self.topic, self.version = url, topic, version
        self.messages: list[mqtt.MQTTMessage] = []
        self.session_present = False
        self._subscribed = threading.Event()
        self._client = client(client_id, version=version, manual_ack=not acknowledge)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _data, message: self.messages.append(message)

    def _on_connect(self, one: Any, _data: object, flags: Any, *_: object) -> None:
        self.session_present = flags.session_present
        one.subscribe(self.topic, 1)

    def __enter__(self) -> Self:
        connect(self._client, self.url, version=self.version)
        self._client.loop_start()
        assert self._subscribed.wait(SECONDS_MAX)
        return self

    def wait_for(self, count: int) -> None:
        """Returns once `count` messages have come."""
        deadline = time.monotonic() + SECONDS_MAX
        while len(self.messages) < count:
            assert time.monotonic() < deadline, f"{len(self.messages)} of {count} came"
            time.sleep(0.02)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()
