"""The MQTT broker of the embedded stack (HiveMQ Community Edition), durable, on loopback.

Belongs here: its configuration, jars and probe. Does not: running it (devstack.mqtt_process), what
subscribes to it (pipeline.sources). docs/adr/0015-an-mqtt-broker.md says why this one.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from carbon_ledger.settings import Settings
from devstack import downloads
from devstack.layout import Layout
from devstack.service import PROBE_SECONDS, Service

# A subscriber that is away for a night must find everything; the broker drops what is beyond this.
QUEUED_MESSAGES_MAX = 2_000_000
SESSION_SECONDS_MAX = 30 * 24 * 3600
PACKET_BYTES_MAX = 1024 * 1024
# How many messages at QoS 1 a publisher may have unacknowledged.
RECEIVE_MAXIMUM = 100

CONFIGURATION = """\
<?xml version="1.0" encoding="UTF-8"?>
<hivemq>
  <listeners>
    <tcp-listener><port>{port}</port><bind-address>127.0.0.1</bind-address></tcp-listener>
  </listeners>
  <mqtt>
    <queued-messages>
      <max-queue-size>{queued}</max-queue-size>
      <strategy>discard</strategy>
    </queued-messages>
    <session-expiry><max-interval>{session}</max-interval></session-expiry>
    <packets><max-packet-size>{packet}</max-packet-size></packets>
    <receive-maximum><server-receive-maximum>{receive}</server-receive-maximum></receive-maximum>
  </mqtt>
  <anonymous-usage-statistics><enabled>false</enabled></anonymous-usage-statistics>
  <persistence><mode>file</mode></persistence>
</hivemq>
"""
LOGGING = """\
<configuration>
  <appender name="console" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d{yyyy-MM-dd HH:mm:ss,SSS} %-5level %msg%n%ex</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="console"/></root>
</configuration>
"""

# CONNECT: MQTT 3.1.1, clean session, keep-alive 10 s, a client id of its own per asking process.
_ACCEPTED = b"\x20\x02\x00\x00"


class MqttBroker(Service):
    """One JVM that serves MQTT 3.1, 3.1.1 and 5 without passwords, to this machine alone."""

    name = "mqtt"
    stop_seconds = 60  # it first writes what its sessions still have to get

    def __init__(self, layout: Layout, settings: Settings) -> None:
        self.layout, self.settings = layout, settings
        self.port = layout.port(self.name)
        self.folder = layout.home / self.name
        self.scratch = layout.scratch(self.name)

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def jars(self) -> Path:
        """Where its jars are, once `prepare` has seen to that."""
        return downloads.cache_folder(self.settings, downloads.MQTT_LOCK) / "mqtt"

    def prepare(self) -> None:
        downloads.ensure(self.settings, lock=downloads.MQTT_LOCK)
        self.scratch.mkdir(parents=True, exist_ok=True)
        for name in ("conf", "data", "extensions"):
            (self.folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        configuration = CONFIGURATION.format(
            port=self.port,
            queued=QUEUED_MESSAGES_MAX,
            session=SESSION_SECONDS_MAX,
            packet=PACKET_BYTES_MAX,
            receive=RECEIVE_MAXIMUM,
        )
        (self.folder / "conf" / "config.xml").write_text(configuration, encoding="utf-8")
        (self.folder / "conf" / "logback.xml").write_text(LOGGING, encoding="utf-8")

    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "devstack.mqtt_process"),
            *(str(self.folder), str(self.jars), str(self.scratch), str(self.layout.cache)),
        ]

    def probe(self) -> str | None:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=PROBE_SECONDS) as one:
                one.settimeout(PROBE_SECONDS)
                one.sendall(connect_packet(f"probe-{os.getpid()}"))
                said = one.recv(len(_ACCEPTED), socket.MSG_WAITALL)
                one.sendall(b"\xe0\x00")  # DISCONNECT
        except OSError as error:
            return f"127.0.0.1:{self.port} does not accept a connection ({error})"
        if said != _ACCEPTED:
            return f"127.0.0.1:{self.port} answers {said.hex() or 'nothing'} to a CONNECT"
        return None


def connect_packet(client_id: str) -> bytes:
    """A CONNECT of MQTT 3.1.1 (section 3.1 of the standard) with a clean session, short enough
    that its length is one byte.
    """
    name = client_id.encode()
    body = b"\x00\x04MQTT\x04\x02\x00\x0a" + len(name).to_bytes(2, "big") + name
    return b"\x10" + bytes([len(body)]) + body
