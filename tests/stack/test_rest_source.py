"""`carbon source run` of REST sources: a carrier's server with real sockets, into real Kafka."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import fastavro
import pytest

from carbon_ledger import settings as settings_module
from carbon_ledger.settings import PROJECT_ROOT, Settings
from carbon_ledger.stream_events import event_of, widest_schema_file
from pipeline.topics import DEAD_LETTERS, TOPIC_NAMED
from tests.support.carrier_answers import (
    dhl_answer,
    dhl_shipment,
    fedex_answer,
    fedex_result,
    samsara_trip,
)
from tests.support.carrier_server import Asked, Carrier, Reply, carrier
from tests.support.kafka_reading import Since

pytestmark = pytest.mark.stack

SHIPMENTS, TRIPS = "raw.logistics", "raw.transport"


@pytest.fixture
def settings(stack: object) -> Settings:
    return settings_module.load()


@pytest.fixture
def server() -> Iterator[Carrier]:
    with carrier() as running:
        yield running


@dataclass(frozen=True, kw_only=True)
class Source:
    """A configured source in a folder of its own."""

    folder: Path
    name: str

    def run(self, **environ: str) -> subprocess.CompletedProcess[str]:
        """Polls once."""
        path = self.folder / f"{self.name}.toml"
        return subprocess.run(
            [sys.executable, "-m", "cli.main", "source", "run", str(path), "--once"],
            cwd=PROJECT_ROOT,
            env={**os.environ, "TEST_KEY": "hush", **environ},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def counts(self) -> dict[str, Any]:
        """The counts of a poll that found everything in order."""
        done = self.run()
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    @property
    def state(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "state.json").read_text())
        subjects: dict[str, Any] = content["subjects"]
        return subjects


def source(folder: Path, server: Carrier, provider: str, subjects: str, **more: str) -> Source:
    """A source of `provider` at the server, quick to try again."""
    name = f"t-{uuid4().hex[:8]}"
    (folder / "subjects.csv").write_text(subjects)
    lines = {
        "auth": 'kind = "header"\nname = "DHL-API-Key"\nkey_env = "TEST_KEY"',
        "values": 'payer = "reporter"',
        "limits": "attempts = 4\nfirst_wait = 0.02\nlongest_wait = 0.05\nread_timeout = 5",
        "top": "",
        **more,
    }
    (folder / f"{name}.toml").write_text(
        f'kind = "rest"\nprovider = "{provider}"\nbase_url = "{server.url}"\n'
        f'state_file = "state.json"\nsubjects_file = "subjects.csv"\n{lines["top"]}\n'
        f"[auth]\n{lines['auth']}\n[limits]\n{lines['limits']}\n"
        + (f"[values]\n{lines['values']}\n" if lines["values"] else "")
    )
    return Source(folder=folder, name=name)


def events_in(since: Since, keys: set[str]) -> list[Any]:
    """The events with these keys that arrived, in the order of their ids."""
    stream = str(TOPIC_NAMED[since.topic].stream)
    schema = fastavro.parse_schema(json.loads(widest_schema_file(stream)))
    found = [
        event_of(
            stream,
            dict(fastavro.schemaless_reader(io.BytesIO(one.value()[5:]), schema)),
            datetime.now(UTC),
        )
        for one in since.records()
        if one.key() and one.key().decode() in keys
    ]
    return sorted(found, key=lambda one: one.event_id)


def letters_of(since: Since, name: str) -> list[tuple[dict[str, str], bytes]]:
    """Dead letters of a source: headers and bytes."""
    found = []
    for one in since.records():
        headers = {key: (value or b"").decode() for key, value in one.headers() or []}
        if headers.get("carbon.source") == f"rest:{name}":
            found.append((headers, one.value()))
    return found


def numbers(count: int) -> list[str]:
    return [f"N{uuid4().hex[:10]}" for _ in range(count)]


def listed(*given: str) -> str:
    return "\n".join(["tracking_number", *given]) + "\n"


def by_number(shipments: dict[str, Any]) -> Any:
    """A tracking route: the shipment of the number, 404 for one that is not known."""

    def route(asked: Asked) -> Reply:
        found = shipments.get(asked.params["trackingNumber"])
        if found is None:
            return Reply(status=404, content={"title": "No result found"})
        return found if isinstance(found, Reply) else Reply(content=dhl_answer(found))

    return route


def test_shipments_arrive_once_whatever_the_server_does_and_a_later_state_corrects(
    settings: Settings, server: Carrier, tmp_path: Path
) -> None:
    one, two, bad, unknown = numbers(4)
    shipments = {
        one: dhl_shipment(one, "transit"),
        two: dhl_shipment(two),
        bad: dhl_shipment(bad, "transit", service="dgf"),
    }
    server.routes["/shipments"] = by_number(shipments)
    server.script += [
        Reply(status=429, headers={"Retry-After": "1"}),
        Reply(status=503),
        Reply(content=b'{"shipments": [{"id', cut=100),
    ]
    dhl = source(tmp_path, server, "dhl_unified_tracking", listed(one, two, bad, unknown))
    since, dead = (
        Since(settings=settings, topic=SHIPMENTS),
        Since(settings=settings, topic=DEAD_LETTERS),
    )
    counts = dhl.counts()
    assert (counts["sent"], counts["dead_letters"], counts["retries"]) == (2, 1, 3)
    assert (counts["requests"], counts["failed"]) == (7, 0)
    assert {asked.headers.get("DHL-API-Key") for asked in server.asked} == {"hush"}
    found = events_in(since, {one, two, bad, unknown})
    assert [(event.shipment_id, event.status, event.revision) for event in found] == sorted(
        [(one, "departed", 100), (two, "delivered", 200)]
    )
    ((headers, payload),) = letters_of(dead, dhl.name)
    assert headers["carbon.reason_code"] == "item_value_unknown"
    assert headers["carbon.coordinates"].endswith(f"trackingNumber={bad} page 1 item 0")
    assert (headers["carbon.field"], headers["carbon.value"]) == ("mode", "dgf")
    assert headers["carbon.stream"] == "logistics"
    assert json.loads(payload)["id"] == bad
    assert b"somebody" not in payload

    again = dhl.counts()
    assert (again["sent"], again["dead_letters"], again["unchanged"]) == (0, 0, 2)
    shipments[one] = dhl_shipment(one)
    shipments[two] = dhl_shipment(two, details={"weight": {"value": 300, "unitText": "kg"}})
    assert dhl.counts()["sent"] == 2
    found = events_in(since, {one, two})
    assert {(event.shipment_id, event.status, event.revision) for event in found} == {
        (one, "departed", 100),
        (one, "delivered", 200),
        (two, "delivered", 200),
        (two, "delivered", 201),
    }
    assert len(found) == 4
    assert len(letters_of(dead, dhl.name)) == 1


def paged(server: Carrier, pages: list[list[Any]], after: dict[int, str]) -> None:
    """A tracking route whose answer has several pages; `after` bends the link of a page."""

    def route(asked: Asked) -> Reply:
        page = int(asked.params.get("page", "1"))
        plain = f"/shipments?trackingNumber=all&page={page + 1}" if page < len(pages) else None
        link = after.get(page, plain)
        return Reply(content=dhl_answer(*pages[page - 1], next_url=link))

    server.routes["/shipments"] = route


LOOPS = [
    # page 2 leads back to page 1; page 2 to itself; page 2 is page 1 under another address
    ({2: "/shipments?trackingNumber=all"}, False),
    ({2: "/shipments?trackingNumber=all&page=2"}, False),
    ({}, True),
]


@pytest.mark.parametrize(("after", "is_repeated"), LOOPS)
def test_pages_that_go_round_are_told_and_add_nothing_twice(
    settings: Settings, server: Carrier, tmp_path: Path, after: dict[int, str], is_repeated: bool
) -> None:
    given = numbers(4)
    pages = [[dhl_shipment(one) for one in given[:2]], [dhl_shipment(one) for one in given[2:]]]
    bent = after
    if is_repeated:
        pages.insert(1, pages[0])
        # The same bytes, so the same link, although it is another page.
        bent = dict.fromkeys((1, 2), "/shipments?trackingNumber=all&page=2")
    paged(server, pages, bent)
    dhl = source(tmp_path, server, "dhl_unified_tracking", listed("all"))
    since = Since(settings=settings, topic=SHIPMENTS)
    done = dhl.run()
    assert done.returncode == 1
    assert "leads back to an earlier" in done.stderr or "is one that was there" in done.stderr
    assert len(server.asked) <= 3
    found = [event.shipment_id for event in events_in(since, set(given))]
    assert found == sorted(given[:2] if is_repeated else given)


def test_a_poller_killed_between_kafka_and_its_cursor_loses_and_doubles_nothing(
    settings: Settings, server: Carrier, tmp_path: Path
) -> None:
    given = numbers(6)
    paged(server, [[dhl_shipment(one) for one in given[n : n + 2]] for n in (0, 2, 4)], {})
    dhl = source(tmp_path, server, "dhl_unified_tracking", listed("all"))
    since = Since(settings=settings, topic=SHIPMENTS)
    killed = dhl.run(CARBON_FAILPOINT="producer_flushed:2")
    assert killed.returncode == -9
    assert len(events_in(since, set(given))) == 4
    assert len(dhl.state["all"]["sent"]) == 2
    counts = dhl.counts()
    assert (counts["unchanged"], counts["sent"]) == (2, 4)
    values: dict[str, list[bytes]] = {}
    for one in since.records():
        if one.key().decode() in given:
            values.setdefault(one.key().decode(), []).append(one.value())
    assert {key: len(found) for key, found in values.items()} == {
        key: 2 if key in given[2:4] else 1 for key in given
    }
    assert all(len(set(found)) == 1 for found in values.values())
    assert dhl.counts()["sent"] == 0


def test_packages_behind_a_token_that_ends_arrive(
    settings: Settings, server: Carrier, tmp_path: Path
) -> None:
    given = numbers(3)
    tokens: list[str] = []
    uses: list[str] = []

    def token(asked: Asked) -> Reply:
        assert b"client_id=us" in asked.body
        tokens.append(f"t{len(tokens)}")
        return Reply(content={"access_token": tokens[-1], "expires_in": 3600})

    def track(asked: Asked) -> Reply:
        said = asked.headers.get("Authorization", "")
        uses.append(said)
        if said != f"Bearer {tokens[-1]}" or uses.count(said) > 2:
            return Reply(status=401)
        number = json.loads(asked.body)["trackingInfo"][0]["trackingNumberInfo"]["trackingNumber"]
        return Reply(content=fedex_answer(fedex_result(number)))

    server.routes |= {"/oauth/token": token, "/track/v1/trackingnumbers": track}
    auth = (
        f'kind = "oauth2"\ntoken_url = "{server.url}/oauth/token"\nclient_id = "us"\n'
        'client_secret_env = "TEST_KEY"'
    )
    fedex = source(tmp_path, server, "fedex_track", listed(*given), auth=auth)
    since = Since(settings=settings, topic=SHIPMENTS)
    assert fedex.counts()["sent"] == 3
    assert len(tokens) == 2
    found = events_in(since, set(given))
    assert [event.mass_kg for event in found] == [Decimal("9.97903214")] * 3


def test_trips_come_by_windows_and_late_or_changed_ones_are_found_again(
    settings: Settings, server: Carrier, tmp_path: Path
) -> None:
    vehicle = f"van-{uuid4().hex[:8]}"
    begun = datetime.now(UTC) - timedelta(days=70)
    ms = [int((begun + timedelta(days=day)).timestamp() * 1000) for day in (1, 65, 69)]
    trips = [samsara_trip(ms[0]), samsara_trip(ms[1])]

    def route(asked: Asked) -> Reply:
        low, high = int(asked.params["startMs"]), int(asked.params["endMs"])
        assert high - low <= 90 * 86_400_000
        assert asked.params["vehicleId"] == "281"
        return Reply(content={"trips": [one for one in trips if low <= one["startMs"] <= high]})

    server.routes["/v1/fleet/trips"] = route
    columns = "samsara_id,vehicle_id,vehicle_class,country_iso2,fuel_type"
    samsara = source(
        tmp_path,
        server,
        "samsara_trips",
        f"{columns}\n281,{vehicle},van_average,GB,diesel\n",
        values="",
        top=f'start = "{begun.isoformat()}"',
    )
    since = Since(settings=settings, topic=TRIPS)
    counts = samsara.counts()
    assert (counts["sent"], counts["pages"]) == (2, 2)
    trips.append(samsara_trip(ms[2]))
    trips[0]["fuelConsumedMl"] = 1
    trips.append(samsara_trip(ms[2] + 3_600_000, endMs=9_223_372_036_854_775_807))
    counts = samsara.counts()
    assert (counts["sent"], counts["pages"], counts["skipped"]) == (1, 1, 1)
    trips[2]["fuelConsumedMl"] = 12_000
    assert samsara.counts()["sent"] == 1
    found = events_in(since, {vehicle})
    assert [(event.trip_id, event.revision, event.fuel_litres) for event in found] == [
        (str(ms[0]), 0, Decimal("11.25")),
        (str(ms[1]), 0, Decimal("11.25")),
        (str(ms[2]), 0, Decimal("11.25")),
        (str(ms[2]), 1, Decimal(12)),
    ]


def test_a_key_that_is_not_accepted_stops_the_source_and_says_what_to_do(
    settings: Settings, server: Carrier, tmp_path: Path
) -> None:
    server.routes["/shipments"] = lambda asked: Reply(status=403, content={"title": "no rights"})
    dhl = source(tmp_path, server, "dhl_unified_tracking", listed("X"))
    done = dhl.run()
    assert done.returncode == 1
    assert "no rights" in done.stderr
    assert "check its rights with the provider" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_answer_of_another_shape_stops_the_source_and_moves_no_cursor(
    settings: Settings, server: Carrier, tmp_path: Path
) -> None:
    server.routes["/v1/fleet/trips"] = lambda asked: Reply(content={"data": []})
    samsara = source(
        tmp_path,
        server,
        "samsara_trips",
        "samsara_id,vehicle_id,vehicle_class,country_iso2\n1,v,van_average,GB\n",
        values="",
        top='start = "2026-01-01T00:00:00Z"',
    )
    done = samsara.run()
    assert done.returncode == 1
    assert "it has no 'trips'" in done.stderr
    assert not (tmp_path / "state.json").exists()
