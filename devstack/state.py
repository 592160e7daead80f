"""What the supervisor says about its services, as one JSON file written in one rename.

Belongs here: the file's shape, reading and writing it. Does not: deciding anything.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from devstack.processes import ProcessId


@dataclass(kw_only=True)
class ServiceState:
    """One service as last seen. `since` is the UTC time (ISO 8601) its status began."""

    status: str = "waiting"
    since: str = ""
    pid: int | None = None
    created: float | None = None
    port: int | None = None
    restarts: int = 0
    external: bool = False
    log: str | None = None
    seconds_to_ready: float | None = None
    note: str | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it answered by its own protocol when last asked."""
        return self.status == "ready"


@dataclass(kw_only=True)
class StackState:
    """The whole stack. `status`: starting, running, stopping, stopped or failed (then `failure`
    says why).
    """

    status: str = "stopped"
    failure: str | None = None
    supervisor_pid: int | None = None
    supervisor_created: float | None = None
    brokers: int = 0
    dagster: bool = False
    extras: tuple[str, ...] = ()
    services: dict[str, ServiceState] = field(default_factory=dict)

    def supervisor(self) -> ProcessId | None:
        """Identity of the supervisor that wrote this, or None."""
        if self.supervisor_pid is None or self.supervisor_created is None:
            return None
        return ProcessId(pid=self.supervisor_pid, created=self.supervisor_created)

    def all_ready(self) -> bool:
        """Whether every service is ready."""
        return bool(self.services) and all(s.is_ready for s in self.services.values())


def read(path: Path) -> StackState:
    """The state in `path`; a stopped stack where there is none."""
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return StackState()
    services = {name: ServiceState(**one) for name, one in raw.pop("services").items()}
    raw["extras"] = tuple(raw.get("extras", ()))
    return StackState(**raw, services=services)


def write(path: Path, state: StackState) -> None:
    """Replace `path` by `state` in one rename: a reader sees the old or the new, never half."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(asdict(state), indent=1), encoding="utf-8")
    part.replace(path)
