"""Tables for the web UI, from values that anybody may have written.

Belongs here: escaping, the table. Does not: what is in one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import dagster as dg

# What begins or ends a construct of Markdown within a line, or a cell of a table.
_SPECIAL = re.compile(r"([\\`*_\[\]|~#!])")
_BLANK = re.compile(r"\s+")


def escaped(value: object) -> str:
    """The value as one line of Markdown that reads as it is written: no markup, no link, no cell
    that ends early; nothing for None."""
    text = "" if value is None else _BLANK.sub(" ", str(value)).strip()
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # A bare address would be made a link of.
    return _SPECIAL.sub(r"\\\1", text).replace("://", ":&#47;&#47;")


def table_text(
    heads: Sequence[str], rows: Iterable[Sequence[object]], *, right: int = 0, title: str = ""
) -> str:
    """A table in Markdown; the last `right` columns are figures, on the right."""
    left = len(heads) - right
    lines = [escaped(title), ""] if title else []
    lines.append("| " + " | ".join(map(escaped, heads)) + " |")
    lines.append("|" + "---|" * left + "---:|" * right)
    lines += ["| " + " | ".join(map(escaped, row)) + " |" for row in rows]
    return "\n".join(lines)


def table(
    heads: Sequence[str], rows: Iterable[Sequence[object]], *, right: int = 0, title: str = ""
) -> dg.MarkdownMetadataValue:
    """`table_text` as metadata."""
    return dg.MetadataValue.md(table_text(heads, rows, right=right, title=title))
