"""The way back of dead letters on real Kafka, registry and PostgreSQL.

Each test has a topic and a ledger of its own, so that the planner of the running stack takes no
part; records are judged by Spark's tasks in this process.
"""

from __future__ import annotations

import base64
import json
import os
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

import psycopg
import pytest

from carbon_ledger.errors import ConfigurationError, RejectedRecord
from carbon_ledger.store.edge_letters import uptake_offsets
from carbon_ledger.store.letter_decisions import decide_discards
from carbon_ledger.store.letters import (
    Wanted,
    count_letters,
    find_letter,
    history,
    letter_records,
)
from pipeline.edge_letters import EdgeLetter, send_edge_letter
from pipeline.letter_replay import Request, resume, view_of
from pipeline.letter_uptake import is_waiting, take_up
from pipeline.producers import CarbonEventProducer
from pipeline.topic_sight import look
from pipeline.topics import DEAD_LETTERS, TOPIC_NAMED
from tests.support.broken_readings import fields_of
from tests.support.letters import SPAWN, Ground, letter_ground
from tests.support.letters_proof import prove
from tests.support.malformed import body_bytes, framed

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


# So that no two tests speak of one reading.
NUMBERS = count(1)


@pytest.fixture(scope="module")
def shared_ground(stack: Any, tmp_path_factory: Any) -> Iterator[Ground]:
    with letter_ground(stack, tmp_path_factory.mktemp("letters")) as found:
        yield found


@pytest.fixture
def ground(shared_ground: Ground) -> Iterator[Ground]:
    """The module's ground, of which a test sees the letters that it makes itself."""
    release_id = shared_ground.release_id
    shared_ground.mark()
    yield shared_ground
    shared_ground.release_id = release_id
    shared_ground.work()


def bad(ground: Ground, number: int | None = None, fault: str = "negative") -> str:
    """A refused reading; its letter's id."""
    fields = fields_of(fault, next(NUMBERS) if number is None else number)
    ground.send((b"k", framed(ground.schema_id, body_bytes(fields))), headers=[("trace", b"\xff")])
    ground.work()
    return max(ground.letters(), key=lambda one: one.recorded_at).letter_id


def test_two_hundred_broken_records_land_once_are_discarded_or_stop(
    stack: Any, tmp_path: Any
) -> None:
    with letter_ground(stack, tmp_path) as alone:
        proof = prove(alone, 200)
    assert proof.kills == 4
    # The one who died after sending had it sent again: the ledger took it for what it was.
    assert proof.duplicates > 0


def test_a_letter_refused_again_is_the_same_letter_with_one_more_try(ground: Ground) -> None:
    letter_id = bad(ground)
    ground.replay(letter_id, changes={"energy_kwh": "1"}, who="operator", why="typing error")
    (waiting,) = ground.letters()
    assert (waiting.state, waiting.tries) == ("replayed", 1)
    (refused,) = ground.replay(letter_id, force=True).refused
    assert refused.problem.code == "under_way"
    ground.release_id = empty_release(ground)
    ground.work()
    (returned,) = ground.letters()
    assert (returned.letter_id, returned.state, returned.tries) == (letter_id, "open", 1)
    assert (returned.first_reason_code, returned.reason_code) == (
        "negative_quantity",
        "factor_missing",
    )
    with closing(ground.database.reader()) as conn:
        (told,) = history(conn, letter_id)
        (record,) = letter_records(conn, [letter_id], tries=3)
        fields = view_of(conn, record).fields or {}
        back = told.returns[0]
        again = f"{back['topic']}:{back['kafka_partition']}:{back['kafka_offset']}"
        assert find_letter(conn, again, tries=3).letter_id == letter_id
    assert (told.try_no, told.decided_by, told.reason) == (1, "operator", "typing error")
    assert (told.changes, told.is_forced) == ({"energy_kwh": "1"}, False)
    assert fields["energy_kwh"] == "1"
    assert dict(record.record_headers)["trace"] == "ff"


def empty_release(ground: Ground) -> str:
    """Factors of one country alone, so that no other has any."""
    from carbon_ledger.factor_book.rows import make_release
    from carbon_ledger.store.factors import store_release
    from factor_seeds.load import release

    rows = make_release("Korea alone", [r for r in release().rows if r.country_iso2 == "KR"])
    with closing(ground.database.writer(autocommit=True)) as conn:
        store_release(conn, rows)
    return rows.release_id


def test_a_quarantined_record_needs_another_revision(ground: Ground) -> None:
    number = next(NUMBERS)
    good = fields_of("conflict", number) | {"energy_kwh": "1"}
    ground.send((b"k", framed(ground.schema_id, body_bytes(good))))
    ground.work()
    letter_id = bad(ground, number, "conflict")
    (refused,) = ground.replay(letter_id).refused
    assert refused.problem.code == "same_conflict"
    assert "revision" in str(refused.problem)
    ground.replay(letter_id, changes={"revision": "1"})
    assert ground.work()["ledgered"] == 1
    assert ground.states() == Counter(landed=1)
    standing = "select quantity::text from ledger.active_entry where event_id like %s"
    assert ground.rows(standing, f"iot:conflict-{number}@%") == [("99",)]


def test_an_edit_that_is_no_event_is_refused_by_name_and_nothing_is_decided(
    ground: Ground,
) -> None:
    letter_id = bad(ground)
    for changes, code, valid in (
        ({"energy_kwh": "many"}, "not_a_number", "number"),
        ({"energy": "1"}, "unknown_field", "energy_kwh"),
        ({"country_iso2": "UK", "energy_kwh": "1"}, "unknown_country", "GB"),
    ):
        (refused,) = ground.replay(letter_id, changes=changes).refused
        assert isinstance(refused.problem, RejectedRecord)
        assert refused.problem.code == code
        assert valid in str(refused.problem)
    with closing(ground.database.reader()) as conn:
        assert history(conn, letter_id) == []
    assert ground.states() == Counter(open=1)
    assert len(ground.replay(letter_id).sent) == 1


def test_decisions_need_a_name_and_a_reason_and_a_selection(ground: Ground) -> None:
    letter_id = bad(ground)
    with pytest.raises(RejectedRecord, match="why is empty"):
        ground.replay(letter_id, why=" ")
    with (
        closing(ground.database.writer(autocommit=True)) as conn,
        pytest.raises(RejectedRecord, match="who is empty"),
    ):
        decide_discards(conn, [letter_id], decided_by="", reason="r", tries=3)
    with pytest.raises(RejectedRecord, match="no condition"):
        ground.replay(wanted=Wanted(states=("open",)))
    with pytest.raises(ConfigurationError, match="topic:partition:offset"):
        ground.replay("nonsense")
    with closing(ground.database.admin()) as conn, pytest.raises(psycopg.errors.CheckViolation):
        conn.execute(
            "insert into ledger.letter_decision (decision_id, letter_id, decision_no, kind,"
            " decided_by, reason) values (gen_random_uuid(), 'a:0:0', 1, 'discard', ' ', 'r')"
        )
    assert ground.states() == Counter(open=1)


def test_a_replay_that_nobody_ever_judges_can_be_forced_after_an_hour(ground: Ground) -> None:
    """Its topic may have been made anew before it was read: the letter must not be stuck."""
    recent, old = bad(ground), bad(ground)
    for letter_id, hours in ((recent, 0), (old, 2)):
        with closing(ground.database.admin()) as conn:
            conn.execute(
                "insert into ledger.letter_decision (decision_id, letter_id, decision_no, kind,"
                " try_no, topic, decided_by, reason, decided_at) values (gen_random_uuid(), %s, 1,"
                " 'replay', 1, %s, 'w', 'y', now() - make_interval(hours => %s))",
                (letter_id, ground.stream.topic, hours),
            )
            conn.execute(
                "insert into ledger.letter_sending (decision_id, topic, topic_incarnation,"
                " kafka_partition, kafka_offset) select decision_id, topic, 7, 0, 0"
                " from ledger.letter_decision where letter_id = %s",
                (letter_id,),
            )
    assert ground.states() == Counter(replayed=2)
    edit = {"energy_kwh": "3"}
    codes = [one.problem.code for one in ground.replay(recent, old, changes=edit).refused]
    assert codes == ["under_way"] * 2
    outcome = ground.replay(recent, old, changes=edit, force=True)
    assert [one.letter_id for one in outcome.sent] == [old]
    assert ground.work()["ledgered"] == 1
    assert ground.states() == Counter(replayed=1, landed=1)


def test_a_header_forged_outside_links_nothing(ground: Ground) -> None:
    letter_id = bad(ground)
    ground.replay(letter_id)
    forged = [("carbon.letter", letter_id.encode()), ("carbon.decision", b"\xff" * 4_000)]
    forged_id = [("carbon.decision", str(uuid.uuid4()).encode())]
    value = framed(ground.schema_id, body_bytes(fields_of("negative", next(NUMBERS))))
    ground.send((b"k", value), headers=forged)
    ground.send((b"k", value), headers=forged_id)
    assert ground.work()["dead_lettered"] == 3
    assert sorted(one.tries for one in ground.letters()) == [0, 0, 1]


def test_two_decisions_on_one_letter_at_once_are_one(ground: Ground) -> None:
    letter_id = bad(ground)
    outcomes: list[Any] = []
    threads = [
        threading.Thread(
            target=lambda: outcomes.append(ground.replay(letter_id, changes={"energy_kwh": "5"}))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(len(one.sent) for one in outcomes) == 1
    assert [p.problem.code for one in outcomes for p in one.refused] == ["under_way"] * 3
    with closing(ground.database.admin()) as conn, pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute(
            "insert into ledger.letter_decision (decision_id, letter_id, decision_no, kind, try_no,"
            " topic, decided_by, reason) select gen_random_uuid(), letter_id, 2, kind, try_no,"
            " topic, decided_by, reason from ledger.letter_decision where letter_id = %s",
            (letter_id,),
        )
    assert ground.work()["ledgered"] == 1


@pytest.mark.parametrize(
    ("failpoint", "decided", "arrivals"),
    [
        ("replays_deciding", 0, 1),
        ("replays_decided", 1, 1),
        ("replays_sent", 1, 2),
        ("sendings_noting", 1, 2),
        ("sendings_noted", 1, 1),
    ],
)
def test_whoever_dies_while_replaying_leaves_what_the_next_one_completes(
    ground: Ground, failpoint: str, decided: int, arrivals: int
) -> None:
    letter_id = bad(ground)
    edit = {"energy_kwh": "7"}
    request = Request(wanted=Wanted(ids=(letter_id,)), who="w", why="y", changes=edit)
    assert ground.replay_and_die(failpoint, request) == -9
    with closing(ground.database.reader()) as conn:
        assert len(history(conn, letter_id)) == decided
    with closing(ground.database.writer(autocommit=True)) as conn:
        resume(conn, ground.settings, older_than_seconds=0)
    if not decided:
        ground.replay(letter_id, changes=edit)
    fates = ground.work()
    assert (fates["ledgered"], fates["records_read"]) == (1, arrivals)
    assert ground.states() == Counter(landed=1)


# --- letters of edges ---------------------------------------------------------------------------


def edge_letters(tag: str) -> list[EdgeLetter]:
    """One of each kind of edge that sends letters of its own."""
    good = fields_of("good", 1) | {"sensor_id": f"edge-{tag}", "timestamp": "2024-05-06T07:00:00Z"}
    return [
        EdgeLetter(
            source=f"mqtt:{tag}",
            coordinates="plant/7/energy mid 12",
            payload=json.dumps(good | {"country_iso2": "UK"}).encode(),
            reason_code="unknown_country",
            reason="UK is no country",
            stream="iot_energy",
            field="country_iso2",
            value="UK",
            valid="GB",
            content_type="application/json",
        ),
        EdgeLetter(
            source=f"rest:{tag}",
            coordinates="https://carrier.example/track?page=3 item 4",
            payload=b'{"truncated": ',
            reason_code="not_json",
            reason="ends too early",
            stream="logistics",
        ),
        EdgeLetter(
            source=f"webhook:{tag}",
            coordinates="delivery 77",
            payload=b"\x00\xff\x00\xfe",
            reason_code="bad_utf8",
            reason="not UTF-8",
            stream="procurement",
        ),
        EdgeLetter(
            source=f"sftp:{tag}",
            coordinates="sha256 4f line 9",
            payload=b"SUP_042_DE;2025-13;x",
            reason_code="not_a_timestamp",
            reason="2025-13 is no month",
        ),
        EdgeLetter(
            source=f"cdc:{tag}",
            coordinates="lsn 0/1A2B",
            payload=b"{}",
            reason_code="missing_field",
            reason="purchase_order_id is missing",
        ),
    ]


def send_letters(ground: Ground, letters: list[EdgeLetter], tag: str) -> None:
    """The letters, one of a connector, one without a word, one of the ledger's own outbox."""
    with CarbonEventProducer(settings=ground.settings) as producer:
        for letter in letters:
            send_edge_letter(producer, letter)
        connect = {
            "topic": f"erp.{tag}",
            "partition": "0",
            "offset": "5",
            "connector.name": f"erp-{tag}",
            "stage": "VALUE_CONVERTER",
            "exception.message": "Converting byte[] to Kafka Connect data failed",
        }
        headers = [(f"__connect.errors.{name}", text.encode()) for name, text in connect.items()]
        producer.send_bytes(DEAD_LETTERS, None, b"\x09", headers)
        # No letter may keep those behind it from being taken up, whatever its headers are.
        hostile = [
            ("tag", tag.encode()),
            ("n", None),
            ("nul\0", b"\0"),
            ("carbon.x", b"\xff" * 9_000),
        ]
        producer.send_bytes(DEAD_LETTERS, b"k", None, hostile)
        relayed = [("carbon.fate", b"dead_lettered"), ("carbon.topic", b"raw.iot.energy")]
        producer.send_bytes(DEAD_LETTERS, b"raw.iot.energy:0:1", b"x", relayed)
        producer.flush()


def from_here(ground: Ground) -> None:
    """The uptake begins at the queue's present end: what others sent is not this test's matter."""
    sight = look(DEAD_LETTERS, ground.settings)
    with closing(ground.database.writer(autocommit=True)) as conn:
        for partition, high in sight.highs.items():
            conn.execute(
                "insert into manifest.letter_uptake (topic_id, kafka_partition, next_offset)"
                " values (%s, %s, %s) on conflict (topic_id, kafka_partition)"
                " do update set next_offset = excluded.next_offset",
                (sight.topic_id, partition, high),
            )


def test_letters_of_every_kind_of_edge_are_taken_up_once(ground: Ground) -> None:
    tag = uuid.uuid4().hex[:8]
    from_here(ground)
    sent = edge_letters(tag)
    send_letters(ground, sent, tag)
    # A source that is not sure sends its letter again: it is the same letter.
    send_letters(ground, sent[:1], tag)
    threads = [threading.Thread(target=_take, args=(ground,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with closing(ground.database.writer(autocommit=True)) as conn:
        assert not is_waiting(conn, ground.settings)
        assert take_up(conn, ground.settings).records == 0
    ours = [one for one in ground.letters() if tag in one.source or one.source == "unknown"]
    kinds = Counter(one.source.split(":")[0] for one in ours)
    assert kinds == Counter(mqtt=1, rest=1, webhook=1, sftp=1, cdc=1, connect=1, unknown=2)
    found = {one.source.split(":")[0]: one for one in ours}
    assert found["connect"].reason_code == "connect_value_converter"
    assert (found["mqtt"].offending_value, found["mqtt"].valid_values) == ("UK", "GB")
    assert ground.letters(source="sftp") == [found["sftp"]]
    with closing(ground.database.reader()) as conn:
        records = letter_records(conn, [one.letter_id for one in ours], tries=3)
        forms = {one.letter_id: view_of(conn, one) for one in records}
    shown = {name: forms[one.letter_id].form for name, one in found.items()}
    assert shown == {
        "mqtt": "json",
        "rest": "text",
        "webhook": "bytes",
        "sftp": "text",
        "cdc": "json",
        "connect": "text",
        "unknown": "empty",
    }
    payloads = {one.payload for one in sent}
    assert payloads <= {one.record_value for one in records}


def _take(ground: Ground) -> None:
    with closing(ground.database.writer(autocommit=True)) as conn:
        take_up(conn, ground.settings)


def _take_and_die(failpoint: str, writer_url: str, values: dict[str, str]) -> None:
    from carbon_ledger.settings import Settings
    from carbon_ledger.store.connect import connect

    os.environ["CARBON_FAILPOINT"] = failpoint
    with closing(connect(writer_url, "dying", autocommit=True)) as conn:
        take_up(conn, Settings(values))


@pytest.mark.parametrize(
    ("failpoint", "kept"), [("edge_letters_keeping", 0), ("edge_letters_kept", 3)]
)
def test_offsets_move_with_the_letters_or_not_at_all(
    ground: Ground, failpoint: str, kept: int
) -> None:
    from_here(ground)
    tag = uuid.uuid4().hex[:8]
    send_letters(ground, edge_letters(tag)[:1], tag)
    process = SPAWN.Process(
        target=_take_and_die,
        args=(failpoint, ground.database.writer_url, dict(ground.settings.values)),
    )
    process.start()
    process.join(60)
    assert process.exitcode == -9
    assert len(ground.letters()) >= kept
    assert bool(ground.letters()) == bool(kept)
    _take(ground)
    assert Counter(one.kind for one in ground.letters())["edge"] >= 3
    sight = look(DEAD_LETTERS, ground.settings)
    with closing(ground.database.reader()) as conn:
        assert uptake_offsets(conn, str(sight.topic_id)) == sight.highs


def test_an_edges_letter_is_repaired_into_its_stream_and_lands_once(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = uuid.uuid4().hex[:8]
    from_here(ground)
    send_letters(ground, edge_letters(tag), tag)
    _take(ground)
    topic = replace(TOPIC_NAMED["raw.iot.energy"], name=ground.stream.topic)
    monkeypatch.setattr("pipeline.letter_replay.STREAM_TOPICS", {"iot_energy": topic})
    (letter,) = ground.letters(source="mqtt")
    (refused,) = ground.replay(letter.letter_id).refused
    assert refused.problem.code == "not_an_event"
    assert "unknown_country" not in str(refused.problem)
    assert "UK" in str(refused.problem)
    outcome = ground.replay(letter.letter_id, changes={"country_iso2": "GB"})
    assert [one.topic for one in outcome.sent] == [ground.stream.topic]
    assert ground.work()["ledgered"] == 1
    assert [one.state for one in ground.letters(source="mqtt")] == ["landed"]
    assert [one.problem.code for one in ground.replay(letter.letter_id).refused] == [
        "already_landed"
    ]
    # The letter says no stream, and its bytes are no fields: both have to be given.
    (line,) = ground.letters(source="sftp")
    (refused,) = ground.replay(line.letter_id, changes={"scope": "2"}).refused
    assert refused.problem.code == "stream_missing"
    value = fields_of("good", next(NUMBERS)) | {"timestamp": "2024-05-06T09:00:00Z"}
    (refused,) = ground.replay(line.letter_id, value=value, stream="activities").refused
    assert refused.problem.code == "approval_needed"
    ground.replay(line.letter_id, value=value, stream="iot_energy")
    assert ground.work()["ledgered"] == 1
    assert [one.state for one in ground.letters(source="sftp")] == ["landed"]


def test_counts_say_what_is_open_and_since_when(ground: Ground) -> None:
    before = datetime.now(UTC)
    with closing(ground.database.reader()) as conn:
        earlier = counted(conn)
    first = bad(ground)
    bad(ground)
    bad(ground, fault="country_alias")
    with closing(ground.database.writer(autocommit=True)) as conn:
        decide_discards(conn, [first], decided_by="w", reason="y", tries=3)
    with closing(ground.database.reader()) as conn:
        assert counted(conn) - earlier == Counter(
            {
                ("discarded", "iot_energy", "negative_quantity"): 1,
                ("open", "iot_energy", "negative_quantity"): 1,
                ("open", "iot_energy", "unknown_country"): 1,
            }
        )
        oldest = {one.reason_code: one.oldest_at for one in count_letters(conn, tries=3)}
    assert oldest["unknown_country"] <= datetime.now(UTC)
    assert min(oldest.values()) <= before


def counted(conn: Any) -> Counter[tuple[str, str | None, str]]:
    """Letters by state, stream and reason."""
    found = count_letters(conn, tries=3)
    return Counter({(one.state, one.stream, one.reason_code): one.letters for one in found})


def test_encrypted_personal_fields_stay_encrypted(ground: Ground) -> None:
    """Nothing that shows a letter has a key: what was sealed is shown as it was sent."""
    from pipeline import letter_repair

    sealed = base64.urlsafe_b64encode(os.urandom(128)).rstrip(b"=").decode()
    found = letter_repair.view(
        json.dumps({"subject_ciphertext": sealed}).encode(), "transport", lambda _: ()
    )
    assert (found.fields or {})["subject_ciphertext"] == sealed
