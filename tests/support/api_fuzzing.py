"""Schemathesis against a running API: requests made from its OpenAPI document, each answer judged.

Belongs here: which requests are made, as whom, and what counts as a fault of an answer. Does not:
the server, its ledger and its keys (tests/stack/test_api_schema.py).

Requests are drawn operation by operation: three of five of what the document allows, the others of
what it forbids. Where a parameter names something, every other request names something that is
there, or else most answers would be 404.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Err
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = (
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)
ALLOWED, FORBIDDEN = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
# Of five requests of an operation.
SHARES = {ALLOWED: 3, FORBIDDEN: 2}
BATCH = 20
ROUNDS_MAX = 1_000
ANSWER_SECONDS = 60
SHOWN = 1_500
# Keys are the callers'; what the document says of them is not drawn at random.
CONFIG = {"generation": {"with-security-parameters": False}}


@dataclass(kw_only=True)
class Fuzzed:
    """What was asked and answered. `faults` has each kind once: what is wrong, and how to ask."""

    requests: int = 0
    statuses: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)

    def by_status(self) -> dict[int, int]:
        """How many answers had which status."""
        found: Counter[int] = Counter()
        for (_, _, status), number in self.statuses.items():
            found[status] += number
        return dict(sorted(found.items()))


def fuzz(
    url: str,
    callers: Mapping[str, Mapping[str, str]],
    *,
    requests_wanted: int,
    known: Mapping[str, Sequence[Any]],
    seed: int,
    weights: Mapping[str, int] | None = None,
    only: str | None = None,
    skip: Sequence[str] = (),
) -> Fuzzed:
    """Asks at least so many times, as each of the callers (name to headers); the same seed asks the
    same. `known` has, by parameter, values that are there; `weights`, by caller, how much more
    often it asks than others; `only` is one path and `skip` has others, for tests of this.
    """
    schema = schemathesis.openapi.from_url(
        f"{url}/v1/openapi.json", config=SchemathesisConfig.from_dict(CONFIG)
    )
    found = Fuzzed()
    who = [name for name in sorted(callers) for _ in range((weights or {}).get(name, 1))]
    operations: list[Any] = []
    for one in schema.get_all_operations():
        if isinstance(one, Err):
            raise AssertionError(f"the document is not valid: {one.err()}")
        operations.append(one.ok())
    drawn = [
        (operation, operation.as_strategy(generation_mode=mode), share)
        for operation in operations
        if (only is None or operation.path == only) and operation.path not in skip
        for mode, share in SHARES.items()
    ]
    with requests.Session() as session:
        for turn in range(ROUNDS_MAX):
            for operation, cases, share in drawn:
                asked = min(share * BATCH, 5 + (requests_wanted - found.requests))
                if asked > 0:
                    _ask(operation, cases, found, session, callers, who, known, asked, seed + turn)
            if found.requests >= requests_wanted:
                return found
    raise AssertionError(f"{found.requests} requests in {ROUNDS_MAX} rounds")


def _ask(
    operation: Any,
    cases: st.SearchStrategy[Any],
    found: Fuzzed,
    session: requests.Session,
    callers: Mapping[str, Mapping[str, str]],
    names: Sequence[str],
    known: Mapping[str, Sequence[Any]],
    number: int,
    seed: int,
) -> None:
    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=number,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=cases, who=st.sampled_from(names), data=st.data())
    def one(case: Any, who: str, data: st.DataObject) -> None:
        for parameters in (case.path_parameters, case.query):
            for name in parameters or {}:
                if name in known and data.draw(st.booleans()):
                    parameters[name] = data.draw(st.sampled_from(known[name]))
        for name in ("Authorization", "authorization"):
            case.headers.pop(name, None)
        case.headers.update(callers[who])
        answer = case.call(session=session, timeout=ANSWER_SECONDS)
        found.requests += 1
        found.statuses[who, operation.label, answer.status_code] += 1
        try:
            case.validate_response(answer, checks=list(CHECKS))
        except FailureGroup as group:
            for failure in group.exceptions:
                kind = f"{operation.label} {answer.status_code}: {failure.title}"
                shown = f"as {who}: {failure.message}\n{answer.text}\n{case.as_curl_command()}"
                if kind not in found.faults:
                    # Said at once: whoever waits for 100,000 requests need not wait for this.
                    print(f"fault: {kind}\n{shown[:SHOWN]}", flush=True)  # noqa: T201
                    found.faults[kind] = shown[:SHOWN]

    # An operation without a parameter has nothing that is forbidden.
    with suppress(hypothesis.errors.Unsatisfiable):
        one()
