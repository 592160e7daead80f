"""Raw records, written once, before their entries commit: the evidence that outlives Kafka.

One Parquet object per Kafka partition's part of a batch, named by the SHA-256 of its bytes. Belongs
here: writing and reading those objects, by URL (a folder or an object store). Does not: what
records mean.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from carbon_ledger.errors import BrokenInvariant, Unavailable
from carbon_ledger.failpoints import failpoint

HEADERS = pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())]))
# Under which an object's own metadata says which part it is.
TERMS_KEY = "carbon.part"
CHUNK_BYTES = 1 << 20
RAW_SCHEMA = pa.schema(
    [
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("timestamp", pa.timestamp("us", tz="UTC")),
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("headers", HEADERS),
    ]
)


def raw_records(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The records of a batch of spark.decode.spark_decoded as they came from Kafka (RAW_SCHEMA)."""
    columns = [
        headers_from_json(batch.column(name))
        if name == "headers"
        else batch.column(name).cast(RAW_SCHEMA.field(name).type)
        for name in RAW_SCHEMA.names
    ]
    return pa.RecordBatch.from_arrays(columns, schema=RAW_SCHEMA)


def headers_from_json(texts: pa.Array) -> pa.Array:
    """Kafka headers out of Spark's JSON of them: values are base64, and left out where null."""
    if texts.null_count == len(texts):
        return pa.nulls(len(texts), HEADERS)
    return pa.array(
        [None if text is None else _headers(text) for text in texts.to_pylist()], HEADERS
    )


def _headers(text: str) -> list[dict[str, Any]]:
    return [
        {
            "key": item.get("key"),
            "value": base64.b64decode(item["value"]) if "value" in item else None,
        }
        for item in json.loads(text)
    ]


@dataclass(frozen=True, kw_only=True)
class ArchivedObject:
    """A written object: its path below the archive's root, the SHA-256 of its bytes, its size in
    bytes.
    """

    path: str
    sha256: bytes
    size_bytes: int


class ArchiveWriter:
    """Collects the record batches of one part and stores them under their own hash on `close()`.

    The object is assembled in a local file without a name, so memory stays bounded and a process
    that is killed leaves nothing behind; an object that is already there (a retried part) is left
    as it is. Used as a context manager, an exception discards it.
    """

    def __init__(self, url: str, topic: str, kafka_partition: int) -> None:
        self._url = url
        self._prefix = f"{topic}/{kafka_partition:05d}"
        self._local = tempfile.TemporaryFile()
        self._writer = pq.ParquetWriter(
            pa.PythonFile(self._local, "w"),
            RAW_SCHEMA,
            compression="zstd",
            compression_level=1,
            use_dictionary=["topic"],
            write_statistics=["partition", "offset", "timestamp"],
        )

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
        self._local.close()

    def write(self, batch: pa.RecordBatch) -> None:
        """Adds raw records (columns of RAW_SCHEMA, in offset order)."""
        self._writer.write_batch(batch)

    def describe(self, terms: str) -> None:
        """Puts a text about the part into the object itself."""
        self._writer.add_key_value_metadata({TERMS_KEY: terms})

    def close(self) -> ArchivedObject:
        """Stores the object and returns where it is. Raises Unavailable if the archive cannot be
        written.
        """
        self._writer.close()
        self._local.seek(0)
        digest = hashlib.file_digest(self._local, "sha256")  # type: ignore[arg-type]
        size_bytes = self._local.tell()
        path = f"{self._prefix}/{digest.hexdigest()}.parquet"
        try:
            _store(self._url, path, self._local)
        except OSError as error:
            raise Unavailable(
                "archive_unavailable", f"cannot write {path} to the archive {self._url}: {error}"
            ) from error
        return ArchivedObject(path=path, sha256=digest.digest(), size_bytes=size_bytes)


def open_archive(url: str) -> tuple[pafs.FileSystem, str]:
    """The file system and root path behind `url` (file://, s3://, gs://, …)."""
    filesystem, root = pafs.FileSystem.from_uri(url)
    return filesystem, root.rstrip("/")


def store(url: str, path: str, local: Path) -> None:
    """Copies `local` to `path` below the archive, whole or not at all; what is there is never
    replaced.
    """
    with local.open("rb") as content:
        _store(url, path, content)


def _store(url: str, path: str, content: IO[bytes]) -> None:
    filesystem, root = open_archive(url)
    target = f"{root}/{path}"
    if filesystem.get_file_info(target).type == pafs.FileType.File:
        return
    content.seek(0)
    if isinstance(filesystem, pafs.LocalFileSystem):
        folder = Path(target).parent
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=".incoming-")
        try:
            with os.fdopen(handle, "wb") as sink:
                shutil.copyfileobj(content, sink, CHUNK_BYTES)
                sink.flush()
                os.fsync(sink.fileno())
            failpoint("archive_written")
            os.chmod(name, 0o444)
            os.replace(name, target)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
        return
    # Object stores show an object only once it is whole.
    with filesystem.open_output_stream(target, compression=None) as sink:
        shutil.copyfileobj(content, sink, CHUNK_BYTES)


def check(url: str, archived: ArchivedObject) -> str:
    """The object's own URL, after checking that its bytes still have the hash they were stored
    under.

    Raises BrokenInvariant `archive_altered`, or `archive_missing` if it is not there.

    """
    filesystem, root = open_archive(url)
    digest = hashlib.sha256()
    try:
        with filesystem.open_input_stream(f"{root}/{archived.path}") as source:
            while chunk := source.read(1 << 20):
                digest.update(chunk)
    except FileNotFoundError as error:
        raise BrokenInvariant(
            "archive_missing", f"{archived.path} is not in the archive {url}"
        ) from error
    if digest.digest() != archived.sha256:
        raise BrokenInvariant(
            "archive_altered", f"{archived.path} no longer has the hash it was stored under"
        )
    return f"{url.rstrip('/')}/{archived.path}"


def store_bytes(url: str, path: str, content: bytes) -> None:
    """Keeps `content` below the archive; what is there already is left as it is.

    Raises Unavailable if the archive cannot be written.
    """
    try:
        _store(url, path, io.BytesIO(content))
    except OSError as error:
        raise Unavailable(
            "archive_unavailable", f"cannot write {path} to the archive {url}: {error}"
        ) from error


def has_object(url: str, path: str) -> bool:
    """Whether something is kept under `path`. Raises Unavailable if the archive cannot be read."""
    try:
        filesystem, root = open_archive(url)
        return bool(filesystem.get_file_info(f"{root}/{path}").type == pafs.FileType.File)
    except OSError as error:
        raise Unavailable(
            "archive_unavailable", f"the archive {url} cannot be read: {error}"
        ) from error


def object_size(url: str, path: str) -> int:
    """Bytes of what is kept under `path`; 0 if nothing is."""
    filesystem, root = open_archive(url)
    return int(filesystem.get_file_info(f"{root}/{path}").size or 0)


def read_bytes(url: str, path: str) -> bytes:
    """What is kept under `path`. Raises BrokenInvariant `archive_missing`."""
    filesystem, root = open_archive(url)
    try:
        with filesystem.open_input_stream(f"{root}/{path}", compression=None) as source:
            content: bytes = source.read()
    except FileNotFoundError as error:
        raise BrokenInvariant("archive_missing", f"{path} is not in the archive {url}") from error
    return content


def read_terms(url: str, path: str) -> str | None:
    """What an object says of itself; None where it says nothing. Its hash is not checked here.

    Raises BrokenInvariant: `archive_missing`, or `archive_altered` if it is no such object.
    """
    filesystem, root = open_archive(url)
    try:
        with filesystem.open_input_file(f"{root}/{path}") as source:
            found = pq.ParquetFile(source).metadata.metadata or {}
    except FileNotFoundError as error:
        raise BrokenInvariant("archive_missing", f"{path} is not in the archive {url}") from error
    except pa.ArrowInvalid as error:
        raise BrokenInvariant("archive_altered", f"{path} cannot be read: {error}") from error
    text = found.get(TERMS_KEY.encode())
    return None if text is None else text.decode()


def object_paths(url: str) -> list[str]:
    """Every Parquet object of the archive, by its path below the root, in order."""
    filesystem, root = open_archive(url)
    selector = pafs.FileSelector(root, recursive=True, allow_not_found=True)
    return sorted(
        one.path[len(root) + 1 :]
        for one in filesystem.get_file_info(selector)
        if one.type == pafs.FileType.File and one.path.endswith(".parquet")
    )


def read(url: str, archived: ArchivedObject) -> Iterator[pa.RecordBatch]:
    """The records of an object, checked first."""
    check(url, archived)
    filesystem, root = open_archive(url)
    with filesystem.open_input_file(f"{root}/{archived.path}") as source:
        yield from pq.ParquetFile(source).iter_batches(batch_size=20_000)
