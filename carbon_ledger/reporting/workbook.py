"""An XLSX workbook as bytes: the few parts of SpreadsheetML that reports need.

Belongs here: cells, styles and the archive. Does not: what a report puts where
(carbon_ledger.reporting.report_xlsx), reading workbooks (pipeline.files).

Written by hand with the standard library, because a kept report has to come out byte for byte the
same after years: a library stamps the moment of writing into the document and changes with its
version. For the same reason the parts are stored and not compressed (compressed bytes depend on the
build of zlib), every time in the archive is 1980-01-01, and the document's own times are the
moment the report is of. Text is always written as text (`inlineStr`), so that nothing that
begins with = + - @ is a formula, and such text has the style that keeps it text when it is edited.

Format: ECMA-376, part 1, chapters 12 and 18.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from carbon_ledger.quantities import canonical_text
from carbon_ledger.reporting.reading import is_like_a_formula, printable

TEXT_LENGTH_MAX: Final = 32767
FORMULA_LENGTH_MAX: Final = 8192
TITLE_LENGTH_MAX: Final = 31
NO_TITLE: Final = ("history",)
LINKS_MAX: Final = 65530
SHORTENED: Final = " … (shortened: a cell of a workbook holds no more)"
ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)
FIRST_FORMAT: Final = 164  # below are those that are built in
MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_NOT_IN_A_TITLE = re.compile(r"[\[\]:*?/\\]")
_ESCAPE_LIKE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
# Name of a style: font, fill and border by their numbers in styles.xml, and its alignment.
FONTS: Final = (
    '<font><sz val="11"/><name val="Calibri"/><family val="2"/></font>',
    '<font><b/><sz val="11"/><name val="Calibri"/><family val="2"/></font>',
    '<font><b/><sz val="14"/><name val="Calibri"/><family val="2"/></font>',
    '<font><i/><sz val="10"/><color rgb="FF57606A"/><name val="Calibri"/><family val="2"/></font>',
    '<font><u/><sz val="11"/><color rgb="FF0B5C2F"/><name val="Calibri"/><family val="2"/></font>',
)
STYLES: Final[dict[str, tuple[int, int, int, str]]] = {
    "": (0, 0, 0, '<alignment vertical="top"/>'),
    "wrapped": (0, 0, 0, '<alignment vertical="top" wrapText="1"/>'),
    "head": (1, 2, 1, '<alignment vertical="top" wrapText="1"/>'),
    "title": (2, 0, 0, '<alignment vertical="top"/>'),
    "note": (3, 0, 0, '<alignment vertical="top"/>'),
    "total": (1, 0, 2, '<alignment vertical="top" wrapText="1"/>'),
    "none": (3, 0, 0, '<alignment horizontal="right" vertical="top"/>'),
    "link": (4, 0, 0, '<alignment vertical="top"/>'),
    "figure": (0, 0, 0, '<alignment horizontal="right" vertical="top"/>'),
    "total_figure": (1, 0, 2, '<alignment horizontal="right" vertical="top"/>'),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Formula:
    """A formula without its `=`, and the exact value it has, shown until it is computed."""

    text: str
    value: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """Text that leads to a web address."""

    text: str
    target: str


Value = Decimal | str | Formula | Link


@dataclass(frozen=True, slots=True)
class Style:
    """A style by its name, a number format ("" for the general one), and whether it is text that
    would be a formula if it were typed in.
    """

    name: str
    number_format: str = ""
    is_quoted: bool = False


@dataclass(kw_only=True)
class Sheet:
    """One sheet: title, widths of columns in characters, and cells by (row, column) from 1.

    `frozen`: row and column of the first cell that moves. `heading_row` is repeated on each printed
    page.
    """

    title: str
    widths: Sequence[int] = ()
    frozen: tuple[int, int] | None = None
    heading_row: int | None = None
    cells: dict[tuple[int, int], tuple[Value, Style]] = field(default_factory=dict)

    def put(self, row: int, column: int, value: str | Link, *, style: str = "") -> None:
        """A text or link; no text is no cell, unless it has a style."""
        if value == "" and not style:
            return
        text = value.text if isinstance(value, Link) else value
        self.cells[row, column] = (value, Style(style, is_quoted=is_like_a_formula(text)))

    def put_figure(
        self,
        row: int,
        column: int,
        value: Decimal | Formula,
        *,
        decimals: int,
        unit: str = "",
        is_bold: bool = False,
    ) -> None:
        """A number or formula, shown with so many decimals, and with its unit if that is given."""
        shown = "#,##0" + (f".{'0' * decimals}" if decimals else "")
        if unit:
            shown += f' "{unit.replace(chr(34), "")}"'
        style = Style("total_figure" if is_bold else "figure", shown)
        self.cells[row, column] = (value, style)


def column_name(number: int) -> str:
    """A for 1, Z for 26, AA for 27."""
    name = ""
    while number:
        number, rest = divmod(number - 1, 26)
        name = chr(ord("A") + rest) + name
    return name


def quoted_sheet(title: str) -> str:
    """The title as a formula names it."""
    return "'" + title.replace("'", "''") + "'"


def sheet_titles(wanted: Iterable[str]) -> list[str]:
    """A title for each name that is wanted: as a workbook allows it, and no two alike."""
    taken: set[str] = set(NO_TITLE)
    titles = []
    for name in wanted:
        clean = _NOT_IN_A_TITLE.sub("-", " ".join(printable(name).split())).strip("'") or "Table"
        title, number = clean[:TITLE_LENGTH_MAX], 1
        while title.casefold() in taken:
            number += 1
            ending = f" ({number})"
            title = clean[: TITLE_LENGTH_MAX - len(ending)] + ending
        taken.add(title.casefold())
        titles.append(title)
    return titles


def workbook_bytes(sheets: Sequence[Sheet], *, title: str, moment: datetime) -> bytes:
    """The workbook; `moment` is what its properties call the time it was made and changed."""
    styles = _Styles()
    parts: dict[str, str] = {}
    links: dict[int, list[str]] = {}
    for number, sheet in enumerate(sheets, start=1):
        links[number] = _targets(sheet)
        parts[f"xl/worksheets/sheet{number}.xml"] = _sheet(sheet, styles, is_first=number == 1)
        if links[number]:
            parts[f"xl/worksheets/_rels/sheet{number}.xml.rels"] = _relations(
                (f"{OFFICE}/hyperlink", target, True) for target in links[number]
            )
    parts["xl/styles.xml"] = styles.written()
    parts["xl/workbook.xml"] = _workbook(sheets)
    parts["xl/_rels/workbook.xml.rels"] = _relations(
        [
            *(
                (f"{OFFICE}/worksheet", f"worksheets/sheet{number}.xml", False)
                for number in range(1, len(sheets) + 1)
            ),
            (f"{OFFICE}/styles", "styles.xml", False),
        ]
    )
    parts["docProps/core.xml"] = _properties(title, moment)
    parts["_rels/.rels"] = _relations(
        [
            (f"{OFFICE}/officeDocument", "xl/workbook.xml", False),
            (f"{PACKAGE}/relationships/metadata/core-properties", "docProps/core.xml", False),
        ]
    )
    parts["[Content_Types].xml"] = _content_types(len(sheets))
    return _archive(parts)


def _archive(parts: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(parts, key=lambda name: (name != "[Content_Types].xml", name)):
            info = zipfile.ZipInfo(name, ZIP_TIME)
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, (DECLARATION + parts[name]).encode())
    return out.getvalue()


# ---- parts


def _text(text: str) -> str:
    """Text of a cell: what it cannot hold replaced, an escape-like text kept as it is."""
    clean = printable(text)
    if len(clean) > TEXT_LENGTH_MAX:
        clean = clean[: TEXT_LENGTH_MAX - len(SHORTENED)] + SHORTENED
    return escape(_ESCAPE_LIKE.sub("_x005F_", clean), {"\r": "_x000D_"})


def _sheet(sheet: Sheet, styles: _Styles, *, is_first: bool) -> str:
    last_row = max((row for row, _ in sheet.cells), default=1)
    last_column = max((column for _, column in sheet.cells), default=1)
    lines = [
        f'<worksheet xmlns="{MAIN}" xmlns:r="{OFFICE}">',
        '<sheetPr><pageSetUpPr fitToPage="1"/></sheetPr>',
        f'<dimension ref="A1:{column_name(last_column)}{last_row}"/>',
        _view(sheet, is_first=is_first),
        '<sheetFormatPr defaultRowHeight="15"/>',
    ]
    if sheet.widths:
        columns = "".join(
            f'<col min="{at}" max="{at}" width="{width}" customWidth="1"/>'
            for at, width in enumerate(sheet.widths, start=1)
        )
        lines.append(f"<cols>{columns}</cols>")
    lines.append("<sheetData>")
    rows: dict[int, list[str]] = {}
    for (row, column), (value, style) in sorted(sheet.cells.items(), key=lambda one: one[0]):
        name = f"{column_name(column)}{row}"
        rows.setdefault(row, []).append(_cell(name, value, styles.number(style)))
    lines += [f'<row r="{row}">{"".join(cells)}</row>' for row, cells in rows.items()]
    lines.append("</sheetData>")
    lines += _hyperlinks(sheet)
    lines.append('<pageSetup paperSize="9" orientation="landscape" fitToHeight="0"/>')
    lines.append("</worksheet>")
    return "\n".join(lines)


def _view(sheet: Sheet, *, is_first: bool) -> str:
    selected = ' tabSelected="1"' if is_first else ""
    if sheet.frozen is None:
        return f'<sheetViews><sheetView workbookViewId="0"{selected}/></sheetViews>'
    row, column = sheet.frozen
    cell = f"{column_name(column)}{row}"
    return (
        f'<sheetViews><sheetView workbookViewId="0"{selected}>'
        f'<pane xSplit="{column - 1}" ySplit="{row - 1}" topLeftCell="{cell}" '
        f'activePane="bottomRight" state="frozen"/>'
        f'<selection pane="bottomRight" activeCell="{cell}" sqref="{cell}"/>'
        "</sheetView></sheetViews>"
    )


def _cell(name: str, value: Value, style: int) -> str:
    if isinstance(value, Decimal):
        return f'<c r="{name}" s="{style}"><v>{canonical_text(value)}</v></c>'
    if isinstance(value, Formula):
        shown = canonical_text(value.value)
        return f'<c r="{name}" s="{style}"><f>{escape(value.text)}</f><v>{shown}</v></c>'
    text = value.text if isinstance(value, Link) else value
    if not text:
        return f'<c r="{name}" s="{style}"/>'
    kept = f'<is><t xml:space="preserve">{_text(text)}</t></is>'
    return f'<c r="{name}" s="{style}" t="inlineStr">{kept}</c>'


def _linked(sheet: Sheet) -> list[tuple[str, str]]:
    """Name and target of the cells that are links, as many as a sheet may have."""
    found = [
        (f"{column_name(column)}{row}", value.target)
        for (row, column), (value, _) in sorted(sheet.cells.items(), key=lambda one: one[0])
        if isinstance(value, Link)
    ]
    return found[:LINKS_MAX]


def _targets(sheet: Sheet) -> list[str]:
    return [target for _, target in _linked(sheet)]


def _hyperlinks(sheet: Sheet) -> list[str]:
    linked = _linked(sheet)
    if not linked:
        return []
    links = [
        f'<hyperlink ref="{name}" r:id="rId{number}"/>'
        for number, (name, _) in enumerate(linked, start=1)
    ]
    return ["<hyperlinks>", *links, "</hyperlinks>"]


def _workbook(sheets: Sequence[Sheet]) -> str:
    listed = "".join(
        f'<sheet name={quoteattr(sheet.title)} sheetId="{number}" r:id="rId{number}"/>'
        for number, sheet in enumerate(sheets, start=1)
    )
    titles = "".join(
        f'<definedName name="_xlnm.Print_Titles" localSheetId="{number}">'
        f"{escape(quoted_sheet(sheet.title))}!${sheet.heading_row}:${sheet.heading_row}"
        "</definedName>"
        for number, sheet in enumerate(sheets)
        if sheet.heading_row is not None
    )
    return (
        f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}">\n'
        "<bookViews><workbookView/></bookViews>\n"
        f"<sheets>{listed}</sheets>\n"
        + (f"<definedNames>{titles}</definedNames>\n" if titles else "")
        + '<calcPr fullCalcOnLoad="1"/>\n'
        "</workbook>"
    )


def _relations(relations: Iterable[tuple[str, str, bool]]) -> str:
    outside = ("", ' TargetMode="External"')
    listed = "\n".join(
        f'<Relationship Id="rId{number}" Type="{kind}" Target={quoteattr(target)}'
        f"{outside[is_external]}/>"
        for number, (kind, target, is_external) in enumerate(relations, start=1)
    )
    return f'<Relationships xmlns="{PACKAGE}/relationships">\n{listed}\n</Relationships>'


def _properties(title: str, moment: datetime) -> str:
    told = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (
        f'<cp:coreProperties xmlns:cp="{PACKAGE}/metadata/core-properties" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n'
        f"<dc:title>{escape(printable(title))}</dc:title>\n"
        f'<dcterms:created xsi:type="dcterms:W3CDTF">{told}</dcterms:created>\n'
        f'<dcterms:modified xsi:type="dcterms:W3CDTF">{told}</dcterms:modified>\n'
        "</cp:coreProperties>"
    )


def _content_types(sheets: int) -> str:
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    listed = "\n".join(
        f'<Override PartName="/xl/worksheets/sheet{number}.xml" '
        f'ContentType="{kind}.worksheet+xml"/>'
        for number in range(1, sheets + 1)
    )
    return (
        f'<Types xmlns="{PACKAGE}/content-types">\n'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>\n'
        '<Default Extension="xml" ContentType="application/xml"/>\n'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>\n'
        f"{listed}\n"
        f'<Override PartName="/xl/styles.xml" ContentType="{kind}.styles+xml"/>\n'
        '<Override PartName="/docProps/core.xml" '
        'ContentType="application/vnd.openxmlformats-package.core-properties+xml"/>\n'
        "</Types>"
    )


class _Styles:
    """The styles that cells of the workbook have, numbered as they come."""

    def __init__(self) -> None:
        self.numbers: dict[Style, int] = {Style(""): 0}
        self.formats: dict[str, int] = {}

    def number(self, style: Style) -> int:
        if style.number_format:
            self.formats.setdefault(style.number_format, FIRST_FORMAT + len(self.formats))
        return self.numbers.setdefault(style, len(self.numbers))

    def written(self) -> str:
        formats = "".join(
            f'<numFmt numFmtId="{number}" formatCode={quoteattr(code)}/>'
            for code, number in self.formats.items()
        )
        kinds = "".join(self._kind(one) for one in self.numbers)
        fills = (
            '<fill><patternFill patternType="none"/></fill>'
            '<fill><patternFill patternType="gray125"/></fill>'
            '<fill><patternFill patternType="solid"><fgColor rgb="FFF3F5F7"/></patternFill></fill>'
        )
        borders = "".join(
            f"<border><left/><right/>{top}{bottom}<diagonal/></border>"
            for top, bottom in (
                ("<top/>", "<bottom/>"),
                ("<top/>", '<bottom style="medium"/>'),
                ('<top style="thin"/>', "<bottom/>"),
            )
        )
        plain = '<xf numFmtId="0" fontId="0" fillId="0" borderId="0"/>'
        return (
            f'<styleSheet xmlns="{MAIN}">\n'
            + (f'<numFmts count="{len(self.formats)}">{formats}</numFmts>\n' if formats else "")
            + f'<fonts count="{len(FONTS)}">{"".join(FONTS)}</fonts>\n'
            f'<fills count="3">{fills}</fills>\n'
            f'<borders count="3">{borders}</borders>\n'
            f'<cellStyleXfs count="1">{plain}</cellStyleXfs>\n'
            f'<cellXfs count="{len(self.numbers)}">{kinds}</cellXfs>\n'
            '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>\n'
            "</styleSheet>"
        )

    def _kind(self, style: Style) -> str:
        font, fill, border, alignment = STYLES[style.name]
        number_format = self.formats.get(style.number_format, 0)
        quoted = ' quotePrefix="1"' if style.is_quoted else ""
        return (
            f'<xf numFmtId="{number_format}" fontId="{font}" fillId="{fill}" '
            f'borderId="{border}" xfId="0" applyNumberFormat="1" applyFont="1" applyFill="1" '
            f'applyBorder="1" applyAlignment="1"{quoted}>{alignment}</xf>'
        )
