"""The code location: everything Dagster is given, built from the registry of streams.

Belongs here: putting together. Does not: anything that connects or is slow to import.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import dagster as dg

from carbon_assets import (
    audit,
    checks,
    column_lineage,
    completeness,
    data_quality,
    dead_letters,
    drops,
    factors,
    failure_notices,
    jobs,
    period_postings,
    periods,
    reference,
    report_runs,
    report_schedules,
    reports,
    restatement,
    retention,
    snapshot_retention,
    supersession,
    verification,
)
from carbon_assets.ledger import ledger_asset
from carbon_assets.partitions import ARRIVAL_HOURS, FISCAL_YEARS, day_ranges
from carbon_assets.raw import raw_assets
from carbon_assets.windows import window_assets
from carbon_ledger.streams import STREAMS, Stream
from resources.database import LedgerDatabase
from resources.kafka import KafkaTopics
from resources.spark_connect import SparkConnect
from sensors.audit import make_seal_sensor
from sensors.dead_letters import make_dead_letters_sensor
from sensors.drops import make_drops_sensor
from sensors.entry_sums import make_sums_sensor
from sensors.period_postings import make_period_sensor
from sensors.planner import make_planner_sensor
from sensors.run_failures import make_failures_sensor
from sensors.supersession import make_supersession_sensor
from sensors.windows import make_reports_sensor, make_windows_sensor

# Sensors tick in threads side by side. Where two of them are the first to import a package that
# imports itself in a circle, Python gives one of them half of it, and psycopg stays without
# `connect` for as long as the process lives. So both drivers are whole before there is a thread.
for _driver in ("carbon_ledger.store.connect", "confluent_kafka.admin"):
    import_module(_driver)


def build_definitions(
    *, streams: Sequence[Stream] = STREAMS, resources: Mapping[str, Any] | None = None
) -> dg.Definitions:
    """The graph for `streams`; `resources` replace those of the same name. Nothing connects."""
    given = {
        "database": LedgerDatabase(),
        "kafka": KafkaTopics(),
        "spark": SparkConnect(),
        **(resources or {}),
    }
    database, kafka = given["database"], given["kafka"]
    ledger_jobs = {stream: jobs.ledger_job(stream) for stream in streams}
    reconcile = checks.reconcile_job(streams)
    quality = data_quality.data_quality_job(streams)
    planners = [
        make_planner_sensor(
            stream,
            job,
            [jobs.factors_job, jobs.relay_dead_letters],
            ARRIVAL_HOURS,
            database,
            kafka,
            asks_for_factors=stream is streams[0],
        )
        for stream, job in ledger_jobs.items()
    ]
    return dg.Definitions(
        assets=column_lineage.described(
            [
                *raw_assets(streams),
                drops.supplier_drops,
                factors.factor_release,
                reference.reference_register,
                *(ledger_asset(stream) for stream in streams),
                *window_assets(streams),
                reports.esrs_e1,
                reports.cdp_7,
                snapshot_retention.snapshot_retention,
                completeness.completeness_report,
                restatement.posting,
                supersession.supersession_asset(streams),
                period_postings.postings,
                periods.period_status,
                audit.heads_asset(streams),
                verification.verification,
                dead_letters.open_letters,
                dead_letters.edge_letters,
                dead_letters.replay,
                failure_notices.RUN_FAILURES,
            ],
            streams,
        ),
        asset_checks=[
            checks.reconcile_checks(streams),
            verification.commits_are_sealed,
            *data_quality.expectation_checks(streams),
        ],
        jobs=[
            *ledger_jobs.values(),
            jobs.factors_job,
            jobs.windows_job,
            jobs.reports_job,
            jobs.relay_dead_letters,
            audit.seal_job,
            verification.verify_job,
            verification.sealing_job,
            drops.supplier_drops_job,
            supersession.supersession_job,
            completeness.completeness_job,
            period_postings.postings_job,
            periods.periods_job,
            dead_letters.take_job,
            dead_letters.replay_job,
            reconcile,
            quality,
            *report_schedules.report_jobs.values(),
            retention.purge_dagster,
            snapshot_retention.retention_job,
        ],
        sensors=[
            *planners,
            make_windows_sensor(jobs.windows_job, day_ranges, database),
            make_reports_sensor(
                jobs.reports_job, FISCAL_YEARS, database, report_runs.failing_units
            ),
            make_sums_sensor(database),
            make_seal_sensor(audit.seal_job, audit.JOB, database),
            make_drops_sensor(drops.supplier_drops_job, drops.JOB, database),
            make_supersession_sensor(supersession.supersession_job, supersession.JOB, database),
            make_dead_letters_sensor(dead_letters.take_job, dead_letters.TAKE_JOB, database),
            make_period_sensor(period_postings.postings_job, FISCAL_YEARS, database),
            make_failures_sensor(
                database,
                failure_notices.channels_of,
                failure_notices.deliver,
                failure_notices.without_secrets,
            ),
        ],
        schedules=[
            checks.nightly_schedule(reconcile),
            data_quality.hourly_schedule(quality),
            completeness.completeness_nightly,
            periods.periods_nightly,
            verification.verify_daily,
            verification.check_sealing_often,
            retention.hourly_schedule(retention.purge_dagster),
            snapshot_retention.retention_nightly,
            *report_schedules.report_schedules(database),
        ],
        resources=given,
        # One process per run: a process per step would add a second to every batch.
        executor=dg.in_process_executor,
    )


# Single-run backfills and owners are marked beta: known, and pinned by the lock. Dagster says so
# with every definition it touches, in the log of every run.
warnings.filterwarnings("ignore", category=dg.BetaWarning)

defs = build_definitions()
