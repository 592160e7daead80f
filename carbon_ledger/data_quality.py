"""Data quality scores of a line, their roll-up, and the uncertainty that follows from them.

Belongs here: the indicators of the Scope 3 Standard (chapter 7), the scores that kinds of data have
by default, pedigree intervals, propagation, the share of primary data. Does not: which kind of data
an activity rests on (each calculator says so).

Logarithms and roots have no exact decimals: they are taken to 40 digits (`PRECISION`), half-even,
and an interval is rounded once, to 12 decimals, where it is posted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.workings import posted_fraction

if TYPE_CHECKING:
    from carbon_ledger.factor_book.book import FactorMatch


@dataclass(frozen=True, slots=True)
class Scores:
    """The five indicators of the Scope 3 Standard (table 7.6), each 1 (very good) to 4 (poor)."""

    technology: int
    time: int
    geography: int
    completeness: int
    reliability: int

    def __post_init__(self) -> None:
        if not all(1 <= score <= 4 for score in self.as_tuple()):
            raise BrokenInvariant("data_quality_score", f"{self} has a score outside 1 to 4")

    def as_tuple(self) -> tuple[int, int, int, int, int]:
        """The scores in the order of the table."""
        return (self.technology, self.time, self.geography, self.completeness, self.reliability)

    @property
    def text(self) -> str:
        """The scores in the order of the table, as the ledger keeps them, e.g. `1,1,1,1,2`."""
        return ",".join(map(str, self.as_tuple()))

    @classmethod
    def of_text(cls, text: str) -> Scores:
        """The scores that `text` spells. Raises BrokenInvariant `data_quality_score`."""
        parts = text.split(",")
        if len(parts) != 5 or not all(len(part) == 1 and part in "1234" for part in parts):
            raise BrokenInvariant(
                "data_quality_score", f"{text[:60]!r} are no five scores of 1 to 4, e.g. 1,1,1,1,2"
            )
        return cls(*map(int, parts))


INDICATORS: Final = tuple(Scores.__dataclass_fields__)
VERY_GOOD, GOOD, FAIR, POOR = 1, 2, 3, 4

# What a kind of data is worth unless more is known of it; decided by this project along table 7.6.
# Those of a factor are a start: `of_match` replaces time and geography.
DEFAULT_SCORES: Final[dict[str, Scores]] = {
    "calibrated_meter": Scores(1, 1, 1, 1, 1),
    "uncalibrated_meter": Scores(1, 1, 1, 1, 2),
    "estimated_reading": Scores(1, 1, 1, 2, 3),
    "telematics_fuel": Scores(1, 1, 1, 1, 2),
    "telematics_distance": Scores(2, 1, 1, 1, 2),
    "fuel_card": Scores(1, 1, 1, 1, 2),
    "shipment_declared": Scores(1, 1, 1, 1, 2),
    "shipment_default_intensity": Scores(3, 2, 2, 2, 3),
    # Neither the places nor the way are known, only the countries.
    "shipment_between_countries": Scores(3, 2, 4, 2, 4),
    "purchase_quantity": Scores(2, 1, 2, 1, 2),
    "purchase_spend": Scores(4, 3, 3, 2, 4),
}

PRECISION: Final = 40
REAL: Final = Context(
    prec=PRECISION,
    rounding=ROUND_HALF_EVEN,
    Emin=-9999,
    Emax=9999,
    clamp=0,
    traps=[InvalidOperation, DivisionByZero, Overflow],
)
_QUANTUM: Final = Decimal("1E-12")


def time_score(gap_years: int | None) -> int:
    """The time indicator for data of another year, either way (table 7.6); None: unknown.

    Below 3 years very good, below 6 good, below 10 fair, else poor. The table leaves exactly 10
    open; it is poor here.
    """
    if gap_years is None:
        return POOR
    gap = abs(gap_years)
    return VERY_GOOD if gap < 3 else GOOD if gap < 6 else FAIR if gap < 10 else POOR


Area = Literal["same", "similar", "different", "unknown"]
_AREA_SCORES: Final[dict[Area, int]] = {
    "same": VERY_GOOD,
    "similar": GOOD,
    "different": FAIR,
    "unknown": POOR,
}


def geography_score(area: Area) -> int:
    """The geography indicator (table 7.6) of data from such an area."""
    return _AREA_SCORES[area]


def completeness_score(*, share_of_sites: Fraction | None, is_period_adequate: bool) -> int:
    """The completeness indicator (table 7.6); a share of 1 is all sites, None is unknown."""
    if share_of_sites is None:
        return POOR
    if share_of_sites >= 1 and is_period_adequate:
        return VERY_GOOD
    is_majority = share_of_sites > Fraction(1, 2)
    if is_majority and is_period_adequate:
        return GOOD
    return FAIR if is_majority or is_period_adequate else POOR


def reliability_score(*, is_verified: bool, is_measured: bool, is_qualified: bool = True) -> int:
    """The reliability indicator (table 7.6); `is_qualified`: estimated by somebody who can."""
    if is_verified:
        return VERY_GOOD if is_measured else GOOD
    if is_measured:
        return GOOD
    return FAIR if is_qualified else POOR


def declared_scores(
    *,
    technology: Decimal | None,
    time: Decimal | None,
    geography: Decimal | None,
    scale: Literal[3, 5],
    is_verified: bool,
    is_measured: bool,
) -> Scores:
    """The scores of a supplier's footprint from its own ratings and whether somebody verified it.

    Ratings are 1 (best) to `scale`: 5 in PACT 3, 3 in PACT 2, whose 1 is only `good`. A fraction
    counts as the next worse; none given is unknown. The mapping is this project's (PACT technical
    specification 3.0.3, data quality indicators). Raises RejectedRecord `rating_out_of_range`.
    """
    ratings = {"technologicalDQR": technology, "temporalDQR": time, "geographicalDQR": geography}
    scores = []
    for name, rating in ratings.items():
        if rating is None:
            scores.append(POOR)
            continue
        if not 1 <= rating <= scale:
            raise RejectedRecord(
                "rating_out_of_range",
                f"{name} {rating} is no rating",
                field=name,
                value=rating,
                valid=f"1 to {scale}",
            )
        upward = -(-Fraction(rating) // 1) + (1 if scale == 3 else 0)
        scores.append(min(int(upward), POOR))
    return Scores(
        technology=scores[0],
        time=scores[1],
        geography=scores[2],
        completeness=GOOD if is_verified else FAIR,
        reliability=reliability_score(is_verified=is_verified, is_measured=is_measured),
    )


# How a factor's geography matched, as an area of table 7.6. A factor without geography averages
# over areas of which this is one.
_MATCHED_AREAS: Final[dict[str, Area]] = {
    "region": "same",
    "country": "same",
    "proxy": "different",
    "any": "different",
}


def of_match(scores: Scores, match: FactorMatch) -> Scores:
    """The same scores with the indicators that follow from how a factor matched.

    Time from its vintage (none: unknown); geography from where it is of: a country in place of its
    region is similar, another country in its place different; a life-cycle factor in the place of
    a direct one is at best a similar technology.
    """
    area = _MATCHED_AREAS.get(match.geography_level, "unknown")
    if "region_fallback" in match.flags and area == "same":
        area = "similar"
    technology = max(scores.technology, GOOD) if match.boundary_substitute else scores.technology
    return replace(
        scores,
        technology=technology,
        time=time_score(match.vintage_gap_years),
        geography=geography_score(area),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class RollUp:
    """Scores of many lines: emission-weighted mean of each indicator and of all, and the worst.

    `scored_share` is the share of the absolute kgCO2e that has scores; the mean is of that.
    """

    mean: tuple[Fraction, Fraction, Fraction, Fraction, Fraction]
    overall: Fraction
    worst: Scores
    scored_share: Fraction


def roll_up(lines: Iterable[tuple[Decimal, Scores | None]]) -> RollUp | None:
    """The roll-up of (kgCO2e, scores) pairs of active lines; None where nothing is scored.

    A credit weighs as much as a charge of its size. Where all lines are of 0 kg each weighs the
    same. Decided by this project; the standard asks for a description of data quality (table 7.6).
    """
    given = [(abs(Fraction(kgco2e)), scores) for kgco2e, scores in lines]
    scored = [(weight, scores) for weight, scores in given if scores is not None]
    if not scored:
        return None
    whole = sum((weight for weight, _ in given), Fraction(0))
    weighed = sum((weight for weight, _ in scored), Fraction(0))
    weights = [weight if weighed else Fraction(1) for weight, _ in scored]
    columns = list(zip(*(scores.as_tuple() for _, scores in scored), strict=True))
    sums = sum(weights, Fraction(0))
    means = [
        sum((w * score for w, score in zip(weights, column, strict=True)), Fraction(0)) / sums
        for column in columns
    ]
    return RollUp(
        mean=(means[0], means[1], means[2], means[3], means[4]),
        overall=sum(means, Fraction(0)) / 5,
        worst=Scores(*(max(column) for column in columns)),
        scored_share=weighed / whole if whole else Fraction(1),
    )


# Pedigree: the uncertainty factor of each score of each indicator. Of the pedigree matrix tradition
# (Weidema and Wesnaes 1996, as used by ecoinvent); not checked against the source's text.
PEDIGREE: Final[dict[str, tuple[Decimal, Decimal, Decimal, Decimal]]] = {
    "technology": (Decimal("1.00"), Decimal("1.20"), Decimal("1.50"), Decimal("2.00")),
    "time": (Decimal("1.00"), Decimal("1.10"), Decimal("1.20"), Decimal("1.50")),
    "geography": (Decimal("1.00"), Decimal("1.02"), Decimal("1.05"), Decimal("1.10")),
    "completeness": (Decimal("1.00"), Decimal("1.05"), Decimal("1.10"), Decimal("1.20")),
    "reliability": (Decimal("1.00"), Decimal("1.10"), Decimal("1.20"), Decimal("1.50")),
}
# What remains uncertain with the best of data; likewise not checked against the source's text.
BASIC_UNCERTAINTY: Final[dict[str, Decimal]] = {
    "energy": Decimal("1.05"),
    "CO2": Decimal("1.05"),
    "combustion_CH4_N2O": Decimal("1.5"),
    "transport_services": Decimal("2.0"),
}


def geometric_deviation(scores: Iterable[Scores], basic: Decimal) -> Decimal:
    """SDg^2, the factor of the 95 % interval: exp of the root of the sum of squared ln U.

    Several scores (of the activity and of its factor) are independent inputs of one product, so
    their squares add up; `basic` enters once. To 40 digits. Raises BrokenInvariant
    `basic_uncertainty` below 1.
    """
    if basic < 1:
        raise BrokenInvariant("basic_uncertainty", f"{basic} is below 1, the certain figure")
    factors = [basic]
    for one in scores:
        for table, score in zip(PEDIGREE.values(), one.as_tuple(), strict=True):
            factors.append(table[score - 1])
    squares = Decimal(0)
    for factor in factors:
        squares = REAL.add(squares, _squared_logarithm(factor))
    return REAL.exp(REAL.sqrt(squares))


@lru_cache(maxsize=64)
def _squared_logarithm(factor: Decimal) -> Decimal:
    """Of one of the few factors of the tables above; a logarithm to 40 digits takes its time."""
    logarithm = REAL.ln(factor)
    return REAL.multiply(logarithm, logarithm)


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A 95 % interval in kgCO2e, rounded half-even to 12 decimals."""

    low: Decimal
    high: Decimal


def interval(kgco2e: Decimal, deviation: Decimal) -> Interval:
    """[x / SDg^2, x * SDg^2]; of a credit the same, the larger magnitude first."""
    if deviation < 1:
        raise BrokenInvariant("geometric_deviation", f"{deviation} is below 1")
    ends = sorted((REAL.divide(kgco2e, deviation), REAL.multiply(kgco2e, deviation)))
    low, high = (REAL.quantize(end, _QUANTUM) for end in ends)
    return Interval(low=low, high=high)


def line_interval(
    kgco2e: Decimal, activity: Scores | None, factor: Scores | None, basic: Decimal
) -> Interval | None:
    """The interval of a line from what its activity and its factor are worth; None if neither is
    scored.
    """
    known = [scores for scores in (activity, factor) if scores is not None]
    return interval(kgco2e, geometric_deviation(known, basic)) if known else None


def relative_uncertainty(deviation: Decimal) -> Decimal:
    """SDg^2 as a relative half-width, by its larger, upper side: SDg^2 - 1."""
    return REAL.subtract(deviation, Decimal(1))


# Above this the propagation formulas are no longer good (IPCC Guidelines 2006, volume 1, chapter 3;
# not checked against the source's text).
PROPAGATION_LIMIT: Final = Decimal("0.6")
BEYOND_LIMIT: Final = "uncertainty_beyond_propagation"


def of_product(uncertainties: Iterable[Decimal]) -> Decimal:
    """Relative uncertainty of a product of independent inputs: root of the sum of squares."""
    return _root_of_squares(Fraction(one) for one in uncertainties)


def _root_of_squares(values: Iterable[Fraction]) -> Decimal:
    return REAL.sqrt(_real(sum((value * value for value in values), Fraction(0))))


def _real(value: Fraction) -> Decimal:
    return REAL.divide(Decimal(value.numerator), Decimal(value.denominator))


@dataclass(frozen=True, kw_only=True, slots=True)
class TotalUncertainty:
    """A total in kgCO2e, its half-width in kgCO2e, and that in relation to it (None for 0 kg)."""

    kgco2e: Decimal
    half_width_kgco2e: Decimal
    relative: Decimal | None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class UncertainLine:
    """kgCO2e of a line, its relative uncertainty, and what other lines share with it.

    `factor_id` is the factor (with version) the uncertainty comes from; empty: nothing is shared.
    """

    kgco2e: Decimal
    relative: Decimal
    factor_id: str = ""


def of_total(lines: Iterable[UncertainLine]) -> TotalUncertainty:
    """The uncertainty of a sum: linear within a factor, root of squares between factors.

    Lines with one factor are wrong together, by the same share of their net: they add up with their
    signs. Different factors err independently (IPCC Guidelines 2006, volume 1, chapter 3; not
    checked against the source's text; the grouping by factor is this project's). Flagged where an
    input is beyond what the formula is good for.
    """
    total = Fraction(0)
    shared: dict[str, Fraction] = defaultdict(Fraction)
    alone: list[Fraction] = []
    flags: set[str] = set()
    for line in lines:
        if line.relative < 0:
            raise BrokenInvariant("uncertainty", f"{line.relative} is no uncertainty")
        total += Fraction(line.kgco2e)
        width = Fraction(line.kgco2e) * Fraction(line.relative)
        if line.factor_id:
            shared[line.factor_id] += width
        else:
            alone.append(width)
        if line.relative > PROPAGATION_LIMIT:
            flags.add(BEYOND_LIMIT)
    half_width = _root_of_squares([*shared.values(), *alone])
    return TotalUncertainty(
        kgco2e=posted_fraction(total),
        half_width_kgco2e=half_width,
        relative=REAL.divide(half_width, _real(abs(total))) if total else None,
        flags=tuple(sorted(flags)),
    )


def label(relative: Decimal) -> str:
    """The GHG Protocol's word for a relative uncertainty: high (to 5 %), good, fair, poor accuracy.

    From its guidance on uncertainty; not checked against the source's text.
    """
    for limit, word in ((5, "high"), (15, "good"), (30, "fair")):
        if relative * 100 <= limit:
            return word
    return "poor"


@dataclass(frozen=True, kw_only=True, slots=True)
class PrimaryLine:
    """kgCO2e of a line, from whom its data are, and what share of them is said to be primary."""

    kgco2e: Decimal
    is_supplier_sourced: bool
    declared_share: Decimal | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PrimaryShare:
    """The share of kgCO2e from primary data, 0 to 1, both ways; None where there are no kilograms.

    `primary`: as ESRS E1 asks, each line by its own share. `supplier_sourced`: as CDP and the Scope
    3 Standard ask, every line with a supplier's data in full.
    """

    primary: Fraction | None
    supplier_sourced: Fraction | None


def primary_share(lines: Sequence[PrimaryLine]) -> PrimaryShare:
    """Both shares of primary data, each published where it belongs.

    A line's own share is what its author declared, else 1 for a supplier's data and 0 for others
    (PACT technical specification 3.0.3, primaryDataShare; ESRS E1 AR 46(g); Scope 3 Standard,
    11.1). Weights are absolute kilograms. Raises RejectedRecord `share_out_of_range`.
    """
    whole = primary = sourced = Fraction(0)
    for line in lines:
        declared = line.declared_share
        if declared is not None and not 0 <= declared <= 1:
            raise RejectedRecord(
                "share_out_of_range",
                f"{declared} is no share of primary data",
                field="declared_share",
                value=declared,
                valid="0 to 1 (a percentage is divided by 100 first)",
            )
        weight = abs(Fraction(line.kgco2e))
        share = int(line.is_supplier_sourced) if declared is None else declared
        whole += weight
        primary += weight * Fraction(share)
        sourced += weight * int(line.is_supplier_sourced)
    if not whole:
        return PrimaryShare(primary=None, supplier_sourced=None)
    return PrimaryShare(primary=primary / whole, supplier_sourced=sourced / whole)
