"""`carbon key …`: keys of the API's callers.

Belongs here: words to whoever typed the command. Does not: what a key is
(carbon_ledger.access_keys), keeping it (carbon_ledger.store.keys).
"""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from carbon_ledger.access_keys import PERSON_SCOPES, ROLES, SCOPES, SUPPLIER_SCOPES, ApiKey
from carbon_ledger.settings import load
from carbon_ledger.store.connect import connect
from carbon_ledger.store.keys import create_key, list_keys, revoke_key

DAYS_MAX = 3660


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def key() -> None:
    """Keys of the API's callers: make, list, revoke.

    \b
    carbon key create --holder "Example Steel AG" --supplier SUP_042_DE --role supplier
    carbon key create --holder "Audit & Co" --role auditor --days 30
    carbon key list
    carbon key revoke abcdefghijklmnop --because "the contract has ended"
    """


def _connection() -> Any:
    return connect(load()["CARBON_DATABASE_WRITER_URL"], "carbon key", True)


@key.command()
@click.option("--holder", required=True, help="Whose key it is; shown in lists and in logs.")
@click.option(
    "--person",
    help="An id of the person who holds it, the same for all of that person's keys; needed with "
    "the scopes of activities, where one person approves what another one submitted.",
)
@click.option(
    "--role",
    type=click.Choice(list(ROLES)),
    help="What it is for: the scopes of a role. What an auditor's key reads is recorded.",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(list(SCOPES)),
    help="What it may do, besides its role or without one; may be given several times.",
)
@click.option(
    "--supplier",
    "suppliers",
    multiple=True,
    help="A supplier it may declare and read for, and of no other; may be given several times, "
    "* alone is any.",
)
@click.option("--organization", help="CARBON_DEFAULT_ORGANIZATION if left out.")
@click.option(
    "--days",
    default=365,
    show_default=True,
    type=click.IntRange(1, DAYS_MAX),
    help="How long it is good for.",
)
def create(
    holder: str,
    person: str | None,
    role: str | None,
    scopes: tuple[str, ...],
    suppliers: tuple[str, ...],
    organization: str | None,
    days: int,
) -> None:
    """Make a key and print it: this once, for it is kept nowhere.

    \b
    carbon key create --holder "Example Steel AG" --supplier SUP_042_DE --role supplier
    """
    if not role and not scopes:
        raise click.UsageError("a key needs --role or --scope, else it may do nothing")
    for scope in sorted(SUPPLIER_SCOPES):
        if scope in scopes and not suppliers:
            raise click.UsageError(f"--scope {scope} needs --supplier, else it may do nothing")
    if role == "supplier" and not suppliers:
        raise click.UsageError("--role supplier needs --supplier, else it may do nothing")
    if PERSON_SCOPES & set(scopes) and not person:
        raise click.UsageError(
            f"--scope {' or '.join(sorted(PERSON_SCOPES & set(scopes)))} needs --person"
        )
    settings = load()
    with _connection() as conn:
        made = create_key(
            conn,
            organization_id=organization or settings["CARBON_DEFAULT_ORGANIZATION"],
            scopes=scopes,
            supplier_ids=suppliers,
            holder=holder,
            person_id=person,
            role=role,
            created_by=getpass.getuser(),
            expires_at=datetime.now(UTC) + timedelta(days=days),
        )
    click.echo(made.text)
    click.echo(f"Key {made.key_id}, good for {days} days. It is not shown again.", err=True)


@key.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_all(as_json: bool) -> None:
    """Show every key, oldest first; no secret is among it."""
    with _connection() as conn:
        found = list_keys(conn)
    if as_json:
        click.echo(json.dumps([_plain(one) for one in found], indent=1))
        return
    for one in found:
        click.echo(
            f"{one.key_id}  {one.organization_id}  {_state(one)}  {one.role or '-'}  "
            f"{','.join(one.scopes)}  "
            f"{','.join(one.supplier_ids) or '-'}  {one.holder}"
            + ("" if one.person_id is None else f" ({one.person_id})")
        )
    if not found:
        click.echo("No key was ever made.")


@key.command()
@click.argument("key_id")
@click.option("--because", required=True, help="Why; kept for good.")
def revoke(key_id: str, because: str) -> None:
    """Make a key open nothing any more, within five seconds.

    \b
    carbon key revoke abcdefghijklmnop --because "the contract has ended"
    """
    with _connection() as conn:
        done = revoke_key(conn, key_id, revoked_by=getpass.getuser(), reason=because)
    click.echo(f"{done.key_id} ({done.holder}) is {_state(done)}: {done.reason}")


def _state(one: ApiKey) -> str:
    if one.revoked_at is not None:
        return f"revoked {one.revoked_at.isoformat(timespec='seconds')}"
    word = "expires" if one.is_good(datetime.now(UTC)) else "expired"
    return f"{word} {one.expires_at.isoformat(timespec='seconds')}"


def _plain(one: ApiKey) -> dict[str, Any]:
    return {
        "key_id": one.key_id,
        "organization_id": one.organization_id,
        "role": one.role,
        "scopes": list(one.scopes),
        "supplier_ids": list(one.supplier_ids),
        "holder": one.holder,
        "person_id": one.person_id,
        "created_at": one.created_at.isoformat(),
        "created_by": one.created_by,
        "expires_at": one.expires_at.isoformat(),
        "revoked_at": None if one.revoked_at is None else one.revoked_at.isoformat(),
        "revoked_by": one.revoked_by,
        "reason": one.reason,
    }
