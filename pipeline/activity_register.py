"""From a file of the activity register to events: reading, judging row by row, sending.

Belongs here: what CLI, API and file drops do alike. Does not: the columns
(carbon_ledger.activities.templates), the register's tables (carbon_ledger.store.activities).

A file goes through three steps, each of which may be taken again: it is submitted, another person
approves it, and its events are sent. An event sent twice is a duplicate in the ledger.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePosixPath
from typing import Final

from carbon_ledger.activities.registered_activity import (
    RegisteredActivityEvent,
    canonical_fields,
    lines_of_registered_activity,
)
from carbon_ledger.activities.templates import (
    REQUIRED_FIELDS,
    TEMPLATES,
    Template,
    activity_fields,
    check_columns,
    day_of,
    find_template,
)
from carbon_ledger.calculation import total
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.inventory import Inventory
from carbon_ledger.places import DEFAULT_ORGANIZATION
from carbon_ledger.policy import Policy
from carbon_ledger.reference.records import Entity, Site, zone_of
from carbon_ledger.restatement import same_person
from carbon_ledger.settings import Settings
from carbon_ledger.store.activities import (
    AcceptedRow,
    RefusedRow,
    Submission,
    accepted_rows,
    approval_name,
    decide,
    find_submission,
    new_number,
    record_delivery,
    store_submission,
    submission_name,
    unsent_submissions,
)
from carbon_ledger.store.factors import latest_release_id, read_book
from carbon_ledger.store.reference import read_register
from carbon_ledger.store.rows import Connection
from pipeline.files.limits import MEBI, Limits
from pipeline.files.safe_tables import TableRow, read_table
from pipeline.producers import CarbonEventProducer

TOPIC: Final = "raw.activities"
# Makes a producer, or borrows one.
OpenProducer = Callable[[], AbstractContextManager[CarbonEventProducer]]
WHOLE_DIGITS_MAX: Final = 9
NAME_LENGTH_MAX: Final = 200
FILE_LIMITS: Final = Limits(file_bytes=8 * MEBI, rows=20_000)


def template_of(file_name: str) -> Template:
    """The template a file is named after: waste.csv, waste-2025-01.csv, plant-7/waste_2025.xlsx.

    Raises RejectedRecord `unknown_template`.
    """
    stem = PurePosixPath(file_name).name.partition(".")[0].lower().replace("-", "_")
    for name in sorted(TEMPLATES, key=len, reverse=True):
        if stem == name or stem.startswith(f"{name}_"):
            return TEMPLATES[name]
    return find_template(stem)


def inventory_of(conn: Connection, settings: Settings, now: datetime) -> Inventory:
    """What a row is judged with: the newest factors, all reference data, the company's policy."""
    return Inventory(
        book=read_book(conn, latest_release_id(conn)),
        now=now,
        policy=Policy(
            gwp_set=settings["CARBON_GWP_SET"],
            max_vintage_gap_years=int(settings["CARBON_MAX_VINTAGE_GAP_YEARS"]),
        ),
        register=read_register(conn),
    )


@dataclass(frozen=True, kw_only=True)
class _File:
    """What every row of a file shares."""

    template: Template
    submission_id: int
    sha256: str
    inventory: Inventory
    organization_id: str | None = None
    default_organization: str = DEFAULT_ORGANIZATION


def submit_file(
    conn: Connection,
    inventory: Inventory,
    *,
    name: str,
    content: bytes,
    by: str,
    template: str | None = None,
    organization_id: str | None = None,
    default_organization: str = DEFAULT_ORGANIZATION,
) -> Submission:
    """Judges every row of a file and keeps the file with what was found, pending approval.

    `name` says format and, without `template`, which template it is. The same bytes again are the
    submission they are already. With `organization_id` rows of others are refused. Raises
    FileRefused for a file that is not read at all, RejectedRecord for columns the template has not
    and a name that is none (`invalid_file_name`); nothing is kept then.
    """
    if not name.isprintable() or not 0 < len(name) <= NAME_LENGTH_MAX:
        raise RejectedRecord(
            "invalid_file_name",
            f"{name[:60]!a} is no name of a file",
            field="name",
            value=ascii(name),
            valid=f"1 to {NAME_LENGTH_MAX} printable characters",
        )
    chosen = template_of(name) if template is None else find_template(template)
    file = _File(
        template=chosen,
        submission_id=new_number(conn),
        sha256=hashlib.sha256(content).hexdigest(),
        inventory=inventory,
        organization_id=organization_id,
        default_organization=default_organization,
    )
    accepted: list[AcceptedRow] = []
    refused: list[RefusedRow] = []
    seen: set[str] = set()
    with read_table(content, name=name, limits=FILE_LIMITS) as table:
        check_columns(chosen, table.columns)
        for position, row in enumerate(table, start=1):
            # Objects of a JSON file may all stand on one line.
            line = position if table.format == "json" else row.line
            try:
                accepted.append(_judged(row, line, file, seen))
            except RejectedRecord as problem:
                refused.append(RefusedRow(line=line, problem=problem))
    return store_submission(
        conn,
        file.submission_id,
        template=chosen.name,
        file_name=PurePosixPath(name).name,
        content=content,
        by=by,
        accepted=accepted,
        refused=refused,
        organization_id=organization_id,
    )


def _judged(row: TableRow, line: int, file: _File, seen: set[str]) -> AcceptedRow:
    if row.problem is not None:
        raise row.problem
    event = event_of_row(row.cells, line, file)
    event.check(file.inventory.now)
    if event.occurred_to > file.inventory.now:
        raise RejectedRecord(
            "period_not_over",
            f"last_day: the activity ends on {row.cells['last_day']}, which is not over",
            field="last_day",
            value=row.cells["last_day"],
            valid="an activity that has ended",
        )
    if event.event_id in seen:
        raise RejectedRecord(
            "given_twice",
            f"activity_id: {event.activity_id} is in an earlier row too",
            field="activity_id",
            value=event.activity_id,
            valid="each activity and revision once",
        )
    lines = lines_of_registered_activity(event, file.inventory)
    seen.add(event.event_id)
    return AcceptedRow(line=line, event=event, kgco2e=total(lines))


def event_of_row(cells: Mapping[str, str], line: int, file: _File) -> RegisteredActivityEvent:
    """The event a row would be, in its site's calendar.

    Raises RejectedRecord `missing_field`, `invalid_day`, `ends_before_it_begins`,
    `unknown_entity`, `unknown_facility`, `facility_of_another_organization`,
    `not_your_organization` and those of `activity_fields`.
    """
    for name in REQUIRED_FIELDS:
        if name not in cells:
            raise RejectedRecord("missing_field", f"{name} is missing", field=name)
    first, last = day_of(cells, "first_day"), day_of(cells, "last_day")
    if last < first:
        raise RejectedRecord(
            "ends_before_it_begins",
            f"last_day: {last} is before first_day {first}",
            field="last_day",
            value=last.isoformat(),
            valid=f"{first} or later",
        )
    site, organization_id = _registered(cells, file.inventory, first)
    organization_id = organization_id or file.default_organization
    if file.organization_id not in (None, organization_id):
        raise RejectedRecord(
            "not_your_organization",
            f"entity_id: {cells['entity_id'][:60]} is not of {file.organization_id}",
            field="entity_id",
            value=cells["entity_id"],
            valid=f"an entity or site of {file.organization_id}",
        )
    zone = zone_of("UTC" if site is None else site.time_zone)
    begin = datetime(first.year, first.month, first.day, tzinfo=zone).astimezone(UTC)
    after = last + timedelta(days=1)
    end = datetime(after.year, after.month, after.day, tzinfo=zone).astimezone(UTC)
    fields = activity_fields(file.template, cells)
    quantity, unit = fields.pop("quantity", None), fields.pop("unit", None)
    return RegisteredActivityEvent(
        activity_id=cells["activity_id"],
        template=file.template.name,
        entity_id=cells["entity_id"],
        facility_id=cells.get("facility_id"),
        country_iso2=cells.get("country_iso2") or (None if site is None else site.country_iso2),
        quantity=quantity,
        unit=unit,
        fields=canonical_fields(fields),
        timestamp=begin,
        interval_seconds=int((end - begin).total_seconds()),
        revision=_whole(cells.get("revision", "0")),  # type: ignore[arg-type]
        submission_id=submission_name(file.submission_id),
        approval_id=approval_name(file.submission_id),
        file_sha256=file.sha256,
        file_line=line,
    )


def _whole(text: str) -> int | str:
    """Digits as the number they write; anything else is left for the event to refuse."""
    is_whole = text.isascii() and text.isdigit() and len(text) <= WHOLE_DIGITS_MAX
    return int(text) if is_whole else text


def _registered(
    cells: Mapping[str, str], inventory: Inventory, on: date
) -> tuple[Site | None, str | None]:
    """The site of a row, and the organization it belongs to, if that is registered.

    Entity and site must be registered wherever anything of their kind is: a misspelt name would
    else put the figure into the default organization, unnoticed.
    """
    register = inventory.register
    entity = register.entity(cells["entity_id"], on)
    if entity is None and any(isinstance(one, Entity) for one in register.records):
        raise _unknown("entity", cells["entity_id"], on)
    facility_id = cells.get("facility_id")
    site = None if facility_id is None else register.site(facility_id, on)
    if facility_id is None or site is None:
        if facility_id is not None and any(isinstance(one, Site) for one in register.records):
            raise _unknown("facility", facility_id, on)
        return None, None if entity is None else entity.organization_id
    if entity is not None and site.organization_id != entity.organization_id:
        raise RejectedRecord(
            "facility_of_another_organization",
            f"facility_id: {facility_id} belongs to {site.organization_id}, "
            f"{entity.entity_id} to {entity.organization_id}",
            field="facility_id",
            value=facility_id,
            valid=f"a site of {entity.organization_id}",
        )
    return site, site.organization_id


def _unknown(kind: str, name: str, on: date) -> RejectedRecord:
    return RejectedRecord(
        f"unknown_{kind}",
        f"{kind}_id: {name[:60]!r} is not registered on {on}",
        field=f"{kind}_id",
        value=name,
        valid="what `carbon reference apply` has stored",
    )


def approve(
    conn: Connection,
    open_producer: OpenProducer,
    submission_id: int,
    *,
    by: str,
    reason: str = "",
) -> Submission:
    """Records an approval and sends the events; returns once Kafka has acknowledged all of them.

    Raises what `carbon_ledger.store.activities.decide` and the producer raise. Where sending failed
    the approval stands: `send_approved`, or the same person's approval again, sends what is left.
    `conn` is in autocommit mode.
    """
    found = find_submission(conn, submission_id)
    is_again = found.status == "approved" and same_person(by, found.decided_by or "-")
    if not is_again:
        decide(conn, submission_id, approved=True, by=by, reason=reason)
    with open_producer() as producer:
        _deliver(conn, producer, submission_id)
    return find_submission(conn, submission_id)


def send_approved(conn: Connection, open_producer: OpenProducer) -> list[Submission]:
    """Sends every approved submission whose delivery is not recorded; those it sent."""
    waiting = unsent_submissions(conn)
    if waiting:
        with open_producer() as producer:
            for one in waiting:
                _deliver(conn, producer, one.submission_id)
    return waiting


def _deliver(conn: Connection, producer: CarbonEventProducer, submission_id: int) -> None:
    rows = accepted_rows(conn, submission_id)
    for row in rows:
        producer.send(TOPIC, value=row.event)
    producer.flush()
    record_delivery(conn, submission_id, len(rows))
