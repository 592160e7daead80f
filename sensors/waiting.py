"""How long is waited after attempts that failed.

Belongs here: that rule. Does not: what is tried, and how often it was (the sensors).
"""

from datetime import datetime, timedelta

# Beyond it every wait is the longest one.
DOUBLINGS_MAX = 20


def is_wait_over(
    attempts: int, last_at: datetime | None, now: datetime, *, first: timedelta, most: timedelta
) -> bool:
    """Whether to try now: at once where nothing was tried, then after `first`, then after twice as
    long each time, `most` at last."""
    if last_at is None:
        return True
    wait: timedelta = min(first * 2 ** max(0, min(attempts - 1, DOUBLINGS_MAX)), most)
    return now - last_at >= wait
