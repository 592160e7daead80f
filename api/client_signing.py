"""Signatures of webhooks, as a sender makes them.

Belongs here: the headers that sign a body. Does not: checking them (api.signatures).
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

TIMESTAMP_HEADER: Final = "X-Carbon-Timestamp"
SIGNATURE_HEADER: Final = "X-Carbon-Signature"
DELIVERY_HEADER: Final = "X-Carbon-Delivery"


def signed_headers(body: bytes, secret: bytes, at: int) -> dict[str, str]:
    """The headers that say that `body` was sent at second `at` by who has the secret."""
    message = str(at).encode() + b"." + body
    tag = hmac.new(secret, message, hashlib.sha256).hexdigest()
    return {TIMESTAMP_HEADER: str(at), SIGNATURE_HEADER: f"sha256={tag}"}
