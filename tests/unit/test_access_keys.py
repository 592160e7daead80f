"""API keys: their text, their end, what they may do."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from carbon_ledger.access_keys import (
    ANY_SUPPLIER,
    PERSON_SCOPES,
    ROLES,
    SCOPES,
    ApiKey,
    checked_scopes,
    hash_of,
    new_key,
    parts_of,
    scopes_of,
)
from carbon_ledger.errors import ConfigurationError
from carbon_ledger.settings import PROJECT_ROOT

NOW = datetime(2026, 3, 1, tzinfo=UTC)
KEY = ApiKey(
    key_id="a" * 16,
    organization_id="acme",
    secret_sha256=hash_of("s"),
    scopes=("dlq:read",),
    supplier_ids=("SUP-1", "SUP-2"),
    holder="portal",
    created_at=NOW,
    created_by="operator",
    expires_at=NOW + timedelta(days=1),
)


def test_a_key_is_read_back_into_its_id_and_its_secret_and_two_are_never_alike() -> None:
    keys = [new_key() for _ in range(50)]
    for one in keys:
        assert parts_of(one.text) == (one.key_id, one.secret)
        # 80 and 256 bits in letters of five bits each.
        assert (len(one.key_id), len(one.secret)) == (16, 52)
    assert len({one.key_id for one in keys}) == len({one.secret for one in keys}) == 50


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ck_",
        f"ck_{'a' * 16}_{'b' * 51}",
        f"ck_{'a' * 15}_{'b' * 52}",
        f"ck_{'A' * 16}_{'b' * 52}",
        f"xx_{'a' * 16}_{'b' * 52}",
        f"ck_{'a' * 16}_{'b' * 52}\n",
        f" ck_{'a' * 16}_{'b' * 52}",
        f"ck_{'a' * 16}_{'1' * 52}",
    ],
)
def test_what_is_not_exactly_a_key_is_none(text: str) -> None:
    assert parts_of(text) is None


def test_a_key_is_good_until_it_expires_or_is_revoked() -> None:
    assert KEY.is_good(NOW)
    assert KEY.is_good(KEY.expires_at - timedelta(microseconds=1))
    assert not KEY.is_good(KEY.expires_at)
    assert not replace(KEY, revoked_at=NOW).is_good(NOW)


def test_only_its_own_secret_opens_it() -> None:
    assert hash_of("s") == hashlib.sha256(b"s").digest()
    assert KEY.is_opened_by("s")
    assert not KEY.is_opened_by("S")
    assert not KEY.is_opened_by("\ud800")


def test_it_declares_for_its_own_suppliers_or_for_any() -> None:
    assert KEY.may_submit_for("SUP-2")
    assert not KEY.may_submit_for("SUP-3")
    assert replace(KEY, supplier_ids=(ANY_SUPPLIER,)).may_submit_for("SUP-3")
    assert not replace(KEY, supplier_ids=(ANY_SUPPLIER, "SUP-1")).may_submit_for("SUP-3")


def test_scopes_come_back_once_and_in_order_and_unknown_ones_are_named() -> None:
    assert checked_scopes(("dlq:write", "submit:supplier", "dlq:write")) == (
        "submit:supplier",
        "dlq:write",
    )
    with pytest.raises(ConfigurationError, match="'dlq:all' is no scope.*" + next(iter(SCOPES))):
        checked_scopes(("dlq:read", "dlq:all"))
    with pytest.raises(ConfigurationError, match="no scope"):
        checked_scopes(())


def test_keys_that_submit_or_approve_are_of_a_person_and_no_other_is() -> None:
    assert PERSON_SCOPES == {name for name in SCOPES if name.startswith("activities:")}
    assert len(PERSON_SCOPES) == 2


def test_a_role_is_a_set_of_known_scopes_and_more_may_be_added() -> None:
    for role, scopes in ROLES.items():
        assert scopes_of(role, ()) == checked_scopes(scopes)
        # One person approves what another submitted: that is given to persons, one by one.
        assert not PERSON_SCOPES & set(scopes)
    assert scopes_of("supplier", ("dlq:read", "supplier:read")) == checked_scopes(
        ("submit:supplier", "supplier:read", "dlq:read")
    )
    assert scopes_of(None, ("dlq:read",)) == ("dlq:read",)
    with pytest.raises(ConfigurationError) as caught:
        scopes_of("owner", ())
    assert caught.value.code == "role_unknown"
    assert ", ".join(ROLES) in caught.value.message
    with pytest.raises(ConfigurationError):
        scopes_of(None, ())


def test_the_page_says_what_each_role_and_scope_is() -> None:
    page = (PROJECT_ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for role, scopes in ROLES.items():
        assert f"| `{role}` | {', '.join(f'`{one}`' for one in scopes)}" in page
    for scope, may in SCOPES.items():
        assert f"| `{scope}` | {may} |" in page
