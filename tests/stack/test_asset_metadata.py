"""What each materialization says of its rows, and whether columns shown are those of the tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from carbon_assets.definitions import build_definitions
from tests.support.asset_database import resource_of
from tests.support.entries_posted import line, post
from tests.support.postgres import LedgerDatabase, scratch_database

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]
ROWS = ("dagster/row_count", "dagster/partition_row_count", "rows_added")
DAY = datetime(2024, 3, 1, tzinfo=UTC)
# What PostgreSQL alone is enough for, with the partition that has something.
MATERIALIZED = {
    "factors/release": None,
    "reference/register": None,
    "windows/five_minute": "2024-03-01",
    "windows/daily": "2024-03-01",
    "reports/esrs_e1": "2024",
    "reports/cdp_7": "2024",
    "reports/completeness": "2024",
    "reports/retention": None,
    "periods/status": None,
}


@pytest.fixture(scope="module")
def database(stack: Any) -> Iterator[LedgerDatabase]:
    with scratch_database(stack.layout.database_url) as found:
        post(found, [line(n, "5", occurred_from=DAY, facility_id=f"p|{n}") for n in range(3)])
        yield found


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture(scope="module")
def definitions(database: LedgerDatabase) -> dg.Definitions:
    resource = resource_of(database)
    return build_definitions(resources={"database": resource})


@pytest.mark.parametrize(("name", "partition"), MATERIALIZED.items())
def test_a_materialization_says_how_many_rows_there_are(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    name: str,
    partition: str | None,
) -> None:
    key = dg.AssetKey(name.split("/"))
    asset = definitions.get_repository_def().assets_defs_by_key[key]
    done = dg.materialize([asset], instance=instance, partition_key=partition)
    (made,) = done.get_asset_materialization_events()
    told = made.materialization.metadata
    (rows,) = [told[one].value for one in ROWS if one in told and one != "rows_added"][:1]
    assert isinstance(rows, int)
    if name in ("windows/five_minute", "windows/daily"):
        assert rows == 3, "a row for each facility"
    tags = made.materialization.tags or {}
    assert tags["dagster/data_version"]
    assert tags["dagster/code_version"]
    if name in ("reports/esrs_e1", "reports/cdp_7"):
        assert told["factor_release"].value == "test-000000000000"
        assert told["code_version"].value


def test_equal_figures_have_equal_data_versions(
    definitions: dg.Definitions, instance: dg.DagsterInstance, database: LedgerDatabase
) -> None:
    key = dg.AssetKey(["reports", "esrs_e1"])
    asset = definitions.get_repository_def().assets_defs_by_key[key]

    def version() -> str:
        done = dg.materialize([asset], instance=instance, partition_key="2024")
        (made,) = done.get_asset_materialization_events()
        return (made.materialization.tags or {})["dagster/data_version"]

    first = version()
    assert version() == first
    post(database, [line(9, "1", occurred_from=DAY)])
    assert version() != first


def test_columns_shown_are_columns_of_the_tables(
    definitions: dg.Definitions, database: LedgerDatabase
) -> None:
    graph = definitions.get_repository_def().asset_graph
    seen = set()
    with closing(database.reader()) as conn:
        for key in sorted(graph.get_all_asset_keys()):
            table = graph.get(key).metadata.get("dagster/table_name")
            if table is None:
                continue
            schema, _, name = str(getattr(table, "value", table)).partition(".")
            kinds: dict[str, str] = dict(
                conn.execute(
                    "select a.attname, format_type(a.atttypid, null) from pg_attribute a"
                    " where a.attrelid = %s::regclass and a.attnum > 0",
                    (f"{schema}.{name}",),
                ).fetchall()
            )
            for column in graph.get(key).metadata["dagster/column_schema"].columns:
                assert kinds.get(column.name) == column.type, (table, column.name)
            seen.add(f"{schema}.{name}")
    assert len(seen) >= 12, seen
