"""Every expectation beside the fault it exists for, planted in a real database; and the checks made
of them, their evidence, and what a person reads.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import psycopg
import pytest
from click.testing import CliRunner

from carbon_assets.data_quality import validate_due
from carbon_assets.definitions import build_definitions
from carbon_assets.suites import PRIVATE, names_of, read_suites
from carbon_assets.validation import Outcome, Validator
from carbon_ledger.settings import PROJECT_ROOT
from carbon_ledger.store.connect import connect
from carbon_ledger.store.read import knowledge_horizon
from carbon_ledger.store.reports import build_esrs_e1
from carbon_ledger.store.rows import ensure_month
from carbon_ledger.store.validations import (
    DueUnit,
    blocking_failures,
    due_units,
    latest_validations,
    suite_standings,
)
from cli.quality_command import quality as command
from tests.support.asset_database import resource_of
from tests.support.demo_ledger import demo_ledger
from tests.support.postgres import reading, scratch_database
from tests.support.quality_faults import (
    DAYS,
    HOURS,
    RELEASES,
    SNAPSHOTS,
    TABLES,
    Fault,
    World,
    clean,
)

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

SUITES = {suite.name: suite for suite in read_suites()}
BY_SUITE = {"entries": HOURS, "windows": DAYS, "factors": RELEASES, "esrs_e1": SNAPSHOTS}


@pytest.fixture(scope="module")
def url_of(stack: Any) -> Any:
    return stack.layout.database_url


@pytest.fixture(scope="module")
def world(url_of: Any) -> Iterator[World]:
    with scratch_database(url_of, with_factors=True) as database:
        name = database.writer_url.rpartition("/")[2]
        with psycopg.connect(url_of("postgres", name), autocommit=True) as superuser:
            made = World(database=database, superuser=superuser)
            made.prepare()
            yield made


@pytest.fixture(scope="module")
def validator(world: World) -> Iterator[Validator]:
    with Validator(world.database.verifier_url) as made:
        yield made


@pytest.fixture
def own(url_of: Any) -> Iterator[World]:
    """A ledger of a test's own with every constraint that it has."""
    with scratch_database(url_of, with_factors=True) as database:
        name = database.writer_url.rpartition("/")[2]
        with psycopg.connect(url_of("postgres", name), autocommit=True) as superuser:
            yield World(database=database, superuser=superuser)


def due(world: World, suite: str) -> dict[str, DueUnit]:
    with closing(world.database.writer(autocommit=True)) as conn:
        asked = SUITES[suite]
        found = due_units(
            conn,
            asked.units,
            suite=suite,
            suite_sha256=asked.sha256,
            horizon=knowledge_horizon(conn),
        )
    return {one.unit: one for one in found}


def look(world: World, validator: Validator, planted: Fault) -> Outcome:
    """What the suite finds in the part of the fault."""
    return validator.validate(SUITES[planted.suite], due(world, planted.suite)[planted.unit])


def test_every_expectation_has_its_planted_fault() -> None:
    planted = [(f.suite, f.fails[0]) for many in (*BY_SUITE.values(), TABLES) for f in many]
    assert sorted(planted) == sorted(names_of(list(SUITES.values())))


@pytest.mark.parametrize("suite", BY_SUITE)
def test_a_planted_fault_fails_its_expectation_and_no_other(
    suite: str, world: World, validator: Validator
) -> None:
    """The first part has no fault, and nothing fails in it."""
    wrong = []
    for number, fault in enumerate([clean(suite), *BY_SUITE[suite]]):
        outcome = look(world, validator, world.plant(number, fault))
        found = {one.expectation.name: one for one in outcome.failures}
        if set(found) != set(fault.fails) or not outcome.rows:
            wrong.append((fault.what, fault.fails, [one.told() for one in outcome.failures]))
        for one in found.values():
            assert one.error is None
            assert one.sample
            assert not PRIVATE & {name for row in one.sample for name in row}
    assert wrong == []


def test_a_fault_of_a_whole_table_fails_its_expectation_and_no_other(
    world: World, validator: Validator
) -> None:
    parts = {suite: world.plant(100 + n, clean(suite)) for n, suite in enumerate(BY_SUITE)}
    # A snapshot of last week is unlike this one.
    world.superuser.execute(
        "delete from reports.esrs_e1 where recorded_at < now() - interval '1 day'"
    )
    wrong = []
    units = {suite: due(world, suite)[part.unit] for suite, part in parts.items()}
    for fault in TABLES:
        for statement in fault.statements:
            world.superuser.execute(statement.encode())
        outcome = validator.validate(SUITES[fault.suite], units[fault.suite])
        if {one.expectation.name for one in outcome.failures} != set(fault.fails):
            wrong.append((fault.what, fault.fails, [one.told() for one in outcome.failures]))
    assert wrong == []


def run(world: World) -> dg.ExecuteInProcessResult:
    resource = resource_of(world.database)
    definitions = build_definitions(resources={"database": resource})
    job = definitions.resolve_job_def("data_quality")
    return job.execute_in_process(raise_on_error=False)


def verdicts(result: dg.ExecuteInProcessResult) -> dict[str, tuple[bool, str]]:
    return {
        one.asset_key.to_user_string(): (one.passed, one.severity.value)
        for one in result.get_asset_check_evaluations()
    }


def test_checks_say_of_each_asset_what_was_found_and_it_is_kept_as_evidence(
    own: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(own.database.writer(autocommit=True)) as conn:
        ensure_month(conn, reading(0).activity_month)
    own.superuser.execute("set session_replication_role = replica")
    own.plant(0, clean("entries"))
    first = run(own)
    assert first.success
    assert {passed for passed, _ in verdicts(first).values()} == {True}
    with closing(own.database.reader()) as conn:
        kept = latest_validations(conn)
        assert {(one.suite, one.unit) for one in kept} >= {("entries", "2026-01-05T00:00Z")}
        assert all(one.is_success and one.run_id == first.run_id for one in kept)
        assert all(one.suite_sha256 == SUITES[one.suite].sha256 for one in kept)
    # Nothing is looked at twice.
    resource = resource_of(own.database)
    assert validate_due(SUITES["entries"], resource, "again") == ([], 0)

    (fault,) = [one for one in HOURS if one.fails == ("location_based_recomputes",)]
    planted = own.plant(1, fault)
    second = run(own)
    assert not second.success
    found = verdicts(second)
    assert found["ledger/iot_energy"] == (False, "ERROR")
    assert {name for name, (passed, _) in found.items() if not passed} == {"ledger/iot_energy"}
    with closing(own.database.reader()) as conn:
        now = datetime.now(UTC)
        (failing,) = blocking_failures(conn, {"entries": timedelta(days=7)}, now)
        late = now + timedelta(days=8)
        assert blocking_failures(conn, {"entries": timedelta(days=7)}, late) == []
        assert len(blocking_failures(conn, {"entries": None}, late)) == 1
        assert blocking_failures(conn, {"windows": None}, now) == []
        assert failing.unit == planted.unit
        (failure,) = failing.failures
        assert failure["expectation"] == fault.fails[0]
        assert failure["streams"] == ["iot_energy"]
        (standing,) = [one for one in suite_standings(conn) if one.suite == "entries"]
        assert (standing.units, standing.failing, standing.critical) == (2, 1, 1)

    monkeypatch.setenv("CARBON_DATABASE_READER_URL", own.database.reader_url)
    monkeypatch.setenv("CARBON_ORGANIZATIONS", "*")
    shown = CliRunner().invoke(command, ["show"])
    assert shown.exit_code == 1
    assert (
        f"entries {planted.unit}: critical {failure['expectation']}: 1 unexpected" in shown.output
    )
    told = json.loads(CliRunner().invoke(command, ["show", "--json"]).output)
    assert [one["unit"] for one in told["failing"]] == [planted.unit]
    page = tmp_path / "quality.html"
    made = CliRunner().invoke(command, ["report", "--suite", "entries", "--html", str(page)])
    assert made.exit_code == 1
    text = page.read_text(encoding="utf-8")
    assert failure["expectation"] in text
    assert not {"http:", "https:", "<script", "src="} & set(text.replace('"', " ").split())


def test_evidence_is_added_by_the_writer_alone_and_never_changed(own: World) -> None:
    own.superuser.execute("set session_replication_role = origin")
    resource = resource_of(own.database)
    (kept,), left = validate_due(SUITES["factors"], resource, "run")
    assert (kept.is_success, kept.rows_validated, left) == (True, 7500, 0)
    with closing(own.database.admin()) as owner:
        for change in (
            "update audit.validation set is_success = false",
            "delete from audit.validation",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                owner.execute(change.encode())
    with closing(own.database.verifier()) as conn, pytest.raises(psycopg.Error):
        conn.execute("insert into audit.validation select * from audit.validation")
    with closing(connect(own.database.reader_url, "tests", True, organizations="default")) as conn:
        assert conn.execute("select count(*) from audit.validation").fetchone() == (0,)


def test_what_is_left_when_the_time_is_up_waits_for_the_next_run(own: World) -> None:
    own.superuser.execute("set session_replication_role = replica")
    names = [own.plant(number, clean("factors")).unit for number in range(2)]
    resource = resource_of(own.database)
    times = iter(range(0, 1000, 100))
    done, left = validate_due(SUITES["factors"], resource, "run", 50.0, lambda: next(times))
    assert ([one.unit for one in done], left) == (names[:1], 2)


@pytest.mark.parametrize("every", [30, pytest.param(1, marks=pytest.mark.night)])
def test_the_demo_company_s_year_raises_no_alarm(every: int, url_of: Any, tmp_path: Path) -> None:
    """All its entries, every thirtieth day of its windows (at night each), factors and report."""
    looked: Counter[str] = Counter()
    with demo_ledger(url_of, tmp_path, [2025]) as demo:
        assert sum(one["ledgered"] for one in demo.fates.values()) > 2_000
        with closing(demo.database.writer(autocommit=True)) as conn:
            build_esrs_e1(conn, 2025, snapshot_id=uuid4(), run_id="test", code_version="test")
            later = knowledge_horizon(conn) + timedelta(hours=1)
            units = [
                (suite, unit)
                for suite in SUITES.values()
                for number, unit in enumerate(
                    due_units(
                        conn,
                        suite.units,
                        suite=suite.name,
                        suite_sha256=suite.sha256,
                        horizon=later,
                    )
                )
                if suite.name != "windows" or number % every == 0
            ]
        with Validator(demo.database.verifier_url) as validator:
            for suite, unit in units:
                outcome = validator.validate(suite, unit)
                assert [one.told() for one in outcome.failures] == [], (suite.name, unit)
                looked[suite.name] += outcome.rows
    assert looked["entries"] > 2_500
    assert looked["factors"] == 7_500
    assert looked["windows"] >= 365 // every
    assert looked["esrs_e1"] == 5


WATCHED = """
import json, os, sys
touched = []
def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and isinstance(arguments[1], str):
        if set("wax+") & set(arguments[1]) and arguments[0] != os.devnull:
            touched.append(arguments[0])
    elif event in ("socket.connect", "socket.getaddrinfo", "os.mkdir"):
        touched.append(f"{event} {arguments[-1]}")
sys.dont_write_bytecode = True
sys.addaudithook(hook)
from carbon_assets.suites import read_suite
from carbon_assets.validation import Validator
from carbon_ledger.store.validations import DueUnit
with Validator(sys.argv[1]) as validator:
    unit = DueUnit(unit=sys.argv[2], parameters={"unit": sys.argv[2]})
    outcome = validator.validate(read_suite("factors"), unit)
print(json.dumps([outcome.rows, touched, sorted(os.listdir("."))]))
"""


def test_a_look_writes_no_file_and_opens_no_connection_but_the_databases(
    own: World, tmp_path: Path
) -> None:
    """libpq's own connection is not seen by the interpreter; any other would be."""
    (unit,) = due(own, "factors")
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, own.database.verifier_url, unit],
        cwd=tmp_path,
        env={
            **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
            "HOME": str(tmp_path),
            "PYTHONPATH": str(PROJECT_ROOT),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    rows, touched, left = json.loads(done.stdout.splitlines()[-1])
    assert (rows, touched, left) == (7500, [], [])
