"""The API of the embedded stack.

Belongs here: its command and probe. Does not: what it answers (api).
"""

from __future__ import annotations

import sys

from devstack.layout import Layout
from devstack.service import Service, get_json


class Api(Service):
    """`carbon api` on the loopback interface."""

    name = "api"
    needs = ("postgres", "kafka", "registry")
    waits_for_initialised = True  # its keys are in the ledger's database
    stop_seconds = 25

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.port = layout.port(self.name)

    def prepare(self) -> None:
        """Nothing: what it keeps is in PostgreSQL."""

    def command(self) -> list[str]:
        return [sys.executable, "-m", "cli.main", "api", "--port", str(self.port)]

    def probe(self) -> str | None:
        _, fault = get_json(f"http://127.0.0.1:{self.port}/v1/health")
        return fault
