"""CDP 7.12 to 7.23: biogenic carbon, and scopes 1 and 2 by gas, country, site, activity, entity.

Belongs here: those answers. Every breakdown takes every entry of its whole once: what is not
registered or not given apart is a row of its own, so that each adds up to 7.6 and 7.7. Does not:
the whole (cdp_emissions), that it adds up (tie_outs), what is asked (cdp_questions).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final

from carbon_ledger.countries import COUNTRY_NAMES
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.greenhouse import CH4, CO2, CO2_LAND_USE, MEMO_GASES, N2O
from carbon_ledger.quantities import PRODUCT
from carbon_ledger.reporting.cdp_answers import GROSS, Answers
from carbon_ledger.reporting.cdp_profile import cell_id
from carbon_ledger.reporting.cdp_questions import LISTS, MANY, NO, OTHER, YES
from carbon_ledger.reporting.cube import (
    SCOPE_1,
    SCOPE_2_LOCATION,
    SCOPE_3,
    CubeRow,
    Measure,
    Selection,
    selected,
    total_of,
)
from carbon_ledger.reporting.esrs_e1_6_groups import GROUP_ROWS, NOT_REGISTERED, group_of
from carbon_ledger.reporting.inputs import SitePlace
from carbon_ledger.reporting.tables import PER_KILOGRAM, Cell, Row, Table

NOT_APART: Final = "not given apart by the factor"
ROUNDED: Final = "rounding of the gases"
REMAINDER: Final = "remainder"
# A gas is rounded to 12 decimals in every entry and then weighed with up to 25,200: what the gases
# of an entry may weigh more or less than its own figure, in tonnes.
ROUNDED_PER_ENTRY: Final = Decimal("1E-10")
FIRST: Final = ("scope_1",)
SECOND: Final = ("scope_2_location", "scope_2_market")

GWP_REFERENCES: Final[Mapping[str, str]] = {
    "AR6": "IPCC Sixth Assessment Report (AR6 - 100 year)",
    "AR5": "IPCC Fifth Assessment Report (AR5 - 100 year)",
    "AR4": "IPCC Fourth Assessment Report (AR4 - 100 year)",
    "SAR": "IPCC Second Assessment Report (SAR - 100 year)",
}
# Names of gases and blends, and the row of 7.15.1 they are in; what fits none is in the last one.
GAS_ROWS: Final[Mapping[str, str]] = {
    "CO2": r"CO2(_land_use)?",
    "CH4": r"CH4(_fossil|_non_fossil)?",
    "N2O": r"N2O",
    "HFCs": r"HFC.*|R-?[45][0-9]{2}[A-Z]?",
    "PFCs": r"PFC.*|CF4|c?C[2-9][0-9]?F[0-9]+",
    "SF6": r"SF6",
    "NF3": r"NF3",
}
# Potentials of an entry are the inventory's: it is made with them, or of carbon dioxide alone.
NO_POTENTIAL: Final = "not_applicable"

# What an activity type begins with, and the activity it is in 7.17.3 and 7.20.3; a type that begins
# with none of these is an activity of its own.
ACTIVITIES: Final[Mapping[str, tuple[str, ...]]] = {
    "Stationary combustion": ("fuel:", "stationary_"),
    "Mobile combustion": ("vehicle_fuel:", "vehicle_distance:", "unallocated_fuel:", "mobile_"),
    "Process emissions": ("process_",),
    "Fugitive emissions": ("refrigerants", "fugitive_"),
    "Purchased electricity": ("electricity:", "purchased_electricity", "self_generated:"),
    "Electricity of vehicles": ("vehicle_electricity",),
    "Purchased heat": ("heat", "purchased_heat"),
    "Purchased steam": ("steam", "purchased_steam"),
    "Purchased cooling": ("cooling", "purchased_cooling"),
}
KeyOf = Callable[[CubeRow], str]
Narrowed = Callable[[Selection], Selection]


def breakdowns(answers: Answers) -> tuple[Table, ...]:
    """The tables of 7.12 to 7.23.1."""
    return (
        *_biogenic(answers),
        *_gases(answers),
        _countries(answers),
        _provided(answers, "7.17"),
        _divisions(answers, "7.17.1", FIRST),
        _facilities(answers, "7.17.2", FIRST),
        _activities(answers, "7.17.3", FIRST),
        _provided(answers, "7.20"),
        _divisions(answers, "7.20.1", SECOND),
        _facilities(answers, "7.20.2", SECOND),
        _activities(answers, "7.20.3", SECOND),
        _groups(answers),
        *_subsidiaries(answers),
    )


# ---- biogenic carbon


def _biogenic(answers: Answers) -> tuple[Table, Table]:
    row_id = "biogenic"
    cells = {
        scope: answers.maker.of_entries(
            cell_id("7.12.1", scope, "emissions"),
            answers.year,
            selection,
            measure="kg_co2_biogenic",
            unit="tCO2",
        )
        for scope, selection in (
            ("scope_1", SCOPE_1),
            ("scope_2", SCOPE_2_LOCATION),
            ("scope_3", SCOPE_3),
        )
    }
    figure = answers.maker.sum(
        cell_id("7.12.1", row_id, "emissions"), (cells["scope_1"],), unit="tCO2"
    )
    is_relevant = any(bool(one.value) for one in cells.values())
    relevant = answers.text("7.12", "answer", "relevant", YES if is_relevant else NO)
    words = "of scope 1, outside the scopes; scope 2 (location-based) {} t, scope 3 {} t".format(
        *(_written(cells[scope]) for scope in ("scope_2", "scope_3"))
    )
    comment = answers.explained("7.12.1", row_id, "comment", words)
    rows = (Row(row_id=row_id, label="Row 1", cells={"emissions": figure, "comment": comment}),)
    return (
        answers.table("7.12", (Row(row_id="answer", label="Row 1", cells={"relevant": relevant}),)),
        answers.table("7.12.1", rows if is_relevant else ()),
    )


def _written(cell: Cell) -> str:
    return "no" if not isinstance(cell.value, Decimal) else f"{cell.value.normalize(PRODUCT):f}"


# ---- gases


def gas_row(gas: str) -> str:
    """The row of 7.15.1 that a gas or blend is in."""
    for row_id, names in GAS_ROWS.items():
        if re.fullmatch(names, gas):
            return row_id
    return OTHER


def given_apart(answers: Answers) -> Selection:
    """Scope 1 entries whose gases are given, weighed with the inventory's potentials."""
    sets = (answers.inputs.policy.gwp_set, NO_POTENTIAL)
    return replace(SCOPE_1, gas_splits=("available",), gwp_sets=sets)


def _gases(answers: Answers) -> tuple[Table, Table]:
    apart = given_apart(answers)
    parts: dict[str, list[Cell]] = defaultdict(list)
    for gas, selection, measure in _gases_of(answers, apart):
        potential = _potential(answers, gas)
        if potential is None:
            continue
        cell = answers.maker.of_entries(
            cell_id("7.15.1", gas_row(gas), gas),
            answers.year,
            selection,
            measure=measure,
            scale=PRODUCT.multiply(potential, PER_KILOGRAM),
            note=f"kg {gas} x {potential:f} kgCO2e per kg ({answers.inputs.policy.gwp_set})",
        )
        parts[gas_row(gas)].append(cell)
    reference = GWP_REFERENCES.get(
        answers.inputs.policy.gwp_set, f"{OTHER}: {answers.inputs.policy.gwp_set}"
    )
    rows = []
    for gas in LISTS["gas"]:
        if parts[gas]:
            row_id, label = (gas, gas) if gas != OTHER else _others(parts[gas])
            cells = {
                "scope_1": answers.maker.sum(cell_id("7.15.1", row_id, "scope_1"), parts[gas]),
                "gwp_reference": answers.text("7.15.1", row_id, "gwp_reference", reference),
            }
            rows.append(Row(row_id=row_id, label=label, cells=cells))
    remaining = _not_apart(answers, apart, [one for cells in parts.values() for one in cells])
    if remaining is not None:
        rows.append(remaining)
    answer = answers.text("7.15", "answer", "answer", YES if any(parts.values()) else NO)
    notes = (
        f"'{NOT_APART}' is scope 1 whose factor gives no gases or was published with other "
        "potentials, and what its figure has beyond the gases that are given",
    )
    return (
        answers.table("7.15", (Row(row_id="answer", label="Row 1", cells={"answer": answer}),)),
        answers.table("7.15.1", rows, notes),
    )


def _others(parts: list[Cell]) -> tuple[str, str]:
    """Row and label of gases that the list does not have."""
    names = ", ".join(one.cell_id.rpartition("/")[2] for one in parts)
    return "other_gases", f"{OTHER}: {names}"


def _gases_of(answers: Answers, apart: Selection) -> Iterable[tuple[str, Selection, Measure]]:
    """Every gas there is a mass of, in the order of columns and then by name."""
    rows = selected(answers.inputs.cubes.get(answers.year, ()), apart)
    named: tuple[tuple[str, Measure], ...] = (
        (CO2, "kg_co2_fossil"),
        (CH4, "kg_ch4"),
        (N2O, "kg_n2o"),
    )
    for gas, measure in named:
        if total_of(rows, measure):
            yield gas, apart, measure
    for gas in sorted({gas for row in rows for gas, kg in row.other_gases if kg} - MEMO_GASES):
        yield gas, replace(apart, other_gases=(gas,)), "other_gases"


def _potential(answers: Answers, gas: str) -> Decimal | None:
    """kgCO2e per kg in the inventory's set; None where the set does not know the gas."""
    if gas in (CO2, CO2_LAND_USE):
        return Decimal(1)
    if answers.inputs.gwp is None:
        return None
    try:
        return answers.inputs.gwp.potential(gas, answers.inputs.policy.gwp_set).value
    except RejectedRecord:
        return None


def _not_apart(answers: Answers, apart: Selection, gases: list[Cell]) -> Row | None:
    """Scope 1 less the gases: entries without gases, and what remains of those with them."""
    row_id, maker = "not_apart", answers.maker
    cubes = answers.inputs.cubes.get(answers.year, ())
    others = [row for row in selected(cubes, SCOPE_1) if not apart.covers(row)]
    if not selected(cubes, SCOPE_1):
        return None
    # Not one list can say "not all of these": by split and set, each pair is one selection.
    pairs = sorted({(row.gas_split, row.gwp_set) for row in others})
    without = [
        answers.entries(
            "7.15.1",
            row_id,
            f"{split}-{gwp_set}",
            replace(SCOPE_1, gas_splits=(split,), gwp_sets=(gwp_set,)),
        )
        for split, gwp_set in pairs
    ]
    whole = answers.entries("7.15.1", row_id, "given_apart", apart)
    summed = maker.sum(cell_id("7.15.1", row_id, "gases"), gases)
    if gases:
        without.append(maker.difference(cell_id("7.15.1", row_id, REMAINDER), whole, summed))
    else:
        without.append(whole)
    total = maker.sum(cell_id("7.15.1", row_id, "scope_1"), without)
    if not isinstance(total.value, Decimal) or not total.value:
        return None
    is_rounding = not pairs and abs(total.value) <= ROUNDED_PER_ENTRY * whole.entries
    label = ROUNDED if is_rounding else NOT_APART
    return Row(row_id=row_id, label=f"{OTHER}: {label}", cells={"scope_1": total})


# ---- by country, division, site, activity, entity


def _countries(answers: Answers) -> Table:
    names = tuple(GROSS)
    rows = []
    for country in _values(answers, names, lambda row: row.country_iso2):

        def narrowed(whole: Selection, country: str = country) -> Selection:
            return replace(whole, countries=(country,))

        rows.append(
            Row(
                row_id=country,
                label=COUNTRY_NAMES.get(country, f"Country {NOT_REGISTERED}"),
                cells=_scopes(answers, "7.16", country, names, narrowed),
            )
        )
    return answers.table("7.16", rows)


def _provided(answers: Answers, number: str) -> Table:
    """Which breakdowns are there; by division only where a site has one."""
    has_divisions = any(one.division for one in answers.inputs.sites.values())
    chosen = LISTS["breakdown"] if has_divisions else LISTS["breakdown"][1:]
    cell = answers.text(number, "answer", "answer", MANY.join(chosen))
    return answers.table(number, (Row(row_id="answer", label="Row 1", cells={"answer": cell}),))


def _divisions(answers: Answers, number: str, names: tuple[str, ...]) -> Table:
    return answers.table(
        number,
        _by_sites(
            answers,
            number,
            names,
            lambda place: place.division,
            lambda division: division,
        ),
    )


def _facilities(answers: Answers, number: str, names: tuple[str, ...]) -> Table:
    sites = answers.inputs.sites
    rows = _by_sites(
        answers,
        number,
        names,
        lambda place: place.facility_id,
        lambda facility: sites[facility].name or facility,
    )
    if "latitude" not in {one.column_id for one in answers.profile.questions[number].columns}:
        return answers.table(number, rows)
    return answers.table(number, [_located(answers, number, row) for row in rows])


def _located(answers: Answers, number: str, row: Row) -> Row:
    """The row with the coordinates of its site, as far as they are registered."""
    site = answers.inputs.sites.get(row.row_id)
    if site is None:
        return row
    cells = dict(row.cells)
    for column, value in (("latitude", site.latitude), ("longitude", site.longitude)):
        name = cell_id(number, row.row_id, column)
        cells[column] = (
            answers.maker.empty(name, NOT_REGISTERED, unit="degrees")
            if value is None
            else answers.maker.stated(
                name, value, source=f"site {site.facility_id}", unit="degrees"
            )
        )
    return replace(row, cells=cells)


def _activities(answers: Answers, number: str, names: tuple[str, ...]) -> Table:
    types: dict[str, set[str]] = defaultdict(set)
    for row in _rows(answers, names):
        types[activity_of(row.activity_type)].add(row.activity_type)
    order = [*(one for one in ACTIVITIES if one in types), *sorted(types.keys() - ACTIVITIES)]
    rows = []
    for activity in order:
        taken = tuple(sorted(types[activity]))

        def narrowed(whole: Selection, taken: tuple[str, ...] = taken) -> Selection:
            return replace(whole, activity_types=taken)

        cells = _scopes(answers, number, activity, names, narrowed)
        rows.append(Row(row_id=activity, label=activity, cells=cells))
    return answers.table(number, rows)


def activity_of(activity_type: str) -> str:
    """The activity of 7.17.3 and 7.20.3 that an activity type is in; else the type itself."""
    for activity, beginnings in ACTIVITIES.items():
        if activity_type.startswith(beginnings):
            return activity
    return activity_type


def _groups(answers: Answers) -> Table:
    names = tuple(GROSS)
    rows = []
    for row in _by_sites(answers, "7.22", names, group_of, GROUP_ROWS.__getitem__):
        known = [_named(answers.inputs.sites[one]) for one in _facilities_of(row)]
        words = ", ".join(sorted(set(known))) or "sites without a registered entity"
        row_words = answers.explained("7.22", row.row_id, "explanation", words)
        rows.append(replace(row, cells={**row.cells, "explanation": row_words}))
    return answers.table("7.22", rows)


def _facilities_of(row: Row) -> tuple[str, ...]:
    """The registered sites that a row's figures take."""
    if row.row_id == NOT_REGISTERED:
        return ()
    taken = {
        one
        for cell in row.cells.values()
        if cell.selection is not None
        for one in cell.selection.facilities
    }
    return tuple(sorted(taken))


def _named(place: SitePlace) -> str:
    return place.entity_name or place.entity_id


def _subsidiaries(answers: Answers) -> tuple[Table, Table]:
    sites = answers.inputs.sites
    names = {one.entity_id: _named(one) for one in sites.values()}
    rows = []
    broken_down = _by_sites(
        answers, "7.23.1", tuple(GROSS), lambda place: place.entity_id, names.__getitem__
    )
    for row in broken_down:
        cells = dict(row.cells)
        if row.row_id == NOT_REGISTERED:
            words = "sites without a registered entity"
            cells["comment"] = answers.text("7.23.1", row.row_id, "comment", words)
        else:
            entity = row.row_id
            for column, subject in (
                ("activity", "subsidiary_activity"),
                ("identifiers", "subsidiary_identifier"),
            ):
                statement = answers.statement(subject, entity)
                cells[column] = answers.told("7.23.1", row.row_id, column, statement)
        rows.append(replace(row, cells=cells))
    is_able = any(row.row_id != NOT_REGISTERED for row in rows)
    answer = answers.text("7.23", "answer", "answer", YES if is_able else NO)
    return (
        answers.table("7.23", (Row(row_id="answer", label="Row 1", cells={"answer": answer}),)),
        answers.table("7.23.1", rows),
    )


def _by_sites(
    answers: Answers,
    number: str,
    names: tuple[str, ...],
    part_of: Callable[[SitePlace], str],
    label: Callable[[str], str],
) -> list[Row]:
    """A row per part that sites are in, and one for sites (and entries) that are in none."""
    facilities: dict[str, list[str]] = defaultdict(list)
    for facility in _values(answers, names, lambda row: row.facility_id):
        site = answers.inputs.sites.get(facility)
        part = "" if site is None else part_of(site)
        facilities[part or NOT_REGISTERED].append(facility)
    rows = []
    for part in sorted(facilities, key=lambda one: (one == NOT_REGISTERED, one)):
        taken = tuple(facilities[part])

        def narrowed(whole: Selection, taken: tuple[str, ...] = taken) -> Selection:
            return replace(whole, facilities=taken)

        named = NOT_REGISTERED.capitalize() if part == NOT_REGISTERED else label(part)
        cells = _scopes(answers, number, part, names, narrowed)
        rows.append(Row(row_id=part, label=named, cells=cells))
    return rows


def _scopes(
    answers: Answers, number: str, row_id: str, names: tuple[str, ...], narrowed: Narrowed
) -> dict[str, Cell]:
    return {name: answers.entries(number, row_id, name, narrowed(GROSS[name][1])) for name in names}


def _rows(answers: Answers, names: tuple[str, ...]) -> list[CubeRow]:
    cube = answers.inputs.cubes.get(answers.year, ())
    return [row for row in cube if any(GROSS[name][1].covers(row) for name in names)]


def _values(answers: Answers, names: tuple[str, ...], key: KeyOf) -> list[str]:
    """The different values of the rows that the gross figures take, in order."""
    return sorted({key(row) for row in _rows(answers, names)})
