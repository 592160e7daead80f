"""Checks a proof about the ledger offline: `python check_proof.py PROOF.json --key PUBLIC_KEY`.

Belongs here: canonical bytes, RFC 6962 hashes, signed heads, proofs: all that an auditor without
the ledger needs, in one file that can be handed over (Python 3.11 and `cryptography`, nothing
else). Does not: reading a database, making proofs or heads.

An inclusion proof shows that an entry, field by field, is leaf `leaf_index` of the tree whose head
was signed; a consistency proof, that the tree of one signed head is the beginning of another's.
The forms of both are in docs/verify.md.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

SEPARATOR = b"\x1f"
NULL = b"\x00"
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
ED25519 = 1
COSIGNATURE = 4
HASH_BYTES = 32

# What an entry's fields are, in the order of its canonical bytes; version 2 has six more.
_BEFORE = (
    "organization_id text, entry_id uuid, event_id text, line_no integer, activity_ref text,"
    " claim_key text, stream text, activity_month date, local_date date, occurred_from timestamp,"
    " occurred_to timestamp, recorded_at timestamp, scope integer, category integer, basis text,"
    " facility_id text, source_ref text, country_iso2 text, region text, activity_type text,"
    " quantity numeric, unit text, kgco2e posted, gas_split text, kg_co2_fossil posted,"
    " kg_co2_biogenic posted, kg_ch4 posted, kg_n2o posted, other_gases json, gwp_set text,"
    " kgco2e_granular posted, factor_id text, factor_version integer, factor_release text,"
    " factor_match text, vintage_gap_years integer, flags text, formula_id text"
)
_QUALITY = (
    "method text, rule_id text, supersession_rank integer, primary_share numeric,"
    " activity_scores text, factor_scores text"
)
_AFTER = (
    "reverses_id uuid, cause text, subject_ref text, payload_sha256 bytes, schema_sha256 bytes,"
    " code_version text, topic text, topic_incarnation integer, kafka_partition integer,"
    " kafka_offset integer"
)


def _fields(text: str) -> tuple[tuple[str, str], ...]:
    pairs = [field.split() for field in text.split(",")]
    return tuple((name, kind) for name, kind in pairs)


QUALITY_COLUMNS: tuple[str, ...] = tuple(name for name, _ in _fields(_QUALITY))
# Column and kind by version of the canonical bytes.
CANONICAL: dict[int, tuple[tuple[str, str], ...]] = {
    1: _fields(f"{_BEFORE}, {_AFTER}"),
    2: _fields(f"{_BEFORE}, {_QUALITY}, {_AFTER}"),
}
TAGS: dict[int, bytes] = {1: b"carbon-entry/1", 2: b"carbon-entry/2"}

_SPELLING = {
    "text": re.compile(r"[^\x00-\x1f\x7f]*"),
    "json": re.compile(r"\{[^\x00-\x1f\x7f]*\}"),
    "integer": re.compile(r"0|-?[1-9][0-9]*"),
    "timestamp": re.compile(r"0|-?[1-9][0-9]*"),
    "numeric": re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?"),
    "posted": re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]{12}"),
    "date": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    "uuid": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "bytes": re.compile(r"([0-9a-f]{2})*"),
}


class ProofError(Exception):
    """Why a proof, a head or a key is refused, in one sentence."""


# --- entries ------------------------------------------------------------------------------------


def canonical_bytes(entry: Mapping[str, str | None], preimage: int) -> bytes:
    """What the entry's content hash is the SHA-256 of; ProofError unless each field is there,
    no other is, and each is spelled in the one way of its kind.
    """
    if type(preimage) is not int or preimage not in CANONICAL:
        raise ProofError(f"preimage {preimage!r} is unknown; known are 1 and 2")
    columns = CANONICAL[preimage]
    strange = set(entry) ^ {name for name, _ in columns}
    if strange:
        raise ProofError(f"the entry's fields are wrong at: {', '.join(sorted(strange))}")
    spelled = [TAGS[preimage]]
    for name, kind in columns:
        text = entry[name]
        if text is None:
            spelled.append(NULL)
        elif type(text) is str and _SPELLING[kind].fullmatch(text) and not CONTROL.search(text):
            spelled.append(text.encode())
        else:
            raise ProofError(f"{name} {text!r} is not spelled as {kind}")
    return SEPARATOR.join(spelled)


# --- the tree (RFC 6962, 2.1; RFC 9162, 2.1) ----------------------------------------------------


def leaf_hash(data: bytes) -> bytes:
    """Hash of a leaf; its data is an entry's 32-byte content hash."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of a node over its two children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that `path` leads to from the leaf hash at `index` of `size` (RFC 9162, 2.1.3.2);
    ProofError if a tree of that size has no such leaf or its paths are longer or shorter.
    """
    if not 0 <= index < size:
        raise ProofError(f"a tree of {size} leaves has no leaf {index}")
    node, last, root = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise ProofError("the path is too long")
        if node & 1 or node == last:
            root = node_hash(sibling, root)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise ProofError("the path is too short")
    return root


def check_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]
) -> None:
    """ProofError unless `path` shows that the tree of `old_size` leaves is the beginning of the
    tree of `new_size` (RFC 9162, 2.1.4.2).
    """
    if not 0 <= old_size <= new_size:
        raise ProofError(f"{old_size} leaves are no beginning of {new_size}")
    if old_size in (0, new_size):
        if path:
            raise ProofError("the path must be empty")
        expected = new_root if old_size else hashlib.sha256().digest()
        if old_root != expected:
            raise ProofError(f"two different roots for {old_size} leaves")
        return
    steps = list(path)
    if old_size & (old_size - 1) == 0:
        steps.insert(0, old_root)
    if not steps:
        raise ProofError("the path is too short")
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise ProofError("the path is too long")
        if node & 1 or node == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, step)
        node, last = node >> 1, last >> 1
    if last:
        raise ProofError("the path is too short")
    if old != old_root or new != new_root:
        raise ProofError(f"the tree of {old_size} leaves is no beginning of that of {new_size}")


# --- signed heads (C2SP signed-note, tlog-checkpoint, tlog-cosignature) ---------------------------


@dataclass(frozen=True, kw_only=True)
class Signature:
    """One signature line of a note."""

    name: str
    key_id: bytes
    value: bytes


@dataclass(frozen=True, kw_only=True)
class Head:
    """A signed head: the first `tree_size` leaves of `origin` have `root` (32 bytes)."""

    origin: str
    tree_size: int
    root: bytes
    extensions: tuple[str, ...]
    body: bytes
    signatures: tuple[Signature, ...]


def decode64(text: object, length: int | None = None) -> bytes:
    """Standard base64 in its one spelling; ProofError for anything else or another length."""
    if type(text) is not str:
        raise ProofError(f"{text!r} is no base64 text")
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ProofError(f"{text[:60]!r} is no base64") from None
    if base64.b64encode(found).decode() != text:
        raise ProofError(f"{text[:60]!r} is no base64 in its one spelling")
    if length is not None and len(found) != length:
        raise ProofError(f"{text[:60]!r} is {len(found)} bytes; {length} are needed")
    return found


def parse_head(note: object) -> Head:
    """The head of a signed note, its signatures not checked yet; ProofError for a malformed one."""
    if type(note) is not str:
        raise ProofError("the head is no text")
    body, gap, tail = note.rpartition("\n\n")
    if not gap or not tail.endswith("\n") or re.search(r"[\x00-\x09\x0b-\x1f\x7f]", note):
        raise ProofError("the head is no signed note: text, an empty line, signature lines")
    origin, *lines = body.split("\n")
    if not origin or len(lines) < 2 or "" in lines:
        raise ProofError("the head has no origin, no size or no root")
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", lines[0]):
        raise ProofError(f"{lines[0][:60]!r} is no number of leaves")
    signatures = []
    for line in tail[:-1].split("\n"):
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "\u2014" or not parts[1] or "+" in parts[1]:
            raise ProofError(f"{line[:60]!r} is no signature line")
        value = decode64(parts[2])
        signatures.append(Signature(name=parts[1], key_id=value[:4], value=value[4:]))
    return Head(
        origin=origin,
        tree_size=int(lines[0]),
        root=decode64(lines[1], HASH_BYTES),
        extensions=tuple(lines[2:]),
        body=f"{body}\n".encode(),
        signatures=tuple(signatures),
    )


def key_id(name: str, key: bytes, algorithm: int = ED25519) -> bytes:
    """The four bytes by which a signature line names the key it was made with."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([algorithm]) + key).digest()[:4]


def _is_signed(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def check_signature(head: Head, key: bytes) -> None:
    """ProofError unless the origin of `head` has signed it with the Ed25519 `key`."""
    known = key_id(head.origin, key)
    own = [one for one in head.signatures if (one.name, one.key_id) == (head.origin, known)]
    if not own:
        raise ProofError(f"the head of {head.tree_size} leaves is not signed with this key")
    if not all(_is_signed(key, one.value, head.body) for one in own):
        raise ProofError(f"the signature of the head of {head.tree_size} leaves is wrong")


def cosigned_at(head: Head, name: str, key: bytes) -> int:
    """Seconds since 1970 at which the witness `name` cosigned `head` (cosignature/v1); ProofError
    if it has not.
    """
    known = key_id(name, key, COSIGNATURE)
    for one in head.signatures:
        if (one.name, one.key_id) == (name, known) and len(one.value) == 72:
            moment = int.from_bytes(one.value[:8], "big")
            message = f"cosignature/v1\ntime {moment}\n".encode() + head.body
            if _is_signed(key, one.value[8:], message):
                return moment
            raise ProofError(f"the cosignature of {name} is wrong")
    raise ProofError(f"{name} has not cosigned the head of {head.tree_size} leaves")


def read_key(text: str) -> bytes:
    """The 32 bytes of an Ed25519 public key: PEM, `name+hash+base64`, base64 or hexadecimal."""
    stripped = text.strip()
    if stripped.startswith("-----BEGIN"):
        try:
            key = load_pem_public_key(stripped.encode())
        except ValueError:
            raise ProofError("the key file is no PEM of a public key") from None
        if not isinstance(key, Ed25519PublicKey):
            raise ProofError("the key is no Ed25519 key")
        return key.public_bytes_raw()
    if re.fullmatch(r"[0-9a-fA-F]{64}", stripped):
        return bytes.fromhex(stripped)
    name, plus, rest = stripped.partition("+")
    if plus and re.fullmatch(r"[0-9a-f]{8}\+.+", rest):
        identity, _, spelled = rest.partition("+")
        typed = decode64(spelled, 1 + HASH_BYTES)
        if key_id(name, typed[1:], typed[0]).hex() != identity:
            raise ProofError("the verifier key's hash is not that of its name and key")
        return typed[1:]
    return decode64(stripped, HASH_BYTES)


# --- proofs -------------------------------------------------------------------------------------

INCLUSION_KEYS = ("kind", "preimage", "entry", "leaf_index", "tree_size", "path", "head")
CONSISTENCY_KEYS = ("kind", "old_head", "new_head", "path")


def _check_keys(proof: Mapping[str, Any], keys: Sequence[str], key: bytes) -> None:
    strange = (set(proof) - {"public_key"}) ^ set(keys)
    if strange:
        raise ProofError(f"the proof's fields are wrong at: {', '.join(sorted(strange))}")
    if "public_key" in proof and decode64(proof["public_key"], HASH_BYTES) != key:
        raise ProofError("the proof was made for another key than the one given")


def _path(proof: Mapping[str, Any]) -> list[bytes]:
    if type(proof["path"]) is not list:
        raise ProofError("the path is no list")
    return [decode64(step, HASH_BYTES) for step in proof["path"]]


def _signed_head(note: object, key: bytes) -> Head:
    head = parse_head(note)
    check_signature(head, key)
    return head


def check_inclusion_proof(proof: Mapping[str, Any], key: bytes) -> Head:
    """The signed head that holds the proof's entry; ProofError if the proof does not hold."""
    _check_keys(proof, INCLUSION_KEYS, key)
    if type(proof["entry"]) is not dict:
        raise ProofError("the entry is no object")
    for name in ("leaf_index", "tree_size"):
        if type(proof[name]) is not int:
            raise ProofError(f"{name} {proof[name]!r} is no whole number")
    head = _signed_head(proof["head"], key)
    if head.tree_size != proof["tree_size"]:
        raise ProofError(f"the head is of {head.tree_size} leaves, not of {proof['tree_size']}")
    content = hashlib.sha256(canonical_bytes(proof["entry"], proof["preimage"])).digest()
    leaf = leaf_hash(content)
    root = root_of_inclusion(leaf, proof["leaf_index"], head.tree_size, _path(proof))
    if root != head.root:
        raise ProofError(f"the entry is not leaf {proof['leaf_index']} of the signed tree")
    return head


def check_consistency_proof(proof: Mapping[str, Any], key: bytes) -> tuple[Head, Head]:
    """Both signed heads; ProofError if the first one's tree is no beginning of the second's."""
    _check_keys(proof, CONSISTENCY_KEYS, key)
    old, new = _signed_head(proof["old_head"], key), _signed_head(proof["new_head"], key)
    if old.origin != new.origin:
        raise ProofError(f"{old.origin} and {new.origin} are two ledgers")
    check_consistency(old.tree_size, new.tree_size, old.root, new.root, _path(proof))
    return old, new


def _no_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ProofError("a field is there twice")
    return found


def check_text(text: str, key: bytes) -> str:
    """What the proof in `text` (JSON) proves, in one sentence; ProofError if it does not hold."""
    try:
        proof = json.loads(text, object_pairs_hook=_no_repetition)
    except json.JSONDecodeError as error:
        raise ProofError(f"the proof is no JSON: {error}") from None
    if type(proof) is not dict or proof.get("kind") not in ("inclusion", "consistency"):
        raise ProofError("the proof is neither of inclusion nor of consistency")
    if proof["kind"] == "consistency":
        old, new = check_consistency_proof(proof, key)
        return (
            f"the tree of {old.tree_size} leaves is the beginning of the tree of {new.tree_size}"
            f" leaves, both signed by {new.origin}"
        )
    head = check_inclusion_proof(proof, key)
    return (
        f"entry {proof['entry']['entry_id']} is leaf {proof['leaf_index']} of the"
        f" {head.tree_size} that {head.origin} signed"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """0 and what was proved, or 1 and why not."""
    parser = argparse.ArgumentParser(description="Check a proof about the ledger, offline.")
    parser.add_argument("proof", type=Path, help="JSON file of `carbon prove`")
    parser.add_argument("--key", type=Path, required=True, help="file of the public key you trust")
    options = parser.parse_args(arguments)
    try:
        key = read_key(options.key.read_text(encoding="utf-8"))
        proved = check_text(options.proof.read_text(encoding="utf-8"), key)
    except (ProofError, OSError, UnicodeDecodeError) as error:
        sys.stderr.write(f"refused: {error}\n")
        return 1
    sys.stdout.write(f"proved: {proved}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
