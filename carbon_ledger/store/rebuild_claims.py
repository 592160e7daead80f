"""Claims on archived parts: a rebuilt ledger commits them as the planner's would be.

Belongs here: the rows of manifest.* that a part's commit asks for, and whether a ledger is empty.
Does not: which parts there are (spark.rebuild_ledger), the commit (carbon_ledger.store.append).
"""

from __future__ import annotations

from collections.abc import Sequence

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.lineage.part_terms import PartTerms
from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import Connection

REBUILD_ATTEMPT = 1


def refuse_unless_empty(conn: Connection) -> None:
    """Raises ConfigurationError `ledger_not_empty`."""
    found = conn.execute(query("ledger_is_empty")).fetchone()
    if not found or not found[0]:
        raise ConfigurationError(
            "ledger_not_empty",
            "the database has entries or claims already; a rebuild needs a fresh one, migrated "
            "and without a stream",
        )


def claim_batch(conn: Connection, parts: Sequence[PartTerms]) -> int:
    """The id of a new batch that claims these parts of one batch, which starts where they start."""
    first = parts[0]
    with conn.transaction():
        row = conn.execute(
            query("rebuild_claim_batch"),
            {
                "stream": first.stream,
                "topic": first.topic,
                "topic_incarnation": first.topic_incarnation,
                "arrival_partition": f"{min(one.recorded_at for one in parts):%Y-%m-%d-%H:00}",
                "factor_release": first.factor_release,
                "attempt": REBUILD_ATTEMPT,
            },
        ).fetchone()
        batch_id = int(row[0]) if row else 0
        for one in parts:
            conn.execute(
                query("rebuild_claim_part"),
                {
                    "batch_id": batch_id,
                    "topic": one.topic,
                    "topic_incarnation": one.topic_incarnation,
                    "kafka_partition": one.kafka_partition,
                    "start_offset": one.start_offset,
                    "end_offset": one.end_offset,
                },
            )
    return batch_id


def finish_batch(conn: Connection, batch_id: int) -> None:
    """The batch is done."""
    conn.execute(query("rebuild_finish_batch"), {"batch_id": batch_id})
    conn.commit()
