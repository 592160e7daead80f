"""What the API counts of its requests, and how Prometheus is told."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.problems import Problem, install_handlers
from api.rates import Rates
from api.request_metrics import CountedRequests, RequestMetrics
from pipeline.metrics import text_of


def figures(counts: RequestMetrics) -> dict[str, float]:
    """By sample its value."""
    lines = text_of(counts.metrics()).splitlines()
    return {
        name: float(value)
        for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")
    }


def fails() -> None:
    raise RuntimeError("planted")


def counted(counts: RequestMetrics) -> TestClient:
    app = FastAPI()
    app.add_api_route("/v1/things/{thing}", lambda thing: {"thing": thing})
    app.add_api_route("/v1/fails", fails)
    install_handlers(app)
    app.add_middleware(CountedRequests, counts=counts)
    return TestClient(app, raise_server_exceptions=False)


def test_requests_are_counted_by_template_and_status() -> None:
    counts = RequestMetrics()
    client = counted(counts)
    for path in ("/v1/things/1", "/v1/things/2", "/v1/fails", "/wp-admin", "/etc"):
        client.get(path)
    client.request("PROPFIND", "/v1/things/1")
    found = figures(counts)
    assert {
        name: value for name, value in found.items() if name.startswith("carbon_api_requests_total")
    } == {
        'carbon_api_requests_total{method="GET",route="/v1/things/{thing}",status="200"}': 2,
        'carbon_api_requests_total{method="GET",route="/v1/fails",status="500"}': 1,
        'carbon_api_requests_total{method="GET",route="unmatched",status="404"}': 2,
        'carbon_api_requests_total{method="other",route="/v1/things/{thing}",status="405"}': 1,
    }
    assert found["carbon_api_requests_under_way"] == 0


def test_durations_are_cumulative_and_end_with_all_of_them() -> None:
    moments = iter((0.0, 0.05, 1.0, 1.051, 2.0, 99.0))
    counts = RequestMetrics(clock=lambda: next(moments))
    for _ in range(3):
        counts.end(counts.begin(), "GET", "/v1/a", 200)
    found = figures(counts)
    name = "carbon_api_request_duration_seconds"
    labels = 'method="GET",route="/v1/a"'
    within = {
        bound: found[f'{name}_bucket{{{labels},le="{bound}"}}']
        for bound in ("0.025", "0.05", "0.1", "30", "+Inf")
    }
    assert within == {"0.025": 0, "0.05": 1, "0.1": 2, "30": 2, "+Inf": 3}
    assert found[f"{name}_count{{{labels}}}"] == 3
    assert found[f"{name}_sum{{{labels}}}"] == pytest.approx(97.101)


def test_an_export_is_told_whole_or_broken_off() -> None:
    counts = RequestMetrics()
    assert b"".join(counts.export("csv", iter([b"ab", b"c"]))) == b"abc"

    def breaks() -> Iterator[bytes]:
        yield b"abcd"
        raise RuntimeError("planted")

    with pytest.raises(RuntimeError):
        list(counts.export("ndjson", breaks()))
    left = counts.export("parquet", (b"x" for _ in count()))
    next(left)
    assert figures(counts)["carbon_api_exports_under_way"] == 1
    left.close()
    found = figures(counts)
    assert found["carbon_api_exports_under_way"] == 0
    assert found['carbon_api_exports_total{format="csv",outcome="whole"}'] == 1
    for form in ("ndjson", "parquet"):
        assert found[f'carbon_api_exports_total{{format="{form}",outcome="broken_off"}}'] == 1
    assert found['carbon_api_export_bytes_total{format="ndjson"}'] == 4


def test_a_refusal_by_rate_is_counted() -> None:
    counts = RequestMetrics()
    rates = Rates(1, clock=lambda: 0.0, on_refusal=counts.refuse)
    rates.count("a")
    rates.count("a")
    with pytest.raises(Problem):
        rates.count("a")
    assert figures(counts)["carbon_api_rate_refusals_total"] == 1
