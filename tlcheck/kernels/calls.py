"""What a kernel is called with: shapes, types, layouts and sizes are checked here, for the host and for a device.

What each kernel guarantees, with its proof, is in ``kernels/README.md``. Ends from above go in and come out as their negatives.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.trusted.arith.box import OutOfRange
from tlcheck.trusted.arith.tiles import Tiles

Floats = NDArray[np.float64]
Argument = Floats | NDArray[np.int32] | int | None

TILE: Final = 64
"""Rows and columns of a tile (tile.h); each tile's columns have charges of their own."""
ROWS: Final = 8
"""Rows of a block of a kernel over rows (shim.h)."""
MOST: Final = 1 << 40
"""Bytes of the largest array, as in stub.c."""


def checked(*extents: int) -> int:
    """Bytes of an array of doubles of these extents, as ``tlc_sizes`` of stub.c. Raises OutOfRange: negative, or too many."""
    if min(extents, default=0) < 0:
        raise OutOfRange(f"a size of {extents}")
    bytes_ = 8 * prod(extents)
    if bytes_ > MOST:
        raise OutOfRange(f"an array of {bytes_} bytes: at most {MOST}")
    return bytes_


class Calls:
    """The kernels, from numpy arrays."""

    @abstractmethod
    def run(
        self, kernel: str, grid: tuple[int, int], given: Sequence[Argument], results: Sequence[Floats]
    ) -> None:
        """Launch a kernel over a grid of blocks; ``results`` are those of its arguments that it writes."""

    def concretise(self, block: Floats, lower: Floats | None, upper: Floats | None, value: Floats) -> Floats:
        """value (D, R) plus the least value of the rows of block (D, R, n) over boxes (D or 1, n); None: at ones."""
        d, r, n = block.shape
        _fit(value, (d, r))
        per = _per(d, r, n, *(x for x in (lower, upper) if x is not None))
        result = value.copy()
        self.run("concretise", _rows(d * r), [*_read(block, lower, upper), result, d * r, n, per], [result])
        return result

    def step(
        self, block: Floats, other: Floats | None, lines: tuple[Floats, ...], below: Floats, value: Floats
    ) -> tuple[Floats, Floats]:
        """Coefficients (D, R, n) through lines (slope, intercept below, then above; each (D or 1, n)), plus ``other``; over
        z >= -below, (D or 1, n). The new coefficients, and value (D, R) with intercepts and charges."""
        d, r, n = block.shape
        _fit(value, (d, r))
        if other is not None:
            _fit(other, block.shape)
        sizes = d * r, n, _per(d, r, n, *lines), _per(d, r, n, below)
        result, total = np.empty(block.shape), value.copy()
        self.run(
            "step",
            _rows(d * r),
            [*_read(block, other, *lines, below), result, total, *sizes],
            [result, total],
        )
        return result, total

    def scale(self, factor: Floats, lower: Floats, upper: Floats, low: Floats, minus_high: Floats) -> None:
        """low, -minus_high (D, n) += factor (n) times a box (D, n), outward, in place."""
        d, n = lower.shape
        _fit(factor, (n,))
        for array in (upper, low, minus_high):
            _fit(array, (d, n))
        self.run("scale", (d, 1), [*_read(factor, lower, upper), low, minus_high, d, n], [low, minus_high])

    def affine(self, tiles: Tiles, lower: Floats, upper: Floats, low: Floats, minus_high: Floats) -> None:
        """low, -minus_high (D, n_out) += the product with a box (D, n_in), outward, in place."""
        d = lower.shape[0]
        for array, n in (
            (lower, tiles.n_in),
            (upper, tiles.n_in),
            (low, tiles.n_out),
            (minus_high, tiles.n_out),
        ):
            _fit(array, (d, n))
        given = [*_read(lower, upper, tiles.weights), tiles.link, low, minus_high, *_sizes(tiles, d)]
        self.run("affine", _grid(tiles, d), given, [low, minus_high])

    def adjoint(
        self, tiles: Tiles, block: Floats, below: Floats, kernel: str = "adjoint"
    ) -> tuple[Floats, Floats]:
        """Coefficients (D, R, n_in) through the product, for x >= -below (D or 1, n_out): coefficients (D, R, n_out), and charges
        (D, R, parts) whose sum is to be added."""
        d, r, n = block.shape
        if n != tiles.n_in:
            raise ValueError("coefficients that do not fit the product")
        result = np.empty((d, r, tiles.n_out))
        charges = np.empty((d, r, tiles.places * tiles.groups * -(-tiles.columns // TILE)))
        given = [
            *_read(block, tiles.weights),
            tiles.link,
            *_read(below),
            result,
            charges,
            *_sizes(tiles, d * r),
        ]
        self.run(kernel, _grid(tiles, d * r), [*given, _per(d, r, tiles.n_out, below)], [result, charges])
        return result, charges


def _fit(array: Floats, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"an array of shape {array.shape}: expected {shape}")


def _read(*arrays: Floats | None) -> list[Floats | None]:
    """Operands as a kernel reads them."""
    return [None if array is None else np.ascontiguousarray(array, np.float64) for array in arrays]


def _per(domains: int, rows: int, n: int, *shared: Floats) -> int:
    """How many of domains * rows rows share a row of these arrays."""
    owners = shared[0].shape[0] if shared else 1
    for array in shared:
        _fit(array, (owners, n))
    if owners not in (1, domains):
        raise ValueError(f"rows of {owners} domains: expected {domains}, or 1")
    return max(1, rows if owners > 1 else domains * rows)


def _sizes(tiles: Tiles, rows: int) -> tuple[int, ...]:
    """SIZES of tile.h, R first."""
    return rows, tiles.places, tiles.sources, tiles.taps, tiles.channels, tiles.columns, tiles.groups


def _rows(rows: int) -> tuple[int, int]:
    return -(-rows // ROWS), 1


def _grid(tiles: Tiles, rows: int) -> tuple[int, int]:
    return -(-rows * tiles.places // TILE), tiles.groups * -(-tiles.columns // TILE)
