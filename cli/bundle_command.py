"""`carbon export-bundle`: a folder that an auditor computes again with Python alone.

Belongs here: options, which entries. Does not: what is in the folder (spark.bundle).
"""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import click

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.settings import load as load_settings
from cli.ledger_commands import open_database
from cli.reperform_command import chosen_entries


@click.command("export-bundle")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="N entries, by a draw.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw.")
@click.option(
    "--uniform", is_flag=True, help="Each entry as likely, not in proportion to its kgCO2e."
)
@click.option(
    "--entries",
    "entries_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with the ids of the entries, one a line.",
)
@click.option("--year", type=click.IntRange(2000, 2999), help="Only of this year of activity.")
def export_bundle(
    folder: Path,
    sample: int | None,
    seed: int,
    uniform: bool,
    entries_file: Path | None,
    year: int | None,
) -> None:
    """Put entries and all they rest on into DIR, with a script that computes them again.

    Whoever gets the folder runs `python reperform.py` in it; nothing but Python is needed.
    """
    from spark.bundle import export_bundle as export

    if (sample is None) == (entries_file is None):
        raise ConfigurationError(
            "which_entries", "say which entries: --sample N, or --entries FILE"
        )
    entry_ids = () if entries_file is None else _ids(entries_file)
    settings = load_settings()
    with open_database("AUDITOR") as conn:
        rows = chosen_entries(conn, sample, seed, uniform, entry_ids, year)
        done = export(conn, settings.archive_url, settings, folder, rows)
    click.echo(
        f"{done.entries} entries in {folder}: {done.computed} to be computed again from "
        f"{done.records} records"
        + (f", {done.apart} that no record makes" if done.apart else "")
        + f"; {done.modules} modules"
    )
    click.echo("Run there: python reperform.py")


def _ids(file: Path) -> tuple[UUID, ...]:
    words = file.read_text("utf-8").split()
    try:
        return tuple(UUID(word) for word in words)
    except ValueError:
        raise ConfigurationError(
            "entry_ids", f"{file} has something else than ids of entries, one a line"
        ) from None
