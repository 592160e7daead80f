"""Which modules a bundle needs, found by reading their imports; and copying them.

Belongs here: the closure of imports inside carbon_ledger. Does not: what the code does.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from carbon_ledger.errors import BrokenInvariant

PACKAGE: Final = "carbon_ledger"
ROOT: Final = Path(__file__).resolve().parent.parent
START: Final = "carbon_ledger.lineage.bundle"
# What is copied runs on Python alone, so the store and whatever needs a library stay outside.
FORBIDDEN: Final = "carbon_ledger.store"


def needed_modules(start: str = START) -> dict[str, Path]:
    """Every module of carbon_ledger that `start` may import, itself included, with its file.

    Raises BrokenInvariant `bundle_not_pure` if one of them imports a library or the store.
    """
    found: dict[str, Path] = {}
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        file = _file_of(name)
        if file is None or name.startswith(FORBIDDEN):
            raise BrokenInvariant("bundle_not_pure", f"a bundle cannot have module {name}")
        found[name] = file
        waiting += [name.rpartition(".")[0]] if "." in name else []
        for imported in _imports(file):
            if imported.partition(".")[0] != PACKAGE:
                if imported.partition(".")[0] not in sys.stdlib_module_names:
                    raise BrokenInvariant(
                        "bundle_not_pure", f"{name} imports {imported}, which Python has not"
                    )
            elif _file_of(imported) is not None:
                waiting.append(imported)
            else:
                # A name of a module, as `from package.module import name` gives it.
                waiting.append(imported.rpartition(".")[0])
    return found


def _file_of(name: str) -> Path | None:
    base = ROOT.parent.joinpath(*name.split("."))
    for file in (base.with_suffix(".py"), base / "__init__.py"):
        if file.is_file():
            return file
    return None


def _imports(file: Path) -> Iterator[str]:
    """Names imported where it runs: not those under `if TYPE_CHECKING`."""
    waiting: list[ast.AST] = [ast.parse(file.read_text("utf-8"), str(file))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module.partition(".")[0] == PACKAGE:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
        waiting += ast.iter_child_nodes(node)


def copy_code(target: Path) -> int:
    """Puts the modules, and the schemas they read, below `target`; how many modules."""
    modules = needed_modules()
    for file in (*modules.values(), *sorted((ROOT / "schemas").glob("*.avsc"))):
        place = target / file.relative_to(ROOT.parent)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.read_bytes())
    return len(modules)
