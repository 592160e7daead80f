"""Each operation of the API, and how each kind of caller is answered.

Belongs here: a row for every operation of the OpenAPI document; tests/stack/test_api_access.py
fails for one without. Does not: what an operation does (its own tests).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from tests.support.pact_events import fulfilled

KEY, SIGNATURE, CLIENT, OPEN = "key", "signature", "client", "open"
OWN_SUPPLIER, FOREIGN_SUPPLIER, NO_SUPPLIER = "SUP_042_DE", "SUP_043_FR", "SUP_999_XX"


def declaration(supplier_id: str) -> bytes:
    """A declaration of this supplier's."""
    content = {
        "declaration_id": "access-1",
        "supplier_id": supplier_id,
        "entity_id": "acme-de",
        "kind": "product_footprint",
        "quantity": "500",
        "unit": "kg",
        "kgco2e_per_unit": "2",
        "boundary": "cradle_to_gate",
        "gwp_set": "AR6",
        "timestamp": "2024-05-01T00:00:00Z",
    }
    return json.dumps(content).encode()


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is sent, save for who sends it."""

    path: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation. `own` is about what the caller may see, and is answered `own_status`.

    `foreign` is about what is somebody else's and `absent` about what is not there; both are
    answered `foreign_status`, with the same content. None: the operation is about no such thing.
    """

    needs: str = KEY
    scope: str | None = None
    # Another scope that opens it as well, for less of it.
    or_scope: str | None = None
    own: Request
    own_status: int
    foreign: Request | None = None
    absent: Request | None = None
    foreign_status: int = 404


# What is refused for its content was let in: it takes no submission of this test's own.
NO_SUBMISSION = f"/v1/activities/{2**62}"
DECISION = b'{"reason": "checked"}'
NO_LETTER = "/v1/dead-letters/edge:0000000000000000"
NO_ENTRY = "00000000-0000-8000-8000-000000000000"
WHY = b'{"why": "checked"}'
SIGN_OFF = f'{{"kind": "entry", "entry_id": "{NO_ENTRY}", "verdict": "agreed"}}'.encode()

OPERATIONS: dict[tuple[str, str], Operation] = {
    ("get", "/v1/health"): Operation(needs=OPEN, own=Request(path="/v1/health"), own_status=200),
    ("get", "/v1/ready"): Operation(needs=OPEN, own=Request(path="/v1/ready"), own_status=200),
    ("post", "/v1/webhooks/erp/{system}"): Operation(
        needs=SIGNATURE,
        own=Request(path="/v1/webhooks/erp/sap-prod"),
        own_status=202,
        foreign=Request(path="/v1/webhooks/erp/fusion"),
        absent=Request(path="/v1/webhooks/erp/nobody"),
        foreign_status=401,
    ),
    ("post", "/v1/supplier/declarations"): Operation(
        scope="submit:supplier",
        own=Request(path="/v1/supplier/declarations", body=declaration(OWN_SUPPLIER)),
        own_status=202,
        foreign=Request(path="/v1/supplier/declarations", body=declaration(FOREIGN_SUPPLIER)),
        absent=Request(path="/v1/supplier/declarations", body=declaration(NO_SUPPLIER)),
        foreign_status=403,
    ),
    ("post", "/v1/supplier/declarations:bulk"): Operation(
        scope="submit:supplier",
        own=Request(path="/v1/supplier/declarations:bulk", body=declaration(OWN_SUPPLIER)),
        own_status=202,
    ),
    ("post", "/auth/token"): Operation(
        needs=CLIENT,
        own=Request(path="/auth/token", body=b"grant_type=client_credentials"),
        own_status=200,
    ),
    ("post", "/3/events"): Operation(
        scope="submit:supplier",
        own=Request(path="/3/events", body=fulfilled("request-of-ours")),
        own_status=200,
        foreign=Request(path="/3/events", body=fulfilled("request-of-somebody-else")),
        absent=Request(path="/3/events", body=fulfilled("request-of-nobody")),
        foreign_status=400,
    ),
    # Submissions of another organization: tests/stack/test_activity_register.py.
    ("post", "/v1/activities"): Operation(
        scope="activities:submit",
        own=Request(path="/v1/activities?name=", body=b"nothing"),
        own_status=422,
    ),
    ("get", "/v1/activities/{number}"): Operation(
        scope="activities:submit", own=Request(path=NO_SUBMISSION), own_status=404
    ),
    ("post", "/v1/activities/{number}/approval"): Operation(
        scope="activities:approve",
        own=Request(path=f"{NO_SUBMISSION}/approval", body=DECISION),
        own_status=404,
    ),
    ("post", "/v1/activities/{number}/rejection"): Operation(
        scope="activities:approve",
        own=Request(path=f"{NO_SUBMISSION}/rejection", body=DECISION),
        own_status=404,
    ),
    # Letters of another organization: tests/stack/test_dead_letters_doors.py.
    ("get", "/v1/dead-letters"): Operation(
        scope="dlq:read", own=Request(path="/v1/dead-letters"), own_status=200
    ),
    ("get", "/v1/dead-letters/{letter_id}"): Operation(
        scope="dlq:read", own=Request(path=NO_LETTER), own_status=404
    ),
    ("post", "/v1/dead-letters/{letter_id}:replay"): Operation(
        scope="dlq:write",
        own=Request(path=f"{NO_LETTER}:replay", body=WHY),
        own_status=404,
    ),
    ("post", "/v1/dead-letters/{letter_id}:discard"): Operation(
        scope="dlq:write",
        own=Request(path=f"{NO_LETTER}:discard", body=WHY),
        own_status=404,
    ),
    # Suppliers of others, and other organizations: tests/stack/test_api_inventory.py.
    ("get", "/v1/inventory"): Operation(
        scope="ledger:read", own=Request(path="/v1/inventory"), own_status=200
    ),
    ("get", "/v1/facilities/{facility_id}/inventory"): Operation(
        scope="ledger:read", own=Request(path="/v1/facilities/plant-1/inventory"), own_status=200
    ),
    ("get", "/v1/categories/{category}/inventory"): Operation(
        scope="ledger:read", own=Request(path="/v1/categories/1/inventory"), own_status=200
    ),
    ("get", "/v1/suppliers/{supplier_id}/inventory"): Operation(
        scope="ledger:read",
        or_scope="supplier:read",
        own=Request(path=f"/v1/suppliers/{OWN_SUPPLIER}/inventory"),
        own_status=200,
    ),
    # Entries of others: tests/stack/test_api_entries.py.
    ("get", "/v1/entries"): Operation(
        scope="ledger:read",
        or_scope="supplier:read",
        own=Request(path="/v1/entries"),
        own_status=200,
    ),
    ("get", "/v1/entries/{entry_id}"): Operation(
        scope="ledger:read",
        or_scope="supplier:read",
        own=Request(path=f"/v1/entries/{NO_ENTRY}"),
        own_status=404,
    ),
    ("get", "/v1/changes"): Operation(
        scope="ledger:read", own=Request(path="/v1/changes"), own_status=200
    ),
    ("get", "/v1/entries/export"): Operation(
        scope="ledger:export", own=Request(path="/v1/entries/export"), own_status=200
    ),
    ("get", "/v1/factor-releases"): Operation(
        scope="factors:read", own=Request(path="/v1/factor-releases"), own_status=200
    ),
    ("get", "/v1/factor-releases/{release_id}"): Operation(
        scope="factors:read", own=Request(path="/v1/factor-releases/none"), own_status=404
    ),
    ("get", "/v1/factors"): Operation(
        scope="factors:read", own=Request(path="/v1/factors?limit=1"), own_status=200
    ),
    ("get", "/v1/factors/{factor_id}"): Operation(
        scope="factors:read", own=Request(path="/v1/factors/none"), own_status=404
    ),
    # Entries of another organization: tests/stack/test_api_factors.py.
    ("get", "/v1/lineage/entries/{entry_id}"): Operation(
        scope="lineage:read",
        own=Request(path=f"/v1/lineage/entries/{NO_ENTRY}"),
        own_status=404,
    ),
    # Reports and entries of another organization: tests/stack/test_review_api.py.
    ("get", "/v1/lineage/reports/{snapshot_id}/sample"): Operation(
        scope="lineage:read",
        own=Request(path=f"/v1/lineage/reports/{NO_ENTRY}/sample"),
        own_status=404,
    ),
    ("get", "/v1/lineage/sign-offs"): Operation(
        scope="lineage:read", own=Request(path="/v1/lineage/sign-offs"), own_status=200
    ),
    ("post", "/v1/lineage/sign-offs"): Operation(
        scope="lineage:sign",
        own=Request(path="/v1/lineage/sign-offs", body=SIGN_OFF),
        own_status=404,
    ),
    ("get", "/v1/completeness"): Operation(
        scope="completeness:read",
        own=Request(path="/v1/completeness?start_date=2025-01-01&end_date=2025-01-31"),
        own_status=200,
    ),
    ("get", "/metrics"): Operation(scope="dlq:read", own=Request(path="/metrics"), own_status=200),
}
