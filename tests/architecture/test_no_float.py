"""No binary floating point in carbon_ledger: a ledger figure never touches one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Names that make or mean a binary floating-point number, and modules whose results are such.
NAMES = {"float", "complex", "float32", "float64", "double"}
MODULES = {"math", "cmath", "statistics", "random", "numpy", "pandas"}


def floats_in(source: str, filename: str = "source") -> list[str]:
    """`file:line what` for each trace of a binary floating-point number in Python source."""
    found = []
    for node in ast.walk(ast.parse(source, filename)):
        what = None
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            what = f"literal {node.value!r}"
        elif isinstance(node, ast.Name) and node.id in NAMES:
            what = f"name {node.id}"
        elif isinstance(node, ast.Attribute) and node.attr in NAMES:
            what = f"attribute {node.attr}"
        elif isinstance(node, ast.Import):
            named = {alias.name.split(".")[0] for alias in node.names}
            what = f"import of {', '.join(sorted(named & MODULES))}" if named & MODULES else None
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            what = f"import from {node.module}"
        if what:
            found.append(f"{filename}:{getattr(node, 'lineno', 0)} {what}")
    return found


def test_carbon_ledger_has_no_float() -> None:
    files = sorted((ROOT / "carbon_ledger").rglob("*.py"))
    assert len(files) > 5
    found = [
        trace
        for path in files
        for trace in floats_in(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))
    ]
    assert found == []


@pytest.mark.parametrize(
    "planted",
    [
        "timeout = 0.5",
        "x = 1e3",
        "x = 2j",
        "x = float(text)",
        "def f(x: float) -> None: ...",
        "x: list[float] = []",
        "t = pyarrow.float64()",
        "import math",
        "import numpy as np",
        "from statistics import mean",
        "import os, random",
    ],
)
def test_a_planted_float_is_found(planted: str) -> None:
    assert floats_in(planted)


@pytest.mark.parametrize("clean", ["x = Decimal('0.5')", "path = root / 'name'", "n = 10**3"])
def test_what_is_exact_is_left_alone(clean: str) -> None:
    assert floats_in(clean) == []
