"""Traces for callers of one organization: what is theirs, and nothing of anybody else's.

Belongs here: who is shown how much of a trace. Does not: the way itself (spark.trace, which needs
no Spark), HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

from api.problems import absent
from api.security import Caller
from api.services import Services
from carbon_ledger.errors import ConfigurationError
from carbon_ledger.lineage.places import RecordPlace
from carbon_ledger.settings import Settings
from carbon_ledger.store.lineage import entries_by_id
from carbon_ledger.store.trace import first_line_of

if TYPE_CHECKING:
    from spark.trace import Tracer

Story = dict[str, Any]


def traced_entry(services: Services, caller: Caller, entry_id: UUID) -> Story:
    """An entry of the caller's organization, as `carbon trace --json`; Problem 404 for any other.

    The reference data that bear on an entry may be anybody's: the working, and what its record
    comes to when it is judged again, are told to CARBON_DEFAULT_ORGANIZATION alone.
    """
    with services.readers.of(caller.organization_id) as conn:
        if not entries_by_id(conn, [entry_id]):
            raise absent()
    with _tracer(services, _seen(services, caller)) as tracer:
        return tracer.entry(entry_id)


def traced_record(services: Services, caller: Caller, place: RecordPlace) -> Story:
    """A record that has entries of the caller's organization, and those entries; Problem 404 for
    any other. What was refused is of nobody yet, and told to CARBON_DEFAULT_ORGANIZATION alone.
    """
    try:
        with _tracer(services, _seen(services, caller)) as tracer:
            story = tracer.record(place.topic, place.partition, place.offset, place.incarnation)
    except ConfigurationError as error:
        if error.code == "unknown_record":
            raise absent() from None
        raise
    every = story["entries"]
    own = [one for one in every if one["organization_id"] == caller.organization_id]
    if (every and not own) or (not every and not is_operator(services, caller)):
        raise absent()
    return {**story, "entries": own}


def record_of_event(services: Services, caller: Caller, event_id: str) -> RecordPlace | UUID:
    """Where an event of the caller's organization was read; the id of its first entry if it came
    from no record. Problem 404 for any other.
    """
    with services.readers.of(services.settings["CARBON_ORGANIZATIONS"]) as conn:
        first = first_line_of(conn, event_id)
    if first is None:
        raise absent()
    with services.readers.of(caller.organization_id) as conn:
        found = entries_by_id(conn, [first[0]])
    if not found:
        raise absent()
    row = found[0]
    if row.topic is None or row.kafka_partition is None or row.kafka_offset is None:
        return row.entry_id
    return RecordPlace(
        topic=row.topic,
        incarnation=row.topic_incarnation,
        partition=row.kafka_partition,
        offset=row.kafka_offset,
    )


def is_operator(services: Services, caller: Caller) -> bool:
    """Whether the caller is of the organization that keeps this ledger."""
    return caller.organization_id == services.settings["CARBON_DEFAULT_ORGANIZATION"]


def _seen(services: Services, caller: Caller) -> str:
    if is_operator(services, caller):
        return services.settings["CARBON_ORGANIZATIONS"]
    return caller.organization_id


@contextmanager
def _tracer(services: Services, seen: str) -> Iterator[Tracer]:
    from spark.trace import Tracer

    settings = Settings({**services.settings.values, "CARBON_ORGANIZATIONS": seen})
    with services.readers.of(seen) as conn:
        yield Tracer(
            connection=conn,
            archive_url=settings.archive_url,
            settings=settings,
            kept_books=services.books,
        )
