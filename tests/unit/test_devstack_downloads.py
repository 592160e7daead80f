"""The lock of downloaded jars: read, verified, and refused when anything differs."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from carbon_ledger.errors import BrokenInvariant
from carbon_ledger.settings import Settings
from devstack import downloads
from devstack.downloads import Jar


def jar(group: str, file: str, content: bytes) -> Jar:
    return Jar(
        group=group,
        organisation="org.example",
        name=file.partition("-")[0],
        revision="1",
        file=file,
        sha256=hashlib.sha256(content).hexdigest(),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for group in downloads.GROUPS:
        (tmp_path / group).mkdir()
        (tmp_path / group / "a-1.jar").write_bytes(group.encode())
    return tmp_path


JARS = [jar(group, "a-1.jar", group.encode()) for group in downloads.GROUPS]


def test_exactly_the_locked_files_pass(folder: Path) -> None:
    downloads.verify(folder, JARS)


def test_each_difference_from_the_lock_is_named(folder: Path) -> None:
    (folder / "kafka" / "a-1.jar").write_bytes(b"altered")
    (folder / "spark" / "a-1.jar").unlink()
    (folder / "spark" / "b-1.jar").write_bytes(b"smuggled")
    with pytest.raises(BrokenInvariant) as refusal:
        downloads.verify(folder, JARS)
    assert "altered: kafka/a-1.jar" in refusal.value.message
    assert "missing: spark/a-1.jar" in refusal.value.message
    assert "not in the lock: spark/b-1.jar" in refusal.value.message


def test_the_shipped_lock_names_the_three_services_main_jars() -> None:
    jars = downloads.read_lock()
    names = {(one.group, one.name, one.revision) for one in jars}
    assert ("kafka", "kafka_2.13", "4.3.1") in names
    assert ("registry", "apicurio-registry-app", "3.3.3") in names
    assert ("spark", "spark-sql-kafka-0-10_2.13", "4.1.1") in names
    assert ("spark", "spark-avro_2.13", "4.1.1") in names
    assert len({(one.group, one.file) for one in jars}) == len(jars)


def test_no_jar_that_pyspark_ships_is_fetched_a_second_time() -> None:
    import importlib.util

    found = importlib.util.find_spec("pyspark")
    assert found is not None
    assert found.origin is not None
    shipped = {path.name for path in (Path(found.origin).parent / "jars").glob("*.jar")}
    assert len(shipped) > 100
    assert [j.file for j in downloads.read_lock() if j.group == "spark" and j.file in shipped] == []


@pytest.mark.parametrize(
    "line",
    [
        "kafka org.example a 1 a-1.jar",
        "kafka org.example a 1 a-1.jar abc",
        f"elsewhere org.example a 1 a-1.jar {'0' * 64}",
    ],
)
def test_a_malformed_lock_line_is_refused_with_its_number(tmp_path: Path, line: str) -> None:
    lock = tmp_path / "jars.lock"
    lock.write_text(f"# head\n{line}\n")
    with pytest.raises(BrokenInvariant, match="line 2"):
        downloads.read_lock(lock)


def test_classifier_and_extension_come_from_the_file_name() -> None:
    registry = Jar(
        group="registry",
        organisation="io.example",
        name="app",
        revision="3.3",
        file="app-3.3-all.tar.gz",
        sha256="0" * 64,
    )
    assert (registry.extension, registry.classifier) == ("tar.gz", "all")
    assert (JARS[0].extension, JARS[0].classifier) == ("jar", "")
    assert 'm:classifier="all"' in downloads.dependencies([registry])
    assert "artifact" not in downloads.dependencies(JARS)


def test_a_folder_is_complete_only_with_every_file_at_its_size(folder: Path) -> None:
    assert not downloads.is_complete(folder)
    (folder / downloads.MANIFEST).write_text(json.dumps({"kafka/a-1.jar": 5}))
    assert downloads.is_complete(folder)
    (folder / "kafka" / "a-1.jar").write_bytes(b"cut")
    assert not downloads.is_complete(folder)


def test_another_lock_is_another_folder(tmp_path: Path) -> None:
    settings = Settings({"CARBON_CACHE": str(tmp_path)})
    other = tmp_path / "jars.lock"
    other.write_text("# empty\n")
    assert downloads.cache_folder(settings) != downloads.cache_folder(settings, other)


def foreign_addresses(text: str) -> list[str]:
    """Hosts of web addresses that are neither this machine nor the namespace of Ivy's XML."""
    hosts = re.findall(r"https?://([a-z0-9.-]+\.[a-z]{2,})", text)
    return [host for host in hosts if host != "ant.apache.org"]


def test_the_default_repository_is_not_written_down_here() -> None:
    """Ivy knows it; a mirror is a setting."""
    assert foreign_addresses("root='https://jars.example.org/maven2'") == ["jars.example.org"]
    package = Path(downloads.__file__).parent
    for path in (*package.glob("*.py"), *package.glob("*.lock")):
        assert foreign_addresses(path.read_text(encoding="utf-8")) == [], path
