"""Category 3: upstream of fuels and power, losses, energy sold on; published figures from kWh."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from carbon_ledger.energy.category3 import (
    Category3,
    Consumed,
    Loss,
    StatedRate,
    energy,
    lines_of_electricity,
    lines_of_fuel,
    lines_of_heat,
    lines_of_resold,
)
from carbon_ledger.energy.meter_amounts import Amount, Part
from carbon_ledger.energy.meter_category3 import (
    category3_by_site_and_day,
    category3_of_amount,
    category3_of_reading,
)
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.book import ActivityQuery, FactorBook, FactorMatch, FactorQuery
from carbon_ledger.factor_book.losses import LossRate
from carbon_ledger.factor_book.rows import Factor, sealed
from carbon_ledger.inventory import Inventory
from carbon_ledger.places import located
from carbon_ledger.reference.records import Site
from carbon_ledger.workings import Operand
from tests.support.meter_examples import (
    GAS,
    NOW,
    assert_written,
    plain_grid,
    reading,
    shipped,
    stated,
)

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
END = datetime(2025, 1, 1, tzinfo=UTC)


def consumed(kwh: str | int, **changes: Any) -> Consumed:
    return energy(Decimal(kwh), "electricity:grid", BEGIN, END, **changes)


def matched(inventory: Inventory, country: str, year: int = 2024) -> FactorMatch:
    return inventory.book.match(
        FactorQuery(
            energy_source="grid",
            country_iso2=country,
            activity_date=BEGIN.date().replace(year=year),
        )
    )


def checked(found: Category3) -> dict[str, Decimal]:
    """Figures by formula, each recomputed from its text."""
    for line in found.lines:
        assert_written(line)
        assert (line.assignment.scope, line.assignment.category) == (3, 3)
    return {line.working.formula.formula_id: line.kgco2e for line in found.lines}


def missing(found: Category3) -> list[tuple[str, str]]:
    return [(one.activity, one.code) for one in found.missing]


# ---- published figures


def test_uk_2025_per_kwh() -> None:
    # UK conversion factors 2025: generation 0.177, WTT 0.0459, T&D 0.01853, WTT of T&D 0.00397.
    inventory = shipped(gwp_set="AR5")
    match = matched(inventory, "GB", 2025)
    assert match.factor.kgco2e_per_unit == Decimal("0.177")
    wtt_of_losses = StatedRate(
        kgco2e=Decimal("0.00397"), unit="kWh", source="UK 2025, WTT T&D", gwp_set="AR5"
    )
    found = lines_of_electricity(
        consumed(100_000), match, inventory, upstream_of_losses=wtt_of_losses
    )
    assert checked(found) == {"S3-3B": 4590, "S3-3C": 1853, "S3-3C-UPSTREAM": 397}
    assert all(line.flags == () for line in found.lines)


def test_without_a_published_figure_the_upstream_of_losses_is_derived_and_says_so() -> None:
    inventory = shipped(gwp_set="AR5")
    found = lines_of_electricity(consumed(100_000), matched(inventory, "GB", 2025), inventory)
    # 0.0459 x 0.01853 / 0.177: not the publisher's 0.00397, which is of an older year's data.
    exact = 100_000 * Fraction("0.0459") * Fraction("0.01853") / Fraction("0.177")
    assert Fraction(checked(found)["S3-3C-UPSTREAM"]) == Fraction(round(exact * 10**12), 10**12)
    assert "upstream_of_losses_derived" in found.lines[-1].flags


def fuel_match(inventory: Inventory, unit: str, year: int = 2025, **selectors: str) -> FactorMatch:
    return inventory.book.find(
        ActivityQuery(
            family="fuel",
            selectors=tuple(selectors.items()),
            activity_date=BEGIN.date().replace(year=year),
            country_iso2="GB",
            unit=unit,
        ),
        inventory.policy,
    )


def test_uk_2025_diesel() -> None:
    # UK 2025: 2.57082 kg/L burnt, 0.61101 kg/L before.
    inventory = shipped(gwp_set="AR5")
    diesel = {"fuel_group": "Liquid fuels", "fuel": "Diesel (average biofuel blend)"}
    burnt = fuel_match(inventory, "L", **diesel, stage="combustion")
    assert burnt.factor.kgco2e_per_unit == Decimal("2.57082")
    tank = fuel_match(inventory, "L", **diesel, stage="wtt")
    litres = energy(Decimal(1000), "fuel:diesel", BEGIN, END)
    in_litres = Consumed(
        amount=reading_amount("1000", "L"),
        activity_type="fuel:diesel",
        occurred_from=BEGIN,
        occurred_to=END,
        basis="combustion",
    )
    assert checked(lines_of_fuel(in_litres, tank, inventory)) == {"S3-3A": Decimal("611.01")}
    with pytest.raises(RejectedRecord) as caught:
        lines_of_fuel(in_litres, burnt, inventory)
    assert caught.value.code == "not_well_to_tank"
    with pytest.raises(RejectedRecord) as caught:
        lines_of_fuel(litres, tank, inventory)
    assert caught.value.code == "incompatible_unit"


def reading_amount(value: str, unit: str) -> Amount:
    operand = Operand(value=Decimal(value), unit=unit, label="fuel")
    return Amount(
        parts=(Part(sign=1, operands=(operand,)),),
        unit=unit,
        quantity=Decimal(value),
        shown_unit=unit,
    )


# GHG Protocol Technical Guidance (2013), Example 3.1: kWh, generation factor, loss rate.
P05 = [
    ("electricity", 500_000, "0.8", "0.1"),
    ("electricity", 600_000, "0.4", "0.13"),
    ("electricity", 50_000, "0.15", "0.05"),
    ("electricity", 400_000, "0.8", "0.15"),
    ("electricity", 5_500_000, "0.5", "0.1"),
    ("heat", 200_000, "0.4", "0.12"),
]


def test_p05_losses_of_five_countries_and_of_heat() -> None:
    total = Decimal(0)
    for kind, kwh, factor, rate in P05:
        inventory = stated(plain_grid("GB", factor))
        match = matched(inventory, "GB")
        loss = Loss(share=Fraction(rate), relative_to="delivered", source="Example 3.1")
        if kind == "heat":
            found = lines_of_heat(consumed(kwh), match, inventory, loss=loss)
        else:
            found = lines_of_electricity(consumed(kwh), match, inventory, loss=loss)
        assert missing(found) == [("b", "upstream_not_published")]
        total += checked(found)["S3-3C"]
    assert total == Decimal(404_175)


def test_p35_the_losses_of_an_end_user() -> None:
    # Scope 3 Standard, box 5.5: 100 MWh are generated at 1 t/MWh with 5 t of upstream, 90 arrive.
    inventory = stated(plain_grid("GB", "1", upstream_kgco2e_per_unit=Decimal("0.05")))
    loss = Loss(share=Fraction("0.1"), relative_to="generated", source="box 5.5")
    found = checked(
        lines_of_electricity(consumed(90_000), matched(inventory, "GB"), inventory, loss=loss)
    )
    assert found == {"S3-3B": 4500, "S3-3C": 10_000, "S3-3C-UPSTREAM": 500}
    # P35c of the published examples: what was lost, and its upstream.
    assert found["S3-3C"] + found["S3-3C-UPSTREAM"] == 10_500


def test_p50_nhs_well_to_tank_of_gas() -> None:
    # NHS Emission Quantification Recipe Book 22/23, Eq 6.12, UK 2019: printed 4.78 t.
    year_2019 = plain_grid(
        "GB", "0.02391", 2019, family="fuel", unit="kWh_gross", stage="wtt", energy_source=""
    )
    match = FactorMatch(
        factor=year_2019,
        release_id="example",
        how_matched="country/wtt/exact-year",
        geography_level="country",
        boundary_level="wtt",
        vintage_gap_years=0,
        boundary_substitute=False,
        flags=(),
    )
    gas = Consumed(
        amount=reading_amount("200000", "kWh_gross"),
        activity_type="fuel:natural_gas",
        occurred_from=BEGIN,
        occurred_to=END,
        basis="combustion",
    )
    assert checked(lines_of_fuel(gas, match, stated())) == {"S3-3A": 4782}


# ---- from readings

READINGS = [
    # changes, figures by formula, missing
    (
        {"energy_kwh": "1000"},
        {
            "S3-3B": "45.9",
            "S3-3C": "18.53",
            "S3-3C-UPSTREAM": "4.805237288136",
        },
        [],
    ),
    # A life-cycle figure in scope 2 holds everything.
    (
        {"country_iso2": "DE"},
        {},
        [("b", "included_in_substitute"), ("c", "included_in_substitute")],
    ),
    # 351.642 x 0.042 / 0.958: the rate is of what is generated; no upstream is published.
    (
        {"country_iso2": "US", "timestamp": "2023-05-01T00:00:00Z"},
        {"S3-3C": "15.416455114823"},
        [("b", "upstream_not_published")],
    ),
    # The edition of a year earlier has no loss rate of its own: 375.294 x 0.042 / 0.958.
    (
        {"country_iso2": "US", "timestamp": "2022-05-01T00:00:00Z"},
        {"S3-3C": "16.453390396660"},
        [("b", "upstream_not_published")],
    ),
    # The Australian upstream figure includes the losses: nothing more is posted.
    (
        {"country_iso2": "AU", "timestamp": "2024-05-01T00:00:00Z"},
        {"S3-3B": "70"},
        [],
    ),
    ({"meter_kind": "solar", "energy_source": "solar"}, {}, []),
    ({"meter_kind": "export"}, {}, []),
    ({**GAS, "quantity": "1000", "unit": "kWh_gross"}, {"S3-3A": "30.21"}, []),
    # The same gas in Germany: the proxy's upstream, flagged.
    (
        {**GAS, "quantity": "1000", "unit": "kWh_net", "country_iso2": "DE"},
        {"S3-3A": "33.47"},
        [],
    ),
    (
        {"energy_kwh": "0", "meter_kind": "heat", "quantity": "1", "unit": "MWh"},
        {"S3-3B": "33.41", "S3-3C": "9.45", "S3-3C-UPSTREAM": "1.76"},
        [],
    ),
]


@pytest.mark.parametrize(("changes", "figures", "lacking"), READINGS)
def test_category_3_of_a_reading(
    changes: dict[str, Any], figures: dict[str, str], lacking: list[tuple[str, str]]
) -> None:
    event = reading(**changes)
    event.check(NOW)
    found = category3_of_reading(event, shipped(gwp_set="AR5"))
    assert checked(found) == {name: Decimal(figure) for name, figure in figures.items()}
    assert missing(found) == lacking


@pytest.mark.parametrize("kind", ["electricity:exported", "self_generated:solar", "chilled_water"])
def test_what_was_sold_or_made_on_site_has_no_category_3(kind: str) -> None:
    where = located("works", "GB", None, BEGIN, shipped().register)
    amount = replace(consumed(5), activity_type=kind)
    assert category3_of_amount(amount, where, shipped()) == Category3(lines=())


def test_an_activity_that_no_meter_counts_is_refused() -> None:
    where = located("works", "GB", None, BEGIN, shipped().register)
    with pytest.raises(RejectedRecord) as refused:
        category3_of_amount(replace(consumed(5), activity_type="freight:road"), where, shipped())
    assert (refused.value.code, refused.value.field) == ("unknown_energy", "activity_type")


@pytest.mark.parametrize(
    ("changes", "basis"),
    [
        ({**GAS, "quantity": "1000", "unit": "kWh_gross"}, "combustion"),
        ({"energy_kwh": "0", "meter_kind": "heat", "quantity": "1", "unit": "MWh"}, "location"),
        ({"energy_kwh": "1000"}, "location"),
    ],
)
def test_category_3_of_what_is_burnt_is_of_neither_method_of_scope_2(
    changes: dict[str, Any], basis: str
) -> None:
    found = category3_of_reading(reading(**changes), shipped(gwp_set="AR5"))
    assert {line.basis for line in found.lines} == {basis}


def test_the_proxy_s_upstream_is_flagged() -> None:
    event = reading(**GAS, quantity="1", unit="kWh_net", country_iso2="DE")
    (line,) = category3_of_reading(event, shipped()).lines
    assert "geography_proxy" in line.flags


def test_a_published_loss_rate_of_the_book_is_of_what_is_put_in() -> None:
    rate = LossRate(
        pct=Decimal(20),
        year=2024,
        source="office",
        how_matched="country/td_loss/exact-year",
        geography_level="country",
        vintage_gap_years=0,
        flags=("vintage_gap",),
    )
    inventory = stated(plain_grid("GB", "0.5"))
    found = lines_of_electricity(
        consumed(80), matched(inventory, "GB"), inventory, loss=Loss.of_rate(rate)
    )
    assert checked(found) == {"S3-3C": 10}
    assert "vintage_gap" in found.lines[0].flags


@pytest.mark.parametrize(
    ("share", "relative_to"), [("1", "generated"), ("1.01", "delivered"), ("-0.1", "delivered")]
)
def test_a_loss_rate_that_cannot_be_is_refused(share: str, relative_to: Any) -> None:
    inventory = stated(plain_grid("GB", "0.5"))
    loss = Loss(share=Fraction(share), relative_to=relative_to, source="x")
    with pytest.raises(RejectedRecord) as caught:
        lines_of_electricity(consumed(1), matched(inventory, "GB"), inventory, loss=loss)
    assert caught.value.code == "loss_rate_out_of_range"


def test_a_day_is_the_exact_sum_of_its_readings_however_it_was_cut() -> None:
    site = Site(
        facility_id="plant", organization_id="acme", country_iso2="GB", time_zone="Europe/London"
    )
    inventory = shipped(site)
    # 23:30 UTC on 30 April is 00:30 of 1 May in London.
    times = ["2025-04-30T22:30:00Z", "2025-04-30T23:30:00Z", "2025-05-01T10:00:00Z"]
    events = [reading(energy_kwh=f"0.{n + 1}", timestamp=at) for n, at in enumerate(times)]
    found = category3_by_site_and_day(events, inventory)
    assert [(one.local_date.day, one.kwh, one.readings) for one in found] == [
        (30, Decimal("0.1"), 1),
        (1, Decimal("0.5"), 2),
    ]
    assert category3_by_site_and_day(events[::-1], inventory) == found
    whole = reading(energy_kwh="0.5", timestamp=times[1])
    assert [line.kgco2e for line in category3_of_reading(whole, inventory).lines] == [
        line.kgco2e for line in found[1].category3.lines
    ]
    gas = reading(**GAS, quantity="1", unit="kWh_net")
    assert category3_by_site_and_day([gas], inventory) == ()


def test_energy_sold_on_is_generation_and_upstream_for_resellers_alone() -> None:
    inventory = stated(plain_grid("GB", "1", upstream_kgco2e_per_unit=Decimal("0.05")))
    match = matched(inventory, "GB")
    found = lines_of_resold(consumed(100), match, inventory, is_reseller=True)
    assert checked(found) == {"S3-3D": 105}
    bare = stated(plain_grid("GB", "1"))
    lacking = lines_of_resold(consumed(100), matched(bare, "GB"), bare, is_reseller=True)
    assert checked(lacking) == {"S3-3D": 100}
    assert missing(lacking) == [("d", "upstream_not_published")]
    with pytest.raises(RejectedRecord) as caught:
        lines_of_resold(consumed(100), match, inventory, is_reseller=False)
    assert caught.value.code == "only_for_resellers"


def test_each_basis_has_its_own_category_3() -> None:
    inventory = stated(plain_grid("GB", "1", upstream_kgco2e_per_unit=Decimal("0.05")))
    match = matched(inventory, "GB")
    for basis in ("location", "market"):
        found = lines_of_electricity(consumed(1, basis=basis), match, inventory)
        assert {line.basis for line in found.lines} == {basis}


def test_energy_of_no_named_basis_is_location_based() -> None:
    inventory = stated(plain_grid("GB", "1", upstream_kgco2e_per_unit=Decimal("0.05")))
    amount = Consumed(
        amount=consumed(1).amount,
        activity_type="electricity:grid",
        occurred_from=BEGIN,
        occurred_to=END,
    )
    (line,) = lines_of_electricity(amount, matched(inventory, "GB"), inventory).lines
    assert line.basis == "location"


# Of a plain factor that publishes some of the figures of activities b and c, what is missing.
LACKING: list[tuple[dict[str, str], list[tuple[str, str]]]] = [
    ({}, [("b", "upstream_not_published"), ("c", "losses_not_published")]),
    (
        {"upstream": "0.05"},
        [("c", "losses_not_published"), ("c", "upstream_of_losses_not_published")],
    ),
    # Nothing was emitted where it was made, so the loss rate cannot be told from the losses.
    (
        {"upstream": "0.05", "td": "0.01", "generation": "0"},
        [("c", "upstream_of_losses_not_published")],
    ),
    ({"upstream": "0.05", "td": "0.01"}, []),
    ({"td": "0.01"}, [("b", "upstream_not_published")]),
]


@pytest.mark.parametrize(
    ("published", "kgco2e"), [({"td_loss_pct": "20"}, "25"), ({"td_kgco2e_per_unit": "0.5"}, "50")]
)
def test_the_book_s_loss_rate_is_not_taken_where_the_factor_has_its_own(
    published: dict[str, str], kgco2e: str
) -> None:
    """Of 100 kWh at 1 kgCO2e: a fifth of what was generated is a quarter of what arrived."""
    given = {name: Decimal(value) for name, value in published.items()}
    ours = stated(plain_grid("DE", "1", 2019, **given))
    inventory = replace(ours, book=FactorBook(ours.book.rows, "test", shipped().book.index_rows))
    (loss,) = category3_of_reading(
        reading(quantity="100", unit="kWh", country_iso2="DE", timestamp="2019-06-01T09:00:00Z"),
        inventory,
    ).lines
    assert (loss.working.formula.formula_id, loss.kgco2e) == ("S3-3C", Decimal(kgco2e))


@pytest.mark.parametrize(("published", "lacking"), LACKING)
def test_what_a_factor_does_not_publish_is_named_by_activity(
    published: dict[str, str], lacking: list[tuple[str, str]]
) -> None:
    rates = {
        f"{name}_kgco2e_per_unit": Decimal(published[name])
        for name in ("upstream", "td")
        if name in published
    }
    inventory = stated(plain_grid("GB", published.get("generation", "1"), **rates))
    found = lines_of_electricity(consumed(1), matched(inventory, "GB"), inventory)
    assert missing(found) == lacking
    assert len(found.lines) + len(found.missing) == (2 if "upstream" not in published else 3)


def test_heat_of_which_nothing_further_is_published_says_what_is_missing() -> None:
    inventory = stated(plain_grid("GB", "1"))
    found = lines_of_heat(consumed(1), matched(inventory, "GB"), inventory)
    assert found.lines == ()
    assert missing(found) == [("b", "upstream_not_published"), ("c", "losses_not_published")]


def test_a_stated_rate_has_the_potentials_it_states_and_none_otherwise() -> None:
    inventory = stated(plain_grid("GB", "1"))
    rate = StatedRate(kgco2e=Decimal("0.05"), unit="kWh", source="x")
    for upstream, gwp_set, flags in (
        (rate, "unstated", ("gwp_set_embedded",)),
        (replace(rate, gwp_set="AR6"), "AR6", ()),
    ):
        found = lines_of_electricity(
            consumed(1), matched(inventory, "GB"), inventory, upstream=upstream
        )
        assert (found.lines[0].gwp_set, found.lines[0].flags) == (gwp_set, flags)


def test_what_is_stated_comes_before_the_row_s_own_but_for_published_losses() -> None:
    published = {
        "upstream_kgco2e_per_unit": Decimal("0.05"),
        "td_kgco2e_per_unit": Decimal("0.1"),
        "td_loss_pct": Decimal(20),
    }
    inventory = stated(plain_grid("GB", "1", **published))
    match = matched(inventory, "GB")
    rate = StatedRate(kgco2e=Decimal("0.03"), unit="kWh", source="x")
    loss = Loss(share=Fraction("0.5"), relative_to="delivered", source="x")
    found = lines_of_electricity(consumed(100), match, inventory, upstream=rate, loss=loss)
    # 100 x 0.03; 100 x 0.1, not 100 x 1 x 0.5; 100 x 0.03 x 0.5.
    assert checked(found) == {"S3-3B": 3, "S3-3C": 10, "S3-3C-UPSTREAM": Decimal("1.5")}


def test_a_stated_rate_per_another_unit_is_refused() -> None:
    inventory = stated(plain_grid("GB", "1"))
    per_mwh = StatedRate(kgco2e=Decimal(50), unit="MWh", source="x")
    with pytest.raises(RejectedRecord) as caught:
        lines_of_electricity(consumed(1), matched(inventory, "GB"), inventory, upstream=per_mwh)
    assert caught.value.code == "incompatible_unit"


def test_energy_sold_on_has_no_half_gas_vector_and_says_that_its_potentials_differ() -> None:
    gases = {f"kg_{gas}_per_unit": Decimal("0.1") for gas in ("co2", "ch4", "n2o")}
    published = {"upstream_kgco2e_per_unit": Decimal("0.05"), **gases, "gwp_set": "AR5"}
    inventory = stated(replace_of(plain_grid("GB", "1"), **published))
    (line,) = lines_of_resold(
        consumed(100), matched(inventory, "GB"), inventory, is_reseller=True
    ).lines
    assert len(line.gases) == 0
    assert line.gas_split == "not_available"
    assert line.gwp_set == "mixed"


def test_category_3_is_scored_by_the_vintage_of_its_factor() -> None:
    inventory = stated(plain_grid("GB", "1", 2020, upstream_kgco2e_per_unit=Decimal("0.05")))
    (line,) = lines_of_electricity(consumed(1), matched(inventory, "GB"), inventory).lines
    assert line.factor_scores is not None
    assert line.factor_scores.as_tuple() == (2, 2, 1, 1, 3)


def replace_of(factor: Factor, **changes: Any) -> Factor:
    return sealed(replace(factor, **changes))
