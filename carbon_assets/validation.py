"""Holds a suite against one unit of a table with Great Expectations, inside PostgreSQL.

Belongs here: the library, and what its results come to. Does not: suites (carbon_assets.suites),
when which unit is looked at (carbon_assets.data_quality), keeping the result.

Every expectation is evaluated by PostgreSQL, so a NUMERIC is never a float. The library is imported
when a Validator is opened: it takes seconds and a hundred megabytes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from time import monotonic
from typing import Any, Final
from uuid import UUID

from carbon_assets.suites import PRIVATE, QUERY_TYPE, Expectation, Suite, filled
from carbon_ledger.errors import Unavailable
from carbon_ledger.store.validations import DueUnit, sqlalchemy_url

SAMPLE_MAX: Final = 20
COUNTS: Final = ("element_count", "missing_count", "unexpected_count")


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An expectation that does not hold: how many rows, keys of at most SAMPLE_MAX of them.

    `unexpected` is None where it could not be counted; then `error` says why.
    """

    expectation: Expectation
    unexpected: int | None
    sample: tuple[Mapping[str, Any], ...]
    error: str | None = None

    @property
    def streams(self) -> frozenset[str] | None:
        """The streams of the unexpected rows; None if they cannot all be told."""
        if self.unexpected is None or self.unexpected > len(self.sample):
            return None
        named = {one.get("stream") for one in self.sample}
        return frozenset(map(str, named)) if named and None not in named else None

    def told(self) -> dict[str, Any]:
        """As it is kept."""
        streams = self.streams
        return {
            "expectation": self.expectation.name,
            "dimension": self.expectation.dimension,
            "severity": self.expectation.severity,
            "says": self.expectation.says,
            "unexpected": self.unexpected,
            "sample": [dict(one) for one in self.sample],
            "streams": None if streams is None else sorted(streams),
            "error": self.error,
        }


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a suite found in a unit."""

    rows: int
    failures: tuple[Failure, ...]
    statistics: Mapping[str, Any]
    engine: str

    @property
    def worst_severity(self) -> Any:
        """critical, warning, or None where all held."""
        found = {one.expectation.severity for one in self.failures}
        return next((one for one in ("critical", "warning") if one in found), None)


class Validator:
    """A session in which units are looked at; for a `with` statement.

    `url` is that of a role that may only read. Nothing is written to a disk, nothing is sent.
    """

    def __init__(self, url: str) -> None:
        self._url = sqlalchemy_url(url, "carbon data quality")

    def __enter__(self) -> Validator:
        os.environ["GX_ANALYTICS_ENABLED"] = "false"
        import great_expectations
        from great_expectations import expectations
        from great_expectations.data_context.types.base import (
            DataContextConfig,
            InMemoryStoreBackendDefaults,
            ProgressBarsConfig,
        )
        from great_expectations.datasource.fluent.postgres_datasource import PostgresDatasource

        self._library, self._classes = great_expectations, expectations
        # Without its site of documents, for which it would make a folder.
        config = DataContextConfig(
            store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
            analytics_enabled=False,
            progress_bars=ProgressBarsConfig(globally=False),
        )
        context = great_expectations.get_context(mode="ephemeral", project_config=config)
        self._source = context.data_sources.add_postgres(
            datasource=PostgresDatasource(
                name="ledger", connection_string=self._url, kwargs={"pool_pre_ping": True}
            )
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._source.get_engine().dispose()

    def validate(self, suite: Suite, unit: DueUnit) -> Outcome:
        """What `suite` finds in `unit`. Raises Unavailable if the database answers nothing.

        All expectations are asked for a yes or no first; rows are fetched of those that failed.
        """
        began = monotonic()
        name = f"{suite.name} {unit.unit}"
        asset = self._source.add_query_asset(
            name=name, query=filled(suite.batch, unit.parameters, suite)
        )
        try:
            batch = asset.add_batch_definition_whole_table("unit").get_batch()
            asked = {one.name: one for one in suite.expectations}
            first = self._ask(batch, suite, unit, list(asked.values()), "BASIC", 0)
            failed = [asked[name] for name, one in first.items() if not one.success]
            errors = {name: _error(one) for name, one in first.items() if not one.success}
            if failed and len([one for one in errors.values() if one]) == len(asked):
                raise Unavailable(
                    "validation_unavailable",
                    f"PostgreSQL answers no query of suite {suite.name}: "
                    f"{next(iter(errors.values()))}",
                )
            seen = self._look(batch, suite, unit, [one for one in failed if not errors[one.name]])
        finally:
            self._source.delete_asset(name)
        failures = tuple(
            Failure(expectation=one, unexpected=None, sample=(), error=errors[one.name])
            if errors[one.name]
            else _failure(one, suite, seen[one.name])
            for one in failed
        )
        rows = max((_count(one.result, "element_count") or 0 for one in first.values()), default=0)
        return Outcome(
            rows=rows,
            failures=failures,
            statistics={
                "seconds": f"{monotonic() - began:.2f}",
                "rows": rows,
                "expectations": {name: _counts(one) for name, one in first.items()},
            },
            engine=f"great_expectations {self._library.__version__}",
        )

    def _look(
        self, batch: Any, suite: Suite, unit: DueUnit, failed: Sequence[Expectation]
    ) -> dict[str, Any]:
        """The results of failed expectations, with rows."""
        queries = [one for one in failed if one.type == QUERY_TYPE]
        others = [one for one in failed if one.type != QUERY_TYPE]
        return {
            **self._ask(batch, suite, unit, queries, "COMPLETE", SAMPLE_MAX),
            **self._ask(batch, suite, unit, others, "SUMMARY", SAMPLE_MAX),
        }

    def _ask(
        self,
        batch: Any,
        suite: Suite,
        unit: DueUnit,
        wanted: Sequence[Expectation],
        form: str,
        sample: int,
    ) -> dict[str, Any]:
        if not wanted:
            return {}
        made = self._library.ExpectationSuite(
            name=suite.name,
            expectations=[self._made(one, suite, unit) for one in wanted],
        )
        result_format: dict[str, Any] = {"result_format": form, "partial_unexpected_count": sample}
        if sample:
            result_format["unexpected_index_column_names"] = list(suite.keys)
        found = batch.validate(made, result_format=result_format)
        return {one.expectation_config.meta["name"]: one for one in found.results}

    def _made(self, one: Expectation, suite: Suite, unit: DueUnit) -> Any:
        arguments = dict(one.arguments)
        if one.query is not None:
            arguments["unexpected_rows_query"] = filled(one.query, unit.parameters, suite)
        if one.type == "expect_table_columns_to_match_set":
            arguments |= {"column_set": list(suite.columns), "exact_match": True}
        kind = "".join(word.title() for word in one.type.split("_"))
        return getattr(self._classes, kind)(
            **arguments, severity=one.severity, meta={"name": one.name}
        )


def _failure(one: Expectation, suite: Suite, found: Any) -> Failure:
    result = found.result
    counted: int | None
    if one.type == QUERY_TYPE:
        rows = result["details"]["unexpected_rows"]
        counted = int(result["observed_value"])
    else:
        # Of several columns together, the library gives their values and no keys.
        values = [row for row in result.get("partial_unexpected_list") or () if _is_row(row)]
        rows = result.get("partial_unexpected_index_list") or values
        counted = _count(result, "unexpected_count")
        if counted is None:  # of the whole table, not of rows
            rows, counted = [{"observed": str(result.get("observed_value"))}], 1
    sample = tuple(
        {name: _plain(value) for name, value in dict(row).items() if name not in PRIVATE}
        for row in list(rows)[:SAMPLE_MAX]
    )
    return Failure(expectation=one, unexpected=counted, sample=sample)


def _is_row(value: Any) -> bool:
    return isinstance(value, Mapping)


def _count(result: Mapping[str, Any], name: str) -> int | None:
    value = result.get(name)
    return None if value is None else int(value)


def _counts(found: Any) -> dict[str, int]:
    """What was counted, without percentages."""
    counts = {name: _count(found.result, name) for name in COUNTS}
    if found.expectation_config.type == QUERY_TYPE:
        counts["unexpected_count"] = _count(found.result, "observed_value")
    return {name: value for name, value in counts.items() if value is not None}


def _error(found: Any) -> str | None:
    """The first line of what went wrong while it was evaluated; None if nothing did."""
    info = found.exception_info or {}
    each = [info] if "raised_exception" in info else list(info.values())
    for one in each:
        if isinstance(one, Mapping) and one.get("raised_exception"):
            return str(one.get("exception_message") or "error").splitlines()[0][:300]
    return None


def _plain(value: Any) -> Any:
    """`value` as JSON holds it: numbers with a fraction, times and ids as text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal | UUID):
        return str(value)
    return repr(value)[:200]
