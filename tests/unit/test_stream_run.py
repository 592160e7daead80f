"""`carbon stream run` understands how often to look, and refuses what it does not."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from cli.stream_commands import _trigger_ms, stream


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("1s", 1_000), ("500ms", 500), ("2.5s", 2_500), ("1m", 60_000), (" 5m ", 300_000)],
)
def test_a_trigger_is_a_number_with_its_unit(text: str, milliseconds: int) -> None:
    assert _trigger_ms(text) == milliseconds


@pytest.mark.parametrize("text", ["", "1", "s", "-1s", "99ms", "6m", "1h", "1e3ms", "0s", "1 s"])
def test_anything_else_is_refused_with_what_would_be_valid(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"100ms to 5m"):
        _trigger_ms(text)


def test_an_unknown_stream_is_refused_with_the_known_ones() -> None:
    done = CliRunner().invoke(stream, ["run", "no_such"])
    assert done.exit_code == 1
    assert "iot_energy" in str(done.exception)
