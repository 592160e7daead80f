"""The `cdc` kind of source: a topic of captured changes, turned into purchase order events.

Belongs here: its configuration, and what it needs while it runs. Does not: the work (cdc_bridge).

    kind = "cdc"
    topic = "cdc.erp.purchasing"     # where the connector writes, one partition
    mapping = "erp_example"          # a name in deploy/connect/mappings, or the path of a file
    group = "carbon-cdc-erp"         # consumer group; by default carbon-cdc-NAME
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Final

from carbon_ledger.errors import ConfigurationError, Unavailable
from carbon_ledger.settings import Settings
from carbon_ledger.store.captured import lost_is_unavailable
from carbon_ledger.store.connect import connect
from pipeline.producers import CarbonEventProducer
from pipeline.sources.cdc_bridge import Bridge, BridgeConfig
from pipeline.sources.cdc_mapping import HEADER, LINE, find_mapping, read_mapping
from pipeline.sources.source_config import SourceConfig

DELIVERY_SECONDS: Final = 60.0
AGAIN_SECONDS_FIRST: Final = 1.0
AGAIN_SECONDS_MAX: Final = 30.0


def check(config: SourceConfig) -> str:
    """What it would do; ConfigurationError if the configuration or its mapping is not sound."""
    found = bridge_config(config)
    tables = found.mapping.tables
    return (
        f"changes of {tables[HEADER].name} and {tables[LINE].name} in {found.topic}, read as group "
        f"{found.group}, become purchase order events"
    )


def bridge_config(config: SourceConfig) -> BridgeConfig:
    """The configuration in its values."""
    table = config.table
    given = table.text("mapping", valid="a name in deploy/connect/mappings, or a path")
    beside = table.folder / given
    try:
        path = beside if beside.is_file() else find_mapping(given)
        mapping = read_mapping(path)
    except ConfigurationError as error:
        raise table.wrong(
            "mapping", f"is {given!r}: {error.message}", "see docs/sources.md"
        ) from error
    return BridgeConfig(
        source=config.source,
        topic=table.text("topic", valid="the topic the connector writes to"),
        group=table.text("group", f"carbon-cdc-{config.name}"),
        mapping=mapping,
    )


def run(
    config: SourceConfig, settings: Settings, stop: threading.Event, once: bool
) -> Mapping[str, int]:
    """Bridges until `stop`; what is away for a while is waited for, with `once` it is an error."""
    found = bridge_config(config)
    counts: dict[str, int] = {}
    pause = AGAIN_SECONDS_FIRST
    while True:
        begun = time.monotonic()
        try:
            return _added(counts, _run_once(found, settings, stop, once, config))
        except Unavailable as error:
            if once:
                raise
            config.report(counts, error.message)
            if time.monotonic() - begun > AGAIN_SECONDS_MAX:
                pause = AGAIN_SECONDS_FIRST
            if stop.wait(pause):
                return counts
            pause = min(2 * pause, AGAIN_SECONDS_MAX)


def _run_once(
    found: BridgeConfig,
    settings: Settings,
    stop: threading.Event,
    once: bool,
    config: SourceConfig,
) -> dict[str, int]:
    with (
        lost_is_unavailable(),
        closing(connect(settings["CARBON_DATABASE_WRITER_URL"], f"carbon {found.source}")) as conn,
        CarbonEventProducer(settings=settings, delivery_seconds=DELIVERY_SECONDS) as producer,
    ):
        return Bridge(found, settings, conn, producer).run(stop, once, config.report)


def _added(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    return {name: before.get(name, 0) + value for name, value in now.items()}
