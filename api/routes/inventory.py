"""/v1/…/inventory: what an organization, a facility, a category or a supplier emitted.

Belongs here: parameters and answers. Does not: the sums (carbon_ledger.store.inventory).
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field

from api.answers import (
    NOT_MODIFIED,
    PROBLEMS,
    AsOf,
    Day,
    Identifier,
    answer_model,
    aware,
    exact,
    exact_or_none,
    known_parameters,
)
from api.problems import Problem, absent
from api.security import Caller, require
from api.services import Services, services_of
from carbon_ledger.store.inventory import (
    Bucket,
    Granularity,
    Inventory,
    InventoryQuestion,
    Part,
    ScopeTwoBasis,
    inventory,
)
from carbon_ledger.store.readers import settled

router = APIRouter(tags=["inventory"], dependencies=[Depends(known_parameters)], responses=PROBLEMS)
Category = Annotated[int, Path(ge=1, le=15, description="category of scope 3", examples=[1])]


class BucketOut(BaseModel):
    """[start, end): dates of the site's calendar, of hours and five minutes moments in UTC."""

    start: date | datetime
    end: date | datetime = Field(description="exclusive")
    kgco2e: str
    entries: int


class ScopeOut(BaseModel):
    """A scope's part of the total."""

    scope: int
    kgco2e: str
    entries: int


class CategoryOut(BaseModel):
    """The part of a category of scope 3."""

    category: int
    kgco2e: str
    entries: int


class InventoryOut(BaseModel):
    """What stood at `as_of`: asked again as of that moment, it is the same for ever.

    Numbers are exact, as text. Without an entry the totals are 0 and the lists are empty. `basis`
    is which figure of scope 2 is in the total: the two are never added up.
    """

    organization_id: str
    facility_id: str | None
    supplier_id: str | None
    scope: int | None
    category: int | None
    basis: str
    granularity: str
    start_date: date | None
    end_date: date | None = Field(description="inclusive")
    as_of: datetime
    total_kgco2e: str
    total_tco2e: str
    entries: int
    primary_data_share: str | None = Field(
        description="share of the absolute kgCO2e that is primary data, 0 to 1, of the entries "
        "that say it; null where none does"
    )
    substituted_share: str | None = Field(
        description="share of the total that rests on a factor of another boundary, 0 to 1"
    )
    last_event_timestamp: datetime | None = Field(description="timestamp of the latest event")
    factor_releases: list[str]
    by_scope: list[ScopeOut]
    by_category: list[CategoryOut]
    series: list[BucketOut] = Field(description="in order of time; nothing of an empty bucket")


async def period(
    start_date: Day = None,
    end_date: Annotated[
        date | None,
        Query(ge=date(2000, 1, 1), le=date(2199, 12, 31), description="a local date, inclusive"),
    ] = None,
) -> tuple[date | None, date | None]:
    """A dependency: local dates [start, end). Problem 422 `period_backwards`."""
    return half_open(start_date, end_date)


def half_open(start_date: date | None, end_date: date | None) -> tuple[date | None, date | None]:
    """[start, end) of dates that are both inclusive. Problem 422 `period_backwards`."""
    if start_date is not None and end_date is not None and end_date < start_date:
        raise Problem(
            422,
            "period_backwards",
            "end_date is before start_date",
            field="end_date",
            value=end_date.isoformat(),
            valid=f"{start_date} or later",
        )
    return start_date, None if end_date is None else end_date + timedelta(days=1)


async def asked(
    span: Annotated[tuple[date | None, date | None], Depends(period)],
    scope: Annotated[int | None, Query(ge=1, le=3)] = None,
    basis: Annotated[
        ScopeTwoBasis, Query(description="which figure of scope 2; of other scopes there is one")
    ] = "location",
    granularity: Granularity = "total",
    as_of: AsOf = None,
) -> tuple[InventoryQuestion, datetime | None]:
    """A dependency: what is asked, but for what it is of, and as of when."""
    start, end = span
    question = InventoryQuestion(
        start=start, end=end, scope=scope, basis=basis, granularity=granularity
    )
    return question, aware(as_of)


Asked = Annotated[tuple[InventoryQuestion, datetime | None], Depends(asked)]
Reads = Annotated[Caller, Depends(require("ledger:read"))]
OfServices = Annotated[Services, Depends(services_of)]
DESCRIBED: Final[dict[str, Any]] = {"response_model": InventoryOut, "responses": NOT_MODIFIED}


@router.get("/v1/inventory", **DESCRIBED)
def organization_inventory(
    request: Request, services: OfServices, caller: Reads, question: Asked
) -> Response:
    """Add up what the key's organization emitted."""
    return _answer(request, services, caller, question)


@router.get("/v1/facilities/{facility_id:path}/inventory", **DESCRIBED)
def facility_inventory(
    request: Request,
    services: OfServices,
    caller: Reads,
    question: Asked,
    facility_id: Identifier,
) -> Response:
    """Add up what one facility emitted."""
    return _answer(request, services, caller, question, facility=facility_id)


@router.get("/v1/categories/{category}/inventory", **DESCRIBED)
def category_inventory(
    request: Request, services: OfServices, caller: Reads, question: Asked, category: Category
) -> Response:
    """Add up one category of scope 3."""
    return _answer(request, services, caller, question, category=category)


@router.get("/v1/suppliers/{supplier_id:path}/inventory", **DESCRIBED)
def supplier_inventory(
    request: Request,
    services: OfServices,
    caller: Annotated[Caller, Depends(require("ledger:read", "supplier:read"))],
    question: Asked,
    supplier_id: Identifier,
) -> Response:
    """Add up what was bought from one supplier: what it declared, and what was estimated."""
    if not caller.may_read_of(supplier_id):
        raise absent()
    return _answer(request, services, caller, question, supplier=supplier_id)


def _answer(
    request: Request,
    services: Services,
    caller: Caller,
    asked: tuple[InventoryQuestion, datetime | None],
    **of: Any,
) -> Response:
    question = InventoryQuestion(**{**vars(asked[0]), **of})
    with services.readers.of(caller.organization_id) as conn:
        found = inventory(conn, question, settled(conn, asked[1]))
    return answer_model(request, told(caller.organization_id, question, found))


def told(organization_id: str, question: InventoryQuestion, found: Inventory) -> InventoryOut:
    """The answer to a question."""
    return InventoryOut(
        organization_id=organization_id,
        facility_id=question.facility,
        supplier_id=question.supplier,
        scope=question.scope,
        category=question.category,
        basis=question.basis,
        granularity=question.granularity,
        start_date=question.start,
        end_date=None if question.end is None else question.end - timedelta(days=1),
        as_of=found.as_of,
        total_kgco2e=exact(found.total_kgco2e),
        total_tco2e=exact(_tonnes(found.total_kgco2e)),
        entries=found.entries,
        primary_data_share=exact_or_none(found.primary_data_share),
        substituted_share=exact_or_none(found.substituted_share),
        last_event_timestamp=found.last_event_timestamp,
        factor_releases=list(found.factor_releases),
        by_scope=[_scope(one) for one in found.by_scope],
        by_category=[_category(one) for one in found.by_category],
        series=[_bucket(one) for one in found.series],
    )


def _tonnes(kgco2e: Decimal) -> Decimal:
    # Moves the point: no digit is rounded.
    sign, digits, exponent = kgco2e.as_tuple()
    return Decimal((sign, digits, int(exponent) - 3))


def _scope(one: Part) -> ScopeOut:
    return ScopeOut(scope=one.scope, kgco2e=exact(one.kgco2e), entries=one.entries)


def _category(one: Part) -> CategoryOut:
    return CategoryOut(category=one.category or 0, kgco2e=exact(one.kgco2e), entries=one.entries)


def _bucket(one: Bucket) -> BucketOut:
    return BucketOut(start=one.start, end=one.end, kgco2e=exact(one.kgco2e), entries=one.entries)
