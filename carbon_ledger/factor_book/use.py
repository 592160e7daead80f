"""A factor applied to an activity: unit, gases, and the set of global warming potentials.

Belongs here: from a matched factor and an activity's operands to terms of kgCO2e and of each gas.
Does not: which factor it is (carbon_ledger.factor_book.book), which activity (the calculators).

Where the factor gives its gases and was published with another set of potentials than the
inventory's, its CO2e is made anew from the gases; otherwise it stands as published, and a set that
differs is said. The gases always stand as published.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from carbon_ledger.factor_book.book import FactorMatch
from carbon_ledger.factor_book.rows import Factor
from carbon_ledger.greenhouse import MEMO_GASES, Gases, GwpTable
from carbon_ledger.lines import Applied
from carbon_ledger.quantities import PRODUCT, canonical_text
from carbon_ledger.units import ratio
from carbon_ledger.workings import Operand, Term

EMBEDDED_SET = "gwp_set_embedded"


@dataclass(frozen=True, kw_only=True, slots=True)
class Weighed:
    """A factor's CO2e per unit under a set of potentials: exact, with how it came about.

    `gwp_set` is the set that is really in the figure.
    """

    kgco2e_per_unit: Decimal
    gwp_set: str
    written: str
    flags: tuple[str, ...]


def weigh(factor: Factor, gwp: GwpTable, gwp_set: str) -> Weighed:
    """kgCO2e per unit of `factor` in `gwp_set`, made from its gases where that is needed and can
    be done.

    A published figure stands if it was made with the same set, if it is of carbon dioxide alone, or
    if its gases are not known; in the last case it is flagged `gwp_set_embedded`. GHG Protocol
    Scope 3 Standard, chapter 7: one set throughout an inventory; ESRS E1 AR 39(d): the latest.
    """
    gases = Gases.of({gas: kg for gas, kg in factor.activity_gases if gas not in MEMO_GASES})
    if factor.gwp_set == gwp_set or factor.gas_coverage == "CO2":
        return Weighed(
            kgco2e_per_unit=factor.kgco2e_per_unit,
            gwp_set=factor.gwp_set,
            written="as published",
            flags=(),
        )
    is_whole = factor.gas_split == "available" or factor.gas_coverage == "CH4+N2O"
    if not is_whole:
        return Weighed(
            kgco2e_per_unit=factor.kgco2e_per_unit,
            gwp_set=factor.gwp_set,
            written=f"as published, potentials {factor.gwp_set}",
            flags=(EMBEDDED_SET,),
        )
    total = Decimal(0)
    parts: list[str] = []
    flags: set[str] = set()
    for gas, kg in gases:
        potential = gwp.potential(gas, gwp_set)
        total = PRODUCT.add(total, PRODUCT.multiply(kg, potential.value))
        parts.append(f"{canonical_text(kg)} kg {gas} x {canonical_text(potential.value)}")
        if potential.flag:
            flags.add(potential.flag)
    return Weighed(
        kgco2e_per_unit=total,
        gwp_set=gwp_set,
        written=f"{gwp_set}: {' + '.join(parts)}",
        flags=tuple(sorted(flags)),
    )


def apply_factor(
    activity: Sequence[Operand], unit: str, match: FactorMatch, gwp: GwpTable, gwp_set: str
) -> Applied:
    """Terms of the CO2e figure and of every gas: the activity, in `unit`, times the factor.

    The product of `activity` is in `unit`; where the factor is per another unit of the same
    dimension, the exact ratio is one more operand. Raises RejectedRecord `incompatible_unit` and
    what GwpTable.potential raises.
    """
    factor = match.factor
    # A factor per money has the currency for its unit; the calculator converts money itself.
    conversion = Fraction(1) if unit == factor.unit else ratio(unit, factor.unit)
    chain = tuple(activity)
    if conversion != 1:
        chain = (
            *chain,
            Operand(value=conversion, unit=f"{factor.unit} per {unit}", label="unit conversion"),
        )
    weighed = weigh(factor, gwp, gwp_set)
    source = f"{factor.factor_id} version {factor.version}, {match.how_matched}; {weighed.written}"
    co2e = Operand(
        value=weighed.kgco2e_per_unit,
        unit=f"kgCO2e per {factor.unit}",
        label="emission factor",
        source=source,
    )
    gas_terms = tuple(
        (
            gas,
            (
                Term(
                    operands=(
                        *chain,
                        Operand(
                            value=kg,
                            unit=f"kg {gas} per {factor.unit}",
                            label="emission factor",
                            source=f"{factor.factor_id} version {factor.version}",
                        ),
                    )
                ),
            ),
        )
        for gas, kg in factor.activity_gases
    )
    return Applied(
        terms=(Term(operands=(*chain, co2e)),),
        gas_terms=gas_terms,
        gwp_set=weighed.gwp_set,
        flags=tuple(sorted({*match.flags, *weighed.flags})),
    )
