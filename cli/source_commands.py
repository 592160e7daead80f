"""`carbon source list | check | run`: sources outside Kafka, and the adapters that read them.

Belongs here: words to whoever typed the command, signals, the status file a supervisor looks at.
Does not: any protocol (pipeline.sources).
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from carbon_ledger.errors import CarbonError
from carbon_ledger.settings import PROJECT_ROOT, load

EXAMPLES = PROJECT_ROOT / "deploy" / "sources"
TOLD_SECONDS = 1.0


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def source() -> None:
    """Sources outside Kafka: meters, carriers, ERP systems, suppliers; see docs/sources.md.

    \b
    carbon source list                          kinds of sources, and the examples
    carbon source check deploy/sources/mqtt.toml
    carbon source run deploy/sources/mqtt.toml
    """


@source.command("list")
@click.argument(
    "folder",
    default=EXAMPLES,
    type=click.Path(file_okay=False, path_type=Path),
)
def list_sources(folder: Path) -> None:
    """Show the kinds of sources, and what the configuration files in FOLDER describe.

    FOLDER is deploy/sources by default. Exit code 1 if a file of it is not sound.
    """
    from pipeline.sources.adapters import KINDS, check_source

    click.echo("Kinds:")
    for name, kind in KINDS.items():
        click.echo(f"  {name:10} {kind.about}")
    click.echo(f"Sources in {folder}:")
    broken = False
    for path in sorted(folder.glob("*.toml")):
        try:
            config, said = check_source(path)
            click.echo(f"  {path.name:28} {config.source:24} {said.splitlines()[0]}")
        except CarbonError as error:
            broken = True
            click.echo(f"  {path.name:28} {error.message}")
    sys.exit(1 if broken else 0)


@source.command()
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
def check(files: tuple[Path, ...]) -> None:
    """Read configuration files and say what each source would do; nothing is connected."""
    from pipeline.sources.adapters import check_source

    for path in files:
        config, said = check_source(path)
        click.echo(f"{config.source}: {said}")


@source.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--once", is_flag=True, help="End when the source has nothing more at hand.")
@click.option(
    "--status-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to say how it is doing, as JSON, for a supervisor.",
)
def run(file: Path, once: bool, status_file: Path | None) -> None:
    """Bring what a source sends into Kafka until SIGTERM or SIGINT ends it in good order.

    \b
    The counts are printed at the end as one line of JSON. Ending it in any way loses nothing: only
    what Kafka has is acknowledged to the source.
    """
    from pipeline.sources.adapters import run_source
    from pipeline.sources.source_config import read_source

    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    # One line per request would drown what an adapter says itself, and may quote what it sends.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    status = StatusFile(status_file)
    config = replace(read_source(file), report=status.told)
    counts = run_source(config, load(), _stop_event(), once=once)
    status.write("stopped", counts, None)
    click.echo(json.dumps({"source": config.source, **counts}))


def _stop_event() -> threading.Event:
    """Set by SIGTERM and SIGINT; a second SIGINT interrupts at once."""
    stop = threading.Event()

    def end(number: int, frame: object) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    return stop


class StatusFile:
    """What a running adapter says of itself, where a supervisor can read it; None is nowhere."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._written = 0.0
        self._problem: str | None = None
        self._lock = threading.Lock()

    def told(self, counts: Mapping[str, int], problem: str | None) -> None:
        """Writes what an adapter reports, at most once a second unless its problem changes."""
        if problem != self._problem or time.monotonic() - self._written >= TOLD_SECONDS:
            self.write("running", counts, problem)

    def write(self, state: str, counts: Mapping[str, int], problem: str | None) -> None:
        """Replaces the file in one rename."""
        if self.path is None:
            return
        said: dict[str, Any] = {
            "pid": os.getpid(),
            "state": state,
            "problem": problem,
            "counts": dict(counts),
        }
        with self._lock:
            part = self.path.with_name(f".{self.path.name}.part")
            part.write_text(json.dumps(said), encoding="utf-8")
            part.replace(self.path)
            self._written, self._problem = time.monotonic(), problem
