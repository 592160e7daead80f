"""A trace in words: what spark.trace found, as lines for a terminal.

Belongs here: the wording. Does not: finding anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Story = Mapping[str, Any]


def told_figure(story: Story) -> list[str]:
    """A cell of a report and a page of its entries."""
    cell = story["cell"]
    where = cell["country_iso2"] or "all countries"
    lines = [
        f"{cell['datapoint']} {cell['concept']}",
        f"  {cell['organization_id']}, fiscal year {cell['fiscal_year']}, {where}: "
        f"{cell['value']} {cell['unit']}",
        f"  snapshot {cell['snapshot_id']} as of {cell['as_of']}, run {cell['run_id']}, "
        f"code {cell['code_version']}",
        f"  {story['lines']} lines of {cell['entries']} entries that stand add up to "
        f"{story['kgco2e']} kgCO2e: "
        + ("that is the value" if story["is_sum_of_its_entries"] else "THAT IS NOT THE VALUE"),
        f"  page {story['page']} of {story['pages']}, largest first:",
    ]
    lines += [f"    {_line(one)}" for one in story["entries"]]
    return lines


def told_entry(story: Story) -> list[str]:
    """An entry: what it rests on, then what it is in."""
    one = story["entry"]
    lines = [
        f"entry {one['entry_id']}: {one['kgco2e']} kgCO2e",
        f"  {one['activity_type']} {one['quantity']} {one['unit']}, {_scope(one)}, {one['basis']}",
        f"  {one['event_id']}, line {one['line_no']}, stream {one['stream']}",
        f"  {one['organization_id']}, {one['facility_id']}, {one['country_iso2']}, "
        f"{one['local_date']}, from {one['occurred_from']} to {one['occurred_to']}",
        f"  recorded {one['recorded_at']} by code {one['code_version']}",
    ]
    if one["reverses_id"]:
        lines.append(f"  takes back {one['reverses_id']}")
    if one["cause"]:
        lines.append(f"  cause: {one['cause']}")
    if one["flags"]:
        lines.append(f"  flags: {one['flags']}")
    back = story["reversed_by"]
    lines.append(f"  taken back by {back}" if back else "")
    lines += _told_record(story["record"])
    lines += _told_factor(one, story["factor"])
    lines += _told_batch(story["batch"], story["seal"])
    lines += _told_forward(story)
    return [line for line in lines if line]


def told_record(story: Story) -> list[str]:
    """A record: what became of it, and the entries of its activity."""
    lines = [f"fate: {story['fate']}"]
    lines += _told_record(story["record"])
    letter = story.get("dead_letter")
    if letter:
        lines.append(f"{letter['fate']} {letter['recorded_at']}: {letter['reason_code']}")
        lines.append(f"  {letter['reason']}")
        if letter["valid_values"]:
            lines.append(f"  valid: {letter['valid_values']}")
    lines += _told_batch(story.get("batch"), None)
    if story["entries"]:
        lines.append(f"entries of {story['activity_ref']}, in the order they became known:")
    for one in story["entries"]:
        lines.append(f"  {_line(one)}")
        state = "stands" if one["stands"] else "does not stand"
        if one["reverses_id"]:
            state = f"takes back {one['reverses_id']}"
        mark = ", of this record" if one["is_of_this_record"] else ""
        lines.append(f"    recorded {one['recorded_at']}, {state}{mark}")
        if one["cause"]:
            lines.append(f"    cause: {one['cause']}")
        lines += [f"  {line}" for line in _told_forward(one)]
    return lines


def _line(one: Story) -> str:
    return (
        f"{one['entry_id']}  {one['kgco2e']} kgCO2e  {one['local_date']}  {one['facility_id']}  "
        f"{one['event_id']}"
    )


def _scope(one: Story) -> str:
    category = "" if one["category"] is None else f", category {one['category']}"
    return f"scope {one['scope']}{category}"


def _told_record(record: Story | None) -> Iterator[str]:
    if record is None:
        yield "no record: it was posted by hand, or by a rule over several records"
        return
    if "archive_object" in record:
        yield (
            f"record {record['topic']}:{record['kafka_partition']}:{record['kafka_offset']}"
            + (f" of topic {record['topic_incarnation']}" if record["topic_incarnation"] else "")
        )
        yield f"  archive object {record['archive_object']}"
    if record.get("problem"):
        yield f"  PROBLEM: {record['problem']}"
    payload = record.get("payload")
    if payload:
        yield f"  payload SHA-256 {payload['sha256']}, writer schema {payload['schema_id']}:"
        yield from (f"    {name}: {value}" for name, value in payload["fields"].items())
    if record.get("refusal"):
        yield f"  judged again: refused, {record['refusal']['code']}"
    if "comes_out_equal" in record:
        yield (
            "  computed again from it: equal in every field"
            if record["comes_out_equal"]
            else "  computed again from it: DIFFERS, see carbon reperform"
        )
    working: Sequence[str] = record.get("working") or ()
    if working:
        yield "working:"
        yield from (f"  {line}" for line in working)


def _told_factor(one: Story, factor: Story | None) -> Iterator[str]:
    yield (
        f"factor {one['factor_id']} version {one['factor_version']} of {one['factor_release']}, "
        f"matched {one['factor_match']}"
    )
    if factor is None:
        yield "  stated by the event itself"
        return
    year = factor["year"] or "no year"
    yield f"  {factor['kgco2e_per_unit']} kgCO2e per {factor['unit']}, {year}"
    yield f"  source: {factor['publisher']}, {factor['dataset']} ({factor['source_id']})"
    yield f"  licence: {factor['licence']}; SHA-256 {factor['sha256']}"


def _told_batch(batch: Story | None, seal: Story | None) -> Iterator[str]:
    if batch:
        yield (
            f"batch {batch['batch_id']}, attempt {batch['attempt']}, Dagster run "
            f"{batch['run_id'] or 'unknown'}, partition {batch['arrival_partition']}"
        )
    if seal:
        if seal["seal_no"] is None:
            yield f"commit {seal['commit_id']} ({seal['kind']}), not sealed yet"
        else:
            yield (
                f"commit {seal['commit_id']} ({seal['kind']}), leaf {seal['leaf']} of seal "
                f"{seal['seal_no']}, tree of {seal['tree_size']} with root {seal['tree_root']}"
            )


def _told_forward(story: Story) -> Iterator[str]:
    for window in story["windows"]:
        yield (
            f"window {window['window']} {window['starts']}: {window['kgco2e']} kgCO2e of "
            f"{window['entries']} entries"
        )
    for cell in story["cells"]:
        yield (
            f"report {cell['datapoint']} {cell['fiscal_year']} "
            f"{cell['country_iso2'] or 'total'}: {cell['value']} {cell['unit']}, snapshot "
            f"{cell['snapshot_id']} as of {cell['as_of']}"
        )
