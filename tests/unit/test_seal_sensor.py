"""When a seal is asked for, and what a run says of itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from carbon_assets.audit import facts
from carbon_assets.definitions import build_definitions
from carbon_ledger.store.heads import Head
from carbon_ledger.store.seals import Sealed
from pipeline.heads import Outcome, Published
from sensors.one_run import EVERY, RUN_SECONDS_MAX, LastRun, last_run, plan_run

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
LONG_AGO = (NOW - timedelta(hours=1)).isoformat()


@pytest.mark.parametrize(
    ("is_waiting", "last", "cursor", "asked"),
    [
        (True, LastRun(), None, True),
        (True, LastRun(), LONG_AGO, True),
        (False, LastRun(), LONG_AGO, False),
        (True, LastRun(is_running=True), LONG_AGO, False),
        (True, LastRun(), (NOW - EVERY + timedelta(seconds=1)).isoformat(), False),
        (True, LastRun(), (NOW - EVERY).isoformat(), True),
        (True, LastRun(has_failed=True), (NOW - EVERY).isoformat(), False),
        (True, LastRun(has_failed=True), LONG_AGO, True),
        (True, LastRun(), "no moment", True),
        (True, LastRun(), (NOW + timedelta(hours=2)).isoformat(), True),
    ],
)
def test_a_seal_is_asked_for_when_there_is_work_and_at_most_every_few_seconds(
    is_waiting: bool, last: LastRun, cursor: str | None, asked: bool
) -> None:
    assert len(plan_run(is_waiting, last, cursor, NOW, verb="seal")) == asked


def test_a_run_that_was_killed_is_not_waited_for_longer_than_a_minute() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert last_run(instance, "seal", NOW) == LastRun()
        job = build_definitions().resolve_job_def("seal")
        instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        now = datetime.now(UTC)
        assert last_run(instance, "seal", now).is_running
        later = now + timedelta(seconds=RUN_SECONDS_MAX + 1)
        assert not last_run(instance, "seal", later).is_running
        instance.create_run_for_job(job, status=dg.DagsterRunStatus.FAILURE)
        assert last_run(instance, "seal", now) == LastRun(has_failed=True)
        assert last_run(instance, "another", now) == LastRun()


def test_seals_are_not_retried_by_dagster_and_are_no_upkeep() -> None:
    tags = build_definitions().resolve_job_def("seal").tags
    assert tags["dagster/max_retries"] == "0"
    assert "carbon/upkeep" not in tags


def sealed(number: int) -> Sealed:
    return Sealed(
        seal_no=number,
        batch_id=number,
        first_leaf=0,
        leaves=10,
        tree_size=10,
        batch_root=b"",
        tree_root=b"",
        commits=1,
    )


def test_a_run_says_what_it_sealed_signed_and_published() -> None:
    head = Head(
        tree_size=20,
        prev_size=None,
        seal_no=2,
        origin="carbon-ledger",
        root=bytes(32),
        note="carbon-ledger\n20\n",
        public_key=bytes(32),
        signed_at=NOW,
    )
    published = [Published(place="kafka", tree_size=20, receipt="")]
    said = facts([Outcome(sealed=[sealed(1), sealed(2)], head=head, published=published)])
    assert (said["seals"], said["entries_sealed"], said["seal_range"]) == (2, 20, "1 to 2")
    assert (said["tree_size"], said["root"]) == (20, "00" * 32)
    assert said["published"] == ["20 to kafka"]
    assert facts([Outcome(sealed=[], head=None, published=[])])["seals"] == 0
