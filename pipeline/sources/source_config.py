"""The configuration file of a source adapter, read strictly.

Belongs here: TOML to typed values, `${NAME}` from the environment, secrets by reference, relative
paths, and the refusal of names nobody knows. Does not: what any kind of source needs
(that kind's module), which kinds there are (pipeline.sources.adapters).
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from carbon_ledger.errors import ConfigurationError

NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
SECRET_BYTES_MAX: Final = 64 * 1024
_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_REQUIRED: Final[Any] = object()

# Told now and then by a running adapter: its counts, and what keeps it from working, if anything.
Report = Callable[[Mapping[str, int], str | None], None]


def _say_nothing(counts: Mapping[str, int], problem: str | None) -> None:
    return


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """One source as its file describes it: `name` is unique among an installation's sources.

    `source` is what edge letters and event ids call it. `report` is where a running adapter tells
    how it is doing; by default nobody listens.
    """

    name: str
    kind: str
    path: Path
    table: Table
    report: Report = field(default=_say_nothing, compare=False, repr=False)

    @property
    def source(self) -> str:
        """`kind:name`, for example `mqtt:plant-7`."""
        return f"{self.kind}:{self.name}"


class Table:
    """A table of the file; each value is asked for once, by name, and `finish` refuses the rest.

    Every error is a ConfigurationError `source_config` that names the file, the key, the value and
    what would be valid. Texts may contain `${NAME}` or `${NAME:-default}`, replaced from the
    environment.
    """

    def __init__(
        self,
        where: str,
        values: Mapping[str, object],
        folder: Path,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.where, self.values, self.folder, self.environ = where, values, folder, environ
        self._known: set[str] = set()
        self._children: list[Table] = []

    def wrong(self, name: str, complaint: str, valid: str) -> ConfigurationError:
        """The error for a value of this table."""
        return ConfigurationError(
            "source_config", f"{self.where}: {name} {complaint}; valid: {valid}"
        )

    def has(self, name: str) -> bool:
        """Whether the file states it."""
        return name in self.values

    def text(self, name: str, default: str = _REQUIRED, *, valid: str = "a text") -> str:
        """A text that is not empty."""
        value = self._value(name, default, valid)
        if not isinstance(value, str) or not value:
            raise self.wrong(name, f"is {value!r}", valid)
        return value

    def optional_text(self, name: str, *, valid: str = "a text, or left out") -> str | None:
        """A text that is not empty, or None where it is left out."""
        return self.text(name, valid=valid) if self._knows(name) else None

    def choice(self, name: str, choices: Sequence[str], default: str = _REQUIRED) -> str:
        """One of `choices`."""
        value = self._value(name, default, ", ".join(choices))
        if value not in choices:
            raise self.wrong(name, f"is {value!r}", ", ".join(choices))
        return str(value)

    def integer(self, name: str, default: int = _REQUIRED, *, low: int = 0, high: int) -> int:
        """A whole number from `low` to `high`."""
        valid = f"a whole number from {low} to {high}"
        value = self._value(name, default, valid)
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
            value = int(value)  # out of the environment numbers come as text
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(name, f"is {value!r}", valid)
        return value

    def seconds(self, name: str, default: float = _REQUIRED, *, low: float, high: float) -> float:
        """A time span in seconds, fractions allowed."""
        valid = f"seconds, from {low:g} to {high:g}"
        value = self._value(name, default, valid)
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise self.wrong(name, f"is {value!r}", valid)
        if value != value or not low <= value <= high:  # a NaN equals nothing and has no order
            raise self.wrong(name, f"is {value}", valid)
        return float(value)

    def flag(self, name: str, default: bool = _REQUIRED) -> bool:
        """true or false."""
        value = self._value(name, default, "true or false")
        if not isinstance(value, bool):
            raise self.wrong(name, f"is {value!r}", "true or false")
        return value

    def texts(self, name: str, default: Sequence[str] = _REQUIRED) -> tuple[str, ...]:
        """A list of texts."""
        value = self._value(name, default, "a list of texts")
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise self.wrong(name, f"is {value!r}", 'a list of texts such as ["a", "b"]')
        for one in value:
            if not isinstance(one, str) or not one:
                raise self.wrong(name, f"contains {one!r}", "texts that are not empty")
        return tuple(self._filled(name, one) for one in value)

    def path(self, name: str) -> Path | None:
        """A file that exists, or None where it is left out; relative to the configuration file."""
        given = self.optional_text(name, valid="the path of a file")
        if given is None:
            return None
        path = self.folder / given
        if not path.is_file():
            raise self.wrong(name, f"is {given!r}", f"a file that exists; {path} does not")
        return path

    def secret(self, name: str) -> str | None:
        """What NAME_file or NAME_env refers to, or None; the secret itself is refused.

        The last line break of a file is not part of it.
        """
        valid = f"{name}_file with a path, or {name}_env with the name of an environment variable"
        if name in self.values:
            raise ConfigurationError(  # whatever stands there is not repeated
                "source_config", f"{self.where}: {name} must not be in the file; valid: {valid}"
            )
        if self.has(f"{name}_file") and self.has(f"{name}_env"):
            raise self.wrong(name, "is given twice", valid)
        if (path := self.path(f"{name}_file")) is not None:
            return self._secret_of_file(name, path)
        if (variable := self.optional_text(f"{name}_env")) is None:
            return None
        value = self.environ.get(variable)
        if not value:
            raise self.wrong(f"{name}_env", f"names {variable}, which is not set", valid)
        return value

    def _secret_of_file(self, name: str, path: Path) -> str:
        try:
            with path.open("rb") as stream:
                text = stream.read(SECRET_BYTES_MAX).decode().removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise self.wrong(
                f"{name}_file", f"names {path}, which cannot be read ({error})", "a text file"
            ) from None
        if not text:
            raise self.wrong(f"{name}_file", f"names {path}, which is empty", "a file with it")
        return text

    def optional_table(self, name: str) -> Table | None:
        """The table of that name, or None."""
        if not self._knows(name):
            return None
        value = self.values[name]
        if not isinstance(value, Mapping):
            raise self.wrong(name, f"is {value!r}", f"a table [{name}]")
        return self._child(f"{self.where} [{name}]", value)

    def tables(self, name: str) -> list[Table]:
        """The tables `[[name]]`; an empty list where there are none."""
        if not self._knows(name):
            return []
        value = self.values[name]
        if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
            raise self.wrong(name, f"is {value!r}"[:200], f"tables [[{name}]]")
        return [
            self._child(f"{self.where} [[{name}]] number {number}", one)
            for number, one in enumerate(value, 1)
        ]

    def plain(self, name: str, default: Any = None) -> Any:
        """The value as TOML has it, placeholders in texts replaced: for free-form mappings."""
        return self._deep(name, self.values[name]) if self._knows(name) else default

    def finish(self) -> None:
        """Raises for what nobody asked for, here and in the tables handed out."""
        unknown = sorted(set(self.values) - self._known)
        if unknown:
            raise self.wrong(unknown[0], "is not known here", ", ".join(sorted(self._known)))
        for child in self._children:
            child.finish()

    def _child(self, where: str, values: Mapping[str, object]) -> Table:
        child = Table(where, values, self.folder, self.environ)
        self._children.append(child)
        return child

    def _knows(self, name: str) -> bool:
        self._known.add(name)
        return name in self.values

    def _value(self, name: str, default: object, valid: str) -> object:
        if not self._knows(name):
            if default is _REQUIRED:
                raise self.wrong(name, "is missing", valid)
            return default
        value = self.values[name]
        return self._filled(name, value) if isinstance(value, str) else value

    def _deep(self, name: str, value: object) -> object:
        if isinstance(value, str):
            return self._filled(name, value)
        if isinstance(value, list):
            return [self._deep(name, one) for one in value]
        if isinstance(value, Mapping):
            return {key: self._deep(f"{name}.{key}", one) for key, one in value.items()}
        return value

    def _filled(self, name: str, text: str) -> str:
        def found(match: re.Match[str]) -> str:
            value = self.environ.get(match[1]) or match[2]
            if value is None:
                raise self.wrong(
                    name,
                    f"needs the environment variable {match[1]}, which is not set",
                    f"set {match[1]}, or write ${{{match[1]}:-default}}",
                )
            return value

        return _PLACEHOLDER.sub(found, text)


def read_source(path: Path, environ: Mapping[str, str] = os.environ) -> SourceConfig:
    """The configuration in a TOML file; its kind's own values are not judged yet.

    Raises ConfigurationError `source_config` for a file that cannot be read or has no sound `name`
    (the file's own name, by default) and `kind`.
    """
    try:
        with path.open("rb") as stream:
            values = tomllib.load(stream, parse_float=Decimal)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(
            "source_config", f"{path} is no source configuration: {error}"
        ) from error
    table = Table(str(path), values, path.parent, environ)
    name = table.text("name", path.stem)
    if not NAME.fullmatch(name):
        raise table.wrong("name", f"is {name!r}", "a-z 0-9 and -, at most 63 characters")
    return SourceConfig(name=name, kind=table.text("kind"), path=path, table=table)
