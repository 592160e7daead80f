"""An optional service of the embedded stack, run by a test beside the stack it needs.

Belongs here: starting one and stopping it as the supervisor does, without restarting it when it
dies. Does not: which services there are (devstack.extras).
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from devstack import downloads, processes
from devstack.environment import child_environment
from devstack.extras import Ground
from devstack.service import Service


def ground_of(stack: Any) -> Ground:
    """What a service of this running stack is made from."""
    settings = stack.stack_settings()
    return Ground(
        layout=stack.layout,
        settings=settings,
        jars=downloads.cache_folder(settings),
        environment=child_environment(stack.layout, settings.values, str(settings.cache)),
    )


@dataclass(kw_only=True)
class RunningService:
    """One service and its process; `start` and `stop` may be called in turn."""

    service: Service
    ground: Ground
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and returns once it answers and is settled."""
        self.service.prepare()
        self.process = processes.start(
            self.service.command(),
            environment={**self.ground.environment, **self.service.environment()},
            log=self.ground.layout.logs / f"{self.service.name}.log",
            folder=self.ground.layout.home,
            death_signal=self.service.stop_signal,
            user=self.service.user,
        )
        deadline = time.monotonic() + self.service.start_seconds
        while (fault := self.service.probe()) is not None:
            if self.process.poll() is not None or time.monotonic() > deadline:
                log = self.ground.layout.logs / f"{self.service.name}.log"
                raise AssertionError(f"{self.service.name}: {fault}\n{processes.tail(log)}")
            time.sleep(0.1)
        self.service.settle()

    def stop(self) -> None:
        """Asks it to end and waits; kills it when it does not."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.service.before_stop()
            self.process.send_signal(self.service.stop_signal)
            try:
                self.process.wait(self.service.stop_seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        self.process = None

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)


@contextmanager
def running(service: Service, ground: Ground) -> Iterator[RunningService]:
    """The service, up until the end of the block."""
    one = RunningService(service=service, ground=ground)
    one.start()
    try:
        yield one
    finally:
        one.stop()
