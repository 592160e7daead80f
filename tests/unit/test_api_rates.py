"""How many requests a key may make."""

from __future__ import annotations

from contextlib import suppress

import pytest

from api.problems import Problem
from api.rates import BURST_SECONDS, KEYS_MAX, Rates
from carbon_ledger.errors import ConfigurationError
from carbon_ledger.settings import Settings


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def taken(rates: Rates, key: str, tries: int) -> int:
    """How many of so many requests in a row are taken."""
    count = 0
    for _ in range(tries):
        with suppress(Problem):
            rates.count(key)
            count += 1
    return count


def test_a_key_has_its_rate_and_a_burst_and_no_other_key_s() -> None:
    clock = Clock()
    rates = Rates(10, clock)
    assert taken(rates, "a", 50) == 10 * BURST_SECONDS
    assert taken(rates, "b", 50) == 10 * BURST_SECONDS
    clock.now += 0.5
    assert taken(rates, "a", 50) == 5
    clock.now += 3600
    assert taken(rates, "a", 50) == 10 * BURST_SECONDS


def test_what_is_refused_costs_nothing() -> None:
    clock = Clock()
    rates = Rates(1, clock)
    assert taken(rates, "a", 100) == BURST_SECONDS
    with pytest.raises(Problem) as caught:
        rates.count("a")
    assert (caught.value.status, caught.value.code) == (429, "too_many_requests")
    assert caught.value.headers == {"Retry-After": "1"}
    clock.now += 1
    assert taken(rates, "a", 100) == 1


def test_no_rate_is_any_number_and_no_more_keys_are_remembered_than_may_be() -> None:
    assert taken(Rates(0), "a", 10_000) == 10_000
    rates = Rates(1, Clock())
    for number in range(KEYS_MAX + 10):
        rates.count(str(number))
    assert len(rates._left) == KEYS_MAX


@pytest.mark.parametrize("text", ["-1", "1.5", "many", "9999999"])
def test_a_rate_is_a_whole_number(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Rates.of(Settings({"CARBON_API_REQUESTS_PER_SECOND": text}))
    assert caught.value.code == "setting_rate"
