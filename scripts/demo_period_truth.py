"""What the ledger must post per period of the demo company's meters, worked out apart from it.

Belongs here: category 3 per site and day, and scope 2 market-based per site and year, from the
oracle's own lines (scripts.demo_truth), by docs/accounting.md and docs/period-postings.md. Does
not: anything of the ledger's code; a test holds this module to the standard library.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from scripts.demo_published import Row
from scripts.demo_truth import Line, Oracle

CRITERIA = (
    *("conveys_emission_rate", "is_only_claim", "is_tracked_and_retired", "has_close_vintage"),
    *("is_of_same_market", "has_residual_mix_or_discloses"),
)


def period_lines(
    lines: Iterable[Line], reference: Mapping[str, Sequence[Row]], restated: Sequence[Row] = ()
) -> list[Line]:
    """Every line that is posted per period of these standing lines."""
    oracle = Oracle(reference=reference, restated=restated)
    metered = [one for one in lines if one.activity in METERED]
    return [*_category_3(metered, oracle), *_market(metered, oracle)]


METERED = ("electricity:grid", "self_generated:solar", "fuel:natural_gas")


def _category_3(metered: Sequence[Line], oracle: Oracle) -> list[Line]:
    """Per site, day and kind of energy: upstream, losses, and the upstream of these.

    A life cycle figure has all of it already, so that electricity by one has no line.
    """
    days: dict[tuple[str, str, str], list[Line]] = defaultdict(list)
    for one in metered:
        days[one.site, one.day, one.activity].append(one)
    found = []
    for (_, _, activity), members in sorted(days.items()):
        first, amount = members[0], sum((one.amount for one in members), Fraction(0))
        rates = _rates(first, oracle) if activity != "self_generated:solar" else ()
        found += [
            replace(
                first,
                scope=3,
                category=3,
                basis="combustion" if activity == "fuel:natural_gas" else "location",
                exact=amount * rate,
                is_primary=False,
                is_substitute=False,
                masses={},
            )
            for rate in rates
        ]
    return found


def _rates(line: Line, oracle: Oracle) -> tuple[Fraction, ...]:
    """kgCO2e per kWh of each line of category 3."""
    if line.activity == "fuel:natural_gas":
        return (oracle.tables.fuel("Natural gas", "wtt", "kwh_gross", line.year),)
    row = oracle.tables.grid_row(line.country, _region(line, oracle), line.year)
    if line.is_substitute or oracle.is_restated(line.country, line.year):
        # Neither upstream nor a loss rate of these years is published beside a restated figure.
        return ()
    if line.country == "US":
        # The national loss is of what is put into the grid; no upstream is published.
        loss = oracle.tables.one("td_losses/epa_hub_2025", country_iso2="US", region="")
        share = Fraction(loss["td_loss_pct"]) / 100
        return (Fraction(row["kgco2e_per_kwh"]) * share / (1 - share),)
    upstream, lost = (Fraction(row[f"{name}_kgco2e_per_kwh"]) for name in ("upstream", "td"))
    return upstream, lost, upstream * lost / Fraction(row["kgco2e_per_kwh"])


def _region(line: Line, oracle: Oracle) -> str | None:
    row = oracle.row("site", facility_id=line.site)
    return None if row is None else row.get("region")


def _market(metered: Sequence[Line], oracle: Oracle) -> list[Line]:
    """Per site and year: kWh that a valid instrument of the site covers at its rate, the rest by
    the grid, since no residual mix is registered; own generation by nothing.
    """
    years: dict[tuple[str, int, str], list[Line]] = defaultdict(list)
    for one in metered:
        if one.scope == 2:
            years[one.site, one.year, one.activity].append(one)
    found = []
    for (site, year, activity), members in sorted(years.items()):
        amount = sum((one.amount for one in members), Fraction(0))
        said = replace(
            members[0],
            basis="market",
            activity="electricity:market",
            is_substitute=False,
            masses={},
        )
        if activity == "self_generated:solar":
            found.append(replace(said, exact=Fraction(0), amount=amount, instrument="own"))
            continue
        for instrument in oracle.reference["instrument"]:
            if instrument["facility_id"] != site or not _is_valid(instrument, year):
                continue
            covered = min(amount, Fraction(instrument["volume_kwh"]))
            rate = Fraction(instrument["emission_rate_kgco2e_per_kwh"])
            name = instrument["instrument_id"]
            found.append(replace(said, exact=covered * rate, amount=covered, instrument=name))
            amount -= covered
        grid = oracle.grid(said.country, _region(said, oracle), year)
        found.append(replace(said, exact=amount * grid, amount=amount))
    return found


def _is_valid(instrument: Row, year: int) -> bool:
    """In force for the year, and failing no criterion that is asked of its kind."""
    criteria = [instrument[name] for name in CRITERIA]
    if instrument["kind"] == "supplier_rate":
        criteria.append(instrument["is_net_of_sold_certificates"])
    begins, ends = instrument["valid_from"], instrument.get("valid_to", "9999")
    return begins <= f"{year}-01-01" and ends >= f"{year + 1}-01-01" and set(criteria) == {"yes"}
