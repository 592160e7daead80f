"""Sealing in a real database: every commit once, in one tree, whoever else is at work."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from carbon_ledger import merkle
from carbon_ledger.entries import EntryRow
from carbon_ledger.errors import BrokenInvariant, RejectedRecord, Unavailable
from carbon_ledger.notes import Signer, parse_checkpoint, parse_note, verify_note
from carbon_ledger.settings import PROJECT_ROOT
from carbon_ledger.store import heads, proofs
from carbon_ledger.store.seals import Sealed, is_work_waiting, seal_pending
from carbon_ledger.store.tree import check_edge, read_leaves
from tests.support.postgres import Connection, LedgerDatabase, claim, scratch_database
from tests.support.sealing_examples import begin_posting, commit_part, contents, post, prepare

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

ORIGIN = "test-ledger"
SIGNER = Signer(name=ORIGIN, private_key=Ed25519PrivateKey.generate())
CHECKER = PROJECT_ROOT / "verifier" / "check_proof.py"


@pytest.fixture
def database(stack: Any) -> Iterator[LedgerDatabase]:
    with scratch_database(stack.layout.database_url) as found:
        with closing(found.writer()) as conn:
            prepare(conn)
        yield found


@pytest.fixture
def writer(database: LedgerDatabase) -> Iterator[Connection]:
    with closing(database.writer()) as conn:
        yield conn


@pytest.fixture
def sealer(database: LedgerDatabase) -> Iterator[Connection]:
    with closing(database.sealer()) as conn:
        yield conn


@pytest.fixture
def superuser(stack: Any, database: LedgerDatabase) -> Iterator[Connection]:
    name = database.writer_url.rsplit("/", 1)[1].split("?")[0]
    url = stack.layout.database_url("postgres", name)
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        conn.execute("set session_replication_role = replica")
        yield conn


def seal(conn: Connection, **options: Any) -> list[Sealed]:
    return seal_pending(conn, SIGNER, ORIGIN, **options)


def tree_of(conn: Connection, leaves: list[bytes]) -> None:
    """The latest head is over exactly these leaves, and signed."""
    head = heads.latest_head(conn)
    assert head is not None
    assert head.tree_size == len(leaves)
    assert read_leaves(conn, 0, len(leaves)) == b"".join(leaves)
    assert head.root == merkle.root([merkle.leaf_hash(leaf) for leaf in leaves])
    note = parse_note(head.note)
    verify_note(note, SIGNER.key)
    checkpoint = parse_checkpoint(note.text)
    assert (checkpoint.origin, checkpoint.tree_size, checkpoint.root) == (
        ORIGIN,
        head.tree_size,
        head.root,
    )
    assert checkpoint.extensions == (f"seal {head.seal_no}",)
    check_edge(conn, head.tree_size, head.root)


def test_a_batch_is_sealed_once_all_its_parts_are_in_in_the_order_of_its_partitions(
    writer: Connection, sealer: Connection
) -> None:
    assert seal(sealer) == []
    first, second, empty = claim(writer, {0: (0, 300), 1: (0, 200), 2: (0, 5)})
    writer.commit()
    late = commit_part(writer, second)
    commit_part(writer, empty, lines=0)
    assert seal(sealer) == [], "a part is still missing"
    assert not is_work_waiting(sealer, ())
    early = commit_part(writer, first)
    assert is_work_waiting(sealer, ())
    (sealed,) = seal(sealer)
    assert (sealed.seal_no, sealed.batch_id, sealed.leaves) == (1, first.batch_id, 500)
    leaves = contents(early) + contents(late)
    assert sealed.batch_root == merkle.root([merkle.leaf_hash(leaf) for leaf in leaves])
    tree_of(sealer, leaves)
    assert seal(sealer) == []
    assert not is_work_waiting(sealer, ())
    assert is_work_waiting(sealer, ("file",)), "the head is nowhere yet"


def test_what_was_given_back_unread_is_not_waited_for(
    writer: Connection, sealer: Connection
) -> None:
    first, second = claim(writer, {0: (0, 3), 1: (0, 4)})
    rows = commit_part(writer, first)
    assert seal(sealer) == []
    writer.execute(
        "update manifest.batch_range set withdrawn_at = now()"
        " where batch_id = %s and kafka_partition = %s",
        (second.batch_id, second.kafka_partition),
    )
    writer.commit()
    assert [one.leaves for one in seal(sealer)] == [3]
    tree_of(sealer, contents(rows))


def test_a_commit_that_becomes_visible_late_is_not_overlooked(
    database: LedgerDatabase, writer: Connection, sealer: Connection
) -> None:
    early = begin_posting(writer, 4)  # has the lower number and the earlier time
    with closing(database.writer()) as other:
        later = post(other, 3)
        assert [one.leaves for one in seal(sealer)] == [3]
        again = post(other, 2)
        assert [one.leaves for one in seal(sealer)] == [2]
    writer.commit()
    assert [one.leaves for one in seal(sealer)] == [4]
    tree_of(sealer, contents(later) + contents(again) + contents(early))
    (row,) = sealer.execute(
        "select count(*) from audit.seal where complete_until >= %s and seal_no < 3",
        (early[0].recorded_at,),
    ).fetchall()
    assert row == (0,), "no seal said that nothing older is missing"


def test_what_a_clock_set_back_recorded_is_found_by_the_days_first_look(
    writer: Connection, sealer: Connection, superuser: Connection
) -> None:
    post(writer, 2)
    today = datetime.now(UTC)
    seal(sealer, now=today)
    rows = post(writer, 3)
    superuser.execute(
        "update audit.commit set recorded_at = recorded_at - interval '2 days'"
        " where commit_id = (select max(commit_id) from audit.commit)"
    )
    assert seal(sealer, now=today) == []
    (sealed,) = seal(sealer, now=today + timedelta(days=1))
    assert sealed.leaves == len(rows)


def test_committers_and_two_sealers_at_once_leave_every_commit_sealed_once(
    database: LedgerDatabase, sealer: Connection
) -> None:
    posted: list[list[EntryRow]] = []
    errors: list[BaseException] = []
    is_over = threading.Event()

    def post_some(seed: int) -> None:
        rng = random.Random(seed)
        with closing(database.writer()) as conn:
            for _ in range(12):
                rows = begin_posting(conn, rng.choice((1, 5, 90)))
                threading.Event().wait(rng.random() * 0.05)
                if rng.random() < 0.15:
                    conn.rollback()
                    continue
                conn.commit()
                posted.append(rows)

    def seal_all_the_time() -> None:
        try:
            with closing(database.sealer()) as conn:
                while not is_over.is_set():
                    seal(conn)
        except BaseException as error:  # noqa: BLE001 - shown in the test's own thread
            errors.append(error)

    sealers = [threading.Thread(target=seal_all_the_time) for _ in range(2)]
    posters = [threading.Thread(target=post_some, args=(seed,)) for seed in range(6)]
    for thread in (*sealers, *posters):
        thread.start()
    for thread in posters:
        thread.join()
    is_over.set()
    for thread in sealers:
        thread.join()
    assert not errors
    seal(sealer)
    wanted = sorted(leaf for rows in posted for leaf in contents(rows))
    size = len(wanted)
    blob = read_leaves(sealer, 0, size)
    leaves = [blob[at : at + 32] for at in range(0, len(blob), 32)]
    assert sorted(leaves) == wanted
    tree_of(sealer, leaves)
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    found = heads.list_heads(sealer, 1000)
    assert len(found) > 3
    for new, old in zip(found, [*found[1:], None], strict=True):
        assert new.prev_size == (old.tree_size if old else None)
        assert new.root == merkle.root(hashes[: new.tree_size])
        if old:
            proofs.consistency_proof(sealer, old.tree_size, new.tree_size)


def test_a_call_is_bounded_and_the_next_one_goes_on(writer: Connection, sealer: Connection) -> None:
    rows = [row for _ in range(5) for row in post(writer, 300)]
    assert [one.leaves for one in seal(sealer, leaves_max=500)] == [300, 300]
    assert [one.seal_no for one in seal(sealer, leaves_max=1)] == [3]
    assert [one.leaves for one in seal(sealer)] == [300, 300]
    tree_of(sealer, contents(rows))


def test_a_fork_is_an_error_not_a_finding(writer: Connection, sealer: Connection) -> None:
    post(writer, 3)
    seal(sealer)
    post(writer, 3)
    seal(sealer)
    copies = {
        "audit.seal": ("seal_no", ("3", "2", "4")),
        "audit.head": ("tree_size", ("7", "3")),
    }
    for table, (key, values) in copies.items():
        names = [
            row[0]
            for row in sealer.execute(
                "select attname::text from pg_attribute where attrelid = %s::regclass"
                " and attnum > 0 and attgenerated = '' order by attnum",
                (table,),
            ).fetchall()
        ]
        for value in values:
            chosen = ", ".join(value if name == key else name for name in names)
            with pytest.raises((psycopg.errors.IntegrityError,), match=r"violates|conflicting"):
                sealer.execute(
                    f"insert into {table} ({', '.join(names)}) select {chosen} from {table}"
                    f" order by {key} desc limit 1"
                )
    with pytest.raises(psycopg.errors.UniqueViolation, match="seal_commit_is_sealed_once"):
        sealer.execute(
            "insert into audit.seal_commit (seal_no, commit_id, position, first_leaf, entries)"
            " select 2, min(commit_id), 1, 999, 3 from audit.commit"
        )
    assert len(heads.list_heads(sealer, 10)) == 2


@pytest.mark.parametrize(
    "tampering",
    [
        "update audit.commit set content_sha256s = set_byte(content_sha256s, 0, 1)"
        " where commit_id = (select max(commit_id) from audit.commit)",
        "update audit.node set hash = set_byte(hash, 5, get_byte(hash, 5) # 1)",
        "delete from audit.node where index = 0",
        "delete from audit.seal_commit where first_leaf > 0",
        "update audit.seal set tree_root = batch_root where seal_no = 2",
    ],
)
def test_nothing_is_signed_over_a_tree_that_was_altered(
    tampering: str, writer: Connection, sealer: Connection, superuser: Connection
) -> None:
    post(writer, 300)
    seal(sealer)
    post(writer, 7)
    seal(sealer)
    superuser.execute(tampering)  # type: ignore[call-overload]
    post(writer, 1)
    with pytest.raises(BrokenInvariant, match=r"leads to|are there|list them"):
        seal(sealer)
    assert [head.tree_size for head in heads.list_heads(sealer, 10)] == [307, 300]
    (count,) = sealer.execute("select count(*) from audit.seal").fetchall()
    assert count == (2,)


def test_leaves_of_a_complete_subtree_are_looked_at_again(
    writer: Connection, sealer: Connection, superuser: Connection
) -> None:
    post(writer, 600)
    seal(sealer)
    head = heads.latest_head(sealer)
    assert head is not None
    assert check_edge(sealer, head.tree_size, head.root) == 2
    superuser.execute(
        "update audit.commit set content_sha256s ="
        " set_byte(content_sha256s, 32 * 300, get_byte(content_sha256s, 32 * 300) # 1)"
    )
    with pytest.raises(BrokenInvariant, match="leaves 256 to 512"):
        check_edge(sealer, head.tree_size, head.root)


def test_another_key_does_not_go_on_with_the_tree(writer: Connection, sealer: Connection) -> None:
    post(writer, 1)
    seal(sealer)
    post(writer, 1)
    other = Signer(name=ORIGIN, private_key=Ed25519PrivateKey.generate())
    with pytest.raises(BrokenInvariant, match="give the sealer that key back"):
        seal_pending(sealer, other, ORIGIN)
    assert [one.seal_no for one in seal(sealer)] == [2]


def test_the_sealer_may_seal_and_nothing_else_and_the_writer_may_not_seal(
    writer: Connection, sealer: Connection
) -> None:
    post(writer, 1)
    seal(sealer)
    refused = psycopg.errors.InsufficientPrivilege
    for statement in (
        "insert into audit.commit overriding system value select * from audit.commit",
        "update audit.head set note = ''",
        "delete from audit.seal",
        "truncate audit.node",
        "insert into ledger.entry select * from ledger.entry",
    ):
        with pytest.raises(refused):
            sealer.execute(statement)  # type: ignore[call-overload]
    with pytest.raises(refused):
        writer.execute("insert into audit.head select * from audit.head")


# --- proofs --------------------------------------------------------------------------------------


def checked(path: Path, key: Path) -> subprocess.CompletedProcess[str]:
    """The stand-alone checker's answer, in a Python that sees nothing of this project."""
    return subprocess.run(
        [sys.executable, "-I", str(CHECKER), str(path), "--key", str(key)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=path.parent,
        env={"PATH": os.environ["PATH"]},
        check=False,
    )


def test_a_proof_of_any_entry_convinces_the_stand_alone_checker(
    writer: Connection, sealer: Connection, database: LedgerDatabase, tmp_path: Path
) -> None:
    rows = [row for count in (300, 1, 700, 33) for row in post(writer, count)]
    seal(sealer)
    assert heads.latest_head(sealer) is not None
    key = tmp_path / "key"
    key.write_text(str(SIGNER.key))
    rng = random.Random(9)
    with closing(database.auditor()) as conn:
        for index in {0, len(rows) - 1, *rng.sample(range(len(rows)), 40)}:
            proof = proofs.inclusion_proof(conn, rows[index].entry_id)
            assert proof["leaf_index"] == index
        path = tmp_path / "proof.json"
        path.write_text(json.dumps(proof))
        answer = checked(path, key)
        assert answer.returncode == 0, answer
        assert str(proof["entry"]["entry_id"]) in answer.stdout
        altered = {**proof, "entry": {**proof["entry"], "kgco2e": "0.000000000001"}}
        path.write_text(json.dumps(altered))
        assert checked(path, key).returncode != 0
        post(writer, 70)
        seal(sealer)
        consistency = proofs.consistency_proof(conn, len(rows), len(rows) + 70)
        path.write_text(json.dumps(consistency))
        assert checked(path, key).returncode == 0
        old = proofs.inclusion_proof(conn, rows[5].entry_id, len(rows))
        path.write_text(json.dumps(old))
        assert checked(path, key).returncode == 0


def test_what_cannot_be_proved_is_told(
    writer: Connection, sealer: Connection, superuser: Connection
) -> None:
    (unsealed,) = post(writer, 1)
    with pytest.raises(RejectedRecord, match="not sealed yet"):
        proofs.inclusion_proof(sealer, unsealed.entry_id)
    seal(sealer)
    (later,) = post(writer, 1)
    seal(sealer)
    with pytest.raises(RejectedRecord, match="the head is of 1 leaves"):
        proofs.inclusion_proof(sealer, later.entry_id, 1)
    with pytest.raises(RejectedRecord, match="no head is of 5"):
        proofs.inclusion_proof(sealer, later.entry_id, 5)
    with pytest.raises(RejectedRecord, match="no entry"):
        proofs.inclusion_proof(sealer, UUID(int=(1 << 127) + 5))
    superuser.execute(
        "update ledger.entry set content_sha256 = sha256('x') where entry_id = %s",
        (later.entry_id,),
    )
    with pytest.raises(BrokenInvariant, match="was altered"):
        proofs.inclusion_proof(sealer, later.entry_id)


@pytest.mark.parametrize("role", ["reader", "writer", "verifier", "auditor"])
def test_no_other_login_can_keep_the_sealer_from_its_turn(
    database: LedgerDatabase, writer: Connection, sealer: Connection, role: str
) -> None:
    post(writer, 3)
    with closing(getattr(database, role)()) as intruder:
        intruder.autocommit = True
        intruder.execute("select pg_advisory_lock(7207, 0), pg_advisory_lock(7207)")
        for mode in ("share update exclusive", "share row exclusive", "access exclusive"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), intruder.transaction():
                intruder.execute(f"lock table audit.seal in {mode} mode")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            intruder.execute("select audit.begin_sealing()")
        with intruder.transaction():
            intruder.execute("lock table audit.seal, audit.head in access share mode")
            began = time.monotonic()
            assert len(seal(sealer)) == 1
            assert time.monotonic() - began < 5


def test_a_sealer_that_waits_for_another_is_told_whose_turn_it_is(
    database: LedgerDatabase, writer: Connection, sealer: Connection
) -> None:
    post(writer, 3)
    with closing(database.sealer()) as other:
        with other.transaction():
            other.execute("select audit.begin_sealing()")
            began = time.monotonic()
            with pytest.raises(Unavailable) as caught:
                seal(sealer)
            assert 9 < time.monotonic() - began < 20
            assert caught.value.code == "sealing_held"
            assert f"carbon_sealer (tests, pid {other.info.backend_pid}" in caught.value.message
        assert len(seal(sealer)) == 1
