"""Signatures of webhooks: each case breaks one thing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from api.client import SIGNATURE_HEADER, TIMESTAMP_HEADER, signed_headers
from api.erp_systems import read_systems
from api.problems import Problem
from api.signatures import check_signature, read_secret
from carbon_ledger.errors import ConfigurationError

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
AT = int(NOW.timestamp())
SECRET, NEXT, OTHER = b"0123456789abcdef", b"fedcba9876543210", b"something-else-16"
BODY = b'{"PurchaseOrder": "1"}'


def check(
    body: bytes = BODY,
    *,
    sent: dict[str, str] | None = None,
    known: tuple[bytes, ...] = (SECRET,),
    **changes: str | None,
) -> None:
    headers = {**signed_headers(BODY, SECRET, AT), **(sent or {})}
    check_signature(
        body,
        timestamp=changes.get("timestamp", headers[TIMESTAMP_HEADER]),
        signature=changes.get("signature", headers[SIGNATURE_HEADER]),
        known=known,
        now=NOW,
    )


@pytest.mark.parametrize("known", [(SECRET,), (NEXT, SECRET), (SECRET, NEXT)])
def test_a_body_signed_with_either_secret_is_taken(known: tuple[bytes, ...]) -> None:
    check(known=known)
    check(sent=signed_headers(BODY, NEXT, AT), known=(NEXT, SECRET))


@pytest.mark.parametrize("seconds", [-300, -299, 0, 300])
def test_within_the_window_the_time_may_differ(seconds: int) -> None:
    check(sent=signed_headers(BODY, SECRET, AT + seconds))


GOOD = signed_headers(BODY, SECRET, AT)[SIGNATURE_HEADER]
REFUSED = {
    "no time": ({"timestamp": None}, "signature_missing"),
    "no signature": ({"signature": None}, "signature_missing"),
    "an empty time": ({"timestamp": ""}, "signature_malformed"),
    "a time in words": ({"timestamp": "now"}, "signature_malformed"),
    "a time below zero": ({"timestamp": f"-{AT}"}, "signature_malformed"),
    "a time with a digit of another script": ({"timestamp": "\u0661\u0667"}, "signature_malformed"),
    "an endless time": ({"timestamp": "9" * 4000}, "signature_malformed"),
    "a time of another second": ({"timestamp": str(AT + 1)}, "signature_wrong"),
    "another algorithm": ({"signature": "sha1=" + "0" * 40}, "signature_malformed"),
    "half a signature": ({"signature": GOOD[:-1]}, "signature_malformed"),
    "two signatures": ({"signature": f"{GOOD},{GOOD}"}, "signature_malformed"),
    "a signature with letters of another script": (
        {"signature": "sha256=" + "é" * 64},
        "signature_malformed",
    ),
    "a signature of nothing": ({"signature": "sha256=" + "0" * 64}, "signature_wrong"),
}


@pytest.mark.parametrize(("changes", "code"), REFUSED.values(), ids=REFUSED)
def test_each_broken_header_is_refused(changes: dict[str, str | None], code: str) -> None:
    with pytest.raises(Problem) as caught:
        check(**changes)
    assert (caught.value.status, caught.value.code) == (401, code)


@pytest.mark.parametrize("body", [BODY + b" ", BODY[:-1], b"", BODY.replace(b"1", b"2")])
def test_another_body_is_refused(body: bytes) -> None:
    with pytest.raises(Problem) as caught:
        check(body)
    assert caught.value.code == "signature_wrong"


@pytest.mark.parametrize("known", [(), (OTHER,), (OTHER, NEXT), (OTHER, NEXT, SECRET)])
def test_without_the_secret_nothing_is_taken(known: tuple[bytes, ...]) -> None:
    """A third secret is none: at most two hold at a time."""
    with pytest.raises(Problem) as caught:
        check(known=known)
    assert caught.value.code == "signature_wrong"


@pytest.mark.parametrize("seconds", [-100_000, -301, 301, 100_000])
def test_outside_the_window_a_good_signature_is_refused(seconds: int) -> None:
    with pytest.raises(Problem) as caught:
        check(sent=signed_headers(BODY, SECRET, AT + seconds))
    assert (caught.value.status, caught.value.code) == (401, "timestamp_outside_window")


def test_a_wrong_clock_is_told_how_far_it_is_off() -> None:
    with pytest.raises(Problem) as caught:
        check(sent=signed_headers(BODY, SECRET, AT - 4000))
    assert "4000 s behind" in caught.value.detail
    assert str(AT) in str(caught.value.valid)


def write_secret(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_secret_is_a_file_s_content_without_its_line_end(tmp_path: Path) -> None:
    assert read_secret(write_secret(tmp_path / "a", SECRET + b"\n")) == SECRET


@pytest.mark.parametrize(
    ("content", "mode"), [(b"short", 0o600), (b"x" * 5000, 0o600), (b"", 0o600), (SECRET, 0o644)]
)
def test_a_secret_that_is_none_is_refused(tmp_path: Path, content: bytes, mode: int) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_secret(write_secret(tmp_path / "a", content, mode))
    assert caught.value.code == "secret_file"
    assert content[:5].decode() not in caught.value.message or not content


def test_systems_are_read_with_their_defaults(tmp_path: Path) -> None:
    path = tmp_path / "erp.yaml"
    path.write_text(
        "systems:\n  sap-prod:\n    kind: sap_s4hana\n    secret_files: [a]\n"
        '    entities: {"1010": acme-de}\n',
        encoding="utf-8",
    )
    sender = read_systems(path)["sap-prod"]
    assert sender.system.document_prefix == "sap-prod:"
    assert sender.window_seconds == 300
    assert sender.secret_files == (tmp_path / "a",)
    write_secret(tmp_path / "a", SECRET)
    assert sender.secrets() == [SECRET]


WRONG_FILES = {
    "no systems": ("a: 1", "no `systems`"),
    "no YAML": ("a: [", "expected"),
    "an unknown kind": ("systems: {s: {kind: baan, secret_files: [a]}}", "known are: sap_s4hana"),
    "an unknown name": ("systems: {s: {kind: sap_s4hana, secrets: [a]}}", "known are: kind"),
    "no secret": ("systems: {s: {kind: sap_s4hana}}", "one file"),
    "three secrets": ("systems: {s: {kind: sap_s4hana, secret_files: [a, b, c]}}", "one file"),
    "an endless window": (
        "systems: {s: {kind: sap_s4hana, secret_files: [a], replay_window_seconds: 99999}}",
        "1 to 3600",
    ),
    "a company that YAML takes for a number": (
        "systems: {s: {kind: sap_s4hana, secret_files: [a], entities: {0042: acme}}}",
        "quotes",
    ),
}


@pytest.mark.parametrize(("text", "told"), WRONG_FILES.values(), ids=WRONG_FILES)
def test_a_wrong_file_of_systems_says_what_is_wrong(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "erp.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        read_systems(path)
    assert told in caught.value.message
