"""reference/register: everything that is registered, checked as a whole.

Belongs here: the asset. Does not: what is right (carbon_ledger.reference), how it gets there
(`carbon reference apply`).
"""

from collections import Counter

import dagster as dg

from carbon_assets.markdown import table
from resources.database import LedgerDatabase

KEY = dg.AssetKey(["reference", "register"])


@dg.asset(
    key=KEY,
    group_name="reference",
    kinds={"postgres", "yaml"},
    owners=["team:sustainability"],
    description="Entities and who owns them, sites, meters, vehicles, suppliers, contracts and "
    "certificates, revenue, budgets, disclosures, report schedules, spend classes: dated, with two "
    "clocks. `carbon reference apply` records statements; materializing this checks all of them "
    "together and says what there is.",
    code_version="1",
)
def reference_register(database: LedgerDatabase) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """All stored statements fit each other; a fault fails the run and is named."""
    from carbon_ledger.reference.checks import faults_of, latest
    from carbon_ledger.reference.files import Stated
    from carbon_ledger.store.reference import read_statements

    with database.connect("reference") as conn:
        records = read_statements(conn)
    faults = faults_of([Stated(record=one) for one in latest(records).values()])
    if faults:
        raise dg.Failure(
            f"{len(faults)} faults in the stored reference data",
            metadata={"faults": "\n".join(map(str, faults[:50]))},
        )
    counts = Counter(one.KIND for one in records)
    newest = max((one.recorded_at for one in records if one.recorded_at), default=None)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(f"{len(records)} statements"),
        metadata={
            "dagster/row_count": len(records),
            "kinds": table(("kind", "statements"), sorted(counts.items()), right=1),
            "latest_statement": "" if newest is None else newest.isoformat(),
        },
    )
