"""Writes docs/templates/supplier_declarations: what a supplier fills in, as CSV, XLSX and JSON.

    python -m scripts.build_drop_templates

Columns, required ones and their meaning come from the schema of the event; here is only which of
them each kind of declaration needs, and an example row. A test builds them again and compares.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import openpyxl

from carbon_ledger.settings import PROJECT_ROOT
from carbon_ledger.stream_events import widest_schema_file
from pipeline.drops.declarations import FIELDS, REQUIRED, STREAM

FOLDER: Final = PROJECT_ROOT / "docs" / "templates" / "supplier_declarations"
_FIRST: Final = ("declaration_id", "entity_id", "kind", "timestamp", "interval_seconds", "revision")
_LAST: Final = ("boundary", "gwp_set", "primary_data_share_pct", "assurance")
_PERIOD: Final = {"timestamp": "2025-01-01T00:00:00Z", "interval_seconds": "2678400"}
_QUALITY: Final = {
    "revision": "0",
    "boundary": "cradle_to_gate",
    "gwp_set": "AR6",
    "primary_data_share_pct": "62.5",
    "assurance": "limited",
}
# Kind: its own columns, and an example.
KINDS: Final[dict[str, dict[str, str]]] = {
    "product_footprint": {
        "declaration_id": "PCF-2025-01-COIL",
        "entity_id": "DE-01",
        "kind": "product_footprint",
        **_PERIOD,
        "product_id": "cold rolled coil 1.5 mm",
        "purchase_order_lines": "4500012345/10;4500012345/20",
        "quantity": "12000",
        "unit": "kg",
        "kgco2e_per_unit": "1.85",
        "fossil_kgco2e_per_unit": "1.80",
        "land_use_kgco2e_per_unit": "0.05",
        "geography_country_iso2": "DE",
        **_QUALITY,
    },
    "allocated_total": {
        "declaration_id": "ALLOC-2025-01",
        "entity_id": "DE-01",
        "kind": "allocated_total",
        **_PERIOD,
        "scope1_kgco2e": "15200",
        "scope2_location_kgco2e": "4100",
        "scope2_market_kgco2e": "900",
        "upstream_kgco2e": "22000",
        "allocation_method": "mass",
        **_QUALITY,
    },
    "corporate_total": {
        "declaration_id": "CORP-2025-01",
        "entity_id": "DE-01",
        "kind": "corporate_total",
        **_PERIOD,
        "scope1_kgco2e": "1520000",
        "scope2_location_kgco2e": "410000",
        "scope2_market_kgco2e": "90000",
        "upstream_kgco2e": "2200000",
        "allocation_method": "economic",
        "allocation_part": "1250000",
        "allocation_whole": "98000000",
        "allocation_unit": "EUR",
        **_QUALITY,
    },
    "site_production": {
        "declaration_id": "SITE-2025-01",
        "entity_id": "DE-01",
        "kind": "site_production",
        **_PERIOD,
        "production_site_id": "SUP-042.works-1",
        "product_id": "cold rolled coil 1.5 mm",
        "quantity": "120",
        "produced_quantity": "900",
        "unit": "t",
        "scope1_kgco2e": "410200",
        "scope2_location_kgco2e": "98000",
        "upstream_kgco2e": "700000",
        "electricity_kwh": "310000",
        "geography_country_iso2": "DE",
        "allocated_kgco2e": "161093",
        **_QUALITY,
    },
}


def columns_of(kind: str) -> list[str]:
    """The columns of a template: required ones, then its own, in the order of the schema."""
    wanted = {*_FIRST, *_LAST, *REQUIRED, *KINDS[kind]}
    middle = [name for name in FIELDS if name in wanted and name not in (*_FIRST, *_LAST)]
    return [*_FIRST, *middle, *_LAST]


def meanings() -> dict[str, str]:
    """What each field means, from the schema."""
    schema: dict[str, Any] = json.loads(widest_schema_file(STREAM))
    return {field["name"]: field["doc"] for field in schema["fields"]}


def as_csv(kind: str) -> bytes:
    """The template as CSV."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns_of(kind))
    writer.writerow([KINDS[kind].get(name, "") for name in columns_of(kind)])
    return out.getvalue().encode()


def as_json(kind: str) -> bytes:
    """The template as JSON."""
    row = {name: KINDS[kind].get(name) for name in columns_of(kind)}
    return (json.dumps([row], indent=2) + "\n").encode()


def sheets(kind: str) -> dict[str, list[Sequence[str]]]:
    """The template's sheets: the rows to fill in, and what the columns mean."""
    columns, doc = columns_of(kind), meanings()
    explained: list[Sequence[str]] = [("column", "required", "meaning")]
    explained += [(name, "yes" if name in REQUIRED else "", doc[name]) for name in columns]
    rows: list[Sequence[str]] = [columns, [KINDS[kind].get(name, "") for name in columns]]
    return {"declarations": rows, "columns": explained}


def as_xlsx(kind: str) -> bytes:
    """The template as a workbook."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets(kind).items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append([value or None for value in row])
        sheet.freeze_panes = "A2"
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def main(argv: Sequence[str] = ()) -> int:
    """Writes the templates; the folder may be given."""
    folder = Path(argv[0]) if argv else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        for ending, build in (("csv", as_csv), ("json", as_json), ("xlsx", as_xlsx)):
            path = folder / f"{kind}.{ending}"
            path.write_bytes(build(kind))
            print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
