"""raw/supplier_drops: files that suppliers left by SFTP, read into the topic of declarations.

Belongs here: the asset, its job. Does not: how a file is worked off (pipeline.drops.work), when it
is asked for (sensors.drops).
"""

from dataclasses import asdict

import dagster as dg

from carbon_ledger.version import code_version
from resources.database import LedgerDatabase

KEY = dg.AssetKey(["raw", "supplier_drops"])
JOB = "supplier_drops"


@dg.asset(
    key=KEY,
    group_name="raw",
    kinds={"sftp", "kafka"},
    owners=["team:data-platform"],
    description="Monthly files of suppliers (CSV, XLSX, JSON) from the SFTP server: each content "
    "is read once, its rows become declarations in raw.supplier (those of the activity register a "
    "submission that awaits approval), and a receipt is left for the supplier. "
    "Materializing works off what is whole; with nothing to do it changes nothing.",
    metadata={"dagster/table_name": "ledger.source_file"},
    code_version=code_version(),
)
def supplier_drops(database: LedgerDatabase) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Every file that is whole has its receipt, and every accepted row is in Kafka."""
    from carbon_ledger import settings
    from resources.drops import work_off_drops

    with database.connect("supplier drops") as conn:
        done = work_off_drops(settings.load(), conn)
    if done is None:
        return dg.MaterializeResult(metadata={"files": 0, "rows_added": 0})
    facts = asdict(done)
    return dg.MaterializeResult(
        metadata={
            **facts,
            "receipts": facts["receipts"][-50:],
            "submissions": facts["submissions"][-50:],
            "files": done.files,
            "rows_added": done.files,
        }
    )


# Not retried: the sensor asks again by itself.
supplier_drops_job = dg.define_asset_job(
    JOB,
    selection=dg.AssetSelection.assets(KEY),
    tags={"dagster/max_retries": "0", "carbon/drops": "yes"},
    description="Reads the files of suppliers that are whole.",
)
