"""Whoever changes the database is found: every column, deletion, insertion, swap, cut, rewrite.

The changes are made by a superuser with triggers and constraints off, inside a transaction that is
taken back; the verifier looks from within it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from carbon_ledger import merkle
from carbon_ledger.entries import CANONICAL, COLUMNS, EntryRow, content_sha256
from carbon_ledger.notes import Checkpoint, Signer
from carbon_ledger.store.proofs import consistency_proof, inclusion_proof
from carbon_ledger.store.rows import ensure_month, find_entry, insert_entries
from carbon_ledger.store.seals import seal_pending
from tests.support.postgres import Connection, LedgerDatabase, claim, reading, scratch_database
from tests.support.sealed_ledger import (
    ORIGIN,
    carbon,
    correct,
    fill,
    new_signer,
    post_part,
    with_payloads,
)
from verifier import findings
from verifier.check_proof import check_text, parse_head
from verifier.connection import open_snapshot
from verifier.findings import Report
from verifier.heads import OutsideHead, read_outside
from verifier.verify import verify, verify_on

pytestmark = pytest.mark.stack

# What an altered row may set off beside the finding that names it.
ENTRY_CODES = {"entry_altered", "entry_missing", "entry_unlisted", "entry_twice"}
OTHER_MONTH = "case when activity_month = '2024-03-01' then date '2024-02-01' else '2024-03-01' end"
SMALLEST = {
    "text": "case when {0} is null then '' else left({0}, -1) || chr(ascii(right({0}, 1)) # 1) end",
    "smallint": "coalesce({0} + 1, 0)",
    "integer": "coalesce({0} + 1, 0)",
    "bigint": "coalesce({0} + 1, 0)",
    # Towards zero: the examples go to the end of what numeric(38,12) holds.
    "numeric": "coalesce({0} - case when {0} > 0 then 1e-12 else -1e-12 end, 0)",
    "timestamp with time zone": "{0} + interval '1 microsecond'",
    "date": "{0} + 1",
    "uuid": "coalesce((left({0}::text, -1)"
    " || to_hex(('x' || right({0}::text, 1))::bit(4)::int # 1))::uuid, gen_random_uuid())",
    "bytea": "set_bit({0}, 255, 1 - get_bit({0}, 255))",
    "jsonb": "case when {0} is null then '{{}}' else {0} || '{{\"sf6\": \"0.000000000002\"}}' end",
}


@dataclass(frozen=True, kw_only=True)
class SealedLedger:
    """A sealed ledger, a superuser inside a transaction on it, and the heads that left it."""

    database: LedgerDatabase
    intruder: Connection
    signer: Signer
    heads: tuple[OutsideHead, ...]

    def verify(self, with_heads: bool = False) -> Report:
        """What the verifier finds in the intruder's transaction."""
        heads = self.heads if with_heads else ()
        return verify_on(self.intruder, outside=heads, keys=[self.signer.key.public_key])


def as_superuser(stack: Any, database: LedgerDatabase, autocommit: bool = False) -> Connection:
    name = database.writer_url.rpartition("/")[2]
    return psycopg.connect(stack.layout.database_url("postgres", name), autocommit=autocommit)


def drop_constraints(conn: Connection) -> None:
    """All that would refuse a change by itself, but for keys and nulls."""
    rows = conn.execute(
        "select conrelid::regclass::text, conname from pg_constraint where coninhcount = 0"
        " and contype in ('c', 'f') and connamespace in ('ledger'::regnamespace,"
        " 'audit'::regnamespace, 'windows'::regnamespace) and conparentid = 0"
    ).fetchall()
    for table, name in rows:
        conn.execute(f'alter table {table} drop constraint if exists "{name}" cascade')


@pytest.fixture(scope="module")
def ledger(stack) -> Iterator[SealedLedger]:  # type: ignore[no-untyped-def]
    with scratch_database(stack.layout.database_url) as database:
        signer = new_signer()
        notes = fill(database, signer)
        with as_superuser(stack, database) as conn:
            conn.execute("set session_replication_role = replica")
            drop_constraints(conn)
            yield SealedLedger(
                database=database,
                intruder=conn,
                signer=signer,
                heads=tuple(
                    OutsideHead(name=f"head {number}", head=parse_head(note), remark="")
                    for number, note in enumerate(notes)
                ),
            )
            conn.rollback()


@pytest.fixture
def tampered(ledger: SealedLedger, monkeypatch: pytest.MonkeyPatch) -> Iterator[SealedLedger]:
    """The ledger, whose changes are taken back at the end."""
    monkeypatch.setattr(findings, "SHOWN_PER_CODE", 100_000)
    with ledger.intruder.transaction(force_rollback=True):
        yield ledger


def ids(report: Report, *codes: str) -> list[str]:
    """Entries that findings of these codes name, in order."""
    return sorted(one.where["entry_id"] for one in report.findings if one.code in codes)


def all_ids(conn: Connection) -> list[str]:
    return [row[0] for row in conn.execute("select entry_id::text from ledger.entry order by 1")]


def kind_of(conn: Connection, column: str, table: str = "entry") -> str:
    row = conn.execute(
        "select data_type from information_schema.columns"
        " where table_schema in ('ledger', 'audit') and table_name = %s and column_name = %s",
        (table, column),
    ).fetchone()
    assert row is not None, column
    return str(row[0])


def smallest_change(conn: Connection, column: str, table: str = "entry") -> str:
    """SQL of the smallest change of a column."""
    if column == "activity_month":
        return OTHER_MONTH
    return SMALLEST[kind_of(conn, column, table)].format(column)


def one_entry(conn: Connection, condition: str = "true") -> str:
    """An entry's id, the same in every run."""
    row = conn.execute(
        f"select entry_id::text from ledger.entry where {condition} order by md5(event_id) limit 1"
    ).fetchone()
    assert row is not None
    return str(row[0])


def test_what_nobody_touched_is_clean(tampered: SealedLedger) -> None:
    report = tampered.verify(with_heads=True)
    assert report.lines()[-1] == "No difference."
    assert report.looked_at["entries"] > 2000
    assert report.looked_at["seals"] >= 10
    assert report.unsealed_commits == 0


def test_what_the_ledger_proves_is_proved_to_the_stand_alone_check(tampered: SealedLedger) -> None:
    conn, key = tampered.intruder, tampered.signer.key.public_key
    entries = all_ids(conn)
    for entry in entries[:20] + entries[-20:]:
        proof = inclusion_proof(conn, UUID(entry))
        assert f"entry {entry} is leaf" in check_text(json.dumps(proof), key)
    sizes = [one.head.tree_size for one in tampered.heads if one.head is not None]
    for old in sizes:
        proof = consistency_proof(conn, old, sizes[-1])
        assert f"{old} leaves is the beginning" in check_text(json.dumps(proof), key)


def test_every_column_of_an_entry_is_tried(ledger: SealedLedger) -> None:
    rows = ledger.intruder.execute(
        "select column_name from information_schema.columns"
        " where table_schema = 'ledger' and table_name = 'entry'"
    ).fetchall()
    assert {row[0] for row in rows} == set(COLUMNS)


@pytest.mark.parametrize("column", COLUMNS)
def test_the_smallest_change_of_a_column_is_found_in_each_of_all_entries(
    tampered: SealedLedger, column: str
) -> None:
    conn = tampered.intruder
    before = all_ids(conn)
    change = smallest_change(conn, column)
    done = conn.execute(f"update ledger.entry set {column} = {change}")
    assert done.rowcount == len(before)
    report = tampered.verify()
    if column == "entry_id":
        assert ids(report, "entry_missing") == before
        assert ids(report, "entry_unlisted") == all_ids(conn)
    else:
        assert ids(report, "entry_altered") == before
        assert set(report.counts) & ENTRY_CODES == {"entry_altered"}


@pytest.mark.parametrize("column", COLUMNS)
def test_a_change_in_one_entry_is_found_there_and_nowhere_else(
    tampered: SealedLedger, column: str
) -> None:
    conn = tampered.intruder
    changes = [smallest_change(conn, column)]
    if any(field.name == column and field.default is None for field in fields_of_entries()):
        changes.append("null")
    for change in changes:
        with conn.transaction(force_rollback=True):
            entry = one_entry(conn, f"{column} is not null" if change == "null" else "true")
            conn.execute(
                f"update ledger.entry set {column} = {change} where entry_id = %s", (entry,)
            )
            report = tampered.verify()
            named = {one for one in ids(report, *ENTRY_CODES)}
            expected = {entry}
            if column == "entry_id":
                expected |= set(all_ids(conn)) - set(ids(report, "entry_missing"))
                expected &= named
                assert report.counts["entry_missing"] == report.counts["entry_unlisted"] == 1
            assert named == expected
            assert {one.code for one in report.findings} & ENTRY_CODES
            remark = next(one for one in report.findings if one.code in ENTRY_CODES).message
            if column in ("batch_id", "content_sha256", "preimage"):
                assert f"column: {column}" in remark


def fields_of_entries() -> Sequence[Any]:
    from dataclasses import fields

    return fields(EntryRow)


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("quantity", "trim_scale(quantity) + 0.000"),
        ("quantity", "'NaN'"),
        ("kgco2e", "-kgco2e"),
        ("occurred_to", "'infinity'"),
        ("recorded_at", "'-infinity'"),
        ("local_date", "'infinity'"),
        ("flags", "flags || e'\\x1f'"),
        ("flags", "flags || e'\\\\N'"),
        ("cause", "e'\\x01'"),
        ("cause", "e'\\\\N'"),
        ("region", "e'a\\nb\\tc\\\\d'"),
        ("other_gases", "'[1]'"),
        ("other_gases", "'{\"sf6\": 1}'"),
        ("other_gases", "'null'"),
        ("facility_id", "facility_id || e'\\x7f'"),
        ("source_ref", "'\u041c' || source_ref"),
    ],
)
def test_values_that_no_writer_would_write_are_found_and_break_nothing(
    tampered: SealedLedger, column: str, change: str
) -> None:
    conn = tampered.intruder
    entry = one_entry(conn, "reverses_id is null and quantity > 1 and other_gases is null")
    conn.execute(f"update ledger.entry set {column} = {change} where entry_id = %s", (entry,))
    assert ids(tampered.verify(), *ENTRY_CODES) == [entry]


def test_a_deleted_entry_is_named_with_its_commit(tampered: SealedLedger) -> None:
    entry = one_entry(tampered.intruder)
    tampered.intruder.execute("delete from ledger.entry where entry_id = %s", (entry,))
    report = tampered.verify()
    (found,) = [one for one in report.findings if one.code == "entry_missing"]
    assert found.where["entry_id"] == entry
    assert int(found.where["commit_id"]) > 0
    assert report.counts["identity_altered"] == report.counts["window_differs"] == 1


def test_an_inserted_entry_is_named(tampered: SealedLedger) -> None:
    conn = tampered.intruder
    row = find_entry_by_id(conn, one_entry(conn, "reverses_id is null"))
    forged = replace(row, event_id="iot:forged#0", entry_id=uuid_after(row.entry_id))
    insert(conn, replace(forged, content_sha256=content_sha256(forged)))
    report = tampered.verify()
    assert ids(report, "entry_unlisted") == [str(forged.entry_id)]
    assert ids(report, "identity_missing") == [str(forged.entry_id)]


def test_an_entry_that_is_in_two_months_is_found(tampered: SealedLedger) -> None:
    conn = tampered.intruder
    row = find_entry_by_id(conn, one_entry(conn, "activity_month = '2024-03-01'"))
    copy = replace(row, activity_month=row.activity_month.replace(month=2))
    insert(conn, copy)
    assert ids(tampered.verify(), "entry_twice") == [str(row.entry_id)]


def uuid_after(value: Any) -> Any:
    return type(value)(int=value.int ^ 1)


def find_entry_by_id(conn: Connection, entry: str) -> EntryRow:
    row = conn.execute(
        "select activity_month, entry_id from ledger.entry where entry_id = %s", (entry,)
    ).fetchone()
    assert row is not None
    found = find_entry(conn, *row)
    assert found is not None
    return found


def insert(conn: Connection, row: EntryRow) -> None:
    insert_entries(conn, [row])


@pytest.mark.parametrize("columns", ["entry_id", "quantity, kgco2e", "content_sha256", "*"])
def test_two_swapped_entries_are_both_found(tampered: SealedLedger, columns: str) -> None:
    conn = tampered.intruder
    one = one_entry(conn, "quantity = 1.5 and reverses_id is null")
    other = one_entry(conn, "kgco2e > 1 and reverses_id is null")
    names = ", ".join(name for name in COLUMNS if name != "entry_id") if columns == "*" else columns
    conn.execute(
        f"update ledger.entry e set ({names}) = (select {names} from ledger.entry o"
        " where o.entry_id = any(%(pair)s) and o.entry_id <> e.entry_id)"
        " where e.entry_id = any(%(pair)s)",
        {"pair": [one, other]},
    )
    assert set(ids(tampered.verify(), *ENTRY_CODES)) == {one, other}


def test_two_entries_swapped_in_a_commit_and_its_hashes_move_the_seal_root(
    tampered: SealedLedger,
) -> None:
    conn = tampered.intruder
    row = conn.execute("select max(commit_id) from audit.commit where entries > 1").fetchone()
    assert row is not None
    for column, width in (("entry_ids", 16), ("content_sha256s", 32)):
        conn.execute(
            f"update audit.commit set {column} = substring({column} from %(n)s + 1 for %(n)s)"
            f" || substring({column} from 1 for %(n)s) || substring({column} from 2 * %(n)s + 1)"
            " where commit_id = %(commit)s",
            {"n": width, "commit": row[0]},
        )
    report = tampered.verify()
    seal = conn.execute(
        "select seal_no from audit.seal_commit where commit_id = %s", row
    ).fetchone()
    assert [(one.code, one.where) for one in report.findings] == [
        ("seal_root", {"seal_no": str(seal[0])})  # type: ignore[index]
    ]


# table: change, where, what is found. `~column` is the smallest change of its bytes.
CHANGES = """
audit.commit: recorded_at = recorded_at + interval '1 us', commit_id = 1, commit_altered
audit.commit: batch_id = batch_id + 1, commit_id = 1, commit_altered
audit.commit: topic = topic || 'x', commit_id = 1, commit_altered
audit.commit: topic_incarnation = 1, commit_id = 1, commit_altered
audit.commit: kafka_partition = 7, commit_id = 1, commit_altered
audit.commit: start_offset = start_offset + 1, commit_id = 1, commit_altered
audit.commit: entries = entries + 1, commit_id = 1, commit_altered
audit.commit: ~entry_ids, commit_id = 1, entry_missing entry_unlisted
audit.commit: ~content_sha256s, commit_id = 1, entry_altered seal_root
audit.seal: batch_id = batch_id + 1, seal_no = 1, seal_order
audit.seal: first_leaf = first_leaf + 1, seal_no = 2, seal_order
audit.seal: leaves = leaves - 1, seal_no = 1, seal_root
audit.seal: tree_size = tree_size + 1, seal_no = 1, seal_order
audit.seal: ~batch_root, seal_no = 3, seal_root
audit.seal: ~tree_root, seal_no = 3, seal_root
audit.seal: seal_no = seal_no + 1000, seal_no = 2, seal_order
audit.seal_commit: commit_id = 100000, seal_no = 1 and position = 1, commit_missing
audit.seal_commit: first_leaf = first_leaf + 100000, seal_no = 1 and position = 1, seal_order
audit.seal_commit: entries = entries + 1, seal_no = 1 and position = 1, seal_order
audit.seal_commit: position = 100, seal_no = 1 and position = 0, seal_order
audit.node: ~hash, index = 3, node_altered
audit.node: index = index + 1000, index = 3, node_altered
audit.head: tree_size = tree_size + 1, prev_size is null, head_altered
audit.head: prev_size = 1, prev_size is null, head_altered
audit.head: seal_no = seal_no + 1, prev_size is null, head_altered
audit.head: origin = origin || 'x', prev_size is null, head_altered
audit.head: ~root, prev_size is null, head_altered
audit.head: note = replace(note, 'seal', 'sea1'), prev_size is null, head_altered head_signature
audit.head: ~public_key, prev_size is null, head_signature
ledger.batch_part: lines = lines + 1, start_offset = 0, commit_altered
ledger.batch_part: batch_id = batch_id + 1, start_offset = 0, commit_altered
ledger.reversal: recorded_at = recorded_at + interval '1 us', true, reversal_unpaired
ledger.reversal: activity_month = '2023-01-01', true, reversal_unpaired
ledger.reversal: reversal_entry_id = gen_random_uuid(), true, reversal_unpaired
ledger.reversal: entry_id = gen_random_uuid(), true, reversal_unpaired
ledger.event_identity: entry_month = '2024-02-01', entry_month = '2024-03-01', identity_altered
ledger.event_identity: entry_id = gen_random_uuid(), entry_month = '2024-03-01', identity_altered
ledger.event_identity: ~payload_sha256, true, identity_altered
ledger.event_identity: payload_sha256 = sha256('') , true, identity_altered
ledger.event_identity: payload_sha256 = '\\x00' , true, identity_altered
ledger.event_identity: event_id = event_id || 'x', true, identity_missing identity_altered
windows.five_minute_delta: kgco2e = kgco2e + 1e-12, kgco2e < 1, window_differs
windows.five_minute_delta: quantity = quantity + 1e-24, true, window_differs
windows.five_minute_delta: entries = entries + 1, true, window_differs
windows.five_minute_delta: lines = lines + 1, true, window_differs
windows.five_minute_delta: facility_id = facility_id || 'x', true, window_differs
windows.five_minute_delta: window_start = window_start + interval '5 min', true, window_differs
"""


@pytest.mark.parametrize("line", CHANGES.strip().splitlines())
def test_a_change_beside_the_entries_is_found(tampered: SealedLedger, line: str) -> None:
    table, rest = line.split(": ", 1)
    change, condition, codes = rest.rsplit(", ", 2)
    if change.startswith("~"):
        change = f"{change[1:]} = {SMALLEST['bytea'].format(change[1:])}"
    done = tampered.intruder.execute(f"update {table} set {change} where {condition}")
    assert done.rowcount > 0
    report = tampered.verify()
    assert set(codes.split()) <= set(report.counts), report.lines()


def test_an_event_that_is_marked_as_one_that_never_came_is_found(tampered: SealedLedger) -> None:
    conn = tampered.intruder
    conn.execute(
        "update ledger.event_identity set payload_sha256 = decode(repeat('00', 32), 'hex')"
    )
    assert tampered.verify().counts["identity_missing"] == len(all_ids(conn))


@pytest.mark.parametrize(
    ("table", "condition", "code"),
    [
        ("audit.commit", "commit_id = 5", "commit_missing"),
        ("audit.seal", "seal_no = 5", "seal_order"),
        ("audit.seal_commit", "seal_no = 5", "seal_root"),
        ("audit.node", "index = 2", "node_altered"),
        ("audit.head", "prev_size is null", "head_altered"),
        ("ledger.reversal", "true", "reversal_unpaired"),
        ("ledger.event_identity", "entry_month = '2024-02-01'", "identity_missing"),
        ("ledger.batch_part", "start_offset = 0 and kafka_partition = 1", "commit_altered"),
        ("windows.five_minute_delta", "local_date = '2024-03-09'", "window_differs"),
    ],
)
def test_a_deletion_beside_the_entries_is_found(
    tampered: SealedLedger, table: str, condition: str, code: str
) -> None:
    done = tampered.intruder.execute(f"delete from {table} where {condition}")
    assert done.rowcount > 0
    assert code in tampered.verify().counts


@pytest.mark.parametrize(
    "change",
    [
        "update windows.day_sum set kgco2e = kgco2e + 1e-12 where rollup = 'organization'",
        "update windows.day_sum set rollup_id = rollup_id || 'x' where rollup = 'facility'",
        "update windows.day_sum set last_event = last_event - interval '1 second'",
        "update windows.month_sum set kgco2e = kgco2e + 1e-12",
        "update windows.month_sum set flags = 'boundary_substitute'",
        "delete from windows.day_sum where rollup = 'organization_hour'",
        "delete from windows.month_sum",
    ],
)
def test_a_sum_that_is_not_that_of_its_entries_is_found(
    tampered: SealedLedger, change: str
) -> None:
    while tampered.intruder.execute("select windows.sum_up('1 day')").fetchone() != (None,):
        pass
    assert tampered.verify().is_clean, "lines and sums agree"
    assert tampered.intruder.execute(change).rowcount > 0
    assert set(tampered.verify().counts) == {"sum_differs"}


def cut_tail(conn: Connection, tree_size: int) -> None:
    """Everything after the head of `tree_size` leaves, as if it had never been."""
    row = conn.execute(
        "select max(c.recorded_at), max(s.seal_no) from audit.seal s join audit.seal_commit"
        " using (seal_no) join audit.commit c using (commit_id) where s.tree_size <= %s",
        (tree_size,),
    ).fetchone()
    assert row is not None
    last, seal_no = row
    for table in (
        *("ledger.entry", "ledger.reversal", "ledger.batch_part", "audit.commit"),
        "windows.five_minute_delta",
    ):
        conn.execute(f"delete from {table} where recorded_at > %s", (last,))
    conn.execute(
        "delete from ledger.event_identity i where not exists (select from ledger.entry e"
        " where e.activity_month = i.entry_month and e.entry_id = i.entry_id)"
    )
    conn.execute("delete from audit.head where tree_size > %s", (tree_size,))
    conn.execute("delete from audit.seal where seal_no > %s", (seal_no,))
    conn.execute("delete from audit.seal_commit where seal_no > %s", (seal_no,))
    conn.execute("delete from audit.node where (index + 1) << level > %s", (tree_size,))


def test_a_tail_that_is_cut_off_everywhere_is_seen_from_outside_alone(
    tampered: SealedLedger,
) -> None:
    kept = tampered.heads[-3].head
    assert kept is not None
    cut_tail(tampered.intruder, kept.tree_size)
    assert tampered.verify().is_clean
    (found,) = tampered.verify(with_heads=True).findings
    assert found.code == "tail_cut"
    assert found.where["first_missing_leaf"] == str(kept.tree_size)


def test_an_old_state_that_was_put_back_and_gone_on_with_is_a_fork(
    tampered: SealedLedger,
) -> None:
    """The tail is cut and other entries grow in its place, as after an old backup."""
    kept, lost = tampered.heads[3].head, tampered.heads[4].head
    assert kept is not None
    assert lost is not None
    conn = tampered.intruder
    cut_tail(conn, kept.tree_size)
    conn.execute("set session_replication_role = origin")
    (part,) = claim(conn, {0: (0, 200)}, topic="raw.other")
    rows = [reading(30_000 + number, source_ref="m") for number in range(200)]
    post_part(conn, part, with_payloads(rows))
    seal_pending(conn, tampered.signer, ORIGIN)
    conn.execute("set session_replication_role = replica")
    assert tampered.verify().lines()[-1] == "No difference."
    report = tampered.verify(with_heads=True)
    assert set(report.counts) <= {"head_fork", "tail_cut", "head_rolled_back"}
    named = {one.code: one.where for one in report.findings}
    last = tampered.heads[-1].head
    assert last is not None
    assert named["tail_cut"]["tree_size"] == str(last.tree_size)


def rewrite(conn: Connection, signer: Signer, changed: EntryRow) -> None:
    """Puts `changed` in the place of its entry and recomputes every hash that depends on it."""
    new = replace(changed, content_sha256=content_sha256(changed))
    conn.execute("delete from ledger.entry where entry_id = %s", (new.entry_id,))
    insert(conn, new)
    commits = conn.execute(
        "select commit_id, entry_ids, content_sha256s from audit.commit"
        " join audit.seal_commit using (commit_id) order by seal_no, position"
    ).fetchall()
    leaves: list[bytes] = []
    by_commit: dict[int, list[bytes]] = {}
    for commit_id, entry_ids, hashes in commits:
        own = [hashes[at : at + 32] for at in range(0, len(hashes), 32)]
        place = entry_ids.find(new.entry_id.bytes)
        if place >= 0:
            own[place // 16] = new.content_sha256
            conn.execute(
                "update audit.commit set content_sha256s = %s where commit_id = %s",
                (b"".join(own), commit_id),
            )
        by_commit[commit_id] = [merkle.leaf_hash(one) for one in own]
        leaves.extend(by_commit[commit_id])
    seals = conn.execute("select seal_no, first_leaf, tree_size from audit.seal").fetchall()
    for seal_no, first, size in seals:
        conn.execute(
            "update audit.seal set batch_root = %s, tree_root = %s where seal_no = %s",
            (merkle.root(leaves[first:size]), merkle.root(leaves[:size]), seal_no),
        )
    for (index,) in conn.execute("select index from audit.node where level = 8").fetchall():
        conn.execute(
            "update audit.node set hash = %s where level = 8 and index = %s",
            (merkle.root(leaves[256 * index : 256 * index + 256]), index),
        )
    for size, seal_no in conn.execute("select tree_size, seal_no from audit.head").fetchall():
        checkpoint = Checkpoint(
            origin=ORIGIN,
            tree_size=size,
            root=merkle.root(leaves[:size]),
            extensions=(f"seal {seal_no}",),
        )
        conn.execute(
            "update audit.head set root = %s, note = %s, public_key = %s where tree_size = %s",
            (checkpoint.root, str(signer.sign(checkpoint.text)), signer.key.public_key, size),
        )


def gases_changed(conn: Connection) -> EntryRow:
    """An entry of the sixth batch, as somebody would like it to have been."""
    row = conn.execute(
        "select entry_id::text from ledger.entry where batch_id = 6 and not exists"
        " (select from ledger.reversal r where r.entry_id = entry.entry_id)"
        " order by kafka_partition, kafka_offset limit 1"
    ).fetchone()
    assert row is not None
    found = find_entry_by_id(conn, row[0])
    return replace(found, kg_co2_fossil=Decimal("0.000000000001"))


def test_a_suffix_that_was_rewritten_with_all_its_hashes_is_seen_from_outside_alone(
    tampered: SealedLedger,
) -> None:
    conn = tampered.intruder
    rewrite(conn, tampered.signer, gases_changed(conn))
    assert tampered.verify().lines()[-1] == "No difference."
    (found,) = tampered.verify(with_heads=True).findings
    agreed, first = tampered.heads[4].head, tampered.heads[5].head
    assert agreed is not None
    assert first is not None
    assert found.code == "head_fork"
    assert found.where["agreed_size"] == str(agreed.tree_size)
    assert found.where["tree_size"] == str(first.tree_size)


def test_a_rewriting_without_the_key_is_seen_from_inside(tampered: SealedLedger) -> None:
    conn = tampered.intruder
    rewrite(conn, new_signer(), gases_changed(conn))
    report = tampered.verify()
    assert set(report.counts) == {"head_signature"}
    assert report.counts["head_signature"] == len(tampered.heads)


def test_a_head_that_was_taken_back_is_seen_from_outside_alone(tampered: SealedLedger) -> None:
    last = tampered.heads[-1].head
    assert last is not None
    conn = tampered.intruder
    conn.execute("delete from audit.head where tree_size = %s", (last.tree_size,))
    assert tampered.verify().is_clean
    (found,) = tampered.verify(with_heads=True).findings
    assert found.code == "head_rolled_back"
    assert found.where["tree_size"] == str(last.tree_size)


def test_rows_of_version_1_verify_and_cannot_hide_a_column(tampered: SealedLedger) -> None:
    conn = tampered.intruder
    names = [name for name, _ in CANONICAL]
    quality = names[names.index("formula_id") + 1 : names.index("reverses_id")]
    conn.execute(
        f"update ledger.entry set preimage = 1, {', '.join(f'{name} = null' for name in quality)}"
    )
    rows = [find_entry_by_id(conn, entry) for entry in all_ids(conn)]
    hashes = {row.entry_id.bytes: content_sha256(row) for row in rows}
    for entry, digest in hashes.items():
        conn.execute(
            "update ledger.entry set content_sha256 = %s where entry_id = %s", (digest, entry.hex())
        )
    commits = conn.execute("select commit_id, entry_ids from audit.commit").fetchall()
    for commit_id, entry_ids in commits:
        listed = b"".join(hashes[entry_ids[at : at + 16]] for at in range(0, len(entry_ids), 16))
        conn.execute(
            "update audit.commit set content_sha256s = %s where commit_id = %s",
            (listed, commit_id),
        )
    assert not set(tampered.verify().counts) & ENTRY_CODES
    entry = one_entry(conn)
    for name in quality:
        with conn.transaction(force_rollback=True):
            change = smallest_change(conn, name)
            conn.execute(f"update ledger.entry set {name} = {change} where entry_id = %s", (entry,))
            report = tampered.verify()
            assert ids(report, *ENTRY_CODES) == [entry]
            assert name in next(iter(report.findings)).message or report.counts["entry_altered"]


MONTH = "ledger.entry_2024_03"
# What is done; what is found; in which table. Each by somebody with all rights.
UNPROTECTED = [
    (f"alter table {MONTH} disable trigger refuse_change", "guard_missing", MONTH),
    (f"alter table {MONTH} enable replica trigger refuse_truncate", "guard_missing", MONTH),
    (f"drop trigger refuse_truncate on {MONTH}", "guard_missing", MONTH),
    ("alter table ledger.entry disable trigger refuse_change", "guard_missing", MONTH),
    ("alter table ledger.event_identity disable trigger all", "guard_missing", "event_identity"),
    ("drop trigger refuse_change on audit.commit", "guard_missing", "audit.commit"),
    ("drop trigger guard_key on personal.subject_key", "guard_missing", "personal.subject_key"),
    (
        "drop trigger refuse_change on audit.seal; create trigger refuse_change before update or"
        " delete on audit.seal for each row when (old.seal_no > 5)"
        " execute function ledger.refuse_change()",
        "guard_missing",
        "audit.seal",
    ),
    (
        "drop trigger refuse_change on audit.seal; create trigger refuse_change before delete or"
        " update of leaves on audit.seal for each row execute function ledger.refuse_change()",
        "guard_missing",
        "audit.seal",
    ),
    (
        "create or replace function ledger.refuse_change() returns trigger language plpgsql"
        " as 'begin return coalesce(new, old); end'",
        "guard_missing",
        "pg_proc",
    ),
    ("drop table audit.head_publication", "guard_missing", "audit.head_publication"),
    (
        "alter role carbon_writer set session_replication_role = replica",
        "guard_missing",
        "pg_db_role_setting",
    ),
    (
        "alter role carbon_reader set carbon.organizations = '*'",
        "guard_missing",
        "pg_db_role_setting",
    ),
    (f"alter table {MONTH} no force row level security", "row_security_differs", MONTH),
    ("alter table ledger.entry disable row level security", "row_security_differs", "ledger.entry"),
    (
        "alter table windows.five_minute_delta disable row level security",
        "row_security_differs",
        "windows.five_minute_delta",
    ),
    (f"drop policy read_organizations on {MONTH}", "row_security_differs", MONTH),
    (
        "create policy more on ledger.entry for select to carbon_reader using (true)",
        "row_security_differs",
        "ledger.entry",
    ),
    (
        f"alter policy read_organizations on {MONTH} using (true)",
        "row_security_differs",
        MONTH,
    ),
    (
        "alter policy read_everything on ledger.entry to carbon_reader",
        "row_security_differs",
        "ledger.entry",
    ),
    (
        "create or replace function ledger.sees_every_organization() returns boolean"
        " language sql stable parallel safe as 'select true'",
        "guard_missing",
        "pg_proc",
    ),
    ("alter role carbon_reader bypassrls", "row_security_differs", "pg_roles"),
    ("alter role carbon_auditor superuser", "row_security_differs", "pg_roles"),
    (
        "create role passer_by bypassrls; grant carbon_reader to passer_by",
        "row_security_differs",
        "pg_roles",
    ),
    (
        "create role onlooker bypassrls; grant select (kgco2e) on ledger.entry to onlooker",
        "row_security_differs",
        "pg_roles",
    ),
    (
        "alter view ledger.active_entry reset (security_invoker)",
        "row_security_differs",
        "ledger.active_entry",
    ),
]


@pytest.mark.parametrize(("fault", "code", "table"), UNPROTECTED)
def test_a_protection_that_was_taken_away_is_found(
    tampered: SealedLedger, fault: str, code: str, table: str
) -> None:
    tampered.intruder.execute(fault.encode())
    report = tampered.verify(with_heads=True)
    assert set(report.counts) == {code}, report.lines()
    assert any(one.table.endswith(table) for one in report.findings), report.lines()


def test_a_role_past_row_security_that_can_read_nothing_here_is_no_fault(
    tampered: SealedLedger,
) -> None:
    """Another database's of the same server; the writer's own attribute is meant to be."""
    tampered.intruder.execute("create role stranger bypassrls; alter role carbon_writer bypassrls")
    assert not tampered.verify(with_heads=True).counts


@contextmanager
def eight_writers(database: LedgerDatabase, signer: Signer) -> Iterator[threading.Event]:
    """Parts, corrections and seals, as fast as they go, until the block ends."""
    stop = threading.Event()
    faults: list[BaseException] = []

    def write(number: int) -> None:
        with database.writer(autocommit=True) as conn:
            begin = 0
            # As many as there are to notice, and no more than keeps fifty verifications short.
            while not stop.wait(0.3):
                (part,) = claim(conn, {0: (begin, begin + 20)}, topic=f"raw.writer.{number}")
                first = 100_000 * (number + 1) + begin
                rows = [reading(first + at, source_ref=f"w{number}") for at in range(20)]
                for month in {row.activity_month for row in rows}:
                    ensure_month(conn, month)
                posted = post_part(conn, part, with_payloads(rows))
                correct(conn, posted[0], begin // 20)
                begin += 20

    def seal() -> None:
        with database.sealer() as conn:
            while not stop.wait(0.5):
                seal_pending(conn, signer, ORIGIN)

    def guarded(work: Any, *arguments: int) -> None:
        try:
            work(*arguments)
        except BaseException as error:  # noqa: BLE001  told to the test below
            faults.append(error)

    threads = [threading.Thread(target=guarded, args=(write, number)) for number in range(8)]
    threads.append(threading.Thread(target=guarded, args=(seal,)))
    for thread in threads:
        thread.start()
    try:
        yield stop
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert faults == []


def test_fifty_verifications_while_eight_writers_append_raise_no_alarm_and_one_change_does(
    stack: Any, tmp_path: Path
) -> None:
    signer = new_signer()
    heads = tmp_path / "heads"
    heads.mkdir()
    key = tmp_path / "key.txt"
    key.write_text(str(signer.key))
    with scratch_database(stack.layout.database_url) as database:
        seen = []
        with eight_writers(database, signer):
            for turn in range(50):
                known = max((int(path.name) for path in heads.iterdir()), default=0)
                with database.sealer() as conn:
                    for size, note in conn.execute(
                        "select tree_size, note from audit.head where tree_size > %s", (known,)
                    ):
                        (heads / str(size)).write_text(note)
                outside = read_outside([heads])
                keys = [signer.key.public_key]
                if turn % 10 == 9:
                    report = verify(database.verifier_url, outside=outside, keys=keys)
                else:
                    with open_snapshot(database.verifier_url) as conn:
                        report = verify_on(conn, outside=outside, keys=keys)
                assert report.lines()[-1] == "No difference."
                seen.append(report.looked_at["entries"])
        assert seen == sorted(seen)
        assert seen[-1] > seen[0] + 100
        command = ("verify", "--json", "--heads", str(heads), "--key", str(key))
        assert carbon(database, *command).returncode == 0
        with as_superuser(stack, database, autocommit=True) as conn:
            conn.execute("set session_replication_role = replica")
            entry = one_entry(conn)
            conn.execute(
                "update ledger.entry set unit = 'MWh' where entry_id = %s and unit = 'kWh'",
                (entry,),
            )
        done = carbon(database, *command)
        assert done.returncode == 1
        findings_told = json.loads(done.stdout)["findings"]
        found = [one for one in findings_told if one["code"] == "entry_altered"]
        assert [one["where"]["entry_id"] for one in found] == [entry]
        done = carbon(database, "verify")
        assert done.returncode == 1
        assert f"entry_altered  ledger.entry entry_id={entry}" in done.stdout


def test_without_the_right_to_read_there_is_no_verdict(stack: Any) -> None:
    with scratch_database(stack.layout.database_url) as database:
        with as_superuser(stack, database, autocommit=True) as conn:
            conn.execute(sql.SQL("revoke select on audit.commit from carbon_verifier"))
        assert carbon(database, "verify").returncode == 2
