"""Who drives a stream without runs: the lease of a continuous driver, and what it has told Dagster.

Belongs here: every statement on manifest.driver. Does not: claims (carbon_ledger.store.manifest),
driving (spark.continuous), leaving the stream alone (sensors.planner).

A driver has an epoch. Whoever takes the stream after it has a higher one, and the earlier driver,
should it still be alive, finds out before its next claim. Leases are kept by the database's clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from psycopg.rows import class_row, dict_row

from carbon_ledger.errors import CarbonError, Unavailable
from carbon_ledger.store.manifest import LEASE_SECONDS, Connection, stream_lock

# A batch's run_id begins so if a continuous driver worked it off: no run of Dagster's has such an
# id.
RUN_ID_PREFIX: Final = "continuous "


class DriverReplaced(CarbonError):
    """The stream is not this driver's any more. Remedy: stop; the planner or another has it."""


@dataclass(frozen=True, kw_only=True)
class Driver:
    """The driver that holds a stream."""

    stream: str
    driver: str
    epoch: int
    lease_until: datetime
    taken_at: datetime


@dataclass(frozen=True, kw_only=True)
class UnreportedBatch:
    """A batch that a continuous driver finished and Dagster has not been told of."""

    batch_id: int
    arrival_partition: str


def take_stream(
    conn: Connection, stream: str, driver: str, lease_seconds: int = LEASE_SECONDS
) -> int:
    """The stream is `driver`'s from now, under the epoch returned. Raises Unavailable
    `stream_driven` while another one's lease lasts.
    """
    with stream_lock(conn, stream) as cursor:
        cursor.execute(
            """
            insert into manifest.driver as d (stream, driver, lease_until)
            values (%(stream)s, %(driver)s, clock_timestamp() + %(lease)s)
            on conflict (stream) do update
            set driver = excluded.driver, epoch = d.epoch + 1, lease_until = excluded.lease_until,
                taken_at = clock_timestamp()
            where d.lease_until <= clock_timestamp()
            returning epoch
            """,
            {"stream": stream, "driver": driver, "lease": timedelta(seconds=lease_seconds)},
        )
        row = cursor.fetchone()
        if row is not None:
            return int(row["epoch"])
        cursor.execute("select * from manifest.driver where stream = %s", (stream,))
        held = cursor.fetchone() or {}
    raise Unavailable(
        "stream_driven",
        f"stream {stream} is driven by {held.get('driver')}, whose lease lasts until "
        f"{held.get('lease_until')}; stop that one, or wait until its lease is up",
    )


def keep_stream(
    conn: Connection, stream: str, epoch: int, lease_seconds: int = LEASE_SECONDS
) -> bool:
    """Another sign of life; False if the stream has another driver meanwhile."""
    return _set_lease(conn, stream, epoch, timedelta(seconds=lease_seconds))


def leave_stream(conn: Connection, stream: str, epoch: int) -> bool:
    """The driver claims nothing more and the planner may go on; False if it was not the driver's
    any more.
    """
    return _set_lease(conn, stream, epoch, timedelta(0))


def _set_lease(conn: Connection, stream: str, epoch: int, lease: timedelta) -> bool:
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute(
            "update manifest.driver set lease_until = clock_timestamp() + %s"
            " where stream = %s and epoch = %s",
            (lease, stream, epoch),
        )
        return cursor.rowcount == 1


def require_stream(conn: Connection, stream: str, epoch: int) -> None:
    """Raises DriverReplaced unless the stream is held under `epoch` at this moment."""
    held = driver_of(conn, stream)
    if held is None or held.epoch != epoch:
        by = "nobody" if held is None else f"{held.driver} (number {held.epoch})"
        raise DriverReplaced(
            "driver_replaced",
            f"driver number {epoch} of stream {stream} has lost it: it is held by {by}",
        )


def driver_of(conn: Connection, stream: str) -> Driver | None:
    """The driver whose lease on the stream lasts, if there is one."""
    with conn.transaction(), conn.cursor(row_factory=class_row(Driver)) as cursor:
        cursor.execute(
            "select stream, driver, epoch, lease_until, taken_at from manifest.driver"
            " where stream = %s and lease_until > clock_timestamp()",
            (stream,),
        )
        return cursor.fetchone()


def unreported_batches(
    conn: Connection, stream: str, limit: int = 1_000
) -> tuple[UnreportedBatch, ...]:
    """The oldest batches that continuous drivers finished and Dagster was not told of."""
    with conn.transaction(), conn.cursor(row_factory=class_row(UnreportedBatch)) as cursor:
        cursor.execute(
            """
            select b.batch_id, b.arrival_partition
            from manifest.driver d
            join manifest.batch b using (stream)
            where d.stream = %s and b.batch_id > d.reported_batch_id and b.status = 'done'
              and starts_with(b.run_id, %s)
            order by b.batch_id
            limit %s
            """,
            (stream, RUN_ID_PREFIX, limit),
        )
        return tuple(cursor.fetchall())


def mark_reported(conn: Connection, stream: str, batch_id: int) -> None:
    """Dagster was told of every batch up to `batch_id`."""
    parameters: tuple[Any, ...] = (batch_id, stream)
    with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            "update manifest.driver set reported_batch_id = greatest(reported_batch_id, %s)"
            " where stream = %s",
            parameters,
        )
