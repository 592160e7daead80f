"""ledger/period_postings: category 3 of metered energy, and scope 2 market-based, by calendar year.

Belongs here: the asset, its check, its job. Does not: the figures
(carbon_ledger.energy.period_postings), posting (carbon_ledger.store.period_postings), when to ask
(sensors.period_postings).
"""

from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from carbon_assets.checks import made_alone
from carbon_assets.columns import ENTRY_COLUMNS, table_metadata
from carbon_assets.jobs import AT_LEISURE
from carbon_assets.partitions import FISCAL_YEARS
from carbon_ledger.version import code_version
from resources.database import LedgerDatabase

if TYPE_CHECKING:
    from carbon_ledger.store.period_postings import YearOutcome

KEY = dg.AssetKey(["ledger", "period_postings"])
JOB: Final = "period_postings"
COMPLETE_CHECK: Final = "every_period_has_its_lines"
SHOWN_MAX: Final = 20


@dg.asset(
    key=KEY,
    # A day's readings may have come with any hour's batches.
    deps=[
        dg.AssetDep(
            dg.AssetKey(["ledger", "iot_energy"]), partition_mapping=dg.AllPartitionMapping()
        ),
        dg.AssetDep(
            dg.AssetKey(["reference", "register"]), partition_mapping=dg.AllPartitionMapping()
        ),
    ],
    partitions_def=FISCAL_YEARS,
    backfill_policy=dg.BackfillPolicy.multi_run(1),
    group_name="ledger",
    kinds={"postgres"},
    owners=["team:sustainability"],
    description="What metered energy posts per period and not per reading: category 3 per site, "
    "local day and factor, and scope 2 market-based per site, rate and part of the year that is in "
    "one fiscal year, by the waterfall of certificates, contracts, supplier rates, residual mix "
    "and grid average. Both are computed anew from the entries that stand; lines that come to "
    "another figure are reversed and posted again, the others left alone.",
    metadata=table_metadata("ledger.period_postings", ENTRY_COLUMNS),
    code_version=code_version(),
    check_specs=[
        dg.AssetCheckSpec(
            COMPLETE_CHECK,
            asset=KEY,
            description="every sum of metered energy that should have lines has them; what is "
            "refused is named, and a second look changes nothing",
        )
    ],
)
def postings(context: dg.AssetExecutionContext, database: LedgerDatabase) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Brings one year's postings to what its entries give, and looks again whether it did."""
    from carbon_ledger import settings
    from carbon_ledger.policy import Policy
    from carbon_ledger.store.period_postings import post_year

    year, policy = int(context.partition_key), Policy(gwp_set=settings.load()["CARBON_GWP_SET"])
    with database.connect("period postings") as conn:
        outcome = post_year(conn, year, policy, code_version=code_version())
    faults = [f"{one.facility_id} {one.period}: {one.code}, {one.reason}" for one in outcome.faults]
    check = dg.AssetCheckResult(
        check_name=COMPLETE_CHECK,
        passed=not faults,
        description=faults[0] if faults else None,
        metadata={"faults": len(faults), "first_faults": faults[:SHOWN_MAX]},
    )
    return dg.MaterializeResult(metadata=facts(outcome), check_results=[check])


def facts(outcome: "YearOutcome") -> dict[str, Any]:
    """What a run did, as metadata."""
    missing = [one for one in outcome.not_posted if not one.is_fault]
    return {
        "fiscal_year": outcome.fiscal_year,
        "known_at": "" if outcome.known_at is None else outcome.known_at.isoformat(),
        "sums_of_entries": outcome.sums,
        "lines_standing_before": outcome.standing,
        "lines_posted": outcome.lines_posted,
        "dagster/partition_row_count": outcome.standing + outcome.lines_posted - outcome.reversals,
        "reversals": outcome.reversals,
        "delta_kgco2e": {
            basis: f"{kgco2e:f}" for basis, kgco2e in sorted(outcome.delta_kgco2e.items())
        },
        "disclosures": outcome.disclosures[:SHOWN_MAX],
        "market_factor_releases": outcome.market_releases,
        "potentials": outcome.potentials,
        "not_published": len(missing),
        "first_not_published": [
            f"{one.facility_id} {one.period}: {one.code}, {one.reason}"
            for one in missing[:SHOWN_MAX]
        ],
    }


postings_job = dg.define_asset_job(
    JOB,
    selection=made_alone(KEY),
    tags=AT_LEISURE,
    description="Brings the period postings of one calendar year to what its entries give.",
)
