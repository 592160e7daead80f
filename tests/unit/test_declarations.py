"""Supplier declarations: footprints, totals with a key, fills, refusals, checks, primary shares."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from importlib import resources
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon_ledger.data_quality import Scores
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.lines import EmissionLine
from carbon_ledger.purchasing.declaration_checks import check_against_purchases, true_up
from carbon_ledger.purchasing.declaration_rules import (
    declaration_scores,
    score_of_rating,
    years_later,
)
from carbon_ledger.purchasing.declarations import lines_of_declaration, removals_of_declaration
from carbon_ledger.purchasing.primary_data import primary_shares
from carbon_ledger.purchasing.supplier_events import SupplierDeclarationEvent
from carbon_ledger.workings import Operand, posted_fraction
from tests.support.purchase_examples import (
    NOW,
    RATES,
    declaration,
    index,
    inventory_of,
    material_factor,
    purchase,
    spend_factor,
)

BOOK = (spend_factor("331110", "0.8"), material_factor("Pig iron", "2"))
INVENTORY = inventory_of(BOOK)
WHOLE_PARTS: dict[str, Any] = {
    "fossil_kgco2e_per_unit": None,
    "land_use_kgco2e_per_unit": None,
    "biogenic_non_co2_kgco2e_per_unit": None,
}


def total(**changes: Any) -> SupplierDeclarationEvent:
    """A corporate total of 40,000 kg with a revenue key of 20,000 out of 1,000,000 GBP."""
    given: dict[str, Any] = {
        "declaration_id": "total-2024",
        "kind": "corporate_total",
        "quantity": None,
        "unit": None,
        "kgco2e_per_unit": None,
        "scope1_kgco2e": "15000",
        "scope2_location_kgco2e": "5000",
        "scope2_market_kgco2e": "1000",
        "upstream_kgco2e": "20000",
        "allocation_method": "economic",
        "allocation_part": "20000",
        "allocation_whole": "1000000",
        "allocation_unit": "GBP",
        "reference_from": None,
        "reference_to": None,
        "timestamp": datetime(2024, 1, 1, tzinfo=UTC),
        "interval_seconds": 366 * 86400,
        **WHOLE_PARTS,
        **changes,
    }
    return declaration(**given)


def pig_iron(quantity: str, unit: str = "t") -> str:
    content = {
        "family": "material",
        "selectors": {"item": "Pig iron"},
        "quantity": quantity,
        "unit": unit,
    }
    return json.dumps(content)


def one_line(event: SupplierDeclarationEvent, **policy: Any) -> EmissionLine:
    (line,) = lines_of_declaration(event, inventory_of(BOOK, **policy) if policy else INVENTORY)
    return line


# ---- published examples


def test_P01_five_materials_by_their_suppliers_factors_make_145000_kg() -> None:
    """Technical Guidance (2013), example 1.1."""
    materials = [
        ("200000", "0.15"),
        ("600000", "0.1"),
        ("200000", "0.1"),
        ("100000", "0.25"),
        ("50000", "0.2"),
    ]
    lines = [
        one_line(
            declaration(
                declaration_id=f"pf-{number}", quantity=kg, kgco2e_per_unit=factor, **WHOLE_PARTS
            )
        )
        for number, (kg, factor) in enumerate(materials)
    ]
    assert sum(line.kgco2e for line in lines) == Decimal(145000)
    assert {line.method for line in lines} == {"supplier-specific"}


def test_P56_a_total_by_share_of_revenue_is_800_kg() -> None:
    """NHS Recipe Book 22/23, equation P.6 (printed 0.8 t): 40,000 kg x 20,000 / 1,000,000 GBP."""
    line = one_line(total())
    assert line.kgco2e == Decimal(800)
    assert [term.label for term in line.working.terms] == [
        "the supplier's scope 1",
        "the supplier's scope2 location",
        "the supplier's upstream",
    ]
    assert "economic_allocation" in line.flags


# ---- footprints


def test_a_footprint_counts_gross_of_uptake_and_removals() -> None:
    event = declaration(
        kgco2e_per_unit="1.7",
        uptake_kgco2e_per_unit="-5",
        removals_kgco2e_per_unit="-0.4",
        biogenic_co2_kg_per_unit="0.1",
        including_kgco2e_per_unit="-3.3",
    )
    line = one_line(event)
    assert line.kgco2e == Decimal(1000)
    assert line.gases.get("CO2_biogenic") == Decimal(50)
    assert line.gas_split == "not_available"
    assert set(line.flags) == {"removals_not_netted"}
    removed = removals_of_declaration(event, INVENTORY)
    assert removed is not None
    assert removed.posted() == Decimal(-200)


def test_without_its_parts_the_sum_without_uptake_is_taken_and_said() -> None:
    line = one_line(declaration(land_use_kgco2e_per_unit=None, kgco2e_per_unit="2.2"))
    assert line.kgco2e == Decimal(1100)
    assert "biogenic_not_separable" in line.flags


def test_parts_that_miss_their_sum_are_a_remark() -> None:
    assert "composition_mismatch" in one_line(declaration(kgco2e_per_unit="2.0001")).flags
    assert "composition_mismatch" not in one_line(declaration()).flags
    off = declaration(including_kgco2e_per_unit="1", uptake_kgco2e_per_unit="-0.9")
    assert "composition_mismatch" in one_line(off).flags


@pytest.mark.parametrize(
    ("kg", "changes", "flag"),
    [
        ("1000", {}, None),
        ("1000000", {"quantity_unit": "t"}, None),
        # The figures are for 12 kg: 500 / 12 x 2.
        ("83.333333333333", {"declared_amount": "12"}, None),
        ("400", {"unit": "piece", "quantity": "200"}, None),
        (
            "400",
            {"unit": "piece", "quantity_unit": "kg", "product_mass_kg": "2.5"},
            "converted_by_product_mass",
        ),
        (
            "400000",
            {"unit": "piece", "quantity_unit": "t", "product_mass_kg": "2.5"},
            "converted_by_product_mass",
        ),
        # The mass is that of the declared 12 litres, so the amount is not divided by 12 again.
        (
            "105.61892691170",
            {
                "unit": "L",
                "declared_amount": "12",
                "quantity_unit": "kg",
                "product_mass_kg": "9.468",
            },
            "converted_by_product_mass",
        ),
    ],
)
def test_the_amount_bought_is_turned_into_declared_units(
    kg: str, changes: dict[str, Any], flag: str | None
) -> None:
    line = one_line(declaration(**changes))
    assert abs(line.kgco2e - Decimal(kg)) < Decimal("1E-11")
    assert (flag in line.flags) if flag else not line.flags


@pytest.mark.parametrize(
    ("rank", "changes"),
    [
        (6, {"assurance": "limited"}),
        (6, {"assurance": "reasonable"}),
        (6, {"assurance": "verified"}),
        (5, {"assurance": "none"}),
        (5, {"assurance": None}),
        (3, {"boundary": "gate_to_gate", "upstream_inputs": (pig_iron("0.001"),)}),
    ],
)
def test_rank_follows_verification_and_completeness(rank: int, changes: dict[str, Any]) -> None:
    assert lines_of_declaration(declaration(**changes), INVENTORY)[0].rank == rank


def test_another_set_of_potentials_than_the_inventorys_is_kept_and_said() -> None:
    line = one_line(declaration(gwp_set="AR5"))
    assert (line.gwp_set, line.kgco2e) == ("AR5", Decimal(1000))
    assert "gwp_set_embedded" in line.flags


def test_a_deprecated_footprint_says_so_and_leaves_it_to_its_successor() -> None:
    line = one_line(declaration(footprint_status="Deprecated"))
    assert (line.kgco2e, line.flags) == (Decimal(1000), ("footprint_deprecated",))


def test_outbound_logistics_count_once() -> None:
    event = declaration(outbound_logistics_kgco2e_per_unit="0.3")
    goods, way = lines_of_declaration(event, INVENTORY)
    assert (goods.kgco2e, way.kgco2e) == (Decimal(1000), 0)
    assert way.flags == ("outbound_logistics_by_shipments",)
    left = Operand(value=Fraction(1, 3), unit="of the figure", label="share not counted elsewhere")
    goods, way, rest = lines_of_declaration(event, INVENTORY, remainder=left)
    assert (goods.kgco2e, way.kgco2e, rest.kgco2e) == (Decimal(1000), 0, Decimal(50))
    goods, way = lines_of_declaration(event, inventory_of(BOOK, outbound_logistics="declaration"))
    assert (goods.kgco2e, way.kgco2e) == (Decimal(1000), Decimal(150))
    assert (goods.assignment.category, way.assignment.category) == (1, 4)


def test_a_line_is_of_the_amount_bought_or_of_the_declaration_as_a_whole() -> None:
    footprint = one_line(declaration())
    assert (footprint.quantity, footprint.unit) == (500, "kg")
    by_key = one_line(total())
    assert (by_key.quantity, by_key.unit) == (20000, "GBP")
    ours = total(
        kind="allocated_total", allocation_part=None, allocation_whole=None, allocation_unit=None
    )
    assert (one_line(ours).quantity, one_line(ours).unit) == (1, "declaration")


def test_capital_goods_are_category_2() -> None:
    assert one_line(declaration(is_capital=True)).assignment.category == 2


# ---- totals and fills


def test_a_share_of_a_third_is_exact() -> None:
    line = one_line(total(allocation_part="1", allocation_whole="3", allocation_unit="t"))
    assert line.working.exact() == Fraction(40000, 3)
    assert line.kgco2e == Decimal("13333.333333333333")


def test_an_allocated_total_is_ours_already() -> None:
    event = total(kind="allocated_total", allocation_share="0.02")
    assert one_line(event).kgco2e == Decimal(40000)
    assert one_line(event).rank == 4


@pytest.mark.parametrize(
    ("kg", "basis", "changes", "flag"),
    [
        ("800", "location", {}, None),
        ("720", "market", {}, None),
        ("800", "market", {"scope2_market_kgco2e": None}, "scope2_other_basis"),
        ("720", "location", {"scope2_location_kgco2e": None}, "scope2_other_basis"),
        ("700", "location", {"scope2_location_kgco2e": "0"}, None),
    ],
)
def test_the_policy_says_which_scope_2_of_a_supplier_counts(
    kg: str, basis: str, changes: dict[str, Any], flag: str | None
) -> None:
    line = one_line(total(**changes), supplier_scope2=basis)
    assert line.kgco2e == Decimal(kg)
    assert ("scope2_other_basis" in line.flags) == (flag is not None)


def test_a_total_without_upstream_is_filled_from_the_suppliers_inputs() -> None:
    event = total(upstream_kgco2e=None, boundary="gate_to_gate", upstream_inputs=(pig_iron("10"),))
    own, fill = lines_of_declaration(event, INVENTORY)
    assert (own.kgco2e, own.primary_share) == (Decimal(400), 1)
    # 10 t x 1000 kg/t x 2 kgCO2e/kg x 2 %.
    assert (fill.kgco2e, fill.primary_share, fill.basis) == (Decimal(400), 0, "cradle_to_gate")
    assert {own.method, fill.method} == {"hybrid"}
    assert {own.rank, fill.rank} == {3}
    assert "hybrid_fill" in fill.flags
    assert (fill.activity_type, fill.quantity, fill.unit) == ("supplier/input/material", 10, "t")
    assert fill.factor_scores is not None
    assert fill.factor_scores.as_tuple() == (2, 2, 3, 2, 3)


def test_a_fill_by_spend_goes_through_rates_and_prices() -> None:
    bought = {
        "family": "spend",
        "selectors": {"naics_code": "331110", "version": "1.3"},
        "quantity": 100,
        "unit": "EUR",
    }
    event = total(
        upstream_kgco2e=None, boundary="gate_to_gate", upstream_inputs=(json.dumps(bought),)
    )
    _, fill = lines_of_declaration(event, INVENTORY)
    spent = Fraction(100) * Fraction("1.1") * Fraction(292, 313) * Fraction("0.8")
    assert fill.kgco2e == posted_fraction(spent / 50)


# ---- refusals


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("gwp_set_too_old", {"gwp_set": "AR4"}),
        ("gwp_set_too_old", {"gwp_set": "SAR"}),
        ("exempted_emissions_above_policy", {"exempted_emissions_pct": "5.01"}),
        ("reference_period_too_old", {"reference_from": None, "reference_to": "2021-04-30"}),
        ("footprint_expired", {"valid_to": "2024-05-01"}),
        ("boundary_without_fill", {"boundary": "gate_to_gate"}),
        ("boundary_beyond_gate", {"boundary": "cradle_to_grave"}),
        ("upstream_twice", {"upstream_inputs": (pig_iron("1"),)}),
        ("quantity_missing", {"quantity": None}),
        ("unit_missing", {"unit": None}),
        ("incompatible_unit", {"quantity_unit": "kWh"}),
        ("incompatible_unit", {"unit": "piece", "quantity_unit": "kg"}),
        ("footprint_missing", {**WHOLE_PARTS, "kgco2e_per_unit": None}),
        ("negative_footprint", {**WHOLE_PARTS, "kgco2e_per_unit": "-0.1"}),
    ],
)
def test_an_unfit_footprint_is_refused(code: str, changes: dict[str, Any]) -> None:
    with pytest.raises(RejectedRecord) as refusal:
        lines_of_declaration(declaration(**changes), INVENTORY)
    assert refusal.value.code == code
    assert refusal.value.valid


@pytest.mark.parametrize(
    "changes",
    [
        {"exempted_emissions_pct": "5"},
        {"reference_from": None, "reference_to": "2021-05-01"},
        {"valid_to": "2024-05-01T00:00:01Z"},
        {"gwp_set": "AR5"},
        {"kgco2e_per_unit": "0", **WHOLE_PARTS},
    ],
)
def test_the_limit_itself_is_accepted(changes: dict[str, Any]) -> None:
    assert lines_of_declaration(declaration(**changes), INVENTORY)


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("boundary_without_fill", {"upstream_kgco2e": None}),
        ("upstream_twice", {"upstream_inputs": (pig_iron("1"),)}),
        ("scope1_missing", {"scope1_kgco2e": None}),
        (
            "scope2_missing",
            {"scope2_location_kgco2e": None, "scope2_market_kgco2e": None},
        ),
        ("negative_total", {"scope1_kgco2e": "-1"}),
        ("negative_total", {"upstream_kgco2e": "-1"}),
        (
            "allocation_key_missing",
            {"allocation_part": None, "allocation_whole": None, "allocation_unit": None},
        ),
        ("gwp_set_too_old", {"gwp_set": "AR4"}),
        (
            "factor_missing",
            {
                "upstream_kgco2e": None,
                "upstream_inputs": (pig_iron("1").replace("Pig iron", "Coke"),),
            },
        ),
    ],
)
def test_an_unfit_total_is_refused(code: str, changes: dict[str, Any]) -> None:
    with pytest.raises(RejectedRecord) as refusal:
        lines_of_declaration(total(**changes), INVENTORY)
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("unknown_declaration_kind", {"kind": "guess"}),
        ("unknown_boundary", {"boundary": "gate"}),
        ("unknown_gwp_set", {"gwp_set": "AR7"}),
        ("unknown_assurance", {"assurance": "high"}),
        ("unknown_status", {"footprint_status": "Old"}),
        ("not_positive", {"declared_amount": "0"}),
        ("not_positive", {"product_mass_kg": "0"}),
        ("negative_quantity", {"fossil_kgco2e_per_unit": "-1"}),
        ("removal_above_zero", {"uptake_kgco2e_per_unit": "1"}),
        ("removal_above_zero", {"removals_kgco2e_per_unit": "0.1"}),
        ("out_of_range", {"primary_data_share_pct": "100.1"}),
        ("out_of_range", {"coverage_share": "1.01"}),
        ("rating_above_scale", {"technological_dqr": "4", "dqr_scale": 3}),
        ("rating_above_scale", {"technological_dqr": "0.5", "dqr_scale": 5}),
        ("rating_above_scale", {"technological_dqr": "2"}),
        ("unknown_dqr_scale", {"dqr_scale": 4}),
        ("allocation_key_incomplete", {"allocation_part": "1"}),
        (
            "share_out_of_range",
            {"allocation_part": "3", "allocation_whole": "2", "allocation_unit": "EUR"},
        ),
        ("period_backwards", {"reference_to": "2022-01-01"}),
        ("succeeds_itself", {"footprint_id": "pf-1", "preceding_ids": ("pf-0", "pf-1")}),
        ("given_twice", {"preceding_ids": ("pf-0", "pf-0")}),
        ("invalid_input", {"upstream_inputs": ("10 t of pig iron",)}),
        ("invalid_input", {"upstream_inputs": ('{"family":"grid"}',)}),
        ("unknown_unit", {"upstream_inputs": (pig_iron("1", "pallet"),)}),
        ("interval_out_of_range", {"interval_seconds": 367 * 86400}),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(
    code: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(RejectedRecord) as refusal:
        declaration(**changes).check(NOW)
    assert refusal.value.code == code


# ---- quality


@pytest.mark.parametrize(
    ("score", "rating", "scale"),
    [
        (1, "1", 3),
        (2, "1.1", 3),
        (2, "2", 3),
        (4, "2.5", 3),
        (4, "3", 3),
        (1, "1", 5),
        (2, "2", 5),
        (3, "2.01", 5),
        (4, "4", 5),
        (4, "5", 5),
    ],
)
def test_ratings_of_both_scales_become_scores_never_better(
    score: int, rating: str, scale: int
) -> None:
    assert score_of_rating(Decimal(rating), scale) == score


def test_scores_come_from_ratings_where_there_are_some() -> None:
    rated = declaration(dqr_scale=3, technological_dqr="1", temporal_dqr="2", completeness_dqr="3")
    assert declaration_scores(rated) == Scores(1, 2, 4, 4, 1)
    unrated = declaration(geography_country_iso2="DE", assurance=None, exempted_emissions_pct="1")
    assert declaration_scores(unrated) == Scores(1, 1, 1, 2, 3)
    old = declaration(reference_from=None, reference_to=None, assurance="none")
    assert declaration_scores(old) == Scores(1, 4, 4, 4, 2)


@pytest.mark.parametrize(
    ("data_to", "score"),
    [
        *(("2023-05-01", 1), ("2021-05-02", 1), ("2021-05-01", 2), ("2018-05-02", 2)),
        *(("2018-05-01", 3), ("2014-05-02", 3), ("2014-05-01", 4), ("1990-01-01", 4)),
    ],
)
def test_without_a_rating_the_age_of_the_data_is_their_score_of_time(
    data_to: str, score: int
) -> None:
    """Used from 1 May 2024: below 3, 6 and 10 years (Scope 3 Standard, table 7.6)."""
    event = declaration(reference_from=None, reference_to=data_to)
    assert declaration_scores(event).time == score


@pytest.mark.parametrize(("share", "score"), [("1", 1), ("0.51", 2), ("0.5", 3), (None, 4)])
def test_a_total_is_scored_by_what_it_covers_and_as_an_average_of_its_own_period(
    share: str | None, score: int
) -> None:
    assert declaration_scores(total(coverage_share=share)).as_tuple()[:4] == (2, 1, 4, score)


def test_a_year_later_than_29_february_is_the_28th() -> None:
    leap = datetime(2024, 2, 29, 12, tzinfo=UTC)
    assert years_later(leap, 1) == datetime(2025, 2, 28, 12, tzinfo=UTC)
    assert years_later(leap, 4) == datetime(2028, 2, 29, 12, tzinfo=UTC)


def test_a_footprint_used_wholly_before_it_is_valid_is_flagged() -> None:
    end = declaration().occurred_to
    for valid_from, is_flagged in ((end, True), (end - timedelta(seconds=1), False)):
        line = one_line(declaration(valid_from=valid_from.isoformat()))
        assert ("used_before_validity" in line.flags) == is_flagged


def test_N6_primary_shares_are_38_and_22_8_percent() -> None:
    """11,400 of 30,000 kg from suppliers; of those 60 % primary: 38 % whole, 22.8 % weighted."""
    supplied = one_line(
        declaration(
            quantity="11400", kgco2e_per_unit="1", primary_data_share_pct="60", **WHOLE_PARTS
        )
    )
    average = one_line(declaration(quantity="9300", kgco2e_per_unit="2", **WHOLE_PARTS))
    estimated = _as_estimate(average)
    found = primary_shares([supplied, estimated])
    assert found.kgco2e == 30000
    assert found.supplier_sourced == Fraction(38, 100)
    assert found.weighted == Fraction(228, 1000)
    nothing = primary_shares([])
    assert (nothing.weighted, nothing.supplier_sourced) == (None, None)


def _as_estimate(line: EmissionLine) -> EmissionLine:
    """18,600 kg by average data, from a purchase."""
    from carbon_ledger.purchasing.purchases import lines_of_purchase

    event = purchase(material_item="Pig iron", quantity="9300", unit="kg")
    (estimated,) = lines_of_purchase(event, INVENTORY)
    assert estimated.kgco2e == line.kgco2e
    return estimated


def test_without_a_stated_share_the_suppliers_own_figure_is_primary_and_its_fill_is_not() -> None:
    event = total(upstream_kgco2e=None, upstream_inputs=(pig_iron("10"),))
    found = primary_shares(lines_of_declaration(event, INVENTORY))
    assert found.weighted == Fraction(1, 2)


# ---- beside the purchases


def erp(**changes: Any) -> Any:
    event = changes.pop("event", declaration())
    purchases = changes.pop("purchases", [purchase(quantity="500", unit="kg")])
    return check_against_purchases(
        event, lines_of_declaration(event, INVENTORY), purchases, INVENTORY
    )


@pytest.mark.parametrize(
    ("bought", "ratio", "flags"),
    [
        ("500", Fraction(1), ()),
        ("1000", Fraction(1, 2), ()),
        ("480", Fraction(25, 24), ("coverage_capped",)),
        ("476.190476190477", None, ("coverage_capped",)),
        ("470", Fraction(50, 47), ("coverage_conflict",)),
    ],
)
def test_coverage_beyond_what_was_bought_is_a_conflict(
    bought: str, ratio: Fraction | None, flags: tuple[str, ...]
) -> None:
    check = erp(purchases=[purchase(quantity=bought, unit="kg")])
    assert ratio is None or check.coverage.ratio == ratio
    assert check.flags == flags
    assert check.is_conflict == ("coverage_conflict" in flags)
    assert check.covered_by == "quantity"


@pytest.mark.parametrize(
    ("per_kg", "is_reviewed"), [("2", False), ("40", True), ("0.05", True), ("0.1", False)]
)
def test_an_implied_intensity_far_from_the_sectors_is_reviewed(
    per_kg: str, is_reviewed: bool
) -> None:
    event = declaration(kgco2e_per_unit=per_kg, **WHOLE_PARTS)
    check = erp(event=event)
    assert ("implied_intensity_review" in check.flags) == is_reviewed
    assert check.implied == Fraction(per_kg) * 500 / 1000
    assert check.estimated == Fraction("1.1") * Fraction(292, 313) * Fraction("0.8")


@pytest.mark.parametrize(
    ("per_kg", "is_reviewed"), [("0.1", False), ("0.0999", True), ("40", False), ("40.001", True)]
)
def test_the_band_of_implied_intensities_holds_its_ends(per_kg: str, is_reviewed: bool) -> None:
    """Estimated at 1,000 kg for 1,000 EUR; from a twentieth to twenty times that is no surprise."""
    event = declaration(kgco2e_per_unit=per_kg, **WHOLE_PARTS)
    bought = purchase(material_item="Pig iron", quantity="500", unit="kg")
    check = erp(event=event, purchases=[bought])
    assert (check.estimated, check.implied) == (1, Fraction(per_kg) / 2)
    assert ("implied_intensity_review" in check.flags) == is_reviewed


def test_what_was_bought_for_nothing_implies_no_intensity() -> None:
    check = erp(purchases=[purchase(amount_net="0", quantity="500", unit="kg")])
    assert (check.implied, check.estimated, check.flags) == (None, None, ())


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({"timestamp": "2024-05-01T00:00:00Z"}, True),
        ({"timestamp": "2024-04-30T23:59:59Z"}, False),
        ({"timestamp": "2024-05-31T23:59:59Z"}, True),
        ({"timestamp": "2024-06-01T00:00:00Z"}, False),
        ({"entity_id": "acme-fr"}, False),
        ({"is_capital": True}, False),
        ({"classification": "naics:484121"}, False),
    ],
)
def test_a_declaration_is_about_purchases_of_its_own_period_entity_and_category(
    changes: dict[str, Any], counts: bool
) -> None:
    bought = {"quantity": "500", "unit": "kg"}
    check = erp(
        purchases=[
            purchase(**bought),
            purchase(**{"purchase_order_id": "po-2", "document_id": "inv-2", **bought, **changes}),
        ]
    )
    assert check.coverage.ratio == (Fraction(1, 2) if counts else 1)


def test_a_declaration_that_names_lines_is_about_those_alone() -> None:
    bought = {"quantity": "500", "unit": "kg"}
    lines = [purchase(**bought), purchase(line_no=2, **bought)]
    named = declaration(purchase_order_lines=(lines[1].line_ref,))
    assert erp(event=named, purchases=lines).coverage.ratio == 1
    assert erp(purchases=lines).coverage.ratio == Fraction(1, 2)


def test_a_key_in_a_mass_is_compared_with_what_was_bought_of_it() -> None:
    event = total(allocation_part="0.2", allocation_unit="t")
    bought = [purchase(quantity="500", unit="kg"), purchase(line_no=2, quantity="0.3", unit="t")]
    check = erp(event=event, purchases=bought)
    assert (check.covered_by, check.coverage.ratio) == ("quantity", Fraction(1, 4))


def test_only_booked_purchases_of_the_supplier_and_period_are_compared() -> None:
    bought = {"quantity": "500", "unit": "kg"}
    check = erp(
        purchases=[
            purchase(**bought),
            purchase(document_kind="purchase_order", document_id="po-1", **bought),
            purchase(
                document_id="gr-1",
                document_kind="goods_receipt",
                timestamp="2024-05-09T00:00:00Z",
                **bought,
            ),
            purchase(supplier_id="other", line_no=2, **bought),
            purchase(timestamp="2024-06-01T00:00:00Z", line_no=3, **bought),
            purchase(is_intra_group=True, line_no=4, **bought),
        ]
    )
    assert check.coverage.ratio == 1
    named = declaration(purchase_order_lines=("inv-1/2",))
    with pytest.raises(RejectedRecord) as refusal:
        erp(event=named)
    assert refusal.value.code == "no_purchase_to_cover"


def test_a_key_in_money_is_compared_with_spend_across_currencies() -> None:
    event = total(allocation_part="850")
    check = erp(event=event, purchases=[purchase()])
    assert (check.covered_by, check.coverage.ratio) == ("spend", 1)
    direct = erp(event=event, purchases=[purchase(currency="GBP", amount_net="1700")])
    assert direct.coverage.ratio == Fraction(1, 2)
    stated = total(
        kind="allocated_total",
        allocation_part=None,
        allocation_whole=None,
        allocation_unit=None,
        coverage_share="0.4",
    )
    assert erp(event=stated, purchases=[purchase()]).covered_by == "stated"
    silent = total(allocation_unit="kg")
    with pytest.raises(RejectedRecord) as refusal:
        erp(event=silent, purchases=[purchase()])
    assert refusal.value.code == "coverage_not_comparable"


# ---- the year's statement


def months(*spends: str) -> dict[tuple[datetime, datetime], Decimal]:
    starts = [datetime(2024, number, 1, tzinfo=UTC) for number in range(1, len(spends) + 2)]
    return {
        (start, end): Decimal(spend)
        for start, end, spend in zip(starts, starts[1:], spends, strict=False)
    }


def test_a_years_statement_takes_the_months_pro_rata_of_spend() -> None:
    statement = lines_of_declaration(total(), INVENTORY)
    parts = true_up(statement, months("100", "0", "300"))
    assert [part.kgco2e for part in parts] == [Decimal(200), Decimal(600)]
    assert parts[1].occurred_from == datetime(2024, 3, 1, tzinfo=UTC)
    assert all("annual_true_up" in part.flags for part in parts)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.decimals(min_value=0, max_value=10**6, places=2), min_size=1, max_size=11))
def test_the_months_of_a_statement_add_up_to_it(spends: list[Decimal]) -> None:
    statement = lines_of_declaration(total(allocation_whole="1000007"), INVENTORY)
    if not any(spends):
        with pytest.raises(RejectedRecord) as refusal:
            true_up(statement, months(*map(str, spends)))
        assert refusal.value.code == "nothing_to_allocate_by"
        return
    parts = true_up(statement, months(*map(str, spends)))
    assert sum(part.working.exact() for part in parts) == statement[0].working.exact()
    assert abs(sum(part.kgco2e for part in parts) - statement[0].kgco2e) <= Decimal("6E-12")


def test_a_month_outside_the_statement_is_refused() -> None:
    statement = lines_of_declaration(declaration(), INVENTORY)
    with pytest.raises(RejectedRecord) as refusal:
        true_up(statement, months("1"))
    assert refusal.value.code == "month_outside_statement"


# ---- the event


def test_the_event_and_its_record_are_the_same() -> None:
    event = total(
        upstream_kgco2e=None,
        boundary="gate_to_gate",
        upstream_inputs=(pig_iron("10.50"),),
        preceding_ids=("pf-0",),
        valid_from="2024-01-01",
        created="2023-12-01T00:00:00+01:00",
    )
    fields = event.to_avro_fields()
    assert SupplierDeclarationEvent.from_avro_fields(fields, NOW) == event
    assert json.loads(fields["upstream_inputs"][0])["quantity"] == "10.5"
    schema = json.loads(
        resources.files("carbon_ledger").joinpath("schemas/supplier.avsc").read_text()
    )
    assert list(fields) == [field["name"] for field in schema["fields"]]
    assert event.event_id == "supplier:steelworks@total-2024#0"
    assert event.occurred_to - event.occurred_from == timedelta(days=366)
    older = {name: fields[name] for name in fields if name not in ("remarks", "declared_amount")}
    assert SupplierDeclarationEvent.from_avro_fields(older, NOW) == event


def test_an_input_enters_in_its_one_spelling_however_it_is_written() -> None:
    fields = total(upstream_kgco2e=None, upstream_inputs=(pig_iron("1"),)).to_avro_fields()
    fields["upstream_inputs"] = [pig_iron("1.0")]
    event = SupplierDeclarationEvent.from_avro_fields(fields, NOW)
    assert event.inputs[0].quantity == 1


# ---- a sum whose parts are not all stated

SUM_ONLY: dict[str, Any] = {"land_use_kgco2e_per_unit": None, "kgco2e_per_unit": "5"}
SUMS: list[tuple[str, dict[str, Any], str]] = [
    ("nothing stated apart", {}, "5"),
    ("removals netted in the sum", {"removals_kgco2e_per_unit": "-4"}, "9"),
    ("removals deeper than the rest", {"removals_kgco2e_per_unit": "-6"}, "11"),
    ("biogenic CO2, no version", {"biogenic_co2_kg_per_unit": "3"}, "5"),
    (
        "biogenic CO2 in the sum of version 3",
        {"biogenic_co2_kg_per_unit": "3", "footprint_spec": "3.0.0"},
        "2",
    ),
    (
        "version 2 has no biogenic emissions in its sum",
        {"biogenic_non_co2_kgco2e_per_unit": "0.5", "footprint_spec": "2.3.0"},
        "5.5",
    ),
    (
        "version 2 has no land-use change in its sum",
        {
            "land_use_kgco2e_per_unit": "2",
            "biogenic_non_co2_kgco2e_per_unit": None,
            "footprint_spec": "2.3.0",
        },
        "7",
    ),
]


@pytest.mark.parametrize(("_what", "changes", "per_kg"), SUMS)
def test_a_sum_counts_gross_of_removals_and_without_biogenic_co2(
    _what: str, changes: dict[str, Any], per_kg: str
) -> None:
    line = one_line(declaration(**{**SUM_ONLY, "fossil_kgco2e_per_unit": "1", **changes}))
    assert line.kgco2e == Decimal(per_kg) * 500
    assert "biogenic_not_separable" in line.flags


def test_a_sum_that_is_below_its_biogenic_part_is_refused() -> None:
    event = declaration(
        **{**SUM_ONLY, "biogenic_co2_kg_per_unit": "5.1", "footprint_spec": "3.0.0"}
    )
    with pytest.raises(RejectedRecord) as refused:
        lines_of_declaration(event, INVENTORY)
    assert refused.value.code == "negative_footprint"


def test_an_input_bought_for_money_is_deflated_by_its_own_sector() -> None:
    content = {
        "family": "spend",
        "selectors": {"naics_code": "331110", "version": "1.3"},
        "quantity": "1000",
        "unit": "USD",
    }
    event = total(
        kind="allocated_total", upstream_kgco2e=None, upstream_inputs=(json.dumps(content),)
    )
    rows = (
        *RATES,
        index("price_index:331110", "US", 2022, "100"),
        index("price_index:331110", "US", 2024, "200"),
    )
    _, fill = lines_of_declaration(event, inventory_of(BOOK, rows=rows))
    assert fill.kgco2e == Decimal(400)


def test_purchases_of_another_stream_or_category_are_not_what_a_declaration_covers() -> None:
    event = total(
        kind="allocated_total",
        allocation_part="1250",
        allocation_unit="EUR",
        timestamp=datetime(2024, 5, 1, tzinfo=UTC),
        interval_seconds=31 * 86400,
    )
    bought = [
        purchase(),
        purchase(line_no=2, line_kind="freight", amount_net="200"),
        purchase(line_no=3, is_capital=True, amount_net="500"),
    ]
    found = check_against_purchases(
        event, lines_of_declaration(event, INVENTORY), bought, INVENTORY
    )
    assert found.coverage.ratio == Fraction(5, 4)
    assert found.is_conflict
