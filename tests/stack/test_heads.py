"""Heads on their way out: files, the real topic, a real witness, and the run that sends them."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest

from carbon_assets.audit import heads_asset
from carbon_ledger.errors import BrokenInvariant, ConfigurationError, RejectedRecord
from carbon_ledger.notes import Checkpoint, Signer, VerifierKey, parse_note, verify_cosignature
from carbon_ledger.settings import PROJECT_ROOT, Settings, load
from carbon_ledger.store import heads
from carbon_ledger.store.connect import connect, connect_as_reader
from devstack.stack import port_is_free
from devstack.witness import ledger_key
from devstack.witness_process import signer_of
from pipeline.heads import (
    TOPIC,
    add_checkpoint,
    declare_restore,
    make_signer,
    seal_and_publish,
)
from pipeline.producers import CarbonEventProducer, IoTEnergyEvent
from resources.database import LedgerDatabase as DatabaseResource
from tests.support.dagster_client import DagsterClient, wait_for
from tests.support.kafka_reading import Since
from tests.support.postgres import Connection, LedgerDatabase, scratch_database
from tests.support.sealing_examples import post, prepare
from tests.support.stack_environment import clean_environment
from verifier.findings import Report
from verifier.heads import keys_beside, read_outside
from verifier.verify import verify

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

CRASHING = """
import sys
from carbon_ledger.settings import load
from carbon_ledger.store.connect import connect
from pipeline.heads import seal_and_publish
settings = load()
with connect(settings["CARBON_DATABASE_SEALER_URL"], "crashing sealer", True) as conn:
    seal_and_publish(conn, settings)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(kw_only=True)
class WitnessServer:
    """A witness as a process of its own."""

    folder: Path
    log: VerifierKey
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def key(self) -> VerifierKey:
        return signer_of(self.folder).key.of_cosignatures()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "devstack.witness_process", str(self.folder)),
                *(str(self.port), "--log", str(self.log)),
            ],
            cwd=PROJECT_ROOT,
        )
        wait_for("the witness", lambda: not port_is_free(self.port), 20)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def latest(self) -> str:
        return httpx.get(f"{self.url}/{self.log.name}", timeout=5).text


@dataclass(kw_only=True)
class Ground:
    """A ledger, its settings, its connections and the witness of its heads."""

    database: LedgerDatabase
    settings: Settings
    writer: Connection
    sealer: Connection
    witness: WitnessServer

    def go(self) -> Any:
        return seal_and_publish(self.sealer, self.settings)

    def published(self) -> dict[str, list[int]]:
        sizes = [head.tree_size for head in heads.list_heads(self.sealer, 100)]
        found: dict[str, list[int]] = {}
        for one in heads.publications(self.sealer, sizes):
            found.setdefault(one.place, []).append(one.tree_size)
        return found

    def crash(self, failpoint: str) -> int:
        """Exit code of a sealer that dies at the point."""
        environment = {
            **clean_environment(),
            **{name: value for name, value in self.settings.values.items() if value},
            "CARBON_FAILPOINT": failpoint,
            "PYTHONPATH": str(PROJECT_ROOT),
        }
        command = [sys.executable, "-c", CRASHING]
        return subprocess.run(command, env=environment, timeout=90, check=False).returncode


@pytest.fixture
def ground(stack: Any, tmp_path: Path) -> Iterator[Ground]:
    origin = f"test-ledger-{uuid.uuid4().hex[:8]}"
    values = {
        name: value
        for name, value in stack.stack_settings().values.items()
        if not name.startswith("CARBON_DATABASE_")
    }
    values |= {"CARBON_HOME": str(tmp_path / "home"), "CARBON_LEDGER_ORIGIN": origin}
    log = ledger_key(Settings(values))
    witness = WitnessServer(folder=tmp_path / "witness", log=log)
    witness.start()
    with scratch_database(stack.layout.database_url) as database:
        values |= {
            "CARBON_WITNESS_URL": witness.url,
            "CARBON_WITNESS_KEY": str(witness.key),
            "CARBON_DATABASE_SEALER_URL": database.sealer_url,
        }
        with closing(database.writer()) as writer, closing(database.sealer()) as sealer:
            prepare(writer)
            yield Ground(
                database=database,
                settings=Settings(values),
                writer=writer,
                sealer=sealer,
                witness=witness,
            )
    witness.kill()


def test_a_head_goes_to_files_topic_and_witness_once_each(ground: Ground) -> None:
    since = Since(settings=ground.settings, topic=TOPIC)
    post(ground.writer, 5)
    outcome = ground.go()
    assert [one.place for one in outcome.published] == ["file", "kafka", "witness"]
    again = ground.go()
    assert (again.sealed, again.published) == ([], [])
    post(ground.writer, 300)
    ground.go()
    folder = ground.settings.heads_folder
    newest, oldest = heads.list_heads(ground.sealer, 10)
    for head in (newest, oldest):
        path = folder / f"{head.tree_size}.note"
        assert path.read_text() == head.note
        assert stat.S_IMODE(path.stat().st_mode) == 0o444
        cosigned = parse_note((folder / f"{head.tree_size}.cosigned.note").read_text())
        made = verify_cosignature(cosigned.text, cosigned.signatures, ground.witness.key)
        assert abs(made - head.signed_at.timestamp()) < 60
    assert (folder / "latest").read_text() == newest.note
    assert ground.witness.latest() == (folder / "305.cosigned.note").read_text()
    records = [
        one
        for one in since.records()
        if one.key() == ground.settings["CARBON_LEDGER_ORIGIN"].encode()
    ]
    assert [one.value().decode() for one in records] == [oldest.note, newest.note]
    assert ground.published() == {"file": [5, 305], "kafka": [5, 305], "witness": [5, 305]}


def test_the_key_is_made_once_private_and_its_public_half_is_beside_the_heads(
    ground: Ground,
) -> None:
    signer = make_signer(ground.settings, ground.settings["CARBON_LEDGER_ORIGIN"])
    private = ground.settings.signing_key_file
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    public = (ground.settings.heads_folder / "ledger-public-key.pem").read_text()
    assert public == private.with_suffix(".pub.pem").read_text()
    assert "PUBLIC" in public
    assert (
        make_signer(ground.settings, ground.settings["CARBON_LEDGER_ORIGIN"]).key
        == signer.key
        == ground.witness.log
    )


@pytest.mark.parametrize(
    ("failpoint", "seals", "left"),
    [
        ("sealer_signed", 0, {}),
        ("head_committed", 1, {}),
        ("head_filed", 1, {}),
        ("head_sent", 1, {"file": [4]}),
    ],
)
def test_a_sealer_that_dies_is_followed_by_one_that_finishes(
    failpoint: str, seals: int, left: dict[str, list[int]], ground: Ground
) -> None:
    since = Since(settings=ground.settings, topic=TOPIC)
    post(ground.writer, 4)
    assert ground.crash(failpoint) == -signal.SIGKILL
    assert len(heads.list_heads(ground.sealer, 10)) == seals
    assert ground.published() == left
    ground.go()
    (head,) = heads.list_heads(ground.sealer, 10)
    assert ground.published() == {"file": [4], "kafka": [4], "witness": [4]}
    notes = {one.value().decode() for one in since.records() if one.key() == head.origin.encode()}
    assert notes == {head.note}, "at least once, and never another one"
    post(ground.writer, 2)
    ground.go()
    assert ground.witness.latest().startswith(f"{head.origin}\n6\n")


def test_a_place_that_is_away_gets_its_heads_later_in_their_order(ground: Ground) -> None:
    ground.witness.kill()
    for count in (1, 2, 3):
        post(ground.writer, count)
        outcome = ground.go()
        assert outcome.unavailable is not None
        assert "witness" in outcome.unavailable
        assert {one.place for one in outcome.published} == {"file", "kafka"}
    ground.witness.start()
    outcome = ground.go()
    assert [(one.place, one.tree_size) for one in outcome.published] == [
        ("witness", 1),
        ("witness", 3),
        ("witness", 6),
    ]


def test_a_place_that_is_away_fails_the_assets_check(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ground.settings.values.items():
        if value:
            monkeypatch.setenv(name, value)

    def checks() -> dict[str, bool]:
        done = dg.materialize([heads_asset([])], resources={"database": DatabaseResource()})
        return {one.check_name: one.passed for one in done.get_asset_check_evaluations()}

    ground.witness.kill()
    post(ground.writer, 1)
    assert checks() == {"heads_are_published": False, "tree_recomputes": True}
    ground.witness.start()
    assert checks() == {"heads_are_published": True, "tree_recomputes": True}


def test_what_the_witness_answered_before_a_crash_is_asked_again(ground: Ground) -> None:
    post(ground.writer, 3)
    ground.go()
    post(ground.writer, 3)
    settings = ground.settings
    away = replace(settings, values={**settings.values, "CARBON_WITNESS_URL": "http://127.0.0.1:1"})
    seal_and_publish(ground.sealer, away)
    head = heads.latest_head(ground.sealer)
    assert head is not None
    path = proof_path(ground, 3, 6)
    answer = add_checkpoint(ground.witness.url, 3, path, head.note)
    assert answer.status == 200, "the witness has it, the ledger does not know"
    assert [one.tree_size for one in ground.go().published] == [6]


def proof_path(ground: Ground, old: int, new: int) -> list[bytes]:
    from carbon_ledger.store.proofs import consistency_proof

    return [base64.b64decode(one) for one in consistency_proof(ground.sealer, old, new)["path"]]


def test_the_witness_demands_consistency_and_refuses_to_go_back(ground: Ground) -> None:
    for count in (3, 5, 9):
        post(ground.writer, count)
        ground.go()
    newest, middle, _ = heads.list_heads(ground.sealer, 10)
    url = ground.witness.url
    path = proof_path(ground, 8, 17)
    back = add_checkpoint(url, 3, proof_path(ground, 3, 8), middle.note)
    assert (back.status, back.text) == (409, "17\n")
    signer = make_signer(ground.settings, ground.settings["CARBON_LEDGER_ORIGIN"])
    tree = Checkpoint(origin=newest.origin, tree_size=17, root=bytes(32))
    other = add_checkpoint(url, 17, [], str(signer.sign(tree.text)))
    assert (other.status, other.text) == (409, "17\n")
    forged = str(signer.sign(replace(tree, tree_size=20).text))
    assert add_checkpoint(url, 17, path, forged).status == 422
    assert add_checkpoint(url, 17, [], forged).status == 422
    assert add_checkpoint(url, 21, [], forged).status == 400
    stranger = Signer(name=newest.origin, private_key=signer_of(ground.witness.folder).private_key)
    assert add_checkpoint(url, 17, [], str(stranger.sign(tree.text))).status == 403
    unknown = Signer(name="nobody", private_key=signer.private_key)
    note = str(unknown.sign(replace(tree, origin="nobody").text))
    assert add_checkpoint(url, 0, [], note).status == 404
    assert add_checkpoint(url, 0, [], "no checkpoint").status == 400
    assert add_checkpoint(url, 17, [], newest.note).status == 200
    assert ground.witness.latest().startswith(newest.note)


def test_a_witness_that_died_remembers(ground: Ground) -> None:
    post(ground.writer, 3)
    ground.go()
    before = ground.witness.latest()
    ground.witness.kill()
    ground.witness.start()
    assert ground.witness.latest() == before
    head = heads.latest_head(ground.sealer)
    assert head is not None
    assert add_checkpoint(ground.witness.url, 0, [], head.note).status == 409


def test_two_askers_at_once_get_one_history(tmp_path: Path, ground: Ground) -> None:
    """Checking and persisting are one step: of many forks at once, one is cosigned."""
    from concurrent.futures import ThreadPoolExecutor

    signer = make_signer(ground.settings, ground.settings["CARBON_LEDGER_ORIGIN"])
    notes = [
        str(signer.sign(Checkpoint(origin=signer.name, tree_size=9, root=bytes([n]) * 32).text))
        for n in range(16)
    ]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda one: add_checkpoint(ground.witness.url, 0, [], one), notes))
    assert sorted(one.status for one in answers) == [200, *[409] * 15]


def test_a_ledger_that_was_set_back_is_not_sealed_any_further(stack: Any, ground: Ground) -> None:
    post(ground.writer, 3)
    ground.go()
    with scratch_database(stack.layout.database_url) as earlier:
        with closing(earlier.writer()) as writer, closing(earlier.sealer()) as sealer:
            prepare(writer)
            post(writer, 7)
            with pytest.raises(BrokenInvariant, match="was set back") as caught:
                seal_and_publish(sealer, ground.settings)
            assert caught.value.code == "heads_ahead"
            assert heads.latest_head(sealer) is None
            (ground.settings.heads_folder / "latest").unlink()
            with pytest.raises(BrokenInvariant, match="proof does not hold") as caught:
                seal_and_publish(sealer, ground.settings)
    assert ground.witness.latest().split("\n")[1] == "3"


def test_a_witness_of_another_ledger_is_a_wrong_setting(ground: Ground, tmp_path: Path) -> None:
    other = WitnessServer(folder=tmp_path / "other", log=VerifierKey.parse(str(ground.witness.key)))
    other.start()
    post(ground.writer, 1)
    values = {**ground.settings.values, "CARBON_WITNESS_URL": other.url}
    with pytest.raises(ConfigurationError, match="does not know this ledger"):
        seal_and_publish(ground.sealer, Settings(values))
    other.kill()
    assert ground.published() == {"file": [1], "kafka": [1]}


def test_a_file_that_says_something_else_is_a_conflict(ground: Ground) -> None:
    folder = ground.settings.heads_folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "2.note").write_text("another head of two leaves\n")
    post(ground.writer, 2)
    with pytest.raises(BrokenInvariant, match="says something else"):
        ground.go()
    assert ground.published() == {"kafka": [2], "witness": [2]}


def test_brokers_that_are_away_do_not_keep_a_head_from_the_witness(ground: Ground) -> None:
    values = {**ground.settings.values, "CARBON_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    post(ground.writer, 2)
    outcome = seal_and_publish(ground.sealer, Settings(values))
    assert outcome.unavailable
    assert ground.published() == {"file": [2], "witness": [2]}
    ground.go()
    assert ground.published()["kafka"] == [2]


# --- as Dagster runs it --------------------------------------------------------------------------


@pytest.mark.daemon
def test_what_the_pipeline_commits_is_sealed_published_and_provable_within_a_minute(
    stack: Any, tmp_path: Path
) -> None:
    settings = load()
    dagster = DagsterClient(stack.layout.port("dagster"))
    plant = f"sealed-{uuid.uuid4().hex[:8]}"
    at = datetime(2025, 4, 2, 8, tzinfo=UTC)
    with CarbonEventProducer(
        bootstrap_servers=settings["CARBON_KAFKA_BOOTSTRAP_SERVERS"]
    ) as producer:
        for number in range(30):
            event = IoTEnergyEvent(
                *(f"{plant}-m{number % 3}", plant, "DE", f"{number}.5", "grid", None),
                at + timedelta(minutes=number),
                interval_seconds=60,
            )
            producer.send("raw.iot.energy", key=event.sensor_id, value=event)
    with closing(connect_as_reader(settings, "tests", autocommit=True)) as conn:

        def entries() -> list[Any]:
            return conn.execute(
                "select e.entry_id, e.recorded_at, h.tree_size, h.signed_at"
                " from ledger.entry e join audit.commit c using (recorded_at)"
                " join audit.seal_commit s using (commit_id)"
                " join audit.seal l using (seal_no)"
                " join lateral (select * from audit.head h where h.tree_size >= l.tree_size"
                "               order by h.tree_size limit 1) h on true"
                " where e.facility_id = %s",
                (plant,),
            ).fetchall()

        wait_for("30 sealed entries", lambda: len(entries()) >= 30, 150)
        found = entries()
        assert max(signed - recorded for _, recorded, _, signed in found) < timedelta(seconds=60)
        size = max(row[2] for row in found)

        def places() -> set[str]:
            return {one.place for one in heads.publications(conn, [size])}

        wait_for("publication", lambda: places() == {"file", "kafka", "witness"}, 60)
    made = wait_for(
        "materialization",
        lambda: [
            one
            for one in dagster.materializations("audit", "heads")
            if one["metadata"].get("tree_size", 0) >= size
        ],
        60,
    )[-1]["metadata"]
    for name in ("seal_range", "root", "head", "entries_sealed", "published"):
        assert made[name], name
    for check in ("heads_are_published", "tree_recomputes"):
        passed = dagster.check(["audit", "heads"], check)
        assert passed
        assert all(passed), check
    witnessed = httpx.get(f"{settings['CARBON_WITNESS_URL']}/carbon-ledger", timeout=5).text
    assert int(witnessed.split("\n")[1]) >= size
    prove(found[0][0], settings, tmp_path)


def prove(entry_id: uuid.UUID, settings: Settings, folder: Path) -> None:
    """`carbon prove`, and the stand-alone checker with nothing but the file and the key."""
    proof, key = folder / "proof.json", settings.heads_folder / "ledger-public-key.pem"
    carbon = [sys.executable, "-m", "cli.main"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT)}
    subprocess.run(
        [*carbon, "prove", str(entry_id), "--out", str(proof)],
        env=environment,
        check=True,
        timeout=60,
    )
    checker = [sys.executable, "-I", str(PROJECT_ROOT / "verifier" / "check_proof.py")]
    said = subprocess.run(
        [*checker, str(proof), "--key", str(key)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=folder,
    )
    assert str(entry_id) in said.stdout
    listed = subprocess.run(
        [*carbon, "heads", "list", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    newest = json.loads(listed.stdout)["heads"][0]
    shown = subprocess.run(
        [*carbon, "heads", "show", str(newest["tree_size"])],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert shown.stdout.split("\n")[1] == str(newest["tree_size"])


def put_back(ground: Ground, admin_url: str, tree_size: int) -> None:
    """The database as it was when its tree had that size, as a restored backup is."""
    with connect(admin_url, "restore", True, may_own=True) as conn, conn.transaction():
        conn.execute("set local session_replication_role = replica")
        for statement in (
            "delete from audit.head_publication where tree_size > %(size)s",
            "delete from audit.head where tree_size > %(size)s",
            "delete from audit.node where (index + 1) << level > %(size)s",
            "delete from ledger.entry e using audit.commit c, audit.seal_commit k"
            " where k.first_leaf >= %(size)s and c.commit_id = k.commit_id"
            " and e.recorded_at = c.recorded_at",
            "delete from ledger.event_identity i where not exists"
            " (select from ledger.entry e where e.entry_id = i.entry_id)",
            "delete from windows.five_minute_delta d using audit.commit c, audit.seal_commit k"
            " where k.first_leaf >= %(size)s and c.commit_id = k.commit_id"
            " and d.recorded_at = c.recorded_at",
            "delete from audit.commit c using audit.seal_commit k"
            " where k.first_leaf >= %(size)s and c.commit_id = k.commit_id",
            "delete from audit.seal_commit where first_leaf >= %(size)s",
            "delete from audit.seal where first_leaf >= %(size)s",
        ):
            conn.execute(statement.encode(), {"size": tree_size})


def test_after_a_restore_nothing_is_signed_until_it_is_declared(ground: Ground, stack: Any) -> None:
    origin = ground.settings["CARBON_LEDGER_ORIGIN"]
    post(ground.writer, 5)
    ground.go()
    post(ground.writer, 300)
    ground.go()
    name = ground.sealer.info.dbname
    admin_url = stack.layout.database_url("postgres", name)
    put_back(ground, admin_url, 5)
    with connect(admin_url, "restore", True, may_own=True) as conn:
        # It was put back to between the head's signature and what was noted of its publication.
        conn.execute("set session_replication_role = replica")
        conn.execute("delete from audit.head_publication where place <> 'kafka'")
    post(ground.writer, 7)
    with pytest.raises(BrokenInvariant) as caught:
        ground.go()
    assert caught.value.code == "heads_ahead"
    assert "305" in caught.value.message
    with pytest.raises(RejectedRecord) as unexplained:
        declare_restore(ground.sealer, ground.settings, by="operations", reason=" ")
    assert unexplained.value.code == "restore_unexplained"
    done = declare_restore(ground.sealer, ground.settings, by="operations", reason="disk lost")
    assert (done.tree_size, done.seen_size, done.previous_origin) == (5, 305, origin)
    outcome = ground.go()
    assert [one.tree_size for one in outcome.sealed] == [12]
    assert sorted((one.place, one.tree_size) for one in outcome.published) == [
        ("file", 5),
        ("file", 12),
        ("kafka", 12),
        ("witness", 5),
        ("witness", 12),
    ]
    folder = ground.settings.heads_folder
    assert (folder / "restore-1" / "12.note").read_text().startswith(f"{origin}/restore-1\n12\n")
    assert (folder / "latest").read_text() == (folder / "305.note").read_text()
    with pytest.raises(RejectedRecord) as again:
        declare_restore(ground.sealer, ground.settings, by="operations", reason="disk lost")
    assert again.value.code == "no_head_ahead"
    assert codes(verified(ground)) == {"restore_declared", "tail_cut"}
    report = verified(ground, accepted=(1,))
    assert codes(report) == set()
    assert any("Accepted restore 1" in note and "disk lost" in note for note in report.notes)
    with connect(stack.layout.database_url("postgres", name), "t", True, may_own=True) as conn:
        conn.execute("set session_replication_role = replica")
        for change in ("seen_size = 304", "seen_size = 305, tree_size = 4"):
            conn.execute(f"update audit.restore set {change}".encode())
            assert codes(verified(ground, accepted=(1,))) == {"head_altered", "tail_cut"}
        conn.execute("delete from audit.restore")
    assert "tail_cut" in codes(verified(ground, accepted=(1,)))


def test_heads_that_are_gone_stop_the_sealer(ground: Ground) -> None:
    post(ground.writer, 5)
    ground.go()
    for path in ground.settings.heads_folder.iterdir():
        path.unlink()
    post(ground.writer, 5)
    with pytest.raises(BrokenInvariant) as caught:
        ground.go()
    assert caught.value.code == "heads_missing"


def test_a_place_that_cannot_be_written_keeps_no_other_waiting(ground: Ground) -> None:
    post(ground.writer, 5)
    in_the_way = ground.settings.heads_folder / "5.note"
    in_the_way.mkdir(parents=True)
    outcome = ground.go()
    assert "cannot be filed" in str(outcome.unavailable)
    assert ground.published() == {"kafka": [5], "witness": [5]}
    in_the_way.rmdir()
    assert [one.place for one in ground.go().published] == ["file"]


def codes(report: Report) -> set[str]:
    """What was found; the entries of these tests are of events without identity."""
    return {one.code for one in report.findings} - {"identity_missing"}


def verified(ground: Ground, accepted: tuple[int, ...] = ()) -> Report:
    """What the verifier says, against the heads that left the database."""
    folder = ground.settings.heads_folder
    return verify(
        ground.database.verifier_url,
        outside=read_outside([folder]),
        keys=keys_beside([folder]),
        accepted=accepted,
    )
