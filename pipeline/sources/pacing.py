"""Sending no faster than asked, without drifting from the clock.

Belongs here: the pacer every source uses. Does not: what is sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Pacer:
    """Holds back the n-th item until n / `per_second` after the first; None never holds back.

    A source that fell behind catches up at full speed: the average is what is asked, not the gaps.
    """

    per_second: float | None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    items: int = 0
    _begun: float | None = field(default=None, repr=False)

    def wait(self) -> None:
        """Returns when the next item may go."""
        if self.per_second is None:
            return
        if self._begun is None:
            self._begun = self.clock()
        ahead = self._begun + self.items / self.per_second - self.clock()
        if ahead > 0:
            self.sleep(ahead)
        self.items += 1
