"""Events of the PACT exchange, version 3, in their published shape."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

TYPES = "org.wbcsd.pact.ProductFootprint."
PRODUCT = "urn:gtin:4712345060507"


def footprint(**pcf: Any) -> dict[str, Any]:
    """A footprint of version 3: 1.5 kgCO2e per litre; `pcf` are changes of its figures."""
    return {
        "id": str(uuid4()),
        "specVersion": "3.0.3",
        "created": "2024-02-01T10:00:00Z",
        "status": "Active",
        "companyName": "Example Brewery",
        "companyIds": ["urn:example:company:1"],
        "productDescription": "bio-ethanol",
        "productIds": [PRODUCT],
        "productNameCompany": "bio-ethanol 98 %",
        "pcf": {
            "declaredUnitOfMeasurement": "liter",
            "declaredUnitAmount": "1",
            "productMassPerDeclaredUnit": "0.789",
            "referencePeriodStart": "2023-01-01T00:00:00Z",
            "referencePeriodEnd": "2024-01-01T00:00:00Z",
            "geographyCountry": "DE",
            "pcfExcludingBiogenicUptake": "1.5",
            "pcfIncludingBiogenicUptake": "1.5",
            "fossilGhgEmissions": "1.5",
            "fossilCarbonContent": "0",
            "ipccCharacterizationFactors": ["AR6"],
            "crossSectoralStandards": ["ISO14067"],
            "exemptedEmissionsPercent": "1.5",
            "primaryDataShare": "56.12",
            **pcf,
        },
    }


def event(kind: str, data: dict[str, Any], /, **changes: Any) -> bytes:
    """An event such as `RequestFulfilledEvent.3`, as it is sent."""
    content = {
        "type": f"{TYPES}{kind}",
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "//api.example.com/3/events",
        "time": "2025-03-05T17:31:00Z",
        "data": data,
        **changes,
    }
    return json.dumps(content).encode()


def fulfilled(request_id: str, *footprints: dict[str, Any], **changes: Any) -> bytes:
    """The answer to a request, with these footprints, or with one."""
    data = {"requestEventId": request_id, "pfs": list(footprints) or [footprint()]}
    return event("RequestFulfilledEvent.3", data, **changes)


def request_file(supplier_of: dict[str, str]) -> str:
    """The file of requests: id to supplier; 24 litres in May 2024 each."""
    requests = {
        request_id: {
            "supplier_id": supplier,
            "entity_id": "acme-de",
            "begins": "2024-05-01T00:00:00Z",
            "ends": "2024-06-01T00:00:00Z",
            "quantity": "24",
            "unit": "L",
            "purchase_order_lines": ["PO-1/1"],
        }
        for request_id, supplier in supplier_of.items()
    }
    return json.dumps({"requests": requests})
