"""The adapter's link to a broker with certificates and passwords: amqtt, in a thread."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from amqtt.broker import Broker
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pwdlib.hashers.argon2 import Argon2Hasher

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.settings import load
from devstack.layout import Layout
from pipeline.sources.mqtt_config import mqtt_config
from pipeline.sources.mqtt_link import MqttLink
from pipeline.sources.source_config import read_source

pytestmark = pytest.mark.stack

CONFIG = """
kind = "mqtt"
url = "mqtts://127.0.0.1:{port}"
version = "3.1.1"
username = "{user}"
password_file = "{password}"
[tls]
ca_file = "{ca}"
[[topics]]
template = "t/{{facility_id}}/{{sensor_id}}"
payload = "json"
[topics.fields]
timestamp = {{ key = "at" }}
energy_kwh = {{ key = "kwh" }}
country_iso2 = "DE"
"""


def certificate(folder: Path, name: str) -> None:
    """A certificate of 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@dataclass(frozen=True, kw_only=True)
class Place:
    folder: Path
    port: int


@contextmanager
def amqtt_broker(folder: Path, port: int) -> Iterator[None]:
    config = {
        "listeners": {
            "default": {
                "type": "tcp",
                "bind": f"127.0.0.1:{port}",
                "ssl": True,
                "certfile": str(folder / "broker.pem"),
                "keyfile": str(folder / "broker.key"),
            }
        },
        "plugins": {
            "amqtt.plugins.authentication.FileAuthPlugin": {
                "password_file": str(folder / "passwords")
            }
        },
    }
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> Broker:
        broker = Broker(config)
        await broker.start()
        return broker

    broker = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(broker.shutdown(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("broker")
    for name in ("broker", "other"):
        certificate(folder, name)
    (folder / "passwords").write_text(f"carbon:{Argon2Hasher().hash('s3cret')}\n")
    (folder / "right").write_text("s3cret\n")
    (folder / "wrong").write_text("guess\n")
    port = Layout.of(load()).port("mqtt") + 5000
    with amqtt_broker(folder, port):
        yield Place(folder=folder, port=port)


def link(place: Place, *, file: str = "right", ca: str = "broker.pem") -> MqttLink:
    path = place.folder / "one.toml"
    path.write_text(CONFIG.format(port=place.port, user="carbon", password=file, ca=ca))
    return MqttLink(mqtt_config(read_source(path)))


def turn_until(one: MqttLink, wanted: str | None) -> None:
    """Turns until the link says the problem `wanted`, or has none."""
    deadline = time.monotonic() + 20
    while (one.problem is not None) if wanted is None else (wanted not in (one.problem or "")):
        assert time.monotonic() < deadline, one.problem
        one.turn(0.05, reads=True)


def test_the_right_password_over_the_right_certificate_gets_in(place: Place) -> None:
    one = link(place)
    turn_until(one, None)
    assert one.is_subscribed
    one.close()
    assert not one.is_open


def test_a_wrong_password_is_an_error_that_says_where_to_look(place: Place) -> None:
    one = link(place, file="wrong")
    with pytest.raises(ConfigurationError) as caught:
        turn_until(one, "never")
    assert caught.value.code == "mqtt_refused"
    assert "password_file" in caught.value.message
    assert "guess" not in caught.value.message


def test_a_broker_with_another_certificate_is_not_spoken_to(place: Place) -> None:
    one = link(place, ca="other.pem")
    turn_until(one, "certificate verify failed")
    assert not one.is_subscribed


def test_files_that_are_no_certificates_are_refused(place: Place) -> None:
    with pytest.raises(ConfigurationError) as caught:
        link(place, ca="passwords")
    assert caught.value.code == "mqtt_tls"
    with pytest.raises(ssl.SSLError):
        ssl.create_default_context(cafile=place.folder / "passwords")
