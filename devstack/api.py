"""The API of the embedded stack.

Belongs here: its command and probe, where its ERP systems are written down. Does not: what it
answers (api).
"""

from __future__ import annotations

import sys
from pathlib import Path

from devstack.layout import Layout
from devstack.service import Service, get_json


def erp_systems_file(home: Path) -> Path:
    """The ERP systems whose webhooks this stack takes; none at first."""
    return home / "api" / "erp-systems.yaml"


def api_values(layout: Layout) -> dict[str, str]:
    """The settings that come with this stack's API."""
    return {
        "CARBON_ERP_SYSTEMS_FILE": str(erp_systems_file(layout.home)),
        "CARBON_REVIEW_URL": f"http://127.0.0.1:{layout.port(Api.name)}/review",
    }


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
        """A file of ERP systems to add to; everything else is in PostgreSQL."""
        file = erp_systems_file(self.layout.home)
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            file.write_text("systems: {}\n", encoding="utf-8")

    def command(self) -> list[str]:
        return [sys.executable, "-m", "cli.main", "api", "--port", str(self.port)]

    def probe(self) -> str | None:
        _, fault = get_json(f"http://127.0.0.1:{self.port}/v1/ready")
        return fault
