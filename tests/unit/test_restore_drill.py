"""What the restore drill refuses to begin with, and what it takes for a drill that went well."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.night import restore_drill
from tests.night.restore_drill import RTO_SECONDS_MAX, faults, main, moment_in_the_middle

STATE = {"entries": 60_000, "digest": "sha256 ab", "dead_letters": 3, "account_faults": []}
WELL: dict[str, Any] = {
    "rto_seconds": 54.3,
    "entries_posted_again": 5_046,
    "before": STATE,
    "after": STATE,
    "verify": {"findings": []},
}
# What is otherwise in the figures, and what is said.
PLANTED: dict[str, tuple[dict[str, Any], str]] = {
    "an entry is not there again": (
        {"after": {**STATE, "entries": 59_999}},
        "entries was 60000, is 59999",
    ),
    "an entry is another": (
        {"after": {**STATE, "digest": "sha256 cd"}},
        "digest was sha256 ab, is sha256 cd",
    ),
    "a letter is there twice": ({"after": {**STATE, "dead_letters": 4}}, "dead_letters was 3"),
    "an account is open": ({"after": {**STATE, "account_faults": ["batch 7"]}}, "batch 7"),
    "it came back late": ({"rto_seconds": RTO_SECONDS_MAX + 0.1}, "later than 300 s"),
    "nothing was lost": ({"entries_posted_again": 0}, "nothing was missing"),
    "the verifier finds something": (
        {"verify": {"findings": [{"code": "tail_cut"}]}},
        "carbon verify: tail_cut",
    ),
}


def test_a_ledger_that_came_back_whole_and_in_time_has_no_fault() -> None:
    assert faults(WELL) == []


@pytest.mark.parametrize("name", list(PLANTED))
def test_a_planted_fault_is_said(name: str) -> None:
    otherwise, said = PLANTED[name]
    (found,) = faults({**WELL, **otherwise})
    assert said in found


def test_a_folder_that_is_not_of_an_earlier_drill_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(SystemExit) as ended:
        main(["--home", str(tmp_path)])
    assert ended.value.code == 2
    assert f"--home {tmp_path} is there" in capsys.readouterr().err
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_moment_in_the_middle_has_something_before_and_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack: Any = None
    moment = datetime(2026, 3, 14, 9, 26, tzinfo=UTC)
    seen = iter([{0: 5, 1: 5}, {0: 5, 1: 5}, {0: 6, 1: 5}])
    monkeypatch.setattr(restore_drill, "committed", lambda stack: next(seen))
    monkeypatch.setattr(restore_drill, "rows", lambda stack, statement: [(moment,)])
    assert moment_in_the_middle(stack, {0: 8, 1: 8}) == moment


def test_records_that_are_all_in_the_accounts_already_are_too_few_for_a_drill(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack: Any = None
    monkeypatch.setattr(restore_drill, "committed", lambda stack: {0: 8, 1: 8})
    with pytest.raises(RuntimeError, match="all 16 records were"):
        moment_in_the_middle(stack, {0: 8, 1: 8})
