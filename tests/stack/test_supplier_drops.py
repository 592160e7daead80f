"""Files of suppliers through a real SFTP server, Kafka and PostgreSQL: each content once, whole,
with an exact receipt, and nothing written where it does not belong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from carbon_ledger.errors import ConfigurationError, RejectedRecord, Unavailable
from carbon_ledger.settings import PROJECT_ROOT, load
from carbon_ledger.store import drops as store
from carbon_ledger.store.activities import accepted_rows, list_submissions
from carbon_ledger.store.factors import store_release
from devstack.sftp import Sftp
from factor_seeds.load import release
from pipeline.activity_register import approve
from pipeline.drops.server import DropServer
from pipeline.drops.work import Done, Workshop, look, work_off
from pipeline.files.limits import Limits
from pipeline.producers import CarbonEventProducer
from spark.archive import store as keep_in_archive
from tests.support.dagster_client import DagsterClient, wait_for
from tests.support.hostile_files import hostile_files, workbook
from tests.support.kafka_reading import Since
from tests.support.postgres import Connection, LedgerDatabase, scratch_database
from tests.support.supplier_side import (
    Suppliers,
    check_receipts,
    events_in,
    expected_codes,
    in_stack_env,
    ledgered,
    make_drop,
    sftp_server,
    tree,
)

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

TOPIC = "raw.supplier"
LETTERS = "dlq.failed_events"
QUIET = timedelta(seconds=30)
CUT_WAIT = timedelta(hours=1)


@dataclass(kw_only=True)
class Ground:
    """A server, a ledger's database and an archive of one's own; time goes on when it is told."""

    suppliers: Suppliers
    conn: Connection
    shop: Workshop
    events: Since
    letters: Since
    folder: Path
    database: LedgerDatabase
    passed: timedelta = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.passed

    def go(self, after: timedelta = QUIET) -> Done:
        """A look, a pause, and a go at what is whole then."""
        look(self.conn, self.shop.server, quiet=QUIET, cut_wait=CUT_WAIT, now=self.now())
        self.passed += after
        done = work_off(replace(self.shop, clock=self.now))
        assert done is not None
        return done

    def events_by_id(self) -> dict[str, list[bytes]]:
        return events_in([bytes(one.value() or b"") for one in self.events.records()])

    def outcomes(self) -> list[store.FileAccount]:
        return store.accounts(self.conn, limit=1000)


@pytest.fixture
def ground(stack: Any, tmp_path: Path) -> Iterator[Ground]:
    given = load()
    archive = (tmp_path / "archive").as_uri()
    with (
        sftp_server(tmp_path / "sftp") as suppliers,
        scratch_database(stack.layout.database_url) as database,
        database.writer(autocommit=True) as conn,
        DropServer(suppliers.place) as server,
        CarbonEventProducer(settings=given) as producer,
    ):
        shop = Workshop(
            settings=given,
            conn=conn,
            server=server,
            producer=producer,
            keep=partial(keep_in_archive, archive),
            quarantine=tmp_path / "quarantine",
            quiet=QUIET,
            cut_wait=CUT_WAIT,
        )
        yield Ground(
            suppliers=suppliers,
            conn=conn,
            shop=shop,
            events=Since(settings=given, topic=TOPIC),
            letters=Since(settings=given, topic=LETTERS),
            folder=tmp_path,
            database=database,
        )


def supplier_named(ground: Ground) -> str:
    name = f"SUP_{uuid.uuid4().hex[:8]}"
    ground.suppliers.join(name)
    return name


@contextmanager
def nothing_outside(ground: Ground) -> Iterator[None]:
    """Nothing is made or changed beside the suppliers' folders, archive and quarantine."""
    allowed = ("archive", "quarantine", "sftp/suppliers")

    def rest() -> dict[str, str]:
        found = tree(ground.folder)
        places = tuple(str(ground.folder / one) + os.sep for one in allowed)
        return {path: digest for path, digest in found.items() if not path.startswith(places)}

    before = (rest(), sorted(os.listdir(PROJECT_ROOT)))
    yield
    assert (rest(), sorted(os.listdir(PROJECT_ROOT))) == before
    folders = {"drops", "receipts", "processed", "refused"}
    for place in (ground.folder / "sftp" / "suppliers").iterdir():
        assert {one.name for one in place.iterdir()} == folders
    assert not Path("/etc/evil.xml").exists()


def test_drops_cut_ones_doubles_and_hostile_ones_leave_exact_events_and_receipts(
    ground: Ground,
) -> None:
    name = supplier_named(ground)
    drops = [make_drop(name, number, bad=number % 2) for number in range(12)]
    cut, doubled = drops[:4], drops[4:7]
    plain = workbook([["a"], [1]])
    hostile = hostile_files(plain, bomb_bytes=(5 << 20) + 7)[::5]
    with nothing_outside(ground):
        with ground.suppliers.login(name) as upload:
            for drop in cut:
                upload.put_and_be_cut(drop.name, drop.content)
            for drop in drops[4:8]:
                upload.put(drop.name, drop.content)
            for drop in drops[8:]:
                upload.put_and_rename(drop.name, drop.content)
            for one in hostile:
                upload.put(one.name, one.content)
        os.symlink("/etc/passwd", ground.suppliers.inside(name) / "link.csv")
        shop = replace(ground.shop, limits=Limits(unpacked_bytes=4 << 20))
        ground.shop = shop
        codes = expected_codes(hostile, ground.folder)
        waited_for = list(codes.values()).count("file_cut")
        first = ground.go()
        refused = len(hostile) + 1 - waited_for
        assert (first.read, first.refused, first.waiting) == (8, refused, 4 + waited_for)
        with ground.suppliers.login(name) as upload:
            for drop in cut:
                upload.resume(drop.name, drop.content)
            for drop in doubled:
                upload.put(f"again-{drop.name}", drop.content)
        second = ground.go()
        assert (second.read, second.duplicate, second.waiting) == (4, 3, waited_for)
        third = ground.go(after=CUT_WAIT)
        assert (third.files, third.refused, third.waiting) == (waited_for, waited_for, 0)
    expected = {event_id for drop in drops for event_id in drop.event_ids}
    found = ground.events_by_id()
    assert set(found) == expected
    assert {len(values) for values in found.values()} == {1}
    check_receipts(ground.suppliers, name, drops, doubled, codes)
    _check_accounts(ground, name, sum(len(drop.rejected) for drop in drops), len(codes))
    assert list(ground.suppliers.inside(name).iterdir()) == []
    kept = {path.read_bytes() for path in (ground.folder / "quarantine").rglob("*.bin")}
    assert {one.content for one in hostile} <= kept
    archived = {path.read_bytes() for path in (ground.folder / "archive").rglob("*.*")}
    assert archived == {drop.content for drop in drops}


def _check_accounts(ground: Ground, name: str, rejected: int, refused: int) -> None:
    said = {one["file"]: one["result"] for one in ground.suppliers.receipts(name)}
    assert {one.name: one.fate for one in ground.outcomes()} == said
    letters = [one for one in ground.letters.records() if f"sftp:{name}:".encode() in one.key()]
    assert len(letters) == rejected + refused


def test_a_file_that_rests_half_uploaded_is_not_read_and_refused_when_no_more_comes(
    ground: Ground,
) -> None:
    name = supplier_named(ground)
    with ground.suppliers.login(name) as upload:
        for number in range(3):
            drop = make_drop(name, number)
            upload.put_and_be_cut(drop.name, drop.content)
    done = ground.go(after=CUT_WAIT - timedelta(minutes=1))
    assert (done.waiting, done.files) == (3, 0)
    done = ground.go(after=timedelta(minutes=2))
    assert (done.waiting, done.refused) == (0, 3)
    said = ground.suppliers.receipts(name)
    assert {one["refusal"]["code"] for one in said} == {"file_cut"}
    assert ground.events_by_id() == {}


def test_the_same_file_sent_again_keeps_its_receipt_and_a_corrected_one_gets_its_own(
    ground: Ground,
) -> None:
    name = supplier_named(ground)
    drop = make_drop(name, 0)
    for _ in range(2):
        with ground.suppliers.login(name) as upload:
            upload.put(drop.name, drop.content)
        assert ground.go().files == 1
    assert len(ground.suppliers.receipts(name)) == 1
    corrected = drop.content.replace(b"1000.05", b"1001.05").replace(b",0,", b",1,")
    with ground.suppliers.login(name) as upload:
        upload.put(drop.name, corrected)
    assert ground.go().read == 1
    assert len(ground.suppliers.receipts(name)) == 2
    found = ground.events_by_id()
    revised = {event_id.replace("#0", "#1") for event_id in drop.event_ids}
    assert set(found) == {*drop.event_ids, *revised}
    assert {len(values) for values in found.values()} == {1}


def test_a_worker_that_dies_anywhere_leaves_the_same_events_and_one_receipt(
    ground: Ground,
) -> None:
    name = supplier_named(ground)
    drop = make_drop(name, 0, rows=5, bad=1)
    with ground.suppliers.login(name) as upload:
        upload.put(drop.name, drop.content)
    # Each gets further than the one before.
    points = ("drop_claimed", "archive_written", "producer_queued:3", "producer_flushed")
    for point in (*points, "drop_recorded", "drop_receipted"):
        assert poll(ground, point) == -signal.SIGKILL, point
    assert poll(ground, None) == 0
    found = ground.events_by_id()
    assert set(found) == set(drop.event_ids)
    assert all(len(set(values)) == 1 for values in found.values())
    (said,) = ground.suppliers.receipts(name)
    assert (said["accepted"], [one["line"] for one in said["rejections"]]) == (4, [6])
    (outcome,) = ground.outcomes()
    assert (outcome.fate, outcome.rows_accepted, outcome.rows_rejected) == ("read", 4, 1)
    letters = {one.key() for one in ground.letters.records() if name.encode() in one.key()}
    assert len(letters) == 1
    assert [one.name for one in ground.suppliers.inside(name, "processed").iterdir()]
    assert not list(ground.suppliers.inside(name).iterdir())


def poll(ground: Ground, failpoint: str | None) -> int:
    """Exit code of `carbon supplier-drop poll` against this ground."""
    variables = {
        **ground.suppliers.settings,
        "CARBON_DATABASE_WRITER_URL": ground.database.writer_url,
        "CARBON_ARCHIVE_URL": (ground.folder / "archive").as_uri(),
        "CARBON_QUARANTINE_DIR": str(ground.folder / "quarantine"),
        "CARBON_DROP_QUIET_SECONDS": "0",
        **({"CARBON_FAILPOINT": failpoint} if failpoint else {}),
    }
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "supplier-drop", "poll"],
        cwd=PROJECT_ROOT,
        env={**os.environ, **variables},
        timeout=100,
        check=False,
        stdout=subprocess.PIPE,
    )
    return done.returncode


# One row of a template of the activity register, and one whose quantity is no number.
WASTE = (
    b"activity_id,entity_id,first_day,last_day,formula,kind,quantity,unit,factor.kgco2e,factor.per\n"
    b"W-1,acme-gmbh,2025-01-01,2025-01-31,S3-5-WASTE-TYPE,waste,12.5,t,21.28,t\n"
    b'W-2,acme-gmbh,2025-01-01,2025-01-31,S3-5-WASTE-TYPE,waste,"12,5",t,21.28,t\n'
)


def with_factors(ground: Ground) -> None:
    with ground.database.writer() as conn:
        store_release(conn, release())


def test_a_file_of_the_activity_register_awaits_somebody_else_s_approval(ground: Ground) -> None:
    with_factors(ground)
    name = supplier_named(ground)
    sent = Since(settings=ground.shop.settings, topic="raw.activities")
    formula = workbook([WASTE.decode().splitlines()[0].split(","), ["W-3", "=1+1"]])
    wrong = {
        "waste-2025-02.xlsx": (formula, "formula_cell"),
        "commuting.csv": (WASTE.replace(b",unit,", b",unlt,"), "unknown_column"),
        "2025-02.csv": (WASTE + b"\n", "unknown_template"),
    }
    with nothing_outside(ground), ground.suppliers.login(name) as upload:
        upload.put("waste-2025-01.csv", WASTE)
        for file, (content, _) in wrong.items():
            upload.put(file, content)
        done = ground.go()
    assert (done.read, done.refused, done.rows_accepted, done.rows_rejected) == (1, 3, 1, 1)
    receipts = {one["file"]: one for one in ground.suppliers.receipts(name)}
    codes = {file: one["refusal"]["code"] for file, one in receipts.items() if "refusal" in one}
    assert codes == {file: code for file, (_, code) in wrong.items()}

    said = receipts["waste-2025-01.csv"]
    (found,) = list_submissions(ground.conn)
    assert (said["submission"], said["template"], said["status"]) == (
        found.name,
        "waste",
        "pending",
    )
    assert (said["accepted"], said["rejected"]) == (1, 1)
    (told,) = said["rejections"]
    assert (told["line"], told["column"], told["value"], told["code"]) == (
        *(3, "quantity", "12,5", "not_a_number"),
    )
    (text,) = ground.suppliers.inside(name, "receipts").glob("waste-2025-01.csv*.txt")
    assert "nothing counts before another person has approved it" in text.read_text("ascii")
    assert (found.submitted_by, found.kgco2e) == (name, 266)
    assert (sent.records(), ground.events_by_id()) == ([], {})

    def producer() -> CarbonEventProducer:
        return CarbonEventProducer(settings=ground.shop.settings)

    with pytest.raises(RejectedRecord) as refusal:
        approve(ground.conn, producer, found.submission_id, by=name.lower())
    assert refusal.value.code == "own_submission"
    approve(ground.conn, producer, found.submission_id, by="Sustainability Lead")
    (row,) = accepted_rows(ground.conn, found.submission_id)
    (record,) = sent.records()
    assert (row.line, record.key()) == (2, row.event.activity_id.encode())
    # The same bytes under another name are told what they are already.
    with ground.suppliers.login(name) as upload:
        upload.put("waste-again.csv", WASTE)
    assert (ground.go().duplicate, len(list_submissions(ground.conn))) == (1, 1)


def test_a_worker_that_dies_after_submitting_a_file_submits_it_once(ground: Ground) -> None:
    with_factors(ground)
    name = supplier_named(ground)
    with ground.suppliers.login(name) as upload:
        upload.put("waste.csv", WASTE)
    for point in ("drop_claimed", "archive_written", "drop_recorded"):
        assert poll(ground, point) == -signal.SIGKILL, point
    assert poll(ground, None) == 0
    (found,) = list_submissions(ground.conn)
    (said,) = ground.suppliers.receipts(name)
    assert (said["submission"], said["accepted"], said["rejected"]) == (found.name, 1, 1)


def test_a_file_of_the_register_waits_while_no_factors_are_loaded(ground: Ground) -> None:
    name = supplier_named(ground)
    with ground.suppliers.login(name) as upload:
        upload.put("waste.csv", WASTE)
    with pytest.raises(Unavailable) as caught:
        ground.go()
    assert caught.value.code == "no_factor_release"
    with_factors(ground)
    assert ground.go().read == 1


def test_a_server_with_another_host_key_is_told_nothing(ground: Ground) -> None:
    name = supplier_named(ground)
    drop = make_drop(name, 0)
    with ground.suppliers.login(name) as upload:
        upload.put(drop.name, drop.content)
    known_hosts = ground.suppliers.place.known_hosts
    pinned = known_hosts.read_text()
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().split()[1]
    for text in (
        pinned.replace(pinned.split()[2], other),
        "",
        f"elsewhere {pinned.split(' ', 1)[1]}",
    ):
        known_hosts.write_text(text)
        with DropServer(ground.suppliers.place) as server:
            with pytest.raises(ConfigurationError) as caught:
                look(ground.conn, server, quiet=QUIET, cut_wait=CUT_WAIT, now=ground.now())
        assert caught.value.code == "host_key"
    assert store.sightings(ground.conn) == []
    known_hosts.write_text(pinned)
    assert ground.go().read == 1


def test_only_a_key_lets_in_and_a_supplier_writes_in_its_drops_alone(ground: Ground) -> None:
    name, other = supplier_named(ground), supplier_named(ground)
    place = replace(ground.suppliers.place, user=name)
    with DropServer(place) as server, pytest.raises(ConfigurationError) as caught:
        server.listing()
    assert caught.value.code == "sftp_login"
    with ground.suppliers.login(name) as upload:
        seen = upload.runner.run(upload.client.listdir("/../.."))
        assert set(seen) == {".", "..", "drops", "receipts", "processed", "refused"}
        for path in ("/receipts/x", "/x", f"/../{other}/drops/x", "/drops/../../x", "/drops/../x"):
            with pytest.raises(asyncssh.SFTPPermissionDenied):
                upload.open_for_writing(path)
        for target in ("/etc/passwd", "../receipts"):
            with pytest.raises(asyncssh.SFTPPermissionDenied):
                upload.runner.run(upload.client.symlink(target, "/drops/l.csv"))
        with pytest.raises(asyncssh.ChannelOpenError):
            upload.runner.run(upload.connection.run("id"))


def test_the_stack_s_own_service_answers_its_probe_with_its_own_key(stack: Any) -> None:
    service = Sftp(stack.layout)
    service.prepare()
    with subprocess.Popen(service.command(), cwd=PROJECT_ROOT) as process:
        try:
            wait_for("the SFTP service", lambda: service.probe() is None, 60)
            (service.folder / "host_key.pub").write_text("ssh-ed25519 another carbon")
            assert "another host key" in str(service.probe())
        finally:
            process.terminate()
    assert "does not accept" in str(service.probe())


def test_a_server_that_is_away_is_told_and_asked_again(ground: Ground) -> None:
    ground.suppliers.process.terminate()
    ground.suppliers.process.wait(10)
    with pytest.raises(Unavailable) as caught:
        ground.go()
    assert caught.value.code == "sftp_unavailable"


def test_a_second_worker_leaves_the_files_to_the_first(ground: Ground) -> None:
    assert ground.go() is not None
    with (
        ground.database.writer(autocommit=True) as conn,
        DropServer(ground.suppliers.place) as server,
    ):
        assert work_off(replace(ground.shop, conn=conn, server=server)) is None


@pytest.mark.daemon
def test_the_sensor_of_a_running_dagster_has_a_drop_read_and_ledgered(
    stack: Any, tmp_path: Path
) -> None:
    name = f"SUP_{uuid.uuid4().hex[:8]}"
    drop = make_drop(name, 0, bad=1)
    dagster = DagsterClient(stack.layout.port("dagster"))
    with sftp_server(tmp_path / "sftp") as suppliers, in_stack_env(stack, suppliers):
        suppliers.join(name)
        with suppliers.login(name) as upload:
            upload.put(drop.name, drop.content)
        wait_for("the receipt", lambda: bool(suppliers.receipts(name)), 240)
        (said,) = suppliers.receipts(name)
        assert (said["accepted"], said["rejected"]) == (len(drop.event_ids), 1)
        wait_for("the entries", lambda: set(ledgered(name)) == set(drop.event_ids), 240)
        found = dagster.materializations("raw", "supplier_drops")
        assert found
