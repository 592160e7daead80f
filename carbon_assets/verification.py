"""audit/verification: the whole ledger recomputed once a day, and a look for what stays unsealed.

Belongs here: the asset, the two checks, their jobs and schedules. Does not: any comparison. The
verifier runs as a process of its own, `carbon verify`, which shares no code with the ledger.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from carbon_assets import audit
from carbon_assets.jobs import AT_LEISURE
from carbon_assets.markdown import table
from carbon_ledger.settings import PROJECT_ROOT, Settings
from carbon_ledger.version import code_version
from resources.database import LedgerDatabase

KEY = dg.AssetKey(["audit", "verification"])
VERIFIES_CHECK = "ledger_verifies"
# A batch's parts come within seconds of each other and its seal within half a minute.
SEALED_WITHIN = timedelta(minutes=15)
# At 60,000 entries a second this is some 800 million entries.
VERIFY_SECONDS = 4 * 3600
FINDINGS_SHOWN = 100
# What the process needs to find Python and itself; no other password than the verifier's.
PASSED_ON = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TMPDIR", "HOME", "SYSTEMROOT")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What `carbon verify` said: its exit status, its report ({} without a verdict), its words."""

    status: int
    report: Mapping[str, Any]
    said: str

    @property
    def passed(self) -> bool:
        """Whether there is a verdict and nothing differs."""
        return self.status == 0 and self.report.get("clean") is True

    @property
    def words(self) -> str:
        """The verdict in one sentence."""
        if self.passed:
            return "no difference"
        if self.report:
            return f"{self.report['differences']:,} differences"
        return f"no verdict: {self.said}"


def run_verifier(settings: Settings, seconds: float = VERIFY_SECONDS) -> Verdict:
    """Runs `carbon verify --json` as the verifier's role, against the heads outside.

    Raises ConfigurationError if no setting gives the verifier's URL. A verifier that takes longer
    than `seconds` is stopped, and there is no verdict.
    """
    folder = settings.verify_heads_folder
    command = [sys.executable, "-m", "cli.main", "verify", "--json"]
    # One that was named and is not there must not be silently another.
    if folder.is_dir() or settings.get("CARBON_VERIFY_HEADS"):
        command += ["--heads", str(folder)]
    for number in settings.accepted_restores:
        command += ["--accept-restore", str(number)]
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment |= {
        "CARBON_HOME": str(settings.home),
        "CARBON_DATABASE_VERIFIER_URL": settings["CARBON_DATABASE_VERIFIER_URL"],
    }
    try:
        done = subprocess.run(
            command,
            cwd=PROJECT_ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return Verdict(status=2, report={}, said=f"it took more than {seconds:g} s")
    try:
        report = json.loads(done.stdout) if done.returncode in (0, 1) else {}
    except json.JSONDecodeError:
        report = {}
    said = " ".join(done.stderr.split())[-1000:]
    return Verdict(status=done.returncode, report=report, said=said or "it says nothing")


@dg.asset(
    key=KEY,
    deps=[audit.KEY],
    group_name="audit",
    kinds={"postgres"},
    owners=["team:data-platform"],
    description="The verdict of `carbon verify`: every entry hashed anew and compared with its "
    "commit, seal, tree and the signed heads that left the database (CARBON_VERIFY_HEADS), by a "
    "process that shares no code with the ledger and may only read.",
    code_version=code_version(),
    check_specs=[
        dg.AssetCheckSpec(
            VERIFIES_CHECK,
            asset=KEY,
            description="the verifier gives a verdict, and nothing differs",
        )
    ],
)
def verification(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Recomputes the ledger and says what differs."""
    from carbon_ledger import settings

    verdict = run_verifier(settings.load())
    check = dg.AssetCheckResult(
        check_name=VERIFIES_CHECK,
        passed=verdict.passed,
        description=verdict.words,
        metadata={"counts": dict(verdict.report.get("counts", {}))},
    )
    return dg.MaterializeResult(metadata=verdict_metadata(verdict), check_results=[check])


def verdict_metadata(verdict: Verdict) -> dict[str, Any]:
    """The report, to read; of findings the first FINDINGS_SHOWN."""
    found: dict[str, Any] = {"verdict": verdict.words, "exit_status": verdict.status}
    if not verdict.report:
        return found
    findings = [
        (
            *(one["code"], one["table"]),
            " ".join(f"{name}={value}" for name, value in one["where"].items()),
            one["message"],
        )
        for one in verdict.report["findings"][:FINDINGS_SHOWN]
    ]
    looked_at = verdict.report["looked_at"]
    return {
        **found,
        "differences": verdict.report["differences"],
        "dagster/row_count": len(verdict.report["findings"]),
        "entries": looked_at["entries"],
        "heads_outside": looked_at["heads outside the database"],
        "looked_at": dict(looked_at),
        "unsealed": dict(verdict.report["unsealed"]),
        "notes": list(verdict.report["notes"]),
        "seconds": verdict.report["seconds"]["total"],
        "findings": table(("code", "table", "where", "what"), findings) if findings else "none",
    }


@dg.asset_check(
    name=audit.SEALED_CHECK,
    asset=audit.KEY,
    description=f"no commit is without a seal for more than {SEALED_WITHIN.seconds // 60} minutes",
)
def commits_are_sealed(
    context: dg.AssetCheckExecutionContext, database: LedgerDatabase
) -> dg.AssetCheckResult:
    """Looks by itself, since a sealer that does not run reports nothing."""
    from carbon_ledger.store.heads import overdue

    with database.connect_as_sealer("sealing check") as conn:
        late = overdue(conn, SEALED_WITHIN)
    metadata: dict[str, Any] = {"commits": late.commits, "entries": late.entries}
    if late.oldest is None:
        return dg.AssetCheckResult(passed=True, metadata=metadata)
    return dg.AssetCheckResult(
        passed=False,
        description=f"{late.entries} entries of {late.commits} commits have no seal, the oldest "
        f"since {late.oldest.isoformat()}",
        metadata={
            **metadata,
            "oldest": late.oldest.isoformat(),
            "age_seconds": int((datetime.now(UTC) - late.oldest).total_seconds()),
            "batches": [str(one) for one in late.batch_ids[:FINDINGS_SHOWN]],
        },
    )


verify_job = dg.define_asset_job(
    "verify",
    selection=dg.AssetSelection.assets(KEY),
    tags={
        **AT_LEISURE,
        "dagster/max_retries": "0",
        "dagster/max_runtime": str(VERIFY_SECONDS + 600),
    },
    description="Recomputes the whole ledger and compares it with the heads outside.",
)
sealing_job = dg.define_asset_job(
    "check_sealing",
    selection=dg.AssetSelection.checks(dg.AssetCheckKey(audit.KEY, audit.SEALED_CHECK)),
    tags=AT_LEISURE,
    description="Looks for commits that stay without a seal.",
)
verify_daily = dg.ScheduleDefinition(
    name="verify_daily",
    job=verify_job,
    cron_schedule="10 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Recomputes the whole ledger every night.",
)
check_sealing_often = dg.ScheduleDefinition(
    name="check_sealing_often",
    job=sealing_job,
    cron_schedule="*/15 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Whether everything that was committed is sealed in time.",
)
