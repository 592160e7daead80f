"""A table of named things in a YAML file that is read again when it changes.

Belongs here: when to read, and the outer shape of such a file. Does not: what its entries mean
(api.erp_systems, api.pact_requests).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml

from carbon_ledger.errors import ConfigurationError

T = TypeVar("T")
# Makes the error of a file: its path, and what is wrong with it.
Wrong = Callable[[Path, str], ConfigurationError]


class WatchedFile(Generic[T]):
    """The entries of a file by name; none without a file. Safe to use from several threads."""

    def __init__(
        self, given: str | None, read: Callable[[Path], Mapping[str, T]], wrong: Wrong
    ) -> None:
        self._path = Path(given) if given else None
        self._read, self._wrong = read, wrong
        self._lock = threading.Lock()
        self._seen: tuple[int, int] | None = None
        self._entries: Mapping[str, T] = {}

    def find(self, name: str) -> T | None:
        """The entry of this name, or None. ConfigurationError for a file that is wrong."""
        if self._path is None:
            return None
        with self._lock:
            try:
                stat = self._path.stat()
            except OSError as error:
                raise self._wrong(self._path, str(error.strerror)) from error
            now = (stat.st_mtime_ns, stat.st_size)
            if now != self._seen:
                self._entries = self._read(self._path)
                self._seen = now
            return self._entries.get(name)


def read_table(path: Path, key: str, bytes_max: int, wrong: Wrong) -> Mapping[Any, Any]:
    """The mapping under `key` of a YAML file; the error of `wrong` where there is none."""
    try:
        content = yaml.safe_load(path.read_bytes()[:bytes_max])
    except (OSError, yaml.YAMLError) as error:
        raise wrong(path, " ".join(str(error).split())[:200]) from error
    table = content.get(key) if isinstance(content, Mapping) else None
    if not isinstance(table, Mapping):
        raise wrong(path, f"it has no `{key}`")
    return table
