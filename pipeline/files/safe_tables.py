"""Rows out of a CSV, XLSX or JSON file that nobody vouches for.

Belongs here: reading such a file in a process of its own with little memory, no way to write a
file and a time limit, and handing on its rows as text once the whole of it has been read. Does
not: what a column means, where files come from, where refused files are kept.

    with read_table(path, name="2025-01.csv") as table:
        for row in table:
            row.line, row.cells["quantity"], row.problem

A file is read whole or not at all: rows are handed on only after its last byte was judged, so a
refusal (FileRefused) never leaves half of it behind. Formulas are never evaluated: a file with one
is refused, and says where it is.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, Any, Final, Self

from carbon_ledger.errors import RejectedRecord, Unavailable
from pipeline.files.limits import DEFAULT_LIMITS, FileRefused, Limits

__all__ = [
    "DEFAULT_LIMITS",
    "FORMATS",
    "FileRefused",
    "Limits",
    "SafeTable",
    "TableRow",
    "format_of",
    "read_table",
]

FORMATS: Final = ("csv", "xlsx", "json")
_CHILD: Final = "pipeline.files.table_process"
_CHUNK: Final = 1 << 16
_ROOT: Final = Path(__file__).resolve().parents[2]
# What the reading process gets of our environment: nothing that is secret.
_KEPT_VARIABLES: Final = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")


@dataclass(frozen=True, kw_only=True, slots=True)
class TableRow:
    """One row: the line (row of the sheet) it starts on, from 1, and its filled cells as text.

    Numbers are text as they stand (a workbook's binary number as the shortest text of it), times
    ISO text, true and false those words, a list or object of JSON its JSON text. An empty cell is
    left out. `problem` says why the row as such cannot be used (cells beyond the header, an error
    value); its cells are what could be read.
    """

    line: int
    cells: Mapping[str, str]
    problem: RejectedRecord | None = None


class SafeTable:
    """The rows of one file, all of them read already; iterate as often as needed, then close."""

    def __init__(
        self, spool: IO[bytes], *, format_: str, columns: tuple[str, ...], rows: int
    ) -> None:
        self._spool = spool
        self.format = format_
        self.columns = columns
        self.row_count = rows

    def __iter__(self) -> Iterator[TableRow]:
        self._spool.seek(0)
        for text in self._spool:
            said = json.loads(text)
            if "cells" in said:
                problem = said.get("problem")
                yield TableRow(
                    line=said["line"],
                    cells=said["cells"],
                    problem=None if problem is None else _rejected(problem),
                )

    def close(self) -> None:
        """Lets go of the rows."""
        self._spool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def format_of(name: str) -> str:
    """`csv`, `xlsx` or `json` by the name's ending; FileRefused `unknown_format`."""
    ending = PurePosixPath(name).suffix.lower().removeprefix(".")
    if ending in FORMATS:
        return ending
    raise FileRefused(
        "unknown_format",
        f"{name[:100]!r} does not end as a table does",
        field="file name",
        value=name,
        valid="a name that ends in .csv, .xlsx or .json",
    )


def read_table(
    source: Path | bytes, *, name: str | None = None, limits: Limits = DEFAULT_LIMITS
) -> SafeTable:
    """The rows of a file (a path of ours, or its bytes); `name` is what its sender called it.

    Raises FileRefused with the place and what would be valid: `unknown_format`, `wrong_content`,
    `file_empty`, `file_too_large`, `line_too_long`, `cell_too_long`, `too_many_rows`,
    `too_many_columns`, `too_many_members`, `unpacks_too_large`, `nested_archive`, `member_name`,
    `encrypted`, `active_content`, `archive_broken`, `overlapping_members`, `document_type`,
    `formula_cell`, `not_utf8`, `nul_byte`, `control_character`, `broken_csv`, `broken_json`,
    `broken_workbook`, `too_deep`, `header_missing`, `header_empty`, `column_twice`,
    `too_much_memory`, `too_slow`, `reader_died`. Raises Unavailable `reader_stalled`,
    `reader_killed` when the file is not to blame.
    """
    if isinstance(source, Path):
        with source.open("rb") as file:
            return _read(file, format_of(name or source.name), limits)
    if name is None:
        raise ValueError("bytes need the name of their file")
    with tempfile.TemporaryFile(prefix="carbon-table-") as file:
        file.write(source)
        file.flush()
        return _read(file, format_of(name), limits)


def _read(file: IO[bytes], format_: str, limits: Limits) -> SafeTable:
    size = os.fstat(file.fileno()).st_size
    if size > limits.file_bytes:
        raise FileRefused(
            "file_too_large",
            f"the file has {size:,} bytes",
            value=size,
            valid=f"up to {limits.file_bytes:,} bytes; split it by month or by site",
        )
    file.seek(0)
    spool = tempfile.TemporaryFile(prefix="carbon-rows-")
    try:
        ending = _run(file, format_, limits, spool)
        return SafeTable(
            spool, format_=format_, columns=tuple(ending["columns"]), rows=ending["rows"]
        )
    except BaseException:
        spool.close()
        raise


def _run(file: IO[bytes], format_: str, limits: Limits, spool: IO[bytes]) -> dict[str, Any]:
    """Lets a process read `file` into `spool`; returns its last word, or raises it."""
    child = subprocess.Popen(
        [sys.executable, "-m", _CHILD, format_, limits.written()],
        stdin=file,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=_ROOT,
        env={key: os.environ[key] for key in _KEPT_VARIABLES if key in os.environ},
    )
    try:
        _collect(child, limits, spool)
        code = child.wait(timeout=10)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(
            "reader_stalled", "the process that reads the file does not end; try again"
        ) from error
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()
    return _last_word(spool, code)


def _collect(child: subprocess.Popen[bytes], limits: Limits, spool: IO[bytes]) -> None:
    pipe = child.stdout
    if pipe is None:
        raise ValueError("the reading process has no output")
    deadline = time.monotonic() + limits.wall_seconds
    answered = 0
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([pipe], [], [], left)[0]:
            raise Unavailable(
                "reader_stalled",
                f"the file was not read within {limits.wall_seconds:g} s; try again when the "
                "machine is less busy",
            )
        chunk = os.read(pipe.fileno(), _CHUNK)
        if not chunk:
            return
        answered += len(chunk)
        if answered > limits.answer_bytes:
            raise FileRefused(
                "unpacks_too_large",
                f"the rows come to more than {limits.answer_bytes:,} bytes",
                valid="a smaller file; split it by month or by site",
            )
        spool.write(chunk)


def _last_word(spool: IO[bytes], code: int) -> dict[str, Any]:
    spool.flush()
    said: dict[str, Any] = {}
    last = _last_line(spool)
    with suppress(ValueError):
        said = json.loads(last)
    if "end" in said and code == 0:
        return dict(said["end"])
    if "refused" in said:
        raise FileRefused(**said["refused"])
    if code == -signal.SIGXCPU:
        raise FileRefused(
            "too_slow", "reading the file takes more than it may", valid="a smaller, plainer file"
        )
    if code == -signal.SIGKILL:
        raise Unavailable("reader_killed", "the process that reads the file was killed; try again")
    raise FileRefused(
        "reader_died",
        f"the file makes its reader end with {code}",
        valid="a file saved anew by a spreadsheet program",
    )


def _last_line(spool: IO[bytes]) -> bytes:
    end = spool.seek(0, os.SEEK_END)
    start = end
    tail = b""
    while start > 0 and b"\n" not in tail.rstrip(b"\n"):
        step = min(_CHUNK, start)
        start -= step
        spool.seek(start)
        tail = spool.read(step) + tail
    return tail.rstrip(b"\n").rpartition(b"\n")[2]


def _rejected(said: Mapping[str, Any]) -> RejectedRecord:
    return RejectedRecord(
        said["code"],
        said["message"],
        field=said.get("field"),
        value=said.get("value"),
        valid=said.get("valid"),
    )
