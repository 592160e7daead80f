"""docs/api.md: its examples do what it says they do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from carbon_ledger import settings as settings_module
from carbon_ledger.settings import PROJECT_ROOT
from tests.support.api_server import api_server

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(
        not (shutil.which("curl") and shutil.which("openssl")),
        reason="the examples call curl and openssl, and one of them is not on this machine",
    ),
]
PAGE = (PROJECT_ROOT / "docs" / "api.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ADDRESS = "http://127.0.0.1:8000"


def blocks(language: str, having: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(PAGE) if kind == language and having in text]


def test_the_examples_of_the_page_run(stack: Any, tmp_path: Path) -> None:
    (systems,) = blocks("yaml", "systems:")
    (requests,) = blocks("yaml", "requests:")
    (tmp_path / "erp.yaml").write_text(systems, encoding="utf-8")
    (tmp_path / "pact.yaml").write_text(requests, encoding="utf-8")
    (tmp_path / "sap-prod.key").write_text("an-example-secret-of-32-letters!", encoding="utf-8")
    (tmp_path / "sap-prod.key").chmod(0o600)
    commands = [text for text in blocks("bash", "curl") if "carbon up" not in text]
    assert len(commands) == 4
    (program,) = blocks("python", "submit_declarations")
    script = "\n".join(
        (
            *("set -e", f"curl -s {ADDRESS}/v1/health", *commands, "export KEY"),
            *('python - <<"EOF"', "import os", 'KEY = os.environ["KEY"]', program, "EOF"),
        )
    )
    with api_server(
        settings_module.load(),
        CARBON_ERP_SYSTEMS_FILE=str(tmp_path / "erp.yaml"),
        CARBON_PACT_REQUESTS_FILE=str(tmp_path / "pact.yaml"),
    ) as (url, _):
        done = subprocess.run(
            ["bash", "-c", script.replace(ADDRESS, url)],
            cwd=tmp_path,
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "PYTHONPATH": str(PROJECT_ROOT),
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    for expected in (
        '{"status":"ok","kafka":"ok","database":"ok"}',
        '{"event_id":"supplier:SUP_042_DE@2024-05-coil#0"}',
        '"token_type":"Bearer","expires_in":3600,"scope":"submit:supplier"}',
        '"events":["purchase:sap-prod:4500000001/10#0"],"refused":[]}',
        "3 0",
    ):
        assert expected in done.stdout
        assert expected in PAGE or expected == "3 0"
    assert '"supplier_id":"SUP_042_DE","scope":3,' in done.stdout
