"""Reference records that are right, each to be changed by a test in the one point it is about."""

from __future__ import annotations

from typing import Any

from carbon_ledger.reference.instruments import Instrument
from carbon_ledger.reference.records import Entity, Meter, Ownership, Site, Supplier, Vehicle


def entity(entity_id: str = "acme", **changes: Any) -> Entity:
    return Entity(
        **{"entity_id": entity_id, "organization_id": "acme", "kind": "parent", **changes}
    )


def ownership(entity_id: str, parent_id: str = "acme", **changes: Any) -> Ownership:
    plain = {"equity_share": "1", "financial_control": "yes", "operational_control": "yes"}
    return Ownership(**{"entity_id": entity_id, "parent_id": parent_id, **plain, **changes})


def site(facility_id: str = "plant", **changes: Any) -> Site:
    plain = {"organization_id": "acme", "country_iso2": "DE", "time_zone": "Europe/Berlin"}
    return Site(**{"facility_id": facility_id, **plain, **changes})


def meter(meter_id: str = "main", parent_id: str | None = None, **changes: Any) -> Meter:
    plain = {
        "facility_id": "plant",
        "kind": "main" if parent_id is None else "sub",
        "carrier": "electricity",
        "parent_id": parent_id,
    }
    return Meter(**{"meter_id": meter_id, **plain, **changes})


def vehicle(**changes: Any) -> Vehicle:
    return Vehicle(**{"vehicle_id": "v1", "ownership": "own", "vehicle_class": "van", **changes})


def supplier(supplier_id: str = "s1", **changes: Any) -> Supplier:
    return Supplier(**{"supplier_id": supplier_id, "country_iso2": "FR", **changes})


def certificate(instrument_id: str = "c1", **changes: Any) -> Instrument:
    plain = {
        "kind": "certificate_unbundled",
        "market": "DE",
        "generation_source": "wind",
        "emission_rate_kgco2e_per_kwh": "0",
        "volume_kwh": "1000",
        "vintage_from": "2024-01-01",
        "vintage_to": "2025-01-01",
        "serial_no": "A-1",
        "retirement": "retired",
        "retired_on": "2025-02-01",
        "retirement_evidence": "statement 7",
        "conveys_emission_rate": True,
        "is_only_claim": True,
        "is_tracked_and_retired": True,
        "has_close_vintage": True,
        "is_of_same_market": True,
        "has_residual_mix_or_discloses": True,
        "valid_from": "2024-01-01",
        "valid_to": "2025-01-01",
    }
    return Instrument(**{"instrument_id": instrument_id, **plain, **changes})


def residual_mix(kgco2e_per_kwh: str) -> Instrument:
    """What is left of the German grid's power once every certificate is claimed."""
    return certificate(
        "mix-de",
        kind="residual_mix",
        emission_rate_kgco2e_per_kwh=kgco2e_per_kwh,
        generation_source="grid",
        volume_kwh=None,
        serial_no=None,
        vintage_from=None,
        vintage_to=None,
        retirement="none",
        retired_on=None,
        retirement_evidence="",
        is_tracked_and_retired=False,
    )
