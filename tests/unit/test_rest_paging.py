"""How pages follow each other and cursors move: a server with real sockets, and a producer that
keeps what it is sent (tests/stack/test_rest_source.py has Kafka).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from carbon_ledger.errors import ConfigurationError, Unavailable
from pipeline.sources.rest import Poller, Stopped
from pipeline.sources.rest_client import Credentials, Patience
from pipeline.sources.rest_mapping import parse_provider
from pipeline.sources.rest_plan import RestPlan
from pipeline.sources.rest_state import StateFile
from tests.support.carrier_server import Asked, Carrier, Reply, carrier

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(kw_only=True)
class KeptEvents:
    """A producer that keeps events, and acknowledges none while `is_down`."""

    events: list[Any] = field(default_factory=list)
    is_down: bool = False

    def send(self, topic: str, key: object, event: Any) -> None:
        self.events.append(event)

    def flush(self) -> None:
        if self.is_down:
            raise Unavailable("delivery_pending", "Kafka does not answer")

    @property
    def ids(self) -> list[str]:
        return [event.shipment_id for event in self.events]


@pytest.fixture
def server() -> Iterator[Carrier]:
    with carrier() as running:
        yield running


def items(*names: str) -> list[dict[str, Any]]:
    """Shipments, each changed an hour after the one before."""
    return [
        {"id": name, "at": (NOW - timedelta(days=9) + timedelta(hours=at)).isoformat()}
        for at, name in enumerate(names)
    ]


def content(**sections: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "provider": "paged",
        "stream": "logistics",
        "items": "data",
        "request": {"path": "/x"},
        "events": [
            {
                "fields": {
                    "shipment_id": {"path": "id"},
                    "leg_id": "1",
                    "status": "delivered",
                    "mode": "road",
                    "origin": "DE",
                    "destination": "FR",
                    "payer": "reporter",
                    "timestamp": {"path": "at", "time": "iso"},
                }
            }
        ],
    }
    return {**plain, **sections}


def poller(
    server: Carrier, folder: Path, producer: KeptEvents, subjects: str = "", **sections: Any
) -> Poller:
    file = folder / "subjects.csv"
    if subjects:
        file.write_text(subjects)
    plan = RestPlan(
        source="rest:t",
        provider=parse_provider(content(**sections)),
        base_url=server.url,
        credentials=Credentials(),
        patience=Patience(attempts=1, read_timeout=5),
        every_seconds=1,
        pages_max=5,
        start=NOW - timedelta(days=10),
        zone=None,
        subjects_file=file if subjects else None,
        values={},
        state_file=None,
    )
    state = StateFile(folder / "state.json")
    return Poller(plan, state, producer, threading.Event(), now=lambda: NOW)  # type: ignore[arg-type]


def sliced(given: list[Any], size: int, *, param: str, step: int, first: int) -> Any:
    """A route that gives `size` items at the page or offset it is asked for."""

    def route(asked: Asked) -> Reply:
        at = (int(asked.params[param]) - first) * step
        assert asked.params.get("limit") == str(size)
        return Reply(content={"data": given[at : at + size]})

    return route


PAGINGS: list[tuple[dict[str, Any], int, int]] = [
    # paging, step of its parameter in items, requests for 5 items
    ({"kind": "page", "param": "p", "size": 2, "size_param": "limit"}, 2, 3),
    ({"kind": "page", "param": "p", "size": 2, "size_param": "limit", "first": 0}, 2, 3),
    ({"kind": "page", "param": "p", "size": 5, "size_param": "limit"}, 5, 2),
    ({"kind": "offset", "param": "p", "size": 2, "size_param": "limit"}, 1, 3),
]


@pytest.mark.parametrize(("paging", "step", "requests"), PAGINGS)
def test_pages_by_number_and_offset_end_at_one_that_is_not_full(
    server: Carrier, tmp_path: Path, paging: dict[str, Any], step: int, requests: int
) -> None:
    first = paging.get("first", 1 if paging["kind"] == "page" else 0)
    given = items(*"abcde")
    server.routes["/x"] = sliced(given, paging["size"], param="p", step=step, first=first)
    kept = KeptEvents()
    polled = poller(server, tmp_path, kept, paging=paging)
    assert polled.poll() is None
    assert kept.ids == list("abcde")
    assert polled.told()["requests"] == requests
    assert polled.poll() is None
    assert polled.told()["unchanged"] == 5
    assert len(kept.events) == 5


def test_pages_by_cursor_end_where_the_answer_says_so(server: Carrier, tmp_path: Path) -> None:
    def route(asked: Asked) -> Reply:
        at = int(asked.params.get("after", "0"))
        page = {"endCursor": str(at + 2), "hasNextPage": at + 2 < 5}
        return Reply(content={"data": items(*"abcde")[at : at + 2], "pagination": page})

    server.routes["/x"] = route
    kept = KeptEvents()
    paging = {
        "kind": "cursor",
        "path": "pagination.endCursor",
        "more": "pagination.hasNextPage",
        "param": "after",
    }
    assert poller(server, tmp_path, kept, paging=paging).poll() is None
    assert kept.ids == list("abcde")
    assert len(server.asked) == 3


def test_an_endless_answer_is_ended_and_told(server: Carrier, tmp_path: Path) -> None:
    def route(asked: Asked) -> Reply:
        at = int(asked.params.get("after", "0"))
        return Reply(content={"data": items(f"n{at}"), "next": str(at + 1)})

    server.routes["/x"] = route
    kept = KeptEvents()
    paging = {"kind": "cursor", "path": "next", "param": "after"}
    assert "more than 5 pages" in str(poller(server, tmp_path, kept, paging=paging).poll())
    assert len(kept.events) == 5


def test_the_latest_change_is_where_the_next_poll_begins(server: Carrier, tmp_path: Path) -> None:
    given = items(*"abc")
    server.routes["/x"] = lambda asked: Reply(
        content={"data": [one for one in given if one["at"][:19] >= asked.params["since"][:19]]}
    )
    kept = KeptEvents()
    sections: dict[str, Any] = {
        "request": {"path": "/x", "params": {"since": "{since}"}},
        "cursor": {"kind": "latest", "path": "at", "overlap_hours": 1},
    }
    polled = poller(server, tmp_path, kept, **sections)
    assert polled.poll() is None
    assert polled.poll() is None
    assert kept.ids == list("abc")
    assert [asked.params["since"] for asked in server.asked] == [
        "2025-12-22T00:00:00Z",
        "2025-12-23T01:00:00Z",
    ]
    assert polled.told()["items"] == 5


def test_a_token_of_the_answer_is_asked_with_next_time(server: Carrier, tmp_path: Path) -> None:
    def route(asked: Asked) -> Reply:
        at = int(asked.params.get("token", "0"))
        return Reply(content={"data": items(*"abcd")[at : at + 2], "token": str(min(at + 2, 4))})

    server.routes["/x"] = route
    kept = KeptEvents()
    sections: dict[str, Any] = {
        "request": {"path": "/x", "params": {"token": "{token}"}},
        "cursor": {"kind": "token", "path": "token"},
    }
    for _ in range(3):
        # A new process each time: the token is in the file.
        assert poller(server, tmp_path, kept, **sections).poll() is None
    assert kept.ids == list("abcd")
    assert [asked.params.get("token") for asked in server.asked] == [None, "2", "4"]


def test_nothing_is_remembered_that_kafka_has_not_acknowledged(
    server: Carrier, tmp_path: Path
) -> None:
    server.routes["/x"] = lambda asked: Reply(content={"data": items("a")})
    kept = KeptEvents(is_down=True)
    polled = poller(server, tmp_path, kept)
    with pytest.raises(Unavailable, match="Kafka"):
        polled.poll()
    assert not (tmp_path / "state.json").exists()
    kept.is_down = False
    assert polled.poll() is None
    first, second = kept.events
    assert first == second
    assert first.event_id == second.event_id


def test_a_subject_that_fails_does_not_keep_others_waiting_and_many_end_the_poll(
    server: Carrier, tmp_path: Path
) -> None:
    broken = {"b"}

    def route(asked: Asked) -> Reply:
        name = asked.params["id"]
        return Reply(status=500) if name in broken else Reply(content={"data": items(name)})

    server.routes["/x"] = route
    kept = KeptEvents()
    request = {"path": "/x", "params": {"id": "{name}"}}
    polled = poller(server, tmp_path, kept, "name\na\nb\nc\nd\ne\nf\n", request=request)
    assert "500" in str(polled.poll())
    assert kept.ids == list("acdef")
    broken |= {"c", "d"}
    server.asked.clear()
    assert "500" in str(polled.poll())
    assert [asked.params["id"] for asked in server.asked] == list("abcd")
    broken.clear()
    server.asked.clear()
    assert polled.poll() is None
    assert [asked.params["id"] for asked in server.asked] == list("efabcd")
    assert sorted(kept.ids) == list("abcdef")


def test_a_subject_in_a_path_stays_in_its_place(server: Carrier, tmp_path: Path) -> None:
    server.routes["/x/a%2F..%2Fb%3Fc"] = lambda asked: Reply(content={"data": items("a")})
    kept = KeptEvents()
    polled = poller(server, tmp_path, kept, "name\na/../b?c\n", request={"path": "/x/{name}"})
    assert polled.poll() is None
    assert kept.ids == ["a"]


def test_waiting_ends_when_somebody_asks_to_stop(server: Carrier, tmp_path: Path) -> None:
    polled = poller(server, tmp_path, KeptEvents())
    polled.stop.set()
    with pytest.raises(Stopped):
        polled.poll()
    assert server.asked == []


def test_a_link_to_another_host_stops_the_source(server: Carrier, tmp_path: Path) -> None:
    server.routes["/x"] = lambda asked: Reply(
        content={"data": items("a"), "next": "https://elsewhere.example/x"}
    )
    kept = KeptEvents()
    polled = poller(server, tmp_path, kept, paging={"kind": "next_link", "path": "next"})
    with pytest.raises(ConfigurationError, match=r"elsewhere\.example"):
        polled.poll()
    assert kept.ids == ["a"]
