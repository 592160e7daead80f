"""Whose pseudonym is whose, and the keys that open what is encrypted for them.

Belongs here: the database's half of the vault (schema personal), and joining it with the files
outside. Does not: encryption itself (carbon_ledger.personal.sealing), the files
(carbon_ledger.personal.key_files), records of a person (spark.subject_records).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from types import TracebackType
from typing import Final, Self, TypeVar

import psycopg
from psycopg.rows import class_row

from carbon_ledger.errors import BrokenInvariant, ConfigurationError, Unavailable
from carbon_ledger.personal.fields import PersonalFields
from carbon_ledger.personal.key_files import Erasure, KeyFiles
from carbon_ledger.personal.pseudonyms import is_subject_ref, new_subject_ref
from carbon_ledger.personal.sealing import SubjectKey, key_id, lookup, seal, unwrap, wrap
from carbon_ledger.settings import Settings
from carbon_ledger.store.connect import connect, query
from carbon_ledger.store.lasting import LastingConnection
from carbon_ledger.store.rows import Connection
from carbon_ledger.transport.vehicle_events import VehicleTelemetryEvent

# So long may a producer go on sealing for somebody whose key was destroyed meanwhile; what it
# sealed, nobody can open.
CACHE_SECONDS: Final = 10
CACHED_MAX: Final = 10_000

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A pseudonym: whose it is within, since when, and whether its key is still there."""

    subject_ref: str
    organization_id: str
    created_at: datetime
    has_key: bool
    erased_at: datetime | None
    erased_by: str | None
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class SubjectEntries:
    """How many entries of a stream bear a pseudonym, reversals among them, and of which dates."""

    stream: str
    entries: int
    reversals: int
    first_date: date
    last_date: date


@dataclass(frozen=True, kw_only=True)
class _Cached:
    subject_ref: str
    key: SubjectKey
    until_ns: int


class SubjectVault:
    """Gives persons pseudonyms, seals what is said of them, and forgets them for good.

    Connects when first asked and again after a lost connection. Safe to use from several threads.
    Every method raises Unavailable if PostgreSQL cannot be used.
    """

    def __init__(self, database_url: str, files: KeyFiles, *, organization_id: str) -> None:
        """`organization_id`: whose persons these are; an id of a source is unique within it."""
        self.organization_id = organization_id
        self._files = files
        self._lock = threading.RLock()
        self._connection = LastingConnection(
            lambda: connect(database_url, "carbon vault", True),
            lambda error: Unavailable(
                "vault_unavailable", f"the vault's database cannot be used: {error}"
            ),
        )
        self._vault_key: bytes | None = None
        self._cache: dict[bytes, _Cached] = {}

    @classmethod
    def of(cls, settings: Settings, organization_id: str | None = None) -> Self:
        """The vault that the settings name; the organization defaults to theirs."""
        return cls(
            settings["CARBON_DATABASE_VAULT_URL"],
            KeyFiles.of(settings),
            organization_id=organization_id or settings["CARBON_DEFAULT_ORGANIZATION"],
        )

    def close(self) -> None:
        """Closes the connection and forgets the keys it has opened."""
        with self._lock:
            self._cache.clear()
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def add(self, source_id: str) -> str:
        """The pseudonym of whom the source calls `source_id`, made now if there is none.

        Whoever was erased is unknown, and gets a new one that nothing joins to the old. Raises
        BrokenInvariant if the vault's key is missing or another than that of the keys there are.
        """
        return self._run(lambda conn: self._subject(conn, source_id).subject_ref)

    def sealed(
        self, event: VehicleTelemetryEvent, personal: PersonalFields
    ) -> VehicleTelemetryEvent:
        """`event` with the person's pseudonym, and what is said of the person encrypted.

        Equal arguments give equal events for as long as the person has this pseudonym.
        """
        subject = self._run(lambda conn: self._subject(conn, personal.driver_id))
        ciphertext = seal(
            subject.key, personal, subject_ref=subject.subject_ref, event_id=event.event_id
        )
        return replace(event, subject_ref=subject.subject_ref, subject_ciphertext=ciphertext)

    def key_of(self, subject_ref: str) -> SubjectKey | None:
        """The key of a pseudonym; None if it was erased, or never given.

        Raises BrokenInvariant `subject_secret_missing` if the person's secret is gone without an
        erasure.
        """
        return self._run(lambda conn: self._key(conn, subject_ref))

    def subjects(self) -> list[Subject]:
        """Every pseudonym ever given, oldest first."""
        return self._run(lambda conn: _subjects(conn, None))

    def subject(self, subject_ref: str) -> Subject:
        """A pseudonym; ConfigurationError `subject_unknown` if it was never given."""
        found = self._run(lambda conn: _subjects(conn, subject_ref))
        if not found:
            # Not shown unless it is a pseudonym: it may be a name typed by mistake.
            shown = subject_ref if is_subject_ref(subject_ref) else "this"
            raise ConfigurationError(
                "subject_unknown",
                f"{shown} is no pseudonym of this vault; `carbon subject list` shows them",
            )
        return found[0]

    def erase(self, subject_ref: str, *, by: str, reason: str) -> Erasure:
        """Destroys the person's key; nothing that was sealed for the person can be opened again.

        In this order, so that a crash between leaves what `replay` finishes: the erasure is noted
        outside the database, the key is deleted with the erasure in one transaction, the secret is
        destroyed. Erasing again finishes what may be left. Raises ConfigurationError
        `subject_unknown`, `reason_missing`.
        """
        if not by.strip() or not reason.strip():
            raise ConfigurationError("reason_missing", "an erasure says who decided it, and why")
        known = self.subject(subject_ref)
        noted = {one.subject_ref: one for one in self._files.erasures()}
        if subject_ref in noted:
            erasure = noted[subject_ref]
        else:
            erasure = _erasure_of(known) or Erasure(
                subject_ref=subject_ref, erased_at=datetime.now(UTC), erased_by=by, reason=reason
            )
            self._files.note_erasure(erasure)
        self._finish(erasure, is_known=True)
        return erasure

    def replay(self) -> list[Erasure]:
        """Erases again whoever was erased once: after a restored backup, or an interrupted erasure.

        The list outside the database and the table in it are joined; the erasures of which anything
        was left to do, in order.
        """
        with self._lock:
            known = {one.subject_ref: one for one in self.subjects()}
            listed = {one.subject_ref: one for one in self._files.erasures()}
            done = []
            for subject in known.values():
                erasure = _erasure_of(subject)
                if erasure is not None and subject.subject_ref not in listed:
                    self._files.note_erasure(erasure)
                    listed[subject.subject_ref] = erasure
                    done.append(subject.subject_ref)
            for erasure in listed.values():
                there = known.get(erasure.subject_ref)
                if there is not None and (there.has_key or there.erased_at is None):
                    done.append(erasure.subject_ref)
                if self._finish(erasure, is_known=there is not None):
                    done.append(erasure.subject_ref)
            return [listed[one] for one in dict.fromkeys(done)]

    def _finish(self, erasure: Erasure, *, is_known: bool) -> bool:
        """The steps after an erasure was noted; whether there was still a secret."""
        if is_known:
            self._run(lambda conn: conn.execute(query("erase_subject"), asdict(erasure)))
        with self._lock:
            self._cache.clear()
        return self._files.destroy_secret(erasure.subject_ref)

    def _subject(self, conn: Connection, source_id: str) -> _Cached:
        vault_key = self._opened(conn)
        found_by = lookup(vault_key, self.organization_id, source_id)
        cached = self._cache.get(found_by)
        if cached is not None and time.monotonic_ns() < cached.until_ns:
            return cached
        while True:
            subject_ref = _ref_by(conn, found_by) or self._new(conn, vault_key, found_by)
            key = None if subject_ref is None else self._key(conn, subject_ref)
            # None where somebody else was faster: made the person, or erased the one just found.
            if subject_ref is not None and key is not None:
                break
        if len(self._cache) >= CACHED_MAX:
            self._cache.clear()
        until_ns = time.monotonic_ns() + CACHE_SECONDS * 1_000_000_000
        entry = _Cached(subject_ref=subject_ref, key=key, until_ns=until_ns)
        self._cache[found_by] = entry
        return entry

    def _new(self, conn: Connection, vault_key: bytes, found_by: bytes) -> str | None:
        subject_ref = new_subject_ref()
        # First on disk: a key in the database whose secret was never written would be lost.
        secret = self._files.make_secret(subject_ref)
        wrapped = wrap(
            SubjectKey.new(), vault_key=vault_key, secret=secret, subject_ref=subject_ref
        )
        try:
            conn.execute(
                query("insert_subject"),
                {
                    "subject_ref": subject_ref,
                    "organization_id": self.organization_id,
                    "lookup": found_by,
                    "wrapped_key": wrapped,
                    "key_id": key_id(vault_key),
                },
            )
        except psycopg.errors.UniqueViolation:
            self._files.destroy_secret(subject_ref)
            return None
        return subject_ref

    def _key(self, conn: Connection, subject_ref: str) -> SubjectKey | None:
        row = conn.execute(query("subject_key"), {"subject_ref": subject_ref}).fetchone()
        if row is None:
            return None
        secret = self._files.secret(subject_ref)
        if secret is None:
            if any(one.subject_ref == subject_ref for one in self._files.erasures()):
                # An erasure that was interrupted, or undone by a restored backup.
                self._run_erasure(conn, subject_ref)
                return None
            raise BrokenInvariant(
                "subject_secret_missing",
                f"the secret of {subject_ref} is not at {self._files.secret_file(subject_ref)}, "
                "and it was not erased; restore the folder, or erase the subject",
            )
        return unwrap(row[0], vault_key=self._opened(conn), secret=secret, subject_ref=subject_ref)

    def _run_erasure(self, conn: Connection, subject_ref: str) -> None:
        for erasure in self._files.erasures():
            if erasure.subject_ref == subject_ref:
                conn.execute(query("erase_subject"), asdict(erasure))

    def _opened(self, conn: Connection) -> bytes:
        """The vault's key, made with the first person, never where there are persons already."""
        if self._vault_key is not None:
            return self._vault_key
        known = [row[0] for row in conn.execute(query("vault_key_ids")).fetchall()]
        key = self._files.vault_key()
        if key is None and known:
            raise BrokenInvariant(
                "vault_key_missing",
                f"there is no {self._files.vault_key_file}, but there are keys that only it opens; "
                "restore the file, or set CARBON_VAULT_KEY_FILE",
            )
        key = key or self._files.make_vault_key()
        if known and known != [key_id(key)]:
            raise BrokenInvariant(
                "vault_key_wrong",
                f"{self._files.vault_key_file} is not the key of this database's persons",
            )
        self._vault_key = key
        return key

    def _run(self, work: Callable[[Connection], T]) -> T:
        """`LastingConnection.run`, one thread at a time."""
        with self._lock:
            return self._connection.run(work)


def _ref_by(conn: Connection, found_by: bytes) -> str | None:
    row = conn.execute(query("subject_by_lookup"), {"lookup": found_by}).fetchone()
    return None if row is None else str(row[0])


def _subjects(conn: Connection, subject_ref: str | None) -> list[Subject]:
    with conn.cursor(row_factory=class_row(Subject)) as cursor:
        return cursor.execute(query("subjects"), {"subject_ref": subject_ref}).fetchall()


def _erasure_of(subject: Subject) -> Erasure | None:
    if subject.erased_at is None:
        return None
    return Erasure(
        subject_ref=subject.subject_ref,
        erased_at=subject.erased_at,
        erased_by=subject.erased_by or "",
        reason=subject.reason or "",
    )


def subject_entries(conn: Connection, subject_ref: str) -> list[SubjectEntries]:
    """What the ledger has under a pseudonym, by stream; `conn` is the reader's."""
    with conn.cursor(row_factory=class_row(SubjectEntries)) as cursor:
        return cursor.execute(query("subject_entries"), {"subject_ref": subject_ref}).fetchall()
