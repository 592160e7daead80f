"""A scratch database as the resource that assets and sensors get.

Belongs here: that resource. Does not: databases (tests.support.postgres).
"""

from __future__ import annotations

from resources.database import LedgerDatabase as LedgerResource
from tests.support.postgres import LedgerDatabase


class AssetDatabase(LedgerResource):
    """The resource, on a database of a test."""

    writer: str
    verifier: str

    @property
    def writer_url(self) -> str:
        return self.writer

    @property
    def verifier_url(self) -> str:
        return self.verifier


def resource_of(database: LedgerDatabase) -> AssetDatabase:
    """The resource on this database."""
    return AssetDatabase(writer=database.writer_url, verifier=database.verifier_url)
