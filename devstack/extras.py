"""Optional parts of the embedded stack, which `carbon up --with NAME` starts beside the rest.

Belongs here: which there are. Does not: what each one is (its own module). Everything an extra
keeps is in a folder of its name under CARBON_HOME.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.settings import PROJECT_ROOT, Settings
from devstack import downloads
from devstack.layout import Layout
from devstack.service import Service

SOURCES: Final = PROJECT_ROOT / "deploy" / "sources"


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What a service is made from: places, settings, the jars' folder, the stack's environment."""

    layout: Layout
    settings: Settings
    jars: Path
    environment: Mapping[str, str]


def _api(ground: Ground) -> list[Service]:
    from devstack.api import Api

    return [Api(ground.layout)]


def _api_values(layout: Layout) -> dict[str, str]:
    from devstack.api import api_values

    return api_values(layout)


def _dagster_audit(ground: Ground) -> list[Service]:
    from devstack.dagster import AuditWebserver

    return [AuditWebserver(ground.layout)]


def _dagster_audit_values(layout: Layout) -> dict[str, str]:
    from devstack.dagster import audit_url

    return {"CARBON_AUDIT_DAGSTER_URL": audit_url(layout)}


def _sftp(ground: Ground) -> list[Service]:
    from devstack.sftp import Sftp

    return [Sftp(ground.layout)]


def _sftp_values(layout: Layout) -> dict[str, str]:
    from devstack.sftp import sftp_values

    return sftp_values(layout)


def _connect(ground: Ground) -> list[Service]:
    from devstack.connect import Connect

    jars = downloads.cache_folder(ground.settings, downloads.CONNECT_LOCK) / "connect"
    return [Connect(ground.layout, jars, ground.environment)]


def _cdc(ground: Ground) -> list[Service]:
    from devstack.sources import SourceAdapter

    file = PROJECT_ROOT / "deploy" / "sources" / "erp-cdc.toml"
    return [SourceAdapter(ground.layout, "erp-cdc", file, needs=("postgres", "connect"))]


def _mqtt(ground: Ground) -> list[Service]:
    from devstack.mqtt import MqttBroker

    return [MqttBroker(ground.layout, ground.settings)]


def _mqtt_source(ground: Ground) -> list[Service]:
    from devstack.mqtt import MqttBroker
    from devstack.sources import SourceAdapter

    broker = MqttBroker(ground.layout, ground.settings)
    file = SOURCES / "mqtt.toml"
    values = {"MQTT_URL": broker.url}
    return [SourceAdapter(ground.layout, "mqtt", file, needs=(broker.name,), values=values)]


# Name: the services that make it up, in the order of their start. The modules are imported by these
# functions, so that a stack without extras does not pay for them.
EXTRAS: Final[dict[str, Callable[[Ground], list[Service]]]] = {
    "connect": _connect,
    "cdc": _cdc,
    "api": _api,
    "dagster-audit": _dagster_audit,
    "sftp": _sftp,
    "mqtt": _mqtt,
    "mqtt-source": _mqtt_source,
}
# Extras that have downloads of their own, and the lock of these.
LOCKS: Final[dict[str, Path]] = {
    "connect": downloads.CONNECT_LOCK,
    "mqtt": downloads.MQTT_LOCK,
}
# Name: the settings that come with it, for stack.env.
EXTRA_VALUES: Final[dict[str, Callable[[Layout], dict[str, str]]]] = {
    "api": _api_values,
    "dagster-audit": _dagster_audit_values,
    "sftp": _sftp_values,
}


def check_extras(names: Sequence[str]) -> tuple[str, ...]:
    """The names, each once, in the table's order; ConfigurationError `unknown_extra`."""
    unknown = [name for name in names if name not in EXTRAS]
    if unknown:
        raise ConfigurationError(
            "unknown_extra",
            f"the stack has no part {unknown[0]!r}; known are: {', '.join(EXTRAS) or 'none'}",
        )
    return tuple(name for name in EXTRAS if name in names)


def extra_services(names: Sequence[str], ground: Ground) -> list[Service]:
    """The services of these extras."""
    return [service for name in check_extras(names) for service in EXTRAS[name](ground)]


def extra_values(
    names: Sequence[str], layout: Layout, environ: Mapping[str, str]
) -> dict[str, str]:
    """The settings of these extras; what the environment says already stays as it is."""
    values: dict[str, str] = {}
    for name in check_extras(names):
        if name in EXTRA_VALUES:
            values.update(EXTRA_VALUES[name](layout))
    return {key: environ.get(key) or value for key, value in values.items()}
