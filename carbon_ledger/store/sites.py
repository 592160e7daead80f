"""The calendars of sites, under the name their readers know.

Belongs here: two names. Does not: anything else (carbon_ledger.store.reference).
"""

from __future__ import annotations

from carbon_ledger.store.reference import read_sites, register_sites

__all__ = ["read_sites", "register_sites"]
