"""Signed notes and checkpoints: what was signed is read back, and nothing else is taken for it."""

from __future__ import annotations

import base64
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from carbon_ledger import signing_keys
from carbon_ledger.errors import ConfigurationError, RejectedRecord
from carbon_ledger.notes import (
    Checkpoint,
    Signer,
    VerifierKey,
    parse_checkpoint,
    parse_note,
    parse_signatures,
    verify_cosignature,
    verify_note,
)

# The example of the note package that C2SP signed-note describes.
EXAMPLE_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
EXAMPLE_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdng"
    "otpRZb6KE6RyyBwJnAM=\n"
)
ROOT = bytes(range(32))


def signer(name: str = "carbon-ledger") -> Signer:
    return Signer(name=name, private_key=Ed25519PrivateKey.generate())


def checkpoint(**changes: object) -> Checkpoint:
    found = Checkpoint(origin="carbon-ledger", tree_size=5, root=ROOT, extensions=("seal 2",))
    return replace(found, **changes)  # type: ignore[arg-type]


def test_a_published_note_verifies_with_its_published_key() -> None:
    key = VerifierKey.parse(EXAMPLE_KEY)
    assert str(key) == EXAMPLE_KEY
    note = parse_note(EXAMPLE_NOTE)
    verify_note(note, key)
    assert str(note) == EXAMPLE_NOTE
    changed = parse_note(EXAMPLE_NOTE.replace("answer", "Answer"))
    with pytest.raises(RejectedRecord, match="not signed"):
        verify_note(changed, key)


def test_a_checkpoint_is_read_back_as_it_was_signed() -> None:
    own = signer()
    text = checkpoint().text
    assert text == f"carbon-ledger\n5\n{base64.b64encode(ROOT).decode()}\nseal 2\n"
    note = parse_note(str(own.sign(text)))
    verify_note(note, own.key)
    assert parse_checkpoint(note.text) == checkpoint()


@pytest.mark.parametrize("change", [{"tree_size": 6}, {"root": bytes(32)}, {"origin": "another"}])
def test_a_signature_is_of_one_checkpoint_alone(change: dict[str, object]) -> None:
    own = signer()
    signed = own.sign(checkpoint().text)
    forged = replace(signed, text=checkpoint(**change).text)
    with pytest.raises(RejectedRecord, match="not signed"):
        verify_note(forged, own.key)


def test_another_key_of_the_same_name_has_not_signed() -> None:
    note = signer().sign(checkpoint().text)
    with pytest.raises(RejectedRecord, match="not signed"):
        verify_note(note, signer().key)


def test_a_second_wrong_signature_of_the_same_key_is_not_overlooked() -> None:
    own = signer()
    good = own.sign(checkpoint().text)
    bad = replace(good.signatures[0], value=bytes(64))
    with pytest.raises(RejectedRecord, match="not signed"):
        verify_note(replace(good, signatures=(good.signatures[0], bad)), own.key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no signature\n",
        "a\n\n",
        "a\n\n- name AAAAAAAA\n",
        "a\n\n\u2014 name\n",
        "a\n\n\u2014 name AAAA\n",
        "a\n\n\u2014 na+me AAAAAAAAAAA=\n",
        "a\n\n\u2014 name AAAAAAAAAAB=\n",
        "a\n\n\u2014 name AAAAAAAAAAA=",
        "a\rb\n\n\u2014 name AAAAAAAAAAA=\n",
        "a\x00\n\n\u2014 name AAAAAAAAAAA=\n",
    ],
)
def test_a_malformed_note_is_refused(text: str) -> None:
    with pytest.raises(RejectedRecord):
        parse_note(text)


@pytest.mark.parametrize(
    "text",
    [
        "origin\n5\n",
        "origin\n05\nAAAA\n",
        "origin\n-1\nAAAA\n",
        f"origin\n5\n{base64.b64encode(bytes(31)).decode()}\n",
        f"origin\n5\n\n{base64.b64encode(bytes(32)).decode()}\n",
        f"\n5\n{base64.b64encode(bytes(32)).decode()}\n",
    ],
)
def test_a_malformed_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(RejectedRecord):
        parse_checkpoint(text)


def test_a_cosignature_says_when_and_is_of_one_text() -> None:
    witness = signer("witness")
    text = checkpoint().text
    lines = parse_signatures(witness.cosign(text, 1_700_000_000).line)
    assert verify_cosignature(text, lines, witness.key) == 1_700_000_000
    with pytest.raises(RejectedRecord, match="not cosigned"):
        verify_cosignature(checkpoint(tree_size=6).text, lines, witness.key)
    later = replace(lines[0], value=(1_700_000_001).to_bytes(8, "big") + lines[0].value[8:])
    with pytest.raises(RejectedRecord, match="not cosigned"):
        verify_cosignature(text, [later], witness.key)
    with pytest.raises(RejectedRecord, match="not signed"):
        verify_note(replace(witness.sign(text), signatures=lines), witness.key)


@pytest.mark.parametrize("text", ["", "a+b", "name+00000000+AQ==", EXAMPLE_KEY.replace("c7", "c8")])
def test_a_malformed_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        VerifierKey.parse(text)


def test_a_signer_does_not_show_its_key() -> None:
    own = signer()
    private = own.private_key.private_bytes_raw()
    for shown in (repr(own), str(own)):
        assert private.hex() not in shown
        assert base64.b64encode(private).decode() not in shown


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "ledger.pem"
    first = signing_keys.load_or_make(path)
    again = signing_keys.load_or_make(path)
    assert first.private_bytes_raw() == again.private_bytes_raw()
    signing_keys.make(path)  # whoever comes second
    assert signing_keys.load(path).private_bytes_raw() == first.private_bytes_raw()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["ledger.pem"]


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.pem"
    signing_keys.make(path)
    os.chmod(path, 0o640)
    with pytest.raises(ConfigurationError, match="0640"):
        signing_keys.load(path)


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.pem"
    path.touch(0o600)
    with pytest.raises(ConfigurationError, match="no PEM"):
        signing_keys.load(path)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        signing_keys.load(tmp_path / "absent.pem")
