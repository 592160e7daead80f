"""What the lines of an inventory are calculated with: factors, policy and reference data together.

Belongs here: the one argument every calculator takes beside the activity. Does not: rules.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from carbon_ledger.factor_book.book import FactorBook
from carbon_ledger.policy import Policy
from carbon_ledger.reference.register import Register


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """Factors (with potentials and prices), the company's choices, what is registered, and when it
    is.

    The same inventory and activity always give the same lines: nothing else is looked at.
    """

    book: FactorBook
    now: datetime
    policy: Policy = field(default_factory=Policy)
    register: Register = field(default_factory=Register)
