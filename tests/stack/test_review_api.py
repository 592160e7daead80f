"""Samples and sign-offs over the API and on the terminal: the same as on the pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from carbon_ledger.access_keys import NewKey
from cli.audit_commands import audit
from devstack.postgres import Postgres
from tests.support.api_server import make_key
from tests.support.review_world import ReviewWorld, review_world

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
NOWHERE = "00000000-0000-8000-8000-000000000000"
CELL = "E1-6/total_location/current"


@pytest.fixture(scope="module")
def world(
    ledger_server: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ReviewWorld]:
    folder: Path = tmp_path_factory.mktemp("review_api")
    with review_world(ledger_server, folder) as found:
        yield found


def key(world: ReviewWorld, role: str = "auditor", **changes: Any) -> NewKey:
    return make_key(world.settings, role=role, scopes=(), holder=f"{role} and Co", **changes)


def ask(world: ReviewWorld, who: NewKey, path: str, **given: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {who.text}"}
    method = "POST" if "json" in given else "GET"
    return httpx.request(method, world.url + path, headers=headers, timeout=60, **given)


@pytest.fixture
def carbon(world: ReviewWorld, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("CARBON_DATABASE_READER_URL", world.ledger.database.reader_url)
    monkeypatch.setenv("CARBON_ORGANIZATIONS", "default")

    def run(*words: str) -> Any:
        done = CliRunner().invoke(audit, list(words))
        return done if done.exception else done.stdout

    return run


@pytest.mark.parametrize("cell_id", [None, CELL])
@pytest.mark.parametrize("method", ["monetary_unit", "simple_random"])
def test_a_sample_is_the_same_by_api_terminal_and_page(
    world: ReviewWorld, carbon: Any, cell_id: str | None, method: str
) -> None:
    auditor = key(world)
    params = {"method": method, "seed": 5, "n": 4}
    path = f"/v1/lineage/reports/{world.esrs}/sample"
    of_cell = {} if cell_id is None else {"cell_id": cell_id}
    answer = ask(world, auditor, path, params={**params, **of_cell})
    assert answer.status_code == 200, answer.text
    sample = answer.json()
    again = ask(world, auditor, path, params={**params, **of_cell})
    assert again.content == answer.content
    option = () if cell_id is None else ("--cell", cell_id)
    words = ("sample", str(world.esrs), "--method", method, "--seed", "5", "-n", "4", *option)
    told = json.loads(carbon(*words, "--json"))
    assert {**told, "entries": None} == {**sample, "as_of": told["as_of"], "entries": None}
    ids = [one["entry_id"] for one in sample["entries"]]
    assert [one["entry_id"] for one in told["entries"]] == ids
    assert sample["sha256"] in carbon(*words)
    with httpx.Client(base_url=world.url, timeout=60) as browser:
        browser.post("/review/login", data={"key": auditor.text})
        cell = {} if cell_id is None else {"cell": cell_id}
        page = browser.get(f"/review/reports/{world.esrs}/sample", params={**params, **cell})
    assert sample["sha256"] in page.text
    # Of the twelve of the year the market-based one is in no location-based total.
    assert (sample["population"], len(ids)) == (12 if cell_id is None else 11, 4)


def test_a_sample_is_refused_where_there_is_nothing_to_draw_from(
    world: ReviewWorld, carbon: Any
) -> None:
    auditor, path = key(world), f"/v1/lineage/reports/{world.esrs}/sample"
    for params, status in (
        ({"cell_id": "none"}, 404),
        ({"cell_id": "E1-6/scope_1/milestone"}, 404),
        ({"n": 0}, 422),
        ({"method": "by_eye"}, 422),
        ({"seed": -1}, 422),
        ({"cell": CELL}, 422),
    ):
        assert ask(world, auditor, path, params=params).status_code == status, params
    refused = carbon("sample", str(world.esrs), "--cell", "none")
    assert "has no cell 'none'" in str(refused.exception)


def test_sign_offs_are_added_and_listed_by_api_and_terminal(
    world: ReviewWorld, carbon: Any
) -> None:
    auditor, snapshot = key(world), str(world.esrs)
    subjects: list[dict[str, Any]] = [
        {"kind": "cell", "snapshot_id": snapshot, "cell_id": CELL},
        {"kind": "sample", "snapshot_id": snapshot, "method": "monetary_unit", "seed": 5, "n": 4},
        {
            **{"kind": "sample", "snapshot_id": snapshot, "cell_id": CELL},
            **{"method": "simple_random", "seed": 5, "n": 4},
        },
    ]
    numbers = []
    for subject in (*subjects, subjects[0]):
        given = {**subject, "verdict": "follow_up", "note": "which meter?"}
        answer = ask(world, auditor, "/v1/lineage/sign-offs", json=given)
        assert answer.status_code == 201, answer.text
        numbers.append(answer.json()["sign_off_id"])
    listed = ask(world, key(world, "reporter"), "/v1/lineage/sign-offs").json()["sign_offs"]
    assert [one["sign_off_id"] for one in listed] == numbers[::-1]
    assert [one["stands"] for one in listed] == [True, True, True, False]
    drawn = ask(
        world, auditor, f"/v1/lineage/reports/{snapshot}/sample", params={"seed": 5, "n": 4}
    ).json()
    assert listed[2]["subject_sha256"] == drawn["sha256"]
    told = json.loads(carbon("sign-offs", "--snapshot", snapshot, "--json"))
    for one, other in zip(told, listed, strict=True):
        names = set(one) & set(other) - {"recorded_at"}
        assert {name: one[name] for name in names} == {name: other[name] for name in names}
    assert "(superseded)" in carbon("sign-offs")
    page = ask(world, auditor, "/v1/lineage/sign-offs", params={"limit": 2}).json()
    rest = ask(world, auditor, "/v1/lineage/sign-offs", params={"before": page["next_before"]})
    assert page["sign_offs"] + rest.json()["sign_offs"] == listed
    only = ask(world, auditor, "/v1/lineage/sign-offs", params={"kind": "cell", "cell_id": CELL})
    assert len(only.json()["sign_offs"]) == 2


def test_a_sign_off_is_refused_of_what_is_not_there_or_somebody_else_s_or_unclear(
    world: ReviewWorld,
) -> None:
    auditor, path = key(world), "/v1/lineage/sign-offs"
    before = ask(world, auditor, path).content
    ((foreign,),) = world.ledger.rows(
        "select entry_id from ledger.entry where organization_id = 'other'"
    )
    answers = [
        ask(world, auditor, path, json={"verdict": "agreed", **subject})
        for subject in (
            {"kind": "entry", "entry_id": NOWHERE},
            {"kind": "entry", "entry_id": str(foreign)},
            {"kind": "cell", "snapshot_id": str(world.foreign), "cell_id": CELL},
            {"kind": "cell", "snapshot_id": str(world.esrs), "cell_id": "none"},
        )
    ]
    assert {one.status_code for one in answers} == {404}
    assert len({one.content for one in answers}) == 1
    cell = {"kind": "cell", "snapshot_id": str(world.esrs), "cell_id": CELL}
    for given, status in (
        ({**cell, "entry_id": NOWHERE, "verdict": "agreed"}, 422),
        ({"kind": "cell", "cell_id": CELL, "verdict": "agreed"}, 422),
        ({"kind": "sample", "snapshot_id": str(world.esrs), "verdict": "agreed"}, 422),
        ({**cell, "verdict": "fine"}, 422),
        ({**cell, "verdict": "exception"}, 422),
        ({**cell, "verdict": "agreed", "note": "a\x00b"}, 400),
        ({**cell, "verdict": "agreed", "more": 1}, 422),
    ):
        answer = ask(world, auditor, path, json=given)
        assert answer.status_code == status, answer.text
    for role in ("reporter", "operator", "service", "supplier"):
        refused = ask(world, key(world, role), path, json={**cell, "verdict": "agreed"})
        assert refused.status_code == 403
    assert ask(world, auditor, path).content == before
