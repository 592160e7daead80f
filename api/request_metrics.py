"""What this process of the API was asked, and how long its answers took, for Prometheus.

Belongs here: counting requests and exports. Does not: the ledger's own figures and the text of all
of them (pipeline.metrics), serving it (api.routes.dead_letters).

A route is told by its template, and what is none by `unmatched`: whatever callers ask for, the
number of samples is bounded.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from time import perf_counter
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.metrics import Histogram, HistogramSample, Labels, Metric

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Seconds; an inventory's goal is the fourth.
BOUNDS: Final = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "10", "30")
_SECONDS: Final = tuple(map(float, BOUNDS))


class RequestMetrics:
    """Counts of one process, from 0 when it starts. For several threads."""

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._answered: Counter[tuple[str, str, str]] = Counter()
        # By method and route: answers by the first bound they are within, and their seconds.
        self._within: dict[tuple[str, str], list[int]] = {}
        self._seconds: Counter[tuple[str, str]] = Counter()
        self._under_way = 0
        self._refused = 0
        self._exports: Counter[tuple[str, str]] = Counter()
        self._export_bytes: Counter[str] = Counter()
        self._exports_under_way = 0

    def begin(self) -> float:
        """A request has come; when, for `end`."""
        with self._lock:
            self._under_way += 1
        return self._clock()

    def end(self, begun: float, method: str, route: str, status: int) -> None:
        """It is answered whole, or was broken off."""
        seconds = self._clock() - begun
        place = (method if method in METHODS else "other", route)
        with self._lock:
            self._under_way -= 1
            self._answered[*place, str(status)] += 1
            within = self._within.setdefault(place, [0] * (len(BOUNDS) + 1))
            within[bisect_left(_SECONDS, seconds)] += 1
            self._seconds[place] += seconds  # type: ignore[assignment]

    def refuse(self) -> None:
        """A key made one request too many."""
        with self._lock:
            self._refused += 1

    def export(self, form: str, pieces: Iterator[bytes]) -> Generator[bytes, None, None]:
        """The pieces, counted; an export that does not come to its end is told as `broken_off`."""
        outcome = "broken_off"
        with self._lock:
            self._exports_under_way += 1
        try:
            for piece in pieces:
                with self._lock:
                    self._export_bytes[form] += len(piece)
                yield piece
            outcome = "whole"
        finally:
            with self._lock:
                self._exports_under_way -= 1
                self._exports[form, outcome] += 1

    def metrics(self) -> list[Metric | Histogram]:
        """All of it, as of now."""
        with self._lock:
            return [*self._of_requests(), *self._of_exports()]

    def _of_requests(self) -> list[Metric | Histogram]:
        return [
            Metric(
                name="carbon_api_requests_total",
                kind="counter",
                meaning="Requests answered by this process, by route and status.",
                samples=[
                    ((("method", method), ("route", route), ("status", status)), number)
                    for (method, route, status), number in sorted(self._answered.items())
                ],
            ),
            Histogram(
                name="carbon_api_request_duration_seconds",
                meaning="From a request's first byte to its answer's last, in this process.",
                bounds=BOUNDS,
                samples=[
                    HistogramSample(
                        labels=(("method", method), ("route", route)),
                        within=tuple(within),
                        total=self._seconds[method, route],
                    )
                    for (method, route), within in sorted(self._within.items())
                ],
            ),
            Metric(
                name="carbon_api_requests_under_way",
                kind="gauge",
                meaning="Requests that this process has not answered yet, this one among them.",
                samples=[((), self._under_way)],
            ),
            Metric(
                name="carbon_api_rate_refusals_total",
                kind="counter",
                meaning="Requests that were one too many of their key's.",
                samples=[((), self._refused)],
            ),
        ]

    def _of_exports(self) -> list[Metric | Histogram]:
        def of(form: str, outcome: str | None = None) -> Labels:
            return (("format", form), *(() if outcome is None else (("outcome", outcome),)))

        return [
            Metric(
                name="carbon_api_exports_total",
                kind="counter",
                meaning="Exports that are over: sent whole, or broken off.",
                samples=[(of(*key), number) for key, number in sorted(self._exports.items())],
            ),
            Metric(
                name="carbon_api_export_bytes_total",
                kind="counter",
                meaning="Bytes of exports.",
                samples=[(of(form), size) for form, size in sorted(self._export_bytes.items())],
            ),
            Metric(
                name="carbon_api_exports_under_way",
                kind="gauge",
                meaning="Exports that are being sent.",
                samples=[((), self._exports_under_way)],
            ),
        ]


class CountedRequests:
    """Counts each request once it is answered, HEAD as the GET that it is handed on as."""

    def __init__(self, app: ASGIApp, counts: RequestMetrics) -> None:
        self._app, self._counts = app, counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Whatever is raised from here on is answered 500.
        status = 500

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        begun = self._counts.begin()
        try:
            await self._app(scope, receive, told)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            self._counts.end(begun, scope["method"], route, status)
