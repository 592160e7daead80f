"""The open transaction of a part: kept while its writer says that it is at work, ended if it hangs.

On a PostgreSQL of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest

from carbon_ledger.store.append import PartKey, PartWriter
from devstack.postgres import Postgres
from tests.support.postgres import TOPIC, LedgerDatabase, claim, scratch_database

pytestmark = pytest.mark.stack


@pytest.fixture
def database(ledger_server: Postgres) -> Iterator[LedgerDatabase]:
    with scratch_database(ledger_server.layout.database_url) as found:
        yield found


@pytest.mark.parametrize("says_so", [True, False])
def test_a_writer_that_judges_for_long_keeps_its_part_if_it_says_so(
    database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch, says_so: bool
) -> None:
    monkeypatch.setattr("carbon_ledger.store.append.IDLE_SECONDS", 1)
    with closing(database.writer(autocommit=True)) as planner:
        (part,) = claim(planner, {0: (0, 5)})
    key = PartKey(
        batch_id=part.batch_id,
        attempt=part.attempt,
        stream="iot_energy",
        topic=TOPIC,
        kafka_partition=0,
    )
    with closing(database.writer()) as conn:
        writer = PartWriter(conn, key)
        assert writer.open()
        meanwhile: Callable[[], None] = writer.stay if says_so else (lambda: None)
        for _ in range(10):
            time.sleep(0.25)
            meanwhile()
        if says_so:
            writer.stay()
        else:
            with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
                writer.stay()
