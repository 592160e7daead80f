"""How an event names a person: by a pseudonym and by bytes that only that person's key opens.

Belongs here: the form of both, and drawing a pseudonym. Does not: keys and encryption
(carbon_ledger.personal.sealing), which pseudonym is whose (carbon_ledger.store.vault).

No refusal of this module shows the value it refuses: whatever was put there by mistake may be a
name, and refusals are stored and logged.
"""

from __future__ import annotations

import base64
import re
import secrets
from typing import Final

from carbon_ledger.errors import RejectedRecord

# The fields of an event that tell of a person.
SUBJECT_FIELD: Final = "subject_ref"
SEALED_FIELD: Final = "subject_ciphertext"
CIPHERTEXT_CHARACTERS_MAX: Final = 16_384

_PSEUDONYM = re.compile(r"s_[a-z2-7]{26}")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")


def new_subject_ref() -> str:
    """A pseudonym nobody has had: 130 random bits, so that no one can get from a person to it."""
    return "s_" + base64.b32encode(secrets.token_bytes(17)).decode()[:26].lower()


def is_subject_ref(value: object) -> bool:
    """Whether `value` has the form of a pseudonym."""
    return isinstance(value, str) and _PSEUDONYM.fullmatch(value) is not None


def pseudonym(field: str, value: object) -> str:
    """`value` if it is a pseudonym; code `invalid_subject_ref`, which does not show the value."""
    if isinstance(value, str) and is_subject_ref(value):
        return value
    raise RejectedRecord(
        "invalid_subject_ref",
        f"{field} is not a pseudonym",
        field=field,
        valid="s_ and 26 characters out of a-z 2-7, as `carbon subject add` gives them",
    )


def ciphertext(field: str, value: object) -> str:
    """`value` if it may be sealed personal fields; code `invalid_ciphertext`, without the value.

    Each text of bytes has one spelling, so that nothing can be altered without changing the bytes.
    """
    if isinstance(value, str) and len(value) <= CIPHERTEXT_CHARACTERS_MAX:
        data = decoded(value)
        if data is not None:
            return value
    raise RejectedRecord(
        "invalid_ciphertext",
        f"{field} is not sealed personal data",
        field=field,
        valid=f"base64url without padding, at most {CIPHERTEXT_CHARACTERS_MAX} characters",
    )


def encoded(data: bytes) -> str:
    """base64url without padding (RFC 4648, section 5)."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def decoded(text: str) -> bytes | None:
    """The bytes that `encoded` spells as `text`; None if it spells none so."""
    if _BASE64URL.fullmatch(text) is None or len(text) % 4 == 1:
        return None
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return data if encoded(data) == text else None


def check_pair(subject_ref: object, sealed: object) -> None:
    """Raises RejectedRecord `subject_incomplete` if there is one of the two without the other."""
    if (subject_ref is None) != (sealed is None):
        raise RejectedRecord(
            "subject_incomplete",
            "a pseudonym and what is encrypted for it come together",
            field="subject_ref" if subject_ref is None else "subject_ciphertext",
            valid="both, or neither",
        )
