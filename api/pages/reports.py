"""/review and /review/reports: reports that are kept or made now, their tables, their cells.

Belongs here: from a report down to the entries of a cell. Does not: entries themselves
(api.pages.entries), the figures (carbon_ledger.reporting).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from api.answers import NO_NUL, aware
from api.pages import links
from api.pages.html import HEADERS, PageRoute, moved, page
from api.pages.links import Made, named_report
from api.pages.session import Reviewer
from api.problems import Problem, absent
from api.report_shelf import OpenReport
from api.services import Services, services_of
from carbon_ledger.quantities import PRODUCT
from carbon_ledger.reporting.cell_trail import made_of, part_of, selections_behind, shown_in
from carbon_ledger.reporting.documents import FORMATS, document
from carbon_ledger.reporting.tables import Cell, Report
from carbon_ledger.store.period_reports import MAKERS
from carbon_ledger.store.readers import settled
from carbon_ledger.store.report_inputs import FIRST_PLACE, CellEntry, Place, entries_behind
from carbon_ledger.store.report_snapshots import KeptPlace
from carbon_ledger.store.report_trail import Part, kept_reports, parts_behind
from carbon_ledger.store.rows import Connection
from carbon_ledger.store.sign_offs import list_sign_offs

router = APIRouter(route_class=PageRoute, include_in_schema=False)
OfServices = Annotated[Services, Depends(services_of)]
Text = Annotated[str, Query(pattern=NO_NUL)]
PlaceInList = Annotated[str | None, Query(pattern=NO_NUL)]
Ref = Annotated[str, Path(pattern=NO_NUL)]
KEPT_ON_A_PAGE: Final = 20
ENTRIES_ON_A_PAGE: Final = 25
SIGN_OFFS_SHOWN: Final = 20
# Entries of more than this are not summed while somebody waits.
SUMMED_MAX: Final = 250_000
# What a report is called in lists.
NAMES: Final = {"esrs_e1": "ESRS E1", "cdp": "CDP module 7"}
SYMBOLS: Final = {"sum": "+", "difference": "\u2212", "quotient": "\u00f7"}
_PLACE = re.compile(r"(\d{4}-\d\d-\d\d)\.([0-9a-f-]{36})")
# Put together here, so that a template cannot: an address of nobody's server.
DOCUMENT_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
)


@router.get(links.HOME)
def home(
    request: Request, services: OfServices, caller: Reviewer, before: PlaceInList = None
) -> Response:
    """Reports that are kept, a form to make one of now, and a form to find anything."""
    with services.readers.of(caller.organization_id) as conn:
        found = kept_reports(
            conn, caller.organization_id, before=read_kept_place(before), limit=KEPT_ON_A_PAGE + 1
        )
        signed = list_sign_offs(conn, organization=caller.organization_id, limit=5)
    shown = found[:KEPT_ON_A_PAGE]
    return page(
        request,
        "home",
        caller=caller,
        kept=shown,
        names=NAMES,
        sign_offs=signed,
        year=services.clock().year,
        older=kept_place(shown[-1].place) if len(found) > KEPT_ON_A_PAGE else None,
    )


@router.get(f"{links.HOME}/now")
def make_now(
    request: Request,
    services: OfServices,
    caller: Reviewer,
    report: Text,
    year: Annotated[int, Query(ge=2000, le=2199)],
    as_of: Text = "",
) -> Response:
    """Leads to the report of a moment: the one given, or the latest whose answer is final."""
    if report not in MAKERS:
        raise Problem(
            422,
            "unknown_report",
            "there is no such report",
            field="report",
            value=report[:60],
            valid=", ".join(MAKERS),
        )
    with services.readers.of(caller.organization_id) as conn:
        moment = settled(conn, _moment(as_of))
    return moved(links.report_page(Made(report=report, fiscal_year=year, as_of=moment)))


@router.get(f"{links.HOME}/reports/{{ref}}")
def show_report(request: Request, services: OfServices, caller: Reviewer, ref: Ref) -> Response:
    """A report, table by table, each figure with its cell."""
    opened = opened_report(services, caller.organization_id, ref)
    with services.readers.of(caller.organization_id) as conn:
        signed = _signed_off(conn, opened, None)
        verdicts = _verdicts(conn, opened)
    return page(
        request,
        "report",
        caller=caller,
        opened=opened,
        report=opened.report,
        name=NAMES[opened.report.name],
        sign_offs=signed,
        verdicts=verdicts,
        formats=FORMATS,
        figures=_figure_columns(opened.report),
        is_figure=lambda value: isinstance(value, Decimal),
    )


@router.get(f"{links.HOME}/reports/{{ref}}/document")
def show_document(
    services: OfServices, caller: Reviewer, ref: Ref, form: Text = "html"
) -> Response:
    """The report in a format that it is given out in; the cells of HTML lead back here."""
    opened = opened_report(services, caller.organization_id, ref)
    if form not in FORMATS:
        raise Problem(
            422,
            "unknown_format",
            "reports are not given out in this format",
            field="form",
            value=form[:60],
            valid=", ".join(FORMATS),
        )
    content = document(opened.report, form, lineage_url=links.cells_at(opened.ref))
    headers = {**HEADERS, "Content-Security-Policy": DOCUMENT_POLICY}
    if form != "html":
        suffix = FORMATS[form].suffix
        name = f"{opened.report.name}-{opened.report.fiscal_year}{suffix}"
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return Response(content, media_type=FORMATS[form].media_type, headers=headers)


@router.get(f"{links.HOME}/reports/{{ref}}/cells/{{cell_id:path}}")
def show_cell(
    request: Request,
    services: OfServices,
    caller: Reviewer,
    ref: Ref,
    cell_id: Ref,
    after: PlaceInList = None,
) -> Response:
    """A cell: its figure, how it comes about, its parts, the entries behind it, what it is in."""
    opened = opened_report(services, caller.organization_id, ref)
    cell = opened.cell(cell_id)
    with services.readers.of(caller.organization_id) as conn:
        behind = _behind(conn, opened, cell, after)
        signed = _signed_off(conn, opened, cell_id)
    return page(
        request,
        "cell",
        caller=caller,
        opened=opened,
        report=opened.report,
        name=NAMES[opened.report.name],
        cell=cell,
        shown=shown_in(opened.report, cell_id),
        is_figure=lambda value: isinstance(value, Decimal),
        symbol=SYMBOLS.get(cell.operation, ","),
        made_of=made_of(opened.cells, cell_id),
        whole=part_of(opened.cells, cell_id),
        behind=behind,
        has_entries=bool(selections_behind(opened.cells, cell_id)),
        dagster=services.settings.get("CARBON_AUDIT_DAGSTER_URL"),
        sign_offs=signed,
    )


@dataclass(frozen=True, kw_only=True)
class Behind:
    """The entries of a cell: a page of them, and sums of all of them by month, factor and method.

    `is_value`: their sum times the cell's scale is the figure; None where that is not looked at,
    as the figure is of another measure or of too many entries.
    """

    entries: list[CellEntry]
    next: str | None
    parts: list[Part] | None
    kgco2e: Decimal | None
    is_value: bool | None

    def by(self, *names: str, most: int, largest_first: bool = False) -> Grouped:
        """Entries and kgCO2e by some of what the parts are told apart by, `most` of the groups."""
        found: dict[tuple[Any, ...], Group] = {}
        for one in self.parts or ():
            key = tuple(getattr(one, name) for name in names)
            group = found.setdefault(key, Group(of=dict(zip(names, key, strict=True))))
            group.add(one)
        groups = list(found.values())
        if largest_first:
            groups.sort(key=lambda one: abs(one.kgco2e), reverse=True)
        shown, others = groups[:most], groups[most:]
        return Grouped(shown=shown, others=len(others), rest=together(others))


@dataclass(kw_only=True)
class Group:
    """What some entries have in common, how many they are, and their kgCO2e."""

    of: dict[str, Any]
    entries: int = 0
    kgco2e: Decimal = Decimal(0)

    def add(self, one: Part | Group) -> None:
        """Takes some more."""
        self.entries += one.entries
        self.kgco2e = PRODUCT.add(self.kgco2e, one.kgco2e)


def together(some: Iterable[Part | Group]) -> Group:
    """All of them as one."""
    found = Group(of={})
    for one in some:
        found.add(one)
    return found


@dataclass(frozen=True, kw_only=True)
class Grouped:
    """Groups that a page shows, and the sum of the `others`, so that the table adds up."""

    shown: list[Group]
    others: int
    rest: Group


def _behind(conn: Connection, opened: OpenReport, cell: Cell, after: str | None) -> Behind | None:
    """None for a cell that is not made of entries directly."""
    if cell.operation != "entries" or cell.selection is None or cell.year is None:
        return None
    asked = (conn, opened.report.organization_id, cell.year, cell.selection, opened.report.as_of)
    found = list(entries_behind(*asked, limit=ENTRIES_ON_A_PAGE + 1, after=_entry_place(after)))
    shown = found[:ENTRIES_ON_A_PAGE]
    parts, total, is_value = None, None, None
    if cell.entries <= SUMMED_MAX:
        parts = parts_behind(*asked)
        total = together(parts).kgco2e
        if cell.measure == "kgco2e" and isinstance(cell.value, Decimal):
            is_value = PRODUCT.multiply(total, cell.scale) == cell.value
    return Behind(
        entries=shown,
        next=entry_place(shown[-1]) if len(found) > ENTRIES_ON_A_PAGE else None,
        parts=parts,
        kgco2e=total,
        is_value=is_value,
    )


def opened_report(services: Services, organization_id: str, ref: str) -> OpenReport:
    """The report of a name; Problem 404 for a name of none, or of another organization's."""
    named = named_report(ref)
    if named is None:
        raise absent()
    return services.reports.opened(services, organization_id, named)


def _figure_columns(report: Report) -> set[tuple[str, str]]:
    """Table and column of every column that has a figure."""
    return {
        (table.table_id, column.column_id)
        for table in report.tables
        for row in table.rows
        for column in table.columns
        if isinstance(getattr(row.cells.get(column.column_id), "value", None), Decimal)
    }


def _signed_off(conn: Connection, opened: OpenReport, cell_id: str | None) -> list[Any]:
    if opened.kept is None:
        return []
    return list_sign_offs(
        conn, snapshot_id=opened.kept.snapshot_id, cell_id=cell_id, limit=SIGN_OFFS_SHOWN
    )


def _verdicts(conn: Connection, opened: OpenReport) -> dict[str, str]:
    """By cell the verdict that stands."""
    if opened.kept is None:
        return {}
    found = list_sign_offs(conn, kind="cell", snapshot_id=opened.kept.snapshot_id)
    return {one.subject.cell_id or "": one.verdict for one in found if one.stands}


def entry_place(entry: CellEntry) -> str:
    """The place of an entry among those of a cell, as addresses have it."""
    return f"{entry.activity_month.isoformat()}.{entry.entry_id}"


def kept_place(place: KeptPlace) -> str:
    """The place of a report among those that are kept, as addresses have it."""
    return f"{place[0].astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%S.%f')}Z.{place[1]}"


def _entry_place(text: str | None) -> Place:
    if text is None:
        return FIRST_PLACE
    found = _PLACE.fullmatch(text)
    try:
        if found is None:
            raise ValueError(text)
        return date.fromisoformat(found[1]), UUID(found[2])
    except ValueError:
        raise _no_place("after", text) from None


def read_kept_place(text: str | None) -> KeptPlace | None:
    if text is None:
        return None
    moment, _, name = text.rpartition(".")
    try:
        return datetime.fromisoformat(moment.removesuffix("Z")).replace(tzinfo=UTC), UUID(name)
    except ValueError:
        raise _no_place("before", text) from None


def _no_place(field: str, text: str) -> Problem:
    return Problem(
        422,
        "invalid_parameter",
        "this is no place in the list",
        field=field,
        value=text[:60],
        valid="as the link to the next page has it",
    )


def _moment(text: str) -> datetime | None:
    if not text.strip():
        return None
    try:
        return aware(datetime.fromisoformat(text.strip()))
    except ValueError:
        raise Problem(
            422,
            "invalid_parameter",
            "this is no moment",
            field="as_of",
            value=text[:60],
            valid="such as 2026-03-01T12:00:00Z; nothing for the latest",
        ) from None
