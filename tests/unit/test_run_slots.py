"""Who may run beside whom: the tags of the jobs against the limits of dagster.yaml."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from carbon_assets.definitions import defs
from carbon_ledger.settings import PROJECT_ROOT
from carbon_ledger.streams import STREAMS

# Jobs of which a sensor has one run at a time.
SINGLE = ("seal", "supersession", "supplier_drops")


@pytest.fixture(scope="module")
def runs() -> dict[str, Any]:
    text = (PROJECT_ROOT / "dagster.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)["concurrency"]["runs"]
    return found


def limits(runs: dict[str, Any]) -> dict[str, int]:
    return {one["key"]: one["limit"] for one in runs["tag_concurrency_limits"]}


def tags(job: str) -> dict[str, str]:
    return dict(defs.resolve_job_def(job).tags)


def test_the_slots_of_every_kind_of_run_add_up(runs: dict[str, Any]) -> None:
    """Were there fewer slots than the limits allow, upkeep could take one that a batch needs."""
    by_key = limits(runs)
    kinds = ("carbon/ledger", "carbon/upkeep", "dagster/backfill")
    assert sum(by_key[kind] for kind in kinds) + len(SINGLE) == runs["max_concurrent_runs"]


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_a_batch_goes_first_and_takes_no_slot_of_upkeep(stream: Any) -> None:
    found = tags(f"ledger_{stream.name}")
    assert found["carbon/ledger"] == "yes"
    assert found["carbon/stream"] == stream.name
    assert "carbon/upkeep" not in found
    others = ("windows", "reports", "relay_dead_letters", "purge_dagster", *SINGLE)
    assert all(
        int(found["dagster/priority"]) > int(tags(job).get("dagster/priority", "0"))
        for job in others
    )


@pytest.mark.parametrize("job", ["windows", "reports", "relay_dead_letters", "purge_dagster"])
def test_upkeep_is_limited_all_together(job: str) -> None:
    assert tags(job)["carbon/upkeep"] == "yes"
    assert "carbon/ledger" not in tags(job)


def test_urgent_streams_are_looked_at_more_often_than_patient_ones() -> None:
    ticks = {stream.name: defs.resolve_sensor_def(f"plan_{stream.name}") for stream in STREAMS}
    seconds = {name: sensor.minimum_interval_seconds or 30 for name, sensor in ticks.items()}
    assert seconds["iot_energy"] == 3
    for stream in STREAMS:
        assert 3 <= seconds[stream.name] <= max(3, stream.max_wait_seconds // 2)
