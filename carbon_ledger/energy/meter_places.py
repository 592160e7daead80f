"""Where a metered amount belongs, and the factors of that place.

Belongs here: site, local date and factor of metered energy. Does not: amounts
(carbon_ledger.energy.meter_amounts), lines (carbon_ledger.energy.meters).
"""

from __future__ import annotations

from typing import Final

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.book import ActivityQuery, FactorMatch, FactorQuery
from carbon_ledger.inventory import Inventory
from carbon_ledger.places import Located
from carbon_ledger.policy import Policy

Selectors = tuple[tuple[str, str], ...]
# How the publishers of each country name a fuel; None: anywhere else, in the words of the proxies.
FUEL_SELECTORS: Final[dict[tuple[str, str | None], Selectors]] = {
    ("natural_gas", None): (("fuel_group", "Gaseous fuels"), ("fuel", "Natural gas")),
    ("natural_gas", "US"): (("fuel", "Natural Gas"), ("use", "stationary")),
    ("natural_gas", "AU"): (("fuel", "Natural gas (pipeline)"), ("use", "stationary")),
    ("biogas", None): (("fuel_group", "Biogas"), ("fuel", "Biogas")),
}
HEAT_SELECTORS: Final[dict[str | None, Selectors]] = {
    None: (("fuel_group", "Heat and steam"), ("fuel", "District heat and steam")),
    "US": (
        ("fuel_group", "Purchased steam and heat"),
        ("fuel", "Steam and heat (natural gas, 80% efficiency)"),
    ),
}
# The publisher writes these groups in another way in its well-to-tank tables.
_IN_UPSTREAM: Final = {"Biogas": "biogas", "Heat and steam": "heat and steam"}
COOLING_SELECTORS: Final[Selectors] = (("fuel_group", "Cooling"), ("fuel", "District cooling"))


def location_match(where: Located, energy_source: str, inventory: Inventory) -> FactorMatch:
    """The location-based factor of electricity at a place.

    Raises what FactorBook.match raises, `boundary_substitute_refused` where the policy refuses a
    life-cycle figure in scope 2, and `not_a_location_factor` for a residual mix or a supplier rate.
    """
    match = inventory.book.match(
        FactorQuery(
            energy_source=energy_source,
            country_iso2=where.country_iso2,
            region=where.place.region,
            activity_date=where.local_date,
        ),
        max_vintage_gap_years=inventory.policy.max_vintage_gap_years,
    )
    check_location_factor(match)
    check_substitute(match, inventory.policy)
    return match


def check_location_factor(match: FactorMatch) -> None:
    """Raises RejectedRecord `not_a_location_factor` for a figure of another basis.

    GHG Protocol Scope 2 Guidance (2015), chapter 6: a residual mix is no location-based figure.
    """
    if match.factor.basis in ("residual", "market", "supplier"):
        raise RejectedRecord(
            "not_a_location_factor",
            f"{match.factor.factor_id} is a {match.factor.basis} figure",
            field="factor_id",
            value=match.factor.factor_id,
            valid="an average of the grid's production",
        )


def check_substitute(match: FactorMatch, policy: Policy) -> None:
    """Raises RejectedRecord `boundary_substitute_refused` where the policy takes no substitute.

    GHG Protocol Scope 3 Standard, chapter 7: scope 2 holds no upstream emissions.
    """
    if match.boundary_substitute and policy.refuse_boundary_substitutes:
        raise RejectedRecord(
            "boundary_substitute_refused",
            f"{match.factor.factor_id} is a life-cycle figure; the policy refuses it in scope 2",
            field="factor_id",
            value=match.factor.factor_id,
            valid="a factor of direct emissions of generation",
        )


def find(
    family: str, selectors: Selectors, unit: str, where: Located, inventory: Inventory
) -> FactorMatch:
    """The factor of published selectors for an amount in `unit`; raises what the book raises."""
    return inventory.book.find(
        ActivityQuery(
            family=family,
            selectors=selectors,
            activity_date=where.local_date,
            country_iso2=where.country_iso2,
            region=None,
            unit=unit,
        ),
        inventory.policy,
    )


def fuel_selectors(fuel: str, where: Located, stage: str, *, own_words: bool = True) -> Selectors:
    """How a fuel is named where it was burnt, at a stage (combustion, wtt, outside_of_scopes).

    `own_words` False gives the words of the proxies' publisher, whatever the country.
    """
    own = FUEL_SELECTORS.get((fuel, where.country_iso2)) if own_words else None
    named = own or FUEL_SELECTORS[fuel, None]
    if stage == "wtt":
        named = _in_upstream(named)
    return (*named, ("stage", stage))


def _in_upstream(named: Selectors) -> Selectors:
    return tuple(
        (name, _IN_UPSTREAM.get(text, text) if name == "fuel_group" else text)
        for name, text in named
    )


def heat_selectors(kind: str, where: Located, stage: str) -> Selectors:
    """How purchased heat, steam or cooling is named where it was received."""
    if kind == "cooling":
        return (*COOLING_SELECTORS, ("stage", stage))
    named = HEAT_SELECTORS.get(where.country_iso2, HEAT_SELECTORS[None])
    return (
        *(_in_upstream(named) if stage == "wtt" else named),
        ("use", "purchased_heat"),
        ("stage", stage),
    )
