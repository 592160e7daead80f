"""The local stack's own key: made when the API first starts beside an embedded stack.

Belongs here: making the key and the file it is in. Does not: finding it (api.client_key).

Whoever can read files of the stack's home can read the database's passwords beside it: the key
gives no more than that person has. It is not made where the API listens to other machines, or where
the database is somewhere else.
"""

from __future__ import annotations

import getpass
import logging
import os
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from api.client_key import FILE_NAME, is_loopback
from carbon_ledger.access_keys import ANSWERED_FOR, ANY_SUPPLIER, SCOPES, parts_of
from carbon_ledger.errors import Unavailable
from carbon_ledger.settings import Settings
from carbon_ledger.store.connect import connect
from carbon_ledger.store.keys import create_key, list_keys, revoke_key
from carbon_ledger.store.rows import Connection

log = logging.getLogger("carbon.api")

DAYS: Final = 365
HOLDER: Final = "local stack"
# Far more than a key has.
LENGTH_MAX: Final = 4_096
# Every scope but those of which a person has to answer for what was done.
LOCAL_SCOPES: Final = tuple(scope for scope in SCOPES if scope not in ANSWERED_FOR)


def local_key_file(settings: Settings) -> Path:
    """Where the key is."""
    return settings.home / "keys" / FILE_NAME


def ensure_local_key(settings: Settings, host: str) -> Path | None:
    """The file of a good key, made if there is none; None where there is to be none.

    A file whose key has ended, was revoked, or may do less than a new one may is written anew, and
    so is one that holds no key. The key of a file that others may have read is revoked and another
    one made. Without PostgreSQL nothing is made now: the API starts all the same.
    """
    url = settings.get("CARBON_DATABASE_WRITER_URL")
    is_local = (settings.home / "stack.env").exists() and is_loopback(host)
    if not (is_local and url and is_loopback(urlsplit(url).hostname or "")):
        return None
    path = local_key_file(settings)
    try:
        with closing(connect(url, "carbon api key", True)) as conn:
            if _is_kept(conn, path):
                return path
            made = create_key(
                conn,
                organization_id=settings["CARBON_DEFAULT_ORGANIZATION"],
                scopes=LOCAL_SCOPES,
                supplier_ids=(ANY_SUPPLIER,),
                holder=HOLDER,
                created_by=getpass.getuser(),
                expires_at=datetime.now(UTC) + timedelta(days=DAYS),
            )
    except Unavailable as error:
        log.warning("no local key was made: %s", error.message)
        return None
    _write(path, made.text)
    return path


def _is_kept(conn: Connection, path: Path) -> bool:
    """Whether the file's key is a good one that nobody else knows."""
    try:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            content = stream.read(LENGTH_MAX)
    except FileNotFoundError:
        return False
    # What is not ASCII is no key, and is told like any other text that is none.
    parts = parts_of(content.decode("ascii", "replace").strip())
    if parts is None:
        log.warning("%s holds no key; another one is made", path)
        return False
    for key in list_keys(conn, parts[0]):
        if not key.is_opened_by(parts[1]):
            continue
        mode = stat.S_IMODE(status.st_mode)
        if status.st_uid != os.getuid() or mode & 0o077:
            log.warning(
                "%s is mode %04o of user %d, so that others may know its key: it is revoked; valid "
                "is a file of user %d with mode 0600",
                *(path, mode, status.st_uid, os.getuid()),
            )
            reason = "others could read its file"
            revoke_key(conn, key.key_id, revoked_by=getpass.getuser(), reason=reason)
            return False
        return key.is_good(datetime.now(UTC)) and set(LOCAL_SCOPES) <= set(key.scopes)
    return False


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(text + "\n")
    part.replace(path)
