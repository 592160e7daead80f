"""The mutation run can fail: a test that looks away lets faults live, one that looks does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.night import mutation
from tests.night.mutation import (
    Acceptance,
    Fault,
    Mutant,
    Target,
    faults_of,
    judge,
    killed_pct,
    mutant_of,
    read_accepted,
    run_tests,
    sample,
    targets,
)

mutation.preload()

SOURCE = '''"""A rule."""


def larger(one: int, other: int) -> int:
    """The larger of two."""
    if one > other:
        return one
    return other
'''
WATCHFUL = """from planted_rule import larger


def test_larger():
    assert [larger(1, 2), larger(2, 1), larger(3, 3)] == [2, 2, 3]
"""
BLIND = """from planted_rule import larger


def test_larger():
    larger(1, 2)
"""
ENDLESS = """def larger(one, other):
    while True:
        pass
"""
WAITING = """import time


def larger(one, other):
    time.sleep(600)
"""


def plant(folder: Path, test: str) -> Target:
    path = folder / "planted_rule.py"
    path.write_text(SOURCE, encoding="utf-8")
    judge_file = folder / "test_planted_rule.py"
    judge_file.write_text(test, encoding="utf-8")
    return Target(module="planted_rule", path=path, tests=(judge_file,))


def mutants_of(module: str, path: Path, source: str) -> list[Mutant]:
    return [mutant_of(fault, source) for fault in faults_of(module, path, source)]


def judged(target: Target, accepted: list[Acceptance]) -> tuple[Counter[str], str]:
    told: list[str] = []
    mutants = mutants_of(target.module, target.path, SOURCE)
    seconds_of = dict.fromkeys((*target.tests, *target.wider), 7.5)
    counts = judge(mutants, {target.module: target}, seconds_of, accepted, told.append)
    return counts, "".join(told)


def test_mutants_are_small_and_the_same_every_time(tmp_path: Path) -> None:
    target = plant(tmp_path, WATCHFUL)
    mutants = mutants_of(target.module, target.path, SOURCE)
    assert [(one.line, one.operator, one.after) for one in mutants] == [
        (6, "comparison", "if one >= other:"),
        (6, "comparison", "if one < other:"),
        (7, "return", "return None"),
        (8, "return", "return None"),
    ]
    assert mutants == mutants_of(target.module, target.path, SOURCE)


def test_a_test_that_looks_kills_and_what_cannot_be_seen_is_accepted_with_a_reason(
    tmp_path: Path,
) -> None:
    accepted = [
        Acceptance(
            module="planted_rule",
            before="if one > other:",
            after="if one >= other:",
            reason="of two equal numbers either is the larger",
        )
    ]
    counts, told = judged(plant(tmp_path, WATCHFUL), accepted)
    assert counts == {"killed": 3, "accepted": 1}
    assert killed_pct(counts) == 100
    assert "planted_rule.py:6 (comparison)" in told
    assert "of two equal numbers either is the larger" in told


def test_a_test_that_looks_away_lets_faults_live(tmp_path: Path) -> None:
    counts, told = judged(plant(tmp_path, BLIND), [])
    assert counts == {"survived": 4}
    assert killed_pct(counts) == 0
    assert "survived planted_rule.py:7 (return)" in told
    assert "+ return None" in told


def test_a_test_that_reads_the_source_reads_that_of_the_mutant(tmp_path: Path) -> None:
    reader = """import planted_rule


def test_source():
    assert "one > other" in planted_rule.__loader__.get_source("planted_rule")
"""
    target = plant(tmp_path, reader)
    turned = SOURCE.replace("one > other", "one < other")
    for source, outcome in ((SOURCE, "survived"), (turned, "killed")):
        assert run_tests(target.module, target.path, source, target.tests, 30) == outcome


@pytest.mark.parametrize("source", [ENDLESS, WAITING])
def test_a_mutant_that_never_ends_is_stopped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str
) -> None:
    # Of processor time it has 1 s; by the clock 2 s, if it only waits.
    monkeypatch.setattr(mutation, "CLOCK_FACTOR", 2 if source is WAITING else 600)
    target = plant(tmp_path, WATCHFUL)
    assert run_tests(target.module, target.path, source, target.tests, 1) == "timeout"


def test_a_run_that_is_interrupted_tells_of_those_it_judged(tmp_path: Path) -> None:
    target = plant(tmp_path, WATCHFUL)
    mutants = mutants_of(target.module, target.path, SOURCE)

    def until_interrupted() -> Iterator[Mutant]:
        yield from mutants[1:3]
        raise KeyboardInterrupt

    told: list[str] = []
    seconds_of = dict.fromkeys(target.tests, 1.0)
    counts = judge(until_interrupted(), {target.module: target}, seconds_of, [], told.append)
    assert counts == {"killed": 2}
    assert told == ["interrupted: what follows is of those that were judged\n"]


def test_the_usual_time_of_a_test_file_is_its_processor_time(tmp_path: Path) -> None:
    target = plant(tmp_path, WATCHFUL + "\n\nimport time\n\ntime.sleep(5)\n")
    told: list[str] = []
    (seconds,) = mutation.baselines([target], told.append).values()
    assert 0 < seconds < 5
    assert told[0].startswith("1 test files")


def test_enough_is_counted_without_what_is_accepted() -> None:
    assert killed_pct(Counter(killed=80, timeout=5, survived=15, accepted=50)) == 85
    assert killed_pct(Counter(killed=84, survived=16)) == 84
    assert killed_pct(Counter()) == 100


@pytest.mark.parametrize(("percent", "status"), [(100.0, 0), (85.0, 0), (84.9, 1), (0.0, 1)])
def test_the_exit_status_says_whether_enough_were_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, percent: float, status: int
) -> None:
    monkeypatch.setattr(mutation, "_warm_up", lambda: None)
    monkeypatch.setattr(mutation, "targets", lambda names: [plant(tmp_path, WATCHFUL)])
    monkeypatch.setattr(mutation, "baselines", lambda found, write: {})
    monkeypatch.setattr(mutation, "judge", lambda *rest: Counter(killed=1))
    monkeypatch.setattr(mutation, "killed_pct", lambda counts: percent)
    told: list[str] = []
    assert mutation.main(["--sample", "1"], told.append) == status
    assert "85 % needed" in told[-1]


def test_what_a_module_s_own_tests_let_live_the_tests_of_its_users_may_kill(
    tmp_path: Path,
) -> None:
    blind = plant(tmp_path, BLIND)
    watchful = tmp_path / "test_user_of_planted_rule.py"
    watchful.write_text(WATCHFUL, encoding="utf-8")
    counts, told = judged(replace(blind, wider=(watchful,)), [])
    assert (counts["killed"], counts["survived"]) == (3, 1)
    assert told.startswith("survived")
    assert judged(blind, [])[0]["survived"] == 4
    failing = tmp_path / "test_failing.py"
    failing.write_text(WATCHFUL.replace("[2, 2, 3]", "[1, 2, 3]"), encoding="utf-8")
    with pytest.raises(SystemExit, match="without any fault"):
        mutation.baselines([replace(blind, wider=(failing,))], lambda text: None)


def test_tests_that_fail_without_a_fault_and_modules_without_tests_stop_the_run(
    tmp_path: Path,
) -> None:
    target = plant(tmp_path, WATCHFUL.replace("[2, 2, 3]", "[1, 2, 3]"))
    with pytest.raises(SystemExit, match="fail without any fault"):
        mutation.baselines([target], lambda text: None)
    idle = Target(module="planted_rule", path=target.path, tests=())
    with pytest.raises(SystemExit, match="every mutant would survive"):
        mutation.baselines([idle], lambda text: None)


def test_a_sample_is_the_same_for_a_seed_and_has_every_module() -> None:
    faults = [
        Fault(module=module, path=Path("x"), line=n, operator="o", node=n, change=0)
        for module, size in (("a", 90), ("b", 9), ("c", 1))
        for n in range(size)
    ]
    chosen = sample(faults, 20, seed=1)
    assert Counter(one.module for one in chosen) == {"a": 18, "b": 2, "c": 1}
    assert chosen == sample(faults, 20, seed=1) != sample(faults, 20, seed=2)
    assert sample(faults, 100, seed=1) == faults


def test_an_acceptance_without_a_reason_is_refused(tmp_path: Path) -> None:
    listed = tmp_path / "accepted.toml"
    listed.write_text(
        '[[survivor]]\nmodule = "m"\nbefore = "a"\nafter = "b"\nreason = "fine"\n', encoding="utf-8"
    )
    with pytest.raises(SystemExit, match="no reason"):
        read_accepted(listed)
    assert read_accepted(tmp_path / "none.toml") == []
    assert isinstance(read_accepted(mutation.ACCEPTED), list)


def test_what_is_accepted_is_one_line_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "rule.py").write_text("if a:\n    n += 1\nif b:\n    m += 1\n", encoding="utf-8")
    for before, times in (("n += 1", 1), ("+= 1", 2), ("n += 2", 0)):
        one = Acceptance(module="rule", before=before, after="x", reason="of four words")
        if times == 1:
            mutation.check_accepted([one], tmp_path)
        else:
            with pytest.raises(SystemExit, match=f"is there {times} times"):
                mutation.check_accepted([one], tmp_path)
    mutation.check_accepted(read_accepted(mutation.ACCEPTED))


def test_rule_modules_have_tests_that_judge_them() -> None:
    found = {target.module: target for target in targets()}
    assert {"carbon_ledger.claims.supersession", "carbon_ledger.claims.claims"} <= set(found)
    assert not {"carbon_ledger.settings", "carbon_ledger.errors"} & set(found)
    tests = [test.name for test in found["carbon_ledger.claims.supersession"].tests]
    assert tests[0] == "test_supersession.py"
    parts = found["carbon_ledger.transport.parts"]
    assert "test_vehicles.py" in {test.name for test in parts.wider}
    assert not set(parts.tests) & set(parts.wider)
    with pytest.raises(SystemExit, match="no module nonsense"):
        targets(["nonsense"])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a and not b", ["x = a or not b", "x = a and b"]),
        ("x = 1 + n", ["x = 1 - n", "x = 2 + n"]),
        ("x = -n", ["x = n"]),
        ("x = min(a)", ["x = max(a)"]),
        ("x = [n for n in a if n]", ["x = [n for n in a]"]),
        ("x += 2", ["x -= 2", "x += 3"]),
        ("x = True", ["x = False"]),
        ("__all__ = ['x']", []),
        ("x = a is not None", ["x = a is None"]),
        ("x = 'late_line'", ["x = 'late_line_'"]),
        ("x = Decimal('1.05')", ["x = Decimal('1.051')"]),
        # Messages, types and what only type checkers see are not rules.
        ("RejectedRecord('c', 'w', field='f')", ["RejectedRecord('c_', 'w', field='f')"]),
        ("x: Final[int] = y", []),
        ("def f(a: int) -> int: ...", []),
        ("'''words'''", []),
        ("if TYPE_CHECKING:\n    x = 1", []),
        ("x = f'{n + 1} words'", []),
        ("x = 'words for people'", []),
        ("x = Literal['a', 'b']", []),
        ("while a:\n    continue", ["while not a:", "break"]),
        ("if a:\n    pass", ["if not a:"]),
    ],
)  # fmt: skip
def test_what_is_turned_into_what(source: str, expected: list[str]) -> None:
    mutants = mutants_of("m", Path("m.py"), source)
    assert sorted(one.after for one in mutants) == sorted(expected)
