"""The Spark Connect server: one warm JVM that every run is a thin client of.

Belongs here: its command line, its probe, warming it. Does not: what is computed on it (the spark
package).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import grpc

from carbon_ledger.errors import Unavailable
from devstack.java import java, jvm_options
from devstack.layout import Layout
from devstack.processes import tail
from devstack.service import PROBE_SECONDS, Service

# What Spark's own launcher script opens for Java 17 and later. The script itself cannot be used: it
# also asks for jdk.incubator.vector, which the Java in the wheel has not.
OPENED = (
    "java.base/java.lang",
    "java.base/java.lang.invoke",
    "java.base/java.lang.reflect",
    "java.base/java.io",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.ref",
    "java.base/sun.nio.ch",
    "java.base/sun.nio.cs",
    "java.base/sun.security.action",
    "java.base/sun.util.calendar",
    "java.security.jgss/sun.security.krb5",
)
SERVER_CLASS = "org.apache.spark.sql.connect.service.SparkConnectServer"

LOG4J = """\
status = WARN
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %c{1}: %m%n%ex
rootLogger.level = WARN
rootLogger.appenderRef.console.ref = console
"""

AVRO_LENGTH_MAX = 1_048_576
AVRO_KINDS = ("string", "bytes")


class Spark(Service):
    """SparkConnectServer on the local master; tasks are retried up to four times."""

    name = "spark"
    stop_seconds = 15

    def __init__(self, layout: Layout, jars: Path, environment: dict[str, str]) -> None:
        self.layout, self.jars, self.stack_environment = layout, jars, environment
        self.port = layout.port("spark")
        self.folder = layout.home / "spark"
        self.scratch = layout.home / "tmp" / "spark"

    @property
    def remote(self) -> str:
        """Address for clients."""
        return f"sc://localhost:{self.port}"

    def prepare(self) -> None:
        # Shuffle files and unpacked native libraries of an earlier server; nothing here outlives
        # one.
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(parents=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "log4j2.properties").write_text(LOG4J, encoding="utf-8")

    def configuration(self) -> dict[str, object]:
        """spark.* settings of the server; every address is on the loopback interface."""
        return {
            "spark.app.name": "carbon-ledger",
            "spark.ui.enabled": "false",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.connect.grpc.binding.address": "127.0.0.1",
            "spark.connect.grpc.binding.port": self.port,
            "spark.local.dir": self.scratch,
            "spark.sql.warehouse.dir": self.folder / "warehouse",
            "spark.sql.catalogImplementation": "in-memory",
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.shuffle.partitions": 2,
            "spark.sql.execution.arrow.maxRecordsPerBatch": 20_000,
            "spark.python.worker.reuse": "true",
            "spark.task.maxFailures": 4,
            "spark.eventLog.enabled": "false",
        }

    def command(self) -> list[str]:
        import pyspark

        cores = max(2, min(os.cpu_count() or 2, 4))
        settings: list[str] = []
        for name, value in self.configuration().items():
            settings += ["--conf", f"{name}={value}"]
        return [
            java(),
            *(f"--add-opens={module}=ALL-UNNAMED" for module in OPENED),
            "-Djdk.reflect.useDirectMethodHandle=false",
            "-Dio.netty.tryReflectionSetAccessible=true",
            # A record that claims a text of two gigabytes is malformed, and must not be allocated.
            *(
                f"-Dorg.apache.avro.limits.{kind}.maxLength={AVRO_LENGTH_MAX}"
                for kind in AVRO_KINDS
            ),
            *jvm_options("2g", self.scratch, self.layout.cache),
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
            "-cp",
            f"{Path(pyspark.__file__).parent / 'jars'}/*:{self.jars}/*",
            "org.apache.spark.deploy.SparkSubmit",
            *("--master", f"local[{cores},4]", "--class", SERVER_CLASS),
            *settings,
            "spark-internal",
        ]

    def environment(self) -> dict[str, str]:
        # No SPARK_HOME: with it the workers would take pyspark out of archives, whose contents they
        # read again before every task, though it is installed beside them.
        return {
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_PYTHON": sys.executable,
            "PYSPARK_DRIVER_PYTHON": sys.executable,
        }

    def probe(self) -> str | None:
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            try:
                grpc.channel_ready_future(channel).result(timeout=PROBE_SECONDS)
            except grpc.FutureTimeoutError:
                return f"no gRPC answer from localhost:{self.port}"
        return None

    def settle(self) -> None:
        """One real query through a Python worker, so that the first batch does not pay for it."""
        log = self.layout.logs / "spark-warm-up.log"
        with log.open("wb") as output:
            try:
                subprocess.run(
                    [sys.executable, "-m", "spark.warm_up", self.remote],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=self.stack_environment,
                    timeout=self.start_seconds,
                    check=True,
                )
            except subprocess.SubprocessError as error:
                raise Unavailable(
                    "spark_query",
                    "the Spark server accepts connections but fails a small query: "
                    f"{tail(log, 3) or error} ({log})",
                ) from error
