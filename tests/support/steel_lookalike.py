"""A made-up file with the quirks of the steel plant's meter readings: tests need no download.

Byte order mark; day first, months and days without a leading zero; stamps are interval ends; a
day's last stamp carries the day's own date at 0:00, and the year's last one is written 00:00.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import yaml

HEADER = (
    "date",
    "Usage_kWh",
    "Lagging_Current_Reactive.Power_kVarh",
    "Leading_Current_Reactive_Power_kVarh",
    "CO2(tCO2)",
    "Lagging_Current_Power_Factor",
    "Leading_Current_Power_Factor",
    "NSM",
    "WeekStatus",
    "Day_of_week",
    "Load_Type",
)
QUARTERS = 96


def steel_mapping(example: Path, folder: Path) -> tuple[Path, str]:
    """The example's mapping for a meter, a plant and an owner of its own; its path and their
    name."""
    content = yaml.safe_load(example.read_text(encoding="utf-8"))
    name = f"test-steel-{uuid4().hex[:12]}"
    content["constants"]["sensor_id"] = name
    content["site"]["facility_id"] = name
    content["site"]["organization_id"] = name
    path = folder / "mapping.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path, name


def steel_lookalike(path: Path, days: int = 365) -> Decimal:
    """Writes the first `days` days of 2018 to `path`; the exact sum of its kWh."""
    hundredths = 0
    lines = [",".join(HEADER)]
    for number in range(days):
        day = date(2018, 1, 1) + timedelta(days=number)
        for quarter in range(1, QUARTERS + 1):
            minutes = quarter % QUARTERS * 15
            use = (number * 37 + quarter * 101) % 15_000
            hundredths += use
            is_last = number == 364 and quarter == QUARTERS
            clock = "00:00" if is_last else f"{minutes // 60}:{minutes % 60:02}"
            kwh = f"{use // 100}.{use % 100:02}".rstrip("0").rstrip(".")
            week = "Weekend" if day.weekday() >= 5 else "Weekday"
            lines.append(
                f"{day.day}/{day.month}/{day.year} {clock},{kwh},2.95,0,0,73.21,100,"
                f"{minutes * 60},{week},{day:%A},Light_Load"
            )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    return Decimal(hundredths).scaleb(-2)
