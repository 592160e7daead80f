"""Do the tests notice when the rules are wrong? Small faults are put in, one at a time.

Belongs here: making mutants of the rule modules of carbon_ledger, running the unit tests of a
module against each, and the account of who survived. Does not: the tests themselves.

    python -m tests.night.mutation [--modules claims.supersession] [--sample 200] [--seed 1]

A mutant is a module in which one comparison, operator, constant, condition or return differs. It is
loaded in a fork of this process in place of the module, and the unit test files that import the
module run against it, then, if it lives, those that import the modules that use it; nothing is
written to the source tree. A mutant is killed if a test fails or the time limit is reached.
Survivors that change nothing that can be seen are listed with the reason in
accepted_survivors.toml and are not counted. Below the threshold the exit status is 1. Mutants are
judged in random order, so a run that is interrupted (once) tells what a smaller sample shows.
"""

from __future__ import annotations

import argparse
import ast
import atexit
import contextlib
import copy
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import io
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
ACCEPTED: Final = Path(__file__).with_name("accepted_survivors.toml")
PACKAGE: Final = "carbon_ledger"
THRESHOLD_PCT: Final = 85
# Limits are of processor time, which does not depend on what else the machine does; what waits
# without working is stopped after so many times that, by the clock.
TIME_FACTOR: Final = 4
TIME_FLOOR_SECONDS: Final = 10
CLOCK_FACTOR: Final = 20
BASELINE_SECONDS: Final = 600
# No plugin but Hypothesis's: each would be loaded again for every mutant. The other two look for
# garbage through all that the parent has.
NO_PLUGINS: Final = (
    "cacheprovider",
    "anyio",
    "timeout",
    "platformdirs",
    "unraisableexception",
    "threadexception",
)
OPTIONS: Final = (
    *("-q", "-x", "--no-header", "-m", "not stack and not night"),
    *(option for name in NO_PLUGINS for option in ("-p", f"no:{name}")),
)
CONTEXT: Final = 60
MEMORY_BYTES: Final = 4 * 2**30

# Not rules: what is configured, listed, named, transported, sealed or proven. All other modules of
# the package are calculation, matching or supersession, and a new one is taken in without a word.
NOT_RULES: Final = frozenset(
    {
        "countries",
        "digest",
        "durable",
        "entries",
        "errors",
        "event_fields",
        "events",
        "failpoints",
        "lineage",
        "merkle",
        "notes",
        "personal",
        "planning",
        "policy",
        "settings",
        "signing_keys",
        "store",
        "streams",
        "version",
    }
)


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One fault: where it is, what the line says, what it is turned into, and the whole module."""

    module: str
    path: str
    line: int
    operator: str
    before: str
    after: str
    source: str

    @property
    def place(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A module and the test files that judge it: `tests` first, `wider` what they let live."""

    module: str
    path: Path
    tests: tuple[Path, ...]
    wider: tuple[Path, ...] = ()


# ---- making mutants

COMPARISONS: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
ERRORS: Final = ("RejectedRecord", "BrokenInvariant")
Change = tuple[str, Callable[[ast.AST], ast.AST]]


def changes_of(node: ast.AST, *, is_code: bool) -> Iterator[Change]:
    """The faults that can be put into one node: a name, and what makes the node anew.

    `is_code` tells a text that means something from a message.
    """
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for other in COMPARISONS[type(node.ops[0])]:
            yield "comparison", lambda n, other=other: _with(n, ops=[other()])
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in ARITHMETIC:
        yield "arithmetic", lambda n: _with(n, op=ARITHMETIC[type(n.op)]())
    if isinstance(node, ast.BoolOp):
        swapped = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield "boolean", lambda n: _with(n, op=swapped())
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        name = "removed sign" if isinstance(node.op, ast.USub) else "removed not"
        yield name, lambda n: n.operand
    # A condition that is one comparison, or a `not`, is turned round by the changes above.
    if isinstance(node, ast.If | ast.IfExp | ast.While) and not isinstance(
        node.test, ast.Compare | ast.UnaryOp
    ):
        yield "condition", lambda n: _with(n, test=ast.UnaryOp(op=ast.Not(), operand=n.test))
    if isinstance(node, ast.comprehension) and node.ifs:
        yield "filter", lambda n: _with(n, ifs=[])
    if isinstance(node, ast.Constant):
        yield from _constant_changes(node, is_code)
    if isinstance(node, ast.Return) and not (
        node.value is None or (isinstance(node.value, ast.Constant) and node.value.value is None)
    ):
        yield "return", lambda n: _with(n, value=ast.Constant(value=None))
    if isinstance(node, ast.Continue):
        yield "loop", lambda n: ast.Break()
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        swaps = {"min": "max", "max": "min", "any": "all", "all": "any"}
        if node.func.id in swaps:
            yield "call", lambda n: _with(n, func=ast.Name(id=swaps[n.func.id], ctx=ast.Load()))


def _constant_changes(node: ast.Constant, is_code: bool) -> Iterator[Change]:
    value = node.value
    if isinstance(value, bool):
        yield "constant", lambda n: ast.Constant(value=not n.value)
    elif isinstance(value, int):
        yield "constant", lambda n: ast.Constant(value=n.value + 1)
    # What has blanks is prose, for people.
    elif isinstance(value, str) and is_code and value and " " not in value:
        number = value.replace(".", "", 1)
        if number.isdigit():
            yield "constant", lambda n: ast.Constant(value=n.value + "1")
        else:
            yield "text", lambda n: ast.Constant(value=n.value + "_")


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _mutable_nodes(tree: ast.Module) -> Iterator[tuple[ast.AST, bool]]:
    """Nodes that mean something, and whether a text in their place is more than a message."""
    waiting: list[tuple[ast.AST, bool]] = [(tree, True)]
    while waiting:
        node, is_code = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node, is_code
        for child, child_is_code in _children(node, is_code):
            waiting.append((child, child_is_code))


def _children(node: ast.AST, is_code: bool) -> Iterator[tuple[ast.AST, bool]]:
    skipped: set[int] = set()
    if isinstance(node, ast.AnnAssign):
        skipped.add(id(node.annotation))
    if isinstance(node, ast.FunctionDef):
        skipped |= {id(one) for one in (node.returns, *node.decorator_list) if one}
    if isinstance(node, ast.ClassDef):
        skipped |= {id(one) for one in node.decorator_list}
    if isinstance(node, ast.arg):
        return
    if isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr):
        return
    if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("Literal["):
        return
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
        return  # names for a star import, which there is none of
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    is_error = isinstance(node, ast.Call) and ast.unparse(node.func) in ERRORS
    is_formula = isinstance(node, ast.Call) and ast.unparse(node.func) in ("Formula", "Operand")
    for child in ast.iter_child_nodes(node):
        if id(child) in skipped:
            continue
        message = is_formula or (
            is_error and isinstance(node, ast.Call) and child is not node.args[0]
        )
        yield child, is_code and not message


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What can be done to a module, before it is: node and change by number, in walking order."""

    module: str
    path: Path
    line: int
    operator: str
    node: int
    change: int


def faults_of(module: str, path: Path, source: str) -> list[Fault]:
    """Every fault that can be put into a module, in the order of its lines."""
    found = []
    for number, (node, is_code) in enumerate(_mutable_nodes(ast.parse(source))):
        line = getattr(node, "lineno", None) or getattr(getattr(node, "target", None), "lineno", 0)
        for change, (operator, _) in enumerate(changes_of(node, is_code=is_code)):
            found.append(
                Fault(
                    module=module,
                    path=path,
                    line=line,
                    operator=operator,
                    node=number,
                    change=change,
                )
            )
    return sorted(found, key=lambda fault: (fault.line, fault.node, fault.change))


def mutant_of(fault: Fault, source: str) -> Mutant:
    """The module with the fault in it."""
    tree = ast.parse(source)
    node, is_code = next(islice(_mutable_nodes(tree), fault.node, None))
    _, change = list(changes_of(node, is_code=is_code))[fault.change]
    text = ast.unparse(ast.fix_missing_locations(_replace(tree, node, change(node))))
    before, after = _differing(ast.unparse(tree), text)
    is_ours = fault.path.is_relative_to(ROOT)
    return Mutant(
        module=fault.module,
        path=str(fault.path.relative_to(ROOT)) if is_ours else fault.path.name,
        line=fault.line,
        operator=fault.operator,
        before=before,
        after=after,
        source=text,
    )


def _replace(tree: ast.Module, old: ast.AST, new: ast.AST) -> ast.Module:
    class Replacer(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            return ast.copy_location(new, old) if node is old else self.generic_copy(node)

        def generic_copy(self, node: ast.AST) -> ast.AST:
            made = copy.copy(node)
            for field, value in ast.iter_fields(node):
                if isinstance(value, ast.AST):
                    setattr(made, field, self.visit(value))
                elif isinstance(value, list):
                    parts = [self.visit(one) if isinstance(one, ast.AST) else one for one in value]
                    setattr(made, field, parts)
            return made

    replaced = Replacer().visit(tree)
    if not isinstance(replaced, ast.Module):
        raise TypeError("a module stays a module")
    return replaced


def _alike(one: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


def _differing(before: str, after: str) -> tuple[str, str]:
    """The first line in which two texts differ, of each; of a long one what is around it."""
    old, new = before.splitlines(), after.splitlines()
    for one, other in zip(old, new, strict=False):
        if one != other:
            begins = max(_alike(one, other) - CONTEXT, 0)
            ends = max(_alike(one[::-1], other[::-1]) - CONTEXT, 0)
            cut = slice(begins, -ends or None)
            return one[cut].strip(), other[cut].strip()
    return "(longer)", "(shorter)"


# ---- running tests against one


class _Loader(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module from a given source, all others as ever."""

    def __init__(self, module: str, path: Path, source: str) -> None:
        self.module, self.path, self.source = module, path, source

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.module:
            return None
        return importlib.util.spec_from_loader(fullname, self, origin=str(self.path))

    def get_source(self, fullname: str) -> str:
        """What is said to have been loaded is what was."""
        return self.source

    def exec_module(self, module: object) -> None:
        code = compile(self.source, str(self.path), "exec")
        exec(code, module.__dict__)  # noqa: S102


def run_tests(
    module: str, path: Path, source: str, tests: Sequence[Path], limit_seconds: float
) -> str:
    """`killed`, `timeout` or `survived`: what the tests say of a module with this source.

    Runs in a fork, so that nothing of it stays here; the module must not be loaded here yet. The
    limit is of the fork's processor time.
    """
    if module in sys.modules:
        raise RuntimeError(f"{module} is loaded already; a fork would not see the mutant")
    child = os.fork()
    if child == 0:
        os._exit(_run_here(module, path, source, tests, limit_seconds))
    deadline = time.monotonic() + CLOCK_FACTOR * limit_seconds
    pause = 0.005
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            if code in (-signal.SIGXCPU, -signal.SIGKILL):
                return "timeout"
            return "survived" if code == 0 else "killed"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timeout"


def _run_here(
    module: str, path: Path, source: str, tests: Sequence[Path], limit_seconds: float
) -> int:
    import resource

    import pytest

    # What the parent has is not garbage, and looking through it would copy all of it.
    gc.disable()
    # A mutant that never stops may also never stop growing.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    most = math.ceil(limit_seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (most, most + 1))
    # The parent's interruption is not the tests'.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    sys.meta_path.insert(0, _Loader(module, path, source))
    try:
        return int(pytest.main([*OPTIONS, f"--rootdir={ROOT}", *map(str, tests)]))
    except BaseException:  # noqa: BLE001 - whatever a mutant raises, it was noticed
        return 1


def preload() -> None:
    """Load what every fork needs, but nothing of the package that is mutated."""
    import hypothesis.internal.conjecture.engine
    import hypothesis.strategies
    import pytest

    _ = hypothesis, pytest


def _warm_up() -> None:
    """`preload`, and draw the same examples in every run, keeping none."""
    import hypothesis
    import pytest

    preload()
    folder = tempfile.mkdtemp(prefix="mutation-")
    # A fork leaves by os._exit, so only the parent clears up.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = folder
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main([*OPTIONS, "--version"])
    hypothesis.settings.register_profile("mutation", derandomize=True, database=None)
    hypothesis.settings.load_profile("mutation")


# ---- what is mutated, and by which tests it is judged


def targets(names: Sequence[str] = ()) -> list[Target]:
    """The rule modules (or those named) with the unit tests that import them or a user of theirs.

    A module that no test imports itself is judged by the tests of the modules that import it.
    """
    imports = {
        test: _imported_modules(test.read_text(encoding="utf-8"))
        for test in sorted((ROOT / "tests" / "unit").glob("test_*.py"))
    }
    known = {_name_of(path): path for path in sorted((ROOT / PACKAGE).rglob("*.py"))}
    within = {
        f"{PACKAGE}.{name}": _imported_modules(path.read_text(encoding="utf-8"))
        for name, path in known.items()
    }
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise SystemExit(f"no module {', '.join(unknown)}; there are {', '.join(known)}")
    chosen = names or [name for name, path in known.items() if not _is_excluded(name, path)]
    found = []
    for name in chosen:
        module = f"{PACKAGE}.{name}"
        tests = _tests_of({module}, imports, within)
        own = f"test_{name.rpartition('.')[2]}"
        tests.sort(key=lambda test: (test.stem != own, test.name))
        users = {user for user, imported in within.items() if module in imported}
        wider = {test for test, imported in imports.items() if users & imported} - set(tests)
        found.append(
            Target(module=module, path=known[name], tests=tuple(tests), wider=tuple(sorted(wider)))
        )
    return found


def _name_of(path: Path) -> str:
    """`claims.supersession`, as it is named on the command line."""
    return ".".join(path.relative_to(ROOT / PACKAGE).with_suffix("").parts)


def _is_excluded(name: str, path: Path) -> bool:
    return path.name == "__init__.py" or bool({name, name.partition(".")[0]} & NOT_RULES)


def _tests_of(
    modules: set[str], imports: dict[Path, set[str]], within: dict[str, set[str]]
) -> list[Path]:
    tests = [test for test, imported in imports.items() if modules & imported]
    if tests:
        return tests
    users = {module for module, imported in within.items() if modules & imported}
    return _tests_of(users | modules, imports, within) if users - modules else []


def _imported_modules(source: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def sample(faults: Sequence[Fault], size: int, seed: int) -> list[Fault]:
    """As many from every module in proportion to its faults, at least one; the same per seed."""
    if size >= len(faults):
        return list(faults)
    by_module: dict[str, list[Fault]] = {}
    for fault in faults:
        by_module.setdefault(fault.module, []).append(fault)
    chosen: list[Fault] = []
    for module in sorted(by_module):
        share = max(1, round(size * len(by_module[module]) / len(faults)))
        drawn = random.Random(f"{seed}:{module}").sample(range(len(by_module[module])), share)
        chosen.extend(by_module[module][n] for n in sorted(drawn))
    return chosen


# ---- the account


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """A survivor that is no fault of the tests, and why."""

    module: str
    before: str
    after: str
    reason: str

    def covers(self, mutant: Mutant) -> bool:
        return (self.module, self.before, self.after) == (
            mutant.module,
            mutant.before,
            mutant.after,
        )


def read_accepted(path: Path) -> list[Acceptance]:
    """The accepted survivors; every one needs a reason."""
    if not path.exists():
        return []
    rows = tomllib.loads(path.read_text(encoding="utf-8")).get("survivor", [])
    accepted = [Acceptance(**row) for row in rows]
    idle = [one for one in accepted if len(one.reason.split()) < 4]
    if idle:
        raise SystemExit(f"{path.name}: no reason for {idle[0].module}: {idle[0].after}")
    return accepted


def check_accepted(accepted: Sequence[Acceptance], root: Path = ROOT) -> None:
    """SystemExit for an acceptance whose line is not there (any more), or is there several times:
    what it excuses would be another fault than the one that was looked at.
    """
    for one in accepted:
        path = root.joinpath(*one.module.split(".")).with_suffix(".py")
        text = ast.unparse(ast.parse(path.read_text("utf-8"))) if path.exists() else ""
        if text.count(one.before) != 1:
            raise SystemExit(
                f"accepted in {one.module}: {one.before!r} is there {text.count(one.before)} times"
            )


def judge(
    mutants: Iterable[Mutant],
    tests_of: dict[str, Target],
    seconds_of: Mapping[Path, float],
    accepted: Sequence[Acceptance],
    write: Callable[[str], object],
) -> Counter[str]:
    """Runs the tests against every mutant, tells of each survivor, and counts the outcomes.

    `seconds_of` has the processor time of each test file without a fault.
    """
    counts: Counter[str] = Counter()
    try:
        for mutant in mutants:
            outcome = _judged(mutant, tests_of[mutant.module], seconds_of)
            reasons = [one.reason for one in accepted if one.covers(mutant)]
            if outcome == "survived" and reasons:
                outcome = "accepted"
            counts[outcome] += 1
            if outcome in ("survived", "timeout", "accepted"):
                write(f"{outcome:9}{mutant.place} ({mutant.operator})\n")
                write(f"         - {mutant.before}\n         + {mutant.after}\n")
                for reason in reasons:
                    write(f"         {reason}\n")
            if counts.total() % 50 == 0:
                write(f"         {counts.total()} judged, {killed_pct(counts):.1f} % killed\n")
    except KeyboardInterrupt:
        write("interrupted: what follows is of those that were judged\n")
    return counts


def _judged(mutant: Mutant, target: Target, seconds_of: Mapping[Path, float]) -> str:
    """What the module's own tests say of a mutant, or else those of its users."""
    outcome = "survived"
    for tests in (target.tests, target.wider):
        if tests and outcome == "survived":
            usual = sum(seconds_of[test] for test in tests)
            limit = max(TIME_FLOOR_SECONDS, TIME_FACTOR * usual)
            outcome = run_tests(target.module, target.path, mutant.source, tests, limit)
    return outcome


def killed_pct(counts: Counter[str]) -> float:
    """Killed (or too slow) of all that are not accepted, in percent; 100 of none."""
    killed = counts["killed"] + counts["timeout"]
    judged = killed + counts["survived"]
    return 100 * killed / judged if judged else 100.0


def baselines(found: Sequence[Target], write: Callable[[str], object]) -> dict[Path, float]:
    """The processor time, in seconds, of each test file without a fault; all must pass."""
    user_of: dict[Path, Target] = {}
    for target in found:
        if not target.tests:
            raise SystemExit(f"no unit test imports {target.module}: every mutant would survive")
        for test in (*target.tests, *target.wider):
            user_of.setdefault(test, target)
    seconds_of = {}
    for test, target in user_of.items():
        source = target.path.read_text(encoding="utf-8")
        began = _seconds_of_forks()
        outcome = run_tests(target.module, target.path, source, [test], BASELINE_SECONDS)
        if outcome != "survived":
            raise SystemExit(f"tests fail without any fault ({outcome}): pytest -x {test}")
        seconds_of[test] = _seconds_of_forks() - began
    write(f"{len(seconds_of)} test files, {sum(seconds_of.values()):.0f} s of processor time\n")
    return seconds_of


def _seconds_of_forks() -> float:
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(argv: Sequence[str] | None = None, write: Callable[[str], object] | None = None) -> int:
    """Exit status 0 if enough mutants were killed, 1 if not."""
    parser = argparse.ArgumentParser(description="Do the tests notice when the rules are wrong?")
    parser.add_argument("--modules", nargs="*", default=[], help="of carbon_ledger; else all rules")
    parser.add_argument("--sample", type=int, default=10**9, help="how many mutants; else all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--list", action="store_true", help="only list the mutants")
    arguments = parser.parse_args(argv)
    write = write or sys.stdout.write
    found = targets(arguments.modules)
    sources = {target.path: target.path.read_text("utf-8") for target in found}
    faults = [
        fault
        for target in found
        for fault in faults_of(target.module, target.path, sources[target.path])
    ]
    chosen = sample(faults, arguments.sample, arguments.seed)
    if not arguments.list:
        random.Random(arguments.seed).shuffle(chosen)
    mutants = (mutant_of(fault, sources[fault.path]) for fault in chosen)
    if arguments.list:
        for mutant in mutants:
            write(f"{mutant.place} ({mutant.operator})\n  - {mutant.before}\n  + {mutant.after}\n")
        write(f"{len(chosen)} of {len(faults)} mutants\n")
        return 0
    _warm_up()
    accepted = read_accepted(ACCEPTED)
    check_accepted(accepted)
    seconds_of = baselines(found, write)
    tests_of = {target.module: target for target in found}
    counts = judge(mutants, tests_of, seconds_of, accepted, write)
    percent = killed_pct(counts)
    write(
        f"{counts.total()} of {len(faults)} mutants: {counts['killed']} killed, "
        f"{counts['timeout']} too slow, {counts['survived']} survived, "
        f"{counts['accepted']} accepted with reason; {percent:.1f} % killed, "
        f"{THRESHOLD_PCT} % needed\n"
    )
    return 0 if percent >= THRESHOLD_PCT else 1


if __name__ == "__main__":
    raise SystemExit(main())
