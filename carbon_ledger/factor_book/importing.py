"""Licensed factor sets: somebody else's table, by a mapping, as factors beside the shipped ones.

Belongs here: what a mapping says, and what a row of the table becomes. Does not: reading files
(cli), the choice of a factor, storing.

A set keeps its publisher's words: own families, own selector columns. Publisher, licence and source
id are required, so that every figure can be traced and none is mistaken for a free one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any, Final, cast

from carbon_ledger.countries import require_country
from carbon_ledger.errors import BrokenInvariant, CarbonError, ConfigurationError, RejectedRecord
from carbon_ledger.factor_book.book import FactorBook
from carbon_ledger.factor_book.rows import (
    ELECTRICITY_FAMILIES,
    ENERGY_SOURCES,
    GRID,
    Factor,
    FactorRelease,
    check_factor,
    id_word,
    make_release,
    sealed,
)
from carbon_ledger.greenhouse import GWP_SETS
from carbon_ledger.quantities import decimal_from
from carbon_ledger.units import canonical_unit

NUMBERS: Final = (
    "kgco2e_per_unit",
    "kg_co2_per_unit",
    "kg_ch4_per_unit",
    "kg_n2o_per_unit",
    "kg_co2_biogenic_per_unit",
    "upstream_kgco2e_per_unit",
    "td_kgco2e_per_unit",
    "td_loss_pct",
)
WORDS: Final = (
    "country_iso2",
    "region",
    "region_name",
    "year",
    "year_kind",
    "unit",
    "basis",
    "method",
    "boundary",
    "stage",
    "gas_coverage",
    "gwp_set",
    "ch4_kind",
    "currency",
    "price_year",
    "price_basis",
    "has_other_gases",
    "energy_source",
    "technology",
    "statistic",
    "intensity_basis",
    "note",
)
FIELDS: Final = (*NUMBERS, *WORDS)
REQUIRED: Final = ("kgco2e_per_unit", "unit", "gwp_set")
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "year_kind": ("data", "edition", "none"),
    "gas_coverage": ("CO2e", "CO2", "CH4+N2O"),
    "gwp_set": GWP_SETS,
    "ch4_kind": ("", "fossil", "non_fossil"),
    "price_basis": ("", "purchaser", "basic"),
    "intensity_basis": ("", "generation", "consumption"),
    "has_other_gases": ("", "yes", "no"),
    "energy_source": ("", *ENERGY_SOURCES),
}
_DEFAULTS: Final = {"gas_coverage": "CO2e", "statistic": "published"}
_KEYS: Final = (
    "publisher",
    "dataset",
    "source_id",
    "licence",
    "family",
    "columns",
    "constants",
    "selectors",
    "values",
)
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_YEAR: Final = re.compile(r"(19|20)[0-9]{2}")


@dataclass(frozen=True, kw_only=True)
class ImportMapping:
    """How a licensed table becomes factors.

    `columns`: our field to their column; `constants`: our field to one text for all rows;
    `selectors`: our selector column to their column; `values`: by field, their word to ours.
    """

    publisher: str
    dataset: str
    source_id: str
    licence: str
    family: str
    columns: Mapping[str, str]
    selectors: Mapping[str, str]
    constants: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def needed_columns(self) -> frozenset[str]:
        """Their columns the table must have."""
        return frozenset({*self.columns.values(), *self.selectors.values()})


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Why a row cannot be taken: `row` is its line in the table, the heading being line 1."""

    row: int
    column: str
    value: str
    code: str
    message: str

    def __str__(self) -> str:
        return f"row {self.row}, {self.column} {self.value!r}: {self.message}"


def parse_mapping(content: object) -> ImportMapping:
    """The mapping of a parsed YAML file; ConfigurationError `import_mapping` naming the key."""
    top = _texts("the mapping", content, nested=True)
    unknown = sorted(set(top) - set(_KEYS))
    if unknown:
        raise _mapping_fault(", ".join(unknown), "is no key of a mapping", ", ".join(_KEYS))
    for key in ("publisher", "dataset", "source_id", "licence", "family"):
        if not isinstance(top.get(key), str) or not str(top[key]).strip():
            raise _mapping_fault(key, "is missing or empty", "a text")
    for key in ("source_id", "family"):
        if not _NAME.fullmatch(top[key]):
            raise _mapping_fault(key, f"{top[key]!r} is no name", "lower-case letters, digits, _")
    columns = _texts("columns", top.get("columns"))
    constants = _texts("constants", top.get("constants", {}))
    for key, names in (("columns", columns), ("constants", constants)):
        for name in names:
            if name not in FIELDS:
                raise _mapping_fault(f"{key}.{name}", "is no field", ", ".join(FIELDS))
    twice = sorted(set(columns) & set(constants))
    if twice:
        raise _mapping_fault(", ".join(twice), "is both a column and a constant", "one of the two")
    missing = [name for name in REQUIRED if name not in columns and name not in constants]
    if missing:
        raise _mapping_fault("columns", f"{', '.join(missing)} is missing", ", ".join(REQUIRED))
    selectors = _texts("selectors", top.get("selectors", {}))
    for name in selectors:
        if not _NAME.fullmatch(name):
            raise _mapping_fault(f"selectors.{name}", "is no name", "lower-case letters, digits, _")
    if not selectors and top["family"] not in ELECTRICITY_FAMILIES:
        raise _mapping_fault("selectors", "is empty", "the columns by which a row is found")
    values = {
        name: _texts(f"values.{name}", words)
        for name, words in _texts("values", top.get("values", {}), nested=True).items()
    }
    return ImportMapping(
        publisher=top["publisher"],
        dataset=top["dataset"],
        source_id=top["source_id"],
        licence=top["licence"],
        family=top["family"],
        columns=columns,
        selectors=selectors,
        constants=constants,
        values=values,
    )


def _texts(where: str, content: object, *, nested: bool = False) -> dict[str, Any]:
    """A mapping of texts; whole numbers are taken as they are written, fractions are not."""
    if not isinstance(content, Mapping):
        raise _mapping_fault(where, "is missing or no mapping", "names and texts")
    texts: dict[str, Any] = {}
    for key, value in content.items():
        if not isinstance(key, str):
            raise _mapping_fault(f"{where}.{key}", "is no text", "a name; quote it")
        if isinstance(value, Mapping) and nested:
            texts[key] = value
        elif isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
            texts[key] = str(value)
        else:
            raise _mapping_fault(f"{where}.{key}", f"{value!r} is no text", "a text; quote numbers")
    return texts


def _mapping_fault(key: str, what: str, valid: str) -> ConfigurationError:
    return ConfigurationError("import_mapping", f"{key}: {what}; valid: {valid}")


def imported(
    mapping: ImportMapping, rows: Iterable[Mapping[Any, Any]]
) -> tuple[list[Factor], list[Problem]]:
    """Every row as a factor of version 1, or what is wrong with it; rows are read once."""
    factors: list[Factor] = []
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    for line, row in enumerate(rows, start=2):
        if None in row.values() or None in row:
            problems.append(
                Problem(
                    row=line,
                    column="",
                    value="",
                    code="row_cells",
                    message="has too few or too many cells; valid: as many as the heading",
                )
            )
            continue
        try:
            factor = _factor_of(mapping, row)
        except RejectedRecord as refusal:
            problems.append(
                Problem(
                    row=line,
                    column=mapping.columns.get(refusal.field or "", refusal.field or ""),
                    value=refusal.value or "",
                    code=refusal.code,
                    message=f"{refusal.message}; valid: {refusal.valid}",
                )
            )
            continue
        if factor.factor_id in seen:
            problems.append(
                Problem(
                    row=line,
                    column=", ".join(mapping.selectors.values()),
                    value=factor.factor_id,
                    code="row_twice",
                    message=f"is row {seen[factor.factor_id]} again; valid: one row per selectors, "
                    "place, year and unit",
                )
            )
            continue
        seen[factor.factor_id] = line
        factors.append(factor)
    return factors, problems


def _factor_of(mapping: ImportMapping, row: Mapping[str, str]) -> Factor:
    """One row; raises RejectedRecord with the field at fault."""
    texts = {name: _word(mapping, row, name) for name in FIELDS}
    for name, choices in _CHOICES.items():
        if texts[name] not in choices and not (name not in REQUIRED and not texts[name]):
            raise _refused(name, texts[name], f"one of {', '.join(filter(None, choices))}")
    numbers = {name: _number(name, texts[name]) for name in NUMBERS}
    if numbers["kgco2e_per_unit"] is None:
        raise _refused("kgco2e_per_unit", "", "a number; leave out rows without a figure")
    selectors = tuple((name, row[column]) for name, column in mapping.selectors.items())
    year = _year("year", texts["year"])
    is_electricity = mapping.family in ELECTRICITY_FAMILIES
    content = {
        **_place_of(mapping, texts),
        **numbers,
        "unit": _unit(texts),
        "statistic": texts["statistic"],
        "year": year,
        "year_kind": texts["year_kind"] or ("none" if year is None else "data"),
        "valid_from": None if year is None else date(year, 1, 1),
        "valid_to": None if year is None else date(year + 1, 1, 1),
        "basis": texts["basis"] or texts["stage"] or ("location" if is_electricity else "licensed"),
        "method": texts["method"] or texts["boundary"],
        "boundary": texts["boundary"],
        "intensity_basis": texts["intensity_basis"],
        "gas_coverage": texts["gas_coverage"],
        "gwp_set": texts["gwp_set"],
        "gwp_basis": texts["gwp_set"],
        "note": texts["note"] or None,
        "ch4_kind": texts["ch4_kind"],
        "stage": texts["stage"],
        "currency": texts["currency"],
        "price_year": _year("price_year", texts["price_year"]),
        "price_basis": texts["price_basis"],
        "has_other_gases": texts["has_other_gases"] == "yes",
        "selectors": selectors,
    }
    factor = Factor(
        factor_id=_id_of(mapping, content),
        version=1,
        family=cast(Any, mapping.family),
        publisher=mapping.publisher,
        dataset=mapping.dataset,
        source_id=mapping.source_id,
        co2e_origin="published",
        quality_flags=("licensed_set",),
        licence=mapping.licence,
        sha256="",
        **content,
    )
    return _checked(sealed(factor))


def _place_of(mapping: ImportMapping, texts: Mapping[str, str]) -> dict[str, Any]:
    """Where the factor is of, and of which source of electricity."""
    country = texts["country_iso2"]
    return {
        "country_iso2": require_country(country) if country else None,
        "region": texts["region"] or None,
        "region_name": texts["region_name"] or None,
        "energy_source": texts["energy_source"] or (GRID if mapping.family == GRID else ""),
        "technology": texts["technology"] or None,
    }


def _unit(texts: Mapping[str, str]) -> str:
    """The canonical unit; of a factor per money, its currency."""
    currency, unit = texts["currency"], texts["unit"]
    if currency and unit != currency:
        raise _refused("unit", unit, f"the currency, {currency}")
    return unit if currency else canonical_unit(unit)


def _id_of(mapping: ImportMapping, content: Mapping[str, Any]) -> str:
    """The stable, readable id: family, place, year, selectors or energy source, unit, source."""
    place = content["region"] or content["country_iso2"] or "any"
    words = [id_word(text) for _, text in content["selectors"]]
    if mapping.family in ELECTRICITY_FAMILIES:
        words = [content["energy_source"], id_word(content["boundary"])]
    year = str(content["year"] or "any")
    unit = id_word(content["unit"])
    return ":".join([mapping.family, place, year, *words, unit, mapping.source_id])


def _checked(factor: Factor) -> Factor:
    """The factor if it can be used as it is; RejectedRecord naming the field if it cannot."""
    if factor.currency and (factor.price_year is None or not factor.price_basis):
        raise _refused(
            "price_year" if factor.price_year is None else "price_basis",
            factor.price_year or factor.price_basis,
            "price year and price basis of every factor per money",
        )
    try:
        check_factor(factor)
    except BrokenInvariant as fault:
        name = fault.code.removeprefix("factor_")
        raise _refused(name, getattr(factor, name, ""), fault.message) from fault
    return factor


def _word(mapping: ImportMapping, row: Mapping[str, str], name: str) -> str:
    """The text of one of our fields in a row, in our words."""
    if name in mapping.columns:
        text = row[mapping.columns[name]].strip()
        return mapping.values.get(name, {}).get(text, text)
    return mapping.constants.get(name, _DEFAULTS.get(name, ""))


def _number(name: str, text: str) -> Decimal | None:
    if not text:
        return None
    number = decimal_from(text, field=name)
    if number < 0:
        raise _refused(name, text, "a number that is not negative")
    return number


def _year(name: str, text: str) -> int | None:
    if not text:
        return None
    if not _YEAR.fullmatch(text):
        raise _refused(name, text, "a year from 1900 to 2099, or empty")
    return int(text)


def _refused(name: str, value: object, valid: str) -> RejectedRecord:
    return RejectedRecord(
        "import_value",
        f"{name} {str(value)[:60]!r} cannot be used",
        field=name,
        value=value,
        valid=valid,
    )


def merged_release(
    current: FactorRelease, mapping: ImportMapping, factors: Iterable[Factor]
) -> FactorRelease:
    """The current release and the imported factors, each the next version where it has changed.

    Rows of an earlier import that are not in this one stay. Raises RejectedRecord `import_tie` if
    an imported factor could not be told from one of another source, and `import_source` if the
    source id is that of another publisher or licence.
    """
    rows = {row.factor_id: row for row in sorted(current.rows, key=lambda row: row.version)}
    for row in rows.values():
        is_same = (row.publisher, row.licence) == (mapping.publisher, mapping.licence)
        if row.source_id == mapping.source_id and not is_same:
            raise RejectedRecord(
                "import_source",
                f"source {mapping.source_id!r} is of {row.publisher}, licence {row.licence}",
                field="source_id",
                value=mapping.source_id,
                valid="an id of its own for every source and licence",
            )
    taken = {_signature(row): row for row in rows.values() if row.source_id != mapping.source_id}
    for factor in factors:
        rival = taken.get(_signature(factor))
        if rival is not None:
            raise RejectedRecord(
                "import_tie",
                f"{factor.factor_id} could not be told from {rival.factor_id}",
                field="selectors",
                value=factor.factor_id,
                valid="a family or selectors of its own",
            )
        known = rows.get(factor.factor_id)
        if known is not None:
            same = sealed(replace(factor, version=known.version))
            factor = known if same == known else sealed(replace(factor, version=known.version + 1))
        rows[factor.factor_id] = factor
    name = current.release_id.rpartition("-")[0]
    parts = name.split("+")
    if mapping.source_id not in parts[1:]:
        name = "+".join([*parts, mapping.source_id])
    release = make_release(name, rows.values(), current.index_rows)
    _check_electricity(release)
    return release


def _signature(row: Factor) -> tuple[object, ...]:
    """What a query can tell rows apart by, beside their source."""
    return (row.family, row.selectors, row.country_iso2, row.region, row.year, row.unit) + (
        (row.factor_id,) if row.family in ELECTRICITY_FAMILIES else ()
    )


def _check_electricity(release: FactorRelease) -> None:
    """Ties of electricity are found by opening the book."""
    try:
        FactorBook.of(release)
    except CarbonError as fault:
        raise RejectedRecord(
            "import_tie",
            fault.message,
            field="family",
            valid="one figure per place, boundary and year",
        ) from fault
