"""Kafka Connect's connectors: their files, and a worker's REST interface.

Belongs here: reading a connector's file with its secrets, applying it, how connectors are doing,
what to do about a failed one. Does not: what a connector captures means (pipeline.sources.cdc),
running a worker (devstack.connect).

A file is JSON, `{"name": …, "config": {…}}`. `{{env:NAME}}` in a value stands for an environment
variable (or a line `NAME=value` of a secrets file), `{{file:PATH}}` for the content of a file; what
Connect itself writes `${provider:path:key}` is left to the worker. Values of keys that look like
secrets are never shown.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from carbon_ledger.errors import ConfigurationError, Unavailable
from pipeline.topics import DEAD_LETTERS

REQUEST_SECONDS: Final = 15.0
READY_SECONDS: Final = 90.0
STEP_SECONDS: Final = 0.3
# A task that was just told to start again may still be shown as it ended before.
FAILED_SECONDS: Final = 3.0
RUNNING: Final = "RUNNING"
FAILED: Final = "FAILED"
# The worker is busy giving tasks out, and says so; the same request succeeds a moment later.
REBALANCING: Final = 409
NOT_FOUND: Final = 404
BAD_REQUEST: Final = 400
SERVER_ERROR: Final = 500
TRACE_SHOWN: Final = 300

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PLACEHOLDER = re.compile(r"\{\{(env|file):([^{}]+)\}\}")
_SECRET = re.compile(r"password|passphrase|secret|token|credential|private|sasl\.jaas", re.I)
_CAUSE = re.compile(r"^Caused by: (.*)$", re.M)

# What a trace says, and what helps. The first that fits.
ADVICE: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern, re.I), advice)
    for pattern, advice in (
        (
            r"password authentication failed|no password was provided|ORA-01017",
            "the database refuses user or password: correct the secret and apply the file again",
        ),
        (
            r"refused|UnknownHost|timed? ?out|no route|could not connect|ORA-12",
            "the database cannot be reached: see that it runs and that host and port are right, "
            "then `carbon connect status --restart-failed`",
        ),
        (
            r"replication slot .* is active",
            "another connector reads this slot: delete that one, or choose another slot.name",
        ),
        (
            r"replication slot .* (does not exist|lost|invalidated)|can no longer get changes",
            "the slot is gone, and with it the changes since: drop it if it is there, delete the "
            "connector's offsets, and apply the file again: a new snapshot finds what is missing",
        ),
        (
            r"publication .* does not exist|publication autocreation is disabled",
            "the publication is missing: create it for the captured tables (docs/connect.md)",
        ),
        (
            r"wal_level",
            "the database's log is not written for change capture: set wal_level = logical and "
            "restart it",
        ),
        (
            r"must be superuser|replication role|permission denied|ORA-01031",
            "the role may not read the log, or not a table: give it REPLICATION, and SELECT on the "
            "captured tables",
        ),
    )
)
OTHER_ADVICE: Final = (
    "see the worker's log (connect.log of the embedded stack), mend the cause, then "
    "`carbon connect status --restart-failed`"
)


@dataclass(frozen=True, kw_only=True)
class Connector:
    """A connector as its file describes it, secrets put in."""

    name: str
    config: Mapping[str, str]

    @property
    def plugin(self) -> str:
        """Its class."""
        return self.config["connector.class"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A connector's task, or the connector itself (`number` None)."""

    number: int | None
    state: str
    trace: str

    @property
    def reason(self) -> str:
        """Why it failed: the first line of its trace, and the last cause in it."""
        causes = _CAUSE.findall(self.trace)
        first = self.trace.strip().splitlines()[0] if self.trace.strip() else "no trace was left"
        told = first if not causes or causes[-1] in first else f"{first} … {causes[-1]}"
        return told[:TRACE_SHOWN]

    @property
    def advice(self) -> str:
        """What to do about it."""
        return next((text for shape, text in ADVICE if shape.search(self.trace)), OTHER_ADVICE)


@dataclass(frozen=True, kw_only=True)
class ConnectorStatus:
    """How a connector and its tasks are doing."""

    name: str
    parts: tuple[Task, ...]

    @property
    def failed(self) -> tuple[Task, ...]:
        """What failed."""
        return tuple(part for part in self.parts if part.state == FAILED)

    @property
    def is_running(self) -> bool:
        """Whether it and at least one task run, and nothing of it does not."""
        return len(self.parts) > 1 and all(part.state == RUNNING for part in self.parts)


def read_connector(path: Path, lookup: Mapping[str, str]) -> Connector:
    """The connector in a file. Raises ConfigurationError `connector_file`, naming the key."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError("connector_file", f"{path} is no connector: {error}") from error
    if not isinstance(content, dict) or content.keys() != {"name", "config"}:
        raise _wrong(path, "its keys", "name and config, and nothing else")
    name, given = content["name"], content["config"]
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _wrong(path, f"name {name!r}", "a-z 0-9 and -, at most 63 characters")
    if not isinstance(given, dict) or "connector.class" not in given:
        raise _wrong(path, "config", "an object with connector.class")
    config = {}
    for key, value in given.items():
        if not isinstance(value, str):
            raise _wrong(path, f"{key} {value!r}", "a text, as Connect keeps it")
        if _SECRET.search(key) and value and not _PLACEHOLDER.search(value) and "${" not in value:
            raise _wrong(path, f"{key}, which is a secret,", "{{env:NAME}} or {{file:PATH}}")
        config[key] = _filled(path, key, value, lookup)
    _check_losses(path, config)
    return Connector(name=name, config=config)


def _check_losses(path: Path, config: Mapping[str, str]) -> None:
    """Refuses what would drop records unseen."""
    if config.get("errors.tolerance", "none") == "none":
        return
    letters = "errors.deadletterqueue.topic.name"
    is_sink = "topics" in config or "topics.regex" in config
    if not is_sink:
        raise _wrong(
            path,
            "errors.tolerance=all",
            "none: a source connector has no dead letters, and would drop what it cannot convert",
        )
    context = config.get("errors.deadletterqueue.context.headers.enable")
    if config.get(letters) != DEAD_LETTERS or context != "true":
        raise _wrong(
            path,
            "errors.tolerance=all without a place for what failed",
            f"{letters}={DEAD_LETTERS} and errors.deadletterqueue.context.headers.enable=true",
        )


def _filled(path: Path, key: str, value: str, lookup: Mapping[str, str]) -> str:
    def found(match: re.Match[str]) -> str:
        kind, name = match[1], match[2].strip()
        if kind == "env":
            if not lookup.get(name):
                raise _wrong(path, f"{key} needs {name}, which is not set", f"set {name}")
            return lookup[name]
        file = path.parent / name
        try:
            return file.read_text(encoding="utf-8").removesuffix("\n")
        except (OSError, ValueError) as error:
            raise _wrong(
                path, f"{key} needs {file}", f"a file that can be read ({error})"
            ) from None

    return _PLACEHOLDER.sub(found, value)


def _wrong(path: Path, what: str, valid: str) -> ConfigurationError:
    return ConfigurationError("connector_file", f"{path}: {what}; valid: {valid}")


def shown(key: str, value: str | None) -> str:
    """A value as it may be shown."""
    if value is None:
        return "nothing"
    return "(not shown)" if _SECRET.search(key) else repr(value)


def differences(before: Mapping[str, str] | None, after: Mapping[str, str]) -> list[str]:
    """What applying changes, key by key; no secret is in it."""
    known = {key: value for key, value in (before or {}).items() if key != "name"}
    return [
        f"{key}: {shown(key, known.get(key))} -> {shown(key, after.get(key))}"
        for key in sorted({*known, *after})
        if known.get(key) != after.get(key)
    ]


class ConnectClient:
    """A worker's REST interface; `close` it, or use it in a `with`."""

    def __init__(
        self,
        url: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        self._clock, self._sleep = clock, sleep
        self._http = httpx.Client(base_url=self.url, timeout=REQUEST_SECONDS)

    def __enter__(self) -> ConnectClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes its connections."""
        self._http.close()

    def names(self) -> list[str]:
        """The connectors there are."""
        return sorted(self._ask("GET", "/connectors").json())

    def config(self, name: str) -> dict[str, str] | None:
        """A connector's configuration as the worker has it; None if there is no such connector."""
        answer = self._ask("GET", f"/connectors/{name}/config", accept=(NOT_FOUND,))
        return None if answer.status_code == NOT_FOUND else answer.json()

    def status(self, name: str) -> ConnectorStatus | None:
        """How a connector is doing; None if there is no such connector."""
        answer = self._ask("GET", f"/connectors/{name}/status", accept=(NOT_FOUND,))
        if answer.status_code == NOT_FOUND:
            return None
        content = answer.json()
        one = content["connector"]
        parts = [Task(number=None, state=one["state"], trace=one.get("trace") or "")]
        parts += [
            Task(number=task["id"], state=task["state"], trace=task.get("trace") or "")
            for task in content["tasks"]
        ]
        return ConnectorStatus(name=name, parts=tuple(parts))

    def apply(self, connector: Connector) -> list[str]:
        """Makes the worker's connector what the file says; what that changes ([]: nothing).

        Raises ConfigurationError `connector_invalid` with the worker's own complaint for each key.
        """
        changes = differences(self.config(connector.name), connector.config)
        if changes:
            self._validate(connector)
            self._ask("PUT", f"/connectors/{connector.name}/config", json=dict(connector.config))
        return changes

    def _validate(self, connector: Connector) -> None:
        answer = self._ask(
            "PUT",
            f"/connector-plugins/{connector.plugin}/config/validate",
            json={**connector.config, "name": connector.name},
            accept=(BAD_REQUEST, NOT_FOUND, SERVER_ERROR),
        )
        if not answer.is_success:
            # That is how a worker says that it has no such class; it does not list all it has.
            known = sorted(one["class"] for one in self._ask("GET", "/connector-plugins").json())
            raise ConfigurationError(
                "connector_invalid",
                f"{connector.name}: the worker cannot judge it "
                f"({_hidden(_message(answer), connector.config)[:300]}); its connectors are: "
                f"{', '.join(known)}",
            )
        complaints = [
            f"{one['value']['name']}: {_hidden(error, connector.config)}"
            for one in answer.json()["configs"]
            for error in one["value"]["errors"]
        ]
        if complaints:
            raise ConfigurationError(
                "connector_invalid", f"{connector.name}: {'; '.join(complaints)[:1500]}"
            )

    def await_running(self, name: str, seconds: float = READY_SECONDS) -> ConnectorStatus:
        """Returns once the connector and its tasks run.

        Raises Unavailable `connector_failed` with reason and remedy, or `connector_slow`.
        """
        deadline = self._clock() + seconds
        failed_since: float | None = None
        while True:
            now = self._clock()
            status = self.status(name)
            if status is not None and status.is_running:
                return status
            failed = status.failed if status is not None else ()
            failed_since = None if not failed else failed_since or now
            if failed and failed_since is not None and now - failed_since >= FAILED_SECONDS:
                raise Unavailable(
                    "connector_failed", f"{name} failed: {failed[-1].reason}; {failed[-1].advice}"
                )
            if now > deadline:
                seen = "unknown" if status is None else ", ".join(one.state for one in status.parts)
                raise Unavailable(
                    "connector_slow", f"{name} does not run after {seconds:.0f} s; it is {seen}"
                )
            self._sleep(STEP_SECONDS)

    def restart_failed(self, name: str) -> None:
        """Starts what failed of a connector again."""
        self._ask("POST", f"/connectors/{name}/restart?includeTasks=true&onlyFailed=true")

    def delete(self, name: str) -> bool:
        """Removes a connector; False if there was none. Its offsets stay with the worker."""
        answer = self._ask("DELETE", f"/connectors/{name}", accept=(NOT_FOUND,))
        return answer.status_code != NOT_FOUND

    def _ask(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, str] | None = None,
        accept: Sequence[int] = (),
    ) -> httpx.Response:
        deadline = self._clock() + READY_SECONDS
        while True:
            try:
                answer = self._http.request(method, path, json=json)
            except httpx.HTTPError as error:
                raise Unavailable(
                    "connect_unavailable",
                    f"Kafka Connect at {self.url} does not answer ({type(error).__name__}). Start "
                    "it with `carbon up --with connect`, or set CARBON_CONNECT_URL.",
                ) from error
            if answer.is_success or answer.status_code in accept:
                return answer
            if answer.status_code != REBALANCING or self._clock() > deadline:
                raise self._refusal(method, path, answer, json or {})
            self._sleep(STEP_SECONDS)

    def _refusal(
        self, method: str, path: str, answer: httpx.Response, sent: Mapping[str, str]
    ) -> Unavailable | ConfigurationError:
        said = _hidden(_message(answer), sent)[:600]
        told = f"{method} {path} at {self.url}: {answer.status_code} {said}"
        if answer.is_client_error and answer.status_code != REBALANCING:
            return ConfigurationError("connect_refused", told)
        return Unavailable("connect_failed", told)


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("message", ""))
    except (ValueError, AttributeError):
        return answer.text


def _hidden(text: str, config: Mapping[str, str]) -> str:
    """`text` without the secrets of a configuration, which a worker likes to quote."""
    for key, value in config.items():
        if _SECRET.search(key) and value:
            text = text.replace(value, "(not shown)")
    return text
