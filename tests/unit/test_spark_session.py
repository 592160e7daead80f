"""The Spark client as runs have it: a session that nobody holds any more disturbs no other."""

from __future__ import annotations

from spark.session import session_class


class Client:
    """Notes that it was closed."""

    closed = 0

    def close(self) -> None:
        type(self).closed += 1


def test_a_session_that_is_collected_closes_no_client() -> None:
    """pyspark's own would wait for threads that may wait for whoever set off the collection."""
    kind = session_class()
    session = kind.__new__(kind)
    session._client = Client()
    session.release_session_on_close = False
    del session
    assert Client.closed == 0
    assert session_class() is kind
