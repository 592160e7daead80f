"""Who is told what: every role, every operation of the OpenAPI document, one's own, somebody
else's and nobody's.

Operations that send to Kafka are asked here by those alone that may not: what they answer whom they
let in is in test_api_access.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends
from fastapi.responses import JSONResponse

from api.security import require
from api.services import services_of
from carbon_ledger.access_keys import ROLES, SCOPES
from carbon_ledger.store.readers import settled
from devstack.postgres import Postgres
from tests.support.api_matrix import ABSENT, FOREIGN, OWN, Caller, Opened, groups_of, leaks
from tests.support.api_operations import KEY, NO_ENTRY, OPERATIONS
from tests.support.api_server import api_server
from tests.support.api_world import (
    FOREIGN_SUPPLIER,
    NO_SUPPLIER,
    OTHER_FACILITY,
    OWN_FACILITY,
    OWN_SUPPLIER,
    Told,
    fill,
    headers_of,
    keys_of_callers,
)
from tests.support.postgres import LedgerDatabase, scratch_database
from tests.support.reading_ledger import settings_of

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
# Known to nobody, and as long as an own one.
NO_LETTER = "edge:ffffffffffffffff"


@dataclass(kw_only=True)
class World:
    """The API, what is in its ledger, who asks."""

    url: str
    app: Any
    told: Told
    database: LedgerDatabase
    callers: dict[str, Caller]
    given: dict[str, str]

    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.url}/v1/openapi.json", timeout=60).json()
        return found

    def of_organizations(self) -> dict[str, dict[str, str]]:
        """By parameter what is of the callers' organization, of another one, of none."""
        told = self.told
        return {
            "entry_id": {
                # Of the supplier whose key there is, so that every role has it as its own.
                OWN: told.entry_ids[20],
                FOREIGN: told.foreign_entry_ids[0],
                ABSENT: NO_ENTRY,
            },
            "number": {
                OWN: str(told.submissions[0]),
                FOREIGN: str(told.foreign_submissions[0]),
                ABSENT: str(2**40),
            },
            "snapshot_id": {
                OWN: told.snapshot_id,
                FOREIGN: told.foreign_snapshot_id,
                ABSENT: NO_ENTRY,
            },
            "facility_id": {OWN: OWN_FACILITY, FOREIGN: OTHER_FACILITY, ABSENT: "plant-none"},
            "supplier_id": {OWN: OWN_SUPPLIER, ABSENT: NO_SUPPLIER},
            "letter_id": {OWN: told.letter_id, ABSENT: NO_LETTER},
            # Of nobody: factors are published, a category is a number.
            "factor_id": {OWN: told.factor_id, ABSENT: "none"},
            "release_id": {OWN: told.release_id, ABSENT: "none"},
            "category": {OWN: "1"},
        }

    def of_suppliers(self) -> dict[str, dict[str, str]]:
        """By parameter what is of the key's supplier, of another one of the same organization."""
        return {
            **self.of_organizations(),
            "supplier_id": {OWN: OWN_SUPPLIER, FOREIGN: FOREIGN_SUPPLIER, ABSENT: NO_SUPPLIER},
            "entry_id": {
                OWN: self.told.entry_ids[20],
                FOREIGN: self.told.entry_ids[-1],
                ABSENT: NO_ENTRY,
            },
        }


@pytest.fixture(scope="module")
def world(ledger_server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home: Path = tmp_path_factory.mktemp("matrix")
    with scratch_database(ledger_server.layout.database_url, with_factors=True) as database:
        settings = settings_of(database, home, CARBON_API_REQUESTS_PER_SECOND="0")
        told = fill(database, settings)
        headers = headers_of(keys_of_callers(settings))
        scopes = {**{role: frozenset(ROLES[role]) for role in ROLES}, "everything": SCOPES}
        with closing(database.reader()) as conn:
            as_of = settled(conn, None)
        with api_server(settings) as (url, app):
            yield World(
                url=url,
                app=app,
                told=told,
                database=database,
                callers={
                    name: Caller(
                        headers=one, scopes=frozenset(scopes[name]) if name in scopes else None
                    )
                    for name, one in headers.items()
                },
                given={
                    "as_of": as_of.isoformat(),
                    "start_date": "2025-01-01",
                    "end_date": "2025-12-31",
                    "name": "waste.json",
                },
            )


def opened() -> dict[tuple[str, str], Opened]:
    """Every operation that takes a key, but those of the PACT exchange, whose errors have a shape
    of their own (test_api_access.py).
    """
    return {
        place: Opened(scopes=frozenset(filter(None, (one.scope, one.or_scope))), body=one.own.body)
        for place, one in OPERATIONS.items()
        if one.needs == KEY and place[1] != "/3/events"
    }


def test_nobody_is_told_what_is_of_another_organization(world: World) -> None:
    secrets = (OTHER_FACILITY, *world.told.foreign_entry_ids)
    looked_at, faults = leaks(
        world.url,
        world.document(),
        opened(),
        world.callers,
        world.of_organizations(),
        world.given,
        secrets,
    )
    assert not faults, "\n".join(faults)
    assert looked_at > len(opened()) * len(world.callers)


def test_a_supplier_is_told_nothing_of_another(world: World) -> None:
    looked_at, faults = leaks(
        world.url,
        world.document(),
        opened(),
        {"supplier": world.callers["supplier"]},
        world.of_suppliers(),
        {name: value for name, value in world.given.items() if not name.endswith("_date")},
        (FOREIGN_SUPPLIER, world.told.entry_ids[-1]),
    )
    assert not faults, "\n".join(faults)
    assert looked_at > len(opened())


def test_every_parameter_that_names_something_is_in_the_matrix(world: World) -> None:
    document = world.document()
    document["paths"]["/v1/forgotten/{thing_id}"] = {
        "get": {"parameters": [{"name": "thing_id", "in": "path"}]}
    }
    place = ("get", "/v1/forgotten/{thing_id}")
    with pytest.raises(KeyError, match="thing_id"):
        list(
            groups_of(
                document,
                {**opened(), place: Opened(scopes=frozenset({"ledger:read"}))},
                world.of_organizations(),
                {},
            )
        )


def test_a_planted_leak_is_found(world: World) -> None:
    path = "/v1/planted/{entry_id}"

    def leaky(entry_id: str, services: Annotated[Any, Depends(services_of)]) -> JSONResponse:
        """Ask as somebody who sees every organization."""
        with services.readers.of("*") as conn:
            row = conn.execute(
                "select facility_id from ledger.entry where entry_id = %s", (entry_id,)
            ).fetchone()
        return JSONResponse({"facility": row and row[0]}, 404 if row is None else 200)

    routes = len(world.app.router.routes)
    world.app.add_api_route(path, leaky, dependencies=[Depends(require("ledger:read"))])
    world.app.openapi_schema = None
    try:
        _, faults = leaks(
            world.url,
            world.document(),
            # As if another scope opened it: who has that alone is refused, and should not be.
            {("get", path): Opened(scopes=frozenset({"ledger:read", "supplier:read"}))},
            {name: world.callers[name] for name in ("reporter", "supplier", "no key")},
            world.of_organizations(),
            {},
            (OTHER_FACILITY,),
        )
    finally:
        del world.app.router.routes[routes:]
        world.app.openapi_schema = None
    foreign = world.told.foreign_entry_ids[0]
    assert [fault.partition(":")[0] for fault in faults] == [*["reporter"] * 2, *["supplier"] * 3]
    assert f"[foreign {foreign}] is answered 200 and tells '{OTHER_FACILITY}'" in faults[0]
    assert "differs from what is absent" in faults[1]
    assert "is answered 403" in faults[2]
