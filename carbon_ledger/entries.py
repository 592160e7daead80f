"""A line of the ledger: its columns, its identity, its canonical bytes, and its negative.

Belongs here: what an entry is, pure and without a database. Does not: how a figure comes about
(carbon_ledger.calculate), how lines reach PostgreSQL or are read back (carbon_ledger.store).

Canonical bytes are what `content_sha256` is the hash of: the tag of their version, then one field
per row of CANONICAL in that order, joined by one byte 0x1F, as UTF-8. A field is what a fresh
SELECT of the column yields, spelled in the one way its kind prescribes:

    text       as it is
    integer    decimal digits, `-` in front if negative
    numeric    PostgreSQL's own text: no exponent, the trailing zeros it was given, no negative zero
    posted     numeric(38,12): exactly twelve digits after the point, no negative zero
    timestamp  whole microseconds since 1970-01-01T00:00:00Z, as an integer
    date       YYYY-MM-DD
    uuid       lower-case, with hyphens
    bytes      lower-case hexadecimal
    json       keys in code-point order, no blanks, non-ASCII characters as themselves

A null is the single byte 0x00, an empty text nothing at all. No value may hold a control character
(U+0000 to U+001F, U+007F), so neither the separator nor the null can be imitated. Left out are
`content_sha256` itself and `batch_id`, which says who carried the record, not what it says.

There are two versions, and every row says which is its own (`preimage`; the tag stands for it in
the bytes). New rows are of version 2, `carbon-entry/2`. Rows of version 1, `carbon-entry/1`, were
written before the ledger kept how good a figure is: they have none of QUALITY_COLUMNS, in the bytes
nor in the row.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation
from typing import Any, Final

from carbon_ledger.errors import BrokenInvariant

PREIMAGE: Final = 2
PREIMAGE_TAGS: Final = {1: "carbon-entry/1", 2: "carbon-entry/2"}
PREIMAGE_VERSION: Final = PREIMAGE_TAGS[PREIMAGE]
ENTRY_ID_VERSION: Final = "carbon-entry-id/1"
SEPARATOR: Final = "\x1f"
NULL: Final = "\x00"
REVERSAL_SALT: Final = "reversal"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_QUANTUM = Decimal("1E-12")
# numeric(38,12): whatever would have to be rounded to fit is refused instead.
_EXACT = Context(prec=38, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, Inexact])


@dataclass(frozen=True, kw_only=True, slots=True)
class EntryRow:
    """One row of ledger.entry, column by column.

    `kgco2e`, the masses per gas (kg of the gas) and `kgco2e_granular` are posted figures, rounded
    already; `quantity` is in `unit`, exactly as sent. `other_gases` maps a gas to its kg as plain
    decimal text. How good the figure is: `method` and `rule_id` as carbon_ledger.lines has them,
    `supersession_rank` 0 to 6, `primary_share` 0 to 1, the scores as data_quality.Scores.text.
    `content_sha256` is empty until `sealed`; `preimage` is the version of the canonical bytes.
    """

    organization_id: str
    entry_id: uuid.UUID
    event_id: str
    line_no: int
    activity_ref: str
    claim_key: str
    stream: str
    activity_month: date
    local_date: date
    occurred_from: datetime
    occurred_to: datetime
    recorded_at: datetime
    scope: int
    category: int | None = None
    basis: str
    facility_id: str
    source_ref: str
    country_iso2: str
    region: str | None = None
    activity_type: str
    quantity: Decimal
    unit: str
    kgco2e: Decimal
    gas_split: str
    kg_co2_fossil: Decimal | None = None
    kg_co2_biogenic: Decimal | None = None
    kg_ch4: Decimal | None = None
    kg_n2o: Decimal | None = None
    other_gases: Mapping[str, str] | None = None
    gwp_set: str
    kgco2e_granular: Decimal | None = None
    factor_id: str
    factor_version: int
    factor_release: str
    factor_match: str
    vintage_gap_years: int | None = None
    flags: str = ""
    formula_id: str
    method: str | None = None
    rule_id: str | None = None
    supersession_rank: int | None = None
    primary_share: Decimal | None = None
    activity_scores: str | None = None
    factor_scores: str | None = None
    reverses_id: uuid.UUID | None = None
    cause: str | None = None
    subject_ref: str | None = None
    payload_sha256: bytes
    schema_sha256: bytes
    content_sha256: bytes = b""
    preimage: int = PREIMAGE
    code_version: str
    batch_id: int | None = None
    topic: str | None = None
    topic_incarnation: int | None = None
    kafka_partition: int | None = None
    kafka_offset: int | None = None

    @property
    def is_reversal(self) -> bool:
        """Whether this line takes another one back."""
        return self.reverses_id is not None


COLUMNS: Final[tuple[str, ...]] = tuple(field.name for field in fields(EntryRow))

# How good a figure is: what version 2 has and version 1 has not.
QUALITY_COLUMNS: Final = (
    "method",
    "rule_id",
    "supersession_rank",
    "primary_share",
    "activity_scores",
    "factor_scores",
)

# Column and kind, in the order of the canonical bytes of PREIMAGE. A change of anything here is a
# new version.
CANONICAL: Final[tuple[tuple[str, str], ...]] = (
    ("organization_id", "text"),
    ("entry_id", "uuid"),
    ("event_id", "text"),
    ("line_no", "integer"),
    ("activity_ref", "text"),
    ("claim_key", "text"),
    ("stream", "text"),
    ("activity_month", "date"),
    ("local_date", "date"),
    ("occurred_from", "timestamp"),
    ("occurred_to", "timestamp"),
    ("recorded_at", "timestamp"),
    ("scope", "integer"),
    ("category", "integer"),
    ("basis", "text"),
    ("facility_id", "text"),
    ("source_ref", "text"),
    ("country_iso2", "text"),
    ("region", "text"),
    ("activity_type", "text"),
    ("quantity", "numeric"),
    ("unit", "text"),
    ("kgco2e", "posted"),
    ("gas_split", "text"),
    ("kg_co2_fossil", "posted"),
    ("kg_co2_biogenic", "posted"),
    ("kg_ch4", "posted"),
    ("kg_n2o", "posted"),
    ("other_gases", "json"),
    ("gwp_set", "text"),
    ("kgco2e_granular", "posted"),
    ("factor_id", "text"),
    ("factor_version", "integer"),
    ("factor_release", "text"),
    ("factor_match", "text"),
    ("vintage_gap_years", "integer"),
    ("flags", "text"),
    ("formula_id", "text"),
    ("method", "text"),
    ("rule_id", "text"),
    ("supersession_rank", "integer"),
    ("primary_share", "numeric"),
    ("activity_scores", "text"),
    ("factor_scores", "text"),
    ("reverses_id", "uuid"),
    ("cause", "text"),
    ("subject_ref", "text"),
    ("payload_sha256", "bytes"),
    ("schema_sha256", "bytes"),
    ("code_version", "text"),
    ("topic", "text"),
    ("topic_incarnation", "integer"),
    ("kafka_partition", "integer"),
    ("kafka_offset", "integer"),
)

CANONICAL_OF: Final[dict[int, tuple[tuple[str, str], ...]]] = {
    1: tuple(pair for pair in CANONICAL if pair[0] not in QUALITY_COLUMNS),
    2: CANONICAL,
}

POSTED_COLUMNS: Final[tuple[str, ...]] = tuple(name for name, kind in CANONICAL if kind == "posted")


def microseconds(moment: datetime) -> int:
    """Whole microseconds from 1970-01-01T00:00:00Z to an aware `moment`, exactly."""
    if moment.tzinfo is None:
        raise BrokenInvariant("naive_time", f"{moment.isoformat()} has no time zone; UTC is needed")
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def numeric_text(value: Decimal) -> str:
    """`value` as PostgreSQL prints a numeric: plain, with its trailing zeros, no negative zero."""
    if not value.is_finite():
        raise BrokenInvariant("entry_not_finite", f"{value} is not a finite number")
    if not value:
        exponent = value.as_tuple().exponent
        scale = -exponent if isinstance(exponent, int) and exponent < 0 else 0
        return "0." + "0" * scale if scale else "0"
    return format(value, "f")


def posted_text(value: Decimal) -> str:
    """`value` with exactly twelve decimals; BrokenInvariant if that takes rounding or overflows."""
    try:
        return numeric_text(_EXACT.quantize(value, _QUANTUM))
    except (Inexact, InvalidOperation) as error:
        raise BrokenInvariant(
            "entry_not_posted_scale",
            f"{str(value)[:60]} is no posted figure; valid is numeric(38,12), rounded beforehand",
        ) from error


def json_text(value: Mapping[str, str]) -> str:
    """The one JSON spelling of `value`; its values are texts, so no number can lose digits."""
    wrong = sorted(key for key, text in value.items() if not isinstance(text, str))
    if wrong:
        raise BrokenInvariant(
            "entry_json_value", f"{', '.join(wrong)} must be decimal text, e.g. '0.000000000001'"
        )
    return json.dumps(dict(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _hex(value: bytes) -> str:
    return bytes(value).hex()


# One spelling per kind; a vectorised writer must produce the same texts.
SPELLING: Final[dict[str, Callable[[Any], str]]] = {
    "text": str,
    "integer": str,
    "numeric": numeric_text,
    "posted": posted_text,
    "timestamp": lambda value: str(microseconds(value)),
    "date": date.isoformat,
    "uuid": str,
    "bytes": _hex,
    "json": json_text,
}


def canonical_bytes(row: EntryRow) -> bytes:
    """The bytes that `content_sha256` is the hash of, equal before COPY and after SELECT.

    In the row's own version. Raises BrokenInvariant for a version that there is not, a row of
    version 1 that says how good it is (its bytes could not), a control character, a figure that
    numeric(38,12) would round, a number that is not finite or a time without zone.
    """
    columns = CANONICAL_OF.get(row.preimage)
    if columns is None:
        known = ", ".join(map(str, CANONICAL_OF))
        raise BrokenInvariant(
            "entry_preimage", f"{row.preimage} is no version of an entry's bytes; valid are {known}"
        )
    if columns is not CANONICAL and any(getattr(row, name) is not None for name in QUALITY_COLUMNS):
        raise BrokenInvariant(
            "entry_quality_unhashed",
            f"entry {row.entry_id} of version {row.preimage} has a column that its bytes leave out",
        )
    spelled = [PREIMAGE_TAGS[row.preimage]]
    for column, kind in columns:
        value = getattr(row, column)
        if value is None:
            spelled.append(NULL)
            continue
        text = SPELLING[kind](value)
        if _CONTROL.search(text):
            raise BrokenInvariant(
                "entry_control_character",
                f"{column} {text[:60]!r} holds a control character; none is allowed in an entry",
            )
        spelled.append(text)
    return SEPARATOR.join(spelled).encode()


def content_sha256(row: EntryRow) -> bytes:
    """SHA-256 (32 bytes) of the entry's canonical bytes; raises what `canonical_bytes` raises."""
    return hashlib.sha256(canonical_bytes(row)).digest()


def sealed(row: EntryRow) -> EntryRow:
    """`row` with its own content hash."""
    return replace(row, content_sha256=content_sha256(row))


def entry_id(event_id: str, line_no: int, occurred_to: datetime, salt: str = "") -> uuid.UUID:
    """The entry's identity: the same for the same event and line on every rebuild, sorted by time.

    RFC 9562 version 8: 48 bits of Unix milliseconds of `occurred_to`, then the first 74 bits of
    SHA-256 over `carbon-entry-id/1`, event_id, line_no and salt, joined by 0x1F. Raises
    BrokenInvariant before 1970 or after the year 10889, which 48 bits cannot tell.
    """
    milliseconds = microseconds(occurred_to) // 1000
    if not 0 <= milliseconds < 1 << 48:
        raise BrokenInvariant(
            "entry_id_time", f"{occurred_to.isoformat()} is outside what 48 bits of ms can hold"
        )
    preimage = SEPARATOR.join((ENTRY_ID_VERSION, event_id, str(line_no), salt))
    bits = int.from_bytes(hashlib.sha256(preimage.encode()).digest(), "big") >> (256 - 74)
    high, low = bits >> 62, bits & ((1 << 62) - 1)
    return uuid.UUID(int=milliseconds << 80 | 8 << 76 | high << 64 | 0b10 << 62 | low)


def first_and_last_id(begin: datetime, end: datetime) -> tuple[uuid.UUID, uuid.UUID]:
    """Between which ids the entries are whose activity ended in [begin, end], both included."""
    first, last = (microseconds(moment) // 1000 for moment in (begin, end))
    return uuid.UUID(int=first << 80), uuid.UUID(int=(last + 1 << 80) - 1)


def reversal_of(
    row: EntryRow,
    *,
    recorded_at: datetime,
    cause: str,
    code_version: str | None = None,
    batch_id: int | None = None,
    topic: str | None = None,
    topic_incarnation: int | None = None,
    kafka_partition: int | None = None,
    kafka_offset: int | None = None,
) -> EntryRow:
    """The exact negative of `row`, sealed: its figures and quantity negated, everything else kept.

    `recorded_at` is when it was taken back, `cause` why; batch and coordinates are those of the
    record that caused it (none for a correction by hand). Raises BrokenInvariant for an empty cause
    and for the reversal of a reversal: to undo one, post the entry anew.
    """
    if row.reverses_id is not None:
        raise BrokenInvariant(
            "reversal_of_reversal",
            f"{row.entry_id} is itself the reversal of {row.reverses_id}; post a new entry instead",
        )
    if not cause.strip():
        raise BrokenInvariant("reversal_without_cause", f"why is {row.entry_id} taken back?")
    negatives: dict[str, Any] = {
        name: _negative(getattr(row, name)) for name in (*POSTED_COLUMNS, "quantity")
    }
    gases = row.other_gases
    return sealed(
        replace(
            row,
            **negatives,
            other_gases=None if gases is None else {k: _negative_text(v) for k, v in gases.items()},
            entry_id=entry_id(row.event_id, row.line_no, row.occurred_to, REVERSAL_SALT),
            reverses_id=row.entry_id,
            preimage=PREIMAGE,
            cause=cause,
            recorded_at=recorded_at,
            code_version=row.code_version if code_version is None else code_version,
            batch_id=batch_id,
            topic=topic,
            topic_incarnation=topic_incarnation,
            kafka_partition=kafka_partition,
            kafka_offset=kafka_offset,
        )
    )


def _negative(value: Decimal | None) -> Decimal | None:
    # Not unary minus, which rounds to the ambient context's 28 digits.
    return None if value is None else value.copy_negate() if value else value.copy_abs()


def _negative_text(text: str) -> str:
    value = Decimal(text)
    return numeric_text(value.copy_negate() if value else value.copy_abs())
