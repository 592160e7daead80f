"""The demo company into a real broker and a real ledger, as somebody loads it: every line, and
every cell of both reports of both years, beside an oracle that shares no code with the ledger.
"""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from carbon_ledger import settings as settings_module
from carbon_ledger.reporting.cdp import cdp
from carbon_ledger.reporting.esrs_e1 import esrs_e1
from carbon_ledger.store.connect import connect_as_reader
from carbon_ledger.store.reference import read_register
from carbon_ledger.store.report_inputs import read_report_inputs
from pipeline.sources import company_reference
from scripts import load_demo_data
from tests.support.kafka_events import event_in
from tests.support.kafka_reading import Since
from tests.support.report_truth import differences

pytestmark = [pytest.mark.stack, pytest.mark.daemon, pytest.mark.timeout(900)]

SEED = "7"
YEARS = ("2024", "2025")
LEDGER_SECONDS = 600.0

STREAM_OF = {
    "raw.iot.energy": "iot_energy",
    "raw.transport": "transport",
    "raw.logistics": "logistics",
    "raw.procurement": "procurement",
    "raw.supplier": "supplier",
}
# Their readings are written with a wider schema than that of the stream.
WIDER = (b"mer-leeds.gas", b"mer-hamburg.roof")


def loaded(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert load_demo_data.main(["--company", *arguments]) == 0
    summary: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return summary


def test_the_company_is_registered_and_every_event_of_the_truth_is_in_its_topic(
    stack: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_module.load()
    since = {topic: Since(settings=settings, topic=topic) for topic in STREAM_OF}
    first = loaded(capsys, "--reference-only")
    # None where the stack has them from an earlier test, or run.
    stated = sum(map(len, company_reference.reference_rows().values()))
    assert first["reference_changes"] in (0, stated)
    assert "events" not in first
    with connect_as_reader(settings, "tests") as conn:
        register = read_register(conn)
    assert [one.entity_id for one in register.entities(company_reference.ACQUIRED)] == [
        "meridian-components",
        "meridian-holding",
        "meridian-korea",
        "meridian-ohio",
    ]

    path = tmp_path / "truth.json"
    summary = loaded(capsys, "--years", "2025", "--seed", SEED, "--truth", str(path))
    assert summary["reference_changes"] == 0
    truth = json.loads(path.read_bytes())
    assert summary["events"] == summary["sent"] == summary["delivered"] == len(truth["events"])

    seen = set()
    sent = Counter[str]()
    for topic, arrived in since.items():
        for record in arrived.records():
            sent[topic] += 1
            if record.key() not in WIDER:
                seen.add(event_in(record.value(), STREAM_OF[topic]).event_id)
    assert dict(sent) == summary["by_topic"]
    wider = {name for name in truth["events"] if name.startswith(tuple(map(_prefix, WIDER)))}
    assert seen == truth["events"].keys() - wider
    assert len(wider) == 24


# Activity, scope, category, basis.
Standing = dict[tuple[str, int, int | None, str], Decimal]


def test_every_line_and_the_totals_of_the_truth_are_in_the_ledger(
    stack: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "truth.json"
    summary = loaded(capsys, "--years", *YEARS, "--seed", SEED, "--truth", str(path))
    truth = json.loads(path.read_bytes())
    begun = time.monotonic()
    refs = sorted({event_id.rpartition("#")[0] for event_id in truth["events"]})
    expected = standing_in(truth)
    settings = settings_module.load()
    with connect_as_reader(settings, "tests", autocommit=True) as conn:
        while (found := standing(conn, refs)) != expected:
            if time.monotonic() - begun > LEDGER_SECONDS:
                break
            time.sleep(2)
        # By activity, so that a failure names what differs and not four thousand that do not.
        both = found.keys() | expected.keys()
        assert {one: found.get(one) for one in both if found.get(one) != expected.get(one)} == {}
        lines = lines_as_posted(conn, list(truth["events"]))
        totals = e1_6(conn, refs)
        for year in YEARS:
            while (wrong := cells_that_differ(conn, truth, int(year))) != []:
                # Supersession and the postings of the year come by their sensors.
                if time.monotonic() - begun > LEDGER_SECONDS:
                    break
                time.sleep(2)
            assert wrong == []
    wanted = {
        (event_id, line["line_no"]): (
            *(line["scope"], line["category"], line["basis"], line["year"]),
            Decimal(line["kgco2e"]),
        )
        for event_id, one in truth["events"].items()
        for line in one["lines"]
        # What a later revision of the same batch replaced at once may never have been posted.
        if not one["is_passed_over"] or (event_id, line["line_no"]) in lines
    }
    assert lines == wanted
    assert {year: totals[year] for year in sorted(totals)} == {
        year: {name: Decimal(kg) for name, kg in figures.items()}
        for year, figures in truth["e1_6"].items()
    }
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{summary['events']} events of {' and '.join(YEARS)}: {len(lines)} lines as in the "
            f"truth, {len(expected)} standing, E1-6 of {len(totals)} years equal, in "
            f"{time.monotonic() - begun:.0f} s; total location-based "
            + ", ".join(f"{year} {one['total_location']}" for year, one in sorted(totals.items()))
        )


def cells_that_differ(conn: Any, truth: dict[str, Any], year: int) -> list[str]:
    """Where the reports of a year, made now, are not the truth's, in words."""
    (inputs,) = read_report_inputs(
        conn, year, code_version="test", organization=company_reference.ORGANIZATION
    )
    expected = {
        name: {cell: None if told is None else Fraction(told) for cell, told in cells.items()}
        for name, cells in truth["reports"][str(year)].items()
    }
    made = {"esrs_e1": esrs_e1(inputs), "cdp_7": cdp(inputs)}
    return [one for name, report in made.items() for one in differences(report, expected[name])]


def standing_in(truth: dict[str, Any]) -> Standing:
    """What stands in the end by the truth; what is zero is left out."""
    found: Standing = defaultdict(Decimal)
    for event_id, one in truth["events"].items():
        for line in one["lines"]:
            key = (event_id.rpartition("#")[0], line["scope"], line["category"], line["basis"])
            found[key] += Decimal(line["standing_kgco2e"])
    return {key: kg for key, kg in found.items() if kg}


def standing(conn: Any, refs: list[str]) -> Standing:
    """The same of the ledger's active entries."""
    rows = conn.execute(
        "select activity_ref, scope, category, basis, sum(kgco2e) from ledger.active_entry"
        " where activity_ref = any(%s) group by 1, 2, 3, 4 having sum(kgco2e) <> 0",
        (refs,),
    )
    return {(ref, scope, category, basis): kg for ref, scope, category, basis, kg in rows}


def lines_as_posted(conn: Any, event_ids: list[str]) -> dict[tuple[str, int], tuple[Any, ...]]:
    """Every line that an event posted itself, whatever became of it: scope, category, basis, year
    of its local date, kgCO2e.
    """
    rows = conn.execute(
        "select event_id, line_no, scope, category, basis, extract(year from local_date)::int,"
        " kgco2e from ledger.entry where event_id = any(%s) and reverses_id is null",
        (event_ids,),
    ).fetchall()
    found = {(event_id, line_no): tuple(said) for event_id, line_no, *said in rows}
    assert len(found) == len(rows)
    return found


def e1_6(conn: Any, refs: list[str]) -> dict[str, dict[str, Decimal]]:
    """By year the gross figures of ESRS E1-6 (paragraph 44) that the company's events make,
    location-based; kgCO2e, as the truth names them.
    """
    found: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    rows = conn.execute(
        "select extract(year from local_date)::int, scope, category, sum(kgco2e)"
        " from ledger.active_entry where activity_ref = any(%s) group by 1, 2, 3",
        (refs,),
    )
    for year, scope, category, kg in rows:
        names = ["total_location", "scope_2_location" if scope == 2 else f"scope_{scope}"]
        if category is not None:
            names.append(f"scope_3_category_{category:02}")
        for name in names:
            found[str(year)][name] += kg
    return {year: dict(figures) for year, figures in found.items()}


def _prefix(key: bytes) -> str:
    return f"iot:{key.decode()}@"
