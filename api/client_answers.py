"""What the clients answer with: inventories, changes, and the errors.

Belongs here: from JSON to exact Python values. Does not: asking (api.client, api.async_client).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Self


class InvalidArgument(ValueError):
    """What a client was given that it cannot use, before anything was sent. No secret is shown."""

    def __init__(
        self, code: str, detail: str, *, field: str, value: str | None, valid: str
    ) -> None:
        self.code, self.detail = code, detail
        self.field, self.value, self.valid = field, value, valid
        super().__init__(f"{code}: {detail}{_particulars(field, value, valid)}")


class ApiError(Exception):
    """An answer that is an error: `code` is stable, `field`, `value`, `valid` say what to mend.

    Code `not_this_api`: something else answered at this address. `hint` is what the client knows.
    """

    def __init__(self, status: int, problem: Mapping[str, Any], hint: str = "") -> None:
        self.status = status
        self.code = str(problem.get("code") or problem.get("error") or "http_error")
        self.detail = str(
            problem.get("detail")
            or problem.get("message")
            or problem.get("error_description")
            or ""
        )
        self.field = problem.get("field")
        self.value = problem.get("value")
        self.valid = problem.get("valid")
        self.hint = hint
        told = f"{status} {self.code}: {self.detail}"
        told += _particulars(self.field, self.value, self.valid)
        super().__init__(f"{told}; {hint}" if hint else told)


def _particulars(field: object, value: object, valid: object) -> str:
    told = [] if field is None else [f"field {field}"]
    told += [] if value is None else [f"value {value!r}"]
    told += [] if valid is None else [f"valid: {valid}"]
    return f" ({'; '.join(told)})" if told else ""


class NotAuthorized(ApiError):
    """401 or 403: there is no good key, or it may not do this."""


class NotFound(ApiError):
    """404: it is not there, or is somebody else's."""


class Refused(ApiError):
    """409, 413 or 422: what was asked or sent cannot be taken; `field` and `valid` say why."""


class Busy(ApiError):
    """429 or 503, and all tries are used up: come again later."""


_KINDS: dict[int, type[ApiError]] = {
    **dict.fromkeys((401, 403), NotAuthorized),
    **dict.fromkeys((409, 413, 422), Refused),
    **dict.fromkeys((429, 503), Busy),
    404: NotFound,
}


def error_of(status: int, problem: Mapping[str, Any], hint: str = "") -> ApiError:
    """The error of an answer."""
    return _KINDS.get(status, ApiError)(status, problem, hint)


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """Emissions of [start, end) in kgCO2e: local dates, or moments of hours and five minutes."""

    start: date | datetime
    end: date | datetime
    kgco2e: Decimal
    entries: int


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What stood at `as_of`; every number exact. Without an entry the totals are 0.

    `by_scope` and `by_category` (of scope 3) are kgCO2e. Shares are 0 to 1, None where nothing can
    be said. `start_date` and `end_date` are inclusive.
    """

    organization_id: str
    facility_id: str | None
    supplier_id: str | None
    scope: int | None
    category: int | None
    basis: str
    granularity: str
    start_date: date | None
    end_date: date | None
    as_of: datetime
    total_kgco2e: Decimal
    total_tco2e: Decimal
    entries: int
    primary_data_share: Decimal | None
    substituted_share: Decimal | None
    last_event_timestamp: datetime | None
    factor_releases: tuple[str, ...]
    by_scope: dict[int, Decimal]
    by_category: dict[int, Decimal]
    series: tuple[Bucket, ...]

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """The inventory of an answer; what later versions add to it is passed over."""
        given = {name: answer[name] for name in cls.__dataclass_fields__}
        for name in ("total_kgco2e", "total_tco2e"):
            given[name] = Decimal(given[name])
        for name in ("primary_data_share", "substituted_share"):
            given[name] = None if given[name] is None else Decimal(given[name])
        for name in ("start_date", "end_date"):
            given[name] = None if given[name] is None else date.fromisoformat(given[name])
        for name in ("as_of", "last_event_timestamp"):
            given[name] = None if given[name] is None else datetime.fromisoformat(given[name])
        given["factor_releases"] = tuple(given["factor_releases"])
        for name, key in (("by_scope", "scope"), ("by_category", "category")):
            given[name] = {one[key]: Decimal(one["kgco2e"]) for one in given[name]}
        given["series"] = tuple(_bucket(one) for one in given["series"])
        return cls(**given)

    def to_pandas(self) -> Any:
        """The series as a DataFrame by `start`, with `end`, `kgco2e` (Decimal, so still exact) and
        `entries`. Needs pandas.
        """
        import pandas  # type: ignore[import-untyped]

        rows = [vars(one) for one in self.series]
        frame = pandas.DataFrame(rows, columns=["start", "end", "kgco2e", "entries"])
        for name in ("start", "end"):
            frame[name] = pandas.to_datetime(frame[name])
        return frame.set_index("start")


def _bucket(one: Mapping[str, Any]) -> Bucket:
    return Bucket(
        start=_day_or_moment(one["start"]),
        end=_day_or_moment(one["end"]),
        kgco2e=Decimal(one["kgco2e"]),
        entries=one["entries"],
    )


def _day_or_moment(text: str) -> date | datetime:
    return datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)


@dataclass(frozen=True, kw_only=True)
class Change:
    """An entry as it was sealed, and its number. Store `seq` with what is made of `entry`."""

    seq: int
    entry: dict[str, Any]
