"""What changed from one release to another, row by row and field by field.

Belongs here: the comparison. Does not: reading releases (carbon_ledger.store), printing (cli).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal

from carbon_ledger.factor_book.index_rows import IndexRow
from carbon_ledger.factor_book.rows import Factor, FactorRelease
from carbon_ledger.quantities import canonical_text

# They follow from the content.
_DERIVED = frozenset({"sha256", "version"})


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldChange:
    """One field of a row that both releases have, as text."""

    field: str
    old: str
    new: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RowChange:
    """A row of the same id with other content; `fields` in the order of the row."""

    row_id: str
    old_version: int
    new_version: int
    fields: tuple[FieldChange, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseDiff:
    """Ids of rows only the new release has, only the old one has, and what changed; in id order.

    Factors and index rows alike: their ids never coincide.
    """

    old_release: str
    new_release: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[RowChange, ...]

    @property
    def is_empty(self) -> bool:
        """Whether the two releases hold the same rows."""
        return not (self.added or self.removed or self.changed)


def diff(old: FactorRelease, new: FactorRelease) -> ReleaseDiff:
    """What `new` has otherwise than `old`; of rows with several versions the newest counts."""
    before = _newest(old)
    after = _newest(new)
    common = sorted(set(before) & set(after))
    return ReleaseDiff(
        old_release=old.release_id,
        new_release=new.release_id,
        added=tuple(sorted(set(after) - set(before))),
        removed=tuple(sorted(set(before) - set(after))),
        changed=tuple(
            _change(row_id, before[row_id], after[row_id])
            for row_id in common
            if before[row_id].sha256 != after[row_id].sha256
        ),
    )


def _newest(release: FactorRelease) -> dict[str, Factor | IndexRow]:
    rows: dict[str, Factor | IndexRow] = {}
    for factor in sorted(release.rows, key=lambda row: row.version):
        rows[factor.factor_id] = factor
    for index in sorted(release.index_rows, key=lambda row: row.version):
        rows[index.index_id] = index
    return rows


def _change(row_id: str, old: Factor | IndexRow, new: Factor | IndexRow) -> RowChange:
    names = [field.name for field in fields(old) if field.name not in _DERIVED]
    pairs = [(name, getattr(old, name), getattr(new, name)) for name in names]
    return RowChange(
        row_id=row_id,
        old_version=old.version,
        new_version=new.version,
        fields=tuple(
            FieldChange(field=name, old=_text(before), new=_text(after))
            for name, before, after in pairs
            if before != after
        ),
    )


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return canonical_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple):
        return " ".join(_pair(part) for part in value)
    return str(value)


def _pair(part: object) -> str:
    if isinstance(part, Iterable) and not isinstance(part, str):
        return "=".join(str(one) for one in part)
    return str(part)
