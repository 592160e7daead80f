"""The activity register on real PostgreSQL and Kafka: submitted, approved by another, sent."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient
from openpyxl import Workbook

from api.app import create_app
from carbon_ledger import settings as settings_module
from carbon_ledger.access_keys import hash_of, new_key
from carbon_ledger.activities.registered_activity import RegisteredActivityEvent
from carbon_ledger.activities.templates import TEMPLATES
from carbon_ledger.errors import RejectedRecord, Unavailable
from carbon_ledger.inventory import Inventory
from carbon_ledger.reference.records import Entity, Site
from carbon_ledger.reference.register import Register
from carbon_ledger.store.activities import (
    Submission,
    accepted_rows,
    decide,
    find_submission,
    record_delivery,
    refused_rows,
)
from carbon_ledger.store.keys import create_key
from cli.activity_commands import activities, template_bytes
from factor_seeds.load import shipped_book
from pipeline.activity_register import approve, send_approved, submit_file
from pipeline.files.limits import FileRefused
from pipeline.producers import CarbonEventProducer
from pipeline.serialization import schema_text
from spark.decode import WriterSchema, decode_body
from tests.support.kafka_reading import Since
from tests.support.postgres import LedgerDatabase, scratch_database

pytestmark = pytest.mark.stack

TOPIC = "raw.activities"
NOW = datetime(2025, 6, 1, tzinfo=UTC)
REGISTER = Register(
    records=(
        Entity(entity_id="acme-gmbh", organization_id="acme", kind="parent"),
        Entity(entity_id="other-ag", organization_id="other", kind="parent"),
        Site(facility_id="KR-1", organization_id="acme", country_iso2="KR", time_zone="Asia/Seoul"),
    )
)
INVENTORY = Inventory(book=shipped_book(), now=NOW, register=REGISTER)
HEAD = (
    *("activity_id", "entity_id", "facility_id", "first_day", "last_day", "formula", "kind"),
    *("quantity", "unit", "factor.kgco2e", "factor.per"),
)
GOOD = {
    "activity_id": "W-1",
    "entity_id": "acme-gmbh",
    "facility_id": "KR-1",
    "first_day": "2025-01-01",
    "last_day": "2025-01-31",
    "formula": "S3-5-WASTE-TYPE",
    "kind": "waste",
    "quantity": "12.5",
    "unit": "t",
    "factor.kgco2e": "21.28",
    "factor.per": "t",
}
# What is changed in the good row, and the code and field it is refused with.
BAD: list[tuple[dict[str, str], str, str | None]] = [
    ({"quantity": "-1"}, "negative_quantity", "quantity"),
    ({"quantity": "12,5"}, "not_a_number", "quantity"),
    ({"unit": "furlongs"}, "unknown_unit", "unit"),
    ({"first_day": "31.01.2025"}, "invalid_day", "first_day"),
    ({"last_day": "2024-12-31"}, "ends_before_it_begins", "last_day"),
    ({"last_day": "2025-07-31"}, "period_not_over", "last_day"),
    ({"entity_id": "acme-gmhb"}, "unknown_entity", "entity_id"),
    ({"facility_id": "KR-9"}, "unknown_facility", "facility_id"),
    ({"entity_id": "other-ag"}, "facility_of_another_organization", "facility_id"),
    ({"activity_id": "W 1"}, "invalid_identifier", "activity_id"),
    ({"formula": "S3-7-COMMUTING"}, "formula_not_for_category", "formula"),
    ({"kind": ""}, "missing_field", "kind"),
    ({"entity_id": ""}, "missing_field", "entity_id"),
    ({"activity_id": "W-1"}, "given_twice", "activity_id"),
]


def rows() -> list[dict[str, str]]:
    """A good row, then bad ones, then another good row."""
    bad = [{**GOOD, "activity_id": f"B-{n}", **change} for n, (change, _, _) in enumerate(BAD)]
    return [GOOD, *bad, {**GOOD, "activity_id": "W-2", "facility_id": ""}]


def content(form: str, given: list[dict[str, str]], note: str = "") -> bytes:
    """The rows as a file of the format; `note` makes other bytes of the same rows."""
    head = [*HEAD, "description"]
    listed = [{**row, "description": note} for row in given]
    if form == "json":
        return json.dumps(listed).encode()
    if form == "csv":
        cells = [head, *([row[name] for name in head] for row in listed)]
        return "\n".join(",".join(f'"{cell}"' for cell in row) for row in cells).encode()
    book = Workbook()
    book.active.append(head)
    for row in listed:
        book.active.append([row[name] or None for name in head])
    found = io.BytesIO()
    book.save(found)
    return found.getvalue()


@pytest.fixture(scope="module")
def database(stack) -> Iterator[LedgerDatabase]:  # type: ignore[no-untyped-def]
    with scratch_database(stack.layout.database_url, with_factors=True) as found:
        yield found


@pytest.fixture
def conn(database: LedgerDatabase) -> Iterator[Any]:
    with closing(database.writer(autocommit=True)) as found:
        yield found


def submit(conn: Any, note: str, name: str = "waste.csv", only: int | None = None) -> Submission:
    """The rows (the first `only` of them), under activity ids of this note."""
    given = [
        {**row, "activity_id": f"{note}-{row['activity_id']}"} if row["activity_id"] else row
        for row in rows()[:only]
    ]
    form = name.rpartition(".")[2]
    return submit_file(
        conn, INVENTORY, name=name, content=content(form, given, note), by="Site Engineer"
    )


def producer() -> CarbonEventProducer:
    return CarbonEventProducer(settings=settings_module.load())


@pytest.mark.parametrize("form", ["csv", "xlsx", "json"])
def test_every_row_is_judged_by_itself_in_every_format(conn: Any, form: str) -> None:
    found = submit(conn, form, f"waste-2025.{form}")
    assert (found.rows_accepted, found.rows_refused) == (2, len(BAD))
    accepted = accepted_rows(conn, found.submission_id)
    assert [f"{row.kgco2e:f}" for row in accepted] == ["266.000000000000"] * 2
    # January of the site's calendar; UTC where there is no site.
    assert [f"{row.event.occurred_from:%m-%d %H}" for row in accepted] == ["12-31 15", "01-01 00"]
    refused = refused_rows(conn, found.submission_id)
    assert [(row.problem.code, row.problem.field) for row in refused] == [
        (code, field) for _, code, field in BAD
    ]
    first = 1 if form == "json" else 2
    lines = [row.line for row in accepted] + [row.line for row in refused]
    assert sorted(lines) == list(range(first, first + len(rows())))


def test_the_file_is_kept_and_the_same_bytes_are_one_submission(conn: Any) -> None:
    first = submit(conn, "kept", only=1)
    again = submit(conn, "kept", "waste-copy.csv", only=1)
    assert again.submission_id == first.submission_id
    kept = conn.execute(
        "select file_content, file_name from ledger.activity_submission where submission_id = %s",
        (first.submission_id,),
    ).fetchone()
    assert kept == (content("csv", [{**GOOD, "activity_id": "kept-W-1"}], "kept"), "waste.csv")


def test_nobody_approves_his_own_and_the_database_says_so_too(conn: Any) -> None:
    found = submit(conn, "own", only=1)
    for name in ("Site Engineer", "  site   ENGINEER "):
        with pytest.raises(RejectedRecord) as refusal:
            approve(conn, producer, found.submission_id, by=name)
        assert refusal.value.code == "own_submission"
    with pytest.raises(psycopg.errors.CheckViolation, match="approved by its submitter"):
        conn.execute(
            "insert into ledger.activity_decision (submission_id, is_approved, decided_by, reason)"
            " values (%s, true, ' SITE ENGINEER', '')",
            (found.submission_id,),
        )
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        record_delivery(conn, 10**9, 1)
    decide(conn, found.submission_id, approved=False, by="Site Engineer", reason="wrong month")
    with pytest.raises(psycopg.errors.CheckViolation, match="is not approved"):
        record_delivery(conn, found.submission_id, 1)


def test_what_another_person_approves_is_in_kafka_with_its_evidence(conn: Any) -> None:
    found = submit(conn, "sent")
    since = Since(settings=settings_module.load(), topic=TOPIC)
    done = approve(
        conn, producer, found.submission_id, by="Sustainability Lead", reason="seen the slips"
    )
    assert (done.status, done.decided_by, done.reason) == (
        "sent",
        "Sustainability Lead",
        "seen the slips",
    )
    events = [event_of(record.value()) for record in since.records()]
    assert events == [row.event for row in accepted_rows(conn, found.submission_id)]
    assert {(one.file_sha256, one.submission_id, one.approval_id) for one in events} == {
        (found.file_sha256.hex(), found.name, f"{found.name}/approval")
    }
    assert [one.file_line for one in events] == [2, len(rows()) + 1]
    with pytest.raises(RejectedRecord) as refusal:
        approve(conn, producer, found.submission_id, by="Third Person")
    assert refusal.value.code == "decided_already"
    assert send_approved(conn, producer) == []
    assert len(since.records()) == 2


def event_of(value: bytes) -> RegisteredActivityEvent:
    text = schema_text("activities")
    writer = WriterSchema(schema_id=1, text=text, sha256=bytes(32))
    fields = decode_body(value[5:], writer, text).fields
    return RegisteredActivityEvent.from_avro_fields(fields, datetime.now(UTC))


def test_an_approval_while_kafka_is_down_is_sent_later_and_once(conn: Any) -> None:
    found = submit(conn, "later", only=1)

    def down() -> CarbonEventProducer:
        raise Unavailable("brokers_unavailable", "no broker answers")

    with pytest.raises(Unavailable):
        approve(conn, down, found.submission_id, by="Sustainability Lead")
    assert find_submission(conn, found.submission_id).status == "approved"
    since = Since(settings=settings_module.load(), topic=TOPIC)
    assert [one.submission_id for one in send_approved(conn, producer)] == [found.submission_id]
    assert send_approved(conn, producer) == []
    assert find_submission(conn, found.submission_id).status == "sent"
    (record,) = since.records()
    assert event_of(record.value()).activity_id == "later-W-1"


def test_an_activity_is_submitted_once_unless_its_submission_was_rejected(conn: Any) -> None:
    def given(note: str, **changes: str) -> Submission:
        row = {**GOOD, "activity_id": "once", **changes}
        text = content("csv", [row], note)
        return submit_file(conn, INVENTORY, name="waste.csv", content=text, by="Site Engineer")

    first = given("a")
    second = given("b")
    (refusal,) = refused_rows(conn, second.submission_id)
    assert refusal.problem.code == "activity_known"
    assert first.name in refusal.problem.message
    with pytest.raises(RejectedRecord) as caught:
        decide(conn, second.submission_id, approved=True, by="Sustainability Lead", reason="")
    assert caught.value.code == "nothing_to_approve"
    decide(conn, first.submission_id, approved=False, by="Sustainability Lead", reason="wrong slip")
    assert given("c").rows_accepted == 1
    # Also the very same bytes.
    assert given("a").submission_id != first.submission_id


def test_a_file_that_is_none_of_its_template_is_refused_whole(conn: Any) -> None:
    def given(name: str, text: bytes) -> str:
        with pytest.raises(RejectedRecord) as refusal:
            submit_file(conn, INVENTORY, name=name, content=text, by="Site Engineer")
        return refusal.value.code

    assert given("weather.csv", content("csv", [GOOD])) == "unknown_template"
    assert given("waste.csv", b"activity_id,mas\nW-1,2\n") == "unknown_column"
    assert given("waste.csv", b"activity_id\nW-1\n") == "missing_column"
    assert given("waste.csv", template_bytes(TEMPLATES["waste"], "csv")) == "file_empty"
    with pytest.raises(FileRefused):
        submit(conn, "=cmd()", only=1)


def test_the_command_writes_templates_submits_lists_and_approves(
    database: LedgerDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARBON_DATABASE_WRITER_URL", database.writer_url)
    monkeypatch.setenv("CARBON_DATABASE_AUDITOR_URL", database.auditor_url)

    def run(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(activities, list(words), catch_exceptions=False)
        assert result.exit_code == code, result.output
        return str(result.output)

    run("templates", "--write", str(tmp_path / "t"))
    assert len(list((tmp_path / "t").iterdir())) == 3 * len(TEMPLATES) == 57
    assert "S3-5-WASTE-TYPE" in run("templates", "waste")
    for form in ("csv", "xlsx", "json"):
        with pytest.raises(FileRefused, match="no row"):
            run("submit", str(tmp_path / "t" / f"waste.{form}"), "--who", "Site Engineer")
    # No reference data is stored here: entities and sites are taken as they are named.
    path = tmp_path / "waste-cli.csv"
    path.write_bytes(content("csv", [{**GOOD, "activity_id": "cli"}, {**GOOD, "unit": "?"}]))
    told = run("submit", str(path), "--who", "Site Engineer", code=2)
    assert "line 3: " in told
    assert "266" in told
    number = told.split()[0]
    assert number in run("list")
    with pytest.raises(RejectedRecord, match="cannot approve"):
        run("approve", number, "--who", "site engineer")
    assert "is sent: 1 events" in run("approve", number, "--who", "Sustainability Lead")
    assert json.loads(run("show", number, "--json"))["status"] == "sent"
    assert run("send").startswith("0 submissions")


def test_the_api_takes_a_file_and_another_holders_approval(
    database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARBON_DATABASE_WRITER_URL", database.writer_url)
    monkeypatch.setenv("CARBON_DATABASE_GATE_URL", database.gate_url)
    with closing(database.writer(autocommit=True)) as conn:
        engineer, engineer_again, lead, stranger = (
            create_key(
                conn,
                organization_id=organization,
                scopes=("activities:submit", "activities:approve"),
                supplier_ids=(),
                holder=holder,
                person_id=person_id,
                created_by="tests",
                expires_at=datetime.now(UTC) + timedelta(days=1),
            ).text
            for organization, holder, person_id in (
                ("default", "Site Engineer", "p-17"),
                ("default", "site engineer", "p-17"),
                ("default", "Sustainability Lead", "p-3"),
                ("elsewhere", "Third Person", "p-4"),
            )
        )
        of_nobody = key_without_person(database)
    # No entity is registered in this database: rows are of the default organization.
    text = content("csv", [{**GOOD, "activity_id": "api"}, {**GOOD, "kind": "?"}])
    with TestClient(create_app(settings_module.load())) as client:

        def call(method: str, path: str, key: str, **more: Any) -> Any:
            return client.request(
                method, f"/v1/activities{path}", headers={"Authorization": f"Bearer {key}"}, **more
            )

        assert client.post("/v1/activities?name=waste.csv", content=text).status_code == 401
        made = call("POST", "?name=waste.csv", engineer, content=text)
        assert made.status_code == 201, made.text
        answer = made.json()
        assert (answer["rows_accepted"], answer["rows_refused"], answer["kgco2e"]) == (1, 1, "266")
        assert [(row["line"], row["code"]) for row in answer["refused"]] == [(3, "unknown_kind")]
        for path in ("?name=waste.csv", f"/{answer['submission'][2:]}/approval"):
            nobody = call("POST", path, of_nobody, json={})
            assert (nobody.status_code, nobody.json()["code"]) == (403, "key_without_person")
        again = call("POST", "?name=other-name.csv&template=waste", engineer, content=text)
        assert again.json()["submission"] == answer["submission"]
        number = answer["submission"].removeprefix("A-")
        assert call("GET", f"/{number}", stranger).status_code == 404
        assert call("POST", f"/{number}/approval", stranger, json={}).status_code == 404
        own = call("POST", f"/{number}/approval", engineer_again, json={})
        assert (own.status_code, own.json()["code"]) == (403, "own_submission")
        since = Since(settings=settings_module.load(), topic=TOPIC)
        unclear = call("POST", f"/{number}/approval", lead, json={"reason": "slips \x00 seen"})
        assert (unclear.status_code, unclear.json()["code"]) == (400, "nul_byte")
        done = call("POST", f"/{number}/approval", lead, json={"reason": "slips seen"})
        assert (done.status_code, done.json()["status"]) == (200, "sent"), done.text
        assert done.json()["reason"] == "slips seen"
        assert [event_of(one.value()).activity_id for one in since.records()] == ["api"]
        assert call("POST", f"/{number}/rejection", lead, json={"reason": "no"}).status_code == 409
        bad = call("POST", "?name=weather.csv", engineer, content=text)
        assert (bad.status_code, bad.json()["code"]) == (422, "unknown_template")
        refused = call("POST", "?name=waste.csv", stranger, content=text.replace(b"api", b"x"))
        assert refused.json()["refused"][0]["code"] == "not_your_organization"


def key_without_person(database: LedgerDatabase) -> str:
    """A key as they were made before keys had persons."""
    drawn = new_key()
    with closing(database.admin()) as conn:
        conn.execute(
            "alter table access.api_key drop constraint api_key_of_activities_is_of_a_person"
        )
        conn.execute(
            "insert into access.api_key (key_id, organization_id, secret_sha256, scopes,"
            " supplier_ids, holder, created_by, expires_at) values (%s, 'default', %s,"
            " array['activities:submit', 'activities:approve'], '{}', 'Site Engineer', 'tests',"
            " now() + interval '1 day')",
            (drawn.key_id, hash_of(drawn.secret)),
        )
        conn.execute(
            "alter table access.api_key add constraint api_key_of_activities_is_of_a_person check"
            " (person_id is not null or not scopes && array['activities:submit',"
            " 'activities:approve']) not valid"
        )
    return drawn.text
