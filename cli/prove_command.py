"""`carbon prove` and `carbon heads`: proofs for whoever trusts nobody, and the heads they rest on.

Belongs here: options, files, what a terminal shows. Does not: the proofs (carbon_ledger.store),
checking them (verifier.check_proof).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from carbon_ledger.settings import load as load_settings
from carbon_ledger.store import heads as store
from carbon_ledger.store.connect import connect
from carbon_ledger.store.proofs import consistency_proof, head_of, inclusion_proof
from carbon_ledger.store.rows import Connection
from cli.ledger_commands import table


def open_as_auditor() -> Connection:
    """A connection as the auditor, who sees every organization and changes nothing."""
    return connect(load_settings()["CARBON_DATABASE_AUDITOR_URL"], "carbon prove", True)


@click.command()
@click.argument("entry", required=False, type=click.UUID)
@click.option("--head", "tree_size", type=int, help="In the tree of this size; else the latest.")
@click.option(
    "--consistency",
    nargs=2,
    type=int,
    metavar="FROM TO",
    help="Instead: that the tree of FROM leaves is the beginning of that of TO.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write it here.")
def prove(
    entry: UUID | None, tree_size: int | None, consistency: tuple[int, int] | None, out: Path | None
) -> None:
    """Prove that ENTRY is in the signed tree, for `check_proof.py` to verify offline."""
    if (entry is None) == (consistency is None):
        raise click.UsageError("give an ENTRY (a UUID), or --consistency FROM TO")
    with open_as_auditor() as conn:
        if consistency is not None:
            proof = consistency_proof(conn, *consistency)
        elif entry is not None:
            proof = inclusion_proof(conn, entry, tree_size)
    text = json.dumps(proof, indent=2, ensure_ascii=False)
    if out is None:
        click.echo(text)
        return
    out.write_text(f"{text}\n", encoding="utf-8")
    click.echo(f"{out}: {sentence(proof)}")


def sentence(proof: dict[str, Any]) -> str:
    """What the proof says."""
    if proof["kind"] == "consistency":
        return f"a consistency proof of {len(proof['path'])} hashes"
    return (
        f"entry {proof['entry']['entry_id']} is leaf {proof['leaf_index']} of"
        f" {proof['tree_size']}, by {len(proof['path'])} hashes"
    )


@click.group()
def heads() -> None:
    """Signed heads of the tree, and where they are."""


@heads.command("list")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_heads(limit: int, as_json: bool) -> None:
    """The latest heads, newest first, and what no published head covers yet."""
    with open_as_auditor() as conn:
        found = store.list_heads(conn, limit)
        places = store.publications(conn, [head.tree_size for head in found])
        exposed = store.exposure(conn)
    at = {
        head.tree_size: [one.place for one in places if one.tree_size == head.tree_size]
        for head in found
    }
    if as_json:
        answer = {
            "heads": [as_values(head, at[head.tree_size]) for head in found],
            "unsealed_entries": int(exposed.unsealed_entries),
            "oldest_unsealed": _moment(exposed.oldest_unsealed),
            "unpublished_heads": exposed.unpublished_heads,
        }
        click.echo(json.dumps(answer, indent=2))
        return
    rows = [
        (
            head.origin,
            _moment(head.signed_at),
            ", ".join(at[head.tree_size]) or "nowhere",
            head.root.hex()[:16],
            head.seal_no,
            head.tree_size,
        )
        for head in found
    ]
    if rows:
        click.echo(table(("origin", "signed", "published", "root", "seal", "leaves"), rows, 2))
    else:
        click.echo("Nothing is sealed yet.")
    if exposed.unsealed_commits:
        click.echo(
            f"Not sealed yet: {exposed.unsealed_entries} entries of {exposed.unsealed_commits}"
            f" commits, the oldest of {_moment(exposed.oldest_unsealed)}."
        )


def as_values(head: store.Head, places: list[str]) -> dict[str, Any]:
    """A head as plain values."""
    return {
        "origin": head.origin,
        "tree_size": head.tree_size,
        "seal_no": head.seal_no,
        "root": head.root.hex(),
        "signed_at": _moment(head.signed_at),
        "public_key": head.public_key.hex(),
        "published": places,
    }


@heads.command("show")
@click.argument("tree_size", required=False, type=int)
def show_head(tree_size: int | None) -> None:
    """The signed note of the latest head, or of the one of TREE_SIZE leaves, as it was published,
    with the witness's signature if there is one.
    """
    with open_as_auditor() as conn:
        head = head_of(conn, tree_size)
        cosignature = store.cosignature(conn, head.tree_size)
    click.echo(f"{head.note}{cosignature}", nl=False)


@heads.command("declare-restore")
@click.option("--by", required=True, help="Who says so.")
@click.option("--reason", required=True, help="Why the database was put back.")
def declare_restore(by: str, reason: str) -> None:
    """Say that the database was put back to before the latest published head."""
    from pipeline.heads import declare_restore as declare

    settings = load_settings()
    with connect(settings["CARBON_DATABASE_SEALER_URL"], "carbon heads", True) as conn:
        done = declare(conn, settings, by, reason)
    click.echo(
        f"Declared: heads of {done.previous_origin} beyond {done.tree_size:,} leaves, up to"
        f" {done.seen_size:,}, are of a state that was given up."
    )
    click.echo(f"From here on heads are signed as {done.origin}.")


def _moment(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
