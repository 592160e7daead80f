"""Who may import whom, that the guards catch a breach, and what a cold start drags in."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from carbon_ledger.settings import PROJECT_ROOT

PYPROJECT = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ROOMS: list[str] = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
LINT = Path(sys.executable).parent / "lint-imports"


def lint(folder: Path) -> str:
    """Report of the import contracts for the tree in `folder`."""
    done = subprocess.run(
        [LINT, "--config", ".importlinter", "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.stdout + done.stderr


def copy_of_rooms(folder: Path) -> None:
    for room in ROOMS:
        shutil.copytree(
            PROJECT_ROOT / room,
            folder / room,
            ignore=lambda _, names: [n for n in names if n == "__pycache__"],
        )
    shutil.copy(PROJECT_ROOT / ".importlinter", folder)


def test_imports_go_one_way() -> None:
    report = lint(PROJECT_ROOT)
    assert "0 broken" in report, report


BREACHES = [
    ("carbon_ledger/streams.py", "import pipeline.topics", "carbon_ledger.streams -> pipeline"),
    ("pipeline/topics.py", "import spark.session", "pipeline.topics -> spark.session"),
    ("spark/session.py", "import resources.database", "spark.session -> resources.database"),
    ("resources/kafka.py", "import sensors.planner", "resources.kafka -> sensors.planner"),
    (
        "sensors/planner.py",
        "import carbon_assets.ledger",
        "sensors.planner -> carbon_assets.ledger",
    ),
    ("devstack/layout.py", "import pipeline.kafka", "devstack.layout -> pipeline.kafka"),
    ("sensors/windows.py", "import devstack.stack", "sensors.windows -> devstack.stack"),
    ("carbon_ledger/planning.py", "import dagster", "carbon_ledger.planning -> dagster"),
    ("carbon_ledger/entries.py", "import psycopg", "carbon_ledger.entries -> psycopg"),
    ("spark/session.py", "import psycopg", "spark.session -> psycopg"),
    ("pipeline/kafka.py", "import pyspark", "pipeline.kafka -> pyspark"),
    ("verifier/tree.py", "import carbon_ledger.merkle", "verifier.tree -> carbon_ledger.merkle"),
    ("carbon_assets/checks.py", "import verifier.tree", "carbon_assets.checks -> verifier.tree"),
    ("api/problems.py", "import psycopg", "api.problems -> psycopg"),
    ("api/bodies.py", "import pyspark", "api.bodies -> pyspark"),
    ("api/problems.py", "import spark.trace", "api.problems -> spark.trace"),
    ("api/client_answers.py", "import fastapi", "api.client_answers -> fastapi"),
    ("verifier/check_proof.py", "import numpy", "verifier.check_proof -> numpy"),
]


def test_each_breach_of_a_contract_is_found(tmp_path: Path) -> None:
    copy_of_rooms(tmp_path)
    assert "0 broken" in lint(tmp_path)
    for file, line, _ in BREACHES:
        path = tmp_path / file
        path.write_text(path.read_text(encoding="utf-8") + f"\n{line}\n", encoding="utf-8")
    report = " ".join(lint(tmp_path).split())
    missed = [found for _, _, found in BREACHES if found not in report]
    assert missed == []
    assert "0 kept" in report


def imported_by(statement: str, suspects: Sequence[str]) -> list[str]:
    """Which of `suspects` a fresh interpreter has loaded after `statement`."""
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            f"import sys\n{statement}\nprint(*[m for m in {list(suspects)!r} if m in sys.modules])",
        ],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("statement", "strangers"),
    [
        (
            "import carbon_ledger.events, carbon_ledger.planning, carbon_ledger.factor_book.book",
            ("dagster", "pyspark", "fastapi", "psycopg", "confluent_kafka", "pandas", "httpx"),
        ),
        ("import pipeline.producers", ("dagster", "pyspark", "fastapi", "pandas", "psycopg")),
        ("import carbon_ledger.store.manifest", ("dagster", "pyspark", "confluent_kafka")),
        (
            "import carbon_assets.definitions",
            ("pandas", "pyspark", "great_expectations", "pyarrow"),
        ),
        (
            "import api.client",
            (
                *("dagster", "pyspark", "fastapi", "psycopg", "confluent_kafka", "carbon_ledger"),
                "pandas",
            ),
        ),
        ("import spark.trace", ("dagster", "pyspark", "pandas")),
        (
            "import api.app",
            ("dagster", "pyspark", "pandas", "great_expectations", "pyarrow"),
        ),
        ("import cli.main", ("dagster", "pyspark", "psycopg", "confluent_kafka", "devstack")),
    ],
)
def test_a_cold_start_loads_no_stranger(statement: str, strangers: tuple[str, ...]) -> None:
    """A run starts a process of its own: what its definitions import is paid with every batch."""
    assert imported_by(statement, strangers) == []


def test_the_cold_start_test_sees_a_stranger() -> None:
    assert imported_by("import json, psycopg", ("psycopg", "dagster")) == ["psycopg"]


def test_the_drivers_are_whole_before_a_sensor_ticks() -> None:
    """Two threads that were first to import psycopg left it without `connect`, for good."""
    drivers = ("psycopg", "confluent_kafka")
    assert imported_by("import carbon_assets.definitions", drivers) == list(drivers)


def test_nothing_but_dagster_itself_is_slow_to_import() -> None:
    """No room drags in what a run does not need: our own share of the import stays small."""
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-X",
            "importtime",
            "-c",
            # A collection of all of Dagster's objects would be counted where it happens to begin.
            "import gc; gc.disable(); import carbon_assets.definitions",
        ],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    shares = [
        (int(line.split(":")[1].split("|")[0]), line.split("|")[-1].strip().split(".")[0] in ROOMS)
        for line in done.stderr.splitlines()
        if line.startswith("import time:") and "self [us]" not in line
    ]
    own, whole = sum(us for us, is_own in shares if is_own), sum(us for us, _ in shares)
    # A share, because a time depends on who else uses the machine; 18 % where this was written,
    # most of it the making of Dagster's objects.
    assert own < whole / 3, f"{own} of {whole} µs in our own modules"


def foreign_owners(
    rooms: Sequence[str], owners: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """Rooms that a distribution other than ours claims too."""
    foreign = {room: sorted(set(owners.get(room, ())) - {"carbon-ledger"}) for room in rooms}
    return {room: names for room, names in foreign.items() if names}


def test_each_room_is_ours_alone() -> None:
    """`spark`, `api` and `scripts` are names that somebody else may take: then one shadows the
    other."""
    rooms = [*ROOMS, "tests"]
    assert foreign_owners(rooms, importlib.metadata.packages_distributions()) == {}


def test_a_stranger_in_a_room_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spark").mkdir()
    (tmp_path / "spark" / "__init__.py").touch()
    info = tmp_path / "stranger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (info / "top_level.txt").write_text("spark\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = foreign_owners(ROOMS, importlib.metadata.packages_distributions())
    assert found == {"spark": ["stranger"]}


def test_every_room_is_listed_and_its_init_is_empty() -> None:
    """A parent's `__init__` runs with every import below it, and no contract sees what it drags
    in."""
    on_disk = {path.parent.name for path in PROJECT_ROOT.glob("*/__init__.py")}
    assert on_disk == set(ROOMS)
    full = [
        str(path.relative_to(PROJECT_ROOT))
        for room in ROOMS
        for path in (PROJECT_ROOT / room).rglob("__init__.py")
        if path.stat().st_size
    ]
    assert full == []
