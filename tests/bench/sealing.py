"""What sealing costs, and how long a proof takes.

Alone: `python -m tests.bench.sealing [--entries N]`, on the PostgreSQL that the settings name.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from carbon_ledger.notes import Signer
from carbon_ledger.store.heads import list_heads
from carbon_ledger.store.proofs import consistency_proof, inclusion_proof
from carbon_ledger.store.seals import seal_pending
from tests.bench.verify import fill
from tests.support.postgres import LedgerDatabase, scratch_database

PROOFS = 500
SEED = 20_260_501


def run(url_of: Callable[[str, str], str], entries: int) -> dict[str, Any]:
    """Milliseconds of proofs of random entries in a sealed ledger, and entries/s of sealing it
    anew.
    """
    with scratch_database(url_of) as database:
        fill(database, entries)
        return {"entries": entries, **proofs(database), "sealing": sealing(database)}


def proofs(database: LedgerDatabase) -> dict[str, Any]:
    """p50, p95 and the worst of PROOFS inclusion proofs, as the auditor asks for them."""
    with closing(database.auditor()) as conn:
        ids = [row[0] for row in conn.execute("select entry_id from ledger.entry").fetchall()]
        chosen = random.Random(SEED).sample(ids, min(PROOFS, len(ids)))
        milliseconds, hashes = [], []
        for entry_id in chosen:
            begun = time.perf_counter()
            proof = inclusion_proof(conn, entry_id)
            milliseconds.append((time.perf_counter() - begun) * 1000)
            hashes.append(len(proof["path"]))
        sizes = sorted(head.tree_size for head in list_heads(conn, 1000))
        begun = time.perf_counter()
        consistency = consistency_proof(conn, sizes[0], sizes[-1])
        consistency_ms = (time.perf_counter() - begun) * 1000
    return {
        "proofs": len(chosen),
        "inclusion_ms_p50": percentile(milliseconds, 50),
        "inclusion_ms_p95": percentile(milliseconds, 95),
        "inclusion_ms_max": round(max(milliseconds), 2),
        "inclusion_hashes_max": max(hashes),
        "consistency_ms": round(consistency_ms, 2),
        "consistency_hashes": len(consistency["path"]),
    }


def sealing(database: LedgerDatabase) -> dict[str, Any]:
    """Entries/s of sealing every commit of the ledger again, after a superuser threw the seals
    away.
    """
    with closing(database.admin()) as conn:
        tables = ("head_publication", "head", "node", "seal_commit", "seal")
        for table in tables:
            conn.execute(f"alter table audit.{table} disable trigger user")
        conn.execute(f"truncate {', '.join(f'audit.{table}' for table in tables)}")
        for table in tables:
            conn.execute(f"alter table audit.{table} enable trigger user")
    signer = Signer(name="bench", private_key=Ed25519PrivateKey.generate())
    leaves = seals = 0
    begun, cpu = time.perf_counter(), time.process_time()
    with closing(database.sealer()) as conn:
        while sealed := seal_pending(conn, signer, "bench"):
            leaves += sum(one.leaves for one in sealed)
            seals += len(sealed)
    seconds = time.perf_counter() - begun
    return {
        "seals": seals,
        "seconds": round(seconds, 2),
        "entries_per_second": round(leaves / seconds),
        "own_cpu_seconds": round(time.process_time() - cpu, 2),
    }


def percentile(values: Sequence[float], share: int) -> float:
    """The value that `share` percent do not exceed."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, len(ordered) * share // 100)], 2)


class AlongSealer:
    """Seals after each batch of a pipeline that is measured, as the ledger's own runs do in
    between.
    """

    def __init__(self, database: LedgerDatabase) -> None:
        self.signer = Signer(name="bench", private_key=Ed25519PrivateKey.generate())
        self.conn = database.sealer()
        self.entries = 0

    def __call__(self) -> None:
        """Seals what is ready."""
        self.entries += sum(one.leaves for one in seal_pending(self.conn, self.signer, "bench"))


def table(figures: dict[str, Any]) -> list[str]:
    """The same for people."""
    rate = figures["sealing"]["entries_per_second"]
    return [
        f"proofs and seals ({figures['entries']:,} entries)",
        f"{'  inclusion proof, p95 ms':34}{figures['inclusion_ms_p95']:>12}",
        f"{'  sealing alone, entries/s':34}{rate:>12,}",
    ]


def main() -> None:
    """Prints the figures as JSON."""
    from carbon_ledger.settings import load
    from devstack.layout import Layout

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    options = parser.parse_args()
    print(json.dumps(run(Layout.of(load()).database_url, options.entries), indent=2))  # noqa: T201


if __name__ == "__main__":
    main()
