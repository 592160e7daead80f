"""Access tokens, for clients that speak OAuth 2.0 client credentials (RFC 6749, section 4.4).

Belongs here: making and reading a token, the key that signs them. Does not: HTTP. A token stands
for an API key for an hour, and opens nothing once that key is revoked or has expired.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.secret_files import make_once
from carbon_ledger.settings import Settings

if TYPE_CHECKING:
    from api.services import Services

TOKEN_SECONDS: Final = 3600
KEY_BYTES: Final = 32
_TOKEN = re.compile(r"ct_([a-z2-7]{16})_([0-9]{10})_([0-9a-f]{64})")
_KEYS: Final[dict[Path, bytes]] = {}
_MAKING: Final = threading.Lock()


def new_token(key_id: str, services: Services) -> str:
    """A token for this key, good for TOKEN_SECONDS."""
    until = int(services.clock().timestamp()) + TOKEN_SECONDS
    return f"ct_{key_id}_{until:010d}_{_tag(key_id, until, services.settings)}"


def key_id_of(text: str, services: Services) -> str | None:
    """The key a token stands for; None if it is none of ours, or has expired."""
    found = _TOKEN.fullmatch(text)
    if found is None:
        return None
    key_id, until = found[1], int(found[2])
    if not hmac.compare_digest(found[3], _tag(key_id, until, services.settings)):
        return None
    return key_id if services.clock().timestamp() < until else None


def is_token(text: str) -> bool:
    """Whether it has the form of a token."""
    return _TOKEN.fullmatch(text) is not None


def tag_of(purpose: str, text: str, settings: Settings) -> str:
    """A tag that this API alone can make, for a text that somebody else keeps meanwhile."""
    given = settings.get("CARBON_API_TOKEN_KEY_FILE")
    path = Path(given) if given else settings.home / "keys" / "api-token.key"
    message = f"carbon-ledger {purpose}\n{text}".encode()
    return hmac.new(_signing_key(path), message, hashlib.sha256).hexdigest()


def _tag(key_id: str, until: int, settings: Settings) -> str:
    return tag_of("access token", f"{key_id}\n{until}", settings)


def _signing_key(path: Path) -> bytes:
    """The key in `path`, made with mode 0600 if there is none; read once."""
    found = _KEYS.get(path)
    if found is None:
        # Of requests that come first at once, one makes it. Another process of the API may be
        # doing the same: the first one's key is it, and this one reads that.
        with _MAKING:
            found = _KEYS.setdefault(path, _read_or_made(path))
    return found


def _read_or_made(path: Path) -> bytes:
    if not path.exists():
        make_once(path, f"{secrets.token_hex(KEY_BYTES)}\n".encode("ascii"))
    if path.stat().st_mode & 0o077:
        raise ConfigurationError(
            "key_file_open", f"{path} can be read by others than its owner; chmod 600 it"
        )
    text = path.read_text(encoding="ascii").strip()
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ConfigurationError("key_file", f"{path} is no key: valid are 64 hexadecimal digits")
    return bytes.fromhex(text)
