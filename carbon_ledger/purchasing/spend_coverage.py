"""How well the purchases of a period are covered: spend by what became of it, in one currency.

Belongs here: the key figure of coverage. Does not: which line a purchase gets
(purchases), coverage of one supplier (declaration_checks).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import EmissionLine
from carbon_ledger.organisation.categories import AVERAGE_DATA
from carbon_ledger.purchasing.purchase_events import PurchaseOrderEvent
from carbon_ledger.purchasing.purchases import UNMAPPED
from carbon_ledger.purchasing.spend import parts_by_year

MAPPED: Final = "mapped"
NOT_SPEND: Final = ("commitment", "booked_by_other_document", "tax_line")


@dataclass(frozen=True, kw_only=True, slots=True)
class SpendCoverage:
    """Spend in `currency` by what became of it, exact.

    `mapped`: by the factor of its sector; `average_data`: by quantity; `unmapped`: by the average
    of all sectors; `routed`: counted by another stream; `eliminated`: within the group.
    """

    currency: str
    mapped: Fraction = Fraction(0)
    average_data: Fraction = Fraction(0)
    unmapped: Fraction = Fraction(0)
    routed: Fraction = Fraction(0)
    eliminated: Fraction = Fraction(0)

    @property
    def booked(self) -> Fraction:
        """Spend that has a figure of its own here."""
        return self.mapped + self.average_data + self.unmapped

    @property
    def mapped_share(self) -> Fraction | None:
        """The part of the booked spend whose sector or quantity is known; None if none is booked.

        Credit notes count negative, so that a purchase taken back weighs nothing.
        """
        return (self.mapped + self.average_data) / self.booked if self.booked else None


def coverage_of_spend(
    booked: Iterable[tuple[PurchaseOrderEvent, Sequence[EmissionLine]]], inventory: Inventory
) -> SpendCoverage:
    """The coverage of purchases and their lines, in the policy's currency.

    Money is converted at the mean rate of its year. Orders, second documents and tax are no spend
    of their own. Raises RejectedRecord as PriceTable.fx.
    """
    currency = inventory.policy.default_currency
    names = ("mapped", "average_data", "unmapped", "routed", "eliminated")
    sums = dict.fromkeys(names, Fraction(0))
    for event, lines in booked:
        name = _what_became(lines)
        if name is None:
            continue
        day = parts_by_year(event.occurred_from, event.occurred_from, event.facility_id, inventory)[
            0
        ].day
        rate = inventory.book.prices.fx(event.currency, currency, day.year, inventory.policy)
        sums[name] += Fraction(event.amount_net) * rate.value
    return SpendCoverage(currency=currency, **sums)


def _what_became(lines: Sequence[EmissionLine]) -> str | None:
    flags = {flag for line in lines for flag in line.flags}
    if flags & set(NOT_SPEND):
        return None
    if "intra_group_eliminated" in flags:
        return "eliminated"
    if any(flag.startswith("routed_to_") for flag in flags):
        return "routed"
    if UNMAPPED in flags:
        return "unmapped"
    if any(line.method == AVERAGE_DATA for line in lines):
        return "average_data"
    return MAPPED
