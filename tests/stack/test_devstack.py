"""The embedded stack as its users meet it: real services, killed and restarted for real.

The first half uses the stack all tests share. The second half needs stacks it can break: they
borrow the shared one's Kafka, registry and Spark as somebody else's parts and run only a
PostgreSQL, which takes a second.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import psycopg
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from carbon_ledger.errors import CarbonError, ConfigurationError, Unavailable
from carbon_ledger.settings import Settings, load
from devstack import processes
from devstack.environment import DATABASE_ROLES
from devstack.processes import MARKER
from devstack.stack import Stack
from tests.support.stack_environment import TEST_HOME, TEST_OFFSET, clean_environment

pytestmark = [pytest.mark.stack, pytest.mark.daemon, pytest.mark.timeout(300)]

PARTS = ("postgres", "kafka", "registry", "spark", "code-server", "dagster", "daemon")
CARBON = str(Path(sys.executable).with_name("carbon"))
BACK_SECONDS = 240  # they are back within 20 on two idle cores; a loaded machine gets more


def carbon(
    *words: str, home: Path = TEST_HOME, extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user would, on the stack in `home`."""
    environment = {**os.environ, "CARBON_HOME": str(home), **(extra or {})}
    return subprocess.run(
        [CARBON, *words], env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def members(home: Path) -> list[psutil.Process]:
    """Every live process that works for the stack in `home`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            words = " ".join(process.cmdline())
            if process.environ().get(MARKER) == str(home) or f"{home}/" in f"{words}/":
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


# --- the shared stack


def test_every_part_is_ready_and_the_command_line_says_so(stack: Stack) -> None:
    stack.wait_ready(BACK_SECONDS)
    answer = carbon("status", "--json")
    assert answer.returncode == 0, answer.stderr
    seen = json.loads(answer.stdout)
    assert set(PARTS) <= set(seen["services"])
    assert all(seen["services"][part]["ready"] for part in PARTS)
    assert seen["streams_problem"] is None


@pytest.mark.parametrize("part", PARTS)
def test_a_part_killed_by_force_comes_back(stack: Stack, part: str) -> None:
    stack.wait_ready(BACK_SECONDS)
    before = stack.status().services[part]
    os.kill(stack.pids()[part], signal.SIGKILL)

    def is_back() -> bool:
        now = stack.status().services[part]
        return now.restarts > before.restarts and now.is_ready

    assert processes.wait_until(is_back, BACK_SECONDS), stack.status().services[part]
    assert stack.pids()[part] != before.pid
    stack.wait_ready(BACK_SECONDS)


def test_a_part_that_hangs_is_reported_and_left_alone(stack: Stack) -> None:
    stack.wait_ready(BACK_SECONDS)
    before = stack.status().services["registry"]
    assert before.pid is not None
    os.kill(before.pid, signal.SIGSTOP)
    try:
        assert processes.wait_until(
            lambda: stack.status().services["registry"].status == "not ready", BACK_SECONDS
        )
        assert "does not answer" in (stack.status().services["registry"].note or "")
        assert carbon("status").returncode == 3
    finally:
        os.kill(before.pid, signal.SIGCONT)
    stack.wait_ready(BACK_SECONDS)
    assert stack.pids()["registry"] == before.pid


def test_what_was_stored_survives_the_deaths(stack: Stack) -> None:
    """After every part was killed once: topics, registered schemas and tables are still there."""
    settings = load()
    stack.wait_ready(BACK_SECONDS)
    admin = AdminClient({"bootstrap.servers": settings["CARBON_KAFKA_BOOTSTRAP_SERVERS"]})
    assert "raw.iot.energy" in admin.list_topics(timeout=10).topics
    import httpx

    subjects = httpx.get(f"{settings['CARBON_REGISTRY_URL']}/subjects").json()
    assert any("iot" in subject for subject in subjects)
    with psycopg.connect(settings["CARBON_DATABASE_READER_URL"]) as connection:
        row = connection.execute(
            "select count(*) from information_schema.schemata where schema_name = 'ledger'"
        ).fetchone()
    assert row == (1,)


def test_a_second_up_changes_nothing(stack: Stack) -> None:
    stack.wait_ready(BACK_SECONDS)
    before = stack.pids()
    assert stack.up() is False
    answer = carbon("up")
    assert answer.returncode == 0, answer.stderr
    assert "up already" in answer.stdout
    assert stack.pids() == before


def test_a_running_stack_is_not_emptied(stack: Stack) -> None:
    answer = carbon("reset", "--yes")
    assert answer.returncode == 1
    assert "carbon down" in answer.stderr
    assert stack.is_running()


def test_all_doors_are_on_the_loopback_interface(stack: Stack) -> None:
    mine = {process.pid for process in members(stack.layout.home)}
    listening = {
        (connection.pid, connection.laddr[0], connection.laddr[1])
        for connection in psutil.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN and connection.pid in mine
    }
    assert len(listening) >= len(PARTS) - 1
    loopback = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert [door for door in sorted(listening) if door[1] not in loopback] == []


def test_passwords_are_for_the_owner_alone(stack: Stack) -> None:
    for name in ("stack.env", "secrets.json"):
        assert (stack.layout.home / name).stat().st_mode & 0o777 == 0o600


def test_the_printed_variables_lead_a_plain_shell_to_the_stack(stack: Stack) -> None:
    script = (
        "import os; from carbon_ledger.settings import load; s = load();"
        "print(os.environ['DAGSTER_HOME'], s['CARBON_KAFKA_BOOTSTRAP_SERVERS'],"
        " s['CARBON_DATABASE_WRITER_URL'])"
    )
    answer = subprocess.run(
        ["sh", "-c", f'eval "$({CARBON} env)"; unset CARBON_HOME; {sys.executable} -c "{script}"'],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    settings = load()
    assert answer.stdout.split() == [
        str(stack.layout.home / "dagster"),
        settings["CARBON_KAFKA_BOOTSTRAP_SERVERS"],
        settings["CARBON_DATABASE_WRITER_URL"],
    ]


def test_each_role_enters_its_own_database_only(stack: Stack) -> None:
    for role, database in (("carbon_reader", "registry"), ("registry", "carbon")):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(stack.layout.database_url(role, database), connect_timeout=5)


def test_what_is_committed_is_on_disk_and_checked(stack: Stack) -> None:
    with psycopg.connect(load()["CARBON_DATABASE_READER_URL"]) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
            assert connection.execute(f"show {setting}").fetchone() == ("on",)


# --- stacks of their own


@pytest.fixture
def small(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """A stack that runs only its own PostgreSQL and borrows the rest; stopped at the end."""
    shared = load()
    borrowed = ("CARBON_KAFKA_BOOTSTRAP_SERVERS", "CARBON_REGISTRY_URL", "CARBON_SPARK_REMOTE")
    for name in borrowed:
        monkeypatch.setenv(name, shared[name])
    monkeypatch.setenv("CARBON_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CARBON_PORT_OFFSET", str(TEST_OFFSET + 1000))
    stack.wait_ready(BACK_SECONDS)
    one = Stack(load())
    yield one
    one.down()
    assert members(one.layout.home) == []


def test_parts_of_somebody_else_are_asked_but_not_started(small: Stack) -> None:
    small.up(dagster=False)
    seen = small.status().services
    assert set(small.pids()) == {"postgres", "witness"}
    assert (small.layout.home / "dagster" / "dagster.yaml").is_file()
    assert {name for name, one in seen.items() if one.external} == {"kafka", "registry", "spark"}
    assert small.status().all_ready()
    written = small.stack_settings()
    assert written["CARBON_KAFKA_BOOTSTRAP_SERVERS"] == f"localhost:{9092 + TEST_OFFSET}"
    assert f":{6433 + TEST_OFFSET}/" in written["CARBON_DATABASE_WRITER_URL"]


def test_down_leaves_no_process_and_up_finds_the_data(small: Stack) -> None:
    small.up(dagster=False)
    url = small.layout.database_url("postgres", "carbon")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table kept as select 42 as answer")
    assert small.down() is True
    assert members(small.layout.home) == []
    assert small.down() is False
    small.up(dagster=False)
    with psycopg.connect(url) as connection:
        assert connection.execute("select answer from kept").fetchone() == (42,)


def test_reset_empties_a_stopped_stack_when_it_is_meant(small: Stack) -> None:
    small.up(dagster=False)
    small.down()
    stranger = small.layout.home / "notes.txt"
    stranger.write_text("not the stack's")
    refused = carbon("reset", home=small.layout.home)
    assert refused.returncode == 1
    assert "--yes" in refused.stderr
    assert small.layout.env_file.exists()
    done = carbon("reset", "--yes", home=small.layout.home)
    assert done.returncode == 0, done.stderr
    # Without the keys a backup could not be read, nor a head be signed after it.
    assert sorted(small.layout.home.iterdir()) == [small.layout.home / "keys", stranger]


def test_status_of_a_stopped_stack_is_exit_code_3(small: Stack) -> None:
    small.up(dagster=False)
    small.down()
    answer = carbon("status", "--json", home=small.layout.home)
    assert answer.returncode == 3
    assert not any(one["running"] for one in json.loads(answer.stdout)["services"].values())


def test_a_taken_port_is_named_with_its_holder_and_the_way_out(small: Stack) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", small.layout.port("postgres")))
        taken.listen()
        answer = carbon("up", "--no-dagster", home=small.layout.home)
    assert answer.returncode == 1
    assert f"port {small.layout.port('postgres')} (for postgres)" in answer.stderr
    assert f"process {os.getpid()}" in answer.stderr
    assert "CARBON_PORT_OFFSET" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert members(small.layout.home) == []


def test_a_service_that_dies_at_start_is_quoted_and_nothing_runs(small: Stack) -> None:
    small.up(dagster=False)
    small.down()
    (small.layout.home / "postgres" / "PG_VERSION").write_text("9.6\n")
    answer = carbon("up", "--no-dagster", home=small.layout.home)
    assert answer.returncode == 1
    assert "postgres did not start" in answer.stderr
    assert "9.6" in answer.stderr
    assert str(small.layout.logs / "postgres.log") in answer.stderr
    assert members(small.layout.home) == []


def test_a_part_of_somebody_else_that_is_absent_stops_the_start(
    small: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARBON_KAFKA_BOOTSTRAP_SERVERS", "localhost:1")
    with pytest.raises(Unavailable, match="kafka is set to somebody else's and does not answer"):
        Stack(load()).up(dagster=False)
    assert members(small.layout.home) == []


def test_a_failed_preparation_stops_the_start(small: Stack) -> None:
    def refuse(settings: Settings) -> None:
        raise Unavailable("planted", f"no schema in {settings['CARBON_DATABASE_ADMIN_URL'][:10]}")

    with pytest.raises(CarbonError, match="no schema in postgresql"):
        small.up(dagster=False, initialise=refuse)
    assert members(small.layout.home) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_up_that_is_interrupted_stops_everything(small: Stack, number: int) -> None:
    with subprocess.Popen(
        [CARBON, "up", "--no-dagster"],
        env={**os.environ, "CARBON_HOME": str(small.layout.home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as up:
        assert processes.wait_until(lambda: bool(small.pids()), 30)
        up.send_signal(number)
        _, complaint = up.communicate(timeout=60)
    assert up.returncode == 130
    assert "Traceback" not in complaint
    assert not small.is_running()
    assert members(small.layout.home) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_a_killed_supervisor_takes_its_children_along(small: Stack) -> None:
    small.up(dagster=False)
    supervisor = small.status_file().supervisor()
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    assert processes.wait_until(lambda: members(small.layout.home) == [], 30)
    assert small.status().status == "stopped"
    assert small.up(dagster=False) is True


def test_down_during_up_is_said_as_such(small: Stack) -> None:
    def stop(settings: Settings) -> None:
        assert Stack(settings).down()

    with pytest.raises(Unavailable, match="was stopped while it was starting"):
        small.up(dagster=False, initialise=stop)


def test_an_up_that_was_cut_off_is_completed_by_the_next(small: Stack) -> None:
    """The first `up` dies between starting the supervisor and preparing the streams."""
    with subprocess.Popen(
        [CARBON, "up", "--no-dagster"],
        env={**os.environ, "CARBON_HOME": str(small.layout.home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as up:
        assert processes.wait_until(lambda: bool(small.pids()), 30)
        up.kill()
    prepared: list[str] = []
    again = small.up(dagster=False, initialise=lambda s: prepared.append(s["CARBON_SPARK_REMOTE"]))
    assert again is True
    assert prepared == [load()["CARBON_SPARK_REMOTE"]]
    assert small.up(dagster=False) is False


def test_three_brokers_replicate_and_outlive_the_loss_of_one(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = load()
    for name in ("REGISTRY_URL", "SPARK_REMOTE"):
        monkeypatch.setenv(f"CARBON_{name}", shared[f"CARBON_{name}"])
    for name in DATABASE_ROLES:
        monkeypatch.setenv(name, shared[name])
    for name, value in clean_dagster_storage(stack).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CARBON_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CARBON_PORT_OFFSET", str(TEST_OFFSET + 2000))
    stack.wait_ready(BACK_SECONDS)
    three = Stack(load())
    try:
        three.up(brokers=3, dagster=False)
        assert set(three.pids()) == {"kafka-1", "kafka-2", "kafka-3", "witness"}
        with pytest.raises(ConfigurationError, match="first started with 3 brokers"):
            three.up(brokers=1, dagster=False)
        servers = {"bootstrap.servers": three.stack_settings()["CARBON_KAFKA_BOOTSTRAP_SERVERS"]}
        admin = AdminClient(servers)
        for made in admin.create_topics([NewTopic("t", 1)]).values():
            made.result(30)
        assert processes.wait_until(lambda: "t" in admin.list_topics(timeout=10).topics, 30)
        partition = admin.list_topics("t", timeout=10).topics["t"].partitions[0]
        assert sorted(partition.replicas) == [1, 2, 3]
        os.kill(three.pids()[f"kafka-{partition.leader}"], signal.SIGKILL)
        errors: list[object] = []
        producer = Producer({**servers, "acks": "all", "message.timeout.ms": 60_000})
        for number in range(10):
            producer.produce("t", str(number), callback=lambda error, _: errors.append(error))
        assert producer.flush(60) == 0
        assert errors == [None] * 10
        three.wait_ready(BACK_SECONDS)
    finally:
        three.down()
    assert members(three.layout.home) == []


def clean_dagster_storage(stack: Stack) -> dict[str, str]:
    """The shared stack's Dagster storage, so that a second stack needs no PostgreSQL."""
    from carbon_ledger.settings import read_env_file

    values = read_env_file(stack.layout.env_file)
    return {name: value for name, value in values.items() if name.startswith("DAGSTER_PG_")}


def test_no_setting_of_an_outer_stack_reaches_these_tests() -> None:
    assert os.environ["CARBON_HOME"] == str(TEST_HOME)
    inherited = set(os.environ) - set(clean_environment())
    assert inherited == {"CARBON_HOME", "CARBON_PORT_OFFSET"}


def test_runs_that_died_with_the_stack_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else Dagster would count one as live, and let no other of its stream start, for minutes."""
    import dagster as dg

    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    statuses = dg.DagsterRunStatus
    with dg.DagsterInstance.get() as instance:
        for run_id, status in (
            ("00000000-0000-0000-0000-000000000001", statuses.STARTED),
            ("00000000-0000-0000-0000-000000000002", statuses.NOT_STARTED),
            ("00000000-0000-0000-0000-000000000003", statuses.SUCCESS),
        ):
            instance.add_run(dg.DagsterRun(job_name="j", run_id=run_id, status=status))
        subprocess.run([sys.executable, "-m", "devstack.stale_runs"], check=True, timeout=60)
        after = {run.run_id[-1]: run.status for run in instance.get_runs()}
    assert after == {"1": statuses.FAILURE, "2": statuses.NOT_STARTED, "3": statuses.SUCCESS}
