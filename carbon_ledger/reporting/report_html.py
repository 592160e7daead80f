"""A report as one HTML page that stands alone: no script, nothing fetched, made to be printed too.

Belongs here: the page. Does not: figures, statements (carbon_ledger.reporting.statements).

Every figure has its cell id as its anchor (`id`), its exact value as its title, and a link to its
lineage: at the address that is given, otherwise to the workings at the end of the page, where every
cell says what it was made of. Same report and address, same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from html import escape
from typing import Final

from carbon_ledger.flags import sentences_of
from carbon_ledger.quantities import canonical_text
from carbon_ledger.reporting.reading import (
    ROUNDING_NOTE,
    anchor,
    heading,
    lineage_link,
    printable,
    read_figure,
)
from carbon_ledger.reporting.tables import Cell, Column, Report, Row, Table

STYLE: Final = """
:root{color-scheme:light dark;--ink:#1b1f23;--soft:#57606a;--line:#d0d7de;--strong:#6e7781;
--ground:#fff;--shade:#f3f5f7;--link:#0b5c2f;--warn:#7a4b00;--warn-ground:#fff4d6}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ec;--soft:#9aa4ae;--line:#343b43;
--strong:#7d8790;--ground:#14181c;--shade:#1d2329;--link:#7bd4a0;--warn:#ffd98a;
--warn-ground:#3a2e10}}
*{box-sizing:border-box}
html{background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,"Segoe UI",Roboto,
"Helvetica Neue",Arial,"DejaVu Sans",sans-serif}
body{margin:0 auto;max-width:80rem;padding:1.5rem}
h1{font-size:1.7rem;line-height:1.25;margin:0 0 .5rem}
h2{font-size:1.25rem;margin:2.5rem 0 .25rem;line-height:1.3}
h3{font-size:1rem;margin:1.25rem 0 .25rem}
p{margin:.35rem 0;max-width:70ch}
a{color:var(--link);text-underline-offset:.15em}
a:focus-visible,.wide:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-99rem}.skip:focus{position:static}
.soft,.citation,caption,.unit{color:var(--soft)}
.citation,.notes,caption{font-size:.875rem}
.notes{margin:.35rem 0;padding-left:1.25rem;max-width:70ch}
.flag{background:var(--warn-ground);border-left:.3rem solid var(--warn);color:var(--warn);
font-weight:600;padding:.5rem .75rem}
dl.facts{display:grid;gap:.15rem 1.25rem;grid-template-columns:max-content 1fr;margin:.75rem 0}
dl.facts dt{color:var(--soft)}dl.facts dd{margin:0;overflow-wrap:anywhere}
nav ul{columns:2;column-gap:2rem;margin:.5rem 0;padding-left:1.25rem}
nav li{break-inside:avoid}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;min-width:100%}
caption{padding:.25rem 0;text-align:left}
th,td{border-bottom:1px solid var(--line);padding:.35rem .75rem;text-align:left;
unicode-bidi:isolate;vertical-align:top}
thead th{background:var(--shade);border-bottom:2px solid var(--strong);font-size:.875rem;
vertical-align:bottom}
thead th.figure,td.figure{text-align:right}
thead .unit{display:block;font-weight:400}
tbody th{font-weight:400;min-width:14rem}
td.figure{white-space:nowrap}
td.figure a{color:inherit;text-decoration-color:var(--strong);text-decoration-style:dotted}
td.text{min-width:10rem;overflow-wrap:anywhere}
td .unit{font-size:.875rem}
tr.total>*{border-top:2px solid var(--strong);font-weight:700}
:target{background:var(--warn-ground);outline:2px solid var(--warn)}
.unseen{clip-path:inset(50%);height:1px;overflow:hidden;position:absolute;white-space:nowrap;
width:1px}
.workings{font-size:.8125rem}
.workings th,.workings td.text,.workings td:last-child{overflow-wrap:anywhere}
.workings tbody th{min-width:11rem}
.workings td.how{min-width:18rem}
.workings td:nth-child(3){white-space:nowrap}
@page{margin:15mm;size:A4 landscape}
@media print{:root{color-scheme:light;--ink:#000;--soft:#444;--line:#bbb;--strong:#555;
--ground:#fff;--shade:#f0f0f0;--link:#000;--warn:#000;--warn-ground:#fff}
html{font-size:9pt}body{max-width:none;padding:0}nav,.skip{display:none}.wide{overflow:visible}
thead{display:table-header-group}tr{break-inside:avoid}h2,h3,caption{break-after:avoid}
a{text-decoration:none}th,td{padding:.2rem .4rem}tbody th{min-width:0}}
"""
SYMBOLS: Final[dict[str, str]] = {"sum": " + ", "difference": " − ", "quotient": " ÷ "}  # noqa: RUF001


def report_to_html(report: Report, *, lineage_url: str = "") -> str:
    """The page. `lineage_url` is what a cell id is put behind for the page of its lineage, "" for
    none; ConfigurationError `lineage_url` if it is no address.
    """
    return "\n".join(_Page(report, lineage_url).lines()) + "\n"


def _e(text: object) -> str:
    return escape(printable(str(text)), quote=True)


class _Page:
    """One page; a cell that two tables show has its anchor in the first."""

    def __init__(self, report: Report, lineage_url: str) -> None:
        self.report = report
        self.lineage_url = lineage_url
        self.cells = report.cells()
        self.anchored: set[str] = set()

    def lines(self) -> Iterator[str]:
        report = self.report
        yield "<!DOCTYPE html>"
        yield '<html lang="en">'
        yield "<head>"
        yield '<meta charset="utf-8">'
        yield (
            '<meta http-equiv="Content-Security-Policy" '
            "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        )
        yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
        title = f"{report.title} – {report.organization_id} {report.fiscal_year}"  # noqa: RUF001
        yield f"<title>{_e(title)}</title>"
        yield f"<style>{STYLE}</style>"
        yield "</head>"
        yield "<body>"
        yield '<a class="skip" href="#content">To the content</a>'
        yield from self._head()
        yield from self._contents()
        yield '<main id="content">'
        yield from self._statements()
        for table in report.tables:
            yield from self._table(table)
        yield from self._workings()
        yield "</main>"
        yield "</body>"
        yield "</html>"

    def _head(self) -> Iterator[str]:
        report = self.report
        yield "<header>"
        yield f"<h1>{_e(report.title)}</h1>"
        for sentence in sentences_of(report.flags):
            yield f'<p class="flag">{_e(sentence)}</p>'
        yield '<dl class="facts">'
        last_day = report.period_end - timedelta(days=1)
        for name, value in (
            ("Organization", report.organization_id),
            ("Fiscal year", f"{report.fiscal_year} ({report.period_begin} to {last_day})"),
            ("As known at", report.as_of.isoformat()),
            ("Profile", report.profile),
            ("Code version", report.code_version),
        ):
            yield f"<dt>{name}</dt><dd>{_e(value)}</dd>"
        yield "</dl>"
        yield f'<p class="soft">{ROUNDING_NOTE} The exact value is the title of each figure, and '
        yield 'in the <a href="#workings">workings</a>. A figure that is not there is shown as –, '  # noqa: RUF001
        yield "never as zero.</p>"
        yield "</header>"

    def _contents(self) -> Iterator[str]:
        yield '<nav aria-label="Contents">'
        yield "<ul>"
        if self.report.statements:
            yield '<li><a href="#statements">What this report rests on</a></li>'
        for table in self.report.tables:
            name = _e(heading(table.table_id, table.title))
            yield f'<li><a href="#{_table_anchor(table)}">{name}</a></li>'
        yield '<li><a href="#workings">Workings</a></li>'
        yield "</ul>"
        yield "</nav>"

    def _statements(self) -> Iterator[str]:
        if not self.report.statements:
            return
        yield '<section aria-labelledby="statements">'
        yield '<h2 id="statements">What this report rests on</h2>'
        for one in self.report.statements:
            yield f"<h3>{_e(one.heading)}</h3>"
            for paragraph in one.text.splitlines():
                yield f"<p>{_e(paragraph)}</p>"
        yield "</section>"

    def _table(self, table: Table) -> Iterator[str]:
        place = _table_anchor(table)
        yield f'<section aria-labelledby="{place}">'
        yield f'<h2 id="{place}">{_e(heading(table.table_id, table.title))}</h2>'
        yield f'<div class="wide" role="region" tabindex="0" aria-label="{_e(table.title)}">'
        yield "<table>"
        if table.citation:
            yield f"<caption>{_e(table.citation)}</caption>"
        yield "<thead>"
        yield '<tr><th scope="col"><span class="unseen">Row</span></th>'
        figures = {one.column_id: _has_figures(table, one) for one in table.columns}
        for column in table.columns:
            kind = ' class="figure"' if figures[column.column_id] else ""
            unit = f' <span class="unit">{_e(column.unit)}</span>' if column.unit else ""
            yield f'<th scope="col"{kind}>{_e(column.heading)}{unit}</th>'
        yield "</tr>"
        yield "</thead>"
        yield "<tbody>"
        for row in table.rows:
            yield from self._row(table, row, figures)
        yield "</tbody>"
        yield "</table>"
        yield "</div>"
        if table.notes:
            yield '<ol class="notes">'
            yield from (f"<li>{_e(note)}</li>" for note in table.notes)
            yield "</ol>"
        yield "</section>"

    def _row(self, table: Table, row: Row, figures: Mapping[str, bool]) -> Iterator[str]:
        kind = ' class="total"' if row.is_total else ""
        yield f'<tr{kind}><th scope="row">{_e(row.label)}</th>'
        for column in table.columns:
            cell = row.cells.get(column.column_id)
            if cell is None:
                yield "<td></td>"
                continue
            is_right = figures[column.column_id] and not isinstance(cell.value, str)
            name = "figure" if is_right else "text"
            yield f'<td class="{name}"{self._place(cell)}>{self._shown(cell, column)}</td>'
        yield "</tr>"

    def _place(self, cell: Cell) -> str:
        if cell.cell_id in self.anchored:
            return ""
        self.anchored.add(cell.cell_id)
        return f' id="{_e(anchor(cell.cell_id))}"'

    def _shown(self, cell: Cell, column: Column) -> str:
        if cell.value is None:
            return f'–<span class="unseen"> no figure: {_e(cell.note)}</span>'  # noqa: RUF001
        target = lineage_link(self.lineage_url, cell.cell_id)
        href = _e(target) if target else f"#workings:{_e(anchor(cell.cell_id))}"
        if isinstance(cell.value, str):
            text = _e(cell.value)
            if not cell.concept and not cell.source:
                return text
            return f'{text} <a href="{href}">(source)</a>'
        exact = f"{canonical_text(cell.value)} {cell.unit}".rstrip()
        shown = _e(read_figure(cell.value, cell.unit))
        link = f'<a href="{href}" title="{_e(exact)}">{shown}</a>'
        if cell.unit and cell.unit != column.unit:
            return f'{link} <span class="unit">{_e(cell.unit)}</span>'
        return link

    # ---- workings

    def _workings(self) -> Iterator[str]:
        yield '<section class="workings" aria-labelledby="workings">'
        yield '<h2 id="workings">Workings</h2>'
        yield "<p>Every cell of this report with its exact value and what it was made of; cells"
        yield "that no table shows are parts of others.</p>"
        yield '<div class="wide" role="region" tabindex="0" aria-label="Workings">'
        yield "<table>"
        yield "<thead><tr>"
        for name in ("Cell", "Exact value", "Unit", "Made of", "Concept and dimensions"):
            kind = ' class="figure"' if name == "Exact value" else ""
            yield f'<th scope="col"{kind}>{name}</th>'
        yield "</tr></thead>"
        yield "<tbody>"
        for cell in self.cells.values():
            yield from self._working(cell)
        yield "</tbody>"
        yield "</table>"
        yield "</div>"
        yield "</section>"

    def _working(self, cell: Cell) -> Iterator[str]:
        place = _e(anchor(cell.cell_id))
        name = _e(cell.cell_id)
        if cell.cell_id in self.anchored:
            name = f'<a href="#{place}">{name}</a>'
            own = ""
        else:
            own = f' id="{place}"'
        yield f'<tr id="workings:{place}"><th scope="row"><span{own}>{name}</span></th>'
        if isinstance(cell.value, Decimal):
            yield f'<td class="figure">{canonical_text(cell.value)}</td>'
        else:
            yield f'<td class="text">{_e("–" if cell.value is None else cell.value)}</td>'  # noqa: RUF001
        yield f"<td>{_e(cell.unit)}</td>"
        yield f'<td class="how">{self._how(cell)}</td>'
        yield f"<td>{_e(' '.join(_tags(cell)))}</td></tr>"

    def _how(self, cell: Cell) -> str:
        parts = [self._made_of(cell)]
        target = lineage_link(self.lineage_url, cell.cell_id)
        if cell.operation != "empty" and cell.note:
            parts.append(_e(cell.note))
        if cell.operation != "stated" and cell.source:
            parts.append(f"source: {_e(cell.source)}")
        if target:
            parts.append(f'<a href="{_e(target)}">lineage</a>')
        return "; ".join(part for part in parts if part)

    def _made_of(self, cell: Cell) -> str:
        scale = "" if cell.scale == 1 else f" × {canonical_text(cell.scale)}"  # noqa: RUF001
        if cell.operation == "entries":
            asked = {} if cell.selection is None else cell.selection.as_text()
            words = "; ".join(f"{name} {', '.join(values)}" for name, values in asked.items())
            year = "" if cell.year is None else f" of {cell.year}"
            noun = "entry" if cell.entries == 1 else "entries"
            taken = f"{cell.measure} of {cell.entries:,} {noun}{year}{scale}"
            return _e(f"{taken}: {words}" if words else taken)
        if cell.inputs:
            links = [f'<a href="#workings:{_e(anchor(one))}">{_e(one)}</a>' for one in cell.inputs]
            made = SYMBOLS.get(cell.operation, ", ").join(links)
            is_sum = cell.operation == "sum" and len(links) > 1
            return f"({made}){scale}" if scale and is_sum else f"{made}{scale}"
        if cell.operation == "stated":
            return f"stated: {_e(cell.source)}"
        if cell.operation == "empty":
            return f"empty: {_e(cell.note)}"
        return _e(cell.operation)


def _tags(cell: Cell) -> Iterator[str]:
    if cell.datapoint:
        yield cell.datapoint
    if cell.concept:
        yield cell.concept
    yield from (f"{one.axis}={one.member}" for one in cell.dimensions)


def _table_anchor(table: Table) -> str:
    return _e(f"table:{anchor(table.table_id)}")


def _has_figures(table: Table, column: Column) -> bool:
    """Whether a column is one of figures: of those cells that are not empty, most are."""
    cells = [row.cells[column.column_id] for row in table.rows if column.column_id in row.cells]
    figures = sum(isinstance(one.value, Decimal) for one in cells)
    texts = sum(isinstance(one.value, str) for one in cells)
    return figures > texts or (bool(column.unit) and not texts)
