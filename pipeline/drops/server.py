"""The SFTP server that suppliers leave files on, as its poller sees it.

Belongs here: connecting with a pinned host key and a key of ours, listing, fetching, leaving
receipts, putting files aside. Does not: which files are whole, what is in them.

Every call is bounded in time. A host key that is not the pinned one is refused before anything is
said to the server.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import stat
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import unquote, urlsplit

import asyncssh

from carbon_ledger.errors import ConfigurationError, RejectedRecord, Unavailable
from carbon_ledger.settings import Settings
from pipeline.drops.arrivals import Listed

DROPS: Final = b"drops"
RECEIPTS: Final = "receipts"
PROCESSED: Final = "processed"
REFUSED: Final = "refused"
CONNECT_SECONDS: Final = 10.0
CALL_SECONDS: Final = 30.0
FETCH_SECONDS: Final = 600.0
# A listing that is longer is cut: what is not in it is seen once the rest has been put aside.
NAMES_MAX: Final = 20_000
SUPPLIERS_MAX: Final = 5_000
# Folders with other names are nobody's.
SUPPLIER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_BLOCK: Final = 1 << 20
_Result = TypeVar("_Result")


@dataclass(frozen=True, kw_only=True)
class ServerPlace:
    """Where the server is, as whom and with which key it is asked, which host key it must have."""

    host: str
    port: int
    user: str
    root: bytes
    key_file: Path
    known_hosts: Path

    @classmethod
    def of(cls, settings: Settings) -> ServerPlace | None:
        """The place the settings name; None if they name none. ConfigurationError `sftp_url`."""
        given = settings.get("CARBON_SFTP_URL")
        if not given:
            return None
        url = urlsplit(given)
        try:
            port = url.port or 22
        except ValueError:
            port = 0
        if url.scheme != "sftp" or not url.hostname or not url.username or not port or url.password:
            raise ConfigurationError(
                "sftp_url",
                "CARBON_SFTP_URL cannot be used; valid is sftp://user@host:port/folder, without a "
                "password (the key is in CARBON_SFTP_KEY_FILE)",
            )
        folder = settings.home / "sftp"
        return cls(
            host=url.hostname,
            port=port,
            user=unquote(url.username),
            root=os.fsencode(unquote(url.path).rstrip("/")) or b"/",
            key_file=Path(settings.get("CARBON_SFTP_KEY_FILE") or folder / "poller_key"),
            known_hosts=Path(settings.get("CARBON_SFTP_KNOWN_HOSTS") or folder / "known_hosts"),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """Bytes that were read: how many, and their SHA-256."""

    size_bytes: int
    sha256: bytes


class DropServer:
    """A connection to the server, made when it is needed; close it, or use it in `with`.

    Raises Unavailable `sftp_unavailable`, ConfigurationError `host_key`, `sftp_login`,
    `sftp_known_hosts`, `sftp_key`. Not for several threads.
    """

    def __init__(self, place: ServerPlace, *, call_seconds: float = CALL_SECONDS) -> None:
        self._place = place
        self._call_seconds = call_seconds
        self._runner = asyncio.Runner()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._sftp: asyncssh.SFTPClient | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        with suppress(OSError, asyncssh.Error, TimeoutError):
            self._runner.run(self._hang_up())
        self._runner.close()

    def listing(self) -> list[Listed]:
        """The files and links in every supplier's `drops`, at most NAMES_MAX of each supplier."""
        return self._run(self._list(), self._call_seconds)

    def fetch(self, listed: Listed, target: Path, bytes_max: int) -> Fetched | None:
        """Reads a file into `target`, a new file; None if it is not what was listed any more,
        before or after. Raises RejectedRecord `file_too_large` above `bytes_max`.
        """
        return self._run(self._fetch(listed, target, bytes_max), FETCH_SECONDS)

    def link_text(self, listed: Listed) -> bytes:
        """Where a symbolic link says it leads; it is not followed."""
        return self._run(self._link_text(listed), self._call_seconds)

    def leave(self, supplier_id: str, folder: str, name: str, content: bytes) -> None:
        """Puts a file into one of the supplier's folders, whole or not at all, replacing its
        like."""
        self._run(self._leave(supplier_id, folder, name, content), self._call_seconds)

    def put_aside(self, listed: Listed, folder: str, name: str) -> bool:
        """Moves a file out of `drops`; False if the server does not let us.

        One that is not what was listed any more stays: it will be seen as what it is now.
        """
        return self._run(self._put_aside(listed, folder, name), self._call_seconds)

    # ---- the same, in the event loop

    def _run(self, work: Coroutine[Any, Any, _Result], seconds: float) -> _Result:
        try:
            return self._runner.run(self._bounded(work, seconds))
        except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed) as error:
            raise ConfigurationError(
                "host_key",
                f"the SFTP server at {self._place.host}:{self._place.port} does not have the host "
                f"key that {self._place.known_hosts} pins ({error}); nothing was sent to it. If "
                "the key was changed on purpose, get the new one from whoever runs the server, "
                "not from the network",
            ) from error
        except asyncssh.PermissionDenied as error:
            raise ConfigurationError(
                "sftp_login",
                f"the SFTP server does not let {self._place.user!r} in with {self._place.key_file}",
            ) from error
        except (OSError, asyncssh.Error, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise Unavailable(
                "sftp_unavailable",
                f"the SFTP server at {self._place.host}:{self._place.port} cannot be used "
                f"({reason}); it is asked again at the next look",
            ) from error

    async def _bounded(self, work: Coroutine[Any, Any, _Result], seconds: float) -> _Result:
        try:
            async with asyncio.timeout(seconds):
                return await work
        except BaseException:
            work.close()
            # What it was in the middle of is unknown: the next call connects anew.
            if self._connection is not None:
                self._connection.abort()
            self._connection = self._sftp = None
            raise

    async def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._connection.wait_closed()
        self._connection = self._sftp = None

    async def _client(self) -> asyncssh.SFTPClient:
        if self._sftp is not None and self._connection is not None:
            if not self._connection.is_closed():
                return self._sftp
        place = self._place
        for code, path in (("sftp_known_hosts", place.known_hosts), ("sftp_key", place.key_file)):
            if not path.is_file():
                raise ConfigurationError(code, f"there is no file {path}; see docs/sources.md")
        async with asyncio.timeout(CONNECT_SECONDS):
            self._connection = await asyncssh.connect(
                place.host,
                place.port,
                username=place.user,
                known_hosts=str(place.known_hosts),
                client_keys=[str(place.key_file)],
                preferred_auth="publickey",
                agent_path=None,
                config=None,
                gss_auth=False,
                gss_kex=False,
                keepalive_interval=15,
            )
            self._sftp = await self._connection.start_sftp_client(sftp_version=3)
        return self._sftp

    def _path(self, supplier_id: str, *parts: bytes) -> bytes:
        root = self._place.root.rstrip(b"/")
        return b"/".join([root, supplier_id.encode(), *parts])

    async def _list(self) -> list[Listed]:
        sftp = await self._client()
        suppliers = []
        async for entry in sftp.scandir(self._place.root):
            name = _bytes(entry.filename).decode("utf-8", "replace")
            if SUPPLIER.fullmatch(name) and _kind(entry.attrs) == stat.S_IFDIR:
                suppliers.append(name)
            if len(suppliers) >= SUPPLIERS_MAX:
                break
        found: list[Listed] = []
        for supplier_id in sorted(suppliers):
            with suppress(asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
                async for one in self._drops_of(sftp, supplier_id):
                    found.append(one)
        return found

    async def _drops_of(self, sftp: asyncssh.SFTPClient, supplier_id: str) -> AsyncIterator[Listed]:
        count = 0
        async for entry in sftp.scandir(self._path(supplier_id, DROPS)):
            name, kind = _bytes(entry.filename), _kind(entry.attrs)
            # A server is not believed: a name that leads elsewhere is none.
            if name in (b".", b"..", b"") or b"/" in name or b"\x00" in name:
                continue
            if kind not in (stat.S_IFREG, stat.S_IFLNK):
                continue
            yield Listed(
                supplier_id=supplier_id,
                raw_name=name,
                size_bytes=entry.attrs.size or 0,
                mtime=entry.attrs.mtime or 0,
                is_plain=kind == stat.S_IFREG,
            )
            count += 1
            if count >= NAMES_MAX:
                return

    async def _is_as_listed(self, sftp: asyncssh.SFTPClient, listed: Listed) -> bool:
        try:
            found = await sftp.lstat(self._path(listed.supplier_id, DROPS, listed.raw_name))
        except asyncssh.SFTPNoSuchFile:
            return False
        return (
            _kind(found) == stat.S_IFREG
            and (found.size or 0) == listed.size_bytes
            and (found.mtime or 0) == listed.mtime
        )

    async def _fetch(self, listed: Listed, target: Path, bytes_max: int) -> Fetched | None:
        sftp = await self._client()
        if not await self._is_as_listed(sftp, listed):
            return None
        if listed.size_bytes > bytes_max:
            raise RejectedRecord(
                "file_too_large",
                f"the file has {listed.size_bytes:,} bytes",
                value=listed.size_bytes,
                valid=f"up to {bytes_max:,} bytes",
            )
        digest, read = hashlib.sha256(), 0
        path = self._path(listed.supplier_id, DROPS, listed.raw_name)
        try:
            async with sftp.open(path, "rb", encoding=None) as source:
                with target.open("xb") as file:
                    while read <= listed.size_bytes:
                        block = _bytes(await source.read(_BLOCK))
                        if not block:
                            break
                        read += len(block)
                        digest.update(block)
                        file.write(block)
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPPermissionDenied):
            return None
        if read != listed.size_bytes or not await self._is_as_listed(sftp, listed):
            return None
        return Fetched(size_bytes=read, sha256=digest.digest())

    async def _link_text(self, listed: Listed) -> bytes:
        sftp = await self._client()
        path = self._path(listed.supplier_id, DROPS, listed.raw_name)
        try:
            return _bytes(await sftp.readlink(path))
        except asyncssh.SFTPError:
            return b"?"

    async def _leave(self, supplier_id: str, folder: str, name: str, content: bytes) -> None:
        sftp = await self._client()
        place = self._path(supplier_id, folder.encode())
        with suppress(asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
            await sftp.mkdir(place)
        passing = b"/".join([place, f".{name}.part".encode()])
        async with sftp.open(passing, "wb", encoding=None) as file:
            await file.write(content)
        await sftp.posix_rename(passing, b"/".join([place, name.encode()]))

    async def _put_aside(self, listed: Listed, folder: str, name: str) -> bool:
        sftp = await self._client()
        if listed.is_plain and not await self._is_as_listed(sftp, listed):
            return True
        place = self._path(listed.supplier_id, folder.encode())
        with suppress(asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
            await sftp.mkdir(place)
        try:
            await sftp.posix_rename(
                self._path(listed.supplier_id, DROPS, listed.raw_name),
                b"/".join([place, name.encode()]),
            )
        except asyncssh.SFTPError:
            return False
        return True


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")


def _kind(attrs: asyncssh.SFTPAttrs) -> int:
    return stat.S_IFMT(attrs.permissions or 0)
