"""An ERP whose purchase orders are inserted, updated and deleted, and what must come of it.

Belongs here: seeded changes to the ERP example, its final state as the ledger should have it, and
the worker that captures it. Does not: reading the capture (pipeline.sources.cdc).
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg

from carbon_ledger.settings import PROJECT_ROOT, Settings, load, read_env_file
from devstack import downloads
from devstack.connect import Connect
from devstack.downloads import CONNECT_LOCK
from devstack.erp import erp_url, make_erp_example
from pipeline.connect import Connector, read_connector
from tests.support.extra_service import RunningService, ground_of

FILE = PROJECT_ROOT / "deploy" / "connect" / "erp-postgres.json"
LINES_PER_ORDER = 4


class WorkerWithSink(Connect):
    """The stack's worker, and on its class path a sink that writes to files."""

    def command(self) -> list[str]:
        jars = f"{self.jars}/*"
        beside = f"{self.jars.parent / 'connect_test'}/*"
        return [f"{jars}:{beside}" if word == jars else word for word in super().command()]


@contextmanager
def connect_worker(stack: Any) -> Iterator[RunningService]:
    """Kafka Connect beside the running stack, and the ERP example in its PostgreSQL."""
    ground = ground_of(stack)
    make_erp_example(load())
    jars = downloads.ensure(load(), lock=CONNECT_LOCK) / "connect"
    running = RunningService(
        service=WorkerWithSink(ground.layout, jars, ground.environment), ground=ground
    )
    try:
        running.start()
        yield running
    finally:
        running.stop()


def connector_for(
    name: str, folder: Path, settings: Settings, **changes: str
) -> tuple[Connector, Path]:
    """The example's connector under a name, slot and topic of its own, and its file."""
    content = json.loads(FILE.read_text(encoding="utf-8"))
    content["name"] = name
    content["config"] |= {
        "slot.name": name.replace("-", "_"),
        "topic.prefix": name,
        "transforms.one.regex": ".*purchasing.*",
        "transforms.one.replacement": f"cdc.{name}",
        "heartbeat.interval.ms": "0",
        **changes,
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    lookup = read_env_file(settings.home / "connect" / "secrets.env")
    return read_connector(path, lookup), path


@dataclass(kw_only=True)
class Erp:
    """The ERP's owner at work. `prefix` begins the number of every order made here."""

    settings: Settings
    prefix: str
    seed: int = 6
    made: int = 0

    def __post_init__(self) -> None:
        self.connection = psycopg.connect(erp_url(self.settings), autocommit=True)
        self.random = random.Random(self.seed)

    def close(self) -> None:
        self.connection.close()

    def insert(self, lines: int) -> None:
        """New orders with that many lines in all, one transaction an order."""
        for _ in range(-(-lines // LINES_PER_ORDER)):
            self.made += 1
            po_id = f"{self.prefix}-{self.made:05d}"
            with self.connection.transaction():
                self.connection.execute(
                    "insert into purchasing.purchase_order (po_id, company_code, supplier_id,"
                    " supplier_land, currency, ordered_on) values (%s, 'DE01', %s, 'DE', 'EUR',"
                    " date '2024-01-01' + %s::integer)",
                    (po_id, f"SUP_{self.random.randrange(40):03d}", self.random.randrange(300)),
                )
                for line_no in range(1, min(lines, LINES_PER_ORDER) + 1):
                    self.connection.execute(
                        "insert into purchasing.purchase_order_line (po_id, line_no, item_id,"
                        " classification, quantity, unit, net_amount, plant)"
                        " values (%s, %s, 'ITEM-1', 'naics:331110', %s, 'kg', %s, 'DE01-W1')",
                        (po_id, line_no, self._number(3), self._number(2)),
                    )
            lines -= LINES_PER_ORDER

    def update(self, changes: int) -> None:
        """Changes of amounts, of a header that all its lines share, and of deletion flags."""
        keys = self.keys()
        for number in range(changes):
            po_id, line_no = self.random.choice(keys)
            if number % 10 == 0:
                self.connection.execute(
                    "update purchasing.purchase_order set supplier_id = %s where po_id = %s",
                    (f"SUP_{self.random.randrange(40):03d}", po_id),
                )
            elif number % 10 == 1:
                self.connection.execute(
                    "update purchasing.purchase_order_line set deletion_flag = not deletion_flag"
                    " where (po_id, line_no) = (%s, %s)",
                    (po_id, line_no),
                )
            else:
                self.connection.execute(
                    "update purchasing.purchase_order_line set net_amount = %s, quantity = %s"
                    " where (po_id, line_no) = (%s, %s)",
                    (self._number(2), self._number(3), po_id, line_no),
                )

    def delete(self, rows: int) -> None:
        """Deletes lines."""
        for po_id, line_no in self.random.sample(self.keys(), rows):
            self.connection.execute(
                "delete from purchasing.purchase_order_line where (po_id, line_no) = (%s, %s)",
                (po_id, line_no),
            )

    def keys(self) -> list[tuple[str, int]]:
        """The lines there are."""
        return self.connection.execute(
            "select po_id, line_no from purchasing.purchase_order_line where po_id like %s"
            " order by 1, 2",
            (f"{self.prefix}-%",),
        ).fetchall()

    def state(self) -> dict[str, tuple[Decimal, str, str]]:
        """What the ledger's active lines must be: amount, currency and supplier by activity."""
        rows = self.connection.execute(
            "select l.po_id, l.line_no, l.net_amount, o.currency, o.supplier_id"
            " from purchasing.purchase_order_line l join purchasing.purchase_order o using (po_id)"
            " where po_id like %s and not l.deletion_flag and not o.deletion_flag",
            (f"{self.prefix}-%",),
        )
        return {
            f"purchase:{po_id}/{line_no}": (amount, currency, supplier)
            for po_id, line_no, amount, currency, supplier in rows
        }

    def is_captured(self, slot: str) -> bool:
        """Whether the connector has confirmed all that was written until now."""
        row = self.connection.execute(
            "select confirmed_flush_lsn >= pg_current_wal_lsn() from pg_replication_slots"
            " where slot_name = %s",
            (slot,),
        ).fetchone()
        return bool(row and row[0])

    def _number(self, digits: int) -> Decimal:
        return Decimal(self.random.randrange(1, 10**6)).scaleb(-digits)


@contextmanager
def running_bridge(name: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The bridge of `connector_for(name)` at work, ended in good order."""
    file = folder / "source.toml"
    file.write_text(
        f'name = "{name}"\nkind = "cdc"\ntopic = "cdc.{name}"\nmapping = "erp_example"\n',
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "cli.main", "source", "run", str(file)]
    with subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)
