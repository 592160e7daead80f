"""Pages of a PostgreSQL table's file: where a row's columns lie, and the checksum of a page.

Belongs here: reading and writing such a file while no server has it open. Does not: which bytes a
test changes. Layouts: PostgreSQL 18 documentation, 66.6 (database page layout); the checksum is
that of src/include/storage/checksum_impl.h. Little-endian machines, 8 KiB pages.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

PAGE: Final = 8192
CHECKSUM_AT: Final = 8
ITEMS_AT: Final = 24
ITEM_BYTES: Final = 4
# The FNV-1a prime, and where each of the 32 sums begins.
PRIME: Final = np.uint32(16777619)
BEGINNINGS: Final = np.array(
    [
        *(0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2),
        *(0x83E13D2C, 0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C),
        *(0xF718902A, 0x0B1C9CDB, 0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979),
        *(0xCCA6C0B2, 0x304A0979, 0x85AA43D4, 0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E),
        *(0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756),
    ],
    np.uint32,
)
ALIGNMENTS: Final = {"c": 1, "s": 2, "i": 4, "d": 8}
HAS_NULLS: Final = 0x0001


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """A column as pg_attribute has it: `length` is its bytes, -1 if it varies."""

    name: str
    length: int
    alignment: str


def checksum(page: bytes, block: int) -> int:
    """The checksum that PostgreSQL keeps of this page as the file's `block`th, 1 to 65535."""
    words = bytearray(page)
    words[CHECKSUM_AT : CHECKSUM_AT + 2] = b"\0\0"
    rows = np.frombuffer(bytes(words), "<u4").reshape(-1, len(BEGINNINGS))
    sums = BEGINNINGS.copy()
    for row in (*rows, np.zeros_like(sums), np.zeros_like(sums)):
        mixed = sums ^ row
        sums = (mixed * PRIME) ^ (mixed >> np.uint32(17))
    return (int(np.bitwise_xor.reduce(sums)) ^ block) % 65535 + 1


def stored_checksum(page: bytes) -> int:
    """The checksum in the page's own header."""
    return int(struct.unpack_from("<H", page, CHECKSUM_AT)[0])


def with_checksum(page: bytes, block: int) -> bytes:
    """The page with the checksum that belongs to it."""
    kept = struct.pack("<H", checksum(page, block))
    return page[:CHECKSUM_AT] + kept + page[CHECKSUM_AT + 2 :]


def pages(path: Path) -> list[bytes]:
    """Every page of the file, in order."""
    whole = path.read_bytes()
    return [whole[at : at + PAGE] for at in range(0, len(whole), PAGE)]


def write_page(path: Path, block: int, page: bytes) -> None:
    """Puts `page` in the place of the file's `block`th; owner and rights stay as they are."""
    with path.open("r+b") as file:
        file.seek(block * PAGE)
        file.write(page)


def item_at(number: int) -> int:
    """Where the pointer to a page's `number`th row (from 1) lies in the page."""
    return ITEMS_AT + ITEM_BYTES * (number - 1)


def row_at(page: bytes, number: int) -> int:
    """Where the page's `number`th row (from 1) begins in the page."""
    (item,) = struct.unpack_from("<I", page, item_at(number))
    return int(item & 0x7FFF)


def columns_of(page: bytes, number: int, attributes: Sequence[Attribute]) -> dict[str, slice]:
    """Where in the page the bytes of each column of its `number`th row lie; nulls are left out."""
    begin = row_at(page, number)
    in_row, flags = struct.unpack_from("<HH", page, begin + 18)
    at, found = page[begin + 22], {}
    for place, attribute in enumerate(attributes[: in_row & 0x7FF]):
        if flags & HAS_NULLS and not page[begin + 23 + place // 8] >> place % 8 & 1:
            continue
        if attribute.length > 0 or page[begin + at] == 0:
            at += -at % ALIGNMENTS[attribute.alignment]
        header, length = 0, attribute.length
        if length < 0:
            first = page[begin + at]
            if first == 1 or first & 3 == 2:
                raise ValueError(f"{attribute.name} is compressed or lies elsewhere")
            header = 1 if first & 1 else 4
            whole = first >> 1 if first & 1 else struct.unpack_from("<I", page, begin + at)[0] >> 2
            length = whole - header
        at += header
        found[attribute.name] = slice(begin + at, begin + at + length)
        at += length
    return found
