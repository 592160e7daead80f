"""Restatements on a real ledger with a real archive: previewed, approved, posted, and nothing else.

Only PostgreSQL and the archive are needed: parts are committed by the sink itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import psycopg
import pytest
from click.testing import CliRunner

from carbon_assets.restatement import posting
from carbon_ledger import settings as settings_module
from carbon_ledger.entries import canonical_bytes, content_sha256
from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.factor_book.rows import FactorRelease, make_release, sealed
from carbon_ledger.reference.records import Site
from carbon_ledger.restatement import Target
from carbon_ledger.settings import PROJECT_ROOT
from carbon_ledger.store.checks import check_accounts, check_windows, reconcile
from carbon_ledger.store.correct import post_correction, read_entry
from carbon_ledger.store.read import entries_as_of, knowledge_horizon
from carbon_ledger.store.reference import register_sites
from carbon_ledger.store.reports import build_esrs_e1
from carbon_ledger.store.restatement_posting import posting_faults
from carbon_ledger.store.restatements import (
    Restatement,
    approve,
    find_restatement,
    restatement_lines,
    summary_values,
)
from cli.restate_commands import restate as restate_command
from devstack.layout import Layout
from factor_seeds.load import release as shipped_release
from resources.database import LedgerDatabase
from spark.restate import Preview, post, preview
from tests.support.archived_parts import ArchivedLedger, archived_ledger, reading

pytestmark = pytest.mark.stack

YEAR = 2025
DE_2025 = "grid:DE:2025:lifecycle:ember_owid_2026"
REVISED = Decimal("0.31")
BEGIN = datetime(2025, 3, 10, 8, tzinfo=UTC)
COUNTRIES = ("DE", "US", "FR", "GB")


@cache
def release() -> FactorRelease:
    """Grid factors of the countries here, and the potentials, out of the shipped release."""
    shipped = shipped_release()
    rows = [
        row
        for row in shipped.rows
        if row.family == "grid" and row.country_iso2 in COUNTRIES and (row.year or 0) > 2021
    ]
    potentials = [row for row in shipped.index_rows if row.series.startswith("gwp_")]
    return make_release("test", rows, potentials)


def revised(kg: Decimal = REVISED, factor_id: str = DE_2025, version: int = 2) -> FactorRelease:
    """The release with one factor revised: its next version in place of the old one."""
    given = release()
    old = next(row for row in given.rows if row.factor_id == factor_id)
    new = sealed(replace(old, version=version, kgco2e_per_unit=kg))
    others = [row for row in given.rows if row is not old]
    return make_release(given.name, [*others, new], given.index_rows)


def readings() -> list[dict[str, Any]]:
    """Two readings in each of three months for each of four countries."""
    return [
        reading(
            BEGIN + timedelta(days=31 * month, hours=hour),
            country_iso2=country,
            sensor_id=f"M-{country}",
            facility_id=f"PLANT-{country}",
            energy_kwh=f"{100 + 7 * month + hour}.{number}3",
        )
        for month in range(3)
        for number, country in enumerate(COUNTRIES)
        for hour in range(2)
    ]


@pytest.fixture
def ledger(stack, tmp_path: Path) -> Iterator[ArchivedLedger]:  # type: ignore[no-untyped-def]
    """24 readings in two parts, of which six are of Germany."""
    with archived_ledger(stack.layout.database_url, tmp_path) as found:
        name = found.store(release())
        sent = readings()
        found.send(sent[:13], name, 0)
        found.send(sent[13:], name, 1)
        yield found


def look(ledger: ArchivedLedger, target: Target, **changes: Any) -> Preview:
    given: dict[str, Any] = {
        "first_date": date(YEAR, 1, 1),
        "end_date": date(YEAR + 1, 1, 1),
        "by": "Group Controller",
        "reason": "the publisher revised its figure",
        **changes,
    }
    with closing(ledger.writer()) as conn:
        return preview(conn, ledger.settings, target, **given)


def previewed(ledger: ArchivedLedger, target: Target, **changes: Any) -> Restatement:
    found = look(ledger, target, **changes).restatement
    assert found is not None
    return found


def superuser_url(ledger: ArchivedLedger) -> str:
    """The scratch database as its server's superuser sees it."""
    database = ledger.database.writer_url.rpartition("/")[2]
    return Layout.of(settings_module.load()).database_url("postgres", database)


def agree(ledger: ArchivedLedger, number: int, *names: str) -> Restatement:
    with closing(ledger.writer()) as conn:
        for name in names or ("Group Controller", "Energy Lead"):
            found = approve(conn, number, name, "checked against the publication")
    return found


def act(ledger: ArchivedLedger, number: int, **more: Any) -> Any:
    with closing(ledger.writer()) as conn:
        return post(conn, ledger.settings, number, by="Data Engineer", **more)


def restate(ledger: ArchivedLedger, target: Target, **changes: Any) -> Restatement:
    """Previewed, approved by two, posted."""
    found = previewed(ledger, target, **changes)
    agree(ledger, found.restatement_id)
    act(ledger, found.restatement_id)
    with closing(ledger.writer()) as conn:
        return find_restatement(conn, found.restatement_id)


def rows_with_versions(ledger: ArchivedLedger) -> dict[str, tuple[str, bytes]]:
    """Of every entry which transaction wrote it, and its content hash."""
    return {
        str(entry_id): (str(xmin), bytes(content))
        for entry_id, xmin, content in ledger.rows(
            "select entry_id, xmin::text, content_sha256 from ledger.entry"
        )
    }


def report(ledger: ArchivedLedger, as_of: datetime | None = None) -> tuple[list[Any], datetime]:
    """The rows of the report as known then, without what names the snapshot; and the moment."""
    with closing(ledger.writer()) as conn:
        moment = as_of or knowledge_horizon(conn)
        built = build_esrs_e1(
            conn, YEAR, moment, snapshot_id=uuid4(), run_id="test", code_version="test"
        )
    return [replace(row, snapshot_id=None) for row in built], moment  # type: ignore[arg-type]


def check_everything(ledger: ArchivedLedger) -> None:
    """Windows equal entries, accounts add up, each hash is of its row, no entry is doubled."""
    with closing(ledger.database.auditor()) as conn:
        days = [row[0] for row in conn.execute("select distinct local_date from ledger.entry")]
        assert check_windows(conn, days) == []
        assert check_accounts(conn) == []
        assert reconcile(conn) == []
        found = conn.execute("select activity_month, entry_id from ledger.entry").fetchall()
        for month, entry_id in found:
            row = read_entry(conn, month, entry_id)
            assert row.content_sha256 == content_sha256(row)
        listed = conn.execute("select sum(entries) from audit.commit").fetchone()
        assert listed == (len(found),)


def test_a_revised_factor_is_restated_exactly_as_previewed(ledger: ArchivedLedger) -> None:
    before, moment = report(ledger)
    there = rows_with_versions(ledger)
    target = Target(release_id=ledger.store(revised()))
    found = previewed(ledger, target)
    summary = summary_values(found)
    assert found.status == "previewed"
    assert rows_with_versions(ledger) == there
    kwh = ledger.rows("select sum(quantity) from ledger.entry where country_iso2 = 'DE'")[0][0]
    assert found.entries == 6
    assert found.delta_kgco2e == kwh * (REVISED - Decimal("0.32965"))
    assert summary["by_country"].keys() == {"DE"}
    assert summary["by_cause"]["factor_release"] == summary["delta_kgco2e"]
    agree(ledger, found.restatement_id)
    done = act(ledger, found.restatement_id)
    assert [one.month for one in done] == [date(YEAR, month, 1) for month in (3, 4, 5)]
    assert sum(one.delta_kgco2e for one in done) == found.delta_kgco2e

    after = rows_with_versions(ledger)
    assert {name: after[name] for name in there} == there
    assert len(after) == len(there) + 12
    with closing(ledger.database.auditor()) as conn:
        assert posting_faults(conn, found.restatement_id) == []
        for line in restatement_lines(conn, found.restatement_id):
            old = read_entry(conn, line["activity_month"], line["entry_id"])
            new = read_entry(conn, line["activity_month"], line["new_entry_id"])
            assert (old.country_iso2, old.factor_version, new.factor_version) == ("DE", 1, 2)
            assert old.kgco2e + line["delta_kgco2e"] == new.kgco2e
            assert new.kgco2e == new.quantity * REVISED
            assert new.event_id == f"{old.activity_ref}#c1"
            assert (new.topic, new.kafka_offset) == (old.topic, old.kafka_offset)
            assert new.cause == (
                f"restatement R-{found.restatement_id}: factor release {target.release_id}"
            )
    check_everything(ledger)

    again, _ = report(ledger, moment)
    assert again == before
    moved, _ = report(ledger)
    deltas = {
        (cell["organization_id"], cell["country_iso2"]): Decimal(cell["delta"])
        for cell in summary["report_cells"]
    }
    assert deltas.keys() == {("default", ""), ("default", "DE")}
    for old_row, new_row in zip(before, moved, strict=True):
        place = (old_row.organization_id, old_row.country_iso2)
        assert new_row.value - old_row.value == deltas.get(place, Decimal(0))
    assert all(
        Decimal(cell["stated"]) + Decimal(cell["delta"]) == Decimal(cell["restated"])
        for cell in summary["report_cells"]
    )


def test_a_second_posting_is_refused_and_posts_nothing(ledger: ArchivedLedger) -> None:
    found = restate(ledger, Target(release_id=ledger.store(revised())))
    there = rows_with_versions(ledger)
    with pytest.raises(RejectedRecord, match="is posted") as refusal:
        act(ledger, found.restatement_id)
    assert refusal.value.code == "already_posted"
    assert rows_with_versions(ledger) == there
    with pytest.raises(RejectedRecord, match="is posted"):
        agree(ledger, found.restatement_id, "Di Dale")


@pytest.mark.parametrize("names", [(), ("Group Controller",)])
def test_less_than_two_people_post_nothing(ledger: ArchivedLedger, names: Sequence[str]) -> None:
    found = previewed(ledger, Target(release_id=ledger.store(revised())))
    if names:
        agree(ledger, found.restatement_id, *names)
    there = rows_with_versions(ledger)
    with pytest.raises(RejectedRecord, match="approvals") as refusal:
        act(ledger, found.restatement_id)
    assert refusal.value.code == "not_approved"
    assert rows_with_versions(ledger) == there


@pytest.mark.parametrize(
    "name",
    ["Group Controller", "group controller", "  GROUP   Controller ", "\uff27roup Controller"],
)
def test_one_person_counts_once(ledger: ArchivedLedger, name: str) -> None:
    found = previewed(ledger, Target(release_id=ledger.store(revised())))
    agree(ledger, found.restatement_id, "Group Controller")
    with pytest.raises(RejectedRecord, match="each person counts once"):
        agree(ledger, found.restatement_id, name)
    with pytest.raises(RejectedRecord, match="names nobody"):
        agree(ledger, found.restatement_id, "  ")


def test_the_database_itself_refuses_what_was_not_approved(ledger: ArchivedLedger) -> None:
    found = previewed(ledger, Target(release_id=ledger.store(revised())))
    agree(ledger, found.restatement_id, "Group Controller")
    month = (
        "select %s, activity_month, now(), entries, {}, digest, 'x' from ledger.restatement_month"
    )
    into = "insert into ledger.restatement_posting "
    number = (found.restatement_id,)
    with closing(ledger.writer()) as conn:
        with pytest.raises(psycopg.errors.CheckViolation, match="not approved by two"):
            conn.execute(into + month.format("delta_kgco2e"), number)
        with pytest.raises(psycopg.errors.CheckViolation, match="another digest"):
            conn.execute(
                "insert into ledger.restatement_approval values (%s, 'Bo', 'why', %s)",
                (found.restatement_id, bytes(32)),
            )
        with pytest.raises(psycopg.errors.UniqueViolation):
            conn.execute(
                "insert into ledger.restatement_approval"
                " select restatement_id, ' GROUP CONTROLLER', 'why', digest from ledger.restatement"
            )
        agree(ledger, found.restatement_id, "Energy Lead")
        with pytest.raises(psycopg.errors.CheckViolation, match="not what was previewed"):
            conn.execute(into + month.format("delta_kgco2e + 0.000000000001"), number)
    with closing(ledger.database.admin()) as conn:
        for table in ("restatement", "restatement_approval", "restatement_line"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="only ever added"):
                conn.execute(f"delete from ledger.{table}")


def test_a_ledger_that_moved_since_the_preview_is_refused(ledger: ArchivedLedger) -> None:
    found = previewed(ledger, Target(release_id=ledger.store(revised())))
    agree(ledger, found.restatement_id)
    with closing(ledger.writer()) as conn:
        (line, *_) = restatement_lines(conn, found.restatement_id)
        old = read_entry(conn, line["activity_month"], line["entry_id"])
        post_correction(
            conn,
            activity_month=old.activity_month,
            entry_id=old.entry_id,
            replacement=replace(old, quantity=Decimal(1), kgco2e=Decimal("0.32965")),
            cause="meter read wrong",
        )
    there = rows_with_versions(ledger)
    with pytest.raises(RejectedRecord, match="was reversed on") as refusal:
        act(ledger, found.restatement_id)
    assert refusal.value.code == "ledger_moved"
    assert rows_with_versions(ledger) == there
    # What somebody corrected by hand no record makes: it is counted, and stays.
    again = look(ledger, found.target)
    assert again.summary["entries"] == 5
    assert again.summary["not_recomputable"] == 1


def test_what_is_posted_after_the_preview_is_left_for_the_next(ledger: ArchivedLedger) -> None:
    target = Target(release_id=ledger.store(revised()))
    found = previewed(ledger, target)
    late = [reading(BEGIN + timedelta(days=2), sensor_id="LATE", facility_id="PLANT-DE")]
    ledger.send(late, release().release_id, 0)
    agree(ledger, found.restatement_id)
    assert sum(one.entries for one in act(ledger, found.restatement_id)) == 6
    assert previewed(ledger, target).entries == 1


def test_an_altered_archive_posts_nothing(ledger: ArchivedLedger) -> None:
    found = previewed(ledger, Target(release_id=ledger.store(revised())))
    agree(ledger, found.restatement_id)
    there = rows_with_versions(ledger)
    root = Path(ledger.archive_url.removeprefix("file://"))
    for path in root.rglob("*.parquet"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.chmod(0o644)
        path.write_bytes(content)
    with pytest.raises(BrokenInvariant, match=r"no longer has|cannot be read"):
        act(ledger, found.restatement_id)
    assert rows_with_versions(ledger) == there


def post_and_die(ledger: ArchivedLedger, number: int) -> None:
    """Posts in a process that is killed as soon as the first of its months is committed."""

    def die(_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with closing(ledger.writer()) as conn:
        post(conn, ledger.settings, number, by="Data Engineer", report=die)


def test_a_posting_killed_between_months_goes_on(ledger: ArchivedLedger) -> None:
    found = previewed(ledger, Target(release_id=ledger.store(revised())))
    agree(ledger, found.restatement_id)
    there = rows_with_versions(ledger)
    for months in (1, 2):
        killed = get_context("fork").Process(
            target=post_and_die, args=(ledger, found.restatement_id)
        )
        killed.start()
        killed.join(60)
        assert killed.exitcode == -signal.SIGKILL
        assert len(rows_with_versions(ledger)) == len(there) + 4 * months
        with closing(ledger.writer()) as conn:
            assert find_restatement(conn, found.restatement_id).status == "posting"
    done = act(ledger, found.restatement_id)
    assert [one.entries for one in done] == [2]
    with closing(ledger.writer()) as conn:
        assert find_restatement(conn, found.restatement_id).status == "posted"
        assert posting_faults(conn, found.restatement_id) == []
    check_everything(ledger)


def test_restating_twice_in_a_row_and_back(ledger: ArchivedLedger) -> None:
    before, _ = report(ledger)
    first = restate(ledger, Target(release_id=ledger.store(revised())))
    second = restate(ledger, Target(release_id=ledger.store(revised(Decimal("0.35"), version=3))))
    assert second.from_releases.split(",") == sorted([release().release_id, first.release_id or ""])
    assert second.entries == 6
    back = restate(ledger, Target(release_id=release().release_id))
    assert first.delta_kgco2e + second.delta_kgco2e + back.delta_kgco2e == 0
    after, _ = report(ledger)
    assert [(row.country_iso2, row.value) for row in after] == [
        (row.country_iso2, row.value) for row in before
    ]
    numbers = ledger.rows(
        "select distinct substring(event_id from '#.*') from ledger.entry"
        " where country_iso2 = 'DE' order by 1"
    )
    assert [one[0] for one in numbers] == ["#0", "#c1", "#c2", "#c3"]
    check_everything(ledger)
    assert look(ledger, Target(release_id=release().release_id)).restatement is None


def test_another_gwp_set_touches_only_entries_with_gases(ledger: ArchivedLedger) -> None:
    with closing(ledger.database.auditor()) as conn:
        moment = knowledge_horizon(conn)
        split = {r.entry_id for r in entries_as_of(conn, moment) if r.gas_split == "available"}
    assert split
    found = previewed(ledger, Target(gwp_set="AR5"))
    summary = summary_values(found)
    with closing(ledger.database.auditor()) as conn:
        touched = {line["entry_id"] for line in restatement_lines(conn, found.restatement_id)}
    assert touched == split
    assert summary["by_cause"]["gwp_set"] == summary["delta_kgco2e"] != "0"
    assert set(summary["by_gas"].values()) == {"0"}
    agree(ledger, found.restatement_id)
    act(ledger, found.restatement_id)
    check_everything(ledger)
    with closing(ledger.database.auditor()) as conn:
        for row in entries_as_of(conn, knowledge_horizon(conn)):
            if row.gas_split == "available":
                assert row.gwp_set == "AR5"
    # The set stays what it was restated to when something else is restated afterwards.
    us = "grid:US:2023:location:epa_hub_2025"
    later = previewed(ledger, Target(release_id=ledger.store(revised(factor_id=us))))
    assert summary_values(later)["by_cause"]["gwp_set"] == "0"


def test_causes_are_told_apart_and_add_up(ledger: ArchivedLedger) -> None:
    us = "grid:US:2023:location:epa_hub_2025"
    with closing(ledger.writer()) as conn:
        register_sites(
            conn,
            [
                Site(
                    facility_id="PLANT-DE",
                    organization_id="acme",
                    country_iso2="DE",
                    time_zone="Europe/Berlin",
                )
            ],
        )
        moment = knowledge_horizon(conn)
    target = Target(
        release_id=ledger.store(revised(factor_id=us)),
        gwp_set="AR4",
        reference_as_of=moment,
        max_vintage_gap_years=0,
    )
    found = look(ledger, target, base_year=YEAR)
    summary = found.summary
    steps = {cause: Decimal(kg) for cause, kg in summary["by_cause"].items()}
    assert sum(steps.values()) == Decimal(summary["delta_kgco2e"])
    # DE moves to another organization with the same figure.
    moved = summary["by_organization"]
    assert moved.keys() == {"acme", "default"}
    assert steps["boundary"] == 0
    assert summary["refused"] == {} or sum(summary["refused"].values()) <= 24
    effects = {one["organization_id"]: one for one in summary["base_year"]}
    assert effects["default"]["is_due"] is True
    assert effects["acme"]["is_due"] is False
    assert "no figure above zero" in effects["acme"]["reason"]


def test_a_site_that_was_registered_late_moves_to_its_owner(ledger: ArchivedLedger) -> None:
    with closing(ledger.writer()) as conn:
        register_sites(
            conn,
            [
                Site(
                    facility_id="PLANT-FR",
                    organization_id="acme",
                    country_iso2="FR",
                    time_zone="Europe/Paris",
                )
            ],
        )
        moment = knowledge_horizon(conn)
    found = restate(ledger, Target(reference_as_of=moment))
    summary = summary_values(found)
    assert (found.entries, found.delta_kgco2e) == (6, 0)
    moved = {name: Decimal(kg) for name, kg in summary["by_organization"].items()}
    assert moved["acme"] == -moved["default"] > 0
    owners = ledger.rows(
        "select organization_id, count(*) from ledger.active_entry"
        " where facility_id = 'PLANT-FR' group by 1"
    )
    assert owners == [("acme", 6)]
    check_everything(ledger)
    assert look(ledger, Target(reference_as_of=moment)).restatement is None


def test_what_the_new_rules_refuse_stays_and_is_counted(ledger: ArchivedLedger) -> None:
    kept = [row for row in release().rows if row.country_iso2 != "DE"]
    bare = make_release("test", kept, release().index_rows)
    found = look(ledger, Target(release_id=ledger.store(bare)))
    assert found.restatement is None
    assert found.summary["refused"] == {"factor_missing": 6}


def test_a_later_revision_of_the_source_takes_back_what_was_restated(
    ledger: ArchivedLedger,
) -> None:
    restate(ledger, Target(release_id=ledger.store(revised())))
    with closing(ledger.writer()) as conn:
        (new, *_) = [
            row for row in entries_as_of(conn, knowledge_horizon(conn)) if row.country_iso2 == "DE"
        ]
        standing = conn.execute(
            (PROJECT_ROOT / "carbon_ledger/store/queries/standing_lines.sql").read_text(),
            {
                "first": f"{new.activity_ref}#",
                "last": f"{new.activity_ref}$",
                "no_hash": bytes(32),
            },
        ).fetchall()
    assert new.event_id.endswith("#c1")
    assert (new.activity_month, new.entry_id) in [tuple(row[:2]) for row in standing]


def test_the_digest_says_every_byte_of_what_will_be_posted(ledger: ArchivedLedger) -> None:
    target = Target(release_id=ledger.store(revised()))
    found = restate(ledger, target)
    lines = []
    with closing(ledger.database.auditor()) as conn:
        for line in restatement_lines(conn, found.restatement_id):
            if line["activity_month"] == date(YEAR, 3, 1):
                new = read_entry(conn, line["activity_month"], line["new_entry_id"])
                epoch = replace(new, recorded_at=datetime(1970, 1, 1, tzinfo=UTC))
                digest = hashlib.sha256(canonical_bytes(epoch)).hexdigest()
                lines.append(f"{line['entry_id']}\x1f{digest}\n")
    stored = ledger.rows(
        "select digest from ledger.restatement_month where activity_month = %s", date(YEAR, 3, 1)
    )
    assert bytes(stored[0][0]) == hashlib.sha256("".join(sorted(lines)).encode()).digest()


@pytest.fixture
def commands(ledger: ArchivedLedger, monkeypatch: pytest.MonkeyPatch) -> ArchivedLedger:
    """The same, which `carbon` and Dagster find through the settings."""
    for name in ("WRITER", "READER", "AUDITOR"):
        key = f"CARBON_DATABASE_{name}_URL"
        monkeypatch.setenv(key, ledger.settings.values[key])
    monkeypatch.setenv("CARBON_ARCHIVE_URL", ledger.archive_url)
    return ledger


def carbon(*arguments: str) -> str:
    """Output of `carbon restate …`; whatever it raises."""
    done = CliRunner().invoke(restate_command, arguments, catch_exceptions=True)
    if done.exception is not None:
        raise done.exception
    return done.output


def test_the_commands_from_preview_to_posting(commands: ArchivedLedger) -> None:
    name = commands.store(revised())
    why = ("--by", "Group Controller", "--reason", "revised by the publisher")
    text = carbon("preview", "--release", name, "--year", str(YEAR), *why)
    assert "R-1 (previewed): factor release" in text
    assert "6 entries in 3 months" in text
    shown = json.loads(carbon("preview", "--release", name, "--from", "2025-04-01", *why, "--json"))
    assert (shown["restatement"], shown["entries"]) == ("R-2", 4)
    assert shown["summary"]["by_fiscal_year"] == {"2025": shown["summary"]["delta_kgco2e"]}
    assert "1 of 2 approvals" in carbon("approve", "R-1", *why)
    for who in ("group controller", ""):
        with pytest.raises(RejectedRecord, match=r"counts once|names nobody"):
            carbon("approve", "1", "--by", who, "--reason", "again")
    with pytest.raises(RejectedRecord, match="1 of 2 approvals"):
        carbon("post", "R-1", "--by", "Data Engineer")
    assert "2 of 2" in carbon("approve", "1", "--by", "Energy Lead", "--reason", "compared by hand")
    assert "R-1 is posted: 6 entries restated now." in carbon(
        "post", "R-1", "--by", "Data Engineer"
    )
    with pytest.raises(RejectedRecord, match="is posted"):
        carbon("post", "R-1", "--by", "Data Engineer")
    text = carbon("show", "R-1", "--lines")
    assert "approved by Energy Lead" in text
    assert "NOT AS PREVIEWED" not in text
    assert text.count("2025-04 ") == 2
    values = json.loads(carbon("show", "1", "--lines", "--json"))
    assert values["faults"] == []
    assert sum(Decimal(one["delta_kgco2e"]) for one in values["lines"]) == Decimal(
        values["delta_kgco2e"]
    )
    assert [one["status"] for one in json.loads(carbon("list", "--json"))] == [
        "previewed",
        "posted",
    ]
    # The later preview was of what the first one has restated since.
    for who in ("Group Controller", "Energy Lead"):
        carbon("approve", "R-2", "--by", who, "--reason", "checked")
    with pytest.raises(RejectedRecord, match="was reversed on"):
        carbon("post", "R-2", "--by", "Data Engineer")
    with pytest.raises(RejectedRecord, match="no restatement R-9"):
        carbon("show", "9")
    nothing = carbon("preview", "--release", name, *why)
    assert "Nothing would change" in nothing


def materialize(month: str, **config: int) -> dg.ExecuteInProcessResult:
    """The asset's run for one month, as a backfill starts it."""
    return dg.materialize(
        [posting],
        partition_key=month,
        resources={"database": LedgerDatabase()},
        run_config={"ops": {"restatement__posting": {"config": config}}},
        raise_on_error=False,
    )


def test_a_backfill_posts_what_is_approved_and_nothing_else(commands: ArchivedLedger) -> None:
    there = rows_with_versions(commands)
    found = previewed(commands, Target(release_id=commands.store(revised())))
    agree(commands, found.restatement_id, "Group Controller")
    for config in ({}, {"restatement_id": found.restatement_id}):
        assert not materialize("2025-03-01", **config).success
    assert rows_with_versions(commands) == there
    agree(commands, found.restatement_id, "Energy Lead")
    for month, entries in (("2025-03-01", 2), ("2025-01-01", 0), ("2025-05-01", 2)):
        done = materialize(month)
        assert done.success
        (event,) = done.asset_materializations_for_node("restatement__posting")
        assert event.metadata["entries"].value == entries
        (check,) = done.get_asset_check_evaluations()
        assert check.passed
    again = materialize("2025-03-01", restatement_id=found.restatement_id)
    assert again.success
    assert len(rows_with_versions(commands)) == len(there) + 8
    assert materialize("2025-04-01").success
    with closing(commands.writer()) as conn:
        assert find_restatement(conn, found.restatement_id).status == "posted"
    check_everything(commands)


def test_a_posting_that_differs_from_its_preview_is_seen(ledger: ArchivedLedger) -> None:
    found = restate(ledger, Target(release_id=ledger.store(revised())))
    with psycopg.connect(superuser_url(ledger), autocommit=True) as conn:
        conn.execute("set session_replication_role = replica")
        conn.execute(
            "update ledger.entry set kgco2e = kgco2e + 0.000000000001"
            " where event_id like '%#c1' and activity_month = '2025-04-01' and reverses_id is null"
        )
    with closing(ledger.database.auditor()) as conn:
        (fault,) = posting_faults(conn, found.restatement_id)
    assert "2025-04" in fault
