"""Which code computed a figure: the release, and a fingerprint of every module that bears on a
figure.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import metadata
from pathlib import Path

# The packages whose source decides what is posted.
PACKAGES = ("carbon_ledger", "spark")


@cache
def code_version() -> str:
    """`<version>+<12 hex digits>`: the digits are SHA-256 over the sources, so any edit shows."""
    root = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*")):
            if path.suffix in (".py", ".sql", ".avsc"):
                digest.update(path.relative_to(root).as_posix().encode() + b"\0")
                digest.update(path.read_bytes() + b"\0")
    return f"{metadata.version('carbon-ledger')}+{digest.hexdigest()[:12]}"
