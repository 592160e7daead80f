"""What goes into ledger.entry comes out with the same bytes, and PostgreSQL itself agrees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from carbon_ledger.entries import (
    CANONICAL,
    COLUMNS,
    QUALITY_COLUMNS,
    content_sha256,
    reversal_of,
    sealed,
)
from carbon_ledger.store.checks import altered_entries
from carbon_ledger.store.rows import ensure_month, find_entry, insert_entries
from tests.support.entry_examples import examples, of_version_1
from tests.support.postgres import LedgerDatabase, reading, scratch_database

pytestmark = pytest.mark.stack

PRESENT = "entry_preimage_is_the_present_one"
# The rule of carbon_ledger/entries.py once more, in SQL, sharing no code with it.
SPELLINGS = {
    "text": "{c}",
    "integer": "{c}::text",
    "numeric": "{c}::text",
    "posted": "{c}::text",
    "timestamp": "(extract(epoch from {c}) * 1000000)::bigint::text",
    "date": "to_char({c}, 'YYYY-MM-DD')",
    "uuid": "{c}::text",
    "bytes": "encode({c}, 'hex')",
    "json": "(select '{{' || string_agg(to_json(k)::text || ':' || to_json(v)::text, ',' "
    """order by k collate "C") || '}}' from jsonb_each_text({c}) as x (k, v))""",
}


@pytest.fixture(scope="module")
def database(stack) -> Iterator[LedgerDatabase]:  # type: ignore[no-untyped-def]
    with scratch_database(stack.layout.database_url) as found:
        with found.writer() as conn:
            for row in examples().values():
                ensure_month(conn, row.activity_month)
            conn.execute("select ledger.begin_writing()")
            insert_entries(conn, examples().values())
        yield found


def test_the_table_has_just_the_entry_s_columns(database: LedgerDatabase) -> None:
    with database.reader() as conn:
        found = conn.execute(
            "select attname from pg_attribute where attrelid = 'ledger.entry'::regclass "
            "and attnum > 0 and not attisdropped"
        ).fetchall()
    assert sorted(name for (name,) in found) == sorted(COLUMNS)


@pytest.mark.parametrize("name", list(examples()))
def test_an_entry_read_back_has_the_hash_it_went_in_with(
    database: LedgerDatabase, name: str
) -> None:
    written = examples()[name]
    with database.reader() as conn:
        found = find_entry(conn, written.activity_month, written.entry_id)
    assert found is not None
    assert content_sha256(found) == written.content_sha256 == found.content_sha256
    assert found == written


def test_postgresql_computes_the_same_hash_from_its_own_texts(database: LedgerDatabase) -> None:
    fields = " || '\\x1f'::bytea || ".join(
        "coalesce(convert_to(" + SPELLINGS[kind].format(c=column) + ", 'UTF8'), '\\x00'::bytea)"
        for column, kind in CANONICAL
    )
    with database.reader() as conn:
        rows = conn.execute(
            f"select entry_id, content_sha256, "
            f"sha256('carbon-entry/2'::bytea || '\\x1f'::bytea || {fields}) from ledger.entry"
        ).fetchall()
    assert len(rows) == len(examples())
    assert [row for row in rows if row[1] != row[2]] == []


def test_an_entry_of_version_1_verifies_beside_those_of_version_2(stack) -> None:  # type: ignore[no-untyped-def]
    old = of_version_1(reading(77))
    back = reversal_of(old, recorded_at=old.recorded_at, cause="wrong meter")
    later = reading(78)
    with scratch_database(stack.layout.database_url) as database:
        with database.writer() as conn:
            ensure_month(conn, old.activity_month)
        with database.admin() as conn:
            # As it was before the columns were there, when nothing refused such a row.
            conn.execute(f"alter table ledger.entry drop constraint {PRESENT}")
        with database.writer() as conn:
            insert_entries(conn, [old, back, later])
        with database.reader() as conn:
            for row in (old, back, later):
                assert find_entry(conn, row.activity_month, row.entry_id) == row
            assert altered_entries(conn, old.activity_month) == []
        with database.admin() as conn:
            conn.execute("alter table ledger.entry disable trigger refuse_change")
            conn.execute(
                "alter table ledger.entry drop constraint entry_preimage_1_says_no_quality"
            )
            conn.execute("update ledger.entry set primary_share = 0 where preimage = 1")
        with database.reader() as conn:
            altered = altered_entries(conn, old.activity_month)
    assert [one.entry_id for one in altered] == [old.entry_id]


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"preimage": 1}, "entry_preimage_1_says_no_quality"),
        ({"preimage": 1, **dict.fromkeys(QUALITY_COLUMNS)}, PRESENT),
        ({"preimage": 3}, "entry_preimage_is_known"),
        ({"primary_share": Decimal("1.000001")}, "entry_primary_share_is_a_share"),
        ({"primary_share": Decimal("-0.1")}, "entry_primary_share_is_a_share"),
        ({"supersession_rank": 7}, "entry_supersession_rank_is_known"),
        ({"activity_scores": "1,1,1,1"}, "entry_activity_scores_are_five"),
        ({"factor_scores": "1,1,1,1,5"}, "entry_factor_scores_are_five"),
    ],
)
def test_the_table_refuses_what_is_no_quality(
    database: LedgerDatabase, changes: dict[str, Any], constraint: str
) -> None:
    row = replace(reading(78), **changes)
    with (
        database.writer() as conn,
        pytest.raises(psycopg.errors.CheckViolation) as caught,
    ):
        insert_entries(conn, [row])
    assert caught.value.diag.constraint_name == constraint


@pytest.mark.parametrize("column", QUALITY_COLUMNS)
def test_a_reversal_takes_back_an_entry_as_good_as_it_was(
    database: LedgerDatabase, column: str
) -> None:
    row = reading(0)
    back = reversal_of(row, recorded_at=row.recorded_at, cause="why")
    wrong: dict[str, Any] = {"supersession_rank": 5, "primary_share": Decimal("0.5")}
    other = wrong.get(column, "2,2,2,2,2")
    with database.writer() as conn, pytest.raises(psycopg.errors.CheckViolation) as caught:
        insert_entries(conn, [sealed(replace(back, **{column: other}))])
    assert caught.value.diag.constraint_name == "reversal_is_the_negative"


def test_an_altered_entry_is_found_by_its_hash(database: LedgerDatabase) -> None:
    row = reading(0)
    with database.reader() as conn:
        assert altered_entries(conn, row.activity_month) == []
    with database.admin() as conn, conn.transaction(force_rollback=True):
        # Only the owner, and only with the guard off, can get this far.
        conn.execute("alter table ledger.entry disable trigger refuse_change")
        for change in ("kgco2e = 0", "primary_share = 0", "method = null", "rule_id = 'S2'"):
            with conn.transaction(force_rollback=True):
                conn.execute(
                    f"update ledger.entry set {change} where entry_id = %s", (row.entry_id,)
                )
                altered = altered_entries(conn, row.activity_month)
            assert [one.entry_id for one in altered] == [row.entry_id], change
