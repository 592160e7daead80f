"""One small query in the shared session, through Python workers that load what a batch needs.

`python -m spark.warm_up sc://host:port` exits with 0 if it came out right. The first batch after a
start then finds workers with their imports done, and pays for nothing but its own records.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 1_000
TASKS = 2


def double(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Each id twice itself; imports the sink on the way."""
    import pyarrow as pa

    import spark.sink  # noqa: F401 - for its own imports

    for batch in batches:
        yield pa.RecordBatch.from_pydict({"id": [2 * i for i in batch.column("id").to_pylist()]})


def main(remote: str) -> int:
    """0 if the server computes the sum of the even numbers below 2 * ROWS."""
    from spark.session import connect

    session = connect(remote)
    frame = session.range(0, ROWS, 1, TASKS).mapInArrow(double, "id long")
    total = frame.groupBy().sum("id").collect()[0][0]
    session.stop()  # closes this client; the shared session stays
    return 0 if total == ROWS * (ROWS - 1) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
