"""Suites of expectations as they are read, and what is made of what they find."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import dagster as dg
import pytest
import yaml

from carbon_assets import data_quality, suites
from carbon_assets.checks import EXPECTATIONS_CHECK
from carbon_assets.definitions import build_definitions
from carbon_assets.suites import DIMENSIONS, FOLDER, PRIVATE, SUITES, filled, read_suite
from carbon_assets.validation import Failure
from carbon_ledger.errors import ConfigurationError
from carbon_ledger.store.validations import SuiteStanding, Validation, sqlalchemy_url
from carbon_ledger.streams import STREAMS
from cli.quality_command import failing_lines, page

NOW = datetime(2026, 1, 5, 1, 10, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(FOLDER, tmp_path / "expectations")
    return tmp_path / "expectations"


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_covers_every_dimension_and_uses_every_file_it_has(name: str) -> None:
    suite = read_suite(name)
    assert {one.dimension for one in suite.expectations} >= set(DIMENSIONS) - {"drift"}
    used = {"suite.yaml", "units.sql", "batch.sql"}
    given = yaml.safe_load((FOLDER / name / "suite.yaml").read_text(encoding="utf-8"))
    used |= {one["query"] for one in given["expectations"] if "query" in one}
    assert {path.name for path in (FOLDER / name).iterdir()} == used - {"../column_types.sql"}


def test_drift_is_looked_for_by_the_day_the_release_and_the_report() -> None:
    with_drift = {
        name for name in SUITES for one in read_suite(name).expectations if one.dimension == "drift"
    }
    assert with_drift == {"windows", "factors", "esrs_e1"}


WRONG: dict[str, Any] = {
    "lacks one of": lambda suite: suite.pop("columns"),
    "says colour, which is not known": lambda suite: suite.update(colour="red"),
    "is of 'others'": lambda suite: suite.update(suite="others"),
    "is no name of an expectation": lambda suite: suite["expectations"][0].update(name="It Holds"),
    "has dimension 'taste'": lambda suite: suite["expectations"][0].update(dimension="taste"),
    "severity 'fatal'": lambda suite: suite["expectations"][0].update(severity="fatal"),
    "drift is a question": lambda suite: suite["expectations"][0].update(dimension="drift"),
    "needs a type or a query": lambda suite: suite["expectations"][0].pop("type"),
    "is there twice": lambda suite: suite["expectations"].append(suite["expectations"][0]),
    "must not be kept as the key": lambda suite: suite["keys"].append("source_ref"),
    "there is no file ../../settings.py": lambda suite: suite.update(units="../../settings.py"),
}


@pytest.mark.parametrize("words", WRONG)
def test_a_suite_that_is_wrong_is_refused_in_words(words: str, folder: Path) -> None:
    path = folder / "entries" / "suite.yaml"
    suite = yaml.safe_load(path.read_text(encoding="utf-8"))
    WRONG[words](suite)
    path.write_text(yaml.safe_dump(suite), encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        read_suite("entries", folder)
    assert words in refused.value.message


@pytest.mark.parametrize("query", ["select 1", "select 1 from {batch} where 7 % 2 = 1"])
def test_a_query_needs_its_unit_and_has_no_percent_sign(query: str, folder: Path) -> None:
    (folder / "entries" / "quantity_is_finite.sql").write_text(query, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"needs \{batch\}"):
        read_suite("entries", folder)


@pytest.mark.parametrize("file", ["suite.yaml", "batch.sql", "units.sql", "../column_types.sql"])
def test_the_hash_is_over_every_file(file: str, folder: Path) -> None:
    before = read_suite("factors", folder)
    path = folder / "factors" / file
    comment = "# a word\n" if file.endswith("yaml") else "-- a word\n"
    path.write_text(comment + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert before.sha256 == read_suite("factors").sha256
    assert read_suite("factors", folder).sha256 != before.sha256


def test_values_are_put_in_as_literals_and_nothing_else_is() -> None:
    suite = read_suite("factors")
    assert "= '2026.1-0f3a'" in filled(suite.batch, {"unit": "2026.1-0f3a"}, suite)
    for value in ("x'; drop table y; --", "a\\b", "{batch}", "$unit", "5 %", "", "x" * 201):
        with pytest.raises(ConfigurationError, match="cannot be put into a query"):
            filled(suite.batch, {"unit": value}, suite)
    with pytest.raises(ConfigurationError, match="a query asks for"):
        filled(suite.batch, {}, suite)


def test_a_url_is_spelled_for_sqlalchemy_and_reads_only() -> None:
    url = sqlalchemy_url("postgresql://reader:p%40$s%3A%2Fw@db:5433/carbon?sslmode=require", "look")
    assert url.startswith("postgresql+psycopg2://reader:p%40%24s%3A%2Fw@db:5433/carbon?")
    assert "sslmode=require" in url
    assert "default_transaction_read_only%3Don" in url
    assert "$" not in url


@pytest.mark.parametrize("url", ["", "postgresql:///carbon", "nonsense=", "postgresql://db/"])
def test_a_url_without_a_host_or_a_database_is_refused_without_its_words(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        sqlalchemy_url(url, "look")
    assert refused.value.code == "database_url"


def failure(streams: list[str] | None, severity: str = "critical") -> dict[str, Any]:
    return {
        "expectation": "unit_is_there",
        "dimension": "not-null",
        "severity": severity,
        "says": "unit is <there>",
        "unexpected": 1,
        "sample": [{"stream": "transport", "entry_id": "<b>"}],
        "streams": streams,
        "error": None,
    }


def validation(*failures: dict[str, Any]) -> Validation:
    worst: Any = failures[0]["severity"] if failures else None
    return Validation(
        validation_id=UUID(int=1),
        suite="entries",
        suite_version=1,
        suite_sha256=bytes(32),
        target="ledger.entry",
        unit="2026-01-05T00:00Z",
        as_of=NOW,
        is_success=not failures,
        worst_severity=worst,
        expectations=31,
        rows_validated=5,
        failures=failures,
        statistics={},
        engine="test",
        code_version="test",
        run_id="run",
        recorded_at=NOW,
    )


@pytest.mark.parametrize(
    ("asset", "failures", "passed", "severity"),
    [
        ("transport", (), True, "ERROR"),
        ("transport", (failure(["transport"]),), False, "ERROR"),
        ("logistics", (failure(["transport"]),), True, "ERROR"),
        ("logistics", (failure(None),), False, "ERROR"),
        ("transport", (failure(["transport"], "warning"),), False, "WARN"),
        ("transport", (failure(None, "warning"), failure(["transport"])), False, "ERROR"),
        ("transport", (failure(["transport"], "warning"), failure(["supplier"])), False, "WARN"),
    ],
)
def test_a_check_fails_for_rows_of_its_stream_and_a_warning_only_warns(
    asset: str, failures: tuple[dict[str, Any], ...], passed: bool, severity: str
) -> None:
    found = data_quality.result_of(
        read_suite("entries"),
        dg.AssetCheckKey(dg.AssetKey(["ledger", asset]), EXPECTATIONS_CHECK),
        [validation()],
        0,
        [validation(*failures)],
    )
    assert (found.passed, found.severity.value) == (passed, severity)


@pytest.mark.parametrize(
    ("unexpected", "sample", "streams"),
    [
        (2, [{"stream": "transport"}, {"stream": "supplier"}], {"supplier", "transport"}),
        (3, [{"stream": "transport"}, {"stream": "supplier"}], None),
        (1, [{"entry_id": "1"}], None),
        (1, [{"stream": None}], None),
        (None, [], None),
    ],
)
def test_streams_are_told_only_where_every_row_was_seen(
    unexpected: int | None, sample: list[dict[str, Any]], streams: set[str] | None
) -> None:
    expectation = read_suite("entries").expectations[0]
    found = Failure(expectation=expectation, unexpected=unexpected, sample=tuple(sample))
    assert found.streams == streams


def test_every_suite_is_the_check_of_its_assets_and_of_no_run_that_makes_them() -> None:
    definitions = build_definitions()
    graph = definitions.get_repository_def().asset_graph
    keys = data_quality.assets_of(STREAMS)
    assert set(keys) == set(SUITES)
    for key in (key for many in keys.values() for key in many):
        (check,) = [one for one in graph.get(key).check_keys if one.name == EXPECTATIONS_CHECK]
        assert graph.get(check).blocking
    makers = ("ledger_iot_energy", "factors", "windows", "reports", "period_postings")
    for name in makers:
        nodes = [node.name for node in definitions.resolve_job_def(name).nodes]
        assert not [node for node in nodes if EXPECTATIONS_CHECK in node]
    looked = [node.name for node in definitions.resolve_job_def("data_quality").nodes]
    assert sorted(looked) == sorted(f"{name}_{EXPECTATIONS_CHECK}" for name in SUITES)


def test_the_entries_columns_hide_what_may_lead_to_a_person() -> None:
    assert set(suites.read_suite("entries").columns) >= PRIVATE


def test_a_page_needs_nothing_else_and_keeps_marks_as_text() -> None:
    standing = SuiteStanding(
        suite="entries",
        units=1,
        failing=1,
        critical=1,
        rows_validated=5,
        last_unit="2026-01-05T00:00Z",
        last_recorded_at=NOW,
    )
    found = [validation(failure(["transport"]))]
    text = page([standing], found, NOW)
    assert "unit is &lt;there&gt;" in text
    assert "<b>" not in text
    assert not [word for word in ("<script", "<link", "<img", "http") if word in text]
    assert failing_lines(found)[1] == (
        "entries 2026-01-05T00:00Z: critical unit_is_there: 1 unexpected (unit is <there>)"
    )
