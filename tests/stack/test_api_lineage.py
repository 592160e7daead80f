"""Lineage of a record that was archived: what is told, and what a narrower view leaves untold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from carbon_ledger.factor_book.rows import make_release
from carbon_ledger.settings import Settings
from carbon_ledger.store.connect import connect
from devstack.postgres import Postgres
from factor_seeds.load import release as shipped_release
from spark.trace import Tracer
from tests.support.archived_parts import ArchivedLedger, archived_ledger, reading

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
SHIPPED = shipped_release()
# The grid of Germany, and the potentials.
RELEASE = make_release(
    "test",
    [row for row in SHIPPED.rows if row.family == "grid" and row.country_iso2 == "DE"],
    [row for row in SHIPPED.index_rows if row.series.startswith("gwp_")],
)
BEGIN = datetime(2025, 3, 10, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def ledger(
    ledger_server: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ArchivedLedger]:
    folder: Path = tmp_path_factory.mktemp("lineage")
    with archived_ledger(ledger_server.layout.database_url, folder) as found:
        found.send([reading(BEGIN)], found.store(RELEASE))
        yield found


def traced(ledger: ArchivedLedger, organizations: str) -> dict[str, Any]:
    """The record of the first entry, for who sees these organizations."""
    ((entry_id,),) = ledger.rows("select entry_id from ledger.entry order by line_no limit 1")
    settings = Settings({**ledger.settings.values, "CARBON_ORGANIZATIONS": organizations})
    with closing(
        connect(ledger.database.reader_url, "tests", True, organizations=organizations)
    ) as conn:
        tracer = Tracer(connection=conn, archive_url=ledger.archive_url, settings=settings)
        record: dict[str, Any] = tracer.entry(entry_id)["record"]
    return record


def test_a_refusal_is_told_by_what_sees_everything_alone(ledger: ArchivedLedger) -> None:
    everything, own = traced(ledger, "*"), traced(ledger, "default")
    assert everything["refusal"] is None
    assert everything["comes_out_equal"] is True
    # Vehicles, meters and suppliers of others are not seen: what is judged without is no verdict.
    told_to_all = {"comes_out_equal", "computed_by_this_code", "working"}
    assert set(everything) - set(own) == {"refusal", *told_to_all}
    assert own == {name: everything[name] for name in own}
