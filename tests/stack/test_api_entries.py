"""Entries by HTTP: page by page, one, whole exports, and every change once."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pyarrow.parquet as pq
import pytest

from api.routes.entries import ChangesOut, EntryOut, EntryPageOut
from carbon_ledger.entries import EntryRow, sealed
from carbon_ledger.notes import Signer
from carbon_ledger.quantities import canonical_text
from carbon_ledger.settings import Settings
from carbon_ledger.store.connect import query
from carbon_ledger.store.correct import post_correction
from carbon_ledger.store.entry_pages import NAMES
from carbon_ledger.store.rows import begin_writing, ensure_month, insert_identity, post_entries
from carbon_ledger.store.seals import seal_pending
from devstack.postgres import Postgres
from tests.support.api_server import make_key
from tests.support.entry_examples import examples
from tests.support.postgres import Connection, LedgerDatabase, reading, scratch_database
from tests.support.reading_ledger import bought, post, reading_api
from tests.support.sealed_ledger import ORIGIN, new_signer

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
MARCH = date(2025, 3, 31)
# The examples of every shape are readings before it.
FIRST = 300
# More suppliers than a cursor has characters for, each with the longest id there is.
MANY = ("SUP_042_DE", *(f"SUP-{number:0124}" for number in range(200)))
NASTY = '=1+2,"quoted" back\\\\slash \\N é'


@dataclass(kw_only=True)
class World:
    """A ledger of two organizations and entries of every shape."""

    url: str
    settings: Settings
    database: LedgerDatabase
    signer: Signer
    headers: dict[str, dict[str, str]]

    def get(self, path: str, key: str = "reporter", **query: Any) -> httpx.Response:
        return httpx.get(self.url + path, params=query, headers=self.headers[key], timeout=60)

    def pages(self, key: str = "reporter", **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            answer = self.get("/v1/entries", key, **query, **cursor)
            assert answer.status_code == 200, answer.text
            EntryPageOut.model_validate_json(answer.content)
            page = answer.json()
            found += page["entries"]
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}

    def all_changes(self, key: str, after: int = 0, limit: int = 5000) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            answer = self.get("/v1/changes", key, after=after, limit=limit)
            assert answer.status_code == 200, answer.text
            ChangesOut.model_validate_json(answer.content)
            page = answer.json()
            found += page["changes"]
            after = page["next_after"]
            if after == page["sealed"]:
                return found

    def seal(self) -> None:
        with closing(self.database.sealer()) as conn:
            seal_pending(conn, self.signer, ORIGIN)


def shapes() -> list[EntryRow]:
    """Entries of every shape there is, each an event of its own."""
    return [row for row in examples().values() if not row.is_reversal]


@pytest.fixture(scope="module")
def world(ledger_server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home: Path = tmp_path_factory.mktemp("entries")
    with scratch_database(ledger_server.layout.database_url, with_factors=True) as database:
        with closing(database.writer(autocommit=True)) as conn:
            rows = [
                *[reading(number) for number in range(FIRST, FIRST + 25)],
                *[bought(100 + number, MARCH, f"{number}.5") for number in range(10)],
                bought(200, MARCH, "7", supplier="SUP_043_FR", activity_type=NASTY),
                bought(201, MARCH, "9", organization_id="acme"),
            ]
            post(conn, rows)
            post(conn, shapes())
            for row in rows[:2]:
                post_correction(
                    conn,
                    activity_month=row.activity_month,
                    entry_id=row.entry_id,
                    replacement=replace(row, quantity=Decimal("9.25"), kgco2e=Decimal("3.1")),
                    cause="a test",
                )
        with reading_api(database, home) as (url, settings):
            every = ("ledger:read", "ledger:export")
            keys = {
                "reporter": make_key(settings, scopes=every, supplier_ids=()),
                "reader": make_key(settings, scopes=("ledger:read",), supplier_ids=()),
                "supplier": make_key(settings, scopes=("supplier:read",)),
                "many": make_key(settings, scopes=("supplier:read",), supplier_ids=MANY),
                "factors": make_key(settings, scopes=("factors:read",), supplier_ids=()),
                "acme": make_key(settings, scopes=every, organization_id="acme", supplier_ids=()),
            }
            yield World(
                url=url,
                settings=settings,
                database=database,
                signer=new_signer(),
                headers={
                    name: {"Authorization": f"Bearer {key.text}"} for name, key in keys.items()
                },
            )


def in_database(world: World, where: str = "true", organization: str = "default") -> set[str]:
    with closing(world.database.reader()) as conn:
        rows = conn.execute(
            f"select e.entry_id::text from ledger.entry e "  # type: ignore[arg-type]
            f"where e.organization_id = '{organization}' and ({where})"
        ).fetchall()
    return {entry_id for (entry_id,) in rows}


def test_pages_have_every_entry_once_whatever_their_size(world: World) -> None:
    expected = in_database(world)
    assert len(expected) > 40
    for limit in (1_000, 7):
        found = [one["entry_id"] for one in world.pages(limit=limit)]
        assert len(found) == len(set(found))
        assert set(found) == expected
    with closing(world.database.reader()) as conn:
        (sums,) = conn.execute(
            "select sum(kgco2e) from ledger.entry where organization_id = 'default'"
        ).fetchall()
    assert sum(Fraction(one["kgco2e"]) for one in world.pages(limit=1_000)) == Fraction(sums[0])


def test_pages_are_of_one_moment_though_entries_come_between(world: World) -> None:
    first = world.get("/v1/entries", stream="iot_energy", limit=5).json()
    with closing(world.database.writer(autocommit=True)) as conn:
        post(conn, [reading(900), reading(901)])
    following = world.get(
        "/v1/entries", stream="iot_energy", limit=1_000, cursor=first["next_cursor"]
    ).json()
    assert following["as_of"] == first["as_of"]
    assert len(first["entries"]) + len(following["entries"]) == len(
        world.pages(stream="iot_energy", as_of=first["as_of"])
    )
    later = world.pages(stream="iot_energy")
    assert len(later) == len(first["entries"]) + len(following["entries"]) + 2


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ({"stream": "procurement"}, "stream = 'procurement'"),
        ({"scope": 3, "category": 1}, "scope = 3 and category = 1"),
        ({"facility_id": "plant-1"}, "facility_id = 'plant-1'"),
        ({"supplier_id": "SUP_042_DE"}, "ledger.supplier_of(stream, source_ref) = 'SUP_042_DE'"),
        ({"start_date": "2025-03-31", "end_date": "2025-03-31"}, "local_date = '2025-03-31'"),
        ({"is_active": "true"}, "entry_id in (select a.entry_id from ledger.active_entry a)"),
        ({"is_active": "false"}, "entry_id not in (select a.entry_id from ledger.active_entry a)"),
        ({"facility_id": "nowhere"}, "false"),
    ],
)
def test_a_filter_leaves_out_what_it_says(world: World, query: dict[str, str], where: str) -> None:
    found = {one["entry_id"] for one in world.pages(limit=1_000, **query)}
    assert found == in_database(world, where)
    assert found or where == "false"


def test_what_was_recorded_since_is_what_is_new(world: World) -> None:
    with closing(world.database.writer(autocommit=True)) as conn:
        at = post(conn, [reading(950)])
    found = world.pages(recorded_since=at.isoformat())
    assert [one["event_id"] for one in found] == [reading(950).event_id]


def test_a_cursor_goes_with_its_question_alone(world: World) -> None:
    cursor = world.get("/v1/entries", limit=5).json()["next_cursor"]
    wrong = [
        world.get("/v1/entries", limit=5, cursor=cursor, scope=2),
        world.get("/v1/entries", "acme", limit=5, cursor=cursor),
        world.get("/v1/entries", limit=5, cursor=cursor[:-8] + "AAAAAAAA"),
        world.get("/v1/entries", limit=5, cursor="é"),
        world.get("/v1/entries", limit=5, cursor=""),
    ]
    assert {one.status_code for one in wrong} == {422}
    assert {one.json()["code"] for one in wrong} == {"cursor_unknown"}
    assert world.get("/v1/entries", limit=1_000, cursor=cursor).status_code == 200


def test_a_key_of_many_suppliers_reads_page_after_page(world: World) -> None:
    own = in_database(world, "ledger.supplier_of(stream, source_ref) = 'SUP_042_DE'")
    found = [one["entry_id"] for one in world.pages("many", limit=3)]
    assert len(found) == len(set(found)) > 3
    assert set(found) == own
    cursor = world.get("/v1/entries", "many", limit=3).json()["next_cursor"]
    assert world.get("/v1/entries", "supplier", limit=3, cursor=cursor).status_code == 422


def test_a_cursor_of_another_operation_is_refused(world: World) -> None:
    of_entries = world.get("/v1/entries", limit=1).json()["next_cursor"]
    of_factors = world.get("/v1/factors", "factors", limit=1).json()["next_cursor"]
    answers = [
        world.get("/v1/entries", limit=1, cursor=of_factors),
        world.get("/v1/factors", "factors", limit=1, cursor=of_entries),
    ]
    assert [one.status_code for one in answers] == [422, 422]
    assert {one.json()["code"] for one in answers} == {"cursor_unknown"}


def test_one_entry_says_whether_it_stands(world: World) -> None:
    (taken_back,) = (
        one
        for one in world.pages(limit=1_000)
        if one["event_id"] == reading(FIRST).event_id and one["reverses_id"] is None
    )
    answer = world.get(f"/v1/entries/{taken_back['entry_id']}")
    EntryOut.model_validate_json(answer.content)
    found = answer.json()
    assert found == taken_back
    assert found["is_active"] is False
    reversal = world.get(f"/v1/entries/{found['reversed_by']}").json()
    assert reversal["reverses_id"] == found["entry_id"]
    assert reversal["kgco2e"] == f"-{found['kgco2e']}"


def test_somebody_else_s_entry_is_as_one_that_is_not(world: World) -> None:
    (foreign,) = in_database(world, organization="acme")
    answers = [
        world.get(f"/v1/entries/{one}", key)
        for one in (foreign, "00000000-0000-8000-8000-000000000000")
        for key in ("reporter", "supplier")
    ]
    assert {one.status_code for one in answers} == {404}
    assert len({one.content for one in answers}) == 1
    assert world.get(f"/v1/entries/{foreign}", "acme").status_code == 200


def test_a_supplier_s_key_reads_its_own_entries_alone(world: World) -> None:
    own = in_database(world, "ledger.supplier_of(stream, source_ref) = 'SUP_042_DE'")
    assert {one["entry_id"] for one in world.pages("supplier", limit=1_000)} == own
    assert world.pages("supplier", supplier_id="SUP_043_FR") == []
    assert world.pages("supplier", supplier_id="SUP_999_XX") == []
    (other,) = in_database(world, "source_ref = 'SUP_043_FR'")
    assert world.get(f"/v1/entries/{other}", "supplier").status_code == 404
    assert world.get(f"/v1/entries/{next(iter(own))}", "supplier").status_code == 200
    for path in ("/v1/changes", "/v1/entries/export"):
        assert world.get(path, "supplier").status_code == 403


def test_an_export_says_the_same_in_every_form(world: World) -> None:
    lines = world.get("/v1/entries/export", format="ndjson")
    as_of = lines.headers["Carbon-As-Of"]
    objects = [json.loads(line) for line in lines.text.splitlines()]
    page = world.get("/v1/entries", limit=1_000, as_of=as_of)
    assert objects == page.json()["entries"]
    # To the byte, though PostgreSQL spells the one and this program the other.
    assert f'"entries":[{",".join(lines.text.splitlines())}]' in page.text
    answer = world.get("/v1/entries/export", format="csv", as_of=as_of)
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    table = pq.read_table(
        io.BytesIO(world.get("/v1/entries/export", format="parquet", as_of=as_of).content)
    ).to_pylist()
    assert len(objects) == len(rows) == len(table)
    for one, row, told in zip(objects, rows, table, strict=True):
        assert list(one) == list(row) == list(told) == list(NAMES)
        assert one["kgco2e"] == row["kgco2e"] == canonical_text(told["kgco2e"])
        for name in ("entry_id", "event_id", "quantity", "payload_sha256", "content_sha256"):
            assert one[name] == row[name] == told[name]
        assert one["cause"] == told["cause"]
        assert (one["cause"] or "") == row["cause"]
        assert one["activity_type"] == told["activity_type"]
        assert one["is_active"] == told["is_active"] == (row["is_active"] == "t")
    (nasty,) = (row for row in rows if row["supplier_id"] == "SUP_043_FR")
    # What a spreadsheet would take for a formula; negative numbers stay numbers.
    assert nasty["activity_type"] == f"'{NASTY}"
    assert any(row["kgco2e"].startswith("-") for row in rows)


def test_an_export_takes_a_scope_of_its_own_and_the_key_s_organization(world: World) -> None:
    assert world.get("/v1/entries/export", "reader").status_code == 403
    lines = world.get("/v1/entries/export", "acme").text.splitlines()
    assert {json.loads(line)["entry_id"] for line in lines} == in_database(
        world, organization="acme"
    )
    assert world.get("/v1/entries/export", supplier_id="SUP_999_XX").text == ""
    nothing = world.get("/v1/entries/export", supplier_id="SUP_999_XX", format="parquet")
    assert pq.read_table(io.BytesIO(nothing.content)).num_rows == 0


def write_late(conn: Connection, row: EntryRow) -> None:
    """Inserts an entry in a transaction that stays open."""
    recorded_at = begin_writing(conn)
    stamped = sealed(replace(row, recorded_at=recorded_at))
    insert_identity(conn, stamped)
    post_entries(conn, [stamped], recorded_at=recorded_at, kind="period")


def test_changes_have_every_entry_once_and_what_commits_late_later(world: World) -> None:
    world.seal()
    before = world.all_changes("reporter")
    with closing(world.database.writer(autocommit=True)) as conn:
        ensure_month(conn, reading(0).activity_month)
    with closing(world.database.writer()) as late:
        write_late(late, reading(970))
        with closing(world.database.writer(autocommit=True)) as conn:
            post(conn, [reading(971)])
        world.seal()
        between = world.all_changes("reporter")
        late.commit()
    assert [one["entry"]["event_id"] for one in between[len(before) :]] == [reading(971).event_id]
    world.seal()
    found = world.all_changes("reporter", limit=7)
    assert found[: len(between)] == between
    assert [one["entry"]["event_id"] for one in found[len(between) :]] == [reading(970).event_id]
    numbers = [one["seq"] for one in found]
    assert numbers == sorted(set(numbers))
    assert {one["entry"]["entry_id"] for one in found} == in_database(world)
    acme = world.all_changes("acme")
    assert {one["entry"]["entry_id"] for one in acme} == in_database(world, organization="acme")
    assert not {one["seq"] for one in acme} & set(numbers)
    # What of an entry may change is not in it, so a page that is full never changes.
    assert all("is_active" not in one["entry"] for one in found)


def test_a_place_that_the_ledger_has_not_reached_is_refused(world: World) -> None:
    world.seal()
    sealed_count = world.get("/v1/changes").json()["sealed"]
    assert world.get("/v1/changes", after=sealed_count).json()["changes"] == []
    answer = world.get("/v1/changes", after=sealed_count + 1)
    assert answer.status_code == 422
    assert (answer.json()["code"], answer.json()["valid"]) == (
        "sequence_unknown",
        f"0 to {sealed_count}",
    )


def test_names_are_the_columns_of_the_query(world: World) -> None:
    with closing(world.database.reader()) as conn, conn.cursor() as cursor:
        from datetime import UTC, datetime

        from carbon_ledger.store.entry_pages import EntryFilter, parameters_of

        cursor.execute(
            query("told_entries"), parameters_of(EntryFilter(as_of=datetime.now(UTC)), limit=0)
        )
        assert isinstance(cursor, psycopg.Cursor)
        assert tuple(one.name for one in cursor.description or ()) == NAMES
    assert tuple(EntryOut.model_fields) == NAMES
