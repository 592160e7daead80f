"""`carbon verify`: recompute the ledger and name each difference.

Belongs here: options, text or JSON, the exit status. Does not: any check (verifier, which shares no
code with what writes the ledger).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from verifier.check_proof import ProofError, read_key
from verifier.connection import CannotVerify, database_url, home
from verifier.heads import keys_beside, read_outside
from verifier.verify import verify as run_verification

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs; see docs/verify.md.")
@click.option(
    "--heads",
    type=FOLDER,
    multiple=True,
    help="Folder of heads that left the database; default $CARBON_HOME/heads, if it is there.",
)
@click.option(
    "--key",
    "keys",
    type=FILE,
    multiple=True,
    help="Public key that heads must be signed with; default ledger-public-key.pem beside them.",
)
@click.option(
    "--witness",
    nargs=2,
    metavar="NAME KEYFILE",
    help="Check the cosignatures of this witness, too.",
)
@click.option(
    "--accept-restore",
    "accepted",
    type=int,
    multiple=True,
    metavar="NUMBER",
    help="This declared restore is known and accepted; without it, it is a difference.",
)
@click.option(
    "--no-heads",
    is_flag=True,
    help="Give a verdict although no head that left the database is at hand.",
)
def verify(
    as_json: bool,
    heads: tuple[Path, ...],
    keys: tuple[Path, ...],
    witness: tuple[str, str] | None,
    accepted: tuple[int, ...],
    no_heads: bool,
) -> None:
    """Recompute the whole ledger and compare it with all that was written down.

    Exit status: 0 nothing differs, 1 something does, 2 no verdict.
    """
    try:
        folders = heads or default_folders()
        trusted = [read_key(path.read_text(encoding="utf-8")) for path in keys]
        cosigner = None
        if witness is not None:
            cosigner = (witness[0], read_key(Path(witness[1]).read_text(encoding="utf-8")))
        # Before the snapshot: a head is in the database before it leaves it.
        outside = read_outside(folders)
        report = run_verification(
            database_url(),
            outside=outside,
            keys=trusted or keys_beside(folders),
            witness=cosigner,
            accepted=accepted,
        )
        # A difference is one with or without them; only its absence says less than it seems to.
        if report.is_clean and report.looked_at["heads"] and not outside and not no_heads:
            raise CannotVerify(
                "the database has signed heads and none that left it is at hand, so a history that"
                " was rewritten as a whole would not be seen; say where they are with --heads, or"
                " --no-heads to do without"
            )
    except (CannotVerify, ProofError, OSError, UnicodeDecodeError) as error:
        click.echo(f"carbon verify: {error}", err=True)
        sys.exit(2)
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(report.lines()))
    sys.exit(0 if report.is_clean else 1)


def default_folders() -> tuple[Path, ...]:
    """The embedded stack's folder of heads, once it has any."""
    folder = home() / "heads"
    return (folder,) if folder.is_dir() else ()
