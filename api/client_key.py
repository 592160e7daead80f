"""The key a client uses: the one it was given, or the one that is found.

Belongs here: where it is looked for, the form of one. Does not: making the local key
(api.local_key). No message has a key in it, not even one that is none.
"""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from pathlib import Path
from typing import Final

import httpx

from api.client_answers import InvalidArgument

FILE_NAME: Final = "api-local.key"
VARIABLE: Final = "CARBON_API_KEY"
# Keys (carbon_ledger.access_keys) and access tokens (api.tokens): no other secret is sent for one.
_FORM: Final = re.compile(r"c[kt]_[0-9a-z_]+")


def checked_key(text: str, place: str) -> str:
    """The key without what stands around it; an empty one is none. InvalidArgument, with the place
    it came from instead of the key, if it has not the form of one.
    """
    key = text.strip()
    if key and not _FORM.fullmatch(key):
        raise InvalidArgument(
            "key_malformed",
            f"{place} has no key in it; what is there is not shown",
            field="key",
            value=None,
            valid="one line, ck_… as `carbon key create` shows it, or an access token ct_…",
        )
    return key


def found_key(base_url: str) -> str | None:
    """That of the environment (CARBON_API_KEY); for a loopback address that of the embedded stack
    on this machine; else None.

    The file is taken if it is the caller's own and nobody else can read it. InvalidArgument if what
    is found has not the form of a key.
    """
    given = checked_key(os.environ.get(VARIABLE, ""), f"the environment's {VARIABLE}")
    if given:
        return given
    for path in _files(base_url):
        key = checked_key(_read(path), f"the file {path}")
        if key:
            return key
    return None


def where_looked(base_url: str) -> str:
    """That no key was found, and where one is looked for."""
    places = ["the argument `key`", f"the environment's {VARIABLE}"]
    places += [f"{path} (one's own, mode 0600)" for path in _files(base_url)]
    return f"no key was found: one is looked for in {', '.join(places)}"


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by itself, without asking anybody for its address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _files(base_url: str) -> list[Path]:
    if not is_loopback(httpx.URL(base_url).host):
        return []
    return [home / "keys" / FILE_NAME for home in _homes()]


def _homes() -> list[Path]:
    given = os.environ.get("CARBON_HOME")
    if given:
        return [Path(given)]
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    # As carbon_ledger.settings has them, which this file does not import.
    return [Path(__file__).resolve().parents[1] / ".carbon", Path(data) / "carbon-ledger"]


def _read(path: Path) -> str:
    try:
        with path.open(encoding="ascii") as stream:
            status = os.fstat(stream.fileno())
            is_own = status.st_uid == os.getuid() and not stat.S_IMODE(status.st_mode) & 0o077
            return stream.read() if is_own else ""
    except (OSError, UnicodeDecodeError):
        return ""
