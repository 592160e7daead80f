"""How figures and texts of a report are written for readers: rounded, escaped, and found again.

Belongs here: what all documents for people share. Does not: the documents (report_html,
report_xlsx, report_csv), figures themselves, which are never rounded.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final
from urllib.parse import quote

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.quantities import canonical_text

# Decimals a reader sees of a figure in a unit; a currency has two, any other unit six digits.
DECIMALS: Final[dict[str, int]] = {
    "%": 2,
    "MWh": 3,
    "kgCO2e": 3,
    "kg": 3,
    "tCO2": 3,
    "tCO2e": 3,
}
CURRENCY: Final = re.compile(r"[A-Z]{3}")
CURRENCY_DECIMALS: Final = 2
DIGITS: Final = 6
# A figure that its decimals would show as nothing shows this many digits instead.
DIGITS_OF_SMALL: Final = 3
READING: Final = Context(prec=200, rounding=ROUND_HALF_EVEN)
ROUNDING_NOTE: Final = (
    "Figures are rounded for reading only, half to even, to the decimals shown; nothing is "
    "calculated from a rounded figure."
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


def decimals_shown(value: Decimal, unit: str) -> int:
    """How many decimals of a figure a reader sees."""
    known = DECIMALS.get(unit, CURRENCY_DECIMALS if CURRENCY.fullmatch(unit) else None)
    if not value:
        return known or 0
    if known is None:
        wanted = max(0, DIGITS - 1 - value.adjusted())
        _, _, exact = canonical_text(value).partition(".")
        return min(wanted, len(exact))
    return known if value.adjusted() >= -known else DIGITS_OF_SMALL - 1 - value.adjusted()


def read_figure(value: Decimal, unit: str) -> str:
    """The figure as a reader sees it: half-even, thousands apart; without its unit."""
    rounded = value.quantize(Decimal(1).scaleb(-decimals_shown(value, unit)), context=READING)
    return f"{rounded:,f}" if rounded else f"{abs(rounded):,f}"


def printable(text: str) -> str:
    """The text without characters that documents cannot hold; U+FFFD stands for each."""
    return _CONTROL.sub("\ufffd", text)


def heading(table_id: str, title: str) -> str:
    """What stands above a table: its id and title; the title alone if it begins with the number the
    id ends with.
    """
    number, _, _ = title.partition(" ")
    return title if number and table_id.endswith(f"-{number}") else f"{table_id} {title}"


def anchor(cell_id: str) -> str:
    """The place of a cell in a document: its id, with what a place may not hold percent-encoded."""
    return quote(printable(cell_id), safe="/-._~:+")


def lineage_link(lineage_url: str, cell_id: str) -> str:
    """Where the lineage of a cell is: the address given, and the cell's id; "" without address.

    Raises ConfigurationError `lineage_url` for what is no web address and no path.
    """
    if not lineage_url:
        return ""
    is_path = lineage_url.startswith("/") and not lineage_url.startswith("//")
    if not is_path and not lineage_url.startswith(("https://", "http://")):
        raise ConfigurationError(
            "lineage_url",
            f"{lineage_url[:60]!r} is no address of lineage; valid is https://…, http://… or a "
            "path such as /v1/lineage/cells/",
        )
    return lineage_url + quote(printable(cell_id), safe="/-._~:")


def is_like_a_formula(text: str) -> bool:
    """Whether a spreadsheet would take the text for a formula."""
    return text.startswith(FORMULA_STARTS)


def marked_as_text(text: str) -> str:
    """The text, with an apostrophe before it where a spreadsheet would take it for a formula."""
    return f"'{text}" if is_like_a_formula(text) else text
