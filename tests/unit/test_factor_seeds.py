"""The shipped seeds: intact, sourced, free of ties, rebuilt byte for byte."""

from __future__ import annotations

import csv
import os
import shutil
from collections import Counter
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from carbon_ledger.countries import COUNTRY_NAMES
from carbon_ledger.errors import BrokenInvariant, RejectedRecord
from carbon_ledger.factor_book.book import Factor, FactorBook, FactorQuery, make_release, sealed
from factor_seeds import load, tables
from scripts import build_factor_seeds
from tests.support.factor_examples import grid_query, supply_query

ROOT = Path(__file__).resolve().parents[2]
SEEDS = ROOT / "factor_seeds"
PUBLISHED = Path(os.environ.get("FACTOR_INPUT_FOLDER", ROOT.parent / "shared" / "factors"))


@pytest.fixture(scope="module")
def rows() -> list[Factor]:
    return load.read_seed_rows()


@pytest.fixture(scope="module")
def shipped(rows: list[Factor]) -> FactorBook:
    return FactorBook(rows, "shipped")


def csv_bytes(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.csv"))
    }


FEW = ("grid", "energy_source")


def few_seeds(folder: Path) -> Path:
    """A copy of the seeds with a few tables only, quick to build."""
    folder.mkdir()
    shutil.copy(SEEDS / "sources.csv", folder)
    for table in FEW:
        shutil.copytree(SEEDS / table, folder / table)
    return folder


def published_from_seeds(folder: Path, only: tuple[str, ...] = tables.TABLES) -> Path:
    """The publishers' tables, taken back out of the seeds."""
    folder.mkdir()
    shutil.copy(SEEDS / "sources.csv", folder)
    found: dict[str, list[dict[str, str]]] = {table: [] for table in only}
    for _, table, row in load.seed_file_rows(SEEDS, only):
        found[table].append({name: row[name] for name in tables.PUBLISHED_COLUMNS[table]})
    for table, published in found.items():
        text = build_factor_seeds.as_csv(tables.PUBLISHED_COLUMNS[table], published)
        (folder / build_factor_seeds.INPUT_FILES[table]).write_text(text, encoding="utf-8")
    return folder


def test_every_published_row_is_there(rows: list[Factor]) -> None:
    assert Counter(row.family for row in rows) == {
        "grid": 1685,
        "energy_source": 43,
        "fuel": 1141,
        "transport": 1733,
        "spend": 2032,
        "material": 140,
        "waste": 726,
    }
    assert len({row.factor_id for row in rows}) == len(rows)
    indices = load.read_index_rows()
    assert len(indices) == 868 + 77 + 5953
    assert len({row.index_id for row in indices}) == len(indices)


def test_rows_that_were_shipped_before_keep_their_hash(rows: list[Factor]) -> None:
    """Entries of the ledger name them by release; a field that entered later changes none."""
    known = {
        "grid:CA-AB:2019:location-plus-td-sf6:eccc_nir2024_a13": "c10424f527a375d6",
        "energy_source:biomass:cofiring:lifecycle:median:ipcc_ar5_a3": "4bc072645446d7f2",
        "energy_source:coal:unspecified:direct:median:ipcc_ar5_a3_direct": "8b601a6e5ac2fbe9",
    }
    by_id = {row.factor_id: row for row in rows}
    for factor_id, digest in known.items():
        assert by_id[factor_id].sha256.startswith(digest)
    electricity = [row for row in rows if row.family in ("grid", "energy_source")]
    assert make_release("2026.1", electricity).release_id == "2026.1-e10f094cd08e"


def test_every_row_has_a_described_source_with_a_licence(rows: list[Factor]) -> None:
    sources = load.read_sources()
    indices = load.read_index_rows()
    assert {row.source_id for row in (*rows, *indices)} == set(sources)
    for source in sources.values():
        assert source.publisher
        assert source.licence
        assert source.url.startswith("https://")
        assert source.title
    document = (SEEDS / "SOURCES.md").read_text(encoding="utf-8")
    for flag in {flag for row in (*rows, *indices) for flag in row.quality_flags}:
        assert f"`{flag}`" in document


def test_the_release_is_named_by_its_content(rows: list[Factor]) -> None:
    release = load.release()
    assert release.release_id == f"2026.1-{release.sha256[:12]}"
    assert release.rows == tuple(rows)


def test_figures_are_the_published_text(rows: list[Factor]) -> None:
    by_id = {row.factor_id: row for row in rows}
    uk = by_id["grid:GB:2024:location:desnz_2024"]
    assert str(uk.kgco2e_per_unit) == "0.20705"
    assert str(uk.kg_n2o_per_unit) == "0.0000046038"
    assert (uk.year_kind, uk.gwp_set, uk.gas_split) == ("edition", "AR5", "available")
    assert uk.licence == "OGL v3.0"
    province = by_id["grid:CN-BJ:2023:location:mee_2025_47"]
    assert (province.gas_coverage, province.gas_split) == ("CO2", "not_available")
    assert province.gwp_set == "not_applicable"


def test_published_gases_add_up_to_the_published_total(rows: list[Factor]) -> None:
    """Where the potentials are known and figures are not coarsely rounded, to 0.1 %."""
    potentials = {"AR4 (25/298)": (25, 298), "AR5 (28/265)": (28, 265)}
    checked: Counter[str] = Counter()
    for row in rows:
        gases = (row.kg_co2_per_unit, row.kg_ch4_per_unit, row.kg_n2o_per_unit)
        if row.gwp_basis in potentials and None not in gases:
            ch4, n2o = potentials[row.gwp_basis]
            co2, methane, nitrous = (Fraction(gas or 0) for gas in gases)
            total = co2 + methane * ch4 + nitrous * n2o
            # Transport and fuel tables print five decimals, so small figures are coarse.
            rounding = 0 if row.family == "grid" else Fraction("0.000015")
            difference = abs(total - Fraction(row.kgco2e_per_unit))
            assert difference <= total / 1000 + rounding, row.factor_id
            checked[row.family] += 1
    assert checked == {"grid": 91, "fuel": 484, "transport": 926}


def test_no_country_region_or_year_of_the_seeds_ties(shipped: FactorBook) -> None:
    """Opening the book finds ties; here every cell is asked too, to see that it answers."""
    places = {(row.country_iso2, row.region) for row in load.read_seed_rows() if row.country_iso2}
    for country, region in places:
        if country in COUNTRY_NAMES and country is not None:
            for year in range(2018, 2027):
                match = shipped.match(grid_query(country, year, region))
                assert match.factor.country_iso2 == country
                assert match.factor.boundary != "direct_combustion_plus_td_and_sf6"


def test_a_tie_planted_in_the_seeds_stops_the_book(rows: list[Factor]) -> None:
    original = next(row for row in rows if row.factor_id == "grid:GB:2024:location:desnz_2024")
    rival = sealed(replace(original, factor_id="grid:GB:2024:location:rival", source_id="rival"))
    with pytest.raises(BrokenInvariant) as fault:
        FactorBook([*rows, rival], "planted")
    assert fault.value.code == "factor_tie"


REGION = "region/location"
CASES = [
    # South Korea is published from 2019 on, life-cycle only: the year before takes the next one.
    ("grid", "KR", None, 2018, "grid:KR:2019:lifecycle:ember_owid_2026", "country/lifecycle", 1),
    ("grid", "DE", None, 2024, "grid:DE:2024:lifecycle:ember_owid_2026", "country/lifecycle", 0),
    ("grid", "GB", None, 2024, "grid:GB:2024:location:desnz_2024", "country/location", 0),
    ("grid", "GB", None, 2026, "grid:GB:2025:location:desnz_2025", "country/location", -1),
    ("grid", "US", None, 2022, "grid:US:2022:location:epa_hub_2024", "country/location", 0),
    (
        "grid",
        "US",
        "US-CA",
        2024,
        "grid:US-CA:2023:location:epa_egrid2023_state",
        REGION,
        -1,
    ),
    (
        "grid",
        "US",
        "EGRID-CAMX",
        2021,
        "grid:EGRID-CAMX:2021:location:epa_hub_2023",
        REGION,
        0,
    ),
    (
        "grid",
        "CA",
        "CA-AB",
        2020,
        "grid:CA-AB:2020:location:eccc_nir2024_a13",
        REGION,
        0,
    ),
    ("grid", "CA", None, 2024, "grid:CA:2022:location:eccc_nir2024_a13", "country/location", -2),
    ("grid", "AU", "AU-VIC", 2024, "grid:AU-VIC:2024:location:nga_2024", REGION, 0),
    ("grid", "AU", None, 2018, "grid:AU:2019:lifecycle:ember_owid_2026", "country/lifecycle", 1),
    ("grid", "CN", "CN-BJ", 2021, "grid:CN-BJ:2023:location:mee_2025_47", REGION, 2),
    ("grid", "XK", None, 2021, "grid:XK:2021:lifecycle:ember_owid_2026", "country/lifecycle", 0),
    # Two states share one published grid; the island is one subregion.
    ("grid", "AU", "AU-NSW", 2024, "grid:AU-NSW-ACT:2024:location:nga_2024", REGION, 0),
    ("grid", "AU", "AU-ACT", 2024, "grid:AU-NSW-ACT:2024:location:nga_2024", REGION, 0),
    ("grid", "AU", "AU-WA", 2024, "grid:AU:2024:location:nga_2024", "country/location", 0),
    ("grid", "PR", None, 2022, "grid:EGRID-PRMS:2022:location:epa_hub_2024", REGION, 0),
    (
        "electricity",
        "FR",
        None,
        2023,
        "grid:FR:2023:lifecycle:ember_owid_2026",
        "country/lifecycle",
        0,
    ),
]


@pytest.mark.parametrize(
    ("source", "country", "region", "year", "factor_id", "where", "gap"), CASES
)
def test_what_a_plant_gets(
    shipped: FactorBook,
    source: str,
    country: str,
    region: str | None,
    year: int,
    factor_id: str,
    where: str,
    gap: int,
) -> None:
    query = FactorQuery(
        energy_source=source,
        country_iso2=country,
        region=region,
        activity_date=date(year, 7, 1),
    )
    match = shipped.match(query)
    assert match.factor.factor_id == factor_id
    assert match.how_matched.startswith(where)
    assert match.vintage_gap_years == gap
    assert match.boundary_substitute == where.endswith("lifecycle")
    assert ("vintage_gap" in match.flags) == (gap != 0)


@pytest.mark.parametrize(
    ("energy_source", "kgco2e_per_kwh", "is_substitute"),
    [
        ("coal", "0.76", False),
        ("natural_gas", "0.37", False),
        ("oil", "0.816", True),
        ("biomass", "0.23", True),
        ("geothermal", "0", False),
        ("hydropower", "0", False),
        ("nuclear", "0", False),
        ("solar_pv", "0", False),
        ("wind", "0", False),
    ],
)
def test_what_a_direct_supply_gets(
    shipped: FactorBook, energy_source: str, kgco2e_per_kwh: str, is_substitute: bool
) -> None:
    match = shipped.match(supply_query(energy_source, "NO"))
    assert match.factor.kgco2e_per_unit == Decimal(kgco2e_per_kwh)
    assert match.boundary_substitute == is_substitute
    assert match.vintage_gap_years is None


def test_without_direct_figures_a_supply_takes_the_preferred_life_cycle_one(
    rows: list[Factor],
) -> None:
    fewer = FactorBook([row for row in rows if row.source_id != "ipcc_ar5_a3_direct"], "fewer")
    for energy_source in ("coal", "gas", "geothermal", "hydro", "nuclear", "solar", "wind"):
        match = fewer.match(supply_query(energy_source))
        assert match.factor.source_id == "ipcc_ar5_a3"
        assert match.flags == ("boundary_substitute",)


def test_a_zero_that_is_published_is_a_factor_and_says_so(shipped: FactorBook) -> None:
    match = shipped.match(grid_query("CA", 2020, "CA-PE"))
    assert match.factor.kgco2e_per_unit == 0
    assert match.flags == ("imports_not_covered", "zero_by_rounding")


@pytest.mark.parametrize(
    ("country", "year", "code"),
    [("LI", 2022, "factor_missing"), ("KR", 2013, "factor_vintage_gap")],
)
def test_what_nobody_published_is_refused(
    shipped: FactorBook, country: str, year: int, code: str
) -> None:
    with pytest.raises(RejectedRecord) as refusal:
        shipped.match(grid_query(country, year))
    assert refusal.value.code == code


def test_the_builder_reproduces_the_seeds_from_their_published_columns(tmp_path: Path) -> None:
    published = published_from_seeds(tmp_path / "published")
    output = tmp_path / "seeds"
    output.mkdir()
    assert build_factor_seeds.main([str(published), "--output", str(output)]) == 0
    assert csv_bytes(output) == csv_bytes(SEEDS)


def test_building_again_changes_nothing(tmp_path: Path) -> None:
    published = published_from_seeds(tmp_path / "published", FEW)
    output = few_seeds(tmp_path / "seeds")
    before = {name: text for name, text in csv_bytes(output).items() if name != "sources.csv"}
    build_factor_seeds.build(published, output)
    after = {name: text for name, text in csv_bytes(output).items() if name != "sources.csv"}
    assert after == before


@pytest.mark.skipif(
    not (PUBLISHED / "grid_electricity.csv").exists(),
    reason="the published tables are not on this machine (FACTOR_INPUT_FOLDER names their folder)",
)
def test_the_builder_reproduces_the_seeds_from_the_published_tables(tmp_path: Path) -> None:
    build_factor_seeds.build(PUBLISHED, tmp_path)
    assert csv_bytes(tmp_path) == csv_bytes(SEEDS)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_changed_figure_becomes_the_next_version_and_the_old_row_stays(tmp_path: Path) -> None:
    published = published_from_seeds(tmp_path / "published", FEW)
    edit(published / "grid_electricity.csv", "CO2e,0.20705,0.20493", "CO2e,0.20706,0.20493")
    output = few_seeds(tmp_path / "seeds")
    build_factor_seeds.build(published, output)
    name = "grid/desnz_2024.csv"
    before = {name: text for name, text in csv_bytes(SEEDS).items() if name.startswith(FEW)}
    after = {name: text for name, text in csv_bytes(output).items() if name != "sources.csv"}
    assert [key for key in after if after[key] != before[key]] == [name]
    with (output / name).open(encoding="utf-8", newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [(row["version"], row["kgco2e_per_kwh"]) for row in table] == [
        ("1", "0.20705"),
        ("2", "0.20706"),
    ]
    assert after[name].startswith(before[name])


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("sources.csv", "desnz_2024,", "desnz_2042,", "does not describe desnz_2024"),
        (
            "grid_electricity.csv",
            "\nGB,,,2024,location",
            "\nGB,,,2024,location,direct_combustion,generation,CO2e,0.2,,,,,,,n/a,published,"
            "desnz_2024,\nGB,,,2024,location",
            "published twice",
        ),
    ],
)
def test_the_builder_refuses_what_it_cannot_place(
    tmp_path: Path, file: str, old: str, new: str, message: str
) -> None:
    published = published_from_seeds(tmp_path / "published", FEW)
    edit(published / file, old, new)
    output = tmp_path / "seeds"
    output.mkdir()
    with pytest.raises(SystemExit, match=message):
        build_factor_seeds.build(published, output)
    assert list(output.iterdir()) == []


def test_a_source_cannot_change_its_licence_under_the_same_id(tmp_path: Path) -> None:
    published = published_from_seeds(tmp_path / "published", FEW)
    edit(
        published / "sources.csv", "CC BY 4.0,https://ourworldindata", "none,https://ourworldindata"
    )
    output = few_seeds(tmp_path / "seeds")
    with pytest.raises(SystemExit, match="another title, publisher or licence"):
        build_factor_seeds.build(published, output)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("CO2e,0.20705,", "CO2e,0.20704,", "factor_hash"),
        ("CO2e,0.20705,", "CO2e,,", "factor_value"),
        (",desnz_2024,", ",desnz_2023,", "seed_source"),
        (",AR5 (28/265),", ",AR5 (30/265),", "factor_gwp_set"),
        ("factor_id,version,", "id,version,", "seed_columns"),
        (",edition,,", ",edition,,,", "seed_columns"),
    ],
)
def test_an_edited_seed_file_does_not_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, code: str
) -> None:
    copy = few_seeds(tmp_path / "seeds")
    edit(copy / "grid" / "desnz_2024.csv", old, new)
    monkeypatch.setattr(load.resources, "files", lambda package: copy)
    with pytest.raises(BrokenInvariant) as fault:
        load.read_seed_rows()
    assert fault.value.code == code
