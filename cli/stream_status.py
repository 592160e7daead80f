"""The accounts of every stream beside the topic's own end offsets, for `carbon status` and the
demo.

Belongs here: putting the ledger's accounts and Kafka's offsets side by side. Does not: either of
them.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

from carbon_ledger.errors import CarbonError
from carbon_ledger.settings import Settings

COUNTS = ("read", "ledgered", "duplicate", "dead_lettered", "quarantined")


def stream_status(settings: Settings) -> dict[str, dict[str, Any]]:
    """By stream: read = ledgered + duplicate + dead_lettered + quarantined, lag, end offsets,
    halts.

    `lag` counts records that are in Kafka and not in the accounts; it and `end_offsets` are None,
    and `problem` says why, where Kafka cannot be asked.
    """
    from carbon_ledger.store.connect import connect_as_reader
    from carbon_ledger.store.read import stream_accounts

    with closing(connect_as_reader(settings, "carbon-status")) as connection:
        accounts = stream_accounts(connection)
    answer = {}
    for account in accounts:
        offsets, problem = _end_offsets(account.topic, settings)
        answer[account.stream] = {
            **{name: getattr(account, name) for name in COUNTS},
            "lines": account.lines,
            "lag": None if offsets is None else account.lag(offsets),
            "topic": account.topic,
            "end_offsets": offsets,
            "committed_offsets": {
                part.kafka_partition: part.committed_offset for part in account.partitions
            },
            "dead_letters_to_relay": account.letters_to_relay,
            "last_committed_at": account.last_committed_at,
            "halted": account.halted_reason,
            "problem": problem,
        }
    return answer


def _end_offsets(topic: str, settings: Settings) -> tuple[dict[int, int] | None, str | None]:
    from pipeline.topic_sight import look

    try:
        return look(topic, settings).highs, None
    except CarbonError as error:
        return None, error.message


def lines(streams: dict[str, dict[str, Any]]) -> list[str]:
    """The same for people, two lines a stream at the most."""
    rows = []
    for name, one in streams.items():
        counts = " + ".join(f"{one[key]:,} {key}" for key in COUNTS[1:])
        lag = "unknown" if one["lag"] is None else f"{one['lag']:,}"
        rows.append(f"  {name:12} read {one['read']:,} = {counts}; lag {lag}")
        if one["halted"]:
            rows.append(f"  {'':12} HALTED: {one['halted']}")
    return rows
