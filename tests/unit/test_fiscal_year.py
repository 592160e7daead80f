"""Fiscal years that begin in any month: their days, their names, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon_ledger.energy.period_postings import MeteredSum, Periods, market_of_year
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.organisation.fiscal_year import (
    fiscal_period,
    fiscal_year_of,
    parts_of_calendar_year,
    parts_of_period,
    quarters_of,
)
from carbon_ledger.organisation.period_close import check_step, following, period_of
from carbon_ledger.organisation.report_calendar import due_between, months_of, next_due
from carbon_ledger.reference.calendars import ReportSchedule
from carbon_ledger.reference.checks import faults_of
from carbon_ledger.reference.fields import Record
from carbon_ledger.reference.files import Stated
from carbon_ledger.reference.records import Disclosure
from carbon_ledger.reference.register import Register
from carbon_ledger.reporting.cdp_answers import Answers
from carbon_ledger.reporting.cdp_profile import CDP_PROFILE, cdp_profile
from carbon_ledger.store.report_statements import base_year_of, statements_of
from carbon_ledger.store.year_changes import moved_years
from tests.support.meter_examples import shipped
from tests.support.reference_examples import certificate, entity, residual_mix, site
from tests.support.report_examples import inputs
from tests.unit.test_period_postings import german, posted

APRIL = 4
MONTHS = st.integers(1, 12)
DAYS = st.dates(date(2001, 1, 1), date(2098, 12, 31))


@pytest.mark.parametrize(
    ("year", "first_month", "begin", "end"),
    [
        (2025, 1, date(2025, 1, 1), date(2026, 1, 1)),
        (2026, 4, date(2025, 4, 1), date(2026, 4, 1)),
        (2026, 2, date(2025, 2, 1), date(2026, 2, 1)),
        (2026, 12, date(2025, 12, 1), date(2026, 12, 1)),
    ],
)
def test_a_fiscal_year_is_named_for_the_calendar_year_in_which_it_ends(
    year: int, first_month: int, begin: date, end: date
) -> None:
    assert fiscal_period(year, first_month) == (begin, end)
    assert (end - timedelta(days=1)).year == year


@given(DAYS, MONTHS)
def test_a_day_is_in_the_year_that_it_is_said_to_be_in_and_years_follow_each_other(
    day: date, first_month: int
) -> None:
    year = fiscal_year_of(day, first_month)
    begin, end = fiscal_period(year, first_month)
    assert begin <= day < end
    assert fiscal_period(year + 1, first_month)[0] == end


@given(st.integers(2001, 2098), MONTHS)
def test_quarters_and_parts_are_the_whole_without_gap_or_overlap(
    year: int, first_month: int
) -> None:
    whole = fiscal_period(year, first_month)
    for parts, (begin, end) in (
        (quarters_of(year, first_month), whole),
        (parts_of_period(*whole), whole),
        (parts_of_calendar_year(year, first_month), (date(year, 1, 1), date(year + 1, 1, 1))),
    ):
        assert (parts[0][0], parts[-1][1]) == (begin, end)
        assert all(one[1] == other[0] for one, other in pairwise(parts))
    assert all(
        begin.year == (end - timedelta(days=1)).year for begin, end in parts_of_period(*whole)
    )
    assert all(
        fiscal_year_of(begin, first_month) == fiscal_year_of(end - timedelta(days=1), first_month)
        for begin, end in parts_of_calendar_year(year, first_month)
    )


# ---- what an organization states


def moment(day: int) -> datetime:
    return datetime(2026, 1, day, tzinfo=UTC)


def test_the_parent_s_month_is_the_organization_s_and_that_of_others_is_not() -> None:
    register = Register(
        records=(
            entity("holding", fiscal_year_first_month="4"),
            entity("plant", kind="subsidiary", fiscal_year_first_month="7"),
            entity("other", organization_id="other"),
        )
    )
    assert register.first_month("acme") == APRIL
    assert register.first_month("other") == register.first_month("nobody") == 1
    assert register.first_months == (1, APRIL)
    assert register.fiscal_period("acme", 2026) == (date(2025, 4, 1), date(2026, 4, 1))
    assert register.fiscal_year_of("acme", date(2026, 4, 1)) == 2027
    assert register.fiscal_year_of("other", date(2026, 4, 1)) == 2026


def test_a_month_that_is_put_right_leaves_what_was_known_before() -> None:
    register = Register(
        records=(
            entity(recorded_at=moment(1)),
            entity(fiscal_year_first_month="4", recorded_at=moment(3)),
        )
    )
    assert register.first_month("acme") == APRIL
    assert Register(records=register.records, known_at=moment(2)).first_month("acme") == 1
    assert register.as_known_at(moment(2)).first_month("acme") == 1
    assert register.first_months_ever("acme") == (1, APRIL)


def faults(*records: Record, stored: Sequence[Record] = ()) -> list[tuple[str, str | None]]:
    found = faults_of(
        [Stated(record=one, file="f", row=n) for n, one in enumerate(records)], stored
    )
    return [(one.code, one.value) for one in found]


def test_a_month_that_changes_from_a_day_on_is_refused_and_one_for_all_days_is_not() -> None:
    stored = [entity(recorded_at=moment(1))]
    later = entity(valid_from="2026-04-01", fiscal_year_first_month="4")
    assert faults(later, stored=stored) == [("fiscal_year_changes", "4")]
    assert faults(entity(fiscal_year_first_month="4"), stored=stored) == []
    assert faults(entity(fiscal_year_first_month="4"), later, stored=stored) == []
    assert faults(entity(fiscal_year_first_month="1"), stored=stored) == []
    two = (entity("one", fiscal_year_first_month="4"), entity("two", fiscal_year_first_month="7"))
    assert faults(*two) == [("fiscal_year_changes", "7")]
    with pytest.raises(RejectedRecord) as caught:
        entity(fiscal_year_first_month="13")
    assert (caught.value.code, caught.value.field) == ("not_a_month", "fiscal_year_first_month")


def test_only_organizations_whose_month_moves_are_told() -> None:
    stored = [entity(recorded_at=moment(2)), entity("b", organization_id="b")]
    new = Stated(record=entity(fiscal_year_first_month="4"))
    assert moved_years(stored, [new]) == {"acme": (1, APRIL)}
    assert moved_years(stored, [Stated(record=entity(fiscal_year_first_month="1"))]) == {}
    sub = Stated(record=entity("sub", kind="subsidiary", fiscal_year_first_month="4"))
    assert moved_years(stored, [sub]) == {}


def disclosure(subject: str, begin: str, end: str, **given: str) -> Disclosure:
    plain = {"organization_id": "acme", "source": "plan", "valid_from": begin, "valid_to": end}
    return Disclosure(**{**plain, "subject": subject, **given})


def test_a_change_against_the_year_before_is_of_the_organization_s_own_year() -> None:
    april = entity(fiscal_year_first_month="4")
    own = disclosure("emissions_change", "2025-04-01", "2026-04-01", item="output", value="-5")
    calendar = disclosure("emissions_change", "2025-01-01", "2026-01-01", item="output", value="-5")
    assert faults(april, own) == []
    assert faults(april, calendar) == [("not_a_year", "2025-01-01")]
    assert faults(entity(), own) == [("not_a_year", "2025-04-01")]
    with pytest.raises(RejectedRecord) as caught:
        disclosure("emissions_change", "2025-04-02", "2026-04-02", item="output", value="-5")
    assert caught.value.code == "not_a_year"


def test_statements_are_of_the_year_that_begins_in_their_period_and_amounts_pro_rata() -> None:
    register = Register(
        records=(
            entity(fiscal_year_first_month="4"),
            disclosure("base_year", "2025-04-01", "2026-04-01", item="2021"),
            # 90 of 365 days are of the year to March 2026, the others of the next.
            disclosure("removal_own", "2026-01-01", "2027-01-01", item="forest", value="365"),
        )
    )
    assert base_year_of(register, "acme", 2026) == 2021
    assert base_year_of(register, "acme", 2025) is base_year_of(register, "acme", 2027) is None
    found = {
        (one.subject, one.fiscal_year): one.value
        for one in statements_of(register, "acme", {2026, 2027})
    }
    assert found["removal_own", 2026] == 90
    assert found["removal_own", 2027] == 275


# ---- periods and schedules


def test_what_follows_a_year_and_the_year_of_a_month_are_the_organization_s() -> None:
    year = period_of("2026", APRIL)
    assert (year.first_date, year.end_date) == (date(2025, 4, 1), date(2026, 4, 1))
    assert following(year, APRIL) == period_of("2027", APRIL)
    with pytest.raises(RejectedRecord) as caught:
        check_step(period_of("2025-05", APRIL), "closed", "reported", APRIL)
    assert caught.value.valid == "2026"


def schedule(name: str, **given: object) -> ReportSchedule:
    return ReportSchedule(
        **{"organization_id": "acme", "schedule": name, "time_zone": "UTC", **given}
    )


def test_quarters_and_years_are_due_after_those_of_the_fiscal_year() -> None:
    stated = [
        schedule("quarterly_pre_close", working_day=1, weekend="none"),
        schedule("annual_csrd", due_day="06-30", weekend="none"),
        schedule("annual_cdp", due_day="03-15", weekend="none"),
        schedule("monthly_accrual", working_day=1, weekend="none"),
    ]
    begin, end = datetime(2025, 4, 1, tzinfo=UTC), datetime(2027, 4, 1, tzinfo=UTC)
    found = {(one.schedule, one.period): one for one in due_between(stated, [], begin, end, APRIL)}
    quarter = found["quarterly_pre_close", "2026-Q1"]
    assert (quarter.first_date, quarter.end_date) == (date(2025, 4, 1), date(2025, 7, 1))
    assert (quarter.fiscal_year, quarter.due_at) == (2026, datetime(2025, 7, 1, 6, tzinfo=UTC))
    assert found["quarterly_pre_close", "2026-Q4"].end_date == date(2026, 4, 1)
    csrd = found["annual_csrd", "2026"]
    assert (csrd.first_date, csrd.end_date) == (date(2025, 4, 1), date(2026, 4, 1))
    assert csrd.due_at == datetime(2026, 6, 30, 6, tzinfo=UTC)
    # A day of the year that comes before the end is that of the next calendar year.
    assert found["annual_cdp", "2026"].due_at == datetime(2027, 3, 15, 6, tzinfo=UTC)
    assert found["monthly_accrual", "2025-04"].fiscal_year == 2026
    assert found["monthly_accrual", "2026-03"].fiscal_year == 2026
    assert found["monthly_accrual", "2026-04"].fiscal_year == 2027
    assert months_of("2026-Q4", APRIL) == ["2026-01", "2026-02", "2026-03"]
    coming = next_due(stated, [], datetime(2026, 3, 20, tzinfo=UTC), APRIL)
    assert {name: one.period for name, one in coming.items()} == {
        "quarterly_pre_close": "2026-Q4",
        "annual_csrd": "2026",
        "annual_cdp": "2026",
        "monthly_accrual": "2026-03",
    }


@given(MONTHS, st.integers(0, 700), st.integers(0, 200), st.integers(0, 200))
def test_nothing_is_due_twice_or_left_out_whatever_the_month(
    first_month: int, start: int, first: int, second: int
) -> None:
    stated = [
        schedule("quarterly_pre_close", working_day=-2),
        schedule("annual_csrd", due_day="04-15"),
        schedule("monthly_accrual", working_day=5),
    ]
    begin = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=start)
    middle = begin + timedelta(days=first)
    end = middle + timedelta(days=second)
    parts = [
        *due_between(stated, [], begin, middle, first_month),
        *due_between(stated, [], middle, end, first_month),
    ]
    assert parts == due_between(stated, [], begin, end, first_month)


# ---- scope 2, market-based


def in_month(kwh: str, month: int) -> MeteredSum:
    return german(kwh, local_date=date(2024, month, 10))


SUMS = (in_month("100", 2), in_month("300", 5), in_month("500", 11))
GERMAN = (site("north"), residual_mix("0.7"))


def market(*records: Record) -> Periods:
    return market_of_year("acme", SUMS, 2024, shipped(*GERMAN, *records), used_before={})


def test_a_calendar_year_is_matched_by_its_parts_in_two_fiscal_years() -> None:
    found = market(entity(fiscal_year_first_month="4"))
    assert posted(found) == {
        "north@2024-01/residual_mix": (Decimal(100), Decimal(70)),
        "north@2024-04/residual_mix": (Decimal(800), Decimal(560)),
    }
    spans = [(one.local_date, one.line.occurred_from, one.line.occurred_to) for one in found.lines]
    assert spans == [
        (date(2024, 1, 1), _utc(2024, 1), _utc(2024, 4)),
        (date(2024, 4, 1), _utc(2024, 4), _utc(2025, 1)),
    ]
    assert '"begin":"2024-04-01"' in found.lines[1].basis_text
    whole = market()
    assert posted(whole) == {"north@2024/residual_mix": (Decimal(900), Decimal(630))}
    assert '"begin"' not in whole.lines[0].basis_text
    january = market(entity(fiscal_year_first_month="1"))
    assert january.lines == whole.lines


def _utc(year: int, month: int) -> datetime:
    return datetime(year, month, 1, tzinfo=UTC)


def test_a_certificate_is_used_once_and_by_the_earlier_part_first() -> None:
    own = certificate("c1", volume_kwh="150")
    found = posted(market(entity(fiscal_year_first_month="4"), own))
    assert found == {
        "north@2024-01/c1": (Decimal(100), Decimal(0)),
        "north@2024-04/c1": (Decimal(50), Decimal(0)),
        "north@2024-04/residual_mix": (Decimal(750), Decimal(525)),
    }


def test_a_refusal_in_one_part_holds_the_whole_year() -> None:
    records = (
        entity(fiscal_year_first_month="4"),
        certificate("late", volume_kwh="1", valid_from="2024-04-01"),
    )
    inventory = shipped(*GERMAN, *records)
    found = market_of_year("acme", SUMS, 2024, inventory, used_before={"late": Decimal(5)})
    assert found.lines == ()
    assert [(one.facility_id, one.code) for one in found.not_posted] == [
        ("", "certificate_overused")
    ]


# ---- reports


def test_the_base_year_of_cdp_ends_with_the_month_of_the_reporting_year() -> None:
    given = inputs(fiscal_year=2026, period_begin=date(2025, 4, 1), period_end=date(2026, 4, 1))
    answers = Answers(inputs=given, profile=cdp_profile(CDP_PROFILE))
    assert answers.last_day(2026) == date(2026, 3, 31)
    assert answers.last_day(2020) == date(2020, 3, 31)
