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
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from api.client_key import FILE_NAME, is_loopback
from carbon_ledger.access_keys import ANY_SUPPLIER, PERSON_SCOPES, SCOPES, parts_of
from carbon_ledger.errors import Unavailable
from carbon_ledger.settings import Settings
from carbon_ledger.store.connect import connect
from carbon_ledger.store.keys import create_key, list_keys

log = logging.getLogger("carbon.api")

DAYS: Final = 365
HOLDER: Final = "local stack"
# Every scope but those of which a person has to answer for what was done.
LOCAL_SCOPES: Final = tuple(scope for scope in SCOPES if scope not in PERSON_SCOPES)


def local_key_file(settings: Settings) -> Path:
    """Where the key is."""
    return settings.home / "keys" / FILE_NAME


def ensure_local_key(settings: Settings, host: str) -> Path | None:
    """The file of a good key, made if there is none; None where there is to be none.

    A file whose key has ended, was revoked, or may do less than a new one may is written anew.
    Without PostgreSQL nothing is made now: the API starts all the same.
    """
    url = settings.get("CARBON_DATABASE_WRITER_URL")
    is_local = (settings.home / "stack.env").exists() and is_loopback(host)
    if not (is_local and url and is_loopback(urlsplit(url).hostname or "")):
        return None
    path = local_key_file(settings)
    try:
        with closing(connect(url, "carbon api key", True)) as conn:
            text = path.read_text(encoding="ascii").strip() if path.exists() else ""
            parts = parts_of(text)
            for key in list_keys(conn, parts[0]) if parts else []:
                is_whole = set(LOCAL_SCOPES) <= set(key.scopes)
                if is_whole and key.is_opened_by(parts[1] if parts else ""):
                    if key.is_good(datetime.now(UTC)):
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


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(text + "\n")
    part.replace(path)
