"""The streams there are: one row each, from which topics, assets, sensors and jobs are built.

Belongs here: what a stream is called, where its records come from, how patient its planner is. Does
not: the shape of its events (schemas/), what happens to them, anything that connects.
"""

from __future__ import annotations

from dataclasses import dataclass

from carbon_ledger.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One stream of activity events. Its name is that of its view in the ledger and of its
    assets."""

    name: str
    topic: str
    event_schema: str
    title: str
    # A claim is made when this long has passed since the last one, or when `records_early` are
    # waiting.
    max_wait_seconds: int = 5
    records_early: int = 20_000
    # The most one batch takes: a batch is to be done within seconds, so that a retry costs no more.
    records_max: int = 500_000

    @property
    def raw_key(self) -> tuple[str, str]:
        """Asset key of the topic."""
        return ("raw", self.name)

    @property
    def tick_seconds(self) -> int:
        """How often its planner looks: a stream that waits long need not be looked at often."""
        return max(3, min(self.max_wait_seconds // 3, 14))

    @property
    def ledger_key(self) -> tuple[str, str]:
        """Asset key of the entries."""
        return ("ledger", self.name)


STREAMS: tuple[Stream, ...] = (
    Stream(
        name="iot_energy",
        topic="raw.iot.energy",
        event_schema="IoTEnergyEvent",
        title="Meter readings",
    ),
    Stream(
        name="transport",
        topic="raw.transport",
        event_schema="VehicleTelemetryEvent",
        title="Vehicle trips",
        max_wait_seconds=10,
        records_early=10_000,
        records_max=200_000,
    ),
    Stream(
        name="logistics",
        topic="raw.logistics",
        event_schema="ShipmentEvent",
        title="Shipment legs",
        max_wait_seconds=10,
        records_early=5_000,
        records_max=100_000,
    ),
    Stream(
        name="procurement",
        topic="raw.procurement",
        event_schema="PurchaseOrderEvent",
        title="Purchasing documents",
        max_wait_seconds=15,
        records_early=5_000,
        records_max=100_000,
    ),
    # Declarations come a month at a time: the slow end, unless a whole file arrives.
    Stream(
        name="supplier",
        topic="raw.supplier",
        event_schema="SupplierDeclarationEvent",
        title="Supplier declarations",
        max_wait_seconds=30,
        records_early=500,
        records_max=50_000,
    ),
    # What people submit, and other people approve: whole files, a few times a month.
    Stream(
        name="activities",
        topic="raw.activities",
        event_schema="RegisteredActivityEvent",
        title="Registered activities",
        max_wait_seconds=30,
        records_early=500,
        records_max=50_000,
    ),
)


def find(name: str) -> Stream:
    """The stream called `name`; ConfigurationError `stream_unknown` with the known ones."""
    for stream in STREAMS:
        if stream.name == name:
            return stream
    known = ", ".join(stream.name for stream in STREAMS)
    raise ConfigurationError("stream_unknown", f"no stream is called {name!r}; known are: {known}")
