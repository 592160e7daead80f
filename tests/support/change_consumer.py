"""A consumer of the feed of changes, in a process of its own: it adds up what it is told.

`python change_consumer.py URL FILE` with the key in CARBON_API_KEY goes on until it is killed. In
FILE, an SQLite database, the sum and the number of the last change are of one transaction.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from decimal import Decimal
from itertools import islice
from pathlib import Path

from api.client import CarbonLedgerClient

# Changes in one transaction, so that most kills are in the middle of a page.
AT_ONCE = 7
PICO = 10**12


def open_totals(path: Path) -> sqlite3.Connection:
    """The database, with a sum of 0 in it at first."""
    conn = sqlite3.connect(path, timeout=30)
    with conn:
        conn.execute("create table if not exists totals (seq integer, picograms text)")
        conn.execute("insert into totals select 0, '0' where not exists (select 1 from totals)")
    return conn


def totals(conn: sqlite3.Connection) -> tuple[int, int]:
    """The number of the last change, and the sum in 10^-12 kgCO2e."""
    seq, picograms = conn.execute("select seq, picograms from totals").fetchone()
    return seq, int(picograms)


def main(url: str, path: str) -> None:
    """Follows the feed for ever."""
    conn = open_totals(Path(path))
    with CarbonLedgerClient(url) as client:
        while True:
            found = client.changes(totals(conn)[0])
            while some := list(islice(found, AT_ONCE)):
                picograms = totals(conn)[1]
                for one in some:
                    picograms += int(Decimal(one.entry["kgco2e"]).scaleb(12))
                with conn:
                    conn.execute(
                        "update totals set seq = ?, picograms = ?", (some[-1].seq, str(picograms))
                    )
            time.sleep(0.02)


if __name__ == "__main__":
    main(*sys.argv[1:])
