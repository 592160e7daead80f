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
import zlib
from pathlib import Path

SUFFIX = ".gz"
# In the cluster's folder, which is PostgreSQL's working folder: a backup was taken of it.
MARK = "carbon_backup_taken"
# PostgreSQL takes 1 for the end of WAL; anything above 125 stops the recovery.
BROKEN = 255
SEGMENT_DIGITS = 24


def put(segment: Path, folder: Path) -> int:
    """0 once `segment` is in `folder`; 1, and PostgreSQL keeps it and asks again, if it cannot be.

    Before the first backup there is no folder, and nothing to be kept. Afterwards the cluster has
    the mark, and a folder that is not there is a disk that is not there.
    """
    if not folder.is_dir():
        return 1 if Path(MARK).exists() else 0
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
    """0 with the segment at `target`; 1 if no folder has it, which ends the recovery; BROKEN if it
    is there and cannot be read, or if later ones are there, which is a hole.
    """
    for folder in folders:
        if (folder / (name + SUFFIX)).exists():
            try:
                with gzip.open(folder / (name + SUFFIX), "rb") as kept, target.open("wb") as sink:
                    shutil.copyfileobj(kept, sink)
            except (OSError, EOFError, zlib.error) as error:
                sys.stderr.write(f"{folder / (name + SUFFIX)} cannot be read: {error}\n")
                return BROKEN
            return 0
        if (folder / name).exists():
            shutil.copyfile(folder / name, target)
            return 0
    later = [found for folder in folders for found in later_segments(name, folder)]
    if later:
        sys.stderr.write(f"{name} is missing and {min(later)} is there: a hole in the WAL\n")
        return BROKEN
    return 1


def later_segments(name: str, folder: Path) -> list[str]:
    """Segments of the same timeline after `name` (24 hexadecimal digits) in a folder of WAL."""
    if len(name) != SEGMENT_DIGITS or not folder.is_dir():
        return []
    found = [path.name.removesuffix(SUFFIX) for path in folder.glob(f"{name[:8]}*{SUFFIX}")]
    return [one for one in found if len(one) == SEGMENT_DIGITS and one > name]


def main() -> int:
    what, *rest = sys.argv[1:]
    if what == "put":
        segment, folder = rest
        return put(Path(segment), Path(folder))
    name, target, *folders = rest
    return get(name, Path(target), [Path(folder) for folder in folders])


if __name__ == "__main__":
    raise SystemExit(main())
