"""Purchases, declarations and the books they are priced with: valid ones, which a test changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from carbon_ledger.factor_book.book import Factor, FactorBook, sealed
from carbon_ledger.factor_book.index_rows import IndexRow, index_id_of, sealed_index
from carbon_ledger.inventory import Inventory
from carbon_ledger.policy import Policy
from carbon_ledger.purchasing.purchase_events import PurchaseOrderEvent
from carbon_ledger.purchasing.supplier_events import SupplierDeclarationEvent
from carbon_ledger.reference.fields import Record
from carbon_ledger.reference.register import Register
from tests.support.factor_examples import grid_factor

NOW = datetime(2026, 1, 15, tzinfo=UTC)


def spend_factor(naics_code: str, kgco2e: str, **changes: Any) -> Factor:
    """A factor per money of a sector: purchaser prices, US, USD of 2022, edition 1.3."""
    given: dict[str, Any] = {
        "family": "spend",
        "country_iso2": "US",
        "energy_source": "",
        "boundary": "cradle_to_gate_with_margins",
        "basis": "eeio_purchaser",
        "unit": changes.get("currency", "USD"),
        "currency": "USD",
        "price_year": 2022,
        "price_basis": "purchaser",
        "kgco2e_per_unit": Decimal(kgco2e),
        "selectors": (("naics_code", naics_code), ("version", "1.3")),
        "intensity_basis": "",
        "gwp_set": "AR6",
        **changes,
    }
    year = given.pop("vintage", 2022)
    base = grid_factor(year)
    given.setdefault("factor_id", f"spend:{naics_code}")
    return sealed(replace(base, **given))


def material_factor(item: str, kgco2e: str, **changes: Any) -> Factor:
    """A cradle-to-gate factor of a material per kg."""
    given: dict[str, Any] = {
        "family": "material",
        "country_iso2": "GB",
        "energy_source": "",
        "boundary": "cradle_to_gate",
        "basis": "cradle_to_gate",
        "unit": "kg",
        "kgco2e_per_unit": Decimal(kgco2e),
        "selectors": (("item", item), ("treatment", "Primary material production")),
        "intensity_basis": "",
        "gwp_set": "AR6",
        **changes,
    }
    year = given.pop("vintage", 2024)
    given.setdefault("factor_id", f"material:{item}")
    return sealed(replace(grid_factor(year), **given))


def index(series: str, key: str, year: int, value: str) -> IndexRow:
    """A row of exchange rates (`fx_eur_annual_avg`) or prices (`us_cpi_u_index`)."""
    row = IndexRow(
        index_id=index_id_of(series, key, year, "example"),
        version=1,
        series=series,
        key=key,
        year=year,
        value=Decimal(value),
        unit="",
        publisher="Office of Examples",
        source_id="example",
        quality_flags=(),
        licence="CC0",
        note=None,
        sha256="",
        formula="",
    )
    return sealed_index(row)


RATES = (
    index("fx_eur_annual_avg", "USD", 2022, "1.05"),
    index("fx_eur_annual_avg", "USD", 2023, "1.08"),
    index("fx_eur_annual_avg", "USD", 2024, "1.1"),
    index("fx_eur_annual_avg", "GBP", 2024, "0.85"),
    index("us_cpi_u_index", "US", 2022, "292"),
    index("us_cpi_u_index", "US", 2023, "304"),
    index("us_cpi_u_index", "US", 2024, "313"),
)


def inventory_of(
    factors: Iterable[Factor],
    *records: Record,
    rows: Iterable[IndexRow] = RATES,
    **policy: Any,
) -> Inventory:
    """An inventory with these factors, rates, reference records and choices, at `NOW`."""
    policy.setdefault("gwp_set", "AR6")
    return Inventory(
        book=FactorBook(factors, "examples-1", rows),
        now=NOW,
        policy=Policy(**policy),
        register=Register(records=tuple(records)),
    )


def purchase(**changes: Any) -> PurchaseOrderEvent:
    """An invoice line of 1,000 EUR in May 2024 from a supplier in the US, of sector 331110."""
    given: dict[str, Any] = {
        "purchase_order_id": "po-1",
        "document_id": "inv-1",
        "document_kind": "invoice",
        "line_no": 1,
        "entity_id": "acme-de",
        "supplier_id": "steelworks",
        "supplier_country_iso2": "US",
        "classification": "naics:331110",
        "amount_net": "1000",
        "currency": "EUR",
        "timestamp": datetime(2024, 5, 6, tzinfo=UTC),
        **changes,
    }
    return PurchaseOrderEvent(**given)


def declaration(**changes: Any) -> SupplierDeclarationEvent:
    """A verified footprint in three parts of 1 kg, applied to 500 kg bought in May 2024."""
    given: dict[str, Any] = {
        "declaration_id": "pf-1:2024-05-01",
        "supplier_id": "steelworks",
        "entity_id": "acme-de",
        "kind": "product_footprint",
        "quantity": "500",
        "unit": "kg",
        "fossil_kgco2e_per_unit": "1.9",
        "land_use_kgco2e_per_unit": "0.05",
        "biogenic_non_co2_kgco2e_per_unit": "0.05",
        "kgco2e_per_unit": "2",
        "boundary": "cradle_to_gate",
        "gwp_set": "AR6",
        "assurance": "limited",
        "reference_from": datetime(2023, 1, 1, tzinfo=UTC),
        "reference_to": datetime(2024, 1, 1, tzinfo=UTC),
        "timestamp": datetime(2024, 5, 1, tzinfo=UTC),
        "interval_seconds": 31 * 86400,
        **changes,
    }
    return SupplierDeclarationEvent(**given)
