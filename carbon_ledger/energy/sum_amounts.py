"""What a sum of readings was of: the amount in the unit that its entries' factor is per.

Belongs here: from the quantity, unit and factor of standing entries of fuel or heat back to an
amount that category 3 can be computed of. Does not: readings (carbon_ledger.energy.meter_amounts),
figures (carbon_ledger.energy.meter_category3).

An entry has the quantity as it was read: kWh without their heating value, gas as the volume that
the meter counted. Which energy that was is what its factor and its figure say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from carbon_ledger.energy.meter_amounts import Amount, Part, apply_amount, in_publishers_mmbtu
from carbon_ledger.energy.meter_places import Selectors, find, fuel_selectors, heat_selectors
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.book import FactorMatch
from carbon_ledger.inventory import Inventory
from carbon_ledger.places import Located
from carbon_ledger.units import convert, dimension_of, ratio
from carbon_ledger.workings import Operand

# A posted figure is rounded once, to 12 decimals, half-even: it is off by half of the last at most.
ROUNDING: Final = Fraction(1, 2 * 10**12)


@dataclass(frozen=True, kw_only=True, slots=True)
class Summed:
    """A sum of `entries` entries: what their quantities and, of fuel, their kgCO2e come to, and the
    factor that they all have.
    """

    facility_id: str
    activity_type: str
    quantity: Decimal
    unit: str
    factor_id: str
    factor_version: int
    entries: int
    kgco2e: Decimal | None
    source: str


def amount_of_sum(
    one: Summed, where: Located, inventory: Inventory, *, as_posted: bool = True
) -> tuple[Amount, FactorMatch]:
    """The sum as an amount of fuel energy, of volume or of heat, with its entries' factor.

    A volume is of a factor per volume only if the posted figure is quantity times factor, and an
    energy only by a calorific value registered for a gas meter of the site, if quantity times that
    value times factor is the posted figure: half a unit of the 12th decimal per entry is left to
    rounding. If not `as_posted`, the book's factor need not be the entries'.

    Raises RejectedRecord `amount_not_known` where nothing fits, `factor_differs` where the book
    gives other factors today.
    """
    others: set[str] = set()
    for amount in _amounts(one, where, inventory):
        try:
            match = find("fuel", _selectors(one, where), amount.unit, where, inventory)
        except RejectedRecord:
            # No factor is per such an amount: it was another that the entries are of.
            continue
        found = (match.factor.factor_id, match.factor.version)
        if as_posted and found != (one.factor_id, one.factor_version):
            others.add(f"{found[0]}#{found[1]}")
        elif dimension_of(one.unit) != "volume" or _is_posted(one, amount, match, inventory):
            return amount, match
    named = f"{one.factor_id}#{one.factor_version}"
    if dimension_of(one.unit) == "volume":
        raise RejectedRecord(
            "amount_not_known",
            f"{one.quantity} {one.unit} have the factor {named}, but the figure is neither that of "
            "the volume itself nor of a calorific value registered for the site's gas meters",
            field="unit",
            value=one.unit,
            valid="gas read as energy, or a meter registered with the calorific value that is used",
        )
    raise RejectedRecord(
        "factor_differs",
        f"the entries have factor {named}, the book gives {', '.join(sorted(others)) or 'none'} "
        "today",
        field="factor_id",
        value=one.factor_id,
        valid="entries of the factor that is in force; restate them first",
    )


def _selectors(one: Summed, where: Located) -> Selectors:
    kind, _, fuel = one.activity_type.partition(":")
    if kind == "fuel":
        return fuel_selectors(fuel, where, "combustion")
    return heat_selectors(kind, where, "combustion")


def _amounts(one: Summed, where: Located, inventory: Inventory) -> Iterator[Amount]:
    """What the sum may be of, the plainest first."""
    dimension = dimension_of(one.unit)
    is_fuel = one.activity_type.startswith("fuel:")
    if dimension == "energy":
        plain = _amount(one, convert(one.quantity, one.unit, "kWh"), "kWh")
        yield plain
        if is_fuel:
            yield _amount(one, plain.quantity, "kWh", "kWh_gross")
            yield _amount(one, plain.quantity, "kWh", "kWh_net")
        elif where.country_iso2 == "US":
            yield in_publishers_mmbtu(plain)
        return
    yield _amount(one, one.quantity, one.unit)
    if dimension == "volume":
        for value, unit, heating_value, meter_id in _calorific_values(one, where, inventory):
            scale = ratio(one.unit, unit)
            conversion = Operand(
                value=scale, unit=f"{unit} per {one.unit}", label="unit conversion"
            )
            operands = () if scale == 1 else (conversion,)
            operand = Operand(
                value=value,
                unit=f"kWh per {unit}",
                label=f"calorific value, {heating_value}",
                source=f"register of meters, {meter_id}",
            )
            energy = f"kWh_{heating_value}"
            yield _amount(one, one.quantity, one.unit, energy, (*operands, operand))


def _calorific_values(
    one: Summed, where: Located, inventory: Inventory
) -> list[tuple[Decimal, str, str, str]]:
    """Every calorific value of a gas meter of the site on the day: value in kWh per unit, unit,
    heating value, and the first meter that has it.
    """
    found: dict[tuple[Decimal, str, str], str] = {}
    meters = inventory.register.meters_of(one.facility_id, where.local_date)
    for meter in sorted(meters, key=lambda meter: meter.meter_id):
        value, heating_value = meter.calorific_value_kwh_per_unit, meter.heating_value
        if value is not None and heating_value is not None:
            found.setdefault((value, meter.unit, heating_value), meter.meter_id)
    return [(*key, meter_id) for key, meter_id in sorted(found.items())]


def _amount(
    one: Summed,
    quantity: Decimal,
    shown_unit: str,
    unit: str | None = None,
    operands: tuple[Operand, ...] = (),
) -> Amount:
    consumed = Operand(value=quantity, unit=shown_unit, label="consumed", source=one.source)
    return Amount(
        parts=(Part(sign=1, operands=(consumed, *operands)),),
        unit=unit or shown_unit,
        quantity=quantity,
        shown_unit=shown_unit,
    )


def _is_posted(one: Summed, amount: Amount, match: FactorMatch, inventory: Inventory) -> bool:
    """Whether the amount times its factor is what was posted, but for rounding."""
    if one.kgco2e is None:
        return False
    applied = apply_amount(amount, match, inventory)
    exact = sum((term.exact() for term in applied.terms), Fraction(0))
    return abs(exact - Fraction(one.kgco2e)) <= one.entries * ROUNDING
