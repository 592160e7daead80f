"""`carbon ledger` and `carbon factors` against a real ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from carbon_ledger.errors import CarbonError
from carbon_ledger.store.rows import begin_writing, ensure_month, insert_entries
from cli.main import group
from factor_seeds.load import release as shipped_release
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
