"""What each role of the ledger may do, asked of the database itself.

Belongs here: reading the catalogue, trying every operation as the role that logs in, and comparing
both with the expected table (tests/golden/privileges.toml). Does not: the expectation itself.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from carbon_ledger.settings import PROJECT_ROOT

Connection = psycopg.Connection[tuple[Any, ...]]

EXPECTED = PROJECT_ROOT / "tests" / "golden" / "privileges.toml"
ROLES = ("writer", "reader", "sealer", "verifier", "auditor", "vault", "gate", "migrator")
OURS = "n.nspname !~ '^pg_' and n.nspname <> 'information_schema'"

# {t} is the table, {c} a column of it, {k} one of its keys. Each is tried inside a savepoint.
READ_OR_WRITE = {
    "SELECT": "select 1 from {t} limit 1",
    "INSERT": "insert into {t} default values",
    "DELETE": "delete from {t}",
    "MERGE UPDATE": "merge into {t} as t using (values (1)) as s (x) on false "
    "when matched then update set {c} = default",
    "MERGE DELETE": "merge into {t} as t using (values (1)) as s (x) on false "
    "when matched then delete",
    "ALTER": "alter {kind} {t} rename to renamed",
    "DROP": "drop {kind} {t}",
}
OF_TABLES = {
    "COPY FROM": "copy {t} from stdin",
    "TRUNCATE": "truncate {t}",
    "ADD COLUMN": "alter table {t} add column extra integer",
    "DISABLE TRIGGER": "alter table {t} disable trigger all",
    "CREATE TRIGGER": "create trigger extra before insert on {t} "
    "for each row execute function suppress_redundant_updates_trigger()",
    "DISABLE ROW SECURITY": "alter table {t} disable row level security",
    "CREATE POLICY": "create policy extra on {t} using (true)",
    "REFERENCE": "alter table {t} add foreign key ({c}) references {t}",
}
CONFLICT = "ON CONFLICT DO UPDATE"
ON_CONFLICT = (
    "insert into {t} default values on conflict on constraint {k} do update set {c} = default"
)
UPDATE = "update {t} set {c} = default"

# Nothing of this is for any role; {me} is the role, {db} the database.
BEYOND_TABLES = (
    "set session_replication_role = replica",
    "alter role {me} set session_replication_role = replica",
    "alter database {db} set session_replication_role = replica",
    "set session authorization postgres",
    "set role postgres",
    "alter role {me} superuser",
    "alter role {me} createrole",
    "alter role carbon_reader bypassrls",
    "create role extra",
    "grant carbon_owner to {me}",
    "create schema extra",
    "create table public.extra (a integer)",
    "create table ledger.extra (a integer)",
    "create temporary table extra (a integer)",
    "create or replace function ledger.refuse_change() returns trigger language plpgsql "
    "as 'begin return null; end'",
    "alter function ledger.refuse_change() owner to {me}",
    "drop function ledger.refuse_change() cascade",
    "drop schema ledger cascade",
    "drop owned by carbon_owner",
    "reassign owned by carbon_owner to {me}",
    "alter default privileges for role carbon_owner grant update on tables to {me}",
    "create event trigger extra on ddl_command_start execute function ledger.refuse_change()",
    "create extension file_fdw",
    "copy (select 1) to program 'true'",
    "select pg_read_file('postgresql.conf')",
    "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'postgres'",
)


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A table, partition or view as the catalogue has it."""

    name: str
    kind: str
    columns: tuple[str, ...]
    key: str | None
    is_partition: bool


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One role, one operation, one table or function: what is so, and what should be."""

    role: str
    operation: str
    target: str
    found: str
    expected: str


def expectation() -> dict[str, Any]:
    """The expected table as it stands in the file."""
    return tomllib.loads(EXPECTED.read_text(encoding="utf-8"))


def row_of(table: Mapping[str, Any], name: str) -> Any:
    """The row that names `name`, else the pattern that matches it, else None."""
    if name in table:
        return table[name]
    found = [row for pattern, row in table.items() if "?" in pattern and fnmatchcase(name, pattern)]
    return found[0] if len(found) == 1 else None


def relations(conn: Connection) -> list[Relation]:
    """Everything with rows outside PostgreSQL's own schemas."""
    found = conn.execute(
        "select c.oid::regclass::text, c.relkind::text, "
        "  array(select a.attname::text from pg_attribute a where a.attrelid = c.oid "
        "        and a.attnum > 0 and not a.attisdropped order by a.attnum), "
        "  (select k.conname::text from pg_constraint k where k.conrelid = c.oid "
        "   and k.contype in ('p', 'u') order by k.contype, k.conname limit 1), "
        "  c.relispartition "
        "from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        f"where c.relkind in ('r', 'p', 'v', 'm', 'f') and {OURS} order by 1"
    ).fetchall()
    return [
        Relation(
            name=name if "." in name else f"public.{name}",
            kind=kind,
            columns=tuple(columns),
            key=key,
            is_partition=is_partition,
        )
        for name, kind, columns, key, is_partition in found
    ]


def functions(conn: Connection) -> list[tuple[str, int]]:
    """Name with types, and number of arguments, of each function outside PostgreSQL's schemas."""
    return conn.execute(
        "select p.oid::regprocedure::text, p.pronargs from pg_proc p "
        f"join pg_namespace n on n.oid = p.pronamespace where {OURS} order by 1"
    ).fetchall()


@contextmanager
def logged_in(url_of: Callable[[str, str], str], role: str, database: str) -> Iterator[Connection]:
    """A session that logged in as the role; nothing it does stays."""
    with psycopg.connect(url_of(f"carbon_{role}", database)) as conn:
        conn.execute("set lock_timeout = '10s'")
        yield conn
        conn.rollback()


def outcome(conn: Connection, statement: str) -> str:
    """`allowed`, `denied` for want of a right, or `refused` by a trigger; undone in any case.

    A constraint that stops the statement comes after the rights: then it was allowed. Any other
    error means that the statement asks nothing, and is raised.
    """
    try:
        with conn.transaction(force_rollback=True):
            if statement.startswith("copy") and statement.endswith("stdin"):
                with conn.cursor().copy(statement.encode()):
                    pass
            else:
                conn.execute(statement.encode())
    except psycopg.errors.InsufficientPrivilege as error:
        return "refused" if "rows are only ever added" in str(error) else "denied"
    except (psycopg.errors.ObjectNotInPrerequisiteState, psycopg.errors.WrongObjectType):
        return "denied"  # a view of sums, which nobody can write to
    except psycopg.Error as error:
        if (error.sqlstate or "").startswith(("0A", "22", "23", "2B", "CL", "P0")):
            return "allowed"
        raise
    return "allowed"


def granted(row: Mapping[str, Any], role: str) -> tuple[set[str], set[str] | None]:
    """Letters S, I, U, D of the role, and the columns if U is of some columns only."""
    text = str(row.get(role, ""))
    some = re.search(r"U\(([^)]*)\)", text)
    letters = set(re.sub(r"\([^)]*\)", "", text))
    return letters, set(some[1].split(", ")) if some else None


def expected_outcome(operation: str, letters: set[str], some: set[str] | None) -> bool:
    """Whether who has these grants may do it."""
    has_update = "U" in letters and some is None
    return {
        "SELECT": "S" in letters,
        "INSERT": "I" in letters,
        "COPY FROM": "I" in letters,
        "DELETE": "D" in letters,
        "MERGE UPDATE": has_update,
        "MERGE DELETE": "D" in letters,
        CONFLICT: "I" in letters and has_update,
    }.get(operation, False)


def table_cells(
    conn: Connection, role: str, relation: Relation, table: Mapping[str, Any]
) -> Iterator[Cell]:
    """Every operation on one table, as the role."""
    row = row_of(table, relation.name)
    if row is None:
        yield Cell(
            role=role,
            operation="any",
            target=relation.name,
            found="is there",
            expected="a row in privileges.toml",
        )
        return
    letters, some = granted(row, role)
    places = {
        "t": relation.name,
        "c": relation.columns[0],
        "k": relation.key,
        "kind": "view" if relation.kind == "v" else "table",
    }
    operations = dict(READ_OR_WRITE)
    if relation.kind != "v":
        operations |= OF_TABLES
    if relation.key is not None:
        operations[CONFLICT] = ON_CONFLICT
    for operation, statement in operations.items():
        may = expected_outcome(operation, letters, some)
        yield Cell(
            role=role,
            operation=operation,
            target=relation.name,
            found=outcome(conn, statement.format(**places)),
            expected="allowed" if may else "denied",
        )
    writable = [
        column
        for column in relation.columns
        if outcome(conn, UPDATE.format(t=relation.name, c=column)) != "denied"
    ]
    columns = relation.columns if some is None else tuple(sorted(some))
    yield Cell(
        role=role,
        operation="UPDATE",
        target=relation.name,
        found=", ".join(writable),
        expected=", ".join(columns if "U" in letters else ()),
    )


def function_cells(
    conn: Connection, role: str, found: list[tuple[str, int]], table: Mapping[str, str]
) -> Iterator[Cell]:
    """EXECUTE of every function, as the role, with nulls for arguments."""
    for name, arguments in found:
        plain, types = name.split("(", 1)
        parts = [part for part in types.rstrip(")").split(",") if part][:arguments]
        nulls = ", ".join(f"null::{part}" for part in parts)
        roles = table.get(name)
        yield Cell(
            role=role,
            operation="EXECUTE",
            target=name,
            found=outcome(conn, f"select {plain}({nulls})"),
            expected="no row in privileges.toml"
            if roles is None
            else ("allowed" if role in roles.split() else "denied"),
        )


def beyond_cells(conn: Connection, role: str) -> Iterator[Cell]:
    """What no role may do, and that none can become another but the migrator the owner."""
    me, database = f"carbon_{role}", conn.info.dbname
    places = {"me": me, "db": sql.Identifier(database).as_string(conn)}
    becoming = ("owner", *(other for other in ROLES if other != role))
    statements = [text.format(**places) for text in BEYOND_TABLES]
    statements += [f"set role carbon_{other}" for other in becoming]
    for statement in statements:
        may = role == "migrator" and statement == "set role carbon_owner"
        yield Cell(
            role=role,
            operation=statement.split("(")[0],
            target="server",
            found=outcome(conn, statement),
            expected="allowed" if may else "denied",
        )


def matrix(
    url_of: Callable[[str, str], str],
    database: str,
    only: Callable[[str], bool] = lambda name: True,
) -> list[Cell]:
    """Every cell of role x operation x table or function whose name `only` takes."""
    expected = expectation()
    with psycopg.connect(url_of("postgres", database), autocommit=True) as server:
        tables = [one for one in relations(server) if only(one.name)]
        routines = [one for one in functions(server) if only(one[0])]
    cells: list[Cell] = []
    for role in ROLES:
        with logged_in(url_of, role, database) as conn:
            for relation in tables:
                cells += table_cells(conn, role, relation, expected["tables"])
            cells += function_cells(conn, role, routines, expected["functions"])
            cells += [cell for cell in beyond_cells(conn, role) if only("server")]
    return cells


def catalogue_faults(conn: Connection) -> list[str]:
    """What the catalogue has otherwise than the expected table says; [] if all is as it should."""
    expected = expectation()
    return [
        *owner_faults(conn),
        *grant_faults(conn, expected),
        *function_faults(conn),
        *guard_faults(conn, expected),
        *row_security_faults(conn, expected),
        *missing_faults(conn, expected),
    ]


def owner_faults(conn: Connection) -> list[str]:
    """What is not carbon_owner's."""
    found = conn.execute(
        "select 'schema ' || n.nspname, pg_get_userbyid(n.nspowner) from pg_namespace n "
        f"where {OURS} and n.nspname <> 'public' union all "
        "select 'relation ' || c.oid::regclass, pg_get_userbyid(c.relowner) from pg_class c "
        f"join pg_namespace n on n.oid = c.relnamespace where {OURS} union all "
        "select 'function ' || p.oid::regprocedure, pg_get_userbyid(p.proowner) from pg_proc p "
        f"join pg_namespace n on n.oid = p.pronamespace where {OURS} union all "
        "select 'database', pg_get_userbyid(d.datdba) from pg_database d "
        "where d.datname = current_database()"
    ).fetchall()
    return [f"{what} is owned by {owner}" for what, owner in found if owner != "carbon_owner"]


def grant_faults(conn: Connection, expected: Mapping[str, Any]) -> list[str]:
    """Rights that somebody has and the expected table does not give, be it on a single column."""
    known = {f"carbon_{role}" for role in ROLES}
    faults = [
        f"role {name} is not in the expected table"
        for (name,) in conn.execute(r"select rolname from pg_roles where rolname ~ '^carbon_'")
        if name not in known | {"carbon_owner"}
    ]
    rights = {"SELECT": "S", "INSERT": "I", "UPDATE": "U", "DELETE": "D"}
    for kind, name, grantee, privilege in conn.execute(
        "select 'table', c.oid::regclass::text, coalesce(pg_get_userbyid(nullif(x.grantee, 0)), "
        "  'public'), x.privilege_type "
        "from pg_class c join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) x "
        f"where {OURS} and c.relkind <> 'S' and x.grantee <> c.relowner union all "
        "select 'sequence', c.oid::regclass::text, coalesce(pg_get_userbyid(nullif(x.grantee, 0)), "
        "  'public'), x.privilege_type "
        "from pg_class c join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) x "
        f"where {OURS} and c.relkind = 'S' and x.grantee <> c.relowner union all "
        "select 'column', c.oid::regclass::text, coalesce(pg_get_userbyid(nullif(x.grantee, 0)), "
        "  'public'), x.privilege_type || '(' || a.attname || ')' "
        "from pg_attribute a join pg_class c on c.oid = a.attrelid "
        "join pg_namespace n on n.oid = c.relnamespace, aclexplode(a.attacl) x "
        f"where {OURS} and x.grantee <> c.relowner union all "
        "select 'schema', n.nspname, coalesce(pg_get_userbyid(nullif(x.grantee, 0)), 'public'), "
        "  x.privilege_type "
        "from pg_namespace n, aclexplode(n.nspacl) x "
        f"where {OURS} and n.nspname <> 'public' and x.grantee <> n.nspowner union all "
        "select 'function', p.oid::regprocedure::text, "
        "  coalesce(pg_get_userbyid(nullif(x.grantee, 0)), 'public'), x.privilege_type "
        "from pg_proc p join pg_namespace n on n.oid = p.pronamespace, "
        "  aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x "
        f"where {OURS} and x.grantee <> p.proowner union all "
        "select 'database', 'this', coalesce(pg_get_userbyid(nullif(x.grantee, 0)), 'public'), "
        "  x.privilege_type "
        "from pg_database d, aclexplode(d.datacl) x "
        "where d.datname = current_database() and x.grantee <> d.datdba"
    ):
        role = grantee.removeprefix("carbon_")
        if kind in ("table", "column"):
            letters, some = granted(row_of(expected["tables"], name) or {}, role)
            column = re.search(r"\((.*)\)", privilege)
            letter = rights.get(privilege.split("(")[0], "-")
            may = letter in letters and (
                some is None or letter != "U" or (column is not None and column[1] in some)
            )
        elif kind == "database":
            may = grantee in known and privilege == "CONNECT"
        else:
            may = role in str(expected[f"{kind}s"].get(name, "")).split()
            may = may and privilege in ("USAGE", "EXECUTE")
        if not may:
            faults.append(f"{grantee} has {privilege} on {kind} {name}")
    return faults


def function_faults(conn: Connection) -> list[str]:
    """Functions that act as the owner and let the caller choose where they look for names."""
    found = conn.execute(
        "select p.oid::regprocedure::text from pg_proc p "
        f"join pg_namespace n on n.oid = p.pronamespace where {OURS} and p.prosecdef "
        "and coalesce(array_to_string(p.proconfig, ';'), '') !~ 'search_path=pg_catalog, pg_temp'"
    ).fetchall()
    return [f"function {name} acts as the owner without a search_path" for (name,) in found]


def guard_faults(conn: Connection, expected: Mapping[str, Any]) -> list[str]:
    """Tables without a trigger that refuses changes, where the expected table has one."""
    faults = []
    # Bits of tgtype: 1 row, 2 before, 8 delete, 16 update, 32 truncate.
    for name, _, refuses_change, refuses_truncate in conn.execute(
        "select c.oid::regclass::text, c.relkind::text, "
        "  coalesce(bit_or(t.tgtype) filter (where t.tgtype & 3 = 3), 0) & 24 = 24, "
        "  coalesce(bit_or(t.tgtype) filter (where t.tgtype & 3 = 2), 0) & 32 = 32 "
        "from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "left join pg_trigger t on t.tgrelid = c.oid and t.tgenabled in ('O', 'A') "
        "  and t.tgqual is null and t.tgattr = '' and t.tgfoid in "
        "  ('ledger.refuse_change()'::regprocedure, "
        "   coalesce(to_regprocedure('personal.guard_key()'), 'ledger.refuse_change()'), "
        "   coalesce(to_regprocedure('reports.guard_snapshot()'), 'ledger.refuse_change()')) "
        f"where {OURS} and c.relkind in ('r', 'p') group by c.oid, c.relkind"
    ):
        row = row_of(expected["tables"], name)
        if row is not None and row["kind"] != "state":
            if not refuses_change:
                faults.append(f"table {name} has no trigger that refuses UPDATE and DELETE")
            if not refuses_truncate:
                faults.append(f"table {name} has no trigger that refuses TRUNCATE")
    return faults


def row_security_faults(conn: Connection, expected: Mapping[str, Any]) -> list[str]:
    """Tables whose row security is not the expected one, and views read as their owner."""
    policies: dict[str, set[str]] = {}
    with conn.cursor(row_factory=dict_row) as cursor:
        for one in cursor.execute(
            "select schemaname || '.' || tablename as name, policyname, permissive, cmd, "
            "  array_to_string(array(select unnest(roles) order by 1), ' ') as roles, "
            "  coalesce(qual, '') as qual, coalesce(with_check, '') as checked from pg_policies"
        ):
            policies.setdefault(one["name"], set()).add(
                f"{one['policyname']} {one['permissive']} {one['cmd']} to {one['roles']} "
                f"using {one['qual']} check {one['checked']}".strip()
            )
    faults = []
    for name, kind, has_column, is_forced, options in conn.execute(
        "select c.oid::regclass::text, c.relkind::text, exists (select from pg_attribute a "
        "  where a.attrelid = c.oid and a.attname = 'organization_id' and not a.attisdropped), "
        "  c.relrowsecurity and c.relforcerowsecurity, coalesce(array_to_string(c.reloptions, ','),"
        "  '') from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        f"where {OURS} and c.relkind in ('r', 'p', 'v', 'm')"
    ).fetchall():
        row = row_of(expected["tables"], name)
        if kind == "m":
            faults.append(f"materialized view {name} cannot have row security")
        elif kind == "v":
            if "security_invoker=true" not in options:
                faults.append(f"view {name} is read with its owner's rights")
        elif row is None:
            if has_column and not is_forced:
                faults.append(f"table {name} has organization_id and no row security")
        else:
            wanted = set(expected["row_security"][row["rows"]])
            found = policies.get(name, set())
            if (wanted and not is_forced) or wanted != found:
                faults.append(f"table {name} has not the row security {row['rows']}: {found}")
            if has_column and row["rows"] == "open":
                faults.append(f"table {name} has organization_id and is open")
    return faults


def missing_faults(conn: Connection, expected: Mapping[str, Any]) -> list[str]:
    """Tables, functions, schemas and sequences with no row, and rows of what is not there."""
    schemas = conn.execute(
        f"select n.nspname from pg_namespace n where {OURS} and n.nspname <> 'public'"
    )
    sequences = conn.execute(
        "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        f" where {OURS} and c.relkind = 'S' and not exists (select from pg_depend d "
        "where d.objid = c.oid and d.deptype = 'i' and d.classid = 'pg_class'::regclass)"
    )
    there = {
        "tables": {one.name for one in relations(conn)},
        "functions": {name for name, _ in functions(conn)},
        "schemas": {name for (name,) in schemas},
        "sequences": {name for (name,) in sequences},
    }
    faults = []
    for section, names in there.items():
        table = expected[section]
        faults += [f"{section}: {name} has no row" for name in names if row_of(table, name) is None]
        faults += [
            f"{section}: the row {name} is of nothing"
            for name in table
            if "?" not in name and name not in names
        ]
    return sorted(faults)
