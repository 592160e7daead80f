"""Ed25519 key files: made once, readable by their owner alone.

Belongs here: making and reading them, and the public half beside them. Does not: signing
(carbon_ledger.notes). No key is ever in a setting, a run's configuration or a log; only its path
is.
"""

from __future__ import annotations

import stat
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.secret_files import make_once


def load_or_make(path: Path) -> Ed25519PrivateKey:
    """The key in `path`; drawn and written, mode 0600, if there is no such file yet.

    Raises ConfigurationError `signing_key` for a file that others may read or that is no PEM of an
    Ed25519 private key.
    """
    if not path.exists():
        make(path)
    return load(path)


def make(path: Path) -> None:
    """Draws a key and writes it; whoever comes second finds the first one's."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    make_once(path, pem)


def load(path: Path) -> Ed25519PrivateKey:
    """The key in `path`. ConfigurationError as of `load_or_make`, and if there is no file."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        pem = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            "signing_key", f"the key file {path} cannot be read: {error}"
        ) from None
    if mode & 0o077:
        raise ConfigurationError(
            "signing_key",
            f"the key file {path} has mode {mode:04o}: others may read it; valid is 0600",
        )
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(
            "signing_key", f"{path} is no PEM file of an Ed25519 private key without a password"
        )
    return key


def public_pem(key: Ed25519PublicKey) -> str:
    """The public key as PEM."""
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()
