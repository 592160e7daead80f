"""What the flags of lines, factors and reports say, as sentences for people.

Belongs here: one sentence for each code. Does not: when a flag is set (the module that sets it),
where it is shown. Machine forms (columns, JSON, CSV, exports) have the code.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

SENTENCES: Final[dict[str, str]] = {
    # The factor, and how it was matched.
    "boundary_substitute": "The factor covers the whole life cycle, as none is published for "
    "generation alone: the figure holds upstream emissions too.",
    "vintage_gap": "The factor is of another year than the activity.",
    "region_fallback": "No factor is published for the region: that of the country is used.",
    "geography_proxy": "No factor is published for the country: that of another country stands in.",
    "co2_only": "The factor has carbon dioxide alone; methane and nitrous oxide are not in it.",
    "ch4_n2o_only": "The factor has methane and nitrous oxide alone; carbon dioxide is counted "
    "elsewhere.",
    "ch4_n2o_missing": "Methane and nitrous oxide are not in the figure: no factor has them.",
    "gases_incomplete": "Not every gas of the figure is known apart.",
    "gwp_set_embedded": "The factor was published as CO2e, with warming potentials of its own that "
    "cannot be exchanged.",
    "gwp_set_differs": "The figure was made with another set of warming potentials than the "
    "inventory's.",
    "gwp_set_inferred": "Which warming potentials the factor was made with was inferred: its "
    "edition does not say.",
    "gwp_sets_mixed": "The footprint mixes several sets of warming potentials.",
    "gwp_methane_origin_not_distinguished": "Fossil and other methane are weighed alike: the "
    "potentials, or the factor, do not tell them apart.",
    "factor_stated": "The factor was stated with the activity, and is not a published one of a "
    "release.",
    "licensed_set": "The factor is of a licensed set that was imported.",
    "residual_average": "The factor is the plain mean of all sectors.",
    "co2_includes_biogenic": "The carbon dioxide of the factor has a biogenic share that is not "
    "given apart.",
    "excludes_avoided_emissions": "Nothing is taken off for energy or material recovered.",
    "imports_not_covered": "The region imports most of its supply, and the factor counts its own "
    "generation only.",
    "includes_grid_electricity_and_td": "The factor per distance already holds the electricity of "
    "the vehicle and its grid losses.",
    "partial_year": "The factor is a mean over a part of the year.",
    "preliminary": "The publisher calls the factor's year preliminary.",
    "publisher_outlier": "The factor is out of line with the editions before and after it.",
    "rounding_artefact": "The factor is of a tiny power system, and published coarsely.",
    "unusually_high": "The factor is unusually high as published: 1 kg per kWh or more.",
    "zero_by_rounding": "The factor is published as 0, in a table that rounds.",
    # Electricity and meters.
    "event_intensity": "The intensity was stated with the reading, and is not a published one.",
    "unregistered_facility": "The site is not registered: the default organization and calendar "
    "are taken.",
    "country_differs_from_site": "The reading names another country than the site's own.",
    "estimated": "The figure is an estimate and not a reading.",
    "prorated": "The figure is the share of a longer interval that falls here.",
    "reading_missing": "A reading is missing: the interval is longer than it should be.",
    "register_reset": "The meter's register was reset in between.",
    "register_rollover": "The meter's register ran over and began again at zero.",
    "gap_in_residual_above": "The meter has no reading: its part is in what the meter above it "
    "measured.",
    "gap_not_covered": "The meter has no reading, and no meter above it has its part.",
    "sub_meters_scaled_to_main": "The sub-meters read more than the main meter, and are scaled "
    "down to it.",
    "estimate_raised_to_sub_meters": "The estimate of the main meter was raised to what its "
    "sub-meters read.",
    "calorific_value_not_stated": "The calorific value of the gas is not stated: its volume is "
    "counted by the published factor.",
    "certificates_sold": "The certificates of this generation were sold.",
    "counted_as_electricity": "Chilled water is counted by the electricity that made it.",
    "counted_by_meter": "A meter counts it already.",
    "not_netted": "Exported power is not taken off what was bought.",
    "grid_average_in_market_based": "The market has no residual mix: the market-based figure "
    "takes the grid's average.",
    "market_based_by_grid_average": "No instrument and no residual mix is known: the market-based "
    "figure takes the grid's average.",
    "market_equals_location": "The market has no instruments to choose by: the market-based figure "
    "is the location-based one.",
    "upstream_includes_losses": "The published upstream already holds the losses of the grid.",
    "upstream_not_published": "No upstream is published for it, and none is counted.",
    "upstream_of_losses_derived": "The upstream of grid losses is not published: it is derived "
    "from the upstream of generation and the rate of losses.",
    "net_from_gross_approximated": "The net energy was made from the gross by a general ratio.",
    "energy_not_determined": "Some figures could not be turned into energy, and are left out.",
    "instrument_source_unknown": "An instrument attests no known source: its energy is counted as "
    "fossil.",
    "origin_not_split": "A fuel is partly renewable, and by how much is not known.",
    # Vehicles and freight.
    "vehicle_unregistered": "The vehicle is not registered.",
    "vehicle_class_differs": "The trip names another class of vehicle than the register.",
    "fuel_type_differs": "The trip names another fuel than the register.",
    "fuel_type_unknown": "The fuel of the vehicle is not known.",
    "operator_differs": "The trip names another operator than the register.",
    "fuel_not_stated": "The vehicle also burns fuel, and how much is not stated.",
    "electricity_not_stated": "The vehicle also takes electricity, and how much is not stated.",
    "energy_beside_fuel_not_posted": "Electricity was stated beside fuel for a vehicle without a "
    "plug, and is not counted.",
    "fuel_rate_not_checked": "Whether the fuel fits the distance could not be checked.",
    "fuel_rate_out_of_band": "The fuel does not fit the distance: the rate is outside its band.",
    "fuel_without_distance": "Fuel was burnt over no distance.",
    "charging_place_assumed": "Where the vehicle was charged is not stated, and was assumed.",
    "charged_behind_own_meter": "The vehicle was charged behind a meter that counts already.",
    "upstream_factor_missing": "No upstream factor is published for it, and none is counted.",
    "upstream_includes_electricity": "The upstream factor also holds that of the electricity.",
    "odometer_missing": "A segment has no odometer reading: overlaps cannot be told.",
    "segments_overlap": "Segments of the trip overlap: only what is new of this one counts.",
    "covered_by_whole_trip": "The whole trip is counted, so this segment of it is not.",
    "distance_from_positions": "The distance is made from positions, not from the odometer.",
    "distance_contradicts_odometer": "The stated distance contradicts the odometer.",
    "telematics_exceeds_card": "The vehicle reports more fuel than was bought with its card.",
    "unallocated_fuel": "Fuel was bought that no trip accounts for.",
    "estimate": "The figure is an estimate.",
    "carried_by_own_vehicle": "It was carried by an own vehicle, whose fuel is counted.",
    "carrier_unknown": "The carrier is not registered.",
    "incoterm_contradicts_payer": "The Incoterm contradicts who is said to pay for the transport.",
    "operation_class_average": "The kind of vehicle is not stated: the average of its mode is "
    "taken.",
    "distance_estimated": "The distance was estimated.",
    "distance_between_countries": "The distance is between the most populous cities of the two "
    "countries.",
    "daf_applied": "The distance was adjusted for detours.",
    "daf_on_great_circle": "The adjustment for detours was applied to a great-circle distance.",
    "allocated_by_driven_distance": "Shared among the loads by the distance that was driven.",
    "mass_looks_volumetric": "The mass looks like a volumetric one.",
    "mass_from_teu": "The mass is not known: 10 t are taken for each container unit.",
    "mass_changes_along_chain": "The mass differs between the legs of the shipment.",
    "leg_repeated": "The shipment goes the same way twice.",
    "chain_not_delivered": "A leg of the shipment is still under way.",
    "missing_leg_estimated": "A leg that nobody reported was estimated.",
    "transport_activity_as_stated": "The transport activity (tkm) is as stated.",
    "transport_activity_mismatch": "The stated transport activity is not mass times distance.",
    "wtt_by_ratio": "The upstream of the fuel is made by the ratio of published averages.",
    "radiative_forcing_apart": "What aircraft warm beyond their emissions is given apart.",
    # Purchases and what suppliers declare.
    "commitment": "An order is a commitment, and not yet spending.",
    "cancelled": "It was cancelled at its source.",
    "tax_line": "It is a tax, and not spending.",
    "booked_by_other_document": "Another document of the same order is what counts.",
    "credit_note": "It is a credit note.",
    "credit_note_unreferenced": "The credit note does not say what it credits.",
    "intra_group_eliminated": "It is within the group, and counted at the other entity.",
    "unmapped_spend": "The spending has no sector: the average of all sectors is taken.",
    "physical_factor_missing": "No factor is published for the material: the spending is counted.",
    "quantity_not_convertible": "The quantity cannot be converted to the factor's unit: the "
    "spending is counted.",
    "prices_not_adjusted": "Prices of another year were not adjusted.",
    "index_gap_years": "The exchange rate or price index is of an earlier year.",
    "biogenic_not_separable": "The biogenic part of the declared figure is not given apart.",
    "land_management_not_separable": "Land management is not given apart from the rest of the "
    "declared figure.",
    "composition_mismatch": "The parts of the declared figure do not add up to its sums.",
    "footprint_deprecated": "The supplier has deprecated this footprint.",
    "deprecated_without_successor": "The supplier has deprecated this footprint and gave no other.",
    "used_before_validity": "The declaration is used before it becomes valid.",
    "validity_assumed": "How long the declaration is valid was assumed.",
    "removals_not_netted": "Removals are declared, and not taken off.",
    "implied_intensity_review": "The declared figure is far from what was spent would suggest.",
    "annual_true_up": "The figure of the year takes the place of what was posted in its course.",
    "economic_allocation": "The supplier shared its emissions by revenue.",
    "hybrid_fill": "Average factors fill what the supplier does not state.",
    "allocated_figure_not_compared": "The supplier's own figure of our part was not compared, as "
    "averages stand in for something.",
    "outbound_logistics_by_shipments": "Deliveries are counted as shipments, and not by the "
    "footprint.",
    # Which of several lines about one thing counts.
    "covered": "A better figure covers it, so it counts nothing.",
    "outranked": "Another figure of the same thing ranks higher, so it counts nothing.",
    "not_admitted": "It was not admitted, so it counts nothing.",
    "quarantined": "It waits for a decision, and counts nothing until then.",
    "retracted": "It was taken back, so it counts nothing.",
    "partially_superseded": "A better figure covers a part of it: the rest counts.",
    "coverage_capped": "The better figures cover more than there is: they count for all of it.",
    "coverage_conflict": "The figures contradict each other in how much they cover.",
    "counted_by_other_stream": "It is counted by its own stream.",
    "gap_from_invoice": "The invoice fills what the meters did not count.",
    "metered_below_invoice": "The meters count less than was invoiced.",
    "metered_above_invoice": "The meters count more than was invoiced.",
    "purchases_below_measured": "Less fuel was bought than was measured.",
    "recycling_benefit_excluded": "The benefit of recycling is with who uses the material.",
    "overlap_disclosed": "It is reported once, in another place.",
    "overlap_with_category_1": "What was bought of the investee is in category 1, and taken off "
    "here.",
    # Scope, totals and periods.
    "optional_boundary": "It is beyond the minimum boundary, and optional.",
    "scope_unassigned": "Its scope is not assigned yet, and it is in no total.",
    "memo_outside_totals": "It is told beside the totals, and in none.",
    "treatment_shares_incomplete": "The shares of the treatments do not add up to the whole.",
    "uncertainty_beyond_propagation": "An uncertainty is so large that the formula for sums is no "
    "longer good.",
    "backcast": "The year was recalculated with today's structure.",
    "late_line": "It came after its period was soft-closed, and still counts in it.",
    "prior_period_adjustment": "It adjusts a period that was closed before.",
    "restatement_due": "It is so large that the figure stated before has to be restated.",
    # Whole reports.
    "draft_profile": "Made by the draft of a standard, whose final text was not published.",
    "cdp_lists_not_checked": "The lists to choose from were not checked against the "
    "questionnaire's own text.",
}
# Codes that are followed by a name or a figure.
BEGINNINGS: Final[dict[str, str]] = {
    "assumed_": "Its source does not say it, so it was assumed: {}.",
    "consolidated_": "Consolidated by the approach: {}.",
    "declared_": "The carrier declared the figure, of data: {}.",
    "not_posted_while_": "Not counted yet, as the shipment is only {}.",
    "routed_to_": "Not counted by spending but by the stream of its own: {}.",
    "share_of_residual_of:": "Has a share of what meter {} measured beyond its sub-meters.",
    "stated_figure_differs:": "Its source printed {} kgCO2e, which the lines do not come to.",
}


def sentence_of(flag: str) -> str:
    """What a flag says; the code itself of one that has no sentence, such as an imported factor's
    own, or the code of a refusal.
    """
    found = SENTENCES.get(flag)
    if found is not None:
        return found
    for begin, sentence in BEGINNINGS.items():
        if flag.startswith(begin) and flag != begin:
            name = flag.removeprefix(begin)
            return sentence.format(name if begin.endswith(":") else name.replace("_", " "))
    return flag


def sentences_of(flags: Iterable[str]) -> list[str]:
    """The same, of each, in their order."""
    return [sentence_of(flag) for flag in flags]
