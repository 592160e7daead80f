"""How much energy, on the net heating value, is in a unit of each published fuel.

Belongs here: from factor rows to kWh (net) per unit of a factor, with how that is known. Does not:
which carrier a fuel is (carbon_ledger.reporting.fuel_carriers), energy of entries
(carbon_ledger.reporting.energy_mix).

Two figures that one edition publishes of one fuel, per unit and per kWh, are kgCO2e of the same
burning: their quotient is the kWh in the unit. Nothing is taken from elsewhere but the relation of
the IPCC between the two heating values, and that is flagged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from carbon_ledger.factor_book.book import FactorBook
from carbon_ledger.factor_book.rows import Factor
from carbon_ledger.factor_book.use import weigh
from carbon_ledger.greenhouse import GwpTable
from carbon_ledger.quantities import PRODUCT, ROUNDING, quantize_posted
from carbon_ledger.reporting.cube import CubeRow, Measure
from carbon_ledger.reporting.fuel_carriers import CARRIER_OF, Carrier
from carbon_ledger.units import dimension_of, ratio

# What ids of factors of fuels begin with.
FUEL: Final = "fuel:"
NET_FROM_GROSS: Final = "net_from_gross"
NOT_STATED: Final = "heating_value_not_stated"
# kWh (net) per kWh (gross): "about 5 percent less for coal and oil, about 10 percent less for most
# forms of natural and manufactured gas".
NET_PER_GROSS: Final[dict[Carrier, Decimal]] = {
    "coal": Decimal("0.95"),
    "oil": Decimal("0.95"),
    "natural_gas": Decimal("0.90"),
}
MANUFACTURED_GASES: Final = ("Blast Furnace Gas", "Coke Oven Gas", "Fuel Gas")
NET_PER_GROSS_OF_GASES: Final = Decimal("0.90")
IPCC: Final = "IPCC 2006 Guidelines, volume 2, chapter 1, section 1.4.1.2"
# A publisher's word of one table for what another table of the edition calls otherwise.
SAME_FUEL: Final[dict[str, str]] = {
    "Compressed Natural Gas (CNG)": "Natural Gas",
    "Diesel Fuel": "Distillate Fuel Oil No. 2",
    "Liquefied Natural Gas (LNG)": "Natural Gas",
    "Residual Fuel Oil": "Residual Fuel Oil No. 6",
}
_NET: Final = "energy, net heating value"
_GROSS: Final = "energy, gross heating value"
_UNSTATED: Final = "energy"


@dataclass(frozen=True, kw_only=True, slots=True)
class FuelEnergy:
    """A fuel as a factor has it: its carrier, and kWh (net) per `unit` of the factor.

    `net_kwh_per_unit` has 12 decimals, and is None where it is not known: `how` says why, or how it
    is known. `tracer` is what an entry's figure and the amount burnt are proportional in, of which
    the factor has `kg_per_unit` (kgCO2e by the potentials `gwp_set`); None: nothing is.
    """

    factor_id: str
    fuel: str
    carrier: Carrier
    unit: str
    net_kwh_per_unit: Decimal | None
    tracer: Measure | None
    kg_per_unit: Decimal
    gwp_set: str
    how: str
    flags: tuple[str, ...] = ()


def fuel_energies(
    rows: Iterable[Factor], gwp: GwpTable, gwp_set: str, *, only: Collection[str] | None = None
) -> dict[str, FuelEnergy]:
    """By factor id every fuel that `rows` have a factor of combustion for, or `only` these.

    Of several versions of a row the highest counts. `gwp_set` is the one that entries are posted
    with. A fuel that is in no carrier of the table is not among them.
    """
    newest: dict[str, Factor] = {}
    for one in sorted(rows, key=lambda row: (row.factor_id, row.version)):
        if one.family == "fuel" and one.stage == "combustion" and _fuel(one) in CARRIER_OF:
            newest[one.factor_id] = one
    editions: dict[tuple[object, ...], list[Factor]] = defaultdict(list)
    for one in newest.values():
        editions[_edition(one)].append(one)
    return {
        factor_id: _energy(one, editions[_edition(one)], gwp, gwp_set)
        for factor_id, one in newest.items()
        if only is None or factor_id in only
    }


def energy_of_version(
    rows: Sequence[Factor], factor_id: str, version: int, gwp: GwpTable, gwp_set: str
) -> FuelEnergy | None:
    """The energy of a fuel by an earlier version of its factor, as it was published with; None
    where `rows` have no such version, or it is of no carrier of the table.
    """
    if not any((one.factor_id, one.version) == (factor_id, version) for one in rows):
        return None
    known = [one for one in rows if one.factor_id != factor_id or one.version <= version]
    return fuel_energies(known, gwp, gwp_set, only=(factor_id,)).get(factor_id)


def fuels_used(
    entries: Iterable[CubeRow],
    book: FactorBook,
    gwp_set: str,
    book_of: Callable[[str], FactorBook],
) -> dict[str, dict[str, FuelEnergy]]:
    """By the set of potentials that entries of scope 1 have, the energy of their fuels: by factor
    id in `book`, the newest release, and by `id#version` for earlier versions, by the newest
    release that has them, else by the entries' own (`book_of`).

    Two years, or two months of one, may have been posted with different sets; an entry's figure is
    quantity times factor by its own set alone. `gwp_set` is for entries whose figure has none.
    """
    used: dict[str, set[tuple[str, int, str]]] = defaultdict(set)
    for row in entries:
        if row.scope == 1:
            for release in row.factor_releases or ("",):
                used[row.gwp_set].add((row.factor_id, row.factor_version, release))
    return {
        name: _used_of_set(
            sorted(places), book, name if name in book.gwp.sets else gwp_set, book_of
        )
        for name, places in sorted(used.items())
    }


def _used_of_set(
    used: Sequence[tuple[str, int, str]],
    book: FactorBook,
    gwp_set: str,
    book_of: Callable[[str], FactorBook],
) -> dict[str, FuelEnergy]:
    rows = book.rows_of("fuel")
    newest: dict[str, int] = {}
    for factor in rows:
        newest[factor.factor_id] = max(newest.get(factor.factor_id, 0), factor.version)
    found = fuel_energies(rows, book.gwp, gwp_set, only={factor_id for factor_id, _, _ in used})
    for factor_id, version, release in used:
        if newest.get(factor_id) == version or not factor_id.startswith(FUEL):
            continue
        name = f"{factor_id}#{version}"
        energy = energy_of_version(rows, factor_id, version, book.gwp, gwp_set)
        if energy is None and release and name not in found:
            older = book_of(release)
            of_it = older.rows_of("fuel")
            energy = energy_of_version(of_it, factor_id, version, older.gwp, gwp_set)
        if energy is not None:
            found[name] = energy
    return found


def _fuel(one: Factor) -> str:
    return dict(one.selectors).get("fuel", "")


def _edition(one: Factor) -> tuple[object, ...]:
    fuel = _fuel(one)
    return (one.source_id, one.year, one.country_iso2, SAME_FUEL.get(fuel, fuel))


def _energy(one: Factor, edition: Sequence[Factor], gwp: GwpTable, gwp_set: str) -> FuelEnergy:
    carrier = CARRIER_OF[_fuel(one)]
    net, how, flags = _net_kwh(one, edition, carrier)
    tracer, kg, used = _tracer(one, gwp, gwp_set)
    return FuelEnergy(
        factor_id=one.factor_id,
        fuel=_fuel(one),
        carrier=carrier,
        unit=one.unit,
        net_kwh_per_unit=None if net is None else quantize_posted(net),
        tracer=tracer,
        kg_per_unit=kg,
        gwp_set=used,
        how=how,
        flags=flags,
    )


def _tracer(one: Factor, gwp: GwpTable, gwp_set: str) -> tuple[Measure | None, Decimal, str]:
    """A factor of carbon dioxide alone may have other gases added to its figure, by distance: then
    only the carbon dioxide follows the fuel.
    """
    weighed = weigh(one, gwp, gwp_set)
    fossil, biogenic = one.kg_co2_per_unit, one.kg_co2_biogenic_per_unit
    if one.gas_coverage == "CO2e" and weighed.kgco2e_per_unit:
        return "kgco2e", weighed.kgco2e_per_unit, weighed.gwp_set
    if one.gas_coverage != "CH4+N2O" and fossil:
        return "kg_co2_fossil", fossil, weighed.gwp_set
    if one.gas_coverage != "CH4+N2O" and biogenic:
        return "kg_co2_biogenic", biogenic, weighed.gwp_set
    return None, Decimal(0), weighed.gwp_set


def _net_kwh(
    one: Factor, edition: Sequence[Factor], carrier: Carrier
) -> tuple[Decimal | None, str, tuple[str, ...]]:
    """kWh (net) per unit, how it is known or why it is not, flags."""
    for dimension in (_NET, _UNSTATED, _GROSS):
        found = _kwh_in(one, edition, dimension)
        if found is None:
            continue
        kwh, how = found
        if dimension == _NET:
            return kwh, how, ()
        if dimension == _UNSTATED:
            if carrier != "renewable":
                continue
            # The publisher's biofuels per GJ and biomass per kWh come to the net heating values of
            # Directive (EU) 2018/2001, annex III, and not to the gross ones.
            return kwh, f"{how}, taken as net", (NOT_STATED,)
        share = NET_PER_GROSS.get(carrier)
        if _fuel(one) in MANUFACTURED_GASES:
            share = NET_PER_GROSS_OF_GASES
        if share is None:
            return None, f"{how}, and no net per gross heating value is known of {carrier}", ()
        return PRODUCT.multiply(kwh, share), f"{how} x {share} ({IPCC})", (NET_FROM_GROSS,)
    return None, f"no other factor of {_fuel(one)} in {one.source_id} is per energy", ()


def _kwh_in(one: Factor, edition: Sequence[Factor], dimension: str) -> tuple[Decimal, str] | None:
    """kWh per unit on the heating value of `dimension`, of the row itself or by one beside it."""
    if dimension_of(one.unit) == dimension:
        return _kwh_per(one.unit), f"the factor is per {one.unit}"
    quotients = {}
    for other in edition:
        if dimension_of(other.unit) != dimension:
            continue
        pair = _pair(one, other)
        if pair is not None:
            per_other = ROUNDING.divide(*pair)
            kwh = quantize_posted(
                PRODUCT.multiply(quantize_posted(per_other), _kwh_per(other.unit))
            )
            quotients[kwh] = f"{pair[0]} / {pair[1]} kg per {other.unit} ({other.factor_id})"
    if len(quotients) != 1:
        return None
    ((kwh, how),) = quotients.items()
    return kwh, how


def _kwh_per(unit: str) -> Decimal:
    suffix = {_NET: "_net", _GROSS: "_gross"}.get(dimension_of(unit), "")
    exact = ratio(unit, f"kWh{suffix}")
    return quantize_posted(ROUNDING.divide(Decimal(exact.numerator), Decimal(exact.denominator)))


def _pair(one: Factor, other: Factor) -> tuple[Decimal, Decimal] | None:
    """The same emissions of two rows: kgCO2e, or, where one has carbon dioxide alone, that."""
    if one.gas_coverage == other.gas_coverage == "CO2e":
        pair = one.kgco2e_per_unit, other.kgco2e_per_unit
    else:
        pair = _carbon_dioxide(one), _carbon_dioxide(other)
    return pair if pair[0] and pair[1] else None


def _carbon_dioxide(one: Factor) -> Decimal:
    fossil, biogenic = one.kg_co2_per_unit, one.kg_co2_biogenic_per_unit
    return PRODUCT.add(fossil or Decimal(0), biogenic or Decimal(0))
