"""A PostgreSQL of a test's own, with its data folder at hand: started, stopped, killed at will.

Belongs here: the server and a port for it. Does not: databases in a running server
(tests.support.postgres).
"""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from devstack.postgres import Postgres
from devstack.processes import LAUNCH, wait_until


def free_offset() -> int:
    """An offset at which PostgreSQL's port is free now."""
    with socket.socket() as probe:
        # Another session may be looking for one at this moment.
        for offset in random.sample(range(20_000, 21_000), 1_000):
            try:
                probe.bind(("127.0.0.1", 5433 + offset))
            except OSError:
                continue
            return offset
    raise RuntimeError("no free port")


@contextmanager
def running(server: Postgres) -> Iterator[subprocess.Popen[bytes]]:
    """PostgreSQL as the supervisor runs it; told at the end to stop fast, and waited for."""
    server.prepare()
    log = server.layout.logs
    log.mkdir(parents=True, exist_ok=True)
    launcher = [sys.executable, "-I", "-S", str(LAUNCH), str(int(signal.SIGKILL))]
    with (log / "postgres.log").open("ab") as output:
        process = subprocess.Popen(
            [*launcher, server.user or "-", *server.command()], stdout=output, stderr=output
        )
    try:
        assert wait_until(lambda: server.probe() is None, 60)
        server.settle()
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
