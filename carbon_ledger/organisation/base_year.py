"""The base year: when it is recalculated, with which version of the inventory, and by how much.

Belongs here: triggers and the threshold, inventory versions, adjustment lines. Does not: figures of
a year (the ledger answers with an inventory version), report tables.

Nothing is overwritten: a recalculation is the stated figure plus adjustments with reason and
effect, for the base year and every year after it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.lines import EmissionLine
from carbon_ledger.quantities import PRODUCT
from carbon_ledger.workings import (
    Formula,
    Operand,
    Working,
    formula_table,
    posted_fraction,
    term,
)

STANDARD: Final = "GHG Protocol Scope 3 Standard (2011), 9.3"
TABLE_9_4: Final = "GHG Protocol Scope 3 Standard (2011), table 9.4"
ADJUSTMENT: Final = Formula(
    formula_id="BASE-YEAR-ADJUSTMENT",
    text="adjustment = figure by the new inventory version - figure by the one before",
    citation=STANDARD,
)
FORMULAS: Final = formula_table(ADJUSTMENT)

# What makes the years incomparable, and what is the development a base year is there to show.
TRIGGERS: Final[dict[str, str]] = {
    "acquisition": "structural change",
    "merger": "structural change",
    "divestment": "structural change",
    "outsourcing": "structural change",
    "insourcing": "structural change",
    "method_change": "change of method",
    "better_factor_data": "improved accuracy of factors or activity data",
    "error": "material error, or errors that are material together",
    "added_category": "categories or activities added",
}
NO_TRIGGERS: Final[dict[str, str]] = {
    "organic_growth": "growth within the boundary",
    "organic_decline": "decline within the boundary",
    "fuel_change": "a real change of fuel",
    "technology_change": "a real change of technology",
    "founded_after_base_year": "what did not exist in the base year",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class InventoryVersion:
    """What a figure was made with: the same version of the same ledger always gives the same."""

    boundary_version: str
    method_version: str
    factor_release: str
    gwp_set: str
    as_of: datetime

    @property
    def version_id(self) -> str:
        """First 12 hex digits of the SHA-256 of what the version consists of."""
        content = {
            "as_of": self.as_of.isoformat(),
            "boundary": self.boundary_version,
            "factors": self.factor_release,
            "gwp": self.gwp_set,
            "method": self.method_version,
        }
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A change since the base year, and its effect on the base year's figure, signed, kgCO2e.

    For outsourcing and insourcing, `was_reported_elsewhere`: the activity is in one of the reported
    categories before and after, so it only moves. `shares_one_base_year`: all scopes have the same.
    """

    change_id: str
    kind: str
    year: int
    effect_kgco2e: Decimal
    description: str = ""
    was_reported_elsewhere: bool | None = None
    shares_one_base_year: bool = True

    def __post_init__(self) -> None:
        if self.kind not in TRIGGERS and self.kind not in NO_TRIGGERS:
            raise RejectedRecord(
                "unknown_change",
                f"{self.kind[:60]!r} is no kind of change",
                field="kind",
                value=self.kind,
                valid=", ".join((*TRIGGERS, *NO_TRIGGERS)),
            )
        if self.kind in ("outsourcing", "insourcing") and self.was_reported_elsewhere is None:
            raise RejectedRecord(
                "fact_missing",
                f"{self.kind}: whether the activity is reported before and after decides",
                field="was_reported_elsewhere",
                valid="true, false",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """Whether one change counts towards the threshold, its share of the base year, and why."""

    change: Change
    counts: bool
    share: Fraction
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Assessment:
    """Whether a recalculation is due: by one change, or by several in one direction together."""

    is_due: bool
    judgements: tuple[Judgement, ...]
    increase: Fraction
    decrease: Fraction
    threshold: Decimal
    reason: str

    @property
    def reason_codes(self) -> tuple[str, ...]:
        """Kinds of the changes that count, each once, in name order."""
        return tuple(sorted({one.change.kind for one in self.judgements if one.counts}))


def assess(changes: Iterable[Change], base_year_kgco2e: Decimal, threshold: Decimal) -> Assessment:
    """Whether the changes since the last recalculation make one due.

    The threshold holds both ways and for changes together; increases and decreases are summed
    apart, so that an acquisition cannot hide a divestment of the same size (9.3 of the Scope 3
    Standard). At the threshold is over it. Raises RejectedRecord `base_year_total`,
    `threshold_out_of_range`, `duplicate_change`.
    """
    if base_year_kgco2e <= 0:
        raise _refused(
            "base_year_total", "base_year_kgco2e", base_year_kgco2e, "a figure above zero"
        )
    if not 0 < threshold <= 1:
        raise _refused("threshold_out_of_range", "threshold", threshold, "a share above 0, up to 1")
    judgements = tuple(_judge(change, base_year_kgco2e) for change in changes)
    ids = [one.change.change_id for one in judgements]
    if len(set(ids)) < len(ids):
        raise _refused("duplicate_change", "change_id", ", ".join(ids), "each change once")
    shares = [one.share for one in judgements if one.counts]
    increase = sum((share for share in shares if share > 0), Fraction(0))
    decrease = -sum((share for share in shares if share < 0), Fraction(0))
    limit = Fraction(threshold)
    single = any(abs(share) >= limit for share in shares)
    together = increase >= limit or decrease >= limit
    if single:
        reason = f"one change reaches the threshold of {threshold}"
    elif together:
        reason = f"changes in one direction together reach the threshold of {threshold}"
    else:
        reason = f"no change, nor several together, reaches the threshold of {threshold}"
    return Assessment(
        is_due=single or together,
        judgements=judgements,
        increase=increase,
        decrease=decrease,
        threshold=threshold,
        reason=f"{reason} ({STANDARD})",
    )


def _refused(code: str, field: str, value: object, valid: str) -> RejectedRecord:
    return RejectedRecord(code, f"{field} cannot be {value}", field=field, value=value, valid=valid)


def _judge(change: Change, base_year_kgco2e: Decimal) -> Judgement:
    share = Fraction(change.effect_kgco2e) / Fraction(base_year_kgco2e)
    if change.kind in NO_TRIGGERS:
        counts, reason = False, f"{NO_TRIGGERS[change.kind]}: no trigger ({STANDARD})"
    elif change.kind in ("outsourcing", "insourcing"):
        counts, reason = _moved(change)
    else:
        counts, reason = True, f"{TRIGGERS[change.kind]} ({STANDARD})"
    return Judgement(change=change, counts=counts, share=share, reason=reason)


def _moved(change: Change) -> tuple[bool, str]:
    """Table 9.4: an activity that only moves between reported scopes of one base is no trigger."""
    if change.was_reported_elsewhere and change.shares_one_base_year:
        return False, f"{change.kind} moves it between reported scopes of one base ({TABLE_9_4})"
    if change.was_reported_elsewhere:
        return True, f"{change.kind} moves it between scopes with bases of their own ({TABLE_9_4})"
    return True, f"{change.kind} of an activity that is not reported elsewhere ({TABLE_9_4})"


@dataclass(frozen=True, kw_only=True, slots=True)
class FigureKey:
    """What figures of one year are told apart by."""

    scope: int
    category: int | None
    basis: Literal["", "location", "market"] = ""


Figures = Mapping[FigureKey, Decimal]


def figures_of(lines: Iterable[EmissionLine]) -> dict[FigureKey, Decimal]:
    """The figures lines add up to, kgCO2e; what has scope 0 enters none of them.

    Scope 2 has a figure for each basis, and so has category 3 where it was calculated for both: the
    market-based one is a figure of its own, never added to the other.
    """
    sums: dict[FigureKey, Fraction] = {}
    for line in lines:
        assignment = line.assignment
        if assignment.scope == 0:
            continue
        basis: Literal["", "location", "market"] = ""
        if assignment.scope == 2:
            basis = "market" if line.basis == "market" else "location"
        elif assignment.category == 3 and line.basis == "market":
            basis = "market"
        key = FigureKey(scope=assignment.scope, category=assignment.category, basis=basis)
        sums[key] = sums.get(key, Fraction(0)) + Fraction(line.kgco2e)
    return {key: posted_fraction(total) for key, total in sums.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseYearAdjustment:
    """One adjustment line: from the stated figure to the recalculated one, never in place of it."""

    year: int
    key: FigureKey
    stated_kgco2e: Decimal
    effect: Working
    effect_kgco2e: Decimal
    reason_codes: tuple[str, ...]
    change_ids: tuple[str, ...]
    from_version: str
    to_version: str
    flags: tuple[str, ...] = ()

    @property
    def recalculated_kgco2e(self) -> Decimal:
        """The figure as recalculated: stated plus effect, exactly."""
        return PRODUCT.add(self.stated_kgco2e, self.effect_kgco2e)


def recalculate(
    assessment: Assessment,
    stated: Mapping[int, Figures],
    recomputed: Mapping[int, Figures],
    *,
    base_year: int,
    current_year: int,
    versions: tuple[InventoryVersion, InventoryVersion],
    backcast_years: Sequence[int] = (),
) -> tuple[BaseYearAdjustment, ...]:
    """Adjustments of every year from the base year to the current one, by the new version.

    `stated` and `recomputed` have the figures of each year by the two `versions`. Where the data of
    an old year are missing it may be backcast, which is flagged (`backcast`); a year that is simply
    left out is refused. Raises RejectedRecord `recalculation_not_due`, `year_missing`,
    `inventory_version_unchanged`, `year_order`.
    """
    if not assessment.is_due:
        raise RejectedRecord(
            "recalculation_not_due",
            f"{assessment.reason}: the base year stands",
            field="assessment",
            valid="changes that reach the threshold",
        )
    before, after = (version.version_id for version in versions)
    if before == after:
        raise _refused("inventory_version_unchanged", "versions", before, "two different versions")
    if base_year > current_year:
        raise _refused("year_order", "base_year", base_year, f"at most {current_year}")
    counting = [one.change.change_id for one in assessment.judgements if one.counts]
    adjustments: list[BaseYearAdjustment] = []
    for year in range(base_year, current_year + 1):
        for name, figures in (("stated", stated), ("recomputed", recomputed)):
            if year not in figures:
                raise _refused(
                    "year_missing",
                    name,
                    year,
                    f"every year from {base_year} to {current_year}, backcast where data are gone",
                )
        old, new = stated[year], recomputed[year]
        for key in sorted({*old, *new}, key=lambda key: (key.scope, key.category or 0, key.basis)):
            effect = _effect(old.get(key), new.get(key), before, after)
            if not effect.exact():
                continue
            adjustments.append(
                BaseYearAdjustment(
                    year=year,
                    key=key,
                    stated_kgco2e=old.get(key, Decimal(0)),
                    effect=effect,
                    effect_kgco2e=effect.posted(),
                    reason_codes=assessment.reason_codes,
                    change_ids=tuple(sorted(counting)),
                    from_version=before,
                    to_version=after,
                    flags=("backcast",) if year in backcast_years else (),
                )
            )
    return tuple(adjustments)


def _effect(old: Decimal | None, new: Decimal | None, before: str, after: str) -> Working:
    terms = []
    if new is not None:
        terms.append(term(Operand(value=new, unit="kgCO2e", label=f"by inventory version {after}")))
    if old is not None:
        stated = Operand(value=old, unit="kgCO2e", label=f"by inventory version {before}")
        terms.append(term(stated, sign=-1))
    return Working(formula=ADJUSTMENT, terms=tuple(terms))
