"""docs/accounting.md as something to execute: its examples, and its table of formulas.

Belongs here: reading and rewriting the document. `python -m tests.support.accounting_doc` writes
what the examples print now, and the table; what changed is then read in the diff. Does not: the
judgement (tests/unit/test_accounting_doc.py).
"""

from __future__ import annotations

import contextlib
import importlib
import io
import pkgutil
import re
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

import carbon_ledger
from carbon_ledger.workings import Formula
from cli.calc_command import calc

DOCUMENT = Path(__file__).parents[2] / "docs" / "accounting.md"
# An example: what goes in, as a block of JSON lines or Python, and what is printed, as text.
_EXAMPLE = re.compile(
    r"^```(?P<kind>jsonl|python)(?P<options>[^\n]*)\n(?P<given>.*?)^```\n\n"
    r"^```text\n(?P<printed>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_TABLE = re.compile(r"(?<=<!-- formulas -->\n).*?(?=<!-- end -->)", re.DOTALL)


@dataclass(frozen=True)
class Example:
    """One example of the document; `line` is where it begins."""

    kind: str
    options: str
    given: str
    printed: str
    line: int

    def prints(self) -> str:
        """What it prints now. Raises whatever goes wrong in it."""
        if self.kind == "python":
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                # The document is ours, and running it is the point.
                exec(compile(self.given, f"{DOCUMENT.name}:{self.line}", "exec"), {})  # noqa: S102
            return output.getvalue()
        arguments = self.options.removeprefix(" carbon calc --explain").split()
        result = CliRunner().invoke(calc, ["--explain", *arguments], input=self.given)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.stdout.rstrip("\n") + "\n"


def examples(text: str) -> list[Example]:
    """The examples of a text, in its order."""
    return [
        Example(
            kind=found["kind"],
            options=found["options"],
            given=found["given"],
            printed=found["printed"],
            line=text.count("\n", 0, found.start()) + 2,
        )
        for found in _EXAMPLE.finditer(text)
    ]


def formulas() -> dict[str, Formula]:
    """Every formula of the code by its id: whatever a module of carbon_ledger has."""
    found: dict[str, Formula] = {}
    for module in pkgutil.walk_packages(carbon_ledger.__path__, "carbon_ledger."):
        for value in vars(importlib.import_module(module.name)).values():
            several = value.values() if isinstance(value, dict) else (value,)
            for one in several:
                if isinstance(one, Formula):
                    found[one.formula_id] = one
    return dict(sorted(found.items()))


def formula_rows() -> str:
    """The table of formulas as it must stand in the document."""
    rows = ["", "| id | formula | source |", "| --- | --- | --- |"]
    rows += [f"| `{one.formula_id}` | {one.text} | {one.citation} |" for one in formulas().values()]
    return "\n".join(rows) + "\n\n"


def rewritten(text: str) -> str:
    """The text with what its examples print now, and with the table of formulas."""
    lines = {one.line: one for one in examples(text)}

    def again(found: re.Match[str]) -> str:
        one = lines[text.count("\n", 0, found.start()) + 2]
        head = found[0][: found.start("printed") - found.start()]
        return f"{head}{one.prints()}```"

    return _TABLE.sub(lambda _: formula_rows(), _EXAMPLE.sub(again, text))


if __name__ == "__main__":
    DOCUMENT.write_text(rewritten(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
