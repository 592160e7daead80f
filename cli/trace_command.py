"""`carbon trace`: from a figure to what it rests on, and from a record to the figures.

Belongs here: what was asked for, options. Does not: the way (spark.trace), the words
(carbon_ledger.lineage.told).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import click

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.lineage.places import RECORD_FORMS, record_place
from carbon_ledger.lineage.told import told_entry, told_figure, told_record
from carbon_ledger.settings import load as load_settings
from carbon_ledger.store.trace import DATAPOINTS
from cli.ledger_commands import open_database

if TYPE_CHECKING:
    from spark.trace import Tracer

_FIGURE = re.compile(
    r"(?P<year>2\d{3})(?::(?P<datapoint>[A-Za-z0-9_.-]+)(?::(?P<country>[A-Z]{2}))?)?"
)
FORMS: Final = (
    "a figure such as 2025, 2025:E1-6_09 or 2025:E1-6_09:DE; an entry's id; "
    f"{RECORD_FORMS}; or an event id"
)


@click.command("trace")
@click.argument("what", metavar="FIGURE|ENTRY|RECORD")
@click.option("--organization", help="Of a figure: only this organization's.")
@click.option("--snapshot", type=click.UUID, help="Of a figure: in this snapshot.")
@click.option("--page", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--size", type=click.IntRange(1, 1000), default=20, help="Entries on a page.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def trace(
    what: str,
    organization: str | None,
    snapshot: UUID | None,
    page: int,
    size: int,
    as_json: bool,
) -> None:
    """Show what a figure, an entry or a record rests on, and what it is in.

    FIGURE is YEAR[:DATAPOINT[:COUNTRY]], RECORD is TOPIC:PARTITION:OFFSET or an event id.
    """
    from spark.trace import Tracer

    settings = load_settings()
    with open_database("READER") as conn:
        tracer = Tracer(connection=conn, archive_url=settings.archive_url, settings=settings)
        figure = _FIGURE.fullmatch(what)
        if figure:
            stories = tracer.figure(
                int(figure["year"]),
                figure["datapoint"] or next(iter(DATAPOINTS)),
                figure["country"] or "",
                organization_id=organization,
                snapshot_id=snapshot,
                page=page,
                size=size,
            )
            _show(
                stories, as_json, lambda _: [line for one in stories for line in told_figure(one)]
            )
            return
        story, tell = _found(tracer, what)
    _show(story, as_json, tell)


def _found(tracer: Tracer, what: str) -> tuple[Any, Callable[[Any], list[str]]]:
    place = record_place(what)
    if place is not None:
        return (
            tracer.record(place.topic, place.partition, place.offset, place.incarnation),
            told_record,
        )
    if "#" in what:
        return tracer.event(what), told_record
    try:
        entry_id = UUID(what)
    except ValueError:
        raise ConfigurationError(
            "unknown_form", f"{what!r} is nothing that can be traced; valid is {FORMS}"
        ) from None
    return tracer.entry(entry_id), told_entry


def _show(story: Any, as_json: bool, tell: Callable[[Any], list[str]]) -> None:
    if as_json:
        click.echo(json.dumps(story, indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(tell(story)))
