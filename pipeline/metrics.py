"""The ledger's figures as Prometheus reads them: text, one line per sample.

Belongs here: which metrics there are, their text (Prometheus exposition format 0.0.4). Does not:
serving it (api), counting (carbon_ledger.store).

Everything is read as the reader. A Kafka that does not answer leaves out the lag, and
carbon_part_up says so: a lag of 0 would be a lie.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from carbon_ledger.errors import Unavailable
from carbon_ledger.settings import Settings
from carbon_ledger.store.connect import connect_as_reader
from carbon_ledger.store.letters import (
    STATES,
    UNDECIDED,
    LetterCount,
    count_letters,
    tries_max,
)
from carbon_ledger.store.proof_ages import ProofAges, proof_ages
from carbon_ledger.store.read import StreamAccount, pending_ages, stream_accounts
from pipeline.topic_sight import look

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
FATES: Final = ("ledgered", "duplicate", "dead_lettered", "quarantined")

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric with its samples. `kind` is counter or gauge."""

    name: str
    kind: str
    meaning: str
    samples: Sequence[tuple[Labels, int | Decimal]]

    def lines(self) -> Iterator[str]:
        """A line for each sample."""
        for labels, value in self.samples:
            yield _line(self.name, labels, f"{value:f}" if isinstance(value, Decimal) else value)


@dataclass(frozen=True, kw_only=True)
class HistogramSample:
    """What was counted under some labels: `within` has, for each bound and for what is beyond the
    last, how many were within it and no smaller one; `total` their sum.
    """

    labels: Labels
    within: tuple[int, ...]
    total: float


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """A metric of how often a value was within which bound; `bounds` ascend."""

    name: str
    meaning: str
    bounds: tuple[str, ...]
    samples: Sequence[HistogramSample]
    kind: str = "histogram"

    def lines(self) -> Iterator[str]:
        """Cumulative buckets, sum and count of each sample."""
        for one in self.samples:
            below = 0
            for bound, number in zip((*self.bounds, "+Inf"), one.within, strict=True):
                below += number
                yield _line(f"{self.name}_bucket", (*one.labels, ("le", bound)), below)
            yield _line(f"{self.name}_sum", one.labels, f"{one.total:.6f}")
            yield _line(f"{self.name}_count", one.labels, below)


def exposition(settings: Settings, more: Iterable[Metric | Histogram] = ()) -> str:
    """Every metric, as of now, and `more` of whoever asks. Raises Unavailable if PostgreSQL does
    not answer.
    """
    with closing(connect_as_reader(settings, "carbon metrics", autocommit=True)) as conn:
        accounts = stream_accounts(conn)
        ages = pending_ages(conn)
        letters = count_letters(conn, tries=tries_max(settings))
        ages_of_proofs = proof_ages(conn)
    ends = _end_offsets(accounts, settings)
    metrics = [
        *_stream_metrics(accounts, ages, ends),
        *_letter_metrics(letters, datetime.now(UTC)),
        *_proof_metrics(ages_of_proofs),
        Metric(
            name="carbon_part_up",
            kind="gauge",
            meaning="1 if the part answered while these figures were read, else 0.",
            samples=[
                ((("part", "kafka"),), int(len(ends) == len(accounts))),
                ((("part", "postgres"),), 1),
            ],
        ),
        *more,
    ]
    return text_of(metrics)


def text_of(metrics: Iterable[Metric | Histogram]) -> str:
    """The metrics in the exposition format; one without samples is left out."""
    lines = []
    for metric in metrics:
        if not metric.samples:
            continue
        lines.append(f"# HELP {metric.name} {_escaped(metric.meaning, quotes=False)}")
        lines.append(f"# TYPE {metric.name} {metric.kind}")
        lines.extend(metric.lines())
    return "\n".join(lines) + "\n"


def _line(name: str, labels: Labels, value: int | str) -> str:
    shown = ",".join(f'{label}="{_escaped(text, quotes=True)}"' for label, text in labels)
    return f"{name}{{{shown}}} {value}" if shown else f"{name} {value}"


def _proof_metrics(ages: ProofAges) -> list[Metric]:
    return [
        Metric(
            name="carbon_seal_age_seconds",
            kind="gauge",
            meaning="Since when the latest seal is there; absent while there is none.",
            samples=[] if ages.seal_seconds is None else [((), ages.seal_seconds)],
        ),
        Metric(
            name="carbon_sealed_entries",
            kind="gauge",
            meaning="Entries in the sealed tree, of every organization.",
            samples=[((), ages.sealed_entries)],
        ),
        Metric(
            name="carbon_report_age_seconds",
            kind="gauge",
            meaning="Since when the latest report of a fiscal year is there.",
            samples=[
                (
                    (
                        ("report", one.report),
                        ("organization", one.organization_id),
                        ("fiscal_year", str(one.fiscal_year)),
                    ),
                    one.seconds,
                )
                for one in ages.reports
            ],
        ),
    ]


def _end_offsets(
    accounts: Sequence[StreamAccount], settings: Settings
) -> dict[str, dict[int, int]]:
    ends = {}
    for account in accounts:
        try:
            ends[account.stream] = look(account.topic, settings).highs
        except Unavailable:
            # One answer that does not come in time is enough to wait for.
            break
    return ends


def _stream_metrics(
    accounts: Sequence[StreamAccount],
    ages: Mapping[str, Decimal],
    ends: Mapping[str, dict[int, int]],
) -> list[Metric]:
    def of(account: StreamAccount, **more: str) -> Labels:
        return (("stream", account.stream), *more.items())

    return [
        Metric(
            name="carbon_stream_lag_records",
            kind="gauge",
            meaning="Records of the stream's topic that are not in the accounts.",
            samples=[
                (of(one), one.lag(ends[one.stream])) for one in accounts if one.stream in ends
            ],
        ),
        Metric(
            name="carbon_stream_oldest_pending_age_seconds",
            kind="gauge",
            meaning="How long the oldest record that no batch has claimed has been waiting.",
            samples=[(of(one), ages.get(one.stream, Decimal(0))) for one in accounts],
        ),
        Metric(
            name="carbon_stream_records_total",
            kind="counter",
            meaning="Records by what became of them; their sum is what was read.",
            samples=[
                (of(one, fate=fate), getattr(one, fate)) for one in accounts for fate in FATES
            ],
        ),
        Metric(
            name="carbon_stream_lines_total",
            kind="counter",
            meaning="Lines that the stream's batches posted.",
            samples=[(of(one), one.lines) for one in accounts],
        ),
        Metric(
            name="carbon_stream_halted",
            kind="gauge",
            meaning="1 if the stream stands still until somebody decides.",
            samples=[(of(one), int(one.halted_reason is not None)) for one in accounts],
        ),
    ]


def _letter_metrics(counts: Sequence[LetterCount], now: datetime) -> list[Metric]:
    by_state = dict.fromkeys(STATES, 0)
    for one in counts:
        by_state[one.state] += one.letters
    waiting = [one for one in counts if one.state in UNDECIDED]
    oldest = min((one.oldest_at for one in waiting), default=now)
    return [
        Metric(
            name="carbon_dead_letters",
            kind="gauge",
            meaning="Dead letters by state.",
            samples=[((("state", state),), number) for state, number in by_state.items()],
        ),
        Metric(
            name="carbon_dead_letters_open",
            kind="gauge",
            meaning="Dead letters that wait for a decision, by stream and reason.",
            samples=[
                (
                    (
                        ("stream", one.stream or ""),
                        ("reason", one.reason_code),
                        ("state", one.state),
                    ),
                    one.letters,
                )
                for one in waiting
            ],
        ),
        Metric(
            name="carbon_dead_letters_oldest_age_seconds",
            kind="gauge",
            meaning="How long the oldest dead letter has waited for a decision; 0 if none waits.",
            samples=[((), Decimal(str(max(0.0, (now - oldest).total_seconds()))))],
        ),
    ]


def _escaped(text: str, *, quotes: bool) -> str:
    told = text.replace("\\", "\\\\").replace("\n", "\\n")
    return told.replace('"', '\\"') if quotes else told
