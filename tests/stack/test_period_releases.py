"""A year's period figures keep their factor release and their potentials until two people move
them, or must.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from carbon_ledger.factor_book.rows import FactorRelease, make_release, sealed
from carbon_ledger.policy import Policy
from carbon_ledger.restatement import Target
from carbon_ledger.store.period_postings import YearOutcome, post_year, standing_lines
from carbon_ledger.store.restatements import approve
from factor_seeds.load import release as shipped_release
from spark.restate import post, preview
from tests.support.archived_parts import ArchivedLedger, archived_ledger, reading

pytestmark = pytest.mark.stack

YEAR = 2025
BEGIN = datetime(2025, 3, 10, 8, tzinfo=UTC)
SHIPPED = Decimal("0.32965")
REVISED = Decimal("0.31")
KWH = Decimal(300)
WHOLE = date(YEAR, 1, 1), date(YEAR + 1, 1, 1)


@cache
def release(countries: str, german: Decimal = SHIPPED) -> FactorRelease:
    """Grid factors of these countries, and the potentials, out of the shipped release; Germany's is
    another version of its row if it is not the shipped figure.
    """
    shipped, rows = shipped_release(), []
    for row in shipped.rows:
        if row.family == "grid" and row.year == YEAR and row.country_iso2 in countries.split():
            is_revised = row.country_iso2 == "DE" and german != SHIPPED
            version = 2 if german == REVISED else 3
            revised = sealed(replace(row, version=version, kgco2e_per_unit=german))
            rows.append(revised if is_revised else row)
    potentials = [row for row in shipped.index_rows if row.series.startswith("gwp_")]
    return make_release("test", rows, potentials)


def readings(country: str, hours: int = 3, day: int = 0, **more: Any) -> list[dict[str, Any]]:
    return [
        reading(
            BEGIN + timedelta(days=day, hours=hour),
            country_iso2=country,
            sensor_id=f"M-{country}",
            facility_id=f"PLANT-{country}",
            energy_kwh="100",
            **more,
        )
        for hour in range(hours)
    ]


@pytest.fixture
def ledger(stack: Any, tmp_path: Path) -> Iterator[ArchivedLedger]:
    """300 kWh in Germany and 300 in Britain by one release, posted per period."""
    with archived_ledger(stack.layout.database_url, tmp_path) as found:
        name = found.store(release("DE GB"))
        found.send([*readings("DE"), *readings("GB")], name, 0)
        assert look(found).market_releases == {"default": name}
        assert market(found)["DE"] == KWH * SHIPPED
        yield found


def look(ledger: ArchivedLedger, setting: str = "AR6") -> YearOutcome:
    with closing(ledger.writer()) as conn:
        return post_year(conn, YEAR, Policy(gwp_set=setting), code_version="test")


def market(ledger: ArchivedLedger) -> Mapping[str, Decimal]:
    """kgCO2e of the standing market-based lines, by country."""
    with closing(ledger.writer()) as conn:
        rows = [row for row in standing_lines(conn, YEAR) if row.basis == "market"]
    return {row.country_iso2: row.kgco2e for row in rows}


def weighed(ledger: ArchivedLedger) -> dict[str, tuple[str, Decimal]]:
    """Set of potentials and kgCO2e of the standing lines whose gases are weighed."""
    with closing(ledger.writer()) as conn:
        rows = standing_lines(conn, YEAR)
    split = [row for row in rows if row.gas_split == "available"]
    return {row.activity_ref: (row.gwp_set, row.kgco2e) for row in split}


def restate(
    ledger: ArchivedLedger, to: str | Target, first_date: date, end_date: date, *, posted: bool
) -> None:
    with closing(ledger.writer()) as conn:
        found = preview(
            conn,
            ledger.settings,
            Target(release_id=to) if isinstance(to, str) else to,
            first_date=first_date,
            end_date=end_date,
            by="Group Controller",
            reason="the publisher revised its figure",
        ).restatement
        assert found is not None
        if posted:
            for name in ("Group Controller", "Energy Lead"):
                approve(conn, found.restatement_id, name, "compared with the publication")
            post(conn, ledger.settings, found.restatement_id, by="Data Engineer")


def causes(ledger: ArchivedLedger) -> set[str]:
    return {
        cause
        for (cause,) in ledger.rows(
            "select cause from ledger.entry where basis = 'market' and reverses_id is not null"
        )
    }


def test_a_release_that_is_imported_moves_no_figure_of_a_year(ledger: ArchivedLedger) -> None:
    before = market(ledger)
    newer = ledger.store(release("DE GB", REVISED))
    outcome = look(ledger)
    assert (outcome.lines_posted, outcome.reversals) == (0, 0)
    # Nor does a reading that took the newer release already: the year has one.
    ledger.send(readings("DE", 1, day=40), newer, 0)
    outcome = look(ledger)
    assert outcome.market_releases == {"default": release("DE GB").release_id}
    assert market(ledger) == {**before, "DE": (KWH + 100) * SHIPPED}
    assert causes(ledger) == {"period posting: what it rests on came to another figure"}


def test_a_year_that_is_posted_late_has_the_newest_release_of_its_entries(
    stack: Any, tmp_path: Path
) -> None:
    with archived_ledger(stack.layout.database_url, tmp_path) as late:
        name = late.store(release("DE GB"))
        late.send(readings("DE"), name, 0)
        late.store(release("DE GB", REVISED))
        look(late)
        assert market(late) == {"DE": KWH * SHIPPED}


def test_an_approved_restatement_of_the_year_moves_it_once_it_is_posted(
    ledger: ArchivedLedger,
) -> None:
    before = market(ledger)
    newer = ledger.store(release("DE GB", REVISED))
    restate(ledger, newer, date(YEAR, 1, 1), date(YEAR + 1, 1, 1), posted=False)
    assert look(ledger).lines_posted == 0
    restate(ledger, newer, date(YEAR, 1, 1), date(YEAR + 1, 1, 1), posted=True)
    outcome = look(ledger)
    assert outcome.market_releases == {"default": newer}
    assert market(ledger) == {**before, "DE": KWH * REVISED}
    assert causes(ledger) == {
        f"period posting: restatement R-2 moved its year to factor release {newer}"
    }
    # It stays there whatever is imported next, and goes back as it came.
    ledger.store(release("DE GB FR", Decimal("0.5")))
    assert look(ledger).lines_posted == 0
    older = release("DE GB").release_id
    restate(ledger, older, date(YEAR, 1, 1), date(YEAR + 1, 1, 1), posted=True)
    look(ledger)
    assert market(ledger) == before


def test_a_restatement_of_a_part_of_the_year_moves_none_of_its_market_based_figures(
    ledger: ArchivedLedger,
) -> None:
    before = market(ledger)
    newer = ledger.store(release("DE GB", REVISED))
    restate(ledger, newer, date(YEAR, 3, 1), date(YEAR, 4, 1), posted=True)
    look(ledger)
    assert market(ledger) == before


def test_a_factor_that_the_release_lacks_moves_the_year_and_is_told(
    ledger: ArchivedLedger,
) -> None:
    older = release("DE GB").release_id
    newer = ledger.store(release("DE GB FR", REVISED))
    ledger.send(readings("FR"), newer, 0)
    outcome = look(ledger)
    assert outcome.market_releases == {"default": newer}
    assert market(ledger)["DE"] == KWH * REVISED
    said = f"factor release {older} lacks a factor that is needed, so {newer} is used"
    assert causes(ledger) == {f"period posting: {said}"}
    (told,) = [one for one in outcome.disclosures if "lacks" in one]
    assert told.startswith(f"default {YEAR}: {said} (")
    assert "FR" in told


def test_another_setting_of_the_potentials_moves_no_figure_of_a_year(
    ledger: ArchivedLedger, stack: Any, tmp_path: Path
) -> None:
    before = weighed(ledger)
    assert {name for name, _ in before.values()} == {"AR6"}
    assert any(ref.startswith("market:") for ref in before)
    outcome = look(ledger, "AR4")
    assert (outcome.lines_posted, outcome.reversals) == (0, 0)
    assert outcome.potentials == {"default": "AR6"}
    # Nor what comes later: the year has one set.
    ledger.send(readings("GB", 1, day=40), release("DE GB").release_id, 0)
    look(ledger, "AR4")
    after = weighed(ledger)
    assert {name for name, _ in after.values()} == {"AR6"}
    assert after.keys() >= before.keys()
    # A year that nothing was posted of has that of the setting, and other figures.
    with archived_ledger(stack.layout.database_url, tmp_path / "other") as other:
        other.send([*readings("DE"), *readings("GB")], other.store(release("DE GB")), 0)
        assert look(other, "AR4").potentials == {"default": "AR4"}
        for ref, (name, kgco2e) in weighed(other).items():
            assert name == "AR4"
            assert kgco2e != before[ref][1]


def test_a_restatement_of_the_potentials_moves_the_whole_year_and_stays(
    ledger: ArchivedLedger,
) -> None:
    before = weighed(ledger)
    restate(ledger, Target(gwp_set="AR5"), date(YEAR, 3, 1), date(YEAR, 4, 1), posted=True)
    assert look(ledger).potentials == {"default": "AR6"}, "a part of the year"
    assert weighed(ledger) == before
    restate(ledger, Target(gwp_set="AR4"), *WHOLE, posted=False)
    assert look(ledger).potentials == {"default": "AR6"}, "which nobody agreed to"
    restate(ledger, Target(gwp_set="AR4"), *WHOLE, posted=True)
    assert look(ledger).potentials == {"default": "AR4"}
    after = weighed(ledger)
    assert {name for name, _ in after.values()} == {"AR4"}
    assert after.keys() == before.keys()
    assert all(after[ref][1] != kgco2e for ref, (_, kgco2e) in before.items())
    assert causes(ledger) == {"period posting: restatement R-3 moved its year to potentials AR4"}
    for setting in ("AR5", "AR6"):
        assert look(ledger, setting).lines_posted == 0
    restate(ledger, Target(gwp_set="AR6"), *WHOLE, posted=True)
    look(ledger, "AR4")
    assert weighed(ledger) == before
