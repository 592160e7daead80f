"""How good the ledger's figures are, against scores and shares worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from click.testing import CliRunner

from carbon_ledger.data_quality import Scores, roll_up
from carbon_ledger.entries import EntryRow, reversal_of, sealed
from carbon_ledger.errors import ConfigurationError
from carbon_ledger.store.quality import quality
from carbon_ledger.store.rows import begin_writing, ensure_month, post_entries
from cli.main import group
from tests.support.entry_examples import of_version_1
from tests.support.postgres import Connection, LedgerDatabase, reading, scratch_database

pytestmark = pytest.mark.stack


def spend(number: int, kgco2e: str, **changes: object) -> EntryRow:
    """A purchase by its price."""
    given: dict[str, object] = {
        "scope": 3,
        "category": 1,
        "basis": "eeio_purchaser",
        "method": "spend_based",
        "stream": "procurement",
        "kgco2e": Decimal(kgco2e),
        "primary_share": Decimal(0),
        "activity_scores": "4,3,3,2,4",
        "factor_scores": "4,4,4,4,4",
    }
    return reading(number, **{**given, **changes})


def footprint(number: int, kgco2e: str, share: str) -> EntryRow:
    """A supplier's own figure, so much of it from primary data."""
    return spend(
        number,
        kgco2e,
        basis="supplier",
        method="supplier_specific",
        primary_share=Decimal(share),
        activity_scores="1,1,1,1,1",
        factor_scores=None,
    )


def readings() -> list[EntryRow]:
    """Two sites' power, spend with a credit, a footprint, and what was written before scores."""
    return [
        reading(0, kgco2e=Decimal(30)),
        reading(1, kgco2e=Decimal(10), activity_scores="1,1,1,2,3", country_iso2="FR"),
        spend(2, "100"),
        spend(3, "-20"),
        spend(4, "40", basis="supplier", method="hybrid", primary_share=Decimal("0.250")),
        footprint(5, "60", "0.9"),
    ]


def post(conn: Connection, rows: list[EntryRow]) -> None:
    for row in rows:
        ensure_month(conn, row.activity_month)
    with conn.transaction():
        recorded_at = begin_writing(conn)
        stamped = [sealed(replace(row, recorded_at=recorded_at)) for row in rows]
        post_entries(conn, stamped, recorded_at=recorded_at, kind="period")


@pytest.fixture(scope="module")
def database(stack) -> Iterator[LedgerDatabase]:  # type: ignore[no-untyped-def]
    with scratch_database(stack.layout.database_url) as found:
        with found.writer() as conn:
            post(conn, readings())
            taken_back = reading(9, kgco2e=Decimal(1000), activity_scores="4,4,4,4,4")
            post(conn, [taken_back])
        with found.writer() as conn:
            recorded_at = begin_writing(conn)
            posted = replace(taken_back, recorded_at=recorded_at)
            back = reversal_of(posted, recorded_at=recorded_at, cause="wrong meter")
            post_entries(conn, [back], recorded_at=recorded_at, kind="correction")
        yield found


def test_scores_are_weighed_by_kilograms_and_credits_weigh_as_charges(
    database: LedgerDatabase,
) -> None:
    with database.reader() as conn:
        found = {(row.scope, row.basis): row for row in quality(conn)}
    power, bought = found[(2, "location")], found[(3, "eeio_purchaser")]
    assert power.activity is not None
    assert power.activity.mean == (
        1,
        1,
        1,
        Fraction(30 + 2 * 10, 40),
        Fraction(2 * 30 + 3 * 10, 40),
    )
    assert power.activity.overall == Fraction(130, 100)
    assert power.activity.worst == Scores(1, 1, 1, 2, 3)
    assert (power.primary, power.supplier_sourced, power.primary_known) == (1, 0, 1)
    assert (bought.kgco2e, bought.entries) == (80, 2)
    assert bought.factor is not None
    assert bought.factor.overall == 4


def test_a_share_of_primary_data_is_weighed_and_a_supplier_s_figure_counts_whole(
    database: LedgerDatabase,
) -> None:
    with database.reader() as conn:
        (row,) = [row for row in quality(conn) if row.basis == "supplier"]
    assert row.primary == Fraction(40 * 25 + 60 * 90, 100 * 100)
    assert row.supplier_sourced == 1
    assert row.factor is not None
    assert row.factor.scored_share == Fraction(40, 100)


def test_the_grouped_answer_is_that_of_the_lines_one_by_one(database: LedgerDatabase) -> None:
    lines = [row for row in readings() if (row.scope, row.basis) == (2, "location")]
    expected = roll_up((row.kgco2e, Scores.of_text(row.activity_scores or "")) for row in lines)
    with database.reader() as conn:
        (row,) = [row for row in quality(conn) if row.basis == "location"]
    assert row.activity == expected


def test_what_was_taken_back_counts_no_longer_but_did_then(database: LedgerDatabase) -> None:
    with database.reader() as conn:
        before = conn.execute(
            "select max(recorded_at) - interval '1 microsecond' from ledger.reversal"
        ).fetchone()
        assert before is not None
        now = {row.key: row.entries for row in quality(conn, by="country") if row.scope == 2}
        (then,) = [row for row in quality(conn, as_of=before[0]) if row.scope == 2]
    assert now == {"DE": 1, "FR": 1}
    assert (then.entries, then.kgco2e) == (3, 1040)
    assert then.activity is not None
    assert then.activity.worst.technology == 4


def test_a_year_a_method_and_an_organization_are_kept_to(database: LedgerDatabase) -> None:
    with database.reader() as conn:
        assert quality(conn, year=2023) == []
        assert len(quality(conn, year=2024)) == 3
        assert {row.key for row in quality(conn, by="method")} == {
            *("measured", "spend_based", "hybrid", "supplier_specific"),
        }
        assert quality(conn, organization="nobody") == []


@pytest.mark.parametrize(
    ("by", "year", "code"), [("x", None, "unknown_grouping"), ("total", 7, "year")]
)
def test_an_unknown_question_is_refused(
    database: LedgerDatabase, by: str, year: int | None, code: str
) -> None:
    with database.reader() as conn, pytest.raises(ConfigurationError) as caught:
        quality(conn, by=by, year=year)
    assert caught.value.code == code


def test_entries_of_before_the_scores_are_said_to_be_unknown_not_bad(stack) -> None:  # type: ignore[no-untyped-def]
    with scratch_database(stack.layout.database_url) as database:
        with database.admin() as conn:
            constraint = "entry_preimage_is_the_present_one"
            conn.execute(f"alter table ledger.entry drop constraint {constraint}")
        with database.writer() as conn:
            old = of_version_1(reading(0, kgco2e=Decimal(30)))
            ensure_month(conn, old.activity_month)
            recorded_at = begin_writing(conn)
            rows = [
                sealed(replace(row, recorded_at=recorded_at))
                for row in (old, reading(1, kgco2e=Decimal(10)))
            ]
            post_entries(conn, rows, recorded_at=recorded_at, kind="period")
        with database.reader() as conn:
            (row,) = quality(conn)
    assert row.primary == 1
    assert row.primary_known == Fraction(1, 4)
    assert row.activity is not None
    assert row.activity.scored_share == Fraction(1, 4)
    assert row.activity.worst == Scores(1, 1, 1, 1, 2)


def test_entries_of_nothing_weigh_the_same_each(stack) -> None:  # type: ignore[no-untyped-def]
    nothing = Decimal(0)
    rows = [reading(n, kgco2e=nothing) for n in range(3)]
    rows.append(reading(3, kgco2e=nothing, activity_scores="1,1,1,1,4", primary_share=Decimal(0)))
    with scratch_database(stack.layout.database_url) as database:
        with database.writer() as conn:
            post(conn, rows)
        with database.reader() as conn:
            (row,) = quality(conn)
    assert row.activity is not None
    assert row.activity.mean[4] == Fraction(3 * 2 + 4, 4)
    assert row.primary == Fraction(3, 4)


def test_the_command_shows_scores_and_shares(
    database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARBON_DATABASE_READER_URL", database.reader_url)
    shown = CliRunner().invoke(group, ["ledger", "quality", "--year", "2024"]).output
    lines = {line.split()[1]: line for line in shown.splitlines()[1:4]}
    assert "1.30 (1 1 1 2 3)" in lines["location"]
    assert lines["supplier"].split()[-4:] == ["64.00", "%", "100.00", "%"]
    assert "worst technology, time" in shown
    answer = CliRunner().invoke(group, ["ledger", "quality", "--by", "method", "--json"]).output
    rows = {row["key"]: row for row in json.loads(answer)["rows"]}
    assert rows["measured"]["activity_data"]["mean"]["reliability"] == "2.250000000000"
    assert rows["supplier_specific"]["emission_factors"] is None
    assert rows["supplier_specific"]["primary_share"] == "0.900000000000"
    assert "no entries" in CliRunner().invoke(group, ["ledger", "quality", "--year", "2000"]).output
