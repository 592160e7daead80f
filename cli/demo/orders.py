"""The demo's ERP system: it posts its purchase orders to the API, each signed.

Belongs here: making the system known to the API, sending, counting what was answered 202. Does not:
what an order says (pipeline.sources.demo_feeds), taking it (api.routes.erp).
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import httpx
import yaml

from api.client import ApiError, CarbonLedgerClient
from carbon_ledger.errors import ConfigurationError, Unavailable
from cli.demo.accounts import ERP, ERP_SYSTEM, Sent
from cli.demo.run import Run
from devstack.api import erp_systems_file
from devstack.layout import write_private
from pipeline.sources import demo_feeds


def register_system(home: Path, given: str | None) -> bytes:
    """Writes the ERP system down where the stack's own API looks for it; its secret.

    Raises ConfigurationError `demo_erp_systems` where the API was told of another file: that one is
    somebody's own, and nothing is written into it.
    """
    file = erp_systems_file(home)
    if given is not None and Path(given) != file:
        raise ConfigurationError(
            "demo_erp_systems",
            f"CARBON_ERP_SYSTEMS_FILE is {given}; the demo only writes into {file}: unset it, and "
            "start the stack anew (`carbon down`)",
        )
    secret_file = file.with_name(f"{ERP_SYSTEM}.key")
    if not secret_file.exists():
        write_private(secret_file, secrets.token_urlsafe(32) + "\n")
    content: Any = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else None
    systems = dict((content or {}).get("systems") or {})
    wanted = {**demo_feeds.erp_system(), "secret_files": [secret_file.name]}
    if systems.get(ERP_SYSTEM) != wanted:
        text = yaml.safe_dump({"systems": {**systems, ERP_SYSTEM: wanted}}, sort_keys=False)
        write_private(file, text)
    return secret_file.read_bytes().strip()


def send(run: Run) -> Sent:
    """Posts the run's orders at an even pace; counts the lines of those that were answered 202.

    Raises Unavailable where the API answers otherwise.
    """
    secret = register_system(run.layout.home, run.settings.get("CARBON_ERP_SYSTEMS_FILE"))
    good = bad = refused = 0
    total = run.orders + run.bad_of_others
    url = f"http://127.0.0.1:{run.layout.port('api')}"
    with CarbonLedgerClient(url) as client:
        for number, order in enumerate(
            demo_feeds.orders(run.begun, run.orders, run.bad_of_others, run.seed)
        ):
            run.wait_for_share(number / total)
            try:
                answer = client.send_erp_document(ERP_SYSTEM, order.document, secret=secret)
            except (ApiError, httpx.TransportError) as error:
                raise Unavailable("demo_order", f"an order was not taken: {error}") from error
            good, bad = good + order.good, bad + order.bad
            refused += len(answer["refused"])
            run.progress["order lines"] = good + bad
    problem = None
    if refused != bad:
        problem = f"{bad} faulty lines were sent, the answers refuse {refused}"
    return Sent(source=ERP, good=good, bad=bad, problem=problem)
