"""Avro writer schemas, copied on first sight, so that archived records outlive the registry.

Belongs here: rows of factors.writer_schema. Does not: asking the registry, decoding.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import Connection


@dataclass(frozen=True, kw_only=True)
class WriterSchema:
    """A schema text under the id that a registry gave it."""

    schema_id: int
    subject: str
    schema_text: str
    schema_sha256: bytes
    recorded_at: datetime


def remember_schema(conn: Connection, subject: str, schema_id: int, text: str) -> bytes:
    """Keep the text under its id; its SHA-256 (32 bytes). Nothing happens the second time.

    A registry that was set up anew may give an id to another text: both are kept, and an entry
    names its schema by hash.
    """
    sha256 = hashlib.sha256(text.encode()).digest()
    conn.execute(
        query("remember_schema"),
        {"schema_sha256": sha256, "subject": subject, "schema_id": schema_id, "schema_text": text},
    )
    return sha256


def known_schemas(conn: Connection) -> list[WriterSchema]:
    """Every schema ever seen, oldest first: a dict by id built from it holds the latest per id."""
    with conn.cursor(row_factory=class_row(WriterSchema)) as cursor:
        return cursor.execute(query("known_schemas")).fetchall()
