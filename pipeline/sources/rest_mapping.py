"""What a REST provider is asked, how it pages, what its items mean: a mapping, read and checked.

Belongs here: the keys of a provider's file and what is refused. Does not: the rules of one field
(field_mapping), fetching (rest_client), the order of things (rest).

docs/sources.md explains every key. The mappings shipped are in providers/, one file each.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Any, Final

from carbon_ledger import streams
from carbon_ledger.calculation import EVENT_KINDS
from carbon_ledger.errors import ConfigurationError
from carbon_ledger.event_fields import ActivityEvent, avro_fields
from pipeline.sources.field_mapping import (
    EPOCHS,
    FieldRule,
    Step,
    invalid,
    parse_path,
    parse_rule,
    walk,
)

METHODS: Final = ("GET", "POST")
PAGINGS: Final = ("none", "next_link", "page", "offset", "cursor")
CURSORS: Final = ("none", "window", "latest", "token")
TIME_FORMS: Final = ("iso", *EPOCHS)
_TOP: Final = (
    "provider",
    "stream",
    "items",
    "personal",
    "revisions",
    "request",
    "paging",
    "cursor",
    "skip",
    "events",
)
_SECTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "request": ("method", "path", "params", "body", "headers", "nothing_found"),
    "paging": ("kind", "path", "more", "param", "size_param", "size", "first"),
    "cursor": ("kind", "path", "format", "overlap_hours", "window_days"),
    "skip": ("path", "equals", "missing", "why"),
    "events": ("each", "fields"),
}
_NO_STEPS: Final[tuple[Step, ...]] = ()


@dataclass(frozen=True, kw_only=True)
class RequestSpec:
    """One question: `{name}` in it is a column of the subject, `since`, `until` or `token`.

    `nothing_found`: statuses that mean there is nothing yet, not that something is wrong.
    """

    method: str = "GET"
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    nothing_found: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PagingSpec:
    """How the pages of one answer follow each other."""

    kind: str = "none"
    path: tuple[Step, ...] = _NO_STEPS
    more: tuple[Step, ...] = _NO_STEPS
    param: str = ""
    size_param: str = ""
    size: int = 0
    first: int = 1


@dataclass(frozen=True, kw_only=True)
class CursorSpec:
    """What is kept between polls. `window`: asked from where the last one ended, `overlap` again
    for what arrived late; `latest`: from the latest stamp at `path`; `token`: the answer's own.
    """

    kind: str = "none"
    path: tuple[Step, ...] = _NO_STEPS
    form: str = "iso"
    overlap: timedelta = timedelta()
    window: timedelta = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class Skip:
    """Items that are no activity: the value at `path` is one of `equals`, or missing."""

    path: tuple[Step, ...]
    equals: frozenset[str]
    is_missing: bool
    why: str

    def applies(self, item: object) -> bool:
        """Whether the item is one of them."""
        found = walk(item, self.path)
        return (self.is_missing and not found) or any(str(one) in self.equals for one in found)


@dataclass(frozen=True, kw_only=True)
class EventSpec:
    """One kind of event of an item, or one per element of the list at `each`."""

    each: tuple[Step, ...]
    rules: Mapping[str, FieldRule]


@dataclass(frozen=True, kw_only=True)
class Provider:
    """A checked mapping. `values_needed` are those the source's own file has to give,
    `subject_columns` those the list of subjects has to have. `personal` are keys whose values go
    into no dead letter. `revisions` is the order of states in the field of that name.
    """

    name: str
    stream: streams.Stream
    event_class: type[ActivityEvent]
    items: tuple[Step, ...]
    request: RequestSpec
    paging: PagingSpec
    cursor: CursorSpec
    skips: tuple[Skip, ...]
    events: tuple[EventSpec, ...]
    personal: frozenset[str]
    state_field: str | None
    states: tuple[str, ...]
    values_needed: frozenset[str]
    subject_columns: frozenset[str]


def shipped() -> tuple[str, ...]:
    """The names of the mappings that come with the project."""
    folder = resources.files("pipeline.sources").joinpath("providers")
    return tuple(
        sorted(one.name.removesuffix(".toml") for one in folder.iterdir() if ".toml" in one.name)
    )


def read_provider(name: str, beside: Path) -> Provider:
    """The mapping of a shipped name, or of a file (`./own.toml`, relative to `beside`).

    Raises ConfigurationError naming the file and the key at fault.
    """
    if name.endswith(".toml"):
        path = beside / name
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError("mapping_unreadable", f"{path}: {error}") from error
        where = str(path)
    elif name in shipped():
        file = resources.files("pipeline.sources").joinpath("providers", f"{name}.toml")
        text, where = file.read_text(encoding="utf-8"), f"provider {name}"
    else:
        raise ConfigurationError(
            "provider_unknown",
            f"no mapping is called {name!r}; shipped are: {', '.join(shipped())}; your own is a "
            "path that ends in .toml",
        )
    try:
        return parse_provider(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError("mapping_unreadable", f"{where} is no TOML: {error}") from error
    except ConfigurationError as error:
        raise ConfigurationError(error.code, f"{where}: {error.message}") from error


def parse_provider(content: Mapping[str, Any]) -> Provider:
    """The mapping in a parsed document. Raises ConfigurationError naming the key at fault."""
    _known("the mapping", content, _TOP)
    for key in ("provider", "stream", "items", "request", "events"):
        if key not in content:
            raise invalid(key, "is missing")
    stream = streams.find(str(content["stream"]))
    event_class = EVENT_KINDS[stream.name].event_class
    if not issubclass(event_class, ActivityEvent):
        raise invalid("stream", f"{stream.name} takes no items of a REST answer")
    events = tuple(
        _event(spec, f"events[{number}]", stream.name)
        for number, spec in enumerate(content["events"])
    )
    revisions = content.get("revisions", {})
    _known("revisions", revisions, ("field", "order"))
    rules = [rule for one in events for rule in one.rules.values()]
    request = _request(content["request"])
    return Provider(
        name=str(content["provider"]),
        stream=stream,
        event_class=event_class,
        items=_items(content["items"]),
        request=request,
        paging=_paging(content.get("paging", {})),
        cursor=_cursor(content.get("cursor", {})),
        skips=tuple(
            _skip(spec, f"skip[{number}]") for number, spec in enumerate(content.get("skip", ()))
        ),
        events=events,
        personal=frozenset(content.get("personal", ())),
        state_field=revisions.get("field"),
        states=tuple(revisions.get("order", ())),
        values_needed=frozenset(
            rule.value for rule in rules if rule.value is not None and not rule.is_optional
        ),
        subject_columns=frozenset(
            rule.subject for rule in rules if rule.subject is not None and not rule.is_optional
        )
        | _placeholders(request),
    )


def _known(key: str, given: object, known: Sequence[str]) -> None:
    if not isinstance(given, Mapping):
        raise invalid(key, "must be keys and values")
    for name in given:
        if name not in known:
            raise invalid(f"{key}.{name}", f"is unknown; valid are: {', '.join(known)}")


def _items(path: object) -> tuple[Step, ...]:
    steps = parse_path(str(path)) if path else _NO_STEPS
    if any(kind != "name" for kind, _, _ in steps):
        raise invalid("items", f"{path!r} has more than names; such as output.results")
    return steps


def _one_of(key: str, value: object, known: Sequence[str]) -> str:
    if value not in known:
        raise invalid(key, f"{value!r} is not valid; valid are: {', '.join(known)}")
    return str(value)


def _request(spec: Mapping[str, Any]) -> RequestSpec:
    _known("request", spec, _SECTIONS["request"])
    if not str(spec.get("path", "")).startswith("/"):
        raise invalid("request.path", "must begin with /")
    if "{token}" in spec["path"]:
        raise invalid("request.path", "may not hold {token}, which there is none of at first")
    return RequestSpec(
        method=_one_of("request.method", spec.get("method", "GET"), METHODS),
        path=spec["path"],
        params=spec.get("params", {}),
        body=spec.get("body"),
        headers=spec.get("headers", {}),
        nothing_found=tuple(spec.get("nothing_found", ())),
    )


def _paging(spec: Mapping[str, Any]) -> PagingSpec:
    _known("paging", spec, _SECTIONS["paging"])
    kind = _one_of("paging.kind", spec.get("kind", "none"), PAGINGS)
    needs = {"next_link": "path", "page": "param", "offset": "param", "cursor": "path"}
    wanted = needs.get(kind)
    if wanted is not None and not spec.get(wanted):
        raise invalid(f"paging.{wanted}", f"is missing; paging by {kind} needs it")
    if kind == "cursor" and not spec.get("param"):
        raise invalid("paging.param", "is missing; paging by cursor needs it")
    if kind in ("page", "offset") and not spec.get("size"):
        raise invalid("paging.size", f"is missing; paging by {kind} ends at a page with fewer")
    return PagingSpec(
        kind=kind,
        path=parse_path(spec["path"]) if spec.get("path") else _NO_STEPS,
        more=parse_path(spec["more"]) if spec.get("more") else _NO_STEPS,
        param=spec.get("param", ""),
        size_param=spec.get("size_param", ""),
        size=int(spec.get("size", 0)),
        first=int(spec.get("first", 1 if kind == "page" else 0)),
    )


def _cursor(spec: Mapping[str, Any]) -> CursorSpec:
    _known("cursor", spec, _SECTIONS["cursor"])
    kind = _one_of("cursor.kind", spec.get("kind", "none"), CURSORS)
    if kind in ("latest", "token") and not spec.get("path"):
        raise invalid("cursor.path", f"is missing; a cursor of kind {kind} needs it")
    window = timedelta(days=int(spec.get("window_days", 30)))
    overlap = timedelta(hours=int(spec.get("overlap_hours", 0)))
    if kind == "window" and overlap >= window:
        raise invalid("cursor.overlap_hours", "must be less than the window, or it never moves")
    return CursorSpec(
        kind=kind,
        path=parse_path(spec["path"]) if spec.get("path") else _NO_STEPS,
        form=_one_of("cursor.format", spec.get("format", "iso"), TIME_FORMS),
        overlap=overlap,
        window=window,
    )


def _skip(spec: Mapping[str, Any], key: str) -> Skip:
    _known(key, spec, _SECTIONS["skip"])
    if "path" not in spec or "why" not in spec:
        raise invalid(key, "needs path and why")
    equals = spec.get("equals", ())
    return Skip(
        path=parse_path(spec["path"]),
        equals=frozenset(str(one) for one in (equals if isinstance(equals, list) else [equals])),
        is_missing=bool(spec.get("missing", False)),
        why=str(spec["why"]),
    )


def _event(spec: Mapping[str, Any], key: str, stream: str) -> EventSpec:
    _known(key, spec, _SECTIONS["events"])
    known = {one.name: one for one in avro_fields(stream)}
    fields = spec.get("fields", {})
    _known(f"{key}.fields", fields, [name for name in known if name != "revision"])
    missing = [name for name, one in known.items() if one.is_required and name not in fields]
    if missing:
        raise invalid(f"{key}.fields", f"nothing gives {', '.join(missing)}")
    return EventSpec(
        each=parse_path(spec["each"]) if spec.get("each") else _NO_STEPS,
        rules={
            name: parse_rule(name, rule, f"{key}.fields.{name}") for name, rule in fields.items()
        },
    )


RESERVED: Final = frozenset({"since", "until", "token"})


def _placeholders(request: RequestSpec) -> frozenset[str]:
    """The columns of the subject that the question names."""
    texts = [request.path, *request.params.values(), *_texts(request.body)]
    names = {
        part.split("}")[0] for text in texts for part in str(text).split("{")[1:] if "}" in part
    }
    return frozenset(names) - RESERVED


def _texts(node: object) -> list[str]:
    if isinstance(node, Mapping):
        return [text for one in node.values() for text in _texts(one)]
    if isinstance(node, list):
        return [text for one in node for text in _texts(one)]
    return [node] if isinstance(node, str) else []


def filled(node: Any, names: Mapping[str, str]) -> Any:
    """The same with every `{name}` replaced; a text that names one there is none of is left out."""
    if isinstance(node, Mapping):
        done = {key: filled(one, names) for key, one in node.items()}
        return {key: one for key, one in done.items() if one is not None}
    if isinstance(node, list):
        return [one for one in (filled(each, names) for each in node) if one is not None]
    if not isinstance(node, str) or "{" not in node:
        return node
    text = node
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", value)
    return None if any(f"{{{name}}}" in text for name in RESERVED) else text
