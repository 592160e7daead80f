"""Which set of global warming potentials a year's entries were made with.

Belongs here: telling it from the entries' sums. Does not: the sets (carbon_ledger.greenhouse).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from carbon_ledger.policy import Policy
from carbon_ledger.reporting.cube import CubeRow

# Sets of potentials an inventory can have, the latest first.
SETS: Final = ("AR6", "AR5", "AR4", "SAR")


def inventory_set(rows: Iterable[CubeRow]) -> str:
    """The set of potentials that a year's entries were made with, so that a report of a past moment
    does not follow a setting of today.

    It is in the figures themselves: entries whose gases are known apart, and not carbon dioxide
    alone, are weighed with the inventory's set. Of several (a restatement under way) it is that of
    most entries; where no gas is known apart, none is weighed, and the default is named.
    """
    entries: dict[str, int] = defaultdict(int)
    for row in rows:
        if row.gas_split == "available" and (row.kg_ch4 or row.kg_n2o or row.other_gases):
            entries[row.gwp_set] += row.entries
    known = [name for name in SETS if name in entries]
    return max(known, key=lambda name: entries[name], default=Policy().gwp_set)
