"""Kafka settings in the words of Spark's Kafka source (the Java client's), from the project's
settings.
"""

from __future__ import annotations

from pathlib import Path

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.settings import Settings


def kafka_options(settings: Settings) -> dict[str, str]:
    """Options for `spark.read.format("kafka")`: bootstrap servers, TLS and SASL."""
    options = {
        "kafka.bootstrap.servers": settings["CARBON_KAFKA_BOOTSTRAP_SERVERS"],
        "kafka.security.protocol": settings["CARBON_KAFKA_SECURITY_PROTOCOL"],
    }
    mechanism = settings.get("CARBON_KAFKA_SASL_MECHANISM")
    if mechanism:
        options["kafka.sasl.mechanism"] = mechanism
        options["kafka.sasl.jaas.config"] = _jaas(
            mechanism,
            settings["CARBON_KAFKA_SASL_USERNAME"],
            settings["CARBON_KAFKA_SASL_PASSWORD"],
        )
    authority = settings.get("CARBON_KAFKA_SSL_CA_LOCATION")
    if authority:
        options["kafka.ssl.truststore.type"] = "PEM"
        options["kafka.ssl.truststore.certificates"] = Path(authority).read_text(encoding="ascii")
    certificate = settings.get("CARBON_KAFKA_SSL_CERTIFICATE_LOCATION")
    if certificate:
        key = Path(settings["CARBON_KAFKA_SSL_KEY_LOCATION"])
        options["kafka.ssl.keystore.type"] = "PEM"
        options["kafka.ssl.keystore.certificate.chain"] = Path(certificate).read_text("ascii")
        options["kafka.ssl.keystore.key"] = key.read_text(encoding="ascii")
    return options


def _jaas(mechanism: str, username: str, password: str) -> str:
    modules = {
        "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
        "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
        "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
    }
    if mechanism not in modules:
        raise ConfigurationError(
            "sasl_mechanism",
            f"CARBON_KAFKA_SASL_MECHANISM is {mechanism!r}; valid are {', '.join(modules)}",
        )
    quoted = [text.replace("\\", "\\\\").replace('"', '\\"') for text in (username, password)]
    return f'{modules[mechanism]} required username="{quoted[0]}" password="{quoted[1]}";'
