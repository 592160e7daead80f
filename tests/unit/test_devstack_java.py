"""Java trusts what the machine trusts, and reaches the network the way the machine does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from devstack import java


def certificate(name: str) -> bytes:
    """A self-signed certificate in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def test_one_bad_certificate_does_not_spoil_the_bundle() -> None:
    first, second = certificate("first"), certificate("second")
    bad = b"-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n"
    found = java.parse_certificates(b"# comment\n" + first + bad + second + first)
    names = [one.subject.rfc4514_string() for one in found]
    assert names == ["CN=first", "CN=second"]


def test_the_trust_store_follows_the_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(certificate("first"))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    options = java.trust_options(tmp_path / "trust")
    assert options == java.trust_options(tmp_path / "trust")
    bundle.write_bytes(certificate("second"))
    assert options != java.trust_options(tmp_path / "trust")
    assert len(list((tmp_path / "trust").glob("*.p12"))) == 2


def test_a_proxy_of_the_environment_reaches_java(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "localhost,.example")
    assert java.proxy_options() == [
        "-Dhttps.proxyHost=proxy.example",
        "-Dhttps.proxyPort=3128",
        "-Dhttp.nonProxyHosts=localhost|*.example",
    ]


def test_a_jvm_without_an_archive_of_classes_gets_no_such_option(tmp_path: Path) -> None:
    plain = java.jvm_options("64m", tmp_path, tmp_path)
    assert "-Xmx64m" in plain
    assert not any("SharedArchive" in option for option in plain)
    archive = java.class_archive(tmp_path)
    archive.parent.mkdir(parents=True)
    archive.touch()
    assert f"-XX:SharedArchiveFile={archive}" in java.jvm_options("64m", tmp_path, tmp_path)
