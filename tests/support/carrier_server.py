"""A carrier's HTTP server for tests, on this machine: real sockets, scripted answers.

`routes` answers by path; what is put into `script` comes first, in its order, whatever the path.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request that arrived."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer: JSON unless it is bytes; `cut` promises more bytes than come, `drip` is the
    pause in seconds before each byte.
    """

    content: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int = 0
    drip: float = 0.0


Route = Callable[[Asked], Reply]


@dataclass(kw_only=True)
class Carrier:
    """The server: what it was asked, and what it answers."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    script: deque[Reply] = field(default_factory=deque)
    routes: dict[str, Route] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, asked: Asked) -> Reply:
        """The next scripted answer that is not for the token's path, else the route's."""
        with self.lock:
            self.asked.append(asked)
            route = self.routes.get(asked.path)
            if self.script and asked.path != "/oauth/token":
                return self.script.popleft()
        return (
            Reply(status=404, content={"title": "nothing there"}) if route is None else route(asked)
        )

    def paths(self) -> list[str]:
        """The paths that were asked for, in order."""
        return [one.path for one in self.asked]


@contextmanager
def carrier() -> Iterator[Carrier]:
    """A running carrier on a free port of this machine."""
    state = Carrier()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            reply = state.answer(
                Asked(
                    method=self.command,
                    path=parts.path,
                    params=dict(parse_qsl(parts.query)),
                    headers=dict(self.headers),
                    body=self.rfile.read(length),
                )
            )
            given = reply.content
            body = given if isinstance(given, bytes) else json.dumps(given).encode()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) + reply.cut))
            if reply.cut:
                self.send_header("Connection", "close")
                self.close_connection = True
            self.end_headers()
            with suppress(ConnectionError):  # the client may have had enough
                if not reply.drip:
                    self.wfile.write(body)
                for at in range(len(body) if reply.drip else 0):
                    time.sleep(reply.drip)
                    self.wfile.write(body[at : at + 1])
                    self.wfile.flush()

        def log_message(self, format: str, *arguments: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
