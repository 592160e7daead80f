"""`carbon dlq …`: dead letters, what they say, sending them again or leaving them.

Belongs here: options, tables on a terminal, JSON. Does not: what a letter's state is
(carbon_ledger.store.letters), which decisions are allowed (carbon_ledger.store.letter_decisions),
sending (pipeline.letter_replay).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from carbon_ledger import settings as settings_module
from carbon_ledger.settings import Settings
from carbon_ledger.store.connect import connect_as_reader, connect_as_writer
from carbon_ledger.store.letters import (
    LIST_MAX,
    STATES,
    UNDECIDED,
    Letter,
    Wanted,
    count_letters,
    find_letter,
    history,
    letter_records,
    list_letters,
    tries_max,
)
from cli.ledger_commands import moment, table

if TYPE_CHECKING:
    from carbon_ledger.store.letter_decisions import Refused
    from carbon_ledger.store.letters import Decision, LetterRecord
    from carbon_ledger.store.rows import Connection
    from pipeline.letter_repair import View

SOME_REFUSED = 3
REASON_SHOWN = 60
LIST_DEFAULT = 50
ANY = "any"


def _reader(settings: Settings) -> closing[Connection]:
    return closing(connect_as_reader(settings, "carbon dlq", autocommit=True))


def _writer(settings: Settings) -> closing[Connection]:
    return closing(connect_as_writer(settings, "carbon dlq", autocommit=True))


def _selection(function: Any) -> Any:
    """The conditions that list and replay share."""
    options = (
        click.option("--reason", metavar="CODE", help="Refused for this, e.g. unknown_country."),
        click.option("--stream", help="Of this stream, e.g. iot_energy."),
        click.option("--source", help="From this topic or adapter: mqtt, or mqtt:plant-7."),
        click.option("--since", metavar="MOMENT", help="Refused then or later (UTC)."),
        click.option("--until", metavar="MOMENT", help="Refused before then (UTC)."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _who_and_why(function: Any) -> Any:
    function = click.option("--why", required=True, help="Why; kept for the auditor.")(function)
    return click.option("--who", required=True, help="Who decides.")(function)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def dlq() -> None:
    """Dead letters: records that were not ledgered, and their way back.

    \b
    carbon dlq list                                    what is open, oldest first
    carbon dlq show raw.iot.energy:2:1047              one letter, decoded, with its history
    carbon dlq replay --reason factor_missing --who operator --why "factors of 2026 are loaded"
    carbon dlq replay raw.iot.energy:2:1047 --set country_iso2=GB --who operator --why "UK is GB"
    carbon dlq discard edge:00f1c2a9b34d5e6f --who operator --why "a test message"
    """


@dlq.command("list")
@_selection
@click.option(
    "--state",
    type=click.Choice([*STATES, ANY]),
    multiple=True,
    help="Only in this state; may be given again. Without it: open and exhausted.",
)
@click.option("--limit", type=click.IntRange(1, LIST_MAX), default=LIST_DEFAULT, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def dlq_list(
    reason: str | None,
    stream: str | None,
    source: str | None,
    since: str | None,
    until: str | None,
    state: tuple[str, ...],
    limit: int,
    as_json: bool,
) -> None:
    """Show dead letters, those of raw topics and of edges, oldest first."""
    settings = settings_module.load()
    states = () if ANY in state else state or UNDECIDED
    wanted = Wanted(
        reason=reason,
        stream=stream,
        source=source,
        since=moment(since),
        until=moment(until),
        states=states,
    )
    tries = tries_max(settings)
    with _reader(settings) as conn:
        # One more than is shown says whether there are more.
        found = list_letters(conn, wanted, limit=limit + 1, tries=tries)
        counts = count_letters(conn, tries=tries)
    letters, is_cut = found[:limit], len(found) > limit
    if as_json:
        click.echo(_json({"letters": [asdict(one) for one in letters], "more": is_cut}))
        return
    if not letters:
        click.echo("No dead letter is like that.")
    else:
        click.echo(_table(letters))
    if is_cut:
        click.echo(f"... and more; --limit shows up to {LIST_MAX}")
    totals: dict[str, int] = {}
    for one in counts:
        totals[one.state] = totals.get(one.state, 0) + one.letters
    if totals:
        click.echo(
            "all: " + ", ".join(f"{totals[name]:,} {name}" for name in STATES if name in totals)
        )


def _table(letters: Sequence[Letter]) -> str:
    rows = [
        (
            one.letter_id,
            one.state,
            one.stream or "-",
            one.source if one.kind == "edge" else "",
            one.reason_code,
            _short(one.reason),
            f"{one.recorded_at:%F %T}",
            one.tries,
        )
        for one in letters
    ]
    heads = ("letter", "state", "stream", "edge", "code", "reason", "since (UTC)", "tries")
    return table(heads, rows, right=1)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= REASON_SHOWN else line[: REASON_SHOWN - 1] + "…"


@dlq.command("show")
@click.argument("letter_id", metavar="ID")
@click.option(
    "--raw",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the record's bytes, unchanged, to this file.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs; with the bytes in base64.")
def dlq_show(letter_id: str, raw: Path | None, as_json: bool) -> None:
    """Show one letter: where from, why, what its bytes say, and every decision on it.

    What is encrypted of a person is shown as it is; this command has no key.
    """
    from pipeline.letter_replay import letter_values, view_of

    settings = settings_module.load()
    tries = tries_max(settings)
    with _reader(settings) as conn:
        letter = find_letter(conn, letter_id, tries=tries)
        (record,) = letter_records(conn, [letter.letter_id], tries=tries)
        seen = view_of(conn, record)
        decisions = history(conn, letter.letter_id)
    if raw is not None:
        raw.write_bytes(record.record_value or b"")
    if as_json:
        click.echo(_json(letter_values(letter, record, seen, decisions)))
        return
    click.echo(_shown(letter, record, seen))
    for one in decisions:
        click.echo(_decision(one))
    if not decisions:
        click.echo("nothing has been decided on it")


def _shown(letter: Letter, record: LetterRecord, seen: View) -> str:
    facts: list[tuple[str, object]] = [
        ("state", letter.state),
        ("tries", letter.tries),
        ("fate", letter.fate),
        ("stream", letter.stream),
        ("source", letter.source),
        ("coordinates", letter.coordinates),
        ("batch", letter.batch_id),
        ("happened at", letter.happened_at),
        ("refused at", letter.recorded_at),
        ("reason", f"{letter.reason} [{letter.reason_code}]"),
        ("field", letter.field),
        ("value", letter.offending_value),
        ("valid", letter.valid_values),
        ("key", _readable(record.record_key)),
    ]
    if letter.first_reason_code != letter.reason_code:
        facts.insert(10, ("first reason", letter.first_reason_code))
    lines = [letter.letter_id]
    lines += [f"  {name:12} {value}" for name, value in facts if value is not None]
    lines += [f"  header       {name}: {_hex_text(value)}" for name, value in record.record_headers]
    size = len(record.record_value or b"")
    lines.append(
        f"  {size:,} bytes, read as {seen.form}" + (f" ({seen.note})" if seen.note else "")
    )
    if seen.fields is not None:
        lines += [f"    {name} = {_plain(value)}" for name, value in seen.fields.items()]
    elif seen.text is not None:
        lines += [f"    {line}" for line in seen.text.splitlines()]
    return "\n".join(lines)


def _decision(one: Decision) -> str:
    what = one.kind if one.try_no is None else f"{one.kind}, try {one.try_no}"
    edit = "" if one.changes is None else f", set {_json(one.changes)}"
    forced = ", forced" if one.is_forced else ""
    lines = [f"{one.decided_at:%F %T} {what} by {one.decided_by}: {one.reason}{edit}{forced}"]
    if one.sent_at is not None:
        where = f"{one.sent_topic}:{one.sent_partition}:{one.sent_offset}"
        lines.append(f"  sent {one.sent_at:%F %T} to {where}")
    elif one.kind == "replay" and not one.returns:
        lines.append("  not sent as far as anybody noted; `carbon dlq take` sends it")
    lines += [
        f"  refused again in batch {back['batch_id']}: {back['reason']} [{back['reason_code']}]"
        for back in one.returns
    ]
    return "\n".join(lines)


@dlq.command("replay")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@_selection
@click.option("--limit", type=click.IntRange(1, LIST_MAX), default=LIST_MAX, show_default=True)
@_who_and_why
@click.option(
    "--set",
    "edits",
    metavar="FIELD=VALUE",
    multiple=True,
    help="Give a field another value (null: none); may be given again.",
)
@click.option(
    "--value",
    "value_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="All fields of the one letter's event, as a JSON object.",
)
@click.option("--to-stream", help="Where an edge's letter belongs that does not say so.")
@click.option("--force", is_flag=True, help="Also what is exhausted, discarded or in conflict.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def dlq_replay(
    ids: tuple[str, ...],
    reason: str | None,
    stream: str | None,
    source: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    who: str,
    why: str,
    edits: tuple[str, ...],
    value_file: Path | None,
    to_stream: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Send letters again, by id or by condition; exit code 3 if some were refused.

    Without an edit the same bytes are judged by today's rules, factors and reference data. With one
    the record is made anew by our own schema. What is in the ledger already is not sent, and what
    arrives twice is posted once.
    """
    from pipeline.letter_replay import Request, replay

    settings = settings_module.load()
    request = Request(
        wanted=Wanted(
            ids=ids,
            reason=reason,
            stream=stream,
            source=source,
            since=moment(since),
            until=moment(until),
        ),
        who=who,
        why=why,
        limit=limit,
        force=force,
        changes=_edits(edits),
        value=None if value_file is None else _fields(value_file),
        stream=to_stream,
    )
    with _writer(settings) as conn:
        outcome = replay(conn, settings, request)
    if as_json:
        sent = [{"letter_id": one.letter_id, "try": one.try_no} for one in outcome.sent]
        told = {"sent": sent, "refused": _refusals(outcome.refused), "resumed": outcome.resumed}
        click.echo(_json(told))
    else:
        if outcome.resumed:
            click.echo(f"{outcome.resumed} decided earlier, sent now")
        click.echo(
            f"{len(outcome.sent)} sent; `carbon dlq list --state any` says what became of them"
        )
        _tell_refused(outcome.refused)
    if outcome.refused:
        sys.exit(SOME_REFUSED)


@dlq.command("discard")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@_who_and_why
def dlq_discard(ids: tuple[str, ...], who: str, why: str) -> None:
    """Decide that letters stay unledgered; nothing is deleted. Exit code 3 if some were refused."""
    from carbon_ledger.store.letter_decisions import decide_discards

    settings = settings_module.load()
    with _writer(settings) as conn:
        done, refused = decide_discards(
            conn, ids, decided_by=who, reason=why, tries=tries_max(settings)
        )
    click.echo(f"{len(done)} discarded")
    _tell_refused(refused)
    if refused:
        sys.exit(SOME_REFUSED)


@dlq.command("take")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def dlq_take(as_json: bool) -> None:
    """Take up what edges sent to dlq.failed_events, and send what was decided and not sent.

    The running stack does both by itself; this is for when it does not run.
    """
    from pipeline.letter_replay import resume
    from pipeline.letter_uptake import take_up

    settings = settings_module.load()
    with _writer(settings) as conn:
        uptake = take_up(conn, settings)
        resumed = resume(conn, settings)
    if as_json:
        click.echo(_json({**asdict(uptake), "resumed": resumed}))
        return
    click.echo(
        f"{uptake.records} records read: {uptake.taken} new letters, {uptake.known} known, "
        f"{uptake.relayed} of the ledger itself; {resumed} decided earlier, sent now"
    )
    if uptake.offsets_lost:
        click.echo(f"{uptake.offsets_lost} offsets were gone from the topic before they were read")


def _edits(edits: Sequence[str]) -> dict[str, str]:
    changes: dict[str, str] = {}
    for edit in edits:
        name, sign, text = edit.partition("=")
        if not sign or not name:
            raise click.UsageError(f"--set {edit!r}: valid is FIELD=VALUE")
        if name in changes:
            raise click.UsageError(f"--set {name} is given twice")
        changes[name] = text
    return changes


def _fields(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)
    except ValueError as error:
        raise click.UsageError(f"{file} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise click.UsageError(f"{file} holds no JSON object with the event's fields")
    return found


def _refusals(refused: Sequence[Refused]) -> list[dict[str, str]]:
    return [
        {"letter_id": one.letter_id, "code": one.problem.code, "problem": str(one.problem)}
        for one in refused
    ]


def _tell_refused(refused: Sequence[Refused]) -> None:
    for one in refused:
        click.echo(f"refused {one.letter_id}: {one.problem} [{one.problem.code}]", err=True)


def _readable(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "backslashreplace")


def _hex_text(value: str | None) -> str:
    return "" if value is None else bytes.fromhex(value).decode("utf-8", "backslashreplace")


def _plain(value: object) -> str:
    return "null" if value is None else str(value)


def _json(value: object) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)
