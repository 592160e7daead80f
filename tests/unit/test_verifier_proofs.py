"""The proof check: what the ledger proves holds, whatever is changed in a proof is refused."""

from __future__ import annotations

import base64
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from carbon_ledger import entries, merkle
from carbon_ledger.entries import EntryRow
from carbon_ledger.notes import Checkpoint, Signer
from tests.support.entry_examples import examples
from verifier import check_proof
from verifier.check_proof import ProofError, check_text, parse_head, read_key

Json = dict[str, Any]
ORIGIN = "carbon-ledger"
SIGNER = Signer(name=ORIGIN, private_key=Ed25519PrivateKey.generate())
KEY = SIGNER.key.public_key
SHAPES = examples()
VERSION_1 = {
    f"{name}_1": replace(row, preimage=1, **dict.fromkeys(check_proof.QUALITY_COLUMNS))
    for name, row in SHAPES.items()
}


def fields_of(row: EntryRow) -> dict[str, str | None]:
    """The entry as a proof spells it."""
    return {
        name: None if getattr(row, name) is None else entries.SPELLING[kind](getattr(row, name))
        for name, kind in entries.CANONICAL_OF[row.preimage]
    }


def encoded(path: list[bytes]) -> list[str]:
    return [base64.b64encode(step).decode() for step in path]


def head_of(leaves: list[bytes], signer: Signer = SIGNER) -> str:
    checkpoint = Checkpoint(
        origin=ORIGIN, tree_size=len(leaves), root=merkle.root(leaves), extensions=("seal 7",)
    )
    return str(signer.sign(checkpoint.text))


def tree(rows: list[EntryRow]) -> list[bytes]:
    return [merkle.leaf_hash(entries.content_sha256(row)) for row in rows]


ROWS = [*SHAPES.values(), *VERSION_1.values()]
LEAVES = tree(ROWS)


def inclusion(index: int) -> Json:
    """A proof of one of ROWS."""
    parts = merkle.inclusion_ranges(index, len(LEAVES))
    return {
        "kind": "inclusion",
        "preimage": ROWS[index].preimage,
        "entry": fields_of(ROWS[index]),
        "leaf_index": index,
        "tree_size": len(LEAVES),
        "path": encoded([merkle.root(LEAVES[start:end]) for start, end in parts]),
        "head": head_of(LEAVES),
        "public_key": base64.b64encode(KEY).decode(),
    }


def consistency(old: int, new: int) -> Json:
    """A proof that the first `old` leaves are the beginning of the first `new`."""
    parts = merkle.consistency_ranges(old, new)
    return {
        "kind": "consistency",
        "old_head": head_of(LEAVES[:old]),
        "new_head": head_of(LEAVES[:new]),
        "path": encoded([merkle.root(LEAVES[start:end]) for start, end in parts]),
        "public_key": base64.b64encode(KEY).decode(),
    }


@pytest.mark.parametrize("name", [*SHAPES, *VERSION_1])
def test_canonical_bytes_are_the_ledgers(name: str) -> None:
    row = {**SHAPES, **VERSION_1}[name]
    own = check_proof.canonical_bytes(fields_of(row), row.preimage)
    assert own == entries.canonical_bytes(row)


def test_each_entry_is_proved() -> None:
    for index, row in enumerate(ROWS):
        said = check_text(json.dumps(inclusion(index)), KEY)
        assert str(row.entry_id) in said
        assert f"leaf {index} of the {len(ROWS)}" in said


def test_each_beginning_is_proved() -> None:
    for new in range(1, len(LEAVES) + 1):
        for old in range(1, new + 1):
            assert f"{old} leaves" in check_text(json.dumps(consistency(old, new)), KEY)


def flip_character(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text))
    other = chance.choice([one for one in "aA0zZ9+/-. \n" if one != text[at]])
    return text[:at] + other + text[at + 1 :]


def change_entry(proof: Json, chance: random.Random) -> None:
    name = chance.choice(sorted(proof["entry"]))
    value = proof["entry"][name]
    options: list[str | None] = ["", "0", "x"] if value is None else [None, value + "0"]
    if value:
        options.append(flip_character(value, chance))
    if value != "":
        options.append("")
    proof["entry"][name] = chance.choice([one for one in options if one != value])


def swap_fields(proof: Json, chance: random.Random) -> None:
    while True:
        one, other = chance.sample(sorted(proof["entry"]), 2)
        if proof["entry"][one] != proof["entry"][other]:
            break
    fields = proof["entry"]
    fields[one], fields[other] = fields[other], fields[one]


def change_fields(proof: Json, chance: random.Random) -> None:
    name = chance.choice(sorted(proof["entry"]))
    if chance.random() < 0.5:
        del proof["entry"][name]
    else:
        proof["entry"][f"{name}_"] = proof["entry"][name]


def change_number(proof: Json, chance: random.Random) -> None:
    name = chance.choice(["leaf_index", "tree_size", "preimage"])
    value = proof[name]
    proof[name] = chance.choice(
        [value + 1, value - 1, -value - 1, value + 0.5, str(value), float(value), None, [value]]
    )


def change_path(proof: Json, chance: random.Random) -> None:
    path = proof["path"]
    at = chance.randrange(len(path))
    match chance.randrange(6):
        case 0:
            del path[at]
        case 1:
            path.insert(at, path[at])
        case 2:
            raw = bytearray(base64.b64decode(path[at]))
            raw[chance.randrange(32)] ^= 1 << chance.randrange(8)
            path[at] = base64.b64encode(raw).decode()
        case 3:
            path[at] = path[at].rstrip("=")
        case 4:
            path.append(path[at])
        case 5:
            path[at] = chance.choice([None, 5, "", path[at] + "\n"])


def change_head(proof: Json, chance: random.Random) -> None:
    name = chance.choice([one for one in proof if one.endswith("head")])
    text: str = proof[name]
    match chance.randrange(4):
        case 0:
            proof[name] = flip_character(text, chance)
        case 1:
            proof[name] = text.replace("seal 7\n", "seal 8\n")
        case 2:
            stranger = Signer(name=ORIGIN, private_key=Ed25519PrivateKey.generate())
            leaves = chance.choice([LEAVES, LEAVES[:-1]])
            proof[name] = head_of(leaves, stranger)
        case 3:
            proof[name] = chance.choice([None, "", text + "\n", text[:-1], "\n" + text, [text]])


def change_keys(proof: Json, chance: random.Random) -> None:
    name = chance.choice([one for one in proof if one != "public_key"])
    match chance.randrange(3):
        case 0:
            del proof[name]
        case 1:
            proof["more"] = proof[name]
        case 2:
            proof["public_key"] = base64.b64encode(bytes(32)).decode()


Change = Callable[[Json, random.Random], None]
OF_INCLUSION: tuple[Change, ...] = (
    *(change_entry, change_entry, change_entry, swap_fields, change_fields),
    *(change_number, change_path, change_head, change_keys),
)
OF_CONSISTENCY: tuple[Change, ...] = (change_path, change_head, change_keys)


def test_two_thousand_changed_proofs_are_all_refused() -> None:
    chance = random.Random(20_000)
    accepted = []
    for number in range(2000):
        if number % 4:
            proof, changes = inclusion(chance.randrange(len(ROWS))), OF_INCLUSION
        else:
            old, new = sorted(chance.sample(range(1, len(ROWS) + 1), 2))
            proof, changes = consistency(old, new), OF_CONSISTENCY
        before = json.dumps(proof)
        change = chance.choice(changes)
        change(proof, chance)
        assert json.dumps(proof) != before
        try:
            check_text(json.dumps(proof), KEY)
        except ProofError:
            continue
        accepted.append((change.__name__, proof))
    assert accepted == []


def test_a_field_that_is_there_twice_is_refused() -> None:
    text = json.dumps(inclusion(0))
    with pytest.raises(ProofError, match="twice"):
        check_text(text.replace('"kind": ', '"kind": "consistency", "kind": '), KEY)


def test_texts_that_are_no_proofs_are_refused() -> None:
    for text in ("", "[]", "5", "{}", '{"kind": "inclusion"}', '{"kind": 5}', "{"):
        with pytest.raises(ProofError):
            check_text(text, KEY)


def test_a_witness_that_cosigned_is_seen_and_a_stranger_is_not() -> None:
    witness = Signer(name="witness.example", private_key=Ed25519PrivateKey.generate())
    note = head_of(LEAVES)
    text = note.split("\n\n")[0] + "\n"
    head = parse_head(note + witness.cosign(text, 1_700_000_000).line)
    check_proof.check_signature(head, KEY)
    name, key = witness.name, witness.key.public_key
    assert check_proof.cosigned_at(head, name, key) == 1_700_000_000
    with pytest.raises(ProofError, match="has not cosigned"):
        check_proof.cosigned_at(parse_head(note), name, key)
    with pytest.raises(ProofError, match="has not cosigned"):
        check_proof.cosigned_at(head, name, KEY)
    other = parse_head(head_of(LEAVES[:-1]) + witness.cosign(text, 1_700_000_000).line)
    with pytest.raises(ProofError, match="is wrong"):
        check_proof.cosigned_at(other, name, key)


def test_a_key_is_read_in_each_of_its_forms() -> None:
    public = SIGNER.private_key.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for text in (pem, str(SIGNER.key), KEY.hex(), base64.b64encode(KEY).decode(), f" {pem}\n"):
        assert read_key(text) == KEY
    wrong = str(SIGNER.key).replace("carbon", "other")
    for text in ("", "x", wrong, pem.replace("A", "B", 1), base64.b64encode(KEY[:-1]).decode()):
        with pytest.raises(ProofError):
            read_key(text)


def test_the_check_is_one_file_that_needs_nothing_of_the_project(tmp_path: Path) -> None:
    shutil.copy(check_proof.__file__, tmp_path / "check_proof.py")
    (tmp_path / "proof.json").write_text(json.dumps(inclusion(3)), encoding="utf-8")
    (tmp_path / "key.txt").write_text(str(SIGNER.key), encoding="utf-8")
    command = [sys.executable, "-I", "check_proof.py", "proof.json", "--key", "key.txt"]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
        )

    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"proved: entry {ROWS[3].entry_id} is leaf 3 of the")
    text = json.dumps({**inclusion(3), "leaf_index": 4})
    (tmp_path / "proof.json").write_text(text, encoding="utf-8")
    done = run()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "refused: the entry is not leaf 4 of the signed tree\n"
