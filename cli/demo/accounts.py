"""What each source of the demo says it sent, beside what Kafka and the ledger have of it.

Belongs here: the five sources, looking, judging whether a row adds up, the table. Does not: sending
(the modules beside this), waiting (cli.demo_command).

    sent     = refused at the edge + in Kafka
    in Kafka = ledgered + duplicate + dead-lettered + quarantined

The left side is counted by the source, the right side by Kafka's offsets and the ledger's accounts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Final

from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.settings import Settings
from carbon_ledger.streams import find
from pipeline.sources.company_reference import STEEL_SUPPLIER

ERP_SYSTEM: Final = "demo-sap"


@dataclass(frozen=True, kw_only=True)
class Source:
    """One kind of source: its stream, and the names under which its refusals are kept."""

    name: str
    protocol: str
    stream: str
    letters: tuple[str, ...]


METERS: Final = Source(
    name="Factory meters",
    protocol="MQTT",
    stream="iot_energy",
    letters=("mqtt:plant",),
)
VEHICLES: Final = Source(
    name="Vehicles",
    protocol="REST",
    stream="transport",
    letters=("rest:demo-telematics",),
)
CARRIER: Final = Source(
    name="Shipments",
    protocol="REST",
    stream="logistics",
    letters=("rest:demo-carrier",),
)
ERP: Final = Source(
    name="Purchase orders",
    protocol="webhook",
    stream="procurement",
    letters=(f"erp:{ERP_SYSTEM}",),
)
PORTAL: Final = Source(
    name="Declarations",
    protocol="SFTP, API",
    stream="supplier",
    letters=(f"sftp:{STEEL_SUPPLIER}", "api:supplier"),
)
SOURCES: Final = (METERS, VEHICLES, CARRIER, ERP, PORTAL)


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What a source counted itself: sound records, those of them it sent `again`, and ones that no
    ledger can take. `problem` is what it noticed by itself.
    """

    source: Source
    good: int
    again: int = 0
    bad: int = 0
    problem: str | None = None

    @property
    def total(self) -> int:
        """Everything it sent."""
        return self.good + self.again + self.bad


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What is known of a source's records on our side; counts."""

    refused: int = 0
    in_kafka: int = 0
    read: int = 0
    ledgered: int = 0
    duplicate: int = 0
    dead_lettered: int = 0
    quarantined: int = 0

    def since(self, before: Seen) -> Seen:
        """What came after `before` was looked at."""
        names = self.__dataclass_fields__
        return Seen(
            **{
                name: now - then
                for name, now, then in zip(names, astuple(self), astuple(before), strict=True)
            }
        )


def look_at(settings: Settings) -> dict[str, Seen]:
    """By stream what Kafka and the ledger have now. Raises BrokenInvariant `stream_halted`, and
    Unavailable where one of them cannot be asked.
    """
    from carbon_ledger.store.connect import connect_as_reader
    from carbon_ledger.store.letters import count_edge_letters
    from carbon_ledger.store.read import stream_accounts
    from pipeline.topic_sight import look

    with closing(connect_as_reader(settings, "carbon-demo")) as connection:
        letters = count_edge_letters(connection, [one for each in SOURCES for one in each.letters])
        accounts = {one.stream: one for one in stream_accounts(connection)}
    seen = {}
    for source in SOURCES:
        highs = look(find(source.stream).topic, settings).highs
        counted = {}
        account = accounts.get(source.stream)
        if account is not None:
            if account.halted_reason:
                raise BrokenInvariant(
                    "stream_halted", f"{source.stream} is halted: {account.halted_reason}"
                )
            names = ("read", "ledgered", "duplicate", "dead_lettered", "quarantined")
            counted = {name: getattr(account, name) for name in names}
        refused = sum(letters[one] for one in source.letters)
        seen[source.stream] = Seen(refused=refused, in_kafka=sum(highs.values()), **counted)
    return seen


def under_way(settings: Settings, drops: Path) -> list[str]:
    """What is still on its way into the ledger, in a few words each: of an earlier run, it would
    come in among what this one counts. `drops` is the folder of the supplier's files.
    """
    from carbon_ledger.store.connect import connect_as_reader
    from cli.stream_status import stream_status
    from pipeline.letter_uptake import is_waiting

    found = [
        f"{one['lag']:,} records of {stream}"
        for stream, one in stream_status(settings).items()
        if one["lag"]
    ]
    with closing(connect_as_reader(settings, "carbon-demo")) as connection:
        if is_waiting(connection, settings):
            found.append("letters of edges")
    files = sum(1 for _ in drops.glob("*")) if drops.is_dir() else 0
    return [*found, *([f"{files} files of the supplier"] if files else [])]


def fault(sent: Sent, seen: Seen) -> str | None:
    """Why the source's own count and ours do not agree, in a sentence; None if they do.

    A source may deliver a record again by itself (at least once): then there is as much more in
    Kafka as there are more duplicates.
    """
    if sent.problem is not None:
        return sent.problem
    more = seen.refused + seen.in_kafka - sent.total
    if more < 0:
        return (
            f"{-more:,} of {sent.total:,} sent arrived nowhere: they are neither in Kafka nor "
            "refused"
        )
    if seen.in_kafka != seen.read:
        return f"of {seen.in_kafka:,} records in Kafka the accounts have {seen.read:,}"
    if seen.quarantined:
        return f"{seen.quarantined:,} records are quarantined, which no source sends on purpose"
    if seen.ledgered != sent.good:
        return f"{sent.good:,} sound records were sent, {seen.ledgered:,} are ledgered"
    if seen.refused + seen.dead_lettered != sent.bad:
        return (
            f"{sent.bad:,} faulty records were sent, {seen.refused:,} were refused at the edge and "
            f"{seen.dead_lettered:,} are dead letters"
        )
    if seen.duplicate != sent.again + more:
        return (
            f"{sent.again:,} were sent again and {more:,} delivered again, "
            f"{seen.duplicate:,} are duplicates"
        )
    # So what was read is what became of it, too: in Kafka = sent + delivered again - refused.
    return None


def faults(sent: Sequence[Sent], seen: Mapping[str, Seen]) -> list[str]:
    """A sentence for each source that does not add up."""
    told = [(one, fault(one, seen[one.source.stream])) for one in sent]
    return [f"{one.source.name}: {why}" for one, why in told if why is not None]


def table(sent: Sequence[Sent], seen: Mapping[str, Seen]) -> list[str]:
    """The summary, a row for each source."""
    head = (
        f"  {'source':15} {'by':10} {'sent':>7} = {'refused':>7} + {'in Kafka':>8}"
        f" = {'ledgered':>8} + {'duplicate':>9} + {'dead letters':>12}   adds up"
    )
    rows = [head, "  " + "-" * (len(head) - 2)]
    for one in sent:
        found = seen[one.source.stream]
        verdict = "yes" if fault(one, found) is None else "NO"
        rows.append(
            f"  {one.source.name:15} {one.source.protocol:10} {one.total:>7,} = "
            f"{found.refused:>7,} + {found.in_kafka:>8,} = {found.ledgered:>8,} + "
            f"{found.duplicate:>9,} + {found.dead_lettered:>12,}   {verdict}"
        )
    return rows
