"""A telematics provider and a carrier for the demo: an HTTP server that counts what it has served.

Belongs here: answering in the shapes of samsara_trips and dhl_unified_tracking, keys, the count.
Does not: asking (the REST adapter), what is said (pipeline.sources.demo_feeds).

Something is served when the whole answer it is in was written; asked again, it is served again and
counted once.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cli.demo.run import Run
from pipeline.sources.demo_feeds import Told

TRIPS, TRACKING = "/v1/fleet/trips", "/shipments"


@dataclass(kw_only=True)
class Provider:
    """What it knows, whom it lets in, and what it has served."""

    run: Run
    trips: Mapping[str, list[Told]]
    shipments: Mapping[str, list[Told]]
    key: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    url: str = ""
    _served: dict[str, set[str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, path: str, query: Mapping[str, list[str]], key: str) -> tuple[int, Any, Any]:
        """Status, content, and what is served with it."""
        if not secrets.compare_digest(key, self.key):
            return 401, {"message": "no such key"}, ()
        if path == TRIPS:
            return self._trips(query)
        if path == TRACKING:
            return self._shipment(query)
        return 404, {"message": "there is nothing here"}, ()

    def _trips(self, query: Mapping[str, list[str]]) -> tuple[int, Any, Any]:
        try:
            vehicle = query["vehicleId"][0]
            first, last = int(query["startMs"][0]), int(query["endMs"][0])
        except (KeyError, ValueError):
            return 400, {"message": "vehicleId, startMs and endMs are needed"}, ()
        share = self.run.share()
        told = [
            one
            for one in self.trips.get(vehicle, ())
            if one.share <= share and first <= one.content["endMs"] <= last
        ]
        return 200, {"trips": [one.content for one in told]}, told

    def _shipment(self, query: Mapping[str, list[str]]) -> tuple[int, Any, Any]:
        share = self.run.share()
        number = query.get("trackingNumber", [""])[0]
        known = [one for one in self.shipments.get(number, ()) if one.share <= share]
        if not known:
            return 404, {"title": "No result found", "status": 404}, ()
        return 200, {"url": TRACKING, "shipments": [known[-1].content]}, known[-1:]

    def note_served(self, path: str, told: Iterable[Told]) -> None:
        """The answer they were in has been written."""
        with self._lock:
            self._served.setdefault(path, set()).update(one.key for one in told)

    def served(self, path: str) -> tuple[int, int]:
        """How many sound and how many faulty things were served."""
        known = self.trips if path == TRIPS else self.shipments
        with self._lock:
            keys = self._served.get(path, set())
            found = [one for some in known.values() for one in some if one.key in keys]
        bad = sum(one.is_bad for one in found)
        return len(found) - bad, bad

    def has_served_the_last(self, path: str) -> bool:
        """Whether the latest word on everything was served."""
        known = self.trips if path == TRIPS else self.shipments
        with self._lock:
            keys = self._served.get(path, set())
        if path == TRIPS:
            return all(one.key in keys for some in known.values() for one in some)
        return all(some[-1].key in keys for some in known.values())


@contextmanager
def serving(provider: Provider) -> Iterator[Provider]:
    """The provider on a free port of this machine, until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            given = self.headers.get("DHL-API-Key") or self.headers.get("Authorization") or ""
            status, content, told = provider.answer(
                parts.path, parse_qs(parts.query), given.removeprefix("Bearer ")
            )
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            provider.note_served(parts.path, told)

        def log_message(self, format: str, *arguments: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    provider.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
