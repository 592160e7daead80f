"""What a verification found: stable codes, where each difference is, and the account of it all.

Belongs here: the codes, findings, the report as text and as JSON. Does not: how anything is found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

# A code never changes its meaning; what each one says is printed in docs/verify.md.
CODES: Final[dict[str, str]] = {
    "entry_altered": "an entry's row is not what its commit says was posted",
    "entry_missing": "a commit lists an entry that is not there",
    "entry_unlisted": "an entry is there that no commit lists",
    "entry_twice": "an entry is there, or is listed, more than once",
    "commit_altered": "a commit contradicts its account, its entries or itself",
    "commit_missing": "an account or a seal speaks of a commit that is not there",
    "seal_order": "seals are not dense, or hold commits twice or in the wrong order",
    "seal_root": "the leaves of a seal do not have the root that was written down",
    "node_altered": "a stored node of the tree is not the hash of what is below it",
    "head_altered": "a head in the database contradicts the tree or its own text",
    "head_signature": "a head is not signed by the ledger's key",
    "head_fork": "a head that left the database speaks of another history",
    "head_rolled_back": "a head that left the database is no longer in it",
    "restore_declared": "the database was put back to an earlier moment, by its own account",
    "tail_cut": "a head that left the database counts more entries than there are",
    "reversal_unpaired": "a reversal and its entry do not cancel, or one of them is missing",
    "identity_missing": "an event of an entry is not in the list of events",
    "identity_altered": "the list of events speaks of an entry that is not there",
    "window_differs": "a window is not the sum of its entries",
    "sum_differs": "a sum that inventories and reports are read from is not that of its entries",
    "report_altered": "a report that a reported period binds is not what two people agreed to",
    "guard_missing": "what refuses changes of a table is not there, is disabled or is another",
    "row_security_differs": "who sees which rows of a table is not what was made for it",
}
# Of each code, so that a ledger that is wrong throughout still gives a report.
SHOWN_PER_CODE: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One difference: `where` names it (table's columns and values), `message` says what it is."""

    code: str
    table: str
    where: Mapping[str, str]
    message: str

    def line(self) -> str:
        """The finding on one line."""
        place = " ".join(f"{name}={value}" for name, value in self.where.items())
        return f"{self.code}  {self.table} {place}: {self.message}"

    def as_json(self) -> dict[str, Any]:
        """The finding as `carbon verify --json` prints it."""
        return {
            "code": self.code,
            "table": self.table,
            "where": dict(self.where),
            "message": self.message,
        }


@dataclass(kw_only=True)
class Report:
    """What was looked at, and every difference (the first SHOWN_PER_CODE of each code)."""

    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    looked_at: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    unsealed_commits: int = 0
    unsealed_entries: int = 0
    oldest_unsealed: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """Whether nothing differs."""
        return not self.counts

    def add(self, code: str, table: str, message: str, **where: object) -> None:
        """Notes a difference."""
        if code not in CODES:
            raise KeyError(code)
        self.counts[code] += 1
        if self.counts[code] <= SHOWN_PER_CODE:
            place = {name: str(value) for name, value in where.items()}
            self.findings.append(Finding(code=code, table=table, where=place, message=message))

    def merge(self, other: Report) -> None:
        """Takes over what another process found."""
        self.findings.extend(other.findings)
        self.counts.update(other.counts)
        self.notes.extend(other.notes)

    def as_json(self) -> dict[str, Any]:
        """The report as docs/verify.md describes it."""
        return {
            "clean": self.is_clean,
            "differences": sum(self.counts.values()),
            "counts": dict(sorted(self.counts.items())),
            "findings": [finding.as_json() for finding in self.findings],
            "looked_at": self.looked_at,
            "unsealed": {
                "commits": self.unsealed_commits,
                "entries": self.unsealed_entries,
                "oldest": self.oldest_unsealed,
            },
            "notes": self.notes,
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
        }

    def lines(self) -> list[str]:
        """The report as text."""
        looked = ", ".join(f"{count:,} {name}" for name, count in self.looked_at.items())
        text = [f"Looked at {looked} in {self.seconds.get('total', 0):.1f} s."]
        if self.unsealed_commits:
            text.append(
                f"Not sealed yet: {self.unsealed_entries:,} entries of {self.unsealed_commits:,}"
                f" commits, the oldest of {self.oldest_unsealed}."
            )
        text.extend(self.notes)
        text.extend(finding.line() for finding in self.findings)
        for code, count in sorted(self.counts.items()):
            if count > SHOWN_PER_CODE:
                text.append(f"{code}: {count - SHOWN_PER_CODE:,} more are not shown.")
        total = sum(self.counts.values())
        text.append("No difference." if self.is_clean else f"{total:,} differences.")
        return text
