"""`carbon calc`: activities in, emission lines or refusals out, one JSON object each.

Belongs here: reading JSON lines or CSV without holding them, printing, options. Does not: any rule
(carbon_ledger.calculation).
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import click

from carbon_ledger.calculation import calculate, explained, line_values, refusal_values
from carbon_ledger.errors import ConfigurationError, RejectedRecord
from carbon_ledger.factor_book.book import FactorBook
from carbon_ledger.inventory import Inventory
from carbon_ledger.policy import CONSOLIDATIONS, Policy
from carbon_ledger.reference.register import Register

LINE_CHARACTERS_MAX = 1_000_000


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
    input).

    An activity is an event ({"event": "transport", …}) or generic, for example {"quantity":
    "1247.3", "unit": "kWh", "factor": {"kgco2e": "0.3852", "per": "kWh"}}. Columns of a CSV have
    the same names; a dot goes into an object (factor.kgco2e). The exit code is 0 if every activity
    was calculated, 2 if some were refused.
    """
    book = _book(release_id)
    _check_set(gwp_set, book)
    inventory = Inventory(
        book=book,
        now=datetime.now(UTC),
        policy=Policy(gwp_set=gwp_set, consolidation=boundary),  # type: ignore[arg-type]
        register=_register(reference_file),
    )
    refused = 0
    with click.open_file(source, encoding="utf-8", errors="surrogateescape") as stream:
        for number, activity in _activities(stream, is_csv):
            refused += _answer(number, activity, inventory, explain)
    if refused:
        click.echo(f"carbon: {refused} refused", err=True)
        sys.exit(2)


def _answer(number: int, activity: object, inventory: Inventory, explain: bool) -> int:
    """Prints what came of one activity; 1 if it was refused."""
    write = sys.stdout.write
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
            write(f"{_heading(number, name)}: refused, {reason.code}: {reason}\n\n")
        else:
            answer = {"line": number, "id": name, "rejected": refusal_values(reason)}
            write(json.dumps(answer, ensure_ascii=False) + "\n")
        return 1
    if explain:
        for position, line in enumerate(lines, start=1):
            write(f"{_heading(number, name)}, line {position} of {len(lines)}\n")
            write("\n".join(f"  {text}" for text in explained(line)) + "\n\n")
        return 0
    answer = {"line": number, "id": name, "lines": [line_values(line) for line in lines]}
    write(json.dumps(answer, ensure_ascii=False) + "\n")
    return 0


def _heading(number: int, name: object) -> str:
    return f"activity {number}" + (f" ({name})" if name is not None else "")


def _activities(stream: IO[str], is_csv: bool) -> Iterator[tuple[int, object]]:
    """Each activity with the number of the line it stands on; a line that cannot be read as a
    refusal."""
    if is_csv:
        yield from _csv_activities(stream)
        return
    for number, text in enumerate(stream, start=1):
        if not text.strip():
            continue
        if len(text) > LINE_CHARACTERS_MAX:
            yield (
                number,
                RejectedRecord(
                    "line_too_long",
                    f"the line has {len(text)} characters",
                    valid=f"at most {LINE_CHARACTERS_MAX}",
                ),
            )
            continue
        try:
            # Numbers stay the text they were written as.
            yield number, json.loads(text, parse_float=str, parse_int=_whole, parse_constant=str)
        except (ValueError, RecursionError) as error:
            yield (
                number,
                RejectedRecord(
                    "not_json",
                    f"the line is no JSON: {error}",
                    value=text[:60],
                    valid="a JSON object",
                ),
            )


def _whole(text: str) -> int | str:
    """An integer, or its text where it is too long to be one that means anything."""
    return int(text) if len(text) < 40 else text


def _csv_activities(stream: IO[str]) -> Iterator[tuple[int, object]]:
    reader = csv.DictReader(stream, strict=True)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num, RejectedRecord("not_csv", f"the row is no CSV: {error}")
            continue
        try:
            yield reader.line_num, _nested(row)
        except RejectedRecord as reason:
            yield reader.line_num, reason


def _nested(row: dict[str | None, Any]) -> dict[str, Any]:
    """{"factor.per": "kWh"} as {"factor": {"per": "kWh"}}; empty cells are left out."""
    found: dict[str, Any] = {}
    for name, cell in row.items():
        if name is None:
            raise RejectedRecord(
                "too_many_cells", "the row has more cells than the heading", value=str(cell)[:60]
            )
        if not cell:
            continue
        *path, last = name.strip().split(".")
        place = found
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise RejectedRecord(
                    "column_contradiction", f"column {name!r}: {part!r} is a value and an object"
                )
        place[last] = {"true": True, "false": False}.get(cell, cell)
    return found


def _book(release_id: str | None) -> FactorBook:
    """The shipped factors, or a release stored in the database."""
    from factor_seeds.load import shipped_book

    if release_id is None:
        return shipped_book()
    if release_id == shipped_book().release_id:
        return shipped_book()
    from carbon_ledger.settings import load
    from carbon_ledger.store.connect import connect
    from carbon_ledger.store.factors import read_book

    url = load()["CARBON_DATABASE_READER_URL"]
    with closing(connect(url, "carbon-calc", autocommit=True)) as connection:
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
