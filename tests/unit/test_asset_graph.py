"""The asset graph as a whole, beside a golden file: a change of it is seen, and is on purpose.

`UPDATE_GOLDEN=1 pytest tests/unit/test_asset_graph.py` rewrites the file.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import Any

import dagster as dg

from carbon_assets import column_lineage, columns, freshness
from carbon_assets.definitions import build_definitions
from carbon_ledger.settings import PROJECT_ROOT
from carbon_ledger.streams import STREAMS, Stream

GOLDEN = PROJECT_ROOT / "tests" / "golden" / "asset_graph.txt"
MIGRATIONS = PROJECT_ROOT / "carbon_ledger" / "store" / "migrations"


def described(definitions: dg.Definitions) -> str:
    """Every asset with what it hangs on, its partitions and checks; jobs, sensors and schedules."""
    repository = definitions.get_repository_def()
    graph = repository.asset_graph
    lines = []
    for key in sorted(graph.get_all_asset_keys(), key=lambda key: key.to_user_string()):
        node = graph.get(key)
        parents = sorted(parent.to_user_string() for parent in node.parent_keys)
        checks = sorted(check.name for check in node.check_keys)
        kind = "asset" if node.is_materializable else "external"
        partitions = type(node.partitions_def).__name__ if node.partitions_def else "none"
        lines.append(f"{kind} {key.to_user_string()} [{node.group_name}] partitions={partitions}")
        lines.append(f"  from: {', '.join(parents) or 'nothing'}")
        lines.append(f"  checks: {', '.join(checks) or 'none'}")
        if node.freshness_policy is not None:
            lines.append(f"  fresh: {told(node.freshness_policy)}")
    jobs = sorted(job.name for job in repository.get_all_jobs() if not job.name.startswith("__"))
    lines.append(f"jobs: {', '.join(jobs)}")
    sensors = sorted(
        (s.name, s.default_status.value, s.minimum_interval_seconds) for s in repository.sensor_defs
    )
    lines.extend(f"sensor {name}: {status}, every {seconds} s" for name, status, seconds in sensors)
    lines.extend(
        f"schedule {s.name}: {s.default_status.value}, {s.cron_schedule}"
        for s in repository.schedule_defs
    )
    return "\n".join(lines) + "\n"


def told(policy: Any) -> str:
    """When it warns and when it fails."""
    warn, fail = policy.warn_window.to_timedelta(), policy.fail_window.to_timedelta()
    return f"warns after {warn}, fails after {fail}"


def test_ledgers_windows_and_reports_say_when_they_are_stale() -> None:
    graph = build_definitions().get_repository_def().asset_graph
    wanted = {
        *(dg.AssetKey(stream.ledger_key) for stream in STREAMS),
        *(dg.AssetKey(["windows", name]) for name in ("five_minute", "daily")),
        *(dg.AssetKey(["reports", name]) for name in ("esrs_e1", "cdp_7")),
    }
    found = {key for key in graph.get_all_asset_keys() if graph.get(key).freshness_policy}
    assert found == wanted
    assert set(freshness.STREAMS) == {stream.name for stream in STREAMS}


def test_the_graph_is_the_one_in_the_golden_file() -> None:
    found = described(build_definitions())
    if os.environ.get("UPDATE_GOLDEN") == "1":
        GOLDEN.write_text(found, encoding="utf-8")
    assert found == GOLDEN.read_text(encoding="utf-8")


def another() -> Stream:
    return replace(STREAMS[0], name="weather", topic="raw.weather", title="Weather")


def test_another_stream_is_another_row_of_the_registry_and_nothing_else() -> None:
    definitions = build_definitions(streams=(*STREAMS, another()))
    found = described(definitions)
    assert "asset ledger/weather" in found
    assert "sensor plan_weather: RUNNING" in found
    assert "external raw/weather" in found
    assert "ledger/transport, ledger/weather" in found


def test_the_golden_comparison_sees_a_change() -> None:
    assert described(build_definitions(streams=(another(),))) != GOLDEN.read_text(encoding="utf-8")


def test_every_asset_says_what_it_is_and_whose() -> None:
    graph = build_definitions().get_repository_def().asset_graph
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert node.owners, key
        assert node.kinds, key


def undescribed(definitions: dg.Definitions) -> list[str]:
    """What assets do not say of themselves: asset and what is missing."""
    graph = definitions.get_repository_def().asset_graph
    missing = []
    for key in sorted(graph.get_all_asset_keys()):
        node, name = graph.get(key), key.to_user_string()
        schema = node.metadata.get("dagster/column_schema")
        if not isinstance(schema, dg.TableSchema) or not schema.columns:
            missing.append(f"{name}: column_schema")
        docs = node.metadata.get("docs")
        if docs is None or not (PROJECT_ROOT / str(docs.value)).is_file():
            missing.append(f"{name}: docs")
        if node.is_materializable and not node.code_version:
            missing.append(f"{name}: code_version")
        has_parents = bool(node.parent_keys)
        lineage = node.metadata.get("dagster/column_lineage")
        if has_parents and (lineage is None or "columns_from" not in node.metadata):
            missing.append(f"{name}: column_lineage")
    return missing


def test_every_asset_says_its_columns_where_they_come_from_and_where_it_is_documented() -> None:
    assert undescribed(build_definitions()) == []


def test_an_asset_that_says_nothing_of_its_columns_is_named() -> None:
    @dg.asset(deps=[dg.AssetKey(["windows", "daily"])])
    def planted() -> None: ...

    whole = build_definitions()
    found = undescribed(dg.Definitions.merge(whole, dg.Definitions(assets=[planted])))
    assert found == [
        f"planted: {what}" for what in ("column_schema", "docs", "code_version", "column_lineage")
    ]


def test_lineage_leads_from_columns_that_are_there_to_columns_that_are_there() -> None:
    facts = column_lineage.facts_by_key(STREAMS)
    for key, one in facts.items():
        for name, sources in one.sources.items():
            assert name in one.columns, (key, name)
            assert sources, (key, name)
            for asset, column in sources:
                assert column in facts[asset].columns, (key, name, asset, column)


def test_ledger_runs_are_retried_by_the_planner_alone() -> None:
    job = build_definitions().resolve_job_def("ledger_iot_energy")
    assert job.tags["dagster/max_retries"] == "0"
    assert [node.name for node in job.nodes] == ["ledger__iot_energy"]


def test_no_secret_is_in_any_resource_configuration() -> None:
    """What a resource's fields hold is shown in the web UI."""
    resources = build_definitions().resources or {}
    fields = {name: sorted(type(resource).model_fields) for name, resource in resources.items()}
    assert fields == {
        "database": ["application"],
        "kafka": ["timeout_seconds"],
        "spark": ["remote"],
    }


def test_columns_shown_are_columns_of_the_tables() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(MIGRATIONS.glob("*.sql")))
    tables = {
        "create table ledger.entry (": columns.ENTRY_COLUMNS,
        "create table windows.five_minute_delta (": {
            name: kind
            for name, kind in columns.WINDOW_COLUMNS.items()
            if name not in ("entries", "lines")  # sums are wider than what they sum
        },
        "create table reports.esrs_e1 (": columns.REPORT_COLUMNS,
        "create table factors.factor (": columns.FACTOR_COLUMNS,
    }
    short = {"timestamptz": "timestamp with time zone"}
    for start, shown in tables.items():
        body = text.split(start, 1)[1].split("\n)", 1)[0]
        words = [line.split() for line in body.splitlines() if line.strip()]
        found = {w[0]: w[1].split("(")[0].rstrip(",") for w in words if w[0] != "constraint"}
        table = start.removeprefix("create table ").removesuffix(" (")
        for altered in text.split(f"alter table {table}\n")[1:]:
            found |= dict(re.findall(r"^ +add column (\w+) +(\w+)", altered.split(";", 1)[0], re.M))
        for name, (kind, _) in shown.items():
            assert short.get(found[name], found[name]) == kind, (start, name)
