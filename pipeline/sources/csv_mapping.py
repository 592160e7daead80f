"""What a CSV file of readings means: the mapping file, read and checked.

Belongs here: the keys of a mapping, their defaults and what is refused. Does not: reading the CSV
file (pipeline.sources.csv_replay).

docs/replay.md explains every key.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, cast
from zoneinfo import ZoneInfo

import yaml

from carbon_ledger.errors import ConfigurationError, RejectedRecord
from carbon_ledger.events import INTERVAL_SECONDS_MAX
from carbon_ledger.reference.records import Site, check_time_zone
from carbon_ledger.units import DIMENSIONS

Stamp = Literal["interval_start", "interval_end"]
Midnight = Literal["next_date", "same_date"]
Parsed = TypeVar("Parsed")
Fold = Literal["refuse", "first", "second", "in_order"]

# Event fields a column or a constant may give. The timestamp always comes from a column.
EVENT_FIELDS: Final = (
    "sensor_id",
    "facility_id",
    "country_iso2",
    "region",
    "energy_kwh",
    "energy_source",
    "grid_carbon_intensity_gco2_kwh",
    "timestamp",
    "scope",
    "revision",
)
REQUIRED_FIELDS: Final = (
    "sensor_id",
    "facility_id",
    "country_iso2",
    "energy_kwh",
    "energy_source",
    "timestamp",
)
SITE_KEYS: Final = (
    "facility_id",
    "organization_id",
    "country_iso2",
    "region",
    "time_zone",
    "name",
    "valid_from",
)
TOP_KEYS: Final = ("file", "columns", "constants", "units", "time", "site")
FILE_DEFAULTS: Final[Mapping[str, Any]] = {
    "delimiter": ",",
    "encoding": "utf-8-sig",
    "decimal": ".",
    "quote": '"',
}
TIME_DEFAULTS: Final[Mapping[str, Any]] = {
    "formats": ["iso"],
    "time_zone": None,
    "stamp": None,
    "interval_seconds": None,
    "midnight": "next_date",
    "fold": "refuse",
}
STAMPS: Final[tuple[Stamp, ...]] = ("interval_start", "interval_end")
MIDNIGHTS: Final[tuple[Midnight, ...]] = ("next_date", "same_date")
FOLDS: Final[tuple[Fold, ...]] = ("refuse", "first", "second", "in_order")
INTEGER_FIELDS: Final = ("scope", "revision")
TEXT_OF_TAB: Final = {"tab": "\t", "\\t": "\t"}


@dataclass(frozen=True, kw_only=True, slots=True)
class CsvMapping:
    """A checked mapping. `columns` and `constants` share no field and cover the required ones."""

    delimiter: str
    encoding: str
    decimal: str
    quote: str
    columns: Mapping[str, str]
    constants: Mapping[str, Any]
    energy_unit: str
    formats: tuple[str, ...]
    time_zone: ZoneInfo
    stamp: Stamp
    interval_seconds: int
    midnight: Midnight
    fold: Fold
    site: Site | None


def read_mapping(path: Path) -> CsvMapping:
    """The mapping in a YAML file. Raises ConfigurationError naming the file and key at fault."""
    return read_as(path, parse_mapping)


def read_as(path: Path, parse: Callable[[object], Parsed]) -> Parsed:
    """What `parse` makes of a YAML file, its errors with the file's name."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError("mapping_unreadable", f"{path} cannot be read: {error}") from error
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError("mapping_unreadable", f"{path} is no YAML: {error}") from error
    try:
        return parse(content)
    except ConfigurationError as error:
        raise ConfigurationError(error.code, f"{path}: {error.message}") from error


def parse_mapping(content: object) -> CsvMapping:
    """The mapping in a parsed YAML document. Raises ConfigurationError naming the key at fault."""
    top = _section(content, "the mapping", TOP_KEYS)
    file = {**FILE_DEFAULTS, **_section(top.get("file", {}), "file", FILE_DEFAULTS)}
    columns = _section(top.get("columns", {}), "columns", EVENT_FIELDS)
    constants = _section(top.get("constants", {}), "constants", EVENT_FIELDS)
    units = _section(top.get("units", {}), "units", ("energy_kwh",))
    time = {**TIME_DEFAULTS, **_section(top.get("time", {}), "time", TIME_DEFAULTS)}
    site = _site(top.get("site"), time["time_zone"])
    if site is not None:
        constants = _with_site(columns, constants, site)
    _check_fields(columns, constants)
    zone = _time_zone(time["time_zone"], site)
    stamp = _choice("time.stamp", time["stamp"], STAMPS)
    midnight = _choice("time.midnight", time["midnight"], MIDNIGHTS)
    if midnight == "same_date" and stamp != "interval_end":
        raise _invalid("time.midnight", "same_date only makes sense with stamp: interval_end")
    return CsvMapping(
        delimiter=_delimiter(file["delimiter"]),
        encoding=_encoding(file["encoding"]),
        decimal=_choice("file.decimal", file["decimal"], (".", ",")),
        quote=_one_character("file.quote", file["quote"]),
        columns={name: _text(f"columns.{name}", column) for name, column in columns.items()},
        constants=constants,
        energy_unit=_choice(
            "units.energy_kwh", units.get("energy_kwh", "kWh"), DIMENSIONS["energy"]
        ),
        formats=_formats(time["formats"]),
        time_zone=zone,
        stamp=cast("Stamp", stamp),
        interval_seconds=_interval(time["interval_seconds"]),
        midnight=cast("Midnight", midnight),
        fold=cast("Fold", _choice("time.fold", time["fold"], FOLDS)),
        site=site,
    )


def _invalid(key: str, message: str) -> ConfigurationError:
    return ConfigurationError("mapping_invalid", f"{key}: {message}")


def _section(value: object, key: str, known: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(key, f"must be keys and values, not {type(value).__name__}")
    for name in value:
        if name not in known:
            raise _invalid(key, f"unknown key {name!r}; valid are: {', '.join(known)}")
    return dict(value)


def _choice(key: str, value: object, known: Sequence[str] | Mapping[str, Any]) -> str:
    if value is None:
        raise _invalid(key, f"is missing; valid are: {', '.join(known)}")
    if not isinstance(value, str) or value not in known:
        raise _invalid(key, f"{value!r} is not valid; valid are: {', '.join(known)}")
    return value


def _text(key: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise _invalid(key, f"{value!r} is not the name of a column")
    return value


def _one_character(key: str, value: object) -> str:
    if not isinstance(value, str) or len(value) != 1:
        raise _invalid(key, f"{value!r} is not one character")
    return value


def _delimiter(value: object) -> str:
    return _one_character("file.delimiter", TEXT_OF_TAB.get(str(value), value))


def _encoding(value: object) -> str:
    try:
        name = codecs.lookup(str(value)).name
    except LookupError:
        raise _invalid(
            "file.encoding", f"{value!r} is not an encoding; for example utf-8, cp1252, utf-16"
        ) from None
    # A byte order mark is no part of the first column's name, whether it is announced or not.
    return "utf-8-sig" if name == "utf-8" else name


def _formats(value: object) -> tuple[str, ...]:
    formats = [value] if isinstance(value, str) else value
    if not isinstance(formats, list) or not formats:
        raise _invalid("time.formats", "must be a list such as ['%d/%m/%Y %H:%M'], or [iso]")
    for one in formats:
        if not isinstance(one, str) or (one != "iso" and not ("%d" in one or "%j" in one)):
            raise _invalid(
                "time.formats",
                f"{one!r} is not a date format; for example '%d/%m/%Y %H:%M', or iso",
            )
    return tuple(formats)


def _interval(value: object) -> int:
    if (
        isinstance(value, int)
        and not isinstance(value, bool)
        and 0 <= value <= INTERVAL_SECONDS_MAX
    ):
        return value
    raise _invalid(
        "time.interval_seconds",
        f"{value!r} is not valid; a whole number of seconds from 0 to {INTERVAL_SECONDS_MAX}",
    )


def _time_zone(value: object, site: Site | None) -> ZoneInfo:
    if value is None and site is not None:
        return ZoneInfo(site.time_zone)
    if value is None:
        raise _invalid("time.time_zone", "is missing; an IANA name such as Europe/Berlin, or UTC")
    try:
        return ZoneInfo(check_time_zone(value))
    except RejectedRecord as error:
        raise _invalid("time.time_zone", str(error)) from None


def _site(value: object, time_zone: object) -> Site | None:
    if value is None:
        return None
    given = _section(value, "site", SITE_KEYS)
    for name in given:
        if name != "valid_from":
            _check_constant(f"site.{name}", given[name], False)
    if time_zone is not None:
        given.setdefault("time_zone", time_zone)
    for name in ("facility_id", "organization_id", "country_iso2", "time_zone"):
        if name not in given:
            raise _invalid(f"site.{name}", "is missing")
    try:
        return Site(**given)
    except (RejectedRecord, TypeError) as error:
        raise _invalid("site", str(error)) from None


def _with_site(
    columns: Mapping[str, Any], constants: Mapping[str, Any], site: Site
) -> dict[str, Any]:
    """What the site says, said once, holds for its readings too; it may not be contradicted."""
    merged = dict(constants)
    for name in ("facility_id", "country_iso2", "region"):
        of_site = getattr(site, name)
        if name in columns:
            raise _invalid(f"columns.{name}", "a mapping with a site has it from the site")
        if of_site is None:
            continue
        if merged.setdefault(name, of_site) != of_site:
            raise _invalid(
                f"constants.{name}", f"{merged[name]!r} contradicts site.{name} {of_site!r}"
            )
    return merged


def _check_constant(key: str, value: object, is_integer: bool) -> None:
    """YAML reads NO as false and 0123 as a number; what was meant is not guessed."""
    if is_integer:
        if not isinstance(value, int) or isinstance(value, bool):
            raise _invalid(key, f"{value!r} is not a whole number")
    elif not isinstance(value, str):
        raise _invalid(key, f"YAML reads this as {value!r}, not as text; put it in quotes")


def _check_fields(columns: Mapping[str, Any], constants: Mapping[str, Any]) -> None:
    for name in constants:
        if name == "timestamp":
            raise _invalid("constants.timestamp", "the timestamp must come from a column")
        if name in columns:
            raise _invalid(f"constants.{name}", "is a column too; say it once")
        _check_constant(f"constants.{name}", constants[name], name in INTEGER_FIELDS)
    missing = [name for name in REQUIRED_FIELDS if name not in columns and name not in constants]
    if missing:
        raise _invalid(
            "columns", f"nothing gives {', '.join(missing)}: name a column or a constant for it"
        )
