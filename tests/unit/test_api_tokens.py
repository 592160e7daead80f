"""The key that signs tokens, cursors and sessions: one, however many ask for it first."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api.tokens import tag_of
from carbon_ledger.errors import ConfigurationError
from carbon_ledger.secret_files import make_once
from carbon_ledger.settings import PROJECT_ROOT, Settings
from carbon_ledger.signing_keys import load_or_make

AT_ONCE = 8
ROUNDS = 25
# Waits until every process is there, then asks for the tags of several keys that nobody has made.
PROCESS = """
import sys
from pathlib import Path
from api.tokens import tag_of
from carbon_ledger.settings import Settings
folder = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    settings = Settings({"CARBON_API_TOKEN_KEY_FILE": str(folder / str(number) / "key")})
    print(tag_of("test", "text", settings))
"""


def settings_of(path: Path) -> Settings:
    return Settings({"CARBON_API_TOKEN_KEY_FILE": str(path)})


def test_first_requests_at_once_make_one_key(tmp_path: Path) -> None:
    together = threading.Barrier(AT_ONCE)

    def ask(number: int) -> str:
        together.wait(30)
        return tag_of("test", "text", settings_of(tmp_path / str(number) / "key"))

    with ThreadPoolExecutor(AT_ONCE) as threads:
        for number in range(ROUNDS):
            assert len(set(threads.map(ask, [number] * AT_ONCE))) == 1
    assert sorted(one.name for one in tmp_path.glob("*/*")) == ["key"] * ROUNDS
    assert {one.stat().st_mode & 0o777 for one in tmp_path.glob("*/key")} == {0o600}


def test_threads_that_make_a_file_of_a_secret_find_the_first_one_s(tmp_path: Path) -> None:
    together = threading.Barrier(AT_ONCE)

    def make(number: int) -> bytes:
        together.wait(30)
        path = tmp_path / str(number)
        make_once(path, f"{threading.get_ident()}\n".encode())
        return path.read_bytes()

    def make_signing_key(number: int) -> bytes:
        together.wait(30)
        return load_or_make(tmp_path / f"pem-{number}").public_key().public_bytes_raw()

    with ThreadPoolExecutor(AT_ONCE) as threads:
        for number in range(ROUNDS):
            assert len(set(threads.map(make, [number] * AT_ONCE))) == 1
            assert len(set(threads.map(make_signing_key, [number] * AT_ONCE))) == 1
    assert list(tmp_path.glob(".*")) == []


def test_processes_that_start_at_once_have_one_key(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROCESS, str(tmp_path), str(ROUNDS)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, cwd=PROJECT_ROOT, **pipes) for _ in range(2)]  # type: ignore[call-overload]
    for one in processes:
        assert one.stdout.readline() == "ready\n"
    for one in processes:
        one.stdin.write("go\n")
        one.stdin.flush()
    told = [one.communicate(timeout=60)[0].split() for one in processes]
    assert [one.returncode for one in processes] == [0, 0]
    assert told[0] == told[1]
    assert len(set(told[0])) == ROUNDS
    here = tag_of("test", "text", settings_of(tmp_path / "0" / "key"))
    assert here == told[0][0]


def test_a_key_that_others_can_read_or_that_is_none_is_refused(tmp_path: Path) -> None:
    for content, mode, code in (("0" * 64, 0o640, "key_file_open"), ("short", 0o600, "key_file")):
        path = tmp_path / code
        path.write_text(content, encoding="ascii")
        path.chmod(mode)
        with pytest.raises(ConfigurationError) as caught:
            tag_of("test", "text", settings_of(path))
        assert caught.value.code == code
