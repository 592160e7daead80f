"""Meters below meters: from the readings of one interval to the kWh each meter accounts for.

Belongs here: the dated tree of main, sub- and virtual meters, and the attribution of what they
read. Does not: where readings come from, estimates for gaps (meter_series), factors.

Each kWh once: what a meter accounts for is its reading less what the metered meters below it
account for, so sub-meters and residual are the main reading. A sub-meter without a reading falls
into the residual above it, and what is read below it still counts there. A virtual meter is not
read: it takes a share of the residual of the meter it is under, or, without a share, only groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal

from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.workings import exact_text

MeterKind = Literal["main", "sub", "virtual"]

GAP_IN_RESIDUAL: Final = "gap_in_residual_above"
GAP_NOT_COVERED: Final = "gap_not_covered"
SCALED: Final = "sub_meters_scaled_to_main"
ESTIMATED_MAIN: Final = "estimated"
RAISED: Final = "estimate_raised_to_sub_meters"
TOLERANCE: Final = Decimal("0.02")


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeMeter:
    """A meter's place in the tree in `[valid_from, valid_to)`, by the site's calendar.

    `share` is of the residual of the meter it is under; virtual meters alone may have one.
    """

    meter_id: str
    kind: MeterKind
    parent_id: str | None = None
    share: Fraction | None = None
    valid_from: date = date(2000, 1, 1)
    valid_to: date | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class MeterTree:
    """The meters of one day: by id, children of each in name order, roots in name order."""

    meters: Mapping[str, TreeMeter]
    children: Mapping[str, tuple[str, ...]]
    roots: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Attributed:
    """What a meter accounts for beside the meters below it: exact kWh, and remarks."""

    kwh: Fraction
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Attribution:
    """Every meter's own kWh, the total of all, and the meters under which nothing is known.

    `not_covered` names meters without a reading that no reading above covers: their kWh are missing
    here until they are read or estimated.
    """

    own: Mapping[str, Attributed]
    total_kwh: Fraction
    not_covered: tuple[str, ...]


def tree_on(meters: Iterable[TreeMeter], on: date) -> MeterTree:
    """The tree of a day.

    Raises RejectedRecord `meter_twice` (two places on one day), `meter_parent_missing` (a sub- or
    virtual meter under none that is there that day), `main_below_meter`, `meter_cycle`,
    `virtual_share` (of a meter that is read, outside 0 to 1, or together above 1).
    """
    there: dict[str, TreeMeter] = {}
    for one in meters:
        if one.valid_from <= on and (one.valid_to is None or on < one.valid_to):
            if one.meter_id in there:
                raise _rejected(
                    "meter_twice", one.meter_id, f"has two places on {on}", "one place a day"
                )
            there[one.meter_id] = one
    children: dict[str, list[str]] = {name: [] for name in there}
    roots = []
    for name in sorted(there):
        one = there[name]
        _check_place(one, there, on)
        if one.parent_id is None:
            roots.append(name)
        else:
            children[one.parent_id].append(name)
    _check_shares(there, children)
    _check_reached(there, children, roots)
    return MeterTree(
        meters=there,
        children={name: tuple(below) for name, below in children.items()},
        roots=tuple(roots),
    )


def _rejected(code: str, meter_id: str, message: str, valid: str) -> RejectedRecord:
    return RejectedRecord(
        code, f"meter {meter_id} {message}", field="meter_id", value=meter_id, valid=valid
    )


def _check_place(one: TreeMeter, there: Mapping[str, TreeMeter], on: date) -> None:
    if one.kind == "main" and one.parent_id is not None:
        raise _rejected(
            "main_below_meter", one.meter_id, f"is a main meter below {one.parent_id}", "no parent"
        )
    if one.kind != "main" and one.parent_id not in there:
        raise _rejected(
            "meter_parent_missing",
            one.meter_id,
            f"is under {one.parent_id}, which is not there on {on}",
            "a parent that is valid on the same day",
        )
    if one.share is not None and (one.kind != "virtual" or not 0 <= one.share <= 1):
        raise _rejected(
            "virtual_share",
            one.meter_id,
            f"({one.kind}) has a share of {exact_text(one.share)}",
            "a share from 0 to 1, of a virtual meter",
        )


def _check_shares(there: Mapping[str, TreeMeter], children: Mapping[str, Iterable[str]]) -> None:
    for name, below in children.items():
        shares = [there[child].share for child in below]
        together = sum((one for one in shares if one is not None), Fraction(0))
        if together > 1:
            raise _rejected(
                "virtual_share",
                name,
                f"has {exact_text(together)} of its residual given away",
                "shares of at most 1 together",
            )


def _check_reached(
    there: Mapping[str, TreeMeter], children: Mapping[str, list[str]], roots: list[str]
) -> None:
    reached = set()
    pending = list(roots)
    while pending:
        name = pending.pop()
        reached.add(name)
        pending += children[name]
    lost = sorted(set(there) - reached)
    if lost:
        raise _rejected(
            "meter_cycle",
            lost[0],
            f"is below itself, through {', '.join(lost[:5])}",
            "a tree that begins at main meters",
        )


def attribute(
    tree: MeterTree,
    readings: Mapping[str, Decimal | None],
    *,
    estimates: Mapping[str, Fraction] | None = None,
    tolerance: Decimal = TOLERANCE,
) -> Attribution:
    """What every meter of the tree accounts for in one interval: each kWh once.

    `readings` are kWh by meter; absent or None is a gap. `estimates` (kWh) fill gaps of main
    meters alone, raised where more was read below them: a gap of any other meter is in the
    residual above it and needs none. Where sub-meters together read more than the meter above
    them, by no more than `tolerance` of its reading, they are scaled to it, flagged. Raises
    RejectedRecord `meter_not_in_tree`, `negative_quantity`, `virtual_meter_read`,
    `estimate_below_main`, and `submeters_exceed_main` beyond the tolerance.
    """
    for meter_id, reading in readings.items():
        _check_reading(tree, meter_id, reading)
    for meter_id in estimates or {}:
        if meter_id not in tree.roots:
            raise _rejected(
                "estimate_below_main",
                meter_id,
                "has an estimate, but its gap is in the residual above it",
                f"estimates of main meters: {', '.join(tree.roots)}",
            )
    walk = _Walk(
        tree=tree,
        readings=readings,
        estimates=estimates or {},
        tolerance=Fraction(tolerance),
    )
    total = sum((walk.measured(root) for root in tree.roots), Fraction(0))
    for root in tree.roots:
        walk.hand_out(root, scale=Fraction(1), is_covered=False)
    attributed = sum((one.kwh for one in walk.own.values()), Fraction(0))
    if attributed != total:
        raise BrokenInvariant(
            "meter_tree_sum",
            f"{exact_text(attributed)} kWh were attributed of {exact_text(total)} read",
        )
    return Attribution(
        own={name: walk.own[name] for name in sorted(walk.own)},
        total_kwh=total,
        not_covered=tuple(
            name for name in sorted(walk.own) if GAP_NOT_COVERED in walk.own[name].flags
        ),
    )


def _check_reading(tree: MeterTree, meter_id: str, reading: Decimal | None) -> None:
    meter = tree.meters.get(meter_id)
    if meter is None:
        raise _rejected(
            "meter_not_in_tree", meter_id, "is not in the tree of that day", "a registered meter"
        )
    if reading is None:
        return
    if meter.kind == "virtual":
        raise _rejected(
            "virtual_meter_read", meter_id, "is virtual, but has a reading", "no reading"
        )
    if not (reading.is_finite() and reading >= 0):
        raise _rejected("negative_quantity", meter_id, f"read {reading} kWh", "0 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Walk:
    tree: MeterTree
    readings: Mapping[str, Decimal | None]
    estimates: Mapping[str, Fraction]
    tolerance: Fraction
    own: dict[str, Attributed] = field(default_factory=dict)
    # Per meter: the kWh it and all below it account for, before any scaling.
    known: dict[str, Fraction] = field(default_factory=dict)
    remarks: dict[str, set[str]] = field(default_factory=dict)

    def measured(self, name: str) -> Fraction:
        """The kWh known of a meter with all below it: its reading, else what is read below."""
        below = sum((self.measured(child) for child in self.tree.children[name]), Fraction(0))
        reading = self.readings.get(name)
        flags = self.remarks.setdefault(name, set())
        known = below
        if reading is not None:
            known = Fraction(reading)
            if below > known:
                self._check_excess(name, known, below)
                flags.add(SCALED)
        elif name in self.estimates:
            known = max(self.estimates[name], below)
            flags.add(ESTIMATED_MAIN)
            if known > self.estimates[name]:
                flags.add(RAISED)
        self.known[name] = known
        return known

    def _check_excess(self, name: str, reading: Fraction, below: Fraction) -> None:
        if below - reading > self.tolerance * reading:
            raise RejectedRecord(
                "submeters_exceed_main",
                f"meter {name} read {exact_text(reading)} kWh, the meters below it "
                f"{exact_text(below)}",
                field="energy_kwh",
                value=exact_text(reading),
                valid=f"sub-meters of at most {exact_text(1 + self.tolerance)} times the reading",
            )

    def hand_out(self, name: str, *, scale: Fraction, is_covered: bool) -> None:
        """Gives a meter and all below it what they account for; `scale` comes from above."""
        children = self.tree.children[name]
        known = self.known[name] * scale
        below = sum((self.known[child] for child in children), Fraction(0))
        has_value = self.readings.get(name) is not None or name in self.estimates
        inner = scale
        if below > self.known[name]:
            inner = scale * self.known[name] / below
        for child in children:
            self.hand_out(child, scale=inner, is_covered=is_covered or has_value)
        residual = known - below * inner
        for child in children:
            share = self.tree.meters[child].share
            if share is not None:
                taken = residual * share
                given = self.own[child]
                self.own[child] = Attributed(
                    kwh=given.kwh + taken, flags=(*given.flags, f"share_of_residual_of:{name}")
                )
        given_away = sum((self.tree.meters[child].share or 0 for child in children), Fraction(0))
        flags = set(self.remarks[name])
        if scale != 1:
            flags.add(SCALED)
        if not has_value and self.tree.meters[name].kind != "virtual":
            flags.add(GAP_IN_RESIDUAL if is_covered else GAP_NOT_COVERED)
        self.own[name] = Attributed(kwh=residual * (1 - given_away), flags=tuple(sorted(flags)))
