"""Factors, sites and writer schemas: stored once, never changed, read back as they were."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import psycopg
import pytest

from carbon_ledger.errors import BrokenInvariant, Unavailable
from carbon_ledger.factor_book.book import FactorQuery
from carbon_ledger.factor_book.index_rows import FX_EUR, IndexRow, sealed_index
from carbon_ledger.factor_book.rows import Factor, make_release, sealed
from carbon_ledger.policy import Policy
from carbon_ledger.reference.records import Site
from carbon_ledger.store.factors import (
    latest_release_id,
    list_releases,
    read_book,
    read_factors,
    read_release,
    store_release,
)
from carbon_ledger.store.reference import read_sites, register_sites
from carbon_ledger.store.schemas import known_schemas, remember_schema
from factor_seeds.load import release as shipped_release
from factor_seeds.load import shipped_book
from tests.support.factor_examples import activity_factor, activity_query
from tests.support.postgres import LedgerDatabase, scratch_database

pytestmark = pytest.mark.stack


@pytest.fixture
def database(stack) -> Iterator[LedgerDatabase]:  # type: ignore[no-untyped-def]
    with scratch_database(stack.layout.database_url) as found:
        yield found


def few_factors() -> list[Factor]:
    """The first rows of each family of the shipped seeds."""
    rows = shipped_release().rows
    return [
        *[row for row in rows if row.family == "grid"][:3],
        *[row for row in rows if row.family == "energy_source"][:3],
    ]


def test_the_shipped_release_comes_back_row_by_row_as_it_went_in(database: LedgerDatabase) -> None:
    release = shipped_release()
    with database.writer() as conn:
        assert store_release(conn, release) == len(release.rows)
        assert store_release(conn, release) == 0
        assert latest_release_id(conn) == release.release_id
        assert read_release(conn, release.release_id) == release
        (stored,) = list_releases(conn)
    assert (stored.factor_count, stored.sha256.hex()) == (len(release.rows), release.sha256)
    assert stored.index_count == len(release.index_rows) > 0


def test_the_stored_book_matches_as_the_shipped_one(database: LedgerDatabase) -> None:
    with database.writer() as conn:
        store_release(conn, shipped_release())
        book = read_book(conn, latest_release_id(conn))
    match = book.match(
        FactorQuery(energy_source="grid", country_iso2="DE", activity_date=date(2023, 5, 1))
    )
    assert match.release_id == shipped_book().release_id
    assert match.factor in shipped_book().rows
    query = activity_query("fuel", 2025, "US", "t", fuel="Wood and Wood Residuals")
    assert book.find(query, Policy()) == shipped_book().find(query, Policy())
    assert book.prices.fx("KRW", "GBP", 2023, Policy()) == shipped_book().prices.fx(
        "KRW", "GBP", 2023, Policy()
    )
    for gas in ("CH4_fossil", "R-404A", "R407F"):
        assert book.gwp.potential(gas, "AR5") == shipped_book().gwp.potential(gas, "AR5")
    on = date(2023, 5, 1)
    assert book.loss_rate("US", None, on, Policy()) == shipped_book().loss_rate(
        "US", None, on, Policy()
    )


def test_a_second_release_shares_the_rows_that_did_not_change(database: LedgerDatabase) -> None:
    rows = few_factors()
    newer = sealed(replace(rows[0], version=rows[0].version + 1, note="corrected"))
    with database.writer() as conn:
        assert store_release(conn, make_release("a", rows)) == len(rows)
        second = make_release("b", [newer, *rows[1:]])
        conn.commit()
        assert store_release(conn, second) == 1
        conn.commit()
        assert latest_release_id(conn) == second.release_id
        assert newer in read_factors(conn, second.release_id)
        assert rows[0] in read_factors(conn, make_release("a", rows).release_id)


def test_a_changed_row_under_the_same_version_is_refused_and_nothing_is_stored(
    database: LedgerDatabase,
) -> None:
    rows = few_factors()
    changed = sealed(replace(rows[0], kgco2e_per_unit=rows[0].kgco2e_per_unit + Decimal("1E-12")))
    with database.writer() as conn:
        store_release(conn, make_release("a", [*rows[1:], rows[0]]))
        with pytest.raises(BrokenInvariant) as caught:
            store_release(conn, make_release("b", [changed, *rows[1:]]))
        assert caught.value.code == "factor_changed"
        assert rows[0].factor_id in caught.value.message
        assert len(list_releases(conn)) == 1


@pytest.mark.parametrize("code", ["factor_hash", "release_changed"])
def test_a_release_that_does_not_follow_from_its_rows_is_refused(
    database: LedgerDatabase, code: str
) -> None:
    release = make_release("a", few_factors())
    if code == "factor_hash":
        spoiled = replace(release.rows[0], note="an edit without a new hash")
        release = replace(release, rows=(spoiled, *release.rows[1:]))
    else:
        release = replace(release, rows=release.rows[1:])
    with database.writer() as conn, pytest.raises(BrokenInvariant) as caught:
        store_release(conn, release)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("update factors.factor set kgco2e_per_unit = 0", "factor_hash"),
        ('update factors.factor set attributes = attributes || \'{"note": "x"}\'', "factor_hash"),
        (
            "delete from factors.release_factor "
            "where factor_id = (select min(factor_id) from factors.release_factor)",
            "release_changed",
        ),
    ],
)
def test_factors_altered_behind_our_back_are_not_used(
    database: LedgerDatabase, statement: str, code: str
) -> None:
    release = make_release("a", few_factors())
    with database.writer() as conn:
        store_release(conn, release)
    with database.admin() as conn:
        for table in ("factors.factor", "factors.release_factor"):
            conn.execute(f"alter table {table} disable trigger refuse_change")
        conn.execute(statement)
    with database.reader() as conn, pytest.raises(BrokenInvariant) as caught:
        read_book(conn, release.release_id)
    assert caught.value.code == code


def test_without_factors_the_way_out_is_named(database: LedgerDatabase) -> None:
    with database.reader() as conn:
        with pytest.raises(Unavailable) as caught:
            latest_release_id(conn)
        assert "carbon factors load" in caught.value.message
        with pytest.raises(Unavailable) as caught:
            read_book(conn, "2026.1-000000000000")
        assert caught.value.code == "unknown_release"


def few_indices() -> list[IndexRow]:
    """The first exchange rates of the shipped seeds."""
    return [row for row in shipped_release().index_rows if row.series == FX_EUR][:3]


def use(conn: psycopg.Connection, release_id: str) -> None:  # type: ignore[type-arg]
    """Open a book, and ask it for a fuel and for prices."""
    book = read_book(conn, release_id)
    book.find(activity_query(fuel="Peat"), Policy())
    _ = book.prices


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("update factors.factor set kgco2e_per_unit = 0 where family = 'fuel'", "factor_hash"),
        (
            'update factors.factor set attributes = attributes || \'{"stage": "wtt"}\' '
            "where family = 'fuel'",
            "factor_hash",
        ),
        ("update factors.index_row set value = 2 * value", "index_hash"),
        (
            "delete from factors.release_index "
            "where index_id = (select min(index_id) from factors.release_index)",
            "release_changed",
        ),
    ],
)
def test_what_was_altered_behind_our_back_is_found_before_it_is_used(
    database: LedgerDatabase, statement: str, code: str
) -> None:
    release = make_release("a", [*few_factors(), activity_factor()], few_indices())
    with database.writer() as conn:
        store_release(conn, release)
    with database.admin() as conn:
        for name in ("factor", "index_row", "release_index"):
            conn.execute(f"alter table factors.{name} disable trigger refuse_change")
        conn.execute(statement)
    with database.reader() as conn:
        with pytest.raises(BrokenInvariant) as caught:
            read_release(conn, release.release_id)
        assert caught.value.code == code
        with pytest.raises(BrokenInvariant) as caught:
            use(conn, release.release_id)
    assert caught.value.code == code


def test_a_changed_index_row_under_the_same_version_is_refused_and_nothing_is_stored(
    database: LedgerDatabase,
) -> None:
    rows = few_indices()
    changed = sealed_index(replace(rows[0], value=rows[0].value + 1))
    with database.writer() as conn:
        store_release(conn, make_release("a", few_factors(), rows))
        with pytest.raises(BrokenInvariant) as caught:
            store_release(conn, make_release("b", few_factors(), [changed, *rows[1:]]))
        assert caught.value.code == "index_changed"
        assert rows[0].index_id in caught.value.message
        assert len(list_releases(conn)) == 1


@pytest.mark.parametrize("table", ["index_row", "release_index"])
def test_index_rows_are_only_ever_added_to(database: LedgerDatabase, table: str) -> None:
    with database.writer() as conn:
        store_release(conn, make_release("a", few_factors(), few_indices()))
    with database.admin() as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(f"delete from factors.{table}")


def site(**changes: object) -> Site:
    """A steel plant in Korea, but for `changes`."""
    plain = {
        "facility_id": "steel-1",
        "organization_id": "acme",
        "country_iso2": "KR",
        "time_zone": "Asia/Seoul",
        "region": None,
        "name": "steel",
    }
    return Site(**{**plain, **changes})  # type: ignore[arg-type]


def test_only_new_or_changed_sites_are_recorded_and_the_last_statement_holds(
    database: LedgerDatabase,
) -> None:
    first, other = site(), site(facility_id="mill-2", country_iso2="DE", time_zone="Europe/Berlin")
    renamed = site(name="steel works")
    with database.writer() as conn:
        assert register_sites(conn, [first, other]) == 2
        assert register_sites(conn, [first, other]) == 0
        assert register_sites(conn, [renamed, other]) == 1
        assert read_sites(conn) == {"steel-1": renamed, "mill-2": other}
        assert register_sites(conn, [first]) == 1
        assert read_sites(conn)["steel-1"] == first
        kept = conn.execute(
            "select name from reference.site where facility_id = 'steel-1' order by recorded_at"
        ).fetchall()
    assert kept == [("steel",), ("steel works",), ("steel",)]


def test_a_site_is_what_it_was_on_the_day_asked_for(database: LedgerDatabase) -> None:
    sold = date(2025, 7, 1)
    before, after = site(), site(organization_id="other", valid_from=sold)
    with database.writer() as conn:
        register_sites(conn, [after, before])
        assert read_sites(conn, sold - timedelta(days=1)) == {"steel-1": before}
        assert read_sites(conn, sold) == {"steel-1": after}


def test_a_site_of_tomorrow_is_not_in_force_today(database: LedgerDatabase) -> None:
    with database.writer() as conn:
        register_sites(conn, [site(valid_from=date(2999, 1, 1))])
        assert read_sites(conn) == {}


def test_a_schema_is_kept_once_with_the_hash_of_its_text(database: LedgerDatabase) -> None:
    with database.writer() as conn:
        sha256 = remember_schema(conn, "raw.iot.energy-value", 1, '{"type": "string"}')
        assert remember_schema(conn, "raw.iot.energy-value", 1, '{"type": "string"}') == sha256
        (known,) = known_schemas(conn)
    assert (known.schema_id, known.schema_sha256) == (1, sha256)
    assert known.schema_text == '{"type": "string"}'


def test_an_id_that_a_new_registry_gave_to_another_text_hides_neither(
    database: LedgerDatabase,
) -> None:
    with database.writer() as conn:
        remember_schema(conn, "s", 1, '"string"')
        conn.commit()
        remember_schema(conn, "s", 1, '"bytes"')
        conn.commit()
        known = known_schemas(conn)
    assert [one.schema_text for one in known] == ['"string"', '"bytes"']
    assert {one.schema_id: one.schema_text for one in known} == {1: '"bytes"'}
