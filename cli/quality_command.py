"""`carbon quality …`: how the suites of expectations stand, and a report that a person can read.

Belongs here: options, tables on a terminal, JSON, the exit status, the HTML page. Does not: what is
expected (carbon_assets.suites), looking (carbon_assets.data_quality).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import click

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.store.validations import (
    SuiteStanding,
    Validation,
    latest_validations,
    suite_standings,
)
from cli.ledger_commands import open_database, table

FAILING, NOTHING_SEEN = 1, 2
UNITS_MAX = 5000
SAMPLES_SHOWN = 5
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;"
    "color:#1b1b1b}table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}"
    "th,td{border-bottom:1px solid #ccc;padding:.3rem .6rem;text-align:left;vertical-align:top}"
    "td.n,th.n{text-align:right}code{font-size:13px}.critical{color:#a40000;font-weight:600}"
    ".warning{color:#8a5a00;font-weight:600}.held{color:#1c6b2a}"
)


@click.group()
def quality() -> None:
    """Suites of expectations: what was looked at, and what did not hold."""


@quality.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show(as_json: bool) -> None:
    """Each suite in one line, then every unit that fails.

    Exit status: 0 all hold, 1 something fails critically, 2 nothing was looked at yet.
    """
    with open_database("READER") as conn:
        standings = suite_standings(conn)
        failing = latest_validations(conn, failing_only=True, limit=UNITS_MAX)
    if as_json:
        told = {
            "suites": [asdict(one) for one in standings],
            "failing": [values(one) for one in failing],
        }
        click.echo(json.dumps(told, indent=2, default=str, ensure_ascii=False))
    else:
        click.echo("\n".join([*standing_lines(standings), *failing_lines(failing)]))
    leave(standings)


@quality.command()
@click.option("--suite", help="Of this suite alone.")
@click.option("--html", "html_file", type=click.Path(path_type=Path), help="Write a page there.")
def report(suite: str | None, html_file: Path | None) -> None:
    """Every unit with its latest validation, and each failure with keys of its rows.

    \b
    carbon quality report --suite entries
    carbon quality report --html quality.html
    """
    with open_database("READER") as conn:
        standings = [one for one in suite_standings(conn) if suite in (None, one.suite)]
        found = latest_validations(conn, suite=suite, limit=UNITS_MAX)
    if html_file is None:
        click.echo("\n".join([*standing_lines(standings), *unit_lines(found)]))
    else:
        write_page(html_file, page(standings, found, datetime.now(UTC)))
        click.echo(f"{html_file}: {len(found)} units of {len(standings)} suites")
    leave(standings)


def leave(standings: Sequence[SuiteStanding]) -> None:
    """Ends with the exit status that the standings have."""
    if not standings:
        sys.exit(NOTHING_SEEN)
    sys.exit(FAILING if any(one.critical for one in standings) else 0)


def values(one: Validation) -> dict[str, Any]:
    """A validation as JSON."""
    return {**asdict(one), "suite_sha256": one.suite_sha256.hex()}


def standing_lines(standings: Sequence[SuiteStanding]) -> list[str]:
    """The suites as a table."""
    if not standings:
        return ["No suite has looked at anything yet; Dagster's schedule data_quality_hourly does."]
    heads = ("suite", "last unit", "looked at", "units", "failing", "critical", "rows")
    rows = [
        (
            one.suite,
            one.last_unit,
            f"{one.last_recorded_at:%Y-%m-%d %H:%M}Z",
            one.units,
            one.failing,
            one.critical,
            one.rows_validated,
        )
        for one in standings
    ]
    return [table(heads, rows, 4)]


def failing_lines(failing: Sequence[Validation]) -> list[str]:
    """Each failure in one line, with keys of some of its rows."""
    lines = []
    for one in failing:
        for failure in one.failures:
            lines.append(f"{one.suite} {one.unit}: {sentence(failure)}")
            lines += [f"    {words(row)}" for row in failure["sample"][:SAMPLES_SHOWN]]
    return ["", *lines] if lines else []


def unit_lines(found: Sequence[Validation]) -> list[str]:
    """Units as a table, then what fails in them."""
    heads = ("suite", "unit", "verdict", "version", "as of", "expectations", "rows")
    rows = [
        (
            one.suite,
            one.unit,
            one.worst_severity or "holds",
            f"{one.suite_version} {one.suite_sha256.hex()[:12]}",
            f"{one.as_of:%Y-%m-%d %H:%M:%S}Z",
            one.expectations,
            one.rows_validated,
        )
        for one in found
    ]
    failing = [one for one in found if not one.is_success]
    return ["", table(heads, rows, 2), *failing_lines(failing)] if rows else []


def sentence(failure: Mapping[str, Any]) -> str:
    """A failure in words."""
    if failure["error"]:
        return f"{failure['severity']} {failure['expectation']} cannot be told: {failure['error']}"
    return (
        f"{failure['severity']} {failure['expectation']}: {failure['unexpected']} unexpected "
        f"({failure['says']})"
    )


def words(row: Mapping[str, Any]) -> str:
    """The keys of an unexpected row."""
    return " ".join(f"{name}={value}" for name, value in row.items())


def page(standings: Sequence[SuiteStanding], found: Sequence[Validation], now: datetime) -> str:
    """The report as one HTML page that needs nothing else: no script, no image, no link."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>Data quality</title><style>{STYLE}</style>",
        f"<h1>Data quality</h1><p>Made {now:%Y-%m-%d %H:%M:%S} UTC. Each unit by its latest "
        "validation, kept in audit.validation.</p>",
        html_table(
            ("suite", "units", "failing", "critical", "rows", "last unit"),
            [
                (one.suite, one.units, one.failing, one.critical, one.rows_validated, one.last_unit)
                for one in standings
            ],
        ),
    ]
    for standing in standings:
        units = [one for one in found if one.suite == standing.suite]
        parts.append(f"<h2>{escape(standing.suite)}</h2>")
        parts += [failure_html(one) for one in units if not one.is_success]
        parts.append(
            html_table(
                ("unit", "verdict", "suite version", "as of", "expectations", "rows", "run"),
                [
                    (
                        one.unit,
                        one.worst_severity or "held",
                        f"{one.suite_version} {one.suite_sha256.hex()[:12]}",
                        f"{one.as_of:%Y-%m-%d %H:%M:%S}",
                        one.expectations,
                        one.rows_validated,
                        one.run_id,
                    )
                    for one in units
                ],
            )
        )
    return "\n".join([*parts, "</html>"]) + "\n"


def failure_html(one: Validation) -> str:
    """What fails in a unit, with keys of some rows."""
    lines = []
    for failure in one.failures:
        kind = escape(str(failure["severity"]))
        lines.append(f"<li><span class={kind}>{kind}</span> {escape(sentence(failure))}")
        rows = [f"<li><code>{escape(words(row))}</code>" for row in failure["sample"]]
        lines.append(f"<ul>{''.join(rows)}</ul>" if rows else "")
    return f"<h3>{escape(one.unit)}</h3><ul>{''.join(lines)}</ul>"


def html_table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; whole numbers at the right."""
    top = "".join(f"<th>{escape(head)}" for head in heads)
    body = "".join("<tr>" + "".join(cell(one) for one in row) for row in rows)
    return f"<table><tr>{top}{body}</table>"


def cell(value: object) -> str:
    """One cell, a verdict in its colour."""
    if isinstance(value, int):
        return f"<td class=n>{value:,}"
    text = escape(str(value))
    kind = f" class={text}" if text in ("critical", "warning", "held") else ""
    return f"<td{kind}>{text}"


def write_page(path: Path, text: str) -> None:
    """Writes the page, whole or not at all; ConfigurationError `html_not_written`."""
    beside = path.with_name(f"{path.name}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        raise ConfigurationError(
            "html_not_written", f"--html {path}: {error.strerror}; valid: a file in a folder"
        ) from error
