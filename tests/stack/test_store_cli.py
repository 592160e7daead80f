"""`carbon ledger` and `carbon factors` against a real ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from carbon_ledger.errors import CarbonError
from carbon_ledger.factor_book.rows import make_release
from carbon_ledger.store.factors import store_release
from carbon_ledger.store.rows import begin_writing, ensure_month, insert_entries
from cli.main import group
from factor_seeds.load import release as shipped_release
from factor_seeds.load import shipped_book
from tests.support.postgres import LedgerDatabase, reading, scratch_database

pytestmark = pytest.mark.stack


@pytest.fixture
def database(stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[LedgerDatabase]:  # type: ignore[no-untyped-def]
    with scratch_database(stack.layout.database_url) as found:
        monkeypatch.setenv("CARBON_DATABASE_WRITER_URL", found.writer_url)
        monkeypatch.setenv("CARBON_DATABASE_READER_URL", found.reader_url)
        yield found


def carbon(*arguments: str) -> Result:
    """The command's outcome; an error of ours is raised."""
    result = CliRunner().invoke(group, arguments)
    if isinstance(result.exception, CarbonError):
        raise result.exception
    return result


def test_totals_are_exact_in_the_table_and_in_json(database: LedgerDatabase) -> None:
    rows = [reading(0), reading(1), reading(2, country_iso2="FR")]
    with database.writer() as conn:
        ensure_month(conn, rows[0].activity_month)
        begin_writing(conn)
        insert_entries(conn, rows)
    shown = carbon("ledger", "totals").output
    assert shown.splitlines()[1].split() == [
        *("DE", "2", "location", "kWh", "2", "3.00", "1.140000000000"),
    ]
    answer = json.loads(carbon("ledger", "totals", "--by", "country", "--json").output)
    assert [(row["key"], row["kgco2e"]) for row in answer["rows"]] == [
        *(("DE", "1.140000000000"), ("FR", "0.570000000000")),
    ]


def test_totals_as_of_a_moment_before_everything_are_empty_and_final(
    database: LedgerDatabase,
) -> None:
    answer = json.loads(carbon("ledger", "totals", "--as-of", "2020-01-01", "--json").output)
    assert answer == {
        "by": "country",
        "as_of": "2020-01-01T00:00:00+00:00",
        "is_final": True,
        "rows": [],
    }
    assert "no entries" in carbon("ledger", "totals").output


def test_totals_as_of_a_moment_to_come_are_said_not_to_be_final(database: LedgerDatabase) -> None:
    answer = json.loads(carbon("ledger", "totals", "--as-of", "2999-01-01", "--json").output)
    assert answer["is_final"] is False


def test_a_moment_that_is_none_is_refused(database: LedgerDatabase) -> None:
    with pytest.raises(CarbonError) as caught:
        carbon("ledger", "totals", "--as-of", "yesterday")
    assert "yesterday" in caught.value.message


def test_factors_are_loaded_once_listed_and_explained(database: LedgerDatabase) -> None:
    shipped = shipped_release()
    assert "No factors" in carbon("factors", "list").output
    with pytest.raises(CarbonError):
        carbon("factors", "explain", "grid", "DE", "2023-05-01")
    assert f"{len(shipped.rows)} of them new" in carbon("factors", "load").output
    assert ", 0 of them new" in carbon("factors", "load").output
    (listed,) = json.loads(carbon("factors", "list", "--json").output)
    assert (listed["release_id"], listed["sha256"]) == (shipped.release_id, shipped.sha256)
    explained = carbon("factors", "explain", "grid", "DE", "2023-05-01").output
    chosen = [line for line in explained.splitlines() if " chosen " in line]
    assert len(chosen) == 1
    assert chosen[0].split()[0] in explained.splitlines()[1]


def load_few(database: LedgerDatabase) -> str:
    """Store some of the shipped rows; the id of their release."""
    rows = [row for row in shipped_book().rows if "burning-oil" in row.factor_id]
    release = make_release("2026.1", rows)
    with database.writer() as conn:
        store_release(conn, release)
    return release.release_id


def fuel(*more: str) -> tuple[str, ...]:
    """Arguments that ask for a litre of burning oil burnt in 2025."""
    return (
        *("factors", "explain", "fuel", "GB", "2025-06-30"),
        *("--where", "fuel=Burning oil", "--unit", "L"),
        *more,
    )


def test_a_factor_of_any_family_is_explained_with_what_was_passed_over(
    database: LedgerDatabase,
) -> None:
    load_few(database)
    text = carbon(*fuel("--where", "stage=combustion")).output
    assert "country/combustion/exact-year" in text
    answer = json.loads(carbon(*fuel("--where", "stage=combustion", "--json")).output)
    assert answer["chosen"]["kgco2e_per_unit"] == "2.54016"
    assert answer["candidates"][0]["reason"] == "chosen"
    assert {"CO2", "CH4_non_fossil", "N2O"} == set(answer["chosen"]["gases"])
    assert len({one["reason"] for one in answer["candidates"]}) > 3


def test_an_ambiguous_question_is_refused_with_the_column_that_would_decide(
    database: LedgerDatabase,
) -> None:
    load_few(database)
    with pytest.raises(CarbonError) as caught:
        carbon(*fuel())
    assert caught.value.code == "factor_ambiguous"
    assert "'combustion', 'wtt'" in caught.value.message


MAPPING = """
publisher: Institute of Examples
dataset: Process database 3.1
source_id: process_31
licence: licensed to the reporting company
family: process
columns: {kgco2e_per_unit: GWP100, unit: Unit, country_iso2: Geography, year: Year}
selectors: {product: Product}
constants: {gwp_set: AR6}
"""
SET = "Product,GWP100,Unit,Geography,Year\nsteel,0.4123,kg,DE,2023\nzinc,0.7,kg,DE,2023\n"


def test_a_licensed_set_makes_a_new_release_that_can_be_compared_and_asked(
    database: LedgerDatabase, tmp_path: Path
) -> None:
    shipped = load_few(database)
    (tmp_path / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
    (tmp_path / "set.csv").write_text(SET, encoding="utf-8")
    command = ("factors", "import", str(tmp_path / "set.csv"), "--mapping")
    mapping = str(tmp_path / "mapping.yaml")
    assert "Nothing was stored" in carbon(*command, mapping, "--check").output
    assert len(json.loads(carbon("factors", "list", "--json").output)) == 1
    assert "2 added, 0 changed" in carbon(*command, mapping).output
    said = json.loads(carbon("factors", "diff", shipped, "--json").output)
    assert said["added"] == [
        "process:DE:2023:steel:kg:process_31",
        "process:DE:2023:zinc:kg:process_31",
    ]
    assert (said["removed"], said["changed"]) == ([], [])
    where = ("--where", "product=steel")
    assert "0.4123" in carbon("factors", "explain", "process", "DE", "2024-01-01", *where).output

    (tmp_path / "set.csv").write_text(SET.replace("0.4123", "0.4"), encoding="utf-8")
    imported = said["new"]
    assert "0 added, 1 changed" in carbon(*command, mapping).output
    text = carbon("factors", "diff", imported).output
    assert "kgco2e_per_unit" in text
    assert "0.4123" in text


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("0.4123", "much", ("row 2", "GWP100", "'much'")),
        ("zinc,0.7,kg", "zinc,0.7,stone", ("row 3", "Unit", "'stone'")),
        ("Geography", "Place", ("no column Geography",)),
        ("zinc", "steel", ("row 3", "is row 2 again")),
    ],
)
def test_a_set_with_a_bad_row_is_refused_and_nothing_is_stored(
    database: LedgerDatabase, tmp_path: Path, old: str, new: str, words: tuple[str, ...]
) -> None:
    load_few(database)
    (tmp_path / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
    (tmp_path / "set.csv").write_text(SET.replace(old, new), encoding="utf-8")
    with pytest.raises(CarbonError) as caught:
        carbon(
            *("factors", "import", str(tmp_path / "set.csv")),
            *("--mapping", str(tmp_path / "mapping.yaml")),
        )
    for word in words:
        assert word in caught.value.message
    assert len(json.loads(carbon("factors", "list", "--json").output)) == 1
