"""The API in a server of its own, on a port of its own, beside the stack it needs.

Belongs here: starting one and stopping it, making keys for its callers. Does not: what it answers.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import uvicorn

from api.app import create_app
from carbon_ledger.access_keys import READS_ALL, SCOPES, SUPPLIER_SCOPES, NewKey, scopes_of
from carbon_ledger.settings import Settings
from carbon_ledger.store.connect import connect
from carbon_ledger.store.keys import create_key

EVERYTHING = tuple(scope for scope in SCOPES if scope != "supplier:read")

START_SECONDS = 20.0


@contextmanager
def api_server(settings: Settings, **changes: str) -> Iterator[tuple[str, Any]]:
    """Its URL and its app, until the end of the block; `changes` are of the settings."""
    app = create_app(Settings({**settings.values, **changes}))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, http="h11", ws="none", log_level="warning", lifespan="on")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not server.started:
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.02)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", app
        finally:
            server.should_exit = True
            thread.join(30)


def make_key(settings: Settings, **changes: Any) -> NewKey:
    """A key with every scope but supplier:read, which is for keys that read nothing else, for
    supplier SUP_042_DE alone where it is for suppliers, good for a day.
    """
    chosen = scopes_of(changes.get("role"), changes.get("scopes", EVERYTHING))
    reads_all = "supplier:read" in chosen and not READS_ALL.isdisjoint(chosen)
    named = () if SUPPLIER_SCOPES.isdisjoint(chosen) else ("SUP_042_DE",)
    given: dict[str, Any] = {
        "organization_id": "default",
        "scopes": EVERYTHING,
        "supplier_ids": ("*",) if reads_all else named,
        "holder": "Example Steel",
        "created_by": "tests",
        "expires_at": datetime.now(UTC) + timedelta(days=1),
        **changes,
    }
    # One person for each name, as there must be.
    given.setdefault("person_id", re.sub("[^a-z0-9]+", "-", given["holder"].lower()))
    with connect(settings["CARBON_DATABASE_WRITER_URL"], "tests", True) as conn:
        return create_key(conn, **given)
