"""The key that a client finds: the environment's, the local stack's, and nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.client_key import found_key, is_loopback

LOCAL = "http://localhost:8000"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CARBON_API_KEY", raising=False)
    monkeypatch.setenv("CARBON_HOME", str(tmp_path))
    (tmp_path / "keys").mkdir()
    file = tmp_path / "keys" / "api-local.key"
    file.write_text("ck_local\n", encoding="ascii")
    file.chmod(0o600)
    return tmp_path


def test_against_this_machine_it_is_the_local_stack_s(home: Path) -> None:
    for url in (LOCAL, "http://127.0.0.1:9", "http://[::1]:8000", "http://127.1.2.3"):
        assert found_key(url) == "ck_local"


def test_no_other_machine_is_told_it(home: Path) -> None:
    for url in (
        "https://carbon.example.org",
        "http://localhost.example.org",
        "http://10.0.0.1:8000",
        "http://127.0.0.1@example.org",
    ):
        assert found_key(url) is None


def test_the_environment_s_key_goes_before(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARBON_API_KEY", "ck_given")
    assert found_key(LOCAL) == found_key("https://carbon.example.org") == "ck_given"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606])
def test_a_file_that_others_can_read_is_not_taken(home: Path, mode: int) -> None:
    (home / "keys" / "api-local.key").chmod(mode)
    assert found_key(LOCAL) is None


def test_without_a_file_there_is_none(home: Path) -> None:
    (home / "keys" / "api-local.key").unlink()
    assert found_key(LOCAL) is None


def test_a_name_is_not_looked_up() -> None:
    assert not is_loopback("localhost.localdomain")
    assert not is_loopback("")
