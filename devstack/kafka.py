"""Kafka in KRaft mode: each broker is its own controller too, one or three of them.

Belongs here: storage format, server.properties, the metadata probe. Does not: topics
(pipeline.topics).
"""

from __future__ import annotations

import base64
import socket
import subprocess
import uuid
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from carbon_ledger.errors import ConfigurationError, Unavailable
from devstack.java import java, jvm_options
from devstack.layout import Layout
from devstack.service import PROBE_SECONDS, Service

BROKER_COUNTS = (1, 3)
# A raw record may be 1 MiB; the rest is room for key, headers and framing. The dead-letter topic
# has a larger limit of its own, which followers have to be able to fetch.
RECORD_LIMIT = 1_048_576 + 65_536
REPLICA_FETCH_LIMIT = 4 * 1_048_576 + 262_144

LOG4J = """\
status = WARN
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %c{1}: %m%n
rootLogger.level = WARN
rootLogger.appenderRef.console.ref = console
logger.server.name = kafka.server
logger.server.level = INFO
logger.config.name = org.apache.kafka.common.config
logger.config.level = WARN
logger.values.name = kafka.server.KafkaConfig
logger.values.level = WARN
"""


def count_brokers(layout: Layout, asked: int | None) -> int:
    """How many brokers this stack has: fixed by its first start, 1 if nobody asks.

    Raises ConfigurationError on a count that is not 1 or 3, or that differs from the fixed one:
    topics keep the replication they were made with.
    """
    fixed = layout.fixed_brokers()
    if asked is not None and asked not in BROKER_COUNTS:
        raise ConfigurationError("brokers", f"--brokers {asked} is not possible; valid are 1 and 3")
    if fixed is not None and asked is not None and asked != fixed:
        raise ConfigurationError(
            "brokers_fixed",
            f"this stack was first started with {fixed} broker{'s' if fixed > 1 else ''} and keeps "
            f"that number, because its topics are replicated accordingly; leave --brokers out, or "
            f"empty the stack with `carbon reset --yes` and start it with --brokers {asked}",
        )
    return fixed or asked or 1


def client_listeners() -> dict[str, str]:
    """Listener name to the address it binds: 127.0.0.1, and ::1 where `localhost` means that too.

    Without the second, a client that tries ::1 first reports a refused connection before it
    succeeds.
    """
    listeners = {"PLAINTEXT": "127.0.0.1"}
    families = {found[0] for found in socket.getaddrinfo("localhost", None)}
    if socket.AF_INET6 in families and socket.has_ipv6:
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
            listeners["PLAINTEXT6"] = "[::1]"
        except OSError:
            return listeners
    return listeners


class Broker(Service):
    """Broker `number` of `count`."""

    def __init__(self, layout: Layout, jars: Path, number: int, count: int) -> None:
        self.layout, self.jars, self.number, self.count = layout, jars, number, count
        self.name = "kafka" if count == 1 else f"kafka-{number}"
        self.port = layout.broker_port(number)
        self.folder = layout.home / "kafka" / f"broker-{number}"
        self.scratch = layout.scratch(self.name)
        self.stop_seconds = 20

    @property
    def ports(self) -> tuple[int, ...]:
        return (self.layout.broker_port(self.number), self.layout.controller_port(self.number))

    def properties(self) -> dict[str, object]:
        """server.properties. All listeners are on the loopback interface."""
        listeners = client_listeners()
        copies, in_sync = (3, 2) if self.count == 3 else (1, 1)
        voters = ",".join(
            f"{n}@127.0.0.1:{self.layout.controller_port(n)}" for n in range(1, self.count + 1)
        )
        return {
            "process.roles": "broker,controller",
            "node.id": self.number,
            "controller.quorum.voters": voters,
            "listeners": ",".join(
                [
                    *(f"{name}://{host}:{self.port}" for name, host in listeners.items()),
                    f"CONTROLLER://127.0.0.1:{self.layout.controller_port(self.number)}",
                ]
            ),
            "advertised.listeners": ",".join(
                f"{name}://localhost:{self.port}" for name in listeners
            ),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": ",".join(
                f"{name}:PLAINTEXT" for name in (*listeners, "CONTROLLER")
            ),
            "log.dirs": self.folder,
            "auto.create.topics.enable": "false",
            "default.replication.factor": copies,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": copies,
            "offsets.topic.num.partitions": 10,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": in_sync,
            "transaction.state.log.num.partitions": 10,
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": in_sync,
            "share.coordinator.state.topic.num.partitions": 3,
            "message.max.bytes": RECORD_LIMIT,
            "replica.fetch.max.bytes": REPLICA_FETCH_LIMIT,
            # How long a killed broker's successor is refused as a double; the default is 9 s.
            "broker.session.timeout.ms": 6000,
            "group.initial.rebalance.delay.ms": 0,
            "log.segment.bytes": 268_435_456,
            "num.network.threads": 2,
            "num.io.threads": 4,
            "background.threads": 4,
            "num.recovery.threads.per.data.dir": 2,
            "controlled.shutdown.enable": "true",
        }

    @property
    def properties_file(self) -> Path:
        """Rewritten before each start, because ports may have moved."""
        return self.layout.home / "kafka" / f"broker-{self.number}.properties"

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.properties_file.write_text(
            "".join(f"{name}={value}\n" for name, value in self.properties().items()),
            encoding="utf-8",
        )
        (self.layout.home / "kafka" / "log4j2.properties").write_text(LOG4J, encoding="utf-8")
        if not (self.folder / "meta.properties").exists():
            self.format_storage()

    def format_storage(self) -> None:
        """Write the cluster's identity into the empty data folder."""
        identity = self.cluster_id()
        result = subprocess.run(
            [
                *self.jvm("128m"),
                "kafka.tools.StorageTool",
                *("format", "-t", identity, "-c", str(self.properties_file)),
            ],
            capture_output=True,
            text=True,
            timeout=self.start_seconds,
            check=False,
        )
        if result.returncode != 0:
            raise Unavailable(
                "kafka_format",
                f"Kafka's storage tool could not format {self.folder}: "
                f"{(result.stderr or result.stdout).strip()[-600:]}",
            )

    def cluster_id(self) -> str:
        """One random id per stack, shared by its brokers; a retried start reads what the first one
        wrote.
        """
        path = self.layout.home / "kafka" / "cluster-id"
        if not path.exists():
            drawn = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            part = path.with_name(f"cluster-id.{self.number}")
            part.write_text(drawn.replace("-", "A", 1) if drawn[0] == "-" else drawn)
            try:
                path.hardlink_to(part)  # the first broker wins, the others read its id
            except FileExistsError:
                pass
            part.unlink()
        return path.read_text(encoding="utf-8")

    def jvm(self, heap: str) -> list[str]:
        """java with Kafka's class path."""
        return [
            java(),
            *jvm_options(heap, self.scratch, self.layout.cache),
            f"-Dlog4j2.configurationFile={self.layout.home / 'kafka' / 'log4j2.properties'}",
            "-cp",
            f"{self.jars}/*",
        ]

    def command(self) -> list[str]:
        return [
            *self.jvm("512m" if self.count == 1 else "384m"),
            "kafka.Kafka",
            str(self.properties_file),
        ]

    def probe(self) -> str | None:
        configuration: dict[str, Any] = {
            "bootstrap.servers": f"127.0.0.1:{self.port}",
            "socket.timeout.ms": 3000,
            "log_level": 0,
            "error_cb": lambda error: None,  # the answer below says it all
        }
        client = AdminClient(configuration)
        try:
            metadata = client.list_topics(timeout=PROBE_SECONDS)
        except KafkaException as error:
            return f"no metadata from localhost:{self.port} ({error.args[0].str()})"
        if self.number not in metadata.brokers or metadata.controller_id < 0:
            return f"broker {self.number} has not joined the cluster"
        return None
