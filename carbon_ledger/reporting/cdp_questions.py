"""Questions of module 7 of CDP's full corporate questionnaire, their columns, and lists to choose.

Belongs here: what is asked, in which columns and in which order, and what may be chosen. Does not:
which year's questionnaire has which question (cdp_profile), how an answer is made.

Titles are in our words, headings are the questionnaire's. The lists were not checked against the
questionnaire's own text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MANY: Final = "; "
OTHER: Final = "Other, please specify"
SECTOR_ONLY: Final = "asked of some sectors only"

INCREASED: Final = "Increased"
DECREASED: Final = "Decreased"
NO_CHANGE: Final = "No change"
YES: Final = "Yes"
NO: Final = "No"

# Lists to choose from by name. `OTHER` with words of one's own after a colon is chosen as well.
LISTS: Final[Mapping[str, tuple[str, ...]]] = {
    "yes_no": (YES, NO),
    "evaluation_status": (
        "Relevant, calculated",
        "Relevant, not yet calculated",
        "Not relevant, calculated",
        "Not relevant, explanation provided",
        "Not evaluated",
    ),
    "methodology": (
        "Supplier-specific method",
        "Hybrid method",
        "Average data method",
        "Spend-based method",
        "Fuel-based method",
        "Distance-based method",
        "Site-specific method",
        "Asset-specific method",
        "Waste-type-specific method",
        "Franchise-specific method",
        "Investment-specific method",
        "Methodology for direct use phase emissions",
        OTHER,
    ),
    "assurance": (
        "Third-party verification or assurance process in place",
        "No third-party verification or assurance",
        "No emissions data provided",
    ),
    "assurance_cycle": ("Annual process", "Biennial process", "Triennial process"),
    "assurance_status": (
        "Complete",
        "Underway but not complete for current reporting year - first year it has taken place",
        "Underway but not complete for reporting year - previous statement of process attached",
        "No verification or assurance of current reporting year",
    ),
    "assurance_type": (
        "Limited assurance",
        "Moderate assurance",
        "Reasonable assurance",
        "High assurance",
        "Third party verification/assurance underway",
        "Not applicable",
    ),
    "scope_2_approach": ("Scope 2 location-based", "Scope 2 market-based"),
    "comparison": (INCREASED, DECREASED, "Remained the same overall", "First year of reporting"),
    "direction": (INCREASED, DECREASED, NO_CHANGE),
    "change_reason": (
        "Change in renewable energy consumption",
        "Other emissions reduction activities",
        "Divestment",
        "Acquisitions",
        "Mergers",
        "Change in output",
        "Change in methodology",
        "Change in boundary",
        "Change in physical operating conditions",
        "Unidentified",
        OTHER,
    ),
    "gas": ("CO2", "CH4", "N2O", "HFCs", "PFCs", "SF6", "NF3", OTHER),
    "gwp_reference": (
        "IPCC Sixth Assessment Report (AR6 - 100 year)",
        "IPCC Fifth Assessment Report (AR5 - 100 year)",
        "IPCC Fourth Assessment Report (AR4 - 100 year)",
        "IPCC Second Assessment Report (SAR - 100 year)",
        OTHER,
    ),
    "breakdown": ("By business division", "By facility", "By activity"),
    "scope_2_figure": ("Location-based", "Market-based"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A column of a question; `choices` names the list that its texts are from."""

    column_id: str
    heading: str
    unit: str = ""
    choices: str = ""
    is_multiple: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A question: number, what it asks, heading of its first column, and the others in order.

    `row_choices` names the list that the first column is from. `not_asked` says why a question of
    the module has no table here.
    """

    number: str
    title: str
    of: str = ""
    row_choices: str = ""
    columns: tuple[Asked, ...] = ()
    not_asked: str = ""


_T: Final = "tCO2e"
_SCOPES: Final = (
    Asked(column_id="scope_1", heading="Scope 1 emissions (metric tons CO2e)", unit=_T),
    Asked(
        column_id="scope_2_location",
        heading="Scope 2, location-based emissions (metric tons CO2e)",
        unit=_T,
    ),
    Asked(
        column_id="scope_2_market",
        heading="Scope 2, market-based emissions (metric tons CO2e)",
        unit=_T,
    ),
)
_END: Final = Asked(column_id="end_date", heading="End date")
_DETAILS: Final = Asked(column_id="details", heading="Methodological details")
_EXPLAIN: Final = Asked(column_id="explanation", heading="Please explain")
COMMENT: Final = Asked(column_id="comment", heading="Comment")
_DIRECTION: Final = Asked(column_id="direction", heading="Direction of change", choices="direction")
_VERIFICATION: Final = (
    Asked(
        column_id="cycle",
        heading="Verification or assurance cycle in place",
        choices="assurance_cycle",
    ),
    Asked(
        column_id="status",
        heading="Status in the current reporting year",
        choices="assurance_status",
    ),
    Asked(
        column_id="type",
        heading="Type of verification or assurance",
        choices="assurance_type",
    ),
    Asked(column_id="statement", heading="Attach the statement"),
    Asked(column_id="page", heading="Page/section reference"),
    Asked(column_id="standard", heading="Relevant standard"),
    Asked(
        column_id="verified_pct",
        heading="Proportion of reported emissions verified (%)",
        unit="%",
    ),
)
_MWH: Final = "MWh"


def _asked(*columns: Asked) -> tuple[Asked, ...]:
    return columns


QUESTIONS: Final[Mapping[str, Question]] = {
    one.number: one
    for one in (
        Question(
            number="7.5",
            title="Base year and base year emissions",
            of="Scope",
            columns=_asked(
                Asked(column_id="base_year_end", heading="Base year end"),
                Asked(
                    column_id="emissions",
                    heading="Base year emissions (metric tons CO2e)",
                    unit=_T,
                ),
                _DETAILS,
            ),
        ),
        Question(
            number="7.6",
            title="Gross global scope 1 emissions",
            of="Year",
            columns=_asked(
                Asked(
                    column_id="scope_1",
                    heading="Gross global Scope 1 emissions (metric tons CO2e)",
                    unit=_T,
                ),
                _END,
                _DETAILS,
            ),
        ),
        Question(
            number="7.7",
            title="Gross global scope 2 emissions, location-based and market-based",
            of="Year",
            columns=_asked(
                Asked(
                    column_id="scope_2_location",
                    heading="Gross global Scope 2, location-based emissions (metric tons CO2e)",
                    unit=_T,
                ),
                Asked(
                    column_id="scope_2_market",
                    heading="Gross global Scope 2, market-based emissions (metric tons CO2e)",
                    unit=_T,
                ),
                _END,
                _DETAILS,
            ),
        ),
        Question(
            number="7.8",
            title="Gross global scope 3 emissions by category, exclusions explained",
            of="Scope 3 category",
            columns=_asked(
                Asked(
                    column_id="status",
                    heading="Evaluation status",
                    choices="evaluation_status",
                ),
                Asked(
                    column_id="emissions",
                    heading="Emissions in reporting year (metric tons CO2e)",
                    unit=_T,
                ),
                Asked(
                    column_id="methodology",
                    heading="Emissions calculation methodology",
                    choices="methodology",
                    is_multiple=True,
                ),
                Asked(
                    column_id="supplier_pct",
                    heading="Percentage of emissions calculated using data obtained from suppliers "
                    "or value chain partners",
                    unit="%",
                ),
                _EXPLAIN,
            ),
        ),
        Question(
            number="7.8.1",
            title="Scope 3 emissions of past years",
            of="Year",
            columns=_asked(
                _END,
                *(
                    Asked(
                        column_id=f"category_{number:02}",
                        heading=f"Scope 3, category {number} (metric tons CO2e)",
                        unit=_T,
                    )
                    for number in range(1, 16)
                ),
                COMMENT,
            ),
        ),
        Question(
            number="7.9",
            title="Verification or assurance of reported emissions",
            of="Scope",
            columns=_asked(
                Asked(
                    column_id="status",
                    heading="Verification/assurance status",
                    choices="assurance",
                )
            ),
        ),
        Question(
            number="7.9.1",
            title="Verification or assurance of scope 1 emissions",
            of="Row",
            columns=_VERIFICATION,
        ),
        Question(
            number="7.9.2",
            title="Verification or assurance of scope 2 emissions",
            of="Row",
            columns=(
                Asked(
                    column_id="approach",
                    heading="Scope 2 approach",
                    choices="scope_2_approach",
                ),
                *_VERIFICATION,
            ),
        ),
        Question(
            number="7.9.3",
            title="Verification or assurance of scope 3 emissions",
            of="Row",
            columns=(Asked(column_id="category", heading="Scope 3 category"), *_VERIFICATION),
        ),
        Question(
            number="7.10",
            title="Scope 1 and 2 emissions against those of the year before",
            of="Scopes",
            columns=_asked(
                Asked(column_id="comparison", heading="Comparison", choices="comparison")
            ),
        ),
        Question(
            number="7.10.1",
            title="Reasons for a change of scope 1 and 2 emissions",
            of="Reason",
            row_choices="change_reason",
            columns=_asked(
                Asked(
                    column_id="change",
                    heading="Change in emissions (metric tons CO2e)",
                    unit=_T,
                ),
                _DIRECTION,
                Asked(column_id="percentage", heading="Emissions value (percentage)", unit="%"),
                Asked(column_id="calculation", heading="Please explain calculation"),
            ),
        ),
        Question(
            number="7.10.2",
            title="Which scope 2 figure 7.10 and 7.10.1 rest on",
            of="Question",
            columns=_asked(
                Asked(
                    column_id="figure",
                    heading="Location-based or market-based",
                    choices="scope_2_figure",
                )
            ),
        ),
        Question(
            number="7.11",
            title="Scope 3 emissions against those of the year before",
            of="Scopes",
            columns=_asked(
                Asked(column_id="comparison", heading="Comparison", choices="comparison")
            ),
        ),
        Question(
            number="7.11.1",
            title="Change of scope 3 emissions by category",
            of="Scope 3 category",
            columns=_asked(
                _DIRECTION,
                Asked(
                    column_id="reason",
                    heading="Primary reason for change",
                    choices="change_reason",
                ),
                Asked(
                    column_id="change",
                    heading="Change in emissions in this category (metric tons CO2e)",
                    unit=_T,
                ),
                Asked(
                    column_id="percentage",
                    heading="% change in emissions in this category",
                    unit="%",
                ),
                _EXPLAIN,
            ),
        ),
        Question(
            number="7.12",
            title="Whether carbon dioxide of biogenic carbon is relevant",
            of="Question",
            columns=_asked(Asked(column_id="relevant", heading="Answer", choices="yes_no")),
        ),
        Question(
            number="7.12.1",
            title="Emissions of biogenic carbon, outside the scopes",
            of="Row",
            columns=_asked(
                Asked(
                    column_id="emissions",
                    heading="CO2 emissions from biogenic carbon (metric tons CO2)",
                    unit="tCO2",
                ),
                COMMENT,
            ),
        ),
        Question(
            number="7.15",
            title="Whether scope 1 is broken down by greenhouse gas",
            of="Question",
            columns=_asked(Asked(column_id="answer", heading="Answer", choices="yes_no")),
        ),
        Question(
            number="7.15.1",
            title="Scope 1 emissions by greenhouse gas",
            of="Greenhouse gas",
            row_choices="gas",
            columns=_asked(
                Asked(
                    column_id="scope_1",
                    heading="Scope 1 emissions (metric tons of CO2e)",
                    unit=_T,
                ),
                Asked(
                    column_id="gwp_reference",
                    heading="GWP Reference",
                    choices="gwp_reference",
                ),
            ),
        ),
        Question(
            number="7.15.2",
            title="Scope 1 emissions by value chain stage and process",
            not_asked=SECTOR_ONLY,
        ),
        Question(
            number="7.15.3",
            title="Scope 1 emissions of electric utilities by gas",
            not_asked=SECTOR_ONLY,
        ),
        Question(
            number="7.16",
            title="Scope 1 and 2 emissions by country or area",
            of="Country/area",
            columns=_SCOPES,
        ),
        Question(
            number="7.17",
            title="Which breakdowns of scope 1 are provided",
            of="Question",
            columns=_asked(
                Asked(
                    column_id="answer",
                    heading="Breakdowns",
                    choices="breakdown",
                    is_multiple=True,
                )
            ),
        ),
        Question(
            number="7.17.1",
            title="Scope 1 emissions by business division",
            of="Business division",
            columns=_SCOPES[:1],
        ),
        Question(
            number="7.17.2",
            title="Scope 1 emissions by facility",
            of="Facility",
            columns=(
                _SCOPES[0],
                Asked(column_id="latitude", heading="Latitude", unit="degrees"),
                Asked(column_id="longitude", heading="Longitude", unit="degrees"),
            ),
        ),
        Question(
            number="7.17.3",
            title="Scope 1 emissions by activity",
            of="Activity",
            columns=_SCOPES[:1],
        ),
        Question(number="7.18", title="Scope 1 emissions of agriculture", not_asked=SECTOR_ONLY),
        Question(
            number="7.19",
            title="Scope 1 emissions by production activity of the sector",
            not_asked=SECTOR_ONLY,
        ),
        Question(
            number="7.20",
            title="Which breakdowns of scope 2 are provided",
            of="Question",
            columns=_asked(
                Asked(
                    column_id="answer",
                    heading="Breakdowns",
                    choices="breakdown",
                    is_multiple=True,
                )
            ),
        ),
        Question(
            number="7.20.1",
            title="Scope 2 emissions by business division",
            of="Business division",
            columns=_SCOPES[1:],
        ),
        Question(
            number="7.20.2",
            title="Scope 2 emissions by facility",
            of="Facility",
            columns=_SCOPES[1:],
        ),
        Question(
            number="7.20.3",
            title="Scope 2 emissions by activity",
            of="Activity",
            columns=_SCOPES[1:],
        ),
        Question(
            number="7.21",
            title="Scope 2 emissions by production activity of the sector",
            not_asked=SECTOR_ONLY,
        ),
        Question(
            number="7.22",
            title="Scope 1 and 2 emissions of the consolidated accounting group and others",
            of="Entities",
            columns=(*_SCOPES, _EXPLAIN),
        ),
        Question(
            number="7.23",
            title="Whether emissions are broken down by subsidiary",
            of="Question",
            columns=_asked(Asked(column_id="answer", heading="Answer", choices="yes_no")),
        ),
        Question(
            number="7.23.1",
            title="Scope 1 and 2 emissions by subsidiary",
            of="Subsidiary name",
            columns=(
                Asked(column_id="activity", heading="Primary activity"),
                Asked(column_id="identifiers", heading="Unique identifiers"),
                *_SCOPES,
                COMMENT,
            ),
        ),
        Question(
            number="7.45",
            title="Scope 1 and 2 emissions per unit of total revenue and other metrics",
            of="Row",
            columns=_asked(
                Asked(column_id="intensity", heading="Intensity figure"),
                Asked(
                    column_id="numerator",
                    heading="Metric numerator (Gross global combined Scope 1 and 2 emissions, "
                    "metric tons CO2e)",
                    unit=_T,
                ),
                Asked(column_id="metric", heading="Metric denominator"),
                Asked(column_id="denominator", heading="Metric denominator: Unit total"),
                Asked(
                    column_id="scope_2_figure",
                    heading="Scope 2 figure used",
                    choices="scope_2_figure",
                ),
                Asked(column_id="change_pct", heading="% change from previous year", unit="%"),
                _DIRECTION,
                Asked(
                    column_id="reasons",
                    heading="Reasons for change",
                    choices="change_reason",
                    is_multiple=True,
                ),
                _EXPLAIN,
            ),
        ),
    )
}
