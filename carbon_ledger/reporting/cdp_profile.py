"""Versions of CDP's full corporate questionnaire, module 7, and tables in the shape they ask for.

Belongs here: which year has which questions, the table of a question, texts against its lists. Does
not: questions and lists (cdp_questions, cdp_energy_questions), how an answer is made
(cdp_emissions, cdp_breakdowns, cdp_intensity, cdp_energy).

`cdp_2025` has the numbers of the questionnaires of 2024 and 2025, from a mirror of their question
table. The lists to choose from were not checked against the questionnaire's own text, and every
report says so with the flag `cdp_lists_not_checked`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from carbon_ledger.errors import BrokenInvariant, ConfigurationError
from carbon_ledger.reporting.cdp_energy_questions import ENERGY_LISTS, ENERGY_QUESTIONS
from carbon_ledger.reporting.cdp_questions import LISTS, MANY, OTHER, QUESTIONS, Question
from carbon_ledger.reporting.tables import Column, Row, Table

NAME: Final = "cdp"
CDP_PROFILE: Final = "cdp_2025"


@dataclass(frozen=True, kw_only=True, slots=True)
class CdpProfile:
    """One year's questionnaire: its title, questions in order, and what every report flags."""

    profile_id: str
    title: str
    questions: Mapping[str, Question]
    lists: Mapping[str, tuple[str, ...]]
    citation: str
    flags: tuple[str, ...] = ()


def _in_order(questions: Mapping[str, Question]) -> dict[str, Question]:
    """Questions by their numbers, 7.9 before 7.10."""
    return {
        number: questions[number]
        for number in sorted(questions, key=lambda one: tuple(map(int, one.split("."))))
    }


CDP_PROFILES: Final[Mapping[str, CdpProfile]] = {
    CDP_PROFILE: CdpProfile(
        profile_id=CDP_PROFILE,
        title="CDP full corporate questionnaire, module 7: environmental performance, climate",
        questions=_in_order({**QUESTIONS, **ENERGY_QUESTIONS}),
        lists={**LISTS, **ENERGY_LISTS},
        citation="CDP full corporate questionnaire 2024/2025, question {number} (numbers and "
        "columns from a mirror of the question table)",
        flags=("cdp_lists_not_checked",),
    )
}


def cdp_profile(profile_id: str) -> CdpProfile:
    """The profile; ConfigurationError `unknown_profile` naming those there are."""
    if profile_id not in CDP_PROFILES:
        raise ConfigurationError(
            "unknown_profile",
            f"{profile_id[:60]!r} is no CDP profile; valid are {', '.join(CDP_PROFILES)}",
        )
    return CDP_PROFILES[profile_id]


def table_id(number: str) -> str:
    """What the table of a question is called in a report."""
    return f"CDP-{number}"


def cell_id(number: str, row_id: str, column_id: str) -> str:
    """What a cell of a question is called."""
    return f"{table_id(number)}/{row_id}/{column_id}"


def table_of(
    profile: CdpProfile, number: str, rows: Iterable[Row], notes: Sequence[str] = ()
) -> Table:
    """The answer of a question: its columns in the questionnaire's order.

    Raises BrokenInvariant `cdp_column` for a cell in a column that the question does not have.
    """
    question = profile.questions[number]
    names = [one.column_id for one in question.columns]
    kept = []
    for row in rows:
        if not row.cells.keys() <= set(names):
            strange = ", ".join(sorted(row.cells.keys() - set(names)))
            raise BrokenInvariant("cdp_column", f"question {number} has no column {strange}")
        kept.append(
            replace(row, cells={name: row.cells[name] for name in names if name in row.cells})
        )
    return Table(
        table_id=table_id(number),
        title=f"{number} {question.title}",
        columns=tuple(
            Column(column_id=one.column_id, heading=one.heading, unit=one.unit)
            for one in question.columns
        ),
        rows=tuple(kept),
        notes=tuple(notes),
        citation=profile.citation.format(number=number),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class NotInList:
    """A text that is none of the list it is chosen from; `cell_id` is of its cell or row."""

    cell_id: str
    text: str
    valid: tuple[str, ...]


def not_in_lists(profile: CdpProfile, tables: Iterable[Table]) -> list[NotInList]:
    """Every text of the tables that may not be chosen in its column, or for its row."""
    questions = {table_id(one.number): one for one in profile.questions.values()}
    return [
        NotInList(cell_id=name, text=text, valid=profile.lists[choices])
        for table in tables
        if table.table_id in questions
        for row in table.rows
        for name, text, choices in _chosen(questions[table.table_id], row)
        if not _is_in(text, profile.lists[choices])
    ]


def _chosen(question: Question, row: Row) -> Iterator[tuple[str, str, str]]:
    """What a row chooses from lists: the cell, the text, the list."""
    if question.row_choices:
        yield f"{table_id(question.number)}/{row.row_id}", row.label, question.row_choices
    for asked in question.columns:
        cell = row.cells.get(asked.column_id)
        if cell is None or not asked.choices or not isinstance(cell.value, str):
            continue
        for text in cell.value.split(MANY) if asked.is_multiple else [cell.value]:
            yield cell.cell_id, text, asked.choices


def _is_in(text: str, valid: Sequence[str]) -> bool:
    return text in valid or (OTHER in valid and text.startswith(f"{OTHER}: "))
