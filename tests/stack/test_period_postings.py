"""Category 3 of metered energy and scope 2 market-based, posted per period and kept true."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import dagster as dg
import psycopg
import pytest
from psycopg.rows import kwargs_row

from carbon_assets.period_postings import postings
from carbon_ledger import settings
from carbon_ledger.energy import period_postings
from carbon_ledger.energy.meter_category3 import category3_of_reading
from carbon_ledger.energy.meter_events import MeterReadingEvent
from carbon_ledger.energy.period_postings import written_basis
from carbon_ledger.entries import EntryRow, content_sha256, reversal_of
from carbon_ledger.inventory import Inventory
from carbon_ledger.places import Rules
from carbon_ledger.policy import Policy
from carbon_ledger.posting import Origin, rows_of_event
from carbon_ledger.reference.files import Stated
from carbon_ledger.reference.register import Register
from carbon_ledger.reporting.esrs_e1 import esrs_e1, section_faults
from carbon_ledger.store.checks import check_windows
from carbon_ledger.store.connect import connect
from carbon_ledger.store.period_postings import YearOutcome, post_year, standing_lines, years_due
from carbon_ledger.store.reference import apply_statements
from carbon_ledger.store.report_inputs import read_report_inputs
from carbon_ledger.store.rows import begin_writing, insert_identity, make_months_aside, post_entries
from factor_seeds.load import shipped_book
from resources.database import LedgerDatabase as DatabaseResource
from spark.reperform import Outcome, Reperformer
from tests.support.postgres import LedgerDatabase, scratch_database
from tests.support.reference_examples import certificate, entity, residual_mix, site
from tests.support.transport_examples import trip

pytestmark = pytest.mark.stack

YEAR = 2024
POLICY = Policy()
# 1,500 kWh in Germany on two days at two plants, and a plant of somebody else.
SITES = (
    site("north"),
    site("south"),
    site("foreign", organization_id="other"),
    # Where upstream and losses are published beside the generation factor.
    site("isle", country_iso2="GB", time_zone="Europe/London"),
)
READINGS = (
    ("north", datetime(2024, 3, 1, 9, tzinfo=UTC), "200.5"),
    ("north", datetime(2024, 3, 1, 23, 30, tzinfo=UTC), "99.5"),  # the second of March in Berlin
    ("north", datetime(2024, 7, 9, 9, tzinfo=UTC), "300"),
    ("south", datetime(2024, 3, 1, 9, tzinfo=UTC), "900"),
)
MIX = residual_mix("0.7")


class Ledger:
    """A ledger of readings, and what is posted of it per period."""

    def __init__(self, database: LedgerDatabase, superuser_url: str) -> None:
        self.database = database
        self.superuser_url = superuser_url
        self.conn = database.writer(autocommit=True)
        self.number = 0

    def register(self, *records: Any) -> None:
        with self.conn.transaction():
            apply_statements(
                self.conn,
                [Stated(record=one, file="test.yaml") for one in records],
                source="test.yaml",
                source_sha256=bytes(32),
            )

    def read(
        self,
        facility: str,
        begin: datetime,
        kwh: str,
        taken_at: datetime | None = None,
        **changes: Any,
    ) -> EntryRow:
        """Posts the line of a reading as a batch would, but for the batch; `taken_at` is the moment
        its writer took, if it took one before.
        """
        self.number += 1
        event = MeterReadingEvent(
            **{
                "sensor_id": f"{facility}-{self.number}",
                "facility_id": facility,
                "country_iso2": "DE",
                "energy_kwh": kwh,
                "timestamp": begin,
                "interval_seconds": 900,
                **changes,
            }
        )
        rules = Rules(book=shipped_book(), code_version="test", register=Register(records=SITES))
        day = begin.date().replace(day=1)
        make_months_aside(self.conn, [day, (begin + timedelta(days=1)).date().replace(day=1)])
        with self.conn.transaction():
            moment = taken_at or begin_writing(self.conn)
            origin = Origin(
                topic="t",
                topic_incarnation=0,
                kafka_partition=0,
                kafka_offset=self.number,
                batch_id=1,
                recorded_at=moment,
                payload_sha256=bytes([self.number]) * 32,
                schema_sha256=bytes(32),
            )
            (row,) = rows_of_event("iot_energy", event, origin, rules)
            insert_identity(self.conn, row)
            post_entries(self.conn, [row], recorded_at=moment, kind="correction")
        return row

    def charge(self, vehicle: str, **fields: Any) -> list[EntryRow]:
        """Posts the lines of what an own vehicle was charged with elsewhere."""
        self.number += 1
        event = trip(
            **{
                "vehicle_id": vehicle,
                "trip_id": str(self.number),
                "vehicle_class": "van_average",
                "fuel_type": "electricity",
                "charging": "public",
                "country_iso2": "DE",
                "timestamp": "2024-06-01T09:00:00Z",
                **fields,
            }
        )
        rules = Rules(book=shipped_book(), code_version="test", register=Register(records=SITES))
        make_months_aside(self.conn, [date(2024, 6, 1)])
        with self.conn.transaction():
            moment = begin_writing(self.conn)
            origin = Origin(
                topic="t",
                topic_incarnation=0,
                kafka_partition=0,
                kafka_offset=self.number,
                batch_id=1,
                recorded_at=moment,
                payload_sha256=bytes([self.number]) * 32,
                schema_sha256=bytes(32),
            )
            rows = rows_of_event("transport", event, origin, rules)
            insert_identity(self.conn, rows[0])
            post_entries(self.conn, rows, recorded_at=moment, kind="correction")
        return list(rows)

    def post(self) -> YearOutcome:
        return post_year(self.conn, YEAR, POLICY, code_version="test")

    def market(self) -> dict[str, tuple[Decimal, Decimal]]:
        """kWh and kgCO2e of each standing market-based line, by site and source."""
        return {
            row.activity_ref.removeprefix("market:"): (row.quantity, row.kgco2e)
            for row in standing_lines(self.conn, YEAR)
            if row.basis == "market"
        }

    def reperformed(self, **environment: str) -> list[Outcome]:
        """What comes of every period posting, and every reversal of one; by other settings."""
        with closing(
            connect(self.database.auditor_url, "tests", True, organizations="*")
        ) as auditor:
            worker = Reperformer(
                connection=auditor,
                archive_url="file:///nowhere",
                settings=settings.load({**os.environ, **environment}),
            )
            with auditor.cursor(row_factory=kwargs_row(EntryRow)) as cursor:
                rows = cursor.execute(
                    "select * from ledger.entry where stream = 'period_postings' order by entry_id"
                ).fetchall()
            return list(worker.outcomes(rows))

    @contextmanager
    def altered(self, change: str, undo: str, *parameters: object) -> Iterator[None]:
        """A change that only a superuser can make, past every guard; undone at the end."""
        with psycopg.connect(self.superuser_url, autocommit=True) as conn:
            conn.execute("set session_replication_role = replica")
            assert conn.execute(change, parameters).rowcount == 1
            try:
                yield
            finally:
                assert conn.execute(undo, parameters).rowcount == 1

    def location_digest(self) -> list[bytes]:
        rows = self.conn.execute(
            "select content_sha256 from ledger.entry where basis = 'location' and scope = 2"
            " order by entry_id"
        )
        return [bytes(row[0]) for row in rows]


@pytest.fixture
def ledger(stack: Any) -> Iterator[Ledger]:
    with scratch_database(stack.layout.database_url, with_factors=True) as database:
        name = psycopg.conninfo.conninfo_to_dict(database.writer_url)["dbname"]
        found = Ledger(database, stack.layout.database_url("postgres", name))
        found.register(*SITES)
        for facility, begin, kwh in READINGS:
            found.read(facility, begin, kwh)
        yield found
        found.conn.close()


BRITISH = (
    (datetime(2024, 6, 1, 9, tzinfo=UTC), "200.5"),
    (datetime(2024, 6, 1, 23, 30, tzinfo=UTC), "99.5"),  # the second of June in summer time
    (datetime(2024, 7, 9, 9, tzinfo=UTC), "300"),
)


def test_category_3_of_each_site_and_local_day_is_that_of_its_readings(ledger: Ledger) -> None:
    for begin, kwh in BRITISH:
        ledger.read("isle", begin, kwh, country_iso2="GB")
    outcome = ledger.post()
    assert outcome.faults == []
    inventory = Inventory(
        book=shipped_book(), now=datetime.now(UTC), register=Register(records=SITES)
    )
    expected: dict[str, Decimal] = {}
    for begin, kwh in BRITISH:
        event = MeterReadingEvent(
            sensor_id="m",
            facility_id="isle",
            country_iso2="GB",
            energy_kwh=kwh,
            timestamp=begin,
            interval_seconds=900,
        )
        for line in category3_of_reading(event, inventory).lines:
            key = f"isle {line.working.formula.formula_id}"
            expected[key] = expected.get(key, Decimal(0)) + line.kgco2e
    found: dict[str, Decimal] = {}
    days = set()
    for row in standing_lines(ledger.conn, YEAR):
        if row.scope == 3:
            assert (row.category, row.basis, row.stream) == (3, "location", "period_postings")
            key = f"{row.facility_id} {row.formula_id}"
            found[key] = found.get(key, Decimal(0)) + row.kgco2e
            days.add((row.facility_id, row.local_date))
    assert expected
    # Lines are rounded once each to 12 decimals: a sum of readings may differ in the last.
    assert found.keys() == expected.keys()
    assert all(abs(found[key] - expected[key]) < Decimal("1e-10") for key in expected)
    assert days == {
        ("isle", date(2024, 6, 1)),
        ("isle", date(2024, 6, 2)),
        ("isle", date(2024, 7, 9)),
    }
    # The German figure is a life-cycle one, which holds its upstream already: nothing is added.
    assert {one.facility_id for one in outcome.not_posted} == {"north", "south"}


def test_market_based_figures_follow_the_waterfall_and_certificates_that_come_late(
    ledger: Ledger,
) -> None:
    ledger.register(MIX)
    ledger.post()
    before = ledger.location_digest()
    assert ledger.market() == {
        "north@2024/residual_mix": (Decimal(600), Decimal(420)),
        "south@2024/residual_mix": (Decimal(900), Decimal(630)),
    }
    ledger.register(certificate("c1", volume_kwh="1000"))
    assert [one.fiscal_year for one in years_due(ledger.conn)] == [YEAR]
    outcome = ledger.post()
    covered = sum(kwh for ref, (kwh, _) in ledger.market().items() if ref.endswith("/c1"))
    left = {ref: kg for ref, (_, kg) in ledger.market().items() if "residual" in ref}
    assert covered == Decimal(1000)
    assert sum(left.values()) == Decimal(350)
    assert outcome.delta_kgco2e["market"] == Decimal(-700)
    assert years_due(ledger.conn) == []
    assert ledger.location_digest() == before


def test_what_vehicles_are_charged_with_elsewhere_has_its_market_based_twin(
    ledger: Ledger,
) -> None:
    ledger.register(MIX)
    ledger.post()
    before = ledger.location_digest()
    ledger.charge("v1", energy_kwh="100", facility_id="north")
    ledger.charge("v2", energy_kwh="50")
    ledger.charge("v3", distance_km="10", country_iso2="GB")
    assert [one.fiscal_year for one in years_due(ledger.conn)] == [YEAR]
    outcome = ledger.post()
    assert outcome.faults == []
    charged = {ref: line for ref, line in ledger.market().items() if ref.startswith("charging")}
    kwh, kgco2e = charged.pop("charging_by_distance:GB/unassigned@2024/grid_average")
    assert (kwh > 0, kgco2e > 0) == (True, True)
    assert charged == {
        "charging:DE/north@2024/residual_mix": (Decimal(100), Decimal(70)),
        "charging:DE/unassigned@2024/residual_mix": (Decimal(50), Decimal(35)),
    }
    # Both figures of scope 2 are now of the same kWh, and the location-based one did not move.
    assert outcome.delta_kgco2e["market"] == 105 + kgco2e
    assert set(before) <= set(ledger.location_digest())
    assert (ledger.post().lines_posted, years_due(ledger.conn)) == (0, [])

    # A report knows by their own release what their kWh follow from, and they are those posted.
    with ledger.database.reader() as conn:
        every = read_report_inputs(conn, YEAR, code_version="test")
    charging = {}
    of_vehicles = Decimal(0)
    for inputs in every:
        charging |= inputs.charging
        report = esrs_e1(inputs)
        assert section_faults(report, inputs) == []
        assert report.table("E1-5-not-determined").rows == ()
        for part in report.table("E1-5-parts").rows:
            if part.row_id.startswith("vehicle_electricity"):
                of_vehicles += part.cells["energy"].number
    assert sorted(unit for *_, unit in charging) == ["kWh", "km"]
    assert all(charging.values())
    assert of_vehicles == (150 + kwh) / 1000

    # A certificate covers them, a correction takes its part along, and all of it comes out again.
    ledger.register(certificate("c1", volume_kwh="1650"))
    ledger.post()
    assert "charging:DE/unassigned@2024/c1" in ledger.market()
    assert sum(kg for ref, (_, kg) in ledger.market().items() if "residual" in ref) == 0
    (gone, *_) = ledger.charge("v4", energy_kwh="1")
    ledger.post()
    back = reversal_of(gone, recorded_at=datetime.now(UTC), cause="not ours")
    with ledger.conn.transaction():
        moment = begin_writing(ledger.conn)
        post_entries(
            ledger.conn,
            [replace(back, recorded_at=moment)],
            recorded_at=moment,
            kind="correction",
        )
    ledger.post()
    assert sum(kg for ref, (_, kg) in ledger.market().items() if "residual" in ref) == 0
    found = ledger.reperformed()
    assert {one.verdict for one in found} == {"equal"}, [one for one in found if one.is_fault]


def test_a_second_look_posts_nothing_and_a_new_reading_moves_only_its_own(ledger: Ledger) -> None:
    ledger.register(MIX)
    first = ledger.post()
    assert first.lines_posted > 0
    again = ledger.post()
    assert (again.lines_posted, again.reversals) == (0, 0)
    kept = {row.entry_id for row in standing_lines(ledger.conn, YEAR) if row.facility_id == "north"}
    assert kept
    ledger.read("south", datetime(2024, 3, 1, 10, tzinfo=UTC), "100")
    moved = ledger.post()
    assert moved.lines_posted == moved.reversals > 0
    assert ledger.market()["south@2024/residual_mix"] == (Decimal(1000), Decimal(700))
    assert kept <= {row.entry_id for row in standing_lines(ledger.conn, YEAR)}


def test_what_is_corrected_away_takes_its_period_lines_with_it(ledger: Ledger) -> None:
    ledger.register(MIX)
    row = ledger.read("south", datetime(2024, 9, 5, tzinfo=UTC), "50")
    ledger.post()
    assert ledger.market()["south@2024/residual_mix"] == (Decimal(950), Decimal(665))
    with ledger.conn.transaction():
        moment = begin_writing(ledger.conn)
        back = reversal_of(row, recorded_at=moment, cause="the meter stood still")
        post_entries(ledger.conn, [back], recorded_at=moment, kind="correction")
    outcome = ledger.post()
    assert outcome.reversals > 0
    assert ledger.market()["south@2024/residual_mix"] == (Decimal(900), Decimal(630))


def test_no_kwh_of_an_instrument_is_used_twice_whoever_it_is_used_by(ledger: Ledger) -> None:
    ledger.register(MIX, certificate("c1", volume_kwh="1000"))
    ledger.read("foreign", datetime(2024, 5, 1, tzinfo=UTC), "800")

    def used() -> dict[str, Decimal]:
        return {
            ref.partition("@")[0]: kwh
            for ref, (kwh, _) in ledger.market().items()
            if ref.endswith("/c1")
        }

    ledger.post()
    first = used()
    assert sum(first.values()) == Decimal(1000)
    # Who has it keeps it: more consumption elsewhere takes nothing away.
    ledger.read("foreign", datetime(2024, 5, 2, tzinfo=UTC), "900")
    ledger.post()
    assert used() == first
    ledger.register(certificate("c1", volume_kwh="100"))
    ledger.post()
    assert sum(used().values()) == Decimal(100)


def test_a_refusal_holds_what_was_posted_and_is_named(ledger: Ledger) -> None:
    ledger.register(MIX)
    ledger.post()
    before = ledger.market()
    ledger.register(replace(MIX, instrument_id="mix-de-too"))
    outcome = ledger.post()
    assert [one.code for one in outcome.faults] == ["residual_mix_twice"]
    assert "mix-de, mix-de-too" in outcome.faults[0].reason
    assert (outcome.lines_posted, outcome.reversals) == (0, 0)
    assert ledger.market() == before


def test_the_assets_check_fails_for_a_year_that_is_refused(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARBON_DATABASE_WRITER_URL", ledger.database.writer_url)
    ledger.register(MIX, replace(MIX, instrument_id="mix-de-too"))
    done = dg.materialize(
        [postings], partition_key=str(YEAR), resources={"database": DatabaseResource()}
    )
    (check,) = done.get_asset_check_evaluations()
    assert not check.passed
    assert "residual_mix_twice" in str(check.description)


def test_every_line_says_what_it_rests_on_and_windows_still_equal_entries(ledger: Ledger) -> None:
    ledger.register(MIX)
    ledger.post()
    rows = standing_lines(ledger.conn, YEAR)
    for row in rows:
        assert content_sha256(row) == row.content_sha256
        found = ledger.conn.execute(
            "select basis_text::jsonb -> 'sums' -> 0 ->> 'facility_id' from ledger.period_basis"
            " where payload_sha256 = %s",
            (row.payload_sha256,),
        ).fetchone()
        assert found is not None
    days = sorted({row.local_date for row in rows} | {date(2024, 3, 2)})
    assert check_windows(ledger.conn, days) == []
    (kinds,) = ledger.conn.execute(
        "select array_agg(distinct kind order by kind) from audit.commit"
    ).fetchone() or ((),)
    assert kinds == ["correction", "period"]


@pytest.fixture
def moved(ledger: Ledger) -> Ledger:
    """A year that was looked at four times, with a certificate, a correction and a late reading
    between, two organizations that share a certificate, and both kinds of postings.
    """
    ledger.register(MIX, certificate("c1", volume_kwh="1000"))
    for begin, kwh in BRITISH:
        ledger.read("isle", begin, kwh, country_iso2="GB")
    row = ledger.read("south", datetime(2024, 9, 5, tzinfo=UTC), "50")
    ledger.post()
    ledger.read("foreign", datetime(2024, 5, 1, tzinfo=UTC), "800")
    ledger.post()
    with ledger.conn.transaction():
        moment = begin_writing(ledger.conn)
        back = reversal_of(row, recorded_at=moment, cause="the meter stood still")
        post_entries(ledger.conn, [back], recorded_at=moment, kind="correction")
    ledger.register(certificate("c1", volume_kwh="700"))
    ledger.post()
    ledger.read("isle", datetime(2024, 6, 1, 10, tzinfo=UTC), "1", country_iso2="GB")
    ledger.register(replace(MIX, emission_rate_kgco2e_per_kwh=Decimal("0.65")))
    ledger.post()
    return ledger


def test_every_period_posting_comes_out_again_by_what_was_known_then(moved: Ledger) -> None:
    found = moved.reperformed()
    assert {one.verdict for one in found} == {"equal"}, [one for one in found if one.is_fault]
    assert {one.kind for one in found} == {"period", "reversal"}
    assert len(found) > 20


def test_a_period_posting_is_made_anew_with_the_potentials_that_it_says(moved: Ledger) -> None:
    """Not with those of today's setting, which would give other figures."""
    (said,) = moved.conn.execute(
        "select distinct basis_text::jsonb ->> 'gwp_set' from ledger.period_basis"
    ).fetchall()
    assert said == ("AR6",)
    weighed = [row for row in standing_lines(moved.conn, YEAR) if row.gwp_set == "AR6"]
    assert weighed
    assert {one.verdict for one in moved.reperformed(CARBON_GWP_SET="AR4")} == {"equal"}


@pytest.mark.parametrize("gwp_set", ["AR4", "AR5"])
def test_what_was_posted_before_it_said_its_potentials_comes_out_as_well(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, gwp_set: str
) -> None:
    def silent(content: Mapping[str, Any]) -> str:
        return written_basis({name: one for name, one in content.items() if name != "gwp_set"})

    for begin, kwh in BRITISH:
        ledger.read("isle", begin, kwh, country_iso2="GB")
    with monkeypatch.context() as patch:
        patch.setattr(period_postings, "written_basis", silent)
        post_year(ledger.conn, YEAR, Policy(gwp_set=gwp_set), code_version="test")
    rows = standing_lines(ledger.conn, YEAR)
    assert "gwp_set_embedded" in {flag for row in rows for flag in row.flags.split(",")}
    assert gwp_set in {row.gwp_set for row in rows}
    found = ledger.reperformed()
    assert {one.verdict for one in found} == {"equal"}, [one for one in found if one.is_fault]


def _faults(ledger: Ledger, name: str) -> list[Outcome]:
    return [
        one
        for one in ledger.reperformed()
        if one.is_fault and one.kind == "period" and one.event_id.startswith(name)
    ]


@pytest.mark.parametrize("basis", ["market", "location"])
def test_an_altered_figure_of_a_period_is_found_and_named(moved: Ledger, basis: str) -> None:
    row = next(row for row in standing_lines(moved.conn, YEAR) if row.basis == basis)
    with moved.altered(
        "update ledger.entry set kgco2e = kgco2e + 0.000000000001 where entry_id = %s",
        "update ledger.entry set kgco2e = kgco2e - 0.000000000001 where entry_id = %s",
        row.entry_id,
    ):
        (fault,) = [one for one in moved.reperformed() if one.is_fault]
    assert (fault.entry_id, fault.verdict) == (row.entry_id, "differs")
    assert {one.field for one in fault.differences} == {"kgco2e", "content_sha256"}


def test_an_altered_reading_is_found_in_what_rests_on_it(moved: Ledger) -> None:
    """The lines of its day and of its year, and in them the sum that it is in."""
    entry_id = moved.conn.execute(
        "select entry_id from ledger.active_entry where stream = 'iot_energy'"
        " and facility_id = 'isle' and local_date = '2024-07-09'"
    ).fetchall()[0][0]
    with moved.altered(
        "update ledger.entry set quantity = quantity + 7 where entry_id = %s",
        "update ledger.entry set quantity = quantity - 7 where entry_id = %s",
        entry_id,
    ):
        day = _faults(moved, "category3:isle@2024-07-09")
        year = _faults(moved, "market:isle@2024")
        others = _faults(moved, "category3:isle@2024-06-01")
    assert day
    assert year
    assert others == []
    told = {one.field: one for fault in day for one in fault.differences}
    assert (told["basis.sums[0].quantity"].stored, told["basis.sums[0].quantity"].remade) == (
        "300",
        "307",
    )
    assert {"quantity", "kgco2e", "payload_sha256"} <= told.keys()


def test_an_altered_contract_is_found_in_the_figures_it_made(moved: Ledger) -> None:
    with moved.altered(
        "update reference.instrument set emission_rate_kgco2e_per_kwh = 0.6"
        " where instrument_id = 'mix-de' and emission_rate_kgco2e_per_kwh = 0.65",
        "update reference.instrument set emission_rate_kgco2e_per_kwh = 0.65"
        " where instrument_id = 'mix-de' and emission_rate_kgco2e_per_kwh = 0.6",
    ):
        faults = _faults(moved, "market:")
        assert _faults(moved, "category3:") == []
    assert faults
    assert all("residual_mix" in one.event_id for one in faults)
    assert {"kgco2e"} <= {one.field for fault in faults for one in fault.differences}


def test_a_reading_that_a_run_came_too_early_to_see_is_no_fault(ledger: Ledger) -> None:
    """Its writer took its moment before the run did, and committed after."""
    ledger.register(MIX)
    with closing(ledger.database.writer(autocommit=True)) as late:
        with late.transaction():
            moment = begin_writing(late)
            outcome = ledger.post()
            assert outcome.known_at is not None
            assert moment < outcome.known_at
            ledger.conn, early = late, ledger.conn
            ledger.read("north", datetime(2024, 3, 1, 10, tzinfo=UTC), "5", taken_at=moment)
        ledger.conn = early
    assert {one.verdict for one in ledger.reperformed()} == {"equal"}


def test_years_that_begin_in_april_have_lines_of_their_own(ledger: Ledger) -> None:
    """North and south as before; the year's parts before and from April stand apart, and moving
    the month moves no location-based figure.
    """
    ledger.read("north", datetime(2024, 2, 5, 9, tzinfo=UTC), "40")
    ledger.register(MIX)
    ledger.post()
    whole, location = ledger.market(), ledger.location_digest()
    ledger.register(entity(fiscal_year_first_month="4"))
    outcome = ledger.post()
    assert outcome.faults == []
    parts = ledger.market()
    assert set(parts).isdisjoint(whole)
    assert sum(kwh for kwh, _ in parts.values()) == sum(kwh for kwh, _ in whole.values())
    days = {
        row.activity_ref.partition("@")[2].partition("/")[0]: row.local_date
        for row in standing_lines(ledger.conn, YEAR)
        if row.basis == "market"
    }
    assert days == {"2024-01": date(2024, 1, 1), "2024-04": date(2024, 4, 1)}
    before_april = sum(
        row[0]
        for row in ledger.conn.execute(
            "select quantity from ledger.active_entry where stream = 'iot_energy'"
            " and basis = 'location' and local_date < '2024-04-01'"
        )
    )
    assert sum(kwh for ref, (kwh, _) in parts.items() if "@2024-01/" in ref) == before_april
    assert ledger.location_digest() == location
    again = ledger.post()
    assert (again.lines_posted, again.reversals) == (0, 0)
    assert {one.verdict for one in ledger.reperformed()} == {"equal"}
