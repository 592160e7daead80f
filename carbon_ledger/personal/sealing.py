"""Encryption of what names a person: under a key of that person's own, bound to one event.

Belongs here: keys and what is done with them, pure. Does not: where keys are kept
(carbon_ledger.personal.key_files, carbon_ledger.store.vault).

Sealed fields are 0x01, a nonce of 12 bytes, and AES-256-GCM's ciphertext and tag of 16 bytes, as
base64url. Associated data are the event's id and the pseudonym, so that nothing can be moved to
another event, revision or person.

The nonce is not random but HMAC-SHA-256 over associated data and plaintext, cut to 12 bytes, under
a key of its own (the construction of SIV, RFC 5297, on top of GCM): the same event sent again is
the same bytes, and so a duplicate and not a conflict. What breaks GCM is one nonce for two
plaintexts under one key. Here a nonce comes back only with the very same plaintext and associated
data, where the whole ciphertext is the same and tells nothing new, or by a collision among 96 bits
of a pseudo-random function: for a million records of one person, about 2^40 pairs in 2^96. That two
records of one event are equal can be seen; that two events say the same cannot.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.personal.fields import PersonalFields
from carbon_ledger.personal.pseudonyms import decoded, encoded

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
VERSION: Final = b"\x01"
DOMAIN: Final = b"carbon-personal/1"


@dataclass(frozen=True, slots=True)
class SubjectKey:
    """One person's key, 32 bytes, which opens every record of that person."""

    secret: bytes = field(repr=False)

    @classmethod
    def new(cls) -> SubjectKey:
        """A key from the operating system's randomness."""
        return cls(os.urandom(KEY_BYTES))


def seal(key: SubjectKey, personal: PersonalFields, *, subject_ref: str, event_id: str) -> str:
    """`personal` as it may leave the producer; equal arguments give equal text."""
    bound = _framed(DOMAIN, event_id.encode(), subject_ref.encode())
    plain = personal.to_bytes()
    nonce_key = derived(key.secret, b"nonce")
    nonce = hmac.digest(nonce_key, _framed(bound, plain), "sha256")[:NONCE_BYTES]
    sealed = AESGCM(derived(key.secret, b"encryption")).encrypt(nonce, plain, bound)
    return encoded(VERSION + nonce + sealed)


def unseal(key: SubjectKey, text: str, *, subject_ref: str, event_id: str) -> PersonalFields:
    """What was sealed for this event and person.

    Raises RejectedRecord `ciphertext_refused` for bytes that are not exactly what `seal` made with
    this key, this pseudonym and this event.
    """
    data = decoded(text)
    if data is not None and data[:1] == VERSION and len(data) > NONCE_BYTES + TAG_BYTES:
        bound = _framed(DOMAIN, event_id.encode(), subject_ref.encode())
        nonce, sealed = data[1 : 1 + NONCE_BYTES], data[1 + NONCE_BYTES :]
        try:
            plain = AESGCM(derived(key.secret, b"encryption")).decrypt(nonce, sealed, bound)
        except InvalidTag:
            plain = None
        if plain is not None:
            return PersonalFields.from_bytes(plain)
    raise RejectedRecord(
        "ciphertext_refused",
        f"what is encrypted for {subject_ref} in {event_id} is not what was sealed for it",
        field="subject_ciphertext",
    )


def wrap(key: SubjectKey, *, vault_key: bytes, secret: bytes, subject_ref: str) -> bytes:
    """The key as the database keeps it: it takes the vault's key and the person's secret to open.

    The secret is drawn for this one key, so no nonce can come twice.
    """
    nonce = os.urandom(NONCE_BYTES)
    sealed = AESGCM(_wrapping(vault_key, secret)).encrypt(nonce, key.secret, subject_ref.encode())
    return VERSION + nonce + sealed


def unwrap(wrapped: bytes, *, vault_key: bytes, secret: bytes, subject_ref: str) -> SubjectKey:
    """The key that `wrap` wrapped. Raises BrokenInvariant `subject_key_refused`."""
    nonce, sealed = wrapped[1 : 1 + NONCE_BYTES], wrapped[1 + NONCE_BYTES :]
    try:
        return SubjectKey(
            AESGCM(_wrapping(vault_key, secret)).decrypt(nonce, sealed, subject_ref.encode())
        )
    except (InvalidTag, ValueError) as error:
        raise BrokenInvariant(
            "subject_key_refused",
            f"the key of {subject_ref} does not open with this vault's key and that subject's "
            "secret; one of the three was altered or is of another vault",
        ) from error


def lookup(vault_key: bytes, organization_id: str, source_id: str) -> bytes:
    """What a source's id of a person is found by: HMAC-SHA-256 (32 bytes) under the vault's key.

    Ids are few and easily guessed; without the key nobody can try them.
    """
    framed = _framed(organization_id.encode(), source_id.encode())
    return hmac.digest(derived(vault_key, b"lookup"), framed, "sha256")


def key_id(vault_key: bytes) -> str:
    """Which vault key this is, without telling anything about it: 16 hexadecimal digits."""
    return hashlib.sha256(derived(vault_key, b"key id")).hexdigest()[:16]


def derived(secret: bytes, purpose: bytes) -> bytes:
    """A key of 32 bytes for one purpose (HKDF-SHA-256, RFC 5869)."""
    info = DOMAIN + b" " + purpose
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(secret)


def _wrapping(vault_key: bytes, secret: bytes) -> bytes:
    if len(vault_key) != KEY_BYTES or len(secret) != KEY_BYTES:
        raise BrokenInvariant("vault_key_length", f"a key of the vault has {KEY_BYTES} bytes")
    return derived(vault_key + secret, b"wrapping")


def _framed(*parts: bytes) -> bytes:
    # Each with its length in front, so that no two lists of parts are the same bytes.
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)
