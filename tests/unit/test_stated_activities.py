"""Stated activities: what is calculated, what is refused, and what is remarked on."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon_ledger.activities import category_formulas
from carbon_ledger.activities.category_methods import lines_of_activity
from carbon_ledger.activities.method_choice import category_1_method
from carbon_ledger.calculation import calculate
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.rows import Factor
from carbon_ledger.lines import EmissionLine
from carbon_ledger.organisation import categories
from carbon_ledger.organisation.categories import CATEGORIES, METHOD_RANKS
from tests.support.factor_examples import activity_factor, grid_factor, supply_factor
from tests.support.inventory_examples import inventory, recomputed
from tests.support.purchase_examples import spend_factor

Activity = dict[str, Any]
INVENTORY = inventory()
KWH: Activity = {"quantity": "10", "unit": "kWh", "factor": {"kgco2e": "0.5", "per": "kWh"}}


def line_of(activity: Activity, **policy: Any) -> EmissionLine:
    (line,) = lines_of_activity(activity, inventory(**policy))
    return line


def test_a_plain_activity_is_its_quantity_times_its_factor_and_enters_no_total() -> None:
    line = line_of(
        {"quantity": "1247.3", "unit": "kWh", "factor": {"kgco2e": "0.3852", "per": "kWh"}}
    )
    assert line.kgco2e == Decimal("480.45996")
    assert (line.assignment.scope, line.assignment.rule) == (0, "UNASSIGNED")
    assert "scope_unassigned" in line.flags


# activity, figure
CALCULATED: dict[str, tuple[Activity, str]] = {
    "the unit of the factor is reached by an exact ratio": (
        {"quantity": "1", "unit": "GJ", "factor": {"kgco2e": "0.9", "per": "kWh"}},
        "250",
    ),
    "a factor in tonnes": (
        {"quantity": "2", "unit": "MWh", "factor": {"tco2e": "0.1", "per": "MWh"}},
        "200",
    ),
    "a true zero is zero": ({**KWH, "factor": {"kgco2e": "0", "per": "kWh"}}, "0"),
    "numbers by whole number and exponent": (
        {"quantity": 3, "unit": "kWh", "factor": {"kgco2e": "5e-1", "per": "kWh"}},
        "1.5",
    ),
    "emissions need no factor": ({"quantity": "1.5", "unit": "tCO2e"}, "1500"),
    "a third stays a third": (
        {**KWH, "quantity": "1", "factor": {"kgco2e": "1", "per": "kWh"}, "share": "1/3"},
        "0.333333333333",
    ),
    "thrice a third is one": (
        {
            "items": [
                {
                    "quantity": "1",
                    "unit": "kWh",
                    "factor": {"kgco2e": "1", "per": "kWh"},
                    "share": "1/3",
                }
            ]
            * 3
        },
        "1",
    ),
    "half goes to the even digit, once": (
        {"quantity": "1", "unit": "kWh", "factor": {"kgco2e": "0.0000000000005", "per": "kWh"}},
        "0",
    ),
    "occupancy puts the empty area on the users": (
        {**KWH, "share": {"part": "30", "whole": "100", "occupancy": "0.6", "unit": "m2"}},
        "2.5",
    ),
    "square metres times years are the unit of the factor": (
        {
            "quantity": "10",
            "unit": "m2",
            "multiply": [{"value": "365", "unit": "day", "label": "days"}],
            "factor": {"kgco2e": "2", "per": "m2_year"},
        },
        "20",
    ),
    "biogenic carbon dioxide is kept beside the figure": (
        {
            "quantity": "2",
            "unit": "kg",
            "factor": {"gases": {"CO2_biogenic": "3", "N2O": "0.1"}, "per": "kg"},
        },
        "54.6",
    ),
    "a fuel's gases by the set of the inventory": (
        {
            "quantity": "1",
            "unit": "L",
            "factor": {"gases": {"CO2": "2", "CH4_fossil": "0.01", "N2O": "0.001"}, "per": "L"},
        },
        "2.571",
    ),
    "miles and pounds are tonne-kilometres": (
        {
            "formula": "S3-DISTANCE-BASED",
            "category": 9,
            "kind": "transport",
            "mass": {"value": "1", "unit": "short_ton"},
            "distance": {"value": "1", "unit": "mi"},
            "factor": {"kgco2e": "1", "per": "short_ton_mile"},
        },
        "1",
    ),
    "forty-five feet are two and a quarter units": (
        {
            "formula": "S3-DISTANCE-BASED",
            "category": 4,
            "kind": "containers",
            "containers": {"value": "1", "unit": "FEU45"},
            "distance": {"value": "100", "unit": "km"},
            "factor": {"kgco2e": "0.0804", "per": "TEU_km"},
        },
        "18.09",
    ),
    "ten fly twelve hundred kilometres": (
        {
            "formula": "S3-6-DISTANCE",
            "kind": "trip",
            "travellers": "10",
            "distance": {"value": "1200", "unit": "km"},
            "factor": {"kgco2e": "0.15", "per": "pkm"},
        },
        "1800",
    ),
    "two in a car share its emissions": (
        {
            "formula": "S3-7-COMMUTING",
            "kind": "commute",
            "employees": "10",
            "one_way_distance": {"value": "5", "unit": "km"},
            "days": "100",
            "persons_per_vehicle": "2",
            "factor": {"kgco2e": "0.2", "per": "vkm"},
        },
        "1000",
    ),
    "an empty way back burns fuel": (
        {
            "formula": "S3-FUEL-BASED",
            "category": 4,
            "items": [
                {
                    "kind": "fuel",
                    "quantity": "100",
                    "unit": "L",
                    "factor": {"kgco2e": "2.5", "per": "L"},
                },
                {
                    "kind": "backhaul",
                    "empty_distance": {"value": "200", "unit": "km"},
                    "fuel_per_distance": {"value": "0.25", "unit": "L"},
                    "factor": {"kgco2e": "2.5", "per": "L"},
                },
            ],
        },
        "375",
    ),
    "a share of the warehouse scales everything in it": (
        {
            "formula": "S3-STORAGE-SITE",
            "category": 4,
            "share": {"part": "100", "whole": "400", "unit": "m3", "key": "volume"},
            "items": [
                {"kind": "electricity", **KWH},
                {"kind": "refrigerant", "quantity": "1", "unit": "kg", "gas": "HFC-134a"},
            ],
        },
        "383.75",
    ),
    "gas lost from sold products over their life": (
        {
            "formula": "S3-11-USE-PHASE",
            "kind": "leakage",
            "sold": "100",
            "lost_per_life": {"value": "50", "unit": "g"},
            "gas": "SF6",
        },
        "126000",
    ),
    "hybrid: the supplier's own, inputs, inbound transport, waste": (
        {
            "formula": "S3-HYBRID",
            "category": 1,
            "items": [
                {"kind": "allocated", "quantity": "1000", "unit": "kgCO2e"},
                {
                    "kind": "input",
                    "quantity": "50",
                    "unit": "kg",
                    "factor": {"kgco2e": "4", "per": "kg"},
                },
                {
                    "kind": "transport",
                    "mass": {"value": "50", "unit": "kg"},
                    "distance": {"value": "1000", "unit": "km"},
                    "factor": {"kgco2e": "0.1", "per": "tkm"},
                },
                {
                    "kind": "waste",
                    "quantity": "10",
                    "unit": "kg",
                    "factor": {"kgco2e": "0.5", "per": "kg"},
                },
            ],
        },
        "1210",
    ),
    "an investee's sector average at the share of equity and debt": (
        {
            "formula": "S3-15-AVERAGE",
            "quantity": "1000000",
            "unit": "EUR",
            "factor": {"kgco2e": "0.3", "per": "EUR"},
            "investment_share": {"part": "1", "whole": "6", "key": "equity and debt"},
        },
        "50000",
    ),
}


@pytest.mark.parametrize(("activity", "figure"), CALCULATED.values(), ids=CALCULATED)
def test_an_activity_comes_to_its_figure(activity: Activity, figure: str) -> None:
    line = line_of(activity)
    assert line.kgco2e == Decimal(figure)
    assert recomputed(line.working.written()) == line.working.exact()


def _of(base: Activity, **changes: Any) -> Activity:
    return {name: value for name, value in {**base, **changes}.items() if value is not ...}


TREATED: Activity = {
    "mass": {"value": "1", "unit": "t"},
    "factor": {"kgco2e": "1", "per": "t"},
}
TRIP: Activity = {
    "formula": "S3-6-DISTANCE",
    "kind": "trip",
    "travellers": "2",
    "distance": {"value": "10", "unit": "km"},
    "factor": {"kgco2e": "0.1", "per": "pkm"},
}
TYPED: Activity = {"activity_type": "business_travel", "facts": {"operator": "third_party"}, **KWH}

REFUSED: dict[str, tuple[Activity, str]] = {
    "an unknown field": (_of(KWH, quantitty="1"), "unknown_field"),
    "an unknown field of the factor": (
        _of(KWH, factor={"kgco2e": "1", "pro": "kWh"}),
        "missing_field",
    ),
    "a factor that says two things": (
        _of(KWH, factor={"kgco2e": "1", "tco2e": "1", "per": "kWh"}),
        "missing_field",
    ),
    "a surplus field of the factor": (
        _of(KWH, factor={"kgco2e": "1", "per": "kWh", "year": "2020"}),
        "unknown_field",
    ),
    "no factor": (_of(KWH, factor=...), "missing_field"),
    "no quantity": (_of(KWH, quantity=...), "missing_field"),
    "a unit there is not": (_of(KWH, unit="kwhh"), "unknown_unit"),
    "a unit that measures something else": (_of(KWH, unit="kg"), "incompatible_unit"),
    "gross energy with a factor per net energy": (
        _of(KWH, unit="kWh_gross", factor={"kgco2e": "1", "per": "kWh_net"}),
        "incompatible_unit",
    ),
    "another currency than the factor's": (
        _of(KWH, unit="EUR", factor={"kgco2e": "1", "per": "GBP"}),
        "incompatible_unit",
    ),
    "energy per use, without the uses": (
        _of(KWH, multiply=[{"value": "2", "unit": "piece"}]),
        "incompatible_unit",
    ),
    "a mass of goods as a mass of carbon dioxide equivalent": (
        {"quantity": "1", "unit": "kg"},
        "missing_field",
    ),
    "a negative quantity": (_of(KWH, quantity="-1"), "negative_quantity"),
    "a negative factor": (_of(KWH, factor={"kgco2e": "-1", "per": "kWh"}), "negative_factor"),
    "uptake in a product": (
        _of(KWH, unit="kg", factor={"gases": {"CO2": "-1"}, "per": "kg"}),
        "negative_factor",
    ),
    "what is not a number": (_of(KWH, quantity="1,5"), "not_a_number"),
    "what is not finite": (_of(KWH, quantity="NaN"), "not_finite"),
    "a gas without a potential": (
        _of(KWH, unit="kg", factor={"gases": {"H2O": "1"}, "per": "kg"}),
        "unknown_gas",
    ),
    "a set of potentials there is not": (
        _of(KWH, factor={"kgco2e": "1", "per": "kWh", "gwp": "AR9"}),
        "unknown_gwp_set",
    ),
    "a share above one": (_of(KWH, share="1.01"), "share_out_of_range"),
    "a part above its whole": (
        _of(KWH, share={"part": "2", "whole": "1"}),
        "share_out_of_range",
    ),
    "a share of nothing": (_of(KWH, share={"part": "0", "whole": "0"}), "allocation_without_key"),
    "a ratio over zero": (_of(KWH, share="1/0"), "allocation_without_key"),
    "a part that is not among its keys": (
        _of(KWH, share={"part": "2", "of": ["1", "3"]}),
        "part_not_in_whole",
    ),
    "nobody in the building": (
        _of(KWH, share={"part": "1", "whole": "2", "occupancy": "0"}),
        "share_out_of_range",
    ),
    "more of the area than is occupied": (
        _of(KWH, share={"part": "70", "whole": "100", "occupancy": "0.5"}),
        "share_out_of_range",
    ),
    "division by zero": (
        _of(KWH, divide=[{"value": "0", "unit": "1", "label": "nothing"}]),
        "division_by_zero",
    ),
    "scope 3 without a category": (_of(KWH, scope=3), "category_missing"),
    "a category of scope 1": (_of(KWH, scope=1, category=4), "category_not_applicable"),
    "a sixteenth category": (_of(KWH, scope=3, category=16), "unknown_category"),
    "a scope there is not": (_of(KWH, scope=4), "unknown_scope"),
    "scope 2 that does not say its basis": (_of(KWH, scope=2), "basis_missing"),
    "a scope that contradicts the activity type": (
        _of(TYPED, scope=1),
        "scope_contradicts_activity_type",
    ),
    "facts about nothing": (_of(KWH, facts={"operator": "own"}), "missing_field"),
    "an activity type there is not": (_of(KWH, activity_type="travel"), "unknown_activity_type"),
    "an offset": (_of(KWH, activity_type="offset"), "not_an_emission"),
    "a formula there is not": (_of(KWH, formula="S3-99"), "unknown_formula"),
    "a formula of another category": (_of(TRIP, category=7), "formula_not_for_category"),
    "a formula of several categories, none named": (
        _of(KWH, formula="S3-LEASED-AVERAGE"),
        "category_missing",
    ),
    "a kind of another formula": (_of(TRIP, kind="commute"), "unknown_kind"),
    "a kind left out": (_of(TRIP, kind=...), "missing_field"),
    "a number of the formula left out": (_of(TRIP, travellers=...), "missing_field"),
    "a distance without unit": (_of(TRIP, distance="10"), "not_an_object"),
    "a distance in litres": (_of(TRIP, distance={"value": "1", "unit": "L"}), "incompatible_unit"),
    "a quantity where the formula has none": (_of(TRIP, quantity="1"), "unknown_field"),
    "money where the formula asks for emissions": (
        {
            "formula": "S3-15-INVESTMENT",
            "quantity": "1",
            "unit": "EUR",
            "investment_share": "0.5",
        },
        "incompatible_unit",
    ),
    "kilograms where the formula asks for money": (
        {
            "formula": "S3-SPEND-BASED",
            "category": 1,
            "quantity": "1",
            "unit": "kg",
            "factor": {"kgco2e": "1", "per": "kg"},
        },
        "incompatible_unit",
    ),
    "treatments of more than the waste": (
        {
            "formula": "S3-5-BY-TREATMENT",
            "items": [{**TREATED, "treated_share": "0.6"}, {**TREATED, "treated_share": "1/2"}],
        },
        "shares_above_whole",
    ),
    "projected emissions in a scope": (
        {
            "formula": "S3-15-LIFETIME",
            "scope": 3,
            "category": 15,
            "quantity": "1",
            "unit": "tCO2e",
            "years": "3",
            "investment_share": "1",
        },
        "formula_not_for_category",
    ),
    "a method of another category": (
        _of(KWH, scope=3, category=6, method="hybrid"),
        "method_not_for_category",
    ),
    "a method there is not": (_of(KWH, method="guess"), "unknown_method"),
    "no items": ({"items": []}, "not_a_list"),
    "factors that are no list": (_of(KWH, multiply="2"), "not_a_list"),
    "an item that is none": ({"items": ["1"]}, "not_an_object"),
    "an end before the begin": (
        _of(KWH, occurred_from="2024-02-01", occurred_to="2024-01-01"),
        "invalid_time",
    ),
    "a begin without an end": (_of(KWH, occurred_from="2024-02-01"), "invalid_time"),
    "a reference without day or year": (
        _of(KWH, factor={"family": "grid", "country": "DE"}),
        "missing_field",
    ),
    "a reference to a year there is not": (
        _of(KWH, factor={"family": "grid", "country": "DE", "year": "1066"}),
        "out_of_range",
    ),
    "a reference without country": (
        _of(KWH, factor={"family": "grid", "year": 2020}),
        "missing_field",
    ),
    "a reference to a factor there is not": (
        _of(KWH, factor={"family": "grid", "country": "DE", "year": 2020}),
        "factor_missing",
    ),
}


@pytest.mark.parametrize(("activity", "code"), REFUSED.values(), ids=REFUSED)
def test_an_activity_is_refused_with_what_would_be_valid(activity: Activity, code: str) -> None:
    with pytest.raises(RejectedRecord) as refused:
        lines_of_activity(activity, INVENTORY)
    assert refused.value.code == code
    assert refused.value.valid


def test_two_wastes_of_the_same_mass_are_told_apart_by_their_label() -> None:
    items = [
        {**TREATED, "treated_share": share, "label": label}
        for label in ("paper", "glass")
        for share in ("0.4", "0.6")
    ]
    line = line_of({"formula": "S3-5-BY-TREATMENT", "items": items})
    assert (line.kgco2e, line.quantity) == (2, 4)
    assert "treatment_shares_incomplete" not in line.flags
    written = "\n".join(line.working.written())
    assert "paper" in written
    assert "glass" in written


def test_a_scope_may_be_text_as_a_table_has_it() -> None:
    line = line_of({**KWH, "scope": "3", "category": "15"})
    assert (line.assignment.scope, line.assignment.category) == (3, 15)


def test_a_reference_takes_the_factor_of_the_book_and_says_which() -> None:
    book = inventory([grid_factor(2024, kgco2e_per_unit=Decimal("0.4"), gwp_set="AR6")])
    reference = {"family": "grid", "country": "DE", "year": 2024}
    activity = {"scope": 2, "basis": "location", **KWH, "factor": reference}
    (line,) = lines_of_activity(activity, book)
    assert line.kgco2e == 4
    assert "market_based_by_grid_average" not in line.flags
    (market,) = lines_of_activity({**activity, "basis": "market"}, book)
    assert "market_based_by_grid_average" in market.flags
    assert line.factor is not None
    assert line.factor.how_matched == "country/location/exact-year"
    (older,) = lines_of_activity({**activity, "factor": {**reference, "year": 2026}}, book)
    assert "vintage_gap" in older.flags
    with pytest.raises(RejectedRecord, match="8 years") as refused:
        lines_of_activity({**activity, "factor": {**reference, "year": 2032}}, book)
    assert refused.value.code == "factor_vintage_gap"


def test_the_day_of_the_activity_finds_the_factor_where_the_reference_has_no_year() -> None:
    book = inventory([grid_factor(2023, kgco2e_per_unit=Decimal("0.3"))])
    activity = {**KWH, "date": "2023-12-31", "factor": {"family": "grid", "country": "DE"}}
    (line,) = lines_of_activity(activity, book)
    assert line.kgco2e == 3


def test_a_reference_with_a_region_takes_the_figure_of_the_region() -> None:
    book = inventory(
        [
            grid_factor(2022, country_iso2="US", kgco2e_per_unit=Decimal("0.4")),
            grid_factor(
                2022, country_iso2="US", region="EGRID-CAMX", kgco2e_per_unit=Decimal("0.2")
            ),
        ]
    )
    reference = {"family": "grid", "country": "US", "year": 2022}
    for region, kgco2e in ((None, 4), ("EGRID-CAMX", 2)):
        (line,) = lines_of_activity({**KWH, "factor": {**reference, "region": region}}, book)
        assert line.kgco2e == kgco2e


def test_a_stated_factor_says_where_it_is_from_and_nothing_that_is_unknown() -> None:
    written = line_of({**KWH, "factor": {**KWH["factor"], "source": "delivery note 7"}})
    assert "delivery note 7" in "\n".join(written.working.written())
    assert "as stated by the activity" in "\n".join(line_of(KWH).working.written())
    with pytest.raises(RejectedRecord) as refused:
        line_of({**KWH, "factor": {**KWH["factor"], "colour": "green"}})
    assert (refused.value.code, refused.value.field) == ("unknown_field", "factor.colour")


def test_what_is_calculated_says_of_which_stream_it_is_or_none() -> None:
    """The worked meter reading: 1,000 kWh of a grid of 0.4 kg per kWh."""
    book = inventory([grid_factor(2024, kgco2e_per_unit=Decimal("0.4"), gwp_set="AR6")])
    assert calculate({**KWH, "event": "activity"}, book) == calculate(KWH, book)
    reading = {
        "event": "iot_energy",
        "id": "mine",
        "sensor_id": "M1",
        "facility_id": "plant",
        "country_iso2": "DE",
        "energy_kwh": "1000",
        "energy_source": "grid",
        "timestamp": "2024-05-01T10:00:00Z",
        "interval_seconds": 3600,
    }
    (line,) = calculate(reading, book)
    assert (line.kgco2e, line.assignment.scope) == (400, 2)
    for unknown in ("weather", 7):
        with pytest.raises(RejectedRecord) as refused:
            calculate({**reading, "event": unknown}, book)
        assert (refused.value.code, refused.value.field) == ("unknown_event", "event")


def test_items_with_factors_of_the_book_make_a_line_each_and_stated_ones_share_one() -> None:
    book = inventory([grid_factor(2024), grid_factor(2024, country_iso2="FR")])
    items = [
        {**KWH, "factor": {"family": "grid", "country": "DE", "year": 2024}},
        {**KWH, "factor": {"family": "grid", "country": "FR", "year": 2024}},
        KWH,
        KWH,
    ]
    lines = lines_of_activity({"scope": 1, "items": items}, book)
    assert len(lines) == 3
    assert [line.kgco2e for line in lines] == [4, 4, 10]


def test_a_policy_may_refuse_a_life_cycle_figure() -> None:
    factor = supply_factor("solar", boundary="lifecycle")
    activity = {
        **KWH,
        "factor": {
            "family": "energy_source",
            "energy_source": "solar",
            "country": "DE",
            "year": 2024,
        },
    }
    (line,) = lines_of_activity(activity, inventory([factor]))
    assert "boundary_substitute" in line.flags
    with pytest.raises(RejectedRecord) as refused:
        lines_of_activity(activity, inventory([factor], refuse_boundary_substitutes=True))
    assert refused.value.code == "boundary_substitute_refused"


@pytest.mark.parametrize(
    ("activity", "flag"),
    [
        (KWH, "gwp_set_embedded"),
        ({**KWH, "factor": {"kgco2e": "1", "per": "kWh", "gwp": "AR5"}}, "gwp_set_embedded"),
        (
            {
                "formula": "S3-5-BY-TREATMENT",
                "items": [{**TREATED, "treated_share": "0.6"}],
            },
            "treatment_shares_incomplete",
        ),
        (
            {
                "formula": "S3-6-DISTANCE",
                "kind": "hotel",
                "quantity": "2",
                "unit": "room_night",
                "factor": {"kgco2e": "10", "per": "room_night"},
            },
            "optional_boundary",
        ),
        (
            {**KWH, "activity_type": "telework"},
            "optional_boundary",
        ),
        (
            {**KWH, "activity_type": "purchase", "facts": {"intra_group": True}},
            "intra_group_eliminated",
        ),
        (
            {
                **KWH,
                "activity_type": "purchase",
                "facts": {"capitalised": "no", "account": "freight"},
            },
            "counted_by_other_stream",
        ),
        (
            {
                **KWH,
                "activity_type": "vehicle_charging",
                "facts": {"charged_at": "own_metered_site"},
            },
            "counted_by_meter",
        ),
        (
            {
                "formula": "S3-15-LIFETIME",
                "quantity": "1",
                "unit": "tCO2e",
                "years": "30",
                "investment_share": "1",
            },
            "memo_outside_totals",
        ),
    ],
)
def test_what_is_accepted_with_a_remark_carries_its_flag(activity: Activity, flag: str) -> None:
    line = line_of(activity)
    assert flag in line.flags
    if flag in (
        "intra_group_eliminated",
        "counted_by_other_stream",
        "counted_by_meter",
        "memo_outside_totals",
    ):
        assert line.assignment.scope == 0


def test_a_factor_in_the_set_of_the_inventory_is_not_remarked_on() -> None:
    line = line_of({**KWH, "factor": {"kgco2e": "1", "per": "kWh", "gwp": "AR6"}})
    assert line.flags == ("factor_stated", "scope_unassigned")


def test_another_set_changes_only_the_gases_that_are_not_carbon_dioxide() -> None:
    activity = {
        "quantity": "1",
        "unit": "L",
        "factor": {"gases": {"CO2": "2", "N2O": "0.001"}, "per": "L"},
    }
    old, new = line_of(activity, gwp_set="AR5"), line_of(activity, gwp_set="AR6")
    assert new.kgco2e - old.kgco2e == Decimal("0.001") * (273 - 265)
    assert old.gases == new.gases


def test_a_gas_that_only_some_items_state_is_not_shown_for_the_whole() -> None:
    gases = {"quantity": "1", "unit": "L", "factor": {"gases": {"CO2": "2"}, "per": "L"}}
    line = line_of({"items": [gases, KWH]})
    assert line.kgco2e == 7
    assert line.gas_split == "not_available"


@given(
    quantities=st.lists(st.integers(1, 10**6), min_size=1, max_size=6),
    factor=st.integers(0, 10**6),
)
@settings(max_examples=40, deadline=None)
def test_the_shares_of_a_whole_add_up_to_the_whole(quantities: list[int], factor: int) -> None:
    keys = [str(one) for one in quantities]
    figures = [
        line_of(
            {
                "quantity": "1",
                "unit": "kWh",
                "factor": {"kgco2e": str(factor), "per": "kWh"},
                "share": {"part": key, "of": keys, "unit": "tkm"},
            }
        ).working.exact()
        for key in keys
    ]
    assert sum(figures, Fraction(0)) == factor


@given(order=st.permutations(["1.1", "0.0000000000001", "7e5", "0.3", "12345.678901234567"]))
@settings(max_examples=30, deadline=None)
def test_the_order_of_items_does_not_matter(order: list[str]) -> None:
    line = line_of({"items": [{**KWH, "quantity": one} for one in order]})
    assert line.kgco2e == Decimal("356173.539450617284")


_WORDS = st.sampled_from(
    ["kWh", "kg", "EUR", "kgCO2e", "trip", "hotel", "S3-6-DISTANCE", "grid", "DE", "1/3", "-1", "x"]
)
_LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=3), _WORDS)
_NAMES = st.sampled_from(
    [
        *("quantity", "unit", "factor", "share", "items", "kind", "formula", "scope", "category"),
        *("kgco2e", "per", "gases", "family", "selectors", "year", "part", "whole", "of", "gas"),
        *("multiply", "divide", "value", "label", "method", "basis", "date", "occurred_from"),
        *("activity_type", "facts", "travellers", "distance", "stated_kgco2e", "gwp", "country"),
    ]
)
_JSON = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(_NAMES, inner, max_size=5)
    ),
    max_leaves=12,
)


@given(changes=st.dictionaries(_NAMES, _JSON, max_size=4), base=st.sampled_from([KWH, TRIP, TYPED]))
@settings(max_examples=150, deadline=None)
def test_whatever_an_activity_says_it_gives_lines_or_a_refusal(
    changes: dict[str, Any], base: Activity
) -> None:
    try:
        lines = lines_of_activity({**base, **changes}, INVENTORY)
    except RejectedRecord:
        return
    assert lines
    assert all(line.kgco2e >= 0 for line in lines)


METHODS = {
    (True, True, True, True, True): "supplier-specific",
    (True, True, False, True, True): "hybrid",
    (True, True, True, False, False): "spend-based",
    (True, False, False, True, False): "hybrid",
    (True, False, False, False, True): "average-data",
    (False, True, True, True, True): "average-data",
    (False, False, False, False, False): "spend-based",
}


@pytest.mark.parametrize(("answers", "method"), METHODS.items())
def test_the_method_of_a_purchase_follows_the_decision_tree(
    answers: tuple[bool, bool, bool, bool, bool], method: str
) -> None:
    significant, product, sufficient, allocated, quantity = answers
    choice = category_1_method(
        is_significant=significant,
        has_product_data=product,
        is_product_data_sufficient=sufficient,
        has_allocated_data=allocated,
        is_quantity_known=quantity,
    )
    assert choice.method == method
    assert choice.rank == METHOD_RANKS[method]


def test_every_formula_is_of_methods_its_categories_know_and_every_category_has_one() -> None:
    covered = set()
    for recipe in category_formulas.RECIPES.values():
        covered |= set(recipe.categories)
        for number in recipe.categories:
            allowed = CATEGORIES[number].methods
            # The fuel-based formula is written once and used in category 7 as well.
            assert recipe.method in (*allowed, categories.FUEL_BASED), recipe.formula.formula_id
        assert recipe.formula.citation
    assert covered == set(CATEGORIES)


# ---- what a factor of the book may not be used for

WTT: Activity = {"family": "fuel", "country": "DE", "year": 2024, "selectors": {"stage": "wtt"}}
LITRES: Activity = {"quantity": "10", "unit": "kg"}


def _fuel(stage: str, **changes: Any) -> Factor:
    selectors = (("fuel", "Peat"), ("stage", stage))
    return activity_factor("fuel", selectors, 2024, country_iso2="DE", basis=stage, **changes)


@pytest.mark.parametrize(
    ("stage", "activity", "code"),
    [
        ("wtt", {"scope": 1}, "upstream_in_direct_scope"),
        ("wtt", {"scope": 2, "basis": "location"}, "upstream_in_direct_scope"),
        ("distribution_losses", {"scope": 2, "basis": "market"}, "upstream_in_direct_scope"),
        ("combustion", {"formula": "S3-3-A-UPSTREAM-OF-FUEL"}, "direct_in_category_3"),
        ("combustion", {"formula": "S3-3-B-UPSTREAM-OF-POWER"}, "direct_in_category_3"),
    ],
)
def test_upstream_is_not_scope_1_or_2_and_combustion_is_no_upstream(
    stage: str, activity: Activity, code: str
) -> None:
    book = inventory([_fuel("wtt"), _fuel("combustion"), _fuel("distribution_losses")])
    said = {**LITRES, "factor": {**WTT, "selectors": {"stage": stage}}}
    with pytest.raises(RejectedRecord) as refused:
        lines_of_activity({**said, **activity}, book)
    assert refused.value.code == code
    assert lines_of_activity({**said, "scope": 3, "category": 3}, book)


def test_money_factors_are_no_scope_1_and_a_residual_mix_is_no_location_based_figure() -> None:
    book = inventory([spend_factor("111", "0.5")])
    spend = {"family": "spend", "country": "US", "year": 2022, "selectors": {"naics_code": "111"}}
    bought = {"quantity": "10", "unit": "USD", "factor": spend}
    with pytest.raises(RejectedRecord) as refused:
        lines_of_activity({**bought, "scope": 1}, book)
    assert refused.value.code == "upstream_in_direct_scope"
    mix = inventory([grid_factor(2024, basis="residual")])
    grid = {**KWH, "scope": 2, "factor": {"family": "grid", "country": "DE", "year": 2024}}
    with pytest.raises(RejectedRecord) as refused:
        lines_of_activity({**grid, "basis": "location"}, mix)
    assert refused.value.code == "not_a_location_factor"
    assert lines_of_activity({**grid, "basis": "market"}, mix)


def test_items_in_money_are_spend_based_and_not_ranked_as_quantities() -> None:
    spent: Activity = {"quantity": "5", "unit": "EUR", "factor": {"kgco2e": "1", "per": "EUR"}}
    line = line_of({"category": 1, "items": [spent, spent]})
    assert (line.method, line.rank) == (categories.SPEND_BASED, 1)
    assert line_of({"category": 1, **spent}).rank == line.rank
    assert line_of({"category": 1, "items": [KWH]}).method == categories.AVERAGE_DATA


def test_the_day_of_an_activity_is_the_one_of_the_clock_it_is_stated_in() -> None:
    book = inventory([grid_factor(2023), grid_factor(2024)])
    activity = {
        **KWH,
        "occurred_from": "2024-01-01T00:00:00+01:00",
        "occurred_to": "2024-01-01T01:00:00+01:00",
        "factor": {"family": "grid", "country": "DE"},
    }
    (line,) = lines_of_activity(activity, book)
    assert line.factor is not None
    assert line.factor.factor.year == 2024
    assert line.occurred_from is not None
    assert line.occurred_from.isoformat() == "2023-12-31T23:00:00+00:00"


def test_the_gap_of_a_factor_whose_year_is_named_is_still_that_from_the_activity() -> None:
    book = inventory([grid_factor(2020), grid_factor(2010)])
    activity = {**KWH, "date": "2023-05-01"}
    reference = {"family": "grid", "country": "DE"}
    (line,) = lines_of_activity({**activity, "factor": {**reference, "year": 2020}}, book)
    assert line.factor is not None
    assert line.factor.vintage_gap_years == -3
    assert line.factor.how_matched == "country/location/earlier-vintage"
    assert "vintage_gap" in line.flags
    with pytest.raises(RejectedRecord) as refused:
        lines_of_activity({**activity, "factor": {**reference, "year": 2010}}, book)
    assert refused.value.code == "factor_vintage_gap"
    (same,) = lines_of_activity({**activity, "date": "2020-02-01", "factor": reference}, book)
    assert "vintage_gap" not in same.flags


def test_money_of_another_year_than_the_factors_says_that_prices_were_not_adjusted() -> None:
    book = inventory([spend_factor("111", "0.5")])
    spend = {"family": "spend", "country": "US", "selectors": {"naics_code": "111"}}
    bought = {"category": 1, "quantity": "10", "unit": "USD", "factor": spend}
    (later,) = lines_of_activity({**bought, "date": "2024-03-01"}, book)
    assert "prices_not_adjusted" in later.flags
    (same,) = lines_of_activity({**bought, "date": "2022-03-01"}, book)
    assert "prices_not_adjusted" not in same.flags


def test_gases_beside_a_total_that_holds_more_are_no_split_of_it() -> None:
    gases = {f"kg_{gas}_per_unit": Decimal(1) for gas in ("co2", "ch4", "n2o")}
    spend = {"family": "spend", "country": "US", "year": 2022, "selectors": {"naics_code": "111"}}
    bought = {"category": 1, "quantity": "10", "unit": "USD", "factor": spend}
    for has_others, split in ((True, "not_available"), (False, "available")):
        factor = spend_factor("111", "400", has_other_gases=has_others, **gases)
        (line,) = lines_of_activity(bought, inventory([factor]))
        assert line.gas_split == split


def test_a_factor_of_the_book_is_scored_by_its_vintage_and_place() -> None:
    book = inventory([grid_factor(2020)])
    activity = {**KWH, "date": "2024-05-01", "factor": {"family": "grid", "country": "DE"}}
    (line,) = lines_of_activity(activity, book)
    assert line.factor_scores is not None
    assert (line.factor_scores.time, line.factor_scores.geography) == (2, 1)
