"""API keys: what one looks like, what it may open, and how its secret is compared.

Belongs here: the text of a key, scopes, whether a key is good at a moment. Does not: where keys are
kept (carbon_ledger.store.keys), HTTP (api.security).

A key is `ck_<key id>_<secret>`. The key id is no secret; the secret is 256 random bits, of which
only the SHA-256 is kept: a hash that is made to be slow protects what people choose, not this.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from carbon_ledger.errors import ConfigurationError

# Scope: what a key with it may do. `carbon key create` and the API know no others.
SCOPES: Final[dict[str, str]] = {
    "submit:supplier": "declare for its own suppliers, footprints of the PACT exchange included",
    "supplier:read": "read what is of its own suppliers",
    "ledger:read": "read inventories, entries and changes of its organization",
    "ledger:export": "export every entry of its organization",
    "factors:read": "read factors and their releases",
    "lineage:read": "trace entries of its organization to their records and reports",
    "lineage:sign": "sign off on cells of reports, entries and samples of its organization",
    "completeness:read": "read what was expected of the sources and is missing",
    "activities:submit": "submit activities that no stream carries",
    "activities:approve": "approve activities that somebody else submitted",
    "dlq:read": "list and show dead letters",
    "dlq:write": "replay and discard dead letters",
}
# What somebody of a role needs, and no more. What an auditor's key reads is recorded.
ROLES: Final[dict[str, tuple[str, ...]]] = {
    "operator": (
        *("ledger:read", "ledger:export", "factors:read", "lineage:read", "completeness:read"),
        *("dlq:read", "dlq:write"),
    ),
    "reporter": (
        *("ledger:read", "ledger:export", "factors:read", "lineage:read", "completeness:read"),
    ),
    "auditor": (
        *("ledger:read", "ledger:export", "factors:read", "lineage:read", "lineage:sign"),
        *("completeness:read", "dlq:read"),
    ),
    "supplier": ("submit:supplier", "supplier:read"),
    "service": ("ledger:read", "factors:read", "completeness:read"),
}
AUDITOR: Final = "auditor"
# With these, one person does what another person must not have done: the key is of a person.
PERSON_SCOPES: Final = frozenset({"activities:submit", "activities:approve"})
# What a person answers for with a name: the local stack's own key is nobody's.
ANSWERED_FOR: Final = PERSON_SCOPES | {"lineage:sign"}
ANY_SUPPLIER: Final = "*"
# With these a key is of the suppliers it names, with those it reads what is of everybody.
SUPPLIER_SCOPES: Final = frozenset({"submit:supplier", "supplier:read"})
READS_ALL: Final = frozenset({"ledger:read", "ledger:export"})

_KEY = re.compile(r"ck_([a-z2-7]{16})_([a-z2-7]{52})")
_KEY_ID_BYTES: Final = 10
_SECRET_BYTES: Final = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiKey:
    """A key as it is kept: whose it is, what it may do, until when.

    `role` is what it was made for (None: single scopes). `person_id` is who the holder is: one name
    for each id, one id for each name. None: a company's, or a key that was made before persons had
    ids.
    """

    key_id: str
    organization_id: str
    secret_sha256: bytes
    scopes: tuple[str, ...]
    supplier_ids: tuple[str, ...]
    holder: str
    created_at: datetime
    created_by: str
    expires_at: datetime
    person_id: str | None = None
    role: str | None = None
    revoked_at: datetime | None = None
    revoked_by: str | None = None
    reason: str | None = None

    def is_good(self, now: datetime) -> bool:
        """Whether it opens anything at `now`: neither expired nor revoked."""
        return self.revoked_at is None and now < self.expires_at

    def is_opened_by(self, secret: str) -> bool:
        """Whether `secret` is its secret, told in a time that does not depend on how near it is."""
        return hmac.compare_digest(hash_of(secret), self.secret_sha256)

    def may_submit_for(self, supplier_id: str) -> bool:
        """Whether it may declare for this supplier."""
        return self.supplier_ids == (ANY_SUPPLIER,) or supplier_id in self.supplier_ids


@dataclass(frozen=True, kw_only=True, slots=True)
class NewKey:
    """A key just drawn. `text` is shown once, to its holder, and kept nowhere."""

    key_id: str
    secret: str

    @property
    def text(self) -> str:
        """The whole key."""
        return f"ck_{self.key_id}_{self.secret}"


def new_key() -> NewKey:
    """A key drawn at random."""
    return NewKey(key_id=_drawn(_KEY_ID_BYTES), secret=_drawn(_SECRET_BYTES))


def parts_of(text: str) -> tuple[str, str] | None:
    """Key id and secret of a key, or None if this is none."""
    found = _KEY.fullmatch(text)
    return None if found is None else (found[1], found[2])


def hash_of(secret: str) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def scopes_of(role: str | None, scopes: tuple[str, ...]) -> tuple[str, ...]:
    """The scopes of a role and single ones besides; ConfigurationError `role_unknown`,
    `scope_unknown`.
    """
    if role is not None and role not in ROLES:
        raise ConfigurationError(
            "role_unknown", f"{role!r} is no role; known are: {', '.join(ROLES)}"
        )
    return checked_scopes((*(ROLES[role] if role else ()), *scopes))


def checked_scopes(scopes: tuple[str, ...]) -> tuple[str, ...]:
    """The scopes, each once, in the table's order; ConfigurationError `scope_unknown`."""
    unknown = [one for one in scopes if one not in SCOPES]
    if unknown or not scopes:
        raise ConfigurationError(
            "scope_unknown",
            f"{unknown[0] if unknown else 'no scope'!r} is no scope; known are: "
            f"{', '.join(SCOPES)}",
        )
    return tuple(one for one in SCOPES if one in scopes)


def _drawn(size: int) -> str:
    return base64.b32encode(secrets.token_bytes(size)).decode().rstrip("=").lower()
