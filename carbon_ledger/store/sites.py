"""Sites in PostgreSQL: every statement about a facility is kept, the last one holds.

Belongs here: rows of reference.site. Does not: what makes a site valid (carbon_ledger.reference).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date

from psycopg.rows import kwargs_row

from carbon_ledger.reference import Site
from carbon_ledger.store.connect import query
from carbon_ledger.store.rows import Connection


def register_sites(conn: Connection, sites: Sequence[Site]) -> int:
    """Record what is new or differs from the last statement; the number of rows added.

    A statement is replaced by a later one with the same facility and `valid_from`; nothing is lost.
    """
    with conn.transaction(), conn.cursor(row_factory=kwargs_row(Site)) as cursor:
        stated = {
            (site.facility_id, site.valid_from): site
            for site in cursor.execute(query("stated_sites")).fetchall()
        }
        # Of several statements about one facility in one call the last one holds, as in the table.
        wanted = {(site.facility_id, site.valid_from): site for site in sites}
        fresh = [asdict(site) for key, site in wanted.items() if stated.get(key) != site]
        cursor.executemany(query("insert_site"), fresh)
    return len(fresh)


def read_sites(conn: Connection, on: date | None = None) -> dict[str, Site]:
    """Facility id to the site in force on a day (None: today, UTC), by what is known now."""
    with conn.cursor(row_factory=kwargs_row(Site)) as cursor:
        found = cursor.execute(query("sites_in_force"), {"day": on}).fetchall()
    return {site.facility_id: site for site in found}
