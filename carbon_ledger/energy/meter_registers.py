"""What a cumulative register counted between two readings: rollover, resets, backward readings.

Belongs here: the difference of two readings of one register. Does not: series of readings and their
gaps (carbon_ledger.energy.meter_series), what the amount emits (carbon_ledger.energy.meters).

A register that counts to its size starts again from 0, so a difference is taken modulo that size. A
reading below the one before is a rollover only if little enough was counted for that to be
believed; a reset is never concluded from the readings, it is stated.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.quantities import PRODUCT, canonical_text

ROLLOVER: Final = "register_rollover"
RESET: Final = "register_reset"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reset:
    """A register that was replaced or set back: why, its last reading before, its first after."""

    marker: str
    final: Decimal | None
    start: Decimal = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """A sum of signed readings that is what the register counted, and what is remarkable about it.

    `parts` are (sign, value, what it is); `amount` is their sum, in units of the register.
    """

    parts: tuple[tuple[int, Decimal, str], ...]
    amount: Decimal
    flags: tuple[str, ...]


def counted(
    start: Decimal,
    end: Decimal,
    *,
    size: Decimal | None = None,
    reset: Reset | None = None,
    most: Decimal | None = None,
) -> Counted:
    """What a register counted from a reading of `start` to one of `end`.

    `most` is the most it can have counted between two readings; without it, half of `size`. Raises
    RejectedRecord `register_out_of_range` (a reading the register cannot show),
    `register_backward` (below the one before, and no rollover to be believed),
    `reset_final_missing` (what was counted before a reset is not known), `consumption_implausible`
    (above `most`).
    """
    if reset is None:
        return _segment(start, end, size, most)
    if reset.final is None:
        raise RejectedRecord(
            "reset_final_missing",
            "the register was reset, but its last reading before that is not known",
            field="reset_final",
            valid="the last reading before the reset, or a reading of its own that starts at it",
        )
    before = _segment(start, reset.final, size, most)
    after = _segment(reset.start, end, size, most)
    amount = PRODUCT.add(before.amount, after.amount)
    if most is not None and amount > most:
        raise _implausible(amount, end, most)
    return Counted(
        parts=(*before.parts, *after.parts),
        amount=amount,
        flags=tuple(sorted({RESET, *before.flags, *after.flags})),
    )


def _segment(start: Decimal, end: Decimal, size: Decimal | None, most: Decimal | None) -> Counted:
    for reading in (start, end):
        if size is not None and reading >= size:
            raise RejectedRecord(
                "register_out_of_range",
                f"a register of {canonical_text(size)} never shows {canonical_text(reading)}",
                field="register_end" if reading is end else "register_start",
                value=reading,
                valid=f"0 or more, below {canonical_text(size)}",
            )
    parts = [(1, end, "register at the end"), (-1, start, "register at the start")]
    amount = PRODUCT.subtract(end, start)
    flags: tuple[str, ...] = ()
    if amount < 0:
        amount = _rolled_over(start, end, amount, size, most)
        parts.append((1, size or Decimal(0), "size of the register, passed once"))
        flags = (ROLLOVER,)
    elif most is not None and amount > most:
        raise _implausible(amount, end, most)
    return Counted(parts=tuple(parts), amount=amount, flags=flags)


def _implausible(amount: Decimal, end: Decimal, most: Decimal) -> RejectedRecord:
    return RejectedRecord(
        "consumption_implausible",
        f"the register counted {canonical_text(amount)}, more than the meter can pass",
        field="register_end",
        value=end,
        valid=f"at most {canonical_text(most)} between the readings",
    )


def _rolled_over(
    start: Decimal, end: Decimal, difference: Decimal, size: Decimal | None, most: Decimal | None
) -> Decimal:
    if size is not None:
        amount = PRODUCT.add(difference, size)
        limit = PRODUCT.multiply(size, Decimal("0.5")) if most is None else most
        if amount <= limit:
            return amount
    raise RejectedRecord(
        "register_backward",
        f"the register went back from {canonical_text(start)} to {canonical_text(end)}",
        field="register_end",
        value=end,
        valid=f"{canonical_text(start)} or more, or a reset marker with the readings around it",
    )
