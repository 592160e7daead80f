"""One small query on a Spark Connect server, through a Python worker; exit status 0 if it came out
right.

Run as `python -m devstack.spark_warm_up sc://host:port`, in a process of its own so that the
supervisor need not keep a Spark client in memory.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

import pyarrow as pa
from pyspark.sql import SparkSession

ROWS = 1000


def double(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    """Each id twice itself."""
    for batch in batches:
        yield pa.RecordBatch.from_pydict({"id": [2 * i for i in batch.column("id").to_pylist()]})


def main(remote: str) -> int:
    """0 if the server computes the sum of the even numbers below 2 * ROWS."""
    spark = SparkSession.builder.remote(remote).getOrCreate()
    try:
        frame = spark.range(ROWS).mapInArrow(double, "id long")
        total = frame.groupBy().sum("id").collect()[0][0]
    finally:
        spark.stop()
    return 0 if total == ROWS * (ROWS - 1) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
