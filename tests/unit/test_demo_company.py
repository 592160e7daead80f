"""The demo company's truth against the ledger's own calculators, to the last digit."""

from __future__ import annotations

import ast
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from carbon_ledger.calculation import EVENT_KINDS
from carbon_ledger.claims.facts import Fact
from carbon_ledger.claims.supersession import ActiveLine, decide
from carbon_ledger.errors import CarbonError
from carbon_ledger.factor_book.book import FactorBook
from carbon_ledger.factor_book.importing import merged_release
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import EmissionLine
from carbon_ledger.places import Rules
from carbon_ledger.posting import Origin, rows_of_event
from carbon_ledger.purchasing.purchase_events import PurchaseOrderEvent
from carbon_ledger.purchasing.purchase_facts import fact_of_declaration, facts_of_purchase
from carbon_ledger.reference.checks import faults_of
from carbon_ledger.reference.files import parse
from carbon_ledger.reference.register import Register
from carbon_ledger.settings import PROJECT_ROOT
from cli.factor_commands import read_mapping, read_set
from factor_seeds.load import release, shipped_book
from pipeline.sources import company, company_reference
from scripts import (
    demo_cdp_truth,
    demo_esrs_truth,
    demo_period_truth,
    demo_published,
    demo_report_truth,
    demo_sums,
    demo_truth,
    load_demo_data,
)

SEED = 7
NOW = datetime(2026, 6, 1, tzinfo=UTC)
PARSED = parse({"company.yaml": company_reference.reference_yaml()})
REGISTER = Register(records=tuple(one.record for one in PARSED.stated))
INVENTORY = Inventory(book=shipped_book(), now=NOW, register=REGISTER)
MODULES = (
    demo_cdp_truth,
    demo_esrs_truth,
    demo_period_truth,
    demo_published,
    demo_report_truth,
    demo_sums,
    demo_truth,
)
# What modules of the oracle may import beside the standard library: each other.
ORACLE = {one.__name__ for one in MODULES}
EXAMPLES = PROJECT_ROOT / "docs" / "examples"


@pytest.fixture(scope="module")
def activities() -> list[company.Activity]:
    return list(company.history(SEED))


@pytest.fixture(scope="module")
def truth(activities: list[company.Activity]) -> dict[str, Any]:
    return demo_truth.truth_of(
        [(one.stream, one.fields) for one in activities],
        company_reference.reference_rows(),
        company_reference.RESTATED,
    )


def calculated(activity: company.Activity, inventory: Inventory = INVENTORY) -> Any:
    """The event, and its lines by the ledger's calculator."""
    kind = EVENT_KINDS[activity.stream]
    stated = {name: value for name, value in activity.fields.items() if value is not None}
    event: Any = kind.event_class.from_fields(stated, NOW)
    return event, kind.lines(event, inventory)


def said(line: EmissionLine) -> tuple[Any, ...]:
    one = line.assignment
    return one.scope, one.category, line.basis, f"{line.kgco2e:f}"


def expected(line: dict[str, Any]) -> tuple[Any, ...]:
    return line["scope"], line["category"], line["basis"], line["kgco2e"]


def differences(activities: list[company.Activity], truth: dict[str, Any]) -> list[str]:
    """The ids of events whose lines are not as the truth has them."""
    found = []
    for activity in activities:
        event, lines = calculated(activity)
        wanted = truth["events"][event.event_id]["lines"]
        if [said(line) for line in lines] != [expected(line) for line in wanted]:
            found.append(event.event_id)
    return found


def test_reference_data_has_no_fault() -> None:
    assert PARSED.faults == ()
    assert list(faults_of(PARSED.stated)) == []
    assert REGISTER.supplier("SUP_042_DE", NOW.date()) is not None
    before, after = datetime(2025, 3, 31, tzinfo=UTC).date(), company_reference.ACQUIRED
    assert REGISTER.entity("meridian-ohio", before) is None
    assert REGISTER.entity("meridian-ohio", after) is not None


def test_every_event_can_be_sent_once_and_all_five_streams_have_some(
    activities: list[company.Activity],
) -> None:
    ids = defaultdict(set)
    for activity in activities:
        event = activity.event()
        event.check(NOW)
        ids[activity.topic].add(event.event_id)
    assert sum(map(len, ids.values())) == len(activities) > 4_000
    assert sorted(ids) == [
        "raw.iot.energy",
        "raw.logistics",
        "raw.procurement",
        "raw.supplier",
        "raw.transport",
    ]


def test_the_calculators_give_the_truth_to_the_last_digit(
    activities: list[company.Activity], truth: dict[str, Any]
) -> None:
    assert len(truth["events"]) == len(activities)
    assert differences(activities, truth) == []


def test_a_planted_fault_in_the_truth_is_seen(
    activities: list[company.Activity], truth: dict[str, Any]
) -> None:
    chosen = [activities[at] for at in (0, 900, 2_000)]
    planted = json.loads(json.dumps(truth))
    event_id = chosen[1].event().event_id
    line = planted["events"][event_id]["lines"][0]
    line["kgco2e"] = f"{Decimal(line['kgco2e']) + Decimal('1e-12'):f}"
    assert differences(chosen, truth) == []
    assert differences(chosen, planted) == [event_id]


def standing_by_supersession(activities: list[company.Activity]) -> Iterator[ActiveLine]:
    """What stands of the steel mill's claims by the ledger's own rules, facts in order of sending.

    The same whatever the order is; that is tested with the rules.
    """
    lots: dict[str, tuple[list[PurchaseOrderEvent], list[Fact]]] = defaultdict(lambda: ([], []))
    declared = []
    for activity in activities:
        if activity.fields.get("supplier_id") != company_reference.STEEL_SUPPLIER:
            continue
        event, lines = calculated(activity)
        if activity.stream == "supplier":
            declared.append((event, lines))
            continue
        purchases, facts = lots[f"{event.timestamp:%Y-%m}"]
        purchases.append(event)
        facts += facts_of_purchase(event, lines, NOW)
    for event, lines in declared:
        purchases, facts = lots[f"{event.timestamp:%Y-%m}"]
        facts.append(fact_of_declaration(event, lines, purchases, NOW, INVENTORY))
    for _, facts in lots.values():
        active: tuple[ActiveLine, ...] = ()
        for fact in facts:
            active = decide(active, fact, INVENTORY.policy).active
        yield from active


def test_what_stands_of_superseded_spend_is_what_the_ledgers_rules_leave(
    activities: list[company.Activity], truth: dict[str, Any]
) -> None:
    shares = set()
    count = 0
    for line in standing_by_supersession(activities):
        wanted = truth["events"][f"{line.fact.activity_ref}#0"]["lines"][0]
        assert f"{line.kgco2e:f}" == wanted["standing_kgco2e"], line.line_id
        shares.add((line.fact.kind, str(line.standing.share)))
        count += 1
    assert count == 24 * 3
    assert shares == {("estimate", "0"), ("estimate", "1/4"), ("specific", "1")}


def test_totals_and_e1_6_are_the_sums_of_the_lines(truth: dict[str, Any]) -> None:
    sums: dict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
    for event in truth["events"].values():
        for line in event["lines"]:
            key = (line["year"], line["scope"], line["category"], line["basis"])
            sums[key] += Decimal(line["standing_kgco2e"])
    told = {
        (row["year"], row["scope"], row["category"], row["basis"]): Decimal(row["kgco2e"])
        for row in truth["totals"]
    }
    assert told == dict(sums)
    assert sorted(truth["e1_6"]) == ["2024", "2025"]
    for year, figures in truth["e1_6"].items():
        of_year = {key: kg for key, kg in sums.items() if str(key[0]) == year}
        assert Decimal(figures["total_location"]) == sum(of_year.values())
        for scope, name in ((1, "scope_1"), (2, "scope_2_location"), (3, "scope_3")):
            mine = sum(kg for key, kg in of_year.items() if key[1] == scope)
            assert Decimal(figures[name]) == mine
        for category in (1, 2, 3, 4, 9):
            mine = sum(kg for key, kg in of_year.items() if key[2] == category)
            assert Decimal(figures[f"scope_3_category_{category:02}"]) == mine > 0


def test_a_state_that_was_passed_over_counts_nothing(truth: dict[str, Any]) -> None:
    passed = {name: one for name, one in truth["events"].items() if one["is_passed_over"]}
    assert passed
    for event_id, event in passed.items():
        assert all(Decimal(line["standing_kgco2e"]) == 0 for line in event["lines"])
        assert event_id.removesuffix("#0") + "#1" in truth["events"]


def test_the_restatement_moves_what_the_truth_says(
    activities: list[company.Activity], truth: dict[str, Any]
) -> None:
    mapping = read_mapping(EXAMPLES / "demo_restatement.mapping.yaml")
    factors, problems = read_set(EXAMPLES / "demo_restatement.csv", mapping)
    assert problems == []
    assert [f"{one.kgco2e_per_unit:f}" for one in factors] == [
        row["kgco2e_per_kwh"] for row in company_reference.RESTATED
    ]
    book = FactorBook.of(merged_release(release(), mapping, factors))
    restated = Inventory(book=book, now=NOW, register=REGISTER)
    moved: dict[str, list[Decimal]] = defaultdict(list)
    for activity in activities:
        if activity.stream != "iot_energy":
            continue
        event, after = calculated(activity, restated)
        (line,) = after
        before = truth["events"][event.event_id]["lines"][0]
        delta = line.kgco2e - Decimal(before["kgco2e"])
        if delta:
            moved[str(before["year"])].append(delta)
    assert {
        year: {"entries": len(deltas), "delta_kgco2e": f"{sum(deltas):f}"}
        for year, deltas in moved.items()
    } == truth["restatement"]
    assert {year: len(deltas) for year, deltas in moved.items()} == {"2024": 366, "2025": 365}


def test_the_same_seed_gives_the_same_bytes(truth: dict[str, Any], tmp_path: Path) -> None:
    for name in ("one.json", "two.json"):
        load_demo_data.write_truth(tmp_path / name, SEED, [2025])
    first = (tmp_path / "one.json").read_bytes()
    assert first == (tmp_path / "two.json").read_bytes()
    written = json.loads(first)
    assert (written["seed"], written["years"]) == (SEED, [2025])
    # A year is the same whatever other years are told beside it.
    assert written["e1_6"]["2025"] == truth["e1_6"]["2025"]
    load_demo_data.write_truth(tmp_path / "other.json", SEED + 1, [2025])
    assert json.loads((tmp_path / "other.json").read_bytes())["e1_6"] != written["e1_6"]


def test_a_year_without_history_is_refused() -> None:
    with pytest.raises(CarbonError, match=r"2023.*valid: 2024 2025"):
        list(company.history(SEED, [2023, 2024]))


def outside_the_standard_library(source: str) -> set[str]:
    """What a module imports that is not Python's own."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
        elif isinstance(node, ast.Name) and node.id in ("__import__", "importlib"):
            found.add(node.id)
    return {name for name in found if name.partition(".")[0] not in sys.stdlib_module_names}


@pytest.mark.parametrize("module", MODULES)
def test_the_oracle_shares_no_code_with_the_ledger(module: ModuleType) -> None:
    source = Path(module.__file__ or "").read_text(encoding="utf-8")
    assert outside_the_standard_library(source) <= ORACLE
    breach = source + "\nfrom carbon_ledger.units import ratio\nfrom . import x\n"
    assert outside_the_standard_library(breach) - ORACLE == {"carbon_ledger.units", "."}


def test_lines_that_are_no_measurement_are_no_figure_of_the_truth() -> None:
    known = {"year": 2025, "exact": Fraction(0)}
    lines = [
        demo_truth.Line(**known, scope=1, category=None, basis="evidence"),
        demo_truth.Line(**known, scope=3, category=2, basis="evidence"),
        demo_truth.Line(**known, scope=3, category=4, basis="informational"),
    ]
    sums = demo_sums.Lines(lines=lines)
    reference = company_reference.reference_rows()
    cells = demo_esrs_truth.EsrsCells(sums=sums, reference=reference, year=2025).made()
    names = ("scope_1/current", "scope_3/current", "screening/category_02/figure")
    assert [cells[f"E1-6/{one}"] for one in names] == [None, None, None]
    assert not any(one.startswith(("E1-6/country/", "E1-6/category")) for one in cells)


def test_the_truth_has_every_cell_of_the_reports_of_each_year(truth: dict[str, Any]) -> None:
    known = [(one.stream, one.fields) for one in company.history(SEED)]
    for year in (2024, 2025):
        reference = company_reference.reference_rows()
        cells = demo_report_truth.truth_of_reports(known, reference, year)["esrs_e1"]
        told = demo_report_truth.as_text(cells)
        figures = truth["e1_6"][str(year)]
        for name in ("scope_1", "scope_2_location"):
            assert Decimal(told[f"E1-6/{name}/current"] or "") * 1000 == Decimal(figures[name])
        for number in (1, 2, 4, 9):
            mine = told[f"E1-6/category_{number:02}/current"] or ""
            assert Decimal(mine) * 1000 == Decimal(figures[f"scope_3_category_{number:02}"])
        # What is posted per period comes on top of the events' own lines.
        mine = told["E1-6/category_03/current"] or ""
        assert Decimal(mine) * 1000 > Decimal(figures["scope_3_category_03"])
        assert told["E1-6/screening/category_15/figure"] is None


def test_the_oracle_has_each_line_of_a_supplier_under_the_ledgers_country(
    activities: list[company.Activity],
) -> None:
    oracle = demo_truth.Oracle(reference=company_reference.reference_rows())
    rules = Rules(book=shipped_book(), register=REGISTER, code_version="t")
    origin = Origin(
        topic="t",
        topic_incarnation=0,
        kafka_partition=0,
        kafka_offset=0,
        batch_id=1,
        recorded_at=NOW,
        payload_sha256=bytes(32),
        schema_sha256=bytes(32),
    )
    countries = set()
    for activity in activities:
        if activity.stream != "supplier":
            continue
        event, _ = calculated(activity)
        rows = rows_of_event("supplier", event, origin, rules)
        _, told = oracle.told("supplier", activity.fields)
        assert [line.country for line in told.lines] == [row.country_iso2 for row in rows]
        countries |= {row.country_iso2 for row in rows}
    assert countries == {"DE"}


def test_an_activity_the_oracle_has_no_rule_for_is_an_error() -> None:
    oracle = demo_truth.Oracle(reference=company_reference.reference_rows())
    reading = next(iter(company.history(SEED))).fields
    with pytest.raises(demo_published.TruthError, match="steam"):
        oracle.told("iot_energy", {**reading, "meter_kind": "steam"})
