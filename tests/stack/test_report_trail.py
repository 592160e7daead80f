"""From cells of kept reports to entries and back: both ways are about the same entries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from uuid import UUID

import pytest

from carbon_ledger.entries import reversal_of
from carbon_ledger.reporting.cube import SCOPE_1
from carbon_ledger.reporting.esrs_e1 import esrs_e1
from carbon_ledger.store.lineage import entries_by_id
from carbon_ledger.store.report_inputs import entries_behind
from carbon_ledger.store.report_snapshots import read_snapshot
from carbon_ledger.store.report_trail import (
    kept_reports,
    parts_behind,
    reports_reached,
    sizes_behind,
)
from carbon_ledger.store.rows import Connection
from carbon_ledger.store.trace import reversals_of
from devstack.postgres import Postgres
from tests.support.reading_ledger import post
from tests.support.review_world import YEAR, ReviewWorld, line, review_world

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def world(
    ledger_server: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ReviewWorld]:
    folder: Path = tmp_path_factory.mktemp("trail")
    with review_world(ledger_server, folder) as found:
        yield found


@pytest.fixture
def conn(world: ReviewWorld) -> Iterator[Connection]:
    with closing(world.ledger.database.reader()) as found:
        yield found


def walked(conn: Connection, snapshot_id: UUID) -> dict[UUID, set[str]]:
    """By entry the cells that it is in, found from the cells down."""
    report = read_snapshot(conn, snapshot_id).opened()
    cells = report.cells()
    found: dict[UUID, set[str]] = defaultdict(set)

    @cache
    def entries_of(cell_id: str) -> set[UUID]:
        cell = cells[cell_id]
        if cell.operation == "entries" and cell.selection is not None:
            behind = entries_behind(
                conn, report.organization_id, cell.year or 0, cell.selection, report.as_of
            )
            return {one.entry_id for one in behind}
        return {one for name in cell.inputs for one in entries_of(name)}

    for cell_id in cells:
        for entry_id in entries_of(cell_id):
            found[entry_id].add(cell_id)
    return found


def reached(conn: Connection, entry_id: UUID, snapshot_id: UUID) -> set[str]:
    (row,) = entries_by_id(conn, [entry_id])
    taken_back = reversals_of(conn, [entry_id]).get(entry_id)
    moment = None
    if taken_back is not None:
        (reversal,) = entries_by_id(conn, [taken_back[0]])
        moment = reversal.recorded_at
    found = reports_reached(conn, row, moment, limit=100)
    return {
        cell.cell_id for one in found if one.report.snapshot_id == snapshot_id for cell in one.cells
    }


def test_the_cells_an_entry_reached_are_those_that_lead_to_it(
    world: ReviewWorld, conn: Connection
) -> None:
    every = [row[0] for row in conn.execute("select entry_id from ledger.entry").fetchall()]
    assert len(every) > 10
    for snapshot_id in (world.esrs, world.cdp, world.foreign):
        down = walked(conn, snapshot_id)
        assert len(down) > 0
        assert {one: reached(conn, one, snapshot_id) for one in every} == {
            one: down.get(one, set()) for one in every
        }


def test_an_entry_is_in_the_reports_that_knew_it_and_not_what_took_it_back(
    world: ReviewWorld, conn: Connection
) -> None:
    ((entry_id,),) = conn.execute(
        "select entry_id from ledger.entry where event_id = 't:1#0'"
    ).fetchall()
    (row,) = entries_by_id(conn, [entry_id])
    with closing(world.ledger.writer()) as writer:
        back = reversal_of(row, recorded_at=datetime.now(UTC), cause="correction:test")
        post(writer, [back])
    later = world.keep(esrs_e1)
    assert "E1-6/scope_1/current" in reached(conn, entry_id, world.esrs)
    assert reached(conn, entry_id, later) == set()
    assert reached(conn, back.entry_id, later) == set()


def test_kept_reports_are_listed_in_pages_the_newest_first(
    world: ReviewWorld, conn: Connection
) -> None:
    whole = kept_reports(conn, "default", limit=100)
    assert {world.esrs, world.cdp} <= {one.snapshot_id for one in whole}
    assert world.foreign not in {one.snapshot_id for one in whole}
    assert [one.place for one in whole] == sorted((one.place for one in whole), reverse=True)
    paged, before = [], None
    while page := kept_reports(conn, "default", before=before, limit=1):
        paged += page
        before = page[-1].place
    assert paged == whole
    ((entry_id,),) = conn.execute(
        "select entry_id from ledger.entry where event_id = 't:3#0'"
    ).fetchall()
    (row,) = entries_by_id(conn, [entry_id])
    in_all = reports_reached(conn, row, None, limit=100)
    turned, place = [], None
    while found := reports_reached(conn, row, None, before=place, limit=1):
        turned += found
        place = found[-1].report.place
    assert turned == in_all
    assert len(in_all) == len(whole)


def test_parts_and_sizes_are_of_the_entries_behind_a_cell(
    world: ReviewWorld, conn: Connection
) -> None:
    as_of = read_snapshot(conn, world.esrs).as_of
    behind = list(entries_behind(conn, "default", YEAR, SCOPE_1, as_of))
    parts = parts_behind(conn, "default", YEAR, SCOPE_1, as_of)
    assert sum(one.entries for one in parts) == len(behind) == 2
    assert sum(one.kgco2e for one in parts) == Decimal("75.25")
    sizes = sizes_behind(conn, "default", [(YEAR, SCOPE_1), (YEAR, SCOPE_1)], as_of)
    assert sizes == {one.entry_id: one.kgco2e for one in behind}
    assert len(sizes_behind(conn, "default", [(YEAR, SCOPE_1)], as_of, limit=0)) == 1
    first = next(entries_behind(conn, "default", YEAR, SCOPE_1, as_of, limit=1))
    place = (first.activity_month, first.entry_id)
    rest = list(entries_behind(conn, "default", YEAR, SCOPE_1, as_of, after=place))
    assert [first, *rest] == behind


def test_an_entry_is_in_the_cells_of_its_own_version_of_a_factor(
    world: ReviewWorld, conn: Connection
) -> None:
    """A factor that was corrected: energy tells the entries of its versions apart."""
    corrected = line(20, "70.25", factor_version=2)
    with closing(world.ledger.writer()) as writer:
        post(writer, [line(21, "5"), corrected])
    later = world.keep(esrs_e1)
    down = walked(conn, later)
    cells = read_snapshot(conn, later).opened().cells()
    of_a_version = {
        cell_id
        for cell_id, cell in cells.items()
        if cell.selection is not None and cell.selection.factor_versions == (1,)
    }
    assert of_a_version
    assert not of_a_version & down[corrected.entry_id]
    assert reached(conn, corrected.entry_id, later) == down[corrected.entry_id]
