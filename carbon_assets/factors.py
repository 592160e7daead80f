"""factors/release: the shipped factors, as immutable rows of a release.

Belongs here: the asset. Does not: the rows (factor_seeds), their choice (carbon_ledger).
"""

from collections import Counter

import dagster as dg

from carbon_assets.columns import FACTOR_COLUMNS, table_metadata
from carbon_assets.markdown import table
from resources.database import LedgerDatabase

KEY = dg.AssetKey(["factors", "release"])


@dg.asset(
    key=KEY,
    group_name="factors",
    kinds={"postgres", "csv"},
    owners=["team:sustainability"],
    description="Published emission factors (electricity, fuels, transport, spend, materials, "
    "waste), global warming potentials, exchange rates and price indices. Loading a release again "
    "adds nothing; a changed figure is a new version, never an edit.",
    metadata=table_metadata("factors.factor", FACTOR_COLUMNS),
    code_version="1",
)
def factor_release(database: LedgerDatabase) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """The shipped release is in the database, whole."""
    from carbon_ledger.store.factors import store_release
    from factor_seeds.load import release

    shipped = release()
    with database.connect("factors") as conn:
        inserted = store_release(conn, shipped)
    publishers = Counter(factor.publisher for factor in shipped.rows)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(shipped.sha256),
        metadata={
            "factor_release": shipped.release_id,
            "dagster/row_count": len(shipped.rows),
            "rows_inserted": inserted,
            "release_sha256": shipped.sha256,
            "publishers": table(("publisher", "factors"), sorted(publishers.items()), right=1),
        },
    )
