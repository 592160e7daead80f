"""What a meter's running total was before, kept so that the same message gives the same reading.

Belongs here: the readings last seen of each register, and which one a new reading follows. Does
not: what a register's difference emits (carbon_ledger.energy.meters), messages.

A meter that says only its total needs the total before for an interval. The book is one SQLite
file; what is written becomes durable with `commit`, which the adapter calls after Kafka has the
events and before it acknowledges the messages. A message that comes again therefore finds either
nothing of itself, or itself and what it followed then, and gives the same event either way.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from carbon_ledger.errors import ConfigurationError, RejectedRecord
from carbon_ledger.events import check_amount, check_identifier, iso_utc, normalise_timestamp

# How many readings of a register are kept: a message may come again while it is among them.
KEPT: Final = 256

_SCHEMA: Final = """
create table if not exists reading (
    sensor_id text not null,
    read_at integer not null, -- seconds since 1970
    total text not null,
    primary key (sensor_id, read_at)
) without rowid
"""


class RegisterBook:
    """The registers one adapter reads; one process at a time writes it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        try:
            self._file = sqlite3.connect(path, timeout=5.0)
            self._file.execute("pragma journal_mode = wal")
            self._file.execute("pragma synchronous = full")
            self._file.execute(_SCHEMA)
            self._file.commit()
        except sqlite3.Error as error:
            raise ConfigurationError(
                "register_book", f"{path} cannot be used: {error}; it keeps readings of registers"
            ) from error

    def step(
        self, sensor_id: str, read_at: datetime, values: Mapping[str, Any]
    ) -> dict[str, object] | None:
        """The fields of the interval that ends with this reading, or None for the very first.

        Stamps count in whole seconds. Raises RejectedRecord: what `check_identifier` and
        `check_amount` raise, `register_conflict` (another total was read then),
        `register_out_of_order` (a later one was read before; its interval has this one in it),
        `register_too_old` (older than what is kept).
        """
        check_identifier("sensor_id", sensor_id)
        total = check_amount("register_end", values["register_end"])
        second = int(read_at.timestamp())
        known = self._one(
            "select total from reading where sensor_id = ? and read_at = ?", sensor_id, second
        )
        before = self._one(
            "select read_at, total from reading where sensor_id = ? and read_at < ? "
            "order by read_at desc limit 1",
            sensor_id,
            second,
        )
        if known is not None:
            if check_amount("register_end", known[0]) != total:
                raise self._refused(
                    "register_conflict", f"was {known[0]} before", sensor_id, read_at, total
                )
            if before is None:
                return None
        else:
            self._judge_order(sensor_id, second, read_at, total, before is None)
            self._file.execute(
                "insert into reading values (?, ?, ?)", (sensor_id, second, str(total))
            )
            self._file.execute(
                "delete from reading where sensor_id = ?1 and read_at < (select read_at from "
                "reading where sensor_id = ?1 order by read_at desc limit 1 offset ?2)",
                (sensor_id, KEPT - 1),
            )
            if before is None:
                return None
        start = normalise_timestamp(before[0] * 1_000_000)
        return {
            "timestamp": start,
            "interval_seconds": second - before[0],
            "register_start": before[1],
            "register_end": str(total),
        }

    def _judge_order(
        self, sensor_id: str, second: int, read_at: datetime, total: object, is_oldest: bool
    ) -> None:
        later = self._one(
            "select read_at from reading where sensor_id = ? and read_at > ? "
            "order by read_at limit 1",
            sensor_id,
            second,
        )
        if later is None:
            return
        when = iso_utc(normalise_timestamp(later[0] * 1_000_000))
        code = "register_too_old" if is_oldest else "register_out_of_order"
        raise self._refused(code, f"comes after that of {when}", sensor_id, read_at, total)

    def _refused(
        self, code: str, complaint: str, sensor_id: str, read_at: datetime, total: object
    ) -> RejectedRecord:
        return RejectedRecord(
            code,
            f"register_end: {total} of {sensor_id} at {iso_utc(read_at)} {complaint}",
            field="register_end",
            value=total,
            valid="one total per time, in the order of time",
        )

    def _one(self, sql: str, *values: object) -> Any:
        return self._file.execute(sql, values).fetchone()

    def commit(self) -> None:
        """What was stepped over until now is durable."""
        self._file.commit()

    def close(self) -> None:
        """What was not committed is forgotten."""
        self._file.close()
