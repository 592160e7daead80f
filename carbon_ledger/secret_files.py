"""Files of secrets that are made once: whole or not at all, readable by their owner alone.

Belongs here: making one. Does not: what is in it, reading it (carbon_ledger.signing_keys,
api.tokens).
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

MODE = 0o600


def make_once(path: Path, content: bytes) -> None:
    """The file holds `content`, or what somebody else put there first: threads and processes may
    do this at once, and all of them then find the same.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(8)}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        # A link fails where a rename would replace what somebody else has just made.
        with suppress(FileExistsError):
            os.link(part, path)
    finally:
        part.unlink()
