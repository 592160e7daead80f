"""What may be counted once: the key of a claim, and how much of one thing another accounts for.

Belongs here: claims, coverage, one activity one claim (DC1), purchases within a group (DC12), and
the list of all rules against double counting with the place of each. Does not: the rules between
two documents about one activity (double_counting), how an estimate gives way to a
supplier's figure (carbon_ledger.claims.supersession), the database.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.policy import Policy
from carbon_ledger.units import ratio
from carbon_ledger.workings import posted_fraction

# Each rule and the function that is it.
RULES: Final[dict[str, tuple[str, str]]] = {
    "DC1": ("one activity, one active claim", "claims.claims.dc1_one_claim"),
    "DC2": ("own vehicles' fuel, measured or bought", "claims.double_counting.rule_on"),
    "DC3": ("metered electricity and its invoice", "claims.double_counting.rule_on"),
    "DC4": ("charging behind a meter", "claims.double_counting.rule_on"),
    "DC5": ("shipments and the carrier's invoice", "claims.double_counting.rule_on"),
    "DC6": ("an asset and its energy", "claims.double_counting.dc6_capital_goods"),
    "DC7": ("supplier's figure and estimate", "claims.supersession.resolve"),
    "DC8": ("a footprint's delivery and the shipment", "claims.double_counting.rule_on"),
    "DC9": ("an investee and purchases from it", "organisation.consolidation.investee_remainder"),
    "DC10": ("categories that exclude each other", "organisation.scopes.assign"),
    "DC11": ("recycling at the end of life", "claims.double_counting.dc11_recycling"),
    "DC12": ("any other overlap", "claims.double_counting.dc12_overlap"),
    "DC13": ("meters below meters", "energy.meter_trees.attribute"),
}

_PERIOD = re.compile(r"[0-9]{4}(-(0[1-9]|1[0-2]))?")
FUEL_AND_ENERGY: Final = 3


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class ClaimKey:
    """What can be counted once: an activity of an entity in a category and a period.

    `activity_ref` names the physical activity, or for a supplier's figures what was bought from
    whom. `category` is 1 to 15 in scope 3 and None for scopes 1 and 2, which exclude each other.
    `period` is `2025-03` or `2025`. `view` tells the two figures of scope 2 apart (`location`,
    `market`): two answers to one question, never added. GHG Protocol Scope 3 Standard, chapters 5
    and 9; Scope 2 Guidance, chapter 7.
    """

    entity_id: str
    activity_ref: str
    category: int | None
    period: str
    view: str = ""

    def __post_init__(self) -> None:
        if not self.entity_id or not self.activity_ref:
            raise BrokenInvariant("claim_key", f"{self} does not say whose activity it is")
        if self.category is not None and not 1 <= self.category <= 15:
            raise BrokenInvariant("claim_key", f"{self} is in no category of scope 3")
        if not _PERIOD.fullmatch(self.period):
            raise BrokenInvariant("claim_key", f"{self}: valid periods are like 2025-03 or 2025")

    @property
    def text(self) -> str:
        """The key in one line, as the ledger keeps it."""
        category = "-" if self.category is None else str(self.category)
        parts = [self.entity_id, self.activity_ref, category, self.period]
        return "|".join([*parts, self.view] if self.view else parts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Coverage:
    """How much of a whole something better accounts for: `ratio` as found, `share` at most 1.

    `is_conflict`: more is said to be covered than there is, beyond what rounding and cut-off
    explain (`Policy.supplier_coverage_conflict`); then neither figure can be believed unseen.
    """

    ratio: Fraction
    share: Fraction
    is_conflict: bool
    flags: tuple[str, ...]

    @property
    def remainder(self) -> Fraction:
        """The share that is not accounted for: 1 - share."""
        return 1 - self.share


def coverage(covered: Fraction, whole: Fraction, policy: Policy) -> Coverage:
    """`covered` / `whole`, capped at 1 and flagged `coverage_capped` or `coverage_conflict`.

    Both in one unit. Raises RejectedRecord `coverage_negative`, or `nothing_to_cover` where the
    whole is not above zero.
    """
    if covered < 0:
        raise RejectedRecord(
            "coverage_negative",
            f"{covered} cannot be covered",
            field="covered",
            value=covered,
            valid="zero or more",
        )
    if whole <= 0:
        raise RejectedRecord(
            "nothing_to_cover",
            f"of {whole} nothing can be covered",
            field="whole",
            value=whole,
            valid="an amount above zero",
        )
    found = covered / whole
    conflict = found > Fraction(policy.supplier_coverage_conflict)
    flag = "coverage_conflict" if conflict else "coverage_capped" if found > 1 else None
    return Coverage(
        ratio=found,
        share=min(found, Fraction(1)),
        is_conflict=conflict,
        flags=(flag,) if flag else (),
    )


def dc1_one_claim(claims: Iterable[tuple[ClaimKey, str]]) -> None:
    """DC1: one physical activity, one active claim. Takes (key, line id); returns if all is well.

    Raises RejectedRecord `claim_taken` where two lines have one key, and
    `activity_in_two_categories` where an activity of an entity and period stands in two places at
    once: category 3 (upstream of fuels and power) may stand beside scopes 1 and 2, nothing else
    beside anything.
    """
    holders: dict[ClaimKey, str] = {}
    homes: dict[tuple[str, str, str], set[int | None]] = defaultdict(set)
    for key, line_id in sorted(claims, key=lambda pair: (pair[0].text, pair[1])):
        if key in holders:
            raise RejectedRecord(
                "claim_taken",
                f"{key.text} is claimed by {holders[key]} already",
                field="claim",
                value=line_id,
                valid="a revision of the line that holds the claim",
            )
        holders[key] = line_id
        # Whatever its view: only lines of scope 2 have one, and a category is no view of it.
        places = homes[(key.entity_id, key.activity_ref, key.period)]
        places.add(key.category)
        if len(places) > 1 and places != {None, FUEL_AND_ENERGY}:
            named = sorted("scope 1 or 2" if one is None else f"category {one}" for one in places)
            raise RejectedRecord(
                "activity_in_two_categories",
                f"{key.activity_ref} stands in {' and '.join(named)}",
                field="category",
                value=line_id,
                valid="one place; category 3 may stand beside scopes 1 and 2",
            )


def unit_ratio(from_unit: str, to_unit: str) -> Fraction | None:
    """How many `to_unit` one `from_unit` is, 1 for equal currencies; None if there is no answer."""
    if from_unit == to_unit:
        return Fraction(1)
    try:
        return ratio(from_unit, to_unit)
    except RejectedRecord:
        return None


def dc12_eliminate_intra_group(
    lines: Iterable[tuple[str, str, str | None, Decimal]], members: frozenset[str]
) -> tuple[Decimal, tuple[str, ...]]:
    """DC12: kgCO2e of scope 3 of a group, and the lines left out of it.

    Takes (line id, buying entity, selling entity or None, kgCO2e). What one member buys from
    another is in the other's scopes 1 to 3 already. Scope 3 Standard, section 9.6.
    """
    total = Fraction(0)
    left_out = []
    for line_id, buyer, seller, kgco2e in lines:
        if buyer in members and seller in members:
            left_out.append(line_id)
        elif buyer in members:
            total += Fraction(kgco2e)
    return posted_fraction(total), tuple(sorted(left_out))
