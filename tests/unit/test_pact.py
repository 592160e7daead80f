"""PACT documents of versions 2 and 3: one product in both, required fields, remarks."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.purchasing.declarations import lines_of_declaration
from carbon_ledger.purchasing.pact import Bought, declaration_of, footprints_in, read_document
from tests.support.purchase_examples import NOW, inventory_of, spend_factor

INVENTORY = inventory_of([spend_factor("331110", "0.8")])
FOOTPRINT_ID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
MAY = Bought(
    supplier_id="brewery",
    entity_id="acme-de",
    begins=datetime(2024, 5, 1, tzinfo=UTC),
    ends=datetime(2024, 6, 1, tzinfo=UTC),
    quantity="24",
    unit="L",
)
HEAD = {
    "id": FOOTPRINT_ID,
    "created": "2024-02-01T10:00:00Z",
    "status": "Active",
    "companyName": "Example Brewery",
    "companyIds": ["urn:example:company:1"],
    "productDescription": "bio-ethanol, bottle of 12 litres",
    "productIds": ["urn:gtin:4712345060507"],
    "productNameCompany": "bio-ethanol 98 %",
}
# A bottle of 12 litres with 18 kgCO2e, once as version 3 says it, once as version 2 does.
V3 = {
    **HEAD,
    "specVersion": "3.0.3",
    "pcf": {
        "declaredUnitOfMeasurement": "liter",
        "declaredUnitAmount": "12",
        "productMassPerDeclaredUnit": "9.468",
        "referencePeriodStart": "2023-01-01T00:00:00Z",
        "referencePeriodEnd": "2024-01-01T00:00:00Z",
        "geographyCountry": "DE",
        "pcfExcludingBiogenicUptake": "18.6",
        "pcfIncludingBiogenicUptake": "3.6",
        "fossilGhgEmissions": "16",
        "fossilCarbonContent": "0",
        "landUseChangeGhgEmissions": "1.5",
        "biogenicNonCO2Emissions": "0.5",
        "landManagementBiogenicCO2Emissions": "1",
        "landManagementBiogenicCO2Removals": "-0.3",
        "technologicalCO2Removals": "-0.1",
        "biogenicCO2Uptake": "-15",
        "ipccCharacterizationFactors": ["AR6"],
        "crossSectoralStandards": ["ISO14067"],
        "exemptedEmissionsPercent": "1.5",
        "primaryDataShare": "56.12",
        "dqi": {"technologicalDQR": "1.0", "temporalDQR": "2.2", "geographicalDQR": "5"},
    },
}
V2 = {
    **HEAD,
    "specVersion": "2.3.0",
    "pcf": {
        "declaredUnit": "liter",
        "unitaryProductAmount": "12",
        "referencePeriodStart": "2023-01-01T00:00:00Z",
        "referencePeriodEnd": "2024-01-01T00:00:00Z",
        "pCfExcludingBiogenic": "1.4",
        "fossilGhgEmissions": "1.375",
        "dLucGhgEmissions": "0.1",
        "otherBiogenicGhgEmissions": "0.025",
        "ipccCharacterizationFactorsSources": ["AR5"],
        "exemptedEmissionsPercent": 1.5,
        "primaryDataShare": 56.12,
        "dqi": {"coveragePercent": 100, "technologicalDQR": 1.0, "reliabilityDQR": 2.0},
        "assurance": {"assurance": True, "level": "limited", "providerName": "Example Assurance"},
    },
}


def with_changes(document: dict[str, Any], pcf: dict[str, Any], **changes: Any) -> dict[str, Any]:
    found = deepcopy({**document, **changes})
    found["pcf"].update(pcf)
    found["pcf"] = {name: value for name, value in found["pcf"].items() if value is not None}
    return {name: value for name, value in found.items() if value is not None}


def kg_of(document: dict[str, Any], bought: Bought = MAY) -> Decimal:
    return lines_of_declaration(declaration_of(document, bought), INVENTORY)[0].kgco2e


def test_one_bottle_is_the_same_in_both_versions() -> None:
    """Version 3 figures are for 12 litres, version 2 figures for one: 2 bottles are 36 kg."""
    assert kg_of(V3) == kg_of(V2) == Decimal(36)


def test_version_3_keeps_gross_memo_and_removals_apart() -> None:
    event = declaration_of(V3, MAY)
    event.check(NOW)
    (line,) = lines_of_declaration(event, INVENTORY)
    assert line.gases.get("CO2_biogenic") == Decimal(2)
    assert event.removals_kgco2e_per_unit == Decimal("-0.4")
    assert line.primary_share == Decimal("0.5612")
    assert line.factor_scores is not None
    assert line.factor_scores.as_tuple() == (1, 3, 4, 2, 2)
    assert line.rank == 5
    assert set(line.flags) == {"removals_not_netted", "validity_assumed"}
    assert event.valid_to == datetime(2027, 1, 1, tzinfo=UTC)
    assert event.declaration_id == f"{FOOTPRINT_ID}:2024-05-01"
    assert event.product_id == "urn:gtin:4712345060507"


def test_version_2_has_three_ratings_levels_and_an_assurance() -> None:
    event = declaration_of(V2, MAY)
    (line,) = lines_of_declaration(event, INVENTORY)
    assert (event.dqr_scale, event.assurance, line.rank) == (3, "limited", 6)
    assert line.gwp_set == "AR5"
    assert "gwp_set_embedded" in line.flags
    # Version 2 leaves every biogenic emission out of its sum, so the parts need not make it.
    assert "composition_mismatch" not in line.flags


@pytest.mark.parametrize(
    ("pcf", "country"),
    [
        ({}, "DE"),
        ({"geographyCountrySubdivision": "FR-IDF"}, "DE"),
        ({"geographyCountry": None, "geographyCountrySubdivision": "FR-IDF"}, "FR"),
        ({"geographyCountry": None}, None),
    ],
)
def test_a_footprint_is_of_its_country_or_of_that_of_its_subdivision(
    pcf: dict[str, Any], country: str | None
) -> None:
    assert declaration_of(with_changes(V3, pcf), MAY).geography_country_iso2 == country


def test_bought_by_mass_the_products_mass_converts_in_both_versions() -> None:
    by_mass = Bought(**{**_fields(MAY), "quantity": "18.936", "unit": "kg"})
    assert kg_of(V3, by_mass) == Decimal(36)
    two = with_changes(V2, {"productMassPerDeclaredUnit": "0.789"})
    assert kg_of(two, by_mass) == Decimal(36)


def _fields(bought: Bought) -> dict[str, Any]:
    return {name: getattr(bought, name) for name in Bought.__dataclass_fields__}


@pytest.mark.parametrize(
    ("flag", "document"),
    [
        ("composition_mismatch", with_changes(V3, {"pcfExcludingBiogenicUptake": "18.7"})),
        ("composition_mismatch", with_changes(V3, {"pcfIncludingBiogenicUptake": "3.5"})),
        ("biogenic_not_separable", with_changes(V3, {"landUseChangeGhgEmissions": None})),
        ("biogenic_not_separable", with_changes(V2, {"otherBiogenicGhgEmissions": None})),
        ("land_management_not_separable", with_changes(V2, {"landManagementGhgEmissions": "-1"})),
        ("gwp_sets_mixed", with_changes(V3, {"ipccCharacterizationFactors": ["AR6", "AR5"]})),
        (
            "used_before_validity",
            with_changes(V3, {}, validityPeriodStart="2024-06-01T00:00:00Z"),
        ),
        ("footprint_deprecated", with_changes(V3, {}, status="Deprecated")),
    ],
)
def test_what_is_remarkable_about_a_document_is_on_its_line(
    flag: str, document: dict[str, Any]
) -> None:
    line = lines_of_declaration(declaration_of(document, MAY), INVENTORY)[0]
    assert flag in line.flags


def test_biogenic_uptake_is_kept_apart_in_both_versions() -> None:
    withdrawn = with_changes(V2, {"biogenicCarbonWithdrawal": "-1.25"})
    found = [declaration_of(one, MAY).uptake_kgco2e_per_unit for one in (V3, withdrawn)]
    assert found == [Decimal(-15), Decimal("-1.25")]
    assert kg_of(withdrawn) == kg_of(V2)


def test_land_emissions_above_zero_count_and_below_do_not() -> None:
    assert kg_of(with_changes(V2, {"landManagementGhgEmissions": "0.5"})) == Decimal(48)
    assert kg_of(with_changes(V2, {"landManagementGhgEmissions": "-0.5"})) == Decimal(36)


@pytest.mark.parametrize("name", [*HEAD, "specVersion", "pcf"])
def test_every_required_property_of_a_footprint_is_required(name: str) -> None:
    document = {key: value for key, value in V3.items() if key != name}
    with pytest.raises(RejectedRecord) as refusal:
        declaration_of(document, MAY)
    code = "unsupported_footprint_version" if name == "specVersion" else "missing_field"
    assert (refusal.value.code, refusal.value.field) == (code, name)


@pytest.mark.parametrize(
    "name",
    [
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
    ],
)
def test_every_required_property_of_a_carbon_footprint_is_required(name: str) -> None:
    with pytest.raises(RejectedRecord) as refusal:
        declaration_of(with_changes(V3, {name: None}), MAY)
    assert (refusal.value.code, refusal.value.field) == ("missing_field", f"pcf.{name}")


def test_a_status_is_active_where_version_2_does_not_say() -> None:
    event = declaration_of(with_changes(V2, {}, status=None), MAY)
    assert event.footprint_status == "Active"


@pytest.mark.parametrize(
    ("code", "document"),
    [
        ("unsupported_footprint_version", with_changes(V3, {}, specVersion="1.0.1")),
        ("unsupported_footprint_version", with_changes(V3, {}, specVersion="30")),
        ("unknown_unit", with_changes(V3, {"declaredUnitOfMeasurement": "bottle"})),
        ("unknown_gwp_set", with_changes(V3, {"ipccCharacterizationFactors": ["AR9"]})),
        ("not_a_number", with_changes(V3, {"fossilGhgEmissions": "16 kg"})),
        ("not_a_timestamp", with_changes(V3, {"referencePeriodEnd": "last year"})),
        ("not_positive", with_changes(V3, {"declaredUnitAmount": "0"})),
        ("negative_quantity", with_changes(V3, {"fossilGhgEmissions": "-16"})),
        ("removal_above_zero", with_changes(V3, {"biogenicCO2Uptake": "15"})),
        ("rating_above_scale", with_changes(V2, {"dqi": {"technologicalDQR": 4}})),
        ("unknown_status", with_changes(V3, {}, status="Draft")),
        ("exempted_emissions_above_policy", with_changes(V3, {"exemptedEmissionsPercent": "7"})),
        ("footprint_expired", with_changes(V3, {}, validityPeriodEnd="2024-04-30T00:00:00Z")),
        (
            "reference_period_too_old",
            with_changes(
                V3,
                {
                    "referencePeriodStart": "2020-01-01T00:00:00Z",
                    "referencePeriodEnd": "2021-01-01T00:00:00Z",
                },
                validityPeriodEnd="2025-01-01T00:00:00Z",
            ),
        ),
        (
            "succeeds_itself",
            with_changes(V3, {}, precedingPfIds=[FOOTPRINT_ID]),
        ),
    ],
)
def test_a_document_that_cannot_be_used_is_refused(code: str, document: dict[str, Any]) -> None:
    with pytest.raises(RejectedRecord) as refusal:
        lines_of_declaration(declaration_of(document, MAY), INVENTORY)
    assert refusal.value.code == code


@pytest.mark.parametrize(
    "document",
    [
        V3,
        {"data": [V3]},
        {
            "type": "org.wbcsd.pact.ProductFootprint.RequestFulfilledEvent.3",
            "specversion": "1.0",
            "data": {"requestEventId": "1", "pfs": [V3]},
        },
    ],
)
def test_footprints_are_found_in_every_kind_of_document(document: dict[str, Any]) -> None:
    (found,) = footprints_in(read_document(json.dumps(document)))
    assert kg_of(dict(found)) == Decimal(36)


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        "footprint",
        {"data": []},
        {"data": ["3fa85f64"]},
        {
            "type": "org.wbcsd.pact.ProductFootprint.PublishedEvent.3",
            "data": {"pfIds": ["3fa85f64"]},
        },
    ],
)
def test_a_document_without_a_footprint_is_refused(document: object) -> None:
    with pytest.raises(RejectedRecord) as refusal:
        footprints_in(document)
    assert refusal.value.code == "no_footprint"


def test_numbers_of_a_document_enter_as_they_were_written() -> None:
    text = json.dumps(V2).replace("56.12", "56.120000000000000001")
    event = declaration_of(dict(footprints_in(read_document(text))[0]), MAY)
    assert event.primary_data_share_pct == Decimal("56.120000000000000001")
    with pytest.raises(RejectedRecord) as refusal:
        read_document("{")
    assert refusal.value.code == "not_json"
