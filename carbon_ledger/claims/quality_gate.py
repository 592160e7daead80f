"""Whether a supplier's figure is good enough to take the place of an estimate.

Belongs here: the criteria, each with its code. Does not: which of the admitted figures wins
(carbon_ledger.claims.supersession), whether a declaration can be read at all (its event).

More specific is not automatically more accurate (Scope 3 Technical Guidance, box 1.1), so a figure
of higher rank must also be of the right boundary, period, unit, age and size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Final

from carbon_ledger.claims.claims import Coverage, coverage, unit_ratio
from carbon_ledger.claims.facts import Fact
from carbon_ledger.policy import Policy

MIN_PERIOD_OVERLAP: Final = Fraction(1, 2)

_YEAR: Final = timedelta(days=365)
_CALENDAR_DAYS: Final = timedelta(days=3)
_MICROSECOND: Final = timedelta(microseconds=1)

BOUNDARY: Final = "boundary_not_cradle_to_gate"
PERIOD: Final = "period_not_representative"
NOT_LATEST: Final = "not_latest_period"
EXPIRED: Final = "expired"
UNIT: Final = "unit_not_reconciled"
NOTHING_BOUGHT: Final = "no_purchase_to_cover"
LINE_UNKNOWN: Final = "purchase_line_unknown"
OPEN_CONFLICT: Final = "open_conflict"
COVERAGE_CONFLICT: Final = "coverage_conflict"
IMPLAUSIBLE: Final = "implausible_intensity"
CYCLE: Final = "preceding_cycle"

# These contradict something and wait for a person; the others just do not qualify, for now.
CONFLICTS: Final = frozenset({OPEN_CONFLICT, COVERAGE_CONFLICT, IMPLAUSIBLE, CYCLE})


def failures(
    fact: Fact, purchases: Sequence[Fact], ancestors: frozenset[str], policy: Policy
) -> tuple[str, ...]:
    """The codes of every criterion that a specific figure fails on its own, sorted; empty: it may
    count.

    `purchases` are the estimates it stands for, `ancestors` all it replaces, directly or not. That
    it is the latest of its kind is `not_latest`, which needs the others.
    """
    size = _size_failures(fact, purchases, policy)
    found = {
        BOUNDARY: not _is_boundary_right(fact),
        PERIOD: not (overlaps_enough(fact) or _is_same_length(fact)),
        EXPIRED: _is_expired(fact, policy),
        OPEN_CONFLICT: bool(fact.open_conflicts),
        CYCLE: fact.fact_id in ancestors,
        **dict.fromkeys(size, True),
    }
    return tuple(sorted(code for code, has_failed in found.items() if has_failed))


def not_latest(fact: Fact, others: Iterable[Fact]) -> bool:
    """Whether a figure of another period gives way, because one of a later period is known.

    Only a figure that does not overlap with the activity needs to be the latest (ESRS E1 AR 42: a
    partner's period may differ if it is as long and its data are the latest).
    """
    if overlaps_enough(fact):
        return False
    end = _reference(fact)[1]
    return any(
        _reference(other)[1] > end and other.fact_id != fact.fact_id
        for other in others
        if (other.supplier_id, other.item_id) == (fact.supplier_id, fact.item_id)
    )


def coverage_of(fact: Fact, purchases: Sequence[Fact], policy: Policy) -> Coverage | str:
    """How much of its purchases a specific figure stands for, or why that cannot be said."""
    if fact.covered is None or not purchases:
        return NOTHING_BOUGHT
    if not set(fact.covers) <= {purchase.activity_ref for purchase in purchases}:
        return LINE_UNKNOWN
    whole = Fraction(0)
    for purchase in purchases:
        bought = _amount_in(purchase, fact.covered.unit)
        if bought is None:
            return UNIT
        whole += bought
    if whole <= 0:
        return NOTHING_BOUGHT
    return coverage(Fraction(fact.covered.value), whole, policy)


def _amount_in(purchase: Fact, unit: str) -> Fraction | None:
    for amount in purchase.amounts:
        found = unit_ratio(amount.unit, unit)
        if found is not None:
            return Fraction(amount.value) * found
    return None


def _size_failures(fact: Fact, purchases: Sequence[Fact], policy: Policy) -> tuple[str, ...]:
    found = coverage_of(fact, purchases, policy)
    if isinstance(found, str):
        return (found,)
    if found.is_conflict:
        return (COVERAGE_CONFLICT,)
    estimate = found.share * sum((purchase.figure.exact() for purchase in purchases), Fraction(0))
    if estimate <= 0 or fact.is_reviewed:
        return ()
    stated = fact.figure.exact()
    low, high = policy.implied_intensity_band
    is_plausible = estimate * Fraction(low) <= stated <= estimate * Fraction(high)
    return () if is_plausible else (IMPLAUSIBLE,)


def _is_boundary_right(fact: Fact) -> bool:
    if fact.boundary == "cradle_to_gate":
        return True
    # Cradle to grave would bring the use and end of life of categories 11 and 12 into category 1.
    return fact.boundary == "gate_to_gate" and fact.is_filled


def _reference(fact: Fact) -> tuple[datetime, datetime]:
    if fact.reference_from is None or fact.reference_to is None:
        return fact.occurred_from, fact.occurred_to
    return fact.reference_from, fact.reference_to


def overlaps_enough(fact: Fact) -> bool:
    """Whether the data are of at least half the time that the activity took."""
    start, end = _reference(fact)
    length = fact.occurred_to - fact.occurred_from
    if not length:
        return start <= fact.occurred_from and (fact.occurred_from < end or start == end)
    shared = min(end, fact.occurred_to) - max(start, fact.occurred_from)
    return Fraction(shared // _MICROSECOND, length // _MICROSECOND) >= MIN_PERIOD_OVERLAP


def _is_same_length(fact: Fact) -> bool:
    """Data of a period as long as the reporting year or the activity, and not after it."""
    start, end = _reference(fact)
    own = fact.occurred_to - fact.occurred_from
    return start < fact.occurred_to and any(
        _is_as_long(end - start, length) for length in (_YEAR, own)
    )


def _is_as_long(one: timedelta, other: timedelta) -> bool:
    """Calendar months and years of one kind differ by up to three days, 28 to 31 and 365 to 366."""
    difference = abs(one - other)
    return difference <= _CALENDAR_DAYS and difference * 10 <= max(one, other)


def _is_expired(fact: Fact, policy: Policy) -> bool:
    """Past its own date, or its data too old; valid for three years if it does not say (PACT)."""
    too_old = _years_later(_reference(fact)[1], policy.max_reference_age_years)
    return fact.occurred_from >= min(fact.expires or too_old, too_old)


def _years_later(moment: datetime, years: int) -> datetime:
    is_leap_day = (moment.month, moment.day) == (2, 29)
    return moment.replace(year=moment.year + years, day=28 if is_leap_day else moment.day)


def ancestors_of(facts: Iterable[Fact]) -> dict[str, frozenset[str]]:
    """Everything each fact replaces, directly or through others; itself if they go in a circle."""
    preceding: Mapping[str, tuple[str, ...]] = {fact.fact_id: fact.preceding for fact in facts}
    found = {}
    for fact_id in preceding:
        seen: set[str] = set()
        waiting = list(preceding[fact_id])
        while waiting:
            one = waiting.pop()
            if one not in seen:
                seen.add(one)
                waiting.extend(preceding.get(one, ()))
        found[fact_id] = frozenset(seen)
    return found
