"""Leased assets: whose scope the emissions of an asset are in, by lease and consolidation approach.

Belongs here: tables A.1 and A.2 of the Scope 3 Standard. Does not: shares in companies
(carbon_ledger.organisation.boundary), other activities (carbon_ledger.organisation.scopes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.policy import CONSOLIDATIONS, Consolidation

CITATION: Final = "GHG Protocol Scope 3 Standard (2011), appendix A, table {table}"
ROLES: Final = ("lessee", "lessor")
LEASES: Final = ("finance", "operating")


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaseTreatment:
    """Where a leased asset's emissions belong: own scopes 1 and 2, or a category of scope 3."""

    is_own: bool
    category: int | None
    rule: str
    reason: str


# (role, lease, whether the approach is operational control) -> category of scope 3, None for own.
_TABLE: Final[dict[tuple[str, str, bool], int | None]] = {
    ("lessee", "finance", False): None,
    ("lessee", "operating", False): 8,
    ("lessee", "finance", True): None,
    ("lessee", "operating", True): None,
    ("lessor", "finance", False): 13,
    ("lessor", "operating", False): None,
    ("lessor", "finance", True): 13,
    ("lessor", "operating", True): 13,
}


def treatment(role: str, lease: str, consolidation: Consolidation) -> LeaseTreatment:
    """Where the emissions of an asset in use belong, for the lessee or the lessor.

    Raises RejectedRecord `unknown_lease_role`, `unknown_lease_type`, `unknown_consolidation`.
    """
    for code, value, valid in (
        ("unknown_lease_role", role, ROLES),
        ("unknown_lease_type", lease, LEASES),
        ("unknown_consolidation", consolidation, CONSOLIDATIONS),
    ):
        if value not in valid:
            raise RejectedRecord(
                code,
                f"{str(value)[:60]!r} is none",
                field=code.removeprefix("unknown_"),
                value=value,
                valid=", ".join(valid),
            )
    category = _TABLE[role, lease, consolidation == "operational_control"]
    where = "own scope 1 and 2" if category is None else f"scope 3 category {category}"
    citation = CITATION.format(table="A.1" if role == "lessee" else "A.2")
    return LeaseTreatment(
        is_own=category is None,
        category=category,
        rule=f"LEASE-{role}-{lease}-{consolidation}".upper().replace("_", "-"),
        reason=f"{lease} lease, {role}, {consolidation.replace('_', ' ')}: {where} ({citation})",
    )
