"""`carbon subject …`: pseudonyms of persons, a person's right of access, and erasure.

Belongs here: words to whoever typed the command. Does not: keys (carbon_ledger.store.vault), what
is decrypted for an export (spark.subject_records).
"""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click

from carbon_ledger.settings import load
from carbon_ledger.store.connect import connect_as_reader
from carbon_ledger.store.vault import Subject, SubjectVault, subject_entries


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def subject() -> None:
    """Persons that records speak of: pseudonyms, access, erasure."""


@contextmanager
def _vault(organization: str | None = None) -> Iterator[SubjectVault]:
    with SubjectVault.of(load(), organization) as vault:
        yield vault


@subject.command()
@click.argument("source_id", required=False)
@click.option("--organization", help="Whose person it is; CARBON_DEFAULT_ORGANIZATION if left out.")
def add(source_id: str | None, organization: str | None) -> None:
    """Print the pseudonym of SOURCE_ID, made now if there is none.

    Without SOURCE_ID it is read from the standard input, which leaves no trace in a shell's
    history.
    """
    given = source_id if source_id is not None else sys.stdin.readline()
    given = given.strip()
    if not given:
        raise click.UsageError("there is no SOURCE_ID, neither as an argument nor as input")
    with _vault(organization) as vault:
        click.echo(vault.add(given))


@subject.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_subjects(as_json: bool) -> None:
    """Show every pseudonym ever given, oldest first."""
    with _vault() as vault:
        found = vault.subjects()
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], default=str, indent=1))
        return
    for one in found:
        click.echo(f"{one.subject_ref}  {one.organization_id}  {_state(one)}")
    if not found:
        click.echo("No pseudonym was ever given.")


def _state(one: Subject) -> str:
    if one.erased_at is not None:
        return f"erased {one.erased_at.isoformat(timespec='seconds')}"
    return f"since {one.created_at.isoformat(timespec='seconds')}"


@subject.command()
@click.argument("subject_ref")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(subject_ref: str, as_json: bool) -> None:
    """Show a pseudonym and what the ledger has of it, nothing that names the person."""
    settings = load()
    with _vault() as vault:
        one = vault.subject(subject_ref)
    with connect_as_reader(settings, "carbon subject") as conn:
        entries = subject_entries(conn, subject_ref)
    if as_json:
        found = {**asdict(one), "ledger": [asdict(each) for each in entries]}
        click.echo(json.dumps(found, default=str, indent=1))
        return
    click.echo(f"{one.subject_ref}  organization {one.organization_id}, {_state(one)}")
    if one.erased_at is not None:
        click.echo(f"  by {one.erased_by}, because: {one.reason}")
    for each in entries:
        click.echo(
            f"  {each.stream}: {each.entries} entries, {each.reversals} of them reversals, "
            f"{each.first_date} to {each.last_date}"
        )


@subject.command()
@click.argument("subject_ref")
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="A new file, which only you may read; - for the standard output.",
)
def export(subject_ref: str, target: Path) -> None:
    """Write everything kept of a person, decrypted, as lines of JSON: for that person."""
    from spark.subject_records import records_of

    settings = load()
    with _vault() as vault, connect_as_reader(settings, "carbon subject") as conn:
        vault.subject(subject_ref)
        key = vault.key_of(subject_ref)
        records = list(records_of(conn, settings.archive_url, subject_ref, key))
    lines = [json.dumps(asdict(one), default=str, ensure_ascii=False) for one in records]
    closed = sum(one.personal is None for one in records)
    text = "".join(f"{line}\n" for line in lines)
    if str(target) == "-":
        click.echo(text, nl=False)
    else:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as sink:
            sink.write(text)
    click.echo(f"{len(lines)} records, {closed} of them unreadable.", err=True)


@subject.command()
@click.argument("subject_ref")
@click.option("--because", required=True, help="Why; kept for good, so it must not name anybody.")
@click.option("--by", default="", help="Who decides; the name of the system user if left out.")
def erase(subject_ref: str, because: str, by: str) -> None:
    """Destroy a person's key: nothing that names the person can be read again, anywhere."""
    with _vault() as vault:
        done = vault.erase(subject_ref, by=by or getpass.getuser(), reason=because)
    when = done.erased_at.isoformat(timespec="seconds")
    click.echo(f"{done.subject_ref} is erased since {when}. The ledger's figures stay.")


@subject.command("replay-erasures")
def replay_erasures() -> None:
    """Erase again whoever was erased once; to be run after every restored backup."""
    with _vault() as vault:
        done = vault.replay()
    for erasure in done:
        click.echo(f"{erasure.subject_ref} erased again.")
    click.echo(f"{len(done)} erasures had anything left to do.")
