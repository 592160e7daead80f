"""Every check of an asset has been seen to fail: which test plants the fault it is there for.

A check that nobody names here fails this test, and so does a name whose test is gone or does not
speak of a failure. Expectations have a list of their own (tests/support/quality_faults.py), and so
have tie-outs (tests/unit/test_tie_outs.py).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from typing import Final

import pytest

from carbon_assets.definitions import build_definitions
from carbon_ledger.settings import PROJECT_ROOT

REPORTS: Final = (
    "test_report_checks",
    "test_a_planted_fault_fails_its_check_and_no_other",
    "fails",
)
# Check: a test in tests/stack that plants a fault, and words of it by which the fault is seen.
SEEN_TO_FAIL: Final[dict[str, tuple[str, str, str]]] = {
    "accounts_balance": (
        "test_asset_checks",
        "test_a_claim_without_its_account_fails_the_check",
        "not result.passed",
    ),
    "closed_periods_are_reproduced": (
        "test_period_close",
        "test_a_changed_report_and_one_that_cannot_be_built_again_are_seen",
        "AGAIN: False",
    ),
    "commits_are_sealed": (
        "test_verification",
        "test_a_commit_that_stays_without_a_seal_fails_the_check_until_it_is_sealed",
        "not passed",
    ),
    "every_period_has_its_lines": (
        "test_period_postings",
        "test_the_assets_check_fails_for_a_year_that_is_refused",
        "not check.passed",
    ),
    "expectations_hold": (
        "test_expectations",
        "test_checks_say_of_each_asset_what_was_found_and_it_is_kept_as_evidence",
        "passed",
    ),
    "gross_figures_are_sums_of_entries": REPORTS,
    "heads_are_published": (
        "test_heads",
        "test_a_place_that_is_away_fails_the_assets_check",
        "'heads_are_published': False",
    ),
    "late_entries_follow_the_rule": (
        "test_period_close",
        "test_the_asset_shows_what_is_late_and_warns_where_restating_is_due",
        "not one.passed",
    ),
    "ledger_reconciles": (
        "test_asset_checks",
        "test_the_whole_ledger_is_compared_with_its_accounts",
        "not outcome",
    ),
    "ledger_verifies": (
        "test_verification",
        "test_one_changed_figure_fails_the_check_and_is_named",
        "not passed",
    ),
    "no_claim_counts_twice": (
        "test_supersession_asset",
        "test_the_asset_posts_and_its_check_sees_what_counts_twice",
        "not check.passed",
    ),
    "posting_equals_preview": (
        "test_restatement",
        "test_a_posting_that_differs_from_its_preview_is_seen",
        "posting_faults",
    ),
    "questions_tie_out": REPORTS,
    "report_equals_ledger": (
        "test_asset_checks",
        "test_a_report_that_is_not_the_sum_of_its_entries_fails_the_check",
        "report_faults",
    ),
    "sources_are_complete": (
        "test_completeness",
        "test_the_asset_says_the_same_of_a_fiscal_year",
        "not check.passed",
    ),
    "totals_are_sums_of_their_parts": REPORTS,
    "sums_equal_entries": (
        "test_asset_checks",
        "test_a_sum_that_is_not_that_of_its_entries_fails_the_check_and_all_are_made_anew",
        "not outcome",
    ),
    "tree_recomputes": (
        "test_sealing",
        "test_leaves_of_a_complete_subtree_are_looked_at_again",
        "check_edge",
    ),
    "windows_equal_entries": (
        "test_asset_checks",
        "test_a_window_that_is_not_the_sum_of_its_entries_fails_the_check_and_is_corrected",
        "not outcome",
    ),
}


def unseen(checks: Iterable[str]) -> list[str]:
    """Checks that no test here has been seen to fail, and tests that are not there, in words."""
    names = set(checks)
    found = [f"{name}: no test plants its fault" for name in sorted(names - SEEN_TO_FAIL.keys())]
    found += [f"{name}: there is no such check" for name in sorted(SEEN_TO_FAIL.keys() - names)]
    for name, (module, test, words) in sorted(SEEN_TO_FAIL.items()):
        source = sources_of(module).get(test)
        if source is None:
            found.append(f"{name}: {module} has no {test}")
        elif words not in source:
            found.append(f"{name}: {test} does not say {words!r}")
    return found


@cache
def sources_of(module: str) -> dict[str, str]:
    """The source of each test of a module that is not skipped."""
    text = (PROJECT_ROOT / "tests" / "stack" / f"{module}.py").read_text("utf-8")
    return {
        one.name: ast.unparse(one)
        for one in ast.parse(text).body
        if isinstance(one, ast.FunctionDef)
        and "skip" not in " ".join(map(ast.unparse, one.decorator_list))
    }


@pytest.fixture(scope="module")
def checks() -> set[str]:
    graph = build_definitions().get_repository_def().asset_graph
    return {key.name for key in graph.asset_check_keys}


def test_every_check_of_an_asset_has_been_seen_to_fail(checks: set[str]) -> None:
    assert unseen(checks) == []


def test_a_check_that_nobody_has_seen_fail_is_told(checks: set[str]) -> None:
    assert unseen(checks | {"sums_are_sums"}) == ["sums_are_sums: no test plants its fault"]
    assert unseen(checks - {"questions_tie_out"}) == ["questions_tie_out: there is no such check"]
