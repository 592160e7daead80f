"""One run's report: what was done with which seed to which commit, and what came of it.

Belongs here: the figures and their two spellings, JSON and text. Does not: getting them.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from math import ceil
from pathlib import Path

from carbon_ledger.settings import PROJECT_ROOT
from tests.chaos.history import Verdict
from tests.chaos.nemesis import Struck

RESULTS = PROJECT_ROOT / "chaos-results"


def quantile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else None


def commit_now() -> str:
    """The checked out commit, `+` where files differ from it; `unknown` outside a checkout."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD").strip()
        return commit + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    ).stdout


@dataclass(frozen=True, kw_only=True)
class Report:
    """Figures of one run; seconds are from a blow to the first commit of a later batch."""

    seed: int
    commit: str
    ended_at: str
    minutes: float
    events: int
    fates: dict[str, int]
    kills: dict[str, int]
    blows: list[dict[str, object]]
    lost: int
    doubled: int
    altered: int
    unexplained: int
    faults: list[str]
    recovery_p50: float | None
    recovery_p95: float | None
    recovery_max: float | None

    @property
    def text(self) -> str:
        """As one reads it."""
        lines = [
            f"seed {self.seed}, commit {self.commit}, {self.minutes:.1f} min, "
            f"ended {self.ended_at}",
            f"{self.events} events sent: "
            + ", ".join(f"{count} {fate}" for fate, count in sorted(self.fates.items())),
            f"{sum(self.kills.values())} kills: "
            + ", ".join(f"{count} x {victim}" for victim, count in sorted(self.kills.items())),
            *(
                f"  {one['blow']}: batch {one['batch']}, {one['recovery_seconds']} s"
                for one in self.blows
            ),
            f"lost {self.lost}, doubled {self.doubled}, altered {self.altered}, "
            f"unexplained {self.unexplained}, other faults {len(self.faults)}",
            *(f"  {fault}" for fault in self.faults),
            f"seconds from a kill to the first commit of a later batch: p50 {self.recovery_p50}, "
            f"p95 {self.recovery_p95}, max {self.recovery_max}",
        ]
        return "\n".join(lines) + "\n"

    def write(self, folder: Path = RESULTS) -> Path:
        """Keeps both spellings; the path of the JSON one."""
        folder.mkdir(parents=True, exist_ok=True)
        stamp = self.ended_at.replace("-", "").replace(":", "")[:15]
        path = folder / f"{stamp}-seed{self.seed}.json"
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        path.with_suffix(".txt").write_text(self.text, encoding="utf-8")
        return path


def report_of(
    *,
    seed: int,
    commit: str,
    begun: datetime,
    fates: Counter[str],
    dealt: Sequence[Struck],
    verdict: Verdict,
) -> Report:
    """The report of a run of `commit` that ends now; recovery times are those of kills."""
    kills = [one for one in dealt if one.blow.kind == "kill"]
    seconds = [round(one.recovery_seconds, 1) for one in kills if one.recovery_seconds is not None]
    now = datetime.now(UTC)
    return Report(
        seed=seed,
        commit=commit,
        ended_at=now.isoformat(timespec="seconds"),
        minutes=round((now - begun).total_seconds() / 60, 1),
        events=fates.total(),
        fates=dict(fates),
        kills=dict(Counter(one.blow.victim for one in kills)),
        blows=[
            {
                **asdict(one.blow),
                "blow": str(one.blow),
                "at": one.at.isoformat(),
                "batch": one.batch_id,
                "recovery_seconds": None
                if one.recovery_seconds is None
                else round(one.recovery_seconds, 1),
            }
            for one in dealt
        ],
        lost=len(verdict.lost),
        doubled=len(verdict.doubled),
        altered=len(verdict.altered),
        unexplained=len(verdict.unexplained),
        faults=verdict.faults,
        recovery_p50=quantile(seconds, 0.5),
        recovery_p95=quantile(seconds, 0.95),
        recovery_max=max(seconds, default=None),
    )
