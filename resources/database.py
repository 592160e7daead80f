"""The ledger's database as a Dagster resource.

Belongs here: which role a run connects as. Does not: statements (carbon_ledger.store), secrets: the
URL is looked up when a connection is opened, so no run configuration ever holds it.
"""

from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from carbon_ledger.store.manifest import Connection


class LedgerDatabase(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Connections to the ledger, as its writer. They are the caller's to close."""

    application: str = "carbon dagster"

    @property
    def writer_url(self) -> str:
        """URL of the writer's role; ConfigurationError if no setting gives it."""
        from carbon_ledger import settings

        return settings.load()["CARBON_DATABASE_WRITER_URL"]

    @property
    def verifier_url(self) -> str:
        """URL of the verifier, who only reads, and every organization; ConfigurationError if no
        setting gives it."""
        from carbon_ledger import settings

        return settings.load()["CARBON_DATABASE_VERIFIER_URL"]

    def connect(self, what: str = "", *, lock_seconds: int = 30) -> "Connection":
        """An open connection in autocommit, named `what` in pg_stat_activity. Raises
        Unavailable."""
        from carbon_ledger.store.connect import connect

        name = f"{self.application} {what}".strip()
        return connect(self.writer_url, name, autocommit=True, lock_seconds=lock_seconds)

    def connect_as_sealer(self, what: str = "") -> "Connection":
        """As `connect`, as the sealer, who adds seals and heads and nothing else."""
        from carbon_ledger import settings
        from carbon_ledger.store.connect import connect

        url = settings.load()["CARBON_DATABASE_SEALER_URL"]
        return connect(url, f"{self.application} {what}".strip(), autocommit=True)
