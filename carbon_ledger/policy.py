"""What an inventory decides for itself: the parameters of the rules, in one place.

Belongs here: choices the standards leave to the reporting company. Does not: rules, settings of the
software (carbon_ledger.settings).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

Consolidation = Literal["equity_share", "financial_control", "operational_control"]
CONSOLIDATIONS: Final[tuple[Consolidation, ...]] = (
    "equity_share",
    "financial_control",
    "operational_control",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """One set of choices, the same for every line of an inventory version.

    `gwp_set`: the IPCC assessment report whose 100-year potentials weigh the gases (ESRS E1
    AR 39(d) asks for the latest). `consolidation`: GHG Protocol Corporate Standard, chapter 3.
    `geography_proxies`: publishers' countries whose figures may stand in, flagged, for a country
    that has none of its own, in this order. Gaps in whole years, shares from 0 to 1.

    Purchases: `booking_document` is the document of an order line that books it, the others being
    evidence (`first`: the kind dated first). `spend_factor_version` is the edition of the spend
    factors. `spend_without_stream`: streams (freight, travel, waste) that have no events of their
    own, so that their spend is what is booked. Suppliers: `supplier_scope2` is the scope 2 figure
    taken from a supplier that states both; `outbound_logistics` says who posts the way from the
    supplier's gate; `max_reference_age_years` is how old a footprint's data may be when used;
    outside `implied_intensity_band` times the sector's average a declaration is reviewed.

    Transport: `unknown_charging` is where an own vehicle's electricity is taken to come from where
    that is not stated (`depot`: a meter has it). Litres per distance are flagged beyond
    `fuel_rate_tolerance` times, or one over it, what the tables expect. `road_daf` and `sea_daf`
    make distance driven of the shortest one (ISO 14083); `tonnes_per_teu` is the average load of a
    twenty-foot container where no mass is stated.
    """

    gwp_set: str = "AR6"
    consolidation: Consolidation = "operational_control"
    max_vintage_gap_years: int = 5
    max_index_gap_years: int = 2
    # How far the generation a certificate attests may lie from the period it is used for ("as close
    # as possible", GHG Protocol Scope 2 Guidance, table 7.1, criterion 4).
    max_certificate_gap_days: int = 365
    refuse_boundary_substitutes: bool = False
    geography_proxies: tuple[str, ...] = ("GB", "US")
    location_based_source: Literal["factor", "event"] = "factor"
    matching_granularity: Literal["year", "month", "day", "hour"] = "year"
    default_currency: str = "EUR"
    unmapped_spend: Literal["average", "reject"] = "average"
    road_daf: Decimal = Decimal("1.05")
    max_exempted_emissions_pct: Decimal = Decimal(5)
    supplier_coverage_conflict: Decimal = Decimal("1.05")
    # A measurement and its independent check (invoice, fuel card, main meter) may differ by this
    # share before that is remarked on; cut-off days and meter classes explain as much.
    reconciliation_tolerance: Decimal = Decimal("0.02")
    base_year_threshold: Decimal = Decimal("0.05")
    fiscal_year_first_month: int = 1
    booking_document: Literal["first", "goods_receipt", "invoice"] = "first"
    spend_factor_version: str = "1.3"
    spend_without_stream: tuple[str, ...] = ()
    supplier_scope2: Literal["location", "market"] = "location"
    outbound_logistics: Literal["shipments", "declaration"] = "shipments"
    max_reference_age_years: int = 3
    implied_intensity_band: tuple[Decimal, Decimal] = (Decimal("0.05"), Decimal(20))
    unknown_charging: Literal["public", "depot", "reject"] = "public"
    fuel_rate_tolerance: Decimal = Decimal(2)
    sea_daf: Decimal = Decimal("1.15")
    tonnes_per_teu: Decimal = Decimal(10)
