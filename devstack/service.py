"""What the supervisor needs to know of a service, whichever it is.

Belongs here: the shape of a service, parts that are somebody else's, plain probes. Does not: any
protocol.
"""

from __future__ import annotations

import json
import signal
import socket
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

PROBE_SECONDS = 3.0


class Service(ABC):
    """One process of the stack.

    `prepare` may take long and runs before each start; `probe` is one cheap question in the
    service's own protocol, answered within a few seconds; `settle` runs after each start once the
    probe succeeds, and the service counts as ready only when it returns.
    """

    name: str
    port: int | None = None
    needs: tuple[str, ...] = ()
    waits_for_initialised: bool = False
    user: str | None = None
    is_parent_of_work: bool = False  # what it started may outlive its own sudden death
    stop_signal: int = signal.SIGTERM
    stop_seconds: float = 15
    start_seconds: float = 240  # far above any honest start, a busy machine's included

    @property
    def ports(self) -> tuple[int, ...]:
        """Every port it listens on."""
        return () if self.port is None else (self.port,)

    @abstractmethod
    def prepare(self) -> None:
        """Make folders and configuration, format storage: whatever the command needs."""

    @abstractmethod
    def command(self) -> list[str]:
        """Program and arguments."""

    def environment(self) -> dict[str, str]:
        """Variables in addition to the stack's own."""
        return {}

    @abstractmethod
    def probe(self) -> str | None:
        """None if it answers by its own protocol now, else what is wrong in a few words."""

    def before_stop(self) -> None:  # noqa: B027 - most services have nothing to do here
        """What has to be ended in good order before the process itself is told to stop."""

    def settle(self) -> None:  # noqa: B027 - most services have nothing to do here
        """What is still to do once it answers; raises CarbonError if that fails."""


@dataclass(frozen=True, kw_only=True)
class External:
    """A part that somebody else runs: only asked, never started."""

    name: str
    probe: Callable[[], str | None]
    port: int | None = None


def probe_tcp(host: str, port: int) -> str | None:
    """None if something accepts connections at host and port."""
    try:
        with socket.create_connection((host, port), timeout=PROBE_SECONDS):
            return None
    except OSError as error:
        return f"{host}:{port} does not accept a connection ({error})"


def get_json(url: str, headers: dict[str, str] | None = None) -> tuple[object, str | None]:
    """The JSON at an http(s) URL and None, or None and what is wrong."""
    request = urllib.request.Request(url, headers=headers or {})  # noqa: S310 - our own addresses
    try:
        with urllib.request.urlopen(request, timeout=PROBE_SECONDS) as response:  # noqa: S310
            return json.load(response), None
    except urllib.error.HTTPError as error:
        return None, f"{url} answers {error.code}"
    except (OSError, ValueError) as error:
        return None, f"{url} does not answer ({getattr(error, 'reason', error)})"
