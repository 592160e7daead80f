"""Factors, releases, lineage and completeness by HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.routes.completeness import CompletenessOut
from api.routes.factors import FactorPageOut, FactorVersionsOut, ReleasesOut
from api.routes.lineage import LineageOut
from carbon_ledger.reference.files import parse
from carbon_ledger.settings import PROJECT_ROOT
from carbon_ledger.store.completeness import completeness
from carbon_ledger.store.reference import apply_statements
from devstack.postgres import Postgres
from factor_seeds.load import release
from spark.trace import Tracer
from tests.support.api_server import make_key
from tests.support.postgres import LedgerDatabase, reading, scratch_database
from tests.support.reading_ledger import post, reading_api, settings_of

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
RELEASE = release()
FACTOR = next(one for one in RELEASE.rows if one.country_iso2 == "DE")
ENTRY = reading(
    1,
    factor_id=FACTOR.factor_id,
    factor_version=FACTOR.version,
    factor_release=RELEASE.release_id,
)
FOREIGN = reading(2, organization_id="acme")


@dataclass(kw_only=True)
class World:
    """A ledger with the shipped factors, reference data, and an entry of each organization."""

    url: str
    home: Path
    database: LedgerDatabase
    headers: dict[str, dict[str, str]]

    def get(self, path: str, key: str = "default", **query: Any) -> httpx.Response:
        return httpx.get(self.url + path, params=query, headers=self.headers[key], timeout=60)


@pytest.fixture(scope="module")
def world(ledger_server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home: Path = tmp_path_factory.mktemp("factors")
    with scratch_database(ledger_server.layout.database_url, with_factors=True) as database:
        with closing(database.writer(autocommit=True)) as conn:
            text = (PROJECT_ROOT / "docs/examples/reference.yaml").read_text(encoding="utf-8")
            stated = parse({"example.yaml": text}).stated
            apply_statements(conn, stated, source="example.yaml", source_sha256=bytes(32))
            post(conn, [ENTRY, FOREIGN])
        scopes = ("factors:read", "lineage:read", "completeness:read")
        with reading_api(database, home) as (url, settings):
            headers = {
                name: {
                    "Authorization": "Bearer "
                    + make_key(settings, scopes=scopes, organization_id=name, supplier_ids=()).text
                }
                for name in ("default", "acme")
            }
            yield World(url=url, home=home, database=database, headers=headers)


def test_a_release_s_factors_are_all_told_as_they_were_published(world: World) -> None:
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = world.get("/v1/factors", limit=1_000, **cursor)
        FactorPageOut.model_validate_json(answer.content)
        page = answer.json()
        assert page["release_id"] == RELEASE.release_id
        found += page["factors"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    expected = {(one.factor_id, one.version): one for one in RELEASE.rows}
    assert len(found) == len(expected)
    for one in found:
        factor = expected.pop((one["factor_id"], one["version"]))
        assert one["sha256"] == factor.sha256
        assert one["kgco2e_per_unit"] == str(factor.kgco2e_per_unit)
        assert (one["publisher"], one["licence"]) == (factor.publisher, factor.licence)
    assert expected == {}


def test_factors_are_narrowed_and_shown_one_by_one(world: World) -> None:
    page = world.get("/v1/factors", country="DE", year=FACTOR.year, limit=1_000).json()
    assert {(one["country_iso2"], one["year"]) for one in page["factors"]} == {("DE", FACTOR.year)}
    assert FACTOR.factor_id in {one["factor_id"] for one in page["factors"]}
    answer = world.get(f"/v1/factors/{FACTOR.factor_id}")
    FactorVersionsOut.model_validate_json(answer.content)
    assert FACTOR.sha256 in {one["sha256"] for one in answer.json()["versions"]}
    assert world.get("/v1/factors/none:XX:1").status_code == 404
    assert world.get("/v1/factors", release="none").status_code == 404
    cursor = world.get("/v1/factors", limit=1).json()["next_cursor"]
    assert world.get("/v1/factors", limit=1, country="FR", cursor=cursor).status_code == 422


def test_what_cannot_change_may_be_kept(world: World) -> None:
    answer = world.get("/v1/factor-releases")
    ReleasesOut.model_validate_json(answer.content)
    (only,) = answer.json()["releases"]
    assert (only["release_id"], only["sha256"]) == (RELEASE.release_id, RELEASE.sha256)
    path = f"/v1/factor-releases/{RELEASE.release_id}"
    first = world.get(path)
    assert first.json() == only
    assert "immutable" in first.headers["Cache-Control"]
    world.headers["again"] = {**world.headers["default"], "If-None-Match": first.headers["ETag"]}
    assert world.get(path, "again").status_code == 304
    assert world.get("/v1/factor-releases/none").status_code == 404


def test_only_a_release_is_kept_without_asking_again(world: World) -> None:
    paths = (
        "/v1/factor-releases",
        "/v1/factors",
        f"/v1/factors/{FACTOR.factor_id}",
        f"/v1/lineage/entries/{ENTRY.entry_id}",
    )
    for path in paths:
        first = world.get(path, **({"limit": 1} if path == "/v1/factors" else {}))
        assert "immutable" not in first.headers["Cache-Control"]


def test_completeness_says_of_its_moment_that_it_is_when_things_were_due(world: World) -> None:
    document = httpx.get(f"{world.url}/v1/openapi.json", timeout=60).json()
    parameters = document["paths"]["/v1/completeness"]["get"]["parameters"]
    (said,) = (one["description"] for one in parameters if one["name"] == "as_of")
    assert said.startswith("what was due at that moment")
    assert "as they stand now" in said


def test_lineage_is_what_the_trace_says(world: World) -> None:
    answer = world.get(f"/v1/lineage/entries/{ENTRY.entry_id}")
    assert answer.status_code == 200, answer.text
    LineageOut.model_validate_json(answer.content)
    found = answer.json()
    assert found["factor"]["factor_id"] == FACTOR.factor_id
    assert Decimal(found["entry"]["kgco2e"]) == ENTRY.kgco2e
    settings = settings_of(world.database, world.home)
    with closing(world.database.reader()) as conn:
        tracer = Tracer(connection=conn, archive_url=settings.archive_url, settings=settings)
        assert found == tracer.entry(ENTRY.entry_id)


def test_lineage_of_somebody_else_is_as_of_nothing(world: World) -> None:
    foreign, nothing = (
        world.get(f"/v1/lineage/entries/{one}")
        for one in (FOREIGN.entry_id, "00000000-0000-8000-8000-000000000000")
    )
    assert foreign.status_code == nothing.status_code == 404
    assert foreign.content == nothing.content
    assert world.get(f"/v1/lineage/entries/{FOREIGN.entry_id}", "acme").status_code == 200


def test_completeness_is_what_the_ledger_says_and_told_to_the_operator_alone(world: World) -> None:
    dates = {"start_date": "2025-03-01", "end_date": "2025-03-31"}
    answer = world.get("/v1/completeness", **dates, as_of="2026-01-01T00:00:00Z")
    assert answer.status_code == 200, answer.text
    CompletenessOut.model_validate_json(answer.content)
    told = answer.json()
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    with closing(world.database.reader()) as conn:
        found = completeness(
            conn, moment.replace(2025, 3).date(), moment.replace(2025, 4).date(), moment
        )
    assert (told["expected"], told["present"]) == (found.expected, found.present)
    assert len(told["gaps"]) == len(found.gaps)
    assert world.get("/v1/completeness", "acme", **dates).status_code == 403
    assert (
        world.get("/v1/completeness", start_date="2024-01-01", end_date="2026-01-01").status_code
        == 422
    )
