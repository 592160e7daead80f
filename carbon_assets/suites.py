"""Suites of expectations as data: folders of carbon_assets/expectations, read and checked.

Belongs here: what a suite may say, its hash, how a query's $names are filled in. Does not: what
evaluates it (carbon_assets.validation), when (carbon_assets.data_quality).

A suite is a folder: suite.yaml, `units.sql` that names what is due, `batch.sql` that selects one
unit, and a .sql for each expectation that a library expectation cannot say. A query of an
expectation gives the unexpected rows, [] if it holds; {batch} in it is the unit.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from string import Template
from typing import Any, Final, Literal

import yaml

from carbon_ledger.errors import ConfigurationError

FOLDER: Final = Path(__file__).with_name("expectations")
SUITES: Final = ("entries", "windows", "factors", "esrs_e1")
# Figures of reports rest on what these look at.
PUBLISHING_RESTS_ON: Final = ("entries", "windows", "factors")
DIMENSIONS: Final = ("schema", "not-null", "set", "range", "uniqueness", "reconciliation", "drift")
SEVERITIES: Final = ("critical", "warning")
# What may lead to a person, or is a natural key that may: no sample of unexpected values has it.
PRIVATE: Final = frozenset({"activity_ref", "claim_key", "event_id", "source_ref", "subject_ref"})
QUERY_TYPE: Final = "unexpected_rows_expectation"
# The safe loader, in C where there is one: definitions are read by every run.
LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SUITE_WORDS: Final = {
    *("suite", "version", "title", "target", "units", "batch", "keys", "columns", "expectations"),
    "hold_days",
}
_OWN_WORDS: Final = {"name", "dimension", "severity", "type", "query"}
_NAME = re.compile(r"[a-z][a-z0-9_]{2,60}")
_VALUE = re.compile(r"[A-Za-z0-9 ._:+(),-]{1,200}")


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """One expectation: a library type with its arguments, or a query for unexpected rows."""

    name: str
    dimension: str
    severity: Literal["critical", "warning"]
    type: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    query: str | None = None
    says: str = ""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A suite as it was read. `hold_days` is how long a unit's failure makes the check fail, None:
    until the unit is looked at again.
    """

    name: str
    version: int
    title: str
    target: str
    units: str
    batch: str
    keys: tuple[str, ...]
    columns: Mapping[str, str]
    expectations: tuple[Expectation, ...]
    sha256: bytes
    hold_days: int | None = None


def read_suite(name: str, folder: Path = FOLDER) -> Suite:
    """The suite `name`; ConfigurationError `suite` says what is wrong with it, and where.

    `sha256` is over the name and content of every file that it is made of.
    """
    place = folder / name
    sources: dict[str, str] = {}

    def text_of(file: str) -> str:
        path = (place / file).resolve()
        if folder.resolve() not in path.parents or not path.is_file():
            raise _wrong(name, f"there is no file {file}; valid is one of the suite's folder")
        sources[file] = path.read_text(encoding="utf-8")
        return sources[file]

    given = yaml.load(text_of("suite.yaml"), Loader=LOADER)  # noqa: S506 - a safe one
    if not isinstance(given, dict) or not _SUITE_WORDS - {"hold_days"} <= set(given):
        raise _wrong(name, f"suite.yaml lacks one of {', '.join(sorted(_SUITE_WORDS))}")
    if unknown := sorted(set(given) - _SUITE_WORDS):
        raise _wrong(name, f"suite.yaml says {', '.join(unknown)}, which is not known")
    if given["suite"] != name:
        raise _wrong(name, f"suite.yaml is of {given['suite']!r}")
    expectations = tuple(_expectation(name, one, text_of) for one in given["expectations"])
    names = [one.name for one in expectations]
    if twice := sorted({one for one in names if names.count(one) > 1}):
        raise _wrong(name, f"{', '.join(twice)} is there twice")
    if private := sorted(PRIVATE & set(given["keys"])):
        raise _wrong(name, f"{', '.join(private)} must not be kept as the key of a sample")
    units, batch = text_of(given["units"]), text_of(given["batch"])
    digest = hashlib.sha256()
    for file, text in sorted(sources.items()):
        digest.update(f"{file}\0{len(text)}\0{text}".encode())
    return Suite(
        name=name,
        version=int(given["version"]),
        title=str(given["title"]),
        target=str(given["target"]),
        units=units,
        batch=batch,
        keys=tuple(given["keys"]),
        columns=dict(given["columns"]),
        expectations=expectations,
        sha256=digest.digest(),
        hold_days=given.get("hold_days"),
    )


def read_suites(folder: Path = FOLDER) -> tuple[Suite, ...]:
    """Every suite there is."""
    return tuple(read_suite(name, folder) for name in SUITES)


def _expectation(suite: str, given: Mapping[str, Any], text_of: Any) -> Expectation:
    name = str(given.get("name", ""))
    if not _NAME.fullmatch(name):
        raise _wrong(suite, f"{name!r} is no name of an expectation")
    if given.get("dimension") not in DIMENSIONS or given.get("severity") not in SEVERITIES:
        raise _wrong(
            suite,
            f"{name} has dimension {given.get('dimension')!r} and severity "
            f"{given.get('severity')!r}; valid are {', '.join(DIMENSIONS)} and "
            f"{', '.join(SEVERITIES)}",
        )
    if given["dimension"] == "drift" and given["severity"] != "warning":
        raise _wrong(suite, f"{name}: drift is a question, and blocks nothing")
    if ("type" in given) == ("query" in given):
        raise _wrong(suite, f"{name} needs a type or a query")
    query = text_of(given["query"]) if "query" in given else None
    if query is not None and ("{batch}" not in query or "%" in query):
        raise _wrong(suite, f"{name}: a query needs {{batch}}, and can have no percent sign")
    return Expectation(
        name=name,
        dimension=given["dimension"],
        severity=given["severity"],
        type=given.get("type", QUERY_TYPE),
        arguments={key: value for key, value in given.items() if key not in _OWN_WORDS},
        query=None if query is None else _without_comment(query),
        says=_says(name, query),
    )


def _without_comment(query: str) -> str:
    return "\n".join(line for line in query.splitlines() if not line.startswith("--"))


def _says(name: str, query: str | None) -> str:
    """The comment a query begins with, else its name as words."""
    lines = [line[2:].strip() for line in (query or "").splitlines() if line.startswith("--")]
    return " ".join(lines) or name.replace("_", " ")


def filled(query: str, values: Mapping[str, str], suite: Suite) -> str:
    """`query` with every $name as a literal; $target and $columns are the suite's own.

    Raises ConfigurationError `suite` for a name that has no value, and for a value that is more
    than letters, digits and plain punctuation.
    """
    columns = ", ".join(
        f"({literal(name, suite)}, {literal(kind, suite)})" for name, kind in suite.columns.items()
    )
    known = {
        **{name: literal(value, suite) for name, value in values.items()},
        "target": literal(suite.target, suite),
        "columns": columns,
    }
    try:
        return Template(query).substitute(known)
    except (KeyError, ValueError) as error:
        raise _wrong(suite.name, f"a query asks for {error}; known are {sorted(known)}") from error


def literal(value: str, suite: Suite) -> str:
    """`value` as an SQL literal, quoted as it is."""
    if not _VALUE.fullmatch(value):
        raise _wrong(suite.name, f"{value!r} cannot be put into a query")
    return f"'{value}'"


def names_of(suites: Sequence[Suite]) -> list[tuple[str, str]]:
    """(suite, expectation) of all of them."""
    return [(suite.name, one.name) for suite in suites for one in suite.expectations]


def _wrong(suite: str, what: str) -> ConfigurationError:
    return ConfigurationError("suite", f"suite {suite}: {what}")


def publishing_holds() -> dict[str, timedelta | None]:
    """By suite that publishing rests on, how long a failure stands against it; None: until the unit
    is looked at again."""
    held = {name: read_suite(name).hold_days for name in PUBLISHING_RESTS_ON}
    return {name: None if days is None else timedelta(days=days) for name, days in held.items()}
