"""A connector is read with its secrets, shown nowhere; a file that would lose is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.settings import PROJECT_ROOT
from pipeline.connect import ConnectorStatus, Task, differences, read_connector

FOLDER = PROJECT_ROOT / "deploy" / "connect"
LOOKUP = {
    "ERP_HOST": "127.0.0.1",
    "ERP_PORT": "5433",
    "ERP_DATABASE": "erp",
    "ERP_USER": "erp_cdc",
    "ERP_PASSWORD": "s3cret",
    "ORACLE_HOST": "oracle.example",
    "ORACLE_USER": "c##cdc",
    "ORACLE_PASSWORD": "s3cret",
    "ORACLE_CONTAINER": "ORCLCDB",
    "ORACLE_DATABASE": "ORCLPDB1",
    "CARBON_KAFKA_BOOTSTRAP_SERVERS": "localhost:9092",
}


def written(folder: Path, **changes: Any) -> Path:
    content = json.loads((FOLDER / "erp-postgres.json").read_text(encoding="utf-8"))
    content["config"] |= changes
    content["config"] = {k: v for k, v in content["config"].items() if v is not None}
    path = folder / "connector.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_the_files_that_are_shipped_lose_nothing_and_keep_the_order(path: Path) -> None:
    config = read_connector(path, LOOKUP).config
    assert config["database.password"] == "s3cret"
    assert not any("{{" in value for value in config.values())
    assert config.get("errors.tolerance", "none") == "none"
    assert config["skipped.operations"] == "none", "a truncated table is told"
    assert config["topic.creation.default.partitions"] == "1", "the order of the log"
    assert config["decimal.handling.mode"] in ("string", "precise"), "no binary numbers"
    assert config["value.converter"].endswith("JsonConverter")


def test_a_secret_may_be_the_content_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from file\n", encoding="utf-8")
    path = written(tmp_path, **{"database.password": "{{file:password}}"})
    assert read_connector(path, LOOKUP).config["database.password"] == "from file"


def test_what_belongs_to_the_worker_is_left_to_it(tmp_path: Path) -> None:
    theirs = "${file:/run/secrets/erp:password}"
    path = written(tmp_path, **{"database.password": theirs})
    assert read_connector(path, LOOKUP).config["database.password"] == theirs


SINK = {"topics": "a", "errors.tolerance": "all"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"database.password": "s3cret"}, "database.password, which is a secret"),
        ({"database.password": "{{env:NOT_SET}}"}, "NOT_SET"),
        ({"database.password": "{{file:nowhere}}"}, "nowhere"),
        ({"tasks.max": 1}, "tasks.max"),
        ({"connector.class": None}, "connector.class"),
        ({"errors.tolerance": "all"}, "would drop what it cannot convert"),
        (SINK, "dlq.failed_events"),
        ({**SINK, "errors.deadletterqueue.topic.name": "other"}, "dlq.failed_events"),
        ({**SINK, "errors.deadletterqueue.topic.name": "dlq.failed_events"}, "headers.enable=true"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_and_its_secret_not_told(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        read_connector(written(tmp_path, **changes), LOOKUP)
    assert refusal.value.code == "connector_file"
    assert said in refusal.value.message
    assert "s3cret" not in refusal.value.message


def test_what_changes_is_shown_and_a_secret_only_that_it_changes() -> None:
    before = {"name": "erp", "tasks.max": "1", "database.password": "old", "gone": "x"}
    after = {"tasks.max": "2", "database.password": "new"}
    assert differences(before, after) == [
        "database.password: (not shown) -> (not shown)",
        "gone: 'x' -> nothing",
        "tasks.max: '1' -> '2'",
    ]
    assert differences({"name": "erp", **after}, after) == []


@pytest.mark.parametrize(
    ("trace", "advice"),
    [
        ("io.debezium.DebeziumException: x\nCaused by: org.postgresql.util.PSQLException: FATAL: "
         "password authentication failed for user \"erp_cdc\"", "correct the secret"),
        ("java.net.ConnectException: Connection refused", "cannot be reached"),
        ("PSQLException: ERROR: replication slot \"s\" is active for PID 7", "another connector"),
        ("ConnectException: Publication autocreation is disabled, create one", "publication is"),
        ("ERROR: publication \"p\" does not exist", "the publication is missing"),
        ("java.lang.IllegalStateException: what is this", "worker's log"),
    ],
)  # fmt: skip
def test_a_failed_task_says_why_and_what_to_do(trace: str, advice: str) -> None:
    task = Task(number=0, state="FAILED", trace=trace)
    assert advice in task.advice
    assert trace.splitlines()[0] in task.reason
    assert trace.splitlines()[-1].removeprefix("Caused by: ") in task.reason


def test_a_connector_without_a_task_does_not_run() -> None:
    one = Task(number=None, state="RUNNING", trace="")
    assert not ConnectorStatus(name="a", parts=(one,)).is_running
    task = Task(number=0, state="RUNNING", trace="")
    assert ConnectorStatus(name="a", parts=(one, task)).is_running
    paused = Task(number=0, state="PAUSED", trace="")
    assert not ConnectorStatus(name="a", parts=(one, paused)).is_running
