"""Products of integer matrices, exact: FLINT's ``fmpz_mat``. With ``arb.py``, the only module that imports flint.

Integer matrices are multiplied *packed* (Kronecker substitution): the entries of a row of the right factor become
the 128-bit digits of one large integer, so that one multiply-add of FLINT serves a whole row and numpy arrays
convert to and from FLINT by bytes instead of entry by entry.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from flint import fmpz, fmpz_mat

from tlcheck.trusted.arith.int128 import Int, Wide

__all__ = ["Packed", "fmpz_mat", "pack", "packed_product", "small_matrix", "unpack"]

_FIELD = 128
_BLOCK = 2048
"""Digits per large integer: 32 KiB, so that a row of operands stays in cache."""


class Packed:
    """The rows of an integer matrix (K, N), packed for products from the left. Entries: |w| < 2^62."""

    def __init__(self, rows: Int) -> None:
        self.shape = (int(rows.shape[0]), int(rows.shape[1]))
        self._blocks = [_pack_block(rows[:, s : s + _BLOCK]) for s in range(0, self.shape[1], _BLOCK)]

    def blocks(self, rows: list[int] | None) -> Iterator[fmpz_mat]:
        """The packed rows, or some of them, block by block, each a column of large integers."""
        for block in self._blocks:
            yield block if rows is None else fmpz_mat(len(rows), 1, [block[k, 0] for k in rows])


def small_matrix(a: Int) -> fmpz_mat:
    """An int64 matrix as a FLINT matrix."""
    return fmpz_mat(int(a.shape[0]), int(a.shape[1]), a.reshape(-1).tolist())


def packed_product(a: Int, packed: Packed) -> Wide:
    """A B exactly, for int64 A (M, K) and packed B (K, N); every |entry| must be below 2^126. Returns (M, N).

    Columns of A that are zero throughout (inactive neurons) take no part.
    """
    n = packed.shape[1]
    m = int(a.shape[0])
    used = np.flatnonzero(a.any(axis=0))
    everything = used.size == a.shape[1]
    matrix = small_matrix(a if everything else a[:, used])
    hi = np.zeros((m, n), np.int64)
    lo = np.zeros((m, n), np.uint64)
    if not used.size:
        return hi, lo
    for b, block in enumerate(packed.blocks(None if everything else used.tolist())):
        start = b * _BLOCK
        stop = min(n, start + _BLOCK)
        for i, value in enumerate((matrix * block).entries()):
            hi[i, start:stop], lo[i, start:stop] = unpack(value, stop - start)
    return hi, lo


def pack(digits: Int) -> fmpz:
    """sum_j digits[j] 2^(128 j), |digits| < 2^62."""
    fields = np.zeros((digits.size, 2), np.uint64)
    fields[:, 0] = (digits + np.int64(1 << 62)).view(np.uint64)
    return fmpz(int.from_bytes(fields.tobytes(), "little")) - _bias(digits.size, 62)


def unpack(value: fmpz, n: int) -> Wide:
    """The n signed 128-bit digits of ``value``; each must be below 2^127 in magnitude."""
    raw = int(value + _bias(n, 127)).to_bytes(16 * n, "little")
    fields = np.frombuffer(raw, np.uint64).reshape(n, 2)
    return (fields[:, 1] ^ np.uint64(1 << 63)).view(np.int64), fields[:, 0]


_BIASES: dict[tuple[int, int], fmpz] = {}


def _bias(n: int, bit: int) -> fmpz:
    """sum_{j<n} 2^(128 j + bit)"""
    key = (n, bit)
    if key not in _BIASES:
        if len(_BIASES) > 256:
            _BIASES.clear()
        _BIASES[key] = fmpz(1 << bit) * ((fmpz(1) << (_FIELD * n)) - 1) // ((fmpz(1) << _FIELD) - 1)
    return _BIASES[key]


def _pack_block(rows: Int) -> fmpz_mat:
    return fmpz_mat(int(rows.shape[0]), 1, [pack(np.ascontiguousarray(row)) for row in rows])
