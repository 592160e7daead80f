"""`carbon calc`: activities in, emission lines or refusals out, one JSON object each.

Belongs here: reading JSON lines or CSV without holding them, printing, options. Does not: any rule
(carbon_ledger.calculation).
"""

from __future__ import annotations

import codecs
import csv
import json
import os
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

import click

from carbon_ledger.calculation import calculate, explained, line_values
from carbon_ledger.errors import ConfigurationError, RejectedRecord
from carbon_ledger.factor_book.book import FactorBook
from carbon_ledger.inventory import Inventory
from carbon_ledger.policy import CONSOLIDATIONS, Policy
from carbon_ledger.reference.register import Register
from carbon_ledger.workings import one_line

LINE_BYTES_MAX: Final = 1_000_000
# Longer whole numbers stay text: they are refused by the calculation, not turned into an int.
_WHOLE_DIGITS_MAX: Final = 39
_TRUTH: Final = {"true": True, "false": False}


@click.command("calc")
@click.argument("source", metavar="[FILE]", default="-")
@click.option("--csv", "is_csv", is_flag=True, help="FILE is a CSV with a heading line.")
@click.option("--explain", is_flag=True, help="Write each calculation as a person would.")
@click.option("--gwp", "gwp_set", default="AR6", show_default=True, help="SAR, AR4, AR5 or AR6.")
@click.option("--factors", "release_id", metavar="RELEASE", help="A stored factor release.")
@click.option(
    "--boundary",
    type=click.Choice(CONSOLIDATIONS),
    default="operational_control",
    show_default=True,
    help="The consolidation approach.",
)
@click.option(
    "--reference",
    "reference_file",
    type=click.Path(exists=True, path_type=Path),
    help="Entities, sites, vehicles … as in `carbon reference check`.",
)
def calc(
    source: str,
    is_csv: bool,
    explain: bool,
    gwp_set: str,
    release_id: str | None,
    boundary: str,
    reference_file: Path | None,
) -> None:
    """Calculate the emissions of activities, one JSON object per line of FILE (or of standard
    input), UTF-8.

    An activity is an event ({"event": "transport", …}) or generic, for example {"quantity":
    "1247.3", "unit": "kWh", "factor": {"kgco2e": "0.3852", "per": "kWh"}}; an "id" comes back with
    its answer. Columns of a CSV have the same names; a dot goes into an object (factor.kgco2e).
    Each activity is answered as it is read. The exit code is 0 if every activity was calculated, 2
    if some were refused.
    """
    book = _book(release_id)
    _check_set(gwp_set, book)
    inventory = Inventory(
        book=book,
        now=datetime.now(UTC),
        policy=Policy(gwp_set=gwp_set, consolidation=boundary),  # type: ignore[arg-type]
        register=_register(reference_file),
    )
    output = sys.stdout.buffer
    refused = 0
    with click.open_file(source, "rb") as stream:
        try:
            for number, activity in activities(stream, is_csv):
                text, is_refused = _answer(number, activity, inventory, explain)
                refused += is_refused
                # A lone surrogate, which JSON can spell, is written as its escape.
                output.write(text.encode("utf-8", "backslashreplace"))
                output.flush()
        except BrokenPipeError:
            _leave_the_pipe()
    if refused:
        click.echo(f"carbon: {refused} refused", err=True)
        sys.exit(2)


def _leave_the_pipe() -> None:
    """Nobody reads on (`| head`): ends without a word, also from the interpreter's last flush."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(1)


def _answer(number: int, activity: object, inventory: Inventory, explain: bool) -> tuple[str, bool]:
    """What is printed of one activity, and whether it was refused."""
    name = activity.get("id") if isinstance(activity, dict) else None
    try:
        if isinstance(activity, RejectedRecord):
            raise activity
        if not isinstance(activity, dict):
            raise RejectedRecord(
                "not_an_object",
                "the line is no JSON object",
                value=str(activity)[:60],
                valid='an object such as {"quantity": "1", "unit": "kWh", "factor": {…}}',
            )
        lines = calculate(activity, inventory)
    except RejectedRecord as reason:
        if explain:
            said = one_line(f"{_heading(number, name)}: refused, {reason.code}: {reason}")
            return f"{said}\n\n", True
        answer = {"line": number, "id": name, "rejected": reason.values()}
        return json.dumps(answer, ensure_ascii=False) + "\n", True
    if explain:
        heading = one_line(_heading(number, name))
        parts = [
            f"{heading}, line {position} of {len(lines)}\n"
            + "\n".join(f"  {text}" for text in explained(line))
            + "\n\n"
            for position, line in enumerate(lines, start=1)
        ]
        return "".join(parts), False
    answer = {"line": number, "id": name, "lines": [line_values(line) for line in lines]}
    return json.dumps(answer, ensure_ascii=False) + "\n", False


def _heading(number: int, name: object) -> str:
    return f"activity {number}" + (f" ({name})" if name is not None else "")


# ---- reading


def activities(stream: IO[bytes], is_csv: bool) -> Iterator[tuple[int, object]]:
    """Each activity with the number of the line it ends on; a line that cannot be read as a
    RejectedRecord.

    Nothing is held beyond the line at hand. Codes: `line_too_long`, `not_utf8`, `not_json`,
    `key_twice`, `not_csv`, `too_many_cells`, `column_contradiction`. Raises ConfigurationError
    `csv_heading` for a CSV whose columns cannot be told apart.
    """
    lines = _Lines(stream)
    yield from _csv_activities(lines) if is_csv else _json_activities(lines)


class _Lines:
    """The lines of a stream as text. A line that is none raises its refusal; the next one follows.

    (No generator: that would be over with the first refusal.)
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self.number = 0
        self._stream = stream

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(LINE_BYTES_MAX)
        if not line:
            raise StopIteration
        self.number += 1
        if self._skip_the_rest(line):
            raise RejectedRecord(
                "line_too_long",
                f"the line has more than {LINE_BYTES_MAX} bytes",
                valid=f"at most {LINE_BYTES_MAX} bytes",
            )
        if self.number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise RejectedRecord(
                "not_utf8",
                f"byte {error.start + 1} of the line is no UTF-8",
                value=line[:60].decode("utf-8", "backslashreplace"),
                valid="UTF-8",
            ) from None

    def _skip_the_rest(self, line: bytes) -> bool:
        """Whether the line goes on beyond the limit; reads past what does."""
        is_longer = False
        while len(line) == LINE_BYTES_MAX and not line.endswith(b"\n"):
            line = self._stream.readline(LINE_BYTES_MAX)
            is_longer = is_longer or bool(line)
        return is_longer


def _json_activities(lines: _Lines) -> Iterator[tuple[int, object]]:
    while True:
        try:
            text = next(lines)
            if text.isspace():
                continue
            yield lines.number, _DECODER.decode(text)
        except StopIteration:
            return
        except RejectedRecord as reason:
            yield lines.number, reason
        except (ValueError, RecursionError) as error:
            yield (
                lines.number,
                RejectedRecord(
                    "not_json",
                    f"the line is no JSON: {error}",
                    value=text[:60],
                    valid="a JSON object",
                ),
            )


def _whole(text: str) -> int | str:
    return int(text) if len(text) <= _WHOLE_DIGITS_MAX else text


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RejectedRecord(
            "key_twice",
            f"{twice[:60]!r} is there twice in one object",
            field=twice[:60],
            valid="each name once",
        )
    return found


# Numbers stay the text they were written as.
_DECODER: Final = json.JSONDecoder(
    parse_float=str, parse_int=_whole, parse_constant=str, object_pairs_hook=_object
)


def _csv_activities(lines: _Lines) -> Iterator[tuple[int, object]]:
    reader = csv.reader(lines, strict=True)
    names: list[str] | None = None
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            row_fault = RejectedRecord("not_csv", f"the row is no CSV: {error}")
        except RejectedRecord as reason:
            row_fault = reason
        else:
            if names is None:
                names = _column_names(row)
            elif row:
                yield lines.number, _nested_or_refusal(names, row)
            continue
        if names is None:
            raise ConfigurationError("csv_heading", f"the heading: {row_fault.message}")
        yield lines.number, row_fault


def _column_names(row: list[str]) -> list[str]:
    names = [name.strip() for name in row]
    faults = [name for name in names if not all(name.split(".")) or names.count(name) > 1]
    if not names or faults:
        raise ConfigurationError(
            "csv_heading",
            f"the heading of the CSV cannot be read at {(faults or [''])[0]!r}; "
            "valid: each column once, such as quantity,unit,factor.kgco2e,factor.per",
        )
    return names


def _nested_or_refusal(names: list[str], row: list[str]) -> dict[str, Any] | RejectedRecord:
    """{"factor.per": "kWh"} as {"factor": {"per": "kWh"}}; empty cells are left out."""
    if len(row) > len(names):
        return RejectedRecord(
            "too_many_cells",
            "the row has more cells than the heading",
            value=str(row[len(names) :])[:60],
            valid=f"at most {len(names)} cells",
        )
    found: dict[str, Any] = {}
    for name, cell in zip(names, row, strict=False):
        if not cell:
            continue
        *path, last = name.split(".")
        place: Any = found
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                break
        if not isinstance(place, dict) or last in place:
            return RejectedRecord(
                "column_contradiction",
                f"column {name!r} stands beside one that makes it both a value and an object",
                field=name[:60],
                valid="a value, or an object by its dotted columns",
            )
        place[last] = _TRUTH.get(cell, cell)
    return found


# ---- with what is calculated


def _book(release_id: str | None) -> FactorBook:
    """The shipped factors, or a release stored in the database."""
    from factor_seeds.load import shipped_book

    if release_id is None:
        return shipped_book()
    if release_id == shipped_book().release_id:
        return shipped_book()
    from carbon_ledger.settings import load
    from carbon_ledger.store.connect import connect_as_reader
    from carbon_ledger.store.factors import read_book

    with closing(connect_as_reader(load(), "carbon-calc", autocommit=True)) as connection:
        return read_book(connection, release_id)


def _check_set(gwp_set: str, book: FactorBook) -> None:
    if gwp_set not in book.gwp.sets:
        raise ConfigurationError(
            "unknown_gwp_set",
            f"--gwp {gwp_set!r} is no set of global warming potentials; "
            f"known: {', '.join(book.gwp.sets)}",
        )


def _register(path: Path | None) -> Register:
    if path is None:
        return Register()
    from carbon_ledger.reference.checks import faults_of
    from cli.reference_commands import parse_files, read_files, refuse_faults

    parsed = parse_files(read_files(path))
    refuse_faults([*parsed.faults, *faults_of(parsed.stated, ())], as_json=False)
    return Register(records=tuple(one.record for one in parsed.stated))
