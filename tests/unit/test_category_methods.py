"""Published worked examples, reproduced from activities by the formula of their category."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from carbon_ledger.activities.category_methods import lines_of_activity
from carbon_ledger.lines import EmissionLine
from carbon_ledger.quantities import canonical_text
from carbon_ledger.workings import posted_fraction
from tests.support.inventory_examples import inventory, recomputed

GUIDANCE = "GHG Protocol Technical Guidance for Calculating Scope 3 Emissions v1.0 (2013)"
NHS = "NHS Emission Quantification Recipe Book v1.0 22/23 (UK 2019 factors)"
INVENTORY = inventory()

Activity = dict[str, Any]


def kg(value: str, per: str = "kg") -> dict[str, str]:
    return {"kgco2e": value, "per": per}


def amount(value: str, unit: str) -> dict[str, str]:
    return {"value": value, "unit": unit}


def product(quantity: str, unit: str, factor: str, **more: object) -> Activity:
    return {"quantity": quantity, "unit": unit, "factor": kg(factor, unit), **more}


def total(activities: list[Activity]) -> tuple[Decimal, list[EmissionLine]]:
    lines = [line for one in activities for line in lines_of_activity(one, INVENTORY)]
    return posted_fraction(sum((line.working.exact() for line in lines), Fraction(0))), lines


def _treatment(share: str, factor: str) -> Activity:
    return {"mass": amount("40", "t"), "treated_share": share, "factor": kg(factor, "t")}


def _commute(share: str, distance: str, factor: str) -> Activity:
    return {
        "employees": "10000",
        "share_of_employees": share,
        "one_way_distance": amount(distance, "km"),
        "days": "235",
        "factor": kg(factor, "km"),
    }


def _use(uses: str, sold: str, energy: str) -> Activity:
    return {
        "kind": "use",
        "uses": uses,
        "sold": sold,
        "energy_per_use": amount(energy, "kWh"),
        "factor": kg("0.5", "kWh"),
    }


def _investee(emissions: str, part: str, whole: str) -> Activity:
    return {
        "quantity": emissions,
        "unit": "tCO2e",
        "investment_share": {"part": part, "whole": whole, "key": "total project cost"},
    }


def _loss(kwh: str, factor: str, rate: str) -> Activity:
    return {"kind": "losses", "loss_rate": rate, **product(kwh, "kWh", factor)}


def _shipment(part: str, of: list[str]) -> list[Activity]:
    return [
        {
            "scope": 3,
            "category": 4,
            "quantity": "31.5",
            "unit": "kgCO2e",
            "share": {"part": part, "of": of, "unit": "tkm", "key": "transport work"},
        }
    ]


def _scope_2(quantity: str, unit: str, factor: dict[str, str], **more: object) -> list[Activity]:
    return [
        {
            "activity_type": "purchased_electricity",
            "facts": {"held_as": "own"},
            "basis": "location",
            "quantity": quantity,
            "unit": unit,
            "factor": factor,
            **more,
        }
    ]


def _own(kind: str, **more: object) -> Activity:
    return {"activity_type": kind, "facts": {"held_as": "own"}, **more}


def _formula(formula_id: str, items: list[Activity], **more: object) -> list[Activity]:
    return [{"formula": formula_id, "items": items, **more}]


P01 = [("200000", "0.15"), ("600000", "0.1"), ("200000", "0.1"), ("100000", "0.25")]
P03_MASS = [("400", "20"), ("200", "10"), ("500", "40"), ("100", "70"), ("1500", "3"), ("300", "3")]
P03_SPEND = [
    *[("5000", "0.3"), ("3000", "0.3"), ("4000", "0.3"), ("6000", "0.5"), ("1500", "0.2")],
    *[("5000", "0.2"), ("5000", "0.3"), ("1000", "0.3"), ("5000", "0.4")],
]

# id, activities, published figure, tolerance of the print, scope, category, source
PUBLISHED: list[tuple[str, list[Activity], str, str, int, int | None, str]] = [
    (
        "P01",
        _formula(
            "S3-SUPPLIER-SPECIFIC",
            [product(q, "kg", f) for q, f in [*P01, ("50000", "0.2")]],
            category=1,
        ),
        "145000",
        "0",
        3,
        1,
        f"{GUIDANCE}, example 1.1",
    ),
    (
        "P03",
        [
            *_formula("S3-AVERAGE-DATA", [product(q, "kg", f) for q, f in P03_MASS], category=1),
            *_formula("S3-SPEND-BASED", [product(q, "USD", f) for q, f in P03_SPEND], category=1),
        ],
        "54100",
        "0",
        3,
        1,
        f"{GUIDANCE}, example 1.4",
    ),
    (
        "P05",
        _formula(
            "S3-3-C-LOSSES",
            [
                _loss("500000", "0.8", "0.1"),
                _loss("600000", "0.4", "0.13"),
                _loss("50000", "0.15", "0.05"),
                _loss("400000", "0.8", "0.15"),
                _loss("5500000", "0.5", "0.1"),
                _loss("200000", "0.4", "0.12"),
            ],
        ),
        "404175",
        "0",
        3,
        3,
        f"{GUIDANCE}, example 3.1",
    ),
    (
        "P07",
        _formula(
            "S3-FUEL-BASED",
            [
                *({"kind": "fuel", **product(q, "L", "3")} for q in ("50000", "80000", "90000")),
                {"kind": "refrigerant", "gas": "R-410A", **product("50", "kg", "2000")},
            ],
            category=4,
        ),
        "760000",
        "0",
        3,
        4,
        f"{GUIDANCE}, example 4.1",
    ),
    (
        "P09a",
        _shipment("240", ["240", "150", "250"]),
        "11.8125",
        "0",
        3,
        4,
        f"{GUIDANCE}, example 4.3-I",
    ),
    (
        "P09c",
        _shipment("250", ["240", "150", "250"]),
        "12.304688",
        "5E-7",
        3,
        4,
        f"{GUIDANCE}, example 4.3-I",
    ),
    (
        "P10b",
        _shipment("150", ["240", "150", "100"]),
        "9.642857",
        "5E-7",
        3,
        4,
        f"{GUIDANCE}, example 4.3-II",
    ),
    (
        "P11",
        _formula(
            "S3-SPEND-BASED",
            [
                product(q, "USD", f)
                for q, f in [("20000", "0.04"), ("30000", "0.15"), ("40000", "0.05")]
            ],
            category=4,
        ),
        "7300",
        "0",
        3,
        4,
        f"{GUIDANCE}, example 4.4",
    ),
    (
        "P13",
        _formula(
            "S3-STORAGE-AVERAGE",
            [
                {
                    "volume": amount("4000", "m3"),
                    "time": amount("2", "day"),
                    "factor": kg(factor, "m3_day"),
                }
                for factor in ("0.01", "0.02")
            ],
            category=4,
        ),
        "240",
        "0",
        3,
        4,
        f"{GUIDANCE}, example 4.6",
    ),
    (
        "P15",
        _formula(
            "S3-5-BY-TREATMENT",
            [
                _treatment(share, factor)
                for share, factor in [
                    ("0.25", "300"),
                    ("0.05", "0"),
                    ("0.3", "0"),
                    ("0.2", "10"),
                    ("0.2", "30"),
                ]
            ],
        ),
        "3320",
        "0",
        3,
        5,
        f"{GUIDANCE}, example 5.2",
    ),
    (
        "P17",
        _formula(
            "S3-6-DISTANCE",
            [
                {
                    "kind": "trip",
                    "travellers": people,
                    "distance": amount(km, "km"),
                    "factor": kg(factor, "pkm"),
                }
                for people, km, factor in [
                    ("10", "10000", "5"),
                    ("20", "15000", "6"),
                    ("100", "12000", "5"),
                ]
            ],
        ),
        "8300000",
        "0",
        3,
        6,
        f"{GUIDANCE}, example 6.1",
    ),
    (
        "P19",
        _formula(
            "S3-7-COMMUTING",
            [
                {"kind": "commute", **_commute(*one)}
                for one in [
                    ("0.5", "10", "0.1"),
                    ("0.3", "15", "0.2"),
                    ("0.15", "1", "0"),
                    ("0.05", "5", "0.1"),
                ]
            ],
        ),
        "6697500",
        "0",
        3,
        7,
        f"{GUIDANCE}, example 7.2",
    ),
    (
        "P21",
        _formula(
            "S3-10-SITE",
            [
                {"kind": "electricity", **product("3500", "kWh", "0.2")},
                {"kind": "fuel", **product("2000", "kWh", "0.5")},
                {"kind": "waste", **product("50", "kg", "0.5")},
            ],
        ),
        "1725",
        "0",
        3,
        10,
        f"{GUIDANCE}, example 10.1",
    ),
    (
        "P23",
        _formula(
            "S3-11-USE-PHASE",
            [
                _use("1000", "11500", "1.3"),
                _use("1100", "1900", "1.5"),
                _use("2000", "20000", "0.2"),
            ],
        ),
        "13042500",
        "0",
        3,
        11,
        f"{GUIDANCE}, example 11.1",
    ),
    (
        "P25",
        [
            {
                "formula": "S3-11-USE-PHASE",
                "kind": "lifetime_distance",
                "sold": "10",
                "distance_per_life": amount("300000", "km"),
                "share": {"part": "20", "whole": "500", "unit": "kg", "key": "mass"},
                "factor": kg("0.3", "km"),
            }
        ],
        "36000",
        "0",
        3,
        11,
        f"{GUIDANCE}, example 11.3",
    ),
    (
        "P27",
        [
            {
                "formula": "S3-LEASED-SITE",
                "category": 13,
                "kind": "emissions",
                "quantity": "9000",
                "unit": "kgCO2e",
                "share": {"part": "5000", "whole": "15000", "unit": "m2", "key": "floor area"},
            }
        ],
        "3000",
        "0",
        3,
        13,
        f"{GUIDANCE}, example 13.1",
    ),
    (
        "P29",
        _formula(
            "S3-14-AVERAGE",
            [
                product(q, "m2", f)
                for q, f in [
                    ("100", "30000"),
                    ("150", "30000"),
                    ("400", "10000"),
                    ("700", "10000"),
                    ("500", "10000"),
                ]
            ],
        ),
        "23500000",
        "0",
        3,
        14,
        f"{GUIDANCE}, example 14.2",
    ),
    (
        "P31",
        _formula(
            "S3-15-INVESTMENT",
            [
                _investee("200000", "5", "100"),
                _investee("10000", "10", "100"),
                _investee("250000", "5", "100"),
                _investee("30000", "1", "9"),
            ],
        ),
        "26833333.333333",
        "5E-7",
        3,
        15,
        f"{GUIDANCE}, example 15.3",
    ),
    (
        "P33",
        [
            {
                "formula": "S3-15-LIFETIME",
                "quantity": "7000000",
                "unit": "tCO2e",
                "years": "30",
                "investment_share": "0.15",
            }
        ],
        "31500000000",
        "0",
        0,
        None,
        f"{GUIDANCE}, example 15.5",
    ),
    (
        "P35a",
        _scope_2("90", "MWh", {"tco2e": "1", "per": "MWh"}),
        "90000",
        "0",
        2,
        None,
        "GHG Protocol Scope 3 Standard (2011), box 5.5",
    ),
    (
        "P35c",
        _formula(
            "S3-3-C-LOSSES",
            [
                {
                    "kind": "lost_energy",
                    "quantity": "10",
                    "unit": "MWh",
                    "factor": {"tco2e": "1", "per": "MWh"},
                },
                {
                    "kind": "upstream_of_losses",
                    "quantity": "10",
                    "unit": "MWh",
                    "factor": {"tco2e": "0.05", "per": "MWh"},
                },
            ],
        ),
        "10500",
        "0",
        3,
        3,
        "GHG Protocol Scope 3 Standard (2011), box 5.5",
    ),
    (
        "P44",
        [_own("stationary_combustion", **product("100000", "kWh", "0.18385"))],
        "18390",
        "5",
        1,
        None,
        f"{NHS}, equation 1.5",
    ),
    (
        "P46",
        [
            _own(
                "mobile_combustion",
                items=[product("20000", "L", "2.19585"), product("10000", "L", "2.59411")],
            )
        ],
        "69860",
        "5",
        1,
        None,
        f"{NHS}, equation 4.5",
    ),
    (
        "P48",
        _scope_2("50000", "kWh", kg("0.2556", "kWh")),
        "12780",
        "5",
        2,
        None,
        f"{NHS}, equation 5.5",
    ),
    (
        "P50",
        [{"formula": "S3-3-A-UPSTREAM-OF-FUEL", **product("200000", "kWh", "0.02391")}],
        "4780",
        "5",
        3,
        3,
        f"{NHS}, equation 6.12",
    ),
    (
        "P52",
        [
            _own(
                "fugitive_emission",
                quantity="45000",
                unit="L",
                multiply=[{"value": "0.0018", "unit": "kg per L", "label": "density of the gas"}],
                factor={"gases": {"N2O": "1"}, "per": "kg", "gwp": "SAR"},
            )
        ],
        "25110",
        "5",
        1,
        None,
        f"{NHS}, equation 3.5",
    ),
    (
        "P54",
        _formula(
            "S3-SPEND-BASED",
            [product("3400", "GBP", "0.145"), product("20000", "GBP", "0.104")],
            category=1,
        ),
        "2570",
        "5",
        3,
        1,
        f"{NHS}, equation P.3",
    ),
    (
        "P56",
        [
            {
                "scope": 3,
                "category": 1,
                "method": "hybrid",
                "quantity": "40000",
                "unit": "kgCO2e",
                "multiply": [{"value": "20000", "unit": "GBP", "label": "bought"}],
                "divide": [{"value": "1000000", "unit": "GBP", "label": "supplier's revenue"}],
            }
        ],
        "800",
        "0",
        3,
        1,
        f"{NHS}, equation P.6",
    ),
    (
        "P58",
        _scope_2("1000", "MWh", {"lbco2e": "669.23", "per": "MWh"}),
        "303557.6218",
        "5E-5",
        2,
        None,
        "Tango Scope 2 calculation appendix; the conversion of pounds is this project's",
    ),
]


@pytest.mark.parametrize(
    ("activities", "published", "tolerance", "scope", "category", "source"),
    [row[1:] for row in PUBLISHED],
    ids=[row[0] for row in PUBLISHED],
)
def test_a_published_example_is_reproduced_from_its_activity(
    activities: list[Activity],
    published: str,
    tolerance: str,
    scope: int,
    category: int | None,
    source: str,
) -> None:
    figure, lines = total(activities)
    assert abs(figure - Decimal(published)) <= Decimal(tolerance), source
    for line in lines:
        assert (line.assignment.scope, line.assignment.category) == (scope, category)
        assert recomputed(line.working.written()) == line.working.exact()
        assert line.working.formula.citation


def test_the_nitrous_oxide_example_uses_a_potential_of_another_set_and_says_so() -> None:
    activity = next(row[1] for row in PUBLISHED if row[0] == "P52")[0]
    (line,) = lines_of_activity(activity, INVENTORY)
    assert line.gwp_set == "SAR"
    assert "gwp_set_differs" in line.flags
    assert dict(line.gases)["N2O"] == 81
    ours = {**activity, "factor": {"gases": {"N2O": "1"}, "per": "kg"}}
    assert lines_of_activity(ours, INVENTORY)[0].kgco2e == 81 * 273


# What is printed, what it should be from the numbers printed beside it, and where.
DEFECTS: list[tuple[str, Activity, str, str]] = [
    (
        "the equation repeats its result where the consumption belongs",
        product("12780", "kWh", "0.2556", scope=2, basis="location"),
        "12780",
        f"{NHS}, equation 5.5",
    ),
    (
        "3.6801 tkm are printed with 3.6801 kg at 0.1 kg per tkm: 36.801 tkm is right",
        product("3.6801", "tkm", "0.1", scope=3, category=4),
        "3.6801",
        "iLEAP Technical Specifications 1.0.0, end-to-end example",
    ),
]


@pytest.mark.parametrize(
    ("activity", "printed", "source"), [row[1:] for row in DEFECTS], ids=[row[0] for row in DEFECTS]
)
def test_a_published_figure_that_its_own_numbers_do_not_give_is_flagged(
    activity: Activity, printed: str, source: str
) -> None:
    (line,) = lines_of_activity({**activity, "stated_kgco2e": printed}, INVENTORY)
    assert f"stated_figure_differs:{printed}" in line.flags, source
    right = canonical_text(line.kgco2e)
    (line,) = lines_of_activity({**activity, "stated_kgco2e": right}, INVENTORY)
    assert not any(flag.startswith("stated_figure") for flag in line.flags)


def test_the_transport_work_of_the_example_follows_from_its_mass_and_distance() -> None:
    activity = {
        "formula": "S3-DISTANCE-BASED",
        "category": 4,
        "kind": "transport",
        "mass": amount("87", "kg"),
        "distance": amount("423", "km"),
        "factor": kg("0.1", "tkm"),
        "stated_kgco2e": "3.6801",
    }
    (line,) = lines_of_activity(activity, INVENTORY)
    assert line.kgco2e == Decimal("3.6801")
    assert not any(flag.startswith("stated_figure") for flag in line.flags)


def test_a_figure_rounded_for_print_is_no_defect_but_one_rounded_early_is() -> None:
    # One third of 100 at 40: 13.3 in print; from a third rounded to 0.3 it would be 12.0.
    activity = product(
        "100",
        "kWh",
        "0.4",
        scope=3,
        category=8,
        share={"part": "5", "whole": "15", "unit": "m2", "key": "floor area"},
    )
    for printed, is_flagged in [("13.3", False), ("13.33", False), ("13.4", True), ("12.0", True)]:
        (line,) = lines_of_activity({**activity, "stated_kgco2e": printed}, INVENTORY)
        assert any(flag.startswith("stated_figure") for flag in line.flags) is is_flagged
