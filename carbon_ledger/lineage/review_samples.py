"""Samples of entries for a reviewer: drawn by a seed, named so that anybody can draw them again.

Belongs here: the methods, their words, a sample as a value. Does not: the draw itself
(carbon_ledger.lineage.sampling), which entries there are (carbon_ledger.store.report_trail).

An entry's key in the draw is its id as text, so whoever has ids and kgCO2e draws the same sample.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal
from uuid import UUID

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.lineage.sampling import draw, draw_evenly
from carbon_ledger.quantities import PRODUCT

Method = Literal["monetary_unit", "simple_random"]
MONETARY_UNIT: Final[Method] = "monetary_unit"
# How each is drawn, for whoever draws it again.
METHODS: Final[dict[Method, str]] = {
    "monetary_unit": "Monetary-unit sampling: systematic selection with probability proportional "
    "to the size of kgCO2e. Entries are put in the order of the SHA-256 of carbon-sample/1, the "
    "seed and the entry's id (with the byte 1F between them); what is at least as large as the "
    "interval is taken for certain; then equally spaced points along the running sum of the rest "
    "take the others, the first of them at the fraction of an interval that the SHA-256 of "
    "carbon-sample-start/1, 1F and the seed is of 2^256. Entries of 0 kg come last.",
    "simple_random": "Simple random sampling without replacement: entries are put in the order of "
    "the SHA-256 of carbon-sample/1, the seed and the entry's id (with the byte 1F between them), "
    "and the first are taken; each is as likely as any other.",
}
SIZE_MAX: Final = 1_000
SEED_MAX: Final = 2**63 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """`entry_ids` in the order of the draw: `size` of them, or all there are if they are fewer.

    `population` entries have `population_kgco2e` in all, taken by magnitude.
    """

    method: Method
    seed: int
    size: int
    population: int
    population_kgco2e: Decimal
    entry_ids: tuple[UUID, ...]

    @property
    def sha256(self) -> bytes:
        """SHA-256 over the ids in their order, 16 bytes each."""
        return hashlib.sha256(b"".join(one.bytes for one in self.entry_ids)).digest()

    @property
    def words(self) -> str:
        """How it was drawn."""
        return METHODS[self.method]


def checked_method(method: str) -> Method:
    """The method; RejectedRecord `method_unknown`."""
    found = next((one for one in METHODS if one == method), None)
    if found is None:
        raise RejectedRecord(
            "method_unknown",
            "samples are not drawn in this way",
            field="method",
            value=method[:60],
            valid=", ".join(METHODS),
        )
    return found


def drawn(sizes: Mapping[UUID, Decimal], *, method: str, seed: int, size: int) -> Sample:
    """A sample of entries, by id their kgCO2e; the same for the same arguments.

    Raises RejectedRecord `method_unknown`, and `out_of_range` for a seed that is not from 0 to
    SEED_MAX or a size that is not from 1 to SIZE_MAX.
    """
    how = checked_method(method)
    for name, value, least, most in (("seed", seed, 0, SEED_MAX), ("n", size, 1, SIZE_MAX)):
        if not least <= value <= most:
            raise RejectedRecord(
                "out_of_range",
                f"{name} is out of bounds",
                field=name,
                value=str(value)[:60],
                valid=f"{least} to {most}",
            )
    keys = (
        draw(sizes.items(), size, seed) if how == MONETARY_UNIT else draw_evenly(sizes, size, seed)
    )
    total = Decimal(0)
    for one in sizes.values():
        total = PRODUCT.add(total, abs(one))
    return Sample(
        method=how,
        seed=seed,
        size=size,
        population=len(sizes),
        population_kgco2e=total,
        entry_ids=tuple(keys),
    )
