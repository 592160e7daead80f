"""Compares what protects the tables with what was made to: triggers, row security, their functions.

Belongs here: the questions to the catalogue, and the expectation (protections.toml); roles that no
row security binds. Does not: what is in the tables, grants.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from verifier.connection import Connection, query
from verifier.findings import Report

EXPECTED: Final = Path(__file__).with_name("protections.toml")
ENTRIES: Final = "ledger.entry"


@dataclass(frozen=True, kw_only=True)
class Protection:
    """Whether changes of a table are refused, and the name of its row security."""

    is_guarded: bool
    rows: str


@cache
def expectation() -> Mapping[str, Any]:
    """protections.toml."""
    return tomllib.loads(EXPECTED.read_text(encoding="utf-8"))


def protections() -> dict[str, Protection]:
    """By table, what protects it; a month of entries is as ledger.entry."""
    return {
        table: Protection(is_guarded=kind == "guarded", rows=rows)
        for kind in ("guarded", "state")
        for rows, tables in expectation()[kind].items()
        for table in tables
    }


def check_protections(connection: Connection, report: Report) -> None:
    """Every table, month and view has its protection, enabled, and no session begins without it."""
    expected, policies = protections(), _policies(connection)
    seen, compared = set(), 0
    for name, kind, is_month, *guards, is_forced, is_invoker in connection.execute(query("guards")):
        seen.add(name)
        if kind in ("v", "m"):
            if not is_invoker:
                _rows(
                    report,
                    name,
                    "view",
                    "it is read with its owner's rights, past all row security",
                )
            continue
        wanted = expected.get(ENTRIES if is_month else name)
        if wanted is None:
            continue
        compared += 1
        if wanted.is_guarded:
            _guards(report, name, *guards)
        _row_security(report, name, wanted.rows, policies.get(name, set()), is_forced)
    for name in sorted(expected.keys() - seen):
        report.add("guard_missing", name, "the table is not there", rows=expected[name].rows)
    _bodies(connection, report)
    _bypassing(connection, report)
    for whose, setting in connection.execute(query("settings")):
        message = f"sessions of {whose} begin with {setting}"
        report.add("guard_missing", "pg_db_role_setting", message, whose=whose)
    report.looked_at["protected tables"] = compared


def _guards(report: Report, table: str, refuses_change: bool, refuses_truncate: bool) -> None:
    for is_there, what in ((refuses_change, "UPDATE and DELETE"), (refuses_truncate, "TRUNCATE")):
        if not is_there:
            message = f"no trigger that is enabled refuses {what}"
            report.add("guard_missing", table, message, refuses=what)


def _row_security(report: Report, table: str, rows: str, found: set[str], is_forced: bool) -> None:
    wanted = set(expectation()["row_security"][rows])
    if wanted and not is_forced:
        _rows(report, table, rows, "its row security is not enabled, or not forced on the owner")
    for policy in sorted(wanted - found):
        _rows(report, table, rows, f"it lacks the policy: {policy}")
    for policy in sorted(found - wanted):
        _rows(report, table, rows, f"it has a policy that nobody made for it: {policy}")


def _rows(report: Report, table: str, rows: str, message: str) -> None:
    report.add("row_security_differs", table, message, rows=rows)


def _policies(connection: Connection) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for table, policy in connection.execute(query("policies")):
        found.setdefault(table, set()).add(policy.strip())
    return found


def _bypassing(connection: Connection, report: Report) -> None:
    """Row security binds every role but those that were made to be past it."""
    allowed = set(expectation()["past_row_security"]["roles"])
    for name, is_superuser in connection.execute(query("bypassing")):
        if is_superuser or name not in allowed:
            what = "is a superuser" if is_superuser else "has BYPASSRLS and may read tables"
            message = f"role {name} {what}, so that no row security binds it"
            report.add("row_security_differs", "pg_roles", message, role=name)


def _bodies(connection: Connection, report: Report) -> None:
    """The functions are those that were made: a trigger that calls another one refuses nothing."""
    wanted = expectation()["bodies"]
    found: dict[str, list[str]] = {}
    for name, digest in connection.execute(query("bodies"), (list(wanted),)):
        found.setdefault(name, []).append(digest)
    for name, digest in wanted.items():
        if found.get(name) != [digest]:
            message = (
                "the function that refuses changes or chooses rows is not the one that was made"
            )
            report.add("guard_missing", "pg_proc", message, function=name)
