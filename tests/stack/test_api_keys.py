"""Keys of the API: what opens, what does not, and how soon a revocation holds."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from click.testing import CliRunner

from carbon_ledger.access_keys import NewKey, hash_of, new_key, parts_of
from carbon_ledger.errors import CarbonError, ConfigurationError, Unavailable
from carbon_ledger.store.connect import connect
from carbon_ledger.store.keys import KeyStore, create_key, list_keys, revoke_key
from cli.key_commands import key
from tests.support.postgres import LedgerDatabase, scratch_database

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def database(stack) -> Iterator[LedgerDatabase]:  # type: ignore[no-untyped-def]
    with scratch_database(stack.layout.database_url) as found:
        yield found


def make(database: LedgerDatabase, **changes: object) -> NewKey:
    given = {
        "organization_id": "default",
        "scopes": ("submit:supplier",),
        "supplier_ids": ("SUP_042_DE",),
        "holder": "Example Steel",
        "created_by": "tests",
        "expires_at": datetime.now(UTC) + timedelta(days=1),
        **changes,
    }
    with database.writer(autocommit=True) as conn:
        return create_key(conn, **given)  # type: ignore[arg-type]


def test_a_key_is_found_by_its_id_and_opened_by_its_secret_alone(database: LedgerDatabase) -> None:
    made, other = make(database), make(database)
    found = KeyStore(database.gate_url).find(made.key_id)
    assert found is not None
    assert found.is_opened_by(made.secret)
    assert not found.is_opened_by(other.secret)
    assert found.is_good(datetime.now(UTC))
    assert not found.is_good(datetime.now(UTC) + timedelta(days=2))
    assert found.may_submit_for("SUP_042_DE")
    assert not found.may_submit_for("SUP_043_DE")


def test_no_secret_is_in_the_database(database: LedgerDatabase) -> None:
    made = make(database)
    with database.writer() as conn:
        rows = str(conn.execute("select k::text from access.api_key k").fetchall())
    assert made.key_id in rows
    assert made.secret not in rows


def test_a_revoked_key_opens_nothing_within_five_seconds(database: LedgerDatabase) -> None:
    made = make(database)
    store = KeyStore(database.gate_url)
    assert store.find(made.key_id) is not None
    with database.writer(autocommit=True) as conn:
        revoke_key(conn, made.key_id, revoked_by="tests", reason="lost")
        revoke_key(conn, made.key_id, revoked_by="tests", reason="twice changes nothing")
    begun = time.monotonic()
    while True:
        found = store.find(made.key_id)
        assert found is not None
        if not found.is_good(datetime.now(UTC)):
            break
        assert time.monotonic() - begun < 5
        time.sleep(0.05)
    assert found.reason == "lost"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"scopes": ()}, "scope_unknown"),
        ({"scopes": ("submit:all",)}, "scope_unknown"),
        ({"organization_id": "a,b"}, "organizations"),
        ({"organization_id": "*"}, "organizations"),
        ({"holder": " "}, "key_holder"),
        ({"holder": "a\nb"}, "key_holder"),
        ({"supplier_ids": ("a b",)}, "invalid_identifier"),
        # It would read every supplier's entries, whatever it names.
        ({"role": "reporter", "scopes": ()}, "key_suppliers"),
        ({"role": "supplier", "scopes": ("ledger:read",)}, "key_suppliers"),
        ({"scopes": ("supplier:read", "ledger:export")}, "key_suppliers"),
        ({"scopes": ("factors:read",), "supplier_ids": ("*",)}, "key_suppliers"),
        ({"person_id": "a b"}, "invalid_identifier"),
        ({"scopes": ("activities:submit",), "supplier_ids": ()}, "key_person"),
        ({"scopes": ("dlq:read", "activities:approve"), "supplier_ids": ()}, "key_person"),
        ({"expires_at": datetime(2024, 1, 1, tzinfo=UTC)}, "key_expiry"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(
    database: LedgerDatabase, changes: dict[str, object], code: str
) -> None:
    with pytest.raises(CarbonError) as caught:
        make(database, **changes)
    assert caught.value.code == code


def test_one_name_is_one_person_and_one_person_has_one_name(database: LedgerDatabase) -> None:
    scopes = ("activities:submit", "activities:approve")
    first = {"scopes": scopes, "supplier_ids": (), "holder": "J. Kim", "person_id": "p-1"}
    made = make(database, **first)
    # The person's second key, however the name is written.
    make(database, **first | {"holder": " j. KIM "})
    for changes, code in (
        ({"person_id": "p-2"}, "holder_ambiguous"),
        ({"person_id": "p-2", "holder": "J.  KIM"}, "holder_ambiguous"),
        ({"holder": "Jae Kim"}, "person_named_otherwise"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            make(database, **first | changes)
        assert caught.value.code == code
        assert "in key" in caught.value.message
    make(database, **first | {"holder": "J. Kim (plant 7)", "person_id": "p-2"})
    found = KeyStore(database.gate_url).find(made.key_id)
    assert found is not None
    assert (found.person_id, found.holder) == ("p-1", "J. Kim")


def test_the_database_refuses_a_key_that_confuses_two_people_as_well(
    database: LedgerDatabase,
) -> None:
    make(database, holder="R. Silva", person_id="p-8")
    statement = (
        "insert into access.api_key (key_id, organization_id, secret_sha256, scopes, supplier_ids,"
        " holder, person_id, created_by, expires_at) values (%s, 'default', %s,"
        " array['activities:approve'], '{}', %s, %s, 'tests', now() + interval '1 day')"
    )
    for holder, person_id, constraint in (
        ("r. silva ", "p-9", "api_key_person_has_one_name"),
        ("Rui Silva", "p-8", "api_key_person_has_one_name"),
        ("Nobody", None, "api_key_of_activities_is_of_a_person"),
        ("Somebody", "p 9", "api_key_person_is_well_formed"),
    ):
        drawn = new_key()
        given = (drawn.key_id, hash_of(drawn.secret), holder, person_id)
        with database.writer(autocommit=True) as conn:
            with pytest.raises(psycopg.errors.CheckViolation) as caught:
                conn.execute(statement, given)
            assert caught.value.diag.constraint_name == constraint


def test_the_gate_can_neither_make_nor_revoke_a_key_nor_read_the_ledger(
    database: LedgerDatabase,
) -> None:
    made = make(database)
    with connect(database.gate_url, "tests", True) as conn:
        assert [one.key_id for one in list_keys(conn, made.key_id)] == [made.key_id]
        for statement in (
            "insert into access.api_key_revocation (key_id, revoked_by, reason) "
            "values ('a', 'b', 'c')",
            "delete from access.api_key",
            "select 1 from ledger.entry",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(statement)


def test_a_key_is_made_listed_and_revoked_at_the_command_line(stack: object) -> None:
    run = CliRunner().invoke
    made = run(key, "create --holder Steel --scope submit:supplier --supplier S1 --days 2".split())
    assert made.exit_code == 0, made.output
    parts = parts_of(made.stdout.strip())
    assert parts is not None
    key_id, secret = parts
    listed = run(key, ["list"])
    (line,) = [one for one in listed.stdout.splitlines() if one.startswith(key_id)]
    assert "submit:supplier  S1  Steel" in line
    assert "expires" in line
    revoked = run(key, ["revoke", key_id, "--because", "over"])
    assert "is revoked" in revoked.stdout
    (plain,) = [
        one for one in json.loads(run(key, ["list", "--json"]).stdout) if one["key_id"] == key_id
    ]
    assert (plain["reason"], plain["supplier_ids"]) == ("over", ["S1"])
    assert all(secret not in one.output for one in (listed, revoked))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("create --holder A --scope submit:supplier", "needs --supplier"),
        ("create --holder A --scope all", "submit:supplier"),
        ("create --holder A --scope dlq:read --days 0", "days"),
        ("create --scope dlq:read", "--holder"),
        ("create --holder A --scope activities:approve", "needs --person"),
    ],
)
def test_a_key_without_sense_is_refused_at_the_command_line(arguments: str, told: str) -> None:
    done = CliRunner().invoke(key, arguments.split())
    assert done.exit_code == 2
    assert told in done.output


def test_an_unknown_key_cannot_be_revoked(stack: object) -> None:
    done = CliRunner().invoke(key, ["revoke", "nothing", "--because", "over"])
    assert isinstance(done.exception, ConfigurationError)
    assert done.exception.code == "key_unknown"


def test_without_a_database_nobody_gets_in(database: LedgerDatabase) -> None:
    store = KeyStore("postgresql://carbon_gate:x@127.0.0.1:1/carbon")
    with pytest.raises(Unavailable) as caught:
        store.find("a" * 16)
    assert caught.value.code == "database_unavailable"
