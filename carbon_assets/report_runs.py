"""A run that makes reports: of which organizations, as of when, which are kept and why.

Belongs here: what the assets of reports share. Does not: their figures and tables
(carbon_assets.reports), when they are asked for (sensors).

What fails of one organization stops no other: all are made, then the run fails and names them.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID, uuid4

import dagster as dg

from carbon_assets.markdown import table_text
from carbon_ledger.version import code_version

if TYPE_CHECKING:
    from carbon_ledger.organisation.report_calendar import Due
    from carbon_ledger.reporting.inputs import ReportInputs
    from carbon_ledger.reporting.tables import Report, Table
    from carbon_ledger.store.rows import Connection

# A sensor asks for reports whenever something was posted; whole reports are kept this often then,
# and always when a person or a schedule asks.
KEPT_EVERY = timedelta(hours=1)
ASKED_BY_A_SENSOR = "dagster/sensor_name"
WORDS_MAX = 500

Reason = Literal["asked", "scheduled", "posted"]


class ReportConfig(dg.Config):
    """Which reports to make; nothing given: of every organization, as known now.

    `as_of` is a moment (ISO 8601); `schedule` and `period` name what is due at that moment of that
    organization, and are for schedules.
    """

    organization: str | None = None
    as_of: str | None = None
    schedule: str | None = None
    period: str | None = None

    @property
    def moment(self) -> datetime | None:
        """`as_of`; dg.Failure for what is no moment."""
        if self.as_of is None:
            return None
        try:
            found = datetime.fromisoformat(self.as_of)
        except ValueError:
            raise dg.Failure(
                f"as_of is {self.as_of[:60]!r}; valid is a moment such as 2026-03-01T12:00:00Z",
                allow_retries=False,
            ) from None
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def failing_units(conn: "Connection") -> list[str]:
    """What fails its expectations critically, so that nothing is published that rests on it."""
    from carbon_assets.suites import publishing_holds
    from carbon_ledger.store.validations import blocking_failures

    found = blocking_failures(conn, publishing_holds(), datetime.now(UTC))
    return [f"{one.suite} {one.unit}" for one in found]


def refuse_what_fails(conn: "Connection") -> None:
    """Nothing is published while expectations fail critically: dg.Failure names the units."""
    found = failing_units(conn)
    if found:
        raise dg.Failure(
            f"figures rest on what fails its expectations: {'; '.join(found[:5])}; "
            "`carbon quality show` says what",
            metadata={"failing_units": found},
            allow_retries=False,
        )


@dataclass(kw_only=True)
class ReportRun:
    """Which reports of a run are kept, and what became of them."""

    name: str
    profile: str
    context: dg.AssetExecutionContext
    config: ReportConfig
    metadata: dict[str, Any] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    due: "Due | None" = None
    figures: list[str] = field(default_factory=list)

    @property
    def year(self) -> int:
        """The fiscal year."""
        return int(self.context.partition_key)

    def inputs(
        self, conn: "Connection", as_of: datetime | None = None
    ) -> "Iterator[tuple[ReportInputs, Reason | None]]":
        """The inputs of each organization, and why its report is kept (None: it is not)."""
        from carbon_ledger.store.report_snapshots import kept_at

        self.metadata["fiscal_year"] = self.year
        self.due = due = self._find_due(conn)
        if due is not None and self._is_made(conn, due):
            self.metadata["made_already"] = f"{due.schedule} {due.period}"
            return
        newest = kept_at(conn, self.name, self.year, self.profile)
        organizations = set()
        for inputs in self._read(conn, as_of or self.config.moment):
            self.metadata["as_of"] = inputs.as_of.isoformat()
            self.metadata["factor_release"] = ", ".join(
                sorted(
                    {one for row in inputs.cubes[self.year] for one in row.factor_releases if one}
                )
            )
            organizations.add(inputs.organization_id)
            yield inputs, self._reason(newest.get(inputs.organization_id))
        if due is not None and not {due.organization_id} & (organizations | set(self.failures)):
            self._record(conn, due, None)

    def _read(self, conn: "Connection", as_of: datetime | None) -> "Iterator[ReportInputs]":
        """Of all organizations at once; where that fails one by one, and the others are made."""
        from carbon_ledger import settings
        from carbon_ledger.policy import Policy
        from carbon_ledger.store.read import final_moment
        from carbon_ledger.store.reference import fiscal_years
        from carbon_ledger.store.report_inputs import read_report_inputs, read_years

        policy = Policy(gwp_set=settings.load()["CARBON_GWP_SET"])
        moment = final_moment(conn, as_of)

        def read(organization: str | None) -> "list[ReportInputs]":
            return read_report_inputs(
                conn,
                self.year,
                as_of=moment,
                code_version=code_version(),
                policy=policy,
                organization=organization,
            )

        found: list[ReportInputs] | None = None
        try:
            found = read(self.config.organization)
        except Exception as error:  # noqa: BLE001 - whose inputs they are is found below
            self.context.log.warning("read one by one, because of %s", error)
        if found is not None:
            yield from found
            return
        years = fiscal_years(conn, moment)
        for name in read_years(conn, years, self.year, moment, self.config.organization):
            mine: list[ReportInputs] = []
            with self.attempt(name):
                mine = read(name)
            yield from mine

    @contextmanager
    def attempt(self, organization: str) -> "Iterator[None]":
        """What fails within is remembered as the organization's, and stops no other."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - told at the end, with the others'
            self.failures[organization] = f"{type(error).__name__}: {error}"[:WORDS_MAX]
            self.context.log.error("report of %s: %s", organization, error)

    def keep(
        self,
        conn: "Connection",
        report: "Report",
        shown: "Sequence[Table]",
        *,
        reason: Reason | None,
    ) -> list[str]:
        """Keeps a report if there is a reason, shows some of its tables, and tells the faults of
        its gross figures. One that is not kept is looked at all the same, and taken back.
        """
        from carbon_ledger import settings
        from carbon_ledger.reporting.esrs_e1 import NAME
        from carbon_ledger.store.report_snapshots import gross_faults, keep_report

        snapshot_id = uuid4()
        with conn.transaction(force_rollback=reason is None):
            keep_report(
                conn,
                report,
                snapshot_id=snapshot_id,
                run_id=self.context.run.run_id,
                kept_because=reason or "posted",
            )
            faults = gross_faults(conn, snapshot_id) if report.name == NAME else []
            if self.due is not None:
                self._record(conn, self.due, snapshot_id)
        self.figures += [
            f"{report.organization_id}\t{name}\t{cell.value}"
            for name, cell in report.cells().items()
        ]
        if reason is not None:
            self.metadata[f"snapshot_{report.organization_id}"] = str(snapshot_id)
            address = settings.load()["CARBON_REVIEW_URL"]
            if address != "-":
                self.metadata[f"review_{report.organization_id}"] = dg.MetadataValue.url(
                    f"{address.rstrip('/')}/reports/{snapshot_id}"
                )
        self.metadata[f"report_{report.organization_id}"] = dg.MetadataValue.md(
            "\n\n".join(map(markdown, shown))
        )
        return faults

    def results(
        self, metadata: dict[str, Any], checks: Sequence[dg.AssetCheckResult]
    ) -> "Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]":
        """What the asset gives: materialized, or, where an organization failed, its checks and the
        failure that names every one."""
        metadata = {
            "dagster/partition_row_count": len(self.figures),
            "code_version": code_version(),
            **metadata,
        }
        if not self.failures:
            # Equal figures have equal versions, so that what hangs on them is not called stale.
            version = hashlib.sha256("\n".join(sorted(self.figures)).encode()).hexdigest()
            yield dg.MaterializeResult(
                metadata=metadata, check_results=checks, data_version=dg.DataVersion(version)
            )
            return
        yield from checks
        raise dg.Failure(
            f"{len(self.failures)} failed, all others are made: "
            + "; ".join(f"{name}: {what}" for name, what in sorted(self.failures.items())),
            metadata={**metadata, "failed": sorted(self.failures)},
            allow_retries=False,
        )

    def _reason(self, newest: datetime | None) -> Reason | None:
        if self.config.schedule is not None:
            return "scheduled"
        if ASKED_BY_A_SENSOR not in self.context.run.tags:
            return "asked"
        is_time = newest is None or datetime.now(UTC) - newest >= KEPT_EVERY
        return "posted" if is_time else None

    def _find_due(self, conn: "Connection") -> "Due | None":
        """What this run is for, if a schedule asked; dg.Failure if nothing of the kind is due."""
        from carbon_ledger.store.report_schedules import due_reports

        wanted = self.config
        if wanted.schedule is None:
            return None
        for one in due_reports(conn, wanted.schedule):
            if (one.organization_id, one.period, one.fiscal_year, one.due_at) == (
                wanted.organization,
                wanted.period,
                self.year,
                wanted.moment,
            ):
                return one
        raise dg.Failure(
            f"{wanted.schedule} of {wanted.organization}, {wanted.period}, as of {wanted.as_of} is "
            "not due; `carbon report schedule` shows what is",
            allow_retries=False,
        )

    def _is_made(self, conn: "Connection", due: "Due") -> bool:
        """Whether an earlier run made this one of the reports that are due together."""
        from carbon_ledger.store.report_schedules import scheduled_reports

        made = scheduled_reports(conn, due.due_at)
        wanted = (due.organization_id, due.schedule, due.period, self.name)
        return wanted in {
            (one.organization_id, one.schedule, one.period, one.report) for one in made
        }

    def _record(self, conn: "Connection", due: "Due", snapshot_id: UUID | None) -> None:
        from carbon_ledger.store.report_schedules import record_scheduled

        is_first = record_scheduled(
            conn,
            due,
            self.name,
            snapshot_id=snapshot_id,
            run_id=self.context.run.run_id,
            code_version=code_version(),
        )
        if not is_first:
            raise dg.Failure(
                f"{self.name} of {due.schedule} {due.period} is made already", allow_retries=False
            )


def markdown(table: "Table") -> str:
    """A table of a report to read in the web UI; figures unrounded, blank where there is none."""
    rows = [
        [
            row.label,
            *(
                None if cell is None else cell.value
                for cell in (row.cells.get(column.column_id) for column in table.columns)
            ),
        ]
        for row in table.rows
    ]
    heads = ["", *(column.heading for column in table.columns)]
    return table_text(
        heads, rows, right=len(table.columns), title=f"{table.table_id} {table.title}"
    )
