"""The configuration of an MQTT source.

Belongs here: what may be said in its file, and what is refused. Does not: acting on it
(pipeline.sources.mqtt), the file format (source_config).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pipeline.sources import sparkplug
from pipeline.sources.meter_mapping import (
    ReadingMapping,
    TopicTemplate,
    read_mapping,
    read_template,
)
from pipeline.sources.source_config import SourceConfig, Table

PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
VERSIONS: Final = ("5", "3.1.1")
PAYLOADS: Final = ("json", "sparkplug")
DAY: Final = 24 * 3600
# Fields a Sparkplug metric itself says; `value` is put into the field the mapping names.
_METRIC_TIME: Final = frozenset({"timestamp"})


@dataclass(frozen=True, kw_only=True)
class Tls:
    """Whose certificates are trusted, and the client's own, if it has one."""

    ca_file: Path | None
    certificate_file: Path | None
    key_file: Path | None
    key_password: str | None


@dataclass(frozen=True, kw_only=True)
class Topic:
    """The messages of one template: their payload's form, and what they mean.

    `mapping` is that of a JSON message, `metrics` those of a Sparkplug payload by name.
    """

    template: TopicTemplate
    payload: str
    items: tuple[str, ...] = ()
    mapping: ReadingMapping | None = None
    metrics: Mapping[str, ReadingMapping]

    @property
    def filters(self) -> tuple[str, ...]:
        """What to subscribe to; a Sparkplug template's births too, for they name what data have
        only numbers for.
        """
        return tuple(one.filter for one in self.templates)

    @property
    def templates(self) -> tuple[TopicTemplate, ...]:
        """The template, and that of the births."""
        if self.payload != "sparkplug":
            return (self.template,)
        levels = self.template.text.split("/")
        levels[2] = sparkplug.BIRTHS[levels[2]]
        return (self.template, TopicTemplate.of("/".join(levels)))


@dataclass(frozen=True, kw_only=True)
class MqttConfig:
    """One broker, one session on it, and the topics read from it."""

    source: str
    host: str
    port: int
    tls: Tls | None
    client_id: str
    version: str
    username: str | None
    password: str | None
    session_seconds: int
    keepalive_seconds: int
    window: int
    takes_retained: bool
    payload_bytes_max: int
    idle_seconds: float
    topics: tuple[Topic, ...]

    @property
    def filters(self) -> tuple[str, ...]:
        """All topic filters, each once."""
        return tuple(dict.fromkeys(one for topic in self.topics for one in topic.filters))

    def __str__(self) -> str:
        scheme = "mqtts" if self.tls else "mqtt"
        return (
            f"as {self.client_id} at {scheme}://{self.host}:{self.port} "
            f"(MQTT {self.version}, QoS 1): {', '.join(self.filters)}"
        )


def mqtt_config(config: SourceConfig) -> MqttConfig:
    """The configuration, judged whole; raises ConfigurationError."""
    table = config.table
    host, port, is_tls = _place(table)
    tls = table.optional_table("tls")
    if tls is not None and not is_tls:
        raise table.wrong("tls", "is given, but url is not encrypted", "url = mqtts://…")
    username, password = table.optional_text("username"), table.secret("password")
    if password is not None and username is None:
        raise table.wrong("username", "is missing", "a name for the password")
    topics = tuple(_topic(one) for one in table.tables("topics"))
    if not topics:
        raise table.wrong("topics", "are missing", "at least one [[topics]]")
    return MqttConfig(
        source=config.source,
        host=host,
        port=port,
        tls=(
            _tls(tls)
            if tls is not None
            else Tls(ca_file=None, certificate_file=None, key_file=None, key_password=None)
        )
        if is_tls
        else None,
        client_id=_client_id(table, f"carbon-{config.name}"),
        version=table.choice("version", VERSIONS, "5"),
        username=username,
        password=password,
        session_seconds=table.integer("session_seconds", 30 * DAY, low=60, high=2**32 - 2),
        keepalive_seconds=table.integer("keepalive_seconds", 60, low=5, high=3600),
        window=table.integer("window", 500, low=1, high=5000),
        takes_retained=table.choice("retained", ("ignore", "take"), "ignore") == "take",
        payload_bytes_max=table.integer("payload_bytes_max", 262_144, low=64, high=1_048_576),
        idle_seconds=table.seconds("idle_seconds", 3.0, low=0.1, high=600),
        topics=topics,
    )


def _place(table: Table) -> tuple[str, int, bool]:
    valid = "mqtt://host:port or mqtts://host:port"
    url = table.text("url", valid=valid)
    place = urlsplit(url)
    try:
        port = place.port
    except ValueError:
        port = -1
    if place.username or place.password:
        raise table.wrong("url", "has a user or password in it", "username and password_file")
    if place.scheme not in PORTS or not place.hostname or port == -1 or place.path not in ("", "/"):
        raise table.wrong("url", f"is {url!r}", valid)
    return place.hostname, port or PORTS[place.scheme], place.scheme == "mqtts"


def _client_id(table: Table, default: str) -> str:
    valid = "1 to 128 characters, always the same: the broker keeps messages for it"
    client_id = table.text("client_id", default, valid=valid)
    if len(client_id) > 128 or not client_id.isprintable():
        raise table.wrong("client_id", f"is {client_id!r}", valid)
    return client_id


def _tls(table: Table) -> Tls:
    tls = Tls(
        ca_file=table.path("ca_file"),
        certificate_file=table.path("certificate_file"),
        key_file=table.path("key_file"),
        key_password=table.secret("key_password"),
    )
    if (tls.certificate_file is None) != (tls.key_file is None):
        raise table.wrong("key_file", "and certificate_file go together", "both or none")
    return tls


def _topic(table: Table) -> Topic:
    payload = table.choice("payload", PAYLOADS)
    template = read_template(table)
    given = _free(table, "fields")
    if payload == "sparkplug":
        _check_namespace(table, template)
        return Topic(template=template, payload=payload, metrics=_metrics(table, template, given))
    items = table.optional_text("items", valid="where the list of readings is, such as data.rows")
    return Topic(
        template=template,
        payload=payload,
        items=tuple(items.split(".")) if items else (),
        mapping=read_mapping(table, template, given),
        metrics={},
    )


def _free(table: Table, name: str) -> Mapping[str, object]:
    given = table.plain(name, {})
    if not isinstance(given, Mapping):
        raise table.wrong(name, f"is {given!r}"[:200], f"a table [{name}]")
    return given


def _check_namespace(table: Table, template: TopicTemplate) -> None:
    levels = template.text.split("/")
    wanted = {"NDATA": 4, "DDATA": 5}
    if len(levels) < 4 or levels[0] != sparkplug.NAMESPACE or wanted.get(levels[2]) != len(levels):
        raise table.wrong(
            "template",
            f"is {template.text!r}",
            "spBv1.0/{group}/DDATA/{node}/{device} or spBv1.0/{group}/NDATA/{node}",
        )


def _metrics(
    table: Table, template: TopicTemplate, common: Mapping[str, object]
) -> dict[str, ReadingMapping]:
    mappings: dict[str, ReadingMapping] = {}
    for one in table.tables("metrics"):
        name = one.text("name", valid="the name of a metric")
        if name in mappings:
            raise one.wrong("name", f"is {name!r} again", "each metric once")
        value_field = one.text("field", "energy_kwh", valid="the field its value is for")
        given = {**common, **_free(one, "fields"), value_field: {"key": "value"}}
        mappings[name] = read_mapping(one, template, given, implied=_METRIC_TIME)
    if not mappings:
        raise table.wrong("metrics", "are missing", "at least one [[topics.metrics]]")
    return mappings
