"""The runbook's table of settings is the table of settings."""

from __future__ import annotations

from carbon_ledger.settings import PROJECT_ROOT, SETTINGS


def test_every_setting_is_in_the_runbook_with_its_default_and_meaning() -> None:
    text = (PROJECT_ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    for setting in SETTINGS:
        if setting.name == "CARBON_FAILPOINT":
            continue
        default = f"`{setting.default}`" if setting.default else ""
        assert f"| `{setting.name}` | {default} | {setting.meaning} |" in text
