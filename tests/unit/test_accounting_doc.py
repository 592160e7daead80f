"""docs/accounting.md says what the code does: its examples are run, its words are looked up."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache

import pytest

from carbon_ledger.policy import Policy
from factor_seeds.load import shipped_book
from tests.support.accounting_doc import DOCUMENT, Example, examples, formula_rows, formulas
from tests.support.written_workings import read

ROOT = DOCUMENT.parents[1]
TEXT = DOCUMENT.read_text(encoding="utf-8")
EXAMPLES = examples(TEXT)
# Words in code font that are no names of the code.
WORDS = {"jsonl", "text"}


@cache
def printed(example: Example) -> str:
    return example.prints()


@cache
def code() -> str:
    folders = ("carbon_ledger", "factor_seeds", "cli")
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]
    files.append(ROOT / "factor_seeds" / "SOURCES.md")
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


@pytest.mark.parametrize("example", EXAMPLES, ids=[f"line {one.line}" for one in EXAMPLES])
def test_an_example_prints_what_stands_below_it(example: Example) -> None:
    # If this is a wanted change: python -m tests.support.accounting_doc, and read the difference.
    assert printed(example) == example.printed


def test_every_block_of_the_document_is_executed() -> None:
    # Each input and each output in a fence; a fence of another kind would not be run.
    assert TEXT.count("```") == 4 * len(EXAMPLES)
    assert len(EXAMPLES) >= 25
    for one in EXAMPLES:
        assert one.options.startswith(" carbon calc --explain") or one.kind == "python"


def test_every_formula_has_an_example_and_no_example_a_formula_that_is_not_there() -> None:
    shown = {
        formula_id
        for one in EXAMPLES
        for formula_id in re.findall(r"^ *formula ([A-Z0-9-]+): ", one.printed, re.MULTILINE)
    }
    assert shown == set(formulas())


def test_the_table_of_formulas_is_that_of_the_code() -> None:
    between = TEXT.split("<!-- formulas -->\n")[1].split("<!-- end -->")[0]
    assert between == formula_rows()
    for one in formulas().values():
        assert one.text
        assert one.citation


def test_the_examples_can_be_computed_from_what_is_printed() -> None:
    lines = [line for one in EXAMPLES if one.kind == "jsonl" for line in read(one.printed)]
    assert len(lines) > 50
    for line in lines:
        for one in (line.figure, *line.gases.values()):
            assert one.printed
            assert one.recomputed() == Fraction(one.printed)


def test_every_name_in_code_font_is_a_name_of_the_code() -> None:
    prose = re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL)
    prose = prose.split("## All formulas")[0]
    names = set(re.findall(r"`([a-z][a-z0-9_]+)`", prose)) - WORDS
    assert len(names) > 25
    assert not {name for name in names if name not in code()}


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:tests|docs)/[^`]+)`", TEXT))))
def test_every_file_that_is_named_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_links_within_the_document_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}
    assert {link for link in re.findall(r"\]\(#([^)]+)\)", TEXT)} <= anchors


def test_the_potentials_of_the_document_are_those_of_the_release() -> None:
    rows = re.findall(r"^\| (CH4[^|]*|N2O|SF6|NF3) \|([^|]*)\|([^|]*)\|([^|]*)\|", TEXT, re.M)
    names = {
        "CH4": "CH4",
        "CH4 from fossil sources": "CH4_fossil",
        "CH4 from other sources, or out of a fire": "CH4_non_fossil",
    }
    assert len(rows) == 6
    for label, *figures in rows:
        gas = names.get(label, label)
        for gwp_set, figure in zip(("AR4", "AR5", "AR6"), figures, strict=True):
            value = shipped_book().gwp.potential(gas, gwp_set).value
            assert f"{value:,f}" == figure.strip(), (gas, gwp_set)


def test_the_policies_of_the_document_are_the_defaults() -> None:
    policy = Policy()
    assert policy.geography_proxies == ("GB", "US")
    assert policy.max_vintage_gap_years == 5
    assert policy.max_index_gap_years == 2
    assert f"{policy.base_year_threshold:.0%}" == "5%"
    assert (str(policy.road_daf), str(policy.sea_daf)) == ("1.05", "1.15")
    assert f"{policy.supplier_coverage_conflict:.0%}" == "105%"
    assert [str(one) for one in policy.implied_intensity_band] == ["0.05", "20"]
    assert (policy.gwp_set, str(policy.tonnes_per_teu)) == ("AR6", "10")
    assert policy.max_reference_age_years == 3


def test_an_example_that_prints_something_else_is_noticed() -> None:
    first = EXAMPLES[0]
    changed = TEXT.replace("480.45996", "480.45997")
    (false,) = [one for one in examples(changed) if one.line == first.line]
    assert printed(first) == first.printed
    assert false.prints() != false.printed
