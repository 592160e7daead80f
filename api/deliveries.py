"""Deliveries taken lately, so that one that comes again is answered without being sent again.

Belongs here: what was answered, for a bounded number of them. Does not: keeping anything for good:
after a restart a delivery is sent again, with the same event ids, which the ledger takes once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, Final

DELIVERIES_MAX: Final = 2_000
# An answer of more parts is not kept: such a delivery is sent again if it comes again.
PARTS_MAX: Final = 500


class Deliveries:
    """Answers by source and hash of the body; the oldest make room. For several threads."""

    def __init__(self, maximum: int = DELIVERIES_MAX) -> None:
        self._maximum = maximum
        self._lock = threading.Lock()
        self._answers: OrderedDict[tuple[str, str], dict[str, Any]] = OrderedDict()

    def find(self, source: str, digest: str) -> dict[str, Any] | None:
        """What was answered, if it was taken lately."""
        with self._lock:
            return self._answers.get((source, digest))

    def add(self, source: str, digest: str, answer: dict[str, Any]) -> None:
        """Remembers an answer: of a delivery that Kafka has acknowledged, never of another."""
        if sum(len(part) for part in answer.values()) > PARTS_MAX:
            return
        with self._lock:
            self._answers[source, digest] = answer
            while len(self._answers) > self._maximum:
                self._answers.popitem(last=False)
