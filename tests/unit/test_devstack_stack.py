"""What `carbon up` refuses before it starts anything, and what the command line costs."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from carbon_ledger.errors import Unavailable
from carbon_ledger.settings import Settings, load
from devstack import downloads, stack
from devstack.plan import make_plan
from devstack.stack import Stack, port_is_free

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "home").mkdir()
    return load({"CARBON_HOME": str(tmp_path / "home"), "CARBON_CACHE": str(tmp_path / "cache")})


def nearly_full(path: object) -> Usage:
    return Usage(10**12, 10**12 - 10**8, 10**8)


def test_a_full_disk_is_refused_with_the_way_out(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack.shutil, "disk_usage", nearly_full)
    with pytest.raises(Unavailable, match=r"only 100 MB are free at .* set CARBON_HOME"):
        Stack(settings).check_disk()


def test_a_full_cache_is_refused_before_a_download(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads.shutil, "disk_usage", nearly_full)
    with pytest.raises(Unavailable, match="set CARBON_CACHE"):
        downloads.ensure(settings)


def test_every_taken_port_is_named(settings: Settings) -> None:
    one = Stack(settings)
    plan = make_plan(settings, brokers=1, dagster=False, environ={})
    for service in plan.services:
        service.port = 0  # the two-port services compute theirs; theirs are free or not, as it is
    with socket.socket() as first:
        first.bind(("127.0.0.1", 0))
        first.listen()
        plan.services[0].port = first.getsockname()[1]
        with pytest.raises(Unavailable, match=f"port {first.getsockname()[1]} ") as refusal:
            one.check_ports(plan)
    assert "CARBON_PORT_OFFSET=10000 carbon up" in refusal.value.message


def test_a_port_is_free_until_somebody_listens() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert not port_is_free(port)
    assert port_is_free(port)


def test_a_wildcard_listener_takes_the_port_too() -> None:
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))  # noqa: S104 - the case under test
        listener.listen()
        assert not port_is_free(listener.getsockname()[1])


def test_a_stack_that_never_ran_is_not_running(settings: Settings) -> None:
    one = Stack(settings)
    assert not one.is_running()
    assert one.pids() == {}
    assert one.down() is False
    assert one.status().status == "stopped"


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from cli.main import main\n"
        "sys.argv = ['carbon', '--help']\n"
        "try:\n    main()\n"
        "finally:\n"
        "    heavy = {'dagster', 'pyspark', 'psycopg', 'confluent_kafka', 'grpc', 'devstack'}\n"
        "    print('heavy:', sorted(heavy & set(sys.modules)))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30
    )
    assert "heavy: []" in answer.stdout
    for command in ("up", "down", "status", "reset", "env"):
        assert f"\n  {command} " in answer.stdout


def test_an_unknown_command_is_answered_with_the_known_ones() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "cli.main", "upp"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert answer.returncode == 2
    assert "there is no command 'upp'; there are: " in answer.stderr
