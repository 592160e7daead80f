"""Own energy as E1-5 counts it: what was generated and used on site, and fuel on its net value.

Belongs here: MWh of metered energy for the rows of ESRS E1-5 that rest on meters alone. Does not:
how purchased energy splits into fossil, nuclear and renewable (that follows the market-based
tranches), emissions, reports.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from carbon_ledger.energy.certificate_matching import total
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.units import convert, dimension_of, ratio
from carbon_ledger.workings import Formula, Operand, Term, Working

OWN_USE: Final = Formula(
    formula_id="E1-5-ROW-10",
    text="MWh = generated on site without fuel - fed into the grid",
    citation="ESRS E1 paragraph 37(c)(iii) and AR 32: self-generated non-fuel renewable energy",
)
NET_FUEL: Final = Formula(
    formula_id="E1-5-FUEL",
    text="MWh = fuel on the gross heating value / gross heating value per net one",
    citation="ESRS E1 AR 32: fuel on the lower heating value; 1.1 for natural gas is not checked "
    "against the source's text",
)
GROSS_PER_NET: Final = Decimal("1.1")


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnGeneration:
    """MWh of a site's generation without fuel: all of it (production), and what it used itself.

    `exported_mwh` is not taken off what the site purchases, in scope 2 as in E1-5.
    """

    generated_mwh: Decimal
    exported_mwh: Decimal
    own_use: Working


def own_generation(
    generated_kwh: Iterable[Decimal], exported_kwh: Iterable[Decimal]
) -> OwnGeneration:
    """Row 10 of E1-5 from the generation and export meters of a site and period.

    Raises RejectedRecord `export_above_generation`: such an export is not of this generation.
    """
    generated, exported = total(generated_kwh), total(exported_kwh)
    if exported > generated:
        raise RejectedRecord(
            "export_above_generation",
            f"{exported} kWh were fed in, {generated} kWh generated",
            field="exported_kwh",
            value=exported,
            valid=f"at most {generated} kWh, or the meter of what else feeds in",
        )
    per_mwh = Operand(value=ratio("kWh", "MWh"), unit="MWh per kWh", label="unit conversion")

    def term(value: Decimal, label: str, sign: int) -> Term:
        return Term(operands=(Operand(value=value, unit="kWh", label=label), per_mwh), sign=sign)

    return OwnGeneration(
        generated_mwh=convert(generated, "kWh", "MWh"),
        exported_mwh=convert(exported, "kWh", "MWh"),
        own_use=Working(
            formula=OWN_USE,
            terms=(term(generated, "generated", 1), term(exported, "fed into the grid", -1)),
            unit="MWh",
        ),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class NetFuel:
    """Fuel energy on the net heating value, in MWh, with its working and remarks."""

    working: Working
    flags: tuple[str, ...]


def net_fuel(amount: Decimal, unit: str, gross_per_net: Decimal | None = None) -> NetFuel:
    """MWh on the net heating value of a fuel's energy in `unit`, which says gross or net.

    `gross_per_net` is the supplier's ratio; without it 1.1 is taken, flagged
    `net_from_gross_approximated`. Raises RejectedRecord `heating_value_missing` for energy that is
    neither, `incompatible_unit` for what is no energy, `out_of_range` for a ratio below 1.
    """
    if gross_per_net is not None and gross_per_net < 1:
        raise RejectedRecord(
            "out_of_range",
            f"a gross heating value is not {gross_per_net} times the net one",
            field="gross_per_net",
            value=gross_per_net,
            valid="1 or more",
        )
    dimension = dimension_of(unit)
    if dimension == "energy":
        raise RejectedRecord(
            "heating_value_missing",
            f"{unit} of a fuel is on the gross or on the net heating value",
            field="unit",
            value=unit,
            valid=f"{unit}_gross or {unit}_net",
        )
    is_gross = dimension == "energy, gross heating value"
    target = "MWh_gross" if is_gross else "MWh_net"
    operands = [
        Operand(value=amount, unit=unit, label="fuel"),
        Operand(
            value=ratio(unit, target),
            unit=f"{target} per {unit}",
            label="unit conversion",
        ),
    ]
    flags: tuple[str, ...] = ()
    if is_gross:
        operands.append(
            Operand(
                value=gross_per_net or GROSS_PER_NET,
                unit="MWh_gross per MWh_net",
                label="gross heating value per net one",
                source="the supplier" if gross_per_net else "usual for natural gas",
                divides=True,
            )
        )
        flags = () if gross_per_net else ("net_from_gross_approximated",)
    return NetFuel(
        working=Working(formula=NET_FUEL, terms=(Term(operands=tuple(operands)),), unit="MWh_net"),
        flags=flags,
    )
