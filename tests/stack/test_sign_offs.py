"""Sign-offs as they are kept: the last one of a subject stands, and none is ever changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from carbon_ledger.access_keys import ApiKey
from carbon_ledger.errors import RejectedRecord
from carbon_ledger.lineage.sign_offs import Subject
from carbon_ledger.store.connect import connect
from carbon_ledger.store.keys import create_key, list_keys
from carbon_ledger.store.sign_offs import add_sign_off, list_sign_offs
from devstack.postgres import Postgres
from tests.support.postgres import LedgerDatabase, scratch_database

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]
ENTRY = UUID("01930000-0000-8000-8000-000000000001")


@pytest.fixture(scope="module")
def database(ledger_server: Postgres) -> Iterator[LedgerDatabase]:
    with scratch_database(ledger_server.layout.database_url) as found:
        yield found


def auditor(database: LedgerDatabase, organization: str = "default") -> ApiKey:
    with closing(database.writer(autocommit=True)) as conn:
        made = create_key(
            conn,
            organization_id=organization,
            scopes=(),
            supplier_ids=(),
            holder="Audit & Co",
            created_by="tests",
            expires_at=datetime.now(UTC) + timedelta(days=1),
            role="auditor",
        )
        return list_keys(conn, made.key_id)[0]


def sign(database: LedgerDatabase, key: ApiKey, subject: Subject, **given: Any) -> int:
    values = {"subject_sha256": bytes(32), "verdict": "agreed", "note": "", **given}
    with closing(database.writer(autocommit=True)) as conn:
        return add_sign_off(conn, key, subject, **values)


def test_a_later_sign_off_supersedes_an_earlier_one_of_the_same_subject(
    database: LedgerDatabase,
) -> None:
    key, subject = auditor(database), Subject(kind="entry", entry_id=ENTRY)
    first = sign(database, key, subject, verdict="follow_up", note=" where is the bill? ")
    other = sign(database, key, Subject(kind="entry", entry_id=uuid4()))
    second = sign(database, key, subject)
    with closing(database.reader()) as conn:
        found = list_sign_offs(conn)
        of_one = list_sign_offs(conn, kind="entry", entry_id=ENTRY, before=second)
    assert [(one.sign_off_id, one.stands) for one in found] == [
        (second, True),
        (other, True),
        (first, False),
    ]
    assert [(one.sign_off_id, one.note, one.signed_by) for one in of_one] == [
        (first, "where is the bill?", "Audit & Co")
    ]


def test_another_organization_s_sign_offs_neither_show_nor_supersede(
    database: LedgerDatabase,
) -> None:
    subject = Subject(kind="entry", entry_id=uuid4())
    own = sign(database, auditor(database), subject)
    foreign = sign(database, auditor(database, "other"), subject)
    seen = {}
    for organization in ("default", "other"):
        with closing(
            connect(database.reader_url, "tests", True, organizations=organization)
        ) as conn:
            found = list_sign_offs(conn, entry_id=subject.entry_id)
            seen[organization] = [(one.sign_off_id, one.stands) for one in found]
    assert seen == {"default": [(own, True)], "other": [(foreign, True)]}


def test_a_sign_off_is_refused_that_says_nothing_or_is_of_nothing(
    database: LedgerDatabase,
) -> None:
    key, entry = auditor(database), Subject(kind="entry", entry_id=ENTRY)
    for given, code in (
        ({"verdict": "fine"}, "verdict_unknown"),
        ({"verdict": "exception", "note": " \n"}, "note_missing"),
        ({"note": "x" * 4_001}, "note_too_long"),
        ({"note": "a\x00b"}, "nul_byte"),
    ):
        with pytest.raises(RejectedRecord) as refused:
            sign(database, key, entry, **given)
        assert refused.value.code == code
    for subject, constraint in (
        (Subject(kind="entry"), "sign_off_subject_is_whole"),
        (Subject(kind="cell", cell_id="E1-6/scope_1/current"), "sign_off_subject_is_whole"),
        (
            Subject(kind="cell", snapshot_id=uuid4(), cell_id="E1-6/scope_1/current"),
            "sign_off_is_of_a_snapshot",
        ),
    ):
        with pytest.raises(psycopg.errors.IntegrityError) as broken:
            sign(database, key, subject)
        assert broken.value.diag.constraint_name == constraint


def test_nobody_alters_a_sign_off(database: LedgerDatabase) -> None:
    sign(database, auditor(database), Subject(kind="entry", entry_id=ENTRY))
    for statement in (
        "update audit.sign_off set verdict = 'agreed'",
        "delete from audit.sign_off",
        "truncate audit.sign_off",
    ):
        with closing(database.writer(autocommit=True)) as conn:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(statement)
        with closing(database.admin()) as conn:
            with pytest.raises(psycopg.errors.Error, match="rows are only ever added"):
                conn.execute(statement)
