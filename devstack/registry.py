"""The schema registry (Apicurio), durable in the embedded PostgreSQL, with Confluent's API.

Belongs here: its configuration and probe. Does not: schemas (pipeline.serialization).
"""

from __future__ import annotations

from pathlib import Path

from devstack.java import java, jvm_options
from devstack.layout import Layout
from devstack.service import Service, get_json

API = "/apis/ccompat/v7"


class Registry(Service):
    """One JVM; both its ports are on the loopback interface."""

    name = "registry"
    needs = ("postgres",)

    def __init__(self, layout: Layout, jars: Path) -> None:
        self.layout, self.application = layout, jars / "app"
        self.port = layout.port("registry")
        self.scratch = layout.scratch(self.name)

    @property
    def ports(self) -> tuple[int, ...]:
        return (self.layout.port("registry"), self.layout.port("registry-management"))

    @property
    def url(self) -> str:
        """Base URL of the Confluent-compatible API."""
        return f"http://localhost:{self.port}{API}"

    def prepare(self) -> None:
        self.scratch.mkdir(parents=True, exist_ok=True)

    def command(self) -> list[str]:
        return [
            java(),
            *jvm_options("384m", self.scratch, self.layout.cache),
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",  # starts a third faster; this server is never busy
            "-jar",
            str(self.application / "quarkus-run.jar"),
        ]

    def environment(self) -> dict[str, str]:
        return {
            "QUARKUS_HTTP_HOST": "127.0.0.1",
            "QUARKUS_HTTP_PORT": str(self.port),
            "QUARKUS_MANAGEMENT_HOST": "127.0.0.1",
            "QUARKUS_MANAGEMENT_PORT": str(self.layout.port("registry-management")),
            "QUARKUS_HTTP_ACCESS_LOG_ENABLED": "false",
            "QUARKUS_OTEL_SDK_DISABLED": "true",
            "APICURIO_STORAGE_KIND": "sql",
            "APICURIO_STORAGE_SQL_KIND": "postgresql",
            "APICURIO_DATASOURCE_URL": f"jdbc:postgresql://127.0.0.1:{self.layout.port('postgres')}/registry",
            "APICURIO_DATASOURCE_USERNAME": "registry",
            "APICURIO_DATASOURCE_PASSWORD": self.layout.passwords()["registry"],
            "APICURIO_DATASOURCE_JDBC_INITIAL_SIZE": "2",
            "APICURIO_DATASOURCE_JDBC_MIN_SIZE": "2",
            "APICURIO_DATASOURCE_JDBC_MAX_SIZE": "10",
            "APICURIO_STORAGE_SNAPSHOT_LOCATION": str(self.scratch),
            "APICURIO_IMPORT_WORK_DIR": str(self.scratch),
        }

    def probe(self) -> str | None:
        # Subjects come from the database, so this says that the store behind the API works too.
        base = f"http://127.0.0.1:{self.port}{API}"
        subjects, fault = get_json(f"{base}/subjects")
        if fault is None and not isinstance(subjects, list):
            return f"{base}/subjects is not a list of subjects"
        return fault
