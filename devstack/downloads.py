"""The jars that come by network: resolved by Ivy, verified against jars.lock, kept in the cache.

Belongs here: fetching, verifying, unpacking, and regenerating the lock. Does not: what a jar is
used for.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from carbon_ledger.errors import BrokenInvariant, Unavailable
from carbon_ledger.settings import Settings
from devstack.java import java, proxy_options, trust_options

LOCK_FILE = Path(__file__).parent / "jars.lock"
# Kafka Connect and the MQTT broker are optional; who starts neither downloads nothing for them.
CONNECT_LOCK = Path(__file__).parent / "jars_connect.lock"
MQTT_LOCK = Path(__file__).parent / "jars_mqtt.lock"
GROUPS = ("kafka", "registry", "spark", "connect", "connect_test", "mqtt")
MANIFEST = "manifest.json"
NEEDED_BYTES = (
    1_000_000_000  # the jars, Ivy's own copy of them while it works, and the unpacked registry
)
PATTERN = "[conf]/[artifact]-[revision](-[classifier]).[ext]"

# What the locks are generated from; everything else in them is what these need.
ROOTS = """\
<dependency org="org.apache.kafka" name="kafka_2.13" rev="4.3.1" conf="kafka->default"/>
<dependency org="org.apache.logging.log4j" name="log4j-slf4j-impl" rev="2.25.4"
    conf="kafka->default"/>
<dependency org="io.apicurio" name="apicurio-registry-app" rev="3.3.3" conf="registry->default"
    transitive="false">
  <artifact name="apicurio-registry-app" type="tar.gz" ext="tar.gz" m:classifier="all"/>
</dependency>
<dependency org="org.apache.spark" name="spark-sql-kafka-0-10_2.13" rev="4.1.1"
    conf="spark->default"/>
<dependency org="org.apache.spark" name="spark-avro_2.13" rev="4.1.1" conf="spark->default"/>
"""

# Of `connect_test` is what tests put beside it: a worker that can write files is no good neighbour.
CONNECT_ROOTS = """\
<dependency org="org.apache.kafka" name="connect-runtime" rev="4.3.1" conf="connect->default"/>
<dependency org="org.apache.logging.log4j" name="log4j-slf4j-impl" rev="2.25.4"
    conf="connect->default"/>
<dependency org="io.debezium" name="debezium-connector-postgres" rev="3.2.0.Final"
    conf="connect->default"/>
<dependency org="org.apache.kafka" name="connect-file" rev="4.3.1" conf="connect_test->default"
    transitive="false"/>
"""

MQTT_ROOTS = """\
<dependency org="com.hivemq" name="hivemq-community-edition-embedded" rev="2025.5"
    conf="mqtt->default"/>
"""

Report = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, order=True)
class Jar:
    """One locked file: `group` is the service it belongs to, the rest are its Maven coordinates."""

    group: str
    organisation: str
    name: str
    revision: str
    file: str
    sha256: str

    @property
    def extension(self) -> str:
        """`jar`, or `tar.gz` for the registry."""
        return "tar.gz" if self.file.endswith(".tar.gz") else self.file.rpartition(".")[2]

    @property
    def classifier(self) -> str:
        """The Maven classifier that the file name carries, or ''."""
        rest = self.file.removeprefix(f"{self.name}-{self.revision}")
        return rest.removesuffix(f".{self.extension}").lstrip("-")


def read_lock(path: Path = LOCK_FILE) -> list[Jar]:
    """The jars of a lock file. Raises BrokenInvariant on a line that is not six words."""
    jars = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        words = line.split()
        if len(words) != 6 or words[0] not in GROUPS or len(words[5]) != 64:
            raise BrokenInvariant(
                "jars_lock",
                f"{path.name} line {number} is not `group organisation name revision file sha256`",
            )
        group, organisation, name, revision, file, sha256 = words
        jars.append(
            Jar(
                group=group,
                organisation=organisation,
                name=name,
                revision=revision,
                file=file,
                sha256=sha256,
            )
        )
    return jars


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def verify(folder: Path, jars: Sequence[Jar]) -> None:
    """Nothing, if `folder` holds exactly the locked files, byte for byte; else BrokenInvariant with
    names.
    """
    expected = {f"{jar.group}/{jar.file}": jar.sha256 for jar in jars}
    present = {str(path.relative_to(folder)): path for path in folder.glob("*/*") if path.is_file()}
    missing = sorted(set(expected) - set(present))
    extra = sorted(set(present) - set(expected))
    altered = sorted(
        name for name in set(expected) & set(present) if sha256_of(present[name]) != expected[name]
    )
    faults = [
        f"{word}: {', '.join(names)}"
        for word, names in (("missing", missing), ("not in the lock", extra), ("altered", altered))
        if names
    ]
    if faults:
        raise BrokenInvariant(
            "download_altered",
            f"the downloaded jars are not the locked ones ({'; '.join(faults)}); they were thrown "
            "away. Try again, and if it stays so do not trust the repository they come from.",
        )


def cache_folder(settings: Settings, lock: Path = LOCK_FILE) -> Path:
    """Where the jars of this lock live: a new lock is a new folder."""
    return settings.cache / "jars" / sha256_of(lock)[:16]


def is_complete(folder: Path) -> bool:
    """Whether every file written at set-up is there with its size (no content is read)."""
    try:
        sizes = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (FileNotFoundError, ValueError):
        return False


def ensure(settings: Settings, report: Report = lambda line: None, lock: Path = LOCK_FILE) -> Path:
    """The folder with `kafka/`, `registry/app/` and `spark/`, complete and verified.

    Takes milliseconds when it is there already; else downloads. Two processes at once do it once.
    Raises Unavailable (no network, no room) or BrokenInvariant (content differs from the lock); a
    failed attempt leaves no half-made folder.
    """
    folder = cache_folder(settings, lock)
    if is_complete(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(folder.parent / "lock", report):
        if not is_complete(folder):
            download(settings, folder, read_lock(lock), report)
    return folder


@contextmanager
def exclusive(path: Path, report: Report) -> Iterator[None]:
    """Hold `path` against other processes for the duration of the block."""
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("another set-up is downloading; waiting for it")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def download(settings: Settings, folder: Path, jars: Sequence[Jar], report: Report) -> None:
    """Fill `folder` in one rename from a scratch folder beside it."""
    free = shutil.disk_usage(folder.parent).free
    if free < NEEDED_BYTES:
        raise Unavailable(
            "disk_full",
            f"only {free // 1_000_000} MB are free at {folder.parent}, the downloads need "
            f"{NEEDED_BYTES // 1_000_000} MB: make room, or set CARBON_CACHE to a folder on "
            "another disk",
        )
    report(f"downloading {len(jars)} files to {folder}")
    scratch = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        scratch.mkdir()
        run_ivy(settings, dependencies(jars), scratch, PATTERN, poms=False, report=report)
        check_or_forget(scratch, jars, settings.cache / "ivy")
        unpack_registry(scratch / "registry")
        sizes = {
            str(path.relative_to(scratch)): path.stat().st_size
            for path in sorted(scratch.rglob("*"))
            if path.is_file()
        }
        (scratch / MANIFEST).write_text(json.dumps(sizes), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        scratch.replace(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    shutil.rmtree(settings.cache / "ivy", ignore_errors=True)


def check_or_forget(folder: Path, jars: Sequence[Jar], ivy_cache: Path) -> None:
    """verify(); on a fault Ivy's own copies go too, or they would serve the next attempt."""
    try:
        verify(folder, jars)
    except BrokenInvariant:
        shutil.rmtree(ivy_cache, ignore_errors=True)
        raise


def unpack_registry(folder: Path) -> None:
    """Replace the one verified archive in `folder`, if there is one, by what it holds, in
    `folder`/app.
    """
    for archive in folder.glob("*.tar.gz"):
        with tarfile.open(archive) as content:
            content.extractall(folder / "app", filter="data")
        archive.unlink()


def dependencies(jars: Sequence[Jar]) -> str:
    """Ivy dependencies that name each jar itself, so that no metadata has to be followed."""
    lines = []
    for jar in jars:
        head = (
            f"<dependency org={quoteattr(jar.organisation)} name={quoteattr(jar.name)} "
            f"rev={quoteattr(jar.revision)} conf={quoteattr(jar.group + '->default')} "
            'transitive="false"'
        )
        if jar.classifier or jar.extension != "jar":
            extension, classifier = quoteattr(jar.extension), quoteattr(jar.classifier)
            lines.append(
                f"{head}><artifact name={quoteattr(jar.name)} type={extension} ext={extension} "
                f"m:classifier={classifier}/></dependency>"
            )
        else:
            lines.append(f"{head}/>")
    return "\n".join(lines)


def ivy_jar() -> Path:
    """The Ivy that pyspark ships."""
    import pyspark

    found = sorted((Path(pyspark.__file__).parent / "jars").glob("ivy-*.jar"))
    if not found:
        raise Unavailable("ivy_missing", "pyspark's jars hold no ivy-*.jar; run `make setup` again")
    return found[-1]


def run_ivy(
    settings: Settings, wanted: str, target: Path, pattern: str, *, poms: bool, report: Report
) -> None:
    """Retrieve `wanted` (dependency elements) into `target`. Raises Unavailable with Ivy's own
    reason.
    """
    work = target.parent / f"ivy-{os.getpid()}"
    work.mkdir()
    root = settings.get("CARBON_MAVEN_REPOSITORY")
    location = f" root={quoteattr(root)}" if root else ""
    try:
        (work / "settings.xml").write_text(
            '<ivysettings><settings defaultResolver="root"/>'
            f"<caches defaultCacheDir={quoteattr(str(settings.cache / 'ivy'))}/><resolvers>"
            f'<ibiblio name="root" m2compatible="true" usepoms="{str(poms).lower()}"{location}/>'
            "</resolvers></ivysettings>",
            encoding="utf-8",
        )
        confs = "".join(f'<conf name="{group}"/>' for group in GROUPS)
        (work / "ivy.xml").write_text(
            '<ivy-module version="2.0" xmlns:m="http://ant.apache.org/ivy/maven">'
            '<info organisation="carbon" module="stack"/>'
            f"<configurations>{confs}</configurations>"
            f"<dependencies>{wanted}</dependencies></ivy-module>",
            encoding="utf-8",
        )
        command = [
            java(),
            "-Xmx256m",
            f"-Duser.home={work}",
            *trust_options(settings.cache / "trust"),
            *proxy_options(),
            "-jar",
            str(ivy_jar()),
            *("-settings", str(work / "settings.xml"), "-ivy", str(work / "ivy.xml")),
            *("-retrieve", f"{target}/{pattern}"),
        ]
        follow(command, root or "Maven Central", report)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def follow(command: Sequence[str], repository: str, report: Report) -> None:
    """Run Ivy, reporting each file as it arrives; Unavailable with its complaints if it fails."""
    output: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        try:
            for line in process.stdout or ():
                output.append(line.strip())
                if line.startswith("downloading "):
                    report(line.split()[1].rpartition("/")[2])
        except BaseException:
            process.kill()
            raise
    if process.returncode == 0 and not any("UNRESOLVED" in line for line in output):
        return
    # Ivy names the network's fault first and then, once per file, what it could not find.
    complaints = [
        line
        for words in (("Exception", "access error"), ("not found", "FAILED"))
        for line in output
        if any(word in line for word in words)
    ]
    detail = "; ".join(dict.fromkeys(complaints[:3])) or "; ".join(output[-3:])
    raise Unavailable(
        "download_failed",
        f"could not fetch the jars from {repository} ({detail[:600]}). Check the network "
        "(HTTPS_PROXY is honoured), or set CARBON_MAVEN_REPOSITORY to a Maven repository this "
        "machine can reach.",
    )


def regenerate(
    settings: Settings, lock: Path = LOCK_FILE, roots: str = ROOTS, report: Report = print
) -> int:
    """Resolve `roots` afresh with all they need and write the lock; returns how many files it has.

    A Spark jar that pyspark ships already is left out: two versions on one class path is a lottery.
    """
    import pyspark

    shipped = {path.name for path in (Path(pyspark.__file__).parent / "jars").glob("*.jar")}
    target = settings.cache / f"relock-{os.getpid()}"
    target.mkdir(parents=True)
    pattern = "[conf]/[organisation]/[module]/[revision]/[artifact]-[revision](-[classifier]).[ext]"
    try:
        run_ivy(settings, roots, target, pattern, poms=True, report=report)
        jars = []
        for path in target.glob("*/*/*/*/*"):
            group, organisation, name, revision, file = path.relative_to(target).parts
            if group == "spark" and file in shipped:
                continue
            jars.append(
                Jar(
                    group=group,
                    organisation=organisation,
                    name=name,
                    revision=revision,
                    file=file,
                    sha256=sha256_of(path),
                )
            )
    finally:
        shutil.rmtree(target, ignore_errors=True)
    header = (
        "# group organisation name revision file sha256; made by `python -m devstack.downloads`\n"
    )
    lines = [
        f"{j.group} {j.organisation} {j.name} {j.revision} {j.file} {j.sha256}\n"
        for j in sorted(jars)
    ]
    lock.write_text(header + "".join(lines), encoding="utf-8")
    return len(jars)


if __name__ == "__main__":
    from carbon_ledger.settings import load

    regenerate(load())
    regenerate(load(), CONNECT_LOCK, CONNECT_ROOTS)
    regenerate(load(), MQTT_LOCK, MQTT_ROOTS)
