"""Product footprint documents of the PACT exchange, versions 2 and 3, as supplier declarations.

Belongs here: the documents' fields, what each version means by them. Does not: fetching them, what
a declaration emits (carbon_ledger.purchasing.declarations).

The versions differ in more than names. In version 3 the figures are for the declared amount as a
whole (18 kgCO2e for a bottle of 12 litres); in version 2 they are for one unit of it, and the
amount only says how much a product contains (1.5 kgCO2e per litre; PACT decision record 36).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.event_fields import moment, shown
from carbon_ledger.purchasing.declaration_rules import years_later
from carbon_ledger.purchasing.supplier_events import (
    CRADLE_TO_GATE,
    GWP_SETS,
    PRODUCT_FOOTPRINT,
    SupplierDeclarationEvent,
)
from carbon_ledger.quantities import PRODUCT, decimal_from
from carbon_ledger.units import canonical_unit

# What a footprint is valid for where it does not say: PACT technical specification 3.0.3.
DEFAULT_VALIDITY_YEARS: Final = 3

_UNITS_2: Final = (
    "liter",
    "kilogram",
    "cubic meter",
    "kilowatt hour",
    "megajoule",
    "ton kilometer",
    "square meter",
)
_UNITS_3: Final = (*_UNITS_2, "piece", "hour", "megabit second")
_REQUIRED: Final = (
    "id",
    "specVersion",
    "created",
    "status",
    "companyName",
    "companyIds",
    "productDescription",
    "productIds",
    "productNameCompany",
    "pcf",
)
_REQUIRED_2: Final = tuple(name for name in _REQUIRED if name != "status")
_PCF_REQUIRED_3: Final = (
    "declaredUnitOfMeasurement",
    "declaredUnitAmount",
    "productMassPerDeclaredUnit",
    "referencePeriodStart",
    "referencePeriodEnd",
    "pcfExcludingBiogenicUptake",
    "pcfIncludingBiogenicUptake",
    "fossilGhgEmissions",
    "fossilCarbonContent",
    "ipccCharacterizationFactors",
    "crossSectoralStandards",
    "exemptedEmissionsPercent",
)
_PCF_REQUIRED_2: Final = (
    "declaredUnit",
    "unitaryProductAmount",
    "referencePeriodStart",
    "referencePeriodEnd",
    "pCfExcludingBiogenic",
    "fossilGhgEmissions",
    "exemptedEmissionsPercent",
)
_RATINGS: Final = {
    "technological_dqr": "technologicalDQR",
    "temporal_dqr": "temporalDQR",
    "geographical_dqr": "geographicalDQR",
    "completeness_dqr": "completenessDQR",
    "reliability_dqr": "reliabilityDQR",
}
FULFILLED_EVENT: Final = "RequestFulfilledEvent"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bought:
    """What a footprint is applied to: the amount bought in a period, from goods receipts."""

    supplier_id: str
    entity_id: str
    begins: datetime
    ends: datetime
    quantity: Decimal | str | int
    unit: str
    purchase_order_lines: tuple[str, ...] = ()
    is_capital: bool = False


def read_document(text: str | bytes) -> object:
    """A JSON document with its numbers as they were written; code `not_json`."""
    try:
        return json.loads(text, parse_float=Decimal)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RejectedRecord(
            "not_json", "the document is no JSON", value=str(error), valid="a JSON document"
        ) from None


def footprints_in(document: object) -> tuple[Mapping[str, object], ...]:
    """The footprints of a document: one itself, a listing's `data`, or a fulfilled request's `pfs`.

    Raises RejectedRecord `no_footprint`. A published event names footprints without holding them.
    """
    found: object = None
    if isinstance(document, Mapping):
        data = document.get("data")
        if "pcf" in document:
            found = [document]
        elif isinstance(data, Mapping) and FULFILLED_EVENT in str(document.get("type")):
            found = data.get("pfs")
        else:
            found = data
    if isinstance(found, Sequence) and not isinstance(found, str | bytes) and found:
        footprints = tuple(one for one in found if isinstance(one, Mapping))
        if len(footprints) == len(found):
            return footprints
    raise RejectedRecord(
        "no_footprint",
        "the document holds no product footprint",
        value=document,
        valid="a ProductFootprint, a listing of them in data, or a RequestFulfilledEvent",
    )


def declaration_of(
    document: Mapping[str, object], bought: Bought, *, revision: int = 0
) -> SupplierDeclarationEvent:
    """A footprint applied to what was bought, as the event of the stream `supplier`.

    Its declaration_id is the footprint's id and the day the period begins. Raises RejectedRecord
    `unsupported_footprint_version`, `missing_field`, `unknown_unit`, `unknown_gwp_set` and codes of
    single fields. What cannot be kept apart is remarked: `land_management_not_separable` (version 2
    adds emissions and removals of land), `gwp_sets_mixed`, `validity_assumed`.
    """
    version = str(document.get("specVersion", ""))
    reader = {"2": _version_2, "3": _version_3}.get(version.partition(".")[0])
    if reader is None:
        raise RejectedRecord(
            "unsupported_footprint_version",
            f"specVersion {shown(version)} is not read here",
            field="specVersion",
            value=version,
            valid="2.x or 3.x",
        )
    _require(document, _REQUIRED if reader is _version_3 else _REQUIRED_2, "")
    pcf = document["pcf"]
    if not isinstance(pcf, Mapping):
        raise _missing("pcf")
    remarks: set[str] = set()
    read = reader(pcf, remarks)
    reference_to = moment("pcf.referencePeriodEnd", pcf["referencePeriodEnd"])
    valid_to = document.get("validityPeriodEnd")
    if valid_to is None:
        remarks.add("validity_assumed")
    return SupplierDeclarationEvent(
        declaration_id=f"{document['id']}:{bought.begins.date().isoformat()}",
        supplier_id=bought.supplier_id,
        entity_id=bought.entity_id,
        kind=PRODUCT_FOOTPRINT,
        product_id=_first(document, "productIds"),
        purchase_order_lines=bought.purchase_order_lines,
        quantity=bought.quantity,  # type: ignore[arg-type]
        quantity_unit=bought.unit,
        boundary=CRADLE_TO_GATE,
        timestamp=bought.begins,
        interval_seconds=(bought.ends - bought.begins) // timedelta(seconds=1),
        revision=revision,
        footprint_id=str(document["id"]),
        footprint_spec=version,
        footprint_status=str(document.get("status", "Active")),
        preceding_ids=_texts(document, "precedingPfIds"),
        created=moment("created", document["created"]),
        reference_from=moment("pcf.referencePeriodStart", pcf["referencePeriodStart"]),
        reference_to=reference_to,
        valid_from=_moment_of(document, "validityPeriodStart"),
        valid_to=years_later(reference_to, DEFAULT_VALIDITY_YEARS)
        if valid_to is None
        else moment("validityPeriodEnd", valid_to),
        exempted_emissions_pct=_number(pcf, "exemptedEmissionsPercent"),
        primary_data_share_pct=_number(pcf, "primaryDataShare"),
        geography_country_iso2=_country(pcf),
        is_capital=bought.is_capital,
        **read,
        **_ratings(pcf, 5 if reader is _version_3 else 3),
        remarks=tuple(sorted(remarks)),
    )


def _version_3(pcf: Mapping[str, object], remarks: set[str]) -> dict[str, Any]:
    _require(pcf, _PCF_REQUIRED_3, "pcf.")
    verification = pcf.get("verification")
    is_verified = isinstance(verification, Mapping) and any(
        verification.get(name) for name in ("providerName", "completedAt", "standardName")
    )
    return {
        "unit": _unit(pcf, "declaredUnitOfMeasurement", _UNITS_3),
        "declared_amount": _number(pcf, "declaredUnitAmount"),
        "product_mass_kg": _number(pcf, "productMassPerDeclaredUnit") or None,
        "kgco2e_per_unit": _number(pcf, "pcfExcludingBiogenicUptake"),
        "including_kgco2e_per_unit": _number(pcf, "pcfIncludingBiogenicUptake"),
        "fossil_kgco2e_per_unit": _number(pcf, "fossilGhgEmissions"),
        "land_use_kgco2e_per_unit": _number(pcf, "landUseChangeGhgEmissions"),
        "biogenic_non_co2_kgco2e_per_unit": _number(pcf, "biogenicNonCO2Emissions"),
        "biogenic_co2_kg_per_unit": _number(pcf, "landManagementBiogenicCO2Emissions"),
        "uptake_kgco2e_per_unit": _number(pcf, "biogenicCO2Uptake"),
        "removals_kgco2e_per_unit": _total(
            pcf,
            "landManagementBiogenicCO2Removals",
            "technologicalCO2Removals",
            "ccsTechnologicalCO2Capture",
        ),
        "outbound_logistics_kgco2e_per_unit": _number(pcf, "outboundLogisticsGhgEmissions"),
        "gwp_set": _gwp_set(_texts(pcf, "ipccCharacterizationFactors"), remarks),
        "assurance": "verified" if is_verified else "none",
    }


def _version_2(pcf: Mapping[str, object], remarks: set[str]) -> dict[str, Any]:
    """Figures are for one declared unit, whatever a product contains of it."""
    _require(pcf, _PCF_REQUIRED_2, "pcf.")
    land = _number(pcf, "landManagementGhgEmissions")
    land_use = _number(pcf, "dLucGhgEmissions")
    if land is not None and land:
        # Emissions and removals of land in one figure: what is above zero is at least emitted.
        remarks.add("land_management_not_separable")
        if land > 0:
            land_use = land if land_use is None else PRODUCT.add(land_use, land)
    sets = _texts(pcf, "ipccCharacterizationFactorsSources") or _texts(
        pcf, "characterizationFactors"
    )
    assurance = pcf.get("assurance")
    level = assurance.get("level") if isinstance(assurance, Mapping) else None
    has_assurance = isinstance(assurance, Mapping) and assurance.get("assurance", True) is True
    return {
        "unit": _unit(pcf, "declaredUnit", _UNITS_3),
        "declared_amount": None,
        "product_mass_kg": _number(pcf, "productMassPerDeclaredUnit") or None,
        "kgco2e_per_unit": _number(pcf, "pCfExcludingBiogenic"),
        "including_kgco2e_per_unit": None,
        "fossil_kgco2e_per_unit": _number(pcf, "fossilGhgEmissions"),
        "land_use_kgco2e_per_unit": land_use,
        "biogenic_non_co2_kgco2e_per_unit": _number(pcf, "otherBiogenicGhgEmissions"),
        "uptake_kgco2e_per_unit": _number(pcf, "biogenicCarbonWithdrawal"),
        "gwp_set": _gwp_set(sets, remarks),
        "assurance": (level or "verified") if has_assurance else "none",
    }


# ---- single fields


def _missing(path: str) -> RejectedRecord:
    return RejectedRecord(
        "missing_field",
        f"{path} is missing from the footprint",
        field=path,
        valid="a value: the specification requires it",
    )


def _require(fields: Mapping[str, object], names: Sequence[str], prefix: str) -> None:
    for name in names:
        if fields.get(name) in (None, "", [], ()):
            raise _missing(prefix + name)


def _number(pcf: Mapping[str, object], name: str) -> Decimal | None:
    value = pcf.get(name)
    return None if value is None else decimal_from(value, field=f"pcf.{name}")


def _total(pcf: Mapping[str, object], *names: str) -> Decimal | None:
    known = [value for name in names if (value := _number(pcf, name)) is not None]
    if not known:
        return None
    total = Decimal(0)
    for value in known:
        total = PRODUCT.add(total, value)
    return total


def _unit(pcf: Mapping[str, object], name: str, units: Sequence[str]) -> str:
    value = pcf[name]
    if value not in units:
        raise RejectedRecord(
            "unknown_unit",
            f"pcf.{name}: {shown(value)} is no declared unit",
            field=f"pcf.{name}",
            value=value,
            valid=", ".join(units),
        )
    return canonical_unit(value)


def _texts(fields: Mapping[str, object], name: str) -> tuple[str, ...]:
    value = fields.get(name)
    if isinstance(value, str):
        return (value,)
    return tuple(str(one) for one in value) if isinstance(value, list | tuple) else ()


def _first(fields: Mapping[str, object], name: str) -> str | None:
    found = _texts(fields, name)
    return found[0] if found else None


def _moment_of(fields: Mapping[str, object], name: str) -> datetime | None:
    value = fields.get(name)
    return None if value is None else moment(name, value)


def _country(pcf: Mapping[str, object]) -> str | None:
    value = pcf.get("geographyCountry")
    if value is None and isinstance(pcf.get("geographyCountrySubdivision"), str):
        value = str(pcf["geographyCountrySubdivision"]).partition("-")[0]
    return None if value is None else str(value)


def _gwp_set(named: Sequence[str], remarks: set[str]) -> str:
    """The oldest of the sets a footprint was made with."""
    for one in named:
        if one not in GWP_SETS:
            raise RejectedRecord(
                "unknown_gwp_set",
                f"{shown(one)} is no set of global warming potentials",
                field="pcf.ipccCharacterizationFactors",
                value=one,
                valid=", ".join(GWP_SETS),
            )
    if not named:
        raise _missing("pcf.ipccCharacterizationFactors")
    if len(set(named)) > 1:
        remarks.add("gwp_sets_mixed")
    return min(named, key=GWP_SETS.index)


def _ratings(pcf: Mapping[str, object], scale: int) -> dict[str, Any]:
    dqi = pcf.get("dqi")
    if not isinstance(dqi, Mapping):
        return {}
    ratings = {
        ours: decimal_from(value, field=f"pcf.dqi.{theirs}")
        for ours, theirs in _RATINGS.items()
        if (value := dqi.get(theirs)) is not None
    }
    return {"dqr_scale": scale, **ratings} if ratings else {}
