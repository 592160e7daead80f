"""The factor of a stated activity: written out in it, or a reference to the book; applied.

Belongs here: reading a factor, bringing the operands into its unit, its gases and their potentials.
Does not: the other numbers of an item (carbon_ledger.activities.terms), the book's own factors and
how they are applied (carbon_ledger.factor_book.book, carbon_ledger.factor_book.use).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, Final

from carbon_ledger.activities.category_formulas import Kind
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.match import (
    ActivityQuery,
    FactorMatch,
    FactorQuery,
    gap_of,
    vintage_word,
)
from carbon_ledger.factor_book.rows import ELECTRICITY_FAMILIES
from carbon_ledger.factor_book.use import EMBEDDED_SET, apply_factor
from carbon_ledger.greenhouse import MEMO_GASES
from carbon_ledger.inventory import Inventory
from carbon_ledger.quantities import decimal_from
from carbon_ledger.unit_algebra import CO2E_UNITS, conversion, quantity_unit, written
from carbon_ledger.workings import Operand, Term

STATED: Final = "factor_stated"
OTHER_SET: Final = "gwp_set_differs"
UNSTATED_SET: Final = "unstated"
OTHER_PRICES: Final = "prices_not_adjusted"
_CO2E_KEYS: Final = {f"{unit.removesuffix('CO2e')}co2e": unit for unit in CO2E_UNITS}
STATED_FIELDS: Final = (*_CO2E_KEYS, "gases", "per", "gwp", "source")
REFERENCE_FIELDS: Final = (
    "family",
    "country",
    "region",
    "year",
    "selectors",
    "energy_source",
    "per",
)
_YEARS: Final = (1990, 2100)

Terms = tuple[Term, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What an item is read with: the inventory, the day of the activity, where the item stands."""

    inventory: Inventory
    on: date | None
    where: str = ""

    def field(self, name: str) -> str:
        """The full name of a field, e.g. `items[2].factor`."""
        return f"{self.where}{name}"


def refuse_unknown(given: Mapping[str, object], known: Sequence[str], where: str) -> None:
    """Raises RejectedRecord `unknown_field` naming the first unknown key and the valid ones."""
    for name in given:
        if name not in known:
            raise RejectedRecord(
                "unknown_field",
                f"{where}{str(name)[:60]} is no field here",
                field=f"{where}{str(name)[:60]}",
                value=name,
                valid=", ".join(known),
            )


def missing(field: str, valid: str) -> RejectedRecord:
    return RejectedRecord("missing_field", f"{field} is missing", field=field, valid=valid)


def mapping(value: object, field: str) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    raise RejectedRecord(
        "not_an_object", f"{field} is no object", field=field, value=value, valid="an object"
    )


def number(value: object, field: str) -> Decimal:
    """A number that is zero or more; raises `negative_quantity` and the codes of decimal_from."""
    found = decimal_from(value, field=field)
    if found < 0:
        raise RejectedRecord(
            "negative_quantity",
            f"{field} {found} is below zero",
            field=field,
            value=found,
            valid="zero or more; a correction takes its line back",
        )
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class AppliedFactor:
    terms: Terms
    gas_terms: tuple[tuple[str, Terms], ...]
    gwp_set: str
    flags: tuple[str, ...]
    match: FactorMatch | None = None


def factor_unit(item: Mapping[str, Any], kind: Kind, reading: Reading) -> str:
    """The unit the factor is per; kgCO2e where the item states emissions themselves."""
    factor = item.get("factor")
    if kind.factor == "none":
        if factor is not None:
            raise RejectedRecord(
                "unknown_field",
                f"a term of kind {kind.name} states emissions: it has no factor",
                field=reading.field("factor"),
                valid="no factor",
            )
        return "kgCO2e"
    if factor is None:
        if kind.factor == "gas" and item.get("gas"):
            return "kg"
        if str(item.get("unit")) in CO2E_UNITS:
            return "kgCO2e"
        raise missing(
            reading.field("factor"), '{"kgco2e", "per"}, {"gases", "per"} or {"family", ...}'
        )
    stated = mapping(factor, reading.field("factor"))
    per = stated.get("per")
    if per is None:
        if "family" in stated and "unit" in item:
            return quantity_unit(item["unit"], field=reading.field("unit"))
        raise missing(reading.field("factor.per"), "the unit the factor is per")
    return quantity_unit(per, field=reading.field("factor.per"))


def in_unit(operands: Sequence[Operand], target: str, reading: Reading) -> tuple[Operand, ...]:
    """The operands, and the exact conversion that brings their product into `target`."""
    units = [(operand.unit, operand.divides) for operand in operands if operand.unit != "share"]
    number_of = conversion(units, target, field=reading.field("unit"))
    if number_of == 1:
        return tuple(operands)
    return (
        *operands,
        Operand(value=number_of, unit=f"{target} per ({written(units)})", label="unit conversion"),
    )


def applied_to(
    item: Mapping[str, Any],
    operands: Sequence[Operand],
    per: str,
    reading: Reading,
) -> AppliedFactor:
    factor = item.get("factor")
    if factor is None and per == "kgCO2e":
        chain = in_unit(operands, per, reading)
        return AppliedFactor(
            terms=(Term(operands=chain),),
            gas_terms=(),
            gwp_set=UNSTATED_SET,
            flags=(EMBEDDED_SET,),
        )
    if factor is None:
        chain = in_unit(operands, "kg", reading)
        gases = {str(item["gas"]): Decimal(1)}
        return _by_gases(chain, gases, "kg", reading.inventory.policy.gwp_set, "", reading)
    stated: Mapping[str, Any] = factor
    if "family" in stated:
        return _by_reference(stated, operands, per, item, reading)
    refuse_unknown(stated, STATED_FIELDS, reading.field("factor."))
    chain = in_unit(operands, per, reading)
    source = str(stated.get("source", "as stated by the activity"))
    named = [name for name in (*_CO2E_KEYS, "gases") if name in stated]
    if len(named) != 1:
        raise missing(reading.field("factor"), f"one of {', '.join((*_CO2E_KEYS, 'gases'))}")
    gwp_set = str(stated["gwp"]) if "gwp" in stated else None
    if named[0] == "gases":
        return _stated_gases(stated, chain, per, gwp_set, source, reading)
    return _stated_co2e(named[0], stated, chain, per, gwp_set, source, reading)


def _factor_value(value: object, field: str) -> Decimal:
    found = decimal_from(value, field=field)
    if found < 0:
        raise RejectedRecord(
            "negative_factor",
            f"{field} {found} is below zero: uptake, removals and avoided emissions enter no scope",
            field=field,
            value=found,
            valid="zero or more",
        )
    return found


def _known_set(gwp_set: str, field: str, reading: Reading) -> str:
    sets = reading.inventory.book.gwp.sets
    if gwp_set not in sets:
        raise RejectedRecord(
            "unknown_gwp_set",
            f"{gwp_set[:60]!r} is no set of global warming potentials",
            field=field,
            value=gwp_set,
            valid=", ".join(sets),
        )
    return gwp_set


def _stated_co2e(
    name: str,
    stated: Mapping[str, Any],
    chain: tuple[Operand, ...],
    per: str,
    gwp_set: str | None,
    source: str,
    reading: Reading,
) -> AppliedFactor:
    unit = _CO2E_KEYS[name]
    value = _factor_value(stated[name], reading.field(f"factor.{name}"))
    factor = Operand(value=value, unit=f"{unit} per {per}", label="emission factor", source=source)
    operands = (*chain, factor)
    if unit != "kgCO2e":
        operands = (
            *operands,
            Operand(value=CO2E_UNITS[unit], unit=f"kgCO2e per {unit}", label="unit conversion"),
        )
    embedded = UNSTATED_SET
    if gwp_set is not None:
        embedded = _known_set(gwp_set, reading.field("factor.gwp"), reading)
    is_same = embedded == reading.inventory.policy.gwp_set
    return AppliedFactor(
        terms=(Term(operands=operands),),
        gas_terms=(),
        gwp_set=embedded,
        flags=(STATED,) if is_same else (STATED, EMBEDDED_SET),
    )


def _stated_gases(
    stated: Mapping[str, Any],
    chain: tuple[Operand, ...],
    per: str,
    gwp_set: str | None,
    source: str,
    reading: Reading,
) -> AppliedFactor:
    field = reading.field("factor.gases")
    listed = mapping(stated["gases"], field)
    if not listed:
        raise missing(field, "kg of each gas per unit by its name")
    gases = {gas: _factor_value(kg, f"{field}.{gas}") for gas, kg in listed.items()}
    policy_set = reading.inventory.policy.gwp_set
    in_set = _known_set(gwp_set or policy_set, reading.field("factor.gwp"), reading)
    applied = _by_gases(chain, gases, per, in_set, source, reading)
    flags = {*applied.flags, STATED, *([OTHER_SET] if in_set != policy_set else [])}
    return AppliedFactor(
        terms=applied.terms,
        gas_terms=applied.gas_terms,
        gwp_set=in_set,
        flags=tuple(sorted(flags)),
    )


def _by_gases(
    chain: tuple[Operand, ...],
    gases: Mapping[str, Decimal],
    per: str,
    gwp_set: str,
    source: str,
    reading: Reading,
) -> AppliedFactor:
    """Each gas by its mass, and by its potential in the figure; memo gases only by their mass."""
    terms: list[Term] = []
    gas_terms: list[tuple[str, Terms]] = []
    flags: set[str] = set()
    for gas, kg in sorted(gases.items()):
        mass = chain
        if (kg, per) != (Decimal(1), "kg"):
            mass = (
                *chain,
                Operand(
                    value=kg, unit=f"kg {gas} per {per}", label="emission factor", source=source
                ),
            )
        gas_terms.append((gas, (Term(operands=mass),)))
        if gas in MEMO_GASES:
            continue
        potential = reading.inventory.book.gwp.potential(gas, gwp_set)
        weight = Operand(
            value=potential.value,
            unit=f"kgCO2e per kg {gas}",
            label=f"global warming potential, {gwp_set}",
            source=potential.source_id,
        )
        terms.append(Term(operands=(*mass, weight)))
        flags.update({potential.flag} if potential.flag else ())
    if not terms:
        zero = Operand(value=Decimal(0), unit="kgCO2e", label="memo gases enter no total")
        terms.append(Term(operands=(zero,)))
    return AppliedFactor(
        terms=tuple(terms), gas_terms=tuple(gas_terms), gwp_set=gwp_set, flags=tuple(sorted(flags))
    )


def _by_reference(
    stated: Mapping[str, Any],
    operands: Sequence[Operand],
    per: str,
    item: Mapping[str, Any],
    reading: Reading,
) -> AppliedFactor:
    refuse_unknown(stated, REFERENCE_FIELDS, reading.field("factor."))
    inventory = reading.inventory
    match = _from_the_activity(_match(stated, per, reading), reading)
    if match.boundary_substitute and inventory.policy.refuse_boundary_substitutes:
        raise RejectedRecord(
            "boundary_substitute_refused",
            f"{match.factor.factor_id} is a life-cycle figure, which the policy refuses",
            field=reading.field("factor"),
            value=match.factor.factor_id,
            valid="a factor of direct emissions",
        )
    chain = in_unit(operands, match.factor.unit, reading)
    applied = apply_factor(
        chain, match.factor.unit, match, inventory.book.gwp, inventory.policy.gwp_set
    )
    return AppliedFactor(
        terms=applied.terms,
        gas_terms=applied.gas_terms,
        gwp_set=applied.gwp_set,
        flags=(*applied.flags, *_price_flags(match, stated, reading)),
        match=match,
    )


def _from_the_activity(match: FactorMatch, reading: Reading) -> FactorMatch:
    """The same match with its gap from the day of the activity, also where the reference names the
    year. Raises RejectedRecord `factor_vintage_gap` beyond the policy.
    """
    gap = None if reading.on is None else gap_of(match.factor, reading.on.year)
    if reading.on is None or gap is None or gap == match.vintage_gap_years:
        return match
    limit = reading.inventory.policy.max_vintage_gap_years
    if abs(gap) > limit:
        raise RejectedRecord(
            "factor_vintage_gap",
            f"{match.factor.factor_id} is {abs(gap)} years from the activity",
            field=reading.field("factor.year"),
            value=reading.on.year + gap,
            valid=f"a year at most {limit} from {reading.on.year}",
        )
    flags = {*match.flags, "vintage_gap"} if gap else set(match.flags) - {"vintage_gap"}
    place, _, _ = match.how_matched.rpartition("/")
    return replace(
        match,
        how_matched=f"{place}/{vintage_word(gap)}",
        vintage_gap_years=gap,
        flags=tuple(sorted(flags)),
    )


def _price_flags(
    match: FactorMatch, stated: Mapping[str, Any], reading: Reading
) -> tuple[str, ...]:
    """Says that money of one year was multiplied by a factor per money of another, as it stands.

    A stated activity names no country whose prices it was paid in, so nothing is deflated here.
    """
    if not match.factor.currency:
        return ()
    spent = _day(stated, reading) if reading.on is None else reading.on
    return () if match.factor.price_year == spent.year else (OTHER_PRICES,)


def _match(stated: Mapping[str, Any], per: str, reading: Reading) -> FactorMatch:
    family = str(stated["family"])
    on = _day(stated, reading)
    country = None if stated.get("country") is None else str(stated["country"])
    region = None if stated.get("region") is None else str(stated["region"])
    book, policy = reading.inventory.book, reading.inventory.policy
    if family in ELECTRICITY_FAMILIES:
        if country is None:
            raise missing(reading.field("factor.country"), "an ISO 3166-1 alpha-2 code")
        source = "grid" if family == "grid" else str(stated.get("energy_source", ""))
        query = FactorQuery(
            energy_source=source, country_iso2=country, activity_date=on, region=region
        )
        return book.match(query, policy.max_vintage_gap_years)
    selectors = mapping(stated.get("selectors", {}), reading.field("factor.selectors"))
    return book.find(
        ActivityQuery(
            family=family,
            selectors=tuple(sorted((str(name), str(text)) for name, text in selectors.items())),
            activity_date=on,
            country_iso2=country,
            region=region,
            unit=per,
        ),
        policy,
    )


def _day(stated: Mapping[str, Any], reading: Reading) -> date:
    """The day a factor is looked for: in the year the reference names, else the activity's own."""
    year = stated.get("year")
    if year is None:
        if reading.on is None:
            raise missing("date", "the day of the activity, or the year of the factor")
        return reading.on
    found = decimal_from(year, field=reading.field("factor.year"))
    first, last = _YEARS
    if not first <= found <= last or found != int(found):
        raise RejectedRecord(
            "out_of_range",
            f"{found} is no year a factor can be of",
            field=reading.field("factor.year"),
            value=found,
            valid=f"a year from {first} to {last}",
        )
    return date(int(found), 1, 1)
