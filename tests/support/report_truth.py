"""A report beside what it must say: the comparison, cells without a figure, plain SQL.

Belongs here: telling where a report and an expectation differ, and adding up the ledger's entries
in statements of the tests' own. Does not: the expectation (scripts.demo_report_truth), any query of
the product's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from carbon_ledger.reporting.tables import Report
from scripts.demo_sums import Cells, Figure, Take
from tests.support.postgres import Connection

WORDS: Final = "words, which no sum is"
PART: Final = (
    "a group of entries that rows are sums of, named after the ledger's factors; the rows are "
    "compared, and tests/stack/test_report_trail.py follows it to its entries"
)
NOT_STATED: Final = "the company states neither removals nor credits: empty"
# Cells that the truth has no figure of, by the whole of their id, and why.
WITHOUT_FIGURE: Final[Mapping[str, str]] = {
    r"E1-5/part/(current|comparative)/.*": PART,
    r"E1-6/screening/category_\d\d/(status|reason)": WORDS,
    r"E1-7/.*": NOT_STATED,
    r"CDP-7\.5/.*/(base_year_end|details)": WORDS,
    r"CDP-7\.[67]/.*/(end_date|details)": WORDS,
    r"CDP-7\.8/.*/(status|methodology|explanation)": WORDS,
    r"CDP-7\.8\.1/.*/(end_date|comment)": WORDS,
    r"CDP-7\.9/.*/status": WORDS,
    r"CDP-7\.9\.1/.*/(cycle|status|type|statement|page|standard)": WORDS,
    r"CDP-7\.1[01]/answer/comparison": WORDS,
    r"CDP-7\.10\.1/.*/(direction|calculation)": WORDS,
    r"CDP-7\.10\.2/answer/figure": WORDS,
    r"CDP-7\.11\.1/.*/(direction|reason|explanation)": WORDS,
    r"CDP-7\.12/answer/relevant": WORDS,
    r"CDP-7\.12\.1/biogenic/comment": WORDS,
    r"CDP-7\.(15|17|20|23)/answer/answer": WORDS,
    r"CDP-7\.15\.1/.*/gwp_reference": WORDS,
    r"CDP-7\.17\.2/.*/(latitude|longitude)": "the company's sites have no registered place: empty",
    r"CDP-7\.22/.*/explanation": WORDS,
    r"CDP-7\.23\.1/.*/(activity|identifiers)": WORDS,
    r"CDP-7\.30/.*/undertaken": WORDS,
    r"CDP-7\.30\.1/part/.*": PART,
    r"CDP-7\.30\.[17]/.*/(heating_value|comment)": WORDS,
    r"CDP-7\.30\.14/.*/electricity:market.*": PART,
    r"CDP-7\.30\.14/.*/(tracking|origin|commissioned|method|carrier|technology|is_able|comment)": (
        WORDS
    ),
    r"CDP-7\.30\.16/[A-Z]{2}/electricity:market.*": PART,
    r"CDP-7\.30\.(9|16)/(electricity|[A-Z]{2})/generated\|.*": PART,
    r"CDP-7\.45/.*/(metric|scope_2_figure|direction|reasons|explanation)": WORDS,
}


def reason_without_figure(cell_id: str) -> str | None:
    """Why the truth has no figure of a cell; None if it should."""
    for pattern, reason in WITHOUT_FIGURE.items():
        if re.fullmatch(pattern, cell_id):
            return reason
    return None


def differences(report: Report, expected: Cells) -> list[str]:
    """Where a report does not say what is expected, each in words: a figure that is another, a cell
    that is not there, one that nobody expects and no list names, and a figure where none can be.
    """
    cells = report.cells()
    found = []
    for cell_id, cell in cells.items():
        reason = reason_without_figure(cell_id)
        if cell_id in expected:
            figure = Fraction(cell.value) if isinstance(cell.value, Decimal) else None
            if isinstance(cell.value, str) or figure != expected[cell_id]:
                found.append(f"{cell_id} is {cell.value}, expected {_told(expected[cell_id])}")
        elif reason is None:
            found.append(f"{cell_id} is {cell.value}, and nobody says what it must be")
        elif reason != PART and isinstance(cell.value, Decimal):
            found.append(f"{cell_id} is {cell.value}, but: {reason}")
    found += [f"{cell_id} is not there" for cell_id in sorted(expected.keys() - cells.keys())]
    return found


def _told(figure: Figure) -> str:
    if figure is None:
        return "nothing"
    scaled = figure * 10**30
    whole = scaled.denominator == 1
    return f"{Decimal(scaled.numerator).scaleb(-30).normalize():f}" if whole else str(figure)


MEASURES: Final[Mapping[str, str]] = {
    "kgco2e": "kgco2e",
    "CO2": "coalesce(kg_co2_fossil, 0)",
    "CH4": "coalesce(kg_ch4, 0)",
    "N2O": "coalesce(kg_n2o, 0)",
    "biogenic": "coalesce(kg_co2_biogenic, 0)",
    "amount": "quantity * case unit when 'MWh' then 1000 else 1 end",
    "primary": "kgco2e * primary_share",
    "substitute": "case when flags like '%%boundary_substitute%%' then kgco2e else 0 end",
}
OWN: Final = "rule:S2-OWN-GENERATION"


@dataclass(kw_only=True)
class PlainSql:
    """Sums of ledger.entry, one statement each. A reversal carries the opposite figure, so that a
    plain sum is of what stands; `recorded_by` leaves out what came later.
    """

    conn: Connection
    organization: str
    recorded_by: Any = "infinity"
    known: dict[Take, Figure] = field(default_factory=dict)

    def of(self, take: Take) -> Figure:
        """The exact sum; None where no entry that stands is taken."""
        if take not in self.known:
            where, given = self._where(take)
            row = self.conn.execute(
                f"select sum({MEASURES[take.measure]}),"
                " sum(case when reverses_id is null then 1 else -1 end)"
                f" from ledger.entry where {where}".encode(),
                given,
            ).fetchone()
            assert row is not None
            total, standing = row
            self.known[take] = Fraction(total) if standing else None
        return self.known[take]

    def values(self, name: str, year: int) -> list[str]:
        """The different sites or countries of a year's entries."""
        column = {"site": "facility_id", "country": "country_iso2"}[name]
        where, given = self._where(Take(year=year))
        rows = self.conn.execute(
            f"select distinct {column} from ledger.entry where {where}".encode(),
            given,
        )
        return sorted(value for (value,) in rows)

    def _where(self, take: Take) -> tuple[str, list[Any]]:
        wanted: list[tuple[str, Any]] = [
            ("organization_id = %s", self.organization),
            ("recorded_at <= %s", self.recorded_by),
            ("local_date >= make_date(%s, 1, 1)", take.year),
            ("local_date < make_date(%s, 1, 1)", take.year + 1),
            ("activity_month >= make_date(%s, 1, 1)", take.year),
            ("activity_month < make_date(%s, 1, 1)", take.year + 1),
            ("scope = %s", take.scope),
            ("category = %s", take.category),
            ("basis = %s", take.basis),
            ("basis <> all(%s)", list(take.without_bases) or None),
            ("country_iso2 = %s", take.country),
            ("facility_id = any(%s)", None if take.sites is None else list(take.sites)),
            ("activity_type = any(%s)", take.activities and list(take.activities)),
        ]
        if take.instrument == "":
            wanted.append(("factor_id not like 'instrument:%%' and factor_id <> %s", OWN))
        elif take.instrument is not None:
            own = take.instrument == "own"
            wanted.append(("factor_id = %s", OWN if own else f"instrument:{take.instrument}"))
        asked = [(words, value) for words, value in wanted if value is not None]
        return " and ".join(words for words, _ in asked), [value for _, value in asked]
