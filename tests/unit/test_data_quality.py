"""Scores, their roll-up, pedigree intervals, propagation, and the share of primary data."""

from __future__ import annotations

import decimal
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon_ledger.data_quality import (
    BASIC_UNCERTAINTY,
    DEFAULT_SCORES,
    PEDIGREE,
    Interval,
    PrimaryLine,
    Scores,
    UncertainLine,
    completeness_score,
    declared_scores,
    geography_score,
    geometric_deviation,
    interval,
    label,
    line_interval,
    of_match,
    of_product,
    of_total,
    primary_share,
    relative_uncertainty,
    reliability_score,
    roll_up,
    time_score,
)
from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.factor_book.book import FactorMatch
from tests.support.factor_examples import grid_factor

BEST = Scores(1, 1, 1, 1, 1)
# The example: reliability 1, completeness 2, time 2, geography 1, technology 3.
EXAMPLE = Scores(technology=3, time=2, geography=1, completeness=2, reliability=1)


def match(**changes: Any) -> FactorMatch:
    given: dict[str, Any] = {
        "factor": grid_factor(),
        "release_id": "r",
        "how_matched": "country/location/exact-year",
        "geography_level": "country",
        "boundary_level": "location",
        "vintage_gap_years": 0,
        "boundary_substitute": False,
        "flags": (),
        **changes,
    }
    return FactorMatch(**given)


# ---- scores (Scope 3 Standard, table 7.6)


@pytest.mark.parametrize(
    ("gap", "score"),
    [
        (0, 1), (2, 1), (-2, 1), (3, 2), (-3, 2), (5, 2), (6, 3), (-9, 3), (9, 3),
        (10, 4), (-11, 4), (None, 4),
    ],
)  # fmt: skip
def test_time(gap: int | None, score: int) -> None:
    assert time_score(gap) == score


def test_geography() -> None:
    areas = ("same", "similar", "different", "unknown")
    assert [geography_score(area) for area in areas] == [1, 2, 3, 4]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("share", "is_adequate", "score"),
    [
        ("1", True, 1),
        ("1", False, 3),
        ("0.99", True, 2),
        ("0.51", False, 3),
        ("0.5", True, 3),
        ("0.5", False, 4),
        ("0", True, 3),
        (None, True, 4),
    ],
)
def test_completeness(share: str | None, is_adequate: bool, score: int) -> None:
    given = None if share is None else Fraction(share)
    assert completeness_score(share_of_sites=given, is_period_adequate=is_adequate) == score


@pytest.mark.parametrize(
    ("is_verified", "is_measured", "is_qualified", "score"),
    [
        (True, True, True, 1),
        (True, False, True, 2),
        (False, True, True, 2),
        (False, False, True, 3),
        (False, False, False, 4),
        (False, True, False, 2),
    ],
)
def test_reliability(is_verified: bool, is_measured: bool, is_qualified: bool, score: int) -> None:
    found = reliability_score(
        is_verified=is_verified, is_measured=is_measured, is_qualified=is_qualified
    )
    assert found == score


def test_reliability_takes_an_estimator_for_qualified_unless_said() -> None:
    assert reliability_score(is_verified=False, is_measured=False) == 3


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, Scores(1, 1, 1, 2, 2)),
        ({"geography_level": "region"}, Scores(1, 1, 1, 2, 2)),
        ({"flags": ("region_fallback",)}, Scores(1, 1, 2, 2, 2)),
        ({"geography_level": "proxy"}, Scores(1, 1, 3, 2, 2)),
        ({"geography_level": "proxy", "flags": ("region_fallback",)}, Scores(1, 1, 3, 2, 2)),
        ({"geography_level": "any", "vintage_gap_years": None}, Scores(1, 4, 3, 2, 2)),
        ({"geography_level": "planet"}, Scores(1, 1, 4, 2, 2)),
        ({"vintage_gap_years": -4}, Scores(1, 2, 1, 2, 2)),
        ({"vintage_gap_years": 7}, Scores(1, 3, 1, 2, 2)),
        ({"boundary_substitute": True}, Scores(2, 1, 1, 2, 2)),
    ],
)
def test_a_factors_match_gives_time_and_geography(how: dict[str, Any], expected: Scores) -> None:
    assert of_match(Scores(1, 3, 4, 2, 2), match(**how)) == expected


def test_a_substitute_does_not_make_a_poor_technology_better() -> None:
    assert of_match(replace(BEST, technology=4), match(boundary_substitute=True)).technology == 4


def test_default_scores_are_those_decided() -> None:
    assert {kind: scores.as_tuple() for kind, scores in DEFAULT_SCORES.items()} == {
        "calibrated_meter": (1, 1, 1, 1, 1),
        "uncalibrated_meter": (1, 1, 1, 1, 2),
        "estimated_reading": (1, 1, 1, 2, 3),
        "telematics_fuel": (1, 1, 1, 1, 2),
        "telematics_distance": (2, 1, 1, 1, 2),
        "fuel_card": (1, 1, 1, 1, 2),
        "shipment_declared": (1, 1, 1, 1, 2),
        "shipment_default_intensity": (3, 2, 2, 2, 3),
        "shipment_between_countries": (3, 2, 4, 2, 4),
        "purchase_quantity": (2, 1, 2, 1, 2),
        "purchase_spend": (4, 3, 3, 2, 4),
    }


def test_scores_are_read_back_from_the_text_that_the_ledger_keeps() -> None:
    assert EXAMPLE.text == "3,2,1,2,1"
    assert Scores.of_text(EXAMPLE.text) == EXAMPLE


@pytest.mark.parametrize("text", ["", "1,1,1,1", "1,1,1,1,1,1", "1,1,1,1,5", "1,1,1,1,12", "1 1"])
def test_a_text_of_other_than_five_scores_is_refused_by_name(text: str) -> None:
    with pytest.raises(BrokenInvariant) as broken:
        Scores.of_text(text)
    assert broken.value.code == "data_quality_score"


@pytest.mark.parametrize("wrong", [(0, 1, 1, 1, 1), (1, 1, 1, 1, 5)])
def test_scores_outside_the_table_are_refused(wrong: tuple[int, int, int, int, int]) -> None:
    with pytest.raises(BrokenInvariant):
        Scores(*wrong)


@pytest.mark.parametrize(
    ("ratings", "scale", "is_verified", "is_measured", "expected"),
    [
        (("1", "1", "1"), 5, True, True, (1, 1, 1, 2, 1)),
        (("1.1", "2", "2.0"), 5, True, False, (2, 2, 2, 2, 2)),
        (("4", "4.5", "5"), 5, False, True, (4, 4, 4, 3, 2)),
        ((None, "3", None), 5, False, False, (4, 3, 4, 3, 3)),
        (("1", "2", "3"), 3, False, False, (2, 3, 4, 3, 3)),
        (("1.5", "2.5", "1"), 3, True, True, (3, 4, 2, 2, 1)),
    ],
)
def test_a_suppliers_own_ratings(
    ratings: tuple[str | None, str | None, str | None],
    scale: Any,
    is_verified: bool,
    is_measured: bool,
    expected: tuple[int, ...],
) -> None:
    technology, time, geography = (None if one is None else Decimal(one) for one in ratings)
    found = declared_scores(
        technology=technology,
        time=time,
        geography=geography,
        scale=scale,
        is_verified=is_verified,
        is_measured=is_measured,
    )
    assert found.as_tuple() == expected


@pytest.mark.parametrize(("rating", "scale"), [("0.9", 5), ("5.1", 5), ("3.1", 3)])
def test_a_rating_off_its_scale_is_refused(rating: str, scale: Any) -> None:
    with pytest.raises(RejectedRecord) as refused:
        declared_scores(
            technology=Decimal(1),
            time=Decimal(rating),
            geography=None,
            scale=scale,
            is_verified=False,
            is_measured=False,
        )
    assert (refused.value.code, refused.value.field) == ("rating_out_of_range", "temporalDQR")
    assert refused.value.valid == f"1 to {scale}"


# ---- roll-up


def test_a_roll_up_weighs_by_kilograms_and_shows_the_worst() -> None:
    found = roll_up(
        [
            (Decimal(300), Scores(1, 1, 1, 1, 2)),
            (Decimal(100), Scores(4, 3, 3, 2, 4)),
            (Decimal(100), None),
        ]
    )
    assert found is not None
    assert found.mean == (
        Fraction(7, 4),
        Fraction(3, 2),
        Fraction(3, 2),
        Fraction(5, 4),
        Fraction(5, 2),
    )
    assert found.overall == Fraction(17, 10)
    assert found.worst == Scores(4, 3, 3, 2, 4)
    assert found.scored_share == Fraction(4, 5)


def test_a_credit_weighs_as_much_as_a_charge() -> None:
    found = roll_up([(Decimal(100), BEST), (Decimal(-100), Scores(3, 3, 3, 3, 3))])
    assert found is not None
    assert found.overall == 2


def test_lines_of_no_kilograms_weigh_the_same() -> None:
    found = roll_up([(Decimal(0), BEST), (Decimal(0), Scores(3, 3, 3, 3, 3)), (Decimal(0), None)])
    assert found is not None
    assert (found.overall, found.scored_share) == (2, 1)


def test_nothing_scored_has_no_roll_up() -> None:
    assert roll_up([]) is None
    assert roll_up([(Decimal(5), None)]) is None


any_scores = st.builds(Scores, *(st.integers(1, 4) for _ in range(5)))
any_kg = st.integers(-1000, 1000).map(Decimal)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(any_kg, any_scores), min_size=1, max_size=6))
def test_a_mean_lies_between_best_and_worst_in_any_order(
    lines: list[tuple[Decimal, Scores]],
) -> None:
    found = roll_up(lines)
    assert found is not None
    assert found == roll_up(list(reversed(lines)))
    for n, mean in enumerate(found.mean):
        column = [scores.as_tuple()[n] for _, scores in lines]
        assert min(column) <= mean <= max(column) == found.worst.as_tuple()[n]


# ---- pedigree


def test_the_published_check_of_the_pedigree() -> None:
    found = geometric_deviation([EXAMPLE], Decimal("1.05"))
    assert round(found, 3) == Decimal("1.525")
    # Calculated to 60 digits with bc.
    assert str(found) == "1.525302907294759431287996927775329159278"


def test_the_best_of_data_leave_the_basic_uncertainty() -> None:
    assert geometric_deviation([BEST], Decimal("1.05")) == Decimal("1.05")
    assert geometric_deviation([], Decimal(1)) == 1


def test_scores_of_activity_and_factor_both_count_the_basic_uncertainty_once() -> None:
    worst_time = Scores(1, 4, 1, 1, 1)
    one = geometric_deviation([worst_time], Decimal(1))
    assert round(one, 20) == Decimal("1.5")
    both = geometric_deviation([worst_time, worst_time], Decimal(1))
    # exp(sqrt(2) ln 1.5)
    assert round(both, 12) == Decimal("1.774314684182")


def test_the_tables_of_uncertainty_factors() -> None:
    assert {name: [str(one) for one in row] for name, row in PEDIGREE.items()} == {
        "technology": ["1.00", "1.20", "1.50", "2.00"],
        "time": ["1.00", "1.10", "1.20", "1.50"],
        "geography": ["1.00", "1.02", "1.05", "1.10"],
        "completeness": ["1.00", "1.05", "1.10", "1.20"],
        "reliability": ["1.00", "1.10", "1.20", "1.50"],
    }
    assert {name: str(one) for name, one in BASIC_UNCERTAINTY.items()} == {
        "energy": "1.05",
        "CO2": "1.05",
        "combustion_CH4_N2O": "1.5",
        "transport_services": "2.0",
    }


def test_the_ambient_decimal_context_is_not_used() -> None:
    with decimal.localcontext() as context:
        context.prec = 5
        assert round(geometric_deviation([EXAMPLE], Decimal("1.05")), 4) == Decimal("1.5253")
        assert len(str(geometric_deviation([EXAMPLE], Decimal("1.05")))) > 35


def test_an_interval_divides_and_multiplies() -> None:
    assert interval(Decimal(300), Decimal("1.5")) == Interval(
        low=Decimal("200.000000000000"), high=Decimal("450.000000000000")
    )
    assert interval(Decimal(-300), Decimal("1.5")) == Interval(
        low=Decimal(-450), high=Decimal(-200)
    )
    assert str(interval(Decimal(1), Decimal(3)).low) == "0.333333333333"


def test_the_interval_of_a_line() -> None:
    given = Decimal(1000), EXAMPLE, None, Decimal("1.05")
    found = line_interval(*given)
    assert found is not None
    assert str(found.low) == "655.607483089097"
    assert str(found.high) == "1525.302907294759"
    assert line_interval(Decimal(1), None, None, Decimal("1.05")) is None
    both = line_interval(Decimal(1000), EXAMPLE, EXAMPLE, Decimal("1.05"))
    assert both is not None
    assert both.high > found.high


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: geometric_deviation([BEST], Decimal("0.99")), "basic_uncertainty"),
        (lambda: interval(Decimal(1), Decimal("0.99")), "geometric_deviation"),
        (
            lambda: of_total([UncertainLine(kgco2e=Decimal(1), relative=Decimal("-0.1"))]),
            "uncertainty",
        ),
    ],
)
def test_certainty_beyond_certainty_is_refused(call: Any, code: str) -> None:
    with pytest.raises(BrokenInvariant) as refused:
        call()
    assert refused.value.code == code


@settings(max_examples=40, deadline=None)
@given(any_scores, any_kg)
def test_the_figure_lies_in_its_interval(scores: Scores, kg: Decimal) -> None:
    found = line_interval(kg, scores, None, Decimal("1.05"))
    assert found is not None
    assert found.low <= kg <= found.high


def test_relative_uncertainty_is_the_upper_side() -> None:
    assert relative_uncertainty(Decimal("1.525")) == Decimal("0.525")


# ---- propagation


def test_the_published_check_of_a_sum() -> None:
    found = of_total(
        [
            UncertainLine(kgco2e=Decimal(100_000), relative=Decimal("0.15")),
            UncertainLine(kgco2e=Decimal(50_000), relative=Decimal("0.10")),
        ]
    )
    assert found.kgco2e == 150_000
    assert round(found.half_width_kgco2e) == 15_811
    assert found.relative is not None
    assert round(found.relative * 100, 2) == Decimal("10.54")
    assert found.flags == ()


def test_the_published_check_of_a_product() -> None:
    assert round(of_product([Decimal("0.10"), Decimal("0.03")]) * 100, 2) == Decimal("10.44")


def line(kg: str, relative: str, factor_id: str = "") -> UncertainLine:
    return UncertainLine(kgco2e=Decimal(kg), relative=Decimal(relative), factor_id=factor_id)


def test_lines_with_one_factor_add_up_linearly_and_factors_independently() -> None:
    found = of_total([line("100", "0.3", "f"), line("100", "0.3", "f"), line("100", "0.8", "g")])
    # 30 + 30 within f, 80 of g: sqrt(60^2 + 80^2) = 100.
    assert found.half_width_kgco2e == 100
    assert found.flags == ("uncertainty_beyond_propagation",)


def test_lines_without_a_shared_factor_are_independent_of_each_other() -> None:
    assert of_total([line("100", "0.3"), line("100", "0.4")]).half_width_kgco2e == 50


def test_a_credit_with_the_same_factor_takes_its_uncertainty_back() -> None:
    found = of_total([line("100", "0.3", "f"), line("-100", "0.3", "f")])
    assert (found.kgco2e, found.half_width_kgco2e, found.relative) == (0, 0, None)


def test_a_net_credit_has_a_positive_uncertainty() -> None:
    found = of_total([line("-100", "0.3", "f")])
    assert (found.half_width_kgco2e, found.relative) == (30, Decimal("0.3"))


def test_at_the_limit_propagation_is_still_good() -> None:
    assert of_total([line("1", "0.6")]).flags == ()


def test_no_lines_have_no_uncertainty() -> None:
    found = of_total([])
    assert (found.kgco2e, found.half_width_kgco2e, found.relative) == (0, 0, None)


any_line = st.builds(
    UncertainLine,
    kgco2e=any_kg,
    relative=st.integers(0, 60).map(lambda n: Decimal(n) / 100),
    factor_id=st.sampled_from(["", "f", "g"]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(any_line, max_size=6), st.randoms(use_true_random=False))
def test_correlation_is_between_independence_and_the_plain_sum_in_any_order(
    lines: list[UncertainLine], random: Any
) -> None:
    positive = [replace(one, kgco2e=abs(one.kgco2e)) for one in lines]
    found = of_total(positive)
    apart = of_total([replace(one, factor_id="") for one in positive])
    plain = sum((one.kgco2e * one.relative for one in positive), Decimal(0))
    # Each is right to 40 digits.
    within, width, slack = (
        Fraction(apart.half_width_kgco2e),
        Fraction(found.half_width_kgco2e),
        Fraction(1, 10**30),
    )
    assert within - slack <= width <= Fraction(plain) + slack
    shuffled = list(positive)
    random.shuffle(shuffled)
    assert of_total(shuffled) == found


@pytest.mark.parametrize(
    ("relative", "word"),
    [
        ("0", "high"), ("0.05", "high"), ("0.0501", "good"), ("0.15", "good"),
        ("0.151", "fair"), ("0.30", "fair"), ("0.301", "poor"), ("4", "poor"),
    ],
)  # fmt: skip
def test_labels(relative: str, word: str) -> None:
    assert label(Decimal(relative)) == word


# ---- primary data


def supplier(kg: str, share: str | None = None) -> PrimaryLine:
    declared = None if share is None else Decimal(share)
    return PrimaryLine(kgco2e=Decimal(kg), is_supplier_sourced=True, declared_share=declared)


SECONDARY = PrimaryLine(kgco2e=Decimal(18_600), is_supplier_sourced=False)


def test_the_published_check_of_the_primary_share_both_ways() -> None:
    found = primary_share([supplier("11400"), SECONDARY])
    assert (found.primary, found.supplier_sourced) == (Fraction(38, 100), Fraction(38, 100))
    found = primary_share([supplier("11400", "0.6"), SECONDARY])
    assert (found.primary, found.supplier_sourced) == (Fraction(228, 1000), Fraction(38, 100))


def test_own_measurements_may_declare_their_share_too() -> None:
    own = PrimaryLine(kgco2e=Decimal(50), is_supplier_sourced=False, declared_share=Decimal(1))
    found = primary_share([own, supplier("50", "0")])
    assert (found.primary, found.supplier_sourced) == (Fraction(1, 2), Fraction(1, 2))


def test_a_credit_note_of_a_supplier_has_weight() -> None:
    assert primary_share([supplier("-50"), supplier("50", "0")]).primary == Fraction(1, 2)


def test_no_kilograms_have_no_share() -> None:
    found = primary_share([supplier("0")])
    assert (found.primary, found.supplier_sourced) == (None, None)


@pytest.mark.parametrize("share", ["-0.01", "1.01", "60"])
def test_a_share_that_is_a_percentage_is_refused(share: str) -> None:
    with pytest.raises(RejectedRecord) as refused:
        primary_share([supplier("1", share)])
    assert (refused.value.code, refused.value.field) == ("share_out_of_range", "declared_share")
