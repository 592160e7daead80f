"""A table's file is changed while PostgreSQL is down: what can be read is found and located, and
what PostgreSQL refuses to read is told as such.

A page whose checksum was made anew reads like any other; only `carbon verify` can see it. The
server is the test's own, of the same settings as the embedded stack's, data checksums included.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from carbon_ledger.entries import COLUMNS
from carbon_ledger.notes import Signer
from carbon_ledger.store.migrate import migrate
from carbon_ledger.store.seals import seal_pending
from devstack.layout import Layout
from devstack.postgres import Postgres
from tests.support.heap_pages import (
    ITEM_BYTES,
    PAGE,
    Attribute,
    checksum,
    columns_of,
    item_at,
    pages,
    stored_checksum,
    with_checksum,
    write_page,
)
from tests.support.own_postgres import free_offset, running
from tests.support.postgres import LedgerDatabase, claim, reading
from tests.support.sealed_ledger import (
    ORIGIN,
    carbon,
    fill,
    new_signer,
    post_part,
    with_payloads,
)

pytestmark = [pytest.mark.night, pytest.mark.timeout(600)]

NUMERIC = {
    *("quantity", "kgco2e", "kg_co2_fossil", "kg_co2_biogenic", "kg_ch4", "kg_n2o"),
    *("kgco2e_granular", "primary_share"),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """Where an entry's row lies."""

    entry_id: str
    partition: str
    path: Path
    block: int
    number: int

    @property
    def place(self) -> str:
        """As the verifier names it."""
        return f"({self.block},{self.number})"


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A stopped server with a sealed ledger, its heads outside, and every row's place."""

    server: Postgres
    database: LedgerDatabase
    heads: Path
    key: Path
    rows: tuple[Row, ...]
    # By column: rows in which it has bytes whose change is one of its value.
    with_value: dict[str, frozenset[str]]
    attributes: tuple[Attribute, ...]

    def verify(self) -> tuple[int, dict[str, Any], str]:
        """Exit status, report and message of `carbon verify` on the started server."""
        with running(self.server):
            done = carbon(
                self.database,
                *("verify", "--json", "--heads", str(self.heads), "--key", str(self.key)),
            )
        return done.returncode, json.loads(done.stdout or "{}"), done.stderr

    def file_of(self, partition: str) -> Path:
        """The partition's file."""
        return next(row.path for row in self.rows if row.partition == partition)

    def largest(self) -> str:
        """The partition with most rows."""
        names = [row.partition for row in self.rows]
        return max(set(names), key=names.count)

    def in_page(self, path: Path, block: int) -> list[Row]:
        """The rows of a page."""
        return [row for row in self.rows if row.path == path and row.block == block]

    @contextmanager
    def put_back(self) -> Iterator[None]:
        """What is changed in the files in between is as before at the end."""
        before = {path: path.read_bytes() for path in {row.path for row in self.rows}}
        try:
            yield
        finally:
            for path, content in before.items():
                with path.open("r+b") as file:
                    file.write(content)


def fill_gases(database: LedgerDatabase, signer: Signer) -> list[str]:
    """Adds entries with a value for every gas; all heads, oldest first."""
    gases = {
        name: Decimal(number) / 8
        for number, name in enumerate(sorted(NUMERIC - {"quantity", "kgco2e", "primary_share"}), 1)
    }
    with database.writer(autocommit=True) as conn, database.sealer() as sealer:
        (part,) = claim(conn, {0: (0, 40)}, topic="raw.gases")
        rows = [reading(30_000 + at, gas_split="available", **gases) for at in range(40)]
        post_part(conn, part, with_payloads(rows))
        seal_pending(sealer, signer, ORIGIN)
        found = sealer.execute("select note from audit.head order by tree_size").fetchall()
    return [note for (note,) in found]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    home = tmp_path_factory.mktemp("cluster")
    # PostgreSQL may run as another user, who has to get there.
    for folder in (home, home.parent):
        folder.chmod(0o755)
    server = Postgres(Layout(home=home, cache=home, offset=free_offset()))
    database = LedgerDatabase.named(server.layout.database_url, "carbon")
    signer = new_signer()
    heads, key = home / "heads outside", home / "key.txt"
    heads.mkdir()
    key.write_text(str(signer.key))
    with running(server):
        migrate(server.layout.database_url("carbon_migrator", "carbon"))
        fill(database, signer)
        for number, note in enumerate(fill_gases(database, signer)):
            (heads / str(number)).write_text(note)
        with server.connect("carbon") as conn:
            # Rows as they stay, so that looking at them writes no page.
            conn.execute("vacuum (freeze)")
            with_value = {
                name: frozenset(
                    row[0]
                    for row in conn.execute(
                        "select entry_id::text from ledger.entry where"
                        + (f" {name} <> 0" if name in NUMERIC else f" {name}::text <> ''")
                    )
                )
                for name in COLUMNS
            }
            rows = tuple(
                Row(
                    entry_id=entry,
                    partition=partition,
                    path=server.data / path,
                    block=int(place[1:-1].split(",")[0]),
                    number=int(place[1:-1].split(",")[1]),
                )
                for entry, partition, path, place in conn.execute(
                    "select entry_id::text, tableoid::regclass::text,"
                    " pg_relation_filepath(tableoid), ctid::text"
                    " from ledger.entry order by md5(event_id), entry_id"
                )
            )
            attributes = tuple(
                Attribute(name=name, length=length, alignment=alignment)
                for name, length, alignment in conn.execute(
                    "select attname, attlen, attalign::text from pg_attribute where attnum > 0"
                    " and attrelid = 'ledger.entry'::regclass order by attnum"
                )
            )
    return Cluster(
        server=server,
        database=database,
        heads=heads,
        key=key,
        rows=rows,
        with_value=with_value,
        attributes=attributes,
    )


def rounds(cluster: Cluster) -> list[dict[str, Row]]:
    """For each column, in one of the rounds, a row in which it has a value; in a round no row is
    of two columns. Rarer values first.
    """
    left = sorted(COLUMNS, key=lambda name: len(cluster.with_value[name]))
    assert [name for name in left if not cluster.with_value[name]] == []
    made: list[dict[str, Row]] = []
    while left:
        chosen: dict[str, Row] = {}
        for column in left:
            taken = {row.entry_id for row in chosen.values()}
            for row in cluster.rows:
                if row.entry_id in cluster.with_value[column] - taken:
                    chosen[column] = row
                    break
        left = [column for column in left if column not in chosen]
        made.append(chosen)
    return made


def edit(cluster: Cluster, row: Row, column: str, make_checksum: bool = True) -> None:
    """Changes the lowest bit of one byte of the row's column in the file."""
    page = bytearray(pages(row.path)[row.block])
    place = columns_of(page, row.number, cluster.attributes)[column]
    kinds = {one.name: one for one in cluster.attributes}
    # The low byte of a number's last four digits, the first of a plain number, the last of a text.
    is_digits = kinds[column].length < 0 and column in NUMERIC
    at = place.stop - 2 if is_digits else place.stop - 1
    if kinds[column].length in (2, 4, 8):
        at = place.start
    page[at] ^= 1
    changed = bytes(page)
    write_page(row.path, row.block, with_checksum(changed, row.block) if make_checksum else changed)


def ids(report: dict[str, Any], code: str) -> list[str]:
    """Entries that findings of this code name, in order."""
    return sorted(one["where"]["entry_id"] for one in report["findings"] if one["code"] == code)


def test_the_checksums_are_postgresqls_own(cluster: Cluster) -> None:
    seen = 0
    for path in {row.path for row in cluster.rows}:
        for block, page in enumerate(pages(path)):
            assert stored_checksum(page) == checksum(page, block)
            seen += 1
    assert seen > 100
    assert cluster.verify()[0] == 0


def test_one_changed_byte_of_each_column_is_found_in_its_row_and_nowhere_else(
    cluster: Cluster,
) -> None:
    tried = set()
    for chosen in rounds(cluster):
        with cluster.put_back():
            for column, row in chosen.items():
                edit(cluster, row, column)
            status, report, _ = cluster.verify()
        assert status == 1
        told = {
            one["where"]["entry_id"]: one
            for one in report["findings"]
            if one["code"] in ("entry_altered", "entry_missing")
        }
        assert [name for name, row in chosen.items() if row.entry_id not in told] == [], told
        # Under its changed id a row is one more.
        named = {row.entry_id for row in chosen.values()}
        assert set(told) - named == {*ids(report, "entry_unlisted")}
        for column, row in chosen.items():
            one = told[row.entry_id]
            if column == "entry_id":
                assert one["code"] == "entry_missing"
                (one,) = [one for one in report["findings"] if one["code"] == "entry_unlisted"]
            assert one["where"]["partition"] == row.partition, column
            assert one["where"]["row"] == row.place, column
            # Of "1.50" the last four decimals are stored, of which two are shown.
            if column in ("batch_id", "content_sha256", "preimage", "quantity"):
                assert f"column: {column}" in one["message"]
            tried.add(column)
    assert tried == set(COLUMNS)
    assert cluster.verify()[0] == 0


@pytest.mark.parametrize("column", ["kgco2e", "facility_id", "content_sha256"])
def test_a_page_with_a_wrong_checksum_gives_no_verdict_and_is_named(
    cluster: Cluster, column: str
) -> None:
    row = next(row for row in cluster.rows if row.entry_id in cluster.with_value[column])
    with cluster.put_back():
        edit(cluster, row, column, make_checksum=False)
        status, report, said = cluster.verify()
    assert (status, report) == (2, {})
    assert f"PostgreSQL refuses to read page {row.block} of {row.partition}:" in said
    assert "Traceback" not in said


def test_a_row_whose_pointer_was_taken_away_is_missing(cluster: Cluster) -> None:
    row = cluster.rows[0]
    with cluster.put_back():
        page = bytearray(pages(row.path)[row.block])
        at = item_at(row.number)
        page[at : at + ITEM_BYTES] = struct.pack("<I", 0)
        write_page(row.path, row.block, with_checksum(bytes(page), row.block))
        status, report, _ = cluster.verify()
    assert status == 1
    assert ids(report, "entry_missing") == [row.entry_id]


def test_a_page_of_zeros_which_postgresql_takes_for_a_new_one_misses_all_its_rows(
    cluster: Cluster,
) -> None:
    path = cluster.file_of(cluster.largest())
    with cluster.put_back():
        write_page(path, 3, bytes(PAGE))
        status, report, _ = cluster.verify()
    assert status == 1
    assert ids(report, "entry_missing") == sorted(row.entry_id for row in cluster.in_page(path, 3))


def test_a_page_that_is_a_copy_of_another_has_rows_twice_and_misses_its_own(
    cluster: Cluster,
) -> None:
    path = cluster.file_of(cluster.largest())
    with cluster.put_back():
        write_page(path, 5, with_checksum(pages(path)[4], 5))
        status, report, _ = cluster.verify()
    assert status == 1
    missing = sorted(row.entry_id for row in cluster.in_page(path, 5))
    twice = sorted(row.entry_id for row in cluster.in_page(path, 4))
    assert ids(report, "entry_missing") == missing
    assert ids(report, "entry_twice") == twice


def test_a_file_that_was_cut_misses_the_rows_of_its_end(cluster: Cluster) -> None:
    path = cluster.file_of(cluster.largest())
    last = len(pages(path)) - 1
    with cluster.put_back():
        with path.open("r+b") as file:
            file.truncate(last * PAGE)
        status, report, _ = cluster.verify()
    assert status == 1
    assert ids(report, "entry_missing") == sorted(
        row.entry_id for row in cluster.in_page(path, last)
    )
