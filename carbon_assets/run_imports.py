"""What a run imports, all of it at once: for the process that the stack's runs are forked from.

Belongs here: imports, and the definitions put together, so that a run finds both done. Does not:
anything that connects, starts a thread of Python's or reads a setting; a fork would inherit it.
"""

import gc
from importlib import import_module

for name in (
    "carbon_assets.definitions",
    "carbon_assets.ledger_run",
    "carbon_ledger.store.connect",
    "confluent_kafka",
    "dagster_postgres",
    "pipeline.heads",
    "pyspark.sql.connect.session",
    "spark.micro_batch",
    "spark.session",
):
    import_module(name)
import_module("carbon_assets.definitions").defs.get_repository_def()
# What is there now stays: collecting it again in every run would copy its pages for nothing.
gc.collect()
gc.freeze()
