"""Rows of a release that are no emission factors: potentials, exchange rates, prices, grid losses.

Belongs here: what such a row is and whether it is intact. Does not: what is computed from it
(prices, potentials, losses).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Final

from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.quantities import canonical_text

PREIMAGE_VERSION: Final = "carbon-ledger index 1"

# Global warming potentials in kgCO2e per kg: `key` is set and gas, e.g. `AR6/CH4`. The first is
# what is used; the others are kept as printed (carbon_ledger.factor_book.potentials says what for).
GWP_100: Final = "gwp_100"
GWP_20: Final = "gwp_20"
GWP_100_BLEND: Final = "gwp_100_blend"
GWP_100_KYOTO: Final = "gwp_100_kyoto_printed"
GWP_100_OTHER: Final = "gwp_100_other_printed"
GWP_100_TOTAL: Final = "gwp_100_total_printed"
GWP_100_NAMED: Final = "gwp_100_named_printed"
# Units of `key` (a currency) per euro, mean of a calendar year.
FX_EUR: Final = "fx_eur_annual_avg"
# `key` is a country; annual percentages, and an index level for the United States.
CPI_INFLATION: Final = "cpi_inflation"
GDP_DEFLATOR_INFLATION: Final = "gdp_deflator_inflation"
US_CPI_INDEX: Final = "us_cpi_u_index"
PPP: Final = "ppp_gdp"
# Percent of the electricity put into the grid; `key` is a country, or country/region.
TD_LOSS: Final = "td_loss_pct"


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexRow:
    """One published number of a series, exactly as published, never edited.

    `year` is the calendar year it is of, None where it is of none. `key` says what of: its form
    depends on the series. `formula` is what the publisher says it is made of.
    """

    index_id: str
    version: int
    series: str
    key: str
    year: int | None
    value: Decimal
    unit: str
    publisher: str
    source_id: str
    quality_flags: tuple[str, ...]
    licence: str
    formula: str
    note: str | None
    sha256: str


def index_id_of(series: str, key: str, year: int | None, source_id: str) -> str:
    """The stable, readable id of a row, e.g. `fx_eur_annual_avg:USD:2023:ecb_eurofxref`."""
    return ":".join(part for part in (series, key, str(year or ""), source_id) if part)


_HASHED: Final = tuple(field.name for field in fields(IndexRow) if field.name != "sha256")
_ENCODE: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode


def index_sha256(row: IndexRow) -> str:
    """Hex SHA-256 over every other field by name, numbers in canonical spelling."""
    content = {name: getattr(row, name) for name in _HASHED}
    content["value"] = canonical_text(row.value)
    return hashlib.sha256(f"{PREIMAGE_VERSION}\n{_ENCODE(content)}".encode()).hexdigest()


def sealed_index(row: IndexRow) -> IndexRow:
    """The same row with its hash filled in."""
    return replace(row, sha256=index_sha256(row))


def check_index(row: IndexRow) -> None:
    """Raises BrokenInvariant, naming row and value, if a row could be misread or was altered."""
    faults = (
        ("index_hash", f"sha256 {row.sha256}", row.sha256 != index_sha256(row)),
        ("index_version", f"version {row.version}", row.version < 1),
        ("index_value", f"value {row.value}", not row.value.is_finite()),
        (
            "index_id",
            f"series {row.series!r}, key {row.key!r}, year {row.year}",
            row.index_id != index_id_of(row.series, row.key, row.year, row.source_id),
        ),
    )
    for code, what, is_broken in faults:
        if is_broken:
            raise BrokenInvariant(
                code,
                f"{what} of {row.index_id} version {row.version} cannot be right; rows are "
                "immutable and their hash covers every field",
            )
