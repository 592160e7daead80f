"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

pytest_plugins = ("tests.support.stack_fixture",)

# A test is never judged by its time: machines are shared, and first calls compile and import.
settings.register_profile("carbon", deadline=None)
settings.load_profile("carbon")
