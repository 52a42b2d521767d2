"""The kernels on the host, from numpy: sizes, types and layouts are checked, then the library is called.

What each kernel guarantees, with its proof, is in ``kernels/README.md``. Ends from above go in and come out as their negatives. Calls
leave Python's lock; a call's floating-point environment is its own (``stub.c``).
"""

from __future__ import annotations

import ctypes
import os
import tempfile
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tlcheck.kernels.build import Library, build
from tlcheck.trusted.arith.box import OutOfRange
from tlcheck.trusted.arith.tiles import Tiles

Floats = NDArray[np.float64]

SIZE_ERRORS: Final = {1: "a negative size", 2: "a size beyond 64 bits", 3: "an array of more than 2^40 bytes"}
COLUMNS: Final = 64
"""Columns of a kernel's tile: each has charges of its own."""


@dataclass(frozen=True)
class Native:
    """The kernels of one library."""

    library: Library

    def __getstate__(self) -> dict[str, Library]:
        return {"library": self.library}

    @cached_property
    def _loaded(self) -> ctypes.CDLL:
        with tempfile.TemporaryDirectory(prefix="tlcheck-kernels-") as scratch:
            path = os.path.join(scratch, "kernels.so")
            with open(path, "wb") as file:
                file.write(self.library.code)
            return ctypes.CDLL(path)

    def _call(self, name: str, *given: Floats | NDArray[np.int32] | int | None) -> None:
        """Raises OutOfRange where the sizes are none, or the rounding mode is not to be had."""
        code = getattr(self._loaded, name)(*map(_converted, given))
        if code:
            raise OutOfRange(SIZE_ERRORS.get(code, "the rounding mode cannot be set"))

    def concretise(self, block: Floats, lower: Floats | None, upper: Floats | None, value: Floats) -> Floats:
        """value (D, R) plus the least value of the rows of block (D, R, n) over boxes (D or 1, n); None: at ones."""
        d, r, n = block.shape
        _fit(value, (d, r))
        per = _per(d, r, n, *(x for x in (lower, upper) if x is not None))
        result = value.copy()
        self._call("tlc_concretise_host", _read(block), _read(lower), _read(upper), result, d * r, n, per)
        return result

    def step(
        self,
        block: Floats,
        other: Floats | None,
        lines: tuple[Floats, Floats, Floats, Floats],
        below: Floats,
        value: Floats,
    ) -> tuple[Floats, Floats]:
        """Coefficients (D, R, n) through lines (slope, intercept below, then above; each (D or 1, n)), plus ``other``; over
        z >= -below, (D or 1, n). The new coefficients, and value (D, R) with intercepts and charges."""
        d, r, n = block.shape
        _fit(value, (d, r))
        if other is not None:
            _fit(other, block.shape)
        per_lines, per_box = _per(d, r, n, *lines), _per(d, r, n, below)
        result, total = np.empty(block.shape), value.copy()
        given = [_read(x) for x in (block, other, *lines, below)]
        self._call("tlc_step_host", *given, result, total, d * r, n, per_lines, per_box)
        return result, total

    def scale(self, factor: Floats, lower: Floats, upper: Floats, low: Floats, minus_high: Floats) -> None:
        """low, -minus_high (D, n) += factor (n) times a box (D, n), outward, in place."""
        d, n = lower.shape
        _fit(factor, (n,))
        for array in (upper, low, minus_high):
            _fit(array, (d, n))
        self._call("tlc_scale_host", _read(factor), _read(lower), _read(upper), low, minus_high, d, n)

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
        self._call(
            "tlc_affine_host",
            _read(lower),
            _read(upper),
            *_operands(tiles),
            low,
            minus_high,
            d,
            *_sizes(tiles),
        )

    def adjoint(
        self, tiles: Tiles, block: Floats, below: Floats, *, tensor: bool = False
    ) -> tuple[Floats, Floats]:
        """Coefficients (D, R, n_in) through the product, for x >= -below (D or 1, n_out): coefficients (D, R, n_out), and charges
        (D, R, parts) whose sum is to be added."""
        d, r, n = block.shape
        if n != tiles.n_in:
            raise ValueError("coefficients that do not fit the product")
        result = np.empty((d, r, tiles.n_out))
        parts = tiles.places * tiles.groups * -(-tiles.columns // COLUMNS)
        charges = np.empty((d, r, parts))
        name = "tlc_adjoint_tensor_host" if tensor else "tlc_adjoint_host"
        per = _per(d, r, tiles.n_out, below)
        self._call(
            name, _read(block), *_operands(tiles), _read(below), result, charges, d * r, *_sizes(tiles), per
        )
        return result, charges


@cache
def native() -> Native:
    """The kernels as this machine's compiler makes them. Raises InvalidInput."""
    return Native(build())


def _read(array: Floats | None) -> Floats | None:
    """An operand as the kernel reads it."""
    return None if array is None else np.ascontiguousarray(array, np.float64)


def _fit(array: Floats, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"an array of shape {array.shape}: expected {shape}")


def _per(domains: int, rows: int, n: int, *shared: Floats) -> int:
    """How many of domains * rows rows share a row of these arrays."""
    (owners,) = {array.shape[0] for array in shared} or {1}
    for array in shared:
        _fit(array, (owners, n))
    if owners not in (1, domains):
        raise ValueError(f"rows of {owners} domains: expected {domains}, or 1")
    return max(1, rows if owners > 1 else domains * rows)


def _operands(tiles: Tiles) -> tuple[Floats, NDArray[np.int32]]:
    return tiles.weights, tiles.link


def _sizes(tiles: Tiles) -> tuple[int, ...]:
    """After the rows: I, J, T, O, N, G."""
    return tiles.places, tiles.sources, tiles.taps, tiles.channels, tiles.columns, tiles.groups


def _converted(value: Any) -> Any:
    """As ctypes takes it: a pointer to an array that lies in memory as the kernel reads it, a size, null."""
    if value is None:
        return None
    if isinstance(value, int):
        return ctypes.c_longlong(value)
    if value.dtype not in (np.float64, np.int32) or not value.flags.c_contiguous or not value.flags.aligned:
        raise ValueError(f"a kernel's array of {value.dtype}, in another layout")
    return ctypes.c_void_p(value.ctypes.data)
