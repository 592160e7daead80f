"""`carbon calc` as it is used: what goes in, what comes out, what is refused, and how it ends."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tracemalloc
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from carbon_ledger.errors import ConfigurationError
from cli.calc_command import LINE_BYTES_MAX, activities, calc
from factor_seeds.load import shipped_book
from tests.support.written_workings import read

ROOT = Path(__file__).parents[2]
PLAIN = '{"quantity": "1247.3", "unit": "kWh", "factor": {"kgco2e": "0.3852", "per": "kWh"}}'
FUGITIVE = {
    "activity_type": "fugitive_emission",
    "facts": {"held_as": "own"},
    "quantity": "2",
    "unit": "kg",
    "factor": {"gases": {"N2O": "1"}, "per": "kg"},
}
TRIP = {
    "event": "transport",
    "vehicle_id": "V1",
    "trip_id": "T1",
    "country_iso2": "GB",
    "vehicle_class": "van_average",
    "operator": "own",
    "fuel_type": "diesel",
    "fuel_litres": "10",
    "timestamp": "2025-05-02T06:00:00Z",
}


def run(text: str | bytes, *options: str) -> Result:
    return CliRunner().invoke(calc, list(options), input=text)


def answers(text: str | bytes, *options: str) -> list[dict[str, Any]]:
    result = run(text, *options)
    assert isinstance(result.exception, SystemExit | None), result.exception
    found = [json.loads(one) for one in result.stdout.splitlines()]
    refused = sum("rejected" in one for one in found)
    assert result.exit_code == (2 if refused else 0)
    assert result.stderr == (f"carbon: {refused} refused\n" if refused else "")
    return found


def only(text: str | bytes, *options: str) -> dict[str, Any]:
    (found,) = answers(text, *options)
    return found


def kg(answer: dict[str, Any]) -> list[str]:
    return [line["kgco2e"] for line in answer["lines"]]


# ---- what comes out


def test_the_example_of_the_help_gives_its_figure() -> None:
    line = only(PLAIN)["lines"][0]
    assert line["kgco2e"] == "480.45996"
    assert "0.3852" in CliRunner().invoke(calc, ["--help"]).output


def test_an_answer_has_everything_that_is_promised() -> None:
    reading = {
        "event": "iot_energy",
        "id": {"mine": [7]},
        "sensor_id": "M1",
        "facility_id": "plant",
        "country_iso2": "GB",
        "energy_kwh": "0",
        "quantity": "1.5",
        "unit": "MWh",
        "energy_source": "grid",
        "timestamp": "2025-03-30T00:30:00Z",
        "interval_seconds": 900,
    }
    answer = only(json.dumps(reading))
    assert (answer["line"], answer["id"]) == (1, {"mine": [7]})
    (line,) = answer["lines"]
    assert (line["scope"], line["category"], line["basis"]) == (2, None, "location")
    assert line["factor"]["id"] == "grid:GB:2025:location:desnz_2025"
    assert line["factor"]["version"] == 1
    assert line["factor"]["release"] == shipped_book().release_id
    assert line["factor"]["how_matched"] == "country/location/exact-year"
    assert line["formula"]["id"] == "S2-LB"
    assert "Scope 2 Guidance" in line["formula"]["citation"]
    assert line["conversions"] == ["x 1000 kWh per MWh"]
    assert (line["gwp_set"], line["gas_split"]) == ("AR6", "available")
    assert set(line["gases_kg"]) == {"CO2", "CH4", "N2O"}
    assert len(line["quality"]["activity"]) == 5
    assert Decimal(line["interval_95"]["low"]) < Decimal(line["kgco2e"])
    assert Decimal(line["interval_95"]["high"]) > Decimal(line["kgco2e"])
    assert "unregistered_facility" in line["flags"]


def test_a_number_is_the_text_it_was_written_as() -> None:
    # As binary floating point this would be 0.30000000000000004.
    summed = '{"quantity": 0.1, "unit": "kWh", "factor": {"kgco2e": 3, "per": "kWh"}}'
    assert kg(only(summed)) == ["0.3"]
    fine = PLAIN.replace('"1247.3"', "1.000000000000000000000000000001e2")
    assert only(fine)["lines"][0]["quantity"] == "100.0000000000000000000000000001"


def test_lines_are_counted_as_they_stand_and_blank_ones_are_no_activities() -> None:
    text = f"\ufeff{PLAIN}\r\n\n   \n{PLAIN}\n\t\n[]\n{PLAIN}"
    assert [one["line"] for one in answers(text)] == [1, 4, 6, 7]
    assert answers("") == answers("\n \n") == []


def test_a_file_is_read_as_standard_input_is(tmp_path: Path) -> None:
    file = tmp_path / "activities.jsonl"
    file.write_text(PLAIN + "\n")
    assert run("", str(file)).stdout == run(PLAIN).stdout == run(PLAIN, "-").stdout


def test_an_explanation_numbers_activities_and_lines() -> None:
    result = run(f"{json.dumps({**TRIP, 'id': 'trip'})}\nnonsense\n", "--explain")
    assert result.exit_code == 2
    assert [(one.activity, one.name, one.number, one.of) for one in read(result.stdout)] == [
        (1, "trip", 1, 2),
        (1, "trip", 2, 2),
    ]
    assert "activity 2: refused, not_json: " in result.stdout


def test_letters_beyond_ascii_come_back_and_lone_surrogates_do_not_break_the_output() -> None:
    odd = r'{"id": "Z\u00fcrich \ud800", "quantity": "1", "unit": "\udfff", "factor": {}}'
    answer = only(odd)
    assert answer["id"] == "Zürich \ud800"
    result = run(odd, "--explain")
    assert "Zürich" in result.stdout
    assert result.exit_code == 2


# ---- what is refused

# name, line, code
REFUSED: list[tuple[str, str | bytes, str]] = [
    ("no JSON", "{quantity: 1}", "not_json"),
    ("half a line", PLAIN[:-1], "not_json"),
    ("two objects", PLAIN + PLAIN, "not_json"),
    ("a list", "[1]", "not_an_object"),
    ("a number", "17", "not_an_object"),
    ("null", "null", "not_an_object"),
    ("nested beyond reading", "[" * 100_000, "not_json"),
    ("not a number", PLAIN.replace('"1247.3"', "NaN"), "not_finite"),
    ("infinity", PLAIN.replace('"1247.3"', "-Infinity"), "not_finite"),
    ("too large a power", PLAIN.replace('"1247.3"', "1e999999999"), "not_a_number"),
    ("a large power", PLAIN.replace('"1247.3"', "1e99"), "out_of_range"),
    ("a small power", PLAIN.replace('"1247.3"', "1e-99"), "out_of_range"),
    ("fifty digits", PLAIN.replace('"1247.3"', "9" * 50), "out_of_range"),
    ("ten thousand digits", PLAIN.replace('"1247.3"', "9" * 10_000), "not_a_number"),
    ("below zero", PLAIN.replace("1247.3", "-1247.3"), "negative_quantity"),
    ("digits of another script", PLAIN.replace("1247.3", "\uff11\uff12"), "not_a_number"),
    ("a truth value", PLAIN.replace('"1247.3"', "true"), "not_a_number"),
    ("a name twice", PLAIN.replace("{", '{"unit": "MWh", ', 1), "key_twice"),
    ("a name twice further in", PLAIN.replace('"per"', '"kgco2e": "9", "per"'), "key_twice"),
    ("no UTF-8", PLAIN.encode().replace(b"kWh", b"k\xff\xfeWh"), "not_utf8"),
    ("UTF-16", PLAIN.encode("utf-16"), "not_utf8"),
    ("no such unit", PLAIN.replace("kWh", "furlong"), "unknown_unit"),
    ("units that do not fit", PLAIN.replace("kWh", "kg", 1), "incompatible_unit"),
    ("no such field", PLAIN.replace('"unit"', '"units"'), "unknown_field"),
    ("no factor", '{"quantity": "1", "unit": "kWh"}', "missing_field"),
    ("no such event", '{"event": "telepathy"}', "unknown_event"),
    ("an event that is no name", '{"event": ["transport"]}', "unknown_event"),
    ("an event without its fields", '{"event": "transport"}', "missing_field"),
    ("a field of another event", json.dumps({**TRIP, "sensor_id": "M1"}), "unknown_field"),
    ("a figure beyond the ledger", PLAIN.replace("1247.3", "9e30"), "out_of_range"),
    (
        "a country without a factor",
        '{"quantity": "1", "unit": "kWh", "scope": 2, "basis": "location", '
        '"factor": {"family": "grid", "country": "AQ", "year": 2024}}',
        "factor_missing",
    ),
]


@pytest.mark.parametrize(
    ("text", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_what_cannot_be_calculated_is_refused_by_a_stable_code_and_the_next_line_follows(
    text: str | bytes, code: str
) -> None:
    line = text if isinstance(text, bytes) else text.encode()
    lines = line.replace(b"\n", b"") + b"\n" + PLAIN.encode() + b"\n"
    refused, calculated = answers(lines)
    reason = refused["rejected"]
    assert (refused["line"], reason["code"]) == (1, code)
    assert set(reason) == {"code", "message", "field", "value", "valid"}
    assert len(reason["message"]) < 500
    assert kg(calculated) == ["480.45996"]


def test_a_line_without_an_end_is_passed_over_and_never_held() -> None:
    limit = LINE_BYTES_MAX
    text = PLAIN.encode().ljust(limit - 1) + b"\n"
    assert kg(only(text)) == kg(only(text[:-1])) == ["480.45996"]
    long = PLAIN.encode().ljust(3 * limit + 17) + b"\n" + PLAIN.encode()
    refused, calculated = answers(long)
    assert refused["rejected"]["code"] == "line_too_long"
    assert (calculated["line"], kg(calculated)) == (2, ["480.45996"])
    assert only(b"x" * (limit + 1))["rejected"]["code"] == "line_too_long"


# ---- CSV

TABLE = """\ufeffid,quantity,unit,factor.kgco2e,factor.per,scope,category
a,1247.3,kWh,0.3852,kWh,,
"b, with a comma",10,kg,2.5,kg,3,1

c,10,kg,2.5,kg,3,1,surplus
d,ten,kg,2.5,kg,3,1
e,10,kg
f,10,kg,2.5,kg,3,16
"""


def test_a_table_has_dotted_columns_and_empty_cells_are_left_out() -> None:
    found = answers(TABLE, "--csv")
    assert [(one["line"], one["id"]) for one in found if "lines" in one] == [
        (2, "a"),
        (3, "b, with a comma"),
    ]
    assert [kg(one) for one in found if "lines" in one] == [["480.45996"], ["25"]]
    assert [(one["line"], one["rejected"]["code"]) for one in found if "rejected" in one] == [
        (5, "too_many_cells"),
        (6, "not_a_number"),
        (7, "missing_field"),
        (8, "unknown_category"),
    ]


def test_a_table_of_events_gives_what_the_same_objects_give() -> None:
    events = [
        {**TRIP, "interval_seconds": 7200, "segment": 3, "odometer_start_km": "1.5"},
        {**TRIP, "trip_id": "T2", "charging": None, "model_year": 2019},
    ]
    names = list({name: None for event in events for name in event})
    rows = [names, *([str(event.get(name) or "") for name in names] for event in events)]
    text = "".join(",".join(row) + "\n" for row in rows)
    written = "".join(json.dumps(event) + "\n" for event in events)
    as_table = [one.get("lines") or one["rejected"] for one in answers(text, "--csv")]
    assert as_table == [one.get("lines") or one["rejected"] for one in answers(written)]


@pytest.mark.parametrize(
    ("heading", "named"),
    [
        ("quantity,unit,quantity", "'quantity'"),
        ("quantity,,unit", "''"),
        ("quantity,factor.,unit", "'factor.'"),
        ("quantity,.per", "'.per'"),
        ("", "''"),
        ('"quantity', "unexpected end"),
    ],
)
def test_a_heading_that_cannot_be_read_stops_at_once(heading: str, named: str) -> None:
    result = run(f"{heading}\n1,2,3\n", "--csv")
    assert isinstance(result.exception, ConfigurationError)
    assert result.exception.code == "csv_heading"
    assert named in result.exception.message


@pytest.mark.parametrize("heading", ["factor.per,factor", "factor,factor.per", "a.b.c,a.b"])
def test_a_column_is_a_value_or_an_object(heading: str) -> None:
    answer = only(f"{heading}\nx,y\n", "--csv")
    assert answer["rejected"]["code"] == "column_contradiction"
    # An empty cell contradicts nothing.
    assert only(f"{heading}\n,y\n", "--csv")["rejected"]["code"] != "column_contradiction"


def test_a_broken_row_is_refused_and_the_next_one_follows() -> None:
    heading = b"quantity,unit,factor.kgco2e,factor.per\n"
    good = b"10,kg,2.5,kg\n"
    for broken, code in [
        (b'"10"x,kg,2.5,kg\n', "not_csv"),
        (b"10,\xff,2.5,kg\n", "not_utf8"),
        (b"10,kg,2.5," + b"k" * (LINE_BYTES_MAX + 5) + b"\n", "line_too_long"),
        (b"10,kg,2.5," + b"k" * 200_000 + b"\n", "not_csv"),
    ]:
        refused, calculated = answers(heading + broken + good, "--csv")
        assert (refused["line"], refused["rejected"]["code"]) == (2, code)
        assert (calculated["line"], kg(calculated)) == (3, ["25"])


# ---- options


def test_another_set_of_potentials_changes_what_is_not_carbon_dioxide() -> None:
    text = json.dumps(FUGITIVE)
    figures = {name: kg(only(text, "--gwp", name)) for name in ("AR4", "AR5", "AR6")}
    assert figures == {"AR4": ["596"], "AR5": ["530"], "AR6": ["546"]}
    assert kg(only(text)) == figures["AR6"]
    assert kg(only(PLAIN, "--gwp", "AR4")) == ["480.45996"]


def test_an_unknown_set_or_boundary_is_no_run() -> None:
    result = run(PLAIN, "--gwp", "AR9")
    assert isinstance(result.exception, ConfigurationError)
    assert result.exception.code == "unknown_gwp_set"
    assert "AR6" in result.exception.message
    result = run(PLAIN, "--boundary", "mine")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "equity_share" in result.stderr


def test_the_boundary_decides_where_a_leased_asset_belongs() -> None:
    lease = {
        "activity_type": "stationary_combustion",
        "facts": {"held_as": "leased_in", "lease": "operating"},
        "quantity": "100",
        "unit": "kWh",
        "factor": {"kgco2e": "0.18", "per": "kWh"},
    }
    placed = {
        boundary: [
            (line["scope"], line["category"])
            for line in only(json.dumps(lease), "--boundary", boundary)["lines"]
        ]
        for boundary in ("operational_control", "financial_control", "equity_share")
    }
    # GHG Protocol Scope 3 Standard, table A.1.
    assert placed == {
        "operational_control": [(1, None)],
        "financial_control": [(3, 8)],
        "equity_share": [(3, 8)],
    }


def test_the_shipped_release_may_be_named() -> None:
    release = shipped_book().release_id
    assert run(PLAIN, "--factors", release).stdout == run(PLAIN).stdout


REFERENCE = """
vehicle:
  - vehicle_id: V1
    ownership: carrier
    vehicle_class: van_average
    fuel: diesel
"""


def test_reference_data_decide_whose_a_vehicle_is(tmp_path: Path) -> None:
    file = tmp_path / "reference.yaml"
    file.write_text(REFERENCE)
    event = {name: value for name, value in TRIP.items() if name != "operator"}
    places = [
        [(line["scope"], line["category"]) for line in one["lines"]]
        for one in (only(json.dumps(event)), only(json.dumps(event), "--reference", str(file)))
    ]
    assert places == [[(1, None), (3, 3)], [(3, 4)]]


def test_faulty_reference_data_stop_the_run_before_anything_is_calculated(tmp_path: Path) -> None:
    file = tmp_path / "reference.yaml"
    file.write_text(REFERENCE.replace("carrier", "borrowed"))
    result = run(PLAIN, "--reference", str(file))
    assert result.exit_code == 1
    assert "kgco2e" not in result.stdout
    result = run(PLAIN, "--reference", str(tmp_path / "nowhere.yaml"))
    assert result.exit_code == 2


# ---- streaming


class Growing(io.RawIOBase):
    """`count` lines made as they are asked for; `made` says how many that were."""

    def __init__(self, line: bytes, count: int) -> None:
        super().__init__()
        self.line, self.count, self.made = line, count, 0

    def readable(self) -> bool:
        return True

    def readline(self, size: int | None = -1) -> bytes:  # type: ignore[override]
        if self.made == self.count:
            return b""
        self.made += 1
        return self.line


@pytest.mark.parametrize(
    ("is_csv", "line"), [(False, b"[1, 2, 3]\n"), (True, b"a,b,c\n")], ids=["JSON", "CSV"]
)
def test_a_line_is_read_when_it_is_asked_for_and_then_forgotten(is_csv: bool, line: bytes) -> None:
    stream = Growing(line, 10_000)
    reading = activities(stream, is_csv)  # type: ignore[arg-type]
    number, _ = next(reading)
    assert number == stream.made == (2 if is_csv else 1)
    tracemalloc.start()
    try:
        last = max(number for number, _ in reading)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert last == 10_000
    # A fraction of what holding them would take.
    assert peak < 50_000


def test_through_a_pipe_each_activity_is_answered_before_the_next_one_is_sent() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "calc"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for name in ("Zürich", "二", "last"):
            process.stdin.write(
                json.dumps({**FUGITIVE, "id": name}, ensure_ascii=False).encode() + b"\n"
            )
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            assert (answer["id"], kg(answer)) == (name, ["546"])
        # A reader that goes away (`| head`) ends the run, without a word.
        process.stdout.close()
        process.stdin.write((PLAIN.encode() + b"\n") * 100)
        process.stdin.close()
        assert process.wait(timeout=30) == 1
        assert process.stderr.read() == b""


@pytest.mark.parametrize("source", ["nowhere.jsonl", "."])
def test_a_file_that_cannot_be_read_is_one_message(source: str, tmp_path: Path) -> None:
    result = run("", str(tmp_path / source))
    assert isinstance(result.exception, OSError)
    assert not result.stdout
