"""One figure by every way there is to ask for it, before and after everything that can happen to a
reported year; and what was reported, made again to the byte.

A real PostgreSQL and a real API in front of it (tests.support.company_books says what is not here).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
import pytest
from click.testing import CliRunner

from api.async_client import AsyncCarbonLedgerClient
from api.client import CarbonLedgerClient
from carbon_ledger.reporting.cdp import cdp
from carbon_ledger.reporting.documents import FORMATS, document
from carbon_ledger.reporting.esrs_e1 import esrs_e1
from carbon_ledger.reporting.report_diff import CellChange, diff_reports
from carbon_ledger.reporting.tables import Report
from carbon_ledger.store.report_inputs import read_report_inputs
from carbon_ledger.store.report_snapshots import keep_report, read_snapshot
from cli.ledger_commands import ledger as ledger_command
from cli.report_commands import report as report_command
from pipeline.sources import company_reference
from scripts.demo_report_truth import truth_of_reports
from scripts.demo_sums import Take, category_take, gross_takes
from tests.support.api_server import make_key
from tests.support.company_books import YEAR, CompanyBooks, company_books
from tests.support.company_story import CHAPTERS, LATE_DAY, Story
from tests.support.reading_ledger import reading_api
from tests.support.report_trail import Trail, entries_of, standing_at
from tests.support.report_truth import PlainSql, differences

pytestmark = [pytest.mark.stack, pytest.mark.timeout(3600)]

ORGANIZATION: Final = company_reference.ORGANIZATION
BEGIN, END, LAST = f"{YEAR}-01-01", f"{YEAR + 1}-01-01", f"{YEAR}-12-31"
# Figure: what is asked of the ledger for it. Scope 2 is two figures that are never added up.
FIGURES: Final = {
    **gross_takes(YEAR),
    **{f"category_{number:02}": category_take(number, YEAR) for number in (1, 2, 3, 4, 9)},
}


@dataclass(kw_only=True)
class Asked:
    """The books, an API in front of them, and reports that were made, by their moments."""

    story: Story
    url: str
    key: str
    reports: dict[datetime, dict[str, Report]] = field(default_factory=dict)

    @property
    def books(self) -> CompanyBooks:
        return self.story.books

    def made(self, as_of: datetime | None = None, year: int = YEAR) -> dict[str, Report]:
        """Both reports of a moment; the latest final one unless said."""
        with self.books.database.reader() as conn:
            (inputs,) = read_report_inputs(
                conn, year, as_of=as_of, code_version="test", organization=ORGANIZATION
            )
        return {"esrs_e1": esrs_e1(inputs), "cdp": cdp(inputs)}

    def kept(self, report: Report) -> UUID:
        snapshot_id = uuid4()
        with self.books.database.writer(autocommit=True) as conn:
            keep_report(conn, report, snapshot_id=snapshot_id, run_id="test")
        return snapshot_id

    # ---- one figure, by every way, in kgCO2e

    def by_sql(self, as_of: datetime) -> dict[str, Fraction]:
        with self.books.database.reader() as conn:
            sums = PlainSql(conn=conn, organization=ORGANIZATION, recorded_by=as_of)
            return {name: sums.of(take) or Fraction(0) for name, take in FIGURES.items()}

    def by_api(self, as_of: datetime) -> dict[str, Fraction]:
        found = {}
        for name, take in FIGURES.items():
            path = "/v1/inventory" if take.category is None else f"/v1/categories/{take.category}"
            answer = httpx.get(
                self.url + (path if take.category is None else f"{path}/inventory"),
                params=_question(take, as_of),
                headers={"Authorization": f"Bearer {self.key}"},
                timeout=60,
            )
            assert answer.status_code == 200, answer.text
            found[name] = Fraction(answer.json()["total_kgco2e"])
        return found

    def by_client(self, as_of: datetime) -> dict[str, Fraction]:
        with CarbonLedgerClient(base_url=self.url, key=self.key) as client:
            return {
                name: Fraction(
                    client.get_inventory(**_question(take, as_of)).total_kgco2e
                    if take.category is None
                    else client.get_category_inventory(
                        take.category, **_question(take, as_of)
                    ).total_kgco2e
                )
                for name, take in FIGURES.items()
            }

    def by_async_client(self, as_of: datetime) -> dict[str, Fraction]:
        async def asked() -> dict[str, Fraction]:
            async with AsyncCarbonLedgerClient(base_url=self.url, key=self.key) as client:
                found = {}
                for name, take in FIGURES.items():
                    question = _question(take, as_of)
                    if take.category is None:
                        inventory = await client.get_inventory(**question)
                    else:
                        inventory = await client.get_category_inventory(take.category, **question)
                    found[name] = Fraction(inventory.total_tco2e) * 1000
                return found

        return asyncio.run(asked())

    def by_totals(self, as_of: datetime) -> dict[str, Fraction]:
        words = ("totals", "--by", "total", "--from", BEGIN, "--until", END, "--json")
        more = ("--organization", ORGANIZATION, "--as-of", as_of.isoformat())
        answer = json.loads(run(ledger_command, *words, *more))
        assert answer["is_final"]
        found = dict.fromkeys(FIGURES, Fraction(0))
        for row in answer["rows"]:
            for name, take in FIGURES.items():
                asked = ((take.scope, row["scope"]), (take.category, row["category"]))
                is_of = all(wanted in (None, is_now) for wanted, is_now in asked)
                is_of = is_of and take.basis in (None, row["basis"])
                if is_of and row["basis"] not in take.without_bases:
                    found[name] += Fraction(row["kgco2e"])
        return found

    def by_report(self, as_of: datetime) -> dict[str, Fraction]:
        cells = self.reports[as_of]["esrs_e1"].cells()
        return {name: Fraction(cells[f"E1-6/{name}/current"].number) * 1000 for name in FIGURES}

    def by_cell(self, as_of: datetime) -> dict[str, Fraction]:
        snapshot = str(self.kept(self.reports[as_of]["esrs_e1"]))
        found = {}
        for name in FIGURES:
            words = ("cell", snapshot, f"E1-6/{name}/current", "--entries", "0", "--json")
            found[name] = Fraction(json.loads(run(report_command, *words))["value"]) * 1000
        return found

    def by_every_way(self, as_of: datetime) -> dict[str, dict[str, Fraction]]:
        ways = (
            *(self.by_sql, self.by_api, self.by_client, self.by_async_client),
            *(self.by_totals, self.by_report, self.by_cell),
        )
        return {one.__name__: one(as_of) for one in ways}


def _question(take: Take, as_of: datetime) -> Any:
    asked: dict[str, Any] = {"start_date": BEGIN, "end_date": LAST, "as_of": as_of.isoformat()}
    if take.category is None:
        asked["scope"] = take.scope
    if take.basis == "market":
        asked["basis"] = "market"
    return asked


def run(command: Any, *words: str) -> str:
    done = CliRunner().invoke(command, list(words))
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


@pytest.fixture
def asked(stack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    with company_books(stack) as books:
        monkeypatch.setenv("CARBON_DATABASE_WRITER_URL", books.database.writer_url)
        monkeypatch.setenv("CARBON_DATABASE_READER_URL", books.database.reader_url)
        monkeypatch.setenv("CARBON_ORGANIZATIONS", "*")
        with reading_api(books.database, tmp_path) as (url, settings):
            key = make_key(
                settings, scopes=("ledger:read",), organization_id=ORGANIZATION, supplier_ids=()
            )
            yield Asked(story=Story(books=books), url=url, key=key.text)


def windows_of(books: CompanyBooks) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Every window of five minutes that has an entry, by what it is of."""
    rows = books.rows(
        "select local_date, basis, scope, category, facility_id, window_start, activity_type, unit,"
        " kgco2e, quantity, entries from windows.five_minute"
    )
    return {tuple(row[:8]): tuple(row[8:]) for row in rows}


def documents_of(reports: dict[str, Report]) -> dict[tuple[str, str], bytes]:
    """Both reports in every format there is of them."""
    return {
        (name, form): document(report, form)
        for name, report in reports.items()
        for form in forms_of(name)
    }


def forms_of(name: str) -> list[str]:
    """Facts are of ESRS alone: CDP has no taxonomy."""
    return [form for form in FORMATS if name == "esrs_e1" or form != "xbrl-json"]


@pytest.mark.parametrize(
    "chapters",
    [
        pytest.param(("late events", "an acquisition"), id="some"),
        pytest.param(tuple(CHAPTERS), id="all", marks=pytest.mark.night),
    ],
)
def test_one_figure_is_the_same_by_every_way_whatever_happens_to_the_year(
    asked: Asked, chapters: tuple[str, ...]
) -> None:
    story, books = asked.story, asked.books
    first = asked.made()
    start = first["esrs_e1"].as_of
    asked.reports[start] = first
    kept = {name: asked.kept(report) for name, report in first.items()}
    texts = documents_of(first)
    figures = check_ways(asked, start)
    seen = {start: figures}
    for name in chapters:
        windows, past = windows_of(books), asked.made(year=YEAR - 1)
        CHAPTERS[name](story)
        reports = asked.made()
        as_of = reports["esrs_e1"].as_of
        asked.reports[as_of] = reports
        told = story.told
        truth = truth_of_reports(told.known(), told.reference, YEAR, told.restated)
        assert differences(reports["esrs_e1"], truth["esrs_e1"]) == [], name
        assert differences(reports["cdp"], truth["cdp_7"]) == [], name
        seen[as_of] = check_ways(asked, as_of)
        before = max(one for one in asked.reports if one < as_of)
        assert seen[as_of] != seen[before], f"{name} moved nothing"
        check_reach(asked, before, as_of, name)
        if name in ("late events", "a correction"):
            check_touched(asked, windows, past)
    # What was said before is said still, by every way.
    for as_of, figures in seen.items():
        assert check_ways(asked, as_of) == figures
    again = asked.made(start)
    assert documents_of(again) == texts
    with books.database.reader() as conn:
        for name, snapshot_id in kept.items():
            opened = read_snapshot(conn, snapshot_id).opened()
            for form in forms_of(name):
                assert document(opened, form) == texts[name, form], (name, form)


def check_ways(asked: Asked, as_of: datetime) -> dict[str, Fraction]:
    """The figures of a moment, which every way gives to the last digit."""
    ways = asked.by_every_way(as_of)
    figures = ways["by_sql"]
    for way, found in ways.items():
        assert found == figures, way
    assert all(figures.values())
    return figures


def check_reach(asked: Asked, before: datetime, after: datetime, name: str) -> None:
    """Only cells that lead to an entry of the chapter say something else afterwards."""
    with asked.books.database.reader() as conn:
        entries = entries_of(conn)
    moved = {
        one
        for entry_id, entry in entries.items()
        if before < entry["recorded_at"] <= after
        for one in (entry_id, entry["reverses_id"])
    }
    for report in ("esrs_e1", "cdp"):
        reached: set[str] = set()
        for moment in (before, after):
            made = asked.reports[moment][report]
            stood = standing_at(entries, moment)
            trail = Trail(conn=None, report=made, entries=stood)
            assert trail.followed() == [], name
            reached |= {one for one, found in trail.rests_on.items() if found & moved}
        old, new = (asked.reports[moment][report] for moment in (before, after))
        found = [one for one in diff_reports(old, new).cells if _is_figure(one)]
        assert found, f"{name} changed no cell of {report}"
        assert {one.cell_id for one in found} <= reached, name


def _is_figure(change: CellChange) -> bool:
    """Words follow from figures and moments; a figure made of more sites is the same figure."""
    is_other = change.kind != "made otherwise"
    return is_other and any(isinstance(one, Decimal) for one in (change.old, change.new))


def check_touched(asked: Asked, windows: dict[Any, Any], past: dict[str, Report]) -> None:
    """A reading of one day moved windows of that day, the year's market-based ones, which stand on
    its first day, and nothing of another year.
    """
    now = windows_of(asked.books)
    changed = {key for key in now.keys() | windows.keys() if now.get(key) != windows.get(key)}
    days = {(key[0], key[1] == "market") for key in changed}
    assert days == {(LATE_DAY, False), (LATE_DAY.replace(month=1, day=1), True)}
    assert {key[4] for key in changed} == {"mer-leeds"}
    for name, report in asked.made(year=YEAR - 1).items():
        found = [one for one in diff_reports(past[name], report).cells if _is_figure(one)]
        assert found == []
