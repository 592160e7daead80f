"""Fetching the jars: the real Ivy against a small Maven repository on this machine."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from carbon_ledger.errors import BrokenInvariant, Unavailable
from carbon_ledger.settings import Settings
from devstack import downloads

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]

FILES = {
    "kafka": ("org.example", "broker", "1.0", "broker-1.0.jar"),
    "spark": ("org.example", "connector_2.13", "2.0", "connector_2.13-2.0.jar"),
    "registry": ("io.example", "registry", "3.0", "registry-3.0-all.tar.gz"),
}


class Repository:
    """A Maven repository in a folder, served over HTTP, that remembers what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, Counter[str]()
        for organisation, name, revision, file in FILES.values():
            path = folder / organisation.replace(".", "/") / name / revision / file
            path.parent.mkdir(parents=True)
            path.write_bytes(archive() if file.endswith(".tar.gz") else file.encode() * 100)
        repository = self

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                repository.asked[self.path.rpartition("/")[2]] += 1
                super().do_GET()

            def log_message(self, format: str, *args: object) -> None:
                return

        handler = partial(Handler, directory=str(folder))
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/"

    def file(self, group: str) -> Path:
        organisation, name, revision, file = FILES[group]
        return self.folder / organisation.replace(".", "/") / name / revision / file


def archive() -> bytes:
    """A registry distribution of one file."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        member = tarfile.TarInfo("quarkus-run.jar")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"jar!"))
    return content.getvalue()


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    repository = Repository(tmp_path / "repository")
    yield repository
    repository.server.shutdown()
    repository.server.server_close()


@pytest.fixture
def settings(repository: Repository, tmp_path: Path) -> Settings:
    return Settings(
        {
            "CARBON_HOME": str(tmp_path / "home"),
            "CARBON_CACHE": str(tmp_path / "cache"),
            "CARBON_MAVEN_REPOSITORY": repository.url,
        }
    )


@pytest.fixture
def lock(repository: Repository, tmp_path: Path) -> Path:
    """A lock file that names the repository's files as they are now."""
    path = tmp_path / "jars.lock"
    path.write_text(
        "".join(
            f"{group} {organisation} {name} {revision} {file} "
            f"{hashlib.sha256(repository.file(group).read_bytes()).hexdigest()}\n"
            for group, (organisation, name, revision, file) in FILES.items()
        )
    )
    return path


def test_locked_files_arrive_verified_and_are_fetched_once(
    repository: Repository, settings: Settings, lock: Path
) -> None:
    folder = downloads.ensure(settings, lock=lock)
    assert (folder / "kafka" / "broker-1.0.jar").is_file()
    assert (folder / "spark" / "connector_2.13-2.0.jar").is_file()
    assert (folder / "registry" / "app" / "quarkus-run.jar").read_bytes() == b"jar!"
    fetched = repository.asked.copy()
    assert downloads.ensure(settings, lock=lock) == folder
    assert repository.asked == fetched


def test_a_jar_that_is_not_the_locked_one_is_refused_and_thrown_away(
    repository: Repository, settings: Settings, lock: Path
) -> None:
    repository.file("spark").write_bytes(b"something else")
    with pytest.raises(BrokenInvariant, match=r"altered: spark/connector_2.13-2.0.jar"):
        downloads.ensure(settings, lock=lock)
    assert not downloads.cache_folder(settings, lock).exists()
    assert list((settings.cache / "jars").glob("*.part")) == []


def test_an_altered_jar_is_fetched_afresh_once_the_repository_is_right_again(
    repository: Repository, settings: Settings, lock: Path
) -> None:
    good = repository.file("spark").read_bytes()
    repository.file("spark").write_bytes(b"something else")
    with pytest.raises(BrokenInvariant):
        downloads.ensure(settings, lock=lock)
    repository.file("spark").write_bytes(good)
    assert downloads.is_complete(downloads.ensure(settings, lock=lock))


def test_a_missing_jar_names_the_repository_and_the_way_out(
    repository: Repository, settings: Settings, lock: Path
) -> None:
    repository.file("kafka").unlink()
    with pytest.raises(Unavailable, match="CARBON_MAVEN_REPOSITORY") as refusal:
        downloads.ensure(settings, lock=lock)
    assert repository.url in refusal.value.message
    assert "broker" in refusal.value.message
    assert not downloads.cache_folder(settings, lock).exists()


def test_no_network_is_one_sentence(settings: Settings, lock: Path) -> None:
    closed = Settings({**settings.values, "CARBON_MAVEN_REPOSITORY": "http://127.0.0.1:1/"})
    with pytest.raises(Unavailable, match=r"could not fetch the jars from http://127\.0\.0\.1:1/"):
        downloads.ensure(closed, lock=lock)


def test_a_file_lost_later_is_noticed_and_fetched_again(
    repository: Repository, settings: Settings, lock: Path
) -> None:
    folder = downloads.ensure(settings, lock=lock)
    (folder / "kafka" / "broker-1.0.jar").unlink()
    assert not downloads.is_complete(folder)
    assert downloads.is_complete(downloads.ensure(settings, lock=lock))


def test_two_set_ups_at_once_download_once(
    repository: Repository, settings: Settings, lock: Path
) -> None:
    with ThreadPoolExecutor(2) as pool:
        folders = list(pool.map(lambda _: downloads.ensure(settings, lock=lock), range(2)))
    assert folders[0] == folders[1]
    assert repository.asked["broker-1.0.jar"] == 1
