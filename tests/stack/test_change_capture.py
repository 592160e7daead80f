"""An ERP's changes, captured by a real Kafka Connect worker, become events, once each."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import fastavro
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from carbon_ledger.settings import PROJECT_ROOT, load
from carbon_ledger.store.captured import CapturedRows
from carbon_ledger.store.connect import connect
from devstack.layout import Layout
from pipeline.connect import ConnectClient
from pipeline.kafka import kafka_config
from pipeline.producers import CarbonEventProducer
from pipeline.serialization import Registry
from pipeline.topics import DEAD_LETTERS
from tests.support.dagster_client import wait_for
from tests.support.erp import Erp, connect_worker, connector_for
from tests.support.extra_service import RunningService
from tests.support.kafka_reading import Since
from tests.support.plain_ledger import plain_ledger

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def worker(stack: Any) -> Iterator[RunningService]:
    with connect_worker(stack) as running:
        yield running


@dataclass(kw_only=True)
class Capture:
    """A connector of one's own on the ERP, and the bridge that reads what it captures."""

    name: str
    erp: Erp
    file: Path
    source_file: Path
    client: ConnectClient

    def bridge(self, failpoint: str | None = None) -> int:
        """Runs the bridge to the end of the topic in a process of its own; its exit code."""
        environment = {**os.environ}
        if failpoint:
            environment["CARBON_FAILPOINT"] = failpoint
        command = [
            sys.executable,
            "-m",
            "cli.main",
            "source",
            "run",
            str(self.source_file),
            "--once",
        ]
        done = subprocess.run(
            command, env=environment, cwd=PROJECT_ROOT, timeout=90, check=False, capture_output=True
        )
        said = done.stderr.decode()
        is_early = "there is no topic" in said  # the connector has had nothing to tell yet
        assert is_early or done.returncode in (0, -signal.SIGKILL), said
        return done.returncode

    def is_killed_at(self, point: str) -> bool:
        """Whether there was something to do, so that the bridge died at the point."""
        return self.bridge(point) == -signal.SIGKILL

    def await_captured(self) -> None:
        """Returns once the connector has sent all that the ERP wrote so far."""
        self.erp.insert(1)
        last = f"{self.erp.prefix}-{self.erp.made:05d}"

        def is_known() -> bool:
            self.bridge()
            with closing(
                connect(load()["CARBON_DATABASE_READER_URL"], "t", organizations="*")
            ) as conn:
                row = CapturedRows(conn, f"cdc:{self.name}").row("line", f"{last}/1")
            return row is not None

        wait_for("last order of the ERP", is_known, 90)


def drop_slot(slot: str) -> None:
    """Drops a replication slot once nobody reads it."""
    url = Layout.of(load()).database_url("postgres", "erp")
    with closing(connect(url, "t", True, may_own=True)) as conn:
        wait_for(
            "slot that nobody reads",
            lambda: (
                not conn.execute(
                    "select from pg_replication_slots where slot_name = %s and active", (slot,)
                ).fetchall()
            ),
            30,
        )
        conn.execute(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots"
            " where slot_name = %s",
            (slot,),
        )


@pytest.fixture
def capture(stack: Any, worker: RunningService, tmp_path: Path) -> Iterator[Capture]:
    settings = load()
    name = f"erp-{uuid.uuid4().hex[:8]}"
    connector, file = connector_for(name, tmp_path, settings)
    source_file = tmp_path / "source.toml"
    source_file.write_text(
        f'name = "{name}"\nkind = "cdc"\ntopic = "cdc.{name}"\nmapping = "erp_example"\n'
    )
    erp = Erp(settings=settings, prefix=name)
    client = ConnectClient(settings["CARBON_CONNECT_URL"])
    client.apply(connector)
    client.await_running(name)
    yield Capture(name=name, erp=erp, file=file, source_file=source_file, client=client)
    client.delete(name)
    client.close()
    drop_slot(connector.config["slot.name"])
    erp.close()


def decoded(registry: Registry, value: bytes) -> dict[str, Any]:
    """An event of raw.procurement as its fields."""
    text, _ = registry.writer_schema(int.from_bytes(value[1:5], "big"))
    return fastavro.schemaless_reader(io.BytesIO(value[5:]), json.loads(text))


def test_the_ledger_has_the_final_state_of_the_erp_though_worker_and_bridge_are_killed(
    stack: Any, worker: RunningService, capture: Capture
) -> None:
    erp = capture.erp
    since = Since(settings=load(), topic="raw.procurement")
    erp.insert(20)
    capture.await_captured()
    erp.insert(20)
    worker.kill()
    erp.update(30)
    erp.delete(5)
    worker.start()
    for point in ("changes_applied", "captured_events_sent", "changes_relayed"):
        erp.update(5)
        wait_for("kill", partial(capture.is_killed_at, point), 60)
    capture.await_captured()
    erp.delete(5)
    capture.await_captured()
    with plain_ledger(stack, "procurement") as ledger:
        ledger.take()
        rows = ledger.rows(
            "select activity_ref, quantity, unit, source_ref from ledger.active_entry"
            " where activity_ref like %s",
            f"purchase:{erp.prefix}-%",
        )
        assert {ref: tuple(rest) for ref, *rest in rows} == erp.state()
        assert len(rows) == len(erp.state()) > 20
        refused = "select count(*) from ledger.dead_letter where event_id like %s"
        assert ledger.rows(refused, f"purchase:{erp.prefix}-%") == [(0,)]
    payloads: dict[str, set[bytes]] = {}
    revisions: dict[str, set[int]] = {}
    registry = Registry(load())
    for message in since.records():
        event = decoded(registry, message.value())
        if str(event["document_id"]).startswith(erp.prefix):
            ref = f"{event['document_id']}/{event['line_no']}"
            payloads.setdefault(f"{ref}#{event['revision']}", set()).add(message.value())
            revisions.setdefault(ref, set()).add(event["revision"])
    assert all(len(found) == 1 for found in payloads.values()), "a revision has one content"
    assert all(found == set(range(len(found))) for found in revisions.values()), "without gaps"
    assert max(map(len, revisions.values())) > 2


def carbon(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "cli.main", "connect", *words],
        env={**os.environ, **environment},
        cwd=PROJECT_ROOT,
        timeout=120,
        check=False,
        capture_output=True,
        text=True,
    )


def test_applying_a_file_twice_changes_nothing_and_shows_no_secret(capture: Capture) -> None:
    again = carbon("apply", str(capture.file))
    assert again.returncode == 0, again.stderr
    assert again.stdout == (f"{capture.name}: as it was\n{capture.name}: running, 1 task(s)\n")
    content = json.loads(capture.file.read_text(encoding="utf-8"))
    content["config"]["heartbeat.interval.ms"] = "5000"
    content["config"]["database.password"] = "{{env:OTHER_PASSWORD}}"
    capture.file.write_text(json.dumps(content), encoding="utf-8")
    refused = carbon("apply", str(capture.file), OTHER_PASSWORD="s3cret-and-wrong")
    assert refused.returncode == 1
    assert "password authentication failed" in refused.stderr
    assert "s3cret" not in refused.stdout + refused.stderr
    assert carbon("status", capture.name).returncode == 0, "what was refused has changed nothing"
    content["config"]["database.password"] = "{{env:ERP_PASSWORD}}"
    capture.file.write_text(json.dumps(content), encoding="utf-8")
    changed = carbon("apply", str(capture.file))
    assert "heartbeat.interval.ms: '0' -> '5000'" in changed.stdout, changed.stderr
    content["config"]["connector.class"] = "io.debezium.connector.oracle.OracleConnector"
    capture.file.write_text(json.dumps(content), encoding="utf-8")
    elsewhere = carbon("apply", str(capture.file))
    assert elsewhere.returncode == 1
    assert "its connectors are: io.debezium.connector.postgresql" in elsewhere.stderr
    unknown = carbon("status", "nobody")
    assert unknown.returncode == 1
    assert capture.name in unknown.stderr


def test_a_failed_task_is_told_with_its_reason_and_started_again_once_it_is_mended(
    capture: Capture,
) -> None:
    name = f"{capture.name}-x"
    connector, path = connector_for(
        name, capture.file.parent, load(), **{"publication.name": "not_there"}
    )
    try:
        failed = carbon("apply", str(path))
        assert failed.returncode == 1
        assert "the publication is missing" in failed.stderr
        status = carbon("status", name)
        assert status.returncode == 1
        assert "task 0 failed" in status.stdout
        assert "Publication autocreation is disabled" in status.stdout
        assert "to do: the publication is missing" in status.stdout
        capture.erp.connection.execute(
            "create publication not_there for table purchasing.purchase_order,"
            " purchasing.purchase_order_line"
        )
        mended = carbon("status", name, "--restart-failed")
        assert mended.returncode == 0, mended.stdout + mended.stderr
        assert "task 0 running" in mended.stdout
    finally:
        assert carbon("delete", name, "--yes").stdout == f"{name}: removed\n"
        capture.erp.connection.execute("drop publication if exists not_there")
        drop_slot(connector.config["slot.name"])


def test_what_a_sink_cannot_convert_is_a_dead_letter_with_its_bytes_and_context(
    worker: RunningService, tmp_path: Path
) -> None:
    settings = load()
    name = f"sink-{uuid.uuid4().hex[:8]}"
    admin = AdminClient(kafka_config(settings))
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(20)
    path = tmp_path / "sink.json"
    config = {
        "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
        "file": str(tmp_path / "sink.txt"),
        "tasks.max": "1",
        "topics": name,
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": DEAD_LETTERS,
        "errors.deadletterqueue.topic.replication.factor": "1",
        "errors.deadletterqueue.context.headers.enable": "true",
    }
    path.write_text(json.dumps({"name": name, "config": config}), encoding="utf-8")
    since = Since(settings=settings, topic=DEAD_LETTERS)
    applied = carbon("apply", str(path))
    assert applied.returncode == 0, applied.stderr
    try:
        with CarbonEventProducer(settings=settings) as producer:
            producer.send_bytes(name, None, b"\xffnot json")
        letters = wait_for("letter", since.records, 60)
    finally:
        carbon("delete", name, "--yes")
        admin.delete_topics([name])[name].result(20)
    [letter] = [one for one in letters if one.value() == b"\xffnot json"]
    headers = dict(letter.headers())
    assert headers["__connect.errors.topic"] == name.encode()
    assert headers["__connect.errors.offset"] == b"0"
    assert headers["__connect.errors.stage"] == b"VALUE_CONVERTER"
    assert b"DataException" in headers["__connect.errors.exception.class.name"]


def test_what_the_bridge_cannot_read_is_a_letter_and_what_follows_it_is_read(
    capture: Capture,
) -> None:
    since = Since(settings=load(), topic=DEAD_LETTERS)
    capture.await_captured()
    with CarbonEventProducer(settings=load()) as producer:
        producer.send_bytes(f"cdc.{capture.name}", None, b"no change at all")
    capture.erp.connection.execute(
        "update purchasing.purchase_order set currency = 'eur' where po_id like %s",
        (f"{capture.name}-%",),
    )
    capture.await_captured()
    own = [
        dict(one.headers())
        for one in since.records()
        if dict(one.headers()).get("carbon.source") == f"cdc:{capture.name}".encode()
    ]
    assert [one["carbon.reason_code"] for one in own] == [b"not_json", b"unknown_currency"]
    assert own[0]["carbon.coordinates"].startswith(f"cdc.{capture.name}:0:".encode())
    assert own[1]["carbon.value"] == b"eur"
