"""/v1/completeness: what was expected of the sources and is not in the ledger.

Belongs here: who may ask, the period, the answer. Does not: what is a gap
(carbon_ledger.completeness), reading the ledger (carbon_ledger.store.completeness).

What is expected is reference data of everybody, so only keys of the ledger's own organization
(CARBON_DEFAULT_ORGANIZATION) are answered, of what CARBON_ORGANIZATIONS sees.
"""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from api.answers import (
    FIRST_DAY,
    LAST_DAY,
    NOT_MODIFIED,
    PROBLEMS,
    answer_model,
    aware,
    exact_or_none,
    known_parameters,
)
from api.problems import Problem
from api.routes.inventory import OfServices, half_open
from api.security import Caller, require
from carbon_ledger.completeness import Completeness, Gap
from carbon_ledger.store.completeness import completeness

router = APIRouter(
    tags=["completeness"], dependencies=[Depends(known_parameters)], responses=PROBLEMS
)
DAYS_MAX: Final = 366
DueAsOf = Annotated[
    datetime | None,
    Query(
        description="what was due at that moment (UTC if no offset is given), compared with the "
        "entries as they stand now; left out: now",
        examples=["2026-01-31T12:00:00Z"],
    ),
]


class GapOut(BaseModel):
    """Something that was expected and is missing, or does not agree. Numbers are exact, as text."""

    kind: str
    stream: str
    subject: str
    facility_id: str | None
    begin: datetime
    end: datetime
    missing: int
    sources: list[str]
    stated: str | None
    found: str | None
    difference: str | None
    unit: str | None
    message: str


class SourceMonthOut(BaseModel):
    """How many activities were due of a source in a month, and are there."""

    stream: str
    source_id: str
    facility_id: str | None
    month: str
    expected: int
    present: int


class CompletenessOut(BaseModel):
    """What was due at `as_of` on the local dates from `start_date` to `end_date`, inclusive, and
    which of it is in the ledger now.
    """

    start_date: date
    end_date: date
    as_of: datetime
    expected: int
    present: int
    coverage_pct: str | None = Field(description="two decimals; null where nothing is due")
    control_totals: int
    gaps_by_kind: dict[str, int]
    gaps: list[GapOut]
    source_months: list[SourceMonthOut]


@router.get("/v1/completeness", response_model=CompletenessOut, responses=NOT_MODIFIED)
def show_completeness(
    request: Request,
    services: OfServices,
    caller: Annotated[Caller, Depends(require("completeness:read"))],
    start_date: Annotated[date, Query(ge=FIRST_DAY, le=LAST_DAY)],
    end_date: Annotated[date, Query(ge=FIRST_DAY, le=LAST_DAY, description="inclusive")],
    as_of: DueAsOf = None,
) -> Response:
    """Compare what was expected with the ledger, and name each gap."""
    if caller.organization_id != services.settings["CARBON_DEFAULT_ORGANIZATION"]:
        raise Problem(
            403, "organization_not_allowed", "what is expected is told to the operator alone"
        )
    begin, end = half_open(start_date, end_date)
    if begin is None or end is None or (end - begin).days > DAYS_MAX:
        raise Problem(
            422,
            "period_too_long",
            "the period is too long",
            field="end_date",
            valid=f"at most {DAYS_MAX} days",
        )
    moment = aware(as_of) or services.clock()
    with services.readers.of(services.settings["CARBON_ORGANIZATIONS"]) as conn:
        found = completeness(conn, begin, end, moment)
    return answer_model(request, _told(found, start_date, end_date, moment))


def _told(found: Completeness, start: date, end: date, as_of: datetime) -> CompletenessOut:
    return CompletenessOut(
        start_date=start,
        end_date=end,
        as_of=as_of,
        expected=found.expected,
        present=found.present,
        coverage_pct=None if found.coverage_pct is None else f"{found.coverage_pct:.2f}",
        control_totals=found.controls,
        gaps_by_kind=dict(sorted(Counter(gap.kind for gap in found.gaps).items())),
        gaps=[_gap(gap) for gap in found.gaps],
        source_months=[
            SourceMonthOut(
                stream=one.source.stream,
                source_id=one.source.source_id,
                facility_id=one.source.facility_id,
                month=f"{one.month:%Y-%m}",
                expected=one.expected,
                present=one.present,
            )
            for one in found.months
            if one.expected
        ],
    )


def _gap(gap: Gap) -> GapOut:
    return GapOut(
        kind=gap.kind,
        stream=gap.stream,
        subject=gap.subject,
        facility_id=gap.facility_id,
        begin=gap.begin,
        end=gap.end,
        missing=gap.missing,
        sources=list(gap.sources),
        stated=exact_or_none(gap.stated),
        found=exact_or_none(gap.found),
        difference=exact_or_none(gap.difference),
        unit=gap.unit,
        message=gap.message,
    )
