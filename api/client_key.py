"""The key a client uses when it was given none.

Belongs here: where it is looked for. Does not: making the local key (api.local_key).
"""

from __future__ import annotations

import ipaddress
import os
import stat
from pathlib import Path
from typing import Final

import httpx

FILE_NAME: Final = "api-local.key"
VARIABLE: Final = "CARBON_API_KEY"


def found_key(base_url: str) -> str | None:
    """That of the environment (CARBON_API_KEY); for a loopback address that of the embedded stack
    on this machine; else None.

    The file is taken if it is the caller's own and nobody else can read it.
    """
    given = os.environ.get(VARIABLE)
    if given:
        return given
    if not is_loopback(httpx.URL(base_url).host):
        return None
    for home in _homes():
        key = _read(home / "keys" / FILE_NAME)
        if key is not None:
            return key
    return None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by itself, without asking anybody for its address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _homes() -> list[Path]:
    given = os.environ.get("CARBON_HOME")
    if given:
        return [Path(given)]
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    # As carbon_ledger.settings has them, which this file does not import.
    return [Path(__file__).resolve().parents[1] / ".carbon", Path(data) / "carbon-ledger"]


def _read(path: Path) -> str | None:
    try:
        with path.open(encoding="ascii") as stream:
            status = os.fstat(stream.fileno())
            is_own = status.st_uid == os.getuid() and not stat.S_IMODE(status.st_mode) & 0o077
            return stream.read().strip() or None if is_own else None
    except (OSError, UnicodeDecodeError):
        return None
