"""Five thousand broken records and their way back: the course of tests/stack, at size."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.letters import letter_ground
from tests.support.letters_proof import prove

pytestmark = [pytest.mark.night, pytest.mark.timeout(840)]
RECORDS = 5_000


def test_five_thousand_broken_records_land_once_are_discarded_or_stop(
    stack: Any,
    tmp_path: Any,
) -> None:
    with letter_ground(stack, tmp_path) as ground:
        proof = prove(ground, RECORDS)
    assert proof.kills == 4
