"""`carbon rebuild`: a ledger made anew from the archive, into an empty database.

Belongs here: options and what is printed. Does not: the rebuild (spark.rebuild_ledger).
"""

from __future__ import annotations

import json
from typing import Final

import click

from carbon_ledger.digest import SetDigest
from carbon_ledger.settings import load as load_settings
from carbon_ledger.store.connect import connect
from carbon_ledger.store.lineage import entries_of_records

NOT_IN_THE_ARCHIVE: Final = (
    "corrections by hand, restatements, supersession and period postings, report snapshots, seals "
    "and heads, decisions on topic accidents, and which dead letters were relayed"
)


@click.command("rebuild")
@click.option("--archive", "archive_url", metavar="URL", help="The archive; default: this stack's.")
@click.option(
    "--database",
    "database_url",
    metavar="URL",
    help="An empty, migrated database, as the writer; default: this stack's.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def rebuild(archive_url: str | None, database_url: str | None, as_json: bool) -> None:
    """Post every archived record into an empty database, and print the digest of the entries.

    Compare it with `carbon ledger digest --from-records` of the ledger that was.
    """
    from spark.rebuild_ledger import find_parts, rebuild_ledger

    settings = load_settings()
    url = database_url or settings["CARBON_DATABASE_WRITER_URL"]
    found = find_parts(archive_url or settings.archive_url)
    rebuilt = rebuild_ledger(
        url,
        archive_url or settings.archive_url,
        found,
        told=lambda text: None if as_json else click.echo(text),
    )
    with connect(url, "carbon rebuild") as conn:
        digest = SetDigest().add(entries_of_records(conn))
        of_any_code = SetDigest(any_code=True).add(entries_of_records(conn))
    if as_json:
        answer = {
            "sha256": digest.hexdigest(),
            "sha256_of_any_code": of_any_code.hexdigest(),
            "entries": digest.entries,
            "parts": rebuilt.parts,
            **rebuilt.counts,
            "other_code": rebuilt.other_code,
            "left_out": found.left_out,
            "undescribed": found.undescribed,
            "gaps": found.gaps,
        }
        click.echo(json.dumps(answer, indent=2))
        return
    click.echo(f"sha256 {digest.hexdigest()} of {digest.entries} entries")
    counts = ", ".join(f"{name} {count}" for name, count in sorted(rebuilt.counts.items()))
    click.echo(f"{rebuilt.parts} parts: {counts}")
    if rebuilt.other_code:
        click.echo(
            f"{rebuilt.other_code} parts were judged by other code first: compare digests "
            "with --any-code"
        )
    for name, paths in (("of attempts that did not commit", found.left_out),):
        if paths:
            click.echo(f"{len(paths)} objects {name} were left out")
    if found.undescribed:
        click.echo(
            f"{len(found.undescribed)} objects do not say which part they are (older than that) "
            "and were left out"
        )
    for topic, incarnation, partition, start, end in found.gaps:
        click.echo(f"no object has {topic}:{partition} (topic {incarnation}), {start} until {end}")
    click.echo(f"Not in an archive, and so not rebuilt: {NOT_IN_THE_ARCHIVE}.")
