"""What was in force on a day, as known at a moment."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon_ledger.reference.expected import ControlTotal
from carbon_ledger.reference.records import Budget, Revenue, Site, SpendClass, SupplierItem
from carbon_ledger.reference.register import Register
from tests.support.reference_examples import (
    certificate,
    entity,
    meter,
    ownership,
    site,
    supplier,
    vehicle,
)

DAY = timedelta(days=1)
JANUARY, JULY = date(2024, 1, 1), date(2024, 7, 1)


def known(month: int) -> datetime:
    return datetime(2025, month, 1, tzinfo=UTC)


def test_nothing_is_registered_in_an_empty_register() -> None:
    empty = Register()
    assert empty.site("plant", JULY) is None
    assert empty.children_of("main", JULY) == ()
    assert empty.instruments("DE", JANUARY, JULY) == ()
    assert empty.spend_class("GL", "1", JULY) is None
    assert empty.owners_of("acme", JULY) == ()


def test_validity_is_half_open_to_the_day() -> None:
    register = Register(records=(site(valid_from=JANUARY, valid_to=JULY),))
    assert register.site("plant", JANUARY - DAY) is None
    assert register.site("plant", JANUARY) is not None
    assert register.site("plant", JULY - DAY) is not None
    assert register.site("plant", JULY) is None


def test_a_statement_ends_where_the_next_begins_and_says_so() -> None:
    register = Register(records=(site(name="new", valid_from=JULY), site(name="old")))
    before, after = register.site("plant", JULY - DAY), register.site("plant", JULY)
    assert before is not None
    assert after is not None
    assert (before.name, before.valid_to) == ("old", JULY)
    assert (after.name, after.valid_to) == ("new", None)


def test_the_end_of_a_later_statement_does_not_bring_the_earlier_one_back() -> None:
    register = Register(records=(site(), site(valid_from=JANUARY, valid_to=JULY)))
    assert register.site("plant", JULY) is None


def test_a_statement_that_ends_where_it_begins_never_held() -> None:
    register = Register(records=(site(name="held"), site(valid_from=JULY, valid_to=JULY)))
    found = register.site("plant", JULY + DAY)
    assert found is not None
    assert (found.name, found.valid_to) == ("held", None)


def test_a_later_recording_supersedes_and_the_earlier_one_is_still_known_then() -> None:
    first = site(name="first", recorded_at=known(2))
    second = site(name="second", recorded_at=known(4))
    ended = site(name="second", valid_to=JULY, recorded_at=known(6))
    register = Register(records=(second, ended, first))

    def name(month: int | None, on: date) -> str | None:
        found = register.site("plant", on, None if month is None else known(month))
        return None if found is None else found.name

    assert [name(month, JULY) for month in (1, 2, 3, 4, 5, 6, None)] == [
        *(None, "first", "first", "second", "second", None, None)
    ]
    assert name(None, JULY - DAY) == "second"
    assert [Register(records=register.records, known_at=known(3)).site("plant", JULY)] == [first]


def test_a_register_of_a_moment_knows_nothing_later_even_when_asked() -> None:
    records = (site(name="first", recorded_at=known(2)), site(name="late", recorded_at=known(8)))
    found = Register(records=records, known_at=known(3)).site("plant", JULY, known(9))
    assert found is not None
    assert found.name == "first"


def test_children_are_those_of_the_day() -> None:
    moved = meter("b", "other", valid_from=JULY)
    register = Register(
        records=(
            *(meter("main"), meter("other"), meter("b", "main"), moved),
            *(meter("a", "main"), meter("a1", "a"), meter("gone", "main", valid_to=JANUARY)),
        )
    )
    assert [one.meter_id for one in register.children_of("main", JANUARY)] == ["a", "b"]
    assert [one.meter_id for one in register.children_of("main", JULY)] == ["a"]
    assert [one.meter_id for one in register.children_of("other", JULY)] == ["b"]
    assert len(register.meters_of("plant", JULY)) == 5
    assert register.meters_of("elsewhere", JULY) == ()


def test_stakes_are_found_from_both_ends() -> None:
    register = Register(
        records=(
            *(entity("acme"), entity("jv", kind="joint_venture"), site(entity_id="jv")),
            ownership("jv", "acme", equity_share="1/3"),
            ownership("jv", "other", equity_share="1/3", valid_from=JULY),
        )
    )
    assert [one.equity_share for one in register.owners_of("jv", JANUARY)] == [Fraction(1, 3)]
    assert [one.parent_id for one in register.owners_of("jv", JULY)] == ["acme", "other"]
    assert [one.entity_id for one in register.holdings_of("acme", JULY)] == ["jv"]
    assert [one.entity_id for one in register.entities(JULY)] == ["acme", "jv"]
    assert [one.facility_id for one in register.sites_of("jv", JULY)] == ["plant"]


def test_instruments_are_those_of_the_place_whose_time_meets_the_period() -> None:
    own = certificate("own", facility_id="plant", market="DE", serial_no="B-1")
    register = Register(records=(certificate("c2"), certificate("c1"), own))
    assert [one.instrument_id for one in register.instruments("DE", JANUARY, JULY)] == ["c1", "c2"]
    assert register.instruments("plant", JANUARY, JULY) == (own,)
    assert register.instruments("DE", date(2025, 1, 1), date(2026, 1, 1)) == ()
    assert register.instruments("DE", date(2023, 1, 1), JANUARY) == ()
    assert len(register.instruments("DE", JANUARY - DAY, JANUARY + DAY)) == 2


def test_the_other_kinds_are_found_by_their_keys() -> None:
    period = {"valid_from": JANUARY, "valid_to": date(2025, 1, 1)}
    sales = Revenue(entity_id="acme", amount=5, currency="EUR", **period)  # type: ignore[arg-type]
    limit = Budget(
        entity_id="acme",
        facility_id="plant",
        budget_kgco2e=7,  # type: ignore[arg-type]
        measure="scope_1",
        **period,
    )
    routed = SpendClass(system="GL", code="6400", route="energy")
    mapped = SpendClass(system="UNSPSC", code="11101501", naics_code="212210")
    item = SupplierItem(supplier_id="s1", product_id="p", item_id="i")
    register = Register(records=(sales, limit, routed, mapped, item, supplier(), vehicle()))
    assert register.revenues("acme", JULY, JULY + DAY) == (sales,)
    assert register.revenues("acme", date(2025, 1, 1), date(2026, 1, 1)) == ()
    assert register.budgets("acme", "scope_1", JANUARY, JULY, "plant") == (limit,)
    assert register.budgets("acme", "scope_1", JANUARY, JULY) == ()
    assert register.spend_class("UNSPSC", "11101501", JULY) == "212210"
    assert register.spend_class("GL", "6400", JULY) is None
    assert register.spend_mapping("GL", "6400", JULY) == routed
    assert register.supplier_item("s1", "p", JULY) == item
    assert register.supplier("s1", JULY) == supplier()
    assert register.vehicle("v1", JULY) == vehicle()
    assert register.entity("acme", JULY) is None


def test_control_totals_are_of_the_period_in_which_they_begin() -> None:
    def invoice(control_id: str, month: int) -> ControlTotal:
        return ControlTotal(
            control_id=control_id,
            kind="invoice",
            stream="iot_energy",
            quantity=Decimal(1),
            unit="kWh",
            valid_from=date(2024, month, 1),
            valid_to=date(2024, month + 2, 1),
        )

    before, second, first = invoice("c", 6), invoice("b", 7), invoice("a", 8)
    register = Register(records=(before, second, first, invoice("d", 9)))
    assert register.control_totals(JULY, date(2024, 9, 1)) == (first, second)
    assert register.control_totals(JANUARY, JANUARY + DAY) == ()


DAYS = st.integers(0, 12).map(lambda number: JANUARY + number * DAY)


def plain_answer(records: list[Site], on: date, at: datetime) -> str | None:
    """The rule read aloud: newest version of each begin, latest begin not after the day."""
    versions: dict[date, Site] = {}
    for one in sorted(records, key=lambda one: one.recorded_at or at):
        if one.recorded_at is not None and one.recorded_at <= at:
            versions[one.valid_from] = one
    begun = [one for one in versions.values() if one.valid_from <= on]
    held = [one for one in begun if one.valid_to != one.valid_from]
    if not held:
        return None
    last = max(held, key=lambda one: one.valid_from)
    return None if last.valid_to is not None and last.valid_to <= on else last.name


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(DAYS, st.none() | st.integers(0, 6)), max_size=8),
    on=DAYS,
    at=st.integers(0, 9),
    seed=st.integers(0, 99),
)
def test_lookup_agrees_with_the_rule_read_aloud(
    rows: list[tuple[date, int | None]], on: date, at: int, seed: int
) -> None:
    records = [
        site(
            name=str(place),
            valid_from=begin,
            valid_to=None if length is None else begin + length * DAY,
            recorded_at=known(1) + place * DAY,
        )
        for place, (begin, length) in enumerate(rows)
    ]
    moment = known(1) + at * DAY
    expected = plain_answer(records, on, moment)
    random.Random(seed).shuffle(records)
    register = Register(records=tuple(records))
    found = register.site("plant", on, moment)
    assert (None if found is None else found.name) == expected
    then = replace(register, known_at=moment).site("plant", on)
    assert (None if then is None else then.name) == expected


def test_a_lookup_does_not_walk_through_the_history() -> None:
    """Counted in dates compared, not in time: 5,000 statements about one site."""

    class Counted(date):
        compared = 0

        def __lt__(self, other: date) -> bool:
            Counted.compared += 1
            return super().__lt__(other)

    begin = date(2005, 1, 1)
    records = [site(name=str(day), valid_from=begin + day * DAY) for day in range(5000)]
    register = Register(records=tuple(records))
    asked = begin + 3210 * DAY
    found = register.site("plant", Counted(asked.year, asked.month, asked.day))
    assert found is not None
    assert found.name == "3210"
    assert 0 < Counted.compared < 30


@pytest.mark.parametrize("bad", ["", "nobody"])
def test_what_is_not_registered_is_none(bad: str) -> None:
    register = Register(records=(site(), entity(), meter()))
    assert register.site(bad, JULY) is None
    assert register.entity(bad, JULY) is None
    assert register.meter(bad, JULY) is None


def test_each_lookup_finds_its_own_kind_and_no_other() -> None:
    """All of one name, so that only the kind tells them apart."""
    records = (
        *(site("x"), entity("x"), vehicle(vehicle_id="x"), supplier("x"), meter("x")),
        SupplierItem(supplier_id="x", product_id="x", item_id="i"),
        SpendClass(system="x", code="x", naics_code="331110"),
    )
    found = Register(records=records)
    none = Register()
    lookups: list[Callable[[Register], object]] = [
        lambda register: register.site("x", JULY),
        lambda register: register.entity("x", JULY),
        lambda register: register.vehicle("x", JULY),
        lambda register: register.supplier("x", JULY),
        lambda register: register.meter("x", JULY),
        lambda register: register.supplier_item("x", "x", JULY),
        lambda register: register.spend_mapping("x", "x", JULY),
    ]
    assert [one(found) for one in lookups] == list(records)
    assert [one(none) for one in lookups] == [None] * len(lookups)
    for number, left_out in enumerate(records):
        rest = Register(records=tuple(one for one in records if one is not left_out))
        assert lookups[number](rest) is None
