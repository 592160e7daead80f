"""Small reports for tests of documents: one of every kind of cell, and one of hostile names."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from carbon_ledger.reporting.cube import SCOPE_1, category
from carbon_ledger.reporting.esrs_profile import (
    COUNTRY_AXIS,
    category_dimension,
    profile_of,
    tag,
)
from carbon_ledger.reporting.tables import (
    Cell,
    Column,
    Dimension,
    Maker,
    Report,
    Row,
    Section,
    Statement,
    Table,
)
from tests.support.report_examples import AT, row

HOSTILE = (
    "</td><script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "' onfocus='alert(1)",
    "=HYPERLINK(A1)",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1+1",
    "&lt;b&gt; & _x0041_",
    "nul\x00 bell\x07",
    "\u202egnp.exe",
    "]]>",
    "a/b c?d#e%f",
)
ESRS = profile_of("esrs_2023")


def small_report() -> Report:
    """Every operation a cell may have, in two tables, with cells that no table shows."""
    entries = (
        row(1, "1234567.891234567891"),
        row(3, "3000.000000000001", 1, primary_kgco2e=Decimal(750)),
        row(3, "0.4", 4),
    )
    maker = Maker(cubes={2025: entries})
    gross_3 = "GrossScope3GreenhouseGasEmissions"
    scope_1 = maker.of_entries(
        "small/scope_1", 2025, SCOPE_1, tag=tag(ESRS, "GrossScope1GreenhouseGasEmissions")
    )
    goods = maker.of_entries(
        "small/goods", 2025, category(1), tag=tag(ESRS, gross_3, category_dimension(1))
    )
    freight = maker.of_entries(
        "small/freight",
        2025,
        category(4),
        tag=tag(ESRS, gross_3, category_dimension(4), Dimension(axis=COUNTRY_AXIS, member="DE")),
    )
    travel = maker.of_entries("small/travel", 2025, category(6))
    scope_3 = maker.sum("small/scope_3", (goods, freight, travel), tag=tag(ESRS, gross_3))
    total = maker.sum("small/total", (scope_1, scope_3))
    doubled = maker.sum("small/doubled", (scope_1, goods, scope_1))
    maker.made[doubled.cell_id] = doubled = replace(
        doubled, scale=Decimal("0.58"), value=doubled.number * Decimal("0.58")
    )
    least = maker.difference("small/least", scope_3, total)
    share = maker.quotient("small/share", scope_3, total, unit="%", scale=Decimal(100))
    revenue = maker.stated(
        "small/revenue",
        Decimal("2500000.50"),
        source="annual accounts, note 3",
        unit="EUR",
        tag=tag(ESRS, "NetRevenueUsedToCalculateGHGIntensity"),
    )
    intensity = maker.quotient("small/intensity", total, revenue, unit="tCO2e/EUR")
    status = maker.text("small/status", "included")
    gross = Table(
        table_id="S-1",
        title="Gross emissions",
        columns=(
            Column(column_id="year", heading="Year 2025", unit="tCO2e"),
            Column(column_id="status", heading="Status"),
        ),
        rows=(
            Row(row_id="scope_1", label="Scope 1", cells={"year": scope_1, "status": status}),
            Row(row_id="goods", label="1 Purchased goods and services", cells={"year": goods}),
            Row(row_id="travel", label="6 Business travel", cells={"year": travel}),
            Row(row_id="share", label="Share of scope 3", cells={"year": share}),
            Row(row_id="total", label="Total", cells={"year": total}, is_total=True),
        ),
        notes=("Location-based.",),
        citation="ESRS E1, AR 48",
    )
    beside = Table(
        table_id="S-2",
        title="Beside the table",
        columns=(Column(column_id="value", heading="2025"),),
        rows=(
            Row(row_id="again", label="Total, again", cells={"value": total}),
            Row(row_id="doubled", label="Scaled", cells={"value": doubled}),
            Row(row_id="least", label="Scope 3 less the total", cells={"value": least}),
            Row(row_id="revenue", label="Net revenue", cells={"value": revenue}),
            Row(row_id="intensity", label="Per net revenue", cells={"value": intensity}),
        ),
    )
    return Report(
        name="esrs_e1",
        profile="esrs_2023",
        title="A small report",
        organization_id="org-1",
        fiscal_year=2025,
        period_begin=date(2025, 1, 1),
        period_end=date(2026, 1, 1),
        as_of=AT,
        code_version="test",
        sections=(Section(tables=(gross, beside), cells=maker.made),),
        statements=(
            Statement(heading="Boundary", text="One site.\nOperational control."),
            Statement(heading="Restatements", text="Nothing was restated."),
        ),
        flags=("draft_profile",),
    )


def hostile_report() -> Report:
    """Names that would be markup, formulas or paths where they are not written as text."""
    maker = Maker(cubes={2025: (row(1, "1"),)})
    rows = []
    for number, name in enumerate(HOSTILE):
        figure = maker.of_entries(f"h/{name}/{number}", 2025, SCOPE_1, note=name)
        words = maker.stated(f"h/{name}/{number}/text", name, source=name)
        rows.append(Row(row_id=str(number), label=name, cells={"figure": figure, "text": words}))
    table = Table(
        table_id="[]:*?/\\'<script>" + "x" * 40,
        title=HOSTILE[0],
        columns=(
            Column(column_id="figure", heading=HOSTILE[1], unit=HOSTILE[0]),
            Column(column_id="text", heading=HOSTILE[3]),
        ),
        rows=tuple(rows),
        notes=HOSTILE,
        citation=HOSTILE[0],
    )
    return replace(
        small_report(),
        title=HOSTILE[0],
        organization_id=HOSTILE[1],
        sections=(Section(tables=(table, table), cells=maker.made),),
        statements=tuple(Statement(heading=one, text=one) for one in HOSTILE),
        flags=HOSTILE,
    )


def with_cell(report: Report, cell_id: str, **changes: object) -> Report:
    """The report with one of its cells changed, wherever it is."""

    def of(cell: Cell) -> Cell:
        return replace(cell, **changes) if cell.cell_id == cell_id else cell  # type: ignore[arg-type]

    return replace(
        report,
        sections=tuple(
            Section(
                tables=tuple(
                    replace(
                        table,
                        rows=tuple(
                            replace(one, cells={name: of(cell) for name, cell in one.cells.items()})
                            for one in table.rows
                        ),
                    )
                    for table in section.tables
                ),
                cells={name: of(cell) for name, cell in section.cells.items()},
            )
            for section in report.sections
        ),
    )
