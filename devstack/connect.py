"""Kafka Connect: one worker in distributed mode, with Debezium's PostgreSQL connector.

Belongs here: its properties, command and probe. Does not: connectors (pipeline.connect, which
speaks to its REST port), an ERP to capture (devstack.erp).

The worker keeps connectors, offsets and status in Kafka: one that is killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from devstack.java import java, jvm_options
from devstack.kafka import LOG4J
from devstack.layout import Layout
from devstack.service import Service, get_json

GROUP: Final = "carbon-connect"
# The topic every answer below depends on; a worker that lost its group answers 5xx there.
CONNECTORS: Final = "/connectors"
JSON_CONVERTER: Final = "org.apache.kafka.connect.json.JsonConverter"

LOGGING: Final = (
    LOG4J
    + """\
logger.debezium.name = io.debezium
logger.debezium.level = INFO
logger.runtime.name = org.apache.kafka.connect.runtime
logger.runtime.level = INFO
# Prints every value of every configuration.
logger.values2.name = org.apache.kafka.connect.runtime.ConnectorConfig
logger.values2.level = WARN
"""
)


class Connect(Service):
    """One JVM; its REST port is on the loopback interface."""

    name = "connect"
    stop_seconds = 20

    def __init__(self, layout: Layout, jars: Path, environment: Mapping[str, str]) -> None:
        self.layout, self.jars = layout, jars
        self.port = layout.port(self.name)
        self.folder = layout.home / self.name
        self.scratch = layout.scratch(self.name)
        self.bootstrap_servers = environment["CARBON_KAFKA_BOOTSTRAP_SERVERS"]
        brokers = layout.fixed_brokers() or 1
        self.needs = (
            ("kafka",) if brokers == 1 else tuple(f"kafka-{n}" for n in range(1, brokers + 1))
        )

    def properties(self) -> dict[str, object]:
        """connect-distributed.properties."""
        return {
            "bootstrap.servers": self.bootstrap_servers,
            "group.id": GROUP,
            "listeners": f"http://127.0.0.1:{self.port}",
            "rest.advertised.host.name": "127.0.0.1",
            # What a connector does not choose otherwise: JSON that carries its schema.
            "key.converter": JSON_CONVERTER,
            "value.converter": JSON_CONVERTER,
            "key.converter.schemas.enable": "true",
            "value.converter.schemas.enable": "true",
            "config.storage.topic": "connect.configs",
            "offset.storage.topic": "connect.offsets",
            "status.storage.topic": "connect.status",
            "offset.storage.partitions": 5,
            "status.storage.partitions": 1,
            # -1 is the brokers' own default: 1 of one broker, 3 of three.
            **{f"{kind}.storage.replication.factor": -1 for kind in ("config", "offset", "status")},
            # How much is captured again after a kill; it is recognised by its log position.
            "offset.flush.interval.ms": 1000,
            # One worker: nobody else could take its tasks, so there is no one to wait for.
            "scheduled.rebalance.max.delay.ms": 0,
            # The least the brokers allow: so long a killed worker's successor waits for its tasks.
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 2000,
            # Connectors name themselves for the service loader; looking through all jars takes 5 s.
            "plugin.discovery": "service_load",
            "producer.compression.type": "lz4",
        }

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.properties_file.write_text(
            "".join(f"{name}={value}\n" for name, value in self.properties().items()),
            encoding="utf-8",
        )
        (self.folder / "log4j2.properties").write_text(LOGGING, encoding="utf-8")

    @property
    def properties_file(self) -> Path:
        """Rewritten before each start, because ports may have moved."""
        return self.folder / "connect.properties"

    def command(self) -> list[str]:
        return [
            java(),
            *jvm_options("384m", self.scratch, self.layout.cache),
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
            "-cp",
            f"{self.jars}/*",
            "org.apache.kafka.connect.cli.ConnectDistributed",
            str(self.properties_file),
        ]

    def probe(self) -> str | None:
        # It answers this only once it has read the connectors from Kafka and is in its group.
        base = f"http://127.0.0.1:{self.port}{CONNECTORS}"
        names, fault = get_json(base)
        if fault is None and not isinstance(names, list):
            return f"{base} is not a list of connectors"
        return fault
