"""Role by operation by whose it is: what every caller is told of what is its own, somebody else's
and not there, generated from the OpenAPI document.

Belongs here: which requests those are, and what of their answers is a leak. Does not: what is there
(tests.support.api_world), single operations (tests.support.api_operations).

A leak is a status that the caller's scopes do not give, a difference between somebody else's and
nobody's, or a word of somebody else's in any answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import httpx

OWN, FOREIGN, ABSENT = "own", "foreign", "absent"
WHOSE = (OWN, FOREIGN, ABSENT)
# Differ from answer to answer, or with the id that was asked for.
VOLATILE = frozenset({"date", "content-length", "etag"})
Place = tuple[str, str]
# By parameter: a value of the caller's own, of somebody else, of nobody, where there are such.
Things = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who asks: its headers and scopes; None: it is let in nowhere."""

    headers: Mapping[str, str]
    scopes: frozenset[str] | None


@dataclass(frozen=True, kw_only=True)
class Opened:
    """By which scopes an operation is opened, and with which body it is sent."""

    scopes: frozenset[str]
    body: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request of the matrix; `named` is the value that says whose it is about."""

    place: Place
    path: str
    whose: str
    named: str
    body: bytes

    @property
    def label(self) -> str:
        """As a fault is told."""
        return f"{self.place[0].upper()} {self.place[1]} [{self.whose} {self.named}]"

    @property
    def changes(self) -> bool:
        """Whether it would change what is the caller's own."""
        return self.whose == OWN and self.place[0] != "get"


def groups_of(
    document: Mapping[str, Any],
    opened: Mapping[Place, Opened],
    things: Things,
    given: Mapping[str, str],
) -> Iterator[list[Asked]]:
    """For each operation of `opened` and each of its parameters that names something, the requests
    about what is whose; one request for an operation without such a parameter. `given` are
    parameters that every request has if its operation knows them.

    Raises KeyError for a path parameter that `things` does not have: somebody has to say whose
    what it names may be.
    """
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            place = (method, path)
            if place not in opened:
                continue
            known = operation.get("parameters", ())
            in_path = [one["name"] for one in known if one["in"] == "path"]
            in_query = [one["name"] for one in known if one["in"] == "query"]
            fixed = {name: given[name] for name in in_query if name in given}
            own = {name: things[name][OWN] for name in in_path}
            naming = [*in_path, *(name for name in in_query if name in things)]
            if not naming:
                yield [_asked(place, own, fixed, OWN, "", opened[place].body)]
            for name in naming:
                yield [
                    _asked(
                        place,
                        {**own, name: value} if name in own else own,
                        fixed if name in own else {**fixed, name: value},
                        whose,
                        value,
                        opened[place].body,
                    )
                    for whose, value in things[name].items()
                ]


def _asked(
    place: Place,
    in_path: Mapping[str, str],
    in_query: Mapping[str, str],
    whose: str,
    named: str,
    body: bytes,
) -> Asked:
    path = place[1]
    for name, value in in_path.items():
        path = path.replace("{" + name + "}", quote(value, safe=":"))
    if in_query:
        path = f"{path}?{urlencode(in_query)}"
    return Asked(place=place, path=path, whose=whose, named=named, body=body)


def leaks(
    url: str,
    document: Mapping[str, Any],
    opened: Mapping[Place, Opened],
    callers: Mapping[str, Caller],
    things: Things,
    given: Mapping[str, str],
    secrets: Sequence[str],
) -> tuple[int, list[str]]:
    """How many answers were looked at, and what is wrong with them. `secrets` are words that stand
    in what is somebody else's alone.
    """
    looked_at = 0
    faults: list[str] = []
    with httpx.Client(base_url=url, timeout=60) as client:
        for group in groups_of(document, opened, things, given):
            scopes = opened[group[0].place].scopes
            for who, caller in callers.items():
                is_open = bool(scopes & (caller.scopes or frozenset()))
                answers = {
                    one.whose: (one, _answer(client, caller, one))
                    for one in group
                    if not (is_open and one.changes)
                }
                looked_at += len(answers)
                found = [
                    *_wrong_statuses(caller, is_open, answers),
                    *_told_secrets(answers, secrets),
                    *_differences(answers),
                ]
                faults.extend(f"{who}: {fault}" for fault in found)
    return looked_at, faults


Answers = Mapping[str, tuple[Asked, httpx.Response]]


def _answer(client: httpx.Client, caller: Caller, asked: Asked) -> httpx.Response:
    headers = {**caller.headers, **({"Content-Type": "application/json"} if asked.body else {})}
    return client.request(asked.place[0], asked.path, content=asked.body, headers=headers)


def _wrong_statuses(caller: Caller, is_open: bool, answers: Answers) -> Iterator[str]:
    for asked, answer in answers.values():
        if caller.scopes is None:
            expected = {401}
        elif not is_open:
            expected = {403}
        else:
            # What is nobody's is an empty answer, or none.
            expected = {200} if asked.whose == OWN else {200, 404}
        if answer.status_code not in expected:
            yield f"{asked.label} is answered {answer.status_code}: {answer.text[:200]}"


def _told_secrets(answers: Answers, secrets: Sequence[str]) -> Iterator[str]:
    for asked, answer in answers.values():
        status, headers, text = _told(asked, answer)
        for word in secrets:
            if word in text or word in str(headers):
                yield f"{asked.label} is answered {status} and tells {word!r}"


def _differences(answers: Answers) -> Iterator[str]:
    if FOREIGN in answers and ABSENT in answers:
        foreign, absent = (_told(*answers[whose]) for whose in (FOREIGN, ABSENT))
        if foreign != absent:
            yield f"{answers[FOREIGN][0].label} differs from what is absent: {foreign}, {absent}"


def _told(asked: Asked, answer: httpx.Response) -> tuple[int, dict[str, str], str]:
    headers = {name: value for name, value in answer.headers.items() if name not in VOLATILE}
    text = answer.text
    if asked.named:
        # As a word: 3 stands in 403 too.
        text = re.sub(rf"(?<!\w){re.escape(asked.named)}(?!\w)", "ID", text)
    return answer.status_code, headers, text
