"""/v1/lineage: what an entry rests on, and what it is in.

Belongs here: who may ask, the answer. Does not: the way from an entry to its record and to the
reports (api.tracing).
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.answers import NOT_MODIFIED, PROBLEMS, answer_bytes, known_parameters
from api.routes.inventory import OfServices
from api.security import Caller, require
from api.tracing import traced_entry

router = APIRouter(tags=["lineage"], dependencies=[Depends(known_parameters)], responses=PROBLEMS)


class LineageOut(BaseModel):
    """An entry's way back to the record, and forward to the reports, as `carbon trace --json`.

    `record` is where its event was read, as it was archived, and the working of its line;
    `factor` the published row; `batch` the run that posted it; `seal` its leaf in the tree.
    """

    model_config = ConfigDict(extra="allow")

    entry: dict[str, Any]
    stands: bool
    reversed_by: UUID | None
    record: dict[str, Any] | None = Field(description="null: no record, or posted by hand")
    factor: dict[str, Any] | None
    batch: dict[str, Any]
    seal: dict[str, Any] | None = Field(description="null: not sealed yet")
    windows: list[dict[str, Any]]
    cells: list[dict[str, Any]] = Field(description="cells of report snapshots")


@router.get(
    "/v1/lineage/entries/{entry_id}",
    response_model=LineageOut,
    responses=NOT_MODIFIED,
)
def trace_entry(
    request: Request,
    services: OfServices,
    caller: Annotated[Caller, Depends(require("lineage:read"))],
    entry_id: UUID,
) -> Response:
    """Trace an entry: its record, factor, batch and seal, the windows and cells it is in."""
    story = traced_entry(services, caller, entry_id)
    return answer_bytes(request, json.dumps(story, default=_told, ensure_ascii=False).encode())


def _told(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
