"""Table columns as Dagster shows them: name, type, meaning.

Belongs here: the words. The types are those of the migrations; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

ENTRY_COLUMNS: dict[str, tuple[str, str]] = {
    "organization_id": ("text", "whose emissions these are"),
    "entry_id": ("uuid", "the line; the same on every rebuild"),
    "event_id": ("text", "natural key of the activity, #, revision"),
    "activity_ref": ("text", "natural key of the activity"),
    "local_date": ("date", "the site's date at the start of the activity"),
    "occurred_from": ("timestamp with time zone", "start of the activity"),
    "occurred_to": ("timestamp with time zone", "end of the activity"),
    "recorded_at": ("timestamp with time zone", "when this became known"),
    "scope": ("smallint", "GHG Protocol scope, 1 to 3"),
    "category": ("smallint", "category of scope 3"),
    "basis": ("text", "location or market"),
    "facility_id": ("text", "the site"),
    "country_iso2": ("text", "ISO 3166-1 country"),
    "activity_type": ("text", "what was consumed"),
    "quantity": ("numeric", "activity in `unit`, exactly as sent"),
    "unit": ("text", "unit of the quantity"),
    "kgco2e": ("numeric", "kgCO2e, rounded once, half-even, to 12 decimals"),
    "factor_id": ("text", "the emission factor used"),
    "factor_version": ("integer", "its version"),
    "factor_release": ("text", "the release it was chosen from"),
    "factor_match": ("text", "how it matched"),
    "vintage_gap_years": ("smallint", "factor year minus activity year"),
    "flags": ("text", "remarks on how the figure came about"),
    "method": ("text", "how the figure was calculated"),
    "rule_id": ("text", "the rule that put it into its scope and category"),
    "supersession_rank": ("smallint", "which figure of one claim wins, 1 to 6; 0: none"),
    "primary_share": ("numeric", "share of the figure that is primary data, 0 to 1"),
    "activity_scores": ("text", "five scores of the activity data, 1 very good to 4 poor"),
    "factor_scores": ("text", "five scores of the emission factor"),
    "reverses_id": ("uuid", "the entry this one takes back"),
    "payload_sha256": ("bytea", "hash of the record's Avro body"),
    "content_sha256": ("bytea", "hash of the entry's canonical bytes"),
    "topic": ("text", "the Kafka topic the record came from"),
    "topic_incarnation": ("smallint", "how many topics of this name came before"),
    "kafka_partition": ("integer", "its partition"),
    "kafka_offset": ("bigint", "its offset"),
}
DAILY_COLUMNS: dict[str, tuple[str, str]] = {
    "organization_id": ("text", "whose emissions these are"),
    "facility_id": ("text", "the site"),
    "country_iso2": ("text", "ISO 3166-1 country"),
    "local_date": ("date", "the day, in the site's calendar"),
    "scope": ("smallint", "GHG Protocol scope, 1 to 3"),
    "category": ("smallint", "category of scope 3"),
    "basis": ("text", "location or market"),
    "activity_type": ("text", "what was consumed"),
    "unit": ("text", "unit of the quantity"),
    "quantity": ("numeric", "sum of the activity"),
    "kgco2e": ("numeric", "sum of the emissions, kgCO2e"),
    "entries": ("bigint", "entries that stand"),
    "lines": ("bigint", "lines, reversals included"),
}
WINDOW_COLUMNS: dict[str, tuple[str, str]] = {
    **DAILY_COLUMNS,
    "window_start": (
        "timestamp with time zone",
        "start of the five minutes [start, start + 5 min)",
    ),
}
REPORT_COLUMNS: dict[str, tuple[str, str]] = {
    "snapshot_id": ("uuid", "the materialization"),
    "organization_id": ("text", "who reports"),
    "fiscal_year": ("integer", "the year reported on"),
    "datapoint": ("text", "ESRS datapoint"),
    "concept": ("text", "the taxonomy's name of it"),
    "country_iso2": ("text", "empty for the total, else a country (ESRS E1 AR 41)"),
    "value": ("numeric", "in `unit`, not rounded"),
    "unit": ("text", "tCO2e"),
    "entries": ("bigint", "entries that stand"),
    "substituted_share": ("numeric", "share that rests on a life-cycle factor for a direct one"),
    "as_of": ("timestamp with time zone", "the ledger as known at this moment"),
    "factor_releases": ("text", "releases the factors were chosen from"),
}
CELL_COLUMNS: dict[str, tuple[str, str]] = {
    "snapshot_id": ("uuid", "the report as it was made"),
    "cell_id": ("text", "which cell of it"),
    "value": ("numeric", "in `unit`, not rounded; empty where there is no figure"),
    "unit": ("text", "tCO2e, MWh, % …"),
    "operation": ("text", "entries, sum, difference, quotient, stated, text, empty"),
    "concept": ("text", "the taxonomy's name of it"),
    "datapoint": ("text", "datapoint of the standard"),
    "selection": ("jsonb", "which entries of the year it takes"),
    "inputs": ("text[]", "which cells it is made of"),
    "entries": ("bigint", "entries that stand"),
}
FACTOR_COLUMNS: dict[str, tuple[str, str]] = {
    "factor_id": ("text", "stable, readable id"),
    "version": ("integer", "a new version is a new row"),
    "publisher": ("text", "who published it"),
    "dataset": ("text", "in which publication"),
    "country_iso2": ("text", "for which country"),
    "region": ("text", "for which region, ISO 3166-2"),
    "energy_source": ("text", "for which energy source"),
    "year": ("integer", "vintage"),
    "boundary": ("text", "direct or life-cycle"),
    "unit": ("text", "per kWh"),
    "kgco2e_per_unit": ("numeric", "exactly as published"),
    "gwp_set": ("text", "global warming potentials used"),
    "licence": ("text", "under which licence"),
    "sha256": ("bytea", "hash of the row"),
}


STATEMENT_COLUMNS: dict[str, tuple[str, str]] = {
    "kind": ("text", "site, meter, supplier …: a table of the schema reference"),
    "statement": ("jsonb", "what is stated: the columns of that table"),
    "recorded_at": ("timestamp with time zone", "when it became known"),
}
FILE_COLUMNS: dict[str, tuple[str, str]] = {
    "supplier_id": ("text", "who left the file"),
    "sha256": ("bytea", "hash of its content: each content is read once"),
    "name": ("text", "what it was called"),
    "size_bytes": ("bigint", "how long it is"),
    "claimed_at": ("timestamp with time zone", "when it was read"),
}
STANDING_COLUMNS: dict[str, tuple[str, str]] = {
    "claim": ("text", "the purchase that the figures are of"),
    "fact_id": ("text", "which figure"),
    "role": ("text", "counts, covered, outranked, not_admitted …"),
    "share": ("text", "which share of it counts, exactly"),
    "cause": ("text", "why"),
    "entry_id": ("uuid", "the entry that stands for it"),
    "decided_at": ("timestamp with time zone", "when"),
}
RESTATED_COLUMNS: dict[str, tuple[str, str]] = {
    "restatement_id": ("bigint", "which restatement"),
    "activity_month": ("date", "which month of activity"),
    "entries": ("integer", "counter-entries and new ones"),
    "delta_kgco2e": ("numeric", "what it changed, kgCO2e"),
    "digest": ("bytea", "hash of the preview that two people approved"),
    "posted_by": ("text", "which run"),
    "recorded_at": ("timestamp with time zone", "when"),
}
GAP_COLUMNS: dict[str, tuple[str, str]] = {
    "kind": ("text", "silent source, lost file, control total …"),
    "stream": ("text", "of which stream"),
    "message": ("text", "what is missing, by name"),
}
RETIRED_COLUMNS: dict[str, tuple[str, str]] = {
    "snapshot_id": ("uuid", "the snapshot that went"),
    "kind": ("text", "snapshot: a whole report; rows: of reports.esrs_e1"),
    "organization_id": ("text", "who reports"),
    "fiscal_year": ("integer", "the year reported on"),
    "as_of": ("timestamp with time zone", "the moment that makes it again"),
    "code_version": ("text", "the code that made it"),
    "content_sha256": ("bytea", "hash of what it said"),
    "retired_at": ("timestamp with time zone", "when it went"),
}
PERIOD_COLUMNS: dict[str, tuple[str, str]] = {
    "organization_id": ("text", "whose period"),
    "period": ("text", "2025, or 2025-03"),
    "state": ("text", "soft_closed, closed, reported, reopened"),
    "decided_by": ("text", "who decided"),
    "approved_by": ("text", "who agreed"),
    "recorded_at": ("timestamp with time zone", "since when"),
}
HEAD_COLUMNS: dict[str, tuple[str, str]] = {
    "tree_size": ("bigint", "leaves of the tree"),
    "seal_no": ("bigint", "the last seal in it"),
    "root": ("bytea", "hash of the tree (RFC 6962)"),
    "note": ("text", "the signed note"),
    "signed_at": ("timestamp with time zone", "when"),
}
FINDING_COLUMNS: dict[str, tuple[str, str]] = {
    "code": ("text", "what kind of difference"),
    "table": ("text", "where"),
    "where": ("jsonb", "which row"),
    "message": ("text", "what differs"),
}
FAILURE_COLUMNS: dict[str, tuple[str, str]] = {
    "run_id": ("text", "the run that failed"),
    "job": ("text", "of which job"),
    "part": ("text", "what it was asked for with"),
    "error": ("text", "its first error, without secrets"),
    "failed_at": ("timestamp with time zone", "when"),
}
EDGE_LETTER_COLUMNS: dict[str, tuple[str, str]] = {
    "letter_id": ("text", "topic, partition and offset"),
    "source": ("text", "where it came from"),
    "stream": ("text", "of which stream, if known"),
    "reason_code": ("text", "why it is no event"),
    "reason": ("text", "the same in words"),
    "recorded_at": ("timestamp with time zone", "when it was kept"),
}
LETTER_DECISION_COLUMNS: dict[str, tuple[str, str]] = {
    "letter_id": ("text", "the letter"),
    "decision_no": ("integer", "which decision about it, from 1"),
    "kind": ("text", "replay or discard"),
    "decided_by": ("text", "who"),
    "reason": ("text", "why"),
    "decided_at": ("timestamp with time zone", "when"),
}


def schema(columns: Mapping[str, tuple[str, str]]) -> dg.TableSchema:
    """`dagster/column_schema` of a table."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(name=name, type=kind, description=meaning)
            for name, (kind, meaning) in columns.items()
        ]
    )


def table_metadata(table: str, columns: dict[str, tuple[str, str]]) -> dict[str, object]:
    """Definition metadata of an asset that is `table`."""
    return {"dagster/table_name": table, "dagster/column_schema": schema(columns)}
