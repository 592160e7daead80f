"""/v1/entries and /v1/changes: the lines of the ledger, one by one.

Belongs here: parameters and answers. Does not: which entries (carbon_ledger.store.entry_pages), the
forms of an export (carbon_ledger.store.entry_export).

PostgreSQL makes the JSON of an entry, and here it is passed on as it comes.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import replace
from datetime import date, datetime
from itertools import chain
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict

from api.ahead import made_ahead
from api.answers import (
    IDENTIFIER,
    NO_NUL,
    NOT_MODIFIED,
    PROBLEMS,
    REVALIDATED,
    AsOf,
    answer_bytes,
    aware,
    known_parameters,
)
from api.cursors import LENGTH_MAX, new_cursor, place_of, unknown
from api.head_requests import is_head
from api.problems import absent
from api.routes.inventory import OfServices, Reads, period
from api.security import Caller, authenticated, reads_lines, require
from api.services import Services
from carbon_ledger.store.entry_export import FORMATS
from carbon_ledger.store.entry_pages import (
    LATEST,
    EntryFilter,
    Place,
    changes,
    entry_page,
    told_entry,
)
from carbon_ledger.store.readers import settled
from carbon_ledger.store.rows import Connection

router = APIRouter(tags=["entries"], dependencies=[Depends(known_parameters)], responses=PROBLEMS)
PAGE_MAX: Final = 1_000
CHANGES_MAX: Final = 5_000
SEQUENCE_MAX: Final = 2**62
Format = Literal["ndjson", "csv", "parquet"]
MEDIA_TYPES: Final[dict[str, str]] = {
    "ndjson": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8; header=present",
    "parquet": "application/vnd.apache.parquet",
}
Identified = Annotated[str | None, Query(pattern=IDENTIFIER)]


class EntryOut(BaseModel):
    """A line of the ledger. Numbers are exact, as text; hashes are hexadecimal; moments are UTC.

    A reversal (`reverses_id`) is the negative of the entry it takes back. `is_active`: it stands,
    neither reversed nor a reversal; of a change it is left out, as is `reversed_by`.
    """

    model_config = ConfigDict(extra="forbid")

    entry_id: UUID
    organization_id: str
    event_id: str
    line_no: int
    activity_ref: str
    stream: str
    supplier_id: str | None
    facility_id: str
    source_ref: str
    country_iso2: str
    region: str | None
    activity_month: date
    local_date: date
    occurred_from: datetime
    occurred_to: datetime
    recorded_at: datetime
    scope: int
    category: int | None
    basis: str
    activity_type: str
    quantity: str
    unit: str
    kgco2e: str
    kg_co2_fossil: str | None
    kg_co2_biogenic: str | None
    kg_ch4: str | None
    kg_n2o: str | None
    other_gases: dict[str, str] | None
    gwp_set: str
    factor_id: str
    factor_version: int
    factor_release: str
    factor_match: str
    vintage_gap_years: int | None
    flags: str
    formula_id: str
    method: str | None
    rule_id: str | None
    supersession_rank: int | None
    primary_share: str | None
    activity_scores: str | None
    factor_scores: str | None
    reverses_id: UUID | None
    cause: str | None
    payload_sha256: str
    content_sha256: str
    code_version: str
    is_active: bool | None = None
    reversed_by: UUID | None = None


class EntryPageOut(BaseModel):
    """Entries by month of activity and id, as they were known at `as_of`.

    `next_cursor` is the way to the next page, with the same parameters; null on the last one.
    """

    model_config = ConfigDict(extra="forbid")

    as_of: datetime
    entries: list[EntryOut]
    next_cursor: str | None


class ChangeOut(BaseModel):
    """An entry, and its number in the ledger's sealed order, from 1."""

    seq: int
    entry: EntryOut


class ChangesOut(BaseModel):
    """What was sealed after `after`, in order; `next_after` is what to ask with next.

    `seq` is dense over all organizations, so one key's own have gaps, and a page may have none.
    `sealed` is the last number there is; every entry that was recorded before `complete_until` is
    among them.
    """

    model_config = ConfigDict(extra="forbid")

    changes: list[ChangeOut]
    next_after: int
    sealed: int
    complete_until: datetime | None


async def asked(
    caller: Annotated[Caller, Depends(authenticated)],
    span: Annotated[tuple[date | None, date | None], Depends(period)],
    stream: Annotated[str | None, Query(pattern=r"^[a-z_]{1,60}$")] = None,
    scope: Annotated[int | None, Query(ge=0, le=3, description="0: of no total")] = None,
    category: Annotated[int | None, Query(ge=1, le=15)] = None,
    facility_id: Identified = None,
    supplier_id: Identified = None,
    recorded_since: Annotated[datetime | None, Query(description="inclusive")] = None,
    is_active: Annotated[bool | None, Query(description="stands at `as_of`, or does not")] = None,
    as_of: AsOf = None,
) -> tuple[EntryFilter, datetime | None]:
    """A dependency: the filter, its `as_of` not settled yet."""
    found = EntryFilter(
        as_of=LATEST,
        start=span[0],
        end=span[1],
        stream=stream,
        scope=scope,
        category=category,
        facility=facility_id,
        suppliers=_suppliers(caller, supplier_id),
        recorded_since=aware(recorded_since),
        is_active=is_active,
    )
    return found, aware(as_of)


Asked = Annotated[tuple[EntryFilter, datetime | None], Depends(asked)]
ReadsOwn = Annotated[Caller, Depends(reads_lines)]
Exports = Annotated[Caller, Depends(require("ledger:export"))]


def _suppliers(caller: Caller, wanted: str | None) -> tuple[str, ...] | None:
    """Those of which all entries have to be. Somebody else's are as those of nobody."""
    if wanted is None:
        return caller.suppliers
    if caller.suppliers is not None and wanted not in caller.suppliers:
        return ()
    return (wanted,)


@router.get("/v1/entries", response_model=EntryPageOut, responses=NOT_MODIFIED)
def list_entries(
    request: Request,
    services: OfServices,
    caller: ReadsOwn,
    question: Asked,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    cursor: Annotated[str | None, Query(max_length=LENGTH_MAX, pattern=NO_NUL)] = None,
) -> Response:
    """List entries, page by page; all pages are of one moment."""
    which, as_of = question
    asked = _question(caller, which)
    after: Place | None = None
    if cursor is not None:
        place = place_of(cursor, asked, services.settings)
        if as_of not in (None, _moment(place["as_of"])):
            raise unknown()
        as_of = _moment(place["as_of"])
        after = (date.fromisoformat(place["month"]), UUID(place["id"]))
    with services.readers.of(caller.organization_id) as conn:
        which = replace(which, as_of=settled(conn, as_of))
        page = entry_page(conn, which, limit=limit, after=after)
    following = None
    if page.last is not None:
        place = {
            "as_of": which.as_of.isoformat(),
            "month": page.last[0].isoformat(),
            "id": str(page.last[1]),
        }
        following = new_cursor(asked, place, services.settings)
    rest = {"as_of": which.as_of.isoformat(), "next_cursor": following}
    return answer_bytes(request, _with("entries", page.entries, rest), cache=REVALIDATED)


def _question(caller: Caller, which: EntryFilter) -> list[Any]:
    values = {name: value for name, value in vars(which).items() if name != "as_of"}
    return ["entries", caller.organization_id, values]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _with(name: str, texts: tuple[str, ...], rest: dict[str, Any]) -> bytes:
    """An object of a list of JSON texts, and the rest."""
    return f'{{"{name}":[{",".join(texts)}],{json.dumps(rest)[1:]}'.encode()


@router.get(
    "/v1/entries/export",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "every entry, in the form asked for",
            "content": {kind: {} for kind in MEDIA_TYPES.values()},
            "headers": {"Carbon-As-Of": {"schema": {"type": "string", "format": "date-time"}}},
        }
    },
)
def export_entries(
    request: Request,
    services: OfServices,
    caller: Exports,
    question: Asked,
    format: Format = "ndjson",
) -> Response:
    """Export entries, streamed: NDJSON and Parquet as they are, CSV for spreadsheets."""
    pieces = _exported(services, caller, question, format)
    # What goes wrong before the first piece is answered as an error, and not by breaking off.
    as_of = next(pieces)
    headers = {
        "Carbon-As-Of": as_of.decode(),
        "Content-Disposition": f'attachment; filename="entries.{format}"',
        "Cache-Control": "no-store",
    }
    if is_head(request):
        # Nothing is read, and it is no export.
        pieces.close()
        return StreamingResponse(iter(()), media_type=MEDIA_TYPES[format], headers=headers)
    first = next(pieces, b"")
    return StreamingResponse(
        services.requests.export(format, chain([first], made_ahead(pieces))),
        media_type=MEDIA_TYPES[format],
        headers=headers,
    )


def _exported(
    services: Services,
    caller: Caller,
    question: tuple[EntryFilter, datetime | None],
    form: str,
) -> Generator[bytes, None, None]:
    with services.exporters.of(caller.organization_id) as conn:
        as_of = settled(conn, question[1])
        yield as_of.isoformat().encode()
        yield from FORMATS[form](conn, replace(question[0], as_of=as_of))


@router.get("/v1/entries/{entry_id}", response_model=EntryOut, responses=NOT_MODIFIED)
def show_entry(
    request: Request, services: OfServices, caller: ReadsOwn, entry_id: UUID, as_of: AsOf = None
) -> Response:
    """Show one entry."""

    def find(conn: Connection) -> str | None:
        moment = settled(conn, aware(as_of))
        return told_entry(conn, EntryFilter(as_of=moment, suppliers=caller.suppliers), entry_id)

    with services.readers.of(caller.organization_id) as conn:
        found = find(conn)
    if found is None:
        raise absent()
    return answer_bytes(request, found.encode())


@router.get("/v1/changes", response_model=ChangesOut, responses=NOT_MODIFIED)
def list_changes(
    request: Request,
    services: OfServices,
    caller: Reads,
    after: Annotated[int, Query(ge=0, le=SEQUENCE_MAX, description="`next_after`; 0 at first")] = 0,
    limit: Annotated[int, Query(ge=1, le=CHANGES_MAX, description="numbers to look at")] = 1_000,
) -> Response:
    """Follow the ledger: every entry once, in the order in which they were sealed."""
    with services.readers.of(caller.organization_id) as conn:
        found = changes(conn, after, limit)
    texts = tuple(f'{{"seq":{number},"entry":{text}}}' for number, text in found.changes)
    until = found.complete_until
    rest = {
        "next_after": found.next_after,
        "sealed": found.sealed,
        "complete_until": None if until is None else until.isoformat(),
    }
    return answer_bytes(request, _with("changes", texts, rest))
