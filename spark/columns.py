"""Column-wise spellings of what carbon_ledger does value by value: hashes, ids, posted products.

Belongs here: whole columns at once, equal to the value-wise functions to the last character; the
tests compare them. Does not: rules, or which column is what.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from carbon_ledger.entries import ENTRY_ID_VERSION
from carbon_ledger.quantities import (
    POSTED_PRECISION,
    POSTED_QUANTUM,
    POSTED_SCALE,
    PRODUCT,
    ROUNDING,
)

_HEX = np.frombuffer("".join(f"{byte:02x}" for byte in range(256)).encode(), np.uint8).reshape(
    256, 2
)
_DASHES = (8, 13, 18, 23)
_UUID_LENGTH = 36

# What a plain quantity (18 digits before the point, 12 after) and most factors fit into; their
# product fits 76 digits, so nothing is rounded before the one rounding.
_QUANTITY = pa.decimal256(30, 12)
_NARROW_QUANTITY = pa.decimal128(18, 6)
_FACTOR_DIGITS, _NARROW_FACTOR_DIGITS = 38, 19


def sha256_of_each(values: pa.Array, skip: int = 0) -> np.ndarray:
    """SHA-256 of every value (text or binary, no nulls) from byte `skip` on: 32 bytes a row."""
    sha256 = hashlib.sha256
    texts = values.cast(pa.binary()).to_pylist()
    if skip:
        digests = b"".join([sha256(text[skip:]).digest() for text in texts])
    else:
        digests = b"".join([sha256(text).digest() for text in texts])
    return np.frombuffer(digests, np.uint8).reshape(-1, 32)


def hex_texts(rows: np.ndarray) -> pa.Array:
    """Each row of bytes as lower-case hexadecimal text."""
    return _texts(_HEX[rows].reshape(len(rows), -1))


def _texts(characters: np.ndarray) -> pa.Array:
    """Rows of equally many ASCII characters as a text column."""
    count, width = characters.shape
    offsets = np.arange(count + 1, dtype=np.int32) * width
    data = pa.py_buffer(np.ascontiguousarray(characters))
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(offsets), data])


def entry_ids(event_ids: pa.Array, milliseconds: np.ndarray) -> pa.Array:
    """carbon_ledger.entries.entry_id of line 1 of each event, which ended at `milliseconds`."""
    preimages = pc.binary_join_element_wise(f"{ENTRY_ID_VERSION}\x1f", event_ids, "\x1f1\x1f", "")
    digests = sha256_of_each(preimages)
    raw = np.empty((len(digests), 16), np.uint8)
    raw[:, :6] = milliseconds.astype(">i8").view(np.uint8).reshape(-1, 8)[:, 2:]
    # Version 8 and the digest's first 12 bits; then variant 10 and its next 62 bits.
    first = digests[:, :10].astype(np.uint16)
    raw[:, 6] = 0x80 | first[:, 0] >> 4
    raw[:, 7] = (first[:, 0] << 4 | first[:, 1] >> 4) & 0xFF
    raw[:, 8] = 0x80 | (first[:, 1] & 0x0F) << 2 | first[:, 2] >> 6
    for place in range(9, 16):
        raw[:, place] = (first[:, place - 7] << 2 | first[:, place - 6] >> 6) & 0xFF
    characters = np.full((len(raw), _UUID_LENGTH), ord("-"), np.uint8)
    characters[:, [i for i in range(_UUID_LENGTH) if i not in _DASHES]] = _HEX[raw].reshape(
        len(raw), 32
    )
    return _texts(characters)


def posted_products(
    quantities: pa.Array, factors: Sequence[Decimal | None], codes: np.ndarray
) -> pa.Array:
    """quantity x factor as posted text, row by row; null where the factor is None.

    `quantities` are plain decimal texts (18 digits before the point, 12 after); row i has the
    factor `factors[codes[i]]`. Exact, then rounded once, half-even, to 12 decimals.
    """
    if all(factor is None for factor in factors):
        return pa.nulls(len(quantities), pa.string())
    products = _exact_products(quantities, factors, codes)
    if products is None:
        return _one_by_one(quantities, factors, codes)
    rounded = pc.round(products, POSTED_SCALE, "half_to_even")
    texts = rounded.cast(pa.decimal256(2 * POSTED_PRECISION, POSTED_SCALE)).cast(pa.string())
    # Arrow writes small figures with an exponent; a posted figure has none.
    scientific = pc.fill_null(pc.match_substring(texts, "E"), False)
    if pc.any(scientific).as_py():
        rows = np.flatnonzero(scientific.to_numpy(zero_copy_only=False))
        spelled = _one_by_one(quantities.take(pa.array(rows)), factors, codes[rows])
        texts = pc.replace_with_mask(texts, scientific, spelled)
    return texts


def _exact_products(
    quantities: pa.Array, factors: Sequence[Decimal | None], codes: np.ndarray
) -> pa.Array | None:
    """The products as Arrow decimals, or None where they might not be exact."""
    known = [factor for factor in factors if factor is not None]
    scale = max(max(-int(factor.as_tuple().exponent), 0) for factor in known)
    whole = max(max(factor.adjusted() + 1, 1) for factor in known)
    try:
        if scale + whole <= _NARROW_FACTOR_DIGITS and scale >= _NARROW_QUANTITY.scale:
            kind = pa.decimal128(_NARROW_FACTOR_DIGITS, scale)
            return pc.multiply(
                quantities.cast(_NARROW_QUANTITY), pa.array(factors, kind).take(pa.array(codes))
            )
    except pa.ArrowInvalid:
        pass  # a quantity of more digits: the wide types hold it
    if scale + whole > _FACTOR_DIGITS or scale > _FACTOR_DIGITS:
        return None
    kind = pa.decimal256(_FACTOR_DIGITS, scale)
    return pc.multiply(quantities.cast(_QUANTITY), pa.array(factors, kind).take(pa.array(codes)))


def _one_by_one(
    quantities: pa.Array, factors: Sequence[Decimal | None], codes: np.ndarray
) -> pa.Array:
    chosen = [factors[code] for code in codes.tolist()]
    return pa.array(
        [
            None
            if factor is None
            else f"{ROUNDING.quantize(PRODUCT.multiply(Decimal(text), factor), POSTED_QUANTUM):f}"
            for text, factor in zip(quantities.to_pylist(), chosen, strict=True)
        ],
        pa.string(),
    )
