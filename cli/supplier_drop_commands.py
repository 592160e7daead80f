"""`carbon supplier-drop …`: accounts of suppliers that leave files by SFTP, and their files.

Belongs here: words to whoever typed the command. Does not: the server (devstack.sftp), working
files off (pipeline.drops.work).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.settings import Settings, load

JSON = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.group("supplier-drop", context_settings={"help_option_names": ["-h", "--help"]})
def supplier_drop() -> None:
    """Files that suppliers leave by SFTP: accounts, what came, reading them now.

    \b
    carbon up --with sftp
    carbon supplier-drop add SUP_042_DE --public-key sup_042.pub
    sftp -P 2222 -i sup_042 SUP_042_DE@127.0.0.1
    carbon supplier-drop files
    """


@supplier_drop.command("add")
@click.argument("supplier_id")
@click.option(
    "--public-key",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The supplier's public key, the .pub file that ssh-keygen writes.",
)
def add(supplier_id: str, public_key: Path) -> None:
    """Let a supplier log in to the stack's own SFTP server with its key.

    \b
    ssh-keygen -t ed25519 -f sup_042
    carbon supplier-drop add SUP_042_DE --public-key sup_042.pub
    """
    from devstack.sftp import KEY_BYTES_MAX, add_account, sftp_folder

    with public_key.open("rb") as file:
        text = file.read(KEY_BYTES_MAX + 1)
    place = add_account(sftp_folder(load().home), supplier_id, text)
    click.echo(f"{supplier_id} may log in; files go into drops, receipts come into receipts.")
    click.echo(f"The folder is {place}")


@supplier_drop.command("accounts")
def accounts() -> None:
    """List who has an account on the stack's own SFTP server."""
    from devstack.sftp import accounts as listed
    from devstack.sftp import sftp_folder

    for name in listed(sftp_folder(load().home)):
        click.echo(name)


@supplier_drop.command("files")
@click.option("--supplier", help="Of this supplier alone.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@JSON
def files(supplier: str | None, limit: int, as_json: bool) -> None:
    """Show the files that came, newest first, and what became of each."""
    from carbon_ledger.store.connect import connect_as_reader
    from carbon_ledger.store.drops import accounts as listed

    with connect_as_reader(load(), "carbon supplier-drop", autocommit=True) as conn:
        found = listed(conn, supplier_id=supplier, limit=limit)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], default=str, indent=1))
        return
    if not found:
        click.echo("No file has been read yet.")
    for one in found:
        what = one.fate or "claimed, not done"
        if one.fate == "read":
            what = f"{one.rows_accepted} rows accepted, {one.rows_rejected} rejected"
        elif one.fate == "refused":
            what = f"refused: {one.reason} [{one.reason_code}]"
        click.echo(f"{one.claimed_at:%Y-%m-%d %H:%M:%S}  {one.supplier_id}  {one.name}: {what}")


@supplier_drop.command("poll")
def poll() -> None:
    """Read now what is whole, as the sensor `poll_supplier_drops` does by itself.

    A file that has just come is only noted: it is read when a later look finds it unchanged.
    """
    done = poll_once(load())
    click.echo(json.dumps(done))


def poll_once(settings: Settings) -> dict[str, object]:
    """One go with the settings' server, database, Kafka and archive; its counts."""
    from carbon_ledger.store.connect import connect
    from resources.drops import work_off_drops

    if not settings.get("CARBON_SFTP_URL"):
        raise ConfigurationError(
            "setting_missing",
            "CARBON_SFTP_URL is not set; start the stack with `carbon up --with sftp`, or set it",
        )
    url = settings["CARBON_DATABASE_WRITER_URL"]
    with connect(url, "carbon supplier-drop", autocommit=True) as conn:
        done = work_off_drops(settings, conn)
    return {"at_it": "somebody else"} if done is None else asdict(done)
