"""The table of global warming potentials of a release: species, their trade names, and blends.

Belongs here: which published row counts for what, and what a blend weighs. Does not: the table
itself (carbon_ledger.greenhouse), where the numbers come from (factor_seeds).

A blend weighs what its hydrofluorocarbons and perfluorocarbons weigh by mass, made in every set
from the set's own figures. Other constituents count zero, because they are not among the gases of
the GHG Protocol, and the blend then says so. Only where the composition of a blend is not published
is the printed figure for the whole blend taken, and said to be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Final

from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.factor_book.index_rows import GWP_100, GWP_100_BLEND, GWP_100_KYOTO, IndexRow
from carbon_ledger.greenhouse import GwpTable
from carbon_ledger.quantities import PRODUCT

OTHER_CONSTITUENTS: Final = "blend_other_constituents_not_counted"
PRINTED_BLEND: Final = "gwp_of_blend_as_printed"

# Trade names that do not follow from the formula.
PFC_FORMULAS: Final[dict[str, str]] = {
    "PFC-14": "CF4",
    "PFC-116": "C2F6",
    "PFC-218": "C3F8",
    "PFC-318": "cC4F8",
    "PFC-31-10": "C4F10",
    "PFC-41-12": "C5F12",
    "PFC-51-14": "C6F14",
    "PFC-91-18": "C10F18",
}
_SHARE: Final = re.compile(r"([0-9.]+)% (.+)")
_COUNTED: Final = re.compile(r"(HFC|PFC)-")
_UNHYPHENATED: Final = re.compile(r"(HFC|HCFC|CFC|HFE|HCFE|Halon|R)([0-9].*)")

_Values = dict[tuple[str, str], tuple[Decimal, str]]


def trade_names(gas: str) -> tuple[str, ...]:
    """Other spellings of a gas's name: `HFC134a` is written `HFC-134a`, `CF4` is PFC-14."""
    names = [name for name, formula in PFC_FORMULAS.items() if formula == gas]
    found = _UNHYPHENATED.fullmatch(gas)
    if found:
        names.append(f"{found[1]}-{found[2]}")
        if found[2] == "4310mee":
            names.append("HFC-43-10mee")
    return tuple(names)


def composition(row: IndexRow) -> dict[str, Decimal]:
    """Percent by mass by constituent, from `50% HFC-32, 50% HFC-125`.

    Raises BrokenInvariant `gwp_composition` if the text reads otherwise or does not add up to 100.
    """
    parts = [_SHARE.fullmatch(part) for part in row.formula.split(", ")]
    shares = {part[2]: Decimal(part[1]) for part in parts if part}
    if len(shares) != len(parts) or sum(map(Fraction, shares.values())) != 100:
        raise BrokenInvariant(
            "gwp_composition", f"{row.index_id}: {row.formula!r} is no composition in percent"
        )
    return shares


def gwp_table(rows: Iterable[IndexRow]) -> GwpTable:
    """The table of the newest versions of `rows`; other series among them are passed over.

    Raises BrokenInvariant `gwp_tie` if two sources state one potential, and `gwp_unknown_gas` if a
    blend has a fluorinated constituent that no set knows.
    """
    species: _Values = {}
    printed: _Values = {}
    shares: dict[str, dict[str, Decimal]] = {}
    sources: dict[str, str] = {}
    for row in rows:
        if row.series in (GWP_100, GWP_100_KYOTO):
            gwp_set, _, gas = row.key.partition("/")
            table = species if row.series == GWP_100 else printed
            if (gwp_set, gas) in table:
                raise BrokenInvariant("gwp_tie", f"{row.key} is stated by two sources")
            table[(gwp_set, gas)] = (row.value, row.source_id)
        elif row.series == GWP_100_BLEND:
            blend = row.key.partition("/")[2]
            shares[blend] = composition(row)
            sources[blend] = row.source_id
    values = dict(species)
    for (gwp_set, gas), found in species.items():
        for name in trade_names(gas):
            values.setdefault((gwp_set, name), found)
    remarks: dict[tuple[str, str], str] = {}
    for blend in shares:
        _add_blend(blend, shares[blend], sources[blend], values, remarks)
    for (gwp_set, gas), found in printed.items():
        for name in (gas, *trade_names(gas)):
            if (gwp_set, name) not in values:
                values[(gwp_set, name)] = found
                remarks[(gwp_set, name)] = PRINTED_BLEND
    return GwpTable(values, remarks)


def _add_blend(
    blend: str,
    shares: dict[str, Decimal],
    source_id: str,
    values: _Values,
    remarks: dict[tuple[str, str], str],
) -> None:
    """The blend in every set that knows all its counted constituents."""
    counted = {gas: share for gas, share in shares.items() if _COUNTED.match(gas)}
    sets = {gwp_set for gwp_set, _ in values}
    found = 0
    for gwp_set in sorted(sets):
        if any((gwp_set, gas) not in values for gas in counted):
            continue
        found += 1
        total = Decimal(0)
        for gas, share in counted.items():
            part = PRODUCT.multiply(share, values[(gwp_set, gas)][0])
            total = PRODUCT.add(total, part.scaleb(-2, PRODUCT))
        made_of = sorted({values[(gwp_set, gas)][1] for gas in counted})
        source = "; ".join([source_id, *(one for one in made_of if one != source_id)])
        for name in (blend, blend.replace("-", "")):
            values[(gwp_set, name)] = (total, source)
            if len(counted) < len(shares):
                remarks[(gwp_set, name)] = OTHER_CONSTITUENTS
    if not found:
        raise BrokenInvariant("gwp_unknown_gas", f"no set knows {', '.join(counted)} of {blend}")
