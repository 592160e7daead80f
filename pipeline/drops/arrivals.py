"""Which dropped files are whole: decided from what was seen at several looks, never from one.

Belongs here: that decision, names of half-uploaded files, file names as other systems can bear
them. Does not: looking (pipeline.drops.server), remembering (carbon_ledger.store.drops).

A file is whole when it was renamed from a temporary name, or when its size and time have been the
same for some seconds. One whose last bytes say that it goes on (`looks_cut`) is waited for longer.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from carbon_ledger.store.drops import Sighting

TEMPORARY: Final = (
    *(".part", ".partial", ".filepart", ".tmp", ".temp", ".upload", ".uploading"),
    *(".crdownload", ".swp", "~"),
)
# Where a ZIP archive's end record is: its own 22 bytes and at most 65,535 of a comment.
_ZIP_END: Final = b"PK\x05\x06"
_ZIP_END_BYTES: Final = 65_557
_TAIL_BYTES: Final = 4096
_NAME_CHARACTERS: Final = 120


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A file in a supplier's folder: its name as bytes and as text, its size, its time (s).

    `is_plain` is False for a symbolic link.
    """

    supplier_id: str
    raw_name: bytes
    size_bytes: int
    mtime: int
    is_plain: bool = True

    @property
    def name(self) -> str:
        """The name as text; bytes that are no UTF-8, and control characters, are escaped."""
        text = self.raw_name.decode("utf-8", "backslashreplace")
        return "".join(
            one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrivals:
    """What a look came to: sightings to note and to forget, files that are whole and have no
    receipt yet, and how many are still on their way.
    """

    changed: tuple[Sighting, ...]
    gone: tuple[Sighting, ...]
    whole: tuple[tuple[Listed, Sighting], ...]
    on_their_way: int


def is_temporary(name: str) -> bool:
    """Whether the name is one that uploads have before they are done."""
    return name.startswith(".") or name.lower().endswith(TEMPORARY)


def final_name(name: str) -> str:
    """The name a half-uploaded file will have: without leading dot and temporary ending."""
    for ending in TEMPORARY:
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
            break
    return name.removeprefix(".")


def judge(
    listed: Sequence[Listed],
    known: Mapping[tuple[str, str], Sighting],
    *,
    now: datetime,
    quiet: timedelta,
    cut_wait: timedelta,
) -> Arrivals:
    """Compares a listing with what is known from earlier ones."""
    present = {(one.supplier_id, one.name) for one in listed}
    renamed = {
        (one.supplier_id, final_name(one.name), one.size_bytes, one.mtime)
        for key, one in known.items()
        if key not in present and is_temporary(one.name)
    }
    changed, whole, waiting = [], [], 0
    for one in listed:
        seen = known.get((one.supplier_id, one.name))
        if seen is None or (seen.size_bytes, seen.mtime) != (one.size_bytes, one.mtime):
            place = (one.supplier_id, one.name, one.size_bytes, one.mtime)
            seen = _new(one, seen, now=now, is_whole=place in renamed)
            changed.append(seen)
        if seen.is_handled:
            continue
        if is_temporary(one.name):
            waiting += 1
        elif seen.is_whole or now - seen.since >= (cut_wait if seen.looks_cut else quiet):
            whole.append((one, seen))
        else:
            waiting += 1
    return Arrivals(
        changed=tuple(changed),
        # Should the name come again it is another file, even with the same size and time.
        gone=tuple(one for key, one in known.items() if key not in present),
        whole=tuple(whole),
        on_their_way=waiting,
    )


def _new(one: Listed, seen: Sighting | None, *, now: datetime, is_whole: bool) -> Sighting:
    if seen is not None:
        return replace(
            seen,
            size_bytes=one.size_bytes,
            mtime=one.mtime,
            since=now,
            is_whole=is_whole,
            looks_cut=False,
        )
    return Sighting(
        supplier_id=one.supplier_id,
        name=one.name,
        size_bytes=one.size_bytes,
        mtime=one.mtime,
        since=now,
        is_whole=is_whole,
    )


def looks_cut(path: Path, name: str) -> bool:
    """Whether a file's end says that it is not the end, as far as its format tells.

    CSV: its last line has no line end. JSON: it does not end with `]`. XLSX: there is no end
    record. Others, and empty ones, never do.
    """
    ending = name.lower().rpartition(".")[2]
    size = path.stat().st_size
    if not size or ending not in ("csv", "json", "xlsx"):
        return False
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(max(0, size - (_ZIP_END_BYTES if ending == "xlsx" else _TAIL_BYTES)))
        tail = file.read()
    if ending == "xlsx":
        return start == b"PK\x03\x04" and _ZIP_END not in tail
    if ending == "json":
        return not tail.rstrip(b" \t\r\n").endswith(b"]")
    return not tail.endswith((b"\n", b"\r"))


def safe_name(name: str) -> str:
    """The name with nothing in it that a file system, a shell or a terminal takes for more.

    Two names never become the same one.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".")[:_NAME_CHARACTERS] or "file"
    if safe == name:
        return safe
    return f"{safe}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"
