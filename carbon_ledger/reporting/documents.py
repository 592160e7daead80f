"""The documents a report is given out as: by name what each is, and its bytes.

Belongs here: the list of formats. Does not: how each is made (report_html, report_xlsx, report_csv,
report_xbrl, report_json), who may have it.

All of them are made with the standard library alone, in this room: a reported document is to come
out byte for byte the same after years, so no library's version may have a say in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.reporting.report_csv import report_to_csv
from carbon_ledger.reporting.report_html import report_to_html
from carbon_ledger.reporting.report_json import report_to_json
from carbon_ledger.reporting.report_xbrl import report_to_xbrl_json
from carbon_ledger.reporting.report_xlsx import report_to_xlsx
from carbon_ledger.reporting.tables import Report


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """A format: its name, how a file of it ends, and its media type."""

    name: str
    suffix: str
    media_type: str
    is_text: bool = True


FORMATS: Final[dict[str, Format]] = {
    one.name: one
    for one in (
        Format(name="json", suffix=".json", media_type="application/json"),
        Format(name="html", suffix=".html", media_type="text/html; charset=utf-8"),
        Format(
            name="xlsx",
            suffix=".xlsx",
            media_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            is_text=False,
        ),
        Format(name="csv", suffix=".csv", media_type="text/csv; charset=utf-8"),
        Format(name="xbrl-json", suffix=".xbrl.json", media_type="application/json"),
    )
}


def document(report: Report, name: str, *, lineage_url: str = "", lei: str = "") -> bytes:
    """The report in a format; the same arguments give the same bytes.

    `lineage_url` is where the lineage of cells is (HTML, XLSX), `lei` the organization's legal
    entity identifier (xBRL-JSON). Raises ConfigurationError `unknown_format`, and what the formats
    raise.
    """
    if name == "xlsx":
        return report_to_xlsx(report, lineage_url=lineage_url)
    if name == "json":
        return report_to_json(report).encode()
    if name == "html":
        return report_to_html(report, lineage_url=lineage_url).encode()
    if name == "csv":
        return report_to_csv(report).encode()
    if name == "xbrl-json":
        return report_to_xbrl_json(report, lei=lei).encode()
    raise ConfigurationError(
        "unknown_format", f"{name[:40]!r} is no format; valid are {', '.join(FORMATS)}"
    )
