"""Write factor_seeds/ from a folder of published figures: one CSV per publisher and vintage.

    python -m scripts.build_factor_seeds FOLDER [--output factor_seeds]

FOLDER holds grid_electricity.csv, energy_source.csv and sources.csv. Figures are copied as text. A
row that is already in the output with other content is never edited: the new content becomes the
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
    FAMILIES,
    PUBLISHED_COLUMNS,
    SEED_COLUMNS,
    SOURCE_COLUMNS,
    Source,
    factor_from_row,
    factor_id_of,
    seed_file_rows,
    sources_in,
)

INPUT_FILES = {"grid": "grid_electricity.csv", "energy_source": "energy_source.csv"}

# Publishers whose `year` names the edition of the factor set; their data are about two years older.
EDITION_YEAR_SOURCES = ("desnz_", "nga_")

# These editions do not print the potentials; AR4 is inferred from the step to the 2023 edition.
GWP_INFERRED_SOURCES = ("desnz_2019", "desnz_2020", "desnz_2021", "desnz_2022")

# A publisher's remark that a reader of the figure must see, as a flag on every match.
NOTE_FLAGS = {
    "value is a rounding artefact": "rounding_artefact",
    "1 kg/kWh or more as published": "unusually_high",
    "preliminary": "preliminary",
    "PE imports most of its supply": "imports_not_covered",
}


def quality_flags(row: dict[str, str]) -> str:
    """Flags of a published row, in alphabetical order, separated by blanks."""
    flags = {flag for phrase, flag in NOTE_FLAGS.items() if phrase in row["note"]}
    if row["source_id"] in GWP_INFERRED_SOURCES:
        flags.add("gwp_set_inferred")
    if "rounded" in row["note"] and not row["kgco2e_per_kwh"].strip("0."):
        flags.add("zero_by_rounding")
    return " ".join(sorted(flags))


def year_kind(family: str, source_id: str) -> str:
    """Whether a row is dated by its data, by its edition, or not at all."""
    if family != "grid":
        return "none"
    return "edition" if source_id.startswith(EDITION_YEAR_SOURCES) else "data"


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file as text."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, strict=True))


def seed_row(
    family: str, published: dict[str, str], version: int, source: Source
) -> dict[str, str]:
    """A published row with our own columns around it."""
    row = {column: published[column] for column in PUBLISHED_COLUMNS[family]}
    row |= {
        "factor_id": factor_id_of(family, row),
        "version": str(version),
        "year_kind": year_kind(family, row["source_id"]),
        "quality_flags": quality_flags(row),
        "sha256": "",
    }
    row["sha256"] = factor_from_row(family, row, source).sha256
    return row


def merged(
    family: str, published: list[dict[str, str]], existing: list[dict[str, str]], source: Source
) -> list[dict[str, str]]:
    """Existing rows unchanged, and a version for each published row that is new or differs."""
    versions: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in existing:
        versions[row["factor_id"]].append(row)
    seen: set[str] = set()
    for row in published:
        known = versions[factor_id_of(family, row)]
        latest = max((int(each["version"]) for each in known), default=0)
        candidate = seed_row(family, row, max(latest, 1), source)
        if candidate["factor_id"] in seen:
            raise SystemExit(f"{candidate['factor_id']} is published twice; nothing was written")
        seen.add(candidate["factor_id"])
        if candidate not in known:
            known.append(seed_row(family, row, latest + 1, source))
    rows = [row for group in versions.values() for row in group]
    return sorted(rows, key=lambda row: (row["factor_id"], int(row["version"])))


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
    for _, family, row in seed_file_rows(output):
        existing[(family, row["source_id"])].append(row)
    published: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for family in FAMILIES:
        for row in read_table(folder / INPUT_FILES[family]):
            published[(family, row["source_id"])].append(row)
    keys = sorted({*existing, *published})
    unknown = sorted({source_id for _, source_id in keys} - set(sources))
    if unknown:
        raise SystemExit(f"sources.csv does not describe {', '.join(unknown)}; nothing was written")
    texts: dict[Path, str] = {}
    counts: dict[str, int] = {}
    for family, source_id in keys:
        key = (family, source_id)
        rows = merged(family, published[key], existing[key], sources[source_id])
        texts[output / family / f"{source_id}.csv"] = as_csv(SEED_COLUMNS[family], rows)
        counts[f"{family}/{source_id}.csv"] = len(rows)
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
