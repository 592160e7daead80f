"""What the daily verification is given: heads from where it was said, restores by number."""

from __future__ import annotations

from pathlib import Path

import pytest

from carbon_ledger.errors import ConfigurationError
from carbon_ledger.settings import Settings


def test_heads_are_looked_for_where_it_was_said_and_else_beside_the_stack() -> None:
    assert Settings({"CARBON_HOME": "/h"}).verify_heads_folder == Path("/h/heads")
    given = Settings({"CARBON_HOME": "/h", "CARBON_VERIFY_HEADS": "/mnt/witness"})
    assert given.verify_heads_folder == Path("/mnt/witness")


@pytest.mark.parametrize(
    ("text", "expected"), [("", ()), ("1", (1,)), ("1,2", (1, 2)), (" 3 , 10 ,", (3, 10))]
)
def test_known_restores_are_numbers(text: str, expected: tuple[int, ...]) -> None:
    assert Settings({"CARBON_VERIFY_ACCEPTED_RESTORES": text}).accepted_restores == expected


@pytest.mark.parametrize("text", ["all", "1;2", "-1", "1.5", "²", "1234567890"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        _ = Settings({"CARBON_VERIFY_ACCEPTED_RESTORES": text}).accepted_restores
    assert caught.value.code == "setting_restores"
