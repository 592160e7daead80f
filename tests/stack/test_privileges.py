"""What each role of the ledger may do, tried on every table, partition and function there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import psycopg
import pytest

from carbon_ledger.errors import ConfigurationError, Unavailable
from carbon_ledger.settings import Settings
from carbon_ledger.store import connect as connecting
from carbon_ledger.store.connect import connect, connect_as_reader, query
from carbon_ledger.store.migrate import migrate, read_migrations
from carbon_ledger.store.rows import ensure_month, insert_entries, insert_identity
from carbon_ledger.store.windows import deltas_of, insert_deltas
from tests.support.postgres import LedgerDatabase, grant_connect, reading, scratch_database
from tests.support.privileges import ROLES, catalogue_faults, expectation, matrix

pytestmark = pytest.mark.stack

MONTHS = (reading(0).activity_month, reading(0).activity_month.replace(month=4))
PARTITION = f"ledger.entry_{MONTHS[0]:%Y_%m}"
UrlOf = Callable[[str, str], str]


@pytest.fixture(scope="module")
def url_of(stack) -> UrlOf:  # type: ignore[no-untyped-def]
    """URL of a role in a database of the test stack's server."""
    url: UrlOf = stack.layout.database_url
    return url


@pytest.fixture(scope="module")
def database(url_of: UrlOf) -> Iterator[LedgerDatabase]:
    """A ledger with two months."""
    with scratch_database(url_of) as found:
        with found.writer() as conn:
            for month in MONTHS:
                ensure_month(conn, month)
        yield found


@pytest.fixture
def spoilt(url_of: UrlOf) -> Iterator[tuple[LedgerDatabase, psycopg.Connection]]:  # type: ignore[type-arg]
    """A ledger of its own with one month, and a superuser in it."""
    with scratch_database(url_of) as found:
        with found.writer() as conn:
            ensure_month(conn, MONTHS[0])
        with psycopg.connect(url_of("postgres", name_of(found)), autocommit=True) as superuser:
            yield found, superuser


def name_of(database: LedgerDatabase) -> str:
    """The database's name."""
    return database.writer_url.rpartition("/")[2]


# --- the matrix


def test_every_role_may_do_what_is_expected_and_nothing_else(
    url_of: UrlOf, database: LedgerDatabase
) -> None:
    cells = matrix(url_of, name_of(database))
    unexpected = [cell for cell in cells if cell.found != cell.expected]
    assert unexpected == []
    assert len(cells) >= 150
    partitions = {f"ledger.entry_{month:%Y_%m}" for month in MONTHS}
    assert partitions <= {cell.target for cell in cells}
    assert {cell.role for cell in cells} == set(ROLES)
    # Not everything is denied for some reason that has nothing to do with rights.
    assert sum(cell.found == "allowed" for cell in cells) > 150


def test_the_catalogue_has_nothing_that_the_expected_table_has_not(
    url_of: UrlOf, database: LedgerDatabase
) -> None:
    with psycopg.connect(url_of("postgres", name_of(database))) as superuser:
        assert catalogue_faults(superuser) == []


def test_the_stack_s_own_database_is_as_expected_too(url_of: UrlOf) -> None:
    with psycopg.connect(url_of("postgres", "carbon")) as superuser:
        assert catalogue_faults(superuser) == []


# --- planted faults: each is seen


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ("grant update on ledger.reversal to carbon_reader", "UPDATE on table ledger.reversal"),
        ("grant select on all tables in schema ledger to carbon_vault", f"table {PARTITION}"),
        (
            "grant update (kgco2e) on ledger.entry to carbon_writer",
            "UPDATE(kgco2e) on column ledger.entry",
        ),
        ("grant truncate on audit.commit to carbon_sealer", "TRUNCATE on table audit.commit"),
        ("grant create on schema ledger to carbon_writer", "CREATE on schema ledger"),
        (
            "do $$ begin execute format('grant temporary on database %I to carbon_writer', "
            "current_database()); end $$",
            "carbon_writer has TEMPORARY on database this",
        ),
        (
            "grant execute on function ledger.protect(regclass) to public",
            "public has EXECUTE on function ledger.protect(regclass)",
        ),
        (
            "create table ledger.forgotten (organization_id text)",
            "table ledger.forgotten has organization_id and no row security",
        ),
        ("create table ledger.forgotten (a integer)", "tables: ledger.forgotten has no row"),
        (
            "create table ledger.forgotten (a integer); "
            "alter table ledger.forgotten owner to carbon_migrator",
            "ledger.forgotten is owned by carbon_migrator",
        ),
        ("create schema forgotten", "schemas: forgotten has no row"),
        ("create sequence ledger.forgotten", "sequences: ledger.forgotten has no row"),
        (
            "create function ledger.forgotten() returns integer language sql as 'select 1'",
            "functions: ledger.forgotten() has no row",
        ),
        (
            "alter function ledger.ensure_month(date) reset search_path",
            "ledger.ensure_month(date) acts as the owner without a search_path",
        ),
        (
            f"drop trigger refuse_truncate on {PARTITION}",
            f"table {PARTITION} has no trigger that refuses TRUNCATE",
        ),
        (
            "drop trigger refuse_change on audit.commit",
            "table audit.commit has no trigger that refuses UPDATE and DELETE",
        ),
        (
            "alter table windows.five_minute_delta disable trigger refuse_change",
            "table windows.five_minute_delta has no trigger that refuses UPDATE and DELETE",
        ),
        (
            "drop policy read_organizations on ledger.entry",
            "table ledger.entry has not the row security organization",
        ),
        (
            "create policy more on reports.esrs_e1 for select to carbon_reader using (true)",
            "table reports.esrs_e1 has not the row security organization",
        ),
        (
            f"alter table {PARTITION} no force row level security",
            f"table {PARTITION} has not the row security organization",
        ),
        (
            "alter table ledger.dead_letter disable row level security",
            "table ledger.dead_letter has not the row security whole",
        ),
        (
            "alter view windows.daily reset (security_invoker)",
            "view windows.daily is read with its owner's rights",
        ),
        (
            "create view ledger.forgotten as select * from ledger.entry",
            "view ledger.forgotten is read with its owner's rights",
        ),
        (
            "create materialized view ledger.forgotten as select * from ledger.entry",
            "materialized view ledger.forgotten cannot have row security",
        ),
        ("drop table ledger.dead_letter_relay", "tables: the row ledger.dead_letter_relay is of"),
    ],
)
def test_a_planted_fault_is_seen_in_the_catalogue(
    url_of: UrlOf, database: LedgerDatabase, fault: str, seen: str
) -> None:
    with psycopg.connect(url_of("postgres", name_of(database))) as superuser:
        superuser.execute(fault.encode())
        faults = catalogue_faults(superuser)
        superuser.rollback()
    assert any(seen in one for one in faults), faults


def test_a_role_that_nobody_expects_is_seen(url_of: UrlOf, database: LedgerDatabase) -> None:
    with psycopg.connect(url_of("postgres", name_of(database))) as superuser:
        superuser.execute("create role carbon_forgotten")
        assert "role carbon_forgotten is not in the expected table" in catalogue_faults(superuser)
        superuser.rollback()


@pytest.mark.parametrize(
    ("fault", "role", "operation"),
    [
        ("grant update on ledger.reversal to carbon_reader", "reader", "UPDATE"),
        ("grant update on ledger.reversal to carbon_reader", "reader", "MERGE UPDATE"),
        ("grant delete on ledger.reversal to carbon_auditor", "auditor", "DELETE"),
        ("grant insert on ledger.reversal to carbon_writer", "writer", "COPY FROM"),
        ("grant truncate on ledger.reversal to carbon_sealer", "sealer", "TRUNCATE"),
        ("grant trigger on ledger.reversal to carbon_writer", "writer", "CREATE TRIGGER"),
        ("grant insert, update on ledger.reversal to carbon_reader", "reader", "INSERT"),
        (
            "grant select, insert, update on ledger.reversal to carbon_verifier",
            "verifier",
            "ON CONFLICT DO UPDATE",
        ),
        ("alter table ledger.reversal owner to carbon_writer", "writer", "DISABLE TRIGGER"),
        ("alter table ledger.reversal owner to carbon_writer", "writer", "DROP"),
        ("revoke select on ledger.reversal from carbon_reader", "reader", "SELECT"),
    ],
)
def test_a_planted_right_is_seen_by_trying(
    url_of: UrlOf,
    spoilt: tuple[LedgerDatabase, psycopg.Connection],  # type: ignore[type-arg]
    fault: str,
    role: str,
    operation: str,
) -> None:
    database, superuser = spoilt
    superuser.execute(fault.encode())
    cells = matrix(url_of, name_of(database), only=lambda name: name == "ledger.reversal")
    unexpected = {(cell.role, cell.operation) for cell in cells if cell.found != cell.expected}
    assert (role, operation) in unexpected


def test_a_table_and_a_function_without_a_row_are_seen_by_trying(
    url_of: UrlOf,
    spoilt: tuple[LedgerDatabase, psycopg.Connection],  # type: ignore[type-arg]
) -> None:
    database, superuser = spoilt
    superuser.execute("create table ledger.forgotten (a integer)")
    superuser.execute("create function ledger.forgotten() returns int language sql as 'select 1'")
    cells = matrix(url_of, name_of(database), only=lambda name: "forgotten" in name)
    assert {cell.target for cell in cells if cell.found != cell.expected} == {
        "ledger.forgotten",
        "ledger.forgotten()",
    }


# --- the owner


def test_the_owner_cannot_log_in_and_is_no_superuser(
    url_of: UrlOf, database: LedgerDatabase
) -> None:
    with psycopg.connect(url_of("postgres", name_of(database))) as superuser:
        assert (
            superuser.execute(
                "select rolcanlogin, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, "
                "rolreplication from pg_roles where rolname = 'carbon_owner'"
            ).fetchone()
            == (False,) * 6
        )
        members = superuser.execute(
            "select member::regrole::text, inherit_option from pg_auth_members "
            "where roleid = 'carbon_owner'::regrole"
        ).fetchall()
    assert members == [("carbon_migrator", False)]


def test_the_owner_is_stopped_in_a_partition_as_in_the_table(database: LedgerDatabase) -> None:
    with database.writer() as conn:
        post(conn, 900, "default")
    with database.admin() as conn:
        for change in (
            f"update {PARTITION} set kgco2e = 0",
            f"delete from {PARTITION}",
            f"truncate {PARTITION}",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
                conn.execute(change.encode())
            assert "rows are only ever added" in str(caught.value)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="session_replication_role"):
            conn.execute("set session_replication_role = replica")


# --- a ledger from before there was an owner

# What had been applied when the migrator still owned everything.
BEFORE = 7


def old_ledger(superuser: psycopg.Connection, url: str) -> None:  # type: ignore[type-arg]
    """The first migrations as the migrator alone applied them, with a month and a row in it."""
    superuser.execute("grant carbon_writer to carbon_migrator")
    try:
        with psycopg.connect(url) as conn:
            conn.execute(query("create_schema_migration"))
            for one in read_migrations()[:BEFORE]:
                conn.execute(one.sql)
                conn.execute(query("insert_schema_migration"), (one.version, one.name, one.sha256))
            conn.execute("set role carbon_writer")
            conn.execute("select ledger.ensure_month(%s)", (MONTHS[0],))
            conn.execute("set role none")
            conn.execute(f"grant select on {PARTITION} to carbon_reader".encode())
    finally:
        superuser.execute("revoke carbon_writer from carbon_migrator")


@pytest.mark.parametrize("owner", ["carbon_owner", "carbon_migrator"])
def test_a_ledger_that_the_migrator_owned_is_handed_over_whole(url_of: UrlOf, owner: str) -> None:
    with scratch_database(url_of, migrated=False) as found:
        name = name_of(found)
        with psycopg.connect(url_of("postgres", name), autocommit=True) as superuser:
            superuser.execute(f"alter database {name} owner to carbon_migrator".encode())
            old_ledger(superuser, url_of("carbon_migrator", name))
            assert "schema ledger is owned by carbon_migrator" in catalogue_faults(superuser)
            # Whoever runs the server may have given the database away, or not yet.
            superuser.execute(f"alter database {name} owner to {owner}".encode())
            grant_connect(superuser, name)
            migrate(url_of("carbon_migrator", name))
            # The owner may make schemas in a database that is not its own yet.
            left = {
                "database is owned by carbon_migrator",
                "carbon_owner has CREATE on database this",
            }
            found_faults = set(catalogue_faults(superuser))
            assert found_faults == (set() if owner == "carbon_owner" else left)
            superuser.execute(f"alter database {name} owner to carbon_owner".encode())
            grant_connect(superuser, name)
        cells = matrix(url_of, name, only=lambda table: table in ("ledger.entry", PARTITION))
        assert [cell for cell in cells if cell.found != cell.expected] == []
        with found.writer() as conn:
            post(conn, 1, "default")
        with found.reader() as conn:
            assert conn.execute("select count(*) from ledger.entry").fetchone() == (1,)


# --- row security

ORGANIZATIONS = ("acme", "beta")
ODD = ("a,b", "acme,beta", "*", '"acme"', "'", "acme ", "", "*,acme")
BY_ORGANIZATION = (
    *("ledger.entry", "ledger.active_entry", "ledger.iot_energy", "ledger.entries_as_of(now())"),
    *("windows.five_minute_delta", "windows.five_minute", "windows.daily"),
    *("reports.esrs_e1", "reference.site", "reference.entity"),
)
WHOLE = ("ledger.event_identity", "ledger.dead_letter", "reference.meter")


def post(conn: psycopg.Connection, number: int, organization: str) -> None:  # type: ignore[type-arg]
    """An entry of the organization, with its identity and window."""
    row = reading(number, organization_id=organization)
    insert_identity(conn, row)
    insert_entries(conn, [row])
    insert_deltas(conn, deltas_of([row], recorded_at=datetime.now(UTC)))


@pytest.fixture(scope="module")
def shared(url_of: UrlOf) -> Iterator[LedgerDatabase]:
    """A ledger with one row of each organization, the oddly named ones too, in every table."""
    with scratch_database(url_of) as found:
        with found.writer() as conn:
            ensure_month(conn, MONTHS[0])
            for number, organization in enumerate((*ORGANIZATIONS, *ODD)):
                post(conn, number, organization)
                conn.execute(
                    "insert into reports.esrs_e1 (snapshot_id, organization_id, fiscal_year, "
                    "framework_profile, datapoint, concept, value, unit, entries, as_of, "
                    "factor_releases, code_version, run_id) values (gen_random_uuid(), %s, 2024, "
                    "'', '', '', 0, 't', 0, now(), '', '', '')",
                    (organization,),
                )
                conn.execute(
                    "insert into reference.site (facility_id, organization_id, country_iso2, "
                    "time_zone) values (%s, %s, 'DE', 'UTC')",
                    (f"site-{number}", organization),
                )
                conn.execute(
                    "insert into reference.entity (entity_id, organization_id, kind, name, "
                    "in_value_chain, valid_from, recorded_at) "
                    "values (%s, %s, 'parent', 'x', false, '2020-01-01', now())",
                    (f"entity-{number}", organization),
                )
                conn.execute(
                    "insert into reference.meter (meter_id, facility_id, kind, carrier, unit, "
                    "reading, name, valid_from, recorded_at) values (%s, %s, 'main', "
                    "'electricity', 'kWh', 'interval', '', '2020-01-01', now())",
                    (f"meter-{number}", f"site-{number}"),
                )
                conn.execute(
                    "insert into ledger.dead_letter (topic, kafka_partition, kafka_offset, stream, "
                    "batch_id, fate, reason_code, reason) "
                    "values ('t', 0, %s, 's', 1, 'dead_lettered', 'c', 'r')",
                    (number,),
                )
        yield found


def seen(database: LedgerDatabase, table: str, setting: str | None) -> set[str]:
    """Organizations whose rows a reader with this carbon.organizations finds in the table."""
    with psycopg.connect(database.reader_url) as conn:
        if setting is not None:
            conn.execute("select set_config('carbon.organizations', %s, false)", (setting,))
        return {name for (name,) in conn.execute(f"select organization_id from {table}".encode())}


@pytest.mark.parametrize("table", BY_ORGANIZATION)
@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (None, set()),
        ("", set()),
        ("acme", {"acme"}),
        ("beta", {"beta"}),
        ("acme,beta", {"acme", "beta"}),
        ("ACME", set()),
        ("acm%", set()),
        ("nobody", set()),
        (",", set()),
        ("*", {*ORGANIZATIONS, *ODD}),
        ("* ", set()),
        # A list with a star in it is no star: it names the organization of that name.
        ("acme,*", {"acme", "*"}),
        ('"acme"', {'"acme"'}),
        ("a,b", set()),
    ],
)
def test_the_reader_sees_the_organizations_of_its_session(
    shared: LedgerDatabase, table: str, setting: str | None, expected: set[str]
) -> None:
    assert seen(shared, table, setting) == expected


@pytest.mark.parametrize("table", WHOLE)
@pytest.mark.parametrize(("setting", "rows"), [(None, 0), ("acme", 0), ("acme,beta", 0), ("*", 10)])
def test_what_names_no_organization_is_shown_to_who_sees_all(
    shared: LedgerDatabase, table: str, setting: str | None, rows: int
) -> None:
    with psycopg.connect(shared.reader_url) as conn:
        if setting is not None:
            conn.execute("select set_config('carbon.organizations', %s, false)", (setting,))
        found = conn.execute(f"select count(*) from {table}".encode()).fetchone()
    assert found == (rows,)


@pytest.mark.parametrize("role", ["writer", "verifier", "auditor", "sealer"])
def test_who_writes_seals_and_verifies_sees_every_organization(
    shared: LedgerDatabase, role: str
) -> None:
    with connect(getattr(shared, f"{role}_url"), "tests", organizations="nobody") as conn:
        found = conn.execute("select organization_id from ledger.entry").fetchall()
    assert {name for (name,) in found} == {*ORGANIZATIONS, *ODD}


def test_a_transaction_s_own_setting_ends_with_it(shared: LedgerDatabase) -> None:
    count = "select count(*) from ledger.entry"
    with psycopg.connect(shared.reader_url, autocommit=True) as conn:
        with conn.transaction():
            conn.execute("set local carbon.organizations = 'acme'")
            assert conn.execute(count).fetchone() == (1,)
        assert conn.execute(count).fetchone() == (0,)


def test_row_security_cannot_be_switched_off_by_the_reader(shared: LedgerDatabase) -> None:
    with psycopg.connect(shared.reader_url, autocommit=True) as conn:
        conn.execute("set row_security = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("select * from ledger.entry")


def test_a_function_of_the_reader_s_is_not_shown_foreign_rows(shared: LedgerDatabase) -> None:
    # A condition that tells what it sees runs after the policy, never before.
    with psycopg.connect(shared.reader_url, autocommit=True) as conn:
        conn.execute("set carbon.organizations = 'acme'")
        found = conn.execute(
            "select organization_id from ledger.entry "
            "where 1 / (case when organization_id = 'beta' then 0 else 1 end) = 1"
        ).fetchall()
    assert found == [("acme",)]


@pytest.mark.parametrize("organizations", [*ODD[:2], "acme", "acme,beta", "*"])
def test_the_connection_bears_the_organizations_it_was_opened_for(
    shared: LedgerDatabase, organizations: str
) -> None:
    settings = Settings(
        {
            "CARBON_DATABASE_READER_URL": shared.reader_url,
            "CARBON_ORGANIZATIONS": organizations,
        }
    )
    with connect_as_reader(settings, "tests", True) as conn:
        conn.execute("reset all")
        found = {name for (name,) in conn.execute("select organization_id from ledger.entry")}
    named = set(organizations.split(",")) & set(ORGANIZATIONS)
    assert found == ({*ORGANIZATIONS, *ODD} if organizations == "*" else named)


@pytest.mark.parametrize("organizations", ["", *ODD[3:], "acme,", "a b", "x -c role=postgres"])
def test_a_list_that_could_mean_something_else_is_refused(
    shared: LedgerDatabase, organizations: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        connect(shared.reader_url, "tests", organizations=organizations)
    assert caught.value.code == "organizations"


# --- start-up


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has not connected before."""
    monkeypatch.setattr(connecting, "_harmless", set())


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize("role", [role for role in ROLES if role != "migrator"])
def test_a_service_s_role_is_let_in_and_asked_once(
    database: LedgerDatabase, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    look = connecting.refuse_over_privileged
    monkeypatch.setattr(
        connecting, "refuse_over_privileged", lambda conn: (asked.append(1), look(conn))
    )
    for _ in range(3):
        connect(getattr(database, f"{role}_url"), "tests").close()
    assert asked == [1]


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize(
    ("grant", "revoke", "reason"),
    [
        ("alter role {r} superuser", "alter role {r} nosuperuser", "superuser"),
        ("alter role {r} bypassrls", "alter role {r} nobypassrls", "bypasses row security"),
        ("alter role {r} createrole", "alter role {r} nocreaterole", "create roles"),
        ("alter role {r} replication", "alter role {r} noreplication", "replicate"),
        ("grant carbon_owner to {r}", "revoke carbon_owner from {r}", "member of carbon_owner"),
        ("grant pg_read_all_data to {r}", "revoke pg_read_all_data from {r}", "pg_read_all_data"),
        ("grant postgres to {r}", "revoke postgres from {r}", "superuser"),
        (
            "alter table audit.commit owner to {r}",
            "alter table audit.commit owner to carbon_owner",
            "owns tables in audit",
        ),
        (
            "alter database {d} owner to {r}",
            "alter database {d} owner to carbon_owner",
            "pg_database_owner",
        ),
    ],
)
def test_a_role_that_may_do_more_than_its_work_needs_is_refused(
    url_of: UrlOf,
    spoilt: tuple[LedgerDatabase, psycopg.Connection],  # type: ignore[type-arg]
    grant: str,
    revoke: str,
    reason: str,
) -> None:
    """With a role of its own: the others' attributes are the whole server's."""
    database, superuser = spoilt
    role, name = f"trial_{name_of(database)}", name_of(database)
    places = {"r": role, "d": name}
    superuser.execute(f"create role {role} login password 'x' in role carbon_reader".encode())
    superuser.execute(f"grant connect on database {name} to {role}".encode())
    before, after = database.reader_url.split("://")[1].split("@")
    url = f"postgresql://{role}:x@{after}" if before else ""
    try:
        connect(url, "tests").close()
        connecting._harmless.clear()
        superuser.execute(grant.format(**places).encode())
        with pytest.raises(ConfigurationError) as caught:
            connect(url, "tests")
        assert caught.value.code == "over_privileged"
        assert reason in caught.value.message
        assert role in caught.value.message
        superuser.execute(revoke.format(**places).encode())
        connect(url, "tests").close()
    finally:
        superuser.execute(f"drop owned by {role}".encode())
        superuser.execute(f"drop role {role}".encode())


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize("role", ["postgres", "carbon_migrator"])
def test_neither_superuser_nor_migrator_serves(
    url_of: UrlOf, database: LedgerDatabase, role: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        connect(url_of(role, name_of(database)), "tests")
    assert caught.value.code == "over_privileged"


@pytest.mark.usefixtures("forgetful")
def test_a_writer_that_row_security_binds_is_told_what_to_do(
    spoilt: tuple[LedgerDatabase, psycopg.Connection],  # type: ignore[type-arg]
) -> None:
    database, superuser = spoilt
    role, name = f"trial_{name_of(database)}", name_of(database)
    superuser.execute(f"create role {role} login password 'x' in role carbon_writer".encode())
    superuser.execute(f"grant connect on database {name} to {role}".encode())
    url = f"postgresql://{role}:x@{database.writer_url.split('@')[1]}"
    try:
        with pytest.raises(ConfigurationError) as caught:
            connect(url, "tests")
        assert caught.value.code == "writer_bound_by_row_security"
        superuser.execute(f"alter role {role} bypassrls".encode())
        connect(url, "tests").close()
    finally:
        superuser.execute(f"drop owned by {role}".encode())
        superuser.execute(f"drop role {role}".encode())


@pytest.mark.parametrize("role", [role for role in ROLES if role != "migrator"])
def test_only_the_migrator_migrates(database: LedgerDatabase, role: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        migrate(getattr(database, f"{role}_url"))
    assert caught.value.code == "not_the_migrator"


def test_other_parts_roles_do_not_come_in_at_all(url_of: UrlOf, database: LedgerDatabase) -> None:
    for role in ("dagster", "registry"):
        with pytest.raises(Unavailable, match="permission denied for database"):
            connect(url_of(role, name_of(database)), "tests")


def test_the_expected_table_names_each_role() -> None:
    text = str(expectation()["tables"])
    assert all(f"'{role}'" in text for role in ROLES if role != "migrator")
