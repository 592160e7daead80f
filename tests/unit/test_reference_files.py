"""Files of reference data: what is read from them, and every fault with its place."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import MISSING, fields
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from carbon_ledger.reference.checks import faults_of
from carbon_ledger.reference.files import KINDS, parse
from carbon_ledger.reference.records import Ownership, Site
from carbon_ledger.settings import PROJECT_ROOT
from cli.reference_commands import digest_of, reference

EXAMPLE = PROJECT_ROOT / "docs" / "examples" / "reference.yaml"


def as_csv(text: str) -> dict[str, str]:
    """The same records as one CSV text per kind."""
    files = {}
    for kind, records in yaml.load(text, Loader=yaml.BaseLoader).items():  # noqa: S506
        heads = list(dict.fromkeys(name for record in records for name in record))
        out = io.StringIO()
        writer = csv.DictWriter(out, heads, restval="")
        writer.writeheader()
        writer.writerows(records)
        files[f"{kind}.csv"] = out.getvalue()
    return files


def test_the_example_uses_every_kind_and_has_no_fault() -> None:
    parsed = parse({EXAMPLE.name: EXAMPLE.read_text(encoding="utf-8")})
    assert parsed.faults == ()
    assert {one.record.KIND for one in parsed.stated} == set(KINDS)
    assert faults_of(parsed.stated) == ()


def test_a_folder_of_csv_states_the_same_as_the_yaml() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    from_yaml, from_csv = parse({"all.yaml": text}), parse(as_csv(text))
    assert from_csv.faults == ()
    assert [one.record for one in from_csv.stated] == [one.record for one in from_yaml.stated]


def test_values_are_taken_as_they_are_written() -> None:
    """YAML would read NO as false, 010 as 8 and 1_000 as a number; a share would be inexact."""
    text = """
site:
  - {facility_id: 010, organization_id: 1_000, country_iso2: NO, time_zone: UTC, area_m2: 0.10}
ownership:
  - {entity_id: "null", parent_id: 0x1F, equity_share: 0.1, financial_control: no,
     operational_control: off-shore}
"""
    parsed = parse({"a.yaml": text})
    (stated,) = parsed.stated
    assert isinstance(stated.record, Site)
    assert (stated.record.facility_id, stated.record.organization_id) == ("010", "1_000")
    assert stated.record.country_iso2 == "NO"
    assert str(stated.record.area_m2) == "0.10"
    (fault,) = parsed.faults
    assert (fault.row, fault.code, fault.value) == (5, "not_yes_or_no", "off-shore")
    text = text.replace("off-shore", "off")
    (fault,) = parse({"a.yaml": text}).faults
    assert fault.code == "not_yes_or_no"
    share = next(one.record for one in parse({"a.yaml": text.replace("off", "no")}).stated[1:])
    assert isinstance(share, Ownership)
    assert (share.equity_share, share.entity_id) == (Fraction(1, 10), "null")


SITE = "facility_id,organization_id,country_iso2,time_zone\n"
FORM_FAULTS = [
    ("a.yaml", "site: [", "not_yaml", 1),
    ("a.yaml", "", "not_lists_by_kind", None),
    ("a.yaml", "- 1", "not_lists_by_kind", None),
    ("a.yaml", "sites: []", "unknown_kind", 1),
    ("a.yaml", "site: []\nsite: []", "kind_twice", 2),
    ("a.yaml", "site:\n  facility_id: x", "not_a_list", 1),
    ("a.yaml", "site:\n  - x", "not_a_record", 2),
    ("a.yaml", "site:\n  - facility_id: [a]", "not_a_value", 2),
    ("a.yaml", "site:\n  - facility_id: a\n    facility_id: b", "field_twice", 3),
    ("a.yaml", "[" * 100_000, "not_yaml", None),
    ("sites.csv", SITE, "unknown_file", None),
    ("site.xlsx", "", "unknown_file", None),
    ("site.csv", "", "empty_file", None),
    ("site.csv", SITE + "a,b,DE\n", "cells_do_not_fit", 2),
    ("site.csv", "facility_id,facility_id\na,b\n", "column_twice", 1),
    ("site.csv", SITE + '"a"b,c,DE,UTC\n', "not_csv", 2),
    ("site.csv", SITE + "\na,b,DE,UTC\nb,c,DE,Nowhere\n", "unknown_time_zone", 4),
    ("site.csv", SITE + "a,b,DE,\n", "missing_value", 2),
    ("site.csv", SITE.replace("time_zone", "tz") + "a,b,DE,UTC\n", "unknown_field", 2),
]


@pytest.mark.parametrize(("file", "text", "code", "row"), FORM_FAULTS)
def test_a_fault_of_form_has_its_place(file: str, text: str, code: str, row: int | None) -> None:
    (first, *_) = parse({file: text}).faults
    assert (first.file, first.code, first.row) == (file, code, row)
    assert str(first).startswith(file if row is None else f"{file}:{row}: ")


def test_a_row_of_several_lines_is_named_by_its_first() -> None:
    text = SITE.replace("time_zone", "name,time_zone") + 'a,b,DE,"two\nlines",UTC\nb,c,XX,n,UTC\n'
    assert [(one.row, one.field) for one in parse({"site.csv": text}).faults] == [
        (2, "name"),
        (4, "country_iso2"),
    ]


FAULTY = """
entity:
  - {entity_id: acme, organization_id: acme, kind: parent}
  - {entity_id: child, organization_id: acme, kind: daughter, country_iso2: UK}
site:
  - {facility_id: plant, organization_id: acme, country_iso2: DE, entity_id: nobody}
  - {facility_id: works, organization_id: acme, country_iso2: DE, time_zone: UTC, entity_id: nobody}
"""


def test_check_lists_all_faults_and_ends_with_code_1(tmp_path: Path) -> None:
    path = tmp_path / "faulty.yaml"
    path.write_text(FAULTY)
    done = CliRunner().invoke(reference, ["check", str(path)])
    assert done.exit_code == 1
    assert [line.partition("; valid: ")[0] for line in done.stdout.splitlines()] == [
        "faulty.yaml:4: entity: kind: 'daughter' is not among the choices [unknown_choice]",
        "faulty.yaml:4: entity: country_iso2: 'UK' is no country code; did you mean GB? "
        "[unknown_country]",
        "faulty.yaml:6: site: time_zone: is missing [missing_value]",
        "faulty.yaml:7: site: entity_id: works names entity nobody, of which nothing is stated "
        "[unknown_reference]",
    ]
    assert "4 faults; nothing was stored" in done.stderr
    told = json.loads(CliRunner().invoke(reference, ["check", "--json", str(path)]).stdout)
    assert [(one["row"], one["field"], one["value"]) for one in told["faults"]] == [
        *((4, "kind", "daughter"), (4, "country_iso2", "UK"), (6, "time_zone", None)),
        (7, "entity_id", "nobody"),
    ]
    assert all(one["valid"] and one["file"] == "faulty.yaml" for one in told["faults"])


def test_check_is_content_with_the_example_as_one_file_or_as_a_folder(tmp_path: Path) -> None:
    done = CliRunner().invoke(reference, ["check", str(EXAMPLE)])
    assert (done.exit_code, done.stdout) == (0, "36 records in 1 files, nothing wrong.\n")
    for name, text in as_csv(EXAMPLE.read_text(encoding="utf-8")).items():
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
    (tmp_path / ".hidden").write_text("not looked at")
    done = CliRunner().invoke(reference, ["check", str(tmp_path)])
    assert (done.exit_code, done.stdout) == (0, "36 records in 16 files, nothing wrong.\n")


def test_bytes_that_are_no_text_are_a_fault_of_their_line(tmp_path: Path) -> None:
    path = tmp_path / "site.csv"
    path.write_bytes(SITE.encode() + b"a,b\xe9,DE,UTC\n")
    done = CliRunner().invoke(reference, ["check", str(path)])
    assert done.exit_code == 1
    assert done.stdout.startswith("site.csv:2: -: is not text in UTF-8 [not_utf8]")


def test_what_is_no_file_of_ours_is_a_fault_of_usage(tmp_path: Path) -> None:
    assert CliRunner().invoke(reference, ["check", str(tmp_path / "none.yaml")]).exit_code == 2
    assert CliRunner().invoke(reference, ["check", str(tmp_path)]).exit_code == 2
    (tmp_path / "folder").mkdir()
    assert CliRunner().invoke(reference, ["check", str(tmp_path)]).exit_code == 2
    assert CliRunner().invoke(reference, ["check"]).exit_code == 2


def test_the_digest_tells_files_apart_however_they_are_cut() -> None:
    digests = {
        digest_of({"a": b"xy"}),
        digest_of({"a": b"x"}),
        digest_of({"b": b"xy"}),
        digest_of({"a": b"x", "b": b"y"}),
        digest_of({"a": b"x\nb\n1\ny"}),
    }
    assert len(digests) == 5
    assert digest_of({"b": b"y", "a": b"x"}) == digest_of({"a": b"x", "b": b"y"})


def test_an_amount_stays_exact_from_file_to_record() -> None:
    text = (
        "revenue:\n  - {entity_id: a, amount: 12345678901234567890.123456789, currency: EUR, "
        "valid_to: 2025-01-01}"
    )
    (stated,) = parse({"a.yaml": text}).stated
    assert stated.record.amount == Decimal("12345678901234567890.123456789")  # type: ignore[attr-defined]


def test_the_guide_lists_every_field_of_every_kind() -> None:
    guide = (PROJECT_ROOT / "docs" / "reference-data.md").read_text(encoding="utf-8")
    sections = {
        head.strip(): text
        for head, _, text in (part.partition("\n") for part in guide.split("\n### ")[1:])
    }
    assert list(sections) == list(KINDS)
    for kind, text in sections.items():
        for one in fields(KINDS[kind]):
            if one.name in ("valid_from", "valid_to", "recorded_at"):
                continue
            is_bold = f"**`{one.name}`**" in text
            assert f"`{one.name}`" in text, (kind, one.name)
            assert is_bold == (one.default is MISSING), (kind, one.name)


def test_the_guide_lists_every_code_a_check_has() -> None:
    guide = (PROJECT_ROOT / "docs" / "reference-data.md").read_text(encoding="utf-8")
    listed = re.findall(r"`(\w+)`", (faults_of.__doc__ or "").partition("Codes:")[2])
    assert len(listed) == 15
    assert [code for code in listed if f"`{code}`" not in guide] == []
