"""Draws a password for every role of the composed stack, one file each.

    python -m scripts.make_secrets [FOLDER]

Belongs here: which secrets docker-compose.yml mounts. Does not: who may read them once mounted. A
secret that is there is kept: a database knows its passwords by their first start.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from devstack.postgres import LOGIN_ROLES

FOLDER = Path("deploy/secrets")
# Beside the roles of the ledger's server: TimescaleDB's user and Grafana's administrator.
NAMES = ("postgres", *LOGIN_ROLES, "metrics", "grafana_admin")
# Written by hand: `mosquitto_passwd` makes the first, docs/docker.md says how.
BY_HAND = ("mqtt_passwords",)


def main(argv: Sequence[str] | None = None) -> int:
    """0 once every secret is there; names what it made, never what it drew."""
    given = list(sys.argv[1:] if argv is None else argv)
    folder = Path(given[0]) if given else FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in NAMES:
        path = folder / name
        if path.exists():
            continue
        # Readable by the containers' users, in a folder that only its owner can enter.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(secrets.token_hex(24))
        print(f"made {path}")
    for name in BY_HAND:
        if not (folder / name).exists():
            print(f"still to be made by hand: {folder / name} (docs/docker.md)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
