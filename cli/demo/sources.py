"""All of the demo's sources at once, each in a thread, the first failure ending the others.

Belongs here: starting and gathering them, registering the company, saying how far they are. Does
not: any one of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait

from carbon_ledger.settings import Settings
from carbon_ledger.store.connect import connect_as_writer
from carbon_ledger.store.reference import register_sites
from cli.demo import meters, orders, pollers, suppliers
from cli.demo.accounts import SOURCES, Sent
from cli.demo.run import Run, Stopped
from pipeline.sources import company_reference, demo

# What of the stack the sources send through, beside what every stack has.
EXTRAS = ("api", "sftp", "mqtt", "mqtt-source")
TOLD_SECONDS = 10.0

Work = Callable[[], list[Sent]]


def register_company(settings: Settings) -> None:
    """The company's entities, vehicles and suppliers, and the calendars of its plants."""
    with connect_as_writer(settings, "carbon-demo") as conn:
        company_reference.apply_reference(conn)
        register_sites(conn, [plant.site for plant in demo.plants()])


def send_all(run: Run, report: Callable[[str], None]) -> list[Sent]:
    """What each source counted, in the order of SOURCES, once all have sent.

    Raises what the first source that fails raises, after the others have ended.
    """
    works: list[Work] = [
        lambda: [suppliers.send(run)],
        lambda: [meters.send(run)],
        lambda: pollers.send(run),
        lambda: [orders.send(run)],
    ]
    run.started = time.monotonic()
    with ThreadPoolExecutor(len(works), thread_name_prefix="demo") as pool:
        waiting: set[Future[list[Sent]]] = {pool.submit(work) for work in works}
        everyone = set(waiting)
        try:
            while waiting:
                done, waiting = wait(waiting, TOLD_SECONDS, FIRST_EXCEPTION)
                if any(one.exception() is not None for one in done):
                    break
                report("sent so far: " + _progress(run))
        finally:
            run.stop.set()
    errors = [error for one in everyone if (error := one.exception()) is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, Stopped)):
        raise error
    sent = {one.source.stream: one for future in everyone for one in future.result()}
    return [sent[source.stream] for source in SOURCES]


def _progress(run: Run) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(run.progress.items()))
