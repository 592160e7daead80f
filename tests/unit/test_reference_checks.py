"""What must hold between records, and what a file would change; each rule with its breach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbon_ledger.reference.changes import compare
from carbon_ledger.reference.checks import faults_of
from carbon_ledger.reference.fields import Record
from carbon_ledger.reference.files import Stated
from carbon_ledger.reference.records import SupplierItem
from tests.support.reference_examples import (
    certificate,
    entity,
    meter,
    ownership,
    site,
    supplier,
    vehicle,
)

JANUARY, JULY, NEXT = date(2024, 1, 1), date(2024, 7, 1), date(2025, 1, 1)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def stated(*records: Record) -> list[Stated]:
    return [Stated(record=one, file="f.yaml", row=row) for row, one in enumerate(records, 1)]


def codes(records: Sequence[Record], stored: Sequence[Record] = ()) -> list[tuple[int | None, str]]:
    return [(one.row, one.code) for one in faults_of(stated(*records), stored)]


GROUP = (entity("acme"), entity("child", kind="subsidiary"), ownership("child"))

RIGHT = [
    (GROUP, "a parent and its subsidiary"),
    ((*GROUP, site(entity_id="child"), meter(), meter("sub", "main")), "a meter tree at a site"),
    ((site(), meter(), meter("roof", "main", carrier="solar")), "a generator behind the meter"),
    (
        (site(), site("annex"), meter(), meter("s", "main", facility_id="annex")),
        "one entity's sites",
    ),
    (
        (
            *(entity(), entity("jv", kind="joint_venture")),
            ownership("jv", equity_share="1/2", financial_control=False, valid_to=JULY),
            ownership("jv", equity_share="1", valid_from=JULY),
        ),
        "a stake that grew",
    ),
    ((site(valid_to=JULY), site(valid_from=JULY)), "one statement after another"),
    ((site(), certificate(), certificate("c2", serial_no="A-2")), "two certificates"),
    ((site(market="AIB"), certificate(market="AIB")), "a certificate of the site's market"),
    ((site(), meter(), meter(valid_to="2000-01-01", valid_from="2000-01-01")), "a withdrawal"),
    ((entity("x", kind="franchise"), entity("y", kind="unconsolidated")), "nobody's entities"),
]


@pytest.mark.parametrize(("records", "what"), RIGHT, ids=[what for _, what in RIGHT])
def test_nothing_is_found_wrong_with(records: tuple[Record, ...], what: str) -> None:
    last: dict[tuple[object, ...], Record] = {
        (one.KIND, one.key, one.valid_from): one for one in records
    }
    assert codes(list(last.values())) == []


WRONG = [
    ((site(), site(name="b")), [(2, "stated_twice")]),
    ((site(valid_to=NEXT), site(valid_from=JULY)), [(1, "overlapping_validity")]),
    ((site(entity_id="nobody"),), [(1, "unknown_reference")]),
    ((meter(),), [(1, "unknown_reference")]),
    ((site(), meter("s", "m")), [(2, "unknown_reference")]),
    ((vehicle(entity_id="e", facility_id="f"),), [(1, "unknown_reference")] * 2),
    ((supplier(entity_id="e"),), [(1, "unknown_reference")]),
    (
        (SupplierItem(supplier_id="s", product_id="p", item_id="i"),),
        [(1, "unknown_reference")],
    ),
    ((certificate(facility_id="plant"),), [(1, "unknown_reference")]),
    ((ownership("child"),), [(1, "unknown_reference")] * 2),
    ((entity(valid_from=JULY), site(entity_id="acme")), [(2, "reference_not_in_force")]),
    ((entity(valid_to=JULY), site(entity_id="acme")), [(2, "reference_not_in_force")]),
    (
        (entity(valid_to=JANUARY), entity(valid_from=JULY), site(entity_id="acme")),
        [(3, "reference_not_in_force")],
    ),
    ((entity("child", kind="subsidiary"),), [(1, "owner_missing")]),
    (
        (entity(), entity("child", kind="associate"), ownership("child", valid_from=JULY)),
        [(2, "owner_missing")],
    ),
    (
        (
            *(entity("a"), entity("b"), entity("c")),
            ownership("a", "b", equity_share="0.1"),
            ownership("b", "c", equity_share="0.1"),
            ownership("c", "a", equity_share="0.1"),
        ),
        [(4, "entity_cycle")],
    ),
    (
        (
            *(site(), meter("a", "b"), meter("b", "c"), meter("c", "a")),
            *(meter("free", "a"),),
        ),
        [(2, "meter_cycle")],
    ),
    (
        # Only from July on: until then a is below main.
        (site(), meter(), meter("a", "main"), meter("a", "b", valid_from=JULY), meter("b", "a")),
        [(4, "meter_cycle")],
    ),
    (
        (
            *(entity("acme"), entity("other"), entity("jv", kind="joint_venture")),
            ownership("jv", "acme", equity_share="2/3", operational_control=False),
            ownership("jv", "other", equity_share="1/3", financial_control=False),
            ownership("jv", "acme", equity_share="3/4", operational_control=False, valid_from=JULY),
        ),
        [(6, "shares_over_one")],
    ),
    (
        (
            *(entity("acme"), entity("other"), entity("jv", kind="joint_venture")),
            ownership("jv", "acme", equity_share="1/2", operational_control=False),
            ownership("jv", "other", equity_share="1/2", operational_control=False),
        ),
        [(4, "controlled_twice"), (5, "controlled_twice")],
    ),
    (
        (
            *(entity("acme"), entity("tenant")),
            *(site(entity_id="acme"), site("shop", entity_id="tenant")),
            *(meter(), meter("s", "main", facility_id="shop")),
        ),
        [(6, "meter_of_another_entity")],
    ),
    (
        # The shop was ours until July.
        (
            *(entity("acme"), entity("tenant"), site(entity_id="acme")),
            site("shop", entity_id="acme"),
            site("shop", entity_id="tenant", valid_from=JULY),
            *(meter(), meter("s", "main", facility_id="shop")),
        ),
        [(7, "meter_of_another_entity")],
    ),
    ((site(), meter(), meter("g", "main", carrier="gas")), [(3, "carrier_differs_from_parent")]),
    ((site(), certificate(), certificate("c2")), [(3, "serial_used_twice")]),
    (
        (
            *(site(), certificate(serial_no="A-001", serial_no_to="A-100")),
            certificate("c2", serial_no="A-050"),
            certificate("c3", serial_no="A-101", serial_no_to="A-200"),
            certificate("c4", serial_no="B-050"),
            certificate("c5", serial_no="A-0050"),
            certificate("c6", serial_no="A-090", serial_no_to="A-120"),
        ),
        # c3 follows c6, which reaches into its numbers.
        [(3, "serial_used_twice"), (4, "serial_used_twice"), (7, "serial_used_twice")],
    ),
    ((site(), certificate(market="FR")), [(2, "unknown_market")]),
]


@pytest.mark.parametrize(("records", "expected"), WRONG)
def test_what_is_wrong_between_records_is_found_where_it_is(
    records: tuple[Record, ...], expected: list[tuple[int, str]]
) -> None:
    assert codes(records) == expected
    assert all(one.valid and one.message and one.field for one in faults_of(stated(*records)))


def test_what_is_stored_counts_with_the_file() -> None:
    assert codes([site(entity_id="acme")], [entity()]) == []
    assert codes([site("new")], [site(entity_id="acme"), entity()]) == []
    # A fault there was before is not this file's.
    assert codes([site("new")], [site(entity_id="nobody")]) == []
    # Ending an entity whose site goes on is.
    (fault,) = faults_of(stated(entity(valid_to=JULY)), [entity(), site(entity_id="acme")])
    assert (fault.file, fault.row, fault.code) == ("(stored)", None, "reference_not_in_force")


def test_a_restatement_takes_the_place_of_what_is_stored() -> None:
    stored = [replace(site(valid_to=NEXT), recorded_at=NOW), replace(entity(), recorded_at=NOW)]
    assert codes([site(valid_from=JULY)], stored) == [(None, "overlapping_validity")]
    assert codes([site(valid_from=JULY), site(valid_to=JULY)], stored) == []


def test_a_withdrawn_statement_is_no_reference() -> None:
    withdrawn = entity(valid_to=entity().valid_from)
    assert codes([withdrawn, site(entity_id="acme")]) == [(2, "unknown_reference")]


@settings(max_examples=40, deadline=None)
@given(parents=st.lists(st.none() | st.integers(0, 7), min_size=1, max_size=8))
def test_a_circle_is_found_exactly_where_there_is_one(parents: list[int | None]) -> None:
    """Against walking up from every meter as often as there are meters."""
    tree = {
        place: parent % len(parents)
        for place, parent in enumerate(parents)
        if parent is not None and parent % len(parents) != place
    }
    on_circle = False
    for start in range(len(parents)):
        place: int | None = start
        for _ in parents:
            place = None if place is None else tree.get(place)
            on_circle |= place == start
    records = [
        meter(f"m{place}", f"m{tree[place]}" if place in tree else None)
        for place in range(len(parents))
    ]
    found = {code for _, code in codes([site(), *records])}
    assert found == ({"meter_cycle"} if on_circle else set())


def test_a_comparison_tells_added_superseded_ended_and_what_stays() -> None:
    stored = [
        *(site("a", name="old"), site("a", name="kept"), site("b"), site("c", valid_to=NEXT)),
        *(site("d"), site("e", valid_to=JULY)),
    ]
    stored = [replace(one, recorded_at=NOW) for one in stored]
    found = compare(
        stored,
        stated(
            *(site("a", name="kept"), site("b", valid_to=JULY), site("c", valid_to=JULY)),
            *(site("d", name="renamed", valid_to=JULY), site("new", valid_to=NEXT)),
        ),
    )
    assert [str(one) for one in found.changes] == [
        "ended site b from 2000-01-01 (valid_to: none -> 2024-07-01)",
        "ended site c from 2000-01-01 (valid_to: 2025-01-01 -> 2024-07-01)",
        "superseded site d from 2000-01-01 (valid_to: none -> 2024-07-01; name: none -> renamed)",
        "added site new from 2000-01-01 to 2025-01-01",
    ]
    assert (found.unchanged, found.absent) == (1, 1)
    assert (found.count("added"), found.count("superseded"), found.count("ended")) == (1, 1, 2)


def test_a_later_end_is_no_ending() -> None:
    (change,) = compare([site(valid_to=JULY)], stated(site(valid_to=NEXT))).changes
    assert change.action == "superseded"
    (change,) = compare([site(valid_to=JULY)], stated(site())).changes
    assert change.action == "superseded"


def test_equal_numbers_are_no_change_however_they_are_written() -> None:
    stored = [ownership("child", equity_share="1/2"), site(area_m2="10")]
    assert compare(
        stored, stated(ownership("child", equity_share="50 %"), site(area_m2="10.0"))
    ) == (compare(stored, stated(*stored)))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 30), st.integers(0, 20)), max_size=8)
)
def test_a_serial_number_of_another_certificate_is_found_wherever_there_is_one(
    rows: list[tuple[int, int, int]],
) -> None:
    """Statement by statement in the order of their numbers, against every one before."""
    statements = [
        certificate(
            f"c{name}",
            serial_no=f"A-{first:03}",
            serial_no_to=f"A-{first + more:03}",
            valid_from=date(2024, 1, 1 + number),
        )
        for number, (name, first, more) in enumerate(rows)
    ]
    order = sorted(range(len(rows)), key=lambda row: (rows[row][1], rows[row][1] + rows[row][2]))
    twice = {
        row
        for place, row in enumerate(order)
        for earlier in order[:place]
        if rows[earlier][0] != rows[row][0] and rows[earlier][1] + rows[earlier][2] >= rows[row][1]
    }
    found = [row for row, code in codes([site(), *statements]) if code == "serial_used_twice"]
    assert sorted(found, key=lambda row: row or 0) == [row + 2 for row in sorted(twice)]


def test_a_certificate_stated_anew_does_not_hide_what_another_one_claimed() -> None:
    records = (
        certificate("a", serial_no="A-001", serial_no_to="A-100"),
        certificate("b", serial_no="A-040", serial_no_to="A-060"),
        certificate("a", serial_no="A-050", serial_no_to="A-055", valid_from="2024-06-01"),
    )
    found = [row for row, code in codes([site(), *records]) if code == "serial_used_twice"]
    assert sorted(found, key=lambda row: row or 0) == [3, 4]
