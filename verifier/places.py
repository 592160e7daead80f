"""Says where the rows that differ lie: the partition, and page and row in its file.

Belongs here: adding places to findings. Does not: finding anything.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from verifier.connection import Connection, query
from verifier.findings import Report

TABLE: Final = "ledger.entry"


def locate(connection: Connection, report: Report) -> None:
    """Adds `partition` and `row` (page and place, as PostgreSQL's ctid) of each entry that is there
    to what names it; nothing is read where nothing differs.
    """
    named = [
        one.where["entry_id"]
        for one in report.findings
        if one.table == TABLE and "entry_id" in one.where
    ]
    if not named:
        return
    places: dict[str, list[tuple[str, str]]] = {}
    for entry, partition, row in connection.execute(query("places"), (named,)).fetchall():
        places.setdefault(entry, []).append((partition, row))
    for at, one in enumerate(report.findings):
        found = places.get(one.where.get("entry_id", "")) if one.table == TABLE else None
        if found:
            where = {
                **one.where,
                "partition": ", ".join(partition for partition, _ in found),
                "row": ", ".join(row for _, row in found),
            }
            report.findings[at] = replace(one, where=where)
