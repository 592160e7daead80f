"""Suites of expectations as asset checks, by one factory; every hour, what was not looked at yet.

Belongs here: which suite is of which asset, the checks, their job and schedule. Does not: suites
(carbon_assets.suites), evaluating one (carbon_assets.validation), the evidence
(carbon_ledger.store.validations).

No batch waits for any of this: a closed hour, a day, a release or a snapshot is looked at in a run
of its own, at leisure.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dagster as dg

from carbon_assets import factors, period_postings, reports, windows
from carbon_assets.checks import EXPECTATIONS_CHECK
from carbon_assets.jobs import AT_LEISURE, NO_RETRY
from carbon_assets.markdown import table
from carbon_assets.suites import Suite, read_suites
from carbon_ledger.streams import Stream
from carbon_ledger.version import code_version
from resources.database import LedgerDatabase

if TYPE_CHECKING:
    from carbon_ledger.store.validations import Validation

JOB = "data_quality"
# What is left over when this is used up waits for the next hour.
SUITE_SECONDS = 600.0
FAILURES_SHOWN = 50


def assets_of(streams: Sequence[Stream]) -> dict[str, list[dg.AssetKey]]:
    """By suite, the assets whose check it is; a suite of entries is of every stream."""
    ledgers = [dg.AssetKey(stream.ledger_key) for stream in streams]
    return {
        "entries": [*ledgers, period_postings.KEY],
        "windows": [windows.FIVE_MINUTE],
        "factors": [factors.KEY],
        "esrs_e1": [reports.KEY],
    }


def expectation_checks(streams: Sequence[Stream]) -> list[dg.AssetChecksDefinition]:
    """One definition for each suite."""
    keys = assets_of(streams)
    return [suite_checks(suite, keys[suite.name]) for suite in read_suites()]


def suite_checks(suite: Suite, keys: Sequence[dg.AssetKey]) -> dg.AssetChecksDefinition:
    """The suite as a check of each of its assets: every unit that is due is looked at once, and an
    asset's check fails if an expectation fails in rows of its stream, or in rows of no stream.

    What is critical fails as an error and blocks what comes after it in a run, since a figure made
    of it would be wrong; what is a warning warns.
    """
    critical = sum(1 for one in suite.expectations if one.severity == "critical")

    @dg.multi_asset_check(
        name=f"{suite.name}_{EXPECTATIONS_CHECK}",
        specs=[
            dg.AssetCheckSpec(
                EXPECTATIONS_CHECK,
                asset=key,
                blocking=True,
                description=f"{suite.title}: {len(suite.expectations)} expectations, "
                f"{critical} of them critical",
                metadata={
                    "suite": suite.name,
                    "version": suite.version,
                    "sha256": suite.sha256.hex(),
                },
            )
            for key in keys
        ],
        can_subset=True,
    )
    def check(
        context: dg.AssetCheckExecutionContext, database: LedgerDatabase
    ) -> Iterator[dg.AssetCheckResult]:
        done, left = validate_due(suite, database, context.run.run_id)
        failing = standing_failures(suite, database, datetime.now(UTC))
        for key in sorted(context.selected_asset_check_keys):
            yield result_of(suite, key, done, left, failing)

    return check


def validate_due(
    suite: Suite,
    database: LedgerDatabase,
    run_id: str,
    seconds: float = SUITE_SECONDS,
    clock: Callable[[], float] = monotonic,
) -> "tuple[list[Validation], int]":
    """Looks at every unit that is due, oldest first, and keeps what was found, unit by unit.

    No unit is begun once `seconds` have passed; how many were left is the second thing returned.
    """
    from carbon_assets.validation import Validator
    from carbon_ledger.store.read import knowledge_horizon
    from carbon_ledger.store.validations import due_units, record_validation

    done: list[Validation] = []
    with database.connect("data quality") as conn:
        horizon = knowledge_horizon(conn)
        due = due_units(
            conn, suite.units, suite=suite.name, suite_sha256=suite.sha256, horizon=horizon
        )
        if not due:
            return [], 0
        until = clock() + seconds
        with Validator(database.verifier_url) as validator:
            for unit in due:
                if done and clock() > until:
                    break
                outcome = validator.validate(suite, unit)
                found = evidence(suite, unit.unit, horizon, outcome, run_id)
                record_validation(conn, found)
                done.append(found)
    return done, len(due) - len(done)


def evidence(suite: Suite, unit: str, as_of: datetime, outcome: Any, run_id: str) -> "Validation":
    """The row of audit.validation that tells `outcome`."""
    from carbon_ledger.store.validations import Validation

    return Validation(
        validation_id=uuid4(),
        suite=suite.name,
        suite_version=suite.version,
        suite_sha256=suite.sha256,
        target=suite.target,
        unit=unit,
        as_of=as_of,
        is_success=not outcome.failures,
        worst_severity=outcome.worst_severity,
        expectations=len(suite.expectations),
        rows_validated=outcome.rows,
        failures=[one.told() for one in outcome.failures],
        statistics=outcome.statistics,
        engine=outcome.engine,
        code_version=code_version(),
        run_id=run_id,
    )


def standing_failures(suite: Suite, database: LedgerDatabase, now: datetime) -> "list[Validation]":
    """Units whose latest validation failed, as long as the suite holds that against its assets."""
    from carbon_ledger.store.validations import latest_validations

    with database.connect("data quality") as conn:
        found = latest_validations(conn, suite=suite.name, failing_only=True)
    if suite.hold_days is None:
        return found
    since = now - timedelta(days=suite.hold_days)
    return [one for one in found if one.recorded_at is not None and one.recorded_at >= since]


def result_of(
    suite: Suite,
    key: dg.AssetCheckKey,
    done: "Sequence[Validation]",
    left: int,
    failing: "Sequence[Validation]",
) -> dg.AssetCheckResult:
    """What the check of one asset says."""
    stream = key.asset_key.path[-1] if suite.name == "entries" else None
    against = [
        (validation, failure)
        for validation in failing
        for failure in validation.failures
        if is_of(failure, stream)
    ]
    is_critical = any(failure["severity"] == "critical" for _, failure in against)
    words = [f"{one.unit}: {failure['expectation']}" for one, failure in against]
    return dg.AssetCheckResult(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=not against,
        severity=dg.AssetCheckSeverity.ERROR
        if is_critical or not against
        else dg.AssetCheckSeverity.WARN,
        description="; ".join(words[:3]) or None,
        metadata={
            "suite_version": suite.version,
            "suite_sha256": suite.sha256.hex(),
            "units_validated": len(done),
            "units_left": left,
            "rows_validated": sum(one.rows_validated for one in done),
            "failures": table_of(against),
            "failure_count": len(against),
        },
    )


def is_of(failure: Mapping[str, Any], stream: str | None) -> bool:
    """Whether a failure is one of `stream`: of its rows, or of rows that are of no known stream."""
    streams = failure["streams"]
    return stream is None or streams is None or stream in streams


def table_of(
    failures: "Sequence[tuple[Validation, Mapping[str, Any]]]",
) -> dg.MarkdownMetadataValue:
    """Failures to read, FAILURES_SHOWN at most."""
    if not failures:
        return dg.MetadataValue.md("none")
    rows = [
        (
            *(one.unit, failure["expectation"], failure["severity"]),
            failure["error"] or failure["says"],
            "?" if failure["unexpected"] is None else failure["unexpected"],
        )
        for one, failure in failures[:FAILURES_SHOWN]
    ]
    return table(("unit", "expectation", "severity", "what", "rows"), rows, right=1)


def data_quality_job(streams: Sequence[Stream]) -> Any:
    """Every suite, one after the other."""
    checks = [
        dg.AssetCheckKey(key, EXPECTATIONS_CHECK)
        for keys in assets_of(streams).values()
        for key in keys
    ]
    return dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.checks(*checks),
        tags={**AT_LEISURE, **NO_RETRY},
        description="Holds closed hours, days, releases and snapshots against their expectations.",
    )


def hourly_schedule(job: Any) -> dg.ScheduleDefinition:
    """Ten minutes past each hour, UTC: the hour before is closed by then."""
    return dg.ScheduleDefinition(
        name="data_quality_hourly",
        job=job,
        cron_schedule="10 * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Looks at what no suite of expectations has looked at yet.",
    )
