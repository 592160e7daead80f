"""What is posted of metered energy per period: from sums of entries to lines."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from carbon_ledger.energy.meter_category3 import category3_of_reading
from carbon_ledger.energy.meters import lines_of_meter_reading
from carbon_ledger.energy.period_postings import (
    MeteredSum,
    PeriodLine,
    Periods,
    category3_of_days,
    market_of_year,
)
from carbon_ledger.energy.sum_amounts import ROUNDING, Summed, amount_of_sum
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.inventory import Inventory
from carbon_ledger.posting import row_of_period
from tests.support.meter_examples import GAS, reading, shipped
from tests.support.reference_examples import certificate, meter, residual_mix, site

YEAR = 2024
DAY = date(YEAR, 6, 1)
DOC = Path(__file__).resolve().parents[2] / "docs" / "period-postings.md"
MIX = residual_mix("0.7")
GAS_METER = {
    "carrier": "gas",
    "unit": "m3",
    "calorific_value_kwh_per_unit": "11",
    "heating_value": "gross",
}


def summed(inventory: Inventory, *, entries: int = 1, **fields: Any) -> MeteredSum:
    """The sum of one reading's entry, or of several that are like it."""
    event = reading(**{"timestamp": datetime(YEAR, 6, 1, 9, tzinfo=UTC), **fields})
    (line,) = lines_of_meter_reading(event, inventory)
    match = line.factor
    return MeteredSum(
        organization_id="acme",
        facility_id=event.facility_id,
        country_iso2=event.country_iso2,
        region=event.region,
        local_date=event.occurred_from.date(),
        activity_type=line.activity_type,
        unit=line.unit,
        factor_id="rule:none" if match is None else match.factor.factor_id,
        factor_version=1 if match is None else match.factor.version,
        factor_release=inventory.book.release_id,
        certificates_sold="certificates_sold" in line.flags,
        quantity=line.quantity * entries,
        occurred_from=event.occurred_from,
        occurred_to=event.occurred_to,
        entries=entries,
        sha256=hashlib.sha256(event.sensor_id.encode()).hexdigest(),
        kgco2e=line.kgco2e * entries if line.basis == "combustion" else None,
    )


def test_a_period_s_line_becomes_an_entry_of_the_period_with_its_factor_and_its_basis() -> None:
    inventory = shipped()
    one = category3_of_days([summed(inventory, **GAS, quantity="100", unit="m3")], inventory).lines[
        0
    ]
    match = one.line.factor
    assert match is not None
    row = row_of_period(
        one,
        event_id="posting-1",
        recorded_at=datetime(2025, 1, 1, tzinfo=UTC),
        release_id="release",
        code_version="test",
    )
    assert (row.organization_id, row.activity_ref, row.stream) == (
        "acme",
        one.activity_ref,
        "period_postings",
    )
    assert (row.scope, row.category, row.kgco2e) == (3, 3, one.line.kgco2e)
    assert (row.activity_month, row.local_date) == (DAY.replace(day=1), DAY)
    assert (row.factor_id, row.factor_version, row.factor_release) == (
        match.factor.factor_id,
        match.factor.version,
        "release",
    )
    assert row.payload_sha256 == hashlib.sha256(one.basis_text.encode()).digest()


def figures(lines: Iterable[PeriodLine]) -> list[tuple[str, Decimal]]:
    return [(one.line.working.formula.formula_id, one.line.kgco2e) for one in lines]


# ---- fuel and heat: what a sum was of


@pytest.mark.parametrize(
    "fields",
    [
        {**GAS, "quantity": "100", "unit": "m3"},
        {**GAS, "quantity": "100", "unit": "ft3"},
        {**GAS, "quantity": "100", "unit": "kWh", "heating_value": "gross"},
        {**GAS, "quantity": "100", "unit": "kWh", "heating_value": "net"},
        {**GAS, "quantity": "0.1", "unit": "MWh", "heating_value": "gross"},
        {**GAS, "quantity": "100", "unit": "kWh_gross"},
        {**GAS, "quantity": "100", "unit": "kWh", "fuel": "biogas"},
        {**GAS, "quantity": "100", "unit": "m3", "country_iso2": "DE"},
        {**GAS, "quantity": "100", "unit": "kWh", "heating_value": "gross", "country_iso2": "US"},
        {"meter_kind": "heat", "quantity": "100", "unit": "kWh"},
        {"meter_kind": "steam", "quantity": "0.36", "unit": "GJ"},
    ],
    ids=lambda fields: " ".join(str(one) for one in fields.values()),
)
def test_a_day_of_one_reading_has_the_category_3_of_the_reading(fields: dict[str, Any]) -> None:
    inventory = shipped()
    event = reading(**{"timestamp": datetime(YEAR, 6, 1, 9, tzinfo=UTC), **fields})
    found = category3_of_days([summed(inventory, **fields)], inventory)
    expected = [
        (line.working.formula.formula_id, line.kgco2e)
        for line in category3_of_reading(event, inventory).lines
    ]
    assert expected
    assert figures(found.lines) == expected
    assert {one.line.basis for one in found.lines} == (
        {"combustion"} if event.meter_kind == "gas" else {"location"}
    )
    assert [one.is_fault for one in found.not_posted if one.is_fault] == []


def test_heat_in_the_united_states_is_read_in_kwh_and_published_per_mmbtu() -> None:
    """Its upstream is not published, which is no fault; the market-based line is made: per mmBtu
    66.33 kg CO2, 1.25 g CH4 and 0.125 g N2O (US EPA 2024, table 7), with AR6 66.399 kg.
    """
    inventory = shipped(site("plant", country_iso2="US", time_zone="UTC"))
    one = summed(
        inventory, meter_kind="heat", quantity="293.07107017222", unit="kWh", country_iso2="US"
    )
    found = category3_of_days([one], inventory)
    assert (found.lines, {gap.is_fault for gap in found.not_posted}) == ((), {False})
    year = market_of_year("acme", [one], YEAR, inventory, used_before={})
    assert year.not_posted == ()
    assert [round(line.line.kgco2e, 3) for line in year.lines] == [Decimal("66.399")]


def test_gas_in_cubic_metres_takes_the_calorific_value_its_meter_is_registered_with() -> None:
    """The worked example of docs/period-postings.md."""
    text = re.search(
        r"([\d.]+) m3 x ([\d.]+) kWh per m3 \(calorific value, gross\)"
        r" x ([\d.]+) kgCO2e per kWh_gross = ([\d.]+) kgCO2e",
        DOC.read_text("utf-8"),
    )
    assert text is not None
    quantity, calorific, factor, kgco2e = text.groups()
    inventory = shipped(
        site("plant", country_iso2="GB", time_zone="Europe/London"),
        meter("M1", **{**GAS_METER, "calorific_value_kwh_per_unit": calorific}),
    )
    one = summed(inventory, **GAS, quantity=quantity, unit="m3")
    (line,) = category3_of_days([one], inventory).lines
    assert line.line.kgco2e == Decimal(kgco2e)
    assert (line.line.quantity, line.line.unit) == (Decimal(quantity), "m3")
    assert line.line.factor is not None
    assert line.line.factor.factor.kgco2e_per_unit == Decimal(factor)
    written = "\n".join(line.line.working.written())
    assert f"{calorific} kWh per m3 (calorific value, gross; register of meters, M1)" in written


def test_of_several_calorific_values_the_one_that_gives_the_posted_figure_is_taken() -> None:
    inventory = shipped(
        meter("A", **{**GAS_METER, "calorific_value_kwh_per_unit": "9"}),
        meter("M1", **GAS_METER),
        meter("Z", **{**GAS_METER, "calorific_value_kwh_per_unit": "8000", "unit": "m3"}),
    )
    one = summed(inventory, **GAS, quantity="250", unit="m3")
    (line,) = category3_of_days([one], inventory).lines
    assert line.line.kgco2e == Decimal("83.0775")
    other = summed(
        shipped(meter("M1", **{**GAS_METER, "calorific_value_kwh_per_unit": "9"})),
        **GAS,
        quantity="250",
        unit="m3",
    )
    (line,) = category3_of_days([other], inventory).lines
    assert line.line.kgco2e == Decimal("67.9725")


def test_a_calorific_value_per_litre_is_taken_for_cubic_metres() -> None:
    inventory = shipped(
        meter("M1", **{**GAS_METER, "calorific_value_kwh_per_unit": "0.011", "unit": "L"})
    )
    one = summed(inventory, **GAS, quantity="250", unit="m3")
    (line,) = category3_of_days([one], inventory).lines
    assert line.line.kgco2e == Decimal("83.0775")


@pytest.mark.parametrize(
    "fields",
    [
        # 39.5 MJ/m3 of the reading's own: no entry says so.
        {"calorific_value": "39.5", "calorific_unit": "MJ/m3", "heating_value": "gross"},
        # 2 % more at standard conditions: the figure is not that of the volume.
        {"volume_correction": "1.02"},
    ],
)
def test_a_volume_whose_conversion_nobody_registered_is_not_posted_and_named(
    fields: dict[str, Any],
) -> None:
    inventory = shipped(meter("other", **{**GAS_METER, "calorific_value_kwh_per_unit": "10.5"}))
    one = summed(inventory, **GAS, quantity="100", unit="m3", **fields)
    found = category3_of_days([one], inventory)
    assert found.lines == ()
    (gap,) = found.not_posted
    assert (gap.code, gap.is_fault, gap.facility_id) == ("amount_not_known", True, "plant")
    assert gap.period == "2024-06-01"
    assert "100 m3 have the factor fuel:GB:2024" in gap.reason


@pytest.mark.parametrize(("off", "is_known"), [(0, True), (1, True), (-1, True), (2, False)])
def test_rounding_of_every_entry_is_left_and_no_more(off: int, is_known: bool) -> None:
    """Two entries may be off by half of the 12th decimal each: by one of them together."""
    inventory = shipped()
    one = summed(inventory, **GAS, quantity="100", unit="m3", entries=2)
    assert one.kgco2e is not None
    moved = replace(one, kgco2e=one.kgco2e + Decimal(off).scaleb(-12))
    found = category3_of_days([moved], inventory)
    assert bool(found.lines) is is_known
    assert ROUNDING * 2 * 10**12 == 1
    unknown = category3_of_days([replace(one, kgco2e=None)], inventory)
    assert [gap.code for gap in unknown.not_posted] == ["amount_not_known"]


@pytest.mark.parametrize(
    ("activity_type", "unit"), [("fuel:natural_gas", "kWh"), ("heat", "kWh"), ("heat", "MJ")]
)
def test_entries_of_a_factor_that_the_book_does_not_give_are_not_followed(
    activity_type: str, unit: str
) -> None:
    inventory = shipped()
    one = Summed(
        facility_id="plant",
        activity_type=activity_type,
        quantity=Decimal(10),
        unit=unit,
        factor_id="fuel:somewhere",
        factor_version=3,
        entries=1,
        kgco2e=None,
        source="test",
    )
    where = summed(inventory).where
    with pytest.raises(RejectedRecord, match="fuel:somewhere#3, the book gives fuel:GB") as told:
        amount_of_sum(one, where, inventory)
    assert told.value.code == "factor_differs"
    assert amount_of_sum(one, where, inventory, as_posted=False)[1].factor.factor_id != (
        "fuel:somewhere"
    )


# ---- category 3 of electricity


def test_lines_of_a_day_are_named_numbered_and_placed() -> None:
    inventory = shipped()
    one = summed(inventory, energy_kwh="1000", region=None)
    found = category3_of_days([one], inventory)
    assert len(found.lines) > 1
    assert [line.line_no for line in found.lines] == [*range(1, len(found.lines) + 1)]
    assert {line.activity_ref for line in found.lines} == {
        f"category3:plant@2024-06-01/electricity:grid/{one.factor_id}"
    }
    assert {
        (line.organization_id, line.facility_id, line.country_iso2, line.local_date)
        for line in found.lines
    } == {("acme", "plant", "GB", DAY)}
    basis = json.loads(found.lines[0].basis_text)
    assert basis["kind"] == "category3"
    (said,) = basis["sums"]
    assert said["quantity"] == "1000"
    assert said["occurred_from"] == "2024-06-01T09:00:00+00:00"
    assert "kgco2e" not in said
    assert (
        found.lines[0].basis_sha256 == hashlib.sha256(found.lines[0].basis_text.encode()).digest()
    )


def test_electricity_of_another_factor_is_a_fault_and_what_was_exported_or_made_has_none() -> None:
    inventory = shipped()
    one = summed(inventory)
    for changed in ({"factor_id": "other"}, {"factor_version": one.factor_version + 1}):
        found = category3_of_days([replace(one, **changed)], inventory)
        assert [(gap.code, gap.is_fault) for gap in found.not_posted] == [("factor_differs", True)]
        assert found.lines == ()
    for kind in ("electricity:exported", "self_generated:solar"):
        found = category3_of_days([replace(one, activity_type=kind, factor_id="rule")], inventory)
        assert (found.lines, found.not_posted) == ((), ())


def test_what_a_life_cycle_factor_holds_already_is_missing_but_no_fault() -> None:
    inventory = shipped()
    found = category3_of_days([summed(inventory, country_iso2="DE")], inventory)
    assert found.lines == ()
    assert {gap.is_fault for gap in found.not_posted} == {False}
    assert all(gap.reason.startswith("activity ") for gap in found.not_posted)


# ---- scope 2, market-based


def german(kwh: str, facility: str = "north", **changes: Any) -> MeteredSum:
    """kWh of grid electricity of a German site and day."""
    one = summed(shipped(), facility_id=facility, country_iso2="DE", energy_kwh=kwh)
    return replace(one, **changes)


def posted(periods: Periods) -> dict[str, tuple[Decimal, Decimal]]:
    return {
        line.activity_ref.removeprefix("market:"): (line.line.quantity, line.line.kgco2e)
        for line in periods.lines
    }


SITES = (site("north"), site("south"))
TWO = (german("600"), german("900", "south"))


def test_certificates_come_before_the_residual_mix_and_cover_no_more_than_they_are_of() -> None:
    """1,500 kWh, 1,000 of them of wind: 500 x 0.7 kg."""
    inventory = shipped(*SITES, MIX, certificate("c1", volume_kwh="1000"))
    found = market_of_year("acme", TWO, YEAR, inventory, used_before={})
    lines = posted(found)
    assert sum(kwh for ref, (kwh, _) in lines.items() if ref.endswith("/c1")) == 1000
    assert sum(kg for _, kg in lines.values()) == Decimal(350)
    assert {line.local_date for line in found.lines} == {date(YEAR, 1, 1)}
    assert {line.line.basis for line in found.lines} == {"market"}
    assert {(line.line.occurred_from, line.line.occurred_to) for line in found.lines} == {
        (datetime(YEAR, 1, 1, tzinfo=UTC), datetime(YEAR + 1, 1, 1, tzinfo=UTC))
    } or all(line.line.occurred_to == datetime(YEAR + 1, 1, 1, tzinfo=UTC) for line in found.lines)


@pytest.mark.parametrize(("used", "kgco2e"), [("0", "350"), ("400", "630"), ("1000", "1050")])
def test_what_others_used_of_a_certificate_is_not_there(used: str, kgco2e: str) -> None:
    inventory = shipped(*SITES, MIX, certificate("c1", volume_kwh="1000"))
    found = market_of_year("acme", TWO, YEAR, inventory, used_before={"c1": Decimal(used)})
    assert sum(kg for _, kg in posted(found).values()) == Decimal(kgco2e)
    assert json.loads(found.lines[0].basis_text)["used_before"] == {"c1": used}


def test_a_certificate_used_beyond_its_kwh_and_two_mixes_hold_the_year() -> None:
    inventory = shipped(*SITES, MIX, certificate("c1", volume_kwh="1000"))
    found = market_of_year("acme", TWO, YEAR, inventory, used_before={"c1": Decimal(1001)})
    assert (found.lines, [gap.code for gap in found.not_posted]) == ((), ["certificate_overused"])
    twice = shipped(*SITES, MIX, replace(MIX, instrument_id="mix-too"))
    (gap,) = market_of_year("acme", TWO, YEAR, twice, used_before={}).not_posted
    assert (gap.code, gap.is_fault, gap.period) == ("residual_mix_twice", True, "2024")
    assert (gap.organization_id, gap.facility_id) == ("acme", "")
    assert "mix-de, mix-too" in gap.reason


def test_a_mix_of_another_market_or_year_is_not_taken() -> None:
    other = replace(MIX, market="FR")
    late = replace(MIX, valid_from=date(YEAR + 1, 1, 1), valid_to=date(YEAR + 2, 1, 1))
    for mix in (other, late):
        found = market_of_year("acme", TWO, YEAR, shipped(*SITES, mix), used_before={})
        assert not any("residual_mix" in ref for ref in posted(found))
        assert found.lines
        assert json.loads(found.lines[0].basis_text)["residual_mixes"] == []


def test_a_site_buys_in_the_market_it_is_registered_in_at_the_end_of_the_year() -> None:
    nordic = replace(MIX, market="NORD", emission_rate_kgco2e_per_kwh=Decimal("0.2"))
    moved = (
        site("north", valid_to=date(YEAR, 7, 1)),
        site("north", market="NORD", valid_from=date(YEAR, 7, 1)),
    )
    found = market_of_year(
        "acme",
        [german("600")],
        YEAR,
        shipped(*moved, nordic, replace(MIX, instrument_id="de")),
        used_before={},
    )
    assert posted(found) == {"north@2024/residual_mix": (Decimal(600), Decimal(120))}


def test_days_of_a_site_are_one_load_whose_hash_is_of_the_hashes_of_its_days() -> None:
    inventory = shipped(*SITES, MIX)
    days = [
        german(
            "100",
            local_date=date(YEAR, 3, 2),
            sha256="bb",
            entries=3,
            occurred_from=datetime(YEAR, 3, 2, tzinfo=UTC),
            occurred_to=datetime(YEAR, 3, 3, tzinfo=UTC),
        ),
        german(
            "50",
            local_date=date(YEAR, 3, 1),
            sha256="aa",
            entries=2,
            occurred_from=datetime(YEAR, 3, 1, tzinfo=UTC),
            occurred_to=datetime(YEAR, 3, 2, tzinfo=UTC),
        ),
    ]
    found = market_of_year("acme", days, YEAR, inventory, used_before={})
    assert posted(found) == {"north@2024/residual_mix": (Decimal(150), Decimal(105))}
    assert found == market_of_year("acme", days[::-1], YEAR, inventory, used_before={})
    (said,) = json.loads(found.lines[0].basis_text)["sums"]
    assert (said["quantity"], said["entries"]) == ("150", 5)
    assert said["sha256"] == hashlib.sha256(b"aabb").hexdigest()
    assert (said["occurred_from"], said["occurred_to"]) == (
        "2024-03-01T00:00:00+00:00",
        "2024-03-03T00:00:00+00:00",
    )


def test_what_is_fed_into_the_grid_is_no_load_and_own_power_is_none_of_its_mix() -> None:
    inventory = shipped(*SITES, MIX)
    own = german("40", activity_type="self_generated:solar")
    sold = replace(own, certificates_sold=True, quantity=Decimal(10))
    exported = german("500", activity_type="electricity:exported")
    alone = market_of_year("acme", [german("600")], YEAR, inventory, used_before={})
    beside = market_of_year("acme", [german("600"), own, exported], YEAR, inventory, used_before={})
    total = sum(line.line.kgco2e for line in beside.lines)
    assert total == sum(line.line.kgco2e for line in alone.lines) == Decimal(420)
    assert sum(line.line.quantity for line in beside.lines) == Decimal(640)
    # Whose certificates went to somebody else has the mix of the rest: 10 kWh more.
    gone = market_of_year("acme", [german("600"), own, sold], YEAR, inventory, used_before={})
    assert sum(line.line.kgco2e for line in gone.lines) == Decimal(427)


def test_heat_is_the_location_based_figure_again_and_no_certificate_touches_it() -> None:
    inventory = shipped(
        site("plant", country_iso2="GB", time_zone="Europe/London"), certificate("c1", market="GB")
    )
    fields = {"meter_kind": "heat", "quantity": "100", "unit": "kWh"}
    (line,) = lines_of_meter_reading(
        reading(timestamp=datetime(YEAR, 6, 1, 9, tzinfo=UTC), **fields), inventory
    )
    found = market_of_year("acme", [summed(inventory, **fields)], YEAR, inventory, used_before={})
    (one,) = found.lines
    assert (one.line.kgco2e, one.line.basis) == (line.kgco2e, "market")
    assert (one.line.quantity, one.line.unit, one.line_no) == (Decimal(100), "kWh", 1)
    assert (one.line.assignment.scope, one.line.primary_share) == (2, Decimal(1))
    assert one.activity_ref.startswith("market:plant@2024/heat/fuel:GB:2024")
    assert (one.line.occurred_from, one.line.occurred_to) == (
        datetime(YEAR, 1, 1, tzinfo=UTC),
        datetime(YEAR + 1, 1, 1, tzinfo=UTC),
    )


def test_lines_of_a_site_are_placed_where_its_first_entry_is() -> None:
    inventory = shipped(*SITES, MIX)
    moved = [
        german("1", local_date=date(YEAR, 5, 1), region="BY"),
        german("2", local_date=date(YEAR, 2, 1), region="BE"),
    ]
    found = market_of_year("acme", moved, YEAR, inventory, used_before={})
    assert {line.region for line in found.lines} == {"BE"}
    assert [line.line_no for line in sorted(found.lines, key=lambda one: one.line_no)] == [
        *range(1, len(found.lines) + 1)
    ]
