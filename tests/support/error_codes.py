"""The codes of errors, read from source texts: with which a module can refuse, halt or retry.

Belongs here: finding each code an error is made with, also where a helper is handed the code or a
table of faults holds it. Does not: whether a code is the right one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

KINDS = ("RejectedRecord", "Unavailable", "BrokenInvariant", "ConfigurationError")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where an error is made: its code (`{…}` for what is only known then), kind and module."""

    code: str
    kind: str
    module: str


@dataclass(frozen=True, kw_only=True)
class Helper:
    """A function that makes an error of a code it is handed: in which argument, else which code.

    `position` is None where the code is handed by name alone.
    """

    kind: str
    position: int | None
    argument: str
    default: ast.expr | None


@dataclass(frozen=True, kw_only=True)
class _Scope:
    """A function, or a whole module, with all calls in it: the name of what is called first."""

    node: ast.Module | Function
    calls: list[tuple[str, ast.Call]] = field(default_factory=list)


class _Module:
    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.tree = ast.parse(source)
        self.helpers: dict[str, Helper] = {}
        self.imports: list[tuple[str, str, str]] = []
        self.scopes: list[_Scope] = []
        self._read(self.tree, [])
        # The innermost functions first: a name is looked for where it is used.
        self.scopes.reverse()

    def _read(self, node: ast.AST, within: list[_Scope]) -> None:
        if isinstance(node, ast.Module | Function):
            self.scopes.append(_Scope(node=node))
            within = [*within, self.scopes[-1]]
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                self.imports.append((alias.asname or alias.name, node.module, alias.name))
        elif isinstance(node, ast.Call):
            called = node.func
            name = getattr(called, "attr", getattr(called, "id", ""))
            for scope in within:
                scope.calls.append((name, node))
        for child in ast.iter_child_nodes(node):
            self._read(child, within)


def sites_of(sources: Mapping[str, str]) -> list[Site]:
    """Every code in these modules (source by dotted name), in order of kind, code and module.

    A code that an error takes over from another one is that one's.
    """
    modules = [_Module(name, text) for name, text in sources.items()]
    _find_helpers(modules)
    found = {
        (KINDS.index(kind), code, module.name)
        for module in modules
        for kind, code in _codes_of(module)
    }
    return [Site(code=code, kind=KINDS[kind], module=name) for kind, code, name in sorted(found)]


def _find_helpers(modules: list[_Module]) -> None:
    """Functions that hand a parameter to an error as its code, also over further functions."""
    by_name = {module.name: module for module in modules}
    is_new = True
    while is_new:
        is_new = False
        for module in modules:
            for scope in module.scopes:
                name = getattr(scope.node, "name", "")
                helper = None if name in module.helpers else _helper(scope, module)
                if helper is not None:
                    module.helpers[name] = helper
                    is_new = True
            for name, place, original in module.imports:
                source = by_name.get(place)
                if source and name not in module.helpers and original in source.helpers:
                    module.helpers[name] = source.helpers[original]
                    is_new = True


def _helper(scope: _Scope, module: _Module) -> Helper | None:
    if isinstance(scope.node, ast.Module):
        return None
    arguments = scope.node.args
    positional = [one.arg for one in (*arguments.posonlyargs, *arguments.args)]
    by_name = [one.arg for one in arguments.kwonlyargs]
    optional = positional[len(positional) - len(arguments.defaults) :]
    defaults = dict(zip(optional, arguments.defaults, strict=True)) | {
        name: value
        for name, value in zip(by_name, arguments.kw_defaults, strict=True)
        if value is not None
    }
    for kind, code in _made(scope, module):
        if isinstance(code, ast.Name) and code.id in {*positional, *by_name}:
            # A method is called without its first argument.
            shift = 1 if positional[:1] in (["self"], ["cls"]) else 0
            place = positional.index(code.id) - shift if code.id in positional else None
            return Helper(
                kind=kind, position=place, argument=code.id, default=defaults.get(code.id)
            )
    return None


def _made(scope: _Scope, module: _Module) -> Iterator[tuple[str, ast.expr]]:
    """Kind and code of each error that is made, itself or by a helper."""
    for name, call in scope.calls:
        if name in KINDS and call.args:
            yield name, call.args[0]
        elif (helper := module.helpers.get(name)) is not None:
            code = {one.arg: one.value for one in call.keywords}.get(
                helper.argument, helper.default
            )
            if helper.position is not None and len(call.args) > helper.position:
                code = call.args[helper.position]
            if code is not None:
                yield helper.kind, code


def _codes_of(module: _Module) -> Iterator[tuple[str, str]]:
    seen: set[int] = set()
    for scope in module.scopes:
        for kind, code in _made(scope, module):
            if id(code) not in seen:
                seen.add(id(code))
                yield from ((kind, one) for one in _texts(code, scope.node, module.tree, 0))


def _texts(code: ast.expr, scope: ast.AST, tree: ast.Module, depth: int) -> Iterator[str]:
    """The texts an expression can be, as far as the function and the module say."""
    if isinstance(code, ast.Constant) and isinstance(code.value, str):
        yield code.value
    elif isinstance(code, ast.IfExp):
        yield from _texts(code.body, scope, tree, depth)
        yield from _texts(code.orelse, scope, tree, depth)
    elif isinstance(code, ast.JoinedStr):
        parts = (str(one.value) if isinstance(one, ast.Constant) else "{…}" for one in code.values)
        yield "".join(parts)
    elif isinstance(code, ast.Name) and depth < 3:
        for place in (scope, tree):
            for value in _values(code.id, place):
                yield from _texts(value, scope, tree, depth + 1)


def _values(name: str, scope: ast.AST) -> Iterator[ast.expr]:
    """What is assigned to a name, or what it goes through in a loop over a table."""
    yield from _assigned(name, scope)
    for node in _statements(scope):
        if isinstance(node, ast.For) and name in _names(node.target):
            yield from _parts(name, node.target, list(_rows(node.iter, scope)))


def _assigned(name: str, scope: ast.AST) -> Iterator[ast.expr]:
    for node in _statements(scope):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield from _parts(name, target, [node.value])
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            yield from _parts(name, node.target, [node.value])


def _statements(scope: ast.AST) -> Iterable[ast.AST]:
    """All of a function; of a module what stands in no function."""
    return scope.body if isinstance(scope, ast.Module) else ast.walk(scope)


def _names(target: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}


def _parts(name: str, target: ast.expr, values: list[ast.expr]) -> Iterator[ast.expr]:
    if isinstance(target, ast.Name) and target.id == name:
        yield from values
    elif isinstance(target, ast.Tuple):
        for position, one in enumerate(target.elts):
            if isinstance(one, ast.Name) and one.id == name:
                for value in values:
                    if isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts):
                        yield value.elts[position]


def _rows(table: ast.expr, scope: ast.AST) -> Iterator[ast.expr]:
    """The rows of a table that is written out, here or under a name; of a mapping key and value."""
    if isinstance(table, ast.Call) and isinstance(table.func, ast.Attribute):
        table = table.func.value
    if isinstance(table, ast.Name):
        for value in list(_assigned(table.id, scope)):
            yield from _rows(value, scope)
        for node in ast.walk(scope):
            # A table that rows are added to.
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) == f"{table.id}.append"
                and node.args
            ):
                yield node.args[0]
    elif isinstance(table, ast.Tuple | ast.List):
        yield from table.elts
    elif isinstance(table, ast.Dict):
        for key, value in zip(table.keys, table.values, strict=True):
            if key is not None:
                yield ast.Tuple(elts=[key, value], ctx=ast.Load())
