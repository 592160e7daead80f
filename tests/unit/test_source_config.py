"""Configuration files of sources are read strictly, and secrets only by reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from carbon_ledger.errors import ConfigurationError
from pipeline.sources.source_config import Table, read_source

WRONG: list[tuple[str, Callable[[Table], Any], str]] = [
    ("", lambda t: t.text("host"), "host is missing"),
    ("host = 5", lambda t: t.text("host"), "host is 5"),
    ('host = ""', lambda t: t.text("host"), "host is ''"),
    ('host = "${NOWHERE}"', lambda t: t.text("host"), "NOWHERE, which is not set"),
    ("port = 70000", lambda t: t.integer("port", high=65535), "port is 70000"),
    ("port = true", lambda t: t.integer("port", high=65535), "port is True"),
    ('port = "${WORD}"', lambda t: t.integer("port", high=65535), "port is 'hello'"),
    ("wait = nan", lambda t: t.seconds("wait", low=1, high=60), "wait is NaN"),
    ("wait = 0.5", lambda t: t.seconds("wait", low=1, high=60), "wait is 0.5"),
    ("on = 1", lambda t: t.flag("on"), "on is 1"),
    ('qos = "two"', lambda t: t.choice("qos", ("zero", "one")), "valid: zero, one"),
    ('of = "a"', lambda t: t.texts("of"), "of is 'a'"),
    ("of = [1]", lambda t: t.texts("of"), "of contains 1"),
    ('ca = "none.pem"', lambda t: t.path("ca"), "a file that exists"),
    ('token = "hunter2"', lambda t: t.secret("token"), "must not be in the file"),
    ('token_env = "NOWHERE"', lambda t: t.secret("token"), "NOWHERE, which is not set"),
    ('token_file = "empty"', lambda t: t.secret("token"), "which is empty"),
    ('token_file = "binary"', lambda t: t.secret("token"), "cannot be read"),
    ('token_file = "empty"\ntoken_env = "WORD"', lambda t: t.secret("token"), "given twice"),
    ("tls = 1", lambda t: t.optional_table("tls"), "a table [tls]"),
    ("topics = [1]", lambda t: t.tables("topics"), "tables [[topics]]"),
    ("hots = 1", lambda t: t.optional_text("host"), "hots is not known here; valid: host"),
    (
        "[tls]\nkey = 1",
        lambda t: t.optional_table("tls").optional_text("ca"),  # type: ignore[union-attr]
        "[tls]: key is not known here; valid: ca",
    ),
]


def written(folder: Path, text: str) -> Table:
    (folder / "empty").touch()
    (folder / "binary").write_bytes(b"\xff\xfe")
    path = folder / "one.toml"
    path.write_text('kind = "x"\n' + text)
    return read_source(path, {"WORD": "hello", "PORT": "1884"}).table


@pytest.mark.parametrize(("text", "asked", "complaint"), WRONG, ids=[one[0] for one in WRONG])
def test_a_value_that_is_wrong_is_named_with_what_would_be_valid(
    tmp_path: Path, text: str, asked: Callable[[Table], Any], complaint: str
) -> None:
    table = written(tmp_path, text)

    def read() -> None:
        table.text("kind")
        table.optional_text("name")
        asked(table)
        table.finish()

    with pytest.raises(ConfigurationError) as caught:
        read()
    assert caught.value.code == "source_config"
    assert complaint in caught.value.message
    assert "one.toml" in caught.value.message
    assert "hunter2" not in caught.value.message


def test_values_come_from_the_file_the_environment_and_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret \n")
    table = written(
        tmp_path,
        'url = "mqtt://${HOST:-localhost}:${PORT}"\nport = "${PORT}"\nwait = 2.5\n'
        'password_file = "password"\ntoken_env = "WORD"\n'
        '[fields]\nunit = { value = "${WORD}", list = ["a"] }\n[[topics]]\nqos = 1\n',
    )
    assert table.text("url") == "mqtt://localhost:1884"
    assert table.integer("port", high=65535) == 1884
    assert table.seconds("wait", low=0, high=9) == 2.5
    assert table.secret("password") == "s3cret "
    assert table.secret("token") == "hello"
    assert table.secret("other") is None
    assert table.plain("fields") == {"unit": {"value": "hello", "list": ["a"]}}
    assert [one.integer("qos", high=2) for one in table.tables("topics")] == [1]
    table.finish()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("kind", "no source configuration"),
        ("", "kind is missing"),
        ('kind = "mqtt"\nname = "Plant 7"', "name is 'Plant 7'"),
    ],
)
def test_a_file_needs_a_kind_and_a_sound_name(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "one.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=complaint):
        read_source(path)


def test_a_source_is_called_by_kind_and_name(tmp_path: Path) -> None:
    path = tmp_path / "plant-7.toml"
    path.write_text('kind = "mqtt"')
    assert read_source(path).source == "mqtt:plant-7"
