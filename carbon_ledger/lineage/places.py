"""Names of records: topic, number of the topic of that name, partition and offset as one text.

Belongs here: reading and writing such a name. Does not: finding the record (spark.trace).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_RECORD = re.compile(
    r"(?P<topic>[A-Za-z0-9._-]{1,249})(?:@(?P<incarnation>\d{1,9}))?"
    r":(?P<partition>\d{1,9}):(?P<offset>\d{1,18})"
)
RECORD_FORMS: Final = (
    "a record such as raw.iot.energy:0:17 (raw.iot.energy@1:0:17 of its second topic)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordPlace:
    """Where a record was read; `incarnation` None is the newest topic of that name."""

    topic: str
    incarnation: int | None
    partition: int
    offset: int


def record_place(text: str) -> RecordPlace | None:
    """The place that a text names; None for a text of another form."""
    found = _RECORD.fullmatch(text)
    if found is None:
        return None
    incarnation = found["incarnation"]
    return RecordPlace(
        topic=found["topic"],
        incarnation=None if incarnation is None else int(incarnation),
        partition=int(found["partition"]),
        offset=int(found["offset"]),
    )
