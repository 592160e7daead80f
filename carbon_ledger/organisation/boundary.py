"""The organisational boundary: who owns and controls whom on which day, and what counts of it.

Belongs here: holdings dated to the day and by when they were known, shares along chains, what an
approach includes. Does not: lines in a reporter's view (consolidation), leases
(carbon_ledger.organisation.leases), where holdings are kept.

A holding says what one owner has of one entity. Its validity is half-open, [valid_from, valid_to).
What became known later replaces, for its own days, what was known before; nothing is guessed for a
day no row covers, so an end of ownership is a row of its own with a share of zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.policy import CONSOLIDATIONS, Consolidation
from carbon_ledger.workings import Operand

CHAPTER_3: Final = "GHG Protocol Corporate Standard (2004), chapter 3"
BOX_5_1: Final = "GHG Protocol Scope 3 Standard (2011), box 5.1"
ESRS_50: Final = "ESRS E1 (Delegated Regulation (EU) 2023/2772), paragraph 50"
ESRS_46: Final = "ESRS E1 (Delegated Regulation (EU) 2023/2772), paragraph 46"

EsrsGroup = Literal["accounting_group", "operational_control", "value_chain"]
# ESRS does not choose between the three approaches: it has one of its own.
Approach = Consolidation | Literal["esrs"]
APPROACHES: Final[tuple[str, ...]] = (*CONSOLIDATIONS, "esrs")
DAYS_MAX: Final = 366 * 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Holding:
    """What `owner_id` has of `entity_id`: economic share from 0 to 1, and the two kinds of control.

    Control is the owner's over the entity, not the reporter's. `valid_to` None is open-ended.
    Construction raises RejectedRecord `share_out_of_range`, `empty_validity`, `owns_itself`.
    """

    entity_id: str
    owner_id: str
    equity_share: Decimal | Fraction
    has_financial_control: bool
    has_operational_control: bool
    valid_from: date
    known_from: datetime
    valid_to: date | None = None

    def __post_init__(self) -> None:
        faults = (
            (
                "share_out_of_range",
                "equity_share",
                not 0 <= self.equity_share <= 1,
                "a share from 0 to 1",
            ),
            (
                "empty_validity",
                "valid_to",
                self.valid_to is not None and self.valid_to <= self.valid_from,
                "a day after valid_from, or none",
            ),
            ("owns_itself", "owner_id", self.owner_id == self.entity_id, "another entity"),
        )
        for code, field, is_fault, valid in faults:
            if is_fault:
                value = getattr(self, field)
                raise RejectedRecord(
                    code,
                    f"{field} {value} of {self.entity_id} held by {self.owner_id} cannot be",
                    field=field,
                    value=value,
                    valid=valid,
                )

    def covers(self, on: date) -> bool:
        """Whether the row is in force on that day."""
        return self.valid_from <= on and (self.valid_to is None or on < self.valid_to)


@dataclass(frozen=True, kw_only=True, slots=True)
class Inclusion:
    """What of an entity counts on a day, under one approach.

    `paths` multiply along each chain and add up: each path is the operands of one chain. They are
    the share of its scopes 1 and 2 that is the reporter's own; where nothing is its own,
    `stake_paths` say which share goes to category 15 of scope 3. `group` is ESRS's part.
    """

    entity_id: str
    on: date
    approach: str
    paths: tuple[tuple[Operand, ...], ...]
    stake_paths: tuple[tuple[Operand, ...], ...]
    rule: str
    reason: str
    group: EsrsGroup | None = None

    @property
    def own_share(self) -> Fraction:
        """The share of scopes 1 and 2 that is the reporter's own, exactly."""
        return _sum_of(self.paths)

    @property
    def stake(self) -> Fraction:
        """The share that goes to category 15, exactly."""
        return _sum_of(self.stake_paths)


def _sum_of(paths: Iterable[tuple[Operand, ...]]) -> Fraction:
    total = Fraction(0)
    for path in paths:
        product = Fraction(1)
        for operand in path:
            product *= Fraction(operand.value)
        total += product
    return total


class GroupStructure:
    """Entities and holdings as they were known at one moment; read-only.

    Raises RejectedRecord on opening, naming the rows: `unknown_entity`, `holding_overlap` (two rows
    of one owner and entity, known at the same moment, for the same day), `holding_gap`,
    `shares_above_one`, `ownership_cycle`, `duplicate_entity`.
    """

    def __init__(
        self,
        reporter_id: str,
        entity_ids: Iterable[str],
        holdings: Iterable[Holding],
        known_at: datetime,
    ) -> None:
        names = list(entity_ids)
        if len(set(names)) < len(names):
            raise _refused("duplicate_entity", "an entity is there twice", names, "each once")
        self.reporter_id = reporter_id
        self.known_at = known_at
        self._entities = frozenset(names)
        self._require(reporter_id)
        self._rows: dict[tuple[str, str], list[Holding]] = {}
        for holding in holdings:
            if holding.known_from <= known_at:
                self._require(holding.entity_id)
                self._require(holding.owner_id)
                self._rows.setdefault((holding.entity_id, holding.owner_id), []).append(holding)
        self._owners: dict[str, list[str]] = {}
        for (entity_id, owner_id), rows in self._rows.items():
            rows.sort(key=lambda row: (row.known_from, row.valid_from), reverse=True)
            _check_overlaps(rows)
            _check_gaps(rows)
            self._owners.setdefault(entity_id, []).append(owner_id)
        for owners in self._owners.values():
            owners.sort()
        for day in self._change_days():
            self._check_day(day)

    def _require(self, entity_id: str) -> None:
        if entity_id not in self._entities:
            raise _refused(
                "unknown_entity",
                f"{entity_id!r} is no entity of this group",
                entity_id,
                ", ".join(sorted(self._entities)[:40]),
            )

    def _change_days(self) -> list[date]:
        days = {row.valid_from for rows in self._rows.values() for row in rows}
        ends = {row.valid_to for rows in self._rows.values() for row in rows}
        return sorted(days | {day for day in ends if day is not None})

    def _check_day(self, on: date) -> None:
        for entity_id, owners in self._owners.items():
            held = [row for owner in owners if (row := self._row(entity_id, owner, on))]
            total = sum((Fraction(row.equity_share) for row in held), Fraction(0))
            if total > 1:
                raise _refused(
                    "shares_above_one",
                    f"the shares in {entity_id} add up to {total} on {on}",
                    ", ".join(f"{row.owner_id} {row.equity_share}" for row in held),
                    "shares that add up to at most 1",
                )
        self._check_cycles(on)

    def _check_cycles(self, on: date) -> None:
        done: set[str] = set()
        for start in sorted(self._owners):
            trail: list[str] = []
            self._walk(start, on, trail, done)

    def _walk(self, entity_id: str, on: date, trail: list[str], done: set[str]) -> None:
        if entity_id in trail:
            loop = " -> ".join((*trail[trail.index(entity_id) :], entity_id))
            raise _refused(
                "ownership_cycle",
                f"entities own each other on {on}: {loop}",
                loop,
                "chains of ownership that end",
            )
        if entity_id in done:
            return
        trail.append(entity_id)
        for owner in self._owners.get(entity_id, ()):
            row = self._row(entity_id, owner, on)
            if row is not None and _is_link(row):
                self._walk(owner, on, trail, done)
        trail.pop()
        done.add(entity_id)

    def _row(self, entity_id: str, owner_id: str, on: date) -> Holding | None:
        """The row in force: of those that cover the day, the one known last."""
        rows = self._rows.get((entity_id, owner_id), ())
        return next((row for row in rows if row.covers(on)), None)

    def _check_dated(self, entity_id: str, on: date) -> None:
        """Refuses a day of which nothing is known, for the entity or a held owner up its chain."""
        if entity_id == self.reporter_id:
            return
        owners = self._owners.get(entity_id, [])
        in_force = [owner for owner in owners if self._row(entity_id, owner, on) is not None]
        if not in_force:
            starts = [row.valid_from for owner in owners for row in self._rows[entity_id, owner]]
            raise _refused(
                "boundary_undated",
                f"nothing says who held {entity_id} on {on}",
                on,
                f"a holding that covers the day; the first begins {min(starts, default=None)}",
            )
        for owner in in_force:
            # An owner without owners of its own is a stranger to the group: its chain ends there.
            if owner in self._owners:
                self._check_dated(owner, on)

    def equity_paths(self, entity_id: str, on: date) -> tuple[tuple[Operand, ...], ...]:
        """Every chain of ownership from the reporter, as the shares to multiply along it.

        GHG Protocol Corporate Standard, chapter 3: the economic share, multiplied along a chain;
        chains add up. The reporter's own path is empty (a share of one). Raises `unknown_entity`.
        """
        self._require(entity_id)
        if entity_id == self.reporter_id:
            return ((),)
        paths: list[tuple[Operand, ...]] = []
        for owner in self._owners.get(entity_id, ()):
            row = self._row(entity_id, owner, on)
            if row is None or not row.equity_share:
                continue
            link = Operand(
                value=row.equity_share,
                unit="share",
                label=f"equity share of {owner} in {entity_id}",
                source=f"holding valid from {row.valid_from}, known {row.known_from.isoformat()}",
            )
            paths.extend((*path, link) for path in self.equity_paths(owner, on))
        return tuple(paths)

    def controls(self, entity_id: str, on: date, kind: Literal["financial", "operational"]) -> bool:
        """Whether the reporter controls the entity, itself or through entities it controls."""
        self._require(entity_id)
        if entity_id == self.reporter_id:
            return True
        for owner in self._owners.get(entity_id, ()):
            row = self._row(entity_id, owner, on)
            if row is None:
                continue
            has = row.has_financial_control if kind == "financial" else row.has_operational_control
            if has and self._reaches(owner, on, kind):
                return True
        return False

    def _reaches(self, owner: str, on: date, kind: Literal["financial", "operational"]) -> bool:
        """Whether the owner's control is the reporter's.

        What a subsidiary operates, the group operates (Corporate Standard, chapter 3: "the company
        or one of its subsidiaries"), so for that it is enough to control the owner financially.
        """
        if self.controls(owner, on, kind):
            return True
        return kind == "operational" and self.controls(owner, on, "financial")

    def inclusion(self, entity_id: str, on: date, approach: Approach) -> Inclusion:
        """What of `entity_id` counts on a day. Raises `unknown_entity`, `unknown_consolidation`,
        `boundary_undated`.

        Corporate Standard, chapter 3; stakes outside it: Scope 3 Standard, box 5.1; ESRS E1
        paragraphs 46 and 50.
        """
        if approach not in APPROACHES:
            raise RejectedRecord(
                "unknown_consolidation",
                f"{str(approach)[:60]!r} is no approach",
                field="consolidation",
                value=approach,
                valid=", ".join(APPROACHES),
            )
        self._require(entity_id)
        self._check_dated(entity_id, on)
        if approach == "esrs":
            return self._esrs(entity_id, on)
        paths = self.equity_paths(entity_id, on)
        if approach == "equity_share":
            return Inclusion(
                entity_id=entity_id,
                on=on,
                approach=approach,
                paths=paths,
                stake_paths=(),
                rule="BOUNDARY-EQUITY-SHARE",
                reason=f"economic share, multiplied along each chain ({CHAPTER_3})",
            )
        kind: Literal["financial", "operational"] = (
            "financial" if approach == "financial_control" else "operational"
        )
        is_own = self.controls(entity_id, on, kind)
        return Inclusion(
            entity_id=entity_id,
            on=on,
            approach=approach,
            paths=((),) if is_own else (),
            stake_paths=() if is_own else paths,
            rule=f"BOUNDARY-{kind.upper()}-CONTROL" if is_own else "S3-15-UNCONTROLLED",
            reason=f"{kind} control: all of it ({CHAPTER_3})"
            if is_own
            else f"no {kind} control: nothing in scopes 1 and 2 ({CHAPTER_3}); a stake is in "
            f"category 15 at the equity share ({BOX_5_1})",
        )

    def _esrs(self, entity_id: str, on: date) -> Inclusion:
        """The two groups of paragraph 50, and those outside both."""
        group: EsrsGroup = "value_chain"
        if self.controls(entity_id, on, "financial"):
            group = "accounting_group"
        elif self.controls(entity_id, on, "operational"):
            group = "operational_control"
        is_own = group != "value_chain"
        return Inclusion(
            entity_id=entity_id,
            on=on,
            approach="esrs",
            paths=((),) if is_own else (),
            stake_paths=() if is_own else self.equity_paths(entity_id, on),
            rule=f"ESRS-{group.upper().replace('_', '-')}",
            reason=f"{group.replace('_', ' ')}: all of it, its group apart ({ESRS_50})"
            if is_own
            else "neither in the accounting group nor operated: what it supplies or buys is whole "
            f"in its own category of scope 3 ({ESRS_46}), the stake in category 15 ({BOX_5_1})",
            group=group,
        )

    def spans(
        self, entity_id: str, first: date, end: date, approach: Approach
    ) -> tuple[tuple[date, date, Inclusion], ...]:
        """[first, end) cut where the inclusion changes: (from, to, inclusion) each, in order.

        Raises RejectedRecord `empty_validity`, `period_too_long`, and as `inclusion`.
        """
        if first >= end or (end - first).days > DAYS_MAX:
            code = "empty_validity" if first >= end else "period_too_long"
            raise _refused(code, f"no period from {first} to {end}", end, "a later day, 40 years")
        cuts = sorted({first, *(day for day in self._change_days() if first < day < end)})
        spans: list[tuple[date, date, Inclusion]] = []
        for start, stop in zip(cuts, (*cuts[1:], end), strict=True):
            found = self.inclusion(entity_id, start, approach)
            same = spans and (spans[-1][2].paths, spans[-1][2].stake_paths, spans[-1][2].rule) == (
                found.paths,
                found.stake_paths,
                found.rule,
            )
            if same:
                spans[-1] = (spans[-1][0], stop, spans[-1][2])
            else:
                spans.append((start, stop, found))
        return tuple(spans)


def prorated(
    spans: Iterable[tuple[date, date, Inclusion]], first: date, end: date
) -> tuple[tuple[Operand, ...], ...]:
    """Paths of the own share of a figure that is known for [first, end) as a whole.

    Each span weighs its days: control during part of a period counts fully for that part (ESRS E1
    AR 40). A dated activity needs none of this: its day decides.
    """
    whole = (end - first) // timedelta(days=1)
    paths: list[tuple[Operand, ...]] = []
    for start, stop, inclusion in spans:
        days = (
            Operand(
                value=Decimal((stop - start).days),
                unit="day",
                label=f"days from {start} to {stop}: {inclusion.rule}",
            ),
            Operand(
                value=Decimal(whole),
                unit="day",
                label=f"days from {first} to {end}",
                divides=True,
            ),
        )
        paths.extend((*days, *path) for path in inclusion.paths)
    return tuple(paths)


def _is_link(row: Holding) -> bool:
    return bool(row.equity_share) or row.has_financial_control or row.has_operational_control


def _refused(code: str, message: str, value: object, valid: str) -> RejectedRecord:
    return RejectedRecord(code, message, field="holdings", value=value, valid=valid)


def _overlap(one: Holding, other: Holding) -> bool:
    ends_before = other.valid_to is not None and other.valid_to <= one.valid_from
    starts_after = one.valid_to is not None and one.valid_to <= other.valid_from
    return not (ends_before or starts_after)


def _check_overlaps(rows: list[Holding]) -> None:
    for number, one in enumerate(rows):
        for other in rows[number + 1 :]:
            if one.known_from == other.known_from and _overlap(one, other):
                raise _refused(
                    "holding_overlap",
                    f"two rows say what {one.owner_id} holds of {one.entity_id} from "
                    f"{max(one.valid_from, other.valid_from)}, known at the same moment",
                    f"{one.valid_from}..{one.valid_to}, {other.valid_from}..{other.valid_to}",
                    "one row per day; a later known_from to correct one",
                )


def _check_gaps(rows: list[Holding]) -> None:
    """Refuses days between two rows that no row covers."""
    covered: date | None = None
    for row in sorted(rows, key=lambda row: row.valid_from):
        if covered is not None and row.valid_from > covered:
            raise _refused(
                "holding_gap",
                f"nothing says what {row.owner_id} held of {row.entity_id} from {covered} to "
                f"{row.valid_from}",
                f"{covered}..{row.valid_from}",
                "a row for every day; a share of 0 where nothing was held",
            )
        if row.valid_to is None:
            return
        covered = row.valid_to if covered is None else max(covered, row.valid_to)
