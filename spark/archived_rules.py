"""The rules beside the records: writer schemas, factor releases and reference data in the archive.

Belongs here: where they are kept there, writing each once, reading it back. Does not: the records
(spark.archive), what the rules mean. With them, a ledger can be rebuilt from the archive alone.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from contextlib import closing
from functools import lru_cache

from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.factor_book.rows import FactorRelease
from carbon_ledger.lineage.plain import reference_of, reference_text, release_of, release_text
from carbon_ledger.reference.fields import Record
from carbon_ledger.reference.register import Register
from carbon_ledger.store.connect import connect
from carbon_ledger.store.factors import read_release
from spark.archive import has_object, read_bytes, store_bytes
from spark.decode import WriterSchema

KEPT_MAX = 256
_register_hashes: dict[tuple[str, int], tuple[Register, str | None]] = {}


def schema_path(sha256: str) -> str:
    """Where a writer schema is kept; `sha256` in hex."""
    return f"schemas/{sha256}.avsc"


def schema_id_path(schema_id: int, sha256: str) -> str:
    """Where it is said that the registry gave the schema this id."""
    return f"schemas/{sha256}.{schema_id}.json"


def release_path(release_id: str) -> str:
    """Where a factor release is kept."""
    return f"releases/{release_id}.json.gz"


def reference_path(sha256: str) -> str:
    """Where statements of reference data are kept; `sha256` in hex."""
    return f"reference/{sha256}.json"


@lru_cache(maxsize=KEPT_MAX)
def keep_schema(archive_url: str, schema: WriterSchema) -> None:
    """The schema's text is in the archive, and so is its id. Raises Unavailable."""
    sha256 = schema.sha256.hex()
    store_bytes(archive_url, schema_path(sha256), schema.text.encode())
    said = json.dumps({"schema_id": schema.schema_id, "schema_sha256": sha256})
    store_bytes(archive_url, schema_id_path(schema.schema_id, sha256), said.encode() + b"\n")


@lru_cache(maxsize=KEPT_MAX)
def keep_release(archive_url: str, release_id: str, database_url: str) -> None:
    """The factor release is in the archive, whole; read from the database if it was not.

    Raises Unavailable, or BrokenInvariant if it was altered.
    """
    if has_object(archive_url, release_path(release_id)):
        return
    with closing(connect(database_url, "carbon-archive", autocommit=True)) as connection:
        text = release_text(read_release(connection, release_id))
    store_bytes(archive_url, release_path(release_id), gzip.compress(text.encode(), mtime=0))


def keep_reference(archive_url: str, register: Register) -> str | None:
    """The register's statements are in the archive: the SHA-256 (hex) they are kept under, None for
    none. Raises Unavailable.
    """
    place = (archive_url, id(register))
    known = _register_hashes.get(place)
    if known is not None and known[0] is register:
        return known[1]
    sha256 = None
    if register.records:
        content = reference_text(register.records).encode()
        sha256 = hashlib.sha256(content).hexdigest()
        store_bytes(archive_url, reference_path(sha256), content)
    _register_hashes.clear()
    _register_hashes[place] = (register, sha256)
    return sha256


def archived_schema(archive_url: str, schema_id: int, sha256: str) -> WriterSchema:
    """The writer schema kept under a hash. Raises BrokenInvariant `archive_missing` or
    `archive_altered`.
    """
    content = _checked(archive_url, schema_path(sha256), sha256)
    return WriterSchema(
        schema_id=schema_id, text=content.decode(), sha256=hashlib.sha256(content).digest()
    )


def archived_release(archive_url: str, release_id: str) -> FactorRelease:
    """The factor release kept under its id. Raises BrokenInvariant."""
    content = read_bytes(archive_url, release_path(release_id))
    try:
        release = release_of(gzip.decompress(content).decode())
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise BrokenInvariant(
            "archive_altered", f"{release_path(release_id)} cannot be read: {error}"
        ) from error
    if release.release_id != release_id:
        raise BrokenInvariant(
            "archive_altered", f"{release_path(release_id)} holds {release.release_id}"
        )
    return release


def archived_reference(archive_url: str, sha256: str | None) -> tuple[Record, ...]:
    """The statements kept under a hash; none for None. Raises BrokenInvariant."""
    if sha256 is None:
        return ()
    return reference_of(_checked(archive_url, reference_path(sha256), sha256).decode())


def _checked(archive_url: str, path: str, sha256: str) -> bytes:
    content = read_bytes(archive_url, path)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise BrokenInvariant(
            "archive_altered", f"{path} no longer has the hash it was stored under"
        )
    return content
