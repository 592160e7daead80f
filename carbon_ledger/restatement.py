"""Restatement: what entries come to under other rules, why, and what that moves.

Belongs here: pairs of old and new lines, the difference by cause, sums of it, the digest two people
approve. Does not: which entries may be affected (carbon_ledger.restatement_reach), computing them
anew (spark.restate), the database (carbon_ledger.store.restatements).

Causes are applied one after the other, in the order of CAUSES; a step is the figure after a cause
less the one before it, so the steps of a line add up to its difference exactly, whatever the order.

The digest of a month is SHA-256 over its lines, sorted: id of the entry taken back, 0x1F, hex
SHA-256 of the new entry's canonical bytes with recorded_at at 1970-01-01T00:00:00Z, line feed;
`-` where there is none. The digest of a restatement is SHA-256 over its months, sorted: month,
0x1F, hex digest, line feed.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final, Literal

from carbon_ledger.entries import SEPARATOR, EntryRow, content_sha256
from carbon_ledger.entries import entry_id as entry_id_of
from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.quantities import PRODUCT

Cause = Literal["factor_release", "gwp_set", "boundary", "method"]
CAUSES: Final[tuple[Cause, ...]] = ("factor_release", "gwp_set", "boundary", "method")
GASES: Final = ("kg_co2_fossil", "kg_co2_biogenic", "kg_ch4", "kg_n2o")
APPROVALS_NEEDED: Final = 2
NAME_LENGTH_MAX: Final = 200
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ZERO: Final = Decimal(0)

# What makes a line another one: its figures, its factor, and where it counts.
SUBSTANCE: Final = (
    "organization_id",
    "activity_month",
    "local_date",
    "occurred_from",
    "occurred_to",
    "scope",
    "category",
    "basis",
    "facility_id",
    "country_iso2",
    "region",
    "activity_type",
    "quantity",
    "unit",
    "kgco2e",
    *GASES,
    "other_gases",
    "gwp_set",
    "kgco2e_granular",
    "factor_id",
    "factor_version",
)


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is changed; None: stays as it was for each entry.

    `recompute`: also what an earlier version of the code made is made again by this one.
    """

    release_id: str | None = None
    gwp_set: str | None = None
    reference_as_of: datetime | None = None
    max_vintage_gap_years: int | None = None
    recompute: bool = False

    @property
    def causes(self) -> tuple[Cause, ...]:
        """The causes that are asked for, in order."""
        asked = {
            "factor_release": self.release_id is not None,
            "gwp_set": self.gwp_set is not None,
            "boundary": self.reference_as_of is not None,
            "method": self.max_vintage_gap_years is not None or self.recompute,
        }
        return tuple(cause for cause in CAUSES if asked[cause])

    @property
    def text(self) -> str:
        """What is changed, in one line, for the cause of each entry."""
        parts = []
        if self.release_id is not None:
            parts.append(f"factor release {self.release_id}")
        if self.gwp_set is not None:
            parts.append(f"GWP set {self.gwp_set}")
        if self.reference_as_of is not None:
            parts.append(f"reference data as of {self.reference_as_of.isoformat()}")
        if self.max_vintage_gap_years is not None:
            parts.append(f"vintage gap up to {self.max_vintage_gap_years} years")
        if self.recompute:
            parts.append("this version of the code")
        return ", ".join(parts)


def check_target(target: Target) -> None:
    """Raises RejectedRecord `nothing_to_restate` if nothing is to be changed."""
    if not target.causes:
        raise RejectedRecord(
            "nothing_to_restate",
            "a restatement changes at least one thing",
            valid="a release, a GWP set, a moment of reference data, a vintage gap, recompute",
        )


def cause_text(restatement_id: int, target: Target) -> str:
    """The cause that reversals and new entries bear."""
    return f"restatement R-{restatement_id}: {target.text}"


def restated_cause(row: EntryRow, restatement_id: int) -> str:
    """The cause of a restated entry if it names that restatement, else what it must begin with."""
    begin = f"restatement R-{restatement_id}: "
    return row.cause if row.cause is not None and row.cause.startswith(begin) else begin


def person(name: str) -> str:
    """A person's name as it is kept: one line, single blanks; RejectedRecord `no_name`."""
    text = " ".join(unicodedata.normalize("NFKC", name).split())
    printable = all(unicodedata.category(sign)[0] != "C" for sign in text)
    if not text or len(text) > NAME_LENGTH_MAX or not printable:
        raise RejectedRecord(
            "no_name", f"{name[:60]!r} names nobody", field="by", value=name, valid="who it is"
        )
    return text


def same_person(one: str, other: str) -> bool:
    """Whether two names are the same person's; capitals make no difference."""
    return person(one).casefold() == person(other).casefold()


@dataclass(frozen=True, kw_only=True, slots=True)
class LineChange:
    """One line: what stands, what it becomes (event and entry id still those of the record), steps.

    `old` None: a line that the new rules add; `new` None: one they do without.
    """

    old: EntryRow | None
    new: EntryRow | None
    steps: Mapping[Cause, Decimal]

    @property
    def delta_kgco2e(self) -> Decimal:
        """New figure less old figure, kgCO2e, exactly."""
        return difference(self.new, self.old, "kgco2e")

    @property
    def side(self) -> EntryRow:
        """The old line, or where there is none the new one: it says which month this belongs to."""
        row = self.old or self.new
        if row is None:
            raise BrokenInvariant("restatement_line", "a line has neither an old nor a new side")
        return row


def difference(new: EntryRow | None, old: EntryRow | None, column: str) -> Decimal:
    """Exact difference of a figure; a line or figure that is absent counts as zero."""
    after = None if new is None else getattr(new, column)
    before = None if old is None else getattr(old, column)
    return PRODUCT.subtract(after or _ZERO, before or _ZERO)


def is_same(one: EntryRow | None, other: EntryRow | None) -> bool:
    """Whether two lines agree in all of SUBSTANCE."""
    if one is None or other is None:
        return one is other
    return all(getattr(one, name) == getattr(other, name) for name in SUBSTANCE)


def steps_of(
    posted: Decimal, baseline: Decimal, stages: Sequence[tuple[Cause, Decimal]]
) -> dict[Cause, Decimal]:
    """The waterfall of one line: `posted` figure, the same by today's code, then by each stage.

    Every cause has a step; what the code alone changes belongs to `method`. The steps add up to the
    last stage less `posted`, exactly.
    """
    steps: dict[Cause, Decimal] = dict.fromkeys(CAUSES, _ZERO)
    steps["method"] = PRODUCT.subtract(baseline, posted)
    before = baseline
    for cause, figure in stages:
        steps[cause] = PRODUCT.add(steps[cause], PRODUCT.subtract(figure, before))
        before = figure
    return steps


def line_changes(
    standing: Mapping[int, EntryRow],
    baseline: Mapping[int, EntryRow],
    stages: Sequence[tuple[Cause, Mapping[int, EntryRow]]],
    *,
    settled: Iterable[int] = (),
    recompute: bool = False,
) -> list[LineChange]:
    """What becomes of the lines of one record, by line number; only lines that change.

    `standing` are the entries that stand, `baseline` the record by the rules it was posted with,
    `stages` by those rules with one cause after another applied. Lines of `settled` numbers were
    taken back for a reason of their own and stay so. Unless `recompute`, a line that the stages do
    not change is left as it is, even where today's code alone would give another figure.
    """
    final = stages[-1][1]
    changes = []
    for number in sorted({*standing, *final} - set(settled)):
        old, new, base = standing.get(number), final.get(number), baseline.get(number)
        if is_same(old, new) or (is_same(base, new) and not recompute):
            continue
        steps = steps_of(
            _figure(old),
            _figure(base),
            [(cause, _figure(rows.get(number))) for cause, rows in stages],
        )
        changes.append(LineChange(old=old, new=new, steps=steps))
    return changes


def _figure(row: EntryRow | None) -> Decimal:
    return _ZERO if row is None else row.kgco2e


def restated(new: EntryRow, event_id: str, cause: str) -> EntryRow:
    """The new line as it is posted, but for the moment and the hash.

    It keeps the coordinates of the record it was computed from, and belongs to no batch.
    """
    return replace(
        new,
        event_id=event_id,
        entry_id=entry_id_of(event_id, new.line_no, new.occurred_to),
        recorded_at=_EPOCH,
        cause=cause,
        batch_id=None,
        content_sha256=b"",
    )


def digest_line(old: EntryRow | None, new: EntryRow | None) -> str:
    """One line of a month's digest; `new` as `restated` gives it."""
    before = "-" if old is None else str(old.entry_id)
    after = "-"
    if new is not None:
        timeless = new if new.recorded_at == _EPOCH else replace(new, recorded_at=_EPOCH)
        after = content_sha256(timeless).hex()
    return f"{before}{SEPARATOR}{after}\n"


def digest_of_lines(lines: Iterable[str]) -> bytes:
    """SHA-256 over sorted lines, 32 bytes."""
    return hashlib.sha256("".join(sorted(lines)).encode()).digest()


def digest_of_months(months: Mapping[date, bytes]) -> bytes:
    """SHA-256 over the months and their digests, 32 bytes."""
    return digest_of_lines(
        f"{month.isoformat()}{SEPARATOR}{digest.hex()}\n" for month, digest in months.items()
    )
