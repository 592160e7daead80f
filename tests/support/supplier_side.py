"""Suppliers who leave files on a real SFTP server, and what must have come of them.

Belongs here: the server in a folder of its own, uploads that are cut and resumed, drops whose rows
are known. Does not: working them off.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncssh
import fastavro

from carbon_ledger.settings import PROJECT_ROOT, load, read_env_file
from carbon_ledger.store.connect import connect
from devstack import sftp
from pipeline.drops.arrivals import looks_cut
from pipeline.drops.server import ServerPlace
from pipeline.serialization import schema_text
from scripts import build_drop_templates as templates
from tests.support.hostile_files import HostileFile, workbook

START_SECONDS = 30.0
KIND = "allocated_total"
COLUMNS = templates.columns_of(KIND)


@dataclass(kw_only=True)
class Suppliers:
    """A running server, and its suppliers' keys."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    keys: dict[str, asyncssh.SSHKey] = field(default_factory=dict)

    @property
    def place(self) -> ServerPlace:
        """How the poller finds it."""
        return ServerPlace(
            host="127.0.0.1",
            port=self.port,
            user=sftp.POLLER,
            root=b"/",
            key_file=self.folder / "poller_key",
            known_hosts=self.folder / "known_hosts",
        )

    @property
    def settings(self) -> dict[str, str]:
        """The same as settings."""
        return {
            "CARBON_SFTP_URL": f"sftp://{sftp.POLLER}@127.0.0.1:{self.port}/",
            "CARBON_SFTP_KEY_FILE": str(self.place.key_file),
            "CARBON_SFTP_KNOWN_HOSTS": str(self.place.known_hosts),
        }

    def join(self, supplier_id: str) -> None:
        """Gives the supplier an account, with a key made here."""
        self.keys[supplier_id] = asyncssh.generate_private_key("ssh-ed25519")
        sftp.add_account(self.folder, supplier_id, self.keys[supplier_id].export_public_key())

    def inside(self, supplier_id: str, folder: str = "drops") -> Path:
        """One of the supplier's folders, as the server's disk has it."""
        return self.folder / "suppliers" / supplier_id / folder

    def receipts(self, supplier_id: str) -> list[dict[str, Any]]:
        """What the supplier's receipts say, in the order of their names."""
        found = sorted(self.inside(supplier_id, "receipts").glob("*.json"))
        return [json.loads(path.read_text(encoding="ascii")) for path in found]

    @contextmanager
    def login(self, supplier_id: str) -> Iterator[Upload]:
        """The supplier, logged in."""
        with asyncio.Runner() as runner:
            upload = Upload(runner=runner, suppliers=self, supplier_id=supplier_id)
            runner.run(upload.connect())
            yield upload
            runner.run(upload.close())


@dataclass(kw_only=True)
class Upload:
    """One login of a supplier."""

    runner: asyncio.Runner
    suppliers: Suppliers
    supplier_id: str
    connection: Any = None
    client: Any = None

    async def connect(self) -> None:
        self.connection = await asyncssh.connect(
            "127.0.0.1",
            self.suppliers.port,
            username=self.supplier_id,
            client_keys=[self.suppliers.keys[self.supplier_id]],
            known_hosts=str(self.suppliers.folder / "known_hosts"),
            config=None,
            agent_path=None,
        )
        self.client = await self.connection.start_sftp_client(sftp_version=3)

    async def close(self) -> None:
        self.connection.close()
        await self.connection.wait_closed()

    def put(self, name: str, content: bytes) -> None:
        """A whole file under its own name."""
        self.runner.run(self._write(name, content, 0))

    def put_and_rename(self, name: str, content: bytes) -> None:
        """A whole file under a temporary name, then renamed."""
        self.runner.run(self._write(f"{name}.part", content, 0))
        self.runner.run(self.client.posix_rename(f"/drops/{name}.part", f"/drops/{name}"))

    def put_and_be_cut(self, name: str, content: bytes) -> None:
        """The connection breaks in the middle of the file, while it is open."""
        self.runner.run(self._write(name, content, 0, is_cut=True))
        self.runner.run(self.connect())

    def resume(self, name: str, content: bytes) -> None:
        """The rest of a file whose first half is there."""
        self.runner.run(self._resume(name, content))

    def open_for_writing(self, path: str) -> None:
        """A file anywhere, made or emptied if the server lets one."""
        self.runner.run(self._open_for_writing(path))

    async def _open_for_writing(self, path: str) -> None:
        async with self.client.open(path, "wb"):
            pass

    async def _write(self, name: str, content: bytes, start: int, is_cut: bool = False) -> None:
        file = await self.client.open(f"/drops/{name}", "ab" if start else "wb", encoding=None)
        await file.write(content[start : half(content)] if is_cut else content[start:])
        if is_cut:
            self.connection.abort()
            await self.connection.wait_closed()
        else:
            await file.close()

    async def _resume(self, name: str, content: bytes) -> None:
        there = (await self.client.stat(f"/drops/{name}")).size
        assert content[:there] == content[: half(content)]
        await self._write(name, content, there)


def half(content: bytes) -> int:
    """Where an upload of it is cut: in the middle, and not at the end of a line."""
    at = len(content) // 2
    while content[at - 1 : at] in (b"\n", b"\r"):
        at += 1
    return at


@contextmanager
def sftp_server(folder: Path) -> Iterator[Suppliers]:
    """The stack's own SFTP server in its process, on a free port, without accounts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.mkdir(parents=True)
    sftp.prepare(folder, port)
    process = subprocess.Popen(
        [sys.executable, "-m", "devstack.sftp_process", str(folder), str(port)], cwd=PROJECT_ROOT
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while sftp.shown_host_key(port) is None:
            assert time.monotonic() < deadline, "the SFTP server does not answer"
            time.sleep(0.1)
        yield Suppliers(folder=folder, port=port, process=process)
    finally:
        process.terminate()
        process.wait(10)


# ---- drops whose rows are known


@dataclass(frozen=True, kw_only=True)
class Drop:
    """A file, the events it must become, and the lines that must be rejected."""

    supplier_id: str
    name: str
    content: bytes
    event_ids: tuple[str, ...]
    rejected: tuple[int, ...]


def make_drop(supplier_id: str, number: int, *, rows: int = 4, bad: int = 0) -> Drop:
    """Drop `number` of a supplier: CSV, XLSX and JSON in turn; its last `bad` rows are rejected."""
    ending = ("csv", "xlsx", "json")[number % 3]
    table = []
    for row in range(rows):
        cells = {
            **templates.KINDS[KIND],
            "declaration_id": f"D-{number:04d}-{row}",
            "scope1_kgco2e": f"{1000 + number}.{row}5" if row < rows - bad else "1,5",
        }
        table.append([cells.get(name, "") for name in COLUMNS])
    good = range(rows - bad)
    # The JSON is one row on each line, below its bracket, as a CSV's are below its header.
    return Drop(
        supplier_id=supplier_id,
        name=f"2025-{number:04d}.{ending}",
        content=_content(ending, table),
        event_ids=tuple(f"supplier:{supplier_id}@D-{number:04d}-{row}#0" for row in good),
        rejected=tuple(range(2 + rows - bad, 2 + rows)),
    )


def _content(ending: str, table: Sequence[Sequence[str]]) -> bytes:
    if ending == "xlsx":
        return workbook([COLUMNS, *table])
    if ending == "json":
        rows = [json.dumps(dict(zip(COLUMNS, one, strict=True))) for one in table]
        return ("[\n" + ",\n".join(rows) + "\n]\n").encode()
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([COLUMNS, *table])
    return out.getvalue().encode()


def events_in(values: Sequence[bytes]) -> dict[str, list[bytes]]:
    """Event id to the bytes of its declarations in raw.supplier."""
    schema = fastavro.parse_schema(json.loads(schema_text("supplier")))
    found: dict[str, list[bytes]] = {}
    for value in values:
        fields: Any = fastavro.schemaless_reader(io.BytesIO(value[5:]), schema, None)
        event_id = f"supplier:{fields['supplier_id']}@{fields['declaration_id']}"
        found.setdefault(f"{event_id}#{fields['revision']}", []).append(value)
    return found


def tree(*folders: Path) -> dict[str, str]:
    """Every file and link below the folders, with the hash of its bytes or where it leads."""
    found = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_symlink():
                found[str(path)] = f"-> {path.readlink()}"
            elif path.is_file():
                with path.open("rb") as file:
                    found[str(path)] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


# ---- what must have come of them


def expected_codes(hostile: Sequence[HostileFile], folder: Path) -> dict[str, str]:
    """By name, the code each is refused by; what looks cut is refused for that, later."""
    codes = {"link.csv": "symbolic_link"}
    for one in hostile:
        path = folder / "looked-at"
        path.write_bytes(one.content)
        codes[one.name] = "file_cut" if looks_cut(path, one.name) else one.code
        path.unlink()
    return codes


def check_receipts(
    suppliers: Suppliers,
    name: str,
    drops: Sequence[Drop],
    doubled: Sequence[Drop],
    codes: Mapping[str, str],
) -> None:
    """Every file of the supplier has one receipt, and it says what must be said."""
    receipts = {one["file"]: one for one in suppliers.receipts(name)}
    texts = list(suppliers.inside(name, "receipts").glob("*.txt"))
    assert len(texts) == len(receipts) == len(drops) + len(doubled) + len(codes)
    for drop in drops:
        said = receipts[drop.name]
        assert (said["result"], said["accepted"]) == ("read", len(drop.event_ids)), drop.name
        told = [(one["line"], one["column"], one["value"]) for one in said["rejections"]]
        assert told == [(line, "scope1_kgco2e", "1,5") for line in drop.rejected]
    for drop in doubled:
        said = receipts[f"again-{drop.name}"]
        assert (said["result"], said["same_as"]) == ("duplicate", drop.name)
    for file, code in codes.items():
        assert receipts[file]["refusal"]["code"] == code, file


@contextmanager
def in_stack_env(
    stack: Any, suppliers: Suppliers, *, quiet: int = 2, cut_wait: int = 3600
) -> Iterator[None]:
    """The running stack polls this server for as long as this lasts."""
    file = stack.layout.env_file
    before = file.read_text(encoding="utf-8")
    given = {
        **suppliers.settings,
        "CARBON_DROP_QUIET_SECONDS": str(quiet),
        "CARBON_DROP_CUT_SECONDS": str(cut_wait),
        "CARBON_QUARANTINE_DIR": str(suppliers.folder.parent / "quarantine"),
    }
    file.write_text(before + "".join(f"{key}={value}\n" for key, value in given.items()))
    try:
        assert read_env_file(file)["CARBON_SFTP_URL"] == given["CARBON_SFTP_URL"]
        yield
    finally:
        file.write_text(before)


def ledgered(*supplier_ids: str) -> dict[str, Decimal]:
    """Event ids of the suppliers with active entries in the stack's own ledger: their kgCO2e."""
    found: dict[str, Decimal] = {}
    with connect(load()["CARBON_DATABASE_WRITER_URL"], "tests", True) as conn:
        for supplier_id in supplier_ids:
            rows = conn.execute(
                "select event_id, sum(kgco2e) from ledger.active_entry where event_id like %s "
                "group by event_id",
                (f"supplier:{supplier_id}@%",),
            ).fetchall()
            found.update(dict(rows))
    return found
