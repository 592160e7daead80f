"""What a meter counted, as operands of a working: intervals, registers, volumes of gas.

Belongs here: from the fields of a reading to an amount in a unit that factors are per, and the
amount times a factor. Does not: which factor (carbon_ledger.energy.meter_places), lines
(carbon_ledger.energy.meters).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from carbon_ledger.energy.meter_events import MeterReadingEvent
from carbon_ledger.energy.meter_registers import Reset, counted
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.book import FactorMatch
from carbon_ledger.factor_book.use import apply_factor
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import Applied
from carbon_ledger.places import Located
from carbon_ledger.quantities import exact_product
from carbon_ledger.units import dimension_of, ratio
from carbon_ledger.workings import Operand, Term


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A product of operands that is added to the amount, or taken off it (`sign` -1)."""

    sign: int
    operands: tuple[Operand, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Amount:
    """What was metered: a sum of parts in `unit`, and as it is shown (`quantity` in `shown_unit`).

    `unit` is the one the parts' products are in: after a calorific value it is fuel energy.
    """

    parts: tuple[Part, ...]
    unit: str
    quantity: Decimal
    shown_unit: str
    flags: tuple[str, ...] = ()


def apply_amount(amount: Amount, match: FactorMatch, inventory: Inventory) -> Applied:
    """The amount times a factor: the terms of CO2e and of each gas, part by part.

    Raises RejectedRecord as carbon_ledger.factor_book.use.apply_factor.
    """
    terms: list[Term] = []
    gases: dict[str, list[Term]] = {}
    flags: set[str] = set()
    gwp_set = inventory.policy.gwp_set
    for part in amount.parts:
        applied = apply_factor(
            part.operands, amount.unit, match, inventory.book.gwp, inventory.policy.gwp_set
        )
        terms += [replace(one, sign=part.sign) for one in applied.terms]
        for gas, gas_terms in applied.gas_terms:
            gases.setdefault(gas, []).extend(replace(one, sign=part.sign) for one in gas_terms)
        flags.update(applied.flags)
        gwp_set = applied.gwp_set
    return Applied(
        terms=tuple(terms),
        gas_terms=tuple((gas, tuple(parts)) for gas, parts in gases.items()),
        gwp_set=gwp_set,
        flags=tuple(sorted(flags)),
    )


def amount_of(event: MeterReadingEvent, where: Located, inventory: Inventory) -> Amount:
    """What a reading counted, in a unit its kind has factors for.

    Raises RejectedRecord: what `meter_registers.counted` raises, `incompatible_unit`
    for a unit that does not measure what the meter counts, `heating_value_missing` for the energy
    of a fuel that is neither gross nor net, `heating_value_contradicts_unit` for one that is both,
    `not_a_volume` for energy with what belongs to a volume.
    """
    if event.quantity is None and not event.is_register:
        metered = _stated(event.energy_kwh, "kWh", event)
    elif event.quantity is not None:
        metered = _stated(event.quantity, event.unit or "kWh", event)
    else:
        metered = _register_amount(event, where, inventory)
    return in_factor_unit(event, metered, where, inventory)


def in_factor_unit(
    event: MeterReadingEvent, metered: Amount, where: Located, inventory: Inventory
) -> Amount:
    """What was metered (or estimated) by a meter like that of `event`, in a unit its kind has
    factors for: a fuel as energy of a stated heating value, or as a volume. Raises as `amount_of`.
    """
    if event.meter_kind == "gas":
        return _fuel_amount(event, metered, where, inventory)
    ratio(metered.unit, "kWh", field="unit")
    if event.meter_kind in ("heat", "steam") and where.country_iso2 == "US":
        return in_publishers_mmbtu(metered)
    return metered


def _stated(value: Decimal, unit: str, event: MeterReadingEvent) -> Amount:
    operand = Operand(value=value, unit=unit, label="metered", source=f"meter {event.sensor_id}")
    return Amount(
        parts=(Part(sign=1, operands=(operand,)),), unit=unit, quantity=value, shown_unit=unit
    )


def _register_amount(event: MeterReadingEvent, where: Located, inventory: Inventory) -> Amount:
    start, end, unit = event.register_start, event.register_end, event.unit
    if start is None or end is None or unit is None:
        raise RejectedRecord("register_incomplete", "a reading of the register is missing")
    size = event.register_size
    if size is None:
        meter = inventory.register.meter(event.sensor_id, where.local_date)
        size = None if meter is None else meter.register_size
    reset = None
    if event.reset_marker is not None:
        reset = Reset(
            marker=event.reset_marker,
            final=event.reset_final,
            start=event.reset_start or Decimal(0),
        )
    found = counted(start, end, size=size, reset=reset)
    multiplier = event.register_multiplier
    scale = () if multiplier is None else (_multiplier(multiplier, unit),)
    parts = tuple(
        Part(
            sign=sign,
            operands=(
                Operand(value=value, unit=unit, label=label, source=f"meter {event.sensor_id}"),
                *scale,
            ),
        )
        for sign, value, label in found.parts
    )
    quantity = found.amount
    if multiplier is not None:
        quantity = exact_product(quantity, multiplier, field="register_multiplier")
    return Amount(parts=parts, unit=unit, quantity=quantity, shown_unit=unit, flags=found.flags)


def _multiplier(value: Decimal, unit: str) -> Operand:
    return Operand(value=value, unit=f"{unit} per {unit} shown", label="register multiplier")


def _fuel_amount(
    event: MeterReadingEvent, metered: Amount, where: Located, inventory: Inventory
) -> Amount:
    """A fuel in energy of a stated heating value, or in the volume the factors are per."""
    dimension = dimension_of(metered.unit)
    if dimension.startswith("energy"):
        return _fuel_energy(event, metered, dimension)
    calorific = _calorific_value(event, where, inventory)
    correction: tuple[Operand, ...] = ()
    if event.volume_correction is not None:
        correction = (
            Operand(
                value=event.volume_correction,
                unit=f"{metered.unit} at standard conditions per {metered.unit}",
                label="volume correction",
            ),
        )
    if calorific is None:
        return _extended(metered, correction, metered.unit, ("calorific_value_not_stated",))
    operand, energy_unit, volume_unit = calorific
    scale = ratio(metered.unit, volume_unit, field="calorific_unit")
    conversion: tuple[Operand, ...] = ()
    if scale != 1:
        conversion = (
            Operand(value=scale, unit=f"{volume_unit} per {metered.unit}", label="unit conversion"),
        )
    return _extended(metered, (*correction, *conversion, operand), energy_unit, ())


def _fuel_energy(event: MeterReadingEvent, metered: Amount, dimension: str) -> Amount:
    for name in ("volume_correction", "calorific_value"):
        if getattr(event, name) is not None:
            raise RejectedRecord(
                "not_a_volume",
                f"{name} belongs to a volume, but the amount is in {metered.unit}",
                field=name,
                value=getattr(event, name),
                valid="none, or the amount as a volume such as m3",
            )
    if dimension != "energy":
        if event.heating_value not in (None, metered.unit.rpartition("_")[2]):
            raise RejectedRecord(
                "heating_value_contradicts_unit",
                f"{metered.unit} is not on the {event.heating_value} heating value",
                field="heating_value",
                value=event.heating_value,
                valid=f"none, or the one that {metered.unit} says",
            )
        return metered
    if event.fuel == "biogas":
        # The only published figure of biogas is per kWh without a heating value.
        return metered
    if event.heating_value is None:
        raise RejectedRecord(
            "heating_value_missing",
            f"{metered.unit} of a fuel is on the gross or on the net heating value",
            field="heating_value",
            valid=f"gross or net, or a unit such as {metered.unit}_gross",
        )
    return replace(metered, unit=f"{metered.unit}_{event.heating_value}")


def _calorific_value(
    event: MeterReadingEvent, where: Located, inventory: Inventory
) -> tuple[Operand, str, str] | None:
    """The calorific value as an operand, the fuel energy it gives, and per which volume it is."""
    if event.calorific_value is not None and event.calorific_unit is not None:
        energy, _, volume = event.calorific_unit.partition("/")
        ratio(energy, "kWh", field="calorific_unit")
        operand = Operand(
            value=event.calorific_value,
            unit=f"{energy} per {volume}",
            label=f"calorific value, {event.heating_value}",
            source="the reading's own",
        )
        return operand, f"{energy}_{event.heating_value}", volume
    meter = inventory.register.meter(event.sensor_id, where.local_date)
    if meter is None or meter.calorific_value_kwh_per_unit is None:
        return None
    operand = Operand(
        value=meter.calorific_value_kwh_per_unit,
        unit=f"kWh per {meter.unit}",
        label=f"calorific value, {meter.heating_value}",
        source=f"register of meters, {meter.meter_id}",
    )
    return operand, f"kWh_{meter.heating_value}", meter.unit


def _extended(
    amount: Amount, operands: tuple[Operand, ...], unit: str, flags: tuple[str, ...]
) -> Amount:
    return replace(
        amount,
        parts=tuple(replace(part, operands=(*part.operands, *operands)) for part in amount.parts),
        unit=unit,
        flags=(*amount.flags, *flags),
    )


def in_publishers_mmbtu(metered: Amount) -> Amount:
    """Heat in the mmBtu of the US publisher, who counts steam received in the unit of its fuels."""
    operand = Operand(
        value=ratio(metered.unit, "MMBtu", field="unit"),
        unit=f"MMBtu per {metered.unit}",
        label="unit conversion",
        source="the publisher's mmBtu is of steam or heat received",
    )
    return _extended(metered, (operand,), "MMBtu_gross", ())
