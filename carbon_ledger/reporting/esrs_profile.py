"""ESRS E1 as data: what each profile calls its disclosures, and the concepts of the taxonomy.

Belongs here: names, units and dimensions of the published taxonomy, and which profile uses what.
Does not: how a figure is made (esrs_e1_5, esrs_e1_6, esrs_e1_7).

`esrs_2023` is ESRS Set 1 (Delegated Regulation (EU) 2023/2772) with the EFRAG taxonomy of
2024-08-30. `esrs_2026` follows the Commission's draft of 2026-05-06, whose final text was not
published when this was written: it renumbers the disclosures and drops the intensities, and every
report by it is flagged `draft_profile`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.reporting.tables import Dimension, Tag

TAXONOMY: Final = "https://xbrl.efrag.org/taxonomy/esrs/2023-12-22"
PREFIX: Final = "esrs"

CATEGORY_AXIS: Final = "Scope3GHGEmissionsCategoryGHGProtocolAxis"
YEARS_AXIS: Final = "CurrentlyStatedBaselineMilestonesOrTargetYearsAxis"
REPORTING_SCOPE_AXIS: Final = "ReportingScopeAxis"
COUNTRY_AXIS: Final = "CountryAxis"
SUBSIDIARY_AXIS: Final = "NameOfSubsidiaryTypedAxis"
CONTROL_AXIS: Final = "FinancialAndOperationalControlAxis"
BASELINE: Final = Dimension(axis=YEARS_AXIS, member="BaselineYearMember")
MILESTONE: Final = Dimension(axis=YEARS_AXIS, member="MilestonesAndTargetYearsMember")
PREVIOUSLY_STATED: Final = Dimension(axis=REPORTING_SCOPE_AXIS, member="PreviouslyStatedMember")

# The two parts of paragraph 50. The second name is made from the member's label ("Other investees
# excluded from consolidated accounting group, including contractual arrangements (operational
# control)") as every other name here is from its own.
ACCOUNTING_GROUP_MEMBER: Final = "ConsolidatedAccountingGroupFinancialControlMember"
OTHER_INVESTEES_MEMBER: Final = (
    "OtherInvesteesExcludedFromConsolidatedAccountingGroupIncludingContractualArrangements"
    "OperationalControlMember"
)

CATEGORY_MEMBERS: Final[dict[int, str]] = {
    1: "Category1PurchasedGoodsAndServicesMember",
    2: "Category2CapitalGoodsMember",
    3: "Category3FuelAndEnergyrelatedActivitiesMember",
    4: "Category4UpstreamTransportationAndDistributionMember",
    5: "Category5WasteGeneratedInOperationsMember",
    6: "Category6BusinessTravelMember",
    7: "Category7EmployeeCommutingMember",
    8: "Category8UpstreamLeasedAssetsMember",
    9: "Category9DownstreamTransportationAndDistributionMember",
    10: "Category10ProcessingOfSoldProductsMember",
    11: "Category11UseOfSoldProductsMember",
    12: "Category12EndoflifeTreatmentOfSoldProductsMember",
    13: "Category13DownstreamLeasedAssetsMember",
    14: "Category14FranchisesMember",
    15: "Category15InvestmentsMember",
}

ItemType = Literal[
    "ghg", "energy", "percent", "monetary", "ghg_intensity", "energy_intensity", "text"
]
# How a value of a type is written: unit of XBRL, and what our value is multiplied by for it.
UNIT_OF: Final[dict[str, str]] = {
    "ghg": "utr:tCO2e",
    "energy": "utr:MWh",
    "percent": "xbrli:pure",
    "monetary": "iso4217:{currency}",
    "ghg_intensity": "utr:tCO2e/iso4217:{currency}",
    "energy_intensity": "utr:MWh/iso4217:{currency}",
    "text": "",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Concept:
    """A concept of the taxonomy: its type, datapoint of EFRAG's list, and the axes it may have.

    `former`: what reports that are kept may call the datapoint.
    """

    name: str
    item: ItemType
    datapoint: str
    axes: tuple[str, ...] = ()
    former: tuple[str, ...] = ()
    period: Literal["duration", "instant"] = "duration"


_GHG_AXES: Final = (
    YEARS_AXIS,
    REPORTING_SCOPE_AXIS,
    CONTROL_AXIS,
    "GHGCategoryAxis",
    "SourceTypeAxis",
    COUNTRY_AXIS,
    "OperatingSegmentTypedAxis",
    SUBSIDIARY_AXIS,
    "NACEEconomicActivitiesAxis",
    "ValueChainAxis",
)
_BIOGENIC: Final = "BiogenicEmissionsOfCO2FromCombustionOrBiodegradationOfBiomass"


def _ghg(name: str, datapoint: str, *more: str) -> Concept:
    return Concept(name=name, item="ghg", datapoint=datapoint, axes=(*_GHG_AXES, *more))


def _plain(name: str, item: ItemType, datapoint: str) -> Concept:
    return Concept(
        name=name, item=item, datapoint=datapoint, axes=(YEARS_AXIS, REPORTING_SCOPE_AXIS)
    )


CONCEPTS: Final[Mapping[str, Concept]] = {
    one.name: one
    for one in (
        # E1-6_01 to 06 are the tables that the figures of E1-6_07 to 13 stand in.
        replace(_ghg("GrossScope1GreenhouseGasEmissions", "E1-6_07"), former=("E1-6_01",)),
        _plain(
            "PercentageOfScope1GreenhouseGasEmissionsFromRegulatedEmissionTradingSchemes",
            "percent",
            "E1-6_08",
        ),
        _ghg("GrossLocationBasedScope2GreenhouseGasEmissions", "E1-6_09"),
        _ghg("GrossMarketBasedScope2GreenhouseGasEmissions", "E1-6_10"),
        _ghg("GrossScope3GreenhouseGasEmissions", "E1-6_11", CATEGORY_AXIS),
        _ghg("LocationBasedGreenhouseGasEmissions", "E1-6_12"),
        _ghg("MarketBasedGreenhouseGasEmissions", "E1-6_13"),
        _ghg(f"{_BIOGENIC}NotIncludedInScope1GHGEmissions", "E1-6_17"),
        _plain("PercentageOfContractualInstrumentsScope2GHGEmissions", "percent", "E1-6_18"),
        _plain(
            "PercentageOfMarketbasedScope2GHGEmissionsLinkedToPurchasedElectricityBundledWith"
            "Instruments",
            "percent",
            "E1-6_20",
        ),
        _plain(
            "PercentageOfContractualInstrumentsUsedForSaleAndPurchaseOfEnergyBundledWith"
            "AttributesAboutEnergyGenerationInRelationToScope2GHGEmissions",
            "percent",
            "E1-6_21",
        ),
        _plain(
            "PercentageOfContractualInstrumentsUsedForSaleAndPurchaseOfUnbundledEnergyAttribute"
            "ClaimsInRelationToScope2GHGEmissions",
            "percent",
            "E1-6_22",
        ),
        _ghg(f"{_BIOGENIC}NotIncludedInScope2GHGEmissions", "E1-6_24"),
        _plain(
            "PercentageOfGrossScope3GreenhouseGasEmissionsCalculatedUsingPrimaryDataObtained"
            "FromSuppliersOrOtherValueChainPartners",
            "percent",
            "E1-6_25",
        ),
        _ghg(
            f"{_BIOGENIC}ThatOccurInUpstreamAndDownstreamValueChainNotIncludedInScope3GHGEmissions",
            "E1-6_28",
        ),
        _plain(
            "GHGEmissionsIntensityLocationbasedTotalGHGEmissionsPerNetRevenue",
            "ghg_intensity",
            "E1-6_30",
        ),
        _plain(
            "GHGEmissionsIntensityMarketbasedTotalGHGEmissionsPerNetRevenue",
            "ghg_intensity",
            "E1-6_31",
        ),
        _plain("Revenue", "monetary", "E1-6_33"),
        _plain("NetRevenueUsedToCalculateGHGIntensity", "monetary", "E1-6_34"),
        _plain("NetRevenueOtherThanUsedToCalculateGHGIntensity", "monetary", "E1-6_35"),
        _plain("EnergyConsumptionRelatedToOwnOperations", "energy", "E1-5_01"),
        _plain("EnergyConsumptionFromFossilSources", "energy", "E1-5_02"),
        _plain("EnergyConsumptionFromNuclearSources", "energy", "E1-5_03"),
        _plain(
            "PercentageOfEnergyConsumptionFromNuclearSourcesInTotalEnergyConsumption",
            "percent",
            "E1-5_04",
        ),
        _plain("EnergyConsumptionFromRenewableSources", "energy", "E1-5_05"),
        _plain("FuelConsumptionFromRenewableSources", "energy", "E1-5_06"),
        _plain(
            "ConsumptionOfPurchasedOrAcquiredElectricityHeatSteamAndCoolingFromRenewableSources",
            "energy",
            "E1-5_07",
        ),
        _plain("ConsumptionOfSelfgeneratedNonfuelRenewableEnergy", "energy", "E1-5_08"),
        _plain("PercentageOfRenewableSourcesInTotalEnergyConsumption", "percent", "E1-5_09"),
        _plain("FuelConsumptionFromCoalAndCoalProducts", "energy", "E1-5_10"),
        _plain("FuelConsumptionFromCrudeOilAndPetroleumProducts", "energy", "E1-5_11"),
        _plain("FuelConsumptionFromNaturalGas", "energy", "E1-5_12"),
        _plain("FuelConsumptionFromOtherFossilSources", "energy", "E1-5_13"),
        _plain(
            "ConsumptionOfPurchasedOrAcquiredElectricityHeatSteamOrCoolingFromFossilSources",
            "energy",
            "E1-5_14",
        ),
        _plain("PercentageOfFossilSourcesInTotalEnergyConsumption", "percent", "E1-5_15"),
        _plain("NonrenewableEnergyProduction", "energy", "E1-5_16"),
        _plain("RenewableEnergyProduction", "energy", "E1-5_17"),
        _plain(
            "EnergyIntensityFromActivitiesInHighClimateImpactSectorsTotalEnergyConsumptionPer"
            "NetRevenue",
            "energy_intensity",
            "E1-5_18",
        ),
        _plain("GHGRemovalsAndStorage", "ghg", "E1-7_05"),
        _plain("GHGEmissionsAssociatedWithRemovalActivity", "ghg", "E1-7_06"),
        _plain("Reversals", "ghg", "E1-7_07"),
        _plain(
            "AmountOfCarbonCreditsOutsideValueChainThatAreVerifiedAgainstRecognisedQuality"
            "StandardsAndCancelled",
            "ghg",
            "E1-7_10",
        ),
    )
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """One version of the standard: its title, what it calls each disclosure, and what it flags."""

    profile_id: str
    title: str
    disclosures: Mapping[str, str]
    flags: tuple[str, ...] = ()
    has_revenue_intensity: bool = True
    has_concepts: bool = True


PROFILES: Final[Mapping[str, Profile]] = {
    one.profile_id: one
    for one in (
        Profile(
            profile_id="esrs_2023",
            title="ESRS E1 Climate change (Delegated Regulation (EU) 2023/2772)",
            disclosures={"energy": "E1-5", "emissions": "E1-6", "removals": "E1-7"},
        ),
        Profile(
            profile_id="esrs_2026",
            title="ESRS E1 Climate change (Commission draft of 2026-05-06)",
            disclosures={"energy": "E1-7", "emissions": "E1-8", "removals": "E1-9"},
            flags=("draft_profile",),
            has_revenue_intensity=False,
            has_concepts=False,
        ),
    )
}


def profile_of(profile_id: str) -> Profile:
    """The profile; ConfigurationError `unknown_profile` naming those there are."""
    if profile_id not in PROFILES:
        raise ConfigurationError(
            "unknown_profile",
            f"{profile_id[:60]!r} is no reporting profile; valid are {', '.join(PROFILES)}",
        )
    return PROFILES[profile_id]


def tag(profile: Profile, concept: str, *dimensions: Dimension) -> Tag:
    """What the profile's taxonomy calls a figure; KeyError for a concept that it does not have."""
    known = CONCEPTS[concept]
    if not profile.has_concepts:
        return Tag(datapoint=known.datapoint)
    return Tag(concept=concept, datapoint=known.datapoint, dimensions=dimensions)


def category_dimension(number: int) -> Dimension:
    """The member of a category of scope 3."""
    return Dimension(axis=CATEGORY_AXIS, member=CATEGORY_MEMBERS[number])
