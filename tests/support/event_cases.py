"""Events of every stream, by the fields of their schemas: cases any way of computing agrees on.

Belongs here: the table. Does not: what comes out of it (the pure calculators say so).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import fastavro

from carbon_ledger.calculation import EVENT_KINDS, calculate
from carbon_ledger.data_quality import Scores
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.inventory import Inventory
from carbon_ledger.lines import EmissionLine
from carbon_ledger.reference.records import Site, SpendClass, Vehicle
from carbon_ledger.reference.register import Register
from factor_seeds.load import shipped_book
from pipeline.serialization import widest_schema_text
from spark.decode import parsed_schema

RECORDS: Final = (
    Site(facility_id="KR-1", organization_id="acme", country_iso2="KR", time_zone="Asia/Seoul"),
    Site(
        facility_id="US-1",
        organization_id="acme",
        country_iso2="US",
        region="US-CA",
        time_zone="America/Los_Angeles",
    ),
    Site(facility_id="GB-1", organization_id="acme", country_iso2="GB", time_zone="Europe/London"),
    Vehicle(vehicle_id="V-OWN", vehicle_class="artic_hgv_over_33t", fuel="diesel", ownership="own"),
    SpendClass(system="gl", code="400100", naics_code="331110"),
)
REGISTER: Final = Register(records=RECORDS)
NOW: Final = datetime(2026, 6, 1, tzinfo=UTC)
INVENTORY: Final = Inventory(book=shipped_book(), now=NOW, register=REGISTER)

_READING: Final[dict[str, Any]] = {
    "sensor_id": "M1",
    "facility_id": "GB-1",
    "country_iso2": "GB",
    "energy_kwh": "1247.331",
    "energy_source": "grid",
    "timestamp": "2025-03-30T00:30:00Z",
    "interval_seconds": 900,
}
_TRIP: Final[dict[str, Any]] = {
    "vehicle_id": "V-OWN",
    "trip_id": "T1",
    "country_iso2": "GB",
    "vehicle_class": "artic_hgv_over_33t",
    "timestamp": "2025-05-02T06:00:00Z",
    "interval_seconds": 7200,
}
_LEG: Final[dict[str, Any]] = {
    "shipment_id": "S1",
    "leg_id": "1",
    "status": "delivered",
    "mode": "road",
    "origin": "DEHAM",
    "destination": "ATVIE",
    "mass_kg": "12400",
    "distance_km": "1093.7",
    "distance_kind": "shortest_feasible",
    "payer": "reporter",
    "timestamp": "2025-05-02T06:00:00Z",
    "interval_seconds": 86400,
}
_ORDER: Final[dict[str, Any]] = {
    "purchase_order_id": "PO-1",
    "document_id": "INV-1",
    "document_kind": "invoice",
    "line_no": 1,
    "entity_id": "acme-gmbh",
    "supplier_id": "SUP-1",
    "supplier_country_iso2": "DE",
    "classification": "naics:331110",
    "amount_net": "12345.67",
    "currency": "EUR",
    "timestamp": "2024-05-01T00:00:00Z",
    "interval_seconds": 0,
}
_DECLARATION: Final[dict[str, Any]] = {
    "declaration_id": "PCF-1",
    "supplier_id": "SUP-1",
    "entity_id": "acme-gmbh",
    "kind": "product_footprint",
    "product_id": "steel-coil",
    "quantity": "20400.5",
    "unit": "kg",
    "kgco2e_per_unit": "1.874321",
    "boundary": "cradle_to_gate",
    "gwp_set": "AR6",
    "timestamp": "2025-04-01T00:00:00Z",
    "interval_seconds": 2592000,
}
_PRODUCTION: Final[dict[str, Any]] = {
    **{name: value for name, value in _DECLARATION.items() if name != "kgco2e_per_unit"},
    "kind": "site_production",
    "production_site_id": "SUP-1.works",
    "quantity": "120",
    "produced_quantity": "900",
    "unit": "t",
    "scope1_kgco2e": "410200.5",
    "scope2_location_kgco2e": "98000",
    "upstream_kgco2e": "700001",
    "electricity_kwh": "310000",
    "geography_country_iso2": "DE",
}
_GAS: Final = (
    '{"family":"fuel","quantity":"20000","selectors":{"fuel":"Natural gas","fuel_group":'
    '"Gaseous fuels","stage":"combustion"},"unit":"m3"}'
)
_ACTIVITY: Final[dict[str, Any]] = {
    "activity_id": "W-1",
    "template": "waste",
    "entity_id": "acme-gmbh",
    "quantity": "12.75",
    "unit": "t",
    "fields": '{"activity_type":"waste_treatment","factor":{"kgco2e":"21.28","per":"t"},'
    '"facts":{"operator":"third_party"},"formula":"S3-5-WASTE-TYPE","kind":"waste"}',
    "timestamp": "2025-01-01T00:00:00Z",
    "interval_seconds": 2678400,
    "submission_id": "A-1",
    "approval_id": "A-1.1",
    "file_sha256": "0123456789abcdef" * 4,
    "file_line": 2,
}

_CHANGES: Final[dict[str, tuple[dict[str, Any], list[dict[str, Any]]]]] = {
    "iot_energy": (
        _READING,
        [
            {},
            {"facility_id": "KR-1", "country_iso2": "KR", "timestamp": "2024-12-31T15:30:00Z"},
            {"facility_id": "US-1", "country_iso2": "US", "timestamp": "2025-01-01T07:59:59Z"},
            {"facility_id": "UNKNOWN", "country_iso2": "DE", "energy_source": "solar"},
            {"grid_carbon_intensity_gco2_kwh": "187.25", "energy_kwh": "0"},
            {"country_iso2": "AU", "facility_id": "X", "region": "AU-NSW"},
            {
                "meter_kind": "gas",
                "energy_kwh": "0",
                "quantity": "310.5",
                "unit": "m3",
                "scope": 1,
                "calorific_value": "39.5",
                "calorific_unit": "MJ/m3",
                "heating_value": "gross",
            },
            {"meter_kind": "heat", "energy_kwh": "0", "quantity": "1.75", "unit": "GJ"},
            {"meter_kind": "solar", "energy_source": "solar", "energy_kwh": "88.1"},
            {
                "register_start": "99990.5",
                "register_end": "12.25",
                "register_size": "100000",
                "unit": "kWh",
                "energy_kwh": "0",
            },
            {"country_iso2": "AQ", "facility_id": "X"},
        ],
    ),
    "transport": (
        _TRIP,
        [
            {"fuel_type": "diesel", "fuel_litres": "52.3", "distance_km": "160"},
            {"fuel_type": "diesel", "distance_km": "160"},
            {"vehicle_id": "V9", "operator": "carrier", "fuel_type": "diesel", "fuel_litres": "33"},
            {
                "vehicle_id": "V9",
                "operator": "customer_carrier",
                "distance_km": "91.4",
                "fuel_type": "diesel",
            },
            {
                "vehicle_id": "V8",
                "operator": "employee",
                "vehicle_class": "car_average",
                "fuel_type": "petrol",
                "distance_km": "41",
            },
            {
                "vehicle_id": "V7",
                "operator": "own",
                "vehicle_class": "van_average",
                "fuel_type": "electricity",
                "energy_kwh": "18.4",
            },
            {"vehicle_id": "V6", "operator": "own", "fuel_type": "coal", "fuel_litres": "1"},
            {"vehicle_id": "V6", "operator": "own"},
        ],
    ),
    "logistics": (
        _LEG,
        [
            {},
            {"status": "departed"},
            {"payer": "customer", "leg_id": "2"},
            {"mode": "rail", "leg_id": "3", "mass_kg": "87", "distance_km": "423"},
            {"mode": "air", "leg_id": "4", "distance_km": "5500", "distance_kind": "great_circle"},
            {"mode": "sea", "leg_id": "5", "distance_km": "10250"},
            {
                "co2e_wtw_kg": "812.004",
                "co2e_ttw_kg": "655.1",
                "data_level": "primary",
                "leg_id": "6",
            },
            {"mass_kg": None, "leg_id": "7"},
            {"distance_km": None, "distance_kind": None, "leg_id": "8"},
        ],
    ),
    "procurement": (
        _ORDER,
        [
            {},
            {"document_kind": "purchase_order", "document_id": "O-1"},
            {"is_capital": True, "document_id": "INV-2"},
            {"is_intra_group": True, "document_id": "INV-3"},
            {"classification": "gl:400100", "currency": "USD", "document_id": "INV-4"},
            {"classification": "unspsc:99999999", "document_id": "INV-5"},
            {"currency": "XXX", "document_id": "INV-6"},
            {"amount_net": "-50.25", "document_kind": "credit_note", "document_id": "C-1"},
            {"classification": "naics:221122", "document_id": "INV-7"},
        ],
    ),
    "supplier": (
        _DECLARATION,
        [
            {},
            {
                "fossil_kgco2e_per_unit": "1.7",
                "land_use_kgco2e_per_unit": "0.1",
                "biogenic_non_co2_kgco2e_per_unit": "0.05",
                "declaration_id": "PCF-2",
            },
            {"gwp_set": "AR4", "declaration_id": "PCF-3"},
            {"boundary": "gate_to_gate", "declaration_id": "PCF-4"},
            {
                "kind": "allocated_total",
                "scope1_kgco2e": "1200",
                "scope2_location_kgco2e": "300.5",
                "upstream_kgco2e": "9000",
                "product_id": None,
                "kgco2e_per_unit": None,
                "allocation_method": "mass",
                "declaration_id": "T-1",
            },
            {"unit": "furlong", "declaration_id": "PCF-5"},
        ],
    ),
    "activities": (
        _ACTIVITY,
        [
            {},
            {"activity_id": "W-2", "facility_id": "KR-1", "country_iso2": "KR"},
            {
                "activity_id": "R-1",
                "template": "refrigerants",
                "quantity": "2.5",
                "unit": "kg",
                "fields": '{"activity_type":"fugitive_emission",'
                '"factor":{"gases":{"HFC-134a":"1"},"per":"kg"},"facts":{"held_as":"own"}}',
            },
            {
                "activity_id": "I-1",
                "template": "investments",
                "quantity": "1000",
                "unit": "tCO2e",
                "fields": '{"activity_type":"investment","facts":{"controlled":"no"},'
                '"formula":"S3-15-INVESTMENT","investment_share":"1/3"}',
            },
            {"activity_id": "W-3", "fields": '{"formula":"S3-5-WASTE-TYPE"}'},
        ],
    ),
}

# What a supplier's site reports of its production.
_REPORTS: Final[list[dict[str, Any]]] = [
    {"declaration_id": "SITE-1"},
    {
        "declaration_id": "SITE-2",
        "upstream_kgco2e": None,
        "upstream_inputs": [
            '{"family":"material","quantity":"500","selectors":{"item":"Metal: steel cans",'
            '"treatment":"Primary material production"},"unit":"kg"}'
        ],
    },
    {
        "declaration_id": "SITE-3",
        "scope1_kgco2e": None,
        "scope2_location_kgco2e": None,
        "fuels": [_GAS],
        "is_capital": True,
        "allocated_kgco2e": "1",
    },
    {
        "declaration_id": "SITE-4",
        "scope2_location_kgco2e": None,
        "geography_country_iso2": None,
    },
    {"declaration_id": "SITE-5", "allocated_kgco2e": "99999"},
    {"declaration_id": "SITE-6", "gwp_set": "AR4"},
    {"declaration_id": "SITE-7", "quantity": "900.5"},
]

# stream, and the fields of an event as a JSON object has them.
CASES: Final[list[tuple[str, dict[str, Any]]]] = [
    (stream, {**base, **change})
    for stream, (base, changes) in _CHANGES.items()
    for change in changes
] + [("supplier", {**_PRODUCTION, **change}) for change in _REPORTS]


def outcome(stream: str, fields: dict[str, Any]) -> list[tuple[Any, ...]] | str:
    """The pure calculator's answer: its lines as `said_of_row` says them, or a refusal's code."""
    try:
        lines = calculate({"event": stream, **fields}, INVENTORY)
    except RejectedRecord as refusal:
        return refusal.code
    return [
        (
            number,
            line.assignment.scope,
            line.assignment.category,
            line.basis,
            line.activity_type,
            line.quantity,
            line.unit,
            f"{line.kgco2e:f}",
            line.gwp_set,
            line.gas_split,
            *(_kg(line, gas) for gas in ("CO2", "CO2_biogenic", "N2O")),
            line.working.formula.formula_id,
            (line.method, line.assignment.rule, line.rank, line.primary_share),
            *(_scores(scores) for scores in (line.activity_scores, line.factor_scores)),
            None if line.factor is None else line.factor.factor.factor_id,
        )
        for number, line in enumerate(lines, start=1)
    ]


def _scores(scores: Scores | None) -> str | None:
    return None if scores is None else ",".join(map(str, scores.as_tuple()))


def _kg(line: EmissionLine, gas: str) -> str | None:
    kg = line.gases.get(gas)
    return None if kg is None else f"{kg:f}"


def said_of_row(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """The same of a line as the micro-batch posts it, or as the ledger has it; numbers as text."""

    def text(name: str) -> str | None:
        value = row[name]
        return None if value is None else f"{Decimal(value):f}"

    factor_id = str(row["factor_id"])
    return (
        int(row["line_no"]),
        int(row["scope"]),
        None if row["category"] is None else int(row["category"]),
        row["basis"],
        row["activity_type"],
        Decimal(row["quantity"]),
        row["unit"],
        text("kgco2e"),
        row["gwp_set"],
        row["gas_split"],
        text("kg_co2_fossil"),
        text("kg_co2_biogenic"),
        text("kg_n2o"),
        row["formula_id"],
        (
            *(row["method"], row["rule_id"]),
            *(int(row["supersession_rank"]), Decimal(row["primary_share"])),
        ),
        row["activity_scores"],
        row["factor_scores"],
        None if factor_id.startswith("stated:") else factor_id,
    )


def framed(stream: str, fields: dict[str, Any], schema_id: int) -> bytes:
    """The record a producer would send: the event encoded with the stream's schema, framed."""
    values = EVENT_KINDS[stream].class_of(fields)(**fields).to_avro_fields()
    body = io.BytesIO()
    fastavro.schemaless_writer(body, parsed_schema(widest_schema_text(stream)), values)
    return bytes([0]) + schema_id.to_bytes(4, "big") + body.getvalue()


def sendable() -> list[tuple[str, dict[str, Any]]]:
    """The cases that can be encoded; a producer refuses the others before they are sent."""
    found = []
    for stream, fields in CASES:
        try:
            framed(stream, fields, 1)
        except (RejectedRecord, ValueError, TypeError, AttributeError):
            continue
        found.append((stream, fields))
    return found
