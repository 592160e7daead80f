"""The checks of both reports' assets, each seen to fail on a fault that is planted in the making.

A real PostgreSQL and the assets themselves. The fault is between the ledger and the report: figures
that are read wrongly, or a report that is made wrongly, as an error in the code would have it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import dagster as dg
import pytest

from carbon_assets.reports import (
    EQUAL_CHECK,
    GROSS_CHECK,
    TIE_OUT_CHECK,
    TOTALS_CHECK,
    cdp_7,
    esrs_e1,
)
from carbon_ledger.reporting.cube import CubeRow
from carbon_ledger.reporting.inputs import ReportInputs
from carbon_ledger.reporting.tables import Report
from devstack.postgres import Postgres
from resources.database import LedgerDatabase as DatabaseResource
from tests.support.postgres import LedgerDatabase, reading, scratch_database
from tests.support.reading_ledger import bought, post
from tests.support.report_documents import with_cell

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

YEAR: Final = 2025
DAY: Final = date(YEAR, 3, 1)
READ: Final = "carbon_ledger.store.report_inputs.read_report_inputs"


def metered(number: int, kgco2e: str, **changes: Any) -> Any:
    noon = datetime(YEAR, 3, 1, 12, number, tzinfo=UTC)
    given = {"occurred_from": noon, "local_date": DAY, "kgco2e": Decimal(kgco2e)}
    return reading(number, **{**given, **changes})


ENTRIES: Final = (
    metered(1, "1000", quantity=Decimal(2500)),
    metered(
        2,
        "800",
        basis="market",
        quantity=Decimal(2500),
        activity_type="electricity:market",
        stream="period_postings",
        factor_id="residual:DE",
        formula_id="S2-MB-RESIDUAL",
    ),
    metered(3, "70", scope=1, basis="combustion", activity_type="fuel:natural_gas"),
    bought(4, DAY, "300"),
    bought(5, DAY, "40", category=4),
)


@pytest.fixture(scope="module")
def database(ledger_server: Postgres) -> Iterator[LedgerDatabase]:
    with scratch_database(ledger_server.layout.database_url) as found:
        with closing(found.writer(autocommit=True)) as conn:
            post(conn, ENTRIES)
        yield found


@pytest.fixture
def checked(
    database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], dict[str, list[str]]]:
    """Materializes both reports of the year; what each check that failed says."""
    monkeypatch.setenv("CARBON_DATABASE_WRITER_URL", database.writer_url)

    def looked() -> dict[str, list[str]]:
        done = dg.materialize(
            [esrs_e1, cdp_7], partition_key=str(YEAR), resources={"database": DatabaseResource()}
        )
        checks = done.get_asset_check_evaluations()
        assert len(checks) == 4
        return {
            one.check_name: [str(what) for what in one.metadata["faults"].value]  # type: ignore[union-attr]
            for one in checks
            if not one.passed
        }

    return looked


Change = Callable[[CubeRow], CubeRow | None]


def misread(monkeypatch: pytest.MonkeyPatch, change: Change) -> None:
    """Every sum of the ledger is read as `change` has it; None: not at all."""
    from carbon_ledger.store import report_inputs

    right = report_inputs.read_report_inputs

    def wrong(*given: Any, **named: Any) -> list[ReportInputs]:
        return [
            replace(
                one,
                cubes={
                    year: tuple(found for row in rows if (found := change(row)) is not None)
                    for year, rows in one.cubes.items()
                },
            )
            for one in right(*given, **named)
        ]

    monkeypatch.setattr(READ, wrong)


def miswritten(monkeypatch: pytest.MonkeyPatch, maker: str, cell_id: str) -> None:
    """A cell of the report that `maker` makes is a thousandth more than it is."""
    module, _, name = maker.rpartition(".")
    right = getattr(__import__(module, fromlist=[name]), name)

    def wrong(*given: Any, **named: Any) -> Report:
        report: Report = right(*given, **named)
        return with_cell(report, cell_id, value=report.cells()[cell_id].number + Decimal("0.001"))

    monkeypatch.setattr(maker, wrong)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is planted, the check that must fail, and a word of what it says."""

    plant: Callable[[pytest.MonkeyPatch], None]
    fails: str
    says: str


def _changed_entry(row: CubeRow) -> CubeRow:
    more = Decimal("0.000000000001") if row.scope == 1 else Decimal(0)
    return replace(row, kgco2e=row.kgco2e + more)


FAULTS: Final[dict[str, Fault]] = {
    "a changed entry": Fault(
        plant=lambda patch: misread(patch, _changed_entry),
        fails=GROSS_CHECK,
        says="E1-6/scope_1/current says 0.070000000000001 tCO2e",
    ),
    "a missing category": Fault(
        plant=lambda patch: misread(patch, lambda row: None if row.category == 4 else row),
        fails=GROSS_CHECK,
        says="category_04 says nothing tCO2e",
    ),
    "a wrong total": Fault(
        plant=lambda patch: miswritten(
            patch, "carbon_ledger.reporting.esrs_e1.esrs_e1", "E1-6/total_market/current"
        ),
        fails=TOTALS_CHECK,
        says="total_market of current against scope_1, scope_2_market, scope_3",
    ),
    "a wrong unit": Fault(
        plant=lambda patch: misread(
            patch, lambda row: replace(row, unit="MWh") if row.basis == "market" else row
        ),
        fails=TOTALS_CHECK,
        says="metered 2500 kWh, market-based lines are of 2500000 kWh",
    ),
    "a breakdown that leaves something out": Fault(
        plant=lambda patch: miswritten(
            patch, "carbon_ledger.reporting.cdp.cdp", "CDP-7.16/DE/scope_2_location"
        ),
        fails=TIE_OUT_CHECK,
        says="rows of 7.16 in scope_2_location against 7.7",
    ),
}


def test_without_a_fault_every_check_passes(checked: Callable[[], dict[str, list[str]]]) -> None:
    assert checked() == {}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_fails_its_check_and_no_other(
    name: str, checked: Callable[[], dict[str, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = FAULTS[name]
    fault.plant(monkeypatch)
    found = checked()
    assert list(found) == [fault.fails]
    assert any(fault.says in one for one in found[fault.fails]), found


def test_every_check_but_that_of_the_datapoint_is_seen_to_fail_here() -> None:
    """That one: tests/stack/test_asset_checks.py."""
    names = {one.name for asset in (esrs_e1, cdp_7) for one in asset.check_specs}
    assert names - {EQUAL_CHECK} == {fault.fails for fault in FAULTS.values()}
