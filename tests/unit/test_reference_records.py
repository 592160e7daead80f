"""What a reference record refuses, and what it makes of what it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.reference.calendars import Holiday, ReportSchedule
from carbon_ledger.reference.expected import ControlTotal, ExpectedSource
from carbon_ledger.reference.fields import Record, build, checks_of, yes_no
from carbon_ledger.reference.files import KINDS
from carbon_ledger.reference.instruments import CRITERIA, Instrument
from carbon_ledger.reference.records import Budget, Disclosure, Revenue, SpendClass, SupplierItem
from tests.support.reference_examples import (
    certificate,
    entity,
    meter,
    ownership,
    site,
    supplier,
    vehicle,
)


def revenue(**changes: Any) -> Revenue:
    plain = {
        "amount": "1e6",
        "currency": "EUR",
        "valid_from": "2024-01-01",
        "valid_to": "2025-01-01",
    }
    return Revenue(**{"entity_id": "acme", **plain, **changes})


def budget(**changes: Any) -> Budget:
    plain = {"budget_kgco2e": "5000", "measure": "scope_1", "valid_to": "2025-01-01"}
    return Budget(**{"entity_id": "acme", **plain, **changes})


def disclosure(**changes: Any) -> Disclosure:
    plain = {"subject": "target_pct", "item": "2030", "value": "42", "source": "transition plan"}
    return Disclosure(**{"organization_id": "acme", "valid_to": "2026-01-01", **plain, **changes})


def report_schedule(**changes: Any) -> ReportSchedule:
    plain = {"schedule": "monthly_accrual", "time_zone": "Europe/Berlin", "working_day": "5"}
    return ReportSchedule(**{"organization_id": "acme", **plain, **changes})


def holiday(**changes: Any) -> Holiday:
    plain = {"name": "May Day", "valid_from": "2025-05-01", "valid_to": "2025-05-02"}
    return Holiday(**{"organization_id": "acme", **plain, **changes})


def spend_class(**changes: Any) -> SpendClass:
    return SpendClass(**{"system": "GL", "code": "6400", "naics_code": "221122", **changes})


def item(**changes: Any) -> SupplierItem:
    return SupplierItem(**{"supplier_id": "s1", "product_id": "p", "item_id": "i", **changes})


MAKERS: dict[str, Callable[..., Record]] = {
    "entity": lambda **changes: entity(**changes),
    "ownership": lambda **changes: ownership(**{"entity_id": "child", **changes}),
    "site": site,
    "meter": meter,
    "vehicle": vehicle,
    "supplier": supplier,
    "supplier_item": item,
    "instrument": certificate,
    "revenue": revenue,
    "budget": budget,
    "disclosure": disclosure,
    "report_schedule": report_schedule,
    "holiday": holiday,
    "spend_class": spend_class,
    "expected_source": lambda **changes: ExpectedSource(
        **{"stream": "supplier", "source_id": "s1", "every": "month", **changes}
    ),
    "control_total": lambda **changes: ControlTotal(
        **{
            **{"control_id": "INV-1", "kind": "invoice", "stream": "iot_energy"},
            **{"quantity": "1", "unit": "kWh", "valid_to": "2025-01-01", **changes},
        }
    ),
}


def test_there_is_an_example_of_every_kind() -> None:
    assert MAKERS.keys() == KINDS.keys()
    assert all(isinstance(make(), KINDS[kind]) for kind, make in MAKERS.items())


def test_every_field_is_checked_but_the_moment_of_recording() -> None:
    for kind in KINDS.values():
        unchecked = {one.name for one in fields(kind)} - checks_of(kind).keys()
        assert unchecked == {"recorded_at"}
        assert set(kind.KEY) <= checks_of(kind).keys()


REFUSED = [
    ("entity", {"entity_id": "a b"}, "invalid_identifier", "entity_id"),
    ("entity", {"kind": "daughter"}, "unknown_choice", "kind"),
    ("entity", {"country_iso2": "UK"}, "unknown_country", "country_iso2"),
    ("entity", {"fiscal_year_first_month": "13"}, "not_a_month", "fiscal_year_first_month"),
    ("entity", {"in_value_chain": "maybe"}, "not_yes_or_no", "in_value_chain"),
    ("entity", {"name": "two\nlines"}, "bad_text", "name"),
    ("entity", {"valid_from": "01.02.2024"}, "not_a_date", "valid_from"),
    ("entity", {"valid_to": "1999-12-31"}, "ends_before_it_begins", "valid_to"),
    ("ownership", {"equity_share": "1.01"}, "share_out_of_range", "equity_share"),
    ("ownership", {"equity_share": "-1/3"}, "share_out_of_range", "equity_share"),
    ("ownership", {"equity_share": "1/0"}, "not_a_share", "equity_share"),
    ("ownership", {"equity_share": "half"}, "not_a_share", "equity_share"),
    ("ownership", {"equity_share": "nan"}, "not_a_share", "equity_share"),
    ("ownership", {"parent_id": "child"}, "own_parent", "parent_id"),
    ("site", {"time_zone": "Mars/Base"}, "unknown_time_zone", "time_zone"),
    ("site", {"time_zone": ""}, "unknown_time_zone", "time_zone"),
    ("site", {"region": "FR-75"}, "region_country_mismatch", "region"),
    ("site", {"fiscal_year_first_month": "0099"}, "not_a_month", "fiscal_year_first_month"),
    ("site", {"lease_role": "lessee"}, "lease_incomplete", "lease_type"),
    ("site", {"lease_type": "finance"}, "lease_incomplete", "lease_role"),
    ("site", {"area_m2": "0"}, "not_positive", "area_m2"),
    ("site", {"area_m2": "12,5"}, "not_a_number", "area_m2"),
    ("site", {"area_m2": "20", "building_area_m2": "10"}, "area_over_building", "area_m2"),
    ("meter", {"kind": "sub"}, "parent_and_kind_differ", "parent_id"),
    ("meter", {"parent_id": "other", "kind": "main"}, "parent_and_kind_differ", "parent_id"),
    ("meter", {"parent_id": "main", "kind": "virtual"}, "own_parent", "parent_id"),
    ("meter", {"unit": "furlong"}, "unknown_unit", "unit"),
    ("meter", {"unit": "m3"}, "unit_not_of_carrier", "unit"),
    ("meter", {"unit": "kWh_gross"}, "unit_not_of_carrier", "unit"),
    ("meter", {"register_size": "1000000"}, "register_of_interval_meter", "register_size"),
    ("meter", {"heating_value": "net"}, "heating_value_incomplete", "heating_value"),
    (
        "meter",
        {"heating_value": "net", "calorific_value_kwh_per_unit": "11"},
        "heating_value_of_no_gas",
        "heating_value",
    ),
    ("vehicle", {"ownership": "leased"}, "lease_incomplete", "lease_type"),
    ("vehicle", {"lease_type": "finance"}, "lease_incomplete", "lease_type"),
    ("vehicle", {"vehicle_class": " "}, "missing_value", "vehicle_class"),
    ("vehicle", {"payload_kg": "inf"}, "not_finite", "payload_kg"),
    (
        "vehicle",
        {"l_per_100km_min": "9", "l_per_100km_max": "8"},
        "band_upside_down",
        "l_per_100km_max",
    ),
    ("supplier", {"country_iso2": "EU"}, "unknown_country", "country_iso2"),
    ("supplier_item", {"unit": "bag"}, "unknown_unit", "unit"),
    ("supplier_item", {"units_per_product": "-1"}, "not_positive", "units_per_product"),
    ("instrument", {"market": None}, "place_missing", "market"),
    ("instrument", {"kind": "offset"}, "unknown_choice", "kind"),
    ("instrument", {"volume_kwh": None}, "missing_value", "volume_kwh"),
    ("instrument", {"serial_no": ""}, "missing_value", "serial_no"),
    ("instrument", {"serial_no_to": "B-9"}, "serials_are_no_range", "serial_no_to"),
    (
        "instrument",
        {"serial_no": "A-2", "serial_no_to": "A-1"},
        "serials_are_no_range",
        "serial_no_to",
    ),
    ("instrument", {"vintage_to": None}, "vintage_incomplete", "vintage_to"),
    ("instrument", {"vintage_to": "2024-01-01"}, "ends_before_it_begins", "vintage_to"),
    ("instrument", {"vintage_from": "soon"}, "not_a_moment", "vintage_from"),
    (
        "instrument",
        {"vintage_from": "0001-01-01T00:00:00+14:00"},
        "not_a_moment",
        "vintage_from",
    ),
    ("instrument", {"granularity": "hour"}, "vintage_wider_than_granularity", "vintage_to"),
    ("instrument", {"retirement": "none"}, "retired_without_evidence", "retirement"),
    ("instrument", {"retired_on": None}, "retired_without_evidence", "retired_on"),
    ("instrument", {"retirement_evidence": ""}, "retired_without_evidence", "retirement_evidence"),
    (
        "instrument",
        {"emission_rate_kgco2e_per_kwh": "-0.1"},
        "negative_quantity",
        "emission_rate_kgco2e_per_kwh",
    ),
    ("revenue", {"valid_to": None}, "period_without_end", "valid_to"),
    ("revenue", {"currency": "Euro"}, "unknown_currency", "currency"),
    ("budget", {"measure": "scope_3_category_16"}, "unknown_choice", "measure"),
    ("budget", {"budget_kgco2e": "-1"}, "negative_quantity", "budget_kgco2e"),
    ("budget", {"valid_to": None}, "period_without_end", "valid_to"),
    ("disclosure", {"valid_to": None}, "period_without_end", "valid_to"),
    ("disclosure", {"subject": "weather"}, "unknown_choice", "subject"),
    ("disclosure", {"value": None}, "missing_value", "value"),
    ("disclosure", {"source": ""}, "missing_value", "source"),
    ("disclosure", {"subject": "explanation"}, "unknown_value", "value"),
    ("disclosure", {"subject": "explanation", "value": None}, "missing_value", "text"),
    ("disclosure", {"subject": "base_year", "value": None, "item": "20"}, "not_a_year", "item"),
    ("disclosure", {"item": "near term"}, "not_a_year", "item"),
    (
        "disclosure",
        {"subject": "category_excluded", "value": None, "text": "small", "item": "16"},
        "unknown_choice",
        "item",
    ),
    ("report_schedule", {"schedule": "weekly"}, "unknown_choice", "schedule"),
    ("report_schedule", {"time_zone": "Berlin"}, "unknown_time_zone", "time_zone"),
    ("report_schedule", {"due_time": "6:00"}, "not_a_time", "due_time"),
    ("report_schedule", {"due_time": "24:00"}, "not_a_time", "due_time"),
    ("report_schedule", {"working_day": "0"}, "not_a_working_day", "working_day"),
    ("report_schedule", {"working_day": "21"}, "not_a_working_day", "working_day"),
    ("report_schedule", {"working_day": None}, "missing_value", "working_day"),
    ("report_schedule", {"due_day": "02-15"}, "unknown_value", "due_day"),
    ("report_schedule", {"weekend": "mon"}, "unknown_choice", "weekend"),
    (
        "report_schedule",
        {"schedule": "annual_csrd", "working_day": None},
        "missing_value",
        "due_day",
    ),
    (
        "report_schedule",
        {"schedule": "annual_csrd", "working_day": None, "due_day": "02-29"},
        "not_a_day_of_the_year",
        "due_day",
    ),
    ("holiday", {"valid_to": None}, "period_without_end", "valid_to"),
    ("holiday", {"name": ""}, "missing_value", "name"),
    ("spend_class", {"naics_code": None}, "missing_value", "naics_code"),
    ("spend_class", {"naics_code": "22112A"}, "not_a_naics_code", "naics_code"),
    ("spend_class", {"route": "elsewhere"}, "unknown_choice", "route"),
]


@pytest.mark.parametrize(("kind", "changes", "code", "field"), REFUSED)
def test_a_record_refuses_with_code_and_field(
    kind: str, changes: dict[str, Any], code: str, field: str
) -> None:
    with pytest.raises(RejectedRecord) as refused:
        MAKERS[kind](**changes)
    assert (refused.value.code, refused.value.field) == (code, field)
    assert refused.value.valid


@pytest.mark.parametrize(
    ("written", "share"),
    [
        ("1/3", Fraction(1, 3)),
        ("0.6225", Fraction(249, 400)),
        ("62.25 %", Fraction(249, 400)),
        ("0", Fraction(0)),
        (Decimal("0.5"), Fraction(1, 2)),
        (Fraction(2, 7), Fraction(2, 7)),
    ],
)
def test_a_share_is_exact_however_it_is_written(written: object, share: Fraction) -> None:
    assert ownership("child", equity_share=written).equity_share == share


def test_text_becomes_what_the_field_means() -> None:
    found = certificate(vintage_from="2024-01-01T00:00:00+01:00", conveys_emission_rate="no")
    assert found.vintage_from == datetime(2023, 12, 31, 23, tzinfo=UTC)
    assert found.valid_from == date(2024, 1, 1)
    assert found.volume_kwh == Decimal(1000)
    assert found.conveys_emission_rate is False


def test_the_moment_of_recording_is_no_part_of_a_statement() -> None:
    assert site(recorded_at=datetime(2024, 1, 1, tzinfo=UTC)) == site()
    with pytest.raises(FrozenInstanceError):
        site().name = "other"  # type: ignore[misc]


def test_all_that_is_wrong_with_a_record_is_found_at_once() -> None:
    record, faults = build(
        KINDS["site"], {"facility_id": "a b", "country_iso2": "XX", "colour": "blue", "region": ""}
    )
    assert record is None
    assert [(fault.code, fault.field) for fault in faults] == [
        ("unknown_field", "colour"),
        ("invalid_identifier", "facility_id"),
        ("missing_value", "organization_id"),
        ("unknown_country", "country_iso2"),
        ("missing_value", "time_zone"),
    ]
    _, faults = build(
        KINDS["site"],
        {
            **{"facility_id": "a", "organization_id": "o", "country_iso2": "DE"},
            **{"time_zone": "UTC", "region": "FR-75", "lease_role": "lessee"},
        },
    )
    assert [fault.code for fault in faults] == ["region_country_mismatch", "lease_incomplete"]


def test_each_failed_criterion_makes_a_certificate_void() -> None:
    """Scope 2 Guidance, table 7.1: all that apply are needed."""
    assert certificate().failed_criteria == ()
    for name in CRITERIA:
        changes = {name: False}
        if name == "is_tracked_and_retired":
            changes["retirement"] = "none"
        assert certificate(**changes).failed_criteria == (name,)


@pytest.mark.parametrize(
    ("kind", "asked", "rank"),
    [
        ("certificate_bundled", (), 1),
        ("certificate_unbundled", (), 1),
        ("ppa", ("passes_all_claims",), 2),
        ("supplier_rate", ("is_net_of_sold_certificates",), 3),
    ],
)
def test_a_criterion_that_is_asked_of_a_kind_must_be_stated(
    kind: str, asked: tuple[str, ...], rank: int
) -> None:
    found = certificate(kind=kind)
    assert (found.failed_criteria, found.rank) == (asked, rank)


def test_no_criterion_is_asked_of_a_residual_mix() -> None:
    found: Instrument = certificate(kind="residual_mix", is_only_claim=False)
    assert (found.failed_criteria, found.rank) == ((), 4)


def test_a_key_is_made_of_fields_and_tells_every_two_kinds_apart() -> None:
    for kind in KINDS.values():
        assert kind.KEY
        assert set(kind.KEY) <= {field.name for field in fields(kind)}, kind.KIND
    assert len({kind.KIND for kind in KINDS.values()}) == len(KINDS)


@pytest.mark.parametrize("name", ["stream", "source_id", "facility_id"])
def test_expected_sources_of_two_streams_or_sites_are_two(name: str) -> None:
    plain = {"stream": "iot_energy", "source_id": "M1", "facility_id": "plant", "every": "day"}
    other = {"stream": "transport", "source_id": "M2", "facility_id": "depot"}[name]
    assert ExpectedSource(**plain).key != ExpectedSource(**{**plain, name: other}).key


@pytest.mark.parametrize(
    ("word", "truth"),
    [
        *(("yes", True), ("true", True), ("1", True), (" YES ", True), (1, True), (True, True)),
        *(("no", False), ("false", False), ("0", False), ("No", False), (0, False), (False, False)),
    ],
)
def test_a_truth_is_written_in_one_of_three_ways(word: object, truth: bool) -> None:
    assert yes_no("field", word) is truth
    for neither in ("", "maybe", "y", None, f"{word}!"):
        with pytest.raises(RejectedRecord) as refused:
            yes_no("field", neither)
        assert (refused.value.code, refused.value.field) == ("not_yes_or_no", "field")


@pytest.mark.parametrize("written", ["5", 5])
def test_a_whole_number_is_the_number_it_is_written_as(written: object) -> None:
    plain = {"stream": "iot_energy", "source_id": "M1", "every": "day"}
    assert ExpectedSource(**plain, grace_days=written).grace_days == 5  # type: ignore[arg-type]
    for wrong in ("five", "5.5", True, None, "-1"):
        with pytest.raises(RejectedRecord) as refused:
            ExpectedSource(**plain, grace_days=wrong)  # type: ignore[arg-type]
        assert refused.value.field == "grace_days"
