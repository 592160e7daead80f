"""The daily verification and the look for what stays unsealed, beside planted faults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from carbon_assets.definitions import build_definitions
from carbon_assets.verification import run_verifier
from carbon_ledger import settings
from carbon_ledger.notes import Signer
from carbon_ledger.store.seals import seal_pending
from pipeline.heads import PUBLIC_KEY
from tests.support.postgres import Connection, LedgerDatabase, claim, reading, scratch_database
from tests.support.sealed_ledger import ORIGIN, fill, new_signer, post_part, with_payloads

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


@dataclass(frozen=True, kw_only=True)
class Ground:
    """A sealed ledger that the settings lead to, its heads outside, a superuser on it."""

    database: LedgerDatabase
    signer: Signer
    heads: Path
    superuser: Connection

    def run(self, job: str, check: str) -> tuple[bool, str, dict[str, Any]]:
        """Whether the job's check passed, what it says, and the metadata of its run."""
        result = build_definitions().resolve_job_def(job).execute_in_process()
        (found,) = [one for one in result.get_asset_check_evaluations() if one.check_name == check]
        metadata = dict(found.metadata)
        for one in result.get_asset_materialization_events():
            metadata |= one.materialization.metadata
        values = {name: value.value for name, value in metadata.items()}
        return found.passed, found.description or "", values

    def verify(self) -> tuple[bool, str, dict[str, Any]]:
        return self.run("verify", "ledger_verifies")

    def check_sealing(self) -> tuple[bool, str, dict[str, Any]]:
        return self.run("check_sealing", "commits_are_sealed")


@pytest.fixture
def ground(stack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    heads = tmp_path / "elsewhere"
    heads.mkdir()
    signer = new_signer()
    (heads / PUBLIC_KEY).write_text(str(signer.key))
    with scratch_database(stack.layout.database_url) as database:
        for number, note in enumerate(fill(database, signer, parts=4)):
            (heads / f"{number}.note").write_text(note)
        monkeypatch.setenv("CARBON_DATABASE_VERIFIER_URL", database.verifier_url)
        monkeypatch.setenv("CARBON_DATABASE_SEALER_URL", database.sealer_url)
        monkeypatch.setenv("CARBON_VERIFY_HEADS", str(heads))
        name = database.writer_url.rpartition("/")[2]
        url = stack.layout.database_url("postgres", name)
        with psycopg.connect(url, autocommit=True) as superuser:
            superuser.execute("set session_replication_role = replica")
            yield Ground(database=database, signer=signer, heads=heads, superuser=superuser)


def test_a_ledger_that_nobody_touched_passes_and_tells_what_was_looked_at(ground: Ground) -> None:
    passed, said, metadata = ground.verify()
    assert (passed, said) == (True, "no difference")
    assert metadata["entries"] > 400
    assert metadata["heads_outside"] == 2
    assert metadata["findings"] == "none"


def test_one_changed_figure_fails_the_check_and_is_named(ground: Ground) -> None:
    row = ground.superuser.execute(
        "update ledger.entry set kgco2e = kgco2e + 1 where entry_id ="
        " (select entry_id from ledger.entry order by event_id limit 1) returning entry_id::text"
    ).fetchone()
    assert row is not None
    passed, said, metadata = ground.verify()
    assert not passed
    assert "differences" in said
    assert metadata["counts"]["entry_altered"] == 1
    assert row[0] in metadata["findings"]


def test_a_head_that_is_only_outside_any_more_fails_the_check(ground: Ground) -> None:
    ground.superuser.execute("delete from audit.head where prev_size is not null")
    passed, _, metadata = ground.verify()
    assert not passed
    assert metadata["counts"] == {"head_rolled_back": 1}


def test_without_a_verdict_the_check_fails_and_says_why(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("CARBON_VERIFY_HEADS", str(ground.heads / "not there"))
        passed, said, metadata = ground.verify()
        assert not passed
        assert "not there" in said
        assert metadata["exit_status"] == 2
    slow = run_verifier(settings.load(), seconds=0.01)
    assert not slow.passed
    assert slow.words == "no verdict: it took more than 0.01 s"
    ground.superuser.execute("revoke select on audit.commit from carbon_verifier")
    passed, said, _ = ground.verify()
    assert not passed
    assert "no verdict: carbon verify: the ledger cannot be read: permission denied" in said


def test_a_commit_that_stays_without_a_seal_fails_the_check_until_it_is_sealed(
    ground: Ground,
) -> None:
    with ground.database.writer(autocommit=True) as conn:
        (part,) = claim(conn, {0: (0, 3)}, topic="raw.unsealed")
        post_part(conn, part, with_payloads([reading(20_000 + at) for at in range(3)]))
    passed, _, metadata = ground.check_sealing()
    # It is young yet.
    assert (passed, metadata["commits"]) == (True, 0)
    ground.superuser.execute(
        "update audit.commit set recorded_at = recorded_at - interval '16 min' where batch_id = %s",
        (part.batch_id,),
    )
    passed, said, metadata = ground.check_sealing()
    assert not passed
    assert said.startswith("3 entries of 1 commits have no seal, the oldest since ")
    assert metadata["batches"] == [str(part.batch_id)]
    assert 960 <= metadata["age_seconds"] < 1500
    with ground.database.sealer() as conn:
        assert seal_pending(conn, ground.signer, ORIGIN)
    assert ground.check_sealing()[0]


def test_the_seal_job_leaves_the_look_at_its_absence_to_another() -> None:
    definitions = build_definitions()
    names = {
        name: sorted(node.name for node in definitions.resolve_job_def(name).nodes)
        for name in ("seal", "check_sealing", "verify")
    }
    assert names["seal"] == ["audit__heads"]
    assert names["verify"] == ["audit__verification"]
    assert names["check_sealing"] == ["audit__heads_commits_are_sealed"]
