"""A ledger to be reviewed: readings with archived records, other lines without, kept reports.

Belongs here: making it, beside an API. Does not: what its pages say (tests/stack/test_review_*.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from carbon_ledger.entries import EntryRow
from carbon_ledger.factor_book.rows import make_release
from carbon_ledger.reporting.cdp import cdp
from carbon_ledger.reporting.esrs_e1 import esrs_e1
from carbon_ledger.reporting.tables import Report
from carbon_ledger.settings import Settings
from carbon_ledger.store.report_inputs import read_report_inputs
from carbon_ledger.store.report_snapshots import keep_report
from devstack.postgres import Postgres
from factor_seeds.load import release as shipped_release
from tests.support.archived_parts import ArchivedLedger, archived_ledger, reading
from tests.support.postgres import reading as entry
from tests.support.reading_ledger import bought, post, reading_api

YEAR = 2025
BEGIN = datetime(YEAR, 3, 10, 8, tzinfo=UTC)
READINGS = 6
LAST_YEAR = datetime(YEAR - 1, 6, 1, tzinfo=UTC)


@dataclass(kw_only=True)
class ReviewWorld:
    """The ledger, its API, and what is kept of it: ESRS E1 and CDP of organization `default`."""

    ledger: ArchivedLedger
    settings: Settings
    url: str
    esrs: UUID
    cdp: UUID
    foreign: UUID

    def keep(self, maker: Any, organization: str = "default") -> UUID:
        """Makes a report of what is known now and keeps it."""
        return kept(self.ledger, maker, organization)


def made(ledger: ArchivedLedger, maker: Any, organization: str = "default") -> Report:
    """A report of what is known now."""
    with closing(ledger.database.reader()) as conn:
        (inputs,) = read_report_inputs(conn, YEAR, code_version="test", organization=organization)
    report: Report = maker(inputs)
    return report


def kept(ledger: ArchivedLedger, maker: Any, organization: str = "default") -> UUID:
    """The id of such a report, kept."""
    report, snapshot_id = made(ledger, maker, organization), uuid4()
    with closing(ledger.writer()) as conn:
        keep_report(conn, report, snapshot_id=snapshot_id, run_id=f"run-{snapshot_id}")
    return snapshot_id


def line(number: int, kg: str, **changes: Any) -> EntryRow:
    """An entry of no record, of March 2025: scope 1 unless said otherwise."""
    scope = changes.get("scope", 1)
    return entry(
        number,
        **{
            "event_id": f"t:{number}#0",
            "activity_ref": f"t:{number}",
            "claim_key": f"t:{number}|{scope}",
            "scope": scope,
            "basis": "combustion" if scope == 1 else "location",
            "activity_type": "fuel:natural_gas",
            "occurred_from": BEGIN + timedelta(minutes=number),
            "local_date": BEGIN.date(),
            "kgco2e": Decimal(kg),
            **changes,
        },
    )


def other_lines() -> Sequence[EntryRow]:
    """Lines that reports tell apart in every way they do."""
    return (
        line(1, "70.25", kg_co2_biogenic=Decimal("0.5")),
        line(2, "5", other_gases={"SF6": "0.001000000000"}, gas_split="available"),
        line(3, "250.5", scope=2, country_iso2="FR", activity_type="electricity:grid"),
        line(4, "800", scope=2, basis="market", activity_type="electricity:market"),
        bought(5, date(YEAR, 3, 1), "300"),
        bought(6, date(YEAR, 4, 1), "40", supplier="SUP_043_FR", category=6),
        line(7, "900", occurred_from=LAST_YEAR, local_date=LAST_YEAR.date()),
        line(8, "77", organization_id="other"),
    )


@contextmanager
def review_world(server: Postgres, folder: Path, **settings: str) -> Iterator[ReviewWorld]:
    """A fresh one below `folder`, gone afterwards."""
    shipped = shipped_release()
    release = make_release(
        "test",
        [row for row in shipped.rows if row.family == "grid" and row.country_iso2 == "DE"],
        [row for row in shipped.index_rows if row.series.startswith("gwp_")],
    )
    with archived_ledger(server.layout.database_url, folder) as ledger:
        ledger.send(
            [
                reading(BEGIN + timedelta(minutes=15 * number), sensor_id=f"M{number}")
                for number in range(READINGS)
            ],
            ledger.store(release),
        )
        with closing(ledger.writer()) as conn:
            post(conn, list(other_lines()))
        ids = [kept(ledger, esrs_e1), kept(ledger, cdp), kept(ledger, esrs_e1, "other")]
        home = folder / "home"
        given = {"CARBON_ARCHIVE_URL": ledger.archive_url, "CARBON_ORGANIZATIONS": "*", **settings}
        with reading_api(ledger.database, home, **given) as (url, used):
            yield ReviewWorld(
                ledger=ledger, settings=used, url=url, esrs=ids[0], cdp=ids[1], foreign=ids[2]
            )
