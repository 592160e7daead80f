"""What the composed stack's `prepare` does to services that somebody else runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.settings import load
from carbon_ledger.store.connect import connect_as_reader
from scripts import prepare_services

pytestmark = pytest.mark.stack


def test_it_makes_what_is_missing_and_leaves_what_is_there(stack: Any, tmp_path: Path) -> None:
    for role, password in stack.layout.passwords().items():
        (tmp_path / role).write_text(password + "\n", encoding="utf-8")
    port = str(stack.layout.port("postgres"))
    arguments = ["--host", "127.0.0.1", "--port", port, "--secrets", str(tmp_path)]
    assert prepare_services.main(arguments) == 0
    with connect_as_reader(load(), "tests", autocommit=True) as conn:
        assert conn.execute("select 1 from ledger.entry limit 0").fetchall() == []


def test_a_missing_secret_is_named(tmp_path: Path) -> None:
    (tmp_path / "postgres").write_text("x", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="carbon_migrator cannot be read"):
        prepare_services.passwords_in(tmp_path)
