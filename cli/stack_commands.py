"""`carbon up | down | status | reset | env`.

Belongs here: talking to whoever typed the command. Does not: running services (devstack), what a
fresh stack needs besides them (pipeline.preparation).
"""

from __future__ import annotations

import json
import signal
import sys
import time
from dataclasses import asdict
from typing import Any

import click

from carbon_ledger.errors import CarbonError, ConfigurationError
from devstack.environment import shell_exports
from devstack.stack import DATABASE, Stack, open_stack
from devstack.state import StackState
from pipeline.preparation import prepare_streams

NOT_READY = 3
# Optional parts that somebody may speak to, and how.
ADDRESSED = {"api": "http", "mqtt": "mqtt", "sftp": "sftp"}


@click.command()
@click.option(
    "--brokers",
    type=int,
    help="Kafka brokers, 1 or 3; fixed by the first start.",
)
@click.option("--no-dagster", is_flag=True, help="Leave out web server, daemon and code server.")
@click.option(
    "--with",
    "extras",
    multiple=True,
    metavar="NAME",
    help="Start this optional part too; may be given several times.",
)
def up(brokers: int | None, no_dagster: bool, extras: tuple[str, ...]) -> None:
    """Start the embedded stack and wait until all of it is ready.

    Starting a stack that is up already does nothing and succeeds.
    """
    # A terminated `up` has to clean up as an interrupted one does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    stack = open_stack()
    begun = time.monotonic()

    def report(line: str) -> None:
        click.echo(f"[{time.monotonic() - begun:5.1f} s] {line}")

    started = stack.up(
        brokers,
        dagster=not no_dagster,
        extras=extras,
        initialise=prepare_streams,
        report=report,
    )
    if started:
        click.echo(f"The stack is up, after {time.monotonic() - begun:.0f} s.")
    else:
        click.echo("The stack is up already.")
    click.echo(addresses(stack))


def addresses(stack: Stack) -> str:
    """Where to find what, one line each."""
    settings = stack.stack_settings()
    lines = [
        f"  Kafka      {settings['CARBON_KAFKA_BOOTSTRAP_SERVERS']}",
        f"  Registry   {settings['CARBON_REGISTRY_URL']}",
        f"  Spark      {settings['CARBON_SPARK_REMOTE']}",
        f"  Logs       {stack.layout.logs}",
        '  Variables  eval "$(carbon env)"',
    ]
    seen = stack.status()
    lines += [
        f"  {name.upper():10} {scheme}://127.0.0.1:{stack.layout.port(name)}"
        for name, scheme in ADDRESSED.items()
        if name in seen.extras
    ]
    if seen.dagster:
        lines.insert(0, f"  Dagster    http://localhost:{stack.layout.port('dagster')}")
    return "\n".join(lines)


@click.command()
def down() -> None:
    """Stop the embedded stack and wait until nothing of it runs; its data stays."""
    stopped = open_stack().down(report=lambda line: click.echo(f"{line} …"))
    click.echo("The stack is down." if stopped else "The stack was not running.")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Everything, for programs.")
def status(as_json: bool) -> None:
    """Show every part of the stack; exit code 0 if all are ready, 3 otherwise."""
    from cli.stream_status import lines

    stack = open_stack()
    seen = stack.status()
    streams, problem = accounts(stack, seen)
    if as_json:
        services = {
            name: {
                "running": one.pid is not None or (one.external and one.is_ready),
                "ready": one.is_ready,
                **asdict(one),
            }
            for name, one in seen.services.items()
        }
        answer = {
            "status": seen.status,
            "services": services,
            "streams": streams,
            "streams_problem": problem,
        }
        click.echo(json.dumps(answer, indent=2, default=str))
    else:
        click.echo(f"The stack in {stack.layout.home} is {seen.status}.")
        for name, one in seen.services.items():
            where = "elsewhere" if one.external else f"pid {one.pid}" if one.pid else "-"
            note = f"  {one.note.splitlines()[0]}" if one.note else ""
            click.echo(
                f"  {name:12} {one.status:10} {where:12} port {one.port or '-':<6} "
                f"restarts {one.restarts:<3} since {one.since}{note}"
            )
        click.echo("\n".join(lines(streams) if problem is None else [f"  {problem}"]))
    sys.exit(0 if seen.status == "running" and seen.all_ready() else NOT_READY)


def accounts(stack: Stack, seen: StackState) -> tuple[dict[str, dict[str, Any]], str | None]:
    """The accounts of every stream and None, or {} and why there are none to be had now."""
    from cli.stream_status import stream_status

    database = [seen.services[name] for name in DATABASE if name in seen.services]
    if not database or not all(one.is_ready for one in database):
        return {}, "No accounts: the database is not ready."
    if not stack.layout.initialised_file.exists():
        return {}, "No accounts: the ledger's schema is not in place yet."
    try:
        return stream_status(stack.stack_settings()), None
    except CarbonError as error:
        return {}, f"No accounts: {error.message}"


@click.command()
@click.option("--yes", is_flag=True, help="Really remove everything.")
def reset(yes: bool) -> None:
    """Empty the embedded stack: its data, logs and passwords; downloads, keys and backups stay."""
    stack = open_stack()
    if not yes:
        raise ConfigurationError(
            "reset_unconfirmed",
            f"this would remove everything the stack keeps in {stack.layout.home}: ledger, topics, "
            "schemas, raw archive, Dagster's history, heads, logs and passwords. Say `carbon reset "
            "--yes` to do it; downloads, keys and backups stay.",
        )
    stack.reset()
    click.echo(f"The stack in {stack.layout.home} is empty.")


@click.command()
def env() -> None:
    """Print `export NAME=value` lines, for eval "$(carbon env)"."""
    click.echo(shell_exports(open_stack().layout), nl=False)
