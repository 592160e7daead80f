"""Answers of carriers and telematics in their published shapes, for tests: right ones, changed in
the point a test is about. Names, numbers and places are made up.
"""

from __future__ import annotations

from typing import Any

DHL_STAMPS = {
    "pre-transit": "2025-03-03T08:00:00+01:00",
    "transit": "2025-03-03T18:00:00+01:00",
    "delivered": "2025-03-05T10:30:00-05:00",
}


def dhl_shipment(number: str, state: str = "delivered", **changes: Any) -> dict[str, Any]:
    """One shipment of a DHL answer, with its events up to `state`, newest first."""
    order = list(DHL_STAMPS)
    states = order[: order.index(state) + 1] if state in order else order[:2]
    events = [
        {
            "timestamp": DHL_STAMPS[one],
            "statusCode": one,
            "description": "made up",
            "location": {"address": {"countryCode": "DE", "addressLocality": "Leipzig"}},
        }
        for one in reversed(states)
    ]
    plain: dict[str, Any] = {
        "id": number,
        "service": "express",
        "origin": {"address": {"countryCode": "DE", "addressLocality": "LEIPZIG"}},
        "destination": {"address": {"countryCode": "US", "postalCode": "10001"}},
        "status": {"timestamp": events[0]["timestamp"], "statusCode": state, "status": "made up"},
        "details": {
            "carrier": {"organizationName": "DHL Express"},
            "receiver": {"name": "somebody"},
            "totalNumberOfPieces": 1,
            "weight": {"value": 253.5, "unitText": "kg"},
            "volume": {"value": 12600},
        },
        "events": events,
    }
    return {**plain, **changes}


def dhl_answer(*shipments: dict[str, Any], next_url: str | None = None) -> dict[str, Any]:
    """A page of the tracking answer."""
    links = {} if next_url is None else {"nextUrl": next_url}
    return {"url": "/shipments", **links, "shipments": list(shipments)}


def fedex_result(number: str, code: str = "DL", **changes: Any) -> dict[str, Any]:
    """One track result of a FedEx answer."""
    plain: dict[str, Any] = {
        "trackingNumberInfo": {
            "trackingNumber": number,
            "trackingNumberUniqueId": f"2460{number}~FX",
            "carrierCode": "FDXE",
        },
        "shipperInformation": {"address": {"city": "MEMPHIS", "countryCode": "US"}},
        "recipientInformation": {"address": {"city": "TORONTO", "countryCode": "CA"}},
        "latestStatusDetail": {"code": code, "derivedCode": code, "statusByLocale": "made up"},
        "dateAndTimes": [
            {"type": "ACTUAL_DELIVERY", "dateTime": "2025-03-05T11:00:00-05:00"},
            {"type": "ACTUAL_PICKUP", "dateTime": "2025-03-03T17:00:00-06:00"},
            {"type": "SHIP", "dateTime": "2025-03-03T00:00:00-06:00"},
        ],
        "packageDetails": {
            "count": "1",
            "weightAndDimensions": {
                "weight": [{"value": "22.0", "unit": "LB"}, {"value": "9.98", "unit": "KG"}]
            },
        },
        "scanEvents": [
            {"date": "2025-03-05T11:00:00-05:00", "eventType": "DL"},
            {"date": "2025-03-03T17:00:00-06:00", "eventType": "PU"},
        ],
        "serviceDetail": {"type": "INTERNATIONAL_PRIORITY", "description": "made up"},
    }
    return {**plain, **changes}


def fedex_answer(*results: dict[str, Any]) -> dict[str, Any]:
    """The answer for one tracking number, which may have several results."""
    number = results[0]["trackingNumberInfo"]["trackingNumber"] if results else "0"
    return {
        "transactionId": "made-up",
        "output": {
            "completeTrackResults": [{"trackingNumber": number, "trackResults": list(results)}]
        },
    }


def samsara_trip(start_ms: int, minutes: int = 60, **changes: Any) -> dict[str, Any]:
    """One trip of a Samsara answer: 42.5 km and 11.25 litres."""
    plain: dict[str, Any] = {
        "startMs": start_ms,
        "endMs": start_ms + minutes * 60_000,
        "distanceMeters": 42_500,
        "fuelConsumedMl": 11_250,
        "tollMeters": 0,
        "startOdometer": 210_430_450,
        "endOdometer": 210_472_950,
        "driverId": 719,
        "startLocation": "somewhere",
        "endCoordinates": {"latitude": 51.5, "longitude": -0.1},
    }
    return {**plain, **changes}
