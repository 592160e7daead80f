"""The flags that the program can put on a line, a factor or a report, found in its source.

Belongs here: reading modules for texts that stand where flags do, and seeds for those of factors.
Does not: what flags mean (carbon_ledger.flags).

Found are literals, and constants of the same module or imported by name, that are given as an
argument `flag`, `…flags` or `remarks`, assigned to such a name, added to it, or returned by a
function of such a name. What a variable holds at run time is not seen: recorded results are read
for that.
"""

from __future__ import annotations

import ast
import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAMED = re.compile(r"(^|_)(flags?|remarks)$", re.IGNORECASE)
FLAG = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*[_:]?")
GATHERING = frozenset({"set", "frozenset", "tuple", "sorted", "list", "fromkeys"})
ADDING = frozenset({"add", "append", "update", "union"})


@dataclass
class Module:
    """A module's text as a tree, its constants, and where its imported names are from."""

    name: str
    tree: ast.Module

    def __post_init__(self) -> None:
        self.constants: dict[str, ast.expr] = {}
        self.imported: dict[str, tuple[str, str]] = {}
        for node in self.tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            if isinstance(node, ast.AnnAssign):
                targets = [node.target]
            for target in targets:
                value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
                if isinstance(target, ast.Name) and value is not None:
                    self.constants[target.id] = value
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                for one in node.names:
                    self.imported[one.asname or one.name] = (node.module, one.name)


def modules_of(texts: Mapping[str, str]) -> dict[str, Module]:
    """Modules by name, of their texts."""
    return {name: Module(name=name, tree=ast.parse(text)) for name, text in texts.items()}


def package_texts(root: Path, packages: tuple[str, ...]) -> dict[str, str]:
    """The text of each module of the packages."""
    return {
        ".".join(path.relative_to(root).with_suffix("").parts): path.read_text(encoding="utf-8")
        for package in packages
        for path in sorted((root / package).rglob("*.py"))
    }


def flags_in(texts: Mapping[str, str]) -> dict[str, set[str]]:
    """Flags, each with the modules it is in. One that ends in `_` or `:` is followed by a name."""
    scan = _Scan(modules_of(texts))
    found: dict[str, set[str]] = {}
    for module in scan.modules.values():
        for value in scan.places(module):
            for text in scan.texts(value, module):
                if FLAG.fullmatch(text):
                    found.setdefault(text, set()).add(module.name)
    return found


def recorded_flags(root: Path) -> set[str]:
    """Flags of recorded results and of the shipped factors."""
    found: set[str] = set()
    for path in (root / "tests" / "golden").glob("*.json"):
        found |= set(_recorded(json.loads(path.read_text(encoding="utf-8"))))
    for path in (root / "factor_seeds").rglob("*.csv"):
        with path.open(newline="", encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                found |= set((row.get("quality_flags") or "").split())
    return found - {""}


def _recorded(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _recorded(one)
    if isinstance(value, dict):
        for name, one in value.items():
            if name in ("flags", "quality_flags"):
                yield from one.split(",") if isinstance(one, str) else one or ()
            else:
                yield from _recorded(one)


class _Scan:
    def __init__(self, modules: dict[str, Module]) -> None:
        self.modules = modules
        # Functions that take a flag by its place: which one it is.
        self.taking: dict[str, set[int]] = {}
        for module in modules.values():
            for node in ast.walk(module.tree):
                if isinstance(node, ast.FunctionDef):
                    for place, one in enumerate(node.args.args):
                        if NAMED.search(one.arg):
                            self.taking.setdefault(node.name, set()).add(place)

    def places(self, module: Module) -> Iterator[ast.expr]:
        """What stands where flags do."""
        for node in ast.walk(module.tree):
            if isinstance(node, ast.keyword) and node.arg and NAMED.search(node.arg):
                yield node.value
            elif isinstance(node, ast.Assign) and any(map(_is_named, node.targets)):
                yield from _beside(node)
            elif isinstance(node, ast.AnnAssign | ast.AugAssign) and _is_named(node.target):
                yield from filter(None, [node.value])
            elif isinstance(node, ast.Call):
                yield from self._arguments(node)
            elif isinstance(node, ast.FunctionDef) and NAMED.search(node.name):
                returned = (one.value for one in ast.walk(node) if isinstance(one, ast.Return))
                yield from filter(None, returned)

    def _arguments(self, node: ast.Call) -> Iterator[ast.expr]:
        name = _name(node.func)
        if isinstance(node.func, ast.Attribute) and name in ADDING and _is_named(node.func.value):
            yield from node.args
        for place in self.taking.get(name, ()):
            if isinstance(node.func, ast.Name) and place < len(node.args):
                yield node.args[place]

    def texts(self, value: ast.expr | None, module: Module, depth: int = 0) -> Iterator[str]:
        """The texts that an expression may come to, or to a collection of."""
        parts: list[ast.expr | None] = []
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield value.value
        elif isinstance(value, ast.JoinedStr):
            yield self._beginning(value, module)
        elif isinstance(value, ast.Name) and depth < 4:
            place = self._constant(value.id, module)
            if place is not None:
                yield from self.texts(*place, depth + 1)
        elif isinstance(value, ast.Tuple | ast.List | ast.Set):
            parts = [*value.elts]
        elif isinstance(value, ast.Starred | ast.Subscript):
            parts = [value.value]
        elif isinstance(value, ast.ListComp | ast.SetComp | ast.GeneratorExp):
            parts = [value.elt]
        elif isinstance(value, ast.IfExp):
            parts = [value.body, value.orelse]
        elif isinstance(value, ast.BinOp):
            parts = [value.left, value.right]
        elif isinstance(value, ast.BoolOp):
            parts = [*value.values]
        elif isinstance(value, ast.Dict):
            is_table = all(isinstance(one, ast.Constant) for one in value.values)
            parts = [*value.values] if is_table else [*value.keys]
        elif isinstance(value, ast.Call) and _name(value.func) in GATHERING:
            parts = value.args[:1]
        for part in parts:
            yield from self.texts(part, module, depth)

    def _constant(self, name: str, module: Module) -> tuple[ast.expr, Module] | None:
        if name in module.constants:
            return module.constants[name], module
        origin, original = module.imported.get(name, ("", ""))
        found = self.modules.get(origin)
        return None if found is None else self._constant(original, found)

    def _beginning(self, value: ast.JoinedStr, module: Module) -> str:
        """What a formatted text begins with, until something that is known at run time only."""
        begun = ""
        for part in value.values:
            if isinstance(part, ast.FormattedValue):
                known = [*self.texts(part.value, module)]
                if len(known) != 1:
                    return begun
                begun += known[0]
            else:
                begun += "".join(self.texts(part, module))
        return begun


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def _is_named(node: ast.expr) -> bool:
    if isinstance(node, ast.Tuple):
        return any(map(_is_named, node.elts))
    return NAMED.search(_name(node)) is not None


def _beside(node: ast.Assign) -> Iterator[ast.expr]:
    """Of `a, flags = x, y` what is assigned to the flags."""
    for target in node.targets:
        if isinstance(target, ast.Tuple):
            if isinstance(node.value, ast.Tuple):
                for one, value in zip(target.elts, node.value.elts, strict=True):
                    if _is_named(one):
                        yield value
        elif _is_named(target):
            yield node.value
