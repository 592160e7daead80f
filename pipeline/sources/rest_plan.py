"""The configuration file of a REST source: where, who we are, how often, about what.

Belongs here: its keys, their defaults and limits, the list of subjects. Does not: the provider's
mapping (rest_mapping), asking (rest).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from carbon_ledger.errors import ConfigurationError, RejectedRecord
from carbon_ledger.events import normalise_timestamp
from carbon_ledger.reference.records import check_time_zone
from pipeline.sources.rest_client import Credentials, Patience
from pipeline.sources.rest_mapping import Provider, read_provider, shipped
from pipeline.sources.source_config import SourceConfig, Table

AUTH_KINDS: Final = ("none", "header", "query", "oauth2")
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
SUBJECTS_MAX: Final = 20_000
SUBJECT_CHARACTERS_MAX: Final = 1_000
DAY: Final = 86_400.0


@dataclass(frozen=True, kw_only=True)
class RestPlan:
    """A REST source, checked. `state_file` None is the default place under CARBON_HOME."""

    source: str
    provider: Provider
    base_url: str
    credentials: Credentials
    patience: Patience
    every_seconds: float
    pages_max: int
    start: datetime | None
    zone: ZoneInfo | None
    subjects_file: Path | None
    values: Mapping[str, str]
    state_file: Path | None

    def subjects(self) -> dict[str, dict[str, str]]:
        """What is asked about, by the first column of the list; one nameless subject without one.

        Read anew at every poll. Raises ConfigurationError `rest_subjects`.
        """
        if self.subjects_file is None:
            return {"": {}}
        return read_subjects(self.subjects_file, self.provider.subject_columns)


def read_plan(config: SourceConfig) -> RestPlan:
    """The plan in a configuration; connects to nothing. Raises ConfigurationError."""
    table = config.table
    name = table.text("provider", valid=f"{', '.join(shipped())}, or a path that ends in .toml")
    provider = read_provider(name, config.path.parent)
    start = table.optional_text("start", valid="a moment such as 2025-01-01T00:00:00Z")
    values = table.optional_table("values")
    plan = RestPlan(
        source=config.source,
        provider=provider,
        base_url=_address(table, "base_url"),
        credentials=_credentials(table.optional_table("auth")),
        patience=_patience(table.optional_table("limits")),
        every_seconds=table.seconds("every_seconds", 300.0, low=1, high=DAY),
        pages_max=table.integer("pages_max", 1000, low=1, high=100_000),
        start=None if start is None else _moment(table, start),
        zone=_zone(table),
        subjects_file=table.path("subjects_file"),
        values=_values(values, provider),
        state_file=_state_file(table),
    )
    if provider.cursor.kind in ("window", "latest") and plan.start is None:
        raise table.wrong("start", "is missing", "from when on the provider is asked, ISO 8601")
    if provider.subject_columns and plan.subjects_file is None:
        raise table.wrong(
            "subjects_file",
            "is missing",
            f"a CSV file with the columns {', '.join(sorted(provider.subject_columns))}",
        )
    plan.subjects()
    return plan


def _address(table: Table, name: str) -> str:
    """Encrypted, or on this machine: credentials do not go over a network in the clear."""
    text = table.text(name, valid="an address such as https://api.example.com")
    parts = urlsplit(text)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    if not parts.hostname or not is_safe or parts.query or parts.username:
        raise table.wrong(
            name, f"is {text!r}", "https://host[/path]; http:// only on this machine; no query"
        )
    return text


def _moment(table: Table, text: str) -> datetime:
    try:
        return normalise_timestamp(text)
    except RejectedRecord:
        raise table.wrong(
            "start", f"is {text!r}", "a moment such as 2025-01-01T00:00:00Z"
        ) from None


def _zone(table: Table) -> ZoneInfo | None:
    text = table.optional_text("time_zone", valid="an IANA name such as Europe/Berlin")
    if text is None:
        return None
    try:
        return ZoneInfo(check_time_zone(text))
    except RejectedRecord:
        raise table.wrong(
            "time_zone", f"is {text!r}", "an IANA name such as Europe/Berlin"
        ) from None


def _state_file(table: Table) -> Path | None:
    text = table.optional_text("state_file", valid="a path")
    return None if text is None else table.folder / text


def _values(table: Table | None, provider: Provider) -> dict[str, str]:
    needed = sorted(provider.values_needed)
    rules = [rule for one in provider.events for rule in one.rules.values()]
    known = sorted({rule.value for rule in rules if rule.value is not None})
    if table is None:
        if needed:
            raise ConfigurationError(
                "source_config",
                f"[values] is missing; {provider.name} needs {', '.join(needed)}",
            )
        return {}
    found = {name: table.text(name) for name in needed}
    for name in known:
        if name not in found and (text := table.optional_text(name)) is not None:
            found[name] = text
    return found


def _credentials(table: Table | None) -> Credentials:
    if table is None:
        return Credentials()
    kind = table.choice("kind", AUTH_KINDS)
    if kind == "none":
        return Credentials()
    secret_name = "client_secret" if kind == "oauth2" else "key"
    secret = table.secret(secret_name)
    if secret is None:
        raise table.wrong(secret_name, "is missing", f"{secret_name}_file or {secret_name}_env")
    if kind == "oauth2":
        return Credentials(
            kind="oauth2",
            secret=secret,
            token_url=_address(table, "token_url"),
            client_id=table.text("client_id"),
            scope=table.optional_text("scope") or "",
            is_basic=table.flag("basic", False),
        )
    return Credentials(
        kind="header" if kind == "header" else "query",
        name=table.text("name", valid="the name of the header or parameter"),
        secret=secret,
        prefix=str(table.plain("prefix", "")),
    )


def _patience(table: Table | None) -> Patience:
    if table is None:
        return Patience()
    plain = Patience()
    requests = table.integer("requests", 0, high=100_000)
    return Patience(
        attempts=table.integer("attempts", plain.attempts, low=1, high=20),
        first_wait=table.seconds("first_wait", plain.first_wait, low=0.001, high=600),
        longest_wait=table.seconds("longest_wait", plain.longest_wait, low=0.001, high=3600),
        longest_retry_after=table.seconds(
            "longest_retry_after", plain.longest_retry_after, low=0, high=DAY
        ),
        connect_timeout=table.seconds("connect_timeout", plain.connect_timeout, low=0.1, high=120),
        read_timeout=table.seconds("read_timeout", plain.read_timeout, low=0.1, high=600),
        answer_timeout=table.seconds("answer_timeout", plain.answer_timeout, low=1, high=3600),
        answer_bytes_max=table.integer(
            "answer_bytes_max", plain.answer_bytes_max, low=1024, high=256 * 1024 * 1024
        ),
        requests=requests or None,
        per_seconds=table.seconds("per_seconds", 1.0, low=0.001, high=DAY),
    )


def read_subjects(path: Path, columns: frozenset[str]) -> dict[str, dict[str, str]]:
    """The rows of the list by their first column. Raises ConfigurationError `rest_subjects`."""

    def wrong(complaint: str) -> ConfigurationError:
        return ConfigurationError("rest_subjects", f"{path}: {complaint}")

    subjects: dict[str, dict[str, str]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            header = list(reader.fieldnames or ())
            missing = sorted(columns - set(header))
            if missing:
                raise wrong(f"has no column {', '.join(missing)}; it has {', '.join(header)}")
            for row in reader:
                if None in row or None in row.values():
                    raise wrong(f"line {reader.line_num} has not as many cells as the header")
                key = cast(str, row[header[0]]).strip()
                if not key or len(key) > SUBJECT_CHARACTERS_MAX:
                    raise wrong(f"line {reader.line_num} has nothing usable in {header[0]}")
                if key in subjects:
                    raise wrong(f"line {reader.line_num}: {header[0]} {key!r} is there twice")
                subjects[key] = {name: text.strip() for name, text in row.items()}
                if len(subjects) > SUBJECTS_MAX:
                    raise wrong(f"has more than {SUBJECTS_MAX:,} rows; split it over sources")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise wrong(f"cannot be read: {error}") from error
    return subjects
