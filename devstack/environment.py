"""Which parts are ours and which are somebody else's, and the variables that say where each part
is.

Belongs here: stack.env, and reading CARBON_* and DAGSTER_* to see what not to start. Does not:
probing.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.settings import DAGSTER_VARIABLES, KNOWN, read_env_file
from devstack.dagster import dagster_home
from devstack.layout import Layout, child_python_path, write_private
from devstack.processes import MARKER
from devstack.registry import API
from devstack.witness import witness_values

DATABASE_ROLES = {
    "CARBON_DATABASE_ADMIN_URL": "carbon_migrator",
    "CARBON_DATABASE_WRITER_URL": "carbon_writer",
    "CARBON_DATABASE_READER_URL": "carbon_reader",
    "CARBON_DATABASE_SEALER_URL": "carbon_sealer",
    "CARBON_DATABASE_VERIFIER_URL": "carbon_verifier",
    "CARBON_DATABASE_AUDITOR_URL": "carbon_auditor",
    "CARBON_DATABASE_VAULT_URL": "carbon_vault",
    "CARBON_DATABASE_GATE_URL": "carbon_gate",
}


@dataclass(frozen=True, kw_only=True)
class Parts:
    """For each part: whether somebody else runs it."""

    kafka: bool
    registry: bool
    database: bool
    spark: bool
    dagster_storage: bool
    witness: bool = False

    @property
    def needs_postgres(self) -> bool:
        """Whether anything of ours keeps its data in the embedded PostgreSQL."""
        return not (self.registry and self.database and self.dagster_storage)


def own_values(layout: Layout) -> dict[str, str]:
    """Every variable as it is when all parts are the embedded ones."""
    return {
        "CARBON_KAFKA_BOOTSTRAP_SERVERS": ",".join(
            f"localhost:{layout.broker_port(n)}"
            for n in range(1, (layout.fixed_brokers() or 1) + 1)
        ),
        "CARBON_REGISTRY_URL": f"http://localhost:{layout.port('registry')}{API}",
        "CARBON_CONNECT_URL": f"http://localhost:{layout.port('connect')}",
        "CARBON_DAGSTER_URL": f"http://localhost:{layout.port('dagster')}",
        **{name: layout.database_url(role, "carbon") for name, role in DATABASE_ROLES.items()},
        "CARBON_SPARK_REMOTE": f"sc://localhost:{layout.port('spark')}",
        **witness_values(layout),
        "DAGSTER_HOME": str(dagster_home(layout)),
        "DAGSTER_PG_HOST": "127.0.0.1",
        "DAGSTER_PG_PORT": str(layout.port("postgres")),
        "DAGSTER_PG_DB": "dagster",
        "DAGSTER_PG_USERNAME": "dagster",
        "DAGSTER_PG_PASSWORD": layout.passwords()["dagster"],
    }


def address(value: str) -> tuple[str, ...]:
    """What values for one place have in common: hosts and ports, not password or path."""
    places = []
    for one in value.split(","):
        url = urlsplit(one if "://" in one else f"//{one}")
        host = "localhost" if url.hostname in ("127.0.0.1", "::1") else url.hostname or ""
        places.append(f"{host}:{url.port}")
    return tuple(sorted(places))


def is_external(name: str, environ: Mapping[str, str], own: Mapping[str, str]) -> bool:
    """Whether `name` is set to another place than the embedded one.

    A shell that ran `eval "$(carbon env)"` has the embedded addresses set; they stay the embedded
    ones.
    """
    value = environ.get(name)
    return bool(value) and address(str(value)) != address(own[name])


def external_parts(layout: Layout, environ: Mapping[str, str] = os.environ) -> Parts:
    """What the environment says is somebody else's. ConfigurationError if the database is half
    ours.
    """
    own = own_values(layout)
    databases = {name: is_external(name, environ, own) for name in DATABASE_ROLES}
    if any(databases.values()) and not all(databases.values()):
        missing = sorted(name for name, external in databases.items() if not external)
        raise ConfigurationError(
            "database_urls",
            f"{', '.join(missing)} must be set too: the CARBON_DATABASE_ URLs name one "
            "database for eight roles, so either all are yours or none",
        )
    own_storage = f"{own['DAGSTER_PG_HOST']}:{own['DAGSTER_PG_PORT']}"
    storage = f"{environ.get('DAGSTER_PG_HOST', '')}:{environ.get('DAGSTER_PG_PORT', '')}"
    return Parts(
        kafka=is_external("CARBON_KAFKA_BOOTSTRAP_SERVERS", environ, own),
        registry=is_external("CARBON_REGISTRY_URL", environ, own),
        database=any(databases.values()),
        spark=is_external("CARBON_SPARK_REMOTE", environ, own),
        witness=is_external("CARBON_WITNESS_URL", environ, own),
        dagster_storage=bool(environ.get("DAGSTER_PG_HOST"))
        and address(storage) != address(own_storage),
    )


def stack_values(
    layout: Layout, parts: Parts, environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Every variable as it is for this stack: the environment's for foreign parts, ours for the
    rest.
    """
    values = own_values(layout)
    foreign = {
        "CARBON_KAFKA_BOOTSTRAP_SERVERS": parts.kafka,
        "CARBON_REGISTRY_URL": parts.registry,
        **dict.fromkeys(DATABASE_ROLES, parts.database),
        "CARBON_SPARK_REMOTE": parts.spark,
        **{name: parts.dagster_storage for name in DAGSTER_VARIABLES if name != "DAGSTER_HOME"},
    }
    for name, is_foreign in foreign.items():
        if is_foreign:
            if name not in environ:
                raise ConfigurationError(
                    "dagster_storage", f"{name} must be set too, because DAGSTER_PG_HOST is"
                )
            values[name] = environ[name]
    if parts.witness:
        values["CARBON_WITNESS_URL"] = environ["CARBON_WITNESS_URL"]
        values["CARBON_WITNESS_KEY"] = environ.get("CARBON_WITNESS_KEY", "")
    # How to reach a foreign part (TLS, SASL) has to arrive with it.
    values.update(
        {
            name: value
            for name, value in environ.items()
            if name in KNOWN
            and name.startswith(
                ("CARBON_KAFKA_S", "CARBON_REGISTRY_", "CARBON_LEDGER_", "CARBON_SIGNING_")
            )
            and name not in values
        }
    )
    return values


def write_stack_env(layout: Layout, values: Mapping[str, str]) -> None:
    """stack.env, mode 0600: what settings.load() and `carbon env` read."""
    lines = ["# written by `carbon up`; addresses and passwords of the embedded stack\n"]
    lines += [f"{name}={value}\n" for name, value in values.items()]
    write_private(layout.env_file, "".join(lines))


def shell_exports(layout: Layout) -> str:
    """`export NAME=value` lines for eval, CARBON_HOME among them; ConfigurationError before the
    first start.
    """
    values = read_env_file(layout.env_file)
    if not values:
        raise ConfigurationError(
            "no_stack_env",
            f"{layout.env_file} does not exist yet; start the stack with `carbon up`",
        )
    values = {"CARBON_HOME": str(layout.home), **values}
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def child_environment(layout: Layout, values: Mapping[str, str], cache: str) -> dict[str, str]:
    """The environment of every process of the stack."""
    # Every run is a process of its own, which would compile our modules anew each time.
    left_out = ("DAGSTER_HOME", "PYTHONDONTWRITEBYTECODE")
    inherited = {name: value for name, value in os.environ.items() if name not in left_out}
    return {
        **inherited,
        **values,
        "CARBON_HOME": str(layout.home),
        "CARBON_CACHE": cache,
        "CARBON_PORT_OFFSET": str(layout.offset),
        "PYTHONPATH": child_python_path(),
        "PYTHONUNBUFFERED": "1",
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "TZ": "UTC",
        "NO_COLOR": "1",  # the output goes to files
        MARKER: str(layout.home),
    }
