"""What goes into ledger.entry comes out with the same bytes, and PostgreSQL itself agrees."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from carbon_ledger.entries import CANONICAL, COLUMNS, content_sha256
from carbon_ledger.store.checks import altered_entries
from carbon_ledger.store.rows import ensure_month, find_entry, insert_entries
from tests.support.entry_examples import examples
from tests.support.postgres import LedgerDatabase, reading, scratch_database

pytestmark = pytest.mark.stack

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


def test_the_table_has_the_entry_s_columns_in_the_entry_s_order(database: LedgerDatabase) -> None:
    with database.reader() as conn:
        found = conn.execute(
            "select attname from pg_attribute where attrelid = 'ledger.entry'::regclass "
            "and attnum > 0 and not attisdropped order by attnum"
        ).fetchall()
    assert tuple(name for (name,) in found) == COLUMNS


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
            f"sha256('carbon-entry/1'::bytea || '\\x1f'::bytea || {fields}) from ledger.entry"
        ).fetchall()
    assert len(rows) == len(examples())
    assert [row for row in rows if row[1] != row[2]] == []


def test_an_altered_entry_is_found_by_its_hash(database: LedgerDatabase) -> None:
    row = reading(0)
    with database.reader() as conn:
        assert altered_entries(conn, row.activity_month) == []
    with database.admin() as conn, conn.transaction(force_rollback=True):
        # Only the owner, and only with the guard off, can get this far.
        conn.execute("alter table ledger.entry disable trigger refuse_change")
        conn.execute("update ledger.entry set kgco2e = 0 where entry_id = %s", (row.entry_id,))
        assert [one.entry_id for one in altered_entries(conn, row.activity_month)] == [row.entry_id]
