"""The country list against the time zone database's own copy of ISO 3166-1."""

from __future__ import annotations

from importlib import resources

import pytest

from carbon_ledger.countries import COUNTRY_NAMES, require_country
from carbon_ledger.errors import RejectedRecord


def test_the_codes_are_those_of_iso_3166_1_and_kosovo() -> None:
    table = (resources.files("tzdata") / "zoneinfo" / "iso3166.tab").read_text(encoding="utf-8")
    codes = {line.split("\t")[0] for line in table.splitlines() if line and line[0] != "#"}
    assert len(codes) > 240
    assert set(COUNTRY_NAMES) == codes | {"XK"}


@pytest.mark.parametrize(
    ("text", "hint"), [("UK", "GB"), ("EL", "GR"), ("de", "DE"), (" FR", "FR"), ("ZZ", None)]
)
def test_a_lookalike_is_refused_with_a_hint(text: str, hint: str | None) -> None:
    with pytest.raises(RejectedRecord) as refusal:
        require_country(text)
    assert refusal.value.code == "unknown_country"
    assert (f"did you mean {hint}" in str(refusal.value)) == (hint is not None)


def test_a_country_passes() -> None:
    assert require_country("XK") == "XK"
