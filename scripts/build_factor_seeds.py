"""Write factor_seeds/ from a folder of published figures: one CSV per publisher and vintage.

    python -m scripts.build_factor_seeds FOLDER [--output factor_seeds]

FOLDER holds sources.csv and the tables of INPUT_FILES, or some of them. Figures are copied as text.
A row that is already in the output with other content is never edited: the new content becomes the
next version beside it. A row that has gone from FOLDER stays.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections import defaultdict
from pathlib import Path

from factor_seeds.load import (
    factor_from_row,
    index_from_row,
    row_id_of,
    seed_file_rows,
    sources_in,
)
from factor_seeds.tables import (
    INDEX_TABLES,
    PUBLISHED_COLUMNS,
    SEED_COLUMNS,
    SOURCE_COLUMNS,
    TABLES,
    Source,
    version_column,
)

INPUT_FILES = {
    "grid": "grid_electricity.csv",
    "energy_source": "energy_source.csv",
    "fuel": "fuels.csv",
    "transport": "transport.csv",
    "spend": "spend_naics.csv",
    "material_waste": "materials_waste.csv",
    "gwp": "gwp.csv",
    "td_losses": "td_losses.csv",
    "fx_deflators": "fx_deflators.csv",
}

# Publishers whose `year` of a grid row names the edition of the factor set; their data are about
# two years older. In the other tables the year always is the edition's, but for spending, which is
# dated by the year of its prices.
EDITION_YEAR_SOURCES = ("desnz_", "nga_")

# These editions do not print the potentials; AR4 is inferred from the step to the 2023 edition.
GWP_INFERRED_SOURCES = ("desnz_2019", "desnz_2020", "desnz_2021", "desnz_2022")

# A publisher's remark that a reader of the figure must see, as a flag on every match.
NOTE_FLAGS = {
    "value is a rounding artefact": "rounding_artefact",
    "1 kg/kWh or more as published": "unusually_high",
    "preliminary": "preliminary",
    "PE imports most of its supply": "imports_not_covered",
    "CO2 includes biogenic share": "co2_includes_biogenic",
    "excludes avoided emissions": "excludes_avoided_emissions",
    "one-off vehicle-class allocation change": "publisher_outlier",
    "includes grid electricity and T&D losses": "includes_grid_electricity_and_td",
    "partial year": "partial_year",
}

# Stages whose methane comes out of a fire. Its carbon is already in the row's carbon dioxide (or in
# that of the fuel, where the row has only methane and nitrous oxide), so it weighs as non-fossil
# methane whatever the fuel; methane of a grid or a supply chain is mixed and has no kind.
FIRE_STAGES = ("combustion", "ttw")


def quality_flags(row: dict[str, str]) -> str:
    """Flags of a published row, in alphabetical order, separated by blanks."""
    note = row.get("note", "")
    flags = {flag for phrase, flag in NOTE_FLAGS.items() if phrase in note}
    if row["source_id"] in GWP_INFERRED_SOURCES:
        flags.add("gwp_set_inferred")
    if "rounded" in note and not row["kgco2e_per_kwh"].strip("0."):
        flags.add("zero_by_rounding")
    return " ".join(sorted(flags))


def year_kind(table: str, source_id: str) -> str:
    """Whether a row is dated by its data, by its edition, or not at all."""
    if table == "energy_source":
        return "none"
    if table == "spend":
        return "data"
    is_edition = table != "grid" or source_id.startswith(EDITION_YEAR_SOURCES)
    return "edition" if is_edition else "data"


def ch4_kind(row: dict[str, str]) -> str:
    """What methane of the row is, where it gives any: see FIRE_STAGES."""
    return "non_fossil" if row.get("stage") in FIRE_STAGES and row["kg_ch4_per_unit"] else ""


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file as text."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, strict=True))


def seed_row(table: str, published: dict[str, str], version: int, source: Source) -> dict[str, str]:
    """A published row with our own columns around it."""
    row = {column: published[column] for column in PUBLISHED_COLUMNS[table]}
    own = {
        "quality_flags": quality_flags(row),
        "sha256": "",
        version_column(table): str(version),
    }
    if table in INDEX_TABLES:
        row |= {"index_id": row_id_of(table, row), **own}
        row["sha256"] = index_from_row(table, row, source).sha256
        return row
    row |= {"factor_id": row_id_of(table, row), "year_kind": year_kind(table, row["source_id"])}
    if "ch4_kind" in SEED_COLUMNS[table]:
        row["ch4_kind"] = ch4_kind(row)
    row |= own
    row["sha256"] = factor_from_row(table, row, source).sha256
    return row


def merged(
    table: str, published: list[dict[str, str]], existing: list[dict[str, str]], source: Source
) -> list[dict[str, str]]:
    """Existing rows unchanged, and a version for each published row that is new or differs."""
    id_column = SEED_COLUMNS[table][0]
    version = version_column(table)
    versions: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in existing:
        versions[row[id_column]].append(row)
    seen: set[str] = set()
    for row in published:
        known = versions[row_id_of(table, row)]
        latest = max((int(each[version]) for each in known), default=0)
        candidate = seed_row(table, row, max(latest, 1), source)
        if candidate[id_column] in seen:
            raise SystemExit(f"{candidate[id_column]} is published twice; nothing was written")
        seen.add(candidate[id_column])
        if candidate not in known:
            known.append(seed_row(table, row, latest + 1, source))
    rows = [row for group in versions.values() for row in group]
    return sorted(rows, key=lambda row: (row[id_column], int(row[version])))


def as_csv(columns: tuple[str, ...], rows: list[dict[str, str]]) -> str:
    """CSV text with line feeds, the same bytes for the same rows."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def known_sources(folder: Path, output: Path) -> dict[str, Source]:
    """Sources by id; what a row's hash covers of a source can never change under the same id."""
    shipped = sources_in(output)
    given = {
        row["source_id"]: Source(**{column: row[column] for column in SOURCE_COLUMNS})
        for row in read_table(folder / "sources.csv")
    }
    for source_id, old in shipped.items():
        new = given.get(source_id, old)
        if (old.title, old.publisher, old.licence) != (new.title, new.publisher, new.licence):
            raise SystemExit(
                f"{source_id} has another title, publisher or licence than in {output}; give the "
                "changed source an id of its own; nothing was written"
            )
    return {**shipped, **given}


def build(folder: Path, output: Path) -> dict[str, int]:
    """Write the seeds and sources.csv; returns rows per file. Nothing is written on an error."""
    sources = known_sources(folder, output)
    existing: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for _, table, row in seed_file_rows(output):
        existing[(table, row["source_id"])].append(row)
    published: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for table in TABLES:
        path = folder / INPUT_FILES[table]
        for row in read_table(path) if path.exists() else []:
            published[(table, row["source_id"])].append(row)
    keys = sorted({*existing, *published})
    unknown = sorted({source_id for _, source_id in keys} - set(sources))
    if unknown:
        raise SystemExit(f"sources.csv does not describe {', '.join(unknown)}; nothing was written")
    texts: dict[Path, str] = {}
    counts: dict[str, int] = {}
    for table, source_id in keys:
        key = (table, source_id)
        rows = merged(table, published[key], existing[key], sources[source_id])
        texts[output / table / f"{source_id}.csv"] = as_csv(SEED_COLUMNS[table], rows)
        counts[f"{table}/{source_id}.csv"] = len(rows)
    used = sorted({source_id for _, source_id in keys})
    described = [
        {column: getattr(sources[source_id], column) for column in SOURCE_COLUMNS}
        for source_id in used
    ]
    texts[output / "sources.csv"] = as_csv(SOURCE_COLUMNS, described)
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    return counts


def main(argv: list[str] | None = None) -> int:
    """Build the seeds and print the number of rows per file."""
    parser = argparse.ArgumentParser(description="Write factor seeds from published figures.")
    parser.add_argument("folder", type=Path, help="folder with the published figures")
    default = Path(__file__).resolve().parent.parent / "factor_seeds"
    parser.add_argument("--output", type=Path, default=default, help="default: factor_seeds/")
    arguments = parser.parse_args(argv)
    counts = build(arguments.folder, arguments.output)
    for name, count in counts.items():
        print(f"{count:6} {name}")
    print(f"{sum(counts.values()):6} rows in {len(counts)} files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
