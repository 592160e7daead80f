"""/review/entries, /review/records, /review/factors, /review/find: what figures rest on, and back.

Belongs here: one entry, one record, one factor, and the way from any name to its page. Does not:
the trace (api.tracing), reports (api.pages.reports).
"""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from api.answers import NO_NUL
from api.pages import links
from api.pages.html import PageRoute, moved, page
from api.pages.reports import NAMES, PlaceInList, Ref, kept_place, read_kept_place
from api.pages.session import Reviewer
from api.problems import Problem, absent
from api.security import Caller
from api.services import Services, services_of
from api.tracing import record_of_event, traced_entry, traced_record
from carbon_ledger.entries import EntryRow
from carbon_ledger.lineage.places import RECORD_FORMS, RecordPlace, record_place
from carbon_ledger.store.factor_pages import VERSIONS_MAX, FactorFilter, factor_page
from carbon_ledger.store.lineage import entries_by_id
from carbon_ledger.store.report_snapshots import KeptPlace
from carbon_ledger.store.report_trail import Reached, reports_reached
from carbon_ledger.store.rows import Connection
from carbon_ledger.store.sign_offs import list_sign_offs
from carbon_ledger.store.trace import reversals_of
from factor_seeds.load import read_sources
from factor_seeds.tables import Source

router = APIRouter(route_class=PageRoute, include_in_schema=False)
OfServices = Annotated[Services, Depends(services_of)]
REPORTS_ON_A_PAGE: Final = 5
REPORTS_OF_A_RECORD: Final = 2
NAME_MAX: Final = 300
FORMS: Final = f"an entry's id; {RECORD_FORMS}; an event's id such as iot:M1@2025-03-01T12:00:00Z#0"


@router.get(f"{links.HOME}/entries/{{entry_id}}")
def show_entry(
    request: Request,
    services: OfServices,
    caller: Reviewer,
    entry_id: UUID,
    before: PlaceInList = None,
) -> Response:
    """An entry: every field, its working, factor, record, run, seal, and the figures it is in."""
    story = traced_entry(services, caller, entry_id)
    with services.readers.of(caller.organization_id) as conn:
        (row,) = entries_by_id(conn, [entry_id])
        reached = _reached(conn, row, read_kept_place(before), REPORTS_ON_A_PAGE)
        signed = list_sign_offs(conn, entry_id=entry_id)
    return page(
        request,
        "entry",
        caller=caller,
        row=row,
        fields=_fields(row),
        story=story,
        names=NAMES,
        reached=reached[:REPORTS_ON_A_PAGE],
        older=_older(reached, REPORTS_ON_A_PAGE),
        dagster=services.settings.get("CARBON_AUDIT_DAGSTER_URL"),
        sign_offs=signed,
    )


@router.get(f"{links.HOME}/records/{{topic}}/{{incarnation}}/{{partition}}/{{offset}}")
def show_record(
    request: Request,
    services: OfServices,
    caller: Reviewer,
    topic: Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,249}$")],
    incarnation: Annotated[int, Path(ge=0, le=10**9)],
    partition: Annotated[int, Path(ge=0, le=10**9)],
    offset: Annotated[int, Path(ge=0, le=10**18)],
) -> Response:
    """A record as it was archived, what became of it, and every figure it reached."""
    place = RecordPlace(topic=topic, incarnation=incarnation, partition=partition, offset=offset)
    story = traced_record(services, caller, place)
    reached: dict[str, list[Reached]] = {}
    with services.readers.of(caller.organization_id) as conn:
        for row in entries_by_id(conn, [UUID(one["entry_id"]) for one in story["entries"]]):
            reached[str(row.entry_id)] = _reached(conn, row, None, REPORTS_OF_A_RECORD)
    return page(
        request,
        "record",
        caller=caller,
        story=story,
        record=story["record"],
        names=NAMES,
        reached={name: found[:REPORTS_OF_A_RECORD] for name, found in reached.items()},
        has_more={name: len(found) > REPORTS_OF_A_RECORD for name, found in reached.items()},
        dagster=services.settings.get("CARBON_AUDIT_DAGSTER_URL"),
    )


@router.get(f"{links.HOME}/factors/{{version}}/{{factor_id:path}}")
def show_factor(
    request: Request,
    services: OfServices,
    caller: Reviewer,
    version: Annotated[int, Path(ge=1, le=10**9)],
    factor_id: Ref,
) -> Response:
    """A version of a factor as it was published, and its other versions."""
    with services.readers.of(caller.organization_id) as conn:
        texts, _ = factor_page(conn, FactorFilter(factor_id=factor_id), limit=VERSIONS_MAX)
    versions = [json.loads(text) for text in texts]
    found = [one for one in versions if one["version"] == version]
    if not found:
        raise Problem(
            404,
            "not_found",
            "no published factor has this id and version: a figure may also rest on a rule, an "
            "instrument or a value that somebody stated",
        )
    return page(
        request,
        "factor",
        caller=caller,
        factor=found[0],
        versions=[one["version"] for one in versions],
        source=_sources().get(found[0]["source_id"]),
    )


@router.get(f"{links.HOME}/find")
def find(
    services: OfServices,
    caller: Reviewer,
    what: Annotated[str, Query(max_length=NAME_MAX, pattern=NO_NUL)],
) -> Response:
    """Leads to the page of whatever a text names."""
    text = what.strip()
    place = record_place(text)
    if place is not None:
        found = traced_record(services, caller, place)["record"]["topic_incarnation"]
        return moved(links.record_page(place.topic, found, place.partition, place.offset))
    if "#" in text:
        event = record_of_event(services, caller, text)
        if isinstance(event, UUID):
            return moved(links.entry_page(event))
        newest = event.incarnation or 0
        return moved(links.record_page(event.topic, newest, event.partition, event.offset))
    try:
        entry_id = UUID(text)
    except ValueError:
        raise Problem(
            422,
            "unknown_form",
            "this names nothing that can be found",
            field="what",
            value=text[:60],
            valid=FORMS,
        ) from None
    _check_there(services, caller, entry_id)
    return moved(links.entry_page(entry_id))


@cache
def _sources() -> dict[str, Source]:
    """The publications that shipped factors are from; imported ones are none of them."""
    return read_sources()


def _check_there(services: Services, caller: Caller, entry_id: UUID) -> None:
    with services.readers.of(caller.organization_id) as conn:
        if not entries_by_id(conn, [entry_id]):
            raise absent()


def _reached(
    conn: Connection, row: EntryRow, before: KeptPlace | None, limit: int
) -> list[Reached]:
    """Kept reports that the entry is in, and one more than `limit` if there are more."""
    taken_back = reversals_of(conn, [row.entry_id]).get(row.entry_id)
    moment: datetime | None = None
    if taken_back is not None:
        moment = next(one.recorded_at for one in entries_by_id(conn, [taken_back[0]]))
    return reports_reached(conn, row, moment, before=before, limit=limit + 1)


def _older(reached: list[Reached], limit: int) -> str | None:
    return kept_place(reached[limit - 1].report.place) if len(reached) > limit else None


def _fields(row: EntryRow) -> dict[str, Any]:
    """Every column of the entry, hashes in hexadecimal."""
    values = {one.name: getattr(row, one.name) for one in fields(EntryRow)}
    return {
        name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()
    }
