"""Which ERP systems may send documents, from the file that CARBON_ERP_SYSTEMS_FILE names.

Belongs here: reading and checking that file; the secrets of a system. Does not: what documents look
like (pipeline.sources.erp_documents), signatures (api.signatures).

The file is read again when it changes, and secrets with every request: a system is added, and a
secret changed, without a restart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from api.signatures import SECRETS_MAX, WINDOW_SECONDS, read_secret
from api.watched_file import WatchedFile, read_table
from carbon_ledger.errors import ConfigurationError, RejectedRecord
from carbon_ledger.events import check_identifier
from carbon_ledger.settings import Settings
from pipeline.sources.erp_documents import ErpSystem, shape_named

FILE_BYTES_MAX: Final = 1024 * 1024
WINDOW_SECONDS_MAX: Final = 3600
_KNOWN: Final = (
    "kind",
    "secret_files",
    "entities",
    "suppliers",
    "units",
    "document_prefix",
    "replay_window_seconds",
)


@dataclass(frozen=True, kw_only=True)
class ErpSender:
    """A system, the files of its secrets (one; two while it is changed), how late it may come."""

    system: ErpSystem
    secret_files: tuple[Path, ...]
    window_seconds: int

    def secrets(self) -> list[bytes]:
        """Its secrets as they are now; ConfigurationError `secret_file`."""
        return [read_secret(path) for path in self.secret_files]


class ErpSystems(WatchedFile[ErpSender]):
    """The systems of a file, by name; ConfigurationError `erp_systems` for a wrong one."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.get("CARBON_ERP_SYSTEMS_FILE"), read_systems, _wrong)


def read_systems(path: Path) -> dict[str, ErpSender]:
    """The systems a file names; ConfigurationError `erp_systems` says what is wrong with it."""
    systems = read_table(path, "systems", FILE_BYTES_MAX, _wrong)
    return {str(name): _sender(path, str(name), given) for name, given in systems.items()}


def _sender(path: Path, name: str, given: Any) -> ErpSender:
    if not isinstance(given, Mapping):
        raise _wrong(path, f"system {name!r} is no mapping")
    unknown = sorted(set(map(str, given)) - set(_KNOWN))
    if unknown:
        raise _wrong(path, f"{name}.{unknown[0]} is unknown; known are: {', '.join(_KNOWN)}")
    try:
        check_identifier("system", name)
    except RejectedRecord as problem:
        raise _wrong(path, str(problem)) from problem
    files = given.get("secret_files")
    if not isinstance(files, list) or not 1 <= len(files) <= SECRETS_MAX:
        raise _wrong(path, f"{name}.secret_files is a list of one file, or two during a change")
    window = given.get("replay_window_seconds", WINDOW_SECONDS)
    if not isinstance(window, int) or not 1 <= window <= WINDOW_SECONDS_MAX:
        raise _wrong(path, f"{name}.replay_window_seconds is 1 to {WINDOW_SECONDS_MAX}")
    prefix = given.get("document_prefix", f"{name}:")
    system = ErpSystem(
        system=name,
        shape=shape_named(str(given.get("kind"))),
        document_prefix=str(prefix),
        entities=_table(path, name, given, "entities"),
        suppliers=_table(path, name, given, "suppliers"),
        units=_table(path, name, given, "units"),
    )
    return ErpSender(
        system=system,
        secret_files=tuple(path.parent / str(one) for one in files),
        window_seconds=window,
    )


def _table(path: Path, name: str, given: Mapping[str, Any], key: str) -> dict[str, str]:
    table = given.get(key) or {}
    if not isinstance(table, Mapping):
        raise _wrong(path, f"{name}.{key} is a mapping")
    for theirs in table:
        # YAML reads 0042 as 34 and 1_0 as 10: what is meant as text has to be written as text.
        if not isinstance(theirs, str):
            raise _wrong(path, f"{name}.{key}: put {theirs!r} in quotes")
    return {str(theirs): str(ours) for theirs, ours in table.items()}


def _wrong(path: Path, what: str) -> ConfigurationError:
    return ConfigurationError("erp_systems", f"{path}: {what}")
