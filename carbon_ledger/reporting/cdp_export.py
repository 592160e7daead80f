"""An answer as rows of text in the questionnaire's shape, and as CSV.

Belongs here: headings and rows as the questionnaire has them. Does not: documents of a report with
its trail.
"""

from __future__ import annotations

import csv
import io
from decimal import Decimal

from carbon_ledger.quantities import canonical_text
from carbon_ledger.reporting.cdp_profile import CdpProfile, table_id
from carbon_ledger.reporting.reading import marked_as_text
from carbon_ledger.reporting.tables import Cell, Table


def question_rows(profile: CdpProfile, table: Table) -> list[list[str]]:
    """Headings, then rows: the row's label first, exact decimals, "" for what is blank or empty.

    KeyError for a table that is no question of the profile.
    """
    questions = {table_id(one.number): one for one in profile.questions.values()}
    question = questions[table.table_id]
    names = [one.column_id for one in question.columns]
    return [
        [question.of, *(one.heading for one in question.columns)],
        *(
            [marked_as_text(row.label), *(_text(row.cells.get(name)) for name in names)]
            for row in table.rows
        ),
    ]


def question_csv(profile: CdpProfile, table: Table) -> str:
    """The rows as CSV (RFC 4180); the same answer gives the same text."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerows(question_rows(profile, table))
    return written.getvalue()


def _text(cell: Cell | None) -> str:
    if cell is None or cell.value is None:
        return ""
    if isinstance(cell.value, Decimal):
        return canonical_text(cell.value)
    return marked_as_text(cell.value)
