"""Exact arithmetic on constant tensors: the only place of the reader that computes with real numbers.

Guarantee: for every returned pair (mid, rad), each exact entry lies in [mid - rad, mid + rad]; rad is None when
every entry is exactly mid. Entries are finite; a division by zero, a root of a negative number or an overflow
of float64 raises ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tlcheck.errors import InvalidInput

if TYPE_CHECKING:
    from flint import arb

Ball = tuple[NDArray[np.floating[Any]], NDArray[np.float64] | None]

MAX_FOLDED = 1 << 22
"""Most entries of a constant that is computed entry by entry (microseconds each), not just moved."""

PRECISION = 192
"""Working bits: far more than a product, quotient or root of float64 numbers needs to round well."""


def enclose(function: Callable[..., arb], *operands: Ball) -> Ball:
    """``function`` applied entry by entry (operands broadcast), enclosed. It may use only arb arithmetic.

    Raises ValueError when an entry is not a finite number.
    """
    import flint

    shape = np.broadcast_shapes(*(mid.shape for mid, _ in operands))
    size = math.prod(shape)
    if size > MAX_FOLDED:
        raise InvalidInput(
            "TLC401",
            "arithmetic on a large constant",
            expected=f"at most {MAX_FOLDED} entries",
            got=str(size),
        )
    mids = np.zeros(size)
    rads = np.zeros(size)
    with flint.ctx.workprec(PRECISION):
        columns = [_arbs(operand, shape) for operand in operands]
        for k, entries in enumerate(zip(*columns, strict=True)):
            mids[k], rads[k] = outward(function(*entries))
    return mids.reshape(shape), (rads.reshape(shape) if rads.any() else None)


def _arbs(operand: Ball, shape: tuple[int, ...]) -> list[arb]:
    from flint import arb

    mid, rad = operand
    mids = np.broadcast_to(mid.astype(np.float64), shape).ravel().tolist()
    if rad is None:
        return [arb(m) for m in mids]
    return [arb(m, r) for m, r in zip(mids, np.broadcast_to(rad, shape).ravel().tolist(), strict=True)]


def outward(x: arb) -> tuple[float, float]:
    """(mid, rad) float64 with x contained in [mid - rad, mid + rad]; rad 0 only when x is exactly mid."""
    from flint import arb

    if not x.is_finite():
        raise ValueError("not a finite number (division by zero, root of a negative number)")
    mid = float(x.mid())
    if not math.isfinite(mid):
        raise ValueError("overflow of float64")
    distance = abs(x - arb(mid))
    if distance.is_zero():
        return mid, 0.0
    rad = float(distance.abs_upper())
    while not distance <= arb(rad):
        rad = math.nextafter(rad, math.inf)
    if not math.isfinite(rad):
        raise ValueError("overflow of float64")
    return mid, rad


def add(a: Ball, b: Ball) -> Ball:
    """a + b. Exact sums are found by Knuth's TwoSum (error-free, round to nearest, no overflow)."""
    if a[1] is None and b[1] is None:
        x, y = a[0].astype(np.float64), b[0].astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            s = np.asarray(x + y)
            t = s - x
            error = (x - (s - t)) + (y - t)
        if bool((error == 0).all()) and bool(np.isfinite(s).all()):
            return s, None
    return enclose(lambda p, q: p + q, a, b)


def negative(a: Ball) -> Ball:
    return np.asarray(-a[0]), a[1]


def subtract(a: Ball, b: Ball) -> Ball:
    return add(a, negative(b))


def multiply(a: Ball, b: Ball) -> Ball:
    """a * b. A product of numbers of p and q significant bits, p + q <= 53, is exact unless it underflows."""
    if a[1] is None and b[1] is None:
        x, y = a[0].astype(np.float64), b[0].astype(np.float64)
        with np.errstate(over="ignore", under="ignore"):
            product = np.asarray(x * y)
        if _multiplies_exactly(x, y, product):
            return product, None
    return enclose(lambda p, q: p * q, a, b)


def _multiplies_exactly(x: NDArray[np.float64], y: NDArray[np.float64], product: NDArray[np.float64]) -> bool:
    """Sufficient, entry by entry: either factor is zero, or few enough bits and a result in the normal range."""
    few_bits = np.asarray(_significant_bits(x) + _significant_bits(y) <= 53)
    normal = np.isfinite(product) & (np.abs(product) >= 2.0**-1022)
    zero = np.asarray((x == 0) | (y == 0))
    return bool((zero | (few_bits & normal)).all())


def _significant_bits(x: NDArray[np.float64]) -> NDArray[np.int64]:
    """Bits from the leading to the last set bit of each entry's significand."""
    whole = (np.frexp(x)[0] * 2.0**53).astype(np.int64)
    lowest = np.abs(whole & -whole).astype(np.float64)
    trailing = np.where(whole == 0, 53, np.frexp(lowest)[1] - 1)
    return np.asarray(53 - trailing, dtype=np.int64)


def divide(a: Ball, b: Ball) -> Ball:
    """a / b. Raises ValueError when b's enclosure contains zero."""
    return enclose(lambda p, q: p / q, a, b)


def reciprocal(b: Ball) -> Ball:
    return enclose(lambda q: 1 / q, b)


def sqrt(a: Ball) -> Ball:
    """Square root of entries whose enclosure is nonnegative."""
    return enclose(lambda p: p.sqrt(), a)


def normalisation(scale: Ball, variance: Ball, epsilon: float) -> Ball:
    """scale / sqrt(variance + epsilon); epsilon is exact."""
    return enclose(lambda s, v: s / (v + epsilon).sqrt(), scale, variance)


def widen(a: Ball, relative: float, absolute: float) -> Ball:
    """a with radius grown by at least relative * |a| + absolute, entry by entry."""
    mid, rad = a
    size = np.abs(mid.astype(np.float64))
    if rad is not None:
        size = np.nextafter(size + rad, np.inf)
    grown = np.nextafter(np.nextafter(size * relative, np.inf) + absolute, np.inf)
    return mid, (grown if rad is None else np.nextafter(grown + rad, np.inf))
