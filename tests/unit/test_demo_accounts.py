"""The demo's reconciliation: what a source counted, beside what Kafka and the ledger have."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import yaml
from click.testing import CliRunner

from api.erp_systems import read_systems
from carbon_ledger.errors import ConfigurationError, Unavailable
from carbon_ledger.settings import load
from carbon_ledger.streams import STREAMS
from cli.demo import meters, orders, pollers, suppliers
from cli.demo.accounts import METERS, PORTAL, SOURCES, Seen, Sent, fault, faults, table
from cli.demo.provider import TRACKING, TRIPS, Provider, serving
from cli.demo.run import Run, Stopped
from cli.demo_command import REASONS_MAX, demo, reason_rows
from devstack.api import Api, api_values, erp_systems_file
from devstack.extras import EXTRAS
from devstack.layout import Layout
from pipeline.sources import demo_feeds
from pipeline.sources.adapters import check_source

BEGUN = datetime(2026, 3, 14, 9, 26, 53, 589793, tzinfo=UTC)
# As a run of 200 readings has it: 200 sound ones, 7 sent twice, 5 faulty ones of which the
# ledger alone could see one.
SENT = Sent(source=METERS, good=200, again=7, bad=5)
SEEN = Seen(refused=4, in_kafka=208, read=208, ledgered=200, duplicate=7, dead_lettered=1)


def test_what_was_sent_and_what_is_known_agree() -> None:
    assert SENT.total == 212
    assert fault(SENT, SEEN) is None
    assert faults([SENT], {"iot_energy": SEEN}) == []


def test_a_record_delivered_again_by_itself_is_a_duplicate_and_no_fault() -> None:
    again = replace(SEEN, in_kafka=209, read=209, duplicate=8)
    assert fault(SENT, again) is None


# What happened, what is seen then, and what is said.
PLANTED: dict[str, tuple[Sent, Seen, str]] = {
    "a record is lost between source and Kafka": (
        SENT,
        replace(SEEN, in_kafka=207, read=207, ledgered=199),
        "1 of 212 sent arrived nowhere",
    ),
    "a refusal is lost": (SENT, replace(SEEN, refused=3), "1 of 212 sent arrived nowhere"),
    "the source counts one too few": (
        replace(SENT, good=199),
        SEEN,
        "199 sound records were sent, 200 are ledgered",
    ),
    "the source counts one too many": (replace(SENT, good=201), SEEN, "1 of 213 sent"),
    "somebody else sends into the stream": (
        SENT,
        replace(SEEN, in_kafka=209, read=209, ledgered=201),
        "200 sound records were sent, 201 are ledgered",
    ),
    "a record is not in the accounts": (
        SENT,
        replace(SEEN, read=207, ledgered=199),
        "of 208 records in Kafka the accounts have 207",
    ),
    "a lost one is made up for by a doubled one": (
        SENT,
        replace(SEEN, ledgered=199, duplicate=8),
        "200 sound records were sent, 199 are ledgered",
    ),
    "a sound one is refused": (
        SENT,
        replace(SEEN, refused=5, in_kafka=207, read=207, ledgered=199),
        "200 sound records were sent, 199 are ledgered",
    ),
    "a faulty one is taken for sent again": (
        SENT,
        replace(SEEN, refused=3, in_kafka=209, read=209, duplicate=8),
        "5 faulty records were sent, 3 were refused at the edge and 1 are dead letters",
    ),
    "one more is in Kafka, and nothing says what became of it": (
        SENT,
        replace(SEEN, in_kafka=209, read=209),
        "7 were sent again and 1 delivered again, 7 are duplicates",
    ),
    "a record is quarantined": (
        SENT,
        replace(SEEN, ledgered=199, quarantined=1),
        "1 records are quarantined",
    ),
    "the source noticed it itself": (
        replace(SENT, problem="there is no receipt"),
        SEEN,
        "there is no receipt",
    ),
}


@pytest.mark.parametrize("name", list(PLANTED))
def test_a_planted_fault_is_said(name: str) -> None:
    sent, seen, said = PLANTED[name]
    found = fault(sent, seen)
    assert found is not None
    assert said in found
    assert faults([sent], {"iot_energy": seen}) == [f"Factory meters: {found}"]


def test_the_table_has_a_row_for_each_source_and_marks_the_one_that_is_wrong() -> None:
    sent = [replace(SENT, source=one) for one in SOURCES]
    seen = {one.stream: SEEN for one in SOURCES}
    seen[PORTAL.stream] = replace(SEEN, in_kafka=207)
    rows = table(sent, seen)[2:]
    assert [row.split()[-1] for row in rows] == ["yes"] * 4 + ["NO"]
    assert "212 =       4 +      208 =      200 +         7 +            1" in rows[0]


def test_every_stream_that_an_outside_source_fills_has_one() -> None:
    streams = [one.stream for one in SOURCES]
    assert sorted(streams) == sorted({one.name for one in STREAMS} - {"activities"})


def test_counts_since_a_moment_are_differences() -> None:
    assert SEEN.since(Seen(refused=1, in_kafka=200)) == replace(SEEN, refused=3, in_kafka=8)


# ---- the sources


@pytest.fixture
def run(tmp_path: Path) -> Run:
    settings = load({"CARBON_HOME": str(tmp_path)})
    return Run(
        name="20260314T092653589793",
        begun=BEGUN,
        seed=3,
        readings=20,
        duration=0.0,
        bad=4,
        duplicates=2,
        patience=0.3,
        settings=settings,
        layout=Layout.of(settings),
        folder=tmp_path,
    )


def test_messages_are_as_many_of_each_kind_as_asked_for(run: Run) -> None:
    kinds = [kind for kind, _ in meters.messages(run)]
    assert kinds[0] == meters.GOOD
    assert [kinds.count(one) for one in (meters.GOOD, meters.AGAIN, meters.BAD)] == [20, 2, 4]
    distinct = {(one.topic, one.payload) for _, one in meters.messages(run)}
    assert len(distinct) == 24


def test_a_broker_to_which_nothing_subscribes_is_not_waited_for_for_ever(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meters, "CONNECT_SECONDS", 0.2)
    with pytest.raises(Unavailable, match="has not subscribed"):
        meters.send(run)


def test_a_message_is_sent_once_the_broker_said_so_even_before_the_client_gave_its_number() -> None:
    outbox = meters.Outbox()
    outbox.published(1, meters.GOOD)
    outbox.published(2, meters.BAD)
    outbox.say_acknowledged(3)
    outbox.published(3, meters.GOOD)
    assert (outbox.open(), outbox.acknowledged) == (2, {meters.GOOD: 1})
    outbox.say_acknowledged(2)
    outbox.say_acknowledged(1)
    assert (outbox.open(), outbox.acknowledged) == (0, {meters.GOOD: 2, meters.BAD: 1})
    # Numbers come again after 65,535.
    outbox.published(1, meters.AGAIN)
    assert outbox.open() == 1


@pytest.mark.parametrize(
    "arguments",
    [("--bad", "-1"), ("--duplicates", "-1"), ("--duration", "-1"), ("--patience", "0")],
)
def test_a_size_below_zero_is_refused_before_anything_starts(arguments: tuple[str, str]) -> None:
    done = CliRunner().invoke(demo, arguments)
    assert done.exit_code == 2
    assert f"{arguments[1]} is not in the range" in done.output or "0.0 is not in" in done.output


def test_reasons_beyond_the_most_frequent_ones_are_counted_together() -> None:
    assert reason_rows([]) == []
    (line,) = reason_rows([(f"code_{n}", 2_000 - n) for n in range(REASONS_MAX + 2)])
    assert "code_0 2,000, " in line
    assert line.endswith(f"code_{REASONS_MAX - 1} 1,989, others {1_988 + 1_987:,}")


def test_a_run_that_is_stopped_waits_for_nothing(run: Run) -> None:
    run.stop.set()
    with pytest.raises(Stopped):
        run.wait_for_share(0.5)
    with pytest.raises(Stopped):
        run.wait_until(lambda: False, "it", 60)


@pytest.fixture
def provider(run: Run) -> Provider:
    return Provider(
        run=run,
        trips=demo_feeds.trips(BEGUN, 8, 1, 3),
        shipments=demo_feeds.shipments(BEGUN, 2, 1, 3),
    )


def ask(provider: Provider, path: str, key: str) -> int:
    request = urllib.request.Request(  # noqa: S310 - our own server
        provider.url + path, headers={"DHL-API-Key": key}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_provider_counts_what_it_served_once_and_lets_nobody_in_without_a_key(
    provider: Provider,
) -> None:
    with serving(provider):
        number = next(iter(provider.shipments))
        assert ask(provider, f"{TRACKING}?trackingNumber={number}", "wrong") == 401
        assert ask(provider, f"{TRACKING}?trackingNumber=none", provider.key) == 404
        assert ask(provider, "/elsewhere", provider.key) == 404
        assert ask(provider, f"{TRIPS}?vehicleId=1", provider.key) == 400
        assert provider.served(TRACKING) == provider.served(TRIPS) == (0, 0)
        for _ in range(2):
            assert ask(provider, f"{TRACKING}?trackingNumber={number}", provider.key) == 200
        # What was written is counted a moment after it was read.
        provider.run.wait_until(lambda: provider.served(TRACKING) == (1, 0), "the count", 10)
        assert not provider.has_served_the_last(TRACKING)
        for vehicle in provider.trips:
            path = f"{TRIPS}?vehicleId={vehicle}&startMs=0&endMs={10**15}"
            assert ask(provider, path, provider.key) == 200
        provider.run.wait_until(lambda: provider.served(TRIPS) == (8, 1), "the count", 10)
        assert provider.has_served_the_last(TRIPS)


def test_what_is_not_known_yet_is_not_served(provider: Provider) -> None:
    provider.run.duration = 1e9
    number = next(iter(provider.shipments))
    query = {"trackingNumber": [number]}
    assert provider.answer(TRACKING, query, provider.key)[0] == 404
    vehicle = next(iter(provider.trips))
    query = {"vehicleId": [vehicle], "startMs": ["0"], "endMs": [str(10**15)]}
    assert provider.answer(TRIPS, query, provider.key)[1] == {"trips": []}


@contextmanager
def adapter_at_work(run: Run) -> Iterator[pollers.Adapter]:
    """An adapter's process that has told nothing yet."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        yield pollers.Adapter(
            run=run,
            feed=pollers.FEEDS[0],
            process=process,
            status_file=run.folder / "status.json",
            log=run.folder / "log",
        )
    finally:
        process.kill()
        process.wait()


def test_what_is_served_while_the_adapter_is_judged_must_be_handled_too(run: Run) -> None:
    class Late(Provider):
        """Serves everything just after it was asked how much it has served."""

        def served(self, path: str) -> tuple[int, int]:
            found = super().served(path)
            self.note_served(path, [one for some in self.trips.values() for one in some])
            return found

    late = Late(run=run, trips=demo_feeds.trips(BEGUN, 8, 1, 3), shipments={})
    with adapter_at_work(run) as adapter:
        assert "not everything was asked for" in adapter.wait_until_served(late, 0.5)
        (run.folder / "status.json").write_text('{"counts": {"sent": 8, "dead_letters": 1}}')
        assert adapter.wait_until_served(late, 10) == ""


@pytest.mark.parametrize("feed", pollers.FEEDS, ids=lambda feed: feed.name)
def test_the_adapters_configuration_is_sound(run: Run, feed: pollers.Feed) -> None:
    lists: dict[str, Any] = {
        TRIPS: demo_feeds.vehicles(),
        TRACKING: demo_feeds.tracking_rows(["1", "2"]),
    }
    (run.folder / f"{feed.name}.csv").write_bytes(demo_feeds.as_csv(lists[feed.path]))
    (run.folder / "provider.key").write_text("secret\n")
    file = run.folder / f"{feed.name}.toml"
    file.write_text(feed.configuration(run, "http://127.0.0.1:9"))
    config, said = check_source(file)
    assert config.source in feed.source.letters
    assert feed.provider in said


def test_the_erp_system_is_added_to_those_that_are_there_already(tmp_path: Path) -> None:
    layout = Layout.of(load({"CARBON_HOME": str(tmp_path)}))
    Api(layout).prepare()
    file = erp_systems_file(tmp_path)
    assert api_values(layout)["CARBON_ERP_SYSTEMS_FILE"] == str(file)
    assert read_systems(file) == {}
    (file.parent / "own.key").write_text("x" * 20)
    own = {"kind": "oracle_fusion", "secret_files": ["own.key"]}
    file.write_text(yaml.safe_dump({"systems": {"own": own}}))
    Api(layout).prepare()
    secret = orders.register_system(tmp_path, str(file))
    assert orders.register_system(tmp_path, None) == secret
    systems = read_systems(file)
    assert sorted(systems) == ["demo-sap", "own"]
    assert systems["demo-sap"].secrets() == [secret]
    with pytest.raises(ConfigurationError, match="only writes into"):
        orders.register_system(tmp_path, str(tmp_path / "theirs.yaml"))


RECEIPT = {"result": "read", "accepted": 24, "rejected": 2}


@pytest.mark.parametrize(
    ("receipt", "said"),
    [
        (RECEIPT, None),
        (None, "nobody has read it"),
        ({**RECEIPT, "accepted": 23}, "its receipt says"),
        ({**RECEIPT, "result": "refused"}, "its receipt says"),
    ],
)
def test_a_drop_is_judged_by_its_receipt(receipt: dict[str, Any] | None, said: str | None) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    drop = suppliers.Drop(name="a.csv", key=key, good=24, bad=2)
    found = suppliers.receipt_problem(receipt, drop)
    assert (found is None) if said is None else (found is not None and said in found)


def test_the_sources_send_through_parts_that_the_stack_has() -> None:
    from cli.demo.sources import EXTRAS as NEEDED

    assert set(NEEDED) <= set(EXTRAS)
