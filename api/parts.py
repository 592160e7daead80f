"""The parts that the API needs, and whether each answers: the reader, the gate, Kafka.

Belongs here: asking them, so that nobody who wants to know waits long. Does not: what is answered
to whom (api.routes.health).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from carbon_ledger.errors import Unavailable
from carbon_ledger.settings import Settings
from carbon_ledger.store.connect import connect
from carbon_ledger.store.keys import KeyStore
from carbon_ledger.store.lasting import LastingConnection
from pipeline.kafka import kafka_config

FRESH_SECONDS: Final = 1.0
# A probe that waits for an answer gives up after some seconds; it is told before that.
WAIT_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 3


class Watched:
    """A part: asked at most once in FRESH_SECONDS, by one thread, however many want to know.

    It costs no key to ask how the API is: the answer must not cost much either. `ask` returns, or
    raises Unavailable or KafkaException; a part that does not say anything in time is not there.
    """

    def __init__(
        self,
        ask: Callable[[], object],
        *,
        fresh_seconds: float = FRESH_SECONDS,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._ask = ask
        self._fresh_seconds, self._wait_seconds = fresh_seconds, wait_seconds
        self._told = threading.Condition()
        self._is_asked = False
        self._found: tuple[float, bool] | None = None

    def begin(self) -> None:
        """Asks, unless it is being asked or has answered lately."""
        with self._told:
            is_fresh = (
                self._found is not None and time.monotonic() - self._found[0] <= self._fresh_seconds
            )
            if self._is_asked or is_fresh:
                return
            self._is_asked = True
        threading.Thread(target=self._answer, name="part", daemon=True).start()

    def answers(self) -> bool:
        """Whether it answers, now or a moment ago."""
        self.begin()
        with self._told:
            self._told.wait_for(lambda: not self._is_asked, self._wait_seconds)
            return not self._is_asked and self._found is not None and self._found[1]

    def _answer(self) -> None:
        is_there = False
        try:
            self._ask()
            is_there = True
        except (Unavailable, KafkaException):
            pass
        finally:
            with self._told:
                self._found = (time.monotonic(), is_there)
                self._is_asked = False
                self._told.notify_all()


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Which of the parts answer."""

    reader: bool
    gate: bool
    kafka: bool


class Parts:
    """The parts of one process of the API; nothing connects before they are first asked."""

    def __init__(self, settings: Settings, keys: KeyStore) -> None:
        self._settings = settings
        self._admin: AdminClient | None = None
        # Of its own: whether the database answers says nothing of how many read it.
        self._reader = LastingConnection(
            lambda: connect(
                settings["CARBON_DATABASE_READER_URL"],
                "carbon api ready",
                True,
                statement_seconds=ANSWER_SECONDS,
            ),
            lambda _: Unavailable("database_unavailable", "PostgreSQL cannot be asked"),
        )
        self.reader = Watched(self._ask_reader)
        self.gate = Watched(keys.ask)
        self.kafka = Watched(self._ask_kafka)

    def answers(self) -> Answers:
        """Whether each answers; all are asked at once."""
        for part in (self.reader, self.gate, self.kafka):
            part.begin()
        return Answers(
            reader=self.reader.answers(), gate=self.gate.answers(), kafka=self.kafka.answers()
        )

    def close(self) -> None:
        """Closes the connection."""
        self._reader.close()

    def _ask_reader(self) -> None:
        self._reader.run(lambda conn: conn.execute("select 1"))

    def _ask_kafka(self) -> None:
        if self._admin is None:
            self._admin = AdminClient(kafka_config(self._settings))
        self._admin.list_topics(timeout=ANSWER_SECONDS)
