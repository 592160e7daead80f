"""`carbon reference …`: checking, comparing and storing files of reference data.

Belongs here: reading the file or folder, what is printed. Does not: what is right
(carbon_ledger.reference.checks), what is stored (carbon_ledger.store.reference).
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import click

from carbon_ledger.reference.changes import Comparison, compare
from carbon_ledger.reference.checks import faults_of
from carbon_ledger.reference.fields import Record
from carbon_ledger.reference.files import Fault, Parsed, fault_of_file, parse

FILE = click.argument("path", metavar="FILE", type=click.Path(exists=True, path_type=Path))
JSON = click.option("--json", "as_json", is_flag=True, help="For programs.")
FILE_BYTES_MAX = 64 * 1024 * 1024
FILES_MAX = 100


@click.group()
def reference() -> None:
    """Check, compare and store reference data.

    FILE is one YAML file, or a folder of CSV files named after what they hold, such as site.csv.
    Exit code 0: done; 1: faults, or no database; 2: called in a way there is not.
    """


@reference.command("check")
@FILE
@click.option("--with-stored", is_flag=True, help="Together with what the database has already.")
@JSON
def check(path: Path, with_stored: bool, as_json: bool) -> None:
    """Check a file, and list everything that is wrong with it."""
    contents = read_files(path)
    parsed = parse_files(contents)
    stored = read_stored() if with_stored else ()
    refuse_faults([*parsed.faults, *faults_of(parsed.stated, stored)], as_json)
    if as_json:
        click.echo(json.dumps({"faults": [], "records": len(parsed.stated)}))
    else:
        click.echo(f"{len(parsed.stated)} records in {len(contents)} files, nothing wrong.")


@reference.command("diff")
@FILE
@JSON
def diff(path: Path, as_json: bool) -> None:
    """Show what a file would change in the database; nothing is stored."""
    from carbon_ledger.store.reference import read_statements
    from carbon_ledger.store.year_changes import closed_year_faults, moved_years, notes_on_years
    from cli.ledger_commands import open_database

    parsed = parse_files(read_files(path))
    with open_database("READER") as conn:
        stored = read_statements(conn)
        moves = moved_years(stored, parsed.stated)
        closed = closed_year_faults(conn, moves, parsed.stated)
        notes = notes_on_years(conn, moves)
    refuse_faults([*parsed.faults, *faults_of(parsed.stated, stored), *closed], as_json)
    show(compare(stored, parsed.stated), as_json, notes=notes)


@reference.command("apply")
@FILE
@JSON
def apply(path: Path, as_json: bool) -> None:
    """Store what a file states: all of it or nothing; the second time nothing changes.

    Nothing is ever deleted. A changed statement takes the place of the earlier one, which is kept;
    a statement that is not in the file stays, unless the file gives it an end (valid_to).
    """
    from carbon_ledger.store.reference import FaultyFile, apply_statements
    from cli.ledger_commands import open_database

    contents = read_files(path)
    parsed = parse_files(contents)
    refuse_faults(parsed.faults, as_json)
    try:
        with open_database("WRITER") as conn:
            applied = apply_statements(
                conn, parsed.stated, source=path.name, source_sha256=digest_of(contents)
            )
    except FaultyFile as error:
        refuse_faults(error.faults, as_json)
        return
    show(applied.comparison, as_json, written(applied.recorded_at), applied.notes)


def read_files(path: Path) -> dict[str, bytes]:
    """Name to content: the file, or every file of the folder that is not hidden, by name.

    Raises click.UsageError for an empty folder, one with folders in it, and what is far too large.
    """
    paths = [path]
    if path.is_dir():
        paths = sorted(one for one in path.iterdir() if not one.name.startswith("."))
        if not paths:
            raise click.UsageError(f"there is no file in {path}")
        if len(paths) > FILES_MAX or not all(one.is_file() for one in paths):
            raise click.UsageError(
                f"{path} is not a folder of at most {FILES_MAX} files of reference data"
            )
    if sum(one.stat().st_size for one in paths) > FILE_BYTES_MAX:
        raise click.UsageError(f"{path} has more than {FILE_BYTES_MAX // 1024**2} MiB")
    return {one.name: one.read_bytes() for one in paths}


def parse_files(contents: dict[str, bytes]) -> Parsed:
    """What the files state; bytes that are not UTF-8 are a fault of their file."""
    texts: dict[str, str] = {}
    faults: list[Fault] = []
    for name, content in contents.items():
        try:
            texts[name] = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            faults.append(
                fault_of_file(name, line, "not_utf8", "is not text in UTF-8", "text in UTF-8")
            )
    parsed = parse(texts)
    return Parsed(stated=parsed.stated, faults=(*faults, *parsed.faults))


def digest_of(contents: dict[str, bytes]) -> bytes:
    """SHA-256 of the files' names, lengths and bytes, in order of their names."""
    digest = hashlib.sha256()
    for name, content in sorted(contents.items()):
        digest.update(f"{name}\n{len(content)}\n".encode())
        digest.update(content)
    return digest.digest()


def read_stored() -> tuple[Record, ...]:
    """Every statement the database has."""
    from carbon_ledger.store.reference import read_statements
    from cli.ledger_commands import open_database

    with open_database("READER") as conn:
        return read_statements(conn)


def refuse_faults(faults: Iterable[Fault], as_json: bool) -> None:
    """Ends the command with code 1 if there are faults, after showing all of them."""
    found = list(faults)
    if not found:
        return
    if as_json:
        click.echo(json.dumps({"faults": [asdict(one) for one in found]}, indent=2))
    else:
        for one in found:
            click.echo(str(one))
        click.echo(f"carbon: {len(found)} faults; nothing was stored", err=True)
    sys.exit(1)


def show(
    comparison: Comparison,
    as_json: bool,
    recorded_at: str | None = None,
    notes: Iterable[str] = (),
) -> None:
    """The changes, how many statements stay as they are, and what has to be said of the changes."""
    if as_json:
        answer = {
            "recorded_at": recorded_at,
            "changes": [
                {
                    "action": one.action,
                    "kind": one.stated.record.KIND,
                    "key": list(one.stated.record.key),
                    "valid_from": one.stated.record.valid_from.isoformat(),
                    "file": one.stated.file,
                    "row": one.stated.row,
                    "differences": [
                        {"field": name, "before": written(old), "after": written(new)}
                        for name, old, new in one.differences
                    ],
                }
                for one in comparison.changes
            ],
            "unchanged": comparison.unchanged,
            "absent": comparison.absent,
            **({"notes": said} if (said := list(notes)) else {}),
        }
        click.echo(json.dumps(answer, indent=2))
        return
    for one in comparison.changes:
        click.echo(str(one))
    for note in notes:
        click.echo(f"note: {note}")
    click.echo(
        f"{comparison.count('added')} added, {comparison.count('superseded')} superseded, "
        f"{comparison.count('ended')} ended, {comparison.unchanged} as stored, "
        f"{comparison.absent} stored and not mentioned (they stay)."
    )


def written(value: object) -> str | None:
    """A field's value as text, exactly."""
    return None if value is None else str(value)
