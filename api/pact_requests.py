"""What was bought for each request of footprints, from the file of CARBON_PACT_REQUESTS_FILE.

Belongs here: reading and checking that file. Does not: the PACT exchange (api.routes.pact),
footprints (carbon_ledger.purchasing.pact).

A footprint says what one unit of a product emits, and not how many were bought: that is ours to
know. Whoever asks a supplier for a footprint draws the request's id, and writes under that id what
was bought of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from api.watched_file import WatchedFile, read_table
from carbon_ledger.errors import ConfigurationError, RejectedRecord
from carbon_ledger.event_fields import amount, identifier, moment, text
from carbon_ledger.purchasing.pact import Bought
from carbon_ledger.settings import Settings
from carbon_ledger.units import canonical_unit

FILE_BYTES_MAX: Final = 16 * 1024 * 1024
_NEEDED: Final = ("supplier_id", "entity_id", "begins", "ends", "quantity", "unit")
_KNOWN: Final = (*_NEEDED, "purchase_order_lines", "product_ids", "is_capital")


@dataclass(frozen=True, kw_only=True)
class PactRequest:
    """What a request was about: what was bought; of which products (none: whichever comes)."""

    bought: Bought
    product_ids: frozenset[str]


class PactRequests(WatchedFile[PactRequest]):
    """The requests of a file, by id; ConfigurationError `pact_requests` for a wrong one."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.get("CARBON_PACT_REQUESTS_FILE"), read_requests, _wrong)


def read_requests(path: Path) -> dict[str, PactRequest]:
    """The requests a file names; ConfigurationError `pact_requests` says what is wrong with it."""
    requests = read_table(path, "requests", FILE_BYTES_MAX, _wrong)
    found = {}
    for request_id, given in requests.items():
        try:
            found[str(request_id)] = _request(given)
        except RejectedRecord as problem:
            raise _wrong(path, f"{request_id}: {problem}") from problem
    return found


def _request(given: Any) -> PactRequest:
    if not isinstance(given, Mapping):
        raise RejectedRecord("wrong_type", "a request is a mapping")
    for name in given:
        if name not in _KNOWN:
            raise RejectedRecord("unknown_field", f"{name} is unknown", valid=", ".join(_KNOWN))
    for name in _NEEDED:
        if name not in given:
            raise RejectedRecord("missing_field", f"{name} is missing", field=name)
    if not isinstance(given["quantity"], str | int):
        raise RejectedRecord(
            "not_a_number", "quantity: put it in quotes, so that it stays as written"
        )
    begins, ends = moment("begins", given["begins"]), moment("ends", given["ends"])
    if ends <= begins:
        raise RejectedRecord("period_backwards", "ends is not after begins", field="ends")
    bought = Bought(
        supplier_id=identifier("supplier_id", given["supplier_id"]),
        entity_id=identifier("entity_id", given["entity_id"]),
        begins=begins,
        ends=ends,
        quantity=amount("quantity", given["quantity"]),
        unit=canonical_unit(given["unit"], field="unit"),
        purchase_order_lines=tuple(
            identifier("purchase_order_lines", one)
            for one in given.get("purchase_order_lines") or ()
        ),
        is_capital=given.get("is_capital", False) is True,
    )
    products = frozenset(text("product_ids", one) for one in given.get("product_ids") or ())
    return PactRequest(bought=bought, product_ids=products)


def _wrong(path: Path, what: str) -> ConfigurationError:
    return ConfigurationError("pact_requests", f"{path}: {what}")
