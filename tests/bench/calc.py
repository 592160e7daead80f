"""`carbon calc` as a user runs it: activities of all kinds from a file, against reading the same
file and multiplying once per line.

Belongs here: the activities, the two runs, their figures. Does not: the stack (run.py).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from carbon_ledger.calculation import calculate
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.inventory import Inventory
from carbon_ledger.settings import PROJECT_ROOT
from tests.support.event_cases import CASES, NOW
from tests.support.published_examples import PUBLISHED

# What any answer costs at the least: the line read, one exact product, one line written.
BASELINE = """
import json, sys
from decimal import Decimal
factor = Decimal("0.3852")
for line in open(sys.argv[1], encoding="utf-8"):
    activity = json.loads(line, parse_float=str)
    stated = activity.get("quantity") or activity.get("energy_kwh") or "1247.331"
    kg = Decimal(stated) * factor
    print(json.dumps({"kgco2e": str(kg)}))
"""


def kinds() -> list[dict[str, Any]]:
    """One of every kind that is calculated: events of all streams, and stated activities."""
    from factor_seeds.load import shipped_book

    inventory = Inventory(book=shipped_book(), now=NOW)
    stated = [one for row in PUBLISHED for one in row[1]]
    found = []
    for activity in [*({"event": stream, **fields} for stream, fields in CASES), *stated]:
        try:
            calculate(activity, inventory)
        except RejectedRecord:
            continue
        found.append(activity)
    return found


def lines(count: int) -> Iterator[str]:
    """`count` activities, the kinds in turn, each with an id of its own."""
    texts = [json.dumps(one)[1:] for one in kinds()]
    for number in range(count):
        yield f'{{"id": "{number}", {texts[number % len(texts)]}\n'


def run(count: int) -> dict[str, Any]:
    """Activities per second of `carbon calc` and of the baseline, before it and after it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "activities.jsonl"
        with file.open("w", encoding="utf-8") as stream:
            stream.writelines(lines(count))
        before = _seconds([sys.executable, "-c", BASELINE, str(file)])
        taken = _seconds([sys.executable, "-m", "cli.main", "calc", str(file)])
        after = _seconds([sys.executable, "-c", BASELINE, str(file)])
    baseline = 2 * count / (before + after)
    return {
        "activities": count,
        "seconds": round(taken, 2),
        "activities_per_second": round(count / taken),
        "json_and_one_product_per_second": round(baseline),
        "ratio_to_json_and_one_product": round(count / taken / baseline, 4),
    }


def _seconds(command: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, cwd=PROJECT_ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin


def table(figures: dict[str, Any]) -> list[str]:
    """Rows of the benchmark's table."""
    baseline = figures["json_and_one_product_per_second"]
    return [
        f"carbon calc ({figures['activities']:,} activities of all kinds)",
        f"{'  carbon calc, activities/s':34}{figures['activities_per_second']:>12,}",
        f"{'  JSON and one product per line':34}{baseline:>12,}"
        f"{figures['ratio_to_json_and_one_product']:>8}",
    ]
