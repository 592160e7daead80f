"""How this project's clients reach Kafka.

Belongs here: the one translation of settings into librdkafka options. Does not: topics, messages.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from carbon_ledger.errors import ConfigurationError, Unavailable
from carbon_ledger.settings import Settings

log = logging.getLogger(__name__)
# librdkafka tells of every failed attempt to connect; who wants to read that configures logging.
log.addHandler(logging.NullHandler())

OPTION_OF_SETTING: Final[dict[str, str]] = {
    "CARBON_KAFKA_SECURITY_PROTOCOL": "security.protocol",
    "CARBON_KAFKA_SASL_MECHANISM": "sasl.mechanism",
    "CARBON_KAFKA_SASL_USERNAME": "sasl.username",
    "CARBON_KAFKA_SASL_PASSWORD": "sasl.password",
    "CARBON_KAFKA_SSL_CA_LOCATION": "ssl.ca.location",
    "CARBON_KAFKA_SSL_CERTIFICATE_LOCATION": "ssl.certificate.location",
    "CARBON_KAFKA_SSL_KEY_LOCATION": "ssl.key.location",
}
SECURITY_PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
# An embedded broker answers on one of localhost's two addresses; trying both costs a log line each.
CONNECT_BACKOFF_MS_MAX: Final = 1000


def kafka_config(settings: Settings, bootstrap_servers: str | None = None) -> dict[str, Any]:
    """librdkafka options for reaching the brokers, TLS and SASL included; nothing connects yet.

    `bootstrap_servers` replaces the setting. Raises ConfigurationError for a combination that no
    broker could accept.
    """
    config: dict[str, Any] = {
        "bootstrap.servers": bootstrap_servers or settings["CARBON_KAFKA_BOOTSTRAP_SERVERS"],
        "reconnect.backoff.max.ms": CONNECT_BACKOFF_MS_MAX,
        "logger": log,
    }
    for name, option in OPTION_OF_SETTING.items():
        value = settings.get(name)
        if value is not None:
            config[option] = value
    protocol = config["security.protocol"]
    if protocol not in SECURITY_PROTOCOLS:
        raise ConfigurationError(
            "setting_invalid",
            f"CARBON_KAFKA_SECURITY_PROTOCOL is {protocol!r}; "
            f"known are: {', '.join(SECURITY_PROTOCOLS)}",
        )
    if protocol.startswith("SASL") and "sasl.mechanism" not in config:
        raise ConfigurationError(
            "setting_missing",
            f"CARBON_KAFKA_SECURITY_PROTOCOL is {protocol} but CARBON_KAFKA_SASL_MECHANISM is not "
            "set: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
        )
    return config


def brokers_unavailable(config: dict[str, Any], reason: object) -> Unavailable:
    """The error for brokers that do not answer, naming them and never a password."""
    return Unavailable(
        "kafka_unavailable",
        f"Kafka at {config['bootstrap.servers']} does not answer ({reason}). Start the embedded "
        "stack with `carbon up`, or set CARBON_KAFKA_BOOTSTRAP_SERVERS.",
    )
