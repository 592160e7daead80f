"""What reviewers do, for pages and programs alike: draw a sample, sign off.

Belongs here: that a subject is the caller's organization's and what of it is signed, the bounds of
a draw. Does not: HTTP (api.pages, api.routes.review), the draw (carbon_ledger.lineage).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from api.problems import Problem, absent
from api.report_shelf import OpenReport
from api.security import Caller
from api.services import Services
from carbon_ledger.entries import EntryRow
from carbon_ledger.lineage.review_samples import Sample, checked_method, drawn
from carbon_ledger.lineage.sign_offs import Subject
from carbon_ledger.reporting.cell_trail import OF_A_TOTAL, selections_behind
from carbon_ledger.reporting.cube import Selection
from carbon_ledger.store.connect import connect
from carbon_ledger.store.lineage import entries_by_id
from carbon_ledger.store.report_trail import sizes_behind
from carbon_ledger.store.sign_offs import add_sign_off

# A larger population is for `carbon audit sample`, which holds nobody up.
POPULATION_MAX: Final = 200_000


@dataclass(frozen=True, kw_only=True)
class DrawnSample:
    """A sample and its entries, in the order of the draw."""

    sample: Sample
    entries: tuple[EntryRow, ...]


def population_of(opened: OpenReport, cell_id: str | None) -> list[tuple[int, Selection]]:
    """The years and selections whose entries a sample is drawn from: those a cell is made of, or
    without one all of the fiscal year that are of a total.

    Problem 404 for a cell that is not there, 422 `no_entries` for one that is made of no entries.
    """
    if cell_id is None:
        return [(opened.report.fiscal_year, OF_A_TOTAL)]
    opened.cell(cell_id)
    found = selections_behind(opened.cells, cell_id)
    if not found:
        raise Problem(
            422,
            "no_entries",
            "the cell is made of no entries",
            field="cell_id",
            value=cell_id[:200],
            valid="a cell that is made of entries, or of cells that are",
        )
    return found


def draw_sample(
    services: Services,
    caller: Caller,
    opened: OpenReport,
    cell_id: str | None,
    *,
    method: str,
    seed: int,
    size: int,
) -> DrawnSample:
    """A sample of the entries of a report, or of a cell of it, as known at the report's moment.

    Raises Problem as `population_of`, 422 `population_too_large`; RejectedRecord as `drawn`.
    """
    selections = population_of(opened, cell_id)
    drawn({}, method=method, seed=seed, size=size)
    # Over connections of which few are lent at once, whose statements may take long.
    with services.exporters.of(caller.organization_id) as conn:
        sizes = sizes_behind(
            conn,
            caller.organization_id,
            selections,
            opened.report.as_of,
            limit=POPULATION_MAX,
        )
        if len(sizes) > POPULATION_MAX:
            raise Problem(
                422,
                "population_too_large",
                "there are more entries than a sample is drawn from while somebody waits",
                valid=f"at most {POPULATION_MAX} entries; of more `carbon audit sample` draws",
            )
        sample = drawn(sizes, method=method, seed=seed, size=size)
        rows = {row.entry_id: row for row in entries_by_id(conn, sample.entry_ids)}
    return DrawnSample(sample=sample, entries=tuple(rows[one] for one in sample.entry_ids))


def sign(services: Services, caller: Caller, subject: Subject, *, verdict: str, note: str) -> int:
    """Adds the caller's sign-off on a subject of its organization; its number.

    Raises Problem 404 for a subject that is not there or is somebody else's, RejectedRecord as
    `checked_verdict` and as drawing the sample does.
    """
    content = _content_of(services, caller, subject)
    url = services.settings["CARBON_DATABASE_WRITER_URL"]
    with closing(connect(url, "carbon api sign-offs", True)) as conn:
        return add_sign_off(
            conn, caller.key, subject, subject_sha256=content, verdict=verdict, note=note
        )


def _content_of(services: Services, caller: Caller, subject: Subject) -> bytes:
    """What was looked at, as the table keeps it."""
    if subject.kind == "entry" and subject.entry_id is not None:
        with services.readers.of(caller.organization_id) as conn:
            found: Sequence[EntryRow] = entries_by_id(conn, [subject.entry_id])
        if not found:
            raise absent()
        return found[0].content_sha256
    if subject.snapshot_id is None:
        raise absent()
    opened = services.reports.opened(services, caller.organization_id, subject.snapshot_id)
    if opened.kept is None:
        raise absent()
    if subject.kind == "cell":
        opened.cell(subject.cell_id or "")
        return opened.kept.content_sha256
    chosen = replace(subject, method=checked_method(subject.method or ""))
    found_sample = draw_sample(
        services,
        caller,
        opened,
        subject.cell_id,
        method=chosen.method or "",
        seed=subject.seed or 0,
        size=subject.size or 0,
    )
    return found_sample.sample.sha256


def subject_of_entry(entry_id: UUID) -> Subject:
    """An entry as a subject."""
    return Subject(kind="entry", entry_id=entry_id)
