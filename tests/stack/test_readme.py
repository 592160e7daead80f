"""The README's example is what really comes out: its event sent, its lines read back."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from carbon_ledger.settings import PROJECT_ROOT
from carbon_ledger.store.reports import build_esrs_e1
from pipeline.producers import IoTEnergyEvent
from tests.support.micro_batch import Bench, micro_batch_bench

pytestmark = pytest.mark.stack
README = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def bench(stack: Any) -> Iterator[Bench]:
    with micro_batch_bench(stack) as bench:
        yield bench


def block(language: str) -> str:
    """The README's first fenced block of that language."""
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found is not None
    return found[1]


def readme_event() -> IoTEnergyEvent:
    """The event the README's snippet builds, without sending it."""
    code = block("python").partition("producer.send")[0]
    code = re.sub(r"(?m)^producer = .*$", "", code)
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)  # noqa: S102 - our own README
    event: IoTEnergyEvent = names["event"]
    return event


def test_the_readme_s_event_becomes_the_readme_s_figure(bench: Bench) -> None:
    bench.send_events(readme_event())
    bench.work()
    ((event_id, kwh, source, country),) = bench.rows(
        "select event_id, quantity, activity_type, country_iso2 from ledger.iot_energy"
    )
    ((factor, per_kwh, match, release),) = bench.rows(
        "select f.factor_id, f.kgco2e_per_unit, e.factor_match, e.factor_release"
        " from ledger.entry e join factors.factor f"
        " on f.factor_id = e.factor_id and f.version = e.factor_version"
    )
    ((kilograms, flags),) = bench.rows("select kgco2e, flags from ledger.entry")
    ((day, daily),) = bench.rows("select local_date, kgco2e from windows.daily")
    with closing(bench.database.writer(autocommit=True)) as conn:
        report = build_esrs_e1(
            conn, day.year, snapshot_id=uuid.uuid4(), run_id="readme", code_version="readme"
        )
    row = next(row for row in report if row.country_iso2 == country)
    shown = "\n".join(
        (
            f"event    {event_id}   {kwh} kWh, {source}, {country}",
            f"factor   {factor}   {per_kwh} kgCO2e/kWh, {match}, release {release}",
            f"entry    {kilograms} kgCO2e   scope 2, location-based, {flags}",
            f"window   {day}   {daily} kgCO2e",
            f"report   {row.datapoint} {row.concept} {row.fiscal_year} {country}"
            f"   {row.value:f} tCO2e",
        )
    )
    assert block("text") == shown + "\n"
