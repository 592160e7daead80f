"""The OpenAPI document: each operation has examples that are what it says, and its tag."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from api.app import create_app
from api.described import EXAMPLES, operations_of, success_of
from api.routes import activities, dead_letters, review
from carbon_ledger.purchasing.production_events import supplier_event
from carbon_ledger.settings import Settings
from pipeline.sources.erp_documents import ErpSystem, lines_of_body, shape_named
from tests.support.reading_ledger import NOWHERE

ADDRESS = "document"
NOW = datetime(2026, 2, 1, tzinfo=UTC)
# Their answers are of now, or are no JSON.
UNTAGGED = {"GET /v1/health", "GET /v1/ready", "GET /v1/entries/export", "GET /metrics"}
FORMATS = FormatChecker()


@FORMATS.checks("date-time", raises=ValueError)
def is_moment(text: object) -> bool:
    return not isinstance(text, str) or datetime.fromisoformat(text).tzinfo is not None


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    nothing = f"postgresql://nobody@{NOWHERE}/nothing"
    settings = {
        "CARBON_HOME": str(tmp_path_factory.mktemp("home")),
        "CARBON_KAFKA_BOOTSTRAP_SERVERS": NOWHERE,
        **{f"CARBON_DATABASE_{name}_URL": nothing for name in ("WRITER", "READER", "GATE")},
    }
    app = create_app(Settings(settings))
    found = app.openapi()
    # Made once, however often it is asked for.
    assert json.dumps(app.openapi()) == json.dumps(found)
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


def faults(document: dict[str, Any]) -> Iterator[str]:
    """Whatever an operation lacks, and each example that is not what its schema says."""
    resource = Resource.from_contents(document, default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource(ADDRESS, resource)

    def wrong(content: dict[str, Any]) -> str | None:
        if "example" not in content:
            return "has no example"
        schema = json.loads(json.dumps(content["schema"]).replace('"#/', f'"{ADDRESS}#/'))
        judge = Draft202012Validator(schema, registry=registry, format_checker=FORMATS)
        return next((one.message for one in judge.iter_errors(content["example"])), None)

    for name, operation in operations_of(document):
        places = []
        for kind, content in operation.get("requestBody", {}).get("content", {}).items():
            if content["schema"].get("format") != "binary":
                places.append((f"{name} body {kind}", content))
        answer = success_of(operation).get("content", {}).get("application/json")
        if answer is not None:
            places.append((f"{name} answer", answer))
        for place, content in places:
            what = wrong(content)
            if what is not None:
                yield f"{place}: {what}"
        if not name.startswith("GET") or name in UNTAGGED:
            continue
        headers = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "header"}
        if "If-None-Match" not in headers:
            yield f"{name}: takes no If-None-Match"
        for status in ("200", "304"):
            if "ETag" not in operation["responses"].get(status, {}).get("headers", {}):
                yield f"{name} {status}: has no ETag"


def test_every_operation_has_examples_of_its_schema_and_its_tag(document: dict[str, Any]) -> None:
    assert list(faults(document)) == []
    told = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    assert set(told) <= {name for name, _ in operations_of(document)}


def test_planted_faults_of_the_document_are_found(document: dict[str, Any]) -> None:
    broken = copy.deepcopy(document)
    one = broken["paths"]["/v1/inventory"]["get"]
    one["responses"]["200"]["content"]["application/json"]["example"]["entries"] = "twelve"
    one["parameters"] = [given for given in one["parameters"] if given["in"] != "header"]
    del one["responses"]["200"]["headers"]
    moment = broken["paths"]["/v1/factor-releases/{release_id}"]["get"]["responses"]["200"]
    moment["content"]["application/json"]["example"]["recorded_at"] = "yesterday"
    body = broken["paths"]["/v1/lineage/sign-offs"]["post"]["requestBody"]["content"]
    body["application/json"]["example"]["verdict"] = "perhaps"
    del broken["paths"]["/3/events"]["post"]["requestBody"]["content"][
        "application/cloudevents+json"
    ]["example"]
    assert {fault.partition(": ")[0] for fault in faults(broken)} == {
        "GET /v1/inventory answer",
        "GET /v1/inventory",
        "GET /v1/inventory 200",
        "GET /v1/factor-releases/{release_id} answer",
        "POST /v1/lineage/sign-offs body application/json",
        "POST /3/events body application/cloudevents+json",
    }


def test_examples_of_bodies_are_taken_as_what_they_are() -> None:
    examples = json.loads(EXAMPLES.read_text(encoding="utf-8"))

    def body(name: str, kind: str = "application/json") -> Any:
        return examples[name]["body"][kind]

    one = body("POST /v1/supplier/declarations")
    answer = examples["POST /v1/supplier/declarations"]["answer"]
    assert supplier_event(one, NOW).event_id == answer["event_id"]
    several = body("POST /v1/supplier/declarations:bulk")
    lines = body("POST /v1/supplier/declarations:bulk", "application/x-ndjson").splitlines()
    assert [json.loads(line) for line in lines] == several
    assert len({supplier_event(one, NOW).event_id for one in several}) == 2
    system = ErpSystem(
        system="sap-prod",
        shape=shape_named("sap_s4hana"),
        entities={"1010": "acme-de"},
        document_prefix="sap-prod:",
    )
    order = "POST /v1/webhooks/erp/{system}"
    (line,) = lines_of_body(body(order), system, NOW)
    assert line.event is not None
    assert [line.event.event_id] == examples[order]["answer"]["events"]
    for model, name in (
        (dead_letters.Replayed, "POST /v1/dead-letters/{letter_id}:replay"),
        (dead_letters.Said, "POST /v1/dead-letters/{letter_id}:discard"),
        (activities.Decision, "POST /v1/activities/{number}/approval"),
        (activities.Decision, "POST /v1/activities/{number}/rejection"),
        (review.SignOffIn, "POST /v1/lineage/sign-offs"),
    ):
        assert model.model_validate(body(name))
