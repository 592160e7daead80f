"""The process that reads one file from outside: `python -m pipeline.files.table_process`.

Belongs here: limiting itself, reading standard input as the format it was told, saying each row as
a line of JSON, and last of all `end` or `refused`. Does not: the formats (text_rows, workbook).
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Iterator
from typing import Any, Final

# openpyxl takes numpy where it finds it: more memory than the whole of this process may have.
sys.modules["numpy"] = None  # type: ignore[assignment]

from pipeline.files.limits import FileRefused, Limits  # noqa: E402
from pipeline.files.row_checks import Said  # noqa: E402
from pipeline.files.text_rows import csv_rows, json_rows  # noqa: E402
from pipeline.files.workbook import workbook_rows  # noqa: E402

READERS: Final = {"csv": csv_rows, "json": json_rows, "xlsx": workbook_rows}


def confine(limits: Limits) -> None:
    """From here on: little memory, little time, no file written, no process started."""
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 5))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def main(arguments: list[str]) -> int:
    """Reads standard input; 0 if all of it was read, 1 if it was refused."""
    format_, limits = arguments[0], Limits.read(arguments[1])
    confine(limits)
    with os.fdopen(os.dup(0), "rb") as source, os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        try:
            _say_all(READERS[format_](source, limits), out.write, limits)
        except FileRefused as refusal:
            _say(out.write, {"refused": {**refusal.values(), "line": refusal.line}})
        except MemoryError:
            _say(out.write, {"refused": _too_much(limits)})
        else:
            return 0
    return 1


def _too_much(limits: Limits) -> dict[str, str]:
    return {
        "code": "too_much_memory",
        "message": f"reading the file takes more than {limits.memory_bytes:,} bytes of memory",
        "valid": "a smaller, plainer file",
    }


def _say_all(rows: Iterator[Said], write: Any, limits: Limits) -> None:
    columns = next(rows)
    count = 0
    for row in rows:
        count += 1
        if count > limits.rows:
            raise FileRefused(
                "too_many_rows",
                f"there are more than {limits.rows:,} rows",
                line=row["line"],
                valid="a smaller file; split it by month or by site",
            )
        _say(write, row)
    if not count:
        raise FileRefused(
            "file_empty", "there is a header and no row", valid="a row below the header"
        )
    _say(write, {"end": {"columns": columns["columns"], "rows": count}})


def _say(write: Any, said: Said) -> None:
    write(json.dumps(said, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
