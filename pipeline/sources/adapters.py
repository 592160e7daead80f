"""Source adapters: which kinds there are, and running one.

Belongs here: the table of kinds, and what every adapter may rely on. Does not: any protocol (each
kind's module, imported only when one of its kind is used), configuration files
(pipeline.sources.source_config), signals and words to a person (cli.source_commands).

An adapter of kind K is a module with two functions:

    check(config: SourceConfig) -> str
        Reads the whole configuration, connects to nothing, and returns in a line or two what it
        would do. Raises ConfigurationError.
    run(config: SourceConfig, settings: Settings, stop: threading.Event, once: bool)
            -> Mapping[str, int]
        Works until `stop` is set, or with `once` until the source has nothing more at hand; then
        ends in good order and returns its counts. It acknowledges to its source only what Kafka has
        acknowledged (`CarbonEventProducer.flush`), so that ending it in any way loses nothing.
        It tells `config.report` now and then how it is doing; every wait looks at `stop`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final, Protocol, cast

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.settings import Settings
from pipeline.sources.source_config import SourceConfig, read_source


class Adapter(Protocol):
    """What the module of a kind has."""

    def check(self, config: SourceConfig) -> str: ...

    def run(
        self, config: SourceConfig, settings: Settings, stop: threading.Event, once: bool
    ) -> Mapping[str, int]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of source: the module that speaks its protocol, and one line about it."""

    module: str
    about: str


KINDS: Final[dict[str, Kind]] = {
    "mqtt": Kind(
        module="pipeline.sources.mqtt",
        about="Sensors and smart meters: MQTT 3.1.1 and 5, JSON and Sparkplug B.",
    ),
    "rest": Kind(
        module="pipeline.sources.rest",
        about="Carriers and vehicle telematics, asked over REST.",
    ),
    "cdc": Kind(
        module="pipeline.sources.cdc",
        about="An ERP's changes, as Kafka Connect captured them.",
    ),
}


def adapter_of(config: SourceConfig) -> Adapter:
    """The module of the configuration's kind; ConfigurationError `unknown_source_kind`."""
    kind = KINDS.get(config.kind)
    if kind is None:
        raise ConfigurationError(
            "unknown_source_kind",
            f"{config.path}: kind is {config.kind!r}; known are: {', '.join(KINDS)}",
        )
    return cast(Adapter, import_module(kind.module))


def check_source(path: Path) -> tuple[SourceConfig, str]:
    """The configuration, judged whole, and what it would do; raises ConfigurationError."""
    config = read_source(path)
    said = adapter_of(config).check(config)
    config.table.finish()
    return config, said


def run_source(
    config: SourceConfig, settings: Settings, stop: threading.Event, *, once: bool
) -> Mapping[str, int]:
    """Runs the source until `stop` is set (or, with `once`, it has no more); returns its counts.

    Raises ConfigurationError before anything connects, and what the adapter raises.
    """
    adapter = adapter_of(config)
    adapter.check(config)
    config.table.finish()
    config.report({}, None)
    return adapter.run(config, settings, stop, once)
