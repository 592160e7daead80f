"""What a restatement moves: sums by cause, place, kind and year, cells of reports, the base year.

Belongs here: exact sums of line changes and the judgement of the base year's effect. Does not: the
line changes (carbon_ledger.restatement), the figures they are compared with (the store reads them).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from carbon_ledger.entries import EntryRow
from carbon_ledger.organisation.base_year import NO_TRIGGERS, TRIGGERS, Change, assess
from carbon_ledger.quantities import PRODUCT, canonical_text, exact_product
from carbon_ledger.reference.register import Register
from carbon_ledger.restatement import CAUSES, GASES, Cause, LineChange, difference

TONNES_PER_KILOGRAM: Final = Decimal("0.001")
# Of outsourcing and insourcing nobody here knows whether it was reported elsewhere.
BOUNDARY_KINDS: Final = tuple(
    kind for kind in (*TRIGGERS, *NO_TRIGGERS) if kind not in ("outsourcing", "insourcing")
)
DEFAULT_BOUNDARY_KIND: Final = "error"
CHANGE_KINDS: Final[Mapping[Cause, str]] = {
    "factor_release": "better_factor_data",
    "gwp_set": "method_change",
    "method": "method_change",
}
# What effects are told apart by, and how a line is named in each.
DIMENSIONS: Final = ("organization", "facility", "country", "kind", "fiscal_year")


def kind_of(row: EntryRow) -> str:
    """Scope, category and basis of a line, e.g. `scope-3|4|location`."""
    return f"scope-{row.scope}|{'-' if row.category is None else row.category}|{row.basis}"


def _key(row: EntryRow, dimension: str, fiscal_year: int) -> str:
    if dimension == "organization":
        return row.organization_id
    if dimension == "facility":
        return row.facility_id
    if dimension == "country":
        return row.country_iso2
    return kind_of(row) if dimension == "kind" else str(fiscal_year)


@dataclass(kw_only=True)
class Effects:
    """Sums of line changes, kgCO2e and kg of each gas, exact; grows line by line.

    A line that moves to another place counts with its old figure there and its new one here. A line
    is of the fiscal year that its organization has by `register`.
    """

    register: Register = field(default_factory=Register)
    entries: int = 0
    delta: Decimal = Decimal(0)
    by_cause: dict[Cause, Decimal] = field(
        default_factory=lambda: dict.fromkeys(CAUSES, Decimal(0))
    )
    by_gas: dict[str, Decimal] = field(default_factory=lambda: dict.fromkeys(GASES, Decimal(0)))
    by: dict[str, dict[str, Decimal]] = field(
        default_factory=lambda: {name: defaultdict(Decimal) for name in DIMENSIONS}
    )
    # (organization, year, country) of scope 2 by location, which the ESRS E1 table shows.
    cells: dict[tuple[str, int, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    # (organization, year, cause): what enters the total of a base year.
    yearly: dict[tuple[str, int, Cause], Decimal] = field(
        default_factory=lambda: defaultdict(Decimal)
    )
    refused: Counter[str] = field(default_factory=Counter)
    not_recomputable: int = 0

    def add(self, change: LineChange) -> None:
        """Counts one line."""
        self.entries += 1
        self.delta = PRODUCT.add(self.delta, change.delta_kgco2e)
        for cause in CAUSES:
            self.by_cause[cause] = PRODUCT.add(self.by_cause[cause], change.steps[cause])
        for gas in GASES:
            moved = difference(change.new, change.old, gas)
            self.by_gas[gas] = PRODUCT.add(self.by_gas[gas], moved)
        for row, sign in ((change.old, -1), (change.new, 1)):
            if row is None:
                continue
            figure = row.kgco2e if sign > 0 else row.kgco2e.copy_negate()
            for dimension, sums in self.by.items():
                name = _key(row, dimension, self._year_of(row))
                sums[name] = PRODUCT.add(sums[name], figure)
            if row.scope == 2 and row.basis == "location":
                for country in ("", row.country_iso2):
                    cell = (row.organization_id, self._year_of(row), country)
                    self.cells[cell] = PRODUCT.add(self.cells[cell], figure)
        self._add_year(change)

    def _add_year(self, change: LineChange) -> None:
        """Steps belong to where the line is now; what leaves a place leaves it by its boundary."""
        new, old = change.new, change.old
        if old is not None and new is not None and self._place(old) == self._place(new):
            if _counts(new):
                for cause, step in change.steps.items():
                    self._year(new, cause, step)
            return
        if old is not None and _counts(old):
            self._year(old, "boundary", old.kgco2e.copy_negate())
        if new is not None and _counts(new):
            self._year(new, "boundary", new.kgco2e)

    def _year(self, row: EntryRow, cause: Cause, figure: Decimal) -> None:
        key = (row.organization_id, self._year_of(row), cause)
        self.yearly[key] = PRODUCT.add(self.yearly[key], figure)

    def _year_of(self, row: EntryRow) -> int:
        return self.register.fiscal_year_of(row.organization_id, row.local_date)

    def _place(self, row: EntryRow) -> tuple[str, int, bool]:
        return row.organization_id, self._year_of(row), _counts(row)


def _counts(row: EntryRow) -> bool:
    """Whether a line enters the total by location: scopes 1 to 3, but for market-based figures."""
    return row.scope > 0 and row.basis != "market"


def report_cells(
    effects: Effects, stated: Mapping[tuple[str, int, str], Decimal]
) -> list[dict[str, Any]]:
    """Cells of reports.esrs_e1 that move, tCO2e as text; `stated` is the newest snapshot's value,
    `restated` that and the delta, both None where no report shows the cell yet.
    """
    cells = []
    for (organization, year, country), kg in sorted(effects.cells.items()):
        if not kg:
            continue
        tonnes = exact_product(kg, TONNES_PER_KILOGRAM)
        before = stated.get((organization, year, country))
        after = None if before is None else PRODUCT.add(before, tonnes)
        cells.append(
            {
                "organization_id": organization,
                "fiscal_year": year,
                "country_iso2": country,
                "stated": None if before is None else canonical_text(before),
                "delta": canonical_text(tonnes),
                "restated": None if after is None else canonical_text(after),
            }
        )
    return cells


def base_year_effects(
    effects: Effects,
    base_year: int,
    totals: Mapping[str, Decimal],
    threshold: Decimal,
    boundary_kind: str = DEFAULT_BOUNDARY_KIND,
    earlier: Mapping[str, Sequence[Change]] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """Per organization: what the base year moves, and whether a recalculation is due.

    `totals` are the base year's figures as they stand, kgCO2e by location; `earlier` are changes
    posted since the last recalculation, which count together with these against the figure as it
    was before them. Rules: GHG Protocol Scope 3 Standard, 9.3, as
    carbon_ledger.organisation.base_year has them.
    """
    found = []
    for organization in sorted({one[0] for one in effects.yearly if one[1] == base_year}):
        moved = {
            cause: effects.yearly.get((organization, base_year, cause), Decimal(0))
            for cause in CAUSES
        }
        before = list(earlier.get(organization, ()))
        stands = totals.get(organization, Decimal(0))
        total = PRODUCT.subtract(stands, _sum(one.effect_kgco2e for one in before))
        changes = [
            Change(
                change_id=cause,
                kind=CHANGE_KINDS.get(cause, boundary_kind),
                year=base_year,
                effect_kgco2e=effect,
            )
            for cause, effect in moved.items()
            if effect
        ]
        answer: dict[str, Any] = {
            "organization_id": organization,
            "base_year": base_year,
            "stated_kgco2e": canonical_text(total),
            "earlier_kgco2e": canonical_text(PRODUCT.subtract(stands, total)),
            "delta_kgco2e": canonical_text(_sum(moved.values())),
            "threshold": canonical_text(threshold),
            "changes": {
                one.change_id: [one.kind, canonical_text(one.effect_kgco2e)] for one in changes
            },
        }
        if total > 0:
            judged = assess([*before, *changes], total, threshold)
            answer |= {"is_due": judged.is_due, "reason": judged.reason}
        else:
            reason = "the base year has no figure above zero to compare with"
            answer |= {"is_due": False, "reason": reason}
        found.append(answer)
    return found


def changes_since_recalculation(
    summaries: Iterable[tuple[int, Mapping[str, Any]]], base_year: int
) -> dict[str, list[Change]]:
    """Changes of a base year by organization, from the summaries of posted restatements in order.

    Those that made a recalculation due, and all before them, are settled by it.
    """
    found: dict[str, list[Change]] = {}
    for number, summary in summaries:
        for one in summary["base_year"]:
            if one["base_year"] != base_year:
                continue
            if one["is_due"]:
                found[one["organization_id"]] = []
                continue
            found.setdefault(one["organization_id"], []).extend(
                Change(
                    change_id=f"R-{number} {cause}",
                    kind=kind,
                    year=base_year,
                    effect_kgco2e=Decimal(effect),
                )
                for cause, (kind, effect) in one["changes"].items()
            )
    return found


def _sum(values: Iterable[Decimal]) -> Decimal:
    total = Decimal(0)
    for value in values:
        total = PRODUCT.add(total, value)
    return total


def summary_of(effects: Effects) -> dict[str, Any]:
    """The sums as plain texts, for JSON; keys in order, sums of zero left out of the dimensions."""
    return {
        "entries": effects.entries,
        "delta_kgco2e": canonical_text(effects.delta),
        "by_cause": {cause: canonical_text(effects.by_cause[cause]) for cause in CAUSES},
        "by_gas": {gas: canonical_text(kg) for gas, kg in effects.by_gas.items()},
        **{
            f"by_{dimension}": {name: canonical_text(kg) for name, kg in sorted(sums.items()) if kg}
            for dimension, sums in effects.by.items()
        },
        "refused": dict(sorted(effects.refused.items())),
        "not_recomputable": effects.not_recomputable,
    }
