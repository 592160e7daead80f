"""/v1/factors and /v1/factor-releases: what entries were multiplied with, and where it is from.

Belongs here: parameters and answers. Does not: which rows (carbon_ledger.store.factor_pages), the
choice of a factor (carbon_ledger.factor_book).

Factors are published figures: they are of no organization, and every key that may read them reads
the same.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict

from api.answers import (
    IMMUTABLE,
    NO_NUL,
    NOT_MODIFIED,
    PROBLEMS,
    WORD,
    Word,
    answer_bytes,
    answer_model,
    known_parameters,
)
from api.cursors import LENGTH_MAX, new_cursor, place_of
from api.problems import absent
from api.routes.inventory import OfServices
from api.security import Caller, require
from carbon_ledger.store.factor_pages import VERSIONS_MAX, FactorFilter, factor_page
from carbon_ledger.store.factors import StoredRelease, latest_release_id, list_releases

router = APIRouter(tags=["factors"], dependencies=[Depends(known_parameters)], responses=PROBLEMS)
PAGE_MAX: Final = 1_000
ReadsFactors = Annotated[Caller, Depends(require("factors:read"))]


class FactorOut(BaseModel):
    """A published factor, exactly as published; kg per `unit`. It never changes: what is published
    anew is another version.
    """

    model_config = ConfigDict(extra="forbid")

    factor_id: str
    version: int
    family: str
    publisher: str
    dataset: str
    source_id: str
    country_iso2: str | None
    region: str | None
    energy_source: str | None
    technology: str | None
    year: int | None
    valid_from: date | None
    valid_to: date | None
    boundary: str
    basis: str
    method: str
    unit: str
    kgco2e_per_unit: str
    kg_co2_per_unit: str | None
    kg_ch4_per_unit: str | None
    kg_n2o_per_unit: str | None
    gas_split: str
    gwp_set: str
    licence: str
    note: str
    attributes: dict[str, Any]
    sha256: str


class FactorPageOut(BaseModel):
    """Factors of a release by id; `next_cursor` is the way to the next page, null on the last."""

    release_id: str
    factors: list[FactorOut]
    next_cursor: str | None


class FactorVersionsOut(BaseModel):
    """Every version of a factor, oldest first."""

    factor_id: str
    versions: list[FactorOut]


class ReleaseOut(BaseModel):
    """A versioned whole of factors. `sha256` is over the hashes of its rows."""

    release_id: str
    sha256: str
    factor_count: int
    index_count: int
    recorded_at: datetime


class ReleasesOut(BaseModel):
    """Every release, newest first."""

    releases: list[ReleaseOut]


@router.get("/v1/factor-releases", response_model=ReleasesOut, responses=NOT_MODIFIED)
def list_factor_releases(request: Request, services: OfServices, caller: ReadsFactors) -> Response:
    """List the releases of factors, newest first."""
    with services.readers.of(caller.organization_id) as conn:
        found = list_releases(conn)
    return answer_model(request, ReleasesOut(releases=[_release(one) for one in found]))


@router.get(
    "/v1/factor-releases/{release_id}",
    response_model=ReleaseOut,
    responses=NOT_MODIFIED,
)
def show_factor_release(
    request: Request,
    services: OfServices,
    caller: ReadsFactors,
    release_id: Annotated[str, Path(pattern=WORD)],
) -> Response:
    """Show a release."""
    with services.readers.of(caller.organization_id) as conn:
        found = [one for one in list_releases(conn) if one.release_id == release_id]
    if not found:
        raise absent()
    return answer_model(request, _release(found[0]), cache=IMMUTABLE)


@router.get(
    "/v1/factors",
    response_model=FactorPageOut,
    responses=NOT_MODIFIED,
)
def list_factors(
    request: Request,
    services: OfServices,
    caller: ReadsFactors,
    release: Annotated[
        str | None, Query(pattern=WORD, description="left out: the one that was stored last")
    ] = None,
    family: Word = None,
    publisher: Word = None,
    country: Annotated[str | None, Query(pattern=r"^[A-Z]{2}$")] = None,
    energy_source: Word = None,
    year: Annotated[int | None, Query(ge=1900, le=2199)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    cursor: Annotated[str | None, Query(max_length=LENGTH_MAX, pattern=NO_NUL)] = None,
) -> Response:
    """List the factors of a release, page by page; all pages are of one release."""
    which = FactorFilter(
        release_id=release,
        family=family,
        publisher=publisher,
        country=country,
        energy_source=energy_source,
        year=year,
    )
    asked = ["factors", vars(which)]
    begin = None if cursor is None else place_of(cursor, asked, services.settings)
    with services.readers.of(caller.organization_id) as conn:
        chosen = begin["release"] if begin else release or latest_release_id(conn)
        if chosen not in {one.release_id for one in list_releases(conn)}:
            raise absent()
        after = (begin["id"], begin["version"]) if begin else None
        of_release = FactorFilter(**{**vars(which), "release_id": chosen})
        texts, last = factor_page(conn, of_release, limit=limit, after=after)
    following = None
    if last is not None:
        place = {"release": chosen, "id": last[0], "version": last[1]}
        following = new_cursor(asked, place, services.settings)
    rest = json.dumps({"release_id": chosen, "next_cursor": following})[1:]
    return answer_bytes(request, f'{{"factors":[{",".join(texts)}],{rest}'.encode())


@router.get(
    "/v1/factors/{factor_id:path}",
    response_model=FactorVersionsOut,
    responses=NOT_MODIFIED,
)
def show_factor(
    request: Request,
    services: OfServices,
    caller: ReadsFactors,
    factor_id: Annotated[str, Path(pattern=WORD, examples=["grid:DE:2024"])],
) -> Response:
    """Show every version of a factor."""
    with services.readers.of(caller.organization_id) as conn:
        texts, _ = factor_page(conn, FactorFilter(factor_id=factor_id), limit=VERSIONS_MAX)
    if not texts:
        raise absent()
    head = json.dumps({"factor_id": factor_id})[1:-1]
    return answer_bytes(request, f'{{{head},"versions":[{",".join(texts)}]}}'.encode())


def _release(one: StoredRelease) -> ReleaseOut:
    return ReleaseOut(**{**vars(one), "sha256": one.sha256.hex()})
