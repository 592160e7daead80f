"""What the archive leaves behind: the object, whole, and nothing beside it."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from carbon_ledger.errors import Unavailable
from carbon_ledger.settings import PROJECT_ROOT
from spark.archive import RAW_SCHEMA, ArchiveWriter, read, read_bytes, read_terms, store_bytes

TOPIC = "raw.iot.energy"
MOMENT = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
# Writes most of a part, says so, and waits to be killed.
KILLED = """
import signal
from spark.archive import ArchiveWriter
from tests.unit.test_archive import TOPIC, records
writer = ArchiveWriter("%s", TOPIC, 0)
writer.write(records(2_000))
print("written", flush=True)
signal.pause()
"""


def records(count: int) -> pa.RecordBatch:
    rows = [
        {
            "topic": TOPIC,
            "partition": 0,
            "offset": number,
            "timestamp": MOMENT,
            "key": b"k",
            "value": os.urandom(500),
            "headers": None,
        }
        for number in range(count)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=RAW_SCHEMA)


def names(folder: Path) -> list[str]:
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder of temporary files, this test's own."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


def test_a_part_is_an_object_named_by_its_hash_and_read_as_it_was_written(
    tmp_path: Path, temporary: Path
) -> None:
    root = tmp_path / "archive"
    batch = records(100)
    with ArchiveWriter(root.as_uri(), TOPIC, 3) as writer:
        writer.write(batch)
        writer.describe("of part 3")
        found = writer.close()
        assert names(temporary) == []
    content = (root / found.path).read_bytes()
    assert found.path == f"{TOPIC}/00003/{hashlib.sha256(content).hexdigest()}.parquet"
    assert (found.sha256, found.size_bytes) == (hashlib.sha256(content).digest(), len(content))
    assert pa.Table.from_batches(read(root.as_uri(), found)) == pa.Table.from_batches([batch])
    assert read_terms(root.as_uri(), found.path) == "of part 3"
    assert names(root) == [found.path]
    assert names(temporary) == []


def test_a_writer_that_is_killed_leaves_no_file_behind(tmp_path: Path, temporary: Path) -> None:
    root = tmp_path / "archive"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED % root.as_uri()],
        cwd=PROJECT_ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        # It does write there, into a file that has no name any more.
        assert any(
            os.readlink(one).startswith(str(temporary))
            for one in Path(f"/proc/{process.pid}/fd").iterdir()
        )
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.communicate()
    assert names(temporary) == []
    assert names(root) == []


def test_bytes_are_kept_once_and_leave_nothing_beside_them(tmp_path: Path, temporary: Path) -> None:
    url = (tmp_path / "archive").as_uri()
    store_bytes(url, "schemas/one", b"first")
    store_bytes(url, "schemas/one", b"second")
    assert read_bytes(url, "schemas/one") == b"first"
    assert names(tmp_path / "archive") == ["schemas/one"]
    assert names(temporary) == []


def test_what_could_not_be_written_whole_is_not_there_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(Unavailable, match="no space left on device"):
        store_bytes((tmp_path / "archive").as_uri(), "schemas/one", b"first")
    assert names(tmp_path / "archive") == []
