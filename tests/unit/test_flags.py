"""Every flag that can stand on a line, a factor or a report has a sentence that people read."""

from __future__ import annotations

import re

import pytest

from carbon_ledger.flags import BEGINNINGS, SENTENCES, sentence_of, sentences_of
from carbon_ledger.settings import PROJECT_ROOT
from tests.support.flag_scan import flags_in, package_texts, recorded_flags

PACKAGES = ("carbon_ledger", "spark", "factor_seeds", "pipeline", "carbon_assets")
TEXTS = package_texts(PROJECT_ROOT, PACKAGES)
FOUND = frozenset(flags_in(TEXTS))
RECORDED = frozenset(recorded_flags(PROJECT_ROOT))
# Flags that no module's text shows to be ones; recorded results do.
DOCUMENT = (PROJECT_ROOT / "docs" / "accounting.md").read_text(encoding="utf-8")
DOCUMENTED = {
    flag
    for said in re.findall(r"^ *flags: (.+)$", DOCUMENT, re.MULTILINE)
    for flag in said.split(", ")
}


def without_words(flags: set[str]) -> set[str]:
    """Those that nobody has put into words."""
    return {flag for flag in flags if flag not in BEGINNINGS and sentence_of(flag) == flag}


def test_every_flag_is_in_words() -> None:
    assert len(FOUND) > 100
    assert len(RECORDED) > 30
    assert len(DOCUMENTED) > 20
    assert without_words({*FOUND, *RECORDED, *DOCUMENTED}) == set()


PLANTED = {
    "lines": 'line_of(flags=(*more, "nobody_knows"))',
    "assigned": 'its_flags = {"nobody_knows"} if x else set()',
    "several": 'name, flags = "no", ("nobody_knows",)',
    "added": 'flags.add("nobody_knows")',
    "united": 'flags |= {"nobody_knows", *others}',
    "chosen": 'replace(row, flags=row.flags | ({"nobody_knows"} if x is None else set()))',
    "returned": 'def _rate_flags(x):\n    return frozenset({"nobody_knows"})',
    "by_place": 'def informs(leg, flag):\n    pass\ninforms(leg, "nobody_knows")',
    "constant": 'NEWS = "nobody_knows"\nflags.append(NEWS)',
    "imported": "from other import NEWS as told\nline_of(flags=(told,))",
    "table": '_FLAGS = {"RULE": "nobody_knows"}\nflags = [_FLAGS[rule]]',
    "set_or_not": 'flags = {"nobody_knows": is_set, "late_line": True}',
    "remark": 'remarks.add("nobody_knows")',
    "each": 'flags |= {f"nobody_knows_{one}" for one in some}',
    "with_a_name": 'NEWS = "nobody_knows"\nflag = f"{NEWS}:{name}"',
}


@pytest.mark.parametrize("place", PLANTED)
def test_a_flag_that_nobody_has_put_into_words_is_found(place: str) -> None:
    texts = {"planted": PLANTED[place], "other": 'NEWS = "nobody_knows"'}
    (found,) = without_words(set(flags_in(texts)))
    assert found in ("nobody_knows", "nobody_knows_", "nobody_knows:")


def test_no_sentence_is_of_a_flag_that_nothing_sets() -> None:
    everything = "\n".join(text for name, text in TEXTS.items() if name != "carbon_ledger.flags")
    unset = {code for code in SENTENCES if f'"{code}"' not in everything}
    assert unset - RECORDED == set()
    assert set(BEGINNINGS) <= FOUND


def test_sentences_are_sentences_and_no_two_are_alike() -> None:
    every = [*SENTENCES.values(), *BEGINNINGS.values()]
    assert len(set(every)) == len(every)
    for sentence in every:
        assert re.fullmatch(r"[A-Z][^_]*\.", sentence), sentence


def test_a_flag_with_a_name_says_the_name() -> None:
    assert sentences_of(["declared_primary", "share_of_residual_of:M_1", "own_code", ""]) == [
        "The carrier declared the figure, of data: primary.",
        "Has a share of what meter M_1 measured beyond its sub-meters.",
        "own_code",
        "",
    ]
