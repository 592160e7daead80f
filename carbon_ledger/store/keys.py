"""Keys of the API's callers, in schema access.

Belongs here: making, listing, revoking keys, and looking one up for a request. Does not: what a key
looks like (carbon_ledger.access_keys), HTTP (api.security).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import psycopg
from psycopg.rows import dict_row

from carbon_ledger.access_keys import (
    ANY_SUPPLIER,
    PERSON_SCOPES,
    READS_ALL,
    SUPPLIER_SCOPES,
    ApiKey,
    NewKey,
    hash_of,
    new_key,
    scopes_of,
)
from carbon_ledger.errors import ConfigurationError, Unavailable
from carbon_ledger.events import check_identifier
from carbon_ledger.restatement import same_person
from carbon_ledger.store.connect import checked_organizations, connect, query
from carbon_ledger.store.lasting import LastingConnection
from carbon_ledger.store.rows import Connection

# So long may a revoked key still open something; five seconds is what is promised.
CACHE_SECONDS: Final = 3
ENTITY_SECONDS: Final = 30
CACHED_MAX: Final = 10_000
STATEMENT_SECONDS: Final = 5
HOLDER_LENGTH_MAX: Final = 200
# Keys of persons are compared with one another: one at a time. The database's trigger has it too.
PERSON_LOCK: Final = 7224


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cached:
    key: ApiKey
    until_ns: int


class KeyStore:
    """Looks keys up, and whose an entity is.

    Connects when first asked and again after a lost connection. What it knows of a key is at most
    CACHE_SECONDS old. Safe to use from several threads.
    """

    def __init__(self, database_url: str) -> None:
        self._lock = threading.Lock()
        self._connection = LastingConnection(
            lambda: connect(database_url, "carbon api", True, statement_seconds=STATEMENT_SECONDS),
            lambda error: Unavailable(
                "keys_unavailable", "the database of the API's keys cannot be used"
            ),
        )
        self._cache: dict[str, _Cached] = {}
        self._entities: dict[str, tuple[tuple[str, ...], int]] = {}

    def find(self, key_id: str) -> ApiKey | None:
        """The key of this id, revoked and expired ones too; None if there is none.

        Raises Unavailable if PostgreSQL cannot be asked: nobody gets in then.
        """
        with self._lock:
            cached = self._cache.get(key_id)
            if cached is not None and time.monotonic_ns() < cached.until_ns:
                return cached.key
            self._cache.pop(key_id, None)
            read_ns = time.monotonic_ns()
            found = self._connection.run(lambda conn: list_keys(conn, key_id))
            if not found:
                return None
            if len(self._cache) >= CACHED_MAX:
                self._cache.clear()
            until_ns = read_ns + CACHE_SECONDS * 1_000_000_000
            self._cache[key_id] = _Cached(key=found[0], until_ns=until_ns)
            return found[0]

    def organizations_of(self, entity_id: str) -> tuple[str, ...]:
        """Every organization an entity was ever stated to be of; none if nobody registered it.

        At most ENTITY_SECONDS old. Raises Unavailable if PostgreSQL cannot be asked.
        """
        with self._lock:
            found = self._entities.get(entity_id)
            if found is not None and time.monotonic_ns() < found[1]:
                return found[0]
            until_ns = time.monotonic_ns() + ENTITY_SECONDS * 1_000_000_000
            values = {"entity_id": entity_id}
            row = self._connection.run(
                lambda conn: conn.execute(query("organizations_of_entity"), values).fetchone()
            )
            organizations = tuple(row[0]) if row is not None else ()
            if len(self._entities) >= CACHED_MAX:
                self._entities.clear()
            self._entities[entity_id] = (organizations, until_ns)
            return organizations

    def record_read(self, key: ApiKey, method: str, path: str, query_text: str) -> None:
        """Writes down what a key asks for; Unavailable if it cannot be written."""
        values = {
            "key_id": key.key_id,
            "organization_id": key.organization_id,
            "method": method,
            "path": path,
            "query": query_text,
        }
        with self._lock:
            self._connection.run(lambda conn: conn.execute(query("insert_audited_read"), values))

    def ask(self) -> None:
        """Returns if PostgreSQL answers; raises Unavailable else."""
        with self._lock:
            self._connection.run(lambda conn: conn.execute("select 1"))

    def close(self) -> None:
        """Closes the connection."""
        with self._lock:
            self._connection.close()


def _check_suppliers(scopes: Collection[str], supplier_ids: Collection[str]) -> None:
    """A key that names suppliers is bound to them: it reads no others, and does something for them.

    Raises ConfigurationError `key_suppliers`.
    """
    if not supplier_ids:
        return
    wider = sorted(READS_ALL & set(scopes))
    if wider and "supplier:read" in scopes and tuple(supplier_ids) != (ANY_SUPPLIER,):
        raise ConfigurationError(
            "key_suppliers",
            f"a key with {' and '.join(wider)} reads every supplier's entries, whichever it names: "
            "leave those scopes out, or supplier:read, or name the supplier *",
        )
    if not SUPPLIER_SCOPES & set(scopes):
        raise ConfigurationError(
            "key_suppliers",
            "suppliers are of keys that declare or read for them; add "
            f"{' or '.join(sorted(SUPPLIER_SCOPES))}, or leave the suppliers out",
        )


def create_key(
    conn: Connection,
    *,
    organization_id: str,
    scopes: tuple[str, ...],
    supplier_ids: tuple[str, ...],
    holder: str,
    created_by: str,
    expires_at: datetime,
    person_id: str | None = None,
    role: str | None = None,
) -> NewKey:
    """A new key; its text is in what is returned and nowhere else.

    It has the scopes of `role`, and `scopes` besides. `person_id` is who the holder is, the same
    for all keys of one person; keys that submit or approve activities need one. `conn` is the
    writer's, in autocommit mode. Raises ConfigurationError `role_unknown`, `scope_unknown`,
    `organizations`, `key_holder`, `key_suppliers`, `key_person`, `holder_ambiguous` (another person
    is called so), `person_named_otherwise` (the person has another name in an earlier key),
    `key_expiry`, RejectedRecord `invalid_identifier`.
    """
    if "," in organization_id or organization_id == "*":
        raise ConfigurationError("organizations", "a key is of one organization")
    checked_organizations(organization_id)
    holder = holder.strip()
    if not holder or len(holder) > HOLDER_LENGTH_MAX or not holder.isprintable():
        raise ConfigurationError(
            "key_holder", f"the holder is 1 to {HOLDER_LENGTH_MAX} printable characters"
        )
    if supplier_ids != ("*",):
        for one in supplier_ids:
            check_identifier("supplier_id", one)
    chosen = scopes_of(role, scopes)
    _check_suppliers(chosen, supplier_ids)
    if person_id is not None:
        check_identifier("person_id", person_id)
    elif PERSON_SCOPES & set(chosen):
        raise ConfigurationError(
            "key_person",
            f"a key with {' or '.join(sorted(PERSON_SCOPES & set(chosen)))} is of one person; say "
            "who that is by an id, the same for all keys of the person",
        )
    drawn = new_key()
    values = {
        "key_id": drawn.key_id,
        "organization_id": organization_id,
        "secret_sha256": hash_of(drawn.secret),
        "scopes": list(chosen),
        "supplier_ids": list(supplier_ids),
        "holder": holder,
        "person_id": person_id,
        "role": role,
        "created_by": created_by,
        "expires_at": expires_at,
    }
    try:
        with conn.transaction():
            conn.execute("select pg_advisory_xact_lock(%s, 0)", (PERSON_LOCK,))
            if person_id is not None:
                _check_person(list_keys(conn), person_id, holder)
            conn.execute(query("insert_api_key"), values)
    except psycopg.errors.CheckViolation as error:
        raise ConfigurationError(
            "key_expiry",
            f"the key is refused by {error.diag.constraint_name}: "
            f"it would expire at {expires_at.isoformat()}",
        ) from error
    return drawn


def _check_person(keys: list[ApiKey], person_id: str, holder: str) -> None:
    """Returns if the name is the person's and nobody else's, in all keys ever made."""
    for one in keys:
        if one.person_id is None:
            continue
        is_same = same_person(one.holder, holder)
        if one.person_id == person_id and not is_same:
            raise ConfigurationError(
                "person_named_otherwise",
                f"{person_id} is called {one.holder!r} in key {one.key_id}; one person has one "
                "name, or two names would count as two people",
            )
        if one.person_id != person_id and is_same:
            raise ConfigurationError(
                "holder_ambiguous",
                f"{one.holder!r} is {one.person_id} in key {one.key_id}; write the name of "
                f"{person_id} so that it is told apart, for example with a department",
            )


def list_keys(conn: Connection, key_id: str | None = None) -> list[ApiKey]:
    """Every key ever made, oldest first, or the one of this id."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query("api_keys"), {"key_id": key_id}).fetchall()
    return [
        ApiKey(
            **{
                **row,
                "secret_sha256": bytes(row["secret_sha256"]),
                "scopes": tuple(row["scopes"]),
                "supplier_ids": tuple(row["supplier_ids"]),
            }
        )
        for row in rows
    ]


def revoke_key(conn: Connection, key_id: str, *, revoked_by: str, reason: str) -> ApiKey:
    """The key, which opens nothing any more; revoking it again changes nothing.

    `conn` is the writer's, in autocommit mode. Raises ConfigurationError `key_unknown`,
    `reason_missing`.
    """
    if not reason.strip() or not revoked_by.strip():
        raise ConfigurationError("reason_missing", "a revocation says who decided it, and why")
    if not list_keys(conn, key_id):
        raise ConfigurationError(
            "key_unknown", f"there is no key {key_id[:40]!r}; `carbon key list` shows them"
        )
    values = {"key_id": key_id, "revoked_by": revoked_by, "reason": reason}
    conn.execute(query("insert_api_key_revocation"), values)
    return list_keys(conn, key_id)[0]
