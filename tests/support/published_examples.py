"""The published worked examples as activities: what they state, and what they print.

Belongs here: one row per example, its numbers as they are published. Does not: what comes out of
them (tests/unit/test_worked_examples.py), the list of examples (tests/golden/worked_examples.csv).
"""

from __future__ import annotations

from typing import Any

GUIDANCE = "GHG Protocol Technical Guidance for Calculating Scope 3 Emissions v1.0 (2013)"
NHS = "NHS Emission Quantification Recipe Book v1.0 22/23 (UK 2019 factors)"
EFRAG = "EFRAG illustrative E1 XBRL report (ESRS Set 1 taxonomy 2023-12-22)"
ILEAP = "iLEAP Technical Specifications 1.0.0 (2025-05-27), end-to-end example"

Activity = dict[str, Any]


def kg(value: str, per: str = "kg") -> dict[str, str]:
    return {"kgco2e": value, "per": per}


def amount(value: str, unit: str) -> dict[str, str]:
    return {"value": value, "unit": unit}


def product(quantity: str, unit: str, factor: str, **more: object) -> Activity:
    return {"quantity": quantity, "unit": unit, "factor": kg(factor, unit), **more}


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


def _emitted(tonnes: str, scope: int, category: int | None = None, **more: object) -> Activity:
    where = {"scope": scope} if category is None else {"scope": scope, "category": category}
    return {**where, "quantity": tonnes, "unit": "tCO2e", **more}


def _transport(mass_kg: str, km: str, per_tkm: str) -> list[Activity]:
    return [
        {
            "formula": "S3-DISTANCE-BASED",
            "category": 4,
            "kind": "transport",
            "mass": amount(mass_kg, "kg"),
            "distance": amount(km, "km"),
            "factor": kg(per_tkm, "tkm"),
        }
    ]


# Tonnes by category; the 18 t of cloud and data-centre services are inside category 1.
_SCOPE_3 = ["157", "36", "2", "8", "7", "5", "7", "8", "5", "8", "5", "5", "5", "18", "31"]
GROSS_SCOPE_3 = [
    _emitted("18", 3, 1, description="cloud computing and data-centre services (1.1)"),
    _emitted("139", 3, 1, description="goods and services but those of 1.1"),
    *(_emitted(tonnes, 3, number) for number, tonnes in enumerate(_SCOPE_3[1:], start=2)),
]

P03_MASS = [("400", "20"), ("200", "10"), ("500", "40"), ("100", "70"), ("1500", "3"), ("300", "3")]
P03_SPEND = [
    *[("5000", "0.3"), ("3000", "0.3"), ("4000", "0.3"), ("6000", "0.5"), ("1500", "0.2")],
    *[("5000", "0.2"), ("5000", "0.3"), ("1000", "0.3"), ("5000", "0.4")],
]

# id, activities, figure, tolerance of the print, scope and category (None: several), source
PUBLISHED: list[tuple[str, list[Activity], str, str, int | None, int | None, str]] = [
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
        "P36",
        [_emitted("300", 1), _emitted("200", 2, basis="location"), *GROSS_SCOPE_3],
        "807000",
        "0",
        None,
        None,
        f"{EFRAG}, total by the location-based method",
    ),
    (
        "P38",
        GROSS_SCOPE_3,
        "307000",
        "0",
        3,
        None,
        f"{EFRAG}, gross scope 3",
    ),
    ("P40", _transport("87", "423", "0.1"), "3.6801", "0", 3, 4, f"{ILEAP}, element 1"),
    ("P42", _transport("87", "321", "0.153"), "4.272831", "0", 3, 4, f"{ILEAP}, element 2"),
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
