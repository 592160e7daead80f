"""Puts one WAL segment into a backup folder, or gets one back: PostgreSQL's archive_command and
restore_command.

Run by path with the bare interpreter, so it imports the standard library only. A segment is written
once, whole, compressed, and on disk before PostgreSQL is told that it may forget it.

usage: wal_segment.py put SEGMENT FOLDER | get NAME TARGET FOLDER [OTHER FOLDER]
"""

import gzip
import os
import shutil
import sys
from pathlib import Path

SUFFIX = ".gz"


def put(segment: Path, folder: Path) -> int:
    """0 once `segment` is in `folder`; where there is no folder there is no backup to be kept."""
    if not folder.is_dir():
        return 0
    target = folder / (segment.name + SUFFIX)
    if target.exists():
        # PostgreSQL asks again when it was killed after the rename and before it took note.
        with gzip.open(target, "rb") as kept:
            return 0 if kept.read() == segment.read_bytes() else 1
    part = folder / f".{segment.name}.{os.getpid()}.part"
    with part.open("wb") as sink, gzip.GzipFile(fileobj=sink, mode="wb", compresslevel=1) as packed:
        packed.write(segment.read_bytes())
        packed.close()
        sink.flush()
        os.fsync(sink.fileno())
    part.rename(target)
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return 0


def get(name: str, target: Path, folders: list[Path]) -> int:
    """0 with the segment at `target`, 1 if no folder has it, which ends the recovery."""
    for folder in folders:
        if (folder / (name + SUFFIX)).exists():
            with gzip.open(folder / (name + SUFFIX), "rb") as kept, target.open("wb") as sink:
                shutil.copyfileobj(kept, sink)
            return 0
        if (folder / name).exists():
            shutil.copyfile(folder / name, target)
            return 0
    return 1


def main() -> int:
    what, *rest = sys.argv[1:]
    if what == "put":
        segment, folder = rest
        return put(Path(segment), Path(folder))
    name, target, *folders = rest
    return get(name, Path(target), [Path(folder) for folder in folders])


if __name__ == "__main__":
    raise SystemExit(main())
