"""Errors by remedy, each with a stable code, the offending value and what would be valid.

Belongs here: the three kinds every caller distinguishes. Does not: messages about one module's own
matter.
"""

from __future__ import annotations


class CarbonError(Exception):
    """Base of every error this project raises on purpose; `code` is stable and documented."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class RejectedRecord(CarbonError):
    """The record cannot be ledgered as it is. Remedy: dead letter, repair, replay.

    `field` names the offending field (or None for the record as a whole), `value` is its text as it
    arrived, shortened to 200 characters, and `valid` says what would be accepted.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        field: str | None = None,
        value: object = None,
        valid: str | None = None,
    ) -> None:
        super().__init__(code, message)
        self.field = field
        self.value = None if value is None else str(value)[:200]
        self.valid = valid

    def values(self) -> dict[str, str | None]:
        """The refusal as plain values, for JSON."""
        return {
            "code": self.code,
            "message": self.message,
            "field": self.field,
            "value": self.value,
            "valid": self.valid,
        }

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field and self.field not in self.message else ""
        return f"{where}{self.message}" + (f"; valid: {self.valid}" if self.valid else "")


class Unavailable(CarbonError):
    """A service or file that should be there is not. Remedy: retry, or start it."""


class BrokenInvariant(CarbonError):
    """Something that must always hold does not. Remedy: stop and look; never retry blindly."""


class ConfigurationError(CarbonError):
    """A setting is missing, unknown or malformed. Remedy: correct it; the message lists the known
    ones.
    """
