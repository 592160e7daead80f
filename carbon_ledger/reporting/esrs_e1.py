"""ESRS E1 of one organization and fiscal year: its sections together.

Belongs here: which sections a profile has. Does not: the sections.
"""

from __future__ import annotations

from carbon_ledger.reporting.esrs_e1_5 import e1_5, energy_faults
from carbon_ledger.reporting.esrs_e1_6 import e1_6
from carbon_ledger.reporting.esrs_e1_7 import e1_7, removal_faults
from carbon_ledger.reporting.esrs_profile import profile_of
from carbon_ledger.reporting.inputs import ReportInputs
from carbon_ledger.reporting.restatements import restated_sections, restatements_of
from carbon_ledger.reporting.statements import statements_of
from carbon_ledger.reporting.tables import Report

NAME = "esrs_e1"
PROFILE = "esrs_2023"


def esrs_e1(inputs: ReportInputs, profile_id: str = PROFILE) -> Report:
    """The report; ConfigurationError `unknown_profile`."""
    profile = profile_of(profile_id)
    sections = (e1_5(inputs, profile), e1_6(inputs, profile), e1_7(inputs, profile))
    flags = {flag for section in sections for flag in section.flags}
    cells = {cell_id: cell for section in sections for cell_id, cell in section.cells.items()}
    restated = restatements_of(inputs, cells, profile_id)
    return Report(
        name=NAME,
        profile=profile_id,
        title=profile.title,
        organization_id=inputs.organization_id,
        fiscal_year=inputs.fiscal_year,
        period_begin=inputs.period_begin,
        period_end=inputs.period_end,
        as_of=inputs.as_of,
        code_version=inputs.code_version,
        sections=(*sections, *restated_sections(restated, cells)),
        statements=statements_of(inputs, restated),
        flags=(*profile.flags, *sorted(flags)),
    )


def section_faults(report: Report, inputs: ReportInputs) -> list[str]:
    """What does not add up in energy and removals of a report that `inputs` gave, in words."""
    profile = profile_of(report.profile)
    energy, _, removals, *_ = report.sections
    return [*energy_faults(energy, inputs, profile), *removal_faults(removals, profile)]
