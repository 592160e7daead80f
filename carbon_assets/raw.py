"""The topics, as external assets: the graph begins at the meter.

Belongs here: what is said of a topic without asking it. Does not: its lag, which the planner
reports.
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from carbon_ledger.streams import Stream

OWNERS = ["team:data-platform"]


def raw_asset(stream: Stream) -> dg.AssetSpec:
    """The stream's topic. Its observations carry lag, end offsets and committed offsets."""
    return dg.AssetSpec(
        key=dg.AssetKey(stream.raw_key),
        group_name="raw",
        kinds={"kafka", "avro"},
        owners=OWNERS,
        description=f"{stream.title}: Kafka topic {stream.topic}, Avro record "
        f"{stream.event_schema}. "
        "Written by producers, read by offset; observed by the planner, which says how far "
        "behind the ledger is.",
        metadata={"topic": stream.topic, "event_schema": stream.event_schema},
    )


def raw_assets(streams: Sequence[Stream]) -> list[dg.AssetSpec]:
    """One per stream."""
    return [raw_asset(stream) for stream in streams]
