"""The demo's vehicles and shipments: a provider of ours, and the REST adapter that asks it.

Belongs here: its configuration for this run, its processes, when all has been served. Does
not: serving (cli.demo.provider), the adapter (pipeline.sources.rest).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from carbon_ledger.errors import Unavailable
from carbon_ledger.events import iso_utc
from cli.demo.accounts import CARRIER, VEHICLES, Sent, Source
from cli.demo.provider import TRACKING, TRIPS, Provider, serving
from cli.demo.run import Run
from devstack import processes
from devstack.layout import write_private
from pipeline.sources import demo_feeds

POLL_SECONDS = 3
START_SECONDS = 90.0
STOP_SECONDS = 60.0
CONFIG = """\
kind = "rest"
name = "{name}"
provider = "{provider}"
base_url = "{url}"
subjects_file = "{name}.csv"
every_seconds = {every}
start = "{start}"
state_file = "{name}.state.json"

[auth]
kind = "header"
name = "{header}"
prefix = "{prefix}"
key_file = "provider.key"
"""


@dataclass(frozen=True, kw_only=True)
class Feed:
    """One adapter's work: which provider's shape, under which path it is served."""

    source: Source
    name: str
    provider: str
    path: str
    header: str
    prefix: str
    values: str = ""

    def configuration(self, run: Run, url: str) -> str:
        """The file that `carbon source run` takes."""
        return self.values + CONFIG.format(
            name=self.name,
            provider=self.provider,
            url=url,
            every=POLL_SECONDS,
            start=iso_utc((run.begun - demo_feeds.TRIPS_SINCE).replace(microsecond=0)),
            header=self.header,
            prefix=self.prefix,
        )


FEEDS = (
    Feed(
        source=VEHICLES,
        name="demo-telematics",
        provider="samsara_trips",
        path=TRIPS,
        header="Authorization",
        prefix="Bearer ",
    ),
    Feed(
        source=CARRIER,
        name="demo-carrier",
        provider="dhl_unified_tracking",
        path=TRACKING,
        header="DHL-API-Key",
        prefix="",
        values='values = { payer = "reporter" }\n',
    ),
)


def send(run: Run) -> list[Sent]:
    """Serves trips and shipments as they become known until the adapters have had all of them.

    Raises Unavailable where an adapter ends by itself.
    """
    bad = run.bad_of_others
    provider = Provider(
        run=run,
        trips=demo_feeds.trips(run.begun, run.trips, bad, run.seed),
        shipments=demo_feeds.shipments(run.begun, run.shipments, bad, run.seed),
    )
    with serving(provider), ExitStack() as stack:
        write_private(run.folder / "provider.key", provider.key + "\n")
        lists = {
            TRIPS: demo_feeds.vehicles(),
            TRACKING: demo_feeds.tracking_rows(list(provider.shipments)),
        }
        adapters = []
        for feed in FEEDS:
            (run.folder / f"{feed.name}.csv").write_bytes(demo_feeds.as_csv(lists[feed.path]))
            file = run.folder / f"{feed.name}.toml"
            file.write_text(feed.configuration(run, provider.url), encoding="utf-8")
            adapters.append(stack.enter_context(polling(run, feed, file)))
        late: dict[str, str] = {}
        seconds = START_SECONDS + run.duration + run.patience
        for feed, adapter in zip(FEEDS, adapters, strict=True):
            late[feed.path] = adapter.wait_until_served(provider, seconds)
            seconds = run.patience
    return [
        Sent(source=feed.source, good=good, bad=faulty, problem=late[feed.path] or None)
        for feed in FEEDS
        for good, faulty in [provider.served(feed.path)]
    ]


@dataclass(kw_only=True)
class Adapter:
    """A running `carbon source run`, and what it says of itself."""

    run: Run
    feed: Feed
    process: subprocess.Popen[bytes]
    status_file: Path
    log: Path

    def handled(self) -> int:
        """How many items Kafka has of it, as events or as letters."""
        try:
            counts = json.loads(self.status_file.read_text(encoding="utf-8"))["counts"]
        except (OSError, ValueError):
            return 0
        return int(counts.get("sent", 0)) + int(counts.get("dead_letters", 0))

    def wait_until_served(self, provider: Provider, seconds: float) -> str:
        """What was not served or not handled within `seconds`, in a sentence; empty if nothing."""

        def is_done() -> bool:
            if self.process.poll() is not None:
                raise Unavailable(
                    "demo_adapter_ended",
                    f"the adapter of {self.feed.name} ended by itself. Its last words:\n"
                    f"{processes.tail(self.log)}\nLog: {self.log}",
                )
            # Asked first: what is served between the two questions is then in the count.
            is_all = provider.has_served_the_last(self.feed.path)
            served = sum(provider.served(self.feed.path))
            self.run.progress[self.feed.source.name.lower()] = served
            return is_all and self.handled() >= served

        try:
            self.run.wait_until(is_done, f"{self.feed.name}: not everything was asked for", seconds)
        except Unavailable as error:
            if error.code != "demo_slow":
                raise
            return f"{error.message}; {self.log} says why"
        return ""


@contextmanager
def polling(run: Run, feed: Feed, file: Path) -> Iterator[Adapter]:
    """The adapter as a process of its own until the end of the block; it ends in good order."""
    status_file = run.folder / f"{feed.name}.status.json"
    log = run.layout.logs / f"{feed.name}.log"
    command = [sys.executable, "-m", "cli.main", "source", "run", str(file)]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, "--status-file", str(status_file)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Adapter(run=run, feed=feed, process=process, status_file=status_file, log=log)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
