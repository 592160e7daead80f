"""What the composed stack's `prepare` does to services that somebody else runs."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.settings import PROJECT_ROOT, load
from carbon_ledger.store.connect import connect_as_reader
from scripts import prepare_services
from tests.support.dagster_client import wait_for

pytestmark = pytest.mark.stack


def test_it_makes_what_is_missing_and_leaves_what_is_there(stack: Any, tmp_path: Path) -> None:
    for role, password in stack.layout.passwords().items():
        (tmp_path / role).write_text(password + "\n", encoding="utf-8")
    port = str(stack.layout.port("postgres"))
    arguments = ["--host", "127.0.0.1", "--port", port, "--secrets", str(tmp_path)]
    assert prepare_services.main(arguments) == 0
    with connect_as_reader(load(), "tests", autocommit=True) as conn:
        assert conn.execute("select 1 from ledger.entry limit 0").fetchall() == []


def test_a_missing_secret_is_named(tmp_path: Path) -> None:
    (tmp_path / "postgres").write_text("x", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="carbon_migrator cannot be read"):
        prepare_services.passwords_in(tmp_path)


def test_an_sftp_server_that_is_alone_makes_its_keys_and_the_poller_finds_it_by_name(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    folder = tmp_path / "sftp"
    command = [sys.executable, "-m", "devstack.sftp_process", str(folder), str(port)]
    server = subprocess.Popen([*command, "127.0.0.1", "localhost"], cwd=PROJECT_ROOT)

    async def names() -> list[str]:
        async with (
            asyncssh.connect(
                "localhost",
                port,
                username="poller",
                client_keys=[str(folder / "poller_key")],
                known_hosts=str(folder / "known_hosts"),
            ) as login,
            login.start_sftp_client() as client,
        ):
            return sorted(map(str, await client.listdir("/")))

    def found() -> list[str]:
        try:
            return asyncio.run(names())
        except (OSError, asyncssh.Error):
            return []

    try:
        assert wait_for("the poller's login", found, 60) == [".", ".."]
    finally:
        server.terminate()
        server.wait(30)
