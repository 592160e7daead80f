"""A run that fails is written down once, and told to a real web server and a real mail server."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from api.problems import Problem
from api.signatures import check_signature
from carbon_assets.failure_notices import channels_of, deliver, without_secrets
from carbon_ledger.errors import ConfigurationError
from carbon_ledger.settings import load
from carbon_ledger.store.run_failures import run_failures
from cli.failures_command import failures
from sensors.run_failures import WAIT_FIRST, WAIT_MAX, is_attempt_due, make_failures_sensor
from tests.support.asset_database import resource_of
from tests.support.postgres import LedgerDatabase, scratch_database

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]
SECRET = "a secret of the receiver's"
PASSWORD = "hunter2hunter2"


class Receiver:
    """A web server that keeps what it is sent and answers what it is told to."""

    def __init__(self) -> None:
        self.posts: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                receiver.posts.append((dict(self.headers), self.rfile.read(size)))
                status = receiver.answers.pop(0) if receiver.answers else 204
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/failed"


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class MailHandler(socketserver.StreamRequestHandler):
    """SMTP as far as a sender needs it (RFC 5321); letters are kept by the server."""

    def handle(self) -> None:
        self.say("220 mail.example ready")
        recipients: list[str] = []
        while line := self.rfile.readline().decode().strip():
            word = line.split(":")[0].upper()
            if word == "RCPT TO":
                recipients.append(line.partition("<")[2].partition(">")[0])
            if word == "DATA":
                self.say("354 go on")
                letter = []
                while (text := self.rfile.readline()) != b".\r\n":
                    letter.append(text.decode())
                self.server.letters.append((recipients, "".join(letter)))  # type: ignore[attr-defined]
            self.say("221 bye" if word == "QUIT" else "250 ok")
            if word == "QUIT":
                return

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    with serving(found.server):
        yield found


@pytest.fixture
def database(stack: Any) -> Iterator[LedgerDatabase]:
    with scratch_database(stack.layout.database_url) as found:
        yield found


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as found:
        yield found


@pytest.fixture
def webhook(receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Receiver:
    key = tmp_path / "key"
    key.write_text(f"{SECRET}\n")
    monkeypatch.setenv("CARBON_DAGSTER_URL", "http://dagster.example.org/")
    monkeypatch.setenv("CARBON_NOTICE_WEBHOOK_URL", receiver.url)
    monkeypatch.setenv("CARBON_NOTICE_WEBHOOK_KEY_FILE", str(key))
    return receiver


@dg.op
def breaks() -> None:
    raise ValueError(
        f"cannot reach postgresql://carbon_writer:{PASSWORD}@db/carbon, token=abc123 refused"
    )


@dg.job(tags={"carbon/stream": "iot_energy"})
def a_job_that_fails() -> None:
    breaks()


@dg.job
def a_job_that_does_not() -> None: ...


def tick(database: LedgerDatabase, instance: dg.DagsterInstance) -> Any:
    resource = resource_of(database)
    sensor = make_failures_sensor(resource, channels_of, deliver, without_secrets)
    return sensor.evaluate_tick(dg.build_sensor_context(instance=instance))


def test_a_failed_run_is_written_down_once_without_its_secrets(
    database: LedgerDatabase, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_job_that_does_not.execute_in_process(instance=instance)
    failed = a_job_that_fails.execute_in_process(instance=instance, raise_on_error=False)
    seen = tick(database, instance)
    assert len(seen.asset_events) == 1
    assert tick(database, instance).asset_events == []
    with closing(database.reader()) as conn:
        (found,) = run_failures(conn, datetime.now(UTC) - timedelta(hours=1))
    assert (found.run_id, found.job, found.part) == (
        failed.run_id,
        "a_job_that_fails",
        "stream iot_energy",
    )
    assert "cannot reach postgresql://carbon_writer:***@db/carbon" in found.error
    assert PASSWORD not in found.error
    assert "abc123" not in found.error
    assert found.told == [], "nothing is set, so it is recorded alone"

    monkeypatch.setenv("CARBON_DATABASE_READER_URL", database.reader_url)
    shown = CliRunner().invoke(failures, [])
    assert shown.exit_code == 0, shown.output
    assert "a_job_that_fails" in shown.output
    assert "recorded" in shown.output


def test_a_webhook_gets_it_signed_and_again_until_it_takes_it(
    database: LedgerDatabase,
    instance: dg.DagsterInstance,
    webhook: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    webhook.answers = [503, 302, 204]
    failed = a_job_that_fails.execute_in_process(instance=instance, raise_on_error=False)
    tick(database, instance)
    tick(database, instance)
    assert len(webhook.posts) == 1, "not again at once"
    monkeypatch.setattr("sensors.run_failures.WAIT_FIRST", timedelta(0))
    for _ in range(3):
        tick(database, instance)
    assert len(webhook.posts) == 3, "and never again once it was taken"
    for headers, body in webhook.posts:
        check_signature(
            body,
            timestamp=headers["X-Carbon-Timestamp"],
            signature=headers["X-Carbon-Signature"],
            known=[SECRET.encode()],
            now=datetime.now(UTC),
        )
        with pytest.raises(Problem):
            check_signature(
                body + b" ",
                timestamp=headers["X-Carbon-Timestamp"],
                signature=headers["X-Carbon-Signature"],
                known=[SECRET.encode()],
                now=datetime.now(UTC),
            )
        told = json.loads(body)
        assert told["run_id"] == headers["X-Carbon-Delivery"] == failed.run_id
        assert told["run_url"] == f"http://dagster.example.org/runs/{failed.run_id}"
        assert PASSWORD not in body.decode()
    with closing(database.reader()) as conn:
        kept = conn.execute(
            "select attempt, is_delivered, outcome from audit.failure_notice order by attempt"
        ).fetchall()
        (found,) = run_failures(conn, datetime.now(UTC) - timedelta(hours=1))
    assert kept == [(1, False, "HTTP 503"), (2, False, "HTTP 302"), (3, True, "HTTP 204")]
    assert found.told == ["webhook: delivered"]


def test_a_receiver_that_is_not_there_is_tried_again(
    database: LedgerDatabase,
    instance: dg.DagsterInstance,
    webhook: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CARBON_NOTICE_WEBHOOK_URL", "http://127.0.0.1:9/failed")
    a_job_that_fails.execute_in_process(instance=instance, raise_on_error=False)
    tick(database, instance)
    with closing(database.reader()) as conn:
        (found,) = run_failures(conn, datetime.now(UTC) - timedelta(hours=1))
    assert found.told == ["webhook: attempt 1: ConnectError"]


def test_mail_reaches_every_recipient(
    database: LedgerDatabase, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), MailHandler)
    server.letters = []  # type: ignore[attr-defined]
    with serving(server):
        monkeypatch.setenv("CARBON_NOTICE_SMTP_URL", f"smtp://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("CARBON_NOTICE_MAIL_FROM", "ledger@example.org")
        monkeypatch.setenv("CARBON_NOTICE_MAIL_TO", "a@example.org, b@example.org")
        failed = a_job_that_fails.execute_in_process(instance=instance, raise_on_error=False)
        tick(database, instance)
        tick(database, instance)
    ((recipients, letter),) = server.letters  # type: ignore[attr-defined]
    assert recipients == ["a@example.org", "b@example.org"]
    assert "Subject: Run failed: a_job_that_fails stream iot_energy" in letter
    assert failed.run_id in letter
    assert PASSWORD not in letter
    with closing(database.reader()) as conn:
        (found,) = run_failures(conn, datetime.now(UTC) - timedelta(hours=1))
    assert found.told == ["smtp: delivered"]


WRONG = [
    ({"CARBON_NOTICE_WEBHOOK_URL": "ftp://host/x"}, "CARBON_NOTICE_WEBHOOK_URL is no address"),
    ({"CARBON_NOTICE_WEBHOOK_URL": "https://u:p@host/x"}, "without user and password"),
    ({"CARBON_NOTICE_WEBHOOK_URL": "https://host/x"}, "CARBON_NOTICE_WEBHOOK_KEY_FILE has 0 bytes"),
    (
        {
            "CARBON_NOTICE_WEBHOOK_URL": "https://host/x",
            "CARBON_NOTICE_WEBHOOK_KEY_FILE": "/nowhere/key",
        },
        "CARBON_NOTICE_WEBHOOK_KEY_FILE cannot be read",
    ),
    ({"CARBON_NOTICE_SMTP_URL": "mail.example"}, "CARBON_NOTICE_SMTP_URL is no mail server"),
    ({"CARBON_NOTICE_SMTP_URL": "smtp://u@host"}, "has a user and no TLS"),
    ({"CARBON_NOTICE_SMTP_URL": "smtp://host:99999"}, "is no mail server"),
    ({"CARBON_NOTICE_SMTP_URL": "smtp://host"}, "CARBON_NOTICE_MAIL_TO is ''"),
    (
        {
            "CARBON_NOTICE_SMTP_URL": "smtp://host",
            "CARBON_NOTICE_MAIL_TO": "a@b.org\nBcc: c@d.org",
            "CARBON_NOTICE_MAIL_FROM": "a@b.org",
        },
        "CARBON_NOTICE_MAIL_TO is",
    ),
]


@pytest.mark.parametrize(("given", "said"), WRONG)
def test_a_setting_that_is_wrong_is_named(given: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError, match="valid is") as refused:
        channels_of(load(given))
    assert refused.value.code == "notice_setting"
    assert said in refused.value.message


def test_values_of_secret_settings_are_in_no_notice() -> None:
    url = "postgresql://carbon_writer:s3cretpw@db/carbon"
    given = load({"CARBON_DATABASE_WRITER_URL": url})
    for text in (f"cannot open {url}", "no such user with s3cretpw", f"'{url}' and s3cretpw"):
        assert "s3cretpw" not in without_secrets(text, given)
    said = without_secrets("Authorization: Bearer abc.def, password='x y', api_key: 12345", given)
    assert said == "Authorization: ***, password=***, api_key: ***"
    plain = "PostgreSQL does not answer at db:5432 after 3 s"
    assert without_secrets(plain, given) == plain


def test_each_attempt_waits_longer() -> None:
    now = datetime.now(UTC)
    assert is_attempt_due(0, None, now)
    for attempts, wait in ((1, WAIT_FIRST), (2, 2 * WAIT_FIRST), (40, WAIT_MAX)):
        assert not is_attempt_due(attempts, now, now + wait - timedelta(seconds=1))
        assert is_attempt_due(attempts, now, now + wait)
