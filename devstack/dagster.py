"""Dagster's three processes: the code server, the web server, the daemon.

Belongs here: their folder, workspace, commands and probes. Does not: any asset (carbon_assets).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import grpc
import psycopg
from grpc_health.v1 import health_pb2, health_pb2_grpc

from carbon_ledger.errors import Unavailable
from carbon_ledger.settings import PROJECT_ROOT
from devstack import processes
from devstack.layout import Layout
from devstack.service import PROBE_SECONDS, Service, get_json

LOCATION = "carbon"
MODULE = "carbon_assets.definitions"
AUDIT_PREFIX = "/audit"
HEARTBEAT_SECONDS = 90  # the daemon writes one every 30 s
RUN_STOP_SECONDS = 10.0
STALE_RUNS = "select count(*) from runs where status in ('STARTING', 'STARTED', 'CANCELING')"

WORKSPACE = """\
load_from:
  - grpc_server:
      host: 127.0.0.1
      port: {port}
      location_name: {location}
"""


def dagster_home(layout: Layout) -> Path:
    """DAGSTER_HOME of the stack."""
    return layout.home / "dagster"


def write_home(layout: Layout) -> None:
    """DAGSTER_HOME: the project's dagster.yaml, and a workspace that names the code server."""
    home = dagster_home(layout)
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(PROJECT_ROOT / "dagster.yaml", home / "dagster.yaml")
    (home / "workspace.yaml").write_text(
        WORKSPACE.format(port=layout.port("code-server"), location=LOCATION), encoding="utf-8"
    )


class DagsterService(Service):
    """What the three have in common: they start from the project's root, after the database."""

    needs: tuple[str, ...] = ("postgres",)
    stop_seconds = 15

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.workspace = dagster_home(layout) / "workspace.yaml"

    def prepare(self) -> None:
        write_home(self.layout)

    def run(self, script: str, *arguments: str) -> list[str]:
        """One of Dagster's console scripts, without its notices about previews."""
        return [sys.executable, "-m", "devstack.dagster_process", script, *arguments]


class CodeServer(DagsterService):
    """Serves the definitions by gRPC and starts the runs, which go on if it dies."""

    name = "code-server"
    is_parent_of_work = True

    def __init__(self, layout: Layout, module: str = MODULE) -> None:
        super().__init__(layout)
        self.port = layout.port("code-server")
        self.module = module

    def command(self) -> list[str]:
        return self.run(
            "dagster",
            *("api", "grpc", "-m", self.module, "-d", str(PROJECT_ROOT)),
            *("-h", "127.0.0.1", "-p", str(self.port), "--location-name", LOCATION),
            *("--log-format", "colored", "--use-python-environment-entry-point"),
        )

    def probe(self) -> str | None:
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            try:
                answer = stub.Check(
                    health_pb2.HealthCheckRequest(service="DagsterApi"), timeout=PROBE_SECONDS
                )
            except grpc.RpcError as error:
                return f"no gRPC answer from localhost:{self.port} ({error.code().name})"
        serving = health_pb2.HealthCheckResponse.SERVING
        return None if answer.status == serving else "the code server says it is not serving"

    def before_stop(self) -> None:
        """End the runs while server and storage are there to note it."""
        processes.terminate_work(self.layout.home, RUN_STOP_SECONDS)


class Webserver(DagsterService):
    """The web UI; needs nothing but the database to come up."""

    name = "dagster"

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self.port = layout.port("dagster")

    def command(self) -> list[str]:
        return self.run(
            "dagster-webserver",
            *("-w", str(self.workspace), "-h", "127.0.0.1", "-p", str(self.port)),
        )

    def probe(self) -> str | None:
        _, fault = get_json(f"http://127.0.0.1:{self.port}/server_info")
        return fault


class AuditWebserver(DagsterService):
    """The web UI for auditors, read-only and under a path of its own, for a proxy that lets them
    in. Nothing can be started, stopped, wiped or reported through it.
    """

    name = "dagster-audit"

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self.port = layout.port(self.name)

    def command(self) -> list[str]:
        return self.run(
            "dagster-webserver",
            *("-w", str(self.workspace), "-h", "127.0.0.1", "-p", str(self.port)),
            *("--read-only", "--path-prefix", AUDIT_PREFIX),
        )

    def probe(self) -> str | None:
        _, fault = get_json(f"{audit_url(self.layout)}/server_info")
        return fault


def audit_url(layout: Layout) -> str:
    """Where the auditors' web UI is."""
    return f"http://127.0.0.1:{layout.port(AuditWebserver.name)}{AUDIT_PREFIX}"


class Daemon(DagsterService):
    """Ticks the sensors and dequeues the runs; started last, when there is something for them to
    find.
    """

    name = "daemon"
    # Not before Spark: a run it starts at once for a backlog would find no server and fail.
    needs = ("postgres", "code-server", "spark")
    waits_for_initialised = True

    def __init__(self, layout: Layout, environment: Mapping[str, str]) -> None:
        super().__init__(layout)
        self.stack_environment = environment
        self.started = 0.0

    def prepare(self) -> None:
        super().prepare()
        if not self.started:
            self.close_stale_runs()
        self.started = time.time()

    def close_stale_runs(self) -> None:
        """Report the runs of an earlier life of the stack as failed.

        Their processes ended with it (power cut, kill -9), yet Dagster would count each as running
        for its longest permitted time, and let no other run of its stream begin.
        """
        try:
            with self.connect() as connection:
                stale = connection.execute(STALE_RUNS).fetchone()
        except psycopg.errors.UndefinedTable:
            return
        except psycopg.Error as error:
            raise Unavailable(
                "dagster_storage", f"Dagster's storage cannot be read: {error}"
            ) from error
        if stale is None or stale[0] == 0:
            return
        log = self.layout.logs / "daemon.log"
        with log.open("ab") as output:
            subprocess.run(
                [sys.executable, "-m", "devstack.stale_runs"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(self.stack_environment),
                timeout=self.start_seconds,
                check=True,
            )

    def command(self) -> list[str]:
        return self.run("dagster-daemon", "run", "-w", str(self.workspace))

    def connect(self) -> psycopg.Connection:
        """A connection to Dagster's storage."""
        value = self.stack_environment.__getitem__
        return psycopg.connect(
            host=value("DAGSTER_PG_HOST"),
            port=int(value("DAGSTER_PG_PORT")),
            dbname=value("DAGSTER_PG_DB"),
            user=value("DAGSTER_PG_USERNAME"),
            password=value("DAGSTER_PG_PASSWORD"),
            connect_timeout=3,
        )

    def probe(self) -> str | None:
        """A heartbeat in the storage that is fresh and not its predecessor's."""
        try:
            with self.connect() as connection:
                row = connection.execute("select max(timestamp) from daemon_heartbeats").fetchone()
        except psycopg.Error as error:
            return f"its heartbeat cannot be read ({' '.join(str(error).split())[:200]})"
        if row is None or row[0] is None:
            return "it has not written a heartbeat yet"
        beat: datetime = row[0].replace(tzinfo=UTC)
        if beat.timestamp() < self.started:
            return "it has not written a heartbeat since it was started"
        age = time.time() - beat.timestamp()
        return None if age < HEARTBEAT_SECONDS else f"its last heartbeat is {age:.0f} s old"
