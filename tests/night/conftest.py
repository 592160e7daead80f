"""Tests here meet the test stack, and no other, as the stack."""

from __future__ import annotations

from tests.support.stack_environment import enter_test_environment

enter_test_environment()
