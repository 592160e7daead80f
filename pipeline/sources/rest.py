"""Carriers and vehicle telematics over REST: asked again and again, page by page.

Belongs here: the order of things - ask, map, send, wait for Kafka, only then move the cursor. Does
not: HTTP (rest_client), what answers mean (rest_mapping, rest_items), what is remembered
(rest_state), the configuration (rest_plan).

A page is sent, acknowledged by Kafka and then remembered before the next is asked for: that is all
that is in memory. A crash anywhere repeats at most one page, with the same event ids and bytes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from carbon_ledger.errors import (
    BrokenInvariant,
    ConfigurationError,
    RejectedRecord,
    Unavailable,
)
from carbon_ledger.events import iso_utc
from carbon_ledger.settings import Settings
from pipeline.edge_letters import EdgeLetter, send_edge_letter
from pipeline.producers import CarbonEventProducer
from pipeline.sources.field_mapping import Surroundings, missing_name, walk
from pipeline.sources.rest_client import Answer, RestClient
from pipeline.sources.rest_items import Mapped, Refused, Skipped, items_of, read_item
from pipeline.sources.rest_mapping import CursorSpec, filled
from pipeline.sources.rest_plan import RestPlan, read_plan
from pipeline.sources.rest_state import ACTIVITIES_MAX, StateFile, SubjectState
from pipeline.sources.source_config import Report, SourceConfig

# So many subjects in a row without an answer: the provider is down, not one subject.
FAILURES_IN_A_ROW: Final = 3
# What ended this long before the cursor is forgotten: it will not be answered with again.
FORGET: Final = timedelta(days=2)
# A record takes 4 MiB; no carrier's item is near it, and of one that is its start says enough.
LETTER_BYTES_MAX: Final = 1024 * 1024
COUNTED: Final = (
    "polls",
    "requests",
    "retries",
    "pages",
    "pages_repeated",
    "items",
    "sent",
    "unchanged",
    "skipped",
    "dead_letters",
    "failed",
)

log = logging.getLogger(__name__)


class Stopped(Exception):
    """Somebody asked us to end while we waited."""


class _Incomplete(Exception):
    """Pages that go round in circles: nothing was lost, but the cursor must not move."""


def check(config: SourceConfig) -> str:
    """What the source would do."""
    plan = read_plan(config)
    subjects = plan.subjects()
    about = f"{len(subjects)} subjects" if plan.subjects_file is not None else "one question"
    return (
        f"asks {plan.base_url} as {plan.provider.name} every {plan.every_seconds:g} s, {about}, "
        f"to {plan.provider.stream.topic}"
    )


def run(
    config: SourceConfig, settings: Settings, stop: threading.Event, once: bool
) -> Mapping[str, int]:
    """Polls until `stop` is set; with `once`, polls once and raises what kept it from finishing."""
    plan = read_plan(config)
    state = StateFile(plan.state_file or settings.home / "sources" / f"rest-{config.name}.json")
    with CarbonEventProducer(settings=settings) as producer:
        poller = Poller(plan, state, producer, stop, report=config.report)
        try:
            while not stop.is_set():
                try:
                    problem = poller.poll()
                except Unavailable as error:  # Kafka, or the registry
                    if once:
                        raise
                    problem = error.message
                if problem is not None:
                    log.warning("%s: %s", config.source, problem)
                config.report(poller.told(), problem)
                if once:
                    if problem is not None:
                        raise Unavailable("rest_incomplete", problem)
                    break
                stop.wait(plan.every_seconds)
        except Stopped:
            pass
        finally:
            poller.close()
    return poller.told()


@dataclass(frozen=True, kw_only=True)
class _Question:
    """One request: where, and with what."""

    url: str
    params: Mapping[str, str]
    body: Any

    @property
    def identity(self) -> str:
        return json.dumps([self.url, sorted(self.params.items()), self.body], default=str)


class Poller:
    """Polls one source. `problem`s are told, not raised; what would be wrong every time is raised.

    Raises ConfigurationError for what only a person can change (credentials, mapping), Unavailable
    for Kafka.
    """

    def __init__(
        self,
        plan: RestPlan,
        state: StateFile,
        producer: CarbonEventProducer,
        stop: threading.Event,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        client: RestClient | None = None,
        report: Report = lambda counts, problem: None,
    ) -> None:
        self.plan, self.state, self.producer, self.stop = plan, state, producer, stop
        self._report = report
        self.counts: Counter[str] = Counter()
        self._now = now
        self._next_subject: str | None = None
        self._client = client or RestClient(
            plan.base_url, plan.credentials, plan.patience, sleep=self._sleep
        )

    def told(self) -> dict[str, int]:
        """The counts so far, every one of them named."""
        self.counts["requests"] = self._client.requests
        self.counts["retries"] = self._client.retries
        return {name: self.counts[name] for name in COUNTED}

    def close(self) -> None:
        """Closes the connections to the provider."""
        self._client.close()

    def _sleep(self, seconds: float) -> None:
        if self.stop.wait(seconds):
            raise Stopped

    def poll(self) -> str | None:
        """Asks about every subject once; what kept some from being answered, or None.

        Begins with the subject the last poll could not finish, so that none is left out for good.
        """
        try:
            return self._poll()
        finally:
            self.state.write()

    def _poll(self) -> str | None:
        self.counts["polls"] += 1
        subjects = self.plan.subjects()
        self.state.keep_only(list(subjects))
        keys = list(subjects)
        if self._next_subject in subjects:
            at = keys.index(self._next_subject)
            keys = keys[at:] + keys[:at]
        problem: str | None = None
        failures = 0
        for number, key in enumerate(keys):
            if self.stop.is_set():
                raise Stopped
            try:
                self._ask_about(key, subjects[key])
                failures = 0
            except _Incomplete as error:
                problem = str(error)
            except Unavailable as error:
                if not error.code.startswith("rest_"):
                    raise
                problem, failures = error.message, failures + 1
                self.counts["failed"] += 1
                if failures >= FAILURES_IN_A_ROW or error.code == "rest_retry_later":
                    self._next_subject = keys[(number + 1) % len(keys)]
                    break
            self._report(self.told(), problem)
        return problem

    # ---- one subject

    def _ask_about(self, key: str, subject: Mapping[str, str]) -> None:
        cursor = self.plan.provider.cursor
        known = self.state.of(key)
        if cursor.kind == "window":
            self._ask_windows(key, subject, cursor)
        elif cursor.kind == "latest":
            since = self._since(known)
            names = {**subject, "since": _written(since, cursor.form)}
            latest = self._pages(key, subject, names)
            if latest is not None:
                self._move(key, max(since, latest - cursor.overlap))
        else:
            token = {} if known.token is None else {"token": known.token}
            self._pages(key, subject, {**subject, **token})

    def _ask_windows(self, key: str, subject: Mapping[str, str], cursor: CursorSpec) -> None:
        """From the cursor to now, in steps the provider allows; each is done before it moves."""
        now = self._now()
        since = self._since(self.state.of(key))
        while since < now:
            until = min(since + cursor.window, now)
            names = {
                **subject,
                "since": _written(since, cursor.form),
                "until": _written(until, cursor.form),
            }
            self._pages(key, subject, names)
            self._move(key, max(since, until - cursor.overlap))
            if until == now:
                break
            since = until - cursor.overlap

    def _since(self, known: SubjectState) -> datetime:
        if known.since is not None:
            return datetime.fromisoformat(known.since)
        if self.plan.start is None:  # read_plan refuses such a plan
            raise BrokenInvariant("rest_start", f"{self.plan.source} does not say from when on")
        return self.plan.start

    def _move(self, key: str, since: datetime) -> None:
        known = deepcopy(self.state.of(key))
        known.since = since.isoformat()
        known.forget_before(since - FORGET)
        self.state.put(key, known)
        self.state.write(at_once=False)

    # ---- pages

    def _pages(
        self, key: str, subject: Mapping[str, str], names: Mapping[str, str]
    ) -> datetime | None:
        """Every page of one answer, each sent and remembered; the latest stamp of a `latest`
        cursor. Raises _Incomplete where pages repeat.
        """
        provider, request = self.plan.provider, self.plan.provider.request
        question = _Question(
            url=filled(request.path, {name: quote(one, safe="") for name, one in names.items()}),
            params=filled(request.params, names),
            body=filled(request.body, names),
        )
        where = question.url  # without a query, which may hold a key
        question = self._first_page(question)
        asked: set[str] = set()
        bodies: set[bytes] = set()
        latest: datetime | None = None
        for number in range(self.plan.pages_max):
            if question.identity in asked:
                self.counts["pages_repeated"] += 1
                raise _Incomplete(f"page {number + 1} of {where} leads back to an earlier")
            asked.add(question.identity)
            answer = self._client.ask(
                request.method,
                question.url,
                params=question.params,
                body=question.body,
                headers=request.headers,
                nothing_found=request.nothing_found,
            )
            self.counts["pages"] += 1
            if answer.content is None:
                return latest
            items = self._items(answer)
            digest = hashlib.sha256(answer.body).digest()
            if items and digest in bodies:
                self.counts["pages_repeated"] += 1
                raise _Incomplete(f"page {number + 1} of {where} is one that was there")
            bodies.add(digest)
            token = self._page_token(answer)
            self._take(key, subject, answer.url, number + 1, items, token)
            latest = self._later(latest, items)
            after = self._next(question, answer, number + 1, items)
            if after is None:
                return latest
            question = after
        raise _Incomplete(
            f"{where} has more than {self.plan.pages_max} pages; raise pages_max, or ask "
            f"{provider.name} for less at a time"
        )

    def _items(self, answer: Answer) -> list[object]:
        provider = self.plan.provider
        try:
            items = items_of(answer.content, provider)
        except RejectedRecord as problem:
            raise self._other_shape(answer, str(problem)) from None
        lacking = None if items else missing_name(answer.content, provider.items)
        if lacking is not None:
            raise self._other_shape(answer, f"it has no {lacking!r}")
        return items

    def _other_shape(self, answer: Answer, why: str) -> ConfigurationError:
        start = answer.body[:300].decode(errors="replace")
        return ConfigurationError(
            "rest_answer_shape",
            f"{answer.url.split('?')[0]} does not answer in the shape of "
            f"{self.plan.provider.name}: {why}. Nothing was taken and the cursor stays; it begins: "
            f"{start}",
        )

    def _first_page(self, question: _Question) -> _Question:
        paging = self.plan.provider.paging
        extra: dict[str, str] = {}
        if paging.size_param:
            extra[paging.size_param] = str(paging.size)
        if paging.kind in ("page", "offset"):
            extra[paging.param] = str(paging.first)
        return replace(question, params={**question.params, **extra})

    def _page_token(self, answer: Answer) -> str | None:
        cursor = self.plan.provider.cursor
        found = walk(answer.content, cursor.path) if cursor.kind == "token" else []
        return str(found[0]) if found and found[0] != "" else None

    def _next(
        self, question: _Question, answer: Answer, pages: int, items: list[object]
    ) -> _Question | None:
        paging = self.plan.provider.paging
        if paging.more:
            more = walk(answer.content, paging.more)
            if not more or more[0] is False:
                return None
        if paging.kind == "next_link":
            links = walk(answer.content, paging.path)
            # The link has the whole question in it.
            return _Question(url=str(links[0]), params={}, body=question.body) if links else None
        if paging.kind == "cursor":
            tokens = walk(answer.content, paging.path)
            if not tokens or tokens[0] == "":
                return None
            return replace(question, params={**question.params, paging.param: str(tokens[0])})
        if paging.kind == "none" or len(items) < paging.size:
            return None
        step = pages if paging.kind == "page" else pages * paging.size
        return replace(question, params={**question.params, paging.param: str(paging.first + step)})

    def _later(self, latest: datetime | None, items: list[object]) -> datetime | None:
        cursor = self.plan.provider.cursor
        if cursor.kind != "latest":
            return None
        for item in items:
            for found in walk(item, cursor.path):
                moment = _read(found, cursor.form)
                if moment is not None and moment <= self._now():
                    latest = moment if latest is None else max(latest, moment)
        return latest

    # ---- one page

    def _take(
        self,
        key: str,
        subject: Mapping[str, str],
        url: str,
        page: int,
        items: list[object],
        token: str | None,
    ) -> None:
        """Sends what a page has, waits until Kafka has it, and only then remembers it."""
        plan = self.plan
        work = deepcopy(self.state.of(key))
        around = Surroundings(subject=subject, values=plan.values, zone=plan.zone)
        done: Counter[str] = Counter(items=len(items))
        for index, item in enumerate(items):
            for outcome in read_item(item, plan.provider, around, self._now()):
                if isinstance(outcome, Skipped):
                    done["skipped"] += 1
                elif isinstance(outcome, Mapped):
                    done["sent" if self._send(outcome, work) else "unchanged"] += 1
                else:
                    where = f"{_without_secret(url, plan)} page {page} item {index}"
                    done["dead_letters"] += self._letter(outcome, where, work)
        if len(work.sent) > ACTIVITIES_MAX:
            raise ConfigurationError(
                "rest_too_many_activities",
                f"{plan.source}: more than {ACTIVITIES_MAX:,} activities of one subject are open "
                f"({key!r}); ask about smaller subjects, or shorten cursor.overlap_hours",
            )
        if done["sent"] or done["dead_letters"]:
            self.producer.flush()
        if token is not None:
            work.token = token
        self.state.put(key, work)
        self.state.write(at_once=False)
        self.counts.update(done)

    def _send(self, one: Mapped, work: SubjectState) -> bool:
        provider = self.plan.provider
        event = one.event
        state = str(one.values.get(provider.state_field)) if provider.state_field else None
        revision = work.next_revision(event.activity_ref, one.fingerprint, state, provider.states)
        if revision is None:
            return False
        numbered: Any = replace(event, revision=revision)  # type: ignore[type-var]
        self.producer.send(provider.stream.topic, None, numbered)
        work.note_sent(event.activity_ref, revision, one.fingerprint, event.occurred_to)
        return True

    def _letter(self, refused: Refused, where: str, work: SubjectState) -> int:
        """Once, not at every poll."""
        problem = refused.problem
        digest = hashlib.sha256(
            b"\0".join([refused.payload, problem.code.encode(), str(problem.field).encode()])
        ).hexdigest()[:32]
        if not work.is_new_letter(digest):
            return 0
        is_whole = len(refused.payload) <= LETTER_BYTES_MAX
        letter = EdgeLetter.of(
            problem,
            source=self.plan.source,
            coordinates=where,
            payload=refused.payload[:LETTER_BYTES_MAX],
            stream=self.plan.provider.stream.name,
            content_type="application/json" if is_whole else "application/json; truncated",
        )
        send_edge_letter(self.producer, letter)
        return 1


def _without_secret(url: str, plan: RestPlan) -> str:
    if plan.credentials.kind != "query":
        return url
    address, _, query = url.partition("?")
    kept = [one for one in query.split("&") if one.partition("=")[0] != plan.credentials.name]
    return f"{address}?{'&'.join(kept)}" if any(kept) else address


def _written(moment: datetime, form: str) -> str:
    if form == "iso":
        return iso_utc(moment.replace(microsecond=0))
    milliseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return str(milliseconds if form == "epoch_milliseconds" else milliseconds // 1000)


def _read(value: object, form: str) -> datetime | None:
    try:
        if form == "iso":
            moment = datetime.fromisoformat(str(value))
            return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        number = int(str(value)) // (1000 if form == "epoch_milliseconds" else 1)
        return datetime.fromtimestamp(number, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return None
