"""What a field of a reference record may hold, and the record every kind is made of.

Belongs here: checks of single fields, validity in days, when it was recorded. Does not: the kinds
(carbon_ledger.reference.records, carbon_ledger.reference.instruments), what holds between records
(carbon_ledger.reference.checks).

A check takes the field's name and a value, as text from a file or typed, and returns the typed
value or raises RejectedRecord. It is written into the field's annotation, so that a record checks
itself wherever it is made, and a file's faults are all found, not only the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Final, TypeVar, get_type_hints

from carbon_ledger.errors import RejectedRecord
from carbon_ledger.events import check_country, check_identifier
from carbon_ledger.quantities import decimal_from
from carbon_ledger.units import canonical_unit

BEGINNING: Final = date(2000, 1, 1)
TEXT_LENGTH_MAX: Final = 300
_YES: Final = frozenset({"yes", "true", "1"})
_NO: Final = frozenset({"no", "false", "0"})

Check = Callable[[str, object], Any]
Kind = TypeVar("Kind", bound="Record")


def rejected(code: str, name: str, value: object, message: str, valid: str) -> RejectedRecord:
    """The refusal of a field, its message led by the field's name."""
    return RejectedRecord(code, f"{name}: {message}", field=name, value=value, valid=valid)


def shown(value: object) -> str:
    """A value as a message shows it: quoted, shortened."""
    return repr(str(value)[:60])


def optional(check: Check) -> Check:
    """A check that also takes None and empty text, both as None."""

    def checked(name: str, value: object) -> Any:
        return None if value is None or value == "" else check(name, value)

    return checked


def one_of(*names: str) -> Check:
    """A check for one of a few words; code `unknown_choice`."""

    def checked(name: str, value: object) -> str:
        if isinstance(value, str) and value in names:
            return value
        raise rejected(
            "unknown_choice",
            name,
            value,
            f"{shown(value)} is not among the choices",
            "|".join(names),
        )

    return checked


def text(name: str, value: object) -> str:
    """One printable line of at most 300 characters, without blanks around it; `bad_text`."""
    if isinstance(value, str):
        found = value.strip()
        if len(found) <= TEXT_LENGTH_MAX and (found.isprintable() or not found):
            return found
    raise rejected(
        "bad_text",
        name,
        value,
        f"{shown(value)} is not text of one line",
        f"at most {TEXT_LENGTH_MAX} printable characters; quote what looks like a number",
    )


def filled_text(name: str, value: object) -> str:
    """As `text`, and not empty; code `missing_value`."""
    found = text(name, value)
    if found:
        return found
    raise rejected("missing_value", name, value, "is empty", "some text")


def yes_no(name: str, value: object) -> bool:
    """A truth value, or yes/no, true/false; code `not_yes_or_no`."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _YES or word in _NO:
        return word in _YES
    raise rejected("not_yes_or_no", name, value, f"{shown(value)} is neither yes nor no", "yes|no")


def day(name: str, value: object) -> date:
    """A day, or its ISO text; code `not_a_date`."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        if isinstance(value, str):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise rejected("not_a_date", name, value, f"{shown(value)} is not a day", "such as 2024-01-01")


def moment(name: str, value: object) -> datetime:
    """A moment in UTC; a day alone is its first moment in UTC; code `not_a_moment`."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(found, datetime):
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        found = None
    if isinstance(found, date):
        return datetime(found.year, found.month, found.day, tzinfo=UTC)
    raise rejected(
        "not_a_moment",
        name,
        value,
        f"{shown(value)} is not a moment",
        "a day, or a moment such as 2024-01-01T13:00:00+01:00 (no offset: UTC)",
    )


def amount(name: str, value: object) -> Decimal:
    """A decimal number, 0 or more; codes of `decimal_from`, and `negative_quantity`."""
    number = decimal_from(value, field=name)
    if number >= 0:
        return number.copy_abs()
    raise rejected("negative_quantity", name, value, f"{value} is negative", "0 or more")


def any_amount(name: str, value: object) -> Decimal:
    """A decimal number of either sign; codes of `decimal_from`."""
    return decimal_from(value, field=name)


def positive_amount(name: str, value: object) -> Decimal:
    """A decimal number above 0; codes of `decimal_from`, and `not_positive`."""
    number = decimal_from(value, field=name)
    if number > 0:
        return number
    raise rejected("not_positive", name, value, f"{value} is not above 0", "more than 0")


def share(name: str, value: object) -> Fraction:
    """An exact share from 0 to 1: a fraction `1/3`, a decimal `0.25`, or a percentage `25 %`.

    Codes: `not_a_share`, `share_out_of_range`.
    """
    valid = "from 0 to 1, as 1/3, 0.25 or 25 %"
    try:
        if isinstance(value, str) and "/" in value:
            top, _, bottom = value.partition("/")
            found = Fraction(int(top.strip()), int(bottom.strip()))
        elif isinstance(value, str) and value.rstrip().endswith("%"):
            found = Fraction(decimal_from(value.rstrip()[:-1].strip(), field=name)) / 100
        else:
            found = value if isinstance(value, Fraction) else Fraction(decimal_from(value))
    except (RejectedRecord, ValueError, ZeroDivisionError):
        raise rejected(
            "not_a_share", name, value, f"{shown(value)} is not a share", valid
        ) from None
    if 0 <= found <= 1:
        return found
    raise rejected("share_out_of_range", name, value, f"{value} is not within 0 and 1", valid)


def month_number(name: str, value: object) -> int:
    """A month from 1 to 12; code `not_a_month`."""
    if isinstance(value, int | str) and not isinstance(value, bool):
        digits = str(value)
        if len(digits) <= 2 and digits.isascii() and digits.isdigit() and 1 <= int(digits) <= 12:
            return int(digits)
    raise rejected("not_a_month", name, value, f"{shown(value)} is not a month", "1 to 12")


def country(name: str, value: object) -> str:
    """An ISO 3166-1 alpha-2 code; code `unknown_country`."""
    try:
        return check_country(value)
    except RejectedRecord as error:
        raise RejectedRecord(
            error.code, error.message, field=name, value=value, valid=error.valid
        ) from None


def whole_number(maximum: int) -> Check:
    """A check for a whole number from 0 to `maximum`; code `not_a_whole_number`."""

    def checked(name: str, value: object) -> int:
        if isinstance(value, int | str) and not isinstance(value, bool):
            digits = str(value)
            if len(digits) <= 9 and digits.isascii() and digits.isdigit():
                if int(digits) <= maximum:
                    return int(digits)
        raise rejected(
            "not_a_whole_number",
            name,
            value,
            f"{shown(value)} is no whole number in range",
            f"0 to {maximum}",
        )

    return checked


def currency(name: str, value: object) -> str:
    """Three capital letters (ISO 4217); whether rates are known is the price table's question."""
    if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isalpha():
        if value.isupper():
            return value
    raise rejected(
        "unknown_currency", name, value, f"{shown(value)} is not a currency code", "such as EUR"
    )


def unit(name: str, value: object) -> str:
    """The canonical spelling of a unit; code `unknown_unit`."""
    return canonical_unit(value, field=name)


Identifier = Annotated[str, check_identifier]
OptionalIdentifier = Annotated[str | None, optional(check_identifier)]
Text = Annotated[str, text]
FilledText = Annotated[str, filled_text]
OptionalText = Annotated[str | None, optional(text)]
Country = Annotated[str, country]
OptionalCountry = Annotated[str | None, optional(country)]
Currency = Annotated[str, currency]
Day = Annotated[date, day]
OptionalDay = Annotated[date | None, optional(day)]
OptionalMoment = Annotated[datetime | None, optional(moment)]
Amount = Annotated[Decimal, amount]
AnyAmount = Annotated[Decimal, any_amount]
OptionalAmount = Annotated[Decimal | None, optional(amount)]
OptionalAnyAmount = Annotated[Decimal | None, optional(any_amount)]
OptionalPositive = Annotated[Decimal | None, optional(positive_amount)]
Share = Annotated[Fraction, share]
YesNo = Annotated[bool, yes_no]
OptionalYesNo = Annotated[bool | None, optional(yes_no)]
OptionalMonth = Annotated[int | None, optional(month_number)]
UnitName = Annotated[str, unit]
OptionalUnit = Annotated[str | None, optional(unit)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A statement about something, in force on the days `[valid_from, valid_to)`.

    Without `valid_to` it holds until the next statement about the same key, or on. Equal days mean
    that it never held: so a statement made by mistake is withdrawn. `recorded_at` is when it was
    known (None: always), and no part of what is stated. Construction raises RejectedRecord.
    """

    KIND: ClassVar[str] = ""
    KEY: ClassVar[tuple[str, ...]] = ()

    valid_from: Day = BEGINNING
    valid_to: OptionalDay = None
    recorded_at: datetime | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name, check in checks_of(type(self)).items():
            object.__setattr__(self, name, check(name, getattr(self, name)))
        for problem in self.problems():
            raise problem

    @property
    def key(self) -> tuple[str, ...]:
        """What the statement is about, within its kind."""
        return tuple(getattr(self, name) or "" for name in self.KEY)

    def problems(self) -> Iterator[RejectedRecord]:
        """What is wrong between the fields, each being right on its own."""
        yield from self.own_problems()
        if self.valid_to is not None and self.valid_to < self.valid_from:
            yield rejected(
                "ends_before_it_begins",
                "valid_to",
                self.valid_to,
                f"{self.valid_to} is before valid_from {self.valid_from}",
                "the day after the last one it holds, or none",
            )

    def own_problems(self) -> Iterator[RejectedRecord]:
        """What a kind adds to `problems`."""
        yield from ()


# By hand, because functools.cache does not take a dataclass's type for hashable.
_CHECKS: Final[dict[type, Mapping[str, Check]]] = {}


def checks_of(kind: type[Record]) -> Mapping[str, Check]:
    """Field name to its check, in the order of the fields."""
    if kind not in _CHECKS:
        hints = get_type_hints(kind, include_extras=True)
        _CHECKS[kind] = {
            one.name: hints[one.name].__metadata__[0]
            for one in fields(kind)
            if hasattr(hints[one.name], "__metadata__")
        }
    return _CHECKS[kind]


def build(
    kind: type[Kind], values: Mapping[str, object]
) -> tuple[Kind | None, list[RejectedRecord]]:
    """The record of `values` (None and empty text count as not given), or everything that is wrong.

    Codes beside those of the checks: `unknown_field`, `missing_value`.
    """
    checks = checks_of(kind)
    known = ", ".join(checks)
    faults = [
        rejected("unknown_field", name, values[name], f"{kind.KIND} has no such field", known)
        for name in values
        if name not in checks
    ]
    found: dict[str, Any] = {}
    for one in fields(kind):
        value = values.get(one.name)
        if value is not None and value != "" and one.name in checks:
            try:
                found[one.name] = checks[one.name](one.name, value)
            except RejectedRecord as fault:
                faults.append(fault)
        elif one.default is MISSING:
            faults.append(
                rejected("missing_value", one.name, None, "is missing", "a value; it is required")
            )
        else:
            found[one.name] = one.default
    if faults:
        return None, faults
    record = object.__new__(kind)
    for name, value in found.items():
        object.__setattr__(record, name, value)
    faults = list(record.problems())
    return (None if faults else record), faults
