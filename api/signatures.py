"""Signatures of webhooks: who sent a body, unchanged, and when.

Belongs here: HMAC-SHA256 over timestamp and body, the time within which a body may arrive, secrets
in files. Does not: what a body says (pipeline.sources.erp_documents).

`X-Carbon-Signature: sha256=<hex>` is HMAC-SHA256 with the system's secret over the text of
`X-Carbon-Timestamp` (seconds since 1970), a point, and the body's bytes. While a secret is changed
there are two, and either is good. An unknown system is answered as a wrong signature is.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from api.client import SIGNATURE_HEADER, TIMESTAMP_HEADER
from api.problems import Problem
from carbon_ledger.errors import ConfigurationError

WINDOW_SECONDS: Final = 300
SECRETS_MAX: Final = 2
SECRET_BYTES_MIN: Final = 16
SECRET_BYTES_MAX: Final = 4096
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")
_SIGNATURE: Final = re.compile(r"sha256=([0-9a-fA-F]{64})")


def check_signature(
    body: bytes,
    *,
    timestamp: str | None,
    signature: str | None,
    known: Sequence[bytes],
    now: datetime,
    window_seconds: int = WINDOW_SECONDS,
) -> None:
    """Returns if `body` was signed with one of the `known` secrets, and not long ago.

    Raises Problem 401: `signature_missing`, `signature_malformed`, `signature_wrong`, and
    `timestamp_outside_window` with how far the clocks are apart. With no known secret every
    signature is wrong.
    """
    if timestamp is None or signature is None:
        missing = TIMESTAMP_HEADER if timestamp is None else SIGNATURE_HEADER
        raise _refused("signature_missing", "the request is not signed", missing)
    if not _TIMESTAMP.fullmatch(timestamp):
        raise _refused(
            "signature_malformed",
            "the time is not in seconds since 1970",
            TIMESTAMP_HEADER,
            "seconds since 1970, such as 1717200000",
        )
    found = _SIGNATURE.fullmatch(signature)
    if found is None:
        raise _refused(
            "signature_malformed",
            "this is no signature",
            SIGNATURE_HEADER,
            "sha256= and 64 hexadecimal digits",
        )
    message = timestamp.encode() + b"." + body
    # Both are compared in any case, and something where none is known: the time tells nothing.
    candidates = list(known)[:SECRETS_MAX] or [secrets.token_bytes(SECRET_BYTES_MIN)]
    matches = [
        hmac.compare_digest(hmac.new(one, message, hashlib.sha256).hexdigest(), found[1].lower())
        for one in candidates
    ]
    if not known or not any(matches):
        raise _refused("signature_wrong", "the signature is not of this body", SIGNATURE_HEADER)
    # Asked last: only who has the secret is told of the clock, and of the window of the system.
    apart = int(now.timestamp()) - int(timestamp)
    if abs(apart) > window_seconds:
        order = "behind" if apart > 0 else "ahead of"
        raise _refused(
            "timestamp_outside_window",
            f"the request's time is {abs(apart)} s {order} the server's clock",
            TIMESTAMP_HEADER,
            f"at most {window_seconds} s from {int(now.timestamp())}",
        )


def read_secret(path: Path) -> bytes:
    """The secret in a file, without the line's end; ConfigurationError `secret_file`."""
    try:
        content = path.read_bytes()[: SECRET_BYTES_MAX + 1].rstrip(b"\r\n")
        is_open = path.stat().st_mode & 0o077 != 0
    except OSError as error:
        raise ConfigurationError("secret_file", f"{path}: {error.strerror}") from error
    if is_open:
        raise ConfigurationError(
            "secret_file", f"{path} can be read by others than its owner; chmod 600 it"
        )
    if not SECRET_BYTES_MIN <= len(content) <= SECRET_BYTES_MAX:
        raise ConfigurationError(
            "secret_file",
            f"{path} holds {len(content)} bytes; valid are {SECRET_BYTES_MIN} to "
            f"{SECRET_BYTES_MAX}",
        )
    return content


def _refused(code: str, detail: str, field: str, valid: str | None = None) -> Problem:
    return Problem(401, code, detail, field=field, valid=valid)
