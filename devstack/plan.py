"""What a stack consists of, given its settings: our services, foreign parts, their environment.

Belongs here: that choice. Does not: starting anything.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import psycopg

from carbon_ledger.settings import Settings
from devstack import downloads
from devstack.dagster import CodeServer, Daemon, Webserver
from devstack.environment import Parts, child_environment, external_parts, stack_values
from devstack.extras import Ground, check_extras, extra_services, extra_values
from devstack.kafka import Broker
from devstack.layout import Layout
from devstack.postgres import Postgres
from devstack.registry import Registry
from devstack.service import External, Service, get_json, probe_tcp
from devstack.spark import Spark
from devstack.witness import Witness


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything the supervisor has to know."""

    services: tuple[Service, ...]
    external: tuple[External, ...]
    environment: Mapping[str, str]
    values: Mapping[str, str]
    brokers: int
    dagster: bool
    extras: tuple[str, ...] = ()


def make_plan(
    settings: Settings,
    *,
    brokers: int,
    dagster: bool,
    extras: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
) -> Plan:
    """The plan for this stack. Downloads nothing: the jars are expected in the cache."""
    layout = Layout.of(settings)
    parts = external_parts(layout, environ)
    values = {
        **stack_values(layout, parts, environ),
        **extra_values(extras, layout, environ),
    }
    environment = child_environment(layout, values, str(settings.cache))
    jars = downloads.cache_folder(settings)
    services: list[Service] = []
    if parts.needs_postgres:
        services.append(Postgres(layout))
    if not parts.kafka:
        services += [Broker(layout, jars / "kafka", n, brokers) for n in range(1, brokers + 1)]
    if not parts.registry:
        services.append(Registry(layout, jars / "registry"))
    if not parts.spark:
        services.append(Spark(layout, jars / "spark", environment))
    if not parts.witness:
        services.append(Witness(layout, settings))
    ground = Ground(layout=layout, settings=settings, jars=jars, environment=environment)
    services += extra_services(extras, ground)
    if dagster:
        services += [CodeServer(layout), Webserver(layout), Daemon(layout, environment)]
    return Plan(
        services=tuple(services),
        external=tuple(foreign(parts, values)),
        environment=environment,
        values=values,
        brokers=0 if parts.kafka else brokers,
        dagster=dagster,
        extras=check_extras(extras),
    )


def foreign(parts: Parts, values: Mapping[str, str]) -> list[External]:
    """A question for each part that is somebody else's."""
    found = []
    if parts.kafka:
        first = values["CARBON_KAFKA_BOOTSTRAP_SERVERS"].split(",")[0]
        found.append(External(name="kafka", probe=tcp_question(f"//{first}", 9092)))
    if parts.registry:
        url = values["CARBON_REGISTRY_URL"]
        found.append(External(name="registry", probe=lambda: registry_question(url)))
    if parts.database:
        database = values["CARBON_DATABASE_READER_URL"]
        found.append(External(name="database", probe=lambda: database_question(database)))
    if parts.spark:
        found.append(
            External(name="spark", probe=tcp_question(values["CARBON_SPARK_REMOTE"], 15002))
        )
    return found


def tcp_question(url: str, default_port: int) -> Callable[[], str | None]:
    """A probe of the host and port in `url`."""
    place = urlsplit(url)
    return lambda: probe_tcp(place.hostname or "localhost", place.port or default_port)


def registry_question(url: str) -> str | None:
    """None if the registry answers at all, be it that it wants a password."""
    _, fault = get_json(f"{url}/subjects")
    return None if fault is None or fault.endswith(("401", "403")) else fault


def database_question(url: str) -> str | None:
    """None if the reader's URL lets one in."""
    try:
        with psycopg.connect(url, connect_timeout=3) as connection:
            connection.execute("select 1")
    except psycopg.Error as error:
        return " ".join(str(error).split())[:200]
    return None
