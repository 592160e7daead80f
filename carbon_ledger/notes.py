"""Signed heads of the tree: notes and checkpoints as C2SP signed-note, tlog-checkpoint and
tlog-cosignature have them.

Belongs here: their text, Ed25519 signatures, the check of both. Does not: where keys are kept
(carbon_ledger.signing_keys), what a head is of (carbon_ledger.store.seals), where it goes
(pipeline.heads).

A note is text that ends in a newline, an empty line, and signature lines `— name base64`, each of a
four-byte key id and a signature over the text. A checkpoint is a note whose text is the log's
origin, the tree's size, its root as base64, and extension lines.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from carbon_ledger.errors import ConfigurationError, RejectedRecord

ED25519: Final = 1
COSIGNATURE: Final = 4
HASH_BYTES: Final = 32
KEY_BYTES: Final = 32
KEY_ID_BYTES: Final = 4
TIME_BYTES: Final = 8
SIGNATURE_BYTES: Final = 64
DASH: Final = "\u2014"
_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]{1,200}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """A signature line: `value` is what follows the four bytes of the key id."""

    name: str
    key_id: bytes
    value: bytes

    @property
    def line(self) -> str:
        """The line, with its newline."""
        return f"{DASH} {self.name} {base64.b64encode(self.key_id + self.value).decode()}\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """A text, which ends in a newline, and its signatures."""

    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return f"{self.text}\n" + "".join(one.line for one in self.signatures)


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """The first `tree_size` leaves of the log `origin` have this root (32 bytes)."""

    origin: str
    tree_size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The note's text."""
        lines = (self.origin, str(self.tree_size), base64.b64encode(self.root).decode())
        return "".join(f"{line}\n" for line in (*lines, *self.extensions))


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifierKey:
    """A name and its Ed25519 public key; `name+key id+base64` as text."""

    name: str
    public_key: bytes
    algorithm: int = ED25519

    @property
    def key_id(self) -> bytes:
        """The four bytes that name the key in a signature line."""
        typed = bytes([self.algorithm]) + self.public_key
        return hashlib.sha256(self.name.encode() + b"\n" + typed).digest()[:KEY_ID_BYTES]

    def __str__(self) -> str:
        typed = bytes([self.algorithm]) + self.public_key
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(typed).decode()}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """The key in `name+key id+base64`; ConfigurationError for anything else."""
        wrong = ConfigurationError(
            "verifier_key",
            f"{text[:80]!r} is no verifier key; valid is name+key id+base64 of an Ed25519 key",
        )
        parts = text.strip().split("+", 2)
        if len(parts) != 3 or not _NAME.fullmatch(parts[0]):
            raise wrong
        try:
            typed = base64.b64decode(parts[2], validate=True)
        except binascii.Error:
            raise wrong from None
        if len(typed) != 1 + KEY_BYTES or typed[0] not in (ED25519, COSIGNATURE):
            raise wrong
        found = cls(name=parts[0], public_key=typed[1:], algorithm=typed[0])
        if found.key_id.hex() != parts[1]:
            raise wrong
        return found

    def of_cosignatures(self) -> VerifierKey:
        """The same key as that of a witness's timestamped cosignatures."""
        return VerifierKey(name=self.name, public_key=self.public_key, algorithm=COSIGNATURE)


@dataclass(frozen=True, kw_only=True)
class Signer:
    """Signs under `name`; the private key is never printed."""

    name: str
    private_key: Ed25519PrivateKey

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                "key_name", f"{self.name[:80]!r} is no name of a key: no blanks and no `+` in it"
            )

    def __repr__(self) -> str:
        return f"Signer({self.key})"

    @property
    def key(self) -> VerifierKey:
        """What its signatures are verified with."""
        return VerifierKey(
            name=self.name, public_key=self.private_key.public_key().public_bytes_raw()
        )

    def sign(self, text: str) -> Note:
        """`text`, which ends in a newline, as a note with this signature."""
        check_text(text)
        signed = self.private_key.sign(text.encode())
        line = Signature(name=self.name, key_id=self.key.key_id, value=signed)
        return Note(text=text, signatures=(line,))

    def cosign(self, text: str, seconds: int) -> Signature:
        """A witness's cosignature/v1 of `text`, made `seconds` after 1970 began."""
        check_text(text)
        signed = self.private_key.sign(_cosigned(text, seconds))
        return Signature(
            name=self.name,
            key_id=self.key.of_cosignatures().key_id,
            value=seconds.to_bytes(TIME_BYTES, "big") + signed,
        )


def _cosigned(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def _refused(why: str) -> RejectedRecord:
    return RejectedRecord("note_refused", why)


def check_text(text: str) -> None:
    """RejectedRecord unless `text` can be a note's: it ends in a newline and has no control
    characters.
    """
    if not text.endswith("\n") or _CONTROL.search(text):
        raise _refused("the note's text does not end in a newline or holds control characters")


def parse_note(note: str) -> Note:
    """The note's text and signatures, unchecked; RejectedRecord for anything malformed."""
    text, gap, tail = note.rpartition("\n\n")
    if not gap or not text or not tail.endswith("\n"):
        raise _refused("no signed note: text, an empty line, signature lines")
    check_text(f"{text}\n")
    return Note(text=f"{text}\n", signatures=parse_signatures(tail))


def parse_signatures(lines: str) -> tuple[Signature, ...]:
    """The signature lines; RejectedRecord for anything else."""
    found = []
    for line in lines.removesuffix("\n").split("\n"):
        words = line.split(" ")
        if len(words) != 3 or words[0] != DASH or not _NAME.fullmatch(words[1]):
            raise _refused(f"{line[:60]!r} is no signature line")
        value = _decoded(words[2])
        if len(value) <= KEY_ID_BYTES:
            raise _refused(f"{line[:60]!r} holds no signature")
        found.append(
            Signature(name=words[1], key_id=value[:KEY_ID_BYTES], value=value[KEY_ID_BYTES:])
        )
    return tuple(found)


def parse_checkpoint(text: str) -> Checkpoint:
    """The checkpoint that a note's text is; RejectedRecord for anything else."""
    lines = text.removesuffix("\n").split("\n")
    if len(lines) < 3 or "" in lines:
        raise _refused("no checkpoint: origin, size and root, one line each")
    if not _SIZE.fullmatch(lines[1]):
        raise _refused(f"{lines[1][:60]!r} is no size of a tree")
    root = _decoded(lines[2])
    if len(root) != HASH_BYTES:
        raise _refused(f"{lines[2][:60]!r} is no root of 32 bytes")
    return Checkpoint(
        origin=lines[0], tree_size=int(lines[1]), root=root, extensions=tuple(lines[3:])
    )


def _decoded(text: str) -> bytes:
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _refused(f"{text[:60]!r} is no base64") from None
    if base64.b64encode(found).decode() != text:
        raise _refused(f"{text[:60]!r} is no base64 in its one spelling")
    return found


def _is_signed(public_key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def verify_note(note: Note, key: VerifierKey) -> None:
    """RejectedRecord `note_unsigned` unless `key` has signed the note, and only rightly."""
    own = [one for one in note.signatures if (one.name, one.key_id) == (key.name, key.key_id)]
    if not own or not all(_is_signed(key.public_key, one.value, note.text.encode()) for one in own):
        raise RejectedRecord("note_unsigned", f"the note is not signed with the key {key}")


def verify_cosignature(text: str, signatures: Sequence[Signature], key: VerifierKey) -> int:
    """Seconds after 1970 at which the witness cosigned `text`; RejectedRecord `note_unsigned` if no
    line is a cosignature of `key`.
    """
    timed = key.of_cosignatures()
    for one in signatures:
        if (one.name, one.key_id) != (timed.name, timed.key_id):
            continue
        if len(one.value) == TIME_BYTES + SIGNATURE_BYTES:
            seconds = int.from_bytes(one.value[:TIME_BYTES], "big")
            if _is_signed(key.public_key, one.value[TIME_BYTES:], _cosigned(text, seconds)):
                return seconds
    raise RejectedRecord("note_unsigned", f"{key.name} has not cosigned the note")
