"""Create .venv from the lock file with nothing but Python's standard library.

Reads the one entry for `uv` out of requirements.lock (hashes included), installs it with pip, then
lets uv install everything else from the same lock. Re-run at will: an unchanged lock costs a
fraction of a second.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
STAMP = VENV / "lock.sha256"


def lock_entry(text: str, name: str) -> str:
    """The lines of the lock that pin `name`: its version and every hash."""
    lines = text.splitlines()
    for start, line in enumerate(lines):
        if line.startswith(f"{name}=="):
            end = start
            while lines[end].rstrip().endswith("\\"):
                end += 1
            return "\n".join(lines[start : end + 1]) + "\n"
    raise SystemExit(f"requirements.lock has no entry for {name}; run `make lock`")


def uv_environment() -> dict[str, str]:
    """pip's own settings, in uv's words, so that a mirror or a private CA set up for pip holds for
    uv.
    """
    env = dict(os.environ, VIRTUAL_ENV=str(VENV))
    if "PIP_INDEX_URL" in env:
        env.setdefault("UV_DEFAULT_INDEX", env["PIP_INDEX_URL"])
    if "PIP_CERT" in env:
        env.setdefault("SSL_CERT_FILE", env["PIP_CERT"])
    env.setdefault("UV_HTTP_TIMEOUT", "180")
    # Each run is a process of its own, and compiling what it imports costs it two seconds of
    # processor each time, wherever PYTHONDONTWRITEBYTECODE is set or the folder is read-only.
    env.setdefault("UV_COMPILE_BYTECODE", "1")
    env.setdefault("UV_LINK_MODE", "copy" if os.name == "nt" else "hardlink")
    return env


def main() -> int:
    if not ((3, 11) <= sys.version_info[:2] <= (3, 13)):
        version = ".".join(map(str, sys.version_info[:3]))
        raise SystemExit(
            f"Python {version} will not do: use 3.11, 3.12 or 3.13, e.g. `make PYTHON=python3.12`"
        )
    text = LOCK.read_text()
    pyproject = (ROOT / "pyproject.toml").read_text()
    digest = hashlib.sha256((text + pyproject + sys.version).encode()).hexdigest()
    if STAMP.exists() and STAMP.read_text() == digest:
        return 0
    if not (VENV / "bin" / "python").exists():
        venv.create(VENV, with_pip=True, symlinks=True)
    python = str(VENV / "bin" / "python")
    with tempfile.TemporaryDirectory() as folder:
        entry = Path(folder) / "uv.txt"
        entry.write_text(lock_entry(text, "uv"))
        subprocess.run(
            [python, "-m", "pip", "install", "-q", "--require-hashes", "-r", str(entry)], check=True
        )
    uv, env = str(VENV / "bin" / "uv"), uv_environment()
    subprocess.run(
        [uv, "pip", "install", "-q", "--require-hashes", "-r", str(LOCK)], check=True, env=env
    )
    subprocess.run(
        [uv, "pip", "install", "-q", "--no-deps", "--no-build-isolation", "-e", str(ROOT)],
        check=True,
        env=env,
    )
    STAMP.write_text(digest)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
