"""windows/five_minute and windows/daily: sums that every commit keeps; here they are compared and
shown.

Belongs here: the two assets. Does not: posting deltas (carbon_ledger.store.append), comparing
(carbon_ledger.store.upkeep).
"""

from collections.abc import Sequence
from datetime import date

import dagster as dg

from carbon_assets import freshness
from carbon_assets.columns import DAILY_COLUMNS, WINDOW_COLUMNS, table_metadata
from carbon_assets.markdown import table
from carbon_assets.partitions import ACTIVITY_DAYS
from carbon_ledger.streams import Stream
from carbon_ledger.version import code_version
from resources.database import LedgerDatabase

FIVE_MINUTE = dg.AssetKey(["windows", "five_minute"])
DAILY = dg.AssetKey(["windows", "daily"])
EQUAL_CHECK = "windows_equal_entries"
SUMS_CHECK = "sums_equal_entries"
DIFFERENCES_SHOWN = 20


def window_assets(streams: Sequence[Stream]) -> list[dg.AssetsDefinition]:
    """Both assets, downstream of every stream's ledger."""
    # An hour of arrival says nothing about the days of its events: any day may depend on any hour.
    ledgers = [
        dg.AssetDep(dg.AssetKey(stream.ledger_key), partition_mapping=dg.AllPartitionMapping())
        for stream in streams
    ]

    @dg.asset(
        key=FIVE_MINUTE,
        deps=ledgers,
        partitions_def=ACTIVITY_DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name="windows",
        kinds={"postgres"},
        owners=["team:data-platform"],
        description="kgCO2e and activity by facility and five minutes, by day of the site's "
        "calendar. Each commit "
        "adds its own deltas, so a window always is the sum of its entries; materializing "
        "compares the two and "
        "corrects a difference.",
        metadata=table_metadata("windows.five_minute", WINDOW_COLUMNS),
        freshness_policy=freshness.policy(freshness.WINDOWS),
        code_version=code_version(),
        check_specs=[
            dg.AssetCheckSpec(
                EQUAL_CHECK,
                asset=FIVE_MINUTE,
                description="before any correction, every window was the sum of its entries, to "
                "the last digit",
            ),
            dg.AssetCheckSpec(
                SUMS_CHECK,
                asset=FIVE_MINUTE,
                description="the sums that inventories are read from were those of their entries, "
                "to the last digit; if not, all sums are thrown away and made anew",
            ),
        ],
    )
    def five_minute(
        context: dg.AssetExecutionContext, database: LedgerDatabase
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """The selected days' windows equal their entries afterwards; says whether they did
        before."""
        from carbon_ledger.store.entry_sums import forget_sums, sum_differences
        from carbon_ledger.store.upkeep import verify_windows

        days = [date.fromisoformat(key) for key in context.partition_keys]
        with database.connect("windows") as conn:
            verified = verify_windows(conn, days, context.run.run_id)
            wrong_sums = sum_differences(conn, days)
            if wrong_sums:
                forget_sums(conn)
        different = {
            d.local_date.isoformat(): d.series_different for d in verified if d.series_different
        }
        counts = {
            "windows": sum(d.series for d in verified),
            "dagster/partition_row_count": sum(d.series for d in verified),
            "lines": sum(d.lines for d in verified),
        }
        kgco2e = sum((d.kgco2e for d in verified), start=0)
        return dg.MaterializeResult(
            metadata={
                **counts,
                "kgco2e": str(kgco2e),
                "windows_corrected": sum(different.values()),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name=EQUAL_CHECK, passed=not different, metadata={"different": different}
                ),
                dg.AssetCheckResult(
                    check_name=SUMS_CHECK,
                    passed=not wrong_sums,
                    metadata={
                        "different": [
                            f"{one.local_date} {one.rollup} {one.rollup_id}, scope {one.scope}: "
                            f"entries have {one.kgco2e:+f} kgCO2e, {one.entries:+d} standing"
                            for one in wrong_sums[:DIFFERENCES_SHOWN]
                        ]
                    },
                ),
            ],
        )

    @dg.asset(
        key=DAILY,
        deps=[dg.AssetDep(FIVE_MINUTE, partition_mapping=dg.IdentityPartitionMapping())],
        partitions_def=ACTIVITY_DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name="windows",
        kinds={"postgres"},
        owners=["team:data-platform"],
        description="kgCO2e and activity by facility and day of the site's calendar: the "
        "five-minute windows, summed.",
        metadata=table_metadata("windows.daily", DAILY_COLUMNS),
        freshness_policy=freshness.policy(freshness.WINDOWS),
        code_version=code_version(),
    )
    def daily(context: dg.AssetExecutionContext, database: LedgerDatabase) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """Says what the selected days add up to, by country."""
        from carbon_ledger.store.upkeep import daily_by_country, daily_rows

        days = [date.fromisoformat(key) for key in context.partition_keys]
        with database.connect("windows") as conn:
            countries = daily_by_country(conn, days)
            rows = daily_rows(conn, days)
        by_country = table(
            ("country", "activity", "kgCO2e", "entries"),
            [(c.country_iso2, f"{c.quantity} {c.unit}", c.kgco2e, c.entries) for c in countries],
            right=3,
        )
        return dg.MaterializeResult(
            metadata={
                "dagster/partition_row_count": rows,
                "entries": sum(c.entries for c in countries),
                "kgco2e": str(sum((c.kgco2e for c in countries), start=0)),
                "by_country": by_country,
            }
        )

    return [five_minute, daily]
