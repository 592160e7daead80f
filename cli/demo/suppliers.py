"""The demo's supplier: a file left by SFTP, with its receipt, and some declarations by the API.

Belongs here: the supplier's key and account, uploading, judging the receipt. Does not: reading
the file (Dagster's sensor), what is declared (pipeline.sources.demo_feeds).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import asyncssh
import httpx

from api.client import ApiError, CarbonLedgerClient
from carbon_ledger.errors import Unavailable
from carbon_ledger.store.connect import connect_as_writer
from carbon_ledger.store.keys import create_key
from cli.demo.accounts import PORTAL, Sent
from cli.demo.run import Run
from devstack import sftp
from devstack.layout import Layout
from pipeline.sources import demo_feeds
from pipeline.sources.company_reference import ORGANIZATION, STEEL_SUPPLIER

BY_API = 7
CALL_SECONDS = 30.0
LOOK_SECONDS = 1.0
KEY_LIFE = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Drop:
    """A file that was left: the supplier's key, and how many of its rows are sound and faulty."""

    name: str
    key: asyncssh.SSHKey
    good: int
    bad: int


def send(run: Run) -> Sent:
    """Leaves the file and declares the rest by the API; what was sent is the rows of both.

    The file is `run.drop` then. Raises Unavailable where server or API do not take them.
    """
    total, bad = run.declarations + BY_API, run.bad_of_others
    rows = demo_feeds.declarations(run.name, run.begun, total, bad, run.seed)
    # The API gets the last sound ones and one faulty one.
    in_file = [*rows[: run.declarations], *rows[total:-1]]
    by_api = [*rows[run.declarations : total], rows[-1]]
    drop = Drop(
        name=f"declarations-{run.name}.csv",
        key=asyncssh.generate_private_key("ssh-ed25519", comment=f"demo {run.name}"),
        good=run.declarations,
        bad=bad - 1,
    )
    sftp.add_account(
        sftp.sftp_folder(run.layout.home), STEEL_SUPPLIER, drop.key.export_public_key()
    )
    asyncio.run(_leave(run.layout, drop, demo_feeds.as_csv(in_file)))
    run.drop = drop
    run.progress["declarations"] = len(in_file)
    _declare(run, by_api)
    run.progress["declarations"] += len(by_api)
    return Sent(source=PORTAL, good=total, bad=bad)


def with_receipt(run: Run, sent: Sent, seconds: float) -> Sent:
    """The same, with what is wrong with the file's receipt, which is waited for so long."""
    if run.drop is None:
        return sent
    receipt = asyncio.run(_receipt(run.layout, run.drop, seconds))
    return replace(sent, problem=receipt_problem(receipt, run.drop))


def receipt_problem(receipt: dict[str, Any] | None, drop: Drop) -> str | None:
    """What is wrong with the receipt of a file, in a sentence; None if nothing is."""
    if receipt is None:
        return f"there is no receipt for {drop.name}: nobody has read it"
    said = (receipt["result"], receipt["accepted"], receipt["rejected"])
    if said != ("read", drop.good, drop.bad):
        return (
            f"{drop.name} has {drop.good} sound and {drop.bad} faulty rows; its receipt says {said}"
        )
    return None


@asynccontextmanager
async def _login(layout: Layout, drop: Drop) -> AsyncIterator[Any]:
    """The supplier's session. Raises Unavailable."""
    known_hosts = sftp.sftp_folder(layout.home) / "known_hosts"
    try:
        async with (
            asyncssh.connect(
                "127.0.0.1",
                layout.port("sftp"),
                username=STEEL_SUPPLIER,
                client_keys=[drop.key],
                known_hosts=str(known_hosts),
                config=None,
                agent_path=None,
                connect_timeout=CALL_SECONDS,
            ) as connection,
            connection.start_sftp_client(sftp_version=3) as client,
        ):
            yield client
    except (OSError, asyncssh.Error) as error:
        raise Unavailable("demo_drop", f"the SFTP server cannot be used: {error}") from error


async def _leave(layout: Layout, drop: Drop, content: bytes) -> None:
    """Under a temporary name, then renamed: so it is whole at once."""
    async with _login(layout, drop) as client:
        async with client.open(f"/drops/{drop.name}.part", "wb") as file:
            await file.write(content)
        await client.posix_rename(f"/drops/{drop.name}.part", f"/drops/{drop.name}")


async def _receipt(layout: Layout, drop: Drop, seconds: float) -> dict[str, Any] | None:
    """The file's receipt, or None if there is none in time."""
    deadline = time.monotonic() + seconds
    async with _login(layout, drop) as client:
        while True:
            for found in await client.listdir("/receipts"):
                if found.startswith(drop.name) and found.endswith(".json"):
                    async with client.open(f"/receipts/{found}", "rb") as file:
                        said: dict[str, Any] = json.loads(await file.read())
                    return said
            if time.monotonic() > deadline:
                return None
            await asyncio.sleep(LOOK_SECONDS)


def _declare(run: Run, rows: list[dict[str, str]]) -> None:
    """Submits the rows with a key of this supplier's; the last of them is refused."""
    with connect_as_writer(run.settings, "carbon-demo", autocommit=True) as conn:
        drawn = create_key(
            conn,
            organization_id=ORGANIZATION,
            scopes=("submit:supplier",),
            supplier_ids=(STEEL_SUPPLIER,),
            holder="the demo's supplier",
            created_by="carbon demo",
            expires_at=run.begun + KEY_LIFE,
        )
    url = f"http://127.0.0.1:{run.layout.port('api')}"
    try:
        with CarbonLedgerClient(url, drawn.text) as client:
            answer = client.submit_declarations(rows)
    except (ApiError, httpx.TransportError) as error:
        raise Unavailable("demo_declared", f"the API takes no declarations: {error}") from error
    if (answer["accepted"], answer["refused"]) != (len(rows) - 1, 1):
        raise Unavailable("demo_declared", f"the API answers {answer}")
