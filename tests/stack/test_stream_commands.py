"""`carbon stream status` and `resume`, as somebody types them, against a real database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.store import drivers, gaps, manifest
from carbon_ledger.streams import STREAMS
from cli.main import group
from tests.support.manifest_examples import observe, plan, sight, work_off
from tests.support.postgres import Connection, scratch_database

pytestmark = pytest.mark.stack

STREAM = STREAMS[0]


@pytest.fixture
def conn(stack: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    with scratch_database(stack.layout.database_url) as found:
        monkeypatch.setenv("CARBON_DATABASE_WRITER_URL", found.writer_url)
        with found.writer(autocommit=True) as connection:
            yield connection


def carbon(*words: str) -> Result:
    return CliRunner().invoke(group, list(words))


def truncated(conn: Connection) -> gaps.Gap:
    """Ten records ledgered, then records 10 to 16 deleted before they were read."""
    observe(conn, STREAM, sight(10))
    batch = plan(conn, STREAM, sight(10))
    assert batch is not None
    work_off(conn, batch)
    (gap,) = gaps.observe_topic(conn, STREAM.name, sight(30, lows=(17,)))
    return gap


def test_a_running_stream_shows_its_accounts(conn: Connection) -> None:
    observe(conn, STREAM, sight(10))
    shown = carbon("stream", "status")
    assert shown.exit_code == 0
    assert "iot_energy: running" in shown.output
    assert "Stream iot_energy is not halted" in carbon("stream", "resume", "iot_energy").output


def test_a_stream_says_by_whom_it_is_driven(conn: Connection) -> None:
    observe(conn, STREAM, sight(10))
    epoch = drivers.take_stream(conn, STREAM.name, "host 12")
    assert "driven by the continuous driver host 12 since" in carbon("stream", "status").output
    drivers.leave_stream(conn, STREAM.name, epoch)
    assert "driven by" not in carbon("stream", "status").output


def test_before_anything_was_seen_there_is_nothing_to_show(conn: Connection) -> None:
    shown = carbon("stream", "status")
    assert shown.exit_code == 0
    assert "No stream has been seen" in shown.output


def test_a_halted_stream_says_what_is_missing_and_what_to_type(conn: Connection) -> None:
    gap = truncated(conn)
    for words in (("stream", "status"), ("stream", "resume", "iot_energy")):
        shown = carbon(*words)
        assert shown.exit_code == 3
        assert "7 offsets were deleted" in shown.output
        assert f"--accept-gap {gap.gap_id} --because" in shown.output
        assert "never ledgered" in shown.output
    assert manifest.read_state(conn, STREAM.name).halted_reason is not None


def test_a_gap_accepted_by_number_and_reason_lets_the_stream_go_on(conn: Connection) -> None:
    gap = truncated(conn)
    shown = carbon(
        "stream", "resume", "iot_energy", "--accept-gap", str(gap.gap_id), "--because", "known",
        "--by", "Kim",
    )  # fmt: skip
    assert shown.exit_code == 0, shown.output
    assert "goes on" in shown.output
    batch = plan(conn, STREAM, sight(30), manifest.database_now(conn).replace(year=2030))
    assert batch is not None
    assert batch.ranges[0].start_offset == 17


def test_a_gap_is_not_accepted_without_a_reason_nor_by_another_number(conn: Connection) -> None:
    gap = truncated(conn)
    number = str(gap.gap_id)
    without = carbon("stream", "resume", "iot_energy", "--accept-gap", number, "--by", "Kim")
    assert isinstance(without.exception, ConfigurationError)
    other = carbon(
        "stream", "resume", "iot_energy", "--accept-gap", "999", "--because", "x", "--by", "Kim"
    )
    assert isinstance(other.exception, ConfigurationError)
    assert len(gaps.open_gaps(conn, STREAM.name)) == 1


def test_an_unknown_stream_is_refused_with_the_known_ones(conn: Connection) -> None:
    found = carbon("stream", "status", "iot_energie")
    assert "iot_energy" in str(found.exception)


def test_status_as_json_is_json(conn: Connection) -> None:
    truncated(conn)
    (one,) = json.loads(carbon("stream", "status", "--json").output)
    assert one["halted_reason"]
    assert one["read"] == one["ledgered"] == 10
