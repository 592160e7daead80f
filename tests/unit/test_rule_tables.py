"""Numbers and words of the rules beside a golden file: a change of one is seen, and is on purpose.

Ranks, scores, limits, vocabularies and the recipes of the categories are data. Each line says what
a constant of a rule module is; who changes one shows it to whoever reviews the golden file. So are
the codes of errors, which others act upon: docs/error-codes.md lists them.
`UPDATE_GOLDEN=1 pytest tests/unit/test_rule_tables.py` rewrites both.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, timedelta
from decimal import Context, Decimal
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import carbon_ledger.activities.category_formulas
import carbon_ledger.activities.category_methods
import carbon_ledger.activities.factor_boundaries
import carbon_ledger.activities.method_choice
import carbon_ledger.activities.registered_activity
import carbon_ledger.activities.shares
import carbon_ledger.activities.stated_factors
import carbon_ledger.activities.templates
import carbon_ledger.activities.terms
import carbon_ledger.calculate
import carbon_ledger.calculation
import carbon_ledger.claims.claims
import carbon_ledger.claims.double_counting
import carbon_ledger.claims.facts
import carbon_ledger.claims.late
import carbon_ledger.claims.posting_plan
import carbon_ledger.claims.quality_gate
import carbon_ledger.claims.supersession
import carbon_ledger.data_quality
import carbon_ledger.energy.balance
import carbon_ledger.energy.category3
import carbon_ledger.energy.certificate_matching
import carbon_ledger.energy.given_rates
import carbon_ledger.energy.instruments
import carbon_ledger.energy.location_intensity
import carbon_ledger.energy.meter_amounts
import carbon_ledger.energy.meter_category3
import carbon_ledger.energy.meter_events
import carbon_ledger.energy.meter_places
import carbon_ledger.energy.meter_registers
import carbon_ledger.energy.meter_series
import carbon_ledger.energy.meter_trees
import carbon_ledger.energy.meters
import carbon_ledger.energy.period_postings
import carbon_ledger.energy.scope2
import carbon_ledger.energy.scope2_waterfall
import carbon_ledger.energy.sum_amounts
import carbon_ledger.energy.vehicle_charging
import carbon_ledger.factor_book.activities
import carbon_ledger.factor_book.book
import carbon_ledger.factor_book.diff
import carbon_ledger.factor_book.importing
import carbon_ledger.factor_book.index_rows
import carbon_ledger.factor_book.losses
import carbon_ledger.factor_book.match
import carbon_ledger.factor_book.potentials
import carbon_ledger.factor_book.prices
import carbon_ledger.factor_book.rows
import carbon_ledger.factor_book.shelf
import carbon_ledger.factor_book.use
import carbon_ledger.greenhouse
import carbon_ledger.inventory
import carbon_ledger.lines
import carbon_ledger.organisation.base_year
import carbon_ledger.organisation.boundary
import carbon_ledger.organisation.categories
import carbon_ledger.organisation.consolidation
import carbon_ledger.organisation.fiscal_year
import carbon_ledger.organisation.group_register
import carbon_ledger.organisation.leases
import carbon_ledger.organisation.period_close
import carbon_ledger.organisation.report_calendar
import carbon_ledger.organisation.scopes
import carbon_ledger.places
import carbon_ledger.posting
import carbon_ledger.purchasing.credit_notes
import carbon_ledger.purchasing.declaration_checks
import carbon_ledger.purchasing.declaration_rules
import carbon_ledger.purchasing.declarations
import carbon_ledger.purchasing.hybrid_fill
import carbon_ledger.purchasing.pact
import carbon_ledger.purchasing.primary_data
import carbon_ledger.purchasing.production
import carbon_ledger.purchasing.production_events
import carbon_ledger.purchasing.purchase_booking
import carbon_ledger.purchasing.purchase_events
import carbon_ledger.purchasing.purchase_facts
import carbon_ledger.purchasing.purchases
import carbon_ledger.purchasing.residual_spend
import carbon_ledger.purchasing.spend
import carbon_ledger.purchasing.spend_coverage
import carbon_ledger.purchasing.spend_routes
import carbon_ledger.purchasing.supplier_events
import carbon_ledger.quantities
import carbon_ledger.reference.calendars
import carbon_ledger.reference.changes
import carbon_ledger.reference.checks
import carbon_ledger.reference.expected
import carbon_ledger.reference.fields
import carbon_ledger.reference.files
import carbon_ledger.reference.instruments
import carbon_ledger.reference.records
import carbon_ledger.reference.register
import carbon_ledger.reporting.cdp_answers
import carbon_ledger.reporting.cdp_breakdowns
import carbon_ledger.reporting.cdp_emissions
import carbon_ledger.reporting.cdp_energy
import carbon_ledger.reporting.cdp_energy_questions
import carbon_ledger.reporting.cdp_intensity
import carbon_ledger.reporting.cdp_questions
import carbon_ledger.reporting.energy_mix
import carbon_ledger.reporting.energy_rows
import carbon_ledger.reporting.esrs_e1_5
import carbon_ledger.reporting.esrs_e1_6_groups
import carbon_ledger.reporting.esrs_e1_6_instruments
import carbon_ledger.reporting.esrs_e1_6_intensity
import carbon_ledger.reporting.esrs_e1_7
import carbon_ledger.reporting.fuel_carriers
import carbon_ledger.reporting.fuel_energy
import carbon_ledger.reporting.metered_kwh
import carbon_ledger.reporting.reading
import carbon_ledger.reporting.report_xbrl
import carbon_ledger.reporting.tie_outs
import carbon_ledger.reporting.workbook
import carbon_ledger.transport.country_places
import carbon_ledger.transport.freight_activity
import carbon_ledger.transport.freight_chains
import carbon_ledger.transport.freight_vocabulary
import carbon_ledger.transport.great_circle
import carbon_ledger.transport.leg_lines
import carbon_ledger.transport.parts
import carbon_ledger.transport.shipment_category
import carbon_ledger.transport.shipment_events
import carbon_ledger.transport.shipments
import carbon_ledger.transport.trip_lines
import carbon_ledger.transport.trip_segments
import carbon_ledger.transport.vehicle_control
import carbon_ledger.transport.vehicle_events
import carbon_ledger.transport.vehicle_power
import carbon_ledger.transport.vehicles
import carbon_ledger.transport.vocabulary
import carbon_ledger.unit_algebra
import carbon_ledger.units
import carbon_ledger.workings
from tests.support.error_codes import KINDS, sites_of

ROOT = Path(__file__).parents[2]
CODES = ROOT / "docs" / "error-codes.md"
GOLDEN = ROOT / "tests" / "golden" / "rule_tables.txt"
PACKAGES = (
    *("activities", "claims", "energy", "factor_book", "organisation", "purchasing"),
    *("reference", "transport"),
)
MODULES: tuple[ModuleType, ...] = (
    carbon_ledger.calculate,
    carbon_ledger.calculation,
    carbon_ledger.data_quality,
    carbon_ledger.greenhouse,
    carbon_ledger.inventory,
    carbon_ledger.lines,
    carbon_ledger.places,
    carbon_ledger.posting,
    carbon_ledger.quantities,
    carbon_ledger.unit_algebra,
    carbon_ledger.units,
    carbon_ledger.workings,
    carbon_ledger.activities.category_formulas,
    carbon_ledger.activities.category_methods,
    carbon_ledger.activities.factor_boundaries,
    carbon_ledger.activities.method_choice,
    carbon_ledger.activities.registered_activity,
    carbon_ledger.activities.shares,
    carbon_ledger.activities.stated_factors,
    carbon_ledger.activities.templates,
    carbon_ledger.activities.terms,
    carbon_ledger.claims.claims,
    carbon_ledger.claims.double_counting,
    carbon_ledger.claims.facts,
    carbon_ledger.claims.late,
    carbon_ledger.claims.posting_plan,
    carbon_ledger.claims.quality_gate,
    carbon_ledger.claims.supersession,
    carbon_ledger.energy.balance,
    carbon_ledger.energy.category3,
    carbon_ledger.energy.certificate_matching,
    carbon_ledger.energy.given_rates,
    carbon_ledger.energy.instruments,
    carbon_ledger.energy.location_intensity,
    carbon_ledger.energy.meter_amounts,
    carbon_ledger.energy.meter_category3,
    carbon_ledger.energy.meter_events,
    carbon_ledger.energy.meter_places,
    carbon_ledger.energy.meter_registers,
    carbon_ledger.energy.meter_series,
    carbon_ledger.energy.meter_trees,
    carbon_ledger.energy.meters,
    carbon_ledger.energy.period_postings,
    carbon_ledger.energy.scope2,
    carbon_ledger.energy.scope2_waterfall,
    carbon_ledger.energy.sum_amounts,
    carbon_ledger.energy.vehicle_charging,
    carbon_ledger.factor_book.activities,
    carbon_ledger.factor_book.book,
    carbon_ledger.factor_book.diff,
    carbon_ledger.factor_book.importing,
    carbon_ledger.factor_book.index_rows,
    carbon_ledger.factor_book.losses,
    carbon_ledger.factor_book.match,
    carbon_ledger.factor_book.potentials,
    carbon_ledger.factor_book.prices,
    carbon_ledger.factor_book.rows,
    carbon_ledger.factor_book.shelf,
    carbon_ledger.factor_book.use,
    carbon_ledger.organisation.base_year,
    carbon_ledger.organisation.boundary,
    carbon_ledger.organisation.categories,
    carbon_ledger.organisation.consolidation,
    carbon_ledger.organisation.group_register,
    carbon_ledger.organisation.leases,
    carbon_ledger.organisation.fiscal_year,
    carbon_ledger.organisation.period_close,
    carbon_ledger.organisation.report_calendar,
    carbon_ledger.organisation.scopes,
    carbon_ledger.purchasing.credit_notes,
    carbon_ledger.purchasing.declaration_checks,
    carbon_ledger.purchasing.declaration_rules,
    carbon_ledger.purchasing.declarations,
    carbon_ledger.purchasing.hybrid_fill,
    carbon_ledger.purchasing.production,
    carbon_ledger.purchasing.production_events,
    carbon_ledger.purchasing.pact,
    carbon_ledger.purchasing.primary_data,
    carbon_ledger.purchasing.purchase_booking,
    carbon_ledger.purchasing.purchase_events,
    carbon_ledger.purchasing.purchase_facts,
    carbon_ledger.purchasing.purchases,
    carbon_ledger.purchasing.residual_spend,
    carbon_ledger.purchasing.spend,
    carbon_ledger.purchasing.spend_coverage,
    carbon_ledger.purchasing.spend_routes,
    carbon_ledger.purchasing.supplier_events,
    carbon_ledger.reference.calendars,
    carbon_ledger.reference.changes,
    carbon_ledger.reference.checks,
    carbon_ledger.reference.fields,
    carbon_ledger.reference.expected,
    carbon_ledger.reference.files,
    carbon_ledger.reference.instruments,
    carbon_ledger.reference.records,
    carbon_ledger.reference.register,
    carbon_ledger.reporting.cdp_answers,
    carbon_ledger.reporting.cdp_breakdowns,
    carbon_ledger.reporting.cdp_emissions,
    carbon_ledger.reporting.cdp_energy,
    carbon_ledger.reporting.cdp_energy_questions,
    carbon_ledger.reporting.cdp_intensity,
    carbon_ledger.reporting.cdp_questions,
    carbon_ledger.reporting.reading,
    carbon_ledger.reporting.report_xbrl,
    carbon_ledger.reporting.tie_outs,
    carbon_ledger.reporting.workbook,
    carbon_ledger.transport.country_places,
    carbon_ledger.transport.freight_activity,
    carbon_ledger.transport.freight_chains,
    carbon_ledger.transport.freight_vocabulary,
    carbon_ledger.transport.great_circle,
    carbon_ledger.transport.leg_lines,
    carbon_ledger.transport.parts,
    carbon_ledger.transport.shipment_category,
    carbon_ledger.transport.shipment_events,
    carbon_ledger.transport.shipments,
    carbon_ledger.transport.trip_lines,
    carbon_ledger.transport.trip_segments,
    carbon_ledger.transport.vehicle_control,
    carbon_ledger.transport.vehicle_events,
    carbon_ledger.transport.vehicle_power,
    carbon_ledger.transport.vehicles,
    carbon_ledger.transport.vocabulary,
    carbon_ledger.reporting.energy_mix,
    carbon_ledger.reporting.energy_rows,
    carbon_ledger.reporting.esrs_e1_5,
    carbon_ledger.reporting.esrs_e1_6_groups,
    carbon_ledger.reporting.esrs_e1_6_instruments,
    carbon_ledger.reporting.esrs_e1_6_intensity,
    carbon_ledger.reporting.esrs_e1_7,
    carbon_ledger.reporting.fuel_carriers,
    carbon_ledger.reporting.fuel_energy,
    carbon_ledger.reporting.metered_kwh,
)
PLAIN = (str, int, Decimal, Fraction, date, datetime, timedelta, type(None))
LONG = 80
CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*")


def path_of(module: ModuleType) -> Path:
    # Not its __file__, which a module that was loaded from elsewhere may lack.
    return ROOT.joinpath(*module.__name__.split(".")).with_suffix(".py")


def constants(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """What the module itself names in capitals, in its order; not what begins empty, to be filled
    while it runs.
    """
    for statement in ast.parse(path_of(module).read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        elif isinstance(statement, ast.Assign):
            targets = list(statement.targets)
        else:
            continue
        if isinstance(statement.value, ast.Dict) and not statement.value.keys:
            continue
        for node in (one for target in targets for one in ast.walk(target)):
            if isinstance(node, ast.Name) and CONSTANT.fullmatch(node.id):
                yield node.id, getattr(module, node.id)


def spelled(value: Any) -> str:
    """A constant as text; what is no data (a function, a class) as the kind of thing it is."""
    if isinstance(value, PLAIN):
        return str(value) if isinstance(value, Decimal | Fraction) else repr(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{spelled(k)}: {spelled(v)}" for k, v in value.items()) + "}"
    if isinstance(value, frozenset | set):
        return "{" + ", ".join(sorted(map(spelled, value))) + "}"
    if isinstance(value, tuple | list):
        return "(" + ", ".join(map(spelled, value)) + ")"
    if is_dataclass(value) and not isinstance(value, type):
        said = (f"{one.name}={spelled(getattr(value, one.name))}" for one in fields(value))
        return f"{type(value).__name__}({', '.join(said)})"
    if isinstance(value, Context):
        return f"Context({value.prec}, {value.rounding}, {value.Emin}, {value.Emax}, {value.clamp})"
    if isinstance(value, re.Pattern):
        return repr(value.pattern)
    return f"<{type(value).__name__}>"


def entries(value: Any) -> list[str]:
    """One line for a constant, or one for each of its rows."""
    if isinstance(value, Mapping) and value:
        return [f"[{spelled(key)}] = {spelled(one)}" for key, one in value.items()]
    if isinstance(value, tuple) and any(is_dataclass(one) for one in value):
        return [f"[{number}] = {spelled(one)}" for number, one in enumerate(value)]
    return [f" = {spelled(value)}"]


def tables() -> list[str]:
    """Every constant of the rule modules; a long one that stands under several names only once."""
    first: dict[str, str] = {}
    said = []
    for module in MODULES:
        for constant, value in constants(module):
            name = f"{module.__name__.removeprefix('carbon_ledger.')}.{constant}"
            for entry in entries(value):
                key, _, text = entry.partition("= ")
                known = first.setdefault(text, name + key) if len(text) > LONG else name + key
                said.append(name + (entry if known == name + key else f"{key}: as {known}"))
    return said


def test_numbers_and_words_of_the_rules_are_those_of_the_golden_file() -> None:
    found = tables()
    if os.environ.get("UPDATE_GOLDEN") == "1":
        GOLDEN.write_text("\n".join(found) + "\n", encoding="utf-8")
    assert found == GOLDEN.read_text(encoding="utf-8").splitlines()


def test_no_rule_module_with_constants_is_left_out() -> None:
    listed = set(map(path_of, MODULES))
    named = re.compile(r"^_?[A-Z][A-Z0-9_]* *[:=]", re.M)
    left_out = [
        path.name
        for package in PACKAGES
        for path in sorted((ROOT / "carbon_ledger" / package).glob("*.py"))
        if path not in listed and named.search(path.read_text(encoding="utf-8"))
    ]
    assert left_out == []


def test_the_comparison_sees_a_number_and_a_word() -> None:
    assert spelled({"a": (1, Decimal("0.50"))}) == "{'a': (1, 0.50)}"
    assert spelled(frozenset({"b", "a"})) == "{'a', 'b'}"
    assert len(tables()) > 500


# ---- codes of errors


def package_sources() -> dict[str, str]:
    """The modules of carbon_ledger by name; of one that is loaded, the text it was loaded from."""
    found = {}
    for path in sorted((ROOT / "carbon_ledger").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        loader = getattr(sys.modules.get(name), "__loader__", None)
        text = loader.get_source(name) if hasattr(loader, "get_source") else None
        found[name] = path.read_text(encoding="utf-8") if text is None else text
    return found


def code_rows() -> list[str]:
    """The tables of docs/error-codes.md: per kind, each code and the modules it comes from."""
    places: dict[tuple[str, str], list[str]] = {}
    for site in sites_of(package_sources()):
        module = site.module.removeprefix("carbon_ledger.")
        places.setdefault((site.kind, site.code), []).append(f"`{module}`")
    rows = []
    for kind in KINDS:
        rows += [f"## {kind}", "| Code | Comes from |", "|---|---|"]
        rows += [
            f"| `{code}` | {', '.join(modules)} |"
            for (of_kind, code), modules in places.items()
            if of_kind == kind
        ]
    return rows


def test_every_code_of_an_error_is_in_the_list_and_no_other() -> None:
    text = CODES.read_text(encoding="utf-8")
    before = text[: text.index(f"## {KINDS[0]}")]
    found = code_rows()
    if os.environ.get("UPDATE_GOLDEN") == "1":
        CODES.write_text(before + "\n".join(found) + "\n", encoding="utf-8")
    written = CODES.read_text(encoding="utf-8").removeprefix(before).splitlines()
    assert found == written


PLANTED = {
    "a": """
LATE = "late"

def refused(code, message, *, field=None):
    return RejectedRecord(code, message, field=field)

def chosen(*words, code="unknown_word"):
    def check(value):
        raise errors.RejectedRecord(code, "is none")
    return check

class Row:
    def held(self, code):
        raise BrokenInvariant(code, "stop")

    def check(self):
        self.held("row_hash")
        for code, is_broken in {"row_id": 1, "row_span": 2}.items():
            raise BrokenInvariant(code, "stop")

def judge(value):
    raise RejectedRecord("plain" if value else "empty", "either")
    raise RejectedRecord(LATE, "a constant")
    raise RejectedRecord(f"{value}_missing", "made up")
    try:
        pass
    except RejectedRecord as problem:
        raise RejectedRecord(problem.code, "taken over")
    if value:
        code, what = "small", "is small"
    else:
        code, what = "large", "is large"
    raise RejectedRecord(code, what)
""",
    "b": """
from a import chosen, refused as no

faults = [("one", 1)]

def check(value):
    no("by_helper", "x", field="not_a_code")
    chosen("not_a_code_either")
    chosen("neither", code="by_name")
    faults = [("first", 1)]
    faults.append(("second", 2))
    for code, is_broken in faults:
        raise Unavailable(code, "wait")
""",
}


def test_a_code_is_found_however_the_error_comes_by_it() -> None:
    found = [(site.module, site.kind, site.code) for site in sites_of(PLANTED)]
    refused = [(module, code) for module, kind, code in found if kind == "RejectedRecord"]
    assert refused == [
        *(("b", "by_helper"), ("b", "by_name"), ("a", "empty"), ("a", "large"), ("a", "late")),
        *(("a", "plain"), ("a", "small"), ("b", "unknown_word"), ("a", "{…}_missing")),
    ]
    assert [code for _, kind, code in found if kind == "BrokenInvariant"] == [
        *("row_hash", "row_id", "row_span"),
    ]
    assert [code for _, kind, code in found if kind == "Unavailable"] == ["first", "second"]
    changed = {**PLANTED, "b": PLANTED["b"].replace('"by_helper"', '"by_helper_"')}
    assert sites_of(changed) != sites_of(PLANTED)
