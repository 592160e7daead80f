"""docs/reports.md says what the code does: its examples are run, its names are looked up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from carbon_ledger.reporting import energy_mix, esrs_e1_5, fuel_energy
from tests.support.accounting_doc import Example, examples

DOCUMENT = Path(__file__).parents[2] / "docs" / "reports.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
EXAMPLES = examples(TEXT)


@pytest.mark.parametrize("example", EXAMPLES, ids=[f"line {one.line}" for one in EXAMPLES])
def test_an_example_prints_what_stands_below_it(example: Example) -> None:
    assert example.prints() == example.printed


def test_every_block_of_python_is_executed() -> None:
    assert TEXT.count("```python") == len([one for one in EXAMPLES if one.kind == "python"]) >= 1


def test_flags_and_files_that_are_named_are_there() -> None:
    section = TEXT.split("\n## E1-5\n")[1].split("\n## ")[0]
    flags = {
        *(energy_mix.NOT_DETERMINED, energy_mix.SOURCE_UNKNOWN, energy_mix.ORIGIN_NOT_SPLIT),
        *(fuel_energy.NET_FROM_GROSS, fuel_energy.NOT_STATED),
    }
    assert flags <= set(re.findall(r"flagged `([a-z_]+)`", section))
    assert hasattr(esrs_e1_5, "energy_faults")
    reporting = DOCUMENT.parents[1] / "carbon_ledger" / "reporting"
    for name in re.findall(r"`(?:carbon_ledger/reporting/)?([a-z0-9_]+\.py)`", section):
        assert (reporting / name).exists()
