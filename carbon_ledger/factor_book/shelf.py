"""The rows of a release by family: made and checked when they are first asked for.

Belongs here: what is intact and when that is looked at. Does not: which row applies (factors,
activity_factors), where rows are kept (carbon_ledger.store).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.factor_book.index_rows import IndexRow, check_index
from carbon_ledger.factor_book.rows import Factor, check_factor


class FactorShelf:
    """Factors by family, and index rows; read-only, pickles if `later` and `later_indices` do, and
    several threads may ask at once.

    `later` makes the rows of a family, `later_indices` the index rows, when they are first needed:
    a worker that prices meter readings opens a release and never asks for them. Raises
    BrokenInvariant `factor_duplicate` if a row is there twice, on opening or when it is made.
    """

    def __init__(
        self,
        factors: Iterable[Factor],
        index_rows: Iterable[IndexRow] = (),
        later: Mapping[str, Callable[[], Iterable[Factor]]] | None = None,
        later_indices: Callable[[], Iterable[IndexRow]] | None = None,
    ) -> None:
        self._lock = threading.RLock()
        # Newest version of every row that has been made.
        self.newest: dict[str, int] = {}
        self._by_family: dict[str, list[Factor]] = {}
        self._intact: dict[str, tuple[Factor, ...]] = {}
        self._later = dict(later or {})
        self._take(factors)
        self._index_rows = tuple(index_rows)
        self._later_indices = later_indices
        self._intact_indices: tuple[IndexRow, ...] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.RLock())

    @property
    def families(self) -> frozenset[str]:
        """The families there are, made or not."""
        return frozenset({*self._by_family, *self._later})

    def all(self) -> tuple[Factor, ...]:
        """Every factor, by id and version, unchecked."""
        with self._lock:
            for family in sorted(self._later):
                self._take(self._later.pop(family)())
            rows = [row for family in self._by_family.values() for row in family]
        return tuple(sorted(rows, key=lambda row: (row.factor_id, row.version)))

    def family(self, name: str) -> tuple[Factor, ...]:
        """The rows of a family, by id and version, each intact; () for an unknown one."""
        with self._lock:
            rows = self._intact.get(name)
            if rows is None:
                if name in self._later:
                    self._take(self._later.pop(name)())
                rows = tuple(self._by_family.get(name, ()))
                for row in rows:
                    check_factor(row)
                self._intact[name] = rows
            return rows

    def indices(self) -> tuple[IndexRow, ...]:
        """The newest version of every index row, each intact; BrokenInvariant `index_duplicate`."""
        with self._lock:
            if self._intact_indices is None:
                more = self._later_indices() if self._later_indices else ()
                self._intact_indices = _newest_checked([*self._index_rows, *more])
            return self._intact_indices

    def _take(self, factors: Iterable[Factor]) -> None:
        for row in sorted(factors, key=lambda row: (row.factor_id, row.version)):
            if self.newest.get(row.factor_id) == row.version:
                raise BrokenInvariant(
                    "factor_duplicate", f"{row.factor_id} version {row.version} is there twice"
                )
            self.newest[row.factor_id] = row.version
            self._by_family.setdefault(row.family, []).append(row)


def _newest_checked(index_rows: Iterable[IndexRow]) -> tuple[IndexRow, ...]:
    newest: dict[str, IndexRow] = {}
    for row in sorted(index_rows, key=lambda row: (row.index_id, row.version)):
        check_index(row)
        known = newest.get(row.index_id)
        if known is not None and known.version == row.version:
            raise BrokenInvariant(
                "index_duplicate", f"{row.index_id} version {row.version} is there twice"
            )
        newest[row.index_id] = row
    return tuple(newest.values())
