"""Module 7 of CDP's questionnaire for one organization and fiscal year: its answers together.

Belongs here: which answers there are, in the questionnaire's order. Does not: the answers.
"""

from __future__ import annotations

from carbon_ledger.reporting.cdp_answers import Answers
from carbon_ledger.reporting.cdp_breakdowns import breakdowns
from carbon_ledger.reporting.cdp_emissions import emissions
from carbon_ledger.reporting.cdp_energy import energy
from carbon_ledger.reporting.cdp_intensity import comparisons, intensities
from carbon_ledger.reporting.cdp_profile import CDP_PROFILE, NAME, cdp_profile, table_id
from carbon_ledger.reporting.inputs import ReportInputs
from carbon_ledger.reporting.restatements import restated_sections, restatements_of
from carbon_ledger.reporting.statements import statements_of
from carbon_ledger.reporting.tables import Report, Section


def cdp_module_7(inputs: ReportInputs, profile_id: str = CDP_PROFILE) -> Section:
    """The tables of module 7 in the order of its questions; ConfigurationError `unknown_profile`.

    Its cells name entries and each other only, never a cell of another report.
    """
    answers = Answers(inputs=inputs, profile=cdp_profile(profile_id))
    made = (
        *emissions(answers),
        *comparisons(answers),
        *breakdowns(answers),
        *energy(answers),
        intensities(answers),
    )
    order = {table_id(number): at for at, number in enumerate(answers.profile.questions)}
    tables = tuple(sorted(made, key=lambda one: order[one.table_id]))
    return Section(tables=tables, cells=answers.maker.made)


def cdp(inputs: ReportInputs, profile_id: str = CDP_PROFILE) -> Report:
    """The report; ConfigurationError `unknown_profile`."""
    profile = cdp_profile(profile_id)
    section = cdp_module_7(inputs, profile_id)
    restated = restatements_of(inputs, section.cells, profile_id)
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
        sections=(section, *restated_sections(restated, section.cells)),
        statements=statements_of(inputs, restated),
        flags=profile.flags,
    )
