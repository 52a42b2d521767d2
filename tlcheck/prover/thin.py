"""Products with matrices that have few entries in each column, as those of networks that compute minima and maxima."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SMALL: Final = 1 << 14
"""Entries up to which a matrix is multiplied as it is."""
SHARE: Final = 16
"""A column with at most one entry in this many not zero is gathered faster than multiplied."""


class Thin:
    """A matrix (m, n) by the rows and the values of each column's entries, (k, n) each. ``x @ thin``: x (..., m) to (..., n)."""

    __array_ufunc__ = None  # numpy leaves ``x @ thin`` to it

    def __init__(self, rows: NDArray[np.int64], entries: Array) -> None:
        self.rows, self.entries = rows, entries

    def __rmatmul__(self, x: Array) -> Array:
        out = np.take(x, self.rows[0], axis=-1) * self.entries[0]
        for rows, entries in zip(self.rows[1:], self.entries[1:], strict=True):
            out += np.take(x, rows, axis=-1) * entries
        return np.asarray(out)


def thinned(w: Array) -> Array | Thin:
    """``w`` for products ``x @ w``: as it is, or thin where that is faster."""
    if w.size <= SMALL:
        return w
    counts = np.count_nonzero(w, axis=0)
    most = max(1, int(counts.max()))
    if most * SHARE > w.shape[0]:
        return w
    columns, sources = np.nonzero(w.T)
    place = np.arange(columns.size) - np.repeat(np.cumsum(counts) - counts, counts)
    rows, entries = np.zeros((most, w.shape[1]), np.int64), np.zeros((most, w.shape[1]), w.dtype)
    rows[place, columns], entries[place, columns] = sources, w[sources, columns]
    return Thin(rows, entries)
