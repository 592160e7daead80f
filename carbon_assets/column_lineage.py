"""Which columns an asset's table has, and which columns of other assets each is made of.

Belongs here: the schema of every asset, column lineage, where it is documented; all as metadata of
the definition. Does not: what a materialization says of itself (each asset's own).

Dagster stores `dagster/column_lineage` and shows it in no free version: the same is said again in
`columns_from`, a table that everybody sees.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import dagster as dg

from carbon_assets import columns
from carbon_assets.markdown import table
from carbon_ledger.settings import PROJECT_ROOT
from carbon_ledger.streams import Stream

Columns = Mapping[str, tuple[str, str]]
# By column, the columns it is made of: (asset, column).
Sources = Mapping[str, Sequence[tuple[str, str]]]

SCHEMAS: Final = PROJECT_ROOT / "carbon_ledger" / "schemas"
FACTORS: Final = "factors/release"
REFERENCE: Final = "reference/register"
FIVE_MINUTE: Final = "windows/five_minute"
DAILY: Final = "windows/daily"
# The fields of a record that its quantity, and so its figure, is made of.
QUANTITY_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "iot_energy": ("energy_kwh",),
    "transport": ("fuel_litres", "energy_kwh", "distance_km"),
    "logistics": ("mass_kg", "distance_km", "transport_activity_tkm"),
    "procurement": ("amount_net", "quantity", "unit"),
    "supplier": ("quantity", "unit", "kgco2e_per_unit"),
    "activities": ("quantity", "unit"),
}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the definition of one asset says of its table; `docs` is a file of docs/."""

    columns: Columns
    docs: str
    sources: Sources = field(default_factory=dict)


def same(names: Iterable[str], *assets: str) -> dict[str, list[tuple[str, str]]]:
    """Columns that are taken over from those of the same name."""
    return {name: [(asset, name) for asset in assets] for name in names}


def raw_columns(stream: Stream) -> Columns:
    """The fields of the stream's records, as its Avro schema has them."""
    # Where two files have the record, the stream's own is the one that is named after it.
    files = sorted(SCHEMAS.glob("*.avsc"), key=lambda path: (path.stem != stream.name, path.stem))
    records = (json.loads(path.read_text(encoding="utf-8")) for path in files)
    record = next(one for one in records if one["name"] == stream.event_schema)
    return {
        one["name"]: (_avro_type(one["type"]), str(one.get("doc", ""))) for one in record["fields"]
    }


def _avro_type(given: Any) -> str:
    if isinstance(given, list):
        return " or ".join(_avro_type(one) for one in given)
    if isinstance(given, dict):
        return str(given.get("logicalType", given.get("name", given.get("type"))))
    return str(given)


def ledger_sources(stream: Stream) -> Sources:
    """What the columns of a stream's entries are made of."""
    raw, known = "/".join(stream.raw_key), raw_columns(stream)
    quantity = [(raw, name) for name in QUANTITY_FIELDS.get(stream.name, ()) if name in known]
    taken = same(("facility_id", "country_iso2"), raw) if "country_iso2" in known else {}
    when = [(raw, "timestamp")]
    return {
        **{name: found for name, found in taken.items() if name in known},
        "organization_id": [(REFERENCE, "statement")],
        "occurred_from": when,
        "occurred_to": [*when, (raw, "interval_seconds")],
        "local_date": [*when, (REFERENCE, "statement")],
        "quantity": quantity,
        "kgco2e": [*quantity, (FACTORS, "kgco2e_per_unit")],
        "factor_id": [(FACTORS, "factor_id")],
        "factor_version": [(FACTORS, "version")],
    }


def facts_by_key(streams: Sequence[Stream]) -> dict[str, Facts]:
    """Of every asset in the graph, by its key."""
    ledgers = ["/".join(stream.ledger_key) for stream in streams]
    posted = [*ledgers, "ledger/period_postings"]
    of_windows = same((*columns.DAILY_COLUMNS.keys() - {"entries", "lines"},), *posted)
    found = {
        **{
            "/".join(stream.raw_key): Facts(columns=raw_columns(stream), docs="streaming.md")
            for stream in streams
        },
        **{
            "/".join(stream.ledger_key): Facts(
                columns=columns.ENTRY_COLUMNS,
                docs="accounting.md",
                sources=ledger_sources(stream),
            )
            for stream in streams
        },
        FACTORS: Facts(columns=columns.FACTOR_COLUMNS, docs="accounting.md"),
        REFERENCE: Facts(columns=columns.STATEMENT_COLUMNS, docs="reference-data.md"),
        "raw/supplier_drops": Facts(columns=columns.FILE_COLUMNS, docs="supplier-drops.md"),
        "ledger/period_postings": Facts(
            columns=columns.ENTRY_COLUMNS,
            docs="period-postings.md",
            sources={
                **same(("organization_id", "facility_id", "quantity"), "ledger/iot_energy"),
                "kgco2e": [("ledger/iot_energy", "quantity"), (REFERENCE, "statement")],
            },
        ),
        "ledger/supersession": Facts(
            columns=columns.STANDING_COLUMNS,
            docs="supersession.md",
            sources={
                "entry_id": [(f"ledger/{name}", "entry_id") for name in ("procurement", "supplier")]
            },
        ),
        "restatement/posting": Facts(columns=columns.RESTATED_COLUMNS, docs="restatement.md"),
        FIVE_MINUTE: Facts(
            columns=columns.WINDOW_COLUMNS,
            docs="architecture.md",
            sources={
                **of_windows,
                "window_start": [(one, "occurred_from") for one in posted],
                **{name: [(one, "entry_id") for one in posted] for name in ("entries", "lines")},
            },
        ),
        DAILY: Facts(
            columns=columns.DAILY_COLUMNS,
            docs="architecture.md",
            sources=same(columns.DAILY_COLUMNS, FIVE_MINUTE),
        ),
        "reports/esrs_e1": Facts(
            columns=columns.REPORT_COLUMNS,
            docs="reports.md",
            sources={
                **same(("organization_id", "country_iso2", "entries"), DAILY),
                "fiscal_year": [(DAILY, "local_date")],
                "value": [(DAILY, "kgco2e")],
                "factor_releases": [(one, "factor_release") for one in posted],
            },
        ),
        "reports/cdp_7": Facts(
            columns=columns.CELL_COLUMNS,
            docs="reports.md",
            sources={
                **same(("entries",), DAILY),
                "value": [(DAILY, "kgco2e"), (DAILY, "quantity"), (REFERENCE, "statement")],
                "unit": [(DAILY, "unit")],
            },
        ),
        "reports/completeness": Facts(
            columns=columns.GAP_COLUMNS,
            docs="completeness.md",
            sources={"message": [(DAILY, "local_date"), (REFERENCE, "statement")]},
        ),
        "reports/retention": Facts(
            columns=columns.RETIRED_COLUMNS,
            docs="schedules.md",
            sources=same(("snapshot_id",), "reports/esrs_e1", "reports/cdp_7"),
        ),
        "periods/status": Facts(
            columns=columns.PERIOD_COLUMNS,
            docs="period-close.md",
            sources=same(("organization_id",), DAILY, "reports/esrs_e1"),
        ),
        "audit/heads": Facts(
            columns=columns.HEAD_COLUMNS,
            docs="integrity.md",
            sources={"root": [(one, "content_sha256") for one in ledgers]},
        ),
        "audit/verification": Facts(
            columns=columns.FINDING_COLUMNS,
            docs="verify.md",
            sources={"message": [("audit/heads", "root")]},
        ),
        "audit/run_failures": Facts(columns=columns.FAILURE_COLUMNS, docs="schedules.md"),
        "dlq/edge_letters": Facts(columns=columns.EDGE_LETTER_COLUMNS, docs="dead-letters.md"),
        "dlq/open": Facts(
            columns=columns.EDGE_LETTER_COLUMNS,
            docs="dead-letters.md",
            sources=same(("letter_id", "reason_code"), "dlq/edge_letters"),
        ),
        "dlq/replay": Facts(
            columns=columns.LETTER_DECISION_COLUMNS,
            docs="dead-letters.md",
            sources=same(("letter_id",), "dlq/edge_letters"),
        ),
    }
    return found


def metadata_of(facts: Facts) -> dict[str, Any]:
    """The metadata of a definition: schema, lineage twice, and where to read on."""
    told: dict[str, Any] = {
        "dagster/column_schema": columns.schema(facts.columns),
        "docs": dg.MetadataValue.path(f"docs/{facts.docs}"),
    }
    if facts.sources:
        told["dagster/column_lineage"] = dg.TableColumnLineage(
            deps_by_column={
                name: [
                    dg.TableColumnDep(asset_key=dg.AssetKey(asset.split("/")), column_name=column)
                    for asset, column in found
                ]
                for name, found in facts.sources.items()
            }
        )
        told["columns_from"] = table(
            ("column", "made of"),
            [
                (name, ", ".join(f"{asset}: {column}" for asset, column in found))
                for name, found in facts.sources.items()
            ],
        )
    return told


def described(
    assets: Sequence[dg.AssetsDefinition | dg.AssetSpec], streams: Sequence[Stream]
) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """The assets with what is known of their columns; one that nothing is known of stays as it
    is, and a test names it."""
    known = facts_by_key(streams)

    def add(spec: dg.AssetSpec) -> dg.AssetSpec:
        facts = known.get(spec.key.to_user_string())
        return spec if facts is None else spec.merge_attributes(metadata=metadata_of(facts))

    return [
        add(one) if isinstance(one, dg.AssetSpec) else one.map_asset_specs(add) for one in assets
    ]
