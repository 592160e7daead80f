"""What requests share: settings, keys, readers, producers, the clock.

Belongs here: making these once per process, and handing producers out one at a time. Does not: any
route.

A producer is one request's alone while that request uses it. What Kafka did not take is then told
to whom it concerns: shared, one request could be told of another's failure, and the other answer
202 for what was never delivered. There are so many producers and no more: who waits too long for
one is asked to come again, which slows its source and drops nothing.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from fastapi import Request

from api.deliveries import Deliveries
from api.erp_systems import ErpSystems
from api.pact_requests import PactRequests
from api.parts import Parts
from api.problems import Problem
from api.rates import Rates
from api.report_shelf import ReportShelf
from api.request_metrics import RequestMetrics
from carbon_ledger.errors import CarbonError
from carbon_ledger.settings import Settings
from carbon_ledger.store.kept_books import KeptBooks
from carbon_ledger.store.keys import KeyStore
from carbon_ledger.store.readers import ReaderPool
from pipeline.producers import CarbonEventProducer

PRODUCERS: Final = 8
# A caller waits this long for an answer, and is then told to come again.
DELIVERY_SECONDS: Final = 10.0
WAIT_SECONDS: Final = 2.0
CLOSE_SECONDS: Final = 5.0
# Exports at once, and how long one may take.
EXPORTS: Final = 3
EXPORT_SECONDS: Final = 3600
BUFFER_RECORDS: Final = 20_000


def utc_now() -> datetime:
    """Now, aware."""
    return datetime.now(UTC)


class ProducerPool:
    """Producers, made as they are needed, each with one request at a time."""

    def __init__(
        self, settings: Settings, size: int = PRODUCERS, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        self._settings = settings
        self._wait_seconds = wait_seconds
        self._idle: queue.LifoQueue[CarbonEventProducer | None] = queue.LifoQueue()
        for _ in range(size):
            self._idle.put(None)

    @contextmanager
    def one(self) -> Iterator[CarbonEventProducer]:
        """A producer; when the block ends, Kafka has acknowledged everything sent in it.

        Raises Problem 503 `busy` if all are in use, and at the end of the block DeliveryFailed or
        another Unavailable if anything was not acknowledged.
        """
        try:
            producer = self._idle.get(timeout=self._wait_seconds)
        except queue.Empty:
            raise Problem(
                503,
                "busy",
                "as many requests are under way as can be taken",
                headers={"Retry-After": "1"},
            ) from None
        try:
            if producer is None:
                producer = CarbonEventProducer(
                    settings=self._settings,
                    delivery_seconds=DELIVERY_SECONDS,
                    buffer_records=BUFFER_RECORDS,
                )
            try:
                yield producer
                producer.flush()
            except BaseException:
                # What of it is still under way concerns nobody else, and it may be beyond use.
                _close(producer)
                producer = None
                raise
        finally:
            self._idle.put(producer)

    def close(self) -> None:
        """Closes those that are not in use."""
        with suppress(queue.Empty):
            while True:
                producer = self._idle.get_nowait()
                if producer is not None:
                    _close(producer)


def _close(producer: CarbonEventProducer) -> None:
    # The first call tells what failed, and the second finds nothing left to tell.
    for _ in range(2):
        with suppress(CarbonError):
            producer.close(CLOSE_SECONDS)
            return


@dataclass(kw_only=True)
class Services:
    """What a process of the API has."""

    settings: Settings
    keys: KeyStore
    readers: ReaderPool
    exporters: ReaderPool
    producers: ProducerPool
    erp_systems: ErpSystems
    pact_requests: PactRequests
    rates: Rates
    requests: RequestMetrics
    parts: Parts
    deliveries: Deliveries = field(default_factory=Deliveries)
    reports: ReportShelf = field(default_factory=ReportShelf)
    books: KeptBooks = field(default_factory=KeptBooks)
    clock: Callable[[], datetime] = utc_now

    @classmethod
    def of(cls, settings: Settings) -> Services:
        """Those of these settings; nothing connects yet."""
        requests = RequestMetrics()
        keys = KeyStore(settings["CARBON_DATABASE_GATE_URL"])
        return cls(
            settings=settings,
            requests=requests,
            keys=keys,
            parts=Parts(settings, keys),
            readers=ReaderPool(settings["CARBON_DATABASE_READER_URL"]),
            exporters=ReaderPool(
                settings["CARBON_DATABASE_READER_URL"],
                size=EXPORTS,
                statement_seconds=EXPORT_SECONDS,
            ),
            producers=ProducerPool(settings),
            erp_systems=ErpSystems(settings),
            pact_requests=PactRequests(settings),
            rates=Rates.of(settings, requests.refuse),
        )

    def close(self) -> None:
        """Flushes and closes."""
        self.producers.close()
        self.readers.close()
        self.exporters.close()
        self.keys.close()
        self.parts.close()


def services_in(request: Request) -> Services:
    """Those of the app that answers `request`."""
    found: Services = request.app.state.services
    return found


async def services_of(request: Request) -> Services:
    """The same, as a dependency of routes. Dependencies that wait for nothing are `async`: others
    cost a thread each.
    """
    return services_in(request)
