"""The SFTP server itself: `python -m devstack.sftp_process FOLDER PORT [ADDRESS KNOWN_AS]`.

Belongs here: who may log in, and what one may do then. Does not: accounts and keys (devstack.sftp).

Nothing but SFTP, nothing but keys. A supplier sees its own folder as `/` and writes in `drops`
alone; links are never made, and never followed by a supplier. `poller` sees every folder.
In a container nobody else prepares the folder: with an ADDRESS to listen on it does so itself,
under the name that clients know it by.
"""

from __future__ import annotations

import asyncio
import os
import posixpath
import stat
import sys
from pathlib import Path
from typing import Any, Final

import asyncssh
from asyncssh.sftp import SFTPAttrs

from devstack.sftp import ACCOUNT, DROPS, POLLER, prepare

LOGIN_SECONDS: Final = 20
IDLE_SECONDS: Final = 60
CONNECTIONS_MAX: Final = 200
_WRITES: Final = asyncssh.FXF_WRITE | asyncssh.FXF_APPEND | asyncssh.FXF_CREAT | asyncssh.FXF_TRUNC


class Logins(asyncssh.SSHServer):
    """One connection: a key of the account it names, or nothing."""

    open_connections = 0

    def __init__(self, folder: Path) -> None:
        self._accounts = folder / "accounts"
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        Logins.open_connections += 1
        if Logins.open_connections > CONNECTIONS_MAX:
            conn.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        Logins.open_connections -= 1

    def begin_auth(self, username: str) -> bool:
        keys = self._accounts / f"{username}.pub"
        if self._connection is not None and ACCOUNT.fullmatch(username) and keys.is_file():
            text = keys.read_text(encoding="utf-8")
            self._connection.set_authorized_keys(asyncssh.import_authorized_keys(text))
        return True

    def password_auth_supported(self) -> bool:
        return False

    def kbdint_auth_supported(self) -> bool:
        return False


class Folders(asyncssh.SFTPServer):
    """What one account sees, and may do there."""

    def __init__(self, channel: asyncssh.SSHServerChannel, suppliers: Path) -> None:
        user = str(channel.get_extra_info("username"))
        self._is_poller = user == POLLER
        self._root = suppliers if self._is_poller else suppliers / user
        super().__init__(channel, chroot=os.fsencode(self._root))

    def open(self, path: bytes, pflags: int, attrs: SFTPAttrs) -> Any:
        self._check(path, writes=bool(pflags & _WRITES))
        return super().open(path, pflags, _plain(attrs))

    def open56(self, path: bytes, desired_access: int, flags: int, attrs: SFTPAttrs) -> Any:
        raise asyncssh.SFTPOpUnsupported("version 3 of the protocol is spoken here")

    def rename(self, oldpath: bytes, newpath: bytes) -> Any:
        self._check(oldpath, writes=True, follows=False)
        self._check(newpath, writes=True)
        return super().rename(oldpath, newpath)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> Any:
        self._check(oldpath, writes=True, follows=False)
        self._check(newpath, writes=True)
        return super().posix_rename(oldpath, newpath)

    def remove(self, path: bytes) -> Any:
        self._check(path, writes=True, follows=False)
        return super().remove(path)

    def setstat(self, path: bytes, attrs: SFTPAttrs) -> Any:
        self._check(path, writes=True)
        return super().setstat(path, _plain(attrs))

    def fsetstat(self, file_obj: object, attrs: SFTPAttrs) -> Any:
        return super().fsetstat(file_obj, _plain(attrs))

    def lsetstat(self, path: bytes, attrs: SFTPAttrs) -> Any:
        self._check(path, writes=True)
        return super().lsetstat(path, _plain(attrs))

    def mkdir(self, path: bytes, attrs: SFTPAttrs) -> Any:
        if not self._is_poller:
            raise asyncssh.SFTPPermissionDenied("folders are made by whoever runs this server")
        return super().mkdir(path, SFTPAttrs())

    def rmdir(self, path: bytes) -> Any:
        raise asyncssh.SFTPPermissionDenied("folders stay")

    def symlink(self, oldpath: bytes, newpath: bytes) -> Any:
        raise asyncssh.SFTPPermissionDenied("there are no links here")

    def link(self, oldpath: bytes, newpath: bytes) -> Any:
        raise asyncssh.SFTPPermissionDenied("there are no links here")

    def _check(self, path: bytes, *, writes: bool, follows: bool = True) -> None:
        """Raises SFTPPermissionDenied unless the account may write, or read, at `path`.

        `follows`: whether what is done there would be done to what a link leads to.
        """
        inside = posixpath.normpath(posixpath.join(b"/", path))
        if writes and not self._is_poller and not inside.startswith(f"/{DROPS}/".encode()):
            raise asyncssh.SFTPPermissionDenied(f"write into /{DROPS}; the rest is for reading")
        real = Path(os.fsdecode(self.map_path(path)))
        # A link that somebody made from outside leads nowhere, whoever asks.
        is_link = follows and real.is_symlink()
        if is_link or not real.parent.resolve().is_relative_to(self._root.resolve()):
            raise asyncssh.SFTPPermissionDenied("links are not followed")


def _plain(attrs: SFTPAttrs) -> SFTPAttrs:
    """The attributes without owner, and without bits that make a file run."""
    attrs.uid = attrs.gid = None
    attrs.owner = attrs.group = None
    if attrs.permissions is not None:
        attrs.permissions = stat.S_IRUSR | stat.S_IWUSR | (attrs.permissions & 0o044)
    return attrs


async def serve(folder: Path, port: int, address: str = "127.0.0.1") -> None:
    """Serves until it is cancelled."""
    suppliers = folder / "suppliers"
    await asyncssh.listen(
        address,
        port,
        server_factory=lambda: Logins(folder),
        server_host_keys=[str(folder / "host_key")],
        sftp_factory=lambda channel: Folders(channel, suppliers),
        sftp_version=3,
        allow_scp=False,
        allow_pty=False,
        agent_forwarding=False,
        x11_forwarding=False,
        gss_host=None,
        public_key_auth=True,
        login_timeout=LOGIN_SECONDS,
        keepalive_interval=IDLE_SECONDS,
        keepalive_count_max=2,
        config=None,
    )
    await asyncio.Event().wait()


def main(arguments: list[str]) -> None:
    """Serves the folder on the port until SIGTERM."""
    folder, port = Path(arguments[0]), int(arguments[1])
    if len(arguments) == 2:
        asyncio.run(serve(folder, port))
        return
    address, known_as = arguments[2:]
    folder.mkdir(parents=True, exist_ok=True)
    prepare(folder, port, known_as)
    asyncio.run(serve(folder, port, address))


if __name__ == "__main__":
    main(sys.argv[1:])
