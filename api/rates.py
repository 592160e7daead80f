"""How many requests each key may make.

Belongs here: counting them in this process. Does not: how large a request or an answer may be
(api.bodies, the routes).
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final

from api.problems import Problem
from carbon_ledger.errors import ConfigurationError
from carbon_ledger.settings import Settings

# So many seconds' worth may come at once.
BURST_SECONDS: Final = 2
KEYS_MAX: Final = 10_000


class Rates:
    """`per_second` requests of a key on average, BURST_SECONDS of them at once; 0: any number.

    For several threads. Of more than KEYS_MAX keys those are forgotten that came longest ago.
    """

    def __init__(
        self,
        per_second: int,
        clock: Callable[[], float] = monotonic,
        on_refusal: Callable[[], None] = lambda: None,
    ) -> None:
        self._per_second, self._on_refusal = per_second, on_refusal
        self._clock = clock
        self._lock = threading.Lock()
        # By key: when, and how many requests were left then.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    @classmethod
    def of(cls, settings: Settings, on_refusal: Callable[[], None] = lambda: None) -> Rates:
        """Those of CARBON_API_REQUESTS_PER_SECOND; ConfigurationError `setting_rate`."""
        text = settings["CARBON_API_REQUESTS_PER_SECOND"]
        if not (text.isascii() and text.isdigit() and len(text) <= 6):
            raise ConfigurationError(
                "setting_rate",
                f"CARBON_API_REQUESTS_PER_SECOND is {text!r}; valid is a whole number, 0 for any",
            )
        return cls(int(text), on_refusal=on_refusal)

    def count(self, key_id: str) -> None:
        """One more request of a key; Problem 429 `too_many_requests` if it is one too many."""
        if not self._per_second:
            return
        most = float(self._per_second * BURST_SECONDS)
        now = self._clock()
        with self._lock:
            then, left = self._left.pop(key_id, (now, most))
            left = min(most, left + (now - then) * self._per_second)
            is_taken = left >= 1
            self._left[key_id] = (now, left - 1 if is_taken else left)
            if len(self._left) > KEYS_MAX:
                self._left.popitem(last=False)
        if not is_taken:
            self._on_refusal()
            wait = max(1, math.ceil((1 - left) / self._per_second))
            raise Problem(
                429,
                "too_many_requests",
                "the key makes more requests than it may",
                valid=f"{self._per_second} requests a second",
                headers={"Retry-After": str(wait)},
            )
