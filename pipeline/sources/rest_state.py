"""What a REST poller remembers between polls, and across a crash: one small file per source.

Belongs here: the cursor of each subject, which state of an activity was sent, the file. Does not:
when it may be written (rest: after Kafka acknowledged what it covers).

A revision is the place of the state in its order, times a hundred, plus how often what was said
under it has changed; it only grows. Sent again after a crash, the same content has the same
revision, hence the same event id and the same bytes.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from carbon_ledger.durable import sync_folder
from carbon_ledger.errors import BrokenInvariant

FORMAT: Final = "carbon-rest-state/1"
STATE_STEP: Final = 100
LETTERS_MAX: Final = 500
# Beyond this a subject is no subject but a whole company: its mapping needs a narrower question.
ACTIVITIES_MAX: Final = 50_000
# A file this slow to write is written in a twentieth of the time only: a crash then repeats more
# pages, which changes nothing in the ledger.
SLOW_WRITE_SECONDS: Final = 0.05
WRITE_SHARE: Final = 20


@dataclass(kw_only=True)
class SubjectState:
    """What is known of one subject (a tracking number, a vehicle, or the whole account).

    `since` is ISO 8601 text, `token` the provider's own cursor. `sent`: by activity, the revision
    and fingerprint last sent and when it ended. `letters`: dead letters already sent.
    """

    since: str | None = None
    token: str | None = None
    sent: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    letters: list[str] = field(default_factory=list)

    def next_revision(
        self, activity_ref: str, fingerprint: str, state: str | None, states: Sequence[str]
    ) -> int | None:
        """The revision under which this content goes out; None if it went out already."""
        floor = states.index(state) * STATE_STEP if state is not None and state in states else 0
        before = self.sent.get(activity_ref)
        if before is None:
            return floor
        if before[1] == fingerprint:
            return None
        return max(floor, before[0] + 1)

    def note_sent(
        self, activity_ref: str, revision: int, fingerprint: str, ended: datetime
    ) -> None:
        """Remembers what went out."""
        self.sent[activity_ref] = (revision, fingerprint, ended.isoformat())

    def is_new_letter(self, digest: str) -> bool:
        """Whether that letter has not gone out yet; then it is remembered as gone."""
        if digest in self.letters:
            return False
        self.letters = [*self.letters, digest][-LETTERS_MAX:]
        return True

    def forget_before(self, moment: datetime) -> None:
        """Drops activities that ended earlier: the provider is not asked for them again."""
        limit = moment.isoformat()
        self.sent = {ref: one for ref, one in self.sent.items() if one[2] >= limit}


class StateFile:
    """The states of a source's subjects, in one file that is replaced whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.subjects: dict[str, SubjectState] = {}
        self._is_changed = False
        self._last_write = (0.0, 0.0)
        if path.exists():
            self._load()

    def of(self, subject: str) -> SubjectState:
        """The state of a subject, a fresh one for a new subject."""
        return self.subjects.get(subject) or SubjectState()

    def put(self, subject: str, state: SubjectState) -> None:
        """Takes the subject's new state; `write` puts it on disk."""
        if self.subjects.get(subject) != state:
            self.subjects[subject] = state
            self._is_changed = True

    def keep_only(self, subjects: Sequence[str]) -> None:
        """Forgets subjects that are asked about no more."""
        wanted = set(subjects)
        kept = {key: one for key, one in self.subjects.items() if key in wanted}
        self._is_changed |= len(kept) != len(self.subjects)
        self.subjects = kept

    def write(self, *, at_once: bool = True) -> bool:
        """Puts the state on disk, atomically and for good; False if there is nothing to write.

        Not `at_once`: a large file may wait until writing it again is worth the time.
        """
        begun = time.monotonic()
        ended, took = self._last_write
        is_soon = took > SLOW_WRITE_SECONDS and begun - ended < WRITE_SHARE * took
        if not self._is_changed or (is_soon and not at_once):
            return False
        content = {
            "format": FORMAT,
            "subjects": {key: _plain(one) for key, one in sorted(self.subjects.items())},
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        passing = self.path.with_name(self.path.name + ".new")
        with passing.open("w", encoding="utf-8") as file:
            file.write(json.dumps(content, separators=(",", ":")))
            file.flush()
            os.fsync(file.fileno())
        passing.replace(self.path)
        sync_folder(self.path.parent)
        self._is_changed = False
        self._last_write = (time.monotonic(), time.monotonic() - begun)
        return True

    def _load(self) -> None:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise ValueError(f"its form is {content['format']!r}, not {FORMAT}")
            self.subjects = {
                key: SubjectState(
                    since=one["since"],
                    token=one["token"],
                    sent={ref: (sent[0], sent[1], sent[2]) for ref, sent in one["sent"].items()},
                    letters=list(one["letters"]),
                )
                for key, one in content["subjects"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise BrokenInvariant(
                "rest_state",
                f"{self.path} cannot be read ({error}). Restore it, or remove it to ask everything "
                "again from `start`: what is in the ledger already stays as it is",
            ) from error


def _plain(one: SubjectState) -> dict[str, Any]:
    return {"since": one.since, "token": one.token, "sent": one.sent, "letters": one.letters}
