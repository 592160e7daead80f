"""`carbon source`: adapters are checked, run, told to end, and looked at by a supervisor."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from carbon_ledger.settings import PROJECT_ROOT, load
from devstack.layout import Layout
from devstack.sources import SourceAdapter
from tests.support.counting_source import COMMAND


def written(folder: Path, text: str) -> Path:
    path = folder / "one.toml"
    path.write_text(text)
    return path


def source(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words], cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=60
    )


def test_check_says_what_a_source_would_do_and_once_does_it(tmp_path: Path) -> None:
    path = written(tmp_path, 'kind = "counting"\nitems = 3')
    assert source("check", str(path)).stdout == "counting:one: counts to 3\n"
    ran = source("run", str(path), "--once")
    assert json.loads(ran.stdout) == {"source": "counting:one", "items": 3}
    assert ran.returncode == 0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('kind = "teletype"', "kind is 'teletype'; known are:"),
        ('kind = "counting"', "items is missing"),
        ('kind = "counting"\nitems = 1\nitem = 2', "item is not known here"),
    ],
)
def test_a_file_that_is_not_sound_is_refused_before_anything_runs(
    tmp_path: Path, text: str, complaint: str
) -> None:
    path = written(tmp_path, text)
    for word in ("check", "run"):
        refused = source(word, str(path))
        assert refused.returncode == 1
        assert complaint in refused.stderr
        assert not refused.stdout
    listed = source("list", str(tmp_path))
    assert listed.returncode == 1
    assert complaint in listed.stdout


def test_list_shows_kinds_and_every_source_of_a_folder(tmp_path: Path) -> None:
    written(tmp_path, 'kind = "counting"\nitems = 3')
    said = source("list", str(tmp_path))
    assert said.returncode == 0
    assert "counting   Counts." in said.stdout
    assert "counts to 3" in said.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_adapter_is_ready_tells_its_problem_and_ends_in_good_order(
    tmp_path: Path, number: int
) -> None:
    path = written(tmp_path, 'kind = "counting"\nitems = 3')
    layout = Layout.of(load({"CARBON_HOME": str(tmp_path), "CARBON_CACHE": str(tmp_path)}))
    service = SourceAdapter(layout, "one", path, needs=("mqtt",), values={"A": "b"})
    assert service.name == "source-one"
    assert {"mqtt", "kafka", "registry"} <= set(service.needs)
    assert service.environment() == {"A": "b"}
    service.prepare()
    assert service.probe() == "it has not read its configuration yet"
    words = service.command()[service.command().index("run") :]
    process = subprocess.Popen(
        [*COMMAND, *words], cwd=PROJECT_ROOT, stdout=subprocess.PIPE, env=os.environ
    )
    try:
        deadline = time.monotonic() + 30
        answers = [service.probe()]
        while answers[-1] != "nothing more to count":
            assert time.monotonic() < deadline
            time.sleep(0.05)
            answers.append(service.probe())
        # Ready once, so that a source that is away does not keep the stack from starting.
        assert list(dict.fromkeys(answers))[-2:] == [None, "nothing more to count"]
        process.send_signal(number)
        said, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0
    assert json.loads(said)["items"] == 3
    assert json.loads(service.status_file.read_text())["state"] == "stopped"
