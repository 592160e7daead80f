"""The SFTP server of the embedded stack: its keys, its accounts, its folders.

Belongs here: what is where under CARBON_HOME/sftp, the service, making a supplier's account. Does
not: the protocol (devstack.sftp_process), reading what suppliers leave.

    sftp/host_key            made once; its public half is in known_hosts
    sftp/poller_key          the key of `poller`, who reads every supplier's folder
    sftp/accounts/NAME.pub   who may log in, with which key
    sftp/suppliers/NAME/     a supplier's folder, all that the supplier sees
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Final

import asyncssh

from carbon_ledger.errors import ConfigurationError, RejectedRecord
from devstack.layout import Layout
from devstack.service import PROBE_SECONDS, Service, probe_tcp

POLLER: Final = "poller"
# What a supplier may write into; the rest is for reading.
DROPS: Final = "drops"
FOLDERS: Final = (DROPS, "receipts", "processed", "refused")
KEY_BYTES_MAX: Final = 16_384
# A supplier's id is a folder's name and a login here.
ACCOUNT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
KEY_TYPES: Final = (
    *("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    *("sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com", "ssh-rsa"),
)


def sftp_folder(home: Path) -> Path:
    """Everything of the server."""
    return home / "sftp"


def sftp_values(layout: Layout) -> dict[str, str]:
    """The settings by which the server of this stack is polled."""
    return {"CARBON_SFTP_URL": f"sftp://{POLLER}@127.0.0.1:{layout.port('sftp')}/"}


def make_key(path: Path, comment: str) -> asyncssh.SSHKey:
    """The Ed25519 key in `path`, made if it is missing; 0600, with its public half beside it."""
    if path.exists():
        return asyncssh.read_private_key(path)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = asyncssh.generate_private_key("ssh-ed25519", comment=comment)
    part = path.with_name(f".{path.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.export_private_key())
    part.replace(path)
    key.write_public_key(path.with_name(f"{path.name}.pub"))
    return key


def prepare(folder: Path, port: int, known_as: str = "127.0.0.1") -> None:
    """Keys, known_hosts, the poller's account and the suppliers' parent folder are there;
    `known_as` is the host that clients ask for.
    """
    host_key = make_key(folder / "host_key", "carbon sftp")
    public = host_key.export_public_key().decode().split()
    # Written anew each time: the port may be another one.
    (folder / "known_hosts").write_text(
        f"[{known_as}]:{port} {public[0]} {public[1]}\n", encoding="utf-8"
    )
    poller = make_key(folder / "poller_key", POLLER)
    (folder / "suppliers").mkdir(exist_ok=True)
    accounts = folder / "accounts"
    accounts.mkdir(exist_ok=True, mode=0o700)
    (accounts / f"{POLLER}.pub").write_bytes(poller.export_public_key())


def check_account(supplier_id: str) -> str:
    """The id, if it can be a login and a folder; RejectedRecord `invalid_account` else."""
    if ACCOUNT.fullmatch(supplier_id) and supplier_id != POLLER:
        return supplier_id
    raise RejectedRecord(
        "invalid_account",
        f"{supplier_id[:80]!r} cannot be the name of an account",
        field="supplier_id",
        value=supplier_id,
        valid=f"1 to 64 characters out of A-Z a-z 0-9 _ . -, not {POLLER!r}",
    )


def add_account(folder: Path, supplier_id: str, public_key: bytes) -> Path:
    """Lets whoever has the key log in as the supplier, and only so; returns the folder.

    Adding another key to an account that exists keeps the first one. Raises RejectedRecord
    `invalid_account`, ConfigurationError `public_key`.
    """
    check_account(supplier_id)
    if len(public_key) > KEY_BYTES_MAX or b"PRIVATE KEY" in public_key:
        raise ConfigurationError(
            "public_key", "that is no public key; give the file that ends in .pub"
        )
    try:
        key = asyncssh.import_public_key(public_key)
    except (asyncssh.KeyImportError, ValueError) as error:
        raise ConfigurationError(
            "public_key",
            f"that is no public key ({error}); valid is the .pub file that ssh-keygen writes",
        ) from error
    if key.get_algorithm() not in KEY_TYPES:
        raise ConfigurationError(
            "public_key",
            f"keys of type {key.get_algorithm()} are not taken; valid are: {', '.join(KEY_TYPES)}",
        )
    place = folder / "suppliers" / supplier_id
    for name in FOLDERS:
        (place / name).mkdir(parents=True, exist_ok=True)
    file = folder / "accounts" / f"{supplier_id}.pub"
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    line = key.export_public_key().strip()
    known = file.read_bytes().splitlines() if file.exists() else []
    if line not in known:
        part = file.with_name(f".{file.name}.part")
        part.write_bytes(b"".join(one + b"\n" for one in [*known, line]))
        part.replace(file)
    return place


def accounts(folder: Path) -> list[str]:
    """The suppliers that have an account, in order."""
    found = (path.stem for path in (folder / "accounts").glob("*.pub"))
    return sorted(name for name in found if name != POLLER)


class Sftp(Service):
    """One small process on the loopback interface."""

    name = "sftp"

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.port = layout.port(self.name)
        self.folder = sftp_folder(layout.home)

    def prepare(self) -> None:
        prepare(self.folder, self.port)

    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "devstack.sftp_process"),
            *(str(self.folder), str(self.port)),
        ]

    def probe(self) -> str | None:
        fault = probe_tcp("127.0.0.1", self.port)
        if fault is not None:
            return fault
        wanted = (self.folder / "host_key.pub").read_text(encoding="utf-8").split()[1]
        shown = shown_host_key(self.port)
        if shown is None:
            return f"127.0.0.1:{self.port} does not speak SSH"
        return None if shown == wanted else f"127.0.0.1:{self.port} has another host key"


def shown_host_key(port: int) -> str | None:
    """The public key that a server on the loopback interface shows, in base64; None if none."""
    import asyncio

    async def ask() -> asyncssh.SSHKey | None:
        async with asyncio.timeout(PROBE_SECONDS):
            return await asyncssh.get_server_host_key("127.0.0.1", port, config=None)

    try:
        key = asyncio.run(ask())
    except (OSError, TimeoutError, asyncssh.Error):
        return None
    return None if key is None else key.export_public_key().decode().split()[1]
