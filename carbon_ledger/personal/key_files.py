"""The vault's files outside the database: its key, a secret per person, the list of erasures.

Belongs here: making, reading and destroying them. Does not: what is encrypted with them
(carbon_ledger.personal.sealing), the database's half (carbon_ledger.store.vault).

    vault.key            the vault's key, 32 bytes in base64
    subjects/ab/s_ab…    a person's secret, 32 bytes in base64; gone once erased
    erasures.log         a line of JSON per erasure, only ever added to

Each key in the database opens only with its secret here. Whoever destroys the secret has destroyed
the key in every copy there is of the database: in dead rows, in the write-ahead log, in backups.
"""

from __future__ import annotations

import base64
import json
import os
import stat
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from carbon_ledger.durable import sync_folder
from carbon_ledger.errors import BrokenInvariant, ConfigurationError, RejectedRecord
from carbon_ledger.personal.pseudonyms import is_subject_ref
from carbon_ledger.personal.sealing import KEY_BYTES
from carbon_ledger.settings import Settings

DEFAULT_NAME: Final = "keys/vault.key"


@dataclass(frozen=True, kw_only=True, slots=True)
class Erasure:
    """Whose key was destroyed, when, by whom and why. The reason must not name the person."""

    subject_ref: str
    erased_at: datetime
    erased_by: str
    reason: str


@dataclass(frozen=True)
class KeyFiles:
    """The files beside `vault_key_file`, in a folder that only their owner may enter."""

    vault_key_file: Path

    @classmethod
    def of(cls, settings: Settings) -> KeyFiles:
        """Where CARBON_VAULT_KEY_FILE says, else in $CARBON_HOME/keys."""
        given = settings.get("CARBON_VAULT_KEY_FILE")
        return cls(Path(given) if given else settings.home / DEFAULT_NAME)

    @property
    def erasures_file(self) -> Path:
        """The list of erasures."""
        return self.vault_key_file.parent / "erasures.log"

    def secret_file(self, subject_ref: str) -> Path:
        """A person's secret. Raises RejectedRecord for what is no pseudonym, and so no file name.

        Not with its creation's date in its name or place: the pseudonym says nothing, nor does
        this.
        """
        if not is_subject_ref(subject_ref):
            raise RejectedRecord(
                "invalid_subject_ref",
                "this is not a pseudonym",
                field="subject_ref",
                valid="s_ and 26 characters out of a-z 2-7",
            )
        return self.vault_key_file.parent / "subjects" / subject_ref[2:4] / subject_ref

    def vault_key(self) -> bytes | None:
        """The vault's key (32 bytes), or None where there is no such file.

        Raises ConfigurationError `vault_key_open` if others may read it, BrokenInvariant
        `key_file_altered` if it is no key.
        """
        return _read(self.vault_key_file)

    def make_vault_key(self) -> bytes:
        """The vault's key, made now unless somebody else just has."""
        with suppress(FileExistsError):
            _make(self.vault_key_file)
        key = self.vault_key()
        if key is None:
            raise BrokenInvariant("vault_key_missing", f"{self.vault_key_file} was just removed")
        return key

    def make_secret(self, subject_ref: str) -> bytes:
        """A new person's secret (32 bytes), on disk when this returns."""
        return _make(self.secret_file(subject_ref))

    def secret(self, subject_ref: str) -> bytes | None:
        """A person's secret, or None where it is not, or no longer, there."""
        return _read(self.secret_file(subject_ref))

    def destroy_secret(self, subject_ref: str) -> bool:
        """Overwrites and removes a person's secret; whether it was there.

        The overwriting reaches the same blocks on a plain file system on a plain disk; flash
        memory, snapshots and file systems that copy on write may keep the old ones for a while.
        """
        path = self.secret_file(subject_ref)
        try:
            descriptor = os.open(path, os.O_WRONLY)
        except FileNotFoundError:
            return False
        try:
            os.write(descriptor, b"0" * os.fstat(descriptor).st_size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        path.unlink()
        sync_folder(path.parent)
        return True

    def note_erasure(self, erasure: Erasure) -> None:
        """Adds a line to the list of erasures; on disk when this returns."""
        _make_folder(self.erasures_file.parent)
        values = {**asdict(erasure), "erased_at": erasure.erased_at.isoformat()}
        line = json.dumps(values, ensure_ascii=False) + "\n"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        descriptor = os.open(self.erasures_file, flags, 0o600)
        try:
            # One write: lines of two processes never mix.
            os.write(descriptor, line.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(self.erasures_file.parent)

    def erasures(self) -> list[Erasure]:
        """Every line of the list, oldest first. Raises BrokenInvariant for one that cannot be
        read.
        """
        try:
            lines = self.erasures_file.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [self._erasure(number, line) for number, line in enumerate(lines, start=1)]

    def _erasure(self, number: int, line: str) -> Erasure:
        try:
            found = json.loads(line)
            erasure = Erasure(**{**found, "erased_at": datetime.fromisoformat(found["erased_at"])})
        except (ValueError, TypeError, KeyError) as error:
            raise BrokenInvariant(
                "erasures_altered", f"line {number} of {self.erasures_file} is no erasure: {error}"
            ) from error
        if not is_subject_ref(erasure.subject_ref):
            raise BrokenInvariant(
                "erasures_altered", f"line {number} of {self.erasures_file} names no pseudonym"
            )
        return erasure


def _read(path: Path) -> bytes | None:
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    except ValueError:
        text, mode = "", 0
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigurationError(
            "vault_key_open",
            f"{path} may be read by others than its owner (mode {stat.S_IMODE(mode):04o}); "
            "valid is 0600",
        )
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise BrokenInvariant(
            "key_file_altered", f"{path} holds no key: valid are {KEY_BYTES} bytes in base64"
        )
    return key


def _make(path: Path) -> bytes:
    """A new random key in a file that nobody else may read; FileExistsError if there is one.

    The file is there whole or not at all.
    """
    key = os.urandom(KEY_BYTES)
    _make_folder(path.parent)
    part = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, base64.b64encode(key) + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(part, path)
    finally:
        part.unlink()
    sync_folder(path.parent)
    return key


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
