"""A report as xBRL-JSON: the cells that the taxonomy has a name for, as facts.

Belongs here: facts, and that each is what its concept may be. Does not: names of the taxonomy
(esrs_profile), the taxonomy itself: nothing is fetched.

Format: Open Information Model 1.0 and xBRL-JSON 1.0 (https://xbrl.org/2021/xbrl-json). A percentage
is a fraction of the unit xbrli:pure, which the model writes by leaving the unit out
(oime:illegalPureUnit refuses it written out). A period ends at the midnight after its last day. A
fact without `decimals` is exact; quotients, which have 12 decimals, say so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

from carbon_ledger.errors import BrokenInvariant, ConfigurationError
from carbon_ledger.quantities import POSTED_SCALE, canonical_text
from carbon_ledger.reporting.esrs_profile import CONCEPTS, PREFIX, TAXONOMY, UNIT_OF, Concept
from carbon_ledger.reporting.tables import Cell, Dimension, Report, years_of

DOCUMENT_TYPE: Final = "https://xbrl.org/2021/xbrl-json"
ENTRY_POINT: Final = f"{TAXONOMY}/esrs_all.xsd"
NAMESPACES: Final[dict[str, str]] = {
    PREFIX: TAXONOMY,
    "utr": "http://www.xbrl.org/2009/utr",
    "iso4217": "http://www.xbrl.org/2003/iso4217",
    "lei": "http://standards.iso.org/iso/17442",
    "organization": "urn:carbon-ledger:organization",
}
# By type of a concept: the units our figures of it may have. tCO2 of biogenic carbon dioxide is a
# tCO2e figure of the taxonomy: its potential is 1.
UNITS: Final[dict[str, str]] = {
    "ghg": r"tCO2e?",
    "energy": r"MWh",
    "percent": r"%",
    "monetary": r"(?P<currency>[A-Z]{3})",
    "ghg_intensity": r"tCO2e/(?P<currency>[A-Z]{3})",
    "energy_intensity": r"MWh/(?P<currency>[A-Z]{3})",
    "text": r"",
}
PERCENT_DIGITS: Final = 2
LEI: Final = re.compile(r"[0-9A-Z]{18}[0-9]{2}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]")
LEAP_DAY: Final = (2, 29)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """One fact: its id, dimensions in the model's words, value, decimals (None: exact)."""

    fact_id: str
    cell_id: str
    dimensions: tuple[tuple[str, str], ...]
    value: str
    decimals: int | None = None

    def as_plain(self) -> dict[str, Any]:
        """The fact as xBRL-JSON has it."""
        plain: dict[str, Any] = {"value": self.value, "dimensions": dict(self.dimensions)}
        if self.decimals is not None:
            plain["decimals"] = self.decimals
        return plain


def report_to_xbrl_json(report: Report, *, lei: str = "") -> str:
    """The report's facts as xBRL-JSON, the same text for the same report.

    `lei` is the legal entity identifier (ISO 17442) of the organization where one is registered;
    without, its id in this ledger names it, in a scheme of our own. Raises ConfigurationError
    `no_facts` (no cell has a concept) and `lei`, BrokenInvariant as `facts_of` does.
    """
    entity = _entity(report, lei)
    facts = facts_of(report, entity)
    if not facts:
        raise ConfigurationError(
            "no_facts",
            f"no figure of this report by profile {report.profile!r} has a concept of a taxonomy; "
            "valid are reports by esrs_2023 that have figures",
        )
    used = {PREFIX, entity.partition(":")[0]}
    for one in facts:
        unit = dict(one.dimensions).get("unit", "")
        used |= {measure.partition(":")[0] for measure in unit.split("/") if measure}
    document = {
        "documentInfo": {
            "documentType": DOCUMENT_TYPE,
            "namespaces": {prefix: NAMESPACES[prefix] for prefix in sorted(used)},
            "taxonomy": [ENTRY_POINT],
        },
        "facts": {one.fact_id: one.as_plain() for one in facts},
    }
    return json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def facts_of(report: Report, entity: str) -> list[Fact]:
    """The facts of all cells that have a concept and a value, in the order of the report.

    Raises BrokenInvariant: `unknown_concept`, `datapoint_of_concept`, `value_of_concept`,
    `unit_of_concept`, `axis_of_concept`, `fact_of_several_years`, and `fact_twice` for two cells
    that say different things of the same concept and dimensions. Cells that say the same thing
    twice are one fact.
    """
    cells = report.cells()
    found: dict[tuple[tuple[str, str], ...], Fact] = {}
    ids: dict[str, str] = {}
    for cell in cells.values():
        if not cell.concept or cell.value is None:
            continue
        fact = _fact(cell, report, cells, entity)
        known = found.setdefault(fact.dimensions, fact)
        if known.value != fact.value:
            raise BrokenInvariant(
                "fact_twice",
                f"{known.cell_id} and {cell.cell_id} are one fact with the values {known.value} "
                f"and {fact.value}",
            )
        if ids.setdefault(known.fact_id, known.cell_id) != known.cell_id:
            raise BrokenInvariant("fact_twice", f"two facts are called {known.fact_id}")
    return list(found.values())


def _fact(cell: Cell, report: Report, cells: Mapping[str, Cell], entity: str) -> Fact:
    concept = CONCEPTS.get(cell.concept)
    if concept is None:
        raise _broken("unknown_concept", cell, f"{cell.concept[:90]!r} is not in the taxonomy")
    if cell.datapoint not in (concept.datapoint, *concept.former):
        what = f"datapoint {cell.datapoint!r}; of {concept.name} it is {concept.datapoint!r}"
        raise _broken("datapoint_of_concept", cell, what)
    unit = _unit(cell, concept)
    value, decimals = _value(cell, concept)
    dimensions = {
        "concept": f"{PREFIX}:{concept.name}",
        "entity": entity,
        "period": _period(cell, concept, report, cells),
    }
    if unit:
        dimensions["unit"] = unit
    for one in cell.dimensions:
        name = f"{PREFIX}:{one.axis}"
        if name in dimensions:
            raise _broken("axis_of_concept", cell, f"axis {one.axis} twice")
        dimensions[name] = _member(cell, concept, one)
    return Fact(
        fact_id=_fact_id(cell.cell_id),
        cell_id=cell.cell_id,
        dimensions=tuple(sorted(dimensions.items())),
        value=value,
        decimals=decimals,
    )


def _broken(code: str, cell: Cell, what: str) -> BrokenInvariant:
    return BrokenInvariant(code, f"{cell.cell_id}: {what}")


def _unit(cell: Cell, concept: Concept) -> str:
    """The unit as the model writes it; "" for text and for xbrli:pure."""
    match = re.fullmatch(UNITS[concept.item], cell.unit)
    if match is None:
        what = f"unit {cell.unit!r} of {concept.name}, whose type is {concept.item}"
        raise _broken("unit_of_concept", cell, what)
    unit = UNIT_OF[concept.item].format(currency=match.groupdict().get("currency", ""))
    return "" if unit == "xbrli:pure" else unit


def _value(cell: Cell, concept: Concept) -> tuple[str, int | None]:
    if concept.item == "text":
        if not isinstance(cell.value, str):
            raise _broken("value_of_concept", cell, f"{concept.name} is text")
        return cell.value, None
    if not isinstance(cell.value, Decimal):
        raise _broken("value_of_concept", cell, f"{concept.name} is a figure")
    decimals = POSTED_SCALE if cell.operation == "quotient" else None
    if concept.item != "percent":
        return canonical_text(cell.value), decimals
    fraction = cell.value.scaleb(-PERCENT_DIGITS)
    return canonical_text(fraction), None if decimals is None else decimals + PERCENT_DIGITS


def _member(cell: Cell, concept: Concept, one: Dimension) -> str:
    if one.axis not in concept.axes:
        raise _broken("axis_of_concept", cell, f"{concept.name} has no axis {one.axis}")
    if one.is_typed != one.axis.endswith("TypedAxis"):
        kind = "typed" if one.axis.endswith("TypedAxis") else "explicit"
        raise _broken("axis_of_concept", cell, f"axis {one.axis} is {kind}")
    if one.is_typed:
        return one.member
    if not _NAME.fullmatch(one.member):
        raise _broken("axis_of_concept", cell, f"{one.member[:60]!r} is no member of {one.axis}")
    return f"{PREFIX}:{one.member}"


def year_of(cell: Cell, cells: Mapping[str, Cell], fiscal_year: int) -> int:
    """The year a figure is of: its own, otherwise that of what it was made of, otherwise the
    report's; BrokenInvariant `fact_of_several_years`.
    """
    years = years_of(cell, cells)
    if len(years) > 1:
        named = ", ".join(str(year) for year in sorted(years))
        raise _broken("fact_of_several_years", cell, f"made of figures of {named}")
    return next(iter(years), fiscal_year)


def _period(cell: Cell, concept: Concept, report: Report, cells: Mapping[str, Cell]) -> str:
    years = year_of(cell, cells, report.fiscal_year) - report.fiscal_year
    begin, end = (_shifted(day, years) for day in (report.period_begin, report.period_end))
    if concept.period == "instant":
        return f"{end.isoformat()}T00:00:00"
    return f"{begin.isoformat()}T00:00:00/{end.isoformat()}T00:00:00"


def _shifted(day: date, years: int) -> date:
    """The same day so many years later; the last of February for a leap day."""
    if (day.month, day.day) == LEAP_DAY:
        return date(day.year + years, 3, 1) - timedelta(days=1)
    return day.replace(year=day.year + years)


def _fact_id(cell_id: str) -> str:
    """The cell id as a name of XML, which fact ids become there: one to one."""

    def written(match: re.Match[str]) -> str:
        return "." if match[0] == "/" else f"_x{ord(match[0]):X}_"

    return "c." + _NOT_IN_A_NAME.sub(written, cell_id)


def _entity(report: Report, lei: str) -> str:
    """The organization as scheme and identifier."""
    if not lei:
        return f"organization:{quote(report.organization_id, safe='-._~')}"
    if not is_lei(lei):
        raise ConfigurationError(
            "lei",
            f"{lei[:40]!r} is no legal entity identifier; valid are 20 characters of ISO "
            "17442 whose check digits agree",
        )
    return f"lei:{lei}"


def is_lei(text: str) -> bool:
    """Whether a text is a legal entity identifier: 20 characters, check digits by ISO 7064 MOD
    97-10 (ISO 17442).
    """
    return bool(LEI.fullmatch(text)) and int("".join(str(int(one, 36)) for one in text)) % 97 == 1
