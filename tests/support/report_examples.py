"""Sums of entries of one small organization, and the inputs of a report of it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from carbon_ledger.reporting.cube import CubeRow
from carbon_ledger.reporting.inputs import Reported, ReportInputs

AT = datetime(2026, 2, 1, tzinfo=UTC)


def row(scope: int, kg: str, category: int | None = None, **given: Any) -> CubeRow:
    """A row of the cube; scope 2 is location-based unless said otherwise."""
    fields: dict[str, Any] = {
        "scope": scope,
        "category": category,
        "basis": "location" if scope == 2 else "combustion",
        "stream": "iot_energy",
        "facility_id": "plant-1",
        "country_iso2": "DE",
        "activity_type": "electricity:grid",
        "unit": "kWh",
        "method": "measured",
        "gwp_set": "AR6",
        "gas_split": "not_available",
        "factor_id": "f",
        "factor_version": 1,
        "entries": 1,
    }
    return CubeRow(**{**fields, "kgco2e": Decimal(kg), **given})


# How an order, and a bill of fuel that meters have, stand in the ledger: lines of 0 kg
# (carbon_ledger.purchasing.purchases).
PROMISED: dict[str, Any] = {
    "basis": "evidence",
    "method": "evidence",
    "activity_type": "evidence/commitment",
    "stream": "procurement",
    "facility_id": "",
    "country_iso2": "ZZ",
    "unit": "EUR",
    "quantity": Decimal(1000),
    "gwp_set": "not_applicable",
    "factor_id": "rule:PURCHASE-COMMITMENT",
}
EVIDENCE = (
    row(3, "0", 2, **PROMISED),
    row(3, "0", 6, **{**PROMISED, "activity_type": "evidence/routed_to_travel"}),
    row(1, "0", **{**PROMISED, "activity_type": "evidence/routed_to_fuel"}),
    row(3, "0", 4, basis="informational", activity_type="freight:road", unit="t.km"),
)

YEAR = (
    row(1, "1000.5", kg_co2_biogenic=Decimal(20)),
    row(2, "2000"),
    row(2, "500", country_iso2="FR"),
    row(2, "1200.25", basis="market"),
    row(3, "3000", 1, primary_kgco2e=Decimal(750)),
    row(3, "100", 3),
    row(3, "70", 3, basis="market"),
    row(3, "40", 15),
    row(0, "999"),
)


def inputs(**given: Any) -> ReportInputs:
    fields: dict[str, Any] = {
        "organization_id": "org",
        "fiscal_year": 2025,
        "period_begin": date(2025, 1, 1),
        "period_end": date(2026, 1, 1),
        "as_of": AT,
        "code_version": "test",
        "cubes": {2025: YEAR, 2024: (row(1, "2001"), row(3, "10", 2))},
    }
    return ReportInputs(**{**fields, **given})


def reported(fiscal_year: int, cell_id: str, value: str, **given: Any) -> Reported:
    """A figure of a report of a year that was bound, of ESRS Set 1 unless it is CDP's."""
    fields: dict[str, Any] = {
        "profile": "cdp_2025" if cell_id.startswith("CDP-") else "esrs_2023",
        "unit": "tCO2e",
    }
    return Reported(
        fiscal_year=fiscal_year, cell_id=cell_id, value=Decimal(value), **{**fields, **given}
    )
