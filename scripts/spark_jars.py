"""Copies the jars that Spark needs beside its own into a folder, verified against the lock.

    python -m scripts.spark_jars /opt/carbon-cache/spark-jars

Belongs here: that copy, for images. Does not: fetching (devstack.downloads).
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from carbon_ledger.settings import load
from devstack.downloads import ensure


def main(argv: Sequence[str] | None = None) -> int:
    """0 once they are there; the number is printed."""
    (target,) = sys.argv[1:] if argv is None else argv
    folder = ensure(load(), print) / "spark"
    Path(target).mkdir(parents=True, exist_ok=True)
    jars = sorted(folder.glob("*.jar"))
    for jar in jars:
        shutil.copy2(jar, target)
    print(f"{len(jars)} jars in {target}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
