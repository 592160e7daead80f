"""The demo company as it is registered: entities, sites, meters, vehicles, suppliers, contracts.

Belongs here: the records, as a file of reference data has them, recording them, and the factor
restatement that is prepared. Does not: its events (pipeline.sources.company).
"""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Final

import yaml

from carbon_ledger.reference.files import parse
from carbon_ledger.store.reference import apply_statements
from carbon_ledger.store.rows import Connection

ORGANIZATION: Final = "meridian"
HOLDING: Final = "meridian-holding"
# Years of which every factor the company needs is published.
YEARS: Final = (2024, 2025)
# The first day on which Ohio is the company's: nothing of it is in the inventory before.
ACQUIRED: Final = date(2025, 4, 1)
STEEL_SUPPLIER: Final = "SUP_042_DE"

# A factor restatement that waits to be imported, previewed and posted: the German grid operator's
# own location-based figures, in place of life cycle ones (docs/examples/demo_restatement.csv).
RESTATED: Final = (
    {"country_iso2": "DE", "year": "2024", "kgco2e_per_kwh": "0.30214"},
    {"country_iso2": "DE", "year": "2025", "kgco2e_per_kwh": "0.29386"},
)

BEGIN: Final = "2024-01-01"
_CERTIFICATE: Final = {
    "kind": "certificate_unbundled",
    "facility_id": "mer-hamburg",
    "market": "DE",
    "generation_source": "wind",
    "emission_rate_kgco2e_per_kwh": "0",
    "volume_kwh": "250000",
    "granularity": "year",
    "retirement": "cancelled",
    "retirement_evidence": "cancellation statement of the registry",
    "conveys_emission_rate": "yes",
    "is_only_claim": "yes",
    "is_tracked_and_retired": "yes",
    "has_close_vintage": "yes",
    "is_of_same_market": "yes",
    "has_residual_mix_or_discloses": "yes",
}


def _certificate(year: int) -> dict[str, str]:
    return {
        "instrument_id": f"go-{year}",
        **_CERTIFICATE,
        "vintage_from": f"{year - 1}-12-31T23:00:00+00:00",
        "vintage_to": f"{year}-12-31T23:00:00+00:00",
        "serial_no": f"DE-{year}-000001",
        "serial_no_to": f"DE-{year}-000250",
        "retired_on": f"{year + 1}-02-11",
        "valid_from": f"{year}-01-01",
        "valid_to": f"{year + 1}-01-01",
    }


def reference_rows() -> dict[str, list[dict[str, str]]]:
    """Everything registered, by kind, as a file of reference data has it."""

    def entity(key: str, kind: str, country: str, /, **more: str) -> dict[str, str]:
        plain = {"entity_id": key, "organization_id": ORGANIZATION, "kind": kind}
        return {**plain, "country_iso2": country, **more}

    def owned(key: str, share: str, /, **more: str) -> dict[str, str]:
        control = {"financial_control": "yes", "operational_control": "yes"}
        plain = {"entity_id": key, "parent_id": HOLDING, "equity_share": share}
        return {**plain, **control, **more}

    def site(key: str, owner: str, country: str, zone: str, /, **more: str) -> dict[str, str]:
        plain = {"facility_id": key, "organization_id": ORGANIZATION, "entity_id": owner}
        return {**plain, "country_iso2": country, "time_zone": zone, **more}

    def meter(key: str, facility: str, /, **more: str) -> dict[str, str]:
        plain = {"meter_id": key, "facility_id": facility, "kind": "main"}
        return {**plain, "carrier": "electricity", **more}

    def vehicle(key: str, ownership: str, /, **more: str) -> dict[str, str]:
        plain = {"vehicle_id": key, "ownership": ownership, "fuel": "diesel"}
        return {**plain, "vehicle_class": "artic_hgv_over_33t", "country_iso2": "DE", **more}

    bought = ACQUIRED.isoformat()
    return {
        "entity": [
            entity(HOLDING, "parent", "DE", name="Meridian Holding"),
            entity("meridian-components", "subsidiary", "DE"),
            entity("meridian-korea", "subsidiary", "KR"),
            entity("meridian-ohio", "subsidiary", "US", valid_from=bought),
        ],
        "ownership": [
            owned("meridian-components", "100 %"),
            owned("meridian-korea", "83 %"),
            owned("meridian-ohio", "100 %", valid_from=bought),
        ],
        "site": [
            site("mer-hamburg", "meridian-components", "DE", "Europe/Berlin", market="DE"),
            site("mer-leeds", "meridian-components", "GB", "Europe/London"),
            site("mer-ulsan", "meridian-korea", "KR", "Asia/Seoul"),
            site(
                "mer-ohio",
                "meridian-ohio",
                "US",
                "America/New_York",
                region="US-OH",
                valid_from=bought,
            ),
        ],
        "meter": [
            meter("mer-hamburg.main", "mer-hamburg"),
            meter("mer-hamburg.press", "mer-hamburg", kind="sub", parent_id="mer-hamburg.main"),
            meter(
                "mer-hamburg.roof",
                "mer-hamburg",
                kind="sub",
                parent_id="mer-hamburg.main",
                carrier="solar",
            ),
            meter("mer-leeds.main", "mer-leeds"),
            meter("mer-leeds.gas", "mer-leeds", carrier="gas", unit="MWh"),
            meter("mer-ulsan.main", "mer-ulsan"),
            meter("mer-ulsan.furnace", "mer-ulsan", kind="sub", parent_id="mer-ulsan.main"),
            meter("mer-ulsan.rest", "mer-ulsan", kind="virtual", parent_id="mer-ulsan.main"),
            meter("mer-ohio.main", "mer-ohio", valid_from=bought),
        ],
        "vehicle": [
            vehicle("mer-truck-1", "own", facility_id="mer-hamburg"),
            vehicle("mer-truck-2", "own", facility_id="mer-hamburg"),
            vehicle(
                "mer-truck-3",
                "leased",
                lease_type="operating",
                operational_control="yes",
                facility_id="mer-hamburg",
            ),
            vehicle("spedition-7", "carrier", facility_id="mer-hamburg"),
        ],
        "supplier": [
            {"supplier_id": STEEL_SUPPLIER, "country_iso2": "DE", "sector": "331110"},
            {"supplier_id": "SUP_017_KR", "country_iso2": "KR", "sector": "334413"},
            {"supplier_id": "SUP_008_US", "country_iso2": "US", "sector": "333517"},
            {"supplier_id": "SUP_023_DE", "country_iso2": "DE", "sector": "541330"},
        ],
        "supplier_item": [
            {"supplier_id": STEEL_SUPPLIER, "product_id": "HRC-3MM", "item_id": "steel-coil"}
        ],
        "instrument": [*map(_certificate, YEARS), _korean_contract()],
        "spend_class": [
            {"system": "gl", "code": "627100", "naics_code": "541330", "note": "engineering"}
        ],
        "revenue": _revenues(),
        "disclosure": [one for year in YEARS for one in _disclosures(year)],
    }


# Net revenue in EUR, and what of it is of high climate impact sectors (NACE section C).
_REVENUES: Final = {2024: ("48250000.00", "41600000"), 2025: ("51730000.50", "44900000")}


def _revenues() -> list[dict[str, str]]:
    return [
        {
            "entity_id": HOLDING,
            "measure": measure,
            "amount": amount,
            "currency": "EUR",
            "valid_from": f"{year}-01-01",
            "valid_to": f"{year + 1}-01-01",
        }
        for year, amounts in _REVENUES.items()
        for measure, amount in zip(
            ("net_revenue", "net_revenue_high_climate_impact"), amounts, strict=True
        )
    ]


# What the company states for both its reports: subject, item, and a value or words.
_STATED: Final = (
    ("base_year", "2024", ""),
    ("scope_1_regulated", "EU ETS", "61.5"),
    ("energy_production_renewable", "roof", "75.25"),
    ("high_climate_impact_energy", "works", "9120.4"),
    *(
        ("category_excluded", str(number), "below one percent of scope 3 in the screening of 2024")
        for number in (5, 7, 8, 10, 11, 12, 13, 14)
    ),
    ("category_to_calculate", "6", "a survey of travel is on its way"),
    ("verification_type", "scope_1", "Limited assurance"),
    ("verification_standard", "scope_1", "ISAE 3410"),
    ("verified_pct", "scope_1", "100"),
)
_STATED_OF: Final = {
    2024: (("intensity_denominator", "tonnes of parts", "18250"),),
    2025: (
        ("target_pct", "2030", "42"),
        ("emissions_change", "Acquisitions", "655.125"),
        ("emissions_change", "Change in renewable energy consumption", "-12.5"),
        ("category_change_reason", "1", "Change in output"),
        ("intensity_denominator", "tonnes of parts", "19600"),
        ("instrument_tracking", "go-2025", "GO"),
        ("subsidiary_activity", "meridian-korea", "semiconductor parts"),
    ),
}
_FIGURES: Final = (
    *("scope_1_regulated", "energy_production_renewable", "high_climate_impact_energy"),
    *("verified_pct", "target_pct", "emissions_change", "intensity_denominator"),
)


def _disclosures(year: int) -> list[dict[str, str]]:
    return [
        {
            "organization_id": ORGANIZATION,
            "subject": subject,
            "item": item,
            **({"value" if subject in _FIGURES else "text": said} if said else {}),
            "source": f"report of the board {year}",
            "valid_from": f"{year}-01-01",
            "valid_to": f"{year + 1}-01-01",
        }
        for subject, item, said in (*_STATED, *_STATED_OF[year])
    ]


def _korean_contract() -> dict[str, str]:
    """A supplier's rate that fails a criterion: it does not say it is net of sold certificates."""
    asked = {name: value for name, value in _CERTIFICATE.items() if value == "yes"}
    return {
        "instrument_id": "tariff-ulsan",
        "kind": "supplier_rate",
        "facility_id": "mer-ulsan",
        "generation_source": "mix",
        "emission_rate_kgco2e_per_kwh": "0.3121",
        **asked,
        "is_net_of_sold_certificates": "no",
        "valid_from": BEGIN,
    }


def reference_yaml() -> str:
    """The same as a file that `carbon reference apply` takes."""
    return yaml.safe_dump(reference_rows(), sort_keys=False, allow_unicode=False)


def apply_reference(conn: Connection) -> int:
    """Records all of it; how many statements were not stored so before. `conn` is the writer's."""
    text = reference_yaml()
    applied = apply_statements(
        conn,
        parse({"demo-company.yaml": text}).stated,
        source="demo-company.yaml",
        source_sha256=hashlib.sha256(text.encode()).digest(),
    )
    return len(applied.comparison.changes)
