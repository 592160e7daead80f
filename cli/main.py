"""The `carbon` command: which words it knows, and where each one lives.

Belongs here: that table. Does not: any command's work; a command's module is imported only when it
is called.
"""

from __future__ import annotations

import sys
from importlib import import_module

import click

from carbon_ledger.errors import CarbonError

# command: (where it lives, one line for the list). The line is here so that --help imports nothing.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": (
        "cli.demo_command:demo",
        "Start the stack, let five sources send, show what came of it.",
    ),
    "up": ("cli.stack_commands:up", "Start the embedded stack and wait until all of it is ready."),
    "down": ("cli.stack_commands:down", "Stop the embedded stack; its data stays."),
    "status": ("cli.stack_commands:status", "Show every part and the accounts of every stream."),
    "reset": ("cli.stack_commands:reset", "Empty the embedded stack: its data, not its downloads."),
    "env": (
        "cli.stack_commands:env",
        'Print the variables of the stack, for eval "$(carbon env)".',
    ),
    "ledger": ("cli.ledger_commands:ledger", "Ask the ledger: exact totals, as of any moment."),
    "factors": ("cli.factor_commands:factors", "Load, import, list, compare and explain factors."),
    "reference": (
        "cli.reference_commands:reference",
        "Check, compare and store entities, sites, meters, contracts and the like.",
    ),
    "activities": (
        "cli.activity_commands:activities",
        "Register what no stream carries: submit, approve, send.",
    ),
    "completeness": (
        "cli.completeness_command:completeness",
        "What was expected and is not in the ledger, each gap by name.",
    ),
    "report": (
        "cli.report_commands:report",
        "Make, list, show and compare reports; lead a cell to its entries.",
    ),
    "quality": (
        "cli.quality_command:quality",
        "Suites of expectations: what was looked at, what did not hold.",
    ),
    "backfill": (
        "cli.backfill_command:backfill",
        "Windows, postings and reports of a year again, by Dagster.",
    ),
    "failures": (
        "cli.failures_command:failures",
        "Runs that failed, and who was sent word of them.",
    ),
    "trace": (
        "cli.trace_command:trace",
        "What a figure, an entry or a record rests on, and what it is in.",
    ),
    "audit": (
        "cli.audit_commands:audit",
        "Samples of entries by a seed, and what reviewers signed off on.",
    ),
    "reperform": (
        "cli.reperform_command:reperform",
        "Compute entries again from the archive and compare.",
    ),
    "export-bundle": (
        "cli.bundle_command:export_bundle",
        "Entries and all they rest on, for an auditor who has Python.",
    ),
    "rebuild": (
        "cli.rebuild_command:rebuild",
        "Post every archived record into an empty database.",
    ),
    "verify": (
        "cli.verify_command:verify",
        "Recompute the whole ledger and name each difference.",
    ),
    "restate": (
        "cli.restate_commands:restate",
        "Preview, approve and post what other factors or rules would change.",
    ),
    "period": (
        "cli.period_commands:period",
        "Close periods with two people, report them, see what came late.",
    ),
    "prove": ("cli.prove_command:prove", "Prove that an entry is in the signed tree."),
    "heads": ("cli.prove_command:heads", "List and show signed heads of the tree."),
    "calc": ("cli.calc_command:calc", "Calculate the emissions of activities, line by line."),
    "replay": ("cli.replay_command:replay", "Send the meter readings of a CSV file to Kafka."),
    "dlq": ("cli.dlq_commands:dlq", "Dead letters: list, show, send again, discard."),
    "backup": ("cli.backup_commands:backup", "Take, list and prune backups of PostgreSQL."),
    "restore": ("cli.backup_commands:restore", "Put PostgreSQL back to a moment."),
    "api": ("cli.api_command:api", "Serve the API and the auditors' pages."),
    "key": ("cli.key_commands:key", "Keys of the API's callers: make, list, revoke."),
    "subject": ("cli.subject_commands:subject", "Persons: pseudonyms, access, erasure."),
    "source": ("cli.source_commands:source", "Meters, carriers, ERP, suppliers: into Kafka."),
    "stream": (
        "cli.stream_commands:stream",
        "Why a stream is halted, letting it go on, driving it.",
    ),
    "supplier-drop": (
        "cli.supplier_drop_commands:supplier_drop",
        "Files that suppliers leave by SFTP: accounts, what came of them.",
    ),
    "connect": (
        "cli.connect_commands:connect",
        "Kafka Connect: apply connectors, see how they do.",
    ),
}


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is used, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"there is no command {args[0]!r}; there are: {', '.join(COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """A carbon ledger from event to report."""


def main() -> None:
    """Run a command. An error raised on purpose is one message on stderr and exit code 1."""
    try:
        group(prog_name="carbon", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except CarbonError as error:
        click.echo(f"carbon: {error.message}", err=True)
        sys.exit(1)
    except OSError as error:
        click.echo(f"carbon: {error}", err=True)
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        click.echo("carbon: interrupted", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
