"""What the verifier expects of the tables is what the tests expect of them."""

from __future__ import annotations

import hashlib
import re

import pytest

from carbon_ledger.store.migrate import read_migrations
from devstack.postgres import ROW_SECURITY
from tests.support.privileges import expectation as golden
from verifier.protections import expectation, protections

DEFINED = re.compile(
    r"create (?:or replace )?function (\S+?)\(.*?as \$\$(.*?)\$\$", re.DOTALL | re.IGNORECASE
)


def test_every_table_has_the_kind_and_the_row_security_of_the_privilege_table() -> None:
    wanted = {
        name: (row["kind"] == "append-only", row["rows"])
        for name, row in golden()["tables"].items()
        if row["kind"] != "view" and "?" not in name
    }
    assert {name: (one.is_guarded, one.rows) for name, one in protections().items()} == wanted


def test_months_are_protected_as_the_table_they_are_of() -> None:
    tables = golden()["tables"]
    month, whole = tables["ledger.entry_????_??"], tables["ledger.entry"]
    assert (month["kind"], month["rows"]) == (whole["kind"], whole["rows"])


def test_policies_are_those_of_the_privilege_table() -> None:
    assert expectation()["row_security"] == golden()["row_security"]


def test_who_is_past_row_security_is_who_is_made_so() -> None:
    made = [role for role, attribute in ROW_SECURITY.items() if attribute == "bypassrls"]
    assert expectation()["past_row_security"]["roles"] == made


@pytest.mark.parametrize("name", expectation()["bodies"])
def test_a_body_s_hash_is_that_of_the_migration_that_made_it_last(name: str) -> None:
    bodies = [
        body
        for one in read_migrations()
        for found, body in DEFINED.findall(
            one.sql.decode() if isinstance(one.sql, bytes) else one.sql
        )
        if found == name
    ]
    assert hashlib.sha256(bodies[-1].encode()).hexdigest() == expectation()["bodies"][name]
