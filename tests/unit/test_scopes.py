"""Which scope and category an activity belongs to, with the rule that decides."""

from __future__ import annotations

from typing import Any

import pytest

from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.organisation.categories import (
    CATEGORIES,
    METHOD_RANKS,
    category_of,
    iso_14064_category,
)
from carbon_ledger.organisation.leases import treatment
from carbon_ledger.organisation.scopes import ACTIVITY_TYPES, FACTS, assign, remarks, stated
from carbon_ledger.policy import CONSOLIDATIONS, Consolidation, Policy

Facts = dict[str, Any]

# activity type, facts, scope, category, rule
DECIDED: list[tuple[str, Facts, int, int | None, str]] = [
    ("stationary_combustion", {"held_as": "own"}, 1, None, "S1-STATIONARY"),
    ("mobile_combustion", {"held_as": "own"}, 1, None, "S1-MOBILE"),
    ("process_emission", {"held_as": "own"}, 1, None, "S1-PROCESS"),
    ("fugitive_emission", {"held_as": "own"}, 1, None, "S1-FUGITIVE"),
    ("fugitive_emission", {"held_as": "franchise"}, 3, 14, "S3-14-FRANCHISEE"),
    ("stationary_combustion", {"held_as": "investee"}, 3, 15, "S3-15-INVESTEE"),
    ("purchased_electricity", {"held_as": "own"}, 2, None, "S2-ELECTRICITY"),
    ("purchased_heat", {"held_as": "own"}, 2, None, "S2-HEAT"),
    ("purchased_steam", {"held_as": "own", "purpose": "consumed"}, 2, None, "S2-STEAM"),
    ("purchased_cooling", {"held_as": "own"}, 2, None, "S2-COOLING"),
    ("purchased_electricity", {"purpose": "resold"}, 3, 3, "S3-3-D-RESOLD"),
    ("on_site_generation", {}, 2, None, "S2-ON-SITE"),
    ("vehicle_charging", {"charged_at": "public"}, 2, None, "S2-CHARGING"),
    ("vehicle_charging", {"charged_at": "own_unmetered_site"}, 2, None, "S2-CHARGING"),
    ("vehicle_charging", {"charged_at": "own_metered_site"}, 0, None, "COUNTED-BY-METER"),
    ("fuel_upstream", {}, 3, 3, "S3-3-A"),
    ("power_upstream", {}, 3, 3, "S3-3-B"),
    ("grid_losses", {}, 3, 3, "S3-3-C"),
    ("resold_power", {}, 3, 3, "S3-3-D-RESOLD"),
    ("purchase", {"capitalised": False}, 3, 1, "S3-1-PURCHASE"),
    ("purchase", {"capitalised": True}, 3, 2, "S3-2-CAPITALISED"),
    ("purchase", {"capitalised": "yes", "intra_group": "yes"}, 0, None, "INTRA-GROUP"),
    ("purchase", {"capitalised": "no", "account": "fuel"}, 0, None, "ROUTED-FUEL"),
    (
        "transport",
        {"operator": "third_party", "leg": "outbound", "paid_by": "reporter"},
        3,
        4,
        "S3-4-PAYER",
    ),
    (
        "transport",
        {"operator": "third_party", "leg": "outbound", "paid_by": "customer"},
        3,
        9,
        "S3-9-PAYER",
    ),
    (
        "storage",
        {"operator": "third_party", "leg": "after_sale", "paid_by": "customer"},
        3,
        9,
        "S3-9-PAYER",
    ),
    (
        "transport",
        {"operator": "third_party", "leg": "inbound", "paid_by": "supplier"},
        3,
        4,
        "S3-4-INBOUND",
    ),
    (
        "transport",
        {"operator": "third_party", "leg": "between_suppliers", "paid_by": "supplier"},
        3,
        1,
        "S3-1-TIER-2",
    ),
    (
        "transport",
        {"operator": "third_party", "leg": "between_own_sites", "paid_by": "customer"},
        3,
        4,
        "S3-4-INTERSITE",
    ),
    ("transport", {"operator": "own", "energy": "fuel"}, 1, None, "S1-MOBILE"),
    ("transport", {"operator": "own", "energy": "electricity"}, 2, None, "S2-VEHICLE"),
    ("waste_treatment", {"operator": "third_party"}, 3, 5, "S3-5-TREATMENT"),
    ("waste_treatment", {"operator": "own"}, 1, None, "S1-WASTE"),
    ("waste_transport", {"operator": "third_party"}, 3, 5, "S3-5-TRANSPORT"),
    ("business_travel", {"operator": "third_party"}, 3, 6, "S3-6-TRAVEL"),
    ("business_travel", {"operator": "own", "energy": "fuel"}, 1, None, "S1-MOBILE"),
    ("hotel_stay", {}, 3, 6, "S3-6-HOTEL"),
    ("employee_commuting", {"operator": "third_party"}, 3, 7, "S3-7-COMMUTING"),
    ("employee_commuting", {"operator": "own", "energy": "fuel"}, 1, None, "S1-MOBILE"),
    ("telework", {}, 3, 7, "S3-7-TELEWORK"),
    ("processing_of_sold_products", {}, 3, 10, "S3-10-PROCESSING"),
    ("use_of_sold_products", {"transfer": "sold", "phase": "direct"}, 3, 11, "S3-11-DIRECT"),
    ("use_of_sold_products", {"transfer": "sold", "phase": "indirect"}, 3, 11, "S3-11-INDIRECT"),
    ("end_of_life_of_sold_products", {}, 3, 12, "S3-12-END-OF-LIFE"),
    ("franchise_operations", {"reporter_is": "franchisor"}, 3, 14, "S3-14-FRANCHISOR"),
    (
        "franchise_operations",
        {"reporter_is": "franchisee", "energy": "fuel"},
        1,
        None,
        "FRANCHISEE",
    ),
    ("investment", {"controlled": "no"}, 3, 15, "S3-15-SHARE"),
]


@pytest.mark.parametrize(("kind", "facts", "scope", "category", "rule"), DECIDED)
def test_an_activity_has_one_scope_and_category_and_the_reason_cites_it(
    kind: str, facts: Facts, scope: int, category: int | None, rule: str
) -> None:
    found = assign(kind, facts, Policy())
    assert (found.scope, found.category, found.rule) == (scope, category, rule)
    assert any(word in found.reason for word in ("GHG Protocol", "ESRS"))


def test_every_activity_type_and_every_category_is_decided_somewhere() -> None:
    assert {row[0] for row in DECIDED} == set(ACTIVITY_TYPES)
    leased = {8, 13}
    assert {row[3] for row in DECIDED if row[3]} | leased == set(CATEGORIES)


LEASES: dict[tuple[str, str, Consolidation], int | None] = {
    ("lessee", "finance", "equity_share"): None,
    ("lessee", "finance", "financial_control"): None,
    ("lessee", "finance", "operational_control"): None,
    ("lessee", "operating", "equity_share"): 8,
    ("lessee", "operating", "financial_control"): 8,
    ("lessee", "operating", "operational_control"): None,
    ("lessor", "finance", "equity_share"): 13,
    ("lessor", "finance", "financial_control"): 13,
    ("lessor", "finance", "operational_control"): 13,
    ("lessor", "operating", "equity_share"): None,
    ("lessor", "operating", "financial_control"): None,
    ("lessor", "operating", "operational_control"): 13,
}


@pytest.mark.parametrize(("lease", "category"), LEASES.items())
def test_a_leased_asset_is_where_tables_a1_and_a2_put_it(
    lease: tuple[str, str, Consolidation], category: int | None
) -> None:
    role, kind, consolidation = lease
    assert treatment(role, kind, consolidation).category == category
    held = {"held_as": "leased_in" if role == "lessee" else "leased_out", "lease": kind}
    for activity, own_scope in (("stationary_combustion", 1), ("purchased_electricity", 2)):
        found = assign(activity, held, Policy(consolidation=consolidation))
        expected = (own_scope, None) if category is None else (3, category)
        assert (found.scope, found.category) == expected


@pytest.mark.parametrize("consolidation", CONSOLIDATIONS)
@pytest.mark.parametrize("kind", ["finance", "operating"])
def test_a_product_is_sold_or_leased_and_never_both(
    consolidation: Consolidation, kind: str
) -> None:
    policy = Policy(consolidation=consolidation)
    facts = {"transfer": "leased", "lease": kind, "energy": "electricity"}
    found = assign("use_of_sold_products", facts, policy)
    assert found.category in (13, None)
    if found.category is None:
        assert found.scope == 2


@pytest.mark.parametrize(
    ("kind", "facts", "code"),
    [
        ("driving", {}, "unknown_activity_type"),
        ("removal", {}, "not_an_emission"),
        ("carbon_credit", {}, "not_an_emission"),
        ("allowance", {}, "not_an_emission"),
        ("stationary_combustion", {}, "fact_missing"),
        ("stationary_combustion", {"held_as": "leased_in"}, "fact_missing"),
        ("stationary_combustion", {"held_as": "rented"}, "unknown_fact_value"),
        ("purchase", {}, "fact_missing"),
        ("purchase", {"colour": "red"}, "unknown_fact"),
        ("transport", {"operator": "third_party", "leg": "outbound"}, "fact_missing"),
        (
            "transport",
            {"operator": "third_party", "leg": "outbound", "paid_by": "supplier"},
            "facts_contradict",
        ),
        ("investment", {"controlled": True}, "facts_contradict"),
        ("use_of_sold_products", {"transfer": "sold"}, "fact_missing"),
        ("franchise_operations", {"reporter_is": "franchisee"}, "fact_missing"),
    ],
)
def test_what_cannot_be_decided_is_refused_and_never_guessed(
    kind: str, facts: Facts, code: str
) -> None:
    with pytest.raises(RejectedRecord) as refused:
        assign(kind, facts, Policy())
    assert refused.value.code == code
    assert refused.value.valid


@pytest.mark.parametrize(
    ("role", "lease", "consolidation", "code"),
    [
        ("tenant", "finance", "equity_share", "unknown_lease_role"),
        ("lessee", "short", "equity_share", "unknown_lease_type"),
        ("lessee", "finance", "esrs", "unknown_consolidation"),
    ],
)
def test_a_lease_that_is_none_is_refused(
    role: str, lease: str, consolidation: Any, code: str
) -> None:
    with pytest.raises(RejectedRecord) as refused:
        treatment(role, lease, consolidation)
    assert refused.value.code == code


def test_what_may_be_left_out_is_marked_as_optional() -> None:
    for row in DECIDED:
        found = assign(row[0], row[1], Policy())
        is_optional = "(optional)" in found.reason
        assert ("optional_boundary" in remarks(found)) is is_optional


@pytest.mark.parametrize("scope", [True, "1", 0, 4, None])
def test_a_stated_scope_is_one_of_three(scope: object) -> None:
    with pytest.raises(RejectedRecord) as refused:
        stated(scope)
    assert refused.value.code == "unknown_scope"


@pytest.mark.parametrize("number", [0, 16, True, "4", None])
def test_there_are_fifteen_categories(number: object) -> None:
    with pytest.raises(RejectedRecord) as refused:
        category_of(number)
    assert refused.value.code == "unknown_category"


def test_the_categories_say_what_the_standards_table_says() -> None:
    assert list(CATEGORIES) == list(range(1, 16))
    assert [one.number for one in CATEGORIES.values() if one.is_upstream] == list(range(1, 9))
    future = [one.number for one in CATEGORIES.values() if "F" in one.time]
    past = [one.number for one in CATEGORIES.values() if "P" in one.time]
    assert (future, past) == ([5, 9, 10, 11, 12], [1, 2, 3])
    for one in CATEGORIES.values():
        assert one.minimum_boundary
        assert set(one.methods) <= set(METHOD_RANKS)


def test_all_facts_are_used_by_some_activity_type() -> None:
    assert {name for one in ACTIVITY_TYPES.values() for name in one.facts} == set(FACTS)


ISO = {1: 4, 2: 4, 3: 4, 4: 3, 5: 4, 6: 3, 7: 3, 8: 4, 9: 3} | dict.fromkeys(range(10, 16), 5)


def test_iso_14064_groups_the_same_figures_into_six() -> None:
    assert {number: iso_14064_category(3, number) for number in CATEGORIES} == ISO
    assert [iso_14064_category(scope, None) for scope in (0, 1, 2, 3)] == [0, 1, 2, 6]


@pytest.mark.parametrize(("scope", "category"), [(1, 4), (3, 16), (4, None)])
def test_what_is_no_assignment_has_no_iso_category(scope: int, category: int | None) -> None:
    with pytest.raises(BrokenInvariant):
        iso_14064_category(scope, category)


@pytest.mark.parametrize("kind", ["transport", "storage", "business_travel", "employee_commuting"])
def test_what_moves_an_own_vehicle_is_asked_for_and_not_guessed(kind: str) -> None:
    with pytest.raises(RejectedRecord) as refused:
        assign(kind, {"operator": "own"}, Policy())
    assert (refused.value.code, refused.value.field) == ("fact_missing", "facts.energy")
