"""Reports that pages and answers look into: opened once, and kept at hand for a while.

Belongs here: from a report's name to the report, for one organization. Does not: which names there
are (api.pages.links), what is shown.

A name is of the same report for ever, so what was opened stays right.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Final
from uuid import UUID

from api.pages.links import Made
from api.problems import Problem, absent
from carbon_ledger.errors import ConfigurationError
from carbon_ledger.policy import Policy
from carbon_ledger.reporting.tables import Cell, Report
from carbon_ledger.store.period_reports import MAKERS, PROFILES
from carbon_ledger.store.readers import settled
from carbon_ledger.store.report_inputs import read_report_inputs
from carbon_ledger.store.report_snapshots import KeptReport, read_snapshot
from carbon_ledger.version import code_version

if TYPE_CHECKING:
    from api.services import Services

OPEN_MAX: Final = 16


@dataclass(frozen=True, kw_only=True)
class OpenReport:
    """A report by its name; `kept` None for one that is kept nowhere."""

    ref: UUID | Made
    report: Report
    cells: dict[str, Cell]
    kept: KeptReport | None

    def cell(self, cell_id: str) -> Cell:
        """One cell; Problem 404 for an id that the report has none of."""
        if cell_id not in self.cells:
            raise absent()
        return self.cells[cell_id]


@dataclass(kw_only=True)
class ReportShelf:
    """The OPEN_MAX reports that were asked for last. Safe to use from several threads."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _open: OrderedDict[tuple[str, str], OpenReport] = field(default_factory=OrderedDict)

    def opened(self, services: Services, organization_id: str, ref: UUID | Made) -> OpenReport:
        """An organization's report; Problem 404 for what it has none of.

        Raises Problem 422 `not_known_yet` for a moment of which more may become known.
        """
        place = (organization_id, str(ref))
        with self._lock:
            found = self._open.get(place)
            if found is not None:
                self._open.move_to_end(place)
                return found
        made = (
            _kept(services, organization_id, ref)
            if isinstance(ref, UUID)
            else _made(services, organization_id, ref)
        )
        with self._lock:
            self._open[place] = made
            if len(self._open) > OPEN_MAX:
                self._open.popitem(last=False)
        return made


def _kept(services: Services, organization_id: str, ref: UUID) -> OpenReport:
    with services.readers.of(organization_id) as conn:
        try:
            snapshot = read_snapshot(conn, ref)
        except ConfigurationError as error:
            if error.code == "unknown_snapshot":
                raise absent() from None
            raise
    report = snapshot.opened()
    kept = KeptReport(**{one.name: getattr(snapshot, one.name) for one in fields(KeptReport)})
    return OpenReport(ref=ref, report=report, cells=report.cells(), kept=kept)


def _made(services: Services, organization_id: str, ref: Made) -> OpenReport:
    with services.readers.of(organization_id) as conn:
        as_of = settled(conn, ref.as_of)
        inputs = read_report_inputs(
            conn,
            ref.fiscal_year,
            as_of=as_of,
            code_version=code_version(),
            policy=Policy(gwp_set=services.settings["CARBON_GWP_SET"]),
            organization=organization_id,
        )
    if not inputs:
        raise Problem(
            404,
            "no_entries",
            f"no entries of {ref.fiscal_year} were known then: there is nothing to report",
        )
    report = MAKERS[ref.report](inputs[0], PROFILES[ref.report])
    return OpenReport(ref=ref, report=report, cells=report.cells(), kept=None)
