"""A client of the API: `httpx` and nothing else of this project.

Belongs here: the client that waits, one method per operation. Does not: the one that does not wait
(api.async_client), what an operation's request is (api.client_asks), what its answer is
(api.client_answers). Numbers are exact both ways: Decimal, and text.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self, Unpack

import httpx

from api import client_asks as asks
from api import client_pages as pages
from api.async_client import AsyncCarbonLedgerClient
from api.client_answers import (
    ApiError,
    Bucket,
    Busy,
    Change,
    InvalidArgument,
    Inventory,
    NotAuthorized,
    NotFound,
    Refused,
)
from api.client_asks import Ask, EntryQuestion, Format, InventoryQuestion, json_bytes
from api.client_pages import Pages, T
from api.client_sending import (
    EXPORT_SECONDS,
    TIMEOUT_SECONDS,
    Export,
    Tries,
    Unreachable,
    Way,
    request_of,
    timeout_of,
)
from api.client_signing import (
    DELIVERY_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    signed_headers,
)

__all__ = [
    "DELIVERY_HEADER",
    "SIGNATURE_HEADER",
    "TIMESTAMP_HEADER",
    "ApiError",
    "AsyncCarbonLedgerClient",
    "Bucket",
    "Busy",
    "CarbonLedgerClient",
    "Change",
    "InvalidArgument",
    "Inventory",
    "NotAuthorized",
    "NotFound",
    "Refused",
    "Unreachable",
    "json_bytes",
    "signed_headers",
]


class CarbonLedgerClient:
    """Speaks to one API with one key. Whatever is asked or submitted may be so again.

    Without `key` it is that of CARBON_API_KEY, and against this machine the local stack's own; an
    empty one is none. What was answered 503 or 429, or did not reach the API, is repeated, up to
    TRIES times: nothing is ledgered twice by that. What has no answer in `timeout_seconds` is not.
    Raises InvalidArgument for an address or a key that is none, ApiError (NotAuthorized, NotFound,
    Refused, Busy) for any other refusal, Unreachable (a httpx.TransportError) without an answer.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8000",
        key: str | None = None,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._way = Way.to(base_url, key, timeout_seconds)
        self._http = httpx.Client(**self._way.options)
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes its connections."""
        self._http.close()

    def health(self) -> dict[str, Any]:
        """Whether Kafka and PostgreSQL answer; told, not raised, if they do not."""
        return self._at_once(asks.health())

    def ready(self) -> dict[str, Any]:
        """Whether requests can be taken, by part; told, not raised, if they cannot."""
        return self._at_once(asks.ready())

    def _at_once(self, ask: Ask) -> dict[str, Any]:
        tries = Tries(self._way, ask)
        try:
            answer = self._http.request(**request_of(ask))
        except httpx.TransportError as error:
            raise tries.lost(error) from error
        return tries.state(answer)

    def get_inventory(self, **question: Unpack[InventoryQuestion]) -> Inventory:
        """What the key's organization emitted."""
        return Inventory.of(self._ask(asks.inventory(question)))

    def get_supplier_inventory(
        self, supplier_id: str, **question: Unpack[InventoryQuestion]
    ) -> Inventory:
        """What was bought from a supplier, as declared or estimated. Nothing: an empty one."""
        return Inventory.of(self._ask(asks.inventory(question, "suppliers", supplier_id)))

    def get_facility_inventory(
        self, facility_id: str, **question: Unpack[InventoryQuestion]
    ) -> Inventory:
        """What a facility emitted."""
        return Inventory.of(self._ask(asks.inventory(question, "facilities", facility_id)))

    def get_category_inventory(
        self, category: int, **question: Unpack[InventoryQuestion]
    ) -> Inventory:
        """What a category of scope 3 comes to, 1 to 15."""
        return Inventory.of(self._ask(asks.inventory(question, "categories", str(category))))

    def entries(self, **question: Unpack[EntryQuestion]) -> Iterator[dict[str, Any]]:
        """Every entry, as known at one moment; asked for page by page, numbers as exact text."""
        return self._every(pages.entries(question))

    def get_entry(self, entry_id: str, *, as_of: datetime | str | None = None) -> dict[str, Any]:
        """One entry; NotFound."""
        return self._ask(asks.entry(entry_id, as_of))

    def changes(self, after: int = 0) -> Iterator[Change]:
        """Every entry that was sealed after number `after`, in order, to the last one there is.

        Whoever stores the last `seq` together with what it made of the entries has each once.
        """
        return self._every(pages.changes(after))

    def export_entries(
        self,
        path: str | os.PathLike[str],
        *,
        form: Format = "ndjson",
        timeout_seconds: float = EXPORT_SECONDS,
        **question: Unpack[EntryQuestion],
    ) -> datetime:
        """Writes every entry to a file, which is there once it is whole; of which moment it is.

        Waits `timeout_seconds` for each piece, and does not begin again after that.
        """
        ask = asks.export(question, form)
        tries = Tries(self._way, ask, timeout_seconds)
        while True:
            written = Export(path)
            try:
                found = self._stream(ask, written, tries, timeout_of(timeout_seconds))
            except httpx.TransportError as error:
                found = tries.failed(error)
            finally:
                written.drop()
            if isinstance(found, datetime):
                return found
            self._sleep(found)

    def _stream(
        self, ask: Ask, written: Export, tries: Tries, timeout: httpx.Timeout
    ) -> datetime | float:
        with self._http.stream(**request_of(ask), timeout=timeout) as answer:
            if not answer.is_success:
                answer.read()
                return tries.refused(answer)
            tries.check_export(answer)
            for piece in answer.iter_bytes():
                written.write(piece)
        return written.finish(answer.headers)

    def list_factors(self, **question: Any) -> Iterator[dict[str, Any]]:
        """Factors of a `release` (the latest), narrowed by `family`, `country`, `publisher`,
        `energy_source`, `year`; page by page.
        """
        return self._every(pages.factors(question))

    def get_factor(self, factor_id: str) -> dict[str, Any]:
        """Every version of a factor there ever was; NotFound."""
        return self._ask(asks.factor(factor_id))

    def list_factor_releases(self) -> list[dict[str, Any]]:
        """Every release of factors, newest first."""
        found: list[dict[str, Any]] = self._ask(asks.factor_releases())["releases"]
        return found

    def trace_entry(self, entry_id: str) -> dict[str, Any]:
        """What an entry rests on and what it is in; NotFound."""
        return self._ask(asks.lineage(entry_id))

    def get_completeness(
        self, start_date: str, end_date: str, *, as_of: datetime | str | None = None
    ) -> dict[str, Any]:
        """What was expected of local dates (both inclusive), and what of it is missing."""
        return self._ask(asks.completeness(start_date, end_date, as_of))

    def submit_declaration(self, declaration: Mapping[str, Any]) -> dict[str, Any]:
        """Declares one thing for a supplier of the key's; its event id."""
        return self._ask(asks.post("/v1/supplier/declarations", json_bytes(declaration)))

    def submit_declarations(self, declarations: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Declares several at once; for each row whether it was taken, and why not."""
        return self._ask(asks.submit_declarations(declarations))

    def send_erp_document(
        self, system: str, document: Mapping[str, Any] | bytes, *, secret: bytes, delivery: str = ""
    ) -> dict[str, Any]:
        """Sends an order document as the ERP system would, signed with its secret; event ids."""
        return self._ask(
            asks.send_erp_document(system, document, secret, delivery, int(time.time()))
        )

    def list_dead_letters(
        self,
        *,
        reason: str | None = None,
        stream: str | None = None,
        source: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        states: Iterable[str] = (),
        limit: int = 100,
    ) -> dict[str, Any]:
        """Dead letters, those first that have waited longest, and whether there are more.

        Without `states` those that wait for a decision; `any` is every state. Needs scope dlq:read.
        """
        return self._ask(
            asks.list_dead_letters(
                reason=reason,
                stream=stream,
                source=source,
                since=since,
                until=until,
                states=states,
                limit=limit,
            )
        )

    def show_dead_letter(self, letter_id: str) -> dict[str, Any]:
        """One letter: where from, why, what its bytes say, and every decision on it; dlq:read."""
        return self._ask(asks.show_dead_letter(letter_id))

    def replay_dead_letter(
        self,
        letter_id: str,
        *,
        why: str,
        changes: Mapping[str, str] | None = None,
        value: Mapping[str, Any] | None = None,
        stream: str | None = None,
        force: bool = False,
    ) -> dict[str, Any]:
        """Sends a letter again, in the name of the key's holder; which try it was. Scope dlq:write.

        `changes` are fields and their new values as text, `value` all fields of the event; without
        them the same bytes are judged again. `stream` says where an edge's letter belongs. Returns
        once Kafka has it. ApiError 409 `under_way` after an answer was lost: it was sent.
        """
        return self._ask(
            asks.replay_dead_letter(
                letter_id, why=why, changes=changes, value=value, stream=stream, force=force
            )
        )

    def discard_dead_letter(self, letter_id: str, *, why: str) -> dict[str, Any]:
        """Decides that a letter stays unledgered; nothing is deleted. Scope dlq:write."""
        return self._ask(asks.discard_dead_letter(letter_id, why=why))

    def _every(self, found: Pages[T]) -> Iterator[T]:
        while found.ask is not None:
            yield from found.take(self._ask(found.ask))

    def _ask(self, ask: Ask) -> dict[str, Any]:
        tries = Tries(self._way, ask)
        while True:
            try:
                answer = self._http.request(**request_of(ask))
                wait = tries.answered(answer)
            except httpx.TransportError as error:
                wait = tries.failed(error)
            if wait is None:
                return tries.content(answer)
            self._sleep(wait)
