"""What a new ledger needs before the first event: schema, topics, Avro subjects.

Belongs here: the order of it. Does not: each step (carbon_ledger.store.migrate, pipeline.topics,
pipeline.serialization), roles and databases (devstack.postgres).
"""

from __future__ import annotations

from carbon_ledger.settings import Settings


def prepare_streams(settings: Settings) -> None:
    """The ledger's schema, the topics and the registered Avro schemas, each made where it is
    missing.
    """
    from carbon_ledger.store.migrate import migrate
    from pipeline.serialization import register_schemas
    from pipeline.topics import ensure_topics

    migrate(settings["CARBON_DATABASE_ADMIN_URL"])
    ensure_topics(settings)
    register_schemas(settings)
