"""Closing a period: which state may follow which, what is late, and what becomes of it.

Belongs here: states, the threshold of late entries, in which period's disclosure they are shown.
Does not: sums (carbon_ledger.store.periods, in SQL), who agreed to what (the database's own
constraints), a late supersession (carbon_ledger.claims.late), recalculating the base year.

A late entry is one recorded after the moment as of which its period was closed. It stands in the
ledger, in the period of its activity; the period's reported figure stays what it was. Below the
threshold it is shown as a prior-period adjustment in the next period that is disclosed; from the
threshold on the comparative must be restated (ESRS 1, 7.4 and 7.5; the threshold is the base
year's: GHG Protocol Scope 3 Standard, 9.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal

from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.organisation.fiscal_year import JANUARY, fiscal_period, fiscal_year_of
from carbon_ledger.policy import Policy
from carbon_ledger.quantities import PRODUCT

State = Literal["open", "soft_closed", "closed", "reported", "reopened"]
Treatment = Literal["none", "late_line", "prior_period_adjustment", "restatement_due"]

FOLLOWING: Final[dict[State, tuple[State, ...]]] = {
    "open": ("soft_closed",),
    "soft_closed": ("closed", "reopened"),
    "closed": ("reported", "reopened"),
    "reported": ("reopened",),
    "reopened": ("soft_closed",),
}
# One person may close softly; anything that a figure is published on takes two.
TWO_PEOPLE: Final[tuple[State, ...]] = ("closed", "reported", "reopened")
OPEN: Final[tuple[State, ...]] = ("open", "reopened")
CLOSED: Final[tuple[State, ...]] = ("closed", "reported")
TOTALS: Final = ("location", "market")
CONTENT_TAG: Final = "carbon-period/1"
# What stands in the way of a close, and whether two people may close in spite of it.
IN_THE_WAY: Final[dict[str, bool]] = {
    "not_over": False,
    "batch_open": False,
    "stream_halted": False,
    "commits_unsealed": False,
    "postings_due": False,
    "restatement_open": True,
    "incomplete": True,
    "late_entries_significant": True,
}
# A period is over once its last day is over in the last calendar, twelve hours behind UTC.
LAST_CALENDAR: Final = timedelta(hours=12)
# Later periods of the same length (years, or months: fifty years of these) that are looked at for
# those in whose disclosure an adjustment is shown.
LATER_PERIODS_MAX: Final = 600

_PERIOD = re.compile(r"(2[0-9]{3})(?:-(0[1-9]|1[0-2]))?")


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Period:
    """A fiscal year (`2025`) or a month (`2025-03`): the local dates [first_date, end_date)."""

    first_date: date
    end_date: date
    text: str

    @property
    def is_year(self) -> bool:
        """Whether it is a year, which alone can be reported."""
        return "-" not in self.text


def period_of(text: str, first_month: int = JANUARY) -> Period:
    """The period that `text` names; fiscal years begin in `first_month` and are named for the
    calendar year in which they end (carbon_ledger.organisation.fiscal_year).

    Raises RejectedRecord `unknown_period`.
    """
    match = _PERIOD.fullmatch(text.strip())
    if match is None:
        raise RejectedRecord(
            "unknown_period",
            f"{text[:60]!r} is no period",
            field="period",
            value=text,
            valid="a fiscal year or a month: 2025, 2025-03",
        )
    year = int(match[1])
    if match[2] is None:
        begin, end = fiscal_period(year, first_month)
        return Period(text=match[1], first_date=begin, end_date=end)
    month = int(match[2])
    return Period(
        text=match[0],
        first_date=date(year, month, 1),
        end_date=date(year + month // 12, month % 12 + 1, 1),
    )


def following(period: Period, first_month: int = JANUARY) -> Period:
    """The year after a year, the month after a month."""
    name = f"{period.end_date:%Y-%m}"
    return period_of(str(int(period.text) + 1) if period.is_year else name, first_month)


def is_over(period: Period, at: datetime) -> bool:
    """Whether its last day is over in every calendar at the moment `at`."""
    end = datetime(period.end_date.year, period.end_date.month, period.end_date.day, tzinfo=UTC)
    return at >= end + LAST_CALENDAR


def check_step(period: Period, previous: State, state: State, first_month: int = JANUARY) -> None:
    """Raises RejectedRecord `period_state` if `state` cannot follow `previous`, and
    `period_is_no_year` for a month that is to be reported, which names the fiscal year it is of.
    """
    if state not in FOLLOWING[previous]:
        raise RejectedRecord(
            "period_state",
            f"{period.text} is {previous} and cannot become {state}",
            field="state",
            value=state,
            valid=", ".join(FOLLOWING[previous]),
        )
    if state == "reported" and not period.is_year:
        raise RejectedRecord(
            "period_is_no_year",
            f"{period.text} is a month, and reports are of years",
            field="period",
            value=period.text,
            valid=f"{fiscal_year_of(period.first_date, first_month)}",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Obstacle:
    """Something that stands in the way of a close: its code of IN_THE_WAY, and what it is."""

    code: str
    message: str


def left_in_the_way(obstacles: Iterable[Obstacle], accepted: Iterable[str]) -> list[Obstacle]:
    """Those that `accepted` does not take away.

    Raises RejectedRecord `not_acceptable` for a code that nobody may accept or that is unknown.
    """
    codes = set(accepted)
    acceptable = [code for code, may in IN_THE_WAY.items() if may]
    for code in sorted(codes - set(acceptable)):
        raise RejectedRecord(
            "not_acceptable",
            f"{code[:60]!r} is nothing that a period can be closed in spite of",
            field="despite",
            value=code,
            valid=", ".join(acceptable),
        )
    return [one for one in obstacles if one.code not in codes]


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class CellKey:
    """What figures of a period are told apart by; `category` 0 outside scope 3."""

    scope: int
    category: int
    basis: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A figure in kgCO2e, kg of biogenic CO2 beside it, entries that stand, all lines."""

    kgco2e: Decimal
    kg_co2_biogenic: Decimal
    entries: int
    lines: int


Cells = Mapping[CellKey, Cell]


def cells_of(content: str) -> dict[CellKey, Cell]:
    """The figures in a text of ledger.period_content; BrokenInvariant if it is another."""
    heading, *lines = content.splitlines()
    if heading.split("\t")[0] != CONTENT_TAG:
        raise BrokenInvariant("period_content", f"{heading[:60]!r} begins no content of a period")
    cells = {}
    for line in lines:
        scope, category, basis, kgco2e, biogenic, entries, count, _ = line.split("\t")
        key = CellKey(
            scope=int(scope), category=0 if category == "-" else int(category), basis=basis
        )
        cells[key] = Cell(
            kgco2e=Decimal(kgco2e),
            kg_co2_biogenic=Decimal(biogenic),
            entries=int(entries),
            lines=int(count),
        )
    return cells


def totals_with(key: CellKey) -> tuple[str, ...]:
    """Which of TOTALS a figure is in: scopes 1 and 3 in both, scope 2 by its basis.

    Scope 0 is in none, nor is the market-based figure of category 3, which stands beside the other
    (ESRS E1 AR 48: S1 + S2 by either basis + S3).
    """
    if key.scope == 0:
        return ()
    if key.scope == 2:
        return ("market",) if key.basis == "market" else ("location",)
    return () if key.basis == "market" else TOTALS


def totals_of(cells: Cells) -> dict[str, Decimal]:
    """Totals in kgCO2e by location and by market."""
    sums = dict.fromkeys(TOTALS, Decimal(0))
    for key, cell in cells.items():
        for name in totals_with(key):
            sums[name] = PRODUCT.add(sums[name], cell.kgco2e)
    return sums


def totals_judged(period: Period) -> tuple[str, ...]:
    """Totals that late entries of a period are measured against: of a year both, of a month the
    location-based one.

    Market-based scope 2 is made for a year as a whole, and its lines stand on the year's first day:
    certificates cover a year's kWh, not those of a month. It is judged where it is known, with the
    year (docs/adr/0018-market-based-scope-2-is-judged-by-the-year.md).
    """
    return TOTALS if period.is_year else ("location",)


@dataclass(frozen=True, kw_only=True, slots=True)
class LateJudgement:
    """What late entries come to and what becomes of them.

    `delta_kgco2e` by total, signed. `share` is the largest part of a closed total that moved, both
    directions added up, None where something moved and the total is zero.
    """

    treatment: Treatment
    lines: int
    delta_kgco2e: Mapping[str, Decimal]
    share: Fraction | None
    threshold: Decimal
    flags: tuple[str, ...]

    @property
    def is_restatement_due(self) -> bool:
        """Whether the comparative must be restated."""
        return self.treatment == "restatement_due"


def judge_late(
    state: State,
    closed: Cells,
    late: Cells,
    policy: Policy,
    names: Sequence[str] = TOTALS,
) -> LateJudgement:
    """What becomes of the `late` entries of a period in `state`, which was `closed` with figures.

    Measured is what moved in each total of `names` (`totals_judged`): the sizes of the figures'
    changes added up, so that one direction does not hide the other. From
    `Policy.base_year_threshold` of the closed total on, or where nothing was closed and something
    is late, the comparative must be restated; below it is a prior-period adjustment. In a
    soft-closed period late lines count, flagged; an open period has
    none.
    """
    delta = totals_of(late)
    lines = sum(cell.lines for cell in late.values())
    moved = dict.fromkeys(TOTALS, Decimal(0))
    for key, cell in late.items():
        for name in totals_with(key):
            moved[name] = PRODUCT.add(moved[name], cell.kgco2e.copy_abs())
    totals = totals_of(closed)
    shares = [
        Fraction(moved[name]) / Fraction(totals[name].copy_abs()) if totals[name] else None
        for name in names
        if moved[name]
    ]
    share = (
        None
        if None in shares
        else max((one for one in shares if one is not None), default=Fraction(0))
    )
    treatment: Treatment = "none"
    flags: tuple[str, ...] = ()
    if lines and state == "soft_closed":
        treatment, flags = "late_line", ("late_line",)
    elif lines and state in CLOSED:
        is_due = share is None or share >= Fraction(policy.base_year_threshold)
        treatment = "restatement_due" if is_due else "prior_period_adjustment"
        flags = ("prior_period_adjustment",) + (("restatement_due",) if is_due else ())
    return LateJudgement(
        treatment=treatment,
        lines=lines,
        delta_kgco2e=delta,
        share=share,
        threshold=policy.base_year_threshold,
        flags=flags,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """The state of a period, and as of when it was closed (None: it is open)."""

    period: Period
    state: State
    as_of: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Disclosure:
    """Late entries recorded in (after, until] are shown with `period`; until None: from then on."""

    period: Period
    after: datetime
    until: datetime | None


def disclosures(
    standing: Standing, others: Sequence[Standing], first_month: int = JANUARY
) -> tuple[Disclosure, ...]:
    """In which later period's disclosure the late entries of a closed period are shown.

    The next period of its length takes what was recorded before it was closed itself, the one after
    that what came later, and so on to the first that is open, or to the last of LATER_PERIODS_MAX.
    () for a period that is open.
    """
    if standing.as_of is None or standing.state in OPEN:
        return ()
    known = {one.period.text: one for one in others}
    found: list[Disclosure] = []
    after, period = standing.as_of, standing.period
    for _ in range(LATER_PERIODS_MAX):
        period = following(period, first_month)
        later = known.get(period.text)
        if later is None or later.state not in CLOSED or later.as_of is None:
            found.append(Disclosure(period=period, after=after, until=None))
            break
        if later.as_of > after:
            found.append(Disclosure(period=period, after=after, until=later.as_of))
            after = later.as_of
    return tuple(found)


def sum_of(one: Cells, other: Cells) -> dict[CellKey, Cell]:
    """Figures added up, exactly; a figure all of whose parts are zero and empty is left out."""
    added = {}
    for key in sorted({*one, *other}):
        sides = [cells[key] for cells in (one, other) if key in cells]
        kgco2e = biogenic = Decimal(0)
        for side in sides:
            kgco2e = PRODUCT.add(kgco2e, side.kgco2e)
            biogenic = PRODUCT.add(biogenic, side.kg_co2_biogenic)
        added[key] = Cell(
            kgco2e=kgco2e,
            kg_co2_biogenic=biogenic,
            entries=sum(side.entries for side in sides),
            lines=sum(side.lines for side in sides),
        )
    return {key: cell for key, cell in added.items() if cell.lines}
