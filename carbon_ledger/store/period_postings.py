"""The period postings: comparing them with what they rest on, posting what moved.

Belongs here: reading sums and standing lines, the transactions, what a run says of itself. Does
not: which lines there are to be (carbon_ledger.energy.period_postings), when it runs
(carbon_assets.period_postings).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache, partial
from typing import Any, Final

from psycopg.rows import class_row, kwargs_row

from carbon_ledger.energy.period_postings import (
    MeteredSum,
    NotPosted,
    PeriodLine,
    Periods,
    category3_of_days,
    instruments_used,
    market_of_year,
)
from carbon_ledger.energy.vehicle_charging import ChargingSum, charged_kwh
from carbon_ledger.entries import EntryRow, entry_id, reversal_of, sealed
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.factor_book.book import FactorBook
from carbon_ledger.inventory import Inventory
from carbon_ledger.policy import Policy
from carbon_ledger.posting import row_of_period
from carbon_ledger.quantities import PRODUCT
from carbon_ledger.store.claims import lock_claim
from carbon_ledger.store.connect import query
from carbon_ledger.store.factors import list_releases, read_book
from carbon_ledger.store.period_releases import (
    ANOTHER_FIGURE,
    HeldRules,
    MadePeriods,
    held_rules,
    market_by_release,
)
from carbon_ledger.store.reference import fiscal_years, read_register
from carbon_ledger.store.rows import (
    Connection,
    begin_writing,
    insert_identity,
    make_months_aside,
    next_corrections,
    post_entries,
)

# What says the same of two lines, whoever posted them and when.
FIGURE_COLUMNS: Final = (
    *("organization_id", "facility_id", "country_iso2", "region", "local_date"),
    *("occurred_from", "occurred_to", "scope", "category", "basis", "activity_type"),
    *("quantity", "unit", "kgco2e", "gas_split", "kg_co2_fossil", "kg_co2_biogenic", "kg_ch4"),
    *("kg_n2o", "other_gases", "gwp_set", "factor_id", "factor_version", "factor_match"),
    *("vintage_gap_years", "flags", "formula_id", "method", "rule_id", "primary_share"),
    *("activity_scores", "factor_scores"),
)
PLACEHOLDER: Final = "-"
# A transaction that was under way when a run looked is of about its moment.
AROUND: Final = timedelta(minutes=15)
MOMENTS: Final = 8
# kWh by instrument, of an organization, for the year that is looked at (True) or for the others.
Uses = dict[tuple[str, bool], dict[str, Decimal]]


@dataclass(frozen=True, kw_only=True)
class YearDue:
    """A fiscal year to look at, and when that was last done (None: never)."""

    fiscal_year: int
    looked_at: datetime | None


@dataclass(kw_only=True)
class YearOutcome:
    """What a run did with a fiscal year. `delta_kgco2e` by basis: how much the ledger changed;
    `market_releases` by organization: the factor release of its market-based figures;
    `potentials`: the set of global warming potentials of all its figures.
    """

    fiscal_year: int
    known_at: datetime | None = None
    sums: int = 0
    standing: int = 0
    lines_posted: int = 0
    reversals: int = 0
    delta_kgco2e: dict[str, Decimal] = field(default_factory=dict)
    not_posted: list[NotPosted] = field(default_factory=list)
    disclosures: list[str] = field(default_factory=list)
    market_releases: dict[str, str] = field(default_factory=dict)
    potentials: dict[str, str] = field(default_factory=dict)

    @property
    def faults(self) -> list[NotPosted]:
        """What should have had a line and has none."""
        return [one for one in self.not_posted if one.is_fault]


def years_due(conn: Connection) -> list[YearDue]:
    """Years whose meters, or whose reference data, changed since they were last looked at."""
    with conn.cursor(row_factory=class_row(YearDue)) as cursor:
        return cursor.execute(query("period_years_due")).fetchall()


def post_year(
    conn: Connection, fiscal_year: int, policy: Policy, *, code_version: str
) -> YearOutcome:
    """Brings the period postings of a fiscal year to what its standing entries give.

    In one transaction: lines that came out otherwise are reversed, the new ones posted, lines that
    are as they were left alone; a second run posts nothing. `conn` is the writer's, in autocommit.
    """
    outcome = YearOutcome(fiscal_year=fiscal_year)
    # Its months exist: the postings are of the months of their entries, and of those in which
    # fiscal years begin.
    first_months = fiscal_years(conn).first_months
    make_months_aside(conn, [date(fiscal_year, month, 1) for month in first_months])
    with conn.transaction():
        moment = begin_writing(conn)
        lock_claim(conn, f"period postings of {fiscal_year}")
        sums, charging = metered_sums(conn, fiscal_year), charging_sums(conn, fiscal_year)
        names = {one.organization_id for one in sums}
        names |= {plug.organization_id for plug in charging}
        rules = held_rules(conn, fiscal_year, names)
        outcome.potentials = {name: rules[name].gwp_set or policy.gwp_set for name in sorted(names)}
        found, by_organization = _periods(
            conn, sums, charging, fiscal_year, (policy, outcome.potentials), rules, moment
        )
        outcome.market_releases = {name: one.release for name, one in by_organization.items()}
        found += by_organization.values()
        standing = standing_lines(conn, fiscal_year)
        outcome.sums, outcome.standing = len(sums) + len(charging), len(standing)
        outcome.known_at = moment
        for one in found:
            outcome.not_posted += one.periods.not_posted
            outcome.disclosures += one.periods.disclosures
        held = {one.organization_id for one in outcome.faults if one.facility_id == ""}
        backs, news, bases = _changes(found, standing, held, rules, moment, code_version)
        _post(conn, backs, news, bases, moment)
        _account(conn, outcome, [*backs, *news], moment, code_version)
    return outcome


def metered_sums(
    conn: Connection, fiscal_year: int, known_at: datetime | None = None
) -> list[MeteredSum]:
    """The entries of metered energy of a year that stood at a moment (None: that stand now), per
    site, local day and factor.
    """
    with conn.cursor(row_factory=class_row(MeteredSum)) as cursor:
        return cursor.execute(
            query("metered_sums"), {**_span(fiscal_year), "known_at": known_at}
        ).fetchall()


def charging_sums(
    conn: Connection, fiscal_year: int, known_at: datetime | None = None
) -> list[ChargingSum]:
    """The entries of what vehicles were charged with elsewhere in a year that stood at a moment
    (None: that stand now), per place, factor and set of potentials.
    """
    with conn.cursor(row_factory=class_row(ChargingSum)) as cursor:
        return cursor.execute(
            query("charging_sums"), {**_span(fiscal_year), "known_at": known_at}
        ).fetchall()


def charged_energy(
    charging: Iterable[ChargingSum], book_of: Callable[[str], FactorBook], fiscal_year: int
) -> tuple[dict[str, list[tuple[ChargingSum, Decimal]]], list[NotPosted]]:
    """By organization the sums with their kWh, by the book of each one's release; and those whose
    kWh are not known, which are faults of their organization's year.
    """
    found: dict[str, list[tuple[ChargingSum, Decimal]]] = defaultdict(list)
    missing = []
    for one in charging:
        try:
            kwh = charged_kwh(one, book_of(one.factor_release))
        except RejectedRecord as problem:
            missing.append(
                NotPosted(
                    organization_id=one.organization_id,
                    facility_id=one.place,
                    period=str(fiscal_year),
                    code=problem.code,
                    reason=problem.message,
                    is_fault=True,
                )
            )
            continue
        found[one.organization_id].append((one, kwh))
    return found, missing


def standing_lines(conn: Connection, fiscal_year: int) -> list[EntryRow]:
    """The period postings of a year that stand."""
    with conn.cursor(row_factory=kwargs_row(EntryRow)) as cursor:
        return cursor.execute(query("standing_period_lines"), _span(fiscal_year)).fetchall()


def period_bases(conn: Connection, rows: Collection[EntryRow]) -> dict[bytes, str]:
    """What period postings say they rest on, by the payload hash they bear."""
    hashes = sorted({row.payload_sha256 for row in rows})
    return dict(conn.execute(query("period_bases"), {"payload_sha256s": hashes}).fetchall())


def moments_near(conn: Connection, fiscal_year: int, moment: datetime) -> list[datetime]:
    """The MOMENTS moments nearest to one, within AROUND of it, at which something was recorded that
    a year's postings rest on.
    """
    found = conn.execute(
        query("moments_near"),
        {**_span(fiscal_year), "moment": moment, "around": AROUND, "limit": MOMENTS},
    )
    return [row[0] for row in found]


def _span(fiscal_year: int) -> dict[str, date]:
    return {"begin": date(fiscal_year, 1, 1), "end": date(fiscal_year + 1, 1, 1)}


def _periods(
    conn: Connection,
    sums: Sequence[MeteredSum],
    charging: Sequence[ChargingSum],
    year: int,
    policies: tuple[Policy, Mapping[str, str]],
    rules: Mapping[str, HeldRules],
    moment: datetime,
) -> tuple[list[MadePeriods], dict[str, MadePeriods]]:
    """The lines there are to be: category 3 by release and potentials, market-based scope 2 by
    organization. `policies`: the one of now, and the potentials of each organization's year.
    """
    if not sums and not charging:
        return [], {}
    policy, potentials = policies
    register = read_register(conn)
    by_book: dict[tuple[str, str], list[MeteredSum]] = defaultdict(list)
    by_organization: dict[str, list[MeteredSum]] = defaultdict(list)
    for one in sums:
        by_book[one.factor_release, potentials[one.organization_id]].append(one)
        if one.activity_type.partition(":")[0] != "fuel":
            by_organization[one.organization_id].append(one)

    book_of = cache(partial(read_book, conn))

    def inventory(gwp_set: str, release: str) -> Inventory:
        own = replace(policy, gwp_set=gwp_set)
        return Inventory(book=book_of(release), now=moment, policy=own, register=register)

    found = [
        MadePeriods(
            periods=category3_of_days(members, inventory(gwp_set, release)), release=release
        )
        for (release, gwp_set), members in sorted(by_book.items())
    ]
    charged, missing = charged_energy(charging, book_of, year)
    stored = [one.release_id for one in reversed(list_releases(conn))]
    found.append(
        MadePeriods(periods=Periods(lines=(), not_posted=tuple(missing)), release=stored[-1])
    )
    uses = instrument_uses(conn, year)
    market = {}
    for name in sorted({*by_organization, *charged}):
        loads, plugs = by_organization.get(name, []), charged.get(name, [])
        make = partial(
            _market_of,
            (name, loads, year),
            partial(inventory, potentials[name]),
            used_before=used_by_others(uses, (name, True)),
            charging=plugs,
        )
        named = {one.factor_release for one in loads}
        named |= {plug.factor_release for plug, _ in plugs}
        market[name] = market_by_release(make, rules[name], named, stored)
        if not any(one.is_fault for one in market[name].periods.not_posted):
            uses[name, True] = instruments_used(market[name].periods)
    return found, market


def _market_of(
    whose: tuple[str, Sequence[MeteredSum], int],
    inventory: Callable[[str], Inventory],
    release: str,
    **more: Any,
) -> Periods:
    return market_of_year(*whose, inventory(release), **more)


def instrument_uses(conn: Connection, year: int, known_at: datetime | None = None) -> Uses:
    """kWh of instruments that stood as used at a moment (None: that stand now)."""
    found: Uses = {}
    for organization, is_this_year, instrument, kwh in conn.execute(
        query("instrument_uses"), {**_span(year), "known_at": known_at}
    ):
        found.setdefault((organization, is_this_year), {})[instrument] = kwh
    return found


def used_by_others(uses: Uses, leave_out: tuple[str, bool]) -> dict[str, Decimal]:
    """Of each instrument what everybody else uses now: whoever is looked at next gets no more than
    is left, so that no kWh is used twice whichever organization's turn it is.
    """
    total: dict[str, Decimal] = {}
    for key, used in sorted(uses.items()):
        for instrument, kwh in used.items() if key != leave_out else ():
            total[instrument] = PRODUCT.add(total.get(instrument, Decimal(0)), kwh)
    return total


def _changes(
    found: Iterable[MadePeriods],
    standing: Sequence[EntryRow],
    held: set[str],
    rules: Mapping[str, HeldRules],
    moment: datetime,
    code_version: str,
) -> tuple[list[EntryRow], list[EntryRow], dict[bytes, PeriodLine]]:
    """Reversals, new lines (their event ids still to be numbered), and the bases of the new ones.

    An organization whose year is held keeps what was posted of it.
    """
    left = {(row.organization_id, row.activity_ref, row.line_no): row for row in standing}
    backs: list[EntryRow] = []
    news: list[EntryRow] = []
    bases: dict[bytes, PeriodLine] = {}
    for made in found:
        for one in made.periods.lines:
            row = row_of_period(
                one,
                event_id=f"{one.activity_ref}#{PLACEHOLDER}",
                recorded_at=moment,
                release_id=made.release,
                code_version=code_version,
            )
            old = left.pop((row.organization_id, row.activity_ref, row.line_no), None)
            if old is not None and is_same(old, row):
                continue
            if old is not None:
                backs.append(_back(old, moment, _why(old, row, made, rules)))
            news.append(row)
            bases[row.payload_sha256] = one
    for (organization, ref, _), old in sorted(left.items()):
        if not (organization in held and ref.startswith("market:")):
            backs.append(_back(old, moment, "nothing it rests on stands any more"))
    return backs, news, bases


def _why(old: EntryRow, new: EntryRow, made: MadePeriods, rules: Mapping[str, HeldRules]) -> str:
    if old.factor_release != made.release:
        return made.why_moved
    is_moved = old.gwp_set != new.gwp_set
    return rules[new.organization_id].why_other_potentials if is_moved else ANOTHER_FIGURE


def _back(old: EntryRow, moment: datetime, why: str) -> EntryRow:
    return reversal_of(old, recorded_at=moment, cause=f"period posting: {why}")


def is_same(one: EntryRow, other: EntryRow) -> bool:
    """Whether two lines of a period say the same; when and by which code is not looked at."""
    return all(getattr(one, name) == getattr(other, name) for name in FIGURE_COLUMNS)


def _post(
    conn: Connection,
    backs: Sequence[EntryRow],
    news: Sequence[EntryRow],
    bases: dict[bytes, PeriodLine],
    moment: datetime,
) -> None:
    """Reversals and new lines in the caller's transaction; each activity's lines are one event."""
    if not backs and not news:
        return
    numbers = next_corrections(conn, {row.activity_ref for row in news})
    rows = list(backs)
    for row in sorted(news, key=lambda row: (row.activity_ref, row.line_no)):
        event_id = f"{row.activity_ref}#c{numbers[row.activity_ref]}"
        number = entry_id(event_id, row.line_no, row.occurred_to)
        rows.append(sealed(replace(row, event_id=event_id, entry_id=number)))
    seen: set[str] = set()
    for row in rows[len(backs) :]:
        if row.event_id not in seen:
            seen.add(row.event_id)
            insert_identity(conn, row)
    for sha256, one in bases.items():
        conn.execute(
            query("insert_period_basis"),
            {
                "payload_sha256": sha256,
                "organization_id": one.organization_id,
                "basis_text": one.basis_text,
                "recorded_at": moment,
            },
        )
    post_entries(conn, rows, recorded_at=moment, kind="period")


def _account(
    conn: Connection,
    outcome: YearOutcome,
    rows: Sequence[EntryRow],
    moment: datetime,
    code_version: str,
) -> None:
    for row in rows:
        outcome.reversals += row.is_reversal
        outcome.lines_posted += not row.is_reversal
        so_far = outcome.delta_kgco2e.get(row.basis, Decimal(0))
        outcome.delta_kgco2e[row.basis] = PRODUCT.add(so_far, row.kgco2e)
    total = Decimal(0)
    for kgco2e in outcome.delta_kgco2e.values():
        total = PRODUCT.add(total, kgco2e)
    conn.execute(
        query("insert_period_run"),
        {
            "fiscal_year": outcome.fiscal_year,
            "known_at": moment,
            "lines_posted": outcome.lines_posted,
            "reversals": outcome.reversals,
            "not_posted": len(outcome.not_posted),
            "delta_kgco2e": total,
            "code_version": code_version,
        },
    )
