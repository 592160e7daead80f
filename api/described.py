"""What the OpenAPI document says of operations besides what FastAPI sees: examples, entity tags.

Belongs here: putting them into the document. Does not: the examples themselves
(openapi_examples.json, by method and path: bodies by media type, and the answer).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

EXAMPLES: Final = Path(__file__).with_name("openapi_examples.json")
_TAG: Final[dict[str, Any]] = {
    "description": "of these bytes of the answer; sent back as `If-None-Match`",
    "schema": {"type": "string"},
    "example": '"9f86d081884c7d659a2feaa0c55ad015"',
}
_IF_NONE_MATCH: Final[dict[str, Any]] = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "the `ETag` of an answer that the caller has: 304 if it is still the same",
    "schema": {"type": "string"},
    "example": '"9f86d081884c7d659a2feaa0c55ad015"',
}


def describe(document: dict[str, Any]) -> None:
    """Adds to each operation its examples, and the tag of its answer where there is one."""
    examples: dict[str, Any] = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    for name, operation in operations_of(document):
        example = examples.get(name, {})
        for kind, body in example.get("body", {}).items():
            operation["requestBody"]["content"][kind]["example"] = body
        if "answer" in example:
            content = success_of(operation)["content"]
            content["application/json"]["example"] = example["answer"]
        if "304" in operation["responses"]:
            operation.setdefault("parameters", []).append(_IF_NONE_MATCH)
            for status in ("200", "304"):
                operation["responses"][status].setdefault("headers", {})["ETag"] = _TAG


def operations_of(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each operation, by method and path such as `GET /v1/inventory`."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def success_of(operation: dict[str, Any]) -> dict[str, Any]:
    """The answer of an operation that did what was asked."""
    found: dict[str, Any] = next(
        answer for status, answer in operation["responses"].items() if status.startswith("2")
    )
    return found
