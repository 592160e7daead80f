"""The process that runs the MQTT broker: `python -m devstack.mqtt_process FOLDER JARS TMP CACHE`.

Belongs here: starting HiveMQ in a JVM of its own through its embedding interface, and stopping it
in good order at SIGTERM. Does not: its configuration (devstack.mqtt).

HiveMQ's own main class lets nobody in without an extension, which is a Java program; embedded, it
lets everybody in, who on this machine's loopback interface is the user. Py4J, which PySpark brings,
calls that interface; it listens on loopback too, and only for whom it gave its token.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from py4j.java_gateway import GatewayParameters, JavaGateway, JavaObject, launch_gateway

from devstack.java import java, jvm_options

log = logging.getLogger("devstack.mqtt")

HEAP = "384m"


def open_gateway(folder: Path, jars: Path, scratch: Path, cache: Path) -> JavaGateway:
    """A JVM with the broker's classes; it ends when this process does."""
    port, token = launch_gateway(
        classpath=f"{jars}/*",
        javaopts=[
            *jvm_options(HEAP, scratch, cache),
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            f"-Dhivemq.home={folder}",
        ],
        die_on_exit=True,
        enable_auth=True,
        java_path=java(),
        redirect_stdout=sys.stdout,
        redirect_stderr=sys.stderr,
    )
    return JavaGateway(gateway_parameters=GatewayParameters(port=port, auth_token=token))


def start_broker(gateway: JavaGateway, folder: Path) -> JavaObject:
    """HiveMQ, started; raises Py4JJavaError with its reason if it does not."""
    path = gateway.jvm.java.io.File
    broker = (
        gateway.jvm.com.hivemq.embedded.EmbeddedHiveMQ.builder()
        .withConfigurationFolder(path(str(folder / "conf")).toPath())
        .withDataFolder(path(str(folder / "data")).toPath())
        .withExtensionsFolder(path(str(folder / "extensions")).toPath())
        .build()
    )
    broker.start().join()
    return broker


def main(argv: Sequence[str] | None = None) -> int:
    """Until SIGTERM or SIGINT; then every session's messages are on disk before it returns."""
    parser = argparse.ArgumentParser(prog="devstack.mqtt_process")
    for name in ("folder", "jars", "scratch", "cache"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    gateway = open_gateway(given.folder, given.jars, given.scratch, given.cache)
    try:
        broker = start_broker(gateway, given.folder)
        stop.wait()
        log.info("stopping")
        broker.stop().join()
    finally:
        gateway.shutdown()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
