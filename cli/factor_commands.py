"""`carbon factors …`: loading, importing, listing, comparing and explaining factors.

Belongs here: options, files, tables on a terminal, JSON. Does not: which factor applies
(factor_book.book), what a licensed row becomes (factor_book.importing), storing
(carbon_ledger.store.factors).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click
import yaml

from carbon_ledger.errors import ConfigurationError, RejectedRecord
from carbon_ledger.factor_book.book import (
    ENERGY_SOURCE_ALIASES,
    ENERGY_SOURCES,
    ActivityQuery,
    Candidate,
    FactorBook,
    FactorMatch,
    FactorQuery,
)
from carbon_ledger.factor_book.diff import ReleaseDiff, diff
from carbon_ledger.factor_book.importing import (
    ImportMapping,
    imported,
    merged_release,
    parse_mapping,
)
from carbon_ledger.factor_book.rows import Factor
from carbon_ledger.policy import Policy
from carbon_ledger.settings import load as load_settings
from carbon_ledger.store.factors import (
    latest_release_id,
    list_releases,
    read_book,
    read_release,
    store_release,
)
from cli.ledger_commands import DATE, open_database, table

SHOWN_MAX = 10
PROBLEMS_SHOWN_MAX = 20


@click.group()
def factors() -> None:
    """Load, import, list, compare and explain emission factors."""


@factors.command("load")
def factors_load() -> None:
    """Store the shipped release; rows that are there already stay as they are."""
    from factor_seeds.load import release

    shipped = release()
    with open_database("WRITER") as conn:
        inserted = store_release(conn, shipped)
    click.echo(
        f"{shipped.release_id}: {len(shipped.rows)} factors, {inserted} of them new, and "
        f"{len(shipped.index_rows)} potentials, rates and indices."
    )


@factors.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def factors_list(as_json: bool) -> None:
    """List the stored releases, newest first."""
    with open_database("READER") as conn:
        releases = list_releases(conn)
    if as_json:
        answer = [
            {
                "release_id": one.release_id,
                "factors": one.factor_count,
                "indices": one.index_count,
                "sha256": one.sha256.hex(),
                "recorded_at": one.recorded_at.isoformat(),
            }
            for one in releases
        ]
        click.echo(json.dumps(answer, indent=2))
    elif releases:
        heads = ("release", "sha256", "stored at", "factors", "indices")
        rows = [
            (
                one.release_id,
                one.sha256.hex()[:16],
                f"{one.recorded_at:%F %T} UTC",
                one.factor_count,
                one.index_count,
            )
            for one in releases
        ]
        click.echo(table(heads, rows, right=2))
    else:
        click.echo("No factors are loaded; load the shipped ones with `carbon factors load`.")


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What a query got, or why it got nothing, and every row that was looked at."""

    release_id: str
    match: FactorMatch | None
    refusal: RejectedRecord | None
    candidates: Sequence[Candidate]


@factors.command("explain")
@click.argument("what", metavar="SOURCE|FAMILY")
@click.argument("country_iso2", metavar="COUNTRY")
@click.argument("on", type=DATE, metavar="DATE")
@click.option("--region", help="ISO 3166-2 code or the publisher's name of a grid region.")
@click.option(
    "--where",
    "where",
    multiple=True,
    metavar="COLUMN=TEXT",
    help="A selector of the family, e.g. --where stage=combustion; may be repeated.",
)
@click.option("--unit", help="A unit the activity is stated in.")
@click.option("--release", "release_id", help="A stored release; the newest if left out.")
@click.option("--all", "show_all", is_flag=True, help="Every row that was looked at.")
@click.option("--json", "as_json", is_flag=True, help="For programs; all rows, numbers as texts.")
def factors_explain(
    what: str,
    country_iso2: str,
    on: datetime,
    region: str | None,
    where: tuple[str, ...],
    unit: str | None,
    release_id: str | None,
    show_all: bool,
    as_json: bool,
) -> None:
    """Show which factor an activity of that day gets, and why no other.

    \b
    An energy source (grid, coal, ...), or a family of factors and its selectors; COUNTRY is - where
    there is none:
      carbon factors explain grid KR 2018-01-01
      carbon factors explain fuel GB 2025-06-30 --where "fuel=Natural gas" \\
          --where stage=combustion --unit kWh_gross
    """
    with open_database("READER") as conn:
        book = read_book(conn, release_id or latest_release_id(conn))
    gap_max = int(load_settings()["CARBON_MAX_VINTAGE_GAP_YEARS"])
    if what in (*ENERGY_SOURCES, *ENERGY_SOURCE_ALIASES):
        if where or unit:
            raise click.UsageError("--where and --unit belong to families other than electricity")
        asked = FactorQuery(
            energy_source=what, country_iso2=country_iso2, activity_date=on.date(), region=region
        )
        found = explanation(book, lambda: book.match(asked, gap_max), book.explain(asked, gap_max))
    else:
        pairs = [text.partition("=") for text in where]
        if not all(separator for _, separator, _ in pairs):
            raise click.UsageError("--where is COLUMN=TEXT, e.g. --where stage=combustion")
        query = ActivityQuery(
            family=what,
            selectors=tuple((column, text) for column, _, text in pairs),
            activity_date=on.date(),
            country_iso2=None if country_iso2 == "-" else country_iso2,
            region=region,
            unit=unit,
        )
        policy = Policy(max_vintage_gap_years=gap_max)
        found = explanation(
            book, lambda: book.find(query, policy), book.explain_activity(query, policy)
        )
    if as_json:
        click.echo(json.dumps(explanation_as_json(found), indent=2))
    else:
        show(found, show_all)
    if found.refusal is not None:
        raise ConfigurationError(found.refusal.code, str(found.refusal))


def explanation(
    book: FactorBook, match: Callable[[], FactorMatch], candidates: Sequence[Candidate]
) -> Explanation:
    """What `match` gives or refuses, beside the rows that were looked at."""
    found, refusal = None, None
    try:
        found = match()
    except RejectedRecord as error:
        refusal = error
    return Explanation(
        release_id=book.release_id, match=found, refusal=refusal, candidates=candidates
    )


def show(found: Explanation, show_all: bool) -> None:
    """The explanation on a terminal."""
    click.echo(f"release    {found.release_id}")
    if found.match is not None:
        chosen = found.match.factor
        click.echo(f"factor     {chosen.factor_id} version {chosen.version}")
        click.echo(f"value      {chosen.kgco2e_per_unit:f} kgCO2e per {chosen.unit}")
        click.echo(f"publisher  {chosen.publisher}: {chosen.dataset}")
        click.echo(f"licence    {chosen.licence}")
        click.echo(f"matched    {found.match.how_matched}")
        gap = found.match.vintage_gap_years
        click.echo(f"vintage    {chosen.year or '-'}, gap {gap or 0} years")
        click.echo(f"flags      {', '.join(found.match.flags) or '-'}")
    elif found.refusal is not None:
        click.echo(f"refused    {found.refusal.code}")
    candidates = found.candidates
    shown = candidates if show_all else candidates[:SHOWN_MAX]
    if shown:
        click.echo()
        heads = ("factor", "year", "boundary", "unit", "why", "kgCO2e per unit")
        click.echo(table(heads, [candidate_row(one) for one in shown], right=1))
    if len(shown) < len(candidates):
        click.echo(f"… and {len(candidates) - len(shown)} more; --all shows them.")


def candidate_row(candidate: Candidate) -> tuple[object, ...]:
    """One row that was looked at, as cells."""
    factor = candidate.factor
    value = f"{factor.kgco2e_per_unit:f}"
    return (
        *(factor.factor_id, factor.year, factor.boundary, factor.unit),
        *(candidate.reason, value),
    )


def factor_as_json(factor: Factor) -> dict[str, object]:
    """What identifies and values a factor; numbers as texts, so that no reader rounds them."""
    return {
        "factor_id": factor.factor_id,
        "version": factor.version,
        "family": factor.family,
        "publisher": factor.publisher,
        "licence": factor.licence,
        "country_iso2": factor.country_iso2,
        "region": factor.region,
        "year": factor.year,
        "selectors": dict(factor.selectors),
        "unit": factor.unit,
        "kgco2e_per_unit": f"{factor.kgco2e_per_unit:f}",
        "gwp_set": factor.gwp_set,
        "gases": {gas: f"{kg:f}" for gas, kg in factor.activity_gases},
        "sha256": factor.sha256,
    }


def explanation_as_json(found: Explanation) -> dict[str, object]:
    """The explanation for programs: `chosen` or `refusal`, and every candidate."""
    match, refusal = found.match, found.refusal
    return {
        "release_id": found.release_id,
        "chosen": None
        if match is None
        else {
            **factor_as_json(match.factor),
            "how_matched": match.how_matched,
            "vintage_gap_years": match.vintage_gap_years,
            "flags": list(match.flags),
        },
        "refusal": None if refusal is None else refusal.values(),
        "candidates": [
            {
                **factor_as_json(one.factor),
                "reason": one.reason,
                "vintage_gap_years": one.vintage_gap_years,
            }
            for one in found.candidates
        ],
    }


@factors.command("diff")
@click.argument("old_release", metavar="OLD")
@click.argument("new_release", metavar="NEW", required=False)
@click.option("--all", "show_all", is_flag=True, help="Every row.")
@click.option("--json", "as_json", is_flag=True, help="For programs; every row.")
def factors_diff(old_release: str, new_release: str | None, show_all: bool, as_json: bool) -> None:
    """Show what the release NEW (the newest if left out) has otherwise than OLD."""
    with open_database("READER") as conn:
        old = read_release(conn, old_release)
        new = read_release(conn, new_release or latest_release_id(conn))
    found = diff(old, new)
    if as_json:
        click.echo(json.dumps(diff_as_json(found), indent=2))
        return
    click.echo(f"{found.old_release} -> {found.new_release}")
    for what, rows in (
        ("added", [(one,) for one in found.added]),
        ("removed", [(one,) for one in found.removed]),
        (
            "changed",
            [
                (change.row_id, one.field, one.old or "-", one.new or "-")
                for change in found.changed
                for one in change.fields
            ],
        ),
    ):
        count = len(getattr(found, what))
        click.echo(f"\n{what}: {count}")
        shown = rows if show_all else rows[:SHOWN_MAX]
        if shown:
            heads = ("row",) if what != "changed" else ("row", "field", "old", "new")
            click.echo(table(heads, shown, right=0))
        if len(shown) < len(rows):
            click.echo(f"… and {len(rows) - len(shown)} more lines; --all shows them.")


def diff_as_json(found: ReleaseDiff) -> dict[str, object]:
    """The difference for programs, in full."""
    return {
        "old": found.old_release,
        "new": found.new_release,
        "added": list(found.added),
        "removed": list(found.removed),
        "changed": [
            {
                "row_id": change.row_id,
                "old_version": change.old_version,
                "new_version": change.new_version,
                "fields": {one.field: {"old": one.old, "new": one.new} for one in change.fields},
            }
            for change in found.changed
        ],
    }


@factors.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--mapping",
    "mapping_file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML: publisher, dataset, source_id, licence, family, columns, selectors, constants.",
)
@click.option("--release", "release_id", help="The release to add to; the newest if left out.")
@click.option("--check", "only_check", is_flag=True, help="Check everything, store nothing.")
def factors_import(
    file: Path, mapping_file: Path, release_id: str | None, only_check: bool
) -> None:
    """Add a licensed factor set, a CSV file in UTF-8, to a release; this makes a new release.

    Everything is checked before anything is stored: one bad row and nothing is.
    """
    mapping = read_mapping(mapping_file)
    found, problems = read_set(file, mapping)
    if problems:
        raise ConfigurationError("import_rows", "\n".join(problems))
    with open_database("READER" if only_check else "WRITER") as conn:
        current = read_release(conn, release_id or latest_release_id(conn))
        try:
            release = merged_release(current, mapping, found)
        except RejectedRecord as refusal:
            raise ConfigurationError(refusal.code, str(refusal)) from refusal
        inserted = 0 if only_check else store_release(conn, release)
    said = diff(current, release)
    click.echo(
        f"{release.release_id}: {len(release.rows)} factors; against {current.release_id} "
        f"{len(said.added)} added, {len(said.changed)} changed"
    )
    click.echo("Nothing was stored." if only_check else f"{inserted} rows stored.")


def read_mapping(path: Path) -> ImportMapping:
    """The mapping file; ConfigurationError if it cannot be read or says something unknown."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            "import_mapping", f"{path}: is no YAML in UTF-8: {error}"
        ) from None
    return parse_mapping(content)


def read_set(path: Path, mapping: ImportMapping) -> tuple[list[Factor], list[str]]:
    """The rows of the file as factors, and its problems as texts; ConfigurationError for the file
    as a whole.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            heads = list(reader.fieldnames or ())
            missing = sorted(mapping.needed_columns - set(heads))
            if missing or len(set(heads)) < len(heads):
                raise ConfigurationError(
                    "import_columns",
                    f"{path} has no column {', '.join(missing)}; it has: {', '.join(heads)}"
                    if missing
                    else f"{path} has a column twice: {', '.join(heads)}",
                )
            found, problems = imported(mapping, reader)
    except (csv.Error, UnicodeDecodeError) as error:
        raise ConfigurationError("import_file", f"{path}: is no CSV in UTF-8: {error}") from None
    if not found and not problems:
        raise ConfigurationError("import_file", f"{path} has no rows")
    texts = [str(problem) for problem in problems[:PROBLEMS_SHOWN_MAX]]
    if len(problems) > PROBLEMS_SHOWN_MAX:
        texts.append(f"… and {len(problems) - PROBLEMS_SHOWN_MAX} more")
    if problems:
        texts.insert(0, f"{len(problems)} rows of {path} cannot be taken; nothing was stored")
    return found, texts
