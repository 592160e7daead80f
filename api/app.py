"""The API: one FastAPI app from one set of settings.

Belongs here: which routes and pages there are, what stands before all of them. Does not: any
route's work (api.routes, api.pages), who may call (api.security).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import APIRouter, FastAPI

from api.bodies import BoundedBodies
from api.client import SIGNATURE_HEADER
from api.described import describe
from api.head_requests import HeadRequests
from api.pages import entries as entry_pages
from api.pages import login, reports, sign_offs
from api.problems import described, install_handlers
from api.request_metrics import CountedRequests
from api.routes import (
    activities,
    completeness,
    dead_letters,
    entries,
    erp,
    factors,
    health,
    inventory,
    lineage,
    pact,
    review,
    supplier,
)
from api.services import Services
from carbon_ledger.settings import Settings
from carbon_ledger.version import code_version

# One module per resource. A module has `router`, and may have `BODY_LIMITS`: path to bytes.
ROUTES: Final = (
    *(health, erp, supplier, pact, activities, dead_letters),
    *(inventory, entries, factors, lineage, review, completeness),
)
# Pages for people, which are no operations: HTML, and a session in place of a key.
PAGES: Final = (login, reports, sign_offs, entry_pages)

DESCRIPTION: Final = """\
Inventories, entries, changes, factors, lineage, completeness, webhooks of ERP systems, what
suppliers declare, dead letters, metrics, health and readiness. Numbers are exact, as text. Errors
are problem details (RFC 9457) with a stable `code`; `docs/api.md` of the project has examples.
"""


# Ways to authenticate that FastAPI does not see by itself.
SCHEMES: Final[dict[str, Any]] = {
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": SIGNATURE_HEADER,
        "description": "HMAC-SHA256 over timestamp and body; see docs/api.md",
    },
    "client": {
        "type": "http",
        "scheme": "basic",
        "description": "a key's id and secret, as an OAuth 2.0 client's",
    },
}


class _Api(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """The description of every operation, with each way to authenticate, and examples."""
        is_made = self.openapi_schema is not None
        document = super().openapi()
        if not is_made:
            document.setdefault("components", {}).setdefault("securitySchemes", {}).update(SCHEMES)
            describe(document)
        return document


def create_app(settings: Settings) -> FastAPI:
    """The app; nothing connects before the first request."""
    services = Services.of(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        services.close()

    app = _Api(
        title="Carbon ledger",
        version=code_version(),
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        redirect_slashes=False,
        responses=described(dict.fromkeys((400, 404, 408, 413, 422, 500, 503, 504), "a problem")),
    )
    app.state.services = services
    limits: dict[str, int] = {}
    for module in ROUTES:
        router: APIRouter = module.router
        app.include_router(router)
        limits.update(getattr(module, "BODY_LIMITS", {}))
    for pages in PAGES:
        app.include_router(pages.router)
    install_handlers(app)
    app.add_middleware(BoundedBodies, limits=limits)
    app.add_middleware(CountedRequests, counts=services.requests)
    app.add_middleware(HeadRequests)
    return app
