"""What the API can be asked: each operation as the request it is, for both clients.

Belongs here: paths, parameters and bodies. Does not: sending them (api.client, api.async_client).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Literal, TypedDict
from urllib.parse import quote

from api.client_answers import InvalidArgument, Inventory
from api.client_signing import DELIVERY_HEADER, signed_headers

JSON: Final = {"Content-Type": "application/json"}
Granularity = Literal["total", "monthly", "daily", "hourly", "five_minute"]
Basis = Literal["location", "market"]
Format = Literal["ndjson", "csv", "parquet"]


class InventoryQuestion(TypedDict, total=False):
    """What narrows an inventory. Dates are local and both inclusive, text or date; `as_of` is the
    moment whose knowledge is asked for.
    """

    scope: int
    start_date: date | str
    end_date: date | str
    basis: Basis
    granularity: Granularity
    as_of: datetime | str


class EntryQuestion(TypedDict, total=False):
    """What narrows entries; as InventoryQuestion, and `recorded_since` is inclusive."""

    stream: str
    scope: int
    category: int
    facility_id: str
    supplier_id: str
    start_date: date | str
    end_date: date | str
    recorded_since: datetime | str
    is_active: bool
    as_of: datetime | str


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One request, which may be sent again; its answer is an object that has `names`."""

    method: str = "GET"
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()


def get(path: str, query: Mapping[str, Any] | None = None, names: tuple[str, ...] = ()) -> Ask:
    """A question; parameters that are None are left out."""
    given = {name: plain(value) for name, value in (query or {}).items() if value is not None}
    return Ask(path=path, query=given, names=names)


def post(path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Ask:
    """A submission."""
    return Ask(method="POST", path=path, body=body, headers={**JSON, **(headers or {})})


def plain(value: Any) -> Any:
    """A parameter as it is written in an address."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date | datetime) else value


def one_part(text: str) -> str:
    """Something as one part of a path, whatever stands in it; InvalidArgument of what is none.

    Dot segments are taken out of a path (RFC 3986, 5.2.4): it would be another operation's.
    """
    if text in ("", ".", ".."):
        raise InvalidArgument(
            "not_an_identifier",
            "this identifies nothing, and the path would be another operation's",
            field="identifier",
            value=text,
            valid="any text but '', '.' and '..'",
        )
    return quote(text, safe=":")


def health() -> Ask:
    """Whether the API's parts answer."""
    return get("/v1/health", names=("status", "kafka", "database"))


def ready() -> Ask:
    """Whether requests can be taken."""
    return get("/v1/ready", names=("status", "reader", "gate", "kafka"))


def submit_declarations(declarations: Iterable[Mapping[str, Any]]) -> Ask:
    """Declarations, one a line."""
    lines = b"".join(json_bytes(one) + b"\n" for one in declarations)
    kind = {"Content-Type": "application/x-ndjson"}
    return post("/v1/supplier/declarations:bulk", lines, kind)


def send_erp_document(
    system: str,
    document: Mapping[str, Any] | bytes,
    secret: bytes,
    delivery: str,
    sent_at: int,
) -> Ask:
    """An order document, signed with the system's secret; `sent_at` in Unix seconds."""
    body = document if isinstance(document, bytes) else json_bytes(document)
    headers = signed_headers(body, secret, sent_at)
    if delivery:
        headers[DELIVERY_HEADER] = delivery
    return post(f"/v1/webhooks/erp/{one_part(system)}", body, headers)


def list_dead_letters(
    *,
    reason: str | None,
    stream: str | None,
    source: str | None,
    since: datetime | None,
    until: datetime | None,
    states: Iterable[str],
    limit: int,
) -> Ask:
    """Letters."""
    wanted = {
        "reason": reason,
        "stream": stream,
        "source": source,
        "since": since,
        "until": until,
        "state": list(states) or None,
        "limit": limit,
    }
    return get("/v1/dead-letters", wanted)


def show_dead_letter(letter_id: str) -> Ask:
    """A letter."""
    return get(_letter(letter_id))


def replay_dead_letter(
    letter_id: str,
    *,
    why: str,
    changes: Mapping[str, str] | None,
    value: Mapping[str, Any] | None,
    stream: str | None,
    force: bool,
) -> Ask:
    """A letter sent again."""
    body: dict[str, Any] = {"why": why, "force": force, "changes": dict(changes or {})}
    if value is not None:
        body["value"] = dict(value)
    if stream is not None:
        body["stream"] = stream
    return post(f"{_letter(letter_id)}:replay", json_bytes(body))


def discard_dead_letter(letter_id: str, *, why: str) -> Ask:
    """A letter that stays unledgered."""
    return post(f"{_letter(letter_id)}:discard", json_bytes({"why": why}))


def _letter(letter_id: str) -> str:
    return f"/v1/dead-letters/{one_part(letter_id)}"


def inventory(question: InventoryQuestion, of: str = "", identifier: str = "") -> Ask:
    """An inventory of the organization, or `of` suppliers, facilities or categories one."""
    path = f"/v1/{of}/{one_part(identifier)}/inventory" if of else "/v1/inventory"
    return get(path, dict(question), tuple(Inventory.__dataclass_fields__))


def entries(question: EntryQuestion, limit: int, cursor: str | None) -> Ask:
    """A page of entries."""
    query = {**question, "limit": limit, "cursor": cursor}
    return get("/v1/entries", query, ("entries", "next_cursor"))


def entry(entry_id: str, as_of: datetime | str | None) -> Ask:
    """An entry."""
    return get(f"/v1/entries/{one_part(entry_id)}", {"as_of": as_of})


def export(question: EntryQuestion, form: Format) -> Ask:
    """Every entry."""
    return get("/v1/entries/export", {**question, "format": form})


def changes(after: int, limit: int) -> Ask:
    """What was sealed after a number."""
    query = {"after": after, "limit": limit}
    return get("/v1/changes", query, ("changes", "next_after", "sealed"))


def factors(question: Mapping[str, Any], limit: int, cursor: str | None) -> Ask:
    """A page of factors."""
    query = {**question, "limit": limit, "cursor": cursor}
    return get("/v1/factors", query, ("factors", "next_cursor"))


def factor(factor_id: str) -> Ask:
    """A factor."""
    return get(f"/v1/factors/{one_part(factor_id)}")


def factor_releases() -> Ask:
    """Releases."""
    return get("/v1/factor-releases", names=("releases",))


def lineage(entry_id: str) -> Ask:
    """What an entry rests on."""
    return get(f"/v1/lineage/entries/{one_part(entry_id)}")


def completeness(start_date: str, end_date: str, as_of: datetime | str | None) -> Ask:
    """What is missing."""
    return get("/v1/completeness", {"start_date": start_date, "end_date": end_date, "as_of": as_of})


def json_bytes(document: Mapping[str, Any]) -> bytes:
    """The document as JSON, a Decimal as text."""
    return json.dumps(document, default=_plain, ensure_ascii=False, allow_nan=False).encode()


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    raise TypeError(f"{type(value).__name__} is no JSON")
