"""Avro bytes in Confluent framing, and the schema registry that names the schemas in them.

Belongs here: framing, the registry client, registering our schemas, reading a writer schema by id.
Does not: what an event may say (carbon_ledger.events), sending (pipeline.producers).

A value is 0x00, the schema id as a big-endian 32-bit integer, the Avro body. Subjects are named
`<topic>-value`. Their compatibility is FULL_TRANSITIVE: backward, because raw records are kept
forever and the newest reader must decode all of them; forward, because a producer may be upgraded
before the reader is; transitive, because both must hold against every version, not the latest one.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import fastavro

from carbon_ledger.errors import BrokenInvariant, ConfigurationError, RejectedRecord, Unavailable
from carbon_ledger.event_fields import ActivityEvent
from carbon_ledger.events import IoTEnergyEvent
from carbon_ledger.settings import Settings
from carbon_ledger.stream_events import WIDER_SCHEMAS
from pipeline.topics import STREAM_TOPICS, TOPICS

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import SchemaRegistryClient

MAGIC_BYTE: Final = 0
FRAME: Final = struct.Struct(">bI")
COMPATIBILITY: Final = "FULL_TRANSITIVE"
# Three tries within seconds: a registry that restarts is waited for, one that is gone is not.
REQUEST_SECONDS: Final = 10
RETRIES: Final = 2
UNKNOWN_SCHEMA_CODES: Final = frozenset({40403, 404})
INCOMPATIBLE_STATUS: Final = 409


@cache
def schema_text(stream: str) -> str:
    """The Avro schema of a stream, or of a wider event of it, as it is registered: its .avsc file
    without the white space.

    Within a field, the files keep Avro's own order of attributes (name, type, doc, default), so
    that a registry which parses and prints what it is given gives this very text back. Raises
    ConfigurationError `unknown_stream`.
    """
    if stream not in STREAM_TOPICS and stream not in WIDER_SCHEMAS.values():
        raise ConfigurationError(
            "unknown_stream", f"{stream!r} is no stream; known are: {', '.join(STREAM_TOPICS)}"
        )
    return _file_text(stream)


def widest_schema_text(stream: str) -> str:
    """The schema with every field a record of the stream can have: its own, or a later version
    that only adds fields with defaults. Raises ConfigurationError `unknown_stream`.
    """
    return _file_text(WIDER_SCHEMAS[stream]) if stream in WIDER_SCHEMAS else schema_text(stream)


@cache
def _file_text(name: str) -> str:
    file = resources.files("carbon_ledger").joinpath("schemas", f"{name}.avsc")
    return json.dumps(
        json.loads(file.read_text("utf-8")), separators=(",", ":"), ensure_ascii=False
    )


def sha256_of(text: str) -> bytes:
    """SHA-256 of a schema's text in UTF-8: what an entry records as its schema hash."""
    return hashlib.sha256(text.encode()).digest()


@cache
def _parsed(stream: str) -> Any:
    return fastavro.parse_schema(json.loads(schema_text(stream)))


def schema_name(event: IoTEnergyEvent | ActivityEvent) -> str:
    """The file of the event's own schema, without its ending."""
    return "iot_energy" if isinstance(event, IoTEnergyEvent) else event.TYPE.stream


def encode(event: IoTEnergyEvent | ActivityEvent, schema_id: int) -> bytes:
    """The event as a Kafka value; equal events give equal bytes. It must have been checked."""
    body = io.BytesIO()
    body.write(FRAME.pack(MAGIC_BYTE, schema_id))
    fastavro.schemaless_writer(body, _parsed(schema_name(event)), event.to_avro_fields())
    return body.getvalue()


class Registry:
    """The schema registry, as far as this project uses it; connects when first asked.

    Every method raises Unavailable if the registry does not answer or answers with a server error.
    """

    def __init__(self, settings: Settings, url: str | None = None) -> None:
        self.url = url or settings["CARBON_REGISTRY_URL"]
        self._settings = settings
        self._client: SchemaRegistryClient | None = None

    def _registry(self) -> SchemaRegistryClient:
        if self._client is None:
            # Half a second of imports that a reader of this module may never need.
            from confluent_kafka.schema_registry import SchemaRegistryClient

            config: dict[str, Any] = {
                "url": self.url,
                "timeout": REQUEST_SECONDS,
                "max.retries": RETRIES,
                "retries.wait.ms": 500,
                "retries.max.wait.ms": 2000,
            }
            user = self._settings.get("CARBON_REGISTRY_USERNAME")
            if user is not None:
                password = self._settings["CARBON_REGISTRY_PASSWORD"]
                config["basic.auth.user.info"] = f"{user}:{password}"
            authority = self._settings.get("CARBON_REGISTRY_CA_LOCATION")
            if authority is not None:
                config["ssl.ca.location"] = authority
            self._client = SchemaRegistryClient(config)
        return self._client

    def register(self, subject: str, text: str) -> int:
        """The id of `text` under `subject`, registered now if it was not; idempotent.

        Raises ConfigurationError `schema_incompatible` if some version of the subject forbids it.
        """
        from confluent_kafka.schema_registry import Schema, SchemaRegistryError

        schema = Schema(text, "AVRO")
        try:
            return int(self._call("register_schema", subject, schema))
        except SchemaRegistryError as error:
            if error.http_status_code == INCOMPATIBLE_STATUS:
                raise ConfigurationError(
                    "schema_incompatible",
                    f"the registry at {self.url} refuses a schema for {subject}: not "
                    f"{COMPATIBILITY} with all versions there ({error.error_message})",
                ) from error
            raise self._unexpected(error) from error

    def writer_schema(self, schema_id: int) -> tuple[str, bytes]:
        """(text, SHA-256 of it) of a schema id.

        Raises RejectedRecord `unknown_schema_id` if the registry answers that it has no such id.
        """
        from confluent_kafka.schema_registry import SchemaRegistryError

        try:
            text = self._call("get_schema", schema_id).schema_str
        except SchemaRegistryError as error:
            if error.error_code in UNKNOWN_SCHEMA_CODES:
                raise unknown_schema_id(schema_id) from error
            raise self._unexpected(error) from error
        if not isinstance(text, str):
            raise BrokenInvariant("schema_text", f"schema {schema_id} has no text in {self.url}")
        return text, sha256_of(text)

    def require_compatibility(self, subject: str) -> None:
        """Sets the subject's compatibility to FULL_TRANSITIVE, unless it is that already."""
        from confluent_kafka.schema_registry import SchemaRegistryError

        try:
            if self._call("get_compatibility", subject) == COMPATIBILITY:
                return
        except SchemaRegistryError as error:
            if error.http_status_code != 404:
                raise self._unexpected(error) from error
        try:
            self._call("set_compatibility", subject, COMPATIBILITY)
        except SchemaRegistryError as error:
            raise self._unexpected(error) from error

    def _call(self, method: str, *arguments: object) -> Any:
        from confluent_kafka.schema_registry import SchemaRegistryError

        try:
            return getattr(self._registry(), method)(*arguments)
        except _transport_errors() as error:
            raise self._unavailable(type(error).__name__) from error
        except SchemaRegistryError as error:
            if error.http_status_code >= 500 or error.http_status_code in (408, 429):
                raise self._unavailable(f"HTTP {error.http_status_code}") from error
            raise

    def _unavailable(self, reason: str) -> Unavailable:
        return Unavailable(
            "registry_unavailable",
            f"the schema registry at {self.url} does not answer ({reason}). Start the embedded "
            "stack with `carbon up`, or set CARBON_REGISTRY_URL.",
        )

    def _unexpected(self, error: Any) -> ConfigurationError:
        return ConfigurationError(
            "registry_refused",
            f"the schema registry at {self.url} refused: HTTP {error.http_status_code}, "
            f"{error.error_message}",
        )


@cache
def _transport_errors() -> tuple[type[Exception], ...]:
    """What the registry client raises when nobody answers: of httpx2 where that is installed."""
    import httpx

    errors: list[type[Exception]] = [httpx.TransportError]
    try:
        import httpx2
    except ImportError:
        pass
    else:
        errors.append(httpx2.TransportError)
    return tuple(errors)


def unknown_schema_id(schema_id: int) -> RejectedRecord:
    """The refusal of a record whose schema nobody knows."""
    return RejectedRecord(
        "unknown_schema_id",
        f"schema id {schema_id} is not in the registry",
        field=None,
        value=schema_id,
        valid="the id of a registered schema",
    )


def subject_of(topic: str) -> str:
    """The registry subject of a topic's values."""
    return f"{topic}-value"


def register_schemas(settings: Settings) -> dict[str, int]:
    """Registers every stream's schema and fixes its compatibility; schema id by stream; idempotent.

    Raises Unavailable, or ConfigurationError `schema_incompatible`.
    """
    registry = Registry(settings)
    ids = {}
    for topic in TOPICS:
        if topic.stream is not None:
            ids[topic.stream] = ensure_schema(registry, topic.name, topic.stream)
    return ids


def ensure_schema(registry: Registry, topic: str, stream: str) -> int:
    """The id of our schema of `stream`, registered under the topic's subject if it was not.

    The rule comes first: a schema that breaks it must not get in before it.
    """
    subject = subject_of(topic)
    registry.require_compatibility(subject)
    return registry.register(subject, schema_text(stream))
