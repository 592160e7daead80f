"""`carbon connect apply | status | delete | erp-example`: connectors of a Kafka Connect worker.

Belongs here: words to whoever typed the command. Does not: a worker's REST interface
(pipeline.connect), the worker of the embedded stack (`carbon up --with connect`).
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import click

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.settings import PROJECT_ROOT, Settings, load, read_env_file
from pipeline.connect import ConnectClient, Connector, ConnectorStatus, read_connector

FAILED_EXIT = 1
EXAMPLES = PROJECT_ROOT / "deploy" / "connect"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def connect() -> None:
    """Kafka Connect: apply connector configurations and see how they are doing.

    \b
    carbon up --with connect                    the worker, beside the embedded stack
    carbon connect erp-example                  an ERP-like database to capture
    carbon connect apply deploy/connect/erp-postgres.json
    carbon connect status
    carbon source run deploy/sources/erp-cdc.toml
    """


def _client(settings: Settings) -> ConnectClient:
    return ConnectClient(settings["CARBON_CONNECT_URL"])


def _secrets(settings: Settings, files: tuple[Path, ...]) -> dict[str, str]:
    """Variables for {{env:NAME}}: secrets files, then settings, then this process's own."""
    own = settings.home / "connect" / "secrets.env"
    found: dict[str, str] = {}
    for file in (own, *files):
        if file.is_file():
            found.update(read_env_file(file))
    return {**found, **settings.values, **os.environ}


@connect.command()
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "--secrets",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="NAME=value lines for {{env:NAME}}; CARBON_HOME/connect/secrets.env is read anyway.",
)
@click.option("--check", is_flag=True, help="Read the files only; nothing is connected.")
def apply(files: tuple[Path, ...], secrets: tuple[Path, ...], check: bool) -> None:
    """Make the worker's connectors what FILES say, and wait until they run.

    Applying a file twice changes nothing the second time. What changes is shown, secrets are not.
    """
    settings = load()
    lookup = _secrets(settings, secrets)
    connectors = [read_connector(file, lookup) for file in files]
    if check:
        for one in connectors:
            click.echo(f"{one.name}: {one.plugin}, {len(one.config)} values")
        return
    with _client(settings) as client:
        for one in connectors:
            _apply(client, one)


def _apply(client: ConnectClient, connector: Connector) -> None:
    is_new = client.config(connector.name) is None
    changes = client.apply(connector)
    word = "new" if is_new else "changed" if changes else "as it was"
    click.echo(f"{connector.name}: {word}")
    for change in changes if not is_new else ():
        click.echo(f"  {change}")
    status = client.await_running(connector.name)
    click.echo(f"{connector.name}: running, {len(status.parts) - 1} task(s)")


@connect.command()
@click.argument("names", nargs=-1)
@click.option("--restart-failed", is_flag=True, help="Start what failed again, and wait for it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(names: tuple[str, ...], restart_failed: bool, as_json: bool) -> None:
    """Show how connectors and their tasks are doing; exit code 1 if one does not run."""
    with _client(load()) as client:
        found = [_status(client, name) for name in names or client.names()]
        if restart_failed:
            failed = [one.name for one in found if one.failed]
            for name in failed:
                client.restart_failed(name)
            restarted = {name: client.await_running(name) for name in failed}
            found = [restarted.get(one.name, one) for one in found]
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=1))
    elif not found:
        click.echo("There is no connector; `carbon connect apply FILE` makes one.")
    for one in found if not as_json else ():
        _tell(one)
    if not all(one.is_running for one in found):
        sys.exit(FAILED_EXIT)


def _status(client: ConnectClient, name: str) -> ConnectorStatus:
    found = client.status(name)
    if found is None:
        raise ConfigurationError(
            "connector_unknown",
            f"there is no connector {name!r}; known are: {', '.join(client.names()) or 'none'}",
        )
    return found


def _tell(one: ConnectorStatus) -> None:
    tasks = ", ".join(f"task {part.number} {part.state.lower()}" for part in one.parts[1:])
    click.echo(f"{one.name}: {one.parts[0].state.lower()}; {tasks or 'no task yet'}")
    for part in one.failed:
        click.echo(f"  failed: {part.reason}")
        click.echo(f"  to do: {part.advice}")


@connect.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(names: tuple[str, ...], yes: bool) -> None:
    """Remove connectors from the worker.

    A replication slot in a database stays, and keeps that database's log from being cleared: drop
    it there (`select pg_drop_replication_slot(...)`) if the connector does not come back.
    """
    if not yes:
        click.confirm(f"Remove {', '.join(names)}?", abort=True)
    with _client(load()) as client:
        for name in names:
            was_there = client.delete(name)
            click.echo(f"{name}: {'removed' if was_there else 'was not there'}")


@connect.command("erp-example")
def erp_example() -> None:
    """Make an ERP-like database in the embedded PostgreSQL, whose changes can be captured.

    Database `erp` with the schema of deploy/connect/erp_example.sql, an owner, and a role that may
    read its log and nothing else. What a connector needs to know of it goes to a secrets file.
    """
    from devstack.erp import DATABASE, make_erp_example

    target = make_erp_example(load())
    click.echo(f"Database {DATABASE} is there; {target} says how to capture it. Then:")
    click.echo(f"  carbon connect apply {EXAMPLES / 'erp-postgres.json'}")
